"""What the tape consists of: records of operations, each of which read some regions of memory and produced another.

A record holds the arrays that its rule reads, the names of the memories that gradients go to and come from, and the
line of the user's program; it knows no mathematics and no Tensor.  There are three kinds: `Operation` for anything,
`Exact` for the common short form, and `Write` for an operation whose output is memory that existed before.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from types import CodeType
from typing import Any, ClassVar

import numpy as np

from mytorch import arrays
from mytorch.lines import shown
from mytorch.regions import Target, gradient_dtype
from mytorch.rules.registry import Rule

next_serial = count(1).__next__


class TapeError(RuntimeError):
    """What was recorded cannot be differentiated; the message names the operation and its line."""


class Record:
    """What every operation answers, however little of it is stored."""

    __slots__ = ()
    rule: Any
    output: Any
    code: CodeType | None
    lasti: int

    @property
    def outputs(self) -> Any:
        return self.output

    @property
    def backward_operation(self) -> Any:
        return self.rule

    @property
    def backward_function(self) -> Any:
        return self.rule

    @property
    def name(self) -> str:
        """The name of the function that was recorded."""
        return name_of(self.rule)

    @property
    def line(self) -> str:
        """Where the user's code recorded the operation: 'file:line', with its text if that is in no file."""
        return shown(self.code, self.lasti)

    def __repr__(self) -> str:
        return f"<Operation {self.name} recorded at {self.line}>"


class Operation(Record):
    """One record of the tape: this function read these regions of memory and produced that one.

    Attributes
    ----------
    inputs : the input arrays that the rule reads (None where it does not; all of them on an explicit tape)
    output : the output array, if the rule reads it (always on an explicit tape)
    gradients_to_update : the external gradients, on an explicit tape
    backward_operation, backward_function : the rule, or the function that was given as one
    outputs : the same as `output`
    targets, target : where the gradients of the inputs go (None: not wanted), and that of the output lies
    metas : per input its shape and dtype, or None where all are as the output's
    static : the keyword arguments that the rule's formulas read
    serial : the time of the record; also the name of the memory that the operation gave birth to
    """

    __slots__ = (
        "code",
        "gradients_to_update",
        "inputs",
        "lasti",
        "metas",
        "output",
        "rule",
        "serial",
        "static",
        "target",
        "targets",
    )

    def __init__(
        self,
        inputs: Any,
        output: Any,
        gradients_to_update: Any,
        backward_operation: Any,
        targets: tuple[Target | None, ...] = (),
        target: Target | None = None,
        metas: Any = None,
        static: dict[str, Any] | None = None,
        serial: int = 0,
        code: CodeType | None = None,
        lasti: int = 0,
    ) -> None:
        self.inputs, self.output, self.rule = inputs, output, backward_operation
        self.gradients_to_update = gradients_to_update
        self.targets, self.target, self.metas, self.static = targets, target, metas, static
        self.serial, self.code, self.lasti = serial, code, lasti


class Exact(Record):
    """The least that can be stored of an operation on up to three whole memories, whose gradients need no fitting.

    The inputs `a`, `b`, `c` are held as fields, and so are the memories that their gradients go to; those that the
    function does not have stay unset.
    """

    __slots__ = (
        "a",
        "b",
        "c",
        "code",
        "lasti",
        "output",
        "rule",
        "serial",
        "target_a",
        "target_b",
        "target_c",
    )
    a: Any
    b: Any
    c: Any
    target_a: int | None
    target_b: int | None
    target_c: int | None
    serial: int
    gradients_to_update = None
    metas = None
    static: ClassVar[dict[str, Any]] = {}

    @property
    def target(self) -> int:
        return self.serial

    @property
    def inputs(self) -> tuple[Any, ...]:
        count = len(self.rule.formulas)
        if count == 1:
            return (self.a,)
        return (self.a, self.b) if count == 2 else (self.a, self.b, self.c)

    @property
    def targets(self) -> tuple[int | None, ...]:
        count = len(self.rule.formulas)
        if count == 1:
            return (self.target_a,)
        return (self.target_a, self.target_b) if count == 2 else (self.target_a, self.target_b, self.target_c)


class Write(Operation):
    """An operation whose output is memory that existed before.

    A write gives the memory a new name (its serial), so that what was read of it before keeps the old one,
    `previous`; `old` holds the values that the write destroyed, if an earlier rule reads them, and the sweep
    swaps them back in while it is at earlier times.
    """

    __slots__ = ("array", "index", "old", "previous")

    def place(self, previous: int | None, array: np.ndarray, index: Any, old: np.ndarray | None) -> Write:
        """Say what was written: ``array[index]`` of the memory that was named `previous`."""
        self.previous, self.index, self.old = previous, index, old
        # A view of its own can be written by `swap` also while the array is held read-only.
        self.array = array if old is None else array.view()
        return self

    def note(self) -> Write:
        """Return the same change of memory, through which no gradient passes."""
        twin = Write((), None, None, None, serial=self.serial, code=self.code, lasti=self.lasti)
        return twin.place(None, self.array, self.index, self.old)

    def swap(self) -> None:
        """Exchange the values in memory and the ones held."""
        if self.old is not None:
            held = arrays.array(self.array[self.index])
            self.array[self.index] = self.old
            self.old = held


# The metas of an operation that holds all its inputs are read from them, when they are needed.
FROM_INPUTS = object()


def metas_of(inputs: Iterable[np.ndarray]) -> list[tuple[tuple[int, ...], np.dtype[Any]]]:
    """Return per input the shape and dtype of its gradient."""
    return [(x.shape, gradient_dtype(x.dtype)) for x in inputs]


def name_of(rule: Any) -> str:
    """Return the name of a rule's function, or of a function that is used as a rule."""
    if isinstance(rule, Rule):
        return rule.name
    return str(getattr(rule, "__name__", "no backward operation" if rule is None else repr(rule)))
