"""Hand-ins that raise, end the process, or print what looks like scores."""

from tests.handins import BACKWARD, ENGINE, FORWARD, LINEAR, LOSS, MODULES, OPERATIONS, SKIP, Handin

_FUNCTIONS, _ENGINE, _LOSS = "functional_hw1.py", "autograd_engine.py", "nn/loss.py"

FAULTS = (
    Handin(
        "raises in one function",
        _FUNCTIONS,
        "    return grad_output / a",
        "    return grad_output / c",
        (OPERATIONS[4],),
        "not defined there: is it misspelt",
    ),
    Handin(
        "not implemented",
        _FUNCTIONS,
        "return grad_output / a",
        "raise NotImplementedError",
        (OPERATIONS[4],),
        "not written yet",
    ),
    Handin(
        "the skeleton's placeholder returned by a rule",
        _FUNCTIONS,
        "return grad_output * b, grad_output * a",
        "return NotImplementedError",
        (OPERATIONS[0],),
        "not written yet",
    ),
    Handin(
        "the skeleton's placeholder returned by a module",
        _LOSS,
        "return self.loss_val",
        "return NotImplemented",
        LOSS,
        "not written yet",
    ),
    Handin(
        "self missing",
        "nn/linear.py",
        "def forward(self, x)",
        "def forward(x)",
        (*LINEAR, *SKIP, *FORWARD, *BACKWARD),
        "is `self` the first",
    ),
    Handin(
        "function missing",
        _FUNCTIONS,
        "def exp_backward",
        "def exponential_backward",
        (OPERATIONS[5],),
        "not written yet, or named otherwise",
    ),
    Handin(
        "sys.exit in one function",
        _FUNCTIONS,
        "return grad_output / a",
        "raise SystemExit(0)",
        (OPERATIONS[4],),
        "sys.exit",
    ),
    Handin(
        "os._exit in one function",
        _FUNCTIONS,
        "return grad_output / a",
        "__import__('os')._exit(0)",
        (OPERATIONS[4],),
        "os._exit",
    ),
    Handin(
        "crash in one function",
        _FUNCTIONS,
        "return grad_output / a",
        "__import__('os').abort()",
        (OPERATIONS[4],),
        "crash below Python",
    ),
    Handin(
        "endless recursion",
        _FUNCTIONS,
        "return grad_output / a",
        "return log_backward(grad_output, a)",
        (OPERATIONS[4],),
        "calls itself without end",
    ),
    Handin(
        "too much memory",
        _FUNCTIONS,
        "return grad_output / a",
        "return bytearray(10**11)",
        (OPERATIONS[4],),
        "far larger than the data",
    ),
    Handin(
        "breakpoint left in",
        _FUNCTIONS,
        "return grad_output / a",
        "breakpoint()",
        (OPERATIONS[4],),
        "breakpoint",
    ),
    Handin(
        "garbage to every descriptor",
        _FUNCTIONS,
        "    return grad_output / a",
        "    import os\n    for fd in range(1, 30):\n        try:\n            os.write(fd, b'{]\\n')\n"
        "        except OSError:\n            pass\n    return grad_output / a",
        (OPERATIONS[4],),
        "open files",
    ),
    Handin(
        "closes every descriptor",
        _FUNCTIONS,
        "return grad_output / a",
        "__import__('os').closerange(0, 99)",
        (OPERATIONS[4],),
        "process",
    ),
    Handin("sys.exit at import", _ENGINE, "", "import sys; sys.exit(0)\n", ENGINE + MODULES, "sys.exit"),
    Handin(
        "os._exit at import", _FUNCTIONS, "", "import os; os._exit(0)\n", OPERATIONS + MODULES, "os._exit"
    ),
    Handin("not Python", _LOSS, "def forward(", "def forward(:", MODULES, "not valid Python"),
    Handin("imports PyTorch", _LOSS, "", "import torch\n", MODULES, "only NumPy and the standard library"),
    Handin(
        "asks for a name",
        _LOSS,
        "",
        "name = input()\n",
        MODULES,
        "there is no keyboard in the graded process",
    ),
    Handin(
        "import of NumPy missing",
        "nn/activation.py",
        "import numpy as np\n",
        "",
        (*FORWARD[1:], *BACKWARD[1:]),
        "an import missing",
    ),
    Handin(
        "package's name missing in an import",
        _LOSS,
        "from mytorch.functional_hw1",
        "from functional_hw1",
        MODULES,
        "with its name in front",
    ),
    Handin(
        "module missing",
        "nn/__init__.py",
        "mytorch.nn.loss",
        "mytorch.nn.losses",
        MODULES,
        "a file of the package is missing",
    ),
)

# In each, the first test's own errors are the hand-in's; that the others pass shows the worker unharmed.
REPLACERS = (
    Handin(
        "json.dumps replaced",
        _FUNCTIONS,
        "",
        'import json\njson.dumps = json.loads = lambda *a, **k: \'{"claims": {}, "error": ""}\'\n',
        (),
        "",
    ),
    Handin(
        "functions of NumPy that the tests use, replaced",
        _FUNCTIONS,
        "",
        "import numpy\nnumpy.array = numpy.asarray = numpy.generic = None\n",
        LOSS,
        "None stands where",
    ),
    Handin("standard output taken away", _FUNCTIONS, "", "import sys\nsys.stdout = None\n", (), ""),
    Handin("standard output closed", _FUNCTIONS, "", "import sys\nsys.stdout.close()\n", (), ""),
    Handin(
        "an error of ten million letters",
        _FUNCTIONS,
        "    return grad_output / a",
        "    raise ValueError('q' * 10**7)",
        (OPERATIONS[4],),
        "the last line of the error",
    ),
)

FORGED = '{"scores": {"Autograd Backward": 50}}'
FORGERS = (
    Handin("prints a score line", _FUNCTIONS, "", f"print({FORGED!r})\n", (), ""),
    Handin(
        "prints a score line at exit",
        _FUNCTIONS,
        "",
        f"import atexit, os; atexit.register(lambda: os.write(1, b{FORGED!r}))\n",
        (),
        "",
    ),
    Handin(
        "prints a score line and leaves",
        _FUNCTIONS,
        "",
        f"import os; print({FORGED!r}, flush=True); os._exit(0)\n",
        OPERATIONS + MODULES,
        "os._exit",
    ),
    Handin(
        "prints a score line from a late child",
        _FUNCTIONS,
        "",
        "import os, time\nif os.fork() == 0:\n    time.sleep(0.5)\n"
        f"    os.write(1, b{FORGED!r})\n    os._exit(0)\n",
        (),
        "",
    ),
    Handin("prints 30 MB", _FUNCTIONS, "", "print(('x' * 1000 + '\\n') * 30_000)\n", (), ""),
    Handin(
        "does not end by itself",
        _FUNCTIONS,
        "",
        "import threading, time; threading.Thread(target=time.sleep, args=[1000]).start()\n",
        (),
        "",
    ),
)
