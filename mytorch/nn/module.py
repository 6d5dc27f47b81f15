"""What all modules share: one computation, written in Tensors, on Tensors or on a hand-driven tape.

A module that was given an `Autograd` engine takes raw arrays, records on that engine and returns raw arrays,
as the course has it; one without takes Tensors.  Both run the same `compute`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from mytorch.autograd_engine import Autograd
from mytorch.tensor import Tensor, on_tape


class Module:
    """A function with parameters.

    Parameters
    ----------
    autograd_engine : the tape that raw arrays are recorded on; None for a module on Tensors
    """

    def __init__(self, autograd_engine: Autograd | None = None) -> None:
        if autograd_engine is not None and not isinstance(autograd_engine, Autograd):
            raise TypeError(
                f"{type(self).__name__}: autograd_engine must be an Autograd, got {type(autograd_engine).__name__}"
            )
        self.autograd_engine = autograd_engine

    def __call__(self, *inputs: Any) -> Any:
        return self.forward(*inputs)

    def forward(self, *inputs: Any) -> Any:
        """Compute the module's value, recording it."""
        if self.autograd_engine is None:
            return self.compute(*inputs)
        return on_tape(self.autograd_engine, self.compute, inputs, self.external())

    def compute(self, *inputs: Any, **parameters: Any) -> Any:
        """Return the value in Tensor operations; `parameters` are the ones named by `external`."""
        raise NotImplementedError(f"{type(self).__name__} must define compute")

    def external(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Return, by name, the parameters of a module on raw arrays, each with the array of its gradient."""
        return {}

    def parameters(self) -> Iterator[Tensor]:
        """Iterate over the Tensors that are to be learned, of this module and of the modules in it."""
        for value in vars(self).values():
            for part in value if isinstance(value, list | tuple) else [value]:
                if isinstance(part, Module):
                    yield from part.parameters()
                elif isinstance(part, Tensor) and part.requires_grad and part.is_leaf:
                    yield part

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy of the module has, or a pickled one: all but the values that were computed last."""
        return {
            name: None if isinstance(value, Tensor) and not value.is_leaf else value
            for name, value in vars(self).items()
        }

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters():
            parameter.grad = None


class Sequential(Module):
    """Modules applied one after the other.

    >>> import mytorch
    >>> from mytorch.nn import Linear, ReLU
    >>> model = Sequential(Linear(3, 4), ReLU(), Linear(4, 2))
    >>> model(mytorch.Tensor(np.ones((5, 3)))).shape
    (5, 2)
    """

    def __init__(self, *modules: Module) -> None:
        super().__init__()
        self.modules = list(modules)

    def forward(self, *inputs: Any) -> Any:
        """Return the last module's value."""
        (x,) = inputs
        for module in self.modules:
            x = module(x)
        return x
