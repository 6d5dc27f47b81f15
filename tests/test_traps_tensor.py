"""Tensors: views, in-place updates, reused memory and unseen writes, at first and second order."""

import gc
import operator
import weakref
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

import mytorch
from mytorch import TapeError, Tensor, no_grad
from mytorch.gradcheck import check_gradients
from mytorch.reverse import gradients


def leaf(*values, **options):
    return Tensor(np.array(values, dtype=float), requires_grad=True, **options)


def derivatives(f, x, order=3):
    """Return f(x) and its derivatives up to `order`, for a scalar function of one number."""
    x = Tensor(float(x), requires_grad=True)
    y = f(x)
    found = [y.item()]
    for _ in range(order):
        if not y.requires_grad:
            found.append(0.0)
            continue
        (y,) = gradients([y], [x], [None], create_graph=True)
        found.append(y.item())
    return found


VIEWS = {
    "head": lambda x: x[:2],
    "column": lambda x: x[:, 1],
    "transposed": lambda x: x.T,
    "reshaped": lambda x: x.reshape(2, 6),
    "reversed": lambda x: x[::-1, ::-1],
    "entry": lambda x: x[1, 2, ...],
    "newaxis": lambda x: x[:, None, :],
    "broadcast": lambda x: np.broadcast_to(x[:, :1], (4, 5)),
    "swapped": lambda x: np.swapaxes(x, 0, 1)[1:],
    "windows": lambda x: sliding_window_view(x, (2, 2)),
}


@pytest.mark.parametrize("name", VIEWS)
def test_views_are_no_operations_and_have_right_gradients(name):
    x = Tensor(np.arange(12.0).reshape(4, 3), requires_grad=True)
    y = x + 0
    view = VIEWS[name](y)
    assert y.tape is not None
    assert len(y.tape.operation_list) == 1
    weight = np.random.default_rng(0).standard_normal(view.shape)
    (weight * view * view).sum().backward()
    expected = np.zeros(12)
    places = VIEWS[name](np.arange(12).reshape(4, 3))
    np.add.at(expected, np.ravel(places), np.ravel(2 * weight * np.arange(12.0)[places]))
    np.testing.assert_allclose(x.grad.numpy(), expected.reshape(4, 3))


@pytest.mark.parametrize("name", VIEWS)
def test_views_at_second_order(name):
    x = Tensor(np.arange(12.0).reshape(4, 3), requires_grad=True)
    view = VIEWS[name](x + 0)
    (first,) = gradients([(view * view * view).sum()], [x], [None], create_graph=True)
    (second,) = gradients([first.sum()], [x], [None])
    expected = np.zeros(12)
    np.add.at(expected, np.ravel(VIEWS[name](np.arange(12).reshape(4, 3))), 1)
    np.testing.assert_allclose(second, expected.reshape(4, 3) * 6 * np.arange(12.0).reshape(4, 3))


@pytest.mark.parametrize("name", [n for n in VIEWS if n not in ("broadcast", "windows")])
def test_writing_through_a_view_writes_the_owner(name):
    x, w = Tensor(np.arange(12.0).reshape(4, 3), requires_grad=True), leaf(3.0)
    y = x * 2
    view = VIEWS[name](y)
    view[...] = w * 5
    (y * np.arange(1.0, 13.0).reshape(4, 3)).sum().backward()
    written = np.zeros(12, bool)
    written[np.ravel(VIEWS[name](np.arange(12).reshape(4, 3)))] = True
    weights = np.arange(1.0, 13.0)
    gradient = 0 if x.grad is None else x.grad.numpy().ravel()  # None: nothing of x arrives anywhere
    np.testing.assert_allclose(gradient, np.where(written, 0, 2 * weights))
    np.testing.assert_allclose(w.grad.numpy(), [5 * weights[written].sum()])


def test_a_single_entry_is_a_value_and_not_a_view():
    x = leaf(2.0, 5.0)
    y = x * x
    old = y[0]
    y[0], y[1] = y[1], y[0]
    (old * y[1]).backward()
    assert old.item() == y[1].item() == 4.0
    np.testing.assert_array_equal(x.grad.numpy(), [4 * 2.0**3, 0.0])


def test_a_computed_number_is_a_value_too():
    x = leaf(2.0, 5.0)
    first = total = x.sum()
    total += 1
    assert (first.item(), total.item()) == (7.0, 8.0)
    y = x * 1
    entry = y[0, ...]
    entry += 10  # a view of one entry, as in NumPy
    y.sum().backward()
    np.testing.assert_array_equal(y.numpy(), [12.0, 5.0])


NUMBERS = {
    "sum": lambda x, zeros: (x * 2.0).sum(),
    "sum of a constant": lambda x, zeros: zeros(x).sum(),
    "entry": lambda x, zeros: (x * 1.0)[0],
    "entry of a constant": lambda x, zeros: zeros(x)[0],
    "copy of a number": lambda x, zeros: x.sum().copy(),
    "converted": lambda x, zeros: x.sum().astype(np.float32),
    "array": lambda x, zeros: zeros(x[0, ...]),
    "copy of an array": lambda x, zeros: zeros(x[0, ...]).copy(),
    "view": lambda x, zeros: (x * 1.0)[0, ...],
    "view of a constant": lambda x, zeros: zeros(x)[0, ...],
}


@pytest.mark.parametrize("update", ["iadd", "imul", "isub", "itruediv", "ipow", "imod", "ifloordiv"])
@pytest.mark.parametrize("name", NUMBERS)
def test_an_update_changes_arrays_without_axes_and_no_numbers(name, update):
    def f(x):
        value = old = NUMBERS[name](x, np.zeros_like)
        for _ in range(2):  # what was updated once is no other thing than before
            value = getattr(operator, update)(value, x[0] + 1.5)
        return old, value

    x = np.array([0.8, 2.0])
    for tensor in (leaf(*x), Tensor(x)):
        for found, expected in zip(f(tensor), f(x), strict=True):
            found = found.numpy() if isinstance(found, Tensor) else found  # quotients have no slope
            np.testing.assert_allclose(found, expected, rtol=1e-6)


SHOWN: dict[str, Any] = {
    "atleast_1d": np.atleast_1d,
    "reshape": lambda s: s.reshape(1, 1)[0],
    "ravel": np.ravel,
    "squeeze": lambda s: s.squeeze(),
    "T": lambda s: s.T,
    "[None]": lambda s: s[None],
    "[...]": lambda s: s[...],
    "real": lambda s: (s * 1j).real,
    "imag": lambda s: (s * 1j).imag,
    "expand_dims": lambda s: np.expand_dims(s, 0),
    "view": lambda s: s.view(),
    "transpose": np.transpose,
}


@pytest.mark.parametrize("name", SHOWN)
def test_what_shows_a_number_does_not_change_it(name):
    def f(x):
        number = x.sum() * 1
        shown = old = SHOWN[name](number)
        shown += x[0]
        shown *= shown
        return np.stack([number, np.sum(shown), np.sum(old)])

    x = np.array([0.3, 0.5])
    np.testing.assert_allclose(f(leaf(*x)).numpy(), f(x))
    check_gradients(f, x)


def test_an_array_without_axes_adds_up_what_several_calls_write():
    def add(total, x):
        total += x * x

    x, total = leaf(3.0), Tensor(0.0)
    add(total, x[0])
    add(total, x[0])
    total.backward()
    assert (total.item(), x.grad.item()) == (18.0, 12.0)


def test_a_time_loop_in_place():
    def trajectory(x):
        states = Tensor(np.zeros(6))
        states[0] = 0.5
        for i in range(1, 6):
            states[i] = x * states[i - 1] * (1 - states[i - 1])
        return states[5]

    def logistic(x):
        state = 0.5
        for _ in range(5):
            state = x * state * (1 - state)
        return state

    found = derivatives(trajectory, 3.1, 2)
    step = 1e-4
    assert found[0] == pytest.approx(logistic(3.1))
    assert found[1] == pytest.approx((logistic(3.1 + step) - logistic(3.1 - step)) / (2 * step), rel=1e-6)
    second = (logistic(3.1 + step) - 2 * logistic(3.1) + logistic(3.1 - step)) / step**2
    assert found[2] == pytest.approx(second, rel=1e-4)


def destroyed(x):
    b = Tensor(np.zeros(2))
    b[0] = x
    b[1] = b[0] * b[0]
    b[0] = b[1] * b[0]  # destroys x, which the product before reads
    b[0] *= b[0]
    return b[0]  # x ** 6


def overwritten_whole(x):
    y = x * 1.0
    z = y * y
    y *= z  # destroys the y that z reads
    y += z
    return y * y  # (x ** 3 + x ** 2) ** 2


def masked(x):
    y = x * np.array([1.0, 2.0, 3.0])
    z = np.exp(y)
    y[np.array([True, False, True])] = 0.0
    z[[2, 0]] = y[1] * z[1]
    return (y * z).sum()  # 2x e^{2x}


def out_of_exp(x):
    y = x * 1.0
    np.exp(y, out=y)
    np.multiply(y, y, out=y)
    return y * x  # x e^{2x}


def shifted(x):
    y = x * np.array([1.0, 2.0, 3.0])
    y[1:] = y[:-1]
    y[1:] = y[:-1] * y[1:]
    return y.sum()  # x, x * x, x * x  with y = (x, x, 2x): x + x² + 2x²


@pytest.mark.parametrize(
    ("f", "x", "expected"),
    [
        (destroyed, 1.3, lambda x: [x**6, 6 * x**5, 30 * x**4, 120 * x**3]),
        (
            overwritten_whole,
            0.7,
            lambda x: [
                (x**3 + x**2) ** 2,
                6 * x**5 + 10 * x**4 + 4 * x**3,
                30 * x**4 + 40 * x**3 + 12 * x**2,
                120 * x**3 + 120 * x**2 + 24 * x,
            ],
        ),
        (
            masked,
            0.3,
            lambda x: [
                2 * x * np.exp(2 * x),
                (2 + 4 * x) * np.exp(2 * x),
                (8 + 8 * x) * np.exp(2 * x),
                (24 + 16 * x) * np.exp(2 * x),
            ],
        ),
        (
            out_of_exp,
            0.4,
            lambda x: [
                x * np.exp(2 * x),
                (1 + 2 * x) * np.exp(2 * x),
                (4 + 4 * x) * np.exp(2 * x),
                (12 + 8 * x) * np.exp(2 * x),
            ],
        ),
        (shifted, 0.9, lambda x: [x + 3 * x**2, 1 + 6 * x, 6.0, 0.0]),
    ],
)
def test_destroyed_values_are_right_at_every_order(f, x, expected):
    np.testing.assert_allclose(derivatives(f, x), expected(x), rtol=1e-12, atol=1e-12)


def test_memory_is_as_it_was_after_a_pass_that_looked_back():
    x = leaf(2.0, 3.0)
    y = x * 1
    z = y * y
    y += 10
    z.sum().backward()
    np.testing.assert_array_equal(y.numpy(), [12.0, 13.0])
    np.testing.assert_array_equal(x.grad.numpy(), [4.0, 6.0])


def test_memory_is_as_it_was_after_a_pass_that_failed():
    x = leaf(2.0, 3.0)
    y = x * 1
    z = y * y
    z.register_hook(lambda g: 1 / 0)
    y += 10
    with pytest.raises(TapeError, match="division by zero"):
        z.sum().backward()
    np.testing.assert_array_equal(y.numpy(), [12.0, 13.0])
    assert x.grad is None


def _divided(y):
    y /= np.array([0.0, 2.0])


def _rooted(y):
    np.sqrt(y - 1.5, out=y)


def _listed(y):
    y[...] = [5.0, "no number"]


def _complex(y):
    y[...] = np.array([1j, 2j])


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_hook_on_what_was_partly_written_sees_all_of_its_gradient(create_graph):
    x = leaf(1.0, 2.0, 3.0)
    for y in (x * 2, Tensor(np.zeros(3))):
        y[0] = x[1]
        y.retain_grad()
        seen: list[Tensor] = []
        y.register_hook(seen.append)
        y.register_hook(lambda g: g * 10)
        expected = 2 * y.numpy()
        x.grad = None
        (y * y).sum().backward(create_graph=create_graph)
        np.testing.assert_array_equal(y.grad.numpy(), expected)
        np.testing.assert_array_equal(seen[0].numpy(), expected)
        slopes = 2.0 if expected[2] else 0.0
        np.testing.assert_array_equal(
            x.grad.numpy(), 10 * np.array([0, expected[0] + slopes * expected[1], slopes * expected[2]])
        )


def test_a_retained_gradient_is_that_of_the_last_values(torch):
    def f(x, y):
        y.retain_grad()
        y.register_hook(lambda g: None)
        z = y * 1
        y[0] = x[1]
        (y * y + z).sum().backward()
        return y.grad

    x, theirs = leaf(1.0, 2.0), torch.tensor([1.0, 2.0], requires_grad=True)
    np.testing.assert_array_equal(f(x, x * 2).numpy(), f(theirs, theirs * 2).numpy())
    np.testing.assert_array_equal(x.grad.numpy(), theirs.grad.numpy())
    total = Tensor(np.zeros(2))
    total += x
    total.retain_grad()
    total += leaf(1.0, 1.0) * 3  # of a younger tape
    (total * total).sum().backward()
    np.testing.assert_array_equal(total.grad.numpy(), 2 * total.numpy())


@pytest.mark.parametrize("write", [_divided, _rooted, _listed, _complex])
@pytest.mark.parametrize("mode", ["raise", "warn"])
@pytest.mark.filterwarnings("error")
def test_a_write_that_raised_is_on_the_tape_if_it_happened(write, mode):
    def f(x):
        y = x * 1.0
        z = y * y
        with np.errstate(all=mode), pytest.raises((FloatingPointError, RuntimeWarning, ValueError)):
            write(y)
        return z, y

    x = leaf(1.0, 2.0)
    z, y = f(x)
    # NumPy has written all numbers by then; of a list, only those before the one that it cannot convert.
    np.testing.assert_array_equal(y.numpy(), [1.0, 2.0] if write is _listed else f(x.numpy())[1])
    with np.errstate(all="ignore"):
        (z + y).backward([0.0, 1.0])
    slope = {_divided: 0.5, _rooted: 0.5 / np.sqrt(0.5)}.get(write, 1.0)
    np.testing.assert_allclose(x.grad[1], 4.0 + slope)


@pytest.mark.parametrize("rewritten", [lambda x: x, lambda x: Tensor(x.numpy())])
def test_an_unrecorded_write_that_raised_is_noticed(rewritten):
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    c = rewritten(x)
    z = w * c
    with no_grad(), pytest.raises(ValueError, match="read-only"):
        np.broadcast_to(c, (2, 2))[0] = 5.0  # which did not happen
    w.grad = None
    (z * 1).sum().backward()
    np.testing.assert_array_equal(w.grad.numpy(), [1.0, 2.0])
    w.grad = None
    with no_grad(), np.errstate(all="raise"), pytest.raises(FloatingPointError):
        c /= np.array([0.0, 2.0])
    if c is x:
        with pytest.raises(TapeError, match="changed in place"):
            z.sum().backward()
    else:
        z.sum().backward()
        np.testing.assert_array_equal(w.grad.numpy(), [1.0, 2.0])


def test_the_same_tensor_twice_and_out_into_itself():
    x = leaf(3.0)
    y = x * 1
    np.multiply(y, y, out=y)
    np.add(y, y, out=y)
    y.backward()
    assert x.grad.item() == 12.0


def test_asarray_and_squeeze_do_not_double_a_gradient():
    x = leaf(3.0)
    (np.squeeze(x) * np.reshape(x, ())).backward()
    assert x.grad.item() == 6.0


def test_a_constant_tensor_that_is_rewritten_keeps_its_old_value_for_the_tape():
    x, c = leaf(1.0, 1.0), Tensor([2.0, 3.0])
    y = x * c
    c[:] = 100.0
    z = x * c
    (y + z).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [102.0, 103.0])
    np.testing.assert_array_equal(c.numpy(), [100.0, 100.0])


def test_a_constant_that_becomes_differentiable():
    x, c = leaf(5.0), Tensor(np.ones(3))
    before = x * c
    c[1] = x[0]
    ((before + x * c).sum() + c.sum()).backward()
    # sum(x) + (x + x * x + x) + (1 + x + 1)
    assert x.grad.item() == 3 + (2 + 10) + 1


def test_a_constant_that_is_rewritten_is_right_at_second_order_too():
    x, c = leaf(1.0, 2.0), Tensor([3.0, 4.0])
    a = np.sin(x) * c
    c[0] = 5.0
    b = a * c
    (slope,) = gradients([(b * b).sum()], [x], [None], create_graph=True)
    c[1] = 100.0
    (second,) = gradients([slope], [x], [np.ones(2)])
    np.testing.assert_allclose(second, 2 * np.array([15.0, 16.0]) ** 2 * np.cos([2.0, 4.0]))


def test_memory_shared_by_two_tapes_is_right_on_both():
    a, b, memory = leaf(2.0), leaf(3.0), Tensor(np.ones(1))
    on_first = (a * 1) * memory
    memory[0] = (b * 1)[0]
    on_first.backward()
    assert a.grad.item() == 1.0
    (on_first * memory).backward()
    assert a.grad.item() == 1.0 + 3.0
    assert b.grad.item() == 2.0


def test_tapes_join_in_the_order_of_time():
    a, b = leaf(2.0), leaf(3.0)
    x, y = a * 2, b * 3
    z = x * y
    w = y * y * x
    (z + w).backward()
    # 6ab + 18ab²
    assert a.grad.item() == 6 * 3 + 18 * 9
    assert b.grad.item() == 6 * 2 + 36 * 2 * 3


def test_a_plain_operand_is_read_only_while_the_tape_lives():
    x, c = leaf(1.0, 1.0), np.array([2.0, 3.0])
    y = x * c
    with pytest.raises(ValueError, match="read-only"):
        c[:] = 100
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [2.0, 3.0])
    del y
    c[:] = 100


def test_shared_memory_is_written_through_the_tensor_only():
    array = np.array([1.0, 2.0])
    shared, x = Tensor(array, copy=False), leaf(3.0)
    y = x * shared
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 100
    shared[0] = 100.0
    y.sum().backward()
    assert x.grad.item() == 3.0
    np.testing.assert_array_equal(array, [100.0, 2.0])
    second = Tensor(array, copy=False)
    with pytest.raises(ValueError, match="read-only"):
        second[0] = 5.0
    del shared, second, y
    array[0] = 1


class Own(np.ndarray):
    """A kind of arrays that computes as an ndarray does."""


def mapped(path: Any) -> np.ndarray:
    return np.memmap(path, dtype=float, mode="w+", shape=(2,))


def own(path: Any) -> np.ndarray:
    return np.zeros(2).view(Own)


@pytest.mark.parametrize("make", [mapped, own])
def test_arrays_of_a_subclass_are_held_read_only_too(make, tmp_path):
    x, c = leaf(1.0, 1.0), make(tmp_path / "c")
    c[:] = 2.0, 3.0
    for multiply in (operator.mul, np.multiply, lambda a, b: np.multiply(b, a)):
        y = multiply(x, c)
        with pytest.raises(ValueError, match="read-only"):
            c[:] = 100
        y.sum().backward()
        np.testing.assert_array_equal(x.grad.numpy(), [2.0, 3.0])
        x.grad = None
    del y
    shared = Tensor(c, requires_grad=True, copy=False)
    with pytest.raises(ValueError, match="read-only"):
        c[:] = 100
    with no_grad():
        shared += 1.0
    np.testing.assert_array_equal(c, [3.0, 4.0])
    del shared
    c[:] = 100


def test_shared_memory_that_a_tape_holds_already_stays_held_for_the_tensor():
    x, c = leaf(1.0, 1.0), np.array([2.0, 3.0])
    y = x * c
    shared = Tensor(c, requires_grad=True, copy=False)
    del y
    z = shared * shared
    with pytest.raises(ValueError, match="read-only"):
        c[:] = 100
    z.sum().backward()
    np.testing.assert_array_equal(shared.grad.numpy(), [4.0, 6.0])


def test_the_memory_behind_a_read_only_view_is_held_too():
    c = np.array([2.0, 3.0])
    view = np.broadcast_to(c, (2, 2))
    shared = Tensor(view, requires_grad=True, copy=False)
    y = shared * shared
    with pytest.raises(ValueError, match="read-only"):
        c[:] = 100
    y.sum().backward()
    np.testing.assert_array_equal(shared.grad.numpy(), [[4.0, 6.0], [4.0, 6.0]])
    del shared, y
    c[:] = 100


VECDOT: Any = getattr(np, "vecdot", lambda x, c, axis: np.sum(x * c, axis))  # of NumPy 2


@pytest.mark.parametrize(
    "call",
    [
        lambda x, c: np.multiply.outer(c, x),
        lambda x, c: np.linalg.multi_dot([x, c, c]),
        lambda x, c: np.linalg.multi_dot([c, c, x]),
        lambda x, c: np.cross(x, c, axis=0),
        lambda x, c: np.average(x, weights=c),
        lambda x, c: VECDOT(x, c, axis=0),
    ],
)
def test_a_view_that_a_function_shows_in_another_form_is_held_too(call):
    values = np.arange(9.0).reshape(3, 3)
    expected = mytorch.grad(lambda x: np.sum(call(x, values)))(np.ones((3, 3)))
    x, c = Tensor(np.ones((3, 3)), requires_grad=True), values.copy().T.copy().T
    y = np.sum(call(x, c))
    try:
        c[...] = 100
    except ValueError:
        assert not c.flags.writeable
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), expected)
    del y
    c[...] = 100


def test_the_guard_can_be_switched_off():
    x, c = leaf(1.0), np.array([2.0])
    with mytorch.guarded(False):
        y = x * c
    c[:] = 100
    assert y.item() == 2.0


def test_what_numpy_shows_is_read_only_where_a_write_would_escape():
    x = leaf(1.0)
    for tensor in (x, x * 2, x.detach()):
        with pytest.raises(ValueError, match="read-only"):
            tensor.numpy()[0] = 5
    free = Tensor([1.0])
    free.numpy()[0] = 5
    assert free.item() == 5


def test_a_leaf_cannot_be_changed_in_place_while_recording():
    x = leaf(1.0, 2.0)
    for change in (lambda: x.__iadd__(1), lambda: x.__setitem__(0, 5.0), lambda: x[:1].__imul__(2)):
        with pytest.raises(
            TapeError, match=r"a leaf that requires gradients cannot be changed in place.*no_grad"
        ):
            change()
    np.testing.assert_array_equal(x.numpy(), [1.0, 2.0])
    with no_grad():
        x += 1
    np.testing.assert_array_equal(x.numpy(), [2.0, 3.0])


def test_a_parameter_that_was_stepped_is_not_read_with_its_new_value():
    x = leaf(2.0)
    y = x * x
    with no_grad():
        x -= 1
    with pytest.raises(
        TapeError, match=r"multiply, recorded at .*test_traps_tensor.py:\d+.*changed in place.*:\d+"
    ):
        y.backward()
    assert x.grad is None


def test_a_step_after_backward_harms_only_passes_that_read_the_old_value():
    x, w = leaf(2.0), leaf(3.0)
    y = w * 5 + x * x
    with no_grad():
        w -= 1
    y.backward()
    assert (x.grad.item(), w.grad.item()) == (4.0, 5.0)


@pytest.mark.parametrize(
    "detached", [Tensor.detach, lambda y: y[:].detach(), lambda y: y.detach()[:].detach()]
)
def test_what_was_detached_keeps_its_value_when_the_memory_is_written(detached):
    for y in (leaf(1.0, 2.0) * 1, Tensor([1.0, 2.0])):
        w = leaf(3.0, 4.0)
        z = w * detached(y)
        y[0] = 50.0
        z.sum().backward()
        np.testing.assert_array_equal(w.grad.numpy(), [1.0, 2.0])
        with pytest.raises(ValueError, match="read-only"):
            detached(y)[0] = 1.0


def test_a_detached_value_does_not_keep_its_tape_alive():
    y = leaf(1.0) * 1
    tape = weakref.ref(y.tape)
    constant = y.detach()
    del y
    assert tape() is None
    z = leaf(2.0) * constant
    z.backward()


def test_a_parameter_that_was_stepped_is_noticed_where_it_was_read_as_a_constant():
    x, w = leaf(2.0), leaf(3.0)
    frozen = Tensor([5.0])
    for constant, parameter in ((x.detach(), x), (frozen, frozen)):
        z = w * constant
        parameter.requires_grad = True
        with no_grad():
            parameter -= 1
        with pytest.raises(
            TapeError, match=r"multiply, recorded at .* reads a value that was changed in place"
        ):
            z.backward()
        (w * parameter.detach()).backward()


def test_values_written_under_no_grad_are_constants():
    x = leaf(2.0)
    y = x * 1
    z = y * y
    with no_grad():
        y[...] = 7.0
    (z + y * 3).backward()
    assert x.grad.item() == 2 * 2 + 3
    assert y.item() == 7.0


def test_backward_twice():
    x = leaf(1.0, 2.0)
    h = x * 3
    y = (h * h).sum()
    y.backward()
    y.backward()
    np.testing.assert_array_equal(x.grad.numpy(), [36.0, 72.0])
    assert h.grad is None


def test_a_tape_dies_with_its_last_value_and_makes_no_cycles():
    gc.collect()
    gc.disable()
    try:
        x = leaf(1.0)
        y = x * 2
        view = y[:]
        b = Tensor(np.zeros(2))
        b[0] = y[0]
        joined = (x * 3) * b
        joined.backward(np.ones(2))
        tape = weakref.ref(y.tape)
        other = weakref.ref(joined.tape)
        del y, b, joined
        assert other() is None or other() is tape()
        assert tape() is not None
        del view
        assert tape() is None
    finally:
        gc.enable()


def test_inference_does_not_grow_anything():
    w = leaf(0.5)
    tapes = []
    for _ in range(5):
        y = w * np.ones(1)
        tapes.append(weakref.ref(y.tape))
    del y
    assert all(tape() is None for tape in tapes)


def test_a_pre_activation_that_nobody_reads_is_freed():
    x = leaf(*np.ones(1000))
    h = x + 1
    array = weakref.ref(h._array)
    y = np.exp(h)
    del h
    assert array() is None
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.exp(2))


def test_only_wanted_gradients_are_computed():
    w, x = leaf(2.0), np.array([3.0])
    y = w * x
    (operation,) = y.tape.operation_list
    assert operation.targets == (w._key, None)
    assert operation.inputs[0] is None


@pytest.mark.parametrize("wrong", [np.ones(3), 2.0, np.array([1j, 2.0]), "text"])
@pytest.mark.parametrize("create_graph", [False, True])
def test_what_a_hook_returns_must_be_a_gradient(create_graph, wrong):
    x = leaf(1.0, 2.0)
    y = x * 2
    for tensor in (x, y):
        remove = tensor.register_hook(lambda g: wrong)
        with pytest.raises(
            TapeError, match=r"must return None or a gradient of shape \(2,\) and dtype float64, got"
        ):
            (y * y).sum().backward(create_graph=create_graph)
        remove()
        x.grad = None


@pytest.mark.parametrize("create_graph", [False, True])
def test_what_a_hook_returns_is_copied_and_cast(create_graph):
    for given in (np.array([3.0, 4.0]), Tensor([3.0, 4.0]), np.array([3, 4]), [3.0, 4.0]):
        x, y = leaf(1.0, 2.0), leaf(1.0, 2.0)
        for tensor in (x, y):
            tensor.register_hook(lambda g, given=given: given)
        for _ in range(3):
            (x * y).sum().backward(create_graph=create_graph)
        with no_grad():
            x.grad *= 0
        assert y.grad.dtype == float
        np.testing.assert_array_equal(y.grad.numpy(), [9.0, 12.0])
        np.testing.assert_array_equal(given.numpy() if isinstance(given, Tensor) else given, [3.0, 4.0])


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_hook_may_write_to_the_gradient(create_graph):
    x = leaf(1.0, 2.0)
    y = x * 2

    def double(g):
        g *= 2

    for tensor in (x, y):
        tensor.register_hook(double)
    z = x * 3
    (y + z).sum().backward(create_graph=create_graph)
    np.testing.assert_array_equal(x.grad.numpy(), [14.0, 14.0])


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_hook_finds_memory_as_it_is_now(create_graph):
    x, scale = leaf(1.0, 2.0), Tensor(np.ones(2))
    y = x * x

    def scaled(g):
        with no_grad():
            scale[0] += 1
        return g * scale.detach()

    y.register_hook(scaled)
    z = y * scale
    scale *= 5  # which the pass takes back until it is through
    z.sum().backward(create_graph=create_graph)
    np.testing.assert_array_equal(x.grad.numpy(), [2 * 6.0, 4 * 5.0])
    np.testing.assert_array_equal(scale.numpy(), [6.0, 5.0])
    z.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [2 * (6.0 + 7.0), 4 * (5.0 + 5.0)])


def test_gradients_that_are_equal_are_not_one_tensor():
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    u, v = x * 1, y * 1
    u.retain_grad()
    v.retain_grad()
    ((u + v) ** 2).sum().backward(create_graph=True)
    ((x + y) ** 2).sum().backward(create_graph=True)
    with no_grad():
        x.grad *= 0
        u.grad *= 0
    np.testing.assert_array_equal(y.grad.numpy(), [16.0, 24.0])
    np.testing.assert_array_equal(v.grad.numpy(), [8.0, 12.0])


def test_a_gradient_is_not_the_one_that_the_pass_began_with():
    x, seed = leaf(1.0, 2.0), leaf(5.0, 5.0) * 1
    x.backward(seed, create_graph=True)
    x.grad *= 0
    np.testing.assert_array_equal(seed.numpy(), [5.0, 5.0])
    z = leaf(3.0).reshape(())
    z.backward(create_graph=True)


def test_gradients_of_views_are_differentiated_again():
    x = Tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
    views = [x[1:], x.T, x[:, ::2], x]
    y = sum(np.sum(view**3) for view in views)
    first = gradients([y], views, [None])
    found = gradients([y], views, [None], create_graph=True)
    for gradient, view, expected in zip(found, views, first, strict=True):
        np.testing.assert_array_equal(gradient.numpy(), expected)
        (again,) = gradients([gradient.sum()], [view], [None])
        np.testing.assert_allclose(again * view.numpy(), 2 * expected)


@pytest.mark.parametrize("part", [lambda y: y, lambda y: y.T, lambda y: y.reshape(-1)])
def test_one_of_several_gradients_inside_another_is_written_alone(part):
    x, y = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[5.0, 6.0], [7.0, 8.0]])

    def f(x, y):
        return np.sum((part(x) + part(y)) ** 2)

    def outer(x, y):
        first, second = mytorch.grad(f, (0, 1))(x, y)
        first *= 0
        return np.sum(second)

    assert outer(x, y) == 2 * (x + y).sum()
    value, slope = mytorch.value_and_grad(outer)(x, y)
    assert value == 2 * (x + y).sum()
    np.testing.assert_array_equal(slope, np.full((2, 2), 2.0))


def test_dead_branches_and_hooks_on_gradients():
    x = leaf(1.0)
    seen = []
    h = x * 2
    h.retain_grad()
    h.register_hook(lambda g: seen.append(g.item()))
    remove = x.register_hook(lambda g: g * 10)
    _ = np.exp(h)
    (h * 3).backward()
    assert (seen, h.grad.item(), x.grad.item()) == ([3.0], 3.0, 60.0)
    remove()
    (h * 3).backward()
    assert (h.grad.item(), x.grad.item()) == (6.0, 66.0)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.complex64, np.complex128])
def test_dtypes_stay(dtype):
    x = Tensor(np.ones(3, dtype), requires_grad=True)
    y = np.exp(x * 2) + 1
    assert y.dtype == dtype
    (y * y).sum().backward()
    assert x.grad.dtype == dtype


def test_mixed_dtypes_give_each_leaf_its_own():
    x, y = Tensor(np.ones(3, np.float32), requires_grad=True), Tensor(np.ones(3), requires_grad=True)
    (x * y).sum().backward()
    assert (x.grad.dtype, y.grad.dtype) == (np.float32, np.float64)


def test_float16_accumulates_in_float32():
    x = Tensor(np.ones(1, np.float16), requires_grad=True)
    parts: Any = np.broadcast_to(x, (4097,)) * np.float16(1)
    parts.backward(np.ones(4097))
    assert x.grad.item() == np.float16(4097)


def test_the_gradients_of_two_leaves_are_two_arrays():
    x, y = leaf(1.0), leaf(2.0)
    (x + y).backward()
    x.grad[0] = 7
    assert y.grad.item() == 1.0


def test_empty_arrays_broadcast_at_both_orders():
    a, b = Tensor(np.zeros((0, 1, 3)), requires_grad=True), Tensor(np.zeros((0, 4, 3)), requires_grad=True)
    first = gradients([a * b], [a, b], [np.ones((0, 4, 3))], create_graph=True)
    assert [g.shape for g in first] == [a.shape, b.shape]
    second = gradients(first, [a, b], [np.ones(g.shape) for g in first])
    assert [g.shape for g in second] == [a.shape, b.shape]
    (of_constant,) = gradients([a * np.zeros((0, 4, 3))], [a], [np.ones((0, 4, 3))])
    assert of_constant.shape == a.shape


def test_a_million_operations_need_no_recursion():
    x = leaf(1.0)
    y = x
    for _ in range(100_000):
        y = y + 1.0
    y.backward()
    assert x.grad.item() == 1.0
