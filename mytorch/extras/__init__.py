"""What needs more than NumPy, imported only when it is asked for; what is missing is named with its remedy."""

from mytorch.extras.draw import draw

__all__ = ["draw"]
