"""The page docs/benchmarks.md: every race with everyone in it, as tables and plots."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from benchmarks.contenders.mlp import BATCHES, NETWORKS
from benchmarks.figures import show_number
from benchmarks.plots import plot_cells, plot_works
from benchmarks.races import Race

HOW = """\
`make benchmark` wrote this page and its plots, and [results.json](benchmarks/results.json) with every round. Each
contender lives in a process of its own, the processes take turns, and all computed the same numbers. A time is the
median of the rounds, of elementwise operations that of one; behind it stands the median of the rounds' ratios to the
time of the contender that has 1. So below 1 is faster. Times drift between runs, ratios hardly do."""
WHO = """\
*torch* is PyTorch at its leanest (`autograd.grad`, one `_foreach_add_`), *torch as usual* has modules, a loss and an
optimizer; *plain NumPy* is the gradient by hand as one writes it, *best NumPy* with everything that makes NumPy fast;
*matrix products alone* are the products of a step in NumPy, and nothing else: only SciPy's BLAS, which adds products to
the weights in the same call, or products that stay in the cache, can undercut them."""


def is_cell(race: Race) -> bool:
    """Tell whether a race is one of the sixteen training steps, named network/batch."""
    network, _, batch = race.what.partition("/")
    return network in NETWORKS and batch.isdigit()


def write_page(
    folder: Path, conditions: str, races: Sequence[Race], targets: str, missing: Sequence[str]
) -> Path:
    """Write benchmarks.md into a folder, and its plots beside it; return its path.

    Parameters
    ----------
    conditions : where and how was measured
    races : all of them, with any number of threads
    targets : the table of figures with two threads
    missing : sentences on benchmarks that have no results
    """
    plots = folder / "benchmarks"
    plots.mkdir(parents=True, exist_ok=True)
    parts = ["# Benchmarks", conditions, HOW, WHO]
    cells = [race for race in races if is_cell(race)]
    works = [race for race in races if not is_cell(race)]
    for threads in sorted({race.threads for race in cells}):
        part = [race for race in cells if race.threads == threads]
        plot_cells(part, plots / f"cells-{threads}.png")
        parts.append(f"## Training steps of perceptrons, {count(threads)}")
        parts.append(f"![Training steps, {count(threads)}](benchmarks/cells-{threads}.png)")
        parts += [cell_table(network, part) for network in NETWORKS if networks(part, network)]
    if works:
        parts.append("## Other works")
        for threads in sorted({race.threads for race in works}):
            plot_works([race for race in works if race.threads == threads], plots / f"works-{threads}.png")
            parts.append(f"![Other works, {count(threads)}](benchmarks/works-{threads}.png)")
        parts += [work_table(what, works) for what in dict.fromkeys(race.what for race in works)]
    if targets:
        parts += [
            "## Targets with two BLAS threads",
            "The figures with one thread are in the README.",
            targets,
        ]
    absent = [*missing, *absences(races)]
    if absent:
        parts += ["## Who is missing", "\n".join(f"* {sentence}" for sentence in absent)]
    path = folder / "benchmarks.md"
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return path


def count(threads: int) -> str:
    """Return a number of threads in words."""
    return f"{threads} BLAS thread{'s' if threads > 1 else ''}"


def networks(races: Sequence[Race], network: str) -> dict[str, Race]:
    """Return the cells of a network by batch size."""
    return {race.what.partition("/")[2]: race for race in races if race.what.partition("/")[0] == network}


def cell_table(network: str, races: Sequence[Race]) -> str:
    """Return the cells of one network: a row per contender, a column per batch size."""
    cells = networks(races, network)
    batches = [str(batch) for batch in BATCHES if str(batch) in cells]
    sizes = "-".join(map(str, NETWORKS[network]))
    rows = [f"| {network}: {sizes} | {' | '.join(f'batch {batch}' for batch in batches)} |"]
    rows.append("|---" * (len(batches) + 1) + "|")
    rows += [
        f"| {name} | {' | '.join(entry(cells[batch], name) for batch in batches)} |"
        for name in names_of([cells[batch] for batch in batches])
    ]
    return "\n".join(rows)


def work_table(what: str, races: Sequence[Race]) -> str:
    """Return one work: a row per contender, columns for one thread and for two."""
    columns = sorted((race for race in races if race.what == what), key=lambda race: race.threads)
    head = " | ".join(f"{count(race.threads)} | rounds" for race in columns)
    rows = [f"| {what} | {head} |", "|---" * (2 * len(columns) + 1) + "|"]
    for name in names_of(columns):
        cells = " | ".join(f"{entry(race, name)} | {spread(race, name)}" for race in columns)
        rows.append(f"| {name} | {cells} |")
    return "\n".join(rows)


def names_of(races: Sequence[Race]) -> list[str]:
    """Return everybody who takes part in any of some races."""
    return list(dict.fromkeys(name for race in races for name in race.times))


def entry(race: Race, name: str) -> str:
    """Return what was measured of a contender, and its ratio."""
    if name not in race.times:
        return ""
    ratio = race.ratio(name)
    return race.show(race.medians[name]) + ("" if ratio is None else f" ({show_number(ratio)})")


def spread(race: Race, name: str) -> str:
    """Return the least and greatest ratio of a round."""
    if race.ratio(name) is None or name == race.against:
        return ""
    ratios = race.ratios(name, race.against)
    return f"{show_number(min(ratios))}–{show_number(max(ratios))}"


def absences(races: Sequence[Race]) -> list[str]:
    """Return who did not take part, where and why, a sentence for each reason."""
    where: dict[tuple[str, str], dict[str, None]] = {}
    for race in races:
        for name, reason in race.missing.items():
            work = "the training steps" if is_cell(race) else race.what
            threads = "" if race.threads == 1 else f" with {count(race.threads)}"
            where.setdefault((name, reason), {})[work + threads] = None
    return [
        f"{name}: {re.sub(r'[.]$', '', reason)} ({'; '.join(works)})."
        for (name, reason), works in where.items()
    ]
