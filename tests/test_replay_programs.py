"""Programs as people write them: ten calls with new inputs, eager and compiled, give the same numbers and leave the same.

Each builder returns a function and, where something outside changes, what happens after its k-th call.  It is called
twice, so that the eager and the compiled function each have a state of their own.
"""

from __future__ import annotations

import types
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mytorch
from mytorch import Tensor
from mytorch.replay import ReplayError, ReplayWarning
from tests.replaying import EAGER, REFUSED, REPLAYED, assert_same, fresh, what_became_of

RNG = np.random.default_rng(0)
XS = [RNG.standard_normal(4) for _ in range(10)]
Function = Callable[[Any], Any]
Program = Function | tuple[Function, Callable[[int], None]]
PROGRAMS: list[Any] = []


def program(outcome: str) -> Callable[[Callable[[], Program]], Callable[[], Program]]:
    """Return a decorator that adds a builder to the programs, with what should become of it."""

    def add(build: Callable[[], Program]) -> Callable[[], Program]:
        PROGRAMS.append(pytest.param(build, outcome, id=build.__name__))
        return build

    return add


def box(**attributes: Any) -> Any:
    return types.SimpleNamespace(**attributes)


def series(built: Program, compiled: bool) -> tuple[list[Any], Any]:
    """Return what ten calls gave, with what became of their arguments, and the function that was called."""
    function, change = built if isinstance(built, tuple) else (built, None)
    call: Any = mytorch.compile(function) if compiled else function
    found: list[Any] = []
    for k, x in enumerate(XS):
        (mine,) = fresh((x,))
        try:
            result = call(mine)
        except ReplayError:
            raise
        except Exception as error:
            result = type(error).__name__
        found.append(fresh((result, mine)))
        if change is not None:
            change(k)
    return found, call


# -- numbers, which nothing changes in place ------------------------------------------------------------------------


@program(REPLAYED)
def a_sum_that_grows() -> Program:
    def function(x: Any) -> Any:
        total = data = x.sum()
        total += 1
        return data * x, total

    return function


@program(REPLAYED)
def an_entry_that_is_scaled() -> Program:
    def function(x: Any) -> Any:
        first = entry = x[0]
        entry *= 2
        entry **= 2
        return first * x + entry

    return function


@program(REPLAYED)
def running_totals() -> Program:
    def function(x: Any) -> Any:
        total, seen = x[0], []
        for entry in x:
            total += entry
            seen.append(total)
        return np.stack(seen)

    return function


@program(REPLAYED)
def a_learning_rate_that_is_halved_for_one_parameter() -> Program:
    w = Tensor(np.ones(4), requires_grad=True)
    optimizer = mytorch.optim.SGD([w], lr=0.1)

    def function(x: Any) -> Any:
        rate = mytorch.arrays.live_number(optimizer, "lr")
        half = rate
        half *= 0.5
        return x * rate, x * half

    return function


@program(REPLAYED)
def an_array_of_a_number_that_is_written() -> Program:
    def function(x: Any) -> Any:
        total = x.sum()
        t = Tensor(total, copy=False)
        with mytorch.no_grad():
            t += 1
        return total, t

    return function


@program(REPLAYED)
def kinds_of_numbers() -> Program:
    def function(x: Any) -> Any:
        kinds = isinstance(x[0], float), isinstance(x, np.ndarray), isinstance(x.argmax(), np.integer)
        return x * (1 + sum(kinds)), np.isscalar(x.sum()), isinstance(x.sum(), np.ndarray)

    return function


@program(REPLAYED)
def a_draw_that_is_a_number_of_pythons() -> Program:
    rng = np.random.default_rng(3)
    return lambda x: (rng.choice(4), x * rng.random(), rng.integers(5))


# -- the test ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("build", "outcome"), PROGRAMS)
def test_ten_calls(build: Callable[[], Program], outcome: str) -> None:
    expected, _ = series(build(), compiled=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ReplayWarning)
        try:
            found, compiled = series(build(), compiled=True)
        except ReplayError:
            assert outcome == REFUSED
            return
    assert len(found) == len(expected)
    for one, other in zip(expected, found, strict=True):
        assert_same(one, other)
    assert what_became_of(compiled) == outcome
