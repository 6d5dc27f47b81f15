"""Cases of sorting and order statistics."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.op_cases import Case

rng = np.random.default_rng(6)
A = rng.normal(size=(3, 5))
V = rng.normal(size=6)
HOLES = np.where(rng.uniform(size=(3, 5)) < 0.3, np.nan, A)
Q = [0.1, 0.5, 0.77]
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
]
