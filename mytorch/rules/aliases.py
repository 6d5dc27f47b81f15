"""Names that NumPy 1.26 still has and NumPy 2 has not, or not for long: this file can go when they are gone."""

from __future__ import annotations

from typing import Any

import numpy as np

from mytorch.rules.registry import composed, constant, present
from mytorch.rules.shapes import as_array

constant(*present(np, "alltrue", "in1d", "round_", "sometrue"))


@composed(*present(np, "product"))
def product(*args: Any, **kwargs: Any) -> Any:
    """Return `numpy.prod`."""
    return np.prod(*args, **kwargs)


@composed(*present(np, "cumproduct"))
def cumproduct(*args: Any, **kwargs: Any) -> Any:
    """Return `numpy.cumprod`."""
    return np.cumprod(*args, **kwargs)


@composed(*present(np, "msort"))
def msort(a: Any) -> Any:
    """Return the array sorted along the first axis."""
    return np.sort(a, axis=0)


@composed(*present(np, "asfarray"))
def asfarray(a: Any, dtype: Any = float) -> Any:
    """Return the numbers as floating-point ones."""
    x = as_array(a)
    return x.astype(dtype if np.issubdtype(dtype, np.inexact) else float, copy=False)
