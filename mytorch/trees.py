"""Nested lists, tuples and dicts of arrays ("trees"): taken apart into a list of leaves, and put together again.

Transforms differentiate functions of any such nest, yet the engine knows arrays only; this is all that stands
between.  As in JAX, everything that is no list, tuple (also named) or dict is a leaf, and None is an empty tree.

>>> leaves, structure = flatten({"W": [1.0, 2.0], "b": 3.0})
>>> leaves
[1.0, 2.0, 3.0]
>>> structure.unflatten([10 * leaf for leaf in leaves])
{'W': [10.0, 20.0], 'b': 30.0}
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any


class Structure:
    """The form of a tree: the kind of every node, and the keys by which it holds its children.

    Attributes
    ----------
    kind : list, tuple, a named tuple's class, dict, OrderedDict, type(None), or None for a leaf
    keys : positions, field names or dictionary keys
    children : the structures under them
    """

    __slots__ = ("children", "keys", "kind", "size")

    def __init__(
        self, kind: type | None, keys: tuple[Any, ...] = (), children: tuple[Structure, ...] = ()
    ) -> None:
        self.kind, self.keys, self.children = kind, keys, children
        self.size: int = 1 if kind is None else sum([child.size for child in children])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Structure) and self._parts() == other._parts()

    def __hash__(self) -> int:
        return hash(self._parts())

    def _parts(self) -> tuple[Any, ...]:
        return self.kind, self.keys, self.children

    def __repr__(self) -> str:
        return repr(self.unflatten([_LEAF_SIGN] * self.size))

    def unflatten(self, leaves: Sequence[Any]) -> Any:
        """Return the tree of this structure with the given leaves."""
        if len(leaves) != self.size:
            raise ValueError(f"a tree of the structure {self} has {self.size} leaves, got {len(leaves)}")
        return self._build(iter(leaves))

    def _build(self, leaves: Iterator[Any]) -> Any:
        if self.kind is None:
            return next(leaves)
        values = [next(leaves) if child.kind is None else child._build(leaves) for child in self.children]
        if self.kind in (list, tuple):
            return self.kind(values)
        if issubclass(self.kind, dict):
            return self.kind(zip(self.keys, values, strict=True))
        return None if self.kind is type(None) else self.kind(*values)

    def leaves_of(self, tree: Any, name: str) -> list[Any]:
        """Return the leaves of `tree`, which must have this structure; errors call it `name`."""
        if self.kind is None:
            return [tree]
        kind, keys, values = _open(tree)
        if kind is not self.kind or set(keys) != set(self.keys):
            found = "a leaf" if kind is None else repr(flatten(tree)[1])
            raise ValueError(f"{name} must have the structure {self}, got {found}")
        by_key = dict(zip(keys, values, strict=True))
        return [
            leaf
            for key, child in zip(self.keys, self.children, strict=True)
            for leaf in child.leaves_of(by_key[key], name + self._step(key))
        ]

    def paths(self, root: str = "") -> list[str]:
        """Return, per leaf, where in the tree it is: ``root['W'][0]``."""
        if self.kind is None:
            return [root]
        steps = zip(self.keys, self.children, strict=True)
        return [path for key, child in steps for path in child.paths(root + self._step(key))]

    def _step(self, key: Any) -> str:
        return f".{key}" if hasattr(self.kind, "_fields") else f"[{key!r}]"


class _LeafSign:
    def __repr__(self) -> str:
        return "*"


_LEAF_SIGN = _LeafSign()
LEAF = Structure(None)
_NODES = (list, tuple, dict, type(None))


def _open(tree: Any) -> tuple[type | None, tuple[Any, ...], tuple[Any, ...]]:
    """Return the kind of a node, its keys and its children."""
    kind = type(tree)
    if kind is list or kind is tuple:
        return kind, tuple(range(len(tree))), tuple(tree)
    if isinstance(tree, dict):
        return (OrderedDict if isinstance(tree, OrderedDict) else dict), tuple(tree), tuple(tree.values())
    if isinstance(tree, tuple) and hasattr(kind, "_fields"):
        return kind, kind._fields, tuple(tree)
    return (kind if tree is None else None), (), ()


def flatten(tree: Any) -> tuple[list[Any], Structure]:
    """Return the leaves of `tree`, from left to right, and its structure."""
    if not isinstance(tree, _NODES):
        return [tree], LEAF
    kind, keys, values = _open(tree)
    if kind is None:
        return [tree], LEAF
    leaves: list[Any] = []
    children = []
    for value in values:
        found, structure = flatten(value)
        leaves += found
        children.append(structure)
    return leaves, Structure(kind, keys, tuple(children))


def tree_map(function: Callable[[Any], Any], tree: Any) -> Any:
    """Return `tree` with ``function(leaf)`` in the place of every leaf.

    >>> tree_map(lambda leaf: leaf + 1, (1, [2, None]))
    (2, [3, None])
    """
    leaves, structure = flatten(tree)
    return structure.unflatten([function(leaf) for leaf in leaves])
