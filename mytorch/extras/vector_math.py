"""exp, log and tanh without branches, so that a compiled loop takes several entries at a time.

The C library's functions are called for one entry at a time.  These are polynomials that a compiler can spread over a
vector register.  Source of the formulas: Stephen L. Moshier, Cephes mathematical library (expf.c, exp.c, logf.c, log.c,
tanhf.c, tanh.c).  Each is within 3 units in the last place; NaN and the infinities give what NumPy gives.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import float32, float64, int32, int64, types
from numba.extending import intrinsic


def _bits(source: Any, target: Any) -> Any:
    """Return a function that reads the bits of one type as another."""

    @intrinsic
    def bits(_: Any, x: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.bitcast(args[0], context.get_value_type(target))

        return target(source), code

    return bits


_float32_of, _int32_of = _bits(types.int32, types.float32), _bits(types.float32, types.int32)
_float64_of, _int64_of = _bits(types.int64, types.float64), _bits(types.float64, types.int64)
_inline = numba.njit(error_model="numpy", inline="never")

_ROUND32, _ROUND64 = np.float32(1.5 * 2**23), 1.5 * 2.0**52  # adding these leaves a whole number
_LOG2E = 1.4426950408889634


@_inline
def exp32(x: Any) -> Any:
    """Return exp(x) in single precision."""
    a = x if x > float32(-104) else float32(-104)
    a = a if a < float32(89) else float32(89)
    n = (a * float32(_LOG2E) + _ROUND32) - _ROUND32
    r = a - n * float32(0.693359375) - n * float32(-2.12194440e-4)
    p = float32(1.9875691500e-4)
    p = p * r + float32(1.3981999507e-3)
    p = p * r + float32(8.3334519073e-3)
    p = p * r + float32(4.1665795894e-2)
    p = p * r + float32(1.6666665459e-1)
    p = p * r + float32(5.0000001201e-1)
    p = p * r * r + r + float32(1)
    k = int32(n)
    half = k >> int32(1)
    y = (
        p
        * _float32_of(int32((half + int32(127)) << int32(23)))
        * _float32_of(int32((k - half + int32(127)) << int32(23)))
    )
    return y if x == x else x


@_inline
def exp64(x: Any) -> Any:
    """Return exp(x) in double precision."""
    a = x if x > -746.0 else -746.0
    a = a if a < 710.0 else 710.0
    n = (a * _LOG2E + _ROUND64) - _ROUND64
    r = a - n * 6.93145751953125e-1 - n * 1.42860682030941723212e-6
    z = r * r
    p = r * ((1.26177193074810590878e-4 * z + 3.02994407707441961300e-2) * z + 9.99999999999999999910e-1)
    q = (3.00198505138664455042e-6 * z + 2.52448340349684104192e-3) * z + 2.27265548208155028766e-1
    p = 1.0 + 2.0 * (p / (q * z + 2.0 - p))
    k = int64(n)
    half = k >> int64(1)
    y = (
        p
        * _float64_of((half + int64(1023)) << int64(52))
        * _float64_of((k - half + int64(1023)) << int64(52))
    )
    return y if x == x else x


@_inline
def log32(x: Any) -> Any:
    """Return log(x) in single precision."""
    tiny = x < float32(1.17549435e-38)
    a = x * float32(8388608) if tiny else x
    bits = _int32_of(a)
    e = float32(((bits >> int32(23)) & int32(255)) - int32(126)) - (float32(23) if tiny else float32(0))
    m = _float32_of(int32((bits & int32(0x007FFFFF)) | int32(0x3F000000)))
    low = m < float32(0.70710678)
    e = e - float32(1) if low else e
    m = m + m - float32(1) if low else m - float32(1)
    z = m * m
    p = float32(7.0376836292e-2)
    p = p * m + float32(-1.1514610310e-1)
    p = p * m + float32(1.1676998740e-1)
    p = p * m + float32(-1.2420140846e-1)
    p = p * m + float32(1.4249322787e-1)
    p = p * m + float32(-1.6668057665e-1)
    p = p * m + float32(2.0000714765e-1)
    p = p * m + float32(-2.4999993993e-1)
    p = p * m + float32(3.3333331174e-1)
    y = p * m * z + float32(-2.12194440e-4) * e - float32(0.5) * z
    y = m + y + float32(0.693359375) * e
    y = y if x > float32(0) else (float32(-np.inf) if x == float32(0) else float32(np.nan))
    return y if x < float32(np.inf) else (x if x > float32(0) else y)


@_inline
def log64(x: Any) -> Any:
    """Return log(x) in double precision."""
    tiny = x < 2.2250738585072014e-308
    a = x * 4503599627370496.0 if tiny else x
    bits = _int64_of(a)
    e = float64(((bits >> int64(52)) & int64(2047)) - int64(1022)) - (52.0 if tiny else 0.0)
    m = _float64_of((bits & int64(0x000FFFFFFFFFFFFF)) | int64(0x3FE0000000000000))
    low = m < 0.70710678118654752440
    e = e - 1.0 if low else e
    m = m + m - 1.0 if low else m - 1.0
    z = m * m
    p = 1.01875663804580931796e-4
    p = p * m + 4.97494994976747001425e-1
    p = p * m + 4.70579119878881725854e0
    p = p * m + 1.44989225341610930846e1
    p = p * m + 1.79368678507819816313e1
    p = p * m + 7.70838733755885391666e0
    q = m + 1.12873587189167450590e1
    q = q * m + 4.52279145837532221105e1
    q = q * m + 8.29875266912776603211e1
    q = q * m + 7.11544750618563894466e1
    q = q * m + 2.31251620126765340583e1
    y = m * (z * p / q) - e * 2.121944400546905827679e-4 - 0.5 * z
    y = m + y + e * 0.693359375
    y = y if x > 0.0 else (-np.inf if x == 0.0 else np.nan)
    return y if x < np.inf else (x if x > 0.0 else y)


@_inline
def tanh32(x: Any) -> Any:
    """Return tanh(x) in single precision."""
    a = abs(x)
    z = x * x
    p = float32(-5.70498872745e-3)
    p = p * z + float32(2.06390887954e-2)
    p = p * z + float32(-5.37397155531e-2)
    p = p * z + float32(1.33314422036e-1)
    p = p * z + float32(-3.33332819422e-1)
    near = (p * z + float32(1)) * x
    far = float32(1) - float32(2) / (exp32(a + a) + float32(1))
    far = -far if x < float32(0) else far
    return near if a < float32(0.625) else far


@_inline
def tanh64(x: Any) -> Any:
    """Return tanh(x) in double precision."""
    a = abs(x)
    z = x * x
    p = (-9.64399179425052238628e-1 * z - 9.92877231001918586564e1) * z - 1.61468768441708447952e3
    q = ((z + 1.12811678491632931402e2) * z + 2.23548839060100448583e3) * z + 4.84406305325125486048e3
    near = (1.0 + z * (p / q)) * x
    far = 1.0 - 2.0 / (exp64(a + a) + 1.0)
    far = -far if x < 0.0 else far
    return near if a < 0.625 else far
