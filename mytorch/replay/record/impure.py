"""What a function may ask that answers differently every time: clocks, seeds, iterators, Python's own `random`.

A replay asks nobody, so a call that asks one of these is not kept: the function runs as it is written, and the
warning says what it asked.  NumPy's generators are followed instead (see `mytorch.replay.record.draws`).
"""

from __future__ import annotations

import io
import os
import random
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import _lru_cache_wrapper, partial
from types import BuiltinFunctionType, MethodType, MethodWrapperType
from typing import Any

from numpy.random import bit_generator

from mytorch import arrays
from mytorch.replay.record.captured import Cell, is_followed, is_of_user

_TIMES = ("time", "perf_counter", "monotonic", "process_time", "thread_time")
_CLOCKS = [name + unit for name in _TIMES for unit in ("", "_ns")]
_CLOCKS += ["asctime", "clock_gettime", "clock_gettime_ns", "ctime", "gmtime", "localtime", "strftime"]
_ASKED: dict[Any, str] = {
    getattr(time, name): f"reads the clock by time.{name}()" for name in _CLOCKS if hasattr(time, name)
}
_ASKED[vars(bit_generator)["randbits"]] = "makes a random generator without a seed"
_ASKED[os.urandom] = "asks os.urandom()"
_PLACES = [(bit_generator, "randbits"), (os, "urandom"), (random, "_urandom")]
_PLACES += [(time, name) for name in _CLOCKS if hasattr(time, name)]


class Passing:
    """An iterator from outside: who takes from it cannot be replayed."""

    def __init__(self, iterator: Any, path: str, recorder: Any) -> None:
        self._iterator, self._path, self._recorder = iterator, path, recorder

    def _asked(self) -> Any:
        self._recorder.excuse = f"takes from the iterator {self._path}"
        return self._iterator

    def __iter__(self) -> Any:
        return iter(self._asked())

    def __next__(self) -> Any:
        return next(self._asked())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._asked(), name)


class Cached:
    """A function that keeps its results (`functools.lru_cache`).

    It runs outside of the recording, so that what it keeps are arrays for whoever asks next; a replay asks it again,
    and has to be given the same object.
    """

    def __init__(self, function: Any, recorder: Any) -> None:
        self._function, self._recorder = function, recorder

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        recorder = self._recorder
        if arrays.recording() is not recorder or recorder.ended:
            return self._function(*args, **kwargs)
        args, kwargs = recorder.decided_numbers((args, kwargs))
        token = arrays._recording.set(None)
        try:
            result = self._function(*args, **kwargs)
        finally:
            arrays._recording.reset(token)
        recorder.note(
            "guard", lambda: self._function(*args, **kwargs) is result, (), {}, (), False
        ).expected = True
        return recorder.live(result) if is_followed(result) else result

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._function, name)


def noticed(cell: Cell, recorder: Any) -> Any:
    """Return what stands for the value of a cell while the call is recorded (the value itself: nothing need)."""
    value = cell.value
    if isinstance(value, _lru_cache_wrapper):
        return Cached(value, recorder)
    if isinstance(value, MethodWrapperType) and value.__name__ == "__next__":
        return _asking(value, f"takes from an iterator by {cell.path}()", recorder)
    if isinstance(value, BuiltinFunctionType) and isinstance(value.__self__, random.Random):
        return _asking(value, f"draws from Python's random by {cell.path}()", recorder)
    if type(value).__hash__ is not None and callable(value):
        try:
            what = _ASKED.get(value)
        except TypeError:
            return value
        return value if what is None else _asking(value, what, recorder)
    if hasattr(type(value), "__next__") and not isinstance(value, io.IOBase | Passing):
        return Passing(value, cell.path, recorder)
    return value


def _asking(function: Callable[..., Any], what: str, recorder: Any) -> Callable[..., Any]:
    """Return a function that notes that the recorded call asked it."""

    def ask(*args: Any, **kwargs: Any) -> Any:
        if arrays.recording() is recorder:
            recorder.excuse = recorder.excuse or what
        return function(*args, **kwargs)

    return ask


@contextmanager
def watched(cells: Sequence[Cell], recorder: Any) -> Iterator[None]:
    """Within the context, note who is asked: clocks, the system's entropy, Python's `random`."""
    states: list[tuple[Callable[[], Any], Any, str]] = [
        (random.getstate, random.getstate(), "draws from random")
    ]
    for cell in cells:
        if isinstance(cell.value, random.Random) and not isinstance(cell.value, random.SystemRandom):
            states.append((cell.value.getstate, cell.value.getstate(), f"draws from {cell.path}"))
        elif isinstance(cell.value, bit_generator.SeedSequence):
            children = partial(getattr, cell.value, "n_children_spawned")
            states.append((children, children(), f"spawns children of {cell.path}"))
    enter = warnings.catch_warnings.__enter__

    def catch(context: Any) -> Any:
        if arrays.recording() is recorder and is_of_user(sys._getframe(1).f_code.co_filename):
            recorder.excuse = "catches warnings (np.errstate is followed)"
        return enter(context)

    before = [(module, name, getattr(module, name)) for module, name in _PLACES]
    warnings.catch_warnings.__enter__ = catch  # type: ignore[method-assign]
    for module, name, function in before:
        setattr(module, name, _asking(function, _ASKED.get(function, f"asks {name}"), recorder))
    try:
        yield
    finally:
        warnings.catch_warnings.__enter__ = enter  # type: ignore[method-assign]
        for module, name, function in before:
            setattr(module, name, function)
        for state, known, what in states:
            if state() != known:
                recorder.excuse = what
