"""Results written to a given `out`: on the tape where that is a Tensor, an error where it is a plain array."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mytorch
from mytorch import TapeError, Tensor
from mytorch.gradcheck import check_gradients

X = np.random.default_rng(11).normal(size=(2, 3))

# name: (the call with an output, the shape of the output)
CALLS: dict[str, tuple[Callable[[Any, Any], Any], tuple[int, ...]]] = {
    "add": (lambda x, out: np.add(x, x, out=out), (2, 3)),
    "add, by position": (lambda x, out: np.add(x, x, out), (2, 3)),
    "sum": (lambda x, out: np.sum(x, axis=0, out=out), (3,)),
    "sum, by position": (lambda x, out: np.sum(x, 0, None, out), (3,)),
    "sum, the method": (lambda x, out: x.sum(0, None, out), (3,)),
    "cumsum": (lambda x, out: np.cumsum(x, 1, None, out), (2, 3)),
    "concatenate": (lambda x, out: np.concatenate((x, x), out=out), (4, 3)),
    "concatenate, by position": (lambda x, out: np.concatenate((x, x), 0, out), (4, 3)),
    "stack": (lambda x, out: np.stack((x, x), 1, out), (2, 2, 3)),
    "take": (lambda x, out: np.take(x, [1, 0], 0, out), (2, 3)),
    "take, the method": (lambda x, out: x.take([1, 0], 0, out=out), (2, 3)),
    "compress": (lambda x, out: np.compress([True, False, True], x, 1, out), (2, 2)),
    "compress, the method": (lambda x, out: x.compress([True, False, True], 1, out), (2, 2)),
    "choose": (lambda x, out: np.choose([0, 1, 0], (x, 2 * x), out), (2, 3)),
    "dot": (lambda x, out: np.dot(x, x.T, out), (2, 2)),
    "floor": (lambda x, out: np.floor(x, out), (2, 3)),
    "clip": (lambda x, out: np.clip(x, -0.5, 0.5, out), (2, 3)),
    "round": (lambda x, out: np.round(x, 1, out), (2, 3)),
    "mean": (lambda x, out: np.mean(x, 0, None, out), (3,)),
    "max": (lambda x, out: np.max(x, 1, out), (2,)),
    "trace": (lambda x, out: np.trace(x, 0, 0, 1, None, out), ()),
    "einsum": (lambda x, out: np.einsum("ij->j", x, out=out), (3,)),
    "matmul": (lambda x, out: np.matmul(x, x.T, out), (2, 2)),
}
FLAT = ("floor", "round")


@pytest.mark.parametrize("name", CALLS)
def test_an_output_that_is_a_tensor_is_written_on_the_tape(name: str) -> None:
    function, shape = CALLS[name]

    def program(x: Any) -> Any:
        out = np.empty_like(x, shape=shape)
        out[...] = x[0, 0]
        result = function(x, out)
        assert result is out
        return out * x[0, 0] + 0.0

    np.testing.assert_allclose(program(Tensor(X, requires_grad=True)).numpy(), program(X), rtol=1e-13)
    check_gradients(program, X)


@pytest.mark.parametrize("name", [name for name in CALLS if name not in FLAT])
def test_an_output_that_is_a_plain_array_is_an_error(name: str) -> None:
    function, shape = CALLS[name]
    out = np.zeros(shape)
    with pytest.raises((TypeError, TapeError), match="cannot carry"):
        function(Tensor(X, requires_grad=True), out)
    assert not out.any()


@pytest.mark.parametrize("name", FLAT)
def test_a_constant_is_written_to_a_plain_array(name: str) -> None:
    function, shape = CALLS[name]
    out = np.zeros(shape)
    assert function(Tensor(X, requires_grad=True), out) is out
    np.testing.assert_array_equal(out, function(X, np.zeros(shape)))


def test_positions_written_to_an_integer_tensor() -> None:
    out = Tensor(np.zeros(2, int))
    np.argmax(Tensor(X, requires_grad=True), axis=1, out=out)  # type: ignore[call-overload]
    assert np.array_equal(out.numpy(), np.argmax(X, axis=1))


@pytest.mark.parametrize(
    "options", [{}, {"where": np.array([True, False])}, {"dtype": complex}, {"casting": "same_kind"}]
)
@pytest.mark.parametrize("ufunc", [np.tanh, np.positive, np.sign])
def test_an_output_that_cannot_hold_the_result_stays_as_it_is(ufunc: Any, options: dict[str, Any]) -> None:
    z, out = Tensor([1 + 2j, 3], requires_grad=True), Tensor([5.0, 6.0])
    with pytest.raises(TypeError, match=r"output from dtype\('complex128'\) to dtype\('float64'\)"):
        ufunc(z, out=out, **options)
    assert out.tolist() == [5, 6]


def test_a_cast_to_an_output_may_be_asked_for() -> None:
    tanh: Any = np.tanh
    z, out = Tensor([1.5, 3.0], requires_grad=True), Tensor(np.zeros(2, np.float32))
    assert tanh(z, out=out, where=np.array([True, False]), casting="unsafe") is out
    np.testing.assert_allclose(out.numpy(), [np.tanh(1.5), 0], rtol=1e-6)


@pytest.mark.parametrize(("ufunc", "slope"), [(np.deg2rad, np.pi / 180), (np.degrees, 180 / np.pi)])
def test_the_slope_of_real_numbers_in_a_complex_output(ufunc: Any, slope: float) -> None:
    x = Tensor([1.0, 2.0], requires_grad=True)
    ufunc(x, out=Tensor(np.zeros(2, complex))).backward(np.array([1 + 1j, 2]))
    np.testing.assert_allclose(x.grad.numpy(), [slope, 2 * slope])


REDUCTIONS: list[Any] = [
    np.sum,
    np.prod,
    np.mean,
    np.var,
    np.std,
    np.nanmean,
    np.add.reduce,
    np.cumsum,
    np.ptp,
]


def outputs(like: Any, dtype: Any) -> tuple[Any, Any]:
    return np.zeros(np.shape(like), dtype), np.zeros(np.shape(like), dtype)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, complex])
@pytest.mark.parametrize("requires_grad", [False, True])
@pytest.mark.parametrize("reduction", [*REDUCTIONS, np.add.accumulate])
def test_the_dtype_of_an_output_decides_what_is_computed_in(
    reduction: Any, requires_grad: bool, dtype: Any
) -> None:
    x = X.astype(np.float32)
    expected, given = outputs(reduction(x, axis=0), dtype)
    reduction(x, axis=0, out=expected)
    w, out = Tensor(x, requires_grad=requires_grad), Tensor(given)
    assert reduction(w, axis=0, out=out) is out
    np.testing.assert_array_equal(out.numpy(), expected)
    if requires_grad:
        out.real.sum().backward()
        same = Tensor(x, requires_grad=True)
        reduction(same, axis=0).sum().backward()
        np.testing.assert_allclose(w.grad.numpy(), same.grad.numpy(), rtol=1e-3)


OF_ROWS: list[Callable[[Any, Any], Any]] = [
    lambda x, out: np.einsum("ij->j", x, out=out),
    lambda x, out: np.take(x[0], [1, 0, 1], 0, out, "raise"),
    lambda x, out: np.argmax(x, axis=0, out=out),
    lambda x, out: np.clip(x[0], 0, 1, out=out),
    lambda x, out: np.dot(x[0], x.T @ x, out),
    lambda x, out: x.mean(axis=0, out=out),
    lambda x, out: np.median(x, axis=0, out=out),
    lambda x, out: np.subtract.reduce(x, axis=0, out=out),
]


@pytest.mark.parametrize("dtypes", [("f4", "f8"), ("f8", "f4"), ("f8", "c16"), ("f8", "i8"), ("i8", "i8")])
@pytest.mark.parametrize("call", OF_ROWS)
def test_an_output_of_another_dtype_is_written_or_refused_as_by_numpy(call: Any, dtypes: Any) -> None:
    x = (3 * X).astype(dtypes[0])
    expected, given = outputs(x[0], dtypes[1])
    replayed = mytorch.compile(call)
    ours = [lambda: call(Tensor(x), Tensor(given, copy=False)), *[lambda: replayed(x, given)] * 2]
    try:
        call(x, expected)
    except (TypeError, ValueError, Warning) as error:  # NumPy 2.5 warns of what take casts
        for compute in ours:
            with pytest.raises((TypeError, ValueError, type(error)), match=re.escape(str(error)[:20])):
                compute()
        assert not given.any()
        return
    for compute in ours:
        np.testing.assert_array_equal(np.asarray(compute()), expected)


def test_the_source_of_a_replay_names_an_output_of_another_dtype() -> None:
    @mytorch.compile
    def mean(x: Any) -> Any:
        out = np.zeros(3)
        x.mean(0, out=out)
        return 2 * out

    mean(X.astype(np.float32))
    assert "np.mean(x, 0, out=out)" in mean.source
