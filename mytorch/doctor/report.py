"""The doctor's words: the machine, the table of rates, the advice."""

from __future__ import annotations

import math
import os
import textwrap
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from mytorch.doctor.advice import Advice
from mytorch.doctor.facts import counted
from mytorch.doctor.rates import Measurement, Setting

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
    """Return the table of median rates, one row per setting, with the reason where one failed."""
    cases = list(measured[0].rates)
    works = dict.fromkeys(case.rsplit(" ", 1)[0] for case in cases)
    names = [short(entry.setting, again=number > 0) for number, entry in enumerate(measured)]
    width = max(map(len, names))
    lines = [
        " " * (width + 27) + "".join(f"{NAMES[work]:>18}" for work in works),
        f"  {'':<{width}}  {'kernels':<15}{'threads':>8}"
        + "".join(f"{case.split()[-1]:>9}" for case in cases),
    ]
    for name, entry in zip(names, measured, strict=True):
        threads = "?" if entry.threads is None else str(entry.threads)
        cells = [f"{show_number(median(entry.rates[case])):>9}" for case in cases if entry.failure is None]
        failure = "" if entry.failure is None else f"  {entry.failure}: not to be used"
        lines.append(f"  {name:<{width}}  {entry.kernel or '?':<15}{threads:>8}{''.join(cells)}{failure}")
    return "\n".join(lines)


def short(setting: Setting, *, again: bool = False) -> str:
    """Return a setting without its variables' first word, which all of them share, or what stands for none.

    Examples
    --------
    >>> short({"OPENBLAS_CORETYPE": "Zen", "OPENBLAS_NUM_THREADS": "1"})
    'CORETYPE=Zen NUM_THREADS=1'
    """
    words = [f"{name.split('_', 1)[1]}={value}" for name, value in setting.items()]
    return " ".join(words) or ("as it is, again" if again else "as it is")


def label(setting: Setting) -> str:
    """Return a setting as a shell takes it."""
    return " ".join(f"{name}={value}" for name, value in setting.items())


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
        return sentence(f"Nothing could be measured: a process with the present settings {present.failure}.")
    noise = (
        f"Two processes with the present settings mostly differed by less than {show_percent(advice.noise)}."
    )
    if not advice.setting:
        return sentence(f"Nothing to gain here: no setting is faster by more than the noise. {noise}")
    costs = ", ".join(f"{named(case)}: {ratio:.2f} times" for case, ratio in advice.costs.items())
    kind = {"OPENBLAS_CORETYPE": "kernels", "NUM_THREADS": "threads"}
    changed = " and ".join(word for key, word in kind.items() if key in label(advice.setting))
    moving = "How many threads pay depends on what else runs on these cores: measure again when that changes."
    return "\n".join(
        [
            sentence(f"Other {changed} give {advice.gain:.2f} times the present rate. {noise}"),
            "",
            *(f"      {named(case):<24}{ratio:6.2f} times" for case, ratio in advice.ratios.items()),
            "",
            sentence(f"It costs: {costs}." if costs else "None of these is slower by more than the noise."),
            *([sentence(moving)] if "threads" in changed else []),
            sentence("NumPy reads the setting once, when it is loaded: type this before Python starts."),
            "",
            *(f"      {line}" for line in commands(advice.setting)),
            "",
            sentence(
                "`python -m models.mlp --fast-blas` measures its own products, and sets what helps them."
            ),
        ]
    )


def named(case: str) -> str:
    """Return a case as the table names it."""
    work, dtype = case.rsplit(" ", 1)
    return f"{NAMES[work]}, {dtype}"


def show_percent(part: float) -> str:
    """Return a part in whole percent, rounded up.

    Examples
    --------
    >>> show_percent(0.031)
    '4 %'
    """
    return f"{math.ceil(100 * part)} %"


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


def show_effort(rounds: int) -> str:
    """Say what is measured, and how."""
    return sentence(
        "The matrix products of a layer of 1024 × 1024 on 1024 rows, and of a step of an MLP of 784, 256, 128 and 10 "
        f"units, in 10⁹ multiplications and additions a second: medians of {counted(rounds, 'round')} in turns, each "
        "in a process of its own, that sets what stands on the left."
    )
