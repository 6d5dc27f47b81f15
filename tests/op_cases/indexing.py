"""Cases of entries by index, and of the functions that write to entries."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from mytorch.rules import indexing
from tests.op_cases import Case

rng = np.random.default_rng(4)
A = rng.normal(size=(3, 4))
B = rng.normal(size=(3, 4))
CUBE = rng.normal(size=(2, 3, 2))
V = rng.normal(size=4)
S = np.array(0.7)
EMPTY = np.zeros((0, 3))
FORTRAN = np.asfortranarray(rng.normal(size=(3, 4)))
SPARSE = np.array([0.0, 0.0, 1.5, 0.0, -2.0, 0.0])
FRAMED = np.pad(A, 1)
NO_PLACE = np.array([], int)
ORDER = np.argsort(A, axis=0)

CASES = [
    Case(np.take, (A, [0, 7, 0]), covers=(np.take, indexing.pick)),
    Case(np.take, (A, [[1, -1], [1, 0]], 1), name="axis"),
    Case(np.take, (A, 2), {"axis": -1}, name="one place"),
    Case(np.take, (A, -3), name="one entry"),
    Case(np.take, (A, [5, -9], 0), {"mode": "wrap"}, name="wrapped"),
    Case(np.take, (A, [5, -9], 0), {"mode": "clip"}, name="clipped"),
    Case(np.take, (A, [], 0), name="nothing"),
    Case(np.take, (EMPTY, NO_PLACE), name="of nothing"),
    Case(np.take_along_axis, (A, ORDER, 0)),
    Case(np.take_along_axis, (CUBE, np.array([[[1], [0], [1]]]), -1), name="broadcasting"),
    Case(np.take_along_axis, (A, np.array([3, 3, -1]), None), name="flattened"),
    Case(np.compress, ([True, False, True], A, 0)),
    Case(np.compress, ([False, True, True], A), name="flattened"),
    Case(np.extract, (A > 0, A)),
    Case(np.choose, ([[0, 1, 0, 1]], (A, B)), covers=(np.choose, indexing.pick_from)),
    Case(np.choose, ([2, 0, 1, 0], (A, S, V)), name="broadcasting"),
    Case(np.choose, ([2, -1, 1, 0], (A, V)), {"mode": "wrap"}, name="wrapped"),
    Case(np.choose, ([2, -1, 1, 0], (A, V)), {"mode": "clip"}, name="clipped"),
    Case(np.delete, (A, 1)),
    Case(np.delete, (A, [0, -1], 1), name="axis"),
    Case(np.delete, (A, slice(None, None, 2), 0), name="slice"),
    Case(np.delete, (A, [True, False, True], 0), name="mask"),
    Case(np.insert, (V, 1, S)),
    Case(np.insert, (A, 1, V, 0), name="row"),
    Case(np.insert, (A, -1, A[:, 0], 1), name="column"),
    Case(np.insert, (A, [1], A[:, :2], 1), name="columns at one place"),
    Case(np.insert, (A, [0, 3, 3], V[:3, None], 0), name="rows at places"),
    Case(np.insert, (A, slice(0, 2), B[:2], 0), name="slice"),
    Case(np.insert, (A, NO_PLACE, 1.0, 0), name="nothing"),
    Case(np.trim_zeros, (SPARSE,), numerical=False, gradients=(np.array([0.0, 0, 1, 1, 1, 0]),)),
    Case(
        np.trim_zeros,
        (SPARSE, "f"),
        name="front",
        numerical=False,
        gradients=(np.array([0.0, 0, 1, 1, 1, 1]),),
    ),
    Case(
        np.trim_zeros,
        (SPARSE, "B"),
        name="back",
        numerical=False,
        gradients=(np.array([1.0, 1, 1, 1, 1, 0]),),
    ),
    Case(np.trim_zeros, (0 * SPARSE,), name="all", numerical=False, gradients=(0 * SPARSE,)),
]
if np.lib.NumpyVersion(np.__version__) >= "2.2.0":
    CASES += [
        Case(
            np.trim_zeros, (FRAMED,), name="matrix", numerical=False, gradients=(np.pad(np.ones_like(A), 1),)
        ),
        Case(
            np.trim_zeros,
            (FRAMED,),
            {"axis": -1},
            name="axis",
            numerical=False,
            gradients=(np.pad(np.ones((5, 4)), ((0, 0), (1, 1))),),
        ),
    ]


def _on_copy(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that lets `function` write to a copy of its first argument, and returns that."""

    @wraps(function)
    def call(a: Any, *args: Any, **kwargs: Any) -> Any:
        destination = np.copy(a)
        function(destination, *args, **kwargs)
        return destination

    return call


def _write(function: Callable[..., Any], *args: Any, name: str = "", **kwargs: Any) -> Case:
    return Case(_on_copy(function), args, kwargs, name=name, covers=(function,))


def _put_transposed(a: Any, places: Any, values: Any) -> None:
    np.put(a.T, places, values)


CASES += [
    _write(np.put, A, [0, -1, 5], S),
    _write(np.put, A, [[0, 3], [8, 1]], V[:3], name="repeated values"),
    _write(np.put, A, [13, -1], V[:2], mode="wrap", name="wrapped"),
    _write(np.put, A, [0, 1, 0], V[:3], name="a place twice"),
    _write(np.put, A, NO_PLACE, S, name="nothing"),
    Case(_on_copy(_put_transposed), (A, [0, 3, 8], V), name="transposed"),
    _write(np.place, A, A > 0, V),
    _write(np.place, A, A > 9, V, name="nowhere"),
    _write(np.putmask, A, A > 0, B),
    _write(np.putmask, A, A > 0, V[:3], name="repeated values"),
    _write(np.copyto, A, B),
    _write(np.copyto, A, V, where=A > 0, name="where"),
    _write(np.copyto, A, V, where=[[True], [False], [True]], name="broadcast where"),
    _write(np.copyto, A, V[None, None], where=A > 0, name="leading axes, where"),
    _write(np.copyto, FORTRAN, S, name="0-d"),
    _write(np.fill_diagonal, A, S),
    _write(np.fill_diagonal, np.ones((7, 2)) * S, V[:2], name="tall"),
    _write(np.fill_diagonal, np.ones((7, 2)) * S, V[:2], wrap=True, name="tall, wrapped"),
    _write(np.fill_diagonal, np.ones((2, 2, 2)) * S, V[:2], name="cube"),
    _write(np.put_along_axis, A, ORDER[:, :1], S, axis=1, name="broadcasting"),
    _write(np.put_along_axis, A, np.array([[3, 0], [1, 2], [0, 2]]), V[:2], axis=-1),
    _write(np.put_along_axis, A, np.array([3, 11]), V[:2], axis=None, name="flattened"),
]
