"""Counterparts of products, norms, decompositions and solutions of linear systems."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

from tests.op_db import NotInNumPy, Processed

np: Any = numpy  # called with Tensors, and with what PyTorch gives


def dagger(a: Any) -> Any:
    """Return the conjugate transpose."""
    return np.conj(np.swapaxes(a, -1, -2))


def plus(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``beta * c + alpha * function(a, b)``."""
    return lambda c, a, b, *, beta=1, alpha=1: beta * c + alpha * function(a, b)


def vecdot(a: Any, b: Any, *, dim: int = -1) -> Any:
    return np.sum(np.conj(a) * b, axis=dim)


def cross(a: Any, b: Any, *, dim: int = -1) -> Any:
    return np.cross(a, b, axis=dim)


def tensordot(a: Any, b: Any, dims: Any = 2) -> Any:
    if not isinstance(dims, int) and any(a.shape[i] != b.shape[j] for i, j in zip(*dims, strict=True)):
        raise NotInNumPy("axes that are summed have one length")
    return np.tensordot(a, b, dims)


def einsum(arrays: Any, equation: str) -> Any:
    if "..." in equation and "..." not in equation.partition("->")[2]:
        raise NotInNumPy("dimensions of an ellipsis stay")
    return np.einsum(equation, *arrays)


def vander(a: Any, *, N: int | None = None) -> Any:
    if a.ndim != 1:
        raise NotInNumPy("np.vander takes one row")
    return np.vander(a, N, increasing=True)


def matrix_power(a: Any, n: int) -> Any:
    return np.linalg.matrix_power(a, n)


# -- norms ------------------------------------------------------------------------------------------------------


def vector_norm(a: Any, ord: Any = 2, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    if a.ndim == 0:
        return np.linalg.norm(np.reshape(a, -1), ord)
    axes = tuple(range(a.ndim)) if dim is None or dim == () else (dim,) if isinstance(dim, int) else dim
    axes = tuple(axis % a.ndim for axis in axes)
    others = tuple(axis for axis in range(a.ndim) if axis not in axes)
    moved = np.transpose(a, (*others, *axes))
    count = int(np.prod([a.shape[axis] for axis in axes]))
    if count == 0 and (ord == np.inf or ord < 0):
        raise NotInNumPy("nothing has no largest entry")
    y = np.linalg.norm(np.reshape(moved, (*(a.shape[i] for i in others), count)), ord, axis=-1)
    return np.reshape(y, [1 if i in axes else n for i, n in enumerate(a.shape)]) if keepdim else y


def matrix_norm(
    a: Any, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, dtype: Any = None
) -> Any:
    return np.linalg.norm(a, ord, tuple(dim), keepdim)


def norm(a: Any, ord: Any = None, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    if isinstance(dim, int) or (dim is not None and len(dim) == 1):
        return vector_norm(a, 2 if ord is None else ord, dim, keepdim)
    if ord is None:
        return vector_norm(a, 2, dim, keepdim)
    if dim is None and a.ndim < 2:
        return vector_norm(a, ord, None, keepdim)
    return matrix_norm(a, ord, (-2, -1) if dim is None else dim, keepdim)


# -- decompositions ---------------------------------------------------------------------------------------------


def svd(a: Any, full_matrices: bool = True, driver: Any = None) -> Any:
    return np.linalg.svd(a, full_matrices)


def _narrowed(usv: Any) -> Any:
    u, s, v = usv
    return u[..., : s.shape[-1]], s, v[..., : s.shape[-1], :]


def _product(usv: Any) -> Any:
    u, s, v = _narrowed(usv)
    return u @ v, s


PROCESSED: dict[str, Callable[[Any], Any]] = {
    "fn_U": lambda usv: np.abs(_narrowed(usv)[0]),
    "fn_S": lambda usv: usv[1],
    "fn_Vh": lambda usv: (usv[1], np.abs(_narrowed(usv)[2])),
    "fn_UVh": _product,
}


def old_svd(a: Any, some: bool = True, compute_uv: bool = True) -> Any:
    return svd(a, not some)


def eigh(a: Any, UPLO: str = "L") -> Any:
    values, vectors = np.linalg.eigh(a, UPLO)
    return values, np.abs(vectors)


def eig(a: Any) -> Any:
    values, vectors = np.linalg.eig(a)
    return values + 0j, np.abs(vectors)


def qr(a: Any, mode: str = "reduced") -> Any:
    if mode == "r":
        raise NotInNumPy("NumPy gives R alone")
    return np.linalg.qr(a, mode)


def old_qr(a: Any, some: bool = True) -> Any:
    return qr(a, "reduced" if some else "complete")


def cholesky(a: Any, upper: bool = False) -> Any:
    factor = np.linalg.cholesky(a)
    return dagger(factor) if upper else factor


def cholesky_ex(a: Any, *, upper: bool = False, check_errors: bool = False) -> Any:
    return cholesky(a, upper), np.zeros(a.shape[:-2], np.int32)


def cholesky_solve(b: Any, factor: Any, upper: bool = False) -> Any:
    lower = dagger(np.triu(factor)) if upper else np.tril(factor)
    return np.linalg.solve(dagger(lower), np.linalg.solve(lower, b))


def cholesky_inverse(factor: Any, upper: bool = False) -> Any:
    lower = dagger(np.triu(factor)) if upper else np.tril(factor)
    return np.linalg.inv(lower @ dagger(lower))


# -- systems ------------------------------------------------------------------------------------------------------


def solve(a: Any, b: Any, *, left: bool = True, check_errors: bool = False) -> Any:
    vector = b.ndim == 1 or (b.ndim == a.ndim - 1 and b.shape == a.shape[:-1])
    if not left:
        if vector:
            raise NotInNumPy("a system from the right has a matrix")
        return np.swapaxes(np.linalg.solve(np.swapaxes(a, -1, -2), np.swapaxes(b, -1, -2)), -1, -2)
    return np.linalg.solve(a, b[..., None])[..., 0] if vector else np.linalg.solve(a, b)


def solve_triangular(a: Any, b: Any, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Any:
    part = np.triu(a) if upper else np.tril(a)
    if unitriangular:
        one = np.eye(a.shape[-1])
        part = part * (1 - one) + one
    return solve(part, b, left=left)


def triangular_solve(
    b: Any, a: Any, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> Any:
    part = np.triu(a) if upper else np.tril(a)
    if unitriangular:
        one = np.eye(a.shape[-1])
        part = part * (1 - one) + one
    return np.linalg.solve(np.swapaxes(part, -1, -2) if transpose else part, b), np.copy(a)


def tensorsolve(a: Any, b: Any, dims: Any = None) -> Any:
    return np.linalg.tensorsolve(a, b, dims)


def lstsq(a: Any, b: Any, *, driver: Any = None, rcond: Any = None) -> Any:
    if a.ndim > 2:
        raise NotInNumPy("NumPy solves one problem of least squares at a time")
    solution, residuals = np.linalg.lstsq(a, b, rcond=None)[:2]
    return solution, np.zeros(0) if driver == "gelsy" else residuals  # that driver of LAPACK finds none


def pinv(a: Any, *args: Any, rtol: Any = None, hermitian: bool = False, **kwargs: Any) -> Any:
    if args:
        return np.linalg.pinv(a @ np.swapaxes(args[0], -1, -2))
    return np.linalg.pinv(a, 1e-15 if rtol is None else np.asarray(rtol), hermitian)


def least_squares(a: Any, b: Any, *, driver: Any = None, rcond: Any = None) -> Any:
    if a.ndim > 2:
        raise NotInNumPy("NumPy solves one problem of least squares at a time")
    solution, residuals, rank, values = np.linalg.lstsq(a, b, rcond=None)
    given = [solution, np.zeros(0) if driver == "gelsy" else residuals]
    rank = np.asarray(rank) if driver != "gels" else np.zeros(0, int)
    return [*given, rank, np.zeros(0) if driver in ("gels", "gelsy") else values]


def solve_ex(a: Any, b: Any, *, left: bool = True, check_errors: bool = False) -> Any:
    return solve(a, b, left=left), np.zeros(a.shape[:-2], np.int32)


def permutation(pivots: Any, n: int) -> np.ndarray:
    """Return the matrix P of P L U that LAPACK's exchanges of rows make."""
    matrices = np.zeros((*pivots.shape[:-1], n, n))
    for place in np.ndindex(pivots.shape[:-1]):
        order = np.arange(n)
        for i, j in enumerate(pivots[place] - 1):
            order[[i, j]] = order[[j, i]]
        matrices[place][order, np.arange(n)] = 1
    return np.asarray(matrices)


def lu_unpack(a: Any, pivots: Any, unpack_data: bool = True, unpack_pivots: bool = True) -> Any:
    m, n = a.shape[-2:]
    k = min(m, n)
    lower, upper = np.tril(a[..., :, :k], -1) + np.eye(m, k), np.triu(a[..., :k, :])
    p = permutation(pivots, m) if unpack_pivots else np.zeros(0)
    return (p, lower, upper) if unpack_data else (p, np.zeros(0), np.zeros(0))


def lu_solve(a: Any, pivots: Any, b: Any, *, left: bool = True, adjoint: bool = False) -> Any:
    p, lower, upper = lu_unpack(a, pivots)
    if not left:  # X A = B is A^H X^H = B^H
        return dagger(lu_solve(a, pivots, dagger(b), adjoint=not adjoint))
    if adjoint:
        return p @ np.linalg.solve(dagger(lower), np.linalg.solve(dagger(upper), b))
    return np.linalg.solve(upper, np.linalg.solve(lower, np.swapaxes(p, -1, -2) @ b))


def reflected(b: Any, a: Any, tau: Any, adjoint: bool) -> Any:
    """Return the product of Householder's reflections I - tau v v^H (or its adjoint) and b."""
    k = tau.shape[-1]
    vectors = np.tril(a, -1) + np.eye(*a.shape[-2:])
    for i in range(k) if adjoint else range(k - 1, -1, -1):
        v = vectors[..., :, i, None]
        factor = tau[..., i, None, None]
        b = b - (np.conj(factor) if adjoint else factor) * (v @ (dagger(v) @ b))
    return b


def householder_product(a: Any, tau: Any) -> Any:
    return reflected(np.eye(*a.shape[-2:]) + np.zeros_like(a), a, tau, adjoint=False)


def ormqr(a: Any, tau: Any, b: Any, left: bool = True, transpose: bool = False) -> Any:
    if left:
        return reflected(b, a, tau, adjoint=transpose)
    return dagger(reflected(dagger(b), a, tau, adjoint=not transpose))


def renorm(a: Any, p: float, dim: int, maxnorm: float) -> Any:
    axes = tuple(i for i in range(a.ndim) if i != dim % a.ndim)
    length = vector_norm(a, p, axes, True)
    return a * np.where(length > maxnorm, maxnorm / (length + 1e-7), 1.0)


def matrix_rank(a: Any, *, atol: Any = None, rtol: Any = None, hermitian: bool = False) -> Any:
    if atol is not None or rtol is not None:
        raise NotInNumPy("the tolerances have another meaning")
    return np.linalg.matrix_rank(a, hermitian=hermitian)


def logdet(a: Any) -> Any:
    if np.iscomplexobj(a):
        sign, logarithm = np.linalg.slogdet(a)
        return np.log(sign) + logarithm
    return np.log(np.linalg.det(a))


TABLE = {
    "__rmatmul__": lambda a, b: b @ a,
    "addbmm": plus(lambda a, b: np.sum(a @ b, axis=0)),
    "addmm": plus(np.matmul),
    "addmv": plus(np.matmul),
    "addr": plus(np.outer),
    "baddbmm": plus(np.matmul),
    "bmm": np.matmul,
    "cholesky": cholesky,
    "cholesky_inverse": cholesky_inverse,
    "cholesky_solve": cholesky_solve,
    "cross": cross,
    "dot": np.dot,
    "einsum": einsum,
    "inner": np.inner,
    "kron": np.kron,
    "linalg.cholesky": cholesky,
    "linalg.cholesky_ex": cholesky_ex,
    "linalg.cond": lambda a, p=None: np.linalg.cond(a, p),
    "linalg.cross": cross,
    "linalg.det": np.linalg.det,
    "linalg.eig": eig,
    "linalg.eigh": eigh,
    "linalg.eigvals": lambda a: np.linalg.eigvals(a) + 0j,
    "linalg.eigvalsh": lambda a, UPLO="L": np.linalg.eigvalsh(a, UPLO),
    "linalg.householder_product": householder_product,
    "linalg.inv": np.linalg.inv,
    "linalg.inv_ex": lambda a, check_errors=False: (np.linalg.inv(a), np.zeros(a.shape[:-2], np.int32)),
    "linalg.lstsq/grad_oriented": lstsq,
    "linalg.lstsq": least_squares,
    "linalg.lu_solve": lu_solve,
    "linalg.matrix_norm": matrix_norm,
    "linalg.matrix_power": matrix_power,
    "linalg.matrix_rank": matrix_rank,
    "linalg.multi_dot": np.linalg.multi_dot,
    "linalg.norm": norm,
    "linalg.pinv": pinv,
    "linalg.qr": qr,
    "linalg.slogdet": np.linalg.slogdet,
    "linalg.solve": solve,
    "linalg.solve_ex": solve_ex,
    "linalg.solve_triangular": solve_triangular,
    "linalg.svd": Processed(svd, PROCESSED),
    "linalg.svdvals": lambda a, driver=None: np.linalg.svd(a, compute_uv=False),
    "linalg.tensorinv": lambda a, ind=2: np.linalg.tensorinv(a, ind),
    "linalg.tensorsolve": tensorsolve,
    "linalg.vander": vander,
    "linalg.vecdot": vecdot,
    "linalg.vector_norm": vector_norm,
    "logdet": logdet,
    "lu_solve": lambda b, a, pivots: lu_solve(a, pivots, b),
    "lu_unpack": Processed(lu_unpack, {"out_fn": lambda plu: plu[1:]}),
    "matmul": np.matmul,
    "mm": np.matmul,
    "mv": np.matmul,
    "ormqr": ormqr,
    "outer": np.outer,
    "pinverse": lambda a, rcond=1e-15: pinv(a),
    "qr": old_qr,
    "renorm": renorm,
    "svd": Processed(old_svd, PROCESSED),
    "tensordot": tensordot,
    "trace": np.trace,
    "triangular_solve": triangular_solve,
    "vdot": np.vdot,
}
