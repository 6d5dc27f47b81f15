"""Functions that neural networks are made of, written to be stable and cheap, and their derivatives."""

from __future__ import annotations

import numpy as np

from mytorch.rules.arithmetic import times
from mytorch.rules.constants import ZERO, one
from mytorch.rules.masks import masked
from mytorch.rules.registry import backward_of, dispatched
from mytorch.rules.rows import column_sum


@dispatched
def linear(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Return the affine map ``y = a bᵀ + c`` of the rows of `a`.

    Parameters
    ----------
    a : (N, in) array, the batch
    b : (out, in) array, the weights
    c : (out,) array, or one of `out` entries of any shape, the bias

    Returns
    -------
    (N, out) array
    """
    if a.ndim != 2 or c.size != len(b):
        raise ValueError(
            f"linear: expected a batch of shape (N, {b.shape[-1]}) and a bias of {len(b)} entries for weights of shape "
            f"{b.shape}, got {a.shape} and {c.shape}; for one row, write x[None]"
        )
    if b.size < 2**15:
        y = a.dot(b.T)
    elif 1 < a.shape[0] <= (256 if len(b) >= 512 else 64) and a.dtype == np.float32:
        # OpenBLAS multiplies few rows of singles by many weights faster the other way round.
        y = np.matmul(b, a.T).T.copy()
    else:
        y = times(a, b.T)
    y += c if c.ndim == 1 else c.reshape(-1)
    return y


@dispatched
def relu(a: np.ndarray) -> np.ndarray:
    """Return the positive part ``max(a, 0)``; its slope at 0 is 0, as in PyTorch."""
    return np.maximum(a, ZERO.get(a.dtype, 0))


@dispatched
def sigmoid(a: np.ndarray) -> np.ndarray:
    """Return the logistic function ``1 / (1 + exp(-a))``, as ``(tanh(a / 2) + 1) / 2``, which cannot overflow."""
    return 0.5 * np.tanh(0.5 * a) + 0.5


@dispatched
def cross_entropy(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the mean over rows of ``-sum(b * a)`` for log-probabilities `a` (N, C) and targets `b` (N, C)."""
    refuse_shapes("cross_entropy", a, b)
    a = a if a.dtype.kind in "fc" else a.astype(float)
    return np.vdot(b, a) * a.dtype.type(-1 / len(a) if len(a) else -np.inf)


@dispatched
def mean_squared_error(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the mean over all entries of ``(a - b) ** 2``."""
    refuse_shapes("mean_squared_error", a, b)
    a = a if a.dtype.kind in "fc" else a.astype(float)  # differences of small integers would overflow
    return np.square(a - b).mean()


def refuse_shapes(name: str, a: np.ndarray, b: np.ndarray) -> None:
    """Raise unless two arrays have one shape."""
    if np.shape(a) != np.shape(b):
        raise ValueError(
            f"{name}: expected two arrays of one shape, got {np.shape(a)} and {np.shape(b)}; write "
            "np.broadcast_to(x, shape) if one of them is to be repeated"
        )


backward_of(
    linear,
    lambda g, b: times(g, b),
    lambda g, a: times(g.T, a),
    lambda g, c: column_sum(g) if c.ndim == 1 else column_sum(g).reshape(c.shape),  # the bias lives on anyway
    exact=True,
)
backward_of(relu, lambda g, y: masked(g, y > ZERO.get(y.dtype, 0)), elementwise=True)
backward_of(sigmoid, lambda g, y: g * (y * (one(y) - y)), elementwise=True)
backward_of(cross_entropy, lambda g, a, b: b * (g / -len(a)), lambda g, a: a * (g / -len(a)), exact=True)
backward_of(
    mean_squared_error,
    lambda g, a, b: (a - b) * (g * (2 / a.size)),
    lambda g, a, b: (b - a) * (g * (2 / a.size)),
    exact=True,
)
