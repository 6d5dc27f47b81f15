"""needle: Value, Op and Tensor of CMU 10-714 ("Deep Learning Systems"), Homework 1, on the rules of the engine.

>>> from mytorch.faces import needle as ndl
>>> x = ndl.Tensor([6.0])
>>> y = x * x + 3 * x
>>> y.backward()
>>> x.grad
needle.Tensor([15.])

Gradients are Tensors with inputs of their own, so they can be differentiated again:

>>> x.grad.backward()
>>> x.grad
needle.Tensor([2.])

What this course wants otherwise than the others:

* `backward` sets ``.grad`` of every node that it passes; it never adds to what was there.  Without an argument it
  starts from ones, also for a Tensor of many entries;
* a Tensor requires gradients unless told otherwise, and Tensors of integers take part, with gradients in float64;
* nothing is held read-only: who writes into the array of `realize_cached_data()` changes what the next operator
  and the next backward see;
* `backward` computes numbers.  The graph of a gradient, its ``op`` and ``inputs``, is made when somebody looks at
  it, so that those who never do need not wait for it.
"""

from mytorch.faces.needle import algebra, autograd, ops, reverse
from mytorch.faces.needle.autograd import Tensor, all_devices, cpu
from mytorch.faces.needle.ops import (
    AddScalar,
    BroadcastTo,
    DivScalar,
    EWiseAdd,
    EWiseDiv,
    EWiseMul,
    EWisePow,
    Exp,
    Log,
    MatMul,
    MulScalar,
    Negate,
    PowerScalar,
    ReLU,
    Reshape,
    Summation,
    Transpose,
    add,
    add_scalar,
    broadcast_to,
    divide,
    divide_scalar,
    exp,
    log,
    matmul,
    mul_scalar,
    multiply,
    negate,
    power,
    power_scalar,
    relu,
    reshape,
    summation,
    transpose,
)

__all__ = [
    "AddScalar",
    "BroadcastTo",
    "DivScalar",
    "EWiseAdd",
    "EWiseDiv",
    "EWiseMul",
    "EWisePow",
    "Exp",
    "Log",
    "MatMul",
    "MulScalar",
    "Negate",
    "PowerScalar",
    "ReLU",
    "Reshape",
    "Summation",
    "Tensor",
    "Transpose",
    "add",
    "add_scalar",
    "algebra",
    "all_devices",
    "autograd",
    "broadcast_to",
    "cpu",
    "divide",
    "divide_scalar",
    "exp",
    "log",
    "matmul",
    "mul_scalar",
    "multiply",
    "negate",
    "ops",
    "power",
    "power_scalar",
    "relu",
    "reshape",
    "reverse",
    "summation",
    "transpose",
]
