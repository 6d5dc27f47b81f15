"""Only wanted gradients are computed: a training step, against one that wants the data's gradient, too.

Nobody wants the gradient of the rows that go into the first layer; computing it would be a third of that layer's
work.  On Tensors it is not computed because the rows are a plain array, on an explicit tape because they were
declared with `Autograd.constant`.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from benchmarks.cells import NETWORKS, work
from benchmarks.harness import Contender, Effort, Figure, main, race

NETWORK, BATCH = "medium", 128


def tensor_pass(everything: bool) -> Callable[[], Any]:
    """Prepare forward and backward on Tensors."""
    from mytorch import Tensor
    from mytorch.data import one_hot
    from mytorch.functional import linear, relu, softmax_cross_entropy

    rows, classes, arrays = work(NETWORK, BATCH)
    x: Any = Tensor(rows, requires_grad=True) if everything else rows
    labels = one_hot(classes, NETWORKS[NETWORK][-1], rows.dtype)
    leaves = [Tensor(array, requires_grad=True) for array in arrays]

    def step() -> Any:
        for leaf in leaves:
            leaf.grad = None
        if everything:
            x.grad = None
        y = x
        for i in range(0, len(leaves) - 2, 2):
            y = relu(linear(y, leaves[i], leaves[i + 1]))
        softmax_cross_entropy(linear(y, leaves[-2], leaves[-1]), labels).backward()
        return leaves[0].grad

    return step


def tape_pass(everything: bool) -> Callable[[], Any]:
    """Prepare forward and backward on an explicit tape."""
    import numpy as np

    from mytorch import Autograd, nn
    from mytorch.data import one_hot

    np.random.seed(11785)
    sizes, engine = NETWORKS[NETWORK], Autograd()
    x, classes, _ = work(NETWORK, BATCH)
    labels = one_hot(classes, sizes[-1], x.dtype)
    layers = [nn.Linear(a, b, engine, dtype=x.dtype) for a, b in pairwise(sizes)]
    relu, criterion = nn.ReLU(engine), nn.SoftmaxCrossEntropy(engine)

    def step() -> Any:
        engine.zero_grad()
        layers[0].dW[...] = 0
        if not everything:
            engine.constant(x)
        y = x
        for layer in layers[:-1]:
            y = relu(layer(y))
        criterion(labels, layers[-1](y))
        criterion.backward()
        return layers[0].dW

    return step


def run(effort: Effort) -> list[Figure]:
    """Race with the data's gradient and without."""
    figures = []
    for kind, prepare in (("Tensors", tensor_pass), ("the explicit tape", tape_pass)):
        contenders = [
            Contender("wanted", prepare, (False,)),
            Contender("everything", prepare, (True,)),
        ]
        times = race(contenders, effort, rtol=1e-5)
        what = f"only wanted gradients, {kind}, {NETWORK}/{BATCH}"
        figures.append(times.figure(what, "wanted", "everything", at_most=1.0))
    return figures


if __name__ == "__main__":
    main(__doc__, run)
