"""Train a multilayer perceptron with vugrad: ``python experiments/train_mlp.py``, or ``-D mnist -l 0.0001``.

Questions 9 and 10 are options: another activation, more layers, other widths, momentum, residual connections, other
initialisations.  ``compare_activations.py`` runs question 9.
"""

import sys
from argparse import ArgumentParser
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(FOLDER))

import vugrad as vg
from vugrad.modules import INITIALISATIONS

ACTIVATIONS = {"sigmoid": vg.sigmoid, "relu": vg.ReLU.do_forward}
DATASETS = ("synth", "mnist")


class MLP(vg.Module):
    """A perceptron with hidden layers that gives logarithms of class probabilities.

    `width` is that of the hidden layers, by default four times the input; with `residual`, every hidden layer after
    the first adds its input to its output.
    """

    def __init__(
        self,
        input_size,
        output_size,
        *,
        layers=1,
        width=None,
        activation="sigmoid",
        residual=False,
        init="glorot",
    ):
        sizes = [input_size] + [width or 4 * input_size] * layers
        make = INITIALISATIONS[init]
        self.hidden = [vg.Linear(a, b, make) for a, b in zip(sizes, sizes[1:], strict=False)]
        self.output = vg.Linear(sizes[-1], output_size, make)
        self.activation = ACTIVATIONS[activation]
        self.residual = residual

    def forward(self, input):
        x = input
        for i, layer in enumerate(self.hidden):
            y = self.activation(layer(x))
            x = x + y if self.residual and i > 0 else y
        return vg.logsoftmax(self.output(x))


class SGD:
    """Gradient descent: ``velocity = momentum * velocity + gradient``, ``value -= rate * velocity``.

    The loss is a sum over the batch, so its gradient grows with the batch and with how wrong the network is; where its
    norm exceeds `clip` the step is shortened to that norm.  Without this, large rates throw sigmoids into saturation
    in the first steps, from which they do not return.
    """

    def __init__(self, parameters, rate, momentum=0.0, clip=None):
        self.parameters, self.rate, self.momentum, self.clip = parameters, rate, momentum, clip
        self.velocities = [np.zeros_like(node.value) for node in parameters] if momentum else None

    def step(self):
        scale = self.rate * self._shortening()
        for i, node in enumerate(self.parameters):
            step = node.grad * scale
            if self.velocities is not None:
                self.velocities[i] *= self.momentum
                self.velocities[i] += step
                step = self.velocities[i]
            node.value -= step

    def _shortening(self):
        """Return the factor, at most one, that keeps the gradient's norm within `clip`."""
        if self.clip is None:
            return 1.0
        norm = np.sqrt(sum(np.vdot(node.grad, node.grad) for node in self.parameters))
        return min(1.0, self.clip / norm) if norm > 0 else 1.0


def load(name, data=None):
    """Return the training set, the validation set and the number of classes of a data set."""
    if name == "synth":
        return vg.load_synth()
    if name == "mnist":
        return vg.load_mnist(final=False, flatten=True, folder=data)
    raise ValueError(f"Dataset {name} not recognized; expected one of {', '.join(DATASETS)}")


def accuracy(mlp, x, y, rows=1000):
    """Return the share of rows whose most probable class is the right one."""
    correct = 0
    for start in range(0, len(x), rows):
        outputs = mlp(vg.TensorNode(x[start : start + rows], constant=True))
        correct += np.sum(np.argmax(outputs.value, axis=1) == y[start : start + rows])
        outputs.clear()
    return correct / len(x)


def train_epoch(mlp, optimizer, x, y, batch_size):
    """Train on all rows once, in their order, and return the sum of the losses on the way."""
    total = 0.0
    for start in range(0, len(x), batch_size):
        # Nobody wants the gradient of the data: of a constant none is computed.
        batch = vg.TensorNode(x[start : start + batch_size], constant=True)
        loss = vg.logceloss(mlp(batch), y[start : start + batch_size])
        total += float(loss.value)
        loss.backward()
        optimizer.step()
        loss.zero_grad()
        loss.clear()
    return total


def epochs(mlp, optimizer, training, validation, count, batch_size):
    """Train, and give for every epoch the validation accuracy before it and the running loss of it."""
    for _ in range(count):
        before = accuracy(mlp, *validation)
        yield before, train_epoch(mlp, optimizer, *training, batch_size)


def model_of(options, num_features, num_classes):
    """Return the network and the optimizer that the command's options ask for."""
    np.random.seed(options.seed)
    mlp = MLP(
        num_features,
        num_classes,
        layers=options.layers,
        width=options.width,
        activation=options.activation,
        residual=options.residual,
        init=options.init,
    )
    return mlp, SGD(mlp.parameters(), options.learning_rate, options.momentum, options.clip)


def natural(text):
    """Return a number of things, at least one."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def arguments(description, epochs=20):
    """Return the parser of the options that all experiments have."""
    parser = ArgumentParser(description=description)
    add = parser.add_argument
    add("-D", "--dataset", dest="data", default="synth", metavar="{synth,mnist}", help="the data set (synth)")
    add("-b", "--batch-size", type=natural, default=128, help="rows per step (128)")
    add("-e", "--epochs", type=natural, default=epochs, help=f"how often to go through the data ({epochs})")
    add("-l", "--learning-rate", type=float, default=0.01, help="0.01; try 0.1 for synth, 0.0001 for mnist")
    add("--activation", choices=ACTIVATIONS, default="sigmoid", help="of the hidden layers (sigmoid)")
    add("--layers", type=natural, default=1, help="hidden layers (1)")
    add("--width", type=natural, help="units of each hidden layer (four times the input)")
    add("--momentum", type=float, default=0.0, help="share of the last step in the next (0)")
    add("--residual", action="store_true", help="add to each hidden layer after the first its input")
    add("--init", choices=INITIALISATIONS, default="glorot", help="of the weights (glorot)")
    add("--clip", type=float, default=None, help="shorten gradients to this norm")
    add("--seed", type=int, default=0, help="of the weights (0)")
    add(
        "--data", dest="folder", help="the folder of MNIST's four files (the variable MYTORCH_MNIST, or data)"
    )
    return parser


def data_of(parser, options):
    """Return the data that the options name; end with a message where there are none."""
    try:
        return load(options.data, options.folder)
    except (ValueError, OSError) as error:
        parser.error(str(error))


def main():
    """Train, and print the class distributions, and per epoch the validation accuracy before it and the loss."""
    parser = arguments(__doc__.splitlines()[0])
    options = parser.parse_args()
    (x, y), (x_val, y_val), num_classes = data_of(parser, options)
    print("## loaded data:")
    print(f"         number of instances: {len(x)} in training, {len(x_val)} in validation")
    print(f" training class distribution: {np.bincount(y)}")
    print(f"     val. class distribution: {np.bincount(y_val)}")

    mlp, optimizer = model_of(options, x.shape[1], num_classes)
    print("\n## Starting training")
    history = epochs(mlp, optimizer, (x, y), (x_val, y_val), options.epochs, options.batch_size)
    for epoch, (before, loss) in enumerate(history):
        print(f"epoch {epoch:03}")
        print(f"       accuracy: {before:.4}")
        print(f"   running loss: {loss:.4}", flush=True)


if __name__ == "__main__":
    main()
