"""The local autograder: `python3 autograder/hw1_autograd_runner.py [name ...]`, from the top level.

This file only sees to it that the autograder can start; `command.py` is the program.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

MISSING = """The autograder needs {name}, which this Python does not have. Install it with
  {python} -m pip install {name}
Nothing was graded."""


def main() -> int:
    """Grade as the command line says, and return the exit status."""
    for name in ("numpy", "torch"):
        if find_spec(name) is None:
            print(MISSING.format(name=name, python=sys.executable), file=sys.stderr)
            return 1
    # Run as a script, the first entry is autograder/; the package is found from the folder above.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from autograder.command import run

    try:
        return run(sys.argv[1:])
    except KeyboardInterrupt:
        print("Interrupted: the grading is not complete.", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read the output has gone; what Python still wants to flush has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


if __name__ == "__main__":
    sys.exit(main())
