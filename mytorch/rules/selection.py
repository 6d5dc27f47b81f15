"""Functions that choose between values, entry by entry: `where`, `clip`, `select`, `piecewise`.

What is not chosen has the gradient zero, even where the cotangent is infinite or NaN.  (As in PyTorch, the slope of a
branch that is not chosen must itself be finite: ``where(x > 0, log(x), 0)`` at x = 0 multiplies 0 by 1 / 0.)
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from mytorch import arrays
from mytorch.rules.constants import values
from mytorch.rules.masks import masked
from mytorch.rules.registry import backward_of, composed, dispatched
from mytorch.rules.shapes import as_array


@dispatched
def chosen(a: Any, b: Any, c: Any) -> Any:
    """Return `b` where the truth values `a` hold, and `c` elsewhere."""
    return np.where(a, b, c)


backward_of(
    chosen, None, lambda g, a: masked(g, a), lambda g, a: masked(g, ~a), elementwise=True, name="where"
)


@composed(np.where)
def where(condition: Any, *branches: Any) -> Any:
    """Return the first branch where the condition holds, and the second elsewhere; or where it holds."""
    if not branches:
        return np.nonzero(condition)
    if len(branches) != 2:
        raise ValueError("either both or neither of x and y should be given")
    return chosen(truth(condition), *(as_array(x) if isinstance(x, list | tuple) else x for x in branches))


def truth(condition: Any) -> Any:
    """Return whether the entries of `condition` are true."""
    return arrays.asarray(values(as_array(condition)), bool)


# -- clip ----------------------------------------------------------------------------------------------------

# `array.clip(tensor, tensor)` calls a ufunc, which has no public name.
_umath: Any = import_module("numpy._core.umath" if hasattr(np.lib, "array_utils") else "numpy.core.umath")


@dispatched
def clamp(a: Any, b: Any, c: Any) -> Any:
    """Return `a` between the bounds `b` and `c`, of which one may be None; c where they are in the wrong order."""
    return np.clip(a, b, c)


def inside(a: Any, b: Any, c: Any) -> Any:
    """Return where `a` is between its bounds or equal to one."""
    if b is None or c is None:
        return a <= c if b is None else a >= b
    return (a >= b) & (a <= c)


def below(a: Any, b: Any, c: Any) -> Any:
    """Return where the lower bound `b` is the result."""
    return a < b if c is None else (a < b) & (b <= c)


def above(a: Any, b: Any, c: Any) -> Any:
    """Return where the upper bound `c` is the result."""
    return a > c if b is None else (a > c) | (b > c)


backward_of(
    clamp,
    lambda g, a, b, c: masked(g, inside(a, b, c)),
    lambda g, a, b, c: masked(g, below(a, b, c)),
    lambda g, a, b, c: masked(g, above(a, b, c)),
    elementwise=True,
    name="clip",
)


@composed(np.clip, _umath.clip)
def clip(
    a: Any, a_min: Any = None, a_max: Any = None, out: Any = None, *, min: Any = None, max: Any = None
) -> Any:
    """Return `a` between bounds; at a bound the gradient goes to `a`, as in PyTorch's clamp."""
    low = a_min if min is None else min
    high = a_max if max is None else max
    if low is None and high is None:
        return +as_array(a)
    bounded = [as_array(x) if isinstance(x, list | tuple) else x for x in (a, low, high)]
    return clamp(*bounded)


# -- several conditions --------------------------------------------------------------------------------------


@composed(np.select)
def select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    """Return, entry by entry, the choice of the first condition that holds, or the default."""
    if len(condlist) != len(choicelist):
        raise ValueError("list of cases must be same length as list of conditions")
    if len(condlist) == 0:
        raise ValueError("select with an empty condition list is not possible")
    conditions = [values(as_array(condition)) for condition in condlist]
    for i, condition in enumerate(conditions):
        if condition.dtype != bool:
            raise TypeError(f"invalid entry {i} in condlist: should be boolean ndarray")
    result = default
    for condition, choice in zip(reversed(conditions), reversed(choicelist), strict=True):
        result = np.where(condition, choice, result)
    return result


@composed(np.piecewise)
def piecewise(x: Any, condlist: Any, funclist: Any, *args: Any, **kwargs: Any) -> Any:
    """Return a function that is another one, or a number, on each part of `x`."""
    x = as_array(x)
    listed = isinstance(condlist, list | tuple) or np.ndim(condlist) > 0
    several = listed and (x.ndim == 0 or np.ndim(condlist[0]) > 0)
    conditions = truth(condlist if several else [condlist])
    if len(funclist) == len(conditions) + 1:
        conditions = np.concatenate([conditions, ~np.any(conditions, axis=0, keepdims=True)])
    elif len(funclist) != len(conditions):
        raise ValueError(
            f"with {len(conditions)} condition(s), either {len(conditions)} or {len(conditions) + 1} functions "
            "are expected"
        )
    y: Any = np.zeros_like(x)
    for condition, function in zip(conditions, funclist, strict=True):
        if not callable(function):
            y[condition] = function
        elif condition.any():
            y[condition] = function(x[condition], *args, **kwargs)
    return y
