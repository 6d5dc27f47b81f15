"""The faces, each behind one set of names, so that one suite can run the same mathematics through all of them.

Every module here but this one holds an ``ADAPTER``, an instance of a class derived from `Adapter`.
"""

from __future__ import annotations

from importlib import import_module
from operator import neg
from pkgutil import iter_modules
from typing import Any, ClassVar

import numpy as np


class Adapter:
    """A face, as cases see it.

    Cases call its methods, with the values that it gave them.  A face that lacks an operation leaves it None, and the
    cases that need it do not run.
    """

    name: str
    scalar: ClassVar[bool] = False  # whether values are numbers, so that only cases of numbers can run

    def leaf(self, array: np.ndarray) -> Any:
        """Return a value that gradients are wanted of."""
        raise NotImplementedError

    def value(self, x: Any) -> np.ndarray:
        """Return the array of a value."""
        raise NotImplementedError

    def gradients(self, y: Any, leaves: list[Any]) -> list[np.ndarray]:
        """Return the gradients of a value with one entry with respect to leaves, which were made for this."""
        raise NotImplementedError

    def total(self, y: Any, weights: np.ndarray) -> Any:
        """Return the sum of the entries of `y`, weighted: what is differentiated."""
        return self.sum(y * weights)

    # -- what cases call: Python's operators, which all faces have, ...

    def add(self, a: Any, b: Any) -> Any:
        return a + b

    def subtract(self, a: Any, b: Any) -> Any:
        return a - b

    def multiply(self, a: Any, b: Any) -> Any:
        return a * b

    def divide(self, a: Any, b: Any) -> Any:
        return a / b

    # ... and what some do not have

    negative: Any = staticmethod(neg)
    power: Any = None
    exp: Any = None
    log: Any = None
    sin: Any = None
    cos: Any = None
    tan: Any = None
    maximum: Any = None
    minimum: Any = None
    relu: Any = None
    sigmoid: Any = None
    matmul: Any = None
    sum: Any = None
    sum_rows: Any = None
    max_rows: Any = None
    reshape: Any = None
    transpose: Any = None
    broadcast_to: Any = None
    log_softmax: Any = None
    select: Any = None

    def can(self, needs: tuple[str, ...]) -> bool:
        """Say whether the face has all operations that a case needs."""
        return all(getattr(self, name) is not None for name in needs)

    def __repr__(self) -> str:
        return self.name


def adapters() -> list[Adapter]:
    """Return the adapters of all faces."""
    names = sorted(module.name for module in iter_modules(__path__))
    return [import_module(f"{__name__}.{name}").ADAPTER for name in names]
