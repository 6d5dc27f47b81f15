"""Compares what came with what is right: type, shape, finiteness, then the numbers at a tolerance by dtype.

The order matters: `np.allclose` finds (1, 3) close to (2, 3), and a NaN is no larger than any tolerance.
"""

from dataclasses import dataclass

import numpy as np

from autograder.wire import Received

# (relative, absolute). The inputs are exact in float32, so that a float32 hand-in can be right; a float64 result may
# have been float32 on its way, and whether it passes must not depend on the seed.
TOLERANCES = {"float32": (1e-4, 1e-5)}
TOLERANCE = (1e-5, 1e-6)


@dataclass(frozen=True)
class Difference:
    """An array that is not the expected one."""

    label: str
    expected: np.ndarray
    received: Received


def close(values: np.ndarray, expected: np.ndarray, kind: str = "float64") -> np.ndarray:
    """Return where two arrays of one shape agree; no NaN and no infinity agrees with anything."""
    relative, absolute = TOLERANCES.get(kind, TOLERANCE)
    with np.errstate(invalid="ignore"):
        return np.isfinite(values) & (np.abs(values - expected) <= absolute + relative * np.abs(expected))


def agree(received: Received | None, expected: np.ndarray) -> bool:
    """Return whether an array came that has the expected shape and numbers."""
    return (
        received is not None
        and received.values is not None
        and received.shape == expected.shape
        and bool(close(received.values, expected, received.kind).all())
    )


def find_differences(arrays: dict[str, Received], expected: dict[str, np.ndarray]) -> list[Difference]:
    """Return what differs among the arrays that came, in the order of the expected ones."""
    return [
        Difference(label, values, arrays[label])
        for label, values in expected.items()
        if label in arrays and not agree(arrays[label], values)
    ]
