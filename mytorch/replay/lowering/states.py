"""The states of random generators, which are put back when a run ends otherwise than the recorded one.

What is drawn before a run ends must be drawn again by whoever runs the call instead.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mytorch.replay.instructions import Instruction


def is_draw(instruction: Instruction) -> bool:
    """Say whether an instruction changes the state of a random generator."""
    return instruction.kind == "random" or is_shuffle(instruction.function)


def is_shuffle(function: Any) -> bool:
    return isinstance(getattr(function, "__self__", None), np.random.Generator | np.random.RandomState)


def generator_of(method: Any) -> Any:
    """Return the random generator that a method draws from: NumPy's own, of `np.random.seed`, which is none."""
    return method.__self__ if is_shuffle(method) else np.random.mtrand._rand


def state_of(generator: Any) -> Any:
    """Return the state of a random generator."""
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    return generator.get_state()


def set_state(generator: Any, state: Any) -> None:
    """Put a random generator back."""
    if isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    else:
        generator.set_state(state)


def keep_state(place: list[Any], generator: Any) -> None:
    """Remember the state of a random generator."""
    place[0] = state_of(generator)
