"""The command ``python -m models.mlp``: trains a multilayer perceptron on digits and shows how it went.

Everything that can be refused is refused before training starts: options, data, the checkpoint to resume,
and the places where results shall go.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from models.mlp import predict
from models.report import check_plot, confusion_matrix, format_confusion, plot_curves
from models.run import DEFAULTS, DTYPE, MNIST_BATCH_SIZE, NUM_CLASSES, Configuration, Data, Run, load_data
from mytorch.data import DataError
from mytorch.doctor import Case, restart

EPOCHS = 30
INTERRUPTED = 130  # what a shell reports of a program that SIGINT ended


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns
    -------
    int
        Exit status: 0, or 1 after an error or below ``--min-accuracy``, or 130 when interrupted; options that
        make no sense exit with 2 at once.
    """
    parser = build_parser()
    options = parser.parse_args(argv)
    try:
        for option in ("save", "plot"):
            check_place(getattr(options, option), option)
        if options.plot is not None:
            check_plot(options.plot)
        run = start(options, load_data(options.data), parser)
        if options.fast_blas:
            fast_blas(run, parser, is_command=argv is None)
        print(describe(run), flush=True)
        train(run, options)
        return conclude(run, options)
    except BrokenPipeError:
        # Whoever read the output has gone; what Python still wants to flush has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OSError, DataError, ModuleNotFoundError, FloatingPointError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except MemoryError as error:
        print(f"error: out of memory: {error}; try a smaller --hidden or --batch-size", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        kept = options.save is not None and options.save.exists()
        print("interrupted" + (f"; go on with --resume {options.save}" if kept else ""), file=sys.stderr)
        return INTERRUPTED


def build_parser() -> argparse.ArgumentParser:
    """Describe the options; those that a checkpoint holds have no default here, so that a clash is seen."""
    d = DEFAULTS["mlp"]
    parser = argparse.ArgumentParser(
        prog="python -m models.mlp",
        description="Train a multilayer perceptron on hand-written digits, with gradients from the tape.",
        epilog="Equal options and seed give bit-identical results, with or without a stop in between.",
    )
    add = parser.add_argument
    count, size, rate = bounded(int, 1), bounded(int, 0, 2**32), bounded(float, 0)
    add("--data", type=Path, metavar="DIR", help="folder of MNIST's four idx files (default: the UCI digits)")
    add(
        "--network",
        choices=DEFAULTS,
        help="mlp (default): ReLU layers, softmax cross-entropy; "
        "handout: Linear, ReLU, Linear, Sigmoid, mean squared error",
    )
    add(
        "--hidden",
        type=count,
        nargs="+",
        metavar="N",
        help=f"units per hidden layer (default: {d.hidden[0]})",
    )
    add(
        "--epochs",
        type=count,
        default=EPOCHS,
        metavar="N",
        help="in all, resumed ones too (default: %(default)s)",
    )
    add(
        "--batch-size",
        type=count,
        metavar="N",
        help=f"rows per step (default: {d.batch_size}, MNIST: {MNIST_BATCH_SIZE})",
    )
    add(
        "--lr",
        type=rate,
        metavar="X",
        help=f"learning rate (default: {d.lr}, handout: {DEFAULTS['handout'].lr})",
    )
    add("--momentum", type=bounded(float, 0, 1), metavar="X", help=f"of SGD, below 1 (default: {d.momentum})")
    add("--seed", type=size, metavar="N", help=f"of the weights and the order (default: {d.seed})")
    add("--save", type=Path, metavar="FILE", help="write a checkpoint after every epoch")
    add(
        "--resume",
        type=Path,
        metavar="FILE",
        help="go on from a checkpoint, with the options it was made with",
    )
    add(
        "--fast-blas",
        action="store_true",
        help="measure NumPy's BLAS, and start again with the kernels and threads that are faster here, if any "
        "are: results are then the same up to rounding",
    )
    add("--plot", type=Path, metavar="FILE.png", help="draw the curves (needs matplotlib)")
    add("--min-accuracy", type=rate, metavar="PERCENT", help="exit with 1 if the test accuracy ends below")
    return parser


def bounded(kind: type[int] | type[float], least: float, limit: float = math.inf) -> Callable[[str], float]:
    """Make a converter that refuses all but numbers from `least` to below `limit`."""

    def convert(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not least <= value < limit:
            upper = "" if limit == math.inf else f" to below {limit}"
            name = "an integer" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"expected {name} from {least}{upper}, got {text!r}")
        return value

    return convert


def check_place(path: Path | None, option: str) -> None:
    """Refuse, before training starts, a file that could not be written after it."""
    if path is None:
        return
    folder = path.absolute().parent
    if path.is_dir() or not folder.is_dir():
        raise FileNotFoundError(f"--{option} {path}: expected the name of a file in a folder that exists")
    if path.exists() and not path.is_file():
        raise FileExistsError(
            f"--{option} {path}: expected the name of a file, but this is a device or a pipe"
        )
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"--{option} {path}: the folder {folder} may not be written to")


def start(options: argparse.Namespace, data: Data, parser: argparse.ArgumentParser) -> Run:
    """Begin a run, or take up the one in a checkpoint, whose options then hold."""
    names = [field.name for field in dataclasses.fields(Configuration)]
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    if "hidden" in given:
        given["hidden"] = tuple(given["hidden"])
    if options.resume is None:
        if options.data is not None:
            given.setdefault("batch_size", MNIST_BATCH_SIZE)
        configuration = dataclasses.replace(DEFAULTS[options.network or "mlp"], **given)
        if configuration.network == "handout" and len(configuration.hidden) != 1:
            parser.error(
                f"--hidden: the hand-out's network has 1 hidden layer, got {len(configuration.hidden)}"
            )
        return Run(configuration, data)
    run = Run.resume(options.resume, data)
    for name, value in given.items():
        if value != (held := getattr(run.configuration, name)):
            flag = name.replace("_", "-")
            parser.error(f"--{flag}: {options.resume} was made with {held}, got {value}: leave --{flag} out")
    if len(run.history) > options.epochs:
        parser.error(
            f"--epochs: {options.resume} holds {len(run.history)} epochs, got {options.epochs} in all"
        )
    return run


def fast_blas(run: Run, parser: argparse.ArgumentParser, *, is_command: bool) -> None:
    """Start this command again with the settings of BLAS that help the run, or say why not."""
    if not is_command:
        parser.error(
            "--fast-blas: expected a process of its own, since BLAS reads its settings when it is loaded, got a "
            "call from Python: start `python -m models.mlp --fast-blas` in a shell"
        )
    sizes = (run.data.x.shape[1], *run.configuration.hidden, NUM_CLASSES)
    outcome = restart(Case("step", run.configuration.batch_size, sizes, np.dtype(DTYPE).name))
    if outcome:
        print(f"--fast-blas: {outcome}")


def describe(run: Run) -> str:
    """Say in three lines on what, what, and how."""
    c, data = run.configuration, run.data
    size = sum(layer.W.size + layer.b.size for layer in run.mlp.linear_layers)
    layers = " → ".join(map(str, [data.x.shape[1], *c.hidden, NUM_CLASSES]))
    kind = {"mlp": "ReLU, softmax cross-entropy", "handout": "ReLU, Sigmoid, mean squared error"}[c.network]
    return (
        f"data      {data.name}: {len(data.x)} rows for training, {len(data.test_x)} for testing\n"
        f"network   {layers}, {kind}, {size} parameters\n"
        f"training  batch {c.batch_size}, learning rate {c.lr}, momentum {c.momentum}, seed {c.seed}\n"
    )


def train(run: Run, options: argparse.Namespace) -> None:
    """Train to the number of epochs asked for: a line and, if wanted, a checkpoint for each."""
    print("epoch    training loss  accuracy    test loss  accuracy")
    for number in range(len(run.history) + 1, options.epochs + 1):
        name = f"{number:3d}/{options.epochs}"
        loss, error, test_loss, test_error = run.epoch(f"epoch {name.strip()}")
        if options.save is not None:
            run.save(options.save)
        right, test_right = 100 * (1 - error), 100 * (1 - test_error)
        print(f"{name:7s} {loss:14.4f} {right:8.2f}% {test_loss:12.4f} {test_right:8.2f}%", flush=True)


def conclude(run: Run, options: argparse.Namespace) -> int:
    """Show the confusion matrix, draw the curves; the exit status."""
    labels = run.data.test_labels
    predicted = predict(run.mlp, run.data.test_x)
    right = int((predicted == labels).sum())
    accuracy = 100 * right / len(labels)
    print("\n" + format_confusion(confusion_matrix(labels, predicted, NUM_CLASSES)))
    print(f"\ntest accuracy {accuracy:.2f} % ({right} of {len(labels)})")
    if options.plot is not None:
        plot_curves(options.plot, run.history, f"{run.data.name}: test accuracy {accuracy:.2f} %")
        print(f"curves in {options.plot}")
    if options.min_accuracy is not None and accuracy < options.min_accuracy:
        print(f"error: at least {options.min_accuracy} % were asked for", file=sys.stderr)
        return 1
    return 0
