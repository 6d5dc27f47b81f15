"""The rules' formulas on needle Tensors: NumPy's names for needle's operators.

A formula of `mytorch.rules` is an expression in operators and NumPy functions.  `Lifted` shows a needle Tensor as
an array that such an expression can be run on; what it computes are nodes, so the gradients that come out are
Tensors with inputs of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mytorch.faces.needle import ops
from mytorch.faces.needle.autograd import Tensor
from mytorch.operators import BINARY, COMPARE
from mytorch.rules import memory, neural, registry, ufunc_methods
from mytorch.rules.registry import RULES

make = Tensor.make_from_op


class Lifted:
    """A needle Tensor as formulas see it; entries that are compared are numbers, everything else is a node."""

    __slots__ = ("data", "node")

    def __init__(self, node: Any) -> None:
        data = node.cached_data
        self.node = node
        self.data: np.ndarray = node.realize_cached_data() if data is None else data

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.data.dtype

    @property
    def ndim(self) -> int:
        return self.data.ndim

    @property
    def size(self) -> int:
        return self.data.size

    @property
    def T(self) -> Lifted:
        if self.ndim == 2:
            return Lifted(make(ops.Transpose(), (self.node,)))
        node, last = self.node, self.ndim - 1
        for i in range(self.ndim // 2):
            node = ops.Transpose((i, last - i))(node)
        return Lifted(node)

    @property
    def real(self) -> Lifted:
        return np.real(self) if self.dtype.kind == "c" else self

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> Any:
        return call(memory.take_at, (self,), {"index": index})

    def sum(self, axis: Any = None, keepdims: bool = False) -> Lifted:
        return _sum(self, axis, keepdims=keepdims)

    def reshape(self, *shape: Any) -> Lifted:
        return Lifted(ops.Reshape(shape[0] if len(shape) == 1 else shape)(self.node))

    def dot(self, other: Any) -> Lifted:
        return _matmul(self, other)

    def astype(self, dtype: Any) -> Lifted:
        return self if dtype == self.dtype else call(memory.cast, (self,), {"dtype": dtype})

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method == "reduce" and ufunc is np.add:
            return _sum(*inputs, **{"axis": 0, **kwargs})
        if method != "__call__":
            return ufunc_methods.call(ufunc, method, inputs, kwargs)
        return call(ufunc, inputs, kwargs)

    def __array_function__(
        self, function: Any, types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        return call(function, args, kwargs)

    def __invert__(self) -> np.ndarray:
        return ~self.data

    def __neg__(self) -> Lifted:
        return Lifted(ops.Negate()(self.node))

    __hash__ = None  # type: ignore[assignment]


def lowered(x: Any) -> Any:
    """Return the node of a Lifted, and anything else as it is."""
    return x.node if type(x) is Lifted else x


def values(x: Any) -> Any:
    """Return the array of a Lifted, and anything else as it is."""
    return x.data if type(x) is Lifted else x


def call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return what a NumPy function gives for arguments among which are Lifted ones: a node, where it has a rule."""
    named = _NAMED.get(function)
    if named is not None:
        return named(*args, **kwargs)
    composed = registry.COMPOSED.get(function)
    if composed is not None:
        return composed(*args, **kwargs)
    if function in registry.CONSTANT or function in registry.CREATED:
        return function(*map(values, args), **kwargs)
    if function not in RULES:
        raise TypeError(f"{function.__name__} has no operator in needle")
    operands, static = RULES[function].bind(args, kwargs)
    like = next(x for x in operands if type(x) is Lifted)
    return Lifted(ops.Function(RULES[function], static)(*[ops.constant(lowered(x), like) for x in operands]))


# -- NumPy's names ------------------------------------------------------------------------------------------------


def _binary(wide: type, scalar: type) -> Callable[[Any, Any], Lifted]:
    """Return the function of two operands, one of them Lifted, that makes `wide`, or `scalar` with a number."""

    def made(a: Any, b: Any) -> Any:
        if type(a) is not Lifted:
            return Lifted(make(wide(), (ops.constant(a, b.node), b.node)))
        if type(b) is Lifted:
            return Lifted(make(wide(), (a.node, b.node)))
        return Lifted(ops.binary(wide, scalar, a.node, b))

    return made


def _unary(op: type) -> Callable[[Any], Lifted]:
    return lambda a: Lifted(make(op(), (a.node,)))


_add = _binary(ops.EWiseAdd, ops.AddScalar)
_multiply = _binary(ops.EWiseMul, ops.MulScalar)
_divide = _binary(ops.EWiseDiv, ops.DivScalar)
_power = _binary(ops.EWisePow, ops.PowerScalar)


def _subtract(a: Any, b: Any) -> Lifted:
    if type(a) is Lifted is type(b):
        return Lifted(make(ops.Subtract(), (a.node, b.node)))
    return _add(a, -b) if type(a) is Lifted else _add(-b, a)


def _matmul(a: Any, b: Any) -> Lifted:
    if type(a) is Lifted is type(b):
        return Lifted(make(ops.MatMul(), (a.node, b.node)))
    a, b = lowered(a), lowered(b)
    return Lifted(ops.MatMul()(ops.constant(a, b), ops.constant(b, a)))


def _sum(a: Any, axis: Any = None, dtype: None = None, keepdims: bool = False) -> Lifted:
    return Lifted(ops.Summation(axis, keepdims)(a.node))


def _reshaped(function: Callable[..., Any]) -> Callable[..., Lifted]:
    return lambda a, *args, **kwargs: a.reshape(function(values(a), *args, **kwargs).shape)


_NAMED: dict[Callable[..., Any], Callable[..., Any]] = {
    np.add: _add,
    np.subtract: _subtract,
    np.multiply: _multiply,
    np.divide: _divide,
    np.power: _power,
    np.matmul: _matmul,
    np.dot: _matmul,
    np.negative: _unary(ops.Negate),
    np.exp: _unary(ops.Exp),
    np.log: _unary(ops.Log),
    neural.relu: _unary(ops.ReLU),
    np.sum: _sum,
    np.broadcast_to: lambda a, shape: Lifted(ops.BroadcastTo(shape)(a.node)),
    np.swapaxes: lambda a, *axes: Lifted(ops.Transpose(axes)(a.node)),
    **{function: _reshaped(function) for function in (np.reshape, np.ravel, np.expand_dims, np.squeeze)},
}

for _name, _ufunc in BINARY.items():
    _function = _NAMED[_ufunc]
    setattr(Lifted, f"__{_name}__", _function)
    setattr(Lifted, f"__r{_name}__", lambda self, other, _function=_function: _function(other, self))
for _name, _ufunc in COMPARE.items():
    setattr(Lifted, f"__{_name}__", lambda self, other, _ufunc=_ufunc: _ufunc(values(self), values(other)))
