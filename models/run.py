"""A training run of ``python -m models.mlp``: what it was asked to do, on which data, and how far it got."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
from pathlib import Path
from typing import Any

import numpy as np

from models.checkpoint import (
    Checkpoint,
    load_checkpoint,
    named_parameters,
    restore_parameters,
    save_checkpoint,
)
from models.mlp import MLP, evaluate, handout_network, train_epoch
from models.report import progress
from mytorch import nn
from mytorch.autograd_engine import Autograd
from mytorch.data import DataError, batches, load_digits, load_mnist, one_hot, split_indices

NUM_CLASSES = 10
TEST_FRACTION = 0.2
DTYPE = np.float32


@dataclasses.dataclass(frozen=True)
class Configuration:
    """What decides the numbers of a run, beside the data; a checkpoint keeps it."""

    network: str = "mlp"
    hidden: tuple[int, ...] = (128,)
    batch_size: int = 16
    lr: float = 0.1
    momentum: float = 0.9
    seed: int = 0

    @classmethod
    def from_json(cls, settings: dict[str, Any]) -> Configuration:
        """Make a configuration from what JSON kept of it; a ValueError names what is no setting."""
        made = cls(**(settings | {"hidden": tuple(settings["hidden"])}))
        for field in dataclasses.fields(cls):
            value = getattr(made, field.name)
            if type(value) is not type(field.default):
                raise ValueError(f"{field.name}: expected {type(field.default).__name__}, got {value!r}")
        if made.network not in DEFAULTS or not all(type(units) is int for units in made.hidden):
            raise ValueError(
                f"there is no network {made.network!r} with hidden layers of {made.hidden} units"
            )
        return made


DEFAULTS = {"mlp": Configuration(), "handout": Configuration(network="handout", lr=0.3)}
MNIST_BATCH_SIZE = 128  # MNIST has 40 times as many rows as the digits, which take smaller, noisier steps


@dataclasses.dataclass(frozen=True)
class Data:
    """Rows of pixels in [0, 1] and their labels, for training and for testing."""

    name: str
    x: np.ndarray
    labels: np.ndarray
    test_x: np.ndarray
    test_labels: np.ndarray

    @functools.cached_property
    def fingerprint(self) -> str:
        """A digest that tells whether a checkpoint was made on these data."""
        digest = hashlib.sha256()
        for array in (self.x, self.labels, self.test_x, self.test_labels):
            digest.update(array.tobytes())
        return digest.hexdigest()


def load_data(folder: Path | None) -> Data:
    """Load MNIST from a folder; without one, the bundled digits, a fifth of each class for testing."""
    if folder is not None:
        (images, labels), (test_images, test_labels) = load_mnist(folder)
        return Data(f"MNIST in {folder}", _rows(images, 255), labels, _rows(test_images, 255), test_labels)
    images, labels = load_digits()
    kept, held_out = split_indices(labels, TEST_FRACTION)
    x = _rows(images, 16)
    return Data("the UCI digits", x[kept], labels[kept], x[held_out], labels[held_out])


def _rows(images: np.ndarray, largest: int) -> np.ndarray:
    """Each image as one row of numbers in [0, 1]."""
    return images.reshape(len(images), -1) / DTYPE(largest)


def build_network(configuration: Configuration, input_size: int) -> MLP:
    """Build the network, its initial weights drawn from the configuration's seed."""
    c, engine = configuration, Autograd()
    np.random.seed(c.seed)
    if c.network == "handout":
        return handout_network(input_size, c.hidden[0], NUM_CLASSES, c.lr, engine, c.momentum, dtype=DTYPE)
    activations = [*(nn.ReLU(engine) for _ in c.hidden), nn.Identity(engine)]
    criterion = nn.SoftmaxCrossEntropy(engine)
    return MLP(
        input_size, NUM_CLASSES, c.hidden, activations, criterion, c.lr, engine, c.momentum, dtype=DTYPE
    )


class Run:
    """The network in training, the generator that shuffles its rows, and the history so far.

    Attributes
    ----------
    history : ndarray, shape (epochs done, 4): training loss and error, test loss and error
    """

    def __init__(self, configuration: Configuration, data: Data) -> None:
        self.configuration, self.data = configuration, data
        self.mlp = build_network(configuration, data.x.shape[1])
        self.rng = np.random.default_rng(configuration.seed)
        self.history = np.zeros((0, 4))
        self.targets = one_hot(data.labels, NUM_CLASSES, data.x.dtype)
        self.test_targets = one_hot(data.test_labels, NUM_CLASSES, data.x.dtype)

    def epoch(self, label: str) -> np.ndarray:
        """Train for one epoch and append its line to the history."""
        size = self.configuration.batch_size
        minibatches = batches(self.data.x, self.targets, batch_size=size, rng=self.rng)
        steps = progress(minibatches, math.ceil(len(self.targets) / size), label)
        with np.errstate(over="ignore", invalid="ignore"):  # refused by name below
            training = train_epoch(self.mlp, steps)
            line = np.array([*training, *evaluate(self.mlp, self.data.test_x, self.test_targets)])
        if not np.isfinite(line).all():
            raise FloatingPointError(
                f"training diverged in {label}: the loss is {line[0]}; try a smaller --lr"
            )
        self.history = np.vstack([self.history, line])
        return line

    def save(self, path: Path) -> None:
        """Write a checkpoint."""
        checkpoint = Checkpoint(
            configuration=dataclasses.asdict(self.configuration),
            data=self.data.fingerprint,
            history=self.history,
            rng_state=dict(self.rng.bit_generator.state),
            parameters=dict(named_parameters(self.mlp)),
        )
        save_checkpoint(path, checkpoint)

    @classmethod
    def resume(cls, path: Path, data: Data) -> Run:
        """Go on where a checkpoint stands; the data must be those it was made on."""
        checkpoint = load_checkpoint(path)
        try:
            run = cls(Configuration.from_json(checkpoint.configuration), data)
            run.rng.bit_generator.state = checkpoint.rng_state
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path}: the checkpoint's settings do not make a run ({error})") from error
        if checkpoint.data != data.fingerprint:
            raise DataError(f"{path}: the checkpoint was made on other data than {data.name}")
        restore_parameters(run.mlp, checkpoint, path)
        run.history = checkpoint.history
        return run
