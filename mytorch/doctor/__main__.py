"""The command ``python -m mytorch.doctor``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from mytorch.doctor import report
from mytorch.doctor.advice import advise
from mytorch.doctor.facts import machine
from mytorch.doctor.rates import candidates, measure

INTERRUPTED = 130  # what a shell reports of a program that SIGINT ended


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status: 0, 1 after an error, 130 when interrupted."""
    options = build_parser().parse_args(argv)
    rounds, seconds = (3, 0.02) if options.quick else (5, 0.04)
    try:
        if options.json is not None:
            check_place(options.json)
        here = machine()
        print(f"Machine\n{report.show_machine(here)}\n", flush=True)
        print(f"Rates\n{report.show_effort(rounds)}\n", flush=True)
        settings = candidates(here)
        measured = measure([{}, *settings], rounds=rounds, seconds=seconds, progress=show_progress)
        advice = advise(measured)
        print(f"{report.show_rates(measured)}\n\nAdvice\n{report.show_advice(advice, measured)}")
        if options.json is not None:
            results = {
                "machine": here,
                "rounds": rounds,
                "seconds": seconds,
                "measured": [asdict(entry) for entry in measured],
                "advice": asdict(advice),
            }
            options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        return 0
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED


def build_parser() -> argparse.ArgumentParser:
    """Describe the options."""
    parser = argparse.ArgumentParser(
        prog="python -m mytorch.doctor",
        description="Measure what NumPy's BLAS does here, and say what to set so that it does more.",
        epilog="Nothing is changed: variables are set only for the processes that measure.",
    )
    parser.add_argument("--quick", action="store_true", help="a first impression: fewer and shorter rounds")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write all that was found, every round, to a file"
    )
    return parser


def show_progress(part: float) -> None:
    """Write how much is done over itself, where somebody watches."""
    if sys.stderr.isatty():
        print(
            "\r\033[K" if part >= 1 else f"\r  {100 * part:.0f} % measured",
            end="",
            file=sys.stderr,
            flush=True,
        )


def check_place(path: Path) -> None:
    """Refuse, before anything is measured, a file that could not be written after it."""
    folder = path.absolute().parent
    if path.is_dir() or not folder.is_dir():
        raise FileNotFoundError(f"--json {path}: expected the name of a file in a folder that exists")
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"--json {path}: the folder {folder} may not be written to")


if __name__ == "__main__":
    sys.exit(main())
