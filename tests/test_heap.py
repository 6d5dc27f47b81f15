"""What a step frees is there for the next one: malloc fetches no pages anew."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import numpy as np
import pytest

from mytorch import heap

STEPS = """
import resource
import numpy as np
{also}

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

for _ in range(12):
    if _ == 2:
        before = faults()
    arrays = [np.ones(2**17) for _ in range(8)]
    del arrays
print(faults() - before)
"""


def faults(also: str, **variables: str) -> int:
    """Return the page faults of ten steps that make eight arrays of a megabyte each."""
    done = subprocess.run(
        [sys.executable, "-c", STEPS.format(also=also)],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is about glibc's malloc")
def test_steps_find_the_memory_of_the_steps_before() -> None:
    assert faults("import mytorch") <= max(faults("") / 10, 50)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is about glibc's malloc")
def test_what_the_environment_says_of_malloc_is_left_alone() -> None:
    limits = {"MALLOC_TRIM_THRESHOLD_": "131072", "MALLOC_MMAP_THRESHOLD_": "131072"}
    assert faults("import mytorch", **limits) > 1000


def test_a_process_that_may_not_have_so_much_goes_without(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def empty(size: int, dtype: object) -> None:
        asked.append(size)
        raise MemoryError

    monkeypatch.setattr(np, "empty", empty)
    heap.keep_freed_memory()
    assert asked == [heap.LARGEST]
