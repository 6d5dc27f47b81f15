"""The BLAS back end: a weight and the step that it takes are one call of SciPy's BLAS.

``W -= rate * (g.T @ x)`` is a product, a multiplication and a subtraction to NumPy, and one ``gemm`` with beta = 1 (or
``ger``, for a single row) to BLAS; ``W -= rate * g`` is one ``axpy``.  The gradient itself is then never in memory, so
this is done where nobody asks for it afterwards.  What is faster is measured, on copies of the weights.

SciPy brings a BLAS of its own with threads of its own; two pools of threads on the same cores wait for each other, a
hundred times longer than the work takes.  SciPy's pool is therefore held at one thread from the first such program on.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import scipy.linalg.blas as library
import threadpoolctl
from numpy import ndarray

from mytorch.extras.order import columns, factors, is_new, late, readers
from mytorch.replay.instructions import Instruction, Listing, Value
from mytorch.replay.lowering.backends import Backend
from mytorch.replay.lowering.forms import Call, Form, part, with_arrays
from mytorch.replay.lowering.scratch import Scratch
from mytorch.replay.passes.updates import is_number
from mytorch.replay.program import Program

PREFIX = {"f": "s", "d": "d"}
SMALLEST = 1024  # entries of a weight below which a call of SciPy's costs more than it saves


@cache
def held() -> Any:
    """Hold the threads of the BLAS that SciPy brings at one, for as long as the process lives.

    Where SciPy and NumPy share one library there is only one pool, and nothing is held.
    """
    folders = Path(scipy.__file__).parent, Path(scipy.__file__).parent.parent / "scipy.libs"
    controller = threadpoolctl.ThreadpoolController()
    own = [
        entry["filepath"]
        for entry in controller.info()
        if entry["user_api"] == "blas"
        and any(folder in Path(entry["filepath"]).parents for folder in folders)
    ]
    return controller.select(filepath=own).limit(limits=1) if own else None


# -- the calls -------------------------------------------------------------------------------------------------


def stepped_by_product(
    gemm: Any,
    scale: Any,
    sign: float,
    a: ndarray,
    b: ndarray,
    c: ndarray,
    transposed_a: int,
    transposed_b: int,
) -> None:
    """Add ``sign * scale * a @ b`` to c, in Fortran's order."""
    alpha = sign * float(scale)
    if alpha:
        gemm(alpha, a, b, 1.0, c, transposed_a, transposed_b, 1)
    else:  # BLAS takes that for nothing to do; 0 × infinity is something else
        np.add(c, alpha * ((a.T if transposed_a else a) @ (b.T if transposed_b else b)), c)


def stepped_by_rows(ger: Any, scale: Any, sign: float, x: ndarray, y: ndarray, c: ndarray) -> None:
    """Add ``sign * scale * outer(x, y)`` to c, in Fortran's order."""
    alpha = sign * float(scale)
    if alpha:
        ger(alpha, x, y, 1, 1, c, 0, 0, 1)
    else:
        np.add(c, alpha * np.outer(x, y), c)


def stepped(axpy: Any, scale: Any, sign: float, size: int, x: ndarray, y: ndarray) -> None:
    """Add ``sign * scale * x`` to y."""
    alpha = sign * float(scale)
    if alpha:
        axpy(x, y, size, alpha)
    else:
        np.add(y, alpha * x, y)


# -- what they replace -----------------------------------------------------------------------------------------


class Blas(Backend):
    """Weight updates as calls of SciPy's BLAS.

    Attributes
    ----------
    updates : the positions of the instructions that each call does the work of
    """

    name = "blas"

    def __init__(self) -> None:
        held()
        self.updates: list[list[int]] = []

    def arranged(self, listing: Listing) -> Listing:
        """Compute a product just before the step that is its only use."""
        users = readers(listing.instructions)

        def moves(instruction: Instruction) -> bool:
            if factors(instruction) is None and columns(instruction) is None:
                return False
            user = listing.instructions[users[instruction.outs[0].buffer.number][0]]
            return user.function is np.multiply and is_new(user) and len(user.outs[0].shape) == 2

        roots = {root.buffer.number for root in listing.roots}
        return Listing(
            late(listing.instructions, lambda i: i.outs[0].buffer.number not in roots and moves(i)),
            listing.roots,
        )

    def replaced(self, program: Program, forms: list[Form | None]) -> list[Form | None]:
        """Put calls of BLAS in the place of updates, where they are faster."""
        forms = list(forms)
        scratch = Scratch(program)
        for last in range(len(forms)):
            for first, calls in candidates(program, last):
                positions = list(range(first, last + 1))
                if all(forms[p] is None for p in positions) and faster(calls, positions, scratch):
                    forms[first : last + 1] = [[] for _ in positions]
                    forms[last] = calls
                    self.updates.append(positions)
                    break
        return forms


def candidates(program: Program, last: int) -> list[tuple[int, Form]]:
    """Return the calls that do the work of an update and of what comes just before it, with where that begins."""
    found: list[tuple[int, Form]] = []
    update = _Update.of(program, last)
    if update is None:
        return found
    product = program.instructions[last - 2] if last >= 2 else None
    if product is not None and update.is_only_use_of(product):
        call = update.by_rows(product) or update.by_product(product)
        if call is not None:
            found.append((last - 2, [call]))
    call = update.by_itself()
    if call is not None:
        found.append((last - 1, [call]))
    return found


class _Update:
    """``weight -= scale * gradient``: an instruction that scales, and the one after it that subtracts or adds."""

    def __init__(self, program: Program, weight: Value, sign: float, scale: Any, gradient: Value) -> None:
        self.program, self.weight, self.sign, self.scale, self.gradient = (
            program,
            weight,
            sign,
            scale,
            gradient,
        )

    @classmethod
    def of(cls, program: Program, last: int) -> _Update | None:
        """Return the update that ends at a position (None: there is none)."""
        if last < 1:
            return None
        scaling, taking = program.instructions[last - 1 : last + 1]
        if scaling.function is not np.multiply or taking.function not in (np.add, np.subtract):
            return None
        if any(i.kwargs or i.errors is not None or i.kind != "ufunc" for i in (scaling, taking)):
            return None
        weight, step, out = taking.args[0], scaling.outs[0], taking.outs[0]
        if not isinstance(weight, Value) or weight.key != out.key or weight.dtype.char not in PREFIX:
            return None
        if not (isinstance(taking.args[1], Value) and taking.args[1].key == step.key and is_new(scaling)):
            return None
        if weight.size < SMALLEST or not _is_last_use(program, step, last):
            return None
        scale, gradient = scaling.args if is_number(scaling.args[0]) else scaling.args[::-1]
        if not is_number(scale) or not isinstance(gradient, Value):
            return None
        if (
            not gradient.dtype == step.dtype == weight.dtype
            or not gradient.shape == step.shape == weight.shape
        ):
            return None
        place = program.real(weight)
        if not place.flags.aligned or np.may_share_memory(program.real(gradient), place):
            return None  # SciPy would change a copy of what is not aligned
        return cls(program, weight, 1.0 if taking.function is np.add else -1.0, scale, gradient)

    def is_only_use_of(self, product: Instruction) -> bool:
        """Say whether the gradient is the result of a product, and nobody else asks for it."""
        if not is_new(product) or product.outs[0].key != self.gradient.key:
            return False
        positions = [p for p, i in enumerate(self.program.instructions) if i is product]
        return _is_last_use(self.program, self.gradient, positions[0] + 1)

    def by_itself(self) -> Call | None:
        """Return the call that adds the gradient."""
        both = self.weight, self.gradient
        if not all(v.is_contiguous for v in both):
            return None
        axpy = getattr(library, f"{PREFIX[self.weight.dtype.char]}axpy")
        flat = [part(v, lambda x: x.reshape(-1)) for v in both]
        return stepped, (axpy, self.scale, self.sign, self.weight.size, flat[1], flat[0]), {}

    def by_product(self, product: Instruction) -> Call | None:
        """Return the call that adds a product of matrices."""
        pair, c = factors(product), self.weight
        if pair is None or not self._fits(*pair):
            return None
        a, b = pair
        if c.is_contiguous:
            a, b, c = turned(b), turned(a), turned(c)
        if not turned(c).is_contiguous:
            return None
        sides = []
        for side in (a, b):
            if turned(side).is_contiguous:
                sides.append((side, 0))
            elif side.is_contiguous:
                sides.append((turned(side), 1))
            else:
                return None
        gemm = getattr(library, f"{PREFIX[c.dtype.char]}gemm")
        (x, transposed_x), (y, transposed_y) = sides
        return stepped_by_product, (gemm, self.scale, self.sign, x, y, c, transposed_x, transposed_y), {}

    def by_rows(self, product: Instruction) -> Call | None:
        """Return the call that adds an outer product."""
        pair, c = columns(product), self.weight
        if pair is None or not self._fits(*pair):
            return None
        a, b = pair
        if product.function is np.multiply and a.shape != (a.size, 1):  # the column stands where it likes
            a, b = b, a
        if len(c.shape) != 2 or (a.size, b.size) != c.shape:
            return None
        if not (a.is_contiguous and b.is_contiguous):
            return None
        if c.is_contiguous:
            a, b, c = b, a, turned(c)
        if not turned(c).is_contiguous:
            return None
        ger = getattr(library, f"{PREFIX[c.dtype.char]}ger")
        x, y = [part(v, lambda array: array.reshape(-1)) for v in (a, b)]
        return stepped_by_rows, (ger, self.scale, self.sign, x, y, c), {}

    def _fits(self, a: Any, b: Any) -> bool:
        weight = self.program.real(self.weight)
        return all(
            isinstance(x, Value)
            and x.dtype == weight.dtype
            and not np.may_share_memory(self.program.real(x), weight)
            for x in (a, b)
        )


def turned(value: Value) -> Value:
    """Return the transpose."""
    return part(value, lambda x: x.T)


def _is_last_use(program: Program, value: Value, position: int) -> bool:
    """Say whether a memory is read at a position, and nowhere else."""
    number = value.buffer.number
    if any(root.buffer.number == number for root in program.planned.roots):
        return False
    return all(
        p == position
        for p, i in enumerate(program.instructions)
        if any(v.buffer.number == number for v in i.reads)
    )


def faster(calls: Form, positions: list[int], scratch: Scratch) -> bool:
    """Say whether calls take less time than NumPy's, on the program's memory and on copies of the weights."""
    ((function, (routine, _, *others), _),) = with_arrays(calls, scratch.array)
    own: Form = [(function, (routine, np.float32(0.001), *others), {})]  # by 0 would not be a call of BLAS
    return scratch.is_faster(own, positions)
