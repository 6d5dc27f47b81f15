"""How to call NumPy for an operation of PyTorch's operator database: names to functions of arrays.

An entry is a function called as PyTorch's operation is; where the names of arguments differ it translates them.
`None` for a sample means that NumPy has no such call; it is counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mytorch import functional as F

NO_SUCH_CALL = object()


def named(function: Callable[..., Any], **names: str) -> Callable[..., Any]:
    """Return `function` with PyTorch's names of arguments (`dim`, `keepdim`, ...) for NumPy's."""
    table = {"dim": "axis", "keepdim": "keepdims", "correction": "ddof", **names}

    def call(*args: Any, **kwargs: Any) -> Any:
        kwargs = {table.get(k, k): tuple(v) if isinstance(v, list) else v for k, v in kwargs.items()}
        if kwargs.pop("dtype", None) is not None or kwargs.pop("alpha", 1) != 1:
            return NO_SUCH_CALL
        return function(*(tuple(a) if isinstance(a, list) else a for a in args), **kwargs)

    return call


def reduction(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a reduction that is called as ``(input, dim, keepdim)``."""

    def call(a: Any, dim: Any = None, keepdim: bool = False, dtype: Any = None, **rest: Any) -> Any:
        if dtype is not None or rest:
            return NO_SUCH_CALL
        axis = None if dim == [] else tuple(dim) if isinstance(dim, list) else dim
        if a.ndim == 0 and axis is not None:
            return NO_SUCH_CALL  # NumPy's 0-d arrays have no axis
        return function(a, axis=axis, keepdims=keepdim)

    return call


def spread(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a variance, called as PyTorch does it: by correction, or by `unbiased`."""

    def call(
        a: Any,
        *args: Any,
        dim: Any = None,
        unbiased: Any = None,
        correction: Any = None,
        keepdim: bool = False,
        **rest: Any,
    ) -> Any:
        if rest or len(args) > 1 or (args and isinstance(args[0], bool)) or a.ndim == 0:
            return NO_SUCH_CALL
        dim = args[0] if args else dim
        ddof = correction if correction is not None else (1 if unbiased in (None, True) else 0)
        axis = (
            tuple(dim)
            if isinstance(dim, list | tuple) and len(dim)
            else None
            if isinstance(dim, list | tuple)
            else dim
        )
        size = np.prod([a.shape[i] for i in (range(a.ndim) if axis is None else np.atleast_1d(axis))])
        return function(a, axis=axis, ddof=ddof, keepdims=keepdim) if size > ddof else NO_SUCH_CALL

    return call


def extremum(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a maximum over all entries; over an axis PyTorch's gives indices too, and goes to one of ties."""

    def call(a: Any, *args: Any, **kwargs: Any) -> Any:
        return NO_SUCH_CALL if args or kwargs else function(a)

    return call


def on_each(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of one array that also takes a list of them."""
    return lambda a: function(*a) if isinstance(a, list | tuple) else function(a)


def lerp(a: Any, b: Any, weight: Any) -> Any:
    return a + weight * (b - a)


def clip(a: Any, low: Any = None, high: Any = None, *, min: Any = None, max: Any = None) -> Any:
    low, high = min if low is None else low, max if high is None else high
    return NO_SUCH_CALL if low is None and high is None else np.clip(a, low, high)


def div(a: Any, b: Any, *, rounding_mode: Any = None) -> Any:
    return np.divide(a, b) if rounding_mode is None else NO_SUCH_CALL


def diff(a: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    if a.ndim == 0:
        return NO_SUCH_CALL
    ends = {k: v for k, v in (("prepend", prepend), ("append", append)) if v is not None}
    return np.diff(a, n, dim, **ends)


def cumulative(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda a, dim, **rest: NO_SUCH_CALL if rest or a.ndim == 0 else function(a, axis=dim)


def sort(a: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    return NO_SUCH_CALL if descending or a.ndim == 0 else np.sort(a, axis=dim, kind="stable")


def tri(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda a, diagonal=0: function(a, diagonal)


def diag(a: Any, diagonal: int = 0) -> Any:
    return np.diag(a, diagonal)


def diagonal(a: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    return np.diagonal(a, offset, dim1, dim2)


def where(a: Any, condition: Any, b: Any) -> Any:
    return np.where(condition, a, b)  # in the database's order


def roll(a: Any, shifts: Any, dims: Any = None) -> Any:
    return NO_SUCH_CALL if a.ndim == 0 else np.roll(a, shifts, dims if dims != () else None)


def flip(a: Any, dims: Any) -> Any:
    return np.flip(a, tuple(dims))


def repeat(a: Any, repeats: Any, dim: Any = None, **rest: Any) -> Any:
    return NO_SUCH_CALL if rest or (a.ndim == 0 and dim is not None) else np.repeat(a, repeats, axis=dim)


def reshape(a: Any, *shape: Any) -> Any:
    return np.reshape(a, shape[0] if len(shape) == 1 else shape)


def permute(a: Any, *axes: Any) -> Any:
    return np.transpose(a, axes[0] if len(axes) == 1 else axes)


def squeeze(a: Any, *dim: Any) -> Any:
    if dim and (a.ndim == 0 or any(a.shape[i] != 1 for i in np.atleast_1d(dim[0]))):
        return NO_SUCH_CALL  # PyTorch leaves other axes alone
    return np.squeeze(a, *(tuple(d) if isinstance(d, list) else d for d in dim))


def gather(a: Any, dim: int, index: Any) -> Any:
    same = a.ndim == index.ndim and all(
        m == n
        for i, (m, n) in enumerate(zip(a.shape, index.shape, strict=False))
        if i != dim % max(a.ndim, 1)
    )
    return np.take_along_axis(a, index, dim) if a.ndim and same else NO_SUCH_CALL


def matmul(a: Any, b: Any) -> Any:
    return np.matmul(a, b)


def split(a: Any, size: Any, dim: int = 0) -> Any:
    cuts = np.cumsum(size)[:-1] if isinstance(size, list | tuple) else np.arange(size, a.shape[dim], size)
    return tuple(np.split(a, cuts, dim))


def item(a: Any, index: Any) -> Any:
    return a[index]


def cov(a: Any, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Any:
    if a.ndim == 0 or a.size <= 1 or a.shape[-1] <= 1 or fweights is not None or aweights is not None:
        return NO_SUCH_CALL
    return np.cov(a, ddof=correction)


def corrcoef(a: Any) -> Any:
    return np.corrcoef(a) if a.ndim and a.size > 1 and a.shape[-1] > 2 else NO_SUCH_CALL


def integral(y: Any, *x: Any, dim: int = -1, dx: Any = 1) -> Any:
    return getattr(np, "trapezoid" if hasattr(np, "trapezoid") else "trapz")(y, *x, dx=dx, axis=dim)


def quantile(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(a: Any, q: Any, dim: Any = None, keepdim: bool = False, interpolation: str = "linear") -> Any:
        if a.ndim == 0:
            return NO_SUCH_CALL  # 0-d arrays have no axis
        return function(a, q, axis=dim, keepdims=keepdim, method=interpolation)

    return call


def fft(function: Callable[..., Any], several: bool) -> Callable[..., Any]:
    def call(a: Any, *args: Any, dim: Any = None, s: Any = None, **kwargs: Any) -> Any:
        if several and isinstance(dim, int):
            return NO_SUCH_CALL
        if s is not None:
            args = (s, *args)
        if dim is not None:
            kwargs["axes" if several else "axis"] = dim
        if several and args and args[0] is not None and "axes" not in kwargs and len(args) < 2:
            kwargs["axes"] = tuple(range(-len(args[0]), 0))
        return function(a, *args, **kwargs)

    return call


def vector_norm(a: Any, ord: Any = 2, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    if a.ndim == 0 or dtype is not None:
        return NO_SUCH_CALL
    axis = tuple(dim) if isinstance(dim, list | tuple) else dim
    return np.linalg.vector_norm(a, ord=ord, axis=axis, keepdims=keepdim)


def matrix_norm(
    a: Any, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, dtype: Any = None
) -> Any:
    return np.linalg.norm(a, ord, tuple(dim), keepdim) if dtype is None else NO_SUCH_CALL


def from_left(a: Any, b: Any, *, left: bool = True) -> Any:
    vector = b.ndim == 1 or (b.ndim == a.ndim - 1 and b.shape == a.shape[:-1])
    if not left or (vector and b.ndim != 1):
        return NO_SUCH_CALL
    return np.linalg.solve(a, b)


def cross(a: Any, b: Any, dim: Any = -1) -> Any:
    return np.cross(a, b, axis=dim)


def joined(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda tensors, dim=0, **rest: function(tensors, axis=dim) if not rest else NO_SUCH_CALL


def nan_to_num(a: Any, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    return np.nan_to_num(a, nan=0.0 if nan is None else nan, posinf=posinf, neginf=neginf)


UNARY = """
abs:absolute acos:arccos acosh:arccosh asin:arcsin asinh:arcsinh atan:arctan atanh:arctanh conj conj_physical:conj
cos cosh deg2rad exp exp2 expm1 log log10 log1p log2 neg:negative positive rad2deg reciprocal sin sinc sinh sqrt
square tan tanh angle i0 ravel fliplr flipud real imag sgn:sign t:transpose T:transpose contiguous:copy clone:copy
resolve_conj:positive resolve_neg:positive
"""
BINARY = """
add mul:multiply sub:subtract true_divide fmax fmin maximum minimum atan2:arctan2 copysign hypot logaddexp
logaddexp2 remainder fmod float_power pow:power dot vdot outer inner kron mv:matmul mm:matmul bmm:matmul ldexp
"""

TABLE: dict[str, Callable[..., Any]] = {}
for names in (UNARY, BINARY):
    for pair in names.split():
        theirs, _, ours = pair.partition(":")
        TABLE[theirs] = named(getattr(np, ours or theirs))
for theirs in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft"):
    TABLE[f"fft.{theirs}"] = fft(getattr(np.fft, theirs), several=False)
for theirs in (
    "fftn",
    "ifftn",
    "rfftn",
    "irfftn",
    "fft2",
    "ifft2",
    "rfft2",
    "irfft2",
    "fftshift",
    "ifftshift",
):
    TABLE[f"fft.{theirs}"] = fft(getattr(np.fft, theirs), several=True)
for theirs in ("det", "inv", "slogdet", "matrix_power", "cond", "eigvalsh", "svdvals", "multi_dot"):
    TABLE[f"linalg.{theirs}"] = getattr(np.linalg, theirs, None) or (
        lambda a: np.linalg.svd(a, compute_uv=False)
    )
for theirs in ("atleast_1d", "atleast_2d", "atleast_3d"):
    TABLE[theirs] = on_each(getattr(np, theirs))
TABLE.update(
    {
        "sum": reduction(np.sum),
        "mean": reduction(np.mean),
        "nansum": reduction(np.nansum),
        "nanmean": reduction(np.nanmean),
        "amax": reduction(np.max),
        "amin": reduction(np.min),
        "prod": reduction(np.prod),
        "max": extremum(np.max),
        "min": extremum(np.min),
        "var": spread(np.var),
        "std": spread(np.std),
        "cumsum": cumulative(np.cumsum),
        "cumprod": cumulative(np.cumprod),
        "clamp": clip,
        "clamp_min": lambda a, low: np.clip(a, low, None),
        "clamp_max": lambda a, high: np.clip(a, None, high),
        "lerp": lerp,
        "div": div,
        "diff": diff,
        "sort": sort,
        "msort": lambda a: np.sort(a, axis=0) if a.ndim else NO_SUCH_CALL,
        "tril": tri(np.tril),
        "triu": tri(np.triu),
        "diag": diag,
        "diagonal": diagonal,
        "linalg.diagonal": lambda a, offset=0, dim1=-2, dim2=-1: np.diagonal(a, offset, dim1, dim2),
        "diagflat": lambda a, offset=0: np.diagflat(a, offset),
        "where": where,
        "roll": roll,
        "flip": flip,
        "rot90": lambda a, k=1, dims=(0, 1): np.rot90(a, k, dims),
        "repeat_interleave": repeat,
        "tile": lambda a, dims: np.tile(a, dims),
        "repeat": lambda a, dims: np.tile(a, dims) if len(dims) >= a.ndim else NO_SUCH_CALL,
        "reshape": reshape,
        "view": reshape,
        "permute": permute,
        "transpose": lambda a, i, j: np.swapaxes(a, i, j) if a.ndim else NO_SUCH_CALL,
        "movedim": lambda a, source, goal: np.moveaxis(a, source, goal),
        "squeeze": squeeze,
        "unsqueeze": lambda a, dim: np.expand_dims(a, dim),
        "expand": lambda a, shape: np.broadcast_to(a, shape) if -1 not in shape else NO_SUCH_CALL,
        "broadcast_to": lambda a, shape: np.broadcast_to(a, shape) if -1 not in shape else NO_SUCH_CALL,
        "gather": gather,
        "take": lambda a, index: np.take(a, index),
        "index_select": lambda a, dim, index: (
            np.take(a, index, axis=dim) if a.ndim and index.ndim else NO_SUCH_CALL
        ),
        "__getitem__": item,
        "split": split,
        "hsplit": lambda a, n: tuple(np.hsplit(a, n)),
        "vsplit": lambda a, n: tuple(np.vsplit(a, n)),
        "dsplit": lambda a, n: tuple(np.dsplit(a, n)),
        "cat": joined(np.concatenate),
        "stack": joined(np.stack),
        "hstack": np.hstack,
        "vstack": np.vstack,
        "dstack": np.dstack,
        "column_stack": np.column_stack,
        "matmul": matmul,
        "__rmatmul__": lambda a, b: np.matmul(b, a),
        "__radd__": lambda a, b: np.add(b, a),
        "__rmul__": lambda a, b: np.multiply(b, a),
        "__rsub__": lambda a, b: np.subtract(b, a),
        "__rdiv__": lambda a, b: np.divide(b, a),
        "__rpow__": lambda a, b: np.power(b, a),
        "rsqrt": lambda a: 1 / np.sqrt(a),
        "frac": lambda a: np.modf(a)[0],
        "einsum": lambda operands, equation: np.einsum(equation, *operands),
        "tensordot": lambda a, b, dims=2: np.tensordot(a, b, dims),
        "trace": np.trace,
        "cross": lambda a, b, dim=None: cross(a, b, dim) if dim is not None else NO_SUCH_CALL,
        "linalg.cross": cross,
        "linalg.vecdot": lambda a, b, dim=-1: np.sum(np.conj(a) * b, axis=dim),
        "linalg.matrix_norm": matrix_norm,
        "linalg.vector_norm": vector_norm,
        "linalg.solve": from_left,
        "linalg.tensorsolve": lambda a, b, dims=None: np.linalg.tensorsolve(a, b, dims),
        "linalg.tensorinv": lambda a, ind=2: np.linalg.tensorinv(a, ind),
        "linalg.cholesky": lambda a, upper=False: NO_SUCH_CALL if upper else np.linalg.cholesky(a),
        "cov": cov,
        "corrcoef": corrcoef,
        "trapz": integral,
        "trapezoid": integral,
        "quantile": quantile(np.quantile),
        "nanquantile": quantile(np.nanquantile),
        "nan_to_num": nan_to_num,
        "nn.functional.relu": lambda a, inplace=False: F.relu(a),
        "sigmoid": F.sigmoid,
        "log_softmax": lambda a, dim, **rest: (
            F.log_softmax(a) if dim in (-1, a.ndim - 1) and a.ndim and not rest else NO_SUCH_CALL
        ),
        "nn.functional.linear": lambda a, w, b=None: (
            F.linear(a, w, b)
            if a.ndim == 2 and w.ndim == 2 and b is not None and b.ndim == 1
            else NO_SUCH_CALL
        ),
        "nn.functional.mse_loss": lambda a, b, reduction="mean": (
            F.mean_squared_error(a, b) if reduction == "mean" else NO_SUCH_CALL
        ),
    }
)
