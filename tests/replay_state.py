"""A module with a number that tests change, and functions that find it among the globals."""

from __future__ import annotations

from typing import Any

SCALE = 1.0


def by_globals(x: Any) -> Any:
    return x * globals()["SCALE"]


def by_eval(x: Any) -> Any:
    return x * eval("SCALE")
