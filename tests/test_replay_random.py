"""Random programs of operations, views and in-place writes: eager, and replayed with fresh inputs, the same numbers.

The programs are those of test_random_programs.py.  Each is run as a function of an array, and as the gradient and the
second derivative of a function of a Tensor, ten times with new inputs (some of which take other branches).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mytorch import compile, enable_grad
from mytorch.functional import relu
from mytorch.replay import ReplayError
from mytorch.replay.passes import batching
from mytorch.reverse import gradients
from mytorch.rules.masks import masked, shared
from tests.replaying import assert_same, fresh
from tests.test_random_programs import (
    BINARY,
    IN_PLACE,
    KINDS,
    PLACES,
    SETTINGS,
    UNARY,
    VIEWS,
    gradient,
)

REPLAYS = 10


@pytest.fixture(autouse=True, scope="module")
def pairs_are_batched() -> Iterator[None]:
    """Let two equal operations be one call already: random programs seldom have four."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batching, "FEW", 2)
        yield


# Arrays that the program makes of its own accord, or of what it has.
MAKING: list[Any] = [
    lambda a: np.zeros(np.shape(a)),
    lambda a: np.arange(float(np.size(a))).reshape(np.shape(a)),
    lambda a: np.full(np.shape(a), 0.5),
    lambda a: np.array([a, 2 * a]),
    lambda a: np.array(a),
    lambda a: np.asarray(a),
    lambda a: np.linspace(0, 1, 3),
]


# What is subtracted from an array in place: the changes of an optimizer, and what looks like them.
CHANGES: list[Any] = [
    lambda a, b: 0.5 * b,
    lambda a, b: (0.5 * (b * 2.0))[::-1],
    lambda a, b: a[:1].reshape(-1)[0, ...] * b,
    lambda a, b: 0.25 * (np.sum(a) * b + b),
    lambda a, b: np.outer(a[:, 0], b[0]),
    lambda a, b: np.dot(a, np.dot(b.T, b))[::-1],
    lambda a, b: (0.5 * b).T,
    lambda a, b: np.float64(0.5) * (b[::-1] / 3),
    lambda a, b: 0.5 * (b * counted(a)),
    lambda a, b: 0.5 * masked(np.negative(b), a > 0),
    lambda a, b: (0.5 * masked((b * 2.0)[::-1], a > b)) + masked(b, b > 0),
    lambda a, b: 0.5 * shared(b * b, a >= b, a == b),
]


def counted(a: Any) -> Any:
    """Return a number in an array that the program makes."""
    number = np.zeros(())
    number[...] = np.max(a)
    return number


def rows(a: Any, b: Any) -> Any:
    """Return what a loop over rows leaves behind."""
    found = [np.cos(row * (1.0 + i)) for i, row in enumerate([*a, *b])]
    return np.array([*found, sum(found)])


def inverted(a: Any) -> Any:
    """Divide under an error state of the program's own."""
    with np.errstate(divide="raise"):
        return 1 / (a - a.reshape(-1)[0])


def run(program: list[Any], x: Any, y: Any, *outside: Any) -> list[Any]:
    """Run `program` on followed arrays: also branches, reductions, results that are arguments, writes to arguments."""
    pool = [x, y, x * 1.0, np.zeros_like(x), *outside]
    for kind, which, i, j in program:
        a, b = pool[i % len(pool)], pool[j % len(pool)]
        try:
            if kind == "unary":
                pool.append(UNARY[which % len(UNARY)](a))
            elif kind == "binary":
                pool.append(BINARY[which % len(BINARY)](a, b))
            elif kind == "view" and np.ndim(a):
                pool.append(VIEWS[which % len(VIEWS)](a))
            elif kind == "write" and np.ndim(a):
                a[PLACES[which % len(PLACES)]] = b
            elif kind == "mask" and np.ndim(a):
                a[a > 0.3 * which] = 0.5
            elif kind == "in place" and np.ndim(a):
                IN_PLACE[which % len(IN_PLACE)](a, b, out=a)
            elif kind == "at" and np.ndim(a) and a.flags.writeable:
                np.add.at(a, np.array([0, 0, -1]), b)
            elif kind == "relu":
                pool.append([relu, lambda a: shared(a, a >= 0, a == 0)][which % 2](a))
            elif kind == "constant":
                pool.append(np.sin(np.arange(1.0, np.size(b) + 1) + which).reshape(np.shape(b)) + 0 * b)
            elif kind == "branch":
                pool.append(a * 2 if np.sum(a) > 0.1 * which else a - 1)
            elif kind == "reduce" and np.size(a):
                pool.append([np.sum, np.max, np.mean, np.prod][which % 4](a, axis=None if which % 3 else 0))
            elif kind == "like":
                pool.append([np.zeros_like, np.ones_like, np.copy][which % 3](a))
            elif kind == "make":
                pool.append(MAKING[which % len(MAKING)](a))
            elif kind == "join":
                pool.append(np.concatenate([np.ravel(a), np.ravel(b)]))
            elif kind == "select":
                pool.append(np.where(a > b, a, b * 2))
            elif kind == "change" and np.ndim(a):
                a -= CHANGES[which % len(CHANGES)](a, b)
            elif kind == "loop" and np.ndim(a):
                pool.append(rows(a, b))
            elif kind == "columns":
                pool.append(np.tanh(np.outer(np.repeat(a, 8)[:8], [1.0, 2.0])) + np.ravel(b)[:2])
            elif kind == "invert":
                pool.append(inverted(a))
        except (ValueError, IndexError, TypeError, FloatingPointError):
            continue  # shapes that do not fit, in both worlds: the program goes on without this step
        if max(np.size(value) for value in pool) > 64:
            pool.pop()
    return pool


def fast_derivatives(program: list[Any], x: Any, v: Any) -> Any:
    """Return the gradient of a program of Tensors, and the derivative of that along `v`."""
    tensor, first = gradient(program, x, create_graph=True)
    found = first.numpy()
    if not first.requires_grad:
        return found, found
    with enable_grad():
        (second,) = gradients([(first * v).sum()], [tensor], [None])
    return found, second


def agree(function: Any, calls: list[tuple[Any, ...]]) -> str:
    """Compare eager with replayed calls until numbers overflow; return what became of the compiled function."""
    compiled = compile(function)
    for args in calls:
        ours, theirs = fresh(args), fresh(args)
        with np.errstate(all="ignore"):
            expected = function(*ours)
            try:
                got = compiled(*theirs)
            except ReplayError:
                return "refused"
        flat = [np.asarray(leaf) for leaf in (expected if isinstance(expected, list | tuple) else [expected])]
        if not all(np.all(np.isfinite(leaf)) and np.all(np.abs(leaf) < 1e8) for leaf in flat):
            continue
        assert_same(expected, got, rtol=1e-7, atol=1e-9)
        assert_same(ours, theirs, rtol=1e-7, atol=1e-9)
    return "replayed" if any(entry.paths for entry in compiled.entries.values()) else "runs eagerly"


def inputs(shape: tuple[int, ...], seed: int, count: int = REPLAYS) -> list[tuple[Any, Any]]:
    rng = np.random.default_rng(seed)
    return [(rng.uniform(-0.9, 0.9, shape), rng.standard_normal(shape)) for _ in range(count)]


def check(program: list[Any], shape: tuple[int, ...], seed: int) -> None:
    agree(lambda x, y: run(program, x, y), inputs(shape, seed))


def check_aliased(program: list[Any], shape: tuple[int, ...], seed: int) -> None:
    """Alternate between separate arguments, one array twice, and a view of the other."""
    calls = []
    for k, (x, y) in enumerate(inputs(shape, seed)):
        calls.append([(x, y), (x, x), (x, x[::-1])][k % 3])
    compiled = compile(lambda x, y: run(program, x, y))
    for a, b in calls:
        ours = a.copy()
        theirs = a.copy()
        first = (ours, ours if b is a else ours[::-1] if b.base is a else b.copy())
        other = (theirs, theirs if b is a else theirs[::-1] if b.base is a else b.copy())
        with np.errstate(all="ignore"):
            expected = run(program, *first)
            try:
                got = compiled(*other)
            except ReplayError:
                return
        if all(np.all(np.isfinite(v)) and np.all(np.abs(v) < 1e8) for v in expected):
            assert_same(expected, got, rtol=1e-7, atol=1e-9)
            assert_same(first, other, rtol=1e-7, atol=1e-9)


def check_tensors(program: list[Any], shape: tuple[int, ...], seed: int) -> None:
    calls = inputs(shape, seed, 4)
    agree(lambda x: gradient(program, x)[1], [(x,) for x, _ in calls])
    agree(lambda x, v: fast_derivatives(program, x, v), calls)


STEPS = st.tuples(
    st.sampled_from(
        [*KINDS, "branch", "reduce", "like", "make", "join", "select", "change", "loop", "columns", "invert"]
    ),
    st.integers(0, 12),
    st.integers(0, 20),
    st.integers(0, 20),
)
TENSOR_STEPS = st.tuples(st.sampled_from(KINDS), st.integers(0, 12), st.integers(0, 20), st.integers(0, 20))
SHAPES = st.sampled_from([(3,), (2, 3), (1,), (3, 1), (2, 2, 2), (0,), (2, 0)])


@settings(max_examples=80, **SETTINGS)
@given(program=st.lists(STEPS, min_size=1, max_size=12), shape=SHAPES, seed=st.integers(0, 3))
@example(program=[("write", 1, 0, 1)], shape=(1,), seed=0)
@example(program=[("reduce", 2, 0, 0)], shape=(3,), seed=0)
@example(program=[("view", 8, 0, 0), ("write", 0, 4, 1)], shape=(3,), seed=0)
@example(program=[("reduce", 0, 0, 0), ("reduce", 6, 4, 0)], shape=(3,), seed=0)
@example(program=[("reduce", 0, 0, 0), ("like", 2, 4, 0)], shape=(3,), seed=0)
@example(program=[("reduce", 0, 0, 0), ("reduce", 0, 4, 0)], shape=(3,), seed=0)
@example(program=[("make", 0, 0, 0), ("reduce", 2, 4, 0)], shape=(3,), seed=0)
@example(program=[*[("unary", 0, i, 0) for i in (2, 0, 5)], ("like", 0, 0, 0)], shape=(3,), seed=0)
def test_programs_of_arrays(program: list[Any], shape: tuple[int, ...], seed: int) -> None:
    check(program, shape, seed)


@settings(max_examples=60, **SETTINGS)
@given(program=st.lists(STEPS, min_size=1, max_size=12), shape=SHAPES, seed=st.integers(0, 3))
def test_programs_with_aliased_arguments(program: list[Any], shape: tuple[int, ...], seed: int) -> None:
    check_aliased(program, shape, seed)


@settings(max_examples=60, **SETTINGS)
@given(program=st.lists(TENSOR_STEPS, min_size=1, max_size=12), shape=SHAPES, seed=st.integers(0, 3))
@example(program=[("write", 1, 0, 1)], shape=(1,), seed=0)
@example(program=[("view", 8, 0, 0), ("write", 0, 3, 3)], shape=(3,), seed=0)
@example(
    program=[("binary", 0, 0, 2), *[("unary", 0, 0, 0)] * 4, ("unary", 0, 3, 0), ("write", 0, 11, 0)],
    shape=(3,),
    seed=0,
)
@example(
    program=[("at", 0, 20, 0), ("unary", 3, 0, 0), ("at", 0, 0, 2), ("binary", 0, 0, 1), ("unary", 0, 4, 0)],
    shape=(1,),
    seed=0,
)
def test_derivatives_of_programs(program: list[Any], shape: tuple[int, ...], seed: int) -> None:
    check_tensors(program, shape, seed)


LONG: dict[str, Any] = {**SETTINGS, "derandomize": False}


@pytest.mark.slow
@settings(max_examples=8_000, **LONG)
@given(program=st.lists(STEPS, min_size=4, max_size=30), shape=SHAPES, seed=st.integers(0, 1000))
def test_many_long_programs_of_arrays(program: list[Any], shape: tuple[int, ...], seed: int) -> None:
    check(program, shape, seed)
    check_aliased(program, shape, seed)


@pytest.mark.slow
@settings(max_examples=5_000, **LONG)
@given(program=st.lists(TENSOR_STEPS, min_size=4, max_size=24), shape=SHAPES, seed=st.integers(0, 1000))
def test_derivatives_of_many_long_programs(program: list[Any], shape: tuple[int, ...], seed: int) -> None:
    check_tensors(program, shape, seed)


def test_a_number_among_the_gradients_is_no_block_to_write_to() -> None:
    program = [
        ("view", 7, 16, 0),
        ("view", 2, 0, 0),
        ("unary", 0, 0, 20),
        ("binary", 0, 0, 0),
        ("unary", 0, 0, 0),
        ("at", 0, 20, 11),
        ("unary", 11, 0, 11),
        ("unary", 11, 0, 11),
        ("unary", 0, 13, 12),
        ("unary", 8, 9, 12),
    ]
    check_tensors(program, (3,), 345)
