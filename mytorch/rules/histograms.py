"""Counts of values in bins: constant in the values, linear in the weights, with edges that follow the data.

Which bin a value falls into is locally constant; edges that NumPy places between the smallest and the largest
value are differentiable, and so are densities, which divide by the widths of bins.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mytorch.rules.constants import values
from mytorch.rules.registry import backward_of, composed
from mytorch.rules.shapes import as_array

backward_of(np.bincount, None, lambda g, a: np.take(g, a), signature="x, /, weights=None, minlength=0")


@composed(np.histogram_bin_edges)
def histogram_bin_edges(a: Any, bins: Any = 10, range: Any = None, weights: Any = None) -> Any:
    """Return the edges of bins: equally spaced from the smallest to the largest value, unless they are given."""
    if np.ndim(bins) == 1:
        return as_array(bins)
    a = as_array(a)
    count = np.histogram_bin_edges(values(a), values(bins), range, values(weights)).size - 1
    if range is not None:
        low, high = range
    else:
        low, high = (a.min(), a.max()) if a.size else (0.0, 1.0)
    if low == high:
        low, high = low - 0.5, high + 0.5
    dtype = np.result_type(low, high, a)
    return np.linspace(low, high, count + 1, dtype=dtype if dtype.kind in "fc" else float)


@composed(np.histogram)
def histogram(a: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None) -> Any:
    """Return the counts, or weights, of values per bin, and the edges of the bins."""
    edges = np.histogram_bin_edges(a, bins, range, weights)
    if weights is None:
        counts, _ = np.histogram(values(a), values(edges))
    else:
        weights = np.ravel(as_array(weights))
        counts = _counted([np.ravel(as_array(a))], [edges], weights).astype(weights.dtype)
    return (counts / np.diff(edges).astype(float) / counts.sum() if density else counts), edges


@composed(np.histogramdd)
def histogramdd(
    sample: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None
) -> Any:
    """Return the counts, or weights, of points per cell of a grid, and the grid's edges per axis."""
    if getattr(sample, "ndim", 0) > 2:
        raise ValueError(
            f"np.histogramdd: the sample is a matrix with a point in each row, got an array of shape "
            f"{sample.shape}; write sample.reshape(-1, {sample.shape[-1]})"
        )
    columns = list(np.atleast_2d(sample.T)) if hasattr(sample, "T") else [as_array(x) for x in sample]
    ndim = len(columns)
    per_axis = list(bins) if _is_sequence(bins) else [bins] * ndim
    if len(per_axis) != ndim:
        raise ValueError("The dimension of bins must be equal to the dimension of the sample x.")
    ranges = [None] * ndim if range is None else range
    edges = [np.histogram_bin_edges(x, b, r) for x, b, r in zip(columns, per_axis, ranges, strict=True)]
    counts = _counted(columns, edges, weights).astype(float)
    if density:
        counts = counts / counts.sum()
        for axis, edge in enumerate(edges):
            counts = counts / np.reshape(np.diff(edge), (-1,) + (1,) * (ndim - 1 - axis))
    return counts, edges


@composed(np.histogram2d)
def histogram2d(
    x: Any, y: Any, bins: Any = 10, range: Any = None, density: Any = None, weights: Any = None
) -> Any:
    """Return the counts, or weights, of points per cell of a plane grid, and the edges along x and y."""
    if _is_sequence(bins) and len(bins) > 2:
        bins = [as_array(bins)] * 2
    sample = np.stack((as_array(x), as_array(y)), axis=1)
    counts, edges = np.histogramdd(sample, bins, range, density, weights)
    return counts, edges[0], edges[1]


def _is_sequence(bins: Any) -> bool:
    """Say whether bins are given one by one, or per axis, and not as one number for all."""
    return isinstance(bins, list | tuple) or getattr(bins, "ndim", 0) > 0


def _counted(columns: Sequence[Any], edges: Sequence[Any], weights: Any) -> Any:
    """Return the sum of weights per cell; bins include their left edge, and the last one its right edge too."""
    cell, inside = np.array(0), np.array(True)
    shape = tuple(len(edge) - 1 for edge in edges)
    for x, edge, n in zip(map(values, columns), map(values, edges), shape, strict=True):
        place = np.where(x == edge[-1], n - 1, np.searchsorted(edge, x, side="right") - 1)
        cell, inside = cell * n + place, inside & (place >= 0) & (place < n)
    weights = None if weights is None else as_array(weights)[inside]
    return np.reshape(np.bincount(cell[inside], weights, minlength=int(np.prod(shape))), shape)
