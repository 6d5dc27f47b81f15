"""What a training run shows: a progress bar, a confusion matrix, the curves as a picture."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import numpy as np

from mytorch.data import DataError

Item = TypeVar("Item")


def progress(items: Iterable[Item], total: int, label: str) -> Iterable[Item]:
    """Draw a bar on a terminal while items are taken, if tqdm is installed; it is gone when they are."""
    if not sys.stderr.isatty():
        return items
    try:
        from tqdm import tqdm
    except ImportError:
        return items
    bar: Iterable[Item] = tqdm(items, label, total, leave=False, unit="batch")
    return bar


def confusion_matrix(labels: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
    """Count how often each class was taken for each: rows are the labels, columns the predictions.

    Examples
    --------
    >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 2)
    array([[1, 1],
           [0, 1]])
    """
    pairs = num_classes * labels.astype(np.intp) + predicted
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def format_confusion(matrix: np.ndarray) -> str:
    """Set a confusion matrix as text, with each class's recall; zeros are left as dots.

    Examples
    --------
    >>> print(format_confusion(np.array([[8, 2], [0, 5]])))
    label \\ predicted    0    1   recall
                   0    8    2   80.0 %
                   1    .    5  100.0 %
    """
    head = "label \\ predicted" + "".join(f"{c:5d}" for c in range(len(matrix))) + "   recall"
    lines = [head]
    for label, row in enumerate(matrix):
        counts = "".join(f"{count or '.':>5}" for count in row)
        recall = f"{100 * row[label] / row.sum():7.1f} %" if row.sum() else "        -"
        lines.append(f"{label:17d}{counts}{recall}")
    return "\n".join(lines)


def check_plot(path: Path) -> None:
    """Refuse, before training starts, a picture that could not be written after it."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ModuleNotFoundError(
            f"--plot needs matplotlib ({error}): install it with: pip install matplotlib"
        ) from error
    suffixes = sorted(Figure().canvas.get_supported_filetypes())
    if path.suffix.lstrip(".").lower() not in suffixes:
        raise DataError(f"--plot {path}: expected a name that ends in one of .{', .'.join(suffixes)}")


def plot_curves(path: Path, history: np.ndarray, title: str) -> None:
    """Draw loss and accuracy of both parts of the data over the epochs.

    Parameters
    ----------
    path : where the picture goes; the suffix decides on its format
    history : shape (epochs, 4): training loss and error, test loss and error
    title : line above the curves
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    epochs = np.arange(1, len(history) + 1)
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    figure.suptitle(title)
    panels = figure.subplots(1, 2)
    for axes, columns, name in zip(
        panels, (history[:, ::2], 100 * (1 - history[:, 1::2])), ("loss", "accuracy / %"), strict=True
    ):
        for values, part in zip(columns.T, ("training", "test"), strict=True):
            axes.plot(epochs, values, marker="." if len(epochs) <= 50 else None, label=part)
        axes.set(xlabel="epoch", ylabel=name)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=150)
