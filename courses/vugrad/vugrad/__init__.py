"""vugrad, as its course imports it: ``import vugrad as vg``.

The library is `mytorch.faces.vugrad`.  Where mytorch is not installed, the one of this checkout is used.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec("mytorch") is None:
    sys.path.append(str(Path(__file__).resolve().parents[3]))

from mytorch.faces.vugrad import *  # noqa: F403 - the course's own import path: everything, under its name
from mytorch.faces.vugrad import __all__

from . import core, functions, modules, ops

__all__ += ["core", "functions", "modules", "ops"]
