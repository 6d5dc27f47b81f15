"""Many short rows are held by columns.

NumPy's inner loop runs along memory.  A thousand rows of sixteen entries plus a bias are a thousand loops of sixteen
additions; held by columns, they are sixteen loops of a thousand.  Nobody sees how a temporary lies in memory, so it
is laid out as the instructions that use it like it best; BLAS takes a matrix either way.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy import ndarray

from mytorch.replay.instructions import ARGUMENT, TEMPORARY, Buffer, Instruction, Value, made_by_pass
from mytorch.replay.passes import Listing, last_writes, without_copies

SHORT = 64  # entries of a row, up to which the loops' beginnings take longer than their work
MANY = 4  # times as many rows as columns

# Calls, beside those of ufuncs, that do the same with operands and results in any order of memory.
_ANY_ORDER = {
    *(ndarray.dot, np.dot, np.vdot, ndarray.copy, ndarray.astype),
    *(np.copyto, np.where, np.sum, np.count_nonzero),
}


def by_columns(listing: Listing) -> Listing:
    """Return the listing with temporaries of many short rows held by columns, where that saves loops.

    Arguments that they meet are copied to columns first.
    """
    made = (out for i in listing.instructions if i.fresh for out in i.outs)
    chosen = _chosen(
        listing, _usable(listing, {out.buffer.number: out for out in made if _has_short_rows(out)})
    )
    if not chosen:
        return listing
    copied = _usable(listing, _arguments(listing, chosen))
    bases = {**chosen, **copied}
    new = {number: made_by_pass(np.empty(base.shape[::-1], base.dtype).T) for number, base in bases.items()}

    def turned(value: Value) -> Value:
        number = value.buffer.number
        return _turned(value, bases[number], new[number]) or value if number in new else value

    after = listing.with_values(turned)
    copies = []
    for argument in copied.values():
        copy = Instruction("call", ndarray.copy, (argument,), {}, (turned(argument),), True)
        copy.code, copy.lasti = listing.instructions[0].code, listing.instructions[0].lasti
        copies.append(copy)
    return without_copies(Listing([*copies, *after.instructions], after.roots))


def _usable(listing: Listing, matrices: dict[int, Value]) -> dict[int, Value]:
    """Return those of the matrices that nobody asks for in a certain order of memory."""
    kept = matrices.copy()
    for root in listing.roots:
        kept.pop(root.buffer.number, None)
    for instruction in listing.instructions:
        for value in (*instruction.reads, *instruction.outs):
            base = kept.get(value.buffer.number)
            if base is not None and not (_takes_any_order(instruction) and _turned(value, base, base.buffer)):
                del kept[base.buffer.number]
    return kept


def _arguments(listing: Listing, chosen: dict[int, Value]) -> dict[int, Value]:
    """Return the arguments, never written to, that meet matrices of their shape."""
    found: dict[int, Value] = {}
    written = last_writes(listing.instructions)
    for instruction in listing.instructions:
        values = _of_rows(instruction)
        shapes = {value.shape for value in values if value.buffer.number in chosen}
        for value in values:
            whole = value.is_whole and value.is_contiguous and value.shape in shapes
            if value.buffer.kind == ARGUMENT and whole and value.buffer.number not in written:
                found.setdefault(value.buffer.number, value)
    return found


def _has_short_rows(out: Value) -> bool:
    """Say whether a result is a matrix of its own of many short rows."""
    return (
        out.buffer.kind == TEMPORARY
        and len(out.shape) == 2
        and 2 <= out.shape[1] <= SHORT
        and out.shape[0] >= MANY * out.shape[1]
        and out.is_whole
        and out.is_contiguous
    )


def _takes_any_order(instruction: Instruction) -> bool:
    owner = getattr(instruction.function, "__self__", instruction.function)
    return isinstance(owner, np.ufunc) or instruction.function in _ANY_ORDER


def _turned(value: Value, base: Value, buffer: Buffer) -> Value | None:
    """Return a view of the matrix `base` as the view of the same entries of `buffer`, which holds it by columns.

    None where there is none: a vector of several rows, or a view of halves of the entries.
    """
    (rows, columns), size = base.shape, base.dtype.itemsize
    row, column = divmod(value.offset // size, columns)
    if value.dtype.itemsize != size or value.offset % size or not value.size:
        return None
    ends = [[row, row], [column, column]]  # the first and the last that the view reaches
    strides = []
    for n, stride in zip(value.shape, value.strides, strict=True):
        step, rest = stride // size, stride % size
        if n == 1 or stride == 0:
            strides.append(0 if n > 1 else size)
            continue
        axis = 1 if abs(step) < columns else 0
        if axis == 0:
            step, rest = step // columns, step % columns
        if rest:
            return None
        ends[axis][step > 0] += step * (n - 1)
        strides.append(step * size * (rows if axis else 1))
    if min(ends[0][0], ends[1][0]) < 0 or ends[0][1] >= rows or ends[1][1] >= columns:
        return None
    other = Value.__new__(Value)
    other.buffer, other.shape, other.strides, other.dtype = buffer, value.shape, tuple(strides), value.dtype
    other.offset, other._array = (column * rows + row) * size, None
    return other


def _chosen(listing: Listing, matrices: dict[int, Value]) -> dict[int, Value]:
    """Return the matrices that are better held by columns: those that meet in a call all, or none of them."""
    leaders = {number: number for number in matrices}
    gains = dict.fromkeys(matrices, 0)  # of a leader: loops that its group saves, less what stays as it is

    def leader(number: int) -> int:
        while leaders[number] != number:
            number = leaders[number]
        return number

    for instruction in listing.instructions:
        values = _of_rows(instruction)
        numbers = [leader(v.buffer.number) for v in values if v.buffer.number in matrices]
        for other in numbers[1:]:
            if leader(other) != numbers[0]:
                leaders[other] = numbers[0]
                gains[numbers[0]] += gains[other]
        for value in values if numbers else []:
            entries = prod(n for n, stride in zip(value.shape, value.strides, strict=True) if stride)
            if value.buffer.number not in matrices and entries > 1:
                # What is broadcast, or is the result of a reduction, ends a loop at every row.
                gains[numbers[0]] += 1 if entries in matrices[numbers[0]].shape else -1
    return {number: matrix for number, matrix in matrices.items() if gains[leader(number)] > 0}


def _of_rows(instruction: Instruction) -> list[Value]:
    """Return the arrays of an elementwise call, or of a reduction of a matrix."""
    function: Any = instruction.function
    ufunc = getattr(function, "__self__", function)
    if function is np.vdot or (isinstance(ufunc, np.ufunc) and ufunc.signature is None):
        return [*instruction.reads, *instruction.outs]
    return []
