"""Polynomials as arrays of coefficients."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.polynomial import polynomial

from mytorch.rules.registry import present
from tests.op_cases import Case

RNG = np.random.default_rng(61)
P, Q, X = RNG.normal(size=4), RNG.normal(size=3), RNG.normal(size=(2, 3))
CP, CX = RNG.normal(size=4) + 1j * RNG.normal(size=4), RNG.normal(size=3) + 1j * RNG.normal(size=3)
POINTS = np.linspace(-1, 1.5, 9)
DATA, WEIGHTS = RNG.normal(size=9), RNG.uniform(0.5, 2.0, size=9)
REAL_ROOTS = np.array([2.0, -1.0, -11.0, 4.0])
ZEROS = np.array([0.0, 2.0, -1.0])


def fitted(x: Any, y: Any, w: Any = None, **options: Any) -> Any:
    """Return what `polyfit` returns, without the rank and the limit of singular values."""
    result = np.polyfit(x, y, 2, w=w, **options)
    return (*result[:2], result[3]) if "full" in options else result


CASES = [
    Case(np.polyval, (P, X)),
    Case(np.polyval, (CP, X), name="complex coefficients"),
    Case(np.polyval, (P, CX), name="complex points"),
    Case(np.polyval, ([3.0, 0.0, 1.0], X), name="a list"),
    Case(np.polyval, (P, 0.5), name="at a number"),
    Case(np.polyval, (P, ZEROS), name="at zero"),
    Case(np.polyadd, (P, Q)),
    Case(np.polyadd, (Q, P), name="shorter first"),
    Case(np.polyadd, (P, 2.0), name="number"),
    Case(np.polysub, (P, Q)),
    Case(np.polysub, (Q, CP), name="complex"),
    Case(np.polymul, (P, Q)),
    Case(np.polymul, (Q, P), name="shorter first"),
    Case(np.polymul, (CP, Q), name="complex"),
    Case(np.polymul, (P, np.array([2.0])), name="of degree zero"),
    Case(np.polydiv, (P, Q)),
    Case(np.polydiv, (Q, P), name="no quotient"),
    Case(np.polydiv, (CP, Q), name="complex"),
    Case(np.polyder, (P,)),
    Case(np.polyder, (P, 2), name="second"),
    Case(np.polyder, (CP, 0), name="none"),
    Case(np.polyint, (P,)),
    Case(np.polyint, (P, 2, [1.0, 2.0]), name="second, with constants"),
    Case(np.polyint, (P, 2, np.array([1.5])), name="second, with one constant"),
    Case(np.polyint, (P, 3, Q), name="third, with constants"),
    Case(np.vander, (P,)),
    Case(np.vander, (P, 3), name="columns"),
    Case(np.vander, (ZEROS, 4), {"increasing": True}, name="increasing, a zero"),
    Case(np.vander, (CX,), name="complex"),
    Case(np.vander, (P, 0), name="no columns"),
    Case(np.poly, (P,)),
    Case(np.poly, (CX,), name="complex"),
    Case(
        np.poly,
        (np.array([1 + 2j, 1 - 2j, 3]),),
        name="conjugate pairs",
        numerical=False,
        gradients=(np.array([-4j, 4j, -4]),),
    ),
    Case(np.poly, (RNG.normal(size=(3, 3)),), name="matrix"),
    Case(np.roots, (REAL_ROOTS,), name="real roots"),
    Case(np.roots, (P,)),
    Case(np.roots, (CP,), name="complex"),
    Case(np.polyfit, (POINTS, DATA, 3)),
    Case(np.polyfit, (POINTS, RNG.normal(size=(9, 2)), 2), name="columns"),
    Case(fitted, (POINTS, DATA, WEIGHTS), name="weights"),
    Case(fitted, (POINTS, DATA), {"full": True}, name="full"),
    Case(fitted, (POINTS, DATA, WEIGHTS), {"cov": True}, name="covariance"),
    Case(fitted, (POINTS, RNG.normal(size=(9, 2))), {"cov": "unscaled"}, name="unscaled covariance"),
]

if hasattr(polynomial.polyval2d, "_implementation"):  # NumPy 2 asks Tensors
    GRID = RNG.normal(size=(3, 2))
    CASES += [
        Case(polynomial.polyval2d, (X, X[::-1], GRID)),
        Case(polynomial.polyval2d, (X, X[::-1], RNG.normal(size=(3, 2, 2))), name="several"),
        Case(polynomial.polyval2d, (np.array(0.5), np.array(-2.0), GRID[:, :1]), name="0-d"),
        Case(polynomial.polygrid2d, (X, Q, GRID)),
        Case(polynomial.polygrid2d, (Q, X, RNG.normal(size=(1, 3, 2))), name="several"),
    ]
for polyvalnd in present(polynomial, "polyvalnd"):  # NumPy 2.5
    CASES += [Case(polyvalnd, ((X, X[::-1], X * X), RNG.normal(size=(3, 2, 2))))]
