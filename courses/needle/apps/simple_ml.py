"""A network of two layers for MNIST, trained with needle: questions 5 and 6 of the homework."""

import os
import sys

import numpy as np

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "python"))
import needle as ndl
from needle.ops import cross_entropy, log_softmax

from mytorch.data import one_hot, read_labelled_images

__all__ = ["loss_err", "ndl", "nn_epoch", "np", "parse_mnist", "softmax_loss"]


def parse_mnist(image_filesname, label_filename):
    """Read an images file and a labels file in MNIST's format.

    Parameters
    ----------
    image_filesname : path of the idx file of the images, gzipped or not
    label_filename : path of the idx file of the labels, gzipped or not

    Returns
    -------
    X : float32 array (num_examples, rows * columns), pixels from 0 (black) to 1 (white)
    y : uint8 array (num_examples,), labels

    Raises
    ------
    FileNotFoundError
        A file is not there.
    mytorch.data.DataError
        A file is damaged, or the two do not belong together.
    """
    images, labels = read_labelled_images(image_filesname, label_filename)
    return images.reshape(len(images), -1) / np.float32(255), labels


def softmax_loss(Z, y_one_hot):
    """Return the mean over the batch of ``log(sum(exp(z))) - z_y``.

    Parameters
    ----------
    Z : Tensor (batch_size, num_classes), the logits
    y_one_hot : Tensor (batch_size, num_classes), one where the label is, zeros elsewhere

    Returns
    -------
    Tensor ()
    """
    return cross_entropy(log_softmax(Z), y_one_hot)


def nn_epoch(X, y, W1, W2, lr=0.1, batch=100):
    """Run an epoch of stochastic gradient descent on the network ``relu(X @ W1) @ W2``, without shuffling.

    Parameters
    ----------
    X : float32 array (num_examples, input_dim)
    y : uint8 array (num_examples,), labels
    W1 : Tensor (input_dim, hidden_dim)
    W2 : Tensor (hidden_dim, num_classes)
    lr : step size
    batch : size of a minibatch; the last one may be smaller

    Returns
    -------
    (W1, W2) : new Tensors; those that were given are not changed
    """
    W1, W2 = ndl.Tensor(W1.numpy().copy()), ndl.Tensor(W2.numpy().copy())
    # The gradient of `lr` times the loss is the step itself.
    step = ndl.Tensor(lr, dtype=X.dtype)
    y_one_hot = one_hot(y, W2.shape[1], X.dtype)
    for rows in (slice(i, i + batch) for i in range(0, len(X), batch)):
        inputs, targets = (ndl.Tensor.make_const(array[rows]) for array in (X, y_one_hot))
        loss = softmax_loss(ndl.relu(inputs @ W1) @ W2, targets)
        loss.backward(step)
        W1, W2 = (_stepped(W) for W in (W1, W2))
        # Nodes and their gradients refer to each other: without this they would wait for Python's collector.
        for node in ndl.autograd.find_topo_sort([loss]):
            node.grad = None
    return W1, W2


def _stepped(W):
    """Return a new Tensor, on the memory of W, of the values of W less its gradient."""
    values = W.numpy()
    values -= W.grad.numpy()
    return ndl.Tensor.make_const(values, requires_grad=True)


def loss_err(h, y):
    """Return the softmax loss and the share of wrong classifications for logits `h` and labels `y`."""
    y_one_hot = ndl.Tensor(one_hot(y, h.shape[-1]))
    return softmax_loss(h, y_one_hot).numpy(), np.mean(h.numpy().argmax(axis=1) != y)
