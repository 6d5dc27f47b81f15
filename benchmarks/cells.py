"""Training steps of four perceptrons at four batch sizes: eager Tensors against the leanest eager PyTorch.

A step is forward, softmax cross-entropy, backward and the SGD update, in float32.  PyTorch is at its leanest:
`torch.autograd.grad` and one `torch._foreach_add_`, without modules, optimizer or `.grad`.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from benchmarks.harness import Contender, Effort, Figure, main, race

NETWORKS = {
    "tiny": (2, 16, 16, 2),
    "small": (784, 64, 10),
    "medium": (784, 256, 128, 10),
    "large": (784, 1024, 1024, 10),
}
BATCHES = (1, 32, 128, 1024)
RATE = 1e-4


def work(network: str, batch: int) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Return rows, their classes, and the parameters W, b, W, b, ... of a network, always the same."""
    sizes = NETWORKS[network]
    rng = np.random.default_rng(11785)
    x = rng.random((batch, sizes[0]), dtype=np.float32)
    classes = rng.integers(sizes[-1], size=batch)
    parameters: list[np.ndarray] = []
    for fan_in, fan_out in pairwise(sizes):
        bound = 1 / np.sqrt(fan_in)
        parameters.append(rng.uniform(-bound, bound, (fan_out, fan_in)).astype(np.float32))
        parameters.append(rng.uniform(-bound, bound, fan_out).astype(np.float32))
    return x, classes, parameters


def mytorch_step(network: str, batch: int) -> Callable[[], Any]:
    """Prepare a step on Tensors."""
    from mytorch import Tensor
    from mytorch.data import one_hot
    from mytorch.functional import linear, relu, softmax_cross_entropy
    from mytorch.optim import SGD

    x, classes, arrays = work(network, batch)
    labels = one_hot(classes, NETWORKS[network][-1], x.dtype)
    parameters = [Tensor(array, requires_grad=True) for array in arrays]
    optimizer = SGD(parameters, RATE)

    def step() -> Any:
        y: Any = x
        for i in range(0, len(parameters) - 2, 2):
            y = relu(linear(y, parameters[i], parameters[i + 1]))
        loss = softmax_cross_entropy(linear(y, parameters[-2], parameters[-1]), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step


def torch_step(network: str, batch: int) -> Callable[[], Any]:
    """Prepare the leanest step of eager PyTorch."""
    import torch
    from torch.nn.functional import cross_entropy, linear, relu

    rows, numbers, arrays = work(network, batch)
    x, classes = torch.from_numpy(rows), torch.from_numpy(numbers)
    parameters = [torch.from_numpy(array).requires_grad_() for array in arrays]
    values = [parameter.detach() for parameter in parameters]

    def step() -> Any:
        y = x
        for i in range(0, len(parameters) - 2, 2):
            y = relu(linear(y, parameters[i], parameters[i + 1]))
        loss = cross_entropy(linear(y, parameters[-2], parameters[-1]), classes)
        torch._foreach_add_(values, torch.autograd.grad(loss, parameters), alpha=-RATE)
        return loss

    return step


def run(effort: Effort) -> list[Figure]:
    """Race through the sixteen cells."""
    figures = []
    for network in NETWORKS:
        for batch in BATCHES:
            contenders = [
                Contender("mytorch", mytorch_step, (network, batch)),
                Contender("torch", torch_step, (network, batch)),
            ]
            limit = 0.4 if network == "tiny" and batch <= 32 else 1.0
            times = race(contenders, effort, rtol=1e-4)
            figures.append(times.figure(f"{network}/{batch}", "mytorch", "torch", at_most=limit))
    return figures


if __name__ == "__main__":
    main(__doc__, run)
