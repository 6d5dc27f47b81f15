"""Cases of statistics, and of reductions that leave NaN out."""

from __future__ import annotations

from typing import Any

import numpy as np

from mytorch.rules import statistics
from tests.op_cases import Case

rng = np.random.default_rng(7)
A = rng.normal(size=(3, 6))
B = rng.normal(size=(2, 6))
V = rng.normal(size=6)
W = np.array([1.0, 2.0, 0.5, 1.0, 0.2, 0.3])
Z = rng.normal(size=(2, 5)) + 1j * rng.normal(size=(2, 5))
HOLES = A.copy()
HOLES[0, 1] = HOLES[1, 0] = HOLES[1, 5] = np.nan
PRESENT = ~np.isnan(HOLES)

NAN: list[Any] = [np.nansum, np.nanprod, np.nanmean, np.nanvar, np.nanstd, np.nanmax, np.nanmin]


def holed(function: Any, **kwargs: Any) -> Any:
    """Return `function` of the entries of an array that are not made NaN: NaN itself cannot be stepped."""
    return lambda a: function(np.where(PRESENT, a, np.nan), **kwargs)


CASES = [
    *(Case(f, (A,)) for f in NAN),
    *(Case(f, (A,), {"axis": 1, "keepdims": True}, name="kept") for f in NAN),
    *(Case(holed(f), (A,), name=f"{f.__name__} of holes", covers=(f,)) for f in NAN),
    *(Case(holed(f, axis=1), (A,), name=f"{f.__name__} of holes, axis", covers=(f,)) for f in NAN),
    *(
        Case(holed(f, axis=0), (A,), name=f"{f.__name__} of holes", covers=(f,))
        for f in (np.nancumsum, np.nancumprod)
    ),
    *(Case(holed(f, ddof=1), (A,), name=f"{f.__name__}, ddof", covers=(f,)) for f in (np.nanvar, np.nanstd)),
    Case(np.cov, (A,)),
    Case(np.cov, (A, B), name="two"),
    Case(np.cov, (A,), {"rowvar": False, "bias": True}, name="columns"),
    Case(np.cov, (V,), name="one variable"),
    Case(np.cov, (A,), {"fweights": np.array([1, 2, 1, 3, 1, 1])}, name="frequencies"),
    Case(np.cov, (A,), {"aweights": W, "ddof": 0}, name="weights"),
    Case(np.cov, (A,), {"aweights": W, "fweights": np.array([1, 2, 1, 3, 1, 1])}, name="all weights"),
    Case(np.cov, (A, V), {"dtype": np.float32}, name="dtype", float32=False, rtol=1e-6),
    Case(np.corrcoef, (Z,), name="complex", rtol=1e-8),
    Case(np.corrcoef, (V,), name="one variable"),
    Case(statistics.variance, (A,), {"axis": 1, "ddof": 1, "keepdims": True, "where": True}),
    Case(statistics.root, (1 + A * A,)),
    Case(np.cov, (Z,), name="complex"),
    Case(np.corrcoef, (A,)),
    Case(np.corrcoef, (V, V * V), name="two"),
]
