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
PADDED = SIDE + 2
LENGTH = BATCH * PADDED * PADDED
# Where the nine neighbours of an entry lie in a row of padded images.
SHIFTS = [down * PADDED + right for down in (-1, 0, 1) for right in (-1, 0, 1)]
MARGIN = PADDED + 1
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


def padded_rows(images: np.ndarray) -> np.ndarray:
    """Return images (N, C, H, W) as a matrix (C, N (H+2) (W+2)): zeros around each, and nothing between them."""
    padded = np.pad(images.transpose(1, 0, 2, 3), ((0, 0), (0, 0), (1, 1), (1, 1)))
    return padded.reshape(len(padded), -1)


def inside() -> np.ndarray:
    """Return a row of ones where a padded image has its own entries, and zeros around them."""
    ones = np.ones((BATCH, 1, SIDE, SIDE), np.float32)
    return padded_rows(ones)[0]


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
        y = matrix(kernel) @ windows.reshape(SIDE, -1, SIDE * PIECE)
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


def flat_step() -> Work:
    """Prepare a step by flat shifts, with every array allocated beforehand."""
    images, classes, arrays = work()
    K, c, L, d, W, b = (array.copy() for array in arrays)
    kernels = [
        np.ascontiguousarray(kernel.transpose(0, 2, 3, 1)).reshape(len(kernel), -1) for kernel in (K, L)
    ]
    mask, ones = inside(), np.ones(LENGTH, np.float32)
    wide = [np.zeros((channels, LENGTH + 2 * MARGIN), np.float32) for channels in CHANNELS[:2]]
    matrices = [np.empty((9 * channels, LENGTH), np.float32) for channels in CHANNELS[:2]]
    outputs = [np.empty((channels, LENGTH), np.float32) for channels in CHANNELS[1:]]
    gradients = [np.zeros((channels, LENGTH), np.float32) for channels in CHANNELS[1:]]
    signs = [np.empty((channels, LENGTH), bool) for channels in CHANNELS[1:]]
    dcolumns = np.empty_like(matrices[1])
    dhidden = np.zeros_like(wide[1])
    zeros = np.zeros(LENGTH, np.float32)
    wide[0][:, MARGIN:-MARGIN] = padded_rows(images)
    middle = slice(MARGIN, MARGIN + LENGTH)
    rows = np.empty((BATCH, CHANNELS[-1], SIDE, SIDE), np.float32)
    drows = np.empty((BATCH, CHANNELS[-1] * SIDE * SIDE), np.float32)

    def interior(values: np.ndarray) -> np.ndarray:
        images = values.reshape(len(values), BATCH, PADDED, PADDED)[:, :, 1:-1, 1:-1]
        return images.transpose(1, 0, 2, 3)

    def convolve(i: int, bias: np.ndarray) -> np.ndarray:
        channels, y = CHANNELS[i], outputs[i]
        for k, shift in enumerate(SHIFTS):
            part = slice(MARGIN + shift, MARGIN + shift + LENGTH)
            matrices[i][k * channels : (k + 1) * channels] = wide[i][:, part]
        kernels[i].dot(matrices[i], y)
        np.add(y, bias[:, None], y)
        np.maximum(y, zeros, out=y)
        np.multiply(y, mask, y)
        return y

    def step() -> Any:
        wide[1][:, middle] = convolve(0, c)
        rows[...] = interior(convolve(1, d))
        vectors = rows.reshape(BATCH, -1)
        loss, g = logits_and_loss(vectors @ W.T + b, classes)
        dW, db = g.T @ vectors, g.sum(axis=0)
        g.dot(W, drows)
        np.multiply(drows, np.greater(vectors, np.float32(0)), drows)
        interior(gradients[1])[...] = drows.reshape(rows.shape)
        dL, dd = gradients[1].dot(matrices[1].T), gradients[1].dot(ones)
        kernels[1].T.dot(gradients[1], dcolumns)
        dhidden[...] = 0
        for k, shift in enumerate(SHIFTS):
            part = dhidden[:, MARGIN + shift : MARGIN + shift + LENGTH]
            np.add(part, dcolumns[k * 8 : (k + 1) * 8], part)
        np.greater(outputs[0], zeros, signs[0])
        np.multiply(dhidden[:, middle], signs[0], gradients[0])
        dK, dc = gradients[0].dot(matrices[0].T), gradients[0].dot(ones)
        changed = (kernels[0], c, kernels[1], d, W, b)
        for parameter, gradient in zip(changed, (dK, dc, dL, dd, dW, db), strict=True):
            np.multiply(gradient, np.float32(RATE), gradient)
            np.subtract(parameter, gradient, parameter)
        return loss

    def now() -> Arrays:
        K, L = (
            kernel.reshape(-1, 3, 3, channels).transpose(0, 3, 1, 2)
            for kernel, channels in zip(kernels, CHANNELS[:2], strict=True)
        )
        return [K, c, L, d, W, b]

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
    Contender("NumPy, flat shift", flat_step),
]


def run(effort: Effort) -> Iterator[Result]:
    """Race."""
    return race_of_steps(FIELD, effort, "a step of two 3×3 convolutions", "torch")


if __name__ == "__main__":
    main(__doc__, run)
