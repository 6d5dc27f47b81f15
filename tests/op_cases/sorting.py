"""Cases of sorting and order statistics."""

from __future__ import annotations

from typing import Any

import numpy as np

from mytorch.rules import sorting
from tests.op_cases import Case

rng = np.random.default_rng(6)
A = rng.normal(size=(3, 5))
V = rng.normal(size=6)
HOLES = np.where(rng.uniform(size=(3, 5)) < 0.3, np.nan, A)
Q = [0.1, 0.5, 0.77]
Z = rng.normal(size=5) + 1j * rng.normal(size=5)
HELD = ~np.isnan(HOLES)
MASS = np.array([1.0, 2.0, 0.5, 1.0, 3.0])
REPEATED = np.array([2.0, 1.0, 2.0, 3.0, 1.0])
NAN: list[Any] = [np.nanquantile, np.nanpercentile]
METHODS = [
    "inverted_cdf",
    "averaged_inverted_cdf",
    "closest_observation",
    "interpolated_inverted_cdf",
    "hazen",
]
METHODS += [
    "weibull",
    "linear",
    "median_unbiased",
    "normal_unbiased",
    "lower",
    "higher",
    "midpoint",
    "nearest",
]
MEDIANS: list[Any] = [np.median, np.nanmedian]
QUANTILES: list[Any] = [np.quantile, np.nanquantile]
PERCENTILES: list[Any] = [np.percentile, np.nanpercentile]

CASES = [
    Case(np.sort, (A,)),
    Case(np.sort, (A,), {"axis": 0}, name="axis"),
    Case(np.sort, (A, None), name="raveled"),
    Case(np.sort, (V,), {"kind": "stable"}, name="stable"),
    Case(np.partition, (V, 2)),
    Case(np.partition, (A, 1), {"axis": 0}, name="axis"),
    *(Case(f, (A,)) for f in MEDIANS),
    *(Case(f, (A,), {"axis": 1}, name="axis") for f in MEDIANS),
    *(Case(f, (A,), {"axis": (0, 1), "keepdims": True}, name="kept") for f in MEDIANS),
    *(Case(f, (V,), name="even") for f in MEDIANS),
    *(Case(f, (A, 0.3)) for f in QUANTILES),
    *(Case(f, (A, Q), {"axis": 0}, name="several") for f in QUANTILES),
    *(Case(f, (A, Q), {"axis": 1, "keepdims": True}, name="several, kept") for f in QUANTILES),
    *(Case(np.quantile, (V, 0.37), {"method": method}, name=method) for method in METHODS),
    *(Case(np.quantile, (V, np.array(0.37)), {"method": m}, name=f"by q, {m}") for m in METHODS),
    *(
        Case(f, (A, np.array([0.1, 0.55, 0.77])), {"axis": 1, "keepdims": True}, name="by q, several")
        for f in QUANTILES
    ),
    *(Case(f, (A, np.array([30.0, 61.0])), {"axis": 0}, name="by q") for f in PERCENTILES),
    Case(np.nanquantile, (HOLES, np.array([0.2, 0.7])), {"axis": 1}, name="NaN, by q", constant=(0,)),
    Case(
        np.quantile,
        (V, np.array([0.0, 1.0])),
        name="by q, ends",
        numerical=False,
        torch=lambda a, q: __import__("torch").quantile(a, q),
    ),
    *(Case(f, (A, 30), {"axis": -1}) for f in PERCENTILES),
    *(
        Case(
            f,
            (HOLES, 0.4),
            {"axis": 1},
            name="NaN",
            float32=False,
            order=1,
            numerical=False,
            gradients=None,
            torch=lambda a: __import__("torch").nanquantile(a, 0.4, dim=1),
        )
        for f in (np.nanquantile,)
    ),
    Case(np.unique, (V,)),
    Case(
        lambda a: np.unique(a, return_index=True, return_counts=True)[0],
        (A,),
        name="with indices",
        covers=(np.unique,),
    ),
    Case(sorting.arranged, (A,), {"order": np.argsort(A, axis=0), "axis": 0}),
    Case(np.sort, (Z,), name="complex"),
    Case(np.median, (Z,), name="complex"),
    Case(np.quantile, (np.stack([A, -A]), Q), {"axis": (0, 2), "keepdims": True}, name="two axes"),
    Case(np.quantile, (V, 0.5), {"axis": ()}, name="no axis"),
    Case(np.quantile, (np.array(1.5), 0.5), name="0-d"),
    *(
        Case(
            lambda a, f=f: f(np.where(HELD, a, np.nan), Q, 1),
            (A,),
            name=f"{f.__name__} of holes",
            covers=(f,),
        )
        for f in NAN
    ),
    *(
        Case(lambda a, f=f: f(np.where(HELD, a, np.nan), 0), (A,), name=f"{f.__name__} of holes", covers=(f,))
        for f in (np.nanmedian,)
    ),
    Case(np.unique, (REPEATED,), name="repeated", numerical=False, gradients=([1.0, 1.0, 0.0, 1.0, 0.0],)),
    Case(np.unique, (A,), {"axis": 0}, name="rows"),
]
if np.__version__ >= "2":
    CASES += [
        Case(
            f,
            (A, q),
            {"axis": 1, "weights": MASS, "method": "inverted_cdf"},
            name="weights",
            constant=("weights",),
        )
        for f, q in ((np.quantile, 0.4), (np.percentile, [20, 70]))
    ]
    CASES += [
        Case(
            lambda a, i=i: np.nanquantile(
                np.where(HELD, a, np.nan)[i], Q, weights=MASS, method="inverted_cdf"
            ),
            (A,),
            name=f"weights, holes, row {i}",
            covers=(np.nanquantile,),
        )
        for i in range(3)
    ]
