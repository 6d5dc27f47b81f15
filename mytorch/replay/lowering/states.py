"""The states of random generators, which are put back when a run ends otherwise than the recorded one.

What is drawn before a run ends must be drawn again by whoever runs the call instead.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from mytorch.replay.instructions import Instruction
from mytorch.replay.record.captured import GENERATORS


def generators(instructions: Iterable[Instruction]) -> list[Any]:
    """Return the random generators that instructions draw from: of `np.random.seed`, no method, NumPy's own."""
    found = {}
    for instruction in instructions:
        owner = getattr(instruction.function, "__self__", None)
        if instruction.kind == "random" and not isinstance(owner, GENERATORS):
            owner = np.random.mtrand._rand
        if isinstance(owner, GENERATORS):
            found[id(owner)] = owner
    return list(found.values())


def state_of(generator: Any) -> Any:
    """Return the state of a random generator."""
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    return generator.get_state(legacy=False)


def set_state(generator: Any, state: Any) -> None:
    """Put a random generator back."""
    if isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    else:
        generator.set_state(state)


def keep_state(place: list[Any], generator: Any) -> None:
    """Remember the state of a random generator."""
    place[0] = state_of(generator)
