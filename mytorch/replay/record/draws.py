"""Random generators while a call is recorded: what they draw is noted, and a replay draws anew.

A generator of the user's, or of `numpy.random`, is replaced by a `Generator` whose methods are instructions.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import ndarray

from mytorch import arrays
from mytorch.replay.instructions import name_of
from mytorch.replay.record.captured import GENERATORS
from mytorch.replay.record.numbers import Weak
from mytorch.replay.record.recorder import Recorder


class Generator:
    """A random generator whose draws are recorded: a replay draws anew."""

    def __init__(self, generator: Any, recorder: Recorder) -> None:
        self._generator, self._recorder = generator, recorder

    if not TYPE_CHECKING:

        @property
        def __class__(self) -> Any:  # `isinstance` asks this
            return type(self._generator)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"{type(self._generator).__name__!r} object has no attribute {name!r}")
        if name in ("bit_generator", "_bit_generator"):
            self._recorder.excuse = "uses the bit generator of a random generator"
        member = getattr(self._generator, name)
        return drawing(member, self._recorder) if callable(member) else member

    def __reduce__(self) -> Any:
        self._recorder.excuse = "copies a random generator"
        return self._generator.__reduce__()


def default_rng(seed: Any = None) -> Any:
    """Stand for `np.random.default_rng`, which gives back a generator that it is given."""
    return seed if type(seed) is Generator else DEFAULT_RNG(seed)


def drawing(method: Callable[..., Any], recorder: Recorder) -> Callable[..., Any]:
    """Return a method of a generator that notes what it draws."""

    def draw(*args: Any, **kwargs: Any) -> Any:
        if arrays.recording() is not recorder or recorder.closed:
            return method(*args, **kwargs)
        if getattr(method, "__name__", "") == "shuffle":
            recorder.write_anew(method, args, kwargs)
            return None
        if kwargs.get("out") is not None:
            return _drawn_into(kwargs.pop("out"), draw, args, kwargs)
        result = method(*recorder.real(args), **recorder.real(kwargs))
        if isinstance(result, ndarray | np.generic):
            return recorder.results("random", method, args, kwargs, result)
        if type(result) in (float, int):
            return Weak(recorder.results("random", method, args, kwargs, np.array(result)), result)
        if result is not None:
            recorder.refuse(
                f"{name_of(method)}, which gives a {type(result).__name__}", "draw arrays of numbers"
            )
        recorder.note("random", method, args, kwargs, (), False)
        return None

    draw.__name__ = getattr(method, "__name__", "draw")
    return draw


def _drawn_into(out: Any, draw: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Draw numbers for an array that is there already: they fill its memory from the start."""
    place = out if out.flags.c_contiguous or draw.__name__ == "permuted" else out.T
    if draw.__name__ != "permuted":
        if not place.flags.c_contiguous:
            raise ValueError("Supplied output array must be contiguous")
        kwargs.setdefault("size", place.shape)
    np.copyto(place, draw(*args, **kwargs), casting="no")
    return out


_SEED, DEFAULT_RNG = np.random.seed, np.random.default_rng


def is_draw(value: Any) -> bool:
    """Say whether a value is a method of a random generator."""
    if isinstance(value, types.MethodType | types.BuiltinMethodType) and isinstance(
        value.__self__, GENERATORS
    ):
        return True
    return value is _SEED
