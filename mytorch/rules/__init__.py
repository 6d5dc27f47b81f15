"""The table of derivatives, one file per family; importing this package fills it."""

from mytorch.rules import (
    applying,
    arithmetic,
    constants,
    creation,
    elementwise,
    histograms,
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
    "applying",
    "arithmetic",
    "backward_of",
    "composed",
    "constant",
    "constants",
    "creation",
    "dispatched",
    "elementwise",
    "fit",
    "histograms",
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
