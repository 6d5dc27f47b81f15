"""Data: what is read, what is refused and in which words, how rows are split and batched."""

from __future__ import annotations

import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest

from mytorch.data import (
    DataError,
    batches,
    load_digits,
    load_mnist,
    one_hot,
    read_idx,
    read_labelled_images,
    split_indices,
)
from mytorch.data.datasets import MNIST_FILES


def idx_bytes(array: np.ndarray, type_code: int = 0x08) -> bytes:
    """An array in the idx format, written from the format's description."""
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, type_code, array.ndim, *array.shape)
    return header + array.tobytes()


def write_images(path: Path, count: int, rows: int = 2, columns: int = 3) -> np.ndarray:
    """Write images of known pixels to a file, and give them."""
    images = np.arange(count * rows * columns, dtype=np.uint8).reshape(count, rows, columns)
    path.write_bytes(idx_bytes(images))
    return images


def write_labels(path: Path, labels: list[int]) -> None:
    path.write_bytes(idx_bytes(np.array(labels, np.uint8)))


@pytest.fixture
def small_mnist(tmp_path: Path) -> Path:
    """A folder in MNIST's form with five training and two test images, half of the files gzipped."""
    for name, count in zip(MNIST_FILES, (5, 5, 2, 2), strict=True):
        path = tmp_path / name
        if "images" in name:
            write_images(path, count)
        else:
            write_labels(path, list(range(count)))
    for name in MNIST_FILES[::2]:
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress((tmp_path / name).read_bytes()))
        (tmp_path / name).unlink()
    return tmp_path


# -- idx files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzipped"])
@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 3, 4), (0, 28, 28), ()])
def test_read_idx_gives_the_stored_bytes(tmp_path, compress, shape):
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    (tmp_path / "file").write_bytes(compress(idx_bytes(array)))
    result = read_idx(tmp_path / "file")
    assert result.dtype == np.uint8
    assert result.flags.writeable
    np.testing.assert_array_equal(result, array)


@pytest.mark.parametrize(
    ("type_code", "stored"), [(0x09, ">i1"), (0x0B, ">i2"), (0x0C, ">i4"), (0x0D, ">f4"), (0x0E, ">f8")]
)
def test_read_idx_gives_every_type_in_native_order(tmp_path, type_code, stored):
    array = np.array([[-3, 100], [1, 0]], stored)
    (tmp_path / "file").write_bytes(idx_bytes(array, type_code))
    result = read_idx(str(tmp_path / "file"))
    assert result.dtype == np.dtype(stored).newbyteorder("=")
    assert result.dtype.isnative
    np.testing.assert_array_equal(result, array)


WHOLE = idx_bytes(np.arange(12, dtype=np.uint8).reshape(3, 4))
GZIPPED = gzip.compress(WHOLE, mtime=0)


def flipped(content: bytes, position: int) -> bytes:
    """The content with all bits of one byte inverted."""
    return content[:position] + bytes([content[position] ^ 0xFF]) + content[position + 1 :]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (WHOLE[:3], "not an idx file: its magic number is 0x000008"),
        (b"<html>not found</html>", "not an idx file: its magic number is 0x3c68746d"),
        (b"\0\0\x07\x01" + bytes(8), "not an idx file: its magic number is 0x00000701"),
        (b"\0\0\x08\xc8" + b"\0\0\0\1" * 200 + b"\0", "not an idx file: its magic number is 0x000008c8"),
        (WHOLE[:7], r"cut short: a header of 12 bytes for 2 axes was expected, the whole file has 7"),
        (
            WHOLE[:-1],
            r"cut short: its header announces shape \(3, 4\) of uint8, 12 bytes, but 11 bytes follow",
        ),
        (
            WHOLE + b"\0",
            r"longer than it says: its header announces shape \(3, 4\) of uint8, 12 bytes, but 13",
        ),
        (b"\0\0\x08\x03" + b"\xff" * 12, r"cut short: its header announces shape \(4294967295, 4294967295, "),
        (GZIPPED[:-9], "the gzipped file is cut short"),
        (GZIPPED[:5], "the gzipped file is cut short"),
        (flipped(GZIPPED, 2), "the gzipped file is damaged"),
        (flipped(GZIPPED, 10), "the gzipped file is damaged"),
        (flipped(GZIPPED, -8), "the gzipped file is damaged"),
        (GZIPPED + b"garbage", "the gzipped file is damaged"),
        (gzip.compress(b"hello", mtime=0), "not an idx file: its magic number is 0x68656c6c"),
    ],
)
def test_a_damaged_file_is_named_with_what_is_wrong(tmp_path, content, message):
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"train-images-idx3-ubyte: .*{message}"):
        read_idx(path)


def test_every_truncation_of_a_file_is_refused(tmp_path):
    for content in (WHOLE, GZIPPED):
        for length in range(len(content)):
            (tmp_path / "file").write_bytes(content[:length])
            with pytest.raises(DataError, match="file: "):
                read_idx(tmp_path / "file")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no-such-file"):
        read_idx(tmp_path / "no-such-file")


# -- images with their labels -------------------------------------------------------------------------


def test_labelled_images(tmp_path):
    images = write_images(tmp_path / "images", 3)
    write_labels(tmp_path / "labels", [9, 0, 4])
    result, labels = read_labelled_images(tmp_path / "images", tmp_path / "labels")
    np.testing.assert_array_equal(result, images)
    assert labels.tolist() == [9, 0, 4]


@pytest.mark.parametrize(
    ("labels", "num_classes", "message"),
    [
        ([1, 2], 10, r"labels: 2 labels do not match the 3 images of .*images"),
        ([1, 10, 2], 10, r"labels: label 10 at position 1 is out of range: expected 0 to 9"),
        ([0, 1, 2], 2, r"labels: label 2 at position 2 is out of range: expected 0 to 1"),
    ],
)
def test_labels_that_do_not_fit_are_refused(tmp_path, labels, num_classes, message):
    write_images(tmp_path / "images", 3)
    write_labels(tmp_path / "labels", labels)
    with pytest.raises(DataError, match=message):
        read_labelled_images(tmp_path / "images", tmp_path / "labels", num_classes)


def test_files_given_in_the_wrong_order_are_refused(tmp_path):
    write_images(tmp_path / "images", 3)
    write_labels(tmp_path / "labels", [1, 2, 3])
    with pytest.raises(
        DataError, match=r"labels: expected images, .* 3 axes, but .* uint8 with shape \(3,\)"
    ):
        read_labelled_images(tmp_path / "labels", tmp_path / "images")


def test_images_of_another_type_are_refused(tmp_path):
    (tmp_path / "images").write_bytes(idx_bytes(np.zeros((3, 2, 2), ">f4"), 0x0D))
    write_labels(tmp_path / "labels", [1, 2, 3])
    with pytest.raises(DataError, match=r"images: expected images, .* but the file holds float32"):
        read_labelled_images(tmp_path / "images", tmp_path / "labels")


# -- data sets ----------------------------------------------------------------------------------------


def test_the_digits_are_scikit_learns():
    images, labels = load_digits()
    assert images.shape == (1797, 8, 8)
    assert images.dtype == labels.dtype == np.uint8
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    # Of sklearn.datasets.load_digits(), images and then target as bytes.
    digest = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    assert digest == "87ff0c9e40dc7e2c0e34e7257799c2e3f3aec1a016363bb11cad869ec428a826"


def test_mnist_from_a_folder_of_plain_and_gzipped_files(small_mnist):
    (train_images, train_labels), (test_images, test_labels) = load_mnist(small_mnist)
    assert train_images.shape == (5, 2, 3)
    assert train_labels.tolist() == [0, 1, 2, 3, 4]
    assert test_images.shape == (2, 2, 3)
    assert test_labels.tolist() == [0, 1]


def test_the_real_mnist(mnist_folder):
    (train_images, train_labels), (test_images, test_labels) = load_mnist(mnist_folder)
    assert train_images.shape == (60000, 28, 28)
    assert test_images.shape == (10000, 28, 28)
    assert np.bincount(train_labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(test_labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


def test_all_missing_files_are_listed_with_where_it_looked(small_mnist):
    (small_mnist / "train-labels-idx1-ubyte").unlink()
    (small_mnist / "t10k-images-idx3-ubyte.gz").unlink()
    with pytest.raises(FileNotFoundError) as caught:
        load_mnist(small_mnist)
    message = str(caught.value)
    assert message.startswith(f"2 of MNIST's 4 files are missing in {small_mnist}: ")
    assert "train-labels-idx1-ubyte, t10k-images-idx3-ubyte (each" in message
    assert "train-images" not in message


def test_a_folder_that_is_none(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere is no folder: .* train-images-idx3-ubyte"):
        load_mnist(tmp_path / "nowhere")


def test_the_names_with_a_dot_are_found_too(small_mnist):
    expected = load_mnist(small_mnist)
    for path in list(small_mnist.iterdir()):
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    found = load_mnist(small_mnist)
    np.testing.assert_array_equal(found[0][0], expected[0][0])
    np.testing.assert_array_equal(found[1][1], expected[1][1])


@pytest.mark.parametrize(
    ("position", "shape", "message"),
    [
        (
            2,
            (2, 3, 3),
            r"t10k-images.*: images of \(3, 3\) pixels do not match those of \(2, 3\) in .*train-images",
        ),
        (
            0,
            (5, 0, 3),
            r"train-images.*: expected at least one image of one pixel, but the shape is \(5, 0, 3\)",
        ),
    ],
)
def test_images_that_no_network_can_take_are_refused(small_mnist, position, shape, message):
    (small_mnist / f"{MNIST_FILES[position]}.gz").unlink()
    (small_mnist / MNIST_FILES[position]).write_bytes(idx_bytes(np.zeros(shape, np.uint8)))
    with pytest.raises(DataError, match=message):
        load_mnist(small_mnist)


def test_no_images_at_all_are_refused(small_mnist):
    (small_mnist / f"{MNIST_FILES[2]}.gz").unlink()
    write_images(small_mnist / MNIST_FILES[2], 0)
    write_labels(small_mnist / MNIST_FILES[3], [])
    with pytest.raises(DataError, match=r"t10k-images.*expected at least one image .* shape is \(0, 2, 3\)"):
        load_mnist(small_mnist)


def test_a_damaged_file_of_mnist_is_named(small_mnist):
    path = small_mnist / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte\.gz: the gzipped file is cut short"):
        load_mnist(small_mnist)


# -- preparation --------------------------------------------------------------------------------------


def test_one_hot_rows_select_the_label():
    labels = np.array([3, 0, 3, 1], np.uint8)
    encoded = one_hot(labels, 4, np.float32)
    assert encoded.dtype == np.float32
    np.testing.assert_array_equal(encoded, np.eye(4)[labels])
    assert one_hot([], 4).shape == (0, 4)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 4], "labels run from 0 to 4, expected 0 to 3"),
        ([-1, 2], "labels run from -1 to 2, expected 0 to 3"),
        ([0.0, 1.0], r"expected a vector of integer labels, got float64 of shape \(2,\)"),
        ([[0], [1]], r"expected a vector of integer labels, got int64 of shape \(2, 1\)"),
    ],
)
def test_one_hot_refuses_what_is_no_label(labels, message):
    with pytest.raises(ValueError, match=message):
        one_hot(labels, 4)


@pytest.mark.parametrize("stratify", [True, False])
def test_a_split_holds_every_row_once_and_repeats(stratify):
    labels = load_digits()[1]
    kept, held_out = split_indices(labels, 0.2, seed=3, stratify=stratify)
    np.testing.assert_array_equal(np.sort(np.concatenate([kept, held_out])), np.arange(len(labels)))
    for again, first in zip(
        split_indices(labels, 0.2, seed=3, stratify=stratify), (kept, held_out), strict=True
    ):
        np.testing.assert_array_equal(again, first)
    assert not np.array_equal(split_indices(labels, 0.2, seed=4, stratify=stratify)[1], held_out)


def test_a_stratified_split_divides_each_class_and_a_plain_one_the_whole():
    labels = np.repeat([0, 1, 2], [10, 20, 70])
    assert np.bincount(labels[split_indices(labels, 0.3)[1]]).tolist() == [3, 6, 21]
    assert len(split_indices(labels, 0.25, stratify=False)[1]) == 25


@pytest.mark.parametrize("fraction", [-0.1, 1.5, float("nan")])
def test_a_split_refuses_an_impossible_fraction(fraction):
    with pytest.raises(ValueError, match="the fraction held out must lie between 0 and 1, got"):
        split_indices([0, 1], fraction)


def test_a_split_refuses_one_hot_labels():
    with pytest.raises(ValueError, match=r"expected a vector of labels, got shape \(2, 3\)"):
        split_indices(np.zeros((2, 3)), 0.5)


def test_shuffled_batches_hold_every_row_once_and_keep_pairs(rng):
    x, y = np.arange(10), np.arange(10) * 2
    found = list(batches(x, y, batch_size=4, rng=rng))
    assert [len(rows) for rows, _ in found] == [4, 4, 2]
    order = np.concatenate([rows for rows, _ in found])
    assert not np.array_equal(order, x)
    np.testing.assert_array_equal(np.sort(order), x)
    np.testing.assert_array_equal(np.concatenate([rows for _, rows in found]), order * 2)


def test_batches_in_order_are_views():
    x = np.arange(5)
    assert all(np.shares_memory(x, rows) for (rows,) in batches(x, batch_size=2))


@pytest.mark.parametrize(
    ("arrays", "batch_size", "message"),
    [
        ([np.arange(3), np.arange(4)], 2, r"arrays of one length, got lengths \[3, 4\]"),
        ([], 2, r"arrays of one length, got lengths \[\]"),
        ([np.arange(3)], 0, "the batch size must be at least 1, got 0"),
    ],
)
def test_batches_refuse_bad_input_at_the_call(arrays, batch_size, message):
    with pytest.raises(ValueError, match=message):
        batches(*arrays, batch_size=batch_size)
