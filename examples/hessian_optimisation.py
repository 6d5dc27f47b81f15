"""Newton's method with `mytorch.hessian`: a valley that gradient descent crawls through, and error bars for a fit.

The Hessian gives the step of an optimisation, and at the maximum of a likelihood its inverse is the covariance
of the estimates (the observed Fisher information).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import mytorch


def newton(
    f: Callable[[Any], Any], start: np.ndarray, tolerance: float = 1e-9, most: int = 100
) -> tuple[np.ndarray, int]:
    """Minimise `f`; return where, and after how many steps.

    Where the Hessian is not positive definite its eigenvalues are taken absolute; steps are halved until they
    go down (Nocedal & Wright, *Numerical Optimization*, 2006, ch. 3).
    """
    value_and_gradient, hessian = mytorch.value_and_grad(f), mytorch.hessian(f)
    x = start
    for steps in range(most):
        value, gradient = value_and_gradient(x)
        if np.linalg.norm(gradient) <= tolerance:
            return x, steps
        curvatures, directions = np.linalg.eigh(hessian(x))
        step = -directions @ (directions.T @ gradient / np.abs(curvatures))
        while f(x + step) > value + 1e-4 * gradient @ step:
            step = step / 2
        x = x + step
    raise ArithmeticError(f"after {most} steps the gradient is still {np.linalg.norm(gradient)} long")


def rosenbrock(x: Any) -> Any:
    """Return ``sum(100 (x[i+1] - x[i]²)² + (1 - x[i])²)``, whose minimum, 0, lies at the ones."""
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def negative_log_likelihood(parameters: Any, data: np.ndarray) -> Any:
    """Return that of a normal distribution with ``parameters = (mean, log(deviation))``, up to a constant."""
    mean, log_deviation = parameters
    return np.sum(0.5 * ((data - mean) * np.exp(-log_deviation)) ** 2 + log_deviation)


def fit_normal(data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the most likely (mean, log(deviation)) and their standard errors."""

    def objective(parameters: Any) -> Any:
        return negative_log_likelihood(parameters, data)

    best, _ = newton(objective, np.zeros(2))
    return best, np.sqrt(np.diag(np.linalg.inv(mytorch.hessian(objective)(best))))


def main() -> None:
    """Walk through the valley, then fit."""
    minimum, steps = newton(rosenbrock, np.full(10, -1.0))
    print(f"Rosenbrock's function in 10 variables: {steps} steps to {minimum.round(12)}")
    data = np.random.default_rng(0).normal(3.0, 2.0, size=500)
    (mean, log_deviation), errors = fit_normal(data)
    print(f"drawn with mean 3 and deviation 2: mean {mean:.3f} ± {errors[0]:.3f}", end=", ")
    print(f"deviation {np.exp(log_deviation):.3f} ± {np.exp(log_deviation) * errors[1]:.3f}")


if __name__ == "__main__":
    main()
