"""What compiling costs: the time of the first call on a chain of 1,000 operations, per operation.

The first call records, traces or compiles, and computes the value and the gradient once.  Imports are not counted, and
torch.compile starts with an empty cache, as on a program's first run.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from benchmarks.chains import REPLAY, jax_chain, mytorch_chain, torch_chain
from benchmarks.contenders.torch_compile import prepare
from benchmarks.harness import Contender, Effort, Result, gauge, load, main

LENGTH, SIZE = 1_000, 10
ROUNDS = 2


def seconds(make: Callable[..., Callable[[], Any]], *arguments: Any) -> float:
    """Return how long it takes to prepare a step of a chain and to do it for the first time."""
    start = time.perf_counter()
    make(*arguments)()
    return time.perf_counter() - start


def mytorch_first(length: int, replay: bool) -> float:
    """Time a chain of Tensors."""
    load("mytorch.functional")
    return seconds(mytorch_chain, length, SIZE, "float64", replay)


def torch_first(length: int) -> float:
    """Time torch.compile."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder
        prepare()
        load("torch._dynamo")
        return seconds(torch_chain, length, SIZE, "float64", True)


def jax_first(length: int) -> float:
    """Time jax.jit."""
    load("jax").devices()
    return seconds(jax_chain, length, SIZE, "float64")


def run(effort: Effort) -> Iterator[Result]:
    """Measure each in processes of its own."""
    length = LENGTH // 10 if effort.quick else LENGTH
    contenders = [
        Contender("mytorch", mytorch_first, (length, False), per=length),
        Contender(REPLAY, mytorch_first, (length, True), per=length),
        Contender("torch.compile", torch_first, (length,), length, slow=True),
        Contender("jax.jit", jax_first, (length,), per=length),
    ]
    what = f"the first call, per operation of {length:,}"
    effort = replace(effort, rounds=1 if effort.quick else min(effort.rounds, ROUNDS))
    times = gauge(contenders, effort, "s", what, "jax.jit")
    yield times
    yield from times.figures(
        (f"{what}, replayed against jax.jit", REPLAY, "jax.jit", {"at_most": 1.0}),
        (f"{what}, replayed against torch.compile", REPLAY, "torch.compile", {"at_most": 1.0}),
    )


if __name__ == "__main__":
    main(__doc__, run)
