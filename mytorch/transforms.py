"""Transforms of plain functions of arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mytorch.linearize import Linearization, matched


def vjp(f: Callable[..., Any], *args: Any, has_aux: bool = False) -> Any:
    """Return ``f(*args)`` and its pullback (in work)."""
    run = Linearization("vjp", f, args, {}, range(len(args)), has_aux)

    def pullback(cotangent: Any) -> Any:
        cotangents = matched("vjp", "cotangent", cotangent, run.result_structure, run.outputs)
        return run.shown(run.structure.unflatten(run.pull(cotangents)))

    return (run.result, pullback, run.aux) if has_aux else (run.result, pullback)
