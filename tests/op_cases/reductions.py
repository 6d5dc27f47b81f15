"""Cases of sums, means, products and extrema."""

from __future__ import annotations

from typing import Any

import numpy as np

from mytorch.rules import reductions
from tests.op_cases import Case

rng = np.random.default_rng(3)
A = rng.normal(size=(2, 3, 4))
V = rng.normal(size=5)
S = np.array(0.7)
EMPTY = np.zeros((0, 3))
ZEROS = np.array([[1.0, 0.0, 3.0], [0.0, 2.0, 0.0], [4.0, 5.0, 6.0]])
TIES = np.array([[2.0, 1.0, 2.0], [3.0, 3.0, 3.0], [0.0, 1.0, 0.0]])
MASK = A > -0.5
Z = rng.normal(size=(2, 3)) + 1j * rng.normal(size=(2, 3))

ALL: list[Any] = [np.sum, np.mean, np.prod, np.max, np.min, np.var, np.std, np.ptp]
AXES: list[tuple[dict[str, Any], str]] = [
    ({}, "all"),
    ({"axis": 0}, "first axis"),
    ({"axis": -1, "keepdims": True}, "last axis, kept"),
    ({"axis": (0, 2)}, "two axes"),
    ({"axis": (-1, 0), "keepdims": True}, "two axes, kept"),
]

CASES = [
    *(Case(f, (A,), kwargs, name=name) for f in ALL for kwargs, name in AXES),
    *(Case(f, (V,)) for f in (*ALL, np.amax, np.amin)),
    *(Case(f, (S,), name="0-d") for f in (np.sum, np.mean, np.prod, np.max, np.min)),
    *(Case(f, (EMPTY,), {"axis": 1}, name="empty result") for f in (np.sum, np.prod, np.max)),
    *(Case(f, (EMPTY,), {"axis": 0}, name="of nothing") for f in (np.sum, np.prod)),
    *(Case(f, (A.T,), {"axis": 1}, name="not contiguous") for f in ALL),
    *(Case(f, (Z,), {"axis": 0}, name="complex") for f in (np.sum, np.mean, np.prod, np.var, np.std)),
    *(Case(f, (A, 1), name="axis by position") for f in ALL),
    *(
        Case(f, (A,), {"axis": 1, "where": MASK}, name="where")
        for f in (np.sum, np.mean, np.prod, np.var, np.std)
    ),
    *(
        Case(f, (A,), {"axis": 1, "where": MASK, "initial": 0.1}, name="where, initial")
        for f in (np.max, np.min)
    ),
    *(Case(f, (A,), {"axis": 1, "initial": 0.3}, name="initial") for f in (np.sum, np.prod, np.max, np.min)),
    *(Case(f, (EMPTY,), {"initial": 0.3}, name="initial of nothing") for f in (np.sum, np.prod)),
    *(Case(f, (A,), {"ddof": 1, "axis": 1}, name="ddof") for f in (np.var, np.std)),
    Case(np.prod, (ZEROS,), {"axis": 1}, name="zeros"),
    Case(np.prod, (ZEROS,), name="zeros, all", order=1, numerical=False, torch=lambda a: a.prod()),
    Case(np.prod, (np.stack([ZEROS, ZEROS + 1]),), {"axis": (0, 2)}, name="zeros, two axes"),
    *(
        Case(
            f,
            (TIES,),
            {"axis": 1},
            name="ties",
            order=1,
            numerical=False,
            torch=lambda a, n=n: getattr(__import__("torch"), n)(a, dim=1),
        )
        for f, n in ((np.max, "amax"), (np.min, "amin"))
    ),
    Case(np.std, (np.ones(3),), name="at 0", order=1, numerical=False, gradients=([0.0, 0.0, 0.0],)),
    Case(np.average, (A,)),
    Case(np.average, (A, 1, np.array([0.2, 0.3, 0.7])), name="weights"),
    Case(
        np.average, (A,), {"weights": A * A, "axis": 2, "keepdims": True}, name="weights of the array's shape"
    ),
    *(
        Case(f, (A,), kwargs, name=name)
        for f in (reductions.logsumexp, reductions.logsumexp2, reductions.fmax_reduce, reductions.fmin_reduce)
        for kwargs, name in AXES
    ),
    Case(np.average, (A, 1), {"returned": True}, name="returned"),
    Case(np.var, (A,), {"axis": (0, 2), "keepdims": True, "where": MASK, "ddof": 1}, name="where, two axes"),
    Case(np.var, (A,), {"where": MASK}, name="where, all"),
    *(
        Case(f, (A[0].T,), {"axis": 0, "dtype": np.longdouble}, name="dtype", float32=False)
        for f in (np.sum, np.var)
    ),
    *(Case(f, (A, -1, None, None, True), name="all by position") for f in (np.sum, np.prod, np.mean)),
    *(Case(f, (A, -1, None, None, 1, True), name="all by position") for f in (np.var, np.std)),
]
if np.__version__ >= "2":
    CASES += [
        Case(np.average, (A, (0, 2), A[:, 0] ** 2), name="weights along two axes"),
        Case(
            np.average,
            (A, (2, 0), A[:, 0].T ** 2),
            {"returned": True},
            name="weights along two axes, returned",
        ),
        Case(np.var, (A,), {"axis": 1, "mean": A[:, :1] + 1, "keepdims": True}, name="mean"),
        Case(np.std, (A,), {"axis": 1, "mean": A[:, :1] + 1, "correction": 1}, name="mean, correction"),
    ]
