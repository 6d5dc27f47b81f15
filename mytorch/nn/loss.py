"""Losses: called with the target first and the prediction second, then `.backward()`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mytorch import arrays, functional
from mytorch.nn.module import ARRAYS, Module
from mytorch.records import TapeError
from mytorch.tensor import Tensor, new_view


class Loss(Module):
    """A number that says how far predictions are from targets; `loss_val` is its last value, of shape (1,)."""

    function: Callable[[Any, Any], Any]
    loss_val: Any = None

    def forward(self, *inputs: Any) -> Any:
        """Return the loss of ``(y, y_hat)``: the target, then the prediction."""
        if len(inputs) != 2:
            raise TypeError(
                f"{type(self).__name__} takes the target and the prediction, in this order, got {len(inputs)} "
                f"argument{'' if len(inputs) == 1 else 's'}"
            )
        y, y_hat = inputs
        if getattr(y, "shape", None) != getattr(y_hat, "shape", 0) or (
            isinstance(y, Tensor) and y.requires_grad
        ):
            self._check(y, y_hat)
        if y.size == 0:
            raise ValueError(f"{type(self).__name__}: the mean over an empty batch is not defined")
        if self.autograd_engine is not None:
            y = arrays.array(y)  # the target is data: kept as it is now, and without a gradient
        self.loss_val = self._run(y, y_hat)
        return self.loss_val

    def _check(self, y: Any, y_hat: Any) -> None:
        """Raise unless the target and the prediction are arrays of one shape, and in this order."""
        name = type(self).__name__
        if not (isinstance(y, ARRAYS) and isinstance(y_hat, ARRAYS)):
            what, value = ("target", y) if not isinstance(y, ARRAYS) else ("prediction", y_hat)
            raise TypeError(
                f"{name}: the {what} must be an array or a Tensor, got {type(value).__name__}; wrap lists in np.array"
            )
        if y.shape != y_hat.shape:
            raise ValueError(
                f"{name}: the target has shape {y.shape} but the prediction {y_hat.shape}; the target comes first, "
                "one row per row of the prediction; class numbers become rows by np.eye(classes)[labels]"
            )
        if (
            isinstance(y, Tensor)
            and y.requires_grad
            and not (isinstance(y_hat, Tensor) and y_hat.requires_grad)
        ):
            raise ValueError(
                f"{name}: the target requires gradients and the prediction does not; the target comes first: "
                f"{name}()(target, prediction)"
            )

    def _run(self, y: Any, y_hat: Any) -> Any:
        run = super().forward
        if self.autograd_engine is None:
            return self.compute(y_hat, y)
        self._target = y
        return run(y_hat)

    def compute(self, *inputs: Any, **parameters: Any) -> Any:
        prediction, *target = inputs
        value = type(self).function(prediction, target[0] if target else self._target)
        if not isinstance(value, Tensor):
            return value.reshape(1)
        return new_view(value, value._array.reshape(1))  # nobody else has the number: it needs no copy

    def backward(self) -> None:
        """Differentiate the loss back to all inputs and parameters."""
        if self.loss_val is None:
            raise TapeError(f"call the {type(self).__name__} module with (y, y_hat) before backward")
        if self.autograd_engine is not None:
            self.autograd_engine.backward_from(self.loss_val, 1.0)  # other modules may have been called since
        elif isinstance(self.loss_val, Tensor):
            self.loss_val.backward()


class SoftmaxCrossEntropy(Loss):
    """The mean over the batch of ``-sum(y * log(softmax(y_hat)))`` for one-hot targets `y` and logits `y_hat`.

    The gradient of the logits is ``(softmax(y_hat) - y) / N``; logits of any size give finite values.

    >>> import numpy as np
    >>> from mytorch.autograd_engine import Autograd
    >>> loss = SoftmaxCrossEntropy(Autograd())
    >>> loss(np.array([[0.0, 1.0]]), np.array([[1000.0, -1000.0]]))
    array([2000.])
    >>> loss.backward()
    """

    function = staticmethod(functional.softmax_cross_entropy)


class MSELoss(Loss):
    """The mean over all entries of ``(y_hat - y) ** 2``."""

    function = staticmethod(functional.mean_squared_error)
