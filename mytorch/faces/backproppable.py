"""BackproppableArray: the arrays of the course whose assignment is `main.py`, on the rules of the engine.

>>> x = to_ba(3.0)
>>> y = exp(x * x / 9) + log(x)
>>> y.backward()
>>> y, x.grad
((3.816894..., type=BA_Add), array(2.145521...))

The type of an array tells what produced it.  Its forward computation is the function, and its `grad_fn` the rule,
of one entry in the table `mytorch.rules`; `backward` is the engine's reverse pass over all that the array depends
on, inputs before results, with `.grad` as the place where gradients are added up.

What this course wants otherwise than the others:

* `backward` sets every gradient anew, so that two calls give the same values;
* every array that the result depends on keeps its gradient, not only the leaves;
* `sum` always keeps the summed axes, with length one;
* `.data` is the user's to change: an operation differentiates the values that it was computed from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from operator import attrgetter
from typing import Any

import numpy as np

from mytorch.faces.graph import Step, post_order, walk, whole
from mytorch.gradient_buffer import Shadow
from mytorch.regions import gradient_dtype, target_of
from mytorch.rules import RULES, Rule, memory

get_next_order: Callable[[], int] = count().__next__
_order = attrgetter("order")


def to_ba(x: Any) -> BackproppableArray:
    """Return `x`, a BackproppableArray, an array or a number, as a BackproppableArray."""
    return x if isinstance(x, BackproppableArray) else BackproppableArray(x)


class BackproppableArray:
    """An array that can be differentiated: an input or a constant, or, of a subclass, the result of an operation.

    Parameters
    ----------
    np_array : array, or a number (an integer becomes a float)
    dependencies : the arrays that it was computed from

    Attributes
    ----------
    data : ndarray
    grad : ndarray of the shape of data, the gradient of what `backward` was called on; None before
    order : int, larger for arrays that were made later
    dependencies : list
    """

    def __init__(self, np_array: Any, dependencies: Iterable[BackproppableArray] = ()) -> None:
        self.data = _array(np_array)
        self.grad: Any = None
        self.order = get_next_order()
        self.dependencies = list(dependencies)

    def __repr__(self) -> str:
        return f"({self.data}, type={type(self).__name__})"

    def all_dependencies(self) -> list[BackproppableArray]:
        """Return this array, what it was computed from, what that was computed from, and so on, each once."""
        found, seen = [self], {self}
        for array in found:
            for dependency in array.dependencies:
                if dependency not in seen:
                    seen.add(dependency)
                    found.append(dependency)
        return found

    def backward(self) -> None:
        """Set the `grad` of every array that this one, of size one, depends on to the gradient of this one.

        Raises
        ------
        NotAScalar
            If this array has more or fewer than one entry.
        """
        if self.data.size != 1:
            raise NotAScalar(
                f"backward needs an array with one entry, this one has shape {self.data.shape}; sum it first"
            )
        arrays = post_order([self], attrgetter("dependencies"))
        before = [array.grad for array in arrays]
        for array in arrays:
            array.grad = _zeros(array)
        self.grad += 1
        try:
            walk([array._step() for array in arrays if array.dependencies], _Gradients())
        except Exception:
            for array, grad in zip(arrays, before, strict=True):
                array.grad = grad
            raise

    def grad_fn(self) -> None:
        """Add to the `grad` of each dependency what this array's `grad` gives it: nothing, if no operation made it."""

    def _step(self) -> Step:
        """Return what the reverse pass reads of this array: to call its `grad_fn`."""
        return Step(_BY_GRAD_FN, (), self, self, (self,))

    def sum(self, axis: Any = None, keepdims: bool = True) -> BackproppableArray:
        """Return the sum over `axis`; in this course the summed axes always stay, with length one."""
        return BA_Sum(self, axis)

    def reshape(self, shape: Any) -> BackproppableArray:
        """Return the entries in another shape."""
        return BA_Reshape(self, shape)

    def transpose(self, axes: Sequence[int] | None = None) -> BackproppableArray:
        """Return the array with its axes permuted, reversed by default."""
        return BA_Transpose(self, axes)

    def __graph__(self) -> list[tuple[Any, ...]]:
        """Return the nodes of the drawing (see `mytorch.extras.draw`)."""
        return [
            (
                id(array),
                type(array).__name__ if array.dependencies else "",
                "operation" if array.dependencies else "input",
                [id(dependency) for dependency in array.dependencies],
                array.data,
            )
            for array in sorted(self.all_dependencies(), key=_order)
        ]

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any
    ) -> BackproppableArray:
        """Answer NumPy: ``ndarray + self`` is one BackproppableArray, and ``np.exp(self)`` is ``exp(self)``."""
        operation = _OPERATIONS.get(ufunc)
        if operation is None or method != "__call__" or kwargs:
            call = (
                ufunc.__name__
                + ("" if method == "__call__" else f".{method}")
                + ("(..., out=...)" if kwargs else "")
            )
            known = ", ".join(f"np.{known.__name__}" for known in _OPERATIONS)
            raise TypeError(
                f"np.{call} is no operation on BackproppableArrays; these are: {known}. For numbers alone, use .data"
            )
        return operation(*map(to_ba, inputs))

    def __add__(self, other: Any) -> BackproppableArray:
        return BA_Add(self, to_ba(other))

    def __radd__(self, other: Any) -> BackproppableArray:
        return BA_Add(to_ba(other), self)

    def __sub__(self, other: Any) -> BackproppableArray:
        return BA_Sub(self, to_ba(other))

    def __rsub__(self, other: Any) -> BackproppableArray:
        return BA_Sub(to_ba(other), self)

    def __mul__(self, other: Any) -> BackproppableArray:
        return BA_Mul(self, to_ba(other))

    def __rmul__(self, other: Any) -> BackproppableArray:
        return BA_Mul(to_ba(other), self)

    def __truediv__(self, other: Any) -> BackproppableArray:
        return BA_Div(self, to_ba(other))

    def __rtruediv__(self, other: Any) -> BackproppableArray:
        return BA_Div(to_ba(other), self)

    def __matmul__(self, other: Any) -> BackproppableArray:
        return BA_MatMul(self, to_ba(other))

    def __rmatmul__(self, other: Any) -> BackproppableArray:
        return BA_MatMul(to_ba(other), self)

    def __neg__(self) -> BackproppableArray:
        return BA_Sub(to_ba(0.0), self)


class NotAScalar(ValueError, AssertionError):
    """`backward` of an array that is no scalar (the course's own code asserts that it is one)."""


class _Gradients(Shadow):
    """The shadow of arrays: the gradient of each lies in its `grad`."""

    __slots__ = ()

    def take(self, target: Any) -> Any:
        if target.grad is None:
            raise ValueError(
                "grad_fn: this array has no gradient yet; call backward on a result, or set .grad"
            )
        return np.asarray(target.grad)

    def add(self, target: Any, gradient: Any) -> None:
        if gradient is not None:
            target.grad = np.asarray((_zeros(target) if target.grad is None else target.grad) + gradient)


_BY_GRAD_FN = whole("grad_fn", lambda g, step: step.output.grad_fn())


def _array(x: Any) -> np.ndarray:
    """Return what a user gives as data as an array, numbers as floating-point ones."""
    if isinstance(x, int | float | complex | np.number | np.bool_):
        x = np.asarray(x)
        x = x if x.dtype.kind in "fc" else x.astype(float)
    if not isinstance(x, np.ndarray):
        raise TypeError(
            f"cannot convert {type(x).__name__} {x!r} to a BackproppableArray; give a number or a NumPy array"
        )
    gradient_dtype(x.dtype)
    return x


def _zeros(array: BackproppableArray) -> np.ndarray:
    """Return a gradient of zeros: of a floating-point dtype also for integers."""
    return np.zeros(array.data.shape, gradient_dtype(array.data.dtype))


# -- operations -----------------------------------------------------------------------------------------------------


class _Result(BackproppableArray):
    """What an operation made of its dependencies, by a function that has a rule."""

    rule: Rule

    def _compute(self, *operands: BackproppableArray, **static: Any) -> None:
        """Be the result of the rule's function on `operands`."""
        with _errors_of(self, operands):
            result = np.asarray(self.rule.function(*(x.data for x in operands), **static))
        self._keep(result, operands, static)

    def _show(self, x: BackproppableArray, form: Callable[[np.ndarray], np.ndarray]) -> None:
        """Be the same entries in another form: the rule is that of reading a region of memory."""
        whole = x.data.copy()
        with _errors_of(self, [x]):
            view = form(whole)
        place = target_of(view, whole, 0)
        self.rule = RULES[memory.copy if isinstance(place, int) else memory.gather]
        self._keep(view.copy(), [x], {} if isinstance(place, int) else {"region": place})

    def _keep(
        self, result: np.ndarray, operands: Sequence[BackproppableArray], static: dict[str, Any]
    ) -> None:
        """Be `result`; keep what the rule reads, in copies, because `.data` is the user's to change."""
        super().__init__(result, operands)
        inputs = [x.data.copy() if i in self.rule.reads else None for i, x in enumerate(operands)]
        metas = [(x.data.shape, gradient_dtype(x.data.dtype)) for x in operands]
        self._kept = inputs, result.copy() if self.rule.reads_output else None, metas, static

    def _rule_step(self) -> Step:
        """Return what the reverse pass reads of an array that is differentiated by its rule."""
        inputs, output, metas, static = self._kept
        return Step(self.rule, inputs, output, self, tuple(self.dependencies), metas, static)

    def _step(self) -> Step:
        return self._rule_step() if type(self).grad_fn is _Result.grad_fn else super()._step()

    def grad_fn(self) -> None:
        """Add to the `grad` of each dependency what this array's `grad` gives it, by the rule of the operation."""
        walk([self._rule_step()], _Gradients())


@contextmanager
def _errors_of(result: _Result, operands: Sequence[BackproppableArray]) -> Iterator[None]:
    """Say which operation, on which shapes, NumPy refuses."""
    try:
        yield
    except (ValueError, TypeError) as error:
        shapes = " and ".join(str(x.data.shape) for x in operands)
        raise type(error)(f"{type(result).__name__} of {shapes}: {error}") from None


class _OfTwo(_Result):
    def __init__(self, x: Any, y: Any) -> None:
        self.x, self.y = to_ba(x), to_ba(y)
        self._compute(self.x, self.y)


class _OfOne(_Result):
    def __init__(self, x: Any) -> None:
        self.x = to_ba(x)
        self._compute(self.x)


class BA_Add(_OfTwo):
    """x + y."""

    rule = RULES[np.add]


class BA_Sub(_OfTwo):
    """x - y."""

    rule = RULES[np.subtract]


class BA_Mul(_OfTwo):
    """x * y."""

    rule = RULES[np.multiply]


class BA_Div(_OfTwo):
    """x / y."""

    rule = RULES[np.divide]


class BA_MatMul(_OfTwo):
    """x @ y."""

    rule = RULES[np.matmul]


class BA_Exp(_OfOne):
    """exp(x)."""

    rule = RULES[np.exp]


class BA_Log(_OfOne):
    """log(x)."""

    rule = RULES[np.log]


class BA_Sum(_Result):
    """x.sum(axis, keepdims=True)."""

    rule = RULES[np.sum]

    def __init__(self, x: Any, axis: Any) -> None:
        self.x, self.axis = to_ba(x), axis
        self._compute(self.x, axis=axis, keepdims=True)


class BA_Reshape(_Result):
    """x.reshape(shape)."""

    def __init__(self, x: Any, shape: Any) -> None:
        self.x, self.shape = to_ba(x), shape
        self._show(self.x, lambda whole: whole.reshape(shape))


class BA_Transpose(_Result):
    """x.transpose(axes)."""

    def __init__(self, x: Any, axes: Sequence[int] | None) -> None:
        self.x, self.axes = to_ba(x), axes
        self._show(self.x, lambda whole: whole.transpose(axes))


_OPERATIONS: dict[Any, type[_OfOne] | type[_OfTwo]] = {
    kind.rule.function: kind for kind in (BA_Add, BA_Sub, BA_Mul, BA_Div, BA_MatMul, BA_Exp, BA_Log)
}


def exp(x: Any) -> Any:
    """Return e to the power of x: a BA_Exp of a BackproppableArray, numbers of numbers and arrays."""
    return BA_Exp(x) if isinstance(x, BackproppableArray) else np.exp(x)


def log(x: Any) -> Any:
    """Return the natural logarithm of x: a BA_Log of a BackproppableArray, numbers of numbers and arrays."""
    return BA_Log(x) if isinstance(x, BackproppableArray) else np.log(x)


# -- derivatives in three ways, and functions to compare them on ----------------------------------------------------


def numerical_diff(f: Callable[[Any], Any], x: Any, eps: float = 1e-5) -> Any:
    """Return the central difference ``(f(x + eps) - f(x - eps)) / (2 eps)``, the derivative but for O(eps²)."""
    return (f(x + eps) - f(x - eps)) / (2 * eps)


def numerical_grad(f: Callable[[np.ndarray], Any], x: Any, eps: float = 1e-5) -> np.ndarray:
    """Return the gradient of the scalar-valued `f` at the array `x`: one central difference for every entry of x."""
    x = np.array(x, dtype=float)
    gradient = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[i] = eps
        gradient[i] = (_scalar(f(x + step)) - _scalar(f(x - step))) / (2 * eps)
    return gradient


def _scalar(value: Any) -> float:
    """Return the one entry of what a function gave."""
    array = value.data if isinstance(value, BackproppableArray) else np.asarray(value)
    if array.size != 1:
        raise NotAScalar(
            f"numerical_grad needs a function whose value is a scalar, it returned shape {array.shape}"
        )
    return float(array.item())


def backprop_diff(f: Callable[[Any], Any], x: Any) -> np.ndarray:
    """Return the gradient of the scalar-valued `f` at `x`, a number or an array, by backpropagation."""
    ba_x = to_ba(x)
    to_ba(f(ba_x)).backward()
    return _zeros(ba_x) if ba_x.grad is None else ba_x.grad


class TestFxs:
    """Functions to differentiate: of a number (f), of a number by way of arrays (g), of an array of five (h)."""

    __test__ = False  # for pytest, which takes a class of this name for tests

    @staticmethod
    def f1(x: Any) -> Any:
        return 2 * x + 3

    @staticmethod
    def df1dx(x: Any) -> Any:
        return 2.0

    @staticmethod
    def f2(x: Any) -> Any:
        return x * x

    @staticmethod
    def df2dx(x: Any) -> Any:
        return 2.0 * x

    @staticmethod
    def f3(x: Any) -> Any:
        u = x - 2.0
        return u / (u * u + 1.0)

    @staticmethod
    def df3dx(x: Any) -> Any:
        u = x - 2.0
        return (1.0 - u * u) / (u * u + 1.0) ** 2

    @staticmethod
    def f4(x: Any) -> Any:
        return log(exp(x * x / 8 - 3 * x + 5) + x)

    @staticmethod
    def g1(x: Any) -> Any:
        ax = x + np.ones(3)
        return (ax * ax).sum().reshape(())

    @staticmethod
    def g2(x: Any) -> Any:
        bx = x + np.arange(20.0)
        return (log(bx * bx).reshape((4, 5)).transpose() @ (x - np.ones((4, 5)))).sum().reshape(())

    @staticmethod
    def h1(x: Any) -> Any:
        bx = x * np.arange(5.0) - 4
        return (bx * bx).sum().reshape(())
