"""Logistic regression: a loss in plain NumPy, and gradient descent along `mytorch.grad`.

The model says that a row x belongs to class 1 with probability ``1 / (1 + exp(-(w·x + b)))``.  The loss is the
mean negative log-likelihood plus a penalty on the weights, which makes its minimum unique.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import mytorch

Parameters = dict[str, Any]


def make_data(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw rows of three features, and classes from the model with weights (2, -1, 0) and bias 0.5."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 3))
    probability = 1 / (1 + np.exp(-(x @ [2.0, -1.0, 0.0] + 0.5)))
    return x, (rng.random(rows) < probability).astype(float)


def loss(parameters: Parameters, x: np.ndarray, y: np.ndarray, penalty: float) -> Any:
    """Return the penalised negative log-likelihood per row, for logits of any size."""
    w, b = parameters["w"], parameters["b"]
    logits = x @ w + b
    return np.mean(np.logaddexp(0, logits) - y * logits) + penalty / 2 * np.sum(w**2)


def fit(x: np.ndarray, y: np.ndarray, penalty: float, rate: float = 2.0, steps: int = 300) -> Parameters:
    """Return the parameters at which gradient descent arrives."""
    gradient = mytorch.grad(loss)
    parameters: Parameters = {"w": np.zeros(x.shape[1]), "b": np.zeros(())}
    for _ in range(steps):
        slope = gradient(parameters, x, y, penalty)
        parameters = {name: value - rate * slope[name] for name, value in parameters.items()}
    return parameters


def main() -> None:
    """Fit, and show what came out."""
    x, y = make_data(1000)
    parameters = fit(x, y, penalty=0.01)
    right = np.mean((x @ parameters["w"] + parameters["b"] > 0) == (y == 1))
    print(f"weights {np.round(parameters['w'], 3)}, bias {parameters['b']:.3f}, drawn with [2 -1 0] and 0.5")
    print(f"loss {loss(parameters, x, y, 0.01):.4f}, {100 * right:.1f} % of the rows on the right side")


if __name__ == "__main__":
    main()
