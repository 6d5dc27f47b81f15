"""torch.compile as benchmarks use it: without its helper processes, and with a sentence where it cannot work."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import Any

from benchmarks.harness import load
from benchmarks.races import Unavailable

COMPILERS = ("g++", "clang++", "c++")


def torch_compiled(function: Callable[..., Any], *arguments: Any) -> Callable[..., Any]:
    """Return ``torch.compile(function)``, called once with `arguments` so that it is compiled."""
    torch = prepare()
    compiled = torch.compile(function)
    try:
        compiled(*arguments)
    except RuntimeError as error:  # those of its compilers are RuntimeErrors
        reason = next(line for line in str(error).splitlines() if line.strip())
        raise Unavailable(f"torch.compile failed: {reason}") from error
    return compiled


def prepare() -> Any:
    """Import PyTorch so that torch.compile works in this process, or raise `Unavailable`."""
    if os.environ.get("CXX") is None and not any(map(shutil.which, COMPILERS)):
        raise Unavailable(
            f"torch.compile needs a C++ compiler, and none of {', '.join(COMPILERS)} was found: install one "
            "(on Debian and Ubuntu, apt-get install g++), or name it in the variable CXX"
        )
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # else idle processes share the cores with the race
    return load("torch")
