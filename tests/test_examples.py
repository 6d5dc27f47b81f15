"""Every example runs, and arrives where mathematics says that it must."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from examples import heat_equation, hessian_optimisation, logistic_regression, two_layer_network
from tests.conftest import ROOT

EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("[a-z]*.py"))


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_says_what_it_found(name, capsys):
    importlib.import_module(f"examples.{name}").main()
    assert capsys.readouterr().out.count("\n") >= 1


def newton_logistic(x: np.ndarray, y: np.ndarray, penalty: float) -> np.ndarray:
    """The minimum by iteratively reweighted least squares: weights, then the bias."""
    rows = np.column_stack([x, np.ones(len(x))])
    ridge = penalty * np.diag([1.0] * x.shape[1] + [0.0])
    parameters = np.zeros(rows.shape[1])
    for _ in range(20):
        p = 1 / (1 + np.exp(-rows @ parameters))
        gradient = rows.T @ (p - y) / len(y) + ridge @ parameters
        hessian = (rows.T * (p * (1 - p))) @ rows / len(y) + ridge
        parameters = parameters - np.linalg.solve(hessian, gradient)
    return parameters


def test_logistic_regression_arrives_at_the_minimum_that_newton_finds():
    x, y = logistic_regression.make_data(500, seed=1)
    parameters = logistic_regression.fit(x, y, penalty=0.05, steps=500)
    found = [*parameters["w"], parameters["b"]]
    np.testing.assert_allclose(found, newton_logistic(x, y, penalty=0.05), rtol=1e-8)


def train_by_hand(
    arrays: list[np.ndarray], x: np.ndarray, labels: np.ndarray, rate: float, steps: int
) -> None:
    """Train the two-layer network in place, its gradient written by hand."""
    W, b, V, c = arrays
    for _ in range(steps):
        h = np.tanh(x @ W + b)
        p = np.exp(h @ V + c)
        p /= p.sum(axis=1, keepdims=True)
        d = (p - np.eye(p.shape[1])[labels]) / len(x)
        e = d @ V.T * (1 - h**2)
        for array, gradient in zip(arrays, (x.T @ e, e.sum(axis=0), h.T @ d, d.sum(axis=0)), strict=True):
            array -= rate * gradient


def test_the_two_layer_network_goes_the_way_of_one_differentiated_by_hand(rng):
    x, labels = rng.normal(size=(50, 6)), rng.integers(3, size=50)
    layers = two_layer_network.make_layers(6, 5, 3, seed=2)
    arrays = [part.numpy().copy() for layer in layers for part in layer]
    two_layer_network.train(layers, x, labels, rate=0.5, steps=100)
    train_by_hand(arrays, x, labels, rate=0.5, steps=100)
    for part, expected in zip((part for layer in layers for part in layer), arrays, strict=True):
        np.testing.assert_allclose(part.numpy(), expected, rtol=1e-9, atol=1e-12)


def test_the_two_layer_network_reads_digits(capsys):
    two_layer_network.main()
    accuracy = float(capsys.readouterr().out.split()[-2])
    assert accuracy >= 95.0


def test_the_simulated_heat_is_that_of_the_closed_form():
    np.testing.assert_allclose(
        heat_equation.simulate(0.3, 50).numpy(), heat_equation.exact(0.3, 50), atol=1e-13
    )


def test_the_gradient_through_the_time_loop_is_that_of_the_closed_form():
    import mytorch

    r, observed, h = 0.3, heat_equation.exact(0.4), 1e-6
    shift = (heat_equation.exact(r + h) - heat_equation.exact(r - h)) / (2 * h)
    expected = np.mean(2 * (heat_equation.exact(r) - observed) * shift)
    np.testing.assert_allclose(mytorch.grad(heat_equation.loss)(r, observed), expected, rtol=1e-7)


@pytest.mark.parametrize("true", [0.15, 0.45])
def test_the_diffusivity_is_recovered(true):
    assert abs(heat_equation.recover(heat_equation.exact(true)) - true) < 1e-9


@pytest.mark.parametrize("size", [2, 5, 10])
def test_newton_finds_rosenbrocks_minimum(size):
    found, steps = hessian_optimisation.newton(hessian_optimisation.rosenbrock, np.full(size, -1.2))
    assert steps < 60
    np.testing.assert_allclose(found, np.ones(size), atol=1e-8)


def test_newton_takes_one_step_to_the_minimum_of_a_quadratic_function():
    A, b = np.array([[3.0, 1.0], [1.0, 2.0]]), np.array([1.0, -1.0])
    found, steps = hessian_optimisation.newton(lambda x: 0.5 * x @ A @ x - b @ x, np.array([10.0, -7.0]))
    assert steps == 1
    np.testing.assert_allclose(found, np.linalg.solve(A, b), rtol=1e-12)


def test_newton_says_when_it_does_not_arrive():
    with pytest.raises(ArithmeticError, match="after 3 steps the gradient is still"):
        hessian_optimisation.newton(hessian_optimisation.rosenbrock, np.full(4, -1.2), most=3)


def test_the_likelihood_gives_the_closed_form_estimates_and_errors(rng):
    data = rng.normal(3.0, 2.0, size=200)
    (mean, log_deviation), errors = hessian_optimisation.fit_normal(data)
    np.testing.assert_allclose([mean, np.exp(log_deviation)], [data.mean(), data.std()], rtol=1e-10)
    np.testing.assert_allclose(errors, [data.std() / np.sqrt(200), 1 / np.sqrt(400)], rtol=1e-8)
