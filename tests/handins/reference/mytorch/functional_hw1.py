import numpy as np


def identity_backward(grad_output, a):
    return grad_output


def add_backward(grad_output, a, b):
    a_grad = grad_output * np.ones(a.shape)
    b_grad = grad_output * np.ones(a.shape)
    if b.shape[0] == 1 and a.shape[0] != 1:
        b_grad = b_grad.sum(axis=0, keepdims=True)
    return a_grad, b_grad


def sub_backward(grad_output, a, b):
    return grad_output * np.ones(a.shape), -grad_output * np.ones(b.shape)


def matmul_backward(grad_output, a, b):
    return grad_output @ b.T, a.T @ grad_output


def mul_backward(grad_output, a, b):
    return grad_output * b, grad_output * a


def div_backward(grad_output, a, b):
    return grad_output / b, -grad_output * a / b**2


def log_backward(grad_output, a):
    return grad_output / a


def exp_backward(grad_output, a):
    return grad_output * np.exp(a)


def sigmoid_backward(grad_output, a):
    s = 1 / (1 + np.exp(-a))
    return grad_output * s * (1 - s)


def tanh_backward(grad_output, a):
    return grad_output * (1 - np.tanh(a) ** 2)


def max_backward(grad_output, a):
    return grad_output * (a > 0)


def SoftmaxCrossEntropy_backward(grad_output, pred, ground_truth):
    exps = np.exp(pred - pred.max(axis=1, keepdims=True))
    softmax = exps / exps.sum(axis=1, keepdims=True)
    return (softmax - ground_truth) / len(pred), np.zeros(ground_truth.shape)
