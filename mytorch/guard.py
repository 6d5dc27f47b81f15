"""Read-only protection of plain arrays that a tape will read again.

The tape sees every write that goes through it, but not ``c[:] = 100`` on a plain array that was an operand.
So such arrays are held read-only until the tape lets them go: the write then fails at its own line, with
NumPy's own error, instead of giving a wrong gradient later.  `guarded(False)` switches this off.

What it cannot see is a writable view made *before* (or a foreign alias, as ``torch.from_numpy`` makes):
NumPy does not know those either.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from weakref import WeakValueDictionary
from zlib import crc32

import numpy as np

from mytorch.gradient_buffer import base_of, owner_of

_enabled: ContextVar[bool] = ContextVar("mytorch_guard", default=True)


@contextmanager
def guarded(enabled: bool = True) -> Iterator[None]:
    """Within the context, hold operands of recorded operations read-only (the default), or do not.

    Examples
    --------
    >>> import numpy as np, mytorch
    >>> x, c = mytorch.Tensor([1.0], requires_grad=True), np.array([2.0])
    >>> y = x * c
    >>> c[:] = 100
    Traceback (most recent call last):
    ValueError: assignment destination is read-only
    """
    token = _enabled.set(enabled)
    try:
        yield
    finally:
        _enabled.reset(token)


class Guard:
    """Holds one memory read-only for as long as the guard lives; several tapes may share it."""

    __slots__ = ("__weakref__", "_arrays", "_owner")

    def __init__(self, owner: np.ndarray) -> None:
        self._owner = owner
        self._arrays: dict[int, np.ndarray] = {}
        self.freeze(owner)

    def freeze(self, array: np.ndarray) -> None:
        """Make `array`, a view of the memory, read-only; it is writable again when the guard dies."""
        link: np.ndarray | None = array
        while link is not None and id(link) not in self._arrays:
            if link.flags.writeable and _can_be_thawed(link):
                self._arrays[id(link)] = link
                link.flags.writeable = False
            link = base_of(link)

    def __del__(self) -> None:
        # A view can be made writable only after its base: the owner went in first, bases after their views.
        arrays = list(self._arrays.values())
        for array in sorted(arrays, key=_depth) if len(arrays) > 1 else arrays:
            array.flags.writeable = True


def _can_be_thawed(array: np.ndarray) -> bool:
    """Say whether NumPy lets `array` be writable again: not where `as_strided` stands between it and its owner."""
    return array.base is None or isinstance(array.base, np.ndarray) or base_of(array) is None


def _depth(array: np.ndarray) -> int:
    base, depth = base_of(array), 0
    while base is not None:
        base, depth = base_of(base), depth + 1
    return depth


_guards: WeakValueDictionary[int, Guard] = WeakValueDictionary()


def protect(array: np.ndarray) -> Guard | None:
    """Hold the memory of `array` read-only and return the guard; None where it is read-only by itself."""
    if not _enabled.get():
        return None
    owner = owner_of(array)
    guard = _guards.get(id(owner))
    if guard is None:
        if not owner.flags.writeable:
            return None
        guard = _guards[id(owner)] = Guard(owner)
    guard.freeze(array)
    return guard


def fingerprint(array: np.ndarray) -> bytes | int:
    """Return a number that changes when the values of `array` do (all but certainly)."""
    flat = array.ravel(order="K")
    if flat.dtype.kind == "f" and flat.dtype.itemsize in (4, 8):
        return np.dot(flat, flat).tobytes()  # at memory speed; a checksum takes ten times as long
    return crc32(np.ascontiguousarray(flat).view(np.uint8))
