"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from mytorch.arrays import happens_once, live, live_number, settled
from mytorch.optim.optimizer import Optimizer, Parameter, check_pair, check_range, decayed, gradient_of


class Adam(Optimizer):
    """Adaptive moments (Kingma & Ba 2015), as PyTorch defines it.

    ::

        g = g + weight_decay * p
        m = b1 m + (1 - b1) g        v = b2 v + (1 - b2) g²
        p = p - lr / (1 - b1ᵗ) * m / (sqrt(v / (1 - b2ᵗ)) + eps)

    A complex number counts as two real ones.

    Parameters
    ----------
    parameters : see `Optimizer`
    lr : learning rate
    betas : decay rates of the two moments, in [0, 1)
    eps : added to the denominator
    weight_decay : factor of the parameter that is added to its gradient

    Examples
    --------
    >>> from mytorch import Tensor
    >>> x = Tensor([1.0], requires_grad=True)
    >>> optimizer = Adam([x], lr=0.1)
    >>> (x * x).sum().backward()
    >>> optimizer.step()
    >>> x
    Tensor([0.9], requires_grad=True)
    """

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        *,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr)
        self.betas = check_pair(self, "betas", betas)
        self.eps = check_range(self, "eps", eps, 0.0)
        self.weight_decay = check_range(self, "weight_decay", weight_decay, 0.0)

    def step(self) -> None:
        """Change every parameter that has a gradient."""
        self._count()
        super().step()

    def _count(self) -> None:
        """Count the step of each parameter that has a gradient; those that always step together share one count."""
        stepping = [s for p, s in zip(self.parameters, self.state, strict=True) if gradient_of(p) is not None]
        resting = {id(state.get("time")) for state in self.state if not any(state is s for s in stepping)}
        own: dict[int, np.ndarray] = {}
        for state in stepping:
            time = state.get("time")
            if time is None or id(time) in resting:
                happens_once("a first step of a parameter, or of fewer parameters than before")
                state["time"] = own.setdefault(id(time), np.zeros(()) if time is None else time.copy())
        for time in {id(state["time"]): state["time"] for state in stepping}.values():
            count = live(time)
            count += 1

    def change(self, value: np.ndarray, gradient: np.ndarray, state: dict[str, Any]) -> None:
        self.descend(value, decayed(gradient, value, self.weight_decay), state)

    def descend(self, value: np.ndarray, gradient: np.ndarray, state: dict[str, Any]) -> None:
        """Change `value` along the gradient, scaled by the moments."""
        if "mean" not in state:
            happens_once("the optimizer's first step, which makes its moments")
            state.update(mean=settled(np.zeros_like(value)), square=settled(np.zeros_like(value)))
        mean, square, time = live(state["mean"]), live(state["square"]), live(state["time"])
        if value.dtype.kind == "c":
            self._move(value.real, gradient.real, mean.real, square.real, time)
            self._move(value.imag, gradient.imag, mean.imag, square.imag, time)
        else:
            self._move(value, gradient, mean, square, time)

    def _move(self, value: Any, gradient: Any, mean: Any, square: Any, time: Any) -> None:
        """Change real numbers and their moments."""
        first, second = self.betas
        mean *= first
        mean += (1 - first) * gradient
        square *= second
        square += (1 - second) * (gradient * gradient)
        scale = np.sqrt(square)
        scale *= (1 / np.sqrt(1 - second**time)).astype(scale.dtype)
        scale += self.eps
        value -= (live_number(self, "lr") / (1 - first**time)).astype(scale.dtype) * mean / scale


class AdamW(Adam):
    """Adam with the weights decayed apart from the gradient (Loshchilov & Hutter 2019): first ``p *= 1 - lr * wd``."""

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        *,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay=weight_decay)

    def change(self, value: np.ndarray, gradient: np.ndarray, state: dict[str, Any]) -> None:
        value *= 1 - live_number(self, "lr") * self.weight_decay
        self.descend(value, gradient, state)
