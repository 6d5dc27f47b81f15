"""New arrays: like others, of numbers between end points, on grids, with given diagonals.

``np.zeros_like(tensor)``, and ``np.zeros(shape, like=tensor)``, give Tensors, which results can be written to.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from mytorch.rules.registry import backward_of, composed, created, dispatched
from mytorch.rules.shapes import SEVERAL, as_array, at_least, normalize_axis_index

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


@composed(np.asarray, np.asanyarray)
def asarray(a: Any, dtype: Any = None, order: Any = None, *, copy: Any = None, device: Any = None) -> Any:
    """Return, for ``like=tensor``, Tensors as they are, if they have the dtype and the order in memory."""
    x = as_array(a)
    return x.astype(x.dtype if dtype is None else dtype, order or "K", copy=bool(copy))


@composed(np.ascontiguousarray)
def ascontiguousarray(a: Any, dtype: Any = None) -> Any:
    """Return, for ``like=tensor``, Tensors as they are, if they lie in memory row by row."""
    return at_least(asarray(a, dtype, "C"), 1)


@composed(np.asfortranarray)
def asfortranarray(a: Any, dtype: Any = None) -> Any:
    """Return, for ``like=tensor``, Tensors as they are, if they lie in memory column by column."""
    return at_least(asarray(a, dtype, "F"), 1)


@composed(np.require)
def require(a: Any, dtype: Any = None, requirements: Any = ()) -> Any:
    """Return, for ``like=tensor``, Tensors as they are, if they fulfil the requirements."""
    wanted = {str(word).upper()[0] for word in requirements or ()}
    x = asarray(a, dtype, next(iter(wanted & {"C", "F"}), None))
    return x.copy() if "O" in wanted or ("W" in wanted and not x.flags.writeable) else x


# -- between end points --------------------------------------------------------------------------------------


def _ends(*ends: Any) -> list[Any]:
    """Return end points as arrays, but plain numbers as they are: they do not decide the dtype."""
    return [x if isinstance(x, int | float | complex) else as_array(x) for x in ends]


@dispatched
def spaced(a: Any, b: Any, *, num: int, endpoint: bool) -> np.ndarray:
    """Return `num` numbers with equal steps from `a` to `b`, along a new first axis."""
    return np.linspace(a, b, num, endpoint)


def _weights(num: int, endpoint: bool, ndim: int, dtype: np.dtype[Any]) -> np.ndarray:
    """Return the weights 0 ... 1 of the stop, along a new first axis."""
    if num < 0:
        raise ValueError(f"Number of samples, {num}, must be non-negative.")
    weights = np.arange(num) / max(num - 1 if endpoint else num, 1)
    return weights.reshape((num,) + (1,) * ndim).astype(dtype.type(0).real.dtype)


backward_of(
    spaced,
    lambda g, *, num, endpoint: g * (1 - _weights(num, endpoint, g.ndim - 1, g.dtype)),
    lambda g, *, num, endpoint: g * _weights(num, endpoint, g.ndim - 1, g.dtype),
    name="linspace",
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
    start, stop = _ends(start, stop)
    y = spaced(start, stop, num=operator.index(num), endpoint=endpoint)
    inexact = y.dtype
    y = np.moveaxis(y, 0, normalize_axis_index(axis, y.ndim))
    if dtype is not None and np.issubdtype(dtype, np.integer):
        y = np.floor(y)
    y = y.astype(inexact if dtype is None else dtype, copy=False)
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
    start, stop, base = _ends(start, stop, base)
    if np.ndim(base):
        ndim = max(np.ndim(start), np.ndim(stop), base.ndim)
        start, stop, base = (at_least(as_array(x), ndim) for x in (start, stop, base))
        base = np.expand_dims(base, axis)
    y = np.power(base, np.linspace(start, stop, num, endpoint, axis=axis))
    return y if dtype is None else y.astype(dtype, copy=False)


@composed(np.geomspace)
def geomspace(
    start: Any, stop: Any, num: int = 50, endpoint: bool = True, dtype: Any = None, axis: int = 0
) -> Any:
    """Return `num` numbers with equal ratios from `start` to `stop`."""
    start, stop = as_array(start), as_array(stop)
    if np.any(start == 0) or np.any(stop == 0):
        raise ValueError("Geometric sequence cannot include zero")
    inexact = np.result_type(start, stop, float(num), np.zeros((), dtype))
    weights = _weights(num, endpoint, max(start.ndim, stop.ndim), inexact)
    y = start.astype(inexact) * np.power(stop / start, weights)
    y = np.moveaxis(y, 0, normalize_axis_index(axis, y.ndim))
    return y.astype(inexact if dtype is None else dtype, copy=False)


# -- grids ---------------------------------------------------------------------------------------------------


@composed(np.meshgrid)
def meshgrid(*xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> Any:
    """Return the coordinates of a grid, one array per axis."""
    if indexing not in ("xy", "ij"):
        raise ValueError("Valid values for `indexing` are 'xy' and 'ij'.")
    axes = list(range(len(xi)))
    if indexing == "xy" and len(xi) > 1:
        axes[:2] = 1, 0
    arrays = [np.reshape(as_array(x), -1) for x in xi]
    grids = [np.expand_dims(x, [j for j in axes if j != i]) for i, x in zip(axes, arrays, strict=True)]
    if not sparse:
        grids = list(np.broadcast_arrays(*grids))
    return SEVERAL(x.copy() if copy else x for x in grids)


@composed(np.ix_)
def ix_(*args: Any) -> tuple[Any, ...]:
    """Return an open mesh: every vector along an axis of its own."""
    if any(np.ndim(x) != 1 for x in args):
        raise ValueError("Cross index must be 1 dimensional")
    arrays = [np.flatnonzero(x) if x.dtype == bool else x for x in map(as_array, args)]
    return tuple(np.expand_dims(x, [j for j in range(len(args)) if j != i]) for i, x in enumerate(arrays))


# -- diagonals and triangles ---------------------------------------------------------------------------------


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
