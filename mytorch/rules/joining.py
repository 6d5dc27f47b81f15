"""Arrays put together, and repeated: `concatenate` and its kin, `tile`, `repeat`, `roll`, `resize`."""

from __future__ import annotations

from itertools import accumulate
from typing import Any

import numpy as np

from mytorch.rules.memory import put_at
from mytorch.rules.registry import backward_of, composed, dispatched
from mytorch.rules.shapes import along, as_array, at_least, normalize_axis_index


@dispatched
def join(*parts: np.ndarray, axis: int, offsets: list[int], **options: Any) -> np.ndarray:
    """Return the arrays one after the other along `axis`, where part i begins at ``offsets[i]``."""
    return np.concatenate(parts, axis, **options)


@dispatched
def pile(*parts: np.ndarray, axis: int, **options: Any) -> np.ndarray:
    """Return the arrays one after the other along the new `axis`."""
    return np.stack(parts, axis, **options)


backward_of(join, each=lambda g, i, *, axis, offsets: g[along(axis, slice(offsets[i], offsets[i + 1]))])
backward_of(pile, each=lambda g, i, *, axis: g[along(axis, i)])


@composed(np.concatenate)
def concatenate(arrays: Any, axis: int | None = 0, out: Any = None, **options: Any) -> Any:
    """Join along `axis`; None joins the flattened arrays."""
    parts = [as_array(x) for x in arrays]
    if axis is None:
        parts, axis = [np.ravel(x) for x in parts], 0
    axis = normalize_axis_index(axis, max(parts[0].ndim, 1))
    offsets = list(accumulate((x.shape[axis] if x.ndim > axis else 0 for x in parts), initial=0))
    return join(*parts, axis=axis, offsets=offsets, **options)


@composed(np.stack)
def stack(arrays: Any, axis: int = 0, out: Any = None, **options: Any) -> Any:
    """Join along a new axis."""
    parts = [as_array(x) for x in arrays]
    axis = normalize_axis_index(axis, parts[0].ndim + 1)
    return pile(*parts, axis=axis, **options)


@composed(np.vstack)
def vstack(tup: Any, **options: Any) -> Any:
    """Join along the first axis of two or more."""
    return np.concatenate([at_least(as_array(x), 2) for x in tup], 0, **options)


@composed(np.hstack)
def hstack(tup: Any, **options: Any) -> Any:
    """Join along the second axis, or the first of vectors."""
    parts = [at_least(as_array(x), 1) for x in tup]
    return np.concatenate(parts, 0 if parts and parts[0].ndim == 1 else 1, **options)


@composed(np.dstack)
def dstack(tup: Any) -> Any:
    """Join along the third axis."""
    return np.concatenate([np.atleast_3d(x) for x in map(as_array, tup)], 2)


@composed(np.column_stack)
def column_stack(tup: Any) -> Any:
    """Join columns: vectors, and the columns of matrices."""
    parts = [as_array(x) for x in tup]
    return np.concatenate([at_least(x, 2).T if x.ndim < 2 else x for x in parts], 1)


@composed(np.append)
def append(arr: Any, values: Any, axis: int | None = None) -> Any:
    """Join `values` to the end of `arr`."""
    return np.concatenate((as_array(arr), as_array(values)), axis)


@composed(np.block)
def block(arrays: Any) -> Any:
    """Assemble an array from nested lists of blocks: the innermost lists along the last axis, and so on outwards."""
    depth, ndim = _depth_and_ndim(arrays)
    ndim = max(depth, ndim)

    def assemble(x: Any, level: int) -> Any:
        if not isinstance(x, list):
            return at_least(as_array(x), ndim)
        return np.concatenate([assemble(entry, level + 1) for entry in x], level - depth)

    return assemble(arrays, 0) if depth else np.copy(as_array(arrays))


def _depth_and_ndim(x: Any) -> tuple[int, int]:
    """Return how deep lists are nested in `x`, everywhere, and the largest ndim of the arrays in them."""
    if isinstance(x, tuple):
        raise TypeError("np.block: expected lists of arrays, got a tuple; only lists arrange blocks")
    if not isinstance(x, list):
        return 0, np.ndim(x)
    if not x:
        raise ValueError("np.block: a list of blocks is empty")
    inside = [_depth_and_ndim(entry) for entry in x]
    depths = {depth for depth, _ in inside}
    if len(depths) > 1:
        raise ValueError(
            f"np.block: List depths are mismatched: entries of one list have depths {sorted(depths)}"
        )
    return depths.pop() + 1, max(ndim for _, ndim in inside)


# -- repetition ----------------------------------------------------------------------------------------------


def untile(g: Any, shape: tuple[int, ...], reps: Any) -> Any:
    """Return the sum of the tiles of `g`, each of `shape`."""
    reps = tuple(np.atleast_1d(reps))
    ndim = max(len(reps), len(shape))
    reps, tile = (1,) * (ndim - len(reps)) + reps, (1,) * (ndim - len(shape)) + shape
    pairs = [n for pair in zip(reps, tile, strict=True) for n in pair]
    return np.reshape(np.sum(np.reshape(g, pairs), axis=tuple(range(0, 2 * ndim, 2))), shape)


def unrepeat(g: Any, shape: tuple[int, ...], repeats: Any, axis: int | None) -> Any:
    """Return the sums over what `np.repeat` made of each entry of an array of `shape`."""
    if axis is None or not shape:
        flat = (int(np.prod(shape)),)
        return np.reshape(unrepeat(g, flat, repeats, 0), shape)
    axis = normalize_axis_index(axis, len(shape))
    n = shape[axis]
    if np.size(repeats) == 1:
        runs = np.reshape(g, (*shape[:axis], n, int(np.reshape(repeats, ())), *shape[axis + 1 :]))
        return np.sum(runs, axis=axis + 1)
    return put_at(g, index=along(axis, np.repeat(np.arange(n), repeats)), shape=shape)


backward_of(np.tile, lambda g, a_shape, *, reps: untile(g, a_shape, reps))
backward_of(np.repeat, lambda g, a_shape, *, repeats, axis=None: unrepeat(g, a_shape, repeats, axis))
backward_of(np.roll, lambda g, *, shift, axis=None: np.roll(g, np.negative(shift), axis))


@composed(np.resize)
def resize(a: Any, new_shape: Any) -> Any:
    """Return an array of `new_shape` with the values of `a` in order, from the start again when they end."""
    flat = np.ravel(a)
    if flat.size == 0:
        return np.zeros_like(flat, shape=new_shape)
    return np.take(flat, np.resize(np.arange(flat.size), new_shape))
