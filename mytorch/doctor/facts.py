"""What NumPy computes with: processor, cores, versions, BLAS, and the variables that matter to it."""

from __future__ import annotations

import math
import os
import platform
import re
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from mytorch.doctor import gemm

VARIABLES = (
    "OPENBLAS_CORETYPE",
    "OPENBLAS_NUM_THREADS",
    "GOTO_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "MKL_ENABLE_INSTRUCTIONS",
    "BLIS_NUM_THREADS",
    "BLIS_ARCH_TYPE",
    "VECLIB_MAXIMUM_THREADS",
    "NPY_DISABLE_CPU_FEATURES",
    "NPY_ENABLE_CPU_FEATURES",
)
# In the order of preference: what a name in NumPy's configuration or of threadpoolctl contains, and the BLAS' own.
MAKES = {"openblas": "OpenBLAS", "mkl": "MKL", "blis": "BLIS", "accelerate": "Accelerate", "nvpl": "NVPL"}
VECTORS = re.compile(r"(sse4_2|avx|fma$|amx|asimd|sve|neon)")
SKYLAKE = frozenset({"avx2", "fma", "avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"})
# What NumPy's names stand for in Linux's, for systems that do not list the processor's own.
OF_NUMPY = {
    "AVX2": {"avx2"},
    "FMA3": {"fma"},
    "X86_V3": {"avx2", "fma"},
    "AVX512_SKX": SKYLAKE,
    "X86_V4": SKYLAKE,
    "AVX512_SPR": {"avx512_bf16"},
    "ASIMD": {"asimd"},
    "SVE": {"sve"},
}


def machine() -> dict[str, Any]:
    """Return what NumPy computes with in this process, and on what; everything in it can be written as JSON.

    Returns
    -------
    dict
        ``processor``, ``architecture``, ``system``: names; ``instructions``: what the processor offers;
        ``cores``: those that this process may use; ``cores_of_machine``; ``quota``: cores that its control
        group grants it, or None; ``python``, ``numpy``: versions; ``simd``: NumPy's vector instructions; ``blas``:
        ``name``, ``version``, ``configuration``, ``kernel``, ``threads``, ``threading``, ``library`` (each None
        where nobody could tell) and ``source``, who told; ``variables``: those that are set.

    Examples
    --------
    >>> here = machine()
    >>> here["numpy"] == np.__version__
    True
    >>> 1 <= here["cores"] <= here["cores_of_machine"]
    True
    """
    text = _read(Path("/proc/cpuinfo"))
    simd = np.show_config(mode="dicts").get("SIMD Extensions", {})
    return {
        "processor": processor(text),
        "architecture": platform.machine(),
        "system": platform.platform(),
        "instructions": instructions(text, [*simd.get("baseline", ()), *simd.get("found", ())]),
        "cores": cores(),
        "cores_of_machine": os.cpu_count() or 1,
        "quota": quota(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "simd": {key: simd.get(key, []) for key in ("baseline", "found")},
        "blas": blas(),
        "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
    }


def describe(here: dict[str, Any]) -> str:
    """Return a machine in one line, as a table of measurements states it.

    Examples
    --------
    >>> print(describe({"processor": "AMD EPYC", "cores": 2, "python": "3.11.7", "numpy": "2.4.6", "blas":
    ...       {"name": "OpenBLAS", "version": "0.3.31", "kernel": "Zen", "threads": 1}}))
    AMD EPYC, 2 cores, Python 3.11.7, NumPy 2.4.6, OpenBLAS 0.3.31 (Zen kernels, 1 thread)
    """
    own = here["blas"]
    known = []
    if own["kernel"] is not None:
        known.append(f"{own['kernel']} kernels")
    if own["threads"] is not None:
        known.append(counted(own["threads"], "thread"))
    name = " ".join(part for part in (own["name"], own["version"]) if part is not None)
    return (
        f"{here['processor']}, {counted(here['cores'], 'core')}, Python {here['python']}, NumPy {here['numpy']}, "
        f"{name}" + (f" ({', '.join(known)})" if known else "")
    )


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: 1 core, 2 cores."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


# -- the processor ------------------------------------------------------------------------------------


def processor(cpuinfo: str) -> str:
    """Return the processor's name, from the text of /proc/cpuinfo or whoever else knows it."""
    name = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    if name is not None:
        return name[1].strip()
    if platform.system() == "Darwin":
        with suppress(OSError, subprocess.CalledProcessError):
            command = ["sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return platform.processor() or platform.machine() or "unknown processor"


def instructions(cpuinfo: str, numpy_names: Iterable[str]) -> list[str]:
    """Return the vector instruction sets that the processor offers, by the names that Linux gives them.

    Parameters
    ----------
    cpuinfo : text of /proc/cpuinfo; where it names none, NumPy's word counts
    numpy_names : the extensions that NumPy found

    Examples
    --------
    >>> instructions("flags\t\t: fpu sse4_2 avx fma avx2", [])
    ['avx', 'avx2', 'fma', 'sse4_2']
    >>> instructions("", ["SSE2", "X86_V3"])
    ['avx2', 'fma']
    """
    line = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    if line is not None:
        return sorted({word for word in line[1].split() if VECTORS.match(word)})
    return sorted(set().union(*(OF_NUMPY.get(name, ()) for name in numpy_names)))


# -- cores --------------------------------------------------------------------------------------------


def cores() -> int:
    """Return how many cores this process may keep busy: by its affinity, and by its control group's quota."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    granted = quota()
    return affinity if granted is None else min(affinity, max(1, math.ceil(granted)))


def quota(root: Path = Path("/")) -> float | None:
    """Return how many cores' time the control group of this process is granted, or None where nothing limits it.

    The least along the way from the group to the root counts. A container may see the host's path, which does
    not exist in it, and its own limit at the root.

    Parameters
    ----------
    root : where ``proc`` and ``sys`` are
    """
    limits = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        folder = base / path.lstrip("/")
        limits += [_limit(place) for place in (folder, *folder.parents) if place.is_relative_to(base)]
    return min((limit for limit in limits if limit is not None), default=None)


def _limit(folder: Path) -> float | None:
    """Return the limit that a folder of a control group sets, of the second version or the first."""
    words = _read(folder / "cpu.max").split() or [
        *_read(folder / "cpu.cfs_quota_us").split(),
        *_read(folder / "cpu.cfs_period_us").split(),
    ]
    if len(words) != 2 or not words[0].isdigit():
        return None  # "max", -1, or no such file
    return int(words[0]) / int(words[1])


def _read(path: Path) -> str:
    """Return the text of a file, empty where there is none to be read."""
    with suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace")
    return ""


# -- BLAS ---------------------------------------------------------------------------------------------


def blas() -> dict[str, Any]:
    """Return what is known of NumPy's BLAS: threadpoolctl's word where it is installed, else the library's own.

    NumPy's configuration tells what it was built with, which need not be what runs.
    """
    built = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
    configuration = built.get("openblas configuration")
    facts = {
        "name": make(str(built.get("name", ""))),
        "version": built.get("version"),
        "configuration": None if configuration in (None, "unknown") else configuration,
        "kernel": None,
        "threads": None,
        "threading": None,
        "library": None,
        "source": "NumPy's configuration",
    }
    own = gemm.openblas()
    if own:
        version = re.search(r"OpenBLAS (\S+)", own["configuration"])
        facts |= {"name": "OpenBLAS", "version": version[1] if version else facts["version"]}
        facts |= own | {"source": "the library itself"}
    pool = _pool(own.get("library"))
    if pool is not None:
        names = {"version": "version", "kernel": "architecture", "threads": "num_threads"}
        names |= {"threading": "threading_layer", "library": "filepath"}
        told = {key: pool.get(name) for key, name in names.items()}
        facts |= {key: value for key, value in told.items() if value is not None}
        facts |= {"name": make(pool["internal_api"]), "source": "threadpoolctl"}
    return facts


def _pool(library: str | None) -> dict[str, Any] | None:
    """Return what threadpoolctl says of NumPy's BLAS, None without it; `library` tells which of several is meant."""
    try:
        from mytorch.extras.threadpools import blas_pools
    except ModuleNotFoundError:
        return None
    pools = blas_pools()
    named = [pool for pool in pools if library is not None and os.path.realpath(pool["filepath"]) == library]
    return next(iter([*named, *pools]), None)


def make(name: str) -> str:
    """Return the make of a BLAS, from the name that NumPy's configuration gives it.

    Examples
    --------
    >>> make("scipy-openblas"), make("mkl-sdl"), make("")
    ('OpenBLAS', 'MKL', 'unknown BLAS')
    """
    known = next((own for word, own in MAKES.items() if word in name.lower()), None)
    return known or name or "unknown BLAS"
