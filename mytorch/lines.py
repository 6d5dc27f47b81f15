"""The line of the user's program that caused something, which messages and printed programs name.

`caller` finds it, as a code object and an instruction in it, which costs a tenth of a microsecond: so every recorded
operation has one.  `where` makes 'file:line' of these when a message is written.
"""

from __future__ import annotations

import linecache
import os
import sys
from contextvars import ContextVar
from dis import opmap
from types import CodeType, FrameType

import numpy as np

PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
LIBRARY = (PACKAGE, os.path.dirname(os.path.abspath(np.__file__)) + os.sep)
inside_files: set[str] = set()  # files of this package and NumPy, and others, as far as they were met
outside_files: set[str] = set()

# In a pass that is recorded: the user's line that asked for it, which all that it records has.
caused_by: ContextVar[tuple[CodeType, int] | None] = ContextVar("mytorch_line", default=None)


def caller(depth: int = 2) -> tuple[CodeType, int]:
    """Return the code and instruction of the innermost frame outside this package and NumPy: the user's line."""
    known = caused_by.get()
    if known is not None:
        return known
    frame: FrameType | None = sys._getframe(depth)
    while frame is not None:
        code, lasti = frame.f_code, frame.f_lasti
        name = code.co_filename
        if name in outside_files:
            break
        if name not in inside_files:
            if not name.startswith(LIBRARY):
                outside_files.add(name)
                break
            inside_files.add(name)
        frame = frame.f_back
    return code, lasti


def where(code: CodeType | None, lasti: int) -> str:
    """Return 'file:line' of an instruction."""
    if code is None:
        return "an unknown line"
    line = next((line for start, end, line in code.co_lines() if start <= lasti < end), None)
    return f"{code.co_filename}:{line or code.co_firstlineno}"


def shown(code: CodeType | None, lasti: int) -> str:
    """Return `where`, and the text of the line if it is in no file, as the cells of a notebook are not."""
    place = where(code, lasti)
    file, _, number = place.rpartition(":")
    text = "" if code is None or os.path.exists(file) else linecache.getline(file, int(number)).strip()
    return f"{place} ({text})" if text else place


def is_assigning(frame: FrameType) -> bool:
    """Say whether a frame is at an assignment ``array[i] = x``, for which NumPy asks for a mere number."""
    return frame.f_code.co_code[frame.f_lasti] == opmap["STORE_SUBSCR"]
