"""The table of derivatives: how a rule is written, and what is known of every function.

A rule is one formula per argument, next to its neighbours::

    backward_of(np.multiply, lambda g, b: g * b, lambda g, a: g * a)
    backward_of(np.exp,      lambda g, y: g * y)

A formula takes, *by name*, what it reads, and the tape keeps nothing else: ``g`` is the gradient of the
output (the cotangent), ``y`` the output, ``a, b, c, d`` the first to fourth input, ``a_shape`` ... their shapes,
``i`` the argument's index and ``inputs`` all of them (for functions of many arrays); static arguments come by
keyword.  The engine sums out broadcasting, checks shape and count, and casts to the input's dtype.

A formula is written as in calculus, with operators and NumPy functions only (no in-place writes, no
``np.asarray``, no ``float()``): run on arrays it gives numbers, run on Tensors it is recorded, so that every
rule is a rule of any order.  For complex arguments the engine conjugates around it: with PyTorch's convention
the gradient of a holomorphic f is ``conj(conj(g) * f'(a))``; a rule of a function that is not holomorphic
(``abs``, ``real``, ``conj``) says so and gives that gradient itself.

Besides rules there are four other things to say of a function: it is `composed` of others, its result is a
`view` of its argument, its derivative is zero by nature (`constant`), or it is `refused`, with the reason.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import cache, wraps
from typing import Any, TypeVar

import numpy as np

Formula = Callable[..., Any]
F = TypeVar("F", bound=Callable[..., Any])

LETTERS = "abcd"
RULES: dict[Callable[..., Any], Rule] = {}
COMPOSED: dict[Callable[..., Any], Callable[..., Any]] = {}
VIEWS: set[Callable[..., Any]] = set()
CREATED: set[Callable[..., Any]] = set()
CONSTANT: set[Callable[..., Any]] = set()
REFUSED: dict[Callable[..., Any], str] = {}


class Rule:
    """The derivative of one function: a formula per argument, and what of the call the formulas read.

    Called as a course's backward function, ``rule(grad_output, *inputs)`` returns one gradient per input, each
    of its input's shape.

    Attributes
    ----------
    function : the function that is differentiated
    name : its name, for messages
    reads : the positions of the inputs that some formula reads
    reads_output, reads_shapes : whether some formula reads the output, or the shape of an input
    statics : names of the keyword arguments that formulas read
    holomorphic : whether the engine may conjugate around the formulas for complex values
    elementwise : whether the output has the broadcast shape of the inputs
    of_user : whether the formulas run the user's code
    exact : whether the formulas, given one dtype, return gradients of their inputs' own shapes and dtype
    vjps : per argument, a function of (g, operation) that gives the gradient, or None (constant by nature)
    pull : ``pull(g, operation, memory, add)`` gives every wanted gradient of a record that holds its (at most three)
        inputs as fields to the memory that it belongs to
    """

    def __init__(
        self,
        function: Callable[..., Any],
        formulas: tuple[Formula | None, ...],
        *,
        each: Formula | None = None,
        holomorphic: bool = True,
        elementwise: bool = False,
        exact: bool = False,
        of_user: bool = False,
        signature: str | None = None,
        name: str | None = None,
    ) -> None:
        self.function, self.formulas, self.each = function, formulas, each
        self.name = str(name or getattr(function, "__name__", repr(function)))
        self.holomorphic, self.elementwise, self.exact = holomorphic, elementwise, exact
        self.of_user = of_user
        self.call_signature = signature
        self._names: tuple[str, ...] = ()
        parameters = [_parameters(f) for f in (*formulas, each) if f is not None]
        used = {p for positional, _, _ in parameters for p in positional}
        self.statics = frozenset(k for _, keywords, _ in parameters for k in keywords)
        self.reads_output = "y" in used
        self.reads_shapes = any(p.endswith("_shape") or p == "shapes" for p in used)
        self.reads_all = "inputs" in used
        self.reads = frozenset(i for i, letter in enumerate(LETTERS) if letter in used)
        self.always_fit = self.reads_shapes or None in formulas or not (elementwise or exact)
        self.needs = tuple(self._needs(mask) for mask in range(2 ** len(formulas)))
        self.vjps = tuple(_compile(f, i, self) if f else None for i, f in enumerate(formulas))
        self.pull = None if self.always_fit or len(formulas) > 3 else _compile_pull(self)
        self.vjp_each = _compile(each, None, self) if each else None

    def __repr__(self) -> str:
        return f"<rule of {self.name}>"

    @property
    def __name__(self) -> str:
        return f"{self.name}_backward"

    def _needs(self, mask: int) -> tuple[frozenset[int], bool]:
        """Return which inputs, and whether the output, the formulas of the inputs in the bit set `mask` read."""
        if self.each is not None:
            return frozenset(), "y" in _parameters(self.each)[0]
        wanted = [f for i, f in enumerate(self.formulas) if f is not None and mask >> i & 1]
        names = {name for f in wanted for name in _parameters(f)[0]}
        every = "inputs" in names
        return frozenset(i for i, c in enumerate(LETTERS) if c in names or every), "y" in names

    def __call__(self, grad_output: Any, *inputs: Any, **statics: Any) -> tuple[Any, ...]:
        """Return the gradient of every input, as a course's ``NAME_backward(grad_output, *inputs)`` does."""
        arrays = tuple(np.asarray(x) for x in inputs)
        output = self.function(*arrays, **statics) if self.reads_output else None
        call = Call(arrays, output, statics, [(x.shape, None) for x in arrays])
        conjugate = self.holomorphic and "c" in [x.dtype.kind for x in arrays]
        g = np.conj(grad_output) if conjugate else np.asarray(grad_output)
        results = []
        for i, array in enumerate(arrays):
            vjp = self.vjps[i] if i < len(self.vjps) else None
            gradient = vjp(g, call) if vjp else self.vjp_each(g, call, i) if self.vjp_each else None
            if gradient is not None:
                gradient = fit(np.conj(gradient) if conjugate else gradient, array.shape, None)
            results.append(gradient)
        return tuple(results)

    def covers(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Say whether a call names nothing but what the formulas know (else it is composed of plainer calls)."""
        if len(args) > len(self.formulas):
            kwargs = self.bind(args, kwargs)[1]
        return self.statics.issuperset(kwargs)

    def bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Split a call into the array arguments, in order, and the static ones by keyword."""
        count = len(self.formulas)
        if self.each is not None or (len(args) == count and not any(k not in self.statics for k in kwargs)):
            return args, kwargs
        if not self._names:
            self._names = tuple(signature_of(self.function, self.call_signature).parameters)
        names = self._names
        if len(args) > len(names) or not kwargs.keys().isdisjoint(names[: len(args)]):
            signature_of(self.function, self.call_signature).bind(*args, **kwargs)  # says what is wrong
        arrays, static = args[:count], {**dict(zip(names[count:], args[count:], strict=False)), **kwargs}
        for name in names[len(arrays) : count]:
            if name not in static:
                break
            arrays += (static.pop(name),)
        return arrays, static


class Call:
    """What a compiled formula reads of a call: the same fields as an Operation has."""

    __slots__ = ("inputs", "metas", "output", "static")

    def __init__(self, inputs: tuple[Any, ...], output: Any, static: dict[str, Any], metas: Any) -> None:
        self.inputs, self.output, self.static, self.metas = inputs, output, static, metas


@cache
def signature_of(function: Callable[..., Any], text: str | None) -> inspect.Signature:
    """Return the signature of `function`, or the one written as `text` (for functions of C code)."""
    if text is None:
        return inspect.signature(function)
    scope: dict[str, Any] = {"np": np}
    exec(f"def call({text}): ...", scope)
    return inspect.signature(scope["call"])


def _parameters(formula: Formula) -> tuple[list[str], list[str], bool]:
    """Return the positional names, the keyword-only names, and whether further keywords are taken."""
    code = formula.__code__
    first, last = code.co_argcount, code.co_argcount + code.co_kwonlyargcount
    return (
        list(code.co_varnames[:first]),
        list(code.co_varnames[first:last]),
        bool(code.co_flags & inspect.CO_VARKEYWORDS),
    )


_INPUTS = {letter: f"op.inputs[{i}]" for i, letter in enumerate(LETTERS)}
_FIELDS = {letter: f"op.{letter}" for letter in LETTERS}


def _arguments(formula: Formula, index: int | None, rule: Rule, sources: dict[str, str]) -> str:
    """Return, as code, what the formula of argument `index` reads of the operation ``op``."""
    positional, keywords, open_ended = _parameters(formula)
    words = []
    for name in positional:
        if name == "g":
            words.append("g")
        elif name == "y":
            words.append("op.output")
        elif name == "i":
            words.append("i" if index is None else str(index))
        elif name == "inputs":
            words.append("op.inputs")
        elif name == "shapes":
            words.append("[meta[0] for meta in op.metas]")
        elif name.endswith("_shape"):
            words.append(f"op.metas[{LETTERS.index(name[0])}][0]")
        elif name in LETTERS:
            words.append(sources[name])
        else:
            raise TypeError(
                f"the rule of {rule.name} reads {name!r}, which is none of g, y, a-d, a_shape, i, inputs"
            )
    if keywords or open_ended:
        exact = open_ended or set(keywords) == rule.statics
        words.append("**op.static" if exact else "**{k: v for k, v in op.static.items() if k in names}")
    return ", ".join(words)


def _compile(formula: Formula, index: int | None, rule: Rule) -> Callable[..., Any]:
    """Return ``vjp(g, operation)`` that hands the formula what it reads, with no look-up left for run time."""
    head = "g, op" if index is not None else "g, op, i"
    source = f"lambda {head}: formula({_arguments(formula, index, rule, _INPUTS)})"
    names = frozenset(_parameters(formula)[1])
    return eval(compile(source, __file__, "eval"), {"formula": formula, "names": names})


def _compile_pull(rule: Rule) -> Callable[..., None]:
    """Return `Rule.pull`: the formulas one after the other, so that the reverse pass makes one call per record."""
    lines = ["def pull(g, op, memory, add):"]
    for i, formula in enumerate(rule.formulas):
        assert formula is not None  # else `always_fit`
        lines += [
            f" key = op.target_{LETTERS[i]}",
            " if key is not None:",
            f"  gradient = formula_{LETTERS[i]}({_arguments(formula, i, rule, _FIELDS)})",
            "  if key in memory: add(key, gradient)",
            "  else: memory[key] = gradient",
        ]
    scope: dict[str, Any] = {f"formula_{LETTERS[i]}": formula for i, formula in enumerate(rule.formulas)}
    exec(compile("\n".join(lines), __file__, "exec"), scope)
    pull: Callable[..., None] = scope["pull"]
    return pull


def fit(gradient: Any, shape: tuple[int, ...], dtype: np.dtype[Any] | None) -> Any:
    """Return `gradient` summed over the axes that broadcasting made, and cast to `dtype` if that is narrower.

    The adjoint of ``broadcast_to``: leading axes are summed away, axes of length one are summed in place.
    """
    if gradient.shape != shape:
        extra = gradient.ndim - len(shape)
        if extra > 0:
            gradient = gradient.sum(axis=tuple(range(extra)))
        elif extra < 0:  # an assignment drops leading axes of length one from its value
            gradient = gradient.reshape((1,) * -extra + gradient.shape)
        ones = tuple(
            i for i, n in enumerate(shape) if n == 1 and i < gradient.ndim and gradient.shape[i] != 1
        )
        if ones:
            gradient = gradient.sum(axis=ones, keepdims=True)
        if gradient.shape != shape:
            raise ValueError(f"expected a gradient of shape {shape}, got {gradient.shape}")
    if dtype is not None and gradient.dtype != dtype:
        if gradient.dtype.kind == "c" and dtype.kind != "c":
            gradient = gradient.real
        gradient = gradient.astype(dtype)
    return gradient


def backward_of(function: Callable[..., Any], *formulas: Formula | None, **options: Any) -> Rule:
    """Register, and return, the rule of `function`: one formula per array argument (None: constant in it).

    Parameters
    ----------
    function : a NumPy function, ufunc, or any function of arrays
    formulas : per array argument, the formula of its gradient (see the module's text)
    each : instead, one formula for all arguments of a function of many arrays; reads ``i`` and ``inputs``
    holomorphic : False where the formula is not complex-analytic and conjugates by itself
    signature : the call's parameters as text, where Python cannot tell them (functions of C code)
    """
    if isinstance(function, np.ufunc):
        options.setdefault("elementwise", function.signature is None)
    rule = Rule(function, formulas, **options)
    RULES[function] = rule
    return rule


def dispatched(function: F) -> F:
    """Make `function` of arrays overridable as NumPy's own are: other types answer by ``__array_function__``."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        for x in args:
            kind = type(x)
            if kind is not np.ndarray and hasattr(kind, "__array_function__"):
                return x.__array_function__(call, (kind,), args, kwargs)
        return function(*args, **kwargs)

    return call  # type: ignore[return-value]


def composed(*functions: Callable[..., Any]) -> Callable[[F], F]:
    """Register the decorated function, written in other NumPy functions, as what `functions` do on Tensors."""

    def register(implementation: F) -> F:
        for function in functions:
            COMPOSED[function] = implementation
        return implementation

    return register


def present(module: Any, *names: str) -> list[Callable[..., Any]]:
    """Return those of `names` that this version of NumPy has in `module`."""
    return [getattr(module, name) for name in names if hasattr(module, name)]


def view(*functions: Callable[..., Any]) -> None:
    """Say that the results of `functions` are views of their first argument: no operation is needed."""
    VIEWS.update(functions)


def created(*functions: Callable[..., Any]) -> None:
    """Say that `functions` make new memory: a constant Tensor, which differentiable values can be written to."""
    CREATED.update(functions)


def constant(*functions: Callable[..., Any]) -> None:
    """Say that the derivative of `functions` is zero wherever it exists: their results are plain arrays."""
    CONSTANT.update(functions)


def refused(reason: str, functions: Iterable[Callable[..., Any]]) -> None:
    """Say why `functions` are not differentiated."""
    for function in functions:
        REFUSED[function] = reason
