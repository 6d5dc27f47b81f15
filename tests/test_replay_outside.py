"""What lies outside of a compiled function: what is replaced between calls, and what the function keeps there."""

from __future__ import annotations

import contextlib
import threading
import types
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import mytorch
from mytorch import Tensor
from mytorch.replay import ReplayWarning
from tests.replaying import EAGER, REPLAYED, assert_same, what_became_of

XS = [np.random.default_rng(k).standard_normal(4) for k in range(6)]
# A function of an array, and what changes its surroundings after the k-th call.
Built = tuple[Callable[[Any], Any], Callable[[int], Any]]


class Thing:
    """Has any attributes."""

    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


class Rate(float):
    """A number with an attribute."""

    def __new__(cls, value: float, decay: float = 1.0) -> Rate:
        rate = super().__new__(cls, value)
        rate.decay = decay
        return rate

    decay: float


def in_a_module(text: str, **names: Any) -> dict[str, Any]:
    """Return the globals of a module of the user's with some text."""
    module: dict[str, Any] = {"np": np, "__name__": "of_a_user", **names}
    exec(text, module)
    return module


def replaced_dict() -> Built:
    s: Any = Thing(k=1.0)
    return lambda x: x * s.k, lambda k: setattr(s, "__dict__", {"k": k + 2.0})


def replaced_code() -> Built:
    def double(x: Any) -> Any:
        return x * 2

    def triple(x: Any) -> Any:
        return x * 3

    def change(k: int) -> None:
        double.__code__ = (triple if k >= 2 else double).__code__

    return lambda x: double(x), change


def own_code() -> Built:
    double, change = replaced_code()[0].__closure__[0].cell_contents, lambda x: x * 5  # type: ignore[index]

    def replace(k: int) -> None:
        if k == 2:
            double.__code__ = change.__code__

    return double, replace


def class_without_dict() -> Built:
    class One:
        __slots__ = ()

        def k(self) -> float:
            return 2.0

    class Other:
        __slots__ = ()

        def k(self) -> float:
            return 3.0

    thing: Any = One()
    return lambda x: x * thing.k(), lambda k: setattr(thing, "__class__", [One, Other][k % 2])


def class_with_dict() -> Built:
    class One(Thing):
        scale = 2.0

    class Other(Thing):
        scale = 3.0

    thing: Any = One()
    return lambda x: x * thing.scale, lambda k: setattr(thing, "__class__", [One, Other][k % 2])


def shadowed(by_instance: bool) -> Built:
    class Base:
        scale = 2.0

    class Derived(Base):
        pass

    found: Any = Derived() if by_instance else Derived
    return lambda x: x * found.scale, lambda k: setattr(Derived, "scale", 5.0) if k == 2 else None


def shadowed_builtin() -> Built:
    module = in_a_module("def f(x): return x * max(2.0, 1.0)")
    return module["f"], lambda k: module.update(max=lambda a, b: 7.0) if k == 2 else None


def missing_global() -> Built:
    module = in_a_module("def f(x):\n  try: return x * K\n  except NameError: return x")
    return module["f"], lambda k: module.update(K=7.0) if k == 2 else None


def made_global() -> Built:
    module = in_a_module(
        "def f(x):\n  global K\n  try: K\n  except NameError:\n    K = 2.0\n    return x\n  return x * K"
    )
    return module["f"], lambda k: module.pop("K", None) if k == 3 else None


def setter() -> Built:
    module = in_a_module(
        "K = 2.0\n"
        "class A:\n"
        "  hidden = None\n"
        "  @property\n"
        "  def v(self): return self.hidden\n"
        "  @v.setter\n"
        "  def v(self, x): self.hidden = x * K\n"
        "a = A()\n"
        "a.hidden = np.zeros(4)\n"
        "def f(x):\n"
        "  a.v = x\n"
        "  return a.v + 1"
    )
    return module["f"], lambda k: module.update(K=k + 3.0)


def by_view(look: Callable[[dict[str, Any]], Any], use: Callable[[Any], Any]) -> Callable[[], Built]:
    def build() -> Built:
        state = {"k": 2.0}
        view = look(state)
        return lambda x: x * use(view), lambda k: state.update(k=k + 3.0)

    return build


def array_by_view() -> Built:
    state = {"k": np.ones(4)}
    view = types.MappingProxyType(state)
    return lambda x: x * view["k"], lambda k: state.update(k=np.full(4, k + 3.0))


def within(hold: Callable[[Any], Any], find: Callable[[Any], Any]) -> Callable[[], Built]:
    def build() -> Built:
        thing: Any = Thing(k=2.0)
        held = hold(thing)
        return lambda x: x * find(held), lambda k: setattr(thing, "k", k + 3.0)

    return build


def objects(*things: Any) -> Any:
    array = np.empty(len(things), object)
    array[:] = things
    return array


def arrays_in_an_array() -> Built:
    held = np.empty(2, object)
    held[0], held[1] = np.ones(4), np.ones(3)
    return lambda x: x * held[0], lambda k: held.__setitem__(0, np.full(4, k + 3.0))


def number_with_an_attribute() -> Built:
    s: Any = Thing(rate=Rate(2.0))
    return lambda x: x * s.rate * s.rate.decay, lambda k: setattr(s, "rate", Rate(2.0, k + 3.0))


def attribute_of_a_number() -> Built:
    rate = Rate(2.0)
    return lambda x: x * rate * rate.decay, lambda k: setattr(rate, "decay", k + 3.0)


def sign_of_zero() -> Built:
    s: Any = Thing(v=0.0)

    def flips(x: Any) -> Any:
        y = np.copysign(x, s.v)
        s.v = -s.v
        return y

    return flips, lambda k: None


def not_a_number() -> Built:
    s: Any = Thing(v=1.0)

    def forgets(x: Any) -> Any:
        y = x * s.v
        s.v = float("nan")
        return y

    return forgets, lambda k: setattr(s, "v", 1.0) if k % 2 else None


def shape_of_an_array() -> Built:
    a = np.arange(4.0)
    return lambda x: x.sum() * a, lambda k: a.resize([(2, 2), (1, 4), (4,), (5,)][k % 4], refcheck=False)


def array_of_a_tensor() -> Built:
    p = Tensor(np.ones(4), requires_grad=True)
    return lambda x: p * x, lambda k: setattr(p, "_array", np.full(4, k + 2.0))


REPLACED: dict[str, tuple[Callable[[], Built], str]] = {
    "__dict__": (replaced_dict, REPLAYED),
    "__code__": (replaced_code, REPLAYED),
    "the function's own __code__": (own_code, REPLAYED),
    "class of an object without a dict": (class_without_dict, REPLAYED),
    "class of an object": (class_with_dict, REPLAYED),
    "attribute of a class over that of its base": (lambda: shadowed(False), REPLAYED),
    "attribute of a class over that of its base, by an instance": (lambda: shadowed(True), REPLAYED),
    "builtin that is shadowed": (shadowed_builtin, REPLAYED),
    "global that was missing": (missing_global, REPLAYED),
    "global that is made": (made_global, REPLAYED),
    "global that a setter reads": (setter, REPLAYED),
    "mapping proxy": (by_view(types.MappingProxyType, lambda v: v["k"]), REPLAYED),
    "array in a mapping proxy": (array_by_view, REPLAYED),
    "values of a dict": (by_view(dict.values, sum), REPLAYED),
    "items of a dict": (by_view(dict.items, lambda v: sum(value for _, value in v)), REPLAYED),
    "member of a set": (within(lambda t: {t}, lambda s: sum(t.k for t in s)), REPLAYED),
    "member of a frozen set": (within(lambda t: frozenset([t]), lambda s: sum(t.k for t in s)), REPLAYED),
    "key of a dict": (within(lambda t: {t: 1}, lambda s: sum(t.k for t in s)), REPLAYED),
    "object in an array": (within(objects, lambda a: a[0].k), REPLAYED),
    "array in an array": (arrays_in_an_array, REPLAYED),
    "number with an attribute": (number_with_an_attribute, REPLAYED),
    "attribute of a number": (attribute_of_a_number, REPLAYED),
    "sign of zero": (sign_of_zero, EAGER),
    "not a number": (not_a_number, EAGER),
    "shape of an array": (shape_of_an_array, REPLAYED),
    "array of a Tensor": (array_of_a_tensor, REPLAYED),
}


@pytest.mark.filterwarnings("ignore::mytorch.ReplayWarning")
@pytest.mark.parametrize("name", REPLACED)
def test_what_is_replaced_between_calls(name: str) -> None:
    build, outcome = REPLACED[name]
    function, change = build()
    expected = []
    for k, x in enumerate(XS):
        expected.append(function(x))
        change(k)
    function, change = build()
    compiled: Any = mytorch.compile(function)
    for k, x in enumerate(XS):
        assert_same(expected[k], compiled(x))
        change(k)
    assert what_became_of(compiled) == outcome


def test_a_variable_of_a_closure_that_is_deleted() -> None:
    factor = 2.0

    def scaled(x: Any) -> Any:
        return x * factor

    compiled: Any = mytorch.compile(scaled)
    for x in XS[:3]:
        assert_same(x * 2, compiled(x))
    del factor
    with pytest.raises(NameError, match="factor"):
        compiled(XS[0])
    factor = 5.0
    for x in XS[:3]:
        assert_same(x * 5, compiled(x))


class Local(threading.local):
    k = 1.0


@pytest.mark.parametrize("kind", [threading.local, Local])
def test_attributes_that_each_thread_has_for_itself(kind: Callable[[], Any]) -> None:
    local = kind()
    compiled: Any = mytorch.compile(lambda x: x * local.k)
    found: list[Any] = []

    def call(factor: float) -> None:
        local.k = factor
        found.extend((compiled(x), x * factor) for x in XS[:3])

    call(2.0)
    other = threading.Thread(target=call, args=(7.0,))
    other.start()
    other.join()
    call(2.0)
    assert len(found) == 9
    for got, expected in found:
        assert_same(expected, got)
    assert what_became_of(compiled) == REPLAYED


# -- what the function leaves outside -----------------------------------------------------------------------------

# How an array is kept outside, and how it is found there.
KEPT: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any], Any]]] = {
    "attribute": (lambda s, h: setattr(s, "state", h), lambda s: s.state),
    "tuple": (lambda s, h: setattr(s, "state", (h, h)), lambda s: s.state[1]),
    "named tuple": (lambda s, h: setattr(s, "state", Pair(h, 1)), lambda s: s.state.first),
    "tuples in a list": (lambda s, h: setattr(s, "state", [(h, h)]), lambda s: s.state[0][0]),
    "list in a dict": (lambda s, h: setattr(s, "state", {"h": [h]}), lambda s: s.state["h"][0]),
    "object": (lambda s, h: setattr(s, "state", Thing(h=h)), lambda s: s.state.h),
    "tuple that is added to a list": (lambda s, h: s.seen.append((0, h)), lambda s: s.seen[-1][1]),
    "list that is added to a dict": (
        lambda s, h: s.named.setdefault("h", []).append(h),
        lambda s: s.named["h"][-1],
    ),
}


class Pair(NamedTuple):
    first: Any
    second: Any


@pytest.mark.filterwarnings("ignore::mytorch.ReplayWarning")
@pytest.mark.parametrize("fails", [False, True], ids=["", "with an error"])
@pytest.mark.parametrize("name", KEPT)
def test_what_is_kept_outside_is_an_array(name: str, fails: bool) -> None:
    keep, find = KEPT[name]
    s: Any = Thing(state=np.zeros(4), seen=[], named={})

    def function(x: Any) -> Any:
        keep(s, x * 2)
        if fails:
            raise KeyError(name)
        return x

    compiled: Any = mytorch.compile(function)
    for x in XS[:4]:
        with pytest.raises(KeyError) if fails else contextlib.nullcontext():
            compiled(x)
        kept = find(s)
        assert type(kept) is np.ndarray
        assert_same(x * 2, kept)
        kept += 1


@pytest.mark.filterwarnings("ignore::mytorch.ReplayWarning")
def test_numbers_and_generators_that_are_kept_outside_are_numpys() -> None:
    s: Any = Thing(rate=None, rng=None, old=np.ones(4), first=None, row=None)
    rng, weights = np.random.default_rng(1), np.ones((2, 4))

    def function(x: Any, rate: Any) -> Any:
        s.rate, s.rng, s.first, s.row = rate, rng, s.old, weights[1]
        return x * rate

    compiled: Any = mytorch.compile(function)
    for x in XS[:3]:
        compiled(x, np.float64(0.5))
        assert type(s.rate) is np.float64
        assert s.rng is rng
        assert s.first is s.old
        assert s.row.base is weights


def test_an_array_that_is_kept_twice_is_one() -> None:
    s: Any = Thing(now=np.zeros(4), last=np.zeros(4))

    def function(x: Any) -> Any:
        s.now = s.last = x * 2
        return x

    compiled: Any = mytorch.compile(function)
    for x in XS[:3]:
        compiled(x)
        assert s.now is s.last
    assert what_became_of(compiled) == REPLAYED


def test_a_number_that_is_replaced_runs_eagerly_and_says_so() -> None:
    s: Any = Thing(total=np.float64(0))
    seen = []

    def function(x: Any) -> Any:
        s.total += x.sum()
        return x

    compiled: Any = mytorch.compile(function)
    with pytest.warns(ReplayWarning, match=r"it changes s\.total at every call"):
        compiled(XS[0])
    seen.append(s.total)
    for x in XS[1:]:
        compiled(x)
        seen.append(s.total)
    assert all(type(total) is np.float64 for total in seen)
    assert_same(np.cumsum([x.sum() for x in XS]), np.array(seen))
