"""What the rules of matrices share: transposes, and functions with several outputs.

An operation has one output.  A function that returns several arrays (`eigh`, `svd`, `qr`, ...) is therefore
written as a primitive that *packs* them: they lie one after the other in one flat memory of real numbers, and
what the caller gets are views of it, contiguous, of the right shapes and dtypes (a complex output is a complex
view).  Their gradients are then the same views of one gradient, which the primitive's rule unpacks::

    forms = (a.shape, a.dtype), ...           # shape and dtype of each output
    w, v = unpack(eigh_packed(a, forms=forms), forms)
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, TypeAlias

import numpy as np

from mytorch import arrays
from mytorch.rules.registry import dispatched, view

Forms: TypeAlias = "tuple[tuple[tuple[int, ...], np.dtype[Any]], ...]"


def pack(parts: Sequence[Any], forms: Forms) -> np.ndarray:
    """Return the arrays, in their `forms`, one after the other in one flat memory of real numbers."""
    flat = [
        arrays.asarray(x, dtype).reshape(shape).ravel().view(real_dtype(dtype))
        for x, (shape, dtype) in zip(parts, forms, strict=True)
    ]
    return np.concatenate(flat)


def unpack(packed: Any, forms: Forms) -> list[Any]:
    """Return the views of the arrays that `packed` holds."""
    views, start = [], 0
    for shape, dtype in forms:
        stop = start + prod(shape) * (dtype.itemsize // packed.dtype.itemsize)
        views.append(section(packed, start=start, stop=stop, shape=shape, dtype=dtype))
        start = stop
    return views


@dispatched
def section(
    a: np.ndarray, *, start: int, stop: int, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> np.ndarray:
    """Return the view of ``a[start:stop]``, contiguous, in another shape and dtype."""
    return a[start:stop].view(dtype).reshape(shape)


view(section)


def inexact(*arrays: Any) -> np.dtype[Any]:
    """Return the dtype in which `numpy.linalg` computes with these arrays: integers become float64."""
    dtype = np.result_type(*(x.dtype for x in arrays))
    return dtype if dtype.kind in "fc" else np.dtype(float)


def real_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype of the real part of numbers of `dtype`."""
    return np.empty(0, dtype).real.dtype


def conj(x: Any) -> Any:
    """Return the complex conjugate; real arrays as they are."""
    return np.conj(x) if x.dtype.kind == "c" else x


def real(x: Any) -> Any:
    """Return the real part; real arrays as they are."""
    return x.real if x.dtype.kind == "c" else x


def of_field(x: Any, g: Any) -> Any:
    """Return `x` as numbers of the kind of `g`: its real part, of which alone a real result (``dtype=``) is made."""
    return x.real if x.dtype.kind == "c" and g.dtype.kind != "c" else x


def mT(x: Any) -> Any:
    """Return the transposes of matrices, the last two axes."""
    return np.swapaxes(x, -1, -2)


def mH(x: Any) -> Any:
    """Return the conjugate transposes of matrices, the last two axes."""
    return conj(np.swapaxes(x, -1, -2))


def diagonal(x: Any) -> Any:
    """Return the diagonals of matrices."""
    return np.diagonal(x, axis1=-2, axis2=-1)


def on_diagonal(x: Any) -> Any:
    """Return the matrices that have the vectors `x` on their diagonals and zeros elsewhere."""
    return np.where(np.eye(x.shape[-1], dtype=bool), x[..., None, :], 0)
