"""Activations: elementwise functions that keep their last output in `state`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mytorch import functional
from mytorch.nn.module import Module
from mytorch.operators import unary
from mytorch.rules import memory


class Activation(Module):
    """An elementwise function; `state` is its last output."""

    function: Callable[[Any], Any]
    state: Any = None

    def forward(self, *inputs: Any) -> Any:
        """Return, and keep in `state`, the function's value."""
        self.state = super().forward(*inputs)
        return self.state

    def compute(self, *inputs: Any, **parameters: Any) -> Any:
        (x,) = inputs
        return type(self).function(x)


class Identity(Activation):
    """``y = x``, in memory of its own.

    >>> import numpy as np
    >>> from mytorch.autograd_engine import Autograd
    >>> autograd, x = Autograd(), np.array([[1.0, 2.0]])
    >>> y = Identity(autograd)(x)
    >>> autograd.backward(1)
    >>> autograd.gradient_buffer.get_param(x)
    array([[1., 1.]])
    """

    function = staticmethod(unary(memory.copy))


class Sigmoid(Activation):
    """``y = 1 / (1 + exp(-x))``, which saturates without overflow."""

    function = staticmethod(functional.sigmoid)


class Tanh(Activation):
    """``y = tanh(x)``."""

    function = staticmethod(functional.tanh)


class ReLU(Activation):
    """``y = max(x, 0)``; the slope at 0 is 0."""

    function = staticmethod(functional.relu)
