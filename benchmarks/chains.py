"""Chains of elementwise operations, forward and backward: a thousand on ten numbers, forty on a million.

A chain repeats ``x * a``, ``sin``, ``x + b``, ``tanh``; times are per operation.  On ten numbers next to nothing is
computed and what remains is the bookkeeping; on a million memory decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import numpy as np

from benchmarks.contenders.torch_compile import torch_compiled
from benchmarks.harness import Contender, Effort, Figure, Result, load, main, race, replayed
from benchmarks.operations import chain

SHORT_VECTOR, LONG_VECTOR = (1_000, 10, "float64"), (40, 1_000_000, "float32")
REPLAY = "mytorch, replayed"


def operands(size: int, dtype: str) -> list[np.ndarray]:
    """Return the vector x, and the constants a and b."""
    rng = np.random.default_rng(11785)
    arrays = (rng.random(size), 1.0 + 0.01 * rng.random(size), 0.01 * rng.random(size))
    return [array.astype(dtype) for array in arrays]


def mytorch_chain(length: int, size: int, dtype: str, replay: bool = False) -> Callable[[], Any]:
    """Prepare a chain of Tensors, eager or replayed."""
    from mytorch import grad
    from mytorch.functional import sin, tanh

    x, a, b = operands(size, dtype)
    gradient = grad(lambda x: chain(length, x, a, b, sin, tanh).sum())
    step = replayed(gradient) if replay else gradient
    return lambda: step(x)


def torch_chain(length: int, size: int, dtype: str, compiled: bool = False) -> Callable[[], Any]:
    """Prepare a chain of PyTorch, eager or by torch.compile."""
    torch = load("torch")
    x, a, b = map(torch.from_numpy, operands(size, dtype))
    x.requires_grad_()

    def value(x: Any) -> Any:
        return chain(length, x, a, b, torch.sin, torch.tanh).sum()

    function = torch_compiled(value, x) if compiled else value
    return lambda: torch.autograd.grad(function(x), x)[0]


def jax_chain(length: int, size: int, dtype: str) -> Callable[[], Any]:
    """Prepare a chain of JAX."""
    jax = load("jax")
    jax.config.update("jax_enable_x64", True)
    x, a, b = map(jax.numpy.asarray, operands(size, dtype))
    gradient = jax.jit(jax.grad(lambda x: chain(length, x, a, b, jax.numpy.sin, jax.numpy.tanh).sum()))
    return lambda: gradient(x).block_until_ready()


def autograd_chain(length: int, size: int, dtype: str) -> Callable[[], Any]:
    """Prepare a chain of HIPS/autograd."""
    autograd, numpy = load("autograd"), load("autograd.numpy")
    x, a, b = operands(size, dtype)
    gradient = autograd.grad(lambda x: numpy.sum(chain(length, x, a, b, numpy.sin, numpy.tanh)))
    return lambda: gradient(x)


def mygrad_chain(length: int, size: int, dtype: str) -> Callable[[], Any]:
    """Prepare a chain of MyGrad."""
    mygrad = load("mygrad")
    array, a, b = operands(size, dtype)

    def step() -> Any:
        x = mygrad.tensor(array)
        chain(length, x, a, b, mygrad.sin, mygrad.tanh).sum().backward()
        return x.grad

    return step


def plain_chain(length: int, size: int, dtype: str) -> Callable[[], Any]:
    """Prepare a chain of NumPy with its derivative by hand."""
    x, a, b = operands(size, dtype)
    ones = np.ones_like(x)

    def step() -> Any:
        y, kept = x, []
        for _ in range(length // 4):
            scaled = y * a
            y = np.tanh(np.sin(scaled) + b)
            kept.append((scaled, y))
        g = ones
        for scaled, y in reversed(kept):
            g = (g * (1 - y * y)) * np.cos(scaled) * a
        return g

    return step


def best_chain(length: int, size: int, dtype: str) -> Callable[[], Any]:
    """Prepare the same with every array allocated beforehand, in pieces that stay in the cache."""
    x, a, b = operands(size, dtype)
    result = np.empty_like(x)
    piece = min(size, 2**12)
    rows = [np.empty((2, piece), dtype) for _ in range(length // 4)]
    scratch, one = np.empty(piece, dtype), np.array(1, dtype)
    parts = [slice(start, min(size, start + piece)) for start in range(0, size, piece)]
    pieces = [
        (x[part], a[part], b[part], result[part], scratch[:n], [(row[0, :n], row[1, :n]) for row in rows])
        for part in parts
        if (n := part.stop - part.start)
    ]
    multiply, sin, cos, add, tanh, subtract = np.multiply, np.sin, np.cos, np.add, np.tanh, np.subtract

    def step() -> Any:
        for y, a, b, g, t, kept in pieces:
            for scaled, out in kept:
                multiply(y, a, scaled)
                sin(scaled, t)
                add(t, b, t)
                y = tanh(t, out)
            g[...] = one
            for scaled, y in reversed(kept):
                multiply(y, y, y)
                subtract(one, y, y)
                multiply(g, y, g)
                cos(scaled, scaled)
                multiply(g, scaled, g)
                multiply(g, a, g)
        return result

    return step


def field(length: int, size: int, dtype: str) -> list[Contender]:
    """Return everybody who takes part."""
    chain = (length, size, dtype)
    return [
        Contender("mytorch", mytorch_chain, chain, length),
        Contender(REPLAY, mytorch_chain, (*chain, True), length),
        Contender("torch", torch_chain, chain, length),
        Contender("torch.compile", torch_chain, (*chain, True), length, slow=True),
        Contender("jax.jit", jax_chain, chain, length),
        Contender("autograd", autograd_chain, chain, length),
        Contender("mygrad", mygrad_chain, chain, length),
        Contender("plain NumPy", plain_chain, chain, length),
        Contender("best NumPy", best_chain, chain, length),
    ]


def run(effort: Effort) -> Iterator[Result]:
    """Race through both."""
    for length, size, dtype in (SHORT_VECTOR, LONG_VECTOR):
        what = f"{length:,} elementwise operations on {size:,} numbers"
        rtol = 1e-6 if dtype == "float64" else 1e-3
        times = race(field(length, size, dtype), effort, rtol=rtol, what=what, against="torch")
        yield times
        yield from times.figures(
            (what, "mytorch", "torch", {"at_most": 0.35} if size == 10 else {}),
            (f"{what}, replayed", REPLAY, "torch", {} if size == 10 else {"at_most": 1.0}),
            (f"{what}, replayed against best NumPy", REPLAY, "best NumPy", {}),
        )
        if size == 10 and REPLAY in times.times:
            nanoseconds = [1e9 * seconds for seconds in times.times[REPLAY]]
            low, high = min(nanoseconds), max(nanoseconds)
            yield Figure(f"{what}, replayed, each", median(nanoseconds), low, high, "ns", at_most=500)


if __name__ == "__main__":
    main(__doc__, run)
