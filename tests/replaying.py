"""Eager against replayed: the same calls, on copies of the same arguments, give the same numbers of the same types."""

from __future__ import annotations

import tracemalloc
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from mytorch import Tensor, compile, trees
from mytorch.replay import Compiled, ReplayError, ReplayWarning

# What became of a compiled function.
REPLAYED, EAGER, REFUSED = "replayed", "runs eagerly", "refused"


def fresh(tree: Any) -> Any:
    """Return nested arguments with copies of their arrays, in the same memory order; aliases stay aliases."""
    leaves, structure = trees.flatten(tree)
    known: dict[int, Any] = {}
    return structure.unflatten([known.setdefault(id(leaf), _copied(leaf)) for leaf in leaves])


def _copied(leaf: Any) -> Any:
    if type(leaf) is not np.ndarray:
        return leaf
    if leaf.flags.c_contiguous or leaf.flags.f_contiguous:
        return leaf.copy("K")
    wide = np.zeros(tuple(2 * n for n in leaf.shape), leaf.dtype)
    view = wide[tuple(slice(None, None, 2) for _ in leaf.shape)]
    view[...] = leaf
    return view


def assert_same(eager: Any, replayed: Any, rtol: float = 1e-9, atol: float = 1e-11) -> None:
    """Compare two results: structure, types, dtypes, shapes and values."""
    expected, structure = trees.flatten(eager)
    got, other = trees.flatten(replayed)
    assert structure == other, "structure"
    for x, y in zip(expected, got, strict=True):
        assert type(y) is type(x), f"a {type(y).__name__} in the place of a {type(x).__name__}"
        if isinstance(x, Tensor):
            x, y = x.numpy(), y.numpy()
        if not isinstance(x, np.ndarray | np.generic | int | float | complex):
            assert x == y
            continue
        x, y = np.asarray(x), np.asarray(y)
        assert (y.dtype, y.shape) == (x.dtype, x.shape)
        if x.dtype.kind not in "fc":
            np.testing.assert_array_equal(y, x)
            continue
        single = np.finfo(x.dtype).eps / np.finfo(np.float64).eps if x.size else 1.0
        scale = float(np.max(np.abs(x), initial=0.0, where=np.isfinite(x)))
        np.testing.assert_allclose(
            y, x, rtol=rtol * max(single**0.6, 1), atol=atol * (1 + scale) * max(single, 1)
        )


def outcome_of(function: Callable[..., Any], args: Sequence[Any]) -> tuple[Any, Any]:
    """Return a function's result, or the error that it raised."""
    try:
        return function(*args), None
    except ReplayError:
        raise
    except Exception as error:
        return None, error


def compared(
    function: Callable[..., Any],
    calls: Iterable[Sequence[Any]],
    twin: Callable[..., Any] | None = None,
    **tolerances: float,
) -> tuple[str, Compiled]:
    """Run a function, and a compiled `twin` (default: the same), on copies of the same arguments.

    Results, changes of the arguments, and the types of errors must be the same.  Returns what became of the compiled
    function, and itself.
    """
    compiled: Any = compile(twin or function)
    for args in calls:
        ours, theirs = fresh(tuple(args)), fresh(tuple(args))
        expected, error = outcome_of(function, ours)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ReplayWarning)
                got, other = outcome_of(compiled, theirs)
        except ReplayError:
            return REFUSED, compiled
        assert type(other) is type(error), f"{other!r} in the place of {error!r}"
        assert_same(expected, got, **tolerances)
        assert_same(ours, theirs, **tolerances)
    return what_became_of(compiled), compiled


def what_became_of(compiled: Any) -> str:
    """Say whether a compiled function is replayed."""
    entries = list(compiled.entries.values())
    return REPLAYED if entries and all(e.excuse is None and e.paths for e in entries) else EAGER


def paths(compiled: Any) -> list[int]:
    """Return the number of recordings of each signature."""
    return [len(entry.paths) for entry in compiled.entries.values()]


def blocks_of(function: Callable[[], Any]) -> int:
    """Return the bytes that one call needs at its peak, above what was there before."""
    tracemalloc.start()
    try:
        old = np.setbufsize(16)  # what NumPy's loops copy operands into is no array of ours
        function()
        function()
        tracemalloc.reset_peak()
        start = tracemalloc.get_traced_memory()[0]
        function()
        return tracemalloc.get_traced_memory()[1] - start
    finally:
        np.setbufsize(old)
        tracemalloc.stop()
