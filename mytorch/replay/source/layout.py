"""The lines of a printed program under headings, each with the line of the user's program that caused it.

In: rows of text, each with its instruction.  Out: the lines of forward, backward and update, comments in one column.
"""

from __future__ import annotations

import linecache
from typing import NamedTuple

from mytorch.replay.instructions import OUTSIDE, Instruction

WIDTH = 106  # of a line within the function, which is indented by four
COLUMN = 66  # where comments begin at the latest


class Row(NamedTuple):
    """A line of the program, and the instruction that it comes from."""

    text: str
    instruction: Instruction | None

    @property
    def phase(self) -> str:
        """The phase of the instruction; a question that Python asks belongs to whatever is going on."""
        return "" if self.instruction is None or self.instruction.kind == "guard" else self.instruction.phase


def laid_out(rows: list[Row]) -> list[str]:
    """Return the lines of a function's body: sections by phase, with comments in one column."""
    sections: list[tuple[str, list[Row]]] = []
    for row, phase in zip(rows, phases(rows), strict=True):
        if not sections or sections[-1][0] != phase:
            sections.append((phase, []))
        sections[-1][1].append(row)
    lines: list[str] = []
    for phase, members in sections:
        lines += [""] if lines else []
        lines += [f"# -- {phase} ".ljust(WIDTH - 1, "-")] if phase else []
        lines += _section(members)
    return lines


def phases(rows: list[Row]) -> list[str]:
    """Return the phase of every row: what follows a backward pass and writes to memory outside is an update."""
    found: list[str] = []
    after = False
    for position, row in enumerate(rows):
        phase = row.phase
        if row.instruction is None:
            phase = ""
        elif not phase:
            phase = found[-1] if found else "forward"
        elif phase == "forward" and after:
            phase = "update" if _writes_outside(rows[position:]) else found[-1]
        after = after or phase == "backward"
        found.append(phase)
    return found


def _writes_outside(rows: list[Row]) -> bool:
    """Say whether an instruction, before the next backward pass, writes to memory outside."""
    for row in rows:
        if row.phase == "backward":
            return False
        outs = () if row.instruction is None or row.instruction.fresh else row.instruction.outs
        if any(out.buffer.kind == OUTSIDE for out in outs):
            return True
    return False


def origin(instruction: Instruction) -> tuple[str, str]:
    """Return the place of a line, as ``file:line``, and its text."""
    path, _, line = instruction.line.rpartition(":")
    name = path.replace("\\", "/").rsplit("/", 1)[-1]
    text = linecache.getline(path, int(line)).strip() if line.isdigit() else ""
    return f"{name}:{line}" if path else instruction.line, text


def _section(rows: list[Row]) -> list[str]:
    """Return lines with their comments; lines that come from one line are a group, and its text stands once."""
    column = max(
        [n for n in (len(row.text) + 2 for row in rows if row.instruction is not None) if n <= COLUMN],
        default=0,
    )
    lines: list[str] = []
    before = ""
    for row in rows:
        if row.instruction is None or row.text.lstrip().startswith("raise "):
            lines.append(row.text)
            continue
        place, text = origin(row.instruction)
        again = place == before
        comment = f"# {place}" if again else f"# {place}  {text}".rstrip()
        before = place
        if len(row.text) + 2 <= column or (again and len(f"{row.text}  {comment}") <= WIDTH):
            lines.append(f"{row.text.ljust(column - 2)}  {_cut(comment, WIDTH - column)}")
        else:
            indent = row.text[: len(row.text) - len(row.text.lstrip())]
            lines += [indent + _cut(comment, WIDTH - len(indent)), row.text]
    return lines


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3].rstrip() + "..."
