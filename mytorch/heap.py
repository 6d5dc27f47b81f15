"""Memory that a step frees stays with the process, for the next step.

glibc's malloc fetches every block above a threshold, at first 128 KiB, from the system, and gives it back when it is
freed; it gives back the end of its heap, too, when more than twice the threshold is free there.  What comes from the
system is mapped and cleared page by page when it is first written to.  A step that makes its arrays anew, as every
eager one does, then spends as much as a third of its time on that.

The threshold rises to the size of every such block that is freed, up to 32 MiB (mallopt(3), M_MMAP_THRESHOLD): one
block is enough, and none of its pages is ever touched.  At most 64 MiB of free memory stay with the process.  Where
MALLOC_MMAP_THRESHOLD_ or MALLOC_TRIM_THRESHOLD_ is set in the environment, malloc does as it is told there.
"""

from __future__ import annotations

from contextlib import suppress

import numpy as np

LARGEST = 2**25 - 2**16  # bytes: the threshold's greatest value, less what malloc adds to a block


def keep_freed_memory() -> None:
    """Have glibc's malloc keep what is freed; another malloc does as before."""
    with suppress(MemoryError):  # where so much may not even be asked for
        np.empty(LARGEST, np.uint8)
