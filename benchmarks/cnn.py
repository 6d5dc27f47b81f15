"""A training step of a network of two 3×3 convolutions, batch 32 of 28×28 images, float32.

Convolution (1 → 8), ReLU, convolution (8 → 16), ReLU, a linear layer to ten classes, softmax cross-entropy, SGD.
NumPy has no convolution.  With im2col every window becomes a column of a matrix, of nine copies of the images.  Where
images lie innermost, as (row, channel, column, image), three shifted copies are enough: three rows that follow each
other are a matrix already, and every copy moves long runs.  Of 16 images at a time, what is multiplied stays in the
cache, and is small enough for OpenBLAS to multiply it as it lies.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.contenders.training import (
    RATE,
    REPLAY,
    jax_training,
    mytorch_training,
    race_of_steps,
    torch_training,
    training,
)
from benchmarks.harness import Contender, Effort, Result, Work, load, main

BATCH, SIDE, CHANNELS, CLASSES = 32, 28, (1, 8, 16), 10
PIECE = 16  # images
RUN, PADDED = SIDE * PIECE, SIDE + 2
Arrays = list[np.ndarray]


def work() -> tuple[np.ndarray, np.ndarray, Arrays]:
    """Return images, their classes, and K, c, K, c, W, b: kernels (out, in, 3, 3), matrix, and biases."""
    rng = np.random.default_rng(11785)
    images = rng.random((BATCH, CHANNELS[0], SIDE, SIDE), dtype=np.float32)
    shapes = [(8, 1, 3, 3), (8,), (16, 8, 3, 3), (16,), (CLASSES, CHANNELS[-1] * SIDE * SIDE), (CLASSES,)]
    arrays = [(rng.random(shape, dtype=np.float32) - 0.5) / np.sqrt(np.prod(shape[1:])) for shape in shapes]
    return images, rng.integers(CLASSES, size=BATCH), [np.asarray(array, np.float32) for array in arrays]


def innermost(images: np.ndarray) -> np.ndarray:
    """Return images (N, C, H, W) in pieces as (piece, row, channel, column, image)."""
    pieces = images.reshape(-1, PIECE, *images.shape[1:])
    return np.ascontiguousarray(pieces.transpose(0, 3, 2, 4, 1))


def logits_and_loss(logits: np.ndarray, classes: np.ndarray) -> tuple[Any, np.ndarray]:
    """Return the mean cross-entropy and its gradient."""
    rows = np.arange(len(classes))
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = exp / exp.sum(axis=1, keepdims=True)
    loss = -np.log(p[rows, classes]).mean()
    p[rows, classes] -= 1
    return loss, p / np.float32(len(classes))


def windows_step(replay: bool = False) -> Work:
    """Prepare a step on Tensors with `sliding_window_view` and a product of tensors."""
    from numpy.lib.stride_tricks import sliding_window_view

    from mytorch.data import one_hot
    from mytorch.functional import linear, relu, softmax_cross_entropy

    images, classes, arrays = work()

    def convolve(x: Any, kernel: Any, bias: Any) -> Any:
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        columns = sliding_window_view(padded, (3, 3), axis=(1, 2)).reshape(-1, x.shape[3] * 9)
        return linear(columns, kernel.reshape(len(kernel), -1), bias).reshape(*x.shape[:3], len(kernel))

    def loss_of(parameters: Any, x: Any, labels: Any) -> Any:
        K, c, L, d, W, b = parameters
        y = relu(convolve(relu(convolve(x, K, c)), L, d))
        return softmax_cross_entropy(linear(y.transpose(0, 3, 1, 2).reshape(BATCH, -1), W, b), labels)

    x = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
    return mytorch_training(loss_of, arrays, [x, one_hot(classes, CLASSES, np.float32)], replay)


def rows_step(replay: bool = False) -> Work:
    """Prepare a step on Tensors whose images lie innermost, some of them at a time."""
    from numpy.lib.stride_tricks import sliding_window_view

    from mytorch.data import one_hot
    from mytorch.functional import relu, softmax_cross_entropy

    images, classes, arrays = work()

    def matrix(kernel: Any) -> Any:
        return kernel.transpose(0, 2, 3, 1).reshape(len(kernel), -1)

    def convolve(x: Any, kernel: Any, bias: Any) -> Any:
        wide = np.pad(x, ((1, 1), (0, 0), (1, 1), (0, 0)))
        columns = np.concatenate([wide[:, :, j : j + SIDE] for j in range(3)], axis=1)
        windows = sliding_window_view(columns, 3, axis=0).transpose(0, 4, 1, 2, 3)
        y = matrix(kernel) @ windows.reshape(SIDE, -1, RUN)
        return relu(y + bias[:, None]).reshape(SIDE, -1, SIDE, PIECE)

    def loss_of(parameters: Any, x: Any, labels: Any) -> Any:
        K, c, L, d, W, b = parameters
        weights = W.reshape(CLASSES, -1, SIDE, SIDE).transpose(0, 2, 1, 3).reshape(CLASSES, -1)
        outputs = [convolve(convolve(piece, K, c), L, d).reshape(-1, PIECE) for piece in x]
        logits = np.concatenate([weights @ y for y in outputs], axis=1)
        return softmax_cross_entropy(logits.T + b, labels)

    return mytorch_training(
        loss_of, arrays, [innermost(images), one_hot(classes, CLASSES, np.float32)], replay
    )


def torch_step(compiled: bool = False) -> Work:
    """Prepare a step of PyTorch."""
    functional = load("torch").nn.functional
    images, classes, arrays = work()

    def loss_of(parameters: Any, x: Any, classes: Any) -> Any:
        K, c, L, d, W, b = parameters
        y = functional.relu(functional.conv2d(x, K, c, padding=1))
        y = functional.relu(functional.conv2d(y, L, d, padding=1))
        return functional.cross_entropy(functional.linear(y.flatten(1), W, b), classes)

    return torch_training(loss_of, arrays, [images, classes], compiled)


def jax_step() -> Work:
    """Prepare a step of JAX."""
    jax = load("jax")
    np = jax.numpy
    images, classes, arrays = work()

    def convolve(x: Any, kernel: Any, bias: Any) -> Any:
        return jax.lax.conv(x, kernel, (1, 1), "SAME") + bias[:, None, None]

    def loss_of(parameters: Any, x: Any, classes: Any) -> Any:
        K, c, L, d, W, b = parameters
        y = jax.nn.relu(convolve(jax.nn.relu(convolve(x, K, c)), L, d))
        logprobs = jax.nn.log_softmax(y.reshape(BATCH, -1) @ W.T + b)
        return -np.mean(np.take_along_axis(logprobs, classes[:, None], axis=1))

    return jax_training(loss_of, arrays, [images, classes])


def im2col_step() -> Work:
    """Prepare a step by im2col, as one writes it by hand."""
    from numpy.lib.stride_tricks import sliding_window_view

    images, classes, arrays = work()
    K, c, L, d, W, b = parameters = [array.copy() for array in arrays]

    def columns(x: np.ndarray) -> np.ndarray:
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        return (
            sliding_window_view(padded, (3, 3), axis=(2, 3))
            .transpose(0, 2, 3, 1, 4, 5)
            .reshape(-1, x.shape[1] * 9)
        )

    def images_of(rows: np.ndarray) -> np.ndarray:
        return rows.reshape(BATCH, SIDE, SIDE, -1).transpose(0, 3, 1, 2)

    def step() -> Any:
        first = columns(images)
        hidden = np.maximum(images_of(first @ K.reshape(8, -1).T + c), 0)
        second = columns(hidden)
        y = np.maximum(images_of(second @ L.reshape(16, -1).T + d), 0)
        rows = y.reshape(BATCH, -1)
        loss, g = logits_and_loss(rows @ W.T + b, classes)
        dW, db = g.T @ rows, g.sum(axis=0)
        g = ((g @ W) * (rows > 0)).reshape(BATCH, 16, -1).transpose(0, 2, 1).reshape(-1, 16)
        dL, dd = g.T @ second, g.sum(axis=0)
        windows = (g @ L.reshape(16, -1)).reshape(BATCH, SIDE, SIDE, 8, 3, 3)
        padded = np.zeros((BATCH, 8, PADDED, PADDED), np.float32)
        for i in range(3):
            for j in range(3):
                padded[:, :, i : i + SIDE, j : j + SIDE] += windows[..., i, j].transpose(0, 3, 1, 2)
        g = padded[:, :, 1:-1, 1:-1] * (hidden > 0)
        g = g.transpose(0, 2, 3, 1).reshape(-1, 8)
        dK, dc = g.T @ first, g.sum(axis=0)
        for parameter, gradient in zip(parameters, (dK, dc, dL, dd, dW, db), strict=True):
            parameter -= RATE * gradient.reshape(parameter.shape)
        return loss

    return training(step, arrays, lambda: parameters)


def hand_step() -> Work:
    """Prepare a step by hand, images innermost: every array allocated beforehand, parameters as products read them."""
    images, classes, arrays = work()
    K, c, L, d, W, b = (array.copy() for array in arrays)
    kernels = [np.ascontiguousarray(k.transpose(0, 2, 3, 1)).reshape(len(k), -1) for k in (K, L)]
    weights = W.reshape(CLASSES, -1, SIDE, SIDE).transpose(0, 2, 1, 3).reshape(CLASSES, -1)
    biases, zeros = [c, d], np.zeros(RUN, np.float32)
    x, pieces = innermost(images), range(BATCH // PIECE)
    wide = [np.zeros((PADDED, channels, PADDED, PIECE), np.float32) for channels in CHANNELS[:2]]
    columns = [np.empty((len(x), PADDED, 3 * channels, RUN), np.float32) for channels in CHANNELS[:2]]
    outputs = [np.empty((len(x), SIDE, channels, RUN), np.float32) for channels in CHANNELS[1:]]
    dcolumns, dwide = np.empty_like(columns[1][0]), np.empty_like(wide[1])
    gradients = [np.empty_like(y[0]) for y in outputs]
    signs = [np.empty(y[0].shape, bool) for y in outputs]
    dweights, change = np.empty((2, *weights.shape), np.float32)
    scratch, logits = np.empty((9 * CHANNELS[1], RUN), np.float32), np.empty((CLASSES, BATCH), np.float32)

    def rows(i: int, p: int) -> np.ndarray:
        (_, height, width), strides = columns[i][p].shape, columns[i][p].strides
        return np.lib.stride_tricks.as_strided(columns[i][p], (SIDE, 3 * height, width), strides)

    windows = [[rows(i, p) for p in pieces] for i in range(2)]

    def convolve(i: int, p: int, values: np.ndarray) -> np.ndarray:
        y, channels = outputs[i][p], CHANNELS[i]
        wide[i][1:-1, :, 1:-1] = values.reshape(SIDE, channels, SIDE, PIECE)
        parts = columns[i][p].reshape(PADDED, 3 * channels, SIDE, PIECE)
        for j in range(3):
            parts[:, j * channels : (j + 1) * channels] = wide[i][:, :, j : j + SIDE]
        np.matmul(kernels[i], windows[i][p], y)
        np.add(y, biases[i][:, None], y)
        return np.maximum(y, zeros, out=y)

    def of_kernel(i: int, p: int, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        g = np.multiply(dy, np.greater(outputs[i][p], zeros, signs[i]), gradients[i])
        return np.matmul(g, windows[i][p].swapaxes(1, 2)).sum(axis=0), g.sum(axis=0).sum(axis=1)

    def of_hidden() -> np.ndarray:
        dcolumns[...], dwide[...] = 0, 0
        for i, g in enumerate(gradients[1]):
            part = dcolumns[i : i + 3].reshape(-1, RUN)
            np.add(part, kernels[1].T.dot(g, scratch), part)
        parts = dcolumns.reshape(PADDED, 3, -1, SIDE, PIECE)
        for j in range(3):
            part = dwide[:, :, j : j + SIDE]
            np.add(part, parts[:, j], part)
        return dwide[1:-1, :, 1:-1].reshape(SIDE, -1, RUN)

    def step() -> Any:
        for p in pieces:
            y = convolve(1, p, convolve(0, p, x[p]))
            logits[:, p * PIECE : (p + 1) * PIECE] = weights @ y.reshape(-1, PIECE)
        loss, dlogits = logits_and_loss(logits.T + b, classes)
        sums: list[Any] = [0, 0, 0, 0]
        dweights[...] = 0
        for p in pieces:
            g = np.ascontiguousarray(dlogits[p * PIECE : (p + 1) * PIECE].T)
            np.add(dweights, np.matmul(g, outputs[1][p].reshape(-1, PIECE).T, change), dweights)
            np.matmul(weights.T, g, gradients[1].reshape(-1, PIECE))
            second = of_kernel(1, p, gradients[1])
            first = of_kernel(0, p, of_hidden())
            sums = [total + part for total, part in zip(sums, (*first, *second), strict=True)]
        changed = (kernels[0], c, kernels[1], d, weights, b)
        for parameter, gradient in zip(changed, (*sums, dweights, dlogits.sum(axis=0)), strict=True):
            np.multiply(gradient, np.float32(RATE), gradient)
            np.subtract(parameter, gradient, parameter)
        return loss

    def now() -> Arrays:
        K, L = (
            kernel.reshape(-1, 3, 3, channels).transpose(0, 3, 1, 2)
            for kernel, channels in zip(kernels, CHANNELS[:2], strict=True)
        )
        return [
            K,
            c,
            L,
            d,
            weights.reshape(CLASSES, SIDE, -1, SIDE).transpose(0, 2, 1, 3).reshape(W.shape),
            b,
        ]

    return training(step, arrays, now)


FIELD = [
    Contender("mytorch", rows_step),
    Contender(REPLAY, rows_step, (True,)),
    Contender("mytorch, windows", windows_step),
    Contender("mytorch, windows, replayed", windows_step, (True,)),
    Contender("torch", torch_step),
    Contender("torch.compile", torch_step, (True,), slow=True),
    Contender("jax.jit", jax_step),
    Contender("NumPy, im2col", im2col_step),
    Contender("NumPy by hand", hand_step),
]


def run(effort: Effort) -> Iterator[Result]:
    """Race."""
    return race_of_steps(FIELD, effort, "a step of two 3×3 convolutions", "torch")


if __name__ == "__main__":
    main(__doc__, run)
