"""What the engine does in several steps and a person writes as one, before a listing is printed.

A mean is a sum and a quotient to the engine, a vector a matrix of one column; memory that a call has made is written
again, and the gradient of what ``u += x`` overwrites is taken out and put back.  Nobody would write that by hand.  The
numbers stay the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray

from mytorch.replay.instructions import (
    INSIDE,
    TEMPORARY,
    Buffer,
    Instruction,
    Listing,
    Value,
    last_writes,
    made_by_pass,
    mapped,
)
from mytorch.replay.passes.simplify import without_dead, without_plain_copies

# What gives, in arrays of one dtype, that dtype.
_CLOSED = {
    np.add, np.subtract, np.multiply, np.divide, np.maximum, np.minimum, np.negative, np.sqrt, np.exp, np.log,
    np.tanh, np.square,
}  # fmt: skip


def rewritten(listing: Listing) -> Listing:
    """Return a listing as a person would write it."""
    for change in _CHANGES:
        listing = change(listing)
    return listing


def _without_returns(listing: Listing) -> Listing:
    """Leave a part of a gradient where it is if it is taken out, set to zero and added again, as by ``u += x``."""
    kept: list[Instruction] = []
    for instruction in listing.instructions:
        store = len(kept) - 1
        while store > 0 and _stores_elsewhere(kept[store], instruction):
            store -= 1
        if store > 0 and _is_return(kept[store - 1], kept[store], instruction):
            kept.pop(store)
        else:
            kept.append(instruction)
    return Listing(kept, listing.roots)


def _stores_elsewhere(store: Instruction, later: Instruction) -> bool:
    """Say whether an assignment has nothing to do with the memory of what comes later: an old value is put back."""
    numbers = {value.buffer.number for value in (*later.reads, *later.outs)}
    return store.function is np.copyto and store.args[0].buffer.number not in numbers


def _is_return(copy: Instruction, store: Instruction, total: Instruction) -> bool:
    """Say whether a part of memory is read, set to zero, and gets the same values again."""
    if copy.function is not ndarray.copy or store.function is not np.copyto or total.function is not np.add:
        return False
    place, taken = copy.args[0], copy.outs[0]
    return (
        store.args[0].key == place.key
        and not isinstance(store.args[1], Value)
        and store.args[1] == 0
        and not total.fresh
        and not total.kwargs
        and total.outs[0].key == place.key
        and {x.key for x in total.args if isinstance(x, Value)} == {place.key, taken.key}
    )


def _without_dead_stores(listing: Listing) -> Listing:
    """Leave out what is stored where nobody looks afterwards: old values that the reverse pass puts back unread."""
    looked: dict[int, list[tuple[int, int]]] = {}  # the bytes of a memory that are read later
    roots = {root.buffer.number for root in listing.roots}
    kept = []
    for instruction in reversed(listing.instructions):
        reads = instruction.reads
        if instruction.function is np.copyto and not instruction.kwargs.keys() - {"casting"}:
            place, value = instruction.args
            (low, high), number = _bytes(place), place.buffer.number
            seen = looked.get(number, [])
            is_own = place.buffer.kind in (TEMPORARY, INSIDE) and number not in roots
            if is_own and isinstance(value, Value) and not any(a < high and low < b for a, b in seen):
                continue
            if place.is_contiguous:  # what was there before is gone
                parts = [part for a, b in seen for part in ((a, min(b, low)), (max(a, high), b))]
                looked[number] = [(a, b) for a, b in parts if a < b]
            reads = [x for x in reads if x is not place]
        for x in reads:
            looked[x.buffer.number] = _joined([*looked.get(x.buffer.number, ()), _bytes(x)])
        kept.append(instruction)
    return without_dead(Listing(kept[::-1], listing.roots))


def _bytes(value: Value) -> tuple[int, int]:
    """Return where a view begins and ends in its memory."""
    jumps = [stride * (n - 1) for n, stride in zip(value.shape, value.strides, strict=True) if n]
    low = value.offset + sum(jump for jump in jumps if jump < 0)
    return low, value.offset + sum(jump for jump in jumps if jump > 0) + value.dtype.itemsize


def _joined(intervals: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return intervals in order, with those that touch as one."""
    found: list[tuple[int, int]] = []
    for low, high in sorted(intervals):
        if found and low <= found[-1][1]:
            found[-1] = found[-1][0], max(high, found[-1][1])
        else:
            found.append((low, high))
    return found


def _without_ones(listing: Listing) -> Listing:
    """Let a product with one be a copy."""
    written = last_writes(listing.instructions)

    def is_one(x: Any) -> bool:
        if isinstance(x, Value):
            constant = x.buffer.kind == INSIDE and x.buffer.number not in written
            return constant and bool(x.size) and bool((x.array == 1).all())
        return bool(x == 1)

    def changed(instruction: Instruction) -> Instruction:
        if instruction.function is not np.multiply or not instruction.fresh or instruction.kwargs:
            return instruction
        out = instruction.outs[0]
        for one, other in (instruction.args, instruction.args[::-1]):
            alike = isinstance(other, Value) and (other.shape, other.dtype) == (out.shape, out.dtype)
            if alike and is_one(one):
                return instruction.twin(function=ndarray.copy, kind="call", args=(other,))
        return instruction

    return Listing([changed(i) for i in listing.instructions], listing.roots)


def _without_moves(listing: Listing) -> Listing:
    """Let a copy of what nobody asks for afterwards be that itself."""
    last = {root.buffer.number: len(listing.instructions) for root in listing.roots}
    for position in range(len(listing.instructions) - 1, -1, -1):
        instruction = listing.instructions[position]
        for value in (*instruction.reads, *instruction.outs):
            last.setdefault(value.buffer.number, position)
    new: dict[int, tuple[Buffer, int]] = {}
    kept = []
    for position, instruction in enumerate(listing.instructions):
        if instruction.function is ndarray.copy and instruction.fresh:
            source, out = instruction.args[0], instruction.outs[0]
            is_whole = source.is_whole and source.buffer.kind == TEMPORARY and source.size > 1
            form = (source.shape, source.strides, source.dtype, source.offset)
            alike = form == (out.shape, out.strides, out.dtype, out.offset)
            if (
                is_whole
                and alike
                and last[source.buffer.number] == position
                and source.buffer.number not in new
            ):
                new[out.buffer.number] = source.buffer, 0
                continue
        kept.append(instruction)
    return listing.replaced(kept, new)


def _anew(listing: Listing) -> Listing:
    """Let what a call of the user's writes over memory that it has made itself be made anew."""
    first: dict[int, Instruction] = {}
    again: dict[int, int] = {}  # how often, per memory
    for instruction in listing.instructions:
        if instruction.fresh and len(instruction.outs) == 1 and instruction.outs[0].buffer.kind == TEMPORARY:
            first[instruction.outs[0].buffer.number] = instruction
        elif _is_over(instruction, first):
            number = instruction.outs[0].buffer.number
            again[number] = again.get(number, 0) + 1
    now: dict[int, Buffer] = {}  # where it is held for the time being; in the end, in its own memory
    kept = []
    for instruction in listing.instructions:
        number = instruction.outs[0].buffer.number if instruction.outs else -1
        over = _is_over(instruction, first)
        changed = instruction.twin(args=_held(instruction.args, now), kwargs=_held(instruction.kwargs, now))
        if over or (number in again and first[number] is instruction):
            if again[number]:
                now[number] = made_by_pass(np.empty_like(instruction.outs[0].buffer.owner))
            else:
                del now[number]
            again[number] -= 1
            changed = changed.twin(fresh=True)
        kept.append(changed.twin(outs=_held(changed.outs, now)))
    return Listing(kept, listing.roots)


def _is_over(instruction: Instruction, first: dict[int, Instruction]) -> bool:
    """Say whether an operation replaces the whole of a memory, in the call that has made it."""
    if instruction.fresh or instruction.function not in _CLOSED or instruction.kwargs or instruction.errors:
        return False
    out = instruction.outs[0]
    maker = first.get(out.buffer.number)
    if maker is None or _place(maker) != _place(instruction):
        return False
    values = [x for x in instruction.args if isinstance(x, Value)]
    return (
        out.key == maker.outs[0].key
        and out.is_contiguous
        and any(x.key == out.key for x in values)
        and all(x.dtype == out.dtype and (x.shape != out.shape or x.is_contiguous) for x in values)
        and all(
            type(x) in (Value, int, float) or getattr(x, "dtype", None) == out.dtype for x in instruction.args
        )
    )


def _place(instruction: Instruction) -> Any:
    return instruction.code, instruction.lasti, instruction.phase


def _held(tree: Any, now: dict[int, Buffer]) -> Any:
    def held(value: Value) -> Value:
        buffer = now.get(value.buffer.number)
        return value if buffer is None else value.twin(buffer=buffer, _array=None)

    return mapped(tree, Value, held)


def _vectors(listing: Listing) -> Listing:
    """Let the product of a matrix and a vector be that, and not a product with a matrix of one column or row."""

    def is_vector(x: Any, axis: int) -> bool:
        return (
            isinstance(x, Value)
            and len(x.shape) == 2
            and x.shape[axis] == 1 == len(x.buffer.shape)
            and x.size > 1
        )

    def line(x: Value, axis: int) -> Value:
        kept = slice(None, -1) if axis else slice(1, None)
        return x.twin(shape=x.shape[kept], strides=x.strides[kept], _array=None)

    def changed(instruction: Instruction) -> Instruction:
        if instruction.function not in (np.matmul, np.dot, ndarray.dot) or not instruction.fresh:
            return instruction
        if len(instruction.args) != 2 or instruction.kwargs:
            return instruction
        a, b = instruction.args
        out = instruction.outs[0]
        if is_vector(b, 1) and isinstance(a, Value) and len(a.shape) == 2 and out.size > 1:
            return instruction.twin(function=np.matmul, args=(a, line(b, 1)), outs=(line(out, 1),))
        if is_vector(a, 0) and isinstance(b, Value) and len(b.shape) == 2 and out.size > 1:
            return instruction.twin(function=np.matmul, args=(line(a, 0), b), outs=(line(out, 0),))
        return instruction

    return Listing([changed(i) for i in listing.instructions], listing.roots)


def _means(listing: Listing) -> Listing:
    """Let the sum and the quotient of one call be the mean that the user has asked for."""
    readers: dict[int, int] = {}
    for instruction in listing.instructions:
        for value in instruction.reads:
            readers[value.buffer.number] = readers.get(value.buffer.number, 0) + 1
    roots = {root.buffer.number for root in listing.roots}
    kept: list[Instruction] = []
    for instruction in listing.instructions:
        before = kept[-1] if kept else None
        if before is not None and _is_mean(before, instruction):
            total = before.outs[0].buffer.number
            if readers[total] == 1 and total not in roots:
                words = {key: x for key, x in before.kwargs.items() if key == "keepdims" and x}
                axis = before.kwargs.get("axis", 0)
                if axis is not None and (words or before.outs[0].shape):
                    words = {"axis": axis, **words}
                kept[-1] = instruction.twin(
                    kind="call", function=ndarray.mean, args=before.args, kwargs=words
                )
                continue
        kept.append(instruction)
    return Listing(kept, listing.roots)


def _is_mean(total: Instruction, quotient: Instruction) -> bool:
    """Say whether the second instruction divides the sum that is the first by the number of its terms."""
    if total.function != np.add.reduce or quotient.function is not np.divide:
        return False
    if not (total.fresh and quotient.fresh) or total.kwargs.keys() - {"axis", "keepdims"} or quotient.kwargs:
        return False
    a, out, n = total.args[0], total.outs[0], quotient.args[1]
    count = n.array.reshape(-1)[0] if isinstance(n, Value) and n.buffer.kind == INSIDE and n.size == 1 else n
    return (
        _place(total) == _place(quotient)
        and total.errors is quotient.errors is None
        and isinstance(a, Value)
        and a.dtype == out.dtype == quotient.outs[0].dtype
        and a.dtype.char in "fdFD"
        and isinstance(quotient.args[0], Value)
        and quotient.args[0].key == out.key
        and not isinstance(count, Value)
        and bool(out.size)
        and count * out.size == a.size
    )


_CHANGES = (
    _without_returns,
    _without_dead_stores,
    _without_ones,
    without_plain_copies,
    _without_moves,
    _anew,
    _vectors,
    _means,
)
