"""Derivatives of running sums and products, differences and integrals along an axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from mytorch.rules.registry import backward_of, composed, present


def flat(a: Any, axis: int | None) -> tuple[Any, int]:
    """Return the array that a cumulative function runs along, raveled where no axis is given, and the axis."""
    return (np.reshape(a, -1), 0) if axis is None else (a, axis)


def remaining_sums(g: Any, shape: tuple[int, ...], axis: int | None) -> Any:
    """Return the sums of `g` from each place to the end: the adjoint of the running sum."""
    line, axis = flat(g, axis)
    return np.reshape(np.flip(np.cumsum(np.flip(line, axis), axis=axis), axis), shape)


def running_product_gradient(g: Any, y: Any, a: Any, axis: int | None) -> Any:
    """Return the gradient of the running product; among zeros, by products that leave one factor out."""
    if not np.any(a == 0):
        return remaining_sums(g * y, a.shape, axis) / a
    line, axis = flat(a, axis)
    line, weights = np.moveaxis(line, axis, -1), np.moveaxis(flat(g, axis)[0], axis, -1)
    n = line.shape[-1]
    without = np.cumprod(np.where(np.eye(n, dtype=bool), 1, line[..., None, :]), axis=-1)
    later = np.tri(n, dtype=bool).T  # factor j counts in the products from place j on
    gradient = np.sum(np.where(later, without * weights[..., None, :], 0), axis=-1)
    return np.reshape(np.moveaxis(gradient, -1, axis), a.shape)


backward_of(np.cumsum, lambda g, a_shape, *, axis=None: remaining_sums(g, a_shape, axis))
backward_of(
    np.cumprod, lambda g, y, a, *, axis=None: running_product_gradient(np.reshape(g, y.shape), y, a, axis)
)


@composed(np.cumsum)
def cumsum(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    """Return the running sum in `dtype`."""
    return np.cumsum(a if dtype is None else a.astype(dtype), axis=axis)


@composed(np.cumprod)
def cumprod(a: Any, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
    """Return the running product in `dtype`."""
    return np.cumprod(a if dtype is None else a.astype(dtype), axis=axis)


def with_initial(running: Any, neutral: int) -> Any:
    """Return NumPy 2.1's ``cumulative_sum`` or ``cumulative_prod`` in terms of the running function."""

    def cumulative(
        x: Any, /, *, axis: Any = None, dtype: Any = None, out: Any = None, include_initial: bool = False
    ) -> Any:
        if axis is None and x.ndim > 1:
            raise ValueError("for arrays which have more than one dimension axis is required")
        axis = 0 if axis is None else axis
        result = running(x, axis=axis, dtype=dtype)
        if not include_initial:
            return result
        first: Any = np.take(result, [0], axis=axis)
        return np.concatenate([np.full_like(first.detach().numpy(), neutral), result], axis=axis)

    return cumulative


if hasattr(np, "cumulative_sum"):  # NumPy 2.1
    composed(np.cumulative_sum)(with_initial(np.cumsum, 0))
    composed(np.cumulative_prod)(with_initial(np.cumprod, 1))


def along(a: Any, axis: int, part: slice) -> Any:
    """Return ``a[..., part, ...]`` at `axis`."""
    return a[(slice(None),) * (axis % a.ndim) + (part,)]


@composed(np.diff)
def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """Return the n-th differences of neighbours."""
    if n < 0:
        raise ValueError(f"order must be non-negative but got {n}")
    ends = [None if end is None or end is np._NoValue else end for end in (prepend, append)]
    if n and any(end is not None for end in ends):
        shape = tuple(1 if i == axis % a.ndim else m for i, m in enumerate(a.shape))
        before, after = [
            [] if e is None else [np.broadcast_to(e, shape) if np.ndim(e) == 0 else e] for e in ends
        ]
        a = np.concatenate([*before, a, *after], axis=axis)
    for _ in range(n):
        a = along(a, axis, slice(1, None)) - along(a, axis, slice(None, -1))
    return a


@composed(np.ediff1d)
def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    """Return the differences of neighbours of the raveled array, with ends joined on."""
    steps = np.diff(np.ravel(ary))
    parts = [
        *([] if to_begin is None else [np.ravel(to_begin)]),
        steps,
        *([] if to_end is None else [np.ravel(to_end)]),
    ]
    return steps if len(parts) == 1 else np.concatenate(parts)


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """Return the integral by the trapezoidal rule, ``sum(d * (y[1:] + y[:-1]) / 2)``."""
    if x is None:
        d = dx
    elif np.ndim(x) == 1:
        d = np.reshape(np.diff(x), [-1 if i == axis % y.ndim else 1 for i in range(np.ndim(y))])
    else:
        d = np.diff(x, axis=axis)
    return np.sum(d * (along(y, axis, slice(1, None)) + along(y, axis, slice(None, -1))) / 2.0, axis=axis)


composed(*(present(np, "trapezoid") or present(np, "trapz")))(trapezoid)  # the latter in NumPy 1.26


@composed(np.gradient)
def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: Any = 1) -> Any:
    """Return NumPy's second-order differences along the axes: exact weights of neighbours, differentiable in f."""
    axes = tuple(range(f.ndim)) if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
    spacings = list(varargs) * len(axes) if len(varargs) == 1 and np.ndim(varargs[0]) == 0 else list(varargs)
    spacings = spacings or [1.0] * len(axes)
    if len(spacings) != len(axes):
        raise TypeError("invalid number of arguments")
    results = []
    for i, spacing in zip(axes, spacings, strict=True):
        n = f.shape[i]
        # The operation is linear in f, so the identity shows its weights.
        h: Any = np.asarray(spacing) if np.ndim(spacing) else float(spacing)
        weights: Any = np.gradient(np.eye(n), h, axis=0, edge_order=edge_order)
        results.append(np.moveaxis(np.tensordot(weights.astype(f.dtype), np.moveaxis(f, i, 0), axes=1), 0, i))
    if len(results) == 1:
        return results[0]
    return tuple(results) if int(np.__version__.split(".")[0]) >= 2 else results
