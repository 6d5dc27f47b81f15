"""Where the memory of a program lies: lifetimes are intervals of the list, so one block of bytes serves them all.

A memory lives from the instruction that makes it to the last that reads it.  Whoever dies leaves its place to who
is born next (best fit); an elementwise result is written over an operand that dies with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy import ndarray

from mytorch.replay.instructions import (
    ARGUMENT,
    INSIDE,
    OUTSIDE,
    TEMPORARY,
    Buffer,
    Instruction,
    Listing,
    Value,
    last_writes,
)

ALIGNMENT = 64  # bytes: a cache line, and the widest vector register


@dataclass
class Plan:
    """The block, and where in it every memory lies.

    Attributes
    ----------
    offsets : per memory's number, the first byte
    lifetimes : per memory's number, the positions of birth and last use
    nbytes : of the block
    without_reuse : bytes if every memory had its own place
    lower_bound : the most bytes that are alive at one instruction
    """

    offsets: dict[int, int] = field(default_factory=dict)
    lifetimes: dict[int, tuple[int, int]] = field(default_factory=dict)
    nbytes: int = 0
    without_reuse: int = 0
    lower_bound: int = 0
    block: Any = None
    arrays: dict[Any, ndarray] = field(default_factory=dict)

    def array(self, value: Value) -> ndarray:
        """Return the real array of a value: of the same entries the same one.

        NumPy knows at once that an array may be written over itself; of another view of its memory it has to find
        out, which takes as long as a short call.
        """
        offset = self.offsets.get(value.buffer.number)
        if offset is None:
            return _outside(value)
        if self.block is None:
            self.block = np.zeros(self.nbytes + ALIGNMENT, np.uint8)
            self.block = self.block[-self.block.__array_interface__["data"][0] % ALIGNMENT :][: self.nbytes]
        if not value.size:
            return np.empty(value.shape, value.dtype)
        key = offset + value.offset, value.shape, value.strides, value.dtype
        if key not in self.arrays:
            self.arrays[key] = ndarray(value.shape, value.dtype, self.block, key[0], value.strides)
        return self.arrays[key]


def _outside(value: Value) -> ndarray:
    """Return the array of a value outside; the recorded one may be a view that cannot be written: `x.detach()`."""
    array, owner = value.array, value.buffer.owner
    if array.flags.writeable or array is owner or value.buffer.kind != OUTSIDE:
        return array
    if Value(value.buffer, owner).key == value.key:
        return owner
    if not owner.flags.c_contiguous or not value.size:
        return array
    return ndarray(value.shape, value.dtype, owner, value.offset, value.strides)


def needs_place(buffer: Buffer, written: dict[int, int], by_reference: set[int]) -> bool:
    """Say whether a memory lies in the program's block."""
    if buffer.kind == TEMPORARY:
        return True
    if buffer.kind == ARGUMENT:
        return buffer.number not in by_reference
    # What was written while recording does not hold its first values any more, also where no write is left.
    return buffer.kind == INSIDE and (buffer.number in written or buffer.writes > 0)


def planned(listing: Listing, by_reference: set[int], pinned: set[int]) -> Plan:
    """Return the plan of a listing.

    Arguments in `by_reference` are used where the caller has them; memories in `pinned` keep their place from one
    call to the next.
    """
    plan = Plan()
    written = last_writes(listing.instructions)
    buffers: dict[int, Buffer] = {}
    end = len(listing.instructions)
    uses = [(k, v.buffer) for k, i in enumerate(listing.instructions) for v in (*i.reads, *i.outs)]
    for position, buffer in [*uses, *((end, root.buffer) for root in listing.roots)]:
        if buffer.number in buffers or needs_place(buffer, written, by_reference):
            buffers[buffer.number] = buffer
            birth, _ = plan.lifetimes.get(buffer.number, (position, position))
            plan.lifetimes[buffer.number] = birth, position
    for number, buffer in buffers.items():
        birth, death = plan.lifetimes[number]
        if number in pinned or buffer.kind in (ARGUMENT, INSIDE):  # filled before the first instruction
            birth = -1
        if number in pinned or (buffer.kind == ARGUMENT and number in written):
            death = end
        plan.lifetimes[number] = birth, death
    _place(plan, listing, buffers)
    return plan


def _place(plan: Plan, listing: Listing, buffers: dict[int, Buffer]) -> None:
    """Give every memory its place."""
    born: dict[int, list[int]] = {}
    dying: dict[int, list[int]] = {}
    for number, (birth, death) in plan.lifetimes.items():
        born.setdefault(birth, []).append(number)
        dying.setdefault(death, []).append(number)
    free: list[tuple[int, int]] = []  # offset and size, in order of offset
    taken_over: set[int] = set()
    alive = 0
    for position in range(-1, len(listing.instructions) + 1):
        instruction = listing.instructions[position] if 0 <= position < len(listing.instructions) else None
        for number in born.get(position, ()):
            size = _rounded(buffers[number].nbytes)
            alive += buffers[number].nbytes
            heir = _heir(instruction, buffers[number], dying.get(position, ()), buffers, taken_over)
            if heir is not None:
                plan.offsets[number] = plan.offsets[heir]
                taken_over.add(heir)
                alive -= buffers[heir].nbytes
            else:
                plan.offsets[number] = _allocate(plan, free, size)
        plan.lower_bound = max(plan.lower_bound, alive)
        for number in dying.get(position, ()):
            if number not in taken_over:
                alive -= buffers[number].nbytes
                _release(free, plan.offsets[number], _rounded(buffers[number].nbytes))
    plan.without_reuse = sum(_rounded(buffers[number].nbytes) for number in plan.offsets)


def _rounded(nbytes: int) -> int:
    return max(ALIGNMENT, -(-nbytes // ALIGNMENT) * ALIGNMENT)


def _heir(
    instruction: Instruction | None,
    buffer: Buffer,
    dying: Any,
    buffers: dict[int, Buffer],
    taken_over: set[int],
) -> int | None:
    """Return the memory of an operand that dies here and that an elementwise result can be written over."""
    if (
        instruction is None
        or not instruction.is_elementwise
        or instruction.kwargs
        or len(instruction.outs) != 1
        or instruction.outs[0].buffer is not buffer
        or instruction.outs[0].size
        == 1  # NumPy takes three times as long to write a single entry over itself
    ):
        return None
    out = instruction.outs[0]
    for operand in instruction.reads:
        number = operand.buffer.number
        if (
            number in dying
            and number in buffers
            and number not in taken_over
            and operand.buffer.kind != ARGUMENT
            and (operand.shape, operand.strides, operand.dtype) == (out.shape, out.strides, out.dtype)
            and operand.offset == out.offset == 0
            and operand.buffer.nbytes == buffer.nbytes
            and all(other.buffer.number != number or other.key == operand.key for other in instruction.reads)
        ):
            return number
    return None


def _allocate(plan: Plan, free: list[tuple[int, int]], size: int) -> int:
    """Return the place of a new memory: the smallest gap that it fits in, or the end of the block."""
    fitting = [(gap, offset) for offset, gap in free if gap >= size]
    if fitting:
        gap, offset = min(fitting)
        free.remove((offset, gap))
        if gap > size:
            free.append((offset + size, gap - size))
            free.sort()
        return offset
    if free and free[-1][0] + free[-1][1] == plan.nbytes:  # the last gap can grow
        offset, _ = free.pop()
    else:
        offset = plan.nbytes
    plan.nbytes = offset + size
    return offset


def _release(free: list[tuple[int, int]], offset: int, size: int) -> None:
    """Give a place back, joined with the gaps beside it."""
    free.append((offset, size))
    free.sort()
    joined: list[tuple[int, int]] = []
    for start, length in free:
        if joined and joined[-1][0] + joined[-1][1] == start:
            joined[-1] = joined[-1][0], joined[-1][1] + length
        else:
            joined.append((start, length))
    free[:] = joined
