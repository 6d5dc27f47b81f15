"""Data sets, losses and activations.

This name is the module `mytorch.faces.vugrad.functions` itself.
"""

import sys

from mytorch.faces.vugrad import functions

sys.modules[__name__] = functions
