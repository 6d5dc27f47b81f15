"""The rules on Python's floats: what scalars need, at a tenth of what arrays of no dimension cost.

A formula names NumPy only to call functions.  So a copy of it in which ``np`` stands for Python's own functions of
floats is the same formula, in the same order of operations:

>>> slope = on_floats(lambda g, a: g * np.cos(a))
>>> slope(2.0, 0.0), type(slope(2.0, 0.0))
(2.0, <class 'float'>)
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from types import FunctionType, SimpleNamespace
from typing import Any

import numpy as np

from mytorch.rules import masks

_COMPARISONS = {
    "equal": "eq",
    "not_equal": "ne",
    "less": "lt",
    "less_equal": "le",
    "greater": "gt",
    "greater_equal": "ge",
    "logical_not": "not_",
}
_FLOATS = SimpleNamespace(
    **{
        **vars(np),
        **{
            f: getattr(math, f)
            for f in ("cos", "cosh", "exp", "isnan", "log", "sin", "sinh", "sqrt", "tan", "tanh")
        },
        **{f: getattr(operator, symbol) for f, symbol in _COMPARISONS.items()},
        "ndim": lambda a: 0,
        "real": lambda a: a,
        "square": lambda a: a * a,
        "where": lambda condition, a, b: a if condition else b,
        "zeros_like": lambda a: 0.0,
    }
)

_MASKS: dict[Any, Callable[..., float]] = {
    masks.masked: lambda a, b: a if b else 0.0,
    masks.shared: lambda a, b, c: (0.5 * a if c else a) if b else 0.0,
}


def on_floats(function: Any) -> Callable[..., float]:
    """Return a copy of a formula, and of what it calls, that calls Python's functions of floats for NumPy's."""
    scope = dict(function.__globals__)
    for name in function.__code__.co_names:
        used = scope.get(name)
        if used is np:
            scope[name] = _FLOATS
        elif isinstance(used, FunctionType):
            scope[name] = _MASKS.get(used) or on_floats(used)
    return FunctionType(
        function.__code__, scope, function.__name__, function.__defaults__, function.__closure__
    )


_VJP = """
def vjp(g, v):
    try:
        return formula({arguments})
    except (ArithmeticError, ValueError):
        return g * limit({arguments})
"""


def vjp_on_floats(formula: Any, reads: Mapping[str, str]) -> Callable[[float, Any], float]:
    """Return ``vjp(g, v)``, `formula` on what it reads of a record v.

    Where Python's floats raise and NumPy's do not (``0.0 ** -0.5``), it gives what NumPy's formula gives; but 0
    where that is NaN.

    Parameters
    ----------
    formula : a formula of `mytorch.rules`
    reads : for each name that it may read but ``g``, the expression that this is of ``v``, as in ``{"y": "v.value"}``

    Raises
    ------
    OverflowError
        When called with integers that are too large for a float.
    """
    names = formula.__code__.co_varnames[: formula.__code__.co_argcount]
    arguments = ", ".join("g" if name == "g" else reads[name] for name in names)
    scope = {"formula": on_floats(formula), "limit": lambda *values: _limit(formula, names, values)}
    exec(_VJP.format(arguments=arguments), scope)
    return scope["vjp"]


def _limit(formula: Any, names: tuple[str, ...], values: tuple[float, ...]) -> float:
    """Return the formula's value for the cotangent 1 on NumPy's floats, or 0 where that is NaN."""
    floats = [np.float64(1 if name == "g" else x) for name, x in zip(names, values, strict=True)]
    with np.errstate(all="ignore"):
        slope = float(formula(*floats))
    return 0.0 if math.isnan(slope) else slope
