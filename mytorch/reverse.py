"""The reverse pass of Tensors: over arrays for numbers, over Tensors for gradients that can be differentiated.

A rule is an array expression.  Given arrays it gives numbers; given Tensors over *the same memory* it appends
to the same tape, and the next reverse pass walks on from there: that is all there is to higher derivatives.
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import partial
from operator import attrgetter
from threading import RLock
from typing import Any

import numpy as np
from numpy import ndarray

from mytorch import arrays
from mytorch.autograd_engine import Autograd
from mytorch.gradient_buffer import Shadow
from mytorch.inplace import Retained
from mytorch.recording import link, record
from mytorch.records import Operation, TapeError, Write
from mytorch.regions import Target, gradient_dtype, key_of, memory_name, owner_of
from mytorch.rules import memory
from mytorch.rules.constants import ONE
from mytorch.rules.registry import RULES, Call
from mytorch.sweep import run_hooks, sweep
from mytorch.tensor import Tensor, new_tensor, new_view, refuse_kind, target, wrap

_ONE = sys.getrefcount(np.empty(1)) + 1


class TensorShadow(Shadow):
    """Gradients that are Tensors: nothing is written in place, so every step of the pass is differentiable.

    What arrives for a memory waits in a list, and is summed in one operation when it is asked for: n parts of an
    array cost one array, not n.
    """

    __slots__ = ("waiting",)

    def __init__(self) -> None:
        super().__init__()
        self.waiting: dict[int, list[tuple[Target, Any]]] = {}

    def add(self, target: Target, gradient: Any) -> None:
        """Add `gradient` to the region of memory `target`."""
        key = key_of(target)
        if not isinstance(target, int) and target.form != "part":
            gradient, target = target.scatter(gradient), key
        if key in self.waiting:
            self.waiting[key].append((target, gradient))
        else:
            self.waiting[key] = [(target, gradient)]

    def take(self, target: Target) -> Any:
        """Return the gradient of `target` and set it to zero; None where nothing has arrived."""
        key = key_of(target)
        if key not in self.waiting:
            return None
        parts = self.waiting.pop(key)
        if isinstance(target, int):
            return _assembled(parts)
        if target.form != "part":
            return target.gather(_assembled(parts))
        elsewhere = [part for part in parts if not isinstance(part[0], int) and target.is_apart_from(part[0])]
        here = [part for part in parts if isinstance(part[0], int) or not target.is_apart_from(part[0])]
        if not all(not isinstance(place, int) and target.is_same_as(place) for place, _ in here):
            block = _assembled(here)
            elsewhere.append((key, _apply(memory.without, (block,), region=target)))
            here = [(key, _apply(memory.gather, (block,), region=target))]
        if elsewhere:
            self.waiting[key] = elsewhere
        return _assembled([(key, gradient) for _, gradient in here]) if here else None

    def rename(self, old: int, new: int | None) -> None:
        """Give the gradient of memory `old` to memory `new` (None: to nobody)."""
        parts = self.waiting.pop(old, None)
        if parts is not None and new is not None:
            self.waiting.setdefault(new, []).extend(
                (new if isinstance(place, int) else place.with_key(new), gradient)
                for place, gradient in parts
            )

    def settle(self) -> None:
        """Sum all that waits."""
        self.memory.update((key, _assembled(parts)) for key, parts in self.waiting.items())
        self.waiting.clear()


def _assembled(parts: list[tuple[Target, Any]]) -> Any:
    """Return the gradient of a whole memory of which parts have arrived."""
    place, gradient = parts[0]
    if len(parts) == 1:
        return gradient if isinstance(place, int) else _apply(memory.scatter, (gradient,), region=place)
    if len(parts) == 2 and isinstance(place, int) and isinstance(parts[1][0], int):
        return gradient + parts[1][1]
    places = tuple(place for place, _ in parts)
    return _apply(memory.assemble, tuple(gradient for _, gradient in parts), places=places)


def _apply(function: Any, operands: tuple[Any, ...], **static: Any) -> Tensor:
    """Compute and record one of the functions of `rules.memory`."""
    y = function.__wrapped__(*[x._array if type(x) is Tensor else x for x in operands], **static)
    return record(RULES[function], y, operands, static)


def lifter(tape: Autograd) -> Callable[[Operation, bool, Any], tuple[Any, Any]]:
    """Return the function that shows an operation's arrays, and the gradient of its output, as Tensors on `tape`.

    Where its rule reads nothing that depends on anything, numbers stay numbers, unless they are to be multiplied with
    a gradient that is recorded: the tape would take them for arrays of the user's, and hold their memory read-only.
    """
    wholes: dict[int, Tensor] = {}

    def lift(operation: Any, earlier: bool, g: Any) -> tuple[Any, Any]:
        inputs, targets, output = operation.inputs, operation.targets, operation.output
        shown, depends = [], earlier or output is not None
        for x, place in zip(inputs, targets, strict=True):
            if isinstance(x, ndarray):
                depends = depends or place is not None
                if type(place) is int and not earlier:
                    x = new_tensor(x, place, tape)
                else:
                    x = _lifted(x, place, tape, earlier, wholes)
            shown.append(x)
        if not depends and not (isinstance(g, Tensor) and g.requires_grad):
            return operation, g
        if output is not None:
            output = _lifted(output, operation.target, tape, earlier, wholes)
        if isinstance(g, ndarray):
            g = wrap(g)
        return Call(tuple(shown), output, operation.static or {}, operation.metas), g

    return lift


def _lifted(
    array: Any, place: Target | None, tape: Autograd, earlier: bool, wholes: dict[int, Tensor]
) -> Tensor:
    """Return the Tensor that shows `array` as the memory `place`; a copy where memory will change again.

    `wholes` are the memories of which parts were shown before.
    """
    owner = array
    if earlier:
        array = array.copy()
    if place is None:
        return wrap(array)
    if isinstance(place, int):
        return new_tensor(array, place, tape)
    whole = wholes.get(place.key)
    if not earlier and (whole is None or whole._layout is not place.layout):
        owner = owner_of(array)
        whole = None
        if place.layout.is_of(owner):
            whole = wholes[place.key] = new_tensor(owner, place.key, tape)
            whole._layout = place.layout
    alone = earlier or whole is None
    part = new_view(new_tensor(array, place.key, tape) if alone else whole, array)  # type: ignore[arg-type]
    part._region = place
    # Regions of views of the part are measured from its owner; without that, the part becomes memory of its own.
    return record(RULES[memory.copy], array, (part,)) if alone else part


def _constants(operation: Operation, earlier: bool, g: Any) -> tuple[Call, Any]:
    """Return an operation's arrays as constants, copied where memory will change again, and the gradient."""
    arrays = [
        wrap(x.copy() if earlier else x) if isinstance(x, ndarray) else x
        for x in (*operation.inputs, operation.output)
    ]
    return Call(tuple(arrays[:-1]), arrays[-1], operation.static or {}, operation.metas), g


def backward(self: Tensor, gradient: Any = None, *, create_graph: bool = False) -> None:
    """Add the gradient of this Tensor with respect to every leaf to the leaf's `grad`.

    Parameters
    ----------
    gradient : array_like of this Tensor's shape (or broadcasting to it), the weight of every entry;
        may be left out for a Tensor with one entry
    create_graph : whether the pass itself is recorded, so that the gradients can be differentiated
    """
    owner = self if self._base is None else self._base
    if owner._key is None:
        raise TapeError(
            "backward: this Tensor does not depend on any Tensor with requires_grad=True, so there is nothing "
            "to differentiate (or it was computed under no_grad, or detached)"
        )
    seed = seed_of(self, gradient)
    shadow = TensorShadow() if create_graph else Shadow()
    place = target(self)
    if place is not None:
        shadow.add(place, wrap(seed) if create_graph and not isinstance(seed, Tensor) else seed)
    tape = owner._tape
    leaves = {owner._key: owner}
    if tape is not None:
        leaves, stale, hooks = belongings(families([tape]))
        sweep(tape.history(), shadow, lifter(tape) if create_graph else None, None, stale, hooks)
    shadow.settle()
    _deliver(leaves, shadow, memories_of([seed]))


def families(tapes: Sequence[Autograd]) -> list[Autograd]:
    """Return the tapes, and all whose values joined them, each once."""
    if len(tapes) == 1 and tapes[0].parents is None:
        return list(tapes)
    return list({id(member): member for tape in tapes for member in tape.family()}.values())


def belongings(tapes: Sequence[Autograd]) -> tuple[dict[int, Tensor], Any, Any]:
    """Return the leaves, the stale memories and the hooks of all the tapes."""
    if len(tapes) == 1:
        return tapes[0].leaves, tapes[0].stale, tapes[0].hooks
    leaves = {key: leaf for tape in tapes for key, leaf in tape.leaves.items()}
    stale: dict[int, Any] = {}
    hooks: dict[int, list[Callable[[Any], Any]]] = {}
    for tape in tapes:
        stale.update(tape.stale or {})
        hooks.update(tape.hooks or {})
    return leaves, stale or None, hooks or None


def seed_of(tensor: Tensor, gradient: Any) -> Any:
    """Return the cotangent of `tensor` that a backward pass starts from, in memory that nobody writes to."""
    dtype = gradient_dtype(tensor._array.dtype)
    if gradient is None:
        if tensor._array.size != 1:
            raise ValueError(
                f"backward of a Tensor of shape {tensor.shape} needs a gradient of that shape; only a Tensor "
                "with one entry has an obvious one. Sum it first, or pass gradient="
            )
        return ONE[dtype] if tensor._array.ndim == 0 and dtype in ONE else np.ones(tensor.shape, dtype)
    if type(gradient) is ndarray and gradient.dtype is dtype and gradient.shape == tensor._array.shape:
        return gradient.copy()
    if isinstance(gradient, Tensor) and gradient.requires_grad:
        if gradient.shape != tensor.shape:
            raise ValueError(f"the gradient has shape {gradient.shape}, the Tensor {tensor.shape}")
        return gradient.copy()  # the pass may show its memory as it was earlier
    refuse_kind(type(gradient))
    array = arrays.asarray(gradient)
    try:
        wide = np.broadcast_to(array, tensor.shape)
    except ValueError:
        raise ValueError(
            f"the gradient has shape {array.shape}, which does not broadcast to the Tensor's {tensor.shape}"
        ) from None
    if array.dtype.kind == "c" and dtype.kind != "c":
        raise TypeError(f"the gradient is complex ({array.dtype}) but the Tensor is real ({dtype})")
    return arrays.array(wide, dtype)


def _deliver(leaves: dict[int, Tensor], shadow: Shadow, taken: set[int]) -> None:
    """Add what the pass left over to the leaves, of which none gets a Tensor whose memory is `taken`."""
    memory = shadow.memory
    for key in list(memory):
        leaf = leaves.get(key)
        if leaf is None:
            continue
        gradient = memory.pop(key)
        if leaf._hooks:
            gradient = run_hooks(leaf._hooks, gradient)
        kind, dtype = type(gradient), leaf._array.dtype
        if kind is Tensor:
            gradient = _apart(gradient, taken)
        elif not _is_private(gradient):
            gradient = arrays.array(gradient)
        if gradient.dtype is not dtype and gradient.dtype != dtype and dtype.kind in "fc":
            gradient = gradient.astype(dtype)
        old = leaf._grad
        if old is None:
            leaf._grad = gradient
        elif type(old) is np.ndarray and type(gradient) is np.ndarray and old.flags.writeable:
            old += gradient  # nobody has seen it: it becomes a Tensor when it is asked for
        else:
            leaf._grad = (old if isinstance(old, Tensor) else wrap(old)) + gradient


def memories_of(values: Sequence[Any]) -> set[int]:
    """Return the names of the memories of the Tensors among `values`."""
    return {memory_name(x._array) for x in values if isinstance(x, Tensor)}


def _apart(gradient: Tensor, taken: set[int]) -> Tensor:
    """Return `gradient`, or a copy where its memory is `taken`: a user may write to one gradient, and not to others."""
    name = memory_name(gradient._array)
    if name in taken or not gradient._array.flags.writeable:
        return gradient.copy()
    taken.add(name)
    return gradient


def _is_private(gradient: np.ndarray) -> bool:
    """Say whether nobody but the caller's one name holds this array or the memory that it shows."""
    if type(gradient) is not np.ndarray or not gradient.flags.writeable:
        return False
    base = gradient.base
    if sys.getrefcount(gradient) > _ONE + 1:
        return False
    return base is None or (
        type(base) is np.ndarray and base.base is None and sys.getrefcount(base) <= _ONE + 1
    )


def gradients(
    outputs: Sequence[Tensor], inputs: Sequence[Tensor], cotangents: Sequence[Any], create_graph: bool = False
) -> list[Any]:
    """Return the gradients of `outputs`, weighted with `cotangents`, with respect to `inputs` alone.

    Only what lies between inputs and outputs is computed, and no Tensor's `grad` changes.  An input that the
    outputs do not depend on has a gradient of zeros.

    Returns
    -------
    list of arrays, or of Tensors if `create_graph`
    """
    return Pullback(outputs, inputs)(cotangents, create_graph)


class Pullback:
    """The linear map from cotangents of `outputs` to those of `inputs`: prepared once, for any number of uses.

    Threads may share it, and wait for each other then: a pass shows memory that was written as it was before.
    """

    def __init__(self, outputs: Sequence[Tensor], inputs: Sequence[Tensor]) -> None:
        self.outputs, self.inputs = outputs, inputs
        self.keys = {_memory_key(x) for x in inputs}
        self.sources, self.goals = [target(y) for y in outputs], [target(x) for x in inputs]
        self.tapes: list[Autograd] = []
        for y, place in zip(outputs, self.sources, strict=True):
            tape = None if place is None else y.tape
            if tape is not None and tape not in self.tapes:
                self.tapes.append(tape)
        self._hooks: dict[int, list[Callable[[Any], Any]]] | None = None
        self._time = -1  # of the youngest operation that was looked at
        self._lock = RLock()

    def __call__(
        self, cotangents: Sequence[Any], create_graph: bool = False, linear: bool = False
    ) -> list[Any]:
        """Return the cotangents of the inputs.

        Parameters
        ----------
        cotangents : one per output, of its shape or broadcasting to it
        create_graph : whether the pass is recorded as a function of everything, so that it can be differentiated
        linear : whether it is recorded as a function of the cotangents alone
        """
        with self._lock:
            return self._pulled(cotangents, create_graph, linear)

    def _pulled(self, cotangents: Sequence[Any], create_graph: bool, linear: bool) -> list[Any]:
        """Return the cotangents of the inputs."""
        on_tensors = create_graph or linear
        shadow = TensorShadow() if on_tensors else Shadow()
        if self.tapes:
            self._prepare()
        for y, place, cotangent in zip(self.outputs, self.sources, cotangents, strict=True):
            if place is not None:
                seed = seed_of(y, cotangent)
                hooked = on_tensors and self._hooks is not None  # hooks see Tensors
                shadow.add(place, wrap(seed) if hooked and not isinstance(seed, Tensor) else seed)
        if self.tapes:
            lift = lifter(_joined(self.tapes)) if create_graph else _constants if linear else None
            sweep(self._operations, shadow, lift, self._wanted, self._stale, self._hooks)
        shadow.settle()
        if self._hooks is not None:
            for key in self.keys.intersection(self._hooks, shadow.memory):
                shadow.memory[key] = run_hooks(self._hooks[key], shadow.memory[key])
        found = [_read(shadow, x, goal, on_tensors) for x, goal in zip(self.inputs, self.goals, strict=True)]
        taken = memories_of(cotangents)
        return [_apart(gradient, taken) for gradient in found] if create_graph else found

    def _prepare(self) -> None:
        """Find what lies between inputs and outputs, and later what was written to memory since."""
        tape = self.tapes[0]
        alone = len(self.tapes) == 1 and tape.parents is None and not tape.leaves
        # All of it depends on the inputs.
        if alone and tape.sources is not None and tape.sources <= self.keys:
            self._stale, self._hooks, self._wanted = tape.stale, tape.hooks, None
            if self._time != len(tape.operation_list):
                self._operations, self._time = tape.operation_list[:], len(tape.operation_list)
            return
        tapes = families(self.tapes)
        _, self._stale, self._hooks = belongings(tapes)
        now = max([tape.operation_list[-1].serial for tape in tapes if tape.operation_list], default=0)
        if now == self._time:
            return
        if self._time < 0:
            operations = history_since(tapes, min(self.keys))
            newest = max([key_of(place) for place in self.sources if place is not None])
            end = bisect_right(operations, newest, key=_serial)
            self._operations, self._wanted = between(operations[:end], self.keys)
            later = operations[end:]
        else:
            later = history_since(tapes, self._time)
        self._operations += [op for op in later if type(op) is Write]  # they restore what memory held
        self._time = now


_serial = attrgetter("serial")


def history_since(tapes: Sequence[Autograd], serial: int) -> list[Any]:
    """Return the operations of all the tapes that are younger than `serial`, in order of time."""
    tails = [tape.operation_list[bisect_right(tape.operation_list, serial, key=_serial) :] for tape in tapes]
    if len(tails) == 1:
        return tails[0]
    return sorted([operation for tail in tails for operation in tail], key=_serial)


def between(operations: Sequence[Any], keys: set[int]) -> tuple[list[Any], set[int] | None]:
    """Return the operations that a pass down to the memories `keys` has to walk, and whose gradients it wants.

    These are the ones whose output depends on `keys`, without those that gave birth to them, so that their
    gradients stay.  Writes are always among them, as they restore what memory held.  The gradients wanted are
    those of memory that depends on `keys`; None where that is all that there is.
    """
    reached = set(keys)
    walked: list[Any] = []
    everything = True
    for operation in operations:
        hits = [key_of(place) in reached for place in operation.targets if place is not None]
        is_write = type(operation) is Write
        if operation.serial in keys:
            if is_write:
                walked.append(operation.note())
        elif True in hits or (is_write and operation.previous in reached):
            reached.add(key_of(operation.target))
            walked.append(operation)
            if False in hits:
                everything = False
        elif is_write:
            walked.append(operation)
    return walked, None if everything else reached


def _joined(tapes: Sequence[Autograd]) -> Autograd:
    """Return the youngest of the tapes, of which the others are parents now: it can refer to all their memories."""
    tape = tapes[0]
    for other in tapes[1:]:
        tape = tape if other is tape else link(tape, other)
    return tape


def _memory_key(tensor: Tensor) -> int:
    key = (tensor if tensor._base is None else tensor._base)._key
    if key is None:
        raise TapeError("gradients with respect to a Tensor that does not require gradients were asked for")
    return key


def _read(shadow: Shadow, tensor: Tensor, place: Target | None, on_tensors: bool) -> Any:
    """Return what the pass left as the gradient of `tensor`, whose memory is `place`."""
    block = None if place is None else shadow.memory.get(key_of(place))
    if block is None or place is None:
        if on_tensors:
            return wrap(np.zeros(tensor.shape, tensor.dtype))
        return np.zeros(tensor.shape, tensor.dtype)
    gradient = memory.part_of(block, place)
    if on_tensors:
        gradient = gradient if isinstance(gradient, Tensor) else wrap(arrays.array(gradient))
        return gradient if gradient.dtype == tensor.dtype else gradient.astype(tensor.dtype)
    return arrays.array(gradient, tensor.dtype)


def retain_grad(self: Tensor) -> None:
    """Ask that `backward` also fills the `grad` of this Tensor, which is not a leaf.

    If it is written in place, the gradient is that of its last values, as in PyTorch.
    """
    if not self.is_leaf:
        self.register_hook(Retained(self))


def _call_hook(hook: Callable[[Tensor], Any], gradient: Any) -> Any:
    """Show a copy of `gradient` to a user's hook as a Tensor; return what it is then, in the form that it came in."""
    shown = gradient.copy() if isinstance(gradient, Tensor) else wrap(arrays.array(gradient))
    given = hook(shown)
    if given is None:
        given = shown
    replacement = given if isinstance(given, Tensor) else wrap(arrays.array(given))
    if replacement.shape != shown.shape or not np.can_cast(replacement.dtype, shown.dtype, "same_kind"):
        raise TapeError(
            f"a hook must return None or a gradient of shape {shown.shape} and dtype {shown.dtype}, got {given!r}"
        )
    if isinstance(gradient, Tensor):
        return replacement if replacement.dtype == shown.dtype else replacement.astype(shown.dtype)
    return arrays.array(replacement._array, shown.dtype)


def register_hook(self: Tensor, hook: Callable[[Tensor], Any]) -> Callable[[], None]:
    """Call ``hook(gradient)`` whenever a backward pass has this Tensor's gradient; return the remover.

    What the hook returns, unless None, replaces the gradient.
    """
    if not callable(hook):
        raise TypeError(f"a hook is a function of the gradient, got {hook!r}")
    if not self.requires_grad:
        raise TapeError("a hook needs a Tensor that requires gradients")
    if self._base is not None:
        raise TapeError("a hook on a view would see the gradient of more than the view; hook its .copy()")
    if self._tape is None:
        self._hooks = hooks = self._hooks or []
    else:
        table = self._tape.hooks = self._tape.hooks or {}
        assert self._key is not None
        hooks = table.setdefault(self._key, [])
    entry: Callable[[Any], Any] = hook if type(hook) is Retained else partial(_call_hook, hook)
    hooks.append(entry)

    def remove() -> None:
        if entry in hooks:
            hooks.remove(entry)

    return remove


Tensor.backward = backward  # type: ignore[method-assign]
Tensor.retain_grad = retain_grad  # type: ignore[method-assign]
Tensor.register_hook = register_hook  # type: ignore[method-assign]
