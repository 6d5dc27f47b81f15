"""Cases of arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np

from mytorch.rules import arithmetic, masks
from tests.op_cases import Case

rng = np.random.default_rng(2)
A = rng.normal(size=(2, 3))
B = rng.normal(size=(2, 3))
ROW = rng.normal(size=3)
COLUMN = rng.normal(size=(2, 1))
P = rng.uniform(0.5, 2.0, size=(2, 3))
Q = rng.uniform(0.5, 2.0, size=(2, 3))
Z = rng.normal(size=(2, 3)) + 1j * rng.normal(size=(2, 3))
S = np.array(0.7)
EMPTY = np.zeros((0, 3))
TIES = np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])
HOLES = np.array([1.0, np.nan, 3.0, np.nan]), np.array([2.0, 5.0, np.nan, np.nan])
SQUARE = rng.normal(size=(3, 3))
BATCH = rng.normal(size=(4, 2, 3))

BINARY: list[Any] = [np.add, np.subtract, np.multiply, np.divide, np.maximum, np.minimum, np.fmax, np.fmin]
BINARY += [np.arctan2, np.hypot, np.logaddexp, np.logaddexp2, np.copysign]
SHAPES = [(A, ROW, "row"), (COLUMN, ROW, "outer"), (A, S, "0-d"), (EMPTY, ROW, "empty")]

CASES = [
    *(Case(f, (A, B)) for f in BINARY),
    *(Case(f, (a, b), name=name) for f in BINARY for a, b, name in SHAPES),
    *(Case(f, (Z, A), name="complex") for f in (np.add, np.subtract, np.multiply, np.divide)),
    *(Case(f, (A, Z), name="into complex") for f in (np.subtract, np.multiply, np.divide)),
    *(Case(f, (A.T, B.T), name="not contiguous") for f in (np.multiply, np.divide)),
    *(Case(f, (A,)) for f in (np.negative, np.positive, np.square)),
    *(Case(f, (Z,), name="complex") for f in (np.negative, np.square, np.reciprocal)),
    Case(np.reciprocal, (P,)),
    # powers
    Case(np.power, (P, B)),
    Case(np.power, (P, ROW), name="row"),
    Case(np.power, (A, 2.0), name="square of any sign"),
    Case(np.power, (A, 3), name="integer"),
    Case(np.power, (P, -1.5), name="negative exponent"),
    Case(np.power, (A, 0.0), name="exponent 0"),
    Case(np.power, (2.0, B), name="number to array"),
    Case(np.power, (A, np.array([[1, 2, 3], [2, 0, 1]])), name="integer exponents"),
    Case(np.power, (Z, 2.5), name="complex"),
    Case(np.power, (Z, Z[::-1]), name="complex to complex"),
    Case(
        np.power,
        (np.array([0.0, 0.0, 2.0]), np.array([0.0, 2.0, 0.0])),
        name="zeros",
        order=1,
        numerical=False,
        torch=lambda a, b: a**b,
    ),
    Case(np.float_power, (P, B)),
    Case(np.float_power, (P, 2), name="number"),
    # ties and NaN
    *(
        Case(
            f,
            TIES,
            name="ties",
            order=1,
            numerical=False,
            torch=lambda a, b, n=n: getattr(__import__("torch"), n)(a, b),
        )
        for f, n in ((np.maximum, "maximum"), (np.minimum, "minimum"))
    ),
    Case(np.fmax, TIES, name="ties", order=1, numerical=False, gradients=([1, 0, 1], [0, 1, 0])),
    Case(np.fmin, TIES, name="ties", order=1, numerical=False, gradients=([1, 1, 0], [0, 0, 1])),
    Case(np.fmax, HOLES, name="NaN", order=1, numerical=False, gradients=([0, 0, 1, 1], [1, 1, 0, 0])),
    Case(np.fmin, HOLES, name="NaN", order=1, numerical=False, gradients=([1, 0, 1, 1], [0, 1, 0, 0])),
    # remainders
    Case(np.remainder, (A * 5, P)),
    Case(np.fmod, (A * 5, P)),
    Case(lambda a, b: np.divmod(a, b)[1], (A * 5, P), covers=(np.divmod,)),
    Case(np.ldexp, (A, np.array([1, 2, -3]))),
    Case(
        np.heaviside,
        (np.array([-1.0, 0.0, 2.0]), np.array([0.5, 0.5, 0.5])),
        constant=(0,),
    ),
    Case(arithmetic.logistic, (5 * A,)),
    Case(masks.masked, (A, B > 0)),
    Case(masks.masked, (Z, B > 0), name="complex"),
    Case(masks.masked, (ROW, B > 0), name="broadcasting"),
    Case(masks.shared, (A, B >= 0, B > 0.5)),
    # products of matrices
    Case(np.matmul, (A, A.T)),
    Case(np.matmul, (A, ROW), name="matrix times vector"),
    Case(np.matmul, (COLUMN[:, 0], A), name="vector times matrix"),
    Case(np.matmul, (ROW, B[0]), name="two vectors"),
    Case(np.matmul, (BATCH, SQUARE), name="batch"),
    Case(np.matmul, (SQUARE, np.swapaxes(BATCH, 1, 2)), name="batch on the right"),
    Case(np.matmul, (SQUARE, np.swapaxes(BATCH[:, :1], 1, 2)), name="batch of columns"),
    Case(np.matmul, (np.swapaxes(BATCH, 0, 1), SQUARE), name="batch that is no block"),
    Case(np.matmul, (BATCH[:, None], np.swapaxes(BATCH[:2], 1, 2)), name="broadcast batches"),
    Case(np.matmul, (BATCH, ROW), name="batch times vector"),
    Case(np.matmul, (B[:, 0], BATCH), name="vector times batch"),
    Case(np.matmul, (COLUMN, ROW[None]), name="outer"),
    Case(np.matmul, (Z, A.T), name="complex"),
    Case(np.matmul, (EMPTY, A.T), name="empty"),
    *(
        Case(getattr(np, name), args, name=kind)
        for name, args, kind in (
            ("vecdot", (A, B), "real"),
            ("vecdot", (Z, Z[::-1]), "complex"),
            ("matvec", (BATCH, ROW), "batch"),
            ("vecmat", (B[:, 0], BATCH), "batch"),
        )
        if hasattr(np, name)
    ),
    Case(np.matmul, (BATCH, BATCH), {"axes": [(1, 2), (2, 1), (0, 2)]}, name="axes"),
]
if hasattr(np, "vecdot"):
    CASES += [
        Case(np.vecdot, (A, A[0]), name="broadcasting"),
        Case(np.vecdot, (Z, A), {"axis": 0}, name="axis"),
    ]
if hasattr(np, "matvec"):
    CASES += [
        Case(np.matvec, (Z, ROW), name="complex"),
        Case(np.vecmat, (Z, SQUARE), name="complex"),
        Case(np.matvec, (BATCH, BATCH[:, 0].T), {"axes": [(1, 2), 0, 1]}, name="axes"),
    ]
