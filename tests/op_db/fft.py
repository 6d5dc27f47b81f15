"""Counterparts of discrete Fourier transforms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

from tests.op_db import NotInNumPy

np: Any = numpy  # called with Tensors, and with what PyTorch gives


def _of_one_axis(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda a, n=None, dim=-1, norm=None: function(a, n, dim, norm)


def _of_axes(function: Callable[..., Any], default: Any = None) -> Callable[..., Any]:
    def call(a: Any, s: Any = None, dim: Any = default, norm: Any = None) -> Any:
        axes = (dim,) if isinstance(dim, int) else dim
        if s is not None and axes is None:  # NumPy 2 wants them named: the last ones
            axes = tuple(range(-len(s), 0))
        elif axes is None:
            axes = tuple(range(a.ndim))
        if s is not None and -1 in s:
            s = tuple(a.shape[axis] if n == -1 else n for n, axis in zip(s, axes, strict=True))
        return function(a, s, axes, norm)

    return call


def _real(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(a: Any, *args: Any, **kwargs: Any) -> Any:
        if np.iscomplexobj(a):
            raise NotInNumPy("the transform of real arrays takes no complex ones")
        return function(a, *args, **kwargs)

    return call


def _hermitian(function: Callable[..., Any], default: Any, real: bool) -> Callable[..., Any]:
    """Return the transform of many axes that NumPy has for one: that of real arrays, the other way round."""
    other = {None: "forward", "backward": "forward", "forward": "backward", "ortho": "ortho"}
    transform = _of_axes(function, default)

    def call(a: Any, s: Any = None, dim: Any = default, norm: Any = None) -> Any:
        if real:
            return np.conj(transform(a, s, dim, other[norm]))
        return transform(np.conj(a), s, dim, other[norm])

    return call


def _shift(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda a, dim=None: function(a, dim)


TABLE = {
    "fft.fft": _of_one_axis(np.fft.fft),
    "fft.fft2": _of_axes(np.fft.fft2, (-2, -1)),
    "fft.fftn": _of_axes(np.fft.fftn),
    "fft.fftshift": _shift(np.fft.fftshift),
    "fft.hfft": _of_one_axis(np.fft.hfft),
    "fft.hfft2": _hermitian(np.fft.irfft2, (-2, -1), real=False),
    "fft.hfftn": _hermitian(np.fft.irfftn, None, real=False),
    "fft.ifft": _of_one_axis(np.fft.ifft),
    "fft.ifft2": _of_axes(np.fft.ifft2, (-2, -1)),
    "fft.ifftn": _of_axes(np.fft.ifftn),
    "fft.ifftshift": _shift(np.fft.ifftshift),
    "fft.ihfft": _real(_of_one_axis(np.fft.ihfft)),
    "fft.ihfft2": _real(_hermitian(np.fft.rfft2, (-2, -1), real=True)),
    "fft.ihfftn": _real(_hermitian(np.fft.rfftn, None, real=True)),
    "fft.irfft": _of_one_axis(np.fft.irfft),
    "fft.irfft2": _of_axes(np.fft.irfft2, (-2, -1)),
    "fft.irfftn": _of_axes(np.fft.irfftn),
    "fft.rfft": _real(_of_one_axis(np.fft.rfft)),
    "fft.rfft2": _real(_of_axes(np.fft.rfft2, (-2, -1))),
    "fft.rfftn": _real(_of_axes(np.fft.rfftn)),
}
