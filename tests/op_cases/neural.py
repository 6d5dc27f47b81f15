"""Cases of the functions that neural networks are made of."""

from __future__ import annotations

import numpy as np

from mytorch.rules import neural
from tests.op_cases import Case

rng = np.random.default_rng(2)
A = rng.normal(size=(3, 4))
W, B = rng.normal(size=(5, 4)), rng.normal(size=5)
TARGETS = np.eye(4)[[0, 3, 1]]

CASES = [
    Case(neural.linear, (A, W, B)),
    Case(neural.linear, (A[:1], W, B), name="one-row"),
    Case(neural.linear, (A[:, :1], W[:, :1], B), name="one-input"),
    Case(neural.linear, (A, W[:1], B[:1]), name="one-output"),
    Case(neural.relu, (A,)),
    Case(
        neural.relu, (np.array([-1.0, 0.0, 2.0]),), name="at-zero", numerical=False, torch=lambda a: a.relu()
    ),
    Case(neural.sigmoid, (A,), torch=lambda a: a.sigmoid()),
    Case(neural.sigmoid, (np.array([-1000.0, 0.0, 1000.0]),), name="far", torch=lambda a: a.sigmoid()),
    Case(neural.cross_entropy, (A, TARGETS)),
    Case(neural.mean_squared_error, (A, TARGETS)),
    Case(neural.mean_squared_error, (A, A.copy()), name="equal"),
]
