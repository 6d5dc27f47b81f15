"""Functions that choose between values: where, clip, select, piecewise, interpolation, unwrapping."""

from __future__ import annotations

from typing import Any

import numpy as np

from mytorch.rules.registry import backward_of, composed

# Masked, not multiplied: a branch that was not taken may have an infinite slope.
backward_of(
    np.where,
    None,
    lambda g, a: np.where(a, g, 0),
    lambda g, a: np.where(a, 0, g),
    signature="condition, x=None, y=None",
)


@composed(np.clip)
def clip(
    a: Any,
    a_min: Any = None,
    a_max: Any = None,
    out: Any = None,
    *,
    min: Any = None,
    max: Any = None,
    **options: Any,
) -> Any:
    """Return `a` between bounds; at a bound the gradient goes to `a`, as in PyTorch's clamp."""
    low = min if a_min is None or a_min is np._NoValue else a_min
    high = max if a_max is None or a_max is np._NoValue else a_max
    if low is not None and low is not np._NoValue:
        a = np.where(np.less(a, low), low, a)
    if high is not None and high is not np._NoValue:
        a = np.where(np.greater(a, high), high, a)
    return a


@composed(np.select)
def select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    """Return, entry by entry, the choice of the first condition that holds."""
    if len(condlist) != len(choicelist):
        raise ValueError("list of cases must be same length as list of conditions")
    result = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        result = np.where(condition, choice, result)
    return result


@composed(np.piecewise)
def piecewise(x: Any, condlist: Any, funclist: Any, *args: Any, **kwargs: Any) -> Any:
    """Return a function that is another one, or a number, on each part of `x`."""
    conditions = np.asarray(
        [np.asarray(c) for c in condlist] if isinstance(condlist, list | tuple) else condlist, bool
    )
    conditions = conditions[None] if conditions.ndim == x.ndim else conditions
    if len(funclist) == len(conditions) + 1:
        conditions = np.concatenate([conditions, ~np.any(conditions, axis=0, keepdims=True)])
    elif len(funclist) != len(conditions):
        raise ValueError(
            f"with {len(conditions)} condition(s), either {len(conditions)} or one more functions are expected"
        )
    y = np.zeros_like(x)
    for condition, function in zip(conditions, funclist, strict=True):
        if not callable(function):
            y[condition] = function
        elif condition.any():
            y[condition] = function(x[condition], *args, **kwargs)
    return y


@composed(np.interp)
def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    """Return the piecewise linear function through the points (xp, fp) at `x`, constant beyond the ends."""
    x, xp = (v.astype(float) if hasattr(v, "requires_grad") else np.asarray(v, float) for v in (x, xp))
    fp = fp if hasattr(fp, "requires_grad") else np.asarray(fp)
    fp = fp.astype(np.result_type(fp.dtype, float))  # NumPy interpolates in double precision
    if period is not None:
        x, xp = np.remainder(x, period), np.remainder(xp, period)
        order = np.argsort(xp)
        xp, fp = np.take(xp, order), np.take(fp, order)
        xp = np.concatenate([xp[-1:] - period, xp, xp[:1] + period])
        fp = np.concatenate([fp[-1:], fp, fp[:1]])
    if xp.shape[0] == 1:
        inside = fp[0] + 0 * x
    else:
        j = np.clip(np.searchsorted(xp, x, side="right") - 1, 0, xp.shape[0] - 2)
        slope = (np.take(fp, j + 1) - np.take(fp, j)) / (np.take(xp, j + 1) - np.take(xp, j))
        inside = np.take(fp, j) + slope * (x - np.take(xp, j))
    if period is not None:
        return inside
    below = fp[0] if left is None else left
    above = fp[-1] if right is None else right
    return np.where(np.less(x, xp[0]), below, np.where(np.greater(x, xp[-1]), above, inside))


@composed(np.unwrap)
def unwrap(p: Any, discont: Any = None, axis: int = -1, *, period: float = 2 * np.pi) -> Any:
    """Return `p` plus the constant multiples of the period that take its jumps away."""
    values = p.detach().numpy()
    return p + (np.unwrap(values, discont, axis, period=period) - values)
