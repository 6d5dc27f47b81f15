"""Packs `mytorch/` into a tar archive that depends on nothing but its files, and unpacks one safely.

The archive has the source files and data of the package in sorted order, without dates, owners or modes of
this machine, so the same content always gives the same bytes. `mytorch/extras/`, which may need more than
NumPy, stays out; everywhere else an import of anything beyond NumPy and the standard library is refused,
because the machine that grades has nothing else.
"""

import ast
import hashlib
import io
import os
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

PACKAGE = "mytorch"
DATA = f"{PACKAGE}/data"
DATA_SUFFIXES = (".csv", ".gz", ".md", ".npz")
LEFT_OUT = (f"{PACKAGE}/extras",)
IMPORTABLE = sys.stdlib_module_names | {"numpy", PACKAGE}
MAX_FILES = 2_000
MAX_BYTES = 64 << 20
MAX_MODULE_BYTES = 1 << 20  # no module is so long, and Python's parser takes a minute for ten of these


class HandinError(Exception):
    """A hand-in that cannot be packed or unpacked; the message names the file."""


def is_source(path: PurePosixPath) -> bool:
    """Return whether a path is one that a hand-in has: code or data, nothing hidden, built or left out."""
    hidden = any(part.startswith((".", "__pycache__")) for part in path.parts)
    left_out = any(path.is_relative_to(folder) for folder in LEFT_OUT)
    if path.parts[:1] != (PACKAGE,) or hidden or left_out:
        return False
    return path.suffix == ".py" or (path.is_relative_to(DATA) and path.suffix in DATA_SUFFIXES)


def pack(top: Path, archive: Path) -> list[str]:
    """Write `mytorch/` of the folder `top` into `archive`, whole or not at all, and return the names packed.

    Raises HandinError, and leaves an earlier archive as it was, if there is no such package, if a file in it
    is a link or too large, or if a module imports what the graded machine lacks.
    """
    sources = sorted(_sources(top))
    if not sources:
        raise HandinError(f"{top / PACKAGE}: there is no package here to hand in")
    _check_sizes({path: (top / path).stat().st_size for path in sources})
    contents = {path: (top / path).read_bytes() for path in sources}
    problems = [line for path, content in contents.items() for line in foreign_imports(path, content)]
    if problems:
        raise HandinError("\n".join(problems))
    part = archive.with_name(archive.name + ".part")
    try:
        part.write_bytes(_archive(contents))
        os.replace(part, archive)
    finally:
        part.unlink(missing_ok=True)
    return [str(path) for path in sources]


def _sources(top: Path) -> Iterator[PurePosixPath]:
    """Yield what is to be packed, relative to `top`."""
    for file in (top / PACKAGE).rglob("*"):
        path = PurePosixPath(file.relative_to(top).as_posix())
        if file.is_symlink() and (is_source(path) or is_source(path / "__init__.py")):
            raise HandinError(f"{path}: this is a link, hand in the file itself")
        if file.is_file() and is_source(path):
            yield path


def _check_sizes(sizes: dict[PurePosixPath, int]) -> None:
    """Refuse what `unpack` would refuse, and modules that no person wrote."""
    for path, size in sizes.items():
        if path.suffix == ".py" and size > MAX_MODULE_BYTES:
            raise HandinError(f"{path}: {size} bytes; a module has at most {MAX_MODULE_BYTES >> 20} MiB")
    if len(sizes) > MAX_FILES or sum(sizes.values()) > MAX_BYTES:
        raise HandinError(
            f"{PACKAGE}/ has {len(sizes)} files of {sum(sizes.values())} bytes in all, more than {MAX_FILES} files or "
            f"{MAX_BYTES >> 20} MiB; the largest is {max(sizes, key=sizes.__getitem__)}"
        )


def _archive(contents: dict[PurePosixPath, bytes]) -> bytes:
    """Return the archive's bytes: names and contents, everything else fixed."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for path, content in contents.items():
            member = tarfile.TarInfo(str(path))
            member.size = len(content)
            member.mode = 0o644
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def foreign_imports(path: PurePosixPath, content: bytes) -> list[str]:
    """Return a line "file:line: ..." for each import of something the graded machine lacks.

    Seen are `import` statements and calls of `__import__` and `import_module`, under whatever name they were
    imported, with a literal name, wherever they stand. A file that is not Python gives the line where it stops
    being so.
    """
    if path.suffix != ".py":
        return []
    try:
        tree = ast.parse(content, filename=str(path))
    except SyntaxError as error:
        return [f"{path}:{error.lineno or 1}: not valid Python: {error.msg}"]
    except (ValueError, MemoryError, RecursionError) as error:  # the latter two: nested too deeply
        return [f"{path}:1: not valid Python: {error or 'nested too deeply'}"]
    found = sorted({(line, name) for line, name in _imports(tree) if name.split(".")[0] not in IMPORTABLE})
    return [
        f"{path}:{line}: imports {name}; a hand-in may import NumPy and the standard library only"
        for line, name in found
    ]


def _imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the line and the full name of everything imported, except relative to the package itself."""
    nodes = list(ast.walk(tree))
    importers = _importers(nodes)
    for node in nodes:
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield node.lineno, module
            case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called)) if called in importers:
                module = _first_argument(node)
                if module and not module.startswith("."):
                    yield node.lineno, module


def _importers(nodes: list[ast.AST]) -> set[str]:
    """Return the names of functions that import: the two there are, and what a file renames them to."""
    names = {"__import__", "import_module"}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module in ("importlib", "builtins"):
            names |= {alias.asname for alias in node.names if alias.asname and alias.name in names}
    return names


def _first_argument(call: ast.Call) -> str:
    """Return the string that stands for the module's name in a call, or "" if it is computed."""
    given = [*call.args[:1], *(keyword.value for keyword in call.keywords if keyword.arg == "name")]
    return next((str(x.value) for x in given if isinstance(x, ast.Constant) and isinstance(x.value, str)), "")


def unpack(archive: Path, folder: Path) -> None:
    """Write the source files of an archive from anyone into an empty folder.

    Only regular files under `mytorch/` that a hand-in has are looked at; others are passed over, and links,
    devices and paths that lead out of the package are a HandinError, as is an archive that is broken or
    unpacks to more than a package can be.
    """
    try:
        with tarfile.open(archive, mode="r:") as members:
            _unpack(members, folder)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise HandinError(f"{archive.name}: not a readable tar archive ({error})") from error


def _unpack(members: tarfile.TarFile, folder: Path) -> None:
    count = size = 0
    for member in members:
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts or not (member.isfile() or member.isdir()):
            raise HandinError(f"the archive is refused for its member {member.name!r}")
        count, size = count + 1, size + member.size
        if count > MAX_FILES or size > MAX_BYTES:
            raise HandinError(f"too large: more than {MAX_FILES} files or {MAX_BYTES >> 20} MiB")
        if member.isdir() or not is_source(path):
            continue
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        source = members.extractfile(member)
        assert source is not None
        with target.open("xb") as file:
            file.write(source.read())


def main() -> int:
    """Pack the package of the current folder into handin.tar there, and say what became of it."""
    archive = Path("handin.tar")
    try:
        names = pack(Path(), archive)
    except (HandinError, OSError) as error:
        print(f"{error}\nNothing was packed.", file=sys.stderr)
        return 1
    content = archive.read_bytes()
    print(
        f"{archive}: {len(names)} files, {len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
