"""What all tests share: fixed seeds, the real MNIST where it is, PyTorch where it is installed."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
collect_ignore = ["handins"]  # hand-ins to be graded: each is a package named mytorch of its own


@pytest.fixture(autouse=True)
def _fixed_seed() -> None:
    """Every test starts from the same state of NumPy's global generator, whichever tests ran before."""
    np.random.seed(11785)


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with a fixed seed."""
    return np.random.default_rng(11785)


@pytest.fixture(scope="session")
def torch() -> ModuleType:
    """PyTorch on one thread, the reference for values and gradients; without it the test is skipped."""
    module = pytest.importorskip("torch", reason="PyTorch is not installed: nothing to compare with")
    module.set_num_threads(1)
    return module


@pytest.fixture(scope="session")
def mnist_folder() -> Path:
    """The folder of the real MNIST: $MYTORCH_MNIST, or shared/data/mnist beside the checkout."""
    named = os.environ.get("MYTORCH_MNIST")
    folder = Path(named) if named else ROOT.parent / "shared" / "data" / "mnist"
    if not folder.is_dir():
        pytest.skip(f"the real MNIST is not at {folder}: name its folder in the variable MYTORCH_MNIST")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that use the fixtures torch and mnist_folder, so that -m can select them."""
    for item in items:
        names = getattr(item, "fixturenames", ())
        if "torch" in names:
            item.add_marker("torch")
        if "mnist_folder" in names:
            item.add_marker("mnist")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how much of PyTorch's operator database was compared, and what became of what was replayed."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind)]
    figures = [value for report in reports for key, value in report.user_properties if key == "op_db"]
    if figures:
        from tests.op_db import summary

        total: Counter[str] = Counter()
        for part in figures:
            total.update(part)
        terminalreporter.write_line(summary(len(figures), total))
    outcomes = Counter(
        value for report in reports for key, value in report.user_properties if key == "replay"
    )
    if outcomes:
        found = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
        terminalreporter.write_line(f"derivatives and values of operations, compiled: {found}")
    programs = Counter(
        value for report in reports for key, value in report.user_properties if key == "programs"
    )
    for outcome, count in sorted(programs.items(), key=lambda pair: -pair[1]):
        terminalreporter.write_line(f"programs of tests and examples, compiled: {count} {outcome}")
