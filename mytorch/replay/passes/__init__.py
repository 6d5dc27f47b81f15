"""From a listing to a shorter one: every pass returns instructions that leave the same values behind.

In reading order: `simplify` (copies, repetitions, constants, dead code), `updates` (the learning rate, and large
parameters), `packing` (all parameters at once), `batching` (small arrays that a loop left behind), `columns` (many
short rows).
"""
