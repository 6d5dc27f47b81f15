"""Instructions as loops: which of them can be one loop over the entries.

An instruction that is understood here becomes a `Step`: a map over entries, a reduction, or a small product of
matrices, of `Operand`s whose addresses are known.  `mytorch.extras.nests` joins steps in one loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import ndarray

from mytorch.extras.order import factors
from mytorch.regions import byte_bounds
from mytorch.replay.instructions import Instruction, Value
from mytorch.rules.masks import CHOICES, masked

if TYPE_CHECKING:
    from mytorch.replay.program import Program

FLOATS = "fd"
TYPES = {"f": "float32", "d": "float64", "?": "boolean"}

# Per ufunc, what it does to entries; {T} is the dtype that it computes in.  Comparisons with NaN are false, so that
# maximum and minimum hand a NaN in the first operand on by asking for it, and one in the second by default; of two
# zeros they give the second, as NumPy does, so that relu(-0.0) is 0.0.
MAPS: dict[np.ufunc, str] = {
    np.add: "{0} + {1}",
    np.subtract: "{0} - {1}",
    np.multiply: "{0} * {1}",
    np.divide: "{0} / {1}",
    np.negative: "-{0}",
    np.positive: "{0}",
    np.absolute: "abs({0})",
    np.square: "{0} * {0}",
    np.reciprocal: "{T}(1) / {0}",
    np.sqrt: "sqrt({0})",
    np.maximum: "{0} if {0} > {1} or {0} != {0} else {1}",
    np.minimum: "{0} if {0} < {1} or {0} != {0} else {1}",
    np.sign: "{T}(1) if {0} > 0 else ({T}(-1) if {0} < 0 else ({T}(0) if {0} == 0 else {0}))",
    np.greater: "{0} > {1}",
    np.greater_equal: "{0} >= {1}",
    np.less: "{0} < {1}",
    np.less_equal: "{0} <= {1}",
    np.equal: "{0} == {1}",
    np.not_equal: "{0} != {1}",
    np.isnan: "{0} != {0}",
    np.isfinite: "{0} - {0} == 0",
}
# On booleans these mean something else.
LOGIC: dict[np.ufunc, str] = {
    np.logical_and: "{0} and {1}",
    np.logical_or: "{0} or {1}",
    np.logical_not: "not {0}",
}
# NumPy's own loops are faster on long arrays: per function, the text, and the entries up to which it is taken.
SHORT: dict[np.ufunc, tuple[str, int]] = {
    np.exp: ("exp_{T}({0})", 8192),
    np.log: ("log_{T}({0})", 2048),
    np.tanh: ("tanh_{T}({0})", 2048),
    np.sin: ("sin({0})", 256),
    np.cos: ("cos({0})", 256),
    np.expm1: ("expm1({0})", 256),
    np.log1p: ("log1p({0})", 256),
    np.power: ("{0} ** {1}", 256),
}
REDUCTIONS = {np.add: "{0} + {1}", np.maximum: MAPS[np.maximum], np.minimum: MAPS[np.minimum]}
FIRST = {np.add: "0", np.maximum: "-inf", np.minimum: "inf"}
EXTREME = 4096  # entries up to which maxima and minima are taken
MULTIPLICATIONS = 4096  # up to which a product of matrices is taken


@dataclass(frozen=True)
class Operand:
    """An array as a loop sees it: strides in entries, 0 where the entry stays the same.

    `place` is its address, or the number of an argument that the caller holds and an offset in bytes.
    """

    buffer: int
    place: tuple[Any, ...]
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    char: str
    low: int
    high: int

    def over(self, shape: tuple[int, ...]) -> Operand:
        """Return the operand broadcast to a shape."""
        strides = (*[0] * (len(shape) - len(self.shape)), *self.strides)
        return self.seen(shape, strides)

    def seen(self, shape: tuple[int, ...], strides: tuple[int, ...]) -> Operand:
        """Return the operand with other strides."""
        return Operand(self.buffer, self.place, shape, strides, self.char, self.low, self.high)

    def meets(self, other: Operand) -> bool:
        """Whether the two have bytes in common."""
        if self.place[0] == "x" or other.place[0] == "x":  # arguments are read only, and apart from all else
            return False
        return self.low < other.high and other.low < self.high

    def agrees(self, other: Operand) -> bool:
        """Whether the two are, turn for turn, the same entries."""
        return (self.place, self.shape, self.strides, self.char) == (
            other.place,
            other.shape,
            other.strides,
            other.char,
        )

    @property
    def key(self) -> tuple[Any, ...]:
        """What two operands of one loop that are the same entries in every turn have in common."""
        return self.place, self.strides, self.char

    @property
    def is_injective(self) -> bool:
        """Whether no entry is met twice."""
        reach = 1
        for stride, n in sorted((abs(s), n) for s, n in zip(self.strides, self.shape, strict=True) if n != 1):
            if stride < reach:
                return False
            reach += stride * (n - 1)
        return True


def operand(value: Value, program: Program) -> Operand | None:
    """Return how a loop sees a value (None: it cannot)."""
    array, size, dtype = program.real(value), value.dtype.itemsize, value.dtype
    if dtype.char not in TYPES or not dtype.isnative:
        return None
    if not value.size or any(s % size for s in value.strides):
        return None
    strides = tuple([0 if n == 1 else s // size for n, s in zip(value.shape, value.strides, strict=True)])
    if value.buffer.number in program.by_reference:
        place: tuple[Any, ...] = ("x", value.buffer.number, value.offset)
        if value.offset % size:
            return None
        low = high = 0
    else:
        address = array.__array_interface__["data"][0]
        if address % size:
            return None
        place = ("at", address)
        low, high = byte_bounds(array)
    return Operand(value.buffer.number, place, value.shape, strides, value.dtype.char, low, high)


@dataclass
class Step:
    """One instruction as a loop.

    Attributes
    ----------
    kind : "map", "reduce" or "product"
    text : what is done to the entries
    char : the dtype that it computes in
    reads : Operands over `shape`, or the texts of numbers
    out : where the result belongs
    shape : the entries that the loop goes over
    kept : of a reduction, how many leading axes stay; -n where the n leading ones are summed out
    result : the dtype that `text` gives
    """

    kind: str
    text: str
    char: str
    reads: list[Operand | str]
    out: Operand
    shape: tuple[int, ...]
    result: str
    kept: int = 0
    function: Any = None
    position: int = 0

    @property
    def operands(self) -> list[Operand]:
        """The arrays among what it reads."""
        return [x for x in self.reads if isinstance(x, Operand)]


def step_of(instruction: Instruction, program: Program) -> Step | None:
    """Return an instruction as a loop (None: it is left to NumPy)."""
    if instruction.errors is not None or len(instruction.outs) != 1:
        return None
    out = operand(instruction.outs[0], program)
    if out is None or not out.is_injective:
        return None
    function = instruction.function
    if function is np.matmul:
        step = _product(instruction, out, program)
    elif isinstance(function, np.ufunc) and function.signature is None:
        step = _map(instruction, function, out, program)
    elif instruction.kind == "ufunc" and getattr(function, "__name__", "") == "reduce":
        step = _reduction(instruction, out, program)
    else:
        special = _SPECIAL.get(function)
        step = special(instruction, out, program) if special is not None else None
    if step is None:
        return None
    apart = step.kind != "map"
    if any(x.meets(step.out) and (apart or not x.agrees(step.out)) for x in step.operands):
        return None
    return step


def _entries(args: Any, chars: str, shape: tuple[int, ...], program: Program) -> list[Operand | str] | None:
    """Return operands over a shape, numbers as text in the dtype of their place."""
    found: list[Operand | str] = []
    for x, char in zip(args, chars, strict=True):
        if isinstance(x, Value):
            seen = operand(x, program)
            if seen is None or len(seen.shape) > len(shape):
                return None
            found.append(seen.over(shape))
        elif isinstance(x, int | float | np.generic) or (type(x) is ndarray and x.size == 1):
            found.append(number(x, char))
        else:
            return None
    return found


def number(x: Any, char: str) -> str:
    """Return the text of a number in a dtype."""
    with np.errstate(all="ignore"):
        value = np.asarray(x).astype(char).reshape(-1)[0].item()
    return repr(value) if char == "?" else f"{TYPES[char]}({value!r})"


def _map(instruction: Instruction, function: np.ufunc, out: Operand, program: Program) -> Step | None:
    template, limit = SHORT.get(function, (MAPS.get(function) or LOGIC.get(function), None))
    if template is None or instruction.kwargs or len(instruction.args) != function.nin:
        return None
    if limit is not None and prod(out.shape) > limit:
        return None
    types = [x.dtype if isinstance(x, Value | np.generic | ndarray) else type(x) for x in instruction.args]
    types = [np.dtype(bool) if t is bool else t for t in types]
    try:
        dtypes = function.resolve_dtypes((*types, None))
    except TypeError:
        return None
    chars = "".join(t.char for t in dtypes)
    inside = set(chars[:-1])
    if inside != ({"?"} if function in LOGIC else {chars[0]}) or not set(chars) <= set(TYPES):
        return None
    if "?" in inside and function not in LOGIC:
        return None
    reads = _entries(instruction.args, chars[:-1], out.shape, program)
    if reads is None:
        return None
    return Step("map", template, chars[0], reads, out, out.shape, chars[-1])


def _copied(source: Any, out: Operand, program: Program) -> Step | None:
    if isinstance(source, Value) and len(source.shape) > len(out.shape):
        return None
    reads = _entries([source], out.char, out.shape, program)
    return None if reads is None else Step("map", "{0}", out.char, reads, out, out.shape, out.char)


def _copy(instruction: Instruction, out: Operand, program: Program) -> Step | None:
    return _copied(instruction.args[0], out, program)


def _copyto(instruction: Instruction, out: Operand, program: Program) -> Step | None:
    if len(instruction.args) != 2 or instruction.kwargs.keys() - {"casting"}:
        return None
    return _copied(instruction.args[1], out, program)


def _fill(instruction: Instruction, out: Operand, program: Program) -> Step | None:
    return _copied(instruction.args[1], out, program)


def _where(instruction: Instruction, out: Operand, program: Program) -> Step | None:
    if len(instruction.args) != 3 or instruction.kwargs or out.char == "?":
        return None
    condition = instruction.args[0]
    if not isinstance(condition, Value) or condition.dtype != bool:
        return None
    reads = _entries(instruction.args, "?" + 2 * out.char, out.shape, program)
    return (
        None
        if reads is None
        else Step("map", "{1} if {0} else {2}", out.char, reads, out, out.shape, out.char)
    )


def _choice(instruction: Instruction, out: Operand, program: Program) -> Step | None:
    masks = instruction.args[1:]
    if out.char == "?" or not all(isinstance(mask, Value) for mask in masks):
        return None
    reads = _entries(instruction.args, out.char + "?" * len(masks), out.shape, program)
    if reads is None:
        return None
    share = "{0}" if instruction.function is masked else "({T}(0.5) * {0} if {2} else {0})"
    return Step("map", f"{share} if {{1}} else {{T}}(0)", out.char, reads, out, out.shape, out.char)


def _reduction(instruction: Instruction, out: Operand, program: Program) -> Step | None:
    ufunc = instruction.function.__self__  # type: ignore[attr-defined]
    kwargs = instruction.kwargs
    if ufunc not in REDUCTIONS or len(instruction.args) != 1 or kwargs.keys() - {"axis", "keepdims", "dtype"}:
        return None
    source = operand(instruction.args[0], program) if isinstance(instruction.args[0], Value) else None
    if source is None or source.char != out.char or out.char not in FLOATS or kwargs.get("dtype") is not None:
        return None
    if ufunc is not np.add and prod(source.shape) > EXTREME:
        return None
    axis, ndim = kwargs.get("axis", 0), len(source.shape)
    axes = range(ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    summed = sorted({a % ndim for a in axes}) if ndim else []
    strides = list(out.strides)
    if not kwargs.get("keepdims", False):
        for a in summed:
            strides.insert(a, 0)
    if summed == list(range(ndim - len(summed), ndim)):
        kept = ndim - len(summed)
    elif summed == list(range(len(summed))):
        kept = -len(summed)
    else:
        return None
    seen = out.seen(source.shape, tuple(strides))
    if all(source.shape[a] == 1 for a in summed):  # one entry each: nothing is added
        return Step("map", "{0}", out.char, [source], seen, source.shape, out.char)
    text = REDUCTIONS[ufunc]
    return Step("reduce", text, out.char, [source], seen, source.shape, out.char, kept, ufunc)


def _product(instruction: Instruction, out: Operand, program: Program) -> Step | None:
    """Return a product of two vectors or matrices, as matrices."""
    args = factors(instruction) or instruction.args
    if len(args) != 2 or instruction.kwargs or not all(isinstance(x, Value) for x in args):
        return None
    a, b = operand(args[0], program), operand(args[1], program)
    if a is None or b is None or not (a.char == b.char == out.char) or out.char not in FLOATS:
        return None
    if not (1 <= len(a.shape) <= 2 and 1 <= len(b.shape) <= 2):
        return None
    rows, columns = a.shape[:-1], b.shape[1:]
    (m, k), n = ((1, *a.shape) if not rows else a.shape), (columns or (1,))[0]
    if m * k * n > MULTIPLICATIONS and k > 1:
        return None
    (am, ak), (bk, bn) = (0, *a.strides)[-2:], (*b.strides, 0)[:2]
    om = out.strides[0] if rows else 0
    on = out.strides[-1] if columns else 0
    shape = (m, n, k)
    left, right = a.seen(shape, (am, 0, ak)), b.seen(shape, (0, bn, bk))
    result = out.seen(shape, (om, on, 0))
    if k == 1:  # an outer product is a map
        flat = [x.seen((m, n), x.strides[:2]) for x in (left, right, result)]
        return Step("map", "{0} * {1}", out.char, [flat[0], flat[1]], flat[2], (m, n), out.char)
    return Step("product", "{0} * {1}", out.char, [left, right], result, shape, out.char)


def _outer(instruction: Instruction, out: Operand, program: Program) -> Step | None:
    args = instruction.args
    if instruction.kwargs or not all(isinstance(x, Value) and len(x.shape) == 1 for x in args):
        return None
    a, b = operand(args[0], program), operand(args[1], program)
    if a is None or b is None or not (a.char == b.char == out.char):
        return None
    left = a.seen(out.shape, (*a.strides, 0))
    return Step("map", "{0} * {1}", out.char, [left, b.over(out.shape)], out, out.shape, out.char)


def _vdot(instruction: Instruction, out: Operand, program: Program) -> Step | None:
    a, b = instruction.args
    if not all(isinstance(x, Value) and x.is_contiguous for x in (a, b)):
        return None
    left, right = operand(a, program), operand(b, program)
    if left is None or right is None or not (left.char == right.char == out.char) or out.char not in FLOATS:
        return None
    k = prod(left.shape)
    if not 1 < k <= MULTIPLICATIONS:
        return None
    shape = (1, 1, k)
    flat = [left.seen(shape, (0, 0, 1)), right.seen(shape, (0, 0, 1)), out.seen(shape, (0, 0, 0))]
    return Step("product", "{0} * {1}", out.char, [flat[0], flat[1]], flat[2], shape, out.char)


_SPECIAL: dict[Any, Any] = {
    ndarray.copy: _copy,
    ndarray.astype: _copy,
    np.copyto: _copyto,
    ndarray.fill: _fill,
    np.where: _where,
    **dict.fromkeys(CHOICES, _choice),
    ndarray.dot: _product,
    np.dot: _product,
    np.einsum: _product,
    np.vdot: _vdot,
    np.outer: _outer,
}
