"""Which results get no line of their own: they are written where they are used.

That is so for what has no name and is used once, on the line of the user's that made it, with no write in between.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

from mytorch.replay.instructions import Instruction
from mytorch.replay.source import spelling


def used_at_once(instructions: Sequence[Instruction], kept: Container[int]) -> set[int]:
    """Return the positions of instructions that are written where their result is used.

    `kept` are the memories that have a name, are written again, or are asked for at the end.
    """
    readers: dict[int, list[int]] = {}
    for position, instruction in enumerate(instructions):
        for value in instruction.reads:
            readers.setdefault(value.buffer.number, []).append(position)
    found: set[int] = set()
    sources: dict[int, set[int]] = {}  # per memory, those that its expression reads
    for position, instruction in enumerate(instructions):
        read = {v.buffer.number for v in instruction.reads}
        read |= {n for k in read for n in sources.get(k, ())}
        if not _is_expression(instruction):
            continue
        number = instruction.outs[0].buffer.number
        if number in kept or len(readers.get(number, ())) != 1:
            continue
        user = instructions[readers[number][0]]
        if user.line != instruction.line or (user.phase != instruction.phase and user.kind != "guard"):
            continue
        twice = spelling.repeated(user)
        if twice is not None and twice.buffer.number == number:
            continue
        between = instructions[position + 1 : readers[number][0]]
        if user.errors is None and not any(
            o.buffer.number in read for i in between if not i.fresh for o in i.outs
        ):
            found.add(position)
            sources[number] = read
    return found


def _is_expression(instruction: Instruction) -> bool:
    """Say whether an instruction can be part of a larger expression: it does nothing but give one result."""
    return (
        instruction.kind in ("ufunc", "call")
        and instruction.fresh
        and len(instruction.outs) == 1
        and instruction.errors is None
        and not spelling.gives_tuple(instruction)
    )
