"""Derivatives of sums, means, products and extrema over axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from mytorch.rules.registry import backward_of


def spread(g: Any, shape: tuple[int, ...], axis: Any, keepdims: bool) -> Any:
    """Return `g`, the gradient of a reduction over `axis`, broadcast to the reduced array's `shape`."""
    if not keepdims and axis is not None and g.ndim:
        g = np.expand_dims(g, axis)
    return np.broadcast_to(g, shape)


backward_of(np.sum, lambda g, a_shape, *, axis=None, keepdims=False: spread(g, a_shape, axis, keepdims))
