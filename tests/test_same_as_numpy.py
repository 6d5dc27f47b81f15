"""The same call on Tensors as on arrays: the same value, dtype, shape and order in memory, where they once differed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mytorch import Tensor, grad

A = np.random.default_rng(5).normal(size=(3, 4))
ROW, SMALL, BITS = A[:1], np.array([4, 1, 5], np.int8), np.array([True, False, False, True])
TENTHS = np.arange(11) / 10

# name: (the call, its arrays)
CALLS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "angle of truth values": (np.angle, (BITS,)),
    "average of integers": (lambda a, w: np.average(a, weights=w), (SMALL, np.array([1, 2, 3], np.float32))),
    "average, its weights": (
        lambda a, w: np.average(a, weights=w, returned=True)[1],
        (A[0].astype(np.float32), np.arange(1, 5)),
    ),
    "cov of a row": (lambda a: np.cov(a, rowvar=False, ddof=0), (ROW,)),
    "cov of a row with another": (lambda a, b: np.cov(a, b, ddof=0), (ROW, ROW[:, ::-1])),
    "cov without freedom": (lambda a, w: np.cov(a, aweights=w, ddof=9), (A, np.ones(4))),
    "cumulative_sum of a number": (lambda a: np.cumulative_sum(a, include_initial=True), (np.array(2.5),)),
    "diff of truth values": (lambda a: np.diff(a, 2), (BITS,)),
    "histogram, values on the edges": (np.histogram, (TENTHS,)),
    "histogram of a matrix with weights": (lambda a, w: np.histogram(a, weights=w), (A, A)),
    "histogram, its density": (
        lambda a, w: np.histogram(a, 3, density=True, weights=w),
        (A.astype(np.float32), np.abs(A).astype(np.float32)),
    ),
    "histogramdd of one point": (np.histogramdd, (A[:1, :2],)),
    "index, an empty list": (lambda a: a[[]], (A,)),
    "index, empty lists": (lambda a: a[:, [[], []]], (A,)),
    "interp of a number in a point": (np.interp, (np.array(2.0), np.array([1.0]), np.array([3.0]))),
    "linspace": (lambda a, b: np.linspace(a, b, 11), (np.array(0.1), np.array(0.7))),
    "linspace from infinity": (lambda a, b: np.linspace(a, b, 3), (np.array(-np.inf), np.array(0.7))),
    "median over a list of axes": (lambda a: np.median(a, axis=[0, 1], keepdims=True), (A,)),
    "quantile over a list of axes": (lambda a: np.quantile(a, [0.2, 0.5], axis=[-1], method="lower"), (A,)),
    "poly of halves": (np.poly, (np.array([1, 2], np.float16),)),
    "var of integers as such": (lambda a: np.var(a, dtype=int), (SMALL,)),
    "reduce of one integer": (np.divide.reduce, (SMALL[:1],)),
    "reduce of small integers": (np.subtract.reduce, (SMALL,)),
    "accumulate of one integer": (np.hypot.accumulate, (SMALL[:1],)),
    "accumulate of nothing": (np.arctan2.accumulate, (SMALL[:0],)),
    "reduceat of small integers": (lambda a: np.subtract.reduceat(a, [0, 2]), (SMALL,)),
}


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", CALLS)
def test_value_dtype_and_shape(name: str) -> None:
    if name.startswith("cumulative") and not hasattr(np, "cumulative_sum"):
        pytest.skip("this NumPy has no such function")
    function, operands = CALLS[name]
    expected = function(*operands)
    found = function(*[Tensor(x, requires_grad=x.dtype.kind == "f") for x in operands])
    several = isinstance(expected, tuple | list)
    for y, z in zip(expected if several else [expected], found if several else [found], strict=True):
        for part, other in zip(y, z, strict=True) if isinstance(y, tuple | list) else [(y, z)]:
            assert other.dtype == part.dtype
            np.testing.assert_array_equal(other.numpy() if isinstance(other, Tensor) else other, part)


@pytest.mark.parametrize("index", [[], [[]], ([], 0), (slice(None), [])])
def test_nothing_is_written_to_an_empty_list_of_places(index: Any) -> None:
    x = Tensor(A, requires_grad=True) * 1.0
    x[index] = 5.0
    np.testing.assert_array_equal(x.numpy(), A)


@pytest.mark.parametrize(
    ("make", "shares"),
    [
        (lambda a, like: np.asarray(a, like=like), True),
        (lambda a, like: np.asarray(a, order="C", like=like), True),
        (lambda a, like: np.asarray(a, order="F", like=like), False),
        (lambda a, like: np.ascontiguousarray(a.T, like=like), False),
        (lambda a, like: np.ascontiguousarray(a, like=like), True),
        (lambda a, like: np.asfortranarray(a.T, like=like), True),
        (lambda a, like: np.asfortranarray(a, np.float32, like=like), False),
        (lambda a, like: np.require(a, None, ["F", "A"], like=like), False),
        (lambda a, like: np.require(a, like=like), True),
        (lambda a, like: np.require(np.broadcast_to(a[0], (2, 4)), None, "W", like=like), False),
    ],
)
def test_the_order_in_memory_that_is_asked_for(make: Callable[..., Any], shares: bool) -> None:
    x: Any = Tensor(A, requires_grad=True)
    y, z = make(A, A), make(x, x)
    assert z.strides == y.strides
    assert z.requires_grad
    assert np.shares_memory(y, A) == np.shares_memory(z, x) == shares


def test_the_method_of_an_array_clips_to_tensors() -> None:
    low = Tensor(np.zeros(4), requires_grad=True)
    y: Any = A.clip(low, 1.0)
    np.testing.assert_array_equal(y.numpy(), A.clip(0, 1))
    y.sum().backward()
    np.testing.assert_array_equal(low.grad.numpy(), (A < 0).sum(axis=0))


@pytest.mark.parametrize("operand", [2, 2.5, np.float64(2.5)])
def test_operands_that_may_not_be_cast_are_numpy_s_error(operand: Any) -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    for options in ({"dtype": np.float32, "casting": "equiv"}, {"casting": "no"}):
        with pytest.raises(TypeError, match=r"[Cc]ast"):
            np.maximum(np.float32(1) if len(options) == 1 else operand, x, **options)


@pytest.mark.parametrize(
    "call",
    [
        lambda x, out: np.sum(x, axis=0, out=out),
        lambda x, out: x.max(1, out),
        lambda x, out: np.concatenate((x[0], x[1]), out=out),
    ],
)
def test_a_larger_output_is_an_error(call: Callable[..., Any]) -> None:
    out = Tensor(np.zeros((3, 3, 8)))
    with pytest.raises(ValueError, match=r"wrong (number of dimensions|dimensionality)"):
        call(Tensor(A, requires_grad=True), out)
    assert not out.numpy().any()


def test_values_between_differences_have_their_kind() -> None:
    with pytest.raises(TypeError, match=r"dtype of `to_end` must be compatible .* got float64 for int8"):
        np.ediff1d(Tensor(SMALL), to_end=1.5)


@pytest.mark.parametrize("name", ["fweights", "aweights"])
def test_weights_of_observations_are_as_many(name: str) -> None:
    cov: Any = np.cov
    with pytest.raises(
        RuntimeError, match=rf"cov: expected {name} of shape \(4,\), one for each .* got \(1,\)"
    ):
        cov(Tensor(A), **{name: np.ones(1, int)})


def test_the_slopes_of_numbers_with_equal_steps() -> None:
    def weighted(ends: Any) -> Any:
        return np.sum(np.linspace(ends[0], ends[1], 4) * np.arange(4.0))

    np.testing.assert_allclose(grad(weighted)(np.array([0.3, 2.0])), [4 / 3, 14 / 3], rtol=1e-14)


def test_a_number_in_an_array_is_put_and_an_integer_copied() -> None:
    x = Tensor(np.array(2.0), requires_grad=True)
    y = x * 1.0
    y = y.reshape(1)[...].reshape(())
    np.put(y, [0, -1], [5.0, x * 3])  # type: ignore[arg-type]
    assert y.item() == 6.0
    bytes_: Any = Tensor(np.zeros(2, np.uint8))
    np.copyto(bytes_, 7)
    assert bytes_.tolist() == [7, 7]


def test_nothing_is_updated_in_an_empty_array() -> None:
    nothing: Any = Tensor(np.zeros((0, 2)).T[:, ::-1], requires_grad=True) * 1.0
    index: Any = (slice(None), np.zeros(0, int))
    np.multiply.at(nothing, index, 2.0)
    spread: Any = Tensor(np.broadcast_to(np.zeros((1, 0)), (2, 0)))
    np.multiply.at(spread, np.array([0, 1]), 2.0)
    assert spread.shape == (2, 0)


def test_truth_values_are_places_to_take_from() -> None:
    x: Any = Tensor([1.0, 2.0], requires_grad=True)
    y = np.take(x, [True, True, False]) + x.take(np.array([[True, True, True]]), 0)
    np.testing.assert_array_equal(y.numpy(), [[4, 4, 3]])
    y.backward(np.array([[1.0, 10.0, 100.0]]))
    assert x.grad.tolist() == [100.0, 122.0]
    same = np.take(x, [True, True])
    x.grad = None
    same.sum().backward()
    assert x.grad.tolist() == [0.0, 2.0]


@pytest.mark.parametrize("indices", [[True, False, True, True], [0.0, 1.0]])
def test_places_along_an_axis_are_integers(indices: Any) -> None:
    x: Any = Tensor(A[0])
    with pytest.raises(IndexError, match=r"`indices` must be an integer array, got dtype (bool|float64)"):
        np.take_along_axis(x, np.array(indices), 0)
    with pytest.raises(IndexError, match=r"`indices` must be an integer array, got dtype (bool|float64)"):
        np.put_along_axis(x, np.array(indices), 1.0, 0)
    assert x.tolist() == A[0].tolist()
