"""BackproppableArray, whose sums keep their dimensions."""

from __future__ import annotations

from typing import Any

import numpy as np

from mytorch.faces import backproppable
from tests.face_adapters import Adapter


class BackproppableAdapter(Adapter):
    name = "backproppable"
    negative: Any = None  # the course has no unary minus

    def leaf(self, array: np.ndarray) -> Any:
        return backproppable.to_ba(array)

    def value(self, x: Any) -> np.ndarray:
        return x.data

    def gradients(self, y: Any, leaves: list[Any]) -> list[np.ndarray]:
        y.backward()
        return [x.grad for x in leaves]

    exp = staticmethod(backproppable.exp)
    log = staticmethod(backproppable.log)

    def matmul(self, a: Any, b: Any) -> Any:
        return a @ b

    def sum(self, x: Any) -> Any:
        return x.sum().reshape(())

    def sum_rows(self, x: Any) -> Any:
        return x.sum(axis=1).reshape(-1)

    def reshape(self, x: Any, shape: tuple[int, ...]) -> Any:
        return x.reshape(shape)

    def transpose(self, x: Any) -> Any:
        return x.transpose()


ADAPTER = BackproppableAdapter()
