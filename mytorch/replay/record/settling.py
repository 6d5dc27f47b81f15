"""What a recorded call leaves behind, outside and in what it has made: nothing that only stood for something else.

A function may keep what it computes anywhere: as an attribute, in a list, in a tuple of an object of its own.  When the
recording has ended, each such place is given what it would hold had the function run as it is written.
"""

from __future__ import annotations

import types
from collections.abc import Iterable
from typing import Any

from mytorch.regions import owner_of
from mytorch.replay.record.captured import Cell
from mytorch.replay.record.memories import Memories
from mytorch.replay.record.numbers import Weak
from mytorch.replay.record.traced import Number, Traced


class Settling:
    """Knows what stood for what while a call was recorded."""

    def __init__(self, recorder: Memories) -> None:
        self._recorder = recorder
        self._known: dict[int, tuple[Any, Any]] = {}  # by the identity of what stands: itself, and for what

    def stands(self, shown: Any, thing: Any) -> None:
        """Take note that `shown` stands for `thing`."""
        self._known[id(shown)] = shown, thing

    def real(self, x: Any) -> Any:
        """Return what `x` stands for; of what was computed a copy, the same for everybody who holds it."""
        if id(x) in self._known:
            return self._known[id(x)][1]
        if isinstance(x, tuple):
            entries = [self.real(entry) for entry in x]
            if all(a is b for a, b in zip(entries, x, strict=True)):
                return x
            return type(x)(*entries) if hasattr(x, "_fields") else type(x)(entries)
        if not isinstance(x, Traced):
            return x
        lies_outside = not x.is_number and id(owner_of(x.array)) in self._recorder.outside
        self.stands(x, x.array if lies_outside else computed(x))
        return self._known[id(x)][1]

    def settle(self, cells: Iterable[Cell]) -> None:
        """Put into places what belongs there."""
        for cell in cells:
            if cell.kind == "fixed" or isinstance(cell.container, tuple | types.MethodType):
                continue
            now = cell.read()
            real = self.real(now)
            if real is not now:
                cell.write(real)


def computed(x: Traced) -> Any:
    """Return a computed array, or number, as a new one of NumPy's."""
    if isinstance(x, Number):
        return x.array.item() if type(x) is Weak else x.array[()]
    return x.array.copy()
