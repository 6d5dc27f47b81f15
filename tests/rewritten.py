"""Tests read as programs: what a test asserts about becomes its result, and the numbers that it starts from vary.

The suites of Tensors consist of programs already: they make Tensors, compute, differentiate, and assert.  `programs`
reads such a module and changes its text: ``assert a == b`` and ``np.testing.assert_allclose(a, b)`` keep `a` and `b`,
and what is given to `Tensor`, or stands in a constant of the module, is multiplied by numbers near one, which are the
program's argument.  The same program then runs eagerly and compiled, with any inputs.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mytorch import Tensor, trees, vjp

SIZE = 10_000  # numbers that a call is given; a program that needs more begins again


class Run:
    """What is going on while a program runs; at its end all is as it was before."""

    def __init__(self) -> None:
        self.numbers: Any = None
        self.position = 0
        self.seen: list[Any] = []

    def vary(self, value: Any) -> Any:
        """Return floating-point numbers, multiplied by the next numbers of the argument; anything else as it is."""
        if isinstance(value, list) and value and all(isinstance(x, float) for x in value):
            value = np.array(value)
        known = type(value) is float or isinstance(value, np.ndarray | np.generic)
        if not known or np.asarray(np.result_type(value)).dtype.kind not in "fc" or self.numbers is None:
            return value
        size = np.size(value)
        if self.position + size > SIZE:
            self.position = 0
        factors = self.numbers[self.position : self.position + size].reshape(np.shape(value))
        self.position += size
        return value * (factors if type(value) is float else factors.astype(value.dtype))

    def note(self, *values: Any) -> None:
        """Keep copies of numbers that the test asks about."""
        for value in trees.flatten(values)[0]:
            if isinstance(value, Tensor):
                self.seen.append(value.detach().copy())
            elif isinstance(value, np.ndarray):
                if value.dtype.kind in "biufc":
                    self.seen.append(value.copy())
            elif isinstance(value, np.generic | int | float | complex | str):
                self.seen.append(value)

    def check(self, function: Callable[..., Any], *args: Any, **options: Any) -> None:
        """Keep values and gradients, in the place of `check_gradients`."""
        args = tuple(self.vary(x) for x in args)
        try:
            value, pullback = vjp(function, *args)
        except TypeError:  # arguments that have no gradient
            self.note(function(*args))
            return
        leaves, structure = trees.flatten(value)
        self.note(value, pullback(structure.unflatten([np.ones(np.shape(x), x.dtype) for x in leaves])))

    def compare(self, ours: Callable[..., Any], theirs: Any, operands: list[Any], torch: Any) -> None:
        """Keep values and gradients, where a test compares with PyTorch's."""
        self.check(ours, *operands)

    def of(self, test: Callable[..., Any], numbers: Any, arguments: dict[str, Any]) -> tuple[Any, ...]:
        """Run a test, and return what it asked about."""
        self.numbers = numbers
        try:
            test(**arguments)
        except pytest.fail.Exception as error:  # `pytest.raises`, of numbers that raise nothing
            self.note(str(error))
        finally:
            found = tuple(self.seen)
            self.numbers, self.position = None, 0
            self.seen.clear()
        return found


class _Rewriter(ast.NodeTransformer):
    """Changes the text of a module."""

    def __init__(self, constants: set[str], instead: dict[str, str]) -> None:
        self.constants, self.instead, self.depth = constants, instead, 0

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        node.decorator_list = [self.visit(decorator) for decorator in node.decorator_list]
        self.depth += 1
        node.body = [self.visit(statement) for statement in node.body]
        self.depth -= 1
        return node

    def visit_Lambda(self, node: ast.Lambda) -> Any:
        self.depth += 1
        self.generic_visit(node)
        self.depth -= 1
        return node

    def visit_Assert(self, node: ast.Assert) -> Any:
        asked = self.visit(node.test)
        operands = [asked.left, *asked.comparators] if isinstance(asked, ast.Compare) else [asked]
        return ast.copy_location(ast.Expr(self._call("note", operands)), node)

    def visit_Call(self, node: ast.Call) -> Any:
        self.generic_visit(node)
        name = ast.unparse(node.func)
        if name.startswith("np.testing.assert_"):
            return ast.copy_location(self._call("note", node.args[:2]), node)
        if name in self.instead:
            node.func = ast.copy_location(self._method(self.instead[name]), node.func)
        elif name == "Tensor" and node.args:
            node.args[0] = ast.copy_location(self._call("vary", node.args[:1]), node.args[0])
        return node

    def visit_Name(self, node: ast.Name) -> Any:
        if self.depth and node.id in self.constants and isinstance(node.ctx, ast.Load):
            return ast.copy_location(self._call("vary", [node]), node)
        return node

    def _method(self, name: str) -> ast.expr:
        return ast.Attribute(ast.Name("run_of_test", ast.Load()), name, ast.Load())

    def _call(self, name: str, args: list[ast.expr]) -> ast.Call:
        return ast.Call(self._method(name), args, [])


class Anything:
    """In the place of PyTorch: what it says is of no interest here."""

    def __getattr__(self, name: str) -> Anything:
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Anything:
        return self

    __add__ = __radd__ = __iadd__ = __sub__ = __rsub__ = __isub__ = __mul__ = __rmul__ = __imul__ = __call__
    __abs__ = __matmul__ = __rmatmul__ = __truediv__ = __pow__ = __neg__ = __getitem__ = __setitem__ = (
        __call__
    )

    def __iter__(self) -> Any:
        return iter([self])


def programs(name: str, instead: dict[str, str] | None = None) -> tuple[types.ModuleType, Run]:
    """Return the module `name` with its text changed, and what its tests run in.

    `instead` says for helpers of the module which method of `Run` is called in their place.
    """
    original = importlib.import_module(name)
    run, path = Run(), Path(inspect.getfile(original))
    constants = {key for key, value in vars(original).items() if key.isupper() and type(value) is np.ndarray}
    tree = ast.parse(path.read_text())
    tree = _Rewriter(constants, {"check_gradients": "check", **(instead or {})}).visit(tree)
    module = types.ModuleType(f"{name}_as_programs")
    vars(module).update(run_of_test=run, __file__=str(path))
    exec(compile(ast.fix_missing_locations(tree), str(path), "exec", dont_inherit=True), vars(module))
    return module, run
