"""Gives the verdict: draws the inputs, has the hand-in run on them elsewhere, compares with PyTorch's answer.

`grade` returns one `Result` for each test; every form of report is made from these.
"""

import importlib
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from autograder.compare import Difference, find_differences
from autograder.helpers import AFTERWARDS, Arrays, GradedTest
from autograder.hints import explain, explain_error
from autograder.remote import Reply, run_section
from autograder.wire import Received

SECTIONS = {
    "autograd": "test_autograd",
    "operations": "test_basic_functional",
    "linear": "test_linear",
    "activation": "test_activation",
    "loss": "test_loss",
}
SEED = 11785
TIME_LIMIT = 10.0

Chosen = dict[str, Sequence[GradedTest]]


@dataclass(frozen=True)
class Failure:
    """Why a test failed: what went in, what came out otherwise than expected, what was raised, and hints.

    Without inputs, the test could not begin.
    """

    steps: str = ""

    inputs: Arrays = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    right: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    error: str = ""
    hints: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Result:
    """The outcome of one test: all of its points, or none and the failure."""

    section: str
    name: str
    points: int
    failure: Failure | None = None

    @property
    def earned(self) -> int:
        """The points that count."""
        return 0 if self.failure else self.points


@dataclass(frozen=True)
class SectionResults:
    """The results of a section's tests, and what the hand-in printed while they ran."""

    section: str
    results: list[Result]
    printed: str


def section_tests(section: str) -> tuple[GradedTest, ...]:
    """Return the tests of a section, in the order of the score table."""
    return importlib.import_module(f"autograder.{SECTIONS[section]}").TESTS


def draw_inputs(test: GradedTest, seed: int) -> Arrays:
    """Return a test's inputs, which depend on its name and the seed, not on the other tests that run."""
    return test.draw(np.random.default_rng([seed, zlib.crc32(test.name.encode())]))


def grade(
    handin: Path,
    tests: Chosen,
    seed: int = SEED,
    time_limit: float = TIME_LIMIT,
) -> Iterator[SectionResults]:
    """Grade the `mytorch` in a folder on the tests given by section, and yield each section's results."""
    for section, chosen in tests.items():
        inputs = [draw_inputs(test, seed) for test in chosen]
        requests = [(test.name, arrays) for test, arrays in zip(chosen, inputs, strict=True)]
        replies, printed = run_section(handin, SECTIONS[section], requests, time_limit)
        results = [
            Result(section, test.name, test.points, judge(test, arrays, reply))
            for test, arrays, reply in zip(chosen, inputs, replies, strict=True)
        ]
        yield SectionResults(section, results, printed)


def fail_all(tests: Chosen, reason: str) -> Iterator[SectionResults]:
    """Yield results where no test could be run on the hand-in, for one reason."""
    failure = Failure(error=reason, hints=[explain_error(reason)])
    for section, chosen in tests.items():
        yield SectionResults(
            section, [Result(section, test.name, test.points, failure) for test in chosen], ""
        )


def _was_so_before(difference: Difference, arrays: dict[str, Received]) -> bool:
    """Return whether an array that is wrong afterwards had the same numbers when it was made."""
    label, after = difference.label, difference.received
    before = arrays.get(label.removesuffix(AFTERWARDS)) if label.endswith(AFTERWARDS) else None
    if before is None or before.values is None or after.values is None:
        return before == after
    return np.array_equal(before.values, after.values, equal_nan=True)


def judge(test: GradedTest, inputs: Arrays, reply: Reply) -> Failure | None:
    """Return why a reply is not worth the points, or None if it is."""
    if not reply.imported:
        return Failure(error=reply.error, hints=[explain_error(reply.error)])
    expected = test.reference(inputs) | {name + AFTERWARDS: values for name, values in inputs.items()}
    differences = [
        difference
        for difference in find_differences(reply.arrays, expected)
        if not _was_so_before(difference, reply.arrays)
    ]
    missing = [label for label in expected if label not in reply.arrays]
    if not (differences or missing or reply.error):
        return None
    wrong = {difference.label for difference in differences}
    right = [label for label in expected if label in reply.arrays and label not in wrong]
    error = reply.error or ("" if differences else "No answer: the test ended early")
    hints = explain(test, inputs, expected, reply.arrays, differences, error)
    right, missing = ([label for label in labels if AFTERWARDS not in label] for labels in (right, missing))
    return Failure(test.steps, inputs, differences, right, missing, error, hints)
