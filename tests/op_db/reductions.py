"""Counterparts of reductions, running sums, order statistics and statistics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

from tests.op_db import NotInNumPy

np: Any = numpy  # called with Tensors, and with what PyTorch gives


def axes_of(a: Any, dim: Any) -> Any:
    """Return PyTorch's `dim` as an axis: none at all, or of a number, means all."""
    if dim is None or a.ndim == 0 or (isinstance(dim, tuple | list) and not dim):
        return None
    return tuple(dim) if isinstance(dim, list) else dim


def restored(y: Any, a: Any) -> Any:
    """Return a result with the dimensions of one that keepdims would give of a number."""
    return np.reshape(y, (1,) * a.ndim)


def reduction(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(a: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
        options = {} if dtype is None else {"dtype": dtype}
        return function(a, axis=axes_of(a, dim), keepdims=keepdim, **options)

    return call


def index_of(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(a: Any, dim: Any = None, keepdim: bool = False) -> Any:
        return function(a, axis=axes_of(a, dim), keepdims=keepdim)

    return call


def with_index(function: Callable[..., Any], place: Callable[..., Any]) -> Callable[..., Any]:
    """Return a reduction that also tells where, and whose gradient goes there: ties go to one."""

    def call(a: Any, *args: Any, dim: Any = None, keepdim: bool = False) -> Any:
        if args and not isinstance(args[0], int):
            return function(a, args[0])
        dim, keepdim = (*args, *(dim, keepdim)[len(args) :])[:2]
        if dim is None:
            return function(a)
        if a.ndim == 0:
            return a, np.argmax(a)
        found = place(a, axis=dim, keepdims=True)
        values = np.take_along_axis(a, found, dim)
        return (values, found) if keepdim else (np.squeeze(values, dim), np.squeeze(found, dim))

    return call


def maximum_or_reduce(reduce: Any, pair: Any, place: Any) -> Callable[..., Any]:
    by_axis = with_index(reduce, place)

    def call(a: Any, *args: Any, **kwargs: Any) -> Any:
        if args and not isinstance(args[0], int):
            return pair(a, args[0])
        return by_axis(a, *args, **kwargs)

    return call


def spread_of(function: Callable[..., Any], mean_too: bool = False) -> Callable[..., Any]:
    def call(
        a: Any, dim: Any = None, unbiased: bool = True, keepdim: bool = False, correction: Any = None
    ) -> Any:
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        axis = axes_of(a, dim)
        ddof = (1 if unbiased else 0) if correction is None else correction
        y = function(a, axis=axis, ddof=ddof, keepdims=keepdim)
        return (y, np.mean(a, axis=axis, keepdims=keepdim)) if mean_too else y

    return call


def logsumexp(a: Any, dim: Any, keepdim: bool = False) -> Any:
    axis = axes_of(a, dim)
    shift = np.max(np.real(a), axis=axis, keepdims=True)
    y = np.log(np.sum(np.exp(a - shift), axis=axis, keepdims=True)) + shift
    return y if keepdim or a.ndim == 0 else np.squeeze(y, axis)


def logcumsumexp(a: Any, dim: int) -> Any:
    if np.iscomplexobj(a):
        raise NotInNumPy("NumPy's function takes no complex numbers")
    return a if a.ndim == 0 else np.logaddexp.accumulate(a, dim)


def running(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(a: Any, dim: int, dtype: Any = None) -> Any:
        if a.ndim == 0:
            return np.copy(a)
        return function(a, dim) if dtype is None else function(a, dim, dtype)

    return call


def running_extreme(ufunc: np.ufunc) -> Callable[..., Any]:
    def call(a: Any, dim: int) -> Any:
        if a.ndim == 0:
            return a, np.zeros((), int)
        values = ufunc.accumulate(a, dim)
        return values, _places(np.asarray(values.numpy() if hasattr(values, "numpy") else values), a, dim)

    return call


def _places(values: np.ndarray, a: Any, dim: int) -> np.ndarray:
    """Return where the running extreme was last met."""
    plain = a.numpy() if hasattr(a, "numpy") else a
    counts = np.arange(values.shape[dim]).reshape(
        [-1 if i == dim % values.ndim else 1 for i in range(values.ndim)]
    )
    return np.maximum.accumulate(np.where(plain == values, counts, 0), dim)


def aminmax(a: Any, *, dim: Any = None, keepdim: bool = False) -> Any:
    axis = axes_of(a, dim)
    return np.min(a, axis=axis, keepdims=keepdim), np.max(a, axis=axis, keepdims=keepdim)


def sort(a: Any, dim: int = -1, descending: bool = False, stable: bool | None = None) -> Any:
    if a.ndim == 0:
        return a, np.zeros((), int)
    order = np.argsort(-a if descending else a, axis=dim, kind="stable")
    return np.take_along_axis(a, order, dim), order


def argsort(a: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    return sort(a, dim, descending)[1]


def msort(a: Any) -> Any:
    return np.sort(a, axis=0)


def topk(a: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    if not sorted:
        raise NotInNumPy("no order is promised")
    if a.ndim == 0:
        return a, np.zeros((), int)
    values, order = sort(a, dim, largest)
    first = (slice(None),) * (dim % a.ndim) + (slice(0, k),)
    return values[first], order[first]


def kthvalue(a: Any, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    if a.ndim == 0:
        return a, np.zeros((), int)
    values, order = sort(a, dim)
    place = [k - 1]
    values, order = np.take(values, place, dim), np.take(order, place, dim)
    return (values, order) if keepdim else (np.squeeze(values, dim), np.squeeze(order, dim))


def median(a: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """PyTorch's median of an even number is the lower of the two in the middle."""
    if dim is None:
        return np.sort(np.reshape(a, -1))[(a.size - 1) // 2]
    if a.ndim == 0:
        return a, np.zeros((), int)
    return kthvalue(a, (a.shape[dim] + 1) // 2, dim, keepdim)


def nanmedian(a: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The lower median of the numbers: sorting puts what is none at the end."""
    if dim is None:
        a = np.reshape(a, -1)
        return np.sort(a)[max(np.count_nonzero(~np.isnan(a)) - 1, 0) // 2]
    if a.ndim == 0:
        return a, np.zeros((), int)
    order = np.argsort(a, axis=dim, kind="stable")
    middle = np.maximum(np.count_nonzero(~np.isnan(a), axis=dim, keepdims=True) - 1, 0) // 2
    found = np.take_along_axis(order, middle, dim)
    values = np.take_along_axis(a, found, dim)
    return (values, found) if keepdim else (np.squeeze(values, dim), np.squeeze(found, dim))


def histogram(a: Any, bins: Any, *, range: Any = None, weight: Any = None, density: bool = False) -> Any:
    weights = None if weight is None else np.ravel(weight)
    return np.histogram(np.ravel(a), bins, range, weights=weights, density=density)


def histogramdd(a: Any, bins: Any, *, range: Any = None, weight: Any = None, density: bool = False) -> Any:
    ranges = None if range is None else list(zip(range[::2], range[1::2], strict=True))
    weights = None if weight is None else np.ravel(weight)
    counts, edges = np.histogramdd(np.reshape(a, (-1, a.shape[-1])), bins, ranges, density, weights)
    return [counts, *edges]


def histc(a: Any, bins: int = 100, min: float = 0, max: float = 0) -> Any:
    if min == max and a.size == 0:
        raise NotInNumPy("nothing has no least entry")
    if min == max:
        min, max = np.min(a), np.max(a)
    return np.histogram(a, bins, (min, max))[0] + 0.0


def unique(
    a: Any, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, dim: Any = None
) -> Any:
    return np.unique(a, False, return_inverse, return_counts, dim)


def unique_consecutive(
    a: Any, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    if a.size == 0:
        raise NotInNumPy("nothing has no first row")
    rows = np.ravel(a) if dim is None else np.moveaxis(a, dim, 0)
    news = np.any(rows[1:] != rows[:-1], axis=tuple(range(1, rows.ndim)))
    starts = np.concatenate(([True], news))
    first, inverse = np.flatnonzero(starts), np.cumsum(starts) - 1
    found = [rows[first] if dim is None else np.moveaxis(rows[first], 0, dim)]
    if return_inverse:
        found.append(np.reshape(inverse, a.shape) if dim is None else inverse)
    return [*found, np.diff(first, append=len(rows))] if return_counts else found


def quantile(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(a: Any, q: Any, dim: Any = None, keepdim: bool = False, interpolation: str = "linear") -> Any:
        return function(a, q, axis=axes_of(a, dim), keepdims=keepdim, method=interpolation)

    return call


def cov(a: Any, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Any:
    if aweights is not None and aweights.dtype == np.float32 and a.dtype in (np.float64, np.complex128):
        raise NotInNumPy("weights are summed in double precision")
    return np.cov(a, ddof=correction, fweights=fweights, aweights=aweights)


def trapezoid(y: Any, x: Any = None, *, dx: float = 1.0, dim: int = -1) -> Any:
    if x is not None and x.ndim < y.ndim and x.ndim > 1:
        raise NotInNumPy("x must be of one dimension or of y's")
    integrate = getattr(np, "trapezoid", None) or np.trapz  # NumPy 1.26
    return integrate(y, x, dx, dim)


def cumulative_trapezoid(y: Any, x: Any = None, *, dx: float = 1.0, dim: int = -1) -> Any:
    d: Any = dx
    if x is not None:
        d = np.diff(x, axis=dim if x.ndim > 1 else -1)
        if x.ndim == 1:
            d = np.reshape(d, [-1 if i == dim % y.ndim else 1 for i in range(y.ndim)])
    mean = np.moveaxis(y, dim, 0)
    mean = np.moveaxis((mean[1:] + mean[:-1]) / 2, 0, dim)
    return np.cumsum(d * mean, axis=dim)


def diff(a: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    options = {k: v for k, v in {"prepend": prepend, "append": append}.items() if v is not None}
    return np.diff(a, n, dim, **options)


def gradient(a: Any, *, spacing: Any = None, dim: Any = None, edge_order: int = 1) -> Any:
    steps = () if spacing is None else tuple(spacing) if isinstance(spacing, list) else (spacing,)
    axis = range(a.ndim) if dim is None else dim
    return np.gradient(a, *steps, axis=tuple(axis), edge_order=edge_order)


def count_nonzero(a: Any, dim: Any = None) -> Any:
    return np.count_nonzero(a, axis=axes_of(a, dim))


def searchsorted(
    a: Any, v: Any, *, out_int32: bool = False, right: bool = False, side: Any = None, sorter: Any = None
) -> Any:
    if a.ndim != 1:
        raise NotInNumPy("NumPy searches one row")
    found = np.searchsorted(a, v, side or ("right" if right else "left"), sorter)
    return found.astype(np.int32) if out_int32 else found


def bucketize(a: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> Any:
    return np.asarray(np.digitize(a, boundaries, right=not right))


def norm(a: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    if p is None or p == "fro":
        p = 2
    elif p == "nuc":
        return np.linalg.norm(a, "nuc", tuple(dim) if dim else None, keepdim)
    if dim is not None and not isinstance(dim, int):
        raise NotInNumPy("NumPy's norm over two axes is that of matrices")
    if a.ndim == 0:
        a = np.reshape(a, (1,))
        return np.linalg.norm(a, p)
    if dim is None:
        y = np.linalg.norm(np.reshape(a, -1), p)
        return np.reshape(y, (1,) * a.ndim) if keepdim else y
    return np.linalg.norm(a, p, dim, keepdim)


def dist(a: Any, b: Any, p: float = 2) -> Any:
    return np.linalg.norm(np.reshape(a - b, -1), p)


TABLE = {
    "all": reduction(np.all),
    "amax": reduction(np.amax),
    "amin": reduction(np.amin),
    "aminmax": aminmax,
    "any": reduction(np.any),
    "argmax": index_of(np.argmax),
    "argmin": index_of(np.argmin),
    "argsort": argsort,
    "bucketize": bucketize,
    "corrcoef": np.corrcoef,
    "count_nonzero": count_nonzero,
    "cov": cov,
    "cummax": running_extreme(np.maximum),
    "cummin": running_extreme(np.minimum),
    "cumprod": running(np.cumprod),
    "cumsum": running(np.cumsum),
    "cumulative_trapezoid": cumulative_trapezoid,
    "diff": diff,
    "dist": dist,
    "gradient": gradient,
    "histc": histc,
    "histogram": histogram,
    "histogramdd": histogramdd,
    "kthvalue": kthvalue,
    "logcumsumexp": logcumsumexp,
    "logsumexp": logsumexp,
    "max": maximum_or_reduce(np.max, np.maximum, np.argmax),
    "mean": reduction(np.mean),
    "median": median,
    "min": maximum_or_reduce(np.min, np.minimum, np.argmin),
    "msort": msort,
    "nanmedian": nanmedian,
    "nanmean": reduction(np.nanmean),
    "nanquantile": quantile(np.nanquantile),
    "nansum": reduction(np.nansum),
    "norm": norm,
    "prod": reduction(np.prod),
    "quantile": quantile(np.quantile),
    "searchsorted": searchsorted,
    "sort": sort,
    "std": spread_of(np.std),
    "std_mean": spread_of(np.std, mean_too=True),
    "sum": reduction(np.sum),
    "topk": topk,
    "trapezoid": trapezoid,
    "trapz": trapezoid,
    "unique": unique,
    "unique_consecutive": unique_consecutive,
    "var": spread_of(np.var),
    "var_mean": spread_of(np.var, mean_too=True),
}
