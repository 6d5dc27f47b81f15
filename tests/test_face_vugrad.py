"""The vugrad face: every name and form of its course, its semantics, and the traps of the course's own library."""

from __future__ import annotations

import importlib
import os
import struct
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from mytorch.data.datasets import MNIST_FILES
from mytorch.faces import vugrad as vg
from mytorch.faces.backproppable import numerical_grad
from mytorch.faces.vugrad import core, modules, ops
from tests.conftest import ROOT

COURSE = ROOT / "courses" / "vugrad"


def node(*shape: int) -> vg.TensorNode:
    """A leaf of random numbers."""
    return vg.TensorNode(np.random.randn(*shape))


def total(x: Any) -> Any:
    """The sum of a node, a scalar to call backward on."""
    return vg.Sum.do_forward(x)


# -- the session of question 5, and the names of the page -------------------------------------------------------


def test_the_session_of_question_5():
    x = vg.TensorNode(np.random.randn(2, 2))
    a, b = vg.TensorNode(np.random.randn(2, 2), name="a"), vg.TensorNode(np.random.randn(2, 2))
    c = a + b
    np.testing.assert_array_equal(c.value, a.value + b.value)
    assert c.source is not None
    assert c.source.op is vg.core.Add
    assert c.source.inputs[0].value is a.value
    assert list(c.source.outputs) == [c]
    assert repr(c.source) == "OpNode(Add of 2 inputs)"
    np.testing.assert_array_equal(a.grad, np.zeros((2, 2)))
    assert (x.source, x.name, a.name) == (None, None, "a")
    assert (x.size(), x.size(0), x.size(dim=1)) == ((2, 2), 2, 2)


def test_an_op_node_has_no_outputs_until_it_is_connected():
    assert vg.OpNode(core.Add, {}, [node(2), node(2)]).outputs is None


def test_every_name_of_the_page_is_where_the_page_says():
    for name in ("TensorNode", "OpNode", "Op", "Add", "Sub", "Multiply", "MatrixMultiply", "Module"):
        assert hasattr(vg.core, name), name
    names = "Log Id Exp Sum RowMax RowSum Normalize BatchMM Sigmoid Expand Select Squeeze Unsqueeze ReLU"
    for name in names.split():
        assert issubclass(getattr(vg.ops, name), vg.core.Op), name
    for name in ("load_synth", "load_mnist", "celoss", "logceloss", "sigmoid", "softmax", "logsoftmax"):
        assert getattr(vg.functions, name) is getattr(vg, name), name
    assert vg.modules.Linear is vg.Linear


# -- operations -----------------------------------------------------------------------------------------------

INDICES = np.array([2, 0, 1, 2])
OPERATIONS: dict[str, tuple[Any, tuple[np.ndarray, ...], dict[str, Any], Callable[..., Any]]] = {}


def row(
    op: Any, function: Callable[..., Any], *shapes: tuple[int, ...], positive: bool = False, **kwargs: Any
) -> None:
    """One operation of the table: what it computes, of arrays of which shapes."""
    rng = np.random.default_rng(len(OPERATIONS))
    arrays = tuple(np.abs(x) + 0.5 if positive else x for x in (rng.normal(size=shape) for shape in shapes))
    OPERATIONS[f"{op.__name__}{shapes}"] = (op, arrays, kwargs, function)


row(core.Add, lambda a, b: a + b, (3, 4), (3, 4))
row(core.Add, lambda a, b: a + b, (3, 4), (4,))
row(core.Sub, lambda a, b: a - b, (3, 1), (3, 4))
row(core.Multiply, lambda a, b: a * b, (3, 4), ())
row(core.Divide, lambda a, b: a / b, (3, 4), (3, 4), positive=True)
row(core.Negate, lambda a: -a, (3, 4))
row(core.MatrixMultiply, lambda a, b: a @ b, (3, 4), (4, 2))
row(core.MatrixMultiply, lambda a, b: a @ b, (4,), (4, 2))
row(ops.Log, np.log, (3, 4), positive=True)
row(ops.Id, lambda a: a, (3, 4))
row(ops.Exp, np.exp, (3, 4))
row(ops.Sum, np.sum, (3, 4))
row(ops.RowMax, lambda a: a.max(1), (3, 4))
row(ops.RowSum, lambda a: a.sum(1), (3, 4))
row(ops.Normalize, lambda a: a / a.sum(1, keepdims=True), (3, 4), positive=True)
row(ops.BatchMM, lambda w, x: np.array([w @ v for v in x]), (2, 4), (3, 4))
row(ops.BatchMM, lambda a, b: a @ b, (5, 3, 4), (5, 4, 2))
row(ops.Sigmoid, lambda a: 1 / (1 + np.exp(-a)), (3, 4))
row(ops.ReLU, lambda a: a * (a > 0), (3, 4))
row(ops.LogSoftmax, lambda a: a - np.log(np.exp(a).sum(1, keepdims=True)), (3, 4))
row(ops.Affine, lambda x, w, b: x @ w.T + b, (5, 3), (4, 3), (1, 4))
row(ops.Expand, lambda a: np.repeat(a, 5, 1), (3, 1), dim=1, repeats=5)
row(ops.Expand, lambda a: np.repeat(a, 2, 0), (1, 4), dim=0, repeats=2)
row(ops.Select, lambda a: a[np.arange(4), INDICES], (4, 3), indices=INDICES)
row(ops.Select, lambda a: a[0, 1:2], (1, 3), indices=[1])
row(ops.Squeeze, lambda a: a[0], (1, 4))
row(ops.Squeeze, lambda a: a[:, 0], (3, 1, 4), dim=1)
row(ops.Unsqueeze, lambda a: a[None], (3, 4))
row(ops.Unsqueeze, lambda a: a[:, :, None], (3, 4), dim=2)


def test_every_operation_has_a_row():
    named = {
        op
        for module in (core, ops)
        for op in vars(module).values()
        if isinstance(op, type) and issubclass(op, vg.Op)
    }
    public = {op for op in named if "forward" not in vars(op) or not op.__name__.endswith("Op")}
    public -= {op for op in public if op.__name__.startswith("_") or op.__name__.endswith("Op")}
    assert {op for op, *_ in OPERATIONS.values()} == public


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_and_their_gradients(name):
    op, arrays, kwargs, function = OPERATIONS[name]
    inputs = [vg.TensorNode(x.copy()) for x in arrays]
    output = op.do_forward(*inputs, **kwargs)
    np.testing.assert_allclose(output.value, function(*arrays), rtol=1e-12)
    weights = np.random.default_rng(7).normal(size=output.size())
    total(output * weights).backward()
    for i, leaf in enumerate(inputs):

        def of_one(x: np.ndarray, i: int = i) -> Any:
            return np.sum(weights * function(*arrays[:i], x, *arrays[i + 1 :]))

        np.testing.assert_allclose(leaf.grad, numerical_grad(of_one, arrays[i]), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", OPERATIONS)
def test_forward_and_backward_as_the_course_calls_them(name):
    op, arrays, kwargs, _ = OPERATIONS[name]
    context: dict[str, Any] = {}
    output = op.forward(context, *arrays, **kwargs)
    weights = np.random.default_rng(7).normal(size=np.shape(output))
    results = op.backward(context, weights)
    results = results if isinstance(results, tuple) else (results,)
    inputs = [vg.TensorNode(x) for x in arrays]
    total(op.do_forward(*inputs, **kwargs) * weights).backward()
    for result, leaf in zip(results, inputs, strict=True):
        np.testing.assert_allclose(result, leaf.grad, rtol=1e-12)


def test_row_max_and_row_sum_share_a_context():
    x = np.random.randn(3, 4)
    of_max: dict[str, Any] = {}
    of_sum: dict[str, Any] = {}
    ops.RowMax.forward(of_max, x)
    ops.RowSum.forward(of_sum, x)
    assert of_max["xshape"] == of_sum["xshape"] == (3, 4)
    g = np.array([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(ops.RowSum.backward(of_max, g), np.repeat(g[:, None], 4, 1))
    np.testing.assert_array_equal(ops.RowSum.backward({"xshape": (3, 4)}, g), np.repeat(g[:, None], 4, 1))
    expected = np.where(x == x.max(1, keepdims=True), g[:, None], 0)
    np.testing.assert_array_equal(ops.RowMax.backward(of_sum, g), expected)


def test_operators_take_numbers_arrays_and_nodes_on_either_side():
    x = np.random.randn(2, 2)
    a = vg.TensorNode(x)
    for made, expected in (
        (2.0 * a, 2 * x),
        (a * 2, x * 2),
        (1 - a, 1 - x),
        (a - x, x - x),
        (x + a, x + x),
        (np.float64(3) * a, 3 * x),
        (-a, -x),
        (a @ a, x @ x),
        (x @ a, x @ x),
        (a.matmul(a), x @ x),
        (a / 2, x / 2),
    ):
        assert isinstance(made, vg.TensorNode)
        np.testing.assert_allclose(made.value, expected)


def test_integers_and_shapes_that_broadcast_are_accepted():
    a, b = vg.TensorNode(np.array([[1, 2], [3, 4]])), vg.TensorNode(np.array([10.0, 20.0]))
    total(a * b).backward()
    np.testing.assert_array_equal(a.grad, [[10, 20], [10, 20]])
    np.testing.assert_array_equal(b.grad, [4, 6])
    assert a.grad.dtype == np.float64


# -- backward -----------------------------------------------------------------------------------------------------


def test_a_dead_end_takes_no_gradient_away():
    x = node(3)
    y = x * 2.0
    dead = y * 5.0
    total(y * y).backward()
    np.testing.assert_allclose(x.grad, 8 * x.value)
    np.testing.assert_array_equal(dead.grad, np.zeros(3))


@pytest.mark.parametrize("length", [600, 100_000])
def test_long_chains(length):
    x = vg.TensorNode(np.array(1.0))
    y = x
    for _ in range(length):
        y = y + x
    y.backward()
    assert x.grad == length + 1
    y.zero_grad()
    assert x.grad == 0
    y.backward()
    assert x.grad == length + 1
    y.clear()


def test_a_long_chain_can_be_dropped_without_clear():
    y = vg.TensorNode(np.array(1.0))
    alive = weakref.ref(y)
    for _ in range(100_000):
        y = -y
    del y
    importlib.import_module("gc").collect()
    assert alive() is None


def test_gradients_of_leaves_add_up_and_those_of_inner_nodes_do_not():
    x = node(3)
    y = x * 3.0
    loss = total(y)
    loss.backward()
    loss.backward()
    np.testing.assert_array_equal(x.grad, np.full(3, 6.0))
    np.testing.assert_array_equal(y.grad, np.ones(3))
    assert loss.grad == 1
    loss.zero_grad()
    for each in (x, y, loss):
        np.testing.assert_array_equal(each.grad, np.zeros(each.size()))


def test_after_clear_gradients_start_afresh():
    x = node(3)
    loss = total(x * 3.0)
    loss.backward()
    loss.clear()
    assert loss.source is None
    again = total(x * 2.0)
    again.backward()
    np.testing.assert_array_equal(x.grad, np.full(3, 2.0))
    with pytest.raises(ValueError, match=r"was cleared: its graph is gone; compute the node again"):
        loss.backward()


def test_clear_leaves_another_graph_on_the_same_nodes_alone():
    x = node(3)
    y = x * x
    first, second = total(y), total(y * 2.0)
    first.clear()
    second.backward()
    np.testing.assert_allclose(x.grad, 4 * x.value)


def test_a_node_used_twice_and_one_used_after_backward():
    x = node(2, 2)
    total(x @ x + x * x).backward()
    ones, v = np.ones((2, 2)), x.value
    np.testing.assert_allclose(x.grad, ones @ v.T + v.T @ ones + 2 * v)


def test_no_two_nodes_share_the_memory_of_a_gradient():
    a, b = node(3), node(3)
    c = a + b
    total(c).backward()
    a.grad += 1
    np.testing.assert_array_equal(b.grad, np.ones(3))
    np.testing.assert_array_equal(c.grad, np.ones(3))


def test_the_gradients_of_inner_nodes_are_written_one_by_one():
    x = vg.TensorNode(np.ones((2, 3)))
    a, b = x * 2, x * 3
    y = a + b
    s = vg.Sum.do_forward(y)
    s.backward()
    for node in (x, a, b, y, s):
        before = [other.grad.copy() for other in (x, a, b, y, s) if other is not node]
        node.grad[...] = -1
        for other, grad in zip(
            [other for other in (x, a, b, y, s) if other is not node], before, strict=True
        ):
            np.testing.assert_array_equal(other.grad, grad)


def test_backward_wants_a_scalar():
    with pytest.raises(
        ValueError, match=r"backward\(\) can only be called .* scalar node, .* shape \(2, 2\)"
    ):
        (node(2, 2) * 2.0).backward()
    one = vg.TensorNode(np.array([[2.0]]))
    (one * one).backward()
    assert one.grad == 4


def test_no_gradient_is_computed_for_constants(monkeypatch):
    x, w = vg.TensorNode(np.random.randn(5, 3), constant=True), vg.Linear(3, 2)
    asked: list[int] = []
    rule = ops.Affine.rule
    watched = [
        lambda g, call, i=i, vjp=vjp: asked.append(i) or vjp(g, call)  # type: ignore[func-returns-value]
        for i, vjp in enumerate(rule.vjps)
    ]
    monkeypatch.setattr(rule, "vjps", tuple(watched))
    total(w(x)).backward()
    assert asked == [1, 2]
    np.testing.assert_array_equal(x.grad, np.zeros((5, 3)))


def test_bad_calls_are_named():
    with pytest.raises(ValueError, match=r"Add of float64 \(2, 3\) and float64 \(4,\)"):
        node(2, 3) + node(4)
    with pytest.raises(ValueError, match=r"MatrixMultiply of float64 \(2, 3\) and float64 \(2, 3\)"):
        node(2, 3) @ node(2, 3)
    with pytest.raises(TypeError, match="a TensorNode holds an array of numbers"):
        vg.TensorNode("text")
    with pytest.raises(
        ValueError, match=r"Select: expected a matrix and one index per row, got shape \(4, 3\)"
    ):
        vg.Select.do_forward(node(4, 3), indices=[0, 1])
    with pytest.raises(IndexError, match=r"Select of float64 \(2, 3\): index 3 is out of bounds"):
        vg.Select.do_forward(node(2, 3), indices=[0, 3])
    with pytest.raises(ValueError, match=r"Linear: expected a batch of shape \(n, 3\)"):
        vg.Linear(3, 2)(node(5, 4))
    with pytest.raises(TypeError, match="unsupported operand"):
        node(2) + "text"


# -- operations of the student's own --------------------------------------------------------------------------


class MyReLU(vg.Op):
    """Question 9's answer as a student writes it; its backward writes into what it is given."""

    @staticmethod
    def forward(context: dict[str, Any], input: Any) -> Any:
        context["positive"] = input > 0
        return input * context["positive"]

    @staticmethod
    def backward(context: dict[str, Any], goutput: Any) -> Any:
        goutput *= context["positive"]
        return goutput


class MinMax(vg.Op):
    """Two outputs of two inputs."""

    @staticmethod
    def forward(context: dict[str, Any], a: Any, b: Any) -> Any:
        context["less"] = a < b
        return np.where(a < b, a, b), np.where(a < b, b, a)

    @staticmethod
    def backward(context: dict[str, Any], glow: Any, ghigh: Any) -> Any:
        less = context["less"]
        return np.where(less, glow, ghigh), np.where(less, ghigh, glow)


class Broken(vg.Op):
    """An operation whose backward returns, or raises, what the test says."""

    result: Any = None

    @staticmethod
    def forward(context: dict[str, Any], a: Any) -> Any:
        return a * 1.0

    @classmethod
    def backward(cls, context: dict[str, Any], *goutputs: Any) -> Any:
        if isinstance(cls.result, Exception):
            raise cls.result
        return cls.result


def test_a_students_relu_is_ours():
    x = np.random.randn(4, 5)
    mine, ours = vg.TensorNode(x), vg.TensorNode(x)
    y, z = mine * 3.0, ours * 3.0
    out = MyReLU.do_forward(y)
    total(out + out).backward()
    total(vg.ReLU.do_forward(z) * 2.0).backward()
    np.testing.assert_array_equal(mine.grad, ours.grad)
    np.testing.assert_array_equal(out.grad, np.full((4, 5), 2.0))


def test_an_operation_with_two_outputs():
    a, b = vg.TensorNode(np.array([1.0, 5.0])), vg.TensorNode(np.array([2.0, 4.0]))
    low, high = MinMax.do_forward(a, b)
    total(low * 10.0 + high).backward()
    np.testing.assert_array_equal(a.grad, [10, 1])
    np.testing.assert_array_equal(b.grad, [1, 10])


def test_an_output_that_nobody_uses_has_a_gradient_of_zeros():
    a, b = vg.TensorNode(np.array([1.0, 5.0])), vg.TensorNode(np.array([2.0, 4.0]))
    low, _ = MinMax.do_forward(a, b)
    total(low * 10.0).backward()
    np.testing.assert_array_equal(a.grad, [10, 0])
    np.testing.assert_array_equal(b.grad, [0, 10])


def test_wrong_gradients_of_a_students_operation_are_named(monkeypatch):
    x = node(3)
    loss = total(Broken.do_forward(x) + x * 2.0)
    monkeypatch.setattr(Broken, "result", (np.ones(3), np.ones(3)))
    with pytest.raises(ValueError, match=r"Broken\.backward: expected 1 gradients, one per input, got 2"):
        loss.backward()
    monkeypatch.setattr(Broken, "result", np.ones(4))
    with pytest.raises(
        ValueError, match=r"Broken\.backward, gradient 0: expected the input's shape \(3,\), got \(4,\)"
    ):
        loss.backward()
    monkeypatch.setattr(Broken, "result", ZeroDivisionError("the student's own"))
    with pytest.raises(ZeroDivisionError, match="the student's own"):
        loss.backward()
    np.testing.assert_array_equal(x.grad, np.zeros(3))
    monkeypatch.setattr(Broken, "result", np.ones(3))
    loss.backward()
    np.testing.assert_array_equal(x.grad, np.full(3, 3.0))


def test_the_graph_can_be_drawn():
    a, b = vg.TensorNode(np.ones(2), name="a"), vg.TensorNode(np.ones(2), name="b")
    c = a + b
    told = [tuple(entry)[:4] for entry in c.__graph__()]
    assert told == [
        (id(a), "a", "input", ()),
        (id(b), "b", "input", ()),
        (id(c), "Add", "operation", [id(a), id(b)]),
    ]


# -- modules, losses and data -----------------------------------------------------------------------------------


class Network(vg.Module):
    """Two layers in a list and one by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = [vg.Linear(3, 4), vg.Linear(4, 4)]
        self.last = vg.Linear(4, 2)

    def forward(self, x: Any) -> Any:
        for layer in self.hidden:
            x = vg.sigmoid(layer(x))
        return vg.logsoftmax(self.last(x))


def test_linear_and_parameters():
    layer = vg.Linear(300, 200)
    assert (layer.w.size(), layer.b.size()) == ((200, 300), (1, 200))
    assert not layer.b.value.any()
    np.testing.assert_allclose(layer.w.value.std(), np.sqrt(2 / 500), rtol=0.02)  # Glorot's
    assert layer.parameters() == [layer.w, layer.b]
    network = Network()
    expected = [p for part in (*network.hidden, network.last) for p in (part.w, part.b)]
    assert network.parameters() == expected
    with pytest.raises(NotImplementedError, match="Module must define forward"):
        vg.Module()(1)


@pytest.mark.parametrize(
    ("name", "deviation"),
    [("glorot", np.sqrt(2 / 500)), ("he", np.sqrt(2 / 300)), ("normal", 1), ("zeros", 0)],
)
def test_initialisations(name, deviation):
    weights = modules.INITIALISATIONS[name](200, 300)
    assert weights.shape == (200, 300)
    np.testing.assert_allclose(weights.std(), deviation, rtol=0.02)


def test_training_steps_are_pytorchs(torch):
    network, x, y = Network(), np.random.randn(8, 3), np.random.randint(2, size=8)
    theirs = [torch.tensor(p.value, requires_grad=True) for p in network.parameters()]
    for _ in range(3):
        loss = vg.logceloss(network(vg.TensorNode(x)), y)
        loss.backward()
        out = torch.tensor(x)
        for i in range(0, 4, 2):
            out = torch.sigmoid(out @ theirs[i].T + theirs[i + 1])
        logits = out @ theirs[4].T + theirs[5]
        expected = torch.nn.functional.cross_entropy(logits, torch.tensor(y), reduction="sum")
        expected.backward()
        np.testing.assert_allclose(loss.value, expected.item(), rtol=1e-12)
        for parm, other in zip(network.parameters(), theirs, strict=True):
            np.testing.assert_allclose(parm.grad, other.grad.numpy(), rtol=1e-10, atol=1e-12)
            parm.value -= 0.1 * parm.grad
            with torch.no_grad():
                other -= 0.1 * other.grad
            other.grad = None
        loss.zero_grad()
        loss.clear()


def test_losses_are_sums_and_stay_finite():
    probabilities = vg.TensorNode(np.array([[0.5, 0.5], [0.25, 0.75]]))
    np.testing.assert_allclose(vg.celoss(probabilities, [0, 1]).value, -np.log(0.5) - np.log(0.75))
    large = vg.TensorNode(np.array([[1e4, 0.0, -1e4]]))
    np.testing.assert_allclose(vg.softmax(large).value, [[1, 0, 0]])
    np.testing.assert_allclose(vg.logceloss(vg.logsoftmax(large), [2]).value, 2e4)
    np.testing.assert_array_equal(vg.sigmoid(large).value, [[1, 0.5, 0]])


def test_load_synth():
    (x, y), (x_val, y_val), num_classes = vg.load_synth(num_train=600, num_val=100)
    assert (x.shape, y.shape, x_val.shape, y_val.shape, num_classes) == (
        (600, 2),
        (600,),
        (100, 2),
        (100,),
        2,
    )
    assert set(y) == {0, 1}
    (x, _), (x_val, _), _ = vg.load_synth()
    assert (len(x), len(x_val)) == (60_000, 10_000)


def write_idx(path: Path, array: np.ndarray) -> None:
    """Write bytes as an idx file."""
    path.write_bytes(struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes())


@pytest.fixture
def small_mnist(tmp_path: Path) -> Path:
    """A folder with 5,300 images for training and 20 for tests, in MNIST's form."""
    rng = np.random.default_rng(0)
    for name, count in zip(MNIST_FILES, (5300, 5300, 20, 20), strict=True):
        shape = (count, 28, 28) if "images" in name else (count,)
        write_idx(tmp_path / name, rng.integers(0, 256 if "images" in name else 10, shape).astype(np.uint8))
    return tmp_path


def test_load_mnist(small_mnist, monkeypatch):
    (x, y), (x_val, y_val), num_classes = vg.load_mnist(folder=small_mnist)
    assert (x.shape, y.shape, x_val.shape, y_val.shape) == ((300, 784), (300,), (5000, 784), (5000,))
    assert (num_classes, x.min(), x.max()) == (10, 0, 255)
    monkeypatch.setenv("MYTORCH_MNIST", str(small_mnist))
    (x, _), (x_test, _), _ = vg.load_mnist(final=True, flatten=False)
    assert (x.shape, x_test.shape) == ((5300, 28, 28), (20, 28, 28))


def test_missing_files_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("MYTORCH_MNIST", str(tmp_path))
    with pytest.raises(FileNotFoundError) as caught:
        vg.load_mnist()
    for part in (*MNIST_FILES, str(tmp_path)):
        assert part in str(caught.value)


def test_the_real_mnist(mnist_folder):
    (x, y), (x_val, y_val), num_classes = vg.load_mnist(folder=mnist_folder)
    assert (x.shape, x_val.shape, num_classes) == ((55_000, 784), (5_000, 784), 10)
    assert np.bincount(np.concatenate([y, y_val])).tolist()[:2] == [5923, 6742]


# -- the course's folder ------------------------------------------------------------------------------------------


def command(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the course's folder, where mytorch is not installed."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "MYTORCH_MNIST")}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=COURSE,
        env={**environment, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def accuracies(output: str) -> list[float]:
    """The accuracies that an experiment prints."""
    return [float(line.split()[1]) for line in output.splitlines() if line.strip().startswith("accuracy:")]


def test_the_import_of_the_course():
    done = command(
        "-c",
        "import vugrad as vg, vugrad.core, vugrad.ops as o; print(vg.core.Op is vg.Op, o.ReLU is vg.ReLU)",
    )
    assert (done.stdout.strip(), done.stderr) == ("True True", "")


def test_train_mlp_prints_what_the_course_says():
    done = command("experiments/train_mlp.py", "-e", "2", "--seed", "1")
    assert done.returncode == 0, done.stderr
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert lines[2].startswith("training class distribution: [")
    assert lines[3].startswith("val. class distribution: [")
    start = lines.index("epoch 000")
    assert [line.split(":")[0] for line in lines[start : start + 3]] == [
        "epoch 000",
        "accuracy",
        "running loss",
    ]
    before, after, *_ = accuracies(done.stdout)
    assert before < 0.7  # measured before the first epoch
    assert after > 0.9


@pytest.mark.parametrize("activation", ["sigmoid", "relu"])
@pytest.mark.parametrize("seed", ["2", "3"])
def test_a_rate_of_a_tenth_trains_on_synth(activation, seed):
    done = command(
        "experiments/train_mlp.py", "-e", "3", "-l", "0.1", "--activation", activation, "--seed", seed
    )
    assert accuracies(done.stdout)[2] > 0.93, done.stdout


def test_an_unknown_data_set_and_missing_files_end_with_a_message(tmp_path):
    done = command("experiments/train_mlp.py", "-D", "cifar")
    assert done.returncode != 0
    assert "cifar" in done.stderr
    assert "Traceback" not in done.stderr
    done = command("experiments/train_mlp.py", "-D", "mnist", "--data", str(tmp_path))
    assert done.returncode != 0
    assert all(part in done.stderr for part in (*MNIST_FILES, str(tmp_path)))
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("-b 0", "-b/--batch-size: expected a whole number from 1, got '0'"),
        ("-e 1.5", "-e/--epochs: expected a whole number from 1, got '1.5'"),
        ("--learning-rate=-1", "-l/--learning-rate: expected a number from 0, got '-1'"),
        ("-l nan", "-l/--learning-rate: expected a number from 0, got 'nan'"),
        ("-m 1", "-m/--momentum: expected a number from 0 to below 1, got '1'"),
        ("--seed=-1", "--seed: expected a whole number from 0 to below 4294967296, got '-1'"),
    ],
)
def test_options_that_make_no_sense(train_mlp, capsys, options, message):
    with pytest.raises(SystemExit, match="2"):
        train_mlp.main(options.split())
    assert message in capsys.readouterr().err


def test_a_picture_that_has_no_folder_is_refused_before_training():
    done = command("experiments/compare_activations.py", "-o", "nowhere/curves.png")
    assert done.returncode == 2
    assert "-o/--output: there is no folder" in done.stderr
    assert "## sigmoid" not in done.stdout


def test_mnist_and_the_options_of_question_10(small_mnist):
    options = "-D mnist -l 0.0001 -e 1 --momentum 0.9 --residual --depth 2 --width 16 --init normal"
    done = command("experiments/train_mlp.py", *options.split(), MYTORCH_MNIST=str(small_mnist))
    assert done.returncode == 0, done.stderr
    assert "300 in training, 5000 in validation" in done.stdout


@pytest.fixture
def train_mlp(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The experiment as a module."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(COURSE))
    monkeypatch.syspath_prepend(str(COURSE / "experiments"))
    yield importlib.import_module("train_mlp")
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("vugrad", "train_mlp", "_context", "compare_activations"):
            del sys.modules[name]


def test_gradient_descent_has_momentum_and_a_longest_step(train_mlp):
    x = vg.TensorNode(np.zeros(2))
    steps = train_mlp.GradientDescent([x], 0.1, momentum=0.5, max_step=None)
    for expected in ([-0.3, -0.4], [-0.75, -1.0]):
        x.grad = np.array([3.0, 4.0])
        steps.step()
        np.testing.assert_allclose(x.value, expected)
    short = train_mlp.GradientDescent([x], 1.0, max_step=0.5)
    x.value[...] = 0
    x.grad = np.array([3.0, 4.0])
    short.step()
    np.testing.assert_allclose(x.value, [-0.3, -0.4])


def test_residual_connections_add_the_input_of_a_layer(train_mlp):
    mlp = train_mlp.MLP(3, 2, width=4, depth=2, residual=True)
    x = np.random.randn(5, 3)
    first, second = mlp.hidden
    h = 1 / (1 + np.exp(-(x @ first.w.value.T)))
    h = h + 1 / (1 + np.exp(-(h @ second.w.value.T)))
    z = h @ mlp.output.w.value.T
    expected = z - np.log(np.exp(z).sum(1, keepdims=True))
    np.testing.assert_allclose(mlp(vg.TensorNode(x)).value, expected)


def test_the_comparison_of_question_9(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: no curves to draw")
    picture = tmp_path / "curves.png"
    done = command("experiments/compare_activations.py", "-e", "2", "--seed", "1", "-o", str(picture))
    assert done.returncode == 0, done.stderr
    head, *rows = done.stdout[done.stdout.index("epoch  sigmoid accuracy") :].splitlines()[:4]
    assert head.split() == [
        "epoch",
        "sigmoid",
        "accuracy",
        "sigmoid",
        "loss",
        "relu",
        "accuracy",
        "relu",
        "loss",
    ]
    assert [row.split()[0] for row in rows] == ["0", "1", "final"]
    assert all(float(share) > 0.9 for share in rows[2].split()[1:])
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_the_table_is_printed_all_the_same(tmp_path):
    (tmp_path / "matplotlib.py").write_text("raise ImportError('not here')")
    picture = tmp_path / "curves.png"
    done = command(
        "experiments/compare_activations.py", "-e", "1", "-o", str(picture), PYTHONPATH=str(tmp_path)
    )
    assert done.returncode == 0, done.stderr
    assert "final" in done.stdout
    assert "no curves: matplotlib is not installed; pip install matplotlib" in done.stdout
    assert not picture.exists()


def test_the_folder_can_be_installed(tmp_path):
    pytest.importorskip("setuptools", reason="setuptools is not installed: nothing to install with")
    done = command("setup.py", "--quiet", "build", "-b", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.glob("lib/vugrad/*.py")} == {
        path.name for path in (COURSE / "vugrad").glob("*.py")
    }
