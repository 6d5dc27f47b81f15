"""NumPy's protocols: what plain NumPy calls do when they meet a Tensor.

Every NumPy function is looked up in the tables of `mytorch.rules`: it has a rule, is composed of functions that
have one, returns views, has a zero derivative by nature, or is refused with a reason.  What stands in none of
them is an error that says so; no call falls back to something undifferentiated.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import numpy as np
from numpy import ndarray

from mytorch.autograd_engine import TapeError
from mytorch.rules import registry, ufunc_methods
from mytorch.rules.registry import RULES, Rule
from mytorch.tensor import Tensor, apply, raw, record, wrap, write


def array_ufunc(self: Tensor, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """Answer a call of a ufunc, or of one of its methods, that has a Tensor among its operands."""
    if method == "at":
        return ufunc_methods_at(ufunc, inputs)
    out = kwargs.pop("out", None)
    if method != "__call__":
        result = ufunc_methods.call(ufunc, method, inputs, kwargs)
    elif ufunc in registry.COMPOSED:
        result = registry.COMPOSED[ufunc](*inputs, **kwargs)
    elif ufunc in registry.CONSTANT:
        result = ufunc(*map(raw, inputs), **kwargs)
    elif ufunc not in RULES:
        raise _refusal(ufunc)
    else:
        if out is not None and not kwargs and isinstance(out[0], Tensor):
            return _into(out[0], ufunc, inputs)
        result = _call_ufunc(RULES[ufunc], inputs, kwargs, out)
    return result if out is None else _store(out, result)


def _call_ufunc(rule: Rule, inputs: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Any:
    """Record a ufunc call; `where` computes, and differentiates, only where it is true."""
    inputs = tuple(_operand(x) for x in inputs)
    where = kwargs.pop("where", True)
    dtype = kwargs.pop("dtype", None)
    for name in ("casting", "order", "subok", "signature"):
        kwargs.pop(name, None)
    if kwargs:
        raise TypeError(f"{rule.name}: unexpected keyword arguments {sorted(kwargs)}")
    if where is not True:
        if out is None:
            raise ValueError(
                f"{rule.name}: where= without out= leaves values undefined; give out=, or use np.where"
            )
        where = raw(where)
        # Entries outside `where` are replaced before the call, so that neither they nor their slopes can be NaN.
        safe = [np.where(where, x, 1.0) for x in inputs]
        return np.where(where, rule.function(*safe), out[0])
    if dtype is not None:
        inputs = tuple(x.astype(dtype) if isinstance(x, Tensor) else np.asarray(x, dtype) for x in inputs)
    return apply(rule, inputs)


def _operand(x: Any) -> Any:
    """Return an operand with sequences as arrays."""
    return np.asarray(x) if isinstance(x, list | tuple) else x


def _into(out: Tensor, ufunc: np.ufunc, inputs: tuple[Any, ...]) -> Tensor:
    """Record ``ufunc(*inputs, out=out)``: an operation whose output is memory that existed before."""
    arrays = tuple(map(raw, inputs))
    write(out, ..., lambda: ufunc(*arrays, out=out._array), RULES[ufunc], inputs)
    return out


def _store(out: Any, result: Any) -> Any:
    """Write results into what the caller gave as `out`, and return that."""
    outs = out if isinstance(out, tuple) else (out,)
    results = result if isinstance(result, tuple) else (result,)
    for place, value in zip(outs, results, strict=True):
        if isinstance(place, Tensor):
            place[...] = value
        elif isinstance(value, Tensor) and value.requires_grad:
            raise TapeError(
                "out= is a plain ndarray, which cannot carry the gradient of the result; give a Tensor, for "
                "instance mytorch.Tensor(out), or leave out= away"
            )
        elif place is not None:
            place[...] = raw(value)
    return outs[0] if len(outs) == 1 else outs


def ufunc_methods_at(ufunc: np.ufunc, inputs: tuple[Any, ...]) -> None:
    """Record ``ufunc.at(tensor, index, values)`` for the ufuncs whose repeated application is linear."""
    destination, index, *values = inputs
    if not isinstance(destination, Tensor):
        raise TapeError(
            f"np.{ufunc.__name__}.at would write a Tensor into a plain ndarray, which cannot carry its gradient; "
            "make the destination a Tensor"
        )
    ufunc_methods.at(ufunc, destination, index, values)


def array_function(
    self: Tensor,
    function: Callable[..., Any],
    types: Iterable[type],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Answer a call of a NumPy function that has a Tensor among its arguments."""
    out, args = _out_of(function, args, kwargs)
    rule, composed = RULES.get(function), registry.COMPOSED.get(function)
    if rule is not None and (composed is None or rule.covers(args, kwargs)):
        result = call_rule(rule, args, kwargs)
    elif composed is not None:
        result = composed(*args, **kwargs)
    elif function in registry.VIEWS:
        result = call_view(function, args, kwargs)
    elif function in registry.CONSTANT:
        result = function(*untracked(args), **untracked(kwargs))
    elif function in registry.CREATED:
        result = wrap(function(*untracked(args), **untracked(kwargs)))
    else:
        raise _refusal(function)
    return result if out is None else _store(out, result)


def _out_of(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, tuple[Any, ...]]:
    """Take the output out of a call: return it (or None), and the positional arguments without it."""
    if "out" in kwargs:
        return kwargs.pop("out"), args
    place = _place_of_out(function)
    if len(args) <= place:
        return None, args
    return args[place], (*args[:place], None, *args[place + 1 :])


@cache
def _place_of_out(function: Callable[..., Any]) -> int:
    """Return the position of the parameter `out` (beyond all positions where there is none)."""
    rule, composed = RULES.get(function), registry.COMPOSED.get(function)
    text = rule.call_signature if rule else None
    try:
        signature = registry.signature_of(function, text)
    except ValueError:  # a function of C code
        signature = registry.signature_of(composed or (lambda: None), None)
    names = [p.name for p in signature.parameters.values() if p.kind is not p.KEYWORD_ONLY]
    return names.index("out") if "out" in names else sys.maxsize


def call_rule(rule: Rule, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Compute and record a function that has a rule."""
    operands, static = rule.bind(args, kwargs)
    operands = tuple([_operand(x) for x in operands])
    static = untracked(static) if static else static
    y = rule.function(*map(raw, operands), **static)
    if static:
        static = {k: _held(v) for k, v in static.items() if k in rule.statics}
    return record(rule, y, operands, static)


def _held(value: Any) -> Any:
    """Return a static argument as the tape holds it: nobody else can change it."""
    if type(value) in (list, tuple):
        return type(value)(map(_held, value))
    return value.copy() if isinstance(value, ndarray) else value


def call_view(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return the result of a function that only shows memory in another form, as Tensors on that memory."""
    if not args:
        args = (kwargs.pop(next(iter(registry.signature_of(function, None).parameters))),)
    source, *rest = args
    if not isinstance(source, Tensor):
        raise TypeError(
            f"{function.__name__}: expected a Tensor as the first argument, got {type(source).__name__}"
        )
    result = function(source._array, *untracked(rest), **untracked(kwargs))
    if not _shows(result, source._array):
        # NumPy had to copy: so do we, where the tape sees it, in the order in which the call reads the memory.
        order = registry.signature_of(function, None).bind(*args, **kwargs).arguments.get("order")
        source = source.copy(order if order in ("F", "K") else "C")
        result = function(source._array, *untracked(rest), **untracked(kwargs))
    if isinstance(result, list | tuple):
        return type(result)(source.view_as(part) for part in result)
    return source if result is source._array else source.view_as(result)


def _shows(result: Any, data: ndarray) -> bool:
    """Say whether an array, or all of several, are views of the memory of `data`."""
    parts = result if isinstance(result, list | tuple) else [result]
    return all(part is data or part.size == 0 or np.may_share_memory(part, data) for part in parts)


def untracked(value: Any) -> Any:
    """Return nested lists, tuples and dicts with (read-only) arrays for the Tensors in them."""
    if isinstance(value, Tensor):
        return value.numpy()
    if type(value) in (list, tuple):
        return type(value)(untracked(v) for v in value)
    if type(value) is dict:
        return {k: untracked(v) for k, v in value.items()}
    return value


def _refusal(function: Callable[..., Any]) -> TypeError:
    """Return the error for a function that is not differentiated."""
    name = getattr(function, "__name__", repr(function))
    module = getattr(function, "__module__", None) or "numpy"
    reason = registry.REFUSED.get(function)
    if reason is None:
        return TypeError(
            f"{module}.{name} is not known to mytorch; compute it on .detach() values, or give its rule with "
            "mytorch.custom_gradient"
        )
    return TypeError(f"{module}.{name} is not differentiable here: {reason}")


Tensor.__array_ufunc__ = array_ufunc  # type: ignore[attr-defined]
Tensor.__array_function__ = array_function  # type: ignore[attr-defined]

__all__ = ["array_function", "array_ufunc", "wrap"]
