"""Temporaries of many short rows are held by columns in a replay, and nobody sees it but the clock."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mytorch
from mytorch import Tensor, value_and_grad
from mytorch.functional import linear, relu, softmax_cross_entropy
from mytorch.optim import SGD
from mytorch.replay.instructions import TEMPORARY, Value, made_by_pass
from mytorch.replay.lowering import forms
from mytorch.replay.passes.columns import _turned
from tests.replaying import REPLAYED, blocks_of, compared

ROWS, COLUMNS = 40, 3
rng = np.random.default_rng(11785)


def by_columns(program: Any) -> int:
    """Count the matrices that a program makes and holds by columns."""
    outs = [out for i in program.instructions if i.fresh for out in i.outs]
    return sum(len(out.shape) == 2 and out.strides[0] < out.strides[1] for out in outs)


def network(x: Any, W: Any, b: Any) -> Any:
    y = np.maximum(x @ W + b, 0.0)
    return np.sum((y - y.max(axis=1, keepdims=True)) * y)


def softmax(x: Any, W: Any, b: Any) -> Any:
    y = x * b
    y = np.exp(y - y.max(axis=1)[:, None])
    p = y / y.sum(axis=1)[:, None]
    return np.vdot(x, np.log(p)) + (p @ W).sum()


def parts(x: Any, W: Any, b: Any) -> Any:
    y = x + b
    left, right, middle = y[:, :2], y[:, ::-1], y[5:-5:2, 1]
    turned = y.T * b[:, None]
    return (left[::-1] * left).sum() + (right @ W).sum() + middle @ middle + turned[1] @ y[:, 0]


def written(x: Any, W: Any, b: Any) -> Any:
    y = x * b
    y *= b
    y += x
    z = y + b
    z[:, 0] += 1.0
    z[3] -= b
    return (z * y + b).sum()


def masked(x: Any, W: Any, b: Any) -> Any:
    y = x - b
    y = np.where(y > b, y, -y * b)
    return np.sum(y * b, where=y < 0.5)


def loops(x: Any, W: Any, b: Any) -> Any:
    y = x
    for _ in range(6):
        y = np.tanh(y @ W + b)
    return (y * y.mean(axis=0)).sum()


PROGRAMS = [network, softmax, parts, written, masked, loops]


def arguments() -> list[np.ndarray]:
    return [rng.uniform(-1, 1, shape) for shape in ((ROWS, COLUMNS), (COLUMNS, COLUMNS), COLUMNS)]


@pytest.mark.parametrize("function", PROGRAMS, ids=lambda f: f.__name__)
def test_gradients_are_those_of_the_eager_call(function: Any) -> None:
    outcome, compiled = compared(
        value_and_grad(function, argnums=(0, 1, 2)), [arguments() for _ in range(10)]
    )
    assert outcome == REPLAYED
    assert by_columns(compiled.program) > 0


@pytest.mark.parametrize("choice", range(5))
@pytest.mark.parametrize("function", PROGRAMS, ids=lambda f: f.__name__)
def test_every_way_to_run_an_instruction_takes_columns(
    function: Any, choice: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        forms, "times", lambda ways: [float(k != choice % len(ways)) for k in range(len(ways))]
    )
    outcome, compiled = compared(value_and_grad(function, argnums=(0, 1, 2)), [arguments() for _ in range(3)])
    assert outcome == REPLAYED
    assert by_columns(compiled.program) > 0


def test_single_precision_and_columns() -> None:
    calls = [[a.astype(np.float32) for a in arguments()] for _ in range(4)]
    assert compared(value_and_grad(softmax, argnums=(0, 1, 2)), calls)[0] == REPLAYED


@pytest.mark.parametrize("choice", range(4))
@pytest.mark.parametrize(
    ("reduce", "row"), [(np.sum, [60000, 60000, -60000, -60000]), (np.prod, [300, 300, 0.01, 0.01])]
)
def test_half_precision_overflows_where_the_eager_call_does(
    reduce: Any, row: list[float], choice: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Along rows, NumPy keeps what it sums or multiplies in single precision."""
    monkeypatch.setattr(
        forms, "times", lambda ways: [float(k != choice % len(ways)) for k in range(len(ways))]
    )

    def function(x: Any, one: Any) -> Any:
        return reduce(x, axis=1), reduce(np.negative(x) * one, axis=1), reduce(x.T, axis=0)

    x = np.tile(np.array(row, np.float16), (ROWS, 1))
    assert np.all(np.isfinite(reduce(x, axis=1)))
    outcome, _ = compared(function, [(x, np.ones(4, np.float16))] * 3)
    assert outcome == REPLAYED


def test_arguments_in_any_order_of_memory() -> None:
    def turned() -> list[np.ndarray]:
        x, W, b = arguments()
        return [np.asfortranarray(x), W.T, b]

    calls = [arguments(), turned(), [np.repeat(arguments()[0], 2, axis=0)[::2], *arguments()[1:]]]
    assert compared(value_and_grad(softmax, argnums=(0, 1, 2)), calls)[0] == REPLAYED


def test_what_is_returned_is_held_by_rows() -> None:
    function: Any = mytorch.compile(lambda x, b: (x * b, x + b))
    for _ in range(3):
        for result in function(rng.random((ROWS, COLUMNS)), rng.random(COLUMNS)):
            assert result.flags.c_contiguous


def test_rows_that_are_reshaped_stay_rows() -> None:
    def function(x: Any, b: Any) -> Any:
        y = x + b
        return np.tanh(y.reshape(-1)) @ np.arange(ROWS * COLUMNS)

    outcome, compiled = compared(function, [arguments()[::2] for _ in range(3)])
    assert outcome == REPLAYED
    assert by_columns(compiled.program) == 0


def test_long_rows_stay_rows() -> None:
    outcome, compiled = compared(
        lambda x, b: np.tanh(x + b).sum(), [[rng.random((9, 50)), rng.random(50)] for _ in range(3)]
    )
    assert outcome == REPLAYED
    assert by_columns(compiled.program) == 0


def test_a_step_of_a_perceptron_makes_no_arrays() -> None:
    """Labels, an argument, meet logits held by columns: they are copied once, straight from the caller."""
    shapes = [(8, 2), (8,), (3, 8), (3,)]
    parameters = [Tensor(rng.uniform(-1, 1, shape), requires_grad=True) for shape in shapes]
    optimizer = SGD(parameters, 0.1)

    def train(x: Any, labels: Any) -> Any:
        W, b, V, c = parameters
        loss = softmax_cross_entropy(linear(relu(linear(x, W, b)), V, c), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    step: Any = mytorch.compile(train)
    x, labels = rng.random((400, 2)), np.eye(3)[rng.integers(3, size=400)]
    for _ in range(3):
        step(x, labels)
    assert by_columns(step.program) > 5
    assert blocks_of(lambda: step(x, labels)) < 1_500


@st.composite
def views(draw: Any) -> Any:
    """Draw how to view a matrix: slices, steps, an axis more, transposed, repeated, reshaped."""

    def piece(n: int) -> slice:
        start, stop = draw(st.integers(-n, n)), draw(st.integers(-n, n))
        return slice(start, stop, draw(st.sampled_from([-3, -2, -1, 1, 2, 5])))

    one, other = (st.one_of(st.builds(piece, st.just(n)), st.integers(-n, n - 1)) for n in (20, 4))
    index = (draw(one), draw(other), ...)  # always a view, of no axes where both are numbers
    change = draw(st.sampled_from(["none", "turned", "axis", "repeated", "flat", "again"]))

    def view(a: np.ndarray) -> np.ndarray:
        seen = a[index]
        if change == "turned":
            return seen.T
        if change == "axis":
            return seen[..., None]
        if change == "repeated":
            return np.broadcast_to(seen, (2, *seen.shape))
        if change == "flat":
            return a.reshape(-1)[3:11]
        return seen[..., ::2] if change == "again" and seen.ndim else seen

    return view


@given(views())
def test_a_view_of_rows_is_the_same_view_of_columns(view: Any) -> None:
    rows = np.arange(80.0).reshape(20, 4)
    buffer, other = made_by_pass(rows), made_by_pass(np.empty((4, 20)).T)
    buffer.kind = TEMPORARY
    base, value = Value(buffer, rows), Value(buffer, view(rows))
    turned = _turned(value, base, other)
    if turned is None:
        crosses = value.size and value.shape == (8,) and view(rows).flags.c_contiguous
        assert crosses or not value.size
        return
    other.owner[...] = rows
    np.testing.assert_array_equal(turned.array, view(rows))
