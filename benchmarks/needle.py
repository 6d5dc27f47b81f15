"""needle's `nn_epoch` on MNIST, 784-100-10 in float32, batch 100, against eager PyTorch doing the same arithmetic.

The face's side is the function `nn_epoch` of the homework's apps/simple_ml.py; PyTorch starts from the same weights,
takes the same minibatches in the same order, and has its own cross-entropy of integer labels.  An epoch is the same
step 600 times, so some of it is raced.  PyTorch changes its weights once as the hand-out says, ``W -= lr * gradient``,
and once in one pass, as its optimizers do.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks.harness import ROOT, Contender, Effort, Figure, main, race
from benchmarks.mnist import folder

BATCH, FEATURES, HIDDEN, CLASSES, RATE = 100, 784, 100, 10, 0.2
STEPS = 600
SOME = 50


def simple_ml() -> ModuleType:
    """Return the module apps/simple_ml.py of the course's folder."""
    path = ROOT / "courses" / "needle" / "apps" / "simple_ml.py"
    spec = importlib.util.spec_from_file_location("simple_ml", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["simple_ml"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows(steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first minibatches of the training set, in one array, and their labels."""
    from mytorch.data import load_mnist

    (images, labels), _ = load_mnist(folder())
    n = steps * BATCH
    return images[:n].reshape(n, -1) / np.float32(255), labels[:n]


def weights() -> list[np.ndarray]:
    """Return the weights of the homework's test."""
    rng = np.random.RandomState(0)
    sizes = ((FEATURES, HIDDEN), (HIDDEN, CLASSES))
    return [rng.standard_normal(size).astype(np.float32) / np.float32(np.sqrt(size[1])) for size in sizes]


def needle_steps(steps: int) -> Callable[[], Any]:
    """Prepare training through the face, always from the same weights."""
    module, start = simple_ml(), weights()
    x, y = rows(steps)

    def train() -> Any:
        first, second = module.nn_epoch(x, y, *map(module.ndl.Tensor, start), lr=RATE, batch=BATCH)
        return np.concatenate([first.numpy().ravel(), second.numpy().ravel()])

    return train


def torch_steps(steps: int, one_pass: bool) -> Callable[[], Any]:
    """Prepare the same in eager PyTorch; `one_pass` changes weights as its optimizers do, not as the hand-out says."""
    import torch

    images, labels = rows(steps)
    x, y, start = torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64)), weights()

    def train() -> Any:
        first, second = (torch.from_numpy(w).clone().requires_grad_() for w in start)
        for i in range(0, len(x), BATCH):
            logits = torch.relu(x[i : i + BATCH] @ first) @ second
            torch.nn.functional.cross_entropy(logits, y[i : i + BATCH]).backward()
            with torch.no_grad():
                for weight in (first, second):
                    gradient: Any = weight.grad
                    if one_pass:
                        weight.add_(gradient, alpha=-RATE)
                    else:
                        weight -= RATE * gradient
                    weight.grad = None
        return torch.cat([first.detach().ravel(), second.detach().ravel()])

    return train


def run(effort: Effort) -> list[Figure]:
    """Race some of an epoch, and say how long a whole one takes."""
    contenders = [
        Contender("needle face", needle_steps, (SOME,), per=SOME),
        Contender("torch", torch_steps, (SOME, False), per=SOME),
        Contender("torch, update in one pass", torch_steps, (SOME, True), per=SOME),
    ]
    times = race(contenders, effort, rtol=1e-3)
    for name, seconds in times.medians.items():
        print(f"{name}: {seconds * STEPS:.2f} s per epoch of {STEPS} steps", flush=True)
    what = "a step of needle's nn_epoch on MNIST"
    return [
        times.figure(what, "needle face", "torch", at_most=1.0),
        times.figure(f"{what}, torch's update in one pass", "needle face", contenders[-1].name),
    ]


if __name__ == "__main__":
    main(__doc__, run)
