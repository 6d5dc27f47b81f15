"""A program: a recording that is planned once and run again, on memory of its own, as straight-line Python.

One line per instruction, every array bound beforehand, every result written where it belongs.  Memory outside of
the function is written as eager code would write it; if a replay decides otherwise than the recording did, or fails,
that memory is put back as it was before the call.
"""

from __future__ import annotations

import linecache
import time
from bisect import bisect_right
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from mytorch import trees
from mytorch.autograd_engine import inside_files
from mytorch.gradient_buffer import owner_of
from mytorch.replay import lowering
from mytorch.replay.backends import chosen
from mytorch.replay.batching import batched
from mytorch.replay.errors import Diverged, Unreplayable, note
from mytorch.replay.instructions import INSIDE, OUTSIDE, Buffer, Instruction, Value, mapped
from mytorch.replay.packing import together
from mytorch.replay.passes import Listing, guards_early, last_writes, numbers_first, simplified, steady
from mytorch.replay.planning import Plan, planned
from mytorch.replay.printing import printed
from mytorch.replay.recording import Recording
from mytorch.replay.report import Report, profile, report_of
from mytorch.replay.saving import save
from mytorch.replay.updates import in_pieces, products_in_pieces, rates_early
from mytorch.tensor import Tensor, before_unseen_write, wrap

_number = count(1).__next__
SMALL = 1 << 14  # bytes of an argument that is copied, so that all views of it are made beforehand
LONG = 2_000  # instructions from which a program is a loop: to compile its text would take long


def check(guard: int, expected: Any, value: Any) -> None:
    """Raise Diverged unless a value that Python decides by is what it was."""
    if not same(expected, value):
        raise Diverged(guard, value)


def same(a: Any, b: Any) -> bool:
    """Say whether two values that Python decides by are one."""
    if type(a) is not type(b):
        return False
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, ndarray):
        return a.shape == b.shape and bool(np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"))
    return bool(a == b or (a != a and b != b))


class Program:
    """A planned recording.

    Attributes
    ----------
    recording : what was recorded
    listing : the instructions that are left, in order, as they are printed
    instructions : those that run
    plan : where their memory lies
    """

    def __init__(self, recording: Recording, backend: str = "numpy") -> None:
        start = time.perf_counter()
        self.recording = recording
        self.backends = chosen(backend)
        roots = [leaf.what for leaf in recording.leaves if leaf.kind != "constant"]
        roots += [value for _, value in recording.after if value is not None]
        roots += [leaf.what for _, leaf in recording.assigned if leaf.kind not in ("constant", "argument")]
        self.recorded = Listing(recording.instructions, roots)
        self.listing = guards_early(simplified(self.recorded))
        self.planned = numbers_first(self.listing)
        if backend == "numpy":
            self.planned = batched(in_pieces(together(products_in_pieces(rates_early(self.planned)))))
        for each in self.backends:
            self.planned = each.arranged(self.planned)
        self.instructions = self.planned.instructions
        self.final = {id(a): b for a, b in zip(roots, self.planned.roots, strict=True)}
        self.written = last_writes(self.instructions)
        self.guards = [i for i in self.instructions if i.kind == "guard"]
        self.by_reference = self._by_reference()
        self.refreshed = steady(self.instructions)  # computed when a number outside has changed
        self.plan: Plan = planned(self.planned, self.by_reference, self._pinned())
        self.saved = self._saved()
        self.states = self._states()
        draws = any(i.kind == "random" for i in self.instructions)
        # Whether nothing is left of a run that fails.
        self.can_be_undone = bool(self.saved or not self.outside_written()) and bool(self.states or not draws)
        self.kept = [False]  # whether a run is under way that has filled `saved` and `states`
        self.outside_ids = {id(tensor._array) for b in self.outside_written() for tensor in b.tensors}
        self.outside_ids |= {id(buffer.owner) for buffer in self.outside_written()}
        self.forms = self._forms()
        self.source_of_run, self.run = self._emit()
        self._profiled: Report | None = None
        self.seconds = time.perf_counter() - start

    def __call__(self, leaves: list[Any]) -> Any:
        """Run the program on the leaves of a call's arguments."""
        try:
            return self.run(*[leaves[i] for i in self.recording.arguments])
        except BaseException as error:
            self.failed(error)
            raise

    def failed(self, error: BaseException) -> bool:
        """Undo what an unfinished run has done; True where the function should be run in another way."""
        self.restore()
        if isinstance(error, Diverged | lowering.Changed | Unreplayable):
            return True
        if self.recording.catches and self.can_be_undone and isinstance(error, Exception):
            return True
        self._explain(error)
        return False

    def restore(self) -> None:
        """Put memory outside back as it was before the call, if the run came as far as to keep that."""
        if not self.kept[0]:
            return
        self.kept[0] = False
        for owner, copy in self.saved:
            np.copyto(owner, copy)
        for generator, state in self.states:
            _set_state(generator, state[0])

    def _explain(self, error: BaseException) -> None:
        """Say in an error which instruction failed, and whether memory outside has changed."""
        line = 0
        traceback = error.__traceback__
        while traceback is not None:
            if traceback.tb_frame.f_code.co_filename == self.filename:
                line = traceback.tb_lineno
            traceback = traceback.tb_next
        position = bisect_right(self.first_lines, line) - 1
        if position < 0:
            return
        instruction = self.instructions[position]
        note(error, f"(in the replay of {instruction.name}, recorded at {instruction.line})")
        if not self.saved:
            written = {
                out.buffer.name or "memory outside"
                for earlier in self.instructions[:position]
                for out in earlier.outs
                if out.buffer.kind == OUTSIDE
            }
            if written:
                note(error, f"(changed before the error, and not put back: {', '.join(sorted(written))})")

    def conflicts(self, leaves: list[Any]) -> bool:
        """Say whether an argument is memory that the program also writes, or takes from outside, by another name."""
        for i, buffer in self.recording.arguments.items():
            leaf = leaves[i]
            if isinstance(leaf, Tensor):
                if id(owner_of(leaf._array)) in self.recording.outside:
                    return True
            elif type(leaf) is ndarray and id(owner_of(leaf)) in self.outside_ids:
                return True
            if buffer.number in self.written and any(
                j != i and np.may_share_memory(_raw(leaf), _raw(leaves[j])) for j in self.recording.arguments
            ):
                return True
        return False

    # -- for the reader -----------------------------------------------------------------------------------------

    @property
    def source(self) -> str:
        """The program as straight-line NumPy, each line with the line of the user's that caused it."""
        return printed(self).text

    def save(self, path: str | Path) -> Path:
        """Write `source` as a module that runs with NumPy alone, with the arrays it needs beside it (see `saving`)."""
        return save(self, path)

    def report(self) -> Report:
        """Return what became of the recording: operations, memory, and times once `profile` has measured them."""
        return self._profiled or report_of(self)

    def profile(self, *args: Any, repeat: int = 20, **kwargs: Any) -> Report:
        """Run the operations one at a time on arguments of the recorded kind, and report where the time goes.

        The operations are run `repeat` times, updates of parameters included; parameters, moments, arguments and
        random generators are afterwards as they were before.
        """
        self._profiled = profile(self, args, kwargs, repeat)
        return self._profiled

    # -- what the program is made of ----------------------------------------------------------------------------

    def _by_reference(self) -> set[int]:
        """Return the arguments that are used where the caller has them: large ones that are only read."""
        if len(self.instructions) > LONG:
            return set()
        return {
            buffer.number
            for buffer in self.recording.arguments.values()
            if buffer.nbytes > SMALL and buffer.number not in self.written and buffer.owner.flags.c_contiguous
        }

    def _states(self) -> list[tuple[Any, list[Any]]]:
        """Return the random generators whose state is put back when a guard fails, each with a place for its state."""
        if not self.guards:
            return []
        methods = [i.function for i in self.instructions if i.kind == "random" or _is_shuffle(i.function)]
        return [(g, [None]) for g in {id(m.__self__): m.__self__ for m in methods}.values()]  # type: ignore[attr-defined]

    def refresh(self) -> None:
        """Compute what depends on numbers that live outside alone."""
        for position in self.refreshed:
            for function, args, kwargs in lowering.constants_of(self.forms[position] or [], self.real):
                function(*args, **kwargs)

    def _pinned(self) -> set[int]:
        """Return the memories of gradients that the next call reads."""
        kept = {out.buffer.number for position in self.refreshed for out in self.instructions[position].outs}
        if not any(value is not None for _, value in self.recording.before):
            return kept
        return kept | {
            self.final[id(value)].buffer.number for _, value in self.recording.after if value is not None
        }

    def outside_written(self) -> list[Buffer]:
        """Return the memories outside that the program writes to."""
        found: dict[int, Buffer] = {}
        for instruction in self.instructions:
            for out in instruction.outs:
                if out.buffer.kind == OUTSIDE and not instruction.fresh:
                    found[out.buffer.number] = out.buffer
        return list(found.values())

    def _saved(self) -> list[tuple[ndarray, ndarray]]:
        """Return memories outside, and copies, that are put back when a later guard or instruction fails."""
        changed = False
        unknown = len(self.instructions) > LONG  # a loop cannot tell which of its instructions failed
        for instruction in self.instructions:
            if changed and (unknown or instruction.kind in ("guard", "random") or _may_fail(instruction)):
                return [(buffer.owner, np.array(buffer.owner)) for buffer in self.outside_written()]
            changed = changed or any(out.buffer.kind == OUTSIDE for out in instruction.outs)
        return []

    def _forms(self) -> list[lowering.Form]:
        """Return the calls of every instruction: what a back end puts in its place, or the fastest of NumPy's."""
        found: list[lowering.Form | None] = [None] * len(self.instructions)
        for each in self.backends:
            found = each.replaced(self, found)
        return [
            self._form(instruction) if form is None else form
            for instruction, form in zip(self.instructions, found, strict=True)
        ]

    def _form(self, instruction: Instruction) -> lowering.Form:
        """Return the fastest way to run an instruction on its memory."""
        if instruction.kind == "guard":
            return []
        ways = lowering.forms(instruction)
        if len(ways) == 1 or any(out.buffer.kind == OUTSIDE for out in instruction.outs):
            return ways[0]
        real = [lowering.constants_of(way, self.real) for way in ways]
        with np.errstate(all="ignore"):
            took = times(real)
        best = min(range(len(ways)), key=took.__getitem__)
        return ways[best] if took[best] < 0.95 * took[0] else ways[0]

    def real(self, value: Value) -> ndarray:
        """Return the array of a value."""
        return self.plan.array(value)

    # -- the text -------------------------------------------------------------------------------------------------

    def _emit(self) -> tuple[str, Callable[..., Any]]:
        """Return the text of the program, and the function that it defines."""
        writer = _Writer(self)
        text = writer.text()
        self.filename = filename = f"<mytorch program {_number()}>"
        self.first_lines = [len(writer.ahead) + 3 + n for n in writer.first_lines]
        linecache.cache[filename] = len(text), None, text.splitlines(True), filename
        inside_files.add(filename)
        scope: dict[str, Any] = {}
        exec(compile(text, filename, "exec"), scope)
        return text, scope["bind"](*writer.bound.values())


def _may_fail(instruction: Instruction) -> bool:
    """Say whether an instruction can raise an error of its own (a ufunc does so only when asked to)."""
    return instruction.kind in ("call", "fetch") and instruction.function not in lowering._SPECIAL


def times(ways: list[lowering.Form]) -> list[float]:
    """Return the least time that each way took, in turns."""
    best = [float("inf")] * len(ways)
    clock = time.perf_counter
    for turn in range(7):
        for i, way in enumerate(ways):
            repeats = 1 if turn == 0 or best[i] > 1e-3 else 10
            start = clock()
            for _ in range(repeats):
                for function, args, kwargs in way:
                    function(*args, **kwargs)
            best[i] = min(best[i], (clock() - start) / repeats)
        if sum(best) > 0.05:
            break
    return best


def _is_shuffle(function: Any) -> bool:
    return isinstance(getattr(function, "__self__", None), np.random.Generator | np.random.RandomState)


def _state(generator: Any) -> Any:
    """Return the state of a random generator."""
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    return generator.get_state()


def _set_state(generator: Any, state: Any) -> None:
    """Put a random generator back."""
    if isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    else:
        generator.set_state(state)


def _keep_state(place: list[Any], generator: Any) -> None:
    """Remember the state of a random generator."""
    place[0] = _state(generator)


class _Writer:
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
        self.ahead: list[str] = []  # the lines before those of the instructions
        self.first_lines: list[int] = []  # per instruction, its first line among them

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
        if value.shape == value.buffer.owner.shape and value.offset == 0 and value.is_contiguous:
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
        self.ahead = [*self.prologue, *before]
        head = [*self.ahead, *steps, *end]
        lines = ["def bind(" + ", ".join(self.bound) + "):", f"    def run({', '.join(self.parameters)}):"]
        lines += ["        " + line for line in head or ["pass"]]
        lines.append("    return run")
        return "\n".join(lines) + "\n"

    def _told(self) -> list[str]:
        """Tell tapes that read what will be written."""
        lines = []
        for buffer in self.program.outside_written():
            for tensor in buffer.tensors:
                name, tell, failed = (
                    self.bind(tensor, "t"),
                    self.bind(before_unseen_write, "f"),
                    self.bind(Unreplayable, "f"),
                )
                lines.append(f"if {name}._saved is not None and not {tell}({name}): raise {failed}")
        return lines

    def _copied_in(self) -> list[str]:
        lines = []
        copyto = self.bind(np.copyto, "f")
        for i, buffer in enumerate(self.program.recording.arguments.values()):
            if buffer.number in self.program.by_reference:
                lines.append(
                    f"if not x{i}.flags.c_contiguous: x{i} = {self.bind(np.ascontiguousarray, 'f')}(x{i})"
                )
                self.prologue.append(lines.pop())
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
                    if buffer.initial is not None and not buffer.initial.any():
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
        keep = self.bind(_keep_state, "f")
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
            self.first_lines.append(len(lines))
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
            if position in self.program.refreshed:
                continue
            if instruction.kind == "guard":
                args = mapped(instruction.args, Value, self.program.real)
                kwargs = mapped(instruction.kwargs, Value, self.program.real)
                form = [(guarded, (number, instruction.expected, instruction.function, args, kwargs), {})]
                number += 1
            real = lowering.constants_of(form, self.program.real)
            if instruction.errors is not None:
                real = [(under, (instruction.errors, f, a, k), {}) for f, a, k in real]
            calls += [(f, a) if not k else (with_keywords, (f, a, k)) for f, a, k in real]
        table = self.bind(calls, "c")
        return [f"for f, a in {table}:", "    f(*a)"]

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
        if type(x) in (tuple, list):
            entries = "".join(f"{self._argument(entry)}, " for entry in x)
            return f"({entries})" if type(x) is tuple else f"[{entries}]"
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
        for cell, leaf in recording.assigned:
            lines.append(f"{self.bind(cell.write, 'f')}({self._result(leaf.kind, leaf.what)})")
        if self.program.saved or self.program.states:
            lines.append(f"{self.bind(self.program.kept, 'c')}[0] = False")
        leaves = [self._result(leaf.kind, leaf.what) for leaf in recording.leaves]
        lines.append(f"return {self._tree(recording.structure, iter(leaves))}")
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


def _raw(leaf: Any) -> Any:
    return leaf._array if isinstance(leaf, Tensor) else leaf


def grad_array(tensor: Tensor) -> ndarray:
    """Return the gradient of a Tensor, as an array."""
    gradient = tensor._grad
    array: ndarray = gradient._array if isinstance(gradient, Tensor) else gradient
    return array


def guarded(number: int, expected: Any, function: Any, args: Any, kwargs: Any) -> None:
    """Ask a guard."""
    check(number, expected, function(*args, **kwargs))


def under(errors: dict[str, Any], function: Any, args: Any, kwargs: Any) -> None:
    """Call a function under an error state."""
    with np.errstate(**errors):
        function(*args, **kwargs)


def with_keywords(function: Any, args: Any, kwargs: Any) -> None:
    """Call a function with keyword arguments."""
    function(*args, **kwargs)


__all__ = ["Program"]
