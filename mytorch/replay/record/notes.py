"""What is noted of a call: instructions, what Python decided by a value, and what cannot be followed.

In: a function and its arguments, traced or not.  Out: the list of instructions, with guards in their places.  What is
done to arrays, and so becomes which instruction, is the recorder's part (`recorder.py`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

import numpy as np
from numpy import ndarray

from mytorch import arrays
from mytorch.guard import Guards
from mytorch.lines import PACKAGE, caller, is_assigning, shown
from mytorch.regions import address_of, owner_of
from mytorch.replay.errors import ReplayError
from mytorch.replay.instructions import TEMPORARY, Instruction, Value, mapped, name_of
from mytorch.replay.record.memories import Memories
from mytorch.replay.record.numbers import Weak
from mytorch.replay.record.picked import Picks
from mytorch.replay.record.returned import is_only_returned
from mytorch.replay.record.traced import Traced
from mytorch.sweep import sweep


class Notes(Memories):
    """The notes of one call.

    Attributes
    ----------
    instructions : what was noted
    numbers, fetched : numbers that objects outside hold, by the identity of the object and the name
    once : why this call cannot be replayed; excuse : why no call can be (None: they can)
    refused : the error that something cannot be followed
    errors : NumPy's error state at the beginning
    names : of what lies outside, by identity
    root : the code that calls the function
    returned : floats that go into its result alone, each with the entry that it was taken out of
    """

    def __init__(self) -> None:
        super().__init__()
        self.instructions: list[Instruction] = []
        self.numbers: dict[tuple[int, str], tuple[Any, Traced]] = {}
        self.fetched: list[tuple[Any, str]] = []
        # Of such numbers, those that the user's code itself reads or sets.
        self.asked: set[tuple[int, str]] = set()
        self.once: str | None = None
        self.excuse: str | None = None
        self.refused: ReplayError | None = None
        self.guards = Guards()
        self.errors = np.geterr()
        self.names: dict[int, str] = {}
        self.root: CodeType | None = None
        self.returned: list[tuple[float, Traced]] = []
        self.picks = Picks(self)

    def close(self) -> None:
        """End the recording: what is left of Traced arrays computes as real ones do."""
        self.ended = True
        self.guards.release()
        for buffer in self.memories:
            if buffer.kind == TEMPORARY:
                buffer.forget()

    @property
    def closed(self) -> bool:
        """Whether nothing is noted: the recording has ended, or another thread asks."""
        if self.ended or arrays.recording() is self:
            return self.ended
        self.once = "another thread computed with its arrays, which a recording does not follow"
        return True

    def live_number(self, owner: Any, name: str) -> Any:
        """Return a number that an object holds as an array that every replay fills anew."""
        number = vars(owner)[name] if name in vars(owner) else getattr(owner, name)
        if isinstance(number, Traced) or (id(owner), name) in self.asked:
            return number
        known = self.numbers.get((id(owner), name))
        if known is None:
            array = np.array(number, float)
            self.buffer(array, TEMPORARY)
            self.note("fetch", getattr, (owner, name), {}, (array,), True)
            known = self.numbers[id(owner), name] = owner, self.show(array)
            self.fetched.append((owner, name))
        return Weak(known[1], number)

    # -- instructions -----------------------------------------------------------------------------------------------

    def real(self, tree: Any) -> Any:
        """Return nested arguments with real arrays."""
        return mapped(tree, Traced, lambda x: x.array)

    def symbolic(self, tree: Any) -> Any:
        """Return nested arguments with Values for arrays; plain arrays are held read-only from now on."""

        def value(x: Any) -> Any:
            found = self.value(x.array)
            self.picks.reads(found.buffer.number)
            return found

        return mapped(mapped(tree, Traced, value), ndarray, self.plain)

    def plain(self, array: ndarray) -> Value:
        """Return the Value of a plain array that is read."""
        if type(array) not in (ndarray, np.memmap):
            self.refuse(f"computing with a {type(array).__name__}", "it with plain arrays")
        if id(array) not in self.guards.seen:
            self.guards.protect(array)
        return self.value(array)

    def note(
        self,
        kind: str,
        function: Callable[..., Any],
        args: Any,
        kwargs: dict[str, Any],
        outs: tuple[ndarray, ...],
        fresh: bool,
    ) -> Instruction:
        """Append an instruction."""
        values = tuple([self.value(out) for out in outs])
        instruction = Instruction(kind, function, self.symbolic(args), self.symbolic(kwargs), values, fresh)
        instruction.code, instruction.lasti, instruction.phase = origin()
        errors: dict[str, Any] = {**np.geterr()}
        if errors != self.errors:
            instruction.errors = errors
            if not {"call", "log"}.isdisjoint(errors.values()):
                self.excuse = "has NumPy call a function where numbers overflow or are divided by zero"
        if not fresh:
            for value in values:
                value.buffer.writes += 1
        self.instructions.append(instruction)
        if not fresh:
            self.picks.settle({value.buffer.number for value in values})
        return instruction

    def phase(self) -> str:
        """Say what is being computed: "forward", "backward" or "update"."""
        return origin()[2]

    def call(self, function: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
        """Return what a function gives; that it raises an error is decided by values, like a branch."""
        try:
            return function(*self.real(args), **self.real(kwargs))
        except Exception as error:
            if "read-only" not in str(error):  # which no value decides
                self.note("guard", Raises(function), args, kwargs, (), False).expected = type(error)
            raise

    # -- what Python makes of values --------------------------------------------------------------------------------

    def decided(self, function: Any, args: Any, kwargs: dict[str, Any], result: Any) -> Any:
        """Note a result that is no array but, say, a Python number: a guard, since the function goes on with it."""
        self.note("guard", function, args, kwargs, (), False).expected = result
        return result

    def decide(self, traced: Traced, convert: Callable[[ndarray], Any]) -> Any:
        """Return what Python makes of a value, and note that it was decided so."""
        if self.closed or self.are_constant(traced):
            return convert(traced.array)
        result = self.call(convert, (traced,), {})
        if convert in (float, int, complex, bool) and is_assigning(sys._getframe(2)):
            self.leave(traced, None)
        guard = self.note("guard", convert, (traced,), {}, (), False)
        guard.expected = result
        return result

    def returned_number(self, traced: Traced) -> float | None:
        """Return the float in an array if Python takes it out for the function's result alone: it decides nothing."""
        array = traced.array
        if self.closed or array.size != 1 or array.dtype.char not in "fd" or self.are_constant(traced):
            return None
        frame: FrameType | None = sys._getframe(2)
        while frame is not None and frame.f_code.co_filename.startswith(PACKAGE):
            frame = frame.f_back
        caller_of_it = None if frame is None else frame.f_back
        if frame is None or caller_of_it is None or caller_of_it.f_code is not self.root:
            return None
        if not is_only_returned(frame):
            return None
        number = float(array.item())
        self.returned.append((number, self.show(array).reshape(()).astype(float)))
        return number

    def decided_numbers(self, tree: Any) -> Any:
        """Return nested arguments with real numbers, which what follows depends on."""

        def decided(x: Traced) -> Any:
            return self.decide(x, lambda array: array[()]) if x.is_number else x

        return mapped(tree, Traced, decided)

    def leave(self, traced: Traced, dtype: Any) -> ndarray:
        """Answer a function that wants a real array of a Traced one: an error, while recording."""
        if self.closed:
            return traced.array if dtype is None else traced.array.astype(dtype)
        if self.are_constant(traced):
            self.left.add(self.buffer(traced.array).number)
            seen = np.array(traced.array, dtype)
            seen.flags.writeable = False
            return seen
        return self.refuse(
            "a conversion by other code, or an assignment into a plain array, which takes the values out of the "
            "recording",
            "np.copy(x) in the place of a conversion, np.take(a, x) in the place of a[x] where a is plain, and to "
            "arrays that the function's own code makes (np.zeros, np.empty, np.array)",
        )

    def refuse(self, what: str, instead: str) -> Any:
        """Raise the error that something cannot be followed, and keep it: whoever catches it goes another way."""
        self.refused = refusal(what, instead)
        raise self.refused


def refusal(what: str, instead: str) -> ReplayError:
    """Return the error that something in the user's line cannot be followed."""
    return ReplayError(
        f"mytorch.compile cannot follow {what}, at {shown(*caller())}; write {instead}, "
        "or do it outside of the compiled function"
    )


class Lies:
    """The question where in an array, if at all, a function's result lies."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.__name__ = f"the place of {name_of(function)}"

    def __call__(self, array: ndarray, *args: Any, **kwargs: Any) -> Any:
        result = self.function(array, *args, **kwargs)
        if owner_of(result) is not owner_of(array):
            return result.shape
        return result.shape, result.strides, result.dtype.str, address_of(result) - address_of(array)


class Raises:
    """The question which error a function raises, if any; it is asked on copies, so that it changes nothing."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.__name__ = f"the error of {name_of(function)}"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            self.function(*mapped(args, ndarray, np.copy), **mapped(kwargs, ndarray, np.copy))
        except Exception as error:
            return type(error)
        return None


_SWEEP = sweep.__code__


def origin() -> tuple[Any, int, str]:
    """Return the user's line that an instruction belongs to, and the phase.

    In a backward pass that is the line that recorded the operation whose rule is being computed.
    """
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        if frame.f_code is _SWEEP:
            operation = frame.f_locals.get("operation")
            if operation is not None and operation.code is not None:
                return operation.code, operation.lasti, "backward"
        if frame.f_code.co_name == "step" and frame.f_globals.get("__name__", "").startswith("mytorch.optim"):
            return (*caller(), "update")
        frame = frame.f_back
    return (*caller(), "forward")
