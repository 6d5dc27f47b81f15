"""Derivatives of what moves values in memory: assignment, indexing, reading and writing regions.

They are what the reverse pass itself consists of, so a reverse pass over Tensors can be differentiated again.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mytorch import arrays
from mytorch.regions import Region, Target
from mytorch.rules.registry import backward_of, dispatched


@dispatched
def scatter(a: np.ndarray, *, region: Region) -> np.ndarray:
    """Return a whole memory's values that are `a` in the region and zero elsewhere."""
    return region.scatter(a)


@dispatched
def assemble(*parts: np.ndarray, places: tuple[Target, ...]) -> np.ndarray:
    """Return a whole memory's values: the sum of the parts, each in its region (a key stands for the whole)."""
    regions = [place for place in places if not isinstance(place, int)]
    layout = regions[0].layout if regions else None
    block = arrays.zeros(parts[0].shape, np.result_type(*parts)) if layout is None else layout.new_block()
    for part, place in zip(parts, places, strict=True):
        if isinstance(place, int):
            block += part
        elif place.layout.is_like(layout):
            place.add_into(block, part)
        else:
            block += place.scatter(part)
    return block


@dispatched
def gather(a: np.ndarray, *, region: Region) -> np.ndarray:
    """Return the region of a whole memory's values."""
    return region.gather(a)


@dispatched
def without(a: np.ndarray, *, region: Region) -> np.ndarray:
    """Return a whole memory's values with zeros in the region."""
    return region.without(a)


@dispatched
def copy(a: np.ndarray, *, order: str = "C") -> np.ndarray:
    """Return a copy of `a` in memory of its own."""
    return arrays.array(a, order=order)


@dispatched
def cast(a: np.ndarray, *, dtype: Any, order: Any = "K") -> np.ndarray:
    """Return `a` converted to `dtype`."""
    return a.astype(dtype, order)


@dispatched
def take_at(a: np.ndarray, *, index: Any) -> np.ndarray:
    """Return ``a[index]`` for an index of arrays (advanced indexing)."""
    return a[index]


@dispatched
def put_at(a: np.ndarray, *, index: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return zeros of `shape` to which `a` is added at `index`; places that are named twice get both."""
    result = arrays.zeros(shape, a.dtype)
    width = math.prod(shape[1:])
    rows = _rows(index) if width > 1 and 0 < a.size <= AT_ONCE and type(a) is np.ndarray else None
    if rows is None or rows.size * width != a.size:
        np.add.at(result, index, a)
    else:  # NumPy adds to single entries four times faster than to rows
        entries = rows.reshape(-1, 1) * width + np.arange(width)
        np.add.at(result.reshape(-1), entries.reshape(-1), a.reshape(-1))
    return result


AT_ONCE = 2**20  # entries that are added one by one, each of which needs an index


def _rows(index: Any) -> np.ndarray | None:
    """Return the numbers that an index names along the first axis, if it is an array of them; else None."""
    if isinstance(index, tuple) and len(index) == 1:
        index = index[0]
    integers = type(index) is np.ndarray and index.dtype.kind in "iu"
    return index.astype(np.intp) if integers else None


@dispatched
def clear_at(a: np.ndarray, *, index: Any) -> np.ndarray:
    """Return a copy of `a` that is zero at `index`."""
    result = arrays.array(arrays.lifted(a))
    result[index] = 0
    return result


@dispatched
def assign(a: np.ndarray) -> np.ndarray:
    """Return `a`: what is written into memory by an assignment."""
    return a


@dispatched
def assign_at(a: np.ndarray, b: np.ndarray, *, index: Any, kept: np.ndarray | None = None) -> np.ndarray:
    """Return a copy of `a` with `b` at `index`; of places named twice, `kept` says which value stays."""
    result = arrays.array(a)
    result[index] = b
    return result


def part_of(g: Any, place: Target) -> Any:
    """Return the part of a whole memory's gradient that belongs to `place`."""
    if isinstance(place, int):
        return g
    return place.gather(g) if isinstance(g, np.ndarray) else gather(g, region=place)


def part_at(g: Any, index: Any) -> Any:
    """Return ``g[index]`` of a gradient, which may be made of constants where the index is not."""
    return take_at(arrays.lifted(g), index=index)


# A region may show the real or the imaginary parts of complex memory: linear over the reals, not holomorphic.
backward_of(
    assemble,
    each=lambda g, i, *, places: part_of(g, places[i]),
    holomorphic=False,
)
backward_of(scatter, lambda g, *, region: gather(g, region=region), holomorphic=False)
backward_of(gather, lambda g, *, region: scatter(g, region=region), holomorphic=False)
backward_of(without, lambda g, *, region: without(g, region=region), holomorphic=False)
backward_of(copy, lambda g: g, exact=True)
backward_of(cast, lambda g: g)
backward_of(assign, lambda g: g)
backward_of(
    assign_at,
    lambda g, *, index, kept: clear_at(g, index=index),
    lambda g, *, index, kept: part_at(g, index) if kept is None else part_at(g, index) * kept,
)
backward_of(take_at, lambda g, a_shape, *, index: put_at(g, index=index, shape=a_shape))
backward_of(put_at, lambda g, *, index: part_at(g, index))
backward_of(clear_at, lambda g, *, index: clear_at(g, index=index))
