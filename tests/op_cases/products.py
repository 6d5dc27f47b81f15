"""Products of vectors, matrices and arrays, einsum, and convolution."""

from __future__ import annotations

from typing import Any

import numpy as np

from mytorch.rules import einsum, products
from mytorch.rules.registry import present
from tests.counterparts import of_torch
from tests.op_cases import Case

RNG = np.random.default_rng(31)
V3, W3, V4, V1 = (RNG.normal(size=n) for n in (3, 3, 4, 1))
M34, M45, M33, M23 = (RNG.normal(size=s) for s in ((3, 4), (4, 5), (3, 3), (2, 3)))
T234, T245, T423 = (RNG.normal(size=s) for s in ((2, 3, 4), (2, 4, 5), (4, 2, 3)))
C3, C34, C33 = (RNG.normal(size=s) + 1j * RNG.normal(size=s) for s in ((3,), (3, 4), (3, 3)))
BIG_A, BIG_B, BIG_C = (RNG.normal(size=s) for s in ((12, 30), (30, 25), (3, 25, 30)))
STRIDED = RNG.normal(size=(8, 6))[::2, ::2]
ZERO_D = np.array(1.5)


def summed(subscripts: str, *operands: Any, **options: Any) -> Case:
    """Return the case of an einsum, with PyTorch's where it has the same."""
    small = all(
        x.ndim == len(set(t)) for x, t in zip(operands, subscripts.split("->")[0].split(","), strict=False)
    )
    torch = (lambda *xs: of_torch("einsum")(subscripts, *xs)) if small else None
    return Case(np.einsum, (subscripts, *operands), options, name=subscripts, torch=torch)


def einsum_written(a: Any) -> Any:
    """Write to a view that einsum gives."""
    a = a * 2
    np.einsum("ii->i", a)[...] *= 3
    return a


CASES = [
    # One operand: views, sums, diagonals
    Case(einsum_written, (M33,), covers=(einsum.window,)),
    Case(np.einsum, ("ij->", M34), name="one operand", covers=(np.einsum, einsum.contract_one)),
    summed("ij->ji", M34),
    summed("ii->", M33),
    summed("ii->i", M33),
    summed("ii", M33),
    summed("ij->j", M34),
    summed("ijk->k", T234),
    summed("iij->j", RNG.normal(size=(3, 3, 2))),
    summed("iij->ij", RNG.normal(size=(3, 3, 2))),
    summed("iji->j", RNG.normal(size=(3, 2, 3))),
    summed("iii->", RNG.normal(size=(3, 3, 3))),
    summed("...ij->...ji", T234),
    summed("ji", M34),
    summed("i->i", V3),
    summed("->", ZERO_D),
    summed("ij->", np.empty((0, 3))),
    # Two
    Case(np.einsum, ("ij,jk->ik", M34, M45), name="two operands", covers=(np.einsum, einsum.contract_two)),
    summed("ij,jk", M34, M45),
    summed("ij,kj->ik", M34, RNG.normal(size=(2, 4))),
    summed("ij,ij->", M34, RNG.normal(size=(3, 4))),
    summed("ij,ij->j", M34, RNG.normal(size=(3, 4))),
    summed("i,j->ij", V3, V4),
    summed("i,i", V3, W3),
    summed("ij,j->i", M34, V4),
    summed("bij,bjk->bik", T234, T245),
    summed("bij,bjk->kib", T234, T245),
    summed("bij,bjk->ik", T234, T245),
    summed("ij,k->ik", M34, V3),
    summed("ij,k->", M34, V3),
    summed("ii,i->i", M33, V3),
    summed("ii,jj->ij", M33, RNG.normal(size=(2, 2))),
    summed("ii,ii->", M33, RNG.normal(size=(3, 3))),
    summed("...i,i->...", T234, V4),
    summed("...ij,...jk->...ik", T234, T245),
    summed("...ij,jk", T234, M45),
    summed("i...,...->i", V3, np.array(2.0)),
    summed("i...,j...->ij...", M23, RNG.normal(size=(4, 1))),
    Case(np.einsum, ("ij,jk->ik", C34, M45), name="complex and real"),
    summed("ij,ij->i", C34, C34 * 1j),
    summed("ij,jk->ik", STRIDED, M33),
    summed("ij,jk->ik", np.empty((0, 3)), M34),
    summed(" i j , jk -> ik", M34, M45),
    Case(np.einsum, ("i,i->i", V3, V1), name="a label of length one in one operand"),
    Case(np.einsum, ("ij,jk->ik", M34, RNG.normal(size=(1, 5))), name="a summed label of length one"),
    Case(np.einsum, ("ij,i->", M34, V1), name="a label of length one, summed"),
    Case(np.einsum, ("ij,jk->ik", BIG_A, BIG_B), name="through BLAS", torch=of_torch("matmul")),
    Case(np.einsum, ("ij,bkj->bki", BIG_A, BIG_C), name="batch through BLAS"),
    Case(np.einsum, ("ij,bkj->kb", BIG_A, BIG_C), name="large, with a sum of one operand"),
    Case(np.einsum, ("bij,bjk->ibk", BIG_C, BIG_C.swapaxes(1, 2).copy()), name="large, with a batch"),
    Case(np.einsum, ("ij,jk->ik", BIG_A, BIG_A[:1].T[:1]), name="large, with a label of length one"),
    Case(np.einsum, ("ij,jk->ik", BIG_A * 1j, BIG_B), name="large and complex"),
    # More
    Case(np.einsum, ("ij,jk,k->i", M34, M45, RNG.normal(size=5)), covers=(np.einsum, einsum.contract_many)),
    summed("ij,jk,kl->il", M34, M45, RNG.normal(size=(5, 2))),
    summed("i,i,i->", V3, W3, V3 * W3),
    summed("ij,jk,kl->il", M34, M45, RNG.normal(size=(5, 2)), optimize=True),
    summed("ij,jk,kl->il", M34, M45, RNG.normal(size=(5, 2)), optimize="optimal"),
    summed("ab,bc,cd,de->ae", M34, M45, M45.T.copy(), M34.T.copy(), optimize="greedy"),
    summed("ii,jk,j->k", M33, M34, V3),
    summed("...i,...->i", T234, M23, optimize=True),
    Case(
        np.einsum,
        ("ij,jk,kl->il", M34, M45, RNG.normal(size=(5, 2))),
        {"optimize": ["einsum_path", (0, 1), (0, 1)]},
        name="a given path",
    ),
    # Interleaved lists of labels, and other options
    Case(np.einsum, (M34, [0, 1], M45, [1, 2], [0, 2]), name="interleaved"),
    Case(np.einsum, (M34, [0, 1], M45, [1, 2]), name="interleaved, implicit"),
    Case(np.einsum, (T234, [Ellipsis, 1], V4, [1], [Ellipsis]), name="interleaved, ellipsis"),
    Case(np.einsum, ("i,i", V3, [1.0, 2.0, 3.0]), name="a list"),
    Case(np.einsum, ("i,i->i", V3, V3), {"dtype": complex, "casting": "safe"}, name="dtype", float32=False),
    # dot and its kin
    Case(np.dot, (V3, W3)),
    Case(np.dot, (M34, M45), name="matrices"),
    Case(np.dot, (M34, V4), name="matrix and vector"),
    Case(np.dot, (V3, M34), name="vector and matrix"),
    Case(np.dot, (ZERO_D, M34), name="0-d"),
    Case(np.dot, (M34, 2.0), name="number"),
    Case(np.dot, (T234, V4), name="array and vector"),
    Case(np.dot, (T234, T245), name="arrays"),
    Case(np.dot, (V4, T245), name="vector and array"),
    Case(np.dot, (C34, M45), name="complex"),
    Case(np.inner, (V3, W3), torch=of_torch("inner")),
    Case(np.inner, (T234, RNG.normal(size=(5, 4))), name="arrays", torch=of_torch("inner")),
    Case(np.inner, (ZERO_D, V3), name="0-d"),
    Case(np.inner, (C3, C3 * 1j), name="complex"),
    Case(np.vdot, (V3, W3)),
    Case(np.vdot, (C34, C34.T.copy()), name="complex"),
    Case(np.vdot, (C3, V3), name="complex and real"),
    Case(np.vdot, (ZERO_D, ZERO_D * 2), name="0-d"),
    Case(np.outer, (V3, V4), torch=of_torch("outer")),
    Case(np.outer, (M23, V4), name="matrix"),
    Case(np.outer, (C3, C3), name="complex", torch=of_torch("outer")),
    Case(np.outer, (2.0, V4), name="number"),
    Case(np.kron, (M23, M34), torch=of_torch("kron")),
    Case(np.kron, (V3, M34), name="vector and matrix", torch=of_torch("kron")),
    Case(np.kron, (T234, V3), name="array and vector", torch=of_torch("kron")),
    Case(np.kron, (C3, C3), name="complex", torch=of_torch("kron")),
    Case(np.kron, (2.0, V3), name="number"),
    Case(
        np.tensordot,
        (T234, T423),
        {"axes": ([1, 0], [2, 1])},
        torch=of_torch("tensordot", dims=([1, 0], [2, 1])),
    ),
    Case(np.tensordot, (T234, RNG.normal(size=(3, 4, 2))), name="2 axes"),
    Case(np.tensordot, (M34, M45, 1), name="1 axis"),
    Case(np.tensordot, (V3, M34, 0), name="no axes", torch=of_torch("tensordot", dims=0)),
    Case(np.tensordot, (T234, V4, (-1, 0)), name="negative axis"),
    Case(
        np.tensordot, (C34, C33, ((0,), (1,))), name="complex", torch=of_torch("tensordot", dims=([0], [1]))
    ),
    Case(np.tensordot, (BIG_C, BIG_A, (2, 1)), name="large"),
    Case(np.trace, (M34,)),
    Case(np.trace, (T234, 1, -1, 0), name="offset and axes"),
    Case(np.trace, (C33,), name="complex", torch=of_torch("trace")),
    *(Case(f, (V3, V4)) for f in present(np.linalg, "outer")),
    *(Case(f, (T234, T245)) for f in present(np.linalg, "matmul")),
    *(Case(f, (T234, V4), {"axes": (2, 0)}) for f in present(np.linalg, "tensordot")),
    *(Case(f, (T234,), {"offset": 1}) for f in present(np.linalg, "trace")),
    *(Case(f, (C34, C34 * 2j)) for f in present(np.linalg, "vecdot")),
    *(Case(f, (T234, M34), {"axis": 1 - 3}, name="axis") for f in present(np.linalg, "vecdot")),
    # Chains
    Case(np.linalg.multi_dot, ([M34, M45, M45.T.copy()],), covers=(np.linalg.multi_dot, products.chain)),
    Case(np.linalg.multi_dot, ([V3, M34, M45, RNG.normal(size=5)],), name="vectors at both ends"),
    Case(np.linalg.multi_dot, ([V3, M34, M45],), name="a vector first"),
    Case(np.linalg.multi_dot, ([M34, M45, RNG.normal(size=5)],), name="a vector last"),
    Case(np.linalg.multi_dot, ([M34, M45],), name="two"),
    Case(np.linalg.multi_dot, ([C34, M45, M45.T.copy(), C34.T.copy()],), name="complex"),
    # Vectors in space
    Case(np.cross, (V3, W3), covers=(np.cross, products.cross_in_space)),
    Case(np.cross, (RNG.normal(size=(2, 1, 3)), RNG.normal(size=(4, 3))), name="broadcast"),
    Case(np.cross, (M34, RNG.normal(size=(3, 4))), {"axis": 0}, name="axis"),
    Case(np.cross, (M34, RNG.normal(size=(4, 3))), {"axisa": 0, "axisb": 1, "axisc": 0}, name="axes"),
    Case(np.cross, (C33, M33), name="complex"),
    *(Case(f, (M33, M23[:1]), torch=of_torch("linalg.cross", dim=-1)) for f in present(np.linalg, "cross")),
    *(Case(f, (M34, M34 * M34), {"axis": 0}, name="axis") for f in present(np.linalg, "cross")),
    # Convolution
    Case(np.convolve, (V4, V3), covers=(np.convolve, products.convolution)),
    *(
        Case(function, (a, b, mode), name=f"{mode} {len(a)} {len(b)}")
        for function in (np.convolve, np.correlate)
        for mode in ("full", "same", "valid")
        for a, b in (
            (V4, V3),
            (V3, V4),
            (V4, V4[::-1]),
            (V4, V1),
            (V3, V4[:2]),
            (M45[0], M45[1, :4]),
            (V1, V1),
        )
    ),
    Case(np.convolve, (C3, V4), name="complex"),
    Case(np.correlate, (V4, C3, "full"), name="complex"),
    Case(np.correlate, (C3, V4, "same"), name="complex, swapped"),
    Case(np.convolve, (2.0, V3), name="number"),
]
