"""Rows that a computed number picks: ``row = a[k]`` is a view of `a`, which lies at another place every time.

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
    """A row, the array and the index that it was picked by, and the error of a write to it (None: it is no Tensor)."""

    def __init__(self, row: ndarray, base: Traced, index: Any, error: Exception | None) -> None:
        self.row, self.base, self.index, self.error = ref(owner_of(row)), base, index, error


class Picks:
    """The rows of one recording.

    To a Tensor's tape such a row is a value: what is written to it has to be written back, as ``x[k] += 1`` does.
    """

    def __init__(self, recorder: Any) -> None:
        self._recorder = recorder
        self._picks: dict[int, Pick] = {}  # by the number of the row's memory
        self._settling = False
        # By the number of the row: that of the memory which it is a row of, until it is written back, and the error of
        # whoever has read that before.
        self._torn: dict[int, int] = {}
        self._read: dict[int, Exception | None] = {}
        self._stale: set[int] = set()  # rows of Tensors that were written since

    @property
    def error(self) -> Exception | None:
        """The error that a Tensor was read whose tape does not know what was written to a row (None: none was)."""
        return next(iter(self._read.values()), None)

    def reads(self, number: int) -> None:
        """Note that a memory is read (in a reverse pass: as it was when it was read before)."""
        if number in self._stale and self._recorder.phase() != "backward":
            self._read[number] = self._picks[number].error
        self._read.update({row: self._picks[row].error for row, base in self._torn.items() if base == number})

    def add(self, row: ndarray, base: Traced, index: Any, error: Exception | None) -> None:
        """Note that `row` is ``base[index]``."""
        self._picks[self._number(row)] = Pick(row, base, index, error)

    def is_done(self, base: Traced, index: Any, value: Any) -> bool:
        """Say whether ``base[index] = value`` is what `settle` has done: the last part of ``base[index] += 1``."""
        number = self._number(value.array) if isinstance(value, Traced) else -1
        pick = self._picks.get(number)
        if self._settling or pick is None or pick.base is not base or not _are_one(pick.index, index):
            return False
        self._torn.pop(number, None)
        self._read.pop(number, None)
        return pick.error is None

    def settle(self, written: set[int]) -> None:
        """Do what was written to some memories, by number, to the rows of them and to what they are rows of."""
        if self._settling or not self._picks:
            return
        self._settling = True
        try:
            self._write_back(written)
            self._look_again(written)
        finally:
            self._settling = False

    def _write_back(self, written: set[int]) -> None:
        for number, pick in reversed(list(self._picks.items())):
            row = pick.row()
            if row is None or number not in written:
                continue
            base = self._number(pick.base.array)
            if pick.error is not None:
                self._torn[number] = base
                self._recorder.value(pick.base.array)  # constants are computed unseen
                self._recorder.constants.discard(base)
            else:
                self._recorder.setitem(pick.base, pick.index, self._recorder.show(row))
                written.add(base)

    def _look_again(self, written: set[int]) -> None:
        known = set(written)
        for number, pick in self._picks.items():
            row = pick.row()
            if row is None or number in known or self._number(pick.base.array) not in written:
                continue
            if pick.error is not None:
                self._stale.add(number)
            else:
                now = self._recorder.again(pick.base, pick.index)
                self._recorder.write(np.copyto, (self._recorder.show(row), now), {})
                written.add(number)

    def _number(self, array: ndarray) -> int:
        number: int = self._recorder.buffer(array).number
        return number
