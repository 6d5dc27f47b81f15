"""What a recording consists of: memories, values (views of a memory), and instructions that read and write them.

The recorder makes a `Listing` of instructions, every pass takes one and returns another, and planner and printer read
it.  Arrays are named by memory, offset, shape and strides, so that a view is the same memory here, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import count
from math import prod
from types import CodeType
from typing import Any
from weakref import ref

import numpy as np
from numpy import ndarray

from mytorch.lines import where
from mytorch.regions import address_of, byte_bounds, is_contiguous
from mytorch.rules.masks import CHOICES

# Where a memory comes from.
ARGUMENT = "argument"  # given anew at every call
OUTSIDE = "outside"  # lives outside of the function: a parameter, a constant
INSIDE = "inside"  # made by the function with values that do not depend on anything
TEMPORARY = "temporary"  # made by an instruction


class Buffer:
    """A memory: where it comes from, and how its owner lies in it.

    What instructions make is not kept while recording, or all of a step's intermediates would be alive at once, and
    what the call was given is not kept beyond it.  Of such memory `owner` is, once it has died, an array of the same
    form whose values mean nothing.
    """

    __slots__ = (
        "_memory",
        "_owner",
        "_reference",
        "dtype",
        "initial",
        "kind",
        "low",
        "name",
        "nbytes",
        "number",
        "shape",
        "start",
        "strides",
        "tensors",
        "writes",
    )

    def __init__(self, owner: np.ndarray, kind: str, number: int) -> None:
        self._owner: np.ndarray | None = None if kind == TEMPORARY else owner
        self._reference: ref[np.ndarray] | None = ref(owner) if kind == TEMPORARY else None
        self._memory: Any = None
        self.kind, self.number = kind, number
        self.shape, self.strides, self.dtype = owner.shape, owner.strides, owner.dtype
        low, high = byte_bounds(owner) if owner.size else (0, 0)
        self.low, self.nbytes = low, high - low
        self.start = address_of(owner) - low if owner.size else 0
        self.name: str | None = None
        self.writes = 0  # instructions that wrote to it after its birth
        self.initial: np.ndarray | None = None  # of memory made inside: its values before the first write
        self.tensors: list[Any] = []  # the Tensors outside that own it

    @property
    def owner(self) -> np.ndarray:
        """The array that owns the memory, or one of its form."""
        owner = self._owner
        if owner is None:
            owner = None if self._reference is None else self._reference()
        if owner is None:
            self._memory = np.empty(max(self.nbytes, 1), np.uint8)
            self.low = address_of(self._memory)
            owner = self._owner = self.view(self.shape, self.dtype, self.start, self.strides)
        return owner

    def is_of(self, owner: np.ndarray) -> bool:
        """Say whether this is the memory of `owner` (and not of one that died and had the same name)."""
        return (self._owner if self._reference is None else self._reference()) is owner

    def keep(self) -> None:
        """Hold the owner, whoever else lets go of it."""
        self._owner, self._reference = self.owner, None

    def forget(self) -> None:
        """Let go of what the recorded call made, or was given."""
        self._owner = self._reference = self._memory = None

    def view(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], offset: int, strides: tuple[int, ...]
    ) -> np.ndarray:
        """Return a view of the memory."""
        if self._memory is None:
            owner = self.owner
            if self._memory is None:
                start = owner.reshape(-1).view(np.uint8) if owner.flags.c_contiguous else None
                if start is None:
                    return np.lib.stride_tricks.as_strided(owner, shape, strides)
                self._memory = start
        return np.ndarray(shape, dtype, self._memory, offset, strides)

    def __repr__(self) -> str:
        return f"<{self.kind} memory {self.number} of {self.nbytes} bytes>"


_number = count(1 << 32).__next__  # recordings count from 0: also what no instruction reads has a number


def made_by_pass(owner: np.ndarray, kind: str = TEMPORARY) -> Buffer:
    """Return a memory that no recording knows."""
    return Buffer(owner, kind, _number())


class Value:
    """A view of a memory."""

    __slots__ = ("_array", "buffer", "dtype", "offset", "shape", "strides")

    def __init__(self, buffer: Buffer, array: np.ndarray) -> None:
        self.buffer, self._array = buffer, None if buffer.kind in (TEMPORARY, ARGUMENT) else array
        self.shape, self.strides, self.dtype = array.shape, array.strides, array.dtype
        self.offset = (address_of(array) - buffer.low) if array.size else 0

    @property
    def array(self) -> np.ndarray:
        """The array that was recorded; of memory that is not kept, one of its form."""
        if self._array is None:
            owner = self.buffer.owner  # which makes the memory
            if not owner.size or not self.size:
                return np.empty(self.shape, self.dtype)
            self._array = self.buffer.view(self.shape, self.dtype, self.offset, self.strides)
        return self._array

    def forget(self) -> None:
        """Let go of memory that is not kept; whoever asks for the array gets another of its form."""
        if self.buffer.kind in (TEMPORARY, ARGUMENT):
            self._array = None
            self.buffer.forget()

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def key(self) -> tuple[Any, ...]:
        """What two views of the same entries have in common."""
        return self.buffer.number, self.offset, self.shape, self.strides, self.dtype

    @property
    def is_whole(self) -> bool:
        """Whether the view shows every byte of the memory."""
        return self.size * self.dtype.itemsize == self.buffer.nbytes and self.is_packed

    @property
    def is_packed(self) -> bool:
        """Whether no two entries overlap and no bytes lie between them."""
        expected = self.dtype.itemsize
        for stride, n in sorted((abs(s), n) for s, n in zip(self.strides, self.shape, strict=True) if n != 1):
            if stride != expected:
                return False
            expected *= n
        return True

    @property
    def is_contiguous(self) -> bool:
        """Whether the entries follow each other in C order."""
        return is_contiguous(self.shape, self.strides, self.dtype.itemsize)

    def twin(self, **changes: Any) -> Value:
        """Return the same view with some attributes changed."""
        other = Value.__new__(Value)
        for slot in Value.__slots__:
            setattr(other, slot, changes.get(slot, getattr(self, slot)))
        return other

    def __repr__(self) -> str:
        return f"<value {self.shape} {self.dtype} of {self.buffer!r}>"


class Instruction:
    """One call: ``function(*args, **kwargs)``, which reads `reads` and leaves its results in `outs`.

    Attributes
    ----------
    kind : "ufunc" (results may be given as ``out``; `CHOICES` are run as ufuncs), "call" (results are new),
        "write" (changes its first argument), "random" (a draw), "fetch" (asks for a number that lives outside), "guard"
        (compares with what was recorded)
    function, args, kwargs : the call, with Values for arrays
    outs : the Values that it writes, in the order of the results
    fresh : whether `outs` is memory that it makes
    expected : of a guard, what was decided
    code, lasti : the user's line that it belongs to; `phase` is forward, backward or update
    errors : NumPy's error state, where it is not that of the beginning
    """

    __slots__ = (
        "args",
        "code",
        "errors",
        "expected",
        "fresh",
        "function",
        "kind",
        "kwargs",
        "lasti",
        "outs",
        "phase",
        "reads",
    )

    def __init__(
        self,
        kind: str,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        outs: tuple[Value, ...],
        fresh: bool,
    ) -> None:
        self.kind, self.function, self.args, self.kwargs = kind, function, args, kwargs
        self.outs, self.fresh = outs, fresh
        self.reads: list[Value] = list(values_in((args, kwargs)))
        self.expected: Any = None
        self.code: CodeType | None = None
        self.lasti, self.phase = 0, "forward"
        self.errors: dict[str, Any] | None = None

    @property
    def line(self) -> str:
        """The user's line, as 'file:line'."""
        return where(self.code, self.lasti)

    @property
    def name(self) -> str:
        """The name of the function."""
        return name_of(self.function)

    @property
    def is_elementwise(self) -> bool:
        """Whether the function is one of single entries: a ufunc, or a choice that reverse passes make."""
        function = self.function
        return function in CHOICES or (isinstance(function, np.ufunc) and function.signature is None)

    def reads_again(self) -> None:
        """Find anew what the call reads, after its arguments were changed."""
        self.reads = list(values_in((self.args, self.kwargs)))

    def twin(self, **changes: Any) -> Instruction:
        """Return the same instruction with some attributes changed."""
        other = Instruction.__new__(Instruction)
        for slot in Instruction.__slots__:
            setattr(other, slot, changes.get(slot, getattr(self, slot)))
        if "args" in changes or "kwargs" in changes:
            other.reads_again()
        return other

    def __repr__(self) -> str:
        return f"<{self.kind} {self.name} recorded at {self.line}>"


class Listing:
    """Instructions, and the values that are asked for at the end."""

    def __init__(self, instructions: list[Instruction], roots: list[Value]) -> None:
        self.instructions, self.roots = instructions, roots

    def forget(self) -> None:
        """Let go of the memory of all values that is not kept."""
        for instruction in self.instructions:
            for value in (*instruction.reads, *instruction.outs):
                value.forget()
        for root in self.roots:
            root.forget()

    def replaced(self, instructions: list[Instruction], new: dict[int, tuple[Buffer, int]]) -> Listing:
        """Return the listing in which memories (by number) are parts, at an offset, of others."""
        if not new:
            return Listing(instructions, self.roots)

        def moved(value: Value) -> Value:
            place = new.get(value.buffer.number)
            if place is None:
                return value
            return moved(value.twin(buffer=place[0], offset=value.offset + place[1]))

        return Listing(instructions, self.roots).with_values(moved)

    def with_values(self, change: Callable[[Value], Value]) -> Listing:
        """Return the listing with `change` applied to every value."""
        instructions = [
            i.twin(
                args=mapped(i.args, Value, change),
                kwargs=mapped(i.kwargs, Value, change),
                outs=tuple([change(out) for out in i.outs]),
            )
            for i in self.instructions
        ]
        return Listing(instructions, [change(root) for root in self.roots])


def last_writes(instructions: list[Instruction]) -> dict[int, int]:
    """Return, per memory, the position of the last instruction that wrote to it after its birth."""
    return {
        out.buffer.number: position
        for position, instruction in enumerate(instructions)
        if not instruction.fresh
        for out in instruction.outs
    }


def written_outside(instructions: Iterable[Instruction]) -> list[Buffer]:
    """Return the memories outside that some instructions write to."""
    outs = [out.buffer for instruction in instructions for out in instruction.outs]
    return list({buffer.number: buffer for buffer in outs if buffer.kind == OUTSIDE}.values())


def matrices(instruction: Instruction) -> list[Value]:
    """Return the two operands of a product of matrices, however it is called; nothing if it is something else."""
    args = instruction.args
    if instruction.function is np.einsum and args[0] == "ij,jk->ik":
        args = args[1:]
    elif instruction.function not in (ndarray.dot, np.dot, np.matmul):
        return []
    found = [x for x in args if isinstance(x, Value) and len(x.shape) == 2]
    fits = len(found) == len(args) == 2 and found[0].shape[1] == found[1].shape[0]  # `einsum` would broadcast
    return found if fits else []


def name_of(function: Any) -> str:
    """Return the name of a function as a user would write it: 'np.add', 'np.add.reduce', 'np.linalg.solve'."""
    if isinstance(function, np.ufunc):
        return f"np.{function.__name__}"
    owner = getattr(function, "__self__", None)
    if isinstance(owner, np.ufunc):
        return f"np.{owner.__name__}.{function.__name__}"
    name = getattr(function, "__name__", repr(function))
    module = getattr(function, "__module__", None) or ""
    if module == "numpy" or module.startswith("numpy."):
        public = {"numpy": "np", "numpy.linalg": "np.linalg", "numpy.fft": "np.fft"}.get(module)
        return f"{public or 'np'}.{name}"
    return str(name)


def values_in(tree: Any) -> Iterator[Value]:
    """Iterate over the Values in nested tuples, lists, dicts and slices."""
    if isinstance(tree, Value):
        yield tree
    elif isinstance(tree, tuple | list):
        for entry in tree:
            yield from values_in(entry)
    elif isinstance(tree, dict):
        for entry in tree.values():
            yield from values_in(entry)


def mapped(tree: Any, kind: Any, change: Callable[[Any], Any]) -> Any:
    """Return nested tuples, lists and dicts with `change` applied to the leaves of the type `kind`."""
    if issubclass(type(tree), kind):
        return change(tree)
    if isinstance(tree, tuple | list):
        entries = [mapped(entry, kind, change) for entry in tree]
        return type(tree)(*entries) if hasattr(tree, "_fields") else type(tree)(entries)
    if type(tree) is dict:
        return {key: mapped(entry, kind, change) for key, entry in tree.items()}
    return tree
