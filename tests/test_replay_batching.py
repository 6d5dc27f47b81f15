"""Equal operations on many small arrays are one call in a replay, with the numbers of the eager call."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

import mytorch
from mytorch import Tensor, grad, hvp, value_and_grad
from mytorch.optim import SGD
from mytorch.replay.passes import batching
from tests.replaying import REPLAYED, compared

STEPS = 12
rng = np.random.default_rng(11785)


def calls(program: Any) -> Counter[tuple[str, tuple[int, ...]]]:
    """Count the calls of a program by name and shape of the result."""
    return Counter((i.name, i.outs[0].shape) for i in program.instructions if i.outs)


def chain(x: Any) -> Any:
    """Return a number computed in many steps, each of the one before."""
    a, b = np.linspace(0.9, 1.1, 5), np.linspace(-0.1, 0.1, 5)
    for _ in range(STEPS):
        x = np.tanh(np.sin(x * a) + b)
    return x.sum()


def alternating(x: Any) -> Any:
    """Return a number of steps of two kinds, whose results meet."""
    total: Any = 0.0
    for i in range(STEPS):
        x = np.exp(-x) if i % 3 else np.cos(x) * x
        total = total + x * x
    return total.sum()


def shared(x: Any) -> Any:
    """Return a number in which all steps read one array, and some read each other."""
    y = np.sin(x)
    parts = [np.cos(x * (i + 1)) * y for i in range(STEPS)]
    for i in range(1, STEPS, 2):
        parts[i] = parts[i] * parts[i - 1]
    return sum(parts, np.zeros(5)).sum()


def written(x: Any) -> Any:
    """Return a number of a loop that overwrites what it reads."""
    state = x.copy()
    for _ in range(STEPS):
        step = np.sin(state)
        state[1:] += 0.1 * step[:-1]
        state *= np.cos(step)
    return (state * state).sum()


def filled(x: Any) -> Any:
    """Return a number of results laid side by side by the function itself."""
    rows = np.stack([np.sin(x + i) for i in range(STEPS)])
    return (np.tanh(rows) * rows).sum()


PROGRAMS = [chain, alternating, shared, written, filled]


@pytest.mark.parametrize("few", [2, batching.FEW])
@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("function", PROGRAMS, ids=lambda f: f.__name__)
def test_the_numbers_are_those_of_the_eager_call(
    function: Any, order: int, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "FEW", few)
    derivative = {
        0: function,
        1: value_and_grad(function),
        2: lambda x: hvp(function)(x, np.ones(5)),
    }[order]
    assert compared(derivative, [[rng.uniform(0.2, 1.0, 5)] for _ in range(10)])[0] == REPLAYED


def test_what_the_reverse_pass_computes_of_forward_values_is_computed_at_once() -> None:
    step: Any = mytorch.compile(grad(chain))
    for _ in range(2):
        step(np.ones(5))
    found = calls(step.program)
    assert found["np.cos", (STEPS, 5)] == 1
    assert found["np.subtract", (STEPS, 5)] == 1
    assert found["np.multiply", (STEPS, 5)] == 1
    assert found["np.cos", (5,)] == found["np.subtract", (5,)] == 0
    # x * a of each step, and three for the cotangent.
    assert found["np.multiply", (5,)] == 4 * STEPS


def test_large_results_stay_where_they_are() -> None:
    step: Any = mytorch.compile(grad(lambda x: np.sin(np.sin(np.sin(np.sin(np.sin(x))))).sum()))
    for _ in range(2):
        step(np.ones(batching.SMALL))
    assert {shape for _, shape in calls(step.program)} <= {(batching.SMALL,), ()}


def test_no_more_than_the_cache_holds_is_computed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "MOST", 5 * 8 * 5)
    outcome, compiled = compared(value_and_grad(chain), [[rng.uniform(0.2, 1.0, 5)] for _ in range(3)])
    assert outcome == REPLAYED
    found = calls(compiled.program)
    assert found["np.cos", (5, 5)] == 2
    assert found["np.cos", (5,)] == STEPS - 10


def test_nothing_is_computed_before_the_guard_that_allows_it() -> None:
    """Otherwise it would warn where the function, called eagerly, does not compute it."""

    def function(x: Any) -> Any:
        total: Any = 0.0
        for i in range(len(x)):
            row = x[i] * 1.0
            if row.min() > 0:
                total = total + np.log(row)
        return total

    x = rng.uniform(0.5, 1.0, (6, 3))
    calls_of_it = [[x], [x + 1], [np.where(np.arange(6)[:, None] == 4, -x, x)], [x + 2]]
    with np.errstate(all="raise"):
        assert compared(function, calls_of_it)[0] == REPLAYED


def test_what_nothing_is_computed_of_keeps_its_place() -> None:
    """Memories that passes make are none of those that only the result, or nobody, asks for."""
    step: Any = mytorch.compile(lambda x, unused: [chain(x), np.zeros(3), np.ones(3), unused])
    for _ in range(3):
        unused = rng.standard_normal(5000)
        total, zeros, ones, same = step(np.ones(5), unused)
        assert total == pytest.approx(float(chain(np.ones(5))))
        np.testing.assert_array_equal(zeros, np.zeros(3))
        np.testing.assert_array_equal(ones, np.ones(3))
        np.testing.assert_array_equal(same, unused)


def recurrent(cell: str) -> tuple[Any, list[Tensor]]:
    """Return a training step of a small recurrent network, and its parameters."""
    source = np.random.default_rng(3)
    shapes = [(6, 3), (6, 6), (6,), (2, 6)]
    parameters = [Tensor(0.4 * source.standard_normal(s), requires_grad=True) for s in shapes]
    optimizer = SGD(parameters, 0.05)
    W, U, b, V = parameters

    def step(x: Any, y: Any) -> Any:
        h: Any = np.zeros((4, 6))
        memory: Any = np.zeros((4, 6))
        for row in x:
            z = row @ W.T + h @ U.T + b
            if cell == "gated":
                gate = 1 / (1 + np.exp(-z))
                memory = gate * memory + (1 - gate) * np.tanh(z)
                h = memory * gate
            else:
                h = np.tanh(z)
        loss = ((h @ V.T - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return step, parameters


@pytest.mark.parametrize("cell", ["plain", "gated"])
def test_a_recurrent_network_is_trained_alike(cell: str) -> None:
    eager, expected = recurrent(cell)
    function, got = recurrent(cell)
    replayed: Any = mytorch.compile(function)
    for _ in range(5):
        x, y = rng.standard_normal((7, 4, 3)), rng.standard_normal((4, 2))
        np.testing.assert_allclose(replayed(x, y).numpy(), eager(x, y).numpy(), rtol=1e-9)
    for a, b in zip(expected, got, strict=True):
        np.testing.assert_allclose(b.numpy(), a.numpy(), rtol=1e-8, atol=1e-12)
