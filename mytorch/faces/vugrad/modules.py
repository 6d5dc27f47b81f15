"""vugrad's layer, and how its weights may start."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mytorch.faces.vugrad.core import Module, TensorNode
from mytorch.faces.vugrad.ops import Affine


def glorot(rows: int, columns: int) -> np.ndarray:
    """Return weights drawn from a normal distribution of variance ``2 / (rows + columns)`` (Glorot & Bengio 2010)."""
    return np.random.normal(0.0, np.sqrt(2 / (rows + columns)), (rows, columns))


def he(rows: int, columns: int) -> np.ndarray:
    """Return weights drawn from a normal distribution of variance ``2 / columns`` (He et al. 2015)."""
    return np.random.normal(0.0, np.sqrt(2 / columns), (rows, columns))


def normal(rows: int, columns: int) -> np.ndarray:
    """Return weights drawn from the standard normal distribution."""
    return np.random.normal(size=(rows, columns))


def zeros(rows: int, columns: int) -> np.ndarray:
    """Return weights that are all zero."""
    return np.zeros((rows, columns))


INITIALISATIONS: dict[str, Callable[[int, int], np.ndarray]] = {
    "glorot": glorot,
    "he": he,
    "normal": normal,
    "zeros": zeros,
}


class Linear(Module):
    """The affine map ``x wᵀ + b`` of every row of a batch.

    Parameters
    ----------
    input_size, output_size : sizes of a row before and after
    init : function of the numbers of rows and columns that gives the first weights

    Attributes
    ----------
    w : (output_size, input_size), b : (1, output_size), zero at first
    """

    def __init__(
        self, input_size: int, output_size: int, init: Callable[[int, int], np.ndarray] = glorot
    ) -> None:
        super().__init__()
        self.w = TensorNode(init(output_size, input_size), name="w")
        self.b = TensorNode(np.zeros((1, output_size)), name="b")

    def forward(self, input: TensorNode) -> TensorNode:
        """Return the map of `input`, of shape (n, input_size)."""
        if len(input.size()) != 2 or input.size(1) != self.w.size(1):
            raise ValueError(
                f"Linear: expected a batch of shape (n, {self.w.size(1)}), since the layer has {self.w.size(1)} "
                f"input features, got {input.size()}"
            )
        return Affine.do_forward(input, self.w, self.b)
