"""Views and in-place writes through every function that gives views: gradients of what NumPy itself computes.

A program here is NumPy code that runs on arrays as it does on Tensors, so finite differences of it, with NumPy's own
views and writes, are the reference; PyTorch is, where it has the view.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from mytorch import Tensor
from mytorch.gradcheck import check_gradients
from mytorch.reverse import gradients
from mytorch.rules.registry import VIEWS

windows = np.lib.stride_tricks.sliding_window_view
View = Callable[[Any], Any]

# Views that can be written to; of functions that give several, one of them or all.
WRITABLE: dict[str, View] = {
    "slice": lambda y: y[1:, ::2],
    "negative step": lambda y: y[::-1, 2],
    "new axis": lambda y: y[None, ..., 1:],
    "T": lambda y: y.T,
    "reshape": lambda y: np.reshape(y, (2, 6)),
    "reshape of a slice": lambda y: np.reshape(y[1:], (4, 2)),
    "ravel": lambda y: np.ravel(y),
    "ravel of the transpose": lambda y: np.ravel(y.T, "F"),
    "transpose": lambda y: np.transpose(y[None], (2, 0, 1)),
    "swapaxes": lambda y: np.swapaxes(y, 0, 1)[2],
    "moveaxis": lambda y: np.moveaxis(y[None], 0, -1),
    "rollaxis": lambda y: np.rollaxis(y, 1),
    "squeeze": lambda y: np.squeeze(y[:, 1:2]),
    "expand_dims": lambda y: np.expand_dims(y, (0, 3)),
    "flip": lambda y: np.flip(y, 1)[:2],
    "fliplr": np.fliplr,
    "flipud": np.flipud,
    "rot90": lambda y: np.rot90(y)[1:],
    "rot90 three times": lambda y: np.rot90(y, 3),
    "split": lambda y: np.split(y, 2, axis=1)[1],
    "array_split": lambda y: np.array_split(y, 2)[0],
    "hsplit": lambda y: np.hsplit(y, [1])[1],
    "vsplit": lambda y: np.vsplit(y, 3)[1],
    "dsplit": lambda y: np.dsplit(y[None], 2)[0],
    "atleast_3d": lambda y: np.atleast_3d(y[0]),
    "real": np.real,
    "swap, slice and flip": lambda y: np.flip(y.T[::2], 0)[:, 1:],
}
if hasattr(np, "unstack"):  # NumPy 2.1
    WRITABLE["unstack"] = lambda y: np.unstack(y, axis=1)[2]
if hasattr(np, "matrix_transpose"):  # NumPy 2
    WRITABLE["matrix_transpose"] = lambda y: np.matrix_transpose(y)[1:]

# Views that NumPy gives read-only.
READ_ONLY: dict[str, View] = {
    "broadcast_to": lambda y: np.broadcast_to(y, (2, 3, 4)),
    "broadcast_to of a row": lambda y: np.broadcast_to(y[1], (3, 4)),
    "broadcast_arrays": lambda y: np.broadcast_arrays(y[:, :1], y[:1])[0],
    "diagonal": lambda y: np.diagonal(y, 1),
    "diag": lambda y: np.diag(y, -1),
    "windows": lambda y: windows(y, 2, axis=1),
    "windows in two directions": lambda y: windows(y, (2, 3)),
}


def each(views: dict[str, View]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("view", views.values(), ids=views)


@pytest.fixture
def x(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(3, 4))


@pytest.fixture
def w(rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(0.5, 1.5, size=1)


@each(WRITABLE | READ_ONLY)
def test_a_view_shares_memory_and_its_gradient(view: View, x: np.ndarray) -> None:
    t = Tensor(x)
    assert np.shares_memory(view(t).numpy(), t.numpy())
    check_gradients(lambda x: view(x * x) * x[0, 0], x)


@each(WRITABLE | READ_ONLY)
def test_a_view_shows_what_is_written_to_its_base(view: View, x: np.ndarray, w: np.ndarray) -> None:
    def program(x: Any, w: Any) -> Any:
        y = x * 1.0
        v = view(y)
        before = v * v
        y[1] = y[1] * w
        y += x * x
        return before, v * v

    check_gradients(program, x, w)


@each(WRITABLE)
def test_a_base_shows_what_is_written_to_its_view(view: View, x: np.ndarray, w: np.ndarray) -> None:
    def program(x: Any, w: Any) -> Any:
        y = x * 1.0
        before = y * y
        v = view(y)
        v[...] = v * w + 1.0
        v *= v
        v[:1] = w * w
        return before, y * y, v * x[0, 0]

    check_gradients(program, x, w)


@each(WRITABLE)
def test_a_view_of_a_view_writes_to_the_same_memory(view: View, x: np.ndarray, w: np.ndarray) -> None:
    def program(x: Any, w: Any) -> Any:
        y = x * 1.0
        inner = view(y).T
        inner += w
        view(y)[...] *= inner.T
        return y * y

    check_gradients(program, x, w)


@each(READ_ONLY)
def test_what_numpy_gives_read_only_cannot_be_written(view: View, x: np.ndarray) -> None:
    y = Tensor(x, requires_grad=True) * 1.0
    with pytest.raises(ValueError, match="read-only"):
        view(y)[...] = 0.0
    assert np.array_equal(y.numpy(), x)


def test_overlapping_windows_can_be_written_where_they_do_not_overlap(x: np.ndarray, w: np.ndarray) -> None:
    def program(x: Any, w: Any) -> Any:
        y = x * 1.0
        windows(y, 2, axis=1, writeable=True)[:, ::2] *= w
        return y * y

    check_gradients(program, x, w)


@pytest.mark.parametrize(
    "write",
    [
        lambda v, x: v.__setitem__(..., x),
        lambda v, x: v.__setitem__((slice(None), [0]), x),
        lambda v, x: v.__setitem__(np.ones(v.shape, bool), x),
        lambda v, x: v.__imul__(x),
        lambda v, x: np.multiply.at(v, [0], x),
    ],
)
def test_windows_are_not_written_where_they_overlap(write: Any, x: np.ndarray) -> None:
    y = Tensor(x, requires_grad=True) * 1.0
    with pytest.raises(ValueError, match="share memory"):
        write(windows(y, 2, axis=1, writeable=True), y[0, 0] * 2)
    assert np.array_equal(y.numpy(), x)


def test_as_strided_by_way_of_view_as(x: np.ndarray) -> None:
    strides = (8, 24)

    def program(x: Any) -> Any:
        y = x * x
        if isinstance(y, Tensor):
            return y.view_as(np.lib.stride_tricks.as_strided(y.numpy(), (3, 3), strides)) * 2.0
        return np.lib.stride_tricks.as_strided(y, (3, 3), strides) * 2.0

    check_gradients(program, x)


def test_the_real_and_the_imaginary_part_are_views(x: np.ndarray, w: np.ndarray) -> None:
    def program(z: Any, w: Any) -> Any:
        y = z * 1.0
        y.real = y.imag * w
        y.imag[1:] *= y.real[1:]
        np.real(y)[0, ::2] = w
        return y * y, np.imag(y.T)

    check_gradients(program, x + 1j * x[::-1], w)


def test_a_complex_tensor_is_pairs_of_real_numbers(x: np.ndarray) -> None:
    check_gradients(lambda z: z.view(float) ** 2, x + 1j * x[::-1])
    check_gradients(lambda x: (x * 1.0).view(complex) ** 2, x)


@pytest.mark.parametrize("order", ["C", "F", "A", "K"])
def test_a_copy_that_numpy_has_to_make_is_no_view(order: Any, x: np.ndarray) -> None:
    t = Tensor(x, requires_grad=True) * 1.0
    part = t[:, ::-2].T
    flat = np.ravel(part, order)
    flat[...] = 0.0
    assert np.array_equal(t.numpy(), x)


def test_the_order_in_memory_of_what_was_broadcast_is_refused(x: np.ndarray) -> None:
    wide = np.broadcast_to(Tensor(x[:1], requires_grad=True), (2, *x.shape))
    for flat in (lambda: np.ravel(wide, "K"), lambda: wide.ravel("K"), lambda: wide.flatten("K")):
        with pytest.raises(
            ValueError, match=r"ravel: the order in memory \('K'\).* give order='C', or a .copy\(\)"
        ):
            flat()


def test_a_number_that_is_flipped_is_a_number() -> None:
    for x in (Tensor(2.0, requires_grad=True), Tensor([2.0], requires_grad=True).sum(), Tensor(2.0)):
        y: Any = np.flip(x)
        old = y
        y += 1
        assert (x.item(), old.numpy().item(), (y * y).item()) == (2.0, 2.0, 9.0)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: np.pad(x, 0, "edge"),
        lambda x: np.pad(x, 0),
        lambda x: np.pad(x[0, 0, ...], 0),
        lambda x: np.einsum("->", x[0, 0, ...]),
        lambda x: np.einsum("...->...", x[0, 0, ...]),
        lambda x: x.flatten(),
        lambda x: x[::2].flatten("F"),
        lambda x: x.conj(),
        lambda x: x.T.conjugate(),
        lambda x: np.conj(x),
        lambda x: np.meshgrid(x[0, ::-1], copy=False, sparse=True)[0],
    ],
)
def test_results_are_views_where_those_of_numpy_are(function: View, x: np.ndarray) -> None:
    t = Tensor(x, requires_grad=True) * 1.0
    result = function(t)
    expected = np.shares_memory(function(x), x)
    assert np.shares_memory(result._array, t._array) == expected
    np.testing.assert_array_equal(result.numpy(), function(x))
    result[...] = 0.0 if result.ndim else result + 1  # what is no view has memory of its own
    assert np.array_equal(t.numpy(), x) != expected


def test_every_view_function_is_tested_here() -> None:
    names = " ".join(WRITABLE | READ_ONLY)
    ours = [f for f in VIEWS if f.__module__.startswith("numpy")]
    missing = {f.__name__ for f in ours if f.__name__ not in names}
    assert missing == {"sliding_window_view"}  # the windows


# -- against PyTorch -------------------------------------------------------------------------------------------

TORCH: dict[str, tuple[View, Callable[[Any], Any]]] = {
    "transpose": (lambda y: y.T, lambda y: y.t()),
    "reshape": (lambda y: np.reshape(y, (2, 6))[1], lambda y: y.view(2, 6)[1]),
    "row": (lambda y: y[1], lambda y: y[1]),
    "column": (lambda y: y[:, 2], lambda y: y[:, 2]),
    "steps": (lambda y: y[::2, 1::2], lambda y: y[::2, 1::2]),
    "split": (lambda y: np.split(y, 2, 1)[1], lambda y: y.narrow(1, 2, 2)),
    "moveaxis": (lambda y: np.moveaxis(y[None], 2, 0), lambda y: y[None].movedim(2, 0)),
    "squeeze": (lambda y: np.squeeze(y[:, 1:2]), lambda y: y[:, 1:2].squeeze()),
    "swapaxes": (lambda y: np.swapaxes(y, 0, 1)[2:], lambda y: y.swapaxes(0, 1)[2:]),
}


def _program(view: View, x: Any, w: Any) -> Any:
    y = x * x
    v = view(y)
    v *= w
    y += v.sum()
    z = y * w
    view(z)[:1] = w * 2.0
    return (z * z * y).sum()


@pytest.mark.parametrize("name", TORCH)
def test_writes_through_views_are_those_of_torch(
    name: str, torch: ModuleType, rng: np.random.Generator
) -> None:
    ours, theirs = TORCH[name]
    x, w = rng.normal(size=(3, 4)), rng.normal(size=1)
    tensors = [Tensor(x, requires_grad=True), Tensor(w, requires_grad=True)]
    references = [torch.tensor(x, requires_grad=True), torch.tensor(w, requires_grad=True)]
    loss, reference = _program(ours, *tensors), _program(theirs, *references)
    assert loss.item() == pytest.approx(reference.item(), rel=1e-12)
    first = gradients([loss], tensors, [None], create_graph=True)
    expected = torch.autograd.grad(reference, references, create_graph=True)
    second = gradients([g.sum() for g in first], tensors, [None, None])
    expected_second = torch.autograd.grad([g.sum() for g in expected], references)
    for got, want in zip([*first, *second], [*expected, *expected_second], strict=True):
        values = got.numpy() if isinstance(got, Tensor) else got
        np.testing.assert_allclose(values, want.detach().numpy(), rtol=1e-10)


# -- gradients of several outputs, on tapes of their own -------------------------------------------------------


def test_gradients_of_outputs_on_different_tapes_can_be_differentiated(x: np.ndarray) -> None:
    t = Tensor(x, requires_grad=True)
    outputs = [t * t * t, t[0] * t[0] * t[0]]
    (first,) = gradients(outputs, [t], [np.ones_like(x), np.ones_like(x[0])], create_graph=True)
    (second,) = gradients([first], [t], [np.ones_like(x)])
    np.testing.assert_allclose(second, 6 * x * [[2.0], [1.0], [1.0]])
