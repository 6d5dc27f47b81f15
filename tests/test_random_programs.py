"""Random programs of operations, views and in-place writes, against the same program run by NumPy alone.

The reference is NumPy itself, on complex numbers: for an analytic program f, ``imag(f(x + i h v)) / h`` is the
derivative along v to machine precision (Squire & Trapp 1998), and NumPy's own semantics of views and writes are
the ones that Tensors promise.  Second derivatives are compared with differences of first ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mytorch import Tensor, enable_grad
from mytorch.functional import relu
from mytorch.reverse import gradients

UNARY = [np.sin, np.tanh, np.cos, np.negative, np.square, lambda a: a * 0.5, lambda a: 1.5 - a, np.positive]
BINARY = [np.add, np.subtract, np.multiply, lambda a, b: a * np.sin(b), lambda a, b: a / (2 + b * b)]
VIEWS = [
    lambda a: a.T,
    lambda a: a[::-1],
    lambda a: a[1:],
    lambda a: a[..., :-1],
    lambda a: a[::2],
    lambda a: a.reshape(-1),
    lambda a: a[..., None],
    lambda a: a[0],
    lambda a: np.broadcast_to(a, (2, *a.shape)),
    lambda a: np.swapaxes(a, 0, -1),
    lambda a: a[-1, ...],
]
PLACES = [
    ...,
    0,
    -1,
    slice(1, None),
    slice(None, None, 2),
    slice(None, None, -1),
    (..., 0),
    (..., slice(1, None)),
    (..., None),
    [0],
    [-1, 0],
]
IN_PLACE = [np.add, np.multiply, np.subtract]


def writeable(value):
    """Say whether an array may be written to: NumPy's own `add.at` does not ask."""
    return (value._array if isinstance(value, Tensor) else value).flags.writeable


def execute(program, x):
    """Run `program` on `x` (an array, or a Tensor) and return the weighted sum of everything it computed."""
    memory = np.zeros(x.shape, x.dtype)
    pool = [x * 1.0, x * x, Tensor(memory) if isinstance(x, Tensor) else memory]
    for kind, which, i, j in program:
        a, b = pool[i % len(pool)], pool[j % len(pool)]
        try:
            if kind == "unary":
                pool.append(UNARY[which % len(UNARY)](a))
            elif kind == "binary":
                pool.append(BINARY[which % len(BINARY)](a, b))
            elif kind == "view" and a.ndim:
                pool.append(VIEWS[which % len(VIEWS)](a))
            elif kind == "write" and a.ndim:
                a[PLACES[which % len(PLACES)]] = b
            elif kind == "mask" and a.ndim:
                mask = np.zeros(a.shape, bool)
                mask.reshape(-1)[which % 3 :: 2] = True
                a[mask] = b[(0,) * b.ndim]
            elif kind == "in place" and a.ndim:
                IN_PLACE[which % len(IN_PLACE)](a, b, out=a)
            elif kind == "at" and a.ndim and writeable(a):
                np.add.at(a, np.array([0, 0, -1]), b)
            elif kind == "relu":
                pool.append(relu(a) if isinstance(a, Tensor) else np.where(a.real > 0, a, 0))
            elif kind == "constant":
                fixed = np.sin(np.arange(1.0, b.size + 1) + which).reshape(b.shape)
                pool.append(Tensor(fixed) if isinstance(x, Tensor) else fixed.astype(x.dtype))
        except (
            ValueError,
            IndexError,
            TypeError,
            DeprecationWarning,
        ):  # NumPy 1 warns where a later one refuses
            continue  # shapes that do not fit, in both worlds: the program goes on without this step
        if max(np.size(value) for value in pool) > 64:
            pool.pop()
    total = 0.0
    for position, value in enumerate(pool):
        weights = np.cos(np.arange(1.0, value.size + 1).reshape(value.shape) * (position + 1))
        total = total + (value * weights).sum()
    return total


def gradient(program, x, create_graph=False):
    """Return the gradient of the program's result by the tape."""
    with enable_grad():
        tensor = Tensor(x, requires_grad=True)
        result = execute(program, tensor)
        (found,) = gradients([result], [tensor], [None], create_graph=create_graph)
    return tensor, found


def check(program, shape, seed):
    rng = np.random.default_rng(seed)
    x, v = rng.uniform(-0.9, 0.9, shape), rng.standard_normal(shape)
    step = 1e-30
    with np.errstate(all="ignore"):
        expected = (execute(program, x + 1j * step * v).imag) / step
        if not np.isfinite(expected) or abs(expected) > 1e8:
            return
        _, found = gradient(program, x)
        scale = 1 + np.abs(found).max()
        assert (found * v).sum() == pytest.approx(expected, rel=1e-9, abs=1e-10 * scale), "first order"

        tensor, first = gradient(program, x, create_graph=True)
        np.testing.assert_allclose(first.numpy(), found, rtol=1e-10, atol=1e-12 * scale)
        if not first.requires_grad:
            return
        (second,) = gradients([(first * v).sum()], [tensor], [None])
        h = 1e-5
        differences = (gradient(program, x + h * v)[1] - gradient(program, x - h * v)[1]) / (2 * h)
    scale = 1 + np.abs(differences).max() + np.abs(second).max()
    np.testing.assert_allclose(second, differences, rtol=1e-4, atol=1e-5 * scale, err_msg="second order")


KINDS = ["unary", "binary", "view", "write", "mask", "in place", "at", "constant", "relu"]
steps = st.tuples(st.sampled_from(KINDS), st.integers(0, 12), st.integers(0, 20), st.integers(0, 20))
programs = st.lists(steps, min_size=1, max_size=12)
shapes = st.sampled_from([(3,), (2, 3), (1,), (3, 1), (2, 2, 2)])
SETTINGS: dict[str, Any] = {"deadline": None, "derandomize": True, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=300, **SETTINGS)
@given(program=programs, shape=shapes, seed=st.integers(0, 3))
@example(program=[("write", 10, 0, 0)], shape=(1,), seed=0)
@example(program=[("write", 3, 0, 0)], shape=(1,), seed=0)
@example(program=[("write", 6, 0, 1)], shape=(1,), seed=0)
@example(program=[("view", 0, 0, 0), ("write", 0, 3, 1), ("in place", 1, 0, 3)], shape=(2, 3), seed=0)
@example(
    program=[("write", 1, 2, 0), ("binary", 2, 2, 2), ("write", 1, 2, 3), ("in place", 1, 2, 2)],
    shape=(3,),
    seed=0,
)
@example(
    program=[
        ("view", 2, 2, 0),
        ("write", 0, 0, 0),
        ("in place", 1, 2, 0),
        ("binary", 12, 0, 3),
        ("unary", 0, 4, 0),
    ],
    shape=(1,),
    seed=0,
)
def test_random_programs(program, shape, seed):
    check(program, shape, seed)


@pytest.mark.slow
@settings(max_examples=20_000, **SETTINGS)
@given(program=st.lists(steps, min_size=5, max_size=30), shape=shapes, seed=st.integers(0, 1000))
def test_many_long_random_programs(program, shape, seed):
    check(program, shape, seed)
