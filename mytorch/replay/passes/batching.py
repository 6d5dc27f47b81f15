"""The same operation on many small arrays is one call (horizontal fusion).

A loop repeats itself in the tape: a thousand steps of a recurrence leave a thousand cosines of ten numbers, all known
before the reverse pass asks for the first.  Where such results may be computed at one moment, what they are computed
from is laid out one after the other in one memory, and so are they: a call of NumPy takes longer than ten cosines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

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
    made_by_pass,
)

SMALL = 1 << 12  # bytes of a result, up to which the call takes longer than its work
MOST = 1 << 18  # bytes of all results of a call, which the cache should hold
OPEN = 8  # groups of one form that may still grow
FEW = 4  # results that are worth a memory of their own


def batched(listing: Listing) -> Listing:
    """Return the listing in which equal operations on small arrays are done at once, where that changes nothing."""
    made: set[int] = set()
    while True:
        after = _Batching(listing, made).done()
        if after is None:
            return listing
        listing = after


class _Group:
    """Instructions that may be done at one moment: after `ready`, and before `due`."""

    def __init__(self, end: int) -> None:
        self.positions: dict[int, None] = {}
        self.ready, self.due = -1, end

    def takes(self, writers: set[int], ready: int, due: int) -> bool:
        """Say whether there is such a moment, too, with one that reads what `writers` write."""
        return max(self.ready, ready) < min(self.due, due) and writers.isdisjoint(self.positions)

    def add(self, position: int, ready: int, due: int) -> None:
        """Take an instruction in."""
        self.positions[position] = None
        self.ready, self.due = max(self.ready, ready), min(self.due, due)


class _Batching:
    """One round over a listing: groups of instructions that may be one, and the memories that this takes.

    ``made`` are the numbers of memories that hold the parts of others, each written once.
    """

    def __init__(self, listing: Listing, made: set[int]) -> None:
        self.listing, self.made, self.instructions = listing, made, listing.instructions
        self.end = len(self.instructions)
        self.written = last_writes(self.instructions)
        self.writers: dict[int, list[tuple[int, Value]]] = {}
        self.parts: dict[tuple[Any, ...], int] = {}  # by the key of a part, who writes it
        self.readers: dict[int, list[tuple[int, Value]]] = {}
        for position, instruction in enumerate(self.instructions):
            for out in instruction.outs:
                self.writers.setdefault(out.buffer.number, []).append((position, out))
                if out.buffer.number in made:
                    self.parts[out.key] = position
            for value in instruction.reads:
                self.readers.setdefault(value.buffer.number, []).append((position, value))
        self.moved: dict[int, tuple[Buffer, int]] = {}
        self.before: dict[int, list[Instruction]] = {}
        self.gone: set[int] = set()
        self.touched: set[int] = set()

    def done(self) -> Listing | None:
        """Return the listing after the round; None where nothing was found."""
        for group in self._groups():
            self._join(group)
        if not self.gone:
            return None
        kept: list[Instruction] = []
        for position in range(self.end + 1):
            kept += self.before.get(position, [])
            if position == self.end or position in self.gone:
                continue
            instruction = self.instructions[position]
            is_part = instruction.fresh and any(out.buffer.number in self.moved for out in instruction.outs)
            kept.append(instruction.twin(fresh=False) if is_part else instruction)
        return self.listing.replaced(kept, self.moved)

    # -- which may be one -----------------------------------------------------------------------------------------

    def _groups(self) -> Iterator[list[int]]:
        """Iterate over the positions of instructions that may be done at one moment."""
        open_groups: dict[Any, list[_Group]] = {}
        guard = -1  # what is decided by it may warn where it decides otherwise
        for position, instruction in enumerate(self.instructions):
            guard = position if instruction.kind == "guard" else guard
            if not self._is_small(instruction):
                continue
            writers = self._writers(instruction)
            ready, due = max({guard, *writers}), self._due(position)
            alike = open_groups.setdefault(_form(instruction), [])
            most = MOST // instruction.outs[0].buffer.nbytes
            group = next((g for g in alike if len(g.positions) < most and g.takes(writers, ready, due)), None)
            if group is None:
                group = _Group(self.end)
            else:
                alike.remove(group)
            group.add(position, ready, due)
            alike.insert(0, group)  # the last that grew is asked first
            if len(alike) > OPEN:
                yield list(alike.pop().positions)
        for alike in open_groups.values():
            for group in alike:
                yield list(group.positions)

    def _is_small(self, instruction: Instruction) -> bool:
        if not (
            instruction.is_elementwise
            and instruction.kind == "ufunc"
            and instruction.fresh
            and not instruction.kwargs
            and instruction.errors is None
            and len(instruction.outs) == 1
        ):
            return False
        out = instruction.outs[0]
        return (
            out.buffer.kind == TEMPORARY
            and 0 < out.buffer.nbytes <= SMALL
            and out.shape != ()
            and out.is_whole
            and out.is_contiguous
            and out.buffer.number not in self.written
            and all(self._is_settled(value) for value in instruction.reads)
        )

    def _is_settled(self, value: Value) -> bool:
        """Say whether the entries of a value are written once at most."""
        buffer = value.buffer
        return buffer.number in self.made or (
            buffer.number not in self.written
            and not (buffer.kind in (ARGUMENT, INSIDE, OUTSIDE) and buffer.writes)
        )

    def _writers(self, instruction: Instruction) -> set[int]:
        """Return the positions of what writes an instruction's operands."""
        found = set()
        for value in instruction.reads:
            if value.key in self.parts:
                found.add(self.parts[value.key])
            else:
                writers = self.writers.get(value.buffer.number, ())
                found.update(writer for writer, out in writers if _overlap(value, out))
        return found

    def _due(self, position: int) -> int:
        """Return the position that first asks for an instruction's result."""
        return min(
            (reader for reader, _ in self.readers.get(self.instructions[position].outs[0].buffer.number, ())),
            default=self.end,
        )

    # -- how they become one --------------------------------------------------------------------------------------

    def _join(self, group: list[int]) -> None:
        """Do the instructions of a group in one call, if their operands can lie one after the other."""
        members = [self.instructions[position] for position in group]
        touched = {
            v.buffer.number for i in members for v in (*i.reads, *i.outs) if v.buffer.kind == TEMPORARY
        }
        # What is done at another moment than before counts from the next round on.
        if len(group) < FEW or not touched.isdisjoint(self.touched):
            return
        first = self.instructions[group[0]]
        columns = [[self.instructions[p].args[i] for p in group] for i in range(len(first.args))]
        order = self._order(columns)
        group = [group[i] for i in order]
        columns = [[column[i] for i in order] for column in columns]
        shape = (len(group), *first.outs[0].shape)
        outs = [self.instructions[p].outs[0] for p in group]
        operands = {_names(column): self._together(column, shape) for column in columns}
        moved = [value for operand in operands.values() if operand is not None for value in operand[1]]
        if None in operands.values() or len({v.buffer.number for v in (*moved, *outs)}) < len(moved) + len(
            outs
        ):
            return
        laid_out = {
            names: self._laid_out(*operand, shape)
            for names, operand in operands.items()
            if operand is not None
        }
        args = tuple([laid_out[_names(column)] for column in columns])
        self.touched.update(touched)
        due = min(self._due(position) for position in group)
        joined = first.twin(args=args, outs=(self._laid_out(None, outs, shape),))
        self.before.setdefault(due, []).append(joined)
        self.gone.update(group)

    def _order(self, columns: list[list[Any]]) -> list[int]:
        """Return the order in which the operands lie that lie in one memory already."""
        for column in columns:
            if all(isinstance(x, Value) and x.buffer.number in self.made for x in column):
                order = sorted(range(len(column)), key=lambda i: column[i].offset)
                if len({x.offset for x in column}) > 1:
                    return order
        return list(range(len(columns[0])))

    def _together(self, column: Sequence[Any], shape: tuple[int, ...]) -> tuple[Any, list[Value]] | None:
        """Return one operand for all, or the parts that it will have; None where neither is possible."""
        first = column[0]
        if not isinstance(first, Value):
            return first, []
        if all(x.key == first.key for x in column):
            return first, []
        if first.shape != shape[1:] or not all(x.is_contiguous for x in column):
            return None
        if all(x.buffer is first.buffer for x in column) and first.buffer.number in self.made:
            step = first.size * first.dtype.itemsize
            if [x.offset for x in column] != [first.offset + i * step for i in range(len(column))]:
                return None
            return _stacked(first, shape), []
        whole = all(
            x.buffer.kind == TEMPORARY
            and x.is_whole
            and x.buffer.number not in self.written
            and x.buffer.number not in self.moved
            and len(self.writers.get(x.buffer.number, ())) == 1
            for x in column
        )
        return (None, list(column)) if whole else None

    def _laid_out(self, whole: Any, parts: list[Value], shape: tuple[int, ...]) -> Any:
        """Return an operand, after its parts have been given places one after the other."""
        if not parts:
            return whole
        owner = np.empty(shape, parts[0].dtype)
        buffer = made_by_pass(owner)
        self.made.add(buffer.number)
        for i, value in enumerate(parts):
            self.moved[value.buffer.number] = buffer, i * value.buffer.nbytes
        return Value(buffer, owner)


def _form(instruction: Instruction) -> Any:
    """Return what two instructions have in common that may be one."""
    first_place: dict[Any, int] = {}
    operands: list[Any] = []
    for i, x in enumerate(instruction.args):
        if not isinstance(x, Value):
            operands.append((type(x), repr(x)))
        elif x.buffer.kind != TEMPORARY:
            operands.append(x.key)
        else:
            operands.append((x.shape, x.dtype, first_place.setdefault(x.key, i)))
    return instruction.function, tuple(operands), instruction.outs[0].shape, instruction.outs[0].dtype


def _names(column: Sequence[Any]) -> tuple[Any, ...]:
    """Return what tells operands of a group from others."""
    return tuple([x.key if isinstance(x, Value) else (type(x), repr(x)) for x in column])


def _overlap(a: Value, b: Value) -> bool:
    """Say whether two contiguous values of one memory may have bytes in common."""
    if not (a.is_contiguous and b.is_contiguous):
        return True
    return a.offset < b.offset + b.size * b.dtype.itemsize and b.offset < a.offset + a.size * a.dtype.itemsize


def _stacked(first: Value, shape: tuple[int, ...]) -> Value:
    """Return the view of values that lie one after the other, of which `first` is the first."""
    strides = (first.size * first.dtype.itemsize, *first.strides)
    return first.twin(shape=shape, strides=strides, _array=None)
