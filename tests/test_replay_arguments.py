"""Arguments of a compiled function: whatever they are, and whatever is done to them, as in the eager call."""

from __future__ import annotations

import array
import collections
import itertools
import random
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import mytorch
from mytorch import Tensor
from mytorch.replay import ReplayWarning
from tests.replaying import EAGER, REPLAYED, assert_same, compared, what_became_of

XS = [np.random.default_rng(k).standard_normal(4) for k in range(10)]
Arguments = Callable[[int], tuple[Any, ...]]


def seen(x: Any) -> Any:
    """Return what can be compared of an argument."""
    if isinstance(x, collections.deque | set) or (isinstance(x, np.ndarray) and x.dtype.kind == "O"):
        return list(x)
    return None if isinstance(x, random.Random) or hasattr(type(x), "__next__") else x


def alike(function: Callable[..., Any], make: Callable[[], Arguments], words: str | None = None) -> str:
    """Call a function ten times, eagerly and compiled, with arguments from two sources, and compare.

    Results, and the arguments as the function leaves them, have to be the same.  `words` are those of the warning that
    the function runs as it is written; without them it is to be replayed.
    """
    ours, theirs = make(), make()
    compiled: Any = mytorch.compile(function)
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always", ReplayWarning)
        for k in range(10):
            eager, replayed = ours(k), theirs(k)
            assert_same(function(*eager), compiled(*replayed))
            assert_same([seen(x) for x in eager], [seen(x) for x in replayed])
            assert [type(x) for x in eager] == [type(x) for x in replayed]
    said = [str(w.message) for w in given]
    assert any(words in message for message in said) if words else not said, said
    assert what_became_of(compiled) == (EAGER if words else REPLAYED)
    return what_became_of(compiled)


# -- lists and dicts ----------------------------------------------------------------------------------------------


class AttributeDict(dict):
    """A dict whose entries are attributes, and which has one of its own."""

    def __getattr__(self, name: str) -> Any:
        return self[name]


def appending(x: Any, out: Any) -> Any:
    out.append(x * 2)
    return x.sum()


def nesting(x: Any, out: Any) -> Any:
    out.insert(0, {"twice": x * 2, "sum": x.sum(), "x": x})
    return x


def replacing(x: Any, entries: Any) -> Any:
    entries["a"] = entries["a"] * 2 + x
    return x


def removing(x: Any, entries: Any) -> Any:
    return x + entries.pop("a")


def reordering(x: Any, entries: Any) -> Any:
    entries.reverse()
    return x + entries[0]


def exchanging(x: Any, pair: Any) -> Any:
    pair["inner"][0], pair["inner"][1] = pair["inner"][1], pair["inner"][0]
    return x


def counting(x: Any, counts: Any) -> Any:
    counts["calls"] += 1
    return x


CHANGED: dict[str, tuple[Callable[..., Any], Arguments]] = {
    "a new entry": (appending, lambda k: (XS[k], [])),
    "a nest of computed arrays": (nesting, lambda k: (XS[k], [1])),
    "a new key": (lambda x, d: d.update(y=x * 2), lambda k: (XS[k], {"x": 1.0})),
    "another array": (replacing, lambda k: (XS[k], {"a": XS[k - 1], "b": XS[k - 2]})),
    "a missing key": (removing, lambda k: (XS[k], {"a": XS[k - 1]})),
    "another order": (reordering, lambda k: (XS[k], [XS[k - 1], XS[k - 2]])),
    "within another": (exchanging, lambda k: (XS[k], {"inner": [XS[k - 1], XS[k - 2]]})),
    "a number": (counting, lambda k: (XS[k], {"calls": k})),
    "an OrderedDict": (replacing, lambda k: (XS[k], collections.OrderedDict(b=XS[k - 2], a=XS[k - 1]))),
    "a default": (lambda x, d: x * d["k"], lambda k: (XS[k], collections.defaultdict(lambda: 3.0))),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGED)
def test_what_a_function_does_to_lists_and_dicts_it_does_to_the_callers(name: str) -> None:
    function, make = CHANGED[name]
    alike(function, lambda: make, "changes a list or dict among its arguments at every call")


def test_a_list_is_changed_also_by_a_call_that_fails() -> None:
    def function(x: Any, out: Any) -> Any:
        out.append(x + 1)
        raise KeyError("after the change")

    out: list[Any] = []
    with pytest.raises(KeyError, match="after the change"):
        mytorch.compile(function)(XS[0], out)
    np.testing.assert_array_equal(out, [XS[0] + 1])


def test_a_list_that_is_given_twice_is_one() -> None:
    def function(a: Any, b: Any) -> Any:
        a[0] = a[0] * 2
        return b[0]

    def make(k: int) -> tuple[Any, ...]:
        entries = [XS[k]]
        return entries, entries

    alike(function, lambda: make, "changes a list or dict")


def test_lists_that_are_only_read_are_replayed() -> None:
    def function(nest: Any) -> Any:
        return nest[0][1] * nest[1]["k"][0] + len(nest[2]) + len(nest[3]), nest[1]

    alike(function, lambda: lambda k: ([(2, XS[k]), {"k": [XS[k - 1], None]}, (), [((), [])], None],))


def test_arrays_in_lists_and_dicts_are_written_in_place() -> None:
    def function(x: Any, nest: Any) -> Any:
        nest["a"][0] += x
        nest["b"] *= 2
        return x * 3

    alike(function, lambda: lambda k: (XS[k], {"a": [XS[k - 1].copy()], "b": XS[k - 2].copy()}))


@pytest.mark.parametrize(
    "entries",
    [AttributeDict, collections.OrderedDict, lambda **d: collections.defaultdict(float, d)],
    ids=["user's", "ordered", "default"],
)
def test_a_dict_is_given_as_one_of_its_own_kind(entries: Any) -> None:
    def function(x: Any, d: Any) -> Any:
        return x * (d.k if isinstance(d, AttributeDict) else d["k"]), type(d).__name__

    alike(function, lambda: lambda k: (XS[k], entries(k=XS[k - 1])))


KEYS: dict[str, list[Any]] = {"one": [1, 1.0, True, np.int8(1)], "zero": [0.0, -0.0, 0, False]}


@pytest.mark.parametrize("name", KEYS)
def test_equal_keys_of_dicts_are_what_they_are(name: str) -> None:
    def function(entries: Any) -> Any:
        return [(x * key, np.copysign(x, key)) for key, x in entries.items()]

    alike(function, lambda: lambda k: ({KEYS[name][k % 4]: np.arange(3) + k},))


def test_a_dict_of_another_class_is_another_argument() -> None:
    def function(d: Any) -> Any:
        return d["x"] * (2 if isinstance(d, AttributeDict) else 3)

    alike(function, lambda: lambda k: ((AttributeDict if k % 2 else dict)(x=XS[k]),))


class Point(collections.namedtuple("Point", "x y")):
    """A named tuple that can have attributes."""


@pytest.mark.parametrize("kind", [AttributeDict, Point])
def test_dicts_and_named_tuples_with_attributes_run_as_they_are_written(kind: Any) -> None:
    def function(nest: Any) -> Any:
        return (nest[0].x + nest[0].y) * nest[0].scale

    def make(k: int) -> tuple[Any, ...]:
        given = kind(x=XS[k], y=XS[k - 1])
        vars(given).update(scale=k + 1.0)
        return ([given],)

    compiled: Any = mytorch.compile(function)
    words = "a dict or named tuple among its arguments has attributes of its own; pass them as arguments, too"
    with pytest.warns(ReplayWarning, match=words):
        found = [compiled(*make(k)) for k in range(6)]
    for k, got in enumerate(found):
        assert_same(function(*make(k)), got)


def test_a_dict_that_is_its_own_attributes_is_replayed() -> None:
    def make(k: int) -> tuple[Any, ...]:
        given = AttributeDict(x=XS[k])
        given.__dict__ = given
        return (given,)

    alike(lambda d: d["x"] * 2, lambda: make)


# -- arrays that overlap themselves, or cannot be written --------------------------------------------------------------


def entry(x: Any) -> Any:
    x[..., -1] = 5.0
    return x * 2


def all_entries(x: Any) -> Any:
    x += 1
    return x * 2


@pytest.mark.parametrize("function", [entry, all_entries])
@pytest.mark.parametrize("form", [((4, 3), (8, 8)), ((3,), (0,)), ((2, 3), (0, 8))])
def test_an_argument_that_overlaps_itself_runs_as_it_is_written(function: Any, form: Any) -> None:
    compiled: Any = mytorch.compile(function)
    for k in range(4):
        ours, theirs = np.arange(6.0) + k, np.arange(6.0) + k
        windows = [np.lib.stride_tricks.as_strided(base, *form) for base in (ours, theirs)]
        assert_same(function(windows[0]), compiled(windows[1]))
        assert_same(ours, theirs)


def test_an_argument_that_cannot_be_written_changes_nothing() -> None:
    def build() -> Any:
        total = np.zeros(3)

        def function(x: Any) -> Any:
            x *= 2
            total[...] += x.sum()
            return x * 1

        return function, total

    (eager, ours), (function, theirs) = build(), build()
    compiled: Any = mytorch.compile(function)
    for k in range(6):
        x = np.arange(3.0) + k
        x.flags.writeable = k not in (3, 4)
        if not x.flags.writeable:
            with pytest.raises(ValueError, match="read-only"):
                compiled(x)
        else:
            assert_same(eager(x.copy()), compiled(x.copy()))
        assert_same(ours, theirs)
    assert what_became_of(compiled) == REPLAYED


def test_an_argument_that_was_written_before_an_error() -> None:
    def function(x: Any, stop: bool) -> Any:
        x += 1
        if stop:
            raise KeyError("after the change")
        return x * 1

    compiled: Any = mytorch.compile(function)
    x = np.zeros(2)
    with pytest.raises(KeyError):
        compiled(x, True)
    np.testing.assert_array_equal(x, 1.0)


# -- other containers ---------------------------------------------------------------------------------------------


def changing(container: Any, change: Callable[[Any, int], Any]) -> Callable[[], Arguments]:
    """Return what makes calls with one container, which changes between them."""

    def make() -> Arguments:
        own = container()

        def arguments(k: int) -> tuple[Any, ...]:
            change(own, k // 2)
            return XS[k], own

        return arguments

    return make


def first_of(x: Any, s: Any) -> Any:
    return x * s[0]


def objects(*things: Any) -> Any:
    array = np.empty(len(things), object)
    for k, thing in enumerate(things):
        array[k] = thing
    return array


class Rate(float):
    """A number with an attribute."""

    decay = 1.0


class Name(str):
    """A string with an attribute."""

    decay = 1.0


@pytest.mark.parametrize("value", [Rate(2.0), Name("a")])
def test_numbers_and_strings_with_attributes(value: Any) -> None:
    def make(k: int) -> tuple[Any, ...]:
        other = type(value)(value)
        other.decay = k + 1.0
        return XS[k], other

    alike(lambda x, r: x * r.decay, lambda: make)


BETWEEN: dict[str, tuple[Callable[..., Any], Callable[[], Arguments]]] = {
    "set": (lambda x, s: x * sum(s), changing(lambda: {1}, lambda s, k: s.add(k + 2))),
    "deque": (lambda x, s: x * sum(s), changing(lambda: collections.deque([1]), lambda s, k: s.append(k))),
    "entry of a deque": (first_of, changing(lambda: collections.deque([1]), lambda s, k: s.__setitem__(0, k))),
    "bytearray": (first_of, changing(lambda: bytearray(b"\1"), lambda s, k: s.__setitem__(0, k))),
    "array.array": (first_of, changing(lambda: array.array("d", [1]), lambda s, k: s.__setitem__(0, k))),
    "array of objects": (first_of, changing(lambda: np.array([1, None]), lambda s, k: s.__setitem__(0, k))),
    "array of arrays": (lambda x, s: x * s[0] + s[1],
                        changing(lambda: objects(XS[0], XS[1]), lambda s, k: s.__setitem__(0, XS[k] + 1))),
    "array of strings": (lambda x, s: x * (2 if s[0] == "a" else 3),
                         changing(lambda: np.array(["a"]), lambda s, k: s.__setitem__(0, "ab"[k % 2]))),
}  # fmt: skip


@pytest.mark.parametrize("name", BETWEEN)
def test_containers_that_change_between_calls(name: str) -> None:
    alike(*BETWEEN[name])


def test_a_set_that_the_function_changes() -> None:
    def function(x: Any, seen: Any) -> Any:
        seen.add(len(seen))
        return x * len(seen)

    alike(function, changing(set, lambda s, k: None), "changes argument 1 at every call")


def test_a_deque_that_the_function_fills() -> None:
    def function(x: Any, history: Any) -> Any:
        history.append(x * 2)
        return x

    def make() -> Arguments:
        history: Any = collections.deque(maxlen=3)
        return lambda k: (XS[k], history)

    alike(function, make, "changes argument 1 at every call")


ONCE: dict[str, tuple[Callable[..., Any], Callable[[], Any], str]] = {
    "iterator": (lambda x, i: x * next(i), lambda: itertools.count(1), "takes from the iterator argument 1"),
    "generator": (lambda x, i: x * next(i), lambda: (k for k in range(20)), "takes from the iterator argument 1"),
    "random.Random": (lambda x, r: x * r.random(), lambda: random.Random(0), "draws from argument 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", ONCE)
def test_arguments_that_answer_differently_every_time(name: str) -> None:
    function, build, words = ONCE[name]

    def make() -> Arguments:
        own = build()
        return lambda k: (XS[k], own)

    alike(function, make, words)


# -- scalars ------------------------------------------------------------------------------------------------------

SCALARS: dict[str, tuple[Callable[..., Any], list[Any]]] = {
    "np.str_": (lambda x, s: x * (2 if s == "a" else 3), [np.str_("a"), np.str_("b")]),
    "np.bytes_": (lambda x, s: x * (2 if s == b"a" else 3), [np.bytes_(b"a"), np.bytes_(b"b")]),
    "np.datetime64": (lambda x, s: x * (2 if s == np.datetime64("2020") else 3),
                      [np.datetime64("2020"), np.datetime64("2021")]),
    "zero": (lambda x, s: np.copysign(x, s), [0.0, -0.0]),
    "zero of NumPy": (lambda x, s: np.copysign(x, s), [np.float64(0.0), np.float64(-0.0)]),
    "complex zero": (lambda x, s: np.copysign(x, s.imag), [complex(1, 0.0), complex(1, -0.0)]),
    "not a number": (lambda x, s: x * s, [float("nan"), 1.0]),
    "empty string": (lambda x, s: x * (len(s) + 1), ["", "''"]),
    "bool": (lambda x, s: x * (2 if s is True else 3), [True, 1]),
}  # fmt: skip


@pytest.mark.parametrize("name", SCALARS)
def test_scalars_of_every_kind(name: str) -> None:
    function, values = SCALARS[name]

    def with_sign(x: Any, s: Any) -> Any:
        return np.signbit(function(x, s)), function(x, s)

    alike(with_sign, lambda: lambda k: (XS[k], values[k // 2 % 2]))


def test_zeros_of_two_signs_outside_and_in_decisions() -> None:
    class Box:
        k = 0.0

    def outside(x: Any, y: Any) -> Any:
        return np.copysign(x, Box.k)

    def decided(x: Any, y: Any) -> Any:
        return np.copysign(x, float(y[0])), y.tolist()

    for function in (outside, decided):
        compiled: Any = mytorch.compile(function)
        for k, x in enumerate(XS):
            Box.k = (0.0, -0.0)[k // 2 % 2]
            y = np.array([Box.k])
            assert_same(function(x, y), compiled(x, y))
        assert what_became_of(compiled) == REPLAYED


def test_constants_that_differ_in_the_sign_of_zero_alone() -> None:
    def function(x: Any) -> Any:
        return x / np.float32(0.0), x / np.float32(-0.0), x / 0.0, x / -0.0

    compiled: Any = mytorch.compile(function)
    for x in XS[:4]:
        with np.errstate(divide="ignore"):
            assert_same(function(x.astype("f")), compiled(x.astype("f")))


# -- Tensors ------------------------------------------------------------------------------------------------------


def reads(t: Any, x: Any) -> Any:
    return t * 2 + x, t[0]


def writes(t: Any, x: Any) -> Any:
    t += x
    t[0] = 5.0
    return t * 2


VIEWS: dict[str, Callable[[Any], Any]] = {
    "row": lambda base: base[1],
    "column": lambda base: base[:, 2],
    "diagonal": lambda base: base.diagonal(),
    "transpose": lambda base: base.T,
    "reshape": lambda base: base.reshape(2, 8)[:, :4],
    "part": lambda base: base[:2],
}


@pytest.mark.parametrize("function", [reads, writes])
@pytest.mark.parametrize("size", [4, 400])
@pytest.mark.parametrize("name", VIEWS)
def test_tensors_that_are_views(name: str, size: int, function: Any) -> None:
    if (name, function) == ("diagonal", writes):
        return  # which cannot be written

    def make(k: int) -> tuple[Any, ...]:
        values = np.random.default_rng(k).standard_normal((size, size))
        base = Tensor(values.reshape(-1)[:16].reshape(4, 4) if name == "reshape" else values)
        return VIEWS[name](base), 1.0

    alike(function, lambda: make, "a Tensor among its arguments is a view of other memory; pass a copy of it")


def test_copies_of_views_are_replayed() -> None:
    base = Tensor(np.random.default_rng(0).standard_normal((4, 4)))
    alike(reads, lambda: lambda k: (base[k % 4].copy(), 1.0))
    alike(reads, lambda: lambda k: (Tensor(np.arange(8.0)[::2] * k), 1.0))


# -- one array twice ----------------------------------------------------------------------------------------------


def is_one(x: Any, y: Any) -> Any:
    return x * 2 if x is y else x + y * 5


def writes_both(x: Any, y: Any) -> Any:
    x += 1
    y *= 3
    return x - y


@pytest.mark.parametrize("function", [is_one, writes_both])
@pytest.mark.parametrize("kind", [np.array, Tensor], ids=["array", "Tensor"])
@pytest.mark.parametrize("order", [(0, 1, 0), (1, 0, 0), (0, 0, 1)])
def test_one_array_given_twice(function: Any, kind: Any, order: tuple[int, ...]) -> None:
    def make(k: int) -> tuple[Any, ...]:
        x = kind(XS[k])
        return (x, x) if order[k % 3] else (x, kind(XS[k - 1]))

    alike(function, lambda: make)


class Pair(NamedTuple):
    a: Any
    b: Any


class Row(list[Any]):
    """A list of the user's own."""


SEQUENCES: dict[str, Callable[[Any, Any], Any]] = {
    "a named tuple": lambda x, y: np.concatenate(Pair(2 * x, y)),
    "a list of a class": lambda x, y: np.stack(Row([2 * x, y])),
    "a named tuple that a function is given": lambda x, y: np.apply_along_axis(
        lambda row, pair: row * pair.b, 0, x, Pair(1.0, 2.0)
    ),
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_sequences_of_every_kind_that_numpy_is_given(name: str) -> None:
    calls = [(x, x[::-1].copy()) for x in np.random.default_rng(0).normal(size=(4, 3))]
    assert compared(SEQUENCES[name], calls)[0] == REPLAYED


@pytest.mark.parametrize("dtype", ["?", "int8", "uint8", "int64", "float32", "complex64"])
def test_powers_have_the_dtypes_of_numpys_operator(dtype: str) -> None:
    def powers(x: Any) -> Any:
        even = 2 if dtype == "?" else 2.0  # NumPy 1.26 squares booleans for 2.0, too, and NumPy 2 does not
        return x**2, x**even, x**1, x**3, x[0] ** 2, x**0.5

    x = np.array([1, 0, 1]).astype(dtype)
    assert compared(powers, [(x,), (x[::-1].copy(),), (x,)])[0] == REPLAYED


def flattened(x: Any) -> Any:
    f = x.reshape(-1)
    f[1:] = 0
    return x * 1.0, f


def changed_after(x: Any) -> Any:
    f = x.ravel()
    x *= 2
    return f, x.flags.c_contiguous, x.strides[0] > 0


def made_contiguous(x: Any) -> Any:
    f = np.ascontiguousarray(x)
    f += 1
    return x[::-1] * 2, f.sum(), x.T.reshape(-1) - 1


PARTS: dict[str, Callable[[Any], Any]] = {
    "entries": lambda a: a[::2, ::2],
    "columns": lambda a: a[:, :5],
    "rows": lambda a: a[::3],
    "one row": lambda a: a[0:1, ::2],
    "one column": lambda a: a[:, 3],
    "upside down": lambda a: a[::-1],
    "mirrored": lambda a: a[:, ::-1],
    "a row backwards": lambda a: a[2, ::-1],
    "some of the transpose": lambda a: a.T[::2],
    "a transpose": lambda a: a[3:].T,
    "a turned block": lambda a: a.reshape(4, 3, 20).transpose(2, 0, 1)[:, ::2],
}


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("function", [flattened, changed_after, made_contiguous], ids=lambda f: f.__name__)
def test_what_is_a_copy_of_an_argument_with_gaps_is_one_in_a_replay(function: Any, part: str) -> None:
    """Whether NumPy gives a view or a copy depends on the gaps, and what is written shows which it was."""
    compiled = mytorch.compile(function)
    for k in range(4):
        ours = np.random.default_rng(k).standard_normal((12, 20))
        theirs = ours.copy()
        assert_same(function(PARTS[part](ours)), compiled(PARTS[part](theirs)))
        np.testing.assert_array_equal(theirs, ours)
    assert what_became_of(compiled) == REPLAYED
