"""needle's backward: the tape's reverse pass over the graph, on arrays for numbers, and on Tensors for their graph.

A rule is an array expression.  Run on arrays it gives the numbers of a gradient, fast; run on Tensors it gives the
nodes that the gradient consists of, which few ever look at: so that is done when they do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from mytorch.faces.graph import NodeShadow, Step, walk, whole
from mytorch.faces.needle import ops
from mytorch.faces.needle.algebra import Lifted
from mytorch.faces.needle.autograd import NDArray, Op, Tensor, find_topo_sort, sum_node_list
from mytorch.regions import gradient_dtype


class Adjoints(NodeShadow):
    """The gradients of one pass, and those that have all arrived and were handed on."""

    __slots__ = ("complete",)

    def __init__(self) -> None:
        super().__init__()
        self.complete: dict[int, Any] = {}

    def take(self, target: int) -> Any:  # type: ignore[override]
        """Return the gradient of a node, which has all arrived; None where nothing has."""
        gradient = self.memory.pop(target, None)
        if gradient is not None:
            self.complete[target] = gradient
        return gradient


class LiftedAdjoints(Adjoints):
    """The same as nodes of the graph, which are added by operators."""

    __slots__ = ()

    def _add_whole(self, key: int, gradient: Any) -> None:
        memory = self.memory
        memory[key] = sum_node_list([memory[key], gradient]) if key in memory else gradient


class History:
    """What a backward pass went through: it is run on arrays, for numbers, and again on Tensors, for their graph."""

    __slots__ = ("_lifted", "nodes", "out_grad", "output")

    def __init__(self, output: Any, out_grad: Any) -> None:
        self.output, self.out_grad = output, out_grad
        self.nodes = [node for node in find_topo_sort([output]) if node.requires_grad]
        self._lifted: dict[int, Any] | None = None

    def set_gradients(self) -> None:
        """Give every node its gradient."""
        seed = self.out_grad.realize_cached_data()
        arrays = self.sweep(Adjoints(), seed, attrgetter("cached_data"))
        for node in self.nodes:
            array = arrays.get(id(node))
            node.grad = None if array is None else Gradient.of(array, self, node)
        self.output.grad = self.out_grad

    def sweep(self, adjoints: Adjoints, out_grad: Any, show: Callable[[Any], Any]) -> dict[int, Any]:
        """Run the pass, with Tensors seen as `show` shows them; return the gradients of nodes by their identity."""
        adjoints.add(id(self.output), out_grad)
        walk([self.step(node, show) for node in self.nodes if node.op is not None], adjoints)
        adjoints.complete.update(adjoints.memory)
        return adjoints.complete

    def step(self, node: Any, show: Callable[[Any], Any]) -> Step:
        """Return the record of `node` for the sweep: the operator's rule, or all that its `gradient` gives."""
        if ops.has_rule(node.op):
            return node.op.step(node, show)
        goals = tuple(id(x) if x.requires_grad else None for x in node.inputs)
        return Step(_WHOLE, self, node, id(node), (goals,))

    def gradient(self, key: int) -> Any:
        """Return the gradient of a node as a node of the graph."""
        if self._lifted is None:
            self._lifted = self.sweep(LiftedAdjoints(), Lifted(self.out_grad), Lifted)
        return self._lifted[key].node


class Gradient(Tensor):
    """A Tensor that `backward` made: its numbers are there, its graph is made when somebody looks at it."""

    __slots__ = ("_node", "_origin")
    _node: Any
    _origin: Any

    @classmethod
    def of(cls, array: NDArray, history: History, node: Any) -> Gradient:
        """Return the gradient of `node`, whose numbers are `array`."""
        gradient = cls.__new__(cls)
        gradient.cached_data, gradient.requires_grad, gradient.grad = array, True, None
        gradient._node, gradient._origin = None, (history, id(node))
        return gradient

    def _made(self) -> Any:
        """Return the node of the graph that has this Tensor's operator and inputs."""
        if self._node is None:
            history, key = self._origin
            node = history.gradient(key)
            if not _agree(node.cached_data, self.cached_data):
                raise ValueError(
                    "the graph of this gradient cannot be made any more: arrays that it was computed from have been "
                    "changed since backward; call backward again"
                )
            # A gradient that is another Tensor, such as the one that backward was given, depends on that.
            self._node = ops.Identity()(node) if node.is_leaf() else node
            self._origin = None
        return self._node

    @property
    def op(self) -> Op | None:  # type: ignore[override]
        return self._made().op

    @property
    def inputs(self) -> Sequence[Any]:  # type: ignore[override]
        return self._made().inputs


def _agree(a: NDArray, b: NDArray) -> bool:
    """Say whether two computations of one array differ by no more than rounding."""
    tolerance = 1e-6 if b.dtype.itemsize >= 8 else 1e-3
    scale = np.max(np.abs(b), initial=0)
    return np.allclose(a, b, rtol=tolerance, atol=tolerance * scale, equal_nan=True)


def _pull(g: Any, step: Step) -> list[Any]:
    """Return the gradients that an operator's own `gradient` gives, checked, one per input."""
    node = step.output
    name = f"{type(node.op).__name__}.gradient"
    on_arrays = type(g) is np.ndarray
    out_grad = Gradient.of(g, step.inputs, node) if on_arrays else g.node
    gradients = node.op.gradient_as_tuple(out_grad, node)
    if len(gradients) != len(node.inputs):
        raise ValueError(
            f"{name}: expected {len(node.inputs)} gradients, one per input, got {len(gradients)}"
        )
    pairs = enumerate(zip(gradients, node.inputs, strict=True))
    fitting = [
        None if x is None else _fitting(f"{name}, gradient {i}", x, target) for i, (x, target) in pairs
    ]
    return [x if x is None or not on_arrays else x.data for x in fitting]


def _fitting(name: str, gradient: Any, target: Any) -> Any:
    """Return a gradient that a user's operator gave, lifted; raise if it is not one of `target`."""
    if not isinstance(gradient, Tensor):
        gradient = Tensor.make_const(gradient)
    if gradient.shape != target.shape:
        raise ValueError(f"{name}: expected the input's shape {target.shape}, got {gradient.shape}")
    return Lifted(gradient).astype(gradient_dtype(target.dtype))


_WHOLE = whole("gradient", _pull)
