"""Operations on Tensors are recorded: `record` appends what was computed to the tape that the operands travel with.

In: a rule, the value that its function gave, and the operands.  Out: the Tensor of the value.  The record holds only
the arrays that the wanted formulas read, and says by name which memories gradients come from and go to; where no
operand is differentiable there is none.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray

from mytorch.autograd_engine import Autograd
from mytorch.lines import caller
from mytorch.records import Exact, Operation, next_serial
from mytorch.regions import Region, Target, gradient_dtype
from mytorch.rules.registry import Rule
from mytorch.tensor import Alias, Tensor, as_ndarray, is_recording, new_tensor, target


def link(a: Autograd, b: Autograd) -> Autograd:
    """Join two tapes and return the younger, of which the older is now a parent (so there are no cycles)."""
    young, old = (a, b) if a.serial > b.serial else (b, a)
    if young.parents is None:
        young.parents = [old]
    elif not any(parent is old for parent in young.parents):
        young.parents.append(old)
    return young


def note_saved(owner: Tensor, tape: Autograd) -> None:
    """Remember that `tape` will read the values in the memory of `owner`."""
    ref = tape.ref
    saved = owner._saved
    if type(saved) is Alias:
        writer = saved()
        if writer is not None:
            note_saved(writer, tape)
        return
    if saved is None or (type(saved) is not list and (saved is ref or saved() is None)):
        owner._saved = ref
        return
    alive = [r for r in (saved if type(saved) is list else [saved]) if r is not None and r is not ref and r()]
    owner._saved = [*alive, ref] if alive else ref


def savers(owner: Tensor) -> list[Autograd]:
    """Return the living tapes that read the values in the memory of `owner`."""
    saved = owner._saved
    if saved is None:
        return []
    if type(saved) is Alias:
        writer = saved()
        return [] if writer is None else savers(writer)
    if type(saved) is not list:
        tape = saved()
        return [] if tape is None else [tape]
    return [tape for r in saved if (tape := r()) is not None]


def record(rule: Rule, y: Any, operands: tuple[Any, ...], static: dict[str, Any] | None = None) -> Tensor:
    """Return the Tensor of `y`, computed from `operands`, recorded when an operand is differentiable."""
    if type(y) is not ndarray:
        y = as_ndarray(y)
    if not is_recording() or y.dtype.kind not in "fc":
        if y.dtype.kind == "O" and is_recording():
            _refuse_objects(rule, operands)
        return new_tensor(y, None, None)
    targets, tape, mask = targets_of(operands)
    if tape is None:
        return new_tensor(y, None, None)
    inputs, reads_output = kept(rule, operands, mask, tape)
    output = y if reads_output else None
    serial = next_serial()
    code, lasti = caller(3)
    operation: Any
    if static or not _is_exact(rule, y, operands, targets):
        metas = (
            metas_of_operands(operands, targets)
            if rule.always_fit or _differ(operands, y, rule.elementwise)
            else None
        )
        operation = Operation(
            inputs, output, None, rule, targets, serial, metas, static or {}, serial, code, lasti
        )
    else:
        operation = Exact()
        operation.rule, operation.output = rule, output
        operation.serial, operation.code, operation.lasti = serial, code, lasti
        operation.a, operation.target_a = inputs[0], targets[0]
        if len(targets) > 1:
            operation.b, operation.target_b = inputs[1], targets[1]
            if len(targets) > 2:
                operation.c, operation.target_c = inputs[2], targets[2]
    tape.operation_list.append(operation)
    result = new_tensor(y, serial, tape)
    if reads_output:
        result._saved = tape.ref
    return result


def _refuse_objects(rule: Rule, operands: tuple[Any, ...]) -> None:
    """Raise where a result of objects would lose a gradient."""
    if any(isinstance(x, Tensor) and x.requires_grad for x in operands):
        raise TypeError(
            f"{rule.name}: an array of objects among the operands makes the result one, which has no gradient; "
            "convert it with .astype(float)"
        )


def targets_of(operands: tuple[Any, ...]) -> tuple[tuple[Any, ...], Autograd | None, int]:
    """Return where gradients of operands go, the tape to record on (None: nothing to record), and which are wanted.

    The last is a set of bits: the first operand's is 1.
    """
    targets: list[Target | None] = []
    tape: Autograd | None = None
    leaves: list[Tensor] | None = None
    mask, bit = 0, 1
    for x in operands:
        place: Target | None = None
        if isinstance(x, Tensor):
            owner = x._base
            if owner is None:
                owner, place = x, x._key
            elif owner._key is not None:
                place = target(x)
            if place is not None:
                mask += bit
                other = owner._tape
                if other is None:
                    if leaves is None:
                        leaves = [owner]
                    else:
                        leaves.append(owner)
                elif tape is None:
                    tape = other
                elif tape is not other:
                    tape = link(tape, other)
        targets.append(place)
        bit += bit
    if leaves is not None:
        if tape is None:
            tape = Autograd()
        known = tape.leaves
        for leaf in leaves:
            known[leaf._key] = leaf  # type: ignore[index]
    return tuple(targets), tape, mask


def kept(rule: Rule, operands: tuple[Any, ...], mask: int, tape: Autograd) -> tuple[tuple[Any, ...], bool]:
    """Return the arrays that the wanted formulas read (None for others), and whether they read the output."""
    if rule.vjp_each is not None:
        if not rule.reads_all:
            return (None,) * len(operands), rule.reads_output
        return tuple(hold(x, tape) for x in operands), rule.reads_output
    reads, reads_output = rule.needs[mask]
    inputs: list[Any] = [None] * len(operands)
    for i in reads:
        inputs[i] = hold(operands[i], tape)
    return tuple(inputs), reads_output


def hold(x: Any, tape: Autograd) -> Any:
    """Return the array of an operand that a rule will read, protected from unseen writes."""
    if isinstance(x, Tensor):
        owner = x if x._base is None else x._base
        if owner._saved is None:
            owner._saved = tape.ref
        elif owner._saved is not tape.ref:
            note_saved(owner, tape)
        return x._array
    if isinstance(x, ndarray) and id(x) not in tape.guards.seen:
        tape.protect(x)
    return x


def _is_exact(rule: Rule, y: ndarray, operands: tuple[Any, ...], targets: tuple[Any, ...]) -> bool:
    """Say whether the gradients that are wanted come as their memories are: whole, and of the output's dtype."""
    if rule.pull is None:
        return False
    dtype = y.dtype
    for x, place in zip(operands, targets, strict=True):
        if place is not None:
            a = x._array
            if a.dtype is not dtype or type(place) is Region or (rule.elementwise and a.shape != y.shape):
                return False
    return True


def _differ(operands: tuple[Any, ...], y: ndarray, elementwise: bool) -> bool:
    """Say whether a Tensor's dtype (of an elementwise function: or shape) is not the output's."""
    dtype = y.dtype
    for x in operands:
        if isinstance(x, Tensor):
            a = x._array
            if a.dtype is not dtype or (elementwise and a.shape != y.shape):
                return True
    return False


def metas_of_operands(operands: tuple[Any, ...], targets: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return per operand its shape, and the dtype that its gradient must have where one is wanted."""
    return tuple(
        [
            (x._array.shape, None if place is None else gradient_dtype(x._array.dtype))
            if isinstance(x, Tensor)
            else (np.shape(x), None)
            for x, place in zip(operands, targets, strict=True)
        ]
    )


def apply(rule: Rule, operands: tuple[Any, ...], static: dict[str, Any] | None = None) -> Tensor:
    """Compute ``rule.function`` on `operands` and record it."""
    y = rule.function(*[x._array if isinstance(x, Tensor) else x for x in operands], **(static or {}))
    return record(rule, y, operands, static)
