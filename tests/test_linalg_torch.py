"""Decompositions against PyTorch: values, gradients and second derivatives of what both determine.

Phases and signs of vectors differ between LAPACK's drivers, so losses are made of what no phase changes.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest

from mytorch.transforms import grad

Loss = Callable[[ModuleType, Any], Any]
"""A function of a module of array functions (numpy, or torch) and a matrix."""


class Shape(NamedTuple):
    shape: tuple[int, ...]
    dtype: type


SQUARE = [Shape(shape, dtype) for shape in ((1, 1), (3, 3), (2, 4, 4)) for dtype in (float, complex)]
ANY = [
    *SQUARE,
    *(Shape(shape, dtype) for shape in ((5, 3), (3, 5), (2, 2, 4, 3)) for dtype in (float, complex)),
]


def draw(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    a = rng.normal(size=shape.shape)
    return a + 1j * rng.normal(size=shape.shape) if shape.dtype is complex else a


def weighted(m: ModuleType, *parts: Any) -> Any:
    """Return a real number to which every entry of the arrays contributes differently."""
    total = 0
    for i, x in enumerate(parts):
        places = np.arange(x.reshape(-1).shape[0]).reshape(tuple(x.shape)) + i
        weights = np.cos(2.0 * places) + (1j * np.sin(places) if "complex" in str(x.dtype) else 0)
        entries = (x * m.asarray(weights)).real
        total = total + (entries + 0.1 * entries**2).sum()
    return total


def adjoint(a: Any) -> Any:
    return a.swapaxes(-1, -2).conj()


def hermitian(a: Any) -> Any:
    return a + adjoint(a)


def projections(v: Any) -> list[Any]:
    """Return the projections on every one of the columns."""
    return [v[..., :, i : i + 1] @ adjoint(v[..., :, i : i + 1]) for i in range(v.shape[-1])]


def cholesky(m: ModuleType, a: Any) -> Any:
    return weighted(m, m.linalg.cholesky(a @ adjoint(a)))


def inv(m: ModuleType, a: Any) -> Any:
    return weighted(m, m.linalg.inv(a))


def solve(m: ModuleType, a: Any) -> Any:
    return weighted(m, m.linalg.solve(a, a @ a + 1))


def det(m: ModuleType, a: Any) -> Any:
    return weighted(m, m.linalg.det(a))


def slogdet(m: ModuleType, a: Any) -> Any:
    return weighted(m, *m.linalg.slogdet(a))


def eigh(m: ModuleType, a: Any) -> Any:
    w, v = m.linalg.eigh(hermitian(a))
    return weighted(m, w, *projections(v))


def eigvalsh(m: ModuleType, a: Any) -> Any:
    return weighted(m, m.linalg.eigvalsh(hermitian(a)))


def eig(m: ModuleType, a: Any) -> Any:
    """Sum over the eigenvalues, whose order is free; the exponential of the matrix knows phases and lengths neither."""
    w, v = m.linalg.eig(a / 2)
    exponential = (v * m.exp(w)[..., None, :]) @ m.linalg.inv(v)
    return weighted(m, (w**2).sum(-1), (abs(v) ** 3).sum(-1), exponential)


def qr(m: ModuleType, a: Any) -> Any:
    q, r = m.linalg.qr(a)
    return weighted(m, *projections(q), adjoint(r) @ r)


def svd(m: ModuleType, a: Any) -> Any:
    u, s, vh = m.linalg.svd(a, full_matrices=False)
    return weighted(m, *projections(u), s, *projections(adjoint(vh)), u @ vh)


def pinv(m: ModuleType, a: Any) -> Any:
    return weighted(m, m.linalg.pinv(a))


def singular_values(m: ModuleType, a: Any) -> Any:
    return weighted(m, m.linalg.svd(a, full_matrices=False)[1])


@pytest.mark.parametrize(
    ("loss", "shape"),
    [
        *((loss, s) for loss in (cholesky, inv, solve, det, slogdet, eigh, eigvalsh, eig) for s in SQUARE),
        *((loss, s) for loss in (qr, svd, pinv, singular_values) for s in ANY),
    ],
    ids=lambda x: x.__name__ if callable(x) else f"{x.shape} {x.dtype.__name__}",
)
def test_gradients_to_second_order_are_those_of_torch(loss: Loss, shape: Shape, torch: ModuleType) -> None:
    rng = np.random.default_rng(sum(shape.shape) + (shape.dtype is complex))
    a, direction = draw(rng, shape), draw(rng, shape)

    x, v = torch.tensor(a, requires_grad=True), torch.tensor(direction)
    value = loss(torch, x)
    (first,) = torch.autograd.grad(value, x, create_graph=True)
    (second,) = torch.autograd.grad((first.conj() * v).real.sum(), x)

    def along(b: Any) -> Any:
        return np.sum((np.conj(grad(lambda c: loss(np, c))(b)) * direction).real)

    np.testing.assert_allclose(loss(np, a), value.item(), rtol=1e-10)
    np.testing.assert_allclose(grad(lambda b: loss(np, b))(a), first.numpy(force=True), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(grad(along)(a), second.numpy(force=True), rtol=1e-5, atol=1e-6)
