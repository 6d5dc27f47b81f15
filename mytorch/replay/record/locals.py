"""The names of local variables that hold arrays while a function is recorded, for the printed program."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import numpy as np

from mytorch.lines import PACKAGE, inside_files
from mytorch.replay.record.captured import is_installed

_LIBRARY = (PACKAGE, os.path.dirname(np.__file__) + os.sep)


@contextmanager
def watching(note: Callable[[str, Any], None]) -> Iterator[None]:
    """Within the context, tell `note` the local variables of every function of the user's that returns.

    It uses the interpreter's hook for profilers, and does nothing where somebody else does.
    """

    of_user: dict[str, bool] = {}  # by file

    def look(frame: FrameType, event: str, arg: Any) -> None:
        if event != "return":
            return
        file = frame.f_code.co_filename
        if file not in of_user:
            of_user[file] = not (file in inside_files or file.startswith(_LIBRARY) or is_installed(file))
        if of_user[file]:
            for name, value in list(frame.f_locals.items()):
                note(name, value)

    if sys.getprofile() is not None:
        yield
        return
    sys.setprofile(look)
    try:
        yield
    finally:
        sys.setprofile(None)
