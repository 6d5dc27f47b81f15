"""Cases of functions that choose between values."""

from __future__ import annotations

import numpy as np

from mytorch.rules import selection
from tests.op_cases import Case

rng = np.random.default_rng(8)
A = rng.normal(size=(2, 3))
B = rng.normal(size=(2, 3))
ROW = rng.normal(size=3)
V = np.array([-2.0, -0.5, 0.3, 1.0, 2.5])
XP, FP = np.array([-1.0, 0.0, 1.5, 2.0]), np.array([0.5, 2.0, -1.0, 3.0])
BOUND = np.array([-1.0, 0.0, 1.0])

CASES = [
    Case(np.where, (A > 0, A, B)),
    Case(np.where, (A[:, :1] > 0, ROW, B), name="broadcast"),
    Case(np.where, (A > 0, A, 0.0), name="number"),
    Case(np.where, (np.array(True), A, B), name="0-d condition"),
    Case(
        lambda x: np.where(x > 0, np.sqrt(np.where(x > 0, x, 1)), 0 * x),
        (V,),
        name="guarded root",
        covers=(np.where,),
    ),
    Case(np.clip, (A, -0.5, 0.5)),
    Case(selection._umath.clip, (A, B - 0.5, ROW + 0.5), name="the ufunc"),
    Case(np.clip, (A, None, 0.2), name="above"),
    Case(np.clip, (A, B - 0.5, ROW + 0.5), name="arrays"),
    Case(
        np.clip,
        (BOUND, -1.0, 1.0),
        name="at the bounds",
        order=1,
        numerical=False,
        torch=lambda a: a.clamp(-1.0, 1.0),
    ),
    Case(np.select, ([A > 0.5, A > 0], [A, A * A]), {"default": 0.5}),
    Case(np.select, ([A > 0.5, A > 0], [A, B], ROW), name="default of arrays"),
    Case(np.piecewise, (V, [V < 0, V >= 1], [lambda v: v * v, 3.0, np.exp]), float32=False),
    Case(np.interp, (V, XP, FP)),
    Case(np.interp, (V, XP, FP), {"left": -7.0, "right": 9.0}, name="ends"),
    Case(np.interp, (V, np.array([0.1, 1.1, 2.3]), FP[:3]), {"period": 3.0}, name="period"),
    Case(np.interp, (np.array(0.4), XP, FP), name="0-d"),
    Case(np.unwrap, (np.array([0.1, 3.0, 6.5, 0.4, 7.0]),)),
    Case(np.unwrap, (np.array([[0.1, 3.0], [6.5, 0.4]]),), {"axis": 0, "period": 4.0}, name="axis"),
    Case(selection.chosen, (A > 0, A, B)),
    Case(selection.clamp, (A, B - 0.5, None), name="below"),
    Case(np.clip, (A, A - 1, A - 2), name="bounds in the wrong order"),
    Case(np.where, (A, B, [1.0, 2.0, 3.0]), name="numbers as a condition", constant=(0,)),
    Case(np.piecewise, (V, V < 0.5, [lambda v: v * v, lambda v: -v]), name="one condition"),
    Case(np.piecewise, (np.array(0.4), [False, True], [1.0, np.exp]), name="0-d"),
    Case(np.interp, (V, XP, FP * 1j), name="complex", float32=False),
    Case(np.interp, (V, XP[:1], FP[:1]), name="one point"),
    Case(np.interp, (V, XP, FP), {"left": np.array(-7.0), "right": np.array(9.0)}, name="ends that vary"),
]
