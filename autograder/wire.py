"""How an array travels between the two processes: as JSON, which can carry numbers and nothing that runs.

Pickles execute code and a zip archive may unpack to gigabytes; a list of numbers does neither. Python writes
a float with the digits that give back exactly that float, so nothing is rounded on the way.
"""

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy import array, asarray, float64, generic, ndarray  # by name: a hand-in may replace np.array

MAX_ELEMENTS = 10_000


@dataclass(frozen=True)
class Received:
    """What the hand-in produced: `kind` is the dtype, or the type's name where it was no array of numbers."""

    kind: str
    shape: tuple[int, ...] = ()
    values: np.ndarray | None = None

    def __str__(self) -> str:
        if self.values is None and not self.shape:
            return self.kind
        return f"array of shape {self.shape}, {self.kind}"


def encode(value: object) -> dict:
    """Return the claim that stands for `value`: dtype, shape and numbers, or the name of its type."""
    if isinstance(value, int | float | generic):
        value = asarray(value)
    if not isinstance(value, ndarray):
        return {"kind": type(value).__name__}
    plain = array(value, subok=False)
    if plain.dtype.kind not in "biuf":
        return {"kind": f"{plain.dtype} array"}
    claim = {"kind": str(plain.dtype), "shape": list(plain.shape)}
    if plain.size <= MAX_ELEMENTS:
        claim["values"] = plain.astype(float64).ravel().tolist()
    return claim


def decode(claim: dict) -> Received:
    """Return what a claim says, as an array made here. A malformed claim is a ValueError or a TypeError."""
    kind = "".join(c for c in str(claim["kind"]) if c.isprintable())[:80]
    if "shape" not in claim:
        return Received(kind)
    shape = tuple(int(extent) for extent in claim["shape"])
    if "values" not in claim:
        return Received(kind, shape)
    values = np.array([float(value) for value in claim["values"]], dtype=np.float64)
    if values.size > MAX_ELEMENTS or prod(shape) != values.size:
        raise ValueError(f"{values.size} numbers came for shape {shape}")
    return Received(kind, shape, values.reshape(shape))
