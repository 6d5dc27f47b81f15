"""The programs of the tests of Tensors and of the examples: eager, and replayed ten times with new inputs.

The tests of other files are read as programs (see tests/rewritten.py).  Every number that they ask about is compared.
What a recording cannot follow has to say so; how many programs do, and why, stands at the end of pytest's output.
"""

from __future__ import annotations

import copy
import inspect
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import mytorch
from examples import heat_equation, hessian_optimisation, logistic_regression, two_layer_network
from mytorch.replay import ReplayError
from tests.replaying import REFUSED, REPLAYED, compared
from tests.rewritten import SIZE, Anything, Run, programs

REPLAYS = 10
# The tests of these files, with the helpers that assert, and what is done in their place.
MODULES: dict[str, dict[str, str]] = {
    "traps_tensor": {},
    "edge_cases": {"compare": "compare"},
    "views": {},
    "out": {},
    "nn": {},
    "transforms": {"close": "note"},
    "methods": {},
    "indices": {},
}
LEFT_OUT = {
    "a_million_operations_need_no_recursion",  # would take minutes to plan
    "a_view_that_a_function_shows_in_another_form_is_held_too",  # asks whether its own array is held read-only
    "a_number_is_not_stored_in_an_entry_of_a_plain_array",  # an error, which has another type
    "formulas_keep_the_precision",  # asks rules, and no Tensors
    "forward_and_reverse_map_are_adjoint",  # is drawn by hypothesis, as tests/test_replay_random.py is
    "only_wanted_gradients_are_computed",  # asks for serial numbers
}
# Derivatives of derivatives of long programs.
SLOW = {
    "test_against_torch_transforms",
    "test_learning_to_learn",
    "test_nested_matrices",
    "test_parts_of_an_array_cost_one_array_in_higher_orders",
}


def inputs(count: int = REPLAYS) -> Iterator[tuple[np.ndarray]]:
    """Iterate over factors: ones, all the same (ties stay ties), and entry by entry."""
    rng = np.random.default_rng(5)
    for n in range(count):
        yield (np.full(SIZE, 1 + 0.02 * n) if n < 3 else rng.uniform(0.9, 1.1, SIZE),)


def why(function: Callable[..., Any], outcome: str, compiled: Any) -> str:
    """Return what became of a compiled function, with the reason where it is not replayed."""
    if outcome == REPLAYED:
        return outcome
    if outcome == REFUSED:
        with pytest.raises(ReplayError) as caught:
            mytorch.compile(function)(np.ones(SIZE))
        return f"{outcome}: {str(caught.value).split(', at ')[0]}"
    excuses = [entry.excuse for entry in compiled.entries.values() if entry.excuse is not None]
    return f"{outcome}: {excuses[0] if excuses else 'every call raises an error, or changes what no replay would'}"


def as_replayed(test: Callable[..., Any], run: Run) -> Callable[..., None]:
    """Return a test, of the same parameters, that compares a test as a program with its replays."""

    def replayed(record_property: Callable[[str, Any], None], **arguments: Any) -> None:
        given = arguments if takes_no_torch else {**arguments, "torch": Anything()}
        ours, theirs = (copy.deepcopy(given) if has_rng else given for _ in range(2))
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            outcome, compiled = compared(
                lambda numbers: run.of(test, numbers, ours),
                inputs(),
                lambda numbers: run.of(test, numbers, theirs),
            )
            record_property("programs", why(lambda numbers: run.of(test, numbers, ours), outcome, compiled))

    names = list(inspect.signature(test).parameters)
    takes_no_torch, has_rng = "torch" not in names, "rng" in names
    kinds = [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY) for n in names if n != "torch"]
    first = inspect.Parameter("record_property", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    replayed.__signature__ = inspect.Signature([first, *kinds])  # type: ignore[attr-defined]
    marks = [*getattr(test, "pytestmark", []), *([pytest.mark.slow] if test.__name__ in SLOW else [])]
    replayed.pytestmark = marks  # type: ignore[attr-defined]
    replayed.__doc__ = test.__doc__
    return replayed


def collect() -> Iterator[tuple[str, Any]]:
    """Iterate over the tests of all modules, and their fixtures, by name."""
    for name, instead in MODULES.items():
        module, run = programs(f"tests.test_{name}", instead)
        for key, value in list(vars(module).items()):
            if key.startswith("test_") and isinstance(value, types.FunctionType) and key[5:] not in LEFT_OUT:
                yield f"test_{name}_{key[5:]}", as_replayed(value, run)
            elif type(value).__name__ == "FixtureFunctionDefinition":
                yield key, value


globals().update(collect())


# -- examples ---------------------------------------------------------------------------------------------------


def network(x: Any) -> Any:
    layers = two_layer_network.make_layers(6, 5, 3, seed=2)
    loss = two_layer_network.train(layers, x, np.arange(8) % 3, rate=0.5, steps=3)
    return loss, [part for layer in layers for part in layer]


def newton(x: Any) -> Any:
    return hessian_optimisation.newton(lambda p: 0.5 * p @ np.diag([1.0, 2.0, 3.0]) @ p - x @ p, np.zeros(3))


STARTS = np.random.default_rng(7).uniform(0.5, 1.5, (REPLAYS, 3))
ROWS = np.random.default_rng(8).normal(size=(REPLAYS, 8, 6))
TEMPERATURES = [heat_equation.exact(0.3 + 0.01 * n) for n in range(REPLAYS)]
EXAMPLES: dict[str, tuple[Callable[..., Any], list[tuple[Any, ...]]]] = {
    "heat equation": (
        mytorch.value_and_grad(heat_equation.loss),
        [(np.array(0.1 + 0.02 * n), u) for n, u in enumerate(TEMPERATURES)],
    ),
    "heat equation, simulated": (
        lambda r: heat_equation.simulate(r, 20),
        [(np.array(0.1 + 0.02 * n),) for n in range(REPLAYS)],
    ),
    "logistic regression": (
        lambda x: logistic_regression.fit(x, np.arange(8.0) % 2, penalty=0.05, steps=5),
        [(x,) for x in ROWS],
    ),
    "two-layer network": (network, [(x,) for x in ROWS]),
    "Newton's method": (newton, [(x,) for x in STARTS]),
    "Rosenbrock's Hessian": (mytorch.hessian(hessian_optimisation.rosenbrock), [(x,) for x in STARTS]),
    "standard errors": (hessian_optimisation.fit_normal, [(x[:, 0],) for x in ROWS]),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name == "standard errors")) for name in EXAMPLES]
)
def test_examples(name: str, record_property: Callable[[str, Any], None]) -> None:
    function, calls = EXAMPLES[name]
    outcome, compiled = compared(function, calls, rtol=1e-7)
    record_property("programs", why(lambda _: function(*calls[0]), outcome, compiled))
