"""Programming assignment 1: ``python main.py`` compares derivatives (parts 1.5, 2.4, 2.6) and times them (2.7).

The arrays and test functions come from `mytorch.faces.backproppable`; mytorch need not be installed.
"""

import sys
from pathlib import Path
from time import perf_counter

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mytorch.faces.backproppable import (
    BA_Add,
    BA_Div,
    BA_Exp,
    BA_Log,
    BA_MatMul,
    BA_Mul,
    BA_Reshape,
    BA_Sub,
    BA_Sum,
    BA_Transpose,
    BackproppableArray,
    TestFxs,
    backprop_diff,
    exp,
    get_next_order,
    log,
    numerical_diff,
    numerical_grad,
    to_ba,
)

__all__ = [
    "BA_Add",
    "BA_Div",
    "BA_Exp",
    "BA_Log",
    "BA_MatMul",
    "BA_Mul",
    "BA_Reshape",
    "BA_Sub",
    "BA_Sum",
    "BA_Transpose",
    "BackproppableArray",
    "TestFxs",
    "backprop_diff",
    "exp",
    "get_next_order",
    "log",
    "np",
    "numerical_diff",
    "numerical_grad",
    "to_ba",
]

SIZE = 1000


def compare_on_numbers(title, names, points):
    """Print, for functions of a number, the derivative in each way that there is, and how far they differ."""
    print(f"\n{title}")
    print(f"{'':4}{'x':>6}{'symbolic':>16}{'numerical':>16}{'backprop':>16}{'difference':>12}")
    for name in names:
        f, derivative = getattr(TestFxs, name), getattr(TestFxs, f"d{name}dx", None)
        for x in points:
            numerical, backprop = float(numerical_diff(f, x)), float(backprop_diff(f, x))
            symbolic = f"{derivative(x):16.10f}" if derivative else " " * 15 + "-"
            print(
                f"{name:4}{x:6.2f}{symbolic}{numerical:16.10f}{backprop:16.10f}{abs(numerical - backprop):12.1e}"
            )


def compare_on_arrays(title, f, x):
    """Print the gradient of a function of an array, numerically and by backpropagation, entry by entry."""
    print(f"\n{title}")
    print(f"{'':4}{'x':>6}{'numerical':>16}{'backprop':>16}{'difference':>12}")
    for i, (at, a, b) in enumerate(zip(x, numerical_grad(f, x), backprop_diff(f, x), strict=True)):
        print(f"[{i}] {at:6.2f}{a:16.10f}{b:16.10f}{abs(a - b):12.1e}")


def softplus_energy(x):
    """Return the sum of ``x log(1 + exp(x))``: the function of part 2.7."""
    return (x * log(1 + exp(x))).sum().reshape(())


def seconds(differentiate, x, repetitions):
    """Return the best time of so many, and the gradient."""
    times = []
    for _ in range(repetitions):
        start = perf_counter()
        gradient = differentiate(softplus_energy, x)
        times.append(perf_counter() - start)
    return sorted(times)[0], gradient


def time_gradients(size=SIZE):
    """Print how long the gradient of a function of many numbers takes, numerically and by backpropagation."""
    x = np.random.default_rng(0).normal(size=size)
    slow, numerical = seconds(numerical_grad, x, 3)
    fast, backprop = seconds(backprop_diff, x, 30)
    print(f"\nPart 2.7: the gradient of the sum of x log(1 + exp(x)), d = {size}")
    print(f"numerical  {1e3 * slow:10.3f} ms  ({2 * size} evaluations of the function)")
    print(f"backprop   {1e3 * fast:10.3f} ms  (one evaluation, and one pass back through it)")
    print(
        f"backpropagation is {slow / fast:.0f} times as fast; the two differ by {abs(numerical - backprop).max():.1e}"
    )


if __name__ == "__main__":
    points = (-1.0, 0.5, 2.0, 3.0)
    compare_on_numbers("Part 1.5: scalars", ("f1", "f2", "f3", "f4"), points)
    compare_on_numbers(
        "Part 2.4: by way of vectors and matrices, with broadcasting", ("g1", "g2"), (0.5, 1.5, 3.25)
    )
    compare_on_arrays(
        "Part 2.6: a function of a vector, h1", TestFxs.h1, np.array([-1.0, 0.5, 2.0, 3.0, 4.25])
    )
    time_gradients()
