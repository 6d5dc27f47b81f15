"""Counterparts of operations that read and write entries by index or mask."""

from __future__ import annotations

from typing import Any

import numpy

from tests.op_db import NotInNumPy
from tests.op_db.shapes import _along, written

np: Any = numpy  # called with Tensors, and with what PyTorch gives


def rows_of(a: Any) -> tuple[Any, Any]:
    """Return an array of at least one dimension, and how to give the result the shape of `a` again."""
    return (np.reshape(a, (1,)), lambda y: np.reshape(y, ())) if a.ndim == 0 else (a, lambda y: y)


def index_select(a: Any, dim: int, index: Any) -> Any:
    if a.ndim == 0:
        return a[()] if index.ndim == 0 else np.reshape(a, ())
    return np.take(a, np.atleast_1d(index), dim)


def take(a: Any, index: Any) -> Any:
    return np.take(np.ravel(a), index)


def take_along_dim(a: Any, indices: Any, dim: Any = None) -> Any:
    if dim is None:
        return np.take_along_axis(np.ravel(a), np.ravel(indices), 0)
    shape = np.broadcast_shapes(
        *(tuple(1 if i == dim % a.ndim else n for i, n in enumerate(x.shape)) for x in (a, indices))
    )
    wide = [tuple(x.shape[i] if i == dim % a.ndim else n for i, n in enumerate(shape)) for x in (a, indices)]
    return np.take_along_axis(np.broadcast_to(a, wide[0]), np.broadcast_to(indices, wide[1]), dim)


def coordinates(index: Any, dim: int) -> tuple[Any, ...]:
    """Return the index of the entries that `gather` reads and `scatter` writes."""
    places = list(np.indices(index.shape, sparse=True))
    places[dim] = index.astype(np.int64)
    return tuple(places)


def gather(a: Any, dim: int, index: Any, *, sparse_grad: bool = False) -> Any:
    if a.ndim == 0:
        return np.broadcast_to(a, index.shape)
    if index.size == 0:
        return np.zeros(index.shape, a.dtype) * np.sum(a)
    if index.ndim != a.ndim:
        raise NotInNumPy("the index has as many dimensions as the array")
    return a[coordinates(index, dim)]


def scatter(a: Any, dim: int, index: Any, src: Any, *, reduce: Any = None) -> Any:
    if reduce is not None:
        raise NotInNumPy("reductions of repeated places are np.add.at's")
    a, shaped = rows_of(a)
    index = np.reshape(index, (1,)) if index.ndim == 0 else index
    if index.size == 0:
        return shaped(np.copy(a))
    if isinstance(src, int | float | complex):
        src = np.asarray(src, a.dtype)
    elif src.ndim:
        src = src[tuple(slice(0, n) for n in index.shape)]
    _refuse_repeated(a, coordinates(index, dim))
    return shaped(written(a, coordinates(index, dim), src))


def _refuse_repeated(a: Any, places: tuple[Any, ...]) -> None:
    flat = np.arange(a.size).reshape(a.shape)[places]
    if np.unique(flat).size != flat.size:
        raise NotInNumPy("which of several values written to a place stays is not defined")


def scatter_add(a: Any, dim: int, index: Any, src: Any) -> Any:
    a, shaped = rows_of(a)
    index = np.reshape(index, (1,)) if index.ndim == 0 else index
    src = np.reshape(src, (1,)) if src.ndim == 0 else src
    y = np.zeros_like(src, shape=a.shape) + a
    np.add.at(y, coordinates(index, dim), src[tuple(slice(0, n) for n in index.shape)])
    return shaped(y)


def index_add(a: Any, dim: int, index: Any, source: Any, *, alpha: float = 1) -> Any:
    a, shaped = rows_of(a)
    source = np.reshape(source, (1,)) if source.ndim == 0 else source
    y = np.zeros_like(source, shape=a.shape) + a
    np.add.at(y, _along(a, dim, np.atleast_1d(index)), alpha * source)
    return shaped(y)


NEUTRAL = {"sum": 0.0, "mean": 0.0, "prod": 1.0, "amin": np.inf, "amax": -np.inf}


def scatter_reduce(a: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True) -> Any:
    """Return for each entry the sum (product, ...) of the values that the index sends there."""
    a, shaped = rows_of(a)
    index, src = (np.reshape(x, (1,)) if x.ndim == 0 else x for x in (index, src))
    if index.size == 0:
        return shaped(np.copy(a))
    block = tuple(slice(None) if i == dim % a.ndim else slice(0, n) for i, n in enumerate(index.shape))
    here = np.moveaxis(a[block], dim, 0)
    values = np.moveaxis(src[tuple(slice(0, n) for n in index.shape)], dim, 0)
    hits = np.equal(np.moveaxis(index, dim, 0), np.arange(len(here)).reshape((-1,) + (1,) * a.ndim))
    own = np.full(here.shape, True) if include_self else ~np.any(hits, axis=1)
    every = np.concatenate(
        (
            np.where(own, here, NEUTRAL[reduce])[:, None],
            np.where(hits, values, NEUTRAL[reduce]),
        ),
        axis=1,
    )
    y = {"sum": np.sum, "mean": np.sum, "prod": np.prod, "amin": np.min, "amax": np.max}[reduce](
        every, axis=1
    )
    if reduce == "mean":
        y = y / (np.sum(hits, axis=1) + own)
    return shaped(written(a, block, np.moveaxis(y, 0, dim)))


def index_reduce(a: Any, dim: int, index: Any, source: Any, reduce: str, *, include_self: bool = True) -> Any:
    a, shaped = rows_of(a)
    source = np.reshape(source, (1,)) if source.ndim == 0 else source
    shape = [-1 if i == dim % a.ndim else 1 for i in range(a.ndim)]
    places = np.broadcast_to(np.reshape(index, shape), source.shape)
    return shaped(scatter_reduce(a, dim, places, source, reduce, include_self=include_self))


def index_copy(a: Any, dim: int, index: Any, source: Any) -> Any:
    a, shaped = rows_of(a)
    source = np.reshape(source, (1,)) if source.ndim == 0 else source
    return shaped(written(a, _along(a, dim, np.atleast_1d(index)), source))


def index_fill(a: Any, dim: int, index: Any, value: Any) -> Any:
    a, shaped = rows_of(a)
    if isinstance(value, int | float | complex):
        value = np.asarray(value, a.dtype)
    y = np.copy(a)
    y[_along(a, dim, np.atleast_1d(index))] = value
    return shaped(y)


def index_put(a: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    y = np.zeros_like(values, shape=a.shape) + a
    if accumulate:
        np.add.at(y, tuple(indices), values)
    else:
        y[tuple(indices)] = values
    return y


def put(a: Any, index: Any, source: Any, accumulate: bool = False) -> Any:
    y = np.ravel(np.zeros_like(source, shape=a.shape) + a)
    places, values = np.reshape(index, -1), np.reshape(source, -1)
    if accumulate:
        np.add.at(y, places, values)
    else:
        _refuse_repeated(y, (places % max(a.size, 1),))
        y[places] = values
    return np.reshape(y, a.shape)


def masked_select(a: Any, mask: Any) -> Any:
    shape = np.broadcast_shapes(a.shape, mask.shape)
    return np.broadcast_to(a, shape)[np.broadcast_to(mask, shape)]


def masked_fill(a: Any, mask: Any, value: Any) -> Any:
    return np.where(mask, value, a)


def masked_scatter(a: Any, mask: Any, source: Any) -> Any:
    shape = np.broadcast_shapes(a.shape, mask.shape)
    mask = np.broadcast_to(mask, shape)
    return written(np.broadcast_to(a, shape), mask, np.ravel(source)[: np.count_nonzero(mask)])


def getitem(a: Any, index: Any) -> Any:
    if isinstance(index, list) and any(not isinstance(i, int) for i in index):
        index = tuple(index)
    return a[index]


def nonzero(a: Any, *, as_tuple: bool = False) -> Any:
    if a.ndim == 0:
        raise NotInNumPy("a number has no places")
    return np.nonzero(a) if as_tuple else np.argwhere(a)


TABLE = {
    "__getitem__": getitem,
    "argwhere": np.argwhere,
    "gather": gather,
    "index_add": index_add,
    "index_copy": index_copy,
    "index_fill": index_fill,
    "index_put": index_put,
    "index_reduce": index_reduce,
    "index_select": index_select,
    "masked_fill": masked_fill,
    "masked_scatter": masked_scatter,
    "masked_select": masked_select,
    "nonzero": nonzero,
    "put": put,
    "scatter": scatter,
    "scatter_add": scatter_add,
    "scatter_reduce": scatter_reduce,
    "take": take,
    "take_along_dim": take_along_dim,
}
