"""A float that Python takes out of an array decides what comes after it, unless it only goes into the result."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mytorch
from mytorch import Tensor
from mytorch.optim import SGD
from mytorch.replay.record.returned import is_only_returned
from tests.replaying import REPLAYED, compared

RETURNED: list[Callable[[Any], Any]] = []
USED: list[Callable[[Any], Any]] = []
RNG = np.random.default_rng(0)
ONE = 1


def returned(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    RETURNED.append(function)
    return function


def used(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    USED.append(function)
    return function


class Asked:
    """A number that notes, when it is asked for its value, whether that is only returned."""

    answer: bool

    def __float__(self) -> float:
        self.answer = is_only_returned(sys._getframe(1))
        return 1.5

    def item(self, *index: int) -> float:
        self.answer = is_only_returned(sys._getframe(1))
        return 1.5


@returned
def as_float(x: Any) -> Any:
    return float(x)


@returned
def as_item(x: Any) -> Any:
    return x.item()


@returned
def of_an_expression(x: Any) -> Any:
    return float([x][0]), max(3, 4)


@returned
def in_containers(x: Any) -> Any:
    return 1, {"a": x.item(), "b": [float(x)]}, [2]


@returned
def by_a_name(x: Any) -> Any:
    loss = x.item()
    rest = [1]
    rest.append(2)
    return {"loss": loss, "rest": rest}, loss


@returned
def by_two_names(x: Any) -> Any:
    loss = float(x)
    again = loss
    return {"loss": again, "most": max(1, 2)}, loss


@returned
def the_last_of_a_loop(x: Any) -> Any:
    for _ in range(3):
        loss = x.item()
    return loss


@returned
def of_a_choice(x: Any) -> Any:
    return x.item() if ONE == 1 else float(x) if ONE == 2 else 0.0


@returned
def by_a_name_of_a_choice(x: Any) -> Any:
    loss = x.item() if ONE == 1 else 0.0
    return [loss]


@returned
def in_a_container_with_a_name(x: Any) -> Any:
    loss = float(x)
    record = {"loss": loss}
    max(1, 2)
    return record


@returned
def dropped(x: Any) -> Any:
    x.item()
    return 3


@used
def in_arithmetic(x: Any) -> Any:
    return 2 * float(x)


@used
def by_another_function(x: Any) -> Any:
    return math.sin(x)


@used
def by_another_function_after_it(x: Any) -> Any:
    return round(float(x), 2)


@used
def as_a_key(x: Any) -> Any:
    return {x.item(): 1}


@used
def in_a_call(x: Any) -> Any:
    seen: list[float] = []
    seen.append(float(x))
    return len(seen)


@used
def in_a_branch(x: Any) -> Any:
    loss = x.item()
    if loss > 0:
        return loss
    return 0


@used
def in_a_closure(x: Any) -> Any:
    loss = x.item()
    return (lambda: loss)() + 1


@used
def in_a_list_that_is_repeated(x: Any) -> Any:
    return [float(x)] * 2


@used
def in_a_tuple_that_is_read(x: Any) -> Any:
    return (float(x),)[0] + 1


@used
def as_text(x: Any) -> Any:
    return f"{x.item()}"


@used
def changed_by_name(x: Any) -> Any:
    loss = float(x)
    loss += 1
    return loss


@used
def of_a_choice_that_is_used(x: Any) -> Any:
    return (x.item() if ONE == 1 else 0.0) * 2


@used
def with_all_names(x: Any) -> Any:
    loss = x.item()
    return locals(), loss


@used
def by_map(x: Any) -> Any:
    return list(map(float, [x]))


@used
def by_another_float(x: Any) -> Any:
    float = math.sin
    return float(x)


@used
def stored(x: Any) -> Any:
    record: dict[str, float] = {}
    record["loss"] = float(x)
    return record


@pytest.mark.parametrize("function", [*RETURNED, *USED], ids=lambda f: f.__name__)
def test_where_the_number_goes(function: Callable[[Any], Any]) -> None:
    x = Asked()
    function(x)
    assert x.answer == (function in RETURNED)


@pytest.mark.parametrize("function", [*RETURNED, *USED], ids=lambda f: f.__name__)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_values_are_those_of_the_eager_call(function: Callable[[Any], Any], dtype: Any) -> None:
    def program(x: Any) -> Any:
        return function(x.sum())

    def tensors(x: Any) -> Any:
        return function(Tensor(x, requires_grad=True).sum())

    calls = [(RNG.normal(size=4).astype(dtype),) for _ in range(4)]
    for each in (program, tensors):  # the number is taken out by a function that is called
        compared(each, calls, rtol=0)


@pytest.mark.parametrize("function", RETURNED, ids=lambda f: f.__name__)
def test_what_is_only_returned_is_no_decision(function: Callable[[Any], Any]) -> None:
    calls = [(np.array(RNG.normal()),) for _ in range(4)]
    outcome, compiled = compared(function, calls, rtol=0)
    assert outcome == REPLAYED
    (entry,) = compiled.entries.values()
    assert len(entry.paths) == 1
    kinds = [type(x) for x in mytorch.trees.flatten(compiled(calls[0][0]))[0]]
    assert kinds == [type(x) for x in mytorch.trees.flatten(function(calls[0][0]))[0]]


def test_a_step_that_returns_its_loss_as_a_number_is_replayed() -> None:
    w = Tensor(np.zeros(3), requires_grad=True)
    optimizer = SGD([w], lr=0.1)

    def step(x: Any, y: Any) -> Any:
        loss = np.mean((x @ w - y) ** 2)
        loss.backward()
        value = loss.item()
        optimizer.step()
        optimizer.zero_grad()
        return value, float(np.max(x))

    train = mytorch.compile(step)
    for _ in range(5):
        x, y, before = RNG.normal(size=(4, 3)), RNG.normal(size=4), w.numpy().copy()
        loss, most = train(x, y)
        assert type(loss) is type(most) is float
        np.testing.assert_allclose([loss, most], [np.mean((x @ before - y) ** 2), x.max()], rtol=1e-14)
    (entry,) = train.entries.values()
    assert len(entry.paths) == 1
    last = [line for line in train.program.source.splitlines() if line.startswith("    return")][-1]
    assert last.count("float(") == 2


def test_a_number_that_a_function_of_it_returns_may_be_used_by_its_caller() -> None:
    def program(x: Any) -> Any:
        return x * max([x[0], x[1]], key=as_item)

    outcome, _ = compared(program, [(RNG.normal(size=3),) for _ in range(6)], rtol=0)
    assert outcome == REPLAYED


def test_the_number_is_that_of_its_time() -> None:
    def program(x: Any) -> Any:
        total = x[:1].item()
        x *= 2
        return total, x.sum().item()

    outcome, compiled = compared(program, [(RNG.normal(size=3),) for _ in range(4)], rtol=0)
    assert outcome == REPLAYED
    assert len(next(iter(compiled.entries.values())).paths) == 1
