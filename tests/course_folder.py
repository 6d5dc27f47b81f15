"""Running a course's scripts as its students do: from the course's folder, in a checkout that is not installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.conftest import ROOT


def run_in_course(checkout: Path, course: str, arguments: Sequence[str]) -> str:
    """Copy mytorch and a course's folder to `checkout`, run Python in the folder, and return what it prints."""
    hidden = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "mytorch", checkout / "mytorch", ignore=hidden, dirs_exist_ok=True)
    shutil.copytree(
        ROOT / "courses" / course, checkout / "courses" / course, ignore=hidden, dirs_exist_ok=True
    )
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "DISPLAY")}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=checkout / "courses" / course,
        env={**clean, "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout
