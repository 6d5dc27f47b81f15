"""`compile`: a function that is recorded the first time, and replayed ever after.

A `Compiled` keeps, per signature of its arguments, the paths through the function that were recorded.  A call replays
the one that fits (`mytorch.replay.matching`), and is recorded where none does; what no replay could do runs as it is
written.
"""

from __future__ import annotations

import copy
import functools
import inspect
import operator
import sys
import threading
import types
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path as FilePath
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, overload

from numpy import ndarray

from mytorch import arrays, trees
from mytorch.regions import owner_of
from mytorch.replay.errors import Changed, Diverged, ReplayError, ReplayWarning, Unreplayable
from mytorch.replay.lowering.backends import chosen
from mytorch.replay.matching import MISS, ArrayForm, contradicts, fits, fits_call, shortcut, signature
from mytorch.replay.program import Program
from mytorch.replay.record.containers import has_attributes
from mytorch.replay.record.recording import Recording, overlap, record
from mytorch.replay.report import Report
from mytorch.tensor import Tensor

P = ParamSpec("P")
R = TypeVar("R")
SIGNATURES, PATHS = 32, 8
PATIENCE = 10.0  # seconds that a thread waits for another's recording
# Recordings put what they follow in the places of what they reach: one at a time.
_one_records = threading.RLock()


class Entry:
    """What is known of one signature: its recordings, the one that fitted last first."""

    __slots__ = ("excuse", "holds", "lock", "paths")

    def __init__(self, holds: list[Any]) -> None:
        self.paths: list[Path] = []
        self.lock = threading.RLock()  # a function may call itself
        self.holds = holds  # objects whose identities are in the signature
        self.excuse: str | None = None


class Path:
    """A recording, and, once it is asked for again, its program.

    It has no `__dict__`: what a function reaches by a compiled one is looked at, and this is not the user's.
    """

    __slots__ = ("_program", "_shortcut", "backend", "fits", "leaves", "lock", "recording", "structure")

    def __init__(
        self, recording: Recording, backend: str, leaves: list[Any], structure: trees.Structure, lock: Any
    ) -> None:
        self.recording, self.backend, self.lock = recording, backend, lock
        self.leaves = [ArrayForm.of(x) if type(x) is ndarray else x for x in leaves]
        self.structure = structure
        self._program: Program | None = None
        self._shortcut: Any = MISS
        self.fits = fits(recording)

    @property
    def program(self) -> Program:
        """The program, planned when it is first asked for."""
        if self._program is None:
            self._program = Program(self.recording, self.backend)
        return self._program

    @property
    def shortcut(self) -> Callable[[tuple[Any, ...]], Any] | None:
        """The function that runs the program where nothing has to be found out (None: there is none)."""
        if self._shortcut is MISS:
            self._shortcut = shortcut(self)
        return self._shortcut


@contextmanager
def _released(lock: Any) -> Iterator[None]:
    """Release a lock after the context."""
    try:
        yield
    finally:
        lock.release()


class Compiled(Generic[P, R]):
    """A function that is recorded at its first call for every signature, and replayed at later ones.

    Attributes
    ----------
    function : the function as it was written
    program : the `Program` that ran last
    """

    def __init__(self, function: Callable[P, R], backend: str = "numpy") -> None:
        functools.update_wrapper(self, function)
        self.function, self.backend = function, backend
        self.entries: OrderedDict[Any, Entry] = OrderedDict()
        self._last: Path | None = None
        self._shortcut: Callable[[tuple[Any, ...]], Any] | None = None
        self._lock = threading.Lock()
        self._warned: set[str] = set()
        self._recorded = 0  # times in a row, without a replay
        self._resting = 0  # calls for which that many were too many

    def __repr__(self) -> str:
        return f"<compiled {getattr(self.function, '__qualname__', self.function)!s}>"

    def __reduce__(self) -> Any:
        # What a decorated function is pickled by is its name; a copy has recordings of its own.
        module = sys.modules.get(getattr(self, "__module__", ""))
        if _found(module, getattr(self, "__qualname__", "")) is self:
            return self.__qualname__
        return Compiled, (self.function, self.backend)

    def __copy__(self) -> Any:
        return Compiled(self.function, self.backend)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return Compiled(copy.deepcopy(self.function, memo), self.backend)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else types.MethodType(self, instance)

    @property
    def program(self) -> Program:
        """The program that ran, or was recorded, last."""
        if self._last is None:
            raise ReplayError(f"{self!r} has no program: call it first")
        return self._last.program

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        quick = self._shortcut  # which another thread may change
        if quick is not None and not kwargs:
            result = quick(args)
            if result is not MISS:
                return result
        if arrays.recording() is not None:
            return self._within(args, kwargs)
        leaves, structure = trees.flatten((args, kwargs))
        key, holds = signature(leaves, structure, (args, kwargs))
        if key is not None and any(map(_is_view, leaves)):
            self._warn(
                "a Tensor among its arguments is a view of other memory; pass a copy of it, or an array"
            )
            key = None
        if key is not None and has_attributes((args, kwargs)):
            self._warn(
                "a dict or named tuple among its arguments has attributes of its own; pass them as arguments, too"
            )
            key = None
        if key is None:
            return self.function(*args, **kwargs)
        entry = self.entries.get(key)
        if entry is None:
            with self._lock:
                entry = self.entries.setdefault(key, Entry(holds))
                while len(self.entries) > SIGNATURES:
                    self.entries.popitem(last=False)
        else:
            with self._lock:
                if key in self.entries:
                    self.entries.move_to_end(key)  # what was asked for longest ago is forgotten first
        with entry.lock:
            return self._run(entry, leaves, structure, args, kwargs)

    def _within(self, args: Any, kwargs: Any) -> Any:
        """Run as a part of a larger recording; as ever, results are new arrays, and Tensors among them constants."""
        call = args, kwargs
        differentiated = signature(*trees.flatten(call), call)[0] is None
        result = self.function(*args, **kwargs)
        if differentiated:
            return result
        found, structure = trees.flatten(result)
        return structure.unflatten([_constant_copy(x) for x in found])

    def _run(
        self, entry: Entry, leaves: list[Any], structure: trees.Structure, args: Any, kwargs: Any
    ) -> Any:
        """Replay one of the recordings of a signature, or make another."""
        seen: list[tuple[int, Any]] = []
        ended = _BY_NUMBERS.format("a branch")
        for path in list(entry.paths):
            if path.fits() and fits_call(path.recording, leaves) and not contradicts(path.recording, seen):
                program = path.program
                if program.busy[0] or program.conflicts(leaves):
                    return self.function(*args, **kwargs)
                try:
                    result = program(leaves)
                except Diverged as guard:
                    seen = [(i, g.expected) for i, g in enumerate(program.guards[: guard.guard])]
                    seen.append((guard.guard, guard.value))
                    ended = _BY_NUMBERS.format(program.guards[guard.guard].line)
                    continue
                except Changed:
                    ended = _BY_SHAPES
                    continue
                except Unreplayable:
                    continue
                self._recorded = 0
                if path is not entry.paths[0]:
                    entry.paths.remove(path)
                    entry.paths.insert(0, path)
                self._last, self._shortcut = path, path.shortcut
                return result
        if entry.excuse is not None:
            return self.function(*args, **kwargs)
        return self._record(entry, leaves, structure, ended, (args, kwargs))

    def _record(
        self, entry: Entry, leaves: list[Any], structure: trees.Structure, ended: str, call: Any
    ) -> Any:
        """Run the function, and keep the recording; `ended` says how the last replay did."""
        args, kwargs = call
        if runs_later(self.function):
            entry.excuse = "it runs when its result is asked; compile a function that it calls"
            self._warn(entry.excuse)
            return self.function(*args, **kwargs)
        if overlap(leaves):  # whether that matters is known only of a recording
            return self.function(*args, **kwargs)
        if self._resting:
            self._resting -= 1
            return self.function(*args, **kwargs)
        self._recorded += 1
        if self._recorded > SIGNATURES:  # to record is slow; what changes now may not change later
            self._resting = SIGNATURES << (self._recorded - SIGNATURES - 1)
            self._warn(_NOTHING_FITS)
        if not _one_records.acquire(blocking=False):
            # No longer: the other recording may be waiting for this thread.
            if not _one_records.acquire(timeout=PATIENCE):
                return self.function(*args, **kwargs)
            with _released(_one_records):  # what looked changed may have been in the other's hands
                return self._run(entry, leaves, structure, args, kwargs)
        with _released(_one_records):
            result, recording = record(self.function, leaves, structure, call)
        if recording.once is not None:
            return result
        entry.paths = [path for path in entry.paths if path.fits()]
        entry.excuse = _excuse(recording) or (ended if len(entry.paths) >= PATHS else None)
        if entry.excuse is not None:
            self._warn(entry.excuse)
            return result
        self._last, self._shortcut = Path(recording, self.backend, leaves, structure, entry.lock), None
        entry.paths.insert(0, self._last)
        return result

    def _warn(self, excuse: str) -> None:
        if excuse not in self._warned:
            self._warned.add(excuse)
            warnings.warn(f"{self!r} runs without replay: {excuse}", ReplayWarning, stacklevel=5)

    @property
    def source(self) -> str:
        """The program that ran last, as straight-line NumPy (see `Program.source`)."""
        return self.program.source

    def save(self, path: str | FilePath) -> FilePath:
        """Write the program that ran last as a module that needs NumPy alone (see `Program.save`)."""
        return self.program.save(path)

    def report(self) -> Report:
        """Return the report of the program that ran last (see `Program.report`)."""
        return self.program.report()

    def profile(self, *args: Any, repeat: int = 20, **kwargs: Any) -> Report:
        """Measure the program that ran last on arguments, and return the report (see `Program.profile`)."""
        return self.program.profile(*args, repeat=repeat, **kwargs)


def _excuse(recording: Recording) -> str | None:
    """Return what the call did that no replay would do (None: nothing)."""
    if recording.excuse is not None:
        return f"it {recording.excuse}, which a replay would not do; pass what it gives as an argument"
    if recording.made is not None:
        return (
            f"it returns {recording.made} that it has made, which a replay would not make anew; return arrays, "
            "numbers, and tuples, lists and dicts of them"
        )
    if recording.changed:
        changed = recording.changed[0]
        what_to_do = "return the value, or make it an array that is written to"
        if isinstance(changed.value, ndarray):
            what_to_do = f"write to the array that is there ({changed.path}[...] = ...), or return the value"
        return f"it changes {changed.path} at every call, which a replay would not do; {what_to_do}"
    return None


_NOTHING_FITS = (
    f"{SIGNATURES} calls in a row had other arguments, or found other numbers or objects outside, than those recorded; "
    "make a number that changes an array (x[...] = value), or pass it as an argument as an array or np.float64(value)"
)


# Why a function runs eagerly that takes another path nearly every time.
_BY_NUMBERS = (
    f"it decided differently {PATHS} times, last at {{}}; a number that float(), int() or .item() "
    "takes out of an array, and that is not just returned, decides everything after it: return the array instead"
)
_BY_SHAPES = (
    f"it decided differently {PATHS} times, last by the shape of a result; a mask that picks another number of entries "
    "makes other shapes: multiply by it, or write np.where(mask, x, 0)"
)


def _found(module: Any, path: str) -> Any:
    """Return what a module holds under a dotted name (None: nothing)."""
    try:
        return operator.attrgetter(path)(module)
    except AttributeError:
        return None


def runs_later(function: Any) -> bool:
    """Say whether a call of a function does nothing yet: it gives a generator or a coroutine."""
    while isinstance(function, functools.partial):
        function = function.func
    if not isinstance(function, types.FunctionType | types.MethodType):
        function = type(function).__call__
    code = getattr(function, "__code__", None)
    later = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
    return code is not None and bool(code.co_flags & later)


def _is_view(leaf: Any) -> bool:
    """Say whether a leaf is a Tensor that shows a part of some memory, or shows it otherwise than it lies there."""
    return isinstance(leaf, Tensor) and owner_of(leaf._array) is not leaf._array


def _constant_copy(x: Any) -> Any:
    if isinstance(x, Tensor):
        return x.detach().copy()
    return x.copy() if isinstance(x, ndarray) else x


class _Compile(Protocol):
    """What `compile` is with a back end alone: a decorator."""

    def __call__(self, function: Callable[P, R], /) -> Compiled[P, R]: ...


@overload
def compile(function: Callable[P, R], *, backend: str = "numpy") -> Compiled[P, R]: ...
@overload
def compile(*, backend: str = "numpy") -> _Compile: ...
def compile(function: Any = None, *, backend: str = "numpy") -> Any:
    """Return a function that does what `function` does, recorded once and replayed ever after.

    The first call for a signature (structure, shapes and dtypes of the arguments) runs the function as it is
    written and records every NumPy call: forward, reverse pass and updates alike.  Later calls run the list again,
    on memory of its own.  What Python decides from a value while recording becomes a guard: when a later call
    decides otherwise, that path is recorded, too.

    Parameters
    ----------
    function : of arrays and Tensors, or of nested lists, tuples and dicts of them; numbers and other objects among
        its arguments are part of the signature
    backend : "numpy"; "numba", which joins elementwise operations and small products into compiled loops; "blas", which
        updates weights by one call of SciPy's BLAS; or "blas+numba".  Loops that Numba compiled neither warn nor raise
        when numbers overflow or are divided by zero

    Returns
    -------
    function of the same arguments.  Its results are new arrays; Tensors in them are constants.

    Raises
    ------
    ReplayError
        The function takes values out of arrays where a recording cannot follow; the message names the line.
    ImportError
        What the back end needs is not installed; the message says what to install.

    Examples
    --------
    >>> import numpy as np, mytorch
    >>> slope = mytorch.compile(mytorch.grad(lambda x: np.sum(x**3)))
    >>> slope(np.array([1.0, 2.0]))
    array([ 3., 12.])
    >>> slope(np.array([10.0, 20.0]))
    array([ 300., 1200.])
    """
    if function is None:
        return functools.partial(compile, backend=backend)
    if not callable(function):
        raise TypeError(f"mytorch.compile needs a function, got {type(function).__name__}")
    chosen(backend)
    return Compiled(function, backend)


__all__ = ["Compiled", "compile"]
