"""`Linear`.

This name is the module `mytorch.faces.vugrad.modules` itself.
"""

import sys

from mytorch.faces.vugrad import modules

sys.modules[__name__] = modules
