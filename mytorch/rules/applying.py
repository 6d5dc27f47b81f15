"""A user's function along an axis or over axes, and the operations on sets that select values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mytorch.rules.constants import values
from mytorch.rules.registry import composed, present
from mytorch.rules.shapes import as_array, normalize_axis_index


@composed(np.apply_along_axis)
def apply_along_axis(func1d: Callable[..., Any], axis: int, arr: Any, *args: Any, **kwargs: Any) -> Any:
    """Return ``func1d(vector, *args, **kwargs)`` of every vector along `axis`, in that axis' place."""
    vectors = np.moveaxis(as_array(arr), axis, -1)
    outer = vectors.shape[:-1]
    results = [as_array(func1d(vectors[index], *args, **kwargs)) for index in np.ndindex(*outer)]
    if not results:
        raise ValueError("Cannot apply_along_axis when any iteration dimensions are 0")
    result = np.reshape(np.stack(results), outer + results[0].shape)
    first = normalize_axis_index(axis, vectors.ndim)
    inner = list(range(len(outer), result.ndim))
    return np.moveaxis(result, inner, [first + i for i in range(len(inner))])


@composed(np.apply_over_axes)
def apply_over_axes(func: Callable[[Any, int], Any], a: Any, axes: Any) -> Any:
    """Return ``func(func(a, axes[0]), axes[1])`` and so on, keeping axes that `func` removes with length one."""
    ndim = a.ndim
    for axis in np.atleast_1d(axes):
        axis = normalize_axis_index(int(axis), ndim)
        result = func(a, axis)
        a = result if result.ndim == ndim else np.expand_dims(result, axis)
        if a.ndim != ndim:
            raise ValueError("function is not returning an array of the correct shape")
    return a


def _with_values(function: Callable[..., Any]) -> Callable[[Any], Any]:
    """Return one of NumPy 2's functions of unique values, with the values as entries of the argument."""

    def unique(x: Any) -> Any:
        found = function(values(x))
        return found._replace(values=np.take(np.ravel(x), np.unique_all(values(x)).indices))

    return unique


for _function in present(np, "unique_all", "unique_counts", "unique_inverse"):
    composed(_function)(_with_values(_function))


@composed(*present(np, "unique_values"))
def unique_values(x: Any) -> Any:
    """Return the unique values, in NumPy's (unspecified) order."""
    found = np.unique_all(values(x))
    order = np.searchsorted(found.values, np.unique_values(values(x)))
    return np.take(np.ravel(x), found.indices[order])


@composed(np.sort_complex)
def sort_complex(a: Any) -> Any:
    """Return the sorted entries as complex numbers."""
    return np.sort(a).astype(np.sort_complex(np.empty(0, a.dtype)).dtype)


@composed(np.union1d)
def union1d(ar1: Any, ar2: Any) -> Any:
    """Return the sorted values that are in either array; a value that comes often belongs to its first place."""
    return np.unique(np.concatenate((as_array(ar1), as_array(ar2)), axis=None))


@composed(np.setdiff1d)
def setdiff1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> Any:
    """Return the (sorted) values of the first array that the second does not have."""
    mine = np.ravel(as_array(ar1)) if assume_unique else np.unique(as_array(ar1))
    return mine[~np.isin(mine, ar2)]


@composed(np.setxor1d)
def setxor1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> Any:
    """Return the sorted values that are in one array only."""
    arrays = [np.ravel(as_array(x)) if assume_unique else np.unique(as_array(x)) for x in (ar1, ar2)]
    both = np.sort(np.concatenate(arrays))
    differs = np.concatenate(([True], both[1:] != both[:-1], [True]))
    return both[differs[1:] & differs[:-1]]
