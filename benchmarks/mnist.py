"""MNIST, 784-128-10, batch 128: an epoch through the explicit tape against eager PyTorch with its own SGD.

NumPy by hand, without a tape, shows what is left to gain.  All start from the same weights and take the same
minibatches in the same order; SGD has momentum 0.9.  The
files are looked for in the folder that MYTORCH_MNIST names, or in shared/data/mnist beside the checkout.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.harness import ROOT, Contender, Effort, Figure, Unavailable, main, measure, race

if TYPE_CHECKING:
    from models.mlp import MLP

BATCH, HIDDEN, RATE, MOMENTUM = 128, 128, 0.05, 0.9
QUICK_ROWS = 20 * BATCH


def folder() -> Path:
    """Return where MNIST's files are."""
    named = os.environ.get("MYTORCH_MNIST")
    path = Path(named) if named else ROOT.parent / "shared" / "data" / "mnist"
    if not path.is_dir():
        raise Unavailable(f"the real MNIST is not at {path}: name its folder in the variable MYTORCH_MNIST")
    return path


def data(dtype: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return training rows and classes, test rows and classes; pixels run from 0 to 1."""
    from mytorch.data import load_mnist

    (images, labels), (test_images, test_labels) = load_mnist(folder())
    x, test_x = ((part.reshape(len(part), -1) / 255).astype(dtype) for part in (images, test_images))
    return x, labels, test_x, test_labels


def network(dtype: str) -> MLP:
    """Return the perceptron on an explicit tape, always with the same weights."""
    from models.mlp import MLP
    from mytorch import Autograd, nn

    np.random.seed(11785)
    engine = Autograd()
    activations = [nn.ReLU(engine), nn.Identity(engine)]
    criterion = nn.SoftmaxCrossEntropy(engine)
    return MLP(784, 10, [HIDDEN], activations, criterion, RATE, engine, MOMENTUM, dtype=dtype)


def mytorch_epoch(dtype: str, rows: int) -> Callable[[], Any]:
    """Prepare an epoch through the explicit tape."""
    from mytorch.data import batches, one_hot

    x, classes, _, _ = data(dtype)
    x, labels, mlp = x[:rows], one_hot(classes[:rows], 10, dtype), network(dtype)

    def epoch() -> Any:
        for part, targets in batches(x, labels, batch_size=BATCH):
            mlp.zero_grads()
            mlp.forward(part)
            mlp.backward(targets)
            mlp.step()
        return mlp.criterion.loss_val

    return epoch


def torch_epoch(dtype: str, rows: int) -> Callable[[], Any]:
    """Prepare an epoch of eager PyTorch, as its tutorials write it."""
    import torch

    x, classes, _, _ = data(dtype)
    parts = torch.from_numpy(x[:rows]).split(BATCH)
    targets = torch.from_numpy(classes[:rows].astype(np.int64)).split(BATCH)
    layers = [torch.nn.Linear(784, HIDDEN), torch.nn.Linear(HIDDEN, 10)]
    model = torch.nn.Sequential(layers[0], torch.nn.ReLU(), layers[1]).to(getattr(torch, dtype))
    with torch.no_grad():
        for theirs, ours in zip(layers, network(dtype).linear_layers, strict=True):
            theirs.weight.copy_(torch.from_numpy(ours.W))
            theirs.bias.copy_(torch.from_numpy(ours.b.ravel()))
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), RATE, MOMENTUM)

    def epoch() -> Any:
        for part, target in zip(parts, targets, strict=True):
            optimizer.zero_grad()
            loss = criterion(model(part), target)
            loss.backward()
            optimizer.step()
        return loss.detach().reshape(1)

    return epoch


def numpy_epoch(dtype: str, rows: int) -> Callable[[], Any]:
    """Prepare an epoch in NumPy, the gradients by hand."""
    from mytorch.data import one_hot

    x, classes, _, _ = data(dtype)
    labels = one_hot(classes[:rows], 10, dtype)
    first, second = network(dtype).linear_layers
    parameters = [first.W, first.b.ravel(), second.W, second.b.ravel()]
    velocities = [np.zeros_like(parameter) for parameter in parameters]

    def epoch() -> Any:
        W, b, V, c = parameters
        for start in range(0, rows, BATCH):
            part, targets = x[start : start + BATCH], labels[start : start + BATCH]
            h = part.dot(W.T)
            h += b
            np.maximum(h, 0, h)
            z = h.dot(V.T)
            z += c
            z -= z.max(axis=1, keepdims=True)
            p = np.exp(z)
            total = p.sum(axis=1, keepdims=True)
            loss = (np.log(total).sum() - np.vdot(z, targets)) / len(part)
            g = p / total
            g -= targets
            g /= len(part)
            dh = g.dot(V)
            dh *= h > 0
            gradients = [dh.T.dot(part), dh.sum(axis=0), g.T.dot(h), g.sum(axis=0)]
            for parameter, velocity, gradient in zip(parameters, velocities, gradients, strict=True):
                velocity *= MOMENTUM
                velocity += gradient
                parameter -= RATE * velocity
        return loss.reshape(1)

    return epoch


def accuracy(epochs: int) -> float:
    """Train in float32, and return the share of test rows that are classified rightly, in percent."""
    from models.mlp import evaluate, train_epoch
    from mytorch.data import batches, one_hot

    x, classes, test_x, test_classes = data("float32")
    mlp, rng = network("float32"), np.random.default_rng(11785)
    labels, test_labels = (one_hot(part, 10, np.float32) for part in (classes, test_classes))
    for _ in range(epochs):
        train_epoch(mlp, batches(x, labels, batch_size=BATCH, rng=rng))
    return 100 * (1 - evaluate(mlp, test_x, test_labels)[1])


def run(effort: Effort) -> list[Figure]:
    """Race through an epoch in both precisions, then train for five."""
    folder()
    rows = QUICK_ROWS if effort.quick else 60_000
    figures = []
    for dtype, rtol in (("float64", 1e-8), ("float32", 1e-2)):
        contenders = [
            Contender("mytorch", mytorch_epoch, (dtype, rows)),
            Contender("torch", torch_epoch, (dtype, rows)),
            Contender("NumPy by hand", numpy_epoch, (dtype, rows)),
        ]
        times = race(contenders, effort, rtol=rtol)
        what = f"MNIST, an epoch, {dtype}"
        figures.append(times.figure(what, "mytorch", "torch", at_most=1.0))
        figures.append(times.figure(f"{what}, against NumPy by hand", "mytorch", "NumPy by hand"))
    percent = measure(accuracy, 5, threads=effort.threads)
    return [*figures, Figure("MNIST, test accuracy after 5 epochs", percent, unit="%", at_least=97.5)]


if __name__ == "__main__":
    main(__doc__, run)
