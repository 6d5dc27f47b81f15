"""Arrays that a compiled function makes and fills: ordinary NumPy code, replayed, gives the eager numbers."""

from __future__ import annotations

import pickle
import threading
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy import zeros

import mytorch
from mytorch import Tensor
from mytorch.replay import ReplayError, ReplayWarning
from tests.replaying import REPLAYED, assert_same, compared, paths

RNG = np.random.default_rng(0)
CALLS = [(RNG.standard_normal(4),) for _ in range(10)]


def filled(x: Any) -> Any:
    out = np.zeros(3)
    out[0] = x[0]
    out[1:] = x[:2]
    return out * 2, out


def time_loop(x: Any) -> Any:
    u = np.empty((5, 4))
    u[0] = x
    for i in range(1, 5):
        u[i] = u[i - 1] * 0.5 + np.roll(u[i - 1], 1)
    return u


def alignment(x: Any) -> Any:
    table = np.zeros((5, 5))
    for i in range(1, 5):
        for j in range(1, 5):
            table[i, j] = np.minimum(table[i - 1, j], table[i, j - 1]) + x[i - 1] * x[j - 1]
    return table


def laplacian(x: Any) -> Any:
    a = np.zeros((4, 4))
    for i in range(4):
        a[i, i] = 2
        a[i, i - 1] = -1
    return a @ x, np.linalg.solve(a, x)


def imported_by_name(x: Any) -> Any:
    out = zeros(4)
    out += x
    return out


def of_entries(x: Any) -> Any:
    return (
        np.array([x[0], x[1] * 2, 3.0]),
        np.array([[x[0], 1], [2, x[1]]]),
        np.array([x, x * 2]),
        np.array([[x]]),
    )


def converted(x: Any) -> Any:
    same = np.asarray(x) is x, np.ascontiguousarray(x) is x
    total = np.asarray(x.sum())
    total += 1
    copy: Any = np.array(x)
    copy[0] = 0
    fortran = np.asfortranarray(np.outer(x, x))
    return (
        same,
        total,
        x.sum(),
        copy,
        x,
        np.asarray(x, np.float32),
        fortran,
        np.array(x, ndmin=2),
        np.asarray([x.sum()]),
    )


def full(x: Any) -> Any:
    prototype = np.arange(3.0)
    return (
        np.full(3, x[0]),
        np.full((2, 2), 1.5) * x[:2],
        np.full_like(prototype, x[1]),
        np.full(2, fill_value=x[2:]),
    )


def weights_and_counters(x: Any) -> Any:
    weights = np.linspace(0, 1, 4)
    weights /= weights.sum()
    total = 0
    for i in np.arange(4):
        total += weights[i] * x[i]
    return total


def shapes(x: Any) -> Any:
    n = np.array([3, 1])
    return x[n], x[n[0]], x[: n[1]], np.repeat(x, n[1]), np.ones(n) * x[0], x.reshape(np.array([2, 2]))


def read_before_and_after_a_write(x: Any) -> Any:
    b = np.arange(4.0)
    before = x * b
    b += 1
    b[0] = 7
    return before, x * b, b


def extrema(x: Any) -> Any:
    best: Any = np.full(4, -np.inf)
    np.maximum(best, x, out=best)
    return best


def histogram(x: Any) -> Any:
    count = np.zeros(3, int)
    np.add.at(count, (x > 0).astype(int), 1)
    return count


def tables(x: Any) -> Any:
    table = np.arange(10.0)
    places = np.array([0, 1])
    places[0] = np.argmax(x)
    return table[np.argsort(x)], x[places], x[np.argsort(np.array([3, 1, 2, 0]))]


def scattered(x: Any) -> Any:
    out = np.zeros((2, 2))
    out[np.array([0, 1]), np.array([1, 0])] = x[:2]
    out.T[0, 0] = 7
    out[:, 1:] += np.ones(1)
    return out


def through_views(x: Any) -> Any:
    h = np.zeros(4)
    v = h[1:3]
    v[...] = x[:2]
    h *= 2
    h.flat[3] = x[3]
    return v, h, list(h.flat), h.flat[1:3]


def methods_that_write(x: Any) -> Any:
    z = np.array([3.0, 1.0, 2.0, 0.0])
    z.sort()
    z.put([0], x[0])
    y = np.ones(4)
    y.fill(3)
    z[1:3] = [x[1], y[0]]
    return z, y


def masks(x: Any) -> Any:
    keep = np.ones(4, bool)
    keep[0] = False
    keep &= x < 10
    out = np.zeros(4)
    np.copyto(out, x, where=keep)
    return out, x[np.array([True, False, True, False])], np.where(keep, x, 0)


def decided_by_constants(x: Any) -> Any:
    n = np.array([2, 1])
    text = f"{n[0]:d} {n.tolist()} {bytes(n)[0]} {n.mean():.1f}"
    return x * len(text) if n.sum() > 2 and float(n[0]) == 2 else x


def other_code(x: Any) -> Any:
    grid = np.arange(4.0)
    double = np.vectorize(lambda v: 2 * v)(grid)
    return (
        x * double,
        x[np.nonzero(grid > 1)],
        np.interp(x, grid, grid**2),
        pickle.loads(pickle.dumps(double.tolist())),
    )


def several_at_once(x: Any) -> Any:
    grid, step = np.linspace(0, 1, 4, retstep=True)
    a, b = np.meshgrid(grid, grid)
    a[0] = x
    quotient, rest = np.divmod(np.arange(4), 2)
    quotient[rest > 0] = 5
    return a * b * step, quotient


def gradients(x: Any) -> Any:
    def loss(p: Any) -> Any:
        out = Tensor(np.zeros(4))
        out[0] = p[0]
        for i in range(1, 4):
            out[i] = out[i - 1] * p[i]
        return np.sum(out * np.array([1.0, 2.0, 3.0, 4.0]))

    return mytorch.grad(loss)(x), mytorch.hessian(loss)(x)


def starts_anew(x: Any) -> Any:
    total = np.ones(2)
    for entry in x:
        total *= 1 + entry * total[::-1]
    return total


PROGRAMS = [
    filled, time_loop, alignment, laplacian, imported_by_name, of_entries, converted, full, weights_and_counters,
    shapes, read_before_and_after_a_write, extrema, histogram, tables, scattered, through_views, methods_that_write,
    masks, decided_by_constants, other_code, several_at_once, gradients, starts_anew,
]  # fmt: skip


@pytest.mark.parametrize("function", PROGRAMS, ids=lambda f: f.__name__)
def test_arrays_that_a_function_makes(function: Callable[[Any], Any]) -> None:
    outcome, compiled = compared(function, CALLS)
    assert outcome == REPLAYED
    assert paths(compiled) == [1] or function is shapes


def test_what_is_done_to_constants_costs_nothing() -> None:
    compiled: Any = mytorch.compile(laplacian)
    compiled(CALLS[0][0])
    assert [i.name for i in compiled.program.recording.instructions] == ["np.matmul", "np.linalg.solve"]


def test_a_made_array_is_given_to_nobody_twice() -> None:
    compiled: Any = mytorch.compile(lambda x: (np.ones(4), np.ones(4) * x))
    for (x,) in CALLS:
        ones, product = compiled(x)
        assert_same(ones, np.ones(4))
        assert_same(product, x)
        ones[:] = product[:] = 7


def test_another_thread_makes_arrays_of_its_own() -> None:
    found: list[Any] = []

    def function(x: Any) -> Any:
        thread = threading.Thread(target=lambda: found.extend([np.zeros(3), np.array([1.0]), np.arange(2)]))
        thread.start()
        thread.join()
        out = np.zeros(4)
        out += x
        return out

    with pytest.warns(ReplayWarning, match="it changes found"):
        mytorch.compile(function)(CALLS[0][0])
    assert [type(array) for array in found] == [np.ndarray] * 3


def test_numpy_is_as_it_was_also_after_an_error() -> None:
    before = dict(vars(np))
    compiled: Any = mytorch.compile(lambda x: np.zeros(3) + np.ones(2) * x)
    with pytest.raises(ValueError, match="broadcast"):
        compiled(CALLS[0][0])
    mytorch.compile(filled)(CALLS[0][0])
    assert dict(vars(np)) == before


def test_other_code_that_saw_an_array_sees_no_later_write() -> None:
    def function(x: Any) -> Any:
        b = np.zeros(4)
        seen = np.nditer(b)
        b[0] = x[0]
        return b * len(list(seen))

    with pytest.raises(
        ReplayError, match=r"writing to an array that other code has seen .* a copy for one of the two"
    ):
        mytorch.compile(function)(CALLS[0][0])


def test_arrays_that_outlive_their_recording() -> None:
    """They are kept where nobody looks, and still compute as arrays do: eagerly, and in another recording."""
    kept: list[Any] = []

    def makes(x: Any) -> Any:
        kept.append(types.SimpleNamespace(array=np.arange(4.0)))
        return x * kept[-1].array

    with pytest.warns(ReplayWarning, match="it changes kept at every call"):
        mytorch.compile(makes)(CALLS[0][0])
    array = kept[0].array
    assert_same(np.asarray(array + 1), np.arange(4.0) + 1)
    assert type(Tensor(array).numpy()) is np.ndarray

    def reads(x: Any) -> Any:
        return array * x, x + array[1], np.stack([array, x])

    outcome, _ = compared(reads, CALLS)
    assert outcome == REPLAYED
