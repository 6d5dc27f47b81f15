import numpy as np

from mytorch.functional_hw1 import SoftmaxCrossEntropy_backward


class SoftmaxCrossEntropy:
    def __init__(self, autograd_engine):
        self.autograd_engine = autograd_engine

    def __call__(self, y, y_hat):
        return self.forward(y, y_hat)

    def forward(self, y, y_hat):
        shifted = y_hat - y_hat.max(axis=1, keepdims=True)
        log_softmax = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        self.loss_val = np.array([-(y * log_softmax).sum() / len(y)])
        self.autograd_engine.add_operation(
            [y_hat, y], self.loss_val, [None, np.zeros(y.shape)], SoftmaxCrossEntropy_backward
        )
        return self.loss_val

    def backward(self):
        self.autograd_engine.backward(self.loss_val)
