"""From images and labels to what a training loop takes: rows, one-hot targets, a split, minibatches."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt


def one_hot(labels: npt.ArrayLike, num_classes: int, dtype: npt.DTypeLike = np.float64) -> np.ndarray:
    """Encode integer labels as rows of the identity matrix.

    Parameters
    ----------
    labels : integers 0 … num_classes − 1, shape (n,)
    num_classes : number of columns
    dtype : of the result

    Returns
    -------
    ndarray, shape (n, num_classes)

    Raises
    ------
    ValueError
        The labels are not a vector of integers, or one of them is out of range.

    Examples
    --------
    >>> one_hot([2, 0], 3)
    array([[0., 0., 1.],
           [1., 0., 0.]])
    """
    indices = np.asarray(labels)
    if indices.ndim != 1 or (indices.size and indices.dtype.kind not in "ui"):
        raise ValueError(
            f"one_hot: expected a vector of integer labels, got {indices.dtype} of shape {indices.shape}"
        )
    if indices.size and not 0 <= indices.min() <= indices.max() < num_classes:
        raise ValueError(
            f"one_hot: labels run from {indices.min()} to {indices.max()}, expected 0 to {num_classes - 1}"
        )
    encoded = np.zeros((len(indices), num_classes), dtype)
    encoded[np.arange(len(indices)), indices.astype(np.intp)] = 1
    return encoded


def split_indices(
    labels: npt.ArrayLike, fraction: float, seed: int = 0, stratify: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Divide rows at random into those kept and those held out.

    Stratified, each class gives its share: of a class with m rows, round(fraction · m) are held out. Plain,
    round(fraction · n) of all n rows are, whatever their labels.

    Parameters
    ----------
    labels : shape (n,)
    fraction : share of the rows to hold out, between 0 and 1
    seed : equal seeds give equal splits
    stratify : whether each class is divided by itself

    Returns
    -------
    kept, held_out : ndarrays of row numbers
        Together every row once, each in ascending order.

    Raises
    ------
    ValueError
        The fraction is not between 0 and 1, or the labels are not a vector.

    Examples
    --------
    >>> kept, held_out = split_indices([0, 0, 0, 0, 1, 1, 1, 1], fraction=0.25)
    >>> len(kept), held_out // 4  # one row of each class is held out
    (6, array([0, 1]))
    """
    classes = np.asarray(labels)
    if classes.ndim != 1:
        raise ValueError(f"split_indices: expected a vector of labels, got shape {classes.shape}")
    if not 0 <= fraction <= 1:
        raise ValueError(f"split_indices: the fraction held out must lie between 0 and 1, got {fraction}")
    rng = np.random.default_rng(seed)
    groups = (
        [np.flatnonzero(classes == c) for c in np.unique(classes)] if stratify else [np.arange(len(classes))]
    )
    held_out = np.zeros(len(classes), bool)
    for group in groups:
        held_out[rng.permutation(group)[: round(fraction * len(group))]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def batches(
    *arrays: np.ndarray, batch_size: int, rng: np.random.Generator | None = None
) -> Iterator[tuple[np.ndarray, ...]]:
    """Walk through arrays of equal length in minibatches of rows; the last one may be smaller.

    Parameters
    ----------
    *arrays : arrays with n rows each
    batch_size : rows per batch, at least 1
    rng : shuffles the rows, alike in all arrays; without it they come in order, as views

    Yields
    ------
    tuple of ndarrays, one per array

    Raises
    ------
    ValueError
        No array is given, their lengths differ, or the batch size is below 1.

    Examples
    --------
    >>> [(x.tolist(), y.tolist()) for x, y in batches(np.arange(3), np.arange(3) ** 2, batch_size=2)]
    [([0, 1], [0, 1]), ([2], [4])]
    """
    lengths = [len(array) for array in arrays]
    if len(set(lengths)) != 1:
        raise ValueError(f"batches: expected arrays of one length, got lengths {lengths}")
    if batch_size < 1:
        raise ValueError(f"batches: the batch size must be at least 1, got {batch_size}")
    # An inner generator, so that the errors above come with the call and not with the first batch.
    return _batches(arrays, lengths[0], batch_size, rng)


def _batches(
    arrays: tuple[np.ndarray, ...], length: int, batch_size: int, rng: np.random.Generator | None
) -> Iterator[tuple[np.ndarray, ...]]:
    """The minibatches, one permutation drawn for all of them."""
    order = None if rng is None else rng.permutation(length)
    for start in range(0, length, batch_size):
        rows = slice(start, start + batch_size)
        yield tuple(array[rows if order is None else order[rows]] for array in arrays)
