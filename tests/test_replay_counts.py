"""What a replayed training step does, counted: operations, bytes, and how often memory is passed through."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import mytorch
from mytorch import Tensor
from mytorch.functional import linear, relu, softmax_cross_entropy
from mytorch.optim import SGD
from mytorch.replay.kernels import descend
from mytorch.replay.lowering.forms import forms, with_arrays

SIZES = {"tiny": (2, 16, 16, 2), "small": (784, 64, 10), "large": (784, 1024, 1024, 10)}


def compiled_step(network: str, batch: int) -> tuple[Any, list[Tensor], tuple[Any, Any]]:
    """Return a compiled training step that was recorded and replayed, its parameters, and its arguments."""
    rng = np.random.default_rng(0)
    sizes = SIZES[network]
    x = rng.standard_normal((batch, sizes[0]), np.float32)
    y = np.eye(sizes[-1], dtype=np.float32)[rng.integers(sizes[-1], size=batch)]
    shapes = [shape for a, b in pairwise(sizes) for shape in ((b, a), (b,))]
    parameters = [Tensor(0.1 * rng.standard_normal(s, np.float32), requires_grad=True) for s in shapes]
    optimizer = SGD(parameters, 1e-2)

    def step(x: Any, y: Any) -> Any:
        h = x
        for W, b in zip(parameters[:-2:2], parameters[1:-2:2], strict=True):
            h = relu(linear(h, W, b))
        loss = softmax_cross_entropy(linear(h, parameters[-2], parameters[-1]), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    compiled: Any = mytorch.compile(step)
    for _ in range(2):
        compiled(x, y)
    return compiled, parameters, (x, y)


def phases(program: Any) -> dict[str, int]:
    """Return how many operations of each phase run."""
    found: dict[str, int] = {}
    for instruction in program.instructions:
        if instruction.kind != "fetch":
            found[instruction.phase] = found.get(instruction.phase, 0) + 1
    return found


def test_six_parameters_are_updated_by_one_product_and_one_difference() -> None:
    compiled, parameters, _ = compiled_step("tiny", 32)
    update = [i for i in compiled.program.instructions if i.phase == "update" and i.outs[0].size > 1]
    assert [i.function for i in update] == [np.multiply, np.subtract]
    assert update[1].outs[0].size == sum(p.size for p in parameters)
    # Before that they were two for each.
    assert (
        sum(i.phase == "update" and i.outs[0].size > 1 for i in compiled.program.listing.instructions) == 12
    )


def test_a_large_update_passes_through_memory_once() -> None:
    compiled, _, _ = compiled_step("large", 32)
    update = [i for i in compiled.program.instructions if i.phase == "update" and i.outs[0].size > 1]
    assert [i.function for i in update] == [descend]


@pytest.mark.parametrize(("network", "forward", "backward"), [("tiny", 18, 18), ("small", 16, 13)])
def test_no_more_operations_than_are_needed(network: str, forward: int, backward: int) -> None:
    compiled, _, _ = compiled_step(network, 32)
    counts = phases(compiled.program)
    assert counts["forward"] <= forward
    assert counts["backward"] <= backward
    assert len(compiled.program.instructions) < 0.75 * len(compiled.program.recorded.instructions)


def test_memory_is_used_again() -> None:
    plan = compiled_step("large", 32)[0].program.plan
    assert plan.lower_bound <= plan.nbytes < 1.1 * plan.lower_bound
    deep: Any = mytorch.compile(mytorch.value_and_grad(chain(20)))
    for _ in range(2):
        deep(np.ones(100_000))
    assert deep.program.plan.nbytes < 0.6 * deep.program.plan.without_reuse


def chain(length: int) -> Callable[[Any], Any]:
    def f(x: Any) -> Any:
        for _ in range(length):
            x = np.tanh(x + 0.5)
        return x.sum()

    return f


def test_replays_do_not_grow() -> None:
    compiled, _, arguments = compiled_step("tiny", 32)
    program = compiled.program
    for _ in range(20):
        compiled(*arguments)
    assert compiled.program is program
    (entry,) = compiled.entries.values()
    assert len(entry.paths) == 1


@pytest.mark.parametrize("widths", [1, (1, 2), [(0, 2), (1, 0)], ((0, 0), (3, 1))])
@pytest.mark.parametrize("order", ["C", "F"])
def test_both_ways_to_pad_with_zeros_are_the_same(widths: Any, order: Any) -> None:
    x = np.asarray(np.random.default_rng(0).random((3, 4)), order=order)
    compiled: Any = mytorch.compile(lambda x: 2 * np.pad(x, widths))
    for _ in range(2):
        np.testing.assert_array_equal(compiled(x), 2 * np.pad(x, widths))
    program = compiled.program
    (pad,) = [i for i in program.instructions if i.function is np.pad]
    ways = forms(pad)
    assert len(ways) == 2
    for way in ways:
        program.real(pad.outs[0])[...] = 7
        for function, args, kwargs in with_arrays(way, program.real):
            function(*args, **kwargs)
        inside = program.real(pad.args[0])
        np.testing.assert_array_equal(program.real(pad.outs[0]), np.pad(inside, widths))


def test_other_padding_has_one_way() -> None:
    compiled: Any = mytorch.compile(lambda x: 2 * np.pad(x, 1, "edge"))
    x = np.arange(3.0)
    for _ in range(2):
        np.testing.assert_array_equal(compiled(x), [0, 0, 2, 4, 4])
    (pad,) = [i for i in compiled.program.instructions if i.function is np.pad]
    assert len(forms(pad)) == 1
