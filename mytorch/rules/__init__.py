"""The table of derivatives, one file per family; importing this package fills it."""

from mytorch.rules import arithmetic, elementwise, memory, neural, reductions, shapes
from mytorch.rules.registry import RULES, Rule, backward_of, composed, constant, dispatched, fit, refused, view

__all__ = [
    "RULES",
    "Rule",
    "arithmetic",
    "backward_of",
    "composed",
    "constant",
    "dispatched",
    "elementwise",
    "fit",
    "memory",
    "neural",
    "reductions",
    "refused",
    "shapes",
    "view",
]
