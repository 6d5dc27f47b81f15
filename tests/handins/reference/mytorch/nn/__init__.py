from mytorch.nn.activation import Identity, ReLU, Sigmoid, Tanh
from mytorch.nn.linear import Linear
from mytorch.nn.loss import SoftmaxCrossEntropy

__all__ = ["Identity", "Linear", "ReLU", "Sigmoid", "SoftmaxCrossEntropy", "Tanh"]
