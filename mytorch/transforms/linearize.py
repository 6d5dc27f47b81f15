"""One run of a plain function on Tensors, and the two linear maps that the run's tape gives.

Every transform (`grad`, `jvp`, `jacobian`, ...) runs the user's function once and then asks for

* `Linearization.pull`, the reverse map: cotangents of the results to cotangents of the arguments, and
* `Linearization.push`, the forward map: tangents of the arguments to tangents of the results.  The reverse map
  is linear in the cotangents, so its own transpose, a second reverse pass, is the forward map (J. Townsend,
  "A new trick for calculating Jacobian vector products", 2017): there is no second set of rules.

Nested transforms cannot be confused with each other.  The argument that a transform differentiates is memory of
its own (a copy, which is an operation on the outer tape where there is one), and gradients are asked for by
memory: two levels never share a variable, so no levels need to be numbered.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from mytorch import arrays, trees
from mytorch.autograd_engine import Autograd
from mytorch.lines import PACKAGE
from mytorch.records import TapeError, next_serial
from mytorch.regions import gradient_dtype
from mytorch.reverse import Pullback, families
from mytorch.tensor import Tensor, enable_grad, is_recording, raw, refuse_kind, wrap

_ARRAYS = (Tensor, np.ndarray, np.generic, int, float, complex)


class Linearization:
    """The function `f`, run at a point.

    Parameters
    ----------
    name : the transform, for messages
    f : the function
    args, kwargs : the point
    argnums : positions of the arguments that are variables
    has_aux : whether f returns (result, auxiliary data that is not differentiated)

    Attributes
    ----------
    variables : list of Tensor, the leaves of the chosen arguments
    structure : trees.Structure of the tuple of chosen arguments
    outputs : list of Tensor, the leaves of the result
    result_structure : trees.Structure of the result
    nested : whether the result depends on what something outside differentiates; then maps give Tensors
    """

    def __init__(
        self,
        name: str,
        f: Callable[..., Any],
        args: Sequence[Any],
        kwargs: dict[str, Any],
        argnums: Sequence[int],
        has_aux: bool = False,
    ) -> None:
        self.name, self.argnums = name, argnums
        recording, start = is_recording(), next_serial()
        leaves, self.structure = trees.flatten(tuple([args[i] for i in argnums]))
        with _recorded():
            tape = Autograd()
            self.variables = [self._variable(leaf, i, tape, recording) for i, leaf in enumerate(leaves)]
            result = self._call(f, list(args), kwargs)
        self.plain: Any
        self._aux: Any
        self.plain, self._aux = self._parted(result) if has_aux else (result, None)
        found, self.result_structure = trees.flatten(self.plain)
        self.outputs = self._outputs(found)
        self._recording, self._start = recording, start
        self.nested = recording and _is_older(self.outputs, start)
        self.pullback = Pullback(self.outputs, self.variables)

    def _where(self, i: int) -> str:
        """Return the name of variable `i`, for messages."""
        position, _, rest = self.structure.paths()[i][1:].partition("]")
        return f"{self.name}: argument {self.argnums[int(position)]}{rest}"

    def _variable(self, leaf: Any, i: int, tape: Autograd, recording: bool) -> Tensor:
        """Return a Tensor of its own memory with the value of `leaf`: on the outer tape, if that made it, or `tape`."""
        if isinstance(leaf, Tensor):
            if recording and leaf.requires_grad and leaf.size:  # a copy of an empty view is a constant
                return leaf.copy()
            leaf = leaf._array
        refuse_kind(type(leaf))
        array = arrays.asarray(leaf)
        if array.dtype.kind in "biu":
            raise TypeError(
                f"{self._where(i)} is of dtype {array.dtype}, which has no derivative; cast it to float"
            )
        if array.dtype.kind not in "fc":
            found = f"dtype {array.dtype}" if isinstance(leaf, np.ndarray) else type(leaf).__name__
            raise TypeError(
                f"{self._where(i)} must be an array of floats, or a list, tuple or dict of them, got {found}"
            )
        return _source(array, tape)

    def _call(self, f: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
        """Return what f returns for the arguments with the variables in their places."""
        keys = [variable._key for variable in self.variables]
        for n, tree in zip(self.argnums, self.structure.unflatten(self.variables), strict=True):
            args[n] = tree
        result = f(*args, **kwargs)
        if [variable._key for variable in self.variables] != keys:
            raise TapeError(
                f"{self.name}: the function changed its argument in place, which would change the caller's array; "
                "let it work on a .copy() of the argument"
            )
        return result

    def _parted(self, result: Any) -> tuple[Any, Any]:
        """Return the result and the auxiliary data."""
        if not isinstance(result, tuple) or len(result) != 2:
            raise TypeError(
                f"{self.name} with has_aux: expected (result, aux) from the function, got {result!r}"
            )
        return result

    def _outputs(self, leaves: list[Any]) -> list[Tensor]:
        """Return the leaves of the result as Tensors."""
        if not leaves:
            raise TypeError(
                f"{self.name}: the function returned {self.plain!r}, expected an array (is a return missing?)"
            )
        for i, leaf in enumerate(leaves):
            if not isinstance(leaf, _ARRAYS):
                path = self.result_structure.paths()[i]
                raise TypeError(
                    f"{self.name}: the function's result{path} must be an array, or a list, tuple or dict of them, "
                    f"got {type(leaf).__name__}"
                )
        if Tensor not in map(type, leaves) and any(x.size for x in self.variables):
            warnings.warn(
                f"{self.name}: the function's result was not computed from its argument with NumPy functions, so "
                "its derivative is zero (math.*, float() and .item() give plain numbers, which carry no derivative)",
                stacklevel=users_level(),
            )
        return [leaf if isinstance(leaf, Tensor) else wrap(arrays.asarray(leaf)) for leaf in leaves]

    @property
    def result(self) -> Any:
        """What the function returned: arrays, or Tensors where something outside differentiates them."""
        return self.plain if self.nested else constants(self.plain)

    @property
    def aux(self) -> Any:
        """The auxiliary data that the function returned, in the same form."""
        tensors = [x for x in trees.flatten(self._aux)[0] if isinstance(x, Tensor)]
        nested = self._recording and _is_older(tensors, self._start)
        return self._aux if nested else constants(self._aux)

    def arguments(self, leaves: list[Any], argnums: int | Sequence[int]) -> Any:
        """Return values of the variables as the user chose the arguments: one tree, or a tuple of them."""
        trees_of_arguments = self.structure.unflatten(leaves)
        return trees_of_arguments[0] if isinstance(argnums, int | np.integer) else trees_of_arguments

    def pull(self, cotangents: Sequence[Any]) -> list[Any]:
        """Return the cotangents of the variables for cotangents of the outputs: Jᵀ applied to them."""
        nested, cotangents = self._seeds(cotangents)
        with _recorded():
            return self.pullback(cotangents, create_graph=nested)

    def _seeds(self, values: Sequence[Any]) -> tuple[bool, Sequence[Any]]:
        """Say whether something outside differentiates what a map makes of `values`; return those, else as arrays."""
        nested = is_recording() and (self.nested or any(map(is_tracked, values)))
        return nested, values if nested else [raw(x) for x in values]

    def push(self, tangents: Sequence[Any]) -> list[Any]:
        """Return the tangents of the outputs for tangents of the variables: J applied to them."""
        return self.forward()(tangents)

    def forward(self) -> Callable[[Sequence[Any]], list[Any]]:
        """Return the forward map, for use with many tangents: the transpose of the reverse map."""
        with _recorded():
            # The reverse map is linear, so its transpose does not depend on where it is taken: here, at ones.
            tape = Autograd()
            probes = [_source(np.ones(y.shape, gradient_dtype(y.dtype)), tape) for y in self.outputs]
            pulled = self.pullback(probes, create_graph=self.nested, linear=not self.nested)
            transposed = Pullback(pulled, probes)

        def push(tangents: Sequence[Any]) -> list[Any]:
            nested, tangents = self._seeds(tangents)
            with _recorded():
                found = transposed(tangents, create_graph=nested)
                # Those of float16 were summed in float32.
                return [
                    t.astype(y.dtype) if y.dtype == np.float16 else t
                    for t, y in zip(found, self.outputs, strict=True)
                ]

        return push

    def curvature(self, cotangents: Sequence[Any], directions: Sequence[Any]) -> list[Any]:
        """Return the derivative of ⟨Jᵀ cotangents, directions⟩ by the variables: a second derivative's product."""
        nested, directions = self._seeds(directions)
        with _recorded():
            pulled = self.pullback(cotangents, create_graph=True)
            return Pullback(pulled, self.variables)(directions, create_graph=nested)

    def derivative(self, holomorphic: bool) -> list[Any]:
        """Return the reverse map of cotangents of one: gradients, or complex derivatives if `holomorphic`."""
        self.check_holomorphic(holomorphic)
        pulled = self.pull([np.ones(y.shape, gradient_dtype(y.dtype)) for y in self.outputs])
        return [np.conj(g) for g in pulled] if holomorphic else pulled

    def check_holomorphic(self, holomorphic: bool, real_arguments: bool = False) -> None:
        """Raise where the result is complex and that was not asked for, or the other way round."""
        complex_result = "c" in [y._array.dtype.kind for y in self.outputs]
        if not holomorphic and not complex_result:
            return
        inputs, outputs = {x.dtype.kind for x in self.variables}, {y.dtype.kind for y in self.outputs}
        if holomorphic and (inputs != {"c"} or outputs != {"c"}):
            raise TypeError(
                f"{self.name} with holomorphic=True: the arguments and the result must be complex, got "
                f"{_dtypes(self.variables)} and {_dtypes(self.outputs)}"
            )
        if not holomorphic and not (real_arguments and "c" not in inputs):
            raise TypeError(
                f"{self.name}: the function's result is complex ({_dtypes(self.outputs)}); take its real part "
                "(or abs), or pass holomorphic=True if the function is complex-analytic"
            )

    def check_scalar(self) -> None:
        """Raise unless the function returned one number."""
        if self.result_structure != trees.LEAF:
            raise TypeError(
                f"{self.name}: the function must return one number, got {self.result_structure}; "
                "further results need has_aux=True"
            )
        if self.outputs[0].size != 1:
            raise ValueError(
                f"{self.name}: the function must return one number, got an array of shape "
                f"{self.outputs[0].shape}; sum it, or use elementwise_grad, jacobian or vjp"
            )


def _dtypes(arrays: Sequence[Tensor]) -> str:
    return ", ".join(sorted({str(x.dtype) for x in arrays}))


def check_function(transform: str, f: Any, arguments: str = "(f)(x)") -> None:
    """Raise unless `f` can be called; `arguments` says where f and its arguments are written."""
    if not callable(f):
        raise TypeError(
            f"{transform} takes a function, got {type(f).__name__}: write {transform}{arguments}, not "
            f"{transform}(f(x))"
        )


def named(function: Callable[..., Any], transform: str, f: Callable[..., Any]) -> Callable[..., Any]:
    """Give a function that a transform made of `f` a name and a line of text that say so."""
    check_function(transform, f)
    function.__name__ = function.__qualname__ = f"{transform}_of_{getattr(f, '__name__', type(f).__name__)}"
    function.__doc__ = f"{transform} of {f!r}; see mytorch.{transform}."
    return function


def variable_numbers(name: str, argnums: int | Sequence[int], count: int) -> tuple[int, ...]:
    """Return `argnums` as a tuple of positions among `count` arguments."""
    if type(argnums) is int and 0 <= argnums < count:
        return (argnums,)
    numbers = tuple(argnums) if isinstance(argnums, Iterable) else (argnums,)
    for n in numbers:
        if not isinstance(n, int | np.integer):
            raise TypeError(f"{name}: argnums must be an int or a tuple of ints, got {argnums!r}")
        if not -count <= n < count:
            raise ValueError(
                f"{name}: argnums={argnums} is out of range for a call with {count} positional arguments; "
                "what is differentiated is given by position"
            )
    numbers = tuple(int(n) % count for n in numbers)
    if len(set(numbers)) != len(numbers) or not numbers:
        raise ValueError(f"{name}: argnums must name one or more arguments, each once; got {argnums!r}")
    return numbers


def matched(what: str, tree: Any, structure: trees.Structure, like: Sequence[Tensor]) -> list[Any]:
    """Return the leaves of a tangent or cotangent, which must be as the values `like` are."""
    leaves = structure.leaves_of(tree, what)
    return [
        _fitting(leaf, x, structure, what, i) for i, (leaf, x) in enumerate(zip(leaves, like, strict=True))
    ]


def _fitting(leaf: Any, like: Tensor, structure: trees.Structure, what: str, i: int) -> Any:
    """Return leaf `i` of a tangent or cotangent in the dtype of its value."""
    refuse_kind(type(leaf))
    array = leaf if isinstance(leaf, Tensor) else arrays.asarray(leaf)
    dtype, wanted = array.dtype, like._array.dtype
    if dtype is wanted and array.shape == like._array.shape:
        return array
    path = structure.paths(what)[i]
    if dtype.kind not in "biufc":
        raise TypeError(f"{path} must be an array of numbers, got {leaf!r}")
    if array.shape != like.shape:
        raise ValueError(f"{path} must have the shape {like.shape} of its value, got {array.shape}")
    if dtype.kind == "c" and wanted.kind != "c":
        raise TypeError(f"{path} is complex, but its value is real ({wanted}); give a real one")
    return array.astype(wanted) if wanted.kind in "fc" else array


def users_level() -> int:
    """Return how many calls up, from that of the caller's caller, the user's line is."""
    level, frame = 0, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE):
        level, frame = level + 1, frame.f_back
    return level + 1


_NOTHING = nullcontext()


def _recorded() -> Any:
    """Return a context in which operations are recorded (which costs nothing where they are anyway)."""
    return _NOTHING if is_recording() else enable_grad()


def _source(array: np.ndarray, tape: Autograd) -> Tensor:
    """Return a differentiable Tensor of the values of `array` whose results are recorded on `tape`."""
    tensor = Tensor(array, requires_grad=True)
    tensor._tape = tape
    if tape.sources is None:
        tape.sources = set()
    tape.sources.add(tensor._key)  # type: ignore[arg-type]
    return tensor


def constants(tree: Any) -> Any:
    """Return a tree with arrays in the place of Tensors: copies, as writes to them must not reach what a tape reads."""
    return trees.tree_map(lambda leaf: arrays.array(leaf._array) if isinstance(leaf, Tensor) else leaf, tree)


def is_tracked(leaf: Any) -> bool:
    """Say whether something differentiates by `leaf`."""
    return isinstance(leaf, Tensor) and leaf.requires_grad


def _is_older(outputs: Sequence[Tensor], start: int) -> bool:
    """Say whether a tape, or a leaf, that the outputs were computed from is older than `start`."""
    tapes = []
    for output in outputs:
        owner = output if output._base is None else output._base
        if owner._tape is not None:
            tapes.append(owner._tape)
        elif owner._key is not None and owner._key < start:
            return True
    return any(tape.serial < start or min(tape.leaves, default=start) < start for tape in families(tapes))
