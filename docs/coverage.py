"""What of NumPy is differentiated, computed from NumPy's own namespaces and published as docs/coverage.md.

    python docs/coverage.py            writes docs/coverage.md
    python docs/coverage.py --check    fails if the file is not what would be written, or if a function is missing

A function's place is looked up in the tables that answer NumPy's calls, `mytorch.rules.registry`.  Functions that
NumPy lets nobody answer for (they do not dispatch) are explained below, each with the reason.
"""

from __future__ import annotations

import argparse
import importlib
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from mytorch import Tensor, methods
from mytorch.rules import registry

HERE = Path(__file__).resolve().parent
PAGE = HERE / "coverage.md"
DIFFERENTIABLE, CONSTANT, REFUSED, OTHER, MISSING = KINDS = (
    "differentiable",
    "constant",
    "refused",
    "not an array function",
    "missing",
)


class Status(NamedTuple):
    """What happens when a Tensor is given to a function: the kind, and how or why."""

    kind: str
    why: str


TABLES: tuple[tuple[Any, Status], ...] = (
    (registry.COMPOSED, Status(DIFFERENTIABLE, "composed of functions that have rules")),
    (registry.RULES, Status(DIFFERENTIABLE, "by a rule")),
    (registry.VIEWS, Status(DIFFERENTIABLE, "a view: nothing to compute")),
    (
        registry.CONSTANT,
        Status(CONSTANT, "zero derivative wherever there is one; the result is a plain array"),
    ),
    (
        registry.CREATED,
        Status(CONSTANT, "a new Tensor, which results can be written to (from sizes: with `like=tensor`)"),
    ),
)

NAMESPACES = (
    "numpy",
    "numpy.linalg",
    "numpy.fft",
    "numpy.emath",
    "numpy.lib.stride_tricks",
    "numpy.lib.array_utils",
    "numpy.lib",
    "numpy.polynomial.polynomial",
    "numpy.polynomial.chebyshev",
    "numpy.polynomial.hermite",
    "numpy.polynomial.hermite_e",
    "numpy.polynomial.laguerre",
    "numpy.polynomial.legendre",
    "numpy.polynomial.polyutils",
)

# Namespaces of which the same is true throughout.
WHOLE = {
    "numpy.random": Status(
        REFUSED,
        "a draw has no derivative with respect to its parameters here: draw with NumPy's Generator and compute with "
        "the plain arrays, as in `mean + std * rng.standard_normal(shape)`",
    ),
    "numpy.ma": Status(
        REFUSED, "masked arrays are a type of their own: use `np.where`, or `where=`, on Tensors"
    ),
    "numpy.char": Status(REFUSED, "text is not numbers"),
    "numpy.strings": Status(REFUSED, "text is not numbers"),
    "numpy.rec": Status(REFUSED, "records are not arrays of numbers: use one Tensor per field"),
    "numpy.ctypeslib": Status(OTHER, "memory for C code: take the values with `.numpy()`"),
    "numpy.testing": Status(OTHER, "assertions about values: take them with `.numpy()`"),
    "numpy.lib.format": Status(OTHER, "files: take the values with `.numpy()`"),
    "numpy.lib.introspect": Status(OTHER, "information about NumPy"),
}

_SERIES = ("poly", "cheb", "herm", "herme", "lag", "leg")
_NO_ANSWER = "NumPy makes plain arrays of its arguments and lets no other type answer, so it is a TypeError: "


def _series(*forms: str) -> str:
    """Return the names of functions that every basis of numpy.polynomial has."""
    return " ".join(form.format(basis) for form in forms for basis in _SERIES)


# (status, names of functions that do not dispatch), of NumPy 2 and of 1.26
EXPLAINED: tuple[tuple[Status, str], ...] = (
    (
        Status(DIFFERENTIABLE, "by the operators that it consists of"),
        "row_stack trapz chebweight hermweight hermeweight lagweight legweight mapparms trimseq chebinterpolate",
    ),
    (
        Status(
            DIFFERENTIABLE,
            "in the points x, by the operators that it consists of; for several polynomials as with `tensor=False`",
        ),
        _series("{}val"),
    ),
    (
        Status(
            DIFFERENTIABLE,
            "in one point x; of several, NumPy's code does not see the axes: use `np.prod(x[:, None] - r, axis=1)`",
        ),
        "polyvalfromroots",
    ),
    (Status(CONSTANT, "a truth value"), "isfortran iterable isscalar"),
    (
        Status(
            REFUSED,
            _NO_ANSWER
            + "`np.polyval`, `np.polyfit`, `np.roots`, `np.vander` and their kin are differentiable",
        ),
        _series(
            "{}2poly",
            "poly2{}",
            "{}add",
            "{}companion",
            "{}der",
            "{}div",
            "{}fit",
            "{}fromroots",
            "{}grid2d",
            "{}grid3d",
            "{}int",
            "{}line",
            "{}mul",
            "{}mulx",
            "{}pow",
            "{}roots",
            "{}sub",
            "{}trim",
            "{}val2d",
            "{}val3d",
            "{}valnd",
            "{}vander",
            "{}vander2d",
            "{}vander3d",
        )
        + " as_series getdomain mapdomain trimcoef",
    ),
    (
        Status(REFUSED, _NO_ANSWER + "use `tensor.view_as(as_strided(tensor.numpy(), ...))`, or slices"),
        "as_strided",
    ),
    (Status(REFUSED, _NO_ANSWER + "`np.i0` is differentiable, of which the window is made"), "kaiser"),
    (
        Status(REFUSED, _NO_ANSWER + "use the Tensor itself, or `np.block`"),
        "asmatrix bmat mat asarray_chkfinite",
    ),
    (
        Status(REFUSED, "a ufunc of a Python function has no derivative: see `mytorch.custom_gradient`"),
        "frompyfunc",
    ),
    (Status(REFUSED, "use a loop over indices, or operations on whole arrays"), "nested_iters"),
    (Status(REFUSED, "text is not numbers"), "compare_chararrays"),
    (
        Status(OTHER, "of sizes and numbers, not arrays: the result is a constant"),
        """
        bartlett blackman hamming hanning indices diag_indices mask_indices tril_indices triu_indices
        broadcast_shapes fftfreq rfftfreq chebgauss hermgauss hermegauss laggauss leggauss chebpts1 chebpts2
        normalize_axis_index normalize_axis_tuple
        """,
    ),
    (
        Status(OTHER, "of Python's numbers, and `float(tensor)` is one without a derivative: use `np.stack`"),
        "fromiter",
    ),
    (
        Status(OTHER, "about dtypes"),
        """
        promote_types issubdtype isdtype mintypecode typename datetime_data find_common_type issctype
        issubclass_ issubsctype maximum_sctype obj2sctype sctype2char
        """,
    ),
    (
        Status(OTHER, "numbers as text"),
        """
        base_repr binary_repr format_float_positional format_float_scientific format_float disp
        dragon4_positional dragon4_scientific
        """,
    ),
    (
        Status(OTHER, "files and other sources of plain arrays"),
        "load fromregex from_dlpack recfromcsv recfromtxt",
    ),
    (Status(OTHER, "addresses of memory"), "byte_bounds"),
    (
        Status(OTHER, "settings and information"),
        """
        add_docstring add_newdoc add_newdoc_ufunc array_function_dispatch deprecate deprecate_with_doc
        get_array_wrap get_include get_printoptions getbufsize geterr geterrcall geterrobj info lookfor
        printoptions safe_eval set_module set_numeric_ops set_printoptions set_string_function setbufsize
        seterr seterrcall seterrobj show_config show_runtime source test who fastCopyAndTranspose
        """,
    ),
)
_BY_NAME = {name: status for status, names in EXPLAINED for name in names.split()}

# What computes without being a function, and refuses Tensors.
OBJECTS = {
    "np.vectorize": "operations on whole arrays, or `np.stack` of the results of a loop",
    "np.nditer, np.ndenumerate": "a loop over `np.ndindex(*tensor.shape)`",
    "np.matrix": "`@` on Tensors",
    "np.r_, np.c_": "`np.concatenate`, `np.column_stack`",
    "np.mgrid": "`np.ogrid`, or `np.linspace` and `np.meshgrid`",
}


def dispatches(function: Callable[..., Any]) -> bool:
    """Say whether NumPy asks its arguments whether they answer for the function themselves."""
    return isinstance(function, np.ufunc) or hasattr(function, "_implementation")


def status_of(function: Callable[..., Any], name: str) -> Status:
    """Return what is known of a function."""
    for table, status in TABLES:
        if function in table:
            return status
    if function in registry.REFUSED:
        return Status(REFUSED, registry.REFUSED[function])
    missing = Status(MISSING, "")
    return missing if dispatches(function) else _BY_NAME.get(name, missing)


def functions(module: ModuleType) -> dict[str, Callable[..., Any]]:
    """Return the public functions of a namespace by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names that NumPy is about to remove
        found = {name: getattr(module, name, None) for name in dir(module) if not name.startswith("_")}
    return {name: f for name, f in found.items() if callable(f) and not isinstance(f, type)}


def coverage() -> Iterator[tuple[str, str, Status]]:
    """Iterate over (namespace, name, status) of every function of `NAMESPACES`, where NumPy has it first."""
    seen: set[int] = set()
    for namespace in NAMESPACES:
        try:
            module = importlib.import_module(namespace)
        except ImportError:  # newer than this NumPy
            continue
        found = functions(module)
        for name, function in found.items():
            if id(function) not in seen:
                yield namespace, name, status_of(function, name)
        seen.update(map(id, found.values()))


Table = dict[str, dict[Status, list[str]]]


def page() -> str:
    """Return docs/coverage.md."""
    table: Table = {}
    for namespace, name, status in coverage():
        series = namespace.startswith("numpy.polynomial.")
        table.setdefault("numpy.polynomial.*" if series else namespace, {}).setdefault(status, []).append(
            name
        )
    head = HEAD.format(version=minor_version(np.__version__), total=_total(table))
    sections = (_section(namespace, rows) for namespace, rows in table.items())
    return "\n".join([head, _summary(table), *sections, _whole(), _objects(), _attributes()])


HEAD = """# What of NumPy is differentiated

Written by `python docs/coverage.py` from NumPy {version}'s own namespaces and the tables that answer its calls; CI
runs it with `--check`. What happens when a Tensor is among a function's arguments:

* **differentiable**: the result is a Tensor, with derivatives of any order. Every such function has cases in
  tests/op_cases, which compare it with NumPy, finite differences and PyTorch.
* **constant**: its derivative is zero wherever there is one, or it makes new memory.
* **refused**: an error that says why, and what to write instead.
* **not an array function**: of sizes, dtypes, files, settings.

{total}
"""


def _counts(rows: dict[Status, list[str]]) -> Counter[str]:
    """Return the number of names per kind."""
    return Counter(
        {kind: sum(len(names) for status, names in rows.items() if status.kind == kind) for kind in KINDS}
    )


def _total(table: Table) -> str:
    total = sum(map(_counts, table.values()), Counter())
    return (
        f"{sum(total.values())} names: {total[DIFFERENTIABLE]} differentiable, {total[CONSTANT]} constant, "
        f"{total[REFUSED]} refused, {total[OTHER]} not array functions. "
        f"**Differentiable but missing: {total[MISSING]}.**"
    )


def _row(*cells: Any) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _table(*header: str) -> list[str]:
    return [_row(*header), _row(*["---"] * len(header))]


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names, key=str.lower))


def _summary(table: Table) -> str:
    rows = [_row(f"`{namespace}`", *map(_counts(rows).get, KINDS)) for namespace, rows in table.items()]
    return "\n".join([*_table("namespace", *KINDS), *rows]) + "\n"


def _section(namespace: str, rows: dict[Status, list[str]]) -> str:
    order = sorted(rows, key=lambda status: (KINDS.index(status.kind), -len(rows[status]), status.why))
    lines = [_row(status.kind, status.why, _code(rows[status])) for status in order]
    return "\n".join([f"## {namespace}", "", *_table("", "how, or why", "functions"), *lines]) + "\n"


def _whole() -> str:
    lines = []
    for namespace, status in WHOLE.items():
        number = len(functions(importlib.import_module(namespace)))
        lines.append(_row(f"`{namespace}`", number, status.kind, status.why))
    return "\n".join(["## Other namespaces", "", *_table("namespace", "functions", "", "why"), *lines]) + "\n"


def _objects() -> str:
    text = (
        "## Objects that compute\n\n`np.poly1d` and `np.ogrid` compute with Tensors. Others make plain arrays of them, "
        "which is an error:\n"
    )
    lines = [_row(_code(names.split(", ")), instead) for names, instead in OBJECTS.items()]
    return "\n".join([text, *_table("object", "use"), *lines]) + "\n"


def _attributes() -> str:
    names = [name for name in dir(np.ndarray) if not name.startswith("_")]
    present = [name for name in names if name in dir(Tensor)]
    lines = [_row(f"`{name}`", methods.REFUSED.get(name, MISSING)) for name in names if name not in present]
    text = f"## Methods and attributes of ndarray\n\nTensor has {len(present)} of {len(names)}: {_code(present)}.\n"
    return "\n".join([text, *_table("refused", "why"), *lines]) + "\n"


def minor_version(version: str) -> str:
    """Return '2.4' of '2.4.6'."""
    return ".".join(version.split(".")[:2])


def published_with() -> str:
    """Return the minor version of NumPy that the page is written with: the newest in constraints.txt."""
    pins = re.findall(r"^numpy==([\d.]+)", (HERE.parent / "constraints.txt").read_text(), re.MULTILINE)
    return minor_version(max(pins, key=lambda pin: [int(part) for part in pin.split(".")]))


def main(arguments: list[str]) -> int:
    """Write the page, or check it."""
    parser = argparse.ArgumentParser(description="Write docs/coverage.md: what of NumPy is differentiated.")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit with 1 if the page is out of date"
    )
    check = parser.parse_args(arguments).check
    missing = [f"{namespace}.{name}" for namespace, name, status in coverage() if status.kind == MISSING]
    if missing:
        print(f"{len(missing)} functions stand in no table: {', '.join(missing)}", file=sys.stderr)
    if not check:
        PAGE.write_text(page(), encoding="utf-8")
    elif minor_version(np.__version__) != published_with():
        print(
            f"docs/coverage.md is about NumPy {published_with()}; this is {np.__version__}, so it is not compared"
        )
    elif PAGE.read_text(encoding="utf-8") != page():
        print("docs/coverage.md is out of date: run python docs/coverage.py", file=sys.stderr)
        return 1
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
