"""What a function takes from outside of its arguments: by its closure, its globals, and the attributes of objects.

A recording is true for as long as these are what they were.  Arrays and Tensors are read and written where they
lie, so their values may change at will; that a name still means the same array, the same number, the same object is
checked before every replay (a `Cell` is such a name).
"""

from __future__ import annotations

import array
import datetime
import dis
import gc
import operator
import os
import sys
import sysconfig
import threading
import types
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from functools import cache, lru_cache, partial
from itertools import pairwise
from typing import Any
from weakref import ref

import numpy as np

from mytorch.lines import LIBRARY
from mytorch.tensor import Tensor

PLAIN = (int, float, complex, bool, str, bytes, type(None))
GENERATORS = (np.random.Generator, np.random.RandomState)
# Parts of this package whose objects and functions hold what is the user's.
_HOLDERS = ("mytorch.nn", "mytorch.optim", "mytorch.transforms", "mytorch.faces", "mytorch.replay")
_WITH_NUMBERS = ("mytorch.nn", "mytorch.optim")  # whose attributes are numbers that the user may change
_LIMIT = 10_000  # objects that are looked at
_LEAVES = (Tensor, np.ndarray, np.generic, *GENERATORS)
_VIEWS = (types.MappingProxyType, *map(type, ({}.keys(), {}.values(), {}.items())))


# Containers that change in place and hold nothing that is followed: a copy tells whether they did.
_COPIED = (set, bytearray, array.array, memoryview)
# Whoever names these may mean any attribute.
_BY_NAME = frozenset(("__dict__", "asdict", "attrgetter", "getattr", "hasattr", "vars"))
_FINDING = (getattr, hasattr, vars)
_NAMING_GLOBALS = frozenset(("eval", "exec", "globals"))  # whoever names these may mean any global
_DATES = (datetime, datetime.datetime, datetime.date)  # written in C: nobody can stand in for their methods
_NOW = frozenset(("now", "utcnow", "today"))
_MUTABLE = (list, dict, deque, set, bytearray)
_ENVIRONMENT = frozenset(("environ", "environb", "getenv", "getenvb"))
_CATCHING = frozenset(("assertRaises", "raises", "suppress"))
_MATCHING = frozenset(("CHECK_EXC_MATCH", "JUMP_IF_NOT_EXC_MATCH"))
UNSET = object()  # the value of a context variable that has none


class Cell:
    """A place that holds a value under a name.

    `kind` is "item" (of a dict, list or deque), "attribute" (in an object's ``__dict__``), "slot" (an attribute that is
    not in it), "class" (an attribute of a class), "names" (how many attributes an object or a class has), "absent"
    (whether a dict has none of some keys), "closure" (a variable of one), "context" (the value of a ContextVar), or
    "fixed" (an object that is always the same: an argument, a member of a set, or the owner of a method).
    """

    __slots__ = ("container", "copy", "key", "keys", "kind", "path", "size", "value")

    def __init__(self, kind: str, container: Any, key: Any, value: Any, path: str) -> None:
        self.kind, self.container, self.key, self.value, self.path = kind, container, key, value, path
        self.size = len(value) if isinstance(value, list | deque) else None
        self.keys = list(value) if isinstance(value, dict) else None
        self.copy = snapshot(value)

    def read(self) -> Any:
        """Return what is there now (the cell itself where nothing is)."""
        try:
            if self.kind == "closure":
                return self.container.cell_contents
            if self.kind in ("attribute", "slot"):
                return getattr(self.container, self.key)
            if self.kind == "names":
                return len(vars(self.container))
            if self.kind == "absent":
                return self.container.keys().isdisjoint(self.key)
            if self.kind == "context":
                return self.container.get(UNSET)
            if self.kind == "class":
                return vars(self.container)[self.key]
            return self.container[self.key]
        except (ValueError, AttributeError, KeyError, IndexError):
            return self

    def write(self, value: Any) -> None:
        """Put another value there."""
        if self.kind == "closure":
            self.container.cell_contents = value
        elif isinstance(self.container, partial):
            state = self.container.func, value, self.container.keywords, vars(self.container)
            self.container.__setstate__(state)  # type: ignore[attr-defined]
        elif self.kind in ("attribute", "slot", "class"):
            setattr(self.container, self.key, value)
        elif self.kind == "context":
            self.container.set(value)
        else:
            self.container[self.key] = value

    @property
    def holds(self) -> bool:
        """Whether the value is the one that was recorded: the same object, or an equal number or string."""
        now = self.read()
        if now is self.value:
            return (
                (self.size is None or len(now) == self.size)
                and (self.keys is None or list(now) == self.keys)
                and snapshot(now) == self.copy
            )
        return is_plain(now) and alike(now, self.value)

    def __repr__(self) -> str:
        return f"<{self.path}>"


def snapshot(value: Any) -> Any:
    """Return a copy that tells whether a value changed in place (None: cells within it tell, or nothing does)."""
    if isinstance(value, _COPIED):
        return value.copy() if isinstance(value, set) else bytes(value)
    if isinstance(value, np.ndarray) and not is_followed(value):
        return value.tobytes() if value.dtype.kind != "O" else Entries(value.flat)
    return dict(vars(value)["_data"]) if value is os.environ else None  # not decoded: that would take long


class Entries(list[Any]):
    """What an array of objects holds."""

    __hash__ = None

    def __eq__(self, other: Any) -> bool:
        return len(self) == len(other) and all(
            a is b or (is_plain(a) and alike(a, b)) for a, b in zip(self, other, strict=True)
        )


def is_plain(value: Any) -> bool:
    """Say whether a value is a number or a string, and nothing besides: those of a subclass may have attributes."""
    return type(value) in PLAIN


def alike(a: Any, b: Any) -> bool:
    """Say whether two numbers or strings are alike; 0.0 is not -0.0."""
    if isinstance(a, float | complex):
        return type(a) is type(b) and repr(a) == repr(b)
    return type(a) is type(b) and bool(a == b)


def is_followed(value: Any) -> bool:
    """Say whether a recording follows what is done with an array."""
    return type(value) is np.ndarray and value.dtype.kind in "biufc"


def captured(function: Callable[..., Any], arguments: dict[str, Any]) -> tuple[list[Cell], bool, str | None]:
    """Return the cells that `function`, and the functions and objects that it names, may read, whether one of the
    functions catches errors, and which clock they read that cannot be watched (None: no such clock).

    `arguments` are the objects among its arguments, by name, whose attributes it may read.
    """
    search = _Search()
    cells = list(search.all_of(function, arguments))
    return cells, search.catches, search.clock


class _Search:
    """A walk, without recursion, from a function to everything that it can reach by names."""

    def __init__(self) -> None:
        self.seen: set[int] = set()
        self.names: set[str] = set()  # that code outside of this package and of NumPy mentions
        self.waiting: list[tuple[Any, str]] = []
        self.any = False  # whether code finds attributes by names that are values
        self.catches = False
        self.globals: dict[int, tuple[dict[str, Any], set[str]]] = {}  # with names that are not among them
        self.clock: str | None = None  # how a function reads the clock by `datetime`
        self.modules: list[
            tuple[types.ModuleType, str, set[str]]
        ] = []  # each with names of which there are cells

    def all_of(self, function: Callable[..., Any], arguments: dict[str, Any]) -> Iterator[Cell]:
        self.waiting = [(function, ""), *((value, name) for name, value in arguments.items())]
        cells = [Cell("fixed", arguments, name, value, name) for name, value in arguments.items()]
        while len(self.seen) < _LIMIT:
            waited = bool(self.waiting)
            found = self._cells_of_next() if waited else self._cells_of_modules()
            if not found and not waited:
                break
            for cell in found:
                cells.append(cell)
                if isinstance(cell.value, Tensor):
                    self.waiting += [(hook, "") for hook in cell.value._hooks or ()]
                elif not is_plain(cell.value) and (
                    not isinstance(cell.value, _LEAVES) or _holds_objects(cell.value)
                ):
                    self.waiting.append((cell.value, cell.path))
        if not _ENVIRONMENT.isdisjoint(self.names):
            cells.append(Cell("attribute", os, "environ", os.environ, "os.environ"))
        for place, names in self.globals.values():  # of builtins, too
            if names:
                cells.append(Cell("absent", place, tuple(sorted(names)), True, ", ".join(sorted(names))))
        for cell in cells:
            if cell.kind == "names":  # of functions few look for names that are not there
                cell.key = self.any or not isinstance(cell.container, types.FunctionType)
        return (
            cell for cell in cells if cell.kind not in ("attribute", "slot", "class") or self._matters(cell)
        )

    def _cells_of_next(self) -> list[Cell]:
        """Return the cells of the thing that waits longest, if it is new."""
        thing, path = self.waiting.pop(0)
        if id(thing) in self.seen:
            return []
        self.seen.add(id(thing))
        return list(self._cells_of(thing, path))

    def _cells_of_modules(self) -> list[Cell]:
        """Return the cells of what modules hold under names that were met since they were looked at last."""
        found = []
        for module, path, known in self.modules:
            for name in (self.names & vars(module).keys()) - known:
                known.add(name)
                found.append(Cell("item", vars(module), name, vars(module)[name], f"{path}.{name}"))
        return found

    def _matters(self, cell: Cell) -> bool:
        """Say whether somebody's code can mean this attribute."""
        if self.any or cell.key in self.names:
            return True
        if isinstance(cell.container, type):
            return False
        kind: Any = type(cell.container)
        return not is_plain(cell.value) or cell.key in _asked_by(kind)

    def _cells_of(self, thing: Any, path: str) -> Iterator[Cell]:
        if isinstance(thing, types.MethodType):
            yield Cell(
                "attribute", thing, "__self__", thing.__self__, (path and f"{path}.__self__") or "self"
            )
            yield Cell("attribute", thing, "__func__", thing.__func__, path)
        elif isinstance(thing, types.FunctionType):
            yield from self._cells_of_function(thing)
        elif isinstance(thing, dict):
            for key, value in list(thing.items()):
                yield Cell("item", thing, key, value, f"{path}[{key!r}]")
            yield from self._cells_within([*thing], path)
        elif isinstance(thing, set | frozenset):
            yield from self._cells_within(thing, path)
        elif _holds_objects(thing):
            yield from self._cells_within(thing.flat, path)
        elif isinstance(thing, _VIEWS):  # of a dict that no name may lead to
            yield from self._cells_within([x for x in gc.get_referents(thing) if "__module__" not in x], path)
        elif isinstance(thing, partial):
            yield Cell("slot", thing, "args", thing.args, f"{path}.args" if path else "args")
            self.waiting += [(thing.func, path), (thing.keywords, path)]
        elif isinstance(thing, list | tuple | deque):
            for i, value in enumerate(thing):
                yield Cell("item", thing, i, value, f"{path}[{i}]")
        elif isinstance(thing, types.ModuleType):
            self.modules.append((thing, path, set()))
        elif isinstance(thing, ContextVar):
            yield Cell("context", thing, None, thing.get(UNSET), path or thing.name)
        elif isinstance(thing, types.BuiltinFunctionType | types.MethodWrapperType):
            self.any = self.any or thing in _FINDING
            if isinstance(thing.__self__, _MUTABLE):  # a method of a list or dict
                yield Cell("fixed", {0: thing.__self__}, 0, thing.__self__, path)
        elif isinstance(thing, np.ufunc):
            return
        elif isinstance(thing, operator.attrgetter):
            self.any = True
        elif isinstance(thing, ref):
            self.waiting.append((thing(), path))
        elif isinstance(thing, type):
            yield from self._cells_of_class(thing)
        else:
            yield from self._cells_of_object(thing, path)

    def _cells_within(self, things: Iterable[Any], path: str) -> Iterator[Cell]:
        """Iterate over what is always in its place: keys, members of a set."""
        return (Cell("fixed", {0: x}, 0, x, path) for x in things if not is_plain(x))

    def _cells_of_object(self, thing: Any, path: str) -> Iterator[Cell]:
        kind = type(thing)
        if _is_foreign(kind.__module__) and not str(kind.__module__).startswith(_HOLDERS):
            return
        if isinstance(thing, threading.local):  # another thread has other attributes
            for name, value in list(vars(thing).items()):
                yield Cell("slot", thing, name, value, f"{path}.{name}" if path else name)
        elif hasattr(thing, "__dict__"):
            yield Cell("names", thing, None, len(vars(thing)), path or kind.__name__)
            for name, value in list(vars(thing).items()):
                yield Cell("attribute", thing, name, value, f"{path}.{name}" if path else name)
        elif _is_users(kind):
            yield Cell("slot", thing, "__class__", kind, f"the class of {path or kind.__name__}")
        for base in kind.__mro__:
            if not _is_users(base):
                continue
            self.waiting.append((base, base.__name__))
            slots = base.__dict__.get("__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                if hasattr(thing, name) and name not in ("__dict__", "__weakref__"):
                    yield Cell("slot", thing, name, getattr(thing, name), f"{path}.{name}" if path else name)

    def _cells_of_class(self, kind: type) -> Iterator[Cell]:
        """Iterate over the attributes of a user's class, and look at what its methods mention."""
        if _is_users(type(kind)):
            self.waiting.append((type(kind), type(kind).__name__))
        for base in kind.__mro__:
            if not _is_users(base) or (base is not kind and id(base) in self.seen):
                continue
            self.seen.add(id(base))
            yield Cell("names", base, None, len(vars(base)), base.__name__)
            for name, member in list(vars(base).items()):
                for part in ("__func__", "fget", "fset", "fdel"):
                    inner = getattr(member, part, member)
                    if isinstance(inner, types.FunctionType):
                        self.waiting.append((inner, ""))
                if not (name.startswith("__") and name.endswith("__")):
                    yield Cell("class", base, name, member, f"{base.__name__}.{name}")

    def _cells_of_function(self, function: types.FunctionType) -> Iterator[Cell]:
        code = function.__code__
        module = function.__globals__.get(
            "__name__", ""
        )  # a wrapped function's `__module__` may be another's
        if _is_foreign(module) or is_installed(code.co_filename):
            for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
                if _is_empty(cell):
                    continue
                if module.startswith(_HOLDERS):
                    yield Cell("closure", cell, name, cell.cell_contents, name)
                else:  # a wrapper of the user's function, like that of `contextlib.contextmanager`
                    self.waiting += [(wrapped, "") for wrapped in _functions_in(cell.cell_contents)]
            return
        self._note_names(code)
        path = function.__name__
        asked = _NOW & _names_in(code)
        if asked and any(function.__globals__.get(name) in _DATES for name in _global_names(code)):
            self.clock = f"reads the clock by datetime's {min(asked)}()"
        yield Cell("names", function, None, len(vars(function)), path)
        for name, value in vars(function).items():
            yield Cell("attribute", function, name, value, f"{path}.{name}")
        yield Cell("slot", function, "__code__", code, f"the code of {path}")
        yield Cell("slot", function, "__defaults__", function.__defaults__, f"the defaults of {path}")
        yield Cell("slot", function, "__kwdefaults__", function.__kwdefaults__, f"the defaults of {path}")
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            if not _is_empty(cell):
                yield Cell("closure", cell, name, cell.cell_contents, name)
        known = self.globals.setdefault(id(function.__globals__), (function.__globals__, set()))
        known[1].update(_global_names(code) - function.__globals__.keys())
        for name in function.__globals__ if _NAMING_GLOBALS & {*code.co_names} else _global_names(code):
            if name in function.__globals__:
                value = function.__globals__[name]
                if isinstance(value, type) and not _is_users(value):
                    continue
                if not (isinstance(value, types.ModuleType) and _is_library(value)):
                    yield Cell("item", function.__globals__, name, value, name)
        for name in _imported_names(code):
            if name in sys.modules and not _is_library(sys.modules[name]):
                self.waiting.append((sys.modules[name], name))

    def _note_names(self, code: types.CodeType) -> None:
        self.names.update(code.co_names)
        self.catches = self.catches or _catches(code)
        self.any = self.any or not _BY_NAME.isdisjoint(code.co_names)
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                self._note_names(constant)
            elif isinstance(constant, str) and constant.isidentifier():  # as getattr takes it
                self.names.add(constant)


def _functions_in(thing: Any) -> list[types.FunctionType]:
    """Return the functions that something is or, a dict, holds."""
    found = thing.values() if isinstance(thing, dict) else [thing]
    return [x for x in found if isinstance(x, types.FunctionType)]


def _holds_objects(thing: Any) -> bool:
    return isinstance(thing, np.ndarray) and thing.dtype.kind == "O"


@cache
def _asked_by(kind: type) -> frozenset[str]:
    """Return the names that the methods of this package's modules and optimizers mention, of a class or its bases."""
    methods = [
        member.__code__
        for base in kind.__mro__
        if base.__module__.startswith(_WITH_NUMBERS)
        for name, member in vars(base).items()
        if isinstance(member, types.FunctionType) and name not in ("__init__", "__repr__")
    ]
    return frozenset(name for code in methods for name in code.co_names)


@lru_cache(maxsize=1024)
def _catches(code: types.CodeType) -> bool:
    """Say whether code may go on after an error: it has an ``except``, or is or uses a context manager that has."""
    found = list(dis.get_instructions(code))
    at = {i.offset: i.opname for i in found}
    return (
        code.co_name == "__exit__"
        or not _CATCHING.isdisjoint(code.co_names)
        or not _MATCHING.isdisjoint(at.values())
        or any(a.opname == "PUSH_EXC_INFO" and b.opname == "POP_TOP" for a, b in pairwise(found))
        or any(i.opname == "SETUP_FINALLY" and at.get(i.argval) == "POP_TOP" for i in found)  # of Python 3.10
    )


@lru_cache(maxsize=1024)
def _names_in(code: types.CodeType) -> frozenset[str]:
    """Return the names of globals and attributes that code, and the functions in it, mentions."""
    inner = [_names_in(constant) for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return frozenset(code.co_names).union(*inner)


@lru_cache(maxsize=1024)
def _global_names(code: types.CodeType) -> frozenset[str]:
    """Return the names of the globals that code, and the functions in it, reads."""
    names = {i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _global_names(constant)
    return frozenset(names)


@lru_cache(maxsize=1024)
def _imported_names(code: types.CodeType) -> frozenset[str]:
    """Return the names of the modules that code, and the functions in it, imports."""
    names = {i.argval for i in dis.get_instructions(code) if i.opname == "IMPORT_NAME"}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _imported_names(constant)
    return frozenset(names)


def _is_users(kind: type) -> bool:
    """Say whether a class is the user's own."""
    if _is_foreign(kind.__module__):
        return False
    module = sys.modules.get(kind.__module__)
    return module is None or not _is_library(module)


def _is_foreign(module: Any) -> bool:
    """Say whether a module is this package's or NumPy's, whose own state is not the user's affair."""
    if module is not None and not isinstance(module, str):  # of types that are written in C
        return True
    return (module or "").split(".")[0] in ("mytorch", "numpy", "builtins")


def _is_library(module: types.ModuleType) -> bool:
    """Say whether a module is one that nobody keeps state in."""
    name = module.__name__.split(".")[0]
    return (
        _is_foreign(name) or name in sys.stdlib_module_names or is_installed(getattr(module, "__file__", ""))
    )


@cache
def is_of_user(filename: str) -> bool:
    """Say whether a file is the user's own: not of this package, of NumPy, of Python, or installed."""
    return not filename.startswith(LIBRARY) and not is_installed(filename)


@cache
def is_installed(filename: str | None) -> bool:
    """Say whether a file belongs to an installed package or to Python, which keep no state of the user's."""
    name = filename or ""
    return name.startswith((sysconfig.get_path("stdlib"), "<frozen")) or "site-packages" in name


def _is_empty(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return True
    return False
