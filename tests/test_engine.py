"""The explicit tape: its contract, what it refuses, and what it counts."""

import copy
import pickle
import re
import tracemalloc
from typing import Any

import numpy as np
import pytest

from mytorch import autograd_engine, sweep
from mytorch.autograd_engine import Autograd, Operation, TapeError
from mytorch.functional_hw1 import (
    SoftmaxCrossEntropy_backward,
    add_backward,
    div_backward,
    exp_backward,
    identity_backward,
    log_backward,
    matmul_backward,
    max_backward,
    mul_backward,
    sub_backward,
    sum_backward,
)
from mytorch.utils import GradientBuffer


def affine(tape, x, w, b, dw, db):
    """Record the hand-out's section 3.3: h = x Wᵀ, y = h + bᵀ."""
    h = x @ w.T
    tape.add_operation([x, w.T], h, [None, dw.T], matmul_backward)
    y = h + b.T
    tape.add_operation([h, b.T], y, [None, db.T], add_backward)
    return y


@pytest.fixture
def layer():
    rng = np.random.default_rng(1)
    w, b = rng.standard_normal((2, 3)), rng.standard_normal((2, 1))
    return rng.standard_normal((4, 3)), w, b, np.zeros_like(w), np.zeros_like(b)


def test_the_walk_through_of_the_hand_out(layer):
    x, w, _, dw, db = layer
    tape = Autograd()
    affine(tape, *layer)
    assert len(tape.operation_list) == 2
    assert len(tape.gradient_buffer.memory) == 2
    g = np.arange(8.0).reshape(4, 2)
    tape.backward(g)
    np.testing.assert_allclose(dw, g.T @ x)
    np.testing.assert_allclose(db, g.sum(axis=0)[:, None])
    np.testing.assert_allclose(tape.gradient_buffer.get_param(x), g @ w)
    tape.zero_grad()
    assert (tape.operation_list, tape.gradient_buffer.memory) == ([], {})
    np.testing.assert_allclose(dw, g.T @ x)


def test_an_operation_answers_to_all_its_names():
    operation: Any = Operation([1], 2, [None], add_backward)
    assert operation.inputs == [1]
    assert operation.output == operation.outputs == 2
    assert operation.gradients_to_update == [None]
    assert operation.backward_operation is operation.backward_function is add_backward
    with pytest.raises(AttributeError):
        operation.outputs = 3


def test_a_recorded_operation_holds_what_it_was_given():
    tape, x, y = Autograd(), np.ones(2), np.ones(2)
    z = x + y
    tape.add_operation(
        inputs=[x, y], output=z, gradients_to_update=[None, None], backward_operation=add_backward
    )
    (operation,) = tape.operation_list
    assert operation.inputs[0] is x
    assert operation.output is z
    assert isinstance(operation, Operation)
    assert isinstance(tape.gradient_buffer, GradientBuffer)
    assert len(tape.gradient_buffer.memory) == 2
    first = test_a_recorded_operation_holds_what_it_was_given.__code__.co_firstlineno
    assert operation.line.endswith(f"test_engine.py:{first + 3}")


@pytest.mark.parametrize(
    "divergence", [1, 1.0, True, np.float32(1), np.array(1), np.ones((1, 2)), [[1.0, 1.0]]]
)
def test_a_number_is_a_divergence_whatever_the_outputs_shape(layer, divergence):
    tape = Autograd()
    affine(tape, *layer)
    tape.backward(divergence)
    np.testing.assert_allclose(layer[4], np.full((2, 1), 4.0))


def test_a_number_is_a_divergence_of_a_matmul():
    tape, a, b = Autograd(), np.ones((2, 3)), np.ones((3, 4))
    tape.add_operation([a, b], a @ b, [None, None], matmul_backward)
    tape.backward(1)
    np.testing.assert_array_equal(tape.gradient_buffer.get_param(a), np.full((2, 3), 4.0))


def test_any_number_of_engines_live_together():
    tapes = [Autograd() for _ in range(3)]
    x = np.ones(2)
    for i, tape in enumerate(tapes):
        factor = np.full(2, float(i))
        tape.add_operation([x, factor], x * factor, [None, None], mul_backward)
    for i, tape in enumerate(tapes):
        tape.backward(1)
        np.testing.assert_array_equal(tape.gradient_buffer.get_param(x), np.full(2, float(i)))


RULES = [
    (add_backward, np.add, 2),
    (sub_backward, np.subtract, 2),
    (mul_backward, np.multiply, 2),
    (div_backward, np.divide, 2),
    (log_backward, np.log, 1),
    (exp_backward, np.exp, 1),
    (identity_backward, np.positive, 1),
]


@pytest.mark.parametrize(
    ("backward", "function", "count"), RULES, ids=lambda value: getattr(value, "name", None)
)
@pytest.mark.parametrize("shapes", [((2, 3), (2, 3)), ((2, 3), (1, 3)), ((2, 1), (4, 1, 3)), ((), (2,))])
def test_course_functions_sum_out_broadcasting(backward, function, count, shapes):
    rng = np.random.default_rng(2)
    inputs = [rng.uniform(1, 2, shape) for shape in shapes][:count]
    g = rng.standard_normal(function(*inputs).shape)
    gradients = backward(g, *inputs)
    assert len(gradients) == count
    for i, (x, gradient) in enumerate(zip(inputs, gradients, strict=True)):
        assert gradient.shape == x.shape
        direction = rng.standard_normal(x.shape)

        def value(step, i=i, x=x, direction=direction):
            moved = [y if j != i else x + step * direction for j, y in enumerate(inputs)]
            return (g * function(*moved)).sum()

        slope = (value(1e-6) - value(-1e-6)) / 2e-6
        np.testing.assert_allclose((gradient * direction).sum(), slope, rtol=1e-6, atol=1e-8)


def test_max_backward_is_relu_maximum_or_reduction_and_writes_nowhere():
    a = np.array([[-1.0, 2.0, 2.0], [0.0, 5.0, -3.0]])
    before = a.copy()
    np.testing.assert_array_equal(max_backward(np.ones((2, 3)), a)[0], [[0, 1, 1], [0, 1, 0]])
    np.testing.assert_array_equal(
        max_backward(np.ones((2, 3)), a, np.zeros((1, 3)))[0], [[0, 1, 1], [0.5, 1, 0]]
    )
    np.testing.assert_array_equal(max_backward(np.ones(2), a)[0], [[0, 0.5, 0.5], [0, 1, 0]])
    np.testing.assert_array_equal(max_backward(2.0, a)[0], [[0, 0, 0], [0, 2, 0]])
    np.testing.assert_array_equal(a, before)


@pytest.mark.parametrize("shape", [(), (2,), (3,), (1, 3), (2, 1), (2, 3)])
def test_sum_backward_spreads_over_the_reduced_axes(shape):
    g = np.arange(1.0, 1 + np.prod(shape)).reshape(shape)
    expected = np.broadcast_to(g[:, None] if shape == (2,) else g, (2, 3))
    np.testing.assert_array_equal(sum_backward(g, np.zeros((2, 3)))[0], expected)


def test_sum_backward_refuses_what_no_reduction_gives():
    with pytest.raises(
        ValueError, match=r"shape \(5,\) is not that of a reduction of an array of shape \(2, 3\)"
    ):
        sum_backward(np.ones(5), np.ones((2, 3)))


def test_the_gradient_of_the_softmax_cross_entropy():
    logits, truth = np.array([[1000.0, -1000.0, 0.0], [1.0, 2.0, 3.0]]), np.eye(3)[[0, 1]]
    gradient, none = SoftmaxCrossEntropy_backward(1.0, logits, truth)
    softmax = np.exp(logits[1]) / np.exp(logits[1]).sum()
    np.testing.assert_allclose(gradient, np.array([[0, 0, 0], softmax - truth[1]]) / 2, atol=1e-15)
    assert none is None


# -- bad input: an error that names the operation, and a tape as before the call ---------------------------------------

ONES = np.ones(2)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            ([ONES, ONES], ONES, [None], add_backward),
            ValueError,
            r"operation 1 \(add\): 2 inputs but 1 gradients",
        ),
        (
            ([1.0], ONES, [None], exp_backward),
            TypeError,
            r"operation 1 \(exp\): input 0 must be .* got float.*asarray",
        ),
        (
            ([ONES], np.float64(1), [None], exp_backward),
            TypeError,
            r"operation 1 .*the output must be .* got float64",
        ),
        (([None], ONES, [None], exp_backward), TypeError, r"input 0 must be a NumPy array, got NoneType"),
        (
            ([ONES], ONES, [[0.0, 0.0]], exp_backward),
            TypeError,
            r"the gradient of input 0 must be .* got list",
        ),
        (([ONES], ONES, [np.zeros(3)], exp_backward), ValueError, r"input 0 has shape \(2,\) but .* \(3,\)"),
        (([ONES], ONES, [np.broadcast_to(0.0, 2)], exp_backward), ValueError, r"input 0 is read-only"),
        (
            ([ONES], ONES, [np.zeros(2, int)], exp_backward),
            TypeError,
            r"the gradient_to_update of input 0 is of dtype int64, .* make it with np\.zeros\(shape, 'float64'\)",
        ),
        (
            ([ONES * 1j], ONES, [np.zeros(2)], exp_backward),
            TypeError,
            r"is of dtype float64, to which no gradient of dtype complex128 can be added; .* 'complex128'\)",
        ),
        (([ONES], ONES, [None], 3), TypeError, r"operation 1 .*must be callable, got 3"),
        (([ONES], np.array(["a"]), [None], exp_backward), TypeError, r"the output: .*<U1 have no gradient"),
        (
            ([ONES.astype(object)], ONES, [None], exp_backward),
            TypeError,
            r"input 0: .*object have no gradient",
        ),
    ],
)
def test_nothing_is_half_recorded(arguments, error, message):
    tape, x = Autograd(), np.ones(3)
    tape.add_operation([x], x + 1, [None], identity_backward)
    before = (list(tape.operation_list), dict(tape.gradient_buffer.memory))
    with pytest.raises(error, match=message):
        tape.add_operation(*arguments)
    assert (tape.operation_list, tape.gradient_buffer.memory) == before
    tape.backward(1)
    np.testing.assert_array_equal(tape.gradient_buffer.get_param(x), np.ones(3))


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (
            np.ones((3, 2)),
            r"operation 1 \(wrong\), recorded at .*engine.py:\d+: the gradient of input 0 has shape \(3, 2\), expected",
        ),
        (
            (np.ones((2, 3)), np.ones((2, 3))),
            r"operation 1 \(wrong\).*expected 1 gradients, one per input, got 2",
        ),
        (None, r"operation 1 \(wrong\).* returned None, .*\(is a return missing\?\)"),
        (np.array([["a"] * 3] * 2), r"the gradient of input 0 has dtype <U1"),
        ("exception", r"the backward pass failed in operation 1 \(wrong\), recorded at .*: no such thing"),
    ],
)
def test_a_wrong_backward_rule_is_named_and_changes_no_gradient(returned, message):
    def wrong(g, a):
        if isinstance(returned, str):
            raise ValueError("no such thing")
        return returned

    tape, x, w, dw = Autograd(), np.ones((2, 3)), np.ones((2, 3)), np.zeros((2, 3))
    h = x * w
    tape.add_operation([x, w], h, [None, dw], mul_backward)
    k = h + 0
    tape.add_operation([h], k, [None], wrong)
    tape.add_operation([k, w], k * w, [None, dw], mul_backward)
    with pytest.raises(TapeError, match=message):
        tape.backward(1)
    np.testing.assert_array_equal(dw, np.zeros((2, 3)))
    np.testing.assert_array_equal(tape.gradient_buffer.get_param(x), np.zeros((2, 3)))


def test_an_operation_without_a_backward_is_named():
    tape, x = Autograd(), np.ones(2)
    tape.add_operation([x], x + 1, [None], None)
    with pytest.raises(TapeError, match=r"operation 0 \(no backward operation\).*give one to add_operation"):
        tape.backward(1)


@pytest.mark.parametrize(
    ("divergence", "error", "message"),
    [
        (
            np.ones(3),
            ValueError,
            r"shape \(3,\), which does not broadcast to the output of operation 1 \(add\)",
        ),
        (np.ones((2, 4, 2)), ValueError, r"shape \(2, 4, 2\).*of shape \(4, 2\)"),
        ("a", TypeError, r"the divergence of operation 1 .*got 'a'"),
        (None, TypeError, r"got None"),
    ],
)
def test_a_divergence_that_does_not_fit(layer, divergence, error, message):
    tape = Autograd()
    affine(tape, *layer)
    with pytest.raises(error, match=message):
        tape.backward(divergence)
    np.testing.assert_array_equal(layer[3], np.zeros((2, 3)))


def test_backward_of_nothing():
    with pytest.raises(TapeError, match="nothing is recorded: call add_operation"):
        Autograd().backward(1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_pass_through(value):
    tape, x, c = Autograd(), np.array([1.0, 2.0]), np.array([value, 3.0])
    tape.add_operation([x, c], x * c, [None, None], mul_backward)
    tape.backward([1.0, value])
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(tape.gradient_buffer.get_param(x), [value, 3 * value])


# -- counted, not timed --------------------------------------------------------------------------------------


def test_of_a_rule_only_the_wanted_gradient_is_computed(monkeypatch):
    calls = []

    def seen(name, gradient):
        calls.append(name)
        return gradient

    rule = autograd_engine.Rule(np.multiply, (lambda g, b: seen("a", g * b), lambda g, a: seen("b", g * a)))
    tape, x, w, dw = Autograd(), np.ones(2), np.ones(2), np.zeros(2)
    tape.constant(x)
    tape.add_operation([x, w], x * w, [None, dw], rule)
    tape.backward(1)
    assert calls == ["b"]


def test_memory_is_linear_in_the_number_of_operations():
    def bytes_of(count):
        tape, x = Autograd(), np.ones(1)
        tracemalloc.start()
        for _ in range(count):
            y = x + 1
            tape.add_operation([x], y, [None], identity_backward)
            x = y
        tape.backward(1)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    bytes_of(10)  # fills the caches of the interpreter
    assert bytes_of(32_000) < 24 * bytes_of(2_000)  # sixteen times, and tables that grow by doubling


def test_a_functions_name_and_position_are_looked_for_only_in_errors(monkeypatch):
    calls = []

    def counted(*_):
        calls.append(1)
        return "an operation"

    for module in (autograd_engine, sweep):
        monkeypatch.setattr(module, "describe", counted)
    tape, x = Autograd(), np.ones(1)
    for _ in range(10):
        y = x + 1
        tape.add_operation([x], y, [None], lambda g, x: g)
        x = y
    tape.backward(1)
    assert len(calls) <= 1  # for the seed's message


def test_a_long_tape_needs_no_recursion():
    tape, x = Autograd(), np.ones(1)
    first = x
    for _ in range(20_000):
        y = x + 1
        tape.add_operation([x], y, [None], identity_backward)
        x = y
    tape.backward(1)
    assert tape.gradient_buffer.get_param(first)[0] == 1


def test_messages_name_the_line_of_the_recording():
    tape, x = Autograd(), np.ones(1)
    tape.add_operation([x], x + 1, [None], None)
    assert re.search(r"test_engine\.py:\d+", repr(tape.operation_list[0]))


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copied_gradient_buffer_is_empty_as_a_copied_tape_is(duplicate):
    buffer, x = GradientBuffer(), np.ones(3)
    buffer.add_spot(x)
    buffer.update_param(x, 2.0)
    twin = duplicate(buffer)
    assert not twin.is_in_memory(x)
    twin.add_spot(x)
    np.testing.assert_array_equal(twin.get_param(x), np.zeros(3))
    np.testing.assert_array_equal(buffer.get_param(x), np.full(3, 2.0))


def test_a_backward_function_called_by_hand_gives_what_the_tape_does_for_complex_numbers():
    a, b, g = np.array([1 + 2j, 3 - 1j]), np.array([2 - 1j, 1j]), np.array([1 + 1j, 2.0])
    for rule, output in ((mul_backward, a * b), (div_backward, a / b), (exp_backward, np.exp(a))):
        inputs = [a] if rule is exp_backward else [a, b]
        tape = Autograd()
        tape.add_operation(inputs, output, [None] * len(inputs), rule)
        tape.backward(g)
        for x, gradient in zip(inputs, rule(g, *inputs), strict=True):
            np.testing.assert_allclose(gradient, tape.gradient_buffer.get_param(x))
