"""Numbers and arrays as short Python text that gives the same numbers back.

A dtype is written only where a bare number would take another; an array with a pattern (zeros, a range) as the call
that makes it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray

SHORT, LONGEST = 16, 64  # entries, and characters, of an array that is written out
_NAMED = {np.inf: "np.inf", -np.inf: "-np.inf"}


def number(x: Any) -> str:
    """Return a number as a Python literal, which takes the dtype of the array that it meets.

    >>> number(np.float32(0.1)), number(2.0), number(-np.inf), number(np.int64(3))
    ('0.1', '2.0', '-np.inf', '3')
    """
    if isinstance(x, np.complexfloating | complex):
        return _complex(x)
    if isinstance(x, np.floating | float):
        value = float(x)
        if value != value:
            return "np.nan"
        return _NAMED.get(value) or (repr(value) if isinstance(x, float) else repr(_shortest(x)))
    return repr(x.item() if isinstance(x, np.generic) else x)


def _shortest(x: np.floating[Any]) -> float:
    """Return the shortest decimal number that is `x` when it is rounded to the type of `x`."""
    short = float(np.format_float_scientific(x))
    return short if type(x)(short) == x else float(x)


def computed(x: Any) -> str | None:
    """Return what a positive number with many digits was computed from (None: nothing simple that gives it back).

    >>> computed(1 / 9), computed(1 - 0.9), computed(np.float32(2 / 3)), computed(0.1), computed(np.sqrt(2))
    ('1 / 9', '1 - 0.9', '2 / 3', None, None)
    """
    if not isinstance(x, np.floating | float) or len(number(x)) < 9 or not 1e-7 < x < 1e7:
        return None
    rest = 1 - float(x)
    if isinstance(x, float) and rest > 0 and len(repr(rest)) < 8 and 1 - rest == x:
        return f"1 - {rest!r}"
    for p in range(1, 10):
        q = round(p / float(x))
        if q > 1 and type(x)(p / q) == x:
            return f"{p} / {q}"
    return None


def _complex(x: Any) -> str:
    """Return a complex number; one whose parts are not finite has no literal."""
    parts = (x.real, x.imag)
    if all(np.isfinite(part) for part in parts):
        return repr(complex(*[float(number(part)) for part in parts]))
    return f"complex({number(parts[0])}, {number(parts[1])})"


def dtype_text(dtype: np.dtype[Any]) -> str:
    """Return a dtype as NumPy's name for it."""
    if dtype.kind == "b":
        return "bool"
    known = getattr(np, dtype.name, None)
    return f"np.{dtype.name}" if known is not None and dtype.isnative else f"np.dtype({dtype.str!r})"


def strong(x: np.generic) -> str:
    """Return a NumPy scalar with its dtype, where a bare number would take another one."""
    if isinstance(x, np.bool_):
        return repr(bool(x))
    return f"{dtype_text(x.dtype)}({number(x)})"


def is_uniform(array: ndarray) -> bool:
    """Say whether all entries are one number."""
    return bool(
        array.size
        and np.array_equal(array, np.broadcast_to(array.reshape(-1)[0], array.shape), equal_nan=True)
    )


def pattern(array: ndarray) -> str | None:
    """Return the call that makes an array of zeros, ones, one number, the identity or a range (None: it is none)."""
    kind = "" if array.dtype == np.float64 else f", dtype={dtype_text(array.dtype)}"
    if not array.flags.c_contiguous:
        return None
    shape = str(array.shape[0]) if array.ndim == 1 else str(array.shape)
    if not array.size:
        return f"np.empty({shape}{kind})"
    if array.ndim and is_uniform(array):
        return _uniform(array, shape, kind)
    return _eye(array, kind) or _range(array)


def _uniform(array: ndarray, shape: str, kind: str) -> str:
    entry = array.reshape(-1)[0]
    if entry == 0 and not np.signbit(entry.real):
        return f"np.zeros({shape}{kind})"
    return f"np.ones({shape}{kind})" if entry == 1 else f"np.full({shape}, {short(entry)}{_full_kind(array)})"


def short(x: Any) -> str:
    """Return a number, by what it was computed from where that is known."""
    sign = "-" if isinstance(x, np.floating) and x < 0 else ""
    found = computed(-x if sign else x)
    return number(x) if found is None or (sign and " - " in found) else sign + found


def _full_kind(array: ndarray) -> str:
    entry = array.reshape(-1)[0].item()
    return "" if np.full(1, entry).dtype == array.dtype else f", dtype={dtype_text(array.dtype)}"


def _eye(array: ndarray, kind: str) -> str | None:
    square = array.ndim == 2 and array.shape[0] == array.shape[1] > 1 and array.dtype.kind in "biufc"
    return f"np.eye({len(array)}{kind})" if square and np.array_equal(array, np.eye(len(array))) else None


def _range(array: ndarray) -> str | None:
    """Return the call that makes the integers from zero on, perhaps along one axis of several."""
    if (
        array.dtype.kind != "i"
        or array.size < 3
        or not np.array_equal(array.reshape(-1), np.arange(array.size))
    ):
        return None
    kind = "" if array.dtype == np.arange(1).dtype else f", dtype={dtype_text(array.dtype)}"
    return f"np.arange({array.size}{kind})" + ("" if array.ndim == 1 else f".reshape{array.shape}")


def array_text(array: ndarray) -> str | None:
    """Return an array as text (None: it is too long, and has to be kept in a file).

    >>> array_text(np.zeros((2, 3))), array_text(np.float32([0.1, 2]))
    ('np.zeros((2, 3))', 'np.array([0.1, 2.0], dtype=np.float32)')
    """
    known = pattern(array)
    if known is not None:
        return known
    if array.size > SHORT:
        return None
    kind = (
        "" if array.dtype in (np.float64, np.complex128, np.bool_) else f", dtype={dtype_text(array.dtype)}"
    )
    order = "" if array.flags.c_contiguous else ', order="F"'
    packed = array.flags.c_contiguous or array.flags.f_contiguous
    text = f"np.array({_nested(array)}{kind}{order})"
    return text if packed and len(text) <= LONGEST else None


def _nested(array: ndarray) -> str:
    if array.ndim == 0:
        return number(array[()])
    return f"[{', '.join(map(_nested, [array[i, ...] for i in range(len(array))]))}]"


def argument_of(array: ndarray) -> str:
    """Return the arguments of ``np.array`` that make an array without axes.

    >>> argument_of(np.array(2.0)), argument_of(np.float32(0.1))
    ('2.0', '0.1, dtype=np.float32')
    """
    known = np.array(array.item()).dtype == array.dtype
    return number(array[()]) + ("" if known else f", dtype={dtype_text(array.dtype)}")
