"""What all training steps share: loss, gradients and the SGD update, in each framework; and when two are the same.

`loss_of(parameters, *inputs)` is written for one framework: its arrays come in, its loss goes out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks.contenders.torch_compile import torch_compiled
from benchmarks.harness import Contender, Effort, Result, Work, load, race, replayed
from benchmarks.races import Limits

RATE = 1e-2
REPLAY = "mytorch, replayed"
Loss = Callable[..., Any]
Arrays = Sequence[np.ndarray]


def cross_entropy(logits: np.ndarray, classes: np.ndarray) -> tuple[Any, np.ndarray]:
    """Return the mean cross-entropy of logits, and its gradient, in NumPy."""
    rows = np.arange(len(classes))
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    p = exp / exp.sum(axis=1, keepdims=True)
    loss = -np.log(p[rows, classes]).mean()
    p[rows, classes] -= 1
    return loss, p / np.float32(len(classes))


def compared(step: Callable[[], Any], start: Arrays, now: Callable[[], Sequence[Any]]) -> Work:
    """Return a training step that is compared by its loss and by the gradients that it followed.

    Each gradient shows itself as ``(before - after) / rate``, summed with random signs.

    Parameters
    ----------
    step : does a step, returns the loss
    start : the parameters before the first step, which it leaves as they are
    now : gives the parameters, in the same order and shapes
    """

    def check(loss: Any) -> list[float]:
        rng = np.random.default_rng(11785)
        both = [[np.asarray(array, dtype=np.float64) for array in arrays] for arrays in (start, now())]
        gradients = [(a - b).ravel() / RATE for a, b in zip(*both, strict=True)]
        number = float(loss.detach() if hasattr(loss, "detach") else loss)
        return [number, *(float(g @ rng.choice([-1.0, 1.0], g.size)) for g in gradients)]

    return Work(step, check)


def in_mytorch(loss_of: Loss, arrays: Arrays, inputs: Arrays, replay: bool = False) -> Work:
    """Prepare a step on Tensors; with `replay`, the same function is recorded once by `mytorch.compile`."""
    from mytorch import Tensor
    from mytorch.optim import SGD

    parameters = [Tensor(array.copy(), requires_grad=True) for array in arrays]
    optimizer = SGD(parameters, RATE)

    def train(*inputs: Any) -> Any:
        loss = loss_of(parameters, *inputs)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()  # the gradients are not looked at, as in the leanest steps of the others
        return loss

    step = replayed(train) if replay else train
    return compared(lambda: step(*inputs), arrays, lambda: [p.numpy() for p in parameters])


def in_torch(loss_of: Loss, arrays: Arrays, inputs: Arrays, compiled: bool = False) -> Work:
    """Prepare the leanest step of PyTorch: `autograd.grad` and one `_foreach_add_`; or its loss by torch.compile."""
    torch = load("torch")
    parameters = [torch.tensor(array, requires_grad=True) for array in arrays]
    values = [parameter.detach() for parameter in parameters]
    tensors = [torch.from_numpy(array) for array in inputs]
    loss_of = torch_compiled(loss_of, parameters, *tensors) if compiled else loss_of

    def step() -> Any:
        loss = loss_of(parameters, *tensors)
        torch._foreach_add_(values, torch.autograd.grad(loss, parameters), alpha=-RATE)
        return loss

    return compared(step, arrays, lambda: values)


def in_jax(loss_of: Loss, arrays: Arrays, inputs: Arrays) -> Work:
    """Prepare a step of JAX: loss, gradients and update in one jitted function, the parameters given away to it."""
    jax = load("jax")
    parameters = [jax.numpy.array(array) for array in arrays]
    tensors = [jax.numpy.asarray(array) for array in inputs]

    def update(parameters: Any, *inputs: Any) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(parameters, *inputs)
        return loss, [p - RATE * g for p, g in zip(parameters, gradients, strict=True)]

    train = jax.jit(update, donate_argnums=0)

    def step() -> Any:
        nonlocal parameters
        loss, parameters = train(parameters, *tensors)
        return loss.block_until_ready()

    return compared(step, arrays, lambda: parameters)


def race_of_steps(
    field: Sequence[Contender],
    effort: Effort,
    what: str,
    against: str,
    named: str = "",
    *further: tuple[str, str, str, Limits],
) -> Iterator[Result]:
    """Race training steps; give the race, and the figures of "mytorch" as it is written and replayed.

    Parameters
    ----------
    what : the work, as tables name it
    against : the contender that ours is to be faster than; `named` is how the figures' names say so
    further : other figures (see `Race.figures`)
    """
    times = race(field, effort, rtol=1e-3, what=what, against=against)
    yield times
    yield from times.figures(
        (f"{what}{named}", "mytorch", against, {"at_most": 1.0}),
        (f"{what}, replayed{named}", REPLAY, against, {"at_most": 1.0}),
        *further,
    )
