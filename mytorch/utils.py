"""The hand-out's import path for the gradient buffer."""

from mytorch.gradient_buffer import GradientBuffer

__all__ = ["GradientBuffer"]
