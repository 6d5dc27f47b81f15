"""A program as a module of straight-line NumPy that a person can read, and that runs on its own.

It is written from the instructions as they are before memory is planned: operators in the place of ufuncs, views as
indices, the names of the user's program, and beside every line the line of that program which caused it.  What is
used once, on the line that made it, is written where it is used.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy import ndarray

from mytorch.replay.errors import ReplayError
from mytorch.replay.instructions import (
    ARGUMENT,
    OUTSIDE,
    Instruction,
    Value,
)
from mytorch.replay.passes.simplify import varies
from mytorch.replay.record.notes import Raises
from mytorch.replay.record.recorder import WRITERS, call_into, setitem
from mytorch.replay.source import literals, spelling
from mytorch.replay.source.layout import Row, laid_out, phases
from mytorch.replay.source.spelling import Expr
from mytorch.replay.source.terms import Base, Terms
from mytorch.rules.masks import CHOICES

if TYPE_CHECKING:
    from mytorch.replay.program import Program


class Module(NamedTuple):
    """The text of a program, and the arrays that belong in the file beside it."""

    text: str
    arrays: dict[str, ndarray]


def printed(program: Program, beside: str | None = None) -> Module:
    """Return a program as the text of a module.

    Parameters
    ----------
    program : the program
    beside : the name of the ``.npz`` file that the text loads its arrays from (None: named after the function)

    Raises
    ------
    ReplayError
        If an instruction cannot be written with NumPy alone; the message names it and its line.
    """
    return _Printer(program).module(beside)


class _Printer(Terms):
    """Writes one program."""

    # -- lines -----------------------------------------------------------------------------------------------

    def write_steps(self) -> None:
        """Write the lines of all instructions."""
        block = "", 0  # the error state that the last lines are under, and where they end
        for position, instruction in enumerate(self.instructions):
            self.current = instruction
            start = len(self.rows)
            if instruction.fresh and instruction.kind in ("ufunc", "call"):
                self._fresh(position, instruction)
            elif instruction.kind == "ufunc":
                self._in_place(instruction)
            else:
                {"guard": self._guard, "write": self._write, "random": self._random, "fetch": self._fetch}[
                    instruction.kind
                ](instruction)
            if instruction.errors is not None and len(self.rows) > start:
                under = Row(f"with np.errstate({spelling.error_state(instruction.errors)}):", instruction)
                rows = [row._replace(text="    " + row.text) for row in self.rows[start:]]
                self.rows[start:] = rows if block == (under.text, start) else [under, *rows]
                block = under.text, len(self.rows)

    def _fresh(self, position: int, instruction: Instruction) -> None:
        expression = spelling.call(instruction, self.term, self.operand)
        if varies(instruction):
            self._assign(instruction, expression)
            forms = [(self.term(out).text, out) for out in instruction.outs]
            known = [
                f"{name}.shape != {out.shape} or {name}.dtype != {str(out.dtype)!r}" for name, out in forms
            ]
            self._check(" or ".join(known), instruction)
        elif position in self.inline:
            self.pending[instruction.outs[0].buffer.number] = expression, instruction
        else:
            self._assign(instruction, expression)

    def _in_place(self, instruction: Instruction) -> None:
        """Write a ufunc whose result goes to memory that is there already."""
        if instruction.kwargs.get("casting") == "same_kind":  # which is what NumPy does
            kwargs = {key: x for key, x in instruction.kwargs.items() if key != "casting"}
            instruction = instruction.twin(kwargs=kwargs)
        found = spelling.augmented(instruction)
        if found is not None:
            sign, other = found
            operand = self.operand(instruction, other)
            if sign in "+-" and operand.opposite is not None and instruction.outs[0].dtype.kind in "fc":
                sign, operand = "-" if sign == "+" else "+", operand.opposite
            target = self.term(instruction.outs[0], "place").text
            target = target if target.isidentifier() or target.endswith("]") else f"{target}[...]"
            self._row(f"{target} {sign}= {operand.text}")
            return
        plain = not instruction.kwargs and len(instruction.outs) == 1
        if plain and (isinstance(instruction.function, np.ufunc) or instruction.function in CHOICES):
            expression = spelling.call(instruction, self.term, self.operand)
            self._row(f"{self._target(instruction.outs[0])} = {expression.text}")
            return
        outs = [self.term(out, "array").text for out in instruction.outs]
        given = outs[0] if len(outs) == 1 else f"({', '.join(outs)})"
        text = spelling.function_text(instruction.function, instruction)
        self._row(
            f"{text}({spelling.arguments(instruction.args, instruction.kwargs, self.term)}, out={given})"
        )

    def _target(self, place: Value) -> str:
        """Return a place as it stands on the left of an assignment."""
        text = self.term(place, "place").text
        return (
            text if (text.endswith("]") and not text.startswith("grads[")) or "][" in text else f"{text}[...]"
        )

    def _write(self, instruction: Instruction) -> None:
        """Write a call that changes its first argument."""
        function, args, kwargs = instruction.function, instruction.args, instruction.kwargs
        if function is np.copyto and len(args) == 2 and kwargs.keys() <= {"casting"}:
            self._store(instruction)
        elif function is setitem:
            value = spelling.argument(args[2], self.term)
            index = spelling.index_text(args[1], self.term)
            target = self.term(args[0], "array").atom
            self._row(f"{target}[{index}] = {value}")
        elif function is call_into:
            call = instruction.twin(function=args[1], args=args[2:])
            words = spelling.arguments(call.args, kwargs, self.term)
            self._row(f"{self._function(call)}({words}, out={self.term(args[0], 'array').text})")
        elif spelling.is_method(function):
            words = spelling.arguments(args[1:], kwargs, self.term)
            target = self.term(args[0], "array").atom
            self._row(f"{target}.{function.__name__}({words})")
        elif function.__name__ == "at" and not kwargs:
            self._at(instruction)
        else:
            words = spelling.arguments(args[1:], kwargs, self.term)
            given = self.term(args[0], "array").text
            self._row(f"{self._function(instruction)}({', '.join(filter(None, [given, words]))})")

    def _at(self, instruction: Instruction) -> None:
        """Write a sum at places of an array, to which a number is added as it is."""
        target, index, *operands = instruction.args
        parts = index if isinstance(index, tuple) else (index,)
        where = spelling.argument(index, self.term)
        if not any(isinstance(part, slice | list | tuple) for part in parts):
            where = spelling.index_text(index, self.term)
            where = f"({where})" if len(parts) > 1 else where
        texts = [where]
        for x in operands:
            entry = x.array.reshape(-1)[0] if isinstance(x, Value) and self._is_number(x) else x
            bare = isinstance(entry, np.floating) and target.dtype == entry.dtype
            texts.append(literals.short(entry) if bare else spelling.argument(x, self.term))
        given = self.term(target, "array").text
        self._row(f"{self._function(instruction)}({', '.join([given, *texts])})")

    def _store(self, instruction: Instruction) -> None:
        """Write an assignment to a place in memory."""
        place, value = instruction.args
        if isinstance(value, Value) and value.key == place.key:
            return
        is_fresh = isinstance(value, Value) and value.buffer.number in self.pending
        text = self.operand(_as_ufunc(instruction), 1).text
        new = place.buffer.number not in self.bases and place.is_whole and place.is_contiguous and place.shape
        if not new:
            self._row(f"{self._target(place)} = {text}")
            return
        name = self.name_of(place, instruction)  # nobody has seen the first values
        filled = _filled(place, text)
        if (
            isinstance(value, Value)
            and (value.shape, value.dtype) == (place.shape, place.dtype)
            and not is_fresh
        ):
            filled = f"{self.term(value).atom}.copy()"
        if filled is None:
            self._row(f"{name} = np.empty({place.shape}, dtype={literals.dtype_text(place.dtype)})")
            self._row(f"{name}[...] = {text}")
        else:
            self._row(f"{name} = {filled}")
        self.bases.setdefault(place.buffer.number, []).append(Base(name, place.array, place.offset))

    def _function(self, instruction: Instruction) -> str:
        owner = getattr(instruction.function, "__self__", None)
        generator = self.outside.generator(owner)
        if generator is not None:
            return f"{generator}.{instruction.function.__name__}"
        return spelling.function_text(instruction.function, instruction)

    def _random(self, instruction: Instruction) -> None:
        """Write a draw."""
        text = f"{self._function(instruction)}({spelling.arguments(instruction.args, instruction.kwargs, self.term)})"
        if not instruction.outs:
            self._row(text)
            return
        out = instruction.outs[0]
        self._assign(instruction, Expr(text if out.shape else f"{literals.dtype_text(out.dtype)}({text})"))

    def _fetch(self, instruction: Instruction) -> None:
        """A number that lives outside has a name already."""
        out = instruction.outs[0]
        name = self.outside.number_name(*instruction.args)
        self.bases[out.buffer.number] = [Base(name, out.array, out.offset)]

    def _guard(self, instruction: Instruction) -> None:
        """Write a check that Python would decide as it did."""
        if isinstance(instruction.function, Raises):
            self._caught(instruction, instruction.function)
        else:
            self._check(spelling.decision(instruction, self.term), instruction)

    def _caught(self, instruction: Instruction, asked: Raises) -> None:
        """Write a check that a call fails as it did, with an error that the function caught."""
        call = instruction.twin(function=asked.function)
        if asked.function in WRITERS or "out" in instruction.kwargs:
            raise ReplayError(
                f"{instruction.name}, recorded at {instruction.line}, which the function caught, has no spelling: the "
                "call writes to memory; the program can be replayed, but not printed"
            )
        text = spelling.call(call, self.term, lambda i, k: Expr(spelling.argument(i.args[k], self.term))).text
        error = spelling.error_text(instruction.expected)
        for line in (
            "try:",
            f"    {text}",
            f"except {error}:",
            "    pass",
            "else:",
            self._other_branch(instruction),
        ):
            self._row(line)

    def _check(self, condition: str, instruction: Instruction) -> None:
        if len(self.rows) > 1 and self.rows[-2].text == f"if {condition}:":
            return  # asked just now
        self._row(f"if {condition}:")
        self._row(self._other_branch(instruction))

    def _other_branch(self, instruction: Instruction) -> str:
        where = instruction.line.replace("\\", "/").rsplit("/", 1)[-1]
        return f'    raise RuntimeError("another branch than the recorded one, at {where}")'

    # -- the end ---------------------------------------------------------------------------------------------

    def write_end(self) -> None:
        """Write what the call leaves behind, and what it returns."""
        self.current = self.instructions[-1] if self.instructions else None
        pairs = []
        for tensor, value in self.recording.after:
            key = self.outside.tensor_name(tensor)
            text = "None" if value is None else self._lasting(self.final[id(value)])
            if text != f'grads["{key}"]':
                pairs.append(f"{key}={text}")
        self.has_gradients = any(not pair.endswith("=None") for pair in pairs) or bool(self.outside.gradients)
        if self.has_gradients and pairs:
            for line in textwrap.wrap(f"grads.update({', '.join(pairs)})", 100, subsequent_indent=" " * 13):
                self.rows.append(Row(line, None))
        for cell, leaf in self.assigned:
            name = self.outside.assigned(cell)
            self.rows.append(Row(f"{name} = {self._result(leaf)}", None))
        texts = iter([self._result(leaf) for leaf in self.recording.leaves])
        text = self._tree(self.recording.structure, texts)
        if self.recording.structure.kind is tuple and len(self.recording.structure.children) > 1:
            text = text[1:-1]
        self.rows.append(Row(f"return {text}", None))

    def _lasting(self, value: Value) -> str:
        """Return a value that nobody else will change."""
        text = self.term(value).text
        free = value.buffer.kind not in (ARGUMENT, OUTSIDE)
        return text if free else f"{text}.copy()"

    def _result(self, leaf: Any) -> str:
        if leaf.kind == "constant":
            return spelling.argument(leaf.what, self.term)
        if leaf.kind == "argument":
            return self.leaf_names[leaf.what]
        value = self.final[id(leaf.what)]
        shared = sum(v.buffer.number == value.buffer.number for v in self.final.values()) > 1
        text = self.term(value).text
        if leaf.kind == "plain":
            return f"{'float' if value.dtype.kind == 'f' else 'int'}({text})"
        if value.buffer.number in self.constants_numbers():
            return f"{text}.copy()"
        if leaf.kind == "array" and not value.shape and (shared or value.buffer.kind in (ARGUMENT, OUTSIDE)):
            return f"np.array({text})"
        return (
            f"{text}.copy()" if value.shape and (shared or value.buffer.kind in (ARGUMENT, OUTSIDE)) else text
        )

    def constants_numbers(self) -> set[int]:
        """Return the memories that are constants of the module."""
        return {key[0] for key in self.constants}

    def _tree(self, structure: Any, leaves: Any) -> str:
        """Return the result in its structure."""
        if structure.kind is None:
            return str(next(leaves))
        children = [self._tree(child, leaves) for child in structure.children]
        if structure.kind is list:
            return f"[{', '.join(children)}]"
        if structure.kind is type(None):
            return "None"
        if issubclass(structure.kind, dict):
            pairs = zip(structure.keys, children, strict=True)
            return (
                "{" + ", ".join(f"{spelling.argument(key, self.term)}: {child}" for key, child in pairs) + "}"
            )
        return f"({children[0]},)" if len(children) == 1 else f"({', '.join(children)})"

    # -- the module ------------------------------------------------------------------------------------------

    def module(self, beside: str | None) -> Module:
        """Return the text of the module, and the arrays that it loads."""
        self.write_steps()
        self.write_end()
        state = self.outside.state_lines(self.arrays, self.has_gradients)
        arguments = self.outside.unpacking(self.parameters, self.leaf_names)
        body = laid_out(self.rows)
        changed = textwrap.wrap(", ".join(self.outside.rebound(set(self.written))), 96)
        head = [f"global {line.rstrip(',')}" for line in changed]
        arguments += [""] if arguments or head else []
        lines = [
            f'"""{self._title()}"""',
            "",
            *(["from pathlib import Path", ""] if self.arrays and beside else []),
        ]
        lines += ["import numpy as np", ""]
        if self.arrays:
            lines += [f"with np.load({self._file(beside)}) as file:", "    saved = dict(file)", ""]
        if state:
            lines += ["# What outlives a call.", *state, ""]
        if self.constant_lines:
            lines += ["# Constants.", *self.constant_lines, ""]
        lines += ["", f"def {self.function_name}({', '.join(self.parameters)}):"]
        lines += ["    " + line if line else "" for line in (*head, *arguments, *body)]
        lines += ["", "", *self.outside.example(self.function_name)]
        return Module("\n".join(lines) + "\n", self.arrays)

    def _title(self) -> str:
        found = phases(self.rows)
        what = ", ".join(phase for phase in ("forward", "backward", "update") if phase in found)
        return f"{self.function_name} as straight-line NumPy: {what or 'nothing to compute'}."

    def _file(self, beside: str | None) -> str:
        name = beside or f"{self.function_name}.npz"
        return f'Path(__file__).with_name("{name}")' if beside else f'"{name}"'


def _filled(place: Value, text: str) -> str | None:
    """Return the call that makes an array of one number (None: `text` is no number)."""
    try:
        number = float(text)
    except ValueError:
        return None
    return literals.array_text(np.full(place.shape, number, place.dtype))


def _as_ufunc(instruction: Instruction) -> Instruction:
    """Return an assignment as an operation on what is there, of which a constant can be one number."""
    return instruction.twin(function=np.add)


__all__ = ["Module", "ReplayError", "printed"]
