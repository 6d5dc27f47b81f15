"""Training steps of four perceptrons at four batch sizes: sixteen cells, every framework, and NumPy by hand.

A step is forward, softmax cross-entropy, backward and the SGD update, in float32.  PyTorch at its leanest is
`torch.autograd.grad` and one `torch._foreach_add_`, without modules, optimizer or `.grad`.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.contenders import mlp_frameworks, mlp_numpy
from benchmarks.contenders.mlp import BATCHES, NETWORKS, work
from benchmarks.contenders.mlp_frameworks import mytorch_step, torch_step
from benchmarks.harness import Contender, Effort, Race, Result, main, race

__all__ = ["BATCHES", "NETWORKS", "field", "mytorch_step", "run", "torch_step", "work"]

SOME = (("tiny", 1), ("small", 32), ("medium", 128), ("large", 1))


def field(network: str, batch: int) -> list[Contender]:
    """Return everybody who takes part in a cell."""
    cell = (network, batch)
    return [
        Contender("mytorch", mytorch_step, cell),
        Contender("mytorch, replayed", mytorch_step, (*cell, True)),
        Contender("torch", torch_step, cell),
        Contender("torch as usual", mlp_frameworks.torch_usual, cell),
        Contender("torch.compile", torch_step, (*cell, True), slow=True),
        Contender("jax.jit", mlp_frameworks.jax_step, cell),
        Contender("autograd", mlp_frameworks.autograd_step, cell),
        Contender("mygrad", mlp_frameworks.mygrad_step, cell),
        Contender("plain NumPy", mlp_numpy.plain, cell),
        Contender("best NumPy", mlp_numpy.best, cell),
        Contender("best NumPy, SciPy's BLAS", mlp_numpy.best, (*cell, True)),
        Contender("matrix products alone", mlp_numpy.products, cell),
    ]


def run(effort: Effort) -> Iterator[Result]:
    """Race through the sixteen cells, or, for a first impression, through four of them."""
    for network in NETWORKS:
        for batch in BATCHES:
            if effort.quick and (network, batch) not in SOME:
                continue
            cell = f"{network}/{batch}"
            times = race(field(network, batch), effort, rtol=1e-3, what=cell, against="torch")
            yield times
            yield from figures(times, cell)


def figures(times: Race, cell: str) -> Iterator[Result]:
    """Return what is asked of a cell."""
    few = cell in ("tiny/1", "tiny/32")
    least, replay = few or cell == "small/1", "mytorch, replayed"
    yield times.figure(cell, "mytorch", "torch", at_most=0.4 if few else 1.0)
    yield from times.figures(
        (
            f"{cell}, replayed against torch",
            replay,
            "torch",
            {"at_most": 1 / 4 if least else 1 / 1.15},
        ),
        (f"{cell}, replayed against best NumPy", replay, "best NumPy", {"at_most": 1.05}),
        (f"{cell}, replayed against jax.jit", replay, "jax.jit", {"at_most": 1 / 0.95}),
    )


if __name__ == "__main__":
    main(__doc__, run)
