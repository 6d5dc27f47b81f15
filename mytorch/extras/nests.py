"""Loops that can be joined: steps that follow each other and go over the same entries become a `Nest`.

The intermediate values of a nest never reach memory.  That is safe where every entry that two of its steps share, one
of them writing, is met by both in the same turn of the loop; the addresses are known, so this is proved and not hoped
for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mytorch.extras.loops import Step
from mytorch.replay.instructions import TEMPORARY

if TYPE_CHECKING:
    from mytorch.replay.program import Program


@dataclass
class Nest:
    """Steps in one loop."""

    steps: list[Step] = field(default_factory=list)

    @property
    def shape(self) -> tuple[int, ...]:
        """The entries that the loop goes over."""
        return self.steps[0].shape

    @property
    def kept(self) -> int | None:
        """How many leading axes the reductions keep (None: there are none)."""
        return next((step.kept for step in self.steps if step.kind == "reduce"), None)

    @property
    def is_apart(self) -> bool:
        """Whether what it writes meets nothing that lies elsewhere."""
        operands = [x for step in self.steps for x in (*step.operands, step.out)]
        return not any(
            step.out.meets(x) and step.out.place != x.place for step in self.steps for x in operands
        )

    def takes(self, step: Step) -> bool:
        """Whether a step can run in this loop, after the others in every turn."""
        first = self.steps[0]
        if "product" in (step.kind, first.kind) or step.shape != self.shape:
            return False
        if step.kind == "reduce" and (step.kept < 0 or self.kept not in (None, step.kept)):
            return False
        if self.kept is not None and self.kept < 0:
            return False
        late = step.kind == "reduce" and step.kept == 0  # is written when the loop is over
        for earlier in self.steps:
            if any(earlier.out.meets(x) and not earlier.out.agrees(x) for x in step.operands):
                return False
            if earlier.kind == "reduce" and any(earlier.out.meets(x) for x in (*step.operands, step.out)):
                return False
            if late:
                continue
            if any(x.meets(step.out) and not x.agrees(step.out) for x in (*earlier.operands, earlier.out)):
                return False
            if step.kind == "reduce" and any(x.meets(step.out) for x in earlier.operands):
                return False
        return True


def nests(steps: list[Step]) -> list[Nest]:
    """Join steps that follow each other, wherever it is safe."""
    found: list[Nest] = []
    for step in steps:
        if found and found[-1].takes(step):
            found[-1].steps.append(step)
        else:
            found.append(Nest([step]))
    return found


class Readers:
    """Who reads what in a program."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.roots = {root.buffer.number for root in program.planned.roots}
        self.positions: dict[int, list[int]] = {}
        for position, instruction in enumerate(program.instructions):
            for value in instruction.reads:
                self.positions.setdefault(value.buffer.number, []).append(position)

    def outside(self, nest: Nest, step: Step) -> bool:
        """Say whether anybody outside of a loop reads what a step of it writes."""
        buffer = self.program.instructions[step.position].outs[0].buffer
        if buffer.kind != TEMPORARY or buffer.number in self.roots:
            return True
        inside = {s.position: s for s in nest.steps}
        for position in self.positions.get(buffer.number, ()):
            if position <= step.position:
                continue
            reader = inside.get(position)
            if reader is None or any(
                x.buffer == buffer.number and not x.agrees(step.out) for x in reader.operands
            ):
                return True
        return False
