"""Python's operators on Tensors: direct calls, without a way through NumPy's protocols."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from textwrap import indent
from typing import Any

import numpy as np
from numpy import ndarray

from mytorch import arrays
from mytorch.autograd_engine import Autograd
from mytorch.inplace import write
from mytorch.lines import caller, outside_files
from mytorch.recording import note_saved, record
from mytorch.records import Exact, Operation, next_serial
from mytorch.regions import Region
from mytorch.rules.registry import LETTERS, RULES, Rule
from mytorch.rules.shapes import as_array
from mytorch.tensor import OPERANDS, Tensor, is_number, is_recording, raw, refuse_kind, target, wrap

# -- the text that direct calls are made of ---------------------------------------------------------------------------
#
# Most of all operations are of a Tensor with a number, a plain array, or a Tensor of the same shape, so for these the
# steps of `record` are written out, without those that a rule does not need.  `x` is an operand's letter in the rule.

_PLACE = """
owner_{x} = {operand}._base
if owner_{x} is None:
    owner_{x}, place_{x} = {operand}, {operand}._key
else:
    place_{x} = target({operand})
"""
_SAVED = """
if {owner}._saved is None:
    {owner}._saved = tape.ref
elif {owner}._saved is not tape.ref:
    note_saved({owner}, tape)
"""
_PROTECTED = """
if id({array}) not in tape.guards.seen:
    tape.protect({array})
"""
_LINE = """
serial = next_serial()
frame = getframe(1)
code, lasti = frame.f_code, frame.f_lasti
if code.co_filename not in outside_files:
    code, lasti = caller(2)
"""
_EXACT = """
operation = Exact()
operation.rule = rule
{fields}
operation.output = {output}
operation.serial = serial
operation.code = code
operation.lasti = lasti
"""
_REGION = """
operation = Operation(
    ({arrays}), {output}, None, rule, ({places}), serial, None, {{}}, serial, code, lasti
)
"""
_RESULT = """
tape.operation_list.append(operation)
result = make(Tensor)
result._array = y
result._base = result._grad = result._hooks = result._layout = result._box = None
result._key = serial
result._tape = tape
result._saved = {saved}
return result
"""


# What the text names; its functions are this module's.
_NAMES = {
    "__name__": __name__,
    "Autograd": Autograd,
    "Exact": Exact,
    "Operation": Operation,
    "Region": Region,
    "Tensor": Tensor,
    "is_recording": is_recording,
    "as_array": as_array,
    "caller": caller,
    "getframe": sys._getframe,
    "make": Tensor.__new__,
    "ndarray": ndarray,
    "next_serial": next_serial,
    "note_saved": note_saved,
    "np": np,
    "outside_files": outside_files,
    "record": record,
    "target": target,
    "wrap": wrap,
}


def _recorded(
    arrays: dict[str, str], places: dict[str, str], output: str, regions: Sequence[str] = ()
) -> str:
    """Return the text that records an operation and returns its result.

    Parameters
    ----------
    arrays, places : by letter, what the record holds of an operand, and the memory that its gradient goes to
    output : what it holds of the output
    regions : the places that may be a part of their memory only
    """
    fields = [f"operation.{x} = {array}" for x, array in arrays.items()]
    fields += [f"operation.target_{x} = {place}" for x, place in places.items()]
    exact = _EXACT.format(fields="\n".join(fields), output=output)
    if regions:
        words = {"arrays": ", ".join(arrays.values()), "places": ", ".join(places.values())}
        test = " or ".join(f"type({place}) is Region" for place in regions)
        exact = _if(test, _REGION.format(output=output, **words)) + _if("", exact)
    saved = {"None": "None", "y": "tape.ref"}.get(output, "tape.ref if reads_output else None")
    return _LINE + exact + _RESULT.format(saved=saved)


def _if(condition: str, text: str) -> str:
    """Return `text` as what is done on a condition (none: otherwise)."""
    return (f"if {condition}:\n" if condition else "else:\n") + indent(text, "    ")


def _made(arguments: str, text: str, **names: Any) -> Callable[..., Any]:
    """Return the function of this text, in which `names` are known, too."""
    scope = {**_NAMES, **names}
    exec(compile(f"def call({arguments}):\n" + indent(text, "    "), __file__, "exec"), scope)
    call: Callable[..., Any] = scope["call"]
    return call


# -- operators --------------------------------------------------------------------------------------------------------


def _forward(function: Callable[..., Any]) -> Callable[[Tensor, Any], Any]:
    """Return the operator of a binary ufunc."""
    rule = RULES[function]
    if not rule.elementwise:  # matmul: its formulas read shapes, which the short record does not hold
        return lambda self, other: _general(rule, self, other)
    if function is np.power:
        function = operator.pow  # NumPy's operator knows squares and roots, its function does not
    text = (
        "kind = type(other)\n"
        + _if("kind is Tensor", _of_tensors())
        + _if(
            "kind is not ndarray and kind is not float and kind is not int",
            "return general(rule, self, other)",
        )
        + _of_constant(rule, "self, other")
    )
    needs = [(0 in reads, 1 in reads, reads_output) for reads, reads_output in rule.needs]
    return _made("self, other", text, rule=rule, function=function, general=_general, needs=needs)


def _reflected(function: np.ufunc) -> Callable[[Tensor, Any], Any]:
    """Return the operator of a binary ufunc for a Tensor on the right."""
    rule = RULES[function]
    if not rule.elementwise:
        return lambda self, other: _general(rule, other, self)
    text = (
        "kind = type(other)\n"
        + _if("kind is not float and kind is not int", "return general(rule, other, self)")
        + _of_constant(rule, "other, self")
    )
    return _made("self, other", text, rule=rule, function=function, general=_general)


_OF_CONSTANT = """
array = self._array
y = function({arrays})
{place}
tape = owner_{x}._tape
if place_{x} is None and type(y) is ndarray:
    return wrap(y)
if (
    tape is None
    or type(y) is not ndarray
    # Broadcasting and promotion only make results larger: the same size is the same shape and dtype.
    or (kind is ndarray and (not 0 < y.nbytes == array.nbytes or y.ndim != array.ndim))
    or not is_recording()
):
    return record(rule, y, ({operands}))
"""


def _of_constant(rule: Rule, operands: str) -> str:
    """Return the text of the operator of a Tensor, `self`, and a number or plain array, `other`."""
    x, c = ("a", "b") if operands == "self, other" else ("b", "a")
    reads, reads_output = rule.needs[1 if x == "a" else 2]
    held = dict.fromkeys("ab", "None")
    text = _OF_CONSTANT.format(
        arrays=operands.replace("self", "array"),
        place=_PLACE.format(x=x, operand="self"),
        x=x,
        operands=operands,
    )
    if LETTERS.index(x) in reads:
        held[x] = "array"
        text += _SAVED.format(owner=f"owner_{x}")
    if LETTERS.index(c) in reads:
        held[c] = "other"
        text += _if("kind is ndarray", _PROTECTED.format(array="other"))
    places = {x: f"place_{x}", c: "None"}
    return text + _recorded(
        held, dict(sorted(places.items())), "y" if reads_output else "None", [f"place_{x}"]
    )


_OF_TENSORS = """
array_a, array_b = self._array, other._array
y = function(array_a, array_b)
{places}
tape, tape_b = owner_a._tape, owner_b._tape
mask, leaf = 3, None
if tape is not tape_b:
    if place_a is None:
        tape, mask = tape_b, 2
    elif place_b is None:
        mask = 1
    elif tape_b is None:
        leaf = owner_b
    elif tape is None:
        tape, leaf = tape_b, owner_a
    else:
        tape = None
if (
    tape is None
    or type(y) is not ndarray
    or not 0 < y.nbytes == array_a.nbytes == array_b.nbytes  # an empty result tells nothing of shapes
    or y.ndim != array_a.ndim
    or y.ndim != array_b.ndim
    or not is_recording()
):
    return record(rule, y, (self, other))
if leaf is not None:
    tape.leaves[leaf._key] = leaf
reads_a, reads_b, reads_output = needs[mask]
"""


def _of_tensors() -> str:
    """Return the text of the operator of two Tensors, `self` and `other`."""
    places = _PLACE.format(x="a", operand="self") + _PLACE.format(x="b", operand="other")
    text = _OF_TENSORS.format(places=places)
    text += "".join(_if(f"reads_{x}", _SAVED.format(owner=f"owner_{x}")) for x in "ab")
    held = {x: f"array_{x} if reads_{x} else None" for x in "ab"}
    place = {x: f"place_{x}" for x in "ab"}
    return text + _recorded(held, place, "y if reads_output else None", list(place.values()))


def _general(rule: Rule, a: Any, b: Any) -> Any:
    """Apply a binary operator; NotImplemented where an operand is none of ours."""
    for x in (a, b):
        if not isinstance(x, OPERANDS):
            return NotImplemented
        refuse_kind(type(x))
    a = arrays.asarray(a) if isinstance(a, list | tuple) else a
    b = arrays.asarray(b) if isinstance(b, list | tuple) else b
    return record(rule, rule.function(raw(a), raw(b)), (a, b))


def _in_place(function: np.ufunc) -> Callable[[Tensor, Any], Tensor]:
    rule = RULES[function]

    def update(self: Tensor, other: Any) -> Tensor:
        if is_number(self):
            return _general(rule, self, other)
        refuse_kind(type(other))
        data, array = self._array, raw(other)
        if function is np.matmul:  # the function would write the one sum of two vectors to all entries
            write(self, ..., lambda: operator.imatmul(data, array), rule, (self, other))
        else:
            write(self, ..., lambda: function(data, array, data), rule, (self, other))
        return self

    return update


# -- functions --------------------------------------------------------------------------------------------------------

_UNARY = """
if type(x) is not Tensor:
    return function(as_array(x) if type(x) is list else x)
array = x._array
y = compute(array)
tape = x._tape
if tape is None or x._base is not None or type(y) is not ndarray or not is_recording():
    return record(rule, y, (x,))
"""


def unary(function: Callable[..., Any]) -> Callable[[Any], Any]:
    """Return `function` of one array, whose result has the array's shape, as a direct call for Tensors.

    Anything else goes to `function` itself.
    """
    rule = RULES[function]
    text = _UNARY + (_SAVED.format(owner="x") if 0 in rule.reads else "")
    held = "array" if 0 in rule.reads else "None"
    text += _recorded({"a": held}, {"a": "x._key"}, "y" if rule.reads_output else "None")
    compute = getattr(function, "__wrapped__", function)
    call = _made("x", text, rule=rule, function=function, compute=compute)
    call.__name__ = call.__qualname__ = str(rule.name)
    call.__doc__ = f"Return ``numpy.{rule.name}(x)``, recorded when `x` is a Tensor."
    return call


_LOOK = """
if type({x}) is ndarray:
    array_{x}, key_{x} = {x}, None
elif type({x}) is not Tensor or {x}._base is not None:
    return general({operands})
elif {x}._key is None:
    array_{x}, key_{x} = {x}._array, None
else:
    array_{x}, key_{x} = {x}._array, {x}._key
    mask += {bit}
    other = {x}._tape
    if other is None:
        leaves.append({x})
    elif tape is None:
        tape = other
    elif tape is not other:
        return general({operands})
"""
_COMPUTE = """
y = compute({arrays})
if mask == 0:
    return wrap(y) if Tensor in map(type, ({operands},)) else y
if isinstance(y, np.generic):
    y = np.asarray(y)
dtype = y.dtype
if not (type(y) is ndarray and {fits} and is_recording()):
    return record(rule, y, ({operands},))
if tape is None:
    tape = Autograd()
for leaf in leaves:
    tape.leaves[leaf._key] = leaf
reads, reads_output = needs[mask]
"""


def direct(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function` of arrays as a direct call when Tensors are among its (positional) arguments.

    For what such calls mostly get, plain arrays and Tensors that own their memory, the steps of `record` are written
    out operand by operand; anything else goes through `record`.
    """
    rule = RULES[function]
    compute = function.__wrapped__  # type: ignore[attr-defined]

    def general(*operands: Any) -> Any:
        arrays, recorded = [], False
        for x in operands:
            if isinstance(x, Tensor):
                x, recorded = x._array, True
            arrays.append(x)
        y = compute(*arrays)
        return record(rule, y, operands) if recorded else y

    names = LETTERS[: len(rule.formulas)]
    words = {
        "operands": ", ".join(names),
        "arrays": ", ".join(f"array_{x}" for x in names),
        "fits": " and ".join(f"(key_{x} is None or array_{x}.dtype is dtype)" for x in names),
    }
    text = "tape, mask, leaves = None, 0, []\n"
    text += "".join(_LOOK.format(x=x, bit=1 << i, **words) for i, x in enumerate(names))
    text += _COMPUTE.format(**words)
    for i, x in enumerate(names):
        held = _if(f"type({x}) is ndarray", _PROTECTED.format(array=x)) + _if("", _SAVED.format(owner=x))
        text += f"held_{x} = None\n" + _if(f"reads & {1 << i}", f"held_{x} = array_{x}\n" + held)
    text += _recorded(
        {x: f"held_{x}" for x in names}, {x: f"key_{x}" for x in names}, "y if reads_output else None"
    )
    needs = [(sum([1 << i for i in reads]), reads_output) for reads, reads_output in rule.needs]
    call = _made(words["operands"], text, rule=rule, compute=compute, general=general, needs=needs)
    return wraps(compute)(call)


def _constant(function: Callable[[Any, Any], Any]) -> Callable[[Tensor, Any], Any]:
    return lambda self, other: function(self._array, raw(other))


BINARY = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "truediv": np.divide,
    "pow": np.power,
    "matmul": np.matmul,
}
COMPARE = {
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
    "eq": np.equal,
    "ne": np.not_equal,
}


def install() -> None:
    """Give Tensor its operators of arithmetic and comparison."""
    for name, function in BINARY.items():
        setattr(Tensor, f"__{name}__", _forward(function))
        setattr(Tensor, f"__r{name}__", _reflected(function))
        setattr(Tensor, f"__i{name}__", _in_place(function))
    for name in COMPARE:  # by Python's operators: NumPy's functions raise where what they get is no number
        setattr(Tensor, f"__{name}__", _constant(getattr(operator, name)))
    for name, function in {"neg": np.negative, "pos": np.positive}.items():
        setattr(Tensor, f"__{name}__", unary(function))


install()
