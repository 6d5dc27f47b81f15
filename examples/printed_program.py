"""A training step of two layers, printed as the NumPy that it comes down to: ``python examples/printed_program.py``."""

from __future__ import annotations

from typing import Any

import numpy as np

import mytorch
from mytorch import Tensor, optim


class Model:
    """A perceptron of two layers, written out."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.W1 = Tensor(rng.normal(size=(3, 8)) / 2, requires_grad=True)
        self.b1 = Tensor(np.zeros(8), requires_grad=True)
        self.W2 = Tensor(rng.normal(size=(8, 2)) / 3, requires_grad=True)
        self.b2 = Tensor(np.zeros(2), requires_grad=True)


model = Model(np.random.default_rng(0))
optimizer = optim.SGD([model.W1, model.b1, model.W2, model.b2], lr=0.5)


@mytorch.compile
def step(x: Any, y: Any) -> Any:
    """Take one step down the slope of the mean squared error."""
    h = np.tanh(x @ model.W1 + model.b1)
    out = h @ model.W2 + model.b2
    loss = ((out - y) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss


def main() -> None:
    """Record one call, and print the program."""
    step(np.zeros((4, 3)), np.zeros((4, 2)))
    print(step.source)


if __name__ == "__main__":
    main()
