"""What all benchmarks share: a race between contenders, each in a process of its own, in turns.

Times on a shared machine drift by a factor of two within minutes, so a time says little and a ratio of times
taken in turns says much.  Every contender (a function that prepares the work and returns one step of it) runs
in its own process, so that no framework's threads, allocator or imports burden another; the processes take
turns, round after round; and all must have computed the same numbers, or there is no result.  The numbers of
BLAS threads are set in the environment that the processes start in, because NumPy reads them once, when it is
loaded.  Python's cyclic collector stays on, as it is for users.  Who cannot take part, because a package or a
compiler is not here, is left out by name and with the reason.

A benchmark is a module with a function ``run(effort)`` that gives `Race`s and `Figure`s, and ends with::

    if __name__ == "__main__":
        main(__doc__, run)
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.figures import Figure as Figure
from benchmarks.races import Race as Race
from benchmarks.races import Result as Result
from benchmarks.races import Unavailable as Unavailable
from benchmarks.races import show, write_json

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "build" / "benchmarks"
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "PJRT_NPROC",  # jax
)
# An idle OpenBLAS thread spins for a tenth of a second after a call, and would take the next one's core.
PAUSE = 0.2


@dataclass(frozen=True)
class Effort:
    """How long to measure: `rounds` turns of about `seconds` per contender, on `threads` BLAS threads each.

    `quick` asks for a first impression: benchmarks then leave out what takes minutes.
    """

    rounds: int = 9
    seconds: float = 0.05
    threads: int = 1
    quick: bool = False

    def with_threads(self, threads: int) -> Effort:
        """Return the same effort on so many threads."""
        return replace(self, threads=threads)


QUICK = Effort(rounds=3, seconds=0.02, quick=True)


@dataclass(frozen=True)
class Contender:
    """One side of a race.

    Parameters
    ----------
    name : who it is, in tables
    prepare : function at the top of a module: ``prepare(*arguments)`` sets the work up and returns one step
        of it, a function without arguments, or a `Work`.  What its first call returns, a number or an array of
        any framework (or None), is compared with the others'.  Raises `Unavailable` where it cannot take part.
    arguments : numbers, strings, booleans
    per : how many units of work (operations, epochs) a step does; times are given per unit
    slow : whether it prepares for so long that a quick race goes without it
    """

    name: str
    prepare: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    per: int = 1
    slow: bool = False


@dataclass(frozen=True)
class Work:
    """A step whose first result alone would not show that all of it was done.

    Parameters
    ----------
    step : function without arguments
    check : function of what the first step returned; gives the numbers that are compared instead
    """

    step: Callable[[], Any]
    check: Callable[[Any], Any]

    def __call__(self) -> Any:
        return self.step()


def race(
    contenders: Sequence[Contender],
    effort: Effort,
    *,
    rtol: float | None = 1e-6,
    what: str = "",
    against: str = "",
) -> Race:
    """Let contenders do the same work in turns.

    Parameters
    ----------
    contenders : who takes part, in the order of the turns
    effort : how many rounds, how long a turn, how many threads
    rtol : how far, relative to the largest, results of the first step may differ; None where the work does
    what, against : the work, and who the others are compared with, as tables name them

    Raises
    ------
    ArithmeticError
        The contenders computed different numbers.
    RuntimeError
        A contender's process ended; its own error is on stderr.
    """
    contenders, missing = present(contenders, effort)
    workers = {c.name: Worker(c.prepare, c.arguments, effort.threads) for c in contenders}
    try:
        for worker in workers.values():
            worker.tell("first")  # all prepare at the same time
        answers = {name: worker.attempt() for name, worker in workers.items()}
        missing |= {name: str(answer) for name, answer in answers.items() if isinstance(answer, Unavailable)}
        results = {name: answer for name, answer in answers.items() if name not in missing}
        if rtol is not None:
            check_same(list(results), list(results.values()), rtol)
        counts = {name: workers[name].ask("calibrate", effort.seconds) for name in results}
        times: dict[str, list[float]] = {name: [] for name in results}
        runners = [contender for contender in contenders if contender.name in results]
        for _ in range(effort.rounds):
            for contender in runners:
                if effort.threads > 1:
                    time.sleep(PAUSE)
                name = contender.name
                times[name].append(workers[name].ask("round", counts[name]) / contender.per)
        return Race(times, what, against, effort.threads, missing)
    finally:
        for worker in workers.values():
            worker.close()


def gauge(
    contenders: Sequence[Contender], effort: Effort, unit: str, what: str = "", against: str = ""
) -> Race:
    """Measure contenders in turns, each turn in a new process: `prepare` returns the value itself."""
    contenders, missing = present(contenders, effort)
    values: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for _ in range(effort.rounds):
        for contender in contenders:
            name = contender.name
            if name in missing:
                continue
            with Worker(contender.prepare, contender.arguments, effort.threads) as worker:
                worker.tell("call")
                value = worker.attempt()
            if isinstance(value, Unavailable):
                missing[name] = str(value)
            else:
                values[name].append(value / contender.per)
    measured = {name: value for name, value in values.items() if name not in missing}
    return Race(measured, what, against, effort.threads, missing, unit)


def present(contenders: Sequence[Contender], effort: Effort) -> tuple[list[Contender], dict[str, str]]:
    """Return who takes part in a race, and why the others do not."""
    slow = {
        c.name: "it prepares for long: left out of a quick run" for c in contenders if c.slow and effort.quick
    }
    return [contender for contender in contenders if contender.name not in slow], slow


def check_same(names: Sequence[str], results: Sequence[Any], rtol: float) -> None:
    """Raise ArithmeticError unless all results that are numbers agree to `rtol` of the largest."""
    known = [(name, flat(result)) for name, result in zip(names, results, strict=True) if result is not None]
    for name, numbers in known[1:]:
        first, reference = known[0]
        scale = max(map(abs, reference), default=0.0)
        if len(numbers) != len(reference) or not all(
            abs(a - b) <= rtol * scale for a, b in zip(numbers, reference, strict=True)
        ):
            raise ArithmeticError(
                f"{name} did not compute what {first} did: got {numbers[:5]}, expected {reference[:5]}, "
                f"to a relative {rtol}; times of different work cannot be compared"
            )


def flat(numbers: Any) -> list[float]:
    """Return nested lists of numbers as one list."""
    return [x for part in numbers for x in flat(part)] if isinstance(numbers, list) else [float(numbers)]


def measure(function: Callable[..., Any], *arguments: Any, threads: int = 1) -> Any:
    """Run ``function(*arguments)``, a function at the top of a module, in a process of its own.

    What it returns must be made of numbers, strings, lists and dicts.
    """
    with Worker(function, arguments, threads) as worker:
        return worker.ask("call")


def peak_memory() -> int:
    """Return the most bytes of memory that this process has held at a time.

    Linux carries `ru_maxrss` over from the process that started this one, so its own record comes first.
    """
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return _status("VmHWM") or (most if sys.platform == "darwin" else most * 1024)


def present_memory() -> int:
    """Return the bytes of memory that this process holds now (where the system does not say: at most)."""
    return _status("VmRSS") or peak_memory()


def _status(name: str) -> int | None:
    """Return an entry of Linux's account of this process, in bytes."""
    status = Path("/proc/self/status")
    entry = re.search(rf"{name}:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return None if entry is None else int(entry[1]) * 1024


class Worker:
    """A process in which one contender lives, and does a turn whenever it is asked to."""

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...], threads: int) -> None:
        self.name = f"{module_of(function)}:{function.__qualname__}"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.harness", self.name, json.dumps(arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads))},
        )

    def ask(self, command: str, *arguments: Any) -> Any:
        """Send one line, and return what comes back."""
        self.tell(command, *arguments)
        return self.hear()

    def tell(self, command: str, *arguments: Any) -> None:
        """Send one line."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # the process has ended: there will be no answer either
            print(json.dumps([command, *arguments]), file=self.process.stdin, flush=True)

    def hear(self) -> Any:
        """Wait for an answer; one that says why there is none is raised as `Unavailable`."""
        assert self.process.stdout is not None
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(
                f"{self.name} ended with status {self.process.wait()} instead of measuring; "
                "its error stands above"
            )
        kind, value = json.loads(answer)
        if kind == "unavailable":
            raise Unavailable(value)
        return value

    def attempt(self) -> Any:
        """Wait for an answer; return the exception `Unavailable` where there is none."""
        try:
            return self.hear()
        except Unavailable as error:
            return error

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.communicate()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def module_of(function: Callable[..., Any]) -> str:
    """Return the name by which another process can import the module of `function`."""
    if function.__module__ != "__main__":
        return function.__module__
    spec = sys.modules["__main__"].__spec__
    if spec is None:
        raise RuntimeError("run benchmarks as modules from the project's folder: python -m benchmarks.NAME")
    return spec.name


def serve(target: str, arguments: list[Any]) -> None:
    """Be a worker: answer the commands on standard input, one a line."""
    answers, sys.stdout = sys.stdout, sys.stderr  # what a framework prints is no answer
    module, _, name = target.partition(":")
    function = getattr(importlib.import_module(module), name)
    step: Any = None
    for line in sys.stdin:
        command, *details = json.loads(line)
        kind, answer = "answer", None
        try:
            if command == "call":
                answer = function(*arguments)
            elif command == "first":
                step, answer = first(function(*arguments))
            elif command == "calibrate":
                answer = calls_in(step, details[0])
            else:
                answer = duration(step, details[0]) / details[0]
        except Unavailable as error:
            kind, answer = "unavailable", str(error)
        print(json.dumps([kind, answer]), file=answers, flush=True)


def first(work: Callable[[], Any]) -> tuple[Callable[[], Any], Any]:
    """Do the first step; return the step, and the numbers that are to be the same for everybody."""
    step, result = (work.step, work.check(work.step())) if isinstance(work, Work) else (work, work())
    return step, result.tolist() if hasattr(result, "tolist") else result


def load(name: str) -> Any:
    """Import a package that only benchmarks need, or raise `Unavailable`."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise Unavailable(f"{error.name} is not installed: make benchmark installs it") from None


def replayed(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``mytorch.compile(function)``, or raise `Unavailable`."""
    compile_ = getattr(load("mytorch"), "compile", None)
    if compile_ is None:
        raise Unavailable("this version of mytorch has no mytorch.compile")
    return compile_(function)


def duration(step: Callable[[], Any], count: int) -> float:
    """Return the seconds that `count` calls take."""
    turns = range(count)
    start = time.perf_counter()
    for _ in turns:
        step()
    return time.perf_counter() - start


def calls_in(step: Callable[[], Any], seconds: float) -> int:
    """Return how many calls take about so many seconds, warming the work up.

    A first or second call may record, compile or plan, which says nothing of the calls to come.
    """
    duration(step, 2)
    count = 1
    while (taken := duration(step, count)) < seconds / 4:
        count *= 2
    return max(1, round(count * seconds / taken))


def main(
    title: str | None, run: Callable[[Effort], Iterable[Result]], arguments: Sequence[str] | None = None
) -> None:
    """Run one benchmark from the command line: print its table, and write its figures as JSON."""
    lines = (title or "").strip().splitlines() or ["a benchmark"]
    parser = argparse.ArgumentParser(description=lines[0])
    parser.add_argument("--json", type=Path, help="where to write the figures (build/benchmarks/NAME.json)")
    add_effort(parser)
    options = parser.parse_args(arguments)
    try:
        results = list(run(effort_of(options)))
    except Unavailable as error:
        raise SystemExit(str(error)) from None
    print(f"{lines[0]}\n\n{show(results)}")
    write_json(options.json or RESULTS / f"{module_of(run).rpartition('.')[2]}.json", results)


def add_effort(parser: argparse.ArgumentParser) -> None:
    """Give a command the options that say how long to measure."""
    parser.add_argument("--quick", action="store_true", help="a first impression, within seconds")
    parser.add_argument("--threads", type=int, help="BLAS threads of every contender")
    parser.add_argument("--rounds", type=int, help=f"turns of every contender ({Effort.rounds})")


def effort_of(options: argparse.Namespace) -> Effort:
    """Return what the options of `add_effort` say."""
    if any(number is not None and number < 1 for number in (options.threads, options.rounds)):
        raise SystemExit("--threads and --rounds must be at least 1")
    basis = QUICK if options.quick else Effort()
    return replace(basis, rounds=options.rounds or basis.rounds, threads=options.threads or 1)


if __name__ == "__main__":
    serve(sys.argv[1], json.loads(sys.argv[2]))
