"""Python's operators and NumPy's methods on Tensors: direct calls, without a way through NumPy's protocols."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mytorch.rules.registry import RULES
from mytorch.tensor import Tensor, apply, raw, wrap, write

_OPERANDS = (np.ndarray, np.generic, float, int, complex, bool, list, tuple)


def _forward(function: np.ufunc) -> Callable[[Tensor, Any], Any]:
    rule = RULES[function]

    def operator(self: Tensor, other: Any) -> Any:
        if not isinstance(other, Tensor):
            if not isinstance(other, _OPERANDS):
                return NotImplemented
            if isinstance(other, list | tuple):
                other = np.asarray(other)
        return apply(rule, (self, other))

    return operator


def _reflected(function: np.ufunc) -> Callable[[Tensor, Any], Any]:
    rule = RULES[function]

    def operator(self: Tensor, other: Any) -> Any:
        if not isinstance(other, _OPERANDS):
            return NotImplemented
        if isinstance(other, list | tuple):
            other = np.asarray(other)
        return apply(rule, (other, self))

    return operator


def _in_place(function: np.ufunc) -> Callable[[Tensor, Any], Tensor]:
    rule = RULES[function]

    def operator(self: Tensor, other: Any) -> Tensor:
        data, array = self._data, raw(other)
        write(self, ..., lambda: function(data, array, data), rule, (self, other))
        return self

    return operator


def _unary(function: np.ufunc) -> Callable[[Tensor], Tensor]:
    rule = RULES[function]
    return lambda self: apply(rule, (self,))


def _constant(function: np.ufunc) -> Callable[[Tensor, Any], Any]:
    return lambda self, other: function(self._data, raw(other))


def _called(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self, *args, **kwargs: function(self, *args, **kwargs)


BINARY = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "truediv": np.divide,
    "pow": np.power,
    "matmul": np.matmul,
}
COMPARE = {
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "eq": np.equal,
    "ne": np.not_equal,
}
METHODS = ("sum", "ravel", "swapaxes", "squeeze")


def install() -> None:
    """Give Tensor its operators and methods."""
    for name, function in BINARY.items():
        setattr(Tensor, f"__{name}__", _forward(function))
        setattr(Tensor, f"__r{name}__", _reflected(function))
        setattr(Tensor, f"__i{name}__", _in_place(function))
    for name, function in COMPARE.items():
        setattr(Tensor, f"__{name}__", _constant(function))
    for name, function in {"neg": np.negative, "pos": np.positive}.items():
        setattr(Tensor, f"__{name}__", _unary(function))
    for name in METHODS:
        setattr(Tensor, name, _called(getattr(np, name)))


def _reshape(self: Tensor, *shape: Any, order: str = "C") -> Tensor:
    """Return the values in another shape: a view where NumPy gives one."""
    return np.reshape(self, shape[0] if len(shape) == 1 else shape, order=order)  # type: ignore[call-overload, no-any-return]


def _transpose(self: Tensor, *axes: Any) -> Tensor:
    """Return the view with its axes permuted, reversed by default."""
    return self.view_as(self._data.transpose(*axes))


def _dot(self: Tensor, other: Any) -> Tensor:
    """Return the matrix product; of two matrices here, as in rules."""
    return self @ other


Tensor.reshape = _reshape  # type: ignore[attr-defined]
Tensor.transpose = _transpose  # type: ignore[attr-defined]
Tensor.dot = _dot  # type: ignore[attr-defined]
install()
