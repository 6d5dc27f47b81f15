"""When an operand may be written as less than it is: a constant array as a number, a repeated view without repetitions.

The text has to give arrays of the same shape, dtype and order of memory as the instruction did.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from mytorch.replay.instructions import Instruction, Value
from mytorch.replay.source.literals import computed, number
from mytorch.replay.source.spelling import ATOM, PRODUCT, SUM, UNARY, Expr


def spreads(instruction: Instruction, operand: Value, others: list[Value]) -> bool:
    """Say whether the result has its shape, and lies as it does, if an operand is replaced by a number."""
    out = instruction.outs[0]
    if (
        not others
        or not instruction.is_elementwise
        or np.broadcast_shapes(*[x.shape for x in others]) != out.shape
    ):
        return False
    return (
        operand.size == 1
        or not any(operand.strides)
        or all(
            x.shape != out.shape or (_is_in_order(x) and out.is_contiguous) or x.strides == out.strides
            for x in others
        )
    )


def _is_in_order(x: Value) -> bool:
    """Say whether the axes follow each other in memory, from the outermost to the innermost."""
    strides = [stride for n, stride in zip(x.shape, x.strides, strict=True) if n > 1]
    return all(a >= b for a, b in pairwise([*strides, 1]))


def gives_shape(instruction: Instruction, others: list[Value]) -> bool:
    """Say whether one of the other operands alone gives the result its shape."""
    shape = instruction.outs[0].shape
    return instruction.is_elementwise and any(
        x.shape == shape and all(stride or n == 1 for n, stride in zip(x.shape, x.strides, strict=True))
        for x in others
    )


def narrow(value: Value) -> Value:
    """Return a view that is repeated along some axes without the repetitions, which NumPy makes itself."""
    axes = [
        (1 if stride == 0 and n > 1 else n, stride)
        for n, stride in zip(value.shape, value.strides, strict=True)
    ]
    while axes and axes[0] == (1, 0):
        axes.pop(0)
    return value.twin(shape=tuple(n for n, _ in axes), strides=tuple(stride for _, stride in axes))


def stays(instruction: Instruction, position: int, entry: np.generic) -> bool:
    """Say whether a bare number gives the dtype that a NumPy scalar gave."""
    others = [x for i, x in enumerate(instruction.args) if i != position]
    kinds = [np.empty((1,) * len(x.shape), x.dtype) if isinstance(x, Value) else x for x in others]
    return bool(kinds) and np.result_type(*kinds, entry) == np.result_type(*kinds, entry.item())


def literal(entry: Any, instruction: Instruction) -> Expr:
    """Return a number that takes the dtype of the array that it meets."""
    if isinstance(entry, np.floating | float) and (entry < 0 or (entry == 0 and np.signbit(entry))):
        positive = literal(-entry, instruction)
        return Expr("-" + positive.within(PRODUCT), min(UNARY, max(positive.level, PRODUCT)), positive)
    floats = any(isinstance(x, Value) and x.dtype.kind in "fc" for x in instruction.args)
    is_float = floats and isinstance(entry, np.floating | float)
    if is_float and instruction.function in _OF_INTEGERS and entry < 1e6 and entry == int(entry):
        return Expr(str(int(entry)))
    found = computed(entry)
    if found is not None:
        return Expr(found, PRODUCT if "/" in found else SUM)
    text = number(entry)
    return Expr(text, UNARY if text.startswith("-") else ATOM)


# With floating-point numbers these compute with 2 what they compute with 2.0.
_OF_INTEGERS = {
    np.add, np.subtract, np.multiply, np.divide, np.maximum, np.minimum, np.less, np.less_equal, np.greater,
    np.greater_equal, np.equal, np.not_equal,
}  # fmt: skip
