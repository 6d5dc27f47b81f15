"""What the direct calls and short records do, beside the general way that they are a short cut of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mytorch import Tensor, functional, no_grad
from mytorch.data import one_hot
from mytorch.optim import SGD
from mytorch.optim import optimizer as optimizers
from mytorch.records import Exact, Operation, TapeError
from mytorch.rules import rows
from mytorch.rules.arithmetic import times
from mytorch.rules.constants import ONE
from mytorch.rules.memory import put_at
from mytorch.rules.neural import linear
from mytorch.rules.padding import pad_with_zeros
from mytorch.tensor import wrap

rng = np.random.default_rng(11785)


def variable(*shape: int, dtype: Any = np.float64) -> Tensor:
    return Tensor(rng.normal(size=shape).astype(dtype), requires_grad=True)


def operations(y: Any) -> list[Any]:
    return list(y.tape.operation_list)


def test_a_training_step_makes_short_records_only() -> None:
    x, labels = rng.random((5, 3), dtype=np.float32), one_hot(np.array([0, 1, 1, 0, 1]), 2, np.float32)
    w, b, v, c = [variable(*shape, dtype=np.float32) for shape in ((4, 3), (4,), (2, 4), (2,))]
    hidden = functional.relu(functional.linear(x, w, b))
    loss = functional.softmax_cross_entropy(functional.linear(hidden, v, c), labels)
    made = operations(loss)
    assert [op.name for op in made] == ["linear", "relu", "linear", "log_softmax", "cross_entropy"]
    assert {type(op) for op in made} == {Exact}
    assert {op.line.rpartition(":")[0] for op in made} == {__file__}
    loss.backward()
    assert [leaf.grad.shape for leaf in (w, b, v, c)] == [leaf.shape for leaf in (w, b, v, c)]


def test_a_record_knows_as_many_inputs_as_its_function_has() -> None:
    x = variable(2)
    for y, count in (
        (functional.sin(x), 1),
        (x * x, 2),
        (functional.linear(variable(2, 3), variable(4, 3), variable(4)), 3),
    ):
        (operation,) = operations(y)
        assert len(operation.inputs) == len(operation.targets) == count


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: x.copy(), lambda x: x[:], lambda x: x.T.T])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_direct_calls_are_right_for_views_computed_values_and_other_dtypes(
    wrap: Callable[[Tensor], Tensor], dtype: Any
) -> None:
    a, w, b = variable(4, 3), variable(2, 3, dtype=dtype), variable(2, dtype=dtype)
    functional.linear(wrap(a), wrap(w), wrap(b)).sum().backward()
    np.testing.assert_allclose(a.grad.numpy(), np.ones((4, 2)) @ w.numpy(), rtol=1e-6)
    np.testing.assert_allclose(w.grad.numpy(), np.ones((2, 4)) @ a.numpy(), rtol=1e-6)
    assert (w.grad.dtype, b.grad.dtype) == (dtype, dtype)
    np.testing.assert_array_equal(b.grad.numpy(), [4, 4])


def test_direct_calls_of_constants_are_constant() -> None:
    arrays = rng.normal(size=(4, 3)), rng.normal(size=(2, 3)), rng.normal(size=2)
    assert type(functional.linear(*arrays)) is np.ndarray
    assert not functional.linear(Tensor(arrays[0]), *arrays[1:]).requires_grad
    w = Tensor(arrays[1], requires_grad=True)
    with no_grad():
        assert not functional.linear(arrays[0], w, arrays[2]).requires_grad


def test_direct_calls_join_tapes() -> None:
    w = variable(2, 3)
    y = functional.linear(variable(4, 3) * 1.0, w * 1.0, variable(2))
    (y * y).sum().backward()
    assert w.grad is not None


@pytest.mark.parametrize("turned", [False, True])
def test_a_leaf_joins_the_tape_of_the_other_operand(turned: bool) -> None:
    x, leaf = variable(3), variable(3)
    y = x * 2.0
    tape = y.tape
    with no_grad():
        _ = leaf * y if turned else y * leaf
    assert tape is not None
    assert list(tape.leaves.values()) == [x]
    z = leaf * y if turned else y * leaf
    assert z.tape is tape
    z.backward(np.ones(3))
    np.testing.assert_array_equal(leaf.grad.numpy(), y.numpy())
    np.testing.assert_array_equal(x.grad.numpy(), 2 * leaf.numpy())


def test_an_operator_on_a_view_is_recorded_with_its_region() -> None:
    x = variable(4)
    y = x[:2] * np.ones(2)
    z = (x * 1.0)[1:3] + y
    assert [type(op) for op in operations(z)] == [Exact, Operation]
    z.backward(np.ones(2))
    np.testing.assert_array_equal(x.grad.numpy(), [1, 2, 1, 0])


def test_the_seed_of_a_pass_belongs_to_nobody() -> None:
    x, y = Tensor(2.0, requires_grad=True), Tensor(3.0, requires_grad=True)
    for _ in range(2):
        (x + y).backward()
        x.grad[...] = 5.0
        y.backward()
    assert (x.grad.item(), y.grad.item()) == (5.0, 4.0)
    assert [float(one) for one in ONE.values()] == [1, 1]


def test_steps_are_noted_on_every_tape_that_reads_a_parameter() -> None:
    x, w, b = variable(4, 3), variable(2, 3), variable(2)
    first, second = (functional.linear(functional.linear(x, w, b), variable(2, 2), b) for _ in range(2))
    first.sum().backward()
    SGD([w, b], 0.1).step()
    for y in (first, second):
        (time,) = {time for time, _, _ in y.tape.stale.values()}
        assert time > operations(y)[-1].serial
        assert set(y.tape.stale) == {id(w._array), id(b._array)}
        with pytest.raises(TapeError, match=r"changed in place, under no_grad, at .*test_fast_paths\.py"):
            y.sum().backward()


@pytest.mark.parametrize(
    "options", [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}, {"weight_decay": 0.1}]
)
def test_large_parameters_are_stepped_in_pieces_to_the_same_numbers(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    start, gradients = rng.normal(size=(7, 5)), rng.normal(size=(3, 7, 5))
    results = []
    for piece in (32, 8000):  # bytes
        monkeypatch.setattr(optimizers, "_PIECE", piece)
        value, gradient = start.copy(), np.empty((7, 5))
        optimizer = SGD([(value, gradient)], 0.1, **options)
        for now in gradients:
            gradient[...] = now
            optimizer.step()
        results.append(value)
    np.testing.assert_array_equal(results[0], results[1])
    assert not np.array_equal(results[0], start)


def test_arrays_that_are_not_contiguous_are_one_piece() -> None:
    value = np.ones((400, 400))
    optimizers.descend(value, 0.5, np.ones((400, 400)).T)
    assert len(list(optimizers.pieces(value, value.T))) == 1
    assert (value == 0.5).all()


@pytest.mark.parametrize(
    "sizes", [(1, 3, 2), (3, 1, 2), (1, 1, 1), (0, 3, 2), (130, 9, 70), (600, 1, 600), (1, 7, 9000)]
)
def test_products_of_all_sizes(sizes: tuple[int, int, int]) -> None:
    rows, inner, columns = sizes
    a, b = rng.normal(size=(rows, inner)), rng.normal(size=(columns, inner)).T
    np.testing.assert_allclose(times(a, b), a @ b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("rows", [1, 2, 64, 65])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_affine_maps_of_few_and_many_rows(rows: int, dtype: Any) -> None:
    a, w, b = (rng.normal(size=shape).astype(dtype) for shape in ((rows, 256), (128, 256), (128,)))
    y = linear(a, w, b)
    assert y.flags.c_contiguous
    assert y.dtype == dtype
    np.testing.assert_allclose(y, a.astype(float) @ w.T + b, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.complex128])
def test_sums_of_rows(dtype: Any) -> None:
    a = rng.integers(5, size=(3, 4)).astype(dtype)
    np.testing.assert_array_equal(rows.row_sum(a), a.sum(1, keepdims=True))
    np.testing.assert_array_equal(rows.row_sum(a[0]), a[0].sum(keepdims=True))


@pytest.mark.parametrize("shape", [(7,), (3, 32), (3, 33), (2, 3, 40), (0, 40), (2, 0, 3)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_maxima_and_sums_of_rows_of_any_length(shape: tuple[int, ...], dtype: Any) -> None:
    a = rng.integers(-5, 5, size=shape).astype(dtype)
    for array in (a, a[..., ::-1], a.T.copy().T):
        np.testing.assert_array_equal(rows.row_max(array), array.max(-1, keepdims=True))
        np.testing.assert_array_equal(rows.row_sum(array), array.sum(-1, keepdims=True))


@pytest.mark.parametrize("columns", [3, 50])
def test_the_softmax_of_a_row_with_nan_is_nan(columns: int) -> None:
    a = np.zeros((2, columns))
    a[0, 1] = np.nan
    y = rows.softmax(a)
    assert np.isnan(y[0]).all()
    np.testing.assert_array_equal(y[1], 1 / columns)


@pytest.mark.parametrize("order", ["C", "F"])
def test_padding_lies_as_the_array_does(order: Any) -> None:
    a = np.asarray(rng.normal(size=(2, 3)), order=order)
    widths = [(0, 2), (1, 0)]
    y = pad_with_zeros(a, widths=widths)
    np.testing.assert_array_equal(y, np.pad(a, widths))
    assert y.strides == np.pad(a, widths).strides


@pytest.mark.parametrize("index", [[2, 0, 2, -1], [[1, 1], [3, -4]], np.array([3, 3], np.uint8)], ids=str)
@pytest.mark.parametrize("shape", [(4,), (4, 3), (4, 2, 3), (4, 0)])
def test_rows_that_are_named_twice_get_both(index: Any, shape: tuple[int, ...]) -> None:
    places = np.asarray(index)
    for a in (rng.normal(size=(*places.shape, *shape[1:])), np.full(shape[1:], 2.0)):
        expected = np.zeros(shape)
        np.add.at(expected, places, a)
        for given in (places, (places,)):
            np.testing.assert_array_equal(put_at(a, index=given, shape=shape), expected)


@pytest.mark.parametrize("place", [4, -5])
def test_rows_that_are_not_there_are_refused(place: int) -> None:
    with pytest.raises(IndexError, match="out of bounds"):
        put_at(np.ones((1, 3)), index=np.array([place]), shape=(4, 3))


@pytest.mark.parametrize(
    "reshape",
    [
        lambda x: x.reshape(-1),
        lambda x: x.reshape((2, 6)),
        lambda x: x.reshape(2, 6, order="F"),
        lambda x: x.ravel(),
        lambda x: np.reshape(x, (6, 2)),
        lambda x: np.reshape(x, (6, 2), order="F"),
    ],
)
@pytest.mark.parametrize("view", [lambda x: x.T, lambda x: x[:, ::-1], lambda x: x[:, None, ::2, None]])
def test_a_reshape_that_copies_is_one_copy_on_the_tape(
    reshape: Callable[[Any], Any], view: Callable[[Any], Any]
) -> None:
    x = variable(3, 8) if view(np.zeros((3, 8))).ndim == 4 else variable(3, 4)
    y = reshape(view(x))
    places = reshape(view(np.arange(x.size).reshape(x.shape)))
    np.testing.assert_array_equal(y.numpy(), x.numpy().reshape(-1)[places])
    names = [op.name for op in operations(y)] if y.tape is not None else []
    assert names == ([] if np.shares_memory(y.numpy(), x.numpy()) else ["copy"])
    weights = rng.normal(size=y.shape)
    (y * weights).sum().backward()
    expected = np.zeros(x.size)
    expected[places] = weights
    np.testing.assert_array_equal(x.grad.numpy(), expected.reshape(x.shape))


class Passing:
    """What passes for an ndarray to `isinstance`, without being one."""

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return np.ndarray

    def __array__(self, *arguments: Any, **options: Any) -> Any:
        raise AssertionError("it was made an array")


def test_what_passes_for_an_array_is_not_made_one() -> None:
    passing: Any = Passing()
    assert wrap(passing)._array is passing
    assert type(wrap(np.ma.array([1.0]))._array) is np.ndarray
    assert type(wrap(1.0)._array) is np.ndarray
