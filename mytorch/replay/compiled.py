"""`compile`: a function that is recorded the first time, and replayed ever after."""

from __future__ import annotations

import functools
import threading
import types
import warnings
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path as FilePath
from typing import Any, TypeVar, overload

import numpy as np
from numpy import ndarray

from mytorch import arrays, trees
from mytorch.gradient_buffer import owner_of
from mytorch.replay.backends import chosen
from mytorch.replay.captured import PLAIN, UNSET, Cell, snapshot
from mytorch.replay.errors import Diverged, ReplayError, ReplayWarning, Unreplayable
from mytorch.replay.lowering import Changed
from mytorch.replay.program import Program
from mytorch.replay.recording import Recording, overlap, record
from mytorch.replay.report import Report
from mytorch.replay.writing import same
from mytorch.tensor import Tensor, _is_recording

F = TypeVar("F", bound=Callable[..., Any])
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
    """A recording, and, once it is asked for again, its program."""

    __slots__ = ("_program", "backend", "fits", "leaves", "lock", "recording", "structure")

    def __init__(
        self, recording: Recording, backend: str, leaves: list[Any], structure: trees.Structure, lock: Any
    ) -> None:
        self.recording, self.backend, self.lock = recording, backend, lock
        # Of arrays only their forms are needed, not their values.
        self.leaves = [np.empty_like(x) if type(x) is ndarray else x for x in leaves]
        self.structure = structure
        self._program: Program | None = None
        self.fits = fits(recording)

    @property
    def program(self) -> Program:
        """The program, planned when it is first asked for."""
        if self._program is None:
            self._program = Program(self.recording, self.backend)
        return self._program


def fits(recording: Recording) -> Callable[[], bool]:
    """Return the function that says whether all that a recording takes from outside is what it was."""
    bound = _Bound()
    text = f"lambda: {' and '.join(_terms(recording, bound)) or 'True'}"
    check: Callable[[], bool] = bound.evaluated(text)
    return check


class _Bound(dict[str, Any]):
    """Objects by the names that a text gives them."""

    def __init__(self) -> None:
        super().__init__(equal=_equal, snapshot=snapshot, UNSET=UNSET)

    def name(self, thing: Any) -> str:
        """Return a name for an object."""
        name = f"c{len(self)}"
        self[name] = thing
        return name

    def evaluated(self, text: str) -> Any:
        """Return the value of an expression of these names."""
        return eval(f"lambda {', '.join(self)}: {text}")(*self.values())


def _terms(recording: Recording, bound: _Bound) -> list[str]:
    """Return the conditions on what a recording takes from outside."""
    terms = []
    name = bound.name
    for cell, kind in recording.kinds:
        terms.append(f"type({name(cell.read)}()) is {name(kind)}")
    for cell in recording.cells:
        if cell.kind == "names":
            if cell.key:
                terms.append(f"len({name(vars(cell.container))}) == {cell.value}")
                terms.append(f"type({name(cell.container)}) is {name(type(cell.container))}")
            continue
        now, value = _now(cell, name), name(cell.value)
        if isinstance(cell.value, PLAIN) and cell.value is not None and type(cell.value) is not bool:
            terms.append(f"({now} is {value} or equal({now}, {value}))")
        else:
            terms.append(f"{now} is {value}")
        if cell.size is not None:
            terms.append(f"len({value}) == {cell.size}")
        if cell.keys is not None:
            terms.append(f"[*{value}] == {name(cell.keys)}")
        if cell.copy is not None:
            terms.append(f"snapshot({value}) == {name(cell.copy)}")
    for tensor in {
        id(cell.value): cell.value for cell in recording.cells if isinstance(cell.value, Tensor)
    }.values():
        owner = name(tensor if tensor._base is None else tensor._base)
        terms.append(f"{owner}._key is {'not ' if tensor.requires_grad else ''}None")
        hooks = tensor._hooks
        terms.append(f"{name(tensor)}._hooks {'is None' if hooks is None else f'== {name([*hooks])}'}")
    return terms


def _now(cell: Cell, name: Callable[[Any], str]) -> str:
    """Return the text of what is at a place now."""
    key = repr(cell.key) if type(cell.key) in (str, int) else name(cell.key)
    if cell.kind == "closure":
        return f"{name(cell.container)}.cell_contents"
    if cell.kind == "slot":
        return f"getattr({name(cell.container)}, {key}, None)"
    if cell.kind == "context":
        return f"{name(cell.container)}.get(UNSET)"
    if isinstance(cell.container, list | deque):
        return f"{name(cell.container)}[{key}]"
    return (
        f"{name(vars(cell.container) if cell.kind in ('attribute', 'class') else cell.container)}.get({key})"
    )


MISS = object()


def shortcut(path: Path) -> Callable[[tuple[Any, ...]], Any] | None:
    """Return a function that runs a path's program if its arguments are the recorded ones in form, else gives `MISS`.

    It does what `Compiled._run` does where there is nothing to find out; None where that is not so.
    """
    recording, program = path.recording, path.program
    positional = path.structure.children[0]
    plain = all(child.kind is None for child in positional.children) and not path.structure.children[1].size
    written = any(buffer.number in program.written for buffer in recording.arguments.values())
    if not plain or recording.tensors or recording.same or written or program.states:
        return None
    bound = _Bound()
    names = [f"x{i}" for i in range(positional.size)]
    terms = [f"is_recording() is {_is_recording()}", "recording() is None"]
    bound.update(is_recording=_is_recording, recording=arrays.recording, ndarray=ndarray, owner_of=owner_of)
    outside = bound.name(program.outside_ids)
    for x, leaf in zip(names, path.leaves, strict=True):
        if type(leaf) is ndarray:
            if not leaf.flags.c_contiguous:
                return None
            terms.append(
                f"type({x}) is ndarray and {x}.shape == {leaf.shape!r} and {x}.dtype is {bound.name(leaf.dtype)}"
            )
            terms.append(f"{x}.flags.c_contiguous")  # the order of memory decides what "K" means
            if program.outside_ids:
                terms.append(f"id({x} if {x}.base is None else owner_of({x})) not in {outside}")
        elif isinstance(leaf, np.generic):
            return None
        else:
            value = bound.name(leaf)
            terms.append(
                f"({x} is {value} or equal({x}, {value}))" if isinstance(leaf, PLAIN) else f"{x} is {value}"
            )
    given = [x for x, leaf in zip(names, path.leaves, strict=True) if type(leaf) is ndarray]
    if len(given) > len(recording.arguments):  # one of them is there twice
        return None
    if len(given) > 1:
        terms.append(f"len({{{', '.join(f'id({x})' for x in given)}}}) == {len(given)}")
    terms += _terms(recording, bound)
    for tensor, gradient in recording.before:
        terms.append(f"{bound.name(tensor)}._grad is {'' if gradient is None else 'not '}None")
    run = ", ".join(names[i] for i in recording.arguments)
    bound.update(
        run=program.run,
        failed=program.failed,
        acquire=path.lock.acquire,
        release=path.lock.release,
        MISS=MISS,
    )
    unpack = f"{', '.join(names)}, = args" if names else "pass"
    text = _SHORTCUT.format(
        bound=", ".join(bound), count=len(names), unpack=unpack, terms=" and ".join(terms), run=run
    )
    scope: dict[str, Any] = {}
    exec(text, scope)
    function: Callable[[tuple[Any, ...]], Any] = scope["bind"](*bound.values())
    return function


_SHORTCUT = """
def bind({bound}):
    def call(args):
        if len(args) != {count}:
            return MISS
        {unpack}
        if not ({terms}) or not acquire(False):
            return MISS
        try:
            return run({run})
        except BaseException as error:
            if failed(error):
                return MISS
            raise
        finally:
            release()
    return call
"""


@contextmanager
def _released(lock: Any) -> Iterator[None]:
    """Release a lock after the context."""
    try:
        yield
    finally:
        lock.release()


def _equal(a: Any, b: Any) -> bool:
    """Say whether two numbers or strings are alike; 0.0 is not -0.0."""
    if isinstance(a, float | complex):
        return type(a) is type(b) and repr(a) == repr(b)
    return type(a) is type(b) and bool(a == b)


class Compiled:
    """A function that is recorded at its first call for every signature, and replayed at later ones.

    Attributes
    ----------
    function : the function as it was written
    program : the `Program` that ran last
    """

    def __init__(self, function: Callable[..., Any], backend: str = "numpy") -> None:
        functools.update_wrapper(self, function)
        self.function, self.backend = function, backend
        self.entries: OrderedDict[Any, Entry] = OrderedDict()
        self._last: Path | None = None
        self._shortcut: Callable[[tuple[Any, ...]], Any] | None = None
        self._lock = threading.Lock()
        self._warned: set[str] = set()

    def __repr__(self) -> str:
        return f"<compiled {getattr(self.function, '__qualname__', self.function)!s}>"

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else types.MethodType(self, instance)

    @property
    def program(self) -> Program:
        """The program that ran, or was recorded, last."""
        if self._last is None:
            raise ReplayError(f"{self!r} has no program: call it first")
        return self._last.program

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._shortcut is not None and not kwargs:
            result = self._shortcut(args)
            if result is not MISS:
                return result
        if arrays.recording() is not None:
            return self._within(args, kwargs)
        leaves, structure = trees.flatten((args, kwargs))
        key, holds = signature(leaves, structure)
        if key is not None and any(map(_is_view, leaves)):
            self._warn(
                "a Tensor among its arguments is a view of other memory; pass a copy of it, or an array"
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
        differentiated = signature(*trees.flatten((args, kwargs)))[0] is None
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
        tried: list[Path] = []
        for path in list(entry.paths):
            if path.fits() and _fits_call(path.recording, leaves) and not _contradicts(path.recording, seen):
                program = path.program
                if program.conflicts(leaves):
                    return self.function(*args, **kwargs)
                tried.append(path)
                try:
                    result = program(leaves)
                except Diverged as guard:
                    seen = [(i, g.expected) for i, g in enumerate(program.guards[: guard.guard])]
                    seen.append((guard.guard, guard.value))
                    continue
                except (Changed, Unreplayable):
                    continue
                except Exception:
                    if not (path.recording.catches and program.can_be_undone):
                        raise
                    continue
                if path is not entry.paths[0]:
                    entry.paths.remove(path)
                    entry.paths.insert(0, path)
                if path is not self._last or self._shortcut is None:
                    self._last, self._shortcut = path, shortcut(path)
                return result
        if entry.excuse is not None:
            return self.function(*args, **kwargs)
        return self._record(entry, leaves, structure, tried, (args, kwargs))

    def _record(
        self, entry: Entry, leaves: list[Any], structure: trees.Structure, tried: list[Path], call: Any
    ) -> Any:
        """Run the function, and keep the recording."""
        args, kwargs = call
        if overlap(leaves):  # whether that matters is known only of a recording
            return self.function(*args, **kwargs)
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
        if recording.excuse is not None:
            entry.excuse = (
                f"it {recording.excuse}, which a replay would not do; pass what it gives as an argument"
            )
        elif recording.made is not None:
            entry.excuse = (
                f"it returns {recording.made} that it has made, which a replay would not make anew; return arrays, "
                "numbers, and tuples, lists and dicts of them"
            )
        elif recording.changed:
            entry.excuse = (
                f"it changes {recording.changed[0].path} at every call, which a replay would not do; return "
                "the value, or make it an array"
            )
        elif len(entry.paths) >= PATHS:
            where = tried[0].program.guards[-1].line if tried and tried[0].program.guards else "a branch"
            entry.excuse = (
                f"it decided differently {PATHS} times, last at {where}; a number that float(), int() or .item() "
                "takes out of an array decides everything after it: return the array instead"
            )
        else:
            path = Path(recording, self.backend, leaves, structure, entry.lock)
            entry.paths.insert(0, path)
            self._last = path
        if entry.excuse is not None:
            self._warn(entry.excuse)
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


def signature(leaves: list[Any], structure: trees.Structure) -> tuple[Any, list[Any]]:
    """Return what calls that are alike have in common, and the objects that it names by identity.

    None stands for calls that run as they are written: something outside differentiates them, or an array is one of a
    subclass.
    """
    parts: list[Any] = [structure, _is_recording()]
    holds: list[Any] = []
    for leaf in leaves:
        kind = type(leaf)
        if kind is ndarray:
            order = leaf.flags.c_contiguous or leaf.strides
            parts.append(
                (leaf.shape, leaf.dtype, order) if leaf.dtype.kind in "biufc" else _named(leaf, holds)
            )
        elif isinstance(leaf, Tensor):
            if (leaf.requires_grad and not leaf.is_leaf) or leaf._hooks:
                return None, holds
            array = leaf._array
            parts.append(
                ("Tensor", leaf.requires_grad, array.shape, array.dtype, array.strides, leaf._grad is None)
            )
        elif issubclass(kind, ndarray):  # whose operations may be others
            return None, holds
        elif isinstance(leaf, np.generic) and leaf.dtype.kind in "biufc":
            parts.append(leaf.dtype)
        elif isinstance(leaf, PLAIN):
            # Not a number is no key, and zeros of two signs would be one.
            is_key = not isinstance(leaf, float | complex) or (leaf == leaf and leaf and kind is float)
            parts.append((kind, leaf if is_key else repr(leaf)))
        else:
            parts.append(_named(leaf, holds))
    seen = [id(leaf) for leaf in leaves if isinstance(leaf, ndarray | Tensor)]
    if len(set(seen)) < len(seen):  # a function may ask whether two are one
        parts.append(tuple(map(seen.index, seen)))
    return tuple(parts), holds


def _is_view(leaf: Any) -> bool:
    """Say whether a leaf is a Tensor that shows a part of some memory, or shows it otherwise than it lies there."""
    return isinstance(leaf, Tensor) and owner_of(leaf._array) is not leaf._array


def _constant_copy(x: Any) -> Any:
    if isinstance(x, Tensor):
        return x.detach().copy()
    return x.copy() if isinstance(x, ndarray) else x


def _named(leaf: Any, holds: list[Any]) -> tuple[str, int]:
    holds.append(leaf)
    return "object", id(leaf)


def _contradicts(recording: Recording, seen: list[tuple[int, Any]]) -> bool:
    """Say whether a recording decided otherwise than what this call has decided already."""
    guards = [i for i in recording.instructions if i.kind == "guard"]
    return any(i < len(guards) and not same(guards[i].expected, value) for i, value in seen)


def _fits_call(recording: Recording, leaves: list[Any]) -> bool:
    """Say whether arguments that are also taken from outside, and gradients that are read, are as they were."""
    return all(leaves[i] is leaf for i, leaf in recording.same) and all(
        (tensor._grad is None) == (value is None) for tensor, value in recording.before
    )


@overload
def compile(function: F, *, backend: str = "numpy") -> F: ...
@overload
def compile(*, backend: str = "numpy") -> Callable[[F], F]: ...
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
