"""The names of local variables that hold arrays while a function is recorded, for the printed program.

Python tells them at the end of every function of the user's, through its hook for profilers.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from mytorch.lines import inside_files
from mytorch.replay.record.captured import is_of_user


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
            of_user[file] = file not in inside_files and is_of_user(file)
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
