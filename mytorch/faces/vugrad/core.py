"""vugrad's graph: a `TensorNode` holds a value, an `OpNode` is one application of an `Op`, a `Module` has parameters.

An `Op` is a class that is never instantiated: `Op.forward` computes on raw arrays and puts what it wants to
remember into a dictionary, the context; `Op.backward` turns the gradients of the outputs into those of the inputs.
`TensorNode.backward` puts the operation nodes below it in order and hands them to the tape's reverse pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import Any, ClassVar

import numpy as np

from mytorch.faces.graph import NodeShadow, Step, post_order, walk, whole
from mytorch.regions import gradient_dtype, owner_of
from mytorch.rules import RULES, Rule

ndarray = np.ndarray


class TensorNode:
    """A value in the graph.

    Parameters
    ----------
    value : the array of its values, or what NumPy makes an array of
    source : the `OpNode` that computed it, None for a leaf
    name : for messages and drawings
    constant : whether no gradient is wanted, as of data; then none is computed, and `grad` stays zero
    """

    __slots__ = (
        "__dict__",
        "__weakref__",
        "_cleared",
        "_closed",
        "_grad",
        "constant",
        "name",
        "source",
        "value",
    )
    # NumPy's own operators leave it to ours: ndarray * node is a node, not an object array.
    __array_ufunc__ = None

    def __init__(
        self, value: Any, source: OpNode | None = None, name: str | None = None, *, constant: bool = False
    ) -> None:
        self.value: np.ndarray = value if type(value) is ndarray else _array(value)
        self.source = source
        self.name = name
        self.constant = constant
        self._grad: np.ndarray | None = None
        self._closed = False  # whether the next gradient replaces this one
        self._cleared = False  # whether there was a source

    @property
    def grad(self) -> np.ndarray:
        """The gradient of what `backward` was called on, of the value's shape; zeros at first."""
        if self._grad is None:
            self._grad = _zeros(self.value)
        return self._grad

    @grad.setter
    def grad(self, gradient: Any) -> None:
        self._grad = gradient

    def __repr__(self) -> str:
        source = "" if self.source is None else f", source={self.source.op.__name__}"
        name = "" if self.name is None else f", name={self.name!r}"
        return (
            f"TensorNode({np.array2string(self.value, separator=', ', prefix='TensorNode(')}{source}{name})"
        )

    def size(self, dim: int | None = None) -> Any:
        """Return the shape of the value, or the length of its axis `dim`."""
        return self.value.shape if dim is None else self.value.shape[dim]

    def backward(self) -> None:
        """Compute the gradient of this node, which must be a scalar, with respect to every node below it.

        Raises
        ------
        ValueError
            If the value has more than one entry, or the graph was cleared.
        """
        if self.value.size != 1:
            raise ValueError(
                f"backward() can only be called from a scalar node, this one has the shape {self.value.shape}; "
                "make it one first, for instance with vg.Sum.do_forward(node)"
            )
        if self._cleared:
            raise ValueError(
                "backward() of a node that was cleared: its graph is gone; compute the node again"
            )
        applied = _applied(self)
        adjoints = Adjoints([self, *(node for op in applied for node in (*op.inputs, *op.outputs))])
        adjoints.add(id(self), np.ones(self.value.shape, gradient_dtype(self.value.dtype)))
        walk([step for op in applied if (step := _step_of(op)) is not None], adjoints)
        adjoints.deliver()

    def zero_grad(self) -> None:
        """Set the gradients of this node and of all below it to zero."""
        for node in _below(self):
            node._grad = None

    def clear(self) -> None:
        """Forget the graph below this node; a later backward starts the gradients of its leaves afresh."""
        for node in _below(self):
            node._cleared = node._cleared or node.source is not None
            node.source = None
            node._closed = True

    def __graph__(self) -> list[tuple[Any, ...]]:
        """Return the nodes of the drawing (see `mytorch.extras.draw`)."""
        applied = _applied(self)
        made = {id(node) for op in applied for node in op.outputs}
        told: dict[int, tuple[Any, ...]] = {}
        for op in applied:
            for node in op.inputs:
                if id(node) not in made:
                    told[id(node)] = (id(node), node.name or "", "input", (), node.value)
            keys = [id(node) for node in op.inputs]
            for node in op.outputs:
                told[id(node)] = (id(node), op.op.__name__, "operation", keys, node.value)
        return list(told.values()) or [(id(self), self.name or "", "input", (), self.value)]

    def __add__(self, other: Any) -> TensorNode:
        return _applied_to(Add, self, other)

    def __radd__(self, other: Any) -> TensorNode:
        return _applied_to(Add, other, self)

    def __sub__(self, other: Any) -> TensorNode:
        return _applied_to(Sub, self, other)

    def __rsub__(self, other: Any) -> TensorNode:
        return _applied_to(Sub, other, self)

    def __mul__(self, other: Any) -> TensorNode:
        return _applied_to(Multiply, self, other)

    def __rmul__(self, other: Any) -> TensorNode:
        return _applied_to(Multiply, other, self)

    def __truediv__(self, other: Any) -> TensorNode:
        return _applied_to(Divide, self, other)

    def __rtruediv__(self, other: Any) -> TensorNode:
        return _applied_to(Divide, other, self)

    def __matmul__(self, other: Any) -> TensorNode:
        return _applied_to(MatrixMultiply, self, other)

    def __rmatmul__(self, other: Any) -> TensorNode:
        return _applied_to(MatrixMultiply, other, self)

    def __neg__(self) -> TensorNode:
        return Negate.do_forward(self)

    def matmul(self, other: Any) -> TensorNode:
        """Return the matrix product of this node and another."""
        return self @ other


_OPERANDS = (TensorNode, np.ndarray, np.generic, int, float, complex, list, tuple)


def _applied_to(op: type[Op], a: Any, b: Any) -> Any:
    """Return the node of an operator; NotImplemented where an operand is nothing of ours."""
    if isinstance(a, _OPERANDS) and isinstance(b, _OPERANDS):
        return op.do_forward(a, b)
    return NotImplemented


def _array(value: Any) -> np.ndarray:
    """Return `value` as an array of numbers."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"a TensorNode holds an array of numbers: {error}") from None
    if array.dtype.kind not in "biufc":
        raise TypeError(f"a TensorNode holds an array of numbers, got {type(value).__name__}")
    return array


def _zeros(value: np.ndarray) -> np.ndarray:
    """Return a gradient of zeros for `value`."""
    return np.zeros(np.shape(value), gradient_dtype(np.asarray(value).dtype))


class OpNode:
    """One application of an operation.

    Attributes
    ----------
    op : the class of the operation, an `Op`
    context : what its forward remembered for its backward
    inputs : the nodes that it was applied to
    outputs : the nodes that it made; None until they are there
    sources : the applications that made those of the inputs that are no leaves, also after a `clear` of another node
    """

    __slots__ = ("__weakref__", "context", "inputs", "op", "outputs", "sources")

    def __init__(self, op: Any, context: dict[str, Any], inputs: Sequence[TensorNode]) -> None:
        self.op = op
        self.context = context
        self.inputs = inputs
        self.outputs: Any = None
        self.sources = [node.source for node in inputs if node.source is not None]

    def __repr__(self) -> str:
        return f"OpNode({self.op.__name__} of {len(self.inputs)} inputs)"


class Op:
    """An operation on arrays: derive a class with a `forward` and a `backward`, and apply it with `do_forward`."""

    @classmethod
    def do_forward(cls, *inputs: Any, **kwargs: Any) -> Any:
        """Apply the operation to nodes, and return the node (or, of several, the tuple of nodes) that it makes.

        Arrays and numbers among the inputs become constant nodes.
        """
        nodes = tuple([x if isinstance(x, TensorNode) else TensorNode(x, constant=True) for x in inputs])
        context: dict[str, Any] = {}
        made = cls.forward(context, *[node.value for node in nodes], **kwargs)
        values = made if isinstance(made, tuple) else (made,)
        opnode = OpNode(cls, context, nodes)
        constant = all(node.constant for node in nodes)
        opnode.outputs = outputs = tuple(
            [TensorNode(value, source=opnode, constant=constant) for value in values]
        )
        return outputs if len(outputs) > 1 else outputs[0]

    @staticmethod
    def forward(context: dict[str, Any], *inputs: Any, **kwargs: Any) -> Any:
        """Return the raw output (or a tuple of outputs) for raw inputs; keep in `context` what backward needs."""
        raise NotImplementedError("an Op must define forward(context, *inputs, **kwargs)")

    @staticmethod
    def backward(context: dict[str, Any], *grad_outputs: Any) -> Any:
        """Return the gradient of the input (or a tuple with one per input), given those of the outputs."""
        raise NotImplementedError("an Op must define backward(context, *grad_outputs)")


class RuleOp(Op):
    """An operation whose derivative stands in the table of rules.

    Attributes
    ----------
    rule : the rule of its function
    """

    rule: ClassVar[Rule]

    def __init_subclass__(cls, of: Callable[..., Any] | None = None) -> None:
        if of is not None:
            cls.rule = RULES[of]

    @classmethod
    def static(cls, **kwargs: Any) -> dict[str, Any]:
        """Return the function's keyword arguments for those of `do_forward`."""
        if kwargs:
            raise TypeError(f"{cls.__name__} takes no arguments by keyword, got {', '.join(kwargs)}")
        return {}

    @classmethod
    def forward(cls, context: dict[str, Any], *inputs: Any, **kwargs: Any) -> Any:
        static = cls.static(**kwargs)
        try:
            output = cls.rule.function(*inputs, **static)
        except (TypeError, ValueError, IndexError) as error:
            raise failed(cls, inputs, error) from None
        context.update(inputs=inputs, output=output, static=static, xshape=np.shape(inputs[0]))
        return output

    @classmethod
    def backward(cls, context: dict[str, Any], *grad_outputs: Any) -> Any:
        gradients = cls.rule(*grad_outputs, *context["inputs"], **context["static"])
        return gradients if len(gradients) > 1 else gradients[0]


def failed(op: Any, inputs: Sequence[np.ndarray], error: Exception) -> Exception:
    """Return `error`, which NumPy raised, in terms of the operation."""
    shapes = " and ".join(f"{np.asarray(x).dtype} {np.shape(x)}" for x in inputs)
    return type(error)(f"{op.__name__} of {shapes}: {error}")


class Add(RuleOp, of=np.add):
    """``a + b``."""


class Sub(RuleOp, of=np.subtract):
    """``a - b``."""


class Multiply(RuleOp, of=np.multiply):
    """``a * b``, entry by entry."""


class Divide(RuleOp, of=np.divide):
    """``a / b``, entry by entry."""


class MatrixMultiply(RuleOp, of=np.matmul):
    """``a @ b``."""


class Negate(RuleOp, of=np.negative):
    """``-a``."""


class Module:
    """A part of a network: something with a `forward`, and with parameters."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.forward(*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return the module's output."""
        raise NotImplementedError(f"{type(self).__name__} must define forward")

    def parameters(self) -> list[TensorNode]:
        """Return the nodes that are to be learned: those among the attributes, and those of modules among them."""
        return [node for value in vars(self).values() for node in _parameters(value)]


def _parameters(value: Any) -> Iterator[TensorNode]:
    """Iterate over the parameters in an attribute of a module."""
    if isinstance(value, Module):
        yield from value.parameters()
    elif isinstance(value, TensorNode) and not value.constant:
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _parameters(part)


# -- differentiation ----------------------------------------------------------------------------------------------


def _applied(root: TensorNode) -> list[OpNode]:
    """Return the operation nodes that `root` depends on, those below first."""
    return [] if root.source is None else post_order([root.source], attrgetter("sources"))


def _below(root: TensorNode) -> list[TensorNode]:
    """Return `root` and the nodes that it depends on."""
    return [root, *{id(node): node for op in _applied(root) for node in op.inputs}.values()]


class Adjoints(NodeShadow):
    """The gradients of one pass; an inner node gets its own, anew, when it has all arrived, a leaf adds it to its."""

    __slots__ = ("nodes",)

    def __init__(self, nodes: Sequence[TensorNode]) -> None:
        super().__init__()
        self.nodes = {id(node): node for node in nodes}

    def take(self, target: Any) -> Any:
        """Return the gradient of an output, or the tuple of those of several; None where nothing has arrived."""
        if type(target) is int:
            node = self.nodes[target]
            node._grad, node._closed = self.memory.pop(target, None), False
            return node._grad
        parts = [self.take(name) for name in target]
        if all(part is None for part in parts):
            return None
        return tuple(self.nodes[name].grad for name in target)

    def deliver(self) -> None:
        """Add what is left, the gradients of leaves, to theirs; give every node a gradient that it alone can write."""
        for name, gradient in self.memory.items():
            node = self.nodes[name]
            sums = node._grad is not None and not node._closed
            node._grad, node._closed = node._grad + gradient if sums else gradient, False
        known: set[int] = set()
        for node in self.nodes.values():
            if node._grad is not None:
                owner = owner_of(node._grad)
                if id(owner) in known or not node._grad.flags.writeable:
                    owner = node._grad = np.array(node._grad)
                known.add(id(owner))


def _step_of(op: OpNode) -> Step | None:
    """Return the record of an operation node for the sweep; None where no gradient is wanted."""
    goals = tuple([None if node.constant else id(node) for node in op.inputs])
    if all(goal is None for goal in goals):
        return None
    outputs = tuple([id(node) for node in op.outputs])
    target = outputs if len(outputs) > 1 else outputs[0]
    # `forward` made the context, and `backward` is what a subclass may have replaced.
    if getattr(op.op.backward, "__func__", None) is not RuleOp.backward.__func__:  # type: ignore[attr-defined]
        return Step(_WHOLE, None, op, target, (goals,))
    context, rule = op.context, op.op.rule
    metas = [(np.shape(x), gradient_dtype(np.asarray(x).dtype)) for x in context["inputs"]]
    return Step(rule, context["inputs"], context["output"], target, goals, metas, context["static"])


def _pull(g: Any, step: Step) -> list[Any]:
    """Return the gradients that an operation's own `backward` gives, checked, one per input."""
    op: OpNode = step.output
    name = f"{op.op.__name__}.backward"
    # Copies: a user's backward may write into them.
    grad_outputs = [np.array(part) for part in (g if isinstance(g, tuple) else (g,))]
    gradients = op.op.backward(op.context, *grad_outputs)
    if not isinstance(gradients, tuple | list):
        gradients = (gradients,)
    if len(gradients) != len(op.inputs):
        raise ValueError(f"{name}: expected {len(op.inputs)} gradients, one per input, got {len(gradients)}")
    own = {id(x) for x in (*grad_outputs, *op.context.values(), *(node.value for node in op.inputs))}
    return [
        None if x is None else _fitting(f"{name}, gradient {i}", x, node.value, id(x) in own)
        for i, (x, node) in enumerate(zip(gradients, op.inputs, strict=True))
    ]


def _fitting(name: str, gradient: Any, value: np.ndarray, shared: bool) -> np.ndarray:
    """Return a gradient that a user's operation gave, in memory of its own; raise if it is not one of `value`."""
    dtype = gradient_dtype(value.dtype)
    array = np.array(gradient, dtype) if shared else np.asarray(gradient, dtype)
    if array.shape != value.shape:
        raise ValueError(f"{name}: expected the input's shape {value.shape}, got {array.shape}")
    return array


_WHOLE = whole("backward", _pull)
