"""The text of compiled loops: Python that Numba turns into one function of a table of addresses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import prod

import numpy as np

from mytorch.extras.loops import FIRST, TYPES, Operand, Step
from mytorch.extras.nests import Nest, Readers

LARGE = 4096  # entries from which a loop is a function of its own, whose pointers are known to be apart
BLOCK = 1024  # entries that are summed in one go: longer sums are sums of such sums, in double precision


class Text:
    """Collects the lines of one function, and the places whose addresses it is given.

    Attributes
    ----------
    places : addresses, in the order of the table
    arguments : numbers of the arguments that the caller holds, in the order of the parameters
    """

    def __init__(self, readers: Readers) -> None:
        self.readers = readers
        self.places: list[int] = []
        self.arguments: list[int] = []
        self.chars: list[str] = []  # dtypes of the arguments
        self.names: dict[object, str] = {}
        self.head: list[str] = []
        self.lines: list[str] = []
        self.count = 0

    def whole(self, loops: Sequence[Nest]) -> str:
        """Return the text of a function that runs loops one after another."""
        functions: list[str] = []
        for nest in loops:
            if prod(nest.shape) >= LARGE and nest.is_apart:
                functions.append(self.apart(nest, len(functions)))
            else:
                self.loop(nest)
        names = ["table", *[f"x{i}" for i in range(len(self.arguments))]]
        return "".join(functions) + definition("piece", names, [*self.head, *self.lines])

    def loop(self, nest: Nest) -> None:
        """Write one loop."""
        if nest.steps[0].kind == "product":
            self.product(nest.steps[0])
        elif nest.kept is not None and nest.kept < 0:
            self.leading(nest.steps[0])
        else:
            self.nest(nest)

    def apart(self, nest: Nest, number: int) -> str:
        """Return a loop as a function of its pointers, and write the call of it.

        What it writes meets none of its other pointers; the compiler is told so.
        """
        lines, self.lines = self.lines, []
        self.loop(nest)
        pointers = list(dict.fromkeys(re.findall(r"\bp\d+\b", "\n".join(self.lines))))
        text = definition(f"loop{number}", pointers, ["apart()", *self.lines])
        self.lines = [*lines, f"loop{number}({', '.join(pointers)})"]
        return text

    def new(self) -> str:
        """Return a name that is not taken."""
        self.count += 1
        return f"v{self.count}"

    def pointer(self, x: Operand) -> str:
        """Return the name of the pointer to an operand's memory."""
        at = x.place[0] == "at"
        key = (x.place if at else x.place[:2]), x.char
        if key not in self.names:
            name = self.names[key] = f"p{len(self.names)}"
            kind = "uint8" if x.char == "?" else TYPES[x.char]
            if at:
                self.head.append(f"{name} = pointer(table[{len(self.places)}], {kind})")
                self.places.append(x.place[1])
            else:
                if x.place[1] not in self.arguments:
                    self.arguments.append(x.place[1])
                    self.chars.append(self._char_of(x.place[1]))
                argument = self.arguments.index(x.place[1])
                self.head.append(f"{name} = pointer(address(x{argument}), {kind})")
        return self.names[key]

    def _char_of(self, number: int) -> str:
        buffers = self.readers.program.recording.arguments.values()
        return next(b.owner.dtype.char for b in buffers if b.number == number)

    def entry(self, x: Operand, index: str) -> str:
        """Return the text of an entry."""
        return f"{self.pointer(x)}[{index}]"

    def load(self, x: Operand | str, char: str, index: str) -> str:
        """Return the text of an entry, or a number, in a dtype."""
        if isinstance(x, str):
            return x
        text = self.entry(x, index)
        if x.char == "?":
            text = f"({text} != 0)"
        return cast(text, x.char, char)

    def store(self, x: Operand, index: str, text: str) -> str:
        """Return the line that writes an entry of the operand's own dtype."""
        return f"{self.entry(x, index)} = {f'uint8({text})' if x.char == '?' else text}"

    # -- maps and what they are summed to --------------------------------------------------------------------------

    def nest(self, nest: Nest) -> None:
        """Write a loop of maps, and of reductions over its last axes."""
        kept = len(nest.shape) if nest.kept is None else nest.kept
        operands = list({x: None for step in nest.steps for x in (*step.operands, step.out)})
        outer = collapsed(nest.shape[:kept], [x.strides[:kept] for x in operands])
        inner = collapsed(nest.shape[kept:], [x.strides[kept:] for x in operands])
        levels = [*outer, *inner]
        index = {x: index_of(x, [strides[i] for _, strides in levels]) for i, x in enumerate(operands)}
        body, after, results = self.turn(nest, index, self.fixed(nest, index))
        indent = loops(self.lines, outer, 0)
        if nest.kept is None:
            self.lines += [indent + line for line in body]
            return
        self.reduced(indent, inner, len(outer), body, results)
        self.lines += [indent + line for line in after]

    def fixed(self, nest: Nest, index: dict[Operand, str]) -> dict[object, str]:
        """Load what is the same in every turn before the loop, and return the names."""
        known: dict[object, str] = {}
        for step in nest.steps:
            for x in step.operands:
                if any(x.strides) or x.key in known or any(s.out.meets(x) for s in nest.steps):
                    continue
                known[x.key] = self.new()
                self.lines.append(f"{known[x.key]} = {self.load(x, x.char, index[x])}")
        return known

    def turn(
        self, nest: Nest, index: dict[Operand, str], known: dict[object, str]
    ) -> tuple[list[str], list[str], list[tuple[Step, str, str]]]:
        """Return the lines of one turn, those after the last one, and per reduction its names."""
        stores: dict[object, str] = {}
        body: list[str] = []
        after: list[str] = []
        results: list[tuple[Step, str, str]] = []
        for step in nest.steps:
            words = []
            for x in step.reads:
                if not isinstance(x, Operand):
                    words.append(x)
                    continue
                if x.key not in known:
                    known[x.key] = self.new()
                    body.append(f"{known[x.key]} = {self.load(x, x.char, index[x])}")
                words.append(cast(known[x.key], x.char, step.char))
            if step.kind == "reduce":
                total, part = self.new(), self.new()
                results.append((step, total, part))
                joined = "plus({0}, {1})" if step.function is np.add else step.text
                body.append(f"{part} = {joined.format(part, words[0])}")
                after.append(self.store(step.out, index[step.out], f"{TYPES[step.char]}({total})"))
                continue
            name, text = self.new(), step.text.format(*words, T=TYPES[step.char])
            if step.result != step.out.char:
                text = cast(f"({text})", step.result, step.out.char)
            body.append(f"{name} = {text}")
            known[step.out.key] = name
            stores.pop(step.out.key, None)
            if self.readers.outside(nest, step):
                stores[step.out.key] = self.store(step.out, index[step.out], name)
        return [*body, *stores.values()], after, results

    def reduced(
        self,
        indent: str,
        inner: list[tuple[int, list[int]]],
        depth: int,
        body: list[str],
        results: list[tuple[Step, str, str]],
    ) -> None:
        """Write the loops over the axes that are summed out."""
        size = inner[-1][0] if inner else 1
        for step, total, _ in results:
            kind = "float64" if step.function is np.add else TYPES[step.char]
            self.lines.append(f"{indent}{total} = {kind}({FIRST[step.function]})")
        indent = loops(self.lines, inner[:-1], depth, indent)
        last, further = f"i{depth + len(inner) - 1}", indent
        if size > BLOCK:
            self.lines.append(f"{indent}for first in range(0, {size}, {BLOCK}):")
            further = indent + "    "
        for step, _, part in results:
            self.lines.append(f"{further}{part} = {TYPES[step.char]}({FIRST[step.function]})")
        deepest = further
        if inner:
            span = f"first, min(first + {BLOCK}, {size})" if size > BLOCK else f"{size}"
            self.lines.append(f"{further}for {last} in range({span}):")
            deepest = further + "    "
        self.lines += [deepest + line for line in body]
        for step, total, part in results:
            self.lines.append(f"{further}{total} = {step.text.format(total, part)}")

    def leading(self, step: Step) -> None:
        """Write a reduction over the first axes: rows are added to rows."""
        source = step.operands[0]
        summed = -step.kept
        strides = [source.strides, step.out.strides]
        rows = collapsed(step.shape[:summed], [s[:summed] for s in strides])
        columns = collapsed(step.shape[summed:], [s[summed:] for s in strides])
        where = [index_of(x, [s[i] for _, s in [*rows, *columns]]) for i, x in enumerate([source, step.out])]
        indent = loops(self.lines, columns, len(rows))
        first = f"{TYPES[step.char]}({FIRST[step.function]})"
        self.lines.append(indent + self.store(step.out, where[1], first))
        indent = loops(self.lines, [*rows, *columns], 0)
        entry, now = self.new(), self.new()
        self.lines.append(f"{indent}{entry} = {self.load(source, step.char, where[0])}")
        self.lines.append(f"{indent}{now} = {self.entry(step.out, where[1])}")
        self.lines.append(indent + self.store(step.out, where[1], step.text.format(now, entry)))

    # -- products ------------------------------------------------------------------------------------------------------

    def product(self, step: Step) -> None:
        """Write a product of matrices: sums along rows where both lie so in memory, else rows added to rows."""
        a, b = step.operands
        out, (m, n, k) = step.out, step.shape
        by_columns = n > 1 and b.strides[1] == out.strides[1] == 1
        by_rows = m > 1 and a.strides[0] == out.strides[0] == 1
        if (a.strides[2] == b.strides[2] == 1) or not (by_columns or by_rows):
            return self.product_of_rows(step)
        order = [("i0", m), ("i2", k), ("i1", n)] if by_columns else [("i1", n), ("i2", k), ("i0", m)]
        still, moving = (a, b) if by_columns else (b, a)
        index = [self.index(x) for x in (still, moving, out)]
        (i, x), (j, y), (inner, z) = order
        name = self.new()
        self.lines += [
            f"for {i} in range({x}):",
            f"    for {inner} in range({z}):",
            f"        {self.store(out, index[2], f'{TYPES[out.char]}(0)')}",
            f"    for {j} in range({y}):",
            f"        {name} = {self.entry(still, index[0])}",
            f"        for {inner} in range({z}):",
            f"            {self.entry(out, index[2])} += {name} * {self.entry(moving, index[1])}",
        ]
        return None

    def product_of_rows(self, step: Step) -> None:
        """Write a product of matrices as sums."""
        a, b = step.operands
        name = self.new()
        entries = " * ".join(self.entry(x, self.index(x)) for x in (a, b))
        self.lines += [
            f"for i0 in range({step.shape[0]}):",
            f"    for i1 in range({step.shape[1]}):",
            f"        {name} = {TYPES[step.char]}(0)",
            f"        for i2 in range({step.shape[2]}):",
            f"            {name} = plus({name}, {entries})",
            f"        {self.store(step.out, self.index(step.out), name)}",
        ]

    @staticmethod
    def index(x: Operand) -> str:
        """Return the place of an entry of a product's operand."""
        return index_of(x, [0 if n == 1 else s for n, s in zip(x.shape, x.strides, strict=True)])


def definition(name: str, parameters: Sequence[str], lines: Sequence[str]) -> str:
    """Return the text of a function."""
    return f"def {name}({', '.join(parameters)}):\n" + "".join(f"    {line}\n" for line in lines)


def cast(text: str, old: str, new: str) -> str:
    """Return the text of a number in another dtype."""
    if old == new:
        return text
    return f"({text} != 0)" if new == "?" else f"{TYPES[new]}({text})"


def index_of(x: Operand, strides: Sequence[int]) -> str:
    """Return the place of an entry, counted from the pointer."""
    terms = [f"i{level}" if s == 1 else f"{s} * i{level}" for level, s in enumerate(strides) if s]
    offset = 0 if x.place[0] == "at" else x.place[2] // np.dtype(x.char).itemsize
    if offset or not terms:
        terms.append(str(offset))
    return " + ".join(terms)


def collapsed(shape: Sequence[int], strides: Sequence[Sequence[int]]) -> list[tuple[int, list[int]]]:
    """Return the loops over a shape, each with the strides of all operands; axes that follow each other are one."""
    levels: list[tuple[int, list[int]]] = []
    for axis, n in enumerate(shape):
        if n == 1:
            continue
        now = [s[axis] for s in strides]
        if levels and all(before == n * s for before, s in zip(levels[-1][1], now, strict=True)):
            levels[-1] = levels[-1][0] * n, now
        else:
            levels.append((n, now))
    return levels


def loops(lines: list[str], levels: Sequence[tuple[int, list[int]]], depth: int, indent: str = "") -> str:
    """Write the heads of loops, and return the indentation of what belongs inside."""
    for i, (n, _) in enumerate(levels):
        lines.append(f"{indent}for i{depth + i} in range({n}):")
        indent += "    "
    return indent
