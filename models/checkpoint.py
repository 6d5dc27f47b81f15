"""Checkpoints of a training run: written whole or not at all, and checked before anything rests on them."""

from __future__ import annotations

import json
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.mlp import MLP
from mytorch.data import DataError

FORMAT = "mytorch MLP checkpoint 1"
TEXTS = ("configuration", "data", "rng_state")  # kept as JSON
# What zipfile and NumPy raise on damaged archives.
DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, KeyError, NotImplementedError)


@dataclass(frozen=True)
class Checkpoint:
    """All that a run needs to go on as if it had never stopped.

    Attributes
    ----------
    configuration : what the run was started with
    data : fingerprint of the data that it ran on
    history : shape (epochs done, 4): training loss and error, test loss and error of each epoch
    rng_state : of the generator that shuffles the rows
    parameters : weights, biases and their velocities by name
    """

    configuration: dict[str, Any]
    data: str
    history: np.ndarray
    rng_state: dict[str, Any]
    parameters: dict[str, np.ndarray]


def named_parameters(mlp: MLP) -> Iterator[tuple[str, np.ndarray]]:
    """Walk through the arrays that training changes, as ('linear 0 W', array)."""
    for i, layer in enumerate(mlp.linear_layers):
        for name in ("W", "b", "momentum_W", "momentum_b"):
            yield f"linear {i} {name}", getattr(layer, name)


def restore_parameters(mlp: MLP, checkpoint: Checkpoint, path: Path) -> None:
    """Copy a checkpoint's arrays into a network; an error names what does not fit, and changes nothing."""
    own = dict(named_parameters(mlp))
    held = checkpoint.parameters
    if own.keys() != held.keys():
        raise DataError(f"{path}: expected the arrays {sorted(own)}, but the checkpoint holds {sorted(held)}")
    for name, array in own.items():
        if (held[name].shape, held[name].dtype) != (array.shape, array.dtype):
            raise DataError(
                f"{path}: {name} should be {array.dtype} of shape {array.shape}, "
                f"but the checkpoint holds {held[name].dtype} of shape {held[name].shape}"
            )
    for name, array in own.items():
        array[...] = held[name]


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint beside `path`, force it to disk, then put it in the place of `path` in one step.

    Whatever interrupts this, `path` holds the old checkpoint or the new one, never a part. A link stays one: the file
    that it names is written.
    """
    path = path.resolve()
    entries: dict[str, Any] = {name: json.dumps(getattr(checkpoint, name)) for name in TEXTS}
    entries |= {"format": FORMAT, "history": checkpoint.history} | checkpoint.parameters
    partial = path.with_name(path.name + ".partial")
    try:
        with open(partial, "wb") as file:
            np.savez(file, **entries)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    DataError
        The file is damaged or no checkpoint of ours; the message names it and says what is wrong.
    """
    arrays = _read_archive(path)
    try:
        if str(arrays.pop("format")) != FORMAT:
            raise DataError(f"{path}: not a checkpoint of models.mlp, or one of another version")
        texts = {name: json.loads(str(arrays.pop(name))) for name in TEXTS}
        history = arrays.pop("history")
    except KeyError as error:
        raise DataError(f"{path}: not a checkpoint of models.mlp: it holds no entry {error}") from error
    except json.JSONDecodeError as error:
        raise DataError(f"{path}: the checkpoint's settings are no JSON ({error})") from error
    if history.ndim != 2 or history.shape[1] != 4 or history.dtype != np.float64:
        raise DataError(
            f"{path}: the history should have 4 columns of float64, got {history.dtype} of shape {history.shape}"
        )
    return Checkpoint(**texts, history=history, parameters=arrays)


def _read_archive(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an npz file; each one's checksum is verified as it is read."""
    with open(path, "rb") as file:
        if not zipfile.is_zipfile(file):
            raise DataError(f"{path}: not a checkpoint, or cut short: it is no whole npz file")
        file.seek(0)
        try:
            with np.load(file, allow_pickle=False) as archive:
                return {name: archive[name] for name in archive.files}
        except DAMAGE as error:
            raise DataError(f"{path}: the checkpoint is damaged ({error})") from error
