"""The gradient buffer: the shadow of memory.

A value is a region of memory: an array's owner (the end of its ``.base`` chain), an offset, a shape and
strides.  A gradient therefore belongs to memory too: one block per owner, and *the gradient of a view is the
same view of the block*.  So ``W`` and ``W.T``, ``h`` and ``h[:, 0]``, ``x.reshape(...)`` share their gradient
without any bookkeeping::

    >>> import numpy as np
    >>> buffer = GradientBuffer()
    >>> x = np.zeros((2, 3))
    >>> buffer.add_spot(x)
    >>> buffer.update_param(x.T[0], np.array([1.0, 2.0]))
    >>> buffer.get_param(x)
    array([[1., 0., 0.],
           [2., 0., 0.]])

What is here, lowest first: `Layout` (the owner), `Region` (a view of it), `Shadow` (the gradients of one
reverse pass, keyed by memory) and `GradientBuffer` (a shadow that is asked by array, keyed by address).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
from numpy import ndarray

from mytorch import arrays

try:
    from numpy.lib.array_utils import byte_bounds
except ImportError:  # NumPy 1.26 has it elsewhere
    byte_bounds = getattr(np, "byte_bounds")  # noqa: B009


def base_of(array: np.ndarray) -> np.ndarray | None:
    """Return the array that `array` is a view of, also where NumPy or a memoryview stands in between."""
    base: Any = array.base
    if base is None or isinstance(base, ndarray):
        return base
    # `as_strided` puts an object with a `base` in between, a memoryview has an `obj`.
    base = getattr(base, "base", None) if not isinstance(base, memoryview) else base.obj
    return base if isinstance(base, ndarray) else None


def owner_of(array: np.ndarray) -> np.ndarray:
    """Return the array that owns (or, over a foreign buffer, first wrapped) the memory of `array`."""
    while array.base is not None:
        base = base_of(array)
        if base is None:
            break
        array = base
    return array


def memory_name(array: np.ndarray) -> int:
    """Return the identity of the owner of `array`'s memory, under whatever name a tape knows it."""
    if type(array) is not ndarray:
        array = arrays.settled(array)
    return id(array if array.base is None else owner_of(array))


def address_of(array: np.ndarray) -> int:
    """Return the address of the first byte of `array`'s data."""
    address: int = array.__array_interface__["data"][0]
    return address


_FLOAT32, _FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
_GRADIENT_DTYPE: dict[np.dtype[Any], np.dtype[Any]] = {
    np.dtype(np.float16): _FLOAT32,
    _FLOAT32: _FLOAT32,
    _FLOAT64: _FLOAT64,
}


def gradient_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype in which gradients of `dtype` are summed: float16 in float32, integers in float64.

    Raises
    ------
    TypeError
        For object, string, structured, date and byte-swapped dtypes, which have no gradient.
    """
    known = _GRADIENT_DTYPE.get(dtype)
    if known is not None:
        return known
    if not dtype.isnative:
        raise TypeError(
            f"arrays of dtype {dtype.str!r} (byte-swapped) have no gradient here; "
            f"convert with .astype({dtype.newbyteorder('=').name!r}) first"
        )
    if dtype.kind in "fc":
        return dtype
    if dtype.kind in "biu":
        return np.dtype(np.float64)
    raise TypeError(f"arrays of dtype {dtype} have no gradient; use a floating-point or complex array")


class Layout:
    """Where an owner's bytes lie: what is needed to make a block of gradient of the same form."""

    __slots__ = ("address", "dtype", "grad_dtype", "low", "name", "nbytes", "plain", "shape", "strides")

    def __init__(self, owner: np.ndarray) -> None:
        self.shape, self.strides, self.dtype = owner.shape, owner.strides, owner.dtype
        self.grad_dtype = gradient_dtype(owner.dtype)
        self.address, self.name = address_of(owner), id(owner)
        self.low, self.nbytes = self.address, owner.nbytes
        packed = owner.flags.c_contiguous
        self.plain = packed and self.grad_dtype == self.dtype  # the gradient is an ordinary array
        if not packed:
            self.low, high = byte_bounds(owner)
            self.nbytes = high - self.low

    @property
    def scale(self) -> tuple[int, int]:
        """Bytes of gradient per bytes of value, as a fraction (1, 1 for all but float16 and integers)."""
        if self.grad_dtype.itemsize == self.dtype.itemsize:
            return 1, 1
        return self.grad_dtype.itemsize, self.dtype.itemsize

    def is_like(self, other: Layout | None) -> bool:
        """Say whether entries lie in the same places."""
        return other is self or (
            other is not None
            and (self.shape, self.strides, self.dtype) == (other.shape, other.strides, other.dtype)
        )

    def is_of(self, array: np.ndarray) -> bool:
        """Say whether `array`, which has the same memory, is the owner, or looks exactly as it does."""
        return id(array) == self.name or (
            array.shape == self.shape
            and array.strides == self.strides
            and array.dtype == self.dtype
            and address_of(array) == self.address
        )

    def new_block(self) -> np.ndarray:
        """Return a zero gradient of the owner's shape, laid out as the owner is."""
        if self.plain:
            return arrays.zeros(self.shape, self.dtype)
        up, down = self.scale
        flat = arrays.zeros((self.nbytes * up // down // self.grad_dtype.itemsize,), self.grad_dtype)
        return Region(0, self, self.shape, self.strides, self.dtype, self.address - self.low).of(flat)


class Region:
    """A view of a memory that is not the whole of it in the owner's own form: key, offset, shape, strides."""

    __slots__ = ("dtype", "form", "key", "layout", "offset", "shape", "strides")

    def __init__(
        self,
        key: int,
        layout: Layout,
        shape: tuple[int, ...],
        strides: tuple[int, ...],
        dtype: np.dtype[Any],
        offset: int,
    ) -> None:
        self.key, self.layout, self.offset = key, layout, offset
        self.shape, self.strides, self.dtype = shape, strides, dtype
        self.form = self._form()

    def _form(self) -> str:
        """Say how the region lies in its owner: all of it 'transposed' or 'reshaped', or a 'part'."""
        whole = self.layout
        if _size(self.shape) == _size(whole.shape) and self.dtype == whole.dtype:
            if self.shape == whole.shape[::-1] and self.strides == whole.strides[::-1]:
                if self.offset == whole.address - whole.low:
                    return "transposed"
            elif _is_packed(self, self.dtype.itemsize) and _is_packed(whole, whole.dtype.itemsize):
                return "reshaped"
        return "part"

    def with_key(self, key: int) -> Region:
        """Return the same region of the memory `key`."""
        other = Region.__new__(Region)
        for name in ("dtype", "form", "layout", "offset", "shape", "strides"):
            setattr(other, name, getattr(self, name))
        other.key = key
        return other

    def of(self, flat: np.ndarray) -> np.ndarray:
        """Return this view of a flat block that shadows the owner's bytes."""
        if self.layout.plain:
            return arrays.strided(flat, self.shape, self.dtype, self.offset, self.strides)
        up, down = self.layout.scale
        if (up, down) == (1, 1):
            return arrays.strided(flat, self.shape, gradient_dtype(self.dtype), self.offset, self.strides)
        if self.dtype != self.layout.dtype:
            raise TypeError(
                f"a view of dtype {self.dtype} on memory of dtype {self.layout.dtype} has no gradient; "
                "make a copy of the view first"
            )
        strides = tuple(s * up // down for s in self.strides)
        return arrays.strided(flat, self.shape, self.layout.grad_dtype, self.offset * up // down, strides)

    def gather(self, block: np.ndarray) -> np.ndarray:
        """Return the gradient of the region, read from the whole memory's gradient (maybe a view of it)."""
        if self.form == "transposed":
            return block.T
        if self.form == "reshaped":
            return block.reshape(self.shape)
        return self.of(self._flat(block)).copy()

    def scatter(self, gradient: np.ndarray) -> np.ndarray:
        """Return the whole memory's gradient that holds `gradient` in the region and zeros elsewhere."""
        if self.form == "transposed":
            return gradient.T
        if self.form == "reshaped":
            return gradient.reshape(self.layout.shape)
        block = self.layout.new_block()
        self.add_into(block, gradient)
        return block

    def without(self, block: np.ndarray) -> np.ndarray:
        """Return a copy of the whole memory's gradient with zeros in the region."""
        fresh = self.layout.new_block()
        fresh[...] = block
        self.clear_in(fresh)
        return fresh

    def is_apart_from(self, other: Region) -> bool:
        """Say whether surely no byte of this region is one of `other`, by their first and last bytes."""
        low, high = self._bytes()
        other_low, other_high = other._bytes()
        return self.layout.is_like(other.layout) and (high <= other_low or other_high <= low)

    def _bytes(self) -> tuple[int, int]:
        """Return the first byte, and the one after the last, within the owner."""
        reach = [stride * (n - 1) for stride, n in zip(self.strides, self.shape, strict=True)]
        low = self.offset + sum(r for r in reach if r < 0)
        return low, self.offset + sum(r for r in reach if r > 0) + self.dtype.itemsize

    def is_same_as(self, other: Region) -> bool:
        """Say whether the regions show the same bytes in the same way."""
        return (
            self.layout.is_like(other.layout)
            and self.offset == other.offset
            and self.shape == other.shape
            and self.strides == other.strides
            and self.dtype == other.dtype
        )

    def add_into(self, block: np.ndarray, gradient: np.ndarray) -> None:
        """Add `gradient` to the region of `block`; places that the view shows twice get both shares."""
        view = self.of(_flat_of(block))
        if 0 in self.strides:
            repeated = tuple(i for i, s in enumerate(self.strides) if s == 0 and self.shape[i] != 1)
            gradient = gradient.sum(axis=repeated, keepdims=True)
            view = view[tuple(slice(0, 1) if i in repeated else slice(None) for i in range(view.ndim))]
        if overlaps_itself(view):
            _add_overlapping(view, gradient)
        else:
            view += gradient

    def clear_in(self, block: np.ndarray) -> None:
        """Set the region of `block` to zero."""
        self.of(_flat_of(block))[...] = 0

    def _flat(self, block: np.ndarray) -> np.ndarray:
        """Return the flat block under `block`, copying when `block` is not laid out as the owner is."""
        if _is_block(block, self.layout):
            return _flat_of(block)
        fresh = self.layout.new_block()
        fresh[...] = block
        return _flat_of(fresh)


Target: TypeAlias = "int | Region"


def target_of(array: np.ndarray, owner: np.ndarray, key: int, layout: Layout | None = None) -> Target:
    """Return where the gradient of `array` goes: `key` for the whole of `owner`, else a `Region` of it.

    `layout` is that of the owner, where it is known already.
    """
    if array is owner:
        return key
    layout = layout or Layout(owner)
    address = address_of(array)
    alike = array.shape == layout.shape and array.strides == layout.strides and array.dtype == layout.dtype
    if alike and address == layout.address:
        return key
    return Region(key, layout, array.shape, array.strides, array.dtype, address - layout.low)


def key_of(target: Target) -> int:
    """Return the name of the memory that `target` lies in."""
    return target if isinstance(target, int) else target.key


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for n in shape:
        size *= n
    return size


def _is_packed(region: Region | Layout, itemsize: int) -> bool:
    """Say whether shape and strides are C-contiguous."""
    expected = itemsize
    for n, stride in zip(reversed(region.shape), reversed(region.strides), strict=True):
        if n != 1:
            if stride != expected:
                return False
            expected *= n
    return True


def _flat_of(block: np.ndarray) -> np.ndarray:
    """Return the contiguous memory under a block of `Layout.new_block`."""
    base = block.base
    return block if base is None else base


def _is_block(array: Any, layout: Layout) -> bool:
    """Say whether `array` was made by `layout.new_block` (or might as well have been)."""
    if not isinstance(array, ndarray) or array.dtype != layout.grad_dtype or array.shape != layout.shape:
        return False
    if layout.plain:
        return array.base is None and array.flags.carray
    up, down = layout.scale
    return (
        isinstance(array.base, ndarray)
        and array.base.base is None
        and array.base.ndim == 1
        and array.base.nbytes == layout.nbytes * up // down
        and array.strides == tuple(s * up // down for s in layout.strides)
    )


def overlaps_itself(view: np.ndarray) -> bool:
    """Say whether two entries of `view` may share bytes (exact for windows; never a false 'no')."""
    reach = view.itemsize
    if view.ndim == 1:
        return abs(view.strides[0]) < reach and view.size > 1
    for stride, n in sorted((abs(s), n) for s, n in zip(view.strides, view.shape, strict=True) if n > 1):
        if stride < reach:
            return True
        reach += stride * (n - 1)
    return False


def _add_overlapping(view: np.ndarray, gradient: np.ndarray) -> None:
    """Add to a view whose windows overlap: one ordinary addition per entry of the fewest, shorter axes."""
    order = sorted(range(view.ndim), key=lambda axis: view.shape[axis])
    looped: list[int] = []
    for axis in order:
        rest = tuple(0 if i in looped else slice(None) for i in range(view.ndim))
        if not overlaps_itself(view[rest]):
            break
        looped.append(axis)
    gradient = np.broadcast_to(gradient, view.shape)
    for index in np.ndindex(*(view.shape[axis] for axis in looped)):
        place = dict(zip(looped, index, strict=True))
        where = tuple(place.get(i, slice(None)) for i in range(view.ndim))
        view[where] += gradient[where]


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
            and _is_block(old, region.layout)
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
