"""Prints results for a reader, and one line for a machine: the JSON that Autolab takes the scores from."""

import json
import os
import re
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, TextIO

import numpy as np

from autograder.compare import Difference, close
from autograder.grading import Failure, Result
from autograder.hints import NOT_WRITTEN, UNKNOWN

WIDTH = 90
ENTRIES_SHOWN = 5
WHOLE_UP_TO = 36
LINES_SHOWN = 40
ADDRESS = re.compile(r"\d{7,}|0x[0-9a-f]+")  # differs from test to test where the reason is the same
COLOURS = {"green": "32", "red": "31", "yellow": "33", "bold": "1"}


class Printer:
    """Writes lines to a stream, in colour if that is a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._coloured = stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"

    def line(self, text: str = "", colour: str = "") -> None:
        """Print one line."""
        if colour and self._coloured:
            text = f"\033[{COLOURS[colour]}m{text}\033[0m"
        print(text, file=self._stream, flush=True)

    def wrapped(self, text: str, colour: str = "") -> None:
        """Print a paragraph, its further lines indented."""
        for line in textwrap.wrap(text, WIDTH, subsequent_indent="  ", break_long_words=False):
            self.line(line, colour)

    def block(self, text: str, indent: int = 2) -> None:
        """Print lines of any origin, indented and without control characters, so none passes for ours."""
        for line in text.splitlines():
            self.line(" " * indent + "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line))


def print_title(printer: Printer, handin: str, seed: int, reference: str) -> None:
    """Print what is graded, and against what."""
    printer.line(" AUTOGRADER SCORES ".center(WIDTH, "="), "bold")
    printer.line(f"Hand-in: {handin}. Reference: {reference} in float64. Seed: {seed}.")


def print_result(printer: Printer, result: Result) -> None:
    """Print the line of one test."""
    word, colour = ("FAIL", "red") if result.failure else ("PASS", "green")
    printer.line(f"  {word}  {result.earned}/{result.points}  {result.name}", colour)


def print_prints(printer: Printer, printed: str) -> None:
    """Print what the hand-in printed, so that a student's print() is of use."""
    lines = printed.splitlines()
    if not lines:
        return
    printer.line("  The hand-in printed:", "yellow")
    printer.block("\n".join(f"| {line[:200]}" for line in lines[:LINES_SHOWN]), indent=4)
    if len(lines) > LINES_SHOWN:
        printer.line("    (cut here: it printed more)")


def print_failures(
    printer: Printer, results: Sequence[Result], rerun: Callable[[Sequence[str]], str]
) -> None:
    """Print why tests failed; tests that failed for one and the same reason share their explanation.

    What nobody can explain is shown once for each section after the first that failed, which comes before it.
    """
    sections = _sections([result for result in results if result.failure])
    groups: dict[Any, list[Result]] = {}
    for result in results:
        if result.failure is not None:
            reason = _reason(result, result.failure, is_first=result.section == sections[0])
            groups.setdefault(reason, []).append(result)
    for group in groups.values():
        printer.line()
        for result in group:
            printer.line(f"--- {result.name} ".ljust(WIDTH, "-"), "bold")
        _print_group(printer, group, rerun)
    if len(sections) > 1:
        printer.line(f"\nBegin with {sections[0]}: the later sections build on the earlier ones.", "yellow")


def _reason(result: Result, failure: Failure, *, is_first: bool) -> Any:
    """Return what tests with one explanation have in common, or what this one has alone."""
    if _is_unwritten(failure):
        return NOT_WRITTEN
    if any(UNKNOWN in hint for hint in failure.hints):
        return result.name if is_first else result.section
    return (bool(failure.inputs), ADDRESS.sub("", failure.error), *failure.hints)


def _is_unwritten(failure: Failure) -> bool:
    """Return whether nothing is wrong yet, so that the error says all there is to say."""
    return failure.hints == [NOT_WRITTEN]


def _print_group(printer: Printer, group: Sequence[Result], rerun: Callable[[Sequence[str]], str]) -> None:
    """Print what tests that share a reason have to say: what to do first, then the numbers of the first of them."""
    first = group[0].failure
    assert first is not None
    for hint in first.hints:
        printer.wrapped(f"Hint: {hint}", "yellow")
    if len(group) == 1:
        which, names = "this test", [group[0].name]
    elif first.inputs:
        which, names = "the first of these tests, which is shown here,", [group[0].name]
    else:
        which, names = "these tests", _sections(group)
    _print_failure(printer, first)
    printer.line(f"To run {which} alone:")
    printer.line(f"  {rerun(names)}")


def _sections(results: Sequence[Result]) -> list[str]:
    return list(dict.fromkeys(result.section for result in results))


def _print_failure(printer: Printer, failure: Failure) -> None:
    if _is_unwritten(failure):
        printer.block(failure.error)
        return
    if failure.steps:
        printer.wrapped(f"Test: {failure.steps}")
    if failure.inputs:
        printer.line("Input")
        for name, values in failure.inputs.items():
            printer.line(f"  {name}: shape {values.shape}, {values.dtype}")
            printer.block(_text(values), indent=4)
    for difference in failure.differences:
        _print_difference(printer, difference)
    if failure.right:
        printer.wrapped(f"As expected: {', '.join(failure.right)}", "green")
    if failure.missing:
        printer.wrapped(f"Not reached: {', '.join(failure.missing)}", "red")
    if failure.error:
        printer.line("Error", "red")
        printer.block(failure.error[:4000])


def _print_difference(printer: Printer, difference: Difference) -> None:
    """Print a wrong array: shape and dtype first, then the first entries that differ, then all if few."""
    expected, received = difference.expected, difference.received
    if expected.ndim == 0 and received.values is not None and received.values.ndim == 0:
        pair = f"expected {_number(expected, expected)}, received {_number(received.values, expected)}"
        printer.line(f"Not as expected: {difference.label}: {pair}", "red")
        return
    printer.line(f"Not as expected: {difference.label}", "red")
    printer.line(f"  expected shape {expected.shape}, {expected.dtype}")
    is_array = received.shape or received.values is not None
    printer.line(f"  received {f'shape {received.shape}, ' if is_array else ''}{received.kind}")
    if received.values is not None and received.shape == expected.shape:
        _print_entries(printer, expected, received.values, received.kind)
    for word, values in (("expected", expected), ("received", received.values)):
        if values is not None and values.ndim and values.size <= WHOLE_UP_TO:
            printer.line(f"  {word}")
            printer.block(_text(values), indent=4)


def _print_entries(printer: Printer, expected: np.ndarray, received: np.ndarray, kind: str) -> None:
    """Print how many entries differ and by how much, and the first of them."""
    wrong = np.argwhere(~close(received, expected, kind))
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.abs(received - expected)
        relative = error / np.abs(expected)
    largest = f"largest error {error.max():.3g}, relative {relative[expected != 0].max(initial=0):.3g}"
    printer.line(f"  {len(wrong)} of {expected.size} entries differ, {largest}")
    for index in wrong[:ENTRIES_SHOWN]:
        place = tuple(int(i) for i in index)
        printer.line(f"    at {list(place)}: expected {expected[place]:.8g}, received {received[place]:.8g}")
    if len(wrong) > ENTRIES_SHOWN:
        printer.line("    ...")


def _number(value: np.ndarray, like: np.ndarray) -> str:
    """Return one number in words: a truth value where one is expected and came."""
    if like.dtype == bool and value in (0, 1):
        return str(bool(value))
    return f"{float(value):.8g}"


def _text(values: np.ndarray) -> str:
    return np.array2string(
        values, precision=9, floatmode="maxprec", max_line_width=WIDTH + 20, suppress_small=True
    )


def print_table(printer: Printer, results: Sequence[Result]) -> None:
    """Print tests passed and points by section, and in total."""
    rows = [(name, [result for result in results if result.section == name]) for name in _sections(results)]
    rule = f"+{'-' * 14}+{'-' * 10}+{'-' * 10}+"
    printer.line()
    printer.line(f"{rule}\n| {'SECTION':<12} | {'PASSED':>8} | {'POINTS':>8} |\n{rule}")
    for section, members in rows:
        _print_row(printer, section, members)
    printer.line(rule)
    _print_row(printer, "TOTAL", results)
    printer.line(rule)


def _print_row(printer: Printer, title: str, results: Sequence[Result]) -> None:
    passed = f"{sum(result.failure is None for result in results)}/{len(results)}"
    points = f"{sum(result.earned for result in results)}/{sum(result.points for result in results)}"
    colour = "red" if any(result.failure for result in results) else "green"
    printer.line(f"| {title:<12} | {passed:>8} | {points:>8} |", colour)


def score_line(results: Sequence[Result]) -> str:
    """Return the line for Autolab: ASCII, and no colon in a name, which its parser would trip over."""
    return json.dumps({"scores": {result.name: result.earned for result in results}})
