"""Functions that neural networks are made of, written to be stable, and their derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np

from mytorch.rules.arithmetic import times
from mytorch.rules.registry import backward_of, dispatched


@dispatched
def linear(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Return the affine map ``a @ bᵀ + c`` of rows `a` (N, in) by weights `b` (out, in) and bias `c` (out,)."""
    y = a * b.T if b.shape[1] == 1 else a.dot(b.T)
    y += c
    return y


@dispatched
def relu(a: np.ndarray) -> np.ndarray:
    """Return the positive part ``max(a, 0)``."""
    return np.maximum(a, 0)


@dispatched
def sigmoid(a: np.ndarray) -> np.ndarray:
    """Return the logistic function ``1 / (1 + exp(-a))``, without overflow for any a."""
    return 0.5 * np.tanh(0.5 * a) + 0.5


@dispatched
def log_softmax(a: np.ndarray) -> np.ndarray:
    """Return ``a - log(sum(exp(a)))`` over the last axis, without overflow for any a."""
    shifted = a - a.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


@dispatched
def softmax_cross_entropy(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the mean over rows of ``-sum(b * log_softmax(a))`` for logits `a` (N, C) and targets `b` (N, C)."""
    return -(b * log_softmax(a)).sum() / a.shape[0]


def cross_entropy_slope(g: Any, a: Any, b: Any) -> Any:
    """Return the gradient of the logits: ``(softmax(a) * sum(b) - b) / N``, row by row."""
    return (np.exp(log_softmax(a)) * b.sum(axis=-1, keepdims=True) - b) * (g / a.shape[0])


backward_of(
    linear,
    lambda g, b: times(g, b),
    lambda g, a: times(g.T, a),
    lambda g, c_shape: g.sum(axis=0).reshape(c_shape),
)
backward_of(relu, lambda g, y: g * (y > 0))
backward_of(sigmoid, lambda g, y: g * (y * (1 - y)))
backward_of(log_softmax, lambda g, y: g - np.exp(y) * g.sum(axis=-1, keepdims=True))
backward_of(softmax_cross_entropy, cross_entropy_slope, lambda g, a: -g / a.shape[0] * log_softmax(a))
