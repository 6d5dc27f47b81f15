"""Variable: the scalar autograd of the course whose homework is `DIYAutograd.py`, on the rules of the engine.

>>> x1, x2, x3 = Variable(5.0, name="x_1"), Variable(-2.0, name="x_2"), Variable(-5, name="x_3")
>>> y = ln(x1 + sin(x1)) * max(x2, x3) * 2
>>> y.backward()
>>> y, x2.grad, x3.grad
(Variable(-5.58...), 2.79..., 0.0)

The mathematics stands elsewhere.  The derivatives are the formulas of `mytorch.rules`, run on Python's floats:
they are expressions that name NumPy only to call functions, so a copy of a formula in which ``np`` stands for
Python's `math` gives the same numbers, ten times as fast as arrays of no dimension.  The backward pass is the
engine's `sweep`: to it a `Variable` is the record of the operation that made it, and the shadow of memory, where
gradients are added up, is `Variable.grad`.

What this course wants otherwise than the others:

* `backward` adds to the gradients of leaves until the user sets them to zero, never to those of intermediates;
* a number among the operands is a constant: it becomes a Variable, but gets no gradient;
* Python numbers go in and come out, and where there is no real value Python's own errors say so
  (``ln(0)``, ``1 / Variable(0)``) instead of NumPy's infinities;
* where ``max`` or ``min`` tie, each side has half of the slope, as everywhere in MyTorch;
* the slope of ``a ** b`` in b is 0 for a negative a, which has real powers at whole exponents only: NaN, as the
  engine has it for arrays, would reach the constant exponent of every ``x ** 2``.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Hashable, Sequence
from functools import cache
from itertools import count
from numbers import Integral, Real
from operator import attrgetter
from typing import Any, NamedTuple, cast

import numpy as np

from mytorch.gradient_buffer import Shadow
from mytorch.records import TapeError
from mytorch.rules import RULES, Rule
from mytorch.rules.scalars import vjp_on_floats
from mytorch.sweep import sweep

_next_id = count().__next__
_new = object.__new__
_by_id = attrgetter("id")


# -- rules as the reverse pass takes them ---------------------------------------------------------------------------


class _Call(NamedTuple):
    """What a compiled formula reads of a Variable: its value, and those of its children at that time."""

    value: float
    a: float
    b: float | None = None


def _rule(func: Any, *vjps: Any) -> Rule:
    """Return the rule of a function class that consists of compiled formulas (None: a constant's)."""
    rule = Rule(func, (), name=getattr(func, "label", func.__name__), holomorphic=False)
    rule.vjps = vjps
    return rule


@cache
def _rule_of_class(func: Hashable) -> Rule:
    """Return the rule of a function class that has a `backward` of its own."""
    rule = _rule(func)
    rule.vjp_each = lambda g, v, i: g * _partials(func, v)[i]
    return rule


def _partials(func: Any, v: Variable) -> list[float]:
    """Return what the `backward` of a class that a user wrote says, with errors in terms of that class."""
    try:
        partials = [_number(partial) for partial in func.backward(v, v.children)]
    except Exception as error:
        raise TapeError(f"{func.__name__}.backward failed: {error}") from error
    if len(partials) != len(v.children):
        raise TapeError(
            f"{func.__name__}.backward: expected {len(v.children)} partial derivatives, one per child, "
            f"got {len(partials)}"
        )
    return partials


# -- the function classes -----------------------------------------------------------------------------------------


class Function:
    """A function of Variables: a class that is called without instances.

    ``class Name(Function, of=numpy_function, by=function_of_floats)`` has its derivatives from the table of rules,
    with respect to those `arguments` of the NumPy function that it takes.  A class with a `backward` of its own, of
    this kind or any other, is differentiated by that.
    """

    label: str
    domain = "finite numbers"
    rule: Rule
    forward: Callable[..., Variable]

    def __init_subclass__(cls, of: Any = None, by: Any = None, arguments: str = "ab") -> None:
        if of is not None:
            formulas = dict(zip("ab", RULES[of].formulas, strict=False))
            reads = {"y": "v.value", **dict(zip(arguments, ("v.a", "v.b"), strict=False))}
            wanted = [a for a in arguments if a in formulas]
            cls.rule = _rule(cls, *(vjp_on_floats(formulas[a], reads) for a in wanted))
            make = _forward_of_one if len(wanted) == 1 else _forward_of_two
            cls.forward = staticmethod(make(cls, by))
        elif "backward" in cls.__dict__:
            cls.rule = _rule_of_class(cast("Hashable", cls))

    @classmethod
    def backward(cls, parent: Variable, children: Sequence[Variable]) -> list[float]:
        """Return the partial derivatives of `parent`, the result of `forward`, with respect to its `children`."""
        call = _Call(parent.value, *(child.value for child in children))
        return [cast("Any", vjp)(1, call) for vjp in cls.rule.vjps]

    @classmethod
    def undefined(cls, error: type[Exception], *children: Variable) -> Exception:
        """Return the error that says that the function has no value."""
        values = ", ".join(str(child.value) for child in children)
        return error(f"{cls.label}({values}) is not a finite real number; {cls.label} takes {cls.domain}")


def _result(
    value: float, targets: tuple[Variable, ...], a: float, b: float | None, func: type[Function], rule: Rule
) -> Variable:
    """Return ``Variable(value, children, func)``, without the checks of what users give."""
    v = _new(Variable)
    v.id = _next_id()
    v.value = value
    v.targets = targets
    v.a = a
    v.b = b
    v.func = func
    v.grad = 0
    v.name = None
    v.rule = rule
    return v


def _forward_of_one(cls: type[Function], function: Callable[[float], float]) -> Callable[[Any], Variable]:
    rule = cls.rule

    def forward(a: Any) -> Variable:
        """Return a new Variable in the computation graph, the function of `a` (a Variable or a number)."""
        if not isinstance(a, Variable):
            a = Variable(a)
        try:
            x = a.value
            return _result(function(x), (a,), x, None, cls, rule)
        except (ArithmeticError, ValueError) as error:
            raise cls.undefined(type(error), a) from None

    return forward


def _forward_of_two(
    cls: type[Function], function: Callable[[float, float], float]
) -> Callable[[Any, Any], Variable]:
    both, left, right = cls.rule, _rule(cls, cls.rule.vjps[0], None), _rule(cls, None, cls.rule.vjps[1])

    def forward(a: Any, b: Any) -> Variable:
        """Return a new Variable in the computation graph, the function of `a` and `b` (Variables or numbers)."""
        rule = both
        if not isinstance(b, Variable):
            b = Variable(b)
            if isinstance(a, Variable):
                rule = left
            else:
                a = Variable(a)
        elif not isinstance(a, Variable):
            a = Variable(a)
            rule = right
        try:
            x, z = a.value, b.value
            return _result(function(x, z), (a, b), x, z, cls, rule)
        except (ArithmeticError, ValueError) as error:
            raise cls.undefined(type(error), a, b) from None

    return forward


class Inv(Function, of=np.divide, by=lambda b: 1 / b, arguments="b"):
    label = "inv"
    domain = "b ≠ 0"


class Add(Function, of=np.add, by=operator.add):
    label = "+"


class Prod(Function, of=np.multiply, by=operator.mul):
    label = "*"


class Ln(Function, of=np.log, by=math.log):
    label = "ln"
    domain = "a > 0"


class Pow(Function, of=np.power, by=math.pow):
    label = "pow"
    domain = "a > 0, or a = 0 with b ≥ 0, or a < 0 with a whole b, and results that a float can hold"


class Sin(Function, of=np.sin, by=math.sin):
    label = "sin"


class Cos(Function, of=np.cos, by=math.cos):
    label = "cos"


class Tan(Function, of=np.tan, by=math.tan):
    label = "tan"


# NaN is not equal to itself; like NumPy's, the extremum of NaN and anything is NaN.
class Max(Function, of=np.maximum, by=lambda a, b: a if a > b or a != a else b):
    label = "max"


class Min(Function, of=np.minimum, by=lambda a, b: a if a < b or a != a else b):
    label = "min"


class Variable:
    """A number that knows what it was computed from.

    Parameters
    ----------
    value : a real number
    arg_nodes : the Variables that it was computed from, in order
    func : the function class that computed it
    name : what a drawing calls it

    Attributes
    ----------
    id : int, unique, and larger than those of the children
    value, children, func, name : as given; children is a list
    grad : the derivative of what `backward` was called on with respect to this Variable, 0 at first
    """

    __slots__ = ("a", "b", "func", "grad", "id", "name", "rule", "targets", "value")
    # To the reverse pass, a Variable is the record of its operation, and its gradient lies in itself.
    rule: Rule
    targets: tuple[Variable, ...]  # where the gradients of the arguments go: to the children
    target = property(lambda self: self)
    metas = None
    a: float | None  # the values of the arguments, as they were when the operation was done
    b: float | None

    def __init__(
        self, value: Any, arg_nodes: Sequence[Variable] = (), func: Any = None, name: str | None = None
    ) -> None:
        self.id = _next_id()
        self.value = value if type(value) is float or type(value) is int else _number(value)
        self.targets = tuple(arg_nodes)
        self.func = func
        self.grad: float = 0
        self.name = name
        if func is not None:
            self.rule = getattr(func, "rule", None) or _rule_of_class(func)
            self.a, self.b, *_ = [child.value for child in self.targets] + [None, None]

    @property
    def children(self) -> list[Variable]:
        """The Variables that this one was computed from, in the order of the function's arguments."""
        return list(self.targets)

    @staticmethod
    def convert(a: Any) -> Variable:
        """Return `a` if it is a Variable, else a new one of that value."""
        return a if isinstance(a, Variable) else Variable(a)

    def backward(self) -> None:
        """Set the gradients of the Variables that this one was computed from, and add to those of the leaves."""
        nodes = self.topoSort()
        nodes.reverse()
        leaves = [(leaf, leaf.grad) for leaf in nodes if leaf.func is None]
        operations = [node for node in nodes if node.func is not None]
        for node in operations:
            node.grad = 0
        self.grad += 1
        try:
            sweep(operations, _Gradients())
        except Exception:
            for leaf, grad in leaves:
                leaf.grad = grad
            raise

    def topoSort(self) -> list[Variable]:
        """Return this Variable and all that it was computed from, each before the Variables that it was made of."""
        nodes, seen = [self], {self}
        for node in nodes:
            for child in node.targets:
                if child not in seen:
                    seen.add(child)
                    nodes.append(child)
        nodes.sort(key=_by_id, reverse=True)
        return nodes

    def nodeName(self) -> str:
        """Return what a drawing calls this Variable: the function's label, the name, or the value."""
        if self.func is not None:
            return str(self.func.label)
        return self.name or str(round(self.value, 3))

    def drawGraph(self, path: Any = None) -> Any:
        """Draw the computation: into the file `path` (.png, .svg or .dot), else on the screen.

        Where there is no screen, into ``graph.png``, and what was written is printed.
        """
        from mytorch.extras.draw import show

        return show(self, path)

    def __graph__(self) -> list[tuple[Any, ...]]:
        """Return the nodes of the drawing (see `mytorch.extras.draw`)."""
        return [
            (
                id(node),
                (node.name or "") if node.func is None else node.nodeName(),
                "input" if node.func is None else "operation",
                [id(child) for child in node.targets],
                node.value,
            )
            for node in reversed(self.topoSort())
        ]

    __add__, __mul__, __pow__ = Add.forward, Prod.forward, Pow.forward

    def __radd__(self, a: Any) -> Variable:
        return Add.forward(a, self)

    def __sub__(self, b: Any) -> Variable:
        return Add.forward(self, Prod.forward(b, -1))

    def __rsub__(self, a: Any) -> Variable:
        return Add.forward(a, Prod.forward(self, -1))

    def __rmul__(self, a: Any) -> Variable:
        return Prod.forward(a, self)

    def __truediv__(self, b: Any) -> Variable:
        return Prod.forward(self, Inv.forward(b))

    def __rtruediv__(self, a: Any) -> Variable:
        return Prod.forward(a, Inv.forward(self))

    def __rpow__(self, a: Any) -> Variable:
        return Pow.forward(a, self)

    def __neg__(self) -> Variable:
        return Prod.forward(self, -1)

    def __pos__(self) -> Variable:
        return self

    def __repr__(self) -> str:
        return f"Variable({self.value})" if self.name is None else f"Variable({self.value}, {self.name})"


def _number(value: Any) -> float:
    """Return `value` as a Python int or float."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value.item()
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    raise TypeError(
        f"a Variable holds one real number, got {type(value).__name__} {value!r}; "
        "make one Variable for every number"
    )


class _Gradients(Shadow):
    """The shadow of Variables: the gradient of each lies in its `grad`."""

    take: Any = staticmethod(attrgetter("grad"))

    def add(self, target: Any, gradient: Any) -> None:
        target.grad += gradient


ln, sin, cos, tan = Ln.forward, Sin.forward, Cos.forward, Tan.forward
max, min = Max.forward, Min.forward


# -- the course's own checks and demonstration ----------------------------------------------------------------------


def functionUnitTests() -> None:
    """Check the value and the partial derivatives of every function class; raise AssertionError if one is wrong."""
    checks: list[tuple[Any, tuple[float, ...], float, list[float]]] = [
        (Inv, (4.0,), 0.25, [-0.0625]),
        (Add, (5, 3), 8, [1, 1]),
        (Prod, (5, 3), 15, [3, 5]),
        (Ln, (4.0,), math.log(4.0), [0.25]),
        (Pow, (5, 3), 125, [75, 125 * math.log(5)]),
        (Sin, (2.0,), math.sin(2.0), [math.cos(2.0)]),
        (Cos, (2.0,), math.cos(2.0), [-math.sin(2.0)]),
        (Tan, (2.0,), math.tan(2.0), [1 / math.cos(2.0) ** 2]),
        (Max, (5, 3), 5, [1, 0]),
        (Min, (5, 3), 3, [0, 1]),
        (Max, (4, 4), 4, [0.5, 0.5]),
        (Min, (4, 4), 4, [0.5, 0.5]),
    ]
    for function, arguments, value, partials in checks:
        children = [Variable(a) for a in arguments]
        parent = function.forward(*children)
        found = function.backward(parent, children)
        if not math.isclose(parent.value, value):
            raise AssertionError(f"{function.__name__}{arguments}: {parent.value}, not {value}")
        if len(found) != len(partials) or not all(map(math.isclose, found, partials)):
            raise AssertionError(f"{function.__name__}.backward at {arguments}: {found}, not {partials}")
        print(f"{function.__name__:4} {arguments!s:9} = {parent.value:<20.12g} partial derivatives {found}")
    print(f"All {len(checks)} function checks passed.")


def backpropUnitTests() -> None:
    """Check `backward` on expressions whose derivatives are known; raise AssertionError if one is wrong."""
    x1, x2, x3 = (Variable(v, name=n) for v, n in ((5.0, "x_1"), (-2.0, "x_2"), (-5.0, "x_3")))
    u, s = 5 + math.sin(5), math.cos(5)
    shared = x1 * x2
    checks: list[tuple[str, Variable, list[float]]] = [
        (
            "ln(x1 + sin(x1)) * max(x2, x3) * 2",
            ln(x1 + sin(x1)) * max(x2, x3) * 2,
            [-4 * (1 + s) / u, 2 * math.log(u), 0],
        ),
        ("x1 / x2 - x3", x1 / x2 - x3, [-1 / 2, -5 / 4, -1]),
        ("(x1*x2) * (x1*x2) + x1*x2", shared * shared + shared, [2 * -10 * -2 - 2, 2 * -10 * 5 + 5, 0]),
        ("x3 ** 3 - 2 / x1", x3**3 - 2 / x1, [2 / 25, 0, 75]),
        (
            "cos(x1) * tan(x2) + min(x2, x3)",
            cos(x1) * tan(x2) + min(x2, x3),
            [-math.sin(5) * math.tan(-2), s / math.cos(2) ** 2, 1],
        ),
    ]
    for text, y, expected in checks:
        for x in (x1, x2, x3):
            x.grad = 0
        y.backward()
        found = [x1.grad, x2.grad, x3.grad]
        if not all(math.isclose(f, e, rel_tol=1e-9) for f, e in zip(found, expected, strict=True)):
            raise AssertionError(f"{text}: gradient {found}, not {expected}")
        print(f"{text:36} gradient {[round(g, 6) for g in found]}")
    print(f"All {len(checks)} backpropagation checks passed.")


def main() -> tuple[float, float]:
    """Climb (x1 + x2)(x1·x2 + x1·x2²) from (1, −1/2) in 500 steps along its gradient; return where that ends."""
    x1, x2 = Variable(1.0, name="x_1"), Variable(-0.5, name="x_2")
    for step in range(501):
        y = (x1 + x2) * (x1 * x2 + x1 * x2**2)
        if step % 100 == 0:
            print(f"step {step:3}: x1 = {x1.value:.6f}, x2 = {x2.value:.6f}, f = {y.value:.6f}")
        if step < 500:
            x1.grad = x2.grad = 0
            y.backward()
            x1.value += 0.1 * x1.grad
            x2.value += 0.1 * x2.grad
    print(f"x1 -> {x1.value:.6f} (3/8 = 0.375), x2 -> {x2.value:.6f} (-6/8 = -0.75)")
    return x1.value, x2.value
