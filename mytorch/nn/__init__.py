"""Modules: layers, activations and losses, for Tensors and for the hand-driven tape alike."""

from typing import TYPE_CHECKING, Any

from mytorch import idioms
from mytorch.nn.activation import Activation, Identity, ReLU, Sigmoid, Tanh
from mytorch.nn.linear import Linear
from mytorch.nn.loss import Loss, MSELoss, SoftmaxCrossEntropy
from mytorch.nn.module import Module, Sequential

__all__ = [
    "Activation",
    "Identity",
    "Linear",
    "Loss",
    "MSELoss",
    "Module",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "SoftmaxCrossEntropy",
    "Tanh",
]

if not TYPE_CHECKING:  # a type checker would take any name for an attribute then

    def __getattr__(name: str) -> Any:
        """Say what to write instead of what is not here."""
        here = f": there are {', '.join(__all__)}; others are written as a Module, with NumPy in its compute"
        reason = idioms.hint(idioms.NN, name) or (here if name[:1].isupper() else "")
        raise AttributeError(f"module 'mytorch.nn' has no attribute {name!r}{reason}", name=name)
