"""A training step of an LSTM, 32 steps of 32 sequences, 64 → 128 units → 10 classes, float32.

The classes are read from the last state.  PyTorch takes part twice: with the loop over its cell that one writes
oneself, and with its own fused LSTM.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.cnn import logits_and_loss
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
    return mytorch_training(loss_of, arrays, [columns, one_hot(classes, CLASSES, np.float32)], replay)


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

    return torch_training(loss_of, arrays, [x, classes])


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

    return torch_training(loss_of, arrays, [x, classes])


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

    return jax_training(loss_of, arrays, [x, classes])


def numpy_step() -> Work:
    """Prepare a step by hand, sequences as columns: all gates through one tanh, arrays allocated once.

    ``sigmoid(x) = (1 + tanh(x / 2)) / 2``, so the rows of i, f and o are halved before, and mended after.  Products
    over all times at once need what belongs to a unit in one row.
    """
    x, classes, arrays = work()
    W, U, b, V, e = parameters = [array.copy() for array in arrays]
    n, columns = UNITS, np.ascontiguousarray(x.swapaxes(1, 2))
    gates, slopes, dgates = np.empty((3, TIMES, 4 * n, BATCH), np.float32)
    h, c = np.zeros((2, TIMES + 1, n, BATCH), np.float32)
    tanhs = np.empty((TIMES, n, BATCH), np.float32)
    scale, shift = np.full((2, 4 * n, BATCH), 0.5, np.float32)
    scale[2 * n : 3 * n], shift[2 * n : 3 * n] = 1, 0
    product, one = np.empty((4 * n, BATCH), np.float32), np.float32(1)
    scratch, dc = np.empty((2, n, BATCH), np.float32)
    ones = np.ones(TIMES * BATCH, np.float32)

    def forward() -> None:
        np.matmul(W, columns, gates)
        np.add(gates, b[:, None], gates)
        for t in range(TIMES):
            a = gates[t]
            U.dot(h[t], product)
            np.add(a, product, a)
            np.multiply(a, scale, a)
            np.tanh(a, a)
            np.multiply(a, scale, a)
            np.add(a, shift, a)
            np.multiply(a[n : 2 * n], c[t], c[t + 1])
            np.multiply(a[:n], a[2 * n : 3 * n], scratch)
            np.add(c[t + 1], scratch, c[t + 1])
            np.tanh(c[t + 1], tanhs[t])
            np.multiply(a[3 * n :], tanhs[t], h[t + 1])

    def backward(dh: np.ndarray) -> None:
        np.subtract(one, gates, slopes)  # of the logistic function: s (1 - s)
        np.multiply(slopes, gates, slopes)
        g = gates[:, 2 * n : 3 * n]
        np.subtract(one, g * g, slopes[:, 2 * n : 3 * n])
        dc[...] = 0
        for t in reversed(range(TIMES)):
            d = dgates[t]
            i, f, g, o = gates[t].reshape(4, n, BATCH)
            np.multiply(dh, tanhs[t], d[3 * n :])
            np.multiply(tanhs[t], tanhs[t], scratch)
            np.subtract(one, scratch, scratch)
            np.multiply(scratch, o, scratch)
            np.multiply(scratch, dh, scratch)
            np.add(dc, scratch, dc)
            np.multiply(dc, g, d[:n])
            np.multiply(dc, c[t], d[n : 2 * n])
            np.multiply(dc, i, d[2 * n : 3 * n])
            np.multiply(dc, f, dc)
            np.multiply(d, slopes[t], d)
            U.T.dot(d, dh)

    def step() -> Any:
        forward()
        loss, g = logits_and_loss(h[-1].T @ V.T + e, classes)
        backward((g @ V).T.copy())
        d, inputs, states = (a.swapaxes(0, 1).reshape(a.shape[1], -1) for a in (dgates, columns, h[:-1]))
        gradients = (d @ inputs.T, d @ states.T, d @ ones, g.T @ h[-1].T, g.sum(axis=0))
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter -= np.float32(RATE) * gradient
        return loss

    return training(step, arrays, lambda: parameters)


FIELD = [
    Contender("mytorch", mytorch_step),
    Contender(REPLAY, mytorch_step, (True,)),
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
        REPLAY,
        fused,
        {},
    )
    return race_of_steps(FIELD, effort, what, "torch, loop over its cell", ", against torch's cell", further)


if __name__ == "__main__":
    main(__doc__, run)
