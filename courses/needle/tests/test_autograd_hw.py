"""The homework's 21 tests, as ``python3 -m pytest -k "forward"`` and its other commands select them.

Forward passes are compared with NumPy, backward passes with finite differences of the forward pass.
"""

import gzip
import os
import struct
from pathlib import Path

import needle as ndl
import numpy as np
import pytest
from simple_ml import loss_err, nn_epoch, parse_mnist, softmax_loss

FOLDER = Path(__file__).resolve().parent.parent
RNG = np.random.default_rng(714)


def normal(*shape):
    """Return a Tensor of random numbers."""
    return ndl.Tensor(RNG.standard_normal(shape))


def positive(*shape):
    """Return a Tensor of random numbers from 1 to 2."""
    return ndl.Tensor(1 + RNG.random(shape))


def slopes(f, args, eps=1e-4):
    """Return the gradients of the sum of ``f(*args)`` by differences, perturbing the Tensors' own arrays in place."""
    gradients = [np.zeros(x.shape) for x in args]
    for x, gradient in zip(args, gradients, strict=True):
        live = x.realize_cached_data().reshape(-1)
        for j in range(live.size):
            value = live[j]
            live[j] = value + eps
            above = float(f(*args).numpy().sum())
            live[j] = value - eps
            below = float(f(*args).numpy().sum())
            live[j] = value
            gradient.flat[j] = (above - below) / (2 * eps)
    return gradients


def check_gradients(op, *args, tol=1e-6, **kwargs):
    """Compare what the operator's ``gradient`` returns with finite differences."""

    def f(*tensors):
        return op(*tensors, **kwargs)

    out = f(*args)
    found = out.op.gradient_as_tuple(ndl.Tensor(np.ones(out.shape)), out)
    assert len(found) == len(args)
    for x, gradient, expected in zip(args, found, slopes(f, args), strict=True):
        assert gradient.shape == x.shape
        np.testing.assert_allclose(gradient.numpy(), expected, rtol=tol, atol=tol)


def check_backward(f, *args, tol=1e-6):
    """Compare the ``grad`` that ``backward`` leaves with finite differences."""
    f(*args).sum().backward()
    found = [x.grad.numpy() for x in args]
    for gradient, expected in zip(found, slopes(f, args), strict=True):
        np.testing.assert_allclose(gradient, expected, rtol=tol, atol=tol)


def mnist():
    """Return the training images and labels of MNIST; where they are not, skip what is left of the test."""
    named = os.environ.get("MYTORCH_MNIST")
    folders = [Path(named)] if named else [FOLDER / "data", FOLDER.parents[2] / "shared" / "data" / "mnist"]
    for folder in folders:
        paths = [folder / f"train-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1")]
        if all(path.is_file() for path in paths):
            return parse_mnist(*map(str, paths))
    pytest.skip(
        "what needs no data passed; the real MNIST is not in courses/needle/data: put its train-*.gz files there, or "
        "name their folder in the variable MYTORCH_MNIST"
    )


# -- question 1 -----------------------------------------------------------------------------------------------------


def test_divide_forward():
    a, b = normal(3, 4), positive(3, 4)
    np.testing.assert_allclose(ndl.divide(a, b).numpy(), a.numpy() / b.numpy())
    np.testing.assert_allclose((a / b).numpy(), a.numpy() / b.numpy())


def test_divide_scalar_forward():
    a = normal(3, 4)
    for scalar in (12, 0.5, np.array([4.0])):
        np.testing.assert_allclose(ndl.divide_scalar(a, scalar=scalar).numpy(), a.numpy() / scalar)


def test_matmul_forward():
    for left, right in [
        ((3, 4), (4, 5)),
        ((2, 3, 4), (2, 4, 5)),
        ((6, 1, 3, 4), (2, 4, 5)),
        ((3, 4), (2, 4, 5)),
    ]:
        a, b = normal(*left), normal(*right)
        np.testing.assert_allclose(ndl.matmul(a, b).numpy(), a.numpy() @ b.numpy())


def test_summation_forward():
    a = normal(2, 3, 4)
    for axes in (None, 1, -1, (0,), (0, 2), (0, 1, 2)):
        np.testing.assert_allclose(ndl.summation(a, axes=axes).numpy(), a.numpy().sum(axis=axes))


def test_broadcast_to_forward():
    for shape, wide in [
        ((1, 3), (3, 3)),
        ((3, 1), (3, 4)),
        ((), (2, 3)),
        ((1,), (2, 3)),
        ((5, 4, 1), (5, 4, 3)),
    ]:
        a = normal(*shape)
        np.testing.assert_array_equal(
            ndl.broadcast_to(a, shape=wide).numpy(), np.broadcast_to(a.numpy(), wide)
        )


def test_reshape_forward():
    a = normal(3, 4)
    for shape in ((4, 3), (12,), (2, 3, 2), (1, 12), (-1, 6)):
        np.testing.assert_array_equal(ndl.reshape(a, shape=shape).numpy(), a.numpy().reshape(shape))


def test_negate_forward():
    a = normal(3, 4)
    np.testing.assert_array_equal(ndl.negate(a).numpy(), -a.numpy())


def test_transpose_forward():
    a = normal(2, 3, 4)
    for axes in ((0, 1), (1, 2), (0, 2), (2, 0)):
        np.testing.assert_array_equal(ndl.transpose(a, axes=axes).numpy(), a.numpy().swapaxes(*axes))
    np.testing.assert_array_equal(ndl.transpose(a).numpy(), a.numpy().swapaxes(-1, -2))


# -- question 2 -----------------------------------------------------------------------------------------------------


def test_divide_backward():
    check_gradients(ndl.divide, normal(3, 4), positive(3, 4))


def test_divide_scalar_backward():
    check_gradients(ndl.divide_scalar, normal(3, 4), scalar=RNG.random(1) + 1)


def test_matmul_simple_backward():
    check_gradients(ndl.matmul, normal(3, 4), normal(4, 5))


def test_matmul_batched_backward():
    for left, right in [
        ((2, 3, 4), (2, 4, 2)),
        ((2, 1, 3, 4), (3, 4, 2)),
        ((2, 3, 4), (4, 2)),
        ((3, 4), (2, 4, 2)),
    ]:
        check_gradients(ndl.matmul, normal(*left), normal(*right))


def test_reshape_backward():
    check_gradients(ndl.reshape, normal(3, 4), shape=(2, 6))


def test_negate_backward():
    check_gradients(ndl.negate, normal(3, 4))


def test_transpose_backward():
    for axes in (None, (0, 1), (1, 2), (0, 2)):
        check_gradients(ndl.transpose, normal(2, 3, 4), axes=axes)


def test_broadcast_to_backward():
    for shape, wide in [((1, 3), (3, 3)), ((3, 1), (3, 4)), ((), (2, 3)), ((1,), (2, 3)), ((4,), (3, 4))]:
        check_gradients(ndl.broadcast_to, normal(*shape), shape=wide)


def test_summation_backward():
    for axes in (None, 0, 1, -1, (1,), (0, 2)):
        check_gradients(ndl.summation, normal(2, 3, 4), axes=axes)


# -- question 3 -----------------------------------------------------------------------------------------------------


def names(order):
    """Return what the nodes of an order are."""
    return ["leaf" if x.is_leaf() else type(x.op).__name__ for x in order]


def test_topo_sort():
    a, b = normal(1, 1), normal(1, 1)
    product, difference = 3 * a * a, 4 * b * a
    out = product + difference - a
    order = ndl.autograd.find_topo_sort([out])
    assert names(order) == [
        "leaf", "MulScalar", "EWiseMul", "leaf", "MulScalar", "EWiseMul", "EWiseAdd", "Negate", "EWiseAdd"
    ]  # fmt: skip
    assert (order[0], order[2], order[3], order[5], order[-1]) == (a, product, b, difference, out)

    c = (a + b) @ a
    order = ndl.autograd.find_topo_sort([c * c])
    assert names(order) == ["leaf", "leaf", "EWiseAdd", "MatMul", "EWiseMul"]
    order = ndl.autograd.find_topo_sort([c, b, a + b])
    assert names(order) == ["leaf", "leaf", "EWiseAdd", "MatMul", "EWiseAdd"]


# -- question 4 -----------------------------------------------------------------------------------------------------


def test_compute_gradient():
    check_backward(
        lambda a, b, c: ndl.summation((a @ b + c) * (a @ b)), normal(4, 3), normal(3, 2), normal(4, 2)
    )
    check_backward(
        lambda a, b: ndl.summation(ndl.broadcast_to(a, shape=(4, 3)) * b), normal(4, 1), normal(4, 3)
    )
    check_backward(
        lambda a, b, c: ndl.summation(ndl.reshape(a, shape=(4, 3)) @ ndl.reshape(b, shape=(3, 2)) + c),
        normal(12),
        normal(6),
        normal(4, 2),
    )

    # The gradient of the gradient.
    x, y = ndl.Tensor([6]), ndl.Tensor([0])
    z = x * x + x * y
    z.backward()
    x_grad, y_grad = x.grad, y.grad
    x_grad.backward()
    assert (z.numpy(), x_grad.numpy(), y_grad.numpy(), x.grad.numpy(), y.grad.numpy()) == (36, 12, 6, 2, 1)

    # Powers of one another: d/dv of d/dw of v * w * v is 2 v.
    v, w = normal(3), normal(3)
    ndl.summation(v * w * v).backward()
    ndl.summation(w.grad).backward()
    np.testing.assert_allclose(v.grad.numpy(), 2 * v.numpy())


# -- questions 5 and 6 ----------------------------------------------------------------------------------------------


def one_hot(labels, classes):
    """Return a row per label, one where it is."""
    return np.eye(classes, dtype=np.float32)[labels]


def test_softmax_loss_ndl(tmp_path):
    for name, head, array in [
        ("images", (2051, 2, 2, 2), np.arange(8)), ("labels", (2049, 2), np.array([7, 2]))
    ]:  # fmt: skip
        content = struct.pack(f">{len(head)}I", *head) + array.astype(np.uint8).tobytes()
        (tmp_path / name).write_bytes(gzip.compress(content))
    few, labels = parse_mnist(tmp_path / "images", tmp_path / "labels")
    np.testing.assert_array_equal(few, np.arange(8, dtype=np.float32).reshape(2, 4) / np.float32(255))
    assert (few.dtype, labels.dtype, labels.tolist()) == (np.float32, np.uint8, [7, 2])

    np.testing.assert_allclose(ndl.log(ndl.Tensor([[4.0], [4.55]])).numpy(), np.log([[4.0], [4.55]]))
    check_gradients(ndl.log, positive(5, 4))

    targets = one_hot(RNG.integers(10, size=16), 10).astype(np.float64)
    flat = softmax_loss(ndl.Tensor(np.zeros_like(targets)), ndl.Tensor(targets))
    np.testing.assert_allclose(flat.numpy(), np.log(10))
    check_backward(softmax_loss, normal(16, 10), ndl.Tensor(targets), tol=1e-5)

    X, y = mnist()
    assert (X.dtype, y.dtype, X.shape, y.shape) == (np.float32, np.uint8, (60000, 784), (60000,))
    assert (X.min(), X.max(), y.min(), y.max()) == (0, 1, 0, 9)


def test_nn_epoch_ndl():
    check_gradients(ndl.relu, normal(5, 4))

    # One step on a small batch goes against the gradient of the loss.
    X, y = RNG.standard_normal((50, 5)).astype(np.float32), RNG.integers(3, size=50).astype(np.uint8)
    W1, W2 = normal(5, 10), normal(10, 3)
    before = W1.numpy().copy(), W2.numpy().copy()

    def loss(first, second):
        return softmax_loss(
            ndl.relu(ndl.Tensor(X.astype(np.float64)) @ first) @ second, ndl.Tensor(one_hot(y, 3))
        )

    expected = slopes(loss, (W1, W2))
    for old, new, gradient in zip(before, nn_epoch(X, y, W1, W2, lr=1.0, batch=50), expected, strict=True):
        np.testing.assert_allclose(old - new.numpy(), gradient, rtol=1e-4, atol=1e-4)

    X, y = mnist()
    W1 = ndl.Tensor(RNG.standard_normal((784, 100)).astype(np.float32) / np.float32(10))
    W2 = ndl.Tensor(RNG.standard_normal((100, 10)).astype(np.float32) / np.float32(10**0.5))
    W1, W2 = nn_epoch(X, y, W1, W2, lr=0.2, batch=100)
    loss, error = loss_err(ndl.relu(ndl.Tensor(X) @ W1) @ W2, y)
    assert loss < 0.22
    assert error < 0.07
