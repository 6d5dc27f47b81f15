"""Cases of running sums and products, differences and integrals."""

from __future__ import annotations

import numpy as np

from mytorch.rules import cumulative
from tests.op_cases import Case

rng = np.random.default_rng(5)
A = rng.normal(size=(3, 4))
V = rng.normal(size=5)
ZEROS = np.array([[2.0, 0.0, 3.0, 4.0], [0.0, 1.0, 0.0, 5.0]])
X = np.array([0.0, 0.5, 2.0, 3.5])
Z = rng.normal(size=4) + 1j * rng.normal(size=4)
TRAPEZOID = getattr(np, "trapezoid" if hasattr(np, "trapezoid") else "trapz")

CASES = [
    *(Case(f, (A,), name="raveled") for f in (np.cumsum, np.cumprod)),
    *(
        Case(f, (A,), {"axis": axis}, name=f"axis {axis}")
        for f in (np.cumsum, np.cumprod)
        for axis in (0, -1)
    ),
    *(Case(f, (A, 1), name="axis by position") for f in (np.cumsum, np.cumprod)),
    *(Case(f, (Z,), name="complex") for f in (np.cumsum, np.cumprod)),
    *(Case(f, (A,), {"axis": 0, "dtype": float}, name="dtype") for f in (np.cumsum, np.cumprod)),
    *(Case(np.cumprod, (ZEROS,), {"axis": axis}, name=f"zeros, axis {axis}") for axis in (0, 1, None)),
    Case(np.cumsum, (np.zeros((0, 2)),), {"axis": 0}, name="empty"),
    *(
        Case(f, (A,), {"axis": 1, "include_initial": initial}, name=f"initial {initial}")
        for f in (getattr(np, n) for n in ("cumulative_sum", "cumulative_prod") if hasattr(np, n))
        for initial in (False, True)
    ),
    Case(np.diff, (A,)),
    Case(np.diff, (A,), {"n": 2, "axis": 0}, name="second"),
    Case(np.diff, (V,), {"prepend": 0.5, "append": np.array([1.0, 2.0])}, name="ends"),
    Case(np.diff, (V,), {"n": 0}, name="none"),
    Case(np.ediff1d, (A,)),
    Case(np.ediff1d, (V, np.array([1.0]), np.array([2.0, 3.0])), name="ends"),
    Case(TRAPEZOID, (A,)),
    Case(TRAPEZOID, (A, X), name="points"),
    Case(TRAPEZOID, (A,), {"dx": 0.5, "axis": 0}, name="spacing"),
    Case(TRAPEZOID, (A, A * A), {"axis": 0}, name="points of the array's shape"),
    Case(np.gradient, (V,)),
    Case(np.gradient, (V, 0.5), name="spacing"),
    Case(np.gradient, (V, np.array(0.5)), name="spacing that varies"),
    Case(np.gradient, (V[:4], X), name="points"),
    Case(np.gradient, (A, X, X[:3]), {"axis": (1, 0)}, name="points of two axes"),
    Case(np.gradient, (A, X), {"axis": 1, "edge_order": 2}, name="points, second-order edges"),
    Case(np.gradient, (V[:2], X[:2]), name="two points"),
    Case(np.gradient, (V[:3], X[:3]), {"edge_order": 2}, name="three points, second-order edges"),
    Case(np.gradient, (Z,), name="complex"),
    Case(np.gradient, (A,), {"axis": 1, "edge_order": 2}, name="second-order edges"),
    Case(lambda f: np.gradient(f)[0] * np.gradient(f)[1], (A,), name="two axes", covers=(np.gradient,)),
    Case(cumulative.recurrence, (A, A * A)),
    Case(cumulative.recurrence, (A[:, :1], A[:, 1:2]), name="one step"),
    Case(np.cumsum, (np.array(0.7),), name="0-d"),
    Case(np.cumprod, (np.array(0.7),), {"axis": 0}, name="0-d"),
    Case(np.cumprod, (A.T,), {"axis": 1}, name="not contiguous"),
    Case(np.cumprod, (np.zeros((2, 0)),), {"axis": 1}, name="empty"),
    Case(np.cumprod, (1 + rng.normal(size=17) / 4,), name="long"),
]
