"""Updates in a replay: the learning rate goes where it costs least, large parameters are changed in pieces."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import mytorch
from mytorch import Tensor
from mytorch.functional import linear, relu, softmax_cross_entropy
from mytorch.optim import SGD, Adam, AdamW
from mytorch.replay.kernels import PIECE, descend, descend_by_product
from tests import replaying

STEPS = 6
Step = Callable[[Any, Any], Any]


class Training:
    """A perceptron, its optimizer, and batches."""

    activation = staticmethod(relu)

    def __init__(
        self, sizes: tuple[int, ...], batch: int, dtype: str = "float64", kind: Any = SGD, **options: Any
    ) -> None:
        rng = np.random.default_rng(11785)
        shapes = [shape for a, b in pairwise(sizes) for shape in ((b, a), (b,))]
        self.parameters = [
            Tensor((0.3 * rng.standard_normal(s)).astype(dtype), requires_grad=True) for s in shapes
        ]
        self.optimizer = kind(self.parameters, **options)
        self.batches = [
            (
                rng.standard_normal((batch, sizes[0])).astype(dtype),
                np.eye(sizes[-1], dtype=dtype)[rng.integers(sizes[-1], size=batch)],
            )
            for _ in range(STEPS)
        ]

    def loss(self, x: Any, y: Any) -> Any:
        h = x
        for W, b in zip(self.parameters[:-2:2], self.parameters[1:-2:2], strict=True):
            h = self.activation(linear(h, W, b))
        return softmax_cross_entropy(linear(h, *self.parameters[-2:]), y)

    def descend(self, x: Any, y: Any) -> Any:
        """Do a step after which no gradients are left."""
        loss = self.loss(x, y)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss

    def descend_and_keep(self, x: Any, y: Any) -> Any:
        """Do a step after which the gradients can be looked at."""
        loss = self.loss(x, y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss

    def descend_clipped(self, x: Any, y: Any) -> Any:
        """Do a step along gradients that are no longer than 0.1 together."""
        loss = self.loss(x, y)
        loss.backward()
        norm = np.sqrt(sum((p.grad * p.grad).sum() for p in self.parameters))
        for p in self.parameters:
            p.grad = p.grad * (0.1 / np.maximum(norm, 0.1))
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss

    def descend_twice(self, x: Any, y: Any) -> Any:
        """Do a step along the gradient of two losses that share parameters."""
        loss = self.loss(x, y)
        other = (self.parameters[0] * self.parameters[0]).sum() * 0.5
        loss.backward()
        other.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss + other


def run(training: Training, step: Step, rates: tuple[float, ...]) -> list[np.ndarray]:
    """Return losses and parameters after some steps, the learning rate changing on the way."""
    losses = []
    for i, batch in enumerate(training.batches):
        training.optimizer.lr = rates[i % len(rates)]
        losses.append(np.array(step(*batch).numpy()))
    return [*losses, *(np.array(p.numpy()) for p in training.parameters)]


@pytest.mark.parametrize(
    "name", ["descend", "descend_and_keep", "descend_clipped", "descend_twice"], ids=lambda name: name
)
@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"weight_decay": 0.2},
        {"momentum": 0.9},
        {"momentum": 0.9, "nesterov": True},
        {"kind": Adam},
        {"kind": AdamW, "weight_decay": 0.2},
    ],
    ids=["plain", "decay", "momentum", "nesterov", "Adam", "AdamW"],
)
def test_steps_of_a_replay_are_those_of_the_eager_call(
    options: dict[str, Any], batch: int, name: str
) -> None:
    rates = (0.1, 0.1, 0.03)
    eager, replayed = (Training((4, 7, 3), batch, lr=0.1, **options) for _ in range(2))
    expected = run(eager, getattr(eager, name), rates)
    got = run(replayed, mytorch.compile(getattr(replayed, name)), rates)
    for a, b in zip(expected, got, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-12)


def multiplications(program: Any, phase: str) -> int:
    """Count the products of whole arrays in a phase."""
    return sum(
        i.function is np.multiply and i.outs[0].size > 1 and i.phase == phase for i in program.instructions
    )


def compiled(training: Training, name: str, calls: int = 2) -> Any:
    """Return the program of a step that was called some times."""
    step: Any = mytorch.compile(getattr(training, name))
    for batch in training.batches[:calls]:
        step(*batch)
    return step.program


@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.2}], ids=["plain", "decay"])
@pytest.mark.parametrize("activation", [relu, lambda a: np.maximum(a, 0)], ids=["relu", "maximum"])
def test_no_gradient_is_multiplied_by_the_rate_where_none_is_kept(
    options: dict[str, Any], activation: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Training, "activation", staticmethod(activation))
    program = compiled(Training((4, 7, 3), 5, lr=0.1, **options), "descend")
    kept = compiled(Training((4, 7, 3), 5, lr=0.1, **options), "descend_and_keep")
    decays = 4 if options else 0  # weight_decay * p of each parameter
    assert multiplications(kept, "update") == 1 + (1 if options else 0)
    assert multiplications(program, "update") == (1 if decays else 0)
    assert multiplications(program, "backward") == multiplications(kept, "backward")


@pytest.mark.parametrize(
    ("options", "calls"),
    [
        ({"momentum": 0.9}, 4),  # v *= m; v += g; p -= lr * v
        ({"kind": Adam}, 13),
        ({"kind": AdamW, "weight_decay": 0.2}, 14),
    ],
    ids=["momentum", "Adam", "AdamW"],
)
def test_moments_of_all_parameters_are_updated_at_once(options: dict[str, Any], calls: int) -> None:
    training = Training((4, 7, 3), 5, lr=0.1, **options)
    program = compiled(training, "descend", 3)
    size = sum(p.size for p in training.parameters)
    update = [i for i in program.instructions if i.phase == "update" and i.outs[0].size > 1]
    assert [i.outs[0].size for i in update] == [size] * calls


@pytest.mark.parametrize("kind", [SGD, Adam])
def test_gradients_that_lie_in_memory_of_integers_are_floats(kind: Any) -> None:
    """A choice by a mask is made of the bits of many numbers."""

    def training() -> tuple[list[Tensor], Any]:
        parameters = [Tensor(np.linspace(-1, k, 700), requires_grad=True) for k in (1.0, 2.0, 3.0)]
        optimizer = kind(parameters, 0.1)

        def step(x: Any) -> None:
            sum((relu(p) * x).sum() for p in parameters).backward()
            optimizer.step()
            optimizer.zero_grad()

        return parameters, step

    (theirs, eager), (ours, step) = training(), training()
    replayed = mytorch.compile(step)
    for n in range(4):
        for run in (eager, replayed):
            run(np.full(700, 1.0 + n))
    for a, b in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(b.numpy(), a.numpy(), rtol=1e-9)


def test_moments_that_somebody_else_holds_stay_where_they_are() -> None:
    training = Training((4, 7, 3), 5, kind=Adam, lr=0.1)
    training.descend(*training.batches[0])
    mean = training.optimizer.state[0]["mean"]
    step: Any = mytorch.compile(training.descend)
    for batch in training.batches[:3]:
        step(*batch)
    assert training.optimizer.state[0]["mean"] is mean
    eager = Training((4, 7, 3), 5, kind=Adam, lr=0.1)
    for batch in (eager.batches[0], *eager.batches[:3]):
        eager.descend(*batch)
    np.testing.assert_allclose(mean, eager.optimizer.state[0]["mean"], rtol=1e-9)


@pytest.mark.parametrize("replay", [False, True], ids=["eager", "replayed"])
@pytest.mark.parametrize("kind", ["Adam", "AdamW"])
def test_each_parameter_counts_its_own_steps(kind: str, replay: bool) -> None:
    """Two that step together share a count, until one has no gradient."""
    torch = pytest.importorskip("torch")
    arrays = [np.arange(1.0, 4.0), np.arange(2.0, 4.0), np.ones(2)]
    ours = [Tensor(a.copy(), requires_grad=True) for a in arrays]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    optimizer = {"Adam": Adam, "AdamW": AdamW}[kind](ours, 0.1)
    reference = getattr(torch.optim, kind)(theirs, 0.1, weight_decay=0.0 if kind == "Adam" else 1e-2)

    def step(first: bool, second: bool) -> None:
        loss = (ours[2] * ours[2]).sum()
        if first:
            loss = loss + (ours[0] ** 3).sum()
        if second:
            loss = loss + (ours[1] ** 2).sum()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    run_step = mytorch.compile(step) if replay else step
    plan = [(True, True), (True, True), (True, False), (True, True), (False, True)]
    for first, second in [*plan, *plan, *plan]:
        run_step(first, second)
        loss = (theirs[2] * theirs[2]).sum()
        loss = loss + (theirs[0] ** 3).sum() * first + (theirs[1] ** 2).sum() * second
        loss.backward()
        if not first:
            theirs[0].grad = None
        if not second:
            theirs[1].grad = None
        reference.step()
        reference.zero_grad()
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a.numpy(), b.detach().numpy(), rtol=1e-9)


def test_the_rate_stays_where_it_costs_less() -> None:
    """Of a small product of large operands it is cheaper to scale the result."""
    w = Tensor(np.ones(3), requires_grad=True)
    optimizer = SGD([w], 0.1)

    def descend(a: Any) -> Any:
        loss = np.sin(a @ w).sum()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    step: Any = mytorch.compile(descend)
    a = np.random.default_rng(0).standard_normal((5000, 3))
    for _ in range(2):
        step(a)
    products = [i for i in step.program.instructions if i.function is np.multiply]
    assert max(i.outs[0].size for i in products if i.phase == "update") <= 3


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_product_that_only_changes_a_large_parameter_is_never_whole(batch: int, dtype: str) -> None:
    sizes = (300, 2 * PIECE // 300 + 7, 3)
    eager, replayed = (Training(sizes, batch, dtype, lr=0.1) for _ in range(2))
    step: Any = mytorch.compile(replayed.descend)
    expected = run(eager, eager.descend, (0.1,))
    got = run(replayed, step, (0.1,))
    for a, b in zip(expected, got, strict=True):
        rounding = 1e-4 if dtype == "float32" else 1e-9
        np.testing.assert_allclose(b, a, rtol=rounding, atol=rounding * 1e-2)
    functions = [i.function for i in step.program.instructions]
    assert functions.count(descend_by_product) == 1
    assert descend not in functions
    assert step.program.plan.nbytes < replayed.parameters[0].nbytes


def test_a_large_gradient_that_is_kept_is_whole() -> None:
    training = Training((300, 2 * PIECE // 300 + 7, 3), 1, lr=0.1)
    program = compiled(training, "descend_and_keep")
    functions = [i.function for i in program.instructions]
    assert descend_by_product not in functions


def test_infinite_and_missing_values_pass_through_an_outer_product() -> None:
    """It is computed with zeros beside the vectors, which must not meet them."""

    @mytorch.compile
    def outer(a: Any, b: Any) -> Any:
        return a[:, None] @ b[None, :]

    a, b = np.arange(1.0, 201.0), np.arange(1.0, 301.0)
    a[3], b[7], b[11] = np.inf, np.nan, -np.inf
    for _ in range(3):
        np.testing.assert_array_equal(outer(a, b), np.multiply.outer(a, b))


# -- what must not be moved -----------------------------------------------------------------------------------------

LARGE = 3 * PIECE + 5


def shifted(a: Any, b: Any) -> Callable[[Any], Any]:
    """Return a function that changes a part of a large argument along another part of it."""

    def change(x: Any) -> Any:
        x[a] -= 0.5 * x[b]
        return x.sum()

    return change


def scaled_by_a_number_that_changes() -> Callable[[Any], Any]:
    rate, place = np.array(0.5), np.zeros(LARGE)

    def change(x: Any) -> Any:
        step = rate * x
        rate[()] *= 0.5
        place.__isub__(step)
        return place.copy()

    return change


def changed_by(step: Callable[[Any, Any], Any]) -> Callable[[], Callable[[Any], Any]]:
    """Return what builds a function that subtracts ``step(place, x)`` from a place of its own."""

    def build() -> Callable[[Any], Any]:
        place = np.linspace(0.5, 1.5, LARGE)

        def change(x: Any) -> Any:
            place.__isub__(step(place, x))
            return place.copy()

        return change

    return build


def by_a_count_that_the_function_makes(place: Any, x: Any) -> Any:
    count = np.zeros(())
    count[...] = x.max()
    return 0.5 * (x * count)


LARGE_CHANGES: dict[str, Callable[[], Callable[[Any], Any]]] = {
    "a change in reverse order": changed_by(lambda place, x: (0.5 * x)[::-1]),
    "a linear change in reverse order": changed_by(lambda place, x: (0.5 * (x * 2.0))[::-1]),
    "a rate in the place itself": changed_by(lambda place, x: place[:1].reshape(()) * x),
    "a number that is written before": changed_by(by_a_count_that_the_function_makes),
    "the entry before": lambda: shifted(slice(1, None), slice(None, -1)),
    "the entry after": lambda: shifted(slice(None, -1), slice(1, None)),
    "the same entry": lambda: shifted(slice(None), slice(None)),
    "the other end": lambda: shifted(slice(None), slice(None, None, -1)),
    "a rate that changes": scaled_by_a_number_that_changes,
}


@pytest.mark.parametrize("name", LARGE_CHANGES)
def test_no_piece_of_a_large_update_changes_what_a_later_one_reads(name: str) -> None:
    outcome, _ = replaying.compared(
        LARGE_CHANGES[name](),
        [(np.random.default_rng(k).standard_normal(LARGE),) for k in range(4)],
        LARGE_CHANGES[name](),
    )
    assert outcome == replaying.REPLAYED


def fit(loss: Callable[[Any, Any], Any], dtype: Any = float) -> Callable[[Any], Any]:
    """Return a step of descent of one parameter."""
    w = Tensor(np.linspace(-1, 1, 4).reshape(4, 1).astype(dtype), requires_grad=True)
    optimizer = SGD([w], lr=0.01)

    def step(x: Any) -> Any:
        loss(w, x.astype(dtype)).backward()
        optimizer.step()
        optimizer.zero_grad()
        return w.detach().copy()

    return step


COUNT, SOME = np.array(3), np.array(True)
LOSSES: dict[str, tuple[Callable[[Any, Any], Any], Any]] = {
    "a count": (lambda w, x: ((x @ w) * COUNT).sum(), float),
    "a count of booleans": (lambda w, x: ((x @ w) * (x > 0).sum()).sum(), float),
    "a boolean": (lambda w, x: ((x @ w) * SOME).sum(), np.float32),
    "a half": (lambda w, x: ((x @ w) ** 2).mean(), np.float16),
    "no product": (lambda w, x: np.clip(w, -0.5, 0.5).sum(), float),
    "a maximum": (lambda w, x: np.maximum(w, x[:4, :1]).sum(), float),
    "an absolute value": (lambda w, x: np.abs(w).sum(), float),
    "an index": (lambda w, x: w[[0, 0, 2]].sum(), float),
}


@pytest.mark.parametrize("name", LOSSES)
def test_the_rate_is_multiplied_into_numbers_of_any_kind_and_no_further_than_it_pays(name: str) -> None:
    loss, dtype = LOSSES[name]
    calls = [(np.random.default_rng(k).standard_normal((500, 4)),) for k in range(6)]
    outcome, _ = replaying.compared(fit(loss, dtype), calls, fit(loss, dtype))
    assert outcome == replaying.REPLAYED


def test_a_rate_does_not_push_cotangents_of_half_precision_below_the_smallest_number() -> None:
    """A mean over many rows has a small cotangent; times a small rate it would lose its digits, or be zero."""

    def build() -> Callable[[Any], Any]:
        w = Tensor(np.zeros((4, 1), np.float16), requires_grad=True)
        optimizer = SGD([w], lr=1e-3)

        def step(x: Any) -> Any:
            ((x @ w - 1) ** 2).mean().backward()
            optimizer.step()
            optimizer.zero_grad()
            return w.detach().copy()

        return step

    eager, replayed = build(), mytorch.compile(build())
    for k in range(5):
        x = np.random.default_rng(k).standard_normal((2000, 4)).astype(np.float16) + np.float16(1)
        np.testing.assert_allclose(replayed(x).numpy(), eager(x).numpy(), rtol=2e-3)
