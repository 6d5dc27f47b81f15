"""What stands for values in a printed program: names, indices of arrays, constants, expressions that get no line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy import ndarray

from mytorch.replay.instructions import (
    ARGUMENT,
    INSIDE,
    OUTSIDE,
    TEMPORARY,
    Buffer,
    Instruction,
    Value,
    last_writes,
)
from mytorch.replay.source import literals, spelling
from mytorch.replay.source.gradients import gradient_names, matching
from mytorch.replay.source.inlining import used_at_once
from mytorch.replay.source.layout import Row
from mytorch.replay.source.naming import Names, argument_names, identifier, inner, user_names
from mytorch.replay.source.operands import gives_shape, literal, narrow, spreads, stays
from mytorch.replay.source.outside import Outside
from mytorch.replay.source.rewriting import rewritten
from mytorch.replay.source.spelling import Expr
from mytorch.replay.source.viewing import Place, spelled

if TYPE_CHECKING:
    from mytorch.replay.program import Program

LONG = 56  # characters of an expression that gets a line of its own
LENGTHY = 32  # characters of a view that gets one where it is used twice
BRIEF = 28  # characters of a constant that needs no name
PREFIXES = {"forward": "t", "backward": "g", "update": "s"}


class Base(NamedTuple):
    """An array with a name: where it begins in its memory, and how it lies there."""

    text: str
    array: ndarray
    offset: int


class Terms:
    """The names and expressions of one program's values.

    Attributes
    ----------
    instructions : the program as it is printed; `final` are the values that it leaves, by the identity of the recorded
    rows : the lines that are written; `current` is the instruction that they are written for
    bases : per memory's number, the arrays with a name that show it
    pending : by the same, expressions that are written where they are used
    views : names of views, by their keys, and `constants` of constant arrays
    """

    def __init__(self, program: Program) -> None:
        self.program, self.recording = program, program.recording
        # What this package's modules remember is of no use without them.
        self.assigned = [
            (cell, leaf) for cell, leaf in self.recording.assigned if not _is_ours(cell.container)
        ]
        listing = rewritten(program.listing)
        self.instructions = [self._placed(instruction) for instruction in listing.instructions]
        self.final = dict(zip(program.final, listing.roots, strict=True))
        left_out = {id(leaf.what) for _, leaf in self.recording.assigned} - {
            id(leaf.what) for _, leaf in self.assigned
        }
        left_out -= {id(leaf.what) for leaf in self.recording.leaves} | {
            id(value) for _, value in self.recording.after
        }
        self.final = {key: root for key, root in self.final.items() if key not in left_out}
        self.roots = {root.buffer.number for root in listing.roots}
        self.written = last_writes(self.instructions)
        self.rows: list[Row] = []
        self.pending: dict[int, tuple[Expr, Instruction]] = {}
        self.bases: dict[int, list[Base]] = {}
        self.uses = Counter(value.key for value in self._seen())
        self.views: dict[Any, str] = {}  # names of views, by their keys
        self.constants: dict[Any, str] = {}
        self.constant_lines: list[str] = []
        self.kept: dict[str, str] = {}  # their names, by their text
        self.arrays: dict[str, ndarray] = {}
        self.current: Instruction | None = None
        self._name_everything()
        named = self.user.keys() | self.gradients.keys()
        self.inline = used_at_once(self.instructions, named | self.written.keys() | self.roots)

    # -- names -----------------------------------------------------------------------------------------------

    def _name_everything(self) -> None:
        function, structure = self.recording.function, self.recording.structure_given
        self.parameters, self.leaf_names = argument_names(function, structure)
        self.names = Names([*self.parameters, *self.leaf_names, "grads", "saved", "file", "Path", "example"])
        name = identifier(getattr(function, "__name__", "") or "program").replace("lambda_", "program")
        self.function_name = self.names.fresh(name)
        for i, buffer in self.recording.arguments.items():
            self._add(buffer, self.leaf_names[i])
        self.outside = Outside(self.recording, self.names, self.leaf_names)
        for buffer in self._outside():
            self._add(buffer, self.outside.array_name(buffer))
        self.outside.numbers(self.instructions)
        raw = self.program.recorded.instructions
        roots = {root.buffer.number for root in self.program.recorded.roots}
        self.made = self._made()
        self.named = self._parameter_names() | self.recording.local_names | user_names(raw, roots)
        self.user = self._unique(self.named)
        self.results = self._result_names()
        self.gradients = gradient_names(self.instructions, self._gradient_roots(), self._forward_name)

    def _seen(self) -> Iterator[Value]:
        """Iterate over the values that the text shows, as often as it does."""
        for instruction in self.instructions:
            yield from instruction.reads
            twice = spelling.repeated(instruction)
            if twice is not None:
                yield twice
        yield from self.final.values()

    def _placed(self, instruction: Instruction) -> Instruction:
        """Return an instruction with a line of the function: what a transform does by itself is caused by its head."""
        if (instruction.code, instruction.lasti) != self.recording.caller:
            return instruction
        code = getattr(inner(self.recording.function), "__code__", None)
        return instruction if code is None else instruction.twin(code=code, lasti=-1)

    def _parameter_names(self) -> dict[int, str]:
        """Return the names that functions which were called have for what they were given.

        A name that also stands for something from outside, of another shape, would mislead.
        """
        known = self.recording.local_names, self.recording.parameter_names
        shapes: dict[str, set[tuple[int, ...]]] = {}
        for number, bases in self.bases.items():
            for name in (bases[0].text, *(names[number] for names in known if number in names)):
                shapes.setdefault(name, set()).add(bases[0].array.shape)
        return {
            number: name
            for number, name in self.recording.parameter_names.items()
            if number in self.made and self.made[number].shape in shapes.get(name, {self.made[number].shape})
        }

    def _made(self) -> dict[int, Buffer]:
        """Return the memories that lines of the function make, in order."""
        values = [value for i in self.instructions for value in (*i.reads, *i.outs)]
        return {
            value.buffer.number: value.buffer
            for value in values
            if value.buffer.kind == TEMPORARY
            or (value.buffer.kind == INSIDE and value.buffer.number in self.written)
        }

    def _unique(self, names: dict[int, str]) -> dict[int, str]:
        """Return the user's names of what is computed, in order, each for one memory: h, h_2, ..."""
        return {n: self.names.fresh(identifier(names[n])) for n in self.made if n in names}

    def _add(self, buffer: Buffer, text: str) -> None:
        whole = Value(buffer, buffer.owner)
        self.bases.setdefault(buffer.number, []).append(Base(text, buffer.owner, whole.offset))

    def _outside(self) -> Iterable[Buffer]:
        """Return the memories outside that have a name or are written to."""
        found: dict[int, Buffer] = {}
        for instruction in self.instructions:
            for value in (*instruction.reads, *instruction.outs):
                found[value.buffer.number] = value.buffer
        for root in self.final.values():
            found[root.buffer.number] = root.buffer
        return [
            b
            for b in found.values()
            if b.number not in self.bases
            and (
                b.kind == ARGUMENT
                or (b.kind == OUTSIDE and (self.outside.knows(b) or b.number in self.written))
            )
        ]

    def _result_names(self) -> dict[int, str]:
        """Return names for results that have none."""
        values = [
            self.final[id(leaf.what)]
            for leaf in self.recording.leaves
            if leaf.kind in ("array", "number", "plain", "tensor")
        ]
        return {
            value.buffer.number: "result" if value.shape else "value" for value in values if value.is_whole
        }

    def _forward_name(self, buffer: Buffer) -> str | None:
        """Return the name that a memory has in the user's program, without the path to it."""
        if buffer.kind == OUTSIDE and buffer.number in self.bases:
            return self.outside.short_name(buffer)
        known = self.bases.get(buffer.number)
        return known[0].text if known else self.user.get(buffer.number)

    def _gradient_roots(self) -> list[tuple[Value, str]]:
        """Return what the call leaves as the gradient of something, and the name of that."""
        named = [
            (self.final[id(value)], self.outside.tensor_name(tensor, short=True))
            for tensor, value in self.recording.after
            if value is not None
        ]
        results = [
            self.final[id(leaf.what)] for leaf in self.recording.leaves if leaf.kind not in ("constant",)
        ]
        made = {o.buffer.number for i in self.instructions if i.phase == "backward" for o in i.outs}
        backward = [value for value in results if value.buffer.number in made]
        shapes = [(buffer.owner.shape, self.leaf_names[i]) for i, buffer in self.recording.arguments.items()]
        if len(results) <= len(backward) + 1:
            named += zip(backward, matching([value.shape for value in backward], shapes), strict=False)
        return named

    def name_of(self, out: Value, instruction: Instruction) -> str:
        """Return a new name for a result."""
        number = out.buffer.number
        if number in self.user and number not in self.gradients:
            return self.user[number]
        known = self.gradients.get(number) or self.results.get(number)
        if known is not None:
            return self.names.fresh(identifier(known))
        return self.names.numbered(PREFIXES[instruction.phase])

    # -- values ----------------------------------------------------------------------------------------------

    def term(self, value: Value, to_write: str = "") -> Expr:
        """Return a value as an expression.

        To be written to it is an "array" also where it is a single entry, or a "place", which may be that.
        """
        number = value.buffer.number
        if number in self.pending:
            expression, maker = self.pending.pop(number)
            if len(expression.text) > LONG:
                self._assign(maker, expression)
            else:
                out = maker.outs[0]
                base = Base(expression.atom, out.array, out.offset)
                return self._view(base, value, to_write, expression)
        if number not in self.bases:
            if value.buffer.kind == OUTSIDE or (value.buffer.kind == INSIDE and number not in self.written):
                return self._constant(value)
            self._make(value.buffer)
        if value.key in self.views and not to_write:
            return Expr(self.views[value.key])
        texts = [self._view(base, value, to_write) for base in self.bases[number]]
        best = min(
            texts, key=lambda text: ("strides" in text.text or "np.ndarray(" in text.text, len(text.text))
        )
        if len(best.text) <= LENGTHY or self.uses[value.key] < 2 or to_write or self.current is None:
            return best
        name = self.views[value.key] = self.names.numbered(PREFIXES[self.current.phase])
        self._row(f"{name} = {best.text}")
        return Expr(name)

    def _view(self, base: Base, value: Value, to_write: str, whole: Expr | None = None) -> Expr:
        place = Place(value.offset, value.shape, value.strides, value.dtype)
        pattern = spelled(base.array, base.offset, place, bool(to_write))
        if pattern == "{}":
            return whole or Expr(base.text)
        text = base.text
        if not base.array.ndim and base.text in self.outside.number_names:
            text = f"np.asarray({text})"
        if to_write == "array" and not value.shape and pattern.endswith("]"):
            pattern = pattern[:-1] + ", ...]"
        return Expr(pattern.replace("{}", text))

    def _make(self, buffer: Buffer) -> None:
        """Write the line that makes memory with its first values."""
        assert self.current is not None
        name = self.name_of(Value(buffer, buffer.owner), self.current)
        initial = buffer.owner if buffer.initial is None else buffer.initial
        text = literals.array_text(initial) if initial.ndim else f"np.array({literals.argument_of(initial)})"
        self._row(f"{name} = {text or self._kept(initial, f'{name}_0') + '.copy()'}")
        self._add(buffer, name)

    def _constant(self, value: Value) -> Expr:
        """Return a constant: a short text, or the name of what stands at the head of the module."""
        array = value.array.copy("K")
        text = literals.pattern(array) if array.ndim else literals.strong(array.flat[0])
        if text is not None and len(text) <= BRIEF:
            return Expr(text)
        name = self.named.get(value.buffer.number)
        if name is not None:  # the user's array, of which others may be views
            self._add(value.buffer, self._kept(value.buffer.owner, name))
            return self.term(value)
        if value.key not in self.constants:
            self.constants[value.key] = self._kept(array, None)
        return Expr(self.constants[value.key])

    def _kept(self, array: ndarray, name: str | None) -> str:
        """Return the name of a constant array at the head of the module."""
        text = literals.array_text(array)
        if text in self.kept:
            return self.kept[text]
        new = self.names.numbered("c") if name is None else self.names.fresh(name)
        self.constant_lines.append(f"{new} = {self.outside.text_of(new, array, self.arrays)}")
        if text is not None:
            self.kept[text] = new
        return new

    def operand(self, instruction: Instruction, position: int) -> Expr:
        """Return an operand of a ufunc: constants that are one number are written as that."""
        x = instruction.args[position]
        entry: Any = x
        if isinstance(x, Value):
            others = [y for i, y in enumerate(instruction.args) if i != position and isinstance(y, Value)]
            others = [y for y in others if not self._is_number(y)]
            if not self._is_number(x) or not spreads(instruction, x, others):
                repeats = gives_shape(instruction, others) and not self._is_constant(x)
                return self.term(narrow(x) if repeats else x)
            entry = x.array.reshape(-1)[0]
        if isinstance(entry, bool | np.bool_) or not isinstance(entry, np.generic | int | float | complex):
            return Expr(spelling.argument(entry, self.term))
        weak = not isinstance(entry, np.generic) or stays(instruction, position, entry)
        if isinstance(entry, np.generic) and not weak:
            return Expr(literals.strong(entry))
        return literal(entry, instruction)

    def _is_number(self, x: Value) -> bool:
        """Say whether a value is a constant all of whose entries are one number."""
        return self._is_constant(x) and literals.is_uniform(x.array)

    def _is_constant(self, x: Value) -> bool:
        number = x.buffer.number
        known = number in self.bases or number in self.pending or number in self.written
        return not known and x.buffer.kind in (INSIDE, OUTSIDE)

    # -- lines that make values ---------------------------------------------------------------------------------

    def _row(self, text: str, instruction: Instruction | None = None) -> None:
        self.rows.append(Row(text, instruction or self.current))

    def _assign(self, instruction: Instruction, expression: Expr) -> None:
        """Write the line that gives results their names."""
        text, targets = expression.text, []
        for out in instruction.outs:
            name = self.name_of(out, instruction)
            targets.append(name)
            self.bases.setdefault(out.buffer.number, []).append(Base(name, out.array, out.offset))
        if len(targets) == 1 and not spelling.gives_tuple(instruction):
            out = instruction.outs[0]
            if not out.shape and out.buffer.number in self.written:
                text = f"np.array({text})"  # a number cannot be written in place
            self._row(f"{targets[0]} = {text}", instruction)
        else:
            self._row(f"{', '.join(targets)}{',' if len(targets) == 1 else ''} = {text}", instruction)


def _is_ours(thing: Any) -> bool:
    return type(thing).__module__.startswith("mytorch.nn.")
