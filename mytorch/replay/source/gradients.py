"""Which memory of a reverse pass is the gradient of which of the forward pass: ``d_h`` of ``h``.

No instruction says so.  It is found from what the call leaves as gradients, and from the lines of the user's program
that instructions of both passes have in common.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any

from mytorch.replay.instructions import OUTSIDE, Buffer, Instruction, Value


def gradient_names(
    instructions: list[Instruction], roots: list[tuple[Value, str]], name_of: Callable[[Buffer], str | None]
) -> dict[int, str]:
    """Return, per memory's number, ``d_x`` where it is the gradient of what is called x.

    Parameters
    ----------
    roots : values that are gradients, and the names of what they are gradients of
    name_of : gives the name of a memory of the forward pass (None: it has none)

    Notes
    -----
    The instructions of a rule have the line of the operation that they differentiate.  What they read of the
    backward pass, in the shape of the operation's result, is the gradient of that result.
    """
    made = {out.buffer.number for i in instructions if i.phase == "backward" for out in i.outs}
    names = {value.buffer.number: f"d_{name}" for value, name in roots if value.buffer.number in made}
    results = _results(instructions, name_of)
    backward = [i for i in instructions if i.phase == "backward" and i.kind != "guard"]
    for place, group in groupby(backward, key=_place):
        members = list(group)
        found = results.get(place, [])
        if len(found) == 1:
            _name_cotangent(members, found[0][0], found[0][1], made, names)
    _name_steps(instructions, made, name_of, names)
    _name_shadows(backward, instructions, name_of, names)
    return names


def _place(instruction: Instruction) -> Any:
    return instruction.code, instruction.lasti


def _results(
    instructions: list[Instruction], name_of: Callable[[Buffer], str | None]
) -> dict[Any, list[tuple[Value, str]]]:
    """Return, per place in the user's code, the named results of the forward pass that were made there."""
    results: dict[Any, list[tuple[Value, str]]] = {}
    for instruction in instructions:
        for out in instruction.outs if instruction.phase == "forward" and instruction.fresh else ():
            name = name_of(out.buffer)
            if name is not None:
                results.setdefault(_place(instruction), []).append((out, name))
    return results


def _name_cotangent(
    members: list[Instruction], result: Value, name: str, made: set[int], names: dict[int, str]
) -> None:
    own = {out.buffer.number for i in members for out in i.outs}
    read = {value.buffer.number for i in members for value in i.reads if value.shape == result.shape}
    given = (read & made) - own
    if len(given) == 1:
        names.setdefault(given.pop(), f"d_{name}")


def _name_steps(
    instructions: list[Instruction],
    made: set[int],
    name_of: Callable[[Buffer], str | None],
    names: dict[int, str],
) -> None:
    """Name the gradients along which parameters are stepped: what the step reads of the backward pass."""
    makers = {o.buffer.number: i for i in instructions if i.fresh and i.phase != "backward" for o in i.outs}
    for instruction in instructions:
        target = instruction.outs[0].buffer if instruction.outs and not instruction.fresh else None
        if target is None or target.kind != OUTSIDE or not target.tensors or instruction.phase == "backward":
            continue
        found: set[int] = set()
        waiting = [value.buffer.number for value in instruction.reads]
        while waiting:
            number = waiting.pop()
            if number in made:
                found.add(number)
            elif number in makers:
                waiting += [value.buffer.number for value in makers[number].reads]
        name = name_of(target)
        if len(found) == 1 and name is not None:
            names.setdefault(found.pop(), f"d_{name}")


def _name_shadows(
    backward: list[Instruction],
    instructions: list[Instruction],
    name_of: Callable[[Buffer], str | None],
    names: dict[int, str],
) -> None:
    """Name gradients that are added up in place: one has the shape of the only memory of its lines without one."""
    touched: dict[Any, dict[int, Buffer]] = {}
    for instruction in instructions:
        if instruction.phase == "forward":
            for value in (*instruction.reads, *instruction.outs):
                touched.setdefault(instruction.line, {})[value.buffer.number] = value.buffer
    for instruction in backward:
        for out in () if instruction.fresh else instruction.outs:
            number, shape = out.buffer.number, out.buffer.owner.shape
            if number in names:
                continue
            near = [b for b in touched.get(instruction.line, {}).values() if b.owner.shape == shape and shape]
            known = {name_of(b) for b in near} - {None}
            free = [name for name in known if f"d_{name}" not in names.values()]
            if len(free) == 1:
                names[number] = f"d_{free[0]}"
