"""Read-only protection of plain arrays that a tape will read again.

The tape sees every write that goes through it, but not ``c[:] = 100`` on a plain array that was an operand.
So such arrays are held read-only until the tape lets them go: the write then fails at its own line, with
NumPy's own error, instead of giving a wrong gradient later.  `guarded(False)` switches this off.

What it cannot see is a writable view made *before* (or a foreign alias, as ``torch.from_numpy`` makes):
NumPy does not know those either.  (NumPy's own ``ufunc.at`` writes to read-only arrays, too.)
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from threading import RLock
from typing import Any

import numpy as np

from mytorch import arrays
from mytorch.regions import base_of, owner_of

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


class Frozen:
    """A memory that is held read-only: its arrays that were writable, and how many tapes hold it."""

    __slots__ = ("arrays", "holders", "owner")

    def __init__(self, owner: np.ndarray) -> None:
        self.owner, self.holders = owner, 0
        self.arrays: list[np.ndarray] = []
        if owner.base is None:
            owner.setflags(write=False)
            self.arrays.append(owner)
        else:
            self.freeze(owner)

    def freeze(self, array: np.ndarray) -> None:
        """Make `array`, a view of the memory, read-only, and all between it and the owner."""
        link: np.ndarray | None = array
        while link is not None:
            base = link.base
            if link.flags.writeable and (base is None or _can_be_thawed(base)):
                self.arrays.append(link)
                link.setflags(write=False)
            link = None if base is None else base_of(link)

    def thaw(self) -> None:
        """Make the arrays writable again: a view only after its base."""
        arrays = self.arrays
        for array in arrays if len(arrays) == 1 else sorted(arrays, key=_depth):
            array.setflags(write=True)


# Which memories are frozen, by the identity of the owner; several tapes, in several threads, may hold one.
_frozen: dict[int, Frozen] = {}
_lock = RLock()  # the cyclic collector may let go of a tape while another is being held


class Guards:
    """The memories that one tape holds read-only, for as long as this object lives.

    `seen` has the arrays that were looked at, by identity, each with the memory that is frozen for it.
    """

    __slots__ = ("seen",)

    def __init__(self) -> None:
        self.seen: dict[int, tuple[Frozen | None, np.ndarray]] = {}

    def protect(self, array: np.ndarray) -> None:
        """Hold the memory of `array` read-only (unless it is so by itself, or the guard is off)."""
        if not issubclass(type(array), np.ndarray):  # what a recording stands behind sees every write
            if hasattr(type(array), "stands_for_array"):
                array = arrays.settled(array)
                if id(array) not in self.seen:
                    self.protect(array)
            return
        frozen = None
        if _enabled.get():
            owner = array if array.base is None else owner_of(array)
            with _lock:
                frozen = _frozen.get(id(owner))
                if frozen is None and owner.flags.writeable:
                    frozen = _frozen[id(owner)] = Frozen(owner)
                if frozen is not None:
                    frozen.holders += 1
                    if array is not owner:
                        frozen.freeze(array)
        self.seen[id(array)] = frozen, array

    def holds(self, array: np.ndarray) -> bool:
        """Say whether the memory of `array` is read-only because of this object, and nobody else's."""
        frozen = _frozen.get(id(owner_of(array)))
        mine = sum(held is frozen for held, _ in self.seen.values())
        return frozen is not None and frozen.holders == mine

    def release(self) -> None:
        """Let go of all memories."""
        with _lock:
            for frozen, _ in self.seen.values():
                if frozen is not None:
                    _let_go(frozen)
            self.seen.clear()

    def release_some(self, owners: Container[int]) -> list[np.ndarray]:
        """Let go of the memories whose owners' identities are in `owners`; return their arrays."""
        released = [array for _, array in self.seen.values() if id(owner_of(array)) in owners]
        with _lock:
            for array in released:
                frozen, _ = self.seen.pop(id(array))
                if frozen is not None:
                    _let_go(frozen)
        return released

    def __del__(self) -> None:
        if self.seen:
            self.release()


def is_held(owner: np.ndarray) -> bool:
    """Say whether the memory that `owner` owns is held read-only for some tape."""
    return id(owner) in _frozen


def freeze_views(values: Iterable[Any]) -> None:
    """Make arrays among `values` read-only whose memory is held: what reads it was given other views of it."""
    for x in values:
        kind = type(x)
        if kind is list or kind is tuple:
            freeze_views(x)
        elif issubclass(kind, np.ndarray) and x.base is not None and x.flags.writeable:
            with _lock:
                frozen = _frozen.get(id(owner_of(x)))
                if frozen is not None:
                    frozen.freeze(x)


NOTHING_HELD = Guards()  # of a tape that has looked at nothing yet


def _let_go(frozen: Frozen) -> None:
    """Let one tape less hold a memory."""
    frozen.holders -= 1
    if not frozen.holders:
        del _frozen[id(frozen.owner)]
        frozen.thaw()


def _can_be_thawed(base: Any) -> bool:
    """Say whether NumPy lets an array over `base` be writable again.

    It does not where `as_strided`, or an object that shows no buffer (a tensor of PyTorch), lies under it.
    """
    if isinstance(base, np.ndarray):
        return True
    try:
        return not memoryview(base).readonly
    except TypeError:
        return False


def _depth(array: np.ndarray) -> int:
    base, depth = base_of(array), 0
    while base is not None:
        base, depth = base_of(base), depth + 1
    return depth


_ROW = 1024  # entries that one number stands for in the fingerprint of an array
_SMALL = 2**14  # bytes: a smaller array is its own fingerprint


@lru_cache(maxsize=2)
def _weights(dtype: np.dtype[Any]) -> np.ndarray:
    """Return the random weights by which fingerprints add up a row of entries."""
    return np.random.default_rng(_ROW).uniform(1, 2, _ROW).astype(dtype)


def fingerprint(array: np.ndarray) -> bytes:
    """Return what changes when the values of `array` do (all but certainly): weighted sums of rows of entries."""
    if array.nbytes < _SMALL or array.dtype.kind != "f" or array.dtype.itemsize not in (4, 8):
        return array.tobytes()
    flat = array.ravel(order="K")
    end = flat.size // _ROW * _ROW
    with np.errstate(all="ignore"):
        # At the speed of memory; a checksum takes ten times as long.
        sums = flat[:end].reshape(-1, _ROW).dot(_weights(flat.dtype))
    return sums.tobytes() + flat[end:].tobytes()
