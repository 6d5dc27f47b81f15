"""Cases of functions of one number."""

from __future__ import annotations

from typing import Any

import numpy as np

from mytorch.rules import elementwise, special
from tests.op_cases import Case

rng = np.random.default_rng(1)
A = rng.normal(size=(2, 3))
P = rng.uniform(0.5, 2.0, size=(2, 3))
UNIT = rng.uniform(-0.8, 0.8, size=4)
Z = rng.normal(size=3) + 1j * rng.normal(size=3)
S = np.array(0.7)
EMPTY = np.zeros((0, 2))
FAR = np.array([-9.0, -0.3, 0.0, 1e-8, 2.0, 8.5, 20.0])
NEAR = np.array([-3.7, -1.3, -1e-9, 0.0, 0.02, 0.9, 1.1, 2.0])
WITH_NAN = np.array([1.0, np.nan, np.inf, -np.inf, 2.0])

ANYWHERE: list[Any] = [
    np.exp,
    np.exp2,
    np.expm1,
    np.sin,
    np.cos,
    np.tan,
    np.arctan,
    np.sinh,
    np.cosh,
    np.tanh,
]
ANYWHERE += [
    np.arcsinh,
    np.sinc,
    np.deg2rad,
    np.radians,
    np.rad2deg,
    np.degrees,
    np.fabs,
    np.absolute,
    np.cbrt,
]
POSITIVE: list[Any] = [np.log, np.log2, np.log10, np.log1p, np.sqrt]
INSIDE: list[Any] = [np.arcsin, np.arccos, np.arctanh]
COMPLEX: list[Any] = [
    np.exp,
    np.exp2,
    np.expm1,
    np.log,
    np.log2,
    np.log10,
    np.log1p,
    np.sqrt,
    np.sin,
    np.cos,
    np.tan,
]
COMPLEX += [np.arcsin, np.arccos, np.arctan, np.sinh, np.cosh, np.tanh, np.arcsinh, np.arccosh, np.arctanh]
COMPLEX += [np.absolute, np.conjugate, np.angle]

CASES = [
    *(Case(f, (A,)) for f in ANYWHERE),
    *(Case(f, (P,)) for f in POSITIVE),
    *(Case(f, (UNIT,)) for f in INSIDE),
    Case(np.arccosh, (P + 1,)),
    *(Case(f, (Z,), name="complex") for f in COMPLEX),
    *(Case(f, (S,), name="0-d") for f in (np.exp, np.tanh, np.absolute, np.log)),
    *(Case(f, (EMPTY,), name="empty") for f in (np.exp, np.sqrt)),
    Case(np.sin, (A.T[::2],), name="not contiguous"),
    Case(np.conjugate, (A,), name="real"),
    Case(np.angle, (Z,), {"deg": True}, name="degrees"),
    Case(np.angle, (A,), name="real"),
    Case(
        np.absolute,
        (np.array([0.0, -1.0, 2.0]),),
        name="at 0",
        order=1,
        numerical=False,
        gradients=([0.0, -1.0, 1.0],),
    ),
    Case(
        np.absolute,
        (np.array([0.0 + 0j, 3 + 4j]),),
        name="complex at 0",
        order=1,
        numerical=False,
        gradients=([0, 0.6 + 0.8j],),
    ),
    Case(np.sinc, (np.array([0.0, 1.0]),), name="at 0", order=1, numerical=False, gradients=([0.0, -1.0],)),
    Case(lambda x: x * np.sign(x), (A,), name="times its sign", covers=(np.sign,)),
    Case(
        np.nan_to_num,
        (WITH_NAN,),
        {"nan": 5.0},
        order=1,
        numerical=False,
        gradients=([1.0, 0.0, 0.0, 0.0, 1.0],),
    ),
    Case(np.nan_to_num, (A,)),
    Case(np.nan_to_num, (Z,), name="complex", covers=(np.nan_to_num, elementwise.finite)),
    Case(np.modf, (3 * A,), covers=(np.modf, elementwise.fraction)),
    Case(np.frexp, (3 * A,), covers=(np.frexp, elementwise.mantissa)),
    Case(np.real_if_close, (Z,)),
    Case(lambda z: np.real_if_close(z), (A + 0j,), name="close", covers=(np.real_if_close,), value=False),
    Case(np.i0, (A,), rtol=1e-12),
    Case(
        np.i0,
        (np.array([0.0, 30.0, 300.0]),),
        name="far",
        rtol=1e-9,
        float32=False,
        order=1,
        reason="values to 1e128",
    ),
    Case(np.i0, (FAR,), name="both branches", covers=(np.i0, special.bessel_i), rtol=1e-12),
    *(Case(special.bessel_i, (FAR,), {"order": n}, name=f"order {n}") for n in range(4)),
    *(Case(special.sinc_derivative, (NEAR,), {"order": n}, name=f"order {n}") for n in range(1, 6)),
    *(Case(f, (P,)) for f in (np.emath.sqrt, np.emath.log, np.emath.log2, np.emath.log10)),
    *(Case(f, (A,), name="negative") for f in (np.emath.sqrt, np.emath.log, np.emath.log2, np.emath.log10)),
    *(Case(f, (UNIT,)) for f in (np.emath.arcsin, np.emath.arccos, np.emath.arctanh)),
    *(Case(f, (1 + P,), name="beyond one") for f in (np.emath.arcsin, np.emath.arccos, np.emath.arctanh)),
    Case(np.emath.logn, (np.array(2.5), P)),
    Case(np.emath.logn, (2.5, A), name="negative"),
    Case(np.emath.power, (P, 2.5)),
    Case(np.emath.power, (A, 0.5), name="negative"),
]
if np.__version__ >= "2":  # NumPy 1.26 has the sign of the real part
    CASES += [Case(np.sign, (Z,), name="complex")]
