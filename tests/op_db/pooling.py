"""Counterparts of what looks at an image through windows, or at another size: pooling, convolution, resampling."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy

from tests.op_db import NotInNumPy

np: Any = numpy  # called with Tensors, and with what PyTorch gives

windows_of = np.lib.stride_tricks.sliding_window_view


def many(value: Any, dimensions: int) -> tuple[int, ...]:
    """Return one number per dimension."""
    values = (value,) * dimensions if isinstance(value, int) else tuple(value)
    return values * (dimensions // len(values))


def counted(n: int, k: int, s: int, p: int, d: int, ceil_mode: bool) -> int:
    """Return how many windows a side has; rounded up, the last one still starts inside or in the left margin."""
    steps = n + 2 * p - d * (k - 1) - 1
    count = (-(-steps // s) if ceil_mode else steps // s) + 1
    return count - 1 if ceil_mode and (count - 1) * s >= n + p else count


class Windows:
    """Where the windows of the last axes lie."""

    def __init__(
        self, shape: Any, kernel: Any, stride: Any, padding: Any, dilation: Any = 1, ceil_mode: bool = False
    ) -> None:
        self.dimensions = d = len(shape)
        self.shape = shape
        self.kernel = many(kernel, d)
        self.stride = self.kernel if stride is None or stride == () else many(stride, d)
        self.padding, self.dilation = many(padding, d), many(dilation, d)
        sides = zip(shape, self.kernel, self.stride, self.padding, self.dilation, strict=True)
        self.counts = [counted(*side, ceil_mode) for side in sides]

    def of(self, a: Any, fill: float) -> Any:
        """Return the windows of `a`, as further axes; beside the image lies `fill`."""
        spans = [d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True)]
        ends = [
            max(0, (count - 1) * s + span - n - p)
            for count, s, span, n, p in zip(
                self.counts, self.stride, spans, self.shape, self.padding, strict=True
            )
        ]
        outer = a.ndim - self.dimensions
        margins = [(0, 0)] * outer + list(zip(self.padding, ends, strict=True))
        seen = windows_of(np.pad(a, margins, constant_values=fill), tuple(spans), tuple(range(outer, a.ndim)))
        starts = (slice(0, (c - 1) * s + 1, s) for c, s in zip(self.counts, self.stride, strict=True))
        return seen[(slice(None),) * outer + (*starts, *(slice(None, None, d) for d in self.dilation))]

    def rows(self, a: Any, fill: float) -> Any:
        """Return the windows of `a` with the entries of each along the last axis."""
        seen = self.of(a, fill)
        return np.reshape(seen, (*seen.shape[: -self.dimensions], math.prod(self.kernel)))


def max_pool(dimensions: int) -> Callable[..., Any]:
    def call(
        a: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        shape = a.shape[-dimensions:]
        windows = Windows(shape, kernel_size, stride, padding, dilation, ceil_mode)
        rows = windows.rows(a, -np.inf)
        place = np.argmax(rows, axis=-1)[..., None]
        largest = np.take_along_axis(rows, place, -1)[..., 0]
        if not return_indices:
            return largest
        where = windows.rows(np.arange(math.prod(shape)).reshape(shape), -1)
        return largest, np.take_along_axis(np.broadcast_to(where, rows.shape), place, -1)[..., 0]

    return call


def max_unpool(dimensions: int) -> Callable[..., Any]:
    def call(
        a: Any, index: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
    ) -> Any:
        kernel, margin = many(kernel_size, dimensions), many(padding, dimensions)
        steps = kernel if stride is None else many(stride, dimensions)
        sides = zip(a.shape[-dimensions:], kernel, steps, margin, strict=True)
        shape = [(n - 1) * s - 2 * p + k for n, k, s, p in sides]
        if output_size is not None:
            shape = list(output_size[-dimensions:])
        outer = a.shape[:-dimensions]
        values, places = (np.reshape(x, (*outer, -1)) for x in (a, index))
        if any(np.unique(row).size < row.size for row in places.reshape(-1, places.shape[-1])):
            raise NotInNumPy("which of several values written to a place stays is not defined")
        y = np.zeros_like(a, shape=(*outer, math.prod(shape)))
        np.put_along_axis(y, places, values, -1)
        return np.reshape(y, (*outer, *shape))

    return call


def avg_pool(dimensions: int) -> Callable[..., Any]:
    def call(
        a: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Any:
        shape = a.shape[-dimensions:]
        windows = Windows(shape, kernel_size, stride, padding, 1, ceil_mode)
        total = np.sum(windows.rows(a, 0), axis=-1)
        if divisor_override is not None:
            return total / divisor_override
        counted = np.ones(shape)
        if count_include_pad:
            margins = many(padding, dimensions)
            wide = np.ones([n + 2 * p for n, p in zip(shape, margins, strict=True)])
            return total / np.sum(
                Windows(wide.shape, kernel_size, windows.stride, 0, 1, ceil_mode).rows(wide, 0)[
                    tuple(slice(0, n) for n in windows.counts)
                ],
                axis=-1,
            )
        return total / np.sum(windows.rows(counted, 0), axis=-1)

    return call


def adaptive(function: Callable[..., Any], dimensions: int) -> Callable[..., Any]:
    """Return pooling to a given size: along each axis of parts that may overlap."""

    def call(a: Any, output_size: Any, return_indices: bool = False) -> Any:
        if return_indices:
            raise NotInNumPy("places in parts of several lengths")
        for axis, size in zip(range(-dimensions, 0), many_or_same(output_size, a, dimensions), strict=True):
            n = a.shape[axis]
            parts = [slice(i * n // size, -(-(i + 1) * n // size)) for i in range(size)]
            index = (slice(None),) * (axis % a.ndim)
            a = np.stack([function(a[(*index, part)], axis=axis) for part in parts], axis)
        return a

    return call


def many_or_same(sizes: Any, a: Any, dimensions: int) -> list[int]:
    sizes = many(sizes, dimensions) if isinstance(sizes, int) else sizes
    return [n if size is None else size for size, n in zip(sizes, a.shape[-dimensions:], strict=True)]


def unfold(a: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    batched = a if a.ndim == 4 else a[None]
    seen = Windows(batched.shape[2:], kernel_size, stride, padding, dilation).of(batched, 0)
    n, c, h, w, k, m = seen.shape
    y = np.reshape(np.transpose(seen, (0, 1, 4, 5, 2, 3)), (n, c * k * m, h * w))
    return y if a.ndim == 4 else y[0]


def convolution(dimensions: int) -> Callable[..., Any]:
    """Return the convolution over the last axes: windows of the image, contracted with the kernel."""

    def call(
        a: Any,
        weight: Any,
        bias: Any = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Any:
        batched = a if a.ndim == dimensions + 2 else a[None]
        kernel, dilations = weight.shape[2:], many(dilation, dimensions)
        if padding == "same":
            spans = [d * (k - 1) for d, k in zip(dilations, kernel, strict=True)]
            batched = np.pad(batched, [(0, 0), (0, 0), *((s // 2, s - s // 2) for s in spans)])
        margins = 0 if isinstance(padding, str) else padding
        seen = Windows(batched.shape[2:], kernel, stride, margins, dilations).of(batched, 0)
        n, channels, out = seen.shape[0], seen.shape[1], weight.shape[0]
        seen = np.reshape(seen, (n, groups, channels // groups, *seen.shape[2:]))
        grouped = np.reshape(weight, (groups, out // groups, *weight.shape[1:]))
        image, window = "xyz"[:dimensions], "uvw"[:dimensions]
        y = np.einsum(f"ngc{image}{window},goc{window}->ngo{image}", seen, grouped)
        y = with_bias(np.reshape(y, (n, out, *y.shape[3:])), bias)
        return y if a.ndim == dimensions + 2 else y[0]

    return call


def with_bias(y: Any, bias: Any) -> Any:
    return y if bias is None else y + np.reshape(bias, (-1,) + (1,) * (y.ndim - 2))


def transposed_convolution(dimensions: int) -> Callable[..., Any]:
    """Return the transposed convolution: each entry of the kernel adds an image, moved, to the result."""

    def call(
        a: Any,
        weight: Any,
        bias: Any = None,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        dilation: Any = 1,
    ) -> Any:
        batched = a if a.ndim == dimensions + 2 else a[None]
        kernel, image = weight.shape[2:], batched.shape[2:]
        strides, dilations, margins, extra = (
            many(x, dimensions) for x in (stride, dilation, padding, output_padding)
        )
        n, out = batched.shape[0], weight.shape[1] * groups
        spans = [
            max((m - 1) * s + d * (k - 1) + 1 + e, (m - 1) * s + d * (k - 1) + 1)
            for m, s, d, k, e in zip(image, strides, dilations, kernel, extra, strict=True)
        ]
        rows = np.reshape(batched, (n, groups, -1, *image))
        grouped = np.reshape(weight, (groups, -1, *weight.shape[1:]))
        y = np.zeros_like(a, shape=(n, out, *spans))
        for place in np.ndindex(*kernel):
            moved = tuple(
                slice(p * d, p * d + (m - 1) * s + 1, s)
                for p, d, m, s in zip(place, dilations, image, strides, strict=True)
            )
            part = np.einsum("ngc...,gco->ngo...", rows, grouped[(..., *place)])
            y[(..., *moved)] += np.reshape(part, (n, out, *image))
        y = y[(..., *(slice(p, y.shape[2 + i] - p) for i, p in enumerate(margins)))]
        y = with_bias(y, bias)
        return y if a.ndim == dimensions + 2 else y[0]

    return call


# -- other sizes ------------------------------------------------------------------------------------------------


def cubic(x: np.ndarray) -> np.ndarray:
    """Return the weights of Keys' cubic convolution, with -3/4, at distances x."""
    x, c = np.abs(x), -0.75
    near = ((c + 2) * x - (c + 3)) * x * x + 1
    return np.where(x <= 1, near, np.where(x < 2, c * (((x - 5) * x + 8) * x - 4), 0.0))


def resampling(n: int, size: int, factor: float | None, mode: str, align_corners: bool) -> np.ndarray:
    """Return the matrix that takes n entries to `size`."""
    scale = n / size if factor is None else 1 / factor
    i = np.arange(size)
    matrix = np.zeros((size, n))
    if mode in ("nearest", "nearest-exact"):
        places = np.floor((i + (0.5 if mode == "nearest-exact" else 0)) * scale).astype(int)
        matrix[i, np.minimum(places, n - 1)] = 1
        return matrix
    x = i * ((n - 1) / max(size - 1, 1)) if align_corners else (i + 0.5) * scale - 0.5
    if mode == "bicubic":
        for step in range(-1, 3):
            places = np.floor(x).astype(int) + step
            np.add.at(matrix, (i, np.clip(places, 0, n - 1)), cubic(x - places))
        return matrix
    x = np.clip(x, 0, n - 1)
    low = np.floor(x).astype(int)
    np.add.at(matrix, (i, low), 1 - (x - low))
    np.add.at(matrix, (i, np.minimum(low + 1, n - 1)), x - low)
    return matrix


def interpolate(
    a: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
) -> Any:
    dimensions = a.ndim - 2
    factors: Any = (None,) * dimensions
    if scale_factor is not None:
        factors = (scale_factor,) * dimensions if isinstance(scale_factor, float | int) else scale_factor
    shape = a.shape[2:]
    sizes = (
        many(size, dimensions)
        if size is not None
        else [int(n * f) for n, f in zip(shape, factors, strict=True)]
    )
    if mode == "area":
        return adaptive(np.mean, dimensions)(a, sizes)
    for axis, (n, m, factor) in enumerate(zip(shape, sizes, factors, strict=True), 2):
        matrix = resampling(n, m, None if recompute_scale_factor else factor, mode, bool(align_corners))
        a = np.moveaxis(np.moveaxis(a, axis, -1) @ matrix.T, -1, axis)
    return a


def local_response_norm(a: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Any:
    wide = np.pad(a**2, [(0, 0), (size // 2, (size - 1) // 2)] + [(0, 0)] * (a.ndim - 2))
    return a / (k + alpha * np.mean(windows_of(wide, size, axis=1), axis=-1)) ** beta


TABLE = {
    "nn.functional.interpolate": interpolate,
    "nn.functional.local_response_norm": local_response_norm,
    "nn.functional.unfold": unfold,
    "nn.functional.upsample_bilinear": lambda a, **kw: interpolate(
        a, **kw, mode="bilinear", align_corners=True
    ),
    "nn.functional.upsample_nearest": interpolate,
    **{f"nn.functional.adaptive_avg_pool{d}d": adaptive(np.mean, d) for d in (1, 2, 3)},
    **{f"nn.functional.adaptive_max_pool{d}d": adaptive(np.max, d) for d in (1, 2, 3)},
    **{f"nn.functional.avg_pool{d}d": avg_pool(d) for d in (1, 2, 3)},
    **{f"nn.functional.conv{d}d": convolution(d) for d in (1, 2, 3)},
    **{f"nn.functional.conv_transpose{d}d": transposed_convolution(d) for d in (1, 2, 3)},
    **{f"nn.functional.max_pool{d}d": max_pool(d) for d in (1, 2, 3)},
    **{f"nn.functional.max_unpool{d}d": max_unpool(d) for d in (1, 2, 3)},
}
