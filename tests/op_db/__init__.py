"""PyTorch's own operator database as a test of ours: values, first and second derivatives of every sample input.

`torch.testing._internal.common_methods_invocations.op_db` holds, for every operation of PyTorch, the sample inputs
that PyTorch tests itself with.  The modules here hold tables from the operation's name to how the same is written
in NumPy; `run` calls both on every sample and compares.  Operations that NumPy has nothing for are in
`tests.op_db_without`, by reason.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
import random
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mytorch import Tensor, trees, vjp
from tests.op_db_without import WITHOUT

DTYPES = ("float64", "complex128")
INTEGERS = ("int64",)  # for what takes no others
# Where PyTorch defines second derivatives otherwise at points that the samples contain.
FIRST_ORDER_ONLY = {
    "linalg.norm/subgradients_at_zero": "at zero PyTorch's second derivative is NaN, ours 0",
    "masked.logaddexp": "at minus infinity PyTorch's second derivative is NaN, ours its limit, 0",
}
VALUES_ONLY = {
    "as_strided_scatter": "PyTorch's gradient is not that of its value: overwritten entries keep it"
}
# Factors of which only a triangle is read: PyTorch's gradients take it for granted that the rest is zero.
TRIANGULAR = {"cholesky_inverse": 0, "cholesky_solve": 1}
DROPPED = ("device", "requires_grad", "layout", "memory_format", "pin_memory")


class NotInNumPy(Exception):
    """Raised by a counterpart for a sample that NumPy's function does not take; the message says why."""


@dataclass
class Processed:
    """A counterpart some of whose samples look at functions of the result, which the sample knows by name."""

    function: Callable[..., Any]
    by_name: dict[str, Callable[[Any], Any]]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


@dataclass
class Report:
    """What came of the samples of one operation."""

    name: str
    samples: int = 0
    differentiated: int = 0
    twice: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    mismatches: list[str] = field(default_factory=list)

    def figures(self) -> dict[str, int]:
        """Return the numbers that are summed over operations."""
        return {
            "samples": self.samples,
            "differentiated": self.differentiated,
            "twice": self.twice,
            "left out": sum(self.skipped.values()),
            "mismatches": len(self.mismatches),
        }


def summary(operations: int, figures: Counter[str]) -> str:
    """Return the line that says what was compared."""
    return (
        f"PyTorch's operator database: {operations} operations, {figures['samples']} samples, of which "
        f"{figures['differentiated']} differentiated, {figures['twice']} twice; {figures['left out']} left out; "
        f"{figures['mismatches']} mismatches"
    )


@functools.cache
def table() -> dict[str, Callable[..., Any]]:
    """Return the counterparts of all modules here, by the operation's name (and variant, after a slash)."""
    found: dict[str, Callable[..., Any]] = {}
    for module in pkgutil.iter_modules(__path__):
        entries = importlib.import_module(f"{__name__}.{module.name}").TABLE
        assert not found.keys() & entries.keys(), f"{module.name}: twice {found.keys() & entries.keys()}"
        found.update(entries)
    return found


def database() -> dict[str, Any]:
    """Return PyTorch's database: operations by name, with the variant after a slash."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_methods_invocations import op_db

    return {f"{op.name}/{op.variant_test_name}" if op.variant_test_name else op.name: op for op in op_db}


def operations() -> list[tuple[str, Any, Callable[..., Any]]]:
    """Return (name, operation, counterpart) of all operations of the database that the tables know."""
    found = ((name, op, entry(name)) for name, op in database().items())
    return [(name, op, counterpart) for name, op, counterpart in found if callable(counterpart)]


def entry(name: str) -> Callable[..., Any] | str | None:
    """Return an operation's counterpart, or why it has none: the variant's own, or that of all variants."""
    entries: dict[str, Callable[..., Any] | str] = {**table(), **WITHOUT}
    return entries.get(name, entries.get(name.partition("/")[0]))


def run(name: str, op: Any, counterpart: Callable[..., Any]) -> Report:
    """Compare `counterpart` with `op` on all its samples."""
    report = Report(name)
    for dtype in dtypes_of(op):
        for number, sample in enumerate(samples_of(op, dtype)):
            run_sample(report, f"{name} {dtype} sample {number}", op, counterpart, sample)
    return report


def dtypes_of(op: Any) -> tuple[str, ...]:
    """Return the dtypes of the samples: those of derivatives, if the operation takes them."""
    import torch

    return DTYPES if any(op.supports_dtype(getattr(torch, d), "cpu") for d in DTYPES) else INTEGERS


def samples_of(op: Any, dtype: str) -> list[Any]:
    """Return the samples of an operation whose tensors are of `dtype`."""
    import torch

    kind = getattr(torch, dtype)
    if not op.supports_dtype(kind, "cpu"):
        return []
    _seed(0)
    differentiable = op.supports_autograd and kind in op.supported_backward_dtypes("cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return list(_reseeded(op.sample_inputs_func(op, "cpu", kind, requires_grad=differentiable)))


def _reseeded(samples: Iterable[Any]) -> Iterator[Any]:
    """Yield what `op.sample_inputs` yields: it seeds anew for each sample, on all devices, which takes far longer."""
    from torch.testing._internal.common_utils import SEED

    _seed(SEED)
    for sample in samples:
        yield sample
        _seed(SEED)


def _seed(seed: int) -> None:
    import torch

    torch.default_generator.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)


class Sample:
    """One call, for both sides: its tensors as leaves of a tree."""

    def __init__(self, sample: Any) -> None:
        import torch

        kwargs = {k: v for k, v in sample.kwargs.items() if k not in DROPPED}
        self.leaves, self.structure = trees.flatten((sample.input, tuple(sample.args), kwargs))
        self.process = sample.output_process_fn_grad
        self.hermitian = False
        self.triangular: int | None = None
        self.tensors = [i for i, x in enumerate(self.leaves) if isinstance(x, torch.Tensor)]
        self.varied = [
            i
            for i in self.tensors
            if self.leaves[i].requires_grad and self.leaves[i].dtype in (torch.float64, torch.complex128)
        ]

        # What has no derivative is called with Tensors all the same.
        self.entered = self.varied or [
            i
            for i in self.tensors
            if str(self.leaves[i].dtype).removeprefix("torch.") in (*DTYPES, *INTEGERS)
        ]

    def on_torch(self, op: Any) -> tuple[list[Any], list[Any]]:
        """Return the results, and the tensors that they can be differentiated by."""
        leaves = list(self.leaves)
        for i in self.tensors:
            leaves[i] = leaves[i].detach().clone().requires_grad_(i in self.varied)
        first, args, kwargs = self.structure.unflatten(leaves)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if self.hermitian:
                first = first + first.mH
            if self.triangular is not None:
                call = [first, *args]
                factor = call[self.triangular]
                call[self.triangular] = factor.triu() if kwargs.get("upper") else factor.tril()
                first, *args = call
            result = self.process(op(first, *args, **kwargs))
        return _tensors(result), [leaves[i] for i in self.varied]

    def arrays(self) -> list[np.ndarray]:
        """Return the arrays that are differentiated, or enter as Tensors."""
        return [_array(self.leaves[i]) for i in self.entered]

    def on_numpy(self, counterpart: Callable[..., Any]) -> Callable[..., Any]:
        """Return the counterpart's call as a function of `arrays`."""
        plain = [_plain(x) for x in self.leaves]
        processed = counterpart.by_name if isinstance(counterpart, Processed) else {}

        def call(*arrays: Any) -> Any:
            leaves = list(plain)
            for i, x in zip(self.entered, arrays, strict=True):
                leaves[i] = x
            first, args, kwargs = self.structure.unflatten(leaves)
            if self.hermitian:
                first = first + np.conj(np.swapaxes(first, -1, -2))
            result = counterpart(first, *args, **kwargs)
            if self.process.__name__ in processed:
                result = processed[self.process.__name__](result)
            return list(result) if isinstance(result, list | tuple) else [result]

        return call


def run_sample(report: Report, label: str, op: Any, counterpart: Callable[..., Any], raw: Any) -> None:
    """Compare values, first and second derivatives of one sample, and note what came of it."""
    sample = Sample(raw)
    sample.triangular = TRIANGULAR.get(report.name)
    sample.hermitian = op.gradcheck_wrapper.__name__ == "gradcheck_wrapper_hermitian_input"
    call, arrays = sample.on_numpy(counterpart), sample.arrays()
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "vjp: the function's result was not computed", UserWarning)
            warnings.simplefilter("ignore", RuntimeWarning)  # NumPy's, of samples without a defined result
            got = call(*(Tensor(x, requires_grad=x.dtype.kind in "fc") for x in arrays))
            expected, leaves = sample.on_torch(op)
            if not _agree(report, f"{label}: value", got, expected):
                return
            report.samples += 1
            if report.name not in VALUES_ONLY:
                _run_derivatives(report, label, op, call, arrays, expected, leaves)
    except NotInNumPy as reason:
        report.skipped[str(reason)] += 1
    except Exception as error:
        report.mismatches.append(f"{label}: {type(error).__name__}: {error}")


def _run_derivatives(
    report: Report, label: str, op: Any, call: Any, arrays: list[np.ndarray], ys: list[Any], leaves: list[Any]
) -> None:
    import torch

    followed = [i for i, y in enumerate(ys) if y.requires_grad]
    if not followed or not leaves:
        return
    cotangents = [_cotangent(tuple(y.shape), y.dtype.is_complex, i) for i, y in enumerate(ys)]

    def gradient(*xs: Any) -> Any:
        _, pullback = vjp(lambda *xs: [call(*xs)[i] for i in followed], *xs)
        return pullback([cotangents[i] for i in followed])

    grads = torch.autograd.grad(
        [ys[i] for i in followed],
        leaves,
        [torch.tensor(cotangents[i]) for i in followed],
        create_graph=op.supports_gradgrad,
        materialize_grads=True,
    )
    if not _agree(report, f"{label}: gradient", gradient(*arrays), list(grads)):
        return
    report.differentiated += 1
    directions = [_cotangent(x.shape, x.dtype.kind == "c", 7 + i) for i, x in enumerate(arrays)]
    tracked = [i for i, g in enumerate(grads) if g.requires_grad]
    if not op.supports_gradgrad or report.name in FIRST_ORDER_ONLY:
        return
    seconds: Any = [torch.zeros_like(x) for x in leaves]
    if tracked:
        try:
            seconds = torch.autograd.grad(
                [grads[i] for i in tracked],
                leaves,
                [torch.tensor(directions[i]) for i in tracked],
                materialize_grads=True,
            )
        except RuntimeError as error:
            if "is not implemented" not in str(error):
                raise
            report.skipped["PyTorch has no second derivative here"] += 1
            return
    _, pullback = vjp(gradient, *arrays)
    if _agree(report, f"{label}: second derivative", pullback(tuple(directions)), list(seconds)):
        report.twice += 1


def _agree(report: Report, label: str, got: Any, expected: list[Any]) -> bool:
    """Say whether arrays agree with tensors; note where they do not."""
    got = list(got)
    if len(got) != len(expected):
        report.mismatches.append(f"{label}: {len(got)} results, expected {len(expected)}")
        return False
    for i, (ours, theirs) in enumerate(zip(got, expected, strict=True)):
        ours = ours.numpy() if isinstance(ours, Tensor) else np.asarray(ours)
        theirs = _array(theirs)
        where = f"{label} {i}" if len(got) > 1 else label
        if ours.shape != theirs.shape:
            report.mismatches.append(f"{where}: shape {ours.shape}, expected {theirs.shape}")
            return False
        if (ours.dtype.kind == "c") != (theirs.dtype.kind == "c"):
            report.mismatches.append(f"{where}: dtype {ours.dtype}, expected {theirs.dtype}")
            return False
        if not _close(ours, theirs):
            worst = np.nanmax(np.abs(ours.astype(complex) - theirs)) if ours.size else 0
            report.mismatches.append(
                f"{where}: differs by {worst:.3g} from {theirs.ravel()[:4]}, got {ours.ravel()[:4]}"
            )
            return False
    return True


def _close(ours: np.ndarray, theirs: np.ndarray) -> bool:
    if ours.dtype.kind in "fc" and np.abs(ours - theirs).max(initial=0) <= 1e-8:
        return True  # as most are; what follows takes twenty times as long
    return np.allclose(ours, theirs, rtol=1e-7, atol=1e-8, equal_nan=True)


@functools.cache
def _cotangent(shape: tuple[int, ...], is_complex: bool, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    g = rng.uniform(0.5, 1.5, shape) * rng.choice([-1, 1], shape)
    g = np.asarray(g * np.exp(1j * rng.uniform(0, 6, shape)) if is_complex else g)
    g.flags.writeable = False  # the next sample gets it, too
    return g


def _tensors(result: Any) -> list[Any]:
    """Return the tensors of a result, numbers as tensors."""
    import torch

    if isinstance(result, tuple | list):
        return [tensor for part in result for tensor in _tensors(part)]
    return [result if isinstance(result, torch.Tensor) else torch.tensor(result)]


def _array(tensor: Any) -> np.ndarray:
    return np.asarray(tensor.detach().resolve_conj().resolve_neg().numpy(force=True))


def _plain(leaf: Any) -> Any:
    """Return what NumPy has for a leaf of a sample."""
    import torch

    if isinstance(leaf, torch.Tensor):
        return _array(leaf)
    if isinstance(leaf, torch.dtype):
        return np.dtype(str(leaf).removeprefix("torch."))
    return tuple(leaf) if isinstance(leaf, torch.Size) else leaf
