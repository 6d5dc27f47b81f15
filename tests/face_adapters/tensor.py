"""Tensor, with NumPy's own functions."""

from __future__ import annotations

from typing import Any

import numpy as np

import mytorch
from mytorch import functional
from tests.face_adapters import Adapter


class TensorAdapter(Adapter):
    name = "tensor"

    def leaf(self, array: np.ndarray) -> Any:
        return mytorch.Tensor(array, requires_grad=True)

    def value(self, x: Any) -> np.ndarray:
        return x.numpy()

    def gradients(self, y: Any, leaves: list[Any]) -> list[np.ndarray]:
        y.backward()
        return [x.grad.numpy() for x in leaves]

    power = staticmethod(np.power)
    exp = staticmethod(np.exp)
    log = staticmethod(np.log)
    sin = staticmethod(np.sin)
    cos = staticmethod(np.cos)
    tan = staticmethod(np.tan)
    maximum = staticmethod(np.maximum)
    minimum = staticmethod(np.minimum)
    relu = staticmethod(functional.relu)
    sigmoid = staticmethod(functional.sigmoid)
    matmul = staticmethod(np.matmul)
    sum = staticmethod(np.sum)
    reshape = staticmethod(np.reshape)
    broadcast_to = staticmethod(np.broadcast_to)
    log_softmax = staticmethod(functional.log_softmax)

    def sum_rows(self, x: Any) -> Any:
        return np.sum(x, axis=1)

    def max_rows(self, x: Any) -> Any:
        return np.max(x, axis=1)

    def transpose(self, x: Any) -> Any:
        return np.swapaxes(x, -1, -2)

    def select(self, x: Any, columns: np.ndarray) -> Any:
        return x[np.arange(len(columns)), columns]


ADAPTER = TensorAdapter()
