"""New arrays: like others, of numbers between end points, on grids, with given diagonals.

``np.zeros_like(tensor)``, and ``np.zeros(shape, like=tensor)``, give Tensors, which results can be written to.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mytorch.rules.registry import backward_of, composed, created, dispatched, present
from mytorch.rules.shapes import as_array, normalize_axis_index

created(
    np.empty_like,
    np.zeros_like,
    np.ones_like,
    # With like=tensor:
    np.arange,
    np.empty,
    np.eye,
    np.frombuffer,
    np.fromfile,
    np.fromfunction,
    np.fromiter,
    np.fromstring,
    np.genfromtxt,
    np.identity,
    np.loadtxt,
    np.ones,
    np.tri,
    np.zeros,
)


@composed(np.full_like)
def full_like(a: Any, fill_value: Any, *args: Any, **options: Any) -> Any:
    """Return an array in the form of `a` that holds `fill_value`."""
    result = np.empty_like(a, *args, **options)
    result[...] = fill_value
    return result


@composed(np.full)
def full(shape: Any, fill_value: Any, dtype: Any = None, *args: Any, **options: Any) -> Any:
    """Return, for ``like=tensor``, an array of `shape` that holds `fill_value`."""
    fill_value = as_array(fill_value)
    return np.full_like(np.zeros_like(fill_value), fill_value, dtype=dtype, shape=shape)


@composed(np.array)
def array(object: Any, dtype: Any = None, *, copy: Any = True, ndmin: int = 0, **options: Any) -> Any:
    """Return, for ``like=tensor``, numbers and Tensors in nested lists as one Tensor."""
    x = as_array(object)
    x = x if dtype is None else x.astype(dtype)
    x = np.reshape(x, (1,) * max(ndmin - x.ndim, 0) + x.shape)
    return x.copy() if copy else x


@composed(np.asarray, np.asanyarray, np.ascontiguousarray, np.asfortranarray, np.require)
def asarray(a: Any, dtype: Any = None, *args: Any, **options: Any) -> Any:
    """Return, for ``like=tensor``, Tensors as they are."""
    x = as_array(a)
    return x if dtype is None else x.astype(dtype, copy=False)


# -- between end points ---------------------------------------------------------------------------------------------


def _weights(num: int, endpoint: bool, start: Any, stop: Any) -> np.ndarray:
    """Return the weights 0 ... 1 of `stop` along a new first axis."""
    if num < 0:
        raise ValueError(f"Number of samples, {num}, must be non-negative.")
    steps = num - 1 if endpoint else num
    weights = np.arange(num) / max(steps, 1)
    ndim = max(np.ndim(start), np.ndim(stop))
    return weights.reshape((num,) + (1,) * ndim).astype(
        np.result_type(start, stop, np.float16).type(0).real.dtype
    )


@composed(np.linspace)
def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
    **options: Any,
) -> Any:
    """Return `num` numbers with equal steps from `start` to `stop`."""
    start, stop = as_array(start), as_array(stop)
    weights = _weights(num, endpoint, start, stop)
    y = start * (1 - weights) + stop * weights
    y = np.moveaxis(y, 0, normalize_axis_index(axis, y.ndim))
    if dtype is not None:
        y = (np.floor(y) if np.issubdtype(dtype, np.integer) else y).astype(dtype)
    steps = num - 1 if endpoint else num
    return (y, (stop - start) / steps if steps > 0 else np.nan) if retstep else y


@composed(np.logspace)
def logspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    base: Any = 10.0,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    """Return `num` numbers with equal ratios from ``base ** start`` to ``base ** stop``."""
    start, stop, base = as_array(start), as_array(stop), as_array(base)
    if base.ndim:
        ndim = max(start.ndim, stop.ndim, base.ndim)
        start, stop, base = (np.reshape(x, (1,) * (ndim - x.ndim) + x.shape) for x in (start, stop, base))
        base = np.expand_dims(base, axis)
    y = np.power(base, np.linspace(start, stop, num, endpoint, axis=axis))
    return y if dtype is None else y.astype(dtype)


@composed(np.geomspace)
def geomspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0
) -> Any:
    """Return `num` numbers with equal ratios from `start` to `stop`."""
    start, stop = as_array(start), as_array(stop)
    if np.any(start == 0) or np.any(stop == 0):
        raise ValueError("Geometric sequence cannot include zero")
    weights = _weights(num, endpoint, start, stop)
    y = start * np.power(stop / start, weights)
    y = np.moveaxis(y, 0, normalize_axis_index(axis, y.ndim))
    return y if dtype is None else y.astype(dtype)


# -- grids ------------------------------------------------------------------------------------------------------------


@composed(np.meshgrid)
def meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> Any:
    """Return the coordinates of a grid, one array per axis."""
    if indexing not in ("xy", "ij"):
        raise ValueError("Valid values for `indexing` are 'xy' and 'ij'.")
    axes = list(range(len(xi)))
    if indexing == "xy" and len(xi) > 1:
        axes[:2] = 1, 0
    arrays = [np.ravel(as_array(x)) for x in xi]
    grids = [np.expand_dims(x, [j for j in axes if j != i]) for i, x in zip(axes, arrays, strict=True)]
    if not sparse:
        grids = list(np.broadcast_arrays(*grids))
    return type(np.meshgrid())(x.copy() if copy else x for x in grids)


@composed(np.ix_)
def ix_(*args: Any) -> tuple[Any, ...]:
    """Return an open mesh: every vector along an axis of its own."""
    if any(np.ndim(x) != 1 for x in args):
        raise ValueError("Cross index must be 1 dimensional")
    arrays = [np.flatnonzero(x) if x.dtype == bool else x for x in map(as_array, args)]
    return tuple(np.expand_dims(x, [j for j in range(len(args)) if j != i]) for i, x in enumerate(arrays))


# -- diagonals and triangles --------------------------------------------------------------------------------------------


@dispatched
def diagonal_matrix(a: np.ndarray, *, k: int) -> np.ndarray:
    """Return the square matrix with `a` on its k-th diagonal and zeros elsewhere."""
    return np.diag(a, k)


backward_of(diagonal_matrix, lambda g, *, k: np.diagonal(g, k))
backward_of(np.tril, lambda g, *, k=0: np.tril(g, k))
backward_of(np.triu, lambda g, *, k=0: np.triu(g, k))


@composed(np.diag)
def diag(v: Any, k: int = 0) -> Any:
    """Return the k-th diagonal of a matrix, or the matrix with this k-th diagonal."""
    if v.ndim == 1:
        return diagonal_matrix(v, k=k)
    if v.ndim == 2:
        return np.diagonal(v, k)
    raise ValueError("Input must be 1- or 2-d.")


@composed(np.diagflat)
def diagflat(v: Any, k: int = 0) -> Any:
    """Return the matrix with the flattened array on its k-th diagonal."""
    return diagonal_matrix(np.ravel(as_array(v)), k=k)


__all__ = ["diagonal_matrix", "present"]
