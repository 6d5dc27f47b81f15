"""Wrong calls of functions that join, pad, index and make arrays: NumPy's exceptions, and what was wrong."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.polynomial import polynomial

from mytorch import Tensor, no_grad

X = np.arange(6.0).reshape(2, 3)
WRONG: Any = "x"  # an option that does not exist

# name: (the call, the exception, the message); NumPy raises the same exception for plain arrays.
CALLS: dict[str, tuple[Callable[[Any], Any], type[Exception], str]] = {
    "axis of concatenate": (lambda x: np.concatenate((x, x), 2), ValueError, "axis 2 is out of bounds"),
    "axis of stack": (lambda x: np.stack((x, x), 3), ValueError, "axis 3 is out of bounds"),
    "shapes of concatenate": (lambda x: np.concatenate((x, x.T)), ValueError, "must match exactly"),
    "ndims of concatenate": (lambda x: np.concatenate((x, x[0])), ValueError, "same number of dimensions"),
    "0-d concatenate": (lambda x: np.concatenate((x.sum(keepdims=True)[0, 0, ...],)), ValueError, "zero-dim"),
    "shapes of stack": (lambda x: np.stack((x, x.T)), ValueError, "same shape"),
    "depths of block": (lambda x: np.block([[x], x]), ValueError, "List depths are mismatched"),
    "tuple in block": (lambda x: np.block([(x, x)]), TypeError, "tuple"),
    "empty list in block": (lambda x: np.block([[x], []]), ValueError, "empty"),
    "reshape": (lambda x: np.reshape(x, (4, 2)), ValueError, "cannot reshape array of size 6"),
    "split": (lambda x: np.split(x, 2, axis=1), ValueError, "equal division"),
    "squeeze": (lambda x: np.squeeze(x, 0), ValueError, "size not equal to one"),
    "broadcast_to": (lambda x: np.broadcast_to(x, (2, 4)), ValueError, "broadcast"),
    "broadcast_arrays": (lambda x: np.broadcast_arrays(x, x.T), ValueError, "broadcast"),
    "windows": (lambda x: np.lib.stride_tricks.sliding_window_view(x, (9, 9)), ValueError, "window shape"),
    "rolled axis": (lambda x: np.roll(x, 1, 5), ValueError, "axis 5 is out of bounds"),
    "tile": (lambda x: np.tile(x, -1), ValueError, "negative"),
    "repeat": (lambda x: np.repeat(x, [1, 2], 1), ValueError, "broadcast"),
    "negative pad": (lambda x: np.pad(x, -1), ValueError, "negative values"),
    "mode of pad": (lambda x: np.pad(x, 1, WRONG), ValueError, "mode 'x' is not supported"),
    "option of pad": (lambda x: np.pad(x, 1, "edge", end_values=1), ValueError, "unsupported keyword arguments"),
    "pad of nothing": (lambda x: np.pad(x[:0], 1, "edge"), ValueError, "can't extend empty axis 0"),
    "stat_length of pad": (lambda x: np.pad(x, 1, "maximum", stat_length=0), ValueError, "stat_length of 0"),
    "take": (lambda x: np.take(x, [9]), IndexError, "out of bounds"),
    "mode of take": (lambda x: np.take(x, [0], mode=WRONG), ValueError, "mode"),
    "take_along_axis": (lambda x: np.take_along_axis(x, np.array([0]), 1), ValueError, "number of dimensions"),
    "choose": (lambda x: np.choose([0, 2, 1], (x, x)), ValueError, "invalid entry in choice array"),
    "delete": (lambda x: np.delete(x, 9), IndexError, "out of bounds"),
    "insert": (lambda x: np.insert(x, 9, 1.0), IndexError, "out of bounds"),
    "values of insert": (lambda x: np.insert(x, [0, 1], x[0, :2], 0), ValueError, "broadcast"),
    "trim_zeros": (lambda x: np.trim_zeros(x[0], WRONG), ValueError, "unexpected character"),
    "place": (lambda x: np.place(x * 1.0, x > 0, []), ValueError, "Cannot insert from an empty array"),
    "copyto": (lambda x: np.copyto((x * 1.0).astype(int), x), TypeError, "Cannot cast array data"),
    "shape of copyto": (lambda x: np.copyto(x * 1.0, x.T), ValueError, "broadcast"),
    "fill_diagonal": (lambda x: np.fill_diagonal(x[0] * 1.0, 1.0), ValueError, "at least 2-d"),
    "diag": (lambda x: np.diag(x[None]), ValueError, "1- or 2-d"),
    "linspace": (lambda x: np.linspace(x, 1.0, -1), ValueError, "must be non-negative"),
    "axis of linspace": (lambda x: np.linspace(x, 1.0, 3, axis=7), ValueError, "axis 7|out of bounds|source"),
    "geomspace": (lambda x: np.geomspace(x, 1.0), ValueError, "cannot include zero"),
    "meshgrid": (lambda x: np.meshgrid(x[0], x[1], indexing=WRONG), ValueError, "Valid values for `indexing`"),
    "ix_": (lambda x: np.ix_(x), ValueError, "Cross index must be 1 dimensional"),
    "apply_along_axis": (lambda x: np.apply_along_axis(np.sum, 0, x[:, :0]), ValueError, "dimensions are 0"),
    "apply_over_axes": (lambda x: np.apply_over_axes(lambda a, axis: a.sum(), x, 0), ValueError, "correct shape"),
    "bins of histogram": (lambda x: np.histogram(x, 0), ValueError, "must be positive"),
    "edges of histogram": (lambda x: np.histogram(x, [2.0, 1.0]), ValueError, "increase monotonically"),
    "points of histogramdd": (
        lambda x: np.histogramdd(x.reshape(1, 2, 3), 2),
        ValueError,
        r"a point in each row, got an array of shape \(1, 2, 3\); write sample.reshape\(-1, 3\)",
    ),
    "bins of histogramdd": (lambda x: np.histogramdd(x, (2, 2)), ValueError, "dimension of bins must be equal"),
    "points of polyval2d": (lambda x: polynomial.polyval2d(x, x.T, np.ones((2, 2))), ValueError, "are incompatible"),
    "weights of bincount": (lambda x: np.bincount([0, 1], x[0]), ValueError, "length"),
}  # fmt: skip

if np.lib.NumpyVersion(np.__version__) < "2.2.0":
    del CALLS["trim_zeros"]  # it did not look
if not hasattr(polynomial.polyval2d, "_implementation"):
    del CALLS["points of polyval2d"]  # it did not ask Tensors


@pytest.mark.parametrize("name", CALLS)
def test_wrong_calls_are_numpy_s_errors(name: str) -> None:
    call, exception, message = CALLS[name]
    with pytest.raises(exception):
        call(X)
    with pytest.raises(exception, match=message):
        call(Tensor(X, requires_grad=True))


def test_undefined_padding_is_refused() -> None:
    with pytest.raises(ValueError, match="mode 'empty' leaves values undefined"):
        np.pad(Tensor(X, requires_grad=True), 1, "empty")


def test_nothing_is_written_by_a_call_that_fails() -> None:
    y: Any = Tensor(X, requires_grad=True) * 1.0
    calls: list[Callable[[], None]] = [
        lambda: np.put(y, [0, 99], 5.0),
        lambda: np.copyto(y, np.ones((3, 2))),
        lambda: np.put_along_axis(y, np.array([[9], [9]]), 5.0, 1),
        lambda: np.place(y, [True], 5.0),
        lambda: y.sort(axis=3),
    ]
    for call in calls:
        with pytest.raises((ValueError, IndexError)):
            call()
    assert np.array_equal(y.numpy(), X)
    y.sum().backward()


def test_nothing_to_write_writes_nothing() -> None:
    for write in (
        lambda a: np.putmask(a, a > 0, []),
        lambda a: np.fill_diagonal(a, []),
        lambda a: np.put(a, [0], []),
    ):
        for array in (X.copy(), Tensor(X), Tensor(X, requires_grad=True) * 1):
            write(array)
            np.testing.assert_array_equal(array if isinstance(array, np.ndarray) else array.numpy(), X)


OBJECTS = np.array([2.0, 3.0, 4.0], object)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x * OBJECTS,
        lambda x: OBJECTS - x,
        lambda x: np.power(x, OBJECTS),
        lambda x: np.where([True, False, True], x, OBJECTS),
        lambda x: np.concatenate([x, OBJECTS[None]]),
    ],
)
def test_objects_do_not_take_the_gradient_away(call: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match=r"objects among the operands .* convert it with \.astype\(float\)"):
        call(Tensor(X, requires_grad=True))
    with no_grad():
        call(Tensor(X, requires_grad=True))


@pytest.mark.parametrize("dtype", [object, str])
def test_no_gradient_flows_through_objects_and_text(dtype: Any) -> None:
    with pytest.raises(TypeError, match=r"would have no gradient; convert x\.detach\(\)"):
        Tensor(X, requires_grad=True).astype(dtype)
    assert Tensor(X).astype(dtype).shape == X.shape


def test_a_constant_needs_no_dtype_that_could_have_a_gradient() -> None:
    x, swapped = Tensor(X, requires_grad=True), Tensor(X.astype(np.dtype(np.float32).newbyteorder()))
    for call in (
        lambda: np.where(X > 0, x, swapped),
        lambda: x[:, None] * swapped,
        lambda: np.stack([x, swapped]),
    ):
        x.grad = None
        call().sum().backward()
        assert x.grad.dtype == X.dtype


@pytest.mark.parametrize("other", ["text", None, object(), b"bytes", {}])
def test_what_is_no_number_is_not_equal(other: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy 1.26 warns of the comparison with text
        expected = other == X, other != X
        found = Tensor(X) == other, Tensor(X) != other
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])
    assert Tensor(1.0) not in ["text", None, 2.0]
