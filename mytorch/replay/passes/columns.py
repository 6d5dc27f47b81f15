"""Many short rows are held by columns.

NumPy's inner loop runs along memory.  A thousand rows of sixteen entries plus a bias are a thousand loops of sixteen
additions; held by columns, they are sixteen loops of a thousand.  Nobody sees how a temporary lies in memory, so it
is laid out as the instructions that use it like it best; BLAS takes a matrix either way.
"""

from __future__ import annotations

from math import prod

import numpy as np
from numpy import ndarray

from mytorch.replay.instructions import (
    ARGUMENT,
    TEMPORARY,
    Buffer,
    Instruction,
    Listing,
    Value,
    last_writes,
    made_by_pass,
    matrices,
)
from mytorch.replay.passes.simplify import without_copies
from mytorch.rules.masks import CHOICES

SHORT = 64  # entries of a row, up to which the loops' beginnings take longer than their work
MANY = 4  # times as many rows as columns
BEGIN = 30  # what a loop's beginning costs, in entries that BLAS reads across
ACROSS = 2  # the same of an entry that an elementwise loop reads across

# Calls, beside those of ufuncs, that do the same with operands and results in any order of memory.
_ANY_ORDER = {
    *(ndarray.dot, np.dot, np.vdot, ndarray.copy, ndarray.astype),
    *(np.copyto, np.where, np.sum, np.count_nonzero, *CHOICES),
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


def _usable(listing: Listing, found: dict[int, Value]) -> dict[int, Value]:
    """Return those of the matrices that nobody asks for in a certain order of memory."""
    kept = found.copy()
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
    """Say whether a result is a matrix of its own of many short rows.

    Sums along rows of half precision are kept in single precision by NumPy, and sums across them are not.
    """
    return (
        out.buffer.kind == TEMPORARY
        and out.dtype != np.float16
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
    offset = (column * rows + row) * size
    return value.twin(buffer=buffer, strides=tuple(strides), offset=offset, _array=None)


def _chosen(listing: Listing, found: dict[int, Value]) -> dict[int, Value]:
    """Return the matrices that are better held by columns: of those that meet in elementwise calls all, or none."""
    groups = _groups(listing, found)
    uses: dict[int, list[Instruction]] = {}  # by the number of a group
    for instruction in listing.instructions:
        values = (*instruction.reads, *instruction.outs)
        for group in {groups[v.buffer.number] for v in values if v.buffer.number in groups}:
            uses.setdefault(group, []).append(instruction)
    turned = set(uses)
    idle = turned
    while idle:  # a group that gains nothing is held by rows, and so others may gain less
        idle = {group for group in [*turned] if _gain(group, uses[group], groups, turned) <= 0}
        turned -= idle
    return {number: value for number, value in found.items() if groups[number] in turned}


def _gain(group: int, uses: list[Instruction], groups: dict[int, int], turned: set[int]) -> int:
    """Return what is gained where `group` is held by columns as the others in `turned` are, and not by rows."""
    by_columns = sum(_cost(i, groups, turned) for i in uses)
    turned.discard(group)
    by_rows = sum(_cost(i, groups, turned) for i in uses)
    turned.add(group)
    return by_rows - by_columns


def _groups(listing: Listing, found: dict[int, Value]) -> dict[int, int]:
    """Return, per matrix, what it has in common with those that it meets in elementwise calls."""
    leaders = {number: number for number in found}

    def leader(number: int) -> int:
        while leaders[number] != number:
            number = leaders[number] = leaders[leaders[number]]
        return number

    for instruction in listing.instructions:
        numbers = [leader(v.buffer.number) for v in _of_rows(instruction) if v.buffer.number in found]
        for number in numbers[1:]:
            leaders[leader(number)] = leader(numbers[0])
    return {number: leader(number) for number in found}


def _cost(instruction: Instruction, groups: dict[int, int], turned: set[int]) -> int:
    """Return what a call takes beyond its arithmetic, where the matrices of groups in `turned` are held by columns.

    The unit is the time for an entry that BLAS has to read across.
    """

    def is_upright(value: Value) -> bool:
        return (abs(value.strides[0]) < abs(value.strides[1])) != (groups.get(value.buffer.number) in turned)

    operands = matrices(instruction)
    if operands:
        a, b = operands
        # BLAS reads its second matrix along the rows of the result, and what lies the other way it copies first.
        if is_upright(instruction.outs[0]):
            return 0 if is_upright(a) else a.size
        return b.size if is_upright(b) else 0
    values = _of_rows(instruction)
    entries = [prod(n for n, stride in zip(v.shape, v.strides, strict=True) if stride) for v in values]
    most = max(entries, default=0)
    whole = [value for value, n in zip(values, entries, strict=True) if n == most and len(value.shape) == 2]
    orders = {is_upright(value) for value in whole}
    cost = ACROSS * most if len(orders) == 2 else 0
    if orders and any(1 < n < most for n in entries):
        cost += BEGIN * whole[0].shape[1 if orders == {True} else 0]
    return cost


def _of_rows(instruction: Instruction) -> list[Value]:
    """Return the arrays of an elementwise call, or of a reduction of a matrix."""
    owner = getattr(instruction.function, "__self__", None)
    is_method = isinstance(owner, np.ufunc) and owner.signature is None
    if is_method or instruction.is_elementwise or instruction.function is np.vdot:
        return [*instruction.reads, *instruction.outs]
    return []
