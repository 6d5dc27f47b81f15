"""Makes ``import needle`` and ``import simple_ml`` work in tests, as the homework's notebook does."""

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(FOLDER / "python"), str(FOLDER / "apps")]
