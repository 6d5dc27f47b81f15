"""A training step of a perceptron in each framework, float32: forward, softmax cross-entropy, backward, SGD."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from benchmarks.contenders.mlp import NETWORKS, work
from benchmarks.contenders.training import RATE, training
from benchmarks.harness import Work, load, replayed
from benchmarks.contenders.torch_compile import torch_compiled


def mytorch_step(network: str, batch: int, replay: bool = False) -> Work:
    """Prepare a step on Tensors; with `replay`, the same function is recorded once by `mytorch.compile`."""
    from mytorch import Tensor
    from mytorch.data import one_hot
    from mytorch.functional import linear, relu, softmax_cross_entropy
    from mytorch.optim import SGD

    x, classes, arrays = work(network, batch)
    labels = one_hot(classes, NETWORKS[network][-1], x.dtype)
    parameters = [Tensor(array, requires_grad=True) for array in arrays]
    optimizer = SGD(parameters, RATE)

    def train(x: Any, labels: Any) -> Any:
        y = x
        for i in range(0, len(parameters) - 2, 2):
            y = relu(linear(y, parameters[i], parameters[i + 1]))
        loss = softmax_cross_entropy(linear(y, parameters[-2], parameters[-1]), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    step = replayed(train) if replay else train
    return training(lambda: step(x, labels), arrays, lambda: [p.numpy() for p in parameters])


def torch_step(network: str, batch: int, compiled: bool = False) -> Work:
    """Prepare the leanest step of PyTorch: `autograd.grad` and one `_foreach_add_`; or its loss by torch.compile."""
    torch = load("torch")
    functional = torch.nn.functional
    rows, numbers, arrays = work(network, batch)
    x, classes = torch.from_numpy(rows), torch.from_numpy(numbers)
    parameters = [torch.tensor(array, requires_grad=True) for array in arrays]
    values = [parameter.detach() for parameter in parameters]

    def loss_of(x: Any, classes: Any, *parameters: Any) -> Any:
        y = x
        for i in range(0, len(parameters) - 2, 2):
            y = functional.relu(functional.linear(y, parameters[i], parameters[i + 1]))
        return functional.cross_entropy(functional.linear(y, parameters[-2], parameters[-1]), classes)

    if compiled:
        loss_of = torch_compiled(loss_of, x, classes, *parameters)

    def step() -> Any:
        loss = loss_of(x, classes, *parameters)
        torch._foreach_add_(values, torch.autograd.grad(loss, parameters), alpha=-RATE)
        return loss

    return training(step, arrays, lambda: values)


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
    optimizer = torch.optim.SGD(model.parameters(), RATE)

    def step() -> Any:
        optimizer.zero_grad()
        loss = criterion(model(x), classes)
        loss.backward()
        optimizer.step()
        return loss

    return training(step, arrays, lambda: [parameter.detach() for parameter in model.parameters()])


def jax_jit(network: str, batch: int) -> Work:
    """Prepare a step of JAX: loss, gradients and update in one jitted function, the parameters given away to it."""
    jax = load("jax")
    np = jax.numpy
    rows, numbers, arrays = work(network, batch)
    x, classes = np.asarray(rows), np.asarray(numbers)
    parameters = [np.array(array) for array in arrays]

    def loss_of(parameters: Any, x: Any, classes: Any) -> Any:
        y = x
        for W, b in zip(parameters[:-2:2], parameters[1:-2:2], strict=True):
            y = jax.nn.relu(y @ W.T + b)
        logprobs = jax.nn.log_softmax(y @ parameters[-2].T + parameters[-1])
        return -np.mean(np.take_along_axis(logprobs, classes[:, None], axis=1))

    def update(parameters: Any, x: Any, classes: Any) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(parameters, x, classes)
        return loss, [p - RATE * g for p, g in zip(parameters, gradients, strict=True)]

    train = jax.jit(update, donate_argnums=0)

    def step() -> Any:
        nonlocal parameters
        loss, parameters = train(parameters, x, classes)
        return loss.block_until_ready()

    return training(step, arrays, lambda: parameters)


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
            parameter -= RATE * gradient
        return loss

    return training(step, arrays, lambda: parameters)


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
            parameter.data -= RATE * parameter.grad
            parameter.null_grad()
        return loss.item()

    return training(step, arrays, lambda: [parameter.data for parameter in parameters])
