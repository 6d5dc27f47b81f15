"""What a printed program takes from outside of its function: state that outlives a call, under the user's names."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy import ndarray

from mytorch.gradient_buffer import owner_of
from mytorch.replay import literals
from mytorch.replay.captured import GENERATORS, PLAIN, Cell
from mytorch.replay.errors import ReplayError
from mytorch.replay.instructions import ARGUMENT, Buffer, Instruction
from mytorch.replay.naming import _NOISE, Names, best_path, identifier
from mytorch.replay.recording import Recording
from mytorch.tensor import Tensor

_STATE = re.compile(
    r"(.*)\.state\[(\d+)\]\['(\w+)'\]"
)  # where an optimizer keeps what belongs to a parameter


class Outside:
    """The state of a printed program: arrays, numbers, generators and gradients, by name."""

    def __init__(self, recording: Recording, names: Names, leaf_names: list[str]) -> None:
        self.recording, self.names = recording, names
        self.paths = recording.paths
        self.at = {path: key for key, paths in self.paths.items() for path in paths}
        self.arguments = {key: leaf_names[i] for key, i in recording.tensors.items()}
        self.generators = {
            id(leaf): leaf_names[i] for i, leaf in enumerate(recording.given) if isinstance(leaf, GENERATORS)
        }
        self.state: dict[str, Buffer] = {}
        self.by_buffer: dict[int, str] = {}
        self.keys: dict[int, str] = {}
        self.gradients: dict[str, Tensor] = {}
        self.number_names: dict[str, tuple[Any, str]] = {}
        self.own_generators: dict[str, Any] = {}
        self.assigned_names: dict[str, Cell] = {}

    # -- names ------------------------------------------------------------------------------------------------------

    def path_of(self, thing: Any) -> str | None:
        """Return the best of the paths under which an object is found."""
        return best_path(self.paths.get(id(thing), ()))

    def _path(self, buffer: Buffer) -> str | None:
        return (self.path_of(buffer.tensors[0]) if buffer.tensors else None) or (
            self.path_of(buffer.owner) or buffer.name
        )

    def knows(self, buffer: Buffer) -> bool:
        """Say whether memory outside is state that the user can name."""
        return self._path(buffer) is not None or bool(buffer.tensors)

    def array_name(self, buffer: Buffer) -> str:
        """Return the name of memory outside, a new one where it was not met before."""
        if buffer.kind == ARGUMENT:  # a gradient that the call reads
            for tensor, value in self.recording.before:
                if value is not None and value.buffer is buffer:
                    key = self.tensor_name(tensor)
                    self.gradients[key] = tensor
                    return f'grads["{key}"]'
        name = self.names.fresh(self._name(buffer))
        self.state[name], self.by_buffer[buffer.number] = buffer, name
        return name

    def _name(self, buffer: Buffer) -> str:
        path = self._path(buffer) or "state"
        found = _STATE.fullmatch(path)
        parameter = None if found is None else self.at.get(f"{found[1]}.parameters[{found[2]}]")
        if found is None or parameter is None:
            return identifier(path)
        return identifier(f"{found[3]}_{_short(best_path(self.paths[parameter]) or '')}")

    def short_name(self, buffer: Buffer) -> str:
        """Return the name of memory outside without the object that holds it."""
        return _short(self._path(buffer) or "state")

    def tensor_name(self, tensor: Tensor, short: bool = False) -> str:
        """Return the name of a Tensor from outside, or among the arguments."""
        known = self.arguments.get(id(tensor))
        if known is not None:
            return known
        path = self.path_of(tensor)
        if path is not None and short:
            return _short(path)
        if id(tensor) not in self.keys:
            self.keys[id(tensor)] = identifier(path or f"tensor_{len(self.keys) + 1}")
        return self.keys[id(tensor)]

    def numbers(self, instructions: list[Instruction]) -> None:
        """Give names to the numbers that the call asks objects for."""
        for instruction in instructions:
            if instruction.kind == "fetch":
                owner, name = instruction.args
                path = self.path_of(owner)
                new = self.names.fresh(identifier(f"{path}.{name}" if path else name))
                self.number_names[new] = owner, name

    def number_name(self, owner: Any, name: str) -> str:
        """Return the name of a number that an object holds."""
        return next(new for new, (o, n) in self.number_names.items() if o is owner and n == name)

    def generator(self, generator: Any) -> str | None:
        """Return the name of a random generator (None: it is none)."""
        if not isinstance(generator, GENERATORS):
            return None
        if generator is getattr(np.random.mtrand, "_rand", None):
            return "np.random"
        if id(generator) not in self.generators:
            path = self.path_of(generator)
            name = self.generators[id(generator)] = self.names.fresh(identifier(path or "rng"))
            self.own_generators[name] = generator
        return self.generators[id(generator)]

    def assigned(self, cell: Cell) -> str:
        """Return the name of a place outside that the call gives a new value."""
        value = cell.value
        owner = owner_of(value._array if isinstance(value, Tensor) else value) if _is_array(value) else None
        name = next((n for n, b in self.state.items() if b.owner is owner), None) or self.names.fresh(
            identifier(cell.path)
        )
        self.assigned_names[name] = cell
        return name

    def rebound(self, written: set[int]) -> list[str]:
        """Return the names of the module that the function assigns to."""
        found = [name for number, name in self.by_buffer.items() if number in written]
        return [*found, *[name for name in self.assigned_names if name not in found]]

    # -- the head of the module ---------------------------------------------------------------------------------------

    def text_of(self, name: str, array: ndarray, arrays: dict[str, ndarray]) -> str:
        """Return the text that makes an array: what is long is kept in the file beside the module."""
        text = literals.array_text(array)
        if text is None:
            arrays[name] = np.array(array)
            text = f'saved["{name}"]'
        return text

    def state_lines(self, arrays: dict[str, ndarray], has_gradients: bool) -> list[str]:
        """Return the lines that make the state, as it is now."""
        lines = []
        for name, buffer in self.state.items():
            path = self._path(buffer)
            note = f"{buffer.owner.shape} {buffer.owner.dtype}" + (f", {path}" if path else "")
            lines.append((f"{name} = {self.text_of(name, buffer.owner, arrays)}", note))
        for name, (owner, attribute) in self.number_names.items():
            value = getattr(owner, attribute)
            lines.append(
                (f"{name} = {literals.number(value)}", f"{self.path_of(owner) or ''}.{attribute}".strip("."))
            )
        lines += [
            (f"{name} = None", cell.path)
            for name, cell in self.assigned_names.items()
            if name not in self.state
        ]
        lines += [
            line
            for name, generator in self.own_generators.items()
            for line in self._generator(name, generator, arrays)
        ]
        if has_gradients:
            entries = [
                f'"{key}": {self.text_of(f"grad_{key}", _gradient(tensor), arrays)}'
                for key, tensor in self.gradients.items()
            ]
            lines.append((f"grads = {{{', '.join(entries)}}}", ".grad of the parameters"))
        width = max((len(text) for text, _ in lines if len(text) < 60), default=0)
        return [f"{text.ljust(width)}  # {note}" if note else text for text, note in lines]

    def _generator(self, name: str, generator: Any, arrays: dict[str, ndarray]) -> list[tuple[str, str]]:
        """Return the lines that make a random generator in its present state."""
        bits = (
            generator._bit_generator
            if isinstance(generator, np.random.RandomState)
            else generator.bit_generator
        )
        kind, family = type(bits).__name__, type(generator).__name__
        if getattr(np.random, kind, None) is not type(bits):
            raise ReplayError(f"the random generator {name} runs on a {kind}, which NumPy alone cannot make")
        state = self._plain(name, bits.state, arrays)
        return [
            (f"{name} = np.random.{family}(np.random.{kind}())", ""),
            (
                f"{name}{'._bit_generator' if family == 'RandomState' else '.bit_generator'}.state = {state}",
                "",
            ),
        ]

    def _plain(self, name: str, tree: Any, arrays: dict[str, ndarray]) -> str:
        if isinstance(tree, dict):
            entries = [
                f"{key!r}: {self._plain(f'{name}_{key}', value, arrays)}" for key, value in tree.items()
            ]
            return "{" + ", ".join(entries) + "}"
        return self.text_of(name, tree, arrays) if isinstance(tree, ndarray) else repr(tree)

    # -- arguments ----------------------------------------------------------------------------------------------------

    def unpacking(self, parameters: list[str], leaf_names: list[str]) -> list[str]:
        """Return the lines that take arguments apart, and that refuse other numbers than those that were recorded."""
        lines = []
        positional, named = self.recording.structure_given.children
        leaves = iter(enumerate(zip(leaf_names, self.recording.given, strict=True)))
        for parameter, child in zip(parameters, (*positional.children, *named.children), strict=True):
            for path in child.paths(parameter):
                i, (name, leaf) = next(leaves)
                if name != path:
                    lines.append(f"{name} = {path}")
                if i in self.recording.twins:
                    twin = leaf_names[self.recording.twins[i]]
                    lines.append(f"if {name} is not {twin}:")
                    lines.append(f'    raise ValueError("this program is for {name} that is {twin}")')
                if isinstance(leaf, PLAIN) and not isinstance(leaf, type(None)):
                    text = repr(leaf)
                    lines.append(f"if {name} != {text}:")
                    lines.append(
                        f'    raise ValueError(f"this program is for {name} = {text}, got {{{name}!r}}")'
                    )
        return lines

    def example(self, function: str) -> list[str]:
        """Return the lines that call the function when the module is run: arguments of the recorded shapes."""
        texts = iter([self._example_leaf(i, leaf) for i, leaf in enumerate(self.recording.given)])
        positional, named = self.recording.structure_given.children
        given = [_tree_text(child, texts) for child in (*positional.children, *named.children)]
        words = [*given[: len(positional.children)]]
        words += [f"{key}={text}" for key, text in zip(named.keys, given[len(words) :], strict=True)]
        needs = any("example." in word for word in words)
        lines = ['if __name__ == "__main__":']
        lines += ["    example = np.random.default_rng(0)"] if needs else []
        call = f"    print({function}({', '.join(words)}))"
        if len(call) > 110:
            call = "\n".join(
                [
                    "    print(",
                    f"        {function}(",
                    *[f"            {w}," for w in words],
                    "        )",
                    "    )",
                ]
            )
        return [*lines, call]

    def _example_leaf(self, i: int, leaf: Any) -> str:
        buffer = self.recording.arguments.get(i)
        if buffer is not None:
            return _example(buffer.owner)
        if isinstance(leaf, PLAIN):
            return repr(leaf)
        return "np.random.default_rng()" if isinstance(leaf, GENERATORS) else "None"


def _short(path: str) -> str:
    words = [word for word in re.findall(r"\w+", path) if word not in _NOISE]
    return "_".join(words[1:] or words) or "x"


def _gradient(tensor: Tensor) -> ndarray:
    """Return the gradient that a Tensor has now; zeros where it has none."""
    gradient = tensor._grad
    if gradient is None:
        return np.zeros(tensor.shape, tensor.dtype)
    return np.asarray(gradient._array if isinstance(gradient, Tensor) else gradient)


def _is_array(value: Any) -> bool:
    return isinstance(value, Tensor | ndarray)


def _example(array: ndarray) -> str:
    """Return the text of some array of a shape and dtype."""
    size = str(array.shape[0]) if array.ndim == 1 else str(array.shape)
    if array.dtype.kind in "biu":
        return f"np.zeros({size}, dtype={literals.dtype_text(array.dtype)})"
    text = f"example.normal(size={size})" if array.ndim else "np.array(0.5)"
    return text if array.dtype == np.float64 else f"{text}.astype({literals.dtype_text(array.dtype)})"


def _tree_text(structure: Any, leaves: Any) -> str:
    """Return a nest of arguments as text."""
    if structure.kind is None:
        return str(next(leaves))
    children = [_tree_text(child, leaves) for child in structure.children]
    if structure.kind is type(None):
        return "None"
    if structure.kind is list:
        return f"[{', '.join(children)}]"
    if issubclass(structure.kind, dict):
        return "{" + ", ".join(f"{k!r}: {c}" for k, c in zip(structure.keys, children, strict=True)) + "}"
    return f"({', '.join(children)}{',' if len(children) == 1 else ''})"
