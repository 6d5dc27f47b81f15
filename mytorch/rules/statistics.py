"""Means, variances and correlations, and their forms that leave NaN out, composed of plain reductions."""

from __future__ import annotations

from typing import Any

import numpy as np

from mytorch.rules.reductions import count
from mytorch.rules.registry import composed


def plain(value: Any, otherwise: Any) -> Any:
    """Return `value`, or `otherwise` where NumPy says that none was given."""
    return otherwise if value is None or value is np._NoValue else value


@composed(np.var)
def var(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    ddof: float = 0,
    keepdims: Any = False,
    *,
    where: Any = True,
    mean: Any = None,
    correction: Any = None,
) -> Any:
    """Return ``sum(|a - mean|²) / (n - ddof)``."""
    ddof, where = plain(correction, ddof), plain(where, True)
    a = a if dtype is None else a.astype(dtype)
    n: Any = float(count(a.shape, axis))
    if where is not True:
        n = np.sum(np.broadcast_to(where, a.shape), axis=axis, keepdims=True).astype(a.real.dtype)
    center = plain(mean, None)
    if center is None:
        center = (np.sum(a, axis=axis, keepdims=True, where=where) / n).astype(a.dtype, copy=False)
    deviation = a - center
    squares = np.square(deviation) if a.dtype.kind != "c" else (deviation * np.conj(deviation)).real
    total = np.sum(squares, axis=axis, keepdims=plain(keepdims, False), where=where)
    left = max(n - ddof, 0.0) if where is True else np.maximum(np.reshape(n, total.shape) - ddof, 0)
    return (total / left).astype(total.dtype, copy=False)


def root(variance: Any) -> Any:
    """Return the square root, with the slope 0 at 0 (as PyTorch's standard deviation has it)."""
    zero = variance == 0
    return np.where(zero, 0, np.sqrt(np.where(zero, 1, variance))).astype(variance.dtype, copy=False)


@composed(np.std)
def std(a: Any, *args: Any, **kwargs: Any) -> Any:
    """Return the square root of the variance."""
    return root(np.var(a, *args, **kwargs))


@composed(np.average)
def average(
    a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: Any = False
) -> Any:
    """Return ``sum(a * weights) / sum(weights)``."""
    keepdims = plain(keepdims, False)
    if weights is None:
        result = np.mean(a, axis=axis, keepdims=keepdims)
        scale: Any = np.full(np.shape(result), float(count(np.shape(a), axis)))
    else:
        if np.shape(weights) != np.shape(a):
            axes = (axis,) if np.ndim(axis) == 0 else tuple(axis)
            weights = np.expand_dims(
                weights, tuple(i for i in range(np.ndim(a)) if i not in {j % np.ndim(a) for j in axes})
            )
            weights = np.broadcast_to(weights, np.shape(a))
        scale = np.sum(weights, axis=axis, keepdims=keepdims)
        result = np.sum(a * weights, axis=axis, keepdims=keepdims) / scale
    return (result, np.broadcast_to(scale, np.shape(result))) if returned else result


@composed(np.cov)
def cov(
    m: Any,
    y: Any = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: Any = None,
    fweights: Any = None,
    aweights: Any = None,
    *,
    dtype: Any = None,
) -> Any:
    """Return the covariance matrix of variables in rows, as NumPy defines it."""
    x = as_rows(m, rowvar)
    if y is not None:
        x = np.concatenate([x, as_rows(y, rowvar)], axis=0)
    x = x if dtype is None else x.astype(dtype)
    ddof = (0 if bias else 1) if ddof is None else ddof
    weights = np.ones(x.shape[1]) if fweights is None else np.asarray(fweights, float)
    weights = weights if aweights is None else weights * aweights
    total = np.sum(weights)
    factor = total - ddof if aweights is None else total - ddof * np.sum(weights * aweights) / total
    centered = x - np.sum(x * weights, axis=1, keepdims=True) / total
    return np.squeeze((centered * weights) @ np.conj(centered).T / factor)


def as_rows(m: Any, rowvar: bool) -> Any:
    """Return variables as the rows of a matrix."""
    m = m if np.ndim(m) == 2 else np.reshape(m, (1, -1))
    return m if rowvar or m.shape[0] == 1 else m.T


@composed(np.corrcoef)
def corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None, **deprecated: Any) -> Any:
    """Return the correlation matrix, ``C[i, j] / sqrt(C[i, i] C[j, j])``."""
    c = np.cov(x, y, rowvar, dtype=dtype)
    if c.ndim == 0:
        return c / c
    scale = np.sqrt(np.real(np.diagonal(c)))
    return c / scale[:, None] / scale


def without_nan(function: Any, a: Any, neutral: Any, args: Any, kwargs: Any) -> Any:
    """Return a reduction of `a` with NaN replaced by a neutral value."""
    return function(np.where(np.isnan(a), neutral, a), *args, **kwargs)


for nan_form, form, neutral in (
    (np.nansum, np.sum, 0),
    (np.nanprod, np.prod, 1),
    (np.nancumsum, np.cumsum, 0),
    (np.nancumprod, np.cumprod, 1),
):
    composed(nan_form)(lambda a, *args, f=form, n=neutral, **kwargs: without_nan(f, a, n, args, kwargs))


def nan_extremum(function: Any, worst: float, a: Any, args: Any, kwargs: Any) -> Any:
    """Return an extremum of the entries that are numbers, NaN where there are none."""
    missing = np.isnan(a)
    axis = args[0] if args else kwargs.get("axis")
    result = function(np.where(missing, worst, a), *args, **kwargs)
    empty = np.all(missing, axis=axis, keepdims=bool(plain(kwargs.get("keepdims"), False)))
    return np.where(empty, np.nan, result).astype(result.dtype, copy=False)


composed(np.nanmax)(lambda a, *args, **kwargs: nan_extremum(np.max, -np.inf, a, args, kwargs))
composed(np.nanmin)(lambda a, *args, **kwargs: nan_extremum(np.min, np.inf, a, args, kwargs))


def number_mask(a: Any, where: Any) -> Any:
    """Return where the entries are numbers, and wanted."""
    return ~np.isnan(a) if plain(where, True) is True else ~np.isnan(a) & where


@composed(np.nanmean)
def nanmean(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = True
) -> Any:
    """Return the mean of the entries that are numbers."""
    mask = number_mask(a, where)
    return np.mean(np.where(mask, a, 0), axis, dtype, keepdims=plain(keepdims, False), where=mask)


@composed(np.nanvar)
def nanvar(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    ddof: float = 0,
    keepdims: Any = False,
    *,
    where: Any = True,
    mean: Any = None,
    correction: Any = None,
) -> Any:
    """Return the variance of the entries that are numbers."""
    mask = number_mask(a, where)
    return np.var(
        np.where(mask, a, 0), axis, dtype, None, plain(correction, ddof), plain(keepdims, False), where=mask
    )


@composed(np.nanstd)
def nanstd(a: Any, *args: Any, **kwargs: Any) -> Any:
    """Return the standard deviation of the entries that are numbers."""
    return root(np.nanvar(a, *args, **kwargs))
