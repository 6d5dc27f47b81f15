"""The most memory that training needs: three steps of 784-1024-1024-10 at batch 4096, float32, over imports."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from statistics import median
from typing import Any

from benchmarks.contenders import mlp_frameworks, mlp_numpy
from benchmarks.harness import Contender, Effort, Figure, Result, gauge, load, main, peak_memory

BATCH, STEPS = 4096, 3
MIB = 2**20
ROUNDS = 3
# By name in tables: what is imported beforehand, what prepares a step, and its arguments after network and batch.
FIELD: dict[str, tuple[tuple[str, ...], Callable[..., Any], tuple[Any, ...]]] = {
    "mytorch": (("mytorch.optim", "mytorch.data"), mlp_frameworks.mytorch_step, ()),
    "mytorch, replayed": (("mytorch.optim", "mytorch.data"), mlp_frameworks.mytorch_step, (True,)),
    "torch": (("torch",), mlp_frameworks.torch_step, ()),
    "jax.jit": (("jax", "jax.numpy"), mlp_frameworks.jax_step, ()),
    "autograd": (("autograd", "autograd.numpy"), mlp_frameworks.autograd_step, ()),
    "mygrad": (("mygrad", "mygrad.nnet"), mlp_frameworks.mygrad_step, ()),
    "plain NumPy": ((), mlp_numpy.plain, ()),
    "best NumPy": ((), mlp_numpy.best, ()),
}


def peak(contender: str, batch: int) -> float:
    """Return the most bytes that parameters, data and steps have held, beyond what the imports did."""
    packages, prepare, arguments = FIELD[contender]
    for package in packages:
        load(package)
    before = peak_memory()
    step = prepare("large", batch, *arguments).step
    for _ in range(STEPS):
        step()
    return peak_memory() - before


def run(effort: Effort) -> Iterator[Result]:
    """Measure each in processes of its own."""
    batch = BATCH // 8 if effort.quick else BATCH
    effort = replace(effort, rounds=1 if effort.quick else min(effort.rounds, ROUNDS))
    what = f"peak memory, large at batch {batch}"
    contenders = [Contender(name, peak, (name, batch)) for name in FIELD]
    peaks = gauge(contenders, effort, "bytes", what, "torch")
    yield peaks
    yield in_mib(what, peaks.times["mytorch"], 165.0)
    if "mytorch, replayed" in peaks.times:
        yield in_mib(f"{what}, replayed", peaks.times["mytorch, replayed"], 75.0)
    yield from peaks.figures(
        (f"{what}, against torch", "mytorch", "torch", {"at_most": 1.0}),
        (f"{what}, replayed, against torch", "mytorch, replayed", "torch", {}),
    )


def in_mib(what: str, values: list[float], limit: float) -> Figure:
    """Return some rounds' bytes as a figure."""
    return Figure(what, median(values) / MIB, min(values) / MIB, max(values) / MIB, "MiB", at_most=limit)


if __name__ == "__main__":
    main(__doc__, run)
