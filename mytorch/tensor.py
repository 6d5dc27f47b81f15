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
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dis import opmap
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import ndarray
from numpy.exceptions import ComplexWarning

from mytorch import arrays
from mytorch.autograd_engine import (
    Autograd,
    Exact,
    Operation,
    TapeError,
    Write,
    caller,
    next_serial,
    sweep,
)
from mytorch.gradient_buffer import (
    Layout,
    Region,
    Shadow,
    Target,
    gradient_dtype,
    key_of,
    memory_name,
    overlaps_itself,
    owner_of,
    target_of,
)
from mytorch.guard import Guards
from mytorch.rules import memory as memory_rules
from mytorch.rules.registry import RULES, Rule

asarray = arrays.asarray
_recording: ContextVar[bool] = ContextVar("mytorch_recording", default=True)
_is_recording = _recording.get
_RARE = frozenset(("_box", "_grad", "_hooks", "_layout", "_offset", "_region"))
ABSENT: dict[
    str, str
] = {}  # attributes that ndarray has and Tensor has not, with the reason (mytorch/methods.py)


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


class Tensor:
    """An array that can be differentiated.

    Parameters
    ----------
    array : array_like, or Tensor
    requires_grad : whether gradients with respect to this Tensor are wanted (floating-point and complex only)
    dtype : as in `numpy.array`
    copy : whether the values are copied (the default), or the array's memory is shared; the array is then
        held read-only for as long as the Tensor lives (see `mytorch.guarded`)

    Attributes
    ----------
    grad : Tensor or None, filled by `backward` for leaves (Tensors that were made with requires_grad)
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
        data = arrays.array(array, dtype) if copy else asarray(array, dtype)
        refuse_kind(type(array))
        if data.dtype == object:
            raise TypeError(
                f"a Tensor holds numbers, got {type(array).__name__} that NumPy makes an object array of; "
                "join Tensors with np.stack or np.concatenate"
            )
        if data is array and data.flags.writeable:
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

    def __getattr__(self, name: str) -> Any:
        if name in _RARE:
            return None  # a slot that was never set
        reason = f": {ABSENT[name]}" if name in ABSENT else ""
        raise AttributeError(f"'Tensor' object has no attribute {name!r}{reason}")

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
                    f"{self._array.dtype}; convert with .astype(float)"
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
                "this Tensor requires gradients, which an ndarray cannot carry: make the array that receives "
                "it a Tensor too (np.zeros_like(tensor) is one), join Tensors with np.stack or np.concatenate "
                "instead of np.array, or take the values with .numpy() or .detach()"
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
        return format(self.item() if self.ndim == 0 else str(self), spec)

    def __copy__(self) -> Tensor:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> Tensor:
        if not self.is_leaf:
            raise TapeError(
                "only leaves can be deep-copied; use .detach() first, or .copy() to stay on the tape"
            )
        twin = Tensor(self._array, requires_grad=self.requires_grad)
        twin._grad = None if self._grad is None else Tensor(self._grad)
        return twin

    def __reduce__(self) -> Any:
        if not self.is_leaf:
            raise TapeError("only leaves can be pickled; use .detach() first")
        return Tensor, (self._array, self.requires_grad)

    if TYPE_CHECKING:  # what `operators`, `methods` and `reverse` give to the class

        def backward(self, gradient: Any = None, *, create_graph: bool = False) -> None: ...
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

    def __getitem__(self, index: Any) -> Tensor:
        """Return ``self[index]``: a view for slices, an operation for arrays and for single entries."""
        if type(index) is slice:
            return _slice(self, index)
        index = _plain(index)
        if _is_basic(index):
            array = self._array[index]
            if type(array) is ndarray or (isinstance(array, ndarray) and array.base is not None):
                shown = self.view_as(array)
                if shown is self:  # of a number, [...] makes an array
                    shown = self.copy()
                    shown._box = True
                return shown
            # One entry is a value, not a view: `old = x[0]; x[0] = 1` keeps `old`, as in NumPy.
            return apply(RULES[memory_rules.copy], (_view(self, self._array[_open_ended(index)]),))
        return apply(RULES[memory_rules.take_at], (self,), {"index": index})

    def __setitem__(self, index: Any, value: Any) -> None:
        """Write `value` to ``self[index]``."""
        index = given = _plain(index)
        refuse_kind(type(value))
        data = (
            arrays.asarray(value) if type(value) in (list, tuple) else raw(value)
        )  # which may fail half-way

        def compute() -> None:
            self._array[given] = data

        if _is_basic(index):
            index = _open_ended(index)
            write(self, index, compute, RULES[memory_rules.assign], (value,))
            return
        static = {"index": index, "kept": _kept_places(self._array.shape, index)}
        write(self, index, compute, RULES[memory_rules.assign_at], (self, value), static)

    def view_as(self, array: ndarray) -> Tensor:
        """Return the Tensor that shows `array`, a view of this Tensor's memory; of a number, which has none, a copy."""
        if is_number(self) and array.flags.writeable:
            return _view_of_number(self, array)
        return _view(self, array)

    def copy(self, order: str = "C") -> Tensor:
        """Return a Tensor of the same values in memory of its own."""
        return _boxed(
            apply(RULES[memory_rules.copy], (self,), None if order == "C" else {"order": order}), self
        )

    def astype(self, dtype: Any, copy: bool = True, **options: Any) -> Tensor:
        """Return the values converted to `dtype`; gradients are converted back."""
        dtype = np.dtype(dtype)
        casting = options.get("casting", "unsafe")
        if casting != "unsafe" and not np.can_cast(self._array.dtype, dtype, casting):
            raise TypeError(
                f"Cannot cast array data from {self._array.dtype!r} to {dtype!r} according to the rule {casting!r}"
            )
        if dtype == self._array.dtype and not copy:
            return self
        if dtype.kind not in "fc":
            return _boxed(wrap(self._array.astype(dtype)), self)
        return _boxed(apply(RULES[memory_rules.cast], (self,), {"dtype": dtype}), self)

    # -- differentiation ----------------------------------------------------------------------------------------

    def retain_grad(self) -> None:
        """Ask that `backward` also fills the `grad` of this Tensor, which is not a leaf.

        If it is written in place, the gradient is that of its last values, as in PyTorch.
        """
        from mytorch.reverse import add_hook

        if not self.is_leaf:
            add_hook(self, Retained(self))

    def register_hook(self, hook: Callable[[Tensor], Any]) -> Callable[[], None]:
        """Call ``hook(gradient)`` whenever a backward pass has this Tensor's gradient; return the remover.

        What the hook returns, unless None, replaces the gradient.
        """
        from mytorch.reverse import add_hook

        return add_hook(self, hook)


class Retained:
    """The hook of `Tensor.retain_grad`."""

    __slots__ = ("tensor",)

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = weakref.ref(tensor)

    def __call__(self, gradient: Any) -> None:
        tensor = self.tensor()
        if tensor is not None:
            if not isinstance(gradient, Tensor):
                gradient = wrap(arrays.array(gradient))
            tensor._grad = gradient if tensor._grad is None else tensor._grad + gradient


def _refuse_store(frame: FrameType) -> None:
    """Raise if `frame` is at an assignment ``array[i] = tensor``, for which NumPy asks for a mere float."""
    if frame.f_code.co_code[frame.f_lasti] == opmap["STORE_SUBSCR"]:
        raise TypeError(
            "this Tensor requires gradients, which the plain array that it is assigned to cannot carry: make that "
            "array a Tensor (np.zeros_like(tensor), or mytorch.Tensor(array)), or assign .item()"
        )


def _new(data: ndarray, key: int | None, tape: Autograd | None) -> Tensor:
    """Return a Tensor that owns `data`, without the checks and copies of the constructor.

    The slots that few Tensors use (`_RARE`) stay unset: see `__getattr__`.
    """
    tensor = _make(Tensor)
    tensor._array = data
    tensor._base = tensor._saved = None
    tensor._key = key
    tensor._tape = tape
    return tensor


_make = Tensor.__new__


def wrap(array: Any) -> Tensor:
    """Return a constant Tensor that shows `array` without a copy."""
    if type(array) is ndarray:
        tensor = _new(array, None, None)
        if array.ndim == 0:
            tensor._box = True
        return tensor
    tensor = _new(as_ndarray(array), None, None)
    tensor._box = isinstance(array, ndarray) and not getattr(array, "is_number", False)
    return tensor


def is_number(tensor: Tensor) -> bool:
    """Say whether NumPy has a number here, which no update changes: ``s += 1`` makes another, and names that.

    An array without axes (`_box`), and a view of a single entry, are updated in place.
    """
    return tensor._array.ndim == 0 and tensor._base is None and not tensor._box


def _view_of_number(number: Tensor, array: ndarray) -> Tensor:
    """Return what NumPy makes of a number where an array would have the view `array`: a number, or new memory."""
    if array.ndim == 0:
        return (
            number
            if array.dtype == number.dtype
            else apply(RULES[memory_rules.copy], (_view(number, array),))
        )
    return _view(twin := apply(RULES[memory_rules.copy], (number,)), twin._array.reshape(array.shape))


def _boxed(twin: Tensor, tensor: Tensor) -> Tensor:
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


def _view(tensor: Tensor, array: ndarray) -> Tensor:
    view = _new(array, None, None)
    view._base = tensor if tensor._base is None else tensor._base
    view._region = view._offset = None
    return view


def _slice(tensor: Tensor, index: slice) -> Tensor:
    """Return ``tensor[index]``, remembering where in its owner the view begins (to ask NumPy later costs more)."""
    data = tensor._array
    view = _view(tensor, data[index])
    offset = 0 if tensor._base is None else tensor._offset
    if offset is not None:
        view._offset = offset + index.indices(len(data))[0] * data.strides[0]
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


# -- recording ----------------------------------------------------------------------------------------------------


def link(a: Autograd, b: Autograd) -> Autograd:
    """Join two tapes and return the younger, of which the older is now a parent (so there are no cycles)."""
    young, old = (a, b) if a.serial > b.serial else (b, a)
    if young.parents is None:
        young.parents = [old]
    elif not any(parent is old for parent in young.parents):
        young.parents.append(old)
    return young


class Alias(weakref.ref[Tensor]):
    """In the place of the tapes that read a memory: the Tensor that can write to it, and is told who reads it."""

    __slots__ = ()


def note_saved(owner: Tensor, tape: Autograd) -> None:
    """Remember that `tape` will read the values in the memory of `owner`."""
    ref = tape.ref
    saved = owner._saved
    if type(saved) is Alias:
        writer = saved()
        if writer is not None:
            note_saved(writer, tape)
        return
    if saved is None or (type(saved) is not list and (saved is ref or saved() is None)):
        owner._saved = ref
        return
    alive = [r for r in (saved if type(saved) is list else [saved]) if r is not None and r is not ref and r()]
    owner._saved = [*alive, ref] if alive else ref


def savers(owner: Tensor) -> list[Autograd]:
    """Return the living tapes that read the values in the memory of `owner`."""
    saved = owner._saved
    if saved is None:
        return []
    if type(saved) is Alias:
        writer = saved()
        return [] if writer is None else savers(writer)
    if type(saved) is not list:
        tape = saved()
        return [] if tape is None else [tape]
    return [tape for r in saved if (tape := r()) is not None]


def record(rule: Rule, y: Any, operands: tuple[Any, ...], static: dict[str, Any] | None = None) -> Tensor:
    """Return the Tensor of `y`, computed from `operands`, recorded when an operand is differentiable."""
    if type(y) is not ndarray:
        y = as_ndarray(y)
    if not _is_recording() or y.dtype.kind not in "fc":
        return _new(y, None, None)
    targets, tape, mask = _targets(operands)
    if tape is None:
        return _new(y, None, None)
    inputs, reads_output = _kept(rule, operands, mask, tape)
    output = y if reads_output else None
    serial = next_serial()
    code, lasti = caller(3)
    operation: Any
    if static or not _is_exact(rule, y, operands, targets):
        metas = _metas(operands) if rule.always_fit or _differ(operands, y, rule.elementwise) else None
        operation = Operation(
            inputs, output, None, rule, targets, serial, metas, static or {}, serial, code, lasti
        )
    else:
        operation = Exact()
        operation.rule, operation.output = rule, output
        operation.serial, operation.code, operation.lasti = serial, code, lasti
        operation.a, operation.target_a = inputs[0], targets[0]
        if len(targets) > 1:
            operation.b, operation.target_b = inputs[1], targets[1]
            if len(targets) > 2:
                operation.c, operation.target_c = inputs[2], targets[2]
    tape.operation_list.append(operation)
    result = _new(y, serial, tape)
    if reads_output:
        result._saved = tape.ref
    return result


def _targets(operands: tuple[Any, ...]) -> tuple[tuple[Any, ...], Autograd | None, int]:
    """Return where gradients of operands go, the tape to record on (None: nothing to record), and which are wanted.

    The last is a set of bits: the first operand's is 1.
    """
    targets: list[Target | None] = []
    tape: Autograd | None = None
    leaves: list[Tensor] | None = None
    mask, bit = 0, 1
    for x in operands:
        place: Target | None = None
        if isinstance(x, Tensor):
            owner = x._base
            if owner is None:
                owner, place = x, x._key
            elif owner._key is not None:
                place = target(x)
            if place is not None:
                mask += bit
                other = owner._tape
                if other is None:
                    if leaves is None:
                        leaves = [owner]
                    else:
                        leaves.append(owner)
                elif tape is None:
                    tape = other
                elif tape is not other:
                    tape = link(tape, other)
        targets.append(place)
        bit += bit
    if leaves is not None:
        if tape is None:
            tape = Autograd()
        known = tape.leaves
        for leaf in leaves:
            known[leaf._key] = leaf  # type: ignore[index]
    return tuple(targets), tape, mask


def _kept(rule: Rule, operands: tuple[Any, ...], mask: int, tape: Autograd) -> tuple[tuple[Any, ...], bool]:
    """Return the arrays that the wanted formulas read (None for others), and whether they read the output."""
    if rule.vjp_each is not None:
        if not rule.reads_all:
            return (None,) * len(operands), rule.reads_output
        return tuple(_hold(x, tape) for x in operands), rule.reads_output
    reads, reads_output = rule.needs[mask]
    inputs: list[Any] = [None] * len(operands)
    for i in reads:
        inputs[i] = _hold(operands[i], tape)
    return tuple(inputs), reads_output


def _hold(x: Any, tape: Autograd) -> Any:
    """Return the array of an operand that a rule will read, protected from unseen writes."""
    if isinstance(x, Tensor):
        owner = x if x._base is None else x._base
        if owner._saved is None:
            owner._saved = tape.ref
        elif owner._saved is not tape.ref:
            note_saved(owner, tape)
        return x._array
    if (type(x) is ndarray or hasattr(type(x), "stands_for_array")) and id(x) not in tape.guards.seen:
        tape.protect(x)
    return x


def _is_exact(rule: Rule, y: ndarray, operands: tuple[Any, ...], targets: tuple[Any, ...]) -> bool:
    """Say whether the gradients that are wanted come as their memories are: whole, and of the output's dtype."""
    if rule.pull is None:
        return False
    dtype = y.dtype
    for x, place in zip(operands, targets, strict=True):
        if place is not None:
            a = x._array
            if a.dtype is not dtype or type(place) is Region or (rule.elementwise and a.shape != y.shape):
                return False
    return True


def _differ(operands: tuple[Any, ...], y: ndarray, elementwise: bool) -> bool:
    """Say whether a Tensor's dtype (of an elementwise function: or shape) is not the output's."""
    dtype = y.dtype
    for x in operands:
        if isinstance(x, Tensor):
            a = x._array
            if a.dtype is not dtype or (elementwise and a.shape != y.shape):
                return True
    return False


def _metas(operands: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return per operand the shape and dtype that its gradient must have (no dtype: any)."""
    return tuple(
        [
            (x._array.shape, gradient_dtype(x._array.dtype)) if isinstance(x, Tensor) else (np.shape(x), None)
            for x in operands
        ]
    )


def raw(x: Any) -> Any:
    """Return the array of a Tensor, and anything else as it is."""
    return x._array if isinstance(x, Tensor) else x


def apply(rule: Rule, operands: tuple[Any, ...], static: dict[str, Any] | None = None) -> Tensor:
    """Compute ``rule.function`` on `operands` and record it."""
    y = rule.function(*[x._array if isinstance(x, Tensor) else x for x in operands], **(static or {}))
    return record(rule, y, operands, static)


# -- writing --------------------------------------------------------------------------------------------------------


def write(
    destination: Tensor,
    index: Any,
    compute: Callable[[], None],
    rule: Rule,
    operands: tuple[Any, ...],
    static: dict[str, Any] | None = None,
) -> None:
    """Run `compute`, which writes ``destination._array[index]``, and record it as an operation on that memory."""
    owner = destination if destination._base is None else destination._base
    owners = [(x if x._base is None else x._base) for x in operands if isinstance(x, Tensor)]
    tracked = [o for o in owners if o._key is not None]
    if not _is_recording() or (not tracked and owner._key is None):
        _write_unrecorded(destination, owner, index, compute)
        return
    if owner._key is not None and owner._tape is None:
        raise TapeError(
            "a leaf that requires gradients cannot be changed in place while recording: its old value would be "
            "lost to its own gradient. Update it inside `with mytorch.no_grad():`, or work on a .copy()"
        )
    if destination._array.dtype.kind not in "fc":
        raise TypeError(
            f"a differentiable value cannot be written into a Tensor of dtype {destination._array.dtype}: "
            "its gradient would be lost; make the destination floating-point"
        )
    if np.size(destination._array[index]) == 0:
        compute()  # checks the shapes, and changes nothing
        return
    place = _view(destination, destination._array[index]) if _is_basic(index) else destination
    if destination._base is not None:
        refuse_overlap(place._array)
    targets, tape, mask = _targets((*operands, destination))
    if tape is None:  # what is differentiable is empty
        _write_unrecorded(destination, owner, index, compute)
        return
    serial = next_serial()
    code, lasti = caller()
    inputs, reads_output = _kept(rule, operands, mask & ((1 << len(operands)) - 1), tape)
    metas = _metas(operands)
    record = Write(inputs, None, None, rule, targets[:-1], None, metas, static or {}, serial, code, lasti)
    before = savers(owner)
    old = arrays.array(destination._array[index]) if before else None
    others = [other for other in before if other is not tape]
    former, previous = owner._tape, owner._key
    failure = _after(compute)
    if reads_output:
        record.output = arrays.array(destination._array)
    record.place(previous, destination._array, index, old)
    owner._key, owner._tape = serial, tape
    if former is not None and former.hooks is not None:
        _move_retained(former.hooks.get(previous, []), tape, serial)  # type: ignore[arg-type]
    record.target = target(place)
    tape.operation_list.append(record)
    _keep_old(others, destination._array, index, old)
    if failure is not None:
        raise failure


def refuse_overlap(array: ndarray) -> None:
    """Raise if entries of `array`, which is to be written, share memory with each other."""
    if overlaps_itself(array) and array.flags.writeable:
        raise ValueError(
            f"entries of this view of shape {array.shape} and strides {array.strides} share memory, so which of the "
            "values that are written to it stay is not defined; write to the array that it shows, or to a copy"
        )


def _after(compute: Callable[[], None]) -> Exception | None:
    """Run a write; return the error that NumPy raises after it has written, which is to be raised later."""
    try:
        compute()
    except (FloatingPointError, RuntimeWarning) as error:
        if isinstance(error, ComplexWarning):  # which comes before
            raise
        return error
    return None


def _move_retained(hooks: list[Callable[[Any], Any]], tape: Autograd, key: int) -> None:
    """Move what `Tensor.retain_grad` asked for from the `hooks` of a memory to those of its new name."""
    retained = [hook for hook in hooks if type(hook) is Retained]
    if retained:
        hooks[:] = [hook for hook in hooks if type(hook) is not Retained]
        tape.hooks = tape.hooks or {}
        tape.hooks.setdefault(key, []).extend(retained)


def _write_unrecorded(destination: Tensor, owner: Tensor, index: Any, compute: Callable[[], None]) -> None:
    """Write memory without a gradient; tapes that read its values keep the old ones, or learn that they are gone."""
    readers = savers(owner)
    if not readers:
        compute()
        return
    if owner._key is not None and owner._tape is None:
        # A parameter that is stepped: to keep every old value would cost as much as the step.
        failure = _after(compute)
        note_changed([owner])
    else:
        old = arrays.array(destination._array[index])
        failure = _after(compute)
        _keep_old(readers, destination._array, index, old)
    if failure is not None:
        raise failure


def update(parameter: Tensor, change: Callable[..., None], *arguments: Any) -> None:
    """Run ``change(array, *arguments)``, which changes a parameter's array in place, unrecorded."""
    owner = parameter if parameter._base is None else parameter._base
    _write_unrecorded(parameter, owner, ..., lambda: change(parameter._array, *arguments))


def note_changed(leaves: list[Tensor]) -> None:
    """Tell the tapes that read the values of `leaves` that they are gone."""
    moment: tuple[int, CodeType, int] | None = None
    for leaf in leaves:
        saved = leaf._saved
        for tape in savers(leaf) if type(saved) is list or type(saved) is Alias else (saved and saved(),):
            if tape is None:
                continue
            if moment is None:
                moment = (next_serial(), *caller())
            if tape.stale is None:
                tape.stale = {}
            tape.stale[memory_name(leaf._array)] = moment


def before_unseen_write(tensor: Tensor) -> bool:
    """Tell the tapes that read the values of `tensor` that they are about to change; False where that is not enough."""
    readers = savers(tensor)
    if not readers:
        tensor._saved = None
        return True
    if tensor._key is None or tensor._tape is not None:
        return False
    code, lasti = caller()
    for tape in readers:
        tape.stale = {**(tape.stale or {}), memory_name(tensor._array): (next_serial(), code, lasti)}
    return True


def _keep_old(tapes: list[Autograd], array: ndarray, index: Any, old: ndarray | None) -> None:
    """Tell tapes that read the memory of a write that is not theirs, with the values that it destroyed."""
    code, lasti = caller()
    for tape in tapes:
        note = Write((), None, None, None, (), None, None, None, next_serial(), code, lasti)
        tape.operation_list.append(note.place(None, array, index, None if old is None else old.copy()))


def _is_basic(index: Any) -> bool:
    """Say whether indexing with `index` gives a view."""
    if type(index) is not tuple:
        index = (index,)
    return all(
        i is None
        or i is Ellipsis
        or isinstance(i, slice)
        or (isinstance(i, int | np.integer) and type(i) is not bool)
        for i in index
    )


def _open_ended(index: Any) -> tuple[Any, ...]:
    """Return a basic index that gives a view also where it names a single entry."""
    index = index if type(index) is tuple else (index,)
    return index if any(i is Ellipsis for i in index) else (*index, Ellipsis)


def _plain(index: Any) -> Any:
    """Return an index with Tensors and lists as arrays; a copy, so that nobody changes what the tape reads."""
    if isinstance(index, tuple):
        return tuple(_plain(i) for i in index)
    if isinstance(index, Tensor):
        return index._array.copy()
    return arrays.array(index) if isinstance(index, list | ndarray) else index


def _kept_places(shape: tuple[int, ...], index: Any) -> ndarray | None:
    """Return which places of an indexed value stay when ``array[index] = value`` names some twice (None: all)."""
    places = arrays.lifted(np.arange(np.prod(shape, dtype=int)).reshape(shape))[index]
    order = np.arange(places.size).reshape(places.shape)
    winner = arrays.zeros(shape, int)
    winner[index] = order
    kept = winner[index] == order
    return None if kept.all() else kept


# -- raw arrays on a hand-driven tape -------------------------------------------------------------------------------


def on_tape(
    tape: Autograd,
    compute: Callable[..., Tensor],
    inputs: tuple[ndarray, ...],
    external: dict[str, tuple[ndarray, ndarray]],
) -> ndarray:
    """Run `compute`, written in Tensors, on raw arrays; record it on `tape`; return its value as a raw array.

    `external` holds, by name, parameters with the arrays that their gradients are added to.
    """
    known, start = tape.known, len(tape.operation_list)
    shown = [show(tape, x) for x in inputs]
    parameters = {name: show(tape, array, gradient) for name, (array, gradient) in external.items()}
    result = compute(*shown, **parameters)
    known.adopt(result._array, (result if result._base is None else result._base)._key)
    for operation in tape.operation_list[start:]:
        for array in (*operation.inputs, operation.output):
            # What nobody else has needs no protection; what a recording stands behind may be known by another name.
            if isinstance(array, ndarray) and (type(array) is not ndarray or known.buffer.holds(array)):
                tape.protect(array)
    return result._array


def show(tape: Autograd, array: ndarray, gradient: ndarray | None = None) -> Tensor:
    """Return the Tensor that shows a raw array as memory that `tape` knows."""
    place = tape.known.input_target(array, gradient)
    if place is None:
        return wrap(array)
    if isinstance(place, int):
        return _new(array, place, tape)
    part = _view(_new(owner_of(array), key_of(place), tape), array)
    part._region = place
    return part


__all__ = ["Shadow", "Tensor", "apply", "enable_grad", "no_grad", "record", "sweep", "wrap", "write"]
