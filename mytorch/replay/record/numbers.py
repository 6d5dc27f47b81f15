"""Numbers of Python's while a call is recorded: what they are computed to be, and what is decided by them.

In: a traced array that ``float()``, ``.item()`` or an argument made a number of.  Out: a `Weak`, which computes with
numbers as Python does, and takes the dtype of the array that it meets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray

from mytorch.operators import COMPARE
from mytorch.replay.record.traced import BINARY, POWERS, UNARY, Number, Traced


class Weak(Number):
    """A number of Python's: it takes the dtype of the array that it meets.

    Operators of it with numbers give such numbers, comparisons decide; NumPy's functions give numbers of NumPy's.
    """

    __slots__ = ("number",)

    def __init__(self, traced: Traced, number: float) -> None:
        super().__init__(traced.array, traced.recorder)
        self.number = number

    def weak_for(self, inputs: tuple[Any, ...]) -> Traced:
        """Return the number in the dtype of the arrays among the operands."""
        others: list[Any] = [x for x in inputs if type(x) is not Weak and isinstance(x, ndarray | np.generic)]
        # NumPy 1 asks whether they have axes.
        real = [x.array if isinstance(x, Traced) else x for x in others]
        dtype = np.result_type(*real, self.number) if real else self.array.dtype
        shown = self.recorder.show(self.array)
        return shown if dtype == self.array.dtype else shown.astype(dtype)

    def __pow__(self, exponent: Any) -> Any:
        if type(exponent) not in _NUMBERS:
            return super().__pow__(exponent)
        ufunc = POWERS.get(exponent) if self.array.dtype.kind == "f" and type(exponent) is not Weak else None
        if ufunc is not None:
            return _finite(self.recorder.of_numbers(ufunc, self), self, exponent)
        return _finite(self.recorder.of_numbers(np.power, self, exponent), self, exponent)

    def __rpow__(self, base: Any) -> Any:
        if type(base) not in _NUMBERS:
            return super().__rpow__(base)
        return _finite(self.recorder.of_numbers(np.power, base, self), base, self)

    __ipow__ = __pow__

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __rdivmod__(self, other: Any) -> Any:
        return other // self, other % self

    def __round__(self, digits: int | None = None) -> Any:
        return self.recorder.decide(self, lambda array: round(array.item(), digits))


_NUMBERS = (Weak, int, float)


def _finite(power: Any, base: Any, exponent: Any) -> Any:
    """Return a power; where it is not finite, what Python makes of it: an error, or a complex number."""
    return power if np.isfinite(power) else float(base) ** float(exponent)


def _of_numbers(name: str, ufunc: np.ufunc, reflected: bool = False) -> Callable[..., Any]:
    """Return an operator of Python's numbers, which is the array's where it meets one."""
    inherited = getattr(Number, name)

    def method(self: Any, *others: Any) -> Any:
        if not all(type(x) in _NUMBERS for x in others):
            return inherited(self, *others)
        return self.recorder.of_numbers(ufunc, *((*others, self) if reflected else (self, *others)))

    return method


def _decided(name: str) -> Callable[..., Any]:
    """Return a comparison of Python's numbers, which is the array's where it meets one."""
    inherited = getattr(Number, name)

    def method(self: Any, other: Any) -> Any:
        result = inherited(self, other)
        return bool(result) if type(other) in _NUMBERS else result

    return method


for _name, _ufunc in BINARY.items():
    for _prefix in ("", "i"):
        setattr(Weak, f"__{_prefix}{_name}__", _of_numbers(f"__{_prefix}{_name}__", _ufunc))
    setattr(Weak, f"__r{_name}__", _of_numbers(f"__r{_name}__", _ufunc, reflected=True))
for _name, _ufunc in UNARY.items():
    setattr(Weak, f"__{_name}__", _of_numbers(f"__{_name}__", _ufunc))
for _name in COMPARE:
    setattr(Weak, f"__{_name}__", _decided(f"__{_name}__"))
