"""MyTorch: automatic differentiation for NumPy, on one linear tape, with nothing but NumPy."""

# These five give Tensor NumPy's protocols, indices, methods and operators, and the reverse pass.
from mytorch import dispatch as dispatch
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
