"""What the hand-in's process may claim: numbers arrive as they were, and nothing else arrives."""

import json

import numpy as np
import pytest

from autograder.compare import agree
from autograder.wire import MAX_ELEMENTS, Received, decode, encode


def send(value):
    """Return what arrives of a value."""
    return decode(json.loads(json.dumps(encode(value))))


@pytest.mark.parametrize(
    "array",
    [
        np.random.default_rng(0).standard_normal((3, 4)),
        np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324, 1.7976931348623157e308]),
        np.arange(6, dtype=np.float32).reshape(2, 3).T,
        np.array([[True, False]]),
        np.array(2.5),
        np.zeros((0, 3)),
        np.arange(4)[::-1],
    ],
    ids=["normal", "special values", "float32 transposed", "bool", "0-d", "empty", "negative stride"],
)
def test_arrays_arrive_bit_for_bit(array):
    received = send(array)
    assert received.kind == str(array.dtype)
    assert received.shape == array.shape
    assert received.values is not None
    assert received.values.tobytes() == array.astype(np.float64).tobytes()


def test_python_numbers_are_numbers():
    assert agree(send(1.5), np.asarray(1.5))
    assert agree(send(True), np.asarray(True))
    assert agree(send(np.float32(0.25)), np.asarray(0.25))


def test_anything_else_arrives_as_the_name_of_its_type():
    assert send(None) == Received("NoneType")
    assert send([1.0]) == Received("list")
    assert send(np.array(["a"])) == Received("<U1 array")
    assert send(np.array([1j])) == Received("complex128 array")
    assert send(type("x\n{}", (), {})()) == Received("x{}")


def test_of_an_array_too_large_only_the_shape_arrives():
    received = send(np.zeros((MAX_ELEMENTS + 1, 1)))
    assert (received.shape, received.values) == ((MAX_ELEMENTS + 1, 1), None)


def test_a_subclass_is_its_plain_numbers():
    class Yes(np.ndarray):
        def __array_ufunc__(self, *arguments, **options):
            return True

    assert not agree(send(np.zeros(3).view(Yes)), np.ones(3))


@pytest.mark.parametrize(
    "claim",
    [
        {"kind": "float64", "shape": [2, 3], "values": [1.0]},
        {"kind": "float64", "shape": [-1], "values": [1.0, 2.0]},
        {"kind": "float64", "shape": [10**12], "values": []},
        {"kind": "float64", "shape": [0], "values": {"a": 1}},
        {"kind": "float64", "shape": [1], "values": ["one"]},
        {"kind": "float64", "shape": 3, "values": [1.0]},
        {"kind": "float64", "shape": [MAX_ELEMENTS + 1], "values": [0] * (MAX_ELEMENTS + 1)},
        "float64",
    ],
)
def test_a_malformed_claim_is_refused(claim):
    with pytest.raises((ValueError, TypeError)):
        decode(claim)


@pytest.mark.parametrize(
    ("received", "expected"),
    [
        (np.zeros((1, 3)), np.zeros((2, 3))),
        (np.zeros(()), np.zeros((1,))),
        (np.full(3, np.nan), np.full(3, np.nan)),
        (np.full(3, np.inf), np.full(3, np.inf)),
        (np.ones(3) * (1 + 1e-4), np.ones(3)),
        (np.float32(1 + 1e-3) * np.ones(3, np.float32), np.ones(3)),
        (np.ones(3, np.float16) * np.float16(1.001), np.ones(3)),
    ],
)
def test_what_is_not_the_expected_array_does_not_agree(received, expected):
    assert not agree(send(received), expected)


def test_rounding_agrees_at_the_tolerance_of_the_dtype():
    expected = np.random.default_rng(0).standard_normal(100)
    assert agree(send(expected * (1 + 1e-12)), expected)
    assert agree(send(expected.astype(np.float32)), expected)
    assert agree(send(expected.astype(np.float32).astype(np.float64)), expected)
