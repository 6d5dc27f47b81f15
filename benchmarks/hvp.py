"""Second order: a Hessian-vector product of the Rosenbrock function in 1,000 variables, against PyTorch.

PyTorch differentiates the gradient (double backward); so does `mytorch.hvp`.  Bare NumPy has the derivative
written by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.harness import Contender, Effort, Figure, main, race

SIZE = 1_000


def rosenbrock(x: Any) -> Any:
    """Return ``sum(100 (x[i+1] - x[i]²)² + (1 - x[i])²)`` of an array of any framework."""
    return (100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2).sum()


def points() -> tuple[np.ndarray, np.ndarray]:
    """Return where, and in which direction, the curvature is asked for."""
    rng = np.random.default_rng(11785)
    return rng.normal(size=SIZE), rng.normal(size=SIZE)


def mytorch_hvp() -> Callable[[], Any]:
    """Prepare the product by `mytorch.hvp`."""
    import mytorch

    product, (x, v) = mytorch.hvp(rosenbrock), points()
    return lambda: product(x, v)


def torch_hvp() -> Callable[[], Any]:
    """Prepare the product by PyTorch's double backward."""
    import torch

    x, v = (torch.from_numpy(array) for array in points())
    x.requires_grad_()

    def product() -> Any:
        (gradient,) = torch.autograd.grad(rosenbrock(x), x, create_graph=True)
        return torch.autograd.grad(gradient, x, v)[0]

    return product


def numpy_hvp() -> Callable[[], Any]:
    """Prepare the product as one writes it by hand: the Hessian has three diagonals."""
    x, v = points()

    def product() -> Any:
        y = np.zeros_like(x)
        off = -400.0 * x[:-1]
        y[:-1] = (1200.0 * x[:-1] ** 2 - 400.0 * x[1:] + 2.0) * v[:-1] + off * v[1:]
        y[1:] += 200.0 * v[1:] + off * v[:-1]
        return y

    return product


def run(effort: Effort) -> list[Figure]:
    """Race."""
    contenders = [
        Contender("mytorch", mytorch_hvp),
        Contender("torch", torch_hvp),
        Contender("NumPy", numpy_hvp),
    ]
    times, what = race(contenders, effort), "Hessian-vector product, Rosenbrock-1000"
    return [
        times.figure(what, "mytorch", "torch", at_most=1.0),
        times.figure(f"{what}, against bare NumPy", "mytorch", "NumPy"),
    ]


if __name__ == "__main__":
    main(__doc__, run)
