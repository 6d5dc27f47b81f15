"""What the tests are made of: the test itself, inputs, and gradients by PyTorch.

This module is imported in both processes, so PyTorch is imported where it is used: in the trusted half.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]
AFTERWARDS = " afterwards"
DIVERGENCE_EVERYWHERE = (
    "every operation was given the divergence: only the last one is, the others get the gradient that the buffer "
    "holds for their output (gradient_buffer.get_param)"
)


class ContractError(Exception):
    """The hand-in offers something other than the hand-out describes."""


def no_mistakes(inputs: Arrays) -> Iterable[tuple[str, Arrays]]:
    """Return no mistakes, where those that every test is searched for are enough."""
    return ()


@dataclass(frozen=True)
class GradedTest:
    """One line of the score table. `steps` tells a reader what the test does with its inputs.

    `attempt` is the untrusted half: a generator that runs the hand-in on the inputs and yields (label, value)
    as it goes, so that what came before an exception is known. The rest is the trusted half: `reference`
    gives the expected array of every label, and `mistakes` the arrays that a hand-in with a certain mistake
    would give, each with the sentence that explains it. `upstream` names the inputs that only the chain rule
    brings in: a rule that forgets `grad_output` computes as if they were one.
    """

    name: str
    points: int
    steps: str
    draw: Callable[[np.random.Generator], Arrays]
    attempt: Callable[[Arrays], Iterator[tuple[str, object]]]
    reference: Callable[[Arrays], Arrays]
    mistakes: Callable[[Arrays], Iterable[tuple[str, Arrays]]] = no_mistakes
    upstream: tuple[str, ...] = ("grad_output",)


def draw(rng: np.random.Generator, *shape: int, positive: bool = False) -> np.ndarray:
    """Return odd multiples of 1/16 in (-2, 2): never zero, short to print, and exact in float32 too."""
    values = (2 * rng.integers(0, 16, shape) + 1) / 16
    return values if positive else values * rng.choice([-1.0, 1.0], shape)


def draw_bias(rng: np.random.Generator, features: int) -> np.ndarray:
    """Return a bias that keeps `x @ W.T + b` off zero, where ReLU has no derivative.

    Products of `draw` are multiples of 1/256 and so are their sums; the bias is an odd multiple of 1/512.
    """
    return draw(rng, features, 1) + 1 / 512


def call(module: Any, *arrays: np.ndarray) -> Any:
    """Call a module of the hand-in, by its `forward` if it is not callable."""
    return written(type(module).__name__, module(*arrays) if callable(module) else module.forward(*arrays))


def written(name: str, result: Any) -> Any:
    """Return what `name` of the hand-in gave; the skeleton's placeholder, which it returns, is raised."""
    if result is NotImplementedError or result is NotImplemented:
        raise NotImplementedError(f"{name} returned {result}")
    return result


def make_linear(engine: Any, inputs: Arrays) -> Any:
    """Return the hand-in's Linear layer with the parameters W and b of the test in it."""
    from mytorch import nn

    out_features, in_features = inputs["W"].shape
    layer = nn.Linear(in_features, out_features, engine)
    for name in ("W", "b"):
        _fill(layer, name, inputs[name])
    return layer


def _fill(layer: Any, name: str, values: np.ndarray) -> None:
    """Write `values` into a parameter, in place: the layer may have kept views of it."""
    parameter = getattr(layer, name)
    if not isinstance(parameter, np.ndarray) or parameter.shape != values.shape:
        got = getattr(parameter, "shape", type(parameter).__name__)
        raise ContractError(f"the layer's {name} should be an array of shape {values.shape}, it is {got}")
    parameter[...] = values


# Backward rules for the operations that a test itself records: the hand-in's own are not what it is about.


def add_rule(grad_output: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradients of `a + b`, summed over the batch where `b` is a row."""
    full = grad_output * np.ones_like(a)
    return full, full.sum(axis=0, keepdims=True) if b.shape != a.shape else full


def multiply_rule(grad_output: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradients of `a * b`."""
    return grad_output * b, grad_output * a


def matmul_rule(grad_output: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradients of `a @ b`."""
    return grad_output @ b.T, a.T @ grad_output


def scale(engine: Any, a: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Record `a * factor` after the module under test.

    The gradient then reaches the module through the buffer, as it does inside a network; a gradient that is
    counted twice because two arrays share an address shows only so.
    """
    output = a * factor
    engine.add_operation([a, factor], output, [None, None], multiply_rule)
    return output


def torch_value(function: Callable, inputs: Arrays) -> np.ndarray:
    """Return the value of `function` of the inputs, taken by name, in float64 by PyTorch."""
    return function(**_tensors(inputs)).numpy()


def torch_gradients(function: Callable, inputs: Arrays, names: Iterable[str]) -> Arrays:
    """Return the float64 gradients of the inputs named, by PyTorch, for the divergence `grad_output` or 1."""
    import torch

    tensors = _tensors(inputs)
    wanted = {name: tensors[name].requires_grad_() for name in names}
    output = function(**tensors)
    divergence = tensors.get("grad_output", torch.ones_like(output))
    gradients = torch.autograd.grad(output, tuple(wanted.values()), divergence)
    return {name: gradient.numpy() for name, gradient in zip(wanted, gradients, strict=True)}


def _tensors(inputs: Arrays) -> dict[str, Any]:
    import torch

    return {name: torch.tensor(values, dtype=torch.float64) for name, values in inputs.items()}
