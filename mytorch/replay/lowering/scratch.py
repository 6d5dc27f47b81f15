"""Memory in the place of what lies outside, on which calls are measured.

To measure the calls of a program must never change a parameter, so those that write outside get a copy to write to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray

from mytorch.regions import address_of
from mytorch.replay.instructions import Value
from mytorch.replay.lowering.forms import Form, forms, times, with_arrays

if TYPE_CHECKING:
    from mytorch.replay.program import Program


class Scratch:
    """Copies of the memory outside that a program writes to, laid out as that is."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.copies = [(buffer, np.zeros(buffer.nbytes, np.uint8)) for buffer in program.outside_written()]
        for buffer, copy in self.copies:
            owner = buffer.owner
            ndarray(owner.shape, owner.dtype, copy, buffer.start, owner.strides)[...] = owner

    def array(self, value: Value) -> ndarray:
        """Return the array of a value, or the same part of a copy."""
        for buffer, copy in self.copies:
            if buffer.number == value.buffer.number:
                return ndarray(value.shape, value.dtype, copy, value.offset, value.strides)
        return self.program.real(value)

    def is_faster(self, calls: Form, positions: Sequence[int]) -> bool:
        """Say whether calls take less time than NumPy's for the instructions at these positions."""
        theirs: Form = []
        for position in positions:
            theirs += with_arrays(forms(self.program.instructions[position])[0], self.array)
        with np.errstate(all="ignore"):
            numpy, ours = times([theirs, calls])
        return ours < numpy

    def moved(self, place: int) -> int:
        """Return an address, moved from memory outside to the copy of it."""
        for buffer, copy in self.copies:
            if buffer.low <= place < buffer.low + buffer.nbytes:
                return place - buffer.low + address_of(copy)
        return place
