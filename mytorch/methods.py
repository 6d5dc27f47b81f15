"""NumPy's methods and attributes on Tensors: what ``ndarray`` has, Tensor has, or says why not.

A method calls the same code that the NumPy function of its name comes to, without the way through NumPy's
protocols.  Methods that write (`fill`, `sort`, `partition`, `put`) are assignments to the Tensor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mytorch import idioms
from mytorch.dispatch import array_function, array_ufunc, view_of_copy
from mytorch.recording import apply, record
from mytorch.rules import memory
from mytorch.rules.registry import RULES
from mytorch.tensor import OPERANDS, Tensor, boxed, is_number, wrap

FUNCTIONS = """
    all any argmax argmin argpartition argsort choose clip cumprod cumsum dot nonzero ptp put repeat round searchsorted
    std take trace var
"""
REDUCTIONS = ("max", "mean", "min", "prod", "sum")
VIEWS = ("diagonal", "ravel", "reshape", "squeeze", "swapaxes", "transpose")
OPERATORS = {
    "floordiv": np.floor_divide,
    "mod": np.remainder,
    "divmod": np.divmod,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "lshift": np.left_shift,
    "rshift": np.right_shift,
}
UNARY = {"__abs__": np.absolute, "__invert__": np.invert}

_BITS = "it takes numbers apart into bytes, which have no derivative; take the values with .numpy() first"
_MEMORY = "it hands out memory that could be written unseen by the tape; take the values with .numpy()"
_DATA = (
    "it hands out memory that could be written unseen by the tape; take the values with .numpy(), and change them "
    "inside `with mytorch.no_grad():`"
)
REFUSED = {
    "base": "memory is shared as in NumPy, but what owns it is the tape's affair; np.shares_memory answers questions",
    "byteswap": _BITS,
    "ctypes": _MEMORY,
    "data": _DATA,
    "dump": "use pickle.dump, which keeps requires_grad",
    "dumps": "use pickle.dumps, which keeps requires_grad",
    "flat": "use .ravel() for the values in one row, and an index of all axes for assignment",
    "getfield": _BITS,
    "itemset": "use an assignment, x[index] = value",
    "newbyteorder": _BITS,
    "resize": "it changes the size of memory that others share; np.resize returns a new Tensor",
    "setfield": _BITS,
    "setflags": _MEMORY,
    "tostring": "use tobytes",
}


def _function(name: str) -> Callable[..., Any]:
    """Return the method that calls NumPy's function of the same name."""
    function = getattr(np, name)

    def method(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        return array_function(self, function, (), (self, *args), kwargs)

    return _named(method, name, f"Return ``numpy.{name}(self, ...)``.")


def _reduction(name: str) -> Callable[..., Any]:
    """Return the method of a reduction, whose plain calls are computed and recorded directly."""
    function = getattr(np, name)
    rule = RULES[function]

    def method(self: Tensor, axis: Any = None, *args: Any, **kwargs: Any) -> Any:
        if args or (kwargs and kwargs.keys() != {"keepdims"}):
            return array_function(self, function, (), (self, axis, *args), kwargs)
        y = getattr(self._array, name)(axis, **kwargs)
        return record(rule, y, (self,), {"axis": axis, **kwargs})

    return _named(method, name, f"Return ``numpy.{name}(self, ...)``.")


def _view_of(name: str) -> Callable[..., Any]:
    """Return the method that gives a view, or, where NumPy has to copy, a copy that is on the tape."""
    function = getattr(np, name)

    def method(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        data = self._array
        array = getattr(data, name)(*args, **kwargs)
        if array is data or (array.base is not None and (array.base is data or array.base is data.base)):
            return self.view_as(array)
        shown = view_of_copy(self, array)
        if shown is not None:
            return shown
        if name == "reshape" and len(args) != 1:
            args = (args,)
        return array_function(self, function, (), (self, *args), kwargs)

    return _named(method, name, f"Return ``numpy.{name}(self, ...)``: a view where NumPy gives one.")


def _named(method: Callable[..., Any], name: str, text: str) -> Callable[..., Any]:
    method.__name__, method.__qualname__, method.__doc__ = name, f"Tensor.{name}", text
    return method


def _unary(name: str, ufunc: np.ufunc) -> Callable[[Tensor], Any]:
    """Return the method that calls a ufunc of one array."""
    return _named(
        lambda self: array_ufunc(self, ufunc, "__call__", self),
        name,
        f"Return ``numpy.{ufunc.__name__}(self)``.",
    )


def _binary(ufunc: np.ufunc) -> tuple[Callable[[Tensor, Any], Any], Callable[[Tensor, Any], Any]]:
    """Return the operator of a binary ufunc, and its reflected form."""

    def operator(self: Tensor, other: Any) -> Any:
        if not isinstance(other, OPERANDS):
            return NotImplemented
        return array_ufunc(self, ufunc, "__call__", self, other)

    def reflected(self: Tensor, other: Any) -> Any:
        if not isinstance(other, OPERANDS):
            return NotImplemented
        return array_ufunc(self, ufunc, "__call__", other, self)

    return operator, reflected


def _in_place(operator: Callable[[Tensor, Any], Any]) -> Callable[[Tensor, Any], Any]:
    """Return the in-place form of an operator."""

    def update(self: Any, other: Any) -> Any:
        result = operator(self, other)
        if result is NotImplemented or is_number(self):
            return result
        np.copyto(self, result)
        return self

    return update


# -- methods whose arguments differ from the function's, and those that write --------------------------------


def _copy(self: Tensor, order: str = "C") -> Tensor:
    """Return a Tensor of the same values in memory of its own."""
    return boxed(apply(RULES[memory.copy], (self,), None if order == "C" else {"order": order}), self)


def _astype(
    self: Tensor,
    dtype: Any,
    order: Any = "K",
    casting: Any = "unsafe",
    subok: bool = True,
    copy: bool = True,
) -> Tensor:
    """Return the values converted to `dtype`; gradients are converted back."""
    dtype = np.dtype(dtype)
    if casting != "unsafe" and not np.can_cast(self._array.dtype, dtype, casting):
        raise TypeError(
            f"Cannot cast array data from {self._array.dtype!r} to {dtype!r} according to the rule {casting!r}"
        )
    if dtype == self._array.dtype and not copy and _is_in_order(self._array, order):
        return self
    if dtype.kind not in "fc":
        if dtype.kind not in "biu" and self.requires_grad:
            raise TypeError(f"as {dtype} the values would have no gradient; convert x.detach()")
        return boxed(wrap(self._array.astype(dtype, order)), self)
    options = {} if order == "K" else {"order": order}
    return boxed(apply(RULES[memory.cast], (self,), {"dtype": dtype, **options}), self)


def _is_in_order(array: Any, order: Any) -> bool:
    """Say whether an array lies in memory as `order` names it."""
    return order in ("K", "A") or bool(array.flags.f_contiguous if order == "F" else array.flags.c_contiguous)


def _conjugate(self: Tensor) -> Any:
    """Return ``numpy.conjugate(self)``; of real numbers, as NumPy's method does, the Tensor itself."""
    return array_ufunc(self, np.conjugate, "__call__", self) if self._array.dtype.kind == "c" else self


def _flatten(self: Any, order: Any = "C") -> Any:
    """Return a copy of the values in one row."""
    row: Any = np.ravel(self, order)
    return row.copy() if np.may_share_memory(row._array, self._array) else row


def _compress(self: Any, condition: Any, axis: int | None = None, out: Any = None) -> Any:
    """Return the entries of `axis` where `condition` is true."""
    return np.compress(condition, self, axis, out)


def _fill(self: Any, value: Any) -> None:
    """Write `value`, a number, to every entry."""
    like = np.broadcast_to(np.zeros((), value.dtype), value.shape) if hasattr(value, "dtype") else value
    np.zeros(1, self.dtype).fill(like)  # raises NumPy's error where it is none
    self[...] = value


def _sort(self: Any, axis: int = -1, **options: Any) -> None:
    """Sort the entries along `axis` in place."""
    self[...] = np.sort(self, axis, **options)


def _partition(self: Any, kth: Any, axis: int = -1, **options: Any) -> None:
    """Partition the entries along `axis` in place (see `numpy.partition`)."""
    self[...] = np.partition(self, kth, axis, **options)


def _view(self: Tensor, dtype: Any = None, *more: Any) -> Tensor:
    """Return a view of the same memory; of complex numbers as pairs of real ones, and back, too."""
    data = self._array
    if more or isinstance(dtype, int | tuple):
        raise TypeError(
            "view takes a dtype, as in NumPy, and no shape: write x.reshape(shape), which gives a view"
        )
    if dtype is None or np.dtype(dtype) == data.dtype:
        return self.view_as(data.view())
    dtype = np.dtype(dtype)
    if {dtype.kind, data.dtype.kind} != {"f", "c"} or dtype.type(0).real.dtype != data.dtype.type(
        0
    ).real.dtype:
        raise TypeError(
            f"a view of {data.dtype} as {dtype} shows other numbers than are there, so it has no derivative; "
            "convert with .astype, or take .numpy().view"
        )
    return self.view_as(data.view(dtype))


def _set_part(name: str) -> property:
    """Return the property `real` or `imag` with assignment."""
    part = getattr(Tensor, name)

    def assign(self: Tensor, value: Any) -> None:
        if name == "imag" and self._array.dtype.kind != "c":
            raise TypeError("a real Tensor has no imaginary part to set; convert with .astype(complex)")
        part.fget(self)[...] = value

    return part.setter(assign)


def _matrix_transpose(self: Tensor) -> Tensor:
    """The view with the last two axes exchanged."""
    if self.ndim < 2:
        raise ValueError("matrix transpose with ndim < 2 is undefined")
    return self.view_as(self._array.swapaxes(-1, -2))


def _values_method(name: str) -> Callable[..., Any]:
    """Return the method of the values, whose result is no array of numbers."""
    return _named(
        lambda self, *args, **kwargs: getattr(self._array, name)(*args, **kwargs),
        name,
        f"See `numpy.ndarray.{name}`.",
    )


def _values_attribute(name: str) -> property:
    """Return the attribute of the values."""
    return property(lambda self: getattr(self._array, name), doc=f"See `numpy.ndarray.{name}`.")


def install() -> None:
    """Give Tensor its methods, attributes, and the operators that are not arithmetic."""
    methods: dict[str, Any] = {name: _function(name) for name in FUNCTIONS.split()}
    methods |= {name: _reduction(name) for name in REDUCTIONS} | {name: _view_of(name) for name in VIEWS}
    methods |= {name: _unary(name, ufunc) for name, ufunc in UNARY.items()}
    for name, ufunc in OPERATORS.items():
        operator, reflected = _binary(ufunc)
        methods[f"__{name}__"] = _named(
            operator, f"__{name}__", f"Return ``numpy.{ufunc.__name__}(self, other)``."
        )
        methods[f"__r{name}__"] = _named(
            reflected, f"__r{name}__", f"Return ``numpy.{ufunc.__name__}(other, self)``."
        )
        if name != "divmod":
            methods[f"__i{name}__"] = _named(
                _in_place(operator), f"__i{name}__", f"Update with ``numpy.{ufunc.__name__}``."
            )
    for function in (_copy, _astype, _flatten, _compress, _fill, _sort, _partition, _view):
        name = function.__name__.removeprefix("_")
        methods[name] = _named(function, name, function.__doc__ or "")
    methods["conj"] = methods["conjugate"] = _named(_conjugate, "conjugate", _conjugate.__doc__ or "")
    methods |= {name: _values_method(name) for name in ("tobytes", "tofile")}
    methods |= {name: _values_attribute(name) for name in ("flags", "strides")}
    methods |= {"real": _set_part("real"), "imag": _set_part("imag"), "mT": property(_matrix_transpose)}
    methods |= {
        "device": property(lambda self: "cpu", doc="Where the values are: always 'cpu'."),
        "to_device": _named(_to_device, "to_device", _to_device.__doc__ or ""),
    }
    for name, method in methods.items():
        setattr(Tensor, name, method)


def _to_device(self: Tensor, device: str, /, *, stream: Any = None) -> Tensor:
    """Return the Tensor itself, which can be nowhere but on the 'cpu'."""
    if device != "cpu" or stream is not None:
        raise ValueError(f"Tensors are on the 'cpu', got device {device!r} and stream {stream!r}")
    return self


install()
idioms.say_of(Tensor, {name: f": {reason}" for name, reason in REFUSED.items()})
idioms.say_of(Tensor, idioms.reasons(idioms.TENSOR))
