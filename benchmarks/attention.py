"""A training step of multi-head self-attention, 4 sequences of 64 places, 64 features, 4 heads, float32.

The loss is the mean squared distance to a target.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.contenders import training
from benchmarks.harness import Contender, Effort, Result, Work, load, main

BATCH, PLACES, FEATURES, HEADS = 4, 64, 64, 4
WIDTH = FEATURES // HEADS
SCALE = 1 / float(np.sqrt(WIDTH))
SPLIT = (BATCH, PLACES, 3, HEADS, WIDTH)


def work() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return inputs and targets, and the matrices (features, 3 features) and (features, features)."""
    rng = np.random.default_rng(11785)
    inputs = [rng.standard_normal((BATCH, PLACES, FEATURES), dtype=np.float32) for _ in range(2)]
    shapes = [(FEATURES, 3 * FEATURES), (FEATURES, FEATURES)]
    return inputs, [rng.standard_normal(shape, dtype=np.float32) / np.float32(8) for shape in shapes]


def mytorch_step(replay: bool = False) -> Work:
    """Prepare a step on Tensors."""
    from mytorch.functional import mean_squared_error, softmax

    inputs, arrays = work()

    def loss_of(parameters: Any, x: Any, target: Any) -> Any:
        W, V = parameters
        q, k, v = (x.reshape(-1, FEATURES) @ W).reshape(SPLIT).transpose(2, 0, 3, 1, 4)
        weights = softmax((q * SCALE) @ k.swapaxes(2, 3))
        rows = (weights @ v).transpose(0, 2, 1, 3).reshape(-1, FEATURES)
        return mean_squared_error(rows @ V, target.reshape(-1, FEATURES))

    return training.in_mytorch(loss_of, arrays, inputs, replay)


def torch_step(compiled: bool = False) -> Work:
    """Prepare a step of PyTorch with its own attention."""
    functional = load("torch").nn.functional
    inputs, arrays = work()

    def loss_of(parameters: Any, x: Any, target: Any) -> Any:
        W, V = parameters
        q, k, v = (x @ W).reshape(SPLIT).permute(2, 0, 3, 1, 4)
        y = functional.scaled_dot_product_attention(q, k, v)
        return functional.mse_loss(y.transpose(1, 2).reshape(BATCH, PLACES, FEATURES) @ V, target)

    return training.in_torch(loss_of, arrays, inputs, compiled)


def jax_step() -> Work:
    """Prepare a step of JAX."""
    jax = load("jax")
    inputs, arrays = work()

    def loss_of(parameters: Any, x: Any, target: Any) -> Any:
        W, V = parameters
        q, k, v = (x @ W).reshape(SPLIT).transpose(2, 0, 3, 1, 4)
        weights = jax.nn.softmax((q * SCALE) @ k.swapaxes(2, 3))
        rows = (weights @ v).transpose(0, 2, 1, 3).reshape(BATCH, PLACES, FEATURES)
        return jax.numpy.mean((rows @ V - target) ** 2)

    return training.in_jax(loss_of, arrays, inputs)


def numpy_step() -> Work:
    """Prepare a step by hand: scores (key, query), so that softmax runs down columns; large arrays allocated once."""
    (x, target), arrays = work()
    W, V = parameters = [array.copy() for array in arrays]
    flat, goal = x.reshape(-1, FEATURES), target.reshape(-1, FEATURES)
    scale, ones = np.float32(SCALE), np.ones((1, PLACES), np.float32)
    qkv, dqkv = np.empty((2, 3, BATCH, HEADS, PLACES, WIDTH), np.float32)
    weights, dscores, scratch = np.empty((3, BATCH, HEADS, PLACES, PLACES), np.float32)
    projected = np.empty((BATCH * PLACES, 3 * FEATURES), np.float32)
    q, k, v = qkv

    def split(values: np.ndarray) -> np.ndarray:
        return values.reshape(SPLIT).transpose(2, 0, 3, 1, 4)

    def step() -> Any:
        flat.dot(W, projected)
        qkv[...] = split(projected)
        np.multiply(q, scale, q)
        np.matmul(k, q.swapaxes(2, 3), weights)
        np.subtract(weights, weights.max(axis=2, keepdims=True), weights)
        np.exp(weights, weights)
        np.multiply(weights, 1 / (ones @ weights), weights)
        rows = (weights.swapaxes(2, 3) @ v).transpose(0, 2, 1, 3).reshape(-1, FEATURES)
        distance = rows @ V
        distance -= goal
        loss = np.vdot(distance, distance) / distance.size
        distance *= np.float32(2 / distance.size)
        dV = rows.T @ distance
        drows = (distance @ V.T).reshape(BATCH, PLACES, HEADS, WIDTH).transpose(0, 2, 1, 3)
        np.matmul(weights, drows, dqkv[2])
        np.matmul(v, drows.swapaxes(2, 3), dscores)
        np.multiply(dscores, weights, dscores)
        np.subtract(dscores, np.multiply(weights, ones @ dscores, scratch), dscores)
        np.matmul(dscores.swapaxes(2, 3), k, dqkv[0])
        np.multiply(dqkv[0], scale, dqkv[0])
        np.matmul(dscores, q, dqkv[1])
        split(projected)[...] = dqkv
        dW = flat.T @ projected
        for parameter, gradient in zip(parameters, (dW, dV), strict=True):
            parameter -= np.float32(training.RATE) * gradient
        return loss

    return training.compared(step, arrays, lambda: parameters)


FIELD = [
    Contender("mytorch", mytorch_step),
    Contender(training.REPLAY, mytorch_step, (True,)),
    Contender("torch", torch_step),
    Contender("torch.compile", torch_step, (True,), slow=True),
    Contender("jax.jit", jax_step),
    Contender("NumPy by hand", numpy_step),
]


def run(effort: Effort) -> Iterator[Result]:
    """Race."""
    return training.race_of_steps(FIELD, effort, "a step of attention", "torch")


if __name__ == "__main__":
    main(__doc__, run)
