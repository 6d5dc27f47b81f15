"""ndarray's methods, attributes and operators on Tensors: the same values, derivatives, and writes on the tape."""

from __future__ import annotations

import copy
import operator
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mytorch
from mytorch import TapeError, Tensor, no_grad
from mytorch.gradcheck import check_gradients
from mytorch.methods import REFUSED

X = np.random.default_rng(6).normal(size=(3, 4))
Y = np.random.default_rng(7).uniform(0.5, 1.5, size=(3, 4))
INTS = np.array([[6, 3], [1, 5]])

# (method, arguments, keywords), on a matrix of distinct numbers
DIFFERENTIABLE: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("astype", (np.float64,), {}),
    ("clip", (-0.5, 0.5), {}),
    ("compress", ([True, False, True],), {"axis": 0}),
    ("conj", (), {}),
    ("conjugate", (), {}),
    ("copy", ("F",), {}),
    ("cumprod", (), {"axis": 1}),
    ("cumsum", (0,), {}),
    ("diagonal", (1,), {}),
    ("dot", (Y.T,), {}),
    ("flatten", (), {}),
    ("flatten", ("F",), {}),
    ("max", (), {"axis": 1}),
    ("mean", (0,), {"keepdims": True}),
    ("min", (), {}),
    ("prod", (1,), {}),
    ("ravel", ("F",), {}),
    ("repeat", (2,), {"axis": 1}),
    ("reshape", (2, 6), {}),
    ("reshape", ((-1, 2),), {"order": "F"}),
    ("squeeze", (), {}),
    ("std", (0,), {"ddof": 1}),
    ("sum", (), {"axis": (0, 1)}),
    ("swapaxes", (0, 1), {}),
    ("take", ([0, 2], 1), {}),
    ("trace", (1,), {}),
    ("transpose", (), {}),
    ("transpose", (1, 0), {}),
    ("transpose", ((1, 0),), {}),
    ("var", (), {"axis": -1}),
    ("view", (), {}),
]
if np.lib.NumpyVersion(np.__version__) < "2.0.0":
    DIFFERENTIABLE.append(("ptp", (), {"axis": 0}))
CONSTANT: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("all", (), {"axis": 0}),
    ("any", (1,), {}),
    ("argmax", (), {}),
    ("argmin", (0,), {}),
    ("argpartition", (2,), {}),
    ("argsort", (), {"axis": 0}),
    ("item", (2, 1), {}),
    ("nonzero", (), {}),
    ("round", (1,), {}),
    ("tobytes", (), {}),
    ("tolist", (), {}),
]


def _label(row: Any) -> str:
    return f"{row[0]}{row[1] or ''}{row[2] or ''}" if isinstance(row, tuple) else ""


def _values(x: Any) -> Any:
    return x.numpy() if isinstance(x, Tensor) else x


@pytest.mark.parametrize("row", DIFFERENTIABLE, ids=_label)
def test_methods_have_the_values_and_derivatives_of_numpy(row: tuple[str, Any, Any]) -> None:
    name, args, kwargs = row

    def call(x: Any) -> Any:
        return getattr(x, name)(*args, **kwargs)

    got = call(Tensor(X, requires_grad=True))
    assert isinstance(got, Tensor)
    np.testing.assert_allclose(got.numpy(), call(X), rtol=1e-14)
    check_gradients(call, X)


@pytest.mark.parametrize("row", CONSTANT, ids=_label)
def test_methods_that_are_constant_give_what_numpy_gives(row: tuple[str, Any, Any]) -> None:
    name, args, kwargs = row
    got = getattr(Tensor(X, requires_grad=True), name)(*args, **kwargs)
    assert not isinstance(got, Tensor)
    np.testing.assert_equal(got, getattr(X, name)(*args, **kwargs))


def test_choose_and_searchsorted_of_constants() -> None:
    a, b = Tensor([1.0, 2.0], requires_grad=True), Tensor([5.0, 6.0], requires_grad=True)
    assert _values(Tensor([0, 1]).choose([a, b])).tolist() == [1.0, 6.0]
    assert a.searchsorted([1.5, 9.0]).tolist() == [1, 2]


def test_tofile_writes_the_values(tmp_path: Path) -> None:
    Tensor(X, requires_grad=True).tofile(tmp_path / "values")
    assert np.array_equal(np.fromfile(tmp_path / "values"), X.ravel())


WRITES: dict[str, Callable[[Any], None]] = {
    "fill": lambda y: y[1].fill(2.0),
    "partition": lambda y: y.partition(2, axis=1),
    "put": lambda y: y.put([0, -1, 5], [1.0, 2.0]),
    "sort": lambda y: y.sort(axis=0),
    "real": lambda y: setattr(y, "real", y.real * y.real),
}


@pytest.mark.parametrize("name", WRITES)
def test_methods_that_write_are_on_the_tape(name: str) -> None:
    def program(x: Any) -> Any:
        y = x * 1.0
        WRITES[name](y)
        return y * y

    np.testing.assert_allclose(program(Tensor(X, requires_grad=True)).numpy(), program(X))
    check_gradients(program, X)


@pytest.mark.parametrize("name", WRITES)
def test_methods_that_write_refuse_leaves(name: str) -> None:
    leaf = Tensor(X, requires_grad=True)
    with pytest.raises(TapeError, match="in place"):
        WRITES[name](leaf)
    assert np.array_equal(leaf.numpy(), X)


BINARY = [operator.floordiv, operator.mod, divmod]
BITWISE = [operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift]


@pytest.mark.parametrize("op", BINARY, ids=lambda op: op.__name__)
def test_operators_with_steps(op: Callable[[Any, Any], Any]) -> None:
    a, b = 3 * X, Y

    def pair(x: Any, y: Any) -> Any:
        return op(x, y), op(x, 0.75), op(2.0, y), op([1.0, 2.0, 3.0, 4.0], y)

    got, expected = pair(Tensor(a, requires_grad=True), Tensor(b, requires_grad=True)), pair(a, b)
    for ours, theirs in zip(got, expected, strict=True):
        np.testing.assert_allclose(_both(ours), _both(theirs), rtol=1e-13)
    np.testing.assert_allclose(_both(op(a, Tensor(b, requires_grad=True))), _both(op(a, b)), rtol=1e-13)
    if op is operator.mod:
        check_gradients(op, a, b)


def _both(result: Any) -> Any:
    return [_values(part) for part in result] if isinstance(result, tuple) else _values(result)


@pytest.mark.parametrize("op", BITWISE, ids=lambda op: op.__name__)
def test_operators_on_integers(op: Callable[[Any, Any], Any]) -> None:
    t = Tensor(INTS)
    assert np.array_equal(_values(op(t, 2)), op(INTS, 2))
    assert np.array_equal(_values(op(9, t)), op(9, INTS))
    assert np.array_equal(_values(op(INTS, t)), op(INTS, INTS))
    update = getattr(operator, f"i{op.__name__.rstrip('_')}")
    expected = INTS.copy()
    expected = update(expected, 1)
    same = update(t, 1)
    assert same is t
    assert np.array_equal(t.numpy(), expected)


def test_unary_operators() -> None:
    t: Any = Tensor(INTS)
    assert np.array_equal(_values(~t), ~INTS)
    np.testing.assert_allclose(abs(Tensor(X, requires_grad=True)).numpy(), abs(X))
    check_gradients(abs, X)


@pytest.mark.parametrize("op", [operator.imod, operator.ifloordiv], ids=lambda op: op.__name__)
def test_updates_are_on_the_tape(op: Callable[[Any, Any], Any]) -> None:
    def program(x: Any, y: Any) -> Any:
        z = x * 1.0
        z[1] = op(z[1], 0.7)
        same = op(z, y)
        assert same is z
        return z * x

    np.testing.assert_allclose(
        program(Tensor(3 * X, requires_grad=True), Tensor(Y)).numpy(), program(3 * X, Y)
    )
    check_gradients(program, 3 * X, Y)


def test_updates_cast_as_numpy_does() -> None:
    t = Tensor(INTS)
    with pytest.raises(TypeError, match="same_kind"):
        t %= 2.5
    assert np.array_equal(t.numpy(), INTS)


@pytest.mark.parametrize("op", [operator.mod, operator.floordiv, operator.and_], ids=lambda op: op.__name__)
def test_operators_leave_unknown_types_to_them(op: Callable[[Any, Any], Any]) -> None:
    class Other:
        def __rmod__(self, other: Any) -> str:
            return "mine"

        __rfloordiv__ = __rand__ = __rmod__

    assert op(Tensor([1]), Other()) == "mine"
    with pytest.raises(TypeError, match="unsupported operand"):
        op(Tensor([1]), object())


# -- attributes ------------------------------------------------------------------------------------------------


def test_every_attribute_of_ndarray_is_there_or_refused_with_a_reason() -> None:
    names = {name for name in dir(np.ndarray) if not name.startswith("_")}
    absent = {name for name in names if not hasattr(Tensor, name)}
    assert absent == names & set(REFUSED)
    assert not any(hasattr(Tensor, name) for name in REFUSED)


@pytest.mark.parametrize("name", REFUSED)
def test_refused_attributes_say_what_to_write_instead(name: str) -> None:
    with pytest.raises(AttributeError) as error:
        getattr(Tensor(X), name)
    assert str(error.value) == f"'Tensor' object has no attribute {name!r}: {REFUSED[name]}"
    assert not hasattr(Tensor(X), name)


def test_an_unknown_attribute_is_python_s_own_error() -> None:
    with pytest.raises(AttributeError, match=r"'Tensor' object has no attribute 'flatt'$"):
        _ = Tensor(X).flatt


@pytest.mark.parametrize("name", ["T", "mT", "real", "imag"])
def test_parts_and_transposes_are_views(name: str) -> None:
    z = X + 1j * Y
    t = Tensor(z, requires_grad=True)
    part = getattr(t, name)
    expected = getattr(z, name) if hasattr(z, name) else z.T
    assert np.array_equal(part.numpy(), expected)
    assert np.shares_memory(part.numpy(), t.numpy())


def test_attributes_about_memory() -> None:
    t = Tensor(np.asfortranarray(X))
    assert t.T.strides == t.strides[::-1]
    assert t.T.flags.c_contiguous
    assert not np.broadcast_to(t, (2, 3, 4)).flags.writeable
    assert t.device == "cpu"
    assert t.to_device("cpu") is t
    with pytest.raises(ValueError, match="'cpu', got device 'gpu'"):
        t.to_device("gpu")


def test_matrix_transposes_need_matrices() -> None:
    with pytest.raises(ValueError, match="ndim < 2"):
        _ = Tensor([1.0]).mT


def test_setting_the_imaginary_part_of_real_numbers_is_an_error() -> None:
    t: Any = Tensor(X)
    with pytest.raises(TypeError, match="no imaginary part"):
        t.imag = 1.0


def test_a_conversion_casts_as_it_is_told() -> None:
    x = Tensor([1.0], requires_grad=True)
    assert x.astype(np.float32, casting="same_kind").dtype == np.float32
    with pytest.raises(TypeError, match=r"Cannot cast array data .* according to the rule 'safe'"):
        x.astype(np.float32, casting="safe")


def test_a_conversion_orders_memory_as_it_is_told() -> None:
    rows = np.arange(6.0).reshape(2, 3)
    x: Any = Tensor(rows, requires_grad=True)
    assert x.astype(float, "F").strides == rows.astype(float, "F").strides
    assert x.astype(float, "K", "unsafe", True, False) is x
    assert x.astype(float, order="C", copy=False) is x
    assert x.astype(float, order="F", copy=False).flags.f_contiguous
    x.astype(np.float32, "F").sum().backward()
    assert x.grad.tolist() == np.ones((2, 3)).tolist()


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.complex64])
def test_a_view_as_other_numbers_is_refused(dtype: Any) -> None:
    with pytest.raises(TypeError, match="shows other numbers"):
        Tensor(X).view(dtype)


@pytest.mark.parametrize("shape", [(3,), (2, 3)])
def test_a_product_in_place_needs_a_matrix(shape: Any) -> None:
    def update(x: Any) -> Any:
        x @= np.ones(3)
        return x

    for compute in (lambda: update(Tensor(np.ones(shape))), lambda: mytorch.compile(update)(np.ones(shape))):
        with pytest.raises(
            ValueError, match="requires the first operand to have at least one and the second"
        ):
            compute()

    def program(x: Any, w: Any) -> Any:
        y = 2 * x
        y @= w
        return y * y

    check_gradients(program, np.ones(shape), Y[:, :3])


COPIES: list[Callable[[Any], Any]] = [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]


@pytest.mark.parametrize("copied", COPIES)
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_leaf_and_its_views_are_copied_together(copied: Any, order: Any) -> None:
    w = Tensor(np.array(X, order=order), requires_grad=True)
    views = [w.T, w[0], w[::-1, 1:], w[:0]]
    twin, *twins = copied([w, *views])
    np.sum(twins[2] * twin[::-1, 1:]).backward()
    with no_grad():
        twin *= 2
    for view, other in zip(views, twins, strict=True):
        np.testing.assert_array_equal(other.numpy(), 2 * view.numpy())
    assert w.grad is None
    np.testing.assert_array_equal(twin.grad.numpy(), 2 * np.where([False, True, True, True], X, 0))


@pytest.mark.parametrize("copied", [copy.copy, *COPIES])
def test_a_copy_is_what_numpy_makes_of_it(copied: Any) -> None:
    number = total = copied(Tensor([1.0, 2.0]).sum())
    total += 1
    assert (float(number), float(total)) == (3, 4)  # a number, which nothing changes
    array = same = copied(Tensor(3.0))
    array += 1
    assert float(same) == 4
    assert copied(Tensor(np.asfortranarray(X))).flags.f_contiguous


def test_pickle_keeps_requires_grad() -> None:
    twin = pickle.loads(pickle.dumps(Tensor(X, requires_grad=True)))
    assert twin.requires_grad
    assert np.array_equal(twin.numpy(), X)


MASKED = np.ma.array(X[0], mask=[True, *[False] * (X.shape[1] - 1)])
WITH: dict[str, Callable[[Any, Any], Any]] = {
    "operator": lambda x, o: x * o,
    "other operator": lambda x, o: x % o,
    "reflected": lambda x, o: o @ x.T,
    "update": lambda x, o: operator.imul(x, o),
    "assignment": lambda x, o: operator.setitem(x, slice(0, 1), o),
    "ufunc": lambda x, o: np.multiply(o, x),
    "function": lambda x, o: np.where(x > 0, x, o),
    "function of a list": lambda x, o: np.concatenate([x, o.reshape(1, -1)]),
    "tensor": lambda x, o: Tensor(o),
}


@pytest.mark.parametrize("name", WITH)
@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            MASKED,
            r"forget the mask of a masked array; give its values, x.filled\(value\), and choose with np.where",
        ),
        (
            X[:1].view(np.matrix),
            r"np.matrix has operators of its own; give np.asarray\(matrix\), and multiply with @",
        ),
    ],
)
def test_arrays_that_compute_otherwise_are_refused(name: str, other: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        WITH[name](Tensor(X, requires_grad=True) * 1.0, other)


# -- plain arrays that a Tensor is written to ------------------------------------------------------------------


STORES: dict[str, Callable[[Any, Any], Any]] = {
    "one entry": lambda a, t: operator.setitem(a, slice(0, 1), t),
    "a mask": lambda a, t: operator.setitem(a, a == 0, t),
    "put": lambda a, t: np.put(a, [0], t),
    "copyto": lambda a, t: np.copyto(a, t),
    "place": lambda a, t: np.place(a, a == 0, t),
    "putmask": lambda a, t: np.putmask(a, a == 0, t),
    "fill_diagonal": lambda a, t: np.fill_diagonal(a.reshape(2, 2), t),
    "put_along_axis": lambda a, t: np.put_along_axis(a, np.array([0]), t, 0),
    "full_like": lambda a, t: np.full_like(a, t),
    "full": lambda a, t: np.full(3, t),
}


@pytest.mark.parametrize("name", STORES)
@pytest.mark.parametrize("shape", [(), (1,)])
def test_a_tensor_is_not_written_to_a_plain_array(name: str, shape: tuple[int, ...]) -> None:
    array = np.zeros(4)
    with pytest.raises(TypeError, match=r"an ndarray cannot carry.*np\.zeros_like\(tensor\)"):
        STORES[name](array, Tensor(np.ones(shape), requires_grad=True))
    assert not array.any()


@pytest.mark.parametrize("make", [np.array, np.asarray, lambda rows, like: np.full(2, rows[0][1], like=like)])
def test_what_the_error_says_makes_an_array_of_tensors(make: Callable[..., Any]) -> None:
    x = Tensor([2.0, 3.0], requires_grad=True)
    make([[1.0, x[0]], [0.0, x[1]]], like=x).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [2.0, 0.0] if "lambda" in make.__name__ else [1.0, 1.0])


def test_a_number_is_rounded_as_python_rounds() -> None:
    x = Tensor(2.567, requires_grad=True)
    assert round(x) == 3
    assert type(round(x)) is int
    assert round(x, 1).item() == 2.6
    with pytest.raises(ValueError, match="size 1"):
        round(Tensor([1.0, 2.0]))


def test_a_number_is_not_stored_in_an_entry_of_a_plain_array() -> None:
    array, t = np.zeros((2, 2)), Tensor(1.5, requires_grad=True)
    with pytest.raises(ValueError, match="array element with a sequence") as error:
        array[0, 1] = t
    assert "assigned to cannot carry" in str(error.value.__cause__)
    with pytest.raises(ValueError, match="array element with a sequence"):
        array[1, 1] += t
    with pytest.raises(TypeError, match="assigned to cannot carry"):
        array.astype(complex)[0, 0] = t
    assert not array.any()
    values = {"loss": float(t)}
    values["again"] = float(t)
    array[0, 0] = float(t)
    assert values == {"loss": 1.5, "again": 1.5}


def test_tensors_in_a_list_are_no_array() -> None:
    t: Any = Tensor([1.0, 2.0], requires_grad=True)
    for make in (np.array, np.asarray, np.sum):
        with pytest.raises(TypeError, match=r"np\.array\(\[\.\.\.\], like=tensor\)"):
            make([t, t])
    assert _values(np.stack([t, t])).tolist() == [[1.0, 2.0], [1.0, 2.0]]


def test_new_arrays_like_a_tensor_are_tensors_that_can_be_written_to() -> None:
    def simulate(x: Any) -> Any:
        path = np.zeros_like(x, shape=(4, 2))
        path[0] = x
        for i in range(1, 4):
            path[i] = path[i - 1] * 0.5 + np.sin(path[i - 1])
        return path

    check_gradients(simulate, np.array([0.3, -1.2]))
    t: Any = Tensor([1.0], requires_grad=True)
    makers: list[Any] = [np.zeros, np.ones, np.empty, np.arange, np.eye]
    likes: list[Any] = [np.zeros_like, np.ones_like, np.empty_like]
    for new in [make(3, like=t) for make in makers] + [make(t, shape=(3,)) for make in likes]:
        assert isinstance(new, Tensor)
        assert not new.requires_grad
