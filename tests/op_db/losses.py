"""Counterparts of losses and distances."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

from mytorch import functional as F
from tests.op_db import NotInNumPy
from tests.op_db.neural import log_sigmoid, log_softmax

np: Any = numpy  # called with Tensors, and with what PyTorch gives


def reduced(y: Any, reduction: str) -> Any:
    return {"none": lambda y: y, "mean": np.mean, "sum": np.sum}[reduction](y)


def mse_loss(a: Any, b: Any, reduction: str = "mean") -> Any:
    return F.mean_squared_error(a, b) if reduction == "mean" else reduced((a - b) ** 2, reduction)


def l1_loss(a: Any, b: Any, reduction: str = "mean") -> Any:
    return reduced(np.abs(a - b), reduction)


def smooth_l1_loss(a: Any, b: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    d = np.abs(a - b)
    return reduced(np.where(d < beta, 0.5 * d * d / (beta or 1), d - 0.5 * beta), reduction)


def huber_loss(a: Any, b: Any, reduction: str = "mean", delta: float = 1.0) -> Any:
    d = np.abs(a - b)
    return reduced(np.where(d < delta, 0.5 * d * d, delta * (d - 0.5 * delta)), reduction)


def soft_margin_loss(a: Any, b: Any, reduction: str = "mean") -> Any:
    return reduced(np.log1p(np.exp(-b * a)), reduction)


def poisson_nll_loss(
    a: Any,
    b: Any,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
    **rest: Any,
) -> Any:
    y = np.exp(a) - b * a if log_input else a - b * np.log(a + eps)
    if full:  # Stirling's approximation of the target's factorial
        many = np.where(np.greater(b, 1), b, 1.0)
        term = many * np.log(many) - many + 0.5 * np.log(2 * np.pi * many)
        y = y + np.where(np.greater(b, 1), term, 0.0)
    return reduced(y, reduction)


def cosine_similarity(a: Any, b: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    if a.ndim == 0:
        raise NotInNumPy("NumPy's 0-d arrays have no axis")
    pair = np.broadcast_arrays(a, b)
    unit = [x / np.maximum(np.linalg.norm(x, axis=dim, keepdims=True), eps) for x in pair]
    return np.sum(unit[0] * unit[1], axis=dim)


def pairwise_distance(a: Any, b: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    return np.linalg.norm(a - b + eps, p, -1, keepdim)


def plain(a: Any) -> Any:
    """Return the values of an array or a Tensor."""
    return a.numpy() if hasattr(a, "numpy") else a


def xlogx(t: Any) -> Any:
    """Return t log t, and 0 where t is not positive."""
    inside = np.greater(t, 0)
    return np.where(inside, t * np.log(np.where(inside, t, 1.0)), 0.0)


def binary_cross_entropy(a: Any, b: Any, weight: Any = None, reduction: str = "mean") -> Any:
    y = -(b * np.maximum(np.log(a), -100) + (1 - b) * np.maximum(np.log1p(-a), -100))
    return reduced(y if weight is None else weight * y, reduction)


def binary_cross_entropy_with_logits(
    a: Any, b: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Any:
    positive = b if pos_weight is None else pos_weight * b
    y = -(positive * log_sigmoid(a) + (1 - b) * log_sigmoid(-a))
    return reduced(y if weight is None else weight * y, reduction)


def nll_loss(
    a: Any, target: Any, weight: Any = None, reduction: str = "mean", ignore_index: int = -100
) -> Any:
    axis = min(1, a.ndim - 1)
    kept = target != ignore_index
    classes = np.where(kept, target, 0)
    w = np.where(kept, 1.0 if weight is None else weight[classes], 0.0)
    y = -w * np.squeeze(np.take_along_axis(a, np.expand_dims(classes, axis), axis), axis)
    return np.sum(y) / np.sum(w) if reduction == "mean" else reduced(y, reduction)


def cross_entropy(
    a: Any,
    target: Any,
    weight: Any = None,
    reduction: str = "mean",
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
) -> Any:
    axis = min(1, a.ndim - 1)
    logs = log_softmax(a, axis)
    if target.dtype.kind != "f":
        if label_smoothing:
            raise NotInNumPy("smoothing of classes that are numbered")
        return nll_loss(logs, target, weight, reduction, ignore_index)
    smooth = target * (1 - label_smoothing) + label_smoothing / a.shape[axis]
    w = 1.0 if weight is None else np.reshape(weight, [-1 if i == axis else 1 for i in range(a.ndim)])
    y = -np.sum(logs * smooth * w, axis=axis)
    return np.sum(y) / (a.size // a.shape[axis]) if reduction == "mean" else reduced(y, reduction)


def kl_div(a: Any, b: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    y = np.exp(b) * (b - a) if log_target else xlogx(b) - b * a
    return np.sum(y) / a.shape[0] if reduction == "batchmean" else reduced(y, reduction)


def gaussian_nll_loss(
    a: Any, b: Any, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Any:
    var = var if var.ndim == a.ndim else var[..., None]
    bounded = var + (np.maximum(plain(var), eps) - plain(var))  # whose derivative does not see the bound
    y = 0.5 * (np.log(bounded) + (a - b) ** 2 / bounded)
    return reduced(y + 0.5 * np.log(2 * np.pi) if full else y, reduction)


def margin_ranking_loss(a: Any, b: Any, target: Any, margin: float = 0.0, reduction: str = "mean") -> Any:
    return reduced(clamped(-target * (a - b) + margin), reduction)


def clamped(x: Any) -> Any:
    """Return x where it is not negative: at zero, PyTorch's clamp hands the gradient on."""
    return np.where(np.greater_equal(x, 0), x, 0.0)


def hinge_embedding_loss(a: Any, b: Any, margin: float = 1.0, reduction: str = "mean") -> Any:
    y = np.where(np.equal(b, 1), a, 0.0) + np.where(np.equal(b, -1), clamped(margin - a), 0.0)
    both = np.where(np.equal(b, 1) | np.equal(b, -1), 0.0, a + clamped(margin - a))
    return reduced(y + both, reduction)


def cosine_embedding_loss(a: Any, b: Any, target: Any, margin: float = 0.0, reduction: str = "mean") -> Any:
    eps = 1e-12
    products = [np.sum(x * y, axis=-1) for x, y in ((a, b), (a, a), (b, b))]
    cosine = products[0] / np.sqrt((products[1] + eps) * (products[2] + eps))
    y = np.where(np.equal(target, 1), 1 - cosine, 0.0)
    return reduced(y + np.where(np.equal(target, -1), clamped(cosine - margin), 0.0), reduction)


def multi_margin_loss(
    a: Any, target: Any, p: int = 1, margin: float = 1.0, weight: Any = None, reduction: str = "mean"
) -> Any:
    rows, classes = np.reshape(a, (-1, a.shape[-1] if a.ndim else 1)), np.reshape(target, -1)
    chosen = rows[np.arange(len(classes)), classes]
    y = np.maximum(margin - chosen[:, None] + rows, 0) ** p
    y = y if weight is None else y * weight[classes][:, None]
    others = np.arange(rows.shape[1]) != classes[:, None]
    y = np.sum(np.where(others, y, 0.0), axis=1) / rows.shape[1]
    return reduced(y if a.ndim > 1 else y[0], reduction)


def multilabel_margin_loss(a: Any, target: Any, reduction: str = "mean") -> Any:
    rows, labels = (np.reshape(x, (-1, x.shape[-1] if x.ndim else 1)) for x in (a, target))
    losses = []
    for row, numbers in zip(rows, labels, strict=True):
        end = np.argmax(numbers < 0) if np.any(numbers < 0) else len(numbers)
        chosen = numbers[:end]
        others = np.setdiff1d(np.arange(len(numbers)), chosen)
        terms = np.maximum(1 - (row[chosen][:, None] - row[others][None, :]), 0)
        losses.append(np.sum(terms) / len(numbers))
    return reduced(np.stack(losses) if a.ndim > 1 else losses[0], reduction)


def multilabel_soft_margin_loss(a: Any, b: Any, weight: Any = None, reduction: str = "mean") -> Any:
    y = -(b * log_sigmoid(a) + (1 - b) * log_sigmoid(-a))
    return reduced(np.mean(y if weight is None else weight * y, axis=-1), reduction)


def triplet_margin_loss(
    a: Any,
    positive: Any,
    negative: Any,
    *,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
    distance_function: Any = None,
) -> Any:
    near, far = pairwise_distance(a, positive, p, eps), pairwise_distance(a, negative, p, eps)
    if swap:
        far = np.minimum(far, pairwise_distance(positive, negative, p, eps))
    return reduced(clamped(margin + near - far), reduction)


def cdist(a: Any, b: Any, p: float = 2.0, compute_mode: Any = None) -> Any:
    return np.linalg.norm(a[..., :, None, :] - b[..., None, :, :], p, -1)


def pdist(a: Any, p: float = 2.0) -> Any:
    i, j = np.triu_indices(len(a), 1)
    return np.linalg.norm(a[i] - a[j], p, -1)


LOSSES: dict[str, Callable[..., Any]] = {
    f.__name__: f
    for f in (
        binary_cross_entropy,
        binary_cross_entropy_with_logits,
        cosine_embedding_loss,
        cosine_similarity,
        cross_entropy,
        gaussian_nll_loss,
        hinge_embedding_loss,
        huber_loss,
        kl_div,
        l1_loss,
        margin_ranking_loss,
        mse_loss,
        multi_margin_loss,
        multilabel_margin_loss,
        multilabel_soft_margin_loss,
        nll_loss,
        pairwise_distance,
        pdist,
        poisson_nll_loss,
        smooth_l1_loss,
        soft_margin_loss,
        triplet_margin_loss,
    )
}
TABLE = {
    "cdist": cdist,
    "nn.functional.triplet_margin_with_distance_loss": triplet_margin_loss,
    **{f"nn.functional.{name}": function for name, function in LOSSES.items()},
}
