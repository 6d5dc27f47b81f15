"""Matrices: systems of equations, determinants, decompositions, norms.

Decompositions are tested through what does not depend on the choices that they leave open, of matrices that are
Hermitian where the function takes them for that.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mytorch.rules import decompositions, linalg, matrices, norms
from mytorch.rules.registry import present
from tests.counterparts import of_torch
from tests.op_cases import Case

RNG = np.random.default_rng(41)


def real(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape)


def complex_(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape) + 1j * RNG.normal(size=shape)


def regular(*shape: int) -> np.ndarray:
    """Return well-conditioned matrices."""
    return real(*shape) + 3 * np.eye(shape[-2], shape[-1])


V4, M33, M44, M53, M35 = real(4), regular(3, 3), regular(4, 4), real(5, 3), real(3, 5)
B233, B2433 = regular(2, 3, 3), regular(2, 4, 3, 3)
C33, C53, C35, C233 = (complex_(*s) for s in ((3, 3), (5, 3), (3, 5), (2, 3, 3)))
RANK_2 = real(4, 2) @ real(2, 3)
SINGULAR = M33 * [[1], [1], [0]] + [[0], [0], [1]] * M33[0]
RANK_1 = np.outer([1.0, 2.0, -1.0], [2.0, 0.5, 1.0])
ZEROS = np.zeros((3, 2))
EMPTY = np.empty((0, 3, 3))
STRIDED = regular(6, 6)[::2, ::-2].T


def adjoint(a: Any) -> Any:
    return np.conj(np.swapaxes(a, -1, -2))


def hermitian(a: Any) -> Any:
    return a + adjoint(a)


def positive(a: Any) -> Any:
    return a @ adjoint(a) + np.eye(a.shape[-1])


# -- what a decomposition determines ------------------------------------------------------------------------


def cholesky(a: Any, **options: Any) -> Any:
    return np.linalg.cholesky(positive(a), **options)


def eigh(a: Any, UPLO: Any = "L") -> Any:
    w, v = np.linalg.eigh(hermitian(a), UPLO)
    return w, np.abs(v), v[..., :, :1] @ adjoint(v[..., :, :1])


def eigh_as_given(a: Any) -> Any:
    return _without_signs(*np.linalg.eigh(a))


def _without_signs(w: Any, v: Any) -> Any:
    return w, abs(v), v[:, :1] @ v.T[:1], v[:, 1:2] * v[:, 1]


def eigh_of_real(a: Any) -> Any:
    return np.linalg.eigh(hermitian(a))


def eigh_function(a: Any) -> Any:
    """Return the matrix exponential, of eigenvalues that coincide."""
    w, v = np.linalg.eigh(hermitian(a))
    return (v * np.exp(w / 4)[..., None, :]) @ adjoint(v)


def eigvalsh(a: Any, UPLO: Any = "L") -> Any:
    return np.linalg.eigvalsh(hermitian(a), UPLO)


def eig(a: Any) -> Any:
    w, v = np.linalg.eig(a)
    return w, np.abs(v), v[..., :, :1] @ adjoint(v[..., :, :1])


def eig_of_similar(a: Any) -> Any:
    """Return eigenvalues and vectors that are all real."""
    w, v = np.linalg.eig(a @ np.diag(np.arange(1.0, 1 + a.shape[-1])) @ np.linalg.inv(a))
    return w, np.abs(v)


def svd(a: Any, full_matrices: bool = False) -> Any:
    u, s, vh = np.linalg.svd(a, full_matrices)
    k = s.shape[-1]
    return np.abs(u[..., :k]), s, np.abs(vh[..., :k, :]), u[..., :k] @ vh[..., :k, :]


def svd_projections(a: Any) -> Any:
    """Return the projections on the complements, of which only the columns beyond the first few know."""
    u, s, vh = np.linalg.svd(a)
    k = s.shape[-1]
    return u[..., k:] @ adjoint(u[..., k:]), adjoint(vh[..., k:, :]) @ vh[..., k:, :]


def svd_hermitian(a: Any) -> Any:
    u, s, vh = np.linalg.svd(hermitian(a), hermitian=True)
    return np.abs(u), s, np.abs(vh), u @ vh


def svd_values_of_hermitian(a: Any) -> Any:
    return np.linalg.svd(hermitian(a), compute_uv=False, hermitian=True)


def qr_complement(a: Any) -> Any:
    q, r = np.linalg.qr(a, mode="complete")
    n = a.shape[-1]
    return q[..., n:] @ adjoint(q[..., n:]), q[..., :n], r


def pinv_hermitian(a: Any) -> Any:
    return np.linalg.pinv(hermitian(a), hermitian=True)


def lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    x, residuals, _, s = np.linalg.lstsq(a, b, rcond)
    return x, residuals, s


def solution(a: Any, b: Any, rcond: Any = None) -> Any:
    return np.linalg.lstsq(a, b, rcond)[0]


PACKED: list[Any] = [
    decompositions.qr_packed,
    decompositions.eigh_packed,
    decompositions.eig_packed,
    decompositions.svd_packed,
    linalg.slogdet_packed,
]
ORDERS = [None, 1, 2, -1, -2, np.inf, -np.inf]

CASES = [
    # Systems of equations
    Case(np.linalg.inv, (M33,), torch=of_torch("linalg.inv")),
    Case(np.linalg.inv, (B2433,), name="batch", torch=of_torch("linalg.inv")),
    Case(np.linalg.inv, (C33,), name="complex", torch=of_torch("linalg.inv")),
    Case(np.linalg.inv, (STRIDED,), name="strided"),
    Case(np.linalg.inv, (EMPTY,), name="no matrices"),
    Case(np.linalg.solve, (M33, real(3, 2)), torch=of_torch("linalg.solve")),
    Case(np.linalg.solve, (M33, real(3)), name="vector", torch=of_torch("linalg.solve")),
    Case(np.linalg.solve, (B233, real(2, 3, 2)), name="batch", torch=of_torch("linalg.solve")),
    Case(np.linalg.solve, (B2433, real(1, 4, 3, 1)), name="broadcast"),
    Case(np.linalg.solve, (M33, real(2, 3, 4)), name="one matrix, batch of right-hand sides"),
    Case(np.linalg.solve, (C33, real(3, 2)), name="complex and real"),
    Case(np.linalg.solve, (M33, complex_(3, 2)), name="real and complex"),
    Case(np.linalg.solve, (C33, complex_(3)), name="complex", torch=of_torch("linalg.solve")),
    Case(np.linalg.tensorsolve, (real(2, 3, 6), real(2, 3))),
    Case(np.linalg.tensorsolve, (real(2, 6, 3), real(2, 3)), {"axes": (1,)}, name="axes"),
    Case(np.linalg.tensorinv, (regular(24, 24).reshape(4, 6, 8, 3),), torch=of_torch("linalg.tensorinv")),
    Case(
        np.linalg.tensorinv,
        (regular(24, 24).reshape(24, 8, 3),),
        {"ind": 1},
        name="ind",
        torch=of_torch("linalg.tensorinv", 1),
    ),
    *(
        Case(np.linalg.matrix_power, (M33, n), name=str(n), torch=of_torch("linalg.matrix_power", n))
        for n in (-3, -1, 1, 2, 3, 5)
    ),
    Case(np.linalg.matrix_power, (C233, 3), name="complex batch", torch=of_torch("linalg.matrix_power", 3)),
    # Pseudo-inverse and least squares
    Case(np.linalg.pinv, (M53,), torch=of_torch("linalg.pinv")),
    Case(np.linalg.pinv, (M35,), name="wide", torch=of_torch("linalg.pinv")),
    Case(np.linalg.pinv, (C53,), name="complex", torch=of_torch("linalg.pinv")),
    Case(np.linalg.pinv, (real(2, 4, 3),), name="batch", torch=of_torch("linalg.pinv")),
    Case(
        np.linalg.pinv,
        (RANK_2,),
        {"rcond": 1e-8},
        name="of low rank",
        numerical=False,
        torch=of_torch("linalg.pinv", rtol=1e-8),
        float32=False,
    ),
    Case(pinv_hermitian, (C33,), covers=(np.linalg.pinv,)),
    Case(lstsq, (M53, real(5)), covers=(np.linalg.lstsq, linalg.least_squares)),
    Case(lstsq, (M53, real(5, 2)), name="columns"),
    Case(lstsq, (C53, complex_(5)), name="complex"),
    Case(lstsq, (C53, real(5)), name="complex and real"),
    Case(lstsq, (M35, real(3)), name="wide"),
    Case(
        solution, (M35, real(3, 2)), name="wide", torch=lambda a, b: of_torch("linalg.lstsq")(a, b).solution
    ),
    Case(lstsq, (M33, real(3)), {"rcond": -1}, name="square"),
    Case(
        solution,
        (RANK_2, real(4)),
        {"rcond": 1e-8},
        name="of low rank",
        numerical=False,
        torch=lambda a, b: of_torch("linalg.pinv", rtol=1e-8)(a) @ b,
        float32=False,
    ),
    # Determinants
    Case(np.linalg.det, (M33,), covers=(np.linalg.det, linalg.cofactors), torch=of_torch("linalg.det")),
    Case(np.linalg.det, (B2433,), name="batch", torch=of_torch("linalg.det")),
    Case(np.linalg.det, (C233,), name="complex", torch=of_torch("linalg.det")),
    Case(np.linalg.det, (np.eye(3),), name="equal singular values"),
    Case(np.linalg.det, (SINGULAR,), name="singular"),
    Case(np.linalg.det, (RANK_1,), name="rank 1"),
    Case(np.linalg.det, (np.zeros((3, 3)),), name="zero"),
    Case(np.linalg.det, (np.zeros((2, 2)),), name="zero 2x2"),
    Case(np.linalg.det, (np.array([[3.0]]),), name="1x1"),
    Case(np.linalg.det, (EMPTY,), name="no matrices"),
    Case(
        linalg.cofactors, (C233,), name="to third order of det", covers=(linalg.cofactor_slopes,), value=False
    ),
    Case(np.linalg.slogdet, (M33,), covers=(np.linalg.slogdet, *PACKED, matrices.section)),
    Case(np.linalg.slogdet, (B233,), name="batch", torch=of_torch("linalg.slogdet")),
    Case(np.linalg.slogdet, (C233,), name="complex", torch=of_torch("linalg.slogdet")),
    # Decompositions
    Case(
        cholesky,
        (M33,),
        covers=(np.linalg.cholesky,),
        torch=lambda a: of_torch("linalg.cholesky")(a @ a.mT + of_torch("eye")(3)),
    ),
    Case(cholesky, (C233,), name="complex batch"),
    *(
        Case(cholesky, (a,), {"upper": True}, name=f"upper {a.dtype.kind}")
        for a in ((M33, C33) if present(np.linalg, "svdvals") else ())
    ),
    Case(
        np.linalg.cholesky,
        (positive(M33),),
        name="Hermitian",
        numerical=False,
        torch=of_torch("linalg.cholesky"),
    ),
    *(
        Case(np.linalg.qr, (a,), {"mode": mode}, name=f"{mode} {a.shape} {a.dtype.kind}")
        for a in (M33, M53, M35, real(2, 4, 3), C33, C53, C35, complex_(2, 2, 4))
        for mode in ("reduced", "r")
    ),
    *(
        Case(np.linalg.qr, (a,), {"mode": "complete"}, name=f"complete {a.shape} {a.dtype.kind}")
        for a in (M33, M35, C33, C35)
    ),
    Case(qr_complement, (M53,)),
    Case(qr_complement, (complex_(2, 4, 3),), name="complex batch"),
    Case(eigh_of_real, (M44,), covers=(np.linalg.eigh,)),
    Case(eigh, (real(2, 3, 3),), name="batch"),
    Case(eigh, (C33,), name="complex"),
    Case(eigh, (C233, "U"), name="complex batch, upper"),
    Case(eigh, (EMPTY,), name="no matrices"),
    Case(eigh_function, (M33,), name="function"),
    Case(
        eigh_as_given,
        (M33 + M33.T,),
        name="Hermitian",
        numerical=False,
        torch=lambda a: _without_signs(*of_torch("linalg.eigh")(a)),
    ),
    Case(eigvalsh, (M44,), covers=(np.linalg.eigvalsh,)),
    Case(eigvalsh, (C233, "U"), name="complex batch, upper"),
    Case(eig, (M44 * [[1], [-1], [1], [-1]],), covers=(np.linalg.eig,)),
    Case(eig, (C233,), name="complex batch"),
    Case(eig_of_similar, (M33,), name="real"),
    Case(
        np.linalg.eigvals,
        (np.array([[0.0, 1.0, 2.0], [-3.0, 0.5, 1.0], [0.0, 1.0, 4.0]]),),
        torch=of_torch("linalg.eigvals"),
    ),
    Case(np.linalg.eigvals, (C233,), name="complex batch", torch=of_torch("linalg.eigvals")),
    Case(svd, (M53,), covers=(np.linalg.svd,)),
    *(
        Case(svd, (a,), {"full_matrices": full}, name=f"{full} {a.shape} {a.dtype.kind}")
        for a in (M33, M35, M53, real(2, 3, 4), C33, C35, complex_(2, 4, 3))
        for full in (True, False)
    ),
    *(
        Case(svd_projections, (a,), name=f"{a.shape} {a.dtype.kind}")
        for a in (M53, M35, complex_(2, 4, 3), C35)
    ),
    Case(svd_hermitian, (M33,)),
    Case(svd_hermitian, (C233,), name="complex batch"),
    *(
        Case(np.linalg.svd, (a,), {"compute_uv": False}, name=f"values {a.shape}")
        for a in (M53, C35, real(2, 3, 3))
    ),
    Case(svd_values_of_hermitian, (M33,)),
    *(Case(f, (M53,), torch=of_torch("linalg.svdvals")) for f in present(np.linalg, "svdvals")),
    Case(
        decompositions.quotient,
        (np.stack([M33, 0 * M33]), B233**2 + 1),
        name="a zero matrix",
    ),
    # Norms
    Case(np.linalg.norm, (V4,), covers=(np.linalg.norm, norms.p_norm), torch=of_torch("linalg.norm")),
    Case(np.linalg.norm, (real(2, 3, 2),), name="all entries", torch=of_torch("linalg.norm")),
    Case(np.linalg.norm, (np.array(-2.0),), name="0-d"),
    Case(np.linalg.norm, (complex_(2, 3),), {"keepdims": True}, name="complex, all entries"),
    *(
        Case(
            np.linalg.norm,
            (x, ord),
            {"axis": axis},
            name=f"vector {ord} {axis} {x.dtype.kind}",
            torch=of_torch("linalg.vector_norm", 2 if ord is None else ord, axis),
        )
        for ord in (*ORDERS, 3, 0.5, 1.5, -3)
        for x, axis in ((real(3, 4), -1), (complex_(3, 2), 0))
    ),
    *(
        Case(
            np.linalg.norm,
            (x, ord),
            name=f"matrix {ord} {x.shape}",
            torch=of_torch("linalg.matrix_norm", ord or "fro"),
        )
        for ord in (*ORDERS, "fro", "nuc")
        for x in (M35, C53)
    ),
    *(
        Case(np.linalg.norm, (real(3, 2, 4), ord, (2, 0), True), name=f"axes, keepdims {ord}")
        for ord in (*ORDERS, "fro", "nuc")
    ),
    *(
        Case(np.linalg.norm, (ZEROS, ord, -1), name=f"zero {ord}", numerical=False, gradients=(ZEROS,))
        for ord in (None, 1, 2, 3, 0.5, 1.5)
    ),
    Case(
        np.linalg.norm,
        (ZEROS, np.inf, 0),
        name="zero inf",
        numerical=False,
        torch=of_torch("linalg.vector_norm", np.inf, 0),
    ),
    Case(np.linalg.norm, (ZEROS,), name="zero, all entries", numerical=False, gradients=(ZEROS,)),
    Case(
        np.linalg.norm,
        (ZEROS, "nuc"),
        name="zero nuc",
        numerical=False,
        order=1,
        torch=of_torch("linalg.matrix_norm", "nuc"),
    ),
    Case(
        np.linalg.norm,
        (np.array([1.0, 0.0, -2.0]), 4),
        name="an entry zero",
        torch=of_torch("linalg.vector_norm", 4),
    ),
    Case(
        np.linalg.norm,
        (np.array([2.0, -2.0, 1.0]), np.inf),
        name="ties",
        numerical=False,
        torch=of_torch("linalg.vector_norm", np.inf),
    ),
    Case(np.linalg.norm, (np.empty((2, 0)), None, 1), name="empty"),
    *(
        Case(
            f,
            (real(2, 3, 4),),
            {"axis": axis, "ord": ord, "keepdims": keepdims},
            name=f"{axis} {ord}",
            torch=of_torch("linalg.vector_norm", ord, axis, keepdims),
        )
        for f in present(np.linalg, "vector_norm")
        for axis, ord, keepdims in (
            (None, 2, False),
            ((0, 2), 2, True),
            ((2, 0, 1), 3, False),
            (1, 1, True),
            ((0, 1), np.inf, False),
        )
    ),
    *(
        Case(
            f,
            (complex_(2, 3, 4),),
            {"ord": ord, "keepdims": True},
            name=str(ord),
            torch=of_torch("linalg.matrix_norm", ord, (-2, -1), True),
        )
        for f in present(np.linalg, "matrix_norm")
        for ord in ("fro", "nuc", 2, 1, -np.inf)
    ),
    *(
        Case(np.linalg.cond, (M33, p), name=str(p), torch=of_torch("linalg.cond", p))
        for p in (None, 2, -2, "nuc")
    ),
    *(Case(np.linalg.cond, (M33, p), name=str(p)) for p in (1, -1, np.inf, -np.inf, "fro")),
    Case(np.linalg.cond, (real(2, 4, 3),), name="batch", torch=of_torch("linalg.cond")),
    # (A complex number in NumPy 1.)
    *(Case(np.linalg.cond, (C233, 1), name="complex batch") for _ in present(np.linalg, "svdvals")),
]
