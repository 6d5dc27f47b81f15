"""Cases of new arrays that hold given values, of numbers between end points, grids, diagonals and histograms."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from mytorch.rules import creation
from mytorch.rules.registry import present
from tests.op_cases import Case

rng = np.random.default_rng(5)
A = rng.normal(size=(3, 4))
U = rng.uniform(1.0, 2.0, size=3)
V = rng.normal(size=3)
X, Y = rng.normal(size=9), rng.normal(size=9)
WEIGHTS = rng.uniform(0.5, 1.5, size=9)
S, T = np.array(0.5), np.array(2.5)
Z = np.array([1 + 2j, 0.5 - 1j])
NO_NUMBERS = np.zeros(0)

CASES = [
    Case(np.full_like, (A, S)),
    Case(np.full_like, (A, V), {"shape": (2, 3)}, name="shape"),
    Case(np.linspace, (S, T, 5), covers=(np.linspace, creation.spaced)),
    Case(np.linspace, (V, T, 4), {"axis": -1}, name="arrays, axis"),
    Case(np.linspace, (V, 2, 4, False), name="without the end"),
    Case(np.linspace, (S, T, 4), {"retstep": True}, name="with the step"),
    Case(np.linspace, (S, T, 1), name="one"),
    Case(np.linspace, (S, V, 0), name="none"),
    Case(np.linspace, (Z, S, 3), name="complex"),
    Case(np.logspace, (S, T, 4)),
    Case(np.logspace, (V, T, 3), {"base": 2.0, "axis": 1}, name="base and axis", float32=False),
    Case(np.logspace, (S, V, 3), {"base": U}, name="arrays of bases"),
    Case(np.geomspace, (S, T, 4)),
    Case(np.geomspace, (-U, -2 * U[::-1], 3, False), {"axis": 1}, name="negative"),
    Case(np.geomspace, (Z, 2 * Z, 4), name="complex"),
    Case(np.meshgrid, (V, U, [1.0, 2.0])),
    Case(np.meshgrid, (V, U), {"indexing": "ij"}, name="ij"),
    Case(np.meshgrid, (V, U), {"sparse": True}, name="sparse"),
    Case(np.meshgrid, (V, U), {"copy": False}, name="views"),
    Case(np.meshgrid, (S, U), name="0-d"),
    Case(np.meshgrid, (U,), name="one"),
    Case(np.ix_, (V, U, [True, False, True])),
    Case(np.diag, (V,), covers=(np.diag, creation.diagonal_matrix)),
    Case(np.diag, (V, -2), name="below"),
    Case(np.diag, (A, 1), name="of a matrix"),
    Case(np.diagflat, (A, 1)),
    Case(np.diagflat, (S,), name="0-d"),
    Case(np.tril, (A,)),
    Case(np.tril, (A[None], -1), name="stack, below"),
    Case(np.triu, (A, 1)),
    Case(np.bincount, ([0, 2, 2, 5, 1, 1, 0, 0, 2], WEIGHTS), float32=False),
    Case(np.bincount, ([0, 2, 2],), {"weights": V, "minlength": 5}, name="longer", float32=False),
    Case(np.histogram_bin_edges, (X, 4)),
    Case(np.histogram_bin_edges, (X, "fd"), name="rule"),
    Case(
        np.histogram_bin_edges,
        (np.array([2.0, 2.0, 2.0]), 4),
        name="one value",
        numerical=False,
        gradients=(np.full(3, 5 / 3),),
    ),
    Case(np.histogram, (X, 4)),
    Case(np.histogram, (X, 4), {"density": True, "weights": WEIGHTS}, name="density", float32=False),
    Case(np.histogram, (X, [-1.0, 0.0, 0.5, 1.0]), {"weights": WEIGHTS}, name="edges", float32=False),
    Case(np.histogram, ([0.0, 1.0, 2.0], np.array([-0.5, 0.75, 2.5])), {"density": True}, name="edges vary"),
    Case(np.histogram2d, (X, Y, 3), {"weights": WEIGHTS}, float32=False),
    Case(np.histogram2d, (X, Y, (2, [-1.0, 0.0, 3.0])), {"density": True}, name="density", float32=False),
    Case(np.histogramdd, ((X, Y), 2), {"density": True}, float32=False),
    Case(np.histogramdd, (A, 2), {"density": True}, name="matrix", float32=False),
    Case(np.apply_along_axis, (lambda v: v * v.sum(), 0, A)),
    Case(np.apply_along_axis, (lambda v, k: np.diag(v, k), -1, A, 1), name="matrices"),
    Case(np.apply_along_axis, (np.sum, 1, A), name="numbers"),
    Case(np.apply_over_axes, (np.sum, A, [0, -1])),
    Case(np.sort_complex, (X,), float32=False),
    Case(np.sort_complex, (X[:4] + 1j * Y[:4],), name="of complex numbers"),
    Case(np.union1d, (X, V)),
    Case(np.setdiff1d, (X, V)),
    Case(np.setdiff1d, (X, V), {"assume_unique": True}, name="unique"),
    Case(np.setxor1d, (X, V)),
]


def _like(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function` called with ``like=`` its argument."""
    return wraps(function)(lambda a: function(a, like=a))


def _array(a: Any, b: Any, **options: Any) -> Any:
    return np.array([[a, b], [b, [0.0, 1.0, 2.0]]], like=a, **options)


CASES += [
    Case(lambda a: np.full((2, 3), a, like=a), (V,), covers=(np.full,), name="full"),
    Case(_array, (V, U), covers=(np.array,), name="nested lists", float32=False),
    Case(_array, (V, U), {"ndmin": 4, "dtype": complex}, covers=(np.array,), name="ndmin", float32=False),
]
for same in (np.asarray, np.asanyarray, np.ascontiguousarray, np.asfortranarray, np.require):
    CASES.append(Case(_like(same), (A,), covers=(same,)))
for unique in present(np, "unique_all", "unique_counts", "unique_inverse", "unique_values"):
    CASES += [Case(unique, (A,)), Case(unique, (Z,), name="complex")]
