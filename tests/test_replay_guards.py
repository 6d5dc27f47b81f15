"""What a replay could get wrong in silence: values that leave the recording, and state outside that changes.

Every program here gives the eager call's numbers when it is replayed, runs eagerly with a ReplayWarning, or raises a
ReplayError.
"""

from __future__ import annotations

import array
import collections
import contextlib
import copy
import dataclasses
import datetime
import functools
import itertools
import math
import operator
import os
import pickle
import random
import secrets
import tempfile
import time
import types
import uuid
import warnings
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.random import normal

import mytorch
import mytorch.replay.compiled as compiled_functions
import tests.replay_state
from mytorch import Autograd, Tensor, nn
from mytorch.replay import ReplayError, ReplayWarning
from tests.replaying import EAGER, REFUSED, REPLAYED, assert_same, compared, paths, what_became_of

RNG = np.random.default_rng(0)
XS = [RNG.standard_normal(4) for _ in range(8)]
CALLS = [(x,) for x in XS]


# -- values that leave the recording ------------------------------------------------------------------------------


def plain(write: Callable[[Any, Any], Any], make: Any = np.hamming) -> Callable[[Any], Any]:
    """Return a function that writes to an array, made by what no recording follows, and then computes with it."""

    def function(x: Any) -> Any:
        b = make(3)
        write(b, x)
        return b * 2

    return function


def own(n: int) -> Any:
    return np.zeros(n)


def added(b: Any, x: Any) -> None:
    b += x[:3]


def sliced(b: Any, x: Any) -> None:
    b[1:] = x[:2]


def one_entry(b: Any, x: Any) -> None:
    b[0] = x[0]


def one_slice(b: Any, x: Any) -> None:
    b[1:2] = x[0]


LEAVING: dict[str, tuple[Callable[[Any], Any], str]] = {
    "asarray": (lambda x: np.asarray(x) * 2, REPLAYED),
    "array": (lambda x: np.array(x) * 2, REPLAYED),
    "array of entries": (lambda x: np.array([x[0], x[1]]) * 2, REPLAYED),
    "asarray, caught": (lambda x: _caught(x), REPLAYED),
    "full": (lambda x: np.full(3, x[0]), REPLAYED),
    "nditer": (lambda x: np.stack([v * 1 for v in np.nditer(x)]), REFUSED),
    "ndenumerate": (lambda x: np.stack([v * 1 for _, v in np.ndenumerate(x)]), REFUSED),
    "vectorize": (lambda x: np.vectorize(lambda t: t * 2)(x), REFUSED),
    "r_": (lambda x: np.r_[x, 1.0], REFUSED),
    "c_": (lambda x: np.c_[x, x * 2], REFUSED),
    "matrix": (lambda x: x.view(np.matrix).sum(), REFUSED),
    "masked array": (lambda x: np.ma.masked_array(x, x > 0).sum(), REFUSED),
    "as_strided": (lambda x: np.lib.stride_tricks.as_strided(x, (2, 2), (8, 16)).sum(0), REFUSED),
    "index of a plain array": (lambda x: np.hamming(10)[np.argsort(x)], REFUSED),
    "index of an array of its own": (lambda x: np.arange(10.0)[np.argsort(x)], REPLAYED),
    "take from a list": (lambda x: np.take([1.0, 2.0, 3.0, 4.0], np.argsort(x)), REFUSED),
    "bool_": (lambda x: np.bool_(x[0] > 0), REFUSED),
    "int64": (lambda x: np.int64(x[0]), REFUSED),
    "pickle": (lambda x: pickle.loads(pickle.dumps(x)), REFUSED),
    "flat": (lambda x: np.stack(list(x.flat)), REPLAYED),
    "ctypes": (lambda x: x.ctypes.shape[0] * 1.0, REFUSED),
    "resize": (lambda x: x.copy().resize((2,)), REFUSED),
    "format": (lambda x: float(f"{x[0]:.3f}"), REPLAYED),
    "str": (lambda x: len(str(x)), REPLAYED),
    "repr": (lambda x: float(repr(x)[7:12].strip("., ")), REPLAYED),
    "array2string": (lambda x: len(np.array2string(x)), REPLAYED),
    "tolist": (lambda x: x.tolist(), REPLAYED),
    "tobytes": (lambda x: np.frombuffer(x.tobytes()), REPLAYED),
    "fromiter": (lambda x: np.fromiter((v for v in x), float), REPLAYED),
    "math": (lambda x: x * math.sin(x[0]), REPLAYED),
    "round": (lambda x: round(x[0]), REPLAYED),
    "round to digits": (lambda x: round(x[0], 2), REPLAYED),
    "float64": (lambda x: np.float64(x[0]) * 2, REPLAYED),
    "sum": (lambda x: sum(x), REPLAYED),
    "max": (lambda x: max(x), REPLAYED),
    "sorted": (lambda x: np.stack(sorted(x)), REPLAYED),
    "in": (lambda x: x * 2 if 0.5 in np.round(x * 2) / 2 else x, REPLAYED),
    "index of a list": (lambda x: [10, 20, 30, 40][np.argmax(x)], REPLAYED),
    "range": (lambda x: x * len(range(np.argmax(x))), REPLAYED),
    "bound of a slice": (lambda x: x[: np.argmax(x) + 1].sum(), REPLAYED),
    "allclose": (lambda x: x * 2 if np.allclose(x, 0, atol=1.5) else x, REPLAYED),
    "array_equal": (lambda x: x * 2 if np.array_equal(x, np.sort(x)) else x, REPLAYED),
    "tuples": (lambda x: x * 2 if (x[0], 1) < (x[1], 2) else x, REPLAYED),
    "key of a dict": (lambda x: {1.0: 1}.get(float(np.sign(x[0])), 5), REPLAYED),
    "size": (lambda x: x.sum() / x[x > 0].size, REPLAYED),
    "length of an unread mask": (lambda x: len(x[x > 0]), REPLAYED),
    "shape of unread positions": (lambda x: x * np.nonzero(x > 0)[0].shape[0], REPLAYED),
    "shape of unread entries": (lambda x: x * np.unique(np.round(x)).shape[0], REPLAYED),
    "where": (lambda x: x[np.where(x > 0)[0]], REPLAYED),
    "masked in place": (lambda x: _masked(x), REPLAYED),
    "deepcopy": (lambda x: copy.deepcopy(x) * 2, REPLAYED),
    "choose": (lambda x: np.choose((x > 0).astype(int), [x, x * 2]), REPLAYED),
    "dtype of eigenvalues": (lambda x: np.linalg.eigvals(x.reshape(2, 2)), REPLAYED),
    "generator with a seed": (lambda x: x + np.random.default_rng(3).normal(size=4), REPLAYED),
    "RandomState with a seed": (lambda x: x + np.random.RandomState(3).normal(size=4), EAGER),
    "seed by a value": (lambda x: x + np.random.default_rng(int(abs(x[0]))).normal(), REPLAYED),
    "seed inside": (lambda x: _seeded(x), REPLAYED),
}  # fmt: skip
# Writes, with what becomes of them where the array is one that no recording follows.
WRITES: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "+=": (added, REFUSED),
    "slice": (sliced, REFUSED),
    "entry": (one_entry, REFUSED),
    "entry as slice": (one_slice, REFUSED),
    "out": (lambda b, x: np.add(b, x[:3], out=b), REFUSED),
    "copyto": (lambda b, x: np.copyto(b, x[:3]), REFUSED),
    "put": (lambda b, x: b.put([0], x[0]), REFUSED),
    "flat": (lambda b, x: b.flat.__setitem__(0, x[0]), REPLAYED),
    "fill": (lambda b, x: b.fill(x[0]), REPLAYED),
    "call": (lambda b, x: b.__setitem__(0, x[0]), REPLAYED),
}  # fmt: skip
LEAVING |= {f"write: {name}": (plain(write), outcome) for name, (write, outcome) in WRITES.items()}
LEAVING |= {f"write: {name}, own array": (plain(write, own), REPLAYED) for name, (write, _) in WRITES.items()}


def _caught(x: Any) -> Any:
    try:
        return np.asarray(x) * 2
    except Exception:
        return x * 3


def _masked(x: Any) -> Any:
    x[x > 0] *= 2
    return x


def _seeded(x: Any) -> Any:
    np.random.seed(7)
    return x + np.random.normal(size=4)


@pytest.mark.parametrize("name", LEAVING)
def test_values_that_leave_the_recording(name: str) -> None:
    function, expected = LEAVING[name]
    outcome, _ = compared(function, CALLS)
    assert outcome == expected


@pytest.mark.parametrize("kind", [memoryview, np.frombuffer, lambda x: np.ndarray((2,), float, x)])
def test_bare_memory_is_not_given_away(kind: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match="bytes-like"):
        mytorch.compile(lambda x: np.copy(kind(x)))(XS[0])


# -- views by computed numbers, and functions that change an operand -----------------------------------------------


def positive(x: Any) -> Any:
    return (x > 0).sum()


def square(x: Any) -> Any:
    return x.reshape(2, 2)


BY_NUMBERS: dict[str, Callable[[Any], Any]] = {
    "method reshape": lambda x: x.reshape(2 ** (positive(x) // 2), -1) * 2,
    "reshape": lambda x: np.reshape(x, (2 ** (positive(x) // 2), -1)) * 2,
    "reshape of constants": lambda x: np.zeros(12).reshape(positive(x) // 3 + 1, -1) + x.sum(),
    "broadcast_to": lambda x: np.broadcast_to(x, (positive(x), 4)) * 2,
    "split": lambda x: [part * 2 for part in np.split(x, [positive(x)])],
    "split at an array": lambda x: [part * 2 for part in np.split(x, np.argsort(x)[:1])],
    "array_split": lambda x: [part * 2 for part in np.array_split(x, positive(x) + 1)],
    "hsplit": lambda x: [part * 2 for part in np.hsplit(x, [positive(x)])],
    "diagonal": lambda x: np.diagonal(square(x), positive(x) - 2) * 2,
    "method diagonal": lambda x: square(x).diagonal(positive(x) - 2) * 2,
    "diag": lambda x: np.diag(square(x), positive(x) - 2) * 2,
    "swapaxes": lambda x: square(x).swapaxes(0, positive(x) % 2) * 2,
    "moveaxis": lambda x: np.moveaxis(square(x), 0, positive(x) % 2) * 2,
    "transpose": lambda x: square(x).transpose(positive(x) % 2, 1 - positive(x) % 2) * 2,
    "flip": lambda x: np.flip(square(x), positive(x) % 2) * 2,
    "rot90": lambda x: np.rot90(square(x), positive(x)),
    "expand_dims": lambda x: np.expand_dims(x, positive(x) % 2) * 2,
    "squeeze": lambda x: np.squeeze(x.reshape(1, 4, 1), (positive(x) % 2) * 2) * 2,
    "windows": lambda x: np.lib.stride_tricks.sliding_window_view(x, positive(x) % 2 + 1) * 2,
    "trim_zeros": lambda x: np.trim_zeros(np.round(x / 2)) * 2,
    "length of trim_zeros": lambda x: x * np.trim_zeros(np.round(x / 2)).size,
    "real_if_close": lambda x: np.real_if_close(x + 1j * (x > 1)),
}


@pytest.mark.parametrize("name", BY_NUMBERS)
def test_a_view_by_a_computed_number_is_decided_by_it(name: str) -> None:
    outcome, _ = compared(BY_NUMBERS[name], CALLS)
    assert outcome == REPLAYED


def picks(x: Any, k: Any) -> Any:
    b = np.zeros((4, 4))
    row = b[k]
    row += x * x
    b[k] *= 2
    b[k, 1:] += x[1:]
    other = b[k]
    b += 1
    part = b[k, 1:]
    part[0] = 7
    return b, row * 1, other * 1, part * 1


def picks_within(x: Any, k: Any) -> Any:
    b = np.zeros((3, 4, 4))
    plane = b[(k + 1) % 3]
    row = plane[k]
    row += x
    plane *= 2
    b[(k + 1) % 3, k] += 1
    return b, plane * 1, row * 1


def picks_of_an_argument(x: Any, k: Any) -> Any:
    w = np.outer(x, x)
    row = w[np.argmax(x)]
    y = row @ x
    w[np.argmax(x)] -= 0.1 * y * x
    return y, row * 1, w


@pytest.mark.parametrize("function", [picks, picks_within, picks_of_an_argument])
def test_a_row_that_a_computed_number_picks_is_a_view(function: Any) -> None:
    outcome, compiled = compared(function, [(x, np.int64(i % 4)) for i, x in enumerate(XS)])
    assert (outcome, paths(compiled)) == (REPLAYED, [1])


def written_back(x: Any, k: Any) -> Any:
    b = Tensor(np.zeros((4, 4)))
    b[k] = x
    b[k] *= 2
    c = b[k] * x
    b[k, 1:] += x[1:]
    return (b * b).sum() + c.sum()


def written_only(x: Any, k: Any) -> Any:
    b = Tensor(np.zeros((4, 4)))
    row = b[k]
    row += x * x
    return (b * b).sum()


def test_a_row_of_a_tensor_that_a_computed_number_picks_is_written_back() -> None:
    calls = [(x, np.int64(i % 4)) for i, x in enumerate(XS)]
    for function in (written_back, mytorch.grad(written_back)):
        outcome, compiled = compared(function, calls)
        assert (outcome, paths(compiled)) == (REPLAYED, [1])
    words = (
        r"a row of a Tensor that a computed number picked, where either is written, .* write x\[int\(k\)\]"
    )
    for function in (written_only, mytorch.grad(written_only)):
        with pytest.raises(ReplayError, match=words):
            mytorch.compile(function)(*calls[0])
        assert compared(lambda x, k, f=function: f(x, int(k)), calls)[0] == REPLAYED


def test_a_row_of_a_tensor_that_a_computed_number_picks_is_not_read_after_a_write_to_the_tensor() -> None:
    def read_after(x: Any) -> Any:
        y = Tensor(x, requires_grad=True) * 1.0
        row = y[np.argmax(x)]
        y *= 2
        return (row * row).sum()

    def read_before(x: Any) -> Any:
        t = Tensor(x, requires_grad=True)
        y = t * 1.0
        row = y[np.argmax(x[:, 0])]
        total = (row * row).sum()
        y *= 2
        (total + y.sum()).backward()
        return total, t.grad

    calls = [(x.reshape(-1, 2),) for x in XS]
    with pytest.raises(ReplayError, match="a computed number picked, where either is written"):
        mytorch.compile(read_after)(np.ones((2, 2)).cumsum(axis=0)[:, :1])
    outcome, _ = compared(read_before, calls)
    assert outcome == REPLAYED


def test_a_number_of_numpys_among_the_arguments_is_a_number() -> None:
    def function(x: Any, s: Any) -> Any:
        before = s
        s += x.sum()
        return before, s, isinstance(before, np.floating), isinstance(s, np.ndarray), {2.0: 5}.get(before, 3)

    outcome, _ = compared(function, [(x, np.float64(i % 3)) for i, x in enumerate(XS)])
    assert outcome == REPLAYED


def test_functions_that_change_their_operand() -> None:
    def function(x: Any) -> Any:
        np.nan_to_num(x, copy=False)
        kept = np.nan_to_num(x * 0 / (x - x[0]), False, 5.0)
        y = x * 2
        y.byteswap(True)
        return x + 1, kept, y.view(np.uint8) * 1

    with np.errstate(invalid="ignore"):
        outcome, _ = compared(function, [(np.where(x > 0.5, np.nan, x),) for x in XS])
    assert outcome == REPLAYED


@pytest.mark.parametrize("function", [np.median, np.nanmedian, lambda x, **k: np.percentile(x, 30, **k)])
def test_an_operand_that_may_be_overwritten_is_not(function: Callable[..., Any]) -> None:
    compiled: Any = mytorch.compile(lambda x: function(x * 1, overwrite_input=True))
    other: Any = mytorch.compile(lambda x: np.median(x * 1, None, None, True))
    for x in XS:
        assert_same(function(x), compiled(x))
        assert_same(np.median(x), other(x))


# -- errors of what nobody reads, warnings -------------------------------------------------------------------------


def tried(attempt: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a function that only asks whether something can be computed."""

    def function(x: Any) -> Any:
        try:
            attempt(x)
        except (np.linalg.LinAlgError, IndexError, ValueError, FloatingPointError):
            return x * 2
        return x * 1

    return function


GOOD, BAD = np.array([2.0, 0.0, 0.0, 3.0]), np.array([-9.0, 0.0, 0.0, 0.0])
ATTEMPTS: dict[str, Callable[[Any], Any]] = {
    "cholesky": lambda x: np.linalg.cholesky(square(x)),
    "inv": lambda x: np.linalg.inv(square(x)),
    "solve": lambda x: np.linalg.solve(square(x), x[:2]),
    "svd": lambda x: np.linalg.svd(square(x * np.where(x < 0, np.nan, 1))),
    "index": lambda x: x[x.astype(int)],
    "write at an index": lambda x: np.zeros(4).__setitem__(x.astype(int), x),
    "add.at": lambda x: np.add.at(np.zeros(4), x.astype(int), x),
    "take": lambda x: np.take(x, x.astype(int)),
    "power": lambda x: np.power(2, x.astype(int)),
    "choose": lambda x: np.choose(x.astype(int), [x] * 4),
    "ravel_multi_index": lambda x: np.ravel_multi_index((x.astype(int),), (4,)),
    "bincount": lambda x: np.bincount(x.astype(int)),
    "quantile": lambda x: np.quantile(x, np.abs(x) / 5),
}


@pytest.mark.parametrize("name", ATTEMPTS)
def test_an_error_of_what_nobody_reads_is_raised(name: str) -> None:
    calls = [(x,) for x in (GOOD, GOOD, BAD, GOOD, BAD)]
    outcome, compiled = compared(tried(ATTEMPTS[name]), calls)
    assert (outcome, paths(compiled)) == (REPLAYED, [2])
    outcome, _ = compared(lambda x: (ATTEMPTS[name](x), x * 1)[1], calls)
    assert outcome == REPLAYED


@pytest.mark.parametrize("after", [False, True])
def test_an_error_that_is_caught_before_anything_was_written(after: bool) -> None:
    def build() -> Any:
        w = Tensor(np.ones((2, 2)), requires_grad=True)
        optimizer = mytorch.optim.SGD([w], lr=0.1)

        def step(x: Any) -> Any:
            optimizer.zero_grad()
            try:
                y = x if after else np.linalg.inv(x)
                loss = ((w @ y) ** 2).sum()
                loss.backward()
                y = np.linalg.inv(x)
                optimizer.step()
            except np.linalg.LinAlgError:
                return w * 0
            return loss

        return step, w

    (eager, w), (function, v) = build(), build()
    compiled: Any = mytorch.compile(function)
    for x in (GOOD, GOOD, GOOD, BAD, GOOD, BAD, GOOD):
        assert_same(eager(square(x)).numpy(), compiled(square(x)).numpy())
        assert_same(w.numpy(), v.numpy())
        assert_same(w.grad, v.grad)
    assert what_became_of(compiled) == REPLAYED


def total_and(step: Callable[[Any, Any], Any], error: type[Exception], draws: bool = False) -> Any:
    """Return what builds a function that adds to memory outside, and catches the error of what it does then."""

    def build() -> Any:
        total, rng = np.zeros(3), np.random.default_rng(0)

        def function(x: Any, i: Any) -> Any:
            np.add(total, x, out=total)
            noise = rng.normal(size=3) if draws else x
            try:
                y = step(x, i)
            except error:
                return total - 7 * noise - 1
            return total + noise + y

        return function

    return build


def divided(x: Any, i: Any) -> Any:
    with np.errstate(divide="raise"):
        return 1 / x


def unread(x: Any, i: Any) -> Any:
    divided(x, i)
    return x


def placed(x: Any, i: Any) -> Any:
    y = np.zeros(3)
    y[i] = x[0]
    return y


def test_an_error_that_the_callers_error_state_asks_for_is_caught() -> None:
    build = total_and(lambda x, i: [1 / x, x][1], FloatingPointError)
    one = np.array([1])
    with np.errstate(divide="raise"):
        outcome, _ = compared(build(), [(np.full(3, x), one) for x in (1.0, 2.0, 0.0, 1.0, 0.0)], build())
    assert outcome == REPLAYED


@pytest.mark.parametrize(
    "build",
    [
        total_and(divided, FloatingPointError),
        total_and(divided, FloatingPointError, draws=True),
        total_and(unread, FloatingPointError),
        total_and(placed, IndexError),
        total_and(lambda x, i: x[i], IndexError, draws=True),
    ],
    ids=[
        "asked for",
        "asked for, after a draw",
        "asked for, unread",
        "of a write",
        "of an index, after a draw",
    ],
)
def test_an_error_that_is_caught_after_something_was_written(build: Any) -> None:
    one, two = np.array([1]), np.array([2])
    calls = [(np.ones(3), one), (np.ones(3) * 2, two), (np.zeros(3), np.array([5])), (np.ones(3), one)]
    outcome, _ = compared(build(), [*calls, *calls], build())
    assert outcome == REPLAYED


def counts_warnings(x: Any) -> Any:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        y = 1 / np.round(x)
    return x * (1 + len(caught)) + 0 * np.isfinite(y)


def counts_calls(x: Any) -> Any:
    seen: list[Any] = []
    with np.errstate(all="call", call=lambda *what: seen.append(what)):
        np.reciprocal(np.round(x))
    return x * (1 + len(seen))


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (counts_warnings, r"it catches warnings \(np\.errstate is followed\), which a replay would not do"),
        (counts_calls, "it has NumPy call a function where numbers overflow or are divided by zero, which"),
    ],
)
def test_what_warnings_tell_is_never_frozen(function: Callable[[Any], Any], words: str) -> None:
    compiled: Any = mytorch.compile(function)
    with pytest.warns(ReplayWarning, match=words):
        found = [compiled(np.array([k % 2, 2.0])) for k in range(4)]
    for k, got in enumerate(found):
        assert_same(function(np.array([k % 2, 2.0])), got)


# -- branches -----------------------------------------------------------------------------------------------------


def test_each_branch_is_recorded_once() -> None:
    def function(x: Any) -> Any:
        return x * 2 if np.sum(x) > 0 else x - 1

    outcome, compiled = compared(function, CALLS * 3)
    assert outcome == REPLAYED
    assert paths(compiled) == [2]


def test_loops_until_convergence() -> None:
    def function(x: Any) -> Any:
        steps = 0
        while np.sum(x * x) > 1:
            x, steps = x / 2, steps + 1
        return x, steps

    outcome, compiled = compared(function, [(x * s,) for s in (1, 3, 1, 10) for x in XS])
    assert outcome == REPLAYED
    assert 1 < paths(compiled)[0] <= 8


def test_too_many_decisions_run_eagerly_and_say_so() -> None:
    compiled: Any = mytorch.compile(lambda x: x * float(x[0]))
    words = r"runs without replay: it decided differently 8 times, last at .*\.item\(\)"
    with pytest.warns(ReplayWarning, match=words):
        found = [compiled(np.full(2, float(n)))[0] for n in range(12)]
    np.testing.assert_allclose(found, np.arange(12.0) ** 2)
    assert what_became_of(compiled) == EAGER


def test_too_many_shapes_run_eagerly_and_say_so() -> None:
    compiled: Any = mytorch.compile(lambda x: x[x > 0])
    xs = [np.arange(12.0) - n for n in range(10)]
    with pytest.warns(ReplayWarning, match=r"8 times, last by the shape of a result; .* np\.where\(mask"):
        found = [compiled(x) for x in xs]
    for x, positive in zip(xs, found, strict=True):
        assert_same(x[x > 0], positive)


@pytest.mark.parametrize("as_argument", [False, True])
def test_a_number_that_always_changes_is_not_recorded_every_time(
    as_argument: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded: list[Any] = []
    record = compiled_functions.record

    def counted(*args: Any) -> Any:
        recorded.append(args)
        return record(*args)

    monkeypatch.setattr(compiled_functions, "record", counted)
    s = box(beta=0)
    compiled: Any = mytorch.compile((lambda x, beta: x * beta) if as_argument else lambda x, beta: x * s.beta)

    def call(beta: int) -> None:
        s.beta = beta
        assert_same(XS[0] * beta, compiled(XS[0], beta if as_argument else None))

    for beta in range(32):
        call(beta)
    with pytest.warns(
        ReplayWarning, match=r"32 calls in a row had other arguments, .*\(x\[\.\.\.\] = value\)"
    ):
        call(32)
    for beta in range(33, 150):
        call(beta)
    assert len(recorded) == 35
    for _ in range(150):  # it changes no more
        call(150)
    assert len(recorded) == 36


def test_a_branch_after_an_update_puts_the_parameter_back() -> None:
    def build() -> tuple[Callable[[Any], Any], Tensor]:
        w = Tensor(np.ones(4), requires_grad=True)

        def step(x: Any) -> Any:
            with mytorch.no_grad():
                w.__isub__(0.1 * x)
            return w.sum() * 2 if w.numpy().sum() > 4 else w.sum()

        return step, w

    (f, w), (g, v) = build(), build()
    compiled: Any = mytorch.compile(g)
    for x in XS * 3:
        assert_same(f(x), compiled(x))
        assert_same(w.numpy(), v.numpy())
    assert paths(compiled) == [2]


# -- state outside ------------------------------------------------------------------------------------------------


def scaled(s: Any, k: int) -> None:
    s.k = k // 2 + 2.0


def scale_of_module(s: Any, k: int) -> None:
    s.SCALE = k // 2 + 2.0


def filled(s: Any, k: int) -> None:
    s[0][:] = k + 2


def box(**attributes: Any) -> Any:
    return types.SimpleNamespace(**attributes)


class Scaled:
    """A class attribute, a class method, a static method, a property, and methods."""

    k = 1.0

    def __init__(self) -> None:
        self._own = 1.0

    @classmethod
    def of_class(cls, x: Any) -> Any:
        return x * cls.k

    @staticmethod
    def static(x: Any) -> Any:
        return x * Scaled.k

    @property
    def own(self) -> float:
        return self._own

    def method(self, x: Any) -> Any:
        return x * self.k


class Inherits(Scaled):
    def method(self, x: Any) -> Any:
        return super().method(x) + 1


class Descriptor:
    def __get__(self, instance: Any, owner: Any) -> Any:
        return instance.hidden


class Described:
    value = Descriptor()
    hidden = 1.0


class AttributeDict(dict):
    __getattr__ = dict.__getitem__


@dataclasses.dataclass(slots=True)
class Slots:
    k: Any = 1.0


class Pair(collections.namedtuple("Pair", "first second")):
    """A tuple with names."""


def defaults() -> Any:
    a = np.ones(4)

    def function(x: Any, w: Any = a) -> Any:
        return x + w * 2

    return function, (a,)


def keyword_defaults() -> Any:
    a = np.ones(4)

    def function(x: Any, *, w: Any = a) -> Any:
        return x + w * 2

    return function, (a,)


def method_of(name: str, use: Callable[[Any, Any], Any]) -> Callable[[], Any]:
    """Return what builds a function that knows a method of a dict, and the dict."""

    def build() -> Any:
        state = {"k": 1.0}
        method = getattr(state, name)
        return (lambda x: use(method, x)), state

    return build


def memory_map() -> Any:
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, float, shape=(4,))


def of_a_metaclass() -> Any:
    Meta.k = 1.0
    return (lambda x: x * WithMeta.k), Meta


def in_a_context() -> Any:
    state = box(k=1.0)

    @contextlib.contextmanager
    def scale() -> Any:
        yield state.k

    def function(x: Any) -> Any:
        with scale() as k:
            return x * k

    return function, state


def dispatched() -> Any:
    state = box(k=1.0)

    @functools.singledispatch
    def scale(x: Any) -> Any:
        return x * state.k

    scale.register(int)(lambda x: x)
    return (lambda x: scale(x)), state


def found_by(find: Callable[[Any], Callable[[], Any]]) -> Callable[[], Any]:
    def build() -> Any:
        state = Scaled()
        found = find(state)
        return (lambda x: x * found()), state

    return build


class Meta(type):
    """A class of classes, with an attribute."""

    k = 1.0


class WithMeta(metaclass=Meta):
    """A class that has an attribute by its class."""


def of_a_module(x: Any) -> Any:
    return x * tests.replay_state.SCALE


def in_a_module(use: Callable[[Any], Any]) -> Callable[[], Any]:
    def build() -> Any:
        tests.replay_state.SCALE = 1.0
        return use, tests.replay_state

    return build


def nonlocal_variable() -> Any:
    k = 1.0

    def function(x: Any) -> Any:
        return x * k

    def change(value: float) -> None:
        nonlocal k
        k = value

    return function, change


def imported_inside() -> Any:
    def function(x: Any) -> Any:
        import tests.replay_state as state

        return x * state.SCALE

    import tests.replay_state as state

    state.SCALE = 1.0
    return function, state


def with_state(make: Callable[[], Any], use: Callable[[Any, Any], Any]) -> Callable[[], Any]:
    """Return what builds a function of x that uses a state, and the state."""

    def build() -> Any:
        state = make()
        return (lambda x: use(state, x)), state

    return build


def class_state(use: Callable[[Any], Any]) -> Callable[[], Any]:
    def build() -> Any:
        Scaled.k = 1.0
        return use, Scaled

    return build


def set_item(key: Any, value: Callable[[int], Any] = lambda k: k // 2 + 2.0) -> Callable[[Any, int], None]:
    return lambda s, k: s.__setitem__(key, value(k))


CHANGING: dict[str, tuple[Callable[[], Any], Callable[[Any, int], Any]]] = {
    "array in a tuple": (with_state(lambda: (np.ones(4),), lambda s, x: x + s[0] * 2), filled),
    "array in a named tuple": (with_state(lambda: Pair(np.ones(4), 1), lambda s, x: x + s.first * 2), filled),
    "array in a list": (with_state(lambda: [np.ones(4)], lambda s, x: x + s[0] * 2), filled),
    "array in an attribute": (with_state(lambda: box(k=np.ones(4)), lambda s, x: x + s.k * 2),
                              lambda s, k: s.k.fill(k)),
    "view": (with_state(lambda: (np.ones(4),), lambda s, x: x + s[0][::-1] * 2), filled),
    "default": (defaults, filled),
    "keyword default": (keyword_defaults, filled),
    "slot": (with_state(Slots, lambda s, x: x * s.k), scaled),
    "array in a slot": (with_state(lambda: Slots(np.ones(4)), lambda s, x: x + s.k * 2), lambda s, k: s.k.fill(k)),
    "attribute": (with_state(lambda: box(k=1.0), lambda s, x: x * s.k), scaled),
    "attribute of an attribute": (with_state(lambda: box(inner=box(k=1.0)), lambda s, x: x * s.inner.k),
                                  lambda s, k: setattr(s, "inner", box(k=k + 2.0))),
    "NumPy's scalar": (with_state(lambda: box(k=np.float64(1)), lambda s, x: x * s.k),
                       lambda s, k: setattr(s, "k", np.float64(k))),
    "getattr": (with_state(lambda: box(k=1.0), lambda s, x: x * getattr(s, "".join(["k"]))), scaled),
    "vars": (with_state(lambda: box(k=1.0), lambda s, x: x * vars(s)["k"]), scaled),
    "property": (with_state(Scaled, lambda s, x: x * s.own), lambda s, k: setattr(s, "_own", k + 2.0)),
    "descriptor": (with_state(Described, lambda s, x: x * s.value), lambda s, k: setattr(s, "hidden", k + 2.0)),
    "class": (class_state(lambda x: x * Scaled.k), scaled),
    "class by its instance": (class_state(lambda x: x * Scaled().k), scaled),
    "class method": (class_state(Scaled.of_class), scaled),
    "static method": (class_state(lambda x: Scaled.static(x)), scaled),
    "method": (class_state(Scaled().method), scaled),
    "inherited method": (class_state(Inherits().method), scaled),
    "instance attribute over a class's": (with_state(Scaled, lambda s, x: x * s.k), scaled),
    "swapped function": (with_state(lambda: box(h=np.sin), lambda s, x: s.h(x)),
                         lambda s, k: setattr(s, "h", [np.cos, np.sin][k % 2])),
    "dict": (with_state(lambda: {"a": {"b": 1.0}}, lambda s, x: x * s["a"]["b"]),
             lambda s, k: s["a"].__setitem__("b", k + 2.0)),
    "new key of a dict": (with_state(dict, lambda s, x: x * s.get("a", 1.0)), set_item("a")),
    "attributes by a dict": (with_state(lambda: AttributeDict(k=1.0), lambda s, x: x * s.k), set_item("k")),
    "length of a list": (with_state(list, lambda s, x: x * len(s)), lambda s, k: s.append(1)),
    "deque": (with_state(lambda: collections.deque([1.0]), lambda s, x: x * s[0]), set_item(0)),
    "set": (with_state(lambda: {0, 5}, lambda s, x: x * (2 if 5 in s else 3)),
            lambda s, k: (s.discard(5), s.add(k)) if k > 1 else None),
    "bytearray": (with_state(lambda: bytearray(b"\x01"), lambda s, x: x * s[0]), set_item(0, lambda k: k + 2)),
    "array.array": (with_state(lambda: array.array("d", [1.0]), lambda s, x: x * s[0]), set_item(0)),
    "memoryview": (with_state(lambda: memoryview(bytearray(8)).cast("d"), lambda s, x: x * s[0]), set_item(0)),
    "memory map": (with_state(memory_map, lambda s, x: x * s),
                   lambda s, k: s.__setitem__(0, k)),
    "method of a dict": (method_of("get", lambda get, x: x * get("k")), set_item("k")),
    "length of a dict": (method_of("__len__", lambda length, x: x * length()), lambda s, k: set_item(k // 2)(s, k)),
    "context manager": (in_a_context, scaled),
    "single dispatch": (dispatched, scaled),
    "attrgetter": (found_by(lambda s: functools.partial(operator.attrgetter("k"), s)), scaled),
    "getattr in a partial": (found_by(lambda s: functools.partial(getattr, s, "k")), scaled),
    "weak reference": (found_by(lambda s: functools.partial(lambda r: r().k, weakref.ref(s))), scaled),
    "metaclass": (of_a_metaclass, scaled),
    "globals()": (in_a_module(tests.replay_state.by_globals), scale_of_module),
    "eval": (in_a_module(tests.replay_state.by_eval), scale_of_module),
    # The module is named before another function that means an attribute of it.
    "module that another function names": (
        in_a_module(lambda x: of_a_module(x) if tests.replay_state.__name__ else x), scale_of_module),
    "strings": (with_state(lambda: np.array(["a"]), lambda s, x: x * (2 if s[0] == "a" else 3)),
                set_item(0, lambda k: "b")),
    "variable of a closure": (nonlocal_variable, lambda change, k: change(k + 2.0)),
    "module imported inside": (imported_inside, lambda s, k: setattr(s, "SCALE", k // 2 + 2.0)),
    "function's attribute": (with_state(lambda: functools.wraps(np.sin)(lambda x: x), lambda s, x: x * s.k
                                        if hasattr(s, "k") else x), scaled),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGING)
def test_state_that_changes_between_calls(name: str) -> None:
    build, change = CHANGING[name]
    function, state = build()
    expected = []
    for k, x in enumerate(XS[:6]):
        expected.append(function(x))
        change(state, k)
    function, state = build()
    compiled: Any = mytorch.compile(function)
    for k, x in enumerate(XS[:6]):
        assert_same(expected[k], compiled(x))
        change(state, k)
    assert what_became_of(compiled) == REPLAYED


def test_partial_arguments_are_followed() -> None:
    a = np.ones(4)
    compiled: Any = mytorch.compile(functools.partial(lambda w, x: x + w * 2, a))
    for k, x in enumerate(XS):
        np.testing.assert_allclose(compiled(x), x + a * 2)
        a[:] = k


# -- functions that change state ------------------------------------------------------------------------------------


def counts(s: Any, x: Any) -> Any:
    s.n += 1
    return x * s.n


def appends(s: Any, x: Any) -> Any:
    s.seen.append(x * 1)
    return sum(s.seen)


def averages(s: Any, x: Any) -> Any:
    s.mean = 0.9 * s.mean + 0.1 * x
    return s.mean * 1


def averages_in_place(s: Any, x: Any) -> Any:
    s.mean *= 0.9
    s.mean += 0.1 * x
    return s.mean * 1


def first_only(s: Any, x: Any) -> Any:
    if s.first is None:
        s.first = x * 2
    return s.first + x


def keeps_last(s: Any, x: Any) -> Any:
    s.last = x * 2
    return s.last + 1


def swaps(s: Any, x: Any) -> Any:
    s.mean, s.other = s.other, s.mean
    return x + s.mean * 2


def swaps_tensors(s: Any, x: Any) -> Any:
    s.p, s.q = s.q, s.p
    return x + (s.p * 2).numpy()


def new_attribute(s: Any, x: Any) -> Any:
    s.fresh = getattr(s, "fresh", 0) + 1
    return x * s.fresh


STATEFUL: dict[Callable[[Any, Any], Any], str] = {
    counts: EAGER, appends: EAGER, averages: EAGER, averages_in_place: REPLAYED, first_only: REPLAYED,
    keeps_last: REPLAYED, swaps: EAGER, swaps_tensors: EAGER, new_attribute: EAGER,
}  # fmt: skip


@pytest.mark.parametrize("function", STATEFUL, ids=lambda f: f.__name__)
def test_functions_that_change_state(function: Callable[[Any, Any], Any]) -> None:
    def state() -> Any:
        return box(
            n=0, seen=[], mean=np.zeros(4), other=np.ones(4), first=None, last=None, p=Tensor(np.ones(4)),
            q=Tensor(np.zeros(4)),
        )  # fmt: skip

    s, t = state(), state()
    outcome, _ = compared(lambda x: function(s, x), CALLS, lambda x: function(t, x))
    assert outcome == STATEFUL[function]
    for name in vars(s):
        if name != "seen":
            assert_same(getattr(s, name), getattr(t, name))
    assert [type(x) for x in s.seen] == [type(x) for x in t.seen]


def test_the_warning_names_what_changes() -> None:
    s = box(n=0)
    compiled: Any = mytorch.compile(lambda x: counts(s, x))
    with pytest.warns(ReplayWarning, match=r"runs without replay: it changes s\.n at every call"):
        compiled(XS[0])


# -- random numbers, clocks, iterators --------------------------------------------------------------------------------


def drawn_by_generator() -> Any:
    g = np.random.default_rng(5)
    return lambda x: x + g.standard_normal(x.shape) * g.random() + g.integers(5)


def drawn_by_state() -> Any:
    g = np.random.RandomState(5)
    return lambda x: x + g.rand(4) * g.randint(5)


def drawn_globally() -> Any:
    np.random.seed(3)
    return lambda x: x * (np.random.rand(4) > 0.5) + np.random.normal() + np.random.choice(x)


def drawn_by_name() -> Any:
    np.random.seed(3)
    return lambda x: x + normal(size=4)


def shuffled() -> Any:
    np.random.seed(3)

    def function(x: Any) -> Any:
        y = x.copy()
        np.random.shuffle(y)
        return y + np.random.permutation(x)

    return function


def shuffled_constants() -> Any:
    g = np.random.default_rng(1)

    def function(x: Any) -> Any:
        order = np.arange(4)
        g.shuffle(order)
        signs = np.array([1.0, -1.0, 1.0, -1.0])
        np.random.shuffle(signs)
        return x[order] * signs

    np.random.seed(3)
    return function


def drawn_by_argument() -> Any:
    g = np.random.default_rng(5)
    h = functools.partial(lambda x, r: x + r.normal(loc=x), r=g)
    return lambda x: h(x)


def drawn_in_a_helper() -> Any:
    s = box(g=np.random.default_rng(1))

    def noise(shape: Any) -> Any:
        return s.g.normal(size=shape)

    return lambda x: x + noise(x.shape) if x[0] > 0 else x - noise(x.shape)


def drawn_before_a_mask_picks_entries() -> Any:
    g = np.random.default_rng(1)

    def function(x: Any) -> Any:
        y = x * 1
        flip = g.random(4) < 0.5
        y[flip] = -y[flip]  # another number of entries: no guard, but another shape
        return y

    return function


def shuffled_before_a_mask_picks_entries() -> Any:
    g = np.random.default_rng(1)

    def function(x: Any) -> Any:
        y = x.copy()
        g.shuffle(y)
        return y, y[y > 0]

    return function


@pytest.mark.parametrize(
    "build",
    [
        drawn_before_a_mask_picks_entries,
        shuffled_before_a_mask_picks_entries,
        drawn_by_generator,
        drawn_by_state,
        drawn_globally,
        drawn_by_name,
        shuffled,
        shuffled_constants,
        drawn_by_argument,
        drawn_in_a_helper,
    ],
    ids=lambda f: f.__name__,
)
def test_random_numbers_are_drawn_anew(build: Callable[[], Any]) -> None:
    function = build()
    expected = [function(x) for x in XS]
    compiled: Any = mytorch.compile(build())
    for x, y in zip(XS, expected, strict=True):
        assert_same(y, compiled(x))
    assert what_became_of(compiled) == REPLAYED


# What is done with a number of Python's that a generator draws (r), another (q), an integer (n), and an array.
WITH_NUMBERS: dict[str, Callable[..., Any]] = {
    "operators": lambda r, q, n, x: (x * -r, x * (1 - r), x * r**2, x / 2**r, x + r // 0.1, x * abs(q), q % 0.3 * x),
    "in place": lambda r, q, n, x: x * functools.reduce(operator.iadd, [r, q, 1, n]),
    "divmod": lambda r, q, n, x: (divmod(q, 0.3), divmod(7.5, r), x * divmod(n, 2)[0]),
    "rounded": lambda r, q, n, x: x * round(r * 0, 2) + round(r * 0),
    "comparisons": lambda r, q, n, x: x * ((r < 2) + (q < 9) + (n == n)),
    "NumPy's functions": lambda r, q, n, x: (x * np.sin(r), np.minimum(r, 0.5) * x, np.multiply(x, r), np.add(r, 1)),
    "NumPy's numbers": lambda r, q, n, x: (np.float32(2) * r + x, x[0] * r, x[0] + n),
    "integers": lambda r, q, n, x: (n // 3, n / 3, n % 3, n << 1, ~n, n & 3, x * n, x.astype(np.int8) + n),
    "Tensors": lambda r, q, n, x: (Tensor(x) * r, r - Tensor(x), Tensor(x * x) ** (r + 1), Tensor(x) / n),
    "kept": lambda r, q, n, x: {"r": r, "sum": [r + q, sum([r, q, n])], "n": n},
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", WITH_NUMBERS)
def test_numbers_that_are_drawn_are_pythons_own(name: str, dtype: str) -> None:
    def build() -> Any:
        rng, old = np.random.default_rng(0), np.random.RandomState(0)
        return lambda x: WITH_NUMBERS[name](rng.random(), rng.normal(), old.randint(1, 9), x)

    eager, compiled = build(), mytorch.compile(build())
    for x in XS:
        assert_same(eager(x.astype(dtype)), compiled(x.astype(dtype)))
    assert what_became_of(compiled) == REPLAYED


def test_an_array_has_the_methods_that_numpys_have() -> None:
    outcome, _ = compared(lambda x: (np.ptp(x), hasattr(x, "ptp"), hasattr(x, "itemset")), CALLS)
    assert outcome == REPLAYED


GENERATING: dict[str, Callable[[Any, Any], Any]] = {
    "isinstance": lambda r, x: r.random(4) * x if isinstance(r, np.random.Generator) else x,
    "default_rng": lambda r, x: np.random.default_rng(r).random(4) * x,
    "class": lambda r, x: r.random(4) * x if r.__class__ is np.random.Generator else x,
    "a missing attribute": lambda r, x: r.random(4) * x if not hasattr(r, "rand") else x,
    "a seed that is decided": lambda r, x: (np.random.seed(int(x[0] > 0)), np.random.rand(4) * x)[1],
    "bit generator": lambda r, x: np.random.Generator(r.bit_generator).random(4) * x,
    "state": lambda r, x: x * (r.bit_generator.state["state"]["state"] % 7) + r.random(),
    "copy": lambda r, x: copy.deepcopy(r).random(4) * x,
    "pickle": lambda r, x: pickle.loads(pickle.dumps(r)).random(4) * x,
}


@pytest.mark.parametrize("name", GENERATING)
@pytest.mark.parametrize("given", [True, False], ids=["argument", "outside"])
def test_generators_are_what_they_are(name: str, given: bool) -> None:
    def build() -> Any:
        rng = np.random.default_rng(4)
        function = mytorch.compile(lambda r, x: GENERATING[name](r if given else rng, x))
        return rng, function

    ours, (theirs, compiled) = np.random.default_rng(4), build()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ReplayWarning)
        for x in XS:
            assert_same(GENERATING[name](ours, x), compiled(theirs, x))
    assert ours.bit_generator.state == theirs.bit_generator.state
    watched = name in ("bit generator", "state", "copy", "pickle")
    assert what_became_of(compiled) == (EAGER if watched else REPLAYED)


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (lambda r, x: x * r.bit_generator.random_raw(), "uses the bit generator of a random generator"),
        (lambda r, x: copy.copy(r).random(4) * x, "copies a random generator"),
    ],
)
def test_what_is_done_with_a_generator_besides_drawing_is_said(use: Any, words: str) -> None:
    with pytest.warns(ReplayWarning, match=words):
        mytorch.compile(use)(np.random.default_rng(0), XS[0])


def test_numbers_of_numpy_are_no_sequences() -> None:
    def function(x: Any) -> Any:
        s = x.sum()
        asked = [
            hasattr(v, name) for v in (x, s) for name in ("__len__", "__iter__", "__contains__", "shape")
        ]
        kinds = (
            collections.abc.Iterable,
            collections.abc.Sized,
            collections.abc.Container,
            collections.abc.Hashable,
        )
        return (
            asked,
            [isinstance(s, kind) for kind in kinds],
            [v * 2 for v in x] if hasattr(x, "__len__") else s,
        )

    outcome, _ = compared(function, CALLS)
    assert outcome == REPLAYED
    for use in (len, list, lambda s: 1.0 in s):
        with pytest.raises(TypeError):
            mytorch.compile(lambda x, use=use: use(x.sum()))(XS[0])


def test_numbers_of_numpy_are_keys() -> None:
    names = {0: "none", 1: "one"}
    outcome, _ = compared(
        lambda x: (x, names.get((x > 1).sum(), "more"), np.round(x.max()) in {0.0, 1.0}), CALLS
    )
    assert outcome == REPLAYED


def use(f: Callable[[], Any]) -> Any:
    return lambda x: x * f()


def python_random() -> Any:
    random.seed(4)
    return lambda x: x + random.random()


def python_generator() -> Any:
    r = random.Random(4)
    return lambda x: x + r.random()


def counting() -> Any:
    n = itertools.count()
    return lambda x: x * next(n)


def generating() -> Any:
    g = (np.full(4, float(n)) for n in range(20))
    return lambda x: x * next(g)


def in_a_dict() -> Any:
    state = {"k": iter(range(20))}
    return lambda x: x * next(state["k"])


def spawning() -> Any:
    s = np.random.SeedSequence(5)
    return lambda x: x + np.random.default_rng(s.spawn(1)[0]).normal()


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (python_random, "draws from random"),
        (python_generator, "draws from r"),
        (counting, "takes from the iterator n"),
        (generating, "takes from the iterator g"),
        (in_a_dict, r"takes from the iterator state\['k'\]"),
        (spawning, "spawns children of s"),
        (lambda: use(random.Random(4).random), r"draws from Python's random by f\(\)"),
        (lambda: use(itertools.count().__next__), r"takes from an iterator by f\(\)"),
    ],
    ids=lambda f: getattr(f, "__name__", ""),
)
def test_what_answers_differently_every_time_runs_eagerly(build: Callable[[], Any], words: str) -> None:
    function = build()
    expected = [function(x) for x in XS]
    compiled: Any = mytorch.compile(build())
    words = f"it {words}, which a replay would not do; pass what it gives as an argument"
    with pytest.warns(ReplayWarning, match=words):
        found = [compiled(x) for x in XS]
    for x, y in zip(found, expected, strict=True):
        assert_same(y, x)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: x * 0 + time.perf_counter_ns() % 10**9, r"reads the clock by time\.perf_counter_ns\(\)"),
        (lambda x: x + np.random.default_rng().normal(), "makes a random generator without a seed"),
        (lambda x: x + np.random.RandomState().normal(), "makes a random generator without a seed"),
        (lambda x: x * 0 + int.from_bytes(os.urandom(6), "big"), r"asks os\.urandom\(\)"),
        (lambda x: x * 0 + uuid.uuid4().int % 10**12, r"asks os\.urandom\(\)"),
        (lambda x: x * 0 + secrets.randbelow(10**12), r"asks os\.urandom\(\)"),
        (
            lambda x: x * 0 + time.clock_gettime_ns(time.CLOCK_MONOTONIC) % 10**9,
            r"reads the clock by time\.clock_",
        ),
        (lambda x: x * 0 + datetime.datetime.now().timestamp(), r"reads the clock by datetime's now\(\)"),
    ],
)
def test_clocks_and_seeds_of_the_system_are_not_frozen(function: Callable[[Any], Any], words: str) -> None:
    compiled: Any = mytorch.compile(function)
    with pytest.warns(ReplayWarning, match=words):
        found = {compiled(XS[0])[0] for _ in range(4)}
    assert len(found) == 4


def test_a_worker_thread_inside_of_the_function_is_never_frozen() -> None:
    w = np.ones(4)
    with ThreadPoolExecutor(1) as pool, warnings.catch_warnings():
        warnings.simplefilter("ignore", ReplayWarning)
        compiled: Any = mytorch.compile(lambda x: pool.submit(lambda: x * w).result() + 1)
        for k, x in enumerate(XS):
            np.testing.assert_allclose(compiled(x), x * w + 1)
            w[:] = k


class Matrix(np.ndarray):
    """An array whose `*` is the product of matrices."""

    def __mul__(self, other: Any) -> Any:
        return np.matmul(self, other)


MASKED = np.ma.masked_array(np.ones(4), [False, True, False, False])
MATRIX = np.eye(4).view(Matrix)


@pytest.mark.parametrize("kind", [lambda a: a.view(Matrix), np.ma.array], ids=["matrix", "masked"])
def test_arrays_of_a_subclass_keep_their_own_operations(kind: Any) -> None:
    """`*` of matrices is another than that of arrays, so that calls with them run as they are written."""

    def function(x: Any) -> Any:
        return x * x

    compiled: Any = mytorch.compile(function)
    for x in XS[:3]:
        a = kind(x.reshape(2, 2))
        np.testing.assert_array_equal(compiled(a), function(a))
        assert type(compiled(a)) is type(function(a))


def test_errors_say_what_to_write() -> None:
    cases: list[tuple[Callable[[Any], Any], str]] = [
        (lambda x: np.nditer(x), r"cannot follow a conversion by other code, .* at .*guards\.py:\d+; write np\.copy"),
        (plain(added), r"cannot follow writing to a plain array .* write to an array that the function's own code"),
        (lambda x: x.ctypes, r"cannot follow \.ctypes, .* write it with NumPy's functions"),
        (lambda x: x.view(np.matrix), "cannot follow a matrix, .* write it with plain arrays"),
        (lambda x: x * MASKED, "cannot follow computing with a MaskedArray, .* write it with plain arrays"),
        (lambda x: np.dot(x, MATRIX), "cannot follow computing with a Matrix, .* write it with plain arrays"),
    ]  # fmt: skip
    for function, words in cases:
        with pytest.raises(ReplayError, match=words):
            mytorch.compile(function)(XS[0])


def by_hand(x: Any) -> Any:
    tape = Autograd()
    y = x * 2
    tape.add_operation([x], y, [None], lambda g, x: 2 * g)
    tape.backward(1.0)
    return tape.gradient_buffer.get_param(x)


def test_a_tape_that_is_driven_by_hand_is_no_part_of_a_compiled_function() -> None:
    tape = Autograd()
    layer, loss = nn.Linear(3, 3, tape), nn.MSELoss(tape)
    x = np.arange(6.0).reshape(2, 3)
    y = layer(x)
    recorded = len(tape.operation_list)
    functions: list[Callable[[Any], Any]] = [by_hand, layer, lambda x: loss(x, x), tape.backward]
    for function in [*functions, lambda _: tape.zero_grad()]:
        with pytest.raises(
            ReplayError, match=r"an Autograd that is driven by hand, .* write .* with Tensors"
        ):
            mytorch.compile(function)(x)
    assert len(tape.operation_list) == recorded
    tape.backward(np.ones_like(y))  # nothing of that is in the way of going on
    np.testing.assert_allclose(layer.dW, np.ones((3, 2)) @ x)


def test_the_warning_says_how_an_array_outside_is_changed() -> None:
    def running(s: Any, x: Any) -> Any:
        s.mean = 0.9 * s.mean + 0.1 * x
        return x - s.mean

    def written(s: Any, x: Any) -> Any:
        s.mean[...] = 0.9 * s.mean + 0.1 * x
        return x - s.mean

    s, t = box(mean=np.zeros(3)), box(mean=np.zeros(3))
    rebound, replayed = (mytorch.compile(functools.partial(f, o)) for f, o in ((running, s), (written, t)))
    x = np.arange(3.0)
    with pytest.warns(ReplayWarning, match=r"write to the array that is there \(.*mean\[\.\.\.\] = \.\.\.\)"):
        rebound(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        replayed(x)
    for k in range(3):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReplayWarning)
            np.testing.assert_allclose(rebound(k * x), replayed(k * x), rtol=1e-14)
    np.testing.assert_allclose(s.mean, t.mean, rtol=1e-14)
