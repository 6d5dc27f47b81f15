"""Every row of tests/op_cases, eager against replayed ten times with new inputs of the same signature.

Values, gradients and second derivatives are compared.  What a recording cannot follow has to say so: with a
ReplayError, or by running eagerly with a ReplayWarning; the numbers never differ.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from mytorch import trees
from mytorch.transforms import vjp
from tests.op_cases import Case
from tests.replaying import compared
from tests.test_rules import CASES, Call, _copy, _cotangents

REPLAYS = 10


def inputs(call: Call, count: int = REPLAYS) -> Iterator[list[np.ndarray]]:
    """Iterate over the case's own arrays, and arrays near them: all scaled (ties stay ties), then entry by entry."""
    rng = np.random.default_rng(3)
    for n in range(count):
        arrays = [_copy(x, None) for x in call.arrays]
        for x in arrays:
            if n % 3 == 1:
                x *= 1 + 0.02 * n
            elif n:
                x *= rng.uniform(0.9, 1.1, x.shape)
        yield arrays


def value(call: Call) -> Callable[..., Any]:
    """Return the case as a function of its arrays."""
    return lambda *arrays: call(*arrays)


def gradient(call: Call, cotangents: list[np.ndarray]) -> Callable[..., Any]:
    """Return the value of a case, computed on Tensors, and its gradient, as a function of its arrays."""

    def pulled(*arrays: Any) -> Any:
        result, pullback = vjp(call, *arrays)
        return result, pullback(trees.flatten(result)[1].unflatten(cotangents))

    return pulled


def second(call: Call, cotangents: list[np.ndarray]) -> Callable[..., Any]:
    """Return the derivative of the gradient, along fixed directions."""
    both = gradient(call, cotangents)

    def first(*arrays: Any) -> Any:
        return both(*arrays)[1]

    directions = tuple([np.cos(np.arange(x.size)).reshape(x.shape).astype(x.dtype) for x in call.arrays])

    def pulled(*arrays: Any) -> Any:
        return vjp(first, *arrays)[1](directions)

    return pulled


# NumPy 1.26 warns of the names that NumPy 2 has dropped.
ROWS = [(family, c) for family, c in CASES if family != "aliases"]
each = pytest.mark.parametrize("case", [c for _, c in ROWS], ids=[f"{family}-{c}" for family, c in ROWS])


def check(
    case: Case, function: Callable[..., Any], call: Call, count: int, record: Callable[[str, Any], None]
) -> None:
    """Compare a function of a case's arrays, and note what became of it."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of old names, which a replay does not call
        single = str(case) == "cov-dtype"  # computed in float32, whatever comes in
        outcome, _ = compared(
            function, inputs(call, count), rtol=1e-5 if single else 1e-8, atol=1e-6 if single else 1e-11
        )
    record("replay", outcome)


@each
def test_values(case: Case, record_property: Callable[[str, Any], None]) -> None:
    call = Call(case)
    check(case, value(call), call, REPLAYS, record_property)


@each
def test_gradients(case: Case, record_property: Callable[[str, Any], None]) -> None:
    call = Call(case)
    with np.errstate(all="ignore"):
        cotangents = _cotangents(call(*call.arrays))
    check(case, gradient(call, cotangents), call, REPLAYS, record_property)


@pytest.mark.slow
@each
def test_second_derivatives(case: Case, record_property: Callable[[str, Any], None]) -> None:
    if case.order < 2:
        return
    call = Call(case)
    with np.errstate(all="ignore"):
        cotangents = _cotangents(call(*call.arrays))
    check(case, second(call, cotangents), call, 4, record_property)
