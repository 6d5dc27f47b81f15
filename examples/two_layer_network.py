"""A network of two layers that reads hand-written digits, trained on Tensors without any module or optimizer.

Everything is NumPy: `@`, `np.tanh`, `np.max`, indexing.  `backward` fills the `grad` of the parameters, and the
update, written in place, is kept off the tape by `no_grad`.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from mytorch import Tensor, no_grad
from mytorch.data import load_digits, split_indices

Layers = list[tuple[Tensor, Tensor]]


def make_layers(*sizes: int, seed: int = 0) -> Layers:
    """Return weights and biases of layers between so many units."""
    rng = np.random.default_rng(seed)
    return [
        (
            Tensor(rng.normal(scale=fan_in**-0.5, size=(fan_in, fan_out)), requires_grad=True),
            Tensor(np.zeros(fan_out), requires_grad=True),
        )
        for fan_in, fan_out in pairwise(sizes)
    ]


def logits_of(layers: Layers, x: np.ndarray) -> Tensor:
    """Return one score per class: ``tanh(x W + b) W' + b'``."""
    (hidden_weights, hidden_bias), (weights, bias) = layers
    return np.tanh(x @ hidden_weights + hidden_bias) @ weights + bias


def cross_entropy(logits: Tensor, labels: np.ndarray) -> Tensor:
    """Return the mean of ``log(sum(exp(logits))) - logits[label]``."""
    shifted = logits - np.max(logits, axis=1, keepdims=True)
    normaliser = np.log(np.sum(np.exp(shifted), axis=1))
    return np.mean(normaliser - shifted[np.arange(len(labels)), labels])


def train(layers: Layers, x: np.ndarray, labels: np.ndarray, rate: float, steps: int) -> float:
    """Move the parameters down the gradient so many times; return the last loss."""
    for _ in range(steps):
        loss = cross_entropy(logits_of(layers, x), labels)
        loss.backward()
        with no_grad():
            for parameter in (part for layer in layers for part in layer):
                parameter -= rate * parameter.grad
                parameter.grad = None
    return loss.item()


def main() -> None:
    """Train on four fifths of the digits, and test on the others."""
    images, labels = load_digits()
    x = images.reshape(len(images), -1) / 16
    training, test = split_indices(labels, 0.2)
    layers = make_layers(64, 64, 10)
    loss = train(layers, x[training], labels[training], rate=0.5, steps=300)
    with no_grad():
        predicted = np.argmax(logits_of(layers, x[test]), axis=1)
    print(f"training loss {loss:.4f}, test accuracy {100 * np.mean(predicted == labels[test]):.1f} %")


if __name__ == "__main__":
    main()
