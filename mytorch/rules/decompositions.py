"""Matrix decompositions: `cholesky`, `qr`, `eigh`, `eig`, `svd`.

The formulas are those of Giles, *Collected matrix derivative results for forward and reverse mode algorithmic
differentiation* (2008), Walter & Lehmann, *Algorithmic differentiation of linear algebra functions* (2018), and
Townsend, *Differentiating the singular value decomposition* (2016), in the complex form of PyTorch.

What a decomposition leaves open, its gradient cannot know.

*Phases.*  A complex eigenvector or pair of singular vectors may be multiplied by any phase, and the columns that
complete an orthonormal basis (`full_matrices`, ``mode="complete"``) by any unitary matrix.  A result that depends
on that choice has no gradient: an error says so, as PyTorch's does for phases.

*Degeneracy.*  Where eigenvalues (for `svd`, squares of singular values) coincide, eigenvectors are not
differentiable and their gradients contain a division by zero: infinities and NaNs with NumPy's warning, as in
PyTorch.  Gradients of the eigenvalues and singular values themselves need no such division and are exact: for
singular values that are zero, the one with the smallest norm.

*Hermitian input.*  `cholesky`, `eigh` and their kin read one triangle and understand the matrix as Hermitian.  So
do their gradients, which are those along Hermitian changes of the matrix (PyTorch's convention).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mytorch.rules.constants import values
from mytorch.rules.matrices import (
    Forms,
    conj,
    diagonal,
    inexact,
    mH,
    on_diagonal,
    pack,
    real,
    real_dtype,
    unpack,
)
from mytorch.rules.registry import backward_of, composed, dispatched, present

_EIG_OF_ONE = np.linalg.eig(np.eye(1))
EigResult: Any = type(_EIG_OF_ONE)
EighResult: Any = type(np.linalg.eigh(np.eye(1)))
QRResult: Any = type(np.linalg.qr(np.eye(1)))
SVDResult: Any = type(np.linalg.svd(np.eye(1)))
# Whether `eig` gives real numbers where all of a real matrix's are, as before NumPy 2.5.
REAL_WHERE_ALL_ARE = _EIG_OF_ONE.eigenvalues.dtype.kind == "f"

PHASES = "the phases of the vectors"
PHASES_REMEDY = "use what no phase changes, such as absolute values, or products like v @ v.conj().T"
BASIS = "which basis completes its orthonormal vectors"
BASIS_REMEDY = "use only the first min(M, N) vectors (full_matrices=False, mode='reduced')"


def refuse_choice(name: str, what: str, slope: Any, scale: Any, remedy: str) -> None:
    """Raise where a result depends on what a decomposition leaves open: its `slope` along that is not zero.

    `scale` holds numbers of the size that the slope could have, so that rounding is not taken for dependence.
    """
    along, size = (np.abs(values(x)).max(initial=0) for x in (slope, scale))
    tolerance = np.finfo(along.dtype).eps ** (1 / 3)
    if along > tolerance * (size + tolerance):
        raise ValueError(
            f"{name} leaves open {what}, and the result that is differentiated depends on it, so that it has no "
            f"gradient; {remedy}"
        )


@dispatched
def quotient(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return ``a / b``, and zeros for those matrices of `a` that are zero as a whole, whatever `b` is.

    A gradient that nobody asked for is such a matrix: it stays zero where eigenvalues coincide.
    """
    return np.divide(a, b, where=np.any(a != 0, axis=(-2, -1), keepdims=True), out=np.zeros_like(a))


backward_of(quotient, lambda g, b: quotient(g, b), lambda g, y, b: -quotient(g * y, b))


def gaps(x: Any) -> Any:
    """Return the matrices ``x[k] - x[j]``, infinite on the diagonal, where nothing is to be divided."""
    return np.where(np.eye(x.shape[-1], dtype=bool), np.inf, x[..., None, :] - x[..., :, None])


# -- Cholesky ------------------------------------------------------------------------------------------------


def cholesky_gradient(g: Any, y: Any, upper: bool) -> Any:
    """Return ``L⁻ᴴ (Φ + strict(Φ)ᴴ) L⁻¹ / 2``, where Φ is the lower triangle of ``Lᴴ g`` (Murray 2016, 3.2)."""
    if upper:
        g, y = mH(g), mH(y)
    lower, inverse = np.tril(mH(y) @ g), np.linalg.inv(y)
    return mH(inverse) @ ((lower + mH(np.tril(lower, -1))) * 0.5) @ inverse


backward_of(
    np.linalg.cholesky, lambda g, y, *, upper=False: cholesky_gradient(g, y, upper), holomorphic=False
)


# -- QR ------------------------------------------------------------------------------------------------------


@dispatched
def qr_packed(a: np.ndarray, *, forms: Forms, mode: Any) -> np.ndarray:
    """Return Q and R, packed."""
    return pack(np.linalg.qr(a, mode), forms)


def tall_gradient(gq: Any, gr: Any, q: Any, r: Any) -> Any:
    """Return ``(g_Q + Q H) R⁻ᴴ`` for at least as many rows as columns (Walter & Lehmann 2018).

    H is the Hermitian matrix that has the upper triangle of ``g_R Rᴴ - Qᴴ g_Q``.
    """
    x = gr @ mH(r) - mH(q) @ gq
    upper = np.triu(x, 1)
    h = upper + mH(upper) + on_diagonal(real(diagonal(x)))
    return mH(np.linalg.solve(r, mH(gq + q @ h)))


def qr_gradient(gq: Any, gr: Any, q: Any, r: Any) -> Any:
    """Return the gradient of a matrix of any shape: a wide one is a square one with columns Y, and ``V = Qᴴ Y``."""
    m, n = q.shape[-2], r.shape[-1]
    if m < n:
        v, gv = r[..., m:], gr[..., m:]
        square = tall_gradient(gq + q @ v @ mH(gv), gr[..., :m], q, r[..., :m])
        return np.concatenate((square, q @ gv), -1)
    return tall_gradient(folded("qr", gq, q, n), gr[..., :n, :], q[..., :n], r[..., :n, :])


def folded(name: str, gq: Any, q: Any, k: int) -> Any:
    """Return the gradient of the first `k` columns of the orthonormal `q`, in terms of which it has the others.

    The others span the complement, so they move by ``dQ₂ = -Q₁ dQ₁ᴴ Q₂`` and by any rotation among themselves.
    """
    if q.shape[-1] == k:
        return gq
    inner, outer, g_outer = q[..., :k], q[..., k:], gq[..., k:]
    turn = mH(outer) @ g_outer
    refuse_choice(name, BASIS, turn - mH(turn), g_outer, BASIS_REMEDY)
    return gq[..., :k] - outer @ (mH(g_outer) @ inner)


backward_of(
    qr_packed,
    lambda g, y, *, forms: qr_gradient(*unpack(g, forms), *unpack(y, forms)),
    holomorphic=False,
    name="qr",
)


@composed(np.linalg.qr)
def qr(a: Any, mode: str = "reduced") -> Any:
    """Return Q and R with ``a = Q R``; R alone for mode 'r'."""
    if mode not in ("reduced", "complete", "r"):
        raise ValueError(
            f"qr: mode {mode!r} is not differentiable: it gives LAPACK's reflectors, which are no functions of the "
            "matrix alone; use 'reduced', 'complete' or 'r'"
        )
    *batch, m, n = a.shape
    k, dtype = m if mode == "complete" else min(m, n), inexact(a)
    forms = ((*batch, m, k), dtype), ((*batch, k, n), dtype)
    q, r = unpack(qr_packed(a, forms=forms, mode="reduced" if mode == "r" else mode), forms)
    return r if mode == "r" else QRResult(q, r)


# -- eigenvalues ---------------------------------------------------------------------------------------------


@dispatched
def eigh_packed(a: np.ndarray, *, forms: Forms, uplo: Any) -> np.ndarray:
    """Return eigenvalues and eigenvectors of Hermitian matrices, packed."""
    return pack(np.linalg.eigh(a, uplo), forms)


def eigh_gradient(gw: Any, gv: Any, w: Any, v: Any) -> Any:
    """Return ``V (diag(g_w) + skew(Vᴴ g_V) / E) Vᴴ`` with ``E[j, k] = w[k] - w[j]`` (Giles 2008, 3.1)."""
    x = mH(v) @ gv
    if x.dtype.kind == "c":
        refuse_choice("eigh", PHASES, diagonal(x).imag, x, PHASES_REMEDY)
    return v @ (on_diagonal(gw) + quotient((x - mH(x)) * 0.5, gaps(w))) @ mH(v)


backward_of(
    eigh_packed,
    lambda g, y, *, forms: eigh_gradient(*unpack(g, forms), *unpack(y, forms)),
    holomorphic=False,
    name="eigh",
)


@composed(np.linalg.eigh)
def eigh(a: Any, UPLO: str = "L") -> Any:
    """Return the eigenvalues, ascending, and eigenvectors of Hermitian matrices."""
    dtype = inexact(a)
    forms = (a.shape[:-1], real_dtype(dtype)), (a.shape, dtype)
    return EighResult(*unpack(eigh_packed(a, forms=forms, uplo=UPLO), forms))


@composed(np.linalg.eigvalsh)
def eigvalsh(a: Any, UPLO: str = "L") -> Any:
    """Return the eigenvalues, ascending, of Hermitian matrices."""
    return eigh(a, UPLO)[0]


@dispatched
def eig_packed(a: np.ndarray, *, forms: Forms) -> np.ndarray:
    """Return eigenvalues and eigenvectors, packed (as complex numbers, also where none is)."""
    return pack(np.linalg.eig(a), forms)


def eig_gradient(gw: Any, gv: Any, w: Any, v: Any) -> Any:
    """Return ``V⁻ᴴ (diag(g_w) + (Vᴴ g_V - Vᴴ V Re diag(Vᴴ g_V)) / conj(E)) Vᴴ`` for vectors of length one.

    Boeddeker et al., *On the computation of complex-valued gradients with application to statistically optimum
    beamforming* (2017), 4.77; the second term keeps the length.
    """
    x, vh = mH(v) @ gv, mH(v)
    refuse_choice("eig", PHASES, diagonal(x).imag, x, PHASES_REMEDY)
    x = x - (vh @ v) * diagonal(x).real[..., None, :]
    return np.linalg.solve(vh, (on_diagonal(gw) + quotient(x, conj(gaps(w)))) @ vh)


backward_of(
    eig_packed,
    lambda g, y, *, forms: eig_gradient(*unpack(g, forms), *unpack(y, forms)),
    holomorphic=False,
    name="eig",
)


@composed(np.linalg.eig)
def eig(a: Any) -> Any:
    """Return the eigenvalues and eigenvectors, complex ones where this NumPy's are."""
    dtype = np.result_type(inexact(a), np.complex64)
    forms = (a.shape[:-1], dtype), (a.shape, dtype)
    w, v = unpack(eig_packed(a, forms=forms), forms)
    if REAL_WHERE_ALL_ARE and a.dtype.kind != "c" and not np.any(values(w).imag):
        w, v = w.real, v.real
    return EigResult(w, v)


@composed(np.linalg.eigvals)
def eigvals(a: Any) -> Any:
    """Return the eigenvalues."""
    return eig(a)[0]


# -- singular values -----------------------------------------------------------------------------------------


@dispatched
def svd_packed(a: np.ndarray, *, forms: Forms, full_matrices: bool) -> np.ndarray:
    """Return U, the singular values, and Vᴴ, packed."""
    return pack(np.linalg.svd(a, full_matrices), forms)


def svd_gradient(gu: Any, gs: Any, gvh: Any, u: Any, s: Any, vh: Any) -> Any:
    """Return ``U (diag(g_S) + (skew(Uᴴ g_U) S + S skew(Vᴴ g_V)) / E + P) Vᴴ`` + parts orthogonal to U and V.

    ``E[j, k] = S[k]² - S[j]²``; P, of phases, is ``i Im diag(Uᴴ g_U) / S`` (Townsend 2016; Wan & Zhang,
    *Automatic differentiation for complex valued SVD*, 2019).
    """
    k = s.shape[-1]
    gu, gv = folded("svd", gu, u, k), folded("svd", mH(gvh), mH(vh), k)
    u, vh = u[..., :k], vh[..., :k, :]
    row, column, gap = s[..., None, :], s[..., :, None], gaps(s * s)
    xu, xv = mH(u) @ gu, vh @ gv
    core = on_diagonal(gs) + quotient(xu - mH(xu), gap) * row + column * quotient(xv - mH(xv), gap)
    if core.dtype.kind == "c":
        turn, size = values(xu) + values(xv), np.abs(values(xu)) + np.abs(values(xv))
        refuse_choice("svd", PHASES, diagonal(turn).imag, size, PHASES_REMEDY)
        core = core + on_diagonal(quotient(diagonal(xu).imag[..., None, :], row)[..., 0, :] * 1j)
    gradient = u @ core @ vh
    if u.shape[-2] > k:
        gradient = gradient + quotient(gu - u @ xu, row) @ vh
    if vh.shape[-1] > k:
        gradient = gradient + u @ mH(quotient(gv - mH(vh) @ xv, row))
    return gradient


backward_of(
    svd_packed,
    lambda g, y, *, forms: svd_gradient(*unpack(g, forms), *unpack(y, forms)),
    holomorphic=False,
    name="svd",
)


@composed(np.linalg.svd)
def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    """Return U, the singular values (descending) and Vᴴ, or the singular values alone."""
    if hermitian:
        return _svd_of_hermitian(a, compute_uv)
    *batch, m, n = a.shape
    k, dtype = min(m, n), inexact(a)
    full_matrices = full_matrices and compute_uv
    rows, columns = (m, n) if full_matrices else (k, k)
    forms = ((*batch, m, rows), dtype), ((*batch, k), real_dtype(dtype)), ((*batch, columns, n), dtype)
    u, s, vh = unpack(svd_packed(a, forms=forms, full_matrices=full_matrices), forms)
    return SVDResult(u, s, vh) if compute_uv else s


def _svd_of_hermitian(a: Any, compute_uv: bool) -> Any:
    """Return the decomposition made of eigenvalues, whose signs go to Vᴴ."""
    w, v = eigh(a)
    size = np.abs(w)
    order = np.argsort(values(size), axis=-1)[..., ::-1]
    s = np.take_along_axis(size, order, -1)
    if not compute_uv:
        return s
    u = np.take_along_axis(v, order[..., None, :], -1)
    sign = np.take_along_axis(np.sign(values(w)), order, -1)
    return SVDResult(u, s, mH(u * sign[..., None, :]))


@composed(*present(np.linalg, "svdvals"))
def svdvals(x: Any, /) -> Any:
    """Return the singular values, descending."""
    return svd(x, compute_uv=False)
