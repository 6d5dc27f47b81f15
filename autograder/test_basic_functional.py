"""Tests of the backward functions of single operations, called as the engine calls them."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from autograder.helpers import Arrays, ContractError, GradedTest, draw, no_mistakes, torch_gradients, written

MODULES = ("mytorch.functional_hw1",)


def _attempt(function_name: str, operands: str) -> Callable[[Arrays], Iterator[tuple[str, object]]]:
    def attempt(inputs: Arrays) -> Iterator[tuple[str, object]]:
        from mytorch import functional_hw1

        function = getattr(functional_hw1, function_name)
        result = written(function_name, function(inputs["grad_output"], *map(inputs.__getitem__, operands)))
        gradients = result if isinstance(result, tuple | list) else (result,)
        if len(gradients) != len(operands):
            raise ContractError(
                f"{function_name} should return one gradient for each of its {len(operands)} operands, "
                f"it returned {None if result is None else len(gradients)}"
            )
        for name, gradient in zip(operands, gradients, strict=True):
            yield f"gradient of {name}", gradient

    return attempt


def _reference(function: Callable, operands: str) -> Callable[[Arrays], Arrays]:
    def reference(inputs: Arrays) -> Arrays:
        gradients = torch_gradients(lambda grad_output, **given: function(**given), inputs, operands)
        return {f"gradient of {name}": gradient for name, gradient in gradients.items()}

    return reference


def _draw_pair(rng: np.random.Generator) -> Arrays:
    return {name: draw(rng, 3, 4) for name in ("a", "b", "grad_output")}


def _draw_matrices(rng: np.random.Generator) -> Arrays:
    return {"a": draw(rng, 3, 4), "b": draw(rng, 4, 5), "grad_output": draw(rng, 3, 5)}


def _draw_one(rng: np.random.Generator) -> Arrays:
    return {"a": draw(rng, 3, 4, positive=True), "grad_output": draw(rng, 3, 4)}


def _multiply_mistakes(inputs: Arrays) -> Iterable[tuple[str, Arrays]]:
    a, b, g = inputs["a"], inputs["b"], inputs["grad_output"]
    yield "each operand's own value was used: the gradient of a is grad_output * b", {"gradient of a": g * a}
    yield "each operand's own value was used: the gradient of b is grad_output * a", {"gradient of b": g * b}


def _divide_mistakes(inputs: Arrays) -> Iterable[tuple[str, Arrays]]:
    a, b, g = inputs["a"], inputs["b"], inputs["grad_output"]
    yield "the gradient of a is grad_output / b: it was multiplied by b instead", {"gradient of a": g * b}
    for value in (-g * a / b, g * a / b, -g / b**2, g / b**2, -g * a):
        yield "the derivative of a / b with respect to b is -a / b**2", {"gradient of b": value}


def _log_mistakes(inputs: Arrays) -> Iterable[tuple[str, Arrays]]:
    a, g = inputs["a"], inputs["grad_output"]
    for value in (g * a, g / np.exp(a), g / np.log(a), g * np.log(a)):
        yield "the derivative of log(a) is 1 / a", {"gradient of a": value}


def _exp_mistakes(inputs: Arrays) -> Iterable[tuple[str, Arrays]]:
    a, g = inputs["a"], inputs["grad_output"]
    for value in (g * a, g, a * np.exp(a) * g, g * np.exp(-a), g * np.exp(np.exp(a))):
        yield "the derivative of exp(a) is exp(a), of the input a that is handed in", {"gradient of a": value}


def _log(a):
    return a.log()


def _exp(a):
    return a.exp()


def _functional(
    name: str, function_name: str, draw_inputs: Callable, function: Callable, mistakes: Callable = no_mistakes
) -> GradedTest:
    """Return the test of one backward function, against the derivative of `function` by PyTorch."""
    operands = "a" if draw_inputs is _draw_one else "ab"
    return GradedTest(
        f"Functional Backward {name}",
        1,
        f"{function_name}(grad_output, {', '.join(operands)})",
        draw_inputs,
        _attempt(function_name, operands),
        _reference(function, operands),
        mistakes,
    )


TESTS = (
    _functional("Multiply", "mul_backward", _draw_pair, lambda a, b: a * b, _multiply_mistakes),
    _functional("Subtraction", "sub_backward", _draw_pair, lambda a, b: a - b),
    _functional("Matmul", "matmul_backward", _draw_matrices, lambda a, b: a @ b),
    _functional("Divide", "div_backward", _draw_pair, lambda a, b: a / b, _divide_mistakes),
    _functional("Log", "log_backward", _draw_one, _log, _log_mistakes),
    _functional("Exp", "exp_backward", _draw_one, _exp, _exp_mistakes),
)
