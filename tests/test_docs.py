"""What the documents show is what happens: their examples run, their links and commands lead somewhere."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys

import pytest

from models.cli import build_parser
from tests.conftest import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_examples_run(path):
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    failed, _ = doctest.testfile(str(path), module_relative=False, optionflags=flags, encoding="utf-8")
    assert failed == 0


def test_the_readme_has_examples():
    assert len(doctest.DocTestParser().get_examples((ROOT / "README.md").read_text(encoding="utf-8"))) > 10


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text(encoding="utf-8"))
    missing = [t for t in targets if "://" not in t and not (path.parent / t).exists()]
    assert not missing


def test_the_commands_of_the_readme_have_the_options_that_they_use():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = re.findall(r"^python -m models\.mlp([^#\n]*)", text, re.MULTILINE)
    assert len(lines) > 3
    for line in lines:
        build_parser().parse_args(line.split())


def test_the_targets_that_documents_name_exist():
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    targets = set(re.findall(r"^([a-z0-9-]+) - ", listed, re.MULTILINE))
    named = {
        t for path in DOCUMENTS for t in re.findall(r"`?make ([a-z-]+)`", path.read_text(encoding="utf-8"))
    }
    assert named
    assert named <= targets


def test_the_printed_program_is_what_its_command_prints():
    command = [sys.executable, "examples/printed_program.py"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    text = (ROOT / "docs" / "replay.md").read_text(encoding="utf-8")
    shown = re.search(r"<!-- fmt: off -->\n```python\n(.*?)```\n<!-- fmt: on -->", text, re.DOTALL)
    assert shown is not None
    assert shown[1].rstrip() == run.stdout.rstrip(), (
        "put the output of examples/printed_program.py into docs/replay.md"
    )
