"""needle's graph: a `Value` knows the `Op` that made it and that operator's inputs; gradients extend the graph.

An operator says in `Op.compute` what it does to arrays, and in `Op.gradient`, in operators on Tensors, what the
gradients of its inputs are.  `compute_gradient_of_variables` puts the graph in order and hands it to the tape's
reverse pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add, attrgetter
from typing import Any

import numpy as np

from mytorch.faces import needle
from mytorch.faces.graph import post_order
from mytorch.faces.needle.devices import CPUDevice as CPUDevice
from mytorch.faces.needle.devices import Device, all_devices, cpu
from mytorch.regions import gradient_dtype

NDArray = np.ndarray
ndarray = np.ndarray

LAZY_MODE = False
"""Whether operators wait with computing until somebody asks for the result."""


class Op:
    """An operator: what makes a `Value` of others."""

    def __call__(self, *args: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define __call__; derive it from TensorOp")

    def compute(self, *args: NDArray) -> NDArray:
        """Return the result for the arrays of the inputs."""
        raise NotImplementedError(f"{type(self).__name__} must define compute(self, *arrays)")

    def gradient(self, out_grad: Any, node: Any) -> Any:
        """Return the gradients of the inputs: a Value per input, made by operators.

        Parameters
        ----------
        out_grad : the gradient of `node`
        node : what the operator made; ``node.inputs`` are its inputs
        """
        raise NotImplementedError(f"{type(self).__name__} must define gradient(self, out_grad, node)")

    def gradient_as_tuple(self, out_grad: Any, node: Any) -> tuple[Any, ...]:
        """Return what `gradient` does, as a tuple also where there is one input."""
        output = self.gradient(out_grad, node)
        if isinstance(output, tuple):
            return output
        return tuple(output) if isinstance(output, list) else (output,)


class TensorOp(Op):
    """An operator whose result is a Tensor."""

    def __call__(self, *args: Any) -> Tensor:
        return Tensor.make_from_op(self, args)


class Value:
    """A node of the graph: the result of an operator, or a leaf.

    Attributes
    ----------
    op : the operator that made it, None for a leaf
    inputs : what the operator was applied to
    cached_data : the array of its values, None as long as nobody has asked for them (with LAZY_MODE)
    requires_grad : whether gradients flow through it
    grad : the gradient that the last backward gave it, None before
    """

    __slots__ = (
        "__dict__",
        "__weakref__",
        "cached_data",
        "grad",
        "inputs",
        "op",
        "requires_grad",
    )
    op: Op | None
    inputs: Sequence[Any]
    cached_data: Any
    requires_grad: bool
    grad: Any
    num_outputs = 1

    def _be_leaf(self, data: NDArray, requires_grad: bool) -> None:
        """Set the fields of a Value that no operator made."""
        self.op, self.inputs, self.cached_data, self.grad = None, [], data, None
        self.requires_grad = requires_grad

    def realize_cached_data(self) -> NDArray:
        """Return the array of the values itself, computing it where nobody has asked before."""
        if self.cached_data is None:
            for node in post_order([self], _unrealized):
                node.cached_data = _computed(node.op, node.inputs, [x.cached_data for x in node.inputs])
        return self.cached_data

    def is_leaf(self) -> bool:
        """Say whether no operator made this Value."""
        return self.op is None

    def detach(self) -> Any:
        """Return a leaf on the same memory, through which no gradient flows."""
        return Tensor.make_const(self.realize_cached_data())

    @classmethod
    def make_const(cls, data: Any, *, requires_grad: bool = False) -> Any:
        """Return a leaf on the array `data`, without a copy."""
        value = cls.__new__(cls)
        if isinstance(data, Value):
            data = data.realize_cached_data()
        value._be_leaf(_array(data), requires_grad)
        return value

    @classmethod
    def make_from_op(cls, op: Op, inputs: Sequence[Any]) -> Any:
        """Return `op` applied to `inputs`: a node of the graph, or, if no input requires gradients, a leaf."""
        value = cls.__new__(cls)
        value.op, value.inputs, value.cached_data, value.grad = op, inputs, None, None
        requires_grad = False
        arrays = []
        try:
            for x in inputs:
                if x.requires_grad:
                    requires_grad = True
                arrays.append(x.cached_data)
        except AttributeError:
            raise _no_value(op, inputs) from None
        value.requires_grad = requires_grad
        if not LAZY_MODE:
            value.cached_data = _computed(op, inputs, arrays)
            if not requires_grad:
                value.op, value.inputs = None, []
        return value


def _no_value(op: Op, inputs: Sequence[Any]) -> TypeError:
    """Return the error for inputs of which one is no Value."""
    i, x = next((i, x) for i, x in enumerate(inputs) if not isinstance(x, Value))
    return TypeError(
        f"{type(op).__name__}: input {i} must be a needle.Tensor, got {type(x).__name__}; "
        "make one with needle.Tensor(...)"
    )


def _unrealized(node: Any) -> list[Any]:
    """Return the inputs of `node` that have no values yet."""
    return [x for x in node.inputs if x.cached_data is None]


def _computed(op: Any, inputs: Sequence[Any], arrays: Sequence[Any]) -> NDArray:
    """Return what `op` makes of `inputs`, whose `arrays` are None where nobody has asked for them before."""
    for data in arrays:
        if data is None:
            arrays = [x.realize_cached_data() for x in inputs]
            break
    data = op.compute(*arrays)
    if type(data) is ndarray:
        return data
    if isinstance(data, np.number):
        return np.asarray(data)
    try:
        return _array(data)
    except TypeError as error:
        raise TypeError(f"{type(op).__name__}.compute: {error}") from None


def _array(data: Any, dtype: Any = None, copy: bool = False) -> NDArray:
    """Return `data` as an array of numbers."""
    try:
        array = np.array(data, dtype) if copy else np.asarray(data, dtype)
    except (TypeError, ValueError) as error:
        raise TypeError(f"cannot make an array of numbers of {_shown(data)}: {error}") from None
    if array.dtype.kind not in "biufc":
        raise TypeError(f"cannot make an array of numbers of {_shown(data)}")
    return array


def _shown(data: Any) -> str:
    """Return a short description of what a user gave."""
    text = repr(data)
    return f"{type(data).__name__} {text if len(text) <= 60 else text[:57] + '...'}"


class Tensor(Value):
    """An array in the graph.

    Parameters
    ----------
    array : array_like or Tensor; an array is copied, a Tensor's memory shared where dtype and device agree
    device : None or `cpu()`
    dtype : as in `numpy.array`
    requires_grad : whether gradients flow through it

    Raises
    ------
    TypeError
        If `array` is not made of numbers.
    """

    __slots__ = ()
    # NumPy's own operators leave it to ours: ndarray * Tensor is a Tensor, not an object array.
    __array_ufunc__ = None

    def __init__(
        self,
        array: Any,
        *,
        device: Device | None = None,
        dtype: Any = None,
        requires_grad: bool = True,
    ) -> None:
        if device is not None and device != cpu():
            raise ValueError(f"device {device!r} is not here; there is {all_devices()}")
        if isinstance(array, Tensor):
            data = _array(array.realize_cached_data(), dtype)
        else:
            data = _array(array, dtype, copy=True)
        self._be_leaf(data, requires_grad)

    @property
    def data(self) -> Tensor:
        """The values, detached from the graph; assigning a Tensor of the same dtype replaces them."""
        return self.detach()

    @data.setter
    def data(self, value: Any) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(
                f"data must be a needle.Tensor, got {type(value).__name__}; wrap it with needle.Tensor(...)"
            )
        if value.dtype != self.dtype:
            raise TypeError(
                f"data must have dtype {self.dtype}, got {value.dtype}; convert with dtype={self.dtype}"
            )
        self.cached_data = value.realize_cached_data()

    @property
    def shape(self) -> tuple[int, ...]:
        return self.realize_cached_data().shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.realize_cached_data().dtype

    @property
    def device(self) -> Device:
        return cpu()

    def numpy(self) -> NDArray:
        """Return the array of the values, without a copy."""
        return self.realize_cached_data()

    def __graph__(self) -> list[tuple[Any, ...]]:
        """Return the nodes of the drawing (see `mytorch.extras.draw`)."""
        return [
            (
                id(node),
                "" if node.op is None else type(node.op).__name__,
                "input" if node.op is None else "operation",
                [id(x) for x in node.inputs],
                node.realize_cached_data(),
            )
            for node in find_topo_sort([self])
        ]

    def __repr__(self) -> str:
        return f"needle.Tensor({self.realize_cached_data()})"

    def __str__(self) -> str:
        return str(self.realize_cached_data())

    def backward(self, out_grad: Any = None) -> None:
        """Set the `grad` of every node that this Tensor depends on, and of itself.

        Parameters
        ----------
        out_grad : Tensor (or array_like) of this Tensor's shape, the weight of every entry; ones by default

        Raises
        ------
        ValueError
            If this Tensor does not require gradients, or `out_grad` has another shape.
        """
        if not self.requires_grad:
            raise ValueError(
                "backward: this Tensor does not depend on any that requires gradients, so there is nothing to "
                "differentiate; make its inputs with requires_grad=True, and do not detach them"
            )
        if out_grad is None:
            out_grad = Tensor.make_const(np.ones(self.shape, gradient_dtype(self.dtype)), requires_grad=True)
        elif not isinstance(out_grad, Tensor):
            out_grad = Tensor(out_grad)
        if out_grad.shape != self.shape:
            raise ValueError(
                f"backward: out_grad has shape {out_grad.shape}, expected this Tensor's, {self.shape}"
            )
        compute_gradient_of_variables(self, out_grad)

    def __add__(self, other: Any) -> Tensor:
        return needle.ops.binary(needle.ops.EWiseAdd, needle.ops.AddScalar, self, other)

    def __mul__(self, other: Any) -> Tensor:
        return needle.ops.binary(needle.ops.EWiseMul, needle.ops.MulScalar, self, other)

    def __truediv__(self, other: Any) -> Tensor:
        return needle.ops.binary(needle.ops.EWiseDiv, needle.ops.DivScalar, self, other)

    def __pow__(self, other: Any) -> Tensor:
        return needle.ops.binary(needle.ops.EWisePow, needle.ops.PowerScalar, self, other)

    def __sub__(self, other: Any) -> Tensor:
        return needle.ops.subtract(self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return -self + other

    def __rtruediv__(self, other: Any) -> Tensor:
        return needle.ops.constant(other, self) / self

    def __rpow__(self, other: Any) -> Tensor:
        return needle.ops.constant(other, self) ** self

    def __matmul__(self, other: Any) -> Tensor:
        return needle.ops.MatMul()(self, needle.ops.constant(other, self))

    def __rmatmul__(self, other: Any) -> Tensor:
        return needle.ops.MatMul()(needle.ops.constant(other, self), self)

    def __neg__(self) -> Tensor:
        return needle.ops.Negate()(self)

    __radd__ = __add__
    __rmul__ = __mul__

    def matmul(self, other: Any) -> Tensor:
        """Return the matrix product ``self @ other``."""
        return self @ other

    def sum(self, axes: Any = None) -> Tensor:
        """Return the sum over `axes`: None for all, an int or a tuple."""
        return needle.ops.Summation(axes)(self)

    def broadcast_to(self, shape: Any) -> Tensor:
        """Return the values repeated to fill `shape`."""
        return needle.ops.BroadcastTo(shape)(self)

    def reshape(self, shape: Any) -> Tensor:
        """Return the values in another shape."""
        return needle.ops.Reshape(shape)(self)

    def transpose(self, axes: Any = None) -> Tensor:
        """Return the values with two axes exchanged, by default the last two."""
        return needle.ops.Transpose(axes)(self)


# -- differentiation ----------------------------------------------------------------------------------------------


def compute_gradient_of_variables(output_tensor: Any, out_grad: Any) -> None:
    """Set the `grad` of every node that `output_tensor` depends on, by the tape's reverse pass over the graph.

    Parameters
    ----------
    output_tensor : the Tensor that is differentiated
    out_grad : Tensor of its shape, its gradient
    """
    output_tensor.realize_cached_data()
    needle.reverse.History(output_tensor, out_grad).set_gradients()


def find_topo_sort(node_list: Sequence[Any]) -> list[Any]:
    """Return the nodes that `node_list` depends on, and those in it, in topological order.

    The order is that of a post-order depth-first walk: the inputs of a node, in their order, come before it, and
    every node comes once.
    """
    return post_order(node_list, _inputs)


def topo_sort_dfs(node: Any, visited: set[Any], topo_order: list[Any]) -> None:
    """Append what `node` depends on, and `node`, to `topo_order`, leaving out and adding to what is `visited`."""
    seen = {id(other) for other in visited}
    order = post_order([node], _inputs, seen)
    visited.update(order)
    topo_order += order


_inputs = attrgetter("inputs")


def sum_node_list(node_list: Sequence[Any]) -> Any:
    """Return the sum of the nodes, with no node for the zero that Python's `sum` starts from."""
    if not node_list:
        raise ValueError("sum_node_list: there is no sum of no nodes")
    return reduce(add, node_list)
