"""Cases of operations: per family a module with a list `CASES`, which tests/test_rules.py runs through.

A row is a call of a NumPy function (or one of ours), as one would write it::

    CASES = [
        Case(np.exp, (A,)),
        Case(np.sum, (A,), {"axis": -1, "keepdims": True}),
        Case(np.max, (TIES,), {"axis": 0}, name="ties", numerical=False, torch=lambda a: a.amax(0)),
    ]

Of every row is tested: the value, its type and dtype are NumPy's; float32 stays float32; the derivatives are
those of finite differences, to second order, and PyTorch's where a counterpart is named.  Every function that has
a rule, is composed, or is a view needs a row.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Case:
    """One call, and what is to be tested of it.

    Attributes
    ----------
    function : the function; or a function of ours that calls it (then say in `covers` which)
    args, kwargs : the call.  Every floating-point or complex ndarray in them, also within lists, tuples and dicts,
        becomes a Tensor that is differentiated; everything else (Python numbers, lists of them, integer arrays)
        is passed on.  Write 0-d operands as np.array(2.0).
    name : what is special about the call, for the test's name ("ties", "0-d", "negative axis")
    order : the order to which derivatives are checked
    reason : where order is less than 2, why
    covers : the functions that the row is a test of, by default `function`
    constant : positions or keywords of arguments that are not differentiated although they are floating-point
    numerical : whether finite differences are right here: False at kinks where the convention is not their mean
        (then name `torch` or `gradients`)
    torch : the same call for PyTorch, of as many tensors as there are differentiated arrays, in their order
    gradients : the expected gradients for a cotangent of ones, where neither differences nor torch can tell
    value : whether the value is NumPy's own to the last bits (False where a phase or sign is free)
    float32 : whether the call is also run in float32 (or complex64)
    rtol : for the value, and the derivatives against torch
    """

    function: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    order: int = 2
    reason: str = ""
    covers: tuple[Callable[..., Any], ...] = ()
    constant: tuple[int | str, ...] = ()
    numerical: bool = True
    torch: Callable[..., Any] | None = None
    gradients: tuple[Any, ...] | None = None
    value: bool = True
    float32: bool = True
    rtol: float = 1e-10

    def __post_init__(self) -> None:
        if self.order < 2 and self.numerical and not self.reason:
            raise ValueError(f"{self}: a case that is not checked to second order says why, in reason=")
        if not self.numerical and self.torch is None and self.gradients is None:
            raise ValueError(f"{self}: without finite differences, name torch= or gradients=")

    def __str__(self) -> str:
        module = getattr(self.function, "__module__", None) or "numpy"
        short = module.rpartition(".")[2]
        prefix = f"{short}." if short in ("linalg", "fft") else ""
        return f"{prefix}{getattr(self.function, '__name__', 'call')}{'-' if self.name else ''}{self.name}"


def all_cases() -> list[tuple[str, Case]]:
    """Return (family, case) of every row of every module here."""
    modules = [importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__)]
    return [(m.__name__.rpartition(".")[2], case) for m in modules for case in m.CASES]
