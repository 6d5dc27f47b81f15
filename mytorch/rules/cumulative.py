"""Derivatives of running sums and products; differences and integrals along an axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mytorch.rules.constants import values
from mytorch.rules.matrices import of_field
from mytorch.rules.registry import backward_of, composed, dispatched, present
from mytorch.rules.shapes import along, as_array, at_least, normalize_axis_index, normalize_axis_tuple

# -- running sums and products -------------------------------------------------------------------------------


def running_axis(a: Any, axis: Any) -> tuple[Any, int]:
    """Return the array that a running function runs along, flattened where no axis is given, and the axis."""
    return (a.reshape(-1), 0) if axis is None or a.ndim == 0 else (a, axis % a.ndim)


def reverse(a: Any, axis: int) -> Any:
    """Return the view with `axis` (not negative) backwards."""
    return a[along(axis, slice(None, None, -1))]


def sum_to_end(g: Any, shape: tuple[int, ...], axis: Any) -> Any:
    """Return the sums of `g` from each place to the end: the adjoint of the running sum."""
    g, axis = running_axis(g, axis)
    return reverse(np.cumsum(reverse(g, axis), axis=axis), axis).reshape(shape)


@dispatched
def recurrence(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return y with ``y[k] = a[k] * y[k - 1] + b[k]`` along the last axis, and y = 0 before the first."""
    y = _doubling(a, b)
    return y if np.isfinite(y).all() else _one_by_one(a, b)


def _doubling(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the recurrence in few steps: after step s, y[k] is right for all b within ``2 ** s`` places before k."""
    a, y, step = a.copy(), b.copy(), 1
    with np.errstate(over="ignore", invalid="ignore"):
        while step < a.shape[-1]:
            y[..., step:] += a[..., step:] * y[..., :-step]
            a[..., step:] *= a[..., :-step]  # products of neighbours, which may overflow although no y does
            step *= 2
    return y


def _one_by_one(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the recurrence by its definition."""
    y = b.copy()
    for k in range(1, y.shape[-1]):
        y[..., k] += a[..., k] * y[..., k - 1]
    return y


def recurrence_to_end(g: Any, a: Any) -> Any:
    """Return the adjoint of the recurrence: ``s[k] = a[k + 1] * s[k + 1] + g[k]``."""
    return recurrence(np.roll(a, -1, axis=-1)[..., ::-1], g[..., ::-1])[..., ::-1]


def shifted(y: Any, first: float) -> Any:
    """Return `y` one place later along the last axis, and `first` at the first."""
    return np.concatenate((np.full_like(values(y[..., :1]), first), y[..., :-1]), axis=-1)


def running_product_slope(g: Any, y: Any, a: Any, axis: Any) -> Any:
    """Return the gradient of the running product without a division, so that it is exact among zeros.

    The factor a[j] is in the products y[k] with k >= j: what comes before it, times the sum of what comes after it.
    """
    factors, along_axis = running_axis(of_field(a, g), axis)
    factors, g, y = (np.moveaxis(x, along_axis, -1) for x in (factors, g, y))
    slope = np.moveaxis(shifted(y, 1) * recurrence_to_end(g, factors), -1, along_axis)
    return slope.reshape(a.shape)


backward_of(
    recurrence,
    lambda g, y, a: recurrence_to_end(g, a) * shifted(y, 0),
    lambda g, a: recurrence_to_end(g, a),
)
backward_of(np.cumsum, lambda g, a_shape, *, axis=None: sum_to_end(g, a_shape, axis))
backward_of(np.cumprod, lambda g, y, a, *, axis=None: running_product_slope(g, y, a, axis))


@composed(np.nancumsum)
def nancumsum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    """Return the running sum of the entries that are numbers."""
    return np.cumsum(np.where(np.isnan(a), 0, a), axis, dtype)


@composed(np.nancumprod)
def nancumprod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    """Return the running product of the entries that are numbers."""
    return np.cumprod(np.where(np.isnan(a), 1, a), axis, dtype)


def _register(function: Callable[..., Any], running: Callable[..., Any], start: int) -> None:
    """Say that `function` is the `running` one, with the option to begin with `start`."""

    @composed(function)
    def cumulative(x: Any, /, *, axis: Any = None, dtype: Any = None, include_initial: bool = False) -> Any:
        x = at_least(x, 1)
        if axis is None and x.ndim != 1:
            raise ValueError(f"np.{function.__name__}: an array of {x.ndim} dimensions needs an axis=")
        axis = normalize_axis_index(0 if axis is None else axis, x.ndim)
        y = running(x, axis=axis, dtype=dtype)
        if not include_initial:
            return y
        shape = tuple([1 if i == axis else n for i, n in enumerate(y.shape)])
        return np.concatenate((np.full(shape, start, y.dtype), y), axis=axis)


for _function in present(np, "cumulative_sum"):
    _register(_function, np.cumsum, 0)
for _function in present(np, "cumulative_prod"):
    _register(_function, np.cumprod, 1)


# -- differences and integrals -------------------------------------------------------------------------------


@composed(np.diff)
def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """Return the `n`-th differences of neighbours."""
    if n == 0:
        return a
    if n < 0:
        raise ValueError(f"order must be non-negative but got {n!r}")
    a = as_array(a)
    if a.ndim == 0:
        raise ValueError("diff requires input that is at least one dimensional")
    axis = normalize_axis_index(axis, a.ndim)
    end = tuple([1 if i == axis else size for i, size in enumerate(a.shape)])
    parts = [as_array(part) for part in (prepend, a, append) if part is not None]
    if len(parts) > 1:
        a = np.concatenate([x if x.ndim else np.broadcast_to(x, end) for x in parts], axis)
    difference = np.not_equal if a.dtype == bool else np.subtract
    for _ in range(n):
        a = difference(a[along(axis, slice(1, None))], a[along(axis, slice(None, -1))])
    return a


@composed(np.ediff1d)
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    """Return the differences of neighbours of the flattened array, between what is to begin and to end with."""
    row = np.ravel(as_array(ary))
    steps = row[1:] - row[:-1]
    begin, end = (
        _fitting(steps[:0] if x is None else np.ravel(as_array(x)), name, steps.dtype)
        for name, x in (("to_begin", to_begin), ("to_end", to_end))
    )
    return np.concatenate((begin, steps, end))


def _fitting(x: Any, name: str, dtype: np.dtype[Any]) -> Any:
    """Return what is to begin or to end with in the dtype of the differences."""
    if not np.can_cast(x.dtype, dtype, "same_kind"):
        raise TypeError(
            f"dtype of `{name}` must be compatible with input `ary` under the `same_kind` rule, got {x.dtype} for "
            f"{dtype}"
        )
    return x.astype(dtype)


@composed(*present(np, "trapezoid" if hasattr(np, "trapezoid") else "trapz"))
def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """Return the integral by the trapezoidal rule, ``sum(d * (y[1:] + y[:-1]) / 2)``."""
    y = as_array(y)
    axis = normalize_axis_index(axis, y.ndim)
    if x is not None:
        x = as_array(x)
        dx = np.diff(x, axis=axis if x.ndim > 1 else 0)
        dx = dx if x.ndim > 1 else dx.reshape([-1 if i == axis else 1 for i in range(y.ndim)])
    return np.sum(dx * (y[along(axis, slice(1, None))] + y[along(axis, slice(None, -1))]) / 2, axis=axis)


@composed(np.gradient)
def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: Any = 1) -> Any:
    """Return second-order differences along the axes, with respect to steps or coordinates."""
    f = as_array(f)
    f = f if f.dtype.kind in "fc" else f.astype(float)
    axes = tuple(range(f.ndim)) if axis is None else normalize_axis_tuple(axis, f.ndim)
    spacings = [as_array(x) if isinstance(x, list | tuple) else x for x in varargs] or [1]
    if len(spacings) == 1 and np.ndim(spacings[0]) == 0:
        spacings = spacings * len(axes)
    if len(spacings) != len(axes):
        raise TypeError("invalid number of arguments")
    if edge_order not in (1, 2):
        raise ValueError(f"edge_order must be 1 or 2, got {edge_order!r}")
    slopes = [
        np.moveaxis(slope(np.moveaxis(f, i, -1), steps(x, f.shape[i]), edge_order), -1, i)
        for i, x in zip(axes, spacings, strict=True)
    ]
    slopes = [y.astype(f.dtype, copy=False) for y in slopes]
    return slopes[0] if len(slopes) == 1 else _SEVERAL_SLOPES(slopes)


_SEVERAL_SLOPES: Any = type(np.gradient(np.zeros((2, 2))))  # a list in NumPy 1.26


def steps(x: Any, n: int) -> Any:
    """Return one step, or the steps between the `n` coordinates `x`."""
    if np.ndim(x) == 0:
        return x
    if np.ndim(x) > 1:
        raise ValueError("distances must be either scalars or 1d")
    if len(x) != n:
        raise ValueError("when 1d, distances must match the length of the corresponding dimension")
    return np.diff(x)


def slope(f: Any, h: Any, edge_order: int) -> Any:
    """Return the differences along the last axis, where the steps are `h` (one, or one per interval)."""
    if f.shape[-1] < edge_order + 1:
        raise ValueError(
            "Shape of array too small to calculate a numerical gradient, at least (edge_order + 1) elements are "
            "required."
        )
    if np.ndim(h) == 0:
        inner = (f[..., 2:] - f[..., :-2]) / (2 * h)
        ends = end_slope(f, h, h, edge_order), end_slope(f[..., ::-1], -h, -h, edge_order)
    else:
        before, after = h[:-1], h[1:]
        a, c = -after / (before * (before + after)), before / (after * (before + after))
        inner = a * f[..., :-2] + (after - before) / (before * after) * f[..., 1:-1] + c * f[..., 2:]
        ends = (
            end_slope(f, h[0], h[min(1, len(h) - 1)], edge_order),
            end_slope(f[..., ::-1], -h[-1], -h[max(len(h) - 2, 0)], edge_order),
        )
    return np.concatenate((ends[0], inner, ends[1]), axis=-1)


def end_slope(f: Any, h: Any, k: Any, order: int) -> Any:
    """Return the slope at the first point of the line, or the parabola, through the first, `h` and `k` apart."""
    if order == 1:
        return (f[..., 1:2] - f[..., :1]) / h
    a, b, c = -(2 * h + k) / (h * (h + k)), (h + k) / (h * k), -h / (k * (h + k))
    return a * f[..., :1] + b * f[..., 1:2] + c * f[..., 2:3]
