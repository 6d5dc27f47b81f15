"""Tests of the engine alone: `add_operation` and `backward`, with backward rules that the tests bring."""

from collections.abc import Iterable, Iterator

import numpy as np

from autograder.helpers import (
    DIVERGENCE_EVERYWHERE,
    Arrays,
    GradedTest,
    add_rule,
    draw,
    matmul_rule,
    multiply_rule,
    torch_gradients,
)

MODULES = ("mytorch.autograd_engine",)


def _draw_operations(rng: np.random.Generator) -> Arrays:
    return {"x": draw(rng, 3, 4), "w": draw(rng, 3, 4), "b": draw(rng, 1, 4)}


def _attempt_add_operation(inputs: Arrays) -> Iterator[tuple[str, object]]:
    from mytorch.autograd_engine import Autograd

    engine = Autograd()
    x, w, b = inputs["x"], inputs["w"], inputs["b"]
    y, db = x * w, np.zeros_like(b)
    engine.add_operation([x, w], y, [None, None], multiply_rule)
    yield "operations after the first", len(engine.operation_list)
    yield "spots in gradient_buffer.memory after the first", len(engine.gradient_buffer.memory)
    yield "x is in memory", bool(engine.gradient_buffer.is_in_memory(x))
    yield "w is in memory", bool(engine.gradient_buffer.is_in_memory(w))
    yield "gradient of x before backward", engine.gradient_buffer.get_param(x)
    operation = engine.operation_list[0]
    yield "inputs of the operation", len(operation.inputs)
    yield "gradients_to_update of the operation", len(operation.gradients_to_update)
    yield "backward_operation is the function given", operation.backward_operation is multiply_rule

    z = y + b
    engine.add_operation([y, b], z, [None, db], add_rule)
    yield "operations after the second", len(engine.operation_list)
    yield "y is in memory", bool(engine.gradient_buffer.is_in_memory(y))
    last = engine.operation_list[-1]
    yield "the last operation is the second one", last.backward_operation is add_rule


def _expect_operations(inputs: Arrays) -> Arrays:
    counts = {
        "operations after the first": 1,
        "spots in gradient_buffer.memory after the first": 2,
        "x is in memory": True,
        "w is in memory": True,
        "gradient of x before backward": np.zeros_like(inputs["x"]),
        "inputs of the operation": 2,
        "gradients_to_update of the operation": 2,
        "backward_operation is the function given": True,
        "operations after the second": 2,
        "y is in memory": True,
        "the last operation is the second one": True,
    }
    return {label: np.asarray(value) for label, value in counts.items()}


_NOTHING_RECORDED = "no operation was recorded: add_operation must append an Operation to operation_list"
_NO_SPOT = (
    "add_operation made no spot in the gradient buffer: call gradient_buffer.add_spot for each input whose "
    "entry in gradients_to_update is None"
)
_SPOT_FOR_OUTPUT = (
    "the buffer has a third spot: only inputs get one, the output gets its own when it is an input later"
)
_NOT_APPENDED = "operation_list does not grow by one at its end with each call: append to it"


def _operation_mistakes(inputs: Arrays) -> Iterable[tuple[str, Arrays]]:
    no, spots = np.asarray(False), "spots in gradient_buffer.memory after the first"
    yield _NOTHING_RECORDED, {"operations after the first": np.asarray(0)}
    yield _NO_SPOT, {spots: np.asarray(0), "x is in memory": no, "w is in memory": no}
    yield _SPOT_FOR_OUTPUT, {spots: np.asarray(3)}
    yield _NOT_APPENDED, {"the last operation is the second one": no}


def _draw_tape(rng: np.random.Generator) -> Arrays:
    return {
        "x": draw(rng, 3, 4),
        "W": draw(rng, 5, 4),
        "b": draw(rng, 5, 1),
        "dW": draw(rng, 5, 4),
        "a": draw(rng, 2, 3),
        "c": draw(rng, 2, 3),
        "grad_output": draw(rng, 3, 5),
    }


def _attempt_backward(inputs: Arrays) -> Iterator[tuple[str, object]]:
    from mytorch.autograd_engine import Autograd

    engine = Autograd()
    x, W, b = inputs["x"], inputs["W"], inputs["b"]
    dW, db = inputs["dW"].copy(), np.zeros_like(b)
    h = x @ W.T
    engine.add_operation([x, W.T], h, [None, dW.T], matmul_rule)
    y = h + b.T
    engine.add_operation([h, b.T], y, [None, db.T], add_rule)
    z = y * h
    engine.add_operation([y, h], z, [None, None], multiply_rule)
    engine.backward(inputs["grad_output"])
    yield "gradient of x", engine.gradient_buffer.get_param(x)
    yield "dW", dW
    yield "db", db

    engine.zero_grad()
    a, c = inputs["a"], inputs["c"]
    u = a * c
    engine.add_operation([a, c], u, [None, None], multiply_rule)
    v = u + a
    engine.add_operation([u, a], v, [None, None], add_rule)
    engine.backward(1)
    yield "gradient of a after zero_grad and backward(1)", engine.gradient_buffer.get_param(a)
    yield "gradient of c after zero_grad and backward(1)", engine.gradient_buffer.get_param(c)


def _tape(x, W, b, **others):
    h = x @ W.T
    return (h + b.T) * h


def _expect_gradients(inputs: Arrays) -> Arrays:
    first = torch_gradients(_tape, inputs, "xWb")
    without_divergence = {name: inputs[name] for name in "ac"}
    second = torch_gradients(lambda a, c: (a * c + a).sum(), without_divergence, "ac")
    return {
        "gradient of x": first["x"],
        "dW": inputs["dW"] + first["W"],
        "db": first["b"],
        "gradient of a after zero_grad and backward(1)": second["a"],
        "gradient of c after zero_grad and backward(1)": second["c"],
    }


_OVERWRITTEN = (
    "only the last gradient is there: what stood in gradients_to_update was overwritten, add to it with `+=`"
)
_NOT_IN_PLACE = (
    "the external gradient was never changed: `gradient = gradient + g` makes a new array, "
    "`gradient += g` adds to the one that was given"
)
_REPLACED = (
    "{} is an input of two operations, and only one of its two gradients arrived: add them up "
    "(gradient_buffer.update_param), do not replace (set_param)"
)


def _backward_mistakes(inputs: Arrays) -> Iterable[tuple[str, Arrays]]:
    x, W, b, g = inputs["x"], inputs["W"], inputs["b"], inputs["grad_output"]
    h = x @ W.T
    y = h + b.T
    yield (
        DIVERGENCE_EVERYWHERE,
        {"gradient of x": g @ W, "dW": inputs["dW"] + g.T @ x, "db": g.sum(axis=0)[:, None]},
    )
    yield _OVERWRITTEN, {"dW": (g * h + g * y).T @ x}
    yield _NOT_IN_PLACE, {"dW": inputs["dW"]}
    for part in (g * h, g * y):
        yield _REPLACED.format("h"), {"gradient of x": part @ W, "dW": inputs["dW"] + part.T @ x}
    for part in (inputs["c"], np.ones_like(inputs["c"])):
        yield _REPLACED.format("a"), {"gradient of a after zero_grad and backward(1)": part}


_ADD_STEPS = (
    "add_operation records y = x * w with both gradients internal, then z = y + b with that of b external"
)
_BACKWARD_STEPS = (
    "records h = x @ W.T, y = h + b.T and z = y * h, the gradients of W.T and b.T external (dW.T, where dW "
    "starts as given, and db.T, where db starts at zero); backward(grad_output). Then zero_grad(), "
    "u = a * c, v = u + a and backward(1)"
)
TESTS = (
    GradedTest(
        "Autograd Add Operation",
        5,
        _ADD_STEPS,
        _draw_operations,
        _attempt_add_operation,
        _expect_operations,
        _operation_mistakes,
    ),
    GradedTest(
        "Autograd Backward",
        5,
        _BACKWARD_STEPS,
        _draw_tape,
        _attempt_backward,
        _expect_gradients,
        _backward_mistakes,
    ),
)
