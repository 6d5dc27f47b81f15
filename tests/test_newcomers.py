"""What newcomers write, above all those who come from PyTorch, and the words that tell them what to write instead."""

import linecache
import pydoc
import subprocess
import sys
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import pytest
import scipy.special

import mytorch
from mytorch import Tensor, idioms, nn, optim

anything: Any = mytorch
layers: Any = nn
optimizers: Any = optim
X: Any = Tensor(np.ones((2, 3)), requires_grad=True)
P: Any = Tensor([1.0], requires_grad=True)
ONE_HOT = np.eye(3)[[0, 2]]
NONE: Any = None

ATTRIBUTES = [
    (lambda: X.cuda(), r"'Tensor' object has no attribute 'cuda': the values are in NumPy's memory"),
    (lambda: X.grad_fn, r"x\.tape is the list of what was recorded"),
    (lambda: X.exp(), r"'exp': write np\.exp\(x\)"),
    (lambda: X.add_(1), r"'add_': to change it in place, assign: x \+= y"),
    (lambda: X.zero_(), r"x\.grad = None \(optimizer\.zero_grad\(\) does it for all\)"),
    (lambda: X.relu(), r"write mytorch\.functional\.relu\(x\)"),
    (lambda: X.data, r"change them inside `with mytorch\.no_grad\(\):`"),
    (lambda: anything.cat([X, X]), r"module 'mytorch' has no attribute 'cat': write np\.concatenate"),
    (lambda: anything.zeros(3), r"write mytorch\.Tensor\(np\.zeros\(\.\.\.\)\)"),
    (lambda: anything.softmax(X), r"write mytorch\.functional\.softmax"),
    (lambda: anything.exp(X), r"'exp': write np\.exp, which takes Tensors"),
    (lambda: anything.float32, r"'float32': write np\.float32$"),
    (lambda: anything.jit(X), r"'jit': write mytorch\.compile\(function\)"),
    (lambda: anything.vmap(X), r"'vmap': write the function for whole arrays"),
    (lambda: anything.of_my_own, r"module 'mytorch' has no attribute 'of_my_own'$"),
    (lambda: layers.CrossEntropyLoss(), r"'CrossEntropyLoss': write SoftmaxCrossEntropy\(\)\(np\.eye\("),
    (lambda: layers.Conv2d(1, 2, 3), r"'Conv2d': there are Activation, .*Linear, .*written as a Module"),
    (lambda: layers.ModuleDict(), r"keep modules in a dict; parameters\(\) looks into it"),
    (lambda: layers.nothing, r"module 'mytorch\.nn' has no attribute 'nothing'$"),
    (lambda: layers.Linear(2, 3).state_dict(), r"'Linear' object has no attribute 'state_dict': keep \["),
    (lambda: layers.Linear(2, 3).weight, r"'Linear' object has no attribute 'weight': write layer\.W"),
    (lambda: layers.ReLU().train(), r"'train': no module here behaves differently in training"),
    (
        lambda: optimizers.SGD([P]).param_groups,
        r"'SGD' object has no attribute 'param_groups': all parameters share",
    ),
    (
        lambda: optimizers.Adam([P]).state_dict(),
        r"'state_dict': pickle the optimizer together with the model",
    ),
    (lambda: optimizers.Adam([P]).of_my_own, r"'Adam' object has no attribute 'of_my_own'$"),
    (lambda: layers.ReLU().of_my_own, r"'ReLU' object has no attribute 'of_my_own'$"),
]


@pytest.mark.parametrize(("write", "words"), ATTRIBUTES)
def test_an_attribute_that_is_not_there_says_what_to_write(write: Any, words: str) -> None:
    with pytest.raises(AttributeError, match=words):
        write()


@pytest.mark.parametrize(("kind", "arguments"), [(nn.Module, ()), (optim.SGD, ([P],)), (Tensor, ([1.0],))])
def test_the_error_of_a_property_is_shown_as_it_is(kind: Any, arguments: Any) -> None:
    def norm(self: Any) -> Any:
        return self.wieght

    mine = type("Mine", (kind,), {"norm": property(norm)})(*arguments)
    with pytest.raises(AttributeError, match=r"'Mine' object has no attribute 'wieght'") as caught:
        mine.norm  # noqa: B018 - raises
    assert "norm" in [entry.name for entry in caught.traceback]


@pytest.mark.parametrize("name", idioms.TENSOR)
def test_no_hint_for_what_a_tensor_has(name: str) -> None:
    assert not hasattr(Tensor, name)


@pytest.mark.parametrize("name", idioms.PACKAGE)
def test_no_hint_for_what_the_package_has(name: str) -> None:
    assert not hasattr(mytorch, name)


def test_python_finds_the_name_that_was_meant() -> None:
    with pytest.raises(AttributeError) as error:
        _ = X.reshpe
    assert (error.value.name, error.value.obj) == ("reshpe", X)


def test_the_parts_of_the_package_are_imported_when_asked_for() -> None:
    code = "import mytorch, sys; assert 'mytorch.nn' not in sys.modules; mytorch.nn.Linear(2, 1); mytorch.optim.SGD"
    subprocess.run([sys.executable, "-c", code], check=True)


WRONG = [
    (lambda: Tensor("abc"), TypeError, r"a Tensor holds numbers, got str, of which NumPy makes .* dtype <U3"),
    (lambda: Tensor(NONE), TypeError, r"a Tensor holds numbers, got NoneType"),
    (lambda: Tensor([1, 2], requires_grad=True), TypeError, r"this one is int64; make it with dtype=float"),
    (lambda: X.view(3, 2), TypeError, r"view takes a dtype, .* write x\.reshape\(shape\)"),
    (lambda: X.view((3, 2)), TypeError, r"view takes a dtype, .* write x\.reshape\(shape\)"),
    (lambda: optim.SGD(NONE), TypeError, r"SGD takes a list of parameters, .* got NoneType"),
    (lambda: optim.Adam(P), TypeError, r"Adam takes a list of parameters, .* got Tensor"),
    (
        lambda: optim.SGD(layers.Linear(2, 1).parameters),
        TypeError,
        r"model\.parameters\(\) \(mind the brackets\), got method",
    ),
    (lambda: optim.SGD(layers.Linear(2, 1)), TypeError, r"model\.parameters\(\) .* got Linear"),
    (lambda: optim.SGD([]), ValueError, r"no parameters were given; a Module finds the Tensors with"),
    (lambda: optim.SGD([P], lr="a"), TypeError, r"SGD: lr must be a number, got 'a'"),  # type: ignore[arg-type]
    (lambda: optim.SGD([P, P]), ValueError, r"SGD: a parameter is given twice, and would be stepped twice"),
    (lambda: optim.Adam([P], betas=0.9), TypeError, r"Adam: betas must be two numbers, .* got 0\.9"),  # type: ignore[arg-type]
    (lambda: f"{X:.3f}", TypeError, r"shape \(2, 3\) cannot be formatted as '\.3f', which is for one number"),
    (lambda: layers.Linear("a", 3), TypeError, r"Linear: in_features must be an int, got 'a'"),
    (
        lambda: layers.Linear(2, 3)([[1.0, 2.0]]),
        TypeError,
        r"shape \(N, 2\), got list; wrap lists in np\.array",
    ),
    (lambda: layers.Linear(3, 1)(X[0]), ValueError, r"got \(3,\); for one row, write x\[None\]"),
    (
        lambda: layers.Sequential([layers.ReLU()]),
        TypeError,
        r"module 0 must be a module or a function, got \[",
    ),
    (lambda: layers.Sequential(layers.ReLU), TypeError, r"got <class .*ReLU'>; write Sequential\(Linear"),
    (lambda: layers.Module()(1), NotImplementedError, r"Module must define compute\(self, x\), or forward"),
    (
        lambda: layers.SoftmaxCrossEntropy()(np.array([0, 2]), X),
        ValueError,
        r"target has shape \(2,\) but the prediction \(2, 3\); .* np\.eye\(classes\)\[labels\]",
    ),
    (
        lambda: layers.MSELoss()([0, 2], X),
        TypeError,
        r"MSELoss: the target must be an array or a Tensor, got list",
    ),
    (lambda: layers.MSELoss()(ONE_HOT, None), TypeError, r"the prediction must be an array .*, got NoneType"),
    (
        lambda: layers.SoftmaxCrossEntropy()(X, ONE_HOT),
        ValueError,
        r"the target requires gradients and the prediction does not; .* SoftmaxCrossEntropy\(\)\(target, predic",
    ),
    (
        lambda: mytorch.grad(np.sin(1.0)),
        TypeError,
        r"grad takes a function, got float64: write grad\(f\)\(x\)",
    ),
    (lambda: mytorch.custom_gradient(NONE), TypeError, r"custom_gradient takes a function, got NoneType"),
    (lambda: mytorch.grad(np.hypot)(a=1.0), ValueError, r"what is differentiated is given by position"),
    (lambda: mytorch.hessian(NONE), TypeError, r"hessian takes a function, got NoneType"),
    (lambda: mytorch.vjp(NONE, 1.0), TypeError, r"got NoneType: write vjp\(f, x\), not vjp\(f\(x\)\)"),
    (
        lambda: mytorch.jvp(NONE, (1.0,), (1.0,)),
        TypeError,
        r"write jvp\(f, \(x,\), \(v,\)\), not jvp\(f\(x\)\)",
    ),
    (lambda: mytorch.check_gradients(NONE, 1.0), TypeError, r"write check_gradients\(f, x\), not"),
    (lambda: mytorch.numerical_gradient(NONE, 1.0), TypeError, r"write numerical_gradient\(f, x\), not"),
    (lambda: scipy.special.erf(X), TypeError, r"^the ufunc erf is not known to mytorch"),
]


@pytest.mark.parametrize(("write", "error", "words"), WRONG)
def test_a_wrong_call_says_what_to_write(write: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        write()


def test_a_module_needs_no_call_of_super() -> None:
    class Doubled(nn.Module):
        def __init__(self) -> None:
            self.inner = nn.Linear(3, 2)

        def compute(self, *inputs: Any, **parameters: Any) -> Any:
            return 2 * self.inner(*inputs)

    model = Doubled()
    assert model(X).shape == (2, 2)
    assert len(list(model.parameters())) == 2


def test_an_error_names_the_user_s_line_and_not_numpy_s() -> None:
    def doubled(x: Any) -> Any:
        return np.vectorize(lambda t: t * 2)(x)

    line = doubled.__code__.co_firstlineno + 1
    with pytest.raises(mytorch.ReplayError, match=rf"at \S+test_newcomers\.py:{line}; write np\.copy"):
        mytorch.compile(doubled)(np.ones(3))


def test_a_loss_is_formatted_as_the_number_that_it_is() -> None:
    loss = nn.MSELoss()(Tensor([[1.0]]), Tensor([[3.0]], requires_grad=True))
    assert loss.shape == (1,)
    assert f"{loss:.2f} {loss[0]:.1f} {loss[0]}" == "4.00 4.0 4.0"
    assert f"{loss}" == str(loss)


def test_a_shared_parameter_is_stepped_once() -> None:
    layer = nn.Linear(2, 2)
    model = nn.Sequential(layer, nn.Tanh(), layer)
    assert list(model.parameters()) == [layer.W, layer.b]
    optim.SGD(model.parameters(), lr=0.1)


CELL = """
a = Tensor([2.0], requires_grad=True)
y = a * a
with mytorch.no_grad():
    a -= 1
y.backward()
"""


@pytest.mark.parametrize("known", [True, False], ids=["a notebook", "a file that is gone"])
def test_an_error_shows_lines_that_are_in_no_file(monkeypatch: pytest.MonkeyPatch, known: bool) -> None:
    name = "/tmp/ipykernel_1/2.py"
    if known:
        monkeypatch.setitem(linecache.cache, name, (len(CELL), None, CELL.splitlines(keepends=True), name))
    with pytest.raises(mytorch.TapeError) as error:
        exec(compile(CELL, name, "exec"), {"mytorch": mytorch, "Tensor": Tensor})
    text = str(error.value)
    assert f"recorded at {name}:3{' (y = a * a)' if known else ''}, reads a value" in text
    assert f"under no_grad, at {name}:5{' (a -= 1)' if known else ''}; run backward" in text


@pytest.mark.parametrize("arguments", [["-c", CELL], ["-"]], ids=["python -c", "standard input"])
def test_an_error_needs_no_source(arguments: list[str]) -> None:
    code = f"import mytorch\nfrom mytorch import Tensor{CELL}"
    arguments = [code if argument == CELL else argument for argument in arguments]
    done = subprocess.run(
        [sys.executable, *arguments], input=code, capture_output=True, text=True, check=False
    )
    assert "TapeError: the backward pass of multiply, recorded at <" in done.stderr


def test_hints_are_not_shown_and_cost_nothing() -> None:
    """A ``__getattr__`` would make every attribute slow, and names that are not there help nobody who completes one."""
    for kind, name in ((Tensor, "exp"), (nn.Module, "state_dict"), (optim.Optimizer, "param_groups")):
        assert not any("__getattr__" in vars(base) for base in kind.__mro__)
        with pytest.raises(
            AttributeError, match=rf"type object '{kind.__name__}' has no attribute '{name}': "
        ):
            getattr(kind, name)
    layer = nn.Linear(2, 3)
    assert {"W", "parameters"} <= {*dir(layer)}
    assert "state_dict" not in dir(layer)
    assert {"reshape", "grad", "sum"} <= {*dir(P)}
    assert not {"exp", "add_", "cuda", "resize"} & {*dir(P), *dir(Tensor)}


def test_modules_may_be_abstract() -> None:
    class Block(nn.Module, ABC):
        @abstractmethod
        def width(self) -> int: ...

    class Wide(Block):
        def width(self) -> int:
            return 3

    assert Wide().width() == 3
    with pytest.raises(TypeError, match="abstract"):
        Block()  # type: ignore[abstract]


def test_help_says_what_to_write_instead() -> None:
    text = pydoc.plain(pydoc.render_doc(nn.Linear))
    assert (
        "state_dict\n |      Not there: keep [p.numpy() for p in model.parameters()], in np.savez for example.\n"
        in text
    )
    assert "Not there" not in pydoc.plain(pydoc.render_doc(Tensor))
