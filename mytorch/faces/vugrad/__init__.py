"""vugrad: tensor nodes and operation nodes of the VU Amsterdam course "Deep Learning", on the rules of the engine.

>>> import numpy as np
>>> from mytorch.faces import vugrad as vg
>>> a, b = vg.TensorNode(np.array([1.0, 2.0])), vg.TensorNode(np.array([3.0, 4.0]))
>>> c = a + b
>>> c.value, c.source.inputs[0] is a, c.source.op.__name__
(array([4., 6.]), True, 'Add')
>>> loss = vg.Sum.do_forward(c * c)
>>> loss.backward()
>>> a.grad
array([ 8., 12.])

What this course wants otherwise than the others:

* every node has a gradient, an array, which is zero from the node's birth on;
* `TensorNode.backward` adds to the gradients of leaves, and sets those of inner nodes anew; `zero_grad` sets
  them to zero, and `clear` forgets the graph: after it gradients can be read still, and the next backward starts
  them afresh;
* values are arrays that anybody may change in place, as ``parameter.value -= rate * parameter.grad`` does, so
  nothing is held read-only: a backward pass reads what the values are when it runs;
* losses are sums over the batch, not means.
"""

from mytorch.faces.vugrad import core, functions, modules, ops
from mytorch.faces.vugrad.core import (
    Add,
    Divide,
    MatrixMultiply,
    Module,
    Multiply,
    Negate,
    Op,
    OpNode,
    Sub,
    TensorNode,
)
from mytorch.faces.vugrad.functions import (
    celoss,
    load_mnist,
    load_synth,
    logceloss,
    logsoftmax,
    relu,
    sigmoid,
    softmax,
)
from mytorch.faces.vugrad.modules import Linear, glorot
from mytorch.faces.vugrad.ops import (
    Affine,
    BatchMM,
    Exp,
    Expand,
    Id,
    Log,
    LogSoftmax,
    Normalize,
    ReLU,
    RowMax,
    RowSum,
    Select,
    Sigmoid,
    Squeeze,
    Sum,
    Unsqueeze,
)

__all__ = [
    "Add",
    "Affine",
    "BatchMM",
    "Divide",
    "Exp",
    "Expand",
    "Id",
    "Linear",
    "Log",
    "LogSoftmax",
    "MatrixMultiply",
    "Module",
    "Multiply",
    "Negate",
    "Normalize",
    "Op",
    "OpNode",
    "ReLU",
    "RowMax",
    "RowSum",
    "Select",
    "Sigmoid",
    "Squeeze",
    "Sub",
    "Sum",
    "TensorNode",
    "Unsqueeze",
    "celoss",
    "core",
    "functions",
    "glorot",
    "load_mnist",
    "load_synth",
    "logceloss",
    "logsoftmax",
    "modules",
    "ops",
    "relu",
    "sigmoid",
    "softmax",
]
