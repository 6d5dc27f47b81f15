"""NumPy's functions that make arrays, while a call is recorded: what the user's code makes is followed, too.

``out = np.zeros(3); out[0] = x[0]`` writes to an array that no argument led to.  So the user's `np.zeros` gives what
stands for an array from the start.  As long as only constants are done to it, it is done at once and nothing is noted;
the first instruction that mentions the array finds it as it is then, and so does every replay.

The functions are replaced in the module `numpy` for the time of a recording.  Other threads, NumPy itself and
installed packages, get what they always get.
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache, wraps
from types import CodeType
from typing import Any

import numpy as np
from numpy import ndarray

from mytorch import arrays
from mytorch.replay.record.captured import is_of_user
from mytorch.replay.record.traced import Traced
from mytorch.tensor import Tensor

_NAMES = """
    arange array asanyarray asarray ascontiguousarray asfortranarray empty empty_like eye fromiter full full_like
    geomspace identity indices linspace logspace ones ones_like tri zeros zeros_like
"""
# What is in memory that nobody has written to is nobody's business, but the same in every replay.
# (NumPy's own functions, by names of ours: in NumPy there are others while a call is recorded.)
_EMPTY = (np.empty, np.empty_like)
_ORDERS: dict[Any, str] = {np.ascontiguousarray: "C", np.asfortranarray: "F"}
_FILLED = (np.full, np.full_like)
_ARRAY, _ASARRAY = np.array, np.asarray
_CONVERTERS = (_ARRAY, _ASARRAY, np.asanyarray, *_ORDERS)


@lru_cache(maxsize=4096)
def _is_called(code: CodeType, lasti: int, name: str) -> bool:
    """Say whether an instruction calls a function by a name (compiled code that it calls has no frame of its own)."""
    starts = _starts(code)
    return any(
        i.argval == name and starts.get(i.offset) == starts.get(lasti) for i in dis.get_instructions(code)
    )


@lru_cache(maxsize=1024)
def _starts(code: CodeType) -> dict[int, Any]:
    """Return where in the source the text of every instruction starts (before Python 3.11: in which line)."""
    if hasattr(code, "co_positions"):
        return {2 * k: (line, column) for k, (line, _, column, _) in enumerate(code.co_positions())}
    return {offset: line for start, end, line in code.co_lines() for offset in range(start, end, 2)}


def _followed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that makes what the recording of this thread follows, if there is one and the user asks."""

    @wraps(function)
    def make(*args: Any, **kwargs: Any) -> Any:
        like = kwargs.pop("like", None)
        # NumPy would name the function that stands here now.
        if like is not None and not isinstance(like, ndarray):
            return like.__array_function__(function, (type(like),), args, kwargs)
        recorder = arrays.recording()
        if recorder is None:
            return function(*args, **kwargs)
        frame = sys._getframe(1)
        if isinstance(like, Traced) or (
            is_of_user(frame.f_code.co_filename) and _is_called(frame.f_code, frame.f_lasti, name)
        ):
            return made(recorder, function, args, kwargs)
        return function(*args, **kwargs)

    return make


# Made once: who keeps one, keeps no recording.
PLACES = tuple(_NAMES.split())
_MAKERS = {id(getattr(np, name)): _followed(name, getattr(np, name)) for name in PLACES}


def maker(value: Any) -> Callable[..., Any] | None:
    """Return what stands for a function of NumPy's that makes arrays (None: it is another function, or none)."""
    return _MAKERS.get(id(value))


def made(recorder: Any, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return what stands for the array that a function makes."""
    if function in _CONVERTERS and args:
        return _converted(recorder, function, args[0], args[1:], kwargs)
    if function in _FILLED:
        fill: Any = args[1] if len(args) > 1 else kwargs.get("fill_value")
        if _is_computed(recorder, fill):
            out = recorder.constant(function(*recorder.real(args), **recorder.real(kwargs)))
            np.copyto(out, fill, casting="unsafe")
            return out
    result = function(*args, **kwargs)
    if function in _EMPTY and type(result) is ndarray:
        result.fill(0)
    return recorder.constant(result)


def array_of(recorder: Any, x: Any) -> Any:
    """Return an array of nested lists."""
    return _converted(recorder, _ASARRAY, x, (), {})


def _converted(recorder: Any, function: Any, x: Any, rest: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return an array of what the user has: an array, a number, or nested lists of them."""
    if isinstance(x, Traced):
        return _array_of(recorder, function, x, *rest, **kwargs)
    leaves = list(_leaves(x, ()))
    if any(isinstance(leaf, Tensor) for _, leaf in leaves):
        return function(x, *rest, **kwargs)
    plain = function(recorder.real(x) if isinstance(x, list | tuple) else x, *rest, **kwargs)
    if isinstance(x, ndarray) and np.may_share_memory(plain, x):
        return plain
    out = recorder.constant(plain)
    computed = [(path, leaf) for path, leaf in leaves if _is_computed(recorder, leaf)]
    if computed and not isinstance(out, Traced):
        return function(x, *rest, **kwargs)  # which cannot be followed, and says so
    for path, leaf in computed:
        out[(0,) * (plain.ndim - len(path) - leaf.ndim) + path] = leaf
    return out


def _array_of(
    recorder: Any, function: Any, x: Any, dtype: Any = None, order: Any = None, **options: Any
) -> Any:
    """Return an array of an array: a copy where NumPy makes one."""
    out = recorder.show(x.array)
    order = _ORDERS.get(function, order) or "K"
    contiguous = {"C": out.flags.c_contiguous, "F": out.flags.f_contiguous}.get(order, True)
    new = x.is_number or options.get("copy", function is _ARRAY)
    if dtype is not None and np.dtype(dtype) != out.dtype:
        out = out.astype(dtype, order)
    elif new or not contiguous:
        out = out.copy(order)
    least = 1 if function in _ORDERS else options.get("ndmin", 0)
    return out.reshape((1,) * (least - out.ndim) + out.shape) if out.ndim < least else out


def _is_computed(recorder: Any, x: Any) -> bool:
    return isinstance(x, Traced) and not recorder.are_constant(x)


def _leaves(tree: Any, path: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], Any]]:
    """Iterate over what is in nested lists and tuples, with the index of each."""
    if isinstance(tree, list | tuple):
        for i, entry in enumerate(tree):
            yield from _leaves(entry, (*path, i))
    else:
        yield path, tree
