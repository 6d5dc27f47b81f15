"""The gradient buffer: the shadow of memory.

A value is a region of memory (`mytorch.regions`).  A gradient therefore belongs to memory too: one block per owner,
and *the gradient of a view is the same view of the block*.  So ``W`` and ``W.T``, ``h`` and ``h[:, 0]``,
``x.reshape(...)`` share their gradient without any bookkeeping::

    >>> import numpy as np
    >>> buffer = GradientBuffer()
    >>> x = np.zeros((2, 3))
    >>> buffer.add_spot(x)
    >>> buffer.update_param(x.T[0], np.array([1.0, 2.0]))
    >>> buffer.get_param(x)
    array([[1., 0., 0.],
           [2., 0., 0.]])

A `Shadow` holds the gradients of one reverse pass, keyed by memory; a `GradientBuffer` is a shadow that is asked by
array, keyed by address.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy import ndarray

from mytorch.regions import (
    Region,
    Target,
    address_of,
    byte_bounds,
    gradient_dtype,
    is_block,
    key_of,
    owner_of,
    target_of,
)


def _count_of_one_reference() -> int:
    """Measure what `sys.getrefcount` says of an array that one local name alone holds."""
    array = np.empty(1)
    return sys.getrefcount(array)


def _references(array: Any) -> int:
    """Return the reference count of `array`, as seen from a function that it is passed to."""
    return sys.getrefcount(array)


def _count_of_one_view() -> int:
    """Measure what `_references` says of an array that one view alone holds."""
    view = np.empty(1)[:]
    return _references(view.base)


_ONE_REFERENCE, _ONE_VIEW = _count_of_one_reference(), _count_of_one_view()


class Shadow:
    """Gradients of memory during one reverse pass: `add` what a rule returned, `take` an output's gradient.

    An entry is the gradient of one whole memory in its owner's shape.  The first contribution is adopted as
    it is, without a copy; it is written to only when nobody else can see it (its reference count says so).
    """

    __slots__ = ("memory",)

    def __init__(self) -> None:
        self.memory: dict[int, Any] = {}

    def add(self, target: Target, gradient: Any) -> None:
        """Add `gradient` to the region of memory `target`."""
        if isinstance(target, int):
            self._add_whole(target, gradient)
        elif target.form != "part":
            self._add_whole(target.key, target.scatter(gradient))
        else:
            self._add_part(target, gradient)

    def take(self, target: Target) -> Any:
        """Return the gradient of `target` and set it to zero; None where nothing has arrived."""
        if isinstance(target, int):
            return self.memory.pop(target, None)
        if target.form != "part":
            block = self.memory.pop(target.key, None)
            return None if block is None else target.gather(block)
        return self._take_part(target)

    def rename(self, old: int, new: int | None) -> None:
        """Give the gradient of memory `old` to memory `new` (None: to nobody)."""
        block = self.memory.pop(old, None)
        if block is not None and new is not None:
            self._add_whole(new, block)

    def settle(self) -> None:
        """Have in `memory` all that has arrived."""

    def _add_whole(self, key: int, gradient: Any) -> None:
        old = self.memory.pop(key, None)
        if old is None:
            self.memory[key] = gradient
        elif (
            type(old) is type(gradient) is ndarray
            and sys.getrefcount(old) <= _ONE_REFERENCE
            and old.base is None
            and old.dtype == gradient.dtype
            and old.flags.writeable
        ):
            self.memory[key] = np.add(old, gradient, old)
        else:
            self.memory[key] = old + gradient

    def _add_part(self, region: Region, gradient: Any) -> None:
        region.add_into(self._block(region), gradient)

    def _take_part(self, region: Region) -> Any:
        if region.key not in self.memory:
            return None
        block = self._block(region)
        gradient = region.gather(block)
        region.clear_in(block)
        return gradient

    def _block(self, region: Region) -> np.ndarray:
        """Return the memory's gradient as a block that may be written to."""
        old = self.memory.pop(region.key, None)
        alone = sys.getrefcount(old) <= _ONE_REFERENCE
        if (
            alone
            and is_block(old, region.layout)
            and (old.base is None or _references(old.base) <= _ONE_VIEW)
        ):
            self.memory[region.key] = old
            return old
        block = region.layout.new_block()
        if old is not None:
            block[...] = old
        self.memory[region.key] = block
        return block


class GradientBuffer(Shadow):
    """The gradients of arrays, keyed by the address of the memory that the arrays show.

    `memory` maps the owner's address to the gradient of the whole owner, or to None while nothing has
    arrived.  The buffer holds every owner that it knows, so no address is given out twice while it lives.

    Examples
    --------
    >>> import numpy as np
    >>> buffer, x = GradientBuffer(), np.ones(3)
    >>> buffer.add_spot(x)
    >>> buffer.update_param(x[1:], 2.0)
    >>> buffer.get_param(x)
    array([0., 2., 2.])
    """

    __slots__ = ("_addresses", "_owners")

    def __init__(self) -> None:
        super().__init__()
        self._owners: dict[int, np.ndarray] = {}  # by identity: to ask for an address costs microseconds
        self._addresses: dict[int, np.ndarray] | None = None  # by address, as soon as a buffer is foreign

    def __reduce__(self) -> Any:
        """Copies, and what is pickled, are empty: addresses concern the original's arrays."""
        return GradientBuffer, ()

    def get_memory_loc(self, np_array: np.ndarray) -> int:
        """Return the address of the memory that owns `np_array`: the key of its gradient."""
        return address_of(owner_of(_checked(np_array)))

    def is_in_memory(self, np_array: np.ndarray) -> bool:
        """Say whether the memory of `np_array` has a spot."""
        return self.get_memory_loc(np_array) in self.memory

    def add_spot(self, np_array: np.ndarray) -> None:
        """Make a spot, at first zero, for the gradient of the memory of `np_array`.

        Raises
        ------
        TypeError
            If `np_array` is not a NumPy array, or its dtype has no gradient.
        ValueError
            If it is a window on a foreign buffer of which the buffer knows another, overlapping window.
        """
        owner = self.hold(np_array)
        if owner is not None:
            self.memory.setdefault(address_of(owner), None)

    def hold(self, np_array: np.ndarray) -> np.ndarray | None:
        """Keep the owner of `np_array` alive, and return it (None for an empty array)."""
        owners = self._owners
        if id(np_array) in owners:
            return np_array
        owner = owner_of(_checked(np_array))
        if np_array.size == 0:
            return None
        if id(owner) not in owners:
            if self._addresses is not None or not owner.flags.owndata:
                return self._hold_by_address(owner)
            owners[id(owner)] = owner
        return owner

    def holds(self, np_array: np.ndarray) -> bool:
        """Say whether the owner of `np_array` is kept alive."""
        owner = np_array if np_array.base is None else owner_of(np_array)
        if id(owner) in self._owners:
            return True
        return self._addresses is not None and address_of(owner) in self._addresses

    def _hold_by_address(self, owner: np.ndarray) -> np.ndarray:
        """Hold a memory where a foreign buffer is known, which several arrays may be windows on."""
        if self._addresses is None:
            self._addresses = {address_of(known): known for known in self._owners.values()}
        address = address_of(owner)
        known = self._addresses.get(address)
        if known is None:
            if not owner.flags.owndata:
                self._refuse_overlap(owner)
            known = self._addresses[address] = self._owners[id(owner)] = owner
        elif known.nbytes < owner.nbytes:
            self._refuse_overlap(owner)
        return known

    def update_param(self, np_array: np.ndarray, gradient: Any) -> None:
        """Add `gradient` to the gradient of `np_array`."""
        target = self._known(np_array)
        if target is not None:
            self.add(target, _broadcast_copy(gradient, np_array))

    def set_param(self, np_array: np.ndarray, gradient: Any) -> None:
        """Set the gradient of `np_array` to `gradient`."""
        target = self._known(np_array)
        if target is not None:
            fresh = _broadcast_copy(gradient, np_array)
            self.take(target)
            self.add(target, fresh)

    def get_param(self, np_array: np.ndarray) -> np.ndarray:
        """Return a copy of the gradient of `np_array`."""
        target = self._known(np_array)
        block = None if target is None else self.memory.get(key_of(target))
        if block is None or target is None:
            return np.zeros(np_array.shape, gradient_dtype(np_array.dtype))
        view = block if isinstance(target, int) else target.gather(block)
        return np.array(view, order="C")

    def clear(self) -> None:
        """Forget all gradients and the memory that they belong to."""
        self.memory.clear()
        self._owners.clear()
        self._addresses = None

    def items(self) -> Iterator[tuple[int, np.ndarray]]:
        """Iterate over (address, gradient) of the memories whose gradient is known."""
        return ((key, block) for key, block in self.memory.items() if block is not None)

    def _known(self, np_array: np.ndarray) -> Target | None:
        """Return where the gradient of `np_array` lies (None for an empty array), or say that it is unknown."""
        owner = owner_of(_checked(np_array))
        if np_array.size == 0:
            return None
        address = address_of(owner)
        if address not in self.memory:
            raise KeyError(
                f"no gradient is kept for this array of shape {np_array.shape} and dtype {np_array.dtype}: "
                "record an operation that reads it, or call add_spot(array) first"
            )
        known = self.hold(np_array)
        return None if known is None else target_of(np_array, known, address)

    def _refuse_overlap(self, owner: np.ndarray) -> None:
        """Raise if the memory of `owner` is known as part of another owner: then it has no single gradient."""
        low, high = byte_bounds(owner)
        for other in self._owners.values():
            other_low, other_high = byte_bounds(other)
            if low < other_high and other_low < high:
                raise ValueError(
                    f"this array of shape {owner.shape} and dtype {owner.dtype} shares memory with one of "
                    f"shape {other.shape} that was recorded before, but both are windows on a foreign buffer; "
                    "wrap the buffer once and slice that array"
                )


def _checked(array: Any) -> np.ndarray:
    """Return `array` if it is a NumPy array of a dtype that can have a gradient, else raise TypeError."""
    if not isinstance(array, ndarray):
        raise TypeError(f"expected a NumPy array, got {type(array).__name__}; convert with np.asarray(...)")
    gradient_dtype(array.dtype)
    return array


def _broadcast_copy(gradient: Any, like: np.ndarray) -> np.ndarray:
    """Return `gradient` as a fresh array of the shape and gradient dtype of `like`."""
    gradient = np.asarray(gradient)
    try:
        wide = np.broadcast_to(gradient, like.shape)
    except ValueError:
        raise ValueError(
            f"a gradient of shape {gradient.shape} does not fit an array of shape {like.shape}"
        ) from None
    return np.array(wide, dtype=np.result_type(gradient_dtype(like.dtype)))
