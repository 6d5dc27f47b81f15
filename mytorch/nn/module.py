"""What all modules share: one computation, written in Tensors, on Tensors or on a hand-driven tape.

A module that was given an `Autograd` engine takes raw arrays, records on that engine and returns raw arrays,
as the course has it; one without takes Tensors.  Both run the same `compute`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from reprlib import recursive_repr
from textwrap import indent
from typing import Any

import numpy as np

from mytorch import idioms
from mytorch.autograd_engine import Autograd
from mytorch.guard import is_held
from mytorch.records import TapeError
from mytorch.regions import owner_of
from mytorch.tensor import Tensor, is_recording, new_tensor, new_view, wrap

ARRAYS = (Tensor, np.ndarray)


class Module:
    """A function with parameters.

    Parameters
    ----------
    autograd_engine : the tape that raw arrays are recorded on; None for a module on Tensors
    """

    autograd_engine: Autograd | None = None  # also where __init__ is not called

    def __init__(self, autograd_engine: Autograd | None = None) -> None:
        if autograd_engine is not None and not isinstance(autograd_engine, Autograd):
            raise TypeError(
                f"{type(self).__name__}: autograd_engine must be an Autograd, got {type(autograd_engine).__name__}"
            )
        self.autograd_engine = autograd_engine

    __dir__ = idioms.names_in

    def __call__(self, *inputs: Any) -> Any:
        return self.forward(*inputs)

    def forward(self, *inputs: Any) -> Any:
        """Compute the module's value, recording it."""
        if self.autograd_engine is None:
            return self.compute(*inputs)
        return _on_tape(self.autograd_engine, self.compute, inputs, self.external())

    def compute(self, *inputs: Any, **parameters: Any) -> Any:
        """Return the value in Tensor operations; `parameters` are the ones named by `external`."""
        raise NotImplementedError(
            f"{type(self).__name__} must define compute(self, x), or forward where no tape is driven by hand"
        )

    def external(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Return, by name, the parameters of a module on raw arrays, each with the array of its gradient."""
        return {}

    def parameters(self) -> Iterator[Tensor]:
        """Iterate over the Tensors that are to be learned, of this module and of the modules in it, each once."""
        yield from dict.fromkeys(self._all_parameters({id(self)}))

    def _all_parameters(self, seen: set[int]) -> Iterator[Tensor]:
        """Iterate over what `parameters` gives, some of it again; modules that were `seen` are left out."""
        for name, value in vars(self).items():
            for _, part in _parts(name, value):
                if isinstance(part, Module) and id(part) not in seen:
                    seen.add(id(part))
                    is_plain = type(part).parameters is Module.parameters
                    yield from part._all_parameters(seen) if is_plain else part.parameters()
                elif isinstance(part, Tensor) and part.requires_grad and part.is_leaf:
                    yield part

    @recursive_repr()
    def __repr__(self) -> str:
        """Return the names of the modules and parameters in it, one per line.

        >>> from mytorch.nn import Linear, ReLU
        >>> Sequential(Linear(3, 4), ReLU())
        Sequential(
          modules[0]: Linear(3, 4)
          modules[1]: ReLU()
        )
        """
        rows = [indent(f"{name}: {text}\n", "  ") for name, text in self._shown()]
        inside = "\n" + "".join(rows) if rows else ""
        return f"{type(self).__name__}({inside})"

    def _shown(self) -> Iterator[tuple[str, str]]:
        """Iterate over what is in the module, with names."""
        for name, value in vars(self).items():
            for where, part in _parts(name, value):
                if isinstance(part, Module):
                    yield where, repr(part)
                elif isinstance(part, Tensor) and part.requires_grad and part.is_leaf:
                    yield where, f"a parameter of shape {part.shape}"

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy of the module has, or a pickled one: all but the values that were computed last."""
        return {
            name: None if isinstance(value, Tensor) and not value.is_leaf else value
            for name, value in vars(self).items()
        }

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters():
            parameter.grad = None


idioms.say_of(Module, idioms.reasons(idioms.MODULE))


def _parts(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Iterate over an attribute, or over what is in it if it is a list, tuple or dict, nested at will, with names."""
    if isinstance(value, list | tuple | dict):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _parts(f"{name}[{key!r}]", part)
    else:
        yield name, value


def _on_tape(
    tape: Autograd,
    compute: Callable[..., Any],
    inputs: tuple[np.ndarray, ...],
    external: dict[str, tuple[np.ndarray, np.ndarray]],
) -> np.ndarray:
    """Run `compute`, written in Tensors, on raw arrays; record it on `tape`; return its value as a raw array.

    `external` holds, by name, parameters with the arrays that their gradients are added to.
    """
    known = tape.known
    memories: dict[int, Tensor] = {}
    shown = [_show(tape, memories, x) for x in inputs]
    parameters = {
        name: _show(tape, memories, array, gradient) for name, (array, gradient) in external.items()
    }
    try:
        result = compute(*shown, **parameters)
    finally:
        for key, memory in memories.items():
            if memory._key != key:  # it was written
                known.name(memory._array, memory._key)
    if not isinstance(result, Tensor):
        result = _constant(result, compute)
    owner = result if result._base is None else result._base
    if tape.leaves or tape.parents is not None or owner._tape not in (tape, None):
        raise TapeError(
            f"{compute.__qualname__} uses Tensors that require gradients, which a tape that is driven by hand gives "
            "none: name its parameters in `external`, as arrays, each with the array of its gradient"
        )
    for tensor in (*shown, *parameters.values(), result):
        if (tensor if tensor._base is None else tensor._base)._saved is not None:
            tape.protect(tensor._array)
    return known.adopt(result._array, owner._key) if is_recording() else result._array


def _show(
    tape: Autograd, memories: dict[int, Tensor], array: Any, gradient: np.ndarray | None = None
) -> Tensor:
    """Return the Tensor that shows a raw array as memory that `tape` knows; one in `memories`, by name, owns that."""
    if type(array) is Tensor:
        raise TypeError(
            "a module with an autograd_engine takes raw arrays, got a Tensor; leave out the engine, or give an array"
        )
    place = tape.known.input_target(array, gradient)
    if place is None:
        return wrap(array)
    key = place if isinstance(place, int) else place.key
    memory = memories.get(key)
    if memory is None:
        memory = memories[key] = new_tensor(array if key is place else owner_of(array), key, tape)
    # What an earlier rule will read can still be written by a view that was made before: then the tape keeps it.
    if array.base is not None and is_held(owner_of(array)):
        memory._saved = tape.ref
    if key is place:
        return memory
    part = new_view(memory, array)
    part._region = place  # type: ignore[assignment]
    return part


def _constant(result: Any, compute: Callable[..., Any]) -> Tensor:
    """Return what a module computed, which is no Tensor, as one; it must be an array."""
    if not isinstance(result, np.ndarray | np.generic):
        raise TypeError(f"{compute.__qualname__} must return one Tensor, got {type(result).__name__}")
    return wrap(result)


class Sequential(Module):
    """Modules applied one after the other.

    >>> import mytorch
    >>> from mytorch.nn import Linear, ReLU
    >>> model = Sequential(Linear(3, 4), ReLU(), Linear(4, 2))
    >>> model(mytorch.Tensor(np.ones((5, 3)))).shape
    (5, 2)
    """

    def __init__(self, *modules: Callable[[Any], Any]) -> None:
        super().__init__()
        for i, module in enumerate(modules):
            if isinstance(module, type) or not callable(module):
                raise TypeError(
                    f"Sequential: module {i} must be a module or a function, got {module!r}; write "
                    "Sequential(Linear(3, 4), ReLU()): instances, one argument each"
                )
        self.modules = list(modules)

    def forward(self, *inputs: Any) -> Any:
        """Return the last module's value."""
        (x,) = inputs
        for module in self.modules:
            x = module(x)
        return x
