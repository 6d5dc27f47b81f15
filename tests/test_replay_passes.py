"""Every pass leaves a listing that does the same: random programs, run before and after each of them.

What is compared is all that anybody can see: results, arguments, and memory outside, on inputs of which some take
another branch, or raise an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mytorch.replay import ReplayError, kernels
from mytorch.replay.instructions import Listing
from mytorch.replay.passes import batching, columns, simplify, updates
from tests.listings import Run, recorded
from tests.test_random_programs import SETTINGS
from tests.test_replay_random import CHANGES, SHAPES, STEPS, run

# Those that only leave out or move instructions give the same bits.
EXACT = [*simplify.PASSES, simplify.guards_early, simplify.numbers_first, batching.batched]
PASSES = [*EXACT, updates.rates_early, updates.products_in_pieces, updates.in_pieces, columns.by_columns]


@pytest.fixture(autouse=True, scope="module")
def everything_is_large_and_pays() -> Iterator[None]:
    """Let the passes do to small random programs what they would do to large ones."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batching, "FEW", 2)
        patch.setattr(columns, "_gain", lambda *_: 1)
        for module in (kernels, updates):
            patch.setattr(module, "PIECE", 4)
        yield


def assert_alike(before: Run, after: Run, exact: bool) -> None:
    if isinstance(before.seen, str) or isinstance(after.seen, str):
        assert after.seen == before.seen
        return
    (roots, memory), (other_roots, other_memory) = before.seen, after.seen
    assert memory.keys() == other_memory.keys()
    for x, y in [*zip(roots, other_roots, strict=True), *((memory[n], other_memory[n]) for n in memory)]:
        assert (x.dtype, x.shape) == (y.dtype, y.shape)
        if exact or np.all(np.isfinite(x)):  # a rate may overflow earlier or later
            scale = float(np.max(np.abs(x), initial=0)) if not exact else 0.0
            np.testing.assert_allclose(y, x, rtol=0 if exact else 1e-7, atol=1e-9 * scale)


def check(program: list[Any], shape: tuple[int, ...], seed: int, passes: list[Any]) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal(shape)
    outside = weights, weights[1:], rng.standard_normal(())
    with np.errstate(all="ignore"):
        try:
            recording = recorded(
                lambda x, y: run(program, x, y, *outside), (rng.standard_normal(shape), weights + 1)
            )
        except ReplayError:
            return
        if recording is None:
            return
        listing = Listing(
            recording.instructions, [leaf.what for leaf in recording.leaves if leaf.kind != "constant"]
        )
        for change in passes:
            before = [Run(listing, seed) for seed in range(3)]
            listing = change(listing)
            for seed, run_before in enumerate(before):
                assert_alike(run_before, Run(listing, seed), change in EXACT)


@pytest.mark.parametrize("which", range(len(CHANGES)))
@pytest.mark.parametrize("shape", [(6,), (4, 4)])
def test_passes_on_every_kind_of_change(which: int, shape: tuple[int, ...]) -> None:
    """Of what an argument, a result and memory outside hold, by the others."""
    for place in (0, 2, 4):
        for by in (1, 2, 4):
            check([("change", which, place, by), ("unary", 0, place, 0)], shape, 0, PASSES)


@settings(max_examples=60, **SETTINGS)
@given(program=st.lists(STEPS, min_size=1, max_size=12), shape=SHAPES, seed=st.integers(0, 3))
def test_passes_one_after_the_other(program: list[Any], shape: tuple[int, ...], seed: int) -> None:
    check(program, shape, seed, PASSES)


@pytest.mark.slow
@settings(max_examples=8_000, **SETTINGS | {"derandomize": False})
@given(
    program=st.lists(STEPS, min_size=4, max_size=30),
    shape=SHAPES,
    seed=st.integers(0, 1000),
    passes=st.permutations([*simplify.PASSES, *PASSES]),
)
def test_passes_in_any_order_on_long_programs(
    program: list[Any], shape: tuple[int, ...], seed: int, passes: list[Any]
) -> None:
    check(program, shape, seed, passes)
