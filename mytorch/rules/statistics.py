"""Variances, weighted averages and correlations.

The standard deviation of equal numbers has the gradient zero, as in PyTorch, although it has a kink there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mytorch import arrays
from mytorch.rules.arithmetic import nonzero
from mytorch.rules.constants import values
from mytorch.rules.masks import masked
from mytorch.rules.reductions import count, kept, numbers, over, reduced, selected
from mytorch.rules.registry import backward_of, composed, dispatched
from mytorch.rules.shapes import as_array, at_least

# -- variances -----------------------------------------------------------------------------------------------


@dispatched
def variance(a: np.ndarray, *, axis: Any, ddof: float, keepdims: bool, where: Any) -> Any:
    """Return ``sum(|a - mean|²) / (n - ddof)``."""
    return np.var(a, axis, ddof=ddof, keepdims=keepdims, where=where)


def variance_slope(g: Any, a: Any, axis: Any, ddof: Any, keepdims: bool, where: Any) -> Any:
    """Return the gradient of a variance, ``2 (a - mean) / (n - ddof)``."""
    difference = a - np.mean(a, axis=axis, keepdims=True, where=where)
    weight = over(2 * kept(g, a.shape, axis, keepdims), count(a.shape, axis, where) - ddof, 0)
    return weight * selected(difference, where)


@dispatched
def root(a: Any) -> Any:
    """Return the square root; its slope counts as zero where it is infinite."""
    return np.sqrt(a)


backward_of(
    variance,
    lambda g, a, *, axis, ddof, keepdims, where: variance_slope(g, a, axis, ddof, keepdims, where),
    holomorphic=False,
    name="var",
)
backward_of(root, lambda g, y: masked(g / (2 * nonzero(y)), y != 0), elementwise=True, name="std")


@composed(np.var)
def var(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    ddof: Any = 0,
    keepdims: bool = False,
    *,
    where: Any = True,
    mean: Any = None,
    correction: Any = None,
) -> Any:
    """Return the variance, around `mean` if that is given."""
    ddof = ddof if correction is None else correction
    where = where if where is True else arrays.array(values(where))
    if mean is None:
        if dtype is None or (a.dtype == dtype and a.dtype.kind == "f"):
            return variance(a, axis=axis, ddof=ddof, keepdims=keepdims, where=where)
        mean = np.mean(a, axis=axis, dtype=dtype, keepdims=True, where=where)
    difference = a - mean
    square = (
        (difference * np.conj(difference)).real if difference.dtype.kind == "c" else np.square(difference)
    )
    total = np.sum(square, axis=axis, dtype=dtype, keepdims=True, where=where)
    y = over(total, count(a.shape, axis, where) - ddof, 0).astype(total.dtype, copy=False)
    return y if keepdims else np.squeeze(y, axis)


@composed(np.std)
def std(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, *args: Any, **kwargs: Any) -> Any:
    """Return the square root of the variance."""
    return root(np.var(a, axis, dtype, None, *args, **kwargs))


@composed(np.nanvar)
def nanvar(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    ddof: Any = 0,
    keepdims: bool = False,
    *,
    where: Any = True,
    mean: Any = None,
    correction: Any = None,
) -> Any:
    """Return the variance of the entries that are numbers."""
    chosen, ddof = numbers(a, where), ddof if correction is None else correction
    y = np.var(a, axis, dtype, None, ddof, keepdims, where=chosen, **({} if mean is None else {"mean": mean}))
    lacking = np.count_nonzero(np.broadcast_to(chosen, a.shape), axis, keepdims=keepdims) <= ddof
    return np.where(lacking, y.dtype.type(np.nan), y) if np.any(lacking) else y


@composed(np.nanstd)
def nanstd(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, *args: Any, **kwargs: Any) -> Any:
    """Return the standard deviation of the entries that are numbers."""
    return root(np.nanvar(a, axis, dtype, None, *args, **kwargs))


# -- weighted averages ---------------------------------------------------------------------------------------


@composed(np.average)
def average(
    a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: bool = False
) -> Any:
    """Return ``sum(a * weights) / sum(weights)``, and the sum of weights if that is to be `returned`."""
    a = as_array(a)
    if weights is None:
        mean = np.mean(a, axis=axis, keepdims=keepdims)
        total: Any = np.full(mean.shape, count(a.shape, axis), mean.dtype)
    else:
        weights = aligned(as_array(weights), a, axis)
        dtype = np.result_type(a.dtype, weights.dtype, *([np.float64] if a.dtype.kind in "biu" else []))
        total = np.sum(weights, axis=axis, dtype=dtype, keepdims=keepdims)
        if np.any(total == 0):
            raise ZeroDivisionError("Weights sum to zero, can't be normalized")
        mean = np.sum(np.multiply(a, weights, dtype=dtype), axis=axis, keepdims=keepdims) / total
    return (mean, total) if returned else mean


def aligned(weights: Any, a: Any, axis: Any) -> Any:
    """Return weights of the shape of `a`, from weights along `axis` alone."""
    if weights.shape == a.shape:
        return weights
    if axis is None:
        raise TypeError("Axis must be specified when shapes of a and weights differ.")
    axes = reduced(a.ndim, axis)
    if weights.shape != tuple(a.shape[i] for i in axes):
        raise ValueError("Shape of weights must be consistent with shape of a along specified axis.")
    ordered = np.transpose(weights, np.argsort(axes))
    return np.broadcast_to(ordered.reshape([n if i in axes else 1 for i, n in enumerate(a.shape)]), a.shape)


# Newer versions of NumPy take a matrix of one row, too, for observations of several variables (``rowvar=False``).
TURNS_ROWS = np.cov(np.zeros((1, 2)), rowvar=False, ddof=0).ndim == 2


# -- correlation ---------------------------------------------------------------------------------------------


@composed(np.cov)
def cov(
    m: Any,
    y: Any = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: int | None = None,
    fweights: Any = None,
    aweights: Any = None,
    *,
    dtype: Any = None,
) -> Any:
    """Return the covariance matrix of the variables, ``(x - mean) conj(x - mean)ᵀ / (n - ddof)``."""
    x = variables(m, y, rowvar, dtype)
    ddof = (0 if bias else 1) if ddof is None else ddof
    named = (("fweights", fweights), ("aweights", aweights))
    given = [of_observations(name, as_array(w), x.shape[1]) for name, w in named if w is not None]
    if not given:
        x = x - np.mean(x, axis=1, keepdims=True)
        return np.squeeze(x @ conjugate_transpose(x) / max(x.shape[1] - ddof, 0))
    weights = given[0] if len(given) == 1 else given[0] * given[1]
    total = np.sum(weights)
    freedom = total - ddof * (1 if aweights is None else np.sum(weights * given[-1]) / total)
    x = x - np.sum(x * weights, axis=1, keepdims=True) / total
    return np.squeeze(x @ conjugate_transpose(x * weights) / np.maximum(freedom, 0))


def of_observations(name: str, weights: Any, n: int) -> Any:
    """Return the weights of `n` observations, in double precision."""
    if weights.shape != (n,):
        raise RuntimeError(
            f"cov: expected {name} of shape {(n,)}, one for each observation, got {weights.shape}"
        )
    return weights.astype(float)


def conjugate_transpose(x: Any) -> Any:
    """Return the adjoint of a matrix."""
    return (np.conj(x) if x.dtype.kind == "c" else x).T


def variables(m: Any, y: Any, rowvar: bool, dtype: Any) -> Any:
    """Return the variables in `m` and `y` as the rows of one matrix, in double precision unless `dtype` is given."""
    parts = [at_least(as_array(x), 2) for x in (m, y) if x is not None]
    for name, part in zip("my", parts, strict=False):
        if part.ndim > 2:
            raise ValueError(f"{name} has more than 2 dimensions")
    rows = [
        x if rowvar or (x.shape[0] == 1 and not (TURNS_ROWS and i == 0 and np.ndim(m) == 2)) else x.T
        for i, x in enumerate(parts)
    ]
    x = rows[0] if y is None else np.concatenate(rows, axis=0)
    return x.astype(np.result_type(x.dtype, np.float64) if dtype is None else dtype)


@composed(np.corrcoef)
def corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Any:
    """Return the correlation matrix, ``C[i, j] / sqrt(C[i, i] C[j, j])``, with parts between -1 and 1."""
    c = np.cov(x, y, rowvar, dtype=dtype)
    if c.ndim == 0:
        return c / c
    scale = np.sqrt(np.diagonal(c).real)
    c = c / scale[:, None] / scale
    if c.dtype.kind != "c":
        return np.clip(c, -1, 1)
    return np.clip(c.real, -1, 1) + 1j * np.clip(c.imag, -1, 1)
