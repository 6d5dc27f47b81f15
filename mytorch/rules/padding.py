"""`np.pad`: along one axis after the other, what is before and after an array in terms of the array.

Constants and ramps are made, edges and statistics are spread, reflections and periods are taken by the index
that NumPy itself gives when it pads ``0 ... n-1`` in the same way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mytorch.rules.registry import backward_of, composed, dispatched
from mytorch.rules.shapes import along, as_array

STATISTICS: dict[str, Callable[..., Any]] = {
    "maximum": np.max,
    "mean": np.mean,
    "median": np.median,
    "minimum": np.min,
}
OPTIONS: dict[str, dict[str, Any]] = {
    "constant": {"constant_values": 0},
    "edge": {},
    "linear_ramp": {"end_values": 0},
    "reflect": {"reflect_type": "even"},
    "symmetric": {"reflect_type": "even"},
    "wrap": {},
    **{mode: {"stat_length": None} for mode in STATISTICS},
}


@dispatched
def pad_with_zeros(a: np.ndarray, *, widths: list[tuple[int, int]]) -> np.ndarray:
    """Return `a` with ``widths[axis]`` zeros before and after it."""
    if type(a) is not np.ndarray:  # a recording, which shows one call
        return np.pad(a, widths or 0)  # of an array without axes
    shape = [before + n + after for (before, after), n in zip(widths, a.shape, strict=True)]
    y = np.zeros(shape, a.dtype, "F" if a.flags.fnc else "C")
    inner(y, widths)[...] = a
    return y


def inner(g: Any, widths: list[tuple[int, int]]) -> Any:
    """Return the view of what is not padding."""
    cuts = [slice(before, n - after) for (before, after), n in zip(widths, g.shape, strict=True)]
    return g[(*cuts, ...)]


backward_of(pad_with_zeros, lambda g, *, widths: inner(g, widths))


@composed(np.pad)
def pad(array: Any, pad_width: Any, mode: Any = "constant", **options: Any) -> Any:
    """Return the array with `pad_width` more entries at the ends of its axes."""
    widths = [
        (int(before), int(after)) for before, after in pairs(_per_axis(pad_width, array.ndim), array.ndim)
    ]
    if min((n for pair in widths for n in pair), default=0) < 0:
        raise ValueError("index can't contain negative values")
    if callable(mode):
        return _pad_by(mode, array, widths, options)
    values = _checked(mode, options)
    if mode == "constant" and isinstance(values, int | float) and values == 0:
        return pad_with_zeros(array, widths=widths)
    if not any(map(any, widths)):
        return np.copy(array)
    ends = pairs(values, array.ndim) if mode in STATISTICS or mode in ("constant", "linear_ramp") else None
    for axis, width in enumerate(widths):
        if mode in ("reflect", "symmetric", "wrap"):
            array = _by_index(array, axis, width, mode, values)
        else:
            array = _with_ends(array, axis, width, mode, ends[axis] if ends else (None, None))
    return array


def _checked(mode: str, options: dict[str, Any]) -> Any:
    """Return the one option that `mode` takes, or say what is wrong."""
    if mode == "empty":
        raise ValueError(
            "np.pad: mode 'empty' leaves values undefined, so their gradients are; use 'constant'"
        )
    if mode not in OPTIONS:
        raise ValueError(f"mode {mode!r} is not supported; expected one of {sorted(OPTIONS)}, or a function")
    known = OPTIONS[mode]
    if not set(options) <= set(known):
        raise ValueError(f"unsupported keyword arguments for mode {mode!r}: {set(options) - set(known)}")
    return next(iter({**known, **options}.values()), None)


def _per_axis(pad_width: Any, ndim: int) -> Any:
    """Return a width that is given as a dict from axes to widths as one per axis."""
    if not isinstance(pad_width, dict):
        return pad_width
    result: list[Any] = [(0, 0)] * ndim
    for axis, width in pad_width.items():
        result[axis] = width if isinstance(width, tuple | list) else (width, width)
    return result


def pairs(values: Any, ndim: int) -> list[tuple[Any, Any]]:
    """Return per axis the (before, after) that a number, a pair or a list of pairs means."""
    if values is None:
        return [(None, None)] * ndim
    wide = np.broadcast_to(as_array(values), (ndim, 2))
    return [(row[0], row[1]) for row in wide]


def _with_ends(array: Any, axis: int, width: tuple[int, int], mode: str, values: tuple[Any, Any]) -> Any:
    """Return the array between two blocks that depend on its ends."""
    if width == (0, 0):
        return array
    before, after = (
        _block(array, axis, n, mode, value, last)
        for n, value, last in zip(width, values, (False, True), strict=True)
    )
    return np.concatenate((before, array, after), axis)


def _block(array: Any, axis: int, n: int, mode: str, value: Any, last: bool) -> Any:
    """Return the `n` entries before (or after) an array along `axis`."""
    shape = (*array.shape[:axis], n, *array.shape[axis + 1 :])
    if mode == "constant":
        return np.broadcast_to(value, shape).astype(array.dtype)
    if mode in STATISTICS:
        return _rounded(_statistic(array, axis, mode, value, last), shape, array.dtype)
    if array.shape[axis] == 0:
        raise ValueError(f"can't extend empty axis {axis} using modes other than 'constant' or 'empty'")
    edge = array[along(axis, slice(-1, None) if last else slice(0, 1))]
    if mode == "edge" or n == 0:
        return np.broadcast_to(edge, shape)
    ramp = np.linspace(value, np.squeeze(edge, axis), n, endpoint=False, dtype=array.dtype, axis=axis)
    return np.flip(ramp, axis) if last else ramp


def _statistic(array: Any, axis: int, mode: str, length: Any, last: bool) -> Any:
    """Return the statistic of the first (or last) `length` entries (None: of all)."""
    n = array.shape[axis]
    length = n if length is None else min(int(length), n)
    if length <= 0 and mode in ("maximum", "minimum"):
        raise ValueError("stat_length of 0 yields no value for padding")
    part = array[along(axis, slice(n - length, None) if last else slice(0, length))]
    return STATISTICS[mode](part, axis=axis, keepdims=True)


def _rounded(value: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """Return `value` in `shape`, rounded where the padded array holds integers."""
    value = np.round(value) if np.dtype(dtype).kind in "iu" else value
    return np.broadcast_to(value, shape).astype(dtype)


def _by_index(array: Any, axis: int, width: tuple[int, int], mode: Any, reflect_type: Any) -> Any:
    """Return the array extended by reflections or periods."""
    if width == (0, 0):
        return array
    n = array.shape[axis]
    y = np.take(array, np.pad(np.arange(n), width, mode), axis)
    if reflect_type != "odd" or n == 0:
        return y
    # An odd reflection about an end e is 2 e - x, so that a whole period adds twice the difference of the ends.
    period = max(2 * (n - 1), 1) if mode == "reflect" else 2 * n
    turns, place = np.divmod(np.arange(-width[0], n + width[1]), period)
    mirrored = place >= n
    first, last = array[along(axis, slice(0, 1))], array[along(axis, slice(-1, None))]
    column = (-1,) + (1,) * (array.ndim - 1 - axis)
    factors = (np.where(mirrored, -1, 1), turns, mirrored)
    sign, turns, mirrored = (np.reshape(x, column).astype(array.dtype) for x in factors)
    return y * sign + 2 * last * mirrored + 2 * (last - first) * turns


def _pad_by(function: Callable[..., Any], array: Any, widths: list[tuple[int, int]], options: Any) -> Any:
    """Return the array padded by a user's function, which writes to one padded vector after the other."""
    padded = pad_with_zeros(array, widths=widths)
    for axis, width in enumerate(widths):
        vectors = np.moveaxis(padded, axis, -1)
        for index in np.ndindex(*vectors.shape[:-1]):
            function(vectors[index], width, axis, options)
    return padded
