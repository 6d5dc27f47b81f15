"""Sorting and order statistics: which entry comes where is constant, and so results are entries, moved or mixed.

Of equal entries the first is taken to be the smaller, so each has a place, and the gradient of a quantile between
equal entries goes to those in its places (as in PyTorch).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from mytorch import arrays
from mytorch.rules.constants import values
from mytorch.rules.reductions import count, reduced
from mytorch.rules.registry import backward_of, composed, constant, dispatched
from mytorch.rules.shapes import as_array, normalize_axis_tuple
from mytorch.rules.statistics import aligned

constant(np.argsort, np.argpartition, np.lexsort, np.searchsorted, np.digitize)

# -- sorting -------------------------------------------------------------------------------------------------


@dispatched
def arranged(a: np.ndarray, *, order: np.ndarray, axis: int) -> np.ndarray:
    """Return the entries along `axis` in another order, a permutation."""
    return np.take_along_axis(a, order, axis)


backward_of(
    arranged, lambda g, *, order, axis: arranged(g, order=np.argsort(order, axis=axis), axis=axis), exact=True
)


def with_axis(a: Any, axis: int | None) -> tuple[Any, int]:
    """Return the array and an axis of it: itself, or flattened where none is given."""
    a = as_array(a)
    return (np.ravel(a), 0) if axis is None else (a, axis)


def refuse_fields(name: str, order: Any) -> None:
    """Raise for an order by fields."""
    if order is not None:
        raise TypeError(
            f"np.{name}: order= names the fields of structured arrays, but these are plain numbers"
        )


@composed(np.sort)
def sort(
    a: Any, axis: int | None = -1, kind: Any = None, order: Any = None, *, stable: bool | None = None
) -> Any:
    """Return the entries in ascending order, NaN last; equal ones stay in the order that they have."""
    refuse_fields("sort", order)
    a, axis = with_axis(a, axis)
    return arranged(a, order=np.argsort(values(a), axis=axis, kind="stable"), axis=axis)


@composed(np.partition)
def partition(a: Any, kth: Any, axis: int | None = -1, kind: Any = "introselect", order: Any = None) -> Any:
    """Return the entries with the `kth` in their sorted places, smaller ones before and larger ones after."""
    refuse_fields("partition", order)
    a, axis = with_axis(a, axis)
    return arranged(a, order=np.argpartition(values(a), values(kth), axis=axis, kind=kind), axis=axis)


# -- quantiles -----------------------------------------------------------------------------------------------


def quantiles(
    function: Callable[..., Any], a: Any, q: Any, axis: Any, keepdims: bool, dtype: Any, **options: Any
) -> Any:
    """Return mixtures of entries, sorted along `axis`: those that `function`, one of NumPy's quantiles, gives.

    Between two entries the result is linear in `q`; at an entry its derivative by `q` is zero, as in PyTorch.
    """
    q, probability = values(q), q
    axes = reduced(a.ndim, axis)
    line = flattened(a, axes)
    order = np.argsort(values(line), axis=-1, kind="stable")
    places = places_of(function, values(line), order, q, **options)
    ordered = arranged(line, order=order, axis=-1)
    # Of a slice with NaN, or (without NaN) of nothing but NaN, the result is NaN: the last of the sorted entries.
    last = line.shape[-1] - 1
    low = np.where(np.isnan(places), last, np.floor(places)).astype(np.intp)
    share = np.where(np.isnan(places), 0, places - low)
    high = np.minimum(low + (share > 0), last)
    share = share.astype(dtype)
    result = entries(ordered, low)
    extra = _EXTRA.get(options["method"])
    moving = probability is not q and extra is not None
    if moving:
        steps = np.count_nonzero(~np.isnan(values(line)), axis=-1) + extra  # what the whole of q passes over
        unit = 100 if function in (np.percentile, np.nanpercentile) else 1
        moved = np.reshape(probability - q, np.shape(q) + (1,) * (line.ndim - 1))  # zero, with a derivative
        share = share + moved * (steps / unit)
    if moving or share.any():
        result = result + (entries(ordered, high) - result) * share
    result = result.astype(dtype, copy=False)
    shape = [1 if i in axes else n for i, n in enumerate(a.shape)]
    return result.reshape([*np.shape(q), *shape]) if keepdims else result


# Of the methods that are continuous in q: 1 - alpha - beta of Hyndman & Fan, "Sample quantiles", 1996.
_EXTRA = {
    "linear": -1.0,
    "interpolated_inverted_cdf": 0.0,
    "hazen": 0.0,
    "weibull": 1.0,
    "median_unbiased": 1 / 3,
    "normal_unbiased": 1 / 4,
}


def flattened(a: Any, axes: tuple[int, ...]) -> Any:
    """Return `a` with `axes` as one, the last."""
    outer = a.ndim - len(axes)
    moved = np.moveaxis(a, axes, tuple(range(outer, a.ndim)))
    return moved.reshape(*moved.shape[:outer], math.prod(moved.shape[outer:]))


def places_of(
    function: Callable[..., Any], a: Any, order: Any, q: Any, weights: Any = None, **options: Any
) -> Any:
    """Return where among the sorted entries the quantiles lie: 2.5 is in the middle of the third and the fourth.

    Every method of NumPy's takes a point between two neighbours.  Which, its own result for 0, 1, 2, ... tells.
    """
    if weights is None and not np.isnan(a).any():
        place = arrays.asarray(function(np.arange(float(a.shape[-1])), q, **options))
        return np.broadcast_to(place.reshape(place.shape + (1,) * (a.ndim - 1)), place.shape + a.shape[:-1])
    ranks = np.where(np.isnan(a), np.nan, np.argsort(order, axis=-1))
    if weights is None:
        return arrays.asarray(function(ranks, q, axis=-1, **options))
    nothing = False
    if function in _WITH_NAN:  # what is to be left out weighs nothing (NumPy's own needs one slice at a time)
        missing = np.isnan(a)
        nothing = missing.all(axis=-1)
        ranks = np.where(missing, a.shape[-1] - 1, ranks)
        weights = np.where(missing & ~nothing[..., None], 0, weights)
        function = _WITH_NAN[function]
    return np.where(nothing, np.nan, function(ranks, q, axis=-1, weights=weights, **options))


_WITH_NAN: dict[Any, Any] = {np.nanquantile: np.quantile, np.nanpercentile: np.percentile}


def entries(ordered: Any, index: Any) -> Any:
    """Return the entries along the last axis that `index`, of shape (..., outer axes), names."""
    return ordered[(*np.ix_(*map(np.arange, ordered.shape[:-1])), index)]


def _register(function: Callable[..., Any]) -> None:
    """Say how quantiles, or percentiles, with or without NaN, are composed."""

    @composed(function)
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
        a = as_array(a)
        if a.dtype.kind == "c":
            raise TypeError("a must be an array of real numbers")
        if getattr(weights, "requires_grad", False):
            raise TypeError(
                f"np.{function.__name__} is not differentiated by its weights; pass weights.detach()"
            )
        options: dict[str, Any] = {"method": interpolation or method}
        if not getattr(q, "requires_grad", False):
            q = values(q)
        elif weights is not None:
            raise TypeError(
                f"np.{function.__name__} with weights is not differentiated by q; pass q.detach()"
            )
        if axis is not None:
            axis = normalize_axis_tuple(axis, a.ndim)
        if a.size == 0:  # nothing to differentiate: an empty result, NaN or an error, as NumPy has it
            if weights is not None:
                options["weights"] = values(weights)
            found = function(values(a), values(q), axis, keepdims=keepdims, **options)
            return np.full_like(a, found, dtype=found.dtype, shape=np.shape(found))
        dtype = function(np.zeros(1, a.dtype), values(q), **options).dtype
        if weights is not None:
            mass = aligned(arrays.asarray(values(weights)), a, axis)
            options["weights"] = flattened(mass, reduced(a.ndim, axis))
        return quantiles(function, a, q, axis, keepdims, dtype, **options)


for _function in (np.quantile, np.percentile, np.nanquantile, np.nanpercentile):
    _register(_function)


@composed(np.median)
def median(
    a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: bool = False
) -> Any:
    """Return the entry in the middle, or the mean of the two."""
    return middle(np.quantile, a, axis, keepdims)


@composed(np.nanmedian)
def nanmedian(
    a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: bool = False
) -> Any:
    """Return the middle of the entries that are numbers."""
    return middle(np.nanquantile, a, axis, keepdims)


def middle(function: Callable[..., Any], a: Any, axis: Any, keepdims: bool) -> Any:
    """Return the median by one of the quantiles; of integers and truth values, as NumPy does, in double precision."""
    a = as_array(a)
    a = a if a.dtype.kind in "fc" else a.astype(float)
    if axis is not None:
        axis = normalize_axis_tuple(axis, a.ndim)
    if count(a.shape, axis) == 0:
        return np.mean(a, axis=axis, keepdims=keepdims)  # NaN, with NumPy's warning
    return quantiles(function, a, 0.5, axis, keepdims, a.dtype, method="linear")


# -- distinct values -----------------------------------------------------------------------------------------


@composed(np.unique)
def unique(
    ar: Any,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    **options: Any,
) -> Any:
    """Return the sorted distinct values, each of which is the first entry that has it."""
    ar = as_array(ar)
    options.update(return_inverse=return_inverse, return_counts=return_counts, axis=axis)
    _, index, *rest = np.unique(values(ar), return_index=True, **options)
    found = np.take(ar, index, axis=axis)
    results = (found, *([index] if return_index else []), *rest)
    return results if len(results) > 1 else found
