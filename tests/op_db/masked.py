"""Counterparts of reductions of the entries where a mask is true: `where=` in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

from tests.op_db import NotInNumPy
from tests.op_db.linear_algebra import vector_norm
from tests.op_db.neural import log_softmax
from tests.op_db.reductions import axes_of, nanmedian, running

np: Any = numpy  # called with Tensors, and with what PyTorch gives


def masked(function: Callable[..., Any], neutral: Any) -> Callable[..., Any]:
    """Return a reduction of the entries where a mask is true."""

    def call(a: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, mask: Any = None) -> Any:
        chosen = True if mask is None else np.broadcast_to(mask, a.shape)
        options = {"initial": neutral} if neutral is not None else {}
        return function(a, axis=axes_of(a, dim), keepdims=keepdim, where=chosen, **options)

    return call


def masked_running(function: Callable[..., Any], neutral: float) -> Callable[..., Any]:
    def call(a: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
        return running(function)(a if mask is None else np.where(mask, a, neutral), dim)

    return call


def filled(a: Any, mask: Any, value: float) -> Any:
    return a if mask is None else np.where(mask, a, value)


def place_of(function: Callable[..., Any], neutral: float) -> Callable[..., Any]:
    def call(a: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, mask: Any = None) -> Any:
        return function(filled(a, mask, neutral), axis=axes_of(a, dim), keepdims=keepdim)

    return call


def spread(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(
        a: Any,
        dim: Any = None,
        unbiased: Any = None,
        *,
        correction: Any = None,
        keepdim: bool = False,
        dtype: Any = None,
        mask: Any = None,
    ) -> Any:
        chosen = True if mask is None else np.broadcast_to(mask, a.shape)
        ddof = (unbiased is not False) if correction is None else correction
        y = function(a, axis=axes_of(a, dim), ddof=ddof, keepdims=keepdim, where=chosen)
        return y + 0j if np.iscomplexobj(a) else y  # PyTorch's result is complex, too

    return call


def norm(
    a: Any, ord: float = 2.0, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, mask: Any = None
) -> Any:
    neutral = 0.0 if ord >= 0 else np.inf
    return vector_norm(filled(a, mask, neutral), ord, () if dim is None else dim, keepdim)


def median(a: Any, dim: int, keepdim: bool = False, *, dtype: Any = None, mask: Any = None) -> Any:
    if a.ndim == 0:
        return np.copy(a)
    return nanmedian(filled(a, mask, np.nan), dim, keepdim)[0]


def softmax(a: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    return np.exp(log_softmax(filled(a, mask, -np.inf), dim))


def masked_log_softmax(a: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    return log_softmax(filled(a, mask, -np.inf), dim)


def softmin(a: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    return np.exp(log_softmax(-filled(a, mask, np.inf), dim))


def normalize(
    a: Any, ord: float, dim: int, *, eps: float = 1e-12, dtype: Any = None, mask: Any = None
) -> Any:
    kept = filled(a, mask, 0.0)
    return kept / np.maximum(norm(a, ord, dim, True, mask=mask), eps)


def logaddexp(a: Any, b: Any, *, dtype: Any = None, input_mask: Any = None, other_mask: Any = None) -> Any:
    return np.logaddexp(filled(a, input_mask, -np.inf), filled(b, other_mask, -np.inf))


def logsumexp(a: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, mask: Any = None) -> Any:
    if np.iscomplexobj(a):
        raise NotInNumPy("complex numbers have no largest")
    axis = axes_of(a, dim)
    if np.size(a) == 0:
        raise NotInNumPy("nothing has no largest entry")
    return np.log(np.sum(np.exp(filled(a, mask, -np.inf)), axis=axis, keepdims=keepdim))


TABLE = {
    "masked.amax": masked(np.max, -np.inf),
    "masked.amin": masked(np.min, np.inf),
    "masked.argmax": place_of(np.argmax, -np.inf),
    "masked.argmin": place_of(np.argmin, np.inf),
    "masked.cumprod": masked_running(np.cumprod, 1.0),
    "masked.cumsum": masked_running(np.cumsum, 0.0),
    "masked.log_softmax": masked_log_softmax,
    "masked.logaddexp": logaddexp,
    "masked.logsumexp": logsumexp,
    "masked.mean": masked(np.mean, None),
    "masked.median": median,
    "masked.norm": norm,
    "masked.normalize": normalize,
    "masked.prod": masked(np.prod, None),
    "masked.softmax": softmax,
    "masked.softmin": softmin,
    "masked.std": spread(np.std),
    "masked.sum": masked(np.sum, None),
    "masked.var": spread(np.var),
}
