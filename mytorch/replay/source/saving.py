"""A printed program as a file: a module, and beside it the arrays that are too long to be written out.

Both are written whole or not at all.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from mytorch.replay.source.printing import printed

if TYPE_CHECKING:
    from mytorch.replay.program import Program


def save(program: Program, path: str | Path) -> Path:
    """Write a program as a module that needs NumPy alone.

    The module has a function of the arguments that the compiled function has.  State (parameters, moments, learning
    rates, generators) has the values of the moment of saving; long arrays go to an ``.npz`` file beside it.  Each file
    is complete or not there at all.

    Parameters
    ----------
    path : the module, which has to end in ``.py``

    Returns
    -------
    Path of the module

    Raises
    ------
    ValueError
        If the path does not end in ``.py``.
    OSError
        If it cannot be written there.
    """
    path = Path(path)
    if path.suffix != ".py":
        raise ValueError(
            f"a program is saved as a Python module: the path must end in .py, got {str(path)!r}"
        )
    beside = path.with_suffix(".npz")
    module = printed(program, beside.name)
    try:
        if module.arrays:
            _write(beside, lambda file: _save_arrays(file, module.arrays))
        _write(path, lambda file: file.write(module.text.encode()))
    except OSError as error:
        reason = error.strerror or str(error)
        raise type(error)(
            error.errno,
            f"cannot save the program: {reason}; choose a folder that exists and can be written to",
            str(path),
        ) from None
    return path


def _save_arrays(file: IO[bytes], arrays: dict[str, Any]) -> None:
    np.savez(file, **arrays)


def _write(path: Path, fill: Callable[[IO[bytes]], Any]) -> None:
    """Write a file under another name, and give it its own when it is complete."""
    if path.is_dir():
        raise IsADirectoryError(21, "Is a directory", str(path))
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            fill(file)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
