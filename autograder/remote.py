"""Runs a section's tests in the hand-in's process, and survives whatever that process does.

A process answers for one section. When it dies or falls silent in a test, that test has failed, and the rest
of the section goes to a new process.
"""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from autograder.helpers import Arrays
from autograder.wire import Received, decode, encode

START_LIMIT = 60.0
MAX_LINE = 4 << 20
MAX_PRINTED = 20_000

Request = tuple[str, Arrays]


@dataclass(frozen=True)
class Reply:
    """What a test brought back: arrays by label, and the error in words ("" if there was none).

    `imported` is false where the hand-in's modules could not be imported, so that no test began.
    """

    arrays: dict[str, Received] = field(default_factory=dict)
    error: str = ""
    process_lost: bool = False
    imported: bool = True


def run_section(
    handin: Path, module: str, requests: Sequence[Request], time_limit: float
) -> tuple[list[Reply], str]:
    """Run tests of one module, by name and inputs, on the hand-in in a folder.

    Returns one reply for each request, in order, and what the hand-in printed. `time_limit` is in seconds,
    for the import of the hand-in and for each test.
    """
    replies: list[Reply] = []
    printed = ""
    while len(replies) < len(requests):
        process = _Process(handin, module, requests[len(replies) :])
        try:
            imported = process.start(time_limit)
            if imported.error:
                replies += [replace(imported, imported=False)] * (len(requests) - len(replies))
            while len(replies) < len(requests):
                replies.append(process.next_reply(time_limit, "this test"))
                if replies[-1].process_lost:
                    break
        finally:
            printed += process.end()
    return replies, printed


class _Process:
    """One run of worker.py, with a thread that reads its answers and one that reads what it prints."""

    def __init__(self, handin: Path, module: str, requests: Sequence[Request]) -> None:
        worker = Path(__file__).with_name("worker.py")
        numpy_home = Path(np.__file__).resolve().parents[1]
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", worker, handin, numpy_home, f"autograder.{module}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=handin,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
        self._answers: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._printed = bytearray()
        self._readers = [
            threading.Thread(target=self._read_answers, daemon=True),
            threading.Thread(target=self._read_prints, daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        assert self._process.stdin is not None
        message = [(name, {label: encode(values) for label, values in x.items()}) for name, x in requests]
        with suppress(BrokenPipeError), self._process.stdin as stream:
            stream.write(json.dumps(message).encode())

    def _read_answers(self) -> None:
        """Queue the answers, line by line, and an empty one at the end."""
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            while line := stream.readline(MAX_LINE):
                self._answers.put(line)
        self._answers.put(b"")

    def _read_prints(self) -> None:
        """Keep the beginning of what is printed and drain the rest, so that printing never blocks."""
        assert self._process.stderr is not None
        with self._process.stderr as stream:
            while chunk := os.read(stream.fileno(), 1 << 16):
                self._printed += chunk[: MAX_PRINTED - len(self._printed)]

    def start(self, time_limit: float) -> Reply:
        """Wait until the process is ready, then until it has imported the hand-in; return that outcome."""
        ready = self._answers_within(START_LIMIT)
        if not ready:
            raise RuntimeError(f"the process for the hand-in does not start:\n{self.end()}")
        return self.next_reply(time_limit, "the import")

    def _answers_within(self, time_limit: float) -> bytes | None:
        """Return the next line, empty when the process has closed its end, None when time is up."""
        try:
            return self._answers.get(timeout=time_limit)
        except queue.Empty:
            return None

    def next_reply(self, time_limit: float, doing: str) -> Reply:
        """Return the next reply, or one that says why there is none."""
        line = self._answers_within(time_limit)
        if line is None:
            return Reply(error=f"No answer: {doing} took longer than {time_limit:g} s", process_lost=True)
        if not line:
            return Reply(
                error=f"No answer: the process {self._cause_of_death()} in {doing}", process_lost=True
            )
        try:
            message = json.loads(line)
            arrays = {str(label): decode(claim) for label, claim in message["claims"].items()}
            return Reply(arrays, str(message["error"]))
        except (
            ValueError,
            TypeError,
            LookupError,
            AttributeError,
            ArithmeticError,
            RecursionError,
            MemoryError,
        ):
            return Reply(error=f"Garbled answer: {doing} wrote into the grader's pipe", process_lost=True)

    def _cause_of_death(self) -> str:
        try:
            status = self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return "closed its connection to the grader"
        if status < 0:
            return f"was killed by signal {-status} ({signal.strsignal(-status)})"
        return f"ended with exit status {status}"

    def end(self) -> str:
        """Kill the process with everything that it started, and return what was printed."""
        if hasattr(os, "killpg"):
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        for reader in self._readers:
            reader.join(timeout=1)
        return self._printed.decode(errors="replace")
