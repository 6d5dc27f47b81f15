"""What is taken out of a recording before it is planned: copies, repetitions, constants, and what nobody asks for.

Every pass takes a list of instructions and returns one that leaves the same values in all memory that anybody can
see.  What may not move or vanish: guards, random draws, and writes to memory outside.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray

from mytorch.replay.instructions import (
    ARGUMENT,
    INSIDE,
    OUTSIDE,
    TEMPORARY,
    Buffer,
    Instruction,
    Listing,
    Value,
    last_writes,
    mapped,
    values_in,
)

# Functions of an array's shape and dtype alone.
LIKE = {np.zeros_like: 0, np.ones_like: 1}  # with what they are filled

Pass = Callable[[Listing], Listing]


def simplified(listing: Listing) -> Listing:
    """Return the listing after all passes, again and again until nothing changes."""
    while True:
        before = len(listing.instructions)
        for change in PASSES:
            listing = change(listing)
        if len(listing.instructions) == before:
            return listing


def without_constants(listing: Listing) -> Listing:
    """Compute now what depends on nothing (constant folding): its memory is made inside, with known values."""
    written = last_writes(listing.instructions)
    kept = []
    for instruction in listing.instructions:
        pure = instruction.kind in ("ufunc", "call") and instruction.fresh and instruction.errors is None
        if pure and (
            instruction.function in LIKE
            or all(v.buffer.kind == INSIDE and v.buffer.number not in written for v in instruction.reads)
        ):
            for out in instruction.outs:
                out.buffer.kind = INSIDE
            if instruction.function in LIKE:
                instruction.outs[0].buffer.owner.fill(LIKE[instruction.function])
            else:
                _compute(instruction)
            for out in instruction.outs:
                out.buffer.initial = np.array(out.buffer.owner)
            continue
        kept.append(instruction)
    return Listing(kept, listing.roots)


def _compute(instruction: Instruction) -> None:
    """Compute an instruction's results from the initial values of what it reads."""

    def initial(value: Value) -> ndarray:
        buffer = value.buffer
        memory = np.empty(max(buffer.nbytes, 1), np.uint8)
        if buffer.nbytes:
            ndarray(buffer.shape, buffer.dtype, memory, buffer.start, buffer.strides)[...] = buffer.initial
        return ndarray(value.shape, value.dtype, memory, value.offset, value.strides)

    result = instruction.function(
        *mapped(instruction.args, Value, initial), **mapped(instruction.kwargs, Value, initial)
    )
    for out, array in zip(
        instruction.outs, result if isinstance(result, tuple | list) else [result], strict=True
    ):
        out.array[...] = array


def _is_copy(instruction: Instruction) -> bool:
    """Say whether the result has the entries of the first operand, in its order: a sum over one row is one, too."""
    function, kwargs = instruction.function, instruction.kwargs
    if function is ndarray.copy:
        return True
    if function not in _SUMS or kwargs.keys() - {"axis", "keepdims"}:
        return False
    a, out, axis = instruction.args[0], instruction.outs[0], kwargs.get("axis", 0)
    return (
        isinstance(a, Value) and a.dtype == out.dtype and isinstance(axis, int) and a.shape[axis:][:1] == (1,)
    )


_SUMS = {ufunc.reduce for ufunc in (np.add, np.multiply, np.maximum, np.minimum)}


def without_copies(listing: Listing) -> Listing:
    """Let a copy be the memory that it was copied from, where neither is written afterwards (copy propagation)."""

    def shares(instruction: Instruction) -> bool:
        if not _is_copy(instruction):
            return False
        source, out = instruction.args[0], instruction.outs[0]
        alike = source.strides == out.strides or (source.is_contiguous and out.is_contiguous)
        return alike and source.buffer.kind in (TEMPORARY, INSIDE)

    return _shared(listing, shares)


def without_plain_copies(listing: Listing) -> Listing:
    """Let a copy be what it was copied from, an argument or memory outside, too (for a text that only reads them)."""

    def shares(instruction: Instruction) -> bool:
        if instruction.function not in (ndarray.copy, ndarray.astype):
            return False
        source, out = instruction.args[0], instruction.outs[0]
        return (source.strides, source.dtype) == (out.strides, out.dtype)

    return _shared(listing, shares)


def _shared(listing: Listing, shares: Callable[[Instruction], bool]) -> Listing:
    """Let a result be the memory of the first operand where `shares` allows it and neither is written afterwards."""
    written = last_writes(listing.instructions)
    new: dict[int, tuple[Buffer, int]] = {}
    kept = []
    for position, instruction in enumerate(listing.instructions):
        if instruction.fresh and shares(instruction):
            source, out = instruction.args[0], instruction.outs[0]
            if (
                source.buffer.number not in new
                and out.buffer.number not in written
                and written.get(source.buffer.number, -1) < position
                and out.size
            ):
                new[out.buffer.number] = source.buffer, source.offset - out.offset
                continue
        kept.append(instruction)
    return listing.replaced(kept, new)


def without_repetitions(listing: Listing) -> Listing:
    """Compute a value once that is computed twice from the same (common subexpression elimination)."""
    written = last_writes(listing.instructions)
    versions: dict[int, int] = {}
    known: dict[Any, Instruction] = {}
    new: dict[int, tuple[Buffer, int]] = {}
    kept = []
    for position, instruction in enumerate(listing.instructions):
        if instruction.kind in ("ufunc", "call") and instruction.fresh and instruction.errors is None:
            key = _key(instruction, versions)
            first = known.get(key) if key is not None else None
            if first is not None and all(
                a.strides == b.strides
                and a.dtype == b.dtype
                and a.buffer.number not in new
                and b.buffer.number not in written
                for a, b in zip(first.outs, instruction.outs, strict=True)
            ):
                for a, b in zip(first.outs, instruction.outs, strict=True):
                    new[b.buffer.number] = a.buffer, a.offset - b.offset
                continue
            if key is not None and not any(out.buffer.number in written for out in instruction.outs):
                known[key] = instruction
        if not instruction.fresh:
            for out in instruction.outs:
                versions[out.buffer.number] = position + 1
        kept.append(instruction)
    return listing.replaced(kept, new)


def _key(instruction: Instruction, versions: dict[int, int]) -> Any:
    """Return what two instructions with the same results have in common (None: nothing is known of that)."""

    def named(value: Value) -> Any:
        return _Named((*value.key, versions.get(value.buffer.number, 0)))

    key = (
        instruction.function,
        _frozen(mapped(instruction.args, Value, named)),
        _frozen(mapped(instruction.kwargs, Value, named)),
    )
    try:
        hash(key)
    except TypeError:
        return None
    return key


class _Named(tuple[Any, ...]):
    """The name of a value: a tuple that is no tuple of arguments."""

    __slots__ = ()


def _frozen(tree: Any) -> Any:
    if type(tree) is _Named:
        return tree
    if isinstance(tree, tuple | list):
        return (type(tree).__name__, *[_frozen(entry) for entry in tree])
    if isinstance(tree, dict):
        return tuple(sorted((key, _frozen(entry)) for key, entry in tree.items()))
    if isinstance(tree, slice):
        return ("slice", tree.start, tree.stop, tree.step)
    number = isinstance(tree, float | complex | np.generic)  # 0.0 equals -0.0, and is another
    return (type(tree).__name__, repr(tree) if number else tree)


# Functions whose results have a shape, or a dtype, that depends on values: Python may have decided by it.  (The last
# are those of `np.emath`, whose results are complex where real ones do not exist.)
_VARYING = {
    "argwhere", "array_split", "bincount", "compress", "delete", "dsplit", "eig", "eigvals", "extract",
    "flatnonzero", "histogram", "histogram2d", "histogram_bin_edges", "histogramdd", "hsplit", "insert",
    "intersect1d", "lstsq", "nonzero", "pad", "poly", "polyadd", "polyder", "polydiv", "polyfit", "polyint",
    "polymul", "polysub", "real_if_close", "repeat", "resize", "roots", "setdiff1d", "setxor1d", "split", "tile",
    "trim_zeros", "union1d", "unique", "unique_all", "unique_counts", "unique_inverse", "unique_values", "vsplit",
    "arccos", "arcsin", "arctanh", "log", "log10", "log2", "logn", "power", "sqrt",
}  # fmt: skip
# Functions that raise an error, or do not, by the values of what they are given: Python may wait for it.
_RAISING = {
    "at", "average", "call_into", "cholesky", "choose", "cond", "digitize", "eigh", "eigvalsh", "getitem", "inv",
    "matrix_norm", "matrix_power", "matrix_rank", "nanargmax", "nanargmin", "nanpercentile", "nanquantile",
    "norm", "percentile", "pinv", "put", "put_along_axis", "quantile", "ravel_multi_index", "setitem", "solve",
    "svd", "svdvals", "take", "take_along_axis", "tensorinv", "tensorsolve", "unravel_index",
}  # fmt: skip
# Those that do so by what follows their first argument.
_BY_OTHERS = {
    "array_split", "delete", "dsplit", "hsplit", "insert", "pad", "repeat", "resize", "split", "tile", "vsplit",
}  # fmt: skip


def varies(instruction: Instruction) -> bool:
    """Say whether the shape or dtype of a result is one of the values that a replay has to ask again."""
    if instruction.kind != "call":
        return False
    name = getattr(instruction.function, "__name__", "")
    if name == "getitem":
        return any(value.dtype == bool for value in values_in(instruction.args[1]))
    if name == "where":
        return len(instruction.args) == 1
    if name in _BY_OTHERS:
        return bool([*values_in((instruction.args[1:], instruction.kwargs))])
    return name in _VARYING


def decides(instruction: Instruction) -> bool:
    """Say whether the shape or dtype of a result, or an error, is something that a replay has to ask again."""
    errors = np.geterr() if instruction.errors is None else instruction.errors
    if "raise" in errors.values():
        return True
    if instruction.kind == "ufunc":  # integers have no negative powers
        return instruction.function is np.power and instruction.outs[0].dtype.kind in "iu"
    name = getattr(instruction.function, "__name__", "")
    if name in _RAISING:
        return name not in ("at", "getitem", "setitem") or bool([*values_in(instruction.args[1])])
    return varies(instruction)


def without_dead(listing: Listing) -> Listing:
    """Leave out what nobody reads (dead code)."""
    live = {root.buffer.number for root in listing.roots}
    kept = []
    for instruction in reversed(listing.instructions):
        needed = (
            instruction.kind in ("guard", "random")
            or decides(instruction)
            or any(
                out.buffer.number in live or out.buffer.kind in (OUTSIDE, ARGUMENT)
                for out in instruction.outs
            )
        )
        if not needed:
            continue
        if instruction.fresh:
            live.difference_update(out.buffer.number for out in instruction.outs)
        live.update(value.buffer.number for value in instruction.reads)
        if not instruction.fresh:
            live.update(out.buffer.number for out in instruction.outs)
        kept.append(instruction)
    return Listing(kept[::-1], listing.roots)


def guards_early(listing: Listing) -> Listing:
    """Ask each guard as soon as its value is known, so that nothing outside has been written when it fails."""
    kept: list[Instruction] = []
    for instruction in listing.instructions:
        if instruction.kind != "guard":
            kept.append(instruction)
            continue
        reads = {value.buffer.number for value in instruction.reads}
        position = len(kept)
        while position > 0:
            before = kept[position - 1]
            if before.kind in ("guard", "random") or any(out.buffer.number in reads for out in before.outs):
                break
            position -= 1
        kept.insert(position, instruction)
    return Listing(kept, listing.roots)


def steady(instructions: list[Instruction]) -> list[int]:
    """Return the positions of what depends on numbers that live outside alone: a learning rate, and its double."""
    written = last_writes(instructions)
    constant = {v.buffer.number for i in instructions for v in i.reads if v.buffer.kind == INSIDE}
    constant -= written.keys()
    known: set[int] = set()
    found = []
    for position, instruction in enumerate(instructions):
        reads = {value.buffer.number for value in instruction.reads}
        is_steady = instruction.kind == "fetch" or (
            instruction.kind in ("ufunc", "call")
            and instruction.fresh
            and instruction.errors is None
            and not reads.isdisjoint(known)
            and reads <= known | constant
        )
        if is_steady and not any(out.buffer.number in written for out in instruction.outs):
            known.update(out.buffer.number for out in instruction.outs)
            found.append(position)
    return found


def numbers_first(listing: Listing) -> Listing:
    """Let what depends on numbers that live outside alone come before everything else."""
    first = steady(listing.instructions)
    moved = set(first)
    rest = [i for position, i in enumerate(listing.instructions) if position not in moved]
    return Listing([listing.instructions[position] for position in first] + rest, listing.roots)


PASSES: tuple[Pass, ...] = (without_constants, without_copies, without_repetitions, without_dead)
