"""A program: a recording that is planned once and run again, on memory of its own, as straight-line Python.

One line per instruction, every array bound beforehand, every result written where it belongs.  Memory outside of
the function is written as eager code would write it; if a replay decides otherwise than the recording did, or fails,
that memory is put back as it was before the call.
"""

from __future__ import annotations

import linecache
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from itertools import count, dropwhile
from operator import length_hint
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from mytorch.lines import inside_files
from mytorch.regions import owner_of
from mytorch.replay.errors import Changed, Diverged, Unreplayable, note
from mytorch.replay.instructions import Buffer, Instruction, Listing, Value, last_writes, written_outside
from mytorch.replay.lowering.backends import chosen
from mytorch.replay.lowering.forms import Form, fastest, may_fail, with_arrays
from mytorch.replay.lowering.planning import Plan, planned
from mytorch.replay.lowering.states import generators, set_state
from mytorch.replay.lowering.writing import LONG, Writer
from mytorch.replay.passes.batching import batched
from mytorch.replay.passes.columns import by_columns
from mytorch.replay.passes.packing import together
from mytorch.replay.passes.simplify import guards_early, numbers_first, simplified, steady
from mytorch.replay.passes.updates import in_pieces, products_in_pieces, rates_early
from mytorch.replay.record.recording import Recording
from mytorch.replay.report import Report, profile, report_of
from mytorch.replay.source.printing import printed
from mytorch.replay.source.saving import save
from mytorch.tensor import Tensor, raw

_number = count(1).__next__
_ENDS = (Diverged, Changed, Unreplayable)  # what ends a replay whose call is run in another way
SMALL = 1 << 14  # bytes of an argument that is copied, so that all views of it are made beforehand


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
            self.planned = by_columns(
                batched(in_pieces(together(products_in_pieces(rates_early(self.planned)))))
            )
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
        self.kept = [False]  # whether a run is under way that has filled `saved` and `states`
        # Whether it runs: what it asks (a handler of signals, say) may call the function again.
        self.busy = [False]
        self.outside_ids = {id(tensor._array) for b in self.outside_written() for tensor in b.tensors}
        self.outside_ids |= {id(buffer.owner) for buffer in self.outside_written()}
        self.forms = self._forms()
        self.source_of_run, self.run = self._emit()
        for listing in (self.recorded, self.listing, self.planned):
            listing.forget()
        self._profiled: Report | None = None
        self.seconds = time.perf_counter() - start

    def __call__(self, leaves: list[Any]) -> Any:
        """Run the program on the leaves of a call's arguments."""
        try:
            self.busy[0] = True
            return self.run(*[leaves[i] for i in self.recording.arguments])
        except BaseException as error:
            if self.failed(error) and not isinstance(error, _ENDS):
                raise Unreplayable from error
            raise
        finally:
            self.busy[0] = False

    def failed(self, error: BaseException) -> bool:
        """Undo what an unfinished run has done; True where the function should be run in another way."""
        self.restore()
        if isinstance(error, _ENDS):
            return True
        position = self._position(error)
        if self.recording.catches and isinstance(error, Exception) and self._is_undone(position):
            return True
        self._explain(error, position)
        return False

    def restore(self) -> None:
        """Put memory outside back as it was before the call, if the run came as far as to keep that."""
        if not self.kept[0]:
            return
        self.kept[0] = False
        for owner, copy in self.saved:
            np.copyto(owner, copy)
        for generator, state in self.states:
            set_state(generator, state[0])

    def _is_undone(self, position: int) -> bool:
        """Say whether nothing is left of a run in which the instruction at a position (-1: none of them) failed."""
        ran = self.instructions[: position + 1]
        return (bool(self.saved) or not written_outside(ran)) and (bool(self.states) or not generators(ran))

    def _position(self, error: BaseException) -> int:
        """Return the position of the instruction that failed (-1: none of them)."""
        place = 0
        traceback = error.__traceback__
        while traceback is not None:
            frame = traceback.tb_frame
            if frame.f_code.co_filename == self.filename:
                left = frame.f_locals.get("left")
                place = traceback.tb_lineno if left is None else -length_hint(left)
            traceback = traceback.tb_next
        return bisect_right(self.places, place) - 1

    def _explain(self, error: BaseException, position: int) -> None:
        """Say in an error which instruction failed, and whether memory outside has changed."""
        if position < 0:
            return
        instruction = self.instructions[position]
        note(error, f"(in the replay of {instruction.name}, recorded at {instruction.line})")
        written = {
            buffer.name or "memory outside" for buffer in written_outside(self.instructions[:position])
        }
        if written and not self.saved:
            note(error, f"(changed before the error, and not put back: {', '.join(sorted(written))})")

    def conflicts(self, leaves: list[Any]) -> bool:
        """Say whether an argument is memory that the program also writes, or takes from outside, by another name.

        So is one that the program writes, and nobody may.
        """
        for i, buffer in self.recording.arguments.items():
            leaf = leaves[i]
            if isinstance(leaf, Tensor):
                if id(owner_of(leaf._array)) in self.recording.outside:
                    return True
            elif type(leaf) is ndarray and id(owner_of(leaf)) in self.outside_ids:
                return True
            if buffer.number in self.written and (
                not raw(leaf).flags.writeable
                or any(
                    j != i and np.may_share_memory(raw(leaf), raw(leaves[j]))
                    for j in self.recording.arguments
                )
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
        """Return the arguments that are used where the caller has them: large ones, and what is read once."""
        if len(self.instructions) > LONG:
            return set()
        reads = Counter(value.buffer.number for i in self.instructions for value in i.reads)
        copied = {i.reads[0].buffer.number for i in self.instructions if i.function is ndarray.copy}
        return {
            buffer.number
            for buffer in self.recording.arguments.values()
            if (buffer.nbytes > SMALL or (buffer.number in copied and reads[buffer.number] == 1))
            and buffer.number not in self.written
            and buffer.owner.flags.c_contiguous
        }

    def _states(self) -> list[tuple[Any, list[Any]]]:
        """Return generators that are put back when a later instruction ends a run, each with a place for its state."""
        if not self._may_end_after(lambda i: bool(generators([i]))):
            return []
        return [(generator, [None]) for generator in generators(self.instructions)]

    def refresh(self) -> None:
        """Compute what depends on numbers that live outside alone."""
        for position in self.refreshed:
            for function, args, kwargs in with_arrays(self.forms[position] or [], self.real):
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
        return written_outside(self.instructions)

    def _saved(self) -> list[tuple[ndarray, ndarray]]:
        """Return memories outside, and copies, that are put back when a later instruction ends a run."""
        if not self._may_end_after(lambda i: bool(written_outside([i]))):
            return []
        return [(buffer.owner, np.array(buffer.owner)) for buffer in self.outside_written()]

    def _may_end_after(self, lasts: Callable[[Instruction], bool]) -> bool:
        """Say whether a run may end, by a guard or an error, after an instruction that `lasts`."""
        after = dropwhile(lambda i: not lasts(i), self.instructions)
        next(after, None)
        return any(i.kind in ("guard", "random") or may_fail(i) for i in after)

    def _forms(self) -> list[Form]:
        """Return the calls of every instruction: what a back end puts in its place, or the fastest of NumPy's."""
        found: list[Form | None] = [None] * len(self.instructions)
        for each in self.backends:
            found = each.replaced(self, found)
        return [
            fastest(instruction, self.real) if form is None else form
            for instruction, form in zip(self.instructions, found, strict=True)
        ]

    def real(self, value: Value) -> ndarray:
        """Return the array of a value."""
        return self.plan.array(value)

    # -- the text -------------------------------------------------------------------------------------------------

    def _emit(self) -> tuple[str, Callable[..., Any]]:
        """Return the text of the program, and the function that it defines."""
        writer = Writer(self)
        text = writer.text()
        self.filename = filename = f"<mytorch program {_number()}>"
        self.places = writer.places
        linecache.cache[filename] = len(text), None, text.splitlines(True), filename
        inside_files.add(filename)
        scope: dict[str, Any] = {}
        exec(compile(text, filename, "exec"), scope)
        return text, scope["bind"](*writer.bound.values())


__all__ = ["Program"]
