"""Functions without a derivative to speak of: zero wherever it exists, or none at all, with the reason.

Those that belong to a family (comparisons, rounding, positions of extrema, ...) stand with their families.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mytorch.rules.registry import constant, dispatched, refused


@dispatched
def values(a: Any) -> Any:
    """Return the values of `a`, of which no derivative is taken: a plain array."""
    return a


constant(
    values,
    # Truth values and counts
    np.allclose,
    np.array_equal,
    np.array_equiv,
    np.isclose,
    np.isin,
    # Positions
    np.argwhere,
    np.diag_indices_from,
    np.flatnonzero,
    np.nonzero,
    np.ravel_multi_index,
    np.tril_indices_from,
    np.triu_indices_from,
    np.unravel_index,
    # Dtypes and memory
    np.can_cast,
    np.common_type,
    np.iscomplexobj,
    np.isrealobj,
    np.may_share_memory,
    np.min_scalar_type,
    np.result_type,
    np.shares_memory,
    # Bits
    np.packbits,
    np.unpackbits,
    # Values as text, and in files
    np.array2string,
    np.array_repr,
    np.array_str,
    np.save,
    np.savetxt,
    np.savez,
    np.savez_compressed,
    # How a product of many arrays would be computed
    np.einsum_path,
)

refused(
    "dates are not numbers, so there is nothing to differentiate",
    [np.busday_count, np.busday_offset, np.is_busday, np.datetime_as_string],
)
refused(
    "which values two sets share changes as soon as one of them does; select entries with np.isin, which is constant",
    [np.intersect1d],
)

refused(
    "text is not numbers, so there is nothing to differentiate",
    [
        getattr(module, name)
        for module in (np.char, getattr(np, "strings", np.char))
        for name in module.__all__
        if name != "chararray" and not hasattr(np, name)  # a class; and functions of numbers too, such as add
    ],
)


# Numbers as arrays without axes: to make one of a Python number takes as long as to compute with it.
ZERO = {np.dtype(kind): np.zeros((), kind) for kind in (np.float32, np.float64)}
ONE = {dtype: np.ones((), dtype) for dtype in ZERO}
for _number in (*ZERO.values(), *ONE.values()):
    _number.flags.writeable = False


def one(like: Any) -> Any:
    """Return 1 in the form that is cheapest to compute with beside `like`."""
    return ONE.get(like.dtype, 1) if type(like) is np.ndarray else 1
