"""needle's operators: what each is called, which function it computes, and with which constants.

The derivative of each is the rule that `mytorch.rules` has for its function, run on needle Tensors.  Of the three
whose results are views (`Transpose`, `Reshape`, `BroadcastTo`), for which the engine needs no rule, the gradient
is the view back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from mytorch.faces import needle
from mytorch.faces.graph import NodeShadow, Step, walk
from mytorch.faces.needle.autograd import NDArray, Tensor, TensorOp
from mytorch.regions import gradient_dtype
from mytorch.rules import RULES, Rule, fit, memory, neural, rows


class RuleOp(TensorOp):
    """An operator whose derivative stands in the table of rules.

    Attributes
    ----------
    rule : the rule of its function
    constants : what the function is given after the inputs
    static : the function's keyword arguments
    """

    rule: Rule
    constants: tuple[Any, ...] = ()
    static: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls, of: Callable[..., Any] | None = None) -> None:
        if of is not None:
            cls.rule = RULES[of]

    def compute(self, *arrays: NDArray) -> NDArray:
        try:
            return self.rule.function(*arrays, *self.constants, **self.static)
        except (TypeError, ValueError) as error:
            raise self.error(error, arrays) from None

    def error(self, error: Exception, arrays: Sequence[NDArray]) -> Exception:
        """Return `error`, which NumPy raised, in terms of this operator."""
        shapes = " and ".join(f"{x.dtype} {x.shape}" for x in arrays)
        return type(error)(f"{type(self).__name__} of {shapes}: {error}")

    def step(self, node: Tensor, show: Callable[[Any], Any]) -> Step:
        """Return the record of `node`, which this operator made, for the sweep; Tensors as `show` shows them."""
        rule, inputs, goals, metas = self.rule, [], [], []
        for x in node.inputs:
            data = x.cached_data
            inputs.append(show(x))
            goals.append(id(x) if x.requires_grad else None)
            metas.append((data.shape, gradient_dtype(data.dtype)))
        inputs += self.constants
        return Step(rule, inputs, show(node), id(node), goals, metas, self.static)

    def gradient(self, out_grad: Tensor, node: Tensor) -> Any:
        node.realize_cached_data()
        step, shadow = self.step(node, needle.algebra.Lifted), NodeShadow()
        step.targets = range(len(node.inputs))  # one for each place, also where a Tensor stands in two
        shadow.add(step.target, needle.algebra.Lifted(out_grad))
        walk([step], shadow)
        gradients = tuple(shadow.take(i).node for i in step.targets)
        return gradients if len(gradients) > 1 else gradients[0]


def has_rule(op: Any) -> bool:
    """Say whether the gradient of `op` is its rule's, and not one that a user wrote for it or a subclass."""
    return getattr(type(op), "gradient", None) is RuleOp.gradient


class ScalarOp(RuleOp):
    """An operator on one Tensor and a number, which is no node."""

    def __init__(self, scalar: Any) -> None:
        self.scalar = scalar
        self.constants = (scalar if type(scalar) in _NUMBERS else number(scalar, type(self).__name__),)


class Function(RuleOp):
    """Any other function that has a rule."""

    def __init__(self, rule: Rule, static: dict[str, Any]) -> None:
        self.rule = rule
        self.static = static  # type: ignore[misc]


_ARRAYS = (np.generic, np.ndarray)
_NUMBERS = (int, float, complex)
_SEQUENCES = (np.ndarray, list, tuple)


def is_number(x: Any) -> bool:
    """Say whether `x` is a number, or an array with one entry, which the course takes for one."""
    return isinstance(x, _NUMBERS) or (isinstance(x, _ARRAYS) and x.size == 1)


def number(x: Any, name: str) -> Any:
    """Return a scalar, which may be an array with one entry, as a Python number, which leaves dtypes as they are."""
    if not is_number(x):
        raise TypeError(f"{name}: expected a number, or an array with one entry, got {type(x).__name__}")
    return x.item() if isinstance(x, _ARRAYS) else x


def constant(x: Any, other: Any) -> Tensor:
    """Return `x`, unless it is a Tensor, as a leaf without gradient, of a dtype that leaves that of `other`."""
    if isinstance(x, Tensor):
        return x
    if isinstance(x, _NUMBERS):
        x = number(x, "a constant")
        x = np.asarray(x, np.result_type(other.dtype, x))
    return Tensor.make_const(x)


def binary(wide: type[RuleOp], narrow: type[ScalarOp], a: Tensor, b: Any) -> Any:
    """Return `wide` of two Tensors, or `narrow` of a Tensor and a number; an array becomes a constant Tensor."""
    if isinstance(b, Tensor):
        return wide()(a, b)
    if is_number(b):
        return narrow(b)(a)
    if isinstance(b, _SEQUENCES):
        return wide()(a, Tensor.make_const(b))
    return NotImplemented


def subtract(a: Tensor, b: Any) -> Any:
    """Return ``a - b``, which the course computes as the sum of a and the negative of b."""
    if is_number(b):
        return a + -number(b, "subtraction")
    return a + -constant(b, a) if isinstance(b, (Tensor, *_SEQUENCES)) else NotImplemented


class EWiseAdd(RuleOp, of=np.add):
    """``a + b``, entry by entry."""


class AddScalar(ScalarOp, of=np.add):
    """``a + scalar``."""


class EWiseMul(RuleOp, of=np.multiply):
    """``a * b``, entry by entry."""


class MulScalar(ScalarOp, of=np.multiply):
    """``a * scalar``."""


class PowerScalar(ScalarOp, of=np.power):
    """``a ** scalar``."""


class EWisePow(RuleOp, of=np.power):
    """``a ** b``, entry by entry."""


class EWiseDiv(RuleOp, of=np.divide):
    """``a / b``, entry by entry."""


class DivScalar(ScalarOp, of=np.divide):
    """``a / scalar``."""


class MatMul(RuleOp, of=np.matmul):
    """``a @ b``: matrix products, with the axes before the last two broadcast."""


class Identity(RuleOp, of=memory.copy):
    """The values themselves: a gradient that is another Tensor."""


class Subtract(RuleOp, of=np.subtract):
    """``a - b`` in one node, in gradients; the operator ``-`` of Tensors makes two, as the course has it."""


class Negate(RuleOp, of=np.negative):
    """``-a``."""

    def compute(self, *arrays: NDArray) -> NDArray:
        (a,) = arrays
        if a.dtype.kind in "ub":  # NumPy's -a of unsigned integers wraps around: a - b would be wrong
            a = a.astype(np.result_type(a.dtype, np.int8))
        return np.negative(a)


class Log(RuleOp, of=np.log):
    """The natural logarithm of every entry."""


class Exp(RuleOp, of=np.exp):
    """The exponential of every entry."""


class ReLU(RuleOp, of=neural.relu):
    """``max(a, 0)``; the slope at 0 is 0."""


class LogSoftmax(RuleOp, of=rows.log_softmax):
    """``a - log(sum(exp(a)))`` over the last axis, without overflow."""


class CrossEntropy(RuleOp, of=neural.cross_entropy):
    """The mean over rows of ``-sum(b * a)`` for log-probabilities a and targets b."""


class Summation(RuleOp, of=np.sum):
    """The sum over axes.

    Parameters
    ----------
    axes : None for all, an int or a tuple of ints
    keepdims : whether the axes stay, with length one
    """

    def __init__(self, axes: Any = None, keepdims: bool = False) -> None:
        self.axes = tuple(axes) if isinstance(axes, list) else axes
        self.static = {"axis": self.axes, "keepdims": keepdims}  # type: ignore[misc]

    def compute(self, *arrays: NDArray) -> NDArray:
        (a,) = arrays
        try:
            return np.add.reduce(a, **self.static)
        except (TypeError, ValueError) as error:
            raise self.error(error, arrays) from None


class Transpose(TensorOp):
    """The array with two axes exchanged.

    Parameters
    ----------
    axes : the two axes, None for the last two
    """

    def __init__(self, axes: Any = None) -> None:
        if axes is not None and len(axes) != 2:
            raise ValueError(
                f"Transpose: expected two axes to exchange, or None for the last two, got {axes}"
            )
        self.axes = axes

    def compute(self, *arrays: NDArray) -> NDArray:
        (a,) = arrays
        i, j = self.axes or (-1, -2)
        try:
            return a.swapaxes(i, j)
        except ValueError:
            raise ValueError(
                f"Transpose: an array of shape {a.shape} does not have the axes {i} and {j}"
            ) from None

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return transpose(out_grad, self.axes)


class Reshape(TensorOp):
    """The entries, in their order, in another shape."""

    def __init__(self, shape: Any) -> None:
        self.shape = shape

    def compute(self, *arrays: NDArray) -> NDArray:
        (a,) = arrays
        try:
            return a.reshape(self.shape)
        except ValueError:
            raise ValueError(
                f"Reshape: an array of shape {a.shape} has {a.size} entries, which do not fill {self.shape}"
            ) from None

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return reshape(out_grad, node.inputs[0].shape)


class BroadcastTo(TensorOp):
    """The array repeated to fill a shape, by NumPy's rules of broadcasting."""

    def __init__(self, shape: Any) -> None:
        self.shape = shape

    def compute(self, *arrays: NDArray) -> NDArray:
        (a,) = arrays
        try:
            return np.broadcast_to(a, self.shape)
        except ValueError:
            raise ValueError(
                f"BroadcastTo: an array of shape {a.shape} does not broadcast to {self.shape}"
            ) from None

    def gradient(self, out_grad: Tensor, node: Tensor) -> Tensor:
        return fit(needle.algebra.Lifted(out_grad), node.inputs[0].shape, None).node


def add(a: Tensor, b: Tensor) -> Tensor:
    """Return ``a + b``, entry by entry."""
    return EWiseAdd()(a, b)


def add_scalar(a: Tensor, scalar: Any) -> Tensor:
    """Return ``a + scalar``."""
    return AddScalar(scalar)(a)


def multiply(a: Tensor, b: Tensor) -> Tensor:
    """Return ``a * b``, entry by entry."""
    return EWiseMul()(a, b)


def mul_scalar(a: Tensor, scalar: Any) -> Tensor:
    """Return ``a * scalar``."""
    return MulScalar(scalar)(a)


def power_scalar(a: Tensor, scalar: Any) -> Tensor:
    """Return ``a ** scalar``."""
    return PowerScalar(scalar)(a)


def power(a: Tensor, b: Tensor) -> Tensor:
    """Return ``a ** b``, entry by entry."""
    return EWisePow()(a, b)


def divide(a: Tensor, b: Tensor) -> Tensor:
    """Return ``a / b``, entry by entry."""
    return EWiseDiv()(a, b)


def divide_scalar(a: Tensor, scalar: Any) -> Tensor:
    """Return ``a / scalar``; the scalar may be an array with one entry."""
    return DivScalar(scalar)(a)


def transpose(a: Tensor, axes: Any = None) -> Tensor:
    """Return `a` with two axes exchanged, by default the last two."""
    return Transpose(axes)(a)


def reshape(a: Tensor, shape: Any) -> Tensor:
    """Return the entries of `a` in another shape."""
    return Reshape(shape)(a)


def broadcast_to(a: Tensor, shape: Any) -> Tensor:
    """Return `a` repeated to fill `shape`."""
    return BroadcastTo(shape)(a)


def summation(a: Tensor, axes: Any = None) -> Tensor:
    """Return the sum of `a` over `axes`: None for all, an int or a tuple."""
    return Summation(axes)(a)


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """Return the matrix product ``a @ b``."""
    return MatMul()(a, b)


def negate(a: Tensor) -> Tensor:
    """Return ``-a``."""
    return Negate()(a)


def log(a: Tensor) -> Tensor:
    """Return the natural logarithm of `a`."""
    return Log()(a)


def exp(a: Tensor) -> Tensor:
    """Return the exponential of `a`."""
    return Exp()(a)


def relu(a: Tensor) -> Tensor:
    """Return ``max(a, 0)``."""
    return ReLU()(a)


def log_softmax(a: Tensor) -> Tensor:
    """Return ``a - log(sum(exp(a)))`` over the last axis."""
    return LogSoftmax()(a)


def cross_entropy(a: Tensor, b: Tensor) -> Tensor:
    """Return the mean over rows of ``-sum(b * a)``, for log-probabilities `a` and targets `b`."""
    return CrossEntropy()(a, b)
