"""What one recorded operation costs, in time and in memory.

A chain repeats ``x * a``, ``sin``, ``x + b``, ``tanh`` on a vector of ten numbers, so that next to nothing is
computed and what remains is the bookkeeping.  The constants a and b are plain arrays, Python numbers, or
parameters that want gradients too; the functions are those of `mytorch.functional`, or NumPy's own.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.harness import Contender, Effort, Figure, main, measure, present_memory, race

SIZE, LENGTH = 10, 1_000
CONSTANTS = ("arrays", "numbers", "parameters")


def operands(constants: str) -> tuple[np.ndarray, Any, Any]:
    """Return the vector x, and the constants a and b."""
    rng = np.random.default_rng(11785)
    x, a, b = rng.random(SIZE), 1.0 + 0.01 * rng.random(SIZE), 0.01 * rng.random(SIZE)
    return (x, float(a[0]), float(b[0])) if constants == "numbers" else (x, a, b)


def chain(length: int, x: Any, a: Any, b: Any, sin: Callable[[Any], Any], tanh: Callable[[Any], Any]) -> Any:
    """Return the last value of a chain of so many operations."""
    for _ in range(length // 4):
        x = tanh(sin(x * a) + b)
    return x


def mytorch_chain(constants: str, length: int, backward: bool, functions: str = "own") -> Callable[[], Any]:
    """Prepare a chain of Tensors."""
    from mytorch import Tensor, functional

    sin, tanh = (functional.sin, functional.tanh) if functions == "own" else (np.sin, np.tanh)
    array, a, b = operands(constants)
    x, ones = Tensor(array, requires_grad=True), np.ones(SIZE)
    if constants == "parameters":
        a, b = Tensor(a, requires_grad=True), Tensor(b, requires_grad=True)
    leaves = [leaf for leaf in (x, a, b) if isinstance(leaf, Tensor)]

    def forward() -> Any:
        return chain(length, x, a, b, sin, tanh)

    def both() -> Any:
        for leaf in leaves:
            leaf.grad = None
        forward().backward(ones)
        return x.grad

    return both if backward else forward


def torch_chain(constants: str, length: int, backward: bool) -> Callable[[], Any]:
    """Prepare the same chain in PyTorch, with `autograd.grad`, which is leaner than `backward`."""
    import torch

    array, a, b = operands(constants)
    x, ones = torch.from_numpy(array).requires_grad_(), torch.ones(SIZE, dtype=torch.float64)
    leaves = [x]
    if constants != "numbers":
        a, b = torch.from_numpy(a), torch.from_numpy(b)
    if constants == "parameters":
        leaves += [a.requires_grad_(), b.requires_grad_()]

    def forward() -> Any:
        return chain(length, x, a, b, torch.sin, torch.tanh)

    def both() -> Any:
        return torch.autograd.grad(forward(), leaves, ones)[0]

    return both if backward else lambda: forward().detach()


def numpy_chain(constants: str, length: int, backward: bool) -> Callable[[], Any]:
    """Prepare the same chain on bare arrays, with its derivative written by hand."""
    x, a, b = operands(constants)
    ones, sin, cos, tanh = np.ones(SIZE), np.sin, np.cos, np.tanh

    def forward() -> Any:
        return chain(length, x, a, b, sin, tanh)

    def both() -> Any:
        y, kept = x, []
        for _ in range(length // 4):
            scaled = y * a
            y = tanh(sin(scaled) + b)
            kept.append((scaled, y))
        g = ones
        for scaled, y in reversed(kept):
            g = (g * (1 - y * y)) * cos(scaled) * a
        return g

    return both if backward else forward


def traced(length: int) -> float:
    """Return the bytes per operation that a recorded chain holds, by Python's and NumPy's own account."""
    forward = mytorch_chain("arrays", length, backward=False)
    gc.collect()
    tracemalloc.start()
    result = forward()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    del result
    return held / length


def resident(framework: str, length: int) -> float:
    """Return by how many bytes per operation a recorded chain makes the process grow."""
    prepare = mytorch_chain if framework == "mytorch" else torch_chain_held
    forward = prepare("arrays", length, False)
    before = present_memory()
    result = forward()
    after = present_memory()
    del result
    return (after - before) / length


def torch_chain_held(constants: str, length: int, backward: bool) -> Callable[[], Any]:
    """Prepare PyTorch's chain so that its result keeps the graph."""
    import torch

    x, a, b = (torch.from_numpy(array) for array in operands(constants))
    x.requires_grad_()
    return lambda: chain(length, x, a, b, torch.sin, torch.tanh)


def speed(constants: str, backward: bool, effort: Effort) -> list[Figure]:
    """Race through chains of a thousand operations."""
    arguments = (constants, LENGTH, backward)
    contenders = [
        Contender("mytorch", mytorch_chain, arguments, LENGTH),
        Contender("torch", torch_chain, arguments, LENGTH),
    ]
    if constants == "arrays":
        contenders.append(Contender("NumPy's functions", mytorch_chain, (*arguments, "NumPy's"), LENGTH))
        contenders.append(Contender("bare NumPy", numpy_chain, arguments, LENGTH))
    times = race(contenders, effort)
    what = f"operation {'forward + backward' if backward else 'forward'}"
    limit = 0.35 if backward else 0.6
    figures = [times.figure(f"{what}, constants are {constants}", "mytorch", "torch", at_most=limit)]
    if constants == "arrays":
        figures.append(times.figure(f"{what}, through NumPy's functions", "NumPy's functions", "torch"))
        figures.append(times.figure(f"{what}, against bare NumPy", "mytorch", "bare NumPy"))
    return figures


def run(effort: Effort) -> list[Figure]:
    """Measure time and memory."""
    figures = []
    for constants in CONSTANTS:
        for backward in (False, True):
            figures += speed(constants, backward, effort)
    length = 20_000 if effort.quick else 200_000
    ours, theirs = (measure(resident, framework, length) for framework in ("mytorch", "torch"))
    return [
        *figures,
        Figure("memory that a recorded operation holds", measure(traced, length), unit="bytes", at_most=500),
        Figure("growth of the process per operation, against torch", ours / theirs),
    ]


if __name__ == "__main__":
    main(__doc__, run)
