"""Lists and dicts among the arguments of a recorded call: the function gets copies, with what stands for arrays.

What it puts into them, or takes out, is done to the caller's own when the recording has ended.
"""

from __future__ import annotations

import copy
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mytorch import trees


def has_attributes(tree: Any) -> bool:
    """Say whether a dict or named tuple in a tree has attributes that are not its entries, which no leaf shows."""
    if type(tree) is not list and not isinstance(tree, tuple | dict):
        return False
    try:
        attributes = object.__getattribute__(tree, "__dict__")  # the dict's own may mean its entries
    except AttributeError:
        attributes = None
    if attributes and attributes is not tree:
        return True
    return any(map(has_attributes, tree.values() if isinstance(tree, dict) else tree))


class Containers:
    """A copy of nested arguments, with other leaves.

    Attributes
    ----------
    copied : the copy
    changed : whether the function has put something else into a list or dict
    """

    def __init__(self, tree: Any, leaves: list[Any], shown: Callable[[Any], Any]) -> None:
        self.changed = False
        self._shown = shown  # gives the real array for what stands for one
        self._leaves = iter(leaves)
        # By identity: a part of the copy, and what it is a copy of; a list or dict, and its copy.
        self._originals: dict[int, tuple[Any, Any]] = {}
        self._pairs: dict[int, tuple[Any, Any]] = {}
        self.copied = self._copied(tree)

    def _copied(self, tree: Any) -> Any:
        kind = type(tree)
        if tree is None:
            return None
        if kind is tuple:
            new: Any = tuple([self._copied(x) for x in tree])
        elif isinstance(tree, tuple) and hasattr(kind, "_fields"):
            new = kind(*[self._copied(x) for x in tree])
        elif kind is list or isinstance(tree, dict):
            new = _filled(tree, [self._copied(x) for x in (tree if kind is list else tree.values())])
            new = self._pairs.setdefault(id(tree), (tree, new))[1]  # a list that is given twice is one
        else:
            new = next(self._leaves)
        self._originals[id(new)] = new, tree
        return new

    @contextmanager
    def settled(self) -> Iterator[None]:
        """After the context, also after an error, the caller's lists and dicts hold what the copies hold."""
        try:
            yield
        finally:
            for tree, copied in self._pairs.values():
                self._settle(tree, copied)

    def _settle(self, tree: Any, copied: Any) -> None:
        entries = [self._original(x) for x in (copied.values() if isinstance(copied, dict) else copied)]
        before = list(tree.values() if isinstance(tree, dict) else tree)
        alike = len(entries) == len(before) and all(x is y for x, y in zip(entries, before, strict=True))
        if alike and (type(tree) is list or list(tree) == list(copied)):
            return
        self.changed = True
        if isinstance(tree, dict):
            keys = list(copied)
            tree.clear()
            tree.update(zip(keys, entries, strict=True))
        else:
            tree[:] = entries

    def _original(self, x: Any) -> Any:
        """Return what the caller knows for a part of the copy; arrays for what the function has computed."""
        known = self._originals.get(id(x))
        if known is not None:
            return known[1]
        leaves, structure = trees.flatten(x)
        return structure.unflatten([self._shown(leaf) for leaf in leaves])


def _filled(tree: Any, entries: list[Any]) -> Any:
    """Return a list or dict like `tree`, of the same kind, with other entries."""
    kind: Any = type(tree)
    if kind is list:
        return entries
    if isinstance(tree, OrderedDict | defaultdict):
        new = copy.copy(tree)
    else:
        new = kind.__new__(kind)
        if hasattr(tree, "__dict__"):
            vars(new).update(vars(tree))
    for key, entry in zip(list(tree), entries, strict=True):
        dict.__setitem__(new, key, entry)
    return new
