"""The harness measures what it says it does: processes, turns, agreement, figures, the README's table.

No test looks at how long anything took.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest

from benchmarks import figures, harness, report
from benchmarks.figures import Figure
from benchmarks.harness import Contender, Effort, Race, check_same, measure, race
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


def test_a_figure_is_the_ratio_of_medians_with_the_spread_of_the_rounds():
    result = Race({"ours": [1.0, 2.0, 9.0], "theirs": [4.0, 4.0, 3.0]})
    figure = result.figure("work", "ours", "theirs", at_most=0.5)
    assert (figure.value, figure.low, figure.high) == (0.5, 0.25, 3.0)
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


def test_the_report_shows_cells_as_a_grid_and_says_what_is_missing():
    cells = [Figure(f"{network}/{batch}", 0.5) for network in ("tiny", "small") for batch in (1, 32)]
    results = {"cells": cells, "hvp": [Figure("a product", 0.7, 0.6, 0.8, at_most=1.0)]}
    text = report.markdown(results, ["mnist was not measured: no data"], TINY)
    assert "| small | 0.5 | 0.5 |" in text
    assert "| a product | 0.7 | 0.6–0.8 | ≤ 1 | met |" in text
    assert text.endswith("mnist was not measured: no data")


def test_every_benchmark_is_in_the_report():
    helpers = {"__init__", "__main__", "figures", "harness", "report"}
    there = {path.stem for path in (ROOT / "benchmarks").glob("*.py")} - helpers
    assert there == set(report.BENCHMARKS)


def test_an_unknown_benchmark_is_refused():
    with pytest.raises(SystemExit, match="there is no benchmark nonsense"):
        report.main(["nonsense"])


def test_contenders_of_the_hessian_vector_product_agree(torch):
    from benchmarks import hvp

    (shown, _) = hvp.run(TINY)
    assert set(shown.medians) == {"mytorch", "torch"}


def test_contenders_of_the_chains_agree(torch):
    from benchmarks import operations

    for constants in operations.CONSTANTS:
        assert operations.speed(constants, True, TINY)


def test_contenders_of_a_cell_agree(torch):
    from benchmarks.cells import mytorch_step, torch_step

    arguments = ("tiny", 32)
    contenders = [Contender("mytorch", mytorch_step, arguments), Contender("torch", torch_step, arguments)]
    assert race(contenders, TINY, rtol=1e-5).times
