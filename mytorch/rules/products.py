"""Products of vectors, matrices and arrays: most are a sum of products, whose rule stands in `einsum`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from string import ascii_letters
from typing import Any

import numpy as np

from mytorch.rules.einsum import contract_two
from mytorch.rules.registry import backward_of, composed, dispatched, present
from mytorch.rules.shapes import as_array, at_least, normalize_axis_index

# -- sums over products of entries ---------------------------------------------------------------------------


@composed(np.tensordot, *present(np.linalg, "tensordot"))
def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """Return the sum over pairs of axes: the last of `a` with the first of `b`, or the ones given."""
    a, b = as_array(a), as_array(b)
    if not isinstance(axes, list | tuple):
        axes = range(-int(axes), 0), range(int(axes))
    pairs = [
        tuple(normalize_axis_index(int(i), x.ndim) for i in np.atleast_1d(np.asarray(ax)))
        for ax, x in zip(axes, (a, b), strict=True)
    ]
    if [a.shape[i] for i in pairs[0]] != [b.shape[i] for i in pairs[1]]:
        raise ValueError(f"shape-mismatch for sum: axes {pairs[0]} of {a.shape} and {pairs[1]} of {b.shape}")
    terms, output = _labels(a.ndim, b.ndim, *pairs)
    return contract_two(a, b, terms=terms, output=output)


@lru_cache(maxsize=1024)
def _labels(
    ndim_a: int, ndim_b: int, axes_a: Sequence[int], axes_b: Sequence[int]
) -> tuple[tuple[str, str], str]:
    """Return the subscripts of a sum over pairs of axes: what is left of `a`, then what is left of `b`."""
    a, b = list(ascii_letters[:ndim_a]), list(ascii_letters[ndim_a : ndim_a + ndim_b])
    for i, j in zip(axes_a, axes_b, strict=True):
        b[j] = a[i]
    rest = [c for c in a if c not in b] + [c for c in b if c not in a]
    return ("".join(a), "".join(b)), "".join(rest)


@composed(np.dot)
def dot(a: Any, b: Any, out: Any = None) -> Any:
    """Return the product of numbers, vectors, matrices; of larger arrays, summed over the last and last but one."""
    a, b = as_array(a), as_array(b)
    if a.ndim == 0 or b.ndim == 0:
        return _scaled(a, b)
    if b.ndim == 1 or (a.ndim <= 2 and b.ndim == 2):
        return np.matmul(a, b)
    return np.tensordot(a, b, (-1, -2))


@composed(np.inner)
def inner(a: Any, b: Any) -> Any:
    """Return the sums over products along the last axes."""
    a, b = as_array(a), as_array(b)
    return _scaled(a, b) if a.ndim == 0 or b.ndim == 0 else np.tensordot(a, b, (-1, -1))


def _scaled(a: Any, b: Any) -> Any:
    """Return the product with a number, in the dtype of a product of arrays."""
    return np.multiply(a, b, dtype=np.result_type(a.dtype, b.dtype))


@composed(np.vdot)
def vdot(a: Any, b: Any) -> Any:
    """Return the sum of ``conj(a) * b`` over all entries."""
    return np.matmul(np.conj(np.ravel(as_array(a))), np.ravel(as_array(b)))


@composed(np.outer)
def outer(a: Any, b: Any, out: Any = None) -> Any:
    """Return the products of every entry of `a` with every entry of `b`, as a matrix."""
    a, b = np.ravel(as_array(a)), np.ravel(as_array(b))
    return contract_two(a, b, terms=("i", "j"), output="ij")


@composed(*present(np.linalg, "outer"))
def outer_of_vectors(x1: Any, x2: Any, /) -> Any:
    """Return the outer product of two vectors."""
    x1, x2 = as_array(x1), as_array(x2)
    if x1.ndim != 1 or x2.ndim != 1:
        raise ValueError(
            f"linalg.outer: expected two vectors, got arrays of {x1.ndim} and {x2.ndim} dimensions"
        )
    return np.outer(x1, x2)


@composed(np.kron)
def kron(a: Any, b: Any) -> Any:
    """Return the Kronecker product: blocks of `b`, scaled with the entries of `a`."""
    a, b = as_array(a), as_array(b)
    ndim = max(a.ndim, b.ndim)
    a, b = at_least(a, ndim), at_least(b, ndim)
    x, y = ascii_letters[:ndim], ascii_letters[ndim : 2 * ndim]
    blocks = contract_two(a, b, terms=(x, y), output="".join(i + j for i, j in zip(x, y, strict=True)))
    return np.reshape(blocks, [m * n for m, n in zip(a.shape, b.shape, strict=True)])


@composed(*present(np.linalg, "matmul"))
def matmul(x1: Any, x2: Any, /) -> Any:
    """Return the product of matrices, or of batches of them."""
    return np.matmul(x1, x2)


@composed(*present(np.linalg, "vecdot"))
def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """Return the sums of ``conj(x1) * x2`` along an axis."""
    return np.vecdot(np.moveaxis(as_array(x1), axis, -1), np.moveaxis(as_array(x2), axis, -1))


@composed(np.trace)
def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None) -> Any:
    """Return the sum of the diagonal."""
    return np.sum(np.diagonal(a, offset, axis1, axis2), axis=-1, dtype=dtype)


@composed(*present(np.linalg, "trace"))
def trace_of_matrices(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    """Return the sums of the diagonals of matrices (the last two axes)."""
    return np.trace(x, offset, -2, -1, dtype)


# -- chains of matrices --------------------------------------------------------------------------------------


@dispatched
def chain(*matrices: np.ndarray) -> np.ndarray:
    """Return the product of three or more matrices, multiplied in the cheapest order."""
    return np.linalg.multi_dot(matrices)


def link_gradient(g: Any, i: int, inputs: tuple[Any, ...]) -> Any:
    """Return the gradient of matrix `i` of a chain: what stands before it, transposed, g, and what stands after."""
    before, after = [x.T for x in inputs[:i][::-1]], [x.T for x in inputs[:i:-1]]
    return chain(*before, g, *after)


backward_of(chain, each=link_gradient, name="multi_dot")


@composed(np.linalg.multi_dot)
def multi_dot(arrays: Any, *, out: Any = None) -> Any:
    """Return the product of a list of matrices, of which the first and the last may be vectors."""
    matrices = [as_array(x) for x in arrays]
    if len(matrices) < 2:
        raise ValueError(f"multi_dot: expected at least two arrays, got {len(matrices)}")
    if len(matrices) == 2:
        return np.dot(matrices[0], matrices[1])
    row, column = (0 if x.ndim == 1 else slice(None) for x in (matrices[0], matrices[-1]))
    matrices[0] = at_least(matrices[0], 2)
    matrices[-1] = matrices[-1][:, None] if column == 0 else matrices[-1]
    return chain(*matrices)[row, column]


# -- vectors in space ----------------------------------------------------------------------------------------


@dispatched
def cross_in_space(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the cross product of vectors of three components, along the last axis."""
    return np.cross(a, b)


backward_of(
    cross_in_space, lambda g, b: cross_in_space(b, g), lambda g, a: cross_in_space(g, a), name="cross"
)


@composed(np.cross)
def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    """Return the vector that is orthogonal to both; of two vectors of two components, the third one's length."""
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = np.moveaxis(as_array(a), axisa, -1), np.moveaxis(as_array(b), axisb, -1)
    if not {a.shape[-1], b.shape[-1]} <= {2, 3}:
        raise ValueError(f"cross: expected vectors of 2 or 3 components, got {a.shape[-1]} and {b.shape[-1]}")
    if a.shape[-1] == b.shape[-1] == 2:
        return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    return np.moveaxis(cross_in_space(_in_space(a), _in_space(b)), -1, axisc)


def _in_space(a: Any) -> Any:
    """Return vectors of two components with a zero as the third."""
    return a if a.shape[-1] == 3 else np.concatenate((a, np.zeros_like(a[..., :1])), -1)


@composed(*present(np.linalg, "cross"))
def cross_of_vectors(x1: Any, x2: Any, /, *, axis: int = -1) -> Any:
    """Return the cross product of vectors of three components."""
    x1, x2 = as_array(x1), as_array(x2)
    if x1.shape[axis] != 3 or x2.shape[axis] != 3:
        raise ValueError(
            f"linalg.cross: expected vectors of 3 components, got {x1.shape[axis]} and {x2.shape[axis]}"
        )
    return np.cross(x1, x2, axis=axis)


# -- convolution ---------------------------------------------------------------------------------------------


@dispatched
def convolution(a: np.ndarray, b: np.ndarray, *, mode: Any) -> np.ndarray:
    """Return ``y[k] = Σᵢ a[i] b[k - i]``, for an `a` at least as long as `b`; `mode` says for which k."""
    return np.convolve(a, b, mode)


def over_all(g: Any, n: int, m: int, mode: str) -> Any:
    """Return `g`, of the middle of the convolution of n and m values, with zeros for the rest of it."""
    if mode == "full":
        return g
    start = (m - 1) // 2
    return np.concatenate((np.zeros(start, g.dtype), g, np.zeros(m - 1 - start, g.dtype)))


def longer_gradient(g: Any, b: Any, n: int, mode: str) -> Any:
    """Return the gradient of the longer factor: ``Σₖ g[k] b[k - i]``."""
    if mode == "valid":
        return np.convolve(g, b[::-1], "full")
    return np.convolve(over_all(g, n, b.shape[0], mode), b[::-1], "valid")


def shorter_gradient(g: Any, a: Any, m: int, mode: str) -> Any:
    """Return the gradient of the shorter factor: ``Σₖ g[k] a[k - i]``."""
    if mode == "valid":
        return np.convolve(a[::-1], g, "valid")
    return np.convolve(over_all(g, a.shape[0], m, mode), a[::-1], "valid")


backward_of(
    convolution,
    lambda g, b, a_shape, *, mode: longer_gradient(g, b, a_shape[0], mode),
    lambda g, a, b_shape, *, mode: shorter_gradient(g, a, b_shape[0], mode),
    name="convolve",
)


def _mode(mode: Any) -> str:
    """Return 'valid', 'same' or 'full', which NumPy also knows by their numbers."""
    mode = ("valid", "same", "full")[mode] if isinstance(mode, int | np.integer) else mode
    if mode not in ("valid", "same", "full"):
        raise ValueError(f"mode must be one of 'valid', 'same', or 'full', got {mode!r}")
    return str(mode)


@composed(np.convolve)
def convolve(a: Any, v: Any, mode: Any = "full") -> Any:
    """Return the discrete convolution of two sequences."""
    a, v = at_least(as_array(a), 1), at_least(as_array(v), 1)
    longer, shorter = (v, a) if v.shape[0] > a.shape[0] else (a, v)
    return convolution(longer, shorter, mode=_mode(mode))


@composed(np.correlate)
def correlate(a: Any, v: Any, mode: Any = "valid") -> Any:
    """Return the discrete correlation ``c[k] = Σₙ a[n + k] conj(v[n])`` of two sequences."""
    a, v = at_least(as_array(a), 1), at_least(as_array(v), 1)
    if v.shape[0] > a.shape[0]:
        return np.conj(np.correlate(v, a, mode))[::-1]
    return convolution(a, np.conj(v)[::-1], mode=_mode(mode))
