"""Printed programs run with NumPy alone and give the numbers of the eager call; their lines say where they come from."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import namedtuple

import numpy as np
import pytest

import mytorch
import mytorch.functional as F
from mytorch import Tensor, nn, optim
from mytorch.replay import ReplayError

# -- running what was printed ---------------------------------------------------------------------------------------


def program_of(function, *args):
    """Return the program of a function that was called twice."""
    compiled = mytorch.compile(function)
    for _ in range(4):  # an optimizer's first step cannot be replayed
        compiled(*args)
    return compiled.program


def module_of(program, folder, name="program.py"):
    """Return the namespace of the saved program, which may not import this package."""
    path = program.save(folder / name)
    text = path.read_text(encoding="utf-8")
    assert "mytorch" not in re.sub(r"#.*", "", text)
    scope = {"__name__": "printed", "__file__": str(path)}
    exec(compile(text, str(path), "exec"), scope)
    assert "mytorch" not in scope
    return scope


def function_of(scope):
    return next(f for f in scope.values() if getattr(f, "__module__", None) == "printed")


def plain(tree):
    leaves, structure = mytorch.trees.flatten(tree)
    return [np.array(x.numpy() if isinstance(x, Tensor) else x) for x in leaves], structure.size


def same(printed, eager, rtol=1e-9):
    ours, n = plain(printed)
    theirs, m = plain(eager)
    assert n == m
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=rtol if a.dtype.itemsize > 4 else 1e-4, atol=1e-12 if a.dtype.itemsize > 4 else 1e-5)


def check(function, make, folder, state=()):
    """Compare a printed program with the eager function, for three inputs that it has not seen.

    `make` gives the arguments; `state` are Tensors that both change.
    """
    program = program_of(function, *make(0))
    scope = module_of(program, folder)
    run = function_of(scope)
    for seed in range(1, 4):
        args = make(seed)
        copies = [np.array(x) if isinstance(x, np.ndarray) else x for x in args]
        printed = run(*copies)
        same(printed, function(*args))
        for given, copy in zip(args, copies, strict=True):
            if isinstance(given, np.ndarray):
                np.testing.assert_allclose(copy, given, rtol=1e-9)
        for name, tensor in state:
            np.testing.assert_allclose(scope[name], tensor.numpy(), rtol=1e-9 if tensor.dtype == float else 1e-4, atol=1e-9)
    return program.source


def normal(*shapes, dtype=float):
    def make(seed):
        rng = np.random.default_rng(seed)
        return [rng.normal(size=shape).astype(dtype) for shape in shapes]

    return make


# -- functions of many kinds ----------------------------------------------------------------------------------------


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def recurrence(x):
    u = Tensor(np.zeros(4))
    u[0] = x[0]
    for i in range(1, 4):
        u[i] = np.tanh(u[i - 1]) * x[i]
    return u.sum()


def overwritten(x):
    y = x * 2
    y[1:3] = y[:2] ** 2
    y[::-1] += x
    y *= np.exp(y * 0.1)
    return (y * y).sum()


def views(x):
    a = x.reshape(3, 2, 2)
    b = a.transpose(2, 0, 1)[1]
    c = np.concatenate([b.T, x[:2, :3]], axis=0)
    return (c[:, None] * x[None, 0, :3]).sum() + np.einsum("ii->", x[:3, :3]) + x[::-1, 1].sum() * x.T[2, 1]


def fancy(x):
    i = np.array([2, 0, 2, 1])
    y = x[i] * x[i, [0, 1, 2, 0]][:, None]
    z = np.take_along_axis(y, np.argsort(y, axis=1), axis=1)
    return (z * np.arange(4.0)[:, None]).sum() + (x[x > 0] ** 2).sum()


def at_places(x):
    y = x.copy()
    np.add.at(y, np.array([0, 0, 2]), 1.5)
    y[np.array([1, 2])] = x[np.array([0, 1])] * 3
    np.maximum(y, 0.1, out=y)
    y[y > 1] = 1
    return y


def sorting(x):
    return np.sort(x, axis=-1), np.argsort(x), np.max(x, axis=0), x.argmax(), np.cumsum(x, axis=1)


def solving(a, b):
    matrix = a @ a.T + 3 * np.eye(4)
    q, r = np.linalg.qr(matrix)
    values, vectors = np.linalg.eigh(matrix)
    return np.linalg.solve(matrix, b), q @ r, values, np.linalg.det(matrix), np.abs(vectors), np.linalg.inv(matrix)


def spectrum(x):
    y = np.fft.rfft(x)
    return np.fft.irfft(y * np.conj(y)), y.real, y.imag, np.abs(y)


def complexes(x):
    z = x * (1 + 2j) - 1j
    return np.exp(z).real, z * z.conj(), (z**2).imag


def masks(x):
    inside = (x > -1) & ~(x > 1)
    return np.where(inside, x, 0.0), inside, np.logical_or(inside, x > 2).any(), np.count_nonzero(inside)


def everything(x):
    a, b = np.modf(np.abs(x) + 1)
    return [
        np.logaddexp(a, b), np.hypot(x, 2), x // 0.3, x % 0.7, np.clip(x, -1, 1), -x, +x, abs(x), np.sign(x),
        np.minimum(x, 0), x.mean(axis=1, keepdims=True), x.std(), np.prod(x, axis=(0,)), np.sum(x, axis=1, dtype=np.float32),
        np.outer(x[0], x[1]), np.dot(x, x.T), np.vdot(x, x), np.stack([a, b]), np.flip(x, 0), np.roll(x, 1), 2.0**x,
        np.power(abs(x), 0.5), np.tril(x), np.square(x), np.arctan2(x, 0.5), np.broadcast_to(x[0], (2, 3)), x.T.copy(),
        x.astype(np.float32), np.add(x, 1, where=x > 0, out=np.zeros((2, 3))), np.divmod(x, 0.4), np.pad(x, 1),
    ]  # fmt: skip


def softmax_loss(x):
    z = x - x.max(axis=1, keepdims=True)
    return (np.log(np.exp(z).sum(axis=1)) - z[:, 0]).mean()


FUNCTIONS = {
    "recurrence": (mytorch.value_and_grad(recurrence), normal(4)),
    "hvp": (mytorch.hvp(rosenbrock), normal(5, 5)),
    "hessian": (mytorch.hessian(rosenbrock), normal(3)),
    "jacobian": (mytorch.jacobian(lambda x: np.tanh(x) * x.sum()), normal(3)),
    "overwritten": (mytorch.grad(overwritten), normal(5)),
    "views": (mytorch.value_and_grad(views), normal((3, 4))),
    "fancy": (mytorch.value_and_grad(lambda x: (x[np.array([2, 0, 2])] ** 2 * x[1]).sum()), normal((3, 3))),
    "fancy again": (fancy, lambda seed: [np.abs(normal((3, 3))(seed)[0])]),
    "at places": (at_places, normal((3, 2))),
    "sorting": (sorting, normal((3, 4))),
    "sorted gradient": (mytorch.grad(lambda x: (np.sort(x) * np.arange(4.0)).sum()), normal(4)),
    "linear algebra": (solving, normal((4, 4), (4,))),
    "gradient of solve": (mytorch.grad(lambda a, b: np.linalg.solve(a, b).sum()), normal((3, 3), (3,))),
    "fft": (spectrum, normal(8)),
    "gradient of fft": (mytorch.grad(lambda x: (np.abs(np.fft.fft(x)) ** 2).sum()), normal(6)),
    "complex": (complexes, normal(4)),
    "gradient of complex": (mytorch.grad(lambda x: np.abs(np.exp(1j * x) * (2 - 1j) + x).sum()), normal(4)),
    "masks": (masks, normal((2, 5))),
    "everything": (everything, normal((2, 3))),
    "softmax": (mytorch.value_and_grad(softmax_loss), normal((4, 3))),
    "float32": (mytorch.value_and_grad(softmax_loss), normal((4, 3), dtype=np.float32)),
    "float32 numbers": (
        lambda x: (x * 0.1 + np.float32(0.3), x.sum() / 3, np.float64(0.1) * x, x.mean() * x), normal((3,), dtype=np.float32),
    ),
    "integers": (lambda n: (n * 2, n / 2, n // 3, n**2, n.sum(), n << 1, n & 3, n % 4 == 0),
        lambda seed: [np.random.default_rng(seed).integers(1, 50, 6)]),
    "nothing": (lambda x: x, normal(3)),
    "0-d": (mytorch.value_and_grad(lambda x: np.sin(x) * x), lambda seed: [np.array(seed + 0.5)]),
    "constants": (lambda x: (x @ np.linspace(0, 1, 40), x * np.eye(40)[3], x.sum() * np.pi, 3.0), normal(40)),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_printed_program_gives_the_numbers_of_the_eager_call(name, tmp_path):
    check(*FUNCTIONS[name], tmp_path)
