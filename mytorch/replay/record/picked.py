"""Rows that a computed number picks: ``row = a[k]`` is a view of `a`, and the place where it lies is another every time.

A recording computes such a row anew, as memory of its own.  So that it is still what NumPy gives, a write to either is
done to the other as well; what nobody reads of that is left out of the program.
"""

from __future__ import annotations

from typing import Any
from weakref import ref

import numpy as np
from numpy import ndarray

from mytorch.regions import is_basic, owner_of
from mytorch.replay.record.traced import Number, Traced


def is_picked(index: Any, result: Any) -> bool:
    """Say whether NumPy would give a view for an index whose numbers were computed."""
    parts = index if isinstance(index, tuple) else (index,)
    others = tuple([part for part in parts if not isinstance(part, Traced)])
    return (
        type(result) is ndarray
        and len(others) < len(parts)
        and all(type(part) is Number for part in parts if isinstance(part, Traced))
        and is_basic(others)
    )


def _are_one(a: Any, b: Any) -> bool:
    """Say whether two indices are one object, or tuples of the same."""
    both = isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b)
    return a is b or (both and all(x is y for x, y in zip(a, b, strict=True)))


class Pick:
    """A row, the array and the index that it was picked by, and whether a Tensor shows it."""

    def __init__(self, row: ndarray, base: Traced, index: Any, of_tensor: bool) -> None:
        self.row, self.base, self.index, self.of_tensor = ref(owner_of(row)), base, index, of_tensor


class Picks:
    """The rows of one recording."""

    def __init__(self, recorder: Any) -> None:
        self._recorder = recorder
        self._picks: dict[int, Pick] = {}  # by the number of the row's memory
        self.settling = False
        self.torn: set[int] = set()  # numbers of memories whose tape knows nothing of a write to a row

    def add(self, row: ndarray, base: Traced, index: Any, of_tensor: bool) -> None:
        """Note that `row` is ``base[index]``."""
        self._picks[self._number(row)] = Pick(row, base, index, of_tensor)

    def is_done(self, base: Traced, index: Any, value: Any) -> bool:
        """Say whether ``base[index] = value`` is what `settle` has done: the last part of ``base[index] += 1``."""
        pick = self._picks.get(self._number(value.array)) if isinstance(value, Traced) else None
        done = not self.settling and pick is not None and pick.base is base and _are_one(pick.index, index)
        if done:
            self.torn.discard(self._number(base.array))
        return done

    def settle(self, written: set[int]) -> None:
        """Do what was written to some memories, by number, to the rows of them and to what they are rows of."""
        if self.settling or not self._picks:
            return
        self.settling = True
        try:
            self._settle(set(written))
        finally:
            self.settling = False

    def _settle(self, written: set[int]) -> None:
        recorder = self._recorder
        upward = set()
        for number, pick in reversed(list(self._picks.items())):
            row = pick.row()
            if row is None:
                del self._picks[number]
            elif number in written:
                upward.add(number)
                recorder.setitem(pick.base, pick.index, recorder.show(row))
                written.add(self._number(pick.base.array))
                if pick.of_tensor:
                    self.torn.add(self._number(pick.base.array))
        for number, pick in self._picks.items():
            row = pick.row()
            if row is not None and number not in upward and self._number(pick.base.array) in written:
                recorder.write(np.copyto, (recorder.show(row), recorder.again(pick.base, pick.index)), {})
                written.add(number)

    def _number(self, array: ndarray) -> int:
        number: int = self._recorder.buffer(array).number
        return number
