"""The same mathematics through every face, and through Tensor: equal numbers, whatever the names.

Values and gradients are compared with finite differences of the face's own values, with Tensor's, and with PyTorch's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from mytorch.gradcheck import numerical_gradient
from tests.face_adapters import Adapter, adapters
from tests.face_adapters import tensor as reference

RNG = np.random.default_rng(11785)


@dataclass(frozen=True)
class Case:
    """A function of leaves, in the operations of an adapter ``f``, and the arrays that the leaves hold."""

    name: str
    function: Callable[..., Any]
    arrays: tuple[np.ndarray, ...]
    needs: tuple[str, ...] = ()

    @property
    def scalar(self) -> bool:
        return all(x.ndim == 0 for x in self.arrays)


def normal(*shape: int) -> np.ndarray:
    return np.asarray(RNG.standard_normal(shape))


def positive(*shape: int) -> np.ndarray:
    return np.asarray(0.5 + RNG.random(shape))


def residual(f: Any, x: Any, w: Any) -> Any:
    for _ in range(3):
        x = x + f.relu(f.matmul(x, w))
    return f.log_softmax(x)


def diamonds(f: Any, x: Any) -> Any:
    for _ in range(30):
        x = 0.5 * (x + x)
    return x


COLUMNS = np.array([2, 0, 1, 2])

CASES = [
    Case("a + b", lambda f, a, b: f.add(a, b), (normal(3, 4), normal(3, 4))),
    Case("a - b", lambda f, a, b: f.subtract(a, b), (normal(3, 4), normal(3, 4))),
    Case("a * b", lambda f, a, b: f.multiply(a, b), (normal(3, 4), normal(3, 4))),
    Case("a / b", lambda f, a, b: f.divide(a, b), (normal(3, 4), positive(3, 4))),
    Case("-a", lambda f, a: f.negative(a), (normal(3, 4),), ("negative",)),
    Case("a numbers", lambda f, a: (2.0 * a + 1.0) * 3.0 - a / 4.0, (normal(3),)),
    Case("reflected", lambda f, a: (1.0 - a) * (2.0 / a) + (3.0 + a), (positive(3),)),
    Case("of numbers", lambda f, a, b: (a * b + a) / (b * b) - a, (normal(), positive())),
    Case("of numbers, reflected", lambda f, a: (1.0 - a) / (2.0 + a * a) + 1.0 / a, (positive(),)),
    Case("a used twice", lambda f, a: a * a + a, (normal(3, 4),)),
    Case("a - a", lambda f, a: a - a, (normal(3),)),
    Case("diamonds", diamonds, (normal(2),)),
    Case("diamonds of numbers", diamonds, (normal(),)),
    Case("rows broadcast", lambda f, a, b: a * b + b, (normal(3, 4), normal(4))),
    Case("columns broadcast", lambda f, a, b: a / b - b, (normal(3, 4), positive(3, 1))),
    Case("both broadcast", lambda f, a, b: a * b, (normal(3, 1), normal(1, 4))),
    Case("one entry", lambda f, a: a * a, (normal(1, 1),)),
    Case("a ** 3", lambda f, a: f.power(a, 3.0), (positive(4),), ("power",)),
    Case("a ** 0", lambda f, a: f.power(a, 0.0) * a, (positive(4),), ("power",)),
    Case("a ** b", lambda f, a, b: f.power(a, b), (positive(4), normal(4)), ("power",)),
    Case("a ** b of numbers", lambda f, a, b: f.power(a, b), (positive(), normal()), ("power",)),
    Case("exp", lambda f, a: f.exp(a), (normal(3, 4),), ("exp",)),
    Case("log", lambda f, a: f.log(a), (positive(3, 4),), ("log",)),
    Case("log of a number", lambda f, a: f.log(a * a) * a, (positive(),), ("log",)),
    Case("sin cos", lambda f, a, b: f.sin(a) * f.cos(b), (normal(), normal()), ("sin", "cos")),
    Case("tan", lambda f, a: f.tan(a), (normal(),), ("tan",)),
    Case("max", lambda f, a, b: f.maximum(a, b) * f.maximum(b, a * a), (normal(), normal()), ("maximum",)),
    Case("min", lambda f, a, b: f.minimum(a, b) * f.minimum(b, a * a), (normal(), normal()), ("minimum",)),
    Case("tied maximum", lambda f, a: f.maximum(a, a), (normal(),), ("maximum",)),
    Case("relu", lambda f, a: f.relu(a), (normal(3, 4),), ("relu",)),
    Case("sigmoid", lambda f, a: f.sigmoid(a), (normal(3, 4),), ("sigmoid",)),
    Case("a @ b", lambda f, a, b: f.matmul(a, b), (normal(3, 4), normal(4, 5)), ("matmul",)),
    Case("(a @ b) @ a", lambda f, a, b: f.matmul(f.matmul(a, b), a), (normal(3, 4), normal(4, 3)), ("matmul",)),
    Case("column @ row", lambda f, a, b: f.matmul(a, b), (normal(3, 1), normal(1, 4)), ("matmul",)),
    Case("sum", lambda f, a: f.sum(a), (normal(3, 4),), ("sum",)),
    Case("sum of one", lambda f, a: f.sum(a), (normal(1, 1),), ("sum",)),
    Case("sum of rows", lambda f, a: f.sum_rows(a * a), (normal(3, 4),), ("sum_rows",)),
    Case("maximum of rows", lambda f, a: f.max_rows(a), (normal(3, 4),), ("max_rows",)),
    Case("reshape", lambda f, a: f.reshape(a * a, (6, 2)), (normal(3, 4),), ("reshape",)),
    Case("transpose", lambda f, a: f.transpose(a * a), (normal(3, 4),), ("transpose",)),
    Case("transposed operand", lambda f, a: f.matmul(f.transpose(a), a), (normal(3, 4),), ("transpose", "matmul")),
    Case("broadcast_to", lambda f, a: f.broadcast_to(a, (2, 3, 4)), (normal(3, 1),), ("broadcast_to",)),
    Case("log softmax", lambda f, a: f.log_softmax(a), (5 * normal(3, 4),), ("log_softmax",)),
    Case("large logits", lambda f, a: f.log_softmax(a), (1000.0 * normal(3, 4),), ("log_softmax",)),
    Case(
        "cross-entropy",
        lambda f, a: f.negative(f.sum(f.select(f.log_softmax(a), COLUMNS))),
        (normal(4, 3),),
        ("negative", "sum", "select", "log_softmax"),
    ),
    Case(
        "perceptron",
        lambda f, x, w, v: f.log_softmax(f.matmul(f.relu(f.matmul(x, w)), v)),
        (normal(5, 4), normal(4, 6), normal(6, 3)),
        ("matmul", "relu", "log_softmax"),
    ),
    Case("residual network", residual, (normal(3, 4), 0.3 * normal(4, 4)), ("matmul", "relu", "log_softmax")),
]  # fmt: skip

ADAPTERS = adapters()
PAIRS = [
    pytest.param(face, case, id=f"{face.name}: {case.name}")
    for face in ADAPTERS
    for case in CASES
    if face.can(case.needs) and (case.scalar or not face.scalar)
]


def weights_of(shape: tuple[int, ...]) -> np.ndarray:
    """Return the weights of the entries of a result: different ones, so that no gradient can hide behind another."""
    return np.linspace(0.5, 2.0, int(np.prod(shape))).reshape(shape)


def run(face: Adapter, case: Case) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the value of a case, and the gradients of its weighted sum."""
    leaves = [face.leaf(x.copy()) for x in case.arrays]
    y = case.function(face, *leaves)
    value = np.array(face.value(y))
    gradients = face.gradients(face.total(y, weights_of(value.shape)), leaves)
    return value, [np.array(g) for g in gradients]


@pytest.mark.parametrize(("face", "case"), PAIRS)
def test_values_and_gradients_are_tensors(face: Adapter, case: Case) -> None:
    value, gradients = run(face, case)
    expected, expected_gradients = run(reference.ADAPTER, case)
    np.testing.assert_allclose(value, expected, rtol=1e-13, atol=1e-13)
    for gradient, other, x in zip(gradients, expected_gradients, case.arrays, strict=True):
        assert gradient.shape == x.shape
        np.testing.assert_allclose(gradient, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("face", "case"), PAIRS)
def test_gradients_are_the_slopes_of_values(face: Adapter, case: Case) -> None:
    def total(*arrays: np.ndarray) -> np.ndarray:
        value = face.value(case.function(face, *(face.leaf(x.copy()) for x in arrays)))
        return np.sum(value * weights_of(np.shape(value)))

    _, gradients = run(face, case)
    for i, gradient in enumerate(gradients):
        expected = numerical_gradient(total, *case.arrays, argnums=i)
        np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-7)


class TorchAdapter(Adapter):
    """PyTorch, as the reference."""

    name = "torch"

    def __init__(self, torch: ModuleType) -> None:
        self.torch = torch
        for name in (
            "exp",
            "log",
            "sin",
            "cos",
            "tan",
            "maximum",
            "minimum",
            "relu",
            "sigmoid",
            "matmul",
            "sum",
            "reshape",
        ):
            setattr(self, name, getattr(torch, name))
        self.power, self.broadcast_to = torch.pow, torch.broadcast_to

    def leaf(self, array: np.ndarray) -> Any:
        return self.torch.from_numpy(array).requires_grad_()

    def value(self, x: Any) -> np.ndarray:
        return x.detach().numpy()

    def gradients(self, y: Any, leaves: list[Any]) -> list[np.ndarray]:
        y.backward()
        return [x.grad.numpy() for x in leaves]

    def total(self, y: Any, weights: np.ndarray) -> Any:
        return (y * self.torch.from_numpy(weights)).sum()

    def sum_rows(self, x: Any) -> Any:
        return x.sum(dim=1)

    def max_rows(self, x: Any) -> Any:
        return x.amax(dim=1)

    def transpose(self, x: Any) -> Any:
        return x.transpose(-1, -2)

    def log_softmax(self, x: Any) -> Any:
        return self.torch.log_softmax(x, -1)

    def select(self, x: Any, columns: np.ndarray) -> Any:
        return x[np.arange(len(columns)), columns]


@pytest.mark.parametrize(("face", "case"), PAIRS)
def test_values_and_gradients_are_those_of_pytorch(face: Adapter, case: Case, torch: ModuleType) -> None:
    value, gradients = run(face, case)
    expected, expected_gradients = run(TorchAdapter(torch), case)
    np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-12)
    for gradient, other in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(gradient, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_case_runs_through_tensor_and_a_face(case: Case) -> None:
    faces = {pair.values[0].name for pair in PAIRS if pair.values[1] is case}  # type: ignore[union-attr]
    assert "tensor" in faces
    assert len(faces) > 1


@pytest.mark.parametrize("face", ADAPTERS, ids=repr)
def test_a_chain_may_be_long(face: Adapter) -> None:
    x = face.leaf(np.array(1.0) if face.scalar else np.array([1.0]))
    y = x
    for _ in range(100_000):
        y = y + 1e-5
    value = float(np.sum(face.value(y)))
    weights = weights_of(np.shape(face.value(y)))
    (gradient,) = face.gradients(face.total(y, weights), [x])
    assert value == pytest.approx(2.0)
    np.testing.assert_array_equal(gradient, weights)
    del y  # which must not recurse either
