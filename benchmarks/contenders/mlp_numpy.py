"""A training step of a perceptron in NumPy, its gradient by hand: as a student writes it, and as fast as it goes.

The fast one holds every activation transposed, (features, batch), with a row of ones below: bias and weights are one
matrix, their gradients one product, and whatever is summed or maximised per example runs along memory.  All
parameters lie in one block; the gradient of the logits is scaled by -rate at once, so that the whole update is one
addition.
"""

from __future__ import annotations

import os
import timeit
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.contenders import training
from benchmarks.contenders.mlp import NETWORKS, work
from benchmarks.harness import Work, load
from benchmarks.races import Unavailable

# Entries: a larger layer's gradient is computed and added piece by piece, while it is in the cache.
CACHE = 2**17
Calls = list[tuple[Callable[..., Any], tuple[Any, ...]]]


def plain(network: str, batch: int) -> Work:
    """Prepare a step as one writes it with the formulas at hand."""
    x, classes, arrays = work(network, batch)
    layers = [[W.copy(), b.copy()] for W, b in zip(arrays[::2], arrays[1::2], strict=True)]
    rows = np.arange(batch)

    def step() -> Any:
        inputs = [x]
        for W, b in layers[:-1]:
            inputs.append(np.maximum(inputs[-1] @ W.T + b, 0))
        W, b = layers[-1]
        logits = inputs[-1] @ W.T + b
        exp = np.exp(logits - logits.max(axis=1, keepdims=True))
        p = exp / exp.sum(axis=1, keepdims=True)
        loss = -np.log(p[rows, classes]).mean()
        g = p
        g[rows, classes] -= 1
        g /= batch
        for i in reversed(range(len(layers))):
            W, b = layers[i]
            a = inputs[i]
            dW, db = g.T @ a, g.sum(axis=0)
            if i > 0:
                g = (g @ W) * (a > 0)
            W -= training.RATE * dW
            b -= training.RATE * db
        return loss

    return training.compared(step, arrays, lambda: [array for layer in layers for array in layer])


class Block:
    """All of a step's memory: inputs of the layers with their row of ones, weights with their column of biases.

    ``weights`` and ``changes`` (the gradients times -rate) are views of one block each.  With one example, the
    batch's axis is left out: matrix times vector, and outer products.
    """

    def __init__(self, network: str, batch: int) -> None:
        x, classes, arrays = work(network, batch)
        sizes = NETWORKS[network]
        shape: tuple[int, ...] = () if batch == 1 else (batch,)
        self.start, self.batch = arrays, batch
        self.inputs = [np.ones((size + 1, *shape), np.float32) for size in sizes[:-1]]
        self.inputs[0][:-1] = x.T.reshape(self.inputs[0][:-1].shape)
        self.logits = np.zeros((sizes[-1], *shape), np.float32)
        self.onehot = np.zeros((sizes[-1], batch), np.float32)
        self.onehot[classes, np.arange(batch)] = 1
        self.onehot = self.onehot.reshape(self.logits.shape)
        shapes = [(fan_out, fan_in + 1) for fan_in, fan_out in pairwise(sizes)]
        ends = np.cumsum([rows * columns for rows, columns in shapes])[:-1]
        length = sum(rows * columns for rows, columns in shapes)
        self.block, self.change = (np.zeros(length, np.float32) for _ in range(2))
        self.weights, self.changes = (
            [part.reshape(shape) for part, shape in zip(np.split(flat, ends), shapes, strict=True)]
            for flat in (self.block, self.change)
        )
        self.gradients = [*(np.zeros_like(a[:-1]) for a in self.inputs[1:]), self.logits]
        most = max((gradient.size for gradient in self.gradients[:-1]), default=0)
        self.zeros, self.mask = np.zeros(most, np.float32), np.empty(most, bool)
        for weights, W, b in zip(self.weights, arrays[::2], arrays[1::2], strict=True):
            weights[:, :-1], weights[:, -1] = W, b

    def parameters(self) -> list[np.ndarray]:
        """Return W, b, W, b, ... as views."""
        return [part for weights in self.weights for part in (weights[:, :-1], weights[:, -1])]

    def outputs(self) -> list[np.ndarray]:
        """Return where the layers write: the inputs of the next without the ones, and the logits."""
        return [*(a[:-1] for a in self.inputs[1:]), self.logits]


def best(network: str, batch: int, blas: bool = False) -> Work:
    """Prepare the fastest step that we know; with `blas`, SciPy's BLAS adds products to the weights in one call."""
    if blas and os.environ.get("OPENBLAS_NUM_THREADS") != "1":
        raise Unavailable(
            "NumPy's BLAS and SciPy's each have a pool of threads: two pools fight for the cores"
        )
    block = Block(network, batch)
    forward: list[tuple[Any, ...]] = [
        (weights.dot, a, z, *flat(z), block.zeros[: z.size])
        for weights, a, z in zip(block.weights[:-1], block.inputs[:-1], block.outputs()[:-1], strict=True)
    ]
    last, top, logits = block.weights[-1].dot, block.inputs[-1], block.logits
    loss_and_gradient = one_example(block) if batch == 1 else many_examples(block)
    calls = backward_in_blas(block) if blas else fastest(backward_whole(block), backward_in_pieces(block))
    maximum = np.maximum

    def step() -> Any:
        for dot, a, z, values, zeros in forward:
            dot(a, z)
            maximum(values, zeros, out=values)
        last(top, logits)
        loss = loss_and_gradient()
        for call, arguments in calls:
            call(*arguments)
        return loss

    return training.compared(step, block.start, block.parameters)


def flat(*arrays: np.ndarray) -> list[np.ndarray]:
    """Return contiguous arrays as vectors that share their memory: one loop, and a full vector of zeros beside them."""
    vectors = [array.view() for array in arrays]
    for vector in vectors:
        vector.shape = (vector.size,)  # raises where that takes a copy
    return vectors


def one_example(block: Block) -> Callable[[], Any]:
    """Return what turns the logits of one example into the loss and the gradient times -rate, in their place."""
    z, p = block.logits, np.empty_like(block.logits)
    largest, subtract, exp = np.maximum.reduce, np.subtract, np.exp
    multiply, divide, log = np.multiply, np.divide, np.log
    item, target = z.item, int(np.flatnonzero(block.onehot)[0])
    scaled, add = block.onehot * np.float32(training.RATE), np.add
    sum_of, ones, total, factor = p.dot, np.ones_like(z), np.empty((), np.float32), np.empty((), np.float32)
    rate = np.array(-training.RATE, np.float32)

    def step() -> Any:
        subtract(z, largest(z), z)
        exp(z, p)
        sum_of(ones, total)
        loss = log(total) - item(target)
        divide(rate, total, factor)
        multiply(p, factor, z)
        add(z, scaled, z)
        return loss

    return step


def many_examples(block: Block) -> Callable[[], Any]:
    """Return what turns the logits of a batch into the loss and the gradient times -rate, in their place."""
    z, p, batch = block.logits, np.empty_like(block.logits), block.batch
    largest, subtract, exp = np.maximum.reduce, np.subtract, np.exp
    multiply, divide, log = np.multiply, np.divide, np.log
    rate, add = np.array(-training.RATE / batch, np.float32), np.add
    scaled = block.onehot * np.float32(training.RATE / batch)
    most, total, logs = np.empty((3, batch), np.float32)
    sum_of, sum_of_logs = np.ones(len(z), np.float32).dot, np.ones(batch, np.float32).dot
    values, targets = flat(z, block.onehot)

    def step() -> Any:
        largest(z, 0, out=most)
        subtract(z, most, z)
        exp(z, p)
        sum_of(p, total)
        log(total, logs)
        loss = (sum_of_logs(logs) - values.dot(targets)) / batch
        divide(rate, total, total)
        multiply(p, total, z)
        add(z, scaled, z)
        return loss

    return step


def fastest(*candidates: Calls) -> Calls:
    """Return the calls that take least time; which do depends on the shape. Gradients of zero change nothing."""

    def run(calls: Calls) -> None:
        for call, arguments in calls:
            call(*arguments)

    def seconds(calls: Calls) -> float:
        run(calls)
        return min(timeit.repeat(lambda: run(calls), number=3, repeat=7))

    return min(candidates, key=seconds)


def backward(block: Block, update: Callable[[int, np.ndarray], Calls]) -> Calls:
    """Return the calls of the backward pass from the last layer: the gradient of its input, then its own change."""
    calls: Calls = []
    for i in reversed(range(len(block.weights))):
        g = block.gradients[i]
        if i > 0:
            a, dx = block.inputs[i][:-1], block.gradients[i - 1]
            (values, gradients), zeros, mask = flat(a, dx), block.zeros[: a.size], block.mask[: a.size]
            calls.append((block.weights[i][:, :-1].T.dot, (g, dx)))
            calls.append((np.greater, (values, zeros, mask)))
            calls.append((np.multiply, (gradients, mask, gradients)))
        calls += update(i, g)
    return calls


def backward_whole(block: Block) -> Calls:
    """Return the backward pass with one addition for all parameters at its end."""
    calls = backward(block, lambda i, g: product(g, block.inputs[i], block.changes[i]))
    return [*calls, (np.add, (block.block, block.change, block.block))]


def backward_in_pieces(block: Block) -> Calls:
    """Return the backward pass that adds changes piece by piece, while each is in the cache."""

    def update(i: int, g: np.ndarray) -> Calls:
        weights, calls = block.weights[i], []
        rows = max(1, CACHE // weights.shape[1])
        for first in range(0, len(weights), rows):
            part = weights[first : first + rows]
            change = block.change[: part.size].reshape(part.shape)
            calls += product(g[first : first + rows], block.inputs[i], change)
            calls.append((np.add, (*flat(part, change), *flat(part))))
        return calls

    return backward(block, update)


def backward_in_blas(block: Block) -> Calls:
    """Return the backward pass whose products add to the weights: SciPy's ger, or its gemm with beta = 1."""
    blas = load("scipy.linalg.blas")

    def update(i: int, g: np.ndarray) -> Calls:
        a, weights = block.inputs[i], block.weights[i].T  # in Fortran's order: (features, units)
        if g.ndim == 1:
            return [(blas.sger, (1.0, a, g, 1, 1, weights, 1, 1, 1))]
        return [(blas.sgemm, (1.0, a.T, g.T, 1.0, weights, 1, 0, 1))]

    return backward(block, update)


def product(g: np.ndarray, a: np.ndarray, out: np.ndarray) -> Calls:
    """Return the calls that write the gradient of weights, g aᵀ."""
    if g.ndim > 1:
        return [(g.dot, (a.T, out))]
    column, row = g[:, None], a[None, :]
    # BLAS has a fast loop for two columns times two rows, and none for one.
    columns, rows = np.zeros((2, g.size), g.dtype).T, np.zeros((2, a.size), a.dtype)
    filled: Calls = [(np.copyto, (columns[:, 0], g)), (np.copyto, (rows[0], a))]
    return fastest(
        [(column.dot, (row, out))],
        [(np.multiply, (column, row, out))],
        [*filled, (np.matmul, (columns, rows, out))],
    )


def products(network: str, batch: int) -> Callable[[], Any]:
    """Prepare the matrix products of a step as NumPy does them, each whole, and nothing else."""
    block = Block(network, batch)
    calls: Calls = []
    for weights, a, z in zip(block.weights, block.inputs, block.outputs(), strict=True):
        calls.append((weights.dot, (a, z)))
    gradients = block.gradients
    for i in reversed(range(len(block.weights))):
        calls += product(gradients[i], block.inputs[i], block.changes[i])
        if i > 0:
            calls.append((block.weights[i][:, :-1].T.dot, (gradients[i], gradients[i - 1])))

    def step() -> None:
        for call, arguments in calls:
            call(*arguments)

    return step
