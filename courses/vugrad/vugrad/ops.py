"""The operations.

This name is the module `mytorch.faces.vugrad.ops` itself.
"""

import sys

from mytorch.faces.vugrad import ops

sys.modules[__name__] = ops
