"""Modules: layers, activations and losses, for Tensors and for the hand-driven tape alike."""

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
