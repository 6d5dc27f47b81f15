"""Multilayer perceptrons on the explicit tape, and the command that trains one: ``python -m models.mlp``.

The network is written the way the hand-out teaches it: modules compute on plain arrays and record what they
did on an `Autograd`; the reverse pass then fills each layer's ``dW`` and ``db``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from mytorch import nn
from mytorch.autograd_engine import Autograd
from mytorch.data import batches
from mytorch.optim import SGD

Arrays = tuple[np.ndarray, ...]


class MLP:
    """A stack of Linear layers, each followed by an activation, trained by SGD with momentum.

    Parameters
    ----------
    input_size, output_size : width of the rows that go in and come out
    hiddens : widths of the hidden layers, may be empty
    activations : one module per Linear layer, so one more than there are hidden layers
    criterion : called as ``criterion(labels, output)``, then ``criterion.backward()``
    lr : learning rate
    autograd_engine : the tape that the activations and the criterion record on, too
    momentum : v ← momentum · v + gradient, parameter ← parameter − lr · v
    dtype : of the parameters; batches of the same dtype are computed in it throughout

    Attributes
    ----------
    linear_layers : list of `mytorch.nn.Linear`, whose ``momentum_W`` and ``momentum_b`` are the velocities v
    output : ndarray, shape (batch, output_size), what the last `forward` returned
    train_mode : whether `forward` keeps what it records

    Raises
    ------
    ValueError
        The number of activations does not fit the number of layers, a size is not positive, or a module
        records on another tape.

    Examples
    --------
    >>> np.random.seed(0)
    >>> engine = Autograd()
    >>> xor = MLP(2, 2, [8], [nn.Tanh(engine), nn.Identity(engine)], nn.SoftmaxCrossEntropy(engine), lr=0.5,
    ...           autograd_engine=engine, momentum=0.9)
    >>> x, labels = np.array([[0., 0], [0, 1], [1, 0], [1, 1]]), np.eye(2)[[0, 1, 1, 0]]
    >>> for _ in range(100):
    ...     xor.zero_grads()
    ...     _ = xor(x)
    ...     xor.backward(labels)
    ...     xor.step()
    >>> xor(x).argmax(axis=1)
    array([0, 1, 1, 0])
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        hiddens: Sequence[int],
        activations: Sequence[nn.Module],
        criterion: nn.Loss,
        lr: float,
        autograd_engine: Autograd,
        momentum: float = 0.0,
        *,
        dtype: npt.DTypeLike = np.float64,
    ) -> None:
        for module in (*activations, criterion):
            if module.autograd_engine is not autograd_engine:
                raise ValueError(
                    f"MLP: {type(module).__name__} records on another tape than the autograd_engine that the "
                    "MLP was given: make all modules with one and the same engine"
                )
        sizes = [input_size, *hiddens, output_size]
        if min(sizes) < 1:
            raise ValueError(f"MLP: every layer needs at least one unit, got sizes {sizes}")
        if len(activations) != len(hiddens) + 1:
            raise ValueError(
                f"MLP: {len(hiddens)} hidden layers and the output layer take {len(hiddens) + 1} "
                f"activations, got {len(activations)}: end with nn.Identity for an output without one"
            )
        self.input_size, self.output_size = input_size, output_size
        self.nlayers = len(hiddens) + 1
        self.activations = list(activations)
        self.criterion = criterion
        self.lr, self.momentum = lr, momentum
        self.autograd_engine = autograd_engine
        self.linear_layers = [
            nn.Linear(fan_in, fan_out, autograd_engine, dtype=dtype) for fan_in, fan_out in pairwise(sizes)
        ]
        self.optimizer = SGD([(p, gradient) for p, gradient, _ in self._parameters()], lr, momentum)
        for state, (_, _, velocity) in zip(self.optimizer.state, self._parameters(), strict=True):
            state["velocity"] = velocity
        self.train_mode = True
        self._recorded = False

    def _parameters(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Walk through each parameter with its gradient and its velocity."""
        for layer in self.linear_layers:
            yield layer.W, layer.dW, layer.momentum_W
            yield layer.b, layer.db, layer.momentum_b

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Compute the outputs of a batch, shape (batch, input_size) → (batch, output_size).

        In training mode the tape holds what was done until `zero_grads`. The batch is declared constant: the
        gradient of the first layer's input, a third of a step's work, is not computed.
        """
        if x.ndim != 2 or x.shape[1] != self.input_size:
            raise ValueError(f"MLP.forward: expected a batch of shape (n, {self.input_size}), got {x.shape}")
        self._recorded = self.train_mode
        self.autograd_engine.constant(x)
        for linear, activation in zip(self.linear_layers, self.activations, strict=True):
            x = activation(linear(x))
        self.output = x
        if not self.train_mode:
            self.autograd_engine.zero_grad()
        return x

    __call__ = forward

    def zero_grads(self) -> None:
        """Set all gradients to zero and start a new tape."""
        self.optimizer.zero_grad()
        self.autograd_engine.zero_grad()

    def step(self) -> None:
        """Move every parameter against its gradient: one step of SGD with momentum, at the present `lr`."""
        self.optimizer.lr, self.optimizer.momentum = self.lr, self.momentum
        self.optimizer.step()

    def backward(self, labels: np.ndarray) -> None:
        """Add the gradients of the criterion's mean over the last batch to every ``dW`` and ``db``.

        Parameters
        ----------
        labels : targets of the last batch, shape (batch, output_size)
        """
        if not self._recorded:
            raise RuntimeError(
                "MLP.backward: no forward in training mode came before it, so nothing is recorded: "
                "call train(), then forward, then backward"
            )
        self.criterion(labels, self.output)
        self.criterion.backward()

    def error(self, labels: np.ndarray) -> int:
        """Count the rows of the last batch whose largest output is not where the largest label is."""
        return int(np.count_nonzero(self.output.argmax(axis=1) != labels.argmax(axis=1)))

    def total_loss(self, labels: np.ndarray) -> float:
        """Sum the criterion over the rows of the last batch: its mean times their number."""
        self.criterion(labels, self.output)
        return float(np.sum(self.criterion.loss_val)) * len(labels)

    def train(self) -> None:
        """From now on `forward` records for `backward`."""
        self.train_mode = True

    def eval(self) -> None:
        """From now on `forward` leaves nothing on the tape, however long one predicts."""
        self.train_mode = False


def handout_network(
    input_size: int,
    hidden: int,
    output_size: int,
    lr: float,
    autograd_engine: Autograd,
    momentum: float = 0.0,
    *,
    dtype: npt.DTypeLike = np.float64,
) -> MLP:
    """Build the hand-out's network: Input → Linear → ReLU → Linear → Sigmoid → Output.

    Its outputs lie between 0 and 1 and are fitted to one-hot targets by the mean squared error.
    """
    activations = [nn.ReLU(autograd_engine), nn.Sigmoid(autograd_engine)]
    criterion = nn.MSELoss(autograd_engine)
    return MLP(
        input_size, output_size, [hidden], activations, criterion, lr, autograd_engine, momentum, dtype=dtype
    )


def train_epoch(mlp: MLP, minibatches: Iterable[Arrays]) -> tuple[float, float]:
    """Take one step per minibatch.

    Returns
    -------
    loss, error : float
        Means over all rows, each measured before the step that its batch brought about.
    """
    mlp.train()
    loss, errors, rows = 0.0, 0, 0
    for x, labels in minibatches:
        mlp.zero_grads()
        mlp.forward(x)
        mlp.backward(labels)
        loss += float(np.sum(mlp.criterion.loss_val)) * len(x)
        errors += mlp.error(labels)
        rows += len(x)
        mlp.step()
    mlp.zero_grads()
    return loss / rows, errors / rows


def evaluate(mlp: MLP, x: np.ndarray, labels: np.ndarray, batch_size: int = 1000) -> tuple[float, float]:
    """Measure mean loss and error rate, changing neither the parameters nor the mode."""
    mode = mlp.train_mode
    mlp.eval()
    loss, errors = 0.0, 0
    for rows, targets in batches(x, labels, batch_size=batch_size):
        mlp.forward(rows)
        loss += mlp.total_loss(targets)
        errors += mlp.error(targets)
    mlp.zero_grads()
    mlp.train_mode = mode
    return loss / len(x), errors / len(x)


def predict(mlp: MLP, x: np.ndarray, batch_size: int = 1000) -> np.ndarray:
    """Classify rows, shape (n, input_size) → (n,), in evaluation mode; the mode is then as before."""
    mode = mlp.train_mode
    mlp.eval()
    classes = [mlp.forward(rows).argmax(axis=1) for (rows,) in batches(x, batch_size=batch_size)]
    mlp.train_mode = mode
    return np.concatenate(classes)


def get_training_stats(
    mlp: MLP, dset: Sequence[Arrays], nepochs: int, batch_size: int = 1
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Train for some epochs, and measure both parts of a data set in each.

    Parameters
    ----------
    mlp : the network, trained in place
    dset : (training rows, one-hot labels), (validation rows, one-hot labels); what follows is not used
    nepochs : how often to walk through the training rows, each time in another order, drawn from NumPy's
        global generator as the initial weights are, so that one ``np.random.seed`` fixes a whole run
    batch_size : rows per step

    Returns
    -------
    training_losses, training_errors, validation_losses, validation_errors : ndarrays of shape (nepochs,)
        Losses are means per row, errors the share of rows classified wrongly: in training as the epoch went
        by, in validation at its end.
    """
    (x, labels), (validation_x, validation_labels) = dset[0], dset[1]
    stats = np.zeros((4, nepochs))
    for epoch in range(nepochs):
        rng = np.random.default_rng(np.random.randint(2**31))
        training = train_epoch(mlp, batches(x, labels, batch_size=batch_size, rng=rng))
        stats[:, epoch] = *training, *evaluate(mlp, validation_x, validation_labels)
    training_losses, training_errors, validation_losses, validation_errors = stats
    return training_losses, training_errors, validation_losses, validation_errors


if __name__ == "__main__":
    from models.cli import main

    sys.exit(main())
