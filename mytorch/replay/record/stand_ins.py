"""What stands in the places outside of a function while a call of it is recorded.

The function finds arrays, random generators, NumPy's makers of arrays and what is asked anew every time by names.  For
the time of a recording each such place holds something that notes what is done; afterwards all is as it was.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import ref

import numpy as np

from mytorch import arrays
from mytorch.lines import PACKAGE
from mytorch.replay.errors import ReplayError
from mytorch.replay.record.captured import GENERATORS, Cell, is_followed
from mytorch.replay.record.draws import DEFAULT_RNG, Generator, default_rng, drawing, is_draw
from mytorch.replay.record.impure import noticed, watched
from mytorch.replay.record.making import PLACES, maker
from mytorch.replay.record.recorder import Recorder
from mytorch.replay.record.settling import Settling
from mytorch.replay.record.tensors import TensorRecorder


@contextmanager
def recording_by(recorder: TensorRecorder, cells: Sequence[Cell], settling: Settling) -> Iterator[None]:
    """Within the context, `recorder` records what the thread does, with stand-ins in the places outside."""
    token = arrays._recording.set(recorder)
    patched = _patch(cells, recorder)
    recorder.stand_ins = {(id(cell), id(shown)) for cell, shown in patched}
    for cell, shown in patched:
        settling.stands(shown, cell.value)
    try:
        with watched(cells, recorder):
            yield
    except Exception as error:
        if recorder.refused is not None:  # NumPy may have other words for it
            raise recorder.refused from None
        if isinstance(error, ValueError) and "read-only" in str(error) and _is_of_user(error):
            raise ReplayError(
                f"{error}: mytorch.compile holds plain arrays that the function takes from outside, or has "
                "computed with, read-only, because a replay would not repeat a write to them; make it a Tensor, "
                "pass it as an argument, or make it in the function with np.zeros, np.empty or np.array"
            ) from error
        raise
    else:
        if (refused := recorder.refused or recorder.picks.error) is not None:
            raise refused
    finally:
        for cell, shown in patched:
            if cell.read() is shown:
                cell.write(cell.value)
        arrays._recording.reset(token)
        recorder.close()
        for made in [*recorder.made.values(), *[ref(tensor) for tensor in recorder.set.values()]]:
            tensor = made()
            if tensor is not None:
                recorder.unhook(tensor)


def _patch(cells: Sequence[Cell], recorder: Recorder) -> list[tuple[Cell, Any]]:
    """Put what is recorded in the places of arrays and generators that the function can reach; return what is there."""
    places = list(cells)
    places.append(Cell("attribute", np.random, "default_rng", DEFAULT_RNG, "np.random.default_rng"))
    for name in dir(np.random):
        member = getattr(np.random, name)
        if is_draw(member):
            places.append(Cell("attribute", np.random, name, member, f"np.random.{name}"))
    places += [Cell("attribute", np, name, getattr(np, name), f"np.{name}") for name in PLACES]
    patched = []
    for cell in places:
        if isinstance(cell.container, tuple | types.MethodType) or cell.kind == "fixed":
            continue
        if is_followed(cell.value):
            shown: Any = recorder.live(cell.value)
        elif isinstance(cell.value, tuple):
            shown = _live_in(cell.value, recorder)
            if shown is cell.value:
                continue
        elif is_draw(cell.value):
            shown = drawing(cell.value, recorder)
        elif isinstance(cell.value, GENERATORS):
            shown = Generator(cell.value, recorder)
        elif cell.value is DEFAULT_RNG:
            shown = default_rng
        elif maker(cell.value) is not None:
            shown = maker(cell.value)
        else:
            shown = noticed(cell, recorder)
            if shown is cell.value:
                continue
        cell.write(shown)
        patched.append((cell, shown))
    return patched


def _live_in(value: tuple[Any, ...], recorder: Recorder) -> tuple[Any, ...]:
    """Return a tuple with what stands for its arrays (itself if it has none)."""
    entries = [
        recorder.live(x) if is_followed(x) else _live_in(x, recorder) if isinstance(x, tuple) else x
        for x in value
    ]
    if all(x is y for x, y in zip(entries, value, strict=True)):
        return value
    return type(value)(*entries) if hasattr(value, "_fields") else tuple(entries)


def _is_of_user(error: Exception) -> bool:
    """Say whether an error was raised in the user's own line, by what is no part of the recording."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last is not None and not last.tb_frame.f_code.co_filename.startswith(PACKAGE)
