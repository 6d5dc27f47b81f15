"""The memories that a recording knows, and what stands for the arrays that lie in them.

A memory is known by its owner.  It lives outside of the function, is given as an argument, is made by an instruction,
or is made by the user's code of constants alone: the last is computed at once, and no instruction mentions it until
a value that was computed meets it.
"""

from __future__ import annotations

from itertools import count, pairwise
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy import ndarray

from mytorch.regions import owner_of
from mytorch.replay.instructions import INSIDE, OUTSIDE, TEMPORARY, Buffer, Value, mapped
from mytorch.replay.record.traced import Number, Traced


class Memories:
    """The memories of one recording.

    Attributes
    ----------
    buffers : by the identity of the owner, its Buffer
    memories : all of them, in the order in which they were met
    outside : identities of owners that are known to live outside of the function
    constants : numbers of memories that the user's code made and that hold constants
    new : those among them that no instruction mentions
    left : those among these that other code has seen
    ended : whether the recording is over
    """

    def __init__(self) -> None:
        self.buffers: dict[int, Buffer] = {}
        self.memories: list[Buffer] = []
        self.next_number = count().__next__
        # By the identity of the real array.
        self.shown: WeakValueDictionary[int, Traced] = WeakValueDictionary()
        self.shown_numbers: WeakValueDictionary[int, Number] = WeakValueDictionary()
        self.outside: set[int] = set()
        self.constants: set[int] = set()
        self.new: set[int] = set()
        self.left: set[int] = set()
        self.ended = False

    def show(self, array: Any) -> Any:
        """Return what stands for a real array."""
        if self.ended or type(array) is not ndarray:
            return array
        known = self.shown.get(id(array))
        if known is None:
            known = self.shown[id(array)] = Traced(array, self)
        return known

    def knows(self, owner: ndarray) -> bool:
        """Say whether the memory of `owner` was met before."""
        known = self.buffers.get(id(owner))
        return known is not None and known.is_of(owner)

    def number(self, array: ndarray) -> Number:
        """Return what stands for a number that a real array without axes holds."""
        known = self.shown_numbers[id(array)] = Number(array, self)
        return known

    def buffer(self, array: ndarray, kind: str = OUTSIDE) -> Buffer:
        """Return the memory of an array; memory that was not met before is of the kind `kind`."""
        owner = owner_of(array)
        known = self.buffers.get(id(owner))
        if known is None or not known.is_of(owner):
            known = self.buffers[id(owner)] = Buffer(owner, kind, self.next_number())
            self.memories.append(known)
        return known

    def value(self, array: ndarray) -> Value:
        """Return the Value of a real array."""
        buffer = self.buffer(array)
        if buffer.number in self.new:
            self.new.discard(buffer.number)
            buffer.keep()
            buffer.kind, buffer.initial = INSIDE, np.array(buffer.owner)
        return Value(buffer, array)

    def constant(self, made: Any) -> Any:
        """Return what stands for an array that was made of constants, now; what NumPy makes besides is itself."""
        if isinstance(made, tuple | list):
            entries = [self.constant(x) for x in made]
            return type(made)(*entries) if hasattr(made, "_fields") else type(made)(entries)
        if type(made) is not ndarray or made.dtype.kind not in "biufc":
            return made
        if not self.knows(owner_of(made)):
            number = self.buffer(made, TEMPORARY).number
            self.constants.add(number)
            self.new.add(number)
        return self.show(made)

    def are_constant(self, *trees: Any) -> bool:
        """Say whether all that stands for arrays in nested arguments stands for constants."""
        if not self.constants:
            return False
        found: list[Traced] = []
        mapped(trees, Traced, found.append)
        return all(self.buffer(x.array).number in self.constants for x in found)

    def is_new(self, place: Any) -> bool:
        """Say whether constants can be written to an array at once: no instruction mentions it."""
        if isinstance(place, Traced):
            number = self.buffer(place.array).number
            return number in self.new and number not in self.left
        return type(place) is ndarray

    def shared(self) -> str | None:
        """Return which memory outside is written and has another owner, too (None: none), which nothing follows."""
        outside = [b for b in self.memories if b.kind == OUTSIDE and b.nbytes]
        outside.sort(key=lambda b: b.low)
        for first, second in pairwise(outside):
            if second.low < first.low + first.nbytes and (first.writes or second.writes):
                return (
                    f"writes to memory that {first.name} and {second.name} share without being views of one"
                )
        return None

    def live(self, array: ndarray) -> Traced:
        """Return what stands for an array that lives outside."""
        self.outside.add(id(owner_of(array)))
        self.buffer(array)
        return self.show(array)

    def made_inside(self, array: ndarray) -> Traced:
        """Return what stands for an array that the function has made, with the values that it has now."""
        owner = owner_of(array)
        if not self.knows(owner) and id(owner) not in self.outside:
            self.buffer(array, INSIDE).initial = np.array(owner)
        return self.show(array)

    def new_zeros(self, shape: tuple[int, ...], dtype: Any) -> Traced:
        return self.made_inside(np.zeros(shape, dtype))

    def as_array(self, traced: Traced) -> Any:
        """Return an array for what may be a mere number; they share memory until it is written (`destination`)."""
        if self.ended:
            return traced.array
        return self.show(traced.array) if traced.is_number else traced
