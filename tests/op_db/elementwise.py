"""Counterparts of operations that act entry by entry, of one, two or three arrays."""

from __future__ import annotations

from typing import Any

import numpy

from tests.op_db import NotInNumPy

np: Any = numpy  # called with Tensors, and with what PyTorch gives


def _scaled(function: Any) -> Any:
    """Return ``function(a, alpha * b)``, as PyTorch adds and subtracts."""
    return lambda a, b, alpha=1: function(a, b if alpha == 1 else alpha * b)


def divide(a: Any, b: Any, rounding_mode: str | None = None) -> Any:
    if rounding_mode is None:
        return np.divide(a, b)
    return np.floor_divide(a, b) if rounding_mode == "floor" else np.trunc(np.divide(a, b))


def clamp(a: Any, min: Any = None, max: Any = None) -> Any:
    if np.iscomplexobj(a):
        raise NotInNumPy("complex numbers are not ordered")
    return np.clip(a, min, max)


def nan_to_num(a: Any, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Any:
    return np.nan_to_num(a, nan=nan, posinf=posinf, neginf=neginf)


def lerp(a: Any, b: Any, weight: Any) -> Any:
    return a + weight * (b - a)


def xlogy(a: Any, b: Any) -> Any:
    zero = np.equal(a, 0)
    return np.where(zero, 0.0, a * np.log(np.where(zero, 1.0, b)))


def xlog1py(a: Any, b: Any) -> Any:
    return xlogy(a, 1 + b)


def entr(a: Any) -> Any:
    inside = np.greater(a, 0)
    x = np.where(inside, a, 1.0)
    return np.where(inside, -x * np.log(x), np.where(np.equal(a, 0), 0.0, -np.inf))


def logit(a: Any, eps: float | None = None) -> Any:
    x = a if eps is None else np.clip(a, eps, 1 - eps)
    return np.log(x / (1 - x))


def isclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    return np.isclose(a, b, rtol, atol, equal_nan)


def allclose(a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    return np.allclose(a, b, rtol, atol, equal_nan)


def logaddexp(a: Any, b: Any) -> Any:
    if np.iscomplexobj(a):
        raise NotInNumPy("NumPy's function takes no complex numbers")
    return np.logaddexp(a, b)


def real(a: Any) -> Any:
    return np.real(a)


TABLE = {
    # one array
    "abs": np.abs,
    "acos": np.arccos,
    "acosh": np.arccosh,
    "angle": np.angle,
    "asin": np.arcsin,
    "asinh": np.arcsinh,
    "atan": np.arctan,
    "atanh": np.arctanh,
    "ceil": np.ceil,
    "clone": np.copy,
    "conj": np.conj,
    "conj_physical": np.conjugate,
    "cos": np.cos,
    "cosh": np.cosh,
    "deg2rad": np.deg2rad,
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "floor": np.floor,
    "frac": lambda a: a - np.trunc(a),
    "frexp": np.frexp,
    "i0": np.i0,
    "imag": np.imag,
    "isfinite": np.isfinite,
    "isinf": np.isinf,
    "isnan": np.isnan,
    "isneginf": np.isneginf,
    "isposinf": np.isposinf,
    "isreal": np.isreal,
    "log": np.log,
    "log10": np.log10,
    "log1p": np.log1p,
    "log2": np.log2,
    "logical_not": np.logical_not,
    "logit": logit,
    "nan_to_num": nan_to_num,
    "neg": np.negative,
    "positive": np.positive,
    "rad2deg": np.rad2deg,
    "real": real,
    "reciprocal": np.reciprocal,
    "resolve_conj": np.copy,
    "resolve_neg": np.copy,
    "round": lambda a, decimals=0: np.round(a, decimals),
    "rsqrt": lambda a: 1 / np.sqrt(a),
    "sgn": lambda a: a / np.where(np.equal(a, 0), 1, np.abs(a)) if np.iscomplexobj(a) else np.sign(a),
    "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
    "sign": np.sign,
    "signbit": np.signbit,
    "sin": np.sin,
    "sinc": np.sinc,
    "sinh": np.sinh,
    "special.entr": entr,
    "special.modified_bessel_i0": np.i0,
    "special.spherical_bessel_j0": lambda a: np.sinc(a / np.pi),
    "special.i0e": lambda a: np.i0(a) * np.exp(-np.abs(a)),
    "sqrt": np.sqrt,
    "square": np.square,
    "tan": np.tan,
    "tanh": np.tanh,
    "trunc": np.trunc,
    # two arrays
    "__radd__": lambda a, b: b + a,
    "__rdiv__": lambda a, b: b / a,
    "__rmod__": lambda a, b: b % a,
    "__rmul__": lambda a, b: b * a,
    "__rpow__": lambda a, b: b**a,
    "__rsub__": lambda a, b: b - a,
    "add": _scaled(np.add),
    "allclose": allclose,
    "atan2": np.arctan2,
    "clamp_max": np.minimum,
    "clamp_min": np.maximum,
    "complex": lambda a, b: a + 1j * b,
    "copysign": np.copysign,
    "div": divide,
    "eq": np.equal,
    "equal": np.array_equal,
    "float_power": np.float_power,
    "floor_divide": np.floor_divide,
    "fmax": np.fmax,
    "fmin": np.fmin,
    "fmod": np.fmod,
    "ge": np.greater_equal,
    "gt": np.greater,
    "heaviside": np.heaviside,
    "hypot": np.hypot,
    "isclose": isclose,
    "ldexp": lambda a, b: a * 2.0**b,
    "le": np.less_equal,
    "logaddexp": logaddexp,
    "logaddexp2": np.logaddexp2,
    "logical_and": np.logical_and,
    "logical_or": np.logical_or,
    "logical_xor": np.logical_xor,
    "lt": np.less,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "mul": np.multiply,
    "ne": np.not_equal,
    "polar": lambda a, b: a * np.exp(1j * b),
    "pow": np.power,
    "remainder": np.remainder,
    "rsub": lambda a, b, alpha=1: b - alpha * a,
    "special.xlog1py": xlog1py,
    "sub": _scaled(np.subtract),
    "true_divide": np.true_divide,
    "xlogy": xlogy,
    # three arrays
    "addcdiv": lambda a, b, c, value=1: a + value * (b / c),
    "addcmul": lambda a, b, c, value=1: a + value * b * c,
    "clamp": clamp,
    "lerp": lerp,
    "where": lambda a, condition, b: np.where(condition, a, b),
}
