"""The operators: `add`, `EWiseAdd` and the others.

This name is the module `mytorch.faces.needle.ops` itself.
"""

import sys

from mytorch.faces.needle import ops

sys.modules[__name__] = ops
