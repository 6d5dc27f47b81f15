"""The methods of ufuncs (`reduce`, `accumulate`, `outer`, `reduceat`, `at`) in terms of functions that have rules."""

from __future__ import annotations

from typing import Any

import numpy as np

REDUCE: dict[np.ufunc, Any] = {np.add: np.sum, np.multiply: np.prod, np.maximum: np.max, np.minimum: np.min}
ACCUMULATE: dict[np.ufunc, Any] = {np.add: np.cumsum, np.multiply: np.cumprod}


def call(ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return ``ufunc.method(*inputs, **kwargs)``."""
    if method == "reduce" and ufunc in REDUCE:
        a, *rest = inputs
        axis = rest[0] if rest else kwargs.pop("axis", 0)
        return REDUCE[ufunc](a, axis=axis, **kwargs)
    if method == "accumulate" and ufunc in ACCUMULATE:
        a, *rest = inputs
        axis = rest[0] if rest else kwargs.pop("axis", 0)
        return ACCUMULATE[ufunc](a, axis=axis, **kwargs)
    if method == "outer":
        a, b = inputs
        return ufunc(np.reshape(a, np.shape(a) + (1,) * np.ndim(b)), b, **kwargs)
    raise TypeError(
        f"np.{ufunc.__name__}.{method} is not differentiable here; write it with np.{ufunc.__name__}"
    )


def at(ufunc: np.ufunc, destination: Any, index: Any, values: list[Any]) -> None:
    """Do ``ufunc.at(destination, index, *values)`` in place."""
    from mytorch.rules.memory import put_at

    if ufunc not in (np.add, np.subtract):
        raise TypeError(
            f"np.{ufunc.__name__}.at is not differentiable here; np.add.at and np.subtract.at are"
        )
    places = np.empty(destination.shape, np.int8)[index]
    update = put_at(np.broadcast_to(values[0], places.shape), index=index, shape=destination.shape)
    ufunc(destination, update, out=destination)
