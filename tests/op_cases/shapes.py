"""Cases of functions whose results are views, and of copies of them where NumPy has to copy."""

from __future__ import annotations

from typing import Any

import numpy as np

from mytorch.rules.registry import present
from tests.op_cases import Case

rng = np.random.default_rng(2)
A = rng.normal(size=(3, 4))
B = rng.normal(size=(2, 3, 4))
V = rng.normal(size=5)
S = np.array(1.5)
EMPTY = np.zeros((0, 3))
FORTRAN = np.asfortranarray(rng.normal(size=(3, 4)))
STEPS = rng.normal(size=(6, 8))[::2, ::-2]
Z = A + 1j * rng.normal(size=(3, 4))
windows = np.lib.stride_tricks.sliding_window_view


def _ravel(a: Any, order: Any) -> Any:
    return np.ravel(a.T, order)


def _ravel_steps(a: Any, order: Any) -> Any:
    return np.ravel(a[:, ::-2].T, order)


CASES = [
    Case(np.reshape, (A, (2, 6))),
    Case(np.reshape, (A, -1), name="flat"),
    Case(np.reshape, (A, (2, 6)), {"order": "F"}, name="order F copies"),
    Case(np.reshape, (FORTRAN, (2, 6)), name="Fortran array copies"),
    Case(np.reshape, (STEPS, (4, 3)), name="non-contiguous copies"),
    Case(np.reshape, (S, (1, 1)), name="0-d"),
    Case(np.reshape, (EMPTY, (3, 0)), name="empty"),
    Case(np.ravel, (A,)),
    Case(np.ravel, (A, "F"), name="order F"),
    *(Case(_ravel, (A, order), name=f"transposed, order {order}", covers=(np.ravel,)) for order in "CFAK"),
    *(Case(_ravel_steps, (A, order), name=f"steps, order {order}", covers=(np.ravel,)) for order in "CFAK"),
    Case(lambda a: np.reshape(a.T, (2, 6), order="A"), (A,), name="reshape, order A", covers=(np.reshape,)),
    Case(np.ravel, (S,), name="0-d"),
    Case(np.ravel, (Z,), name="complex"),
    Case(np.transpose, (B,)),
    Case(np.transpose, (B, (1, 2, 0)), name="axes"),
    Case(np.transpose, (B,), {"axes": (-1, 0, 1)}, name="negative axes"),
    Case(np.swapaxes, (B, 0, -1)),
    Case(np.moveaxis, (B, 0, -1)),
    Case(np.moveaxis, (B, (0, 1), (-1, 0)), name="several"),
    Case(np.rollaxis, (B, 2)),
    Case(np.rollaxis, (B, 0, 3), name="to the end"),
    Case(np.squeeze, (A[:, None],)),
    Case(np.squeeze, (A[None, :, None],), {"axis": (0, 2)}, name="axes"),
    Case(np.expand_dims, (A, 1)),
    Case(np.expand_dims, (A, (0, -1)), name="several"),
    Case(np.broadcast_to, (A, (2, 3, 4))),
    Case(np.broadcast_to, (A[:, :1], (3, 4)), name="axis of length one"),
    Case(np.broadcast_to, (S, (2, 2)), name="0-d"),
    Case(np.broadcast_to, (A, (0, 3, 4)), name="to nothing"),
    Case(np.broadcast_arrays, (A, V[:4], S)),
    Case(np.broadcast_arrays, (A, 2.0), name="with a number"),
    Case(np.diagonal, (A,)),
    Case(np.diagonal, (B, -1, 0, 2), name="offset and axes"),
    Case(np.diagonal, (A, 7), name="none"),
    Case(np.flip, (B,)),
    Case(np.flip, (B, (0, -1)), name="axes"),
    Case(np.fliplr, (A,)),
    Case(np.flipud, (A,)),
    *(Case(np.rot90, (A, k), name=f"{k} times") for k in (0, 1, 2, 3, -1)),
    Case(np.rot90, (B,), {"axes": (2, 0)}, name="axes"),
    Case(np.split, (B, 2)),
    Case(np.split, (A, [1, 3], -1), name="at places"),
    Case(np.array_split, (V, 3)),
    Case(np.array_split, (A, [2, 2, 7]), name="with empty parts"),
    Case(np.hsplit, (A, 2)),
    Case(np.hsplit, (V, [2]), name="vector"),
    Case(np.vsplit, (A, 3)),
    Case(np.dsplit, (B, 2)),
    Case(windows, (V, 3)),
    Case(windows, (A, (2, 3)), name="two axes"),
    Case(windows, (A, 2, 0), name="axis"),
    Case(windows, (A, (2, 2), (1, 1)), name="one axis twice"),
    Case(np.atleast_1d, (S,)),
    Case(np.atleast_1d, (S, A, 2.0), name="several"),
    Case(np.atleast_2d, (V,)),
    Case(np.atleast_2d, (S, A), name="several"),
    Case(np.atleast_3d, (V,)),
    Case(np.atleast_3d, (S, V, A, B), name="several"),
    Case(np.real, (Z,)),
    Case(np.real, (A,), name="of real numbers"),
    Case(np.imag, (Z,)),
    Case(np.imag, (Z.T,), name="transposed"),
    Case(np.copy, (A,)),
    Case(np.copy, (STEPS.T, "F"), name="order F"),
]


def _newer(module: Any, name: str, *args: Any, label: str = "", **kwargs: Any) -> list[Case]:
    """Return the row of a function that NumPy 1.26 does not have."""
    return [Case(function, args, kwargs, name=label) for function in present(module, name)]


CASES += _newer(np, "matrix_transpose", B)
CASES += _newer(np.linalg, "matrix_transpose", B)
CASES += _newer(np.linalg, "diagonal", B, offset=1)
CASES += _newer(np, "unstack", B, axis=1)
CASES += _newer(np, "unstack", V, label="vector")
CASES += [Case(f, (A, np.float64), float32=False) for f in present(np, "astype")]
