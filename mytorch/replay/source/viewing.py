"""Views as a user would write them: the index, transpose or reshape of an array that shows given bytes of it.

Every answer is tried on the array itself before it is given; what no simple expression shows is written with its
strides.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import dropwhile
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray
from numpy.lib.stride_tricks import sliding_window_view

from mytorch.replay.source.literals import dtype_text


class Place(NamedTuple):
    """What a view shows: its first byte in the memory, shape, strides and dtype."""

    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype[Any]


class View(NamedTuple):
    """An array, and the text that follows the name of the array that it was made from."""

    array: ndarray
    text: str


def spelled(base: ndarray, offset: int, place: Place, to_write: bool = False) -> str:
    """Return what is written after the name of `base`, which begins at the byte `offset` of its memory.

    `{}` in it stands for the name itself, where that is not in front.
    """
    seen = Place(offset, base.shape, base.strides, base.dtype)
    if _alike(seen, place):
        return "{}"
    if 0 in place.shape:
        return f"np.zeros({place.shape}, {dtype_text(place.dtype)})"
    place = place._replace(offset=place.offset - offset)
    if base.ndim and place.dtype == base.dtype and place.shape == base.shape[1:] and base.strides[0]:
        row, rest = divmod(place.offset, base.strides[0])
        if not rest and 0 <= row < len(base) and _shows(base, base[row, ...], place):
            return f"{{}}[{row}]"
    if base.ndim == 2 and place.shape == base.shape[::-1] and _shows(base, base.T, place):
        return "{}.T"
    if not to_write and base.ndim == 2 and min(base.shape) > 1 and _shows(base, base.diagonal(), place):
        return "{}.diagonal()"
    for root in _roots(base, place):
        found = _indexed(base, root, place)
        if found is not None:
            return found
    windows = None if to_write else _windows(base, place)
    found = None if windows is None else _indexed(base, windows, place)
    return _strided(base, place) if found is None else found


def _alike(a: Place, b: Place) -> bool:
    return (a.shape, a.dtype) == (b.shape, b.dtype) and (
        0 in a.shape
        or (
            a.offset == b.offset
            and all(s == t or n == 1 for s, t, n in zip(a.strides, b.strides, a.shape, strict=True))
        )
    )


def _shows(base: ndarray, view: ndarray, place: Place) -> bool:
    """Say whether a view of `base` shows what is asked for."""
    first = view.__array_interface__["data"][0] - base.__array_interface__["data"][0]
    return _alike(Place(first, view.shape, view.strides, view.dtype), place)


def _roots(base: ndarray, place: Place) -> Iterator[View]:
    """Iterate over the arrays of which an index may be the view."""
    plain = [View(base, "{}")]
    if place.dtype != base.dtype:
        plain = _other_dtype(base, place)
    for root in plain:
        yield root
        array = root.array
        packed = _packed(root)
        if packed.array.flags.c_contiguous and array.size:
            shape = _nested_shape(place, array.nbytes)
            yield from _blocks(packed, place)
            if shape is not None:
                text = ", ".join(map(str, shape)) if len(shape) > 1 else "-1"
                yield View(packed.array.reshape(shape), f"{packed.text}.reshape({text})")
            yield View(packed.array.reshape(-1), f"{packed.text}.reshape(-1)")


def _packed(root: View) -> View:
    """Return an array with its axes in the order of its memory."""
    array = root.array
    if array.flags.c_contiguous:
        return root
    if array.flags.f_contiguous:
        return View(array.T, root.text + ".T")
    order = sorted(range(array.ndim), key=lambda k: -array.strides[k])
    if order == list(range(array.ndim)):
        return root
    return View(array.transpose(order), f"{root.text}.transpose{tuple(order)}")


def _other_dtype(base: ndarray, place: Place) -> list[View]:
    if base.dtype.kind == "c" and place.dtype == base.real.dtype:
        return [View(base.real, "{}.real"), View(base.imag, "{}.imag")]
    if base.itemsize == place.dtype.itemsize:
        return [View(base.view(place.dtype), f"{{}}.view({dtype_text(place.dtype)})")]
    if base.ndim and base.flags.c_contiguous and base.shape[-1] * base.itemsize % place.dtype.itemsize == 0:
        return [View(base.view(place.dtype), f"{{}}.view({dtype_text(place.dtype)})")]
    return []


def _axes(place: Place) -> list[tuple[int, int]]:
    """Return length and stride of the axes along which something is to be seen."""
    return [(n, s) for n, s in zip(place.shape, place.strides, strict=True) if n != 1 and s != 0]


def _nested_shape(place: Place, nbytes: int) -> tuple[int, ...] | None:
    """Return the shape, in C order, of which the axes of the view are axes (None: they do not nest)."""
    before = place.dtype.itemsize
    shape: list[int] = []
    for stride in sorted({abs(stride) for _, stride in _axes(place)}):
        if stride % before:
            return None
        shape.insert(0, stride // before)
        before = stride
    if nbytes % before:
        return None
    shape.insert(0, nbytes // before)
    return tuple(shape[:-1] if len(shape) > 1 and shape[-1] == 1 else shape)


def _windows(base: ndarray, place: Place) -> View | None:
    """Return the windows of an array of which an index may be the view: its last axes are those of a window."""
    count = len(place.shape) - base.ndim
    if count < 1 or place.dtype != base.dtype or 0 in base.shape:
        return None
    sizes, axes = place.shape[-count:], []
    for n, stride in zip(sizes, place.strides[-count:], strict=True):
        fitting = [
            k for k in range(base.ndim) if base.strides[k] == stride and base.shape[k] >= n and k not in axes
        ]
        if not fitting:
            return None
        axes.append(fitting[0])
    size, axis = (sizes[0], axes[0]) if count == 1 else (sizes, tuple(axes))
    where = "" if base.ndim == 1 else f", axis={axis}"
    return View(
        sliding_window_view(base, sizes, tuple(axes)),
        f"np.lib.stride_tricks.sliding_window_view({{}}, {size}{where})",
    )


def _blocks(root: View, place: Place) -> Iterator[View]:
    """Iterate over contiguous parts of an array in the form of the view."""
    size = int(np.prod(place.shape))
    first, rest = divmod(place.offset, place.dtype.itemsize)
    flat = root.array.reshape(-1)
    form = ", ".join(map(str, place.shape)) or "()"
    if rest or not 0 <= first <= first + size <= flat.size or size == flat.size or len(place.shape) < 2:
        return
    row = int(np.prod(root.array.shape[1:])) or 1
    if root.array.ndim > 1 and first % row == 0 and size % row == 0:
        start, stop = first // row, (first + size) // row
        part = f"[{start}]" if size == row else f"[{start}:{stop}]"
        yield View(root.array[start:stop].reshape(place.shape), f"{root.text}{part}.reshape({form})")
    yield View(
        flat[first : first + size].reshape(place.shape),
        f"{root.text}.reshape(-1)[{first}:{first + size}].reshape({form})",
    )


def _indexed(base: ndarray, root: View, place: Place) -> str | None:
    """Return the index, and what has to follow it, that makes the view from `root`."""
    array = root.array
    start = place.offset - (array.__array_interface__["data"][0] - base.__array_interface__["data"][0])
    begins = _begins(array, start)
    matched = None if begins is None else _matched(array, begins, _axes(place))
    if begins is None or matched is None:
        return None
    used = sorted(matched)
    index: list[Any] = [matched[k][1] if k in matched else begins[k] for k in range(array.ndim)]
    order = [used.index(k) for k in sorted(matched, key=lambda k: matched[k][0])]
    in_order = order == list(range(len(order)))
    hidden = [n == 1 or s == 0 for n, s in zip(place.shape, place.strides, strict=True)]
    if in_order:
        index = _with_new_axes(index, hidden)
    view, text = _applied(array, root.text, index)
    if not in_order:
        turned = order == list(range(len(order)))[::-1]
        view, text = view.transpose(order), text + (".T" if turned else f".transpose{tuple(order)}")
        if any(hidden):
            view, text = _applied(view, text, [None if new else slice(None) for new in hidden])
    if view.shape != place.shape:
        if any(n != m and n != 1 for n, m in zip(view.shape, place.shape, strict=False)) or view.ndim != len(
            place.shape
        ):
            return None
        if in_order and index[:1] == [None]:  # axes in front come by themselves
            view, text = _applied(array, root.text, [*dropwhile(lambda part: part is None, index)])
        view, text = np.broadcast_to(view, place.shape), f"np.broadcast_to({text}, {place.shape})"
    return text if _shows(base, view, place) else None


def _begins(array: ndarray, start: int) -> list[int] | None:
    """Return the index of the entry at the byte `start`."""
    begins = [0] * array.ndim
    if not array.size:
        return begins
    for k in sorted(range(array.ndim), key=lambda k: -array.strides[k]):
        if array.shape[k] > 1 and array.strides[k] > 0:
            begins[k] = min(start // array.strides[k], array.shape[k] - 1)
            start -= begins[k] * array.strides[k]
    return begins if start == 0 else None


def _matched(
    array: ndarray, begins: list[int], axes: list[tuple[int, int]]
) -> dict[int, tuple[int, slice]] | None:
    """Return, per axis of the array that the view goes along, the view's axis and the slice."""
    found: dict[int, tuple[int, slice]] = {}
    for position, (n, stride) in enumerate(axes):
        for k in sorted(range(array.ndim), key=lambda k: -array.strides[k]):
            step = array.strides[k]
            if k in found or step <= 0 or array.shape[k] == 1 or stride % step:
                continue
            jump = stride // step
            last = begins[k] + (n - 1) * jump
            if 0 <= last < array.shape[k] and n:
                found[k] = position, _slice(begins[k], last, jump, array.shape[k])
                break
        else:
            return None
    return found


def _slice(first: int, last: int, step: int, length: int) -> slice:
    """Return the shortest slice from `first` to `last`."""
    if step > 0:
        start = first if first else None
        stop = None if last + step >= length else last + 1
        if stop is not None and (length - stop <= min(2, stop - 1) or stop == length - 1):
            stop -= length
    else:
        start = None if first == length - 1 else first
        stop = None if last + step < 0 else last - 1
    return slice(start, stop, None if step == 1 else step)


def _with_new_axes(index: list[Any], hidden: list[bool]) -> list[Any]:
    """Return the index with None where the view has an axis that the array has not."""
    parts: list[Any] = []
    waiting = list(hidden)
    for part in index:
        if isinstance(part, slice):
            while waiting and waiting[0]:
                waiting.pop(0)
                parts.append(None)
            waiting.pop(0)
        parts.append(part)
    return [*parts, *[None for _ in waiting]]


def _applied(array: ndarray, text: str, index: list[Any]) -> tuple[ndarray, str]:
    """Return the array under an index, and the text of that; what says nothing is left out."""
    parts = list(index)
    while parts and parts[-1] == slice(None):
        parts.pop()
    if not parts:
        return array, text
    view = array[(*index, Ellipsis)]
    return view, f"{text}[{', '.join(map(_part, parts))}]"


def _part(part: Any) -> str:
    return slice_text(part) if isinstance(part, slice) else repr(part)


def slice_text(part: slice) -> str:
    """Return a slice as it stands between brackets.

    >>> slice_text(slice(1, None)), slice_text(slice(None, None, -1))
    ('1:', '::-1')
    """
    start, stop, step = ("" if x is None else str(x) for x in (part.start, part.stop, part.step))
    return f"{start}:{stop}" + (f":{step}" if step else "")


def _strided(base: ndarray, place: Place) -> str:
    """Return a view by its strides, over memory that is contiguous."""
    packed = _packed(View(base, "{}")).text
    if place.dtype == base.dtype and place.offset % base.itemsize == 0:
        first = place.offset // base.itemsize
        start = f"{packed}.reshape(-1)" + (f"[{first}:]" if first else "")
        return f"np.lib.stride_tricks.as_strided({start}, {place.shape}, {place.strides})"
    return f"np.ndarray({place.shape}, {dtype_text(place.dtype)}, {packed}, {place.offset}, {place.strides})"
