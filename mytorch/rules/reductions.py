"""Derivatives of sums, means, products and extrema over axes, and of their forms that leave out NaN.

Extrema share their gradient equally among the entries that tie, as PyTorch's ``amax`` does.  Products are exact
among zeros.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mytorch.rules.constants import values
from mytorch.rules.masks import masked
from mytorch.rules.matrices import of_field
from mytorch.rules.registry import backward_of, composed, constant, dispatched

# -- sums and means ------------------------------------------------------------------------------------------


def reduced(ndim: int, axis: Any) -> tuple[int, ...]:
    """Return the axes that `axis` (one, a tuple of them, or None for all) names, not negative."""
    if axis is None:
        return tuple(range(ndim))
    if isinstance(axis, tuple | list):
        return tuple([i % ndim for i in axis])
    return (axis % ndim,) if ndim else ()


def kept(g: Any, shape: tuple[int, ...], axis: Any, keepdims: bool) -> Any:
    """Return `g`, from a reduction of an array of `shape`, with the reduced axes in place, of length one."""
    if keepdims or axis is None or g.ndim == 0:
        return g
    axes = reduced(len(shape), axis)
    return g.reshape([1 if i in axes else n for i, n in enumerate(shape)])


def spread(g: Any, shape: tuple[int, ...], axis: Any, keepdims: bool) -> Any:
    """Return `g`, from a reduction of an array of `shape`, broadcast to that shape."""
    if type(g) is np.ndarray and g.ndim == 0:  # the same as broadcast_to, in a fifth of its time
        y = np.ndarray(shape, g.dtype, g, 0, (0,) * len(shape))
        y.flags.writeable = False
        return y
    return np.broadcast_to(kept(g, shape, axis, keepdims), shape)


def count(shape: tuple[int, ...], axis: Any, where: Any = True) -> Any:
    """Return how many entries make one of the result: a number, or an array with the axes kept if `where` tells."""
    if where is not True:
        chosen = np.broadcast_to(where, shape)
        return (
            int(np.count_nonzero(chosen)) if axis is None else np.count_nonzero(chosen, axis, keepdims=True)
        )
    return math.prod(shape) if axis is None else math.prod([shape[i] for i in reduced(len(shape), axis)])


def over(g: Any, number: Any, least: int) -> Any:
    """Return ``g / max(number, least)`` in the precision of `g`."""
    if isinstance(number, np.ndarray):
        return g / np.maximum(number, least).astype(g.dtype)
    return g / max(number, least)


def selected(g: Any, where: Any) -> Any:
    """Return `g`, and zero for entries that take no part in the reduction."""
    return g if where is True else masked(g, where)


def sum_slope(g: Any, shape: tuple[int, ...], axis: Any, keepdims: bool, where: Any) -> Any:
    """Return the gradient of a sum."""
    return selected(spread(g, shape, axis, keepdims), where)


def mean_slope(g: Any, shape: tuple[int, ...], axis: Any, keepdims: bool, where: Any) -> Any:
    """Return the gradient of a mean."""
    if where is True:
        return spread(over(g, count(shape, axis), 1), shape, axis, keepdims)
    part = over(kept(g, shape, axis, keepdims), count(shape, axis, where), 1)
    return masked(np.broadcast_to(part, shape), where)


backward_of(
    np.sum,
    lambda g, a_shape, *, axis=None, keepdims=False, where=True: sum_slope(g, a_shape, axis, keepdims, where),
)
backward_of(
    np.mean,
    lambda g, a_shape, *, axis=None, keepdims=False, where=True: mean_slope(
        g, a_shape, axis, keepdims, where
    ),
)


# -- products ------------------------------------------------------------------------------------------------


def product_slope(g: Any, a: Any, axis: Any, keepdims: bool, initial: Any, where: Any) -> Any:
    """Return the gradient of a product: of every entry, the product of the others."""
    a = of_field(a, g)
    factors = a if where is True else np.where(where, a, 1)
    return selected(kept(g * initial, a.shape, axis, keepdims) * others(factors, axis), where)


def others(a: Any, axis: Any) -> Any:
    """Return, for every entry, the product of the others over `axis`: of those before it, and those after it."""
    axes = reduced(a.ndim, axis)
    last = tuple(range(-len(axes), 0))
    moved = np.moveaxis(a, axes, last)
    outer = moved.shape[: a.ndim - len(axes)]
    line = moved.reshape(*outer, math.prod(moved.shape[len(outer) :]))
    product = before(line) * before(line[..., ::-1])[..., ::-1]
    return np.moveaxis(product.reshape(moved.shape), last, axes)


def before(a: Any) -> Any:
    """Return, for every entry along the last axis, the product of the entries before it."""
    ones = np.ones_like(values(a[..., :1]))
    return np.concatenate((ones, np.cumprod(a[..., :-1], axis=-1)), axis=-1)


backward_of(
    np.prod,
    lambda g, a, *, axis=None, keepdims=False, initial=1, where=True: product_slope(
        g, a, axis, keepdims, initial, where
    ),
)


# -- extrema -------------------------------------------------------------------------------------------------


def extremum_slope(g: Any, y: Any, a: Any, axis: Any, keepdims: bool, where: Any) -> Any:
    """Return the gradient of an extremum: entries that tie share it, and so do NaN, which are the result if any is."""
    found = (a == kept(y, a.shape, axis, keepdims)) | (a != a)
    return shared_among(g, found if where is True else found & where, axis, keepdims)


def number_slope(g: Any, y: Any, a: Any, axis: Any, keepdims: bool, where: Any) -> Any:
    """Return the gradient of an extremum that leaves out NaN."""
    found = a == kept(y, a.shape, axis, keepdims)
    return shared_among(g, found if where is True else found & where, axis, keepdims)


def shared_among(g: Any, found: Any, axis: Any, keepdims: bool) -> Any:
    """Return the gradient of a reduction as equal parts for the entries that are `found`."""
    # None is found where `initial` is the extremum.
    return masked(over(kept(g, found.shape, axis, keepdims), count(found.shape, axis, found), 1), found)


_function: Any
for _function in (np.max, np.min, np.amax, np.amin):
    backward_of(
        _function,
        lambda g, y, a, *, axis=None, keepdims=False, where=True: extremum_slope(
            g, y, a, axis, keepdims, where
        ),
    )
for _function in (np.nanmax, np.nanmin):
    backward_of(
        _function,
        lambda g, y, a, *, axis=None, keepdims=False, where=True: number_slope(
            g, y, a, axis, keepdims, where
        ),
    )


constant(np.all, np.any, np.count_nonzero, np.argmax, np.argmin, np.nanargmax, np.nanargmin)


@composed(np.ptp)
def ptp(a: Any, axis: Any = None, out: Any = None, keepdims: bool = False) -> Any:
    """Return the range, maximum minus minimum."""
    return np.max(a, axis=axis, keepdims=keepdims) - np.min(a, axis=axis, keepdims=keepdims)


# -- what ufuncs reduce to that have no function of their own ------------------------------------------------


@dispatched
def logsumexp(a: np.ndarray, **options: Any) -> Any:
    """Return ``log(sum(exp(a)))`` over an axis (the first by default) without overflow."""
    return np.logaddexp.reduce(a, **options)


@dispatched
def logsumexp2(a: np.ndarray, **options: Any) -> Any:
    """Return ``log2(sum(2 ** a))`` over an axis (the first by default) without overflow."""
    return np.logaddexp2.reduce(a, **options)


@dispatched
def fmax_reduce(a: np.ndarray, **options: Any) -> Any:
    """Return the maximum over an axis (the first by default) of the entries that are numbers, NaN if none is."""
    return np.fmax.reduce(a, **options)


@dispatched
def fmin_reduce(a: np.ndarray, **options: Any) -> Any:
    """Return the minimum over an axis (the first by default) of the entries that are numbers, NaN if none is."""
    return np.fmin.reduce(a, **options)


def portions(power: Any, g: Any, y: Any, a: Any, axis: Any, keepdims: bool, where: Any) -> Any:
    """Return the gradient of the logarithm of a sum of powers: every term's part of the sum, zero of nothing."""
    total = np.where(y == -np.inf, 0, y)
    part = power(a - kept(total, a.shape, axis, keepdims))
    return selected(kept(g, a.shape, axis, keepdims) * part, where)


backward_of(
    logsumexp,
    lambda g, y, a, *, axis=0, keepdims=False, where=True: portions(np.exp, g, y, a, axis, keepdims, where),
)
backward_of(
    logsumexp2,
    lambda g, y, a, *, axis=0, keepdims=False, where=True: portions(np.exp2, g, y, a, axis, keepdims, where),
)
for _function in (fmax_reduce, fmin_reduce):
    backward_of(
        _function,
        lambda g, y, a, *, axis=0, keepdims=False, where=True: number_slope(g, y, a, axis, keepdims, where),
    )


# -- without NaN ---------------------------------------------------------------------------------------------


def numbers(a: Any, where: Any = True) -> Any:
    """Return where the entries are numbers, and wanted."""
    mask = ~np.isnan(values(a))
    return mask if where is True else mask & values(where)


@composed(np.nansum)
def nansum(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: bool = False,
    initial: Any = 0,
    where: Any = True,
) -> Any:
    """Return the sum of the entries that are numbers."""
    mask = numbers(a, where)
    return np.sum(a, axis=axis, dtype=dtype, keepdims=keepdims, initial=initial, where=mask)


@composed(np.nanprod)
def nanprod(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: bool = False,
    initial: Any = 1,
    where: Any = True,
) -> Any:
    """Return the product of the entries that are numbers."""
    mask = numbers(a, where)
    return np.prod(a, axis=axis, dtype=dtype, keepdims=keepdims, initial=initial, where=mask)


@composed(np.nanmean)
def nanmean(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False, *, where: Any = True
) -> Any:
    """Return the mean of the entries that are numbers."""
    return np.mean(a, axis=axis, dtype=dtype, keepdims=keepdims, where=numbers(a, where))
