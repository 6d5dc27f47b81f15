"""When an operand may be written as less than it is: a constant array as a number, a repeated view without repetitions.

The text has to give arrays of the same shape, dtype and order of memory as the instruction did.
"""

from __future__ import annotations

import numpy as np

from mytorch.replay.instructions import Instruction, Value


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
            x.shape != out.shape or (x.is_contiguous and out.is_contiguous) or x.strides == out.strides
            for x in others
        )
    )


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
