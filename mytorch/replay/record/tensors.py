"""Tensors while a call is recorded: reading one gives what stands for its array.

Two slots of the class `Tensor`, the array and the gradient, are replaced by properties for as long as anything is
recorded; outside of that Tensors are as fast as ever.  `TensorRecorder` is the recorder that these ask.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import ref

from numpy import ndarray

from mytorch import arrays
from mytorch.optim.optimizer import Optimizer
from mytorch.regions import owner_of
from mytorch.replay.instructions import ARGUMENT, Value
from mytorch.replay.record.captured import Cell
from mytorch.replay.record.locals import unwatch
from mytorch.replay.record.recorder import Recorder
from mytorch.replay.record.traced import Number, Traced
from mytorch.tensor import Tensor

# The slots themselves, where reading them must not be noticed.
ARRAY: Any = Tensor.__dict__["_array"]
GRAD: Any = Tensor.__dict__["_grad"]
_lock = threading.Lock()
_running = 0


def _array_of(tensor: Tensor) -> Any:
    array = ARRAY.__get__(tensor)
    now = arrays.recording()
    return array if now is None or type(array) is not ndarray else now.array_of(tensor, array)


def _set_array(tensor: Tensor, array: Any) -> None:
    ARRAY.__set__(tensor, array)
    now = arrays.recording()
    if now is not None:
        now.array_set(tensor, array)


def _grad_of(tensor: Tensor) -> Any:
    now = arrays.recording()
    return GRAD.__get__(tensor) if now is None else now.grad_of(tensor)


def _set_grad(tensor: Tensor, gradient: Any) -> None:
    GRAD.__set__(tensor, gradient)
    now = arrays.recording()
    if now is not None:
        now.grad_set(tensor)


def _rate_of(optimizer: Optimizer) -> Any:
    now = arrays.recording()
    if now is not None:
        now.asked.add((id(optimizer), "lr"))
    return vars(optimizer)["lr"]


def _set_rate(optimizer: Optimizer, rate: Any) -> None:
    now = arrays.recording()
    if now is not None:
        now.asked.add((id(optimizer), "lr"))
    vars(optimizer)["lr"] = rate


@contextmanager
def followed() -> Iterator[None]:
    """Within the context, reading a Tensor's array or gradient goes through the recording of the thread, if it has one.

    So does reading or setting the learning rate of an optimizer.  Outside of it Tensors are as fast as ever: nothing
    asks whether something is recorded.
    """
    global _running
    with _lock:
        _running += 1
        if _running == 1:
            _replace_slots(property(_array_of, _set_array), property(_grad_of, _set_grad))
            Optimizer.lr = property(_rate_of, _set_rate)  # type: ignore[assignment]
    try:
        yield
    finally:
        with _lock:
            _running -= 1
            if _running == 0:
                _replace_slots(ARRAY, GRAD)
                delattr(Optimizer, "lr")


def _replace_slots(array: Any, grad: Any) -> None:
    """Put other descriptors in the places of two slots of Tensor."""
    for name, descriptor in (("_array", array), ("_grad", grad)):
        setattr(Tensor, name, descriptor)


def array_of(leaf: Any) -> Any:
    """Return the real array of a Tensor, and anything else as it is."""
    return ARRAY.__get__(leaf) if isinstance(leaf, Tensor) else leaf


class TensorRecorder(Recorder):
    """A recorder that knows of Tensors, and of what lies outside of the function."""

    def __init__(self) -> None:
        super().__init__()
        self.made: dict[int, ref[Tensor]] = {}  # by identity
        self.stand_ins: set[tuple[int, int]] = set()  # identities of cells, and of what is in their place
        self.read: dict[int, tuple[Tensor, Value | None]] = {}
        self.set: dict[int, Tensor] = {}

    def know(self, cells: Sequence[Cell]) -> None:
        """Take note of the arrays that live outside."""
        for cell in cells:
            value = cell.value
            if isinstance(value, Tensor):
                self.names.setdefault(id(value), cell.path)
                self.outside.add(id(owner_of(ARRAY.__get__(value))))
            elif type(value) is ndarray and value.dtype.kind in "biufc":
                self.live(value)
                self.buffer(value).name = self.buffer(value).name or cell.path

    def array_of(self, tensor: Tensor, array: ndarray) -> Any:
        """Return what stands for the array of a Tensor."""
        owner = owner_of(array)
        if not self.knows(owner):
            self.outside.add(id(owner))
            buffer = self.buffer(array)
            buffer.tensors = [tensor if tensor._base is None else tensor._base]
            buffer.name = self.names.get(id(tensor))
        return self.show(array)

    def array_set(self, tensor: Tensor, array: Any) -> None:
        """Note that a Tensor was made."""
        self.made[id(tensor)] = ref(tensor)
        if isinstance(array, Number):  # what a Tensor shows is an array also where it has no axes
            ARRAY.__set__(tensor, self.as_array(array))
        if type(array) is ndarray:
            self.made_inside(array)

    def grad_of(self, tensor: Tensor) -> Any:
        """Return a Tensor's gradient; what it was before the call is an input."""
        gradient = GRAD.__get__(tensor)
        known = id(tensor) in self.set or id(tensor) in self.read or self.has_made(tensor)
        if type(gradient) is ndarray:
            shown = self.show(gradient) if known else self.live(gradient)
            if not known:
                buffer = self.buffer(gradient)
                buffer.kind = ARGUMENT
                self.read[id(tensor)] = tensor, self.value(gradient)
            return shown
        if not known:
            value = None
            if isinstance(gradient, Tensor):
                array = ARRAY.__get__(gradient)
                self.buffer(array).kind = ARGUMENT
                self.outside.add(id(owner_of(array)))
                value = self.value(array)
            self.read[id(tensor)] = tensor, value
        return gradient

    def has_made(self, tensor: Tensor) -> bool:
        """Say whether the function has made a Tensor."""
        made = self.made.get(id(tensor))
        return made is not None and made() is tensor

    def grad_set(self, tensor: Tensor) -> None:
        """Note that a Tensor from outside has another gradient; the others die when the function lets go of them."""
        if not self.has_made(tensor):
            self.set[id(tensor)] = tensor

    def gradients(self) -> tuple[list[tuple[Tensor, Value | None]], list[tuple[Tensor, Value | None]]]:
        """Return what the gradients are now, and what those that were read had been."""
        after = []
        for tensor in self.set.values():
            gradient = GRAD.__get__(tensor)
            array = gradient._array if isinstance(gradient, Tensor) else gradient
            real = array.array if isinstance(array, Traced) else array
            after.append((tensor, None if real is None else self.value(real)))
        return after, list(self.read.values())

    def note_local(self, name: str, value: Any, names: dict[int, str]) -> None:
        """Note in `names` that a local variable holds all of an array's memory, or a Tensor's."""
        array = ARRAY.__get__(value) if type(value) is Tensor else value
        real = array.array if type(array) is Traced else array
        buffer = self.buffer(real) if type(real) is ndarray and self.knows(owner_of(real)) else None
        if buffer is not None and real.nbytes == buffer.nbytes and not name.startswith("."):
            names.setdefault(buffer.number, name)

    def unwatch(self) -> Any:
        """Look at no local variables during a reverse pass, where that must be; return the hook that does."""
        return unwatch()

    def unhook(self, tensor: Tensor) -> None:
        """Give a Tensor its real array, and its gradient a copy."""
        array, gradient = ARRAY.__get__(tensor), tensor._grad
        if isinstance(array, Traced):
            ARRAY.__set__(tensor, array.array)
        if isinstance(gradient, Traced):
            GRAD.__set__(tensor, gradient.array.copy())
