"""Starts the running command again with the settings of BLAS that make its own products faster."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from mytorch.doctor.advice import Advice, advise
from mytorch.doctor.gemm import Case
from mytorch.doctor.machine import machine
from mytorch.doctor.measure import Measurement, Setting, candidates, measure
from mytorch.doctor.report import label

MARK = "MYTORCH_RESTARTED"  # set for the process that was started again, so that it does not start another
ROUNDS, SECONDS, LEAST = 3, 0.04, 0.1


def restart(case: Case) -> str:
    """Replace this process by the same command with faster settings of BLAS, if there are any.

    A BLAS reads its variables when it is loaded, which it is by now. What does not return has printed what it set;
    the process that it became returns from here at once.

    Parameters
    ----------
    case : the products of the command, which decide

    Returns
    -------
    str
        Why everything stays as it is; empty in the process that was started again.
    """
    if os.environ.pop(MARK, None) is not None:
        return ""
    advice, measured = examine(case)
    if measured[0].failure is not None:
        return f"nothing could be measured: NumPy's own process {measured[0].failure}"
    if not advice.setting:
        return "nothing to gain: the present settings of BLAS are the fastest here"
    print(
        f"set {label(advice.setting)} for this process: {advice.gain:.2f} times the rate in its matrix products",
        flush=True,
    )
    execute(advice.setting)
    raise AssertionError("unreachable: the process was replaced")


def examine(case: Case) -> tuple[Advice, list[Measurement]]:
    """Measure in short what is worth a try: no more than three kernels or threads beside the present ones."""
    here = machine()
    measured = measure(candidates(here), [case], rounds=ROUNDS, seconds=SECONDS)
    return advise(measured, LEAST), measured


def execute(setting: Setting, command: Sequence[str] | None = None) -> None:
    """Run the command of this process again with variables set, in its place."""
    command = [sys.executable, *(command or sys.orig_argv[1:])]
    environment = {**os.environ, **setting, MARK: "1"}
    if os.name == "posix":
        os.execve(sys.executable, command, environment)
    sys.exit(subprocess.call(command, env=environment))  # Windows would give the prompt back at once
