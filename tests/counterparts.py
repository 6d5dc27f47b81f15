"""PyTorch's functions by name, so that tables of cases can name them where PyTorch is not installed."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from operator import attrgetter
from typing import Any


def of_torch(path: str, *args: Any, **kwargs: Any) -> Callable[..., Any]:
    """Return the function `path` of PyTorch as one of tensors, with further arguments after them."""

    def call(*tensors: Any) -> Any:
        return attrgetter(path)(import_module("torch"))(*tensors, *args, **kwargs)

    return call
