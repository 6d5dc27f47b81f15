"""vugrad."""

from __future__ import annotations

from typing import Any

import numpy as np

from mytorch.faces import vugrad as vg
from tests.face_adapters import Adapter


class VugradAdapter(Adapter):
    name = "vugrad"

    def leaf(self, array: np.ndarray) -> Any:
        return vg.TensorNode(array)

    def value(self, x: Any) -> np.ndarray:
        return x.value

    def gradients(self, y: Any, leaves: list[Any]) -> list[np.ndarray]:
        y.backward()
        return [x.grad for x in leaves]

    exp = vg.Exp.do_forward
    log = vg.Log.do_forward
    relu = staticmethod(vg.relu)
    sigmoid = staticmethod(vg.sigmoid)
    sum = vg.Sum.do_forward
    sum_rows = vg.RowSum.do_forward
    max_rows = vg.RowMax.do_forward
    log_softmax = staticmethod(vg.logsoftmax)

    def matmul(self, a: Any, b: Any) -> Any:
        return a.matmul(b)

    def select(self, x: Any, columns: np.ndarray) -> Any:
        return vg.Select.do_forward(x, indices=columns)


ADAPTER = VugradAdapter()
