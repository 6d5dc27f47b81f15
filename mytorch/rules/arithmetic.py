"""Derivatives of arithmetic: the operators, powers, products of matrices, maximum and minimum."""

from __future__ import annotations

from typing import Any

import numpy as np

from mytorch.rules.registry import backward_of, constant

backward_of(np.add, lambda g: g, lambda g: g)
backward_of(np.subtract, lambda g: g, lambda g: -g)
backward_of(np.multiply, lambda g, b: g * b, lambda g, a: g * a)
backward_of(np.divide, lambda g, b: g / b, lambda g, y, b: -g * y / b)
backward_of(np.negative, lambda g: -g)
backward_of(np.positive, lambda g: g)
backward_of(np.square, lambda g, a: g * (2 * a))
backward_of(np.reciprocal, lambda g, y: -g * y * y)
backward_of(np.maximum, lambda g, a, b: g * share(a, b), lambda g, a, b: g * share(b, a))
backward_of(np.minimum, lambda g, a, b: g * share(b, a), lambda g, a, b: g * share(a, b))
backward_of(np.power, lambda g, a, b: g * power_slope(a, b), lambda g, y, a, b: g * power_log(y, a, b))
backward_of(np.matmul, lambda g, b, a_shape: matmul_a(g, b, a_shape), lambda g, a, b_shape: matmul_b(g, a, b_shape))


def share(a: Any, b: Any) -> Any:
    """Return the share of ``max(a, b)`` that comes from `a`: one, zero, or a half where they tie (PyTorch's rule)."""
    return np.where(a > b, 1.0, np.where(a == b, 0.5, 0.0))


def power_slope(a: Any, b: Any) -> Any:
    """Return ``b * a ** (b - 1)``, and zero where b is zero (so that 0 ** 0 has the slope 0)."""
    return np.where(b == 0, 0.0, b * a ** np.where(b == 0, 1.0, b - 1))


def power_log(y: Any, a: Any, b: Any) -> Any:
    """Return ``a ** b * log(a)``, and its limit zero where a is zero and b is not negative."""
    zero = (a == 0) & (b >= 0)
    return np.where(zero, 0.0, y * np.log(np.where(zero, 1.0, a)))


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
        return g * a if len(b_shape) == 1 else a[:, None] * g[..., None, :]
    if len(b_shape) == 1:
        return (np.swapaxes(a, -1, -2) @ g[..., None])[..., 0]
    return np.swapaxes(a, -1, -2) @ g


def times(a: Any, b: Any) -> Any:
    """Return ``a @ b`` of two matrices, as an outer product where that is what it is (NumPy's is 10 times slower)."""
    return a * b if a.shape[1] == 1 else a.dot(b)


constant(np.floor, np.ceil, np.trunc, np.rint, np.sign)
