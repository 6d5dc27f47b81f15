"""Regions: where the memory of an array lies, and the same place in its gradient.

A value is a region of memory: an array's owner (the end of its ``.base`` chain), an offset, a shape and strides.
Its gradient is the same region of a block that is laid out as the owner is.  From an array come its owner
(`owner_of`), how that lies (`Layout`), and where the array's gradient belongs (`target_of`): a number, the *key* of a
memory, where it shows the whole of it, and else a `Region`, which knows how to read and add to its part of a block.

>>> import numpy as np
>>> x = np.zeros((2, 3))
>>> column = target_of(x[:, 1], owner_of(x), key=1)
>>> column.scatter(np.array([1.0, 2.0]))
array([[0., 1., 0.],
       [0., 2., 0.]])
"""

from __future__ import annotations

from math import prod
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
        """Bytes of gradient per bytes of value, as a fraction: one for all but float16 and integers."""
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
        if prod(self.shape) == prod(whole.shape) and self.dtype == whole.dtype:
            if self.shape == whole.shape[::-1] and self.strides == whole.strides[::-1]:
                if self.offset == whole.address - whole.low:
                    return "transposed"
            elif all(is_contiguous(x.shape, x.strides, self.dtype.itemsize) for x in (self, whole)):
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
        if up == down:
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
        if is_block(block, self.layout):
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


def is_basic(index: Any) -> bool:
    """Say whether indexing with `index` gives a view."""
    return all(
        i is None
        or i is Ellipsis
        or isinstance(i, slice)
        or (isinstance(i, int | np.integer) and type(i) is not bool)
        for i in (index if isinstance(index, tuple) else (index,))
    )


def open_ended(index: Any) -> tuple[Any, ...]:
    """Return a basic index that gives a view also where it names a single entry."""
    index = index if isinstance(index, tuple) else (index,)
    return index if any(i is Ellipsis for i in index) else (*index, Ellipsis)


def is_contiguous(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> bool:
    """Say whether the entries of an array of this form follow each other in C order."""
    expected = itemsize
    for n, stride in zip(reversed(shape), reversed(strides), strict=True):
        if n != 1:
            if stride != expected:
                return False
            expected *= n
    return True


def _flat_of(block: np.ndarray) -> np.ndarray:
    """Return the contiguous memory under a block of `Layout.new_block`."""
    base = block.base
    return block if base is None else base


def is_block(array: Any, layout: Layout) -> bool:
    """Say whether `array` was made by `layout.new_block` (or might as well have been)."""
    if not isinstance(array, ndarray) or array.dtype != layout.grad_dtype or array.shape != layout.shape:
        return False
    # While a call is recorded, what stands for a number of NumPy's can be no more written to than that.
    if getattr(array, "is_number", False):
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
    if view.size == 0:
        return False
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
