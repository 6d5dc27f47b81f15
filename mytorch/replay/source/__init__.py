"""From a listing to what a person reads: a module of straight-line NumPy that runs on its own.

In reading order: `rewriting` (one step where a person writes one), `literals`, `viewing` and `spelling` (numbers, views
and calls as text), `operands` and `inlining` (what is written as less, and what gets no line), `naming`, `gradients`
and `outside` (names: of results, of gradients, of what outlives a call), `terms` (what stands for a value), `layout`
(lines with their causes), `printing` (the module), `saving` (the file).
"""
