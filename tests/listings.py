"""A listing, run as it stands: every memory where it was recorded, every instruction a call of its function.

This is what the list of instructions means, without plan, forms and text; a pass must leave it as it was.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray

from mytorch import trees
from mytorch.replay.errors import Changed, Diverged
from mytorch.replay.instructions import ARGUMENT, INSIDE, OUTSIDE, Buffer, Instruction, Listing, Value, mapped
from mytorch.replay.kernels import check, fetch, store, store_all
from mytorch.replay.record.recording import Recording, record
from mytorch.rules.masks import CHOICES


def recorded(function: Callable[..., Any], args: tuple[Any, ...]) -> Recording | None:
    """Return the recording of a call (None: no replay would do what it does)."""
    leaves, structure = trees.flatten((args, {}))
    _, recording = record(function, leaves, structure, (args, {}))
    excused = recording.once or recording.excuse or recording.made or recording.changed
    return None if excused else recording


class Run:
    """One run of a listing on values that a seed gives.

    Attributes
    ----------
    seen : what anybody can see afterwards, the roots, arguments and memory outside; or how the run ended
    """

    def __init__(self, listing: Listing, seed: int) -> None:
        self.seed = seed
        self.memory: dict[int, Any] = {}
        self.buffers: dict[int, Buffer] = {}
        try:
            for instruction in listing.instructions:
                self._do(instruction)
        except (Diverged, Changed, ArithmeticError, LookupError, ValueError) as error:
            self.seen: Any = type(error).__name__
            return
        roots = [np.array(self.array(root)) for root in listing.roots]
        visible = (b for b in self.buffers.values() if b.kind in (ARGUMENT, OUTSIDE) and b.writes)
        self.seen = roots, {buffer.number: np.array(self._whole(buffer)) for buffer in visible}

    def array(self, value: Value) -> ndarray:
        """Return the array of a value."""
        number = value.buffer.number
        if number not in self.memory:
            self._make(value.buffer)
        if not value.size:
            return np.empty(value.shape, value.dtype)
        return ndarray(value.shape, value.dtype, self.memory[number], value.offset, value.strides)

    def _make(self, buffer: Buffer) -> None:
        self.buffers[buffer.number] = buffer
        self.memory[buffer.number] = np.full(max(buffer.nbytes, 1), 0xAB, np.uint8)
        if buffer.kind in (ARGUMENT, OUTSIDE):
            values = np.random.default_rng((self.seed, buffer.number)).integers(-8, 9, buffer.shape) / 4
            self._whole(buffer)[...] = values
        elif buffer.kind == INSIDE:
            self._whole(buffer)[...] = buffer.initial

    def _whole(self, buffer: Buffer) -> ndarray:
        if not buffer.nbytes:
            return np.empty(buffer.shape, buffer.dtype)
        memory = self.memory[buffer.number]
        return ndarray(buffer.shape, buffer.dtype, memory, buffer.start, buffer.strides)

    def _do(self, instruction: Instruction) -> None:
        """Do what an instruction says."""
        function, kind = instruction.function, instruction.kind
        args, kwargs = (mapped(x, Value, self.array) for x in (instruction.args, instruction.kwargs))
        outs = tuple([self.array(out) for out in instruction.outs])
        with np.errstate(**(instruction.errors or {})):
            if kind == "guard":
                check(0, instruction.expected, function(*args, **kwargs))
            elif kind == "fetch":
                fetch(outs[0], *args)
            elif kind == "write" or not outs:
                function(*args, **kwargs)
            elif (
                kind == "ufunc"
                and function not in CHOICES
                and (instruction.is_elementwise or not instruction.fresh)
            ):
                function(*args, **kwargs, out=outs)
            elif len(outs) == 1:
                store(outs[0], function, args, kwargs)
            else:
                store_all(outs, function, args, kwargs)
