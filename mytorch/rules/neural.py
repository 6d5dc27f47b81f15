"""Functions that neural networks are made of, written to be stable and cheap, and their derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np

from mytorch.rules.arithmetic import times
from mytorch.rules.registry import backward_of, dispatched


@dispatched
def linear(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Return the affine map ``y = a bᵀ + c`` of the rows of `a`.

    Parameters
    ----------
    a : (N, in) array, the batch
    b : (out, in) array, the weights
    c : (out,) array, the bias

    Returns
    -------
    (N, out) array
    """
    y: np.ndarray = a * b.T if b.shape[1] == 1 else a.dot(b.T)
    y += c
    return y


@dispatched
def relu(a: np.ndarray) -> np.ndarray:
    """Return the positive part ``max(a, 0)``; its slope at 0 is 0, as in PyTorch."""
    return np.maximum(a, np.zeros(1, a.dtype))


@dispatched
def sigmoid(a: np.ndarray) -> np.ndarray:
    """Return the logistic function ``1 / (1 + exp(-a))``, as ``(tanh(a / 2) + 1) / 2``, which cannot overflow."""
    return 0.5 * np.tanh(0.5 * a) + 0.5


def tanh(a: Any) -> Any:
    """Return the hyperbolic tangent (NumPy's own, which is stable)."""
    return np.tanh(a)


@dispatched
def log_softmax(a: np.ndarray) -> np.ndarray:
    """Return ``a - log(sum(exp(a)))`` over the last axis, shifted by the maximum, so that nothing overflows."""
    shifted = a - row_max(a)
    shifted -= np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return shifted


def row_max(a: np.ndarray) -> np.ndarray:
    """Return the maximum over the last axis, kept; over few columns NumPy is ten times faster transposed."""
    if a.ndim == 2 and a.shape[1] <= 32 < a.shape[0]:
        return np.ascontiguousarray(a.T).max(axis=0)[:, None]
    return a.max(axis=-1, keepdims=True)


def softmax(a: Any) -> Any:
    """Return ``exp(a) / sum(exp(a))`` over the last axis."""
    return np.exp(log_softmax(a))


@dispatched
def softmax_cross_entropy(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the mean over rows of ``-sum(b * log_softmax(a))``.

    Parameters
    ----------
    a : (N, C) array, the logits
    b : (N, C) array, the targets: one-hot rows, or any weights

    Returns
    -------
    () array
    """
    return -np.vdot(b, log_softmax(a)) / len(a)


def cross_entropy_slope(g: Any, a: Any, b: Any) -> Any:
    """Return the gradient of the logits: ``(softmax(a) sum(b) - b) / N``, row by row."""
    return (softmax(a) * b.sum(axis=-1, keepdims=True) - b) * (g / len(a))


@dispatched
def mean_squared_error(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the mean over all entries of ``(a - b) ** 2``."""
    return np.square(a - b).mean()


backward_of(
    linear,
    lambda g, b: times(g, b),
    lambda g, a: times(g.T, a),
    lambda g: g.sum(axis=0),
)
backward_of(relu, lambda g, y: g * (y > 0))
backward_of(sigmoid, lambda g, y: g * (y * (1 - y)))
backward_of(log_softmax, lambda g, y: g - np.exp(y) * g.sum(axis=-1, keepdims=True))
backward_of(softmax_cross_entropy, cross_entropy_slope, lambda g, a: log_softmax(a) * (-g / len(a)))
backward_of(
    mean_squared_error,
    lambda g, a, b: (a - b) * (g * (2 / a.size)),
    lambda g, a, b: (b - a) * (g * (2 / a.size)),
)
