"""Modules, losses and optimizers: on raw arrays and on Tensors, against PyTorch, for any batch, without overflow."""

import copy
import pickle
from typing import Any, NamedTuple

import numpy as np
import pytest

import mytorch
from mytorch import Autograd, TapeError, Tensor, functional, nn, no_grad, optim
from mytorch.functional import linear

LAYERS = [nn.Identity, nn.Sigmoid, nn.Tanh, nn.ReLU]
TORCH_LAYERS = {"Identity": "Identity", "Sigmoid": "Sigmoid", "Tanh": "Tanh", "ReLU": "ReLU"}
NO_ENGINE: Any = 3


def batch(n, features, seed=0):
    return np.random.default_rng(seed).standard_normal((n, features))


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("n", [1, 2, 7])
def test_a_layer_and_its_activation_are_pytorchs(torch, layer, n):
    tape, x = Autograd(), batch(n, 4)
    linear, activation = nn.Linear(4, 3, tape), layer(tape)
    y = activation(linear(x))
    g = batch(n, 3, seed=1)
    tape.backward(g)
    tx, tw, tb = (torch.tensor(v, requires_grad=True) for v in (x, linear.W, linear.b))
    ty = getattr(torch.nn, TORCH_LAYERS[layer.__name__])()(tx @ tw.T + tb.T)
    ty.backward(torch.tensor(g))
    np.testing.assert_allclose(y, ty.detach().numpy(), rtol=1e-12)
    assert activation.state is y
    for ours, theirs in [(tape.gradient_buffer.get_param(x), tx), (linear.dW, tw), (linear.db, tb)]:
        np.testing.assert_allclose(ours, theirs.grad.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 7])
def test_losses_are_pytorchs(torch, n):
    x, classes = batch(n, 5), np.arange(n) % 5
    one_hot = np.eye(5)[classes]
    for loss, target, theirs in [
        (
            nn.SoftmaxCrossEntropy,
            one_hot,
            lambda t: torch.nn.functional.cross_entropy(t, torch.tensor(classes)),
        ),
        (
            nn.MSELoss,
            batch(n, 5, seed=2),
            lambda t: torch.nn.functional.mse_loss(t, torch.tensor(batch(n, 5, seed=2))),
        ),
    ]:
        tape = Autograd()
        module = loss(tape)
        value = module(target, x)
        assert value.shape == (1,)
        assert module.loss_val is value
        module.backward()
        tx = torch.tensor(x, requires_grad=True)
        expected = theirs(tx)
        expected.backward()
        np.testing.assert_allclose(value[0], expected.item(), rtol=1e-12)
        np.testing.assert_allclose(tape.gradient_buffer.get_param(x), tx.grad.numpy(), rtol=1e-10, atol=1e-14)


def test_logits_of_a_thousand_give_finite_loss_and_gradient():
    tape, x = Autograd(), np.array([[1000.0, -1000.0, 0.0], [-1000.0, 1000.0, 1000.0]])
    loss = nn.SoftmaxCrossEntropy(tape)
    assert loss(np.eye(3)[[1, 1]], x)[0] == pytest.approx((2000 + np.log(2)) / 2)
    loss.backward()
    np.testing.assert_allclose(
        tape.gradient_buffer.get_param(x), [[0.5, -0.5, 0], [0, -0.25, 0.25]], atol=1e-300
    )


@pytest.mark.parametrize("layer", [nn.Sigmoid, nn.Tanh])
def test_activations_saturate_without_warnings(layer):
    tape, x = Autograd(), np.array([[-1e308, -1000.0, 0.0, 1000.0, np.inf]])
    y = layer(tape)(x)
    tape.backward(1)
    np.testing.assert_array_equal(y[0, [0, 1, 3, 4]], [y[0, 0], y[0, 0], 1, 1])
    np.testing.assert_array_equal(tape.gradient_buffer.get_param(x)[0, [0, 1, 3, 4]], np.zeros(4))


def test_what_is_drawn_follows_the_course():
    np.random.seed(11785)
    layer = nn.Linear(4, 3, Autograd())
    np.random.seed(11785)
    w = np.random.uniform(-0.5, 0.5, size=(3, 4))
    b = np.random.uniform(-0.5, 0.5, size=(3, 1))
    np.testing.assert_array_equal(layer.W, w)
    np.testing.assert_array_equal(layer.b, b)
    for name in ("dW", "momentum_W"):
        np.testing.assert_array_equal(getattr(layer, name), np.zeros((3, 4)))
    for name in ("db", "momentum_b"):
        np.testing.assert_array_equal(getattr(layer, name), np.zeros((3, 1)))


def test_one_implementation_serves_tensors_and_raw_arrays():
    np.random.seed(0)
    tape = Autograd()
    raw: list[Any] = [nn.Linear(4, 6, tape), nn.Tanh(tape), nn.Linear(6, 3, tape)]
    layers: list[Any] = [nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)]
    model = nn.Sequential(*layers)
    for ours, theirs in zip((layers[0], layers[2]), (raw[0], raw[2]), strict=True):
        ours.W, ours.b = Tensor(theirs.W, requires_grad=True), Tensor(theirs.b, requires_grad=True)
    x, target = batch(5, 4), np.eye(3)[[0, 1, 2, 0, 1]]
    y = x
    for module in raw:
        y = module(y)
    loss = nn.SoftmaxCrossEntropy(tape)
    loss(target, y)
    loss.backward()
    tensor_loss = nn.SoftmaxCrossEntropy()
    value = tensor_loss(target, model(Tensor(x)))
    tensor_loss.backward()
    assert value.item() == loss.loss_val[0]
    gradients = [p.grad.numpy() for p in model.parameters()]
    for ours, theirs in zip(gradients, (raw[0].dW, raw[0].db, raw[2].dW, raw[2].db), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())


def test_the_gradient_of_the_first_layers_input_is_not_computed():
    tape, x = Autograd(), batch(5, 4)
    tape.constant(x)
    layer = nn.Linear(4, 3, tape)
    layer(x)
    (operation,) = tape.operation_list
    assert operation.targets[0] is None
    assert operation.inputs[1] is None  # the weights, which only that gradient would read
    tape.backward(1)
    assert tape.gradient_buffer.memory == {}


@pytest.mark.parametrize("constant", [False, True])
def test_what_a_module_was_given_and_what_it_returned_is_read_only_while_a_rule_needs_it(constant):
    tape, data = Autograd(), np.ones((6, 3))
    layer, x = nn.Linear(3, 2, tape), data[:4]
    if constant:
        tape.constant(x)
    h = nn.Tanh(tape)(layer(x))
    needed = {"data": data, "x": x, "h": h} | ({} if constant else {"W": layer.W})
    for array in needed.values():
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 9
    tape.backward(1)
    layer.W[0] = 9
    for name in needed.keys() - {"W"}:
        with pytest.raises(ValueError, match="read-only"):
            needed[name][0] = 9
    tape.zero_grad()
    for array in needed.values():
        array[0] = 9


def test_a_constant_tensor_of_a_layer_is_kept_when_it_is_written():
    x, W, b = Tensor(np.ones((4, 3))), *nn.Linear(3, 2).parameters()
    y = linear(x, W, b)
    x[:] = 5
    y.sum().backward()
    np.testing.assert_array_equal(W.grad.numpy(), np.full((2, 3), 4.0))
    assert type(linear(x, Tensor(np.ones((2, 3))), np.zeros(2))) is Tensor
    assert type(linear(np.ones((4, 3)), np.ones((2, 3)), np.zeros(2))) is np.ndarray


@pytest.mark.parametrize("shapes", [((3,), (2, 3), (2,)), ((2, 2, 3), (2, 3), (2,)), ((4, 3), (2, 3), (1,))])
def test_an_affine_map_is_of_rows(shapes):
    with pytest.raises(
        ValueError, match=r"linear: expected a batch of shape \(N, 3\) and a bias of 2 entries for"
    ):
        linear(*[Tensor(np.ones(shape), requires_grad=True) for shape in shapes])


@pytest.mark.parametrize("loss", [functional.mean_squared_error, functional.cross_entropy])
def test_losses_are_of_two_arrays_of_one_shape(loss):
    x = Tensor(np.ones((2, 3)), requires_grad=True)
    for other in (np.ones((3, 2)), np.ones((1, 3)), np.ones(3), 1.0):
        with pytest.raises(
            ValueError, match=r"expected two arrays of one shape, got \(2, 3\) and .*np.broadcast_to"
        ):
            loss(x, other)


def test_a_skip_connection_adds_up():
    tape, x = Autograd(), batch(2, 3)
    layer = nn.Linear(3, 3, tape)
    h = layer(x)
    y = h + x
    from mytorch.functional_hw1 import add_backward

    tape.add_operation([h, x], y, [None, None], add_backward)
    tape.backward(1)
    np.testing.assert_allclose(tape.gradient_buffer.get_param(x), np.ones((2, 3)) @ layer.W + 1)


def module_of(function: Any) -> type[nn.Module]:
    """Return the class of modules that compute `function`."""

    class Computed(nn.Module):
        def compute(self, *inputs: Any, **parameters: Any) -> Any:
            return function(*inputs)

    return Computed


def write_and_return(x: Any) -> Any:
    x *= 2
    return x


def write_and_return_another(x: Any) -> Any:
    x *= 2
    return x * x


def read_and_write(x: Any) -> Any:
    y = x * x
    x *= 2
    return y + np.sin(x)


def write_one_and_read_the_other(x: Any, y: Any) -> Any:
    square = x * x
    y *= 2
    return np.sum(square) + np.sum(x * x) + np.sum(y)


@pytest.mark.parametrize(
    "program",
    [
        lambda call, x: call(np.sin, call(write_and_return, x)),
        lambda call, x: call(np.multiply, call(write_and_return_another, x), call(np.sin, x)),
        lambda call, x: call(np.sin, call(read_and_write, x)),
        lambda call, x: call(write_one_and_read_the_other, x, x),
        lambda call, x: call(write_one_and_read_the_other, x, x[:2]),
        lambda call, x: call(write_one_and_read_the_other, x[:2], x.T[0]),
        lambda call, x: call(np.sin, call(lambda y: write_and_return(y[1:]), x)),
        lambda call, x: (lambda view: (call(np.sin, x), call(write_and_return, view)))(x[::-1])[0],
        lambda call, x: (lambda view: call(np.add, call(np.sin, x), call(write_and_return, view)))(x[::-1]),
        lambda call, x: call(lambda y: np.exp(y)[1:], x),
        lambda call, x: call(lambda y: np.exp(y).T, x),
        lambda call, x: call(lambda y: np.exp(y)[::-1], x),
        lambda call, x: call(lambda y: y, call(np.exp, x)),
        lambda call, x: (call(np.exp, x), call(np.sin, x))[0],
        lambda call, x: call(lambda y: (np.exp(y), np.sin(y))[0], x),
        lambda call, x: call(np.multiply, x, call(lambda y: y.detach(), x)),
        lambda call, x: call(np.multiply, x, call(np.sign, x)),
        lambda call, x: call(lambda y: y[0, 1], x),
    ],
)
def test_what_is_computed_on_the_tape_has_the_gradient_of_tensors(program: Any) -> None:
    tape, x, variable = Autograd(), batch(3, 3), Tensor(batch(3, 3), requires_grad=True)
    y = program(lambda function, *inputs: module_of(function)(tape)(*inputs), x)
    expected = program(lambda function, *inputs: function(*inputs), variable.copy())
    np.testing.assert_array_equal(y, expected.numpy())
    g = np.arange(1.0, y.size + 1).reshape(y.shape)
    expected.backward(g)
    tape.backward_from(y, g)
    np.testing.assert_allclose(tape.gradient_buffer.get_param(x), variable.grad.numpy(), rtol=1e-14)


def test_a_constant_result_is_not_differentiated_as_what_was_recorded_before_it() -> None:
    for constant in (
        np.sign,
        np.zeros_like,
        lambda h: h.detach(),
        lambda h: h > 0,
        lambda h: Tensor(np.ones(h.shape)),
    ):
        tape, x = Autograd(), batch(3, 3)
        module_of(constant)(tape)(module_of(np.sin)(tape)(x))
        with pytest.raises(TapeError, match=r"\(3, 3\) that backward starts from .* it is a constant"):
            tape.backward(1)


def test_what_is_computed_without_gradients_is_not_the_result() -> None:
    tape, x, more = Autograd(), batch(3, 3), batch(2, 3)
    sine = module_of(np.sin)(tape)
    sine(x)
    with no_grad():
        np.testing.assert_array_equal(sine(more), np.sin(more))
    tape.backward(1)
    np.testing.assert_allclose(tape.gradient_buffer.get_param(x), np.cos(x))


def test_what_a_module_wrote_before_it_failed_has_its_gradient() -> None:
    def fail(x: Any) -> Any:
        x *= 2
        return x @ np.ones(7)

    tape, x = Autograd(), batch(3, 3)
    with pytest.raises(ValueError, match="matmul"):
        module_of(fail)(tape)(x)
    module_of(np.sin)(tape)(x)
    tape.backward(1)
    np.testing.assert_allclose(tape.gradient_buffer.get_param(x), 2 * np.cos(x))


def test_a_loss_is_differentiated_whatever_was_called_after_it() -> None:
    gradients = []
    for later in (False, True):
        tape, x = Autograd(), batch(3, 4)
        logits, loss = nn.Tanh(tape)(x), nn.MSELoss(tape)
        loss(np.ones((3, 4)), logits)
        if later:
            nn.Sigmoid(tape)(logits)
        loss.backward()
        gradients.append(tape.gradient_buffer.get_param(x))
    alone, followed = gradients
    np.testing.assert_array_equal(alone, followed)


@pytest.mark.parametrize("function", [np.exp, np.positive])
def test_tensors_that_require_gradients_are_no_parameters_on_the_tape(function: Any) -> None:
    w = Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(TapeError, match=r"compute uses Tensors that require gradients, .* in `external`"):
        module_of(lambda x: x * function(w))(Autograd())(np.ones(2))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: nn.Linear(4, 3, Autograd())(np.ones((2, 5))),
            ValueError,
            r"Linear\(in_features=4\) expects .*\(2, 5\)",
        ),
        (
            lambda: nn.Linear(4, 3, Autograd())(np.ones(4)),
            ValueError,
            r"expects a batch of shape \(N, 4\), got \(4,\)",
        ),
        (lambda: nn.Linear(0, 3), ValueError, r"in_features \(=0\)"),
        (lambda: nn.ReLU(NO_ENGINE), TypeError, "ReLU: autograd_engine must be an Autograd, got int"),
        (
            lambda: nn.ReLU(Autograd())(Tensor([1.0])),
            TypeError,
            "takes raw arrays, got a Tensor; leave out the engine, or give an array",
        ),
        (
            lambda: module_of(lambda x: (x, x))(Autograd())(np.ones(3)),
            TypeError,
            "compute must return one Tensor, got tuple",
        ),
        (
            lambda: nn.MSELoss(Autograd())(np.ones((2, 3)), np.ones((3, 2))),
            ValueError,
            r"target has shape \(2, 3\)",
        ),
        (lambda: nn.MSELoss()(np.ones((0, 3)), Tensor(np.ones((0, 3)))), ValueError, "empty batch"),
        (lambda: nn.MSELoss(Autograd()).backward(), TapeError, "call the MSELoss module"),
        (lambda: optim.SGD([], 0.1), ValueError, "SGD: no parameters"),
        (lambda: optim.SGD([Tensor([1.0])], 0.1), ValueError, "leaves that require gradients"),
        (lambda: optim.SGD([np.ones(2)], 0.1), TypeError, r"a Tensor or a pair .* got ndarray"),
        (
            lambda: optim.SGD([(np.ones(2), np.ones(3))], 0.1),
            ValueError,
            r"shape \(2,\) has a gradient of shape \(3,\)",
        ),
        (lambda: optim.SGD([(np.ones(2), np.ones(2))], -1), ValueError, r"lr \(=-1\) must lie in"),
        (lambda: optim.SGD([(np.ones(2), np.ones(2))], 1, 1.5), ValueError, r"momentum \(=1.5\)"),
        (
            lambda: optim.SGD([(np.ones(2), np.ones(2))], 1, nesterov=True),
            ValueError,
            "nesterov needs momentum",
        ),
        (
            lambda: optim.Adam([(np.ones(2), np.ones(2))], betas=(0.9, 1.0)),
            ValueError,
            r"betas\[1\] \(=1.0\)",
        ),
    ],
)
def test_mistakes_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


OPTIMIZERS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3}),
    ("Adam", {"lr": 0.05}),
    ("Adam", {"lr": 0.05, "weight_decay": 0.1, "betas": (0.8, 0.99)}),
    ("AdamW", {"lr": 0.05}),
]


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
@pytest.mark.parametrize("shape", [(3, 4), (300, 400)])
def test_optimizers_are_pytorchs_for_twenty_steps(torch, name, options, shape):
    start, pull = batch(*shape), batch(shape[0], shape[1], seed=1)
    pair = (start.copy(), np.zeros_like(start))
    tensor, theirs = Tensor(start, requires_grad=True), torch.tensor(start, requires_grad=True)
    ours = [getattr(optim, name)([p], **options) for p in (tensor, pair)]
    reference = getattr(torch.optim, name)([theirs], **options)
    for _ in range(20):
        for optimizer in (*ours, reference):
            optimizer.zero_grad()
        (np.sin(tensor * pull) + tensor * tensor).sum().backward()
        pair[1][...] = tensor.grad.numpy()
        (torch.sin(theirs * torch.tensor(pull)) + theirs * theirs).sum().backward()
        for optimizer in (*ours, reference):
            optimizer.step()
    np.testing.assert_allclose(tensor.numpy(), theirs.detach().numpy(), rtol=1e-9, atol=1e-11)
    np.testing.assert_array_equal(pair[0], tensor.numpy())


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
def test_complex_parameters_are_stepped_as_pytorch_does(torch, name, options, compiled):
    start, pull = batch(3, 4) + 1j * batch(3, 4, seed=2), batch(3, 4, seed=1) * 1j
    ours, theirs = Tensor(start, requires_grad=True), torch.tensor(start, requires_grad=True)
    optimizer = getattr(optim, name)([ours], **options)
    reference = getattr(torch.optim, name)([theirs], **options)

    def step() -> None:
        optimizer.zero_grad()
        np.sum(np.abs(ours * pull - 1) ** 2).backward()
        optimizer.step()

    call = mytorch.compile(step) if compiled else step
    for _ in range(10):
        call()
        reference.zero_grad()
        ((theirs * torch.tensor(pull) - 1).abs() ** 2).sum().backward()
        reference.step()
    np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
def test_a_parameter_without_axes_is_stepped_like_one_of_one_entry(name, options):
    number, entry = (Tensor(np.full(shape, 2.0), requires_grad=True) for shape in ((), (1,)))
    optimizers = [getattr(optim, name)([p], **options) for p in (number, entry)]
    for _ in range(5):
        for p, optimizer in zip((number, entry), optimizers, strict=True):
            optimizer.zero_grad()
            (p * p * 0.5).sum().backward()
            optimizer.step()
    np.testing.assert_array_equal(number.numpy(), entry.numpy()[0])


def test_a_parameter_without_a_gradient_stays():
    used, unused = Tensor([1.0], requires_grad=True), Tensor([1.0], requires_grad=True)
    optimizer = optim.SGD([used, unused], lr=0.1, momentum=0.9)
    (used * 2).backward()
    optimizer.step()
    assert (used.item(), unused.item()) == (0.8, 1.0)


COPIES: dict[str, Any] = {
    "copy.deepcopy": copy.deepcopy,
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
}


@pytest.mark.parametrize("name", COPIES)
def test_a_copied_model_is_one_of_its_own(name: str, rng: np.random.Generator) -> None:
    x, target = rng.standard_normal((4, 3)), rng.standard_normal((4, 2))
    model = nn.Sequential(nn.Linear(3, 2), nn.Tanh())
    model(Tensor(x)).sum().backward()
    twin: Any = COPIES[name](model)
    for parameter, other in zip(model.parameters(), twin.parameters(), strict=True):
        assert other is not parameter
        assert np.array_equal(other.numpy(), parameter.numpy())
    assert twin.modules[1].state is None
    assert np.array_equal(twin(Tensor(x)).numpy(), model(Tensor(x)).numpy())

    engine = Autograd()
    layer, loss = nn.Linear(3, 2, engine), nn.MSELoss(engine)
    loss(target, layer(x))
    loss.backward()
    other, other_loss = COPIES[name]((layer, loss))
    assert other.autograd_engine is other_loss.autograd_engine is not engine
    other.dW[...] = 0
    other_loss(target, other(x))
    other_loss.backward()
    np.testing.assert_array_equal(other.dW, layer.dW)
    engine.zero_grad()
    assert layer.W.flags.writeable


class Pair(NamedTuple):
    value: np.ndarray
    gradient: np.ndarray


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam])
def test_a_pair_may_be_a_named_tuple(kind):
    pair = Pair(np.ones(2), np.ones(2))
    plain = np.ones(2), np.ones(2)
    for parameter in (pair, plain):
        optimizer = kind([parameter], lr=0.5)
        optimizer.step()
        optimizer.zero_grad()
    np.testing.assert_array_equal(pair.value, plain[0])
    np.testing.assert_array_equal(pair.gradient, [0.0, 0.0])


def test_modules_and_optimizers_are_shown_with_what_is_in_them():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = [nn.Linear(2, 3), nn.Tanh()]
            self.scale = Tensor(np.ones(3), requires_grad=True)
            self.data = Tensor(np.ones(3))
            self.out = nn.Sequential(nn.Linear(3, 1, dtype=np.float32))

    model = Scaled()
    assert repr(model).splitlines() == [
        "Scaled(",
        "  layers[0]: Linear(2, 3)",
        "  layers[1]: Tanh()",
        "  scale: a parameter of shape (3,)",
        "  out: Sequential(",
        "    modules[0]: Linear(3, 1, dtype=float32)",
        "  )",
        ")",
    ]
    assert repr(nn.Linear(2, 3, Autograd())) == "Linear(2, 3)"
    assert repr(optim.SGD(model.parameters(), 0.1, momentum=0.9)).startswith(
        "SGD(5 parameters, lr=0.1, momentum=0.9, "
    )
    assert repr(optim.SGD([model.scale], 0.1)).startswith("SGD(1 parameter, lr=0.1, ")


class Nested(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers: dict[str, Any] = {
            "first": nn.Linear(3, 2),
            "others": [(nn.Linear(2, 2), nn.Tanh()), {"scale": weight()}],
        }


ANY: Any = optim


def weight() -> Any:
    return Tensor([2.0], requires_grad=True)


def test_parameters_are_found_in_nested_lists_and_dicts():
    model = Nested()
    assert [p.shape for p in model.parameters()] == [(2, 3), (2, 1), (2, 2), (2, 1), (1,)]
    assert "layers['first']: Linear(3, 2)\n" in repr(model)
    assert "layers['others'][1]['scale']: a parameter of shape (1,)\n" in repr(model)
    model.layers["others"].append(model)  # a module may know the one that it is in
    assert len([*model.parameters()]) == 5
    assert "layers['others'][2]: ...\n" in repr(model)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64])
def test_losses_and_activations_of_integers_are_those_of_floats(dtype):
    y, y_hat = np.array([[100, 0], [3, 1]], dtype), np.array([[0, 100], [1, 3]], dtype)
    for function in (
        functional.mean_squared_error,
        functional.cross_entropy,
        functional.softmax_cross_entropy,
    ):
        assert function(y, y_hat) == function(y.astype(float), y_hat.astype(float))
    for activation in (functional.softmax, functional.log_softmax, functional.sigmoid):
        np.testing.assert_array_equal(activation(y), activation(y.astype(float)))


@pytest.mark.parametrize("name", ["relu", "sigmoid", "softmax", "log_softmax", "exp"])
def test_functions_take_lists(name):
    function = getattr(functional, name)
    np.testing.assert_array_equal(function([1.0, -2.0]), function(np.array([1.0, -2.0])))
    x = Tensor(1.5, requires_grad=True)
    function([x, 2 * x]).sum().backward()
    assert x.grad is not None


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: nn.MSELoss()(np.ones(2)),
            TypeError,
            "target and the prediction, in this order, got 1 argument",
        ),
        (lambda: nn.Linear(3, 2, Autograd(), dtype=int), TypeError, "dtype must be floating-point"),
        (lambda: nn.Linear(True, 2), TypeError, "in_features must be an int, got True"),
        (lambda: functional.softmax(np.float64(1)), ValueError, "rows of numbers along the last axis"),
        (lambda: ANY.SGD([weight()], lr=np.ones(2)), TypeError, r"lr must be a number, got array"),
        (lambda: ANY.SGD([weight()], dampening="a"), TypeError, "dampening must be a number, got 'a'"),
        (
            lambda: optim.SGD([{"params": [weight()]}]),
            TypeError,
            "got dict; for a group with settings of its own",
        ),
    ],
)
def test_more_mistakes_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_gradient_of_integers_is_one_of_floats():
    w = weight()
    optimizer = optim.SGD([w], lr=0.5, momentum=0.9)
    for _ in range(2):
        w.grad = [1]
        optimizer.step()
    np.testing.assert_allclose(w.numpy(), [2 - 0.5 - 0.5 * 1.9])
