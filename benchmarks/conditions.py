"""Where and how something was measured: machine, BLAS, versions, date."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.harness import Effort, measure

PACKAGES = {
    "NumPy": "numpy",
    "PyTorch": "torch",
    "JAX": "jax",
    "autograd": "autograd",
    "MyGrad": "mygrad",
    "SciPy": "scipy",
    "numba": "numba",
}


def conditions(effort: Effort) -> str:
    """Return where, how and when was measured, in a sentence."""
    versions = ", ".join(f"{label} {version(package)}" for label, package in PACKAGES.items())
    return (
        f"{processor()}, {os.cpu_count()} cores, {blas()}, Python {platform.python_version()}, {versions}; "
        f"{effort.rounds} rounds, {date.today().isoformat()}."
    )


def version(package: str) -> str:
    """Return the version of an installed package."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def processor() -> str:
    """Return the processor's name."""
    information = Path("/proc/cpuinfo")
    text = information.read_text(encoding="utf-8") if information.exists() else ""
    name = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return name[1].strip() if name else platform.processor() or platform.machine()


def blas() -> str:
    """Return the name, version and kernel of NumPy's BLAS, as threadpoolctl tells them."""
    if importlib.util.find_spec("threadpoolctl") is None:
        return "BLAS unknown (threadpoolctl is not installed)"
    pools = [pool for pool in measure(thread_pools) if pool["user_api"] == "blas"]
    if not pools:
        return "BLAS unknown"
    pool = pools[0]
    return f"{pool['internal_api']} {pool.get('version')} with kernel {pool.get('architecture', 'unknown')}"


def thread_pools() -> list[dict[str, Any]]:
    """Return what threadpoolctl knows of a process that has loaded NumPy, and nothing else."""
    importlib.import_module("numpy")
    return importlib.import_module("threadpoolctl").threadpool_info()
