"""Linear systems: `inv`, `solve`, `pinv`, `lstsq`, determinants, and what is composed of them.

Formulas from Giles, *Collected matrix derivative results for forward and reverse mode algorithmic
differentiation* (2008), where no other source is named.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from mytorch.rules.constants import values
from mytorch.rules.decompositions import svdvals
from mytorch.rules.matrices import (
    Forms,
    conj,
    diagonal,
    inexact,
    mH,
    mT,
    on_diagonal,
    pack,
    real_dtype,
    unpack,
)
from mytorch.rules.registry import backward_of, composed, constant, dispatched
from mytorch.rules.shapes import as_array

SlogdetResult: Any = type(np.linalg.slogdet(np.eye(1)))
RCOND = inspect.signature(np.linalg.lstsq).parameters["rcond"].default
NUMPY_1 = np.lib.NumpyVersion(np.__version__) < "2.0.0"

constant(np.linalg.matrix_rank)

# -- systems of equations ------------------------------------------------------------------------------------


def is_vector(a_shape: tuple[int, ...], b_shape: tuple[int, ...]) -> bool:
    """Say whether `solve` understands `b` as a vector, or (in NumPy 1) as a batch of vectors."""
    return len(b_shape) == (len(a_shape) - 1 if NUMPY_1 else 1)


def solve_a(g: Any, y: Any, a: Any, b_shape: tuple[int, ...]) -> Any:
    """Return the gradient of the matrix: ``-(A⁻ᵀ g) yᵀ``."""
    gb = solve_b(g, a, b_shape)
    return -gb[..., :, None] * y[..., None, :] if is_vector(a.shape, b_shape) else -gb @ mT(y)


def solve_b(g: Any, a: Any, b_shape: tuple[int, ...]) -> Any:
    """Return the gradient of the right-hand side: ``A⁻ᵀ g``."""
    if is_vector(a.shape, b_shape):
        return np.linalg.solve(mT(a), g[..., None])[..., 0]
    return np.linalg.solve(mT(a), g)


backward_of(np.linalg.inv, lambda g, y: -(mT(y) @ g @ mT(y)))
backward_of(np.linalg.solve, solve_a, solve_b)


@composed(np.linalg.tensorsolve)
def tensorsolve(a: Any, b: Any, axes: Any = None) -> Any:
    """Return x with ``tensordot(a, x, x.ndim) == b``."""
    a, b = as_array(a), as_array(b)
    if axes is not None:
        axes = [i % a.ndim for i in axes]
        a = np.transpose(a, [i for i in range(a.ndim) if i not in axes] + axes)
    shape = a.shape[b.ndim :]
    if a.size != b.size**2:
        raise np.linalg.LinAlgError(
            f"tensorsolve: expected as many equations as unknowns, got b of shape {b.shape} and unknowns of {shape}"
        )
    return np.reshape(np.linalg.solve(np.reshape(a, (b.size, b.size)), np.ravel(b)), shape)


@composed(np.linalg.tensorinv)
def tensorinv(a: Any, ind: int = 2) -> Any:
    """Return the inverse of ``x -> tensordot(a, x, a.ndim - ind)``."""
    if ind <= 0:
        raise ValueError(f"tensorinv: expected ind > 0, got {ind}")
    rows, columns = a.shape[:ind], a.shape[ind:]
    n = int(np.prod(columns))
    return np.reshape(np.linalg.inv(np.reshape(a, (n, -1))), columns + rows)


@composed(np.linalg.matrix_power)
def matrix_power(a: Any, n: int) -> Any:
    """Return the n-th power by repeated squaring; of the inverse for negative n."""
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise np.linalg.LinAlgError(f"matrix_power: expected square matrices, got shape {a.shape}")
    if not isinstance(n, int | np.integer):
        raise TypeError(f"matrix_power: the exponent must be an integer, got {n!r}")
    if n == 0:
        return np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape).copy()
    base, n = (np.linalg.inv(a), -int(n)) if n < 0 else (a, int(n))
    result = None
    while n:
        if n % 2:
            result = base if result is None else np.matmul(result, base)
        n //= 2
        base = np.matmul(base, base) if n else base
    return np.copy(result) if result is a else result


# -- pseudo-inverse and least squares ------------------------------------------------------------------------


def pinv_gradient(g: Any, y: Any, a: Any) -> Any:
    """Return the gradient of a matrix of locally constant rank through its pseudo-inverse `y`.

    ``-yᴴ g yᴴ + (I - a y) gᴴ y yᴴ + yᴴ y gᴴ (I - y a)`` (Golub & Pereyra, *The differentiation of pseudo-inverses
    and nonlinear least squares problems whose variables separate*, 1973, 4.12).
    """
    refuse_cut(values(a), values(y))
    yh, gh = mH(y), mH(g)
    left, right = gh @ (y @ yh), (yh @ y) @ gh
    return -(yh @ g @ yh) + (left - a @ (y @ left)) + (right - (right @ y) @ a)


def refuse_cut(a: np.ndarray, y: np.ndarray) -> None:
    """Raise where the pseudo-inverse `y` neglects singular values that are not zero next to those that it inverts."""
    s = np.linalg.svd(a, compute_uv=False)
    rank = np.rint(np.trace(a @ y, axis1=-2, axis2=-1).real).astype(int)[..., None]
    index = np.arange(s.shape[-1])
    kept = np.where(index < rank, s, np.inf).min(axis=-1, initial=np.inf)
    cut = np.where(index < rank, 0, s).max(axis=-1, initial=0)
    wrong = cut > np.finfo(s.dtype).eps ** 0.5 * kept
    if wrong.any():
        raise ValueError(
            f"the pseudo-inverse of a matrix neglects singular values up to {cut[wrong].max():.3g} that are not zero "
            f"(the least that it inverts is {kept[wrong].min():.3g}), and its gradient holds for a rank that stays; "
            "lower rcond, or compose the regularized inverse of np.linalg.svd"
        )


backward_of(
    np.linalg.pinv,
    lambda g, y, a, *, hermitian=False: pinv_gradient(g, y, as_read(a) if hermitian else a),
    holomorphic=False,
)


def as_read(a: Any) -> Any:
    """Return the Hermitian matrices of which functions read only the lower triangles."""
    lower = np.tril(a)
    return lower + mH(np.tril(lower, -1))


@dispatched
def least_squares(a: np.ndarray, b: np.ndarray, *, rcond: Any) -> np.ndarray:
    """Return the columns x of the smallest ``|b - a x|``; of these the smallest."""
    return np.linalg.lstsq(a, b, rcond)[0]


def least_squares_a(g: Any, a: Any, b: Any, rcond: Any) -> Any:
    """Return the gradient of the matrix, by way of ``x = pinv(a) b``."""
    return pinv_gradient(g @ mH(b), pseudo_inverse(a, rcond), a)


def pseudo_inverse(a: Any, rcond: Any) -> Any:
    """Return the pseudo-inverse with the singular values cut off where `lstsq` does."""
    eps = np.finfo(inexact(a)).eps
    return np.linalg.pinv(a, max(a.shape) * eps if rcond is None else eps if rcond < 0 else rcond)


backward_of(
    least_squares,
    lambda g, a, b, *, rcond: least_squares_a(g, a, b, rcond),
    lambda g, a, *, rcond: mH(pseudo_inverse(a, rcond)) @ g,
    holomorphic=False,
    name="lstsq",
)


@composed(np.linalg.lstsq)
def lstsq(a: Any, b: Any, rcond: Any = RCOND) -> Any:
    """Return the solution, the squares of the residuals, the rank and the singular values.

    The gradient of the solution is that of ``pinv(a) @ b`` for a rank that stays; residuals and singular values
    are differentiable too.
    """
    a, b = as_array(a), as_array(b)
    dtype = inexact(a, b)
    a, b = a.astype(dtype, copy=False), b.astype(dtype, copy=False)
    _, left, rank, _ = np.linalg.lstsq(values(a), values(b), rcond)
    rcond = -1 if rcond == "warn" else rcond
    columns = b[:, None] if b.ndim == 1 else b
    x = least_squares(a, columns, rcond=rcond)
    error = columns - a @ x
    residuals = np.sum((conj(error) * error).real, axis=0) if left.size else np.zeros_like(left)
    return x[:, 0] if b.ndim == 1 else x, residuals, rank, svdvals(a)


# -- determinants --------------------------------------------------------------------------------------------


@dispatched
def cofactors(a: np.ndarray) -> np.ndarray:
    """Return the matrices of cofactors, the slopes of the determinant: ``det(a) a⁻ᵀ``, also of singular matrices.

    With ``a = U S Vᴴ`` they are ``det(U) det(Vᴴ) conj(U) S' Vᵀ``... where S' holds the products of all other
    singular values (Stewart, *On the adjugate matrix*, 1998).
    """
    u, s, vh = np.linalg.svd(a)
    phase = np.linalg.det(u) * np.linalg.det(vh)
    return phase[..., None, None] * ((u * products_of_others(s)[..., None, :]) @ vh).conj()


@dispatched
def cofactor_slopes(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the gradient of ``sum(b * cofactors(a))``: the second derivative of the determinant, applied to `b`."""
    u, s, vh = np.linalg.svd(a)
    phase = np.linalg.det(u) * np.linalg.det(vh)
    turned = mH(u) @ b @ mH(vh)
    others = products_of_other_pairs(s)
    inner = on_diagonal((others @ diagonal(turned)[..., None])[..., 0]) - others * mT(turned)
    return phase[..., None, None] * (u.conj() @ inner @ vh.conj())


def products_of_others(s: np.ndarray) -> np.ndarray:
    """Return, for every entry of the last axis, the product of all others, without a division."""
    ones = np.ones_like(s[..., :1])
    before = np.cumprod(np.concatenate((ones, s[..., :-1]), -1)[..., : s.shape[-1]], -1)
    after = np.cumprod(np.concatenate((ones, s[..., :0:-1]), -1)[..., : s.shape[-1]], -1)[..., ::-1]
    return before * after


def products_of_other_pairs(s: np.ndarray) -> np.ndarray:
    """Return the matrices of products of all entries but j and k; zero on the diagonal."""
    same = np.eye(s.shape[-1], dtype=bool)
    return np.where(same, 0, products_of_others(np.where(same, 1, s[..., None, :])))


def third_derivative(g: Any, a: Any, b: Any) -> Any:
    """Return the gradient of ``sum(g * cofactor_slopes(a, b))``, for invertible matrices.

    With ``Y = a⁻ᵀ``, the sum is ``det(a) (<Y, b> <Y, g> - <Y bᵀ Y, g>)``; differentiate with ``dY = -Y daᵀ Y``.
    """
    y, det = mT(np.linalg.inv(a)), np.linalg.det(a)[..., None, None]
    yb, yg = y @ mT(b) @ y, y @ mT(g) @ y
    along_b, along_g = total(y * b), total(y * g)
    value = along_b * along_g - total(yb * g)
    mixed = yb @ mT(g) @ y + yg @ mT(b) @ y
    return det * (value * y - along_g * yb - along_b * yg + mixed)


def total(x: Any) -> Any:
    """Return the sums over the entries of matrices, with their axes."""
    return np.sum(x, axis=(-2, -1), keepdims=True)


backward_of(np.linalg.det, lambda g, a: g[..., None, None] * cofactors(a))
backward_of(cofactors, lambda g, a: cofactor_slopes(a, g), name="det")
backward_of(cofactor_slopes, third_derivative, lambda g, a: cofactor_slopes(a, g), name="det")


@dispatched
def slogdet_packed(a: np.ndarray, *, forms: Forms) -> np.ndarray:
    """Return the determinant's sign (or phase) and the logarithm of its size, packed."""
    return pack(np.linalg.slogdet(a), forms)


def slogdet_gradient(g: list[Any], sign: Any, a: Any) -> Any:
    """Return ``(g_log - i Im(conj(g_sign) sign)) a⁻ᴴ``: real signs are constant, complex ones turn."""
    g_sign, g_log = g
    c = g_log if a.dtype.kind != "c" else g_log - 1j * (conj(g_sign) * sign).imag
    return c[..., None, None] * mH(np.linalg.inv(a))


backward_of(
    slogdet_packed,
    lambda g, y, a, *, forms: slogdet_gradient(unpack(g, forms), unpack(y, forms)[0], a),
    holomorphic=False,
    name="slogdet",
)


@composed(np.linalg.slogdet)
def slogdet(a: Any) -> Any:
    """Return the sign (for complex matrices the phase) of the determinant, and the logarithm of its size."""
    dtype = inexact(a)
    forms = (a.shape[:-2], dtype), (a.shape[:-2], real_dtype(dtype))
    return SlogdetResult(*unpack(slogdet_packed(a, forms=forms), forms))
