"""Starts the running command again with the settings of BLAS that make its own products faster."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import NoReturn

from mytorch.doctor.advice import advise
from mytorch.doctor.facts import machine
from mytorch.doctor.gemm import Case
from mytorch.doctor.rates import Setting, measure, shortlist
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
    settings = shortlist(machine())
    if len(settings) == 1:
        return "nothing to try: this processor's widest kernels run already, and the number of threads is as it was set"
    measured = measure(settings, [case], rounds=ROUNDS, seconds=SECONDS)
    if measured[0].failure is not None:
        return f"nothing could be measured: a process with the present settings {measured[0].failure}"
    advice = advise(measured, LEAST)
    if not advice.setting:
        return "nothing to gain: no other kernels or threads are faster here by more than a tenth"
    print(
        f"--fast-blas: set {label(advice.setting)} for this process: its matrix products ran at "
        f"{advice.gain:.2f} times the rate just now",
        flush=True,
    )
    return execute(advice.setting)


def execute(setting: Setting) -> NoReturn:
    """Run the command of this process again with variables set, in its place."""
    command = [sys.executable, *sys.orig_argv[1:]]
    environment = {**os.environ, **setting, MARK: "1"}
    if os.name == "posix":
        os.execve(sys.executable, command, environment)
    sys.exit(subprocess.call(command, env=environment))  # Windows would give the prompt back at once
