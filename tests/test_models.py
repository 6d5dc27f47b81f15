"""Multilayer perceptrons: gradients and steps against PyTorch and finite differences, and what is refused."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from models.cli import main
from models.mlp import MLP, evaluate, get_training_stats, handout_network, predict, train_epoch
from models.report import confusion_matrix, format_confusion
from mytorch import nn
from mytorch.autograd_engine import Autograd
from mytorch.data import batches, load_digits, one_hot, split_indices


def classifier(lr: float = 0.1, momentum: float = 0.9, dtype: npt.DTypeLike = np.float64) -> MLP:
    """A network 3 → 5 → 4 → 2 with tanh and softmax cross-entropy."""
    engine = Autograd()
    activations = [nn.Tanh(engine), nn.Tanh(engine), nn.Identity(engine)]
    criterion = nn.SoftmaxCrossEntropy(engine)
    return MLP(3, 2, [5, 4], activations, criterion, lr, engine, momentum, dtype=dtype)


def handout(lr: float = 0.5, momentum: float = 0.0) -> MLP:
    return handout_network(3, 5, 2, lr, Autograd(), momentum)


@pytest.fixture
def batch(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Six rows and their one-hot labels."""
    return rng.standard_normal((6, 3)), np.eye(2)[rng.integers(0, 2, 6)]


def arrays(mlp: MLP, *names: str) -> list[np.ndarray]:
    """Copies of the named arrays of every layer."""
    return [getattr(layer, name).copy() for layer in mlp.linear_layers for name in names]


def take_step(mlp: MLP, x: np.ndarray, labels: np.ndarray) -> None:
    mlp.zero_grads()
    mlp.forward(x)
    mlp.backward(labels)
    mlp.step()


def torch_twin(torch: ModuleType, mlp: MLP, network: str) -> tuple[Any, Any]:
    """The same network, with the same weights, in PyTorch; and its criterion."""
    layers = []
    activation = {"classifier": torch.nn.Tanh, "handout": torch.nn.ReLU}[network]
    for layer in mlp.linear_layers:
        twin = torch.nn.Linear(layer.W.shape[1], layer.W.shape[0], dtype=torch.float64)
        with torch.no_grad():
            twin.weight.copy_(torch.tensor(layer.W))
            twin.bias.copy_(torch.tensor(layer.b[:, 0]))
        layers += [twin, activation()]
    layers[-1] = torch.nn.Sigmoid() if network == "handout" else torch.nn.Identity()
    criterion = torch.nn.MSELoss() if network == "handout" else torch.nn.CrossEntropyLoss()
    return torch.nn.Sequential(*layers), criterion


@pytest.mark.parametrize("network", ["classifier", "handout"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_twenty_steps_are_those_of_pytorch(torch, batch, network, momentum):
    mlp = (classifier if network == "classifier" else handout)(lr=0.3, momentum=momentum)
    twin, criterion = torch_twin(torch, mlp, network)
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.3, momentum=momentum)
    x, labels = (torch.tensor(array) for array in batch)
    for _ in range(20):
        optimizer.zero_grad()
        loss = criterion(twin(x), labels)
        loss.backward()
        optimizer.step()
        take_step(mlp, *batch)
        np.testing.assert_allclose(mlp.criterion.loss_val, [loss.item()], rtol=1e-12)
        for layer, linear in zip(mlp.linear_layers, list(twin)[::2], strict=True):
            np.testing.assert_allclose(layer.dW, linear.weight.grad.numpy(), rtol=1e-9, atol=1e-14)
            np.testing.assert_allclose(layer.db[:, 0], linear.bias.grad.numpy(), rtol=1e-9, atol=1e-14)
            np.testing.assert_allclose(layer.W, linear.weight.detach().numpy(), rtol=1e-9, atol=1e-14)
            np.testing.assert_allclose(layer.b[:, 0], linear.bias.detach().numpy(), rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("make", [classifier, handout])
def test_gradients_are_the_slopes_of_the_loss(batch, rng, make):
    mlp, (x, labels) = make(), batch
    mlp.zero_grads()
    mlp.forward(x)
    mlp.backward(labels)
    gradients = arrays(mlp, "dW", "db")
    mlp.eval()
    parameters = [p for layer in mlp.linear_layers for p in (layer.W, layer.b)]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        direction = rng.standard_normal(parameter.shape)
        losses = []
        for step in (1e-6, -1e-6):
            parameter += step * direction
            mlp.forward(x)
            losses.append(mlp.total_loss(labels) / len(x))
            mlp.zero_grads()
            parameter -= step * direction
        slope = (losses[0] - losses[1]) / 2e-6
        np.testing.assert_allclose((gradient * direction).sum(), slope, rtol=1e-6, atol=1e-9)


def test_gradients_of_a_batch_are_the_mean_over_its_rows(batch):
    mlp, (x, labels) = classifier(), batch
    mlp.zero_grads()
    mlp.forward(x)
    mlp.backward(labels)
    whole = arrays(mlp, "dW", "db")
    total = [np.zeros_like(array) for array in whole]
    for row in range(len(x)):
        mlp.zero_grads()
        mlp.forward(x[row : row + 1])
        mlp.backward(labels[row : row + 1])
        for part, gradient in zip(total, arrays(mlp, "dW", "db"), strict=True):
            part += gradient / len(x)
    for gradient, expected in zip(whole, total, strict=True):
        np.testing.assert_allclose(gradient, expected, rtol=1e-12, atol=1e-16)


def test_gradients_accumulate_until_they_are_zeroed(batch):
    mlp = classifier()
    take_step(mlp, *batch)
    once = arrays(mlp, "dW", "db")
    mlp.lr = 0.0
    take_step(mlp, *batch)
    assert any(not np.array_equal(a, b) for a, b in zip(once, arrays(mlp, "dW", "db"), strict=True))
    mlp.autograd_engine.zero_grad()
    before = arrays(mlp, "dW", "db")
    mlp.forward(batch[0])
    mlp.backward(batch[1])
    for a, b in zip(before, arrays(mlp, "dW", "db"), strict=True):
        np.testing.assert_allclose(b, 2 * a, rtol=1e-12)
    mlp.zero_grads()
    assert all(not array.any() for array in arrays(mlp, "dW", "db"))


def test_the_gradient_of_the_first_layers_input_is_not_computed(batch):
    mlp, (x, labels) = classifier(), batch
    mlp.forward(x)
    mlp.backward(labels)
    assert not mlp.autograd_engine.gradient_buffer.is_in_memory(x)
    assert mlp.autograd_engine.operation_list[0].targets[0] is None
    assert mlp.autograd_engine.operation_list[2].targets[0] is not None


def test_float32_stays_float32(batch):
    mlp = classifier(dtype=np.float32)
    x, labels = (array.astype(np.float32) for array in batch)
    take_step(mlp, x, labels)
    kept = arrays(mlp, "W", "b", "dW", "db", "momentum_W", "momentum_b")
    assert {array.dtype for array in [*kept, mlp.output]} == {np.dtype(np.float32)}


def test_the_velocities_are_the_layers_own(batch):
    mlp = classifier(momentum=0.5, lr=0.25)
    start = arrays(mlp, "W")
    take_step(mlp, *batch)
    for layer, W in zip(mlp.linear_layers, start, strict=True):
        np.testing.assert_array_equal(layer.momentum_W, layer.dW)
        np.testing.assert_array_equal(layer.W, W - 0.25 * layer.momentum_W)


def test_in_evaluation_mode_the_tape_stays_empty(batch):
    mlp = classifier()
    mlp.eval()
    for _ in range(3):
        mlp.forward(batch[0])
        assert mlp.autograd_engine.operation_list == []
    mlp.train()
    with pytest.raises(RuntimeError, match=r"no forward in training mode .* call train\(\), then forward"):
        mlp.backward(batch[1])


def test_backward_before_any_forward_is_refused(batch):
    with pytest.raises(RuntimeError, match="no forward in training mode came before it"):
        classifier().backward(batch[1])


def test_total_loss_and_error_are_sums_over_the_rows(batch):
    mlp, (x, labels) = classifier(), batch
    mlp.forward(x)
    shifted = mlp.output - mlp.output.max(axis=1, keepdims=True)
    log_softmax = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(mlp.total_loss(labels), -(labels * log_softmax).sum(), rtol=1e-12)
    assert mlp.error(np.eye(2)[mlp.output.argmax(axis=1)]) == 0
    assert mlp.error(np.eye(2)[mlp.output.argmin(axis=1)]) == 6
    assert mlp.error(labels) == (mlp.output.argmax(axis=1) != labels.argmax(axis=1)).sum()


def test_the_handouts_network_is_the_one_it_draws():
    mlp = handout()
    assert [type(module) for module in mlp.activations] == [nn.ReLU, nn.Sigmoid]
    assert [layer.W.shape for layer in mlp.linear_layers] == [(5, 3), (2, 5)]
    output = mlp(np.full((4, 3), 1e3))
    assert output.shape == (4, 2)
    assert ((output >= 0) & (output <= 1)).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"hiddens": [4]},
            r"1 hidden layers and the output layer take 2 activations, got 1: end with nn\.Identity",
        ),
        ({"output_size": 0}, r"every layer needs at least one unit, got sizes \[3, 0\]"),
        ({"lr": -1.0}, r"lr \(=-1\.0\) must lie in"),
        ({"momentum": 1.0}, r"momentum \(=1\.0\) must lie in"),
        ({"autograd_engine": Autograd()}, "Identity records on another tape than the autograd_engine"),
    ],
)
def test_a_network_that_makes_no_sense_is_refused(arguments, message):
    engine = Autograd()
    good: dict[str, Any] = {
        "input_size": 3,
        "output_size": 2,
        "hiddens": [],
        "activations": [nn.Identity(engine)],
    }
    good |= {"criterion": nn.SoftmaxCrossEntropy(engine), "lr": 0.1, "autograd_engine": engine}
    MLP(**good)
    with pytest.raises(ValueError, match=message):
        MLP(**good | arguments)


@pytest.mark.parametrize("shape", [(3,), (4, 2), (1, 4, 3)])
def test_a_batch_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"MLP\.forward: expected a batch of shape \(n, 3\), got"):
        classifier().forward(np.zeros(shape))


# -- training and measuring ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits() -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """A part of the digits for training, and another one for validation."""
    images, labels = load_digits()
    x, targets = images.reshape(-1, 64) / 16, one_hot(labels, 10)
    kept, held_out = split_indices(labels, 0.5)
    return (x[kept[:400]], targets[kept[:400]]), (x[held_out[:200]], targets[held_out[:200]])


def digit_network() -> MLP:
    engine = Autograd()
    activations = [nn.ReLU(engine), nn.Identity(engine)]
    return MLP(64, 10, [32], activations, nn.SoftmaxCrossEntropy(engine), 0.1, engine, momentum=0.9)


def test_training_stats(digits):
    mlp = digit_network()
    stats = get_training_stats(mlp, digits, nepochs=8, batch_size=16)
    assert [array.shape for array in stats] == [(8,)] * 4
    training_losses, training_errors, validation_losses, validation_errors = stats
    assert training_losses[-1] < 0.15 < 1.5 < training_losses[0]
    assert training_errors[-1] < 0.05
    assert validation_errors[-1] < 0.12
    # What is reported of the last epoch is what the trained network gives, computed from its outputs.
    mlp.eval()
    x, labels = digits[1]
    z = mlp(x)
    log_softmax = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(validation_losses[-1], -(labels * log_softmax).sum() / len(x), rtol=1e-10)
    assert validation_errors[-1] == (z.argmax(axis=1) != labels.argmax(axis=1)).mean()


def test_training_stats_take_a_third_part_and_batches_of_one(digits):
    training, validation = digits
    few = [(x[:20], labels[:20]) for x, labels in (training, validation, validation)]
    stats = get_training_stats(digit_network(), few, nepochs=2)
    assert np.isfinite(stats).all()


def test_one_seed_fixes_a_whole_run(digits):
    runs = []
    for seed in (1, 1, 2):
        np.random.seed(seed)
        runs.append(np.array(get_training_stats(digit_network(), digits, nepochs=2, batch_size=32)))
    np.testing.assert_array_equal(runs[0], runs[1])
    assert not np.array_equal(runs[0], runs[2])


def test_an_epoch_reports_means_before_each_step(digits):
    mlp, (x, labels) = digit_network(), digits[0]
    mlp.lr = mlp.momentum = 0.0
    reported = train_epoch(mlp, batches(x, labels, batch_size=150))
    np.testing.assert_allclose(reported, evaluate(mlp, x, labels), rtol=1e-12)


@pytest.mark.parametrize("train_mode", [True, False])
def test_measuring_changes_nothing(digits, train_mode):
    mlp, (x, labels) = digit_network(), digits[0]
    mlp.train_mode = train_mode
    before = arrays(mlp, "W", "b", "dW", "db", "momentum_W")
    evaluate(mlp, x, labels, batch_size=7)
    predict(mlp, x, batch_size=7)
    assert mlp.train_mode is train_mode
    assert mlp.autograd_engine.operation_list == []
    for a, b in zip(before, arrays(mlp, "W", "b", "dW", "db", "momentum_W"), strict=True):
        np.testing.assert_array_equal(a, b)


def test_batches_of_any_size_measure_the_same(digits):
    mlp, (x, labels) = digit_network(), digits[0]
    np.testing.assert_allclose(evaluate(mlp, x, labels, 7), evaluate(mlp, x, labels, 400), rtol=1e-12)
    np.testing.assert_array_equal(predict(mlp, x, 7), mlp(x).argmax(axis=1))


def test_a_confusion_matrix_counts_every_pair(rng):
    labels, predicted = rng.integers(0, 4, 50).astype(np.uint8), rng.integers(0, 4, 50)
    matrix = confusion_matrix(labels, predicted, 5)
    for i in range(5):
        for j in range(5):
            assert matrix[i, j] == ((labels == i) & (predicted == j)).sum()
    assert format_confusion(matrix).splitlines()[-1].split() == ["4", *".....", "-"]


def test_the_real_mnist_reaches_97_5_percent_after_five_epochs(mnist_folder, capsys):
    assert main(["--data", str(mnist_folder), "--epochs", "5", "--min-accuracy", "97.5"]) == 0
    out = capsys.readouterr().out
    assert "60000 rows for training, 10000 for testing" in out
    assert "784 → 128 → 10" in out
    assert "batch 128" in out
