"""The text of a program that runs: straight-line Python, one call a line, every array bound beforehand.

In: a planned program and the calls of its instructions.  Out: the text of a function ``bind(...)``, which is given all
that the text names and returns ``run(*arguments)``.  A program that is too long to be compiled quickly is a loop over
its calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import ndarray

from mytorch import trees
from mytorch.inplace import before_unseen_write
from mytorch.replay.errors import Diverged, Unreplayable
from mytorch.replay.instructions import INSIDE, Instruction, Value, mapped
from mytorch.replay.kernels import check, grad_array, guarded, under, with_keywords
from mytorch.replay.lowering.forms import is_zero, with_arrays
from mytorch.replay.lowering.states import keep_state
from mytorch.tensor import Tensor, wrap

if TYPE_CHECKING:
    from mytorch.replay.program import Program

LONG = 2_000  # instructions from which a program is a loop: to compile its text would take long


class Writer:
    """Writes the text of a program, and collects the objects that it names."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.bound: dict[str, Any] = {}
        self.names: dict[Any, str] = {}
        self.prologue: list[str] = []
        self.parameters = [f"x{i}" for i in range(len(program.recording.arguments))]
        tensors = {number: key for key, number in program.recording.tensors.items()}
        for position, number in enumerate(program.recording.arguments):
            if number in tensors:
                self.names["tensor", tensors[number]] = self.parameters[position] = f"t{position}"
                self.prologue.append(f"x{position} = t{position}._array")
        # Per instruction, the number of its first line; of a loop, minus the number of calls that are left after its
        # first.
        self.places: list[int] = []

    def bind(self, thing: Any, prefix: str) -> str:
        """Return the name of an object."""
        key = id(thing)
        if key not in self.names:
            name = self.names[key] = f"{prefix}{len(self.bound)}"
            self.bound[name] = thing
        return self.names[key]

    def tensor(self, tensor: Tensor) -> str:
        """Return the name of a Tensor, which may be an argument."""
        return self.names.get(("tensor", id(tensor))) or self.bind(tensor, "t")

    def value(self, value: Value) -> str:
        """Return the name of a value's array."""
        if value.key in self.names:
            return self.names[value.key]
        if value.buffer.number in self.program.by_reference:
            return self._reference(value)
        name = self.names[value.key] = self.bind(self.program.real(value), "a")
        return name

    def _reference(self, value: Value) -> str:
        """Return the name of a view of an argument that the caller holds."""
        position = list(self.program.recording.arguments.values()).index(value.buffer)
        parameter = f"x{position}"
        form = value.shape, value.dtype
        if form == (value.buffer.shape, value.buffer.dtype) and value.offset == 0 and value.is_contiguous:
            return parameter
        name = self.names[value.key] = f"v{len(self.names)}"
        make = self.bind(ndarray, "f")
        dtype = self.bind(value.dtype, "d")
        self.prologue.append(
            f"{name} = {make}({value.shape}, {dtype}, {parameter}, {value.offset}, {value.strides})"
        )
        return name

    def text(self) -> str:
        """Return the text."""
        before = [*self._told(), *self._copied_in(), *self._initial(), *self._saved(), *self._refreshed()]
        steps = self._steps()
        end = self._epilogue()
        ahead = [*self.prologue, *before]
        if len(self.program.instructions) <= LONG:
            self.places = [len(ahead) + 3 + n for n in self.places]
        lines = ["def bind(" + ", ".join(self.bound) + "):", f"    def run({', '.join(self.parameters)}):"]
        lines += ["        " + line for line in [*ahead, *steps, *end]]
        lines.append("    return run")
        return "\n".join(lines) + "\n"

    def _told(self) -> list[str]:
        """Tell tapes that read what will be written."""
        lines = []
        for buffer in self.program.outside_written():
            for tensor in buffer.tensors:
                name = self.bind(tensor, "t")
                tell, failed = self.bind(before_unseen_write, "f"), self.bind(Unreplayable, "f")
                lines.append(f"if {name}._saved is not None and not {tell}({name}): raise {failed}")
        return lines

    def _copied_in(self) -> list[str]:
        lines = []
        copyto = self.bind(np.copyto, "f")
        for i, buffer in enumerate(self.program.recording.arguments.values()):
            if buffer.number in self.program.by_reference:
                self.prologue.append(
                    f"if not x{i}.flags.c_contiguous: x{i} = {self.bind(np.ascontiguousarray, 'f')}(x{i})"
                )
            elif buffer.number in self.program.plan.offsets:
                lines.append(f"{copyto}({self.value(Value(buffer, buffer.owner))}, x{i})")
        for tensor, value in self.program.recording.before:
            if value is not None and value.buffer.number in self.program.plan.offsets:
                gradient = self.bind(grad_array, "f")
                lines.append(f"{copyto}({self.value(value)}, {gradient}({self.tensor(tensor)}))")
        return lines

    def _initial(self) -> list[str]:
        """Give memory that the function makes its first values."""
        lines, seen = [], set()
        for instruction in self.program.instructions:
            for value in (*instruction.reads, *instruction.outs):
                buffer = value.buffer
                if (
                    buffer.kind == INSIDE
                    and buffer.number in self.program.plan.offsets
                    and buffer.number not in seen
                ):
                    seen.add(buffer.number)
                    whole = self.value(Value(buffer, buffer.owner))
                    if buffer.initial is not None and is_zero(buffer.initial):
                        lines.append(f"{whole}.fill(0)")
                    else:
                        lines.append(
                            f"{self.bind(np.copyto, 'f')}({whole}, {self.bind(buffer.initial, 'c')})"
                        )
        return lines

    def _saved(self) -> list[str]:
        copyto = self.bind(np.copyto, "f")
        lines = [
            f"{copyto}({self.bind(copy, 'c')}, {self.bind(owner, 'c')})" for owner, copy in self.program.saved
        ]
        keep = self.bind(keep_state, "f")
        lines += [f"{keep}({self.bind(p, 'c')}, {self.bind(g, 'c')})" for g, p in self.program.states]
        return [*lines, f"{self.bind(self.program.kept, 'c')}[0] = True"] if lines else []

    def _refreshed(self) -> list[str]:
        """Compute what depends on numbers outside, if one has changed."""
        fetches = [
            i.args
            for i in (self.program.instructions[p] for p in self.program.refreshed)
            if i.kind == "fetch"
        ]
        if not fetches:
            return []
        last = self.bind([None] * len(fetches), "c")
        now = [f"{self.bind(owner, 'o')}.{name}" for owner, name in fetches]
        changed = " or ".join(f"{x} is not {last}[{i}]" for i, x in enumerate(now))
        refresh = self.bind(self.program.refresh, "f")
        return [f"if {changed}:", f"    {refresh}()", f"    {last}[:] = {', '.join(now)},"]

    def _steps(self) -> list[str]:
        lines: list[str] = []
        number = 0
        steps = list(zip(self.program.instructions, self.program.forms, strict=True))
        if len(steps) > LONG:
            return self._loop(steps)
        refreshed = set(self.program.refreshed)
        for position, (instruction, form) in enumerate(steps):
            self.places.append(len(lines))
            if position in refreshed:
                continue
            if instruction.kind == "guard":
                new = [self._guard(instruction, number)]
                number += 1
            else:
                new = [self._call(*call) for call in form]
            if instruction.errors is not None:
                errstate, errors = self.bind(np.errstate, "f"), self.bind(instruction.errors, "c")
                new = [f"with {errstate}(**{errors}):", *["    " + line for line in new]]
            lines += new
        return lines

    def _loop(self, steps: list[Any]) -> list[str]:
        """Return a loop over all calls."""
        calls: list[Any] = []
        number = 0
        for position, (instruction, form) in enumerate(steps):
            self.places.append(len(calls) + 1)
            if position in self.program.refreshed:
                continue
            if instruction.kind == "guard":
                args = mapped(instruction.args, Value, self.program.real)
                kwargs = mapped(instruction.kwargs, Value, self.program.real)
                form = [(guarded, (number, instruction.expected, instruction.function, args, kwargs), {})]
                number += 1
            real = with_arrays(form, self.program.real)
            if instruction.errors is not None:
                real = [(under, (instruction.errors, f, a, k), {}) for f, a, k in real]
            calls += [(f, a) if not k else (with_keywords, (f, a, k)) for f, a, k in real]
        self.places = [place - len(calls) for place in self.places]
        self.prologue.append(f"left = iter({self.bind(calls, 'c')})")
        return ["for f, a in left:", "    f(*a)"]

    def _guard(self, instruction: Instruction, number: int) -> str:
        if instruction.function is bool:
            name = self.value(instruction.args[0])
            wrong = f"not {name}" if instruction.expected else name
            return f"if {wrong}: raise {self.bind(Diverged, 'f')}({number}, {not instruction.expected})"
        call = self._call(instruction.function, instruction.args, instruction.kwargs)
        return f"{self.bind(check, 'f')}({number}, {self.bind(instruction.expected, 'c')}, {call})"

    def _call(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        if function is ndarray.dot:
            return f"{self._dot(args[0])}({', '.join(map(self._argument, args[1:]))})"
        words = [*map(self._argument, args), *[f"{k}={self._argument(v)}" for k, v in kwargs.items()]]
        return f"{self.bind(function, 'f')}({', '.join(words)})"

    def _dot(self, first: Any) -> str:
        """Return the name of the method `dot` of an operand, bound beforehand where the operand is known."""
        if isinstance(first, Value) and first.buffer.number in self.program.by_reference:
            return f"{self.value(first)}.dot"
        key = ("dot", first.key if isinstance(first, Value) else id(first))
        if key not in self.names:
            array = self.program.real(first) if isinstance(first, Value) else first
            self.names[key] = f"m{len(self.bound)}"
            self.bound[self.names[key]] = array.dot
        return self.names[key]

    def _argument(self, x: Any) -> str:
        if isinstance(x, Value):
            return self.value(x)
        if x is None or type(x) in (bool, int, str):
            return repr(x)
        if isinstance(x, tuple | list):
            entries = "".join(f"{self._argument(entry)}, " for entry in x)
            kind = "" if type(x) in (tuple, list) else self.bind(type(x), "k")
            literal = f"({entries})" if isinstance(x, tuple) else f"[{entries}]"
            return f"{kind}(*{literal})" if hasattr(x, "_fields") else f"{kind}({literal})"
        if type(x) is dict:
            return "{" + ", ".join(f"{k!r}: {self._argument(v)}" for k, v in x.items()) + "}"
        return self.bind(x, "c")

    # -- what is left at the end --------------------------------------------------------------------------------------

    def _epilogue(self) -> list[str]:
        recording, lines = self.program.recording, []
        copyto = self.bind(np.copyto, "f")
        for i, buffer in enumerate(recording.arguments.values()):
            if buffer.number in self.program.written:
                lines.append(f"{copyto}(x{i}, {self.value(Value(buffer, buffer.owner))})")
        for tensor, value in recording.after:
            target = self.tensor(tensor)
            if value is None:
                lines.append(f"{target}._grad = None")
            else:
                value = self.program.final[id(value)]
                view = (
                    self.program.real(value).view()
                    if value.buffer.number not in self.program.by_reference
                    else None
                )
                if view is None:
                    lines.append(f"{target}._grad = {self.value(value)}.copy()")
                    continue
                view.flags.writeable = False
                lines.append(f"{target}._grad = {self.bind(view, 'g')}")
        lines += self._assignments()
        if self.program.saved or self.program.states:
            lines.append(f"{self.bind(self.program.kept, 'c')}[0] = False")
        leaves = [self._result(leaf.kind, leaf.what) for leaf in recording.leaves]
        lines.append(f"return {self._tree(recording.structure, iter(leaves))}")
        return lines

    def _assignments(self) -> list[str]:
        """Give places outside their values; an array that two of them get is one."""
        lines: list[str] = []
        made: dict[Any, str] = {}
        for cell, leaf in self.program.recording.assigned:
            key = self.program.final[id(leaf.what)].key if leaf.kind == "array" else id(leaf)
            if key not in made:
                made[key] = f"s{len(made)}"
                lines.append(f"{made[key]} = {self._result(leaf.kind, leaf.what)}")
            lines.append(f"{self.bind(cell.write, 'f')}({made[key]})")
        return lines

    def _result(self, kind: str, what: Any) -> str:
        if kind == "constant":
            return self._argument(what)
        if kind == "argument":
            return self.parameters[list(self.program.recording.arguments).index(what)]
        name = self.value(self.program.final[id(what)])
        if kind == "number":
            return f"{name}[()]"
        if kind == "plain":
            return f"{name}.item()"
        copy = f"{name}.copy()"
        return copy if kind == "array" else f"{self.bind(wrap, 'f')}({copy})"

    def _tree(self, structure: trees.Structure, leaves: Any) -> str:
        if structure.kind is None:
            return str(next(leaves))
        children = [self._tree(child, leaves) for child in structure.children]
        if structure.kind is tuple:
            return "(" + "".join(f"{child}, " for child in children) + ")"
        if structure.kind is list:
            return "[" + ", ".join(children) + "]"
        if structure.kind is dict:
            pairs = zip(structure.keys, children, strict=True)
            return "{" + ", ".join(f"{self._argument(key)}: {child}" for key, child in pairs) + "}"
        if structure.kind is type(None):
            return "None"
        return self._nested(structure, children)

    def _nested(self, structure: trees.Structure, children: list[str]) -> str:
        if issubclass(structure.kind or object, dict):
            pairs = zip(structure.keys, children, strict=True)
            return f"{self.bind(structure.kind, 'k')}([{', '.join(f'({self._argument(k)}, {c})' for k, c in pairs)}])"
        return f"{self.bind(structure.kind, 'k')}({', '.join(children)})"
