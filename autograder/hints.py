"""Explains a failure in words, by trying which mistake would have given just these numbers.

A hint states a cause only where the hand-in's array equals, at the comparison's tolerance, the array that the
cause gives; otherwise it says where the differences lie.
"""

import re
from collections.abc import Iterator
from itertools import combinations

import numpy as np

from autograder.compare import Difference, agree, close
from autograder.helpers import AFTERWARDS, DIVERGENCE_EVERYWHERE, Arrays, GradedTest
from autograder.wire import Received

UNKNOWN = "entries differ"  # in hints that know where, and not why
NOT_WRITTEN = "this part is not written yet"


def explain(
    test: GradedTest,
    inputs: Arrays,
    expected: Arrays,
    received: dict[str, Received],
    differences: list[Difference],
    error: str,
) -> list[str]:
    """Return the hints for a failure, the likeliest cause first, each with the labels that it is about."""
    unexplained = {difference.label: difference for difference in differences}
    labels_of: dict[str, list[str]] = {}
    for sentence, arrays in [*test.mistakes(inputs), *_upstream_missing(test, inputs)]:
        explained = [label for label in arrays if label in unexplained]
        if explained and all(agree(received.get(label), values) for label, values in arrays.items()):
            labels_of.setdefault(sentence, []).extend(explained)
            for label in explained:
                del unexplained[label]
    for label, difference in unexplained.items():
        sentence = next(_explain_difference(difference, expected, inputs))
        labels_of.setdefault(sentence, []).append(label)
    hints = [f"{', '.join(labels)}: {sentence}" for sentence, labels in _causes_first(labels_of)]
    # What was already wrong before an error is the likelier cause.
    return hints + ([explain_error(error)] if error else [])


def _causes_first(labels_of: dict[str, list[str]]) -> list[tuple[str, list[str]]]:
    """Put what the hand-in overwrote first, and leave out what is unexplained where anything is explained."""
    hints = sorted(labels_of.items(), key=lambda hint: hint[0] != _OVERWRITTEN)
    return [hint for hint in hints if UNKNOWN not in hint[0]] or hints


def _upstream_missing(test: GradedTest, inputs: Arrays) -> Iterator[tuple[str, Arrays]]:
    """Yield, array by array, what comes out when factors that only the chain rule brings in are left out."""
    present = [name for name in test.upstream if name in inputs]
    for count in range(1, len(present) + 1):
        for names in combinations(present, count):
            ones = {name: np.ones_like(inputs[name]) for name in names}
            for label, values in test.reference(inputs | ones).items():
                yield _UPSTREAM_IS_ONE if "grad_output" in names else DIVERGENCE_EVERYWHERE, {label: values}


_UPSTREAM_IS_ONE = "computed as if the gradient from above were 1: the chain rule multiplies by grad_output"
_OVERWRITTEN = (
    "the hand-in wrote into this array, which is not its own: compute on a copy, without `+=`, `out=` or an "
    "assignment to a part"
)
_ALREADY_WRONG = {
    "z": "the output of the Linear layer is already wrong before the activation: repair the layer first"
}


def _explain_difference(difference: Difference, expected: Arrays, inputs: Arrays) -> Iterator[str]:
    """Yield explanations of one wrong array, the best first; there is always one."""
    label, received = difference.label, difference.received
    if label in _ALREADY_WRONG:
        yield _ALREADY_WRONG[label]
    if label.endswith(AFTERWARDS):
        yield _OVERWRITTEN
    if received.values is None and not received.shape:
        yield (
            "nothing came: is a `return` missing?"
            if received.kind == "NoneType"
            else f"a NumPy array of floats is expected, not {received.kind}"
        )
    if difference.expected.ndim == 0 and difference.expected.dtype.kind in "bi":
        yield f"this should be {difference.expected}, see the hand-out's section on this part"
    if received.values is None or received.shape != difference.expected.shape:
        yield from _explain_order(difference, expected)
        yield from _explain_shape(difference)
    elif not np.isfinite(received.values).all():
        yield (
            "NaN or infinity: an overflow (np.exp of a large number), a division by zero, or memory that was "
            "never filled (np.empty)"
        )
    else:
        yield from _explain_values(difference, expected, inputs)


def _explain_shape(difference: Difference) -> Iterator[str]:
    """Yield explanations of a wrong shape."""
    received, expected = difference.received, difference.expected
    values = received.values
    if values is not None and values.ndim == 2:
        if _equal(values.T, expected):
            yield "exactly the transpose of what is expected"
        if _equal(values.sum(axis=0), expected.ravel()):
            yield (
                "not summed over the batch: every sample adds to the gradient of the bias, sum over axis=0 "
                "with keepdims=True"
            )
        if _equal(values, expected.sum(axis=0, keepdims=True)):
            yield "summed over the batch, but each sample has a gradient of its own here"
    if values is not None and _equal(values.ravel(), expected.ravel()):
        yield f"the numbers are right, the shape is not: it should be {expected.shape}"
    yield (
        f"the shape should be {expected.shape}: a gradient has the shape of its array, and one that only "
        "broadcasts to it is wrong"
    )


def _explain_values(difference: Difference, expected: Arrays, inputs: Arrays) -> Iterator[str]:
    """Yield explanations of wrong numbers in the right shape."""
    right, values = difference.expected, difference.received.values
    assert values is not None
    if not values.any():
        yield (
            "all zeros, so it was never written: are the operations walked in reverse, is the array recorded "
            "the one that was used (not a copy), and is the gradient added in place with `+=`?"
        )
    if values.ndim == 2 and _equal(values.T, right):
        yield "exactly the transpose of what is expected"
    if right.size > 1 and _equal(values, np.full_like(right, right.sum())):
        yield "summed over everything: sum over the batch only, with .sum(axis=0, keepdims=True)"
    yield from _explain_factor(values, right, batch=len(next(iter(inputs.values()))))
    yield from _explain_order(difference, expected)
    if difference.received.kind not in ("float64", "float32"):
        yield f"{difference.received.kind} cannot hold these numbers: compute in float64"
    yield _where(~close(values, right, difference.received.kind))


def _explain_order(difference: Difference, expected: Arrays) -> Iterator[str]:
    """Yield an explanation if what came is right for another label."""
    values = difference.received.values
    for other, array in expected.items():
        is_another = other != difference.label and not other.endswith(AFTERWARDS)
        if is_another and values is not None and _equal(values, array):
            yield f"exactly what is expected of {other}: are the gradients in the order of the inputs?"


def _explain_factor(values: np.ndarray, right: np.ndarray, batch: int) -> Iterator[str]:
    """Yield an explanation if all numbers are off by one and the same factor."""
    norm = float((right * right).sum())
    factor = float((values * right).sum()) / norm if norm else 1.0
    if not _equal(values, factor * right) or _equal(values, right):
        return
    causes = {
        -1.0: "the sign is flipped",
        2.0: (
            "exactly 2 times what is expected, so it was counted twice: a module that returns its input "
            "itself (an Identity needs x.copy()) or writes over it (h += b) gives two arrays one address, or a "
            "rule writes over the gradient that it was given"
        ),
        float(batch): f"exactly {batch} times what is expected, the batch size: a division by N is missing",
        1.0 / batch: (
            f"exactly 1/{batch} of what is expected, one over the batch size: divided by N once too often "
            "(in the loss and again in the rule?), or averaged where a sum belongs"
        ),
    }
    for known, cause in causes.items():
        if np.isclose(factor, known, rtol=1e-6):
            yield cause
    yield f"exactly {factor:.6g} times what is expected: a constant factor is missing or too much"


def _where(wrong: np.ndarray) -> str:
    """Say how many entries differ, and in which rows if not in all."""
    count = f"{int(wrong.sum())} of {wrong.size} {UNKNOWN}"
    rows = np.flatnonzero(wrong.any(axis=1)) if wrong.ndim == 2 else np.array([])
    columns = np.flatnonzero(wrong.any(axis=0)) if wrong.ndim == 2 else np.array([])
    if 0 < len(rows) < len(wrong):
        return f"{count}, all in row {', '.join(map(str, rows))}"
    if 0 < len(columns) < wrong.shape[-1]:
        return f"{count}, all in column {', '.join(map(str, columns))}"
    return f"the {UNKNOWN}, and they match no known mistake: compute one entry by hand and compare"


def _equal(values: np.ndarray, expected: np.ndarray) -> bool:
    return values.shape == expected.shape and bool(close(values, expected).all())


# What an error most often means, by a pattern in its text; the first match speaks.
_ERRORS = {
    r"No module named 'mytorch'": "at the top of what was handed in there is no folder mytorch/ with the package in it",
    r"No module named 'mytorch\.": "a file of the package is missing, or was renamed or moved",
    r"No module named '(autograd_engine|functional_hw1|utils|nn|activation|linear|loss)\b": (
        "modules of the package itself are imported with its name in front: from mytorch.functional_hw1 import ..."
    ),
    r"No module named": (
        "only NumPy and the standard library are there when a hand-in is graded: remove this import (modules "
        "of the package itself are imported as mytorch.NAME)"
    ),
    r"NoneType|returned None": "None stands where an array, a list or an object should: is a `return` missing?",
    r"has no attribute '\w+'|cannot import name": "not written yet, or named otherwise than in the hand-out",
    r"NotImplementedError": NOT_WRITTEN,
    r"SyntaxError|IndentationError|TabError": "this file is not valid Python, so nothing in it can run",
    r"SystemExit": "the hand-in called sys.exit(): a module must never end the program",
    r"exit status": "the hand-in ended the process (os._exit?): a module must never end the program",
    r"killed by signal": "a crash below Python, or the memory ran out: look for endless recursion or growth",
    r"took longer": "an endless loop? Look at loops whose condition never becomes false",
    r"grader's pipe|closed its connection": "the hand-in meddles with the process's open files",
    r"RecursionError": "a function calls itself without end",
    r"MemoryError": "an array far larger than the data, or a list that grows without end",
    r"BdbQuit": "a breakpoint was left in: there is no keyboard in the graded process, use print",
    r"non-broadcastable output operand with shape \(1, ?\d+\)": (
        "a gradient with one row for each sample was added to one with a single row: the gradient of the "
        "bias is summed over the batch, with .sum(axis=0, keepdims=True)"
    ),
    r"more than (1|one) Autograd": (
        "a second engine was made: use the one that the module was given; or the first never said that it was gone"
    ),
    r"EOFError": "input() was called: there is no keyboard in the graded process",
    r"NameError": "this name is not defined there: is it misspelt, or is an import missing?",
    r"zip\(\) argument": (
        "a rule returned more or fewer gradients than the operation has inputs: one for each is needed, in their order"
    ),
    r"mismatch in its core dimension": (
        "the shapes of a matrix product do not fit: is a .T missing, or are the inputs recorded in another order than "
        "they are multiplied in?"
    ),
    r"with shapes \((\d+), ?(\d+)\) \(\2, ?1\)": (
        "a column met rows: the bias has shape (out_features, 1), so y = x @ W.T + b.T"
    ),
    r"could not be broadcast together": (
        "an array met one of another shape: is a `*` written for an `@`? Where it is a gradient: are inputs, "
        "gradients_to_update and what the rule returns in the same order?"
    ),
    r"Cannot cast ufunc": (
        "an array of whole numbers cannot take gradients: make it by np.zeros(shape), without a dtype"
    ),
    r"positional argument": (
        "called with more or fewer arguments than it takes: is `self` the first in the list of every method, and are "
        "the others as in the hand-out?"
    ),
    r"setting an array element with a sequence": (
        "several gradients stand where one should: does backward take a list of gradients as well as a tuple?"
    ),
    r"KeyError|not in (the )?(memory|buffer|gradient)": (
        "the gradient of an array was asked for that is not in the buffer: the module whose output it is did not "
        "call add_operation, or recorded a copy of what it returned or was given, or zero_grad left old operations "
        "in operation_list"
    ),
    r"not a readable tar archive": (
        "give --handin a folder with mytorch/ in it, or the handin.tar that ./handin.sh packs, which is not compressed"
    ),
    r"^The hand-out's contract": "the tests, and the other modules, rely on this",
    r"ended early": "the hand-in's process stopped the test without an error",
}


def explain_error(error: str) -> str:
    """Return what an error message most often means."""
    if _has_transposed_shapes(error):
        return (
            "the two shapes are each other's transpose: a .T is missing, or too much, or factors are swapped"
        )
    for pattern, sentence in _ERRORS.items():
        if re.search(pattern, error):
            return sentence
    return "the last line of the error says what was wrong, the line of code before it where"


def _has_transposed_shapes(error: str) -> bool:
    """Return whether the message names a shape and its transpose, as NumPy does when they do not fit."""
    shapes = re.findall(r"\((\d+), ?(\d+)\)", error.strip().rpartition("\n")[2])
    return any(rows != columns and (columns, rows) in shapes for rows, columns in shapes)
