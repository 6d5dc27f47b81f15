"""Discrete Fourier transforms (`numpy.fft`).

A transform is linear, and the matrix of the inverse one is its conjugate transpose but for the scale, which the
argument `norm` says: "backward" scales the inverse, "forward" the transform.  So the gradient of a transform is the
inverse one with the two exchanged, and cut or padded to the input's length.  Transforms of real numbers keep half of
a spectrum whose other half is its mirror image, so the entries that have one count twice.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mytorch.rules.matrices import conj
from mytorch.rules.registry import backward_of, composed
from mytorch.rules.shapes import along, normalize_axis_index

SWAPPED: dict[str | None, Any] = {
    None: "forward",
    "backward": "forward",
    "ortho": "ortho",
    "forward": "backward",
}


def of_length(g: Any, n: int, axis: int) -> Any:
    """Return `g` cut, or padded with zeros, to length `n` along `axis`."""
    axis = normalize_axis_index(axis, g.ndim)
    if g.shape[axis] == n:
        return g
    if g.shape[axis] > n:
        return g[along(axis, slice(n))]
    rest = (*g.shape[:axis], n - g.shape[axis], *g.shape[axis + 1 :])
    return np.concatenate((g, np.zeros(rest, g.dtype)), axis)


def mirrored(n: int, g: Any, axis: int) -> np.ndarray:
    """Return how often each entry of half a spectrum stands for one of the whole of length `n`: once or twice."""
    axis = normalize_axis_index(axis, g.ndim)
    k = np.arange(n // 2 + 1)
    times = np.where((k == 0) | (2 * k == n), 1, 2).astype(g.real.dtype)
    return times.reshape((-1,) + (1,) * (g.ndim - 1 - axis))


def rfft_gradient(g: Any, a_shape: tuple[int, ...], n: int | None, axis: int, norm: Any) -> Any:
    """Return the gradient of real input: the inverse transform of half a spectrum, whose mirrored entries halve."""
    n = a_shape[axis] if n is None else n
    return of_length(np.fft.irfft(g / mirrored(n, g, axis), n, axis, SWAPPED[norm]), a_shape[axis], axis)


def irfft_gradient(g: Any, a_shape: tuple[int, ...], axis: int, norm: Any) -> Any:
    """Return the gradient of half a spectrum: the transform, in which the mirrored entries double."""
    spectrum = np.fft.rfft(g, axis=axis, norm=SWAPPED[norm])
    return of_length(spectrum * mirrored(g.shape[axis], spectrum, axis), a_shape[axis], axis)


backward_of(
    np.fft.fft,
    lambda g, a_shape, *, axis=-1, norm=None: of_length(
        np.fft.ifft(g, axis=axis, norm=SWAPPED[norm]), a_shape[axis], axis
    ),
    holomorphic=False,
)
backward_of(
    np.fft.ifft,
    lambda g, a_shape, *, axis=-1, norm=None: of_length(
        np.fft.fft(g, axis=axis, norm=SWAPPED[norm]), a_shape[axis], axis
    ),
    holomorphic=False,
)
backward_of(
    np.fft.rfft,
    lambda g, a_shape, *, n=None, axis=-1, norm=None: rfft_gradient(g, a_shape, n, axis, norm),
    holomorphic=False,
)
backward_of(
    np.fft.irfft,
    lambda g, a_shape, *, axis=-1, norm=None: irfft_gradient(g, a_shape, axis, norm),
    holomorphic=False,
)


# -- composed of these ---------------------------------------------------------------------------------------


def _checked(norm: Any) -> Any:
    """Return the other norm, or say that there is none of this name."""
    if norm not in SWAPPED:
        raise ValueError(f'Invalid norm value {norm}; should be "backward", "ortho" or "forward".')
    return SWAPPED[norm]


@composed(np.fft.hfft)
def hfft(a: Any, n: int | None = None, axis: int = -1, norm: Any = None, out: Any = None) -> Any:
    """Return the transform of a signal of which half is given, the other half being its conjugate mirror image."""
    return np.fft.irfft(conj(a), n, axis, _checked(norm))


@composed(np.fft.ihfft)
def ihfft(a: Any, n: int | None = None, axis: int = -1, norm: Any = None, out: Any = None) -> Any:
    """Return the inverse of `hfft`."""
    return conj(np.fft.rfft(a, n, axis, _checked(norm)))


def _lengths(a: Any, s: Any, axes: Any) -> list[tuple[int | None, int]]:
    """Return per axis to be transformed its length (None: the transform's own default) and itself."""
    if axes is None:
        axes = range(a.ndim) if s is None else range(-len(s), 0)
    s = [None] * len(axes) if s is None else s
    if len(s) != len(axes):
        raise ValueError("Shape and axes have different lengths.")
    return [(a.shape[axis] if n == -1 else n, axis) for n, axis in zip(s, axes, strict=True)]


def _along_each(transform: Any, a: Any, lengths: list[tuple[int | None, int]], norm: Any) -> Any:
    """Return `a` transformed along one axis after the other, the last first."""
    for n, axis in reversed(lengths):
        a = transform(a, n, axis, norm)
    return a


@composed(np.fft.fftn)
def fftn(a: Any, s: Any = None, axes: Any = None, norm: Any = None, out: Any = None) -> Any:
    """Return the transform along several axes."""
    return _along_each(np.fft.fft, a, _lengths(a, s, axes), norm)


@composed(np.fft.ifftn)
def ifftn(a: Any, s: Any = None, axes: Any = None, norm: Any = None, out: Any = None) -> Any:
    """Return the inverse transform along several axes."""
    return _along_each(np.fft.ifft, a, _lengths(a, s, axes), norm)


@composed(np.fft.rfftn)
def rfftn(a: Any, s: Any = None, axes: Any = None, norm: Any = None, out: Any = None) -> Any:
    """Return the transform of real numbers: half a spectrum along the last of the axes."""
    *others, (n, axis) = _lengths(a, s, axes)
    return _along_each(np.fft.fft, np.fft.rfft(a, n, axis, norm), others, norm)


@composed(np.fft.irfftn)
def irfftn(a: Any, s: Any = None, axes: Any = None, norm: Any = None, out: Any = None) -> Any:
    """Return the inverse of `rfftn`, real numbers."""
    *others, (n, axis) = _lengths(a, s, axes)
    return np.fft.irfft(_along_each(np.fft.ifft, a, others[::-1], norm), n, axis, norm)


@composed(np.fft.fft2)
def fft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None, out: Any = None) -> Any:
    """Return the transform along two axes."""
    return fftn(a, s, axes, norm, out)


@composed(np.fft.ifft2)
def ifft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None, out: Any = None) -> Any:
    """Return the inverse transform along two axes."""
    return ifftn(a, s, axes, norm, out)


@composed(np.fft.rfft2)
def rfft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None, out: Any = None) -> Any:
    """Return the transform of real numbers along two axes."""
    return rfftn(a, s, axes, norm, out)


@composed(np.fft.irfft2)
def irfft2(a: Any, s: Any = None, axes: Any = (-2, -1), norm: Any = None, out: Any = None) -> Any:
    """Return the inverse of `rfft2`."""
    return irfftn(a, s, axes, norm, out)


def _halves(x: Any, axes: Any) -> tuple[Any, Any]:
    """Return the axes, all by default, and half of each one's length."""
    axes = tuple(range(x.ndim)) if axes is None else axes
    if isinstance(axes, int | np.integer):
        return axes, x.shape[axes] // 2
    return axes, [x.shape[axis] // 2 for axis in axes]


@composed(np.fft.fftshift)
def fftshift(x: Any, axes: Any = None) -> Any:
    """Return a spectrum with frequency zero in the middle."""
    axes, half = _halves(x, axes)
    return np.roll(x, half, axes)


@composed(np.fft.ifftshift)
def ifftshift(x: Any, axes: Any = None) -> Any:
    """Return a spectrum with frequency zero first."""
    axes, half = _halves(x, axes)
    return np.roll(x, np.negative(half).tolist(), axes)
