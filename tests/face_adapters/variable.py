"""Variable."""

from __future__ import annotations

from typing import Any

import numpy as np

from mytorch.faces import variable
from tests.face_adapters import Adapter


class VariableAdapter(Adapter):
    name = "variable"
    scalar = True

    def leaf(self, array: np.ndarray) -> Any:
        return variable.Variable(array.item())

    def value(self, x: Any) -> np.ndarray:
        return np.array(x.value)

    def gradients(self, y: Any, leaves: list[Any]) -> list[np.ndarray]:
        y.backward()
        return [np.array(x.grad) for x in leaves]

    def total(self, y: Any, weights: np.ndarray) -> Any:
        return y * weights.item()

    log = staticmethod(variable.ln)
    sin = staticmethod(variable.sin)
    cos = staticmethod(variable.cos)
    tan = staticmethod(variable.tan)
    maximum = staticmethod(variable.max)
    minimum = staticmethod(variable.min)

    def power(self, a: Any, b: Any) -> Any:
        return a**b


ADAPTER = VariableAdapter()
