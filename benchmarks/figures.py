"""Figures: what is asked of benchmarks, and what they found, as lines of a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Figure:
    """One line of a table: a value, how far it spread, and what it is to be.

    A value without a unit is a ratio, the median of those that the rounds gave; `low` and `high` are the least
    and the greatest of them.  `medians` are the times behind it, in seconds per unit of work.
    """

    what: str
    value: float
    low: float | None = None
    high: float | None = None
    unit: str = ""
    at_most: float | None = None
    at_least: float | None = None
    medians: dict[str, float] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        """Whether the value is what it is to be; None where nothing is asked of it."""
        if self.at_most is None and self.at_least is None:
            return None
        low = -math.inf if self.at_least is None else self.at_least
        high = math.inf if self.at_most is None else self.at_most
        return low <= self.value <= high


def table(figures: Sequence[Figure]) -> str:
    """Return figures as lines of aligned columns, with the times behind the ratios."""
    rows = [("", "value", "rounds", "target", "", "times")]
    for f in figures:
        times = ", ".join(f"{name} {show_time(seconds)}" for name, seconds in f.medians.items())
        rows.append((f.what, show_value(f), show_range(f), show_target(f), verdict(f), times))
    return aligned(rows)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of cells as lines of aligned columns."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def show_value(figure: Figure) -> str:
    """Return the value with its unit."""
    return f"{show_number(figure.value)} {figure.unit}".rstrip()


def show_range(figure: Figure) -> str:
    """Return the least and greatest value of the rounds."""
    if figure.low is None or figure.high is None:
        return ""
    return f"{show_number(figure.low)}–{show_number(figure.high)}"


def show_target(figure: Figure) -> str:
    """Return what the value is to be."""
    limits = [("≤", figure.at_most), ("≥", figure.at_least)]
    return ", ".join(f"{sign} {show_number(limit)}" for sign, limit in limits if limit is not None)


def verdict(figure: Figure) -> str:
    """Return a word for `Figure.met`."""
    return {None: "", True: "met", False: "missed"}[figure.met]


def show_number(value: float) -> str:
    """Return a number with about three significant digits."""
    return f"{value:.0f}" if abs(value) >= 99.95 else f"{value:.3g}"


def show_time(seconds: float) -> str:
    """Return a time in a unit that suits it."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= 0.9995 * scale:  # which three digits show as one
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def show_bytes(size: float) -> str:
    """Return an amount of memory in a unit that suits it."""
    return f"{show_number(size / 2**20)} MiB" if size >= 2**20 else f"{show_number(size)} bytes"
