"""A training step of an LSTM, 32 steps of 32 sequences, 64 → 128 units → 10 classes, float32.

The classes are read from the last state.  PyTorch takes part twice: with the loop over its cell that one writes
oneself, and with its own fused LSTM.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.contenders import training
from benchmarks.harness import Contender, Effort, Result, Work, load, main
from benchmarks.races import Limits

TIMES, BATCH, FEATURES, UNITS, CLASSES = 32, 32, 64, 128, 10


def work() -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Return sequences (time, batch, feature), classes, and W, U, b, V, c; gates are in the order i, f, g, o."""
    rng = np.random.default_rng(11785)
    bound = 1 / np.sqrt(UNITS)
    shapes = [(4 * UNITS, FEATURES), (4 * UNITS, UNITS), (4 * UNITS,), (CLASSES, UNITS), (CLASSES,)]
    x = rng.standard_normal((TIMES, BATCH, FEATURES), dtype=np.float32)
    return (
        x,
        rng.integers(CLASSES, size=BATCH),
        [rng.uniform(-bound, bound, shape).astype(np.float32) for shape in shapes],
    )


def mytorch_step(replay: bool = False) -> Work:
    """Prepare a step on Tensors: the inputs' part of all gates at first, then a loop over time.

    Sequences are columns, so that a gate is a block of rows, which lies together in memory.
    """
    from mytorch.data import one_hot
    from mytorch.functional import sigmoid, softmax_cross_entropy, tanh

    x, classes, arrays = work()
    start = np.zeros((UNITS, BATCH), np.float32)

    def loss_of(parameters: Any, x: Any, labels: Any) -> Any:
        W, U, b, V, e = parameters
        inputs = W @ x + b[:, None]
        h: Any = start
        c: Any = start
        for t in range(TIMES):
            gates = inputs[t] + U @ h
            i_and_f = sigmoid(gates[: 2 * UNITS])
            c = i_and_f[UNITS:] * c + i_and_f[:UNITS] * tanh(gates[2 * UNITS : 3 * UNITS])
            h = sigmoid(gates[3 * UNITS :]) * tanh(c)
        return softmax_cross_entropy((V @ h).T + e, labels)

    columns = np.ascontiguousarray(x.swapaxes(1, 2))
    return training.in_mytorch(loss_of, arrays, [columns, one_hot(classes, CLASSES, np.float32)], replay)


def torch_cell_step() -> Work:
    """Prepare a step of PyTorch with a loop over `LSTMCell`'s function."""
    torch = load("torch")
    functional = torch.nn.functional
    x, classes, arrays = work()
    start = torch.zeros(BATCH, UNITS)
    nothing = torch.zeros(4 * UNITS)

    def loss_of(parameters: Any, x: Any, classes: Any) -> Any:
        W, U, b, V, e = parameters
        h = c = start
        for row in x.unbind(0):
            h, c = torch._VF.lstm_cell(row, (h, c), W, U, b, nothing)
        return functional.cross_entropy(functional.linear(h, V, e), classes)

    return training.in_torch(loss_of, arrays, [x, classes])


def torch_fused_step() -> Work:
    """Prepare a step of PyTorch with its fused LSTM."""
    torch = load("torch")
    functional = torch.nn.functional
    x, classes, arrays = work()
    start = torch.zeros(1, BATCH, UNITS)
    nothing = torch.zeros(4 * UNITS)

    def loss_of(parameters: Any, x: Any, classes: Any) -> Any:
        W, U, b, V, e = parameters
        weights = [W, U, b, nothing]
        _, h, _ = torch._VF.lstm(x, (start, start), weights, True, 1, 0.0, True, False, False)
        return functional.cross_entropy(functional.linear(h[0], V, e), classes)

    return training.in_torch(loss_of, arrays, [x, classes])


def jax_step() -> Work:
    """Prepare a step of JAX, its loop a `scan`."""
    jax = load("jax")
    numpy = jax.numpy
    x, classes, arrays = work()

    def loss_of(parameters: Any, x: Any, classes: Any) -> Any:
        W, U, b, V, e = parameters

        def advance(state: Any, inputs: Any) -> Any:
            h, c = state
            i, f, g, o = numpy.split(inputs + h @ U.T, 4, axis=1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * numpy.tanh(g)
            return (jax.nn.sigmoid(o) * numpy.tanh(c), c), None

        start = numpy.zeros((BATCH, UNITS), x.dtype)
        (h, _), _ = jax.lax.scan(advance, (start, start), x @ W.T + b)
        logprobs = jax.nn.log_softmax(h @ V.T + e)
        return -numpy.mean(numpy.take_along_axis(logprobs, classes[:, None], axis=1))

    return training.in_jax(loss_of, arrays, [x, classes])


class ByHand:
    """The LSTM by hand, sequences as columns: all gates through one tanh, arrays allocated once.

    ``sigmoid(x) = (1 + tanh(x / 2)) / 2``, so the rows of i, f and o are halved before, and mended after.  Products
    over all times at once need what belongs to a unit in one row.
    """

    def __init__(self, x: np.ndarray, classes: np.ndarray, arrays: list[np.ndarray]) -> None:
        n, self.classes = UNITS, classes
        self.parameters = [array.copy() for array in arrays]
        self.columns = np.ascontiguousarray(x.swapaxes(1, 2))
        self.gates, self.slopes, self.dgates = np.empty((3, TIMES, 4 * n, BATCH), np.float32)
        self.h, self.c = np.zeros((2, TIMES + 1, n, BATCH), np.float32)
        self.tanhs = np.empty((TIMES, n, BATCH), np.float32)
        self.scale, self.shift = np.full((2, 4 * n, BATCH), 0.5, np.float32)
        self.scale[2 * n : 3 * n], self.shift[2 * n : 3 * n] = 1, 0
        self.product = np.empty((4 * n, BATCH), np.float32)
        self.scratch, self.dc = np.empty((2, n, BATCH), np.float32)
        self.ones = np.ones(TIMES * BATCH, np.float32)

    def forward(self) -> np.ndarray:
        """Fill gates and states of all times, and return the logits."""
        W, U, b, V, e = self.parameters
        n, h, c, scale, scratch = UNITS, self.h, self.c, self.scale, self.scratch
        np.matmul(W, self.columns, self.gates)
        np.add(self.gates, b[:, None], self.gates)
        for t, a in enumerate(self.gates):
            U.dot(h[t], self.product)
            np.add(a, self.product, a)
            np.multiply(a, scale, a)
            np.tanh(a, a)
            np.multiply(a, scale, a)
            np.add(a, self.shift, a)
            np.multiply(a[n : 2 * n], c[t], c[t + 1])
            np.multiply(a[:n], a[2 * n : 3 * n], scratch)
            np.add(c[t + 1], scratch, c[t + 1])
            np.tanh(c[t + 1], self.tanhs[t])
            np.multiply(a[3 * n :], self.tanhs[t], h[t + 1])
        return h[-1].T @ V.T + e

    def backward(self, dh: np.ndarray) -> None:
        """Fill the gates' cotangents, given that of the last state, which is overwritten."""
        n, one, U = UNITS, np.float32(1), self.parameters[1]
        gates, slopes, tanhs, scratch, dc = self.gates, self.slopes, self.tanhs, self.scratch, self.dc
        np.subtract(one, gates, slopes)  # of the logistic function: s (1 - s)
        np.multiply(slopes, gates, slopes)
        g = gates[:, 2 * n : 3 * n]
        np.subtract(one, g * g, slopes[:, 2 * n : 3 * n])
        dc[...] = 0
        for t in reversed(range(TIMES)):
            d = self.dgates[t]
            i, f, g, o = gates[t].reshape(4, n, BATCH)
            np.multiply(dh, tanhs[t], d[3 * n :])
            np.multiply(tanhs[t], tanhs[t], scratch)
            np.subtract(one, scratch, scratch)
            np.multiply(scratch, o, scratch)
            np.multiply(scratch, dh, scratch)
            np.add(dc, scratch, dc)
            np.multiply(dc, g, d[:n])
            np.multiply(dc, self.c[t], d[n : 2 * n])
            np.multiply(dc, i, d[2 * n : 3 * n])
            np.multiply(dc, f, dc)
            np.multiply(d, slopes[t], d)
            U.T.dot(d, dh)

    def step(self) -> Any:
        """Do a training step, and return the loss."""
        loss, g = training.cross_entropy(self.forward(), self.classes)
        V, last = self.parameters[3], self.h[-1]
        self.backward((g @ V).T.copy())
        flat = [a.swapaxes(0, 1).reshape(a.shape[1], -1) for a in (self.dgates, self.columns, self.h[:-1])]
        d, inputs, states = flat
        gradients = (d @ inputs.T, d @ states.T, d @ self.ones, g.T @ last.T, g.sum(axis=0))
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter -= np.float32(training.RATE) * gradient
        return loss


def numpy_step() -> Work:
    """Prepare a step by hand."""
    x, classes, arrays = work()
    network = ByHand(x, classes, arrays)
    return training.compared(network.step, arrays, lambda: network.parameters)


FIELD = [
    Contender("mytorch", mytorch_step),
    Contender(training.REPLAY, mytorch_step, (True,)),
    Contender("torch, loop over its cell", torch_cell_step),
    Contender("torch, fused", torch_fused_step),
    Contender("jax.jit", jax_step),
    Contender("NumPy by hand", numpy_step),
]


def run(effort: Effort) -> Iterator[Result]:
    """Race."""
    what, fused = "a step of an LSTM", "torch, fused"
    further: tuple[str, str, str, Limits] = (
        f"{what}, replayed, against torch's fused LSTM",
        training.REPLAY,
        fused,
        {},
    )
    return training.race_of_steps(
        FIELD, effort, what, "torch, loop over its cell", ", against torch's cell", further
    )


if __name__ == "__main__":
    main(__doc__, run)
