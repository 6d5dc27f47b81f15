"""Programs as people write them: ten calls with new inputs, eager and compiled, give and leave the same numbers.

Each builder returns a function and, where something outside changes, what happens after its k-th call.  It is called
twice, so that the eager and the compiled function each have a state of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import dataclasses
import functools
import os
import types
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mytorch
from mytorch import Tensor
from mytorch.optim import SGD
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


# -- numbers, which nothing changes in place ----------------------------------------------------------------------


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
    optimizer = SGD([w], lr=0.1)

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
def methods_of_numbers() -> Program:
    def function(x: Any) -> Any:
        s, z = x.sum(), (x + 1j * x)[1]
        parts = [
            s.real,
            s.imag,
            z.real,
            z.imag,
            s.T,
            s.astype(np.float32),
            s.round(2),
            s.copy(),
            s.mean(),
            abs(z),
        ]
        before = list(parts)
        for i in range(len(parts)):
            parts[i] += 1
        return before, parts, s, z, s.reshape(1), s[...], s.dtype.name, s.shape

    return function


@program(REPLAYED)
def a_draw_that_is_a_number_of_pythons() -> Program:
    rng = np.random.default_rng(3)
    return lambda x: (rng.choice(4), x * rng.random(), rng.integers(5))


# -- memory that a tape holds -------------------------------------------------------------------------------------


@program(EAGER)
def an_operand_that_is_overwritten() -> Program:
    def function(x: Any) -> Any:
        t = Tensor(x, requires_grad=True)
        y = (t * x).sum()
        x[:] = 100  # ValueError: the tape holds it read-only
        y.backward()
        return t.grad

    return function


@program(EAGER)
def a_computed_operand_that_is_overwritten() -> Program:
    def function(x: Any) -> Any:
        t, c = Tensor(x, requires_grad=True), x * 2
        y = (t * c).sum()
        np.add(c, 1, out=c)
        y.backward()
        return t.grad

    return function


@program(REPLAYED)
def an_operand_that_is_free_again() -> Program:
    def function(x: Any) -> Any:
        t, c = Tensor(x, requires_grad=True), x * 2
        (t * c).sum().backward()
        c[:] = 100
        return t.grad, c

    return function


# -- draws into memory that is there ------------------------------------------------------------------------------


@program(REPLAYED)
def draws_by_out() -> Program:
    rng = np.random.default_rng(1)

    def function(x: Any) -> Any:
        a, b = np.zeros_like(x), np.outer(x, x).copy("F")
        rng.random(out=a)
        rng.standard_normal(out=b)
        return a, b, rng.standard_gamma(2.0, out=a[:2])

    return function


@program(REPLAYED)
def results_by_out_and_by_position() -> Program:
    def function(x: Any) -> Any:
        a, b, c, d = np.zeros(4), np.zeros(2), np.zeros((1, 2)), np.zeros((2, 2))
        np.cumsum(x, 0, None, a)
        x.take([1, 0], 0, b)
        np.mean(x.reshape(2, 2), 0, None, c, True)
        np.dot(x.reshape(2, 2), d + 1, d)
        return a, b, c, d, np.clip(x, -0.5, 0.5, a) is a

    return function


@program(REPLAYED)
def a_permutation_by_out() -> Program:
    rng = np.random.default_rng(1)

    def function(x: Any) -> Any:
        y = np.outer(x, x)
        return rng.permuted(y, axis=1, out=y)

    return function


# -- answers that other code keeps --------------------------------------------------------------------------------


@program(REPLAYED)
def a_cached_function() -> Program:
    w = np.ones(4)

    @functools.lru_cache
    def scale(n: int) -> Any:
        return w[:n].sum()

    def function(x: Any) -> Any:
        y = x * scale(2)
        w[:] += 1
        return y

    def change(k: int) -> None:
        if k == 5:
            scale.cache_clear()

    return function, change


@program(REPLAYED)
def a_cached_array_of_a_method() -> Program:
    class Window:
        @functools.lru_cache(maxsize=2)  # noqa: B019
        def of(self, n: int) -> Any:
            window = np.zeros(n)
            window[1:] = 0.5
            return window

    window = Window()
    return lambda x: (x * window.of(len(x)), x[: int(window.of(4)[1] * 4)])


@program(REPLAYED)
def a_context_variable() -> Program:
    scale = contextvars.ContextVar("scale", default=1.0)
    weights: Any = contextvars.ContextVar("weights")

    def function(x: Any) -> Any:
        try:
            return x * scale.get() * weights.get()
        except LookupError:
            return x * scale.get()

    def change(k: int) -> None:
        scale.set(k // 3)
        if k == 5:
            weights.set(np.ones(4))
        elif k > 5:
            weights.get()[0] = k

    return function, change


@program(EAGER)
def a_context_variable_that_is_set() -> Program:
    count = contextvars.ContextVar("count", default=0)

    def function(x: Any) -> Any:
        count.set(count.get() + 1)
        return x * count.get()

    return function


@program(REPLAYED)
def the_environment() -> Program:
    os.environ["MYTORCH_TEST"] = "1"

    def function(x: Any) -> Any:
        return x * float(os.environ["MYTORCH_TEST"])

    def change(k: int) -> None:
        os.environ["MYTORCH_TEST"] = str(k // 3)

    return function, change


# -- errors that are caught ---------------------------------------------------------------------------------------


@program(REPLAYED)
def a_singular_matrix() -> Program:
    def function(x: Any) -> Any:
        try:
            return np.linalg.inv(np.outer(x, x) * (x[0] > 0) + np.eye(4) * (x[1] > 0))
        except np.linalg.LinAlgError:
            return x * 7

    return function


@program(REPLAYED)
def a_matrix_that_is_made_definite() -> Program:
    def function(x: Any, jitter: float = 1e-3) -> Any:
        try:
            return np.linalg.cholesky(np.outer(x, x) + (jitter - (x[0] > 0)) * np.eye(4))
        except np.linalg.LinAlgError:
            return function(x, jitter + 1.0)

    return function


@program(REPLAYED)
def an_error_that_is_suppressed() -> Program:
    def function(x: Any) -> Any:
        y = x
        with contextlib.suppress(np.linalg.LinAlgError):
            y = np.linalg.cholesky(np.outer(x, x) + x[0] * np.eye(4)).sum(0)
        return y

    return function


@program(REPLAYED)
def an_index_out_of_bounds() -> Program:
    def function(x: Any) -> Any:
        places = (np.abs(x) * 4).astype(int)
        try:
            return x[places] * 1
        except IndexError:
            return x * 3

    return function


@program(REPLAYED)
def an_entry_out_of_bounds() -> Program:
    def function(x: Any) -> Any:
        try:
            x[np.argmax(x) + 2] = 5.0
        except IndexError:
            x[0] = 3.0
        return x

    return function


@program(REPLAYED)
def an_error_after_an_update() -> Program:
    w = np.zeros(4)

    def function(x: Any) -> Any:
        w[...] += x
        try:
            return np.linalg.cholesky(np.diag(w)).sum() + w
        except np.linalg.LinAlgError:
            return w * 2

    return function


@program(REPLAYED)
def an_entry_out_of_bounds_after_an_update() -> Program:
    w, seen = np.zeros(4), np.zeros(4)

    def function(x: Any) -> Any:
        w[...] += x
        places = (np.abs(x) * 4).astype(int)
        try:
            seen[places[:2]] = 1.0
        except IndexError:
            return w * 2
        return w + seen

    return function


@program(REPLAYED)
def a_division_by_zero_after_an_update() -> Program:
    w = np.zeros(4)

    def function(x: Any) -> Any:
        w[...] += x
        try:
            with np.errstate(divide="raise"):
                return w / np.maximum(x + 0.3, 0)
        except FloatingPointError:
            return w * 2

    return function


@program(REPLAYED)
def an_error_after_a_draw() -> Program:
    rng = np.random.default_rng(1)

    def function(x: Any) -> Any:
        y = x + rng.random(4)
        try:
            return np.linalg.cholesky(np.diag(y))
        except np.linalg.LinAlgError:
            return y * 2

    return function


@program(REPLAYED)
def an_infinite_number_as_an_integer() -> Program:
    def function(x: Any) -> Any:
        with np.errstate(invalid="ignore"):
            root = np.sqrt(x[0])
        try:
            return int(root) * x
        except ValueError:
            return x * 5

    return function


# -- Tensors whose part changes -----------------------------------------------------------------------------------


@program(REPLAYED)
def a_parameter_that_is_frozen() -> Program:
    w = Tensor(np.ones(4), requires_grad=True)

    def function(x: Any) -> Any:
        w.grad = None
        v = Tensor(x, requires_grad=True)
        (v * w).sum().backward()
        return v.grad, w.grad if w.requires_grad else 0

    def change(k: int) -> None:
        w.grad = None
        w.requires_grad = k % 2 == 0

    return function, change


@program(REPLAYED)
def a_hook_that_comes_and_goes() -> Program:
    w, scale, remove = Tensor(np.ones(4), requires_grad=True), [2.0], [lambda: None]

    def function(x: Any) -> Any:
        w.grad = None
        (w * x).sum().backward()
        return w.grad

    def change(k: int) -> None:
        if k == 2:
            remove[0] = w.register_hook(lambda g: g * scale[0])
        elif k == 5:
            scale[0] = 3.0
        elif k == 7:
            remove[0]()

    return function, change


@program(REPLAYED)
def a_dict_in_another_order() -> Program:
    weights = {"a": 1.0, "b": 2.0}

    def function(x: Any) -> Any:
        for weight in weights.values():
            x = (x + weight) * weight
        return x

    def change(k: int) -> None:
        if k == 3:
            weights["a"] = weights.pop("a")

    return function, change


@program(REPLAYED)
def an_object_of_another_class() -> Program:
    class Doubles:
        def of(self, x: Any) -> Any:
            return x * 2

    class Halves:
        def of(self, x: Any) -> Any:
            return x / 2

    layer = Doubles()

    def change(k: int) -> None:
        if k == 3:
            layer.__class__ = Halves  # type: ignore[assignment]

    return lambda x: layer.of(x), change


@program(EAGER)
def a_compiled_loss_that_is_differentiated() -> Program:
    w = Tensor(np.ones(4), requires_grad=True)
    loss: Any = mytorch.compile(lambda x: (w * x).sum())

    def function(x: Any) -> Any:
        loss(x).backward()  # TapeError: what a compiled function returns is constant
        return w.grad

    return function


# -- the test -----------------------------------------------------------------------------------------------------


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


# -- results that are objects -------------------------------------------------------------------------------------


@dataclasses.dataclass
class Result:
    values: Any


RESULTS: dict[str, tuple[Function, Function]] = {
    "a Result": (lambda x: Result(x * 2), lambda result: result.values),
    "a function": (lambda x: (lambda y: lambda: y)(x * 2), lambda result: result()),
    "a list_iterator": (lambda x: [x, iter([x * 2])], lambda result: next(result[1])),
    "a map": (lambda x: {"y": map(np.exp, [x])}, lambda result: next(result["y"])),
    "a set": (lambda x: {len(x)}, lambda result: (result.add(3), len(result))[1]),
}


@pytest.mark.parametrize("name", RESULTS)
def test_results_that_no_replay_makes_anew(name: str) -> None:
    function, used = RESULTS[name]
    compiled: Any = mytorch.compile(function)
    with pytest.warns(
        ReplayWarning, match=f"it returns {name} that it has made, .* return arrays, numbers, and"
    ):
        found = [used(compiled(x)) for x in XS]
    for x, value in zip(XS, found, strict=True):
        np.testing.assert_array_equal(value, used(function(x)))


@pytest.mark.filterwarnings("ignore::mytorch.ReplayWarning")
def test_objects_that_a_call_made_hold_the_callers_arrays() -> None:
    class Failed(Exception):
        pass

    def function(x: Any) -> Any:
        return Result([x, x * 2, x.sum()]), lambda: x * 3

    def fails(x: Any) -> Any:
        raise Failed(x, x * 2, x.sum())

    compiled: Any = mytorch.compile(function)
    for x in XS[:3]:
        x = x.copy()
        result, later = compiled(x)
        assert [type(value) for value in result.values] == [np.ndarray, np.ndarray, np.float64]
        assert result.values[0] is x
        x[:] = 5.0
        np.testing.assert_array_equal(later(), 15.0)
        with pytest.raises(Failed) as caught:
            mytorch.compile(fails)(x)
        assert [type(value) for value in caught.value.args] == [np.ndarray, np.ndarray, np.float64]
        assert caught.value.args[0] is x


def steps(x: Any) -> Any:
    for k in range(3):
        x += 1
        yield x * k


async def awaited(x: Any) -> Any:
    x += 1
    return x * 2


@pytest.mark.parametrize(
    ("function", "used"),
    [
        (steps, list),
        (functools.partial(steps), list),
        (types.MethodType(steps, np.zeros(2)), list),
        (awaited, lambda coroutine: asyncio.run(coroutine)),
    ],
    ids=["generator", "partial", "method", "coroutine"],
)
def test_generators_and_coroutines_run_as_they_are_written(function: Any, used: Any) -> None:
    args = () if isinstance(function, types.MethodType) else (np.zeros(2),)
    x = args[0] if args else function.__self__
    compiled: Any = mytorch.compile(function)
    with pytest.warns(
        ReplayWarning, match="it runs when its result is asked; compile a function that it calls"
    ):
        results = [used(compiled(*args)) for _ in range(3)]
    y = np.zeros(2)
    plain = awaited if used is not list else steps
    assert_same([used(plain(y)) for _ in range(3)], results)
    assert_same(y, x)


def test_results_that_were_there_before_are_given_back() -> None:
    result, rng = Result(1), np.random.default_rng(2)
    compiled: Any = mytorch.compile(lambda x: (x * 2, result, rng, np.float64, "text"))
    for x in XS:
        found = compiled(x)
        assert found[1:] == (result, rng, np.float64, "text")
    assert what_became_of(compiled) == REPLAYED
