"""Counterparts of operations that arrange entries anew: shapes, axes, joins, splits, repetition, diagonals."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy

from tests.op_db import NotInNumPy

np: Any = numpy  # called with Tensors, and with what PyTorch gives


def same(a: Any, *args: Any, **kwargs: Any) -> Any:
    return np.copy(a)


def reshape(a: Any, shape: Any) -> Any:
    return np.reshape(a, shape)


def flatten(a: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    if a.ndim == 0:
        return np.reshape(a, -1)
    end = end_dim % a.ndim + 1
    return np.reshape(a, (*a.shape[:start_dim], -1, *a.shape[end:]))


def unflatten(a: Any, dim: int, sizes: Any) -> Any:
    dim %= a.ndim
    return np.reshape(a, (*a.shape[:dim], *sizes, *a.shape[dim + 1 :]))


def transpose(a: Any, dim0: int, dim1: int) -> Any:
    return a if a.ndim == 0 else np.swapaxes(a, dim0, dim1)


def permute(a: Any, dims: Any) -> Any:
    return np.transpose(a, dims)


def squeeze(a: Any, dim: Any = None) -> Any:
    if dim is None:
        return np.squeeze(a)
    dims = dim if isinstance(dim, tuple) else (dim,)
    return np.squeeze(a, tuple(d for d in dims if a.ndim and a.shape[d] == 1))


def expand(a: Any, sizes: Any) -> Any:
    new = len(sizes) - a.ndim
    return np.broadcast_to(a, tuple(a.shape[i - new] if n == -1 else n for i, n in enumerate(sizes)))


def sum_to_size(a: Any, *size: Any) -> Any:
    shape = tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else size
    extra = tuple(range(a.ndim - len(shape)))
    a = np.sum(a, axis=extra)
    return np.sum(a, axis=tuple(i for i, n in enumerate(shape) if n == 1 != a.shape[i]), keepdims=True)


def roll(a: Any, shifts: Any, dims: Any = None) -> Any:
    return np.roll(a, shifts, dims)


def repeat_interleave(a: Any, repeats: Any, dim: Any = None, *, output_size: Any = None) -> Any:
    return np.repeat(a, repeats, dim)


def tile(a: Any, dims: Any) -> Any:
    return np.tile(a, dims)


def cat(arrays: Any, dim: int = 0) -> Any:
    if len({a.ndim for a in arrays}) > 1:
        raise NotInNumPy("arrays that are joined have as many dimensions as each other")
    return np.concatenate(arrays, dim)


def split(a: Any, size: Any, dim: int = 0) -> Any:
    sizes = [size] * (-(-a.shape[dim] // size)) if isinstance(size, int) else list(size)
    return np.split(a, np.cumsum(sizes)[:-1].tolist(), dim)


def chunk(a: Any, chunks: int, dim: int = 0) -> Any:
    return split(a, -(-a.shape[dim] // chunks), dim)


def tensor_split(a: Any, indices_or_sections: Any, dim: int = 0) -> Any:
    sections = indices_or_sections
    if isinstance(sections, np.ndarray):
        sections = sections.tolist()
    return np.array_split(a, list(sections) if isinstance(sections, tuple) else sections, dim)


def pieces(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda a, sections: function(a, sections)


def unbind(a: Any, dim: int = 0) -> Any:
    return [np.take(a, i, dim) for i in range(a.shape[dim])]


def _along(a: Any, dim: int, index: Any) -> Any:
    """Return the index of all entries whose coordinate along `dim` is `index`."""
    return (slice(None),) * (dim % a.ndim) + (index,)


def narrow(a: Any, dim: int, start: Any, length: int) -> Any:
    start = int(start)
    start = start % a.shape[dim] if start < 0 else start
    return a[_along(a, dim, slice(start, start + length))]


def select(a: Any, dim: int, index: int) -> Any:
    return a[_along(a, dim, index)]


def slice_(a: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Any:
    return a[_along(a, dim, slice(start, end, step))]


def written(a: Any, index: Any, b: Any) -> Any:
    """Return a copy of `a` with `b` at `index`."""
    y = (
        np.copy(a)
        if isinstance(a, np.ndarray) and isinstance(b, np.ndarray)
        else np.zeros_like(b, shape=a.shape) + a
    )
    y[index] = b
    return y


def select_scatter(a: Any, src: Any, dim: int, index: int) -> Any:
    return written(a, _along(a, dim, index), src)


def slice_scatter(a: Any, src: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Any:
    return written(a, _along(a, dim, slice(start, end, step)), src)


def diagonal_places(a: Any, offset: int, dim1: int, dim2: int) -> Any:
    rows, columns = a.shape[dim1], a.shape[dim2]
    count = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    steps = np.arange(count)
    index: list[Any] = [slice(None)] * a.ndim
    index[dim1], index[dim2] = steps + max(-offset, 0), steps + max(offset, 0)
    return index


def diagonal(a: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    return np.diagonal(a, offset, dim1, dim2)


def matrix_diagonal(a: Any, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    return np.diagonal(a, offset, dim1, dim2)


def diagonal_scatter(a: Any, src: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    moved = np.moveaxis(a, (dim1, dim2), (-2, -1))
    places = diagonal_places(moved, offset, -2, -1)
    return np.moveaxis(written(moved, (..., *places[-2:]), src), (-2, -1), (dim1, dim2))


def diag_embed(a: Any, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    n = a.shape[-1] + abs(offset)
    wide = np.zeros((*a.shape[:-1], n, n), a.dtype)
    return np.moveaxis(diagonal_scatter(wide, a, offset, -2, -1), (-2, -1), (dim1, dim2))


def diag(a: Any, diagonal: int = 0) -> Any:
    return np.diag(a, diagonal)


def triangle(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda a, diagonal=0: function(a, diagonal)


def block_diag(*arrays: Any) -> Any:
    blocks = [np.atleast_2d(a) for a in arrays]
    rows = [
        [b if i == j else np.zeros((b.shape[0], other.shape[1])) for j, other in enumerate(blocks)]
        for i, b in enumerate(blocks)
    ]
    return np.block(rows)


def meshgrid(*arrays: Any, indexing: str = "ij") -> Any:
    vectors = arrays[0] if len(arrays) == 1 and isinstance(arrays[0], list) else arrays
    return np.meshgrid(*vectors, indexing=indexing)


def cartesian_prod(*arrays: Any) -> Any:
    if len(arrays) == 1:
        return arrays[0]
    return np.stack([np.ravel(g) for g in np.meshgrid(*arrays, indexing="ij")], -1)


def combinations(a: Any, r: int = 2, with_replacement: bool = False) -> Any:
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    return a[np.array(list(choose(range(len(a)), r)), int).reshape(-1, r)]


def unfold(a: Any, dimension: int, size: int, step: int) -> Any:
    if a.ndim == 0:
        return np.reshape(a, (1,))
    windows = np.lib.stride_tricks.sliding_window_view(a, size, axis=dimension)
    return windows[_along(a, dimension, slice(None, None, step))]


def strided_places(a: Any, size: Any, stride: Any, storage_offset: int) -> Any:
    if storage_offset >= a.size:
        raise NotInNumPy("the sample shows memory beside its own")
    places = sum(
        (np.arange(n) * s).reshape([-1 if j == i else 1 for j in range(len(size))])
        for i, (n, s) in enumerate(zip(size, stride, strict=True))
    )
    return storage_offset + np.asarray(places, int)


def as_strided(a: Any, size: Any, stride: Any, storage_offset: int = 0) -> Any:
    return np.ravel(a)[strided_places(a, size, stride, storage_offset)]


def as_strided_scatter(a: Any, src: Any, size: Any, stride: Any, storage_offset: int = 0) -> Any:
    places = strided_places(a, size, stride, storage_offset)
    return np.reshape(written(np.ravel(a), places, src), a.shape)


def atleast(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda a: [function(x) for x in a] if isinstance(a, list | tuple) else function(a)


def stacked(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda arrays, *args: function(list(arrays), *args)


def flip(a: Any, dims: Any) -> Any:
    return np.flip(a, dims)


def rot90(a: Any, k: int = 1, dims: Any = (0, 1)) -> Any:
    return np.rot90(a, k, dims)


def view_as_real(a: Any) -> Any:
    return np.stack([np.real(a), np.imag(a)], -1)


def view_as_complex(a: Any) -> Any:
    return a[..., 0] + 1j * a[..., 1]


TABLE = {
    "H": lambda a: np.conj(a).T,
    "T": lambda a: a.T,
    "alias_copy": same,
    "as_strided": as_strided,
    "as_strided_copy": as_strided,
    "as_strided_scatter": as_strided_scatter,
    "atleast_1d": atleast(np.atleast_1d),
    "atleast_2d": atleast(np.atleast_2d),
    "atleast_3d": atleast(np.atleast_3d),
    "block_diag": block_diag,
    "broadcast_tensors": np.broadcast_arrays,
    "broadcast_to": np.broadcast_to,
    "cartesian_prod": cartesian_prod,
    "cat": cat,
    "chunk": chunk,
    "column_stack": stacked(np.column_stack),
    "combinations": combinations,
    "contiguous": same,
    "diag": diag,
    "diag_embed": diag_embed,
    "diagflat": lambda a, offset=0: np.diagflat(a, offset),
    "diagonal": diagonal,
    "diagonal_copy": diagonal,
    "diagonal_scatter": diagonal_scatter,
    "dsplit": pieces(np.dsplit),
    "dstack": stacked(np.dstack),
    "expand": expand,
    "expand_as": lambda a, b: np.broadcast_to(a, b.shape),
    "expand_copy": expand,
    "flatten": flatten,
    "flip": flip,
    "fliplr": np.fliplr,
    "flipud": np.flipud,
    "hsplit": pieces(np.hsplit),
    "hstack": stacked(np.hstack),
    "linalg.diagonal": matrix_diagonal,
    "mH": lambda a: np.conj(np.swapaxes(a, -1, -2)),
    "mT": lambda a: np.swapaxes(a, -1, -2),
    "meshgrid": meshgrid,
    "movedim": np.moveaxis,
    "narrow": narrow,
    "narrow_copy": narrow,
    "permute": permute,
    "permute_copy": permute,
    "ravel": np.ravel,
    "repeat": tile,
    "repeat_interleave": repeat_interleave,
    "reshape": reshape,
    "reshape_as": lambda a, b: np.reshape(a, b.shape),
    "roll": roll,
    "rot90": rot90,
    "select": select,
    "select_scatter": select_scatter,
    "slice": slice_,
    "slice_scatter": slice_scatter,
    "split": split,
    "split_with_sizes": split,
    "split_with_sizes_copy": split,
    "squeeze": squeeze,
    "squeeze_copy": squeeze,
    "stack": stacked(np.stack),
    "sum_to_size": sum_to_size,
    "t": np.transpose,
    "t_copy": np.transpose,
    "tensor_split": tensor_split,
    "tile": tile,
    "transpose": transpose,
    "transpose_copy": transpose,
    "tril": triangle(np.tril),
    "triu": triangle(np.triu),
    "unbind": unbind,
    "unbind_copy": unbind,
    "unflatten": unflatten,
    "unfold": unfold,
    "unfold_copy": unfold,
    "unsafe_chunk": chunk,
    "unsafe_split": split,
    "unsqueeze": np.expand_dims,
    "unsqueeze_copy": np.expand_dims,
    "view": reshape,
    "view_as": lambda a, b: np.reshape(a, b.shape),
    "view_as_complex": view_as_complex,
    "view_as_real": view_as_real,
    "view_copy": reshape,
    "vsplit": pieces(np.vsplit),
    "vstack": stacked(np.vstack),
}
