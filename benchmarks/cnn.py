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

from benchmarks.contenders import training
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
    return training.in_mytorch(loss_of, arrays, [x, one_hot(classes, CLASSES, np.float32)], replay)


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

    return training.in_mytorch(
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

    return training.in_torch(loss_of, arrays, [images, classes], compiled)


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

    return training.in_jax(loss_of, arrays, [images, classes])


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
        loss, g = training.cross_entropy(rows @ W.T + b, classes)
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
            parameter -= training.RATE * gradient.reshape(parameter.shape)
        return loss

    return training.compared(step, arrays, lambda: parameters)


class ByHand:
    """The network by hand, images innermost: every array allocated beforehand, parameters as products read them.

    Attributes
    ----------
    kernels, biases, weights, b : the parameters; kernels (out, row, column, in) as matrices, weights as `outputs` lie
    wide : per convolution, one piece's images with a border of zeros
    columns, windows : per convolution and piece, three shifted copies, and the view of it that a product reads
    outputs, gradients : per convolution (and piece), what comes out, and its cotangent
    """

    def __init__(self, images: np.ndarray, classes: np.ndarray, arrays: Arrays) -> None:
        K, c, L, d, W, self.b = (array.copy() for array in arrays)
        self.x, self.classes, self.pieces = innermost(images), classes, range(BATCH // PIECE)
        self.kernels = [np.ascontiguousarray(k.transpose(0, 2, 3, 1)).reshape(len(k), -1) for k in (K, L)]
        self.biases, self.zeros = [c, d], np.zeros(RUN, np.float32)
        self.weights = W.reshape(CLASSES, -1, SIDE, SIDE).transpose(0, 2, 1, 3).reshape(CLASSES, -1)
        n = len(self.pieces)
        self.wide = [np.zeros((PADDED, channels, PADDED, PIECE), np.float32) for channels in CHANNELS[:2]]
        self.columns = [np.empty((n, PADDED, 3 * channels, RUN), np.float32) for channels in CHANNELS[:2]]
        self.windows = [[_three_rows(piece) for piece in columns] for columns in self.columns]
        self.outputs = [np.empty((n, SIDE, channels, RUN), np.float32) for channels in CHANNELS[1:]]
        self.gradients = [np.empty_like(y[0]) for y in self.outputs]
        self.signs = [np.empty(y[0].shape, bool) for y in self.outputs]
        self.dcolumns, self.dwide = np.empty_like(self.columns[1][0]), np.empty_like(self.wide[1])
        self.dweights, self.change = np.empty((2, *self.weights.shape), np.float32)
        self.scratch = np.empty((9 * CHANNELS[1], RUN), np.float32)
        self.logits = np.empty((CLASSES, BATCH), np.float32)

    def convolve(self, i: int, p: int, values: np.ndarray) -> np.ndarray:
        """Return ReLU of convolution `i` of piece `p`."""
        y, channels, wide = self.outputs[i][p], CHANNELS[i], self.wide[i]
        wide[1:-1, :, 1:-1] = values.reshape(SIDE, channels, SIDE, PIECE)
        parts = self.columns[i][p].reshape(PADDED, 3 * channels, SIDE, PIECE)
        for j in range(3):
            parts[:, j * channels : (j + 1) * channels] = wide[:, :, j : j + SIDE]
        np.matmul(self.kernels[i], self.windows[i][p], y)
        np.add(y, self.biases[i][:, None], y)
        return np.maximum(y, self.zeros, out=y)

    def pull_to_kernel(self, i: int, p: int, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what piece `p` adds to the gradients of kernel and bias of convolution `i`."""
        g = np.multiply(dy, np.greater(self.outputs[i][p], self.zeros, self.signs[i]), self.gradients[i])
        return np.matmul(g, self.windows[i][p].swapaxes(1, 2)).sum(axis=0), g.sum(axis=0).sum(axis=1)

    def pull_to_hidden(self) -> np.ndarray:
        """Return the cotangent of the second convolution's input."""
        dcolumns, dwide = self.dcolumns, self.dwide
        dcolumns[...], dwide[...] = 0, 0
        for i, g in enumerate(self.gradients[1]):
            part = dcolumns[i : i + 3].reshape(-1, RUN)
            np.add(part, self.kernels[1].T.dot(g, self.scratch), part)
        parts = dcolumns.reshape(PADDED, 3, -1, SIDE, PIECE)
        for j in range(3):
            part = dwide[:, :, j : j + SIDE]
            np.add(part, parts[:, j], part)
        return dwide[1:-1, :, 1:-1].reshape(SIDE, -1, RUN)

    def forward(self) -> np.ndarray:
        """Return the logits."""
        for p in self.pieces:
            y = self.convolve(1, p, self.convolve(0, p, self.x[p]))
            self.logits[:, p * PIECE : (p + 1) * PIECE] = self.weights @ y.reshape(-1, PIECE)
        return self.logits.T + self.b

    def backward(self, dlogits: np.ndarray) -> Arrays:
        """Return the gradients of all parameters."""
        sums: list[Any] = [0, 0, 0, 0]
        dweights, dy = self.dweights, self.gradients[1]
        dweights[...] = 0
        for p in self.pieces:
            g = np.ascontiguousarray(dlogits[p * PIECE : (p + 1) * PIECE].T)
            np.add(dweights, np.matmul(g, self.outputs[1][p].reshape(-1, PIECE).T, self.change), dweights)
            np.matmul(self.weights.T, g, dy.reshape(-1, PIECE))
            second = self.pull_to_kernel(1, p, dy)
            first = self.pull_to_kernel(0, p, self.pull_to_hidden())
            sums = [total + part for total, part in zip(sums, (*first, *second), strict=True)]
        return [*sums, dweights, dlogits.sum(axis=0)]

    def step(self) -> Any:
        """Do a training step, and return the loss."""
        loss, dlogits = training.cross_entropy(self.forward(), self.classes)
        (K, L), (c, d) = self.kernels, self.biases
        changed = (K, c, L, d, self.weights, self.b)
        for parameter, gradient in zip(changed, self.backward(dlogits), strict=True):
            np.multiply(gradient, np.float32(training.RATE), gradient)
            np.subtract(parameter, gradient, parameter)
        return loss

    def parameters(self) -> Arrays:
        """Return the parameters in the order and the shapes of `work`."""
        K, L = (
            kernel.reshape(-1, 3, 3, channels).transpose(0, 3, 1, 2)
            for kernel, channels in zip(self.kernels, CHANNELS[:2], strict=True)
        )
        W = self.weights.reshape(CLASSES, SIDE, -1, SIDE).transpose(0, 2, 1, 3).reshape(CLASSES, -1)
        c, d = self.biases
        return [K, c, L, d, W, self.b]


def _three_rows(columns: np.ndarray) -> np.ndarray:
    """Return the view of rows in which three that follow each other are one, for a product."""
    _, height, width = columns.shape
    return np.lib.stride_tricks.as_strided(columns, (SIDE, 3 * height, width), columns.strides)


def hand_step() -> Work:
    """Prepare a step by hand."""
    images, classes, arrays = work()
    network = ByHand(images, classes, arrays)
    return training.compared(network.step, arrays, network.parameters)


FIELD = [
    Contender("mytorch", rows_step),
    Contender(training.REPLAY, rows_step, (True,)),
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
    return training.race_of_steps(FIELD, effort, "a step of two 3×3 convolutions", "torch")


if __name__ == "__main__":
    main(__doc__, run)
