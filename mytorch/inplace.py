"""Writes to the memory of Tensors, and what becomes of the values that they destroy.

A write is an operation whose output is memory that existed before: it gives the memory a new name, and where a tape
still reads the old values, it keeps a copy of the part that it destroys.  A parameter that an optimizer steps is only
noted as stale: to keep every old value would cost as much as the step.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from types import CodeType
from typing import Any

import numpy as np
from numpy import ndarray
from numpy.exceptions import ComplexWarning

from mytorch import arrays
from mytorch.autograd_engine import Autograd
from mytorch.lines import caller
from mytorch.recording import kept, metas_of_operands, savers, targets_of
from mytorch.records import TapeError, Write, next_serial
from mytorch.regions import is_basic, memory_name, overlaps_itself
from mytorch.rules.registry import Rule
from mytorch.tensor import Tensor, is_recording, new_view, target, wrap


class Retained:
    """The hook of `Tensor.retain_grad`."""

    __slots__ = ("tensor",)

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = weakref.ref(tensor)

    def __call__(self, gradient: Any) -> Any:
        tensor = self.tensor()
        if tensor is not None:
            own = gradient.copy() if isinstance(gradient, Tensor) else wrap(arrays.array(gradient))
            tensor._grad = own if tensor._grad is None else tensor._grad + own
        return gradient


def move_retained(hooks: list[Callable[[Any], Any]], tape: Autograd, key: int) -> None:
    """Move what `Tensor.retain_grad` asked for from the `hooks` of a memory to those of its new name."""
    retained = [hook for hook in hooks if type(hook) is Retained]
    if retained:
        hooks[:] = [hook for hook in hooks if type(hook) is not Retained]
        tape.hooks = tape.hooks or {}
        tape.hooks.setdefault(key, []).extend(retained)


def write(
    destination: Tensor,
    index: Any,
    compute: Callable[[], None],
    rule: Rule,
    operands: tuple[Any, ...],
    static: dict[str, Any] | None = None,
) -> None:
    """Run `compute`, which writes ``destination._array[index]``, and record it as an operation on that memory."""
    owner = destination if destination._base is None else destination._base
    owners = [(x if x._base is None else x._base) for x in operands if isinstance(x, Tensor)]
    tracked = [o for o in owners if o._key is not None]
    if not is_recording() or (not tracked and owner._key is None):
        _write_unrecorded(destination, owner, index, compute)
        return
    _refuse_lost(destination, owner)
    if np.size(destination._array[index]) == 0:
        compute()  # checks the shapes, and changes nothing
        return
    place = new_view(destination, destination._array[index]) if is_basic(index) else destination
    if destination._base is not None:
        refuse_overlap(place._array)
    targets, tape, mask = targets_of((*operands, destination))
    if tape is None:  # what is differentiable is empty
        _write_unrecorded(destination, owner, index, compute)
        return
    serial = next_serial()
    code, lasti = caller()
    inputs, reads_output = kept(rule, operands, mask & ((1 << len(operands)) - 1), tape)
    metas = metas_of_operands(operands, targets[:-1])
    record = Write(inputs, None, None, rule, targets[:-1], None, metas, static or {}, serial, code, lasti)
    before = savers(owner)
    old = arrays.array(destination._array[index]) if before else None
    others = [other for other in before if other is not tape]
    former, previous = owner._tape, owner._key
    failure = _after(compute)
    if reads_output:
        record.output = arrays.array(destination._array)
    record.place(previous, destination._array, index, old)
    owner._key, owner._tape = serial, tape
    if former is not None and former.hooks is not None:
        move_retained(former.hooks.get(previous, []), tape, serial)  # type: ignore[arg-type]
    record.target = target(place)
    tape.operation_list.append(record)
    _keep_old(others, destination._array, index, old)
    if failure is not None:
        raise failure


def _refuse_lost(destination: Tensor, owner: Tensor) -> None:
    """Raise if a recorded write to `destination`, in the memory of `owner`, would lose a gradient."""
    if owner._key is not None and owner._tape is None:
        raise TapeError(
            "a leaf that requires gradients cannot be changed in place while recording: its old value would be "
            "lost to its own gradient. Update it inside `with mytorch.no_grad():`, or work on a .copy()"
        )
    if destination._array.dtype.kind not in "fc":
        raise TypeError(
            f"a differentiable value cannot be written into a Tensor of dtype {destination._array.dtype}: "
            "its gradient would be lost; make the destination floating-point"
        )


def refuse_overlap(array: ndarray) -> None:
    """Raise if entries of `array`, which is to be written, share memory with each other."""
    if overlaps_itself(array) and array.flags.writeable:
        raise ValueError(
            f"entries of this view of shape {array.shape} and strides {array.strides} share memory, so which of the "
            "values that are written to it stay is not defined; write to the array that it shows, or to a copy"
        )


def _after(compute: Callable[[], None]) -> Exception | None:
    """Run a write; return the error that NumPy raises after it has written, which is to be raised later."""
    try:
        compute()
    except (FloatingPointError, RuntimeWarning) as error:
        if isinstance(error, ComplexWarning):  # which comes before
            raise
        return error
    return None


def _write_unrecorded(destination: Tensor, owner: Tensor, index: Any, compute: Callable[[], None]) -> None:
    """Write memory without a gradient; tapes that read its values keep the old ones, or learn that they are gone."""
    readers = savers(owner)
    if not readers:
        compute()
        return
    if owner._key is not None and owner._tape is None:
        # A parameter that is stepped: to keep every old value would cost as much as the step.
        failure = _after(compute)
        note_changed([owner])
    else:
        old = arrays.array(destination._array[index])
        failure = _after(compute)
        _keep_old(readers, destination._array, index, old)
    if failure is not None:
        raise failure


def update(parameter: Tensor, change: Callable[..., None], *arguments: Any) -> None:
    """Run ``change(array, *arguments)``, which changes a parameter's array in place, unrecorded."""
    owner = parameter if parameter._base is None else parameter._base
    _write_unrecorded(parameter, owner, ..., lambda: change(parameter._array, *arguments))


def note_changed(leaves: list[Tensor]) -> None:
    """Tell the tapes that read the values of `leaves` that they are gone."""
    moment: tuple[int, CodeType, int] | None = None
    for leaf in leaves:
        for tape in savers(leaf):
            if moment is None:
                moment = (next_serial(), *caller())
            if tape.stale is None:
                tape.stale = {}
            tape.stale[memory_name(leaf._array)] = moment


def before_unseen_write(tensor: Tensor) -> bool:
    """Tell the tapes that read the values of `tensor` that they are about to change; False where that is not enough."""
    if not savers(tensor):
        tensor._saved = None
        return True
    if tensor._key is None or tensor._tape is not None:
        return False
    note_changed([tensor])
    return True


def _keep_old(tapes: list[Autograd], array: ndarray, index: Any, old: ndarray | None) -> None:
    """Tell tapes that read the memory of a write that is not theirs, with the values that it destroyed."""
    code, lasti = caller()
    for tape in tapes:
        note = Write((), None, None, None, (), None, None, None, next_serial(), code, lasti)
        tape.operation_list.append(note.place(None, array, index, None if old is None else old.copy()))
