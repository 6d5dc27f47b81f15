"""Question 9: train the same network with sigmoids and with ReLUs, and compare the validation accuracies.

``python experiments/compare_activations.py`` prints a table and draws the curves to a PNG file; ``-D mnist -l 0.0001``
and the other options of train_mlp.py hold for both networks, which start from the same weights.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from train_mlp import ACTIVATIONS, describe, options, prepared, train

History = list[tuple[float, float]]


def table(histories: dict[str, History]) -> str:
    """Return the accuracies before, and the losses during, every epoch, as lines of text."""
    head = "epoch" + "".join(f" {name + ' accuracy':>17} {name + ' loss':>14}" for name in histories)
    rows = [
        f"{epoch:5}" + "".join(f" {accuracy:17.4f} {loss:14.1f}" for accuracy, loss in row)
        for epoch, row in enumerate(zip(*histories.values(), strict=True))
    ]
    return "\n".join([head, *rows])


def draw(histories: dict[str, History], finals: dict[str, float], title: str, path: Path) -> None:
    """Draw the curves of accuracy and loss to a file."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, history in histories.items():
        accuracies, losses = zip(*history, strict=True)
        left.plot([*accuracies, finals[name]], marker=".", label=name)
        right.plot(np.arange(1, len(losses) + 1), losses, marker=".", label=name)
    left.set(title=title, xlabel="epochs trained", ylabel="validation accuracy")
    right.set(title="running loss", xlabel="epoch", ylabel="sum over the training set", yscale="log")
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend()
    figure.savefig(path, dpi=150)


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare as the command line says."""
    parser = options(__doc__)
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("activations.png"), help="where to draw the curves"
    )
    args, data = prepared(parser, arguments)
    folder = args.output.absolute().parent
    if not folder.is_dir():
        parser.error(f"-o/--output: there is no folder {folder} to draw the curves in")
    seed = np.random.randint(2**31) if args.seed is None else args.seed
    describe(data)
    histories: dict[str, History] = {}
    finals = {}
    for name in ACTIVATIONS:
        print(f"\n## {name}")
        np.random.seed(seed)
        histories[name], finals[name] = train(Namespace(**{**vars(args), "activation": name}), data)
    print(f"\n{table(histories)}")
    print("final" + "".join(f" {final:17.4f} {'':14}" for final in finals.values()).rstrip())
    try:
        draw(histories, finals, f"{args.data}, learning rate {args.lr:g}", args.output)
    except ImportError:
        print("\nno curves: matplotlib is not installed; pip install matplotlib")
    else:
        print(f"\ncurves: {args.output}")


if __name__ == "__main__":
    main(sys.argv[1:])
