"""A million recorded operations: what one costs among them, against one among a thousand.

Nothing recurses, so a long program needs no more than a long list: time and memory grow linearly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.harness import Contender, Effort, Figure, main, measure, peak_memory, race

SIZE, FEW, MANY = 10, 1_000, 1_000_000


def operands() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return x, a and b of the chain ``x = x * a + b``, which neither grows nor shrinks: a is -1."""
    rng = np.random.default_rng(11785)
    return rng.random(SIZE), -np.ones(SIZE), rng.random(SIZE)


def tensors(length: int) -> Callable[[], Any]:
    """Prepare a chain of Tensors and its reverse pass."""
    from mytorch import Tensor

    array, a, b = operands()
    start = Tensor(array, requires_grad=True)

    def step() -> Any:
        start.grad = None
        x = start
        for _ in range(length // 2):
            x = x * a + b
        x.backward(np.ones(SIZE))
        return start.grad

    return step


def explicit_tape(length: int) -> Callable[[], Any]:
    """Prepare a chain that is recorded by hand, and its reverse pass."""
    from mytorch import Autograd
    from mytorch.functional_hw1 import add_backward, mul_backward

    start, a, b = operands()
    engine = Autograd()

    def step() -> Any:
        engine.zero_grad()
        engine.constant(a, b)
        x = start
        for _ in range(length // 2):
            y = x * a
            engine.add_operation([x, a], y, [None, None], mul_backward)
            x = y + b
            engine.add_operation([y, b], x, [None, None], add_backward)
        engine.backward(1.0)
        return engine.gradient_buffer.get_param(start)

    return step


KINDS = {"Tensors": tensors, "the explicit tape": explicit_tape}


def peak(kind: str, length: int) -> float:
    """Return the most bytes per operation that recording and the reverse pass hold."""
    step = KINDS[kind](length)
    before = peak_memory()
    step()
    return (peak_memory() - before) / length


def run(effort: Effort) -> list[Figure]:
    """Compare many operations with few."""
    many = MANY // 10 if effort.quick else MANY
    figures = []
    for kind, prepare in KINDS.items():
        contenders = [Contender(f"{n:,}", prepare, (n,), per=n) for n in (many, FEW)]
        times = race(contenders, replace(effort, rounds=min(effort.rounds, 5)))
        what = f"{kind}, an operation among {many:,} against {FEW:,}"
        figures.append(times.figure(f"{what}: time", f"{many:,}", f"{FEW:,}", at_most=1.5))
        most, tenth = (measure(peak, kind, n) for n in (many, many // 10))
        what = f"{kind}, an operation among {many:,}"
        figures.append(Figure(f"{what}: peak memory", most, unit="bytes"))
        figures.append(Figure(f"{what} against {many // 10:,}: peak memory", most / tenth, at_most=1.5))
    return figures


if __name__ == "__main__":
    main(__doc__, run)
