"""The picture of a `mytorch.replay.report.Report`: where the time goes, and where memory lies when."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mytorch.replay.report import Report

COLOURS = {"forward": "#4c9f70", "backward": "#3b7dd8", "update": "#e08e45"}
LABELS = 8  # operations whose names stand above their bars
UNITS = ("bytes", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)


def plot(report: Report, path: str | Path, *, dpi: int = 150) -> Path:
    """Draw a report into a file: see `Report.plot`."""
    path = Path(path)
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise ValueError(f"a plot of a report is a .png, .svg or .pdf file, not {path.name!r}")
    try:
        import_module("matplotlib")
    except ImportError:
        raise ImportError(
            "the plot of a report needs matplotlib, which is missing: pip install matplotlib "
            "(print(report) needs nothing)"
        ) from None
    figure(report).savefig(path, dpi=dpi)
    return path


def figure(report: Report) -> Any:
    """Return the picture as a matplotlib Figure: times above, memory below, over the same numbers of operations."""
    from matplotlib.figure import Figure

    timed = report.rounds > 0
    picture = Figure(figsize=(11, 7.4 if timed else 4.6), layout="constrained")
    if timed:
        above, below = picture.subplots(2, 1, sharex=True, height_ratios=(1, 1))
        _draw_times(above, report)
    else:
        below = picture.subplots()
    _draw_memory(below, report)
    picture.suptitle(f"{report.name}: {len(report.operations)} operations", fontsize=13)
    picture.legend(*_legend(report), loc="outside lower center", ncols=3, frameon=False)
    return picture


def _legend(report: Report) -> tuple[list[Any], list[str]]:
    """Return a sign and a text for each phase."""
    from matplotlib.patches import Patch

    signs, texts = [], []
    for phase, colour in COLOURS.items():
        members = [timed for timed in report.operations if timed.phase == phase]
        if members:
            signs.append(Patch(color=colour))
            seconds = sum(timed.seconds or 0.0 for timed in members)
            texts.append(f"{phase}, {1e6 * seconds:.1f} µs" if report.rounds else phase)
    return signs, texts


def _draw_times(axes: Any, report: Report) -> None:
    """Draw the time of every operation as a bar."""
    times = [1e6 * (timed.seconds or 0.0) for timed in report.operations]
    axes.bar(
        [timed.position + 0.5 for timed in report.operations],
        times,
        width=0.86,
        color=[COLOURS[timed.phase] for timed in report.operations],
    )
    largest = sorted(report.operations, key=lambda timed: -times[timed.position])[:LABELS]
    tall = max(times, default=0.0)
    for timed in largest:
        if times[timed.position] > 0.04 * tall:
            axes.annotate(
                timed.operation.removeprefix("np."),
                (timed.position + 0.5, times[timed.position]),
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                va="bottom",
                rotation=90,
                fontsize=8,
                color="#333333",
            )
    axes.set_ylim(0, 1.4 * tall or 1.0)
    axes.set_ylabel("µs per operation")
    axes.set_title(
        f"time: {sum(times):.1f} µs in all (least of {report.rounds} rounds)", loc="left", fontsize=10
    )
    _tidy(axes)


def _draw_memory(axes: Any, report: Report) -> None:
    """Draw every array as a box: from birth to last use, at its place in the block."""
    from matplotlib.patches import Rectangle

    unit, scale = next((u, s) for u, s in reversed(UNITS) if report.nbytes >= 4 * s or s == 1)
    end = len(report.operations)
    for birth, death, offset, size in report.places:
        left, right = max(birth, -1), min(death, end) + 1
        maker = report.operations[birth].phase if 0 <= birth < end else None
        axes.add_patch(
            Rectangle(
                (left, offset / scale),
                right - left,
                size / scale,
                facecolor=COLOURS.get(maker or "", "#bdbdbd"),
                alpha=0.75,
                edgecolor="white",
                linewidth=0.8,
            )
        )
    for height, text in ((report.nbytes, "the block"), (report.lower_bound, "lower bound")):
        axes.axhline(
            height / scale, color="#444444", linewidth=0.9, linestyle="-" if text == "the block" else ":"
        )
    axes.set_xlim(-1.2, end + 1.2)
    axes.set_ylim(0, 1.08 * report.nbytes / scale or 1.0)
    axes.set_xlabel("number of the operation (grey: filled before the first)")
    axes.set_ylabel(f"place in the block ({unit})")
    axes.set_title(
        f"memory: {report.nbytes:,} bytes (line); lower bound {report.lower_bound:,} (dots); "
        f"without reuse {report.without_reuse:,}",
        loc="left",
        fontsize=10,
    )
    _tidy(axes)


def _tidy(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
