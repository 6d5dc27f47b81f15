"""Counterparts of operations whose results are constant, or of another dtype, or of integers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

from tests.op_db import NotInNumPy

np: Any = numpy  # called with Tensors, and with what PyTorch gives


def like(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``function(a, ...)``, which makes an array like `a`."""
    return lambda a, *args, dtype=None: function(a, *args, dtype=dtype)


def new(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``function(a, shape=...)``, which makes an array of the dtype of `a`."""
    return lambda a, shape, *args, dtype=None: function(a, *args, dtype=dtype, shape=tuple(shape))


def cast(dtype: str) -> Callable[..., Any]:
    return lambda a: np.real(a).astype(dtype) if np.iscomplexobj(a) and dtype[0] != "c" else a.astype(dtype)


def to(a: Any, *args: Any, **kwargs: Any) -> Any:
    dtypes = [getattr(x, "dtype", x) for x in (*args, *kwargs.values())]
    return a.astype(next((d for d in dtypes if isinstance(d, numpy.dtype)), a.dtype))


def isin(a: Any, b: Any, *, assume_unique: bool = False, invert: bool = False) -> Any:
    return np.isin(a, b, assume_unique=assume_unique, invert=invert)


def refuse_single(*ends: Any) -> None:
    if any(getattr(end, "dtype", None) == np.float32 for end in ends):
        raise NotInNumPy("PyTorch rounds the steps to the precision of the ends")


def linspace(start: Any, end: Any, steps: int, *, dtype: Any = None) -> Any:
    refuse_single(start, end)
    return np.linspace(start, end, steps, dtype=dtype)


def logspace(start: Any, end: Any, steps: int, base: float = 10.0, *, dtype: Any = None) -> Any:
    refuse_single(start, end)
    return np.logspace(start, end, steps, base=base, dtype=dtype)


def bincount(a: Any, weights: Any = None, minlength: int = 0) -> Any:
    return np.bincount(a, weights, minlength)


def one_hot(a: Any, num_classes: int = -1) -> Any:
    classes = int(np.max(a)) + 1 if num_classes == -1 else num_classes
    return np.equal(a[..., None], np.arange(classes)).astype(np.int64)


TABLE = {
    "__rand__": lambda a, b: b & a,
    "__ror__": lambda a, b: b | a,
    "__rxor__": lambda a, b: b ^ a,
    "bincount": bincount,
    "bitwise_and": np.bitwise_and,
    "bitwise_left_shift": np.left_shift,
    "bitwise_not": np.bitwise_not,
    "bitwise_or": np.bitwise_or,
    "bitwise_right_shift": np.right_shift,
    "bitwise_xor": np.bitwise_xor,
    "bool": lambda a: a.astype(bool),
    "byte": cast("uint8"),
    "cdouble": cast("complex128"),
    "cfloat": cast("complex64"),
    "char": cast("int8"),
    "double": cast("float64"),
    "fill": lambda a, value: np.full_like(a, value),
    "float": cast("float32"),
    "full_like": like(np.full_like),
    "gcd": np.gcd,
    "half": cast("float16"),
    "int": cast("int32"),
    "isin": isin,
    "item": lambda a: a.item(),
    "lcm": np.lcm,
    "linspace/tensor_overload": linspace,
    "logspace/tensor_overload": logspace,
    "long": cast("int64"),
    "new_full": new(np.full_like),
    "new_ones": new(np.ones_like),
    "new_zeros": new(np.zeros_like),
    "nn.functional.one_hot": one_hot,
    "ones_like": like(np.ones_like),
    "short": cast("int16"),
    "to": to,
    "unravel_index": lambda a, shape: np.unravel_index(a, shape),
    "zero_": np.zeros_like,
    "zeros_like": like(np.zeros_like),
}
