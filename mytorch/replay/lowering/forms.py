"""How an instruction is run again without making arrays: the calls that write its results where they belong.

Often there are several ways, and which is fastest depends on the shapes and on the machine: a product of a matrix
with one row is an outer product, a sum over rows is a product with ones.  `forms` returns the ways; the planner
measures them on the program's own memory and keeps the best (autotuning).
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray
from numpy.lib.stride_tricks import as_strided

from mytorch.regions import address_of
from mytorch.replay.instructions import OUTSIDE, Instruction, Value, mapped, matrices
from mytorch.replay.kernels import fetch, padded, store, store_all
from mytorch.replay.passes.simplify import decides
from mytorch.rules.masks import BITS, CHOICES

Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]
Form = list[Call]

_FLOATS = "fdFD"


def forms(instruction: Instruction) -> list[Form]:
    """Return the ways to run an instruction; the first is always right, and the others are to rounding."""
    function, outs = instruction.function, instruction.outs
    if instruction.kind == "write":
        return [[(function, instruction.args, instruction.kwargs)]]
    if instruction.kind == "fetch":
        return [[(fetch, (outs[0], *instruction.args), {})]]
    if isinstance(function, np.ufunc):
        return _ufunc(instruction)
    if function in CHOICES:
        return _choice(instruction)
    if instruction.kind == "ufunc":
        return _ufunc_method(instruction)
    # A user's function that pads may fail; what stands in the table may not.
    special = _pad if function is np.pad else _SPECIAL.get(function)
    found = special(instruction) if special is not None and instruction.kind == "call" else None
    return found if found else [_generic(instruction)]


def _generic(instruction: Instruction) -> Form:
    call = instruction.function, instruction.args, instruction.kwargs
    if not instruction.outs:
        return [call]
    if len(instruction.outs) == 1:
        return [(store, (instruction.outs[0], *call), {})]
    return [(store_all, (instruction.outs, *call), {})]


def part(value: Value, view: Callable[[ndarray], ndarray]) -> Value:
    """Return the Value of a view of the array of `value`, which may have been moved to another memory since."""
    array = value.array
    seen = view(array)
    found = Value(value.buffer, seen)
    if seen.size:
        found.offset = value.offset + address_of(seen) - address_of(array)
    return found


def transposed(value: Value) -> Value:
    """Return the view of a value with its axes in reverse order."""
    return part(value, lambda x: x.T)


# NumPy warns of a third positional operand of these, because people mean `np.max` of several arrays.
_NAMED_OUT = (np.maximum, np.minimum)


# -- ufuncs ---------------------------------------------------------------------------------------------------


def _ufunc(instruction: Instruction) -> list[Form]:
    function: Any = instruction.function
    outs = instruction.outs
    args = _as_arrays(function, instruction.args, instruction)
    if instruction.kwargs or len(outs) > 1:
        return [[(function, args, {**instruction.kwargs, "out": outs})]]
    *views, out = _merged((*args, *outs)) if function.signature is None else (*args, *outs)
    if function in _NAMED_OUT:
        found: list[Form] = [[(function, tuple(views), {"out": out})]]
    else:
        found = [[(function, (*views, out), {})]]
    if function is np.matmul:
        a, b = args
        if isinstance(a, Value) and isinstance(b, Value) and len(a.shape) == len(b.shape) == 2:
            found += _products(a, b, outs[0]) or []
    if function in _NAMED_OUT and out.size > 1:
        found += _of_rows(function, views[0], views[1], out)
    return found


def _choice(instruction: Instruction) -> list[Form]:
    found = _ufunc(_of_bits(instruction))
    out = instruction.outs[0]
    for ties in instruction.args[2:]:
        half = np.array(0.5, out.dtype)
        found = [[*form, (np.multiply, (out, half), {"out": out, "where": ties})] for form in found]
    return found


def _of_bits(instruction: Instruction) -> Instruction:
    """Return a choice by a mask as the product of the bits with the mask that it is."""
    a, mask, out = *instruction.args[:2], instruction.outs[0]
    bits = BITS[out.dtype.itemsize]
    shown = part(a, lambda x: x.view(bits)) if isinstance(a, Value) else a.view(bits)
    return instruction.twin(
        function=np.multiply, args=(shown, mask), outs=(part(out, lambda x: x.view(bits)),)
    )


def _of_rows(function: Any, a: Any, b: Any, out: Value) -> list[Form]:
    """Return maxima with a number as maxima with an array, of which NumPy has a faster loop."""
    shape = out.shape if out.size <= _FEW else out.shape[-1:]
    found: list[Form] = []
    for i, (number, other) in enumerate(((a, b), (b, a))):
        if type(number) is ndarray and number.size == 1 and isinstance(other, Value):
            filled = np.full(shape, number.reshape(-1)[0], number.dtype)
            operands = (other, filled) if i else (filled, other)  # of two zeros the second is taken
            found.append([(function, operands, {"out": out})])
    return found


_FEW = 1 << 14  # entries


def _merged(operands: tuple[Any, ...]) -> list[Any]:
    """Return operands and result of an elementwise call as views with as few axes as show the same entries.

    NumPy calls its inner loop at once where all arrays are vectors, and sets up an iterator otherwise, which takes as
    long again as a short call: ``(1, n) + (n,)`` is a sum of two vectors, and what is transposed alike is not
    transposed.
    """
    shape, strides = operands[-1].shape, operands[-1].strides
    arrays = [x for x in operands if isinstance(x, Value) and x.shape != ()]
    if all(x.shape == shape and x.strides == strides for x in arrays) and operands[-1].is_contiguous:
        return list(operands)
    if not all(isinstance(x, Value) or np.shape(x) == () for x in operands) or not operands[-1].size:
        return list(operands)
    steps = [_broadcast_strides(x, shape) for x in arrays]
    axes = sorted((i for i, n in enumerate(shape) if n != 1), key=lambda i: -abs(strides[i]))
    merged: list[tuple[int, list[int]]] = []  # of the axes that are left: length, and strides of each operand
    for axis in axes:
        n, step = shape[axis], [s[axis] for s in steps]
        if merged and all(a == b * n for a, b in zip(merged[-1][1], step, strict=True)):
            merged[-1] = merged[-1][0] * n, step
        else:
            merged.append((n, step))
    views = iter([_of_axes(x, [(n, s[i]) for n, s in merged]) for i, x in enumerate(arrays)])
    return [next(views) if isinstance(x, Value) and x.shape != () else x for x in operands]


def _broadcast_strides(value: Value, shape: tuple[int, ...]) -> list[int]:
    """Return the steps in bytes of a value that is broadcast to `shape`."""
    missing = len(shape) - len(value.shape)
    own = [0 if n == 1 else stride for n, stride in zip(value.shape, value.strides, strict=True)]
    return [0] * missing + own


def _of_axes(value: Value, axes: list[tuple[int, int]]) -> Value:
    """Return the view of a value with the given lengths and strides, where a stride of 0 is an axis of length 1."""
    shape = [n if stride else 1 for n, stride in axes]
    while shape and shape[0] == 1:
        del shape[0]
    strides = [stride for _, stride in axes][len(axes) - len(shape) :]
    return part(value, lambda a: as_strided(a, shape, strides))


def _as_arrays(function: np.ufunc, args: tuple[Any, ...], instruction: Instruction) -> tuple[Any, ...]:
    """Return operands with numbers as arrays of the dtype that they are computed in, which NumPy calls faster."""
    if not any(isinstance(x, int | float | complex | np.generic) for x in args) or instruction.kwargs:
        return args
    types = [
        x.dtype
        if isinstance(x, Value | np.generic | ndarray)
        else type(x)
        if type(x) is not bool
        else np.dtype(bool)
        for x in args
    ]
    try:
        dtypes = function.resolve_dtypes((*types, *[None] * function.nout))
    except TypeError:
        return args
    if any(dtype != out.dtype for dtype, out in zip(dtypes[len(args) :], instruction.outs, strict=True)):
        return args  # NumPy 1 promotes by values
    changed = []
    for x, dtype in zip(args, dtypes, strict=False):
        if isinstance(x, Value | ndarray):
            changed.append(x)
            continue
        number = _exactly(x, dtype)
        if number is None:
            return args
        changed.append(number)
    return tuple(changed)


def _exactly(x: Any, dtype: np.dtype[Any]) -> ndarray | None:
    """Return a number as an array of a dtype; None where it lies beyond that (NumPy 1 would take another)."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # NumPy 1.26 wraps integers around
        try:
            number = np.array(x, dtype)
        except OverflowError:
            return None
        beyond = int(number) != x if dtype.kind in "iu" else np.isinf(number) and not np.isinf(x)
    return None if beyond else number


def _ufunc_method(instruction: Instruction) -> list[Form]:
    function, outs, kwargs = instruction.function, instruction.outs, instruction.kwargs
    name, ufunc = function.__name__, function.__self__  # type: ignore[attr-defined]
    if name != "reduce" or len(instruction.args) != 1 or kwargs.keys() - {"axis", "keepdims", "dtype"}:
        return [[(function, instruction.args, {**kwargs, "out": outs[0]})]]
    a, out = instruction.args[0], outs[0]
    axis, keepdims = kwargs.get("axis", 0), bool(kwargs.get("keepdims", False))
    dtype = kwargs.get("dtype")
    found: list[Form] = [[(function, (a, axis, dtype, out, keepdims), {})]]
    one_dtype = a.dtype == out.dtype == ufunc.resolve_dtypes((a.dtype, a.dtype, None))[2]
    if dtype is None and isinstance(axis, int) and a.shape and one_dtype and out.size:
        found += _along(ufunc, a, axis % len(a.shape), out)
    if ufunc is np.add and dtype is None and a.dtype.char in "fd" and a.dtype == out.dtype:
        found += _sums(a, axis, out)
    return found


_SHORT = 8  # entries: so many rows or columns are combined one after the other


def _along(ufunc: np.ufunc, a: Value, axis: int, out: Value) -> list[Form]:
    """Return reductions over an axis without the axes of length 1, and, of a short one, entry after entry."""
    others = [(n, s) for i, (n, s) in enumerate(zip(a.shape, a.strides, strict=True)) if i != axis and n != 1]
    length, step = a.shape[axis], a.strides[axis]
    if not out.is_contiguous or length == 0:
        return []
    shape, strides = [n for n, _ in others], [s for _, s in others]
    result = part(out, lambda o: o.reshape(shape))
    rows = part(a, lambda x: as_strided(x, [length, *shape], [step, *strides]))
    found: list[Form] = [[(ufunc.reduce, (rows, 0, None, result), {})]]
    # Entry after entry, unless the result is written over entries that are still to be read, or a sum of numbers of
    # half precision, which NumPy keeps in single precision, would be rounded in between.
    may_be_apart = a.dtype != np.float16 and out.buffer is not a.buffer
    if 2 <= length <= _SHORT and step > 0 and others and may_be_apart:
        entries = [part(rows, lambda x, i=i: x[i]) for i in range(length)]  # type: ignore[misc]
        *operands, result = _merged((*entries, result))
        steps: Form = []
        for operand in operands[1:]:
            first = result if steps else operands[0]
            steps.append((ufunc, (first, operand), {"out": result}))
        found.append(steps)
    return found


def _sums(a: Value, axis: Any, out: Value) -> list[Form]:
    """Return the sums of a matrix over an axis as products with ones."""
    if len(a.shape) == 2 and not a.is_contiguous and isinstance(axis, int):
        a, axis = transposed(a), 1 - axis % 2
    if len(a.shape) != 2 or not a.is_contiguous or not out.is_contiguous or not 0 < a.size <= 1 << 20:
        return []
    rows, columns = a.shape
    if axis in (0, (0,), -2):
        ones = np.ones(rows, a.dtype)
        return [[(ndarray.dot, (ones, a, part(out, lambda o: o.reshape(columns))), {})]]
    if axis in (1, (1,), -1):
        ones = np.ones(columns, a.dtype)
        return [[(ndarray.dot, (a, ones, part(out, lambda o: o.reshape(rows))), {})]]
    return []


# -- products -------------------------------------------------------------------------------------------------


def _products(a: Value, b: Value, out: Value) -> list[Form]:
    """Return the ways to multiply two matrices."""
    if not out.is_contiguous:
        a, b, out = transposed(b), transposed(a), transposed(out)
    fits = out.is_contiguous and a.dtype == b.dtype == out.dtype and a.dtype.char in _FLOATS and out.size
    if not fits:
        return []
    (m, k), n = a.shape, b.shape[1]
    found: list[Form] = [[(ndarray.dot, (a, b, out), {})], [(np.matmul, (a, b, out), {})]]
    if k == 1:
        found.append([(np.multiply, (a, b, out), {})])
        columns, rows = padded(m, n, out.dtype)
        copies: Form = [(np.copyto, (columns[:, :1], a), {}), (np.copyto, (rows[:1], b), {})]
        found.append([*copies, (np.matmul, (columns, rows, out), {})])
    if m == 1 and n > 1 and k > 1:
        row, result = part(a, lambda x: x[0]), part(out, lambda x: x[0])
        found.append([(ndarray.dot, (row, b, result), {})])
        found.append([(ndarray.dot, (part(b, lambda x: x.T), row, result), {})])
    if n == 1 and m > 1 and k > 1:
        found.append([(ndarray.dot, (a, part(b, lambda x: x[:, 0]), part(out, lambda x: x[:, 0])), {})])
    return found


def _dot(instruction: Instruction) -> list[Form] | None:
    args = instruction.args
    if len(args) != 2 or instruction.kwargs or not all(isinstance(x, Value) for x in args):
        return None
    a, b = args
    out = instruction.outs[0]
    if len(a.shape) == len(b.shape) == 2:
        return _products(a, b, out) or None
    if (
        a.shape
        and b.shape
        and a.dtype == b.dtype == out.dtype
        and a.dtype.char in _FLOATS
        and out.is_contiguous
    ):
        return [[(ndarray.dot, (a, b, out), {})]]
    return None


def _einsum(instruction: Instruction) -> list[Form] | None:
    operands = matrices(instruction)
    found = _with_out(instruction)
    if found and len(operands) == 2 and not instruction.kwargs:
        found += _products(operands[0], operands[1], instruction.outs[0])
    return found


def _vdot(instruction: Instruction) -> list[Form] | None:
    a, b = instruction.args
    out = instruction.outs[0]
    fits = isinstance(a, Value) and isinstance(b, Value) and a.dtype == b.dtype == out.dtype
    if not fits or a.dtype.char not in "fd" or not a.size or a.shape != b.shape:
        return None
    if not a.is_contiguous or not b.is_contiguous:
        a, b = transposed(a), transposed(b)
    if not a.is_contiguous or not b.is_contiguous:
        products, ones = np.empty(a.shape, a.dtype), np.ones(a.size, a.dtype)
        return [[(np.multiply, (a, b, products), {}), (ndarray.dot, (products.reshape(-1), ones, out), {})]]
    flat = part(a, lambda x: x.reshape(-1)), part(b, lambda x: x.reshape(-1))
    return [[(ndarray.dot, (*flat, out), {})]]


def _outer(instruction: Instruction) -> list[Form] | None:
    a, b = instruction.args[:2]
    out = instruction.outs[0]
    if not (isinstance(a, Value) and isinstance(b, Value) and a.is_contiguous and b.is_contiguous):
        return None
    if a.dtype != out.dtype or b.dtype != out.dtype or instruction.kwargs:
        return None
    column, row = part(a, lambda x: x.reshape(-1, 1)), part(b, lambda x: x.reshape(1, -1))
    return [[(np.multiply, (column, row, out), {})]]


# -- functions that take `out`, and copies -----------------------------------------------------------------------


def _with_out(instruction: Instruction) -> list[Form] | None:
    out = instruction.outs[0]
    if "dtype" in instruction.kwargs:  # NumPy takes one or the other
        return None
    return [[(instruction.function, instruction.args, {**instruction.kwargs, "out": out})]]


def _copy(instruction: Instruction) -> list[Form] | None:
    source, out = instruction.args[0], instruction.outs[0]
    if not isinstance(source, Value) or source.shape != out.shape:
        return None
    return [[(np.copyto, (out, source, "unsafe"), {})]]


def _where(instruction: Instruction) -> list[Form] | None:
    if len(instruction.args) != 3 or instruction.kwargs:
        return None
    condition, a, b = instruction.args
    out = instruction.outs[0]
    if not isinstance(condition, Value) or condition.dtype != bool:
        return None
    if any(isinstance(x, Value) and x.dtype != out.dtype for x in (a, b)):
        return None
    found: list[Form] = [[(np.copyto, (out, b), {}), (np.copyto, (out, a, "same_kind", condition), {})]]
    is_number = isinstance(b, int | float | complex | np.number)
    if is_number and is_zero(b) and isinstance(a, Value) and a.size > 1 and out.dtype.itemsize in BITS:
        found += _ufunc(_of_bits(instruction.twin(args=(a, condition))))
    return found


def is_zero(x: Any) -> bool:
    """Say whether all bits of a number, or of an array, are zero; those of -0.0 are not."""
    return not np.asarray(x).tobytes().strip(b"\0")


def _pad(instruction: Instruction) -> list[Form] | None:
    """Return padding with zeros as zeros everywhere, and then what is inside."""
    out = instruction.outs[0]
    if len(instruction.args) != 2 or instruction.kwargs or not out.size:
        return None
    a, widths = instruction.args
    if not isinstance(a, Value) or not isinstance(widths, int | list | tuple) or a.dtype != out.dtype:
        return None
    pairs = np.broadcast_to(np.array(widths), (len(a.shape), 2)).tolist()
    parts = [slice(before, before + n) for (before, _), n in zip(pairs, a.shape, strict=True)]
    inside: Any = (*parts, ...)  # a view also of an array without axes
    zero = np.zeros((), out.dtype)
    return [
        _generic(instruction),
        [(np.copyto, (out, zero), {}), (np.copyto, (part(out, lambda y: y[inside]), a), {})],
    ]


_SPECIAL: dict[Any, Callable[[Instruction], list[Form] | None]] = {
    ndarray.dot: _dot,
    np.dot: _dot,
    np.vdot: _vdot,
    np.outer: _outer,
    np.where: _where,
    ndarray.copy: _copy,
    ndarray.astype: _copy,
    np.concatenate: _with_out,
    np.stack: _with_out,
    np.einsum: _einsum,
    np.clip: _with_out,
    ndarray.clip: _with_out,
}


def with_arrays(form: Form, array_of: Callable[[Value], Any]) -> Form:
    """Return a form with arrays in the places of its Values."""
    return [(f, mapped(args, Value, array_of), mapped(kwargs, Value, array_of)) for f, args, kwargs in form]


def fastest(instruction: Instruction, array_of: Callable[[Value], ndarray]) -> Form:
    """Return the way to run an instruction that takes the least time on its memory."""
    if instruction.kind == "guard":
        return []
    ways = forms(instruction)
    if len(ways) == 1 or any(out.buffer.kind == OUTSIDE for out in instruction.outs):
        return ways[0]
    with np.errstate(all="ignore"):
        took = times([with_arrays(way, array_of) for way in ways])
    best = min(range(len(ways)), key=took.__getitem__)
    return ways[best] if took[best] < 0.95 * took[0] else ways[0]


def may_fail(instruction: Instruction) -> bool:
    """Say whether an instruction can raise an error of its own."""
    is_any_call = instruction.kind in ("call", "fetch") and instruction.function not in _SPECIAL
    return is_any_call or decides(instruction)


def times(ways: list[Form]) -> list[float]:
    """Return the least time that each way took, in turns."""
    best = [float("inf")] * len(ways)
    clock = time.perf_counter
    for turn in range(7):
        for i, way in enumerate(ways):
            repeats = 1 if turn == 0 or best[i] > 1e-3 else 10
            start = clock()
            for _ in range(repeats):
                for function, args, kwargs in way:
                    function(*args, **kwargs)
            best[i] = min(best[i], (clock() - start) / repeats)
        if sum(best) > 0.05:
            break
    return best
