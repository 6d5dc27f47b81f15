"""What an index, a mask or a count says is constant: changing it after the call changes no derivative."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mytorch import Tensor
from mytorch.gradcheck import check_gradients

X = np.random.default_rng(10).normal(size=(3, 4))


def _assigned(x: Any, index: Any) -> Any:
    y = x * 1.0
    y[index] = 2.0 * y[index] * y[index]
    return y


def _put(x: Any, index: Any) -> Any:
    y = x * 1.0
    np.put_along_axis(y, index, y[:, :1] * y[:, 1:2], 1)
    return y


# name: (function of x and a constant, the constant, another one)
CALLS: dict[str, tuple[Callable[[Any, Any], Any], Any, Any]] = {
    "index": (lambda x, i: x[i], [0, 2, 0], [1, 1, 1]),
    "index of two axes": (lambda x, i: x[i, i[::-1]], [0, 2, 0], [1, 1, 1]),
    "mask": (lambda x, m: x[m], [True, False, False], [False, True, False]),
    "assignment": (_assigned, [0, 2], [1, 1]),
    "assignment by mask": (_assigned, [True, False, False], [True, True, False]),
    "take": (lambda x, i: np.take(x, i, 0), [0, 2, 0], [1, 1, 1]),
    "take_along_axis": (lambda x, i: np.take_along_axis(x, i, 1), [[0], [1], [3]], [[2], [2], [2]]),
    "put_along_axis": (_put, [[0], [1], [3]], [[2], [2], [2]]),
    "compress": (lambda x, m: np.compress(m, x, 0), [True, False, True], [False, False, True]),
    "choose": (lambda x, i: np.choose(i, (x, x * x)), [0, 1, 0, 1], [0, 0, 0, 0]),
    "repeat": (lambda x, n: np.repeat(x, n, 0), [1, 0, 2], [0, 1, 2]),
    "delete": (lambda x, i: np.delete(x, i, 0), [0, 1], [2, 2]),
    "insert": (lambda x, i: np.insert(x, i, x[0], 0), [0, 2], [1, 1]),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_later_change_of_the_index_changes_nothing(name: str) -> None:
    function, index, other = CALLS[name]

    def changed(x: Any) -> Any:
        mine = np.array(index)
        y = function(x, mine)
        mine[...] = other
        return y

    np.testing.assert_array_equal(
        changed(Tensor(X, requires_grad=True)).numpy(), function(X, np.array(index))
    )
    check_gradients(changed, X)


def test_masks_write_to_arrays_without_axes() -> None:
    def f(x: Any) -> Any:
        y = np.zeros_like(x[0, ...])
        y[...] = x[0] * x[0]
        y[np.array(True)] = y * x[1]
        y[np.array(False)] = 7.0
        return y * y

    check_gradients(f, np.array([0.7, 1.3]))


@pytest.mark.parametrize("name", CALLS)
def test_an_index_may_be_a_tensor(name: str) -> None:
    function, index, other = CALLS[name]

    def changed(x: Any) -> Any:
        mine: Any = Tensor(index)
        y = function(x, mine if isinstance(x, Tensor) else np.array(index))
        mine[...] = other
        return y

    check_gradients(changed, X)


WRITES: list[Any] = [
    lambda a, v: np.putmask(a, [True, False, True], v),
    lambda a, v: np.place(a, np.array([True, False, True]), v),
    lambda a, v: np.put(a, [0, 2], v),
    lambda a, v: a.put([0, 7], v),
    lambda a, v: np.copyto(a, v),
    lambda a, v: np.copyto(a, v, "safe"),
    lambda a, v: np.copyto(a, v, where=[1, 0, 1]),
    lambda a, v: np.copyto(a, v, where=np.array([1, 0, 1])),
    lambda a, v: np.fill_diagonal(a.reshape(3, 1), v),
]
VALUES: list[Any] = [
    1, 1.5, 1 + 2j, -1, 300, np.float64(1.5), [1.5], [1.5, 2.5, 3.5], np.float32(2), np.array([1.5]),
    np.array([1], "i1"), np.ones(3, complex),
]  # fmt: skip


@pytest.mark.filterwarnings(
    "ignore::numpy.exceptions.ComplexWarning", "ignore:NumPy will stop:DeprecationWarning"
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.int64, np.uint8])
@pytest.mark.parametrize("write", WRITES)
def test_what_is_written_is_cast_or_refused_as_by_numpy(write: Any, dtype: Any) -> None:
    for value in VALUES:
        check_write(write, value, dtype)


def check_write(write: Any, value: Any, dtype: Any) -> None:
    expected, ours = np.arange(3).astype(dtype), Tensor(np.arange(3).astype(dtype))
    try:
        write(expected, value)
    except (TypeError, ValueError, IndexError, OverflowError) as error:
        with pytest.raises(type(error), match=re.escape(str(error)[:30])):
            write(ours, value)
    else:
        write(ours, value)
        np.testing.assert_array_equal(ours.numpy(), expected)


def test_an_array_is_filled_with_one_number() -> None:
    with pytest.raises(ValueError, match="setting an array element with a sequence"):
        Tensor(np.zeros(3)).fill(np.ones(3))
    with pytest.raises(TypeError, match="real number, not 'complex'"):
        Tensor(np.zeros(3)).fill(1j)


def test_numbers_of_a_list_mask_are_truth_values() -> None:
    y = Tensor(np.zeros(3))
    x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    np.copyto(y, x, where=[1, 0, 1])  # type: ignore[arg-type]
    y.sum().backward()
    assert y.tolist() == [1, 0, 3]
    assert x.grad.tolist() == [1, 0, 1]
