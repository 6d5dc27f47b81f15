"""Transforms: closed forms, PyTorch's own transforms, nesting without confusion, trees, and errors that help."""

from __future__ import annotations

import math
import sys
from collections import OrderedDict, namedtuple
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mytorch
from mytorch import (
    TapeError,
    Tensor,
    custom_gradient,
    elementwise_grad,
    ggnvp,
    grad,
    hessian,
    hvp,
    jacobian,
    jvp,
    no_grad,
    reverse,
    stop_gradient,
    trees,
    value_and_grad,
    vjp,
)

X = np.array([0.5, -1.0, 2.0])
V = np.array([1.0, 0.5, -2.0])
Point = namedtuple("Point", "x y")


def rosenbrock(x: Any) -> Any:
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def mixing(x: Any) -> Any:
    """A function of three numbers to four that mixes all of them."""
    w = np.array([[1.0, 2.0, 0.0], [0.5, -1.0, 1.0], [0.0, 3.0, -1.0], [1.0, 1.0, 1.0]])
    return np.tanh(w @ x) * np.sum(x**2)


def close(got: Any, expected: Any, rtol: float = 1e-10) -> None:
    np.testing.assert_allclose(got, expected, rtol=rtol, atol=1e-12)


def differences(f: Callable[..., Any], x: np.ndarray, h: float = 1e-6) -> np.ndarray:
    """Return the Jacobian by central differences."""
    columns = []
    for i in np.ndindex(x.shape):
        e = np.zeros_like(x)
        e[i] = h
        columns.append((f(x + e) - f(x - e)) / (2 * h))
    return np.stack(columns, -1).reshape(np.shape(f(x)) + x.shape)


# -- gradients ----------------------------------------------------------------------------------------------


def test_gradient_of_a_scalar_function() -> None:
    got = grad(lambda x: np.sum(x**3))(X)
    assert type(got) is np.ndarray
    close(got, 3 * X**2)


def test_value_and_gradient_in_one_run() -> None:
    runs = []

    def f(x: Any) -> Any:
        runs.append(type(x))
        return np.sum(x**2)

    value, gradient = value_and_grad(f)(X)
    assert runs == [Tensor]
    assert type(value) is np.ndarray
    close(value, np.sum(X**2))
    close(gradient, 2 * X)


def test_argnums_choose_the_arguments() -> None:
    def f(a: Any, b: Any, c: Any) -> Any:
        return np.sum(a * b**2) + c

    close(grad(f, 1)(X, V, 1.0), 2 * X * V)
    close(grad(f, -1)(X, V, 1.0), 1.0)
    a, c = grad(f, (0, 2))(X, V, 1.0)
    close(a, V**2)
    close(c, 1.0)
    (b,) = grad(f, (1,))(X, V, 1.0)
    close(b, 2 * X * V)


def test_arguments_that_are_not_chosen_are_passed_on() -> None:
    def f(x: Any, n: int, *, label: str) -> Any:
        assert (n, label) == (3, "a")
        return np.sum(x**n)

    close(grad(f)(X, 3, label="a"), 3 * X**2)


def test_auxiliary_data_is_differentiated_outside_also_where_the_result_is_not() -> None:
    def f(x: Any) -> Callable[..., Any]:
        return lambda y: (np.sum(y**2), x**3)

    ways: list[Callable[[Any], Any]] = [
        lambda x: grad(f(x), has_aux=True)(V)[1],
        lambda x: value_and_grad(f(x), has_aux=True)(V)[0][1],
        lambda x: vjp(f(x), V, has_aux=True)[2],
        lambda x: jvp(f(x), (V,), (V,), has_aux=True)[2],
        lambda x: jacobian(f(x), has_aux=True)(V)[1],
        lambda x: hessian(f(x), has_aux=True)(V)[1],
    ]
    for way in ways:
        close(grad(lambda x, way=way: way(x) + x)(2.0), 13.0)
        close(grad(grad(way))(2.0), 12.0)
        assert type(way(2.0)) is float
    gradient, aux = grad(f(Tensor(2.0, requires_grad=True)), has_aux=True)(V)
    assert type(gradient) is np.ndarray
    assert aux.requires_grad


def test_auxiliary_data_comes_out_plain() -> None:
    def f(x: Any) -> Any:
        y = np.tanh(x)
        return np.sum(y), {"y": y, "name": "tanh"}

    gradient, aux = grad(f, has_aux=True)(X)
    close(gradient, 1 - np.tanh(X) ** 2)
    assert type(aux["y"]) is np.ndarray
    assert aux["name"] == "tanh"
    (value, aux), _ = value_and_grad(f, has_aux=True)(X)
    close(value, np.tanh(X).sum())
    _, pullback, aux = vjp(f, X, has_aux=True)
    close(pullback(1.0)[0], gradient)
    _, tangent, aux = jvp(f, (X,), (V,), has_aux=True)
    close(tangent, gradient @ V)
    matrix, aux = jacobian(f, has_aux=True)(X)
    close(matrix, gradient)
    matrix, aux = hessian(f, has_aux=True)(X)
    close(matrix, np.diag(-2 * np.tanh(X) * (1 - np.tanh(X) ** 2)))
    assert aux["name"] == "tanh"
    assert type(aux["y"]) is np.ndarray


def test_elementwise_derivative_of_any_order() -> None:
    derivative = np.sin
    for expected in (np.cos, lambda x: -np.sin(x), lambda x: -np.cos(x), np.sin):
        derivative = elementwise_grad(derivative)  # type: ignore[assignment]
        close(derivative(X), expected(X))


def test_single_precision_stays_single() -> None:
    x = X.astype(np.float32)
    assert grad(rosenbrock)(x).dtype == np.float32
    assert jacobian(mixing)(x).dtype == np.float32  # although mixing's own matrix is double
    assert jacobian(lambda x: np.ones((9, 3)) @ x)(x).dtype == np.float32
    assert hessian(rosenbrock)(x).dtype == np.float32
    assert hvp(rosenbrock)(x, V).dtype == np.float32
    y, tangent = jvp(np.tanh, (x,), (V,))
    assert (y.dtype, tangent.dtype) == (np.float32, np.float32)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.longdouble])
def test_derivatives_have_the_dtype_of_their_argument(dtype: Any) -> None:
    x, unused = np.array([0.5, 2.0], dtype), np.ones(3, dtype)

    def square(x: Any, unused: Any) -> Any:
        return x * x

    _, tangent = jvp(square, (x, unused), (x, unused))
    _, pullback = vjp(square, x, unused)
    found = [tangent, *pullback(x), *jacobian(square, (0, 1))(x, unused)]
    found += grad(lambda x, unused: np.sum(x * x), (0, 1))(x, unused)
    found += [*jvp(grad(lambda x: np.sum(x**3)), (x,), (x,)), grad(lambda x: np.sum(grad(np.sum)(x) * x))(x)]
    found += [jacobian(jacobian(np.sin))(x), vjp(lambda x: grad(np.sum)(x * x), x)[1](x)[0]]
    assert {array.dtype for array in found} == {np.dtype(dtype)}


def test_functions_that_write_into_their_own_arrays() -> None:
    def f(x: Any) -> Any:
        state = np.zeros_like(x)
        state[0] = x[0]
        for i in range(1, len(x)):
            state[i] = np.sin(state[i - 1]) * x[i]
        return state[-1]

    close(grad(f)(X), differences(lambda x: np.sin(np.sin(x[0]) * x[1]) * x[2], X), rtol=1e-6)
    close(hessian(f)(X), differences(grad(f), X), rtol=1e-6)
    close(jvp(f, (X,), (V,))[1], grad(f)(X) @ V)


def test_arguments_stay_as_they_are_and_are_writable_again() -> None:
    x, c = X.copy(), V.copy()
    grad(lambda x: np.sum(x * c))(x)
    close(x, X)
    x[0] = c[0] = 7.0
    assert (x[0], c[0]) == (7.0, 7.0)


def test_results_are_the_callers_own() -> None:
    y, pullback = vjp(np.exp, X)
    first = pullback(V)[0]
    y[:] = 0
    kept = first.copy()
    first[:] = 0
    close(pullback(V)[0], kept)
    value, _ = value_and_grad(lambda x: x[0])(X)
    value[...] = 9.0
    assert X[0] == 0.5
    _, pullback, aux = vjp(lambda x: (np.sum(y := np.exp(x)), {"x": x, "y": y}), X, has_aux=True)
    aux["x"][:] = aux["y"][:] = 0
    close(pullback(1.0)[0], np.exp(X))


def test_results_that_are_tensors_of_the_users_are_copied() -> None:
    c, w = Tensor(V), Tensor(X, requires_grad=True)
    loss = np.sum(w * c)

    def f(x: Any) -> Any:
        return x[0] * 1.0, c

    (_, aux), _ = value_and_grad(f, has_aux=True)(X)
    y, tangent = jvp(lambda x: {"x": x[0], "c": c}, (X,), (X,))
    for array in (aux, y["c"], tangent["c"]):
        array *= 0
    loss.backward()
    close(w.grad.numpy(), V)


def test_results_that_are_the_argument_itself() -> None:
    close(grad(lambda x: x)(3.0), 1.0)
    close(jacobian(lambda x: x.T)(np.ones((2, 1))).reshape(2, 2), np.eye(2))
    y, pullback = vjp(lambda x: (x, x[1:], x), X)
    y[0][0] = 9.0
    close(pullback((V, V[1:], V))[0], 2 * V + np.append(0.0, V[1:]))
    close(hvp(lambda x: x[0])(X, V), np.zeros(3))


def test_parts_of_an_array_cost_one_array_in_higher_orders() -> None:
    """Reading n entries one by one records few operations for their gradients: not an array for every entry."""
    n = 50

    def f(x: Any) -> Any:
        total = 0.0
        for i in range(n):
            total = total + np.sin(x[i]) * x[i]
        return total

    x = np.linspace(0, 1, n)
    close(hvp(f)(x, x), (2 * np.cos(x) - x * np.sin(x)) * x)
    tensor = Tensor(x, requires_grad=True)
    y = f(tensor)
    (gradient,) = reverse.gradients([y], [tensor], [1.0], create_graph=True)
    names = [operation.name for operation in gradient.tape.history()]
    assert names.count("assemble") == 1
    assert "scatter" not in names


def test_no_grad_outside_does_not_matter() -> None:
    with no_grad():
        close(grad(lambda x: np.sum(x**2))(X), 2 * X)
        close(hvp(rosenbrock)(X, V), hessian(rosenbrock)(X) @ V)
        assert jvp(np.sin, (0.0,), (1.0,))[1] == 1.0


def test_under_no_grad_derivatives_are_constants() -> None:
    w = Tensor(X, requires_grad=True)
    _, pullback = vjp(lambda x: x**2 * w, X)
    with no_grad():
        found = [
            pullback(V)[0],
            vjp(np.square, X)[1](w)[0],
            jvp(np.square, (X,), (w,))[1],
            hvp(lambda x: np.sum(x**3))(X, w),
            ggnvp(np.square)(X, w),
        ]
    for got, expected in zip(found, [2 * X * X * V, 2 * X * X, 2 * X * X, 6 * X * X, 4 * X**3], strict=True):
        assert type(got) is np.ndarray
        close(got, expected)

    def f(x: Any) -> Any:
        _, pullback = vjp(lambda y: y**3, x)
        with no_grad():
            slope = pullback(V)[0]
        return np.sum(slope * x)

    close(grad(f)(X), 3 * X * X * V)


def test_nothing_is_kept_alive() -> None:
    import gc
    import weakref

    marks: list[Any] = []

    def f(x: Any) -> Any:
        marks.extend([weakref.ref(x), weakref.ref(x.tape)])
        return np.sum(np.tanh(x) ** 2) + np.sum(product(x, x))

    @custom_gradient
    def product(x: Any, y: Any) -> Any:
        return x * y, lambda g: (g * y, g * x)

    gc.collect()
    gc.disable()
    try:
        grad(f)(X)
        hessian(f)(X)
        jvp(f, (X,), (V,))
        jvp(
            lambda y: vjp(lambda x: f(x) + product(x, y), X)[1](V)[0], (V,), (V,)
        )  # half of what its pullback gives
        assert [mark() for mark in marks] == [None] * len(marks)
    finally:
        gc.enable()


# -- linear maps ------------------------------------------------------------------------------------------------


def test_pullback_of_several_arguments_may_be_used_again() -> None:
    a, b = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)
    y, pullback = vjp(np.matmul, a, b)
    close(y, a @ b)
    for g in (np.ones((2, 4)), np.arange(8.0).reshape(2, 4)):
        da, db = pullback(g)
        close(da, g @ b.T)
        close(db, a.T @ g)


def test_threads_may_share_a_pullback() -> None:
    x = np.linspace(0.1, 1, 1000)

    def f(x: Any) -> Any:
        y = x.copy()
        for _ in range(10):
            y[:] = np.sin(y * y) * y + x  # values that a pass shows again
        return y

    _, pullback = vjp(f, x)
    cotangents = np.random.default_rng(0).standard_normal((20, x.size))
    expected = [pullback(u)[0] for u in cotangents]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            found = list(threads.map(lambda u: pullback(u)[0], cotangents))
    finally:
        sys.setswitchinterval(interval)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(pullback(cotangents[0])[0], expected[0])


def test_forward_derivative() -> None:
    y, tangent = jvp(mixing, (X,), (V,))
    close(y, mixing(X))
    close(tangent, differences(mixing, X) @ V, rtol=1e-7)
    assert type(tangent) is np.ndarray


def test_forward_derivative_by_several_arguments() -> None:
    _, tangent = jvp(lambda a, b: a * b, (X, V), (V, X))
    close(tangent, V**2 + X**2)


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 4))
def test_forward_and_reverse_map_are_adjoint(seed: int, n: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    w, x, v, u = rng.normal(size=(m, n)), rng.normal(size=n), rng.normal(size=n), rng.normal(size=m)

    def f(x: Any) -> Any:
        return np.sin(w @ x) / (1 + x[0] ** 2) + x[-1]

    _, pushed = jvp(f, (x,), (v,))
    _, pullback = vjp(f, x)
    close(u @ pushed, pullback(u)[0] @ v, rtol=1e-9)


def test_integer_results_have_no_derivative() -> None:
    y, tangent = jvp(lambda x: (np.argmax(x), np.sum(x)), (X,), (V,))
    assert y[0] == 2
    assert tangent[0] == 0.0
    close(tangent[1], V.sum())
    _, pullback = vjp(lambda x: (np.argmax(x), np.sum(x)), X)
    close(pullback((0, 2.0))[0], 2 * np.ones(3))


# -- matrices -----------------------------------------------------------------------------------------------------


def count_passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the reverse passes from now on."""
    passes: list[int] = []
    sweep = reverse.sweep

    def counted(*args: Any, **kwargs: Any) -> None:
        passes.append(1)
        sweep(*args, **kwargs)

    monkeypatch.setattr(reverse, "sweep", counted)
    return passes


@pytest.mark.parametrize(("n", "m", "expected"), [(2, 40, 3), (40, 2, 2), (5, 5, 5)])
def test_jacobian_takes_rows_or_columns_whichever_are_fewer(
    n: int, m: int, expected: int, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    w, x = rng.normal(size=(m, n)), rng.normal(size=n)
    passes = count_passes(monkeypatch)
    got = jacobian(lambda x: np.tanh(w @ x))(x)
    close(got, (1 - np.tanh(w @ x) ** 2)[:, None] * w)
    assert len(passes) == expected


def test_jacobian_has_the_shapes_of_result_and_argument() -> None:
    x = np.arange(6.0).reshape(2, 3)
    got = jacobian(lambda x: x.T @ x)(x)
    assert got.shape == (3, 3, 2, 3)
    close(got, differences(lambda x: x.T @ x, x), rtol=1e-7)
    assert jacobian(lambda x: x[0] * 2)(np.array([1.0])).shape == (1,)
    assert jacobian(lambda x: x[:0])(X).shape == (0, 3)
    assert jacobian(lambda x: np.sum(x) * np.ones(2))(np.empty((0, 3))).shape == (2, 0, 3)


def test_jacobian_by_several_arguments() -> None:
    a, b = jacobian(lambda a, b: np.outer(a, b), (0, 1))(X, V)
    close(a, np.einsum("ik,j->ijk", np.eye(3), V))
    close(b, np.einsum("i,jk->ijk", X, np.eye(3)))


def test_hessian_of_rosenbrock() -> None:
    n = X.size
    diagonal = np.zeros(n)
    diagonal[:-1] += 1200 * X[:-1] ** 2 - 400 * X[1:] + 2
    diagonal[1:] += 200
    expected = np.diag(diagonal) + np.diag(-400 * X[:-1], 1) + np.diag(-400 * X[:-1], -1)
    close(hessian(rosenbrock)(X), expected)
    close(jacobian(grad(rosenbrock))(X), expected)
    close(hvp(rosenbrock)(X, V), expected @ V)
    close(jvp(grad(rosenbrock), (X,), (V,))[1], expected @ V)
    close(grad(lambda x: grad(rosenbrock)(x) @ V)(X), expected @ V)
    close(grad(lambda x: jvp(rosenbrock, (x,), (V,))[1])(X), expected @ V)


@pytest.mark.parametrize("product", [np.matmul, np.dot], ids=["matmul", "dot"])
@pytest.mark.parametrize("columns", [1, 3])
def test_hessian_of_products_with_constant_arrays(product: Any, columns: int) -> None:
    """On either side: the constant is a plain array, and its product with a gradient is differentiated again."""
    rng = np.random.default_rng(0)
    a, x = rng.normal(size=(4, 2)), rng.normal(size=(2, columns))
    for f in (lambda x: np.sum(product(a, x) ** 3), lambda x: np.sum(product(x.T, a.T) ** 3)):
        expected = np.einsum("ki,kl,kj,lm->iljm", a, 6 * (a @ x), a, np.eye(columns))
        np.testing.assert_allclose(hessian(f)(x), expected, rtol=1e-12, atol=1e-12)


def test_hessian_by_several_arguments() -> None:
    def f(a: Any, b: Any) -> Any:
        return a @ a * (b @ b)

    (aa, ab), (ba, bb) = hessian(f, (0, 1))(X, V)
    close(aa, 2 * np.eye(3) * (V @ V))
    close(ab, 4 * np.outer(X, V))
    close(ba, ab.T)
    close(bb, 2 * np.eye(3) * (X @ X))
    ha, hb = hvp(f, (0, 1))(X, V, (V, X))
    close(ha, aa @ V + ab @ X)
    close(hb, ba @ V + bb @ X)


def test_gauss_newton_product() -> None:
    matrix = jacobian(mixing)(X)
    close(ggnvp(mixing)(X, V), matrix.T @ matrix @ V)

    def loss(y: Any) -> Any:
        return np.sum(np.exp(y))

    close(ggnvp(mixing, loss)(X, V), matrix.T @ np.diag(np.exp(mixing(X))) @ matrix @ V)
    a, b = ggnvp(lambda a, b: {"y": a * b}, argnums=(0, 1))(X, V, (V, X))
    close(a, V * (V * V + X * X))
    close(b, X * (V * V + X * X))
    wave = np.exp(1j * X)
    close(ggnvp(lambda a: a * np.exp(1j * X))(X, V), V)
    close(ggnvp(lambda z: z**2)(wave, V * wave), 4 * V * wave)
    for g, message in (
        (np.sin, r"g of ggnvp: the function must return one number, got an array of shape \(4,\)"),
        (lambda y: np.sum(1j * y), r"g of ggnvp: the function's result is complex"),
    ):
        with pytest.raises((TypeError, ValueError), match=message):
            ggnvp(mixing, g)(X, V)
    with pytest.raises(
        TypeError, match=r"g of ggnvp: argument 0\['n'\] is of dtype int64, .*; cast it to float"
    ):
        ggnvp(lambda x: {"y": x, "n": np.argsort(x)})(X, V)


def test_against_torch_transforms(torch: ModuleType) -> None:
    from torch.func import jacrev

    def f(x: Any, np: Any) -> Any:
        return np.exp(np.sin(x[0] * x[1])) / (1 + x[2] ** 2) + np.sqrt(x[0] ** 2 + x[2] ** 2) ** 3

    def in_torch(x: Any) -> Any:
        return f(x, torch)

    t = torch.tensor(X)
    close(hessian(lambda x: f(x, np))(X), jacrev(jacrev(in_torch))(t).numpy())
    close(
        jacobian(hessian(lambda x: f(x, np)))(X),
        jacrev(jacrev(jacrev(in_torch)))(t).numpy(),
    )


# -- nesting ---------------------------------------------------------------------------------------------------------


def test_gradients_of_gradients() -> None:
    f = np.tanh
    for _ in range(5):
        f = grad(f)  # type: ignore[assignment]
    t = math.tanh(0.3)
    s = 1 - t * t
    expected = 16 * s**3 - 88 * s**2 * t**2 + 16 * s * t**4  # the fifth derivative of tanh
    close(f(0.3), expected)


def test_siskind_and_pearlmutter() -> None:
    # d/dx (x * d/dy (x + y)) = 1 at x = y = 1; confusing the two perturbations gives 2 ("Perturbation confusion
    # and referential transparency", 2005).
    close(grad(lambda x: x * grad(lambda y: x + y)(1.0))(1.0), 1.0)
    close(jvp(lambda x: x * jvp(lambda y: x + y, (1.0,), (1.0,))[1], (1.0,), (1.0,))[1], 1.0)
    close(grad(lambda x: x * jvp(lambda y: x + y, (1.0,), (1.0,))[1])(1.0), 1.0)
    close(jvp(lambda x: x * grad(lambda y: x + y)(1.0), (1.0,), (1.0,))[1], 1.0)


def test_outer_variables_are_constants_of_the_inner_transform() -> None:
    close(grad(lambda x: grad(lambda y: x * y * y)(3.0) * x)(2.0), 2 * 2.0 * 2 * 3.0)
    close(grad(lambda x: grad(lambda y: x * x * y)(x))(2.0), 4.0)
    close(grad(lambda x: grad(lambda y: x * y * y)(x))(2.0), 8.0)  # d/dx of 2 x x
    close(jacobian(lambda x: hessian(lambda y: np.sum(x * y**3))(x))(X)[0, 0, 0], 12 * X[0])


def test_a_function_that_is_differentiated_twice_at_once() -> None:
    # Manzyuk et al., "Perturbation confusion in forward automatic differentiation of higher-order functions", 2019:
    # the derivative of the shift operator by its offset, applied to itself.
    def shift(offset: Any) -> Callable[..., Any]:
        return lambda f: lambda x: f(x + offset)

    def derivative(f: Callable[..., Any]) -> Callable[..., Any]:
        return lambda x: grad(lambda offset: shift(offset)(f)(x))(0.0)

    close(derivative(derivative(np.exp))(1.0), math.e)
    close(derivative(derivative(np.sin))(1.0), -math.sin(1.0))


def test_transforms_within_a_program_of_tensors() -> None:
    w = Tensor(X, requires_grad=True)
    inner = grad(lambda x: np.sum(w * x**2))(V)  # 2 w v, a Tensor since it depends on w
    assert isinstance(inner, Tensor)
    np.sum(inner**2).backward()
    close(w.grad, 8 * X * V**2)
    with no_grad():
        assert type(grad(lambda x: np.sum(w * x**2))(V)) is np.ndarray


def test_learning_to_learn() -> None:
    """The derivative of a result of gradient descent by its step size, through every step."""

    def trained(rate: Any) -> Any:
        x = X
        for _ in range(10):
            x = x - rate * grad(lambda x: np.sum(x**4) / 4)(x)
        return np.sum(x**2)

    close(grad(trained)(0.05), differences(trained, np.array(0.05), 1e-5), rtol=1e-6)


def test_empty_parts_of_what_is_differentiated_outside() -> None:
    transforms: list[Callable[[Any], Any]] = [
        lambda x: grad(lambda y: np.sum(y**2))(x[:0]),
        lambda x: jacobian(lambda y: y * x[0])(x[:0]),
        lambda x: hessian(lambda y, z: np.sum(y) * np.sum(z), (0, 1))(x[3:], x)[1][1],
        lambda x: vjp(np.square, x[:0])[1](x[3:])[0],
        lambda x: jvp(np.square, (x[:0],), (x[3:],))[1],
    ]
    for transform in transforms:
        close(grad(lambda x, transform=transform: np.sum(transform(x)) + np.sum(x**2))(X), 2 * X)
    assert hessian(lambda x: np.sum(custom_gradient(lambda y: (y, lambda g: g))(x)))(X[:0]).shape == (0, 0)


def test_nested_matrices() -> None:
    close(
        jacobian(lambda x: jacobian(mixing)(x))(X), differences(lambda x: jacobian(mixing)(x), X), rtol=1e-6
    )
    wide = np.ones((12, 2))
    tall = jacobian(lambda x: jacobian(lambda z: np.sin(wide @ z))(x))(np.array([0.1, 0.2]))
    close(tall, -np.sin(0.3) * np.ones((12, 2, 2)))
    close(
        jacobian(lambda v: hvp(rosenbrock)(X, v))(V),
        hessian(rosenbrock)(X),
    )
    close(
        grad(lambda x: np.sum(ggnvp(mixing)(x, V)))(X),
        differences(lambda x: np.sum(ggnvp(mixing)(x, V)), X),
        rtol=1e-6,
    )


def test_gradient_through_a_pullback_and_its_cotangent() -> None:
    def f(x: Any, u: Any) -> Any:
        _, pullback = vjp(np.sin, x)
        return np.sum(pullback(u)[0] ** 2)

    dx, du = grad(f, (0, 1))(X, V)
    close(dx, -2 * np.cos(X) * np.sin(X) * V**2)
    close(du, 2 * np.cos(X) ** 2 * V)


@pytest.mark.parametrize("apply", ["pullback", "backward"])
def test_cotangents_in_memory_that_was_written_since(apply: str) -> None:
    """The pass shows the memory as it was before the write, and the cotangent as it is."""

    def f(x: Any) -> Any:
        c = np.sin(x)
        leaf = Tensor(V, requires_grad=True)
        y, pullback = vjp(lambda q: q**2 * c, leaf)
        c *= x
        if apply == "pullback":
            return np.sum(pullback(c)[0])
        y.backward(c, create_graph=True)
        return np.sum(leaf.grad)

    def slope(x: Any) -> Any:
        return 2 * V * (2 * np.sin(x) * np.cos(x) * x + np.sin(x) ** 2)

    close(value_and_grad(f)(X)[0], np.sum(2 * V * np.sin(X) ** 2 * X))
    close(grad(f)(X), slope(X))
    close(jvp(grad(f), (X,), (V,))[1], differences(slope, X) @ V, rtol=1e-6)


@pytest.mark.parametrize("ruled", [False, True])
def test_a_pass_within_a_pass_over_the_same_memory(ruled: bool) -> None:
    """Of which the outer one shows values that were overwritten since, which the inner one must show by itself."""

    def f(x: Any) -> Any:
        c = x * 1.0
        _, pullback = vjp(lambda q: q * q * c, x)
        z = x * 1.0
        if ruled:
            z = custom_gradient(lambda a: (a, lambda g: pullback(g)[0]))(z)
        else:
            z.register_hook(lambda g: pullback(g)[0])
        y = z * c
        c *= 3
        return np.sum(y * x)

    for _ in range(2):
        close(grad(f)(X), 2 * X**2 + 2 * X**4)
    leaf = Tensor(X, requires_grad=True)
    f(leaf).backward()
    close(leaf.grad.numpy(), 2 * X**2 + 2 * X**4)
    close(elementwise_grad(grad(f))(X), 2 * X + 12 * X**3)  # by z, too, it is what the pullback makes of it


# -- trees -----------------------------------------------------------------------------------------------------------


def test_gradients_have_the_structure_of_their_argument() -> None:
    tree = {
        "w": [X, (V, 2.0)],
        "p": Point(1.0, np.ones((2, 2))),
        "none": None,
        "o": OrderedDict(b=3.0, a=4.0),
    }

    def f(t: Any) -> Any:
        assert t["none"] is None
        total = np.sum(t["w"][0] * t["w"][1][0]) * t["w"][1][1]
        return total + t["p"].x ** 2 + np.sum(t["p"].y ** 2) + t["o"]["b"] * t["o"]["a"]

    got = grad(f)(tree)
    close(got["w"][0], 2 * V)
    close(got["w"][1][0], 2 * X)
    close(got["w"][1][1], X @ V)
    assert isinstance(got["p"], Point)
    close(got["p"].y, 2 * np.ones((2, 2)))
    assert got["none"] is None
    assert list(got["o"]) == ["b", "a"]
    close(got["o"]["a"], 3.0)


def test_trees_as_results() -> None:
    def f(t: Any) -> Any:
        return {"sum": t[0] + t[1], "both": (t[0] * t[1], Point(t[0], t[1] ** 2))}

    y, pullback = vjp(f, [X, V])
    close(y["both"][1].y, V**2)
    ((a, b),) = pullback({"both": (np.ones(3), Point(X, V)), "sum": np.zeros(3)})  # in any order of keys
    close(a, V + X)
    close(b, X + 2 * V * V)
    _, tangent = jvp(f, ([X, V],), ([V, X],))
    close(tangent["both"][0], V * V + X * X)
    matrix = jacobian(f)([X, V])
    close(matrix["both"][1].y[1], np.diag(2 * V))
    close(matrix["sum"][0], np.eye(3))
    curvature = hvp(lambda t: np.sum(t["a"] * t["b"]))({"a": X, "b": V}, {"a": V, "b": X})
    close(curvature["a"], X)
    close(curvature["b"], V)


def test_trees_taken_apart_and_put_together() -> None:
    tree = {"b": [1, (2, None)], "a": Point(3, [])}
    leaves, structure = trees.flatten(tree)
    assert leaves == [1, 2, 3]
    assert structure.unflatten(leaves) == tree
    assert structure.paths("t") == ["t['b'][0]", "t['b'][1][0]", "t['a'].x"]
    assert structure == trees.flatten({"b": [7, (8, None)], "a": Point(9, [])})[1]
    assert hash(structure) == hash(trees.flatten(tree)[1])
    assert structure != trees.flatten({"b": [7, [8, None]], "a": Point(9, [])})[1]
    assert repr(structure) == "{'b': [*, (*, None)], 'a': Point(x=*, y=[])}"
    with pytest.raises(ValueError, match=r"has 3 leaves, got 2"):
        structure.unflatten([1, 2])


# -- complex ---------------------------------------------------------------------------------------------------------

Z = np.array([1 + 2j, -0.5j, 3.0])


def test_gradient_of_a_real_function_of_complex_arguments(torch: ModuleType) -> None:
    def f(z: Any) -> Any:
        return np.sum(np.abs(z) ** 2) + np.sum((z**3).imag)

    got = grad(f)(Z)
    close(got, 2 * Z + np.conj(3 * Z**2 * -1j))
    t = torch.tensor(Z, requires_grad=True)
    (torch.sum(t.abs() ** 2) + torch.sum((t**3).imag)).backward()
    close(got, t.grad.numpy())


def test_complex_derivative_of_a_holomorphic_function() -> None:
    z = 0.3 + 0.4j
    close(grad(np.exp, holomorphic=True)(z), np.exp(z))
    close(elementwise_grad(np.sin, holomorphic=True)(Z), np.cos(Z))
    close(grad(grad(lambda z: z**3, holomorphic=True), holomorphic=True)(z), 6 * z)
    w = np.array([[1j, 2, 0], [1, 1 + 1j, 3]])
    expected = np.exp(w @ Z)[:, None] * w
    close(jacobian(lambda z: np.exp(w @ z), holomorphic=True)(Z), expected)
    tall = np.concatenate([w] * 6)
    close(jacobian(lambda z: np.exp(tall @ z), holomorphic=True)(Z), np.concatenate([expected] * 6))
    close(hessian(lambda z: np.sum(z**3), holomorphic=True)(Z), np.diag(6 * Z))


def test_complex_results_of_real_arguments() -> None:
    close(jacobian(lambda x: np.exp(1j * x))(X), np.diag(1j * np.exp(1j * X)))
    _, tangent = jvp(lambda x: np.exp(1j * x), (X,), (V,))
    close(tangent, 1j * np.exp(1j * X) * V)
    close(jacobian(lambda z: np.abs(z) ** 2)(Z), np.diag(2 * Z))
    close(grad(lambda x: np.sum(np.abs(np.exp(1j * x) + 1)))(X), -np.sin(X) / np.abs(np.exp(1j * X) + 1))


def test_complex_curvature() -> None:
    def f(z: Any) -> Any:
        return np.sum(np.abs(z) ** 4)

    v = np.array([1j, 2.0, -1 + 1j])
    h = 1e-6
    close(hvp(f)(Z, v), (grad(f)(Z + h * v) - grad(f)(Z - h * v)) / (2 * h), rtol=1e-6)


# -- rules of the user's own -----------------------------------------------------------------------------------------


def test_a_rule_of_ones_own() -> None:
    calls = []

    @custom_gradient
    def clipped(x: Any) -> Any:
        """Say something."""

        def pullback(g: Any) -> Any:
            calls.append(type(g))
            return np.clip(g, -1, 1)

        return x, pullback

    assert clipped.__name__ == "clipped"
    assert clipped.__doc__ == "Say something."
    close(clipped(X), X)
    close(grad(lambda x: np.sum(clipped(x) ** 2))(X), np.clip(2 * X, -1, 1))
    assert calls == [np.ndarray]


def test_a_rule_of_ones_own_is_differentiated_again() -> None:
    @custom_gradient
    def cube(x: Any) -> Any:
        return x**3, lambda g: g * 3 * x**2

    close(grad(grad(cube))(2.0), 12.0)
    close(grad(grad(grad(cube)))(2.0), 6.0)
    close(hessian(lambda x: np.sum(cube(x)))(X), np.diag(6 * X))
    close(jvp(cube, (X,), (V,))[1], 3 * X**2 * V)
    close(jacobian(lambda x: cube(np.ones((9, 3)) @ x))(X), 3 * X.sum() ** 2 * np.ones((9, 3)))


def test_a_rule_for_what_numpy_cannot_express() -> None:
    @custom_gradient
    def root(x: Any) -> Any:
        y = np.array([math.sqrt(v) for v in stop_gradient(x)])
        return y, lambda g: g / (2 * root(x))

    x = np.array([4.0, 9.0])
    close(grad(lambda x: np.sum(root(x)))(x), 0.5 / np.sqrt(x))
    close(hessian(lambda x: np.sum(root(x)))(x), np.diag(-0.25 * x**-1.5))

    @custom_gradient
    def blunt(x: Any) -> Any:
        y = np.array([math.sqrt(v) for v in np.asarray(x)])
        return y, lambda g: g / (2 * y)

    close(grad(lambda x: np.sum(blunt(x)))(x), 0.5 / np.sqrt(x))
    close(jvp(blunt, (x,), (x,))[1], 0.5 * np.sqrt(x))
    with pytest.raises(TapeError, match=r"derivatives of the derivative of blunt .* stop_gradient"):
        hessian(lambda x: np.sum(blunt(x)))(x)


def test_a_pullback_that_loses_its_cotangent() -> None:
    def halved(g: Any) -> Any:
        return np.array([float(entry) / 2 for entry in g])

    @custom_gradient
    def half(x: Any) -> Any:
        return x / 2, halved

    close(jacobian(half)(X), np.eye(3) / 2)
    calls: list[Callable[[], Any]] = [
        lambda: jvp(half, (X,), (V,)),
        lambda: ggnvp(half)(X, V),
        lambda: jacobian(lambda x: np.tile(half(x), 9))(X),
        lambda: hessian(lambda x: np.sum(half(x) ** 2))(X),
    ]
    for call in calls:
        with pytest.warns(UserWarning, match=r"half returned a gradient that it did not compute") as caught:
            call()
        assert caught[0].filename == __file__

    @custom_gradient
    def foreign(x: Any) -> Any:
        return x / 2, lambda g: np.asarray(g) / 2

    for call in (lambda: jvp(foreign, (X,), (V,)), lambda: hessian(lambda x: np.sum(foreign(x) ** 2))(X)):
        with pytest.raises(
            TapeError, match=r"foreign and its pullback on Tensors, .*the cotangent to a function"
        ):
            call()

    @custom_gradient
    def outside(x: Any) -> Any:
        return np.array([entry / 2 for entry in np.asarray(stop_gradient(x))]), outside

    close(jvp(outside, (X,), (V,))[1], V / 2)
    close(hessian(lambda x: np.sum(outside(x) ** 2))(X), np.eye(3) / 2)


def test_a_rule_of_several_arguments_and_results() -> None:
    pulled = []

    @custom_gradient
    def f(a: Any, tree: Any, n: int) -> Any:
        def pullback(g: Any) -> Any:
            pulled.append(1)
            gs, (gp, _) = g["s"], g["p"]
            return gs + gp * tree["b"], {"b": gs + gp * a, "c": None}, None

        return {"s": a + tree["b"], "p": (a * tree["b"], n)}, pullback

    def loss(a: Any, b: Any) -> Any:
        y = f(a, {"b": b, "c": 1.0}, 3)
        assert y["p"][1] == 3
        return np.sum(y["s"]) + np.sum(y["p"][0] ** 2)

    a, b = grad(loss, (0, 1))(X, V)
    close(a, 1 + 2 * X * V * V)
    close(b, 1 + 2 * X * X * V)
    assert pulled == [1]
    close(hessian(loss)(X, V), np.diag(2 * V * V))


def test_a_rule_may_write_into_its_arguments_and_its_cotangent() -> None:
    @custom_gradient
    def square(x: Any) -> Any:
        doubled = 2 * x
        x *= x

        def pullback(g: Any) -> Any:
            g *= doubled
            return g

        return x, pullback

    def f(x: Any, y: Any) -> Any:  # every sum hands one array to both of its operands
        return x**3 + (y + square(x)) + (square(y) + x)

    x, y = X.copy(), V.copy()
    for rows in (f, lambda x, y: np.tile(f(x, y), 5)[-3:], lambda x, y: np.tile(f(x, y), 5)):
        by_x, by_y = jacobian(rows, (0, 1))(x, y)
        close(by_x[-3:], np.diag(3 * X**2 + 2 * X + 1))
        close(by_y[-3:], np.diag(2 * V + 1))
    close(hessian(lambda x: np.sum(f(x, x)))(x), np.diag(6 * X + 4))
    leaf, weight = Tensor(X, requires_grad=True), Tensor(V, requires_grad=True)
    f(leaf, leaf).backward(weight, create_graph=True)
    slope, leaf.grad = leaf.grad, None
    slope.sum().backward()
    close(leaf.grad.numpy(), V * (6 * X + 4))
    for array, expected in ((x, X), (y, V), (leaf.numpy(), X), (weight.numpy(), V)):
        close(array, expected, rtol=0)


def test_a_rule_whose_pullback_reads_what_is_differentiated_outside_of_it() -> None:
    def scaled(x: Any) -> Any:
        by_x = custom_gradient(lambda y: (y * stop_gradient(x), lambda g: g * x))
        return by_x(2 * x)

    close(grad(scaled)(3.0), 6.0)
    close(grad(grad(scaled))(3.0), 2.0)
    w, x = Tensor(3.0, requires_grad=True), Tensor(2.0, requires_grad=True)
    custom_gradient(lambda x: (x * 3.0, lambda g: g * w))(x).backward()
    assert not x.grad.requires_grad
    close(x.grad.numpy(), 3.0)


def test_tensors_that_are_constants_of_a_rule_may_be_given_by_keyword() -> None:
    @custom_gradient
    def scaled(x: Any, tree: Any = None, *, by: Any) -> Any:
        assert type(by) is np.ndarray
        return x * by, lambda g: g * by

    close(grad(lambda x: np.sum(scaled(x, by=Tensor(V))))(X), V)


def test_arrays_that_a_rule_of_ones_own_reads_are_held_read_only() -> None:
    @custom_gradient
    def scaled(x: Any, tree: Any, *, by: Any) -> Any:
        return x * tree["c"] * by, lambda g: (g * tree["c"] * by, None)

    c, by, x = V.copy(), V.copy(), Tensor(X, requires_grad=True)
    y = scaled(x, {"c": c[::-1]}, by=by)
    for array in (c, by):
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 100
    np.sum(y).backward()
    close(x.grad.numpy(), V[::-1] * V)
    del y
    c[:] = by[:] = 100


def test_a_rule_without_tensors_is_a_plain_call() -> None:
    @custom_gradient
    def f(x: Any) -> Any:
        return x * 2, lambda g: g * 2

    assert f(3) == 6
    assert type(f(Tensor(X))) is Tensor
    with no_grad():
        assert not f(Tensor(X, requires_grad=True)).requires_grad


def test_stop_gradient() -> None:
    close(grad(lambda x: np.sum(x * stop_gradient(x)))(X), X)
    close(grad(lambda x: np.sum(x * stop_gradient({"a": x, "b": 1})["a"]))(X), X)
    assert type(stop_gradient(Tensor(X, requires_grad=True))) is np.ndarray
    assert stop_gradient(X) is X


HALF: Any = (0.5,)
NO_TUPLE: Any = X


def writing(x: Any, y: Any = 1.0) -> Any:
    x[0] = y
    return np.sum(x)


# -- errors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: grad(lambda x: None)(X), TypeError, r"grad: the function returned None.*return missing"),
        (lambda: grad(lambda x: "a")(X), TypeError, r"result must be an array, or a list, .*, got str"),
        (
            lambda: grad(lambda x: (x, 1j * x))(X),
            TypeError,
            r"must return one number, got \(\*, \*\).*has_aux",
        ),
        (
            lambda: vjp(lambda x: {"a": object()}, X),
            TypeError,
            r"result\['a'\] must be an array, .*, got object",
        ),
        (lambda: vjp(lambda x: [], X), TypeError, r"vjp: the function returned \[\], expected an array"),
        (
            lambda: grad(np.sin)(X),
            ValueError,
            r"grad: the function must return one number, got an array of shape \(3,\); sum it, or use elementwise_grad",
        ),
        (lambda: hvp(np.sin)(X, V), ValueError, r"hvp: .* one number, got an array of shape \(3,\)"),
        (
            lambda: grad(np.sum)(np.arange(3)),
            TypeError,
            r"argument 0 is of dtype int64, which has no derivative; cast it to float",
        ),
        (
            lambda: grad(lambda x: x["n"])({"n": 3}),
            TypeError,
            r"argument 0\['n'\] is of dtype int64.*cast it to float",
        ),
        (
            lambda: grad(lambda x: x)("text"),
            TypeError,
            r"argument 0 must be an array of floats, or a list, .*, got str",
        ),
        (
            lambda: grad(np.sum)(np.array([1.0, None])),
            TypeError,
            r"argument 0 must be an array of floats, or a list, tuple or dict of them, got dtype object",
        ),
        (lambda: grad(np.sum)(np.ma.array(X)), TypeError, r"would forget the mask of a masked array"),
        (lambda: jvp(np.sin, (X,), (np.ma.array(X),)), TypeError, r"would forget the mask of a masked array"),
        (lambda: jvp(np.sum, (X.view(np.matrix),), (X,)), TypeError, r"np.matrix has operators of its own"),
        (lambda: grad(np.sum, HALF[0])(X), TypeError, r"argnums must be an int or a tuple of ints, got 0.5"),
        (
            lambda: hessian(lambda z: np.sum(np.abs(z["a"]) ** 2))({"a": 1j * X}),
            TypeError,
            r"hessian: a real function of complex arguments has no single matrix.*use hvp",
        ),
        (
            lambda: grad(np.sum, 1)(X),
            ValueError,
            r"argnums=1 is out of range for a call with 1 positional arguments",
        ),
        (lambda: grad(np.sum, (0, -2))(X), ValueError, r"argnums=\(0, -2\) is out of range"),
        (lambda: grad(np.add, (0, -2))(X, V), ValueError, r"each once; got \(0, -2\)"),
        (lambda: grad(np.sum, ())(X), ValueError, r"one or more arguments"),
        (
            lambda: grad(np.sum, HALF)(X),
            TypeError,
            r"argnums must be an int or a tuple of ints, got \(0.5,\)",
        ),
        (
            lambda: vjp(np.sin, X)[1](np.ones(4)),
            ValueError,
            r"vjp: the cotangent must have the shape \(3,\) of its value, got \(4,\)",
        ),
        (
            lambda: vjp(np.sin, X)[1]([X]),
            ValueError,
            r"the cotangent must have the shape \(3,\).*got \(1, 3\)",
        ),
        (
            lambda: vjp(lambda x: (x, [x]), X)[1]((X, X)),
            ValueError,
            r"the cotangent\[1\] must have the structure \[\*\], got a leaf",
        ),
        (
            lambda: vjp(lambda x: {"a": x}, X)[1]({"b": X}),
            ValueError,
            r"the cotangent must have the structure \{'a': \*\}, got \{'b': \*\}",
        ),
        (lambda: vjp(np.sin, X)[1](1j * X), TypeError, r"the cotangent is complex, but its value is real"),
        (lambda: vjp(np.sin, X)[1]("a"), TypeError, r"the cotangent must be an array of numbers, got 'a'"),
        (
            lambda: jvp(np.sin, (X,), (np.ones(4),)),
            ValueError,
            r"jvp: the tangent\[0\] must have the shape \(3,\) of its value, got \(4,\)",
        ),
        (
            lambda: jvp(np.sin, (X,), (X, X)),
            ValueError,
            r"the tangent must have the structure \(\*,\), got \(\*, \*\)",
        ),
        (lambda: jvp(np.sin, NO_TUPLE, (X,)), TypeError, r"jvp: primals must be a tuple .*, got ndarray"),
        (lambda: jvp(np.sin, (X,), NO_TUPLE), TypeError, r"jvp: tangents must be a tuple .*, got ndarray"),
        (
            lambda: hvp(rosenbrock)(X, np.ones(4)),
            ValueError,
            r"hvp: the vector\[0\] must have the shape \(3,\)",
        ),
        (
            lambda: hvp(rosenbrock)(X),
            TypeError,
            r"hvp: expected the arguments of the function and, after them",
        ),
        (
            lambda: ggnvp(mixing)(X),
            TypeError,
            r"ggnvp: expected the arguments of the function and, after them",
        ),
        (
            lambda: grad(lambda z: np.sum(z * z))(Z),
            TypeError,
            r"the function's result is complex \(complex128\); take its real part .* holomorphic=True",
        ),
        (
            lambda: jacobian(np.sin)(Z),
            TypeError,
            r"jacobian: the function's result is complex .* holomorphic",
        ),
        (
            lambda: grad(np.sum, holomorphic=True)(X),
            TypeError,
            r"grad with holomorphic=True: the arguments and the result must be complex, got float64 and float64",
        ),
        (
            lambda: grad(lambda x: np.sum(x), has_aux=True)(X),
            TypeError,
            r"grad with has_aux: expected \(result, aux\) from the function",
        ),
        (
            lambda: grad(writing)(X),
            TapeError,
            r"grad: the function changed its argument in place, .*; let it work on a \.copy\(\)",
        ),
        (
            lambda: grad(lambda x: grad(lambda y: writing(y, x[0]))(x)[0])(X),
            TapeError,
            r"grad: the function changed its argument in place, .*; let it work on a \.copy\(\)",
        ),
    ],
)
def test_errors_say_what_came_and_what_to_do(
    call: Callable[[], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (lambda x: x, r"custom_gradient: <lambda> must return \(result, pullback\), got Tensor|got array"),
        (lambda x: (x, None), r"must return \(result, pullback\)"),
        (lambda x: (np.array(["a"]), np.sin), r"must return arrays of numbers, got dtype <U1"),
    ],
)
def test_wrong_functions_for_a_rule(f: Callable[..., Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        grad(lambda x: np.sum(custom_gradient(f)(x)))(X)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ((X, X), r"the pullback of f must return 1 gradients, one per positional argument, got 2"),
        (np.ones(2), r"returned for argument 0 must have the shape \(3,\), got \(2,\)"),
        (np.ones(()), r"returned for argument 0 must have the shape \(3,\), got \(\)"),
        (
            {"a": X},
            r"operation 0 \(f\), recorded at .*test_transforms.py:\d+.*argument 0 must be an array of numbers",
        ),
        (np.array([None, None, None]), r"argument 0 must be an array of numbers, got dtype object"),
        (np.array(["1", "2", "3"]), r"argument 0 must be an array of numbers, got dtype <U1"),
        ((None,), None),
    ],
)
def test_wrong_pullbacks_of_a_rule(returned: Any, message: str | None) -> None:
    @custom_gradient
    def f(x: Any) -> Any:
        return x * 2, lambda g: returned

    if message is None:
        close(grad(lambda x: np.sum(f(x)))(X), np.zeros(3))
    else:
        with pytest.raises(TapeError, match=message):
            grad(lambda x: np.sum(f(x)))(X)


def test_a_rule_takes_its_variables_by_position() -> None:
    @custom_gradient
    def f(x: Any) -> Any:
        return x * 2, lambda g: 2 * g

    with pytest.raises(TypeError, match=r"give the arrays that f is differentiated by by position"):
        grad(lambda x: np.sum(f(x=x)))(X)


def test_a_rule_takes_its_variables_as_arguments() -> None:
    def scaled(x: Any) -> Any:
        by_x = custom_gradient(lambda y: (y * x, lambda g: g * x))
        return by_x(2 * x)

    with pytest.raises(
        TypeError, match="computes with a Tensor that requires gradients and is none of its arguments"
    ):
        grad(scaled)(1.0)


def test_a_result_that_left_the_tape_is_warned_about() -> None:
    calls: list[Callable[[], Any]] = [
        lambda: grad(math.sin)(1.0),
        lambda: value_and_grad(math.sin)(1.0)[1],
        lambda: vjp(math.sin, 1.0)[1](1.0)[0],
        lambda: jacobian(math.sin)(1.0),
    ]
    for call in calls:
        with pytest.warns(
            UserWarning, match=r"not computed from its argument with NumPy functions"
        ) as caught:
            assert call() == 0.0
        assert caught[0].filename == __file__


def test_the_transforms_names() -> None:
    assert grad(rosenbrock).__name__ == "grad_of_rosenbrock"
    assert "mytorch.hessian" in (hessian(rosenbrock).__doc__ or "")
    assert set(mytorch.transforms.__all__) <= set(mytorch.__all__)


MASKED: Any = np.ma.array([1.0, 2.0], mask=[False, True])


@pytest.mark.parametrize(
    "call",
    [
        lambda: grad(np.sum)(MASKED),
        lambda: jvp(np.sin, (np.ones(2),), (MASKED,)),
        lambda: vjp(np.sin, np.ones(2))[1](MASKED),
        lambda: (Tensor([1.0, 2.0], requires_grad=True) * 1.0).backward(MASKED),
    ],
)
def test_no_mask_is_forgotten(call: Callable[[], Any]) -> None:
    with pytest.raises(
        TypeError, match=r"would forget the mask of a masked array; give its values, x\.filled"
    ):
        call()


def test_a_vector_for_several_arguments_is_a_tuple() -> None:
    product = hvp(lambda x, y: np.sum(x * x * y), (0, 1))
    for v in ((X, X), [X, X]):
        close(product(X, X, v)[1], 2 * X * X)
    with pytest.raises(ValueError, match=r"hvp: the vector must have the structure \(\*, \*\), got a leaf"):
        product(X, X, 3.0)
