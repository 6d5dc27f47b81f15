"""The order in which back ends like to run instructions: what belongs together, one after the other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mytorch.replay.instructions import TEMPORARY, Instruction, Value, matrices


def late(instructions: list[Instruction], moves: Callable[[Instruction], bool]) -> list[Instruction]:
    """Compute what `moves` names, and is used once, just before its use, unless its operands change before that."""
    users = readers(instructions)
    waiting: dict[int, Instruction] = {}  # by the memory that it makes
    kept: list[Instruction] = []
    for instruction in instructions:
        written = {value.buffer.number for value in instruction.outs}
        touched = written | {value.buffer.number for value in instruction.reads}
        for number, product in list(waiting.items()):
            if number in touched or any(value.buffer.number in written for value in product.reads):
                kept.append(waiting.pop(number))
        if (
            is_new(instruction)
            and len(users.get(instruction.outs[0].buffer.number, ())) == 1
            and moves(instruction)
        ):
            waiting[instruction.outs[0].buffer.number] = instruction
        else:
            kept.append(instruction)
    return [*kept, *waiting.values()]


def readers(instructions: list[Instruction]) -> dict[int, list[int]]:
    """Return, per memory, the positions of the instructions that read it."""
    found: dict[int, list[int]] = {}
    for position, instruction in enumerate(instructions):
        for number in {value.buffer.number for value in instruction.reads}:
            found.setdefault(number, []).append(position)
    return found


def is_new(instruction: Instruction) -> bool:
    """Say whether an instruction does nothing but make one memory of its own."""
    return (
        instruction.kind in ("ufunc", "call")
        and instruction.fresh
        and instruction.errors is None
        and len(instruction.outs) == 1
        and instruction.outs[0].buffer.kind == TEMPORARY
    )


def factors(instruction: Instruction) -> tuple[Value, Value] | None:
    """Return the operands of a product of two matrices (None: it is none)."""
    found = matrices(instruction)
    return (found[0], found[1]) if found and not instruction.kwargs else None


def columns(instruction: Instruction) -> tuple[Value, Value] | None:
    """Return the operands of an outer product, larger than both (None: it is none)."""
    pair = factors(instruction)
    if pair is not None and pair[0].shape[1] != 1:
        return None
    if pair is None and instruction.function in (np.multiply, np.outer) and not instruction.kwargs:
        args = instruction.args
        pair = (args[0], args[1]) if len(args) == 2 and len(instruction.reads) == 2 else None
    if pair is None or instruction.outs[0].size <= pair[0].size + pair[1].size:
        return None
    return pair


def is_outer(instruction: Instruction) -> bool:
    """Say whether an instruction makes a large array of products of two small ones."""
    return columns(instruction) is not None
