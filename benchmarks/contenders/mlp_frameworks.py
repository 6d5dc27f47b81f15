"""A training step of a perceptron in each framework, float32: forward, softmax cross-entropy, backward, SGD."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from benchmarks.contenders import training
from benchmarks.contenders.mlp import NETWORKS, work
from benchmarks.harness import Work, load


def mytorch_step(network: str, batch: int, replay: bool = False) -> Work:
    """Prepare a step on Tensors, eager or replayed."""
    from mytorch.data import one_hot
    from mytorch.functional import linear, relu, softmax_cross_entropy

    x, classes, arrays = work(network, batch)

    def loss_of(parameters: Any, x: Any, labels: Any) -> Any:
        y = x
        for i in range(0, len(parameters) - 2, 2):
            y = relu(linear(y, parameters[i], parameters[i + 1]))
        return softmax_cross_entropy(linear(y, parameters[-2], parameters[-1]), labels)

    labels = one_hot(classes, NETWORKS[network][-1], x.dtype)
    return training.in_mytorch(loss_of, arrays, [x, labels], replay)


def torch_step(network: str, batch: int, compiled: bool = False) -> Work:
    """Prepare the leanest step of PyTorch, eager or by torch.compile."""
    functional = load("torch").nn.functional
    x, classes, arrays = work(network, batch)

    def loss_of(parameters: Any, x: Any, classes: Any) -> Any:
        y = x
        for i in range(0, len(parameters) - 2, 2):
            y = functional.relu(functional.linear(y, parameters[i], parameters[i + 1]))
        return functional.cross_entropy(functional.linear(y, parameters[-2], parameters[-1]), classes)

    return training.in_torch(loss_of, arrays, [x, classes], compiled)


def torch_usual(network: str, batch: int) -> Work:
    """Prepare a step of PyTorch as its tutorials write it."""
    torch = load("torch")
    rows, numbers, arrays = work(network, batch)
    x, classes = torch.from_numpy(rows), torch.from_numpy(numbers)
    layers: list[Any] = []
    for fan_in, fan_out in pairwise(NETWORKS[network]):
        layers += [torch.nn.Linear(fan_in, fan_out), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    with torch.no_grad():
        for parameter, array in zip(model.parameters(), arrays, strict=True):
            parameter.copy_(torch.from_numpy(array))
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), training.RATE)

    def step() -> Any:
        optimizer.zero_grad()
        loss = criterion(model(x), classes)
        loss.backward()
        optimizer.step()
        return loss

    return training.compared(step, arrays, lambda: [parameter.detach() for parameter in model.parameters()])


def jax_step(network: str, batch: int) -> Work:
    """Prepare a step of JAX."""
    jax = load("jax")
    x, classes, arrays = work(network, batch)

    def loss_of(parameters: Any, x: Any, classes: Any) -> Any:
        y = x
        for W, b in zip(parameters[:-2:2], parameters[1:-2:2], strict=True):
            y = jax.nn.relu(y @ W.T + b)
        logprobs = jax.nn.log_softmax(y @ parameters[-2].T + parameters[-1])
        return -jax.numpy.mean(jax.numpy.take_along_axis(logprobs, classes[:, None], axis=1))

    return training.in_jax(loss_of, arrays, [x, classes])


def autograd_step(network: str, batch: int) -> Work:
    """Prepare a step of HIPS/autograd."""
    autograd, np = load("autograd"), load("autograd.numpy")
    x, classes, arrays = work(network, batch)
    parameters = [array.copy() for array in arrays]
    rows = np.arange(batch)

    def loss_of(parameters: Any) -> Any:
        y = x
        for i in range(0, len(parameters) - 2, 2):
            y = np.maximum(np.dot(y, parameters[i].T) + parameters[i + 1], 0)
        logits = np.dot(y, parameters[-2].T) + parameters[-1]
        logits = logits - np.max(logits, axis=1, keepdims=True)
        return np.mean(np.log(np.sum(np.exp(logits), axis=1)) - logits[rows, classes])

    value_and_grad = autograd.value_and_grad(loss_of)

    def step() -> Any:
        loss, gradients = value_and_grad(parameters)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter -= training.RATE * gradient
        return loss

    return training.compared(step, arrays, lambda: parameters)


def mygrad_step(network: str, batch: int) -> Work:
    """Prepare a step of MyGrad."""
    mygrad, nnet = load("mygrad"), load("mygrad.nnet")
    relu, cross_entropy = nnet.activations.relu, nnet.losses.softmax_crossentropy
    x, classes, arrays = work(network, batch)
    parameters = [mygrad.tensor(array) for array in arrays]

    def step() -> Any:
        y = x
        for i in range(0, len(parameters) - 2, 2):
            y = relu(mygrad.matmul(y, parameters[i].T) + parameters[i + 1])
        loss = cross_entropy(mygrad.matmul(y, parameters[-2].T) + parameters[-1], classes)
        loss.backward()
        for parameter in parameters:
            parameter.data -= training.RATE * parameter.grad
            parameter.null_grad()
        return loss.item()

    return training.compared(step, arrays, lambda: [parameter.data for parameter in parameters])
