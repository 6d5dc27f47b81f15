"""The back ends of replay give NumPy's numbers, join what they say they join, and say what is missing."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mytorch
from mytorch import Tensor
from mytorch.functional import linear, relu, softmax_cross_entropy
from mytorch.optim import SGD
from mytorch.rules.masks import masked

NEEDS = {
    "numba": ("numba",),
    "blas": ("scipy", "threadpoolctl"),
    "blas+numba": ("numba", "scipy", "threadpoolctl"),
}
TOLERANCE = {"float32": 2e-5, "float64": 1e-12}


def need(backend: str) -> str:
    """Return a back end's name, or skip the test where what it needs is not installed."""
    for package in NEEDS.get(backend, ()):
        pytest.importorskip(
            package, reason=f"{package} is not installed: the back end {backend} is not tested"
        )
    return backend


@pytest.fixture(params=["numpy", *NEEDS])
def backend(request: pytest.FixtureRequest) -> str:
    """Every back end in turn."""
    return need(request.param)


@pytest.fixture(scope="module")
def numba_backend() -> Any:
    """The module of the numba back end."""
    need("numba")
    from mytorch.extras import numba_backend

    return numba_backend


def pieces(function: Any) -> list[int]:
    """Return how many instructions each compiled piece of the program that ran last joins."""
    return [
        len(piece.positions)
        for each in function.program.backends
        if each.name == "numba"
        for piece in each.pieces
    ]


def compare(function: Callable[..., Any], backend: str, calls: list[tuple[Any, ...]], rtol: float) -> Any:
    """Run a function as it is written and compiled, on new arguments every time, and return the compiled one."""
    replayed = mytorch.compile(function, backend=backend)
    for args in calls:
        theirs = [np.array(x) if isinstance(x, np.ndarray) else x for x in args]
        ours = [np.array(x) if isinstance(x, np.ndarray) else x for x in args]
        with np.errstate(all="ignore"):
            expected, got = function(*theirs), replayed(*ours)
        for a, b in zip(flat(expected), flat(got), strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_allclose(b, a, rtol=rtol, atol=rtol)
        for a, b in zip(theirs, ours, strict=True):  # arguments that were written to
            np.testing.assert_allclose(b, a, rtol=rtol, atol=rtol)
    return replayed


def flat(tree: Any) -> list[Any]:
    """Return the arrays of a result."""
    if isinstance(tree, tuple | list):
        return [x for part in tree for x in flat(part)]
    return [np.asarray(tree._array) if isinstance(tree, Tensor) else np.asarray(tree)]


# -- programs --------------------------------------------------------------------------------------------------


def everything(x: Any, y: Any) -> Any:
    """Most of what can be a loop, once."""
    return (*smooth(x, y), np.where(x > y, x, 2 * y), np.where((x >= 0) & (y < 1), 1.0, x))


def smooth(x: Any, y: Any) -> Any:
    """What of that a gradient is asked of."""
    a = np.abs(x) + 1
    parts = [
        x + y, x - y, x * y, x / y, -x, +x, np.square(x), np.sqrt(a), 1 / a, np.exp(-a), np.log(a), np.tanh(x),
        np.sin(x), np.cos(y), np.expm1(-a), np.log1p(a), np.power(a, y), np.maximum(x, y), np.minimum(x, 0.5),
        np.sign(x), (x == y) * x, (x != y) * y,
        (x <= y).astype(x.dtype), np.isnan(x) * x, np.isfinite(y) * a, np.reciprocal(a),
    ]  # fmt: skip
    total = x
    for part in parts:
        total = total * 0.5 + part
    return (
        total,
        np.sum(total),
        np.max(total, axis=-1),
        np.min(total, axis=0),
        np.sum(total, axis=0, keepdims=True),
    )


def rows_and_columns(x: Any, y: Any) -> Any:
    """Broadcasting in both directions, views, transposes, and reductions over every axis."""
    row, column = x[0], x[:, :1]
    z = (x - row) * column + y[::-1, ::-1]
    z = z / (1 + np.abs(np.sum(z, axis=1, keepdims=True)))
    return (
        z.T + 1,
        np.sum(z, axis=(0, 1)),
        np.max(z, axis=1),
        np.sum(x.T * 2, axis=0),
        np.sum(x[:, 1:] - x[:, :-1]),
    )


def in_place(x: Any, y: Any) -> Any:
    """Writes to parts, over operands, and to memory that later lines read."""
    z = x + y
    z[1:] += z[:-1]  # overlaps with what it reads
    view = z[:, 1]
    view *= 2
    np.multiply(z, view[:, None], out=z)
    z[0] = 0
    z[-1, :] = y[0]
    x += z
    return z * 1, view + 1


def products(x: Any, y: Any) -> Any:
    """Small products of all kinds."""
    square = x @ y.T
    return (
        square @ x,
        x.T @ y,
        x[0] @ y[1],
        square @ x[:, 0],
        x[:1].T @ y[:1],
        np.dot(x[:, :1], y[:1]),
        np.outer(x[0], y[0]),
    )


PROGRAMS = [everything, rows_and_columns, in_place, products]


def draws(dtype: str, shape: tuple[int, ...] = (4, 5), count: int = 5) -> list[tuple[Any, ...]]:
    """Return pairs of arrays."""
    rng = np.random.default_rng(11785)
    return [
        (rng.standard_normal(shape).astype(dtype), rng.standard_normal(shape).astype(dtype))
        for _ in range(count)
    ]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda f: f.__name__)
def test_a_program_gives_the_same_numbers(program, dtype, backend):
    compare(program, backend, draws(dtype), TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("program", [smooth, *PROGRAMS[1:]], ids=lambda f: f.__name__)
def test_gradients_are_the_same(program, dtype, backend):
    def loss(x, y):
        return sum(np.sum(part * part) for part in program(x * 1, y))

    compare(mytorch.grad(loss, argnums=(0, 1)), backend, draws(dtype), 20 * TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(3, 2000), (2000, 3), (70, 80), (1, 5000), (3000, 1)])
def test_long_arrays_give_the_same_numbers(shape, dtype, backend):
    compare(rows_and_columns, backend, draws(dtype, shape, 3), 50 * TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_special_values_are_handed_on(dtype, backend):
    special = np.array(
        [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, np.finfo(dtype).tiny, np.finfo(dtype).max]
    )
    x, y = np.meshgrid(special.astype(dtype), special.astype(dtype))
    compare(everything, backend, [(x, y), (y, x), (x, y)], TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_zeros_keep_their_signs(dtype, backend):
    def function(x):
        start = np.full(4, -0.0, dtype)
        start[:2] = x[:2]
        parts = [
            start,
            np.tanh(x),
            np.sin(x),
            np.expm1(x),
            np.log1p(x),
            -x,
            np.abs(x),
            np.sign(x),
            np.sqrt(x),
        ]
        parts += [np.maximum(x, 0.0), np.minimum(x, -0.0), relu(x)]
        if "numba" not in backend:  # which zero that is, depends on the processor
            parts += [np.maximum(0.0, x), np.minimum(0.0, x), np.maximum(x, x[::-1])]
        return np.stack([part * x[1] for part in parts])

    replayed = mytorch.compile(function, backend=backend)
    for x in np.array([[-0.0, 1.0, -0.0, 0.0], [0.0, 1.0, -0.0, -0.0], [-0.0, 2.0, 0.0, 0.0]], dtype):
        np.testing.assert_array_equal(np.signbit(replayed(x)), np.signbit(function(x)))


@pytest.mark.parametrize("size", [5, 600, 5000])
@pytest.mark.parametrize("dtype", [">f4", ">f8"])
def test_bytes_in_the_other_order_are_read_in_that_order(dtype, size, backend, monkeypatch, rng):
    if "numba" in backend:
        from mytorch.extras import numba_backend

        monkeypatch.setattr(numba_backend, "faster", lambda *_: True)
    place = np.zeros(size, dtype)

    def function(x):
        place[...] = x * 2 + place
        chosen = masked(x, x > 0), masked(x.copy(), x < 1), np.where(x > 0, x, 0)
        return x * 2 + 1, np.sum(x), np.max(x), np.vdot(x, x), x.astype("=f4") - 1, place + 1, *chosen

    native = np.zeros(size)
    replayed = mytorch.compile(function, backend=backend)
    for x in rng.standard_normal((3, size)).astype(dtype):
        native = 2 * x + native
        got = replayed(x)
        place[...] -= 2 * x
        for a, b in zip(function(x), got, strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-4)
        np.testing.assert_allclose(place, native, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("zero", [0, 0.0, -0.0, 0j, np.complex64(0), complex(0.0, -0.0)])
def test_a_choice_between_complex_numbers_and_zero(zero, backend):
    def function(x):
        return np.where(x.real > 0, -x, zero)

    replayed = mytorch.compile(function, backend=backend)
    for x in np.array([[1 + 1j, -1, np.inf], [-1, 2j, 3], [1, -1j, complex(np.nan, 1)]], np.complex64):
        expected, got = function(x), replayed(x)
        np.testing.assert_array_equal(got, expected)
        np.testing.assert_array_equal(
            np.signbit(got.view(got.real.dtype)), np.signbit(expected.view(got.real.dtype))
        )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_long_sum_is_as_exact_as_numpys(dtype, numba_backend):
    x = np.random.default_rng(0).random(1_000_000).astype(dtype)
    replayed = mytorch.compile(lambda x: np.sum(x * x + x), backend="numba")
    for _ in range(2):
        got = replayed(x)
    exact = np.sum(x.astype(np.longdouble) ** 2 + x)
    assert abs(got - exact) <= 8 * np.finfo(dtype).eps * exact
    assert pieces(replayed) == [3]


# -- exp, log, tanh --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["exp", "log", "tanh"])
@pytest.mark.parametrize("bits", [32, 64])
def test_the_vector_functions_are_within_three_units_in_the_last_place(name, bits, numba_backend):
    import numba

    dtype = np.dtype(f"float{bits}").type
    function = getattr(numba_backend.vector_math, f"{name}{bits}")
    loop = numba.vectorize([f"float{bits}(float{bits})"])(lambda x: function(x))
    rng = np.random.default_rng(11785)
    info = np.finfo(dtype)
    edges = [
        0.0,
        -0.0,
        np.inf,
        -np.inf,
        np.nan,
        info.tiny,
        info.smallest_subnormal,
        info.max,
        88.7,
        -103.9,
        709.7,
        -745.0,
    ]
    x = np.concatenate(
        [
            rng.uniform(-100, 100, 20_000),
            rng.uniform(-1, 1, 20_000),
            np.exp(rng.uniform(-80, 80, 20_000)),
            edges,
        ]
    )
    x = x.astype(dtype)
    with np.errstate(all="ignore"):
        exact = getattr(np, name)(x.astype(np.longdouble)).astype(dtype)
        got = loop(x)
        error = np.abs(got.astype(np.longdouble) - exact) / np.spacing(np.abs(exact))
    finite = np.isfinite(exact)
    np.testing.assert_array_equal(got[~finite], exact[~finite])
    assert error[finite].max() <= 3


# -- training steps --------------------------------------------------------------------------------------------


def training(
    sizes: list[int], batch: int, dtype: str, keeps: bool, backend: str
) -> tuple[Callable[..., Any], list[Tensor], Callable[[], tuple[Any, Any]]]:
    """Return a training step, its parameters, and a source of batches; `keeps` leaves the gradients to be seen."""
    rng = np.random.default_rng(11785)
    parameters: list[Tensor] = []
    for n, m in pairwise(sizes):
        parameters.append(Tensor(rng.standard_normal((m, n)).astype(dtype) / n, requires_grad=True))
        parameters.append(Tensor(rng.standard_normal(m).astype(dtype), requires_grad=True))
    optimizer = SGD(parameters, 0.1)

    def step(x: Any, labels: Any) -> Any:
        y = x
        for i in range(0, len(parameters) - 2, 2):
            y = relu(linear(y, parameters[i], parameters[i + 1]))
        loss = softmax_cross_entropy(linear(y, parameters[-2], parameters[-1]), labels)
        if keeps:
            optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if not keeps:
            optimizer.zero_grad()
        return loss

    def batches() -> tuple[Any, Any]:
        x = rng.standard_normal((batch, sizes[0])).astype(dtype)
        return x, np.eye(sizes[-1], dtype=dtype)[rng.integers(sizes[-1], size=batch)]

    return step if backend == "eager" else mytorch.compile(step, backend=backend), parameters, batches


@pytest.mark.parametrize("keeps", [True, False], ids=["gradients kept", "gradients dropped"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("sizes", "batch"), [([2, 16, 16, 2], 1), ([2, 16, 16, 2], 7), ([60, 70, 10], 1), ([60, 70, 10], 32)]
)
def test_training_gives_the_same_parameters(sizes, batch, dtype, keeps, backend):
    eager, theirs, batches = training(sizes, batch, dtype, keeps, "eager")
    replayed, ours, _ = training(sizes, batch, dtype, keeps, backend)
    for _ in range(6):
        x, labels = batches()
        expected, got = eager(x, labels), replayed(x, labels)
        np.testing.assert_allclose(got._array, expected._array, rtol=20 * TOLERANCE[dtype])
        for a, b in zip(theirs, ours, strict=True):
            np.testing.assert_allclose(
                b._array, a._array, rtol=20 * TOLERANCE[dtype], atol=20 * TOLERANCE[dtype]
            )
            assert (a.grad is None) == (b.grad is None) == (not keeps)
            if keeps:
                np.testing.assert_allclose(
                    np.asarray(b.grad), np.asarray(a.grad), rtol=1e-3, atol=20 * TOLERANCE[dtype]
                )


def test_measuring_leaves_the_parameters_alone(backend):
    step, parameters, batches = training([60, 70, 10], 32, "float32", False, backend)
    x, labels = batches()
    step(x, labels)  # records
    before = [parameter._array.copy() for parameter in parameters]
    program = step.program  # type: ignore[attr-defined]
    assert program.instructions
    for parameter, array in zip(parameters, before, strict=True):
        np.testing.assert_array_equal(parameter._array, array)


# -- what is joined --------------------------------------------------------------------------------------------


def test_a_small_training_step_is_one_piece(numba_backend):
    step, _, batches = training([2, 16, 16, 2], 1, "float32", True, "numba")
    for _ in range(2):
        step(*batches())
    program = step.program  # type: ignore[attr-defined]
    assert pieces(step) == [len(program.instructions) - len(program.refreshed)]  # all but the learning rate


def test_a_chain_needs_no_memory_between(numba_backend):
    replayed = compare(lambda x, y: np.sum((x * y - x) ** 2 + y), "numba", draws("float64", (50, 40)), 1e-12)
    (piece,) = replayed.program.backends[0].pieces
    assert piece.text.count("for i0") == 1
    assert piece.text.count("] = ") == 1  # only the result is written


def test_the_same_loops_on_other_memory_are_compiled_once(numba_backend):
    for _ in range(2):
        step, _, batches = training([2, 8, 2], 1, "float32", True, "numba")
        for _ in range(2):
            step(*batches())
        known = len(numba_backend._compiled)
    assert len(numba_backend._compiled) == known


def test_large_products_and_slow_functions_are_left_to_numpy(numba_backend):
    def function(x, y):
        return np.sin(x @ y) + 1

    replayed = compare(function, "numba", draws("float64", (64, 64), 3), 1e-12)
    assert pieces(replayed) == []


def test_long_programs_are_cut(numba_backend):
    def function(x, y):
        for _ in range(80):
            x = x * y + 0.5
        return x

    replayed = compare(function, "numba", draws("float64", (3,), 3), 1e-12)
    assert max(pieces(replayed)) == numba_backend.LONGEST
    assert sum(pieces(replayed)) == len(replayed.program.instructions) == 160


def test_large_arguments_are_read_where_the_caller_has_them(numba_backend):
    calls = draws("float64", (100, 100), 3)
    calls.append((np.asfortranarray(calls[0][0]), calls[0][1]))
    replayed = compare(lambda x, y: x[1:] * 2 + y[:-1] - x[::-1][1:], "numba", calls, 1e-12)
    assert pieces(replayed) == [3]


def test_updates_are_calls_of_blas(rng):
    need("blas")
    step, _, batches = training([256, 512, 10], 64, "float32", False, "blas")
    for _ in range(2):
        step(*batches())
    program = step.program  # type: ignore[attr-defined]
    called = [call[0].__name__ for form in program.forms for call in form]
    joined = {tuple(program.instructions[p].name for p in update) for update in program.backends[0].updates}
    assert set(called) & {"stepped_by_product", "stepped"}
    assert all(names[-2:] == ("np.multiply", "np.subtract") for names in joined)


@pytest.mark.parametrize("batch", [1, 16])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("rate", [0.5, 0.0])
def test_every_update_by_blas_is_the_one_that_was_written(batch, transposed, rate, monkeypatch, rng):
    need("blas")
    from mytorch.extras import blas

    monkeypatch.setattr(blas, "faster", lambda *_: True)
    start = rng.standard_normal((40, 50))
    weights = [Tensor(start.T.copy().T if transposed else start.copy()) for _ in range(2)]

    def step_of(weight):
        def step(x, g, rate):
            weight[...] -= rate * (g.T @ x)
            return np.sum(weight)

        return step

    eager, replayed = step_of(weights[0]), mytorch.compile(step_of(weights[1]), backend="blas")
    for turn in range(4):
        x, g = rng.standard_normal((batch, 50)), rng.standard_normal((batch, 40))
        if turn == 3:
            x[0, 0], g[0, 1] = np.inf, np.nan
        with np.errstate(all="ignore"):
            np.testing.assert_allclose(
                replayed(x, g, np.float64(rate)), eager(x, g, np.float64(rate)), rtol=1e-10
            )
        np.testing.assert_allclose(weights[1]._array, weights[0]._array, rtol=1e-10)
    called = {call[0].__name__ for form in replayed.program.forms for call in form}
    assert called & ({"stepped_by_rows"} if batch == 1 else {"stepped_by_product"})


OUTER: dict[str, Any] = {
    "a column times a row": lambda a, b: a[:, None] * b,
    "a row times a column": lambda a, b: b * a[:, None],
    "a row of one row": lambda a, b: b[None] * a[:, None],
    "np.outer": np.outer,
    "a product of matrices": lambda a, b: a[:, None] @ b[None],
    "a sum that einsum broadcasts": lambda a, b: np.einsum("ij,jk->ik", a[:, None], np.array([b, a])),
}


@pytest.mark.parametrize("kind", OUTER)
def test_an_outer_product_changes_a_square_weight_the_right_way_round(kind, backend, monkeypatch, rng):
    if "blas" in backend:
        from mytorch.extras import blas

        monkeypatch.setattr(blas, "faster", lambda *_: True)
    if "numba" in backend:
        from mytorch.extras import numba_backend

        monkeypatch.setattr(numba_backend, "faster", lambda *_: True)
    outer, calls = OUTER[kind], rng.standard_normal((4, 2, 40))
    weight = Tensor(np.zeros((40, 40)))

    def step(a, b):
        weight[...] -= 0.5 * outer(a, b)

    replayed = mytorch.compile(step, backend=backend)
    for a, b in calls:
        replayed(a, b)
    np.testing.assert_allclose(weight._array, -0.5 * sum(outer(a, b) for a, b in calls), atol=1e-12)


def test_a_weight_that_is_not_aligned_is_changed_where_it_lies(monkeypatch, rng):
    need("blas")
    from mytorch.extras import blas

    monkeypatch.setattr(blas, "faster", lambda *_: True)
    weight = np.zeros(40 * 40 * 8 + 1, np.uint8)[1:].view(float).reshape(40, 40)

    def step(a, b):
        weight[...] -= 0.5 * np.outer(a, b)

    replayed, calls = mytorch.compile(step, backend="blas"), rng.standard_normal((3, 2, 40))
    for a, b in calls:
        replayed(a, b)
    np.testing.assert_allclose(weight, -0.5 * sum(np.outer(a, b) for a, b in calls), atol=1e-12)


def test_a_parameter_without_entries_is_changed_as_well(backend):
    empty, weight = Tensor(np.zeros((0, 3))), Tensor(np.zeros(3))

    def step(x):
        empty[...] -= 0.5 * x
        weight[...] -= 0.5 * np.sum(x, axis=0) + 1

    replayed = mytorch.compile(step, backend=backend)
    for _ in range(3):
        replayed(np.ones((0, 3)))
    np.testing.assert_array_equal(weight._array, -3.0)


def test_only_scipys_threads_are_held():
    need("blas")
    import threadpoolctl

    from mytorch.extras.blas import held

    before = {
        e["filepath"]: e["num_threads"] for e in threadpoolctl.threadpool_info() if e["user_api"] == "blas"
    }
    held()
    after = {
        e["filepath"]: e["num_threads"] for e in threadpoolctl.threadpool_info() if e["user_api"] == "blas"
    }
    for path, threads in after.items():
        assert threads == (1 if "scipy.libs" in path else before[path])


# -- random programs -------------------------------------------------------------------------------------------

UNARY: list[Any] = [
    np.negative,
    np.abs,
    np.square,
    np.tanh,
    np.sign,
    lambda x: x > 0,
    lambda x: x[::-1],
    lambda x: x * 0.5,
]
BINARY: list[Any] = [
    np.add, np.subtract, np.multiply, np.maximum, np.minimum, lambda a, b: np.where(a > b, a, b), lambda a, b: a - b[0],
    lambda a, b: a * b[:, :1], lambda a, b: a + np.sum(b), lambda a, b: a - np.max(b, axis=1, keepdims=True),
    lambda a, b: (a @ b.T) @ b, lambda a, b: a - np.sum(b, axis=0),
]  # fmt: skip


def random_program(choices: list[tuple[int, int, int, int]]) -> Callable[..., Any]:
    """Return the program that a list of numbers stands for: what is computed of what, or written over what."""

    def program(x: Any, y: Any) -> Any:
        known = [x, y, x * 1, y + 0]
        for how, which, i, j in choices:
            a, b = known[i % len(known)], known[j % len(known)]
            if how == 0:
                known.append(UNARY[which % len(UNARY)](a) * 1.0)
            elif how == 1:
                known.append(np.tanh(BINARY[which % len(BINARY)](a, b)))
            elif how == 2:
                known[2] *= np.tanh(b)
            elif how == 3:
                known[3][1:] += 0.5 * np.tanh(a[:-1])
            else:
                x[...] = 0.5 * (a - np.tanh(b))
        return known[-1] + 0, known[2] + 0, known[3] + 0

    return program


@pytest.mark.parametrize("name", list(NEEDS))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_random_programs_give_the_same_numbers(name, dtype, monkeypatch):
    need(name)
    if "numba" in name:
        from mytorch.extras import numba_backend

        monkeypatch.setattr(numba_backend, "faster", lambda *_: True)  # what is compiled is run, fast or not

    @settings(max_examples=12, deadline=None, derandomize=True)
    @given(st.lists(st.tuples(st.integers(0, 4), *[st.integers(0, 20)] * 3), min_size=2, max_size=12))
    def search(choices):
        compare(random_program(choices), name, draws(dtype, (3, 4), 3), 100 * TOLERANCE[dtype])

    search()


# -- errors ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "package"), [("numba", "numba"), ("blas", "scipy"), ("blas", "threadpoolctl")]
)
def test_what_is_missing_is_said_with_its_remedy(name, package, monkeypatch):
    for needed in NEEDS[name]:
        monkeypatch.setitem(sys.modules, needed, sys)  # anything that can be imported
    monkeypatch.setitem(sys.modules, package, None)
    remedy = f"pip install {' '.join(NEEDS[name])}"
    message = rf"backend={name!r} needs .*{package}.*, which cannot be imported \(.*\): {remedy}$"
    with pytest.raises(ImportError, match=message):
        mytorch.compile(lambda x: x, backend=name)


@pytest.mark.parametrize("name", ["fortran", "", "numba+numba", "numpy+blas"])
def test_an_unknown_back_end_is_refused(name):
    known = r"'numpy', 'numba', 'blas' or 'blas\+numba'"
    with pytest.raises(ValueError, match=rf"backend must be {known}, got {re.escape(repr(name))}"):
        mytorch.compile(lambda x: x, backend=name)


def test_an_error_leaves_the_parameters_as_they_were(backend):
    weight = Tensor(np.ones(3))

    def step(x, m):
        weight[...] -= 0.5 * x
        return np.linalg.inv(m) + np.sum(weight)

    replayed = mytorch.compile(step, backend=backend)
    for _ in range(3):
        replayed(np.ones(3), np.eye(2))
    before = weight._array.copy()
    with pytest.raises(np.linalg.LinAlgError):
        replayed(np.ones(3), np.zeros((2, 2)))
    np.testing.assert_array_equal(weight._array, before)


def test_a_branch_that_flips_is_followed(backend):
    def function(x):
        y = x * 2 + 1
        return y * 3 if np.sum(y) > 0 else y - 3

    compare(function, backend, [(np.array([sign, 2.0 * sign]),) for sign in (1, 1, -1, -1, 1, -1, 1)], 1e-12)
