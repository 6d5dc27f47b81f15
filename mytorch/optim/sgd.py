"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from mytorch.arrays import array, happens_once, live, live_number, settled
from mytorch.optim.optimizer import Optimizer, Parameter, check_range, decayed, descend, pieces


class SGD(Optimizer):
    """Gradient descent, with momentum if asked for, as PyTorch defines it.

    ::

        d = g + weight_decay * p
        v = momentum * v + (1 - dampening) * d          (v = d at the first step)
        p = p - lr * (d + momentum * v  if nesterov else  v)

    Parameters
    ----------
    parameters : see `Optimizer`
    lr : learning rate
    momentum : share of the velocity that is kept, in [0, 1)
    weight_decay : factor of the parameter that is added to its gradient
    nesterov : whether to look ahead (Sutskever et al. 2013)
    dampening : share of the gradient that the velocity leaves out

    Examples
    --------
    >>> from mytorch import Tensor
    >>> x = Tensor([1.0], requires_grad=True)
    >>> optimizer = SGD([x], lr=0.1)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> x
    Tensor([0.8], requires_grad=True)
    """

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float = 1e-3,
        momentum: float = 0.0,
        *,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        dampening: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr)
        self.momentum = check_range(self, "momentum", momentum, 0.0, 1.0)
        self.weight_decay = check_range(self, "weight_decay", weight_decay, 0.0)
        self.nesterov = nesterov
        self.dampening = check_range(self, "dampening", dampening, -np.inf)
        if nesterov and (momentum == 0 or dampening != 0):
            raise ValueError(
                f"SGD: nesterov needs momentum (={momentum}) above zero and dampening (={dampening}) zero"
            )

    def change(self, value: np.ndarray, gradient: np.ndarray, state: dict[str, Any]) -> None:
        if self.weight_decay:
            gradient = decayed(gradient, value, self.weight_decay)
        rate = live_number(self, "lr")
        if not self.momentum:
            descend(value, rate, gradient)
            return
        first = "velocity" not in state
        if first:
            happens_once("the optimizer's first step, which makes its velocity")
            state["velocity"] = settled(array(gradient))
        velocity = live(state["velocity"])
        for p, g, v in pieces(value, gradient, velocity):
            if not first:
                v *= self.momentum
                v += g if self.dampening == 0 else (1 - self.dampening) * g
            p -= rate * (g + self.momentum * v if self.nesterov else v)
