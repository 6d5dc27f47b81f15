"""What is done to each parameter in turn is done to all of them at once (horizontal fusion).

An optimizer's step does the same few operations to every parameter.  Where the parameters lie one after the other in
one block (`mytorch.replay.record.blocks`), and their gradients are written one after the other into another, these are
a few operations in all, however many layers there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy import ndarray

from mytorch.replay.instructions import (
    OUTSIDE,
    TEMPORARY,
    Buffer,
    Instruction,
    Listing,
    Value,
    made_by_pass,
    written_outside,
)
from mytorch.replay.passes.updates import Uses
from mytorch.replay.record.blocks import block_of


class _Lane:
    """What is done to one parameter: the positions of the instructions, and the memories in order of appearance."""

    def __init__(self, parameter: Buffer) -> None:
        self.parameter = parameter
        self.positions: list[int] = []
        self.variables: list[Buffer] = [parameter]
        self.form: tuple[Any, ...] = ()


def together(listing: Listing) -> Listing:
    """Return the listing in which what is done to parameters in one block is done to all of them at once."""
    blocks: dict[int, list[_Lane]] = {}
    producers = Uses(listing).writers
    for buffer in written_outside(listing.instructions):
        block = block_of(buffer.owner)
        if block is not None:
            lane = _lane(buffer, listing, producers)
            if lane is not None:
                blocks.setdefault(id(block), []).append(lane)
    runs = [run for lanes in blocks.values() for run in _runs(lanes)]
    # What is done to a moment is part of what is done to its parameter.
    for run in sorted(runs, key=lambda run: -len(run[0].positions)):
        joined = _joined(run, listing)
        if joined is not None:
            return together(joined)
    return listing


def _is_plain_update(instruction: Instruction) -> bool:
    return (
        instruction.is_elementwise
        and not instruction.kwargs
        and instruction.errors is None
        and len(instruction.outs) == 1
        and instruction.phase == "update"
    )


def _lane(parameter: Buffer, listing: Listing, producers: dict[int, list[int]]) -> _Lane | None:
    """Return what is done to a parameter; None where that is more than operations entry by entry."""
    lane = _Lane(parameter)
    waiting, chosen = [parameter], set()
    while waiting:
        buffer = waiting.pop()
        for position in producers.get(buffer.number, ()):
            instruction = listing.instructions[position]
            if not _is_plain_update(instruction):
                if buffer.kind == OUTSIDE or len(producers[buffer.number]) > 1:
                    return None
                continue
            if position in chosen:
                continue
            chosen.add(position)
            for value in (*instruction.reads, *instruction.outs):
                if value.shape == () and value.buffer.nbytes <= 16:
                    continue
                if not _fits(value, parameter):
                    return None
                if not any(value.buffer is known for known in lane.variables):
                    lane.variables.append(value.buffer)
                    waiting.append(value.buffer)
    lane.positions = sorted(chosen)
    lane.variables = _in_order(lane, listing)
    lane.form = tuple([_form(listing.instructions[p], lane) for p in lane.positions])
    return lane if chosen else None


def _fits(value: Value, parameter: Buffer) -> bool:
    """Say whether a value is a whole memory of the parameter's form."""
    owner = parameter.owner
    return (
        value.shape == owner.shape
        and value.dtype == owner.dtype
        and value.is_contiguous
        and value.offset == 0
        and value.buffer.nbytes == parameter.nbytes
        and (value.buffer.kind == TEMPORARY or block_of(value.buffer.owner) is not None)
    )


def _in_order(lane: _Lane, listing: Listing) -> list[Buffer]:
    """Return the memories of a lane in the order in which the instructions name them."""
    found: dict[int, Buffer] = {}
    known = {buffer.number for buffer in lane.variables}
    for position in lane.positions:
        instruction = listing.instructions[position]
        for value in (*instruction.args, *instruction.outs):
            if isinstance(value, Value) and value.buffer.number in known:
                found.setdefault(value.buffer.number, value.buffer)
    return list(found.values())


def _form(instruction: Instruction, lane: _Lane) -> tuple[Any, ...]:
    """Return what an instruction has in common with those that do the same to other parameters."""
    numbers = [buffer.number for buffer in lane.variables]

    def operand(x: Any) -> Any:
        if not isinstance(x, Value):
            return type(x), repr(x)
        return numbers.index(x.buffer.number) if x.buffer.number in numbers else x.key

    return instruction.function, tuple(map(operand, instruction.args)), operand(instruction.outs[0])


def _runs(lanes: list[_Lane]) -> list[list[_Lane]]:
    """Return the longest rows of lanes of one form whose parameters lie one after the other."""
    lanes = sorted(lanes, key=lambda lane: lane.parameter.low)
    runs: list[list[_Lane]] = []
    for lane in lanes:
        last = runs[-1][-1] if runs else None
        if (
            last is not None
            and last.form == lane.form
            and all(_follows(a, b) for a, b in zip(last.variables, lane.variables, strict=True))
            and last.parameter.owner.dtype == lane.parameter.owner.dtype
        ):
            runs[-1].append(lane)
        else:
            runs.append([lane])
    return [run for run in runs if len(run) > 1]


def _follows(first: Buffer, second: Buffer) -> bool:
    """Say whether two memories may be parts of one: those outside have to lie one after the other."""
    if first.kind == TEMPORARY or second.kind == TEMPORARY:
        return first.kind == second.kind
    return first.low + first.nbytes == second.low


def _joined(run: list[_Lane], listing: Listing) -> Listing | None:
    """Return the listing in which the lanes are one; None where something stands between them."""
    instructions = listing.instructions
    if not _can_join(run, instructions):
        return None
    new: dict[int, tuple[Buffer, int]] = {}
    wholes: list[Value] = []
    for variable, first in enumerate(run[0].variables):
        parts = [lane.variables[variable] for lane in run]
        whole = _whole(first, parts, run[0].parameter.dtype)
        wholes.append(Value(whole, whole.owner))
        offset = 0
        for part in parts:
            new[part.number] = whole, offset
            offset += part.nbytes
    merged: dict[int, Instruction] = {}
    for step, position in enumerate(run[0].positions):
        last = max(lane.positions[step] for lane in run)
        merged[last] = _merged(instructions[position], run[0], wholes)
    gone = {position for lane in run for position in lane.positions}
    kept = []
    for position, instruction in enumerate(instructions):
        if position in merged:
            kept.append(merged[position])
        elif position not in gone:
            parts_of_it = instruction.fresh and any(out.buffer.number in new for out in instruction.outs)
            kept.append(instruction.twin(fresh=False) if parts_of_it else instruction)
    return listing.replaced(kept, new)


def _can_join(run: list[_Lane], instructions: Sequence[Instruction]) -> bool:
    """Say whether nothing between the instructions of the lanes reads what they write, or writes what they read."""
    positions = {position for lane in run for position in lane.positions}
    written = {instructions[p].outs[0].buffer.number for p in positions}
    scalars = {v.buffer.number for p in positions for v in instructions[p].reads if v.shape == ()}
    for position in range(min(positions), max(positions)):
        if position in positions:
            continue
        other = instructions[position]
        if any(v.buffer.number in written for v in (*other.reads, *other.outs)):
            return False
        if not other.fresh and any(out.buffer.number in scalars for out in other.outs):
            return False
    variables = [buffer.number for lane in run for buffer in lane.variables]
    return len(variables) == len(set(variables))


def _whole(first: Buffer, parts: list[Buffer], dtype: np.dtype[Any]) -> Buffer:
    """Return the memory that holds the memories `parts` one after the other.

    Its entries are those of the values: who owns a memory may take it for something else (`masked` made its result of
    integers).
    """
    entries = sum(part.nbytes for part in parts) // dtype.itemsize
    if first.kind == TEMPORARY:
        return made_by_pass(np.empty(entries, dtype))
    memory = memoryview(block_of(first.owner))
    start = first.low - np.frombuffer(memory, np.uint8).__array_interface__["data"][0]
    whole = made_by_pass(
        ndarray((entries,), dtype, memory[start : start + entries * dtype.itemsize]), OUTSIDE
    )
    whole.tensors = [tensor for part in parts for tensor in part.tensors]
    whole.name = ", ".join(part.name or "a parameter" for part in parts)
    return whole


def _merged(instruction: Instruction, lane: _Lane, wholes: list[Value]) -> Instruction:
    """Return an instruction of a lane, done to all lanes."""
    numbers = [buffer.number for buffer in lane.variables]

    def operand(x: Any) -> Any:
        return (
            wholes[numbers.index(x.buffer.number)]
            if isinstance(x, Value) and x.buffer.number in numbers
            else x
        )

    outs = (operand(instruction.outs[0]),)
    return instruction.twin(args=tuple(map(operand, instruction.args)), outs=outs)
