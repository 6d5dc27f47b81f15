"""Norms of vectors and matrices, and condition numbers.

A norm has a kink at zero, where its gradient is zero here (as PyTorch's is): the subgradient of least size.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mytorch import arrays
from mytorch.rules.constants import values
from mytorch.rules.decompositions import svdvals
from mytorch.rules.elementwise import direction
from mytorch.rules.matrices import real_dtype
from mytorch.rules.registry import backward_of, composed, dispatched, present
from mytorch.rules.shapes import as_array, normalize_axis_tuple


@dispatched
def p_norm(a: np.ndarray, *, ord: Any, axis: tuple[int, ...], keepdims: Any) -> np.ndarray:
    """Return ``(Σ |a|ᵖ)^(1/p)`` over `axis`, for p neither zero nor infinite."""
    if ord != 2:
        y = np.sum(np.abs(a) ** ord, axis, keepdims=keepdims)
        return arrays.asarray(y ** np.array(1 / ord, y.dtype))
    if len(axis) == a.ndim:
        return arrays.asarray(np.linalg.norm(a, keepdims=keepdims))
    return np.sqrt(np.sum((a.conj() * a).real, axis, keepdims=keepdims))


def p_norm_gradient(g: Any, y: Any, a: Any, ord: Any, axis: tuple[int, ...], keepdims: bool) -> Any:
    """Return ``g a/|a| |a|ᵖ⁻¹ / yᵖ⁻¹``, and zero where `a` or the norm is zero."""
    if not keepdims:
        g, y = np.expand_dims(g, axis), np.expand_dims(y, axis)
    zero = values(y) == 0
    scale = np.where(zero, 0, g / np.where(zero, 1, y) ** (ord - 1))
    if ord == 2:
        return scale * a
    zero = values(a) == 0
    return np.where(zero, 0, scale * direction(a) * np.abs(np.where(zero, 1, a)) ** (ord - 1))


backward_of(
    p_norm,
    lambda g, y, a, *, ord, axis, keepdims: p_norm_gradient(g, y, a, ord, axis, keepdims),
    holomorphic=False,
    name="norm",
)


@composed(np.linalg.norm)
def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """Return the norm of vectors (along one axis), of matrices (along two), or of all entries."""
    x = as_array(x)
    x = x if x.dtype.kind in "fc" else x.astype(float)
    axes = normalize_axis_tuple(range(x.ndim) if axis is None else axis, x.ndim)
    if axis is None and ord is None:
        return p_norm(x, ord=2, axis=axes, keepdims=keepdims)
    if len(axes) == 1:
        return norm_of_vectors(x, ord, axes, keepdims)
    if len(axes) == 2:
        return norm_of_matrices(x, ord, axes, keepdims)
    raise ValueError(
        f"Improper number of dimensions to norm: {len(axes)}; give one axis, or two, or ord=None"
    )


def norm_of_vectors(x: Any, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    """Return norms over `axes`, of which all entries together are a vector."""
    if isinstance(ord, str):
        raise ValueError(f"Invalid norm order {ord!r} for vectors")
    if ord == 0:
        return np.sum(values(x) != 0, axis=axes, keepdims=keepdims, dtype=real_dtype(x.dtype))
    if ord == 1:
        return np.sum(np.abs(x), axis=axes, keepdims=keepdims)
    if ord in (np.inf, -np.inf):
        return largest(np.abs(x), ord > 0, axes, keepdims)
    return p_norm(x, ord=2 if ord is None else ord, axis=axes, keepdims=keepdims)


def norm_of_matrices(x: Any, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    """Return norms over two axes, of rows and of columns."""
    if ord in (None, "fro", "f"):
        return p_norm(x, ord=2, axis=axes, keepdims=keepdims)
    x = np.moveaxis(x, axes, (-2, -1))
    if ord == "nuc":
        y = np.sum(svdvals(x), axis=-1)
    elif ord in (2, -2):
        y = largest(svdvals(x), ord > 0, (-1,), False)
    elif ord in (1, -1, np.inf, -np.inf):
        y = largest(np.sum(np.abs(x), axis=-2 if abs(ord) == 1 else -1), ord > 0, (-1,), False)
    else:
        raise ValueError(f"Invalid norm order {ord!r} for matrices")
    return np.expand_dims(y, axes) if keepdims else y


def largest(x: Any, most: bool, axes: tuple[int, ...], keepdims: bool) -> Any:
    """Return the largest (or smallest) of sizes; the largest of none is zero."""
    if most and x.size == 0:
        return np.zeros_like(values(x)).max(axis=axes, keepdims=keepdims, initial=0)
    return (np.max if most else np.min)(x, axis=axes, keepdims=keepdims)


@composed(*present(np.linalg, "vector_norm"))
def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Any:
    """Return the norm over any axes as of one vector."""
    x = as_array(x)
    x = x if x.dtype.kind in "fc" else x.astype(float)
    axes = normalize_axis_tuple(range(x.ndim) if axis is None else axis, x.ndim)
    return norm_of_vectors(x, ord, axes, keepdims)


@composed(*present(np.linalg, "matrix_norm"))
def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    """Return the norm of matrices, the last two axes."""
    return norm(x, ord, (-2, -1), keepdims)


@composed(np.linalg.cond)
def cond(x: Any, p: Any = None) -> Any:
    """Return the condition number: the ratio of extreme singular values, or ``|x| |x⁻¹|`` in another norm."""
    x = as_array(x)
    if x.shape[-1] == 0 or x.shape[-2] == 0:
        raise np.linalg.LinAlgError("cond is not defined on empty arrays")
    if p in (None, 2, -2):
        s = svdvals(x)
        first, last = (s[..., -1], s[..., 0]) if p == -2 else (s[..., 0], s[..., -1])
        unbounded = values(last) == 0
        ratio = first / np.where(unbounded, 1, last)
        unbounded = unbounded & ~np.isnan(values(x)).any(axis=(-2, -1))
    else:
        unbounded = np.linalg.slogdet(values(x))[0] == 0
        regular = np.where(unbounded[..., None, None], np.eye(x.shape[-1], dtype=x.dtype), x)
        ratio = norm(x, p, (-2, -1)) * norm(np.linalg.inv(regular), p, (-2, -1))
    return np.where(unbounded, np.inf, ratio).astype(real_dtype(x.dtype), copy=False)
