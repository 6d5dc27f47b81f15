"""Readers for the idx files in which MNIST is distributed, plain or gzipped.

A file that is damaged, cut short or not what it claims to be is refused here, by name and with what is
wrong with it, so that no training run starts on half of its data.
"""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path

import numpy as np

# The third byte of the magic number names the element type; numbers are stored big-endian.
IDX_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
GZIP_MAGIC = b"\x1f\x8b"
MAX_AXES = 32  # of an array under NumPy 1


class DataError(ValueError):
    """A file does not hold what it should; the message names the file and what is wrong with it."""


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """Read the array in an idx file, which may be gzipped whatever its name says.

    The format: two zero bytes, a byte for the element type, a byte for the number of axes, each axis as a
    big-endian unsigned 32-bit integer, then the elements in C order.

    Parameters
    ----------
    path : path of the file

    Returns
    -------
    ndarray
        A new array of the stored shape, in native byte order; MNIST's files give uint8.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    DataError
        The file is empty, cut short, too long, no idx file, or its compressed data are damaged.

    References
    ----------
    Y. LeCun, C. Cortes, C. J. C. Burges, *The MNIST database of handwritten digits*, section "file formats".

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "labels")
    ...     _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3]) + bytes([7, 2, 1]))
    ...     read_idx(path)
    array([7, 2, 1], dtype=uint8)
    """
    content = _read_bytes(path)
    dtype, shape, start = _parse_header(content, path)
    expected = math.prod(shape) * dtype.itemsize
    if len(content) - start != expected:
        state = "cut short" if len(content) - start < expected else "longer than it says"
        raise DataError(
            f"{os.fspath(path)}: the file is {state}: its header announces shape {shape} of {dtype.name}, "
            f"{expected} bytes, but {len(content) - start} bytes follow"
        )
    return np.frombuffer(content, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))


def read_labelled_images(
    images_path: str | os.PathLike[str], labels_path: str | os.PathLike[str], num_classes: int = 10
) -> tuple[np.ndarray, np.ndarray]:
    """Read a file of images and the file of their labels, and check that they belong together.

    Parameters
    ----------
    images_path : path of an idx file of uint8, shape (n, rows, columns)
    labels_path : path of an idx file of uint8, shape (n,)
    num_classes : labels must lie in 0 … num_classes − 1

    Returns
    -------
    images : ndarray of uint8, shape (n, rows, columns)
    labels : ndarray of uint8, shape (n,)

    Raises
    ------
    FileNotFoundError
        One of the files does not exist.
    DataError
        A file is damaged (see `read_idx`) or holds something else, the counts differ, or a label is out of
        range.
    """
    images = _read_bytes_array(images_path, ndim=3, content="images")
    labels = _read_bytes_array(labels_path, ndim=1, content="labels")
    if len(images) != len(labels):
        raise DataError(
            f"{os.fspath(labels_path)}: {len(labels)} labels do not match the {len(images)} images of "
            f"{os.fspath(images_path)}"
        )
    if labels.size and labels.max() >= num_classes:
        first = int(np.argmax(labels >= num_classes))
        raise DataError(
            f"{os.fspath(labels_path)}: label {labels[first]} at position {first} is out of range: "
            f"expected 0 to {num_classes - 1}"
        )
    return images, labels


def _read_bytes_array(path: str | os.PathLike[str], ndim: int, content: str) -> np.ndarray:
    """An idx file that must hold uint8 with a given number of axes."""
    array = read_idx(path)
    if array.dtype != np.uint8 or array.ndim != ndim:
        raise DataError(
            f"{os.fspath(path)}: expected {content}, that is uint8 with {ndim} axes, "
            f"but the file holds {array.dtype.name} with shape {array.shape}"
        )
    return array


def _read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The file's content, decompressed where it is gzipped."""
    content = Path(path).read_bytes()
    if not content:
        raise DataError(f"{os.fspath(path)}: the file is empty")
    if not content.startswith(GZIP_MAGIC):
        return content
    try:
        return gzip.decompress(content)
    except EOFError as error:
        raise DataError(f"{os.fspath(path)}: the gzipped file is cut short ({error})") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{os.fspath(path)}: the gzipped file is damaged ({error})") from error


def _parse_header(content: bytes, path: str | os.PathLike[str]) -> tuple[np.dtype, tuple[int, ...], int]:
    """Element type, shape, and where the elements start."""
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in IDX_DTYPES or content[3] > MAX_AXES:
        raise DataError(
            f"{os.fspath(path)}: not an idx file: its magic number is 0x{content[:4].hex()}, expected 0x0000 "
            "followed by a type (0x08 for bytes) and the number of axes"
        )
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise DataError(
            f"{os.fspath(path)}: the file is cut short: a header of {start} bytes for {content[3]} axes "
            f"was expected, the whole file has {len(content)}"
        )
    return np.dtype(IDX_DTYPES[content[2]]), tuple(np.frombuffer(content[4:start], ">u4").tolist()), start
