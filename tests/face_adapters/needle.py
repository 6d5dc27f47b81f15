"""needle."""

from __future__ import annotations

from typing import Any

import numpy as np

from mytorch.faces import needle as ndl
from tests.face_adapters import Adapter


class NeedleAdapter(Adapter):
    name = "needle"

    def leaf(self, array: np.ndarray) -> Any:
        return ndl.Tensor(array)

    def value(self, x: Any) -> np.ndarray:
        return x.numpy()

    def gradients(self, y: Any, leaves: list[Any]) -> list[np.ndarray]:
        y.backward()
        return [x.grad.numpy() for x in leaves]

    exp = staticmethod(ndl.exp)
    log = staticmethod(ndl.log)
    relu = staticmethod(ndl.relu)
    matmul = staticmethod(ndl.matmul)
    sum = staticmethod(ndl.summation)
    reshape = staticmethod(ndl.reshape)
    transpose = staticmethod(ndl.transpose)
    broadcast_to = staticmethod(ndl.broadcast_to)
    log_softmax = staticmethod(ndl.ops.log_softmax)

    def power(self, a: Any, b: Any) -> Any:
        return a**b

    def sum_rows(self, x: Any) -> Any:
        return ndl.summation(x, axes=1)


ADAPTER = NeedleAdapter()
