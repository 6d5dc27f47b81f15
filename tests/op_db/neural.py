"""Counterparts of what neural networks are made of, written in NumPy as one would, and of `mytorch.functional`."""

from __future__ import annotations

from typing import Any

import numpy

from mytorch import functional as F
from tests.op_db import NotInNumPy

np: Any = numpy  # called with Tensors, and with what PyTorch gives


def softmax(a: Any, dim: int, dtype: Any = None) -> Any:
    return np.exp(log_softmax(a, dim))


def log_softmax(a: Any, dim: int, dtype: Any = None) -> Any:
    if np.iscomplexobj(a):
        raise NotInNumPy("complex numbers have no largest")
    if a.ndim == 0:
        return a - a
    if dim % a.ndim == a.ndim - 1:
        return F.log_softmax(a)
    shifted = a - np.max(a, axis=dim, keepdims=True)
    return shifted - np.log(np.sum(np.exp(shifted), axis=dim, keepdims=True))


# -- activations --------------------------------------------------------------------------------------------------


def softplus(a: Any, beta: float = 1, threshold: float = 20) -> Any:
    far = np.greater(beta * a, threshold)
    return np.where(far, a, np.log1p(np.exp(np.where(far, 0.0, beta * a))) / beta)


def elu(a: Any, alpha: float = 1.0) -> Any:
    positive = np.greater(a, 0)
    return np.where(positive, a, alpha * np.expm1(np.where(positive, 0.0, a)))


def celu(a: Any, alpha: float = 1.0) -> Any:
    positive = np.greater(a, 0)
    return np.where(positive, a, alpha * np.expm1(np.where(positive, 0.0, a) / alpha))


def selu(a: Any, inplace: bool = False) -> Any:
    return 1.0507009873554804934193349852946 * elu(a, 1.6732632423543772848170429916717)


def gelu(a: Any, approximate: str = "none") -> Any:
    if approximate == "none":
        raise NotInNumPy("NumPy has no error function")
    return 0.5 * a * (1 + np.tanh(np.sqrt(2 / np.pi) * (a + 0.044715 * a**3)))


def leaky_relu(a: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    return np.where(np.greater(a, 0), a, negative_slope * a)


def hardtanh(a: Any, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    inside = np.greater(a, min_val) & np.less(a, max_val)
    return np.where(inside, a, np.where(np.greater(a, min_val), max_val, min_val))


def threshold(a: Any, limit: float, value: float) -> Any:
    return np.where(np.greater(a, limit), a, value)


def glu(a: Any, dim: int = -1) -> Any:
    first, second = np.split(a, 2, dim)
    return first * F.sigmoid(second)


def hardsigmoid(a: Any) -> Any:
    return hardtanh(a + 3, 0, 6) / 6


def hardshrink(a: Any, lambd: float = 0.5) -> Any:
    return np.where(np.abs(a) > lambd, a, 0.0)


def softshrink(a: Any, lambd: float = 0.5) -> Any:
    return np.where(np.abs(a) > lambd, a - lambd * np.sign(a), 0.0)


def log_sigmoid(a: Any) -> Any:
    return -np.logaddexp(0, -a)


# -- layers -------------------------------------------------------------------------------------------------------


def normalize(a: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Any:
    if a.ndim == 0:
        raise NotInNumPy("NumPy's 0-d arrays have no axis")
    return a / np.maximum(np.linalg.norm(a, p, dim, True), eps)


def linear(a: Any, weight: Any, bias: Any = None) -> Any:
    if a.ndim == 2 and weight.ndim == 2 and bias is not None and not np.iscomplexobj(a):
        return F.linear(a, weight, bias)
    y = a @ (weight.T if weight.ndim > 1 else weight)
    return y if bias is None else y + bias


def bilinear(a: Any, b: Any, weight: Any, bias: Any = None) -> Any:
    y = np.einsum("...i,oij,...j->...o", a, weight, b)
    return y if bias is None else y + bias


def layer_norm(a: Any, shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    axes = tuple(range(-len(shape), 0))
    centered = a - np.mean(a, axis=axes, keepdims=True)
    y = centered / np.sqrt(np.mean(centered**2, axis=axes, keepdims=True) + eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def batch_norm(
    a: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    if a.size == 0:
        raise NotInNumPy("nothing has no mean")
    shape = (1, -1) + (1,) * (a.ndim - 2)
    if training:
        axes = (0, *range(2, a.ndim))
        centered = a - np.mean(a, axis=axes, keepdims=True)
        y = centered / np.sqrt(np.mean(centered**2, axis=axes, keepdims=True) + eps)
    else:
        y = (a - np.reshape(running_mean, shape)) / np.sqrt(np.reshape(running_var, shape) + eps)
    y = y if weight is None else y * np.reshape(weight, shape)
    return y if bias is None else y + np.reshape(bias, shape)


def instance_norm(
    a: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    if not use_input_stats:
        return batch_norm(a, running_mean, running_var, weight, bias, False, momentum, eps)
    return group_norm(a, a.shape[1], weight, bias, eps)


def prelu(a: Any, weight: Any) -> Any:
    per_channel = a.ndim > 1 and weight.ndim == 1
    shape = (1, -1) + (1,) * (a.ndim - 2) if per_channel else weight.shape if a.ndim else ()
    return np.where(np.greater(a, 0), a, np.reshape(weight, shape) * a)


def rrelu(a: Any, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, **rest: Any) -> Any:
    if training:
        raise NotInNumPy("slopes drawn at random")
    return leaky_relu(a, (lower + upper) / 2)


def rms_norm(a: Any, shape: Any, weight: Any = None, eps: float | None = None) -> Any:
    axes = tuple(range(-len(shape), 0))
    eps = np.finfo(a.dtype).eps if eps is None else eps
    y = a / np.sqrt(np.mean(a**2, axis=axes, keepdims=True) + eps)
    return y if weight is None else y * weight


def group_norm(a: Any, groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    if a.size == 0:
        raise NotInNumPy("an empty batch has no groups")
    rows = np.reshape(a, (a.shape[0], groups, -1))
    centered = rows - np.mean(rows, axis=-1, keepdims=True)
    y = np.reshape(centered / np.sqrt(np.mean(centered**2, axis=-1, keepdims=True) + eps), a.shape)
    shape = (1, a.shape[1]) + (1,) * (a.ndim - 2)
    y = y if weight is None else y * np.reshape(weight, shape)
    return y if bias is None else y + np.reshape(bias, shape)


def pad(a: Any, widths: Any, mode: str = "constant", value: float | None = 0.0) -> Any:
    pairs = list(zip(widths[::2], widths[1::2], strict=True))[::-1]
    pairs = [(0, 0)] * (a.ndim - len(pairs)) + pairs
    if mode == "circular":  # the other modes read what is cut off
        a, pairs = cropped(a, pairs), [(max(before, 0), max(after, 0)) for before, after in pairs]
    wider = [(max(before, 0), max(after, 0)) for before, after in pairs]
    if mode == "constant":
        y = np.pad(a, wider, constant_values=0 if value is None else value)
    else:
        y = np.pad(a, wider, {"replicate": "edge", "circular": "wrap"}.get(mode, mode))
    return cropped(y, pairs)


def cropped(a: Any, pairs: Any) -> Any:
    """Return an array without the margins whose width is negative."""
    inside = (slice(max(-b, 0), n - max(-e, 0)) for (b, e), n in zip(pairs, a.shape, strict=True))
    return a[tuple(inside)]


def pixel_shuffle(a: Any, upscale_factor: int) -> Any:
    r, (*outer, c, h, w) = upscale_factor, a.shape
    parts = np.reshape(a, (*outer, c // r**2, r, r, h, w))
    n = len(outer)
    order = (*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return np.reshape(np.transpose(parts, order), (*outer, c // r**2, h * r, w * r))


def pixel_unshuffle(a: Any, downscale_factor: int) -> Any:
    r, (*outer, c, h, w) = downscale_factor, a.shape
    parts = np.reshape(a, (*outer, c, h // r, r, w // r, r))
    n = len(outer)
    order = (*range(n), n, n + 2, n + 4, n + 1, n + 3)
    return np.reshape(np.transpose(parts, order), (*outer, c * r**2, h // r, w // r))


def channel_shuffle(a: Any, groups: int) -> Any:
    parts = np.reshape(a, (a.shape[0], groups, a.shape[1] // groups, *a.shape[2:]))
    return np.reshape(np.swapaxes(parts, 1, 2), a.shape)


def embedding(weight: Any, index: Any, padding_idx: Any = None, max_norm: Any = None, **rest: Any) -> Any:
    if padding_idx is not None or max_norm is not None or any(rest.values()):
        raise NotInNumPy("options of training")
    return weight[index]


def attention(
    q: Any,
    k: Any,
    v: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    **rest: Any,
) -> Any:
    if dropout_p or rest.get("enable_gqa"):
        raise NotInNumPy("dropout, or heads that are shared")
    scores = q @ np.swapaxes(k, -1, -2) * rest.get("scale", 1 / np.sqrt(q.shape[-1]))
    if is_causal:
        attn_mask = np.tril(np.ones(scores.shape[-2:], bool))
    if attn_mask is not None:
        scores = np.where(attn_mask, scores, -np.inf) if attn_mask.dtype == bool else scores + attn_mask
    return F.softmax(scores) @ v


TABLE = {
    "constant_pad_nd": lambda a, pad_, value=0: pad(a, pad_, "constant", value),
    "log_softmax": log_softmax,
    "nn.functional.batch_norm": batch_norm,
    "nn.functional.bilinear": bilinear,
    "nn.functional.celu": celu,
    "nn.functional.channel_shuffle": channel_shuffle,
    "nn.functional.elu": elu,
    "nn.functional.embedding": embedding,
    "nn.functional.gelu": gelu,
    "nn.functional.glu": glu,
    "nn.functional.group_norm": group_norm,
    "nn.functional.hardshrink": hardshrink,
    "nn.functional.hardsigmoid": hardsigmoid,
    "nn.functional.hardswish": lambda a: a * hardsigmoid(a),
    "nn.functional.hardtanh": hardtanh,
    "nn.functional.feature_alpha_dropout/without_train": lambda a, p=0.5, training=False: np.copy(a),
    "nn.functional.instance_norm": instance_norm,
    "nn.functional.layer_norm": layer_norm,
    "nn.functional.leaky_relu": leaky_relu,
    "nn.functional.linear": linear,
    "nn.functional.logsigmoid": log_sigmoid,
    "nn.functional.mish": lambda a: a * np.tanh(np.logaddexp(0, a)),
    "nn.functional.normalize": normalize,
    "nn.functional.pad": pad,
    "nn.functional.pixel_shuffle": pixel_shuffle,
    "nn.functional.pixel_unshuffle": pixel_unshuffle,
    "nn.functional.prelu": prelu,
    "nn.functional.relu": lambda a, inplace=False: F.relu(a),
    "nn.functional.relu6": lambda a: hardtanh(a, 0, 6),
    "nn.functional.rms_norm": rms_norm,
    "nn.functional.rrelu": rrelu,
    "nn.functional.scaled_dot_product_attention": attention,
    "nn.functional.selu": selu,
    "nn.functional.silu": lambda a: a / (1 + np.exp(-a)),
    "nn.functional.softmin": lambda a, dim, dtype=None: softmax(-a, dim),
    "nn.functional.softplus": softplus,
    "nn.functional.softshrink": softshrink,
    "nn.functional.softsign": lambda a: a / (1 + np.abs(a)),
    "nn.functional.tanhshrink": lambda a: a - np.tanh(a),
    "nn.functional.threshold": threshold,
    "softmax": softmax,
}
