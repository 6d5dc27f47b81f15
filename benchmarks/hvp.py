"""Second order: a Hessian-vector product of the Rosenbrock function in 1,000 variables.

PyTorch differentiates the gradient (double backward); so does `mytorch.hvp`.  torch.func and JAX differentiate the
gradient forward.  Bare NumPy has the derivative written by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.harness import Contender, Effort, Result, load, main, race, replayed

SIZE = 1_000


def terms(x: Any) -> Any:
    """Return ``100 (x[i+1] - x[i]²)² + (1 - x[i])²`` of an array of any framework."""
    return 100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2


def rosenbrock(x: Any) -> Any:
    """Return the sum of the terms, where arrays have that method."""
    return terms(x).sum()


def points() -> tuple[np.ndarray, np.ndarray]:
    """Return where, and in which direction, the curvature is asked for."""
    rng = np.random.default_rng(11785)
    return rng.normal(size=SIZE), rng.normal(size=SIZE)


def mytorch_hvp(replay: bool = False) -> Callable[[], Any]:
    """Prepare the product by `mytorch.hvp`, eager or replayed."""
    import mytorch

    product, (x, v) = mytorch.hvp(rosenbrock), points()
    function = replayed(product) if replay else product
    return lambda: function(x, v)


def torch_hvp() -> Callable[[], Any]:
    """Prepare the product by PyTorch's double backward."""
    torch = load("torch")
    x, v = (torch.from_numpy(array) for array in points())
    x.requires_grad_()

    def product() -> Any:
        (gradient,) = torch.autograd.grad(rosenbrock(x), x, create_graph=True)
        return torch.autograd.grad(gradient, x, v)[0]

    return product


def torch_func_hvp() -> Callable[[], Any]:
    """Prepare the product by torch.func."""
    torch = load("torch")
    x, v = (torch.from_numpy(array) for array in points())
    gradient = torch.func.grad(rosenbrock)
    return lambda: torch.func.jvp(gradient, (x,), (v,))[1]


def jax_hvp() -> Callable[[], Any]:
    """Prepare the product by JAX."""
    jax = load("jax")
    jax.config.update("jax_enable_x64", True)
    x, v = map(jax.numpy.asarray, points())
    product = jax.jit(lambda x, v: jax.jvp(jax.grad(rosenbrock), (x,), (v,))[1])
    return lambda: product(x, v).block_until_ready()


def autograd_hvp() -> Callable[[], Any]:
    """Prepare the product by HIPS/autograd."""
    autograd = load("autograd")
    numpy = load("autograd.numpy")
    (x, v), product = points(), autograd.hessian_vector_product(lambda x: numpy.sum(terms(x)))
    return lambda: product(x, v)


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


FIELD = [
    Contender("mytorch", mytorch_hvp),
    Contender("mytorch, replayed", mytorch_hvp, (True,)),
    Contender("torch", torch_hvp),
    Contender("torch.func", torch_func_hvp),
    Contender("jax.jit", jax_hvp),
    Contender("autograd", autograd_hvp),
    Contender("NumPy by hand", numpy_hvp),
]


def run(effort: Effort) -> Iterator[Result]:
    """Race."""
    what = "Hessian-vector product, Rosenbrock-1000"
    times = race(FIELD, effort, what=what, against="torch")
    yield times
    yield from times.figures(
        (what, "mytorch", "torch", {"at_most": 1.0}),
        (f"{what}, against bare NumPy", "mytorch", "NumPy by hand", {}),
        (f"{what}, replayed", "mytorch, replayed", "torch", {"at_most": 1.0}),
    )


if __name__ == "__main__":
    main(__doc__, run)
