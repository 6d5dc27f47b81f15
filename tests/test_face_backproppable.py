"""The BackproppableArray face: the names, forms and meanings of `main.py`, and where versions of it go wrong."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from itertools import permutations
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from mytorch.faces import backproppable as face
from mytorch.faces.backproppable import (
    BA_Add,
    BA_Div,
    BA_Exp,
    BA_Log,
    BA_MatMul,
    BA_Mul,
    BA_Reshape,
    BA_Sub,
    BA_Sum,
    BA_Transpose,
    BackproppableArray,
    backprop_diff,
    numerical_diff,
    numerical_grad,
)
from mytorch.faces.backproppable import TestFxs as Fxs
from tests.course_folder import run_in_course

to_ba: Any = face.to_ba  # NumPy's type stubs do not know of its operators

# -- what it is -------------------------------------------------------------------------------------------------------


def test_an_array_has_the_fields_of_the_hand_out() -> None:
    data = np.arange(3.0)
    x = BackproppableArray(data)
    assert x.data is data
    assert (x.grad, x.dependencies) == (None, [])
    y = BackproppableArray(data, [x])
    assert y.dependencies == [x]
    assert y.order > x.order


def test_arrays_of_another_process_are_differentiated_before_their_inputs() -> None:
    a, b = to_ba(2.0), to_ba(3.0)
    y = pickle.loads(pickle.dumps(a * b))
    for array in y.all_dependencies():
        array.order += 10**9  # as where many arrays were made before
    (y * y).backward()
    assert [float(array.grad) for array in y.dependencies] == [36.0, 24.0]


def test_order_always_increases() -> None:
    first = face.get_next_order()
    assert to_ba(1.0).order > first
    assert face.get_next_order() > first + 1


def test_no_two_arrays_share_dependencies() -> None:
    x, y = to_ba(1.0), to_ba(2.0)
    x.dependencies.append(y)
    assert to_ba(3.0).dependencies == []
    given = [x]
    z = BackproppableArray(np.ones(1), given)
    given.append(y)
    assert z.dependencies == [x]


@pytest.mark.parametrize("number", [3, 3.0, True, np.float64(3), np.int8(3), np.bool_(True)], ids=repr)
def test_numbers_become_floating_point_scalars(number: Any) -> None:
    x = to_ba(number)
    assert type(x) is BackproppableArray
    assert (x.data.shape, x.data.dtype.name, x.data.item()) == ((), "float64", float(number))


def test_to_ba_keeps_arrays() -> None:
    x, integers, single = to_ba(1.0), np.arange(3), np.float32(2)
    assert to_ba(x) is x
    assert to_ba(integers).data is integers
    assert to_ba(single).data.dtype == np.float32


def test_printed_forms() -> None:
    x = to_ba(5)
    assert repr(x) == "(5.0, type=BackproppableArray)"
    assert repr(x + 1) == "(6.0, type=BA_Add)"
    assert str(to_ba(np.arange(2.0)) * 2) == "([0. 2.], type=BA_Mul)"


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        (lambda x: x + 1, BA_Add),
        (lambda x: 1 + x, BA_Add),
        (lambda x: x - 1, BA_Sub),
        (lambda x: 1 - x, BA_Sub),
        (lambda x: -x, BA_Sub),
        (lambda x: x * 2, BA_Mul),
        (lambda x: 2 * x, BA_Mul),
        (lambda x: x / 2, BA_Div),
        (lambda x: 2 / x, BA_Div),
        (lambda x: x @ x, BA_MatMul),
        (lambda x: np.eye(2) @ x, BA_MatMul),
        (face.exp, BA_Exp),
        (face.log, BA_Log),
        (lambda x: x.sum(), BA_Sum),
        (lambda x: x.sum(axis=0), BA_Sum),
        (lambda x: x.reshape((4,)), BA_Reshape),
        (lambda x: x.transpose(), BA_Transpose),
        (lambda x: x.transpose((0, 1)), BA_Transpose),
        (lambda x: BA_Sum(x, None), BA_Sum),
        (lambda x: BA_Transpose(x, [1, 0]), BA_Transpose),
    ],
)
def test_the_type_tells_the_operation(form: Callable[[Any], BackproppableArray], kind: type) -> None:
    data = np.array([[1.0, 2.0], [3.0, 5.0]])
    x = to_ba(data)
    y = form(x)
    assert type(y) is kind
    assert x in y.dependencies
    assert y.order > x.order


@pytest.mark.parametrize("function", [face.exp, face.log])
def test_exp_and_log_of_numbers_are_numbers(function: Callable[[Any], Any]) -> None:
    assert type(function(2.0)) is np.float64
    np.testing.assert_array_equal(function(np.ones(2)), getattr(np, function.__name__)(np.ones(2)))


def test_an_array_and_an_operation_make_one_backproppable_array() -> None:
    x, a = to_ba(np.arange(3.0)), np.ones(3)
    for y in (a + x, a - x, a * x, a / (x + 1), np.float64(2) * x, a @ x, np.add(a, x)):
        assert isinstance(y, BackproppableArray)
        assert y.data.dtype == np.float64
    assert type(np.exp(x)) is BA_Exp


@pytest.mark.parametrize("keepdims", [True, False])
def test_sum_always_keeps_dimensions(keepdims: bool) -> None:
    x = to_ba(np.ones((2, 3)))
    assert x.sum(keepdims=keepdims).data.shape == (1, 1)
    assert x.sum(1, keepdims).data.shape == (2, 1)


def test_all_dependencies_has_each_once() -> None:
    x = to_ba(2.0)
    y = x * x
    z = y + x
    found = z.all_dependencies()
    assert found[0] is z
    assert len(found) == 3
    assert set(found) == {x, y, z}


# -- gradients --------------------------------------------------------------------------------------------------------


Check = Callable[[Callable[[Any], Any], np.ndarray], None]


@pytest.fixture(params=["numerical", "torch"])
def check(request: pytest.FixtureRequest) -> Check:
    """Compares a function's gradient by backpropagation with the numerical one, or with PyTorch's."""
    torch = request.getfixturevalue("torch") if request.param == "torch" else None

    def compare(f: Callable[[Any], Any], x: np.ndarray) -> None:
        if torch is None:
            np.testing.assert_allclose(backprop_diff(f, x), numerical_grad(f, x), rtol=1e-6, atol=1e-7)
            return
        t = torch.tensor(x, requires_grad=True)
        f(TorchFace(t, torch)).t.sum().backward()
        np.testing.assert_allclose(backprop_diff(f, x), t.grad.numpy(), rtol=1e-12)

    return compare


class TorchFace:
    """A PyTorch tensor under the names of this course."""

    def __init__(self, t: Any, torch: ModuleType) -> None:
        self.t, self.torch = t, torch

    def _of(self, t: Any) -> TorchFace:
        return TorchFace(t, self.torch)

    def _other(self, other: Any) -> Any:
        return other.t if isinstance(other, TorchFace) else self.torch.as_tensor(other, dtype=self.t.dtype)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any) -> TorchFace:
        return self._of(getattr(self.torch, ufunc.__name__)(*map(self._other, inputs)))

    def __add__(self, other: Any) -> TorchFace:
        return self._of(self.t + self._other(other))

    def __sub__(self, other: Any) -> TorchFace:
        return self._of(self.t - self._other(other))

    def __rsub__(self, other: Any) -> TorchFace:
        return self._of(self._other(other) - self.t)

    def __mul__(self, other: Any) -> TorchFace:
        return self._of(self.t * self._other(other))

    def __truediv__(self, other: Any) -> TorchFace:
        return self._of(self.t / self._other(other))

    def __rtruediv__(self, other: Any) -> TorchFace:
        return self._of(self._other(other) / self.t)

    def __matmul__(self, other: Any) -> TorchFace:
        return self._of(self.t @ self._other(other))

    def sum(self, axis: Any = None, keepdims: bool = True) -> TorchFace:
        axes = tuple(range(self.t.ndim)) if axis is None else axis
        return self._of(self.t.sum(axes, keepdim=True))

    def reshape(self, shape: Any) -> TorchFace:
        return self._of(self.t.reshape(shape))

    def transpose(self, axes: Any = None) -> TorchFace:
        return self._of(self.t.permute(tuple(range(self.t.ndim))[::-1] if axes is None else tuple(axes)))


W = np.random.default_rng(5).normal(size=(2, 3, 4))


@pytest.mark.parametrize(
    "f",
    [
        # Broadcasting, on either side, is summed out after multiplying by the other operand.
        lambda x: (x * W).sum(),
        lambda x: (x / (W * W + 1)).sum(),
        lambda x: (W / (x * x + 1)).sum(),
        lambda x: ((x + W) * W).sum(),
        lambda x: ((x - W) * W).sum(),
        lambda x: ((W - x) * W).sum(),
        lambda x: ((x.reshape((3, 1)) * x) * (x / 3)).sum(),
        lambda x: (x.sum(axis=0, keepdims=True) * W).sum(),
        lambda x: (np.exp(x) * W).sum(),
        lambda x: (np.log(x * x + 1) * W).sum(),
    ],
)
def test_broadcasting(f: Callable[[Any], Any], check: Check) -> None:
    check(f, np.array([[0.5], [1.5], [-2.0]]))


@pytest.mark.parametrize("axes", [*permutations(range(3)), (-1, 0, 1), None], ids=str)
def test_transpose_takes_the_inverse_permutation_back(axes: Any, check: Check) -> None:
    weights = W.transpose(axes)
    check(lambda x: (x.transpose(axes) * weights).sum(), W * 0.5)


def test_transpose_twice_by_a_cycle_of_three(check: Check) -> None:
    weights = np.random.default_rng(1).normal(size=(4, 2, 3))
    check(lambda x: (x.transpose((1, 2, 0)).transpose((1, 2, 0)) * weights).sum(), W)


@pytest.mark.parametrize("shape", [(24,), (3, 8), (2, 3, 4), (1, 24), -1], ids=str)
def test_reshape(shape: Any, check: Check) -> None:
    weights = np.flip(W).reshape(shape).copy()
    check(lambda x: (x.reshape(shape) * weights * weights).sum(), W)


def test_reshape_of_a_transposed_array_and_of_a_strided_one(check: Check) -> None:
    weights = W.reshape((6, 4))
    check(lambda x: (x.transpose((1, 0, 2)).reshape((6, 4)) * weights).sum(), W)
    every_other = np.random.default_rng(2).normal(size=(2, 6, 4))[:, ::2]
    np.testing.assert_allclose(backprop_diff(lambda x: (x.reshape((6, 4)) * weights).sum(), every_other), W)


@pytest.mark.parametrize(
    ("a", "b"),
    [((2, 3), (3, 4)), ((3,), (3, 4)), ((2, 3), (3,)), ((3,), (3,)), ((5, 2, 3), (3, 4)), ((1, 3), (3, 1))],
)
def test_matrix_products(a: tuple[int, ...], b: tuple[int, ...], check: Check) -> None:
    rng = np.random.default_rng(3)
    left, right = rng.normal(size=a), rng.normal(size=b)
    check(lambda x: (x @ right).sum(), left)
    check(lambda x: np.matmul(left, x).sum(), right)


@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 2)], ids=str)
def test_sums(axis: Any, check: Check) -> None:
    check(lambda x: (x.sum(axis, keepdims=True) * W).sum(), W)


def test_the_gradient_of_a_scalar_has_no_dimensions() -> None:
    x = to_ba(3)
    y = x * x * 2
    y.backward()
    for array in y.all_dependencies():
        assert isinstance(array.grad, np.ndarray)
        assert array.grad.shape == ()
    assert x.grad == 12.0


def test_integer_arrays_have_floating_point_gradients() -> None:
    x = to_ba(np.arange(4))
    (x * 0.5).sum().backward()
    np.testing.assert_array_equal(x.grad, [0.5] * 4)
    for dtype in (np.int8, np.int32, np.uint16, np.bool_):
        x = to_ba(np.ones((2, 3), dtype))
        (x.transpose().reshape((2, 3)) * np.arange(6).reshape(2, 3) / 4).sum().backward()
        np.testing.assert_array_equal(x.grad, np.arange(6).reshape(2, 3).reshape(3, 2).T / 4)


def test_every_dependency_keeps_its_gradient() -> None:
    x = to_ba(np.array([1.0, 2.0]))
    y = x * x
    z = y.sum()
    z.backward()
    np.testing.assert_array_equal(y.grad, [1.0, 1.0])
    np.testing.assert_array_equal(z.grad, [1.0])


def test_backward_twice_gives_the_same_values() -> None:
    x = to_ba(np.array([1.0, 2.0]))
    y = x * x
    z = (y * x).sum()
    for _ in range(2):
        z.backward()
        assert [array.grad.tolist() for array in (x, y, z)] == [[3.0, 12.0], [1.0, 2.0], [1.0]]


def test_gradients_are_no_views_of_each_other() -> None:
    x = to_ba(np.ones(3))
    y = x + 1
    y.sum().backward()
    y.grad[:] = 100
    np.testing.assert_array_equal(x.grad, np.ones(3))


def test_an_operation_differentiates_the_values_that_it_read() -> None:
    x, w = to_ba(np.array([1.0, 2.0])), to_ba(np.array([3.0, 4.0]))
    y = face.exp(x * w)
    expected = np.exp([3.0, 8.0])
    for array in (x, w, y):
        array.data[:] = 100
    y.sum().backward()
    np.testing.assert_allclose(x.grad, expected * [3.0, 4.0])
    assert (x * 1.0).data.tolist() == [100, 100]


def test_gradient_descent_on_data_in_place() -> None:
    x = to_ba(np.array([3.0, -2.0]))
    for _ in range(60):
        loss = (x * x).sum()
        loss.backward()
        x.data -= 0.2 * x.grad
    np.testing.assert_allclose(x.data, 0.0, atol=1e-9)


def test_a_dependency_that_the_result_does_not_read() -> None:
    unused = to_ba(1.0)
    y = BackproppableArray(np.array(2.0), [unused])
    (y * 3).backward()
    assert (y.grad, unused.grad) == (3.0, 0.0)  # grad_fn of the base class does nothing


def test_empty_arrays() -> None:
    x = to_ba(np.ones((0, 3)))
    x.transpose().reshape((0,)).sum().backward()
    assert x.grad.shape == (0, 3)


def test_a_hundred_thousand_operations() -> None:
    x = to_ba(1.0)
    y = x
    for _ in range(50_000):
        y = y * 0.5 + 1.0
    y.backward()
    assert x.grad == 0.5**50_000
    assert len(y.all_dependencies()) == 1 + 4 * 50_000
    del y  # frees the chain, without recursion


def test_diamonds_take_no_longer_than_their_size() -> None:
    x = to_ba(1.0)
    y = x
    for _ in range(200):
        y = y * 0.5 + y * 0.5
    assert len(y.all_dependencies()) == 1 + 200 * 5
    y.backward()
    assert x.grad == 1.0


# -- grad_fn ----------------------------------------------------------------------------------------------------------


def test_grad_fn_by_hand_adds_to_the_dependencies() -> None:
    x, y = to_ba(3.0), to_ba(4.0)
    z = x * y
    x.grad, y.grad, z.grad = 0, 10, 2.0
    z.grad_fn()
    assert (x.grad, y.grad) == (8.0, 16.0)
    z.grad_fn()
    assert (x.grad, y.grad) == (16.0, 22.0)
    x.grad_fn()  # no operation made x
    assert x.grad == 16.0


class BA_Relu(BackproppableArray):
    """An operation as a student adds it."""

    def __init__(self, x: BackproppableArray) -> None:
        super().__init__(np.maximum(x.data, 0), [x])
        self.x = x

    def grad_fn(self) -> None:
        self.x.grad += self.grad * (self.data > 0)


def test_an_operation_of_ones_own() -> None:
    x = to_ba(np.array([-1.0, 2.0, 3.0]))
    (BA_Relu(x * 2) * np.array([5.0, 6.0, 7.0])).sum().backward()
    np.testing.assert_array_equal(x.grad, [0.0, 12.0, 14.0])


def test_an_operation_of_ours_with_a_grad_fn_of_ones_own() -> None:
    class Doubled(BA_Mul):
        def grad_fn(self) -> None:
            super().grad_fn()
            super().grad_fn()

    x = to_ba(3.0)
    Doubled(x, to_ba(4.0)).backward()
    assert x.grad == 8.0


def test_an_error_in_a_grad_fn_of_ones_own_comes_out_and_leaves_gradients_as_they_were() -> None:
    class Broken(BA_Relu):
        def grad_fn(self) -> None:
            raise KeyError("mine")

    x = to_ba(np.ones(2))
    (x * 3).sum().backward()
    with pytest.raises(KeyError, match="mine"):
        (Broken(x) + x * 5).sum().backward()
    np.testing.assert_array_equal(x.grad, [3.0, 3.0])


# -- derivatives in three ways ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["f1", "f2", "f3"])
@pytest.mark.parametrize("x", [-1.0, 0.5, 2.0, 3])
def test_symbolic_numerical_and_backprop_agree(name: str, x: float) -> None:
    f, symbolic = getattr(Fxs, name), getattr(Fxs, f"d{name}dx")(x)
    assert numerical_diff(f, x) == pytest.approx(symbolic, abs=1e-8)
    assert backprop_diff(f, x) == pytest.approx(symbolic, rel=1e-14)


@pytest.mark.parametrize("name", ["f4", "g1", "g2"])
@pytest.mark.parametrize("x", [0.5, 1.5, 3.25])
def test_numerical_and_backprop_agree(name: str, x: float) -> None:
    f = getattr(Fxs, name)
    gradient = backprop_diff(f, x)
    assert gradient.shape == ()
    assert gradient == pytest.approx(numerical_diff(f, x), rel=1e-8)


def test_the_test_functions_are_those_of_the_course() -> None:
    x, b = 1.5, np.arange(20.0)
    assert Fxs.f1(x) == 2 * x + 3
    assert Fxs.f3(x) == (x - 2) / ((x - 2) ** 2 + 1)
    assert Fxs.f4(x) == np.log(np.exp(x**2 / 8 - 3 * x + 5) + x)
    assert Fxs.g1(x) == 3 * (x + 1) ** 2
    product = np.log((x + b) ** 2).reshape(4, 5).T @ (x - np.ones((4, 5)))
    assert Fxs.g2(x) == pytest.approx(product.sum())
    v = np.array([1.0, -1.0, 2.0, 0.5, 3.0])
    assert Fxs.h1(v) == pytest.approx(((v * np.arange(5) - 4) ** 2).sum())


def test_gradient_of_a_vector_function() -> None:
    x = np.array([-1.0, 0.5, 2.0, 3.0, 4.25])
    expected = 2 * np.arange(5) * (x * np.arange(5) - 4)
    np.testing.assert_allclose(backprop_diff(Fxs.h1, x), expected, rtol=1e-14)
    np.testing.assert_allclose(numerical_grad(Fxs.h1, x), expected, rtol=1e-8)


def test_numerical_grad_takes_integers_and_functions_that_give_backproppable_arrays() -> None:
    np.testing.assert_allclose(numerical_grad(lambda x: (to_ba(x) * x).sum(), [1, 2]), [2.0, 4.0])
    assert numerical_grad(lambda x: x * x, 3).shape == ()


def test_numerical_grad_is_a_central_difference_of_the_given_step() -> None:
    assert numerical_grad(lambda x: x**3, 1.0, eps=0.5) == 3 + 0.5**2
    assert numerical_diff(lambda x: x**3, 1.0, eps=0.5) == 3 + 0.5**2


def test_backprop_diff_of_a_constant_and_of_the_identity() -> None:
    assert backprop_diff(lambda x: 3.0, 2.0) == 0.0
    assert backprop_diff(lambda x: x, 2.0) == 1.0


# -- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda: to_ba("a"), TypeError, r"cannot convert str 'a' to a BackproppableArray; give a number or"),
        (lambda: to_ba([1, 2]), TypeError, r"cannot convert list \[1, 2\]"),
        (lambda: to_ba(None), TypeError, r"cannot convert NoneType None"),
        (lambda: to_ba(np.array(["a"])), TypeError, r"dtype <U1 have no gradient"),
        (lambda: to_ba(1.0) + "a", TypeError, r"cannot convert str 'a'"),
        (
            lambda: to_ba(np.ones(3)) + np.ones(4),
            ValueError,
            r"BA_Add of \(3,\) and \(4,\): operands could not",
        ),
        (
            lambda: to_ba(np.ones((2, 3))) @ np.ones(2),
            ValueError,
            r"BA_MatMul of \(2, 3\) and \(2,\): matmul",
        ),
        (lambda: to_ba(np.ones(3)).reshape((2, 2)), ValueError, r"BA_Reshape of \(3,\): cannot reshape"),
        (lambda: to_ba(np.ones((2, 3))).transpose((0,)), ValueError, r"BA_Transpose of \(2, 3\): axes don't"),
        (lambda: to_ba(np.ones(3)).backward(), ValueError, r"one entry, this one has shape \(3,\); sum it"),
        (
            lambda: to_ba(np.ones(3)).backward(),
            AssertionError,
            r"one entry",
        ),  # what the course's own code raises
        (lambda: to_ba(np.ones(0)).backward(), ValueError, r"shape \(0,\)"),
        (
            lambda: np.sin(to_ba(1.0)),
            TypeError,
            r"np\.sin is no operation on .*these are: np\.add, .*np\.log",
        ),
        (lambda: np.add.reduce(to_ba(np.ones(2))), TypeError, r"np\.add\.reduce is no operation"),
        (lambda: np.add(1.0, to_ba(1.0), out=np.ones(())), TypeError, r"np\.add\(\.\.\., out=\.\.\.\) is no"),
        (
            lambda: (to_ba(1.0) * 2).grad_fn(),
            ValueError,
            r"no gradient yet; call backward on a result, or set",
        ),
        (lambda: numerical_grad(lambda x: x, np.ones(2)), ValueError, r"a scalar, it returned shape \(2,\)"),
        (
            lambda: backprop_diff(lambda x: x * 2, np.ones(2)),
            ValueError,
            r"one entry, this one has shape \(2,\)",
        ),
    ],
)
def test_errors_say_what_is_wrong(wrong: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        wrong()


def test_addition_into_an_array_is_refused_and_the_array_stays() -> None:
    a = np.ones(3)
    with pytest.raises(TypeError, match=r"np\.add\(\.\.\., out=\.\.\.\) is no operation"):
        a += to_ba(2.0)
    np.testing.assert_array_equal(a, 1.0)


# -- the course's script ----------------------------------------------------------------------------------------------


def test_the_script_prints_the_comparisons_and_the_timing(tmp_path: Any) -> None:
    printed = run_in_course(tmp_path, "backproppable", ["main.py"])
    for heading in ("Part 1.5", "Part 2.4", "Part 2.6", "Part 2.7"):
        assert f"\n{heading}" in printed
    rows = [
        line.split()
        for line in printed.splitlines()
        if line[:2] in ("f1", "f2", "f3", "f4", "g1", "g2", "[0")
    ]
    assert len(rows) == 4 * 4 + 2 * 3 + 1
    assert all(float(row[-1]) < 1e-7 for row in rows)
    assert "f3    2.00    1.0000000000" in printed
    assert "times as fast" in printed


def test_the_names_are_there_for_scripts_in_the_folder(tmp_path: Any) -> None:
    program = """
from main import *
x = BackproppableArray(np.array([1.0, 2.0]))
y = exp(x).sum().reshape(())
y.backward()
print(type(y).__name__, x.grad.round(3), backprop_diff(TestFxs.f2, 3), sorted(a.order for a in y.all_dependencies()))
import mytorch; print(mytorch.__file__)
"""
    printed = run_in_course(tmp_path, "backproppable", ["-c", program]).splitlines()
    assert printed[0].startswith("BA_Reshape [2.718 7.389] 6.0 [")
    assert str(tmp_path) in printed[1]
