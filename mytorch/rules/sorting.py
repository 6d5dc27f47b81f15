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


def joined_axes(a: Any, axis: Any) -> tuple[Any, tuple[int, ...]]:
    """Return `a` with the reduced axes joined into one, the last, and its shape with ones in their places."""
    axes = tuple(
        i % a.ndim for i in (range(a.ndim) if axis is None else (axis,) if np.ndim(axis) == 0 else axis)
    )
    kept = tuple(1 if i in axes else n for i, n in enumerate(a.shape))
    moved = np.moveaxis(a, axes, range(-len(axes), 0)) if axes else a[..., None]
    return np.reshape(moved, (*[n for i, n in enumerate(a.shape) if i not in axes], -1)), kept


def pick(a: Any, q: Any, method: Any) -> Any:
    """Return quantiles along the last axis, those of q first.

    Every method of NumPy's takes a point between two neighbours of the sorted values; which point, its own
    result for the values 0, 1, 2, ... tells.
    """
    n = a.shape[-1]
    place = np.quantile(np.arange(float(n)), q, method=method)
    low = np.floor(place).astype(int)
    share = np.reshape(place - low, np.shape(place) + (1,) * (a.ndim - 1)).astype(a.dtype)
    ordered = np.moveaxis(np.sort(a, axis=-1), -1, 0)
    result = ordered[low] * (1 - share) + ordered[np.minimum(low + 1, n - 1)] * share
    # NumPy says NaN wherever a NaN is among the values.
    return np.where(np.any(np.isnan(a), axis=-1), np.nan, result)


def pick_without_nan(a: Any, q: Any, method: Any) -> Any:
    """Return quantiles along the last axis of the entries that are numbers."""
    rows = np.reshape(a, (-1, a.shape[-1]))
    valid = ~np.isnan(rows)
    picked = [
        pick(rows[i][valid[i]], q, method) if valid[i].any() else np.full(np.shape(q), np.nan)
        for i in range(len(rows))
    ]
    return np.reshape(np.stack(picked, axis=-1), (*np.shape(q), *a.shape[:-1]))


def quantiles(function: Any, reduce: Any, scale: float) -> Any:
    """Return what ``function(a, q, ...)`` is on Tensors: quantiles at ``q / scale``, by `reduce`."""

    def call(
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
        if weights is not None:
            raise TypeError(
                "quantiles with weights are not differentiable here; sort and interpolate by hand"
            )
        method = interpolation or method
        dtype = function(np.ones(1, a.dtype), q, method=method).dtype  # which checks q and the method, too
        return along_axes(reduce, a, np.asarray(q) / scale, axis, method, keepdims).astype(dtype, copy=False)

    return call


def medians(reduce: Any) -> Any:
    """Return what a median is on Tensors: the mean of the two middle values where there are two."""

    def call(
        a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: bool = False
    ) -> Any:
        return along_axes(reduce, a, np.array(0.5), axis, "linear", keepdims).astype(a.dtype, copy=False)

    return call


def along_axes(reduce: Any, a: Any, q: Any, axis: Any, method: str, keepdims: bool) -> Any:
    """Return quantiles over `axis`, which may be several."""
    line, kept = joined_axes(a, axis)
    result = reduce(line, q, method)
    return np.reshape(result, q.shape + kept) if keepdims else result


composed(np.quantile)(quantiles(np.quantile, pick, 1.0))
composed(np.percentile)(quantiles(np.percentile, pick, 100.0))
composed(np.nanquantile)(quantiles(np.nanquantile, pick_without_nan, 1.0))
composed(np.nanpercentile)(quantiles(np.nanpercentile, pick_without_nan, 100.0))
composed(np.median)(medians(pick))
composed(np.nanmedian)(medians(pick_without_nan))


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
