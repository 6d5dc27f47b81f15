"""PyTorch's own operator database against ours: every operation that NumPy has, its sample inputs, to second order.

``python -m tests.test_op_db`` runs all samples and prints what was compared, per operation and in all, and why
samples were left out.
"""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

import numpy as np
import pytest

from mytorch import Tensor
from tests import op_db

torch: Any = pytest.importorskip(
    "torch", reason="PyTorch is not installed: its operator database is not here"
)
pytest.importorskip(
    "expecttest", reason="expecttest, which PyTorch's operator database needs, is not installed"
)

OPERATIONS = op_db.operations()


@pytest.mark.parametrize(("name", "op", "counterpart"), OPERATIONS, ids=[name for name, *_ in OPERATIONS])
def test_an_operation_is_pytorchs(name: str, op: Any, counterpart: Any, record_property: Any) -> None:
    report = op_db.run(name, op, counterpart)
    record_property("op_db", report.figures())
    assert report.mismatches == []
    assert report.samples or report.skipped


def test_every_operation_is_in_a_table_or_has_a_reason_not_to_be() -> None:
    for name in op_db.database():
        assert op_db.entry(name), f"{name}: neither in a table of tests/op_db nor in tests/op_db_without.py"


def test_the_tables_name_each_operation_once_and_no_others() -> None:
    names = set(op_db.database())
    names |= {name.partition("/")[0] for name in names}
    assert op_db.table().keys() | op_db.WITHOUT.keys() <= names
    assert not op_db.table().keys() & op_db.WITHOUT.keys()
    assert {*op_db.FIRST_ORDER_ONLY, *op_db.VALUES_ONLY, *op_db.TRIANGULAR} <= names


def test_a_wrong_counterpart_is_a_mismatch() -> None:
    """The comparison itself finds a wrong value, first and second derivative, shape and number of results."""
    name, op = next((name, op) for name, op, _ in OPERATIONS if name == "sinh")
    wrong = {
        "value": lambda a: np.sinh(a) * (1 + 1e-5),
        "gradient": lambda a: np.sinh(_values(a)) + (a - _values(a)) * np.cosh(_values(a)) * (1 + 1e-5),
        "second derivative": lambda a: np.sinh(_values(a)) + (a - _values(a)) * np.cosh(_values(a)),
        "value: shape": lambda a: np.sinh(a)[None],
        "2 results, expected 1": lambda a: (np.sinh(a), np.sinh(a)),
        "value: dtype": lambda a: np.real(np.sinh(a)),
        "IndexError": lambda a: np.sinh(a)[..., 1000],
    }
    for what, counterpart in wrong.items():
        found = op_db.run(name, op, counterpart).mismatches
        assert found, what
        assert all("sinh" in line for line in found)
        assert any(what in line for line in found), found
    assert op_db.run(name, op, np.sinh).mismatches == []


def _values(a: Any) -> Any:
    return a.numpy().copy() if isinstance(a, Tensor) else a


def test_arrays_on_tensors_of_pytorch_are_left_writable() -> None:
    """NumPy lets such an array be made read-only, but not writable again: the guard has to leave it alone."""
    array = torch.ones(3).numpy()
    x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    np.sum(x * array * array[1]).backward()
    assert array.flags.writeable


def main() -> int:
    """Run everything and print what was compared."""
    figures: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    for name, op, counterpart in OPERATIONS:
        report = op_db.run(name, op, counterpart)
        figures.update(report.figures())
        skipped.update(report.skipped)
        print(f"{name:45} {report.samples:5} samples {sum(report.skipped.values()):5} left out")
        for line in report.mismatches[:3]:
            print(f"    MISMATCH {line}")
    print("Left out:", *(f"{count:7} {reason}" for reason, count in skipped.most_common()), sep="\n")
    print(op_db.summary(len(OPERATIONS), figures))
    return figures["mismatches"] > 0


if __name__ == "__main__":
    sys.exit(main())
