"""vugrad's further operations: what each is called, which function it computes, and with which arguments.

The derivative of each is the rule that `mytorch.rules` has for its function, or what the engine's tape makes of
its expression.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from mytorch.faces.vugrad.core import Op, RuleOp, failed
from mytorch.guard import guarded
from mytorch.regions import gradient_dtype
from mytorch.reverse import gradients
from mytorch.rules import memory, neural, rows
from mytorch.tensor import Tensor


class Log(RuleOp, of=np.log):
    """The natural logarithm of every entry."""


class Id(RuleOp, of=memory.copy):
    """The values themselves, in memory of their own."""


class Exp(RuleOp, of=np.exp):
    """The exponential of every entry."""


class Sigmoid(RuleOp, of=neural.sigmoid):
    """``1 / (1 + exp(-x))``, without overflow."""


class ReLU(RuleOp, of=neural.relu):
    """``max(x, 0)``; the slope at 0 is 0."""


class LogSoftmax(RuleOp, of=rows.log_softmax):
    """``x - log(sum(exp(x)))`` of every row, without overflow."""


class Affine(RuleOp, of=neural.linear):
    """``x wᵀ + b`` for rows x (n, in), weights w (out, in) and a bias b (1, out)."""


class Sum(RuleOp, of=np.sum):
    """The sum of all entries: a scalar, of shape ()."""


class _RowOp(RuleOp):
    """A reduction of every row of a matrix to a number: (n, m) to (n,)."""

    @classmethod
    def static(cls, **kwargs: Any) -> dict[str, Any]:
        return {**super().static(**kwargs), "axis": 1, "keepdims": False}

    @classmethod
    def backward(cls, context: dict[str, Any], *grad_outputs: Any) -> Any:
        """Differentiate the reduction of the rows that `context` remembers, whichever reduction made it."""
        inputs = context.get("inputs", (np.broadcast_to(np.nan, context["xshape"]),))
        return cls.rule(*grad_outputs, *inputs, **cls.static())[0]


class RowMax(_RowOp, of=np.max):
    """The maximum of every row; entries that tie share its gradient."""


class RowSum(_RowOp, of=np.sum):
    """The sum of every row."""


class Expand(RuleOp, of=np.repeat):
    """The values repeated along an axis of length one.

    Parameters
    ----------
    dim : the axis
    repeats : its new length
    """

    @classmethod
    def static(cls, *, dim: int, repeats: int) -> dict[str, Any]:  # type: ignore[override]
        return {"repeats": repeats, "axis": dim}

    @classmethod
    def forward(cls, context: dict[str, Any], *inputs: Any, **kwargs: Any) -> Any:
        dim, (x,) = kwargs["dim"], inputs
        if x.shape[dim] != 1:
            raise ValueError(f"Expand: axis {dim} of an array of shape {x.shape} must have the length 1")
        return super().forward(context, *inputs, **kwargs)


class Select(RuleOp, of=memory.take_at):
    """One entry of every row of a matrix.

    Parameters
    ----------
    indices : per row, the column
    """

    @classmethod
    def static(cls, *, indices: Any) -> dict[str, Any]:  # type: ignore[override]
        columns = np.array(indices)
        return {"index": (np.arange(columns.size), columns)}

    @classmethod
    def forward(cls, context: dict[str, Any], *inputs: Any, **kwargs: Any) -> Any:
        (x,), shape = inputs, np.shape(kwargs["indices"])
        if x.ndim != 2 or shape != x.shape[:1]:
            raise ValueError(
                f"Select: expected a matrix and one index per row, got shape {x.shape} and {shape} indices"
            )
        return super().forward(context, *inputs, **kwargs)


class TapeOp(Op):
    """An operation that is an expression in NumPy's functions, which the engine's tape differentiates.

    Attributes
    ----------
    function : the expression, of Tensors
    """

    function: ClassVar[Callable[..., Any]]

    @classmethod
    def forward(cls, context: dict[str, Any], *inputs: Any, **kwargs: Any) -> Any:
        with guarded(False):  # values may be changed in place here
            leaves = [_leaf(x) for x in inputs]
            try:
                output = cls.function(*leaves, **kwargs)
            except (TypeError, ValueError, IndexError) as error:
                raise failed(cls, inputs, error) from None
        context.update(inputs=leaves, output=output, xshape=np.shape(inputs[0]))
        return np.array(output.detach())

    @classmethod
    def backward(cls, context: dict[str, Any], *grad_outputs: Any) -> Any:
        results = gradients([context["output"]], context["inputs"], grad_outputs)
        return tuple(results) if len(results) > 1 else results[0]


def _leaf(x: np.ndarray) -> Tensor:
    """Return the engine's Tensor of a raw array, on the same memory where that holds numbers with gradients."""
    return Tensor(x, requires_grad=True, dtype=gradient_dtype(x.dtype), copy=False)


class Normalize(TapeOp):
    """Every row of a matrix divided by its sum."""

    function = staticmethod(lambda x: x / np.sum(x, axis=1, keepdims=True))


class BatchMM(TapeOp):
    """A matrix times every vector of a batch, w (out, in) and x (n, in) to (n, out), or times every matrix of one."""

    @staticmethod
    def function(w: Any, x: Any) -> Any:
        return x @ w.T if w.ndim == x.ndim == 2 else w @ x


class Squeeze(TapeOp):
    """The values without an axis of length one.

    Parameters
    ----------
    dim : the axis
    """

    function = staticmethod(lambda x, *, dim=0: np.squeeze(x, axis=dim))


class Unsqueeze(TapeOp):
    """The values with a further axis of length one.

    Parameters
    ----------
    dim : where the axis shall be
    """

    function = staticmethod(lambda x, *, dim=0: np.expand_dims(x, axis=dim))
