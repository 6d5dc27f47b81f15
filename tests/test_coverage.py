"""Everything of NumPy has its place: differentiable, constant, refused with a reason, or no function of arrays."""

from __future__ import annotations

import importlib
import inspect
import runpy
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mytorch import Tensor, dispatch
from mytorch.gradcheck import check_gradients
from mytorch.rules import registry
from tests.conftest import ROOT
from tests.op_cases.aliases import quiet

COMMAND: dict[str, Any] = runpy.run_path(str(ROOT / "docs" / "coverage.py"))
X = np.random.default_rng(8).normal(size=(3, 3))
Y = np.random.default_rng(9).normal(size=(3, 3))
INTS = np.array([[6, 3], [1, 5]])
T: Any = Tensor(X, requires_grad=True)
V: Any = Tensor(X[0], requires_grad=True)


def is_numpy(function: Callable[..., Any]) -> bool:
    return isinstance(function, np.ufunc) or (getattr(function, "__module__", None) or "numpy").startswith(
        "numpy"
    )


# -- the page --------------------------------------------------------------------------------------------------


def test_nothing_is_missing() -> None:
    rows = list(COMMAND["coverage"]())
    assert len(rows) > 500
    missing = [f"{namespace}.{name}" for namespace, name, status in rows if status.kind == COMMAND["MISSING"]]
    assert not missing


def test_a_function_that_stands_nowhere_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    rules: Any = registry.RULES
    monkeypatch.delitem(rules, np.exp)
    missing = [name for _, name, status in COMMAND["coverage"]() if status.kind == COMMAND["MISSING"]]
    assert missing == ["exp"]
    assert COMMAND["main"](["--check"]) == 1


def test_the_page_is_up_to_date() -> None:
    published = COMMAND["published_with"]()
    if COMMAND["minor_version"](np.__version__) != published:
        pytest.skip(f"docs/coverage.md is about NumPy {published}, this is {np.__version__}")
    assert COMMAND["PAGE"].read_text(encoding="utf-8") == COMMAND["page"](), "run python docs/coverage.py"


def test_the_tables_hold_only_functions_that_tensors_can_answer_for() -> None:
    tables: list[Any] = [registry.RULES, registry.COMPOSED, registry.VIEWS, registry.CONSTANT]
    functions = [f for table in tables for f in table if is_numpy(f)]
    silent = {f.__name__ for f in functions if not COMMAND["dispatches"](f)}
    assert silent == {  # these answer where like=tensor is given
        "array", "asanyarray", "asarray", "ascontiguousarray", "asfortranarray", "full", "require"
    }  # fmt: skip


def test_a_function_stands_in_one_table() -> None:
    tables: list[Any] = [
        registry.RULES,
        registry.VIEWS,
        registry.CONSTANT,
        registry.CREATED,
        registry.REFUSED,
    ]
    for i, first in enumerate(tables):
        for second in tables[i + 1 :]:
            assert not set(first) & set(second)


# -- what is constant does not change under small changes ---------------------------------------------------------

CONSTANT: list[tuple[Callable[..., Any], tuple[Any, ...]]] = [
    *((f, (X,)) for f in (np.floor, np.ceil, np.trunc, np.rint, np.signbit, np.spacing, np.round)),
    *(
        (f, (X,))
        for f in (np.isfinite, np.isinf, np.isnan, np.isneginf, np.isposinf, np.isreal, np.iscomplex)
    ),
    *(
        (f, (X,))
        for f in (np.all, np.any, np.count_nonzero, np.argmax, np.argmin, np.nanargmax, np.nanargmin)
    ),
    *(
        (f, (X,))
        for f in (np.argsort, np.lexsort, np.argwhere, np.flatnonzero, np.nonzero, np.linalg.matrix_rank)
    ),
    *((f, (X,)) for f in (np.shape, np.ndim, np.size, np.iscomplexobj, np.isrealobj, np.common_type)),
    *((f, (X,)) for f in (np.min_scalar_type, np.result_type, np.logical_not)),
    *((f, (X,)) for f in (np.diag_indices_from, np.tril_indices_from, np.triu_indices_from)),
    *((f, (X, Y)) for f in (np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal)),
    *((f, (X, Y)) for f in (np.logical_and, np.logical_or, np.logical_xor, np.floor_divide)),
    *((f, (X, Y)) for f in (np.allclose, np.array_equal, np.array_equiv, np.isclose, np.isin)),
    *((f, (X, Y)) for f in (np.may_share_memory, np.shares_memory)),
    *((f, (INTS, INTS.T)) for f in (np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.gcd, np.lcm)),
    *((f, (INTS, 1)) for f in (np.left_shift, np.right_shift)),
    (np.invert, (INTS,)),
    (np.around, (X, 1)),
    (quiet(np.fix), (X,)),
    *((f, (INTS,)) for f in registry.present(np, "bitwise_count")),
    *((quiet(f), (X, Y)) for f in registry.present(np, "in1d")),
    *((quiet(f), (X,)) for f in registry.present(np, "alltrue", "sometrue", "round_")),
    (np.argpartition, (X, 1)),
    (np.searchsorted, (np.sort(X[0]), Y)),
    (np.digitize, (X, np.sort(Y[0]))),
    (np.isnat, (np.array(["NaT"], "M8[D]"),)),
    (np.packbits, (INTS.astype(np.uint8),)),
    (np.unpackbits, (INTS.astype(np.uint8),)),
    (np.ravel_multi_index, ((np.array([1, 0]), np.array([2, 2])), (3, 3))),
    (np.unravel_index, (np.array([1, 5]), (3, 3))),
    (np.can_cast, (X.dtype if np.lib.NumpyVersion(np.__version__) >= "2.0.0" else X, np.float32)),
    (np.einsum_path, ("ij,jk", X, Y)),
]
ALIASES = ("alltrue", "fix", "in1d", "round_", "sometrue")
VALUES = (
    "array2string",
    "array_repr",
    "array_str",
    "save",
    "savetxt",
    "savez",
    "savez_compressed",
    "can_cast",
)


@pytest.mark.parametrize("call", CONSTANT, ids=lambda call: call[0].__name__)
def test_constant_functions_give_what_numpy_gives_and_stay_so(
    call: tuple[Callable[..., Any], tuple[Any, ...]],
) -> None:
    function, args = call
    tensors = [Tensor(x, requires_grad=x.dtype.kind == "f") if isinstance(x, np.ndarray) else x for x in args]
    shifted = [x + 1e-9 if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x for x in args]
    got = (
        dispatch.array_function(Tensor(0), function, (), tuple(tensors), {})
        if _nested(args)
        else function(*tensors)
    )
    assert not isinstance(got, Tensor)
    np.testing.assert_equal(got, function(*args))
    np.testing.assert_equal(got, function(*shifted))


def _nested(args: tuple[Any, ...]) -> bool:
    """Say whether no argument is an array by itself, so that NumPy would not ask."""
    return not any(isinstance(x, np.ndarray) for x in args)


def test_every_constant_function_is_tested_here() -> None:
    tested = {getattr(f, "__wrapped__", f) if f.__name__ in ALIASES else f for f, _ in CONSTANT}
    missing = {f.__name__ for f in registry.CONSTANT if is_numpy(f) and f not in tested}
    assert missing <= set(VALUES)


def test_values_as_text_and_in_files(tmp_path: Path) -> None:
    for function in (np.array2string, np.array_repr, np.array_str):
        assert function(T) == function(X)
    np.save(tmp_path / "x.npy", T)
    np.savez(tmp_path / "x.npz", T, named=T)
    np.savez_compressed(tmp_path / "small.npz", x=T)
    np.savetxt(tmp_path / "x.txt", T)
    assert np.array_equal(np.load(tmp_path / "x.npy"), X)
    assert np.array_equal(np.load(tmp_path / "x.npz")["named"], X)
    assert np.array_equal(np.load(tmp_path / "small.npz")["x"], X)
    np.testing.assert_allclose(np.loadtxt(tmp_path / "x.txt"), X)


# -- what is refused says why -------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", registry.REFUSED, ids=lambda f: getattr(f, "__name__", repr(f)))
def test_refused_functions_say_why(function: Callable[..., Any]) -> None:
    def call() -> Any:
        if isinstance(function, np.ufunc):
            return function(*[T] * function.nin)
        return dispatch.array_function(T, function, (), (T,), {})

    with pytest.raises(TypeError, match="is not differentiable here: ") as error:
        call()
    assert registry.REFUSED[function] in str(error.value)


def test_refusals_reach_the_user() -> None:
    with pytest.raises(TypeError, match="nextafter is not differentiable here: it steps"):
        np.nextafter(T, 1.0)
    with pytest.raises(TypeError, match="intersect1d is not differentiable here: which values"):
        np.intersect1d(T, X)
    with pytest.raises(TypeError, match="busday_count is not differentiable here: dates"):
        np.busday_count(T, T)


def _refused_by_name() -> list[tuple[str, str]]:
    """Return (namespace, name) of the functions that do not dispatch and are said to be a TypeError."""
    return [
        (namespace, name)
        for namespace, name, status in COMMAND["coverage"]()
        if status.kind == COMMAND["REFUSED"] and status.why.startswith(COMMAND["_NO_ANSWER"])
    ]


# What the parameters of those functions get; all others get a vector that requires gradients.
GIVEN: dict[str, Any] = {
    "deg": 2, "m": 1, "k": 0, "pow": 2, "scl": 1, "lbnd": 0, "axis": 0, "domain": [-1, 1], "func": lambda x: V, "M": 5,
    "beta": V[0], "obj": [[T]], "old": [0, 1], "new": [0, 2], "off": V[0], "data": T, "tol": 0,
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize(("namespace", "name"), _refused_by_name())
def test_functions_that_ask_nobody_refuse_tensors(namespace: str, name: str) -> None:
    function = getattr(importlib.import_module(namespace), name)
    parameters = inspect.signature(function).parameters.values()
    required = [p for p in parameters if p.default is p.empty and p.kind is not p.VAR_POSITIONAL]
    grids = {"deg": [1, 1, 1] if "3d" in name else [1, 1]} if "vander" in name and "d" in name[-1:] else {}
    args = [{**GIVEN, **grids}.get(p.name, V) for p in required]
    with pytest.raises(TypeError, match="requires gradients, which an ndarray cannot carry"):
        function(*args)


OBJECTS: dict[str, Callable[[], Any]] = {
    "np.vectorize": lambda: np.vectorize(lambda x: 2 * x)(T),
    "np.nditer": lambda: list(np.nditer(T)),
    "np.ndenumerate": lambda: list(np.ndenumerate(T)),
    "np.matrix": lambda: np.matrix(T),
    "np.r_": lambda: np.r_[V, V],
    "np.c_": lambda: np.c_[V, V],
    "np.mgrid": lambda: np.mgrid[0 : V[0] : 3j, 0:1:2j],
}


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@pytest.mark.parametrize("name", OBJECTS)
def test_objects_that_make_plain_arrays_refuse_tensors(name: str) -> None:
    assert any(name in names.split(", ") for names in COMMAND["OBJECTS"])
    with pytest.raises((TypeError, ValueError), match=r"requires gradients|cannot be written back|read-only"):
        OBJECTS[name]()


# -- what is differentiable without being asked -------------------------------------------------------------------

SERIES = (
    "polynomial.poly",
    "chebyshev.cheb",
    "hermite.herm",
    "hermite_e.herme",
    "laguerre.lag",
    "legendre.leg",
)


@pytest.mark.parametrize("series", SERIES)
def test_series_are_differentiable_in_their_points(series: str) -> None:
    module_name, _, stem = series.partition(".")
    module = importlib.import_module(f"numpy.polynomial.{module_name}")
    evaluate, coefficients = getattr(module, f"{stem}val"), np.array([0.5, -1.0, 2.0, 0.25])
    got = evaluate(T, coefficients)
    np.testing.assert_allclose(got.numpy(), evaluate(X, coefficients), rtol=1e-13)
    check_gradients(lambda x: evaluate(x, coefficients), X)
    if weight := getattr(module, f"{stem}weight", None):
        check_gradients(weight, np.array([0.3, -0.6]))


def test_other_functions_of_operators() -> None:
    from numpy.polynomial import chebyshev, polynomial, polyutils

    check_gradients(lambda a: chebyshev.chebinterpolate(lambda x: np.sin(a * x), 4), np.array(1.5))
    roots = np.array([0.5, -1.0])
    check_gradients(lambda x: polynomial.polyvalfromroots(x[0], roots), X[0])
    check_gradients(
        lambda old, new: polyutils.mapparms(old, new), np.array([0.0, 1.5]), np.array([-1.0, 3.0])
    )
    check_gradients(lambda c: polyutils.trimseq(c * 2.0), np.array([1.0, -0.5]))


def test_objects_that_hold_tensors() -> None:
    def polynomial(c: Any, x: Any) -> Any:
        p = np.poly1d(c)
        return p(x), p.deriv()(x), (p * p - 2.0 * p)(x), p.integ(k=1.0)(x)

    check_gradients(polynomial, np.array([0.5, -1.0, 2.0]), np.array([0.3, -0.6]))
    check_gradients(lambda a, b: np.ogrid[a:b:3j, 0:b:2j], np.array(0.5), np.array(2.0))


@pytest.mark.skipif(not hasattr(np, "row_stack"), reason="this NumPy has no row_stack any more")
def test_row_stack_is_vstack() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        stacked: Any = np.row_stack((T, V))  # noqa: NPY201
    assert np.array_equal(stacked.numpy(), np.vstack((X, X[0])))
