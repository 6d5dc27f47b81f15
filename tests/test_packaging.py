"""The package needs NumPy and nothing else, says one version, and carries its data."""

from __future__ import annotations

import ast
import configparser
import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mytorch
from tests.conftest import ROOT

ALLOWED = sys.stdlib_module_names | {"numpy", "mytorch"}
SOURCES = sorted(
    path for path in (ROOT / "mytorch").rglob("*.py") if (ROOT / "mytorch" / "extras") not in path.parents
)


def imported_modules(source: str) -> dict[str, int]:
    """The top-level names of all absolute imports in a source text, at any depth, with their lines."""
    found = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
        else:
            continue
        found.update({name.split(".")[0]: node.lineno for name in names})
    return found


def test_the_search_for_imports_finds_them_all():
    source = "import os.path, torch as t\nfrom . import x\ndef f():\n    from scipy.special import erf\n"
    assert imported_modules(source) == {"os": 1, "torch": 1, "scipy": 4}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_only_numpy_and_the_standard_library_are_imported(path):
    imports = imported_modules(path.read_text(encoding="utf-8"))
    strangers = {name: line for name, line in imports.items() if name not in ALLOWED}
    assert not strangers, f"{path}: {strangers}: what needs more than NumPy belongs in mytorch/extras"


def imported_at_once(path: Path) -> list[str]:
    """The modules of this package that a file imports when it is imported, by their full names."""
    names = []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "mytorch":
            whole = node.module == "mytorch"
            names += [f"mytorch.{alias.name}" for alias in node.names] if whole else [str(node.module)]
    return names


def test_files_import_only_from_those_above_them_in_the_picture_of_the_design():
    rows = re.findall(
        r"^\| (`[^|]*) \|", (ROOT / "docs" / "design.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    level = {
        re.sub(r"\.py$|/$", "", name): i
        for i, row in enumerate(rows)
        for name in re.findall(r"`([\w.]+/?)`", row)
    }
    package = ROOT / "mytorch"
    for path in package.rglob("*.py"):
        part = path.relative_to(package).parts[0].removesuffix(".py")
        if part == "__init__":
            continue
        assert part in level, f"{part} is missing in docs/design.md"
        for name in imported_at_once(path):
            other = name.split(".")[1]
            assert other == part or level[other] <= level[part], (
                f"{path} imports {name}, which stands below it"
            )


def test_the_folders_of_replay_import_only_from_those_before_them():
    folders = ["record", "passes", "lowering", "source"]
    for path in (ROOT / "mytorch" / "replay").glob("*/*.py"):
        position = folders.index(path.parent.name)
        modules = [
            name.split(".")[2] for name in imported_at_once(path) if name.startswith("mytorch.replay.")
        ]
        later = [
            name for name in modules if name in (*folders[position + 1 :], "program", "compiled", "matching")
        ]
        assert not later, f"{path} imports from {later}"


def test_importing_the_package_loads_nothing_else():
    code = "import sys, numpy.random; old = set(sys.modules); import mytorch; print(*set(sys.modules) - old)"
    output = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    loaded = {name.split(".")[0] for name in output.split()}
    assert "mytorch" in loaded
    assert loaded - ALLOWED == set()


@pytest.fixture
def metadata() -> importlib.metadata.PackageMetadata:
    """What pip recorded of the package when make installed it."""
    try:
        return importlib.metadata.metadata("mytorch")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("mytorch is on the path but not installed: make test installs it")


def test_the_version_is_said_once(metadata):
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## (\d+\.\d+\.\d+)", changelog, re.MULTILINE)
    assert mytorch.__version__ == released[0]
    assert metadata["Version"] == mytorch.__version__


def test_the_package_requires_numpy_only(metadata):
    assert [r for r in metadata.get_all("Requires-Dist") if "extra ==" not in r] == ["numpy>=1.26"]


def test_every_required_package_is_pinned():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    wanted = setup["options"]["install_requires"].split()
    for section in setup["options.extras_require"].values():
        wanted += section.split()
    names = {re.split(r"[<>=]", requirement)[0] for requirement in wanted}
    pins = re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert names <= set(pins)


def test_a_built_wheel_carries_the_digits_and_the_types():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    patterns = setup["options.package_data"]["mytorch"].split()
    shipped = {path.name for pattern in patterns for path in (ROOT / "mytorch").glob(pattern)}
    assert {"images-idx3-ubyte.gz", "labels-idx1-ubyte.gz", "README.md"} <= shipped
    assert "py.typed" in shipped  # by which type checkers know that the package has types
