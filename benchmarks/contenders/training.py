"""What all training steps share: they are the same if the loss and what they did to every parameter are the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.harness import Work

RATE = 1e-2


def training(step: Callable[[], Any], start: Sequence[Any], now: Callable[[], Sequence[Any]]) -> Work:
    """Return a training step that is compared by its loss and by the gradients that it followed.

    Each gradient shows itself as ``(before - after) / rate``, summed with random signs.

    Parameters
    ----------
    step : does a step, returns the loss
    start : the parameters before the first step
    now : gives the parameters, in the same order and shapes
    """
    before = [np.array(array, dtype=np.float64) for array in start]

    def check(loss: Any) -> list[float]:
        rng = np.random.default_rng(11785)
        after = [np.asarray(array, dtype=np.float64) for array in now()]
        gradients = [(a - b).ravel() / RATE for a, b in zip(before, after, strict=True)]
        return [float(loss), *(float(g @ rng.choice([-1.0, 1.0], g.size)) for g in gradients)]

    return Work(step, check)
