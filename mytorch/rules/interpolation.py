"""Piecewise linear interpolation, and phases without jumps."""

from __future__ import annotations

from typing import Any

import numpy as np

from mytorch.rules.arithmetic import as_double
from mytorch.rules.constants import values
from mytorch.rules.registry import backward_of, composed

backward_of(np.unwrap, lambda g: g)  # the multiples of the period that it adds are constant


@composed(np.interp)
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    """Return the piecewise linear function through the points (xp, fp) at `x`, constant beyond the ends.

    At a point the slope is that of the interval on its right; beyond the ends it is zero.
    """
    x, xp, fp = as_double(x), as_double(xp), as_double(fp)
    if xp.ndim != 1 or fp.ndim != 1:
        raise ValueError("Data points must be 1-D sequences")
    if xp.shape != fp.shape:
        raise ValueError("fp and xp are not of the same length")
    if xp.size == 0:
        raise ValueError("array of sample points is empty")
    if period is not None:
        x, xp, fp = on_one_period(x, xp, fp, period)
        left = right = None
    result = between(x, xp, fp)
    result = np.where(x < xp[0], fp[0] if left is None else left, result)
    return np.where(x > xp[-1], fp[-1] if right is None else right, result)


def on_one_period(x: Any, xp: Any, fp: Any, period: Any) -> tuple[Any, Any, Any]:
    """Return `x` and the points in one period, the points in order and with one more on either side."""
    if period == 0:
        raise ValueError("period must be a non-zero value")
    period = np.abs(period)
    x, xp = x % period, xp % period
    order = np.argsort(values(xp))
    xp, fp = xp[order], fp[order]
    xp = np.concatenate((xp[-1:] - period, xp, xp[:1] + period))
    return x, xp, np.concatenate((fp[-1:], fp, fp[:1]))


def between(x: Any, xp: Any, fp: Any) -> Any:
    """Return the line through the two neighbours of each `x`; of a single point, its value."""
    if xp.size == 1:
        return np.broadcast_to(fp[0], x.shape)
    i = np.clip(np.searchsorted(values(xp), values(x), side="right") - 1, 0, xp.size - 2)
    return fp[i] + (fp[i + 1] - fp[i]) / (xp[i + 1] - xp[i]) * (x - xp[i])
