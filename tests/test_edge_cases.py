"""Gradients at kinks, poles, ties, zeros, infinities and NaN: PyTorch's, or stated where ours differ from its NaN."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import product
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from mytorch import Tensor
from mytorch.functional import relu
from mytorch.records import Exact
from mytorch.reverse import gradients
from mytorch.rules.registry import RULES, Call

NAN, INF = np.nan, np.inf
SPECIAL = [NAN, INF, -INF, 0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, 1e-300, 1e300]
PAIRS = np.array(list(product([NAN, INF, -INF, 0.0, -0.0, 1.0, -1.0, 2.5], repeat=2)))
Z = np.array([0j, 1 + 2j, -1.5 + 0j, 2j, -3 - 1j])


def arrays(*lists: Any) -> list[np.ndarray]:
    return [np.array(x, dtype=float) for x in lists]


def variable(x: Any) -> Any:
    """Return a Tensor that is differentiated; of no type, since NumPy's annotations know no Tensors."""
    return Tensor(x, requires_grad=True)


def of_torch(function: Callable[..., Any], operands: list[np.ndarray], torch: ModuleType) -> list[np.ndarray]:
    """Return the gradients of the sum of all results by PyTorch."""
    xs = [torch.tensor(x, requires_grad=True) for x in operands]
    y = function(*xs)
    grads = torch.autograd.grad([y], xs, [torch.ones_like(y)], materialize_grads=True)
    return [g.resolve_conj().numpy() for g in grads]


def of_ours(function: Callable[..., Any], operands: list[np.ndarray]) -> list[np.ndarray]:
    """Return the same by the tape."""
    xs = [variable(x) for x in operands]
    with np.errstate(all="ignore"):
        y = function(*xs)
        return gradients([y], xs, [np.ones(y.shape, y.dtype)])


def compare(
    ours: Callable[..., Any], theirs: Callable[..., Any], operands: list[np.ndarray], torch: Any
) -> None:
    for got, expected in zip(of_ours(ours, operands), of_torch(theirs, operands, torch), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-300)


UNARY = """
    abs exp exp2 expm1 log log2 log10 log1p sqrt sin cos tan arctan sinh cosh tanh arcsinh square reciprocal arcsin
    arccos arctanh deg2rad rad2deg negative positive nan_to_num
"""
BINARY = "maximum minimum fmax fmin multiply subtract divide arctan2 remainder"


@pytest.mark.parametrize("name", UNARY.split())
def test_functions_of_one_number(torch: ModuleType, name: str) -> None:
    compare(getattr(np, name), getattr(torch, name), arrays(SPECIAL), torch)


def test_relu(torch: ModuleType) -> None:
    compare(relu, torch.relu, arrays(SPECIAL), torch)


def test_arccosh_on_its_domain(torch: ModuleType) -> None:
    compare(np.arccosh, torch.arccosh, arrays([1.0, 2.0, INF]), torch)


@pytest.mark.parametrize("name", BINARY.split())
def test_functions_of_two_numbers(torch: ModuleType, name: str) -> None:
    compare(getattr(np, name), getattr(torch, name), [PAIRS[:, 0].copy(), PAIRS[:, 1].copy()], torch)


def test_copysign_and_fmod_of_finite_numbers(torch: ModuleType) -> None:
    finite = PAIRS[np.isfinite(PAIRS).all(axis=1)]
    compare(np.copysign, torch.copysign, [finite[:, 0].copy(), finite[:, 1].copy()], torch)
    compare(np.fmod, torch.fmod, arrays([7.5, -7.5, 7.5, -7.5, 0.0], [2.0, 2.0, -2.0, -2.0, 2.0]), torch)


@pytest.mark.parametrize("function", [np.fmod, np.remainder])
def test_the_slope_of_a_remainder_is_the_quotient_that_was_taken(function: Any) -> None:
    a, b = arrays([1.0, 0.7, 0.3, 1e15], [0.1, 0.1, 0.1, 0.1])  # a / b is rounded up to a whole number
    for got, quotient in zip(of_ours(function, [a, b])[1], (a - function(a, b)) / b, strict=True):
        np.testing.assert_allclose(got, -quotient, rtol=1e-12)


# -- powers --------------------------------------------------------------------------------------------------


def test_powers(torch: ModuleType) -> None:
    compare(np.power, torch.pow, [PAIRS[:, 0].copy(), PAIRS[:, 1].copy()], torch)


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, -1, -2, 0.5, 1.5, -0.5, 0.0, 2.0])
def test_powers_by_a_number(torch: ModuleType, exponent: float) -> None:
    compare(lambda x: x**exponent, lambda x: x**exponent, arrays(SPECIAL), torch)


@pytest.mark.parametrize("base", [0.0, 1, 2, 2.5, -1.0, 0])
def test_powers_of_a_number(torch: ModuleType, base: float) -> None:
    compare(lambda x: base**x, lambda x: base**x, arrays([0.0, 1.0, -1.0, 2.0, 0.5, -0.5]), torch)


def test_complex_powers(torch: ModuleType) -> None:
    exponents = np.array([0, 2, 2, 1 + 1j, 0.5])
    compare(np.power, torch.pow, [Z, exponents], torch)
    for exponent in (0, 1, 2, 3):
        compare(lambda x, n=exponent: x**n, lambda x, n=exponent: x**n, [Z], torch)


# -- what is not chosen has no gradient, whatever its slope ---------------------------------------------------


def test_a_root_of_what_was_cut_off(torch: ModuleType) -> None:
    x = arrays([-1.0, 0.0, 4.0])
    zero = torch.zeros(3, dtype=torch.float64)
    compare(lambda x: np.sqrt(np.maximum(x, 0)), lambda x: torch.sqrt(torch.maximum(x, zero)), x, torch)
    compare(lambda x: np.sqrt(relu(x)), lambda x: torch.sqrt(torch.relu(x)), x, torch)
    compare(lambda x: np.sqrt(np.clip(x, 0, None)), lambda x: torch.sqrt(torch.clamp(x, min=0)), x, torch)
    compare(
        lambda x: np.sqrt(np.where(x > 0, x, 0.0)), lambda x: torch.sqrt(torch.where(x > 0, x, 0.0)), x, torch
    )


def test_a_branch_of_nan_that_is_not_chosen() -> None:
    x = variable([NAN, 1.0, -INF])
    np.where(np.isnan(x.numpy()), 0.0, x * x).sum().backward(np.array(2.0))
    np.testing.assert_array_equal(x.grad, [NAN, 4.0, -INF])  # 0 times a slope that is NaN, as in PyTorch
    y = variable([NAN, 1.0, -INF])
    np.where(np.isfinite(y.numpy()), y, 0.0).sum().backward()
    np.testing.assert_array_equal(y.grad, [0.0, 1.0, 0.0])


@pytest.mark.parametrize("cotangent", [INF, NAN])
def test_a_cotangent_that_is_not_finite_reaches_only_what_was_chosen(cotangent: float) -> None:
    a, b = (variable(v) for v in ([1.0, 2.0, 2.0], [2.0, 1.0, 2.0]))
    for y in (np.maximum(a, b), np.fmax(a, b), np.where([False, True, True], a, b)):
        to_a, to_b = gradients([y], [a, b], [np.full(3, cotangent)])
        assert to_a[0] == 0
        assert to_b[1] == 0
    (to_rectified,) = gradients([relu(a - 1.5)], [a], [np.full(3, cotangent)])
    assert to_rectified[0] == 0
    (to_clipped,) = gradients([np.clip(a, 1.5, None)], [a], [np.full(3, cotangent)])
    assert to_clipped[0] == 0
    (to_entries,) = gradients([np.max(a)], [a], [np.array(cotangent)])
    assert to_entries[0] == 0


def test_clip(torch: ModuleType) -> None:
    x = arrays([-1.0, 0.0, 0.5, 1.0, 2.0, NAN])
    compare(lambda x: np.clip(x, 0, 1), lambda x: torch.clamp(x, 0, 1), x, torch)
    compare(lambda x: np.clip(x, None, 1), lambda x: torch.clamp(x, max=1), x, torch)
    compare(lambda x: np.clip(x, 1, 0), lambda x: torch.clamp(x, 1, 0), arrays([-1.0, 0.5, 2.0]), torch)
    compare(np.clip, torch.clamp, [*x, np.zeros(6), np.ones(6)], torch)
    wrong_order = arrays([-1.0, 0.5, 3.0], [2.0, 2.0, 2.0], [1.0, 1.0, 1.0])
    compare(np.clip, torch.clamp, wrong_order, torch)


# -- absolute values, angles ----------------------------------------------------------------------------------


def test_complex_numbers_at_zero(torch: ModuleType) -> None:
    compare(np.absolute, torch.abs, [Z], torch)
    compare(np.angle, torch.angle, [Z], torch)
    compare(np.angle, torch.angle, arrays([0.0, -1.0, 2.0]), torch)
    if np.__version__ >= "2":
        compare(np.sign, torch.sgn, [Z], torch)


def test_slopes_on_the_cuts_of_the_complex_plane() -> None:
    """They are limits of the slopes on the side that the sign of zero names."""
    cases: tuple[tuple[Any, list[complex]], ...] = (
        (np.arcsin, [2 + 0j, complex(2, -0.0), -2 + 0j, complex(-2, -0.0)]),
        (np.arccos, [2 + 0j, complex(2, -0.0), -2 + 0j, complex(-2, -0.0)]),
        (np.sqrt, [-2 + 0j, complex(-2, -0.0)]),
        (np.arccosh, [0.5 + 0j, complex(0.5, -0.0), -2 + 0j, complex(-2, -0.0)]),
        (np.arctanh, [2 + 0j, complex(2, -0.0), -2 + 0j, complex(-2, -0.0)]),
        (np.arcsinh, [2j, complex(-0.0, 2), -2j, complex(-0.0, -2)]),
        (np.arctan, [2j, complex(-0.0, 2), -2j, complex(-0.0, -2)]),
    )
    for function, on_cut in cases:
        points = np.array(on_cut)
        side = 1 if function in (np.arcsinh, np.arctan) else 1j
        beside = points + 1e-9 * side * np.copysign(1, points.real if side == 1 else points.imag)
        np.testing.assert_allclose(of_ours(function, [points]), of_ours(function, [beside]), rtol=1e-6)


def test_slopes_near_the_ends_of_the_domain_are_precise() -> None:
    x = 1 - 2.0**-40
    (slope,) = of_ours(np.arcsin, arrays([x]))
    np.testing.assert_allclose(slope, 2.0**20 / np.sqrt(1 + x), rtol=1e-15)


# -- where PyTorch has NaN -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "a", "b", "to_a", "to_b"),
    [
        (np.hypot, 0.0, 0.0, 0.0, 0.0),
        (np.logaddexp, -INF, -INF, 0.5, 0.5),
        (np.logaddexp, INF, INF, 0.5, 0.5),
        (np.logaddexp, -INF, 1.0, 0.0, 1.0),
        (np.logaddexp, INF, -INF, 1.0, 0.0),
        (np.logaddexp2, -INF, -INF, 0.5, 0.5),
        (np.logaddexp2, -INF, 1.0, 0.0, 1.0),
        (np.arctan2, 0.0, 0.0, 0.0, 0.0),
    ],
)
def test_finite_conventions(function: Any, a: float, b: float, to_a: float, to_b: float) -> None:
    assert of_ours(function, arrays([a], [b])) == [[to_a], [to_b]]


def test_no_warning_where_the_slope_is_finite() -> None:
    cases: tuple[tuple[Any, list[np.ndarray]], ...] = (
        (np.logaddexp, arrays([-INF, INF, 1e3], [-INF, INF, -1e3])),
        (np.hypot, arrays([0.0, 1e300], [0.0, 1e300])),
        (np.arctan2, arrays([0.0, 1e-300, 1e300], [0.0, 1e-300, -1e300])),
        (np.power, arrays([0.0, 0.0, NAN], [0.0, 3.0, 0.0])),
        (np.maximum, arrays([NAN, INF], [1.0, INF])),
        (np.max, arrays([[NAN, INF], [NAN, INF]])),
        (np.std, arrays([2.0, 2.0])),
        (np.prod, arrays([0.0, 0.0, 5.0])),
        (np.sinc, arrays([0.0, 1e-300])),
    )
    for function, operands in cases:
        xs = [variable(x) for x in operands]
        y = function(*xs)
        for gradient in gradients([y], xs, [np.ones(y.shape)]):
            assert np.isfinite(gradient).all() or np.isnan(operands[0]).any()


# -- reductions ------------------------------------------------------------------------------------------------

MATRICES = {
    "ties": [[2.0, 1.0, 2.0], [3.0, 3.0, 3.0], [0.0, 1.0, 0.0]],
    "infinities": [[INF, 1.0, INF], [-INF, -INF, 2.0], [0.0, 1.0, 0.0]],
    "zeros": [[1.0, 0.0, 3.0], [0.0, 2.0, 0.0], [4.0, 5.0, 6.0]],
    "equal": [[1.0, 1.0, 1.0], [2.0, 2.0, 2.0], [3.0, 3.0, 3.0]],
}
REDUCTIONS: dict[str, tuple[Any, Any]] = {
    "max": (np.max, lambda torch, x: torch.amax(x, 1)),
    "min": (np.min, lambda torch, x: torch.amin(x, 1)),
    "sum": (np.sum, lambda torch, x: torch.sum(x, 1)),
    "mean": (np.mean, lambda torch, x: torch.mean(x, 1)),
    "prod": (np.prod, lambda torch, x: torch.prod(x, 1)),
    "var": (np.var, lambda torch, x: torch.var(x, 1, unbiased=False)),
    "std": (np.std, lambda torch, x: torch.std(x, 1, unbiased=False)),
    "median": (np.median, lambda torch, x: torch.median(x, 1).values),
    "cumsum": (np.cumsum, lambda torch, x: torch.cumsum(x, 1)),
    "cumprod": (np.cumprod, lambda torch, x: torch.cumprod(x, 1)),
    "maximum.accumulate": (np.maximum.accumulate, lambda torch, x: torch.cummax(x, 1).values),
    "minimum.accumulate": (np.minimum.accumulate, lambda torch, x: torch.cummin(x, 1).values),
    "logaddexp.reduce": (np.logaddexp.reduce, lambda torch, x: torch.logsumexp(x, 1)),
    "sort": (np.sort, lambda torch, x: torch.sort(x, dim=1, stable=True).values),
}


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("matrix", ["ties", "zeros", "equal"])
def test_reductions(torch: ModuleType, name: str, matrix: str) -> None:
    ours, theirs = REDUCTIONS[name]
    compare(lambda x: ours(x, axis=1), lambda x: theirs(torch, x), arrays(MATRICES[matrix]), torch)


@pytest.mark.parametrize("name", ["max", "min", "sum", "mean", "cumsum", "sort"])
def test_reductions_of_infinities(torch: ModuleType, name: str) -> None:
    ours, theirs = REDUCTIONS[name]
    compare(lambda x: ours(x, axis=1), lambda x: theirs(torch, x), arrays(MATRICES["infinities"]), torch)


def test_nan_is_the_extremum_that_it_makes(torch: ModuleType) -> None:
    for ours, theirs in ((np.max, torch.max), (np.min, torch.min)):
        compare(ours, theirs, arrays([NAN, 1.0, NAN]), torch)


def test_extrema_that_leave_out_nan() -> None:
    for function in (np.nanmax, np.fmax.reduce):
        assert of_ours(function, arrays([NAN, 3.0, 1.0, 3.0]))[0].tolist() == [0.0, 0.5, 0.0, 0.5]
    assert of_ours(np.fmin.reduce, arrays([NAN, NAN]))[0].tolist() == [0.0, 0.0]


def test_an_initial_value_that_wins_takes_the_gradient() -> None:
    (gradient,) = of_ours(lambda x: np.max(x, axis=1, initial=2.5), arrays(MATRICES["ties"]))
    np.testing.assert_allclose(gradient, np.array([[0, 0, 0], [1, 1, 1], [0, 0, 0]]) / 3)


@pytest.mark.parametrize("zeros", [[], [1], [1, 2], [0, 1, 2, 3]])
@pytest.mark.parametrize("name", ["prod", "cumprod"])
def test_second_derivatives_of_products_with_zeros(torch: ModuleType, name: str, zeros: list[int]) -> None:
    x = np.array([2.0, -3.0, 0.5, 4.0])
    x[zeros] = 0.0
    weights = np.array([1.0, -2.0, 3.0, 0.5])
    ours, theirs = (getattr(module, name) for module in (np, torch))

    t = torch.tensor(x, requires_grad=True)
    (g,) = torch.autograd.grad((theirs(t, 0) ** 2).sum(), t, create_graph=True)
    (expected,) = torch.autograd.grad((g * torch.tensor(weights)).sum(), t)
    a = variable(x)
    (g,) = gradients([(ours(a, axis=0) ** 2).sum()], [a], [None], create_graph=True)
    (got,) = gradients([(g * weights).sum()], [a], [None])
    np.testing.assert_allclose(got, expected.numpy(), rtol=1e-12, atol=1e-12)


def test_running_products_whose_neighbours_overflow() -> None:
    """No product from the start overflows, but that of the last two does."""
    x = np.array([1e-300, 1e200, 1e200])
    slopes = np.array([[1, 0, 0], [1e200, 1e-300, 0], [INF, 1e-100, 1e-100]])
    for k, expected in enumerate(slopes):
        with np.errstate(over="ignore"):
            (gradient,) = of_ours(lambda x, k=k: np.cumprod(x)[k], [x])
        np.testing.assert_allclose(gradient, expected, rtol=1e-14)


def test_sums_of_nothing() -> None:
    empty = np.zeros((0, 3))
    for function in (np.sum, np.prod, np.nansum, np.cumsum, np.logaddexp.reduce):
        (gradient,) = of_ours(lambda x, f=function: f(x, axis=0), [empty])
        assert gradient.shape == (0, 3)
    (gradient,) = of_ours(lambda x: np.max(x, axis=1), [empty])
    assert gradient.shape == (0, 3)


def test_logarithms_of_sums_of_nothing_but_zero_have_no_gradient() -> None:
    for function in (np.logaddexp.reduce, np.logaddexp2.reduce):
        assert of_ours(function, arrays([-INF, -INF]))[0].tolist() == [0.0, 0.0]
        assert of_ours(function, arrays([-INF, 7.0]))[0].tolist() == [0.0, 1.0]


# -- order statistics ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("q", [0.0, 0.25, 0.3, 0.5, 1.0])
def test_quantiles_of_ties(torch: ModuleType, q: float) -> None:
    compare(
        lambda x: np.quantile(x, q, axis=1),
        lambda x: torch.quantile(x, q, dim=1),
        arrays([[1.0, 1.0, 2.0, 2.0], [3.0, 0.0, 3.0, 3.0]]),
        torch,
    )


def test_quantiles_of_nothing_but_nan(torch: ModuleType) -> None:
    x = arrays([[NAN, NAN, NAN], [1.0, NAN, 3.0]])
    with pytest.warns(RuntimeWarning, match="All-NaN"):
        (gradient,) = of_ours(lambda x: np.nanmedian(x, axis=1), x)
    assert gradient[1].tolist() == [0.5, 0.0, 0.5]
    assert gradient[0].sum() == 1


@pytest.mark.parametrize("method", ["linear", "weibull", "hazen", "median_unbiased"])
def test_quantiles_at_the_last_number_before_nan(method: Any) -> None:
    """Where one quantile mixes two numbers, another that is the last number must not mix in the NaN behind it."""
    x, q = np.array([0.3, 0.1, 0.2, NAN, NAN]), [0.3, 0.99, 1.0]
    y = np.nanquantile(variable(x), q, method=method)
    np.testing.assert_allclose(np.asarray(y.detach()), np.nanquantile(x, q, method=method), rtol=1e-14)
    (gradient,) = of_ours(lambda x: np.nanquantile(x, q, method=method), [x])
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, bool])
@pytest.mark.parametrize(
    "function",
    [
        np.median,
        np.nanmedian,
        lambda a: np.median(a.reshape(2, 2), axis=0, keepdims=True),
        lambda a: np.pad(a, 2, "median"),
        np.poly,
    ],
)
def test_means_of_integers_are_no_integers(function: Callable[..., Any], dtype: Any) -> None:
    a = np.array([1, 0, 2, 9], dtype)
    found, expected = function(Tensor(a)), function(a)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found.numpy(), expected)


@pytest.mark.parametrize("function", [np.median, np.nanmedian])
@pytest.mark.parametrize("axis", [None, 0, (0, 1)])
@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:invalid value encountered")
def test_the_median_of_nothing_is_not_a_number(function: Any, axis: Any) -> None:
    x = variable(np.zeros((0, 2)))
    np.testing.assert_array_equal(function(x, axis=axis).numpy(), function(x.numpy(), axis=axis))


@pytest.mark.parametrize("function", [np.var, np.nanvar, np.nanstd])
@pytest.mark.parametrize("options", [{}, {"axis": 1}, {"axis": 0, "keepdims": True}])
@pytest.mark.filterwarnings("ignore:Degrees of freedom", "ignore:invalid value", "ignore:divide by zero")
def test_variances_beyond_their_degrees_of_freedom(function: Any, options: dict[str, Any]) -> None:
    a = np.array([[1.0, 2.0, 4.0], [3.0, NAN, 1.0]])
    for ddof in (1, 2, 3, 4):
        found = function(Tensor(a), ddof=ddof, **options).numpy()
        np.testing.assert_allclose(found, function(a, ddof=ddof, **options), rtol=1e-14)


@pytest.mark.parametrize("function", [np.var, np.std, np.nanvar])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex128])
@pytest.mark.parametrize("a", [np.arange(6.0), Z, Z.astype(np.complex64), np.arange(4)])
@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning")
def test_variances_are_summed_in_the_dtype_that_is_asked_for(function: Any, dtype: Any, a: Any) -> None:
    found, expected = function(Tensor(a), dtype=dtype, ddof=1.0), function(a, dtype=dtype, ddof=1.0)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("function", [np.prod, np.nanprod, np.cumprod, np.sum, np.mean])
@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning")
def test_a_real_dtype_of_complex_numbers_is_that_of_their_real_parts(function: Any) -> None:
    z, x = variable(Z + 1), variable(Z.real + 1)
    np.sum(function(z, dtype=float)).backward()
    np.sum(function(x)).backward()
    np.testing.assert_allclose(z.grad.numpy(), x.grad.numpy())


def test_differences_and_solutions_have_numpys_dtype() -> None:
    single, double = np.array([1.0, 2.0, 4.0], np.float32), np.array([0.5, 1.0, 3.0])
    assert np.gradient(variable(single), double).dtype == np.gradient(single, double).dtype == np.float32
    matrix = np.stack((single, single**2), 1)
    found = np.linalg.lstsq(variable(matrix), variable(double), rcond=None)
    for ours, theirs in zip(found, np.linalg.lstsq(matrix, double, rcond=None), strict=True):
        assert np.result_type(ours) == np.result_type(theirs)
        np.testing.assert_allclose(getattr(ours, "_array", ours), theirs, rtol=1e-12, atol=1e-15)


def test_a_partition_is_one() -> None:
    x = np.random.default_rng(3).permutation(50).astype(float)
    y = np.asarray(np.partition(Tensor(x), 20))
    assert y[20] == 20
    assert y[:20].max() < 20 < y[21:].min()


# -- any order at once -----------------------------------------------------------------------------------------


def test_all_derivatives_of_sinc_at_zero() -> None:
    x = variable(0.0)
    y, found = np.sinc(x), []
    for _ in range(6):
        (y,) = gradients([y], [x], [None], create_graph=True)
        found.append(float(y))
    expected = [0, -(np.pi**2) / 3, 0, np.pi**4 / 5, 0, -(np.pi**6) / 7]
    np.testing.assert_allclose(found, expected, rtol=1e-14, atol=1e-14)


def test_bessel_functions(torch: ModuleType) -> None:
    x = np.array([-80.0, -3.0, -1e-8, 0.0, 1e-3, 0.7, 8.0, 8.1, 30.0, 600.0])
    (slope,) = of_ours(np.i0, [x])
    np.testing.assert_allclose(slope, torch.special.i1(torch.tensor(x)).numpy(), rtol=2e-13)


# -- precision -------------------------------------------------------------------------------------------------


SHAPES = (
    [(3,), ()] if np.__version__ >= "2" else [(3,)]
)  # among numbers, NumPy 1.26 knows no single precision
ELEMENTWISE = [f for f in RULES if isinstance(f, np.ufunc) and f.signature is None]


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("function", ELEMENTWISE, ids=lambda f: f.__name__)
@pytest.mark.parametrize("shape", SHAPES)
def test_formulas_keep_the_precision(function: Any, shape: tuple[int, ...], dtype: Any) -> None:
    """Nothing in a formula is computed in double precision: neither for numbers nor for arrays."""
    rule = RULES[function]
    operands: list[Any] = [np.full(shape, v, dtype) for v in (1.25, 0.75)][: function.nin]
    if function is np.ldexp:
        operands[1] = np.full(shape, 2, np.int32)
    if function in (np.arcsin, np.arccos, np.arctanh):
        operands = [np.full(shape, 0.5, dtype)]
    y = np.asarray(function(*operands))
    call = Call(tuple(operands), y, {}, [(shape, None)] * len(operands))
    for vjp in rule.vjps:
        if vjp is not None:
            assert vjp(np.ones(shape, dtype), call).dtype == dtype
    if function.nin == 2 and function is not np.ldexp:  # and with a Python number
        for i, numbers in enumerate(((operands[0], 2.0), (2.0, operands[1]))):
            y = np.asarray(function(*numbers))
            vjp = rule.vjps[i]
            if vjp is not None:
                assert vjp(np.ones(shape, dtype), Call(numbers, y, {}, [])).dtype == dtype


def test_a_power_by_a_number_is_cheap() -> None:
    """A square's gradient is two products, with nothing selected or compared."""
    x = variable([1.0, 2.0])
    y = (x**2) * 1.0
    operation = y.tape.operation_list[0]
    assert isinstance(operation, Exact)
    (g,) = gradients([(x**2).sum()], [x], [None], create_graph=True)
    assert [op.name for op in g.tape.operation_list if "where" in op.name] == []


@pytest.mark.parametrize("ord", [0.5, 1.5, 3, -1])
def test_norms_of_extreme_numbers(torch: ModuleType, ord: float) -> None:
    for x in ([1e-308, 1.0, -2.0], [-INF, 1.0, 2.0] if ord == -1 else [1e-200, -1e-300, 0.0]):
        compare(lambda a: np.linalg.norm(a, ord), lambda t: torch.linalg.norm(t, ord), arrays(x), torch)


QUANTILES: list[Any] = [np.quantile, np.percentile, np.nanquantile, np.nanpercentile]


@pytest.mark.filterwarnings(
    "ignore:Mean of empty slice:RuntimeWarning", "ignore:All-NaN slice:RuntimeWarning"
)
@pytest.mark.parametrize("q", [0.5, [0.25, 0.5]])
@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 3)])
@pytest.mark.parametrize("axis", [None, 0, -1, 1])
@pytest.mark.parametrize("function", QUANTILES)
def test_quantiles_of_nothing_are_what_numpy_makes_of_it(
    function: Any, axis: Any, shape: Any, q: Any
) -> None:
    try:
        expected = function(np.zeros(shape), q, axis)
    except (IndexError, ValueError) as error:
        with pytest.raises(type(error), match=re.escape(str(error))):
            function(Tensor(np.zeros(shape)), q, axis)
    else:
        result = function(Tensor(np.zeros(shape), requires_grad=True), q, axis)
        np.testing.assert_array_equal(result.numpy(), expected, strict=True)


@pytest.mark.parametrize("function", [*QUANTILES, np.median, np.nanmedian])
def test_quantiles_over_an_axis_that_is_not_there_are_an_error(function: Any) -> None:
    q = (0.5,) if function in QUANTILES else ()
    for axis in (1, -2, (0, 1)):
        with pytest.raises(ValueError, match="out of bounds for array of dimension 1"):
            function(Tensor([1.0, 2.0]), *q, axis)
