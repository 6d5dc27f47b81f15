"""Cases of the softmax of rows, and of its logarithm."""

from __future__ import annotations

import numpy as np

from mytorch.rules import rows
from tests.op_cases import Case

rng = np.random.default_rng(21)
A = rng.normal(size=(3, 4))


def reference(a):
    return a.softmax(-1)


def logarithms(a):
    return a.log_softmax(-1)


CASES = [
    Case(rows.softmax, (A,), torch=reference),
    Case(rows.softmax, (A[0],), name="one-row", torch=reference),
    Case(rows.softmax, (A.T,), name="transposed", torch=reference),
    Case(rows.softmax, (rng.normal(size=(2, 1, 3, 5)),), name="stacks", torch=reference),
    Case(rows.softmax, (rng.normal(size=(2, 2, 40)),), name="many-columns", torch=reference),
    Case(rows.softmax, (np.zeros((0, 4)),), name="empty"),
    Case(rows.softmax, (np.zeros((2, 3, 0)),), name="empty-stacks", torch=reference),
    Case(rows.softmax, (np.ones((2, 3)),), name="ties", torch=reference),
    Case(rows.softmax, (1e3 * A,), name="far", numerical=False, torch=reference),
    Case(rows.log_softmax, (A,), torch=logarithms),
    Case(rows.log_softmax, (rng.normal(size=(2, 1, 3, 5)),), name="stacks", torch=logarithms),
    Case(rows.log_softmax, (rng.normal(size=(2, 2, 40)),), name="many-columns", torch=logarithms),
    Case(rows.log_softmax, (np.zeros((0, 4)),), name="empty"),
    Case(rows.log_softmax, (np.zeros((2, 3, 0)),), name="empty-stacks", torch=logarithms),
    Case(rows.log_softmax, (1e3 * A,), name="far", numerical=False, torch=logarithms),
]
