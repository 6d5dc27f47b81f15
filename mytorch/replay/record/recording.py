"""One recorded call: run a function on what stands for its arguments, and keep what is needed to run it again.

In: a function and the leaves of its arguments.  Out: its result, and a `Recording`: the instructions, how the result is
made of them, what the function takes from outside, and why, where that is so, the call cannot be replayed.
"""

from __future__ import annotations

import time
import types
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

import numpy as np
from numpy import ndarray

from mytorch import arrays, trees
from mytorch.lines import caller
from mytorch.optim.optimizer import Optimizer
from mytorch.regions import owner_of
from mytorch.replay.errors import note
from mytorch.replay.instructions import ARGUMENT, OUTSIDE, Buffer, Instruction, Value
from mytorch.replay.record.blocks import pack
from mytorch.replay.record.captured import GENERATORS, PLAIN, Cell, captured, is_followed, is_plain
from mytorch.replay.record.containers import Containers
from mytorch.replay.record.draws import Generator
from mytorch.replay.record.impure import Passing, noticed
from mytorch.replay.record.locals import watching
from mytorch.replay.record.numbers import Weak
from mytorch.replay.record.recorder import Recorder
from mytorch.replay.record.settling import Settling, computed
from mytorch.replay.record.stand_ins import recording_by
from mytorch.replay.record.tensors import ARRAY, TensorRecorder, array_of, followed
from mytorch.replay.record.traced import Number, Traced
from mytorch.tensor import Tensor, wrap


class Leaf:
    """A part of the result: how a replay makes it.

    `kind` is "array", "number" or "plain" (a number of Python's; of the Value `what`), "tensor", or "constant" (`what`
    itself).
    """

    __slots__ = ("kind", "what")

    def __init__(self, kind: str, what: Any) -> None:
        self.kind, self.what = kind, what


class Recording:
    """What a call of a function did.

    Attributes
    ----------
    instructions : list of Instruction
    arguments : per array argument (its leaf's number), its Buffer
    before : per Tensor whose `grad` was read before it was set, what it was (a Value, or None)
    after : per Tensor whose `grad` was set, what it is now (a Value, or None)
    structure, leaves : the result
    cells : places outside that must be as they were; kinds : the types of what is in the places of `assigned`
    assigned : places outside that the call gave computed values; changed : those that it changed otherwise
    outside : identities of the owners of the memory outside of the function that it read or wrote
    once : why the call cannot be replayed; excuse : why no call can be (None: they can)
    catches : whether the function may go on after an error
    made : what it returned that no replay can make anew (None: nothing)
    function : what was called; structure_given, given : the arguments, and their leaves (None for arrays)
    same : arguments that are also taken from outside
    twins : by the number of an argument, that of an earlier one that is the same array
    tensors : by the identity of a Tensor among the arguments, its number
    paths : by the identity of what lies outside, where it is found
    local_names : per memory's number, a local variable that held it; parameter_names : a parameter that did, and only
        that, of a function that was called
    caller : the line that called, as a code object and an instruction
    seconds : that the call took
    """

    def __init__(self) -> None:
        self.function: Callable[..., Any]
        self.structure_given: trees.Structure
        self.given: list[Any] = []
        self.instructions: list[Instruction] = []
        self.arguments: dict[int, Buffer] = {}
        self.before: list[tuple[Tensor, Value | None]] = []
        self.after: list[tuple[Tensor, Value | None]] = []
        self.structure: trees.Structure
        self.leaves: list[Leaf] = []
        self.cells: list[Cell] = []
        self.changed: list[Cell] = []
        self.kinds: list[tuple[Cell, type]] = []
        self.assigned: list[tuple[Cell, Leaf]] = []
        self.outside: set[int] = set()
        self.once: str | None = None
        self.excuse: str | None = None
        self.catches = False
        self.made: str | None = None
        self.same: list[tuple[int, Any]] = []
        self.twins: dict[int, int] = {}
        self.tensors: dict[int, int] = {}
        self.paths: dict[int, list[str]] = {}
        self.local_names: dict[int, str] = {}
        self.parameter_names: dict[int, str] = {}
        self.caller = caller()
        self.seconds = 0.0


def record(
    function: Callable[..., Any], leaves: list[Any], structure: trees.Structure, call: Any
) -> tuple[Any, Recording]:
    """Call a function, and return its result and the recording.

    `leaves` and `structure` are those of `call`, its ``(args, kwargs)``.
    """
    start = time.perf_counter()
    recording, recorder = Recording(), TensorRecorder()
    recorder.root = record.__code__
    recording.function, recording.structure_given = function, structure
    objects = _objects_among(leaves)
    cells = _look_around(recording, recorder, leaves, objects)
    given = _all_given(leaves, recorder, recording)
    settling = Settling(recorder)
    for x, leaf in zip(given, leaves, strict=True):
        settling.stands(x, leaf)
    containers = Containers(call, given, _shown)
    args, kwargs = containers.copied
    new: list[Any] = []
    try:
        with containers.settled(), followed(), recording_by(recorder, cells, settling):
            names = recording.local_names, recording.parameter_names
            with watching(lambda name, value, given: recorder.note_local(name, value, names[given])):
                result = function(*args, **kwargs)
            found = _results(recording, recorder, result)
            new = _made(found, leaves, cells)
            recording.made = f"a {type(new[0]).__name__}" if new else None
            recording.assigned, recording.changed = _changes(cells, recorder, given, found)
    except BaseException as error:
        _say_what_changed(error, recorder)
        _hand_back(recording, leaves)
        error.args = settling.real(error.args)
        new = [error]
        raise
    finally:
        made = {f"result {i}": thing for i, thing in enumerate(new)}
        settling.settle([*cells, *captured(function, {**objects, **made})[0]])
    if containers.changed:
        recording.changed.append(Cell("fixed", {}, 0, None, "a list or dict among its arguments"))
    _take_over(recording, recorder, cells)
    _hand_back(recording, leaves)
    for buffer in recording.arguments.values():
        buffer.forget()
    shown = [_shown(x) for x in found]
    recording.seconds = time.perf_counter() - start
    return recording.structure.unflatten(shown), recording


def _objects_among(leaves: list[Any]) -> dict[str, Any]:
    """Return the arguments, by name, whose attributes the function may read."""
    return {
        f"argument {i}": leaf
        for i, leaf in enumerate(leaves)
        if not (is_plain(leaf) or isinstance(leaf, _ARRAYS))
        or (type(leaf) is ndarray and not is_followed(leaf))
    }


def _look_around(
    recording: Recording, recorder: TensorRecorder, leaves: list[Any], objects: dict[str, Any]
) -> list[Cell]:
    """Find what the function reaches by names, and take note of it."""
    reached = [cell.value for cell in captured(recording.function, objects)[0]]
    optimizers = [value for value in reached if isinstance(value, Optimizer)]
    del reached  # arrays that others hold are not packed
    for optimizer in optimizers:
        pack(optimizer)
    cells, recording.catches, recorder.excuse = captured(recording.function, objects)
    recorder.know(cells)
    recording.given = [None if isinstance(leaf, Tensor | ndarray | np.generic) else leaf for leaf in leaves]
    for cell in cells:
        if cell.kind != "fixed":
            recording.paths.setdefault(id(cell.value), []).append(cell.path)
    return cells


def _results(recording: Recording, recorder: TensorRecorder, result: Any) -> list[Any]:
    """Take note of what a call gives back, its gradients among that; return the leaves of its result."""
    found, recording.structure = trees.flatten(result)
    found = [x._generator if type(x) is Generator else x for x in found]
    found = [x._iterator if isinstance(x, Passing) else x for x in found]
    recording.leaves = [_leaf(x, recorder) for x in found]
    recording.after, recording.before = recorder.gradients()
    return found


def _take_over(recording: Recording, recorder: TensorRecorder, cells: list[Cell]) -> None:
    """Keep what the recorder has noted; numbers that every replay fetches need no check."""
    fetched = {(id(owner), name) for owner, name in recorder.fetched} - recorder.asked
    recording.kinds = [(cell, type(cell.value)) for cell, _ in recording.assigned]
    recording.instructions, recording.once = recorder.instructions, recorder.once
    recording.excuse = recorder.excuse or recorder.shared()
    recording.cells = [
        cell
        for cell in cells
        if cell.holds and (id(cell.container), cell.key) not in fetched and _can_change(cell)
    ]
    recording.outside = {id(b.owner) for b in recorder.memories if b.kind == OUTSIDE}


def _hand_back(recording: Recording, leaves: list[Any]) -> None:
    """Write what the call has written to its arguments, which were copies, to the caller's."""
    for i, buffer in recording.arguments.items():
        if buffer.writes and type(leaves[i]) is ndarray:
            np.copyto(leaves[i], buffer.owner)


def _say_what_changed(error: BaseException, recorder: Recorder) -> None:
    """Say in an error which memory outside the call has written to before it failed."""
    outs = [out for instruction in recorder.instructions for out in instruction.outs]
    changed = {out.buffer.name or "memory outside" for out in outs if out.buffer.kind == OUTSIDE}
    if changed:
        note(
            recorder.refused or error,
            f"(changed before the error, and not put back: {', '.join(sorted(changed))})",
        )


_ARRAYS = (Tensor, ndarray, np.generic)
_CONSTANTS = (
    *_ARRAYS,
    *PLAIN,
    Traced,
    type,
    np.dtype,
    np.ufunc,
    Enum,
    range,
    types.EllipsisType,
    types.BuiltinFunctionType,
)


def _can_change(cell: Cell) -> bool:
    if cell.kind == "fixed":
        return any(x is not None for x in (cell.size, cell.keys, cell.copy))
    return not isinstance(cell.container, tuple | types.MethodType)


def _changes(
    cells: Sequence[Cell], recorder: TensorRecorder, given: list[Any], found: list[Any]
) -> tuple[list[tuple[Cell, Leaf]], list[Cell]]:
    """Return the places outside that the call gave computed values, and those that it changed otherwise."""
    assigned, changed = [], []
    for cell in cells:
        now = cell.read()
        shown = isinstance(now, Traced) and now.array is cell.value
        if cell.holds or shown or (id(cell), id(now)) in recorder.stand_ins:
            continue
        position = next((i for i, x in enumerate(given) if x is now), None)
        if cell.kind == "absent":
            recorder.once = f"it made one of the globals {cell.path}"
        elif cell.kind == "names":
            recorder.once = f"it gave {cell.path} a new attribute"
        elif (
            cell.kind == "fixed"
            or is_plain(now)
            or (
                isinstance(now, Number) and cell.value is not None
            )  # a number that was there may have been read
            or not (position is not None or isinstance(now, Tensor | Traced))
        ):
            changed.append(cell)
        elif not isinstance(cell.value, Tensor) and not is_followed(cell.value):
            recorder.once = f"it gave {cell.path} its first array"
        elif _was_read(cell.value, recorder, found) or (position is None and _is_old(now, recorder)):
            changed.append(cell)
        else:
            assigned.append((cell, _leaf(now, recorder) if position is None else Leaf("argument", position)))
    return assigned, changed


def _was_read(old: Any, recorder: TensorRecorder, found: list[Any]) -> bool:
    """Say whether the call read an array that it then replaced: a later call would read the one in its place."""
    buffer = recorder.buffers.get(id(owner_of(array_of(old))))
    if buffer is None:
        return False
    results = [recorder.value(x.array) for x in found if isinstance(x, Traced)]
    results += [recorder.value(x.array) for x in map(array_of, found) if isinstance(x, Traced)]
    return any(value.buffer is buffer for value in results) or any(
        value.buffer is buffer for instruction in recorder.instructions for value in instruction.reads
    )


def _is_old(now: Any, recorder: TensorRecorder) -> bool:
    """Say whether what stands at a place now had been outside before."""
    if isinstance(now, Tensor) and not recorder.has_made(now):
        return True
    real = array_of(now)
    return recorder.value(real.array if isinstance(real, Traced) else real).buffer.kind == OUTSIDE


def _all_given(leaves: list[Any], recorder: Recorder, recording: Recording) -> list[Any]:
    """Return what the function is given for the leaves of its arguments; an array that is there twice is one."""
    known: dict[int, Any] = {}
    given = []
    for i, leaf in enumerate(leaves):
        shown = known.get(id(leaf))
        if shown is None:
            shown = _given(leaf, i, recorder, recording)
        else:
            recording.twins[i] = next(j for j, other in enumerate(leaves) if other is leaf)
        if isinstance(leaf, Tensor | ndarray):
            known[id(leaf)] = shown
        given.append(shown)
    return given


def _given(leaf: Any, i: int, recorder: Recorder, recording: Recording) -> Any:
    """Return what the function is given for a leaf of its arguments."""
    if isinstance(leaf, Tensor | ndarray) and id(owner_of(array_of(leaf))) in recorder.outside:
        recording.same.append((i, leaf))  # the function knows it by another name, too
        return leaf if isinstance(leaf, Tensor) else recorder.show(leaf)
    if isinstance(leaf, Tensor):
        array = ARRAY.__get__(leaf)
        recording.tensors[id(leaf)] = i
        recording.arguments[i] = recorder.buffer(array, ARGUMENT)
        recorder.outside.add(id(owner_of(array)))
        return leaf
    if type(leaf) is ndarray and leaf.dtype.kind in "biufc":
        own = _memory_like(leaf)  # of its own, so that nothing else can be meant by it
        np.copyto(own, leaf)
        own.flags.writeable = leaf.flags.writeable
        recording.arguments[i] = recorder.buffer(own, ARGUMENT)
        return recorder.show(own)
    if isinstance(leaf, np.generic) and leaf.dtype.kind in "biufc":
        own = np.array(leaf)
        recording.arguments[i] = recorder.buffer(own, ARGUMENT)
        return recorder.number(own)
    if isinstance(leaf, GENERATORS):
        return Generator(leaf, recorder)
    return noticed(Cell("fixed", {}, i, leaf, f"argument {i}"), recorder)


def _memory_like(array: ndarray) -> ndarray:
    """Return an array that lies as another does: with its axes in that order, turned and with gaps where those are.

    So NumPy gives a view of one where it gives a view of the other, and a copy where it gives a copy.
    """
    # In the order of what NumPy computes from the array.
    packed = np.empty_like(np.equal(array, array), array.dtype)
    axes = [k for k in range(array.ndim) if array.shape[k] > 1]
    strides, reach, reached = list(packed.strides), array.itemsize, array.itemsize
    for k in sorted(axes, key=lambda k: abs(array.strides[k])):
        stride = abs(array.strides[k])
        step = reach if stride == reached else reach + array.itemsize  # a wide gap may be a narrow one
        strides[k] = step if array.strides[k] > 0 else -step
        reach, reached = step * array.shape[k], stride * array.shape[k]
    if tuple(strides) == packed.strides or not array.size or any(not array.strides[k] for k in axes):
        return packed
    start = sum((n - 1) * -stride for n, stride in zip(array.shape, strides, strict=True) if stride < 0)
    return ndarray(array.shape, array.dtype, bytearray(reach + array.itemsize), start, tuple(strides))


def overlap(leaves: Sequence[Any]) -> bool:
    """Say whether two arrays among the leaves share memory, and are not one."""
    found = [array_of(x) for x in {id(x): x for x in leaves if isinstance(x, Tensor | ndarray)}.values()]
    return any(np.may_share_memory(a, b) for i, a in enumerate(found) for b in found[:i])


def _leaf(x: Any, recorder: Recorder) -> Leaf:
    """Return how a part of the result is made."""
    if isinstance(x, Tensor):
        return Leaf("tensor", recorder.value(arrays.settled(x._array)))
    if isinstance(x, Traced):
        kind = "plain" if type(x) is Weak else "number" if type(x) is Number else "array"
        return Leaf(kind, recorder.value(x.array))
    if type(x) is ndarray:
        return Leaf("array", recorder.value(x))
    entry = next((entry for number, entry in recorder.returned if number is x), None)
    return Leaf("constant", x) if entry is None else Leaf("plain", recorder.value(entry.array))


def _made(found: list[Any], leaves: list[Any], cells: Sequence[Cell]) -> list[Any]:
    """Return what is among the results and is neither an array, nor a constant, nor was there before the call."""
    known = {id(x) for x in leaves} | {id(cell.value) for cell in cells}
    return [x for x in found if not isinstance(x, _CONSTANTS) and id(x) not in known]


def _shown(x: Any) -> Any:
    """Return a part of the result of the recorded call itself."""
    if isinstance(x, Tensor):
        return wrap(np.array(arrays.settled(x._array)))
    if isinstance(x, Traced):
        return computed(x)
    return x.copy() if type(x) is ndarray else x


__all__ = ["Leaf", "Recording", "record"]
