"""What the engine asks of an array, also where it is not NumPy's own type but one that a recording stands behind.

`mytorch.compile` records the NumPy calls of a function by running it on objects that stand for arrays
(`mytorch.replay.record.traced.Traced`).  They are no ndarrays for C code, so ``np.asarray`` would read their values,
which a replay could not follow.  The engine therefore converts and creates arrays with the functions here.  Outside
of a recording they are NumPy's own.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

import numpy as np
from numpy import ndarray

# The recording that runs in this thread or task, if one does (see `mytorch.replay.record.recorder`).
_recording: ContextVar[Any] = ContextVar("mytorch_replay_recording", default=None)
recording = _recording.get


def asarray(x: Any, dtype: Any = None) -> Any:
    """Return `x` itself where it is an array (of `dtype`), else an array of its values."""
    if type(x) is not ndarray and hasattr(type(x), "stands_for_array"):
        x = x.recorder.as_array(x)
        return x if dtype is None else x.astype(dtype, copy=False)
    return np.asarray(x, dtype)


def array(x: Any, dtype: Any = None, order: Any = "K") -> Any:
    """Return a new array of the values of `x`."""
    if type(x) is not ndarray and hasattr(type(x), "stands_for_array"):
        x = x.recorder.as_array(x)
        return x.copy(order) if dtype is None else x.astype(dtype, order)
    return np.array(x, dtype, order=order)


def zeros(shape: tuple[int, ...], dtype: Any) -> Any:
    """Return a new array of zeros that the engine will write to."""
    now = recording()
    return np.zeros(shape, dtype) if now is None else now.new_zeros(shape, dtype)


def unwatched() -> Any:
    """Begin a reverse pass: a recording may remove its hook for profilers, which is returned (None: it stays)."""
    now = recording()
    return None if now is None else now.unwatch()


def lifted(x: Any) -> Any:
    """Return an array of constants, made just now, as one that an array of a recording can be the index of."""
    now = recording()
    return x if now is None or type(x) is not ndarray else now.made_inside(x)


def strided(flat: Any, shape: tuple[int, ...], dtype: Any, offset: int, strides: tuple[int, ...]) -> Any:
    """Return the view of `flat`, contiguous memory, that begins `offset` bytes after its start."""
    if type(flat) is ndarray:
        return ndarray(shape, dtype, flat, offset, strides)
    return flat.strided(shape, dtype, offset, strides)


def live(x: Any) -> Any:
    """Return an array that outlives the call (an optimizer's state), so that a replay reads and writes it, too."""
    now = recording()
    return x if now is None or type(x) is not ndarray else now.live(x)


def live_number(owner: Any, name: str) -> Any:
    """Return the number ``getattr(owner, name)``, which a replay asks for again each time."""
    now = recording()
    return getattr(owner, name) if now is None else now.live_number(owner, name)


def settled(x: Any) -> Any:
    """Return the real array behind an array, to be kept beyond the call."""
    return x if type(x) is ndarray else x.array


def happens_once(what: str) -> None:
    """Say that this call does something that later ones will not do: it cannot be replayed, the next one may."""
    now = recording()
    if now is not None:
        now.once = what
