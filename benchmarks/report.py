"""Run every benchmark; write the table that the README shows, and docs/benchmarks.md with tables and plots.

Results are written to build/benchmarks/ as they come, one file per benchmark and number of threads, and ``--resume``
goes on where a run on the same machine was stopped.  A quick run, or one of some benchmarks, prints what it found, and
writes its page to build/benchmarks/, too: it is no measurement, and leaves README and docs/ as they are.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.conditions import conditions
from benchmarks.figures import Figure, show_range, show_target, show_value, verdict
from benchmarks.harness import RESULTS, ROOT, Effort, Race, Result, Unavailable, add_effort, effort_of
from benchmarks.page import write_page
from benchmarks.races import read_json, show, write_json

BENCHMARKS = (
    "cells",
    "chains",
    "cnn",
    "lstm",
    "attention",
    "hvp",
    "backends",
    "memory",
    "first_call",
    "operations",
    "million",
    "mnist",
    "wanted",
    "guard",
    "needle",
    "variable",
    "vugrad",
)
# What two BLAS threads can change.
THREADED = ("cells", "chains", "cnn", "lstm", "attention")
BEGIN, END = "<!-- benchmarks:begin -->", "<!-- benchmarks:end -->"
Job = tuple[str, int]


class Run:
    """The results of a run, by benchmark and number of threads, and why the others have none.

    Parameters
    ----------
    effort : how long to measure; its threads are those of each job
    conditions : where and how is measured, in a sentence
    resume : whether to take over what a run under the same conditions left in build/benchmarks/
    """

    def __init__(self, effort: Effort, conditions: str, resume: bool = False, folder: Path = RESULTS) -> None:
        self.effort, self.conditions, self.folder = effort, conditions, folder
        self.results: dict[Job, list[Result]] = {}
        self.missing: list[str] = []
        self.failed = False
        self.state = folder / "state.json"
        if resume:
            self.take_over()

    def take_over(self) -> None:
        """Read the results of the jobs that were finished."""
        state = json.loads(self.state.read_text(encoding="utf-8")) if self.state.exists() else {}
        if state.get("conditions") != self.conditions:
            raise SystemExit(
                f"--resume goes on with a run under the same conditions; that in {self.folder} was under "
                f"{state.get('conditions', 'none that it says')!r}, and these are {self.conditions!r}: "
                "start anew, without --resume"
            )
        for name, threads in state["done"]:
            self.results[name, threads] = read_json(self.path((name, threads)))

    def path(self, job: Job) -> Path:
        """Return where the results of a job are written."""
        return self.folder / f"{job[0]}-{job[1]}.json"

    def measure(self, jobs: Sequence[Job]) -> None:
        """Do the jobs that have no results yet; what is not here, or fails, stops no other."""
        for job in jobs:
            if job in self.results:
                continue
            name, threads = job
            try:
                self.results[job] = list(self.measured(job))
            except Unavailable as error:
                self.say(f"{name} was not measured: {error}")
            except (ArithmeticError, RuntimeError) as error:
                self.failed = True
                self.say(f"{name} failed with {threads} BLAS thread{'s' if threads > 1 else ''}: {error}")
            else:
                done = [list(job) for job in self.results]
                state = {"conditions": self.conditions, "done": done}
                self.state.write_text(json.dumps(state) + "\n", encoding="utf-8")

    def measured(self, job: Job) -> Iterator[Result]:
        """Run a benchmark; print its results and write them as they come."""
        name, threads = job
        benchmark = importlib.import_module(f"benchmarks.{name}")
        print(f"{(benchmark.__doc__ or name).splitlines()[0]}\n", flush=True)
        so_far: list[Result] = []
        for result in benchmark.run(self.effort.with_threads(threads)):
            so_far.append(result)
            write_json(self.path(job), so_far)
            print(f"{show([result])}\n", flush=True)
            yield result

    def say(self, sentence: str) -> None:
        """Note what is missing."""
        self.missing.append(sentence)
        print(f"{sentence}\n", flush=True)

    def figures(self, threads: int) -> dict[str, list[Figure]]:
        """Return the figures of each benchmark."""
        return {
            name: [result for result in results if isinstance(result, Figure)]
            for (name, number), results in self.results.items()
            if number == threads
        }

    def races(self) -> list[Race]:
        """Return all races."""
        return [r for results in self.results.values() for r in results if isinstance(r, Race)]


def markdown(results: dict[str, list[Figure]], missing: Sequence[str], condition: str) -> str:
    """Return the results as the README shows them."""
    parts = [condition]
    if results.get("cells"):
        parts += grids(results["cells"])
    rest = [figure for name, figures in results.items() if name != "cells" for figure in figures]
    if rest:
        parts.append(f"<details><summary>All other figures</summary>\n\n{lines(rest)}\n\n</details>")
    return "\n\n".join([*parts, *missing])


def lines(figures: Sequence[Figure]) -> str:
    """Return figures as a table."""
    rows = ["| | value | rounds | target | |", "|---|---|---|---|---|"]
    for figure in figures:
        cells = (figure.what, show_value(figure), show_range(figure), show_target(figure), verdict(figure))
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def grids(figures: Sequence[Figure]) -> list[str]:
    """Return training steps, named network/batch and what they are compared with, as tables of both sizes."""
    groups: dict[str, list[Figure]] = {}
    for figure in figures:
        _, _, kind = figure.what.partition(", ")
        groups.setdefault(kind or "against torch", []).append(figure)
    return [grid(kind, group) for kind, group in groups.items()]


def grid(kind: str, figures: Sequence[Figure]) -> str:
    """Return one ratio of all training steps as a table of networks and batch sizes."""
    values: dict[str, dict[str, str]] = {}
    batches: dict[str, None] = {}
    for figure in figures:
        network, batch = figure.what.partition(", ")[0].split("/")
        values.setdefault(network, {})[batch] = show_value(figure)
        batches[batch] = None
    head = f"| training step, {kind} | {' | '.join(f'batch {batch}' for batch in batches)} |"
    rows = [
        f"| {network} | {' | '.join(row.get(batch, '') for batch in batches)} |"
        for network, row in values.items()
    ]
    return "\n".join([head, "|---" * (len(batches) + 1) + "|", *rows])


def insert(document: str, text: str) -> str:
    """Return a document with what stands between its two markers replaced."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"expected the lines {BEGIN} and {END}, between which the table is written")
    return f"{before}{BEGIN}\n{text}\n{END}{after}"


def jobs_of(names: Sequence[str], threads: int | None) -> list[Job]:
    """Return what is to be measured: with one thread, and, where that changes something, with two."""
    if threads is not None:
        return [(name, threads) for name in names]
    twice = [name for name in names if name in THREADED] if (os.cpu_count() or 1) > 1 else []
    return [*((name, 1) for name in names), *((name, 2) for name in twice)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write README and docs/benchmarks.md."""
    parser = argparse.ArgumentParser(
        description="Run every benchmark, and write README and docs/benchmarks.md."
    )
    parser.add_argument("names", nargs="*", default=BENCHMARKS, help=f"which (all: {', '.join(BENCHMARKS)})")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md", help="the document to write into")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs", help="the folder of benchmarks.md")
    parser.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    add_effort(parser)
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.names) - set(BENCHMARKS))
    if unknown:
        raise SystemExit(f"there is no benchmark {', '.join(unknown)}; choose from {', '.join(BENCHMARKS)}")
    effort = effort_of(options)
    run = Run(effort, conditions(effort), options.resume)
    run.measure(jobs_of(options.names, options.threads))
    whole = not effort.quick and options.threads is None and set(options.names) == set(BENCHMARKS)
    publish(run, options.readme if whole else None, options.docs if whole else RESULTS)
    if run.failed:
        raise SystemExit("some benchmarks failed: see above")


def publish(run: Run, readme: Path | None, docs: Path) -> None:
    """Write what was found into documents; without a README, print its table."""
    text = markdown(run.figures(1), run.missing, run.conditions)
    page = write_page(docs, run.conditions, run.races(), lines_of(run.figures(2)), run.missing)
    results = [result for job in run.results.values() for result in job]
    write_json(page.with_suffix("") / "results.json", results)
    if readme is None:
        print(f"{text}\n\nREADME and docs are as they were: they take a whole run of all benchmarks")
    else:
        readme.write_text(insert(readme.read_text(encoding="utf-8"), text), encoding="utf-8")
        print(f"written to {readme}")
    print(f"written to {page}")


def lines_of(figures: dict[str, list[Figure]]) -> str:
    """Return the figures of several benchmarks as one table; nothing where there are none."""
    together = [figure for part in figures.values() for figure in part]
    return lines(together) if together else ""


if __name__ == "__main__":
    main()
