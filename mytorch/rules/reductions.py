"""Derivatives of sums, means, products and extrema over axes.

The rules are of the plain calls; calls with `where`, `initial` or `dtype` are composed of plain ones.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from mytorch.rules.registry import RULES, backward_of, composed, constant, signature_of


def spread(g: Any, shape: tuple[int, ...], axis: Any, keepdims: bool) -> Any:
    """Return `g`, the gradient of a reduction over `axis`, broadcast to the reduced array's `shape`."""
    return np.broadcast_to(g if g.ndim == 0 else kept(g, shape, axis, keepdims), shape)


def kept(value: Any, shape: tuple[int, ...], axis: Any, keepdims: bool) -> Any:
    """Return the result of a reduction with the reduced axes of length one."""
    if keepdims or value.ndim == len(shape):
        return value
    return np.reshape(value, (1,) * len(shape)) if axis is None else np.expand_dims(value, axis)


def count(shape: tuple[int, ...], axis: Any) -> int:
    """Return how many entries are reduced to one."""
    axes = range(len(shape)) if axis is None else (axis,) if isinstance(axis, int | np.integer) else axis
    number = 1
    for i in axes:
        number *= shape[i]
    return number


def extremum_share(g: Any, y: Any, a: Any, axis: Any, keepdims: bool) -> Any:
    """Return the gradient of an extremum: entries that tie share it equally (PyTorch's amax)."""
    found = a == kept(y, a.shape, axis, keepdims)
    number = np.sum(found, axis=axis, keepdims=True)
    return np.where(found, kept(g, a.shape, axis, keepdims) / np.where(number == 0, 1, number), 0)


def products_of_others(a: Any) -> Any:
    """Return, for every entry along the last axis, the product of the other entries: exact also for zeros."""
    n = a.shape[-1]
    return np.prod(np.where(np.eye(n, dtype=bool), 1, a[..., None, :]), axis=-1)


def product_gradient(g: Any, y: Any, a: Any, axis: Any, keepdims: bool) -> Any:
    """Return the gradient of a product: product over entry, or, among zeros, the product of the others."""
    if not np.any(a == 0):
        return kept(g * y, a.shape, axis, keepdims) / a
    axes = (
        tuple(range(a.ndim))
        if axis is None
        else (axis,)
        if isinstance(axis, int | np.integer)
        else tuple(axis)
    )
    last = tuple(range(-len(axes), 0))
    moved = np.moveaxis(a, axes, last)
    others = np.reshape(
        products_of_others(np.reshape(moved, (*moved.shape[: a.ndim - len(axes)], -1))), moved.shape
    )
    return kept(g, a.shape, axis, keepdims) * np.moveaxis(others, last, axes)


backward_of(np.sum, lambda g, a_shape, *, axis=None, keepdims=False: spread(g, a_shape, axis, keepdims))
backward_of(
    np.mean,
    lambda g, a_shape, *, axis=None, keepdims=False: spread(
        g / count(a_shape, axis), a_shape, axis, keepdims
    ),
)
backward_of(np.max, lambda g, y, a, *, axis=None, keepdims=False: extremum_share(g, y, a, axis, keepdims))
backward_of(np.min, lambda g, y, a, *, axis=None, keepdims=False: extremum_share(g, y, a, axis, keepdims))
backward_of(np.prod, lambda g, y, a, *, axis=None, keepdims=False: product_gradient(g, y, a, axis, keepdims))
RULES[np.amax], RULES[np.amin] = RULES[np.max], RULES[np.min]

constant(np.all, np.any, np.count_nonzero, np.argmax, np.argmin, np.nanargmax, np.nanargmin)

NEUTRAL: dict[Any, int] = {np.sum: 0, np.prod: 1}
UFUNC: dict[Any, np.ufunc] = {np.sum: np.add, np.prod: np.multiply, np.max: np.maximum, np.min: np.minimum}


def reduce_with(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Return a reduction with `dtype`, `where` or `initial` in terms of plain ones."""
    call = signature_of(function, None).bind(*args, **kwargs).arguments
    a, axis, keepdims = call["a"], call.get("axis"), call.get("keepdims", False)
    dtype, where, initial = call.get("dtype"), call.get("where", True), call.get("initial")
    initial = None if initial is np._NoValue else initial
    where = True if where is np._NoValue else where
    keepdims = False if keepdims is np._NoValue else keepdims
    if dtype is not None:
        a = a.astype(dtype)
    if where is not True:
        neutral = NEUTRAL.get(function, initial)
        if neutral is None:
            raise ValueError(f"{function.__name__}: where= needs initial=, the value of an empty reduction")
        a = np.where(where, a, neutral)
    if initial is None:
        return function(a, axis=axis, keepdims=keepdims)
    if a.size == 0:  # nothing but the initial value
        return (np.sum(a, axis=axis, keepdims=keepdims) + initial).astype(a.dtype, copy=False)
    reduced = function(a, axis=axis, keepdims=keepdims)
    return UFUNC[function](reduced, initial).astype(reduced.dtype, copy=False)


for reduction in UFUNC:
    composed(reduction)(partial(reduce_with, reduction))


@composed(np.mean)
def mean(
    a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False, *, where: Any = True
) -> Any:
    """Return the mean of the entries where `where` holds."""
    total = np.sum(a, axis=axis, dtype=dtype, keepdims=keepdims, where=where)
    number = np.sum(np.broadcast_to(where, a.shape), axis=axis, keepdims=keepdims)
    return total / number.astype(total.real.dtype)


@composed(np.ptp)
def ptp(a: Any, axis: Any = None, out: Any = None, keepdims: bool = False) -> Any:
    """Return the range, maximum minus minimum."""
    return np.max(a, axis=axis, keepdims=keepdims) - np.min(a, axis=axis, keepdims=keepdims)
