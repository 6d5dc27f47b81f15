"""Numbers that Python takes out of an array for nothing but the result: ``return float(loss)`` decides nothing.

In: a frame that is at ``float(x)`` or ``x.item()``.  Out: whether the number gets nowhere but into what the function
returns.  The bytecode says so: the number is followed on the stack, and through local names, to a ``return``, into
tuples, lists and the values of dicts at most.  What is not understood counts as a use.
"""

from __future__ import annotations

import dis
from collections.abc import Iterator, Sequence
from functools import lru_cache
from types import CodeType, FrameType
from typing import Any, NamedTuple

_CALLS = {"CALL", "CALL_FUNCTION", "CALL_METHOD"}
_CONTAINERS = {"BUILD_TUPLE", "BUILD_LIST", "BUILD_MAP", "BUILD_CONST_KEY_MAP"}
_LOADS = {"LOAD_FAST", "LOAD_FAST_CHECK", "LOAD_CONST", "LOAD_GLOBAL", "LOAD_DEREF", "PUSH_NULL"}
_ATTRIBUTES = {"LOAD_ATTR", "LOAD_METHOD"}
_JUMPS = {"JUMP_FORWARD", "JUMP_ABSOLUTE"}
_ENDS = {"POP_TOP", "STORE_FAST", "RETURN_VALUE"}
# Of the others, those that take values from the top of the stack and put one there.
_COMPUTING = {
    *_CALLS, *_CONTAINERS, "CALL_FUNCTION_KW", "CALL_KW", "COMPARE_OP", "BUILD_SLICE", "UNARY_NEGATIVE", "UNARY_NOT",
    "BINARY_SUBSCR", "BINARY_OP", "BINARY_ADD", "BINARY_SUBTRACT", "BINARY_MULTIPLY", "BINARY_TRUE_DIVIDE",
    "BINARY_POWER", "BINARY_MATRIX_MULTIPLY",
}  # fmt: skip
_NOTHING = {"CACHE", "NOP", "RESUME", "EXTENDED_ARG", "PRECALL", "KW_NAMES"}
_LOOKING = {"locals", "vars", "dir", "eval", "exec"}  # who calls these sees every local name


class Step(NamedTuple):
    """An instruction: how many values it takes from the stack (None: it is not understood), and puts there."""

    name: str
    arg: int
    what: Any
    offset: int
    takes: int | None
    gives: int


def is_only_returned(frame: FrameType) -> bool:
    """Say whether `frame` is at ``float(x)`` or ``x.item()``, and its value gets nowhere but into the result.

    >>> import sys
    >>> class Asking:
    ...     def __float__(self):
    ...         self.only_returned = is_only_returned(sys._getframe(1))
    ...         return 1.0
    >>> def returned(x):
    ...     return {"loss": float(x)}
    >>> def used(x):
    ...     return 2 * float(x)
    >>> for function in (returned, used):
    ...     x = Asking()
    ...     value = function(x)
    ...     print(x.only_returned)
    True
    False
    """
    steps = _steps(frame.f_code)
    at = max(
        i for i, step in enumerate(steps) if step.offset <= frame.f_lasti
    )  # which may be in a cache behind it
    if steps[at].name not in _CALLS or _LOOKING & set(frame.f_code.co_names):
        return False
    float_is_builtin = frame.f_globals.get("float", frame.f_builtins.get("float")) is float
    if not (_is_item(steps, at) or (float_is_builtin and _is_float(steps, at))):
        return False
    return _returns(steps, at + 1, frozenset())


@lru_cache(maxsize=64)
def _steps(code: CodeType) -> Sequence[Step]:
    return [step for instruction in dis.get_instructions(code) for step in _parts(instruction)]


def _parts(instruction: dis.Instruction) -> Iterator[Step]:
    """Iterate over an instruction as one step, over one of Python 3.13's pairs as two."""
    name, arg = instruction.opname, instruction.arg or 0
    halves = [half + "_FAST" for half in name.split("_FAST")[:-1]]
    if len(halves) == 2 and isinstance(instruction.argval, tuple):
        for half, what in zip(halves, instruction.argval, strict=True):
            loads = half.strip("_") == "LOAD_FAST"
            yield Step(half.strip("_"), 0, what, instruction.offset, *((0, 1) if loads else (1, 0)))
    elif name not in _NOTHING:
        takes: int | None = None
        gives = 1
        if name in _LOADS:
            takes, gives = 0, dis.stack_effect(instruction.opcode, instruction.arg)
        elif name in _ATTRIBUTES:
            takes, gives = 1, 1 + dis.stack_effect(instruction.opcode, instruction.arg)
        elif name in _ENDS:
            takes, gives = 1, 0
        elif name == "CALL":
            takes = arg + 2
        elif name in _COMPUTING:
            takes = 1 - dis.stack_effect(instruction.opcode, instruction.arg)
        yield Step(name, arg, instruction.argval, instruction.offset, takes, gives)


def _is_item(steps: Sequence[Step], at: int) -> bool:
    """Say whether a call is of a method ``item()``, without arguments."""
    before = steps[at - 1]
    return steps[at].arg == 0 and before.name in _ATTRIBUTES and before.what == "item"


def _is_float(steps: Sequence[Step], at: int) -> bool:
    """Say whether a call is of ``float``, with one argument."""
    loads = [i for i, step in enumerate(steps) if step.name == "LOAD_GLOBAL" and step.what == "float"]
    return steps[at].arg == 1 and any(_taker(steps, i + 1)[0] == at for i in loads)


def _taker(steps: Sequence[Step], start: int) -> tuple[int | None, int]:
    """Return which step takes the value that is on top of the stack before `start`, and how many lie above it then."""
    above, i = 0, start
    while i < len(steps):
        step = steps[i]
        if step.name in _JUMPS and step.what > step.offset:
            i = next(k for k, other in enumerate(steps) if other.offset >= step.what)
            continue
        if step.takes is None or step.takes > above:
            return (None if step.takes is None else i), above
        above += step.gives - step.takes
        i += 1
    return None, above


def _returns(steps: Sequence[Step], start: int, names: frozenset[str]) -> bool:
    """Say whether the value on top of the stack before `start` ends in the result; the local `names` have it, too."""
    at, above = _taker(steps, start)
    if at is None:
        return False
    name, what = steps[at].name, steps[at].what
    if name in ("RETURN_VALUE", "POP_TOP"):
        return True
    if name in _CONTAINERS:
        is_key = name == "BUILD_MAP" and above % 2 == 1
        return not is_key and _returns(steps, at + 1, names)
    if name != "STORE_FAST":
        return False
    uses = [i for i, step in enumerate(steps) if "FAST" in step.name and step.what == what]
    return what in names or all(
        steps[i].name == "STORE_FAST" or (steps[i].name in _LOADS and _returns(steps, i + 1, names | {what}))
        for i in uses
    )
