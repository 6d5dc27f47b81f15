"""Entries by index: `take` and its kin, `choose`, `delete`, `insert`, and the writes of `put` and its kin.

What an index array says is constant; a copy of it goes on the tape, so that nobody can change it before the
reverse pass does.  The functions that write (`put`, `copyto`, ...) are assignments to their first argument, which
has to be a Tensor if what is written is one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mytorch import arrays
from mytorch.rules.constants import values as plain
from mytorch.rules.memory import put_at
from mytorch.rules.registry import backward_of, composed, dispatched
from mytorch.rules.shapes import along, as_array, holds_array, normalize_axis_index, normalize_axis_tuple


@dispatched
def pick(a: np.ndarray, *, index: np.ndarray, axis: int) -> np.ndarray:
    """Return the entries `index` of `axis`, not negative."""
    return np.take(a, index, axis)


@dispatched
def pick_from(*choices: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Return at every place the entry of the array, of several, that `index` names there."""
    return np.choose(index, choices)


backward_of(pick, lambda g, a_shape, *, index, axis: put_at(g, index=along(axis, index), shape=a_shape))
backward_of(pick_from, each=lambda g, i, *, index: np.where(index == i, g, 0))


@composed(np.take)
def take(a: Any, indices: Any, axis: int | None = None, out: Any = None, mode: str = "raise") -> Any:
    """Return the entries `indices` of `axis`, or of the flattened array."""
    a = as_array(a)
    if axis is None:
        a, axis = np.ravel(a), 0
    axis = normalize_axis_index(axis, a.ndim)
    return pick(a, index=_inside(indices, a.shape[axis], mode), axis=axis)


def _inside(indices: Any, n: int, mode: str) -> np.ndarray:
    """Return a copy of `indices` with those outside 0 ... n-1 wrapped or clipped as `mode` says."""
    index = arrays.array(indices)
    if index.dtype == bool or (index.size == 0 and index.dtype == float):
        index = index.astype(np.intp)  # truth values are no mask here, but the numbers 0 and 1
    if mode == "raise":
        return index
    if mode not in ("wrap", "clip"):
        raise ValueError(f"mode must be 'raise', 'wrap' or 'clip', got {mode!r}")
    return index % n if mode == "wrap" else np.clip(index, 0, n - 1)


@composed(np.take_along_axis)
def take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Any:
    """Return, along `axis`, the entries that `indices` (of the same ndim) names."""
    if axis is None:
        arr, axis = np.ravel(arr), 0
    return arr[_along_axis(arr, indices, axis)]


@composed(np.put_along_axis)
def put_along_axis(arr: Any, indices: Any, values: Any, axis: int | None) -> None:
    """Write `values` along `axis` to the places that `indices` names."""
    if axis is None:
        _write_flat(arr, arrays.array(indices), values)
    else:
        arr[_along_axis(arr, indices, axis)] = values


def _along_axis(arr: Any, indices: Any, axis: int) -> tuple[np.ndarray, ...]:
    """Return the index of all axes that means `indices` along `axis`."""
    index = arrays.array(indices)
    if index.dtype.kind not in "iu":
        raise IndexError(f"`indices` must be an integer array, got dtype {index.dtype}")
    axis = normalize_axis_index(axis, arr.ndim)
    if index.ndim != arr.ndim:
        raise ValueError(
            f"`indices` and `arr` must have the same number of dimensions, got {index.ndim} and {arr.ndim}"
        )
    places: list[np.ndarray] = list(np.ix_(*map(np.arange, arr.shape)))
    places[axis] = index
    return tuple(places)


@composed(np.compress)
def compress(condition: Any, a: Any, axis: int | None = None, out: Any = None) -> Any:
    """Return the entries of `axis`, or of the flattened array, where `condition` is true."""
    return np.take(as_array(a), np.flatnonzero(condition), axis)


@composed(np.extract)
def extract(condition: Any, arr: Any) -> Any:
    """Return the entries of the flattened array where the flattened `condition` is true."""
    return np.take(np.ravel(as_array(arr)), np.flatnonzero(condition))


@composed(np.choose)
def choose(a: Any, choices: Any, out: Any = None, mode: str = "raise") -> Any:
    """Return at every place the entry of the array in `choices` that `a` names there."""
    arrays = [as_array(x) for x in choices]
    return pick_from(*arrays, index=_inside(a, len(arrays), mode))


@composed(np.delete)
def delete(arr: Any, obj: Any, axis: int | None = None) -> Any:
    """Return the array without the entries `obj` of `axis`, or of the flattened array."""
    if axis is None:
        arr, axis = np.ravel(arr), 0
    return np.take(arr, np.delete(np.arange(np.shape(arr)[axis]), plain(obj)), axis)


@composed(np.insert)
def insert(arr: Any, obj: Any, values: Any, axis: int | None = None) -> Any:
    """Return the array with `values` before the entries `obj` of `axis`, or of the flattened array."""
    arr, obj, values = as_array(arr), plain(obj), as_array(values)
    if axis is None:
        arr, axis = np.ravel(arr), 0
    axis = normalize_axis_index(axis, arr.ndim)
    n = arr.shape[axis]
    count = np.insert(np.arange(n), obj, 0).size - n
    # NumPy inserts as many as there are values, which for an index without axes vary along axis 0.
    if count == 1:
        values = np.reshape(values, (1,) * (arr.ndim - values.ndim) + values.shape)
        if np.ndim(obj) == 0 and not isinstance(obj, slice):
            values = np.moveaxis(values, 0, axis)
        count = values.shape[axis]
    values = np.broadcast_to(values, (*arr.shape[:axis], count, *arr.shape[axis + 1 :]))
    order = np.insert(np.arange(n), obj, np.arange(n, n + count))
    return np.take(np.concatenate((arr, values.astype(arr.dtype)), axis), order, axis)


@composed(np.trim_zeros)
def trim_zeros(filt: Any, trim: str = "fb", axis: Any = None) -> Any:
    """Return the view without the zeros at the front ('f') and the back ('b')."""
    sides = trim.lower()
    if sides not in ("f", "b", "fb", "bf"):
        raise ValueError(f"unexpected character(s) in `trim`: {trim!r}; expected 'f', 'b' or 'fb'")
    axes = range(filt.ndim) if axis is None else normalize_axis_tuple(axis, filt.ndim)
    index: list[slice] = [slice(None)] * filt.ndim
    for i, places in enumerate(np.nonzero(filt)):
        if i in axes and places.size == 0:
            index[i] = slice(0, 0)
        elif i in axes:
            first = places.min() if "f" in sides else None
            index[i] = slice(first, places.max() + 1 if "b" in sides else None)
    return filt[tuple(index)]


# -- writes --------------------------------------------------------------------------------------------------


def _refuse_values(function: Any, a: Any, *arguments: Any) -> None:
    """Raise NumPy's error where `function` does not write such values to arrays like `a`: it writes to one entry."""
    function(np.zeros(1, a.dtype), *map(_stand_in, arguments))


def _stand_in(x: Any) -> Any:
    """Return a plain array of one entry (no axes: of none), or a number, of the dtype of an array; else `x` itself."""
    if not holds_array(x):
        return x
    x = as_array(x)
    return np.zeros(1 if x.ndim else (), x.dtype)


@composed(np.put)
def put(a: Any, ind: Any, v: Any, mode: str = "raise") -> None:
    """Write `v`, repeated as often as needed, to the entries `ind` of the flattened array."""
    _refuse_values(np.put, a, [], v)
    index = _inside(ind, np.size(a), mode).ravel()
    v = as_array(v)
    if index.size and v.size:
        index = np.where(index < 0, index + np.size(a), index)
        _write_flat(a, index, np.resize(v, index.shape))


def _write_flat(a: Any, index: Any, value: Any) -> None:
    """Write `value` to the entries `index` of the flattened array."""
    a = a if a.ndim else np.reshape(a, 1)
    try:
        places = np.unravel_index(index, a.shape)
    except ValueError as error:  # NumPy's error of an assignment is another
        raise IndexError(str(error)) from None
    a[places] = value


@composed(np.place)
def place(arr: Any, mask: Any, vals: Any) -> None:
    """Write `vals`, one after the other and from the start again, to the entries where `mask` is true."""
    mask = np.reshape(arrays.array(mask, bool), np.shape(arr))
    _refuse_values(np.place, arr, [False], vals)
    vals = as_array(vals)
    if mask.any() and vals.size == 0:
        raise ValueError("Cannot insert from an empty array!")
    arr[mask] = np.resize(vals, int(np.count_nonzero(mask)))


@composed(np.putmask)
def putmask(a: Any, mask: Any, values: Any) -> None:
    """Write, where `mask` is true, the entries of `values` (repeated to the size of `a`) at the same places."""
    mask = np.reshape(arrays.array(mask, bool), np.shape(a))
    _refuse_values(np.putmask, a, [False], values)
    values = as_array(values)
    if values.size:
        a[mask] = np.resize(values, np.shape(a))[mask]


@composed(np.copyto)
def copyto(dst: Any, src: Any, casting: Any = "same_kind", where: Any = True) -> None:
    """Write `src` to `dst`, where `where` is true."""
    where = where if hasattr(where, "dtype") else arrays.asarray(where, bool)
    src = as_array(src) if isinstance(src, list | tuple) else src
    _refuse_values(np.copyto, dst, src, casting, where if where.ndim else bool(where))
    src = as_array(src)
    if where.ndim == 0 and where:
        dst[...] = src
    else:
        mask = np.broadcast_to(where, dst.shape)
        extra = src.ndim - dst.ndim  # leading axes of length one, which an assignment drops
        src = src.reshape(src.shape[extra:]) if extra > 0 and set(src.shape[:extra]) == {1} else src
        dst[mask] = np.broadcast_to(src, dst.shape)[mask]


@composed(np.fill_diagonal)
def fill_diagonal(a: Any, val: Any, wrap: bool = False) -> None:
    """Write `val`, repeated as often as needed, to the diagonal."""
    mask = np.zeros(np.shape(a), bool)
    np.fill_diagonal(mask, True, wrap)
    _refuse_values(np.put, a, [], val)
    val = as_array(val)
    if val.size:
        a[mask] = np.resize(val, np.count_nonzero(mask))
