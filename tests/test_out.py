"""Results written to a given `out`: on the tape where that is a Tensor, an error where it is a plain array."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

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
