"""Back ends: who runs the instructions of a planned program.  NumPy does, unless another one is asked for by name.

A back end may put the instructions in another order before they are planned, and afterwards give other calls for
some of them: the real arrays are known by then, so it can prove on their addresses what may be joined.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from mytorch.replay.instructions import Listing
from mytorch.replay.lowering.forms import Form

if TYPE_CHECKING:
    from mytorch.replay.program import Program

# By name: the module and the class, and what it needs, which the extra of that name brings.
BACKENDS = {
    "numba": ("mytorch.extras.numba_backend", "Numba", ("numba",)),
    "blas": ("mytorch.extras.blas", "Blas", ("scipy", "threadpoolctl")),
}


class Backend:
    """NumPy: every instruction is a call of its own."""

    name = "numpy"

    def arranged(self, listing: Listing) -> Listing:
        """Return the instructions in the order in which they will be planned and run."""
        return listing

    def replaced(self, program: Program, forms: list[Form | None]) -> list[Form | None]:
        """Return, per instruction, the calls that do its work; None leaves it to NumPy.

        An instruction whose work is done by the calls of an earlier one has no calls, ``[]``.
        """
        return forms


def chosen(names: str) -> list[Backend]:
    """Return the back ends that "numpy", "numba", "blas" or "blas+numba" stands for.

    Raises
    ------
    ImportError
        What the back end needs is not installed.
    """
    if names == "numpy":
        return [Backend()]
    wanted = names.split("+")
    if not set(wanted) <= set(BACKENDS) or len(set(wanted)) < len(wanted):
        raise ValueError(
            f"mytorch.compile: backend must be 'numpy', 'numba', 'blas' or 'blas+numba', got {names!r}"
        )
    return [_loaded(name) for name in sorted(wanted)]  # blas first: numba joins what is left


def _loaded(name: str) -> Backend:
    module, kind, needs = BACKENDS[name]
    try:
        for package in needs:
            import_module(package)
    except ImportError as error:
        raise ImportError(
            f"mytorch.compile: backend={name!r} needs {' and '.join(needs)}, which cannot be imported "
            f"({error}): pip install {' '.join(needs)}"
        ) from error
    backend: Backend = getattr(import_module(module), kind)()
    return backend
