"""One recorded call: run a function on what stands for its arguments, and keep what is needed to run it again."""

from __future__ import annotations

import threading
import time
import types
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np
from numpy import ndarray

from mytorch import arrays, trees
from mytorch.autograd_engine import _PACKAGE
from mytorch.gradient_buffer import owner_of
from mytorch.optim.optimizer import Optimizer
from mytorch.replay.captured import GENERATORS, PLAIN, Cell, captured, is_followed
from mytorch.replay.containers import Containers
from mytorch.replay.errors import note
from mytorch.replay.impure import Passing, noticed, watched
from mytorch.replay.instructions import ARGUMENT, OUTSIDE, Buffer, Instruction, Value, name_of
from mytorch.replay.locals import watching
from mytorch.replay.making import PLACES, maker
from mytorch.replay.packing import pack
from mytorch.replay.recorder import Recorder, ReplayError, Weak
from mytorch.replay.traced import Number, Traced
from mytorch.tensor import Tensor, wrap


class Leaf:
    """A part of the result: how a replay makes it.

    `kind` is "array", "number" or "plain" (a number of Python's; of the Value `what`), "tensor", or "constant" (`what`
    itself).
    """

    __slots__ = ("kind", "what")

    def __init__(self, kind: str, what: Any) -> None:
        self.kind, self.what = kind, what


class Recording:
    """What a call of a function did.

    Attributes
    ----------
    instructions : list of Instruction
    arguments : per array argument (its leaf's number), its Buffer
    before : per Tensor whose `grad` was read before it was set, what it was (a Value, or None)
    after : per Tensor whose `grad` was set, what it is now (a Value, or None)
    structure, leaves : the result
    cells : what must be as it was
    changed : what the call changed
    outside : identities of the owners of the memory outside of the function that it read or wrote
    once : why the call cannot be replayed (None: it can)
    catches : whether the function may go on after an error
    made : what it returned that no replay can make anew (None: nothing)
    """

    def __init__(self) -> None:
        self.instructions: list[Instruction] = []
        self.arguments: dict[int, Buffer] = {}
        self.before: list[tuple[Tensor, Value | None]] = []
        self.after: list[tuple[Tensor, Value | None]] = []
        self.structure: trees.Structure
        self.leaves: list[Leaf] = []
        self.cells: list[Cell] = []
        self.changed: list[Cell] = []
        self.once: str | None = None
        self.kinds: list[tuple[Cell, type]] = []  # of what is replaced, the types
        self.excuse: str | None = None  # why no call can be replayed
        self.made: str | None = None
        self.catches = False
        self.same: list[tuple[int, Any]] = []  # arguments that are also taken from outside
        self.twins: dict[
            int, int
        ] = {}  # by the number of an argument, that of an earlier one that is the same array
        self.tensors: dict[int, int] = {}  # by the identity of a Tensor among the arguments, its number
        self.assigned: list[tuple[Cell, Leaf]] = []  # places outside that the call gave computed values
        self.outside: set[int] = set()  # identities of the owners of memory outside that is read or written
        self.seconds = 0.0  # that it took
        self.function: Callable[..., Any]
        self.structure_given: trees.Structure  # of the arguments
        self.given: list[Any] = []  # the arguments' leaves, None for arrays
        self.paths: dict[int, list[str]] = {}  # by the identity of what lies outside, where it is found
        self.local_names: dict[int, str] = {}  # per memory's number, a local variable that held it


def record(
    function: Callable[..., Any], leaves: list[Any], structure: trees.Structure, call: Any
) -> tuple[Any, Recording]:
    """Call a function, and return its result and the recording.

    `leaves` and `structure` are those of `call`, its ``(args, kwargs)``.
    """
    start = time.perf_counter()
    recording, recorder = Recording(), _TensorRecorder()
    objects = {
        f"argument {i}": leaf
        for i, leaf in enumerate(leaves)
        if not isinstance(leaf, _VALUES) or (type(leaf) is ndarray and not is_followed(leaf))
    }
    for optimizer in [c.value for c in captured(function, objects)[0] if isinstance(c.value, Optimizer)]:
        pack(optimizer)
    cells, recording.catches, recorder.excuse = captured(function, objects)
    recorder.know(cells)
    recording.function, recording.structure_given = function, structure
    recording.given = [None if isinstance(leaf, Tensor | ndarray | np.generic) else leaf for leaf in leaves]
    for cell in cells:
        if cell.kind != "fixed":
            recording.paths.setdefault(id(cell.value), []).append(cell.path)
    given = _all_given(leaves, recorder, recording)
    containers = Containers(call, given, _shown)
    args, kwargs = containers.copied
    with containers.settled(), _hooks(), recorder.running(cells):
        try:
            with watching(lambda name, value: recorder.note_local(name, value, recording.local_names)):
                result = function(*args, **kwargs)
        except Exception as error:
            changed = {
                o.buffer.name for i in recorder.instructions for o in i.outs if o.buffer.kind == OUTSIDE
            }
            if changed:
                names = ", ".join(sorted(name or "memory outside" for name in changed))
                note(recorder.refused or error, f"(changed before the error, and not put back: {names})")
            raise
        found, recording.structure = trees.flatten(result)
        found = [x._generator if type(x) is Generator else x for x in found]
        found = [x._iterator if isinstance(x, Passing) else x for x in found]
        recording.leaves = [_leaf(x, recorder) for x in found]
        fetched = {(id(owner), name) for owner, name in recorder.fetched} - recorder.asked
        recording.made = _made(found, leaves, cells)
        after, before = recorder.gradients()
        recording.assigned, recording.changed = _changes(cells, recorder, given, found)
    if containers.changed:
        recording.changed.append(Cell("fixed", {}, 0, None, "a list or dict among its arguments"))
    recording.kinds = [(cell, type(cell.value)) for cell, _ in recording.assigned]
    recording.after, recording.before = after, before
    recording.instructions, recording.once = recorder.instructions, recorder.once
    recording.excuse = recorder.excuse or recorder.shared()
    recording.cells = [
        cell
        for cell in cells
        if cell.holds and (id(cell.container), cell.key) not in fetched and _can_change(cell)
    ]
    recording.outside = {id(b.owner) for b in recorder.memories if b.kind == OUTSIDE}
    for i, buffer in recording.arguments.items():
        if buffer.writes and type(leaves[i]) is ndarray:
            np.copyto(leaves[i], buffer.owner)
        buffer.forget()
    shown = [_shown(x) for x in found]
    recording.seconds = time.perf_counter() - start
    return recording.structure.unflatten(shown), recording


def _is_of_user(error: Exception) -> bool:
    """Say whether an error was raised in the user's own line, by what is no part of the recording."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last is not None and not last.tb_frame.f_code.co_filename.startswith(_PACKAGE)


_VALUES = (Tensor, ndarray, np.generic, *PLAIN)
_CONSTANTS = (
    *_VALUES,
    Traced,
    type,
    np.dtype,
    np.ufunc,
    Enum,
    range,
    types.EllipsisType,
    types.BuiltinFunctionType,
)


def _can_change(cell: Cell) -> bool:
    if cell.kind == "fixed":
        return any(x is not None for x in (cell.size, cell.keys, cell.copy))
    return not isinstance(cell.container, tuple | types.MethodType)


def _changes(
    cells: Sequence[Cell], recorder: _TensorRecorder, given: list[Any], found: list[Any]
) -> tuple[list[tuple[Cell, Leaf]], list[Cell]]:
    """Return the places outside that the call gave computed values, and those that it changed otherwise."""
    assigned, changed = [], []
    for cell in cells:
        now = cell.read()
        shown = isinstance(now, Traced) and now.array is cell.value
        if cell.holds or shown or (id(cell), id(now)) in recorder.stand_ins:
            continue
        position = next((i for i, x in enumerate(given) if x is now), None)
        if cell.kind == "names":
            recorder.once = f"it gave {cell.path} a new attribute"
        elif (
            cell.kind == "fixed"
            or isinstance(now, PLAIN)
            or not (position is not None or isinstance(now, Tensor | Traced))
        ):
            changed.append(cell)
        elif not isinstance(cell.value, Tensor) and not is_followed(cell.value):
            recorder.once = f"it gave {cell.path} its first array"
        elif _was_read(cell.value, recorder, found) or (position is None and _is_old(now, recorder)):
            changed.append(cell)
        else:
            assigned.append((cell, _leaf(now, recorder) if position is None else Leaf("argument", position)))
    return assigned, changed


def _settle(cell: Cell) -> None:
    """Leave nothing behind, in a place outside, that only stands for an array."""
    now = cell.read()
    if isinstance(now, Traced):
        cell.write(now.array.copy())
    entries: Any = vars(cell.container) if cell.kind == "names" else now
    if isinstance(entries, dict):
        entries.update({key: x.array.copy() for key, x in entries.items() if isinstance(x, Traced)})
    elif isinstance(entries, list | deque):
        for i, x in enumerate(entries):
            if isinstance(x, Traced):
                entries[i] = x.array.copy()


def _was_read(old: Any, recorder: _TensorRecorder, found: list[Any]) -> bool:
    """Say whether the call read an array that it then replaced: a later call would read the one in its place."""
    buffer = recorder.buffers.get(id(owner_of(_real(old))))
    if buffer is None:
        return False
    results = [recorder.value(x.array) for x in found if isinstance(x, Traced)]
    results += [recorder.value(x.array) for x in map(_real, found) if isinstance(x, Traced)]
    return any(value.buffer is buffer for value in results) or any(
        value.buffer is buffer for instruction in recorder.instructions for value in instruction.reads
    )


def _is_old(now: Any, recorder: _TensorRecorder) -> bool:
    """Say whether what stands at a place now had been outside before."""
    if isinstance(now, Tensor) and not recorder.has_made(now):
        return True
    real = _real(now)
    return recorder.value(real.array if isinstance(real, Traced) else real).buffer.kind == OUTSIDE


def _all_given(leaves: list[Any], recorder: Recorder, recording: Recording) -> list[Any]:
    """Return what the function is given for the leaves of its arguments; an array that is there twice is one."""
    known: dict[int, Any] = {}
    given = []
    for i, leaf in enumerate(leaves):
        shown = known.get(id(leaf))
        if shown is None:
            shown = _given(leaf, i, recorder, recording)
        else:
            recording.twins[i] = next(j for j, other in enumerate(leaves) if other is leaf)
        if isinstance(leaf, Tensor | ndarray):
            known[id(leaf)] = shown
        given.append(shown)
    return given


def _given(leaf: Any, i: int, recorder: Recorder, recording: Recording) -> Any:
    """Return what the function is given for a leaf of its arguments."""
    if isinstance(leaf, Tensor | ndarray) and id(owner_of(_real(leaf))) in recorder.outside:
        recording.same.append((i, leaf))  # the function knows it by another name, too
        return leaf if isinstance(leaf, Tensor) else recorder.show(leaf)
    if isinstance(leaf, Tensor):
        array = _SLOT.__get__(leaf)
        recording.tensors[id(leaf)] = i
        recording.arguments[i] = recorder.buffer(array, ARGUMENT)
        recorder.outside.add(id(owner_of(array)))
        return leaf
    if type(leaf) is ndarray and leaf.dtype.kind in "biufc":
        # A copy: memory of its own, so that nothing else can be meant by it.
        # Its axes lie as those of what NumPy computes from the array.
        own = np.empty_like(np.equal(leaf, leaf), leaf.dtype)
        np.copyto(own, leaf)
        own.flags.writeable = leaf.flags.writeable
        recording.arguments[i] = recorder.buffer(own, ARGUMENT)
        return recorder.show(own)
    if isinstance(leaf, np.generic) and leaf.dtype.kind in "biufc":
        own = np.array(leaf)
        recording.arguments[i] = recorder.buffer(own, ARGUMENT)
        return recorder.show(own)
    if isinstance(leaf, GENERATORS):
        return Generator(leaf, recorder)
    return noticed(Cell("fixed", {}, i, leaf, f"argument {i}"), recorder)


def _real(leaf: Any) -> Any:
    return _SLOT.__get__(leaf) if isinstance(leaf, Tensor) else leaf


def overlap(leaves: Sequence[Any]) -> bool:
    """Say whether two arrays among the leaves share memory, and are not one."""
    found = [
        _real(x) for x in {id(leaf): leaf for leaf in leaves if isinstance(leaf, Tensor | ndarray)}.values()
    ]
    return any(np.may_share_memory(a, b) for i, a in enumerate(found) for b in found[:i])


def _leaf(x: Any, recorder: Recorder) -> Leaf:
    """Return how a part of the result is made."""
    if isinstance(x, Tensor):
        return Leaf("tensor", recorder.value(arrays.settled(x._array)))
    if isinstance(x, Traced):
        kind = "plain" if type(x) is Weak else "number" if type(x) is Number else "array"
        return Leaf(kind, recorder.value(x.array))
    if type(x) is ndarray:
        return Leaf("array", recorder.value(x))
    return Leaf("constant", x)


def _made(found: list[Any], leaves: list[Any], cells: Sequence[Cell]) -> str | None:
    """Return what is among the results and is neither an array, nor a constant, nor was there before the call."""
    known = {id(x) for x in leaves} | {id(cell.value) for cell in cells}
    new = [x for x in found if not isinstance(x, _CONSTANTS) and id(x) not in known]
    return f"a {type(new[0]).__name__}" if new else None


def _shown(x: Any) -> Any:
    """Return a part of the result of the recorded call itself."""
    if isinstance(x, Tensor):
        return wrap(np.array(arrays.settled(x._array)))
    if isinstance(x, Number):
        return x.array.item() if type(x) is Weak else x.array[()]
    if isinstance(x, Traced):
        return x.array.copy()
    return x.copy() if type(x) is ndarray else x


# -- Tensors, whose arrays are shown to a recording as Traced ones --------------------------------------------------

_SLOT: Any = Tensor.__dict__["_array"]
_GRAD: Any = Tensor.__dict__["_grad"]
_lock = threading.Lock()
_running = 0


def _array_of(tensor: Tensor) -> Any:
    array = _SLOT.__get__(tensor)
    now = arrays.recording()
    return array if now is None or type(array) is not ndarray else now.array_of(tensor, array)


def _set_array(tensor: Tensor, array: Any) -> None:
    _SLOT.__set__(tensor, array)
    now = arrays.recording()
    if now is not None:
        now.array_set(tensor, array)


def _grad_of(tensor: Tensor) -> Any:
    now = arrays.recording()
    return _GRAD.__get__(tensor) if now is None else now.grad_of(tensor)


def _set_grad(tensor: Tensor, gradient: Any) -> None:
    _GRAD.__set__(tensor, gradient)
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
def _hooks() -> Iterator[None]:
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
                _replace_slots(_SLOT, _GRAD)
                delattr(Optimizer, "lr")


def _replace_slots(array: Any, grad: Any) -> None:
    """Put other descriptors in the places of two slots of Tensor."""
    for name, descriptor in (("_array", array), ("_grad", grad)):
        setattr(Tensor, name, descriptor)


class _TensorRecorder(Recorder):
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
                self.outside.add(id(owner_of(_SLOT.__get__(value))))
            elif type(value) is ndarray and value.dtype.kind in "biufc":
                self.live(value)
                self.buffer(value).name = self.buffer(value).name or cell.path

    @contextmanager
    def running(self, cells: Sequence[Cell]) -> Iterator[None]:
        """Within the context, this recorder records what the thread does."""
        token = arrays._recording.set(self)
        patched = _patch(cells, self)
        self.stand_ins = {(id(cell), id(shown)) for cell, shown in patched}
        try:
            with watched(cells, self):
                yield
        except Exception as error:
            if self.refused is not None:  # NumPy may have other words for it
                raise self.refused from None
            if isinstance(error, ValueError) and "read-only" in str(error) and _is_of_user(error):
                raise ReplayError(
                    f"{error}: mytorch.compile holds plain arrays that the function takes from outside, or has "
                    "computed with, read-only, because a replay would not repeat a write to them; make it a Tensor, "
                    "pass it as an argument, or make it in the function with np.zeros, np.empty or np.array"
                ) from error
            raise
        else:
            if self.refused is not None:
                raise self.refused
        finally:
            for cell, shown in patched:
                if cell.read() is shown:
                    cell.write(cell.value)
            for cell in cells:
                _settle(cell)
            arrays._recording.reset(token)
            self.close()
            for made in [*self.made.values(), *[ref(tensor) for tensor in self.set.values()]]:
                tensor = made()
                if tensor is not None:
                    self.unhook(tensor)

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
            _SLOT.__set__(tensor, self.as_array(array))
        if type(array) is ndarray:
            self.made_inside(array)

    def grad_of(self, tensor: Tensor) -> Any:
        """Return a Tensor's gradient; what it was before the call is an input."""
        gradient = _GRAD.__get__(tensor)
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
                array = _SLOT.__get__(gradient)
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
            gradient = _GRAD.__get__(tensor)
            array = gradient._array if isinstance(gradient, Tensor) else gradient
            real = array.array if isinstance(array, Traced) else array
            after.append((tensor, None if real is None else self.value(real)))
        return after, list(self.read.values())

    def note_local(self, name: str, value: Any, names: dict[int, str]) -> None:
        """Note that a local variable holds an array, or a Tensor."""
        array = _SLOT.__get__(value) if type(value) is Tensor else value
        real = array.array if type(array) is Traced else array
        buffer = self.buffer(real) if type(real) is ndarray and self.knows(owner_of(real)) else None
        if buffer is not None and not name.startswith("."):
            names.setdefault(buffer.number, name)

    def unhook(self, tensor: Tensor) -> None:
        """Give a Tensor its real array, and its gradient a copy."""
        array, gradient = _SLOT.__get__(tensor), tensor._grad
        if isinstance(array, Traced):
            _SLOT.__set__(tensor, array.array)
        if isinstance(gradient, Traced):
            _GRAD.__set__(tensor, gradient.array.copy())


# -- random numbers ---------------------------------------------------------------------------------------------


class Generator:
    """A random generator whose draws are recorded: a replay draws anew."""

    def __init__(self, generator: Any, recorder: Recorder) -> None:
        self._generator, self._recorder = generator, recorder

    if not TYPE_CHECKING:

        @property
        def __class__(self) -> Any:  # `isinstance` asks this
            return type(self._generator)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(f"{type(self._generator).__name__!r} object has no attribute {name!r}")
        if name in ("bit_generator", "_bit_generator"):
            self._recorder.excuse = "uses the bit generator of a random generator"
        member = getattr(self._generator, name)
        return _drawing(member, self._recorder) if callable(member) else member

    def __reduce__(self) -> Any:
        self._recorder.excuse = "copies a random generator"
        return self._generator.__reduce__()


def _default_rng(seed: Any = None) -> Any:
    """Stand for `np.random.default_rng`, which gives back a generator that it is given."""
    return seed if type(seed) is Generator else _DEFAULT_RNG(seed)


def _drawing(method: Callable[..., Any], recorder: Recorder) -> Callable[..., Any]:
    """Return a method of a generator that notes what it draws."""

    def draw(*args: Any, **kwargs: Any) -> Any:
        if arrays.recording() is not recorder or recorder.closed:
            return method(*args, **kwargs)
        if getattr(method, "__name__", "") == "shuffle":
            recorder.write(method, args, kwargs)
            return None
        if kwargs.get("out") is not None:
            return _drawn_into(kwargs.pop("out"), draw, args, kwargs)
        result = method(*recorder.real(args), **recorder.real(kwargs))
        if isinstance(result, ndarray | np.generic):
            return recorder.results("random", method, args, kwargs, result)
        if type(result) in (float, int):
            return Weak(recorder.results("random", method, args, kwargs, np.array(result)), result)
        if result is not None:
            recorder.refuse(
                f"{name_of(method)}, which gives a {type(result).__name__}", "draw arrays of numbers"
            )
        recorder.note("random", method, args, kwargs, (), False)
        return None

    draw.__name__ = getattr(method, "__name__", "draw")
    return draw


def _drawn_into(out: Any, draw: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Draw numbers for an array that is there already: they fill its memory from the start."""
    place = out if out.flags.c_contiguous or draw.__name__ == "permuted" else out.T
    if draw.__name__ != "permuted":
        if not place.flags.c_contiguous:
            raise ValueError("Supplied output array must be contiguous")
        kwargs.setdefault("size", place.shape)
    np.copyto(place, draw(*args, **kwargs), casting="no")
    return out


def _patch(cells: Sequence[Cell], recorder: Recorder) -> list[tuple[Cell, Any]]:
    """Put what is recorded in the places of arrays and generators that the function can reach; return what is there."""
    places = list(cells)
    places.append(Cell("attribute", np.random, "default_rng", _DEFAULT_RNG, "np.random.default_rng"))
    for name in dir(np.random):
        member = getattr(np.random, name)
        if _is_draw(member):
            places.append(Cell("attribute", np.random, name, member, f"np.random.{name}"))
    places += [Cell("attribute", np, name, getattr(np, name), f"np.{name}") for name in PLACES]
    patched = []
    for cell in places:
        if isinstance(cell.container, tuple | types.MethodType) or cell.kind == "fixed":
            continue
        if is_followed(cell.value):
            shown: Any = recorder.live(cell.value)
        elif isinstance(cell.value, tuple):
            shown = _live_in(cell.value, recorder)
            if shown is cell.value:
                continue
        elif _is_draw(cell.value):
            shown = _drawing(cell.value, recorder)
        elif isinstance(cell.value, GENERATORS):
            shown = Generator(cell.value, recorder)
        elif cell.value is _DEFAULT_RNG:
            shown = _default_rng
        elif maker(cell.value) is not None:
            shown = maker(cell.value)
        else:
            shown = noticed(cell, recorder)
            if shown is cell.value:
                continue
        cell.write(shown)
        patched.append((cell, shown))
    return patched


def _live_in(value: tuple[Any, ...], recorder: Recorder) -> tuple[Any, ...]:
    """Return a tuple with what stands for its arrays (itself if it has none)."""
    entries = [
        recorder.live(x) if is_followed(x) else _live_in(x, recorder) if isinstance(x, tuple) else x
        for x in value
    ]
    if all(x is y for x, y in zip(entries, value, strict=True)):
        return value
    return type(value)(*entries) if hasattr(value, "_fields") else tuple(entries)


_SEED, _DEFAULT_RNG = np.random.seed, np.random.default_rng


def _is_draw(value: Any) -> bool:
    """Say whether a value is a method of a random generator."""
    if isinstance(value, types.MethodType | types.BuiltinMethodType) and isinstance(
        value.__self__, GENERATORS
    ):
        return True
    return value is _SEED


__all__ = ["Leaf", "Recording", "record"]
