"""DIYAutograd: a scalar autograd.  ``python DIYAutograd.py`` runs the unit tests and the gradient ascent demo.

Everything here comes from `mytorch.faces.variable`; mytorch need not be installed.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mytorch.faces.variable import (
    Add,
    Cos,
    Function,
    Inv,
    Ln,
    Max,
    Min,
    Pow,
    Prod,
    Sin,
    Tan,
    Variable,
    backpropUnitTests,
    cos,
    functionUnitTests,
    ln,
    main,
    max,
    min,
    sin,
    tan,
)

__all__ = [
    "Add",
    "Cos",
    "Function",
    "Inv",
    "Ln",
    "Max",
    "Min",
    "Pow",
    "Prod",
    "Sin",
    "Tan",
    "Variable",
    "backpropUnitTests",
    "cos",
    "functionUnitTests",
    "ln",
    "main",
    "max",
    "min",
    "sin",
    "tan",
]

if __name__ == "__main__":
    functionUnitTests()
    backpropUnitTests()
    main()
