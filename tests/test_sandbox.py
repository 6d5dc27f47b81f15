"""The walk-through prints what the closed forms of the hand-out's section 3.3 say."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np

from mytorch import sandbox
from tests.conftest import ROOT


def printed_arrays(text: str) -> dict[str, np.ndarray]:
    """Read back each '  name  shape  = [[…]]' of the output; the shape must be that of the entries."""
    arrays = {}
    for name, shape, entries in re.findall(
        r"^  (\S+) +(\S+)  = (\[\[.*?\]\])", text, re.MULTILINE | re.DOTALL
    ):
        rows = re.findall(r"\[+([^\[\]]+)\]", entries)
        arrays[name] = np.array([[float(entry) for entry in row.split(",")] for row in rows])
        assert shape == "×".join(map(str, arrays[name].shape))
    return arrays


def test_every_printed_number_is_right(capsys):
    sandbox.main()
    text = capsys.readouterr().out
    a = printed_arrays(text)
    assert list(a) == ["x", "W", "b", "h", "y", "dL/dy", "db", "dL/dx", "dW"]
    np.testing.assert_allclose(a["h"], a["x"] @ a["W"].T)
    np.testing.assert_allclose(a["y"], a["h"] + a["b"].T)
    np.testing.assert_allclose(a["db"], a["dL/dy"].sum(axis=0)[:, None])
    np.testing.assert_allclose(a["dL/dx"], a["dL/dy"] @ a["W"])
    np.testing.assert_allclose(a["dW"], a["dL/dy"].T @ a["x"])
    (numbers,) = re.findall(r"rate of (\S+);\n.* dW\[1, 2\] = (\S+)\.$", text, re.MULTILINE)
    assert [float(number) for number in numbers] == [a["dW"][1, 2]] * 2


def test_it_runs_as_a_module():
    result = subprocess.run(
        [sys.executable, "-m", "mytorch.sandbox"], cwd=ROOT, capture_output=True, encoding="utf-8", check=True
    )
    assert "The tape, in the order in which things happened:\n  0  matmul\n  1  add\n" in result.stdout
    assert result.stderr == ""
