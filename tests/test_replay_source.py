"""Printed programs run with NumPy alone and give the numbers of the eager call; every line says what caused it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import namedtuple
from typing import Any

import numpy as np
import pytest

import mytorch
import mytorch.functional as F
from mytorch import Tensor, nn, optim
from mytorch.replay import ReplayError
from tests.op_cases import all_cases
from tests.test_rules import Call

# -- running what was printed ---------------------------------------------------------------------------------------


def program_of(function, *args):
    """Return the program of a function that was called twice."""
    compiled: Any = mytorch.compile(function)
    for _ in range(4):  # an optimizer's first step cannot be replayed
        compiled(*args)
    return compiled.program


def module_of(program, folder, name="program.py"):
    """Return the namespace of the saved program, which may not import this package."""
    path = program.save(folder / name)
    text = path.read_text(encoding="utf-8")
    assert "mytorch" not in re.sub(r"#.*", "", text)
    scope = {"__name__": "printed", "__file__": str(path)}
    exec(compile(text, str(path), "exec"), scope)
    assert "mytorch" not in scope
    return scope


def function_of(scope):
    return next(f for f in scope.values() if getattr(f, "__module__", None) == "printed")


def plain(tree):
    leaves, structure = mytorch.trees.flatten(tree)
    return [np.array(x.numpy() if isinstance(x, Tensor) else x) for x in leaves], structure.size


def same(printed, eager, rtol=1e-9):
    ours, n = plain(printed)
    theirs, m = plain(eager)
    assert n == m
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        np.testing.assert_allclose(
            a, b, rtol=rtol if a.dtype.itemsize > 4 else 1e-4, atol=1e-12 if a.dtype.itemsize > 4 else 1e-5
        )


def check(function, make, folder, state=()):
    """Compare a printed program with the eager function, for three inputs that it has not seen.

    `make` gives the arguments; `state` are Tensors that both change.
    """
    program = program_of(function, *make(0))
    scope = module_of(program, folder)
    run = function_of(scope)
    for seed in range(1, 4):
        args = make(seed)
        copies = [np.array(x) if isinstance(x, np.ndarray) else x for x in args]
        printed = run(*copies)
        same(printed, function(*args))
        for given, copy in zip(args, copies, strict=True):
            if isinstance(given, np.ndarray):
                np.testing.assert_allclose(copy, given, rtol=1e-9)
        for name, tensor in state:
            np.testing.assert_allclose(
                scope[name], tensor.numpy(), rtol=1e-9 if tensor.dtype == float else 1e-4, atol=1e-9
            )
    return program.source


def code_of(source):
    """Return a program without its comments, which hold the user's text."""
    return re.sub(r" *#.*", "", source)


def normal(*shapes, dtype=float):
    def make(seed):
        rng = np.random.default_rng(seed)
        return [rng.normal(size=shape).astype(dtype) for shape in shapes]

    return make


# -- functions of many kinds ----------------------------------------------------------------------------------------


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def recurrence(x):
    u = Tensor(np.zeros(4))
    u[0] = x[0]
    for i in range(1, 4):
        u[i] = np.tanh(u[i - 1]) * x[i]
    return u.sum()


def overwritten(x):
    y = x * 2
    y[1:3] = y[:2] ** 2
    y[::-1] += x
    y *= np.exp(y * 0.1)
    return (y * y).sum()


def views(x):
    a = x.reshape(3, 2, 2)
    b = a.transpose(2, 0, 1)[1]
    c = np.concatenate([b.T, x[:2, :3]], axis=0)
    return (c[:, None] * x[None, 0, :3]).sum() + np.einsum("ii->", x[:3, :3]) + x[::-1, 1].sum() * x.T[2, 1]


def fancy(x):
    i = np.array([2, 0, 2, 1])
    y = x[i] * x[i, [0, 1, 2, 0]][:, None]
    z = np.take_along_axis(y, np.argsort(y, axis=1), axis=1)
    return (z * np.arange(4.0)[:, None]).sum() + (x[x > 0] ** 2).sum()


def at_places(x):
    y = x.copy()
    np.add.at(y, np.array([0, 0, 2]), 1.5)
    y[np.array([1, 2])] = x[np.array([0, 1])] * 3
    np.maximum(y, 0.1, out=y)
    y[y > 1] = 1
    return y


def sorting(x):
    return np.sort(x, axis=-1), np.argsort(x), np.max(x, axis=0), x.argmax(), np.cumsum(x, axis=1)


def solving(a, b):
    matrix = a @ a.T + 3 * np.eye(4)
    q, r = np.linalg.qr(matrix)
    values, vectors = np.linalg.eigh(matrix)
    return (
        np.linalg.solve(matrix, b),
        q @ r,
        values,
        np.linalg.det(matrix),
        np.abs(vectors),
        np.linalg.inv(matrix),
    )


def spectrum(x):
    y = np.fft.rfft(x)
    return np.fft.irfft(y * np.conj(y)), y.real, y.imag, np.abs(y)


def complexes(x):
    z = x * (1 + 2j) - 1j
    return np.exp(z).real, z * z.conj(), (z**2).imag


def masks(x):
    inside = (x > -1) & ~(x > 1)
    return np.where(inside, x, 0.0), inside, np.logical_or(inside, x > 2).any(), np.count_nonzero(inside)


def everything(x):
    a, b = np.modf(np.abs(x) + 1)
    return [
        np.logaddexp(a, b), np.hypot(x, 2), x // 0.3, x % 0.7, np.clip(x, -1, 1), -x, +x, abs(x), np.sign(x),
        np.minimum(x, 0), x.mean(axis=1, keepdims=True), x.std(), np.prod(x, axis=(0,)),
        np.sum(x, axis=1, dtype=np.float32),
        np.outer(x[0], x[1]), np.dot(x, x.T), np.vdot(x, x), np.stack([a, b]), np.flip(x, 0), np.roll(x, 1), 2.0**x,
        np.power(abs(x), 0.5), np.tril(x), np.square(x), np.arctan2(x, 0.5), np.broadcast_to(x[0], (2, 3)), x.T.copy(),
        x.astype(np.float32), np.add(x, 1, where=x > 0, out=np.zeros_like(x)), np.divmod(x, 0.4), np.pad(x, 1),
    ]  # fmt: skip


def softmax_loss(x):
    z = x - x.max(axis=1, keepdims=True)
    return (np.log(np.exp(z).sum(axis=1)) - z[:, 0]).mean()


FUNCTIONS = {
    "recurrence": (mytorch.value_and_grad(recurrence), normal(4)),
    "hvp": (mytorch.hvp(rosenbrock), normal(5, 5)),
    "hessian": (mytorch.hessian(rosenbrock), normal(3)),
    "jacobian": (mytorch.jacobian(lambda x: np.tanh(x) * x.sum()), normal(3)),
    "overwritten": (mytorch.grad(overwritten), normal(5)),
    "views": (mytorch.value_and_grad(views), normal((3, 4))),
    "fancy": (mytorch.value_and_grad(lambda x: (x[np.array([2, 0, 2])] ** 2 * x[1]).sum()), normal((3, 3))),
    "fancy again": (fancy, lambda seed: [np.abs(normal((3, 3))(seed)[0])]),
    "at places": (at_places, normal((3, 2))),
    "sorting": (sorting, normal((3, 4))),
    "sorted gradient": (mytorch.grad(lambda x: (np.sort(x) * np.arange(4.0)).sum()), normal(4)),
    "linear algebra": (solving, normal((4, 4), (4,))),
    "gradient of solve": (mytorch.grad(lambda a, b: np.linalg.solve(a, b).sum()), normal((3, 3), (3,))),
    "fft": (spectrum, normal(8)),
    "gradient of fft": (mytorch.grad(lambda x: (np.abs(np.fft.fft(x)) ** 2).sum()), normal(6)),
    "complex": (complexes, normal(4)),
    "gradient of complex": (mytorch.grad(lambda x: np.abs(np.exp(1j * x) * (2 - 1j) + x).sum()), normal(4)),
    "counted": (
        mytorch.value_and_grad(
            lambda x: (x**2).sum() / np.count_nonzero(x) + (np.expand_dims(np.count_nonzero(x), 0) * x).sum()
        ),
        normal(3),
    ),
    "masks": (masks, normal((2, 5))),
    "everything": (everything, normal((2, 3))),
    "softmax": (mytorch.value_and_grad(softmax_loss), normal((4, 3))),
    "float32": (mytorch.value_and_grad(softmax_loss), normal((4, 3), dtype=np.float32)),
    "float32 numbers": (
        lambda x: (x * 0.1 + np.float32(0.3), x.sum() / 3, np.float64(0.1) * x, x.mean() * x),
        normal((3,), dtype=np.float32),
    ),
    "integers": (lambda n: (n * 2, n / 2, n // 3, n**2, n.sum(), n << 1, n & 3, n % 4 == 0),
        lambda seed: [np.random.default_rng(seed).integers(1, 50, 6)]),
    "nothing": (lambda x: x, normal(3)),
    "0-d": (mytorch.value_and_grad(lambda x: np.sin(x) * x), lambda seed: [np.array(seed + 0.5)]),
    "constants": (lambda x: (x @ np.linspace(0, 1, 40), x * np.eye(40)[3], x.sum() * np.pi, 3.0), normal(40)),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_printed_program_gives_the_numbers_of_the_eager_call(name, tmp_path):
    check(*FUNCTIONS[name], tmp_path)


# -- every operation ------------------------------------------------------------------------------------------------

NOT_PRINTED = {
    np.piecewise,
    np.apply_along_axis,
    np.histogramdd,
}  # given functions; several arrays that decide


def slope(call):
    def total(*arrays):
        leaves = mytorch.trees.flatten(call(*arrays))[0]
        return sum(np.sum(np.abs(leaf) ** 2) for leaf in leaves if isinstance(leaf, Tensor | np.ndarray))

    return lambda *arrays: mytorch.value_and_grad(total, argnums=tuple(range(len(arrays))))(*arrays)


def case_check(function, arrays, folder):
    """Compare a printed program with the eager call, for the recorded and for scaled arguments."""
    compiled: Any = mytorch.compile(function)
    try:
        for _ in range(2):
            compiled(*[array.copy() for array in arrays])
        program = compiled.program
    except ReplayError as error:
        pytest.skip(f"not replayed, so not printed: {error}")
    run = function_of(module_of(program, folder))
    for scale in (1,) if program.guards else (1, 1.01):
        scaled = [array * array.dtype.type(scale) for array in arrays]
        try:
            eager = function(*[array.copy() for array in scaled])
        except ValueError:  # a quantile at 1.01
            assert scale != 1
            continue
        same(run(*scaled), eager, 1e-7)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    "case", [case for _, case in all_cases() if not NOT_PRINTED & {case.function, *case.covers}], ids=str
)
def test_every_operation_and_its_gradient_can_be_printed(case, tmp_path):
    if case.name == "a function":
        return
    call = Call(case)
    case_check(lambda *arrays: call(*arrays), call.arrays, tmp_path)
    if call.arrays:
        case_check(slope(call), call.arrays, tmp_path)


# -- training steps: state is updated in place -----------------------------------------------------------------------


class TwoLayers:
    """A perceptron of bare Tensors, whose names the program has to keep."""

    def __init__(self, dtype=float):
        rng = np.random.default_rng(0)
        self.W1 = Tensor(rng.normal(size=(3, 4)).astype(dtype), requires_grad=True)
        self.b1 = Tensor(np.zeros(4, dtype), requires_grad=True)
        self.W2 = Tensor(rng.normal(size=(4, 2)).astype(dtype), requires_grad=True)
        self.b2 = Tensor(np.zeros(2, dtype), requires_grad=True)

    def parameters(self):
        return [self.W1, self.b1, self.W2, self.b2]

    def state(self):
        return [(f"model_{name}", getattr(self, name)) for name in ("W1", "b1", "W2", "b2")]


def training_step(model, optimizer):
    def step(x, y):
        h = np.maximum(x @ model.W1 + model.b1, 0)
        out = h @ model.W2 + model.b2
        loss = ((out - y) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step


OPTIMIZERS = {
    "SGD": lambda p: optim.SGD(p, lr=0.1),
    "momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9),
    "Adam": lambda p: optim.Adam(p, lr=0.1),
    "AdamW": lambda p: optim.AdamW(p, lr=0.1),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_training_step_updates_its_own_state(name, dtype, tmp_path):
    model = TwoLayers(dtype)
    optimizer = OPTIMIZERS[name](model.parameters())
    source = check(
        training_step(model, optimizer), normal((5, 3), (5, 2), dtype=dtype), tmp_path, model.state()
    )
    for line in (
        "h = np.maximum(",
        "out = h @ model_W2 + model_b2",
        "d_W2 = h.T @ d_out",
        "d_h = d_out @ model_W2.T",
    ):
        assert line in source
    assert [source.index(f"# -- {phase} --") for phase in ("forward", "backward", "update")] == sorted(
        source.index(f"# -- {phase} --") for phase in ("forward", "backward", "update")
    )


def test_modules_keep_their_paths(tmp_path):
    first, last = nn.Linear(3, 4), nn.Linear(4, 2)
    model = nn.Sequential(first, nn.ReLU(), last)
    optimizer = optim.Adam(model.parameters(), lr=0.01)

    def step(x, y):
        loss = F.cross_entropy(F.softmax(model(x)), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    def make(seed):
        rng = np.random.default_rng(seed)
        return [rng.normal(size=(6, 3)), np.eye(2)[rng.integers(0, 2, 6)]]

    state = [("model_0_W", first.W), ("model_2_b", last.b)]
    source = check(step, make, tmp_path, state)
    assert "mean_0_W" in source  # the moment of that weight


def test_an_update_by_hand_and_the_logistic_regression(tmp_path):
    w = Tensor(np.zeros(3), requires_grad=True)

    def logistic(x, y):
        z = x @ w
        loss = np.mean(np.log1p(np.exp(-z * y)))
        loss.backward()
        with mytorch.no_grad():
            w[...] -= 0.1 * w.grad
        w.grad = None
        return loss

    source = check(logistic, normal((9, 3), 9), tmp_path, [("w", w)])
    assert "d_w" in source
    assert "# -- update --" in source


def test_gradients_that_add_up_are_part_of_the_state(tmp_path):
    w = Tensor(np.ones(3), requires_grad=True)
    w.grad = Tensor(np.ones(3))

    def more(x):
        (w * x).sum().backward()

    scope = module_of(program_of(more, np.arange(3.0)), tmp_path)
    before = w.grad.numpy().copy()
    assert function_of(scope)(np.array([1.0, 10.0, 100.0])) is None
    np.testing.assert_allclose(scope["grads"]["w"], before + np.array([1, 10, 100]))


# -- arguments, random numbers, branches ----------------------------------------------------------------------------


def test_nested_and_named_arguments(tmp_path):
    Pair = namedtuple("Pair", "left right")

    def f(batch, pair, *, scale, power=2):
        return {"sum": batch["x"] + scale * batch["y"][0], "pair": (pair.left**power,)}

    compiled: Any = mytorch.compile(f)
    a, b, c = np.arange(3.0), np.ones(3), np.array([1.0, -2.0])
    for _ in range(3):
        compiled({"x": a, "y": [b]}, Pair(c, None), scale=3, power=3)
    scope = module_of(compiled.program, tmp_path)
    result = function_of(scope)({"x": b, "y": [a]}, Pair(2 * c, None), scale=3, power=3)
    assert {"batch_x", "batch_y_0", "pair_left"} <= set(re.findall(r"\w+", compiled.source))
    np.testing.assert_allclose(result["sum"], b + 3 * a)
    np.testing.assert_allclose(result["pair"][0], 8 * c**3)
    with pytest.raises(ValueError, match="this program is for scale = 3, got 4"):
        function_of(scope)({"x": b, "y": [a]}, Pair(c, None), scale=4, power=3)


def test_an_array_that_was_given_twice_has_to_be(tmp_path):
    compiled: Any = mytorch.compile(lambda x, batch: x * batch[0] + batch[1])
    a, b = np.arange(3.0), np.ones(3)
    for _ in range(2):
        compiled(a, [a, b])
    function = function_of(module_of(compiled.program, tmp_path))
    with pytest.raises(ValueError, match="this program is for batch_0 that is x"):
        function(a, [b, b])
    np.testing.assert_allclose(function(b, [b, a]), b * b + a)


def test_draws_are_draws_of_a_generator_in_its_state(tmp_path):
    rng = np.random.default_rng(5)

    def noisy(x):
        mask = rng.random(3) < 0.5
        return x * mask + rng.normal(size=3) * rng.uniform()

    scope = module_of(program_of(noisy, np.ones(3)), tmp_path)
    x = np.arange(3.0)
    for _ in range(3):
        np.testing.assert_allclose(function_of(scope)(x), noisy(x))


def test_draws_of_numpys_own_generator_and_of_an_argument(tmp_path):
    def noisy(x, rng):
        return x + np.random.normal(size=2) + rng.integers(0, 9, 2)

    compiled: Any = mytorch.compile(noisy)
    own = np.random.default_rng(1)
    for _ in range(2):
        compiled(np.ones(2), own)
    scope = module_of(compiled.program, tmp_path)
    np.random.seed(3)
    ours = function_of(scope)(np.zeros(2), np.random.default_rng(7))
    np.random.seed(3)
    np.testing.assert_allclose(ours, noisy(np.zeros(2), np.random.default_rng(7)))


def test_an_old_generator_is_saved_with_its_state(tmp_path):
    old = np.random.RandomState(4)

    def noisy(x):
        return x + old.randn(2)

    scope = module_of(program_of(noisy, np.ones(2)), tmp_path)
    np.testing.assert_allclose(function_of(scope)(np.ones(2)), noisy(np.ones(2)))


def test_a_branch_is_a_check_that_names_its_line(tmp_path):
    def f(x):
        if x.sum() > 0:
            return x * 2
        return -x

    program = program_of(f, np.ones(2))
    run = function_of(module_of(program, tmp_path))
    np.testing.assert_allclose(run(np.array([3.0, -1.0])), [6.0, -2.0])
    with pytest.raises(
        RuntimeError, match=r"another branch than the recorded one, at test_replay_source\.py:\d+"
    ):
        run(-np.ones(2))
    assert "if not (x.sum() > 0):" in program.source


def test_numbers_that_were_taken_out_are_checked(tmp_path):
    def f(x):
        return x * float(x[0]) + int(x[1]) + x[2].item()

    run = function_of(module_of(program_of(f, np.arange(3.0)), tmp_path))
    np.testing.assert_allclose(run(np.arange(3.0)), f(np.arange(3.0)))
    for changed in ([1.0, 1.0, 2.0], [0.0, 2.0, 2.0], [0.0, 1.0, 3.0]):
        with pytest.raises(RuntimeError, match="another branch"):
            run(np.array(changed))


SHAPES = {
    "mask": lambda x: x * len(x[x > 0]),
    "nonzero": lambda x: x * np.nonzero(x > 0)[0].size,
    "where": lambda x: x * np.where(x > 0)[0].size,
    "unique": lambda x: x * np.unique(x > 0).shape[0],
    "repeat": lambda x: x * np.repeat(x, (x > 0).astype(int)).size,
    "compress": lambda x: x * np.compress(x > 0, x).size,
    "reshape": lambda x: x.reshape((x > x.max() / 2).sum(), -1).sum(axis=0),
}
if np.linalg.eigvals(np.eye(2)).dtype == np.float64:  # from NumPy 2.5 on all eigenvalues are complex
    SHAPES["eigenvalues"] = lambda x: x * np.linalg.eigvals(x[:4].reshape(2, 2)).dtype.itemsize


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_that_values_decide_are_checked(name, tmp_path):
    function, x = SHAPES[name], np.array([3.0, -1.0, 1.0, 3.0])
    program = program_of(function, x)
    run = function_of(module_of(program, tmp_path))
    for scale in (1.0, 2.0, 3.0):
        same(run(scale * x), function(scale * x))
    for other in (np.ones(4), -np.ones(4)):
        if name == "eigenvalues":
            other = np.eye(2).reshape(4)
        with pytest.raises(RuntimeError, match="another branch than the recorded one"):
            run(other)
    unchanging = program_of(lambda x: np.pad(x, 1) * np.repeat(x, 2)[:6], np.ones(4))
    assert "raise" not in unchanging.source


def test_views_at_places_that_values_decide_are_checked(tmp_path):
    def f(x, z):
        return np.trim_zeros(x) ** 2, np.trim_zeros(x, "f").sum(), np.real_if_close(z) * 2

    x, z = np.array([0.0, 3, 0, np.nan, 2, 0, 0]), np.array([1 + 0j, 2])
    program = program_of(f, x, z)
    run = function_of(module_of(program, tmp_path))
    same(run(2 * x, 3 * z), f(2 * x, 3 * z))
    assert "if not np.array_equal(np.trim_zeros(x), x[1:-2], equal_nan=True):" in program.source
    for other in ((x[::-1], z), (np.zeros(7), z), (np.ones(7), z), (x, z + 1j)):
        with pytest.raises(RuntimeError, match="another branch than the recorded one"):
            run(*other)


def test_a_place_outside_that_gets_a_new_value(tmp_path):
    class Model:
        def __init__(self):
            self.last = None

    model = Model()

    def f(x):
        model.last = x * 2
        return x.sum()

    scope = module_of(program_of(f, np.ones(2)), tmp_path)
    function_of(scope)(np.array([1.0, 5.0]))
    np.testing.assert_allclose(scope["model_last"], [2.0, 10.0])


def test_errors_are_computed_under_the_recorded_state(tmp_path):
    def f(x):
        with np.errstate(divide="ignore"):
            y = 1 / x
        return y + 1

    source = check(f, lambda seed: [np.arange(3.0) + (seed - 1)], tmp_path)
    assert "with np.errstate(" in source


# -- the text -------------------------------------------------------------------------------------------------------


def test_every_line_says_where_it_comes_from():
    model = TwoLayers()
    source = program_of(
        training_step(model, optim.Adam(model.parameters())), *normal((5, 3), (5, 2))(0)
    ).source
    body = source[source.index("def step") : source.index("grads.update")].splitlines()
    code = [
        line
        for line in body[3:]
        if line.strip() and "# --" not in line and not line.strip().startswith(("global", "raise"))
    ]
    assert len(code) > 20
    here = code[0].index("#") if "#" in code[0] else None
    assert here is not None
    for line, before in zip(code[1:], code, strict=False):
        assert "# test_replay_source.py:" in line or before.strip().startswith("# test_replay_source.py:")
    assert "h = np.maximum(x @ model.W1 + model.b1, 0)" in source  # the user's text
    assert max(map(len, source.splitlines())) <= 130


def test_views_are_written_as_a_user_would():
    def f(x):
        y = np.zeros((2, 3)) + x.T
        y[0] = x[:, 1] * 2
        y[:, ::2] *= x[0, :, None]
        return y.reshape(-1)[:4] + x[-1, 0], x[None, :, 1], x.reshape(2, 3)[::-1, 1:]

    source = program_of(f, np.arange(6.0).reshape(3, 2)).source
    for text in (
        "y[0] = x[:, 1] * 2",
        "y[:, ::2] *= x[0, :, None]",
        "x.reshape(2, 3)[::-1, 1:]",
        "x[None, :, 1]",
    ):
        assert text in source


def test_a_view_without_a_simple_name_is_written_by_its_strides(tmp_path):
    def f(x):
        windows = np.lib.stride_tricks.sliding_window_view
        return (windows(windows(x, 3), 2, axis=0) * np.arange(2.0)).sum(axis=2)

    source = check(f, normal(7), tmp_path)
    assert "np.lib.stride_tricks.as_strided(x.reshape(-1), (4, 3, 2), (8, 8, 8))" in source


WINDOWS = {
    "sliding_window_view(x, 3)": (lambda w, x: w(x, 3), (7,)),
    "sliding_window_view(x, 3)[::2]": (lambda w, x: w(x, 3)[::2], (8,)),
    "sliding_window_view(x, 3, axis=1)": (lambda w, x: w(x, 3, axis=1), (2, 7)),
    "sliding_window_view(x, (3, 2), axis=(2, 3))": (lambda w, x: w(x, (3, 2), axis=(2, 3)), (2, 3, 6, 5)),
    "sliding_window_view(x, (3, 3), axis=(2, 3))[:, :, ::2, ::2]": (
        lambda w, x: w(x, (3, 3), axis=(2, 3))[:, :, ::2, ::2],
        (2, 3, 7, 7),
    ),
    "sliding_window_view(x, (3, 3), axis=(1, 2)).transpose(0, 3, 1, 2, 4, 5)": (
        lambda w, x: w(x, (3, 3), axis=(1, 2)).transpose(0, 3, 1, 2, 4, 5),
        (2, 6, 5, 3),
    ),
}


@pytest.mark.parametrize("text", WINDOWS)
def test_windows_are_written_as_windows(text, tmp_path):
    view, shape = WINDOWS[text]

    def f(x):
        windows = view(np.lib.stride_tricks.sliding_window_view, x)
        return (windows * np.arange(windows.shape[-1])).sum(axis=-1)

    assert text in code_of(check(f, normal(shape), tmp_path))
    assert "as_strided" not in code_of(check(lambda x: f(np.sin(x)), normal(shape), tmp_path))


def test_names_of_loops_and_of_functions_that_are_called():
    def layer(x, w):
        z = x * w
        return np.tanh(z)

    def f(x, w):
        h = x
        for _ in range(3):
            h = layer(h, w)
        return h

    source = program_of(f, np.ones(2), np.ones(2)).source
    assert all(text in source for text in ("z = x * w", "z_2 = ", "np.tanh(z)"))


def test_a_gradient_has_the_number_of_what_it_belongs_to():
    def f(x, w):
        h = np.tanh(x @ w)
        h = h * 3
        for _ in range(2):
            h = np.sin(h) @ w
        u = Tensor(np.zeros(2))
        u[0] = h.sum()
        return u[0] ** 2

    source = program_of(mytorch.value_and_grad(f), np.ones((2, 2)), np.eye(2)).source
    for text in ("h_4 = np.sin(h_3) @ w", "d_h_2 = ", "d_h = d_h_2 * 3", "np.cos(h_3)", "d_u = np.zeros(2)"):
        assert text in source
    assert source.index("d_u = ") < source.index("d_h_3 = ") < source.index("d_h_2 = ")


def test_what_a_called_function_calls_its_argument():
    def score(pred, target):
        return ((pred - target) ** 2).sum()

    def relu(x):
        return np.maximum(x, 0.1) * np.exp(x)

    def f(x, w, y):
        return score(relu(x @ w), y)

    source = program_of(f, np.ones((2, 2)), np.ones((2, 3)), np.ones((2, 3))).source
    assert "pred = np.maximum(t1, 0.1) * np.exp(t1)" in source  # x is the argument, which has another shape
    source = program_of(lambda x, w: relu(x @ w), np.ones((2, 2)), np.ones((2, 2))).source
    assert "x_2 = x @ w" in source


def test_what_a_transform_does_by_itself_comes_from_the_function():
    def cubes(x):
        return (x**3).sum()

    source = program_of(mytorch.hvp(cubes), np.ones(2), np.ones(2)).source
    assert "def cubes(x):" in source
    assert "compiled(*args)" not in source
    source = program_of(mytorch.grad(cubes), np.ones(2)).source
    assert "def grad_of_cubes(x):" in source


def test_the_first_line_names_the_parts_of_the_program():
    w = Tensor(np.ones(2), requires_grad=True)

    def step(x):
        (x @ w).backward()
        with mytorch.no_grad():
            w[...] -= w.grad
        w.grad = None

    source = program_of(step, np.ones(2)).source
    assert source.startswith('"""step as straight-line NumPy: backward, update."""')


def test_a_saved_program_runs_in_an_interpreter_without_this_package(tmp_path):
    model = TwoLayers()
    program = program_of(
        training_step(model, optim.SGD(model.parameters(), lr=0.1)), *normal((5, 3), (5, 2))(0)
    )
    path = program.save(tmp_path / "step.py")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step.npz", "step.py"]
    run = subprocess.run(
        [sys.executable, "-I", "-c", _ALONE, str(path)], capture_output=True, text=True, check=True
    )
    x, y = np.random.default_rng(0).normal(size=(5, 3)), np.zeros((5, 2))
    eager = training_step(model, optim.SGD(model.parameters(), lr=0.1))
    expected = [float(eager(x, y)) for _ in range(3)]
    np.testing.assert_allclose([float(line) for line in run.stdout.split()], expected, rtol=1e-12)


_ALONE = """
import runpy, sys, numpy as np
step = runpy.run_path(sys.argv[1], run_name="step")["step"]
x, y = np.random.default_rng(0).normal(size=(5, 3)), np.zeros((5, 2))
for _ in range(3):
    print(float(step(x, y)))
assert not any(name.split(".")[0] == "mytorch" for name in sys.modules)
"""


def test_the_example_of_a_saved_program_runs(tmp_path):
    program = program_of(lambda x, n, flag: x.sum() * n, np.ones((2, 3), np.float32), 3, True)
    path = program.save(tmp_path / "f.py")
    run = subprocess.run([sys.executable, "-I", str(path)], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"-?[\d.]+\n", run.stdout)


def test_compiled_functions_forward_to_their_last_program(tmp_path):
    compiled: Any = mytorch.compile(lambda x: x * 2)
    with pytest.raises(ReplayError, match="has no program: call it first"):
        compiled.save(tmp_path / "a.py")
    compiled(np.ones(2))
    assert compiled.save(tmp_path / "a.py") == tmp_path / "a.py"
    assert (tmp_path / "a.py").read_text() == compiled.source


def test_where_a_program_cannot_be_saved(tmp_path):
    program = program_of(lambda x: x * 2, np.ones(2))
    with pytest.raises(ValueError, match=r"the path must end in \.py, got 'step\.txt'"):
        program.save("step.txt")
    with pytest.raises(OSError, match=r"cannot save the program: No such file.*choose a folder that exists"):
        program.save(tmp_path / "nowhere" / "step.py")
    (tmp_path / "folder.py").mkdir()
    with pytest.raises(OSError, match="cannot save the program: Is a directory"):
        program.save(tmp_path / "folder.py")
    assert [p.name for p in tmp_path.iterdir()] == ["folder.py"]


def test_results_that_cannot_be_printed():
    thing = object()
    program = program_of(lambda x: (x * 2, thing), np.ones(2))
    with pytest.raises(ReplayError, match=r"a object .* cannot be printed"):
        program.source  # noqa: B018


def test_signs_and_numbers_are_written_as_by_hand(tmp_path):
    def f(x, y):
        p = 1 / (1 + np.exp(-x))
        return -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))

    source = check(mytorch.value_and_grad(f), lambda seed: [normal((3, 3))(seed)[0], np.eye(3)], tmp_path)
    for text in (
        "value = -(y * np.log(p) + t3 * np.log(t4)).mean()",
        "d_p = 1 / 9 * t3 / t4 - 1 / 9 * y / p",
        "d_x = d_p * p / t2 * t1",
        "return value, d_x",
    ):
        assert text in code_of(source)
    source = check(
        lambda x: (x - 2.0 * -x, 1j * np.conj(np.conj(x) * 1j), (-(x**3)).sum() + x[:-2] ** 2),
        normal(5),
        tmp_path,
    )
    for text in ("x + 2 * x", "np.conj(np.conj(x) * 1j)", "x[:-2] ** 2 - (x**3).sum()"):
        assert text in code_of(source)


def test_a_sign_stays_where_numbers_wrap_around(tmp_path):
    def f(n):
        return n.astype(np.uint16) + -n * np.uint16(3), np.negative(-n)

    check(f, lambda seed: [np.arange(seed, seed + 4, dtype=np.uint8)], tmp_path)


def test_brief_constants_stand_where_they_are_used(tmp_path):
    def f(x, labels):
        table = np.array([[1.0, -1.0, 3.25], [0.5, 2.125, -0.75]])
        chosen = np.log(x[np.arange(3), labels] ** 2)
        return (chosen + x @ np.ones(3) + (x @ table.T)[:, 1] + (x.T @ table.T)[:, 0]).mean()

    def make(seed):
        return [*normal((3, 3))(seed), np.array([0, 2, 1])]

    source = check(mytorch.value_and_grad(f), make, tmp_path)
    for text in (
        "x[np.arange(3), labels]",
        "x @ np.ones(3)",
        "table = np.array([[1.0, -1.0, 3.25]",
        "np.add.at(",
    ):
        assert text in code_of(source)
    assert code_of(source).count("3.25") == 1


def test_what_goes_without_saying_is_not_said(tmp_path):
    def f(x):
        with np.errstate(over="ignore"):
            y = np.exp(x) / 2
            y = y * np.exp(x)
        return (
            (y / np.std(x, axis=0)).sum(axis=(0, 1)),
            np.sort(x),
            np.einsum("ij->j", x),
            np.median(x),
            np.median(x) * x,
        )

    source = check(f, normal((3, 3)), tmp_path)
    assert "where=True" not in source
    assert "ddof=0" not in source
    assert "optimize" not in source
    assert source.count("with np.errstate(over='ignore'):") == 1
    assert source.count("if np.isnan(x).any():") <= 1


def test_an_update_in_place_leaves_its_gradient_where_it_is(tmp_path):
    def heat(r, start):
        u = Tensor(start)
        for _ in range(2):
            u[1:-1] += r * (u[2:] - 2 * u[1:-1] + u[:-2])
        return (u**2).sum()

    source = check(mytorch.value_and_grad(heat), normal((), 6), tmp_path)
    assert "d_u[1:-1] = 0" not in source
    for text in ("u[1:-1] += r * t1", "g1 = d_u[1:-1].copy()", "d_u[:-2] += g2", "d_u[1:-1] -= g2 * 2"):
        assert text in code_of(source)


def test_old_values_are_not_put_back_where_nobody_reads_them(tmp_path):
    def rows(w, x):
        b = Tensor(np.zeros((3, 2)))
        b[0] = x
        for i in range(1, 3):
            b[i] = np.tanh(w @ b[i - 1])
        b[0] = b[1] * b[0]  # whose old value the gradient needs
        return (b**3).sum()

    source = check(mytorch.value_and_grad(rows), normal((2, 2), 2), tmp_path)
    assert source.count(".copy()") <= 4
    assert "d_b[2] = 0" in source


def test_what_one_call_does_in_place_is_one_expression(tmp_path):
    first, last = nn.Linear(3, 4), nn.Linear(4, 2)
    model, criterion = nn.Sequential(first, nn.ReLU(), last), nn.SoftmaxCrossEntropy()
    optimizer = optim.Adam(model.parameters(), lr=0.01)

    def step(x, y):
        out = model(x)
        loss = criterion(y, out)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    def make(seed):
        rng = np.random.default_rng(seed)
        return [rng.normal(size=(6, 3)), np.eye(2)[rng.integers(0, 2, 6)]]

    source = check(step, make, tmp_path, [("model_0_W", first.W), ("model_2_b", last.b)])
    for text in (
        "out = t1 @ model_2_W.T + model_2_b[:, 0]",
        "model_2_W -= s2 * mean_2_W / (np.sqrt(square_2_W) * s1 + 1e-08)",
        "mean_2_W += (1 - 0.9) * d_2_W",
    ):
        assert text in code_of(source)
    assert "criterion" not in code_of(source)  # what modules remember


def test_memory_that_the_user_writes_again_is_written_again(tmp_path):
    def f(x):
        y = x * 2
        seen = y
        y += 1
        y *= np.float64(0.5)
        z = x.astype(np.float32)
        z *= x
        return seen, y, z, sum(row * 2 for row in x)

    source = check(f, normal((2, 3)), tmp_path)
    assert "y += 1" in code_of(source)


def test_means_and_products_with_vectors(tmp_path):
    w = Tensor(np.ones(3), requires_grad=True)
    optimizer = optim.SGD([w], lr=0.1)

    def step(x, y):
        loss = np.mean((x @ w - y) ** 2)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss, x.mean(axis=0), x.mean(axis=1, keepdims=True), (x > 0).mean()

    source = check(step, normal((5, 3), 5), tmp_path, [("w", w)])
    for text in (
        "loss = (t1**2).mean()",
        "x.T @ (0.4 * t1)",
        "x.mean(axis=0)",
        "x.mean(axis=1, keepdims=True)",
    ):
        assert text in code_of(source)
    assert "[:, None]" not in code_of(source)
    column = normal((4, 3), (3, 1))
    assert "x @ v" in code_of(check(mytorch.value_and_grad(lambda x, v: (x @ v).mean()), column, tmp_path))


def test_a_gradient_that_is_scaled_is_scaled_where_it_is(tmp_path):
    w = Tensor(np.ones(3), requires_grad=True)
    optimizer = optim.SGD([w], lr=0.1)

    def step(x, y):
        optimizer.zero_grad()
        ((x @ w - y) ** 2).sum().backward()
        w.grad *= np.minimum(1.0, 1 / np.sqrt((w.grad**2).sum()))
        optimizer.step()

    scope = module_of(program_of(step, *normal((5, 3), 5)(0)), tmp_path)
    args = normal((5, 3), 5)(1)
    function_of(scope)(*args)
    step(*args)
    np.testing.assert_allclose(scope["w"], w.numpy())
    np.testing.assert_allclose(scope["grads"]["w"], w.grad.numpy())
    assert "d_w *= " in (tmp_path / "program.py").read_text()


def test_rows_and_transposes_of_narrow_arrays_are_indexed_as_any_other(tmp_path):
    def f(z, h):
        return z[0] - h @ np.ones(2), z[2] * 2, h.T @ z[1:2] + np.diag(z @ h[:, :1])

    source = check(f, normal((3, 1), (1, 2)), tmp_path)
    for text in ("z[0] - h @ np.ones(2)", "z[2] * 2", "h.T @ z[1"):
        assert text in code_of(source)


def test_gradients_of_some_arguments_have_their_names(tmp_path):
    function = mytorch.value_and_grad(lambda x, w, v: ((np.tanh(x @ w) @ v) ** 2).sum(), argnums=(1, 2))
    source = check(function, normal((2, 3), (3, 4), (4,)), tmp_path)
    assert "return value, (d_w, d_v)" in source


def test_writes_over_writes_are_put_back_once(tmp_path):
    def f(w, x):
        b = Tensor(np.zeros((3, 2)))
        b[0] = x
        b[1] = np.tanh(w @ b[0])
        b[0] = b[1] * b[0]
        b[1] += b[0] * b[1]
        b += b[::-1] * 0.5
        b[:, 0] *= b[:, 1]
        return (b**3).sum()

    source = code_of(check(mytorch.value_and_grad(f, argnums=(0, 1)), normal((2, 2), 2), tmp_path))
    back = source[source.index("d_b = ") :]
    assert back.count("    b[1] = ") == 1
    assert "b[...] = b_2" in back


def test_ties_of_a_maximum_are_no_branch(tmp_path):
    """Half of the cotangent goes to each, wherever they are: no other program has to be recorded for that."""

    def loss(x, y):
        h = np.maximum(x, 0)
        return (h * np.minimum(h, y)).sum()

    def make(seed):
        return list(np.random.default_rng(seed).integers(-2, 3, size=(2, 3, 4)).astype(float))

    function = mytorch.value_and_grad(loss, argnums=(0, 1))
    source = code_of(check(function, make, tmp_path))
    assert "np.where(x == 0, d_h / 2, np.where(x < 0, 0, d_h))" in source
    assert "raise" not in source
    compiled = mytorch.compile(function)
    for seed in range(5):
        same(compiled(*make(seed)), function(*make(seed)))
    assert [len(entry.paths) for entry in compiled.entries.values()] == [1]


def test_a_long_view_that_is_used_twice_has_a_name(tmp_path):
    def pooled(x):
        return (x.reshape(2, 3, 2, 2, 2).max(axis=(2, 4)) ** 2).sum()

    source = code_of(check(mytorch.value_and_grad(pooled), normal((2, 6, 4)), tmp_path))
    assert source.count("x.reshape(2, 3, 2, 2, 2)") == 4  # a short one is written where it is used
    turned = mytorch.value_and_grad(lambda x: pooled(x.transpose(2, 1, 0)[::2]))
    source = code_of(check(turned, normal((4, 6, 4)), tmp_path))
    assert "t1 = x.reshape(2, 2, 3, 2, 2, 2)[:, :, :, :, :, 0].transpose(4, 2, 3, 0, 1)\n" in source
    assert source.count(" x.reshape(") == 1


def test_an_error_that_the_function_caught_is_caught(tmp_path):
    def root(a):
        try:
            return np.linalg.cholesky(a)
        except np.linalg.LinAlgError:
            return a * 0.5

    def make(seed):
        return [-np.eye(3) * (seed + 1)]

    source = check(root, make, tmp_path)
    for text in ("try:", "np.linalg.cholesky(a)", "except np.linalg.LinAlgError:", "raise RuntimeError"):
        assert text in source
    with pytest.raises(RuntimeError, match=r"another branch than the recorded one, at .*\.py:\d+"):
        function_of(module_of(program_of(root, *make(0)), tmp_path))(np.eye(3))

    def fitting(a, b):
        try:
            return np.minimum(a, b)
        except ValueError:
            return a + b.sum()

    assert "except ValueError:" in check(fitting, normal(3, 2), tmp_path)
