"""The Variable face: scalar programs, forward and backward, against micrograd; and a million operations.

micrograd (pip install micrograd) is the smallest scalar autograd in wide use.  It walks its graph by recursion, so it
has no million.  Among a million operations an operation of ours costs more than among a thousand for one reason:
every `Variable` is an object that Python's cyclic collector visits, time and again as their number grows.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from benchmarks.harness import Contender, Effort, Figure, Unavailable, main, measure, peak_memory, race

SHORT, FEW, MANY = 300, 1_000, 1_000_000


def program(x: Any, w: Any, operations: int) -> Any:
    """Return the result of so many operators, ten in a turn, on scalars of any framework."""
    y = x
    for _ in range(operations // 10):
        y = y * w + x
        y = y - w
        y = y * 0.9
        y = y / (w * w + 2.0)
        y = (y * y + 1.0) ** 0.5
    return y


def variables(operations: int) -> Callable[[], Any]:
    """Prepare the program and its gradient on Variables."""
    from mytorch.faces.variable import Variable

    def step() -> list[float]:
        x, w = Variable(0.5), Variable(1.25)
        y = program(x, w, operations)
        y.backward()
        return [y.value, x.grad, w.grad]

    return step


def micrograd(operations: int) -> Callable[[], Any]:
    """Prepare the program and its gradient on micrograd's values."""
    Value = import_module("micrograd.engine").Value
    sys.setrecursionlimit(10 * operations)

    def step() -> list[float]:
        x, w = Value(0.5), Value(1.25)
        y = program(x, w, operations)
        y.backward()
        return [y.data, x.grad, w.grad]

    return step


def forward_only(operations: int) -> Callable[[], Any]:
    """Prepare the program on Variables, without its gradient."""
    from mytorch.faces.variable import Variable

    return lambda: program(Variable(0.5), Variable(1.25), operations).value


def floats(operations: int) -> Callable[[], Any]:
    """Prepare the program on Python's floats: what there is to compute."""
    return lambda: program(0.5, 1.25, operations)


def peak(operations: int) -> float:
    """Return the most bytes per operation that a program and its gradient hold."""
    step = variables(operations)
    before = peak_memory()
    value, *gradient = step()
    assert all(map(math.isfinite, (value, *gradient)))
    return (peak_memory() - before) / operations


def run(effort: Effort) -> list[Figure]:
    """Race against micrograd, and a long program against a short one."""
    if find_spec("micrograd") is None:
        raise Unavailable("micrograd is not installed: pip install micrograd==0.1.0")
    contenders = [
        Contender("mytorch", variables, (SHORT,), per=SHORT),
        Contender("micrograd", micrograd, (SHORT,), per=SHORT),
    ]
    times = race(contenders, effort)
    figures = [
        times.figure(f"Variable, {SHORT} operations and their gradient", "mytorch", "micrograd", at_most=1.0)
    ]
    forwards = race(
        [
            Contender("forward", forward_only, (SHORT,), per=SHORT),
            Contender("floats", floats, (SHORT,), per=SHORT),
        ],
        effort,
    )
    figures.append(forwards.figure(f"Variable, {SHORT} operations, against floats", "forward", "floats"))
    many = MANY // 10 if effort.quick else MANY
    contenders = [Contender(f"{n:,}", variables, (n,), per=n) for n in (many, FEW)]
    long = race(contenders, replace(effort, rounds=min(effort.rounds, 5)), rtol=None)
    what = f"Variable, an operation among {many:,}"
    figures.append(long.figure(f"{what} against {FEW:,}: time", f"{many:,}", f"{FEW:,}"))
    figures.append(Figure(f"{what}: peak memory", measure(peak, many), unit="bytes"))
    return figures


if __name__ == "__main__":
    main(__doc__, run)
