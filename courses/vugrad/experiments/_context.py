"""Makes ``import vugrad`` work in experiments that are run without ``pip install -e .``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
