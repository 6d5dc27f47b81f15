"""Derivatives of functions of one number, applied to every entry of an array.

Source of the formulas: Abramowitz & Stegun, *Handbook of Mathematical Functions*, ch. 4.  Those of the inverse
functions are written so that they lose no digits at the ends of the domain, and are right in the whole complex
plane, on the cuts too.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mytorch.rules.arithmetic import LOG_2, nonzero, sign_of
from mytorch.rules.constants import one, values
from mytorch.rules.masks import masked
from mytorch.rules.registry import backward_of, composed, constant, dispatched, present

LOG_10 = math.log(10)

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
backward_of(np.arcsin, lambda g, a: g / circle(a))
backward_of(np.arccos, lambda g, a: -g / circle(a))
backward_of(np.arctan, lambda g, a: g / (1 + a * a))
backward_of(np.sinh, lambda g, a: g * np.cosh(a))
backward_of(np.cosh, lambda g, a: g * np.sinh(a))
backward_of(np.tanh, lambda g, y: g * (one(y) - y * y))
backward_of(np.arcsinh, lambda g, a: g / np.sqrt(plus_one(a * a)))
backward_of(np.arccosh, lambda g, a: g / (np.sqrt(a - 1) * np.sqrt(plus_one(a))))
backward_of(np.arctanh, lambda g, a: g / ((1 - a) * (1 + a)))
backward_of(np.deg2rad, lambda g: g * (np.pi / 180))
backward_of(np.radians, lambda g: g * (np.pi / 180))
backward_of(np.rad2deg, lambda g: g * (180 / np.pi))
backward_of(np.degrees, lambda g: g * (180 / np.pi))
backward_of(np.fabs, lambda g, a: g * sign_of(a))
backward_of(np.absolute, lambda g, a: g * direction(a), holomorphic=False)
backward_of(np.conjugate, lambda g: np.conj(g), holomorphic=False)

constant(np.floor, np.ceil, np.trunc, np.rint, np.fix, np.round, np.around, np.signbit, np.spacing)
constant(np.isfinite, np.isinf, np.isnan, np.isnat, np.logical_not, np.invert, *present(np, "bitwise_count"))
constant(np.isreal, np.iscomplex, np.isneginf, np.isposinf)


def plus_one(a: Any) -> Any:
    """Return ``1 + a``, also with the sign of an imaginary part of zero: it tells the side of a cut."""
    return -(-a - 1) if a.dtype.kind == "c" else 1 + a


def circle(a: Any) -> Any:
    """Return ``sqrt(1 - a²)``."""
    return np.sqrt(plus_one(-a) * plus_one(a))


def direction(a: Any) -> Any:
    """Return ``a / |a|``, and 0 at 0: the sign of a real number, the direction of a complex one."""
    if a.dtype.kind != "c":
        return sign_of(a)
    size = np.absolute(a)
    return np.where(size == 0, 0, a) / nonzero(size)  # constant at 0, to every order


@composed(np.sign)
def sign(x: Any) -> Any:
    """Return the sign: constant, but for NumPy 2's of complex numbers, which is their direction."""
    turns = x.dtype.kind == "c" and np.sign(1j) == 1j
    return direction(x) if turns else np.sign(values(x))


@composed(np.angle)
def angle(z: Any, deg: bool = False) -> Any:
    """Return the angle in the complex plane; the gradient is 0 at the origin, and for real numbers everywhere."""
    y = np.arctan2(z.imag, z.real) if z.dtype.kind == "c" else np.arctan2(0, z)
    return np.rad2deg(y) if deg else y


@composed(np.real_if_close)
def real_if_close(a: Any, tol: float = 100) -> Any:
    """Return the real part where all imaginary parts are negligible."""
    return a if np.iscomplexobj(np.real_if_close(values(a), tol)) else a.real


# -- parts of numbers ----------------------------------------------------------------------------------------


@dispatched
def fraction(a: np.ndarray) -> np.ndarray:
    """Return the fractional part, with the sign of `a`."""
    return np.modf(a)[0]


@dispatched
def mantissa(a: np.ndarray) -> np.ndarray:
    """Return m of ``a = m * 2 ** e`` with 1/2 <= abs(m) < 1."""
    return np.frexp(a)[0]


@dispatched
def finite(a: np.ndarray, **replacements: Any) -> np.ndarray:
    """Return real `a` with finite numbers for NaN and infinities."""
    return np.nan_to_num(a, **replacements)


backward_of(fraction, lambda g: g, elementwise=True)
backward_of(mantissa, lambda g, a: np.ldexp(g, -np.frexp(values(a))[1]), elementwise=True)
backward_of(finite, lambda g, a: masked(g, np.isfinite(a)), elementwise=True)


@composed(np.modf)
def modf(x: Any) -> tuple[Any, Any]:
    """Return the fractional part, which moves with x, and the whole part, which is constant."""
    return fraction(x), np.modf(values(x))[1]


@composed(np.frexp)
def frexp(x: Any) -> tuple[Any, Any]:
    """Return mantissa and exponent, ``x = mantissa * 2 ** exponent``; the exponent is constant."""
    return mantissa(x), np.frexp(values(x))[1]


@composed(np.nan_to_num)
def nan_to_num(x: Any, copy: bool = True, nan: float = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    """Return `x` with finite numbers for NaN and infinities, in real and imaginary parts; they get no gradient."""
    if x.dtype.kind == "c":
        y: Any = np.empty_like(x)
        y.real = np.nan_to_num(x.real, True, nan, posinf, neginf)
        y.imag = np.nan_to_num(x.imag, True, nan, posinf, neginf)
    else:
        y = finite(x, nan=nan, posinf=posinf, neginf=neginf)
    if copy:
        return y
    x[...] = y
    return x
