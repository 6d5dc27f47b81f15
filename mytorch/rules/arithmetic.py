"""Derivatives of arithmetic: the operators, powers, products of matrices, maximum and minimum, remainders."""

from __future__ import annotations

from typing import Any

import numpy as np

from mytorch.rules.registry import backward_of, composed, constant, refused

backward_of(np.add, lambda g: g, lambda g: g)
backward_of(np.subtract, lambda g: g, lambda g: -g)
backward_of(np.multiply, lambda g, b: g * b, lambda g, a: g * a)
backward_of(np.divide, lambda g, b: g / b, lambda g, y, b: -g * y / b)
backward_of(np.negative, lambda g: -g)
backward_of(np.positive, lambda g: g)
backward_of(np.square, lambda g, a: g * 2 * a)
backward_of(np.reciprocal, lambda g, y: -g * y * y)
backward_of(np.power, lambda g, a, b: power_slope(g, a, b), lambda g, y, a, b: g * power_log(y, a, b))
backward_of(np.float_power, lambda g, a, b: power_slope(g, a, b), lambda g, y, a, b: g * power_log(y, a, b))
backward_of(
    np.matmul, lambda g, b, a_shape: matmul_a(g, b, a_shape), lambda g, a, b_shape: matmul_b(g, a, b_shape)
)

backward_of(np.maximum, lambda g, a, b: share(g, a, b), lambda g, a, b: share(g, b, a))
backward_of(np.minimum, lambda g, a, b: share(g, b, a), lambda g, a, b: share(g, a, b))
backward_of(
    np.fmax, lambda g, a, b: np.where(wins(a >= b, b), g, 0), lambda g, a, b: np.where(wins(a >= b, b), 0, g)
)
backward_of(
    np.fmin, lambda g, a, b: np.where(wins(a <= b, b), g, 0), lambda g, a, b: np.where(wins(a <= b, b), 0, g)
)

backward_of(np.arctan2, lambda g, a, b: g * b / (a * a + b * b), lambda g, a, b: -g * a / (a * a + b * b))
backward_of(np.hypot, lambda g, y, a: g * (a / y), lambda g, y, b: g * (b / y))
backward_of(np.logaddexp, lambda g, y, a: g * np.exp(a - y), lambda g, y, b: g * np.exp(b - y))
backward_of(np.logaddexp2, lambda g, y, a: g * np.exp2(a - y), lambda g, y, b: g * np.exp2(b - y))
backward_of(np.copysign, lambda g, a, b: g * (np.sign(a) * np.copysign(1, b)), None)
backward_of(np.ldexp, lambda g, b: np.ldexp(g, b), None)
backward_of(np.fmod, lambda g: g, lambda g, a, b: -g * np.trunc(a / b))
backward_of(np.remainder, lambda g: g, lambda g, a, b: -g * np.floor_divide(a, b))
backward_of(np.heaviside, None, lambda g, a: np.where(a == 0, g, 0))

constant(np.floor_divide, np.greater, np.greater_equal, np.less, np.less_equal, np.equal, np.not_equal)
constant(np.logical_and, np.logical_or, np.logical_xor, np.bitwise_and, np.bitwise_or, np.bitwise_xor)
constant(np.left_shift, np.right_shift, np.gcd, np.lcm)
refused("it steps to a neighbouring float, which no derivative describes", [np.nextafter])


@composed(np.divmod)
def divmod_(a: Any, b: Any) -> tuple[Any, Any]:
    """Return the quotient, which is constant, and the remainder."""
    return np.floor_divide(a, b), np.remainder(a, b)


if hasattr(np, "vecdot"):  # NumPy 2

    @composed(np.vecdot)
    def vecdot(a: Any, b: Any, *, axis: int = -1) -> Any:
        """Return ``sum(conj(a) * b)`` over an axis."""
        return np.sum(np.moveaxis(np.conj(a), axis, -1) * np.moveaxis(b, axis, -1), axis=-1)


if hasattr(np, "matvec"):  # NumPy 2.2

    @composed(np.matvec)
    def matvec(a: Any, b: Any) -> Any:
        """Return the products of matrices and vectors."""
        return np.matmul(a, b[..., None])[..., 0]

    @composed(np.vecmat)
    def vecmat(a: Any, b: Any) -> Any:
        """Return the products of conjugated vectors and matrices."""
        return np.matmul(np.conj(a)[..., None, :], b)[..., 0, :]


def share(g: Any, a: Any, b: Any) -> Any:
    """Return the share of `g`, the gradient of ``max(a, b)``, that is a's: a half where they tie (PyTorch's rule)."""
    return (g * (a > b) + g * (a >= b)) * 0.5


def wins(better: Any, other: Any) -> Any:
    """Return where the first of two is taken: where it is better or as good, or the `other` is NaN."""
    return better | np.isnan(other)


def power_slope(g: Any, a: Any, b: Any) -> Any:
    """Return the gradient of `a` in ``a ** b``: ``g * b * a ** (b - 1)``, and zero where b is zero (0 ** 0 too)."""
    if isinstance(b, int | float):
        if b == 2:
            return g * 2 * a
        return g * (b * a ** (b - 1)) if b != 0 else g * np.zeros_like(a)
    zero = b == 0
    return np.where(zero, 0, g * (b * a ** np.where(zero, 1, b - 1)))


def power_log(y: Any, a: Any, b: Any) -> Any:
    """Return ``a ** b * log(a)``, and its limit zero where a is zero and b is not negative."""
    zero = np.equal(a, 0) & np.greater_equal(np.real(b), 0)
    return np.where(zero, 0, y * np.log(np.where(zero, 1, a)))


def matmul_a(g: Any, b: Any, a_shape: tuple[int, ...]) -> Any:
    """Return the gradient of `a` in ``a @ b``: ``g @ bᵀ``, with vectors as rows or columns."""
    if len(a_shape) == 2 and b.ndim == 2:
        return times(g, b.T)
    if b.ndim == 1:
        return g[..., None] * b
    if len(a_shape) == 1:
        return (g[..., None, :] @ np.swapaxes(b, -1, -2))[..., 0, :]
    return g @ np.swapaxes(b, -1, -2)


def matmul_b(g: Any, a: Any, b_shape: tuple[int, ...]) -> Any:
    """Return the gradient of `b` in ``a @ b``: ``aᵀ @ g``, with vectors as rows or columns."""
    if a.ndim == 2 and len(b_shape) == 2:
        return times(a.T, g)
    if a.ndim == 1:
        return g[..., None] * a if len(b_shape) == 1 else a[:, None] * g[..., None, :]
    if len(b_shape) == 1:
        return (np.swapaxes(a, -1, -2) @ g[..., None])[..., 0]
    return np.swapaxes(a, -1, -2) @ g


def times(a: Any, b: Any) -> Any:
    """Return ``a @ b`` of two matrices, as an outer product where that is what it is (NumPy's is 10 times slower)."""
    return a * b if a.shape[1] == 1 else a.dot(b)
