"""What the read-only guard costs: the time with it over the time without it.

The guard holds plain arrays that a tape will read again read-only, so that a write which the tape cannot see
fails at its own line.  `mytorch.guarded(False)` switches it off for Tensors, ``Autograd(guard=False)`` on an
explicit tape.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.cells import NETWORKS, mytorch_step, work
from benchmarks.harness import Contender, Effort, Figure, main, race
from benchmarks.operations import LENGTH, mytorch_chain


def tape_step(network: str, batch: int, guard: bool) -> Callable[[], Any]:
    """Prepare a training step on an explicit tape."""
    from models.mlp import MLP
    from mytorch import Autograd, nn
    from mytorch.data import one_hot

    np.random.seed(11785)
    sizes, engine = NETWORKS[network], Autograd(guard)
    x, classes, _ = work(network, batch)
    labels = one_hot(classes, sizes[-1], x.dtype)
    activations = [*(nn.ReLU(engine) for _ in sizes[1:-1]), nn.Identity(engine)]
    criterion = nn.SoftmaxCrossEntropy(engine)
    mlp = MLP(sizes[0], sizes[-1], sizes[1:-1], activations, criterion, 1e-4, engine, dtype=x.dtype)

    def step() -> Any:
        mlp.zero_grads()
        mlp.forward(x)
        mlp.backward(labels)
        mlp.step()
        return mlp.criterion.loss_val

    return step


def chain(guard: bool) -> Callable[[], Any]:
    """Prepare a chain of operations, forward and backward, with plain arrays as constants."""
    import mytorch

    step = mytorch_chain("arrays", LENGTH, backward=True)

    def guarded() -> Any:
        with mytorch.guarded(guard):
            return step()

    return guarded


def tensors(network: str, batch: int, guard: bool) -> Callable[[], Any]:
    """Prepare a training step on Tensors."""
    import mytorch

    step = mytorch_step(network, batch)

    def guarded() -> Any:
        with mytorch.guarded(guard):
            return step()

    return guarded


CASES: dict[str, tuple[Callable[..., Callable[[], Any]], tuple[Any, ...]]] = {
    "Tensors, tiny/1": (tensors, ("tiny", 1)),
    "Tensors, small/32": (tensors, ("small", 32)),
    "Tensors, 1,000 operations on 10 numbers": (chain, ()),
    "the explicit tape, tiny/1": (tape_step, ("tiny", 1)),
    "the explicit tape, small/32": (tape_step, ("small", 32)),
}


def run(effort: Effort) -> list[Figure]:
    """Race with and without the guard."""
    figures = []
    for name, (prepare, arguments) in CASES.items():
        contenders = [
            Contender("guarded", prepare, (*arguments, True)),
            Contender("unguarded", prepare, (*arguments, False)),
        ]
        times = race(contenders, effort, rtol=1e-4)
        figures.append(times.figure(f"guard, {name}", "guarded", "unguarded"))
    return figures


if __name__ == "__main__":
    main(__doc__, run)
