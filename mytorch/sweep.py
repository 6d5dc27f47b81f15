"""The one reverse pass: `sweep` walks records backwards and turns gradients of outputs into gradients of inputs.

::

    for v := f(u, w), backwards:    t = v̄;  v̄ = 0;  ū += f_uᵀ t;  w̄ += f_wᵀ t

It knows no operation: what a rule returns is added to the shadow of the inputs' memory.  The explicit tape
(`autograd_engine`), Tensors (`reverse`) and the courses' faces all call it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import CodeType
from typing import Any, TypeAlias

import numpy as np

from mytorch import arrays
from mytorch.gradient_buffer import Shadow
from mytorch.lines import caller, caused_by, shown
from mytorch.records import FROM_INPUTS, Exact, TapeError, Write, metas_of
from mytorch.regions import Target, key_of, memory_name
from mytorch.rules.registry import Call, Rule, fit

_FLOAT64, _FLOAT32 = np.dtype(np.float64), np.dtype(np.float32)

Lift: TypeAlias = "Callable[[Any, bool, Any], tuple[Any, Any]]"


def sweep(
    operations: Sequence[Any],
    shadow: Shadow,
    lift: Lift | None = None,
    wanted: set[int] | None = None,
    stale: dict[int, tuple[int, CodeType, int]] | None = None,
    hooks: dict[int, list[Callable[[Any], Any]]] | None = None,
) -> None:
    """Walk `operations` backwards, turning gradients of outputs into gradients of inputs, all in `shadow`.

    Parameters
    ----------
    lift : turns an operation's arrays, and the gradient of its output, into Tensors, so that the pass is itself
        recorded (higher orders); it is told whether memory is being shown at an earlier time, so that values
        have to be copied
    wanted : the memories whose gradients matter (None: all)
    stale : memories that were changed unseen by the tape (their owners' identities), with the time and the line
    hooks : per memory, functions that see, and may replace, its gradient
    """
    undone: list[Write] = []
    take, add, memory = shadow.take, shadow.add, shadow.memory
    pop = memory.pop
    plain = lift is None and wanted is None and stale is None and hooks is None
    operation = None
    hook = arrays.unwatched()
    token = None if lift is None else caused_by.set(caller())
    try:
        for operation in reversed(operations):
            if plain and type(operation) is Exact:
                g = pop(operation.serial, None)
                if g is None:
                    continue
                dtype = g.dtype
                if dtype is _FLOAT64 or dtype is _FLOAT32:
                    operation.rule.pull(g, operation, memory, add)
                    continue
                memory[operation.serial] = g
            target = operation.target
            if hooks is not None and target is not None:
                _show_hooks(hooks, key_of(target), shadow, undone)
            g = None if target is None else take(target)
            if type(operation) is Write:
                if target is not None:
                    shadow.rename(key_of(target), operation.previous)
                operation.swap()
                undone.append(operation)
            if g is None:
                continue
            if stale is not None:
                _refuse_stale(operation, stale)
            if type(operation.rule) is not Rule:
                _apply_opaque(operations, operation, g, add)
                continue
            record, g = (operation, g) if lift is None else lift(operation, bool(undone), g)
            if undone and operation.rule.of_user:
                with _as_left(undone):
                    _apply_rule(operation, record, g, add, wanted)
            else:
                _apply_rule(operation, record, g, add, wanted)
    except Exception as error:
        if isinstance(error, TapeError) or operation is None:
            raise
        raise TapeError(f"the backward pass failed in {describe(operations, operation)}: {error}") from error
    finally:
        for write in reversed(undone):
            write.swap()
        if token is not None:
            caused_by.reset(token)
        if hook is not None:
            sys.setprofile(hook)


def _apply_rule(
    operation: Any, record: Any, g: Any, add: Callable[[Target, Any], None], wanted: set[int] | None
) -> None:
    """Add what the wanted formulas of a rule make of the gradient `g`; they read the arrays in `record`."""
    rule, metas = operation.rule, operation.metas
    conjugate = rule.holomorphic and g.dtype.kind == "c"
    if conjugate:
        g = np.conj(g)
    if metas is FROM_INPUTS:
        metas = metas_of(operation.inputs)
        record = Call(record.inputs, record.output, {}, metas)
    for i, target in enumerate(operation.targets):
        if target is None or (wanted is not None and key_of(target) not in wanted):
            continue
        if rule.vjp_each is not None:
            gradient = rule.vjp_each(g, record, i)
        elif rule.vjps[i] is not None:
            gradient = rule.vjps[i](g, record)
        else:
            continue
        if conjugate:
            gradient = np.conj(gradient)
        if metas is not None:
            gradient = fit(gradient, *metas[i])
        add(target, gradient)


def run_hooks(hooks: Sequence[Callable[[Any], Any]], gradient: Any) -> Any:
    """Return `gradient` after every hook has seen, and perhaps replaced, it."""
    for hook in tuple(hooks):
        gradient = hook(gradient)
    return gradient


def _show_hooks(
    hooks: dict[int, list[Callable[[Any], Any]]], key: int, shadow: Shadow, undone: list[Write]
) -> None:
    """Show the gradient of the memory `key`, all of it also where only a part was written, to its hooks."""
    gradient = shadow.take(key) if key in hooks else None
    if gradient is not None:
        with _as_left(undone):
            shadow.add(key, run_hooks(hooks[key], gradient))


@contextmanager
def _as_left(undone: list[Write]) -> Iterator[None]:
    """Within the context, memory is as the user left it: for the user's code, which may read, write and sweep it."""
    for write in reversed(undone):
        write.swap()
    try:
        yield
    finally:
        for write in undone:
            write.swap()


def _refuse_stale(operation: Any, stale: dict[int, tuple[int, CodeType, int]]) -> None:
    """Raise if the operation's rule reads values that were changed outside the tape."""
    for array in operation.inputs:
        if not isinstance(array, np.ndarray):
            continue
        # By its owner, since it may be read as a constant, too: detached, or before gradients were wanted.
        time, code, lasti = stale.get(memory_name(array), (0, None, 0))
        if time > operation.serial:
            raise TapeError(
                f"the backward pass of {operation.name}, recorded at {operation.line}, reads a value that was "
                f"changed in place, under no_grad, at {shown(code, lasti)}; run backward before the change, or "
                "record again"
            )


def describe(operations: Sequence[Any], operation: Any) -> str:
    """Return 'operation 3 (matmul), recorded at file:line'."""
    position = next((i for i, other in enumerate(operations) if other is operation), -1)
    return f"operation {position} ({operation.name}), recorded at {operation.line}"


def _apply_opaque(
    operations: Sequence[Any], operation: Any, g: Any, add: Callable[[Target, Any], None]
) -> None:
    """Run a backward function that is not a rule of ours, and check everything that it returns."""

    def wrong(what: str) -> TapeError:
        return TapeError(f"{describe(operations, operation)}{what}")  # which looks for its position: only now

    if operation.rule is None:
        raise wrong(" has no backward operation; give one to add_operation")
    metas = metas_of(operation.inputs)
    results = operation.rule(arrays.array(g), *operation.inputs)
    if results is None:
        raise wrong(
            ": its backward operation returned None, expected a gradient per input (is a return missing?)"
        )
    if not isinstance(results, tuple | list):
        results = (results,)
    if len(results) != len(operation.targets):
        raise wrong(f": expected {len(operation.targets)} gradients, one per input, got {len(results)}")
    for i, (goal, gradient) in enumerate(zip(operation.targets, results, strict=True)):
        if goal is None or gradient is None:
            continue
        shape, dtype = metas[i]
        gradient = arrays.asarray(gradient)
        if gradient.dtype.kind not in "fciub":
            raise wrong(f": the gradient of input {i} has dtype {gradient.dtype}, expected {dtype}")
        try:
            gradient = fit(gradient, shape, dtype)
        except ValueError:
            raise wrong(
                f": the gradient of input {i} has shape {gradient.shape}, expected {shape} "
                "(or a shape that broadcasting makes of it)"
            ) from None
        add(goal, gradient)
