"""Functions with a derivative of their own: `custom_gradient`."""

from __future__ import annotations

import math
import warnings
import weakref
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from mytorch import arrays, trees
from mytorch.recording import hold, record
from mytorch.records import TapeError
from mytorch.rules.registry import Rule
from mytorch.tensor import Tensor, is_recording, raw
from mytorch.transforms.linearize import check_function, constants, is_tracked, users_level


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    r"""Return the function that computes the result of `f` and is differentiated as `f` says (a decorator).

    As in JAX and TensorFlow, f returns its result together with its pullback, the function that makes the cotangents
    of the arguments, :math:`\bar x = J(x)^T \bar y`, from that of the result.  Use it for what NumPy cannot express
    (a solver, a library of another language) and for derivatives that are better written by hand: more stable,
    cheaper, or deliberately different.

    Parameters
    ----------
    f : function of arrays, or of nested lists, tuples and dicts of arrays, that returns (result, pullback).  It is
        called with plain ndarrays.  ``pullback(cotangent)`` returns the gradient of the argument, or a tuple of one
        per positional argument, each of its argument's structure and shapes, or None for no gradient.

    Returns
    -------
    function of the same arguments that returns the result alone

    Raises
    ------
    TypeError
        If f does not return (result, pullback), or the result does not consist of arrays.
    TapeError
        In the backward pass, if the pullback returns another number of gradients than there are positional arguments,
        or one of another structure or shape than its argument.

    Notes
    -----
    f and the pullback may write to the arrays that they are given.  Forward derivatives (`jvp`, `ggnvp`, some
    Jacobians) transpose the pullback: it must be linear in the cotangent, and written in NumPy functions of it.

    Second derivatives, and others of derivatives, differentiate the pullback: f is then called once more, with
    Tensors, and what the pullback reads must come from them by NumPy functions.  A part that NumPy cannot express
    gets ``stop_gradient(x)``, and the pullback names what depends on x by calling the decorated function again::

        @custom_gradient
        def root(x):
            y = solver_of_a_library(stop_gradient(x))
            return y, lambda g: g / (2 * root(x))

    Examples
    --------
    >>> import numpy as np
    >>> from mytorch import grad
    >>> @custom_gradient
    ... def softplus(x):  # its derivative as NumPy's formulas would have it is inf / inf
    ...     return np.logaddexp(0, x), lambda g: g / (1 + np.exp(-x))
    >>> grad(softplus)(1000.0)
    array(1.)
    """
    check_function("custom_gradient", f)
    name = getattr(f, "__name__", repr(f))
    rule = Rule(f, (), each=_slope, holomorphic=False, of_user=True, name=name)

    @wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        leaves, structure = trees.flatten((args, kwargs))
        if is_recording() and any(map(is_tracked, leaves)):
            return _Use(f, name, leaves, structure).recorded(rule, tuple(filter(is_tracked, leaves)))
        return _checked(name, f(*args, **kwargs))[0]

    return call


def _checked(name: str, returned: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Return what the function returned, which must be a result and its pullback."""
    if not isinstance(returned, tuple) or len(returned) != 2 or not callable(returned[1]):
        raise TypeError(f"custom_gradient: {name} must return (result, pullback), got {returned!r}")
    return returned


def _slope(g: Any, i: int, inputs: Sequence[Any], *, use: _Use) -> Any:
    """Return the gradient of operand `i`; the formula of the rule of all such functions."""
    return use.gradient(g, i, inputs)


class _Use:
    """One recorded call: which leaves of its arguments are operands, its pullback, and the form of its result."""

    def __init__(
        self, f: Callable[..., Any], name: str, leaves: list[Any], structure: trees.Structure
    ) -> None:
        self.f, self.name, self.structure = f, name, structure
        self.places = [i for i, x in enumerate(leaves) if is_tracked(x)]
        self.constants = [None if is_tracked(x) else constants(x) for x in leaves]
        if self.places[-1] >= structure.children[0].size:
            raise TypeError(f"custom_gradient: give the arrays that {name} is differentiated by by position")
        self.seen: Callable[[], Any] = lambda: None  # the cotangent that the pullback was last called with
        self.found: list[Any] = []

    def recorded(self, rule: Rule, operands: tuple[Tensor, ...]) -> Any:
        """Return the result, recorded as one operation whose output is all its arrays in a row."""
        copies = [arrays.array(x._array) for x in operands]  # the pullback may keep them
        result, self.pullback = self._run(copies)
        leaves, self.result_structure = trees.flatten(result)
        if any(map(is_tracked, leaves)):
            raise TypeError(
                f"custom_gradient: {self.name} computes with a Tensor that requires gradients and is none of its "
                "arguments; give it as an argument, or stop_gradient(x)"
            )
        outputs = [arrays.asarray(y) for y in leaves]
        for y in outputs:
            if y.dtype.kind not in "biufc":
                raise TypeError(
                    f"custom_gradient: {self.name} must return arrays of numbers, got dtype {y.dtype}"
                )
        self.forms = [(y.shape, y.dtype) for y in outputs]
        parts = [y.ravel() for y in outputs if y.dtype.kind in "fc"]
        row = record(rule, np.concatenate(parts) if parts else np.empty(0), operands, {"use": self})
        if row.tape is not None:
            for x in self.constants:
                hold(x, row.tape)
        floating = iter(self._split(row))
        return self.result_structure.unflatten(
            [next(floating) if y.dtype.kind in "fc" else y for y in outputs]
        )

    def gradient(self, g: Any, i: int, inputs: Sequence[Any]) -> Any:
        """Return the gradient of operand `i`; the pullback is called once for all of them."""
        if self.seen() is not g:
            self.found = gradients = self._gradients(g, inputs)
            # Gradients that are Tensors refer to the tape, which refers to this: they go when their cotangent does.
            self.seen = weakref.ref(g, lambda _: gradients.clear())
        found = self.found[self.places[i]]
        return np.zeros(inputs[i].shape, inputs[i].dtype) if found is None else found

    def _gradients(self, g: Any, inputs: Sequence[Any]) -> list[Any]:
        """Return the gradients of all leaves of the positional arguments."""
        floating = iter(self._split(g))
        cotangents = [
            next(floating).copy() if dtype.kind in "fc" else np.zeros(shape) for shape, dtype in self.forms
        ]
        returned = self._pulled(self.result_structure.unflatten(cotangents), inputs)
        found = self._matched(returned, inputs)
        if not isinstance(g, Tensor):
            return [raw(x) for x in found]
        if g.requires_grad and any(not is_tracked(x) and np.any(raw(x)) for x in found if x is not None):
            warnings.warn(
                f"the pullback of {self.name} returned a gradient that it did not compute from its cotangent with "
                "NumPy functions; jvp and derivatives of the derivative take it for a constant (float(), .item() "
                "and stop_gradient give plain numbers)",
                stacklevel=users_level(),
            )
        return found

    def _pulled(self, cotangent: Any, inputs: Sequence[Any]) -> Any:
        """Return what the pullback returns, that of f on Tensors where it depends on them."""
        try:
            dependent = any(map(is_tracked, inputs))
            pullback = self._run([x.copy() for x in inputs])[1] if dependent else self.pullback
            return pullback(cotangent)
        except (TypeError, TapeError) as error:
            if not any(isinstance(x, Tensor) for x in inputs):
                raise
            raise TapeError(
                f"jvp and derivatives of the derivative of {self.name} need {self.name} and its pullback on Tensors, "
                f"which failed ({error}); give stop_gradient(x) to what is not written in NumPy functions, and the "
                "cotangent to a function with a rule of its own (custom_gradient)"
            ) from error

    def _matched(self, returned: Any, inputs: Sequence[Any]) -> list[Any]:
        """Return what the pullback returned as one gradient per leaf of the positional arguments."""
        arguments = self.structure.children[0].children
        if not isinstance(returned, tuple):
            returned = tuple(returned) if isinstance(returned, list) and len(arguments) > 1 else (returned,)
        if len(returned) != len(arguments):
            raise TypeError(
                f"the pullback of {self.name} must return {len(arguments)} gradients, one per positional argument, "
                f"got {len(returned)}"
            )
        found: list[Any] = []
        names: list[str] = []
        for n, (gradient, structure) in enumerate(zip(returned, arguments, strict=True)):
            name = f"the gradient that the pullback of {self.name} returned for argument {n}"
            empty = [None] * structure.size
            found += empty if gradient is None else structure.leaves_of(gradient, name)
            names += structure.paths(name)
        for place, x in zip(self.places, inputs, strict=True):
            gradient = found[place]
            if gradient is None:
                continue
            if not isinstance(gradient, Tensor):
                gradient = found[place] = arrays.asarray(gradient)
            if gradient.dtype.kind not in "biufc":
                raise TypeError(f"{names[place]} must be an array of numbers, got dtype {gradient.dtype}")
            if gradient.shape != x.shape:
                raise ValueError(f"{names[place]} must have the shape {x.shape}, got {gradient.shape}")
        return found

    def _run(self, operands: Sequence[Any]) -> tuple[Any, Callable[[Any], Any]]:
        """Call f with the operands in their places."""
        leaves = list(self.constants)
        for place, x in zip(self.places, operands, strict=True):
            leaves[place] = x
        args, kwargs = self.structure.unflatten(leaves)
        return _checked(self.name, self.f(*args, **kwargs))

    def _split(self, row: Any) -> list[Any]:
        """Return the parts of a row that are the floating-point arrays of the result, in their shapes and dtypes."""
        parts, start = [], 0
        for shape, dtype in self.forms:
            if dtype.kind in "fc":
                stop = start + math.prod(shape)
                part = row[start:stop].reshape(shape)
                if part.dtype.kind == "c" and dtype.kind != "c":
                    part = part.real
                parts.append(part if part.dtype == dtype else part.astype(dtype))
                start = stop
        return parts
