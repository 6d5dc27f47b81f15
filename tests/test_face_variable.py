"""The Variable face: names, forms and meanings of `DIYAutograd.py`, and where well-known versions of it go wrong."""

from __future__ import annotations

import math
import random
import re
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from benchmarks import variable as benchmark
from benchmarks.harness import QUICK, Unavailable
from mytorch import TapeError
from mytorch.faces import variable as face
from mytorch.faces.variable import Add, Cos, Function, Inv, Ln, Max, Min, Pow, Prod, Sin, Tan, Variable
from mytorch.gradcheck import numerical_gradient
from tests.course_folder import run_in_course

CLASSES = (Inv, Add, Prod, Ln, Pow, Sin, Cos, Tan, Max, Min)


def gradients(f: Callable[..., Variable], *values: float) -> list[float]:
    """Return the derivatives of `f` at numbers, by backward."""
    variables = [Variable(v) for v in values]
    f(*variables).backward()
    return [v.grad for v in variables]


# -- what it is -------------------------------------------------------------------------------------------------------


def test_a_variable_has_the_fields_of_the_hand_out() -> None:
    x, y = Variable(5.0, name="x_1"), Variable(3)
    assert (x.value, x.children, x.func, x.grad, x.name) == (5.0, [], None, 0, "x_1")
    assert (y.value, y.name) == (3, None)
    assert x.id != y.id
    product = Variable(15.0, [x, y], Prod, "p")
    assert product.children == [x, y]
    assert (product.func, product.name) == (Prod, "p")


def test_printed_forms() -> None:
    assert repr(Variable(5.0, name="x_1")) == "Variable(5.0, x_1)"
    assert repr(Variable(3)) == "Variable(3)"
    assert str(Variable(np.float64(0.5))) == "Variable(0.5)"


def test_node_names_are_label_name_or_rounded_value() -> None:
    x = Variable(1 / 3)
    assert x.nodeName() == "0.333"
    assert Variable(2.0, name="x_2").nodeName() == "x_2"
    assert (x * 2).nodeName() == "*"


def test_no_two_variables_share_children() -> None:
    x, y = Variable(1.0), Variable(2.0)
    x.children.append(y)
    assert Variable(3.0).children == []


def test_convert_keeps_variables_and_makes_others() -> None:
    x = Variable(2.0)
    assert Variable.convert(x) is x
    assert Variable.convert(3).value == 3


def test_labels() -> None:
    assert [c.label for c in CLASSES] == ["inv", "+", "*", "ln", "pow", "sin", "cos", "tan", "max", "min"]


def test_aliases_are_the_forward_functions() -> None:
    x, y = Variable(2.0), Variable(3.0)
    values = [f(x).value for f in (face.ln, face.sin, face.cos, face.tan)]
    assert values == [math.log(2), math.sin(2), math.cos(2), math.tan(2)]
    assert (face.max(x, y).value, face.min(x, y).value) == (3.0, 2.0)


# -- function classes -------------------------------------------------------------------------------------------------

PARTIALS: list[tuple[Any, tuple[float, ...], float, list[float]]] = [
    (Inv, (5.0,), 0.2, [-1 / 5.0**2]),
    (Inv, (4,), 0.25, [-1 / 4**2]),
    (Add, (2.0, 3.0), 5.0, [1, 1]),
    (Prod, (2.0, 3.0), 6.0, [3.0, 2.0]),
    (Ln, (5.0,), math.log(5.0), [1 / 5.0]),
    (Pow, (2.0, 3.0), 8.0, [3.0 * 2.0**2.0, 2.0**3.0 * math.log(2.0)]),
    (Sin, (5.0,), math.sin(5.0), [math.cos(5.0)]),
    (Cos, (5.0,), math.cos(5.0), [-math.sin(5.0)]),
    (Tan, (5.0,), math.tan(5.0), [1 / math.cos(5.0) ** 2]),
    (Max, (2.0, 3.0), 3.0, [0, 1]),
    (Max, (3.0, 2.0), 3.0, [1, 0]),
    (Min, (2.0, 3.0), 2.0, [1, 0]),
    (Min, (3.0, 2.0), 2.0, [0, 1]),
]


@pytest.mark.parametrize(("function", "arguments", "value", "partials"), PARTIALS, ids=str)
def test_forward_and_backward_of_a_class(
    function: Any, arguments: tuple[float, ...], value: float, partials: list[float]
) -> None:
    children = [Variable(a) for a in arguments]
    parent = function.forward(*children)
    assert type(parent) is Variable
    assert (parent.value, parent.func, parent.children) == (value, function, children)
    assert function.backward(parent, children) == partials
    assert type(function.backward(parent, children)) is list


@pytest.mark.parametrize("function", CLASSES, ids=lambda c: c.__name__)
def test_forward_takes_numbers(function: Any) -> None:
    arguments = (0.5, 1.5)[: len(function.rule.vjps)]
    parent = function.forward(*arguments)
    parent.backward()
    assert [child.grad for child in parent.children] == function.backward(parent, parent.children)


@pytest.mark.parametrize("function", CLASSES, ids=lambda c: c.__name__)
@pytest.mark.parametrize("point", [(0.7, 1.3), (2.5, -1.25)], ids=str)
def test_partials_are_numerical_ones(function: Any, point: tuple[float, float]) -> None:
    arguments = np.array(point[: len(function.rule.vjps)])
    numerical = numerical_gradient(lambda x: function.forward(*x.tolist()).value, arguments)
    assert gradients(function.forward, *arguments.tolist()) == pytest.approx(numerical, rel=1e-6)


def test_subtraction_and_division_are_made_of_the_classes() -> None:
    a, b = Variable(6.0), Variable(4.0)
    difference, quotient = a - b, a / b
    assert (difference.func, difference.children[0], difference.children[1].func) == (Add, a, Prod)
    negative = difference.children[1]
    assert (negative.children[0], negative.children[1].value) == (b, -1)
    assert (quotient.func, quotient.children[0], quotient.children[1].func) == (Prod, a, Inv)


@pytest.mark.parametrize(
    ("form", "value", "slope"),
    [
        (lambda x: 2 * x, 8.0, 2),
        (lambda x: x * 2, 8.0, 2),
        (lambda x: -x, -4.0, -1),
        (lambda x: +x, 4.0, 1),
        (lambda x: 1 / x, 0.25, -1 / 16),
        (lambda x: x / 2, 2.0, 0.5),
        (lambda x: 2 + x, 6.0, 1),
        (lambda x: 3 - x, -1.0, -1),
        (lambda x: x - 3, 1.0, 1),
        (lambda x: 2**x, 16.0, 16 * math.log(2)),
        (lambda x: x**2, 16.0, 8),
        (lambda x: np.float64(2) * x, 8.0, 2),
    ],
)
def test_operators_take_numbers_on_both_sides(
    form: Callable[[Variable], Variable], value: float, slope: float
) -> None:
    x = Variable(4.0)
    y = form(x)
    y.backward()
    assert type(y) is Variable
    assert (y.value, x.grad) == (value, slope)


def test_the_hand_outs_example() -> None:
    x1, x2, x3 = Variable(5.0, name="x_1"), Variable(-2.0, name="x_2"), Variable(-5, name="x_3")
    y = face.ln(x1 + face.sin(x1)) * face.max(x2, x3) * 2
    y.backward()
    b = 5 + math.sin(5)
    assert y.value == pytest.approx(-4 * math.log(b))
    assert x1.grad == pytest.approx(-4 / b * (1 + math.cos(5)))  # equation 12: both ways on which x1 acts
    assert (x2.grad, x3.grad) == (2 * math.log(b), 0)


def test_random_programs_have_torchs_gradients(torch: ModuleType) -> None:
    unary = {"sin": face.sin, "cos": face.cos, "tan": face.tan}
    generator = random.Random(11785)
    for _ in range(25):
        values = [generator.uniform(0.2, 2.0) for _ in range(3)]
        program = [
            (generator.choice("+-*/^m" + "f"), generator.random(), generator.random()) for _ in range(30)
        ]
        name = generator.choice(list(unary))

        def run(inputs: list[Any], maximum: Any, f: Any, program: Any = program) -> Any:
            known = list(inputs)
            for symbol, i, j in program:
                a, b = known[int(i * len(known))], known[int(j * len(known))]
                known.append(
                    {
                        "+": lambda a=a, b=b: a + b,
                        "-": lambda a=a, b=b: 1.5 - a * b,
                        "*": lambda a=a, b=b: a * b * 0.5,
                        "/": lambda a=a, b=b: a / (b * b + 1),
                        "^": lambda a=a, b=b: (a * a + 1) ** (0.25 * b / (b * b + 1)),
                        "m": lambda a=a, b=b: maximum(a, b),
                        "f": lambda a=a, b=b: f(a / (a * a + 1)),
                    }[symbol]()
                )
            return known[-1]

        ours = [Variable(v) for v in values]
        theirs = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in values]
        y, z = run(ours, face.max, unary[name]), run(theirs, torch.maximum, getattr(torch, name))
        assert y.value == pytest.approx(z.item(), rel=1e-12)
        y.backward()
        expected = torch.autograd.grad(z, theirs, allow_unused=True) if z.grad_fn else [None] * 3
        assert [x.grad for x in ours] == pytest.approx(
            [0.0 if g is None else g.item() for g in expected], rel=1e-9, abs=1e-12
        )


# -- backward ---------------------------------------------------------------------------------------------------------


def test_leaves_accumulate_until_they_are_zeroed_and_intermediates_never() -> None:
    x = Variable(3.0)
    inner = x * x
    y = inner * 2
    for turn in (1, 2):
        y.backward()
        assert (x.grad, inner.grad, y.grad) == (12 * turn, 2, 1)
    x.grad = 0
    y.backward()
    assert x.grad == 12


def test_results_that_share_a_part() -> None:
    x = Variable(3.0)
    inner = x * x
    first, second = inner * 2, inner * 5
    first.backward()
    second.backward()
    assert (inner.grad, x.grad) == (5, 2 * 6 + 5 * 6)


def test_backward_of_a_leaf() -> None:
    x = Variable(3.0)
    x.backward()
    assert x.grad == 1


def test_the_same_variable_twice() -> None:
    x = Variable(3.0)
    (x * x + x).backward()
    assert x.grad == 7


def test_backward_differentiates_the_values_that_were_computed() -> None:
    x, y = Variable(3.0), Variable(4.0)
    z = x * y
    x.value, y.value = 30.0, 40.0
    z.backward()
    assert (x.grad, y.grad) == (4.0, 3.0)


def test_diamonds_take_no_longer_than_their_size() -> None:
    x = Variable(1.0)
    y = x
    for _ in range(200):
        y = y * 0.5 + y * 0.5
    assert len(y.topoSort()) == 1 + 200 * 5
    y.backward()
    assert x.grad == 1.0


def test_topological_order_has_every_variable_once_and_parents_first() -> None:
    x, z = Variable(2.0), Variable(3.0)
    a = x * z
    y = a * x + a
    order = y.topoSort()
    place = {v: i for i, v in enumerate(order)}
    assert order[0] is y
    assert len(place) == len(order) == 5
    assert all(place[v] < place[child] for v in order for child in v.children)


def test_a_hundred_thousand_operations() -> None:
    x = Variable(1.0)
    y = x
    for _ in range(50_000):
        y = y * 0.5 + 1.0
    y.backward()
    assert x.grad == 0.5**50_000
    assert y.value == pytest.approx(2.0)
    assert len(y.topoSort()) == 1 + 4 * 50_000
    assert len(y.__graph__()) == 1 + 4 * 50_000
    del y  # frees the chain, without recursion


# -- numbers in, numbers out ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", CLASSES, ids=lambda c: c.__name__)
def test_plain_floats_in_and_out(function: Any) -> None:
    children = [Variable(v) for v in (0.5, 1.5)[: len(function.rule.vjps)]]
    parent = function.forward(*children)
    assert type(parent.value) is float
    assert all(type(p) in (int, float) for p in function.backward(parent, children))
    parent.backward()
    assert all(type(child.grad) in (int, float) for child in children)


@pytest.mark.parametrize(
    "number", [np.float64(2.0), np.float32(2.0), np.int64(2), np.array(2.0), True], ids=repr
)
def test_other_numbers_become_pythons(number: Any) -> None:
    assert type(Variable(number).value) in (int, float)
    assert (Variable(number) * 3.0).value == 3.0 * float(number)


def test_whole_numbers_stay_whole() -> None:
    x = Variable(3)
    y = x * 2 + 1
    y.backward()
    assert (repr(y), x.grad) == ("Variable(7)", 2)


def test_infinities_and_nans_go_through() -> None:
    assert gradients(lambda x: x * 2.0, math.inf) == [2.0]
    assert math.isnan((Variable(math.nan) + 1).value)
    assert math.isnan(face.max(Variable(math.nan), 1.0).value)
    assert math.isnan(face.min(Variable(1.0), math.nan).value)


# -- powers, ties -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", [-3.0, -1.0, 0.0])
@pytest.mark.parametrize("exponent", [2, 2.0, 3])
def test_a_base_that_is_not_positive_puts_no_nan_on_a_constant_exponent(base: float, exponent: float) -> None:
    x = Variable(base)
    y = x**exponent
    y.backward()
    assert x.grad == exponent * base ** (exponent - 1)
    assert y.children[1].grad == 0
    assert Pow.backward(y, y.children)[1] == 0


def test_a_negative_base_has_no_slope_in_a_variable_exponent() -> None:
    assert gradients(lambda x, y: x**y, -3.0, 2.0) == [-6.0, 0.0]


def test_powers_of_zero() -> None:
    assert gradients(lambda x, y: x**y, 0.0, 2.0) == [0.0, 0.0]
    assert gradients(lambda x, y: x**y, 0.0, 0.0) == [0.0, 0.0]
    assert gradients(lambda x: x**1, 0.0) == [1.0]
    assert gradients(lambda x: x**0.5, 0.0) == [math.inf]  # as the slope of an array's square root


@pytest.mark.parametrize("extremum", [face.max, face.min])
def test_ties_share_the_slope_equally(extremum: Callable[..., Variable]) -> None:
    assert gradients(extremum, 2.0, 2.0) == [0.5, 0.5]
    assert gradients(lambda x: extremum(x, x), 2.0) == [1.0]


# -- functions of one's own -------------------------------------------------------------------------------------------


class HandOutProd:
    """The hand-out's Prod, to the letter."""

    label = "*"

    def forward(a: Any, b: Any) -> Variable:
        a = Variable.convert(a)
        b = Variable.convert(b)
        return Variable(a.value * b.value, [a, b], HandOutProd)

    def backward(parent: Any, children: Any) -> list[float]:
        return [children[1].value, children[0].value]


def test_a_class_as_the_hand_out_writes_it() -> None:
    assert gradients(lambda x, y: HandOutProd.forward(x, y) * 2, 3.0, 4.0) == [8.0, 6.0]


def test_a_class_of_ones_own_with_three_arguments() -> None:
    class Weighted(Function):
        label = "weighted"

        @staticmethod
        def forward(a: Variable, b: Variable, w: Variable) -> Variable:
            return Variable(w.value * a.value + (1 - w.value) * b.value, [a, b, w], Weighted)

        @classmethod
        def backward(cls, parent: Variable, children: Any) -> list[float]:
            a, b, w = (child.value for child in children)
            return [w, 1 - w, a - b]

    assert gradients(Weighted.forward, 3.0, 5.0, 0.25) == [0.25, 0.75, -2.0]


def test_a_subclass_is_differentiated_by_its_own_backward() -> None:
    class StraightThrough(Prod):
        @staticmethod
        def forward(a: Variable, b: Variable) -> Variable:
            return Variable(a.value * b.value, [a, b], StraightThrough)

        @classmethod
        def backward(cls, parent: Variable, children: Any) -> list[float]:
            return [1.0, 1.0]

    assert gradients(StraightThrough.forward, 3.0, 4.0) == [1.0, 1.0]


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ([1.0], r"Broken\.backward: expected 2 partial derivatives, one per child, got 1"),
        (["a", 1.0], r"Broken\.backward failed: .*got str 'a'"),
        (None, r"Broken\.backward failed: .*NoneType"),
    ],
)
def test_a_wrong_backward_is_named_and_changes_no_gradient(result: Any, message: str) -> None:
    class Broken:
        label = "broken"

        @staticmethod
        def backward(parent: Variable, children: Any) -> Any:
            return result

    x, y = Variable(3.0), Variable(4.0)
    (x * y).backward()
    z = x + Variable(1.0, [x, y], Broken)
    with pytest.raises(TapeError, match=message):
        z.backward()
    assert (x.grad, y.grad) == (4.0, 3.0)


# -- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda: Variable("5"), TypeError, r"one real number, got str '5'"),
        (lambda: Variable(None), TypeError, r"got NoneType None"),
        (lambda: Variable(1j), TypeError, r"got complex 1j"),
        (lambda: Variable(np.ones(2)), TypeError, r"got ndarray .*make one Variable for every number"),
        (lambda: Variable(1.0) + "a", TypeError, r"got str 'a'"),
        (lambda: Variable(1.0) * [2], TypeError, r"got list \[2\]"),
        (lambda: face.sin("a"), TypeError, r"got str 'a'"),
        (lambda: face.ln(0), ValueError, r"ln\(0\) is not a finite real number; ln takes a > 0"),
        (lambda: face.ln(-1.5), ValueError, r"ln\(-1\.5\) is not a finite real number"),
        (lambda: 1 / Variable(0.0), ZeroDivisionError, r"inv\(0\.0\) is not .*; inv takes b ≠ 0"),
        (lambda: Variable(-8.0) ** (1 / 3), ValueError, r"pow\(-8\.0, 0\.33.*or a < 0 with a whole b"),
        (lambda: Variable(0.0) ** -1, ValueError, r"pow\(0\.0, -1\) is not a finite real number"),
        (lambda: Variable(10.0) ** 400, OverflowError, r"pow\(10\.0, 400\) is not .*that a float can hold"),
        (lambda: face.sin(math.inf), ValueError, r"sin\(inf\) is not a finite real number; sin takes finite"),
    ],
)
def test_errors_say_what_is_wrong(wrong: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        wrong()


def test_whole_numbers_too_large_for_a_float_are_refused_by_name() -> None:
    with pytest.raises(OverflowError, match=r"\*\(1000.*, 0\.5\) is not a finite real number"):
        Variable(10**400) * 0.5


# -- the course's script ----------------------------------------------------------------------------------------------


def test_the_courses_own_checks_pass(capsys: pytest.CaptureFixture[str]) -> None:
    face.functionUnitTests()
    face.backpropUnitTests()
    printed = capsys.readouterr().out
    assert "All 12 function checks passed." in printed
    assert "All 5 backpropagation checks passed." in printed


def test_the_courses_own_checks_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sin, "backward", lambda parent, children: [math.cos(children[0].value) * 1.0005])
    with pytest.raises(AssertionError, match=r"Sin\.backward at \(2\.0,\)"):
        face.functionUnitTests()


def test_the_courses_own_checks_can_fail_without_asserts() -> None:
    """`python -O` leaves assert statements out: no check may be one."""
    for wrong in (
        "Sin.backward = face.Cos.backward; face.functionUnitTests()",
        "tan = face.sin; face.backpropUnitTests()",
    ):
        program = f"from mytorch.faces import variable as face; face.{wrong}"
        run = subprocess.run([sys.executable, "-O", "-c", program], capture_output=True, text=True)
        assert run.returncode == 1
        assert re.search(r"AssertionError: .*(Sin|tan).*, not \[", run.stderr)


def test_gradient_ascent_reaches_the_maximum() -> None:
    assert face.main() == pytest.approx((3 / 8, -6 / 8), abs=1e-5)


def test_the_script_runs_from_its_folder_without_an_installation(tmp_path: Any) -> None:
    printed = run_in_course(tmp_path, "variable", ["DIYAutograd.py"])
    assert "All 5 backpropagation checks passed." in printed
    assert "x1 -> 0.375000 (3/8 = 0.375), x2 -> -0.750000 (-6/8 = -0.75)" in printed


def test_the_hand_outs_snippets_run_from_the_folder(tmp_path: Any) -> None:
    program = """
from DIYAutograd import *
import mytorch
x1 = Variable(5.0, name="x_1")
y = Variable(0)
for i in range(5):
    if i % 2 == 0:
        y = y + x1*i
    else:
        y = y - x1/i
print(y)
y.drawGraph("loop.dot")
print(mytorch.__file__)
"""
    printed = run_in_course(tmp_path, "variable", ["-c", program])
    assert printed.startswith("Variable(23.33333333333333")
    assert "drawn into loop.dot" in printed
    assert str(tmp_path) in printed.splitlines()[-1]


# -- the benchmark ----------------------------------------------------------------------------------------------------


def test_the_benchmark_races_the_same_work_as_micrograd() -> None:
    pytest.importorskip("micrograd", reason="micrograd is not installed: nothing to race with")
    ours, theirs = benchmark.variables(benchmark.SHORT)(), benchmark.micrograd(benchmark.SHORT)()
    assert ours == pytest.approx(theirs, rel=1e-12)


def test_the_benchmark_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "find_spec", lambda name: None)
    with pytest.raises(Unavailable, match=r"micrograd is not installed: pip install micrograd==0\.1\.0"):
        benchmark.run(QUICK)
