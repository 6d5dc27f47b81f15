"""The bundled hand-written digits, and MNIST from a folder that the user names."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from mytorch.data.idx import DataError, read_labelled_images

DIGITS_FOLDER = Path(__file__).parent / "digits"
MNIST_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def load_digits() -> tuple[np.ndarray, np.ndarray]:
    """Load the 1,797 hand-written digits of 8×8 pixels that come with the package.

    They are the test part of E. Alpaydin and C. Kaynak (1998), *Optical Recognition of Handwritten Digits*,
    UCI Machine Learning Repository, https://doi.org/10.24432/C50P49, licence CC BY 4.0, in scikit-learn's
    order.

    Returns
    -------
    images : ndarray of uint8, shape (1797, 8, 8), values 0 to 16
    labels : ndarray of uint8, shape (1797,), values 0 to 9

    Examples
    --------
    >>> images, labels = load_digits()
    >>> images.shape, int(images.max()), labels[:10].tolist()
    ((1797, 8, 8), 16, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    """
    return read_labelled_images(
        DIGITS_FOLDER / "images-idx3-ubyte.gz", DIGITS_FOLDER / "labels-idx1-ubyte.gz"
    )


def load_mnist(
    folder: str | os.PathLike[str],
) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Load MNIST, or a data set in its form, from the four idx files in a folder.

    Each file may be plain or gzipped, with or without ``.gz`` at its end; ``train-images.idx3-ubyte`` and so on, as
    some archives have it, are found, too.

    Parameters
    ----------
    folder : where ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``, ``t10k-images-idx3-ubyte`` and
        ``t10k-labels-idx1-ubyte`` lie

    Returns
    -------
    (train_images, train_labels), (test_images, test_labels)
        uint8 arrays of shapes (n, rows, columns) and (n,), pixels 0 to 255 as stored; MNIST has 60,000 and
        10,000 images of 28×28.

    Raises
    ------
    FileNotFoundError
        The folder, or any of the four files, is missing; the message lists all that are and where it looked.
    DataError
        A file is damaged or holds no images, or the files do not belong together.
    """
    train_images, train_labels, test_images, test_labels = _find_mnist(Path(folder))
    training = read_labelled_images(train_images, train_labels)
    testing = read_labelled_images(test_images, test_labels)
    for path, (images, _) in ((train_images, training), (test_images, testing)):
        if not images.size:
            raise DataError(
                f"{path}: expected at least one image of one pixel, but the shape is {images.shape}"
            )
    sizes = [images.shape[1:] for images, _ in (training, testing)]
    if sizes[0] != sizes[1]:
        raise DataError(
            f"{test_images}: images of {sizes[1]} pixels do not match those of {sizes[0]} in {train_images}"
        )
    return training, testing


def _find_mnist(folder: Path) -> list[Path]:
    """The paths of the four files, or one error that lists all that are missing."""
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder.absolute()} is no folder: expected one that holds MNIST's files "
            f"{', '.join(MNIST_FILES)}, each with or without .gz"
        )
    found = {name: _first_file(folder, name, name.replace("-idx", ".idx")) for name in MNIST_FILES}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        raise FileNotFoundError(
            f"{len(missing)} of MNIST's 4 files are missing in {folder.absolute()}: {', '.join(missing)} "
            "(each with or without .gz)"
        )
    return [path for path in found.values() if path is not None]


def _first_file(folder: Path, *names: str) -> Path | None:
    """The first file of the folder that has one of the names, with or without .gz."""
    candidates = (folder / f"{name}{end}" for name in names for end in ("", ".gz"))
    return next((path for path in candidates if path.is_file()), None)
