import numpy as np

from mytorch.functional_hw1 import identity_backward, max_backward, sigmoid_backward, tanh_backward


class Activation:
    def __init__(self, autograd_engine):
        self.autograd_engine = autograd_engine

    def __call__(self, x):
        return self.forward(x)

    def record(self, x, backward_operation):
        self.autograd_engine.add_operation([x], self.state, [None], backward_operation)
        return self.state


class Identity(Activation):
    def forward(self, x):
        self.state = x.copy()
        return self.record(x, identity_backward)


class Sigmoid(Activation):
    def forward(self, x):
        self.state = 1 / (1 + np.exp(-x))
        return self.record(x, sigmoid_backward)


class Tanh(Activation):
    def forward(self, x):
        self.state = np.tanh(x)
        return self.record(x, tanh_backward)


class ReLU(Activation):
    def forward(self, x):
        self.state = np.maximum(x, 0)
        return self.record(x, max_backward)
