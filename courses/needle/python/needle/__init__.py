"""needle, as its course imports it: ``import needle as ndl``.

The library is `mytorch.faces.needle`.  Where mytorch is not installed, the one of this checkout is used.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

if find_spec("mytorch") is None:
    sys.path.append(str(Path(__file__).resolve().parents[4]))

from mytorch.faces.needle import *  # noqa: F403 - the course's own import path: everything, under its name
from mytorch.faces.needle import __all__ as __all__

from . import autograd as autograd
from . import ops as ops
