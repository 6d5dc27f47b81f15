"""NumPy code of many fields, as people write it: values, first and second derivatives, eager and compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mytorch import check_gradients, value_and_grad
from tests.replaying import REPLAYED, compared

RNG = np.random.default_rng(0)
PROGRAMS: list[Any] = []


def program(*arguments: np.ndarray) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that adds a function of these arguments, which gives one number."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        PROGRAMS.append(pytest.param(function, arguments, id=function.__name__))
        return function

    return add


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape)


# -- statistics ------------------------------------------------------------------------------------------------------

PLACES, OBSERVED = normal(12, 2), normal(12)


@program(np.array([0.1, -0.2, 0.3]))
def gaussian_process(theta: Any) -> Any:
    length, scale, noise = np.exp(theta)
    distances = ((PLACES[:, None, :] - PLACES[None, :, :]) ** 2).sum(-1)
    K = scale * np.exp(-distances / (2 * length**2)) + noise * np.eye(len(PLACES))
    L = np.linalg.cholesky(K)
    a = np.linalg.solve(L.T, np.linalg.solve(L, OBSERVED))
    return 0.5 * OBSERVED @ a + np.log(np.diag(L)).sum()


@program(normal(3, 3), normal(3, 4))
def hidden_markov_model(A: Any, B: Any) -> Any:
    moves = A - np.log(np.exp(A).sum(1, keepdims=True))
    seen = B - np.log(np.exp(B).sum(1, keepdims=True))
    forward = seen[:, 0] - np.log(3)
    for k in (2, 1, 3, 3, 0):
        joint = forward[:, None] + moves
        most = joint.max(0)
        forward = most + np.log(np.exp(joint - most).sum(0)) + seen[:, k]
    return np.logaddexp.reduce(forward)


@program(normal(4) / 4, normal(3, 2))
def kalman_filter(theta: Any, observed: Any) -> Any:
    x, P, likelihood = np.zeros(2), np.eye(2), 0
    F = np.array([[1, theta[0]], [0, theta[1]]], like=theta)
    Q, R = np.exp(theta[2]) * np.eye(2), np.exp(theta[3]) * np.eye(2)
    for z in observed:
        x, P = F @ x, F @ P @ F.T + Q
        S = P + R
        K, r = P @ np.linalg.inv(S), z - x
        likelihood = likelihood - 0.5 * (r @ np.linalg.solve(S, r) + np.linalg.slogdet(S)[1])
        x, P = x + K @ r, (np.eye(2) - K) @ P
    return likelihood


@program(normal(7, 5))
def principal_components(X: Any) -> Any:
    _, s, rows = np.linalg.svd(X - X.mean(0), full_matrices=False)
    return s[0] / s.sum() + (rows[0] ** 2 * np.arange(5)).sum()


@program(normal(9))
def order_statistics(x: Any) -> Any:
    weights = np.linspace(0, 1, 9)
    return (np.cumsum(np.sort(x)) * weights).sum() + np.median(x) + np.ptp(np.quantile(x, [0.1, 0.5, 0.9]))


@program(normal(10))
def spread_within_groups(v: Any) -> Any:
    group = np.array([0, 1, 1, 2, 0, 2, 2, 1, 0, 0])
    count = np.bincount(group)
    mean = np.bincount(group, weights=v, minlength=3) / count
    squares = np.zeros(3, like=v)
    np.add.at(squares, group, (v - mean[group]) ** 2)
    return np.sqrt(squares / count).sum()


@program(RNG.uniform(0.5, 1.5, (4, 4)))
def optimal_transport(costs: Any) -> Any:
    K, u = np.exp(-costs / 0.5), np.ones(4)
    for _ in range(8):
        v = 0.25 / (K.T @ u)
        u = 0.25 / (K @ v)
    return (u[:, None] * K * v * costs).sum()


# -- physics and geometry --------------------------------------------------------------------------------------------


@program(normal(6, 3), normal(6, 3))
def bodies(x: Any, v: Any) -> Any:
    x, v = x.copy(), v.copy()
    for _ in range(5):
        d = x[None] - x[:, None]
        v += 0.01 * (d / ((d**2).sum(-1) + 0.1)[..., None] ** 1.5).sum(1)
        x += 0.01 * v
    return 0.5 * (v**2).sum()


@program(normal(32))
def wave(speed: Any) -> Any:
    u = np.zeros((20, 32), like=speed)
    u[:2, 16] = 1
    for i in range(1, 19):
        bent = u[i, 2:] - 2 * u[i, 1:-1] + u[i, :-2]
        u[i + 1, 1:-1] = 2 * u[i, 1:-1] - u[i - 1, 1:-1] + 0.1 * np.tanh(speed[1:-1]) * bent
    return (u[-1] ** 2).sum()


@program(np.array([0.5, 1.2]))
def predator_and_prey(p: Any) -> Any:
    def slope(y: Any) -> Any:
        return np.stack([p[0] * y[0] - y[0] * y[1], y[0] * y[1] - p[1] * y[1]])

    y: Any = np.array([1.0, 0.5])
    for _ in range(10):
        a = slope(y)
        b = slope(y + 0.05 * a)
        c = slope(y + 0.05 * b)
        y = y + 0.1 / 6 * (a + 2 * b + 2 * c + slope(y + 0.1 * c))
    return y.sum()


@program(np.array([0.3, 0.2, 0.1]))
def rotations(angles: Any) -> Any:
    c, s = np.cos(angles), np.sin(angles)
    about_z = np.array([[c[0], -s[0], 0], [s[0], c[0], 0], [0, 0, 1]], like=angles)
    about_x = np.array([[1, 0, 0], [0, c[1], -s[1]], [0, s[1], c[1]]], like=angles)
    return ((about_z @ about_x) @ np.array([1.0, 2, 3]) * np.arange(3)).sum()


@program(normal(5, 2))
def area_and_outline(points: Any) -> Any:
    x, y = points.T
    area = 0.5 * np.abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))
    return area + np.hypot(*np.diff(points, axis=0, append=points[:1]).T).sum()


@program(normal(4, 4) / 4)
def matrix_exponential(A: Any) -> Any:
    total, term = np.eye(4) + 0 * A, np.eye(4)
    for k in range(1, 12):
        term = term @ A / k
        total = total + term
    w, v = np.linalg.eigh(total @ total.T + np.diag(np.arange(4.0)))
    return w[-1] + (v[:, 0] ** 2 * np.arange(4)).sum() + np.linalg.slogdet(total)[1]


@program(RNG.uniform(0.5, 2, 5))
def cube_roots_until_they_stand(c: Any) -> Any:
    y = c * 0 + 1.0
    while True:
        better = y - (y**3 - c) / (3 * y**2)
        if np.abs(better - y).max() < 1e-13:
            return better.sum()
        y = better


# -- signals ---------------------------------------------------------------------------------------------------------


@program(normal(16))
def spectral_centroid(x: Any) -> Any:
    power = np.abs(np.fft.rfft(x * np.hanning(16))) ** 2
    return (power * np.arange(9)).sum() / power.sum()


@program(normal(8))
def filtered(h: Any) -> Any:
    H = np.fft.fft(h, 16)
    y = np.fft.ifft(np.fft.fft(np.cos(np.arange(16.0))) * H).real
    return (y**2).sum() + np.abs(np.angle(H[1]))


@program(normal(6), normal(3))
def convolved(x: Any, k: Any) -> Any:
    return (np.convolve(x, k, "same") ** 2).sum() + np.correlate(x, k, "valid").sum() + np.polyval(k, x).sum()


@program(normal(12))
def drawdown(x: Any) -> Any:
    growth = np.cumprod(1 + 0.01 * x)
    return (np.maximum.accumulate(x) - x).max() + growth[-1] + np.gradient(growth, 0.5)[3]


@program(normal(6))
def pieces(x: Any) -> Any:
    parts = np.piecewise(x, [x < 0, x >= 0], [lambda t: t**2, np.sin])
    return parts.sum() + np.select([x < -0.5, x < 0.5], [x, x**3], default=2 * x).sum()


# -- networks --------------------------------------------------------------------------------------------------------


@program(normal(1, 8, 8), normal(4, 3, 3))
def convolution_and_pooling(image: Any, kernels: Any) -> Any:
    windows = np.lib.stride_tricks.sliding_window_view(image, (3, 3), axis=(1, 2))[0]
    y = np.maximum(np.einsum("ijkl,okl->oij", windows, kernels), 0)
    return np.log1p(y.reshape(4, 3, 2, 3, 2).max(axis=(2, 4))).sum()


@program(normal(2, 5, 8), normal(8, 24))
def attention_and_normalization(x: Any, W: Any) -> Any:
    q, k, v = (part.reshape(2, 5, 2, 4).transpose(0, 2, 1, 3) for part in np.split(x @ W, 3, axis=-1))
    scores = np.where(np.triu(np.ones((5, 5), bool), 1), -np.inf, q @ k.swapaxes(-1, -2) / 2)
    p = np.exp(scores - scores.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    y = (p @ v).transpose(0, 2, 1, 3).reshape(2, 5, 8)
    return (((y - y.mean(-1, keepdims=True)) / (y.std(-1, keepdims=True) + 1e-5)) ** 3).sum()


@program(normal(10, 4), normal(6, 8))
def embedding(table: Any, W: Any) -> Any:
    z = np.empty((3, 6), like=table)
    z[:] = table[np.array([[1, 2], [3, 1], [9, 0]])].reshape(3, -1) @ W.T
    z[z < 0] *= 0.1
    return np.linalg.norm(z, axis=1).sum()


@program(normal(4, 5))
def entries_by_mask_and_index(X: Any) -> Any:
    M = X > 0
    mean = np.where(M, X, 0).sum(1) / np.maximum(M.sum(1), 1)
    Y = X.copy()
    Y[M] *= 2
    Y[[0, 2], [1, 1]] += mean[:2]
    Y[::2, 1:3] -= 1
    Y.T[0] += X[:, 1]
    return (Y**2).sum() + X[M].sum() + np.take_along_axis(Y, np.argsort(X, 1), 1)[:, 0].sum()


@program(normal(5))
def results_given_a_place(x: Any) -> Any:
    y = np.empty(5, like=x)
    np.multiply(x, 2, out=y)
    np.tanh(y, out=y)
    y[1:] += y[:-1].copy()
    np.add(y, x, out=y, where=np.arange(5) % 2 == 0)
    p = np.exp(x)
    p /= p.sum()
    return (p * y).sum()


@program(normal(3, 3))
def python_decides(X: Any) -> Any:
    def power(n: int) -> Any:
        if n == 0:
            return np.eye(3)
        return power(n // 2) @ power(n // 2) if n % 2 == 0 else X @ power(n - 1)

    return sum(np.tanh(row @ row) for row in X) + max(X[0], key=float) + sorted(X[1])[0] + np.trace(power(6))


@pytest.mark.parametrize(("function", "arguments"), PROGRAMS)
def test_a_program_and_its_derivatives(
    function: Callable[..., Any], arguments: tuple[np.ndarray, ...]
) -> None:
    both: Any = value_and_grad(function, argnums=tuple(range(len(arguments))))
    np.testing.assert_allclose(both(*arguments)[0], function(*arguments), rtol=1e-12)
    check_gradients(function, *arguments, order=2)
    calls = [tuple([x * (1 + 0.01 * k) for x in arguments]) for k in range(4)]
    for compiled in (function, both):
        outcome, _ = compared(compiled, calls, rtol=1e-9, atol=1e-11)
        assert outcome == REPLAYED
