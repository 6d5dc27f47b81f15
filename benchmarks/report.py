"""Run every benchmark, and write the table that the README shows.

A quick run prints its table, too, but is no measurement: it leaves the README as it is.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path

from benchmarks.figures import Figure, show_range, show_target, show_value, table, verdict, write_json
from benchmarks.harness import RESULTS, ROOT, Effort, Unavailable, add_effort, effort_of

BENCHMARKS = (
    "cells",
    "operations",
    "million",
    "hvp",
    "memory",
    "mnist",
    "wanted",
    "guard",
    "needle",
    "variable",
    "vugrad",
)
BEGIN, END = "<!-- benchmarks:begin -->", "<!-- benchmarks:end -->"


def measure_all(names: Sequence[str], effort: Effort) -> tuple[dict[str, list[Figure]], list[str]]:
    """Return the figures of each benchmark, and why the others have none."""
    results, missing = {}, []
    for name in names:
        benchmark = importlib.import_module(f"benchmarks.{name}")
        try:
            results[name] = benchmark.run(effort)
        except Unavailable as error:
            missing.append(f"{name} was not measured: {error}")
            print(missing[-1])
            continue
        print(f"{(benchmark.__doc__ or name).splitlines()[0]}\n\n{table(results[name])}\n", flush=True)
        write_json(RESULTS / f"{name}.json", results[name])
    return results, missing


def conditions(effort: Effort) -> str:
    """Return where and how was measured, in a sentence."""
    versions = ", ".join(f"{label} {version(package)}" for label, package in PACKAGES.items())
    return (
        f"{processor()}, {os.cpu_count()} cores, Python {platform.python_version()}, {versions}, "
        f"{effort.threads} BLAS thread{'s' if effort.threads > 1 else ''}, {effort.rounds} rounds."
    )


PACKAGES = {"NumPy": "numpy", "PyTorch": "torch"}


def version(package: str) -> str:
    """Return the version of an installed package."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def processor() -> str:
    """Return the processor's name."""
    information = Path("/proc/cpuinfo")
    text = information.read_text(encoding="utf-8") if information.exists() else ""
    name = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return name[1].strip() if name else platform.processor() or platform.machine()


def markdown(results: dict[str, list[Figure]], missing: Sequence[str], effort: Effort) -> str:
    """Return the results as the README shows them."""
    parts = [conditions(effort)]
    if "cells" in results:
        parts.append(grid(results["cells"]))
    rest = [figure for name, figures in results.items() if name != "cells" for figure in figures]
    if rest:
        rows = ("| | value | rounds | target | |", "|---|---|---|---|---|")
        parts.append("\n".join([*rows, *map(line, rest)]))
    return "\n\n".join([*parts, *missing])


def line(figure: Figure) -> str:
    """Return a figure as a row of a table."""
    cells = (figure.what, show_value(figure), show_range(figure), show_target(figure), verdict(figure))
    return f"| {' | '.join(cells)} |"


def grid(figures: Sequence[Figure]) -> str:
    """Return the training steps, each named network/batch, as a table of networks and batch sizes."""
    values: dict[str, dict[str, str]] = {}
    for figure in figures:
        network, _, batch = figure.what.partition("/")
        values.setdefault(network, {})[batch] = show_value(figure)
    batches = list(next(iter(values.values())))
    head = f"| training step against leanest torch | {' | '.join(f'batch {batch}' for batch in batches)} |"
    rows = [f"| {network} | {' | '.join(row.values())} |" for network, row in values.items()]
    return "\n".join([head, "|---" * (len(batches) + 1) + "|", *rows])


def insert(document: str, text: str) -> str:
    """Return a document with what stands between its two markers replaced."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"expected the lines {BEGIN} and {END}, between which the table is written")
    return f"{before}{BEGIN}\n{text}\n{END}{after}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the README's table."""
    parser = argparse.ArgumentParser(description="Run every benchmark, and write the README's table.")
    parser.add_argument("names", nargs="*", default=BENCHMARKS, help=f"which (all: {', '.join(BENCHMARKS)})")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md", help="the document to write into")
    add_effort(parser)
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.names) - set(BENCHMARKS))
    if unknown:
        raise SystemExit(f"there is no benchmark {', '.join(unknown)}; choose from {', '.join(BENCHMARKS)}")
    effort = effort_of(options)
    text = markdown(*measure_all(options.names, effort), effort)
    if effort.quick or set(options.names) != set(BENCHMARKS):
        print(f"{text}\n\nnot written to {options.readme.name}: that takes a whole run of all benchmarks")
        return
    document = options.readme.read_text(encoding="utf-8")
    options.readme.write_text(insert(document, text), encoding="utf-8")
    print(f"written to {options.readme}")


if __name__ == "__main__":
    main()
