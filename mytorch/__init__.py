"""MyTorch: automatic differentiation for NumPy, on one linear tape, with nothing but NumPy."""

from mytorch import dispatch, methods, operators
from mytorch.autograd_engine import Autograd, Operation, TapeError
from mytorch.gradient_buffer import GradientBuffer
from mytorch.guard import guarded
from mytorch.tensor import Tensor, enable_grad, no_grad

__version__ = "0.1.0"
__all__ = ["Autograd", "GradientBuffer", "Operation", "TapeError", "Tensor", "enable_grad", "guarded", "no_grad"]
