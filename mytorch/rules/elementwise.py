"""Derivatives of functions of one number, applied to every entry of an array.

Source of the formulas: any table of derivatives; Abramowitz & Stegun, ch. 4, for the inverse functions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mytorch.rules.registry import backward_of, composed, constant

LOG_2, LOG_10 = float(np.log(2)), float(np.log(10))

backward_of(np.exp, lambda g, y: g * y)
backward_of(np.exp2, lambda g, y: g * (y * LOG_2))
backward_of(np.expm1, lambda g, y: g * (y + 1))
backward_of(np.log, lambda g, a: g / a)
backward_of(np.log2, lambda g, a: g / (a * LOG_2))
backward_of(np.log10, lambda g, a: g / (a * LOG_10))
backward_of(np.log1p, lambda g, a: g / (a + 1))
backward_of(np.sqrt, lambda g, y: g / (2 * y))
backward_of(np.cbrt, lambda g, y: g / (3 * y * y))
backward_of(np.sin, lambda g, a: g * np.cos(a))
backward_of(np.cos, lambda g, a: -g * np.sin(a))
backward_of(np.tan, lambda g, y: g * (1 + y * y))
backward_of(np.arcsin, lambda g, a: g / np.sqrt(1 - a * a))
backward_of(np.arccos, lambda g, a: -g / np.sqrt(1 - a * a))
backward_of(np.arctan, lambda g, a: g / (1 + a * a))
backward_of(np.sinh, lambda g, a: g * np.cosh(a))
backward_of(np.cosh, lambda g, a: g * np.sinh(a))
backward_of(np.tanh, lambda g, y: g * (1 - y * y))
backward_of(np.arcsinh, lambda g, a: g / np.sqrt(a * a + 1))
backward_of(np.arccosh, lambda g, a: g / (np.sqrt(a - 1) * np.sqrt(a + 1)))
backward_of(np.arctanh, lambda g, a: g / (1 - a * a))
backward_of(np.deg2rad, lambda g: g * (np.pi / 180))
backward_of(np.radians, lambda g: g * (np.pi / 180))
backward_of(np.rad2deg, lambda g: g * (180 / np.pi))
backward_of(np.degrees, lambda g: g * (180 / np.pi))
backward_of(np.fabs, lambda g, a: g * np.sign(a))
backward_of(np.absolute, lambda g, a: g * direction(a), holomorphic=False)
backward_of(np.conjugate, lambda g: np.conj(g), holomorphic=False)
backward_of(np.sinc, lambda g, a, y: g * sinc_slope(a, y), elementwise=True)
backward_of(np.angle, lambda g, a, *, deg=False: g * angle_slope(a, deg), holomorphic=False)
backward_of(
    np.nan_to_num,
    lambda g, a, *, copy=True, nan=0.0, posinf=None, neginf=None: np.where(np.isfinite(a), g, 0),
)


constant(np.isfinite, np.isinf, np.isnan, np.isnat, np.signbit, np.spacing, np.logical_not, np.invert)
constant(np.floor, np.ceil, np.trunc, np.rint, np.fix, np.round, np.around, np.isreal, np.iscomplex)
constant(np.isneginf, np.isposinf)
if hasattr(np, "bitwise_count"):  # NumPy 2
    constant(np.bitwise_count)


def direction(a: Any) -> Any:
    """Return ``a / |a|``, and 0 at 0: the sign of a real number, the direction of a complex one."""
    if a.dtype.kind != "c":
        return np.sign(a)
    size = np.absolute(a)
    return np.where(size == 0, 0, a) / np.where(size == 0, 1, size)  # constant at 0, to every order


@composed(np.sign)
def sign(x: Any, **options: Any) -> Any:
    """Return the sign: constant on the real line, a direction that turns in the complex plane."""
    x = np.asanyarray(x) if not hasattr(x, "dtype") else x
    turns = (
        x.dtype.kind == "c" and np.lib.NumpyVersion(np.__version__) >= "2.0.0"
    )  # 1.26: the real part's sign
    return direction(x) if turns else np.sign(x.detach().numpy(), **options)


def sinc_slope(a: Any, y: Any) -> Any:
    """Return the derivative of ``sin(pi a) / (pi a)``, 0 at 0."""
    nonzero = np.where(a == 0, 1, a)
    return np.where(a == 0, 0, (np.cos(np.pi * nonzero) - y) / nonzero)


def angle_slope(a: Any, deg: bool) -> Any:
    """Return the gradient of the angle in the complex plane, ``i a / |a|²``; 0 on the real line and at 0."""
    if a.dtype.kind != "c":
        return np.zeros_like(a)
    size = (a * np.conj(a)).real
    slope = np.where(size == 0, 0, 1j * a / np.where(size == 0, 1, size))
    return slope * (180 / np.pi) if deg else slope


@composed(np.modf)
def modf(x: Any) -> tuple[Any, Any]:
    """Return the fractional part, which moves with x, and the whole part, which is constant."""
    whole = np.trunc(x)
    return x - whole, whole


@composed(np.frexp)
def frexp(x: Any) -> tuple[Any, Any]:
    """Return mantissa and exponent, ``x = mantissa * 2 ** exponent``; the exponent is constant."""
    exponent = np.frexp(x.detach().numpy())[1]
    return np.ldexp(x, -exponent), exponent


@composed(np.real_if_close)
def real_if_close(a: Any, tol: float = 100) -> Any:
    """Return the real part where the imaginary parts are all negligible."""
    close = np.real_if_close(a.detach().numpy(), tol)
    return a.real if close.dtype.kind != "c" else a


@composed(np.i0)
def i0(x: Any) -> Any:
    """Return the modified Bessel function I₀, the mean of ``exp(x cos t)`` over the circle.

    The mean over equally spaced angles converges exponentially (Trefethen & Weideman 2014).
    """
    reach = float(np.max(np.abs(x.detach().numpy()), initial=0))
    angles = np.linspace(0, 2 * np.pi, 64 + 12 * int(np.sqrt(reach) + 1), endpoint=False)
    return np.mean(np.exp(x[..., None] * np.cos(angles)), axis=-1).astype(x.dtype)
