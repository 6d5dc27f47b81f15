"""The work of the sixteen cells: four perceptrons at four batch sizes, always the same rows and weights."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

NETWORKS = {
    "tiny": (2, 16, 16, 2),
    "small": (784, 64, 10),
    "medium": (784, 256, 128, 10),
    "large": (784, 1024, 1024, 10),
}
BATCHES = (1, 32, 128, 1024)


def work(network: str, batch: int) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Return rows, their classes, and the parameters W, b, W, b, ... of a network, always the same."""
    sizes = NETWORKS[network]
    rng = np.random.default_rng(11785)
    x = rng.random((batch, sizes[0]), dtype=np.float32)
    classes = rng.integers(sizes[-1], size=batch)
    parameters: list[np.ndarray] = []
    for fan_in, fan_out in pairwise(sizes):
        bound = 1 / np.sqrt(fan_in)
        parameters.append(rng.uniform(-bound, bound, (fan_out, fan_in)).astype(np.float32))
        parameters.append(rng.uniform(-bound, bound, fan_out).astype(np.float32))
    return x, classes, parameters
