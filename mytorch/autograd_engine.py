"""The tape: operations in the order in which they happened, and the one reverse pass over them.

There is no graph.  An `Operation` says that a function read some regions of memory and produced another; the
tape (`Autograd`) is a list of them; the reverse pass walks the list backwards::

    for v := f(u, w), backwards:    t = v̄;  v̄ = 0;  ū += f_uᵀ t;  w̄ += f_wᵀ t

which is the classical adjoint of an assignment (Griewank & Walther, *Evaluating Derivatives*, 2008, ch. 4;
Giering & Kaminski 1998).  Because it is stated for assignments and not for expressions, views and in-place
updates need nothing special.  By hand, on plain arrays:

>>> import numpy as np
>>> from mytorch.functional_hw1 import mul_backward
>>> autograd, x, y = Autograd(), np.array([3.0]), np.array([4.0])
>>> z = x * y
>>> autograd.add_operation(inputs=[x, y], output=z, gradients_to_update=[None, None],
...                        backward_operation=mul_backward)
>>> autograd.backward(1)
>>> autograd.gradient_buffer.get_param(x)
array([4.])
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from itertools import count
from types import CodeType, FrameType
from typing import Any, ClassVar, TypeAlias
from weakref import ref

import numpy as np

from mytorch import arrays
from mytorch.gradient_buffer import (
    GradientBuffer,
    Shadow,
    Target,
    address_of,
    gradient_dtype,
    key_of,
    memory_name,
    owner_of,
    target_of,
)
from mytorch.guard import NOTHING_HELD, Guards, fingerprint
from mytorch.rules.registry import Call, Rule, fit

next_serial = count(1).__next__
_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep


class TapeError(RuntimeError):
    """What was recorded cannot be differentiated; the message names the operation and its line."""


# The metas of an operation that holds all its inputs are read from them, when they are needed.
FROM_INPUTS = object()


def metas_of(inputs: Iterable[np.ndarray]) -> list[tuple[tuple[int, ...], np.dtype[Any]]]:
    """Return per input the shape and dtype of its gradient."""
    return [(x.shape, gradient_dtype(x.dtype)) for x in inputs]


class Record:
    """What every operation answers, however little of it is stored."""

    __slots__ = ()
    rule: Any
    output: Any
    code: CodeType | None
    lasti: int

    @property
    def outputs(self) -> Any:
        return self.output

    @property
    def backward_operation(self) -> Any:
        return self.rule

    @property
    def backward_function(self) -> Any:
        return self.rule

    @property
    def name(self) -> str:
        """The name of the function that was recorded."""
        return name_of(self.rule)

    @property
    def line(self) -> str:
        """Where the user's code recorded the operation, as 'file:line'."""
        return where(self.code, self.lasti)

    def __repr__(self) -> str:
        return f"<Operation {self.name} recorded at {self.line}>"


class Operation(Record):
    """One record of the tape: this function read these regions of memory and produced that one.

    Attributes
    ----------
    inputs : the input arrays that the rule reads (None where it does not; all of them on an explicit tape)
    output : the output array, if the rule reads it (always on an explicit tape)
    gradients_to_update : the external gradients, on an explicit tape
    backward_operation, backward_function : the rule, or the function that was given as one
    outputs : the same as `output`
    targets, target : where the gradients of the inputs go (None: not wanted), and that of the output lies
    metas : per input its shape and dtype, or None where all are as the output's
    static : the keyword arguments that the rule's formulas read
    serial : the time of the record; also the name of the memory that the operation gave birth to
    """

    __slots__ = (
        "code",
        "gradients_to_update",
        "inputs",
        "lasti",
        "metas",
        "output",
        "rule",
        "serial",
        "static",
        "target",
        "targets",
    )

    def __init__(
        self,
        inputs: Any,
        output: Any,
        gradients_to_update: Any,
        backward_operation: Any,
        targets: tuple[Target | None, ...] = (),
        target: Target | None = None,
        metas: Any = None,
        static: dict[str, Any] | None = None,
        serial: int = 0,
        code: CodeType | None = None,
        lasti: int = 0,
    ) -> None:
        self.inputs, self.output, self.rule = inputs, output, backward_operation
        self.gradients_to_update = gradients_to_update
        self.targets, self.target, self.metas, self.static = targets, target, metas, static
        self.serial, self.code, self.lasti = serial, code, lasti


class Exact(Record):
    """The least that can be stored of an operation on up to three whole memories, whose gradients need no fitting.

    The inputs `a`, `b`, `c` are held as fields, and so are the memories that their gradients go to; those that the
    function does not have stay unset.
    """

    __slots__ = (
        "a",
        "b",
        "c",
        "code",
        "lasti",
        "output",
        "rule",
        "serial",
        "target_a",
        "target_b",
        "target_c",
    )
    a: Any
    b: Any
    c: Any
    target_a: int | None
    target_b: int | None
    target_c: int | None
    serial: int
    gradients_to_update = None
    metas = None
    static: ClassVar[dict[str, Any]] = {}

    @property
    def target(self) -> int:
        return self.serial

    @property
    def inputs(self) -> tuple[Any, ...]:
        count = len(self.rule.formulas)
        if count == 1:
            return (self.a,)
        return (self.a, self.b) if count == 2 else (self.a, self.b, self.c)

    @property
    def targets(self) -> tuple[int | None, ...]:
        count = len(self.rule.formulas)
        if count == 1:
            return (self.target_a,)
        return (self.target_a, self.target_b) if count == 2 else (self.target_a, self.target_b, self.target_c)


class Write(Operation):
    """An operation whose output is memory that existed before.

    A write gives the memory a new name (its serial), so that what was read of it before keeps the old one,
    `previous`; `old` holds the values that the write destroyed, if an earlier rule reads them, and the sweep
    swaps them back in while it is at earlier times.
    """

    __slots__ = ("array", "index", "old", "previous")

    def place(self, previous: int | None, array: np.ndarray, index: Any, old: np.ndarray | None) -> Write:
        """Say what was written: ``array[index]`` of the memory that was named `previous`."""
        self.previous, self.array, self.index, self.old = previous, array, index, old
        return self

    def note(self) -> Write:
        """Return the same change of memory, through which no gradient passes."""
        twin = Write((), None, None, None, serial=self.serial, code=self.code, lasti=self.lasti)
        return twin.place(None, self.array, self.index, self.old)

    def swap(self) -> None:
        """Exchange the values in memory and the ones held."""
        if self.old is not None:
            held = arrays.array(self.array[self.index])
            self.array[self.index] = self.old
            self.old = held


_FLOAT64, _FLOAT32 = np.dtype(np.float64), np.dtype(np.float32)
inside_files: set[str] = set()  # files of this package, and others, as far as they were met
outside_files: set[str] = set()


# In a pass that is recorded: the user's line that asked for it, which all that it records has.
_line: ContextVar[tuple[CodeType, int] | None] = ContextVar("mytorch_line", default=None)


def caller(depth: int = 2) -> tuple[CodeType, int]:
    """Return the code and instruction of the innermost frame outside this package: the user's line."""
    known = _line.get()
    if known is not None:
        return known
    frame: FrameType | None = sys._getframe(depth)
    while frame is not None:
        code, lasti = frame.f_code, frame.f_lasti
        name = code.co_filename
        if name in outside_files:
            break
        if name not in inside_files:
            if not name.startswith(_PACKAGE):
                outside_files.add(name)
                break
            inside_files.add(name)
        frame = frame.f_back
    return code, lasti


def where(code: CodeType | None, lasti: int) -> str:
    """Return 'file:line' of an instruction."""
    if code is None:
        return "an unknown line"
    line = next((line for start, end, line in code.co_lines() if start <= lasti < end), None)
    return f"{code.co_filename}:{line or code.co_firstlineno}"


Lift: TypeAlias = "Callable[[Any, bool, Any], tuple[Any, Any]]"


def sweep(
    operations: Sequence[Any],
    shadow: Shadow,
    lift: Lift | None = None,
    wanted: set[int] | None = None,
    stale: dict[int, tuple[int, CodeType, int]] | None = None,
    hooks: dict[int, list[Callable[[Any], Any]]] | None = None,
) -> None:
    """Walk `operations` backwards, turning gradients of outputs into gradients of inputs, all in `shadow`.

    Parameters
    ----------
    lift : turns an operation's arrays, and the gradient of its output, into Tensors, so that the pass is itself
        recorded (higher orders); it is told whether memory is being shown at an earlier time, so that values
        have to be copied
    wanted : the memories whose gradients matter (None: all)
    stale : memories that were changed unseen by the tape (their owners' identities), with the time and the line
    hooks : per memory, functions that see, and may replace, its gradient
    """
    undone: list[Write] = []
    take, add, memory = shadow.take, shadow.add, shadow.memory
    pop = memory.pop
    plain = lift is None and wanted is None and stale is None and hooks is None
    operation = None
    token = None if lift is None else _line.set(caller())
    try:
        for operation in reversed(operations):
            if plain and type(operation) is Exact:
                g = pop(operation.serial, None)
                if g is None:
                    continue
                dtype = g.dtype
                if dtype is _FLOAT64 or dtype is _FLOAT32:
                    operation.rule.pull(g, operation, memory, add)
                    continue
                memory[operation.serial] = g
            target = operation.target
            if hooks is not None and target is not None:
                _show_hooks(hooks, key_of(target), shadow)
            g = None if target is None else take(target)
            if type(operation) is Write:
                if target is not None:
                    shadow.rename(key_of(target), operation.previous)
                operation.swap()
                undone.append(operation)
            if g is None:
                continue
            if stale is not None:
                _refuse_stale(operation, stale)
            rule = operation.rule
            if type(rule) is not Rule:
                _apply_opaque(operations, operation, g, add)
                continue
            record = operation
            if lift is not None:
                record, g = lift(operation, bool(undone), g)
            conjugate = rule.holomorphic and g.dtype.kind == "c"
            if conjugate:
                g = np.conj(g)
            metas = operation.metas
            if metas is FROM_INPUTS:
                metas = metas_of(operation.inputs)
                record = Call(record.inputs, record.output, {}, metas)
            for i, goal in enumerate(operation.targets):
                if goal is None or (wanted is not None and key_of(goal) not in wanted):
                    continue
                if rule.vjp_each is not None:
                    gradient = rule.vjp_each(g, record, i)
                else:
                    vjp = rule.vjps[i]
                    if vjp is None:
                        continue
                    gradient = vjp(g, record)
                if conjugate:
                    gradient = np.conj(gradient)
                if metas is not None:
                    gradient = fit(gradient, *metas[i])
                add(goal, gradient)
    except Exception as error:
        if isinstance(error, TapeError) or operation is None:
            raise
        raise TapeError(f"the backward pass failed in {_describe(operations, operation)}: {error}") from error
    finally:
        for write in reversed(undone):
            write.swap()
        if token is not None:
            _line.reset(token)


def run_hooks(hooks: Sequence[Callable[[Any], Any]], gradient: Any) -> Any:
    """Return `gradient` after every hook has seen, and perhaps replaced, it."""
    for hook in tuple(hooks):
        replacement = hook(gradient)
        if replacement is not None:
            gradient = replacement
    return gradient


def _show_hooks(hooks: dict[int, list[Callable[[Any], Any]]], key: int, shadow: Shadow) -> None:
    """Show the gradient of the memory `key`, all of it also where only a part was written, to its hooks."""
    gradient = shadow.take(key) if key in hooks else None
    if gradient is not None:
        shadow.add(key, run_hooks(hooks[key], gradient))


def _refuse_stale(operation: Any, stale: dict[int, tuple[int, CodeType, int]]) -> None:
    """Raise if the operation's rule reads values that were changed outside the tape."""
    for array in operation.inputs:
        if not isinstance(array, np.ndarray):
            continue
        # By its owner, since it may be read as a constant, too: detached, or before gradients were wanted.
        time, code, lasti = stale.get(memory_name(array), (0, None, 0))
        if time > operation.serial:
            raise TapeError(
                f"the backward pass of {operation.name}, recorded at {operation.line}, reads a value that was "
                f"changed in place, under no_grad, at {where(code, lasti)}; run backward before the change, or "
                "record again"
            )


def _describe(operations: Sequence[Any], operation: Any) -> str:
    """Return 'operation 3 (matmul), recorded at file:line'."""
    position = next((i for i, other in enumerate(operations) if other is operation), -1)
    return f"operation {position} ({operation.name}), recorded at {operation.line}"


def _apply_opaque(
    operations: Sequence[Any], operation: Any, g: Any, add: Callable[[Target, Any], None]
) -> None:
    """Run a backward function that is not a rule of ours, and check everything that it returns."""

    def wrong(what: str) -> TapeError:
        return TapeError(
            f"{_describe(operations, operation)}{what}"
        )  # which looks for its position: only now

    if operation.rule is None:
        raise wrong(" has no backward operation; give one to add_operation")
    metas = metas_of(operation.inputs)
    results = operation.rule(arrays.array(g), *operation.inputs)
    if not isinstance(results, tuple | list):
        results = (results,)
    if len(results) != len(operation.targets):
        raise wrong(f": expected {len(operation.targets)} gradients, one per input, got {len(results)}")
    for i, (goal, gradient) in enumerate(zip(operation.targets, results, strict=True)):
        if goal is None or gradient is None:
            continue
        shape, dtype = metas[i]
        gradient = arrays.asarray(gradient)
        if gradient.dtype.kind not in "fciub":
            raise wrong(f": the gradient of input {i} has dtype {gradient.dtype}, expected {dtype}")
        try:
            gradient = fit(gradient, shape, dtype)
        except ValueError:
            raise wrong(
                f": the gradient of input {i} has shape {gradient.shape}, expected {shape} "
                "(or a shape that broadcasting makes of it)"
            ) from None
        add(goal, gradient)


class Known:
    """The raw arrays that a hand-driven tape was given, and where their gradients go.

    Attributes
    ----------
    buffer : holds the owners of their memories, and the gradients that nobody else keeps
    keys : the memories' names on the tape, by the identity of the owner
    memories : the owners, by the names that they have had
    constants : the identities of owners whose gradient nobody wants
    spots : owners whose gradient the buffer keeps, by identity; None as soon as somebody has the buffer, which
        then has them by address
    externals : by name, regions of the memory, each with the array that its gradient is added to
    parameters : the owners that have an external gradient, by identity
    parameters_read : parameters that rules read, with their fingerprints, since they may be written again
    result : the last operation's output
    """

    __slots__ = (
        "buffer",
        "constants",
        "externals",
        "keys",
        "memories",
        "parameters",
        "parameters_read",
        "result",
        "spots",
    )

    def __init__(self, buffer: GradientBuffer, has_buffer: bool = False) -> None:
        self.buffer = buffer
        self.keys: dict[int, int] = {}
        self.memories: dict[int, np.ndarray] = {}
        self.constants: set[int] = set()
        self.spots: dict[int, np.ndarray] | None = None if has_buffer else {}
        self.externals: dict[int, list[tuple[Target, np.ndarray]]] = {}
        self.parameters: dict[int, np.ndarray] = {}
        self.parameters_read: list[tuple[np.ndarray, Any]] = []
        self.result: np.ndarray | None = None

    def filled_buffer(self) -> GradientBuffer:
        """Return the buffer, in which every spot has its address."""
        if self.spots is not None:
            for owner in self.spots.values():
                self.buffer.add_spot(owner)
            self.spots = None
        return self.buffer

    def target(self, array: np.ndarray) -> Target | None:
        """Return where on the tape the gradient of `array` lies, making its memory known."""
        owner = self.buffer.hold(array)
        return None if owner is None else target_of(array, owner, self.key(owner))

    def key(self, owner: np.ndarray) -> int:
        """Return the name of a memory, which it is given when it is met."""
        key = self.keys.get(id(owner))
        if key is None:
            key = self.keys[id(owner)] = next_serial()
            self.memories[key] = owner
        return key

    def input_target(self, array: np.ndarray, gradient: np.ndarray | None) -> Target | None:
        """Return where the gradient of an input goes; make a spot for it, or attach the external one."""
        owner = self.buffer.hold(array)
        if owner is None or id(owner) in self.constants:
            return None
        key = self.key(owner)
        target = target_of(array, owner, key)
        if gradient is None:
            if self.spots is None:
                self.buffer.add_spot(owner)
            else:
                self.spots[id(owner)] = owner
        else:
            self._attach(target, gradient)
            self.parameters[id(owner)] = owner
        return target

    def adopt(self, array: np.ndarray, key: int | None) -> None:
        """Know `array`, which an operation gave the name `key`, as the last result."""
        self.result = array
        owner = self.buffer.hold(array)
        if owner is not None and key is not None:
            self.keys[id(owner)], self.memories[key] = key, owner

    def _attach(self, target: Target, gradient: np.ndarray) -> None:
        """Make `gradient` the external gradient of the region `target`."""
        attached = self.externals.setdefault(key_of(target), [])
        if not any(
            (other is gradient and t == target)
            or (_same_memory(gradient, other) and _same_memory_map(target, gradient, t, other))
            for t, other in attached
        ):
            attached.append((target, gradient))

    def externals_of(self, array: np.ndarray) -> Sequence[tuple[Target, np.ndarray]]:
        """Return the external gradients of the memory of `array`, with their regions."""
        owner = self.buffer.hold(array)
        return () if owner is None else self.externals.get(self.keys.get(id(owner), 0), ())

    def deliver(self, shadow: Shadow) -> None:
        """Add what the pass left over, the gradients of leaves, to external gradients and the buffer."""
        for key, block in shadow.memory.items():
            for target, external in self.externals.get(key, ()):
                gradient = block if isinstance(target, int) else target.gather(block)
                np.add(external, gradient, external, casting="same_kind")
            owner = self.memories.get(key)
            if owner is not None and self._has_spot(owner):
                self.buffer.add(address_of(owner), block)

    def _has_spot(self, owner: np.ndarray) -> bool:
        """Say whether the buffer keeps the gradient of a memory."""
        if self.spots is not None:
            return id(owner) in self.spots
        return address_of(owner) in self.buffer.memory


class Autograd:
    """A tape: records operations, and differentiates what was recorded.

    Parameters
    ----------
    guard : whether arrays that backward will read are held read-only from when they are recorded until
        `zero_grad` (parameters, those with an external gradient, only until `backward`, so that they can be
        stepped).  A write that the tape cannot see then fails at its own line.

    Attributes
    ----------
    operation_list : list of `Operation`, in the order in which they happened
    gradient_buffer : `GradientBuffer`, the gradients of inputs that were recorded with None
    """

    __slots__ = (
        "__weakref__",
        "_guard",
        "_known",
        "guards",
        "hooks",
        "leaves",
        "operation_list",
        "parents",
        "ref",
        "serial",
        "sources",
        "stale",
    )

    def __init__(self, guard: bool = True) -> None:
        self.operation_list: list[Any] = []
        self.guards = NOTHING_HELD
        self._guard = guard
        self._known: Known | None = None
        self.serial = next_serial()
        self.leaves: dict[int, Any] = {}
        self.sources: set[int] | None = None  # the memories that all on it began with, where that is known
        self.parents: list[Autograd] | None = None
        self.ref = ref(self)
        self.stale: dict[int, tuple[int, CodeType, int]] | None = None
        self.hooks: dict[int, list[Callable[[Any], Any]]] | None = None

    def __reduce__(self) -> Any:
        """Copies, and what is pickled, are empty tapes: what was recorded concerns the original's arrays."""
        return Autograd, (self._guard,)

    @property
    def known(self) -> Known:
        """The raw arrays that the tape was given."""
        if self._known is None:
            self._known = Known(GradientBuffer())
        return self._known

    @property
    def gradient_buffer(self) -> GradientBuffer:
        return self.known.filled_buffer()

    def constant(self, *arrays: np.ndarray) -> None:
        """Declare data: no gradient of these arrays' memory is wanted, so none is computed.

        >>> autograd, x = Autograd(), np.ones((2, 3))
        >>> autograd.constant(x)
        >>> autograd.add_operation([x], 2 * x, [None], lambda g, x: 2 * g)
        >>> autograd.gradient_buffer.is_in_memory(x)
        False
        """
        known = self.known
        for array in arrays:
            owner = known.buffer.hold(array)
            if owner is not None:
                known.constants.add(id(owner))

    def add_operation(
        self,
        inputs: Sequence[np.ndarray],
        output: np.ndarray,
        gradients_to_update: Sequence[np.ndarray | None],
        backward_operation: Callable[..., Any] | None,
    ) -> None:
        """Append one operation to the tape.

        Parameters
        ----------
        inputs : arrays that the operation read
        output : the array that it produced (or wrote to)
        gradients_to_update : per input, None to keep its gradient in the gradient buffer, or an array of the
            input's shape that `backward` adds the gradient to, in place (views such as ``dW.T`` write through)
        backward_operation : ``backward(grad_output, *inputs)``, which returns a gradient (or None) per input;
            of the rules in `mytorch.functional_hw1` only the wanted gradients are computed

        Raises
        ------
        ValueError
            If the lists have different lengths, or an external gradient has another shape than its input.
        TypeError
            If something is not an array, or has a dtype without gradients.  Nothing is recorded then.
        """
        inputs, gradients = tuple(inputs), tuple(gradients_to_update)
        self._check(inputs, output, gradients, backward_operation)
        known = self.known
        targets = tuple([known.input_target(x, g) for x, g in zip(inputs, gradients, strict=True)])
        target = known.target(output)
        code, lasti = caller()
        # Tuples of arrays and numbers are nothing to the cyclic garbage collector: a million operations stay cheap.
        operation = Operation(
            inputs,
            output,
            gradients,
            backward_operation,
            targets,
            target,
            FROM_INPUTS,
            None,
            next_serial(),
            code,
            lasti,
        )
        self.operation_list.append(operation)
        known.result = output
        if self._guard:
            self._protect(operation)

    def _check(
        self, inputs: tuple[Any, ...], output: Any, gradients: tuple[Any, ...], backward_operation: Any
    ) -> None:
        """Raise what is wrong with an operation that is to be recorded."""
        plain = _is_plain(output) and (backward_operation is None or callable(backward_operation))
        for array in inputs:
            plain = plain and _is_plain(array)
        external = any(gradient is not None for gradient in gradients)
        if plain and not external and len(inputs) == len(gradients):
            return
        name = f"operation {len(self.operation_list)} ({name_of(backward_operation)})"
        if len(inputs) != len(gradients):
            raise ValueError(
                f"{name}: {len(inputs)} inputs but {len(gradients)} gradients_to_update; give one entry per "
                "input, None where the gradient buffer shall keep the gradient"
            )
        if backward_operation is not None and not callable(backward_operation):
            raise TypeError(f"{name}: backward_operation must be callable, got {backward_operation!r}")
        for label, array in [*((f"input {i}", x) for i, x in enumerate(inputs)), ("the output", output)]:
            _check_array(name, label, array)
        for i, (array, gradient) in enumerate(zip(inputs, gradients, strict=True)):
            if gradient is not None:
                self._check_external(name, i, array, gradient)

    def _check_external(self, name: str, i: int, array: np.ndarray, gradient: np.ndarray) -> None:
        """Raise if `gradient` cannot be the external gradient of `array`."""
        _check_array(name, f"the gradient of input {i}", gradient)
        if gradient.shape != array.shape:
            raise ValueError(
                f"{name}: input {i} has shape {array.shape} but its gradient_to_update has {gradient.shape}"
            )
        if not gradient.flags.writeable:
            raise ValueError(f"{name}: the gradient_to_update of input {i} is read-only")
        for _, other in self.known.externals_of(array):
            if other.shape == array.shape and not np.shares_memory(other, gradient):
                raise ValueError(
                    f"{name}: the memory of input {i} has another external gradient already; one memory has "
                    "one gradient, so give the same array (or a view of it) each time"
                )

    def _protect(self, operation: Operation) -> None:
        """Hold what the rule will read read-only: what its wanted formulas read, or everything."""
        rule, inputs = operation.rule, operation.inputs
        if type(rule) is not Rule or rule.vjp_each is not None:
            for array in inputs:
                self.protect(array)
            return
        mask = sum([1 << i for i, target in enumerate(operation.targets) if target is not None])
        reads, reads_output = rule.needs[mask & (len(rule.needs) - 1)]
        for i in reads:
            if i < len(inputs):
                self.protect(inputs[i])
        if reads_output:
            self.protect(operation.output)

    def protect(self, array: np.ndarray) -> None:
        """Hold the memory of `array` read-only until the tape is cleared or dies."""
        if self._guard and id(array) not in self.guards.seen:
            if self.guards is NOTHING_HELD:
                self.guards = Guards()
            self.guards.protect(array)

    def backward(self, divergence: Any) -> None:
        """Differentiate the last operation's output, weighted with `divergence`, back to all inputs.

        Parameters
        ----------
        divergence : the gradient of the last operation's output: an array that broadcasts to its shape, or a
            number.  It is copied.

        Raises
        ------
        TapeError
            If nothing is recorded, a backward operation fails or returns something of a wrong shape, or an
            array that it reads was changed since an earlier backward.  No gradient is changed then.
        ValueError
            If `divergence` does not broadcast to the output's shape.
        """
        known = self.known
        if not self.operation_list or known.result is None:
            raise TapeError("nothing is recorded: call add_operation, or a module, before backward")
        last = self.operation_list[-1]
        self._refuse_changed(known.parameters_read)
        seed = _seed(divergence, known.result, lambda: _describe(self.operation_list, last))
        shadow = Shadow()
        if last.target is not None:
            shadow.add(last.target, seed)
        sweep(self.operation_list, shadow)
        known.deliver(shadow)
        self._release_parameters()

    def _refuse_changed(self, parameters: Sequence[tuple[np.ndarray, Any]]) -> None:
        """Raise if one of `parameters` is no longer what it was when its fingerprint was taken."""
        for array, seen in parameters:
            if fingerprint(array) != seen:
                reader = next(
                    (op for op in self.operation_list if any(x is array for x in (*op.inputs, op.output))),
                    None,
                )
                line = "an unknown line" if reader is None else reader.line
                raise TapeError(
                    f"an array of shape {array.shape} that the operation recorded at {line} reads "
                    "was changed after the last backward; call zero_grad() and record again"
                )

    def _release_parameters(self) -> None:
        """Let parameters be written again, remembering what they were in case of another backward."""
        known = self.known
        if known.parameters:
            for array in self.guards.release_some(known.parameters):
                known.parameters_read.append((array, fingerprint(array)))

    def zero_grad(self) -> None:
        """Forget operations and gradients; external gradients, which are the user's, stay as they are."""
        self.operation_list = []
        self.guards = NOTHING_HELD
        if self._known is not None:
            buffer, has_buffer = self._known.buffer, self._known.spots is None
            buffer.clear()
            self._known = Known(buffer, has_buffer)
        self.leaves = {}
        self.parents = None
        self.stale = None

    def family(self) -> list[Autograd]:
        """Return this tape and all whose values joined it."""
        seen, waiting = {id(self): self}, [self]
        while waiting:
            for parent in waiting.pop().parents or ():
                if id(parent) not in seen:
                    seen[id(parent)] = parent
                    waiting.append(parent)
        return list(seen.values())

    def history(self) -> list[Operation]:
        """Return the operations of this tape and of those whose values joined it, in order of time."""
        return self.operation_list if self.parents is None else all_operations(self.family())


def all_operations(tapes: Iterable[Autograd]) -> list[Operation]:
    """Return the operations of several tapes in order of time."""
    merged = [operation for tape in tapes for operation in tape.operation_list]
    merged.sort(key=_serial)
    return merged


def _serial(operation: Operation) -> int:
    return operation.serial


def name_of(rule: Any) -> str:
    """Return the name of a rule's function, or of a function that is used as a rule."""
    if isinstance(rule, Rule):
        return rule.name
    return str(getattr(rule, "__name__", "no backward operation" if rule is None else repr(rule)))


def _is_plain(array: Any) -> bool:
    """Say whether `array` is an array of doubles or singles, as nearly all are."""
    return type(array) is np.ndarray and (array.dtype is _FLOAT64 or array.dtype is _FLOAT32)


def _check_array(name: str, label: str, array: Any) -> None:
    """Raise TypeError unless `array` is an array that can have a gradient."""
    if not isinstance(array, np.ndarray):
        raise TypeError(
            f"{name}: {label} must be a NumPy array, got {type(array).__name__}; "
            "an operation's values need memory of their own, so wrap scalars with np.asarray(...)"
        )
    try:
        gradient_dtype(array.dtype)
    except TypeError as error:
        raise TypeError(f"{name}: {label}: {error}") from None


def _seed(divergence: Any, output: np.ndarray, name: Callable[[], str]) -> np.ndarray:
    """Return a fresh array of the output's shape and gradient dtype that holds `divergence`."""
    if type(divergence) is float:
        seed = np.empty(output.shape, gradient_dtype(output.dtype))
        seed.fill(divergence)
        return seed
    seed = arrays.asarray(divergence)
    if seed.dtype.kind not in "biufc":
        raise TypeError(
            f"the divergence of {name()} must be a number or an array of numbers, got {divergence!r}"
        )
    try:
        wide = np.broadcast_to(seed, output.shape)
    except ValueError:
        raise ValueError(
            f"the divergence has shape {seed.shape}, which does not broadcast to the output of {name()}, "
            f"of shape {output.shape}"
        ) from None
    return arrays.array(wide, np.result_type(gradient_dtype(output.dtype)))


def _same_memory(a: np.ndarray, b: np.ndarray) -> bool:
    """Say whether two arrays have one owner."""
    return owner_of(a) is owner_of(b)


def _same_memory_map(target: Target, gradient: np.ndarray, other: Target, known: np.ndarray) -> bool:
    """Say whether two external gradients shadow the same region with the same memory."""
    return _bounds(target, gradient) == _bounds(other, known) and sorted(
        zip(gradient.shape, gradient.strides, strict=True)
    ) == sorted(zip(known.shape, known.strides, strict=True))


def _bounds(target: Target, gradient: np.ndarray) -> tuple[Any, ...]:
    offset = 0 if isinstance(target, int) else target.offset
    return offset, address_of(gradient)
