"""The numba back end: instructions that follow each other become one compiled function.

A piece is a run of instructions that `loops` understands; its text is Python, and Numba compiles it for a table of
addresses, so that programs with the same loops on other memory share one compiled function.  A call of a piece costs
about 0.1 µs, as much as a third of one NumPy call.  What is not understood stays a NumPy call between the pieces, and a
piece that is not faster than NumPy's calls, measured on the program's memory, is not taken.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import numba
import numpy as np
from numba import float32, float64, types, uint8
from numba.extending import intrinsic

from mytorch.extras import vector_math
from mytorch.extras.loops import Step, step_of
from mytorch.extras.nests import Readers, nests
from mytorch.extras.numba_text import Text
from mytorch.extras.order import is_outer, late
from mytorch.replay.instructions import Listing, Value
from mytorch.replay.lowering.backends import Backend
from mytorch.replay.lowering.forms import Call, Form
from mytorch.replay.lowering.scratch import Scratch
from mytorch.replay.program import Program

LONGEST = 64  # instructions in a piece: what Numba needs to compile grows faster than the text
PATIENCE = 20.0  # seconds of computing time for compiling; what is left of a program then stays with NumPy


# -- what the text of a piece names ----------------------------------------------------------------------------


@intrinsic
def pointer(_: Any, place: Any, kind: Any) -> Any:
    """Return the pointer to entries of a dtype at an address."""
    result = types.CPointer(kind.dtype)

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.inttoptr(args[0], context.get_value_type(result))

    return result(place, kind), code


@intrinsic
def address(_: Any, array: Any) -> Any:
    """Return the address of an array's first entry."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.ptrtoint(data, context.get_value_type(types.intp))

    return types.intp(array), code


@intrinsic
def plus(_: Any, a: Any, b: Any) -> Any:
    """Return a + b as a part of a sum whose order is free, as it is in BLAS and in np.sum."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fadd(args[0], args[1], flags=("reassoc",))

    return a(a, a), code


@intrinsic
def apart(_: Any) -> Any:
    """Promise the compiler that the pointers that a function is given lead to bytes of their own."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        for argument in builder.function.args[2:]:  # the first two are for the result and for errors
            argument.add_attribute("noalias")
        return context.get_dummy_value()

    return types.none(), code


SCOPE: dict[str, Any] = {
    "pointer": pointer,
    "address": address,
    "plus": plus,
    "apart": apart,
    "float32": float32,
    "float64": float64,
    "uint8": uint8,
    "boolean": types.boolean,
    "inf": np.inf,
    "nan": np.nan,
    "sqrt": math.sqrt,
    "sin": math.sin,
    "cos": math.cos,
    "expm1": math.expm1,
    "log1p": math.log1p,
    "exp_float32": vector_math.exp32,
    "exp_float64": vector_math.exp64,
    "log_float32": vector_math.log32,
    "log_float64": vector_math.log64,
    "tanh_float32": vector_math.tanh32,
    "tanh_float64": vector_math.tanh64,
}
_compiled: dict[tuple[str, Any], Callable[..., None]] = {}


def compiled(text: str, arguments: tuple[tuple[str, int], ...]) -> Callable[..., None]:
    """Return the function of a text, whose arguments have the given dtypes and numbers of axes.

    What it returns takes its arguments as they are: their types were decided when it was compiled.
    """
    key = text, arguments
    if key not in _compiled:
        scope = dict(SCOPE)
        exec(compile(text, "<mytorch piece>", "exec"), scope)
        for name in [name for name in scope if name.startswith("loop")]:
            scope[name] = numba.njit(error_model="numpy")(scope[name])
        arrays = [types.Array(numba.from_dtype(np.dtype(char)), ndim, "C") for char, ndim in arguments]
        signature = types.void(types.Array(types.int64, 1, "C"), *arrays)
        function = numba.njit(signature, error_model="numpy")(scope["piece"])
        _compiled[key] = function.overloads[function.signatures[0]].entry_point
    return _compiled[key]


# -- pieces ----------------------------------------------------------------------------------------------------


class Piece:
    """A run of instructions as one compiled function.

    Attributes
    ----------
    positions : of its instructions
    text : what was compiled
    call : the call that does their work
    """

    def __init__(self, steps: list[Step], readers: Readers) -> None:
        program = readers.program
        self.positions = [step.position for step in steps]
        writer = Text(readers)
        self.text = writer.whole(nests(steps))
        self.places = writer.places
        buffers = {b.number: b for b in program.recording.arguments.values()}
        self.arguments = [Value(buffers[n], buffers[n].owner) for n in writer.arguments]
        kinds = tuple([(v.dtype.char, len(v.shape)) for v in self.arguments])
        self.function = compiled(self.text, kinds)
        self.table = np.array(self.places, np.int64)

    @property
    def call(self) -> Call:
        """The call that does the work of the piece."""
        return self.function, (self.table, *self.arguments), {}


class Numba(Backend):
    """Runs of elementwise instructions, reductions and small products as compiled functions."""

    name = "numba"

    def __init__(self) -> None:
        self.pieces: list[Piece] = []
        self.refused: list[Piece] = []  # NumPy is faster
        self.seconds = 0.0

    def arranged(self, listing: Listing) -> Listing:
        """Compute outer products where they are used, so that they need no memory."""
        return Listing(late(listing.instructions, is_outer), listing.roots)

    def replaced(self, program: Program, forms: list[Form | None]) -> list[Form | None]:
        """Put pieces in the place of runs of instructions."""
        readers, forms = Readers(program), list(forms)
        start = time.thread_time()
        waiting = list(runs(program, forms))[::-1]
        while waiting and time.thread_time() - start < PATIENCE:
            run = waiting.pop()
            piece = Piece(run, readers)
            if faster(piece, program):
                self.pieces.append(piece)
                for position in piece.positions:
                    forms[position] = []
                forms[piece.positions[0]] = [piece.call]
                continue
            self.refused.append(piece)
            half = len(run) // 2
            if half > 1:  # one slow loop must not spoil the others
                waiting += [run[half:], run[:half]]
        self.seconds = time.thread_time() - start
        return forms


def runs(program: Program, forms: list[Form | None]) -> Iterator[list[Step]]:
    """Iterate over the longest runs of instructions that can be one piece."""
    now: list[Step] = []
    refreshed = set(program.refreshed)  # these run when a number outside changes, and do not part others
    for position, instruction in enumerate(program.instructions):
        if position in refreshed:
            continue
        step = step_of(instruction, program) if forms[position] is None else None
        if step is not None:
            step.position = position
            now.append(step)
        if now and (step is None or len(now) == LONGEST):
            yield from [now] if len(now) > 1 else []
            now = []
    if len(now) > 1:
        yield now


def faster(piece: Piece, program: Program) -> bool:
    """Say whether a piece takes less time than NumPy's calls, on memory of the program and copies of the parameters."""
    scratch = Scratch(program)
    own: Form = [
        (
            piece.function,
            (
                np.array([scratch.moved(place) for place in piece.places], np.int64),
                *[program.real(v) for v in piece.arguments],
            ),
            {},
        )
    ]
    return scratch.is_faster(own, piece.positions)
