"""The BLAS of a process: what it says of itself, and how fast it multiplies matrices.

Run as a file, ``python gemm.py '{"cases": [["square", 1024, [1024, 1024], "float32"]], "seconds": 0.05}'``, this
is one turn of a measurement, and prints what it found as JSON. It imports nothing but NumPy, so that a process of
its own starts in a tenth of a second: a BLAS reads its variables once, when it is loaded.
"""

from __future__ import annotations

import ctypes
import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import pairwise, product
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

PARTS = 5  # a turn's time is split, and the median taken, so that one interruption does not count
THREADING = {0: "none", 1: "pthreads", 2: "OpenMP"}  # what openblas_get_parallel returns


class Case(NamedTuple):
    """The matrix products of one training step of Linear layers: what is measured.

    Parameters
    ----------
    name : in tables
    rows : of the batch
    sizes : widths, from the input to the output
    dtype : of all arrays
    """

    name: str
    rows: int
    sizes: tuple[int, ...]
    dtype: str


def libraries() -> list[str]:
    """Return the files of the OpenBLAS that are loaded, NumPy's own first; where the system is silent, its folder's."""
    package = Path(np.__file__).parent
    maps = Path("/proc/self/maps")
    if maps.exists():
        lines = maps.read_text(encoding="utf-8", errors="replace").splitlines()
        found = {line.split(maxsplit=5)[5] for line in lines if "openblas" in line.lower()}
    else:
        folders = (package.parent / "numpy.libs", package / ".dylibs", package / ".libs")
        found = {str(path) for folder in folders for path in folder.glob("*openblas*")}
    return sorted(found, key=lambda path: (not path.startswith(str(package.parent / "numpy")), path))


def openblas() -> dict[str, Any]:
    """Ask the loaded OpenBLAS for its configuration, kernel and threads; empty where none answers.

    Builds differ in how they name their functions: NumPy's own wheels put ``scipy_`` before and ``64_`` behind.
    """
    for path in libraries():
        with suppress(OSError):
            library = ctypes.CDLL(path)
            for prefix, suffix in product(("scipy_", ""), ("64_", "", "_64")):
                if hasattr(library, f"{prefix}openblas_get_corename{suffix}"):
                    return _ask(library, f"{prefix}openblas_get_{{}}{suffix}") | {"library": path}
    return {}


def _ask(library: ctypes.CDLL, name: str) -> dict[str, Any]:
    """Call the functions that tell about a library, whose names are `name` with a word filled in."""

    def ask(word: str, kind: Any) -> Any:
        function = getattr(library, name.format(word))
        function.restype = kind
        answer = function()
        return answer.decode() if isinstance(answer, bytes) else answer

    return {
        "configuration": ask("config", ctypes.c_char_p),
        "kernel": ask("corename", ctypes.c_char_p),
        "threads": ask("num_threads", ctypes.c_int),
        "threading": THREADING.get(ask("parallel", ctypes.c_int)),
    }


def prepare(case: Case) -> tuple[Callable[[], list[np.ndarray]], int]:
    """Return a function that computes the products of a case, as this package's layers do, and their operations."""
    rng = np.random.default_rng(0)
    layers = []
    for fan_in, fan_out in pairwise(case.sizes):
        shapes = ((case.rows, fan_in), (fan_out, fan_in), (case.rows, fan_out))
        layers.append([rng.standard_normal(shape).astype(case.dtype) for shape in shapes])

    def step() -> list[np.ndarray]:
        products = []
        for number, (x, W, g) in enumerate(layers):
            products += [x.dot(W.T), g.T * x if len(x) == 1 else g.T.dot(x)]
            if number:  # nobody wants the gradient of the batch
                products.append(g.dot(W))
        return products

    sizes = [fan_in * fan_out for fan_in, fan_out in pairwise(case.sizes)]
    return step, 2 * case.rows * (2 * sum(sizes) + sum(sizes[1:]))


def row_sums(arrays: Sequence[np.ndarray]) -> list[float]:
    """Sum the rows of matrices, entries weighted, without BLAS: what two kernels must agree on."""
    weights = [np.cos(np.arange(array.shape[1])) for array in arrays]
    return [float(s) for array, w in zip(arrays, weights, strict=True) for s in (array * w).sum(axis=1)]


def rate(step: Callable[[], Any], operations: int, seconds: float) -> float:
    """Measure for about `seconds`; the median of `PARTS` parts in GF/s, 10⁹ operations a second."""

    def timed(count: int) -> float:
        start = time.perf_counter()
        for _ in range(count):
            step()
        return (time.perf_counter() - start) / count

    possible = max(1, int(seconds / max(timed(1), 1e-7)))
    parts = min(PARTS, possible)
    return operations / median(timed(possible // parts) for _ in range(parts)) / 1e9


def turn(cases: Sequence[Case], seconds: float) -> dict[str, Any]:
    """Compute and measure all cases once: what the BLAS is, its rates, and sums of what it computed."""
    rates, sums = {}, {}
    for case in cases:
        step, operations = prepare(case)
        sums[case.name] = row_sums(step())
        rates[case.name] = rate(step, operations, seconds)
    return {"blas": openblas(), "rates": rates, "sums": sums}


if __name__ == "__main__":
    request = json.loads(sys.argv[1])
    print(json.dumps(turn([Case(*case) for case in request["cases"]], request["seconds"])))
