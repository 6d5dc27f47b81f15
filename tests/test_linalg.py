"""Decompositions: result types, what they leave open, matrices where derivatives are delicate, and refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mytorch import Tensor
from mytorch.gradcheck import check_gradients
from mytorch.records import TapeError
from mytorch.transforms import grad, hessian, jacobian

RNG = np.random.default_rng(71)
HALF: Any = 0.5
MOST: Any = "most"


def matrix(*shape: int, complex_: bool = False) -> np.ndarray:
    a = RNG.normal(size=shape)
    return a + 1j * RNG.normal(size=shape) if complex_ else a


def tensor(*shape: int, complex_: bool = False) -> Any:
    return Tensor(matrix(*shape, complex_=complex_), requires_grad=True)


# -- what is returned ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["eig", "eigh", "qr", "svd", "slogdet"])
def test_results_are_named_as_those_of_numpy(name: str) -> None:
    function, a = getattr(np.linalg, name), matrix(3, 3)
    got, expected = function(Tensor(a, requires_grad=True)), function(a)
    assert type(got) is type(expected)
    assert got._fields == expected._fields
    assert all(isinstance(part, Tensor) and part.requires_grad for part in got)


def test_eigenvalues_are_real_where_numpys_are() -> None:
    """Before NumPy 2.5, those of a real matrix are, where all are."""
    for plain in np.diag([1.0, 2.0]), np.array([[0.0, 1.0], [-1.0, 0.0]]):
        a = Tensor(plain, requires_grad=True)
        assert np.linalg.eig(a).eigenvectors.dtype == np.linalg.eig(plain).eigenvectors.dtype
        assert np.linalg.eigvals(a).dtype == np.linalg.eigvals(plain).dtype


def test_outputs_are_views_of_one_memory() -> None:
    parts: Any = np.linalg.svd(tensor(4, 3), full_matrices=False)
    u, s, vh = parts
    assert u._base is s._base is vh._base is not None


def test_each_output_may_be_used_alone_or_not_at_all() -> None:
    a = matrix(4, 3)
    for i in range(3):
        check_gradients(lambda a, i=i: abs(np.linalg.svd(a, full_matrices=False)[i]), a)
    x = Tensor(a, requires_grad=True)
    np.linalg.svd(x)
    (x * x).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * a)


def test_an_output_may_be_written_to() -> None:
    def f(a: Any) -> Any:
        w, v = np.linalg.eigh(a + a.T)
        scaled = v * w
        v[:, 0] = 0
        w *= 2
        return np.sum(scaled**2) + np.sum(v**4) + np.sum(w**3)

    check_gradients(f, matrix(3, 3))


# -- what a decomposition leaves open -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "function",
    [
        lambda a: np.linalg.eigh(a + a.conj().T)[1],
        lambda a: np.linalg.eig(a)[1],
        lambda a: np.linalg.svd(a)[0],
        lambda a: np.linalg.svd(a)[2],
    ],
    ids=["eigh", "eig", "svd u", "svd vh"],
)
def test_a_result_that_depends_on_phases_is_refused(function: Callable[[Any], Any]) -> None:
    loss = np.real(function(tensor(3, 3, complex_=True))).sum()
    with pytest.raises(TapeError, match=r"leaves open the phases of the vectors.* absolute values"):
        loss.backward()


def test_eigenvectors_of_a_real_matrix_with_complex_eigenvalues_have_phases_too() -> None:
    a = Tensor([[0.0, 1.0], [-2.0, 0.5]], requires_grad=True)
    with pytest.raises(TapeError, match="eig leaves open the phases"):
        np.linalg.eig(a)[1].imag.sum().backward()


@pytest.mark.parametrize(
    "function",
    [
        lambda a: np.linalg.svd(a)[0],
        lambda a: np.linalg.svd(a.T)[2],
        lambda a: np.linalg.qr(a, mode="complete")[0],
    ],
    ids=["svd u", "svd vh", "qr"],
)
def test_a_result_that_depends_on_how_a_basis_is_completed_is_refused(
    function: Callable[[Any], Any],
) -> None:
    a = tensor(5, 2)
    with pytest.raises(
        TapeError, match=r"\((svd|qr)\).*leaves open which basis .*full_matrices=False, mode='reduced'"
    ):
        (function(a) * np.arange(25.0).reshape(5, 5)).sum().backward()


def test_qr_refuses_what_are_no_functions_of_the_matrix() -> None:
    with pytest.raises(ValueError, match=r"mode 'raw' is not differentiable: .* use 'reduced'"):
        np.linalg.qr(tensor(3, 3), mode="raw")


# -- delicate matrices --------------------------------------------------------------------------------------


def test_gradients_of_eigenvalues_that_coincide() -> None:
    def power_sum(a: Any) -> Any:
        return np.sum(np.linalg.eigvalsh(a) ** 3)

    a = np.diag([2.0, 2.0, 5.0])
    np.testing.assert_allclose(grad(power_sum)(a), 3 * a @ a, atol=1e-14)


def test_gradients_of_eigenvectors_of_eigenvalues_that_coincide_are_not_finite() -> None:
    a = Tensor(np.diag([2.0, 2.0, 5.0]), requires_grad=True)
    loss = (np.linalg.eigh(a)[1] * matrix(3, 3)).sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        loss.backward()
    assert not np.isfinite(a.grad.numpy()).all()


def test_second_derivatives_of_eigenvalues_that_coincide_are_not_silently_zero() -> None:
    with np.errstate(divide="ignore", invalid="ignore"):
        h = hessian(lambda a: np.sum(np.linalg.eigvalsh(a) ** 2))(np.eye(2))
    assert not np.isfinite(h).all()


def test_gradients_of_singular_values_of_a_matrix_of_low_rank() -> None:
    a = np.outer([1.0, 2.0, 2.0], [0.6, 0.8])
    u, _, vh = np.linalg.svd(a, full_matrices=False)
    got = grad(lambda a: np.linalg.norm(a, "nuc"))(a)
    np.testing.assert_allclose(got, u @ vh, atol=1e-14)
    np.testing.assert_allclose(grad(lambda a: np.linalg.norm(a, 2))(a), a / 3, atol=1e-14)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("rank", [0, 1, 2, 3])
def test_determinants_of_singular_matrices_to_second_order(n: int, rank: int) -> None:
    a = matrix(n, rank) @ matrix(rank, n)
    check_gradients(np.linalg.det, a, order=2)


def test_the_third_derivative_of_a_determinant() -> None:
    third = jacobian(hessian(np.linalg.det))(matrix(3, 3))
    levi_civita = np.zeros((3, 3, 3))
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        levi_civita[i, j, k], levi_civita[i, k, j] = 1, -1
    expected = np.einsum("acp,bdq->abcdpq", levi_civita, levi_civita)
    np.testing.assert_allclose(third, expected, atol=1e-12)


def test_the_gradient_of_a_singular_slogdet_is_an_error() -> None:
    a = Tensor(np.ones((2, 2)), requires_grad=True)
    log = np.linalg.slogdet(a).logabsdet
    assert log.item() == -np.inf
    with pytest.raises(TapeError, match=r"slogdet.*Singular matrix"):
        log.backward()


def test_the_sign_of_a_real_determinant_is_constant() -> None:
    a = tensor(3, 3)
    np.linalg.slogdet(a).sign.backward()
    assert not a.grad.numpy().any()


def test_the_condition_number_of_a_singular_matrix_is_infinite() -> None:
    a = Tensor(np.stack([np.diag([1.0, 0.0]), np.diag([1.0, 4.0])]), requires_grad=True)
    for p in (None, 1, "fro"):
        assert np.linalg.cond(a, p).numpy()[0] == np.inf
        assert np.isfinite(np.linalg.cond(a, p).numpy()[1])


def test_the_exponential_of_a_symmetric_matrix_matches_its_series() -> None:
    def by_eigenvalues(a: Any) -> Any:
        w, v = np.linalg.eigh(a)
        return (v * np.exp(w)) @ v.T

    def by_series(a: Any) -> Any:
        term = total = np.eye(3)
        for k in range(1, 30):
            term = np.matmul(term, a) / k
            total = total + term
        return total

    a, weights = matrix(3, 3), matrix(3, 3)
    a = a + a.T

    def along_symmetric(f: Callable[[Any], Any]) -> Any:
        return grad(lambda b: np.sum(f((b + b.T) / 2) * weights))(a)

    np.testing.assert_allclose(along_symmetric(by_eigenvalues), along_symmetric(by_series), rtol=1e-10)


@pytest.mark.parametrize(
    "function", [lambda a: np.linalg.pinv(a, 0.3), lambda a: np.linalg.lstsq(a, np.ones(2), 0.3)[0]]
)
def test_a_pseudo_inverse_that_neglects_what_is_not_zero_is_refused(function: Callable[[Any], Any]) -> None:
    a = Tensor(np.diag([4.0, 1.0]), requires_grad=True)
    with pytest.raises(TapeError, match=r"neglects singular values up to 1 .*lower rcond, or compose"):
        function(a).sum().backward()


# -- wrong calls --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda a: np.linalg.multi_dot([a]), "expected at least two arrays, got 1"),
        (lambda a: np.linalg.tensorsolve(a, np.ones(2)), "as many equations as unknowns"),
        (lambda a: np.linalg.tensorinv(a, 0), "expected ind > 0, got 0"),
        (lambda a: np.linalg.matrix_power(a[:2], 2), r"expected square matrices, got shape \(2, 3\)"),
        (lambda a: np.linalg.matrix_power(a, HALF), "the exponent must be an integer, got 0.5"),
        (lambda a: np.linalg.norm(a, "fro", 0), "Invalid norm order 'fro' for vectors"),
        (lambda a: np.linalg.norm(a, 3), "Invalid norm order 3 for matrices"),
        (lambda a: np.linalg.norm(a[None], 2), "Improper number of dimensions to norm: 3"),
        (lambda a: np.linalg.cond(a[:0]), "cond is not defined on empty arrays"),
        (lambda a: np.cross(a, a[:, :1]), "expected vectors of 2 or 3 components, got 3 and 1"),
        (lambda a: np.convolve(a[0], a[1], MOST), "mode must be one of .* got 'most'"),
        (lambda a: np.einsum("ij,jk", a), "names 2 operands, but 1 were given"),
        (lambda a: np.einsum("ijk->", a), "do not fit operands of"),
        (lambda a: np.einsum("ij->ii", a), "names 'i' twice, or no operand does"),
        (lambda a: np.einsum("ij->ik", a), "names 'k' twice, or no operand does"),
        (lambda a: np.einsum("...ij->ij", a[None]), "the output has no '...'"),
        (lambda a: np.tensordot(a, a, ([0], [0, 1])), "shape-mismatch for sum"),
        (lambda a: np.fft.hfft(a, norm=MOST), 'should be "backward", "ortho" or "forward"'),
        (lambda a: np.fft.fftn(a, s=(2,), axes=(0, 1)), "Shape and axes have different lengths"),
        (lambda a: np.vander(a), "expected a vector, got an array of 2 dimensions"),
        (lambda a: np.polyfit(a[0], a, -1), "expected deg >= 0"),
        (lambda a: np.polyfit(a, a, 1), "expected a non-empty vector for x"),
        (lambda a: np.polyfit(a[0], a[0][:2], 1), "expected x and y to have same length"),
        (lambda a: np.polyfit(a[0], a[0], 1, w=a), "expected a weight for each of"),
        (lambda a: np.polyint(a[0], 3, a[0][:2]), "expected one constant, or at least 3, got 2"),
        (lambda a: np.poly(a[:2]), "input must be 1d or non-empty square 2d array"),
    ],
)
def test_wrong_calls_say_what_was_expected(call: Callable[[Any], Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError, np.linalg.LinAlgError), match=message):
        call(tensor(3, 3))


def test_a_singular_system_is_numpys_error() -> None:
    with pytest.raises(np.linalg.LinAlgError, match="Singular matrix"):
        np.linalg.solve(Tensor(np.ones((2, 2)), requires_grad=True), np.ones(2))


# -- powers of convenience ----------------------------------------------------------------------------------


def test_the_power_zero_is_the_identity_and_the_power_one_a_copy() -> None:
    a = tensor(2, 3, 3)
    identity = np.linalg.matrix_power(a, 0)
    np.testing.assert_array_equal(identity, np.broadcast_to(np.eye(3), (2, 3, 3)))
    same = np.linalg.matrix_power(a, 1)
    same[...] = 0
    assert a.numpy().all()


def test_out_receives_the_result_and_its_gradient() -> None:
    def f(a: Any, b: Any) -> Any:
        out = a * 0
        np.dot(a, b, out=out)
        np.linalg.multi_dot([out, a, b], out=out)
        return out

    check_gradients(f, matrix(3, 3), matrix(3, 3))


def test_a_polynomial_that_fits_badly_is_warned_of() -> None:
    x = Tensor(np.ones(4), requires_grad=True)
    with pytest.warns(match="Polyfit may be poorly conditioned"):
        np.polyfit(x, np.arange(4.0), 2)


def test_double_roots_have_no_finite_gradient() -> None:
    p = Tensor([1.0, -2.0, 1.0], requires_grad=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        np.roots(p).sum().backward()
    assert (~np.isfinite(p.grad.numpy())).any() or (abs(p.grad.numpy()) > 1e6).any()
