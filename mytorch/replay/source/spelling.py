"""How NumPy calls are written: ``x @ W`` for ``np.matmul(x, W)``, ``x.sum(axis=0)`` for ``np.add.reduce(x, 0)``.

In: an instruction, and how its values are written.  Out: an expression, with its rank among Python's operators, so that
brackets stand only where they must.
"""

from __future__ import annotations

import builtins
import inspect
import operator
import re
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy import ndarray

from mytorch.replay.errors import ReplayError
from mytorch.replay.instructions import Instruction, Value
from mytorch.replay.record.notes import Lies
from mytorch.replay.record.recorder import getitem
from mytorch.replay.record.traced import POWERS
from mytorch.replay.source.literals import dtype_text, number, strong
from mytorch.replay.source.viewing import slice_text
from mytorch.rules.masks import CHOICES, shared

ATOM, POWER, UNARY, PRODUCT, SUM, SHIFT, AND, XOR, OR, COMPARISON = range(10, 0, -1)


class Expr(NamedTuple):
    """The text of an expression, how strongly its operator binds, and the same without its sign, conjugation, ``~``."""

    text: str
    level: int = ATOM
    opposite: Expr | None = None
    conjugate: Expr | None = None
    inverse: Expr | None = None

    def within(self, level: int) -> str:
        """Return the text as it stands beside an operator of a level."""
        return self.text if self.level >= level else f"({self.text})"

    @property
    def atom(self) -> str:
        """The text as it stands in front of ``.name``, ``[...]``."""
        return self.within(ATOM)


Term = Callable[[Any], Expr]

_BINARY: dict[np.ufunc, tuple[str, int]] = {
    np.power: ("**", POWER),
    np.multiply: ("*", PRODUCT), np.divide: ("/", PRODUCT), np.matmul: ("@", PRODUCT),
    np.floor_divide: ("//", PRODUCT), np.remainder: ("%", PRODUCT),
    np.add: ("+", SUM), np.subtract: ("-", SUM),
    np.left_shift: ("<<", SHIFT), np.right_shift: (">>", SHIFT),
    np.bitwise_and: ("&", AND), np.bitwise_xor: ("^", XOR), np.bitwise_or: ("|", OR),
    np.less: ("<", COMPARISON), np.less_equal: ("<=", COMPARISON), np.greater: (">", COMPARISON),
    np.greater_equal: (">=", COMPARISON), np.equal: ("==", COMPARISON), np.not_equal: ("!=", COMPARISON),
}  # fmt: skip
_BOOLEAN: dict[np.ufunc, tuple[str, int]] = {np.logical_and: ("&", AND), np.logical_or: ("|", OR)}
_UNARY: dict[np.ufunc, str] = {np.negative: "-", np.positive: "+", np.invert: "~"}
_AUGMENTED = {"**", "*", "/", "@", "//", "%", "+", "-", "<<", ">>", "&", "^", "|"}
_COMMUTATIVE = {np.multiply, np.add, np.bitwise_and, np.bitwise_xor, np.bitwise_or}
_REDUCTIONS: dict[np.ufunc, str] = {
    np.add: "sum", np.multiply: "prod", np.maximum: "max", np.minimum: "min", np.logical_or: "any",
    np.logical_and: "all",
}  # fmt: skip
_NAMESPACES = (
    (np, "np"), (np.linalg, "np.linalg"), (np.fft, "np.fft"), (np.random, "np.random"),
    (np.lib.stride_tricks, "np.lib.stride_tricks"), (np.emath, "np.emath"),
    (np.polynomial.polynomial, "np.polynomial.polynomial"), (np.polynomial.chebyshev, "np.polynomial.chebyshev"),
    (np.polynomial.legendre, "np.polynomial.legendre"), (np.polynomial.hermite, "np.polynomial.hermite"),
    (np.polynomial.hermite_e, "np.polynomial.hermite_e"), (np.polynomial.laguerre, "np.polynomial.laguerre"),
)  # fmt: skip
_COUNTS_IN_PYTHON = isinstance(
    np.count_nonzero(()), int
)  # before NumPy 2.3 its result has no index and no methods
_SHORTER = {"np.absolute": "np.abs", "np.conjugate": "np.conj"}


# -- names of functions -----------------------------------------------------------------------------------------


def function_text(function: Any, instruction: Instruction) -> str:
    """Return the name under which NumPy gives a function.

    Raises
    ------
    ReplayError
        For a function that is not NumPy's.
    """
    owner = getattr(function, "__self__", None)
    if isinstance(owner, np.ufunc):
        return f"{function_text(owner, instruction)}.{function.__name__}"
    name = getattr(function, "__name__", "")
    for space, text in _NAMESPACES:
        if name and getattr(space, name, None) is function:
            return _SHORTER.get(f"{text}.{name}", f"{text}.{name}")
    raise ReplayError(
        f"{instruction.name}, recorded at {instruction.line}, has no spelling in NumPy alone: the program can be "
        "replayed, but not printed; write that step with NumPy's functions"
    )


def is_method(function: Any) -> bool:
    """Say whether a function is a method of arrays."""
    return getattr(function, "__objclass__", None) is ndarray


def gives_tuple(instruction: Instruction) -> bool:
    """Say whether a call returns a tuple or a list also where that has one entry."""
    return instruction.function in (np.nonzero, ndarray.nonzero, np.where) and len(instruction.args) == 1


# -- arguments -----------------------------------------------------------------------------------------------------


def argument(x: Any, term: Term) -> str:
    """Return an argument as it stands in a call."""
    if isinstance(x, Value):
        return term(x).text
    if isinstance(x, np.generic):
        return strong(x) if x.dtype.kind in "biufc" else repr(x)
    if isinstance(x, bool) or x is None or x is Ellipsis or isinstance(x, str):
        return "..." if x is Ellipsis else repr(x)
    if isinstance(x, int | float | complex):
        return number(x)
    if isinstance(x, tuple | list):
        entries = [argument(entry, term) for entry in x]
        if isinstance(x, list):
            return f"[{', '.join(entries)}]"
        return f"({entries[0]},)" if len(entries) == 1 else f"({', '.join(entries)})"
    if isinstance(x, dict):
        return "{" + ", ".join(f"{k!r}: {argument(v, term)}" for k, v in x.items()) + "}"
    if isinstance(x, slice):
        return f"slice({', '.join(argument(part, term) for part in (x.start, x.stop, x.step))})"
    return _special(x)


def _special(x: Any) -> str:
    """Return a dtype, a type or a function that a call is told."""
    if isinstance(x, np.dtype):
        return dtype_text(x)
    if isinstance(x, type) and issubclass(x, np.generic | bool | int | float | complex):
        return dtype_text(np.dtype(x)) if issubclass(x, np.generic) else x.__name__
    name = getattr(x, "__name__", None)
    if name is not None and getattr(np, name, None) is x:
        return f"np.{name}"
    if isinstance(x, ndarray) and x.size < 9:
        return f"np.array({x.tolist()!r}, dtype={dtype_text(x.dtype)})"
    raise ReplayError(
        f"a {type(x).__name__} among the arguments of a NumPy call cannot be printed: pass numbers, arrays or strings"
    )


def arguments(args: Any, kwargs: dict[str, Any], term: Term) -> str:
    """Return the arguments of a call."""
    words = [argument(x, term) for x in args]
    return ", ".join([*words, *[f"{k}={argument(v, term)}" for k, v in kwargs.items()]])


def index_text(index: Any, term: Term) -> str:
    """Return an index as it stands between brackets."""
    if isinstance(index, tuple) and index:
        parts = [_index_part(part, term) for part in index]
        return parts[0] + "," if len(parts) == 1 and isinstance(index[0], list | tuple) else ", ".join(parts)
    return _index_part(index, term)


def _index_part(part: Any, term: Term) -> str:
    if isinstance(part, slice):
        ends = [
            x if x is None or isinstance(x, int | np.integer) else 0
            for x in (part.start, part.stop, part.step)
        ]
        return slice_text(slice(*[None if x is None else int(x) for x in ends]))
    if isinstance(part, np.integer):
        return str(int(part))
    text = argument(part, term)
    known = re.fullmatch(r"np\.int64\((-?\d+)\)", text)
    return text if known is None else known[1]


# -- calls --------------------------------------------------------------------------------------------------------


def call(instruction: Instruction, term: Term, operand: Callable[[Instruction, int], Expr]) -> Expr:
    """Return what an instruction computes; `operand` spells an operand of a ufunc, `term` any other Value."""
    function, args, kwargs = instruction.function, instruction.args, instruction.kwargs
    if isinstance(function, np.ufunc):
        return _ufunc(instruction, term, operand)
    if isinstance(getattr(function, "__self__", None), np.ufunc) and function.__name__ == "reduce":
        found = _reduction(instruction, term)
        if found is not None:
            return found
    if function in CHOICES:
        return _choice(instruction, term)
    if function is getitem:
        return Expr(f"{term(args[0]).atom}[{index_text(args[1], term)}]")
    if is_method(function):
        return _method(instruction, term)
    if function is np.dot and _is_product(args):
        return Expr(f"{term(args[0]).within(PRODUCT)} @ {term(args[1]).within(UNARY)}", PRODUCT)
    args, kwargs = _needed(function, args, kwargs)
    if all(x.dtype.char not in "efFg" for x in (*instruction.reads, *instruction.outs)):
        args = tuple(
            [float(x) if type(x) is np.float64 else x for x in args]
        )  # nothing could stay of lower precision
    text = f"{function_text(function, instruction)}({arguments(args, kwargs, term)})"
    if function is np.count_nonzero and _COUNTS_IN_PYTHON and any(not out.shape for out in instruction.outs):
        text = f"np.intp({text})"
    return Expr(text)


def _needed(function: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the arguments of a call without those that say what goes without saying."""
    defaults = {**_defaults(function), "keepdims": False, "where": True}
    if function is np.take_along_axis:  # older versions have no default
        defaults.pop("axis")
    names = list(_defaults(function))
    while 1 < len(args) <= len(names) and args[-1] is _defaults(function)[names[len(args) - 1]] is None:
        args = args[:-1]
    return args, {k: v for k, v in kwargs.items() if not (k in defaults and _is_same(v, defaults[k]))}


def _is_same(x: Any, default: Any) -> bool:
    return type(x) is type(default) and isinstance(x, str | int | None) and x == default


@cache
def _defaults(function: Any) -> dict[str, Any]:
    """Return the defaults of a function's parameters, in their order."""
    try:
        return {p.name: p.default for p in inspect.signature(function).parameters.values()}
    except (TypeError, ValueError):
        return {}


def repeated(instruction: Instruction) -> Value | None:
    """Return the operand that an instruction's text has twice."""
    value = instruction.args[0] if instruction.function is shared else None
    return value if isinstance(value, Value) else None


def _choice(instruction: Instruction, term: Term) -> Expr:
    """Return a choice by masks: ``np.where(ties, g / 2, np.where(mask, g, 0))``."""
    value, mask, *ties = [
        term(x) if isinstance(x, Value) else Expr(argument(x, term)) for x in instruction.args
    ]
    chosen = (
        f"{mask.text}, {value.text}, 0" if mask.inverse is None else f"{mask.inverse.text}, 0, {value.text}"
    )
    for tie in ties:
        chosen = f"{tie.text}, {value.within(PRODUCT)} / 2, np.where({chosen})"
    return Expr(f"np.where({chosen})")


def _ufunc(instruction: Instruction, term: Term, operand: Callable[[Instruction, int], Expr]) -> Expr:
    function, kwargs = instruction.function, instruction.kwargs
    operands = [operand(instruction, i) for i in range(len(instruction.args))]
    if not kwargs:
        found = operator_of(instruction)
        if found is not None and len(operands) == 2:
            return (_signed(instruction, *operands) if _is_inexact(instruction) else None) or _operation(
                *found, *operands
            )
        if function is np.square:
            return _operation("**", POWER, operands[0], Expr("2"))
        if function is np.negative and _is_inexact(instruction):
            return operands[0].opposite or _minus(operands[0])
        if function in _UNARY:
            return Expr(_UNARY[function] + operands[0].within(UNARY), UNARY)
        if function is np.logical_not and _is_bool(instruction):
            return Expr("~" + operands[0].within(UNARY), UNARY, inverse=operands[0])
        if function is np.conjugate:
            return operands[0].conjugate or Expr(f"np.conj({operands[0].text})", conjugate=operands[0])
    words = [x.text for x in operands] + [f"{k}={argument(v, term)}" for k, v in kwargs.items()]
    return Expr(f"{function_text(function, instruction)}({', '.join(words)})")


def _operation(sign: str, level: int, left: Expr, right: Expr) -> Expr:
    """Return ``left sign right``."""
    if sign == "**":  # which binds to the right, and more than a sign on its left
        sign = "**" if all(re.fullmatch(r"[\w.]+", x.text) for x in (left, right)) else " ** "
        return Expr(f"{left.within(level + 1)}{sign}{right.within(level)}", level)
    first = left.within(level + 1 if level == COMPARISON else level)
    return Expr(f"{first} {sign} {right.within(level + 1)}", level)


def _minus(x: Expr) -> Expr:
    return Expr("-" + x.within(UNARY), UNARY, x)


def _is_inexact(instruction: Instruction) -> bool:
    """Say whether numbers are floating-point: there a sign can be moved, and nothing is rounded otherwise."""
    values = [x for x in (*instruction.args, *instruction.outs) if isinstance(x, Value)]
    return bool(instruction.outs) and all(x.dtype.kind in "fc" for x in values)


def _signed(instruction: Instruction, left: Expr, right: Expr) -> Expr | None:
    """Return a sum or product of what has a sign: ``a - b`` for ``a + -b`` (None: there is nothing to be said)."""
    function = instruction.function
    if function is np.add and right.opposite is not None:
        return _operation("-", SUM, left, right.opposite)
    if function is np.add and left.opposite is not None:
        return _operation("-", SUM, right, left.opposite)
    if function is np.subtract and right.opposite is not None:
        return _operation("+", SUM, left, right.opposite)
    if function not in (np.multiply, np.divide, np.matmul) or (left.opposite is right.opposite is None):
        return None
    sign = _BINARY[function]
    if left.opposite is not None and right.opposite is not None:
        return _operation(*sign, left.opposite, right.opposite)
    plain = _operation(*sign, left.opposite or left, right.opposite or right)
    return _operation(*sign, left, right)._replace(opposite=plain)


def operator_of(instruction: Instruction) -> tuple[str, int] | None:
    """Return the sign of Python's operator for a ufunc, and how strongly it binds."""
    function = instruction.function
    if function in _BOOLEAN and _is_bool(instruction):
        return _BOOLEAN[function]
    if function is np.power and not isinstance(instruction.args[1], Value) and instruction.args[1] in POWERS:
        return None  # the operator would compute it in another way
    return _BINARY.get(function) if isinstance(function, np.ufunc) else None


def _is_bool(instruction: Instruction) -> bool:
    return all(isinstance(x, Value) and x.dtype == bool for x in instruction.args)


def augmented(instruction: Instruction) -> tuple[str, int] | None:
    """Return the sign of ``a += b``, and the position of b, where an instruction is that (None: it is not)."""
    found = operator_of(instruction) if isinstance(instruction.function, np.ufunc) else None
    if found is None or instruction.kwargs or found[0] not in _AUGMENTED or len(instruction.args) != 2:
        return None
    key = instruction.outs[0].key
    for i, x in enumerate(instruction.args):
        if isinstance(x, Value) and x.key == key and (i == 0 or instruction.function in _COMMUTATIVE):
            return found[0], 1 - i
    return None


def _reduction(instruction: Instruction, term: Term) -> Expr | None:
    """Return a sum, product, ... as the method."""
    kwargs = dict(instruction.kwargs)
    ufunc: Any = instruction.function
    name = _REDUCTIONS.get(ufunc.__self__)
    if (
        name is None
        or len(instruction.args) != 1
        or kwargs.keys() - {"axis", "keepdims", "dtype", "initial", "where"}
    ):
        return None
    if name not in ("sum", "prod") and "dtype" in kwargs:
        return None
    if name in ("any", "all") and instruction.args[0].dtype != bool:
        return None
    a = instruction.args[0]
    if not isinstance(a, Value):
        return None
    axis = kwargs.pop("axis", 0)
    axis = axis[0] if isinstance(axis, tuple) and len(axis) == 1 else axis
    is_all = len(a.shape) == (len(axis) if isinstance(axis, tuple) else 1)
    words = {} if axis is None or (is_all and not kwargs.get("keepdims")) else {"axis": axis}
    words |= {k: v for k, v in kwargs.items() if not (k == "keepdims" and not v)}
    reduced = term(a)
    call = f".{name}({arguments((), words, term)})"
    if (
        name == "sum"
        and reduced.opposite is not None
        and a.dtype.kind in "fc"
        and not words.keys() - {"axis", "keepdims"}
    ):
        return _minus(Expr(reduced.opposite.atom + call))
    return Expr(reduced.atom + call)


def _is_product(args: Any) -> bool:
    return all(isinstance(x, Value) and len(x.shape) in (1, 2) for x in args) and len(args) == 2


def _method(instruction: Instruction, term: Term) -> Expr:
    """Return a call of an array's method."""
    function, args, kwargs = instruction.function, instruction.args, instruction.kwargs
    name, array = function.__name__, args[0]
    if name == "dot" and _is_product(args) and not kwargs:
        return Expr(f"{term(array).within(PRODUCT)} @ {term(args[1]).within(UNARY)}", PRODUCT)
    rest = args[1:]
    if name in ("copy", "astype"):
        return _copy(instruction, term)
    return Expr(f"{term(array).atom}.{name}({arguments(rest, kwargs, term)})")


def _copy(instruction: Instruction, term: Term) -> Expr:
    """Return a copy, of another type if need be."""
    array, rest = instruction.args[0], instruction.args[1:]
    out, is_copy = instruction.outs[0], instruction.function is ndarray.copy
    if not array.shape:  # a number has the type as a function
        text = term(array).text
        return term(array) if array.dtype == out.dtype else Expr(f"{dtype_text(out.dtype)}({text})")
    order = dict(enumerate(rest)).get(
        0 if is_copy else 1, instruction.kwargs.get("order", "C" if is_copy else "K")
    )
    if is_copy or array.dtype == out.dtype:
        return Expr(f"{term(array).atom}.copy({'' if order == 'C' or out.is_contiguous else repr(order)})")
    word = "" if order == "K" or (out.is_contiguous and array.is_contiguous) else f", order={order!r}"
    return Expr(f"{term(array).atom}.astype({dtype_text(out.dtype)}{word})")


def error_state(errors: dict[str, Any]) -> str:
    """Return an error state as arguments: what differs from NumPy's own."""
    own = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}
    changed = {key: x for key, x in errors.items() if x != own.get(key)} or errors
    return ", ".join(f"{key}={x!r}" for key, x in changed.items())


# -- what Python decided ---------------------------------------------------------------------------------------------


def decision(instruction: Instruction, term: Term) -> str:
    """Return the condition under which a guard fails."""
    if isinstance(instruction.function, Lies):
        return _elsewhere(instruction, term)
    asked, expected = _asked(instruction, term), instruction.expected
    if expected is True:
        return f"not {asked.atom}"
    if expected is False:
        return asked.text
    if isinstance(expected, float | complex) and expected != expected:
        return f"not np.isnan({asked.text})"
    if isinstance(expected, int | float | complex):
        return f"{asked.within(COMPARISON + 1)} != {number(expected)}"
    if isinstance(expected, list | tuple | ndarray):
        known = expected.tolist() if isinstance(expected, ndarray) else expected
        return f"not np.array_equal({asked.text}, {_plain(known)}, equal_nan=True)"
    return f"{asked.within(COMPARISON + 1)} != {expected!r}"


def error_text(kind: type[BaseException]) -> str:
    """Return the name of an error, or of what it is one of, that a user can write."""
    for base in kind.__mro__:
        for space, text in ((builtins, ""), (np.linalg, "np.linalg."), (np.exceptions, "np.exceptions.")):
            if getattr(space, base.__name__, None) is base:
                return f"{text}{base.__name__}"
    return "Exception"


def _elsewhere(instruction: Instruction, term: Term) -> str:
    """Return the condition under which a function gives another view of its argument than it gave."""
    lies: Any = instruction.function
    function, array, expected = lies.function, instruction.args[0], instruction.expected
    asked = call(instruction.twin(function=function), term, lambda i, k: term(i.args[k])).text
    if function is np.real_if_close:
        return f"np.iscomplexobj({asked})" if np.dtype(expected[2]).kind != "c" else f"np.isrealobj({asked})"
    shape, strides, _, offset = expected
    seen = array.twin(shape=shape, strides=strides, offset=array.offset + offset, _array=None)
    return (
        f"not np.array_equal({asked}, {term(seen).text}, equal_nan=True)"  # no other part begins and ends so
    )


def _plain(x: Any) -> str:
    if isinstance(x, ndarray):
        raise ReplayError("a decision by several arrays at once cannot be printed: decide by one")
    if isinstance(x, list | tuple):
        return f"[{', '.join(map(_plain, x))}]"
    return number(x) if isinstance(x, int | float | complex | np.generic) else repr(x)


def _asked(instruction: Instruction, term: Term) -> Expr:
    """Return the value that Python decided by."""
    function, args = instruction.function, instruction.args
    if function is bool:
        return term(args[0])
    if function in (float, int, complex):
        return Expr(f"{function.__name__}({term(args[0]).text})")
    if function is operator.index:
        return Expr(f"int({term(args[0]).text})")
    if inspect.isfunction(function) and function.__closure__ and function.__name__ == "<lambda>":
        known = inspect.getclosurevars(function).nonlocals  # `.item()`, `.tolist()`
        return Expr(f"np.asarray({term(args[0]).text}).{known['name']}({arguments(known['args'], {}, term)})")
    return call(
        instruction,
        term,
        lambda i, k: term(i.args[k]) if isinstance(i.args[k], Value) else Expr(argument(i.args[k], term)),
    )
