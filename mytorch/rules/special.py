"""Functions whose derivatives are functions of their own, to any order: `sinc`, `i0`, and those of `np.emath`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from mytorch.rules.constants import values
from mytorch.rules.registry import backward_of, composed, dispatched
from mytorch.rules.shapes import as_array

# -- sinc ----------------------------------------------------------------------------------------------------


@dispatched
def sinc_derivative(a: np.ndarray, *, order: int) -> np.ndarray:
    """Return the derivative of ``sin(pi a) / (pi a)`` of the given order (1 or more), to full precision also at 0.

    Far from zero by the recurrence that Leibniz' rule gives for ``a sinc(a) = sin(pi a) / pi``; near zero, where
    the recurrence cancels, by the Taylor series.
    """
    near = np.abs(a) < 1 + order / 8
    far = np.where(near, 2 + order, a)
    y = np.sinc(far)
    for n in range(1, order + 1):
        y = (math.pi ** (n - 1) * np.sin(math.pi * far + n * math.pi / 2) - n * y) / far
    return np.where(near, _sinc_series(np.where(near, a, 0), order), y)


def _sinc_series(a: Any, order: int) -> Any:
    """Return the sum over k of ``(-1) ** k pi ** (2 k) a ** (2 k - order) / ((2 k + 1) (2 k - order)!)``."""
    first = (order + 1) // 2
    power = (a if order % 2 else np.ones_like(a)) * ((-1) ** first * math.pi ** (2 * first))
    total = power / (2 * first + 1)
    for k in range(first + 1, first + 20 + order):
        power = power * (a * a) * (-(math.pi**2) / ((2 * k - order) * (2 * k - order - 1)))
        total = total + power / (2 * k + 1)
    return total


backward_of(np.sinc, lambda g, a: g * sinc_derivative(a, order=1), elementwise=True)
backward_of(sinc_derivative, lambda g, a, *, order: g * sinc_derivative(a, order=order + 1), elementwise=True)


# -- Bessel functions ----------------------------------------------------------------------------------------


@dispatched
def bessel_i(a: np.ndarray, *, order: int) -> np.ndarray:
    r"""Return the modified Bessel function of the first kind, of an integer order (0 or more), for real `a`.

    .. math:: I_n(a) = \frac{1}{\pi} \int_0^\pi e^{a \cos t} \cos(n t) \, dt

    (Abramowitz & Stegun 9.6.19) by the midpoint rule, which converges geometrically for a periodic function
    (Trefethen & Weideman, SIAM Review 56, 2014); its error is I_m(a) with m twice the number of points.  Only the part
    of the exponential that has the parity of n contributes.
    """
    reach = float(np.max(np.abs(a), initial=0, where=np.isfinite(a)))
    count = order + 12 + int(5 * math.sqrt(reach))
    part = np.sinh if order % 2 else np.cosh
    total = np.zeros_like(a)
    for j in range(count):
        t = (j + 0.5) * math.pi / count
        total = total + part(a * math.cos(t)) * (math.cos(order * t) / count)
    return total


backward_of(np.i0, lambda g, a: g * bessel_i(a, order=1), elementwise=True)
backward_of(
    bessel_i,
    lambda g, a, *, order: g * ((bessel_i(a, order=abs(order - 1)) + bessel_i(a, order=order + 1)) / 2),
    elementwise=True,
)


# -- functions that leave the real line where they must ------------------------------------------------------


def extended(x: Any, outside: Callable[[Any], Any]) -> Any:
    """Return `x`, as complex numbers if some real ones are `outside` the domain."""
    x = as_array(x)
    if x.dtype.kind != "c" and np.any(outside(values(x))):
        x = x.astype(np.result_type(x.dtype, np.complex64))
    return x


def negative(x: Any) -> Any:
    """Return where `x` is negative."""
    return x < 0


def beyond_one(x: Any) -> Any:
    """Return where the size of `x` is more than one."""
    return np.abs(x) > 1


def _register(function: Callable[..., Any], real: Callable[..., Any], outside: Callable[[Any], Any]) -> None:
    """Say that `function` is `real`, of complex numbers where the argument is outside the domain."""
    composed(function)(lambda x: real(extended(x, outside)))


_register(np.emath.sqrt, np.sqrt, negative)
_register(np.emath.log, np.log, negative)
_register(np.emath.log2, np.log2, negative)
_register(np.emath.log10, np.log10, negative)
_register(np.emath.arcsin, np.arcsin, beyond_one)
_register(np.emath.arccos, np.arccos, beyond_one)
_register(np.emath.arctanh, np.arctanh, beyond_one)


@composed(np.emath.logn)
def logn(n: Any, x: Any) -> Any:
    """Return the logarithm to the base `n`, complex where one of them is negative."""
    return np.log(extended(x, negative)) / np.log(extended(n, negative))


@composed(np.emath.power)
def power(x: Any, p: Any) -> Any:
    """Return the power, complex where `x` is negative."""
    return np.power(extended(x, negative), as_array(p))
