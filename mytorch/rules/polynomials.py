"""Polynomials as arrays of coefficients, the highest power first: `polyval`, `polyfit`, `roots` and their kin.

(Those of `numpy.polynomial` make plain arrays of coefficients before anybody can answer for them.)
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.polynomial import polynomial

from mytorch.rules.constants import values
from mytorch.rules.registry import backward_of, composed, present
from mytorch.rules.shapes import as_array, at_least

RankWarning: Any = [*present(np.exceptions, "RankWarning"), *present(np, "RankWarning")][0]


def coefficients(p: Any) -> Any:
    """Return the coefficients as an array of one axis."""
    return at_least(as_array(p), 1)


@composed(np.vander)
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """Return the matrix of powers of a vector: N - 1 ... 0, or 0 ... N - 1."""
    if x.ndim != 1:
        raise ValueError(f"vander: expected a vector, got an array of {x.ndim} dimensions")
    n = x.shape[0] if N is None else N
    powers = np.arange(n) if increasing else np.arange(n)[::-1]
    return x.astype(np.promote_types(x.dtype, int))[:, None] ** powers


@composed(np.polyval)
def polyval(p: Any, x: Any) -> Any:
    """Return the polynomial's values at the points `x`, by Horner's rule."""
    p, x = coefficients(p), as_array(x)
    y = np.zeros_like(values(x))
    for c in p:
        y = y * x + c
    return y


@composed(np.polyadd)
def polyadd(a1: Any, a2: Any) -> Any:
    """Return the sum of two polynomials."""
    return np.add(*_of_one_length(a1, a2))


@composed(np.polysub)
def polysub(a1: Any, a2: Any) -> Any:
    """Return the difference of two polynomials."""
    return np.subtract(*_of_one_length(a1, a2))


def _of_one_length(a1: Any, a2: Any) -> list[Any]:
    """Return coefficients of two polynomials, the shorter with zeros in front."""
    pair = coefficients(a1), coefficients(a2)
    n = max(p.shape[0] for p in pair)
    return [np.concatenate((np.zeros(n - p.shape[0], p.dtype), p)) if p.shape[0] < n else p for p in pair]


@composed(np.polymul)
def polymul(a1: Any, a2: Any) -> Any:
    """Return the product of two polynomials, without zeros in front."""
    return np.convolve(_trimmed(a1), _trimmed(a2))


def _trimmed(p: Any) -> Any:
    """Return the coefficients from the first that is not zero; the last one at least."""
    p = coefficients(p)
    first = np.flatnonzero(values(p))[:1]
    return p[first[0] :] if first.size else p[-1:]


@composed(np.polydiv)
def polydiv(u: Any, v: Any) -> tuple[Any, Any]:
    """Return the quotient and the remainder of two polynomials."""
    u, v = coefficients(u) + 0.0, coefficients(v) + 0.0
    n = v.shape[0]
    quotient, rest = [], u.astype(np.result_type(u.dtype, v.dtype))
    for k in range(u.shape[0] - n + 1):
        quotient.append(rest[k] / v[0])
        rest = np.concatenate((rest[:k], rest[k : k + n] - quotient[-1] * v, rest[k + n :]))
    while np.allclose(values(rest)[0], 0, rtol=1e-14) and rest.shape[0] > 1:
        rest = rest[1:]
    return np.stack(quotient) if quotient else np.zeros(1, rest.dtype), rest


@composed(np.polyder)
def polyder(p: Any, m: int = 1) -> Any:
    """Return the coefficients of the m-th derivative."""
    if m < 0:
        raise ValueError("Order of derivative must be positive (see polyint)")
    p = as_array(p)
    for _ in range(int(m)):
        p = p[:-1] * np.arange(p.shape[0] - 1, 0, -1)
    return p


@composed(np.polyint)
def polyint(p: Any, m: int = 1, k: Any = None) -> Any:
    """Return the coefficients of the m-th antiderivative, with constants of integration `k`."""
    if m < 0:
        raise ValueError("Order of integral must be positive (see polyder)")
    p, m = as_array(p), int(m)
    k = np.zeros(m) if k is None else coefficients(k)
    k = np.broadcast_to(k, (m,)) if k.shape[0] == 1 else k
    if k.shape[0] < m:
        raise ValueError(f"polyint: expected one constant, or at least {m}, got {k.shape[0]}")
    for i in range(m):
        p = np.concatenate((p / np.arange(p.shape[0], 0, -1), k[i : i + 1]))
    return p


@composed(np.poly)
def poly(seq_of_zeros: Any) -> Any:
    """Return the polynomial with these roots, or the characteristic polynomial of a matrix."""
    roots = coefficients(seq_of_zeros)
    if roots.ndim == 2 and roots.shape[0] == roots.shape[1] != 0:
        roots = np.linalg.eigvals(roots)
    elif roots.ndim != 1:
        raise ValueError("input must be 1d or non-empty square 2d array.")
    if roots.shape[0] == 0:
        return 1.0
    roots = roots.astype(np.mintypecode(roots.dtype.char), copy=False)
    p = np.ones(1, roots.dtype)
    for root in roots:
        p = np.convolve(p, np.stack((np.ones_like(values(root)), -root)))
    known = np.sort(values(roots))
    return p.real if p.dtype.kind == "c" and np.all(known == np.sort(known.conj())) else p


def root_gradient(g: Any, y: Any, a: Any) -> Any:
    """Return the coefficients' gradient: ``dr = -Σₖ dp[k] r^(n - k) / p'(r)`` for every root r, of p(r) = 0."""
    return -np.matmul(g / np.polyval(np.polyder(a), y), np.vander(y, a.shape[0]))


backward_of(np.roots, root_gradient)


@composed(np.polyfit)
def polyfit(
    x: Any, y: Any, deg: int, rcond: Any = None, full: bool = False, w: Any = None, cov: Any = False
) -> Any:
    """Return the polynomial of least squared distance, each weighted with `w`; its covariance where asked for."""
    x, y, order = as_array(x) + 0.0, as_array(y) + 0.0, int(deg) + 1
    _check_points(x, y, w, deg)
    rcond = x.shape[0] * np.finfo(x.dtype).eps if rcond is None else rcond
    powers, target = np.vander(x, order), y
    if w is not None:
        w = as_array(w) + 0.0
        powers, target = powers * w[:, None], target * (w[:, None] if y.ndim == 2 else w)
    scale = np.sqrt(np.sum(powers * powers, axis=0))
    powers = powers / scale
    c, residuals, rank, s = np.linalg.lstsq(powers, target, rcond)
    c = (c.T / scale).T
    if rank != order and not full:
        warnings.warn("Polyfit may be poorly conditioned", RankWarning, stacklevel=2)
    if full:
        return c, residuals, rank, s, rcond
    return (c, _covariance(powers, scale, residuals, cov, y.ndim)) if cov else c


def _covariance(powers: Any, scale: Any, residuals: Any, cov: Any, ndim: int) -> Any:
    """Return the covariance of the coefficients, scaled with the residuals unless `cov` is "unscaled"."""
    points, order = powers.shape
    base = np.linalg.inv(np.matmul(powers.T, powers)) / np.outer(scale, scale)
    if cov != "unscaled":
        if points <= order:
            raise ValueError("the number of data points must exceed order to scale the covariance matrix")
        factor = residuals / (points - order)
    else:
        factor = 1
    return base * factor if ndim == 1 else base[:, :, None] * factor


def _check_points(x: Any, y: Any, w: Any, deg: int) -> None:
    """Raise if points to be fitted are not vectors of one length."""
    if deg < 0:
        raise ValueError("expected deg >= 0")
    if x.ndim != 1 or x.size == 0:
        raise TypeError(f"polyfit: expected a non-empty vector for x, got shape {x.shape}")
    if y.ndim not in (1, 2) or x.shape[0] != y.shape[0]:
        raise TypeError(f"polyfit: expected x and y to have same length, got {x.shape} and {y.shape}")
    if w is not None and np.shape(w) != x.shape:
        raise TypeError(f"polyfit: expected a weight for each of {x.shape} points, got shape {np.shape(w)}")


# Of numpy.polynomial, these functions let other types answer in newer versions of NumPy; their powers rise.


def _asked(name: str) -> list[Any]:
    """Return NumPy's function of that name if it asks Tensors."""
    return [f for f in present(polynomial, name) if hasattr(f, "_implementation")]


@composed(*_asked("polyval2d"))
def polyval2d(x: Any, y: Any, c: Any) -> Any:
    """Return ``sum(c[i, j] * x ** i * y ** j)`` at every point of `x` and `y`."""
    return polyvalnd((x, y), c)


@composed(*_asked("polyvalnd"))
def polyvalnd(pts: Any, c: Any) -> Any:
    """Return the sum of ``c[i, j, ...] * x ** i * y ** j * ...`` at every point of ``x, y, ... = pts``."""
    pts, c = [as_array(x) for x in pts], as_array(c)
    if any(x.shape != pts[0].shape for x in pts):
        raise ValueError(
            f"coordinates of one shape were expected, these are incompatible: {[x.shape for x in pts]}"
        )
    c = np.reshape(c, c.shape + (1,) * pts[0].ndim)
    for x in pts:
        c = _by_powers(c, x)
    return c


@composed(*_asked("polygrid2d"))
def polygrid2d(x: Any, y: Any, c: Any) -> Any:
    """Return ``sum(c[i, j] * x ** i * y ** j)`` for every `x` with every `y`."""
    for points in (as_array(x), as_array(y)):
        c = as_array(c)
        c = _by_powers(np.reshape(c, c.shape + (1,) * points.ndim), points)
    return c


def _by_powers(c: Any, x: Any) -> Any:
    """Return ``sum(c[i] * x ** i)`` over the first axis of `c`, by Horner's rule."""
    y = c[-1] + 0 * x
    for row in c[-2::-1]:
        y = y * x + row
    return y
