"""Random sums of products: einsum is linear in each operand, which says exactly what its gradients are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mytorch import Tensor
from mytorch.gradcheck import check_gradients
from mytorch.rules import einsum as rules
from mytorch.transforms import vjp

LABELS = "abcd"


@st.composite
def contractions(draw: st.DrawFn) -> tuple[str, list[np.ndarray]]:
    """Draw subscripts, and operands of 0 to 4 axes whose labels may repeat, or have length one in some operands."""
    sizes = {label: draw(st.integers(1, 4)) for label in LABELS}
    dots = draw(st.lists(st.integers(1, 3), max_size=2))
    terms, operands = [], []
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    for _ in range(draw(st.integers(1, 3))):
        term = "".join(draw(st.lists(st.sampled_from(LABELS), max_size=3)))
        thin = set(draw(st.lists(st.sampled_from(LABELS), max_size=1)))
        shape = [1 if label in thin else sizes[label] for label in term]
        if draw(st.booleans()):
            shape += dots[draw(st.integers(0, len(dots))) :]
            term += "..."
        terms.append(term)
        a = rng.normal(size=shape)
        operands.append(a + 1j * rng.normal(size=shape) if draw(st.booleans()) else a)
    left = ",".join(terms)
    if draw(st.booleans()):
        return left, operands
    used = sorted(set(left) - set(",."))
    output = draw(st.lists(st.sampled_from(used), unique=True)) if used else []
    return f"{left}->{'...' if '.' in left else ''}{''.join(output)}", operands


def random_like(a: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return random numbers, real or complex as those of `a` are."""
    x = rng.normal(size=a.shape)
    return x + 1j * rng.normal(size=a.shape) if a.dtype.kind == "c" else x


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(contractions(), st.sampled_from([False, True]), st.sampled_from([0, 2**16]))
def test_gradients_of_random_contractions(
    case: tuple[str, list[np.ndarray]], optimize: bool, blas_pays: int
) -> None:
    subscripts, operands = case
    expected = np.einsum(subscripts, *operands)
    rng = np.random.default_rng(0)
    g = random_like(np.asarray(expected), rng)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rules, "BLAS_PAYS", blas_pays)
        y, pullback = vjp(lambda *xs: np.einsum(subscripts, *xs, optimize=optimize), *operands)
        gradients = pullback(g)

    np.testing.assert_allclose(y, expected, rtol=1e-10, atol=1e-12)
    for i, a in enumerate(operands):
        dx = random_like(a, rng)
        dy = np.einsum(subscripts, *operands[:i], dx, *operands[i + 1 :])
        np.testing.assert_allclose(
            np.vdot(gradients[i], dx).real, np.vdot(g, dy).real, rtol=1e-10, atol=1e-11
        )


@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(contractions())
def test_second_derivatives_of_random_contractions(case: tuple[str, list[np.ndarray]]) -> None:
    subscripts, operands = case
    check_gradients(lambda *xs: np.einsum(subscripts, *xs), *operands)


@pytest.mark.parametrize("subscripts", ["ii->i", "ij->ji", "ij->ij", "ij"])
def test_a_permutation_or_diagonal_is_a_view(subscripts: str) -> None:
    a: Any = Tensor(np.ones((3, 3)), requires_grad=True)
    b = a * 1
    assert np.shares_memory(np.einsum(subscripts, b).numpy(), b.numpy())
    assert len(b.tape.operation_list) == 1


def test_a_product_of_two_keeps_only_the_factor_that_is_read() -> None:
    a: Any = Tensor(np.ones((3, 3)), requires_grad=True)
    y = np.einsum("ij,jk->ik", a, np.ones((3, 2)))
    (operation,) = y.tape.operation_list
    assert [x is None for x in operation.inputs] == [True, False]
