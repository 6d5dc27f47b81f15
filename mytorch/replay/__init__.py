"""Replay: a function is recorded as one list of NumPy calls, planned, and run again on memory of its own.

In reading order: `instructions` (memories, values, calls, and a listing of them), then the way of a function through
four folders, each of which imports only from those before it:

* `record`: from a call to a listing.  The function runs once on what stands for arrays.
* `passes`: from a listing to a shorter one.
* `lowering`: from a listing to what runs: where memory lies, which calls are fastest, and the text of it all.
* `source`: from a listing to what a person reads.

`kernels` are what programs call besides NumPy.  `program` puts the parts together, `report` tells what became of it,
and `compiled` is the function that the user has: it asks `matching` which recording a call may replay.
"""

from mytorch.replay.compiled import Compiled, compile
from mytorch.replay.errors import ReplayError, ReplayWarning
from mytorch.replay.program import Program

__all__ = ["Compiled", "Program", "ReplayError", "ReplayWarning", "compile"]
