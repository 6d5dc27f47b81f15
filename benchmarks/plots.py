"""The plots of docs/benchmarks.md: how every contender compares with the one that has 1."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.contenders.mlp import BATCHES, NETWORKS
from benchmarks.figures import show_number
from benchmarks.harness import load
from benchmarks.races import Race

# A contender has the same look in every plot; its family shares a colour, the family's fastest form is filled.
LOOKS = {
    "mytorch": ("#d62728", "o", "-"),
    "mytorch, replayed": ("#d62728", "D", "--"),
    "torch": ("#000000", "s", "-"),
    "torch as usual": ("#7f7f7f", "s", ":"),
    "torch.compile": ("#7f7f7f", "^", "--"),
    "jax.jit": ("#1f77b4", "v", "-"),
    "autograd": ("#8c564b", "x", ":"),
    "mygrad": ("#9467bd", "+", ":"),
    "plain NumPy": ("#2ca02c", "P", ":"),
    "best NumPy": ("#2ca02c", "*", "-"),
    "best NumPy, SciPy's BLAS": ("#bcbd22", "*", "--"),
    "matrix products alone": ("#17becf", "_", "-."),
}
FAMILIES = {"mytorch": "mytorch", "torch": "torch", "NumPy": "best NumPy"}
OTHER = ("#e377c2", "o", "-")


def look(name: str) -> tuple[str, str, str]:
    """Return the colour, marker and line of a contender: its own, or those of the family in its name."""
    family = next((known for word, known in FAMILIES.items() if word in name), "")
    return LOOKS.get(name) or LOOKS.get(family, OTHER)


def plot_cells(races: Sequence[Race], path: Path) -> None:
    """Draw the ratios of all training steps: a panel per network, batch sizes along it, a line per contender."""
    figure = load("matplotlib.figure").Figure(figsize=(11, 8.5), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True).ravel()
    seen: dict[str, Any] = {}
    for network, axes in zip(NETWORKS, panels, strict=True):
        cells = {race.what: race for race in races}
        names = dict.fromkeys(name for race in races for name in race.times)
        for name in names:
            points = [
                (i, ratio)
                for i, batch in enumerate(BATCHES)
                if (race := cells.get(f"{network}/{batch}")) and (ratio := race.ratio(name)) is not None
            ]
            if points:
                color, marker, line = look(name)
                (seen[name],) = axes.plot(*zip(*points, strict=True), line, color=color, marker=marker, ms=7)
        axes.set_title(f"{network}: {'-'.join(map(str, NETWORKS[network]))}")
        axes.set_xticks(range(len(BATCHES)), [f"batch {batch}" for batch in BATCHES])
        axes.set_ylabel(f"time / that of {races[0].against}")
        logarithmic(axes.yaxis)
        axes.grid(axis="y", alpha=0.3)
    figure.legend(seen.values(), seen.keys(), loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(path, dpi=110)


def plot_works(races: Sequence[Race], path: Path) -> None:
    """Draw the ratios of other works: a panel for each, a bar per contender with what was measured."""
    columns = 2 if len(races) > 1 else 1
    rows = -(-len(races) // columns)
    figure = load("matplotlib.figure").Figure(figsize=(6 * columns, 2.9 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for race, axes in zip(races, panels, strict=False):
        names = [name for name in race.times if race.ratio(name) is not None]
        ratios = [race.ratio(name) or 0.0 for name in names]
        colors = [look(name)[0] for name in names]
        axes.barh(names, [ratio - 1 for ratio in ratios], left=1, color=colors)
        for i, (name, ratio) in enumerate(zip(names, ratios, strict=True)):
            label, side = f"{race.show(race.medians[name])} ({show_number(ratio)})", -1 if ratio < 1 else 1
            place = {"xytext": (4 * side, 0), "textcoords": "offset points", "va": "center", "fontsize": 8}
            axes.annotate(label, (ratio, i), ha="right" if ratio < 1 else "left", **place)
        axes.set_title(race.what, fontsize=10)
        least, most = min(*ratios, 1), max(*ratios, 1)
        logarithmic(axes.xaxis, (1.0, 2.0, 5.0) if most / least < 20 else (1.0,))
        room = (most / least) ** 0.65 * 1.4  # for what stands beside the bars, whose length is relative, too
        axes.set_xlim(least / room, most * room)
        measured = "time" if race.unit == "s" else "memory"
        axes.set_xlabel(f"{measured} / that of {race.against}", fontsize=8)
        axes.axvline(1, color="black", linewidth=0.8)
        axes.invert_yaxis()
        axes.tick_params(labelsize=8)
    for axes in panels[len(races) :]:
        axes.set_axis_off()
    figure.savefig(path, dpi=110)


def logarithmic(axis: Any, steps: Sequence[float] = (1.0, 2.0, 5.0)) -> None:
    """Give an axis a logarithmic scale with plain numbers, at `steps` in every power of ten."""
    ticker = load("matplotlib.ticker")
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    axis.set_major_locator(ticker.LogLocator(subs=steps, numticks=9))
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: show_number(value)))
    axis.set_minor_formatter(ticker.NullFormatter())
