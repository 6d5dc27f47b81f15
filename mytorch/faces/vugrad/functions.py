"""vugrad's functions of nodes, and its data sets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from mytorch import data
from mytorch.data.datasets import MNIST_FILES
from mytorch.faces.vugrad.core import TensorNode
from mytorch.faces.vugrad.ops import Exp, Log, LogSoftmax, ReLU, Select, Sigmoid, Sum

Split: TypeAlias = "tuple[np.ndarray, np.ndarray]"
VALIDATION_ROWS = 5_000


def sigmoid(x: TensorNode) -> TensorNode:
    """Return ``1 / (1 + exp(-x))``."""
    return Sigmoid.do_forward(x)


def relu(x: TensorNode) -> TensorNode:
    """Return ``max(x, 0)``."""
    return ReLU.do_forward(x)


def softmax(x: TensorNode) -> TensorNode:
    """Return ``exp(x) / sum(exp(x))`` of every row, without overflow."""
    return Exp.do_forward(logsoftmax(x))


def logsoftmax(x: TensorNode) -> TensorNode:
    """Return the logarithm of the softmax of every row, without overflow."""
    return LogSoftmax.do_forward(x)


def celoss(outputs: TensorNode, targets: Any) -> TensorNode:
    """Return the cross-entropy, summed over the batch.

    Parameters
    ----------
    outputs : (n, c), a row of probabilities per instance
    targets : n integers, the true classes
    """
    return logceloss(Log.do_forward(outputs), targets)


def logceloss(logprobs: TensorNode, targets: Any) -> TensorNode:
    """Return the cross-entropy, summed over the batch, for logarithms of probabilities (see `celoss`)."""
    return -Sum.do_forward(Select.do_forward(logprobs, indices=targets))


def load_synth(num_train: int = 60_000, num_val: int = 10_000) -> tuple[Split, Split, int]:
    """Make a data set that is easy to classify: points of a plane, inside and outside an ellipse.

    Returns
    -------
    (x, y) for training, (x, y) for validation, the number of classes
    """
    x = np.random.normal(size=(num_train + num_val, 2))
    form = np.array([[1.0, -0.05], [1.0, 0.4]])
    y = (np.einsum("bf,fk,bk->b", x, form, x) > 0.6).astype(np.int64)
    return (x[:num_train], y[:num_train]), (x[num_train:], y[num_train:]), 2


def load_mnist(
    final: bool = False, flatten: bool = True, folder: str | os.PathLike[str] | None = None
) -> tuple[Split, Split, int]:
    """Load MNIST: pixels from 0 to 255, as they are stored.

    Parameters
    ----------
    final : whether the second part is the test set; otherwise it is the last 5,000 of the training rows, and
        the test set stays hidden
    flatten : whether an image is a row of 784 pixels, or 28 by 28
    folder : where the four files are; None to look for them as `mnist_folders` says

    Returns
    -------
    (x, y) for training, (x, y) for validation or test, the number of classes

    Raises
    ------
    FileNotFoundError
        If a file is missing; the message names the four, and where they were looked for.
    """
    (x, y), (x_test, y_test) = data.load_mnist(_find(folder))
    if flatten:
        x, x_test = x.reshape(len(x), -1), x_test.reshape(len(x_test), -1)
    if final:
        return (x, y), (x_test, y_test), 10
    n = len(x) - VALIDATION_ROWS
    return (x[:n], y[:n]), (x[n:], y[n:]), 10


def mnist_folders() -> list[Path]:
    """Return where `load_mnist` looks for the files, in this order, when no folder is named.

    The folder that the variable MYTORCH_MNIST names; without it, ``data/mnist`` and ``data`` in the working
    directory, and ``shared/data/mnist`` beside the checkout.
    """
    named = os.environ.get("MYTORCH_MNIST")
    if named:
        return [Path(named)]
    checkout = Path(__file__).resolve().parents[3]
    return [Path("data/mnist"), Path("data"), checkout.parent / "shared" / "data" / "mnist"]


def _find(folder: str | os.PathLike[str] | None) -> Path:
    """Return the folder to load from."""
    if folder is not None:
        return Path(folder)
    folders = mnist_folders()
    for path in folders:
        if any((path / f"{MNIST_FILES[0]}{end}").is_file() for end in ("", ".gz")):
            return path
    raise FileNotFoundError(
        f"MNIST's four files, {', '.join(MNIST_FILES)} (each with or without .gz), are not here. Looked in "
        f"{', '.join(str(path.absolute()) for path in folders)}. Name their folder: load_mnist(folder=...), "
        "--data on the command line, or the variable MYTORCH_MNIST"
    )
