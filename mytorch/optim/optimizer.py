"""What all optimizers share: parameters, their gradients, and the step that changes them in place.

A parameter is a Tensor, whose gradient is its `grad`, or a pair of raw arrays ``(parameter, gradient)``, as the
modules on a hand-driven tape have them (``(layer.W, layer.dW)``).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from mytorch import idioms
from mytorch.inplace import note_changed, update
from mytorch.tensor import Tensor, raw

Parameter = Any


class Optimizer:
    """Changes parameters by rules that read their gradients.

    Parameters
    ----------
    parameters : iterable of Tensors that require gradients, or of pairs (array, gradient array)
    lr : the learning rate, positive
    """

    def __init__(self, parameters: Iterable[Parameter], lr: float) -> None:
        if isinstance(parameters, Tensor) or not isinstance(parameters, Iterable):
            raise TypeError(
                f"{type(self).__name__} takes a list of parameters, or model.parameters() (mind the brackets), got "
                f"{type(parameters).__name__}"
            )
        self.parameters = list(parameters)
        if not self.parameters:
            raise ValueError(
                f"{type(self).__name__}: no parameters were given; a Module finds the Tensors with "
                "requires_grad=True and the Modules among its attributes, and in lists and dicts of them"
            )
        for parameter in self.parameters:
            _check(parameter)
        if len({id(_values(parameter)) for parameter in self.parameters}) < len(self.parameters):
            raise ValueError(
                f"{type(self).__name__}: a parameter is given twice, and would be stepped twice; give it once"
            )
        self.lr = check_range(self, "lr", lr, 0.0)
        self.state: list[dict[str, Any]] = [{} for _ in self.parameters]

    __dir__ = idioms.names_in

    def __repr__(self) -> str:
        settings = {name: value for name, value in vars(self).items() if name not in ("parameters", "state")}
        count = len(self.parameters)
        words = [
            f"{count} parameter{'' if count == 1 else 's'}",
            *(f"{k}={v!r}" for k, v in settings.items()),
        ]
        return f"{type(self).__name__}({', '.join(words)})"

    def step(self) -> None:
        """Change every parameter that has a gradient."""
        changed: list[Tensor] = []
        try:
            for parameter, state in zip(self.parameters, self.state, strict=True):
                if isinstance(parameter, tuple):
                    value, gradient = parameter
                    self.change(value, gradient, state)
                elif parameter._grad is not None:
                    gradient = raw(parameter._grad)
                    if parameter._key is not None and parameter._base is None:
                        changed.append(parameter)
                        self.change(parameter._array, gradient, state)
                    else:
                        update(parameter, self.change, gradient, state)
        finally:
            note_changed(changed)

    def change(self, value: np.ndarray, gradient: np.ndarray, state: dict[str, Any]) -> None:
        """Change `value` in place."""
        raise NotImplementedError(f"{type(self).__name__} must define change")

    def zero_grad(self) -> None:
        """Forget all gradients: a Tensor's become None, a pair's array becomes zeros."""
        for parameter in self.parameters:
            if isinstance(parameter, Tensor):
                parameter._grad = None
            else:
                parameter[1][...] = 0


idioms.say_of(Optimizer, idioms.reasons(idioms.OPTIMIZER))


def gradient_of(parameter: Parameter) -> Any:
    """Return the gradient of a parameter; None where there is none."""
    return parameter[1] if isinstance(parameter, tuple) else parameter._grad


def _values(parameter: Parameter) -> Any:
    """Return the Tensor or array that is stepped."""
    return parameter[0] if isinstance(parameter, tuple) else parameter


def _check(parameter: Parameter) -> None:
    """Raise unless `parameter` can be optimized."""
    if isinstance(parameter, Tensor):
        if not (parameter.requires_grad and parameter.is_leaf):
            raise ValueError(
                f"an optimizer changes leaves that require gradients; got {parameter!r}, "
                "which would not get one. Make it with Tensor(..., requires_grad=True)"
            )
        return
    if (
        isinstance(parameter, tuple)
        and len(parameter) == 2
        and all(isinstance(p, np.ndarray) for p in parameter)
    ):
        if parameter[0].shape != parameter[1].shape:
            raise ValueError(
                f"a parameter of shape {parameter[0].shape} has a gradient of shape {parameter[1].shape}"
            )
        return
    groups = (
        "; for a group with settings of its own, make another optimizer"
        if isinstance(parameter, dict)
        else ""
    )
    raise TypeError(
        f"a parameter is a Tensor or a pair (array, gradient array), got {type(parameter).__name__}{groups}"
    )


def check_pair(optimizer: Optimizer, name: str, values: Any) -> tuple[float, float]:
    """Return `values` if they are two numbers in [0, 1), else raise."""
    if not isinstance(values, tuple | list) or len(values) != 2:
        raise TypeError(
            f"{type(optimizer).__name__}: {name} must be two numbers, as (0.9, 0.999), got {values!r}"
        )
    first, second = (
        check_range(optimizer, f"{name}[{i}]", value, 0.0, 1.0) for i, value in enumerate(values)
    )
    return first, second


def check_range(optimizer: Optimizer, name: str, value: float, low: float, high: float = np.inf) -> float:
    """Return `value` if it lies in [low, high), else raise ValueError."""
    if not isinstance(value, int | float | np.number | np.ndarray) or np.ndim(value):
        raise TypeError(f"{type(optimizer).__name__}: {name} must be a number, got {value!r}")
    if not low <= value < high:
        raise ValueError(f"{type(optimizer).__name__}: {name} (={value}) must lie in [{low}, {high})")
    return value


_PIECE = 2**18  # bytes: what fits in the cache beside its gradient; up to two are not worth the loop


def pieces(*arrays: np.ndarray) -> Iterable[tuple[np.ndarray, ...]]:
    """Return arrays of one shape, large ones in pieces, so that several steps pass through memory once."""
    first = arrays[0]
    if first.nbytes <= 2 * _PIECE or not all(type(x) is np.ndarray and x.flags.c_contiguous for x in arrays):
        return (arrays,)
    rows, length = [array.reshape(-1) for array in arrays], _PIECE // first.itemsize
    return (tuple([row[start : start + length] for row in rows]) for start in range(0, first.size, length))


def descend(value: np.ndarray, rate: float, gradient: np.ndarray) -> None:
    """Do ``value -= rate * gradient`` in place."""
    if value.nbytes <= 2 * _PIECE:
        value -= rate * gradient
        return
    for part, slope in pieces(value, gradient):
        part -= rate * slope


def decayed(gradient: np.ndarray, value: np.ndarray, weight_decay: float) -> np.ndarray:
    """Return the gradient of the loss plus ``weight_decay / 2 * sum(value ** 2)``."""
    return gradient + weight_decay * value if weight_decay else gradient
