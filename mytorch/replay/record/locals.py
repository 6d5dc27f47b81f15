"""The names of local variables that hold arrays while a function is recorded, for the printed program.

Python tells them at the end of every function of the user's, through its hook for profilers.  A parameter that the
function never assigns to is another function's value under a name of its own, and is told as that.
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from types import CodeType, FrameType
from typing import Any

from mytorch.lines import inside_files
from mytorch.replay.record.captured import is_of_user


@contextmanager
def watching(note: Callable[[str, Any, bool], None]) -> Iterator[None]:
    """Within the context, tell `note` the local variables of every function of the user's that returns.

    The third that it is told is whether the variable is a parameter that still has the value that was given.

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
            given = _only_given(frame.f_code)
            for name, value in list(frame.f_locals.items()):
                note(name, value, name in given)

    if sys.getprofile() is not None:
        yield
        return
    sys.setprofile(look)
    try:
        yield
    finally:
        sys.setprofile(None)


def unwatch() -> Callable[..., Any] | None:
    """Remove the hook for a reverse pass, where it would have gradients copied, and return it; elsewhere do nothing.

    Before Python 3.10 calls a hook, it copies the variables of the frame into a dict that lives as long as the frame.
    What they hold would count as held twice, and no gradient be added to in place.
    """
    if sys.version_info < (3, 11):
        hook = sys.getprofile()
        if getattr(hook, "__module__", None) == __name__:  # not somebody else's
            sys.setprofile(None)
            return hook
    return None


@cache
def _only_given(code: CodeType) -> frozenset[str]:
    """Return the parameters that a function does not assign to."""
    count = code.co_argcount + code.co_kwonlyargcount
    assigned = {
        i.argval for i in dis.get_instructions(code) if i.opname.startswith(("STORE_FAST", "STORE_DEREF"))
    }
    assigned |= {name for names in assigned if isinstance(names, tuple) for name in names}
    return frozenset(code.co_varnames[:count]) - assigned
