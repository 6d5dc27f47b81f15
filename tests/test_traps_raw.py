"""Raw arrays on the explicit tape: every way to share, reuse and write memory, with the right answer."""

import ctypes
import gc
import mmap
import os
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from mytorch.autograd_engine import Autograd
from mytorch.functional_hw1 import add_backward, identity_backward, mul_backward, sum_backward
from mytorch.gradient_buffer import GradientBuffer
from mytorch.guard import fingerprint
from mytorch.records import TapeError


def scaled(factor):
    """Return the backward function of ``y = factor * x``."""
    return lambda g, x: factor * g


def record_scaled(tape, view, factor):
    """Record ``factor * view`` and return it."""
    output = np.asarray(factor * view)
    tape.add_operation([view], output, [None], scaled(factor))
    return output


def record_total(tape, parts):
    """Record the sum of all entries of all `parts`, one after the other, and return it."""
    total = np.zeros(1)
    for part in parts:
        after = total + part.sum()
        tape.add_operation([total, part], after, [None, None], lambda g, t, p: (g, g * np.ones(p.shape)))
        total = after
    return total


VIEWS = {
    "itself": lambda x: x,
    "head": lambda x: x[:2],
    "steps": lambda x: x[::2],
    "column": lambda x: x[:, 1],
    "transposed": lambda x: x.T,
    "reshaped": lambda x: x.reshape(2, 6),
    "ravelled": lambda x: x.ravel(),
    "reversed": lambda x: x[::-1, ::-1],
    "newaxis": lambda x: x[:, None, :],
    "entry": lambda x: x[1, 2, ...],
    "diagonal": lambda x: np.diagonal(x),
    "broadcast": lambda x: np.broadcast_to(x[:, :1], (4, 5)),
    "broadcast_new": lambda x: np.broadcast_to(x, (2, 4, 3)),
    "windows": lambda x: sliding_window_view(x, (2, 2)),
    "windows_1d": lambda x: sliding_window_view(x.ravel(), 5),
    "fortran": lambda x: x.T.reshape(-1, order="F"),
}


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_contributes_to_its_part_of_the_owner(name):
    x = np.arange(12.0).reshape(4, 3)
    weight = np.random.default_rng(0).standard_normal(VIEWS[name](x).shape)
    tape = Autograd()
    view = VIEWS[name](x)
    output = np.asarray(weight * view)
    tape.add_operation([view], output, [None], lambda g, v: g * weight)
    tape.backward(1)
    expected = np.zeros(12)
    places = VIEWS[name](np.arange(12).reshape(4, 3))
    np.add.at(expected, places.ravel(), weight.ravel())
    np.testing.assert_allclose(tape.gradient_buffer.get_param(x), expected.reshape(4, 3))
    np.testing.assert_allclose(tape.gradient_buffer.get_param(view), expected[places])


def test_views_at_one_address_all_contribute_to_one_block():
    x = np.arange(6.0)
    tape = Autograd()
    views = [x, x[:2], x[::2], x.reshape(2, 3), x.reshape(2, 3).T]
    record_total(tape, [record_scaled(tape, view, 10.0**i) for i, view in enumerate(views)])
    tape.backward(1)
    everywhere = 1 + 1000 + 10000
    expected = [everywhere + (i < 2) * 10 + (i % 2 == 0) * 100 for i in range(6)]
    np.testing.assert_array_equal(tape.gradient_buffer.get_param(x), expected)


@pytest.mark.parametrize("cut", [slice(0, 0), slice(6, None)])
def test_an_empty_slice_reports_its_owners_address_but_adds_nothing(cut):
    x = np.arange(6.0)
    tape = Autograd()
    record_total(tape, [record_scaled(tape, x, 2.0), record_scaled(tape, x[cut], 7.0)])
    tape.backward(1)
    np.testing.assert_array_equal(tape.gradient_buffer.get_param(x), np.full(6, 2.0))
    assert tape.gradient_buffer.get_param(x[cut]).shape == (0,)


def test_a_freed_array_does_not_lend_its_address_while_the_tape_lives():
    tape, x = Autograd(), np.ones(1000)
    seen = set()
    value = x
    for _ in range(50):
        value = record_scaled(tape, value, 1.01)
        address = value.__array_interface__["data"][0]
        assert address not in seen
        seen.add(address)
        gc.collect(0)  # of what was made since, that is
    tape.backward(1)
    np.testing.assert_allclose(tape.gradient_buffer.get_param(x), 1.01**50)


def test_an_untracked_constant_receives_no_gradient():
    tape, x, c = Autograd(), np.ones(3), np.full(3, 5.0)
    tape.constant(c)
    y = x * c
    tape.add_operation([x, c], y, [None, None], mul_backward)
    tape.backward(1)
    assert not tape.gradient_buffer.is_in_memory(c)
    with pytest.raises(
        KeyError, match=r"no gradient is kept for this array of shape \(3,\) and dtype float64"
    ):
        tape.gradient_buffer.get_param(c)


def test_memory_that_was_an_output_and_becomes_an_input_again():
    tape, x, scratch = Autograd(), np.full(3, 2.0), np.empty(3)
    np.multiply(x, 3, out=scratch)
    tape.add_operation([x], scratch, [None], scaled(3.0))
    kept = scratch + 0
    tape.add_operation([scratch], kept, [None], identity_backward)
    np.multiply(x, 5, out=scratch)
    tape.add_operation([x], scratch, [None], scaled(5.0))
    record_total(tape, [kept, scratch])
    tape.backward(1)
    np.testing.assert_array_equal(tape.gradient_buffer.get_param(x), np.full(3, 8.0))


@pytest.mark.parametrize("function", [np.asarray, np.squeeze, lambda x: x, lambda x: x.reshape(2, 3)])
def test_an_operation_that_returns_its_input_does_not_double_a_gradient(function):
    tape, x = Autograd(), np.arange(6.0).reshape(2, 3)
    tape.add_operation([x], function(x), [None], identity_backward)
    record_total(tape, [record_scaled(tape, x, 3.0)])
    tape.backward(1)
    np.testing.assert_array_equal(tape.gradient_buffer.get_param(x), np.full((2, 3), 3.0))


@pytest.mark.parametrize(
    "array", [np.array(2.0), np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.arange(3.0)[::-1]]
)
def test_odd_layouts_are_views_like_any_other(array):
    tape = Autograd()
    record_scaled(tape, array, 4.0)
    tape.backward(np.arange(float(array.size)).reshape(array.shape))
    expected = 4.0 * np.arange(float(array.size)).reshape(array.shape)
    np.testing.assert_array_equal(tape.gradient_buffer.get_param(array), expected)


def test_the_same_array_twice():
    tape, x = Autograd(), np.array([3.0, 4.0])
    y = x * x
    tape.add_operation([x, x], y, [None, None], mul_backward)
    tape.backward(1)
    np.testing.assert_array_equal(tape.gradient_buffer.get_param(x), [6.0, 8.0])


def test_an_operation_in_place_reads_its_gradient_before_it_adds():
    tape, x, b = Autograd(), np.array([3.0, 4.0]), np.array([1.0, 2.0])
    h = record_scaled(tape, x, 10.0)
    h += b
    tape.add_operation([h, b], h, [None, None], add_backward)
    np.multiply(h, 2, out=h)
    tape.add_operation([h], h, [None], scaled(2.0))
    tape.backward(1)
    np.testing.assert_array_equal(tape.gradient_buffer.get_param(x), [20.0, 20.0])
    np.testing.assert_array_equal(tape.gradient_buffer.get_param(b), [2.0, 2.0])


def test_a_partial_overwrite_zeroes_only_its_part():
    tape, x, w = Autograd(), np.ones(4), np.full(2, 5.0)
    v = record_scaled(tape, x, 3.0)
    v[:2] = w
    tape.add_operation([w], v[:2], [None], identity_backward)
    record_scaled(tape, v, 7.0)
    tape.backward(1)
    np.testing.assert_array_equal(tape.gradient_buffer.get_param(x), [0.0, 0.0, 21.0, 21.0])
    np.testing.assert_array_equal(tape.gradient_buffer.get_param(w), [7.0, 7.0])


def test_a_write_that_would_destroy_a_value_that_a_rule_needs_fails_at_its_own_line():
    tape, x = Autograd(), np.array([3.0])
    h = record_scaled(tape, x, 2.0)
    y = h * h
    tape.add_operation([h, h], y, [None, None], mul_backward)
    with pytest.raises(ValueError, match="read-only"):
        h += 1
    tape.backward(1)
    np.testing.assert_array_equal(tape.gradient_buffer.get_param(x), [24.0])


def test_a_write_to_an_operand_fails_until_the_tape_lets_go():
    tape, x, c = Autograd(), np.ones(3), np.full(3, 5.0)
    y = x * c
    tape.add_operation([x, c], y, [None, None], mul_backward)
    with pytest.raises(ValueError, match="read-only"):
        c[:] = 100
    tape.backward(1)
    np.testing.assert_array_equal(tape.gradient_buffer.get_param(x), [5.0, 5.0, 5.0])
    tape.zero_grad()
    c[:] = 100
    assert c[0] == 100


def test_a_view_operand_protects_its_owner_too():
    tape, x, data = Autograd(), np.ones(2), np.arange(6.0)
    batch = data[2:4]
    tape.add_operation([x, batch], x * batch, [None, None], mul_backward)
    with pytest.raises(ValueError, match="read-only"):
        data[2] = 9
    del tape
    data[2] = 9
    batch[1] = 8
    assert data[3] == 8


def test_the_guard_can_be_switched_off():
    tape, x, c = Autograd(guard=False), np.ones(3), np.full(3, 5.0)
    tape.add_operation([x, c], x * c, [None, None], mul_backward)
    c[:] = 100
    assert c[0] == 100


def test_an_array_that_was_read_only_stays_so():
    tape, x, c = Autograd(), np.ones(3), np.full(3, 5.0)
    c.flags.writeable = False
    tape.add_operation([x, c], x * c, [None, None], mul_backward)
    tape.zero_grad()
    assert not c.flags.writeable


def test_two_tapes_hold_one_array_until_both_let_go():
    first, second, x, c = Autograd(), Autograd(), np.ones(3), np.full(3, 5.0)
    for tape in (first, second):
        tape.add_operation([x, c], x * c, [None, None], mul_backward)
    first.zero_grad()
    with pytest.raises(ValueError, match="read-only"):
        c[0] = 1
    second.zero_grad()
    c[0] = 1


def negate(w):
    w *= -1


def step(w):
    w -= 1


def turn(w):
    w[:] = w[::-1].copy()


def swap(w):
    w[[0, 1]] = w[[1, 0]]


@pytest.mark.parametrize("change", [step, negate, turn, swap])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.complex128])
def test_parameters_can_be_stepped_after_backward_but_not_differentiated_again(change, dtype):
    tape, x, w, dw = Autograd(), np.ones(3, dtype), np.array([5, 6, 8], dtype), np.zeros(3, dtype)
    tape.add_operation([x, w], x * w, [None, dw], mul_backward)
    with pytest.raises(ValueError, match="read-only"):
        w -= 1
    tape.backward(1)
    tape.backward(1)
    np.testing.assert_array_equal(dw, [2.0, 2.0, 2.0])
    change(w)
    with pytest.raises(TapeError, match=r"shape \(3,\).*changed after the last backward; call zero_grad"):
        tape.backward(1)
    np.testing.assert_array_equal(dw, [2.0, 2.0, 2.0])


def test_a_parameter_that_is_read_between_two_passes_is_watched_like_the_others():
    tape, x = Autograd(), np.ones(3)
    (w, dw), (v, dv) = (np.array([5.0, 6.0, 8.0]), np.zeros(3)), (np.array([2.0, 3.0, 4.0]), np.zeros(3))
    h = x * w
    tape.add_operation([x, w], h, [None, dw], mul_backward)
    tape.backward(1)
    tape.add_operation([h, v], h * v, [None, dv], mul_backward)
    with pytest.raises(ValueError, match="read-only"):
        v -= 1
    tape.backward(1)
    np.testing.assert_array_equal(dv, w)
    v -= 1
    with pytest.raises(TapeError, match=r"shape \(3,\).*test_traps_raw.py:\d+ reads.*changed after the last"):
        tape.backward(1)
    np.testing.assert_array_equal(dw, [3.0, 4.0, 5.0])


def test_a_parameter_whose_values_no_rule_reads_may_change_between_two_passes():
    tape, x, b, db = Autograd(), np.ones(3), np.zeros(3), np.zeros(3)
    tape.add_operation([x, b], x + b, [None, db], add_backward)
    tape.backward(1)
    b -= 1
    tape.backward(1)
    np.testing.assert_array_equal(db, [2.0, 2.0, 2.0])


@pytest.mark.parametrize("size", [1, 1023, 1024, 40_000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128, np.float16])
def test_a_fingerprint_changes_with_any_entry_and_with_their_order(size, dtype):
    values = np.random.default_rng(size).uniform(1, 2, size).astype(dtype)
    first = fingerprint(values)
    assert fingerprint(values.copy()) == first
    for place in {0, size // 2, size - 1}:
        changed = values.copy()
        changed[place] = 3
        assert fingerprint(changed) != first
    if size > 1:
        assert fingerprint(values[::-1]) != first
        assert fingerprint(np.roll(values, 1)) != first


def test_the_fingerprint_of_large_numbers_warns_of_nothing():
    assert fingerprint(np.full(40_000, 1e308)) == fingerprint(np.full(40_000, 1e308))
    assert fingerprint(np.array([np.nan])) == fingerprint(np.array([np.nan]))


def test_the_seed_is_copied_in_and_results_are_copied_out():
    tape, x, seed = Autograd(), np.ones(3), np.ones(3)
    tape.add_operation([x], x + 0, [None], identity_backward)
    tape.backward(seed)
    seed[:] = 9
    first = tape.gradient_buffer.get_param(x)
    first[:] = 9
    np.testing.assert_array_equal(tape.gradient_buffer.get_param(x), np.ones(3))


def test_a_rule_that_writes_into_its_gradient_harms_nobody():
    def greedy(g, a):
        g *= 100
        return g

    tape, x, y = Autograd(), np.ones(2), np.ones(2)
    a, b = record_scaled(tape, x, 1.0), record_scaled(tape, y, 1.0)
    c = a + 0
    tape.add_operation([a], c, [None], greedy)
    total = c + b
    tape.add_operation([c, b], total, [None, None], add_backward)
    tape.backward(1)
    np.testing.assert_array_equal(tape.gradient_buffer.get_param(x), [100.0, 100.0])
    np.testing.assert_array_equal(tape.gradient_buffer.get_param(y), [1.0, 1.0])


@pytest.mark.parametrize(
    "dtype", [np.float16, np.float32, np.float64, np.longdouble, np.complex64, np.complex128]
)
def test_floats_keep_their_dtype(dtype):
    tape, x = Autograd(), np.ones(3, dtype)
    tape.add_operation([x], x + 0, [None], identity_backward)
    tape.backward(1)
    gradient = tape.gradient_buffer.get_param(x)
    assert gradient.dtype == (np.float32 if dtype is np.float16 else dtype)
    np.testing.assert_array_equal(gradient, np.ones(3))


def test_float16_is_summed_in_float32():
    tape, x = Autograd(), np.ones(1, np.float16)
    wide = np.broadcast_to(x, (5000,))
    tape.add_operation([wide], wide + np.float16(0), [None], identity_backward)
    tape.backward(1)
    assert tape.gradient_buffer.get_param(x)[0] == 5000


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint8, np.bool_])
def test_integers_have_float_gradients_and_so_have_their_views(dtype):
    tape, x = Autograd(), np.ones((2, 3), dtype)
    part = x[:, 1:]
    tape.add_operation([part], part * 2.5, [None], scaled(2.5))
    tape.backward(1)
    gradient = tape.gradient_buffer.get_param(x)
    assert gradient.dtype == np.float64
    np.testing.assert_array_equal(gradient, [[0, 2.5, 2.5], [0, 2.5, 2.5]])


def test_the_real_part_of_a_complex_array_is_a_view_of_its_memory():
    tape, z = Autograd(), np.array([1 + 2j, 3 + 4j])
    record_total(tape, [record_scaled(tape, z.real, 3.0), record_scaled(tape, z.imag, 5.0)])
    tape.backward(1)
    np.testing.assert_array_equal(tape.gradient_buffer.get_param(z), [3 + 5j, 3 + 5j])


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones(3, ">f8"), r"byte-swapped.*astype\('float64'\)"),
        (np.array(["a"]), "dtype <U1 have no gradient"),
        (np.array([None]), "dtype object have no gradient"),
        (np.zeros(2, [("a", float)]), "have no gradient"),
        (np.array(["2020-01-01"], "datetime64[D]"), "have no gradient"),
    ],
)
def test_other_dtypes_are_refused_by_name(array, message):
    tape = Autograd()
    with pytest.raises(TypeError, match=f"operation 0 .*input 0.*{message}"):
        tape.add_operation([array], np.ones(1), [None], identity_backward)
    assert tape.operation_list == []
    assert tape.gradient_buffer.memory == {}


def test_windows_on_one_foreign_buffer_are_one_memory_if_their_bounds_agree():
    buffer = bytearray(np.arange(4.0).tobytes())
    first, second = np.frombuffer(buffer), np.frombuffer(buffer)
    tape = Autograd()
    record_total(tape, [record_scaled(tape, first, 2.0), record_scaled(tape, second, 3.0)])
    tape.backward(1)
    np.testing.assert_array_equal(tape.gradient_buffer.get_param(first), np.full(4, 5.0))


def test_a_window_on_an_arrays_memory_is_that_memory_whoever_comes_first():
    for own_first in (True, False):
        array = np.arange(4.0)
        address = array.__array_interface__["data"][0]
        window = np.ctypeslib.as_array((ctypes.c_double * 4).from_address(address))
        tape = Autograd()
        first, second = (array, window) if own_first else (window, array)
        record_total(tape, [record_scaled(tape, first, 2.0), record_scaled(tape, second, 3.0)])
        tape.backward(1)
        for known in (array, window):
            np.testing.assert_array_equal(tape.gradient_buffer.get_param(known), np.full(4, 5.0))


def test_overlapping_windows_on_a_foreign_buffer_are_refused():
    buffer = bytearray(np.arange(4.0).tobytes())
    first, second = np.frombuffer(buffer), np.frombuffer(buffer, offset=8)
    tape = Autograd()
    record_scaled(tape, first, 2.0)
    with pytest.raises(ValueError, match=r"shares memory with one of shape \(4,\).*wrap the buffer once"):
        record_scaled(tape, second, 3.0)
    assert len(tape.operation_list) == 1


def test_memory_mapped_files_are_memory_like_any_other(tmp_path):
    path = os.fspath(tmp_path / "x.bin")
    mapped = np.memmap(path, dtype=float, mode="w+", shape=(4,))
    mapped[:] = np.arange(4.0)
    tape = Autograd()
    record_total(tape, [record_scaled(tape, mapped[1:], 2.0), record_scaled(tape, mapped, 3.0)])
    tape.backward(1)
    np.testing.assert_array_equal(tape.gradient_buffer.get_param(np.asarray(mapped)), [3, 5, 5, 5])


def test_memory_mapped_files_are_held_read_only_too(tmp_path):
    mapped = np.memmap(os.fspath(tmp_path / "c.bin"), dtype=float, mode="w+", shape=(2,))
    tape, x = Autograd(), np.ones(2)
    tape.add_operation([x, mapped], x * mapped, [None, None], mul_backward)
    with pytest.raises(ValueError, match="read-only"):
        mapped[:] = 100
    tape.zero_grad()
    mapped[:] = 100


def test_anonymous_maps_too():
    with mmap.mmap(-1, 32) as area:
        array = np.frombuffer(area)
        tape = Autograd()
        record_scaled(tape, array, 2.0)
        tape.backward(1)
        np.testing.assert_array_equal(tape.gradient_buffer.get_param(array), np.full(4, 2.0))
        tape.zero_grad()
        del array, tape


def test_backward_twice_accumulates_leaves_and_never_intermediates():
    tape, x = Autograd(), np.array([1.0, 2.0])
    h = record_scaled(tape, x, 3.0)
    y = h * h
    tape.add_operation([h, h], y, [None, None], mul_backward)
    tape.backward(1)
    once = tape.gradient_buffer.get_param(x)
    tape.backward(1)
    np.testing.assert_array_equal(tape.gradient_buffer.get_param(x), 2 * once)
    np.testing.assert_array_equal(tape.gradient_buffer.get_param(h), np.zeros(2))


def test_dead_branches_cost_nothing():
    calls = []

    def counted(g, x):
        calls.append(1)
        return g

    tape, x = Autograd(), np.ones(2)
    tape.add_operation([x], x + 1, [None], counted)
    record_scaled(tape, x, 2.0)
    tape.backward(1)
    assert calls == []
    np.testing.assert_array_equal(tape.gradient_buffer.get_param(x), [2.0, 2.0])


def test_an_external_gradient_is_the_shadow_of_its_memory_even_when_that_is_written():
    tape, w, dw, x = Autograd(), np.full((2, 3), 2.0), np.ones((2, 3)), np.arange(6.0).reshape(3, 2)
    w *= 5
    tape.add_operation([w], w, [dw], scaled(5.0))
    output = x * w.T
    tape.add_operation([x, w.T], output, [None, dw.T], mul_backward)
    tape.backward(1)
    np.testing.assert_array_equal(dw, 1 + 5 * x.T)


def test_all_parameters_may_live_in_one_block():
    block, gradients = np.arange(10.0), np.zeros(10)
    w, b = block[:6].reshape(2, 3), block[6:8]
    dw, db = gradients[:6].reshape(2, 3), gradients[6:8]
    tape, x = Autograd(), np.ones((4, 3))
    h = x @ w.T
    tape.add_operation([x, w.T], h, [None, dw.T], lambda g, a, b: (g @ b.T, a.T @ g))
    y = h + b
    tape.add_operation([h, b], y, [None, db], add_backward)
    tape.backward(1)
    np.testing.assert_array_equal(gradients, [4] * 8 + [0, 0])


def test_one_memory_has_one_external_gradient():
    tape, w = Autograd(), np.ones(3)
    tape.add_operation([w], w + 0, [np.zeros(3)], identity_backward)
    with pytest.raises(ValueError, match=r"operation 1 .*another external gradient already"):
        tape.add_operation([w], w + 0, [np.zeros(3)], identity_backward)


def test_the_buffer_is_one_object_and_knows_what_is_recorded_when_it_is():
    tape, x = Autograd(), np.ones(3)
    buffer = tape.gradient_buffer
    y = record_scaled(tape, x, 2.0)
    assert list(buffer.memory) == [buffer.get_memory_loc(x)]
    tape.backward(1)
    np.testing.assert_array_equal(buffer.get_param(x), np.full(3, 2.0))
    record_scaled(tape, y, 3.0)
    assert set(buffer.memory) == {buffer.get_memory_loc(x), buffer.get_memory_loc(y)}
    tape.zero_grad()
    assert tape.gradient_buffer is buffer
    assert buffer.memory == {}


def test_reductions_and_their_axes():
    tape, x = Autograd(), np.arange(6.0).reshape(2, 3)
    tape.add_operation([x], x.sum(axis=1), [None], sum_backward)
    tape.backward([1.0, 2.0])
    np.testing.assert_array_equal(tape.gradient_buffer.get_param(x), [[1, 1, 1], [2, 2, 2]])


def test_the_buffer_by_hand():
    buffer, x = GradientBuffer(), np.zeros((2, 3))
    assert not buffer.is_in_memory(x)
    with pytest.raises(KeyError, match=r"shape \(2, 3\) and dtype float64"):
        buffer.update_param(x, 1.0)
    buffer.add_spot(x)
    assert buffer.is_in_memory(x[0])
    assert list(buffer.memory) == [buffer.get_memory_loc(x)] == [buffer.get_memory_loc(x.T)]
    buffer.set_param(x[0], np.array([1.0, 2.0, 3.0]))
    buffer.update_param(x[:, 1], 10.0)
    np.testing.assert_array_equal(buffer.get_param(x), [[1, 12, 3], [0, 10, 0]])
    buffer.set_param(x[:, 1], 0)
    np.testing.assert_array_equal(buffer.get_param(x.T), [[1, 0], [0, 0], [3, 0]])
    with pytest.raises(ValueError, match=r"gradient of shape \(4,\) does not fit an array of shape \(2, 3\)"):
        buffer.update_param(x, np.ones(4))
    no_array: Any = 1.0
    with pytest.raises(TypeError, match="expected a NumPy array, got float"):
        buffer.add_spot(no_array)
    buffer.clear()
    assert buffer.memory == {}
