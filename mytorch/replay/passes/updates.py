"""How parameters are changed: the learning rate goes into a small operand, large updates go through memory once.

An optimizer's ``p -= rate * g`` reads and writes every gradient once more than needed.  A gradient is linear in the
cotangent that the reverse pass begins with: where nobody looks at gradients after the step, the rate is multiplied in
there, at next to no cost, and everything after it comes out scaled.  Large memory is changed piece by piece, while
each piece is in the cache.
"""

from __future__ import annotations

from dataclasses import dataclass
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
    made_by_pass,
    matrices,
)
from mytorch.replay.kernels import PIECE, descend, descend_by_product, padded
from mytorch.replay.passes.simplify import numbers_first, steady, without_repetitions
from mytorch.rules.masks import CHOICES

PRODUCTS = (ndarray.dot, np.dot, np.matmul, np.outer)
CALL = 1000  # entries that NumPy multiplies in the time of a call


class Uses:
    """Who writes and who reads each memory of a listing, as positions in it."""

    def __init__(self, listing: Listing) -> None:
        self.instructions = listing.instructions
        self.roots = {root.buffer.number for root in listing.roots}
        self.writers: dict[int, list[int]] = {}
        self.readers: dict[int, list[int]] = {}
        for position, instruction in enumerate(self.instructions):
            for out in instruction.outs:
                self.writers.setdefault(out.buffer.number, []).append(position)
            for value in instruction.reads:
                readers = self.readers.setdefault(value.buffer.number, [])
                if not readers or readers[-1] != position:
                    readers.append(position)

    def producer(self, buffer: Buffer) -> int | None:
        """Return the position of the one instruction that makes a memory, which nobody else writes or keeps."""
        writers = self.writers.get(buffer.number, ())
        if buffer.kind != TEMPORARY or len(writers) != 1 or buffer.number in self.roots:
            return None
        return writers[0] if self.instructions[writers[0]].fresh else None

    def unchanged(self, buffer: Buffer, start: int, end: int) -> bool:
        """Say whether nothing writes to a memory after `start` and before `end`."""
        return not any(start < position < end for position in self.writers.get(buffer.number, ()))


@dataclass
class Update:
    """``scaled = rate * gradient`` and ``place -= scaled``: the positions of both, and the operands."""

    scaling: int
    subtraction: int
    rate: Any
    gradient: Value
    place: Value


def updates_of(uses: Uses) -> list[Update]:
    """Return the updates by a rate in which nobody else reads the scaled gradient."""
    found = [_update(position, uses) for position in range(len(uses.instructions))]
    return [update for update in found if update is not None]


def _change(position: int, uses: Uses) -> tuple[Value, Value, int] | None:
    """Return p, t and the position that makes t where the instruction is ``p -= t``, and nobody else reads t."""
    subtraction = uses.instructions[position]
    if subtraction.function is not np.subtract or subtraction.fresh or not _is_plain(subtraction):
        return None
    place, change = subtraction.args
    if not (isinstance(place, Value) and isinstance(change, Value)) or place.key != subtraction.outs[0].key:
        return None
    made = uses.producer(change.buffer)
    if made is None or uses.readers[change.buffer.number] != [position]:
        return None
    # What is subtracted may be the result in another order: `p -= t[::-1]`.
    is_result = change.key == uses.instructions[made].outs[0].key
    return (place, change, made) if is_result else None


def _update(position: int, uses: Uses) -> Update | None:
    found = _change(position, uses)
    if found is None:
        return None
    place, change, scaling = found
    product = uses.instructions[scaling]
    if product.function is not np.multiply or not _is_plain(product):
        return None
    rate, gradient = sorted(product.args, key=lambda x: isinstance(x, Value) and x.shape != ())
    if not isinstance(gradient, Value) or not is_number(rate):
        return None
    same_form = (
        gradient.shape == change.shape == place.shape and gradient.dtype == change.dtype == place.dtype
    )
    operands = [x for x in (rate, gradient) if isinstance(x, Value)]
    if not same_form or not all(uses.unchanged(x.buffer, scaling, position) for x in operands):
        return None
    return Update(scaling, position, rate, gradient, place)


def _is_plain(instruction: Instruction) -> bool:
    return not instruction.kwargs and instruction.errors is None


# -- the rate ---------------------------------------------------------------------------------------------------------


def rates_early(listing: Listing) -> Listing:
    """Multiply the learning rate into the cotangents that gradients come from, where nobody looks at the gradients."""
    uses = Uses(listing)
    groups: dict[Any, list[Update]] = {}
    for update in updates_of(uses):
        if (
            update.place.dtype == np.float16
        ):  # whose smallest numbers a cotangent times the rate may not reach
            continue
        key = update.rate.key if isinstance(update.rate, Value) else repr(update.rate)
        groups.setdefault((key, update.place.dtype), []).append(update)
    for updates in groups.values():
        moved = _Motion(listing, uses, updates).moved()
        if moved is not None:
            return rates_early(moved)
    return listing


class _Motion:
    """Moves the rate of some updates to where their gradients come from.

    ``free`` are the memories that may be scaled: whatever is computed from them is linear in them and ends in the
    updates.  All of them are scaled; one that is not computed from others of them is where the rate comes in (a cut).
    """

    def __init__(self, listing: Listing, uses: Uses, updates: list[Update]) -> None:
        self.listing, self.uses, self.instructions = listing, uses, uses.instructions
        self.rate, self.dtype = updates[0].rate, updates[0].place.dtype
        self.gradients = {update.scaling: update.gradient.buffer.number for update in updates}
        self.steady = steady(self.instructions)
        candidates = {out.buffer.number for i in self.instructions for out in i.outs if self._may_scale(out)}
        self.through = [self._chosen(instruction, candidates) for instruction in self.instructions]
        self.free = self._free(candidates)
        self.updates = [update for update in updates if update.gradient.buffer.number in self.free]
        self.first: list[Instruction] = []
        self.before: dict[int, list[Instruction]] = {}
        self.changed: dict[int, list[Instruction]] = {}
        self.cost = 0

    def moved(self) -> Listing | None:
        """Return the listing in which the rate was moved; None where that is not possible, or does not pay."""
        if not self.updates or not self._rate_is_steady():
            return None
        for position, instruction in enumerate(self.instructions):
            if any(out.buffer.number in self.free for out in instruction.outs):
                operands = [instruction.args[i] for i in self.through[position]]
                if not operands or any(x.buffer.number not in self.free for x in operands):
                    self._cut(position)
        if self.cost >= sum(update.gradient.size for update in self.updates) + CALL:
            return None
        for update in self.updates:
            subtraction = self.instructions[update.subtraction]
            self.changed[update.scaling] = []
            self.changed[update.subtraction] = [subtraction.twin(args=(update.place, update.gradient))]
        kept = list(self.first)
        for position, instruction in enumerate(self.instructions):
            kept += self.before.get(position, [])
            kept += self.changed.get(position, [instruction])
        return without_repetitions(numbers_first(Listing(kept, self.listing.roots)))

    # -- what may be scaled -------------------------------------------------------------------------------------------

    def _rate_is_steady(self) -> bool:
        """Say whether the rate is known before the first instruction."""
        return not isinstance(self.rate, Value) or self.uses.producer(self.rate.buffer) in self.steady

    def _may_scale(self, value: Value) -> bool:
        position = self.uses.producer(value.buffer)
        return (
            value.dtype == self.dtype
            and position is not None
            and self.instructions[position].kind in ("ufunc", "call")
            and len(self.instructions[position].outs) == 1
            and position not in self.steady
        )

    def _chosen(self, instruction: Instruction, candidates: set[int]) -> tuple[int, ...]:
        """Return the operands that are scaled where the result is to be: if one can choose, the cotangent."""
        ways = [
            way
            for way in linear_in(instruction)
            if all(
                isinstance(instruction.args[i], Value) and instruction.args[i].buffer.number in candidates
                for i in way
            )
        ]

        def late(way: tuple[int, ...]) -> tuple[bool, int]:
            position = self.uses.writers[instruction.args[way[0]].buffer.number][0]
            return self.instructions[position].phase != "forward", position

        return max(ways, key=late, default=())

    def _free(self, free: set[int]) -> set[int]:
        """Return those of the candidates whose every use is linear in them, and ends in the updates."""
        while True:
            kept = {number for number in free if all(self._ends_well(number, free))}
            if kept == free:
                return free
            free = kept

    def _ends_well(self, number: int, free: set[int]) -> list[bool]:
        return [self._is_linear(number, position, free) for position in self.uses.readers.get(number, ())]

    def _is_linear(self, number: int, position: int, free: set[int]) -> bool:
        if self.gradients.get(position) == number:
            return True
        instruction = self.instructions[position]
        scaled = [instruction.args[i].buffer.number for i in self.through[position]]
        return (
            bool(scaled)
            and free.issuperset(scaled)
            and sum(value.buffer.number == number for value in instruction.reads) == scaled.count(number)
            and instruction.outs[0].buffer.number in free
        )

    # -- where the rate comes in --------------------------------------------------------------------------------------

    def _cut(self, position: int) -> None:
        """Multiply the rate into an instruction: into a number, else into the smallest of operands and result."""
        instruction = self.instructions[position]
        factors = [way[0] for way in linear_in(instruction) if len(way) == 1]
        numbers = [i for i in factors if is_number(instruction.args[i])]
        arrays = [i for i in factors if getattr(instruction.args[i], "dtype", None) == self.dtype]
        best = min(numbers or arrays, key=lambda i: _size(instruction.args[i]), default=None)
        if best is not None and (numbers or _size(instruction.args[best]) <= instruction.outs[0].size):
            args = list(instruction.args)
            args[best] = self._scaled(args[best], position)
            self.changed[position] = [instruction.twin(args=tuple(args))]
        else:
            out = instruction.outs[0]
            unscaled = self._new(out.array)
            self.changed[position] = [instruction.twin(outs=(unscaled,)), self._multiply(unscaled, out)]

    def _scaled(self, x: Any, position: int) -> Any:
        """Return an operand times the rate."""
        if not isinstance(x, Value) and not isinstance(self.rate, Value):
            return x * self.rate
        steady = not isinstance(x, Value) or (
            x.shape == () and x.buffer.kind == INSIDE and x.buffer.number not in self.uses.writers
        )
        dtype = np.result_type(x.dtype, self.dtype) if isinstance(x, Value) else self.dtype  # of a count, too
        scaled = self._new(np.empty_like(x.array, dtype) if isinstance(x, Value) else np.empty((), dtype))
        multiplication = self._multiply(x, scaled)
        (self.first if steady else self.before.setdefault(position, [])).append(multiplication)
        return scaled

    def _multiply(self, x: Any, out: Value) -> Instruction:
        if isinstance(x, Value) and x.shape != ():
            self.cost += x.size + CALL
        scaling = self.instructions[self.updates[0].scaling]
        return scaling.twin(args=(x, self.rate), outs=(out,))

    def _new(self, form: ndarray) -> Value:
        """Return a memory for an array of this form."""
        owner = np.empty_like(form)
        return Value(made_by_pass(owner), owner)


def linear_in(instruction: Instruction) -> list[tuple[int, ...]]:
    """Return the sets of operands of which all have to be scaled for the result to be scaled."""
    function = instruction.function
    if instruction.errors is not None or instruction.kind not in ("ufunc", "call"):
        return []
    if function == np.add.reduce and not instruction.kwargs.keys() - {"axis", "keepdims"}:
        return [(0,)]
    if instruction.kwargs:
        return []
    if function in (np.add, np.subtract):
        return [(0, 1)]
    if function is np.multiply or function in PRODUCTS:
        return [(0,), (1,)]
    if function is np.einsum and isinstance(instruction.args[0], str):
        return [(i,) for i in range(1, len(instruction.args))]
    return [(0,)] if function in (np.divide, np.negative, ndarray.copy, *CHOICES) else []


def _size(x: Any) -> int:
    return int(x.size) if isinstance(x, Value) else 1


def is_number(x: Any) -> bool:
    """Say whether an operand is a number, or an array of no axes."""
    return x.shape == () if isinstance(x, Value | ndarray) else isinstance(x, int | float | np.number)


# -- large updates ----------------------------------------------------------------------------------------------------


def in_pieces(listing: Listing) -> Listing:
    """Let ``t = rate * g; p -= t``, on large memory, be one call that goes through it once, in pieces."""
    uses = Uses(listing)
    changed: dict[int, Instruction] = {}
    gone: set[int] = set()
    for update in updates_of(uses):
        place, gradient = update.place, update.gradient
        # No piece may change what a later one reads.
        operands = [x for x in (update.rate, gradient) if isinstance(x, Value)]
        apart = all(x.buffer is not place.buffer or x.key == place.key for x in operands)
        if apart and place.size > PIECE and place.is_contiguous and gradient.is_contiguous:
            gone.add(update.scaling)
            scratch = np.empty(PIECE, place.dtype)
            changed[update.subtraction] = uses.instructions[update.subtraction].twin(
                kind="write", function=descend, args=(place, update.rate, gradient, scratch)
            )
    return _with(changed, gone, listing)


def products_in_pieces(listing: Listing) -> Listing:
    """Let ``t = a.dot(b); p -= t``, on large memory, be one call: t is never whole."""
    uses = Uses(listing)
    changed: dict[int, Instruction] = {}
    gone: set[int] = set()
    for position in range(len(uses.instructions)):
        product = _product_of(position, uses)
        if product is not None:
            changed[position] = _by_product(uses.instructions[position], uses.instructions[product])
            gone.add(product)
    return _with(changed, gone, listing)


def _with(changed: dict[int, Instruction], gone: set[int], listing: Listing) -> Listing:
    """Return the listing with some instructions changed, and some left out."""
    kept = [changed.get(i, one) for i, one in enumerate(listing.instructions) if i not in gone]
    return Listing(kept, listing.roots)


def _product_of(position: int, uses: Uses) -> int | None:
    """Return the position of ``t = a.dot(b)`` where the instruction is ``p -= t`` on large memory."""
    found = _change(position, uses)
    if found is None:
        return None
    place, change, made = found
    product = uses.instructions[made]
    operands = matrices(product)
    fits = (
        len(operands) == 2
        and _is_plain(product)
        and place.size > PIECE
        and place.is_contiguous
        and change.shape == place.shape
        and all(x.dtype == place.dtype and uses.unchanged(x.buffer, made, position) for x in operands)
        and all(x.buffer is not place.buffer for x in operands)
    )
    # A product of more takes so long that memory does not count.
    return made if fits and operands[0].shape[1] <= 32 else None


def _by_product(subtraction: Instruction, product: Instruction) -> Instruction:
    place, (a, b) = subtraction.args[0], matrices(product)
    rows = max(1, PIECE // place.shape[1])
    scratch = np.empty((rows, place.shape[1]), place.dtype)
    pads = padded(place.shape[0], place.shape[1], place.dtype) if a.shape[1] == 1 else None
    return subtraction.twin(kind="write", function=descend_by_product, args=(place, a, b, scratch, pads))
