"""The back ends of replay: training steps and a long chain by NumPy, Numba and SciPy's BLAS, beside JAX and PyTorch.

A step keeps no gradient: they are set to None when the parameters have moved.  The chain is twenty
``max(z / 2 + y, -1) * y - x`` on a million numbers, forward and backward.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.contenders import training
from benchmarks.contenders.mlp import NETWORKS, work
from benchmarks.contenders.mlp_frameworks import jax_step, torch_step
from benchmarks.harness import Contender, Effort, Result, Unavailable, Work, load, main, race

BACKENDS = ("numpy", "numba", "blas", "blas+numba")
CELLS = (("tiny", 1), ("small", 1), ("medium", 1), ("large", 1), ("large", 128))
LENGTH, SIZE = 20, 1_000_000


def compiled(function: Callable[..., Any], backend: str) -> Callable[..., Any]:
    """Return a function replayed by a back end, if that is installed."""
    import mytorch

    try:
        return mytorch.compile(function, backend=backend)
    except ImportError as error:
        raise Unavailable(str(error)) from error


def step(network: str, batch: int, backend: str) -> Work:
    """Prepare a training step."""
    from mytorch import Tensor
    from mytorch.data import one_hot
    from mytorch.functional import linear, relu, softmax_cross_entropy
    from mytorch.optim import SGD

    x, classes, arrays = work(network, batch)
    labels = one_hot(classes, NETWORKS[network][-1], x.dtype)
    parameters = [Tensor(array.copy(), requires_grad=True) for array in arrays]
    optimizer = SGD(parameters, training.RATE)

    def train(x: Any, labels: Any) -> Any:
        y: Any = x
        for i in range(0, len(parameters) - 2, 2):
            y = relu(linear(y, parameters[i], parameters[i + 1]))
        loss = softmax_cross_entropy(linear(y, parameters[-2], parameters[-1]), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    replay = compiled(train, backend)
    return training.compared(lambda: replay(x, labels), arrays, lambda: [p.numpy() for p in parameters])


def chained(x: Any, y: Any, maximum: Callable[[Any], Any]) -> Any:
    """Return the sum of a chain."""
    z = x
    for _ in range(LENGTH):
        z = maximum(z * 0.5 + y) * y - x
    return z.sum()


def operands() -> tuple[np.ndarray, np.ndarray]:
    """Return the arrays of a chain."""
    rng = np.random.default_rng(11785)
    return rng.random(SIZE, np.float32), rng.random(SIZE, np.float32)


def chain(backend: str) -> Callable[[], Any]:
    """Prepare the gradient of a chain."""
    import mytorch

    x, y = operands()
    gradient = compiled(mytorch.grad(lambda x, y: chained(x, y, lambda z: np.maximum(z, -1.0))), backend)
    return lambda: gradient(x, y)


def torch_chain() -> Callable[[], Any]:
    """Prepare the gradient of a chain in PyTorch."""
    torch = load("torch")
    x, y = map(torch.from_numpy, operands())
    x.requires_grad_()
    return lambda: torch.autograd.grad(chained(x, y, lambda z: torch.clamp_min(z, -1.0)), x)[0]


def run(effort: Effort) -> Iterator[Result]:
    """Race the back ends."""
    for cell in CELLS:
        name = f"back ends, {cell[0]}/{cell[1]}"
        field = [Contender(backend, step, (*cell, backend)) for backend in BACKENDS]
        field += [Contender("jax.jit", jax_step, cell), Contender("torch", torch_step, cell)]
        times = race(field, effort, rtol=1e-3, what=name, against="numpy")
        yield times
        if cell == ("tiny", 1):
            yield from times.figures(
                (f"{name}, Numba against jax.jit", "numba", "jax.jit", {"at_most": 0.25})
            )
    field = [Contender(backend, chain, (backend,)) for backend in ("numpy", "numba")]
    times = race(
        [*field, Contender("torch", torch_chain)],
        effort,
        rtol=1e-3,
        what="back ends, chain on 10⁶",
        against="numpy",
    )
    yield times
    yield from times.figures(
        ("back ends, chain on 10⁶, Numba against torch", "numba", "torch", {"at_most": 1.0})
    )


if __name__ == "__main__":
    main(__doc__, run)
