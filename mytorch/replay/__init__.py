"""Replay: a function is recorded as one list of NumPy calls, planned, and run again on memory of its own.

What is here, lowest first: `instructions` (memories, values, calls), `traced` (what stands for an array while a
function is recorded), `recorder` (notes what is done to it), `making` (the arrays that a function makes), `captured`
(what it takes from outside), `impure` (what answers differently every time),
`recording` (one recorded call), `passes` (what is taken out), `planning` (where memory lies), `lowering` (how a call
writes where it belongs), `program` (what runs), and `compiled` (the function that the user has).
"""

from mytorch.replay.compiled import Compiled, compile
from mytorch.replay.errors import ReplayError, ReplayWarning
from mytorch.replay.program import Program

__all__ = ["Compiled", "Program", "ReplayError", "ReplayWarning", "compile"]
