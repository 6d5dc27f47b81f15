"""Every row of tests/op_cases: the value is NumPy's, the derivatives are those of finite differences and PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from mytorch import Tensor, trees
from mytorch.gradcheck import check_gradients
from mytorch.rules.registry import COMPOSED, RULES, VIEWS
from mytorch.transforms import vjp
from tests.op_cases import Case, all_cases

CASES = all_cases()


def _ids(cases: list[tuple[str, Case]]) -> list[str]:
    return [f"{family}-{case}" for family, case in cases]


def each(wanted: Callable[[Case], bool] = lambda case: True) -> pytest.MarkDecorator:
    """Parametrize a test with the cases that are `wanted`."""
    chosen = [(family, case) for family, case in CASES if wanted(case)]
    return pytest.mark.parametrize("case", [case for _, case in chosen], ids=_ids(chosen))


class Call:
    """A case as a function of the arrays that are differentiated."""

    def __init__(self, case: Case, dtypes: dict[str, str] | None = None) -> None:
        self.case = case
        leaves, self.structure = trees.flatten((dict(enumerate(case.args)), case.kwargs))
        marked = [
            key not in case.constant
            for part in (dict(enumerate(case.args)), case.kwargs)
            for key, value in part.items()
            for _ in trees.flatten(value)[0]
        ]
        self.leaves = [
            _copy(x, (dtypes or {}).get(str(x.dtype))) if isinstance(x, np.ndarray) else x for x in leaves
        ]
        self.varied = [
            i
            for i, x in enumerate(self.leaves)
            if isinstance(x, np.ndarray) and x.dtype.kind in "fc" and marked[i]
        ]

    @property
    def arrays(self) -> list[np.ndarray]:
        """The arrays that are differentiated."""
        return [self.leaves[i] for i in self.varied]

    @property
    def __name__(self) -> str:
        return str(self.case)

    def __call__(self, *arrays: Any) -> Any:
        leaves = list(self.leaves)
        for i, x in zip(self.varied, arrays, strict=True):
            leaves[i] = x
        args, kwargs = self.structure.unflatten(leaves)
        return self.case.function(*args.values(), **kwargs)

    def on_tensors(self) -> Any:
        """Return the result on Tensors."""
        return self(*(Tensor(x, requires_grad=True) for x in self.arrays))


def _copy(x: np.ndarray, dtype: str | None) -> np.ndarray:
    """Return a copy in the same memory order (so that non-contiguous arrays stay what they are)."""
    if dtype is not None:
        return x.astype(dtype)
    if x.flags.c_contiguous or x.flags.f_contiguous or x.dtype == object:
        return x.copy(order="K")
    wide = np.zeros(tuple(2 * n for n in x.shape), x.dtype)
    view = wide[tuple(slice(None, None, 2) for _ in x.shape)]
    view[...] = x
    return view


def _leaves(result: Any) -> list[Any]:
    return trees.flatten(result)[0]


def _array(leaf: Any) -> Any:
    return leaf.numpy() if isinstance(leaf, Tensor) else np.asarray(leaf)


def _cotangents(result: Any) -> list[np.ndarray]:
    """Return fixed cotangents of the floating-point leaves of `result`."""
    rng = np.random.default_rng(7)
    found = []
    for leaf in map(_array, _leaves(result)):
        g = rng.uniform(0.5, 1.5, leaf.shape)
        found.append(np.asarray(g * (1 + 0.5j) if leaf.dtype.kind == "c" else g, leaf.dtype))
    return found


def _pulled(call: Call, cotangents: list[np.ndarray], arrays: list[Any]) -> Any:
    result, pullback = vjp(call, *arrays)
    return pullback(trees.flatten(result)[1].unflatten(cotangents))


@each()
def test_value_and_type_are_those_of_numpy(case: Case) -> None:
    call = Call(case)
    expected, got = call(*call.arrays), call.on_tensors()
    assert trees.flatten(got)[1] == trees.flatten(expected)[1]
    for x, y in zip(_leaves(got), _leaves(expected), strict=True):
        values, reference = _array(x), np.asarray(y)
        assert values.dtype == reference.dtype
        assert values.shape == reference.shape
        if case.value:
            np.testing.assert_allclose(values, reference, rtol=case.rtol, atol=1e-13)


@each(lambda case: case.float32)
def test_single_precision_stays_single(case: Case) -> None:
    call = Call(case, {"float64": "float32", "complex128": "complex64"})
    expected = call(*call.arrays)
    got, pullback = vjp(call, *call.arrays)
    assert [_array(x).dtype for x in _leaves(got)] == [np.asarray(y).dtype for y in _leaves(expected)]
    gradients = pullback(trees.flatten(got)[1].unflatten(_cotangents(got)))
    assert [g.dtype for g in gradients] == [x.dtype for x in call.arrays]


@each(lambda case: case.numerical)
def test_derivatives_are_those_of_finite_differences(case: Case) -> None:
    call = Call(case)
    if not any(x.size for x in call.arrays):
        gradients = _pulled(call, _cotangents(call(*call.arrays)), call.arrays)
        assert [g.shape for g in gradients] == [x.shape for x in call.arrays]
        return
    check_gradients(call, *call.arrays, order=case.order)


@each(lambda case: case.gradients is not None)
def test_gradients_at_kinks_are_the_stated_ones(case: Case) -> None:
    call = Call(case)
    cotangents = [np.ones_like(np.asarray(y)) for y in _leaves(call(*call.arrays))]
    for got, expected in zip(_pulled(call, cotangents, call.arrays), case.gradients or (), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


@each(lambda case: case.torch is not None)
def test_values_and_derivatives_are_those_of_torch(case: Case, torch: ModuleType) -> None:
    call = Call(case)
    cotangents = _cotangents(call(*call.arrays))
    directions = [np.cos(np.arange(x.size)).reshape(x.shape).astype(x.dtype) for x in call.arrays]

    xs = [torch.tensor(x, requires_grad=True) for x in call.arrays]
    ys = _torch_leaves(case.torch(*xs))  # type: ignore[misc]
    for got, expected in zip(_leaves(call.on_tensors()), ys, strict=True):
        np.testing.assert_allclose(_array(got), _numpy(expected), rtol=case.rtol, atol=1e-12)
    pairs = [(y, torch.tensor(g)) for y, g in zip(ys, cotangents, strict=True) if y.requires_grad]
    grads = torch.autograd.grad(
        [y for y, _ in pairs], xs, [g for _, g in pairs], create_graph=True, materialize_grads=True
    )
    got, pullback = vjp(lambda *arrays: _pulled(call, cotangents, list(arrays)), *call.arrays)
    for ours, theirs in zip(got, grads, strict=True):
        np.testing.assert_allclose(ours, _numpy(theirs), rtol=case.rtol, atol=1e-12)
    if case.order < 2:
        return
    tracked = [(g, torch.tensor(v)) for g, v in zip(grads, directions, strict=True) if g.requires_grad]
    seconds: Any = [torch.zeros_like(x) for x in xs]
    if tracked:
        seconds = torch.autograd.grad(
            [g for g, _ in tracked], xs, [v for _, v in tracked], materialize_grads=True
        )
    for ours, theirs in zip(pullback(tuple(directions)), seconds, strict=True):
        np.testing.assert_allclose(ours, _numpy(theirs), rtol=case.rtol, atol=1e-12)


def _numpy(tensor: Any) -> np.ndarray:
    return np.asarray(tensor.numpy(force=True))


def _torch_leaves(result: Any) -> list[Any]:
    return list(result) if isinstance(result, tuple | list) else [result]


def test_every_differentiable_function_has_a_case() -> None:
    covered = {id(function) for _, case in CASES for function in (case.covers or (case.function,))}
    known = [*RULES, *COMPOSED, *VIEWS]
    missing = sorted({_label(f) for f in known if id(f) not in covered})
    assert not missing, f"give these a row in tests/op_cases: {', '.join(missing)}"


def _label(function: Callable[..., Any]) -> str:
    module = getattr(function, "__module__", None) or "numpy"
    return f"{module}.{getattr(function, '__name__', function)}"
