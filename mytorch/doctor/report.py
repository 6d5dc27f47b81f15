"""The doctor's words: the machine, the table of rates, the advice."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from mytorch.doctor.advice import Advice
from mytorch.doctor.machine import counted
from mytorch.doctor.measure import Measurement, Setting

WIDTH = 110
NAMES = {"square": "1024 × 1024", "batch 128": "MLP, batch 128", "batch 1": "MLP, batch 1"}
UNKNOWN = "not found"


def show_machine(here: Mapping[str, Any]) -> str:
    """Return what the machine offers and what NumPy uses of it."""
    blas, simd = here["blas"], here["simd"]
    variables = [f"{name}={value}" for name, value in here["variables"].items()]
    rows = {
        "processor": f"{here['processor']} ({here['architecture']})",
        "cores": show_cores(here),
        "it offers": " ".join(here["instructions"]) or UNKNOWN,
        "system": f"{here['system']}, Python {here['python']}",
        "NumPy": f"{here['numpy']}; its own loops use {' '.join([*simd['baseline'], *simd['found']]) or UNKNOWN}",
        "BLAS": f"{blas['name']} {blas['version'] or '(version not found)'}",
        "kernels": blas["kernel"] or UNKNOWN + hint(blas),
        "threads": show_threads(blas),
        "built as": blas["configuration"] or UNKNOWN,
        "library": blas["library"] or UNKNOWN,
        "told by": blas["source"],
        "variables": " ".join(variables) or "none of those that matter is set",
    }
    return "\n".join(row(name, text) for name, text in rows.items())


def row(name: str, text: str) -> str:
    """Return a name with its text, which goes on below itself where it is long."""
    lines = textwrap.wrap(text, WIDTH - 14, break_long_words=False, break_on_hyphens=False)
    return f"  {name:<10}  " + ("\n" + " " * 14).join(lines)


def show_cores(here: Mapping[str, Any]) -> str:
    """Return how many cores there are to use, and why not all of the machine's."""
    text = f"{here['cores']} of {here['cores_of_machine']} may be used"
    return text if here["quota"] is None else f"{text} (the control group grants {here['quota']:g})"


def show_threads(blas: Mapping[str, Any]) -> str:
    """Return the number of threads and their kind."""
    if blas["threads"] is None:
        return UNKNOWN + hint(blas)
    return f"{blas['threads']}" + (f" ({blas['threading']})" if blas["threading"] else "")


def hint(blas: Mapping[str, Any]) -> str:
    """Say who could tell more, unless it was already asked."""
    return "" if blas["source"] == "threadpoolctl" else "; with `pip install threadpoolctl` it may be"


def show_rates(measured: Sequence[Measurement]) -> str:
    """Return the table of median rates, one row per setting, and below it those that failed."""
    cases = list(measured[0].rates)
    works = list(dict.fromkeys(case.rsplit(" ", 1)[0] for case in cases))
    names = [label(entry.setting, again=number > 0) for number, entry in enumerate(measured)]
    width = max(map(len, names))
    heads = [
        " " * (width + 29) + "".join(f"{NAMES[work]:^20}" for work in works),
        f"  {'':<{width}}  {'kernels':<15}{'threads':>8}"
        + "".join(f"{case.rsplit(' ', 1)[1]:>10}" for case in cases),
    ]
    lines = []
    for name, entry in zip(names, measured, strict=True):
        threads = "?" if entry.threads is None else str(entry.threads)
        cells = "".join(
            f"{show_number(median(entry.rates[case])):>10}" for case in cases if entry.failure is None
        )
        failure = "" if entry.failure is None else f"  {entry.failure}: not to be used"
        lines.append(f"  {name:<{width}}  {entry.kernel or '?':<15}{threads:>8}{cells}{failure}")
    return "\n".join(text.rstrip() for text in (*heads, *lines))


def label(setting: Setting, *, again: bool = False) -> str:
    """Return a setting as it is typed, or what stands for none."""
    return " ".join(f"{name}={value}" for name, value in setting.items()) or (
        "as it is, again" if again else "as it is"
    )


def show_number(value: float) -> str:
    """Return three digits of a number, and all of those before the point.

    Examples
    --------
    >>> [show_number(x) for x in (0.8234, 42.345, 1403.2)]
    ['0.823', '42.3', '1403']
    """
    return f"{value:.{max(0, 3 - len(str(int(value)))) if value >= 1 else 3}f}"


def show_advice(advice: Advice, measured: Sequence[Measurement]) -> str:
    """Return what to set, what that gains and costs, and the line to type."""
    present = measured[0]
    if present.failure is not None:
        return sentence(f"Nothing could be measured: NumPy's own process {present.failure}.")
    noise = f"two processes with the present settings differed by up to {100 * advice.noise:.0f} %"
    if not advice.setting:
        return sentence(f"Nothing to gain here: no setting was faster by more than the noise; {noise}.")
    gains = ", ".join(show_ratio(case, ratio) for case, ratio in advice.ratios.items())
    text = f"Set {label(advice.setting)}: {advice.gain:.2f} times the present rate, measured here and now; {noise}."
    costs = ", ".join(show_ratio(case, ratio) for case, ratio in advice.costs.items())
    cost = f"What it costs: {costs}." if costs else "It costs nothing elsewhere that could be measured."
    return "\n".join(
        [
            sentence(text),
            sentence(f"Case by case: {gains}."),
            sentence(cost),
            sentence("NumPy reads this once, when it is loaded, so type it before Python starts:"),
            "",
            *(f"      {line}" for line in commands(advice.setting)),
            "",
            sentence(
                "or let `python -m models.mlp --fast-blas` measure its own products, and set what helps them."
            ),
        ]
    )


def show_ratio(case: str, ratio: float) -> str:
    """Return a case with its ratio."""
    work, dtype = case.rsplit(" ", 1)
    return f"{NAMES[work]} {dtype} × {ratio:.2f}"


def sentence(text: str) -> str:
    """Return a sentence indented, and broken where it is long."""
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent="  ",
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def commands(setting: Setting, system: str = os.name) -> list[str]:
    """Return the lines of a shell that set variables.

    Examples
    --------
    >>> commands({"OPENBLAS_CORETYPE": "SkylakeX", "OPENBLAS_NUM_THREADS": "1"}, "posix")
    ['export OPENBLAS_CORETYPE=SkylakeX OPENBLAS_NUM_THREADS=1']
    """
    if system == "nt":
        return [f"set {name}={value}" for name, value in setting.items()]
    return [f"export {label(setting)}"]


def show_effort(rounds: int, seconds: float) -> str:
    """Say how the rates were measured."""
    return (
        f"Rates in GF/s (10⁹ multiplications and additions a second), medians of {counted(rounds, 'round')} in "
        f"turns, {seconds:g} s each"
    )
