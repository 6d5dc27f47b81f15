"""The hand-out's backward functions, ``NAME_backward(grad_output, *inputs)``: one gradient per input, in order.

They are the rules of `mytorch.rules` themselves, so the engine computes only the gradients that are wanted;
called by hand they sum out whatever broadcasting the operation did.

>>> import numpy as np
>>> mul_backward(np.ones(2), np.array([3.0, 4.0]), np.array([5.0, 6.0]))
(array([5., 6.]), array([3., 4.]))
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mytorch.rules import RULES, memory, neural, rows
from mytorch.rules.registry import Rule

identity_backward: Rule = RULES[memory.copy]
add_backward: Rule = RULES[np.add]
sub_backward: Rule = RULES[np.subtract]
mul_backward: Rule = RULES[np.multiply]
div_backward: Rule = RULES[np.divide]
matmul_backward: Rule = RULES[np.matmul]
log_backward: Rule = RULES[np.log]
exp_backward: Rule = RULES[np.exp]


def max_backward(grad_output: npt.ArrayLike, a: np.ndarray, *b: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the gradients of ``max(a, 0)`` (given one input), ``max(a, b)`` (two), or ``a.max(axis)``.

    The last is meant when `grad_output` has another shape than `a`: that of a maximum over axes.
    No input is written to.
    """
    if b:
        return RULES[np.maximum](grad_output, a, *b)
    if np.shape(grad_output) == np.shape(a):
        return RULES[neural.relu](grad_output, a)
    axis = reduced_axes(np.shape(grad_output), np.shape(a))
    return RULES[np.max](np.reshape(grad_output, kept(np.shape(a), axis)), a, axis=axis, keepdims=True)


def sum_backward(grad_output: np.ndarray, a: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the gradient of a sum of `a` over all axes, or over the axes that `grad_output` lacks."""
    axis = reduced_axes(np.shape(grad_output), np.shape(a))
    return RULES[np.sum](np.reshape(grad_output, kept(np.shape(a), axis)), a, axis=axis, keepdims=True)


def SoftmaxCrossEntropy_backward(
    grad_output: Any, pred: np.ndarray, ground_truth: np.ndarray
) -> tuple[np.ndarray, None]:
    """Return the gradients of the mean softmax cross-entropy of logits `pred` and one-hot `ground_truth`.

    `grad_output` weighs it: 1 for the loss itself. The ground truth is data and has no gradient.
    """
    log_probabilities = rows.log_softmax(pred)
    gradient = RULES[neural.cross_entropy](np.reshape(grad_output, ()), log_probabilities, ground_truth)[0]
    return RULES[rows.log_softmax](gradient, pred)[0], None


def kept(shape: tuple[int, ...], axis: tuple[int, ...]) -> tuple[int, ...]:
    """Return `shape` with ones at `axis`."""
    return tuple(1 if i in axis else n for i, n in enumerate(shape))


def reduced_axes(reduced: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the axes over which an array of `shape` was reduced to one of shape `reduced`, kept or not."""
    if len(reduced) == len(shape):
        axes = tuple(i for i, (m, n) in enumerate(zip(reduced, shape, strict=True)) if m != n)
        if all(reduced[i] == 1 for i in axes):
            return axes
    axes, rest = (), list(reduced)
    for i in reversed(range(len(shape))):
        if rest and rest[-1] == shape[i] and i >= len(rest) - 1:
            rest.pop()
        else:
            axes = (i, *axes)
    if rest:
        raise ValueError(
            f"a gradient of shape {reduced} is not that of a reduction of an array of shape {shape}"
        )
    return axes


__all__ = [
    "SoftmaxCrossEntropy_backward",
    "add_backward",
    "div_backward",
    "exp_backward",
    "identity_backward",
    "log_backward",
    "matmul_backward",
    "max_backward",
    "mul_backward",
    "sub_backward",
    "sum_backward",
]
