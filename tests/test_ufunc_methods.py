"""`reduce`, `accumulate`, `reduceat`, `outer` and `at` of every ufunc; `out`, `where`, `dtype` of calls."""

from __future__ import annotations

from inspect import signature
from typing import Any, cast

import numpy as np
import pytest

from mytorch import TapeError, Tensor, check_gradients
from mytorch.reverse import gradients
from mytorch.rules.registry import COMPOSED, CONSTANT, RULES

rng = np.random.default_rng(12)
P = rng.uniform(0.5, 1.5, size=(3, 4))  # in the domain of every function
COLUMNS = np.asfortranarray(
    P
)  # along a contiguous axis NumPy's own is not right: see test_reduce_by_definition
PLACES = np.array([2, 0, 2, 2])

BINARY: list[Any] = [
    f
    for f in (*RULES, *COMPOSED)
    if isinstance(f, np.ufunc) and (f.nin, f.nout, f.signature) == (2, 1, None)
    if f not in (np.ldexp, np.heaviside, np.copysign)  # not of two equal arguments, or constant in one
]
UNARY: list[Any] = [
    f
    for f in (*RULES, *COMPOSED)
    if isinstance(f, np.ufunc) and (f.nin, f.nout) == (1, 1) and f is not np.sign
]
each_binary = pytest.mark.parametrize("f", BINARY, ids=lambda f: f.__name__)


def variable(x: Any) -> Any:
    """Return a Tensor that is differentiated; of no type, since NumPy's annotations know no Tensors."""
    return Tensor(x, requires_grad=True)


def check(function: Any, *arrays: np.ndarray) -> None:
    """Compare the values with NumPy's, the derivatives with finite differences to second order."""
    np.testing.assert_allclose(function(*map(variable, arrays)).numpy(), function(*arrays), rtol=1e-12)
    check_gradients(function, *arrays)


# -- reduce, accumulate, reduceat, outer ----------------------------------------------------------------------


@each_binary
def test_reduce(f: Any) -> None:
    check(lambda a: f.reduce(a), P)
    check(lambda a: f.reduce(a, 0, keepdims=True), P)
    check(lambda a: f.reduce(np.copy(a, order="F"), axis=-1), P)  # see test_reduce_by_definition


@each_binary
def test_reduce_from_an_initial_value(f: Any) -> None:
    check(lambda a: f.reduce(np.copy(a, order="F"), axis=1, initial=0.8), P)


@pytest.mark.parametrize("f", [np.power, np.arctan2])
def test_reduce_by_definition(f: Any) -> None:
    """Along a contiguous axis NumPy's own (1.26, and 2.4) may give something else: its loop reads ahead of itself."""
    a, b, c = P[0, :3]
    np.testing.assert_allclose(f.reduce(variable(P[0, :3])).numpy(), f(f(a, b), c), rtol=1e-14)


@each_binary
def test_accumulate(f: Any) -> None:
    check(lambda a: f.accumulate(a), P)
    check(lambda a: f.accumulate(a, axis=-1), P)


@each_binary
def test_reduceat(f: Any) -> None:
    check(lambda a: f.reduceat(a, [0, 2, 1, 3], axis=1), P)


@each_binary
def test_outer(f: Any) -> None:
    check(lambda a, b: f.outer(a, b), P[0], rng.uniform(0.5, 1.5, size=(2, 3)))


@pytest.mark.parametrize("f", [np.add, np.multiply, np.maximum, np.minimum, np.logaddexp, np.hypot])
def test_reductions_in_any_order_take_several_axes(f: Any) -> None:
    check(lambda a: f.reduce(a, axis=None), P)
    check(lambda a: f.reduce(a, axis=(0, 1), keepdims=True), P)


@pytest.mark.parametrize("f", [np.add, np.multiply, np.maximum, np.subtract, np.divide])
def test_reduce_where(f: Any) -> None:
    check(lambda a: f.reduce(a, axis=1, initial=0.7, where=P > 0.8), P)


def test_a_reduction_with_an_identity_starts_from_it() -> None:
    check(lambda a: np.hypot.reduce(a, axis=1, where=P > 0.8), -P)
    for negative in (-P, -P[:1], -P[:, :1]):
        check(lambda a: np.hypot.reduce(a), negative)
        check(lambda a: np.hypot.reduce(a, axis=(), initial=0.7), negative)
        check(lambda a: np.hypot.reduceat(a, [0]), negative)
    assert np.hypot.reduce(variable(P[:0])).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("f", [np.hypot, np.arctan2, np.power, np.subtract, np.maximum, np.logaddexp])
def test_the_reduction_of_one_entry_is_no_view_of_it(f: Any) -> None:
    x = variable(P[:1])
    y = x * 1
    f.reduce(y)[...] = 7.0
    np.testing.assert_array_equal(y.numpy(), P[:1])


def test_reduce_in_another_precision() -> None:
    x = variable(P.astype(np.float32))
    y = np.add.reduce(x, axis=None, dtype=np.float64)
    assert y.dtype == np.float64
    y.backward()
    assert x.grad.dtype == np.float32


def test_reduce_into_a_tensor() -> None:
    x, out = variable(P), Tensor(np.zeros(4))
    y = cast("Any", np.multiply).reduce(x, axis=0, out=out)
    assert y is out
    y.sum().backward()
    np.testing.assert_allclose(x.grad, P.prod(axis=0) / P)


def test_accumulated_extrema_belong_to_the_last_entry_that_ties() -> None:
    x = variable([1.0, 1.0, 0.0, 2.0, 2.0])
    np.maximum.accumulate(x).sum().backward()
    assert x.grad.tolist() == [1, 2, 0, 1, 1]


@pytest.mark.parametrize("f", [np.maximum, np.minimum, np.fmax, np.fmin])
def test_accumulated_extrema_with_nan(f: Any) -> None:
    a = np.array([np.nan, 2.0, np.nan, 1.0, 3.0, np.nan])
    for part in (a, a[1:]):
        np.testing.assert_array_equal(f.accumulate(variable(part)).numpy(), f.accumulate(part))


def test_methods_of_constant_functions_give_plain_arrays() -> None:
    x = variable(P)
    assert type(np.logical_and.reduce(x)) is np.ndarray
    np.testing.assert_array_equal(np.greater.outer(x, [1.0, 0.7]), np.greater.outer(P, [1.0, 0.7]))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: np.power.reduce(x, axis=(0, 1)), ValueError, "'power' is not reorderable"),
        (lambda x: np.arctan2.reduce(x[:0]), ValueError, "zero-size array to reduction operation arctan2"),
        (lambda x: np.arctan2.reduce(x, where=P > 1, initial=0), TypeError, "np.arctan2.reduce .* where="),
        (
            lambda x: np.subtract.reduce(x, where=P > 1),
            ValueError,
            "np.subtract.reduce with where= needs initial=",
        ),
        (lambda x: np.add.reduceat(x, [0, 3]), IndexError, r"index 3 out-of-bounds in add.reduceat \[0, 3\)"),
        (lambda x: np.nextafter.reduce(x), TypeError, "nextafter is not differentiable here"),
        (lambda x: np.negative.outer(x, x), Exception, "outer"),
    ],
)
def test_what_a_method_refuses(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(variable(P))


# -- at --------------------------------------------------------------------------------------------------------


def updated(f: Any, index: Any) -> Any:
    def call(a: Any, *operands: Any) -> Any:
        destination = np.copy(a)
        f.at(destination, index, *operands)
        return destination

    return call


@each_binary
@pytest.mark.parametrize(
    "index", [PLACES, (PLACES, np.array([0, 1, 0, 0])), slice(None, None, 2), np.array([True, False, True])],
    ids=["rows", "entries", "slice", "mask"],
)  # fmt: skip
def test_at(f: Any, index: Any) -> None:
    check(updated(f, index), P, rng.uniform(0.5, 1.5, size=P[index].shape))


@pytest.mark.parametrize("f", [np.tanh, np.negative, np.sqrt])
def test_at_of_one_argument(f: Any) -> None:
    check(updated(f, PLACES), P)


@pytest.mark.parametrize("f", [np.multiply, np.add, np.divide])
def test_at_reads_its_operand_before_it_writes(f: Any) -> None:
    def updated(a: Any) -> Any:
        a = a * 1.0
        f.at(a, [0, 0, 1], a[:1])
        f.at(a, ([0, 2, 0],), a[::-1])
        return a

    check(updated, P[0, :3])


def test_at_broadcasts_its_operand() -> None:
    check(updated(np.add, PLACES), P, np.array(0.5))
    check(updated(np.multiply, PLACES), P, P[0])


def test_at_takes_tensors_and_lists_as_indices() -> None:
    for index in (Tensor([2, 0, 2]), [2, 0, 2]):
        x, v = variable(P), variable([1.0, 2.0, 3.0])
        y = x * 1
        np.add.at(y, index, v[:, None])
        y.sum().backward()
        assert v.grad.tolist() == [4, 4, 4]


def test_an_index_that_changes_later_does_not_matter() -> None:
    index, x, v = np.array([2, 0, 2]), variable(P), variable([1.0, 2.0, 3.0])
    y = x * 1
    np.multiply.at(y, index, v[:, None])
    index[:] = 1
    (gradient,) = gradients([y], [v], [np.ones((3, 4))])
    np.testing.assert_allclose(gradient, [(3 * P[2]).sum(), P[0].sum(), P[2].sum()])


def test_at_needs_a_tensor_to_write_to() -> None:
    with pytest.raises(TapeError, match=r"np.add.at would write a Tensor into a plain ndarray"):
        np.add.at(np.zeros(3), [0], variable([1.0]))


# -- options of calls ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("f", UNARY, ids=lambda f: f.__name__)
def test_where_computes_and_differentiates_there_only(f: Any) -> None:
    """Elsewhere are numbers outside the function's domain."""
    mask = np.array([True, False, True, False])
    inside = 1.25 if f is np.arccosh else 0.5
    x, out = variable(np.where(mask, inside, np.nan)), Tensor(np.full(4, 7.0))
    y: Any = f(x, out=out, where=mask)
    assert y is out
    np.testing.assert_allclose(y.numpy(), np.where(mask, f(inside), 7.0))
    y.sum().backward()
    expected = variable([inside])
    f(expected).sum().backward()
    np.testing.assert_allclose(x.grad, np.where(mask, expected.grad.numpy(), 0.0))


@each_binary
def test_where_of_two_arguments(f: Any) -> None:
    def call(a: Any, b: Any) -> Any:
        return f(a, b, out=np.copy(a) * 2, where=P > 0.9)

    check(call, P, P[0] + 0.2)


def test_where_into_a_plain_array() -> None:
    out = np.zeros((3, 4))
    assert np.greater(variable(P), 1, out=out, where=P > 0.8) is out
    np.testing.assert_array_equal(out, P > 1)
    with pytest.raises(TapeError, match="out= is a plain ndarray"):
        np.exp(variable(P), out=out, where=P > 1)


def test_where_without_out_is_refused() -> None:
    with pytest.raises(ValueError, match="exp: where= without out= leaves values undefined; give out="):
        np.exp(variable(P), where=P > 1)


def test_dtypes_of_calls() -> None:
    x = variable(P.astype(np.float32))
    assert np.multiply(x, 2, dtype=np.float64).dtype == np.float64
    assert np.multiply(x, 2.0, dtype=np.complex64).dtype == np.complex64
    assert np.ldexp(x, [1, 2, 3, 4], dtype=np.float64).dtype == np.float64
    assert np.float_power(x, 2).dtype == np.float64
    assert np.exp(x, signature="d->d").dtype == np.float64
    np.exp(x, dtype=float).sum().backward()
    assert x.grad.dtype == np.float32
    np.testing.assert_allclose(x.grad, np.exp(P), rtol=1e-6)
    with pytest.raises(TypeError, match="No loop matching"):
        np.exp(x, dtype=int)


def test_several_outputs_into_what_is_given() -> None:
    x, modf, divmod_ = variable([1.25, -2.5]), cast("Any", np.modf), cast("Any", np.divmod)
    whole = np.zeros(2)
    part, also_whole = modf(x, out=(None, whole))
    assert also_whole is whole
    assert whole.tolist() == [1, -2]
    part.sum().backward()
    assert x.grad.tolist() == [1, 1]
    quotient, rest = divmod_(x, 2.0, out=(np.zeros(2), Tensor(np.zeros(2))))
    assert type(quotient) is np.ndarray
    assert rest.requires_grad


def test_lists_of_tensors_are_operands() -> None:
    a, b = variable(1.5), variable([1.0, 2.0])
    np.multiply([a, 2 * a], b).sum().backward()
    assert (float(a.grad), b.grad.tolist()) == (5.0, [1.5, 3.0])


def test_products_of_vectors_and_matrices_take_axes() -> None:
    a, b = rng.normal(size=(2, 3, 4)), rng.normal(size=(4, 2, 5))
    check(lambda a, b: np.matmul(a, b, axes=[(1, 2), (0, 2), (2, 0)]), a, b)
    if hasattr(np, "vecdot"):
        vecdot: Any = np.vecdot
        check(lambda a, b: vecdot(a, b, axis=0), a, b[:2, :1, :4])
        check(lambda a, b: vecdot(a, b, axes=[2, 0, ()]), a, b[:, 0, :3])
        check(lambda a, b: vecdot(a, b, keepdims=True), a, a[0])


def test_arguments_that_are_taken_for_constant_must_be() -> None:
    x, period = variable([1.0, 9.0]), variable(6.0)
    with pytest.raises(
        TypeError, match=r"unwrap is not differentiated with respect to period; .* period.detach\(\)"
    ):
        np.unwrap(x, period=period)
    np.unwrap(x, period=period.detach()).sum().backward()


@pytest.mark.skipif(
    "weights" not in signature(np.quantile).parameters, reason="NumPy 2 gave quantiles weights"
)
def test_quantiles_with_weights_are_of_constant_weights_at_constant_places() -> None:
    x = variable([1.0, 9.0])
    with pytest.raises(
        TypeError, match=r"quantile with weights is not differentiated by q; pass q.detach\(\)"
    ):
        np.quantile(x, variable(0.5), weights=[1.0, 2.0], method="inverted_cdf")
    with pytest.raises(
        TypeError, match=r"quantile is not differentiated by its weights; pass weights.detach\(\)"
    ):
        np.quantile(x, 0.5, weights=variable([1.0, 2.0]), method="inverted_cdf")


def test_a_mask_that_changes_later_does_not_matter() -> None:
    mask = np.array([True, False, True])
    for function in (np.sum, np.mean, np.prod, np.var):
        x = variable([1.0, 2.0, 3.0])
        y = function(x, where=mask)
        before = gradients([y], [x], [None])[0]
        y = function(x, where=mask)
        mask[:] = False
        np.testing.assert_array_equal(gradients([y], [x], [None])[0], before)
        mask[:] = [True, False, True]


def test_constant_functions_of_tensors() -> None:
    x = variable(P)
    for f in (f for f in CONSTANT if isinstance(f, np.ufunc) and (f.nin, f.signature) == (1, None)):
        if f in (np.invert, np.isnat) or f.__name__ == "bitwise_count":
            continue
        result = f(x)
        assert not getattr(result, "requires_grad", False)
        np.testing.assert_array_equal(result, f(P))
