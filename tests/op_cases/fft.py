"""Discrete Fourier transforms: lengths odd and even, cut and padded, every scale, real and complex."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.counterparts import of_torch
from tests.op_cases import Case

RNG = np.random.default_rng(51)
NORMS = (None, "backward", "ortho", "forward")
SINGLE = np.lib.NumpyVersion(np.__version__) >= "2.0.0"
"""NumPy 1 computes transforms in double precision only."""


def real(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape)


def complex_(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape) + 1j * RNG.normal(size=shape)


def transform(function: Callable[..., Any], a: np.ndarray, *args: Any, name: str = "", **kwargs: Any) -> Case:
    """Return the case of a transform and PyTorch's, whose `axis` and `axes` are `dim`."""
    words = {{"axis": "dim", "axes": "dim"}.get(key, key): value for key, value in kwargs.items()}
    return Case(
        function,
        (a, *args),
        kwargs,
        name=f"{name} {a.shape} {a.dtype.kind} {args or ''} {kwargs or ''}",
        torch=of_torch(f"fft.{function.__name__}", *args, **words),
        float32=SINGLE,
    )


A = {"real": real(3, 6), "complex": complex_(3, 6), "odd": real(2, 5), "complex odd": complex_(5)}
FFT, IFFT, RFFT, IRFFT, HFFT, IHFFT = (
    np.fft.fft,
    np.fft.ifft,
    np.fft.rfft,
    np.fft.irfft,
    np.fft.hfft,
    np.fft.ihfft,
)

CASES = [
    *(transform(f, a) for f in (FFT, IFFT, IRFFT, HFFT) for a in A.values()),
    *(transform(f, a) for f in (RFFT, IHFFT) for a in (A["real"], A["odd"], real(4))),
    *(
        transform(f, a, n, norm=norm)
        for f in (FFT, IFFT, IRFFT, HFFT)
        for a in (complex_(6), complex_(5))
        for n, norm in ((8, None), (4, "ortho"), (7, "forward"), (3, "backward"), (1, None), (6, "ortho"))
    ),
    *(
        transform(f, a, n, norm=norm)
        for f in (RFFT, IHFFT)
        for a in (real(6), real(5))
        for n, norm in ((8, None), (4, "ortho"), (7, "forward"), (3, "backward"), (1, None), (2, "ortho"))
    ),
    *(transform(f, a, axis=0) for f in (FFT, IFFT, IRFFT, HFFT) for a in (complex_(4, 2), real(5, 2))),
    *(transform(f, real(n, 2), axis=-2) for f in (RFFT, IHFFT) for n in (4, 5)),
    transform(FFT, complex_(8, 6)[::2, ::-1], name="strided"),
    transform(RFFT, real(6, 8)[::2, ::2].T, axis=0, name="strided"),
    # Several axes
    *(
        transform(f, a)
        for f in (np.fft.fft2, np.fft.ifft2, np.fft.irfft2, np.fft.fftn, np.fft.ifftn, np.fft.irfftn)
        for a in (complex_(2, 3, 4), real(3, 5))
    ),
    *(transform(f, a) for f in (np.fft.rfft2, np.fft.rfftn) for a in (real(2, 3, 4), real(4, 5))),
    *(
        transform(f, complex_(3, 4, 2), s=(4, 3), axes=(1, 0), norm=norm)
        for f in (np.fft.fft2, np.fft.ifft2, np.fft.irfft2, np.fft.fftn, np.fft.ifftn, np.fft.irfftn)
        for norm in ("ortho", "forward")
    ),
    *(
        transform(f, real(3, 4, 2), s=(4, 3), axes=(1, 0), norm=norm)
        for f in (np.fft.rfft2, np.fft.rfftn)
        for norm in NORMS
    ),
    Case(np.fft.fftn, (complex_(3, 4),), {"axes": (0, 1, 0)}, name="an axis twice", float32=SINGLE),
    Case(np.fft.rfftn, (real(3, 4),), {"axes": (1,)}, name="one axis", float32=SINGLE),
    # Order of frequencies
    *(
        Case(f, (a,), {"axes": axes}, name=f"{axes}", torch=of_torch(f"fft.{f.__name__}", dim=axes))
        for f in (np.fft.fftshift, np.fft.ifftshift)
        for a, axes in ((real(5), None), (complex_(3, 4), None), (real(3, 5), 1), (real(3, 5), (0, -1)))
    ),
]
