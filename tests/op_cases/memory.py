"""Cases of what moves values in memory: copies, casts, indexing, regions of views."""

from __future__ import annotations

from typing import Any

import numpy as np

from mytorch.regions import Region, target_of
from mytorch.rules import memory
from tests.op_cases import Case

rng = np.random.default_rng(1)
A = rng.normal(size=(3, 4))
Z = A + 1j * rng.normal(size=(3, 4))


def _region(view: np.ndarray, owner: np.ndarray) -> Region:
    place = target_of(view, owner, 0)
    assert isinstance(place, Region)
    return place


PART, TRANSPOSED, BACKWARDS = _region(A[1:, ::2], A), _region(A.T, A), _region(A[::-1, 1], A)
WINDOWS = _region(np.lib.stride_tricks.sliding_window_view(A, (2, 2)), A)
REAL = _region(Z.real, Z)
_F = np.asfortranarray(A)
FORTRAN = _region(_F[1:, ::2], _F)
ROWS = np.array([2, 0, 2])
ONCE = (np.array([0, 2]), np.array([1, 1]))


def _rows() -> list[Case]:
    rows: list[Case] = []
    regions: dict[str, Any] = {"part": PART, "transposed": TRANSPOSED, "backwards": BACKWARDS}
    for name, region in {**regions, "windows": WINDOWS}.items():
        values = rng.normal(size=region.shape)
        rows += [
            Case(memory.gather, (A,), {"region": region}, name=name, float32=False),
            Case(memory.scatter, (values,), {"region": region}, name=name, float32=False),
            Case(memory.without, (A,), {"region": region}, name=name, float32=False),
        ]
    rows += [
        Case(memory.gather, (Z,), {"region": REAL}, name="real-part", float32=False),
        Case(memory.scatter, (A,), {"region": REAL}, name="real-part", float32=False),
        Case(memory.without, (Z,), {"region": REAL}, name="real-part", float32=False),
    ]
    return rows


CASES = [
    *_rows(),
    Case(
        memory.assemble, (A, A[1:, ::2].copy(), A.copy()), {"places": (0, PART, 0)}, name="all", float32=False
    ),
    Case(memory.assemble, (A, A.copy(), A[::-1]), {"places": (0, 0, 0)}, name="wholes"),
    Case(
        memory.assemble,
        (A[1:, ::2].copy(), A[::-1, 1].copy(), A[1:, ::2].copy()),
        {"places": (PART, BACKWARDS, FORTRAN)},
        name="parts-of-two-layouts",
        float32=False,
    ),
    Case(memory.assemble, (Z, A), {"places": (0, REAL)}, name="real-part", float32=False),
    Case(memory.copy, (A.T,)),
    Case(memory.copy, (Z,), name="complex"),
    Case(memory.copy, (np.empty((0, 2)),), name="empty"),
    Case(memory.cast, (A,), {"dtype": np.complex128}, name="to-complex", float32=False),
    Case(memory.cast, (np.array(2.0),), {"dtype": np.longdouble}, name="0-d", float32=False),
    Case(memory.take_at, (A,), {"index": (ROWS,)}, name="repeated"),
    Case(memory.take_at, (Z,), {"index": (slice(None), ROWS)}, name="complex"),
    Case(memory.take_at, (A,), {"index": (A > 0,)}, name="mask"),
    Case(memory.take_at, (A,), {"index": (np.array([], int),)}, name="empty"),
    Case(memory.put_at, (rng.normal(size=(3, 4)),), {"index": (ROWS,), "shape": (3, 4)}, name="repeated"),
    Case(memory.put_at, (rng.normal(size=3),), {"index": (ROWS,), "shape": (5,)}, name="1-d"),
    Case(memory.clear_at, (A,), {"index": (ROWS,)}),
    Case(memory.assign, (A,)),
    Case(memory.assign_at, (A, rng.normal(size=2)), {"index": ONCE, "kept": None}),
    Case(memory.assign_at, (A, np.array(3.0)), {"index": (A > 0,), "kept": None}, name="mask-scalar"),
]
