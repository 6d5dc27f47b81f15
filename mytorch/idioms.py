"""What users of PyTorch and JAX look for in vain, and what to write instead: the second half of an AttributeError."""

from __future__ import annotations

from inspect import getattr_static
from typing import Any

import numpy as np

_NOT_NEEDED = "the values are in NumPy's memory and nowhere else; leave it out"
_ASTYPE = "write x.astype(np.{})"

TENSOR = {
    "backward_": "write x.backward()",
    "bmm": "write x @ y",
    "bool": _ASTYPE.format("bool_"),
    "clone": "write x.copy()",
    "contiguous": "write np.ascontiguousarray(x), or leave it out: any strides will do",
    "cpu": _NOT_NEEDED,
    "cuda": _NOT_NEEDED,
    "dim": "write x.ndim",
    "double": _ASTYPE.format("float64"),
    "eq": "write x == y",
    "expand": "write np.broadcast_to(x, shape), or leave it out: NumPy broadcasts",
    "float": _ASTYPE.format("float32"),
    "gather": "write np.take_along_axis(x, index, axis)",
    "ge": "write x >= y",
    "grad_fn": "there is no graph; x.tape is the list of what was recorded",
    "gt": "write x > y",
    "half": _ASTYPE.format("float16"),
    "index_select": "write x.take(index, axis)",
    "int": _ASTYPE.format("int32"),
    "le": "write x <= y",
    "log_softmax": "write mytorch.functional.log_softmax(x)",
    "long": _ASTYPE.format("int64"),
    "lt": "write x < y",
    "masked_fill": "write np.where(mask, value, x)",
    "mm": "write x @ y",
    "mul": "write x * y",
    "mv": "write x @ y",
    "ne": "write x != y",
    "neg": "write -x",
    "norm": "write np.linalg.norm(x)",
    "numel": "write x.size",
    "permute": "write x.transpose(axes)",
    "pow": "write x ** y",
    "relu": "write mytorch.functional.relu(x)",
    "requires_grad_": "write x.requires_grad = True",
    "sigmoid": "write mytorch.functional.sigmoid(x)",
    "softmax": "write mytorch.functional.softmax(x)",
    "sub": "write x - y",
    "t": "write x.T",
    "to": "write x.astype(dtype) for another dtype; there is no other device",
    "type": "write x.astype(dtype)",
    "unsqueeze": "write np.expand_dims(x, axis)",
    "zero_grad": "forget a gradient with x.grad = None",
    "zero_": "forget a gradient with x.grad = None (optimizer.zero_grad() does it for all), or write x[...] = 0",
}

_MAKE = "write mytorch.Tensor(np.{}(...))"
PACKAGE = {
    "Parameter": "write mytorch.Tensor(array, requires_grad=True)",
    "as_tensor": "write mytorch.Tensor(array, copy=False)",
    "autograd": "write mytorch.grad(function), or loss.backward()",
    "bmm": "write x @ y",
    "cat": "write np.concatenate",
    "cuda": _NOT_NEEDED,
    "device": _NOT_NEEDED,
    "from_numpy": "write mytorch.Tensor(array, copy=False)",
    "func": "the transforms are functions of mytorch: mytorch.grad, mytorch.jvp, mytorch.hessian",
    "inference_mode": "write mytorch.no_grad()",
    "is_tensor": "write isinstance(x, mytorch.Tensor)",
    "jit": "write mytorch.compile(function)",
    "load": "write pickle.load, or np.load",
    "manual_seed": "write np.random.seed(seed), which parameters are drawn with",
    "mm": "write x @ y",
    "rand": _MAKE.format("random.rand"),
    "randn": _MAKE.format("random.randn"),
    "save": "write pickle.dump, or np.savez",
    "set_grad_enabled": "write mytorch.no_grad() or mytorch.enable_grad()",
    "tensor": "write mytorch.Tensor(...)",
    "unsqueeze": "write np.expand_dims(x, axis)",
    "vmap": "write the function for whole arrays: NumPy broadcasts",
}
PACKAGE |= {
    name: _MAKE.format(name) for name in ("arange", "empty", "eye", "full", "linspace", "ones", "zeros")
}
PACKAGE |= {
    name: f"write mytorch.functional.{name}" for name in ("log_softmax", "relu", "sigmoid", "softmax")
}

MODULE = {
    "bias": "write layer.b, which has the shape (out_features, 1)",
    "cpu": _NOT_NEEDED,
    "cuda": _NOT_NEEDED,
    "eval": "no module here behaves differently in training; leave it out",
    "load_state_dict": "assign inside `with mytorch.no_grad():`, layer.W[...] = array",
    "named_parameters": "write model.parameters(); vars(model) has their names",
    "state_dict": "keep [p.numpy() for p in model.parameters()], in np.savez for example",
    "to": _NOT_NEEDED,
    "train": "no module here behaves differently in training; leave it out",
    "weight": "write layer.W, which has the shape (out_features, in_features)",
}

OPTIMIZER = {
    "add_param_group": "make another optimizer for them",
    "load_state_dict": "pickle the optimizer together with the model: pickle.dump((model, optimizer), file)",
    "param_groups": "all parameters share the settings, optimizer.lr = 0.01; make an optimizer for each group",
    "state_dict": "pickle the optimizer together with the model: pickle.dump((model, optimizer), file)",
}

NN = {
    "BCEWithLogitsLoss": "write the loss in NumPy: np.mean(np.logaddexp(0, z) - y * z)",
    "CrossEntropyLoss": "write SoftmaxCrossEntropy()(np.eye(classes)[labels], logits): one-hot targets come first",
    "L1Loss": "write the loss in NumPy: np.mean(np.abs(y_hat - y))",
    "ModuleDict": "keep modules in a dict; parameters() looks into it",
    "ModuleList": "keep modules in a list; parameters() looks into it",
    "NLLLoss": "write SoftmaxCrossEntropy()(np.eye(classes)[labels], logits): one-hot targets come first",
    "Parameter": PACKAGE["Parameter"],
    "functional": "write mytorch.functional",
}


# What PyTorch's Tensors have with an underscore behind it, and NumPy has not.
_IN_PLACE = (
    "clamp", "div", "index_add", "index_copy", "index_fill", "lerp", "mul", "neg", "normal", "pow", "relu", "rsqrt",
    "scatter", "scatter_add", "sigmoid", "sub", "uniform", "unsqueeze",
)  # fmt: skip


class Absent:
    """In the place of an attribute that is not there: who looks at it is told what to write instead.

    (Until Python 3.12 every attribute of an object takes four times as long where its class has a ``__getattr__``.)
    """

    def __init__(self, name: str, reason: str) -> None:
        self.name, self.reason = name, reason
        self.__doc__ = f"Not there{reason}."  # for `help`

    def __get__(self, thing: Any, kind: Any = None) -> Any:
        who = f"type object {kind.__name__!r}" if thing is None else f"{type(thing).__name__!r} object"
        asked = kind if thing is None else thing
        raise AttributeError(f"{who} has no attribute {self.name!r}{self.reason}", name=self.name, obj=asked)


class Shown(type):
    """The class of a class with so many absent attributes that `dir` and `help` leave them out."""

    def __dir__(cls) -> list[str]:
        return [name for name in super().__dir__() if not _is_absent(cls, name)]


def names_in(thing: Any) -> list[str]:
    """Return the names of an object's attributes, for `dir`."""
    return [name for name in object.__dir__(thing) if not _is_absent(type(thing), name)]


def _is_absent(kind: type, name: str) -> bool:
    return isinstance(getattr_static(kind, name, None), Absent)


def say_of(kind: type, reasons: dict[str, str]) -> None:
    """Say of attributes of a class, by name, why they are not there: what follows the message of the error."""
    for name, reason in reasons.items():
        if getattr_static(kind, name, None) is None:
            setattr(kind, name, Absent(name, reason))


def hint(table: dict[str, str], name: str) -> str:
    """Return ': what to write instead' for an attribute that is not there, or nothing where nobody knows.

    >>> hint(TENSOR, "unsqueeze")
    ': write np.expand_dims(x, axis)'
    >>> hint(TENSOR, "exp")
    ': write np.exp(x)'
    >>> hint(TENSOR, "of_my_own")
    ''
    """
    if name in table:
        return f": {table[name]}"
    if table in (NN, MODULE, OPTIMIZER) or name.startswith("_"):
        return ""
    if table is TENSOR and name.endswith("_"):
        return ": to change it in place, assign: x += y, x[...] = y"
    function = vars(np).get(name)
    if not callable(function):
        return ""
    if isinstance(function, type):
        return f": write np.{name}"
    return f": write np.{name}(x)" if table is TENSOR else f": write np.{name}, which takes Tensors"


def reasons(table: dict[str, str]) -> dict[str, str]:
    """Return the hints of a table by name; of Tensors, those of NumPy's functions and of PyTorch's writes, too."""
    names = list(table)
    if table is TENSOR:
        functions = [name for name, thing in vars(np).items() if callable(thing)]
        names += [*functions, *(f"{name}_" for name in (*functions, *_IN_PLACE))]
    return {name: hint(table, name) for name in names if not name.startswith("_")}
