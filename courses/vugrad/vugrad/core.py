"""The graph: `TensorNode`, `OpNode`, `Op`, `Module`.

This name is the module `mytorch.faces.vugrad.core` itself.
"""

import sys

from mytorch.faces.vugrad import core

sys.modules[__name__] = core
