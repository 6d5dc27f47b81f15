"""Which memory of a reverse pass is the gradient of which of the forward pass: ``d_h`` of ``h``.

No instruction says so.  It is found from what the call leaves as gradients, and from the lines of the user's program
that instructions of both passes have in common.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, groupby
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
    names = {
        value.buffer.number: f"d_{name}"
        for value, name in roots
        if value.buffer.number in made and value.is_whole
    }
    for members, origin in _pairs(instructions):
        _name_cotangent(members, origin, name_of, made, names)
    _name_steps(instructions, made, name_of, names)
    _name_shadows(instructions, name_of, names)
    return names


def _pairs(instructions: list[Instruction]) -> list[tuple[list[Instruction], list[Instruction]]]:
    """Return what differentiates each operation, and the operation: an operation of a loop is differentiated as often.

    The last time that it was done is differentiated first.
    """
    forward, backward = _times(instructions, "forward"), _times(instructions, "backward")
    return [
        pair
        for place, times in backward.items()
        if len(times) == len(forward.get(place, ()))
        for pair in zip(times, reversed(forward[place]), strict=True)
    ]


def _times(instructions: list[Instruction], phase: str) -> dict[Any, list[list[Instruction]]]:
    """Return, per place in the user's code, the instructions of each time that it was come by."""
    found: dict[Any, list[list[Instruction]]] = {}
    members = [i for i in instructions if i.phase == phase and i.kind != "guard"]
    for place, group in groupby(members, key=lambda i: (i.code, i.lasti)):
        found.setdefault(place, []).append(list(group))
    return found


def _name_cotangent(
    members: list[Instruction],
    origin: list[Instruction],
    name_of: Callable[[Buffer], str | None],
    made: set[int],
    names: dict[int, str],
) -> None:
    """Name what is read of the backward pass, in the shape of the only result of an operation that has a name."""
    outs = [out for i in origin if i.fresh for out in i.outs]
    results = [(out, name) for out in outs if (name := name_of(out.buffer)) is not None]
    if len(results) != 1:
        return
    result, name = results[0]
    own = {out.buffer.number for i in members for out in i.outs}
    read = [v for i in members for v in i.reads if v.is_whole and result.dtype in (v.dtype, v.buffer.dtype)]
    given = {v.buffer.number for v in read if result.shape in (v.shape, v.buffer.shape)} & made - own
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
    instructions: list[Instruction], name_of: Callable[[Buffer], str | None], names: dict[int, str]
) -> None:
    """Name gradients that are added up in place: one has the form of the only memory of its line with that form."""
    touched: dict[Any, dict[int, Buffer]] = {}
    for instruction in instructions:
        for value in (*instruction.reads, *instruction.outs) if instruction.phase == "forward" else ():
            key = instruction.line, value.buffer.shape, value.buffer.dtype
            touched.setdefault(key, {})[value.buffer.number] = value.buffer
    for instruction in instructions:
        for out in instruction.outs if instruction.phase == "backward" and not instruction.fresh else ():
            alike = touched.get((instruction.line, out.buffer.shape, out.buffer.dtype), {})
            if len(alike) == 1 and out.buffer.number not in alike:
                name = name_of(next(iter(alike.values())))
                if name is not None and f"d_{name}" not in names.values():
                    names.setdefault(out.buffer.number, f"d_{name}")


def matching(shapes: list[tuple[int, ...]], arguments: list[tuple[tuple[int, ...], str]]) -> list[str]:
    """Return the names of the arguments that have some shapes, in order: the first ones, or the only that fit."""
    if len(arguments) > 12:
        return []
    found = [
        [name for _, name in chosen]
        for chosen in combinations(arguments, len(shapes))
        if [shape for shape, _ in chosen] == shapes
    ]
    first = [name for _, name in arguments[: len(shapes)]]
    return first if first in found else found[0] if len(found) == 1 else []
