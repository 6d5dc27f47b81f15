"""Tests of the softmax cross-entropy: mean over the batch, and the gradient of the logits."""

from collections.abc import Iterable, Iterator

import numpy as np

from autograder.helpers import Arrays, GradedTest, call, draw, torch_gradients, torch_value

MODULES = ("mytorch.autograd_engine", "mytorch.nn")
_BATCH, _CLASSES = 3, 5


def _draw_batch(rng: np.random.Generator) -> Arrays:
    labels = rng.integers(0, _CLASSES, _BATCH)
    return {"y": np.eye(_CLASSES)[labels], "y_hat": draw(rng, _BATCH, _CLASSES)}


def _attempt_forward(inputs: Arrays) -> Iterator[tuple[str, object]]:
    from mytorch import nn
    from mytorch.autograd_engine import Autograd

    value = call(nn.SoftmaxCrossEntropy(Autograd()), inputs["y"], inputs["y_hat"])
    # One number, as a scalar, shape () or shape (1,): the hand-out leaves that open.
    yield "loss", value[0] if isinstance(value, np.ndarray) and value.shape == (1,) else value


def _attempt_backward(inputs: Arrays) -> Iterator[tuple[str, object]]:
    from mytorch import nn
    from mytorch.autograd_engine import Autograd

    engine = Autograd()
    criterion = nn.SoftmaxCrossEntropy(engine)
    call(criterion, inputs["y"], inputs["y_hat"])
    criterion.backward()
    yield "gradient of y_hat", engine.gradient_buffer.get_param(inputs["y_hat"])


def _cross_entropy(y, y_hat):
    from torch.nn.functional import cross_entropy

    return cross_entropy(y_hat, y)


def _expect_value(inputs: Arrays) -> Arrays:
    return {"loss": torch_value(_cross_entropy, inputs)}


def _expect_gradient(inputs: Arrays) -> Arrays:
    return {"gradient of y_hat": torch_gradients(_cross_entropy, inputs, ["y_hat"])["y_hat"]}


def _softmax(logits: np.ndarray, axis: int | None = 1) -> np.ndarray:
    return np.exp(logits) / np.exp(logits).sum(axis=axis, keepdims=True)


_WHOLE = (
    "the softmax was taken over the whole matrix: each row is a sample of its own, sum over axis=1 with "
    "keepdims=True"
)
_COLUMNS = "the softmax was taken down the columns, over the batch: sum over the classes, axis=1"
_SCALED = (
    "multiplied by the value of the loss: backward hands that value to the rule as grad_output, but the "
    "gradient of the loss with respect to itself is 1"
)
_NOT_DIVIDED = "; and the division by the batch size N is missing"
_SWAPPED = "y and y_hat are mixed up: the loss is called with the one-hot labels first, the logits second"


def _wrong_softmaxes(logits: np.ndarray) -> Iterable[tuple[str, np.ndarray]]:
    """Yield softmaxes along the wrong axis, also of logits from which each row's maximum was subtracted."""
    for shifted in (logits, logits - logits.max(axis=1, keepdims=True)):
        yield _WHOLE, _softmax(shifted, axis=None)
        yield _COLUMNS, _softmax(shifted, axis=0)


def _value_mistakes(inputs: Arrays) -> Iterable[tuple[str, Arrays]]:
    y, y_hat = inputs["y"], inputs["y_hat"]

    def loss(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
        return -(labels * np.log(probabilities)).sum() / _BATCH

    value = loss(y, _softmax(y_hat))
    for sentence, softmax in _wrong_softmaxes(y_hat):
        yield sentence, {"loss": loss(y, softmax)}
    yield _SWAPPED, {"loss": loss(y_hat, _softmax(y))}
    yield "the losses of the batch were added up: divide by the batch size", {"loss": value * _BATCH}
    yield "divided by the batch size twice", {"loss": value / _BATCH}
    yield "the mean runs over batch and classes: divide by the batch size only", {"loss": value / _CLASSES}
    yield "logarithm to base 2: use the natural logarithm, np.log", {"loss": value / np.log(2)}
    yield "logarithm to base 10: use the natural logarithm, np.log", {"loss": value / np.log(10)}


def _gradient_mistakes(inputs: Arrays) -> Iterable[tuple[str, Arrays]]:
    y, y_hat = inputs["y"], inputs["y_hat"]
    softmax = _softmax(y_hat)
    loss = -(y * np.log(softmax)).sum() / _BATCH
    for sentence, value in (
        *((sentence, wrong - y) for sentence, wrong in _wrong_softmaxes(y_hat)),
        ("y was not subtracted: the gradient is (softmax(y_hat) - y) / N", softmax),
        ("the softmax is missing: the gradient is (softmax(y_hat) - y) / N", y_hat - y),
        (_SWAPPED, _softmax(y) - y_hat),
        (_SCALED, (softmax - y) * loss),
    ):
        yield sentence, {"gradient of y_hat": value / _BATCH}
        yield sentence + _NOT_DIVIDED, {"gradient of y_hat": value}


_STEPS = "loss = SoftmaxCrossEntropy(engine); loss(y, y_hat)"

TESTS = (
    GradedTest(
        "SoftmaxCrossEntropy Loss (Autograd) Forward",
        1,
        _STEPS,
        _draw_batch,
        _attempt_forward,
        _expect_value,
        _value_mistakes,
    ),
    GradedTest(
        "SoftmaxCrossEntropy Loss (Autograd) Backward",
        4,
        _STEPS + "; loss.backward()",
        _draw_batch,
        _attempt_backward,
        _expect_gradient,
        _gradient_mistakes,
    ),
)
