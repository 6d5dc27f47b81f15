"""Races: what was measured of each contender in each round, as a table for people and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median

from benchmarks.figures import Figure, aligned, show_bytes, show_number, show_time, table

Limits = Mapping[str, float]


class Unavailable(Exception):
    """Something that a benchmark needs is not here; the message says what, and where to get it."""


class Race:
    """What was measured of each contender in each round: seconds per unit of work, or bytes.

    Parameters
    ----------
    times : per contender, in the order of the rounds
    what : the work, as tables name it
    against : whom tables compare the others with; by default the first
    threads : BLAS threads of each contender
    missing : why the other contenders did not take part
    unit : ``"s"`` or ``"bytes"``
    """

    def __init__(
        self,
        times: dict[str, list[float]],
        what: str = "",
        against: str = "",
        threads: int = 1,
        missing: Mapping[str, str] | None = None,
        unit: str = "s",
    ) -> None:
        self.times, self.what, self.threads, self.unit = times, what, threads, unit
        self.against = against or next(iter(times), "")
        self.missing = dict(missing or {})
        self.medians = {name: median(rounds) for name, rounds in times.items()}

    def ratios(self, ours: str, theirs: str) -> list[float]:
        """Return what `ours` measured over what `theirs` did, round by round."""
        for name in (ours, theirs):
            if name not in self.times:
                raise Unavailable(f"{name} did not take part: {self.missing.get(name, 'nobody asked it to')}")
        return [a / b for a, b in zip(self.times[ours], self.times[theirs], strict=True)]

    def ratio(self, name: str) -> float | None:
        """Return the median of the rounds' ratios to `against`; None where one of the two is missing."""
        here = name in self.times and self.against in self.times
        return median(self.ratios(name, self.against)) if here else None

    def figure(
        self,
        what: str,
        ours: str,
        theirs: str,
        *,
        at_most: float | None = None,
        at_least: float | None = None,
    ) -> Figure:
        """Return the median of the rounds' ratios of `ours` to `theirs`: below 1 where ours is less."""
        ratios = self.ratios(ours, theirs)
        medians = {name: self.medians[name] for name in (ours, theirs)} if self.unit == "s" else {}
        return Figure(what, median(ratios), min(ratios), max(ratios), "", at_most, at_least, medians)

    def figures(self, *rows: tuple[str, str, str, Limits]) -> list[Figure]:
        """Return those of some figures, each ``(what, ours, theirs, limits)``, whose contenders took part."""
        return [
            self.figure(what, ours, theirs, at_most=limits.get("at_most"), at_least=limits.get("at_least"))
            for what, ours, theirs, limits in rows
            if ours in self.times and theirs in self.times
        ]

    def show(self, value: float) -> str:
        """Return what was measured with a unit that suits it."""
        return show_time(value) if self.unit == "s" else show_bytes(value)

    def entry(self) -> dict[str, object]:
        """Return all of it for JSON."""
        return {
            "race": self.what,
            "against": self.against,
            "threads": self.threads,
            "unit": self.unit,
            "times": self.times,
            "missing": self.missing,
        }


Result = Figure | Race


def show(results: Sequence[Result]) -> str:
    """Return races, everyone in them, and then the figures, as text."""
    figures = [result for result in results if isinstance(result, Figure)]
    parts = [comparison(result) for result in results if isinstance(result, Race)]
    return "\n\n".join([*parts, table(figures)] if figures else parts)


def comparison(race: Race) -> str:
    """Return a race as lines of aligned columns: what was measured, and the ratio to `against`."""
    rows = [(race.what, race.unit, f"/ {race.against}", "rounds")]
    for name, value in race.medians.items():
        ratio, spread = race.ratio(name), ""
        if ratio is not None:
            ratios = race.ratios(name, race.against)
            spread = f"{show_number(min(ratios))}–{show_number(max(ratios))}"
        rows.append((name, race.show(value), "" if ratio is None else show_number(ratio), spread))
    missing = [f"without {name}: {reason}" for name, reason in race.missing.items()]
    return "\n".join([aligned(rows), *missing])


def write_json(path: Path, results: Iterable[Result]) -> None:
    """Write figures, with `met`, and races as a list."""
    path.parent.mkdir(parents=True, exist_ok=True)
    entries = [r.entry() if isinstance(r, Race) else {**asdict(r), "met": r.met} for r in results]
    path.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")


def read_json(path: Path) -> list[Result]:
    """Read what `write_json` wrote."""
    results: list[Result] = []
    for entry in json.loads(path.read_text(encoding="utf-8")):
        if "race" in entry:
            keys = ("times", "race", "against", "threads", "missing", "unit")
            results.append(Race(*(entry[key] for key in keys)))
        else:
            results.append(Figure(**{key: value for key, value in entry.items() if key != "met"}))
    return results
