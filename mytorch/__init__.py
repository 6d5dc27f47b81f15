"""MyTorch: automatic differentiation for NumPy, on one linear tape, with nothing but NumPy.

* `Tensor`: an array that records what NumPy does with it; `backward` fills the `grad` of those that require gradients.
* `grad`, `value_and_grad`, `jacobian`, `hessian`, `hvp`, `vjp`, `jvp`, ...: functions of functions, nested at will.
* `compile`: a function recorded once, and replayed ever after.
* `nn`, `optim`, `data`, `functional`: modules and losses, optimizers, data, the functions of neural networks.
* `Autograd`: the tape by hand.
* `check_gradients`: compares gradients with numerical ones.

>>> import numpy as np
>>> x = Tensor([1.0, 2.0], requires_grad=True)
>>> np.sum(x**2).backward()
>>> x.grad
Tensor([2., 4.])
>>> grad(np.tanh)(0.0)
array(1.)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

# These five give Tensor NumPy's protocols, indices, methods and operators, and the reverse pass.
from mytorch import dispatch as dispatch
from mytorch import idioms
from mytorch import indexing as indexing
from mytorch import methods as methods
from mytorch import operators as operators
from mytorch import reverse as reverse
from mytorch.autograd_engine import Autograd
from mytorch.gradcheck import GradientError, check_gradients, numerical_gradient
from mytorch.gradient_buffer import GradientBuffer
from mytorch.guard import guarded
from mytorch.heap import keep_freed_memory
from mytorch.records import Operation, TapeError
from mytorch.replay import ReplayError, ReplayWarning, compile
from mytorch.tensor import Tensor, enable_grad, no_grad
from mytorch.transforms import (
    custom_gradient,
    elementwise_grad,
    ggnvp,
    grad,
    hessian,
    hvp,
    jacobian,
    jvp,
    stop_gradient,
    value_and_grad,
    vjp,
)

keep_freed_memory()
# The module is imported by its path; who writes mytorch.tensor(...), as in PyTorch, is told what to write here.
globals().pop("tensor", None)

__version__ = "0.1.0"
__all__ = [
    "Autograd",
    "GradientBuffer",
    "GradientError",
    "Operation",
    "ReplayError",
    "ReplayWarning",
    "TapeError",
    "Tensor",
    "check_gradients",
    "compile",
    "custom_gradient",
    "elementwise_grad",
    "enable_grad",
    "ggnvp",
    "grad",
    "guarded",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "no_grad",
    "numerical_gradient",
    "stop_gradient",
    "value_and_grad",
    "vjp",
]

# Imported when first asked for.
_PARTS = ("data", "functional", "nn", "optim")

if TYPE_CHECKING:
    from mytorch import data as data
    from mytorch import functional as functional
    from mytorch import nn as nn
    from mytorch import optim as optim
else:  # a type checker would take any name for an attribute then

    def __getattr__(name: str) -> Any:
        """Return a part of the package, or say what to write instead of what is not here."""
        if name in _PARTS:
            return import_module(f"mytorch.{name}")
        reason = idioms.hint(idioms.PACKAGE, name)
        raise AttributeError(f"module 'mytorch' has no attribute {name!r}{reason}", name=name)
