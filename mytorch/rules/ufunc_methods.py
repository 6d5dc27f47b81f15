"""The methods of ufuncs in terms of functions that have rules.

`reduce` and `accumulate` of most ufuncs have a function of their own (`add` reduces to a sum).  Of the others they
are what they are by definition, ``f(f(a[0], a[1]), a[2])`` and so on, an operation per entry of the axis: right for
every ufunc of two arguments, but slow for a long axis.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from mytorch import arrays
from mytorch.regions import overlaps_itself
from mytorch.rules.constants import values
from mytorch.rules.memory import put_at
from mytorch.rules.reductions import fmax_reduce, fmin_reduce, logsumexp, logsumexp2
from mytorch.rules.registry import CONSTANT
from mytorch.rules.shapes import along, as_array, normalize_axis_index, normalize_axis_tuple


def call(ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return ``ufunc.method(*inputs, **kwargs)``."""
    if ufunc in CONSTANT:
        return getattr(ufunc, method)(*map(values, inputs), **kwargs)
    if method != "outer" and (ufunc.nin, ufunc.nout, ufunc.signature) != (2, 1, None):
        raise ValueError(
            f"np.{ufunc.__name__}.{method}: {method} is of functions of two numbers with one result"
        )
    return METHODS[method](ufunc, *inputs, **kwargs)


# -- reduce --------------------------------------------------------------------------------------------------


def reduce(ufunc: np.ufunc, a: Any, axis: Any = 0, dtype: Any = None, **options: Any) -> Any:
    """Return the reduction along `axis`, the first by default."""
    a = of_loop(ufunc, a, dtype)
    known = REDUCE.get(ufunc)
    return fold(ufunc, a, axis, **options) if known is None else known(a, axis=axis, **options)


def of_loop(ufunc: np.ufunc, a: Any, dtype: Any) -> Any:
    """Return `a` in `dtype`, or in the dtype that `ufunc` computes in, which one entry gets, too."""
    a = as_array(a)
    if dtype is None:
        dtype = ufunc.resolve_dtypes((a.dtype, a.dtype, None))[0]
    return a.astype(dtype, copy=False)


def fold(
    ufunc: np.ufunc, a: Any, axis: Any, keepdims: bool = False, initial: Any = None, where: Any = True
) -> Any:
    """Return the reduction by its definition, from the identity, if there is one, or the first entry to the last."""
    identity = ufunc.identity
    axes = (only_axis(ufunc, axis, a.ndim),) if identity is None else several_axes(axis, a.ndim)
    if where is not True:
        if identity is None:
            raise TypeError(
                f"np.{ufunc.__name__}.reduce is not differentiable with where=; select the entries first"
            )
        a = np.where(values(where), a, identity)
    start = identity if initial is None else initial
    kept = [n for i, n in enumerate(a.shape) if i not in axes]
    rows = np.reshape(np.moveaxis(a, axes, range(len(axes))), (math.prod(a.shape[i] for i in axes), *kept))
    entries = [*([] if start is None else [np.full_like(a, start, shape=kept)]), *rows]
    if not entries:
        raise ValueError(f"zero-size array to reduction operation {ufunc.__name__} which has no identity")
    result = folded(ufunc, entries) if len(entries) > 1 else np.copy(entries[0])
    return np.expand_dims(result, axes) if keepdims else result


def folded(ufunc: np.ufunc, entries: Sequence[Any]) -> Any:
    """Return ``ufunc(ufunc(entries[0], entries[1]), entries[2])`` and so on."""
    result = entries[0]
    for entry in entries[1:]:
        result = ufunc(result, entry)
    return result


def several_axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """Return the axes of a reduction as a tuple, not negative; None means all."""
    return tuple(range(ndim)) if axis is None else normalize_axis_tuple(axis, ndim)


def only_axis(ufunc: np.ufunc, axis: Any, ndim: int) -> int:
    """Return the one axis of a reduction that depends on the order of the entries, not negative."""
    axes = several_axes(axis, ndim)
    if len(axes) != 1:
        raise ValueError(
            f"reduction operation '{ufunc.__name__}' is not reorderable, so exactly one axis may be specified"
        )
    return axes[0]


def first_and_rest(
    ufunc: np.ufunc,
    together: Callable[..., Any],
    a: Any,
    axis: Any,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = True,
) -> Any:
    """Return ``ufunc(first, together(rest))``, since ``(a - b) - c = a - (b + c)`` and ``a / b / c = a / (b c)``."""
    axis = only_axis(ufunc, axis, a.ndim)
    if initial is None:
        if where is not True:
            raise ValueError(f"np.{ufunc.__name__}.reduce with where= needs initial=, to start from")
        initial, a = a[along(axis, slice(0, 1))], a[along(axis, slice(1, None))]
    result = ufunc(initial, together(a, axis=axis, dtype=a.dtype, keepdims=True, where=where))
    return result if keepdims else np.squeeze(result, axis)


REDUCE: dict[np.ufunc, Callable[..., Any]] = {
    np.add: np.sum,
    np.multiply: np.prod,
    np.maximum: np.max,
    np.minimum: np.min,
    np.fmax: fmax_reduce,
    np.fmin: fmin_reduce,
    np.logaddexp: logsumexp,
    np.logaddexp2: logsumexp2,
    np.subtract: partial(first_and_rest, np.subtract, np.sum),
    np.divide: partial(first_and_rest, np.divide, np.prod),
}


def reduceat(ufunc: np.ufunc, a: Any, indices: Any, axis: int = 0, dtype: Any = None) -> Any:
    """Return the reductions of the slices between neighbouring `indices`; of an empty slice, its first entry."""
    a, starts = of_loop(ufunc, a, dtype), arrays.asarray(values(indices))
    axis = normalize_axis_index(axis, a.ndim)
    n = a.shape[axis]
    for i in starts:
        if not 0 <= i < n:
            raise IndexError(f"index {i} out-of-bounds in {ufunc.__name__}.reduceat [0, {n})")
    slices = [a[along(axis, slice(i, max(i + 1, j)))] for i, j in zip(starts, [*starts[1:], n], strict=True)]
    if ufunc in REDUCE:
        parts = [reduce(ufunc, part, axis) for part in slices]
    else:  # from the first entry also where there is an identity
        parts = [folded(ufunc, np.moveaxis(part, axis, 0)) for part in slices]
    return np.stack(parts, axis)


# -- accumulate ----------------------------------------------------------------------------------------------


def accumulate(ufunc: np.ufunc, a: Any, axis: int = 0, dtype: Any = None) -> Any:
    """Return the results of the reduction up to every entry along `axis`."""
    a = of_loop(ufunc, a, dtype)
    axis = normalize_axis_index(axis, a.ndim)
    known = ACCUMULATE.get(ufunc)
    if known is not None:
        return known(a, axis=axis)
    if a.shape[axis] == 0:
        return a
    entries = np.moveaxis(a, axis, 0)
    results = [entries[0]]
    for entry in entries[1:]:
        results.append(ufunc(results[-1], entry))
    return np.stack(results, axis)


def running_extremum(ufunc: np.ufunc, a: Any, axis: int) -> Any:
    """Return the extrema of the entries so far, each the last entry that has the value (as PyTorch's ``cummax``)."""
    plain = values(a)
    best = ufunc.accumulate(plain, axis)
    place = np.arange(a.shape[axis]).reshape([-1 if i == axis else 1 for i in range(a.ndim)])
    attained = (plain == best) | (np.isnan(plain) & np.isnan(best))
    return np.take_along_axis(a, np.maximum.accumulate(np.where(attained, place, 0), axis), axis)


ACCUMULATE: dict[np.ufunc, Callable[..., Any]] = {
    np.add: np.cumsum,
    np.multiply: np.cumprod,
    **{ufunc: partial(running_extremum, ufunc) for ufunc in (np.maximum, np.minimum, np.fmax, np.fmin)},
}


# -- outer and at --------------------------------------------------------------------------------------------


def outer(ufunc: np.ufunc, a: Any, b: Any, **options: Any) -> Any:
    """Return the results of all pairs of entries."""
    a = as_array(a)
    return ufunc(a.reshape(a.shape + (1,) * np.ndim(b)), b, **options)


def at(ufunc: np.ufunc, destination: Any, index: Any, *operands: Any) -> None:
    """Do ``destination[index] = ufunc(destination[index], *operands)``, once for every time that a place is named."""
    if overlaps_itself(destination):
        raise ValueError(
            f"np.{ufunc.__name__}.at: entries of this view of shape {destination.shape} and strides "
            f"{destination.strides} share memory; write to the array that it shows"
        )
    places = arrays.lifted(np.arange(destination.size)).reshape(destination.shape)[plain_index(index)]
    operands = tuple(np.broadcast_to(as_array(x), places.shape) for x in operands)
    operands = tuple(x.copy() if np.may_share_memory(x, destination) else x for x in operands)
    if ufunc in (np.add, np.subtract):
        where = np.unravel_index(places, destination.shape)
        ufunc(destination, put_at(operands[0], index=where, shape=destination.shape), out=destination)
        return
    for chosen in rounds(places):
        where = np.unravel_index(places[chosen], destination.shape)
        destination[where] = ufunc(destination[where], *(x[chosen] for x in operands))


def plain_index(index: Any) -> Any:
    """Return an index with plain arrays for Tensors."""
    return tuple(values(i) for i in index) if isinstance(index, tuple) else values(index)


def rounds(places: np.ndarray) -> list[np.ndarray]:
    """Return masks of the places to be written first, second, ...: in each, every place is named once at most."""
    order = np.argsort(places, axis=None, kind="stable")
    ranked = places.ravel()[order]
    turn = np.empty(places.size, np.intp)
    turn[order] = np.arange(places.size) - np.searchsorted(ranked, ranked)
    return [(turn == i).reshape(places.shape) for i in range(turn.max(initial=-1) + 1)]


METHODS: dict[str, Callable[..., Any]] = {
    "reduce": reduce,
    "accumulate": accumulate,
    "reduceat": reduceat,
    "outer": outer,
}
