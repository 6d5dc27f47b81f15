"""Sorting and order statistics: the order is constant, so results are entries of the argument, picked out."""

from __future__ import annotations

from typing import Any

import numpy as np

from mytorch.rules.registry import composed, constant

constant(np.argsort, np.argpartition, np.lexsort, np.searchsorted, np.digitize)


@composed(np.sort)
def sort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
    """Return the entries in ascending order."""
    a, axis = (np.ravel(a), 0) if axis is None else (a, axis)
    return np.take_along_axis(a, np.argsort(a, axis=axis, kind="stable" if stable else kind), axis)


@composed(np.partition)
def partition(a: Any, kth: Any, axis: Any = -1, kind: Any = "introselect", order: Any = None) -> Any:
    """Return the entries with the `kth` in their sorted places."""
    a, axis = (np.ravel(a), 0) if axis is None else (a, axis)
    return np.take_along_axis(a, np.argpartition(a, kth, axis=axis, kind=kind), axis)


def single_axis(a: Any, axis: Any) -> tuple[Any, int, tuple[int, ...]]:
    """Return `a` with the reduced axes joined into the last one, its index, and the shape with ones kept."""
    axes = range(a.ndim) if axis is None else (axis,) if np.ndim(axis) == 0 else axis
    axes = tuple(i % a.ndim for i in axes)
    kept = tuple(1 if i in axes else n for i, n in enumerate(a.shape))
    moved = np.moveaxis(a, axes, range(-len(axes), 0)) if axes else a[..., None]
    return np.reshape(moved, (*[n for i, n in enumerate(a.shape) if i not in axes], -1)), -1, kept


def pick(a: Any, q: Any, method: Any) -> Any:
    """Return quantiles along the last axis, those of q first.

    Every method of NumPy's takes a point between two neighbours of the sorted values; which point, its own
    result for the values 0, 1, 2, ... tells.
    """
    n = a.shape[-1]
    place = np.quantile(np.arange(float(n)), q, method=method)
    low = np.floor(place).astype(int)
    share = place - low
    ordered = np.moveaxis(np.sort(a, axis=-1), -1, 0)
    dtype = np.result_type(a.dtype, share.dtype) if np.ndim(q) else a.dtype
    share = np.reshape(share, np.shape(share) + (1,) * (a.ndim - 1)).astype(dtype)
    result = ordered[low] * (1 - share) + ordered[np.minimum(low + 1, n - 1)] * share
    # NumPy says NaN wherever a NaN is among the values.
    return np.where(np.any(np.isnan(a), axis=-1), np.nan, result).astype(dtype)


def quantile_with(reduce: Any, a: Any, q: Any, axis: Any, method: str, keepdims: bool) -> Any:
    """Return quantiles over `axis`, reduced by `reduce`."""
    q = np.asarray(q)
    if not np.all((q >= 0) & (q <= 1)):
        raise ValueError("Quantiles must be in the range [0, 1]")
    line, _, kept = single_axis(a, axis)
    result = reduce(line, q, method)
    return np.reshape(result, q.shape + kept) if keepdims else result


def refuse_weights(weights: Any) -> None:
    """Raise for weighted quantiles."""
    if weights is not None:
        raise TypeError("quantiles with weights are not differentiable here; sort and interpolate by hand")


@composed(np.quantile)
def quantile(
    a: Any,
    q: Any,
    axis: Any = None,
    out: Any = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
    *,
    weights: Any = None,
    interpolation: Any = None,
) -> Any:
    """Return the q-th quantiles."""
    refuse_weights(weights)
    return quantile_with(pick, a, q, axis, interpolation or method, keepdims)


@composed(np.percentile)
def percentile(a: Any, q: Any, *args: Any, **kwargs: Any) -> Any:
    """Return the q-th percentiles."""
    return np.quantile(a, np.true_divide(q, 100), *args, **kwargs)


@composed(np.median)
def median(
    a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: bool = False
) -> Any:
    """Return the median, the mean of the two middle values where there are two."""
    return np.quantile(a, 0.5, axis=axis, keepdims=keepdims)


def pick_without_nan(a: Any, q: Any, method: str) -> Any:
    """Return quantiles along the last axis of the entries that are numbers."""
    rows = np.reshape(a, (-1, a.shape[-1]))
    valid = ~np.isnan(rows)
    picked = [
        pick(rows[i][valid[i]], q, method) if valid[i].any() else np.full(np.shape(q), np.nan)
        for i in range(len(rows))
    ]
    return np.reshape(np.stack(picked, axis=-1), (*np.shape(q), *a.shape[:-1]))


@composed(np.nanquantile)
def nanquantile(
    a: Any,
    q: Any,
    axis: Any = None,
    out: Any = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
    *,
    weights: Any = None,
    interpolation: Any = None,
) -> Any:
    """Return the q-th quantiles of the entries that are numbers."""
    refuse_weights(weights)
    return quantile_with(pick_without_nan, a, q, axis, interpolation or method, keepdims)


@composed(np.nanpercentile)
def nanpercentile(a: Any, q: Any, *args: Any, **kwargs: Any) -> Any:
    """Return the q-th percentiles of the entries that are numbers."""
    return np.nanquantile(a, np.true_divide(q, 100), *args, **kwargs)


@composed(np.nanmedian)
def nanmedian(
    a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: bool = False
) -> Any:
    """Return the median of the entries that are numbers."""
    return np.nanquantile(a, 0.5, axis=axis, keepdims=keepdims)


@composed(np.unique)
def unique(
    ar: Any,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: Any = None,
    **options: Any,
) -> Any:
    """Return the sorted distinct values, each the first entry that has it."""
    values = ar.detach().numpy()
    options.update(return_inverse=return_inverse, return_counts=return_counts, axis=axis)
    _, index, *rest = np.unique(values, return_index=True, **options)
    found = np.ravel(ar)[index] if axis is None else np.take(ar, index, axis=axis)
    results = (found, *([index] if return_index else []), *rest)
    return results if len(results) > 1 else found
