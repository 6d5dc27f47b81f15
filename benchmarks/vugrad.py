"""vugrad's MNIST epoch, 784-3136-10 in float64, batch 128, against eager PyTorch doing the same arithmetic.

Sigmoid, log-softmax, a loss that is summed over the batch, pixels from 0 to 255, plain gradient descent at 0.0001:
what ``python experiments/train_mlp.py -D mnist -l 0.0001`` does, from the same weights on both sides.  Once with the
batch as a constant, as that script has it, and once as a node whose gradient is computed too, as scripts written for
the course have it; PyTorch's batch then requires its gradient, too.  An epoch is the same step 430 times, so a few
steps are raced.  PyTorch changes its parameters once with the course's line, ``value -= rate * gradient``, and once in
one pass, as its optimizers do and as ours does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.harness import Contender, Effort, Figure, main, race
from benchmarks.mnist import folder

BATCH, FEATURES, HIDDEN, CLASSES, RATE = 128, 784, 4 * 784, 10, 1e-4
ROWS = 55_000
STEPS = -(-ROWS // BATCH)
SOME = 4


def rows(steps: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Return the first minibatches of the training set."""
    from mytorch.data import load_mnist

    (images, labels), _ = load_mnist(folder())
    x, y = images.reshape(len(images), -1).astype(np.float64)[:ROWS], labels.astype(np.int64)
    return ((x[i : i + BATCH], y[i : i + BATCH]) for i in range(0, min(steps * BATCH, ROWS), BATCH))


def weights() -> list[np.ndarray]:
    """Return Glorot's weights and zero biases, always the same."""
    rng = np.random.default_rng(11785)
    sizes = (FEATURES, HIDDEN, CLASSES)
    layers = [(rng.normal(0, np.sqrt(2 / (a + b)), (b, a)), np.zeros((1, b))) for a, b in pairwise(sizes)]
    return [array for layer in layers for array in layer]


def vugrad_steps(steps: int, constant: bool) -> Callable[[], Any]:
    """Prepare training through the face."""
    from mytorch.faces import vugrad as vg
    from mytorch.optim.optimizer import descend

    first, second = vg.Linear(FEATURES, HIDDEN), vg.Linear(HIDDEN, CLASSES)
    parameters = [*first.parameters(), *second.parameters()]
    for node, array in zip(parameters, weights(), strict=True):
        node.value = array
    batches = list(rows(steps))

    def train() -> Any:
        for x, y in batches:
            batch = vg.TensorNode(x, constant=constant)
            loss = vg.logceloss(vg.logsoftmax(second(vg.sigmoid(first(batch)))), y)
            loss.backward()
            for node in parameters:
                descend(node.value, RATE, node.grad)
            loss.zero_grad()
            loss.clear()
        return loss.value.reshape(1)

    return train


def torch_steps(steps: int, constant: bool, one_pass: bool) -> Callable[[], Any]:
    """Prepare training in eager PyTorch; `one_pass` changes parameters as its optimizers do, not as the course does."""
    import torch

    parameters = [torch.from_numpy(array).requires_grad_() for array in weights()]
    w, b, v, c = parameters
    batches = [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in rows(steps)]

    def train() -> Any:
        for x, y in batches:
            batch = x if constant else x.detach().requires_grad_()
            hidden = torch.sigmoid(torch.nn.functional.linear(batch, w, b[0]))
            logprobs = torch.log_softmax(torch.nn.functional.linear(hidden, v, c[0]), 1)
            loss = torch.nn.functional.nll_loss(logprobs, y, reduction="sum")
            loss.backward()
            with torch.no_grad():
                for parameter in parameters:
                    gradient: Any = parameter.grad
                    if one_pass:
                        parameter.add_(gradient, alpha=-RATE)
                    else:
                        parameter -= RATE * gradient
                    parameter.grad = None
        return loss.detach().reshape(1)

    return train


def run(effort: Effort) -> list[Figure]:
    """Race a few steps of an epoch, and say how long a whole one takes."""
    figures = []
    for constant in (True, False):
        contenders = [
            Contender("vugrad face", vugrad_steps, (SOME, constant), per=SOME),
            Contender("torch", torch_steps, (SOME, constant, False), per=SOME),
            Contender("torch, update in one pass", torch_steps, (SOME, constant, True), per=SOME),
        ]
        times = race(contenders, effort)
        for name, seconds in times.medians.items():
            print(f"{name}: {seconds * STEPS:.1f} s per epoch of {STEPS} steps", flush=True)
        what = "a step of vugrad's MNIST" + ("" if constant else ", with the gradient of the batch")
        figures.append(times.figure(what, "vugrad face", "torch", at_most=1.0))
        figures.append(
            times.figure(f"{what}, torch's update in one pass", "vugrad face", contenders[-1].name)
        )
    return figures


if __name__ == "__main__":
    main(__doc__, run)
