"""Tests of the Linear layer, on its own and with a skip connection around it.

Both backward tests record a further operation after the layer, as a network does.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from autograder.helpers import (
    Arrays,
    GradedTest,
    add_rule,
    call,
    draw,
    draw_bias,
    make_linear,
    scale,
    torch_gradients,
    torch_value,
)

MODULES = ("mytorch.autograd_engine", "mytorch.nn")


def _draw_layer(in_features: int, out_features: int, *extra: str) -> Callable[[np.random.Generator], Arrays]:
    def draw_layer(rng: np.random.Generator) -> Arrays:
        layer = {
            "x": draw(rng, 3, in_features),
            "W": draw(rng, out_features, in_features),
            "b": draw_bias(rng, out_features),
        }
        return layer | {name: draw(rng, 3, out_features) for name in extra}

    return draw_layer


def _skip(engine, layer, x):
    """Record `layer(x) + x` as the hand-out's user would."""
    h = call(layer, x)
    output = h + x
    engine.add_operation([h, x], output, [None, None], add_rule)
    return output


def _plain(engine, layer, x):
    return call(layer, x)


def _attempt_forward(apply: Callable) -> Callable[[Arrays], Iterator[tuple[str, object]]]:
    def attempt(inputs: Arrays) -> Iterator[tuple[str, object]]:
        from mytorch.autograd_engine import Autograd

        engine = Autograd()
        yield "output", apply(engine, make_linear(engine, inputs), inputs["x"])

    return attempt


def _attempt_backward(apply: Callable) -> Callable[[Arrays], Iterator[tuple[str, object]]]:
    def attempt(inputs: Arrays) -> Iterator[tuple[str, object]]:
        from mytorch.autograd_engine import Autograd

        engine = Autograd()
        layer = make_linear(engine, inputs)
        scale(engine, apply(engine, layer, inputs["x"]), inputs["scale"])
        engine.backward(inputs["grad_output"])
        yield "dW", layer.dW
        yield "db", layer.db
        yield "gradient of x", engine.gradient_buffer.get_param(inputs["x"])

    return attempt


def _linear(x, W, b, scale=1, grad_output=None):
    return (x @ W.T + b.T) * scale


def _linear_skip(x, W, b, scale=1, grad_output=None):
    return (x @ W.T + b.T + x) * scale


def _expect_output(function: Callable) -> Callable[[Arrays], Arrays]:
    return lambda inputs: {"output": torch_value(function, inputs)}


def _expect_gradients(function: Callable) -> Callable[[Arrays], Arrays]:
    def reference(inputs: Arrays) -> Arrays:
        gradients = torch_gradients(function, inputs, "xWb")
        return {"dW": gradients["W"], "db": gradients["b"], "gradient of x": gradients["x"]}

    return reference


def _forward_mistakes(inputs: Arrays) -> Iterable[tuple[str, Arrays]]:
    x, W = inputs["x"], inputs["W"]
    yield "the bias is missing: y = x @ W.T + b.T", {"output": x @ W.T}
    yield "the bias was subtracted: y = x @ W.T + b.T", {"output": x @ W.T - inputs["b"].T}


def _skip_mistakes(inputs: Arrays) -> Iterable[tuple[str, Arrays]]:
    x, W, b = inputs["x"], inputs["W"], inputs["b"]
    yield "the layer multiplies by W where it should by W.T", {"output": x @ W + b.T + x}
    yield "the bias is missing: y = x @ W.T + b.T", {"output": x @ W.T + x}


def _skip_gradient_mistakes(inputs: Arrays) -> Iterable[tuple[str, Arrays]]:
    upstream = inputs["grad_output"] * inputs["scale"]
    sentence = (
        "x is an input of two operations, and only the gradient from {} arrived: the buffer must add them "
        "up, and a second add_spot of an array must not clear the first"
    )
    yield sentence.format("the skip connection"), {"gradient of x": upstream}
    yield sentence.format("the layer"), {"gradient of x": upstream @ inputs["W"]}


_STEPS = "output = Linear({}, {}, engine)(x), with W and b written into the layer"
_SKIP = "; the test records the addition of x to it"
_THEN = "; the test records its product with scale, and calls backward(grad_output)"
_UPSTREAM = ("grad_output", "scale")
_LAYER, _SQUARE = (4, 5), (5, 5)

TESTS = (
    GradedTest(
        "Linear (Autograd) Forward",
        2,
        _STEPS.format(*_LAYER),
        _draw_layer(*_LAYER),
        _attempt_forward(_plain),
        _expect_output(_linear),
        _forward_mistakes,
    ),
    GradedTest(
        "Linear (Autograd) Backward",
        4,
        _STEPS.format(*_LAYER) + _THEN,
        _draw_layer(*_LAYER, *_UPSTREAM),
        _attempt_backward(_plain),
        _expect_gradients(_linear),
        upstream=_UPSTREAM,
    ),
    GradedTest(
        "Linear + Skip Connection (Autograd) Forward",
        1,
        _STEPS.format(*_SQUARE) + _SKIP,
        _draw_layer(*_SQUARE),
        _attempt_forward(_skip),
        _expect_output(_linear_skip),
        _skip_mistakes,
    ),
    GradedTest(
        "Linear + Skip Connection (Autograd) Backward",
        2,
        _STEPS.format(*_SQUARE) + _SKIP + _THEN,
        _draw_layer(*_SQUARE, *_UPSTREAM),
        _attempt_backward(_skip),
        _expect_gradients(_linear_skip),
        _skip_gradient_mistakes,
        _UPSTREAM,
    ),
)
