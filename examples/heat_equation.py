"""Which diffusivity cooled this rod?  Gradient descent through a simulation that overwrites its own state.

The heat equation ``u_t = k u_xx`` with u = 0 at both ends is stepped explicitly, in one array, in place::

    u[1:-1] += r (u[2:] - 2 u[1:-1] + u[:-2]),        r = k dt / dx²

The rod's final state is given; the loss is its squared distance from the simulated one, and `mytorch` follows the
time loop backwards through every overwritten state.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import mytorch

CELLS, STEPS = 20, 100
x = np.linspace(0.0, 1.0, CELLS + 1)
INITIAL = np.sin(np.pi * x) + 0.5 * np.sin(3 * np.pi * x)


def simulate(r: Any, steps: int = STEPS) -> Any:
    """Return the temperatures after so many time steps."""
    u = mytorch.Tensor(INITIAL)
    for _ in range(steps):
        u[1:-1] += r * (u[2:] - 2 * u[1:-1] + u[:-2])
    return u


def exact(r: float, steps: int = STEPS) -> np.ndarray:
    """Return what the scheme gives in closed form: each sine is an eigenvector of a step."""
    waves = np.array([1, 3])
    decay = (1 - 4 * r * np.sin(waves * np.pi / (2 * CELLS)) ** 2) ** steps
    return np.array([1.0, 0.5]) * decay @ np.sin(np.outer(waves, np.pi * x))


def loss(r: Any, observed: np.ndarray) -> Any:
    """Return the mean squared distance between the simulated and the observed final state."""
    return np.mean((simulate(r) - observed) ** 2)


def recover(observed: np.ndarray, guess: float = 0.1, rate: float = 0.3, iterations: int = 150) -> float:
    """Return the r that gradient descent finds from a guess."""
    gradient, r = mytorch.grad(loss), guess
    for _ in range(iterations):
        r = r - rate * gradient(r, observed)
    return float(r)


def main() -> None:
    """Recover the number that made the final state."""
    true = 0.4
    found = recover(exact(true))
    print(f"r = k dt / dx²: true {true}, recovered {found:.12f}")


if __name__ == "__main__":
    main()
