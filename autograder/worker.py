"""The hand-in's process: runs the untrusted halves of one section's tests and answers with plain numbers.

Started as `python -I -S -B worker.py HANDIN NUMPY_HOME MODULE`, so that nothing but the standard library is
importable; NumPy and the tests are imported before the hand-in's folder, and it is all that the hand-in finds
beside them, as on the machine that grades. What the answers need is bound by then, so that a hand-in that
replaces a function of NumPy's or of json's gets its own errors, not the worker's. The requests come on
standard input. The answers, one line of JSON each, leave on what was standard output, which the hand-in no
longer has: its prints go to standard error. First "ready", then the outcome of importing the hand-in's
modules, then one answer for each request.
"""

import gc
import importlib
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from json import dumps, loads
from types import ModuleType
from typing import Any

MEMORY_LIMIT = 4 << 30
FRAMES_SHOWN = 6
MAX_MESSAGE = 10_000


def main() -> None:
    """Answer the requests on standard input, and leave without waiting for anything the hand-in started."""
    handin, numpy_home, module = sys.argv[1:4]
    received = loads(sys.stdin.buffer.read())
    answer = _take_streams()
    tests, wire = _import_tests(module, numpy_home)
    requests = [
        (tests[name], {label: wire.decode(claim).values for label, claim in inputs.items()})
        for name, inputs in received
    ]
    _limit_memory()
    sys.path.insert(0, handin)
    answer({"ready": True})
    answer(_attempt(_import_handin(sys.modules[module].MODULES), handin, wire))
    for test, arrays in requests:
        answer(_attempt(_run(test, arrays), handin, wire))
        # The course's engine allows one living instance: let go of what this test made.
        gc.collect()
    os._exit(0)


def _take_streams() -> Callable[[dict], None]:
    """Keep the answers' stream from the hand-in: what it prints goes to standard error, input is empty."""
    stream = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)

    def answer(message: dict) -> None:
        with suppress(Exception):  # the hand-in may have closed it, or put anything in its place
            sys.stdout.flush()
        stream.write(dumps(message) + "\n")
        stream.flush()

    return answer


def _import_tests(module: str, numpy_home: str) -> tuple[dict, ModuleType]:
    """Import NumPy and the section's tests, and leave neither folder on the path."""
    top = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    sys.path[:0] = [numpy_home, top]
    tests = {test.name: test for test in importlib.import_module(module).TESTS}
    wire = importlib.import_module("autograder.wire")
    del sys.path[:2]
    return tests, wire


def _limit_memory() -> None:
    """Let runaway allocation be a MemoryError here, not the end of the machine; where the system can."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))


def _import_handin(modules: Sequence[str]) -> Iterator[tuple[str, object]]:
    """Import the modules; there is nothing to observe."""
    for module in modules:
        importlib.import_module(module)
    yield from ()


def _run(test: Any, inputs: dict) -> Iterator[tuple[str, object]]:
    """Yield what the test observes, then the inputs as the hand-in left them."""
    yield from test.attempt(inputs)
    for name, values in inputs.items():
        yield f"{name} afterwards", values


def _attempt(steps: Iterator[tuple[str, object]], handin: str, wire: ModuleType) -> dict:
    """Return claims of what the steps yield one by one, and what was raised if it was."""
    claims: dict[str, dict] = {}
    try:
        for label, value in steps:
            claims[label] = wire.encode(value)
    except BaseException as error:  # sys.exit and KeyboardInterrupt included
        return {"claims": claims, "error": _describe(error, handin)}
    return {"claims": claims, "error": ""}


def _describe(error: BaseException, handin: str) -> str:
    """Return the traceback without the lines that are not the hand-in's, unless there are no others."""
    if isinstance(error, sys.modules["autograder.helpers"].ContractError):
        return f"The hand-out's contract: {error}"
    package = os.path.join(handin, "mytorch") + os.sep
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename.startswith(package)]
    tests = [frame for frame in frames if os.path.basename(frame.filename).startswith("test_")]
    shown = own[-FRAMES_SHOWN:] or tests[-1:]
    where = [
        f"{frame.filename}, line {frame.lineno}, in {frame.name}\n    {frame.line}\n"
        if own
        else f"in the test: {frame.line}\n"
        for frame in shown
    ]
    what = "".join(traceback.format_exception_only(type(error), error))
    return "".join([*where, what[:MAX_MESSAGE]]).replace(handin + os.sep, "")


if __name__ == "__main__":
    main()
