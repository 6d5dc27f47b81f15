"""The table of derivatives, one file per family; importing this package fills it."""

from mytorch.rules import (
    arithmetic,
    creation,
    elementwise,
    indexing,
    joining,
    memory,
    neural,
    padding,
    reductions,
    shapes,
)
from mytorch.rules.registry import RULES, Rule, backward_of, composed, constant, dispatched, fit, refused, view

__all__ = [
    "RULES",
    "Rule",
    "arithmetic",
    "backward_of",
    "composed",
    "constant",
    "creation",
    "dispatched",
    "elementwise",
    "fit",
    "indexing",
    "joining",
    "memory",
    "neural",
    "padding",
    "reductions",
    "refused",
    "shapes",
    "view",
]
