"""The harness measures what it says it does: processes, turns, agreement, figures, the README's table.

No test looks at how long anything took.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from benchmarks import (
    attention,
    cells,
    chains,
    cnn,
    conditions,
    figures,
    harness,
    hvp,
    lstm,
    operations,
    page,
    races,
    report,
)
from benchmarks.contenders import mlp_frameworks, mlp_numpy, torch_compile
from benchmarks.figures import Figure, show_time
from benchmarks.harness import Contender, Effort, Race, Unavailable, check_same, gauge, measure, race
from tests.conftest import ROOT

TINY = Effort(rounds=3, seconds=1e-4, quick=True)


def adding(start: float, amount: float) -> Callable[[], float]:
    """A contender: add a number to another, again and again."""
    total = [start]

    def step() -> float:
        total[0] += amount
        return total[0]

    return step


def failing() -> Callable[[], Any]:
    """A contender that cannot even prepare."""
    raise LookupError("this contender was told to fail")


def absent() -> Callable[[], Any]:
    """A contender whose framework is not here."""
    return harness.load("a_package_that_nobody_has").step


def talking() -> Callable[[], float]:
    """A contender whose framework prints."""
    print("hello from a framework")
    return adding(1.0, 2.0)


def seven() -> float:
    """A value to be gauged."""
    return 7.0


def environment() -> dict[str, Any]:
    """What a worker's process looks like from within."""
    threads = {name: os.environ.get(name) for name in harness.THREAD_VARIABLES}
    return {"process": os.getpid(), "threads": threads, "torch": "torch" in sys.modules}


def allocate(size: int) -> int:
    """By how much a process's peak grows with so many bytes that are given back at once."""
    before = harness.peak_memory()
    _ = b"x" * size
    return harness.peak_memory() - before


def test_a_race_gives_every_contender_one_time_per_round():
    contenders = [Contender("one", adding, (1.0, 2.0)), Contender("other", adding, (2.0, 1.0), per=10)]
    result = race(contenders, TINY)
    assert list(result.times) == ["one", "other"]
    assert all(len(times) == TINY.rounds for times in result.times.values())
    assert all(seconds > 0 for times in result.times.values() for seconds in times)


def test_contenders_that_computed_different_numbers_have_no_result():
    contenders = [Contender("right", adding, (1.0, 2.0)), Contender("wrong", adding, (1.0, 2.1))]
    with pytest.raises(
        ArithmeticError, match=r"wrong did not compute what right did: got \[3\.1\], expected \[3\.0\]"
    ):
        race(contenders, TINY)
    assert race(contenders, TINY, rtol=0.1).times
    assert race(contenders, TINY, rtol=None).times


@pytest.mark.parametrize(
    ("results", "agree"),
    [
        ([[1.0, 2.0], [1.0, 2.0]], True),
        ([[1.0, 2.0], [1.0, 2.0 + 1e-9]], True),
        ([None, [1.0]], True),
        ([[[1.0], [2.0]], [1.0, 2.0]], True),
        ([[1.0, 2.0], [1.0]], False),
        ([[1.0, 2.0], [1.0, float("nan")]], False),
        ([[0.0], [1e-30]], False),
    ],
)
def test_results_agree_relative_to_the_largest(results, agree):
    if agree:
        check_same(["a", "b"], results, 1e-6)
    else:
        with pytest.raises(ArithmeticError, match="b did not compute what a did"):
            check_same(["a", "b"], results, 1e-6)


def test_a_contender_that_fails_is_named(capfd):
    with pytest.raises(RuntimeError, match=r"tests\.test_benchmarks:failing ended with status 1"):
        race([Contender("failing", failing)], TINY)
    assert "this contender was told to fail" in capfd.readouterr().err


def test_a_worker_is_a_process_of_its_own_with_its_threads_set_from_the_start():
    seen = measure(environment, threads=2)
    assert seen["process"] != os.getpid()
    assert set(seen["threads"].values()) == {"2"}
    assert not seen["torch"]


def test_peak_memory_counts_what_was_given_back():
    assert 45e6 < measure(allocate, 50_000_000) < 60e6


def test_who_cannot_take_part_is_left_out_by_name_with_the_reason():
    contenders = [Contender("here", adding, (1.0, 2.0)), Contender("away", absent)]
    result = race(contenders, TINY, what="adding", against="away")
    assert list(result.times) == ["here"]
    assert result.missing == {
        "away": "a_package_that_nobody_has is not installed: make benchmark installs it"
    }
    assert "without away: a_package_that_nobody_has is not installed" in races.comparison(result)
    assert result.figures(("one", "here", "away", {})) == []
    with pytest.raises(
        Unavailable, match="away did not take part: a_package_that_nobody_has is not installed"
    ):
        result.figure("one", "here", "away")
    with pytest.raises(Unavailable, match="stranger did not take part: nobody asked it to"):
        result.figure("one", "here", "stranger")


def test_a_quick_race_goes_without_those_who_prepare_for_long():
    contenders = [Contender("here", adding, (1.0, 2.0)), Contender("slow", adding, (1.0, 2.0), slow=True)]
    assert race(contenders, TINY).missing == {"slow": "it prepares for long: left out of a quick run"}
    assert list(race(contenders, Effort(1, 1e-4)).times) == ["here", "slow"]


def test_a_framework_that_prints_does_not_disturb(capfd):
    assert race([Contender("talking", talking)], TINY).times
    assert "hello from a framework" in capfd.readouterr().err


def test_values_are_gauged_in_turns_each_in_a_new_process():
    contenders = [Contender("seven", seven, per=2), Contender("away", absent)]
    result = gauge(contenders, Effort(rounds=2), "bytes", "sevens", "seven")
    assert result.times == {"seven": [3.5, 3.5]}
    assert list(result.missing) == ["away"]
    assert result.ratio("seven") == 1.0
    assert result.show(3 * 2**20) == "3 MiB"


def test_replay_says_when_it_is_not_there(monkeypatch):
    import mytorch

    monkeypatch.setattr(mytorch, "compile", None, raising=False)
    with pytest.raises(Unavailable, match=r"this version of mytorch has no mytorch\.compile"):
        harness.replayed(seven)


def test_torch_compile_says_when_there_is_no_compiler(monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(torch_compile.shutil, "which", lambda name: None)
    with pytest.raises(
        Unavailable, match=r"needs a C\+\+ compiler, and none of g\+\+, clang\+\+, c\+\+ was found"
    ):
        torch_compile.prepare()


def test_a_figure_is_the_median_of_the_ratios_of_rounds():
    result = Race({"ours": [1.0, 2.0, 9.0], "theirs": [4.0, 4.0, 30.0]})
    figure = result.figure("work", "ours", "theirs", at_most=0.5)
    assert (figure.value, figure.low, figure.high) == (0.3, 0.25, 0.5)  # the ratio of medians is 0.5
    assert figure.medians == {"ours": 2.0, "theirs": 4.0}
    assert figure.met is True


@pytest.mark.parametrize(
    ("limits", "met"),
    [({}, None), ({"at_most": 2.0}, True), ({"at_most": 1.9}, False), ({"at_least": 2.1}, False)],
)
def test_a_figure_says_whether_it_is_what_it_is_to_be(limits, met):
    assert Figure("work", 2.0, **limits).met is met


def test_a_table_shows_values_ranges_targets_and_times():
    shown = figures.table(
        [
            Figure("a ratio", 0.25, 0.2, 0.3, at_most=0.2, medians={"ours": 2.5e-6, "theirs": 1e-5}),
            Figure("a share", 97.64, unit="%", at_least=97.5),
        ]
    )
    assert re.search(
        r"a ratio +0\.25 +0\.2–0\.3 +≤ 0\.2 +missed +ours 2\.5 µs, theirs 10 µs$", shown, re.MULTILINE
    )
    assert re.search(r"a share +97\.6 % +≥ 97\.5 +met$", shown, re.MULTILINE)


def test_a_benchmark_prints_its_table_and_writes_json(tmp_path, capsys):
    def run(effort: Effort) -> list[Figure]:
        return [Figure("rounds", effort.rounds, unit="rounds", at_least=3)]

    harness.main("A title.\n\nAnd more.", run, ["--quick", "--json", str(tmp_path / "new" / "out.json")])
    assert capsys.readouterr().out.startswith("A title.\n\n")
    (entry,) = json.loads((tmp_path / "new" / "out.json").read_text())
    assert entry["what"] == "rounds"
    assert entry["value"] == harness.QUICK.rounds
    assert entry["met"] is True


def test_what_is_missing_is_said(capsys):
    def run(effort: Effort) -> list[Figure]:
        raise harness.Unavailable("there is no data here: look there")

    with pytest.raises(SystemExit, match="there is no data here: look there"):
        harness.main("A title.", run, [])


@pytest.mark.parametrize("options", [["--threads", "0"], ["--rounds", "0"]])
def test_nonsensical_efforts_are_refused(options):
    with pytest.raises(SystemExit, match="must be at least 1"):
        harness.main("A title.", lambda effort: [], options)


def test_the_table_goes_between_the_markers():
    document = f"above\n{report.BEGIN}\nold\n{report.END}\nbelow\n"
    assert report.insert(document, "new") == f"above\n{report.BEGIN}\nnew\n{report.END}\nbelow\n"
    with pytest.raises(ValueError, match="expected the lines <!-- benchmarks:begin -->"):
        report.insert("a document without them", "new")


def test_the_readme_has_the_markers():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert report.insert(text, "new") != text


def test_the_report_shows_cells_as_grids_and_says_what_is_missing():
    shown = [Figure(f"{network}/{batch}", 0.5) for network in ("tiny", "small") for batch in (1, 32)]
    shown.append(Figure("small/32, replayed against jax.jit", 0.9))
    results = {"cells": shown, "hvp": [Figure("a product", 0.7, 0.6, 0.8, at_most=1.0)]}
    text = report.markdown(results, ["mnist was not measured: no data"], "a machine")
    assert text.startswith("a machine\n\n| training step, against torch | batch 1 | batch 32 |")
    assert "| small | 0.5 | 0.5 |" in text
    assert "| training step, replayed against jax.jit | batch 32 |\n|---|---|\n| small | 0.9 |" in text
    assert "<details><summary>All other figures</summary>\n\n| | value |" in text
    assert "| a product | 0.7 | 0.6–0.8 | ≤ 1 | met |\n\n</details>" in text
    assert text.endswith("mnist was not measured: no data")


def test_every_benchmark_is_in_the_report():
    helpers = {"__init__", "__main__", "conditions", "figures", "harness", "page", "plots", "races", "report"}
    there = {path.stem for path in (ROOT / "benchmarks").glob("*.py")} - helpers
    assert there == set(report.BENCHMARKS)
    assert set(report.THREADED) < there


def test_what_threads_change_is_measured_with_two(monkeypatch):
    monkeypatch.setattr(report.os, "cpu_count", lambda: 2)
    assert report.jobs_of(["cells", "guard"], None) == [("cells", 1), ("guard", 1), ("cells", 2)]
    assert report.jobs_of(["cells"], 3) == [("cells", 3)]
    monkeypatch.setattr(report.os, "cpu_count", lambda: 1)
    assert report.jobs_of(["cells"], None) == [("cells", 1)]


class Stub:
    """A benchmark that counts how often it is run, and fails where it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.runs, self.error, self.__doc__ = 0, error, "A stub."

    def run(self, effort: Effort) -> list[races.Result]:
        self.runs += 1
        if self.error is not None:
            raise self.error
        return [
            Figure("threads", effort.threads),
            Race({"a": [1.0], "b": [2.0]}, "work", "a", effort.threads),
        ]


def test_a_run_goes_on_where_it_was_stopped(monkeypatch, tmp_path):
    stub, failing = Stub(), Stub(ArithmeticError("b did not compute what a did"))
    monkeypatch.setitem(sys.modules, "benchmarks.stub", stub)
    monkeypatch.setitem(sys.modules, "benchmarks.failing", failing)
    first = report.Run(TINY, "here", folder=tmp_path)
    first.measure([("failing", 1), ("stub", 2)])
    assert first.failed
    assert first.missing == ["failing failed with 1 BLAS thread: b did not compute what a did"]
    failing.error = Unavailable("no data")
    second = report.Run(TINY, "here", resume=True, folder=tmp_path)
    second.measure([("failing", 1), ("stub", 2)])
    assert (stub.runs, failing.runs, second.failed) == (1, 2, False)
    assert second.missing == ["failing was not measured: no data"]
    assert second.figures(2) == {"stub": [Figure("threads", 2)]}
    assert [r.entry() for r in second.races()] == [r.entry() for r in first.races()]
    with pytest.raises(SystemExit, match="--resume goes on with a run under the same conditions"):
        report.Run(TINY, "elsewhere", resume=True, folder=tmp_path)


def test_results_are_read_as_they_were_written(tmp_path):
    given: list[races.Result] = [
        Figure("a", 0.5, 0.4, 0.6, "MiB", at_most=1.0, medians={"x": 1.0}),
        Race({"a": [1.0, 2.0]}, "work", "a", 2, {"b": "no data"}, "bytes"),
    ]
    races.write_json(tmp_path / "new" / "results.json", given)
    figure, again = races.read_json(tmp_path / "new" / "results.json")
    assert figure == given[0]
    assert isinstance(again, Race)
    assert again.entry() == Race({"a": [1.0, 2.0]}, "work", "a", 2, {"b": "no data"}, "bytes").entry()


def test_a_comparison_shows_everybodys_time_and_ratio():
    text = races.comparison(Race({"a": [1e-6, 2e-6, 3e-6], "b": [1e-6, 1e-6, 1e-6]}, "work", "b"))
    assert re.search(r"^work +s +/ b +rounds$", text, re.MULTILINE)
    assert re.search(r"^a +2 µs +2 +1–3$", text, re.MULTILINE)


def some_races() -> list[Race]:
    """Races as a run might have given them."""
    times = {"mytorch": [2e-5, 2e-5, 4e-5], "torch": [1e-5, 2e-5, 2e-5], "best NumPy": [1e-6, 1e-6, 1e-6]}
    missing = {"jax.jit": "jax is not installed: make benchmark installs it"}
    works = [("tiny/1", 1), ("tiny/32", 1), ("small/1", 1), ("tiny/1", 2), ("a work", 1), ("a work", 2)]
    return [
        *(Race(times, what, "torch", threads, missing) for what, threads in works),
        Race({"mytorch": [2e8], "torch": [1e8]}, "peak memory", "torch", unit="bytes"),
    ]


def test_the_page_has_a_table_and_a_plot_of_every_race(tmp_path):
    path = page.write_page(tmp_path, "a machine", some_races(), "| targets |", ["mnist was not measured"])
    text = path.read_text(encoding="utf-8")
    assert "a machine" in text
    assert "| tiny: 2-16-16-2 | batch 1 | batch 32 |" in text
    assert "| mytorch | 20 µs (2) | 20 µs (2) |" in text
    assert "| a work | 1 BLAS thread | rounds | 2 BLAS threads | rounds |" in text
    assert "| best NumPy | 1 µs (0.05) | 0.05–0.1 | 1 µs (0.05) | 0.05–0.1 |" in text
    assert "| mytorch | 191 MiB (2) | 2–2 |" in text
    assert "| targets |" in text
    assert "* mnist was not measured" in text
    assert (
        "* jax.jit: jax is not installed: make benchmark installs it (the training steps; the training steps with "
        "2 BLAS threads; a work; a work with 2 BLAS threads)." in text
    )
    plots = re.findall(r"!\[[^]]*\]\(([^)]+)\)", text)
    assert plots == [f"benchmarks/{name}.png" for name in ("cells-1", "cells-2", "works-1", "works-2")]
    for plot in plots:
        assert (tmp_path / plot).read_bytes().startswith(b"\x89PNG")


def test_a_plot_shows_everybody_beside_their_ratio(monkeypatch, tmp_path):
    from matplotlib.figure import Figure as Canvas

    from benchmarks import plots

    drawn: list[Canvas] = []

    class Kept(Canvas):
        def savefig(self, *arguments: Any, **options: Any) -> None:
            drawn.append(self)

    module = type(sys)("matplotlib.figure")
    vars(module)["Figure"] = Kept
    real = plots.load
    monkeypatch.setattr(plots, "load", lambda name: module if name == "matplotlib.figure" else real(name))
    plots.plot_works(some_races()[4:5], tmp_path / "unused.png")
    plots.plot_cells(some_races()[:3], tmp_path / "unused.png")
    works, steps = drawn
    assert [text.get_text() for text in works.axes[0].texts] == ["20 µs (2)", "20 µs (1)", "1 µs (0.05)"]
    assert no_labels_overlap(works)
    bars: list[Any] = list(works.axes[0].patches)
    assert [bar.get_width() for bar in bars] == pytest.approx([1.0, 0.0, -0.95])
    lines: list[Any] = list(steps.axes[0].lines)
    ratios = np.array([line.get_ydata() for line in lines])
    np.testing.assert_allclose(ratios, [[2.0, 2.0], [1.0, 1.0], [0.05, 0.05]])


def no_labels_overlap(figure: Any) -> bool:
    """Return whether the numbers along every axis, and those beside the bars, leave each other room."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure).draw()
    for axes in figure.axes:
        low, high = sorted(axes.get_xlim())
        boxes = [
            label.get_window_extent()
            for x, label in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
            if low <= x <= high
        ]
        if any(a.x1 > b.x0 for a, b in itertools.pairwise(boxes)):
            return False
        if any(
            not axes.bbox.x0 <= text.get_window_extent().x0 <= text.get_window_extent().x1 <= axes.bbox.x1
            for text in axes.texts
        ):
            return False
    return True


@pytest.mark.parametrize("ratio", [0.9, 0.05, 0.003])
def test_the_numbers_of_a_plot_leave_each_other_room(monkeypatch, tmp_path, ratio):
    pytest.importorskip("matplotlib", reason="plots need matplotlib")
    from matplotlib.figure import Figure as Canvas

    from benchmarks import plots

    drawn: list[Canvas] = []
    monkeypatch.setattr(Canvas, "savefig", lambda self, *_, **__: drawn.append(self))
    race = Race({"mytorch, replayed": [ratio], "torch": [1.0], "autograd": [2 / ratio]}, "a work", "torch")
    plots.plot_works([race, race], tmp_path / "unused.png")
    assert no_labels_overlap(drawn[0])


def test_the_conditions_say_what_is_installed(monkeypatch):
    monkeypatch.setitem(conditions.PACKAGES, "Nothing", "a_package_that_nobody_has")
    monkeypatch.setattr(conditions, "blas", lambda: "a BLAS")
    text = conditions.conditions(TINY)
    assert f"a BLAS, Python {sys.version.split()[0]}, NumPy {np.__version__}" in text
    assert "Nothing not installed; 3 rounds, " in text


def test_the_kernel_of_the_blas_is_what_threadpoolctl_says(monkeypatch):
    pool = {"user_api": "blas", "internal_api": "openblas", "version": "0.3", "architecture": "Zen"}
    monkeypatch.setattr(conditions.importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(conditions, "measure", lambda function: [{"user_api": "openmp"}, pool])
    assert conditions.blas() == "openblas 0.3 with kernel Zen"
    monkeypatch.setattr(conditions.importlib.util, "find_spec", lambda name: None)
    assert conditions.blas() == "BLAS unknown (threadpoolctl is not installed)"


def test_all_that_make_benchmark_installs_is_pinned():
    text = (ROOT / "benchmarks" / "requirements.txt").read_text(encoding="utf-8")
    packages = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert len(packages) >= 10
    assert all(re.match(r"\w+==[\d.]+(; python_version .*)?$", line) for line in packages)


def test_an_unknown_benchmark_is_refused():
    with pytest.raises(SystemExit, match="there is no benchmark nonsense"):
        report.main(["nonsense"])


def first_result(contender: Contender) -> Any:
    """Return the numbers of a contender's first step; None where it cannot take part."""
    try:
        return harness.first(contender.prepare(*contender.arguments))[1]
    except Unavailable:
        return None


def agree(contenders: Sequence[Contender], rtol: float) -> list[str]:
    """Compare the numbers of everybody who is here, and return their names."""
    results = {c.name: first_result(c) for c in harness.present(contenders, TINY)[0]}
    check_same(list(results), list(results.values()), rtol)
    return [name for name, result in results.items() if result is not None]


NUMPY = {"plain NumPy", "best NumPy"}


@pytest.mark.parametrize("cell", [("tiny", 1), ("tiny", 32), ("small", 1), ("medium", 32)])
def test_contenders_of_a_cell_agree(torch, cell):
    assert {"mytorch", "torch", "torch as usual", *NUMPY} <= set(agree(cells.field(*cell), 1e-3))


@pytest.mark.parametrize("arguments", [(40, 10, "float64"), (8, 10_000, "float32")])
def test_contenders_of_the_chains_agree(torch, arguments):
    rtol = 1e-9 if arguments[2] == "float64" else 1e-4
    assert {"mytorch", "torch", *NUMPY} <= set(agree(chains.field(*arguments), rtol))


@pytest.mark.parametrize(
    ("module", "names"),
    [
        (cnn, {"mytorch", "mytorch, windows", "torch", "NumPy, im2col", "NumPy by hand"}),
        (lstm, {"mytorch", "torch, loop over its cell", "torch, fused", "NumPy by hand"}),
        (attention, {"mytorch", "torch", "NumPy by hand"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_contenders_of_other_works_agree(torch, module, names):
    assert names <= set(agree(module.FIELD, 1e-3))


@pytest.mark.parametrize("cell", [("tiny", 1), ("tiny", 32), ("medium", 1), ("medium", 32)])
@pytest.mark.parametrize("choice", [0, -1])
def test_both_forms_of_the_best_numpy_have_torchs_gradients(torch, monkeypatch, cell, choice):
    monkeypatch.setattr(mlp_numpy, "fastest", lambda *candidates: candidates[choice])
    _, expected = harness.first(mlp_frameworks.torch_step(*cell))
    for prepare in (mlp_numpy.plain, mlp_numpy.best):
        np.testing.assert_allclose(harness.first(prepare(*cell))[1], expected, rtol=1e-3, atol=1e-3)


def test_a_step_with_a_wrong_gradient_is_found_out():
    from benchmarks.contenders.training import RATE, compared

    def contender(gradient: float) -> harness.Work:
        parameter = np.ones(3)

        def step() -> float:
            parameter[1] -= RATE * gradient
            return 2.0

        return compared(step, [np.ones(3)], lambda: [parameter])

    results = [harness.first(contender(gradient))[1] for gradient in (1.0, 1.0, 1.01)]
    check_same(["a", "b"], results[:2], 1e-3)
    with pytest.raises(ArithmeticError, match="c did not compute what b did"):
        check_same(["b", "c"], results[1:], 1e-3)


def test_contenders_of_the_operations_agree(torch):
    for constants in operations.CONSTANTS:
        assert operations.speed(constants, True, TINY)


def test_a_benchmark_with_races_runs_in_processes(torch, tmp_path):
    (times, *shown) = hvp.run(TINY)
    assert isinstance(times, Race)
    assert {"mytorch", "torch", "torch.func", "NumPy by hand"} <= set(times.times)
    assert all(isinstance(figure, Figure) for figure in shown)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (2.0, "2 s"),
        (0.9999, "1 s"),
        (1.2345e-3, "1.23 ms"),
        (9.996e-4, "1 ms"),
        (9.99e-4, "999 µs"),
        (9.999e-7, "1 µs"),
    ],
)
def test_times_have_three_digits_and_a_unit(seconds: float, text: str) -> None:
    assert show_time(seconds) == text
