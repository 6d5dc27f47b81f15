"""Names for what a program computes: those of the user where they are known, short systematic ones elsewhere.

The line of an instruction is kept as a code object and a place in it, so the name that a result was given is read
from the bytecode: it is what the next instruction stores to.
"""

from __future__ import annotations

import builtins
import dis
import inspect
import keyword
import re
from collections.abc import Callable, Iterable
from functools import cache
from types import CodeType
from typing import Any

from mytorch import trees
from mytorch.replay.instructions import Instruction

# Parts of a path that say only how a container holds its members.
NOISE = {"modules", "_modules", "parameters", "_parameters", "layers", "self", "__self__", "__wrapped__"}


def identifier(text: str) -> str:
    """Return a path as one word.

    >>> identifier("model.W"), identifier("layers[0]['b']"), identifier("lambda")
    ('model_W', 'layers_0_b', 'lambda_')
    """
    words = re.findall(r"\w+", text)
    kept = [word for word in words if word not in NOISE] or words
    if kept[0].isdigit():
        kept = words
    name = re.sub(r"_+", "_", "_".join(kept)).strip("_") or "x"
    return f"x_{name}" if name[0].isdigit() else f"{name}_" if keyword.iskeyword(name) else name


class Names:
    """The names that are given so far: no two things have one name."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self.taken = {"np", *taken, *(name for name in dir(builtins) if not name.startswith("_"))}
        self.counts: dict[str, int] = {}

    def fresh(self, name: str) -> str:
        """Return `name`, or the name with a number where it is taken."""
        new, n = name, 1
        while new in self.taken:
            n += 1
            new = f"{name}_{n}"
        self.taken.add(new)
        return new

    def numbered(self, prefix: str) -> str:
        """Return the next of the names ``t1, t2, ...``."""
        while True:
            self.counts[prefix] = self.counts.get(prefix, 0) + 1
            new = f"{prefix}{self.counts[prefix]}"
            if new not in self.taken:
                self.taken.add(new)
                return new


def best_path(paths: Iterable[str]) -> str | None:
    """Return the path that says most of what is found there: one that ends in an attribute, not in an index."""
    return min(paths, key=lambda path: (path.endswith("]"), len(path)), default=None)


# -- names that the user's code gives -----------------------------------------------------------------------------


@cache
def _stores(code: CodeType) -> dict[int, str]:
    """Return, per offset of an instruction, the name that the next one gives to its result."""
    found, previous = {}, None
    for instruction in dis.get_instructions(code):
        if instruction.opname == "COPY" or instruction.opname.startswith(
            ("DUP_", "NOP", "EXTENDED_ARG", "CACHE")
        ):
            continue  # `a = b = f(x)` stores a copy
        if (
            previous is not None
            and instruction.opname.startswith("STORE_")
            and instruction.opname != "STORE_SUBSCR"
        ):
            name = instruction.argval
            name = name[0] if isinstance(name, tuple) else name
            if isinstance(name, str) and name != "_":
                found[previous] = name
        previous = instruction.offset
    return found


def stored_name(code: CodeType | None, lasti: int) -> str | None:
    """Return the variable that the user's code puts the result of an instruction in, if it does so at once.

    >>> def f(x):
    ...     frame = inspect.currentframe()
    ...     return frame
    >>> stored_name(f.__code__, f(1).f_lasti) is None
    True
    """
    if code is None:
        return None
    stores = _stores(code)
    if lasti in stores:
        return stores[lasti]
    before = [offset for offset in _offsets(code) if offset <= lasti]
    return stores.get(before[-1]) if before else None


@cache
def _offsets(code: CodeType) -> list[int]:
    return [instruction.offset for instruction in dis.get_instructions(code)]


def user_names(instructions: list[Instruction], roots: set[int]) -> dict[int, str]:
    """Return, per memory's number, the variable that the user's code holds it in.

    A call of this package's functions may be several instructions of one line; the name belongs to the last of
    them that makes something which is used afterwards.
    """
    last_read = {value.buffer.number: k for k, i in enumerate(instructions) for value in i.reads}
    names: dict[int, str] = {}
    start = 0
    while start < len(instructions):
        first = instructions[start]
        stop = start + 1
        while stop < len(instructions) and _same_place(first, instructions[stop]):
            stop += 1
        name = stored_name(first.code, first.lasti) if first.phase == "forward" else None
        if name is not None:
            _name_result(instructions[start:stop], name, stop, last_read, roots, names)
        start = stop
    return names


def _same_place(a: Instruction, b: Instruction) -> bool:
    return a.code is b.code and a.lasti == b.lasti and a.phase == b.phase


def _name_result(
    run: list[Instruction],
    name: str,
    stop: int,
    last_read: dict[int, int],
    roots: set[int],
    names: dict[int, str],
) -> None:
    for instruction in reversed(run):
        for out in instruction.outs if instruction.fresh else ():
            if last_read.get(out.buffer.number, -1) >= stop or out.buffer.number in roots:
                names[out.buffer.number] = name
                return


# -- names of arguments ---------------------------------------------------------------------------------------------


def argument_names(function: Callable[..., Any], structure: trees.Structure) -> tuple[list[str], list[str]]:
    """Return the names of the parameters, and of all leaves, of a call whose ``(args, kwargs)`` have a structure."""
    positional, named = structure.children
    known = _parameters(function, len(positional.children))
    parameters = [*known, *map(str, named.keys)]
    leaves: list[str] = []
    for name, child in zip(parameters, (*positional.children, *named.children), strict=True):
        leaves += [identifier(path) for path in child.paths(name)]
    return parameters, leaves


def _parameters(function: Callable[..., Any], count: int) -> list[str]:
    """Return the names under which a function takes its first `count` positional arguments.

    A transform (`grad(f)`, `hvp(f)`) takes those of the function that it was made of, and perhaps a vector v.
    """
    names: list[str] = []
    users = inner(function)
    for parameter in _signature(users):
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            names.append(parameter.name)
        elif parameter.kind is parameter.VAR_POSITIONAL:
            names += [f"{parameter.name}_{i}" for i in range(count - len(names))]
    names = names[:count]
    rest = ["v"] if users is not function and len(names) + 1 == count else []
    return [*names, *(rest or [f"x{i}" for i in range(len(names), count)])]


def _signature(function: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return []


def inner(function: Any) -> Any:
    """Return the user's function within one that this package's transforms made of it."""
    while (getattr(function, "__module__", None) or "").startswith("mytorch.transforms"):
        known = inspect.getclosurevars(function).nonlocals if inspect.isfunction(function) else {}
        made_of = known.get("f", known.get("pair"))  # `grad` is a part of `value_and_grad`
        if not callable(made_of):
            break
        function = made_of
    return function
