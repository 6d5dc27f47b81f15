"""Tensor: an array whose computation records itself on the tape.

A `Tensor` shows an ndarray.  An operation on Tensors computes on the arrays at once and appends one
`Operation` to the tape; a view (``x.T``, ``x[2:]``, ``x.reshape(...)``) is no operation at all, because it is the
same memory; an in-place update is an operation like any other, whose output is memory that existed before.

>>> x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
>>> y = x * x
>>> y[0] = 0.0
>>> y.sum().backward()
>>> x.grad
Tensor([0., 4., 6.])

As with NumPy's own ``.base``, what concerns memory stands once, on the Tensor that owns it (the one with
``_base`` None): the memory's name on the tape (`_key`, None when nothing differentiable is in it), the tape,
and which tapes still read its values.  A tape refers to names and arrays, never to Tensors that were computed,
so it dies with the last value that refers to it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from copy import deepcopy
from types import FrameType
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np
from numpy import ndarray

from mytorch import arrays, idioms
from mytorch.autograd_engine import Autograd
from mytorch.guard import Guards
from mytorch.lines import is_assigning
from mytorch.records import TapeError, next_serial
from mytorch.regions import Layout, Region, Target, address_of, gradient_dtype, target_of

asarray = arrays.asarray
_recording: ContextVar[bool] = ContextVar("mytorch_recording", default=True)
is_recording = _recording.get


@contextmanager
def no_grad() -> Iterator[None]:
    """Within the context, nothing is recorded (in this thread or task).

    >>> x = Tensor([1.0], requires_grad=True)
    >>> with no_grad():
    ...     x -= 0.5
    >>> x
    Tensor([0.5], requires_grad=True)
    """
    token = _recording.set(False)
    try:
        yield
    finally:
        _recording.reset(token)


@contextmanager
def enable_grad() -> Iterator[None]:
    """Within the context, operations are recorded, also inside `no_grad`."""
    token = _recording.set(True)
    try:
        yield
    finally:
        _recording.reset(token)


class Tensor(metaclass=idioms.Shown):
    """An array that can be differentiated.

    It has the operators, methods and attributes of an ndarray, and NumPy's functions take it: what they do is recorded,
    views and writes in place included.

    Parameters
    ----------
    array : array_like, or Tensor
    requires_grad : whether gradients with respect to this Tensor are wanted (floating-point and complex only)
    dtype : as in `numpy.array`
    copy : whether the values are copied (the default), or the array's memory is shared; the array is then
        held read-only for as long as the Tensor lives (see `mytorch.guarded`)

    Attributes
    ----------
    grad : Tensor or None, filled by `backward` for leaves (Tensors that were made with requires_grad), and summed up
        over several calls until it is set to None; others have one after `retain_grad`

    Examples
    --------
    >>> w = Tensor([1.0, 2.0], requires_grad=True)
    >>> loss = np.sum(w**2)
    >>> loss.backward()
    >>> w.grad
    Tensor([2., 4.])
    >>> with no_grad():
    ...     w -= 0.5 * w.grad
    >>> w.numpy()
    array([0., 0.])
    """

    __slots__ = (
        "__weakref__",
        "_array",
        "_base",
        "_box",
        "_grad",
        "_guard",
        "_hooks",
        "_key",
        "_layout",
        "_offset",
        "_region",
        "_saved",
        "_tape",
    )

    def __init__(
        self, array: Any, requires_grad: bool = False, *, dtype: Any = None, copy: bool = True
    ) -> None:
        if isinstance(array, Tensor):
            array = array._array
        refuse_kind(type(array))
        data = arrays.array(array, dtype) if copy else asarray(array, dtype)
        if data.dtype.kind not in "biufcmM":
            raise TypeError(
                f"a Tensor holds numbers, got {type(array).__name__}, of which NumPy makes an array of dtype "
                f"{data.dtype}; give numbers, or nested lists of one length each, and join Tensors with np.stack "
                "or np.concatenate"
            )
        if data is array or (issubclass(type(array), ndarray) and data.base is not None):
            # Ours stays writable; the caller's array, whose writes the tape could not see, is held read-only.
            data = data.view()
            self._guard = Guards()
            self._guard.protect(array)
        self._array: ndarray = data
        self._base: Tensor | None = None
        self._key: int | None = None
        self._tape: Autograd | None = None
        self._saved: Any = None
        self._layout = None
        self._grad: Any = None
        self._hooks: list[Callable[[Any], Any]] | None = None
        self._box = data.ndim == 0
        if requires_grad:
            self.requires_grad = True

    _box: bool | None
    _layout: Layout | None
    _offset: int | None
    _region: Region | None

    __dir__ = idioms.names_in

    # -- what it is -----------------------------------------------------------------------------------------

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow through this Tensor's memory."""
        return (self if self._base is None else self._base)._key is not None

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        owner = self if self._base is None else self._base
        if wanted and owner._key is None:
            if self._base is not None:
                raise TapeError("a view cannot become a leaf; set requires_grad on the Tensor that it views")
            if self._array.dtype.kind not in "fc":
                raise TypeError(
                    f"only floating-point and complex Tensors can require gradients, this one is "
                    f"{self._array.dtype}; make it with dtype=float, or convert with .astype(float)"
                )
            gradient_dtype(self._array.dtype)
            owner._key = next_serial()
            owner._box = owner._array.ndim == 0
        elif not wanted and owner._key is not None:
            if owner._tape is not None:
                raise TapeError("this Tensor was computed from ones that require gradients; use .detach()")
            owner._key = None

    @property
    def is_leaf(self) -> bool:
        """Whether the Tensor was made by the user, not by an operation that was recorded."""
        return (self if self._base is None else self._base)._tape is None

    @property
    def tape(self) -> Autograd | None:
        """The tape on which this Tensor's values were recorded."""
        return (self if self._base is None else self._base)._tape

    @property
    def grad(self) -> Any:
        """The gradient, a Tensor, that `backward` has summed up for this leaf; None before."""
        gradient = self._grad
        if gradient is not None and not isinstance(gradient, Tensor):
            # Read-only is what a compiled program will write again.
            gradient = self._grad = wrap(gradient if gradient.flags.writeable else gradient.copy())
        return gradient

    @grad.setter
    def grad(self, value: Any) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                value = Tensor(value)
            if value.shape != self.shape:
                raise ValueError(
                    f"the gradient of a Tensor of shape {self.shape} cannot have shape {value.shape}"
                )
            if value.dtype.kind == "c" and self.dtype.kind != "c":
                raise TypeError(
                    f"the gradient of a {self.dtype} Tensor cannot be {value.dtype}; give its .real"
                )
            if value.dtype.kind not in "fc":
                value = value.astype(self.dtype)
        self._grad = value

    @property
    def shape(self) -> tuple[int, ...]:
        return self._array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._array.dtype

    @property
    def ndim(self) -> int:
        return self._array.ndim

    @property
    def size(self) -> int:
        return self._array.size

    @property
    def nbytes(self) -> int:
        return self._array.nbytes

    @property
    def itemsize(self) -> int:
        return self._array.itemsize

    @property
    def T(self) -> Tensor:
        return self.view_as(self._array.T)

    @property
    def real(self) -> Tensor:
        return self.view_as(self._array.real) if self._array.dtype.kind == "c" else self

    @property
    def imag(self) -> Tensor:
        return (
            self.view_as(self._array.imag)
            if self._array.dtype.kind == "c"
            else wrap(np.zeros_like(self._array))
        )

    # -- its values -----------------------------------------------------------------------------------------

    def numpy(self) -> ndarray:
        """Return the values as an ndarray that shares memory; read-only where a write would escape the tape."""
        view = self._array.view()
        if self.requires_grad or (self if self._base is None else self._base)._saved is not None:
            view.flags.writeable = False
        return view

    def item(self, *index: Any) -> Any:
        """Return one value as a Python number."""
        return self._array.item(*index)

    def tolist(self) -> Any:
        """Return the values as (nested lists of) Python numbers."""
        return self._array.tolist()

    def detach(self) -> Tensor:
        """Return a constant Tensor of the same values, sharing (read-only) memory."""
        view = self._array.view()
        view.flags.writeable = False
        constant = wrap(view)
        owner = self if self._base is None else self._base
        constant._saved = owner._saved if type(owner._saved) is Alias else Alias(owner)
        return constant

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> ndarray:
        if self.requires_grad:
            raise TypeError(
                "this Tensor requires gradients, which an ndarray cannot carry: write np.array([...], like=tensor) "
                "to make an array of Tensors (np.full, too), make the array that receives it a Tensor too "
                "(np.zeros_like(tensor) is one), or take the values with .numpy() or .detach()"
            )
        return np.array(self._array, dtype) if copy or dtype is not None else np.asarray(self.numpy())

    def __float__(self) -> float:
        if self.requires_grad:
            _refuse_store(sys._getframe(1))
        return float(self._array)

    def __int__(self) -> int:
        return int(self._array)

    def __index__(self) -> int:
        return self._array.__index__()

    def __round__(self, digits: int | None = None) -> Any:
        if digits is None:
            return round(self._array.item())
        return np.round(self, digits)

    def __complex__(self) -> complex:
        if self.requires_grad:
            _refuse_store(sys._getframe(1))
        return complex(self._array)

    def __bool__(self) -> bool:
        return bool(self._array)

    def __len__(self) -> int:
        return len(self._array)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self._array)))

    def __contains__(self, value: Any) -> bool:
        return value in self._array

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        text = np.array2string(self._array, separator=", ", prefix="Tensor(")
        dtype = (
            "" if self._array.dtype in (np.float64, np.int64, np.bool_) else f", dtype={self._array.dtype}"
        )
        return f"Tensor({text}{dtype}{', requires_grad=True' if self.requires_grad else ''})"

    def __format__(self, spec: str) -> str:
        if not spec:
            return str(self) if self.ndim else str(self.item())
        if self.size != 1:
            raise TypeError(
                f"a Tensor of shape {self.shape} cannot be formatted as {spec!r}, which is for one number; format its "
                "entries, or print it whole (np.set_printoptions sets its digits)"
            )
        return format(self.item(), spec)

    def __copy__(self) -> Tensor:
        return self.copy("K")

    def __deepcopy__(self, memo: Any) -> Tensor:
        if not self.is_leaf:
            raise TapeError(
                "only leaves can be deep-copied; use .detach() first, or .copy() to stay on the tape"
            )
        place = self._place_in_leaf()
        if place is None:
            twin = again(self._array, self.requires_grad, is_number(self))
        else:
            twin = view_again(*deepcopy(place, memo))
        twin._grad = None if self._grad is None else Tensor(self._grad)
        return twin

    def __reduce__(self) -> Any:
        if not self.is_leaf:
            raise TapeError("only leaves can be pickled; use .detach() first")
        place = self._place_in_leaf()
        if place is None:
            return again, (self._array, self.requires_grad, is_number(self))
        return view_again, place

    def _place_in_leaf(self) -> tuple[Any, ...] | None:
        """Return a leaf, and which part of its memory this view shows; None where a copy of it is alone."""
        if self._base is None or not (self.requires_grad and self.size and self._base._array.flags.forc):
            return None
        offset = address_of(self._array) - address_of(self._base._array)
        return self._base, self.shape, self.dtype, offset, self._array.strides

    if TYPE_CHECKING:  # what `indexing`, `operators`, `methods` and `reverse` give to the class

        def __getattr__(self, name: str) -> Any: ...

        def __getitem__(self, index: Any) -> Tensor: ...
        def __setitem__(self, index: Any, value: Any) -> None: ...
        def copy(self, order: str = "C") -> Tensor: ...
        def view_as(self, array: ndarray) -> Tensor: ...
        def astype(self, dtype: Any, *args: Any, copy: bool = True, **options: Any) -> Tensor: ...
        def backward(self, gradient: Any = None, *, create_graph: bool = False) -> None: ...
        def retain_grad(self) -> None: ...
        def register_hook(self, hook: Callable[[Tensor], Any]) -> Callable[[], None]: ...
        def __add__(self, other: Any) -> Tensor: ...
        def __neg__(self) -> Tensor: ...
        def __lt__(self, other: Any) -> Any: ...
        def __eq__(self, other: object) -> Any: ...
        def __ne__(self, other: object) -> Any: ...

        __radd__ = __iadd__ = __sub__ = __rsub__ = __isub__ = __mul__ = __rmul__ = __imul__ = __add__
        __truediv__ = __rtruediv__ = __itruediv__ = __matmul__ = __rmatmul__ = __imatmul__ = __add__
        __pow__ = __rpow__ = __ipow__ = __mod__ = __rmod__ = __imod__ = __add__
        __pos__ = __abs__ = __neg__
        __le__ = __gt__ = __ge__ = __lt__

    # -- memory -----------------------------------------------------------------------------------------------


OPERANDS = (Tensor, ndarray, np.generic, float, int, complex, list, tuple)  # what operators take


def again(array: ndarray, requires_grad: bool, number: bool) -> Tensor:
    """Return a leaf, or constant, that was copied or pickled."""
    tensor = Tensor(array, requires_grad)
    tensor._box = array.ndim == 0 and not number
    return tensor


def view_again(
    leaf: Tensor, shape: tuple[int, ...], dtype: Any, offset: int, strides: tuple[int, ...]
) -> Tensor:
    """Return the view of a leaf that was copied or pickled: of the copy's memory."""
    data = leaf._array
    rows = data if data.flags.c_contiguous else data.T
    return new_view(leaf, arrays.strided(rows.reshape(-1), shape, dtype, offset, strides))


class Alias(ref[Tensor]):
    """In the place of the tapes that read a memory: the Tensor that can write to it, and is told who reads it."""

    __slots__ = ()


def _refuse_store(frame: FrameType) -> None:
    """Raise if `frame` is at an assignment ``array[i] = tensor``, for which NumPy asks for a mere float."""
    if is_assigning(frame):
        raise TypeError(
            "this Tensor requires gradients, which the plain array that it is assigned to cannot carry: make that "
            "array a Tensor (np.zeros_like(tensor), or mytorch.Tensor(array)), or assign .item()"
        )


def new_tensor(data: ndarray, key: int | None, tape: Autograd | None) -> Tensor:
    """Return a Tensor that owns `data`, without the checks and copies of the constructor."""
    tensor = _make(Tensor)
    tensor._array = data
    tensor._base = tensor._saved = tensor._grad = tensor._hooks = tensor._layout = tensor._box = None
    tensor._key = key
    tensor._tape = tape
    return tensor


_make = Tensor.__new__


def wrap(array: Any) -> Tensor:
    """Return a constant Tensor that shows `array` without a copy."""
    if type(array) is ndarray:
        tensor = new_tensor(array, None, None)
        if array.ndim == 0:
            tensor._box = True
        return tensor
    tensor = new_tensor(as_ndarray(array), None, None)
    tensor._box = isinstance(array, ndarray) and not getattr(array, "is_number", False)
    return tensor


def is_number(tensor: Tensor) -> bool:
    """Say whether NumPy has a number here, which no update changes: ``s += 1`` makes another, and names that.

    An array without axes (`_box`), and a view of a single entry, are updated in place.
    """
    return tensor._array.ndim == 0 and tensor._base is None and not tensor._box


def boxed(twin: Tensor, tensor: Tensor) -> Tensor:
    """Return `twin`, a copy of `tensor`, as an array if that is one, and as a number else."""
    if twin._array.ndim == 0:
        twin._box = not is_number(tensor)
    return twin


def refuse_kind(kind: type) -> None:
    """Raise for a kind of arrays that computes otherwise than an ndarray does, which a Tensor would forget."""
    if kind is Tensor or kind is ndarray or not issubclass(kind, ndarray):
        return
    if issubclass(kind, np.ma.MaskedArray):
        raise TypeError(
            "a Tensor would forget the mask of a masked array; give its values, x.filled(value), and choose with "
            "np.where"
        )
    if issubclass(kind, np.matrix):
        raise TypeError("np.matrix has operators of its own; give np.asarray(matrix), and multiply with @")


def as_ndarray(x: Any) -> Any:
    """Return `x` as an ndarray of no subclass; what only passes for one (to `isinstance`) stays what it is."""
    return asarray(x) if issubclass(type(x), ndarray) or not isinstance(x, ndarray) else x


def new_view(tensor: Tensor, array: ndarray) -> Tensor:
    view = new_tensor(array, None, None)
    view._base = tensor if tensor._base is None else tensor._base
    view._region = view._offset = None
    return view


def target(tensor: Tensor) -> Target | None:
    """Return where on the tape the gradient of `tensor` lies; None for constants and empty views."""
    owner = tensor._base
    if owner is None:
        return tensor._key
    key = owner._key
    if key is None or tensor._array.size == 0:
        return None
    region = tensor._region
    if region is None:
        layout = owner._layout
        if layout is None:
            layout = owner._layout = Layout(owner._array)
        place = _place(tensor, owner, key, layout)
        if isinstance(place, int):
            return place
        region = tensor._region = place
    elif region.key != key:
        region = tensor._region = region.with_key(key)
    return region


def _place(view: Tensor, owner: Tensor, key: int, layout: Layout) -> Target:
    """Return where the gradient of a view goes: `key` if it shows its owner as it is, else a region."""
    array, offset = view._array, view._offset
    if offset is None:
        return target_of(array, owner._array, key, layout)
    if offset == 0 and array.shape == layout.shape and array.strides == layout.strides:
        return key
    return Region(key, layout, array.shape, array.strides, array.dtype, offset + layout.address - layout.low)


def raw(x: Any) -> Any:
    """Return the array of a Tensor, and anything else as it is."""
    return x._array if isinstance(x, Tensor) else x
