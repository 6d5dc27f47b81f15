"""What a program calls besides NumPy: storing a result, large updates in pieces, numbers from outside, and guards.

These are run at every replay, so each does one thing with arrays that are there already.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import ndarray

from mytorch.replay.errors import Changed, Diverged
from mytorch.tensor import Tensor


def store(out: ndarray, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Write the result of a call that can only make a new array to where it belongs."""
    place(out, function(*args, **kwargs), function)


def store_all(
    outs: tuple[ndarray, ...], function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """Write the results of a call that makes several new arrays to where they belong."""
    results = function(*args, **kwargs)
    if len(results) != len(outs):
        raise Changed(f"{function!r} returned {len(results)} arrays, and {len(outs)} when it was recorded")
    for out, result in zip(outs, results, strict=True):
        place(out, result, function)


def place(out: ndarray, result: Any, function: Callable[..., Any]) -> None:
    """Write one result to where it belongs, if it is of the shape and dtype that it was when it was recorded."""
    result = np.asarray(result)
    if result.shape != out.shape or result.dtype != out.dtype:
        raise Changed(
            f"{function!r} returned {result.dtype}{result.shape}, and {out.dtype}{out.shape} when it was recorded"
        )
    np.copyto(out, result)


PIECE = 1 << 16  # entries: what fits in the cache beside its gradient


def descend(place: ndarray, rate: Any, gradient: ndarray, scratch: ndarray) -> None:
    """Do ``place -= rate * gradient`` piece by piece, so that large memory is passed through once."""
    places, gradients = place.reshape(-1), gradient.reshape(-1)
    for start in range(0, place.size, PIECE):
        piece = places[start : start + PIECE]
        change = scratch[: piece.size]
        np.multiply(gradients[start : start + PIECE], rate, change, casting="same_kind")
        np.subtract(piece, change, piece)


def descend_by_product(
    place: ndarray, a: ndarray, b: ndarray, scratch: ndarray, beside: tuple[ndarray, ndarray] | None
) -> None:
    """Do ``place -= a.dot(b)`` in pieces of rows, so that the product never leaves the cache.

    `beside` are what `padded` returns, where `a` is a column and `b` a row.
    """
    if beside is not None:
        beside[0][:, :1], beside[1][:1] = a, b
        a, b = beside
    rows = len(scratch)
    for start in range(0, len(place), rows):
        piece = place[start : start + rows]
        change = scratch[: len(piece)]
        np.matmul(a[start : start + rows], b, change)
        np.subtract(piece, change, piece)


def padded(m: int, n: int, dtype: np.dtype[Any]) -> tuple[ndarray, ndarray]:
    """Return zeros for a column of m entries and a row of n, and as much again.

    BLAS has a fast loop for the products of two columns with two rows, and none for one with one.
    """
    return np.zeros((2, m), dtype).T, np.zeros((2, n), dtype)


def fetch(out: ndarray, owner: Any, name: str) -> None:
    """Write a number that lives outside to where the program reads it."""
    out[()] = getattr(owner, name)


def check(guard: int, expected: Any, value: Any) -> None:
    """Raise Diverged unless a value that Python decides by is what it was."""
    if not same(expected, value):
        raise Diverged(guard, value)


def same(a: Any, b: Any) -> bool:
    """Say whether two values that Python decides by are one."""
    if type(a) is not type(b):
        return False
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, ndarray):
        return a.shape == b.shape and bool(np.array_equal(a, b, equal_nan=a.dtype.kind in "fc"))
    if isinstance(a, float | complex | np.inexact):
        return repr(a) == repr(b)  # 0.0 is not -0.0
    return bool(a == b or (a != a and b != b))


def grad_array(tensor: Tensor) -> ndarray:
    """Return the gradient of a Tensor, as an array."""
    gradient = tensor._grad
    array: ndarray = gradient._array if isinstance(gradient, Tensor) else gradient
    return array


def guarded(number: int, expected: Any, function: Any, args: Any, kwargs: Any) -> None:
    """Ask a guard."""
    check(number, expected, function(*args, **kwargs))


def under(errors: dict[str, Any], function: Any, args: Any, kwargs: Any) -> None:
    """Call a function under an error state."""
    with np.errstate(**errors):
        function(*args, **kwargs)


def with_keywords(function: Any, args: Any, kwargs: Any) -> None:
    """Call a function with keyword arguments."""
    function(*args, **kwargs)
