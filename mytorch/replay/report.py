"""What became of a recording, and where its time goes: `Program.report` and `Program.profile`.

In: a program, and for times the arguments of a call, on which every instruction is run alone.  Out: a `Report`, which
prints itself as a table and draws itself (`mytorch.extras.replay_plot`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy import ndarray

from mytorch import trees
from mytorch.replay.errors import ReplayError
from mytorch.replay.instructions import INSIDE, Instruction, Value, mapped, name_of
from mytorch.replay.kernels import same, store, store_all
from mytorch.replay.lowering.forms import Form
from mytorch.replay.lowering.states import generators, set_state, state_of
from mytorch.replay.source.layout import origin
from mytorch.tensor import Tensor

if TYPE_CHECKING:
    from mytorch.replay.program import Program

PHASES = ("forward", "backward", "update")
ROWS = 20  # of the table of times; the rest is one row
Calls = list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]]


class Timed(NamedTuple):
    """An operation of the program, the calls that were chosen for it, and the least time that they took."""

    position: int
    phase: str
    operation: str
    form: str
    line: str
    text: str
    seconds: float | None


@dataclass
class Report:
    """What a program consists of; ``print(report)`` is a table, ``report.plot(path)`` a picture.

    Attributes
    ----------
    name : of the function
    recorded, optimised : per phase, the operations that were recorded, and those that are left
    without_reuse : bytes, if every array had a place of its own
    nbytes : bytes of the block that the arrays share
    lower_bound : the most bytes that are in use at one operation: no plan needs less
    result_bytes : bytes of new arrays that every call returns
    record_seconds, plan_seconds : what it took to record the call, and to plan and write the program
    operations : list of Timed, in the order of the program; their times are None before a profile
    rounds : of the profile
    places : per array, birth and last use (numbers of operations), first byte and size
    """

    name: str
    recorded: dict[str, int]
    optimised: dict[str, int]
    without_reuse: int
    nbytes: int
    lower_bound: int
    result_bytes: int
    record_seconds: float
    plan_seconds: float
    operations: list[Timed] = field(repr=False)
    rounds: int = 0
    places: list[tuple[int, int, int, int]] = field(default_factory=list, repr=False)

    @property
    def seconds(self) -> float:
        """The sum of the times of all operations."""
        return sum(timed.seconds or 0.0 for timed in self.operations)

    def __str__(self) -> str:
        return "\n".join(
            [f"{self.name}, as it is replayed", *self._counts(), *self._memory(), *self._times()]
        )

    def _counts(self) -> list[str]:
        head = f"{'operations':<38}" + "".join(f"{phase:>10}" for phase in (*PHASES, "all"))
        lines = ["", head]
        for title, counts in (("recorded", self.recorded), ("after optimisation", self.optimised)):
            numbers = [counts.get(phase, 0) for phase in PHASES]
            lines.append(f"  {title:<36}" + "".join(f"{n:>10,}" for n in (*numbers, sum(numbers))))
        return lines

    def _memory(self) -> list[str]:
        rows = (
            ("every array in a place of its own", self.without_reuse),
            ("places used again (the block)", self.nbytes),
            ("most in use at once (lower bound)", self.lower_bound),
            ("new arrays in every call's result", self.result_bytes),
        )
        return ["", f"{'memory':<38}{'bytes':>14}", *[f"  {title:<36}{n:>14,}" for title, n in rows]]

    def _times(self) -> list[str]:
        made = f"recorded in {1e3 * self.record_seconds:.1f} ms, planned in {1e3 * self.plan_seconds:.1f} ms"
        if not self.rounds:
            return ["", f"{made}; .profile(*arguments) measures where the time goes"]
        total = self.seconds
        lines = [
            "",
            made,
            "",
            f"time of each operation alone, the least of {self.rounds} rounds: {1e6 * total:.1f} µs in all",
        ]
        lines.append(f"{'µs':>9}{'share':>7}  {'phase':<9} {'operation':<20} {'as':<20} line")
        rows = sorted(self.operations, key=lambda timed: -(timed.seconds or 0.0))
        for timed in rows[:ROWS]:
            seconds = timed.seconds or 0.0
            share = f"{seconds / total if total else 0:.0%}"
            columns = f"{timed.phase:<9} {_cut(timed.operation):<20} {_cut(timed.form):<20} {timed.line}  {timed.text}"
            lines.append(f"{1e6 * seconds:>9.2f}{share:>7}  {columns}"[:120].rstrip())
        rest = sum(timed.seconds or 0.0 for timed in rows[ROWS:])
        if rows[ROWS:]:
            lines.append(
                f"{1e6 * rest:>9.2f}{rest / total if total else 0:>7.0%}  {len(rows) - ROWS} more operations"
            )
        return lines

    def plot(self, path: str | Path, *, dpi: int = 150) -> Path:
        """Draw time per operation and the plan of memory into a picture.

        Parameters
        ----------
        path : the file, ``.png``, ``.svg`` or ``.pdf``

        Raises
        ------
        ImportError
            If matplotlib is missing (``pip install matplotlib``).
        ValueError
            If the file's ending is another.
        """
        from mytorch.extras.replay_plot import plot

        return plot(self, path, dpi=dpi)


def _cut(text: str, width: int = 20) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


# -- what is known without running ------------------------------------------------------------------------------


def report_of(program: Program, seconds: list[float] | None = None, rounds: int = 0) -> Report:
    """Return the report of a program, with the times of its instructions if they were measured."""
    plan, recording = program.plan, program.recording
    results = [
        program.final[id(leaf.what)]
        for leaf in recording.leaves
        if leaf.kind in ("array", "tensor", "number", "plain")
    ]
    sizes = {
        value.buffer.number: value.buffer.nbytes
        for i in program.instructions
        for value in (*i.reads, *i.outs)
    }  # fmt: skip
    return Report(
        name=getattr(recording.function, "__name__", "program"),
        recorded=_by_phase(program.recorded.instructions),
        optimised=_by_phase(program.instructions),
        without_reuse=plan.without_reuse,
        nbytes=plan.nbytes,
        lower_bound=plan.lower_bound,
        result_bytes=sum(value.size * value.dtype.itemsize for value in results),
        record_seconds=recording.seconds,
        plan_seconds=program.seconds,
        operations=[
            _timed(k, instruction, form, None if seconds is None else seconds[k])
            for k, (instruction, form) in enumerate(zip(program.instructions, program.forms, strict=True))
        ],
        rounds=rounds,
        places=[
            (*plan.lifetimes[number], offset, sizes[number])
            for number, offset in plan.offsets.items()
            if sizes.get(number)
        ],
    )


def _by_phase(instructions: list[Instruction]) -> dict[str, int]:
    counts = dict.fromkeys(PHASES, 0)
    for instruction in instructions:
        counts[instruction.phase] += 1
    return counts


def _timed(position: int, instruction: Instruction, form: Form, seconds: float | None) -> Timed:
    place, text = origin(instruction)
    return Timed(
        position, instruction.phase, _operation(instruction), _form(instruction, form), place, text, seconds
    )


def _operation(instruction: Instruction) -> str:
    return "branch" if instruction.kind == "guard" else instruction.name.lstrip("_")


def _form(instruction: Instruction, form: Form) -> str:
    """Return the calls that an instruction is run by, in words."""
    if instruction.kind == "guard":
        return "a check"
    names = []
    for function, args, _ in form:
        if function in (store, store_all):
            names.append(f"{name_of(args[1])}, copied")
        else:
            names.append(name_of(function).lstrip("_"))
    return " + ".join(names) or "part of another"


# -- measuring ----------------------------------------------------------------------------------------------------


def profile(program: Program, args: tuple[Any, ...], kwargs: dict[str, Any], repeat: int) -> Report:
    """Run a program's operations one at a time on arguments, and report the least time of each.

    What the program changes (parameters, moments, arguments, random generators) is put back afterwards.

    Raises
    ------
    TypeError, ValueError
        If the arguments are not of the recorded structure, shapes and dtypes, or `repeat` is no positive integer.
    ReplayError
        If they decide otherwise than the recorded ones did.
    """
    if not isinstance(repeat, int) or repeat < 1:
        raise ValueError(f"profile: repeat must be a positive integer, got {repeat!r}")
    leaves = _leaves(program, args, kwargs)
    steps = [
        _Step(instruction, _real(program, instruction, form, leaves))
        for instruction, form in zip(program.instructions, program.forms, strict=True)
    ]
    best = [float("inf")] * len(steps)
    with _put_back(program) as put_back:
        empty = _clock_alone()
        for _ in range(repeat):
            put_back()
            _fill(program, leaves)
            _round(steps, best)
    return report_of(program, [max(seconds - empty, 0.0) for seconds in best], repeat)


class _Step(NamedTuple):
    instruction: Instruction
    calls: Calls


def _round(steps: list[_Step], best: list[float]) -> None:
    """Run all operations once."""
    clock = time.perf_counter
    for k, (instruction, calls) in enumerate(steps):
        with np.errstate(**(instruction.errors or {})):
            start = clock()
            for function, args, kwargs in calls:
                result = function(*args, **kwargs)
            took = clock() - start
        best[k] = min(best[k], took)
        if instruction.kind == "guard" and not same(instruction.expected, result):
            raise ReplayError(
                f"profile: these arguments decide otherwise than the recorded ones did, at {instruction.line}: got "
                f"{result!r} for {instruction.expected!r}; call the function with them first, and profile again"
            )


def _clock_alone() -> float:
    """Return the least time that reading the clock twice takes."""
    clock = time.perf_counter
    least = float("inf")
    for _ in range(200):
        start = clock()
        least = min(least, clock() - start)
    return least


def _leaves(program: Program, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[int, ndarray]:
    """Return the array arguments, after a check that they are of the recorded kind."""
    leaves, structure = trees.flatten((args, kwargs))
    recording = program.recording
    if structure != recording.structure_given:
        raise TypeError(
            f"profile: the arguments must have the structure {recording.structure_given} of (args, kwargs), as the "
            f"recorded ones, got {structure}"
        )
    found = {}
    for i, buffer in recording.arguments.items():
        array = np.asarray(leaves[i]._array if isinstance(leaves[i], Tensor) else leaves[i])
        owner = buffer.owner
        if (array.shape, array.dtype) != (owner.shape, owner.dtype):
            raise ValueError(
                f"profile: array {i + 1} of the arguments must have the shape {owner.shape} and dtype {owner.dtype} "
                f"that were recorded, got {array.shape} and {array.dtype}"
            )
        found[i] = np.ascontiguousarray(array) if buffer.number in program.by_reference else array
    return found


def _real(program: Program, instruction: Instruction, form: Form, leaves: dict[int, ndarray]) -> Calls:
    """Return the calls of an instruction on the program's own memory."""
    given = {buffer.number: leaves[i] for i, buffer in program.recording.arguments.items() if i in leaves}

    def real(value: Value) -> ndarray:
        if value.buffer.number in program.by_reference:
            return ndarray(value.shape, value.dtype, given[value.buffer.number], value.offset, value.strides)
        return program.real(value)

    if instruction.kind == "guard":
        form = [(instruction.function, instruction.args, instruction.kwargs)]
    return [(f, mapped(a, Value, real), mapped(k, Value, real)) for f, a, k in form]


def _fill(program: Program, leaves: dict[int, ndarray]) -> None:
    """Copy the arguments in, and give memory that the function makes its first values."""
    for i, buffer in program.recording.arguments.items():
        if buffer.number in program.plan.offsets:
            np.copyto(program.real(Value(buffer, buffer.owner)), leaves[i])
    for instruction in program.instructions:
        for value in (*instruction.reads, *instruction.outs):
            buffer = value.buffer
            if buffer.kind == INSIDE and buffer.number in program.plan.offsets:
                np.copyto(program.real(Value(buffer, buffer.owner)), buffer.initial)  # type: ignore[arg-type]


@contextmanager
def _put_back(program: Program) -> Iterator[Callable[[], None]]:
    """Within the context the program may run; afterwards what it changes outside is as before.

    Gives the function that puts parameters back.  The block is put back, too: gradients that Tensors hold lie in it.
    """
    states = [(generator, state_of(generator)) for generator in generators(program.instructions)]
    block = None if program.plan.block is None else program.plan.block.copy()
    outside = [(buffer.owner, np.array(buffer.owner)) for buffer in program.outside_written()]

    def put_back() -> None:
        for owner, values in outside:
            np.copyto(owner, values)

    try:
        yield put_back
    finally:
        put_back()
        for generator, state in states:
            set_state(generator, state)
        if block is not None:
            program.plan.block[:] = block
