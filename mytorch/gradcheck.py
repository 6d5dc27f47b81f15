"""One checker of gradients: derivatives by the tape against finite differences along random directions.

For random tangents v and cotangents u, the number ⟨u, J v⟩ is computed twice: by differences of f along v, and as
⟨Jᵀ u, v⟩ by the reverse pass.  One direction per argument finds any wrong entry (all but certainly), at the price
of two calls of f, and names the argument.  The second order is the same check of the function (x, u) ↦ Jᵀ u.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mytorch import trees
from mytorch.tensor import raw, refuse_kind
from mytorch.transforms.first_order import vjp
from mytorch.transforms.linearize import check_function, variable_numbers

# Per precision of the values: how much of the sum of all terms' magnitudes the two numbers may differ.
TOLERANCE = {"float16": 1e-2, "float32": 1e-4, "float64": 1e-6, "longdouble": 1e-6}
# The same where f itself computes no better than in float32, so that differences are that coarse.
DIFFERENCE_TOLERANCE = {"float16": 0.3, "float32": 2e-2, "float64": 1e-6, "longdouble": 1e-6}
_RANK = list(TOLERANCE)


class GradientError(AssertionError):
    """The gradient of a function is not what finite differences say."""


def check_gradients(
    f: Callable[..., Any],
    *args: Any,
    order: int = 2,
    rtol: float | None = None,
    atol: float = 1e-9,
    seed: int = 0,
) -> None:
    r"""Raise an error unless the derivatives of `f` at `args` agree with finite differences.

    For every array x among the arguments, with a random tangent v, of the scale of x, and a random cotangent u,

    .. math:: \langle u, (f(x + h v) - f(x - h v)) / 2h \rangle = \langle J^T u, v \rangle

    must hold up to rounding; with ``order=2`` the same must hold for the function (x, u) ↦ Jᵀu, and so on.
    Complex arguments and results use ⟨u, v⟩ = Re Σ conj(u) v, that is, PyTorch's convention.

    Parameters
    ----------
    f : function of arrays, or of nested lists, tuples and dicts of arrays, that returns such
    *args : its arguments.  Floating-point and complex arrays (and Python floats) are varied, others are passed on;
        of Tensors, the values.
        The differences are computed in double precision also for arguments of lower precision.
    order : the highest order of derivative that is checked
    rtol : the difference that is allowed, relative to the sum of the magnitudes of the terms of ⟨Jᵀu, v⟩; by
        default 1e-6 for float64, 1e-4 for float32, 1e-2 for float16
    atol : the difference that is always allowed
    seed : of the random directions

    Raises
    ------
    GradientError
        An AssertionError that names the function, the order and the argument.
    ValueError
        If there is nothing to check: no argument is a non-empty floating-point array, or order < 1.

    Examples
    --------
    >>> import numpy as np
    >>> check_gradients(np.tanh, np.array([0.5, -1.0]))
    >>> from mytorch import custom_gradient
    >>> @custom_gradient
    ... def cube(x):
    ...     return x**3, lambda g: g * 2 * x**2
    >>> check_gradients(cube, np.array([1.0]))
    Traceback (most recent call last):
    mytorch.gradcheck.GradientError: the gradient of cube ...
    """
    check_function("check_gradients", f, "(f, x)")
    if order < 1:
        raise ValueError(f"check_gradients: order must be 1 or more, got {order}")
    check = _Check(f, getattr(f, "__name__", repr(f)), rtol, atol, np.random.default_rng(seed))
    check.run(args, 1, order)


def numerical_gradient(
    f: Callable[..., Any], *args: Any, argnums: int | Sequence[int] = 0, step: float | None = None
) -> Any:
    r"""Return the gradient of a scalar function by central differences, one entry at a time.

    .. math:: \partial f / \partial x_i \approx (f(x + h e_i) - f(x - h e_i)) / 2h

    For a complex entry z = a + ib it is ∂f/∂a + i ∂f/∂b, PyTorch's convention.

    Parameters
    ----------
    f : function that returns one real number
    *args : its arguments: arrays, or nested lists, tuples and dicts of arrays
    argnums : the argument, or arguments, to differentiate with respect to
    step : h, relative to ``max(1, |x_i|)``; by default the cube root of the precision of x, which balances the
        error of the formula, O(h²), with that of rounding, O(ε/h)

    Returns
    -------
    arrays in the structure of the argument (a tuple of them for a tuple of argnums)

    Raises
    ------
    ValueError
        If f does not return one real number.
    TypeError
        If an argument that is differentiated is not floating-point.

    Examples
    --------
    >>> import numpy as np
    >>> numerical_gradient(lambda x: np.sum(x**2), np.array([1.0, 2.0])).round(6)
    array([2., 4.])
    """
    check_function("numerical_gradient", f, "(f, x)")
    numbers = variable_numbers("numerical_gradient", argnums, len(args))
    leaves, structure = trees.flatten(args)
    points = [np.array(x) if _is_floating(x) else x for x in map(_values, leaves)]
    grads = [
        _differences(f, points, structure, i, step) if _is_floating(x) else x for i, x in enumerate(points)
    ]
    chosen = structure.unflatten(grads)
    result = tuple(chosen[n] for n in numbers)
    for leaf in trees.flatten(result)[0]:
        if not isinstance(leaf, np.ndarray) or leaf.dtype.kind not in "fc":
            raise TypeError(
                f"numerical_gradient: an argument to differentiate must be floating-point, got {leaf!r}; "
                "cast it to float"
            )
    return result[0] if isinstance(argnums, int | np.integer) else result


def _differences(
    f: Callable[..., Any], points: list[Any], structure: trees.Structure, index: int, step: float | None
) -> np.ndarray:
    """Return the gradient of `f` with respect to leaf `index`, entry by entry."""
    x = points[index]
    gradient = np.zeros_like(x)
    relative = float(np.finfo(x.dtype).eps) ** (1 / 3) if step is None else step

    def value(where: Any, shift: complex) -> float:
        moved = [a.copy() if _is_floating(a) else a for a in points]  # f may write to its arguments
        moved[index][where] += shift
        y = np.asarray(raw(f(*structure.unflatten(moved))))
        if y.size != 1 or y.dtype.kind not in "fiub":
            raise ValueError(
                f"numerical_gradient: the function must return one real number, got shape {y.shape}, "
                f"dtype {y.dtype}"
            )
        return float(y.reshape(()))

    for where in np.ndindex(x.shape):
        h = relative * max(1.0, float(abs(x[where])))
        units = (1, 1j) if x.dtype.kind == "c" else (1,)
        gradient[where] = sum(
            unit * (value(where, h * unit) - value(where, -h * unit)) / (2 * h) for unit in units
        )
    return gradient


class _Check:
    """The check of one function; of higher orders, by a check of its gradient."""

    def __init__(
        self,
        f: Callable[..., Any],
        name: str,
        rtol: float | None,
        atol: float,
        rng: np.random.Generator,
        precision: str = "longdouble",
    ) -> None:
        self.f, self.name, self.rtol, self.atol, self.rng = f, name, rtol, atol, rng
        self.precision = precision  # the lowest that any result has had, with arguments of double precision

    def run(self, args: tuple[Any, ...], level: int, order: int) -> None:
        """Check the derivative of `f`, which is the `level`-th of the user's function, and those above."""
        leaves, self.structure = trees.flatten(args)
        self.points = [np.asarray(x) if _is_variable(x) else x for x in map(_values, leaves)]
        self.wide = [x.astype(_wide(x.dtype)) if _is_variable(x) else x for x in self.points]
        self.varied = [i for i, x in enumerate(self.points) if _is_variable(x)]
        if not self.varied:
            raise ValueError(
                f"check_gradients: no argument of {self.name} is a non-empty floating-point array: nothing to check"
            )
        outputs, pullback = vjp(self._of_variables, *(self.points[i] for i in self.varied))
        found, result_structure = trees.flatten(outputs)
        floating = [np.asarray(y).dtype.kind in "fc" for y in found]
        us = [self._direction(np.asarray(y)) if ok else y for y, ok in zip(found, floating, strict=True)]
        gradients = pullback(result_structure.unflatten(us))
        weights = [u for u, ok in zip(us, floating, strict=True) if ok]
        paths = self.structure.paths("argument ")
        for i, gradient in zip(self.varied, gradients, strict=True):
            self._compare(i, paths[i], gradient, weights, floating, level)
        if level < order:
            self._check_gradient(us, result_structure, level, order)

    def _of_variables(self, *variables: Any) -> Any:
        """Return f at the point, with the given values of the arguments that are varied."""
        leaves = list(self.points)
        for i, x in zip(self.varied, variables, strict=True):
            leaves[i] = x
        return self.f(*self.structure.unflatten(leaves))

    def _compare(
        self, i: int, path: str, gradient: Any, weights: list[Any], floating: list[bool], level: int
    ) -> None:
        """Raise unless the derivative along a random direction of argument `i` is that of differences."""
        x = self.points[i]
        gradient = np.asarray(gradient)
        where = f"of {self.name} (order {level}) with respect to {path}"
        if gradient.shape != x.shape or gradient.dtype != x.dtype:
            raise GradientError(
                f"the gradient {where} has shape {gradient.shape} and dtype {gradient.dtype}, expected "
                f"{x.shape} and {x.dtype}"
            )
        wide = _wide(x.dtype)
        v = self._direction(x) * np.maximum(1.0, np.abs(x)).astype(wide)
        terms = np.conj(gradient.astype(wide)) * v
        by_tape, size = float(np.real(terms.sum())), float(np.abs(terms).sum())
        by_differences, noise = self._difference(i, v, weights, floating)
        rtol = self.rtol
        if rtol is None:
            rtol = max(TOLERANCE[_precision(x.dtype)], DIFFERENCE_TOLERANCE[self.precision])
        allowed = self.atol + noise + rtol * size
        if not abs(by_tape - by_differences) <= allowed:
            raise GradientError(
                f"the gradient {where}, along a random direction, is {by_tape!r} by the reverse pass but "
                f"{by_differences!r} by finite differences (they may differ by {allowed:.2g})"
            )

    def _difference(
        self, i: int, v: np.ndarray, weights: list[Any], floating: list[bool]
    ) -> tuple[float, float]:
        """Return ⟨u, J v⟩ by a central difference, and the size of its rounding error."""
        values = self._values(i, self.wide[i], floating)
        self.precision = min((self.precision, *(_precision(y.dtype) for y in values)), key=_RANK.index)
        epsilon = float(np.finfo(self.precision).eps)
        h = epsilon ** (1 / 3)
        ahead, behind = (self._values(i, self.wide[i] + step * v, floating) for step in (h, -h))
        total, size = 0.0, 0.0
        for u, y, z in zip(weights, ahead, behind, strict=True):
            total += float(np.real(np.sum(np.conj(u) * (y.astype(_wide(y.dtype)) - z))))
            size += float(np.sum(np.abs(u) * (np.abs(y) + np.abs(z))))
        return total / (2 * h), 4 * epsilon * size / (2 * h)

    def _values(self, i: int, x: np.ndarray, floating: list[bool]) -> list[np.ndarray]:
        """Return the floating-point results of f with argument `i` replaced by `x`."""
        leaves = [*self.wide[:i], x, *self.wide[i + 1 :]]
        found, _ = trees.flatten(self.f(*self.structure.unflatten(leaves)))
        return [np.asarray(raw(y)) for y, ok in zip(found, floating, strict=True) if ok]

    def _check_gradient(
        self, us: list[Any], result_structure: trees.Structure, level: int, order: int
    ) -> None:
        """Check the function (x, u) -> Jᵀu one level up."""
        count = len(self.varied)

        def gradient(*variables: Any) -> Any:
            _, pullback = vjp(self._of_variables, *variables[:count])
            return pullback(result_structure.unflatten(list(variables[count:])))

        check = _Check(
            gradient, f"the gradient of {self.name}", self.rtol, self.atol, self.rng, self.precision
        )
        check.run((*(self.points[i] for i in self.varied), *us), level + 1, order)

    def _direction(self, like: np.ndarray) -> np.ndarray:
        """Return a random array like `like`, of entries whose size is about one (none is near zero)."""
        shape = like.shape
        direction = self.rng.uniform(0.5, 1.5, shape) * self.rng.choice([-1.0, 1.0], shape)
        if like.dtype.kind == "c":
            direction = direction * np.exp(2j * math.pi * self.rng.uniform(size=shape))
        return np.asarray(direction, like.dtype)


def _values(leaf: Any) -> Any:
    """Return the values of a Tensor, and anything else as it is."""
    refuse_kind(type(leaf))
    return raw(leaf)


def _is_floating(leaf: Any) -> bool:
    """Say whether a leaf is a floating-point array (or number)."""
    return isinstance(leaf, np.ndarray | np.generic | float | complex) and np.asarray(leaf).dtype.kind in "fc"


def _is_variable(leaf: Any) -> bool:
    """Say whether a leaf is a floating-point array (or number), and not empty."""
    return _is_floating(leaf) and np.size(leaf) > 0


def _wide(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype, real or complex, of at least double precision."""
    return np.result_type(dtype, np.float64)


def _precision(dtype: np.dtype[Any]) -> str:
    """Return the name of the floating-point dtype of which `dtype` is, or consists."""
    name = np.finfo(dtype).dtype.name
    return name if name in TOLERANCE else "longdouble"
