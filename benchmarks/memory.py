"""The most memory that training needs: three steps of 784-1024-1024-10 at batch 4096, float32, over imports."""

from __future__ import annotations

import importlib
from statistics import median

from benchmarks.cells import mytorch_step, torch_step
from benchmarks.harness import Effort, Figure, main, measure, peak_memory

BATCH, STEPS = 4096, 3
STEP = {"mytorch": mytorch_step, "torch": torch_step}
MIB = 2**20


def peak(framework: str, batch: int) -> float:
    """Return the most bytes that parameters, data and steps have held, beyond what the imports did."""
    importlib.import_module(framework)
    before = peak_memory()
    step = STEP[framework]("large", batch)
    for _ in range(STEPS):
        step()
    return peak_memory() - before


def run(effort: Effort) -> list[Figure]:
    """Measure each in processes of its own."""
    rounds = 1 if effort.quick else 5
    batch = BATCH // 8 if effort.quick else BATCH
    ours, theirs = (
        [measure(peak, framework, batch, threads=effort.threads) for _ in range(rounds)] for framework in STEP
    )
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    ratio = median(ours) / median(theirs)
    what = f"peak memory, large at batch {batch}"
    return [
        Figure(what, median(ours) / MIB, min(ours) / MIB, max(ours) / MIB, "MiB", at_most=165.0),
        Figure(f"{what}, torch", median(theirs) / MIB, min(theirs) / MIB, max(theirs) / MIB, "MiB"),
        Figure(f"{what}, against torch", ratio, min(ratios), max(ratios), at_most=1.0),
    ]


if __name__ == "__main__":
    main(__doc__, run)
