"""The checker of gradients itself: it passes right rules of every kind, and catches wrong ones."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mytorch import GradientError, Tensor, check_gradients, custom_gradient, numerical_gradient, stop_gradient

X = np.array([0.5, -1.0, 2.0])
Z = np.array([1 + 2j, -0.5j, 3.0])
Pair = namedtuple("Pair", "a b")


def scaled(factor: float, second: float = 1.0) -> Callable[..., Any]:
    """Return x ↦ sin(x) whose derivative is wrong by a factor, and whose second derivative is by another."""

    @custom_gradient
    def cosine(x: Any) -> Any:
        return np.cos(x), lambda g: -g * np.sin(x) * second

    @custom_gradient
    def sine(x: Any) -> Any:
        return np.sin(x), lambda g: g * cosine(x) * factor

    return sine


@pytest.mark.parametrize("order", [1, 2, 3])
def test_right_rules_pass(order: int) -> None:
    check_gradients(scaled(1.0), X, order=order)
    check_gradients(lambda a, b: a @ b, np.ones((2, 3)), np.ones((3, 4)), order=order)
    check_gradients(lambda z: z * z * np.exp(z), Z, order=order)
    check_gradients(lambda z: np.abs(z) ** 2, Z, order=order)
    check_gradients(lambda x: np.exp(1j * x), X, order=order)


@pytest.mark.parametrize("factor", [1.0005, 0.9995, -1.0, 0.0, np.nan])
def test_a_rule_that_is_wrong_by_a_twentieth_of_a_percent_is_caught(factor: float) -> None:
    for x in (X, X[:1], 0.5, np.linspace(0.1, 1, 1000), 1e-3 * X, 1e3 + X):
        with pytest.raises(
            GradientError, match=r"the gradient of sine \(order 1\) with respect to argument \[0\]"
        ):
            check_gradients(scaled(factor), x)


@pytest.mark.parametrize("factor", [1.0005, 0.9995, -1.0])
def test_a_second_derivative_that_is_wrong_is_caught(factor: float) -> None:
    f = scaled(1.0, factor)
    check_gradients(f, X, order=1)
    with pytest.raises(GradientError, match=r"the gradient of the gradient of sine \(order 2\)"):
        check_gradients(f, X)


def test_one_wrong_entry_among_many_is_caught() -> None:
    @custom_gradient
    def square(x: Any) -> Any:
        return x**2, lambda g: 2 * g * x * np.where(np.arange(x.size) == 17, 1.0005, 1.0)

    with pytest.raises(GradientError, match="square"):
        check_gradients(square, np.linspace(1, 2, 100))


def test_the_wrong_argument_is_named() -> None:
    @custom_gradient
    def product(a: Any, tree: Any) -> Any:
        return a * tree["b"], lambda g: (g * tree["b"], {"b": g * a * 1.0005})

    check_gradients(lambda a: product(a, {"b": X}), X)
    with pytest.raises(
        GradientError, match=r"argument \[1\]\['b'\], along a random direction, is .* finite differences"
    ):
        check_gradients(product, X, {"b": X})


def test_a_conjugate_that_is_missing_is_caught() -> None:
    @custom_gradient
    def square(z: Any) -> Any:
        return z * z, lambda g: g * 2 * z  # PyTorch's convention wants conj(2 z)

    with pytest.raises(GradientError, match="square"):
        check_gradients(square, Z)


def test_a_gradient_that_misses_its_path_is_caught() -> None:
    with pytest.raises(GradientError):
        check_gradients(lambda x: x * stop_gradient(x), X)


def test_wrong_rules_in_single_precision_are_caught() -> None:
    x = X.astype(np.float32)
    check_gradients(scaled(1.0), x)
    check_gradients(scaled(1.0), X.astype(np.float16))
    with pytest.raises(GradientError):
        check_gradients(scaled(1.0005), x)

    def rounding(x: Any) -> Any:
        return np.sin(x.astype(np.float32))  # f itself is coarse, so are its differences

    check_gradients(rounding, X)
    with pytest.raises(GradientError):
        check_gradients(lambda x: scaled(1.1)(x.astype(np.float32)), X)


def test_a_gradient_of_another_dtype_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    from mytorch import gradcheck

    real = gradcheck.vjp

    def widening(*args: Any) -> Any:
        y, pullback = real(*args)
        return y, lambda u: tuple(g.astype(float) for g in pullback(u))

    monkeypatch.setattr(gradcheck, "vjp", widening)
    with pytest.raises(GradientError, match=r"dtype float64, expected \(3,\) and float32"):
        check_gradients(np.sin, X.astype(np.float32), order=1)


def test_values_of_all_kinds_are_checked_together() -> None:
    def f(tree: Any, n: int, labels: Any) -> Any:
        assert labels == ["a", None]
        return {"y": tree.a**n * tree.b[0], "index": np.argmax(tree.a), "z": [np.sum(tree.b[0])]}

    check_gradients(f, Pair(X, (2.0, 3)), 3, ["a", None])


def test_tensors_are_checked_by_their_values() -> None:
    check_gradients(np.multiply, Tensor(X), X)
    with pytest.raises(GradientError, match=r"of sine \(order 1\) with respect to argument \[0\]"):
        check_gradients(scaled(1.1), Tensor(X, requires_grad=True))
    np.testing.assert_allclose(numerical_gradient(np.sum, Tensor(X)), np.ones(3))


@pytest.mark.parametrize("check", [check_gradients, numerical_gradient])
def test_no_mask_is_forgotten(check: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match=r"would forget the mask of a masked array"):
        check(np.sum, np.ma.array(X, mask=[False, True, False]))


def test_numbers_of_any_size_pass() -> None:
    check_gradients(np.exp, np.array([-30.0, 0.0, 30.0]))
    check_gradients(np.square, np.array([1e-9, 1e9]))
    check_gradients(lambda x: 1e-12 * np.sin(x), X)
    check_gradients(lambda x: 1e12 * np.sin(x), X)


@pytest.mark.parametrize("args", [(), (3,), (np.empty((0, 2)),), (np.arange(3), "a")])
def test_nothing_to_check_is_an_error(args: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match=r"no argument of add is a non-empty floating-point array"):
        check_gradients(np.add, *args)


def test_orders_below_one_are_an_error() -> None:
    with pytest.raises(ValueError, match="order must be 1 or more, got 0"):
        check_gradients(np.sin, X, order=0)


# -- numerical gradients -------------------------------------------------------------------------------------------


def test_numerical_gradient() -> None:
    np.testing.assert_allclose(numerical_gradient(lambda x: np.sum(np.sin(x)), X), np.cos(X), rtol=1e-8)
    a, b = numerical_gradient(lambda a, b: np.sum(a * b["b"]), X, {"b": 2.0}, argnums=(0, 1))
    np.testing.assert_allclose(a, 2 * np.ones(3), rtol=1e-8)
    np.testing.assert_allclose(b["b"], X.sum(), rtol=1e-8)
    single = numerical_gradient(lambda x: np.sum(x**2), X.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, 2 * X, rtol=1e-3)
    assert numerical_gradient(np.sum, np.empty((0, 2))).shape == (0, 2)
    coarse = numerical_gradient(lambda x: np.sum(np.exp(x)), X, step=0.1)
    np.testing.assert_allclose(coarse, np.exp(X), rtol=0.01)
    assert np.abs(coarse - np.exp(X)).max() > 1e-4


def test_numerical_gradient_of_a_function_that_writes_into_its_arguments() -> None:
    def f(x: Any, y: Any) -> Any:
        x *= y
        y *= 2
        return np.sum(x * y)  # 2 x y²

    x, y = X.copy(), X + 1
    by_x, by_y = numerical_gradient(f, x, y, argnums=(0, 1))
    np.testing.assert_allclose(by_x, 2 * (X + 1) ** 2, rtol=1e-8)
    np.testing.assert_allclose(by_y, 4 * X * (X + 1), rtol=1e-8)
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, X + 1)


def test_numerical_gradient_of_complex_arguments_follows_torch() -> None:
    got = numerical_gradient(lambda z: np.sum(np.abs(z) ** 2) + np.sum(z.imag), Z)
    np.testing.assert_allclose(got, 2 * Z + 1j, rtol=1e-8)


@pytest.mark.parametrize(
    ("f", "x", "error", "message"),
    [
        (np.sin, X, ValueError, r"must return one real number, got shape \(3,\), dtype float64"),
        (np.sum, Z, ValueError, r"must return one real number, got shape \(\), dtype complex128"),
        (
            np.sum,
            np.arange(3),
            TypeError,
            r"must be floating-point, got array\(\[0, 1, 2\]\); cast it to float",
        ),
    ],
)
def test_numerical_gradient_says_what_is_wrong(
    f: Callable[..., Any], x: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        numerical_gradient(f, x)
