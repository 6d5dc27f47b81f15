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

from mytorch.guard import freeze_views
from mytorch.inplace import write
from mytorch.recording import apply, record
from mytorch.records import TapeError
from mytorch.rules import memory, registry, ufunc_methods
from mytorch.rules.registry import RULES, Rule
from mytorch.rules.shapes import as_array
from mytorch.tensor import Tensor, raw, refuse_kind, wrap


def array_ufunc(self: Tensor, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """Answer a call of a ufunc, or of one of its methods, that has a Tensor among its operands."""
    if method == "at":
        return _at(ufunc, *inputs)
    out = kwargs.pop("out", None)
    inputs = tuple(as_array(x) if isinstance(x, list | tuple) else x for x in inputs)
    for x in inputs:
        refuse_kind(type(x))
    if out is not None and method in ("reduce", "accumulate", "reduceat"):
        call = getattr(ufunc, method)
        result = ufunc_methods.call(ufunc, method, inputs, kwargs) if _is_tracked((inputs, kwargs)) else None
        return _store_by(lambda array: call(*untracked(inputs), out=array, **untracked(kwargs)), out, result)
    if method != "__call__":
        result = ufunc_methods.call(ufunc, method, inputs, kwargs)
        freeze_views(inputs)
    elif kwargs and ufunc.signature is None:
        result = _call_with(ufunc, inputs, out, **kwargs)
    elif out is not None and not kwargs and ufunc in RULES and isinstance(out[0], Tensor):
        return _into(out[0], ufunc, inputs)
    else:
        result = _call(ufunc, inputs, kwargs)
    if out is None:
        return result
    _refuse_cast(ufunc, result, out, kwargs.get("casting", "same_kind"))
    return _store(out, result)


def _refuse_cast(ufunc: np.ufunc, result: Any, out: Any, casting: Any) -> None:
    """Raise NumPy's error where the outputs cannot hold the results: an assignment would drop imaginary parts."""
    results = result if isinstance(result, tuple) else (result,)
    for place, value in zip(out, results, strict=True):
        if place is not None and not np.can_cast(value.dtype, place.dtype, casting):
            raise TypeError(
                f"Cannot cast ufunc {ufunc.__name__!r} output from {value.dtype!r} to {place.dtype!r} with casting "
                f"rule {casting!r}; give an output of dtype {value.dtype}"
            )


def _call(ufunc: np.ufunc, inputs: tuple[Any, ...], axes: dict[str, Any]) -> Any:
    """Compute and record a ufunc; only those of vectors and matrices have `axes`."""
    if ufunc in RULES and not axes:
        return apply(RULES[ufunc], inputs)
    if ufunc in registry.COMPOSED:
        result = registry.COMPOSED[ufunc](*inputs, **axes)
        freeze_views(inputs)
        return result
    if ufunc in registry.CONSTANT:
        return ufunc(*map(raw, inputs))
    raise _refusal(ufunc)


def _call_with(
    ufunc: np.ufunc,
    inputs: tuple[Any, ...],
    out: Any,
    *,
    where: Any = True,
    dtype: Any = None,
    signature: Any = None,
    casting: Any = "same_kind",
    order: str = "K",
    subok: bool = True,
) -> Any:
    """Compute and record a ufunc in given dtypes, or where a mask is true."""
    if dtype is not None or signature is not None or casting != "same_kind":
        found = _loop_dtypes(ufunc, inputs, dtype, signature, casting)
        if dtype is not None or signature is not None:
            inputs = tuple(as_array(x).astype(d, copy=False) for x, d in zip(inputs, found, strict=False))
    if where is True:
        return _call(ufunc, inputs, {})
    if out is None or any(place is None for place in out):
        raise ValueError(
            f"{ufunc.__name__}: where= without out= leaves values undefined; give out=, or use np.where"
        )
    # Nothing is computed elsewhere, so nothing there can be NaN.
    mask = np.broadcast_to(raw(where), out[0].shape)
    computed = _call(ufunc, tuple(np.broadcast_to(x, mask.shape)[mask] for x in inputs), {})
    results = computed if isinstance(computed, tuple) else (computed,)
    _refuse_cast(ufunc, computed, out, casting)
    return tuple(_written(place, mask, result) for place, result in zip(out, results, strict=True))


def _loop_dtypes(
    ufunc: np.ufunc, inputs: tuple[Any, ...], dtype: Any, signature: Any, casting: Any
) -> tuple[np.dtype[Any], ...]:
    """Return the dtypes that a ufunc computes in, or raise NumPy's error where its operands may not be cast to them."""
    numbers = [type(x) in (int, float, complex) for x in inputs]
    dtypes = [np.result_type(raw(x)) for x in inputs]
    options = {"signature": signature} if signature is not None else {"dtype": dtype}
    # A call of nothing, since `resolve_dtypes` brings Python down for a number and casting="equiv".
    ufunc(
        *[x if n else np.empty(0, d) for x, n, d in zip(inputs, numbers, dtypes, strict=True)],
        casting=casting,
        **options,
    )
    wanted = signature or (None,) * ufunc.nin + (dtype if dtype is None else np.dtype(dtype),) * ufunc.nout
    given = [type(x) if n else d for x, n, d in zip(inputs, numbers, dtypes, strict=True)]
    found: tuple[np.dtype[Any], ...] = ufunc.resolve_dtypes(
        (*given, *[None] * ufunc.nout), signature=wanted, casting="unsafe"
    )
    return found


def _into(out: Tensor, ufunc: np.ufunc, inputs: tuple[Any, ...]) -> Tensor:
    """Record ``ufunc(*inputs, out=out)``: an operation whose output is memory that existed before."""
    arrays = tuple(map(raw, inputs))
    write(out, ..., lambda: ufunc(*arrays, out=out._array), RULES[ufunc], inputs)
    return out


def _store(out: Any, result: Any) -> Any:
    """Write results into what the caller gave as `out`, and return that."""
    outs = out if isinstance(out, tuple) else (out,)
    results = result if isinstance(result, tuple) else (result,)
    stored = [
        value if place is None or value is place else _written(place, ..., value)
        for place, value in zip(outs, results, strict=True)
    ]
    return stored[0] if len(stored) == 1 else tuple(stored)


def _store_by(call: Callable[[Any], Any], out: Any, result: Any) -> Any:
    """Write what is recorded as `result` to `out`; where its dtype decides what NumPy computes in, by ``call(out)``."""
    place = out[0] if isinstance(out, tuple) else out
    if isinstance(result, Tensor) and (result.shape, result.dtype) == (np.shape(place), place.dtype):
        return _written(place, ..., result)
    if not isinstance(place, Tensor):
        _refuse_plain(result)
        call(place)
    else:
        write(place, ..., lambda: call(place._array), RULES[memory.assign], (result,))
    return place


def _written(place: Any, index: Any, value: Any) -> Any:
    """Write a result to ``place[index]`` and return `place`."""
    if not isinstance(place, Tensor):
        _refuse_plain(value)
    place[index] = value if isinstance(place, Tensor) else raw(value)
    return place


def _refuse_plain(result: Any) -> None:
    """Raise if a result that is to be written to a plain array would lose its gradient."""
    if isinstance(result, Tensor) and result.requires_grad:
        raise TapeError(
            "out= is a plain ndarray, which cannot carry the gradient of the result; give a Tensor, for "
            "instance mytorch.Tensor(out), or leave out= away"
        )


def _at(ufunc: np.ufunc, destination: Any, index: Any, *operands: Any) -> None:
    """Record ``ufunc.at(tensor, index, operand)``."""
    if not isinstance(destination, Tensor):
        raise TapeError(
            f"np.{ufunc.__name__}.at would write a Tensor into a plain ndarray, which cannot carry its gradient; "
            "make the destination a Tensor"
        )
    ufunc_methods.at(ufunc, destination, index, *operands)


def array_function(
    self: Tensor,
    function: Callable[..., Any],
    types: Iterable[type],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """Answer a call of a NumPy function that has a Tensor among its arguments."""
    for kind in types:
        refuse_kind(kind)
    out, inputs = out_of(function, args, kwargs)
    if out is None:
        return _computed(function, inputs, kwargs)
    place = place_of_out(function)

    def call(array: Any) -> None:
        if len(args) > place:
            function(*untracked(args[:place]), array, *untracked(args[place + 1 :]), **untracked(kwargs))
        else:
            function(*untracked(args), out=array, **untracked(kwargs))

    return _store_by(
        call, out, _computed(function, inputs, kwargs) if _is_tracked((inputs, kwargs)) else None
    )


def _computed(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Return what a NumPy function gives, recorded."""
    rule, composed = RULES.get(function), registry.COMPOSED.get(function)
    if rule is not None and (composed is None or rule.covers(args, kwargs)):
        return call_rule(rule, args, kwargs)
    if composed is not None:
        result = composed(*args, **kwargs)
        freeze_views((*args, *kwargs.values()))
        return result
    if function in registry.VIEWS:
        return call_view(function, args, kwargs)
    if function in registry.CONSTANT:
        return function(*untracked(args), **untracked(kwargs))
    if function in registry.CREATED:
        return wrap(function(*untracked(args), **untracked(kwargs)))
    raise _refusal(function)


def _is_tracked(value: Any) -> bool:
    """Say whether a Tensor in nested lists, tuples and dicts requires gradients."""
    if isinstance(value, Tensor):
        return value.requires_grad
    if type(value) is dict:
        return _is_tracked(list(value.values()))
    return type(value) in (list, tuple) and any(map(_is_tracked, value))


def out_of(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, tuple[Any, ...]]:
    """Take the output out of a call: return it (or None), and the positional arguments without it."""
    if "out" in kwargs:
        return kwargs.pop("out"), args
    place = place_of_out(function)
    if len(args) <= place:
        return None, args
    return args[place], (*args[:place], None, *args[place + 1 :])


@cache
def place_of_out(function: Callable[..., Any]) -> int:
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
    operands = tuple([as_array(x) if isinstance(x, list | tuple) else x for x in operands])
    if static:
        _refuse_tracked(rule, static)
        static = untracked(static)
    y = rule.function(*map(raw, operands), **static)
    if static:
        static = {k: _held(v) for k, v in static.items() if k in rule.statics}
    return record(rule, y, operands, static)


def _refuse_tracked(rule: Rule, static: dict[str, Any]) -> None:
    """Raise if an argument that is taken to be constant is not."""
    for name, value in static.items():
        if isinstance(value, Tensor) and value.requires_grad:
            raise TypeError(
                f"{rule.name} is not differentiated with respect to {name}; if it is meant to be constant, pass "
                f"{name}.detach()"
            )


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
    if isinstance(result, np.generic) or getattr(result, "is_number", False):
        return apply(RULES[memory.copy], (source,))  # `flip` takes the entry out of an array without axes
    if not _shows(result, source._array):
        shown = view_of_copy(source, result)
        if shown is not None:
            return shown
        # NumPy had to copy: so do we, where the tape sees it, in the order in which the call reads the memory.
        order = registry.signature_of(function, None).bind(*args, **kwargs).arguments.get("order")
        if order == "K" and 0 in [s for s, n in zip(source.strides, source.shape, strict=True) if n > 1]:
            raise ValueError(
                f"{function.__name__}: the order in memory ('K') of an array that was broadcast is not defined; "
                "give order='C', or a .copy()"
            )
        source = source.copy(order if order in ("F", "K") else "C")
        result = function(source._array, *untracked(rest), **untracked(kwargs))
    if isinstance(result, list | tuple):
        return type(result)(source.view_as(part) for part in result)
    return source if result is source._array else source.view_as(result)


def view_of_copy(source: Tensor, result: Any) -> Tensor | None:
    """Return `result`, a reshaped view of the copy that NumPy had to make of `source`, as a Tensor on that copy.

    None where NumPy did it in another way.
    """
    copy = getattr(result, "base", None)
    if type(copy) is not ndarray or copy.shape != source.shape or not copy.flags.c_contiguous:
        return None
    if np.may_share_memory(copy, source._array):
        return None
    return record(RULES[memory.copy], copy, (source,)).view_as(result)


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
    if isinstance(function, np.ufunc):  # which may be another package's, and does not know whose
        name = f"numpy.{name}" if vars(np).get(name) is function else f"the ufunc {name}"
    else:
        name = f"{getattr(function, '__module__', None) or 'numpy'}.{name}"
    reason = registry.REFUSED.get(function)
    if reason is None:
        return TypeError(
            f"{name} is not known to mytorch; compute it on .detach() values, or give its rule with "
            "mytorch.custom_gradient"
        )
    return TypeError(f"{name} is not differentiable here: {reason}")


Tensor.__array_ufunc__ = array_ufunc  # type: ignore[attr-defined]
Tensor.__array_function__ = array_function  # type: ignore[attr-defined]
