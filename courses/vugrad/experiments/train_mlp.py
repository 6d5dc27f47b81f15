"""Train a multilayer perceptron: ``python experiments/train_mlp.py``, or ``... -D mnist -l 0.0001``.

Everything that questions 9 and 10 of the assignment ask to try out is an option: see ``--help``.
"""

from __future__ import annotations

import math
import sys
from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import _context  # noqa: F401 - must come before vugrad
import numpy as np
import vugrad as vg
from vugrad.modules import INITIALISATIONS

from mytorch.optim.optimizer import descend

ACTIVATIONS = {"sigmoid": vg.sigmoid, "relu": vg.relu}
MAX_STEP_SYNTH = 0.5
Rows: TypeAlias = "tuple[np.ndarray, np.ndarray]"


class MLP(vg.Module):
    """A perceptron with hidden layers of one width and a log-softmax on its output.

    Parameters
    ----------
    input_size, output_size : numbers of features and of classes
    hidden_mult : the width of the hidden layers, in input sizes
    width : the width itself, instead
    depth : the number of hidden layers
    activation : the non-linearity after each, a function of nodes
    residual : whether the second and further hidden layers are added to what they are given
    init : the weights that layers start from, a function of the numbers of rows and columns
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        hidden_mult: int = 4,
        *,
        width: int | None = None,
        depth: int = 1,
        activation=vg.sigmoid,
        residual: bool = False,
        init=vg.glorot,
    ) -> None:
        super().__init__()
        width = hidden_mult * input_size if width is None else width
        sizes = [input_size, *[width] * depth]
        self.hidden = [vg.Linear(a, b, init) for a, b in pairwise(sizes)]
        self.output = vg.Linear(width, output_size, init)
        self.activation, self.residual = activation, residual

    def forward(self, input: vg.TensorNode) -> vg.TensorNode:
        """Return the logarithms of the probabilities of the classes."""
        hidden = input
        for i, layer in enumerate(self.hidden):
            out = self.activation(layer(hidden))
            hidden = hidden + out if self.residual and i > 0 else out
        return vg.logsoftmax(self.output(hidden))


class GradientDescent:
    """Gradient descent: ``velocity = momentum * velocity + gradient``, ``value -= lr * velocity``.

    A loss that is summed over the batch has large gradients where the network is wrong most, at the start.  Steps as
    long as they say throw sigmoids into saturation, from which they do not return, so no step is longer than
    `max_step` (None: no limit), the Euclidean norm over all parameters.
    """

    def __init__(
        self,
        parameters: Sequence[vg.TensorNode],
        lr: float,
        momentum: float = 0.0,
        max_step: float | None = None,
    ) -> None:
        self.parameters, self.lr, self.momentum, self.max_step = list(parameters), lr, momentum, max_step
        self.velocities = [np.zeros_like(parm.value) for parm in self.parameters] if momentum else []

    def step(self) -> None:
        """Change the parameters along their gradients."""
        changes = [parm.grad for parm in self.parameters]
        if self.momentum:
            for velocity, gradient in zip(self.velocities, changes, strict=True):
                velocity *= self.momentum
                velocity += gradient
            changes = self.velocities
        rate = self.lr * self._shortening(changes)
        for parm, change in zip(self.parameters, changes, strict=True):
            descend(parm.value, rate, change)  # parm.value -= rate * change, with large arrays in pieces

    def _shortening(self, changes: Sequence[np.ndarray]) -> float:
        """Return the factor, at most one, that makes the step no longer than `max_step`."""
        if self.max_step is None:
            return 1.0
        length = self.lr * np.sqrt(sum(np.vdot(change, change) for change in changes))
        return min(1.0, self.max_step / length) if length > 0 else 1.0


def accuracy(mlp: MLP, x: np.ndarray, y: np.ndarray, rows: int = 1000) -> float:
    """Return the share of rows whose class the network finds, looking at `rows` of them at a time."""
    correct = 0
    for start in range(0, len(x), rows):
        output = mlp(vg.TensorNode(x[start : start + rows], constant=True))
        correct += int(np.sum(np.argmax(output.value, axis=1) == y[start : start + rows]))
        output.clear()
    return correct / len(x)


def train_epoch(mlp: MLP, x: np.ndarray, y: np.ndarray, batch_size: int, optimizer: GradientDescent) -> float:
    """Train on all rows in order, and return the sum of the losses."""
    total = 0.0
    for start in range(0, len(x), batch_size):
        rows = slice(start, start + batch_size)
        loss = vg.logceloss(mlp(vg.TensorNode(x[rows], constant=True)), y[rows])
        total += float(loss.value)
        loss.backward()
        optimizer.step()
        loss.zero_grad()
        loss.clear()
    return total


def load(args: Namespace) -> tuple[Rows, Rows, int]:
    """Load the data set that the options name."""
    if args.data == "synth":
        return vg.load_synth()
    return vg.load_mnist(final=args.final, folder=args.folder)


def model(args: Namespace, input_size: int, output_size: int) -> MLP:
    """Make the network that the options describe."""
    return MLP(
        input_size,
        output_size,
        args.hidden_mult,
        width=args.width,
        depth=args.depth,
        activation=ACTIVATIONS[args.activation],
        residual=args.residual,
        init=INITIALISATIONS[args.init],
    )


def train(args: Namespace, data: tuple[Rows, Rows, int]) -> tuple[list[tuple[float, float]], float]:
    """Train, reporting on the way.

    Returns
    -------
    per epoch the accuracy before it and the loss during it; and the accuracy in the end
    """
    (xtrain, ytrain), (xval, yval), num_classes = data
    mlp = model(args, xtrain.shape[1], num_classes)
    optimizer = GradientDescent(mlp.parameters(), args.lr, args.momentum, args.max_step)
    history = []
    for epoch in range(args.epochs):
        print(f"epoch {epoch:03}")
        before = accuracy(mlp, xval, yval)
        print(f"       accuracy: {before:.4}")
        with np.errstate(over="ignore", invalid="ignore"):
            loss = train_epoch(mlp, xtrain, ytrain, args.batch_size, optimizer)
        print(f"   running loss: {loss:.4}", flush=True)
        history.append((before, loss))
        if not np.isfinite(loss):
            raise SystemExit(f"the loss is no number any more: try a smaller learning rate than {args.lr:g}")
    final = accuracy(mlp, xval, yval)
    print(f"       accuracy: {final:.4} after the last epoch")
    return history, final


def describe(data: tuple[Rows, Rows, int]) -> None:
    """Print how many instances of which class there are."""
    (xtrain, ytrain), (xval, yval), _ = data
    print("## loaded data:")
    print(f"         number of instances: {xtrain.shape[0]} in training, {xval.shape[0]} in validation")
    print(f" training class distribution: {np.bincount(ytrain)}")
    print(f"     val. class distribution: {np.bincount(yval)}")


def options(description: str | None = None) -> ArgumentParser:
    """Return the parser of the command line."""
    parser = ArgumentParser(description=description, formatter_class=ArgumentDefaultsHelpFormatter)
    add = parser.add_argument
    count, rate = _number(int, "a whole number from 1", 1), _number(float, "a number from 0", 0)
    add(
        "-D",
        "--dataset",
        dest="data",
        default="synth",
        choices=("synth", "mnist"),
        help="which data set to use",
    )
    add("-b", "--batch-size", dest="batch_size", default=128, type=count, help="instances per step")
    add("-e", "--epochs", default=20, type=count, help="passes over the training data")
    add(
        "-l",
        "--learning-rate",
        dest="lr",
        default=0.01,
        type=rate,
        help="size of the steps, for a loss that is summed over the batch: 0.01 to 0.1 work well for synth, 0.0001 "
        "for mnist",
    )
    add(
        "-a",
        "--activation",
        default="sigmoid",
        choices=ACTIVATIONS,
        help="non-linearity of the hidden layers",
    )
    momentum = _number(float, "a number from 0 to below 1", 0, 1)
    add("-m", "--momentum", default=0.0, type=momentum, help="share of the last step that is kept")
    add(
        "--max-step",
        default=None,
        type=rate,
        help=f"length that no step exceeds; None: {MAX_STEP_SYNTH} for synth, which lets rates of 0.1 and more train, "
        "no limit for mnist",
    )
    add(
        "-r",
        "--residual",
        action="store_true",
        help="add to each hidden layer but the first what it is given",
    )
    add("-i", "--init", default="glorot", choices=INITIALISATIONS, help="weights to start from")
    add("--depth", default=1, type=count, help="number of hidden layers")
    add("--hidden-mult", default=4, type=count, help="width of the hidden layers, in numbers of features")
    add("--width", default=None, type=count, help="width of the hidden layers, instead")
    add("--data", dest="folder", type=Path, metavar="DIR", help="folder of MNIST's four files")
    add(
        "--final",
        action="store_true",
        help="train on all of MNIST's training rows and report on the test set",
    )
    seed = _number(int, f"a whole number from 0 to below {2**32}", 0, 2**32)
    add("--seed", default=None, type=seed, help="seed of NumPy's random numbers")
    return parser


def _number(
    kind: type[int] | type[float], what: str, least: float, limit: float = math.inf
) -> Callable[[str], float]:
    """Return a function that reads a number of a kind, from `least` to below `limit`, which is `what` in words."""

    def read(text: str) -> float:
        try:
            number = kind(text)
        except ValueError:
            number = math.nan
        if not least <= number < limit:
            raise ArgumentTypeError(f"expected {what}, got {text!r}")
        return number

    return read


def prepared(
    parser: ArgumentParser, arguments: Sequence[str] | None
) -> tuple[Namespace, tuple[Rows, Rows, int]]:
    """Return the options and the data, or end with a message that says what is wrong."""
    args = parser.parse_args(arguments)
    if args.residual and args.depth < 2:
        parser.error("--residual connects hidden layers: it needs --depth 2 or more")
    if args.data != "mnist" and (args.folder or args.final):
        parser.error("--data and --final are about MNIST: they need -D mnist")
    if args.max_step is None and args.data == "synth":
        args.max_step = MAX_STEP_SYNTH
    if args.seed is not None:
        np.random.seed(args.seed)
    try:
        return args, load(args)
    except (OSError, ValueError) as error:
        parser.exit(1, f"{parser.prog}: {error}\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Train as the command line says."""
    args, data = prepared(options(__doc__), arguments)
    describe(data)
    print("\n## Starting training")
    train(args, data)


if __name__ == "__main__":
    main(sys.argv[1:])
