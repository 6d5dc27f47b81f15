"""The command line of the autograder: which tests, which hand-in, and the report in its order.

Without names everything is graded. A name is a section or a single test. The exit status is 0 when every test
that ran passed, and 1 otherwise. The last line printed is the JSON with the scores that Autolab reads. It
comes also when the hand-in cannot even be unpacked; it does not when the grader itself lacks something or was
called wrongly, so that no zero is recorded that the hand-in did not earn.

With --class a folder of hand-ins is graded: a report beside each, and a table of points on standard output.
"""

import argparse
import csv
import io
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from autograder.grading import (
    SECTIONS,
    SEED,
    TIME_LIMIT,
    Chosen,
    Result,
    fail_all,
    grade,
    section_tests,
)
from autograder.packing import PACKAGE, HandinError, unpack
from autograder.report import (
    Printer,
    print_failures,
    print_prints,
    print_result,
    print_table,
    print_title,
    score_line,
)

LONGEST = 86_400  # seconds
REPORT = ".txt"  # what a report beside a hand-in ends with
TOP = Path(__file__).resolve().parent.parent


def run(arguments: Sequence[str]) -> int:
    """Grade as the command line says, and return the exit status."""
    options = _parse(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    chosen, unknown = _choose(options.names)
    if unknown:
        print(f"There is no test named {', '.join(map(repr, unknown))}. The names are:", file=sys.stderr)
        print(_listing(_choose([])[0]), file=sys.stderr)
        return 1
    if options.list:
        print(_listing(chosen))
        return 0
    if options.handin and not options.handin.exists():
        print(f"{options.handin}: there is no such file or folder. Nothing was graded.", file=sys.stderr)
        return 1
    if options.whole_class:
        return _grade_class(options, chosen)
    results = _grade_and_report(options, chosen, sys.stdout)
    return 1 if any(result.failure for result in results) else 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="hw1_autograd_runner.py", description="Grade mytorch/ and print the scores."
    )
    parser.add_argument(
        "names", nargs="*", metavar="name", help=f"a section ({', '.join(SECTIONS)}) or a test; default: all"
    )
    parser.add_argument("--list", action="store_true", help="list the names and points, and grade nothing")
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--handin", type=Path, metavar="PATH", help="a folder with mytorch/ in it, or a handin.tar"
    )
    what.add_argument(
        "--class",
        type=Path,
        dest="whole_class",
        metavar="FOLDER",
        help="grade every hand-in in a folder, write a report beside each, and print a table of points (CSV)",
    )
    parser.add_argument("--seed", type=_seed, default=SEED, help="seed of the inputs (default: %(default)s)")
    parser.add_argument(
        "--time-limit",
        type=_seconds,
        default=TIME_LIMIT,
        metavar="SECONDS",
        help="for the import and for each test (default: %(default)s)",
    )
    return parser.parse_args(arguments)


def _seed(text: str) -> int:
    """Return the seed that `text` says."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number from 0, got {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    """Return the time that `text` says."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0 < seconds <= LONGEST:
        raise argparse.ArgumentTypeError(f"expected seconds above 0, to {LONGEST}, got {text!r}")
    return seconds


def _choose(names: Sequence[str]) -> tuple[Chosen, list[str]]:
    """Return the tests that the names stand for, by section and in the usual order, and the unknown names."""
    wanted = {name.casefold() for name in names}
    known = set()
    chosen: Chosen = {}
    for section in SECTIONS:
        tests = section_tests(section)
        known |= {section} | {test.name.casefold() for test in tests}
        matching = [
            test for test in tests if not wanted or section in wanted or test.name.casefold() in wanted
        ]
        if matching:
            chosen[section] = matching
    return chosen, [name for name in names if name.casefold() not in known]


def _listing(chosen: Chosen) -> str:
    """Return the sections with their tests and points."""
    lines = []
    for section, tests in chosen.items():
        lines.append(f"{section:<53}{sum(test.points for test in tests):>4}")
        lines += [f"  {test.name:<50} {test.points:>4}" for test in tests]
    return "\n".join(lines)


def _grade_class(options: argparse.Namespace, chosen: Chosen) -> int:
    """Grade every hand-in of a folder, and print their points by section as they come."""
    folder = options.whole_class
    paths = sorted(path for path in folder.glob("*") if path.suffix != REPORT)
    handins = [path for path in paths if path.suffix == ".tar" or (path / PACKAGE).is_dir()]
    if not handins:
        print(
            f"{folder}: there is no *.tar and no folder with {PACKAGE}/ here. Nothing was graded.",
            file=sys.stderr,
        )
        return 1
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(["hand-in", *chosen, "total"])
    for handin in handins:
        options.handin = handin
        with handin.with_name(handin.name + REPORT).open("w", encoding="utf-8") as report:
            results = _grade_and_report(options, chosen, report)
        points = [sum(result.earned for result in results if result.section == name) for name in chosen]
        table.writerow([handin.name, *points, sum(points)])
        sys.stdout.flush()
    if others := [path.name for path in paths if path not in handins]:
        print(
            f"Not graded, being neither a *.tar nor a folder with {PACKAGE}/ in it: {', '.join(others)}",
            file=sys.stderr,
        )
    return 0


def _grade_and_report(options: argparse.Namespace, chosen: Chosen, stream: TextIO) -> list[Result]:
    """Grade and print everything, the score line last."""
    import torch

    printer = Printer(stream)
    handin = options.handin or TOP
    print_title(printer, str(handin), options.seed, f"PyTorch {torch.__version__}")
    results: list[Result] = []
    with _unpacked(handin) as (folder, refusal):
        graded = (
            fail_all(chosen, refusal) if refusal else grade(folder, chosen, options.seed, options.time_limit)
        )
        for section in graded:
            printer.line(f"\n{section.section}", "bold")
            for result in section.results:
                print_result(printer, result)
            print_prints(printer, section.printed)
            results += section.results
    print_failures(printer, results, _rerun(options))
    print_table(printer, results)
    print(score_line(results), file=stream, flush=True)
    return results


@contextmanager
def _unpacked(handin: Path) -> Iterator[tuple[Path, str]]:
    """Give the folder to grade, which for an archive lives as long as the context, and why there is none."""
    if handin.is_dir():
        yield handin.resolve(), ""
        return
    with tempfile.TemporaryDirectory(prefix="handin-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        try:
            unpack(handin, folder)
        except HandinError as error:
            yield folder, str(error)
        else:
            yield folder, ""


def _rerun(options: argparse.Namespace) -> Callable[[Sequence[str]], str]:
    """Return the function from names to the command that grades these alone, as this run does."""
    command = [_shown(sys.executable), os.path.relpath(TOP / "autograder" / "hw1_autograd_runner.py")]
    if options.handin:
        command += ["--handin", str(options.handin)]
    if options.seed != SEED:
        command += ["--seed", str(options.seed)]
    if options.time_limit != TIME_LIMIT:
        command += ["--time-limit", f"{options.time_limit:g}"]
    return lambda names: shlex.join([*command, *names])


def _shown(executable: str) -> str:
    """Return the shortest way to type an interpreter: its name if that finds it, else a path."""
    name = Path(executable).name
    if shutil.which(name) == executable:
        return name
    relative = os.path.relpath(executable)
    return executable if relative.startswith("..") else relative
