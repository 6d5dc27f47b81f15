"""The needle face: names, forms and meanings of the homework, and where well-known versions of it go wrong."""

from __future__ import annotations

import gc
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from mytorch.data import DataError
from mytorch.faces import needle as ndl
from mytorch.faces.needle import autograd, ops
from mytorch.faces.needle.autograd import Op, Tensor, TensorOp, Value
from mytorch.gradcheck import numerical_gradient
from mytorch.rules import arithmetic
from tests.conftest import ROOT
from tests.course_folder import run_in_course

COURSE = ROOT / "courses" / "needle"
RNG = np.random.default_rng(714)


@pytest.fixture(scope="module")
def simple_ml() -> Iterator[ModuleType]:
    """The module apps/simple_ml.py of the course's folder."""
    before = sys.path.copy()
    spec = importlib.util.spec_from_file_location("simple_ml", COURSE / "apps" / "simple_ml.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path[:] = before


def normal(*shape: int, dtype: Any = np.float64) -> Tensor:
    return Tensor(RNG.standard_normal(shape).astype(dtype))


def positive(*shape: int, dtype: Any = np.float64) -> Tensor:
    return Tensor((0.5 + RNG.random(shape)).astype(dtype))


def names(order: list[Any]) -> list[str]:
    """Return what the nodes of an order are."""
    return ["leaf" if x.is_leaf() else type(x.op).__name__ for x in order]


# -- names, arguments, printed forms ----------------------------------------------------------------------------------


def test_the_modules_hold_every_name_of_the_course() -> None:
    graph = (
        "Tensor Value Op TensorOp find_topo_sort topo_sort_dfs compute_gradient_of_variables sum_node_list"
    )
    for name in f"{graph} LAZY_MODE cpu all_devices Device CPUDevice".split():
        assert hasattr(ndl.autograd, name), name
    functions = (
        "add add_scalar multiply mul_scalar power_scalar power divide divide_scalar transpose reshape "
        "broadcast_to summation matmul negate log exp relu"
    )
    for name in functions.split():
        assert getattr(ndl, name) is getattr(ndl.ops, name)
    classes = (
        "EWiseAdd AddScalar EWiseMul MulScalar PowerScalar EWisePow EWiseDiv DivScalar Transpose Reshape "
        "BroadcastTo Summation MatMul Negate Log Exp ReLU"
    )
    for name in classes.split():
        assert issubclass(getattr(ndl.ops, name), TensorOp), name
        assert getattr(ndl, name) is getattr(ndl.ops, name)
    assert ndl.Tensor is Tensor
    assert issubclass(Tensor, Value)
    assert issubclass(TensorOp, Op)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (Tensor, "(array, *, device=None, dtype=None, requires_grad=True)"),
        (Tensor.backward, "(self, out_grad=None)"),
        (Tensor.sum, "(self, axes=None)"),
        (Tensor.transpose, "(self, axes=None)"),
        (Tensor.broadcast_to, "(self, shape)"),
        (Tensor.reshape, "(self, shape)"),
        (Value.make_const, "(data, *, requires_grad=False)"),
        (Value.make_from_op, "(op, inputs)"),
        (ndl.transpose, "(a, axes=None)"),
        (ndl.reshape, "(a, shape)"),
        (ndl.broadcast_to, "(a, shape)"),
        (ndl.summation, "(a, axes=None)"),
        (ndl.add_scalar, "(a, scalar)"),
        (ndl.divide_scalar, "(a, scalar)"),
        (ndl.power, "(a, b)"),
        (autograd.find_topo_sort, "(node_list)"),
        (autograd.topo_sort_dfs, "(node, visited, topo_order)"),
        (autograd.compute_gradient_of_variables, "(output_tensor, out_grad)"),
        (autograd.sum_node_list, "(node_list)"),
    ],
    ids=lambda value: getattr(value, "__qualname__", str(value)),
)
def test_arguments_are_those_of_the_course(function: Callable[..., Any], expected: str) -> None:
    signature = inspect.signature(function)
    plain = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    assert str(inspect.Signature(plain)) == expected


def test_a_tensor_prints_as_its_array() -> None:
    x = Tensor([[1.0, 2.0], [3.0, 4.0]])
    assert repr(x) == "needle.Tensor([[1. 2.]\n [3. 4.]])"
    assert str(x) == "[[1. 2.]\n [3. 4.]]"


def test_there_is_one_device() -> None:
    assert repr(ndl.cpu()) == "needle.cpu()"
    assert ndl.all_devices() == [ndl.cpu()] == [Tensor([1.0]).device]
    assert isinstance(ndl.cpu(), autograd.Device)
    assert ndl.cpu().enabled()
    assert {ndl.cpu(): 1}[ndl.cpu()] == 1
    assert ndl.cpu() != "cpu"
    with pytest.raises(ValueError, match=r"device 'cuda' is not here; there is \[needle.cpu\(\)\]"):
        Tensor([1.0], device="cuda")  # type: ignore[arg-type]


def test_a_tensor_copies_arrays_and_shares_tensors() -> None:
    array = np.ones(3)
    x = Tensor(array, device=ndl.cpu())
    array[0] = 9
    assert x.numpy().tolist() == [1, 1, 1]
    assert Tensor(x).numpy() is x.numpy()
    assert Tensor(x, dtype="float32").dtype == np.float32
    assert x.requires_grad
    assert not Tensor(x, requires_grad=False).requires_grad
    assert (x.shape, x.dtype, x.is_leaf(), list(x.inputs)) == ((3,), np.dtype(np.float64), True, [])
    assert x.op is x.grad is None


def test_data_detaches_and_takes_tensors_of_its_dtype() -> None:
    x = normal(3)
    y = x * 2
    assert y.data.is_leaf()
    assert y.data.numpy() is y.numpy() is y.detach().numpy()
    assert not y.detach().requires_grad
    x.data = Tensor([1.0, 2.0, 3.0])
    assert x.numpy().tolist() == [1, 2, 3]
    with pytest.raises(TypeError, match=r"data must have dtype float64, got float32"):
        x.data = Tensor([1.0], dtype="float32")
    with pytest.raises(TypeError, match=r"data must be a needle.Tensor, got ndarray"):
        x.data = np.ones(3)


def test_the_live_array_may_be_changed_and_the_next_forward_sees_it() -> None:
    x = Tensor([1.0, 2.0])
    y = x * x  # a graph that reads x is alive
    x.realize_cached_data()[0] = 3.0
    assert x.numpy() is x.realize_cached_data()
    assert (x * x).numpy().tolist() == [9, 4]
    assert y.numpy().tolist() == [1, 4]


def test_make_const_takes_tensors_and_arrays_without_a_copy() -> None:
    array = np.ones(2)
    const = Tensor.make_const(array)
    assert (const.numpy() is array, const.requires_grad, const.is_leaf()) == (True, False, True)
    assert Tensor.make_const(const, requires_grad=True).requires_grad


# -- nodes ------------------------------------------------------------------------------------------------------------


def test_the_nodes_of_operators() -> None:
    a, b = normal(2), normal(2)
    assert names(autograd.find_topo_sort([a - b])) == ["leaf", "leaf", "Negate", "EWiseAdd"]
    assert names(autograd.find_topo_sort([3 * a])) == ["leaf", "MulScalar"]
    assert names(autograd.find_topo_sort([a + 3])) == ["leaf", "AddScalar"]
    assert names(autograd.find_topo_sort([a - 3])) == ["leaf", "AddScalar"]
    assert names(autograd.find_topo_sort([3 - a])) == ["leaf", "Negate", "AddScalar"]
    assert names(autograd.find_topo_sort([a / 3])) == ["leaf", "DivScalar"]
    assert names(autograd.find_topo_sort([a**3])) == ["leaf", "PowerScalar"]
    assert names(autograd.find_topo_sort([a**b])) == ["leaf", "leaf", "EWisePow"]
    tripled: Any = 3 * a
    assert tripled.op.scalar == 3
    assert tripled.inputs[0] is a


def test_the_order_is_post_order_depth_first_with_every_node_once() -> None:
    a, b = normal(1), normal(1)
    c = 3 * a * a + 4 * b * a - a
    order = autograd.find_topo_sort([c])
    assert names(order) == [
        "leaf", "MulScalar", "EWiseMul", "leaf", "MulScalar", "EWiseMul", "EWiseAdd", "Negate", "EWiseAdd"
    ]  # fmt: skip
    assert (order[0], order[3], order[-1]) == (a, b, c)
    assert len({id(x) for x in order}) == len(order)
    assert autograd.find_topo_sort([a, c, a])[-1] is c


def test_topo_sort_dfs_leaves_out_what_is_visited() -> None:
    a, b = normal(1), normal(1)
    product = a * b
    visited: set[Any] = {a}
    order: list[Any] = [a]
    autograd.topo_sort_dfs(product, visited, order)
    assert order == [a, b, product]
    assert visited == {a, b, product}
    autograd.topo_sort_dfs(product, visited, order)
    assert len(order) == 3


def test_sum_node_list_makes_no_node_for_zero() -> None:
    a, b, c = normal(2), normal(2), normal(2)
    total = autograd.sum_node_list([a, b, c])
    assert names(autograd.find_topo_sort([total])) == ["leaf", "leaf", "EWiseAdd", "leaf", "EWiseAdd"]
    assert autograd.sum_node_list([a]) is a
    with pytest.raises(ValueError, match="there is no sum of no nodes"):
        autograd.sum_node_list([])


def test_a_tensor_without_gradients_leaves_no_node() -> None:
    x = Tensor([1.0, 2.0], requires_grad=False)
    y = x * 2 + x
    assert (y.is_leaf(), y.requires_grad, y.numpy().tolist()) == (True, False, [3, 6])
    assert (y * normal(2)).requires_grad


# -- operators --------------------------------------------------------------------------------------------------------


def test_reflected_operators() -> None:
    t, a = Tensor([2.0, 4.0]), np.array([3.0, 5.0])
    pairs = [
        (1 - t, 1 - t.numpy()), (1 + t, 1 + t.numpy()), (3 * t, 3 * t.numpy()), (1 / t, 1 / t.numpy()),
        (2**t, 2 ** t.numpy()), (a - t, a - t.numpy()), (a * t, a * t.numpy()), (a / t, a / t.numpy()),
        (a**t, a ** t.numpy()), (a + t, a + t.numpy()), (np.float64(1) - t, 1 - t.numpy()),
        (a @ t, a @ t.numpy()), (t @ a, t.numpy() @ a), ([1.0, 2.0] - t, [1.0, 2.0] - t.numpy()),
        (t - a, t.numpy() - a), (t / a, t.numpy() / a),
    ]  # fmt: skip
    for found, expected in pairs:
        assert isinstance(found, Tensor)
        np.testing.assert_allclose(found.numpy(), expected)


def test_operators_refuse_what_is_no_number() -> None:
    with pytest.raises(TypeError, match=r"unsupported operand type\(s\) for \+: 'Tensor' and 'str'"):
        normal(2) + "a"
    with pytest.raises(TypeError, match=r"unsupported operand type\(s\) for \*: 'NoneType' and 'Tensor'"):
        None * normal(2)


def test_unsigned_integers_do_not_wrap_around_when_they_are_subtracted() -> None:
    x = Tensor([1.0, 2.0])
    few = np.array([3, 5], np.uint8)
    for other in (few, Tensor(few)):
        assert (x - other).numpy().tolist() == [-2, -3]
    assert (x - np.uint8(3)).numpy().tolist() == [-2, -1]
    assert (Tensor(few) - Tensor(few + 2)).numpy().tolist() == [-2, -2]


def test_divide_scalar_takes_arrays_with_one_entry() -> None:
    x = normal(3, 2)
    y = ndl.divide_scalar(x, scalar=np.array([4.0]))
    y.backward()
    assert (y.shape, x.grad.shape) == ((3, 2), (3, 2))
    np.testing.assert_allclose(x.grad.numpy(), np.full((3, 2), 0.25))
    with pytest.raises(
        TypeError, match=r"DivScalar: expected a number, or an array with one entry, got ndarray"
    ):
        ndl.divide_scalar(x, np.ones(2))


def test_transpose_swaps_the_last_two_axes_or_the_two_that_are_named() -> None:
    x = normal(2, 3, 4)
    assert x.transpose().shape == ndl.transpose(x).shape == (2, 4, 3)
    assert x.transpose((0, 2)).shape == (4, 3, 2)
    assert x.transpose([1, 0]).shape == (3, 2, 4)
    with pytest.raises(
        ValueError, match=r"expected two axes to exchange, or None for the last two, got \(0, 1, 2\)"
    ):
        x.transpose((0, 1, 2))
    with pytest.raises(ValueError, match=r"an array of shape \(2, 3, 4\) does not have the axes 0 and 3"):
        x.transpose((0, 3))
    with pytest.raises(ValueError, match=r"an array of shape \(3,\) does not have the axes -1 and -2"):
        normal(3).transpose()


@pytest.mark.parametrize("axes", [None, 0, -1, (0,), [0, 1], (0, 1), ()], ids=str)
def test_summation_takes_none_an_int_or_a_tuple(axes: Any) -> None:
    x = normal(3, 4)
    y = x.sum(axes)
    assert type(y.numpy()) is np.ndarray
    np.testing.assert_allclose(y.numpy(), x.numpy().sum(tuple(axes) if isinstance(axes, list) else axes))
    y.backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.ones((3, 4)))


def test_full_reductions_are_arrays_of_no_dimension() -> None:
    class Mean(TensorOp):
        def compute(self, *args: np.ndarray) -> Any:
            return args[0].mean()

        def gradient(self, out_grad: Any, node: Any) -> Any:
            (x,) = node.inputs
            return ndl.broadcast_to(out_grad / x.numpy().size, x.shape)

    x = normal(3)
    for y in (x.sum(), Mean()(x), x @ x, ops.cross_entropy(normal(2, 3), normal(2, 3))):
        assert type(y.realize_cached_data()) is np.ndarray
        assert y.shape == ()
        y.backward()
        assert type(x.grad.realize_cached_data()) is np.ndarray


@pytest.mark.parametrize(
    ("left", "right"),
    [((3, 4), (4, 5)), ((2, 3, 4), (4, 5)), ((3, 4), (2, 4, 5)), ((6, 1, 3, 4), (2, 4, 5)), ((1, 3, 4), (2, 4, 5)),
     ((4,), (4,)), ((4,), (2, 4, 5)), ((2, 3, 4), (4,))],
    ids=str,
)  # fmt: skip
def test_matmul_broadcasts_in_both_directions(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    check_orders(ndl.matmul, normal(*left), normal(*right))


@pytest.mark.parametrize(
    ("shape", "wide"),
    [((), (2, 3)), ((1,), (2, 3)), ((3,), (2, 3)), ((3, 1), (3, 4)), ((1, 1), (5, 2, 3)), ((2,), (2,))],
)
def test_broadcast_to(shape: tuple[int, ...], wide: tuple[int, ...]) -> None:
    x = normal(*shape)
    np.testing.assert_array_equal(x.broadcast_to(wide).numpy(), np.broadcast_to(x.numpy(), wide))
    check_orders(lambda x: ndl.broadcast_to(x, wide) * 2, x)


def test_errors_of_operators_name_the_operator_and_the_shapes() -> None:
    with pytest.raises(
        ValueError, match=r"^MatMul of float64 \(2, 3\) and float64 \(2, 3\): matmul: Input operand 1"
    ):
        normal(2, 3) @ normal(2, 3)
    with pytest.raises(
        ValueError, match=r"^EWiseAdd of float64 \(2,\) and float64 \(3,\): operands could not be broadcast"
    ):
        normal(2) + normal(3)
    with pytest.raises(
        ValueError, match=r"^Reshape: an array of shape \(2, 3\) has 6 entries, which do not fill \(4,\)"
    ):
        normal(2, 3).reshape((4,))
    with pytest.raises(
        ValueError, match=r"^BroadcastTo: an array of shape \(2,\) does not broadcast to \(3,\)"
    ):
        normal(2).broadcast_to((3,))
    with pytest.raises(ValueError, match=r"^Summation of float64 \(2,\): axis 1 is out of bounds"):
        normal(2).sum(1)
    with pytest.raises(
        ValueError, match=r"^PowerScalar of int64 \(1,\): Integers to negative integer powers"
    ):
        Tensor(np.array([2], np.int64)) ** -1
    with pytest.raises(
        TypeError, match=r"^EWiseAdd: input 1 must be a needle.Tensor, got ndarray; make one with"
    ):
        ndl.add(normal(2), np.ones(2))  # type: ignore[arg-type]


@pytest.mark.parametrize("value", ["abc", None, {1: 2}, [[1.0], [2.0, 3.0]], np.array([None])], ids=str)
def test_unconvertible_values_are_refused(value: Any) -> None:
    with pytest.raises(
        TypeError, match=r"^cannot make an array of numbers of (str|NoneType|dict|list|ndarray)"
    ):
        Tensor(value)


# -- gradients --------------------------------------------------------------------------------------------------------


def check_orders(f: Callable[..., Any], *args: Tensor) -> None:
    """Compare first- and second-order gradients of `f`, weighted, with finite differences."""

    def total(*arrays: np.ndarray) -> Any:
        out = f(*(Tensor(a) for a in arrays)).numpy()
        return np.sum(out * weights_of(out.shape))

    def slope(i: int, *arrays: np.ndarray) -> Any:
        leaves = [Tensor(a) for a in arrays]
        return ndl.summation(gradients(f, leaves)[i] * np.cos(arrays[i])).numpy()

    arrays = [x.numpy().copy() for x in args]
    first = gradients(f, list(args))
    for i, gradient in enumerate(first):
        assert gradient.shape == args[i].shape
        expected = numerical_gradient(total, *arrays, argnums=i)
        np.testing.assert_allclose(gradient.numpy(), expected, rtol=1e-6, atol=1e-7)
    for i, gradient in enumerate(first):
        for x in args:
            x.grad = None
        ndl.summation(gradient * np.cos(arrays[i])).backward()
        for j, x in enumerate(args):
            expected = numerical_gradient(lambda *a, i=i: slope(i, *a), *arrays, argnums=j)
            found = np.zeros(x.shape) if x.grad is None else x.grad.numpy()
            if i == j:  # the weight cos(x) is a constant to the graph, but not to the differences
                expected = expected - gradient.numpy() * -np.sin(arrays[i])
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def weights_of(shape: tuple[int, ...]) -> np.ndarray:
    return np.linspace(0.5, 2.0, int(np.prod(shape))).reshape(shape)


def gradients(f: Callable[..., Any], leaves: list[Tensor]) -> list[Any]:
    out = f(*leaves)
    out.backward(Tensor(weights_of(out.shape)))
    return [x.grad for x in leaves]


@pytest.mark.parametrize(
    ("f", "args"),
    [
        (ndl.add, (normal(3, 2), normal(3, 2))),
        (ndl.add, (normal(3, 2), normal(2))),
        (lambda x: ndl.add_scalar(x, 3) * x, (normal(3),)),
        (ndl.multiply, (normal(3, 2), normal(3, 1))),
        (lambda x: ndl.mul_scalar(x, 3) * x, (normal(3),)),
        (ndl.divide, (normal(3, 2), positive(3, 2))),
        (ndl.divide, (normal(3, 1), positive(2))),
        (lambda x: ndl.divide_scalar(x * x, 3), (normal(3),)),
        (lambda x: 1 / x, (positive(3),)),
        (lambda x: ndl.power_scalar(x, 3), (normal(3),)),
        (lambda x: ndl.power_scalar(x, -2), (positive(3),)),
        (lambda x: ndl.power_scalar(x, 0) * x * x, (positive(3),)),
        (lambda x: 2**x, (normal(3),)),
        (ndl.power, (positive(3), normal(3))),
        (lambda x: ndl.summation(x * x * x, 0), (normal(3, 2),)),
        (lambda x: ndl.reshape(x * x, (2, 3)), (normal(3, 2),)),
        (lambda x: ndl.transpose(x * x, (0, 2)), (normal(3, 2, 2),)),
        (ndl.negate, (normal(3),)),
        (ndl.log, (positive(3),)),
        (ndl.exp, (normal(3),)),
        (lambda x: ndl.relu(x) * x, (normal(3, 3),)),
        (ops.log_softmax, (normal(3, 4),)),
        (ops.cross_entropy, (normal(3, 4), positive(3, 4))),
        (lambda z, y: ops.cross_entropy(ops.log_softmax(z), y), (normal(3, 4), positive(3, 4))),
        (lambda x, y: ndl.exp(x @ y) - 1 / (1 + y.transpose() * x), (0.3 * normal(3, 3).data, normal(3, 3))),
    ],
    ids=lambda f: getattr(f, "__name__", None),
)
def test_gradients_and_gradients_of_gradients(f: Callable[..., Any], args: tuple[Tensor, ...]) -> None:
    check_orders(f, *(Tensor(x.numpy()) for x in args))


def test_a_third_derivative() -> None:
    x = Tensor([0.5, 1.5])
    y = x**4 + ndl.exp(2 * x)
    for _ in range(3):
        y.backward()
        y = x.grad
    np.testing.assert_allclose(y.numpy(), 24 * x.numpy() + 8 * np.exp(2 * x.numpy()))


def test_gradients_are_tensors_with_inputs_of_their_own() -> None:
    x, y = Tensor([6]), Tensor([0])
    z = x * x + x * y
    z.backward()
    x_grad, y_grad = x.grad, y.grad
    assert isinstance(x_grad, Tensor)
    assert names(autograd.find_topo_sort([x_grad]))[-1] == "EWiseAdd"
    x_grad.backward()
    assert [float(t.numpy()[0]) for t in (x_grad, y_grad, x.grad, y.grad)] == [12, 6, 2, 1]


def test_the_graph_of_a_gradient_is_made_when_it_is_looked_at() -> None:
    x, y = Tensor([2.0]), Tensor([5.0])
    z = x * x * y
    z.backward()
    gradient = x.grad
    assert (gradient.numpy(), gradient.requires_grad, gradient._node) == (20, True, None)
    assert names(autograd.find_topo_sort([gradient]))[-1] == "EWiseAdd"
    assert gradient._node is not None
    gradient.backward()
    assert (x.grad.numpy(), y.grad.numpy()) == (10, 4)
    assert gradient.detach().is_leaf()


def test_a_gradient_that_is_another_tensor_depends_on_that() -> None:
    x = Tensor([3.0])
    weight = x * x
    (x + 1).backward(weight)
    gradient = x.grad
    assert gradient.numpy() == 9
    gradient.backward()
    assert x.grad.numpy() == 6


def test_a_weight_without_gradients_leaves_the_gradient_its_own() -> None:
    x = Tensor([3.0])
    (x * x).backward(Tensor([2.0], requires_grad=False))
    gradient = x.grad
    gradient.backward()
    assert (gradient.numpy(), x.grad.numpy()) == (12, 4)


def test_the_graph_of_a_gradient_of_values_that_are_gone_is_refused() -> None:
    x = Tensor([2.0, 3.0])
    (x * x * x).backward()
    gradient = x.grad
    x.realize_cached_data()[0] = 7
    with pytest.raises(
        ValueError, match=r"arrays that it was computed from have been changed since backward"
    ):
        gradient.backward()
    assert gradient.numpy().tolist() == [12, 27]


@pytest.mark.parametrize(
    ("op", "args"),
    [
        (ndl.add, (normal(2), normal(2))),
        (ndl.multiply, (normal(2), normal(2))),
        (ndl.divide, (normal(2), positive(2))),
        (ndl.power, (positive(2), normal(2))),
        (ndl.matmul, (normal(2, 3), normal(3, 2))),
        (ndl.summation, (normal(2, 3),)),
        (ndl.transpose, (normal(2, 3),)),
        (lambda x: ndl.reshape(x, (3, 2)), (normal(2, 3),)),
        (lambda x: ndl.broadcast_to(x, (2, 3)), (normal(3),)),
        (lambda x: ndl.mul_scalar(x, 2), (normal(3),)),
        (ndl.relu, (normal(3),)),
        (ndl.log, (positive(3),)),
    ],
    ids=lambda f: getattr(f, "__name__", None),
)
def test_the_gradient_method_gives_what_backward_does(
    op: Callable[..., Any], args: tuple[Tensor, ...]
) -> None:
    out = op(*args)
    seed = Tensor(weights_of(out.shape))
    direct = out.op.gradient_as_tuple(seed, out)
    out.backward(seed)
    assert len(direct) == len(args)
    for gradient, x in zip(direct, args, strict=True):
        assert isinstance(gradient, Tensor)
        np.testing.assert_array_equal(gradient.numpy(), x.grad.numpy())


def test_the_gradient_method_keeps_the_two_places_of_one_tensor_apart() -> None:
    x = Tensor([2.0, 3.0])
    y: Any = x / x
    left, right = y.op.gradient_as_tuple(Tensor([1.0, 1.0]), y)
    np.testing.assert_allclose(left.numpy(), [1 / 2, 1 / 3])
    np.testing.assert_allclose(right.numpy(), [-1 / 2, -1 / 3])


def test_backward_sets_gradients_and_never_adds_to_them() -> None:
    x = Tensor([2.0])
    y = x * x
    z = y * 3
    for _ in range(2):
        z.backward()
        assert (x.grad.numpy(), y.grad.numpy(), z.grad.numpy()) == (12, 3, 1)


def test_backward_takes_the_weights_of_the_entries() -> None:
    x = normal(3)
    y = 2 * x
    for weights in (Tensor([1.0, 2.0, 3.0]), [1.0, 2.0, 3.0], np.array([1.0, 2.0, 3.0])):
        y.backward(weights)
        assert x.grad.numpy().tolist() == [2, 4, 6]
    y.backward()
    assert x.grad.numpy().tolist() == [2, 2, 2]
    with pytest.raises(ValueError, match=r"out_grad has shape \(2,\), expected this Tensor's, \(3,\)"):
        y.backward(Tensor([1.0, 2.0]))


def test_backward_of_what_requires_no_gradients_says_so() -> None:
    with pytest.raises(ValueError, match="does not depend on any that requires gradients"):
        (Tensor([1.0], requires_grad=False) * 2).backward()


def test_no_gradient_is_computed_where_none_is_required(products: list[int]) -> None:
    x, w = Tensor(np.ones((3, 2)), requires_grad=False), normal(2, 4)
    (x @ w).backward()
    assert (len(products), x.grad, w.grad.shape) == (2, None, (2, 4))


@pytest.fixture
def products(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that grows by one with every product of matrices, forward and backward."""
    calls = count_calls(monkeypatch, ops.MatMul)
    times = arithmetic.times

    def counted(a: Any, b: Any) -> Any:
        calls.append(1)
        return times(a, b)

    monkeypatch.setattr(arithmetic, "times", counted)
    return calls


def count_calls(monkeypatch: pytest.MonkeyPatch, op: Any) -> list[int]:
    """Return a list that grows by one with every forward pass of an operator."""
    calls: list[int] = []
    compute = op.compute

    def counted(self: Any, *arrays: np.ndarray) -> Any:
        calls.append(1)
        return compute(self, *arrays)

    monkeypatch.setattr(op, "compute", counted)
    return calls


# -- dtypes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "f",
    [
        lambda x, w: x + w,
        lambda x, w: x * np.float64(2.5) + 1,
        lambda x, w: 1 - x / 3,
        lambda x, w: 1 / (x * x + 1),
        lambda x, w: x**2 + 2**x,
        lambda x, w: x @ w.transpose(),
        lambda x, w: ndl.exp(x) * ndl.relu(w),
        lambda x, w: ndl.log(x * x + 1).sum(1),
        lambda x, w: ndl.divide_scalar(x, np.array([3.0])),
        lambda x, w: ops.log_softmax(x) * np.ones((3, 4), np.float32),
        lambda x, w: ndl.broadcast_to(x.reshape((1, 12)), (5, 12)),
    ],
)
def test_float32_stays_float32(f: Callable[..., Any]) -> None:
    x, w = normal(3, 4, dtype=np.float32), normal(3, 4, dtype=np.float32)
    y = f(x, w)
    y.backward()
    first = x.grad
    assert (y.dtype, first.dtype) == (np.float32, np.float32)
    if (first * first).requires_grad:
        (first * first).backward()
        assert x.grad.dtype == np.float32


def test_float32_leaves_of_float64_computations_have_float32_gradients() -> None:
    z, target = normal(3, 4, dtype=np.float32), Tensor(np.eye(3, 4))
    loss = ops.cross_entropy(ops.log_softmax(z), target)
    loss.backward()
    assert (z.grad.dtype, target.grad.dtype) == (np.float32, np.float64)
    (z * np.ones(4)).backward(Tensor(np.ones((3, 4))))
    assert z.grad.dtype == np.float32


def test_integers_take_part_in_gradients() -> None:
    x = Tensor([2, 3])
    y = x * x / 4
    y.backward()
    assert x.grad.dtype == np.float64
    assert x.grad.numpy().tolist() == [1, 1.5]
    x.sum().backward()
    assert x.grad.numpy().tolist() == [1, 1]


# -- operators of students' own ---------------------------------------------------------------------------------------


class Sine(TensorOp):
    def compute(self, *args: np.ndarray) -> Any:
        return np.sin(*args)

    def gradient(self, out_grad: Any, node: Any) -> Any:
        return out_grad * Cosine()(node.inputs[0])


class Cosine(TensorOp):
    def compute(self, *args: np.ndarray) -> Any:
        return np.cos(*args)

    def gradient(self, out_grad: Any, node: Any) -> Any:
        return [-out_grad * Sine()(node.inputs[0])]


def test_operators_of_a_students_own_work_to_any_order() -> None:
    x = Tensor([0.3, 1.2])
    y = Sine()(x) * x
    for expected in (
        np.sin(x.numpy()) + x.numpy() * np.cos(x.numpy()),
        2 * np.cos(x.numpy()) - x.numpy() * np.sin(x.numpy()),
    ):
        y.backward()
        y = x.grad
        np.testing.assert_allclose(y.numpy(), expected)


def test_operators_of_two_inputs_may_leave_a_gradient_out_and_give_arrays() -> None:
    class Pick(TensorOp):
        def compute(self, *args: np.ndarray) -> Any:
            return args[0] * 2

        def gradient(self, out_grad: Any, node: Any) -> Any:
            return 2 * out_grad.numpy(), None

    a, b = normal(2, dtype=np.float32), normal(2)
    Pick()(a, b).backward(Tensor([1.0, 3.0]))
    assert (a.grad.numpy().tolist(), a.grad.dtype, b.grad) == ([2, 6], np.float32, None)


def own(gradient: Callable[..., Any]) -> TensorOp:
    """Return an operator of two inputs with the gradient that is given."""

    class Own(TensorOp):
        def compute(self, *args: np.ndarray) -> Any:
            return args[0] + args[1]

    Own.gradient = lambda self, out_grad, node: gradient(out_grad, node)  # type: ignore[method-assign]
    return Own()


def test_wrong_gradients_of_a_students_operator_are_refused() -> None:
    a, b = normal(2), normal(2)
    with pytest.raises(ValueError, match=r"^Own.gradient: expected 2 gradients, one per input, got 1"):
        own(lambda g, node: g)(a, b).backward()
    with pytest.raises(
        ValueError, match=r"^Own.gradient, gradient 1: expected the input's shape \(2,\), got \(\)"
    ):
        own(lambda g, node: (g, g.sum()))(a, b).backward()
    with pytest.raises(TypeError, match=r"^cannot make an array of numbers of str 'g'"):
        own(lambda g, node: (g, "g"))(a, b).backward()
    with pytest.raises(ZeroDivisionError):
        own(lambda g, node: (g, 1 / 0))(a, b).backward()
    with pytest.raises(NotImplementedError, match=r"Half must define gradient\(self, out_grad, node\)"):
        type("Half", (TensorOp,), {"compute": lambda self, x: x / 2})()(a).backward()
    with pytest.raises(NotImplementedError, match=r"Empty must define compute\(self, \*arrays\)"):
        type("Empty", (TensorOp,), {})()(a)
    with pytest.raises(TypeError, match=r"^Text.compute: cannot make an array of numbers of str 'x'"):
        type("Text", (TensorOp,), {"compute": lambda self, x: "x"})()(a)
    with pytest.raises(NotImplementedError, match=r"Bare must define __call__; derive it from TensorOp"):
        type("Bare", (Op,), {})()(a)


def test_a_students_gradient_takes_the_place_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    class Negated(ops.EWiseMul):
        def gradient(self, out_grad: Any, node: Any) -> Any:
            a, b = node.inputs
            return -out_grad * b, -out_grad * a

    a, b = Tensor([2.0]), Tensor([5.0])
    Negated()(a, b).backward()
    assert (a.grad.numpy(), b.grad.numpy()) == (-5, -2)
    monkeypatch.setattr(ops.EWiseMul, "gradient", lambda self, out_grad, node: (out_grad * 100, out_grad))
    (a * b).backward()
    assert (a.grad.numpy(), b.grad.numpy()) == (100, 1)


# -- lazy mode, long chains, memory -----------------------------------------------------------------------------------


def test_lazy_mode_computes_when_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ndl.autograd, "LAZY_MODE", True)
    count = count_calls(monkeypatch, ops.MatMul)
    x = normal(2, 2)
    y = (x @ x) * 2
    assert (len(count), y.cached_data) == (0, None)
    np.testing.assert_allclose(y.numpy(), 2 * x.numpy() @ x.numpy())
    y.numpy()
    assert len(count) == 1
    y.backward()
    np.testing.assert_allclose(
        x.grad.numpy(), 2 * (np.ones((2, 2)) @ x.numpy().T + x.numpy().T @ np.ones((2, 2)))
    )


def test_lazy_chains_may_be_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ndl.autograd, "LAZY_MODE", True)
    y = Tensor([1.0])
    for _ in range(100_000):
        y = y + 1
    assert y.numpy() == 100_001


def test_a_chain_may_be_long_in_everything() -> None:
    x = y = Tensor([1.0])
    for _ in range(100_000):
        y = y * 1.00001
    order = autograd.find_topo_sort([y])
    assert len(order) == 100_001
    visited: list[Any] = []
    autograd.topo_sort_dfs(y, set(), visited)
    assert visited == order
    del order, visited
    (y * x).backward()
    gradient = x.grad
    np.testing.assert_allclose(gradient.numpy(), 2 * 1.00001**100_000)
    gradient.backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * 1.00001**100_000)
    del y, gradient
    x.grad = None
    gc.collect()


def test_diamonds_are_walked_once() -> None:
    x = y = Tensor([1.0])
    for _ in range(60):
        y = (y + y) * 0.5
    y.backward()
    assert x.grad.numpy() == 1


def test_an_epoch_leaves_nothing_to_the_collector(simple_ml: ModuleType) -> None:
    X, y = RNG.random((40, 6)).astype(np.float32), RNG.integers(3, size=40).astype(np.uint8)
    W1, W2 = normal(6, 5, dtype=np.float32), normal(5, 3, dtype=np.float32)
    simple_ml.nn_epoch(X, y, W1, W2, batch=10)
    gc.collect()
    gc.disable()
    try:
        simple_ml.nn_epoch(X, y, W1, W2, batch=10)
        alive = sum(type(x) is Tensor for x in gc.get_objects())
        gc.collect()
        assert alive == sum(type(x) is Tensor for x in gc.get_objects())
    finally:
        gc.enable()


def test_the_graph_can_be_drawn() -> None:
    a, b = Tensor([1.0]), Tensor([2.0])
    y = a * b
    assert [tuple(node)[1:4] for node in y.__graph__()] == [
        ("", "input", []),
        ("", "input", []),
        ("EWiseMul", "operation", [id(a), id(b)]),
    ]


# -- apps/simple_ml.py ------------------------------------------------------------------------------------------------


def test_softmax_loss_is_the_mean_and_a_tensor(simple_ml: ModuleType) -> None:
    Z, y = normal(5, 3), np.eye(3)[[0, 2, 1, 1, 0]]
    loss = simple_ml.softmax_loss(Z, Tensor(y))
    assert isinstance(loss, Tensor)
    assert loss.shape == ()
    z = Z.numpy()
    np.testing.assert_allclose(loss.numpy(), np.mean(np.log(np.exp(z).sum(1)) - (z * y).sum(1)))
    big = simple_ml.softmax_loss(Tensor([[1000.0, -1000.0]]), Tensor([[0.0, 1.0]]))
    assert big.numpy() == 2000


def test_softmax_loss_against_pytorch(simple_ml: ModuleType, torch: ModuleType) -> None:
    z, y = RNG.standard_normal((6, 4)), RNG.integers(4, size=6)
    Z, T = Tensor(z), torch.from_numpy(z).requires_grad_()
    simple_ml.softmax_loss(Z, Tensor(np.eye(4)[y])).backward()
    torch.nn.functional.cross_entropy(T, torch.from_numpy(y)).backward()
    np.testing.assert_allclose(Z.grad.numpy(), T.grad.numpy(), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("rows", [1, 40, 47])
def test_nn_epoch_is_descent_in_order(simple_ml: ModuleType, torch: ModuleType, rows: int) -> None:
    X, y = RNG.standard_normal((rows, 6)).astype(np.float32), RNG.integers(3, size=rows).astype(np.uint8)
    W1, W2 = normal(6, 5, dtype=np.float32), normal(5, 3, dtype=np.float32)
    before = W1.numpy().copy(), W2.numpy().copy()
    found = simple_ml.nn_epoch(X, y, W1, W2, lr=0.5, batch=10)
    expected = [torch.from_numpy(w).double().requires_grad_() for w in before]
    for start in range(0, rows, 10):
        part = torch.from_numpy(X[start : start + 10]).double()
        labels = torch.from_numpy(y[start : start + 10].astype(np.int64))
        loss = torch.nn.functional.cross_entropy(torch.relu(part @ expected[0]) @ expected[1], labels)
        steps = torch.autograd.grad(loss, expected)
        expected = [(w - 0.5 * g).detach().requires_grad_() for w, g in zip(expected, steps, strict=True)]
    for old, kept, new, reference in zip(before, (W1, W2), found, expected, strict=True):
        assert (type(new), new.dtype, new.is_leaf(), new.requires_grad) == (Tensor, np.float32, True, True)
        np.testing.assert_array_equal(kept.numpy(), old)
        np.testing.assert_allclose(new.numpy(), reference.detach().numpy(), rtol=1e-4, atol=1e-5)


def test_nn_epoch_does_no_more_products_than_it_needs(simple_ml: ModuleType, products: list[int]) -> None:
    X, y = RNG.random((30, 6)).astype(np.float32), RNG.integers(3, size=30).astype(np.uint8)
    W1, W2 = normal(6, 5, dtype=np.float32), normal(5, 3, dtype=np.float32)
    simple_ml.nn_epoch(X, y, W1, W2, batch=10)
    assert len(products) == 3 * 5  # two forward, and three backward: none for the gradient of the inputs


def test_nn_epoch_learns_the_digits(simple_ml: ModuleType) -> None:
    digits = ROOT / "mytorch" / "data" / "digits"
    X, y = simple_ml.parse_mnist(digits / "images-idx3-ubyte.gz", digits / "labels-idx1-ubyte.gz")
    X *= 255 / 16  # their pixels run to 16
    source = np.random.default_rng(0)
    shapes = (64, 100), (100, 10)
    W1, W2 = (Tensor(0.3 * source.standard_normal(shape).astype(np.float32)) for shape in shapes)
    for _ in range(10):
        W1, W2 = simple_ml.nn_epoch(X, y, W1, W2, lr=0.2, batch=50)
    loss, error = simple_ml.loss_err(ndl.relu(Tensor(X) @ W1) @ W2, y)
    assert loss < 0.15
    assert error < 0.05


def test_parse_mnist_reads_rows_from_0_to_1(simple_ml: ModuleType) -> None:
    digits = ROOT / "mytorch" / "data" / "digits"
    X, y = simple_ml.parse_mnist(
        image_filesname=str(digits / "images-idx3-ubyte.gz"),
        label_filename=str(digits / "labels-idx1-ubyte.gz"),
    )
    assert (X.shape, X.dtype, y.shape, y.dtype) == ((1797, 64), np.float32, (1797,), np.uint8)
    assert X.max() == np.float32(16) / np.float32(255)


def test_parse_mnist_refuses_what_is_no_mnist(simple_ml: ModuleType, tmp_path: Path) -> None:
    labels = ROOT / "mytorch" / "data" / "digits" / "labels-idx1-ubyte.gz"
    with pytest.raises(FileNotFoundError, match=r"train-images"):
        simple_ml.parse_mnist(tmp_path / "train-images-idx3-ubyte.gz", labels)
    (tmp_path / "damaged").write_bytes(b"no idx file")
    with pytest.raises(DataError, match=r"damaged: not an idx file"):
        simple_ml.parse_mnist(tmp_path / "damaged", labels)


@pytest.mark.mnist
def test_an_epoch_of_mnist_gives_the_numbers_of_the_course(simple_ml: ModuleType, mnist_folder: Path) -> None:
    files = [mnist_folder / f"train-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1")]
    X, y = simple_ml.parse_mnist(*files)
    np.random.seed(0)
    W1 = Tensor(np.random.randn(784, 100).astype(np.float32) / np.float32(10))
    W2 = Tensor(np.random.randn(100, 10).astype(np.float32) / np.float32(np.sqrt(10)))
    W1, W2 = simple_ml.nn_epoch(X, y, W1, W2, lr=0.2, batch=100)
    assert (W1.dtype, W2.dtype) == (np.float32, np.float32)
    np.testing.assert_allclose(np.linalg.norm(W1.numpy()), 28.437788, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(W2.numpy()), 10.455095, rtol=1e-5)
    loss, error = simple_ml.loss_err(ndl.relu(Tensor(X) @ W1) @ W2, y)
    np.testing.assert_allclose([loss, error], [0.19770025, 0.06006667], rtol=1e-4, atol=1e-4)


# -- the course's folder ----------------------------------------------------------------------------------------------

NOTEBOOK = """
import sys
sys.path.append('./python')
sys.path.append('./apps')
from simple_ml import *
import needle as ndl
from needle import ops
import needle.autograd
from needle.autograd import Tensor, LAZY_MODE, TensorOp, find_topo_sort, compute_gradient_of_variables
from needle.ops import EWiseAdd, relu

class EWiseMul(TensorOp):
    def compute(self, a, b):
        return a * b

    def gradient(self, out_grad: Tensor, node: Tensor):
        lhs, rhs = node.inputs
        return out_grad * rhs, out_grad * lhs

a, b = ndl.Tensor([2.0]), Tensor([3.0])
c = EWiseMul()(a, EWiseAdd()(a, b))
c.backward()
print(c, a.grad, b.grad, ndl.autograd.find_topo_sort is find_topo_sort is needle.autograd.find_topo_sort)
needle.autograd.LAZY_MODE = True
print(ndl.ops.relu(a).cached_data)
needle.autograd.LAZY_MODE = False
X, y = np.ones((4, 2), np.float32), np.array([0, 1, 1, 0], np.uint8)
W1, W2 = nn_epoch(X, y, Tensor(np.ones((2, 3))), Tensor(np.ones((3, 2))))
print(W1.shape, repr(loss_err(relu(Tensor(np.ones((4, 2))) @ W1) @ W2, np.array([0, 1, 1, 1]))[1].item()))
"""


def test_the_notebook_runs_from_the_courses_folder(tmp_path: Path) -> None:
    assert run_in_course(tmp_path, "needle", ["-c", NOTEBOOK]).splitlines() == [
        "[10.] needle.Tensor([7.]) needle.Tensor([2.]) True".replace(
            "needle.Tensor([7.]) needle.Tensor([2.])", "[7.] [2.]"
        ),
        "None",
        "(2, 3) 0.75",
    ]


@pytest.mark.parametrize(
    ("words", "passed"),
    [
        ("forward", 8),
        ("backward", 9),
        ("topo_sort", 1),
        ("compute_gradient", 1),
        ("softmax_loss or nn_epoch", 2),
    ],
)
def test_the_commands_of_the_hand_out_select_what_it_says(tmp_path: Path, words: str, passed: int) -> None:
    out = run_in_course(tmp_path, "needle", ["-m", "pytest", "-v", "--collect-only", "-k", words])
    assert f"{passed}/21 tests collected ({21 - passed} deselected)" in out


def test_the_tests_of_the_hand_out_pass(tmp_path: Path) -> None:
    out = run_in_course(tmp_path, "needle", ["-m", "pytest", "-q", "-k", "not nn_epoch and not softmax_loss"])
    assert "19 passed, 2 deselected" in out
