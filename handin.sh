#!/bin/sh
# Packs mytorch/ into handin.tar, unpacks that elsewhere and grades the copy: what was packed is what was tested.
# The exit status is 0 when it was packed and every test passed. PYTHON chooses the interpreter.
set -eu
cd "$(dirname "$0")"

python=${PYTHON:-}
if [ -z "$python" ]; then
    python=python3
    if [ -x .venv/bin/python ]; then python=.venv/bin/python; fi
fi

"$python" -m autograder.packing
exec "$python" autograder/hw1_autograd_runner.py --handin handin.tar
