"""Hand-ins for the autograder: a right one, written as the hand-out tells a student to, and wrong ones.

A wrong one is the right one with a few lines changed.
"""

from dataclasses import dataclass
from pathlib import Path
from shutil import copytree, ignore_patterns

REFERENCE = Path(__file__).with_name("reference")

BACKWARD = tuple(f"{name} (Autograd) Backward" for name in ("Identity", "Sigmoid", "Tanh", "ReLU"))
FORWARD = tuple(f"{name} (Autograd) Forward" for name in ("Identity", "Sigmoid", "Tanh", "ReLU"))
LINEAR = tuple(f"Linear (Autograd) {part}" for part in ("Forward", "Backward"))
SKIP = tuple(f"Linear + Skip Connection (Autograd) {part}" for part in ("Forward", "Backward"))
LOSS = tuple(f"SoftmaxCrossEntropy Loss (Autograd) {part}" for part in ("Forward", "Backward"))
ENGINE = ("Autograd Add Operation", "Autograd Backward")
OPERATIONS = tuple(
    f"Functional Backward {name}" for name in ("Multiply", "Subtraction", "Matmul", "Divide", "Log", "Exp")
)
MODULES = LINEAR + SKIP + FORWARD + BACKWARD + LOSS
EVERYTHING = ENGINE + OPERATIONS + MODULES
LAYER_BACKWARD = (LINEAR[1], SKIP[1], *BACKWARD)


@dataclass(frozen=True)
class Handin:
    """A changed hand-in: in `file`, `old` becomes `new`, or `new` is put first where `old` is empty.

    `lost` names the tests that must fail, every other must pass; `hint` is a pattern in what the hints say.
    """

    title: str
    file: str
    old: str
    new: str
    lost: tuple[str, ...]
    hint: str

    def write(self, folder: Path) -> Path:
        """Write the hand-in into a folder and return that."""
        copy_reference(folder)
        change(folder, self.file, self.old, self.new)
        return folder


def copy_reference(folder: Path) -> None:
    """Copy the right hand-in into a folder."""
    copytree(REFERENCE / "mytorch", folder / "mytorch", ignore=ignore_patterns("__pycache__"))


def change(folder: Path, file: str, old: str, new: str) -> None:
    """Replace the one place in a file of a hand-in where `old` stands; an empty `old` is its beginning."""
    path = folder / "mytorch" / file
    text = path.read_text()
    assert not old or text.count(old) == 1, (file, old)
    path.write_text(text.replace(old, new) if old else new + text)
