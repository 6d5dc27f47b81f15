"""The hand-in: same content, same bytes; nothing but the package's source; and the copy is what is graded."""

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from shutil import copy, copytree, ignore_patterns

import pytest

from autograder.packing import HandinError, pack, unpack
from tests import handins

TOP = Path(__file__).resolve().parent.parent


@pytest.fixture
def checkout(tmp_path):
    """A student's checkout: the autograder, handin.sh, and a right solution."""
    top = tmp_path / "checkout"
    copytree(TOP / "autograder", top / "autograder", ignore=ignore_patterns("__pycache__"))
    copy(TOP / "handin.sh", top)
    handins.copy_reference(top)
    return top


def hand_in(checkout, **environment):
    """Run handin.sh from another folder, and return the completed process."""
    return subprocess.run(
        [checkout / "handin.sh"],
        cwd=checkout.parent,
        env=os.environ | {"PYTHON": sys.executable} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def names_in(archive):
    with tarfile.open(archive) as members:
        return members.getnames()


def write_archive(path, *members, content=b"x = 1\n"):
    """Write a tar archive of members given as TarInfo, or as the name of a regular file."""
    with tarfile.open(path, "w") as archive:
        for given in members:
            member = given if isinstance(given, tarfile.TarInfo) else tarfile.TarInfo(given)
            member.size = len(content) if member.isreg() else 0
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.usefixtures("torch")
def test_the_copy_that_was_packed_is_graded(checkout):
    # Present here and left out of the archive, so a hand-in that needs it fails where it is graded.
    (checkout / "mytorch" / "extras").mkdir()
    (checkout / "mytorch" / "extras" / "__init__.py").write_text("x = 1\n")
    done = hand_in(checkout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert done.stdout.startswith("handin.tar: 7 files, ")
    assert "| TOTAL        |    22/22 |    50/50 |" in done.stdout
    assert sum(json.loads(done.stdout.splitlines()[-1])["scores"].values()) == 50
    handins.change(checkout, "functional_hw1.py", "", "import mytorch.extras\n")
    done = hand_in(checkout)
    assert done.returncode == 1
    assert "No module named 'mytorch.extras'" in done.stdout


def test_the_same_content_gives_the_same_bytes(checkout, tmp_path):
    first, second = tmp_path / "first.tar", tmp_path / "second.tar"
    pack(checkout, first)
    other = tmp_path / "other"
    for file in sorted((checkout / "mytorch").rglob("*.py"), reverse=True):
        target = other / file.relative_to(checkout)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
        target.chmod(0o600)
        os.utime(target, (1, 1))
    pack(other, second)
    assert first.read_bytes() == second.read_bytes()
    (other / "mytorch" / "utils.py").write_text("x = 1\n")
    pack(other, second)
    assert first.read_bytes() != second.read_bytes()


def test_members_carry_nothing_of_this_machine(checkout, tmp_path):
    pack(checkout, tmp_path / "handin.tar")
    with tarfile.open(tmp_path / "handin.tar") as archive:
        members = archive.getmembers()
    assert [member.name for member in members] == sorted(member.name for member in members)
    facts = {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode, m.isreg()) for m in members}
    assert facts == {(0, 0, 0, "", "", 0o644, True)}
    assert not any(member.pax_headers for member in members)


def test_only_source_and_data_files_are_packed(checkout, tmp_path):
    package = checkout / "mytorch"
    expected = {"mytorch/" + str(file.relative_to(package)) for file in package.rglob("*.py")}
    for name in (
        "__pycache__/utils.cpython-311.pyc",
        "utils.pyc",
        "notes.txt",
        ".hidden.py",
        ".git/x.py",
        "nn/core.so",
        "data.csv",
        "extras/plots.py",
    ):
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).write_text("import torch\n")
    (package / "data").mkdir()
    for name in ("digits.csv.gz", "digits.npz", "README.md"):
        (package / "data" / name).write_bytes(b"\0")
        expected.add(f"mytorch/data/{name}")
    names = pack(checkout, tmp_path / "handin.tar")
    assert names == sorted(expected)
    assert names_in(tmp_path / "handin.tar") == names


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("import torch", "torch"),
        ("import os, scipy.special as special", "scipy.special"),
        ("from torch.nn import Linear", "torch.nn"),
        ("def f():\n    if True:\n        import pandas", "pandas"),
        ("import importlib\nimportlib.import_module('jax.numpy')", "jax.numpy"),
        ("from importlib import import_module\nimport_module('jax')", "jax"),
        ("x = __import__('sklearn')", "sklearn"),
        ("x = __import__(name='sklearn')", "sklearn"),
        ("import importlib as il\nil.import_module(package=None, name='jax')", "jax"),
        ("from importlib import import_module as load\nload('jax')", "jax"),
        ("import builtins\nbuiltins.__import__('jax')", "jax"),
        ("try:\n    import torch\nexcept ImportError:\n    torch = None", "torch"),
    ],
)
def test_a_foreign_import_is_refused_by_file_and_line(checkout, line, name):
    archive = checkout / "handin.tar"
    archive.write_bytes(b"an earlier one")
    handins.change(checkout, "nn/loss.py", "", line + "\n")
    number = 1 + [name in part for part in line.split("\n")].index(True)
    with pytest.raises(HandinError) as raised:
        pack(checkout, archive)
    assert str(raised.value) == (
        f"mytorch/nn/loss.py:{number}: imports {name}; "
        "a hand-in may import NumPy and the standard library only"
    )
    assert archive.read_bytes() == b"an earlier one"
    assert not list(checkout.glob("*.part"))


def test_every_foreign_import_is_named_at_once(checkout):
    handins.change(checkout, "nn/loss.py", "", "import torch\n")
    handins.change(checkout, "utils.py", "", "x = 1\nimport scipy\n")
    done = hand_in(checkout)
    assert done.returncode == 1
    assert done.stdout == ""
    assert [line.split(";")[0] for line in done.stderr.splitlines()] == [
        "mytorch/nn/loss.py:1: imports torch",
        "mytorch/utils.py:2: imports scipy",
        "Nothing was packed.",
    ]
    assert not (checkout / "handin.tar").exists()


@pytest.mark.parametrize(
    "line",
    [
        "import numpy.linalg",
        "import mytorch.nn, json, importlib.metadata",
        "from . import utils",
        "from .. import torch",
        "from mytorch import extras",
        "import importlib\nimportlib.import_module('.torch', 'mytorch')",
        "name = 'json'\n__import__(name)",
        "class Loader:\n    def load(self, name): ...\nLoader().load('torch')",
        "'import torch'",
    ],
)
def test_numpy_the_standard_library_and_the_package_itself_may_be_imported(checkout, line):
    handins.change(checkout, "nn/loss.py", "", line + "\n")
    assert "mytorch/nn/loss.py" in pack(checkout, checkout / "handin.tar")


@pytest.mark.parametrize("line", ["def f(:", "x = '\0'", f"x = {'(' * 5000}", f"x = {'-' * 10**6}1"])
def test_a_file_that_is_not_python_is_refused(checkout, line):
    handins.change(checkout, "nn/loss.py", "", line + "\n")
    with pytest.raises(HandinError, match=r"mytorch/nn/loss\.py:1: not valid Python: "):
        pack(checkout, checkout / "handin.tar")


def test_a_module_that_is_too_large_is_refused_before_it_is_read(checkout):
    with open(checkout / "mytorch" / "big.py", "wb") as file:
        file.truncate(1 << 30)
    with pytest.raises(HandinError, match=r"mytorch/big\.py: 1073741824 bytes; a module has at most 1 MiB"):
        pack(checkout, checkout / "handin.tar")


def test_a_package_that_would_be_refused_on_arrival_is_not_packed(checkout, monkeypatch):
    (checkout / "mytorch" / "data").mkdir()
    (checkout / "mytorch" / "data" / "rows.csv").write_bytes(b"0" * 10**6)
    monkeypatch.setattr("autograder.packing.MAX_BYTES", 1 << 16)
    with pytest.raises(
        HandinError, match=r"mytorch/ has 8 files of 10\d+ bytes.*the largest is mytorch/data/rows\.csv"
    ):
        pack(checkout, checkout / "handin.tar")


@pytest.mark.parametrize("name", ["handin.tar", "handin.tar.part"])
def test_a_folder_where_the_archive_belongs_is_said(checkout, name):
    (checkout / name).mkdir()
    done = hand_in(checkout)
    assert done.returncode == 1
    assert name in done.stderr
    assert done.stderr.endswith("\nNothing was packed.\n")
    assert "Traceback" not in done.stderr
    assert [path.name for path in checkout.glob("handin.tar*")] == [name]


def test_a_link_is_refused(checkout, tmp_path):
    (tmp_path / "secret.py").write_text("x = 1\n")
    (checkout / "mytorch" / "other.py").symlink_to(tmp_path / "secret.py")
    with pytest.raises(HandinError, match=r"mytorch/other\.py: this is a link, hand in the file itself"):
        pack(checkout, checkout / "handin.tar")


def test_a_folder_without_a_package_is_refused(tmp_path):
    with pytest.raises(HandinError, match="mytorch: there is no package here to hand in"):
        pack(tmp_path, tmp_path / "handin.tar")


def test_what_was_packed_unpacks_to_the_same(checkout, tmp_path):
    names = pack(checkout, tmp_path / "handin.tar")
    unpack(tmp_path / "handin.tar", tmp_path / "copy")
    found = sorted(
        str(file.relative_to(tmp_path / "copy")) for file in (tmp_path / "copy").rglob("*") if file.is_file()
    )
    assert found == names
    assert all((tmp_path / "copy" / name).read_bytes() == (checkout / name).read_bytes() for name in names)


def test_an_archive_made_by_tar_itself_is_accepted(checkout, tmp_path):
    (checkout / "mytorch" / "__pycache__").mkdir()
    (checkout / "mytorch" / "__pycache__" / "utils.pyc").write_bytes(b"x")
    subprocess.run(["tar", "-cf", tmp_path / "handin.tar", "mytorch"], cwd=checkout, check=True)
    unpack(tmp_path / "handin.tar", tmp_path / "copy")
    assert (tmp_path / "copy/mytorch/nn/linear.py").is_file()
    assert not (tmp_path / "copy/mytorch/__pycache__").exists()


def _member(name, kind, link=""):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    return member


@pytest.mark.parametrize(
    "member",
    [
        "/mytorch/utils.py",
        "mytorch/../../utils.py",
        _member("mytorch/utils.py", tarfile.SYMTYPE, "/etc/passwd"),
        _member("mytorch/utils.py", tarfile.LNKTYPE, "/etc/passwd"),
        _member("mytorch/utils.py", tarfile.CHRTYPE),
    ],
    ids=["absolute", "upwards", "symbolic link", "hard link", "device"],
)
def test_an_archive_that_leads_elsewhere_is_refused(member, tmp_path):
    archive = write_archive(tmp_path / "handin.tar", member)
    with pytest.raises(HandinError, match="refused for its member"):
        unpack(archive, tmp_path / "copy")
    assert [path.name for path in tmp_path.rglob("*")] == ["handin.tar"]


def test_files_of_the_grader_are_not_overwritten(tmp_path):
    archive = write_archive(tmp_path / "handin.tar", "autograder/compare.py", "numpy.py", "mytorch/utils.py")
    unpack(archive, tmp_path / "copy")
    assert [path.name for path in (tmp_path / "copy").rglob("*")] == ["mytorch", "utils.py"]


def test_a_file_that_comes_twice_is_refused(tmp_path):
    archive = write_archive(tmp_path / "handin.tar", "mytorch/utils.py", "mytorch/utils.py")
    with pytest.raises(HandinError, match=r"handin\.tar: not a readable tar archive \(.*utils\.py"):
        unpack(archive, tmp_path / "copy")


def test_an_archive_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("autograder.packing.MAX_FILES", 2)
    archive = write_archive(tmp_path / "handin.tar", *(f"mytorch/{name}.py" for name in "abc"))
    with pytest.raises(HandinError, match="too large: more than 2 files or 64 MiB"):
        unpack(archive, tmp_path / "copy")


@pytest.mark.usefixtures("torch")
@pytest.mark.parametrize("content", [b"", b"not a tar archive" * 100])
def test_a_broken_archive_still_gives_a_score_line(content, tmp_path):
    (tmp_path / "handin.tar").write_bytes(content)
    done = subprocess.run(
        [sys.executable, "autograder/hw1_autograd_runner.py", "--handin", tmp_path / "handin.tar"],
        cwd=TOP,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "handin.tar: not a readable tar archive" in done.stdout
    assert set(json.loads(done.stdout.splitlines()[-1])["scores"].values()) == {0}


@pytest.mark.usefixtures("torch")
def test_the_project_itself_is_packed_and_has_every_point(tmp_path):
    pack(TOP, tmp_path / "handin.tar")
    done = subprocess.run(
        [sys.executable, "autograder/hw1_autograd_runner.py", "--handin", tmp_path / "handin.tar"],
        cwd=TOP,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "|    50/50 |" in done.stdout
