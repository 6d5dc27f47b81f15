"""Shapes: functions whose results are views of their argument.

A view is the same memory, and so is its gradient: there is nothing to compute and nothing to record.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from mytorch import arrays
from mytorch.rules.registry import composed, constant, present, view

# In NumPy 1.26 these are internal functions.
_utils: Any = import_module(
    "numpy.lib.array_utils" if hasattr(np.lib, "array_utils") else "numpy.core.numeric"
)
normalize_axis_index: Any = _utils.normalize_axis_index
normalize_axis_tuple: Any = _utils.normalize_axis_tuple
SEVERAL: Any = type(np.broadcast_arrays())  # a list in NumPy 1.26

view(
    np.reshape,
    np.ravel,
    np.transpose,
    np.swapaxes,
    np.moveaxis,
    np.rollaxis,
    np.squeeze,
    np.expand_dims,
    np.broadcast_to,
    np.diagonal,
    np.flip,
    np.fliplr,
    np.flipud,
    np.rot90,
    np.split,
    np.array_split,
    np.hsplit,
    np.vsplit,
    np.dsplit,
    np.lib.stride_tricks.sliding_window_view,
    *present(np, "matrix_transpose"),
    *present(np.linalg, "diagonal", "matrix_transpose"),
)
constant(np.shape, np.ndim, np.size)


def as_array(x: Any) -> Any:
    """Return arrays of any kind as they are, and sequences of numbers and arrays as one array."""
    if hasattr(x, "__array_function__"):
        return x
    if isinstance(x, list | tuple) and holds_array(x):
        return np.stack([as_array(entry) for entry in x])
    return arrays.asarray(x)


def holds_array(x: Any) -> bool:
    """Say whether an array is somewhere in nested lists and tuples."""
    if isinstance(x, list | tuple):
        return any(holds_array(entry) for entry in x)
    return hasattr(x, "__array_function__")


def along(axis: int, index: Any) -> tuple[Any, ...]:
    """Return the index that applies `index` to `axis` (not negative), and takes all of the axes before it."""
    return (slice(None),) * axis + (index,)


def at_least(x: Any, ndim: int) -> Any:
    """Return `x` with axes of length one before its own, so that there are at least `ndim`."""
    return np.reshape(x, (1,) * (ndim - x.ndim) + x.shape) if x.ndim < ndim else x


@composed(np.real)
def real(val: Any) -> Any:
    """Return the real part, a view."""
    return val.real


@composed(np.imag)
def imag(val: Any) -> Any:
    """Return the imaginary part, a view (zeros where there is none)."""
    return val.imag


@composed(np.atleast_1d)
def atleast_1d(*arys: Any) -> Any:
    """Return the arrays with at least one axis each."""
    return _one_or_all([at_least(as_array(x), 1) for x in arys])


@composed(np.atleast_2d)
def atleast_2d(*arys: Any) -> Any:
    """Return the arrays with at least two axes each, new ones first."""
    return _one_or_all([at_least(as_array(x), 2) for x in arys])


@composed(np.atleast_3d)
def atleast_3d(*arys: Any) -> Any:
    """Return the arrays with at least three axes each; (M, N) becomes (M, N, 1), and (N,) becomes (1, N, 1)."""
    results = []
    for x in map(as_array, arys):
        flat = at_least(x, 2)
        results.append(flat if flat.ndim > 2 else np.reshape(flat, (*flat.shape, 1)))
    return _one_or_all(results)


def _one_or_all(results: list[Any]) -> Any:
    """Return the only result by itself, several in NumPy's kind of sequence."""
    return results[0] if len(results) == 1 else SEVERAL(results)


@composed(np.broadcast_arrays)
def broadcast_arrays(*args: Any, subok: bool = False) -> Any:
    """Return read-only views of the arrays in their common shape."""
    arrays = [as_array(x) for x in args]
    shape = np.broadcast_shapes(*(x.shape for x in arrays))
    return SEVERAL(np.broadcast_to(x, shape) for x in arrays)


@composed(*present(np, "unstack"))
def unstack(x: Any, /, *, axis: int = 0) -> tuple[Any, ...]:
    """Return the views of `x` at every place of `axis`."""
    if x.ndim == 0:
        raise ValueError("Input array must be at least 1-d.")
    return tuple(np.moveaxis(x, axis, 0))


@composed(np.copy)
def copy(a: Any, order: str = "K", subok: bool = False) -> Any:
    """Return the values in memory of their own."""
    return a.copy(order)


@composed(*present(np, "astype"))
def astype(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
    """Return the values converted to `dtype`."""
    return x.astype(dtype, copy=copy)


__all__ = ["SEVERAL", "along", "as_array", "at_least", "normalize_axis_index", "normalize_axis_tuple"]
