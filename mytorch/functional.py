"""Functions of arrays and Tensors that neural networks need, called directly (not through NumPy's protocols).

>>> import numpy as np
>>> sigmoid(np.array([-1000.0, 0.0, 1000.0]))
array([0. , 0.5, 1. ])
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mytorch.operators import direct, unary
from mytorch.rules import neural, rows

exp = unary(np.exp)
log = unary(np.log)
sqrt = unary(np.sqrt)
sin = unary(np.sin)
cos = unary(np.cos)
tanh = unary(np.tanh)
relu = unary(neural.relu)
sigmoid = unary(neural.sigmoid)
linear = direct(neural.linear)
log_softmax = unary(rows.log_softmax)
softmax = unary(rows.softmax)
cross_entropy = direct(neural.cross_entropy)
mean_squared_error = direct(neural.mean_squared_error)


def softmax_cross_entropy(a: Any, b: Any) -> Any:
    """Return the mean over rows of ``-sum(b * log(softmax(a)))``.

    The gradient of the logits is ``(softmax(a) * sum(b) - b) / N``.

    Parameters
    ----------
    a : (N, C) array or Tensor, the logits: values of any size give finite results
    b : (N, C) array, the targets: one-hot rows, or any weights

    Returns
    -------
    () array or Tensor

    Examples
    --------
    >>> float(softmax_cross_entropy(np.array([[1000.0, -1000.0]]), np.array([[0.0, 1.0]])))
    2000.0
    """
    return cross_entropy(log_softmax(a), b)


__all__ = [
    "cos",
    "cross_entropy",
    "exp",
    "linear",
    "log",
    "log_softmax",
    "mean_squared_error",
    "relu",
    "sigmoid",
    "sin",
    "softmax",
    "softmax_cross_entropy",
    "sqrt",
    "tanh",
]
