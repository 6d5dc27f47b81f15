"""The recorder: computes what is asked of `Traced` arrays, and notes it as a list of instructions.

Memory is what is followed (`Memories`), as everywhere in this package: a result that lies in memory that is known is a
view and no instruction; everything else is a call that made new memory or wrote to old.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import signature
from typing import Any

import numpy as np
from numpy import ndarray

from mytorch.dispatch import out_of, place_of_out
from mytorch.lines import PACKAGE
from mytorch.regions import base_of, is_basic, open_ended, owner_of
from mytorch.replay.instructions import TEMPORARY, mapped, name_of
from mytorch.replay.record import making
from mytorch.replay.record.captured import is_of_user
from mytorch.replay.record.notes import Lies, Notes, refusal
from mytorch.replay.record.numbers import Weak
from mytorch.replay.record.picked import is_picked
from mytorch.replay.record.traced import Number, Traced
from mytorch.rules.masks import BITS, masked

# Functions that write to their first argument and return nothing.
WRITERS = {np.copyto, np.put, np.place, np.putmask, np.fill_diagonal, np.put_along_axis}
# Functions that tell of shapes, dtypes and memory only, which every replay has in common.
METADATA = {
    np.shape, np.ndim, np.size, np.result_type, np.common_type, np.min_scalar_type, np.can_cast, np.iscomplexobj,
    np.isrealobj, np.may_share_memory, np.shares_memory,
}  # fmt: skip
SHARING = {np.may_share_memory, np.shares_memory}
DIVISIONS = {np.true_divide, np.floor_divide, np.remainder}  # in which Python's numbers refuse zero
# Functions that give a view, or none, by what the array holds.
VIEWING = {np.trim_zeros, np.real_if_close}
# Functions that may use the memory of their operand for something else, and need not.
OVERWRITING = {np.median, np.percentile, np.quantile, np.nanmedian, np.nanpercentile, np.nanquantile}
# Functions of one array that are methods, so that both are recorded alike.
AS_METHODS: dict[Any, str] = {
    np.sum: "sum", np.prod: "prod", np.max: "max", np.min: "min", np.amax: "max", np.amin: "min", np.any: "any",
    np.all: "all", np.mean: "mean", np.copy: "copy",
}  # fmt: skip


class Recorder(Notes):
    """The recording of one call: what is done to `Traced` arrays."""

    # -- what is computed -----------------------------------------------------------------------------------------

    def ufunc(self, ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Compute a ufunc, or one of its methods."""
        call = ufunc if method == "__call__" else getattr(ufunc, method)
        outs = kwargs.pop("out", None) or ()
        if self.closed:
            return call(*self.real(inputs), **self.real(kwargs), **({"out": self.real(outs)} if outs else {}))
        weak = [x for x in inputs if type(x) is Weak]
        if weak:
            inputs = tuple([x.weak_for(inputs) if type(x) is Weak else x for x in inputs])
        kwargs = {k: v for k, v in kwargs.items() if v is not None or k not in ("dtype", "where")}
        if method == "at":
            self.write(call, inputs, kwargs)
            return None
        if self.are_constant(inputs, kwargs) and all(out is None or self.is_new(out) for out in outs):
            result = call(
                *self.real(inputs), **self.real(kwargs), **({"out": self.real(outs)} if outs else {})
            )
            if not outs or any(out is None for out in outs):
                return self.constant(result)
            return outs[0] if len(outs) == 1 else outs
        if any(out is not None for out in outs):
            if not all(out is not None for out in outs):
                results = call(*inputs, **kwargs)
                return tuple([o if o is None else _stored(o, r) for o, r in zip(outs, results, strict=True)])
            places = [self.destination(out) for out in outs]
            with self.thawed(places):
                self.call(call, inputs, {**kwargs, "out": tuple(map(self.show, places))})
            self.note("ufunc", call, inputs, kwargs, tuple(places), False)
            return next(iter(outs)) if len(outs) == 1 else tuple(outs)
        return self.results("ufunc", call, inputs, kwargs, self.call(call, inputs, kwargs))

    def of_numbers(self, ufunc: np.ufunc, *inputs: Any) -> Any:
        """Compute an operator of Python's numbers, which gives one."""
        plain = [x.array if type(x) is Weak else x for x in inputs]
        if self.closed:
            return ufunc(*plain).item()
        if ufunc in DIVISIONS and not inputs[1]:
            raise ZeroDivisionError("float division by zero")
        result = self.results("ufunc", ufunc, tuple([_strong(x) for x in inputs]), {}, ufunc(*plain))
        return Weak(result, result.array.item())

    def function(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Compute a NumPy function, or one of this package's own."""
        if self.closed:
            return function(*self.real(args), **self.real(kwargs))
        if not (function.__module__ or "").startswith("numpy"):
            for x in args:  # a Tensor among them knows better
                if hasattr(type(x), "__array_function__") and not isinstance(x, ndarray | np.generic):
                    return x.__array_function__(function, (type(x),), args, kwargs)
            if (
                function is masked
                and args[0].ndim
                and args[0].itemsize in BITS
                and args[0].dtype.isnative  # the result is
                and not self.are_constant(args)
            ):
                return self.results("ufunc", masked, args, {}, self.call(masked, args, {}))
            return function.__wrapped__(*args, **kwargs)  # type: ignore[attr-defined]
        if function in METADATA:
            if function in SHARING and is_of_user(sys._getframe(2).f_code.co_filename):
                self.excuse = "asks whether arrays share memory"  # which no signature says
            return function(*self.real(args), **self.real(kwargs))
        if function in AS_METHODS and args and isinstance(args[0], Traced) and "where" not in kwargs:
            name = AS_METHODS[function]
            given = {k: v for k, v in kwargs.items() if v is not np._NoValue}
            array = args[0]
            if function is np.copy:
                array = self.show(array.array)  # of a number, too, it makes an array
                if len(args) == 1:
                    given.setdefault("order", "K")  # the method's own default is "C"
            return getattr(array, name)(*args[1:], **given)
        if function in WRITERS:
            self.write(function, args, kwargs)
            return None
        out, args = _out_of(function, args, kwargs)
        if function in OVERWRITING:
            args, kwargs = _without_overwriting(function, args, kwargs)
        if out is not None:
            return _stored(out[0] if isinstance(out, tuple) else out, function(*args, **kwargs))
        if function is np.nan_to_num and type(args[0]) is Traced and not _copies(args, kwargs):
            self.write(function, args, kwargs)
            return args[0]
        if self.are_constant(args, kwargs):
            return self.constant(function(*self.real(args), **self.real(kwargs)))
        result = self.call(function, args, kwargs)
        if function in VIEWING:
            lies = Lies(function)
            self.decided(lies, args, kwargs, lies(*self.real(args), **self.real(kwargs)))
        if function is np.count_nonzero and type(result) is int:  # of NumPy 1.26
            result = np.intp(result)
        return self.results("call", function, args, kwargs, result)

    def method(self, name: str, array: Traced, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Compute a method of an array."""
        function = getattr(ndarray, name)
        if self.closed:
            return function(array.array, *self.real(args), **self.real(kwargs))
        if (
            name == "mean"
            and array.array.ndim
            and array.array.dtype.char in "fdFD"
            and not args[1:]
            and kwargs.keys() <= {"axis", "keepdims"}
            and not self.are_constant(array, args, kwargs)
        ):
            total: Any = array.sum(*args, **kwargs)
            count = array.array.size // max(total.array.size, 1)
            # A dtype of its own keeps NumPy 1's.
            return total / np.dtype(total.array.dtype.char.lower()).type(count)
        if name == "byteswap" and any((*args, *kwargs.values())):
            self.write_method(name, array, args, kwargs)
            return array
        if (
            name == "astype"
            and kwargs.get("copy") is False
            and np.dtype((args or [kwargs["dtype"]])[0]) == array.dtype
        ):
            return array
        out, given = _out_of(getattr(np, name, function), (array, *args), kwargs)
        args = given[1:]
        if out is not None:
            return _stored(out, self.method(name, array, args, kwargs))
        if self.are_constant(array, args, kwargs):
            return self.constant(function(array.array, *self.real(args), **self.real(kwargs)))
        result = self.call(function, (array, *args), kwargs)
        if array.is_number and isinstance(result, ndarray) and not result.ndim:
            result = result[()]
        return self.results("call", function, (array, *args), kwargs, result)

    def results(
        self, kind: str, function: Callable[..., Any], args: Any, kwargs: dict[str, Any], result: Any
    ) -> Any:
        """Note a call that returned `result`, unless all of that is views, and return what stands for it."""
        leaves = list(result) if isinstance(result, tuple | list) else [result]
        if not all(isinstance(leaf, ndarray | np.generic) for leaf in leaves):
            return self.decided(function, args, kwargs, result)
        made = [leaf if isinstance(leaf, ndarray) else np.array(leaf) for leaf in leaves]
        made = [leaf if type(leaf) is ndarray else leaf.view(ndarray) for leaf in made]
        memories = {id(owner_of(leaf)) for leaf in made}
        for leaf in made:
            if leaf.dtype.kind not in "biufc":
                self.refuse(f"{name_of(function)} with a result of dtype {leaf.dtype}", "give it numbers")
        if not leaves or not all(self.knows(owner_of(leaf)) or self.is_view(leaf, args) for leaf in made):
            fresh = [leaf.copy() if self.knows(owner_of(leaf)) else leaf for leaf in made]
            for leaf in fresh:
                self.buffer(leaf, TEMPORARY)
            self.note(kind, function, args, kwargs, tuple(fresh), True)
            made = fresh
        else:
            self.decide_others((args, kwargs), memories)
        shown = [
            self.number(array) if isinstance(leaf, np.generic) else self.show(array)
            for array, leaf in zip(made, leaves, strict=True)
        ]
        if isinstance(result, tuple | list):
            return type(result)(*shown) if hasattr(result, "_fields") else type(result)(shown)
        return shown[0]

    def decide_others(self, tree: Any, memories: set[int]) -> None:
        """Note the values of what decides which view of some memories a call gives: ``x.reshape(n, -1)``."""
        found: list[Traced] = []
        mapped(tree, Traced, found.append)
        for x in found:
            if id(owner_of(x.array)) not in memories:
                self.decide(x, ndarray.tolist)

    def is_view(self, result: ndarray, args: Any) -> bool:
        """Say whether a result lies in the memory of a plain array among the arguments."""
        found: list[ndarray] = []
        mapped(args, ndarray, found.append)
        mapped(args, Traced, lambda x: found.append(x.array))
        owner = owner_of(result)
        return any(owner_of(x) is owner for x in found)

    # -- indices and writing -----------------------------------------------------------------------------------------

    def getitem(self, traced: Traced, index: Any) -> Any:
        """Return ``array[index]``."""
        if self.closed:
            return traced.array[self.real(index)]
        if self.are_constant(traced, index):
            return self.constant(traced.array[self.real(index)])
        result = self.call(getitem, (traced, index), {})
        owner = owner_of(result) if type(result) is ndarray else None
        if owner is not None and (self.knows(owner) or owner is owner_of(traced.array)):
            self.buffer(traced.array)
            if _holds_traced(index):  # the place is decided by a value
                for part in index if isinstance(index, tuple) else (index,):
                    if isinstance(part, Traced):
                        int(part)
            return self.show(result)
        if is_basic(index) and type(result) is not ndarray:  # a single entry is a value of its own
            entry = self.method("copy", self.show(traced.array[open_ended(index)]), (), {})
            return self.number(entry.array)
        row = self.again(traced, index)
        if is_picked(index, result):
            of_tensor = sys._getframe(2).f_code.co_filename.startswith(PACKAGE)
            error = refusal(
                "a row of a Tensor that a computed number picked, where either is written", "x[int(k)]"
            )
            self.picks.add(row.array, traced, index, error if of_tensor else None)
        return row

    def again(self, traced: Traced, index: Any) -> Any:
        """Return what is at a computed place now."""
        return self.results("call", getitem, (traced, index), {}, traced.array[self.real(index)])

    def setitem(self, traced: Traced, index: Any, value: Any) -> None:
        """Do ``array[index] = value``."""
        if self.closed:
            traced.array[self.real(index)] = self.real(value)
            return
        if self.picks.is_done(traced, index, value):
            return
        if isinstance(value, list | tuple):
            value = making.array_of(self, value)
        if (
            self.is_new(traced)
            and self.are_constant(index, value)
            and not hasattr(type(value), "__array_ufunc__")
        ):
            traced.array[self.real(index)] = self.real(value)
            return
        if not _holds_traced(index) and is_basic(index):
            place = traced.array[open_ended(index)]
            source = value.array if isinstance(value, Traced) else np.asarray(value)
            if place.ndim == 0 < source.ndim:  # NumPy takes an array for a single entry, or does not
                np.empty_like(traced.array)[index] = source
            extra = source.ndim - place.ndim
            if extra > 0 and source.shape[:extra] == (1,) * extra:
                whole = value if isinstance(value, Traced) else source
                value = whole.reshape(source.shape[extra:])
            self.buffer(traced.array)
            with self.thawed([place]):
                if not place.flags.writeable:  # `copyto` does not ask where an array is copied to itself
                    raise ValueError("assignment destination is read-only")
            self.write(np.copyto, (self.show(place), value), {"casting": "unsafe"})
            return
        self.write(setitem, (traced, index, value), {})

    def write(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Compute and note a function that writes to its first argument."""
        if self.closed:
            function(*self.real(args), **self.real(kwargs))
            return
        if self.is_new(args[0]) and self.are_constant(args[1:], kwargs):
            function(*self.real(args), **self.real(kwargs))
            return
        self.write_anew(function, args, kwargs)

    def write_anew(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Compute and note a function that writes to its first argument, and something else every time."""
        place = self.destination(args[0])
        with self.thawed([place]):
            self.call(function, (self.show(place), *args[1:]), kwargs)
        self.note("write", function, (self.show(place), *args[1:]), kwargs, (place,), False)

    def write_method(self, name: str, array: Traced, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Compute and note a method that changes its array."""
        self.write(getattr(ndarray, name), (array, *args), kwargs)

    @contextmanager
    def thawed(self, places: list[ndarray]) -> Iterator[None]:
        """Within the context, arrays that the recording itself, and no tape, holds read-only can be written."""
        chains: list[ndarray] = []
        for place in places:
            link: ndarray | None = place
            while link is not None:
                if not link.flags.writeable and not _is_spread(link) and self.guards.holds(link):
                    chains.insert(0, link)
                link = base_of(link)
        for link in chains:
            link.flags.writeable = True
        try:
            yield
        finally:
            for link in chains:
                link.flags.writeable = False

    def destination(self, out: Any) -> ndarray:
        """Return the real array that will be written."""
        if isinstance(out, Number):
            raise TypeError("return arrays must be of ArrayType")
        if isinstance(out, Traced):
            self.value(out.array)  # it becomes known with what it holds now
            buffer = self.buffer(out.array)
            if buffer.number in self.left:
                self.refuse(
                    "writing to an array that other code has seen (by np.array, say)",
                    "a copy for one of the two",
                )
            self.constants.discard(buffer.number)
            number = self.shown_numbers.get(id(owner_of(out.array)))
            if number is not None:  # it stays what it is
                number.array = self.method("copy", self.show(number.array), (), {}).array
            return out.array
        if type(out) is not ndarray:
            self.refuse(f"writing to a {type(out).__name__}", "to an array")
        return self.refuse(  # whoever reads it later would not be followed
            "writing to a plain array what was computed from others",
            "to an array that the function's own code makes (np.zeros, np.empty, np.array) or gets as an argument",
        )


def _strong(x: Any) -> Any:
    return x.recorder.show(x.array) if type(x) is Weak else x


def _out_of(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[Any, tuple[Any, ...]]:
    """Take the output out of a call, and say by name what follows it, so that a replay can name another output."""
    given = len(args)
    out, args = out_of(function, args, kwargs)
    place = place_of_out(function)
    if given > place:
        if given > place + 1:
            kwargs.update(
                zip([*signature(function).parameters][place + 1 :], args[place + 1 :], strict=False)
            )
        args = args[:place]
    return out, args


def _without_overwriting(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of a call that leaves its operand as it is: what would be left of it is undefined."""
    place = [*signature(function).parameters].index("overwrite_input")
    if len(args) > place:
        return (*args[:place], False, *args[place + 1 :]), kwargs
    return args, {k: v for k, v in kwargs.items() if k != "overwrite_input"}


def _copies(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Say whether a call of `np.nan_to_num` makes a new array."""
    return bool(args[1] if len(args) > 1 else kwargs.get("copy", True))


def getitem(array: ndarray, index: Any) -> Any:
    return array[index]


def setitem(array: ndarray, index: Any, value: Any) -> None:
    array[index] = value


def _stored(out: Any, result: Any) -> Any:
    """Write a result to what was given as `out`, and return that."""
    np.copyto(out, result, casting="same_kind")
    return out


def _holds_traced(index: Any) -> bool:
    return any(isinstance(part, Traced) for part in (index if isinstance(index, tuple) else (index,)))


def _is_spread(array: ndarray) -> bool:
    """Say whether an array shows one entry at many places, for which NumPy makes it read-only."""
    return any(stride == 0 and n > 1 for stride, n in zip(array.strides, array.shape, strict=True))
