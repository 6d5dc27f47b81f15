"""The tape: operations in the order in which they happened, differentiated from the last to the first.

There is no graph.  An `Operation` says that a function read some regions of memory and produced another; the
tape (`Autograd`) is a list of them; the reverse pass (`mytorch.sweep`) walks the list backwards::

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

from collections.abc import Callable, Iterable, Sequence
from types import CodeType
from typing import Any
from weakref import ref

import numpy as np

from mytorch import arrays
from mytorch.gradient_buffer import GradientBuffer, Shadow
from mytorch.guard import NOTHING_HELD, Guards, fingerprint
from mytorch.known import Known
from mytorch.lines import caller
from mytorch.records import FROM_INPUTS, Operation, TapeError, name_of, next_serial
from mytorch.regions import gradient_dtype
from mytorch.rules.registry import Rule
from mytorch.sweep import describe, sweep

_FLOAT64, _FLOAT32 = np.dtype(np.float64), np.dtype(np.float32)


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
        recorder = arrays.recording()
        if recorder is not None:
            recorder.refuse(
                "an Autograd that is driven by hand, whose tape no replay would write",
                "the function with Tensors (modules without an engine, loss.backward())",
            )
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
        wanted = gradient_dtype(array.dtype)
        if not np.can_cast(wanted, gradient.dtype, "same_kind"):
            raise TypeError(
                f"{name}: the gradient_to_update of input {i} is of dtype {gradient.dtype}, to which no gradient of "
                f"dtype {wanted} can be added; make it with np.zeros(shape, {wanted.name!r})"
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
        """Differentiate the last operation's (or module's) output, weighted with `divergence`, back to all inputs.

        Parameters
        ----------
        divergence : the gradient of the output: an array that broadcasts to its shape, or a number.  It is copied.

        Raises
        ------
        TapeError
            If nothing is recorded, the last module's output is a constant, a backward operation fails or returns
            something of a wrong shape, or an array that it reads was changed since an earlier backward.  No gradient
            is changed then.
        ValueError
            If `divergence` does not broadcast to the output's shape.
        """
        result = self.known.result
        if not self.operation_list or result is None:
            raise TapeError("nothing is recorded: call add_operation, or a module, before backward")
        self.backward_from(result, divergence)

    def backward_from(self, output: np.ndarray, divergence: Any) -> None:
        """Differentiate `output`, an array that was recorded, as `backward` does the last one."""
        known = self.known
        place = known.place(output)
        if place is None and output.size:
            raise TapeError(
                f"the array of shape {output.shape} that backward starts from depends on nothing that is on this tape: "
                "it is a constant, or was recorded before zero_grad()"
            )
        self._refuse_changed(known.parameters_read)
        seed = _seed(divergence, output, lambda: describe(self.operation_list, self.operation_list[-1]))
        shadow = Shadow()
        if place is not None:
            shadow.add(place, seed.reshape(known.memories[place].shape) if isinstance(place, int) else seed)
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
        if self._known is not None:
            buffer, has_buffer = self.known.buffer, self.known.spots is None
            buffer.clear()
            self._known = Known(buffer, has_buffer)
        self.operation_list = []
        self.guards = NOTHING_HELD
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


__all__ = ["Autograd", "Operation", "TapeError"]
