"""The graph: `Value`, `Op`, `Tensor`, `find_topo_sort`, `compute_gradient_of_variables`.

This name is the module `mytorch.faces.needle.autograd` itself, so that what is set here (``LAZY_MODE``) is set there.
"""

import sys

from mytorch.faces.needle import autograd

sys.modules[__name__] = autograd
