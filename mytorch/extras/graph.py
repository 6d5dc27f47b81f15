"""Graphs of computations as plain records, for drawing: those that tapes tell, and those that objects tell themselves.

Any object can be drawn that has a method ``__graph__`` which returns its nodes, as tuples of the fields of `Node`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from mytorch.autograd_engine import Autograd
from mytorch.records import Write
from mytorch.regions import Region, key_of, owner_of
from mytorch.rules.registry import Rule
from mytorch.tensor import Tensor, raw, target


class Node(NamedTuple):
    """A value of a computation, and the operation that made it.

    Attributes
    ----------
    key : what other nodes call it; ``id(object)`` where an object of the user's stands for it
    label : the operation, or the name of an input ("": none)
    kind : "input", "operation", or "memory" for an operation that only moves values
    inputs : what it was computed from, in order: keys, or pairs of a key and what of that value was read
    value : its value: a number, an array, or None if it is not known
    shape : its shape where the value is not known (None: not known either)
    """

    key: Hashable
    label: str
    kind: str
    inputs: Sequence[Any] = ()
    value: Any = None
    shape: tuple[int, ...] | None = None


def graph_of(source: Any, names: Mapping[str, Any] | None = None) -> list[Node]:
    """Return the nodes of the computation of `source`, inputs before what was computed from them.

    Parameters
    ----------
    source : a Tensor, a tape (`Autograd`), or an object that has a method ``__graph__``
    names : objects (Tensors, arrays, or what the object's graph consists of) by the names that they shall have
    """
    if isinstance(source, Tensor | Autograd):
        return _TapeGraph(source, names or {}).nodes()
    tell = getattr(source, "__graph__", None)
    if tell is None:
        raise TypeError(
            f"expected a Tensor, a tape or an object with a __graph__ method, got {type(source).__name__}"
        )
    called = {id(value): name for name, value in (names or {}).items()}
    return [_normal(Node(*node), called) for node in tell()]


def _normal(node: Node, called: Mapping[Any, str]) -> Node:
    """Return `node` with the user's name for it, and all inputs as pairs."""
    inputs = [entry if isinstance(entry, tuple) else (entry, "") for entry in node.inputs]
    return node._replace(label=called.get(node.key, node.label), inputs=inputs)


class _TapeGraph:
    """What a tape knows of the memories that its operations read and made: a node each."""

    def __init__(self, source: Tensor | Autograd, names: Mapping[str, Any]) -> None:
        self.values: dict[int, Any] = {}
        self.shapes: dict[int, tuple[int, ...]] = {}
        self.names: dict[int, str] = {}
        self.result: Tensor | None = None
        tape = source if isinstance(source, Autograd) else source.tape
        history: list[Any] = [] if tape is None else tape.history()
        self.operations = [operation for operation in history if operation.target is not None]
        overwritten = {op.previous for op in history if isinstance(op, Write) and op.previous is not None}
        if isinstance(source, Tensor):
            self.result = source
            self._keep_ancestors(source)
        elif self.operations and source.known.result is not None:
            place = source.known.place(source.known.result)
            if isinstance(place, int):
                self.values[place] = source.known.result
        for member in tape.family() if tape is not None else ():
            for key, leaf in member.leaves.items():
                self.values[key] = raw(leaf)
        for operation in self.operations:
            self._learn(operation)
        self._infer_shapes()
        for gone in overwritten:  # the memory is there, with other numbers in it
            self.values.pop(gone, None)
        self._name(names)

    def _keep_ancestors(self, result: Tensor) -> None:
        """Forget the operations that `result` does not depend on."""
        owner = result if result._base is None else result._base
        if owner._key is not None:
            self.values[owner._key] = raw(owner)
        needed, kept = {owner._key}, []
        for operation in reversed(self.operations):
            if key_of(operation.target) in needed:
                kept.append(operation)
                needed.update(key_of(t) for t in operation.targets if t is not None)
                needed.add(getattr(operation, "previous", None))
        self.operations = kept[::-1]

    def _learn(self, operation: Any) -> None:
        """Note values and shapes that an operation holds."""
        metas = _metas(operation)
        for place, array, meta in zip(operation.targets, operation.inputs, metas, strict=False):
            if isinstance(place, Region):
                self.shapes[place.key] = place.layout.shape
            elif place is not None:
                if array is not None:
                    self.values.setdefault(place, array)
                if meta is not None:
                    self.shapes[place] = meta[0]
        if isinstance(operation.target, Region):
            self.shapes[operation.target.key] = operation.target.layout.shape
        elif operation.output is not None:
            self.values.setdefault(operation.target, operation.output)

    def _infer_shapes(self) -> None:
        """Add the shapes that elementwise operations pass on, from results to inputs and on to other results."""
        self.shapes.update((key, np.shape(value)) for key, value in self.values.items())
        for operation in [*reversed(self.operations), *self.operations]:
            rule = operation.rule
            if not any(_metas(operation)) and type(rule) is Rule and rule.elementwise:
                keys = [t for t in (operation.target, *operation.targets) if isinstance(t, int)]
                known = [self.shapes[key] for key in keys if key in self.shapes]
                if known:
                    self.shapes.update(dict.fromkeys(keys, known[0]))

    def _name(self, names: Mapping[str, Any]) -> None:
        """Find the memories that the user gave names to."""
        owners = {}
        for name, value in names.items():
            if isinstance(value, Tensor):
                key = (value if value._base is None else value._base)._key
                if key is not None:
                    self.names[key] = name
            owners[id(owner_of(np.asarray(raw(value))))] = name
        for operation in self.operations:
            for place, array in zip(operation.targets, operation.inputs, strict=False):
                if isinstance(array, np.ndarray) and id(owner_of(array)) in owners:
                    key = id(array) if place is None else key_of(place)
                    self.names.setdefault(key, owners[id(owner_of(array))])

    def nodes(self) -> list[Node]:
        """Return the nodes, inputs right before the operation that first reads them."""
        nodes: dict[Hashable, Node] = {}
        for operation in self.operations:
            inputs = list(self._inputs(operation, nodes))
            key = key_of(operation.target)
            label = operation.name.removesuffix("_backward")
            if isinstance(operation, Write):
                label += _at(operation.index)
            moves = (
                getattr(getattr(operation.rule, "function", None), "__module__", "") == "mytorch.rules.memory"
            )
            kind = "memory" if moves else "operation"
            nodes[key] = Node(key, label, kind, inputs, self.values.get(key), self.shapes.get(key))
        if self.result is not None:
            self._add_result(self.result, nodes)
        return list(nodes.values())

    def _inputs(self, operation: Any, nodes: dict[Hashable, Node]) -> Iterable[Any]:
        """Return the inputs of an operation, adding the nodes of those that no operation made."""
        for i, place in enumerate(operation.targets):
            array = operation.inputs[i] if i < len(operation.inputs) else None
            if place is None:
                key = f"constant {operation.serial}.{i}"
                meta = _metas(operation)[i]
                shape = None if meta is None else meta[0]
                label = self.names.get(id(array), "constant" if array is None else "")
                nodes[key] = Node(key, label, "input", (), array, shape)
                yield key, ""
            else:
                yield self._link(place, nodes)
        previous = getattr(operation, "previous", None)
        if previous is not None and isinstance(operation.target, Region):
            yield self._link(previous, nodes)[0], "the rest"

    def _link(self, place: int | Region, nodes: dict[Hashable, Node]) -> tuple[int, str]:
        """Return the key of the memory `place`, and what of it is read."""
        key = key_of(place)
        if key not in nodes:
            label = self.names.get(key, "")
            nodes[key] = Node(key, label, "input", (), self.values.get(key), self.shapes.get(key))
        return key, _form(place)

    def _add_result(self, result: Tensor, nodes: dict[Hashable, Node]) -> None:
        """Add the node of a Tensor that no operation made: a leaf, a constant or a view."""
        owner = result if result._base is None else result._base
        if owner._key is None:
            nodes["result"] = Node("result", "", "input", (), raw(result))
        elif owner is not result:
            link = self._link(target(result) or owner._key, nodes)
            nodes["result"] = Node("result", "view", "memory", [link], raw(result))
        else:
            self._link(owner._key, nodes)


def _metas(operation: Any) -> Sequence[Any]:
    """Return what an operation knows of the shape and dtype of each input: None where it is as the output's."""
    metas = operation.metas
    return metas if isinstance(metas, tuple | list) else (None,) * len(operation.targets)


def _form(place: int | Region) -> str:
    """Return what a view shows of its memory, for an edge."""
    if isinstance(place, int):
        return ""
    if place.form == "transposed":
        return ".T"
    if place.shape == () and place.layout.shape and all(stride > 0 for stride in place.layout.strides):
        return f"[{', '.join(map(str, _index(place)))}]"
    return f"{'as' if prod(place.shape) == prod(place.layout.shape) else 'part'} {place.shape}"


def _index(place: Region) -> list[int]:
    """Return the index of a single entry in its owner, whose strides are positive."""
    layout, index = place.layout, [0] * len(place.layout.shape)
    left = place.offset + layout.low - layout.address
    axes = [axis for axis, length in enumerate(layout.shape) if length > 1]
    for axis in sorted(axes, key=lambda axis: -layout.strides[axis]):
        index[axis], left = divmod(left, layout.strides[axis])
    return index


def _at(index: Any) -> str:
    """Return ``[index]`` of an in-place write as Python writes it."""
    parts = [i for i in (index if isinstance(index, tuple) else (index,)) if i is not Ellipsis]
    return f" at [{', '.join(map(_subscript, parts))}]" if parts else " in place"


def _subscript(index: Any) -> str:
    if not isinstance(index, slice):
        return "None" if index is None else "…" if np.ndim(index) else str(index)
    ends = ["" if end is None else str(end) for end in (index.start, index.stop)]
    return ":".join(ends if index.step is None else [*ends, str(index.step)])
