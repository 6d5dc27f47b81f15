"""The raw arrays that an explicit tape was given: the names of their memories, and who keeps their gradients.

A Tensor carries the name of its memory; a raw array cannot, so the tape looks it up here.  After a reverse pass the
gradients that are left go where the arrays belong: into external gradients, or into the gradient buffer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mytorch.gradient_buffer import GradientBuffer, Shadow
from mytorch.records import next_serial
from mytorch.regions import Target, address_of, key_of, owner_of, target_of


class Known:
    """The raw arrays that a hand-driven tape was given, and where their gradients go.

    Attributes
    ----------
    buffer : holds the owners of their memories, and the gradients that nobody else keeps
    keys : the memories' names on the tape, by the identity of the owner
    memories : the owners, by the names that they have had
    constants : the identities of owners whose gradient nobody wants
    spots : owners whose gradient the buffer keeps, by identity; None as soon as somebody has the buffer, which
        then has them by address
    externals : by name, regions of the memory, each with the array that its gradient is added to
    parameters : the owners that have an external gradient, by identity
    parameters_read : parameters that rules read, with their fingerprints, since they may be written again
    result : the last operation's output
    """

    __slots__ = (
        "buffer",
        "constants",
        "externals",
        "keys",
        "memories",
        "parameters",
        "parameters_read",
        "result",
        "spots",
    )

    def __init__(self, buffer: GradientBuffer, has_buffer: bool = False) -> None:
        self.buffer = buffer
        self.keys: dict[int, int] = {}
        self.memories: dict[int, np.ndarray] = {}
        self.constants: set[int] = set()
        self.spots: dict[int, np.ndarray] | None = None if has_buffer else {}
        self.externals: dict[int, list[tuple[Target, np.ndarray]]] = {}
        self.parameters: dict[int, np.ndarray] = {}
        self.parameters_read: list[tuple[np.ndarray, Any]] = []
        self.result: np.ndarray | None = None

    def filled_buffer(self) -> GradientBuffer:
        """Return the buffer, in which every spot has its address."""
        if self.spots is not None:
            for owner in self.spots.values():
                self.buffer.add_spot(owner)
            self.spots = None
        return self.buffer

    def target(self, array: np.ndarray) -> Target | None:
        """Return where on the tape the gradient of `array` lies, making its memory known."""
        owner = self.buffer.hold(array)
        return None if owner is None else target_of(array, owner, self.key(owner))

    def key(self, owner: np.ndarray) -> int:
        """Return the name of a memory, which it is given when it is met."""
        key = self.keys.get(id(owner))
        if key is None:
            key = self.keys[id(owner)] = next_serial()
            self.memories[key] = owner
        return key

    def input_target(self, array: np.ndarray, gradient: np.ndarray | None) -> Target | None:
        """Return where the gradient of an input goes; make a spot for it, or attach the external one."""
        owner = self.buffer.hold(array)
        if owner is None or id(owner) in self.constants:
            return None
        key = self.key(owner)
        target = target_of(array, owner, key)
        if gradient is None:
            if self.spots is None:
                self.buffer.add_spot(owner)
            else:
                self.spots[id(owner)] = owner
        else:
            self._attach(target, gradient)
            self.parameters[id(owner)] = owner
        return target

    def place(self, array: np.ndarray) -> Target | None:
        """Return where on the tape the gradient of `array` lies; None where the tape does not know its memory.

        That is the memory's name also where all of it is shown in another shape, as a loss is: a region costs more.
        """
        owner = self.buffer.hold(array)
        key = None if owner is None else self.keys.get(id(owner))
        if owner is None or key is None:
            return None
        in_order = array.flags.c_contiguous and owner.flags.c_contiguous
        if in_order and (array.size, array.dtype) == (owner.size, owner.dtype):
            return key
        return target_of(array, owner, key)

    def name(self, array: np.ndarray, key: int | None) -> None:
        """Know the memory of `array` by the name `key` that an operation gave it."""
        owner = self.buffer.hold(array)
        if owner is not None and key is not None:
            self.keys[id(owner)], self.memories[key] = key, owner

    def adopt(self, array: np.ndarray, key: int | None) -> np.ndarray:
        """Know `array`, whose memory an operation gave the name `key`, as the last result, and return it.

        Of a constant in memory that has a gradient, a copy: who is given raw arrays could not tell the two.
        """
        if key is None and self.place(array) is not None:
            array = array.copy()
        self.result = array
        self.name(array, key)
        return array

    def _attach(self, target: Target, gradient: np.ndarray) -> None:
        """Make `gradient` the external gradient of the region `target`."""
        attached = self.externals.setdefault(key_of(target), [])
        if not any(
            (other is gradient and t == target)
            or (_same_memory(gradient, other) and _same_memory_map(target, gradient, t, other))
            for t, other in attached
        ):
            attached.append((target, gradient))

    def externals_of(self, array: np.ndarray) -> Sequence[tuple[Target, np.ndarray]]:
        """Return the external gradients of the memory of `array`, with their regions."""
        owner = self.buffer.hold(array)
        return () if owner is None else self.externals.get(self.keys.get(id(owner), 0), ())

    def deliver(self, shadow: Shadow) -> None:
        """Add what the pass left over, the gradients of leaves, to external gradients and the buffer."""
        for key, block in shadow.memory.items():
            for target, external in self.externals.get(key, ()):
                gradient = block if isinstance(target, int) else target.gather(block)
                np.add(external, gradient, external, casting="same_kind")
            owner = self.memories.get(key)
            if owner is not None and self._has_spot(owner):
                self.buffer.add(address_of(owner), block)

    def _has_spot(self, owner: np.ndarray) -> bool:
        """Say whether the buffer keeps the gradient of a memory."""
        if self.spots is not None:
            return id(owner) in self.spots
        return address_of(owner) in self.buffer.memory


def _same_memory(a: np.ndarray, b: np.ndarray) -> bool:
    """Say whether two arrays have one owner."""
    return owner_of(a) is owner_of(b)


def _same_memory_map(target: Target, gradient: np.ndarray, other: Target, known: np.ndarray) -> bool:
    """Say whether two external gradients shadow the same region with the same memory."""
    return _bounds(target, gradient) == _bounds(other, known) and sorted(
        zip(gradient.shape, gradient.strides, strict=True)
    ) == sorted(zip(known.shape, known.strides, strict=True))


def _bounds(target: Target, gradient: np.ndarray) -> tuple[Any, ...]:
    offset = 0 if isinstance(target, int) else target.offset
    return offset, address_of(gradient)
