"""Einstein summation: `einsum`, and `contract`, which other products are written in.

A sum of products is linear in each factor, so the gradient of a factor is again a sum of products: of the
output's gradient and the other factors, with the factor's own labels as output (Laue, Mitterreiter & Giesen,
*Computing Higher Order Derivatives of Matrix and Tensor Expressions*, NeurIPS 2018).  Inside, every label is one
letter and nothing is implied: an ellipsis has letters of its own, and the output is always given.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from string import ascii_letters
from typing import Any

import numpy as np

from mytorch.rules.registry import backward_of, composed, dispatched, view
from mytorch.rules.shapes import as_array

BLAS_PAYS = 2**16
"""Two factors whose sizes have a larger product go through BLAS; for smaller ones, arranging them costs more."""


@dispatched
def window(a: np.ndarray, *, term: str, output: str) -> np.ndarray:
    """Return the view of `a` with its axes permuted, and diagonals taken where a label is repeated."""
    if not term:
        return a[...]  # einsum would give a number, not a view
    return np.einsum(f"{term}->{output}", a)


@dispatched
def contract_one(a: np.ndarray, *, term: str, output: str) -> np.ndarray:
    """Return the sum of `a` over the labels that `output` lacks."""
    return np.einsum(f"{term}->{output}", a)


@dispatched
def contract_two(a: np.ndarray, b: np.ndarray, *, terms: tuple[str, str], output: str) -> np.ndarray:
    """Return the sum of products of two arrays, as a product of matrices where it is a large one."""
    plan = _plan(terms, output)
    if plan is not None and a.size * b.size > BLAS_PAYS:
        y = _by_matmul(a, b, plan)
        if y is not None:
            return y
    return np.einsum(f"{terms[0]},{terms[1]}->{output}", a, b)


@dispatched
def contract_many(
    *factors: np.ndarray, terms: tuple[str, ...], output: str, optimize: Any = True
) -> np.ndarray:
    """Return the sum of products of any number of arrays."""
    return np.einsum(f"{','.join(terms)}->{output}", *factors, optimize=optimize)


view(window)
backward_of(
    contract_one,
    lambda g, a_shape, *, term, output: factor_gradient(g, output, (), (), term, a_shape),
    name="einsum",
)
backward_of(
    contract_two,
    lambda g, b, a_shape, *, terms, output: factor_gradient(g, output, (b,), terms[1:], terms[0], a_shape),
    lambda g, a, b_shape, *, terms, output: factor_gradient(g, output, (a,), terms[:1], terms[1], b_shape),
    name="einsum",
)
backward_of(
    contract_many,
    each=lambda g, i, inputs, shapes, *, terms, output: factor_gradient(
        g, output, inputs[:i] + inputs[i + 1 :], terms[:i] + terms[i + 1 :], terms[i], shapes[i]
    ),
    name="einsum",
)


def factor_gradient(
    g: Any, output: str, others: tuple[Any, ...], terms: tuple[str, ...], term: str, shape: tuple[int, ...]
) -> Any:
    """Return the gradient of the factor `term` of `shape`: its product with `others`, of `terms`, has gradient `g`.

    A label that is the factor's alone was summed over, so its gradient is spread; one that stands twice in it
    took the diagonal, so the gradient lies on the diagonal.
    """
    labels = "".join(dict.fromkeys(term))
    known = "".join(label for label in labels if label in output or any(label in other for other in terms))
    gradient = contract((g, *others), (output, *terms), known)
    if len(labels) > len(known):
        gradient = np.expand_dims(gradient, tuple(i for i, label in enumerate(labels) if label not in known))
    wide = np.broadcast_shapes(gradient.shape, tuple(shape[term.index(label)] for label in labels))
    if gradient.shape != wide:
        gradient = np.broadcast_to(gradient, wide)
    return gradient if labels == term else _onto_diagonal(gradient, labels, term)


def _onto_diagonal(gradient: Any, labels: str, term: str) -> Any:
    """Return the array with axes `term` that has `gradient`, with axes `labels`, where repeated labels agree."""
    sizes = dict(zip(labels, gradient.shape, strict=True))
    first = tuple(sizes[label] if term.index(label) == i else 1 for i, label in enumerate(term))
    places = np.indices([sizes[label] for label in term], sparse=True)
    agree = np.ones((1,) * len(term), bool)
    for i, label in enumerate(term):
        agree = agree & (places[i] == places[term.index(label)])
    return np.where(agree, np.reshape(gradient, first), 0)


def contract(factors: tuple[Any, ...], terms: tuple[str, ...], output: str, optimize: Any = True) -> Any:
    """Return the sum of products of `factors`, whose axes are labelled `terms`, with axes `output`."""
    if len(factors) > 2:
        return contract_many(*factors, terms=terms, output=output, optimize=optimize)
    if len(factors) == 2:
        return contract_two(*factors, terms=(terms[0], terms[1]), output=output)
    if output and set(terms[0]) == set(output):
        return window(*factors, term=terms[0], output=output)
    return contract_one(*factors, term=terms[0], output=output)


# -- two factors as a product of matrices --------------------------------------------------------------------

Plan = tuple[tuple[int, ...], tuple[int, ...], int, int, tuple[int, ...]]


@lru_cache(maxsize=1024)
def _plan(terms: tuple[str, str], output: str) -> Plan | None:
    """Return how to see a product as one of (batches of) matrices; None where it is not.

    What it is: the axes of the first factor as batch, rows, sum; those of the second as batch, sum, columns; how
    many axes are batch and rows; the order of the output's axes.
    """
    a, b = terms
    shared = [label for label in a if label in b]
    batch = [label for label in shared if label in output]
    summed = [label for label in shared if label not in output]
    rows, columns = ([label for label in term if label not in shared] for term in terms)
    distinct = len(set(a)) == len(a) and len(set(b)) == len(b) and set(rows + columns) <= set(output)
    if not distinct or not summed or not rows + columns:
        return None
    computed = batch + rows + columns
    return (
        tuple(a.index(label) for label in batch + rows + summed),
        tuple(b.index(label) for label in batch + summed + columns),
        len(batch),
        len(rows),
        tuple(computed.index(label) for label in output),
    )


def _by_matmul(a: np.ndarray, b: np.ndarray, plan: Plan) -> np.ndarray | None:
    """Return the product as `plan` says; None where a shared label has length one in one factor only."""
    order_a, order_b, batches, n_rows, order = plan
    a, b = a.transpose(order_a), b.transpose(order_b)
    batch, rows, summed = a.shape[:batches], a.shape[batches : batches + n_rows], a.shape[batches + n_rows :]
    columns = b.shape[batches + len(summed) :]
    if b.shape != batch + summed + columns:
        return None
    left, right = a.reshape(*batch, prod(rows), prod(summed)), b.reshape(*batch, prod(summed), prod(columns))
    y = left @ right if batch else left.dot(right)
    return y.reshape(batch + rows + columns).transpose(order)


# -- NumPy's functions ---------------------------------------------------------------------------------------


@composed(np.einsum)
def einsum(*operands: Any, out: Any = None, optimize: Any = False, dtype: Any = None, **options: Any) -> Any:
    """Return the sum of products that the subscripts, or interleaved lists of labels, say."""
    subscripts, factors = _separated(operands)
    factors = tuple(as_array(x) for x in factors)
    if dtype is not None:
        factors = tuple(x.astype(dtype) for x in factors)
    terms, output = _explicit(subscripts, tuple(x.ndim for x in factors), bool(optimize))
    return contract(factors, terms, output, optimize)


def _separated(operands: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    """Return the subscripts and the factors; interleaved lists of labels become subscripts."""
    if isinstance(operands[0], str):
        return operands[0].replace(" ", ""), operands[1:]
    factors, labels = operands[:-1:2], operands[1::2]
    subscripts = ",".join(map(_letters, labels))
    return (f"{subscripts}->{_letters(operands[-1])}" if len(operands) % 2 else subscripts), factors


def _letters(labels: Any) -> str:
    """Return a list of labels, which are numbers or Ellipsis, as subscripts."""
    return "".join("..." if label is Ellipsis else ascii_letters[label] for label in labels)


@lru_cache(maxsize=1024)
def _explicit(subscripts: str, ndims: tuple[int, ...], optimize: bool) -> tuple[tuple[str, ...], str]:
    """Return the labels of every factor, and of the output, with nothing left to be understood."""
    left, arrow, output = subscripts.partition("->")
    terms = left.split(",")
    if len(terms) != len(ndims):
        raise ValueError(f"einsum: {subscripts!r} names {len(terms)} operands, but {len(ndims)} were given")
    free = [label for label in ascii_letters if label not in subscripts]
    extra = [n - len(t.replace("...", "")) if "..." in t else 0 for t, n in zip(terms, ndims, strict=True)]
    if min(extra) < 0 or any(len(t) != n for t, n in zip(terms, ndims, strict=True) if "..." not in t):
        raise ValueError(f"einsum: the subscripts {subscripts!r} do not fit operands of {ndims} dimensions")
    wrong = [c for c in output.replace("...", "") if c not in left or output.count(c) > 1]
    if wrong:
        raise ValueError(f"einsum: the output of {subscripts!r} names {wrong[0]!r} twice, or no operand does")
    dots = "".join(free[: max(extra)])
    if not arrow:
        single = sorted(c for c in set(left) - {",", "."} if left.count(c) == 1)
        output = "..." + "".join(single)
    elif dots and "..." not in output and not optimize:
        raise ValueError(
            f"einsum: an operand of {subscripts!r} has dimensions in '...', the output has no '...'"
        )
    expanded = [t.replace("...", dots[len(dots) - n :]) for t, n in zip(terms, extra, strict=True)]
    return tuple(expanded), output.replace("...", dots)
