"""The order in which back ends like to run instructions: what belongs together, one after the other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy import ndarray

from mytorch.replay.instructions import TEMPORARY, Instruction

PRODUCTS = (np.dot, np.matmul, ndarray.dot)


def early(instructions: list[Instruction]) -> list[Instruction]:
    """Fetch numbers that live outside before everything else: a fetch reads nothing that a program writes."""
    fetched = [i for i in instructions if i.kind == "fetch"]
    return [*fetched, *[i for i in instructions if i.kind != "fetch"]]


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
        if is_new(instruction) and len(users.get(instruction.outs[0].buffer.number, ())) == 1 and moves(instruction):
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


def is_product(instruction: Instruction) -> bool:
    """Say whether an instruction multiplies matrices."""
    return (
        instruction.function in PRODUCTS
        and not instruction.kwargs
        and len(instruction.reads) == 2
        and all(len(value.shape) == 2 for value in instruction.reads)
    ) or is_outer(instruction)


def is_outer(instruction: Instruction) -> bool:
    """Say whether an instruction makes a large array of products of two small ones."""
    if instruction.kwargs or len(instruction.reads) != 2 or len(instruction.args) != 2:
        return False
    one = instruction.function in PRODUCTS and instruction.reads[0].shape[-1:] == (1,)
    multiplies = instruction.function in (np.multiply, np.outer) or one
    return multiplies and instruction.outs[0].size > sum(value.size for value in instruction.reads)
