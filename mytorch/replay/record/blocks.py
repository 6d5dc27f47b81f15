"""The parameters of an optimizer in one block of memory, and likewise the moments that it keeps for them.

They are moved there before the call is recorded, so that a pass (`mytorch.replay.passes.packing`) can make one
operation on the block of what is done to each of them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy import ndarray

from mytorch.optim.optimizer import Optimizer
from mytorch.replay.record.tensors import ARRAY
from mytorch.tensor import Tensor

_ALIGNMENT = 64


def _count_alone() -> tuple[int, int]:
    """Measure what `sys.getrefcount` says of an array that one Tensor, or one dict, alone holds."""
    tensor, state = Tensor([0.0]), {"mean": np.zeros(1)}
    return sys.getrefcount(ARRAY.__get__(tensor)), sys.getrefcount(state["mean"])


_ALONE, _ALONE_IN_STATE = _count_alone()


def pack(optimizer: Optimizer) -> None:
    """Move the parameters of an optimizer into one block of memory per dtype, and likewise what it keeps for each.

    Only memory that nobody but the Tensor, or the optimizer, holds is moved: a view of it would be left behind.
    """
    tensors = [p for p in optimizer.parameters if isinstance(p, Tensor) and p._base is None]
    if not any(block_of(ARRAY.__get__(tensor)) is not None for tensor in tensors):
        movable = [tensor for tensor in tensors if _can_move(tensor)]
        for tensor, array in _moved([(tensor, ARRAY.__get__(tensor)) for tensor in movable]):
            ARRAY.__set__(tensor, array)
    for name in dict.fromkeys(name for state in optimizer.state for name in state):
        states = [state for state in optimizer.state if _can_move_of(state, name)]
        for state, array in _moved([(state, state[name]) for state in states]):
            state[name] = array


def _can_move_of(state: dict[str, Any], name: str) -> bool:
    """Say whether what an optimizer keeps for a parameter under a name is its own alone."""
    if name not in state or sys.getrefcount(state[name]) > _ALONE_IN_STATE:
        return False
    array = state[name]
    return type(array) is ndarray and array.ndim > 0 and array.base is None and _is_one_piece(array)


def _is_one_piece(array: ndarray) -> bool:
    return array.flags.c_contiguous and array.size > 0


def _can_move(tensor: Tensor) -> bool:
    """Say whether a parameter's memory is its own alone."""
    if sys.getrefcount(ARRAY.__get__(tensor)) > _ALONE:
        return False
    array = ARRAY.__get__(tensor)
    return type(array) is ndarray and array.base is None and _is_one_piece(array)


def _moved(places: Sequence[tuple[Any, ndarray]]) -> list[tuple[Any, ndarray]]:
    """Return, with what holds them, copies of arrays that lie one after the other in one block per dtype."""
    by_dtype: dict[np.dtype[Any], list[tuple[Any, ndarray]]] = {}
    for holder, array in places:
        by_dtype.setdefault(array.dtype, []).append((holder, array))
    copies = []
    for dtype, members in by_dtype.items():
        if len(members) < 2:
            continue
        nbytes = sum(array.nbytes for _, array in members)
        # Windows on a bytearray own their memory for all that this package asks.
        block = memoryview(bytearray(nbytes + _ALIGNMENT))
        start = -np.frombuffer(block, np.uint8).__array_interface__["data"][0] % _ALIGNMENT
        for holder, array in members:
            copy = ndarray(array.shape, dtype, block[start : start + array.nbytes])
            copy[...] = array
            copies.append((holder, copy))
            start += array.nbytes
    return copies


def block_of(array: ndarray) -> Any:
    """Return the block that an array was moved to (None: it was not)."""
    return array.base if isinstance(array.base, bytearray) else None
