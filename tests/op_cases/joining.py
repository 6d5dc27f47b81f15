"""Cases of arrays put together, repeated and padded."""

from __future__ import annotations

import numpy as np

from mytorch.rules import joining, padding
from tests.op_cases import Case

rng = np.random.default_rng(3)
A, B = rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
C = rng.normal(size=(2, 1))
V, W = rng.normal(size=3), rng.normal(size=3)
S, T = np.array(0.5), np.array(-1.5)
Z = A + 1j * B
CUBE = rng.normal(size=(2, 3, 2))
EMPTY = np.zeros((0, 3))
FORTRAN = np.asfortranarray(rng.normal(size=(2, 3)))

CASES = [
    Case(np.concatenate, ((A, B),), covers=(np.concatenate, joining.join)),
    Case(np.concatenate, ([A, C, A[:, ::2]],), {"axis": -1}, name="negative axis"),
    Case(np.concatenate, ((A, S, V),), {"axis": None}, name="flattened"),
    Case(np.concatenate, ((A, [[1.0, 2.0, 3.0]], B[::-1]),), name="with a list"),
    Case(np.concatenate, ((EMPTY, A, EMPTY),), name="with empty arrays"),
    Case(np.concatenate, (CUBE,), name="slices of one array"),
    Case(np.concatenate, ((A, Z),), name="real and complex"),
    Case(np.concatenate, ((A, np.arange(3)[None]),), {"dtype": np.float64}, name="dtype", float32=False),
    Case(np.stack, ((A, B),), covers=(np.stack, joining.pile)),
    Case(np.stack, ([A, B.T.copy().T, FORTRAN],), {"axis": -1}, name="negative axis"),
    Case(np.stack, ((S, T, 2.0),), name="0-d", float32=False),
    Case(np.stack, (CUBE,), {"axis": 1}, name="slices of one array"),
    Case(np.vstack, ((V, A),)),
    Case(np.vstack, ((S, T),), name="0-d"),
    Case(np.hstack, ((A, C),)),
    Case(np.hstack, ((V, W[:1], [4.0]),), name="vectors", float32=False),
    Case(np.dstack, ((A, B),)),
    Case(np.dstack, ((V, W),), name="vectors"),
    Case(np.column_stack, ((V[:2], A),)),
    Case(np.column_stack, ((S, T),), name="0-d"),
    Case(np.append, (A, V)),
    Case(np.append, (A, C), {"axis": 1}, name="axis"),
    Case(np.block, ([[A, C], [np.zeros((1, 3)), S]],), constant=()),
    Case(np.block, ([V, 2.0, S],), name="one row", float32=False),
    Case(np.block, ([[[CUBE]], [[CUBE]]],), name="three levels"),
    Case(np.block, (A,), name="no list"),
    Case(np.tile, (A, 2)),
    Case(np.tile, (A, (2, 1)), name="per axis"),
    Case(np.tile, (V, (2, 2, 1)), name="new axes"),
    Case(np.tile, (CUBE, (2,)), name="fewer than axes"),
    Case(np.tile, (A, (0, 2)), name="nothing"),
    Case(np.tile, (S, 3), name="0-d"),
    Case(np.repeat, (A, 2)),
    Case(np.repeat, (np.array(1.5), 2), {"axis": 0}, name="number"),
    Case(np.repeat, (A, 3), {"axis": -1}, name="negative axis"),
    Case(np.repeat, (A, [2, 0, 1], 1), name="each its own"),
    Case(np.repeat, (A, np.arange(6)), name="each its own, flattened"),
    Case(np.repeat, (A, [2], 0), name="one number in a list"),
    Case(np.repeat, (A, 0, 0), name="nothing"),
    Case(np.repeat, (S, 3), name="0-d"),
    Case(np.roll, (A, 2)),
    Case(np.roll, (A, -1, -1), name="negative axis"),
    Case(np.roll, (CUBE, (1, 2), (0, 1)), name="axes"),
    Case(np.roll, (CUBE, 1, (0, 1)), name="one shift of two axes"),
    Case(np.roll, (EMPTY, 1, 0), name="empty"),
    Case(np.resize, (A, (3, 4))),
    Case(np.resize, (A, 2), name="smaller"),
    Case(np.resize, (EMPTY, (2, 2)), name="empty"),
    Case(np.pad, (A, 1), covers=(np.pad, padding.pad_with_zeros)),
    Case(np.pad, (A, ((1, 0), (2, 3))), {"constant_values": ((1.0, 2.0), (3.0, 4.0))}, name="constants"),
    Case(np.pad, (A, (1, 2)), {"mode": "linear_ramp", "end_values": 5.0}, name="linear ramp"),
    Case(np.pad, (A, 0), {"mode": "edge"}, name="nothing"),
    Case(np.pad, (EMPTY, ((2, 1), (0, 0))), name="empty"),
    Case(np.pad, (Z, 1), {"mode": "reflect"}, name="complex"),
]

for mode in ("edge", "linear_ramp", "maximum", "mean", "median", "minimum", "reflect", "symmetric", "wrap"):
    CASES += [
        Case(np.pad, (A, ((1, 1), (0, 2)), mode), name=mode),
        Case(np.pad, (V, (5, 8), mode), name=f"{mode}, wider than the array"),
    ]
for mode in ("reflect", "symmetric"):
    CASES += [
        Case(np.pad, (A, (1, 2), mode), {"reflect_type": "odd"}, name=f"odd {mode}"),
        Case(np.pad, (V, (9, 4), mode), {"reflect_type": "odd"}, name=f"odd {mode}, wider than the array"),
    ]
for mode in ("maximum", "mean", "median", "minimum"):
    CASES.append(Case(np.pad, (V, 2, mode), {"stat_length": (2, 1)}, name=f"{mode} of the ends"))


def _borders(vector: np.ndarray, width: tuple[int, int], axis: int, options: dict[str, float]) -> None:
    """Write multiples of the ends."""
    vector[: width[0]] = vector[width[0]] * options["factor"]
    vector[-width[1] :] = -vector[-width[1] - 1]


CASES.append(Case(np.pad, (A, (2, 1), _borders), {"factor": 3.0}, name="a function"))
