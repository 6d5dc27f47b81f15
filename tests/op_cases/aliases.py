"""Cases of names that only NumPy 1.26 has: none under NumPy 2."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from mytorch.rules.registry import present
from tests.op_cases import Case

A = np.random.default_rng(12).normal(size=(3, 4))


def quiet(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function` without the warning that its name will go."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return function(*args, **kwargs)

    return call


CASES = [
    Case(quiet(f), (A,), covers=(f,), float32=f.__name__ != "asfarray")
    for f in present(np, "product", "cumproduct", "msort", "asfarray")
]
