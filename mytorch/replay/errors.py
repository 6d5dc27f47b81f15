"""What can go wrong when a function is recorded or replayed.

Two reach the user: `ReplayError` and `ReplayWarning`.  The others end a replay whose call has to be run in another way.
"""

from __future__ import annotations

from typing import Any

from mytorch.records import TapeError


class ReplayError(TapeError):
    """A function cannot be recorded, or not be replayed; the message says what it did, where, and what to do."""


class ReplayWarning(UserWarning):
    """A compiled function runs without replay; the message says why, and what would help."""


class Diverged(Exception):
    """A guard saw another value than the recording did."""

    def __init__(self, guard: int, value: Any) -> None:
        super().__init__(f"guard {guard} saw {value!r}")
        self.guard, self.value = guard, value


class Changed(Exception):
    """A call returned another shape than it did when it was recorded."""


class Unreplayable(Exception):
    """This call cannot be replayed: the function has to run as it is written."""


def note(error: BaseException, text: str) -> None:
    """Add a note to an error (to its message where Python is older than 3.11)."""
    if hasattr(error, "add_note"):
        error.add_note(text)
    elif error.args and isinstance(error.args[0], str):
        error.args = (f"{error.args[0]} {text}", *error.args[1:])
