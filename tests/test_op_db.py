"""PyTorch's own operator database against ours: every operation that NumPy has, its sample inputs, to second order.

``python -m tests.test_op_db`` runs all samples and prints what was compared, per operation and in all.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from mytorch import Tensor
from mytorch.reverse import gradients
from tests.op_db_table import NO_SUCH_CALL, TABLE

torch: Any = pytest.importorskip(
    "torch", reason="PyTorch is not installed: its operator database is not here"
)
pytest.importorskip(
    "expecttest", reason="expecttest, which PyTorch's operator database needs, is not installed"
)

TOLERANCE: dict[str, Any] = {"rtol": 1e-7, "atol": 1e-8}
# Operations whose second derivatives PyTorch defines otherwise, or not at all, at points that the samples contain.
FIRST_ORDER_ONLY = {
    "linalg.vector_norm": "at zero PyTorch's second derivative is NaN, ours 0",
    "linalg.cond": "PyTorch changes its own saved values in place",
}


@dataclass
class Tally:
    """What was compared of one operation."""

    compared: int = 0
    without_counterpart: int = 0
    mismatches: list[str] = field(default_factory=list)


def database() -> dict[str, list[Any]]:
    """Return the database's entries by name, of the operations that the table has."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_methods_invocations import op_db

    found: dict[str, list[Any]] = {}
    for op in op_db:
        if op.name in TABLE and op.supports_autograd:
            found.setdefault(op.name, []).append(op)
    return found


def samples(op: Any, dtype: Any) -> Iterator[Any]:
    """Return the sample inputs of an operation."""
    torch.manual_seed(0)
    yield from op.sample_inputs("cpu", dtype, requires_grad=True)


def mapped(value: Any, change: Any) -> Any:
    """Return nested lists, tuples and dicts with `change` applied to their leaves."""
    if isinstance(value, list | tuple):
        return type(value)(mapped(v, change) for v in value) if type(value) in (list, tuple) else tuple(value)
    if isinstance(value, dict):
        return {k: mapped(v, change) for k, v in value.items()}
    return change(value)


def results(value: Any) -> list[Any]:
    """Return the arrays that an operation returned, as a list."""
    return list(value) if isinstance(value, list | tuple) else [value]


def array(value: Any) -> np.ndarray:
    """Return the values of one of PyTorch's tensors."""
    return np.array(value.detach().resolve_conj().resolve_neg().numpy(force=True))


def compare(op: Any, sample: Any) -> bool:
    """Compare value, first and second derivatives of one sample; False where NumPy has no such call."""
    theirs: list[Any] = []
    ours: list[Any] = []

    def to_ours(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        if not value.requires_grad:
            return array(value)
        theirs.append(value)
        ours.append(Tensor(array(value), requires_grad=True))
        return ours[-1]

    call = mapped([sample.input, list(sample.args), sample.kwargs], to_ours)
    if not ours or not numpy_has(op.name, mapped(call, _plain_leaf)):
        return False
    y = TABLE[op.name](call[0], *call[1], **call[2])
    if y is NO_SUCH_CALL:
        return False
    expected = results(op.op(sample.input, *sample.args, **sample.kwargs))
    found = results(y)
    rng = np.random.default_rng(1)
    pairs = []
    for a, b in zip(found, expected, strict=False):
        np.testing.assert_allclose(_plain(a), array(b), **TOLERANCE, err_msg="value")
        assert np.shape(a) == tuple(b.shape), "shape"
        if isinstance(a, Tensor) and a.requires_grad and b.requires_grad:
            pairs.append((a, b, _cotangent(rng, a)))
    if not pairs:
        return True
    first = gradients([a for a, _, _ in pairs], ours, [c for *_, c in pairs], create_graph=True)
    their_first = torch.autograd.grad(
        [b for _, b, _ in pairs],
        theirs,
        [torch.tensor(c) for *_, c in pairs],
        create_graph=True,
        allow_unused=True,
        materialize_grads=True,
    )
    for a, b in zip(first, their_first, strict=True):
        np.testing.assert_allclose(_plain(a), array(b), **TOLERANCE, err_msg="first derivative")
    if op.name not in FIRST_ORDER_ONLY:
        _compare_second(first, their_first, ours, theirs)
    return True


def numpy_has(name: str, call: Any) -> bool:
    """Say whether NumPy itself takes the call, on plain arrays."""
    try:
        return TABLE[name](call[0], *call[1], **call[2]) is not NO_SUCH_CALL
    except (TypeError, ValueError, IndexError, np.linalg.LinAlgError):
        return False


def _plain_leaf(value: Any) -> Any:
    return value.detach().numpy() if isinstance(value, Tensor) else value


def _compare_second(first: Any, their_first: Any, ours: Any, theirs: Any) -> None:
    """Compare the derivatives of the first derivatives, in one direction."""
    rng = np.random.default_rng(2)
    directions = [_cotangent(rng, a) for a in first]
    moving = [(b, v) for b, v in zip(their_first, directions, strict=True) if b.requires_grad]
    if not moving:
        return
    expected = torch.autograd.grad(
        [b for b, _ in moving],
        theirs,
        [torch.tensor(v) for _, v in moving],
        allow_unused=True,
        materialize_grads=True,
    )
    kept = [
        (a, v) for a, v in zip(first, directions, strict=True) if isinstance(a, Tensor) and a.requires_grad
    ]
    found = (
        gradients([a for a, _ in kept], ours, [v for _, v in kept])
        if kept
        else [np.zeros(x.shape, x.dtype) for x in ours]
    )
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, array(b), rtol=1e-6, atol=1e-7, err_msg="second derivative")


def _plain(value: Any) -> np.ndarray:
    return value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)


def _cotangent(rng: np.random.Generator, like: Any) -> np.ndarray:
    """Return a random array of the shape and dtype of `like`."""
    values = rng.normal(size=like.shape)
    return np.asarray(values + 1j * rng.normal(size=like.shape) if like.dtype.kind == "c" else values)


def run(name: str, ops: list[Any]) -> Tally:
    """Compare the samples of an operation, in both dtypes."""
    tally = Tally()
    for op in ops:
        for dtype in (torch.float64, torch.complex128):
            if dtype not in op.supported_dtypes("cpu"):
                continue
            for sample in samples(op, dtype):
                try:
                    with np.errstate(all="ignore"), warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        done = compare(op, sample)
                except Exception as error:
                    reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
                    shapes = mapped(
                        [sample.input, list(sample.args)],
                        lambda v: tuple(v.shape) if isinstance(v, torch.Tensor) else v,
                    )
                    tally.mismatches.append(f"{name} {dtype} {shapes} {sample.kwargs}: {reason}")
                    continue
                tally.compared += done
                tally.without_counterpart += not done
    return tally


ENTRIES = database()


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_an_operation_is_pytorchs(name: str) -> None:
    tally = run(name, ENTRIES[name])
    assert tally.mismatches == []


def test_the_database_covers_much() -> None:
    assert len(ENTRIES) > 180


def main() -> int:
    """Run everything and print what was compared."""
    compared = missing = wrong = 0
    for name, ops in sorted(ENTRIES.items()):
        tally = run(name, ops)
        compared, missing, wrong = (
            compared + tally.compared,
            missing + tally.without_counterpart,
            wrong + len(tally.mismatches),
        )
        print(f"{name:28} {tally.compared:5} compared {tally.without_counterpart:5} not a call of NumPy's")
        for line in tally.mismatches[:3]:
            print(f"    MISMATCH {line}")
    print(f"{len(ENTRIES)} operations, {compared} samples compared to second order, {wrong} mismatches")
    print(f"({missing} samples are calls that NumPy does not have)")
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main())
