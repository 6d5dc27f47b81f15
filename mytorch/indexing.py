"""``x[index]`` and ``x[index] = value``: a slice is a view of the same memory, and an assignment a write to it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray

from mytorch import arrays
from mytorch.inplace import write
from mytorch.recording import apply
from mytorch.regions import is_basic, open_ended
from mytorch.rules import memory
from mytorch.rules.registry import RULES
from mytorch.tensor import Tensor, is_number, new_view, raw, refuse_kind


def _getitem(self: Tensor, index: Any) -> Tensor:
    """Return ``self[index]``: a view for slices, an operation for arrays and for single entries."""
    if type(index) is slice:
        return _slice(self, index)
    index = _plain(index)
    if is_basic(index):
        array = self._array[index]
        if type(array) is ndarray or (isinstance(array, ndarray) and array.base is not None):
            shown = self.view_as(array)
            if shown is self:  # of a number, [...] makes an array
                shown = self.copy()
                shown._box = True
            return shown
        # One entry is a value, not a view: `old = x[0]; x[0] = 1` keeps `old`, as in NumPy.
        return apply(RULES[memory.copy], (new_view(self, self._array[open_ended(index)]),))
    return apply(RULES[memory.take_at], (self,), {"index": index})


def _setitem(self: Tensor, index: Any, value: Any) -> None:
    """Write `value` to ``self[index]``."""
    index = given = _plain(index)
    refuse_kind(type(value))
    data = arrays.asarray(value) if type(value) in (list, tuple) else raw(value)  # which may fail half-way

    def compute() -> None:
        self._array[given] = data

    if is_basic(index):
        index = open_ended(index)
        write(self, index, compute, RULES[memory.assign], (value,))
        return
    static = {"index": index, "kept": _kept_places(self._array.shape, index)}
    write(self, index, compute, RULES[memory.assign_at], (self, value), static)


def _view_as(self: Tensor, array: ndarray) -> Tensor:
    """Return the Tensor that shows `array`, a view of this Tensor's memory; of a number, which has none, a copy."""
    if not is_number(self) or not array.flags.writeable:
        return new_view(self, array)
    if array.ndim > 0:
        twin = apply(RULES[memory.copy], (self,))
        return new_view(twin, twin._array.reshape(array.shape))
    return self if array.dtype == self.dtype else apply(RULES[memory.copy], (new_view(self, array),))


def _slice(tensor: Tensor, index: slice) -> Tensor:
    """Return ``tensor[index]``, remembering where in its owner the view begins (to ask NumPy later costs more)."""
    data = tensor._array
    view = new_view(tensor, data[index])
    offset = 0 if tensor._base is None else tensor._offset
    if offset is not None:
        view._offset = offset + index.indices(len(data))[0] * data.strides[0]
    return view


def _plain(index: Any) -> Any:
    """Return an index with Tensors and lists as arrays; a copy, so that nobody changes what the tape reads."""
    if isinstance(index, tuple):
        return tuple(_plain(i) for i in index)
    if isinstance(index, Tensor):
        return index._array.copy()
    if getattr(index, "is_number", False):  # one of a recording, which nobody can change
        return index
    if isinstance(index, list):
        array = arrays.array(index)
        return array.astype(np.intp) if array.size == 0 else array  # which of numbers would be floating-point
    return arrays.array(index) if isinstance(index, ndarray) else index


def _kept_places(shape: tuple[int, ...], index: Any) -> ndarray | None:
    """Return which places of an indexed value stay when ``array[index] = value`` names some twice (None: all)."""
    places = arrays.lifted(np.arange(np.prod(shape, dtype=int)).reshape(shape))[index]
    order = np.arange(places.size).reshape(places.shape)
    winner = arrays.zeros(shape, int)
    winner[index] = order
    kept = winner[index] == order
    return None if kept.all() else kept


Tensor.__getitem__ = _getitem  # type: ignore[method-assign]
Tensor.__setitem__ = _setitem  # type: ignore[method-assign]
Tensor.view_as = _view_as  # type: ignore[method-assign]
