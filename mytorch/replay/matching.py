"""Which recording a call may replay: what it has in common with the recorded one, and what must still be as it was.

`signature` tells calls apart by their arguments, and `fits` by what the function takes from outside; both are asked
before every replay, so the questions are written out as one Python expression.  `shortcut` asks all of them at once
where nothing else has to be found out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy import ndarray

from mytorch import arrays, trees
from mytorch.regions import overlaps_itself, owner_of
from mytorch.replay.kernels import same
from mytorch.replay.record.captured import UNSET, Cell, alike, is_followed, is_plain, snapshot
from mytorch.replay.record.recording import Recording
from mytorch.tensor import Tensor, is_recording

if TYPE_CHECKING:
    from mytorch.replay.compiled import Path


def signature(leaves: list[Any], structure: trees.Structure, call: Any) -> tuple[Any, list[Any]]:
    """Return what calls that are alike have in common, and the objects that it names by identity.

    `leaves` and `structure` are those of `call`, its ``(args, kwargs)``.  None stands for calls that run as they are
    written: something outside differentiates them, an array is one of a subclass, or overlaps itself.
    """
    parts: list[Any] = [structure, is_recording()]
    holds: list[Any] = []
    for leaf in leaves:
        kind = type(leaf)
        if kind is ndarray:
            order = leaf.flags.c_contiguous or leaf.strides
            if order is not True and leaf.flags.writeable and overlaps_itself(leaf):
                return None, holds
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
        elif is_plain(leaf):
            # Not a number is no key, and zeros of two signs would be one.
            is_key = not isinstance(leaf, float | complex) or (leaf == leaf and leaf and kind is float)
            parts.append((kind, leaf if is_key else repr(leaf)))
        else:
            parts.append(_named(leaf, holds))
    seen = [id(leaf) for leaf in leaves if isinstance(leaf, ndarray | Tensor)]
    if len(set(seen)) < len(seen):  # a function may ask whether two are one
        parts.append(tuple(map(seen.index, seen)))
    kinds = tuple(_kinds(call))
    if any(kind is not dict for kind in kinds):
        parts.append(kinds)
    return tuple(parts), holds


def _kinds(tree: Any) -> Iterator[Any]:
    """Iterate over what a structure does not tell of dicts: their classes, and which of two equal keys they have."""
    if isinstance(tree, tuple) or type(tree) is list:
        for entry in tree:
            if isinstance(entry, tuple | list | dict):
                yield from _kinds(entry)
    elif isinstance(tree, dict):
        yield type(tree)
        if any(type(key) is not str for key in tree):
            yield tuple([(type(key), repr(key) if is_plain(key) else "") for key in tree])
        for entry in tree.values():
            if isinstance(entry, tuple | list | dict):
                yield from _kinds(entry)


def fits(recording: Recording) -> Callable[[], bool]:
    """Return the function that says whether all that a recording takes from outside is what it was."""
    bound = _Bound()
    terms = " and ".join(_terms(recording, bound)) or "True"
    check: Callable[[], bool] = bound.made(_FITS.format(bound=", ".join(bound), terms=terms))
    return check


_FITS = """
def bind({bound}):
    def holds():
        try:
            return {terms}
        except ValueError:  # a variable of a closure was deleted
            return False
    return holds
"""


class _Bound(dict[str, Any]):
    """Objects by the names that a text gives them."""

    def __init__(self) -> None:
        super().__init__(equal=alike, snapshot=snapshot, UNSET=UNSET)

    def name(self, thing: Any) -> str:
        """Return a name for an object."""
        name = f"c{len(self)}"
        self[name] = thing
        return name

    def made(self, text: str) -> Any:
        """Return what the function `bind` of a text returns, given these objects."""
        scope: dict[str, Any] = {}
        exec(text, scope)
        return scope["bind"](*self.values())


def _terms(recording: Recording, bound: _Bound) -> list[str]:
    """Return the conditions on what a recording takes from outside."""
    terms = []
    name = bound.name
    for cell, kind in recording.kinds:
        terms.append(f"type({name(cell.read)}()) is {name(kind)}")
    for cell in recording.cells:
        if cell.kind == "names":
            if cell.key:
                attributes = vars(cell.container)
                terms.append(f"len({name(attributes)}) == {cell.value}")
                if isinstance(attributes, dict):
                    terms.append(f"{name(cell.container)}.__dict__ is {name(attributes)}")
                    terms.append(f"type({name(cell.container)}) is {name(type(cell.container))}")
            continue
        if cell.kind == "absent":
            terms.append(f"{name(cell.container.keys())}.isdisjoint({name(cell.key)})")
            continue
        value = name(cell.value)
        terms.append(_is_still(_now(cell, name), cell.value, value))
        if cell.size is not None:
            terms.append(f"len({value}) == {cell.size}")
        if cell.keys is not None:
            terms.append(f"[*{value}] == {name(cell.keys)}" if cell.keys else f"not {value}")
        if cell.copy is not None:
            terms.append(f"snapshot({value}) == {name(cell.copy)}")
        if is_followed(cell.value) and cell.value.base is None and cell.value.ndim:  # it can be resized
            terms.append(f"{value}.shape == {cell.value.shape}")
    for tensor in {
        id(cell.value): cell.value for cell in recording.cells if isinstance(cell.value, Tensor)
    }.values():
        owner = name(tensor if tensor._base is None else tensor._base)
        terms.append(f"{owner}._key is {'not ' if tensor.requires_grad else ''}None")
        terms.append(f"{name(tensor)}._array is {name(tensor._array)}")
        hooks = tensor._hooks
        terms.append(f"{name(tensor)}._hooks {'is None' if hooks is None else f'== {name([*hooks])}'}")
    return terms


def _is_still(now: str, known: Any, value: str) -> str:
    """Return the condition that `now` is what was known, whose name is `value`, or an equal number or string."""
    if is_plain(known) and known is not None and type(known) is not bool:
        return f"({now} is {value} or equal({now}, {value}))"
    return f"{now} is {value}"


_ALWAYS = ("__class__", "__code__", "__defaults__", "__kwdefaults__")  # which nobody is without


def _now(cell: Cell, name: Callable[[Any], str]) -> str:
    """Return the text of what is at a place now."""
    key = repr(cell.key) if type(cell.key) in (str, int) else name(cell.key)
    if cell.kind == "closure":
        return f"{name(cell.container)}.cell_contents"
    if cell.kind == "slot" and cell.key in _ALWAYS:
        return f"{name(cell.container)}.{cell.key}"
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


class ArrayForm(NamedTuple):
    """What is kept of an array among the arguments of the recorded call."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    is_contiguous: bool

    @classmethod
    def of(cls, array: ndarray) -> ArrayForm:
        """Return the form of an array."""
        return cls(array.shape, array.dtype, array.flags.c_contiguous)


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
    terms = [f"is_recording() is {is_recording()}", "recording() is None"]
    bound.update(is_recording=is_recording, recording=arrays.recording, ndarray=ndarray, owner_of=owner_of)
    for x, leaf in zip(names, path.leaves, strict=True):
        known = _terms_of_argument(x, leaf, bound, program.outside_ids)
        if known is None:
            return None
        terms += known
    given = [x for x, leaf in zip(names, path.leaves, strict=True) if type(leaf) is ArrayForm]
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
        busy=program.busy,
        failed=program.failed,
        acquire=path.lock.acquire,
        release=path.lock.release,
        MISS=MISS,
    )
    unpack = f"{', '.join(names)}, = args" if names else "pass"
    text = _SHORTCUT.format(
        bound=", ".join(bound), count=len(names), unpack=unpack, terms=" and ".join(terms), run=run
    )
    function: Callable[[tuple[Any, ...]], Any] = bound.made(text)
    return function


def _terms_of_argument(x: str, leaf: Any, bound: _Bound, outside: set[int]) -> list[str] | None:
    """Return the conditions that an argument named `x` is as `leaf` was in form (None: a look does not tell).

    `outside` are identities of the owners of memory that it must not lie in.
    """
    if type(leaf) is not ArrayForm:
        return None if isinstance(leaf, np.generic) else [_is_still(x, leaf, bound.name(leaf))]
    if not leaf.is_contiguous:
        return None
    terms = [
        f"type({x}) is ndarray and {x}.shape == {leaf.shape!r} and {x}.dtype is {bound.name(leaf.dtype)}",
        f"{x}.flags.c_contiguous",  # the order of memory decides what "K" means
    ]
    if outside:
        terms.append(f"id({x} if {x}.base is None else owner_of({x})) not in {bound.name(outside)}")
    return terms


_SHORTCUT = """
def bind({bound}):
    def call(args):
        if len(args) != {count}:
            return MISS
        {unpack}
        try:
            if not ({terms}) or busy[0] or not acquire(False):
                return MISS
        except ValueError:  # a variable of a closure was deleted
            return MISS
        try:
            busy[0] = True
            return run({run})
        except BaseException as error:
            if failed(error):
                return MISS
            raise
        finally:
            busy[0] = False
            release()
    return call
"""


def _named(leaf: Any, holds: list[Any]) -> tuple[str, int]:
    holds.append(leaf)
    return "object", id(leaf)


def contradicts(recording: Recording, seen: list[tuple[int, Any]]) -> bool:
    """Say whether a recording decided otherwise than what this call has decided already."""
    guards = [i for i in recording.instructions if i.kind == "guard"]
    return any(i < len(guards) and not same(guards[i].expected, value) for i, value in seen)


def fits_call(recording: Recording, leaves: list[Any]) -> bool:
    """Say whether arguments that are also taken from outside, and gradients that are read, are as they were."""
    return all(leaves[i] is leaf for i, leaf in recording.same) and all(
        (tensor._grad is None) == (value is None) for tensor, value in recording.before
    )
