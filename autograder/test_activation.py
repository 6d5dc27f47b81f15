"""Tests of the activations, each after a Linear layer and before a further operation, as in a network."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from autograder.helpers import (
    AFTERWARDS,
    DIVERGENCE_EVERYWHERE,
    Arrays,
    GradedTest,
    call,
    draw,
    draw_bias,
    make_linear,
    scale,
    torch_gradients,
    torch_value,
)

MODULES = ("mytorch.autograd_engine", "mytorch.nn")
_UPSTREAM = ("grad_output", "scale")


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


@dataclass(frozen=True)
class Activation:
    """An activation: its class in the hand-in, its function in PyTorch, and what it is easily mistaken for.

    `values` are wrong functions of z, `slopes` wrong derivatives as functions of z and the right output y.
    """

    name: str
    function: Callable
    values: dict[str, Callable]
    slopes: dict[str, Callable]


def _draw_inputs(rng: np.random.Generator) -> Arrays:
    return {"x": draw(rng, 3, 4), "W": draw(rng, 5, 4), "b": draw_bias(rng, 5)}


def _draw_backward(rng: np.random.Generator) -> Arrays:
    return _draw_inputs(rng) | {name: draw(rng, 3, 5) for name in _UPSTREAM}


def _attempt_forward(activation: Activation) -> Callable[[Arrays], Iterator[tuple[str, object]]]:
    def attempt(inputs: Arrays) -> Iterator[tuple[str, object]]:
        from mytorch import nn
        from mytorch.autograd_engine import Autograd

        engine = Autograd()
        z = call(make_linear(engine, inputs), inputs["x"])
        yield "z", z
        yield "output", call(getattr(nn, activation.name)(engine), z)
        yield "z" + AFTERWARDS, z

    return attempt


def _attempt_backward(activation: Activation) -> Callable[[Arrays], Iterator[tuple[str, object]]]:
    def attempt(inputs: Arrays) -> Iterator[tuple[str, object]]:
        from mytorch import nn
        from mytorch.autograd_engine import Autograd

        engine = Autograd()
        layer = make_linear(engine, inputs)
        z = call(layer, inputs["x"])
        yield "z", z
        y = call(getattr(nn, activation.name)(engine), z)
        scale(engine, y, inputs["scale"])
        engine.backward(inputs["grad_output"])
        yield "dW", layer.dW
        yield "db", layer.db
        yield "gradient of x", engine.gradient_buffer.get_param(inputs["x"])
        yield "z" + AFTERWARDS, z

    return attempt


def _before(x, W, b):
    return x @ W.T + b.T


def _layer(activation: Activation) -> Callable:
    def layer(x, W, b, scale=1, grad_output=None):
        return activation.function(_before(x, W, b)) * scale

    return layer


def _expect_output(activation: Activation) -> Callable[[Arrays], Arrays]:
    def reference(inputs: Arrays) -> Arrays:
        z = _before(**inputs)
        return {"z": z, "output": torch_value(_layer(activation), inputs), "z" + AFTERWARDS: z}

    return reference


def _expect_gradients(activation: Activation) -> Callable[[Arrays], Arrays]:
    def reference(inputs: Arrays) -> Arrays:
        z = _before(*(inputs[name] for name in "xWb"))
        gradients = torch_gradients(_layer(activation), inputs, "xWb")
        return {
            "z": z,
            "dW": gradients["W"],
            "db": gradients["b"],
            "gradient of x": gradients["x"],
            "z" + AFTERWARDS: z,
        }

    return reference


def _value_mistakes(activation: Activation) -> Callable[[Arrays], Iterable[tuple[str, Arrays]]]:
    def mistakes(inputs: Arrays) -> Iterable[tuple[str, Arrays]]:
        z = _before(**inputs)
        for sentence, value in activation.values.items():
            yield sentence, {"output": value(z)}

    return mistakes


def _slope_mistakes(activation: Activation) -> Callable[[Arrays], Iterable[tuple[str, Arrays]]]:
    def mistakes(inputs: Arrays) -> Iterable[tuple[str, Arrays]]:
        x, W = inputs["x"], inputs["W"]
        z = _before(x, W, inputs["b"])
        output = torch_value(activation.function, {"input": z})
        upstream = inputs["grad_output"] * inputs["scale"]
        wrong = {sentence: upstream * slope(z, output) for sentence, slope in activation.slopes.items()}
        for sentence, dz in (wrong | {DIVERGENCE_EVERYWHERE: inputs["grad_output"]}).items():
            yield sentence, {"dW": dz.T @ x, "db": dz.sum(axis=0)[:, None], "gradient of x": dz @ W}

    return mistakes


_NO_SLOPE = "the gradient passed through unchanged: the derivative of the activation is missing"
_ACTIVATIONS = (
    Activation("Identity", lambda input: input, {}, {}),
    Activation(
        "Sigmoid",
        lambda input: input.sigmoid(),
        {"the sign in the exponent is missing: sigmoid(z) = 1 / (1 + exp(-z))": lambda z: _sigmoid(-z)},
        {
            _NO_SLOPE: lambda z, y: np.ones_like(y),
            "the factor (1 - sigmoid(z)) is missing: the derivative is s * (1 - s)": lambda z, y: y,
            "the factor sigmoid(z) is missing: the derivative is s * (1 - s)": lambda z, y: 1 - y,
            "the derivative was taken at the output: use s * (1 - s) with s = sigmoid(z)": (
                lambda z, y: _sigmoid(y) * (1 - _sigmoid(y))
            ),
            "z * (1 - z) was used: the derivative is s * (1 - s) of the output s, not of the input": (
                lambda z, y: z * (1 - z)
            ),
        },
    ),
    Activation(
        "Tanh",
        lambda input: input.tanh(),
        {"this is a sigmoid: tanh(z) = (exp(z) - exp(-z)) / (exp(z) + exp(-z))": _sigmoid},
        {
            _NO_SLOPE: lambda z, y: np.ones_like(y),
            "the square is missing: the derivative is 1 - tanh(z)**2": lambda z, y: 1 - y,
            "1 - z**2 was used: the derivative is 1 - y**2 of the output y, not of the input": (
                lambda z, y: 1 - z**2
            ),
            "the derivative was taken at the output: it is 1 - y**2 with y = tanh(z)": (
                lambda z, y: 1 - np.tanh(y) ** 2
            ),
        },
    ),
    Activation(
        "ReLU",
        lambda input: input.relu(),
        {"this is the absolute value: relu(z) = max(z, 0)": np.abs},
        {
            _NO_SLOPE + ", which is 0 where z < 0": lambda z, y: np.ones_like(y),
            "multiplied by the output: the derivative is 1 where z > 0 and 0 elsewhere": lambda z, y: y,
            "the mask is the wrong way round: the derivative is 1 where z > 0": lambda z, y: 1.0 * (z < 0),
        },
    ),
)

_THEN = "; the test records its product with scale, and calls backward(grad_output)"


def _steps(activation: Activation) -> str:
    return (
        "z = Linear(4, 5, engine)(x), with W and b written into the layer; "
        f"output = {activation.name}(engine)(z)"
    )


TESTS = tuple(
    test
    for activation in _ACTIVATIONS
    for test in (
        GradedTest(
            f"{activation.name} (Autograd) Forward",
            1,
            _steps(activation),
            _draw_inputs,
            _attempt_forward(activation),
            _expect_output(activation),
            _value_mistakes(activation),
        ),
        GradedTest(
            f"{activation.name} (Autograd) Backward",
            4,
            _steps(activation) + _THEN,
            _draw_backward,
            _attempt_backward(activation),
            _expect_gradients(activation),
            _slope_mistakes(activation),
            _UPSTREAM,
        ),
    )
)
