"""`Traced`: what stands for an array while a function is recorded.

Everything that NumPy can do to an array, a call of a function or a ufunc, a method, an operator, an index, an
assignment, is computed at once on the real array and noted by the recorder; a view is noted as what it is, the same
memory.  What Python decides from values (``if``, ``float()``, ``.item()``) becomes a guard.

A Traced is no ndarray (so that no C code can read it unseen), but ``isinstance(x, np.ndarray)`` is true, because
functions ask that.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from mytorch import arrays
from mytorch.lines import PACKAGE
from mytorch.operators import COMPARE
from mytorch.regions import address_of, base_of, byte_bounds

if TYPE_CHECKING:
    from mytorch.replay.record.memories import Memories
    from mytorch.replay.record.recorder import Recorder

UNARY: dict[str, np.ufunc] = {"neg": np.negative, "pos": np.positive, "abs": np.absolute, "invert": np.invert}
BINARY = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "truediv": np.true_divide,
    "floordiv": np.floor_divide,
    "mod": np.remainder,
    "matmul": np.matmul,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "lshift": np.left_shift,
    "rshift": np.right_shift,
}
# What NumPy's ** computes for these exponents of a floating-point array (for 2, of any array).
POWERS: dict[float, np.ufunc] = {-1: np.reciprocal, 0.5: np.sqrt, 1: np.positive, 2: np.square}
REDUCTIONS: dict[str, np.ufunc] = {
    "sum": np.add,
    "prod": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
    "any": np.logical_or,
    "all": np.logical_and,
}
METHODS = """
    argmax argmin argpartition argsort astype byteswap choose clip compress conj conjugate copy cumprod cumsum diagonal
    dot flatten mean nonzero ptp ravel repeat reshape round searchsorted squeeze std swapaxes take trace transpose var
"""
WRITING_METHODS = ("fill", "itemset", "partition", "put", "sort")
STATIC_ATTRIBUTES = ("shape", "ndim", "dtype", "size", "nbytes", "itemsize", "strides", "flags")
_Class = type
# Who may ask where a memory lies without reading it.
_READERS = {address_of.__code__, getattr(byte_bounds, "__wrapped__", byte_bounds).__code__}
VALUES = ("tolist", "tobytes")
_ZEROS_LIKE = np.zeros_like  # while a call is recorded there is another in its place


class Traced:
    """A real array, and the recorder that notes what is done to it."""

    stands_for_array = True  # asked by `mytorch.arrays`
    is_number = False

    __slots__ = ("__weakref__", "_recorder", "array")
    __array_priority__ = 1000.0
    if TYPE_CHECKING:
        shape: tuple[int, ...]
        ndim: int
        dtype: np.dtype[Any]

    def __init__(self, array: np.ndarray, recorder: Memories) -> None:
        self.array = array
        self._recorder: Any = recorder

    @property
    def recorder(self) -> Recorder:
        """The recorder that notes what is done: another one's, where this was kept beyond its own recording."""
        own: Recorder = self._recorder
        return own if not own.ended else arrays.recording() or own

    if not TYPE_CHECKING:

        @property
        def __class__(self) -> Any:  # `isinstance` asks this
            return np.ndarray

    # -- NumPy's protocols ------------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        outs = kwargs.get("out", ())
        for x in (*inputs, *outs):
            if hasattr(type(x), "__array_ufunc__") and not isinstance(x, np.ndarray | np.generic):
                return NotImplemented
        return self.recorder.ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        for kind in types:
            if not issubclass(kind, Traced | np.ndarray):
                return NotImplemented
        return self.recorder.function(function, args, kwargs)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.recorder.leave(self, dtype)

    @property
    def __array_interface__(self) -> Any:
        if _asker().f_code not in _READERS:  # NumPy's C code reads the values through this, too
            self.recorder.leave(self, None)
        return self.array.__array_interface__

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or not hasattr(self.array, name):
            raise AttributeError(f"'numpy.ndarray' object has no attribute {name!r}")
        return self.recorder.refuse(f".{name}", "it with NumPy's functions")

    # -- attributes -------------------------------------------------------------------------------------------

    @property
    def base(self) -> Any:
        """The Traced that shows the memory of which this is a view."""
        base = base_of(self.array)
        return None if base is None else self.recorder.show(base)

    @property
    def T(self) -> Any:
        return self.recorder.show(self.array.T)

    @property
    def mT(self) -> Any:
        return self.recorder.show(self.array.swapaxes(-1, -2))

    @property
    def real(self) -> Any:
        return self._part(self.array.real) if self.array.dtype.kind == "c" else self

    @real.setter
    def real(self, value: Any) -> None:
        self.real[...] = value

    @property
    def imag(self) -> Any:
        if self.array.dtype.kind == "c":
            return self._part(self.array.imag)
        return self._part(self.recorder.function(_ZEROS_LIKE, (self,), {}).array)

    @imag.setter
    def imag(self, value: Any) -> None:
        self.imag[...] = value

    def _part(self, part: np.ndarray) -> Any:
        """Return what stands for the real or the imaginary part."""
        return self.recorder.show(part)

    @property
    def flat(self) -> Any:
        return Flat(self)

    @flat.setter
    def flat(self, value: Any) -> None:
        self.flat[:] = value

    @property
    def data(self) -> Any:
        return self.recorder.refuse(".data", "a recording cannot follow who reads or writes bare memory")

    def strided(self, shape: Any, dtype: Any, offset: int, strides: Any) -> Any:
        """Return a view at an offset in bytes from the start (see `mytorch.arrays.strided`)."""
        return self.recorder.show(np.ndarray(shape, dtype, self.array, offset, strides))

    def view(self, dtype: Any = None, type: Any = None) -> Any:
        """Return a view of the same memory, of another dtype if given."""
        for kind in (dtype, type):
            if isinstance(kind, _Class) and issubclass(kind, np.ndarray) and kind is not np.ndarray:
                return self.recorder.refuse(f"a {kind.__name__}", "it with plain arrays")
        array = self.array.view() if dtype is None or dtype is np.ndarray else self.array.view(dtype)
        return self.recorder.show(array)

    # -- indices ----------------------------------------------------------------------------------------------

    def __getitem__(self, index: Any) -> Any:
        return self.recorder.getitem(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        self.recorder.setitem(self, index, value)

    def __len__(self) -> int:
        return len(self.array)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self.array)))

    def __contains__(self, value: Any) -> bool:
        return bool((self == value).any())

    # -- values, which Python decides by ------------------------------------------------------------------------

    def __bool__(self) -> bool:
        return bool(self.recorder.decide(self, bool))

    def __float__(self) -> float:
        number = self.recorder.returned_number(self)
        return float(self.recorder.decide(self, float)) if number is None else number

    def __int__(self) -> int:
        return int(self.recorder.decide(self, int))

    def __index__(self) -> int:
        return operator.index(self.recorder.decide(self, operator.index))

    def __complex__(self) -> complex:
        return complex(self.recorder.decide(self, complex))

    def __bytes__(self) -> bytes:
        return bytes(self.recorder.decide(self, np.ndarray.tobytes))

    def __round__(self, digits: int | None = None) -> Any:
        if digits is None:
            return self.recorder.decide(self, lambda array: round(array.item()))
        return self.recorder.function(np.round, (self, digits), {})

    def __format__(self, spec: str) -> str:
        return str(self.recorder.decide(self, lambda array: format(array[()], spec)))

    def __repr__(self) -> str:
        return str(self.recorder.decide(self, repr))

    def __str__(self) -> str:
        return str(self.recorder.decide(self, str))

    __hash__ = None  # type: ignore[assignment]

    def __copy__(self) -> Any:
        return self.recorder.method("copy", self, ("K",), {})

    def __deepcopy__(self, memo: Any) -> Any:
        return self.recorder.method("copy", self, ("K",), {})

    def __reduce__(self) -> Any:
        return self.recorder.refuse("pickle", "pickle what the function returns")

    # -- powers, as NumPy's operator computes them ----------------------------------------------------------------

    def __pow__(self, exponent: Any) -> Any:
        return self._power(exponent)

    def __rpow__(self, base: Any) -> Any:
        power: Any = np.power
        return power(base, self)

    def __ipow__(self, exponent: Any) -> Any:
        return self._power(exponent, **self._place())

    def _power(self, exponent: Any, **place: Any) -> Any:
        is_float = self.array.dtype.kind in "fc" and type(exponent) in (int, float)
        is_square = type(exponent) is int and exponent == 2
        if (is_float or is_square) and not self.is_number and exponent in POWERS:
            return POWERS[exponent](self, **place)
        power: Any = np.power
        return power(self, exponent, **place)

    def _place(self) -> dict[str, Any]:
        """Return where an operator like ``+=`` writes its result."""
        return {"out": self}

    def __divmod__(self, other: Any) -> Any:
        return np.divmod(self, other)

    def __rdivmod__(self, other: Any) -> Any:
        return np.divmod(other, self)


class Flat:
    """The entries of an array one after the other, as its attribute `flat` shows them."""

    def __init__(self, array: Traced) -> None:
        self._array = array

    def __len__(self) -> int:
        return int(self._array.size)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._array.ravel())

    def __getitem__(self, index: Any) -> Any:
        return self._array.flatten()[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        if not self._array.flags.c_contiguous:
            self._array.recorder.refuse(
                "a write to .flat of an array that is not contiguous", "it with an index"
            )
        self._array.reshape(-1)[index] = value


class Number(Traced):
    """A number of NumPy's, which nothing can change: ``s += 1`` makes another one, and whoever has `s` keeps it."""

    __slots__ = ()
    is_number = True

    if not TYPE_CHECKING:

        @property
        def __class__(self) -> Any:
            # The engine asks what it holds, and the user what NumPy would give.
            inside = _asker().f_code.co_filename.startswith(PACKAGE)
            return np.ndarray if inside else self.array.dtype.type

    # What NumPy's numbers have not: `isinstance(x, Iterable)` looks for None, `hasattr` for an error.
    __len__: Any = None
    __iter__: Any = None
    __contains__: Any = None

    def __getattribute__(self, name: str) -> Any:
        if name in ("__len__", "__iter__", "__contains__"):
            raise AttributeError(f"'numpy.{self.array.dtype.type.__name__}' object has no attribute {name!r}")
        return super().__getattribute__(name)

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(self.recorder.decide(self, lambda array: array[()]))

    def _place(self) -> dict[str, Any]:
        return {}

    @property
    def T(self) -> Any:
        return self

    def _part(self, part: np.ndarray) -> Any:
        recorder = self.recorder
        return recorder.number(recorder.method("copy", recorder.show(part), (), {}).array)

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TypeError(f"'numpy.{self.array.dtype.type.__name__}' object does not support item assignment")


def _asker() -> Any:
    """Return the frame that asks for the attribute that is being computed."""
    frame: Any = sys._getframe(2)
    return frame.f_back if frame.f_code is Number.__getattribute__.__code__ else frame


def _unary(ufunc: np.ufunc) -> Callable[..., Any]:
    return lambda self: ufunc(self)


def _operator(ufunc: np.ufunc) -> Callable[..., Any]:
    def method(self: Any, other: Any) -> Any:
        kind = type(other)
        if (
            not issubclass(kind, Traced)
            and hasattr(kind, "__array_ufunc__")
            and not isinstance(other, np.ndarray | np.generic)
        ):
            return NotImplemented  # a Tensor knows better
        return ufunc(self, other)

    return method


def _reflected(ufunc: np.ufunc) -> Callable[..., Any]:
    return lambda self, other: ufunc(other, self)


def _in_place(ufunc: np.ufunc) -> Callable[..., Any]:
    def update(self: Any, other: Any) -> Any:
        if ufunc is np.matmul and np.ndim(other) < 2:
            operator.imatmul(np.empty(self.shape), np.empty(np.shape(other)))  # raises NumPy's error
        return ufunc(self, other, **self._place())

    return update


def _reduction(ufunc: np.ufunc) -> Callable[..., Any]:
    def method(
        self: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, **options: Any
    ) -> Any:
        return ufunc.reduce(self, axis=axis, dtype=dtype, out=out, keepdims=keepdims, **options)

    return method


def _extremum(ufunc: np.ufunc) -> Callable[..., Any]:
    def method(self: Any, axis: Any = None, out: Any = None, keepdims: Any = False, **options: Any) -> Any:
        return ufunc.reduce(self, axis=axis, out=out, keepdims=keepdims, **options)

    return method


def _method(name: str) -> Callable[..., Any]:
    return lambda self, *args, **kwargs: self.recorder.method(name, self, args, kwargs)


def _writing(name: str) -> Callable[..., Any]:
    return lambda self, *args, **kwargs: self.recorder.write_method(name, self, args, kwargs)


def _value(name: str) -> Callable[..., Any]:
    def method(self: Any, *args: Any) -> Any:
        return self.recorder.decide(self, lambda array: getattr(array, name)(*args))

    return method


def _item(self: Any, *index: Any) -> Any:
    number = None if index else self.recorder.returned_number(self)
    return _value("item")(self, *index) if number is None else number


def _install() -> None:
    """Give Traced the operators and methods of arrays."""
    table: dict[str, Any] = {f"__{name}__": _operator(ufunc) for name, ufunc in (BINARY | COMPARE).items()}
    table |= {f"__r{name}__": _reflected(ufunc) for name, ufunc in BINARY.items()}
    table |= {f"__i{name}__": _in_place(ufunc) for name, ufunc in BINARY.items()}
    table |= {f"__{name}__": _unary(ufunc) for name, ufunc in UNARY.items()}
    for name, ufunc in REDUCTIONS.items():
        table[name] = _extremum(ufunc) if name in ("max", "min", "any", "all") else _reduction(ufunc)
    table |= {name: _method(name) for name in METHODS.split()}
    table |= {name: _writing(name) for name in WRITING_METHODS}
    table |= {name: _value(name) for name in VALUES} | {"item": _item}
    for name in STATIC_ATTRIBUTES:
        table[name] = property(operator.attrgetter(f"array.{name}"))
    any_array = np.empty(0)
    for name, entry in table.items():
        if hasattr(any_array, name):  # NumPy 2 has fewer; its class may still name others
            setattr(Traced, name, entry)


_install()
Traced.__name__ = np.ndarray.__name__  # in messages, whoever writes them
