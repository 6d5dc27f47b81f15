"""Derivatives of arithmetic: the operators, powers, remainders, extrema and other ufuncs of two arguments.

Where a function has a kink the gradient is PyTorch's: `maximum` and `minimum` share it where they tie, `fmax` and
`fmin` (which ignore NaN) give it to the first.  Where PyTorch has NaN although one-sided derivatives are finite,
ours is finite: 0 for `hypot` at the origin, a half for `logaddexp` of equal infinities.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mytorch.rules.constants import values
from mytorch.rules.masks import masked, shared
from mytorch.rules.registry import backward_of, composed, constant, dispatched, present, refused
from mytorch.rules.shapes import as_array

LOG_2 = math.log(2)

backward_of(np.add, lambda g: g, lambda g: g)
backward_of(np.subtract, lambda g: g, lambda g: -g)
backward_of(np.multiply, lambda g, b: g * b, lambda g, a: g * a)
backward_of(np.divide, lambda g, b: g / b, lambda g, y, b: -g * y / b)
backward_of(np.negative, lambda g: -g)
backward_of(np.positive, lambda g: g)
backward_of(np.square, lambda g, a: g * 2 * a)
backward_of(np.reciprocal, lambda g, y: -g * y * y)
backward_of(np.power, lambda g, a, b: power_slope(g, a, b), lambda g, y, a, b: g * power_log(y, a, b))
backward_of(np.remainder, lambda g: g, lambda g, a, b: -g * np.floor_divide(a, b))
backward_of(np.fmod, lambda g: g, lambda g, y, a, b: -g * np.rint((a - y) / b))

backward_of(np.maximum, lambda g, a, b: greater(g, a, b), lambda g, a, b: greater(g, b, a))
backward_of(np.minimum, lambda g, a, b: greater(g, b, a), lambda g, a, b: greater(g, a, b))
backward_of(np.fmax, lambda g, a, b: masked(g, wins(a >= b, b)), lambda g, a, b: masked(g, ~wins(a >= b, b)))
backward_of(np.fmin, lambda g, a, b: masked(g, wins(a <= b, b)), lambda g, a, b: masked(g, ~wins(a <= b, b)))

backward_of(np.hypot, lambda g, y, a: g * (a / nonzero(y)), lambda g, y, b: g * (b / nonzero(y)))
backward_of(np.arctan2, lambda g, a, b: g * turn(b, a), lambda g, a, b: -g * turn(a, b))
backward_of(np.logaddexp, lambda g, a, b: g * logistic(gap(a, b)), lambda g, a, b: g * logistic(gap(b, a)))
backward_of(
    np.logaddexp2,
    lambda g, a, b: g * logistic(LOG_2 * gap(a, b)),
    lambda g, a, b: g * logistic(LOG_2 * gap(b, a)),
)
backward_of(np.copysign, lambda g, y, a: g * (sign_of(a) * sign_of(y)), None)
backward_of(np.heaviside, None, lambda g, a: masked(g, a == 0))
backward_of(np.ldexp, lambda g, b: np.ldexp(g, b), None)

backward_of(
    np.matmul, lambda g, b, a_shape: matmul_a(g, b, a_shape), lambda g, a, b_shape: matmul_b(g, a, b_shape)
)

constant(np.floor_divide, np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal)
constant(np.logical_and, np.logical_or, np.logical_xor, np.bitwise_and, np.bitwise_or, np.bitwise_xor)
constant(np.left_shift, np.right_shift, np.gcd, np.lcm)
refused("it steps to a neighbouring float, which no derivative describes", [np.nextafter])


@composed(np.divmod)
def divmod_(a: Any, b: Any) -> tuple[Any, Any]:
    """Return the quotient, which is constant, and the remainder."""
    return np.floor_divide(a, b), np.remainder(a, b)


@composed(np.float_power)
def float_power(a: Any, b: Any) -> Any:
    """Return the power, computed in double precision at least."""
    return np.power(as_double(a), as_double(b))


def as_double(x: Any) -> Any:
    """Return `x` in double precision at least."""
    x = as_array(x)
    return x.astype(np.result_type(x.dtype, np.float64), copy=False)


def power_slope(g: Any, a: Any, b: Any) -> Any:
    """Return the gradient ``g * b * a ** (b - 1)``, which is zero where `b` is (also for a = 0)."""
    if isinstance(b, int | float | complex):
        if b == 2:
            return g * 2 * a
        if b == 0:
            return g * np.zeros_like(a)
        return g * b / a ** (1 - b) if b == 0.5 else g * b * a ** (b - 1)
    undefined = (b == 0) & ~(abs(values(a)) > 0)  # 0 * 0 ** -1, and 0 * nan ** -1
    return g * b * np.where(undefined, 1, a) ** (b - 1)


def power_log(y: Any, a: Any, b: Any) -> Any:
    """Return ``a ** b * log(a)``, and its limit zero where a is zero and b is not negative."""
    if isinstance(a, int | float | complex) and a != 0:
        return y * type(1.0 * a)(np.log(a))  # a Python number, so that float32 stays float32
    zero = np.equal(a, 0) & np.greater_equal(np.real(b), 0)
    return y * np.log(np.where(zero, 1, a))


def greater(g: Any, a: Any, b: Any) -> Any:
    """Return `g` where `a` is not less than `b` (so for NaN, too), half of it where they are equal, else zero."""
    return shared(g, np.logical_not(a < b), a == b)


def wins(better: Any, other: Any) -> Any:
    """Return where fmax and fmin take the first of two: where it is better or as good, or the `other` is NaN."""
    return better | np.isnan(other)


def nonzero(a: Any) -> Any:
    """Return `a` with ones for zeros."""
    return np.where(a == 0, 1, a)


def turn(a: Any, b: Any) -> Any:
    """Return ``a / (a² + b²)`` without overflow, and zero at the origin."""
    size = nonzero(np.hypot(a, b))
    return a / size / size


def sign_of(a: Any) -> Any:
    """Return the sign of real `a`, and 0 for NaN, in bytes: they cost little, and leave the dtype to the cotangent."""
    return (a > 0).view(np.int8) - (a < 0).view(np.int8)


@dispatched
def logistic(a: Any) -> Any:
    """Return ``1 / (1 + exp(-a))`` without overflow, to full relative precision also where it is tiny."""
    return np.exp(np.minimum(a, 0)) / (1 + np.exp(-np.abs(a)))


def gap(a: Any, b: Any) -> Any:
    """Return ``a - b``, and zero where both are the same infinity."""
    same = (a == b) & np.isinf(a)
    return np.where(same, 0, np.where(same, 0, a) - b)


backward_of(logistic, lambda g, y, a: g * y * logistic(-a), elementwise=True)


# -- products of matrices and vectors ------------------------------------------------------------------------


def matmul_a(g: Any, b: Any, a_shape: tuple[int, ...]) -> Any:
    """Return the gradient of `a` in ``a @ b``: ``g @ bᵀ``, with vectors as rows or columns."""
    if b.ndim == 1:
        return g[..., None] * b
    if len(a_shape) == 1:
        return (g[..., None, :] @ np.swapaxes(b, -1, -2))[..., 0, :]
    if b.ndim == 2:
        y = times(matrix(g), b.T)
        return y if len(a_shape) == 2 else y.reshape(a_shape)
    if len(a_shape) == 2 and math.prod(a_shape) > b.shape[-1] * sum(a_shape):
        # To add up products for every matrix of `b` would cost more than to lay these side by side.
        axes = (*range(b.ndim - 2), b.ndim - 1)
        return np.tensordot(g, b, (axes, axes))
    return g @ np.swapaxes(b, -1, -2)


def matmul_b(g: Any, a: Any, b_shape: tuple[int, ...]) -> Any:
    """Return the gradient of `b` in ``a @ b``: ``aᵀ @ g``, with vectors as rows or columns."""
    if a.ndim == 1:
        return g[..., None] * a if len(b_shape) == 1 else a[:, None] * g[..., None, :]
    if len(b_shape) == 1:
        return (np.swapaxes(a, -1, -2) @ g[..., None])[..., 0]
    if len(b_shape) == 2:
        return times(matrix(a).T, matrix(g))
    return np.swapaxes(a, -1, -2) @ g


def matrix(x: Any) -> Any:
    """Return the rows of all matrices in `x` as one matrix."""
    return x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def times(a: Any, b: Any) -> Any:
    """Return ``a @ b`` of two matrices, by the fastest way that NumPy has for their sizes.

    `dot` costs least to call, but fills large results with zeros first; `matmul` does not, but knows no BLAS for
    vectors, and BLAS needs twice the time for an outer product that `einsum` needs for a large one, and that it
    needs itself with zeros beside the two vectors.
    """
    size = a.shape[0] * b.shape[1]
    if size < 2**13 or 1 in a.shape or b.shape[1] == 1:
        if size >= 2**15 and a.shape[1] == 1:
            if size > 2**18:
                return np.einsum("ij,jk->ik", a, b)
            if type(a) is type(b) is np.ndarray:
                column, row = np.zeros((2, a.shape[0]), a.dtype), np.zeros((2, b.shape[1]), b.dtype)
                column[:1], row[:1] = a.T, b
                return np.matmul(column.T, row)
        return a.dot(b) if type(a) is type(b) else np.dot(a, b)  # an array's own method takes no Tensor
    return np.matmul(a, b)


def moved_to_end(x: Any, axes: Any) -> Any:
    """Return `x` with `axes` (one, or a tuple of them) as its last."""
    axes = (axes,) if isinstance(axes, int) else tuple(axes)
    return np.moveaxis(as_array(x), axes, range(-len(axes), 0))


def moved_back(y: Any, axes: Any) -> Any:
    """Return `y` with its last axes at the places that `axes` (one, or a tuple of them) names."""
    axes = (axes,) if isinstance(axes, int) else tuple(axes)
    return np.moveaxis(y, range(-len(axes), 0), axes)


def row(x: Any, axis: Any) -> Any:
    """Return the conjugates of vectors along `axis` as matrices of one row."""
    x = moved_to_end(x, axis)
    return (np.conj(x) if x.dtype.kind == "c" else x)[..., None, :]


@composed(np.matmul)
def matmul(x1: Any, x2: Any, *, axes: Any) -> Any:
    """Return the product of matrices that lie in any two `axes` of each array."""
    return moved_back(moved_to_end(x1, axes[0]) @ moved_to_end(x2, axes[1]), axes[2])


@composed(*present(np, "vecdot"))
def vecdot(x1: Any, x2: Any, *, axis: int = -1, axes: Any = None, keepdims: bool = False) -> Any:
    """Return ``sum(conj(x1) * x2)`` along one axis."""
    first, second = (axis, axis) if axes is None else axes[:2]
    y = (row(x1, first) @ moved_to_end(x2, second)[..., :, None])[..., 0, 0]
    return moved_back(y[..., None], first) if keepdims else y


@composed(*present(np, "matvec"))
def matvec(x1: Any, x2: Any, *, axes: Any = None) -> Any:
    """Return the product of matrices, in the last two axes, and vectors."""
    matrix, vector, result = axes or [(-2, -1), -1, -1]
    return moved_back((moved_to_end(x1, matrix) @ moved_to_end(x2, vector)[..., None])[..., 0], result)


@composed(*present(np, "vecmat"))
def vecmat(x1: Any, x2: Any, *, axes: Any = None) -> Any:
    """Return the product of conjugated vectors and matrices, in the last two axes."""
    vector, matrix, result = axes or [-1, (-2, -1), -1]
    return moved_back((row(x1, vector) @ moved_to_end(x2, matrix))[..., 0, :], result)
