"""Data: the bundled digits, MNIST's files, and what turns them into minibatches.

Damaged or missing files are refused before training starts, by a message that names the file.
"""

from mytorch.data.datasets import load_digits, load_mnist
from mytorch.data.idx import DataError, read_idx, read_labelled_images
from mytorch.data.preparation import batches, one_hot, split_indices

__all__ = [
    "DataError",
    "batches",
    "load_digits",
    "load_mnist",
    "one_hot",
    "read_idx",
    "read_labelled_images",
    "split_indices",
]
