"""The report of a replayed program: what was left out, how much memory it takes, where its time goes."""

from __future__ import annotations

import builtins
import sys
from typing import Any

import numpy as np
import pytest

import mytorch
from mytorch import Tensor, optim
from mytorch.replay import ReplayError


@pytest.fixture
def training():
    """A compiled step of Adam, its weight, and arguments."""
    rng = np.random.default_rng(0)
    w = Tensor(rng.normal(size=(30, 4)), requires_grad=True)
    optimizer = optim.Adam([w], lr=0.1)

    def step(x, y):
        error = np.tanh(x @ w) - y
        loss = (error * error).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss, error

    compiled: Any = mytorch.compile(step)
    args = rng.normal(size=(50, 30)), rng.normal(size=(50, 4))
    for _ in range(3):
        compiled(*args)
    return compiled, w, optimizer, args


def test_counts_and_bytes(training):
    compiled, _, _, _ = training
    report = compiled.report()
    program = compiled.program
    assert sum(report.recorded.values()) == len(program.recorded.instructions)
    assert sum(report.optimised.values()) == len(program.instructions) <= sum(report.recorded.values())
    assert 0 < report.lower_bound <= report.nbytes <= report.without_reuse
    assert report.nbytes == program.plan.nbytes
    assert report.result_bytes == 8 + 50 * 4 * 8
    assert report.record_seconds > 0
    assert report.plan_seconds > 0


def test_the_table_says_what_it_counts(training):
    text = str(training[0].report())
    for words in (
        "step, as it is replayed",
        "recorded",
        "after optimisation",
        "lower bound",
        f"{8 + 1600:,}",
    ):
        assert words in text
    assert ".profile(*arguments) measures where the time goes" in text


def test_a_profile_gives_every_operation_a_time_and_its_line(training):
    compiled, _, _, args = training
    report = compiled.profile(*args, repeat=3)
    assert report.rounds == 3
    assert all(timed.seconds >= 0 for timed in report.operations)
    assert report.seconds == pytest.approx(sum(timed.seconds for timed in report.operations))
    assert compiled.report() is report
    product = next(timed for timed in report.operations if timed.phase == "forward")
    assert (product.operation, product.phase, product.text) == (
        "np.matmul",
        "forward",
        "error = np.tanh(x @ w) - y",
    )
    assert product.line.startswith("test_replay_report.py:")
    text = str(report)
    assert "the least of 3 rounds" in text
    assert "more operations" in text
    times = [float(line.split()[0]) for line in text.split("share")[1].splitlines()[1:-1]]
    assert times == sorted(times, reverse=True)


def test_a_profile_puts_back_what_it_changes(training):
    compiled, w, optimizer, args = training
    compiled(*args)
    before = w.numpy().copy(), w.grad.numpy().copy(), {k: np.array(v) for k, v in optimizer.state[0].items()}
    given = [array.copy() for array in args]
    compiled.profile(*[2 * array for array in args], repeat=2)
    np.testing.assert_array_equal(w.numpy(), before[0])
    np.testing.assert_array_equal(w.grad.numpy(), before[1])
    for name, value in before[2].items():
        np.testing.assert_array_equal(optimizer.state[0][name], value)
    for array, copy in zip(args, given, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_a_profile_puts_random_generators_and_arguments_back():
    rng = np.random.default_rng(3)

    def f(x):
        x += rng.normal(size=3)
        return x * 2

    compiled: Any = mytorch.compile(f)
    x = np.zeros(3)
    for _ in range(2):
        compiled(x)
    state, values = rng.bit_generator.state, x.copy()
    compiled.profile(x, repeat=2)
    assert rng.bit_generator.state == state
    np.testing.assert_array_equal(x, values)


@pytest.mark.parametrize("bits", [np.random.MT19937, np.random.PCG64])
def test_a_profile_puts_random_states_and_numpys_own_generator_back(bits):
    own = np.random.RandomState(bits(3))

    def f(x):
        np.random.seed(5)
        return x + own.normal(size=3)

    compiled: Any = mytorch.compile(f)
    before = np.random.get_state()
    for _ in range(2):
        compiled(np.zeros(3))
    np.random.set_state(before)
    state = own.get_state(legacy=False)
    compiled.profile(np.zeros(3), repeat=2)
    assert repr(own.get_state(legacy=False)) == repr(state)
    assert repr(np.random.get_state()) == repr(before)


def test_large_arguments_are_profiled_where_they_lie():
    compiled: Any = mytorch.compile(mytorch.grad(lambda x: np.sum(x.T[1:] ** 2)))
    x = np.random.default_rng(0).normal(size=(80, 60))
    for _ in range(2):
        compiled(x)
    assert compiled.program.by_reference
    assert compiled.profile(np.asfortranarray(x), repeat=1).seconds > 0


def test_what_cannot_be_profiled(training):
    compiled, _, _, (x, y) = training
    with pytest.raises(ValueError, match="repeat must be a positive integer, got 0"):
        compiled.profile(x, y, repeat=0)
    with pytest.raises(
        TypeError, match=r"the arguments must have the structure .* as the recorded ones, got"
    ):
        compiled.profile(x)
    with pytest.raises(
        ValueError, match=r"array 2 .* must have the shape \(50, 4\) and dtype float64 .* got \(2, 2\)"
    ):
        compiled.profile(x, np.ones((2, 2)))


def test_a_profile_of_another_branch_names_its_line():
    compiled: Any = mytorch.compile(lambda x: x * 2 if x.sum() > 0 else -x)
    for _ in range(2):
        compiled(np.ones(2))
    with pytest.raises(
        ReplayError, match=r"decide otherwise than the recorded ones did, at .*report\.py:\d+: got False"
    ):
        compiled.profile(-np.ones(2))


def test_a_report_needs_a_call():
    unused: Any = mytorch.compile(lambda x: x)
    with pytest.raises(ReplayError, match="has no program: call it first"):
        unused.report()


# -- the picture ------------------------------------------------------------------------------------------------------


def test_the_picture_shows_times_and_memory(training, tmp_path):
    pytest.importorskip("matplotlib")
    compiled, _, _, args = training
    path = compiled.profile(*args, repeat=1).plot(tmp_path / "report.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    from mytorch.extras.replay_plot import figure

    report = compiled.report()
    times, memory = figure(report).axes
    assert len(times.patches) == len(report.operations)
    assert [patch.get_height() for patch in times.patches] == [
        1e6 * timed.seconds for timed in report.operations
    ]
    assert len(memory.patches) == len(report.places)
    assert len(figure(mytorch_report(compiled)).axes) == 1


def mytorch_report(compiled):
    """Return the report without times."""
    compiled.program._profiled = None
    return compiled.report()


def test_pictures_of_other_kinds_are_refused(training, tmp_path):
    with pytest.raises(ValueError, match=r"is a \.png, \.svg or \.pdf file, not 'report\.txt'"):
        training[0].report().plot(tmp_path / "report.txt")


def test_without_matplotlib_the_remedy_is_named(training, tmp_path, monkeypatch):
    def without(name, *args, **kwargs):
        if name.split(".")[0] == "matplotlib":
            raise ImportError(name)
        return imported(name, *args, **kwargs)

    imported = builtins.__import__
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"needs matplotlib, which is missing: pip install matplotlib"):
        training[0].report().plot(tmp_path / "report.png")
