"""Python's operators on Tensors: direct calls, without a way through NumPy's protocols."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from operator import pow as power
from typing import Any

import numpy as np
from numpy import ndarray

from mytorch import arrays
from mytorch.autograd_engine import Autograd, Exact, Operation, caller, next_serial, outside_files
from mytorch.gradient_buffer import Region, Target
from mytorch.rules.registry import LETTERS, RULES, Rule
from mytorch.tensor import Tensor, _is_recording, note_saved, raw, record, target, wrap, write

getframe = sys._getframe
make = Tensor.__new__

_NOTHING = (None,)
_OPERANDS = (Tensor, np.ndarray, np.generic, float, int, complex, bool, list, tuple)


def _forward(function: Callable[..., Any]) -> Callable[[Tensor, Any], Any]:
    """Return the operator of a binary ufunc.

    Most of all operations are of a Tensor with a number, a plain array, or a Tensor of the same shape, so these
    cases are written out: they do what `record` does where there is nothing to find out.
    """
    rule = RULES[function]
    if not rule.elementwise:  # matmul: its formulas read shapes, which the short record does not hold
        return lambda self, other: _general(rule, self, other)
    reads, reads_output = rule.needs[1]
    reads_a, reads_b = 0 in reads, 1 in reads
    if function is np.power:
        function = power  # NumPy's operator knows squares and roots, its function does not
    with_tensor = _of_tensors(rule, function)

    def operator(self: Tensor, other: Any) -> Any:
        kind = type(other)
        if kind is Tensor:
            return with_tensor(self, other)
        if kind is not ndarray and kind is not float and kind is not int:
            return _general(rule, self, other)
        a = self._array
        y = function(a, other)
        place: Target | None
        owner = self._base
        if owner is None:
            owner, place = self, self._key
        else:
            place = target(self)
        tape = owner._tape
        if place is None and type(y) is ndarray:
            return wrap(y)
        if (
            tape is None
            or type(y) is not ndarray
            # Broadcasting and promotion only make results larger: the same size is the same shape and dtype.
            or (kind is ndarray and (not 0 < y.nbytes == a.nbytes or y.ndim != a.ndim))
            or not _is_recording()
        ):
            return record(rule, y, (self, other))
        if reads_a and owner._saved is not tape.ref:
            note_saved(owner, tape)
        if reads_b and kind is ndarray and id(other) not in tape.guards.seen:
            tape.protect(other)
        first, second = a if reads_a else None, other if reads_b else None
        if type(place) is Region:
            return _recorded(rule, tape, y, reads_output, first, second, place, None, 3)
        serial = next_serial()
        frame = getframe(1)
        code, lasti = frame.f_code, frame.f_lasti
        if code.co_filename not in outside_files:
            code, lasti = caller(2)
        operation = Exact()
        operation.rule = rule
        operation.a = first
        operation.b = second
        operation.output = y if reads_output else None
        operation.target_a = place  # type: ignore[assignment]
        operation.target_b = None
        operation.serial = serial
        operation.code = code
        operation.lasti = lasti
        tape.operation_list.append(operation)
        result = make(Tensor)
        result._array = y
        result._base = None
        result._key = serial
        result._tape = tape
        result._saved = tape.ref if reads_output else None
        return result

    return operator


def _of_tensors(rule: Rule, function: Callable[..., Any]) -> Callable[[Tensor, Tensor], Any]:
    """Return the operator for two Tensors."""
    needs = [(0 in reads, 1 in reads, reads_output) for reads, reads_output in rule.needs]

    def operator(self: Tensor, other: Tensor) -> Any:
        a, b = self._array, other._array
        y = function(a, b)
        owner, owner_b = self._base, other._base
        place: Target | None
        place_b: Target | None
        if owner is None:
            owner, place = self, self._key
        else:
            place = target(self)
        if owner_b is None:
            owner_b, place_b = other, other._key
        else:
            place_b = target(other)
        tape, tape_b = owner._tape, owner_b._tape
        mask, leaf = 3, None
        if tape is not tape_b:
            if place is None:
                tape, mask = tape_b, 2
            elif place_b is None:
                mask = 1
            elif tape_b is None:
                leaf = owner_b
            elif tape is None:
                tape, leaf = tape_b, owner
            else:
                tape = None
        if (
            tape is None
            or type(y) is not ndarray
            or not 0 < y.nbytes == a.nbytes == b.nbytes  # an empty result tells nothing of shapes
            or y.ndim != a.ndim
            or y.ndim != b.ndim
            or not _is_recording()
        ):
            return record(rule, y, (self, other))
        if leaf is not None:
            tape.leaves[leaf._key] = leaf  # type: ignore[index]
        reads_a, reads_b, reads_output = needs[mask]
        if reads_a and owner._saved is not tape.ref:
            note_saved(owner, tape)
        if reads_b and owner_b._saved is not tape.ref:
            note_saved(owner_b, tape)
        first, second = a if reads_a else None, b if reads_b else None
        if type(place) is Region or type(place_b) is Region:
            return _recorded(rule, tape, y, reads_output, first, second, place, place_b, 4)
        serial = next_serial()
        frame = getframe(2)
        code, lasti = frame.f_code, frame.f_lasti
        if code.co_filename not in outside_files:
            code, lasti = caller(3)
        operation = Exact()
        operation.rule = rule
        operation.a = first
        operation.b = second
        operation.output = y if reads_output else None
        operation.target_a = place  # type: ignore[assignment]
        operation.target_b = place_b  # type: ignore[assignment]
        operation.serial = serial
        operation.code = code
        operation.lasti = lasti
        tape.operation_list.append(operation)
        result = make(Tensor)
        result._array = y
        result._base = None
        result._key = serial
        result._tape = tape
        result._saved = tape.ref if reads_output else None
        return result

    return operator


def _recorded(
    rule: Rule,
    tape: Autograd,
    y: ndarray,
    reads_output: bool,
    a: Any,
    b: Any,
    place: Target | None,
    place_b: Target | None,
    depth: int = 3,
) -> Tensor:
    """Record an elementwise operation on memories of the shape and dtype of `y`, and return its result.

    The user's line is `depth` calls up, where this call is the first.
    """
    serial = next_serial()
    frame = getframe(depth - 1)
    code, lasti = frame.f_code, frame.f_lasti
    if code.co_filename not in outside_files:
        code, lasti = caller(depth)
    output = y if reads_output else None
    if type(place) is Region or type(place_b) is Region:
        targets = (place, place_b)
        operation: Any = Operation((a, b), output, None, rule, targets, serial, None, {}, serial, code, lasti)
    else:
        operation = Exact()
        operation.rule = rule
        operation.a = a
        operation.b = b
        operation.output = output
        operation.target_a = place
        operation.target_b = place_b
        operation.serial = serial
        operation.code = code
        operation.lasti = lasti
    tape.operation_list.append(operation)
    result = make(Tensor)
    result._array = y
    result._base = None
    result._key = serial
    result._tape = tape
    result._saved = tape.ref if reads_output else None
    return result


def _reflected(function: np.ufunc) -> Callable[[Tensor, Any], Any]:
    """Return the operator of a binary ufunc for a Tensor on the right."""
    rule = RULES[function]
    if not rule.elementwise:
        return lambda self, other: _general(rule, other, self)
    reads, reads_output = rule.needs[2]
    reads_a, reads_b = 0 in reads, 1 in reads

    def operator(self: Tensor, other: Any) -> Any:
        if type(other) is not float and type(other) is not int:
            return _general(rule, other, self)
        b = self._array
        y = function(other, b)
        place: Target | None
        owner = self._base
        if owner is None:
            owner, place = self, self._key
        else:
            place = target(self)
        tape = owner._tape
        if tape is None or place is None or type(y) is not ndarray or not _is_recording():
            return record(rule, y, (other, self))
        if reads_b and owner._saved is not tape.ref:
            note_saved(owner, tape)
        first, second = other if reads_a else None, b if reads_b else None
        return _recorded(rule, tape, y, reads_output, first, second, None, place)

    return operator


def _general(rule: Rule, a: Any, b: Any) -> Any:
    """Apply a binary operator; NotImplemented where an operand is none of ours."""
    for x in (a, b):
        if not isinstance(x, _OPERANDS):
            return NotImplemented
    a = arrays.asarray(a) if isinstance(a, list | tuple) else a
    b = arrays.asarray(b) if isinstance(b, list | tuple) else b
    return record(rule, rule.function(raw(a), raw(b)), (a, b))


def _in_place(function: np.ufunc) -> Callable[[Tensor, Any], Tensor]:
    rule = RULES[function]

    def operator(self: Tensor, other: Any) -> Tensor:
        if self._tape is not None and self._base is None and self._array.ndim == 0:
            return _general(
                rule, self, other
            )  # what NumPy computes as one number is a value: the name is rebound
        data, array = self._array, raw(other)
        write(self, ..., lambda: function(data, array, data), rule, (self, other))
        return self

    return operator


def unary(function: Callable[..., Any]) -> Callable[[Any], Any]:
    """Return `function` of one array, whose result has the array's shape, as a direct call for Tensors.

    Anything else goes to `function` itself.
    """
    rule = RULES[function]
    reads_a, reads_output = 0 in rule.reads, rule.reads_output
    compute = getattr(function, "__wrapped__", function)

    def operator(x: Any) -> Any:
        if type(x) is not Tensor:
            return function(x)
        a = x._array
        y = compute(a)
        tape = x._tape
        if tape is None or x._base is not None or type(y) is not ndarray or not _is_recording():
            return record(rule, y, (x,))
        if reads_a:
            if x._saved is None:
                x._saved = tape.ref
            elif x._saved is not tape.ref:
                note_saved(x, tape)
        serial = next_serial()
        frame = getframe(1)
        code, lasti = frame.f_code, frame.f_lasti
        if code.co_filename not in outside_files:
            code, lasti = caller(2)
        operation = Exact()
        operation.rule = rule
        operation.a = a if reads_a else None
        operation.output = y if reads_output else None
        operation.target_a = x._key
        operation.serial = serial
        operation.code = code
        operation.lasti = lasti
        tape.operation_list.append(operation)
        result = make(Tensor)
        result._array = y
        result._base = None
        result._key = serial
        result._tape = tape
        result._saved = tape.ref if reads_output else None
        return result

    operator.__name__ = operator.__qualname__ = str(rule.name)
    operator.__doc__ = f"Return ``numpy.{rule.name}(x)``, recorded when `x` is a Tensor."
    return operator


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
    parts = [_BEGIN.format(**words)]
    parts += [_LOOK.format(x=x, bit=1 << i, **words) for i, x in enumerate(names)]
    parts += [_COMPUTE.format(**words)]
    parts += [_HOLD.format(x=x, bit=1 << i) for i, x in enumerate(names)]
    scope = {**globals(), "rule": rule, "compute": compute, "general": general}
    scope["needs"] = [(sum([1 << i for i in reads]), reads_output) for reads, reads_output in rule.needs]
    exec(compile("".join([*parts, _END]), __file__, "exec"), scope)
    return wraps(compute)(scope["call"])


_BEGIN = """
def call({operands}):
    tape, mask, leaves = None, 0, []
"""
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
    if not (type(y) is ndarray and {fits} and _is_recording()):
        return record(rule, y, ({operands},))
    if tape is None:
        tape = Autograd()
    for leaf in leaves:
        tape.leaves[leaf._key] = leaf
    reads, reads_output = needs[mask]
    ref = tape.ref
    operation = Exact()
"""
_HOLD = """
    operation.target_{x} = key_{x}
    operation.{x} = None
    if reads & {bit}:
        operation.{x} = array_{x}
        if type({x}) is ndarray:
            if id({x}) not in tape.guards.seen:
                tape.protect({x})
        elif {x}._saved is None:
            {x}._saved = ref
        elif {x}._saved is not ref:
            note_saved({x}, tape)
"""
_END = """
    serial = next_serial()
    frame = getframe(1)
    code, lasti = frame.f_code, frame.f_lasti
    if code.co_filename not in outside_files:
        code, lasti = caller(2)
    operation.rule = rule
    operation.output = y if reads_output else None
    operation.serial = serial
    operation.code = code
    operation.lasti = lasti
    tape.operation_list.append(operation)
    result = make(Tensor)
    result._array = y
    result._base = None
    result._key = serial
    result._tape = tape
    result._saved = ref if reads_output else None
    return result
"""


def _constant(function: np.ufunc) -> Callable[[Tensor, Any], Any]:
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
    for name, function in COMPARE.items():
        setattr(Tensor, f"__{name}__", _constant(function))
    for name, function in {"neg": np.negative, "pos": np.positive}.items():
        setattr(Tensor, f"__{name}__", unary(function))


install()
