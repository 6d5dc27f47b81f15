"""Which settings to try, and the rates of each: measured in turns, every turn a process of its own.

A process per turn costs a tenth of a second and buys much: the BLAS reads its variables when it is loaded, an idle
thread of one candidate (OpenBLAS' spin for a tenth of a second) cannot take another's core, and a kernel that
crashes or hangs ends a turn and not the measurement.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mytorch.doctor import gemm
from mytorch.doctor.facts import SKYLAKE
from mytorch.doctor.gemm import Case

WORKER = Path(gemm.__file__)
LIMIT = 120.0  # seconds that a turn may take before it counts as hung
TOLERANCE = {"float32": 1e-4, "float64": 1e-10}
MLP = (784, 256, 128, 10)  # the widths of a network for MNIST
CASES = tuple(
    Case(f"{name} {dtype}", rows, sizes, dtype)
    for name, rows, sizes in (("square", 1024, (1024, 1024)), ("batch 128", 128, MLP), ("batch 1", 1, MLP))
    for dtype in ("float32", "float64")
)
# OpenBLAS' names of the kernels that are worth a try, with what a processor must offer to run them.
KERNELS = {
    "Haswell": {"avx2", "fma"},
    "Zen": {"avx2", "fma"},
    "SkylakeX": SKYLAKE,
    "Cooperlake": SKYLAKE | {"avx512_bf16"},
    "SapphireRapids": SKYLAKE | {"avx512_bf16", "amx_bf16"},
    "NEOVERSEN1": {"asimd"},
    "NEOVERSEV1": {"asimd", "sve"},
}
WIDEST = ("Haswell", "SkylakeX", "NEOVERSEN1", "NEOVERSEV1")  # one per set of instructions, the widest last
Setting = dict[str, str]  # variables of the environment with their values


@dataclass
class Measurement:
    """What one setting did: rates in GF/s per case, one per round, or how it failed."""

    setting: Setting
    kernel: str | None = None
    threads: int | None = None
    rates: dict[str, list[float]] = field(default_factory=dict)
    failure: str | None = None


def kernels(instructions: Sequence[str]) -> list[str]:
    """Return OpenBLAS' names of the kernels that a processor with these instructions can run.

    Examples
    --------
    >>> kernels(["avx", "avx2", "fma"])
    ['Haswell', 'Zen']
    """
    return [name for name, needed in KERNELS.items() if needed <= set(instructions)]


def thread_variable(blas: Mapping[str, Any]) -> str:
    """Return the variable that sets the number of threads of a BLAS as `mytorch.doctor.machine` describes it."""
    if blas["name"] == "OpenBLAS" and str(blas["threading"]).lower() != "openmp":
        return "OPENBLAS_NUM_THREADS"
    own = {"MKL": "MKL_NUM_THREADS", "BLIS": "BLIS_NUM_THREADS", "Accelerate": "VECLIB_MAXIMUM_THREADS"}
    return own.get(blas["name"], "OMP_NUM_THREADS")


def candidates(here: Mapping[str, Any]) -> list[Setting]:
    """Return the settings to try on a machine as `mytorch.doctor.machine` describes it: kernels × threads.

    The first is empty: as it is.
    """
    blas = here["blas"]
    names = kernels(here["instructions"]) if blas["name"] == "OpenBLAS" else []
    present = str(blas["kernel"]).lower()
    chosen = [{}, *({"OPENBLAS_CORETYPE": name} for name in names if name.lower() != present)]
    counts = [n for n in dict.fromkeys((1, here["cores"])) if n != blas["threads"]]
    threads = [{}, *({thread_variable(blas): str(n)} for n in counts)]
    return [kernel | count for kernel in chosen for count in threads]


def shortlist(here: Mapping[str, Any]) -> list[Setting]:
    """Return the few settings that are worth a try where seconds count: the widest kernel, and a single thread.

    A kernel counts as wider than the present one where it takes more instructions. A number of threads that
    somebody has set is left alone: whoever did may share the machine.

    Parameters
    ----------
    here : a machine as `mytorch.doctor.machine` describes it
    """
    blas = here["blas"]
    needed = {name.lower(): instructions for name, instructions in KERNELS.items()}
    present = needed.get(str(blas["kernel"]).lower(), set())
    able = (
        [name for name in kernels(here["instructions"]) if name in WIDEST]
        if blas["name"] == "OpenBLAS"
        else []
    )
    chosen: list[Setting] = [
        {},
        *({"OPENBLAS_CORETYPE": name} for name in able[-1:] if KERNELS[name] > present),
    ]
    if blas["threads"] == 1 or any(name.endswith("_THREADS") for name in here["variables"]):
        return chosen
    return [kernel | count for kernel in chosen for count in ({}, {thread_variable(blas): "1"})]


def measure(
    settings: Sequence[Setting],
    cases: Sequence[Case] = CASES,
    *,
    rounds: int = 5,
    seconds: float = 0.04,
    worker: Path = WORKER,
    limit: float = LIMIT,
    progress: Callable[[float], object] = lambda part: None,
) -> list[Measurement]:
    """Measure settings in turns, and compare what each computed with what the first did.

    A setting of which the BLAS makes the same kernel and threads as of one before is left out after its first
    turn: not every build has every kernel. One that fails has no further turns.

    Parameters
    ----------
    settings : the first is what the others are compared with
    cases : what to multiply
    rounds, seconds : turns per setting, and seconds per case of a turn
    worker : the program that does a turn
    limit : seconds after which a turn counts as hung
    progress : called after each turn with the part that is done, up to 1

    Returns
    -------
    list of Measurement
        One per setting that differs from those before it; failed ones with their `failure`.
    """
    measured = [Measurement(dict(setting)) for setting in settings]
    expected: dict[str, list[float]] = {}
    for number in range(rounds):
        for place, entry in enumerate(measured):
            if entry.failure is None:
                answer = _turn(entry, cases, seconds, worker, limit)
                expected = expected or answer.get("sums", {})
                _enter(entry, answer, expected, cases)
            progress((number + (place + 1) / len(measured)) / rounds)
        measured = distinct(measured)
    return measured


def distinct(measured: Sequence[Measurement]) -> list[Measurement]:
    """Leave out settings of which the BLAS made the same kernel and threads as of one before; controls stay."""
    kept: list[Measurement] = []
    for entry in measured:
        same = [other for other in kept if (other.kernel, other.threads) == (entry.kernel, entry.threads)]
        if not entry.setting or entry.kernel is None or not same:
            kept.append(entry)
    return kept


def _turn(
    entry: Measurement, cases: Sequence[Case], seconds: float, worker: Path, limit: float
) -> dict[str, Any]:
    """Start a process for one turn and return its answer, empty where it failed."""
    request = json.dumps({"cases": cases, "seconds": seconds})
    try:
        done = subprocess.run(
            [sys.executable, str(worker), request],
            env={**os.environ, **entry.setting},
            capture_output=True,
            encoding="utf-8",
            timeout=limit,
        )
    except subprocess.TimeoutExpired:
        entry.failure = f"gave no answer within {limit:g} s"
        return {}
    if done.returncode:
        entry.failure = _ended(done.returncode, done.stderr)
        return {}
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        entry.failure = f"gave no measurement but {done.stdout[:40]!r}"
        return {}
    entry.kernel, entry.threads = (answer["blas"].get(key) for key in ("kernel", "threads"))
    return answer


def _ended(status: int, stderr: str) -> str:
    """Say how a process ended that did not end well."""
    if status < 0:
        return f"crashed ({signal.strsignal(-status)})"
    return f"ended with status {status}: {(stderr.strip().splitlines() or ['no message'])[-1]}"


def _enter(
    entry: Measurement, answer: Mapping[str, Any], expected: Mapping[str, list[float]], cases: Sequence[Case]
) -> None:
    """Note the rates of a turn, unless it computed other numbers than expected."""
    for case in cases if entry.failure is None else ():
        if not agree(answer["sums"][case.name], expected[case.name], TOLERANCE[case.dtype]):
            entry.failure = f"computed wrong numbers ({case.name})"
            return
        entry.rates.setdefault(case.name, []).append(answer["rates"][case.name])


def agree(numbers: Sequence[float], expected: Sequence[float], rtol: float) -> bool:
    """Tell whether numbers are as expected, to `rtol` of the largest.

    Examples
    --------
    >>> agree([1.0, 100.0], [1.001, 100.0], 1e-4), agree([1.0, float("nan")], [1.0, 100.0], 1e-4)
    (True, False)
    """
    bound = rtol * max(map(abs, expected), default=0.0)
    return all(abs(a - b) <= bound for a, b in zip(numbers, expected, strict=True))
