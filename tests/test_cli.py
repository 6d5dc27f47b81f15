"""The command: what it shows, what it writes, how it resumes, and what it refuses before training starts."""

from __future__ import annotations

import gzip
import os
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models import checkpoint, report
from models.cli import main
from models.run import Run
from mytorch.data import load_digits
from mytorch.data.datasets import MNIST_FILES
from tests.conftest import ROOT

SMALL = ["--hidden", "12", "--batch-size", "64"]
LINE = re.compile(r"^ *(\d+)/(\d+) +(\S+) +(\S+)% +(\S+) +(\S+)%$", re.MULTILINE)


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command with a small network; its exit status and what it wrote to stdout and stderr."""

    def run(*options: object) -> tuple[int, str, str]:
        try:
            status = main([*SMALL, *map(str, options)])
        except SystemExit as error:
            status = int(str(error.code))
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture
def mnist_like(tmp_path: Path) -> Path:
    """A folder in MNIST's form, made from 200 of the digits."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    images, labels = load_digits()
    parts = (images[:150] * 15, labels[:150], images[150:200] * 15, labels[150:200])
    for name, array in zip(MNIST_FILES, parts, strict=True):
        header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
        (folder / f"{name}.gz").write_bytes(gzip.compress(header + array.tobytes(), mtime=0))
    return folder


def contents(path: Path) -> dict[str, np.ndarray]:
    """Everything in a checkpoint."""
    with np.load(path) as archive:
        return {name: archive[name] for name in archive.files}


def assert_same(first: Path, second: Path) -> None:
    """Two checkpoints hold the same names and bit-identical values."""
    a, b = contents(first), contents(second)
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].dtype == b[name].dtype
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


# -- what it shows ------------------------------------------------------------------------------------


def test_the_defaults_reach_96_percent_on_the_digits():
    result = subprocess.run(
        [sys.executable, "-m", "models.mlp", "--min-accuracy", "96"],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
    )
    assert result.stderr == ""
    assert result.returncode == 0
    assert "the UCI digits: 1438 rows for training, 359 for testing" in result.stdout
    assert len(LINE.findall(result.stdout)) == 30
    accuracy = re.search(r"^test accuracy (\S+) % \((\d+) of 359\)$", result.stdout, re.MULTILINE)
    assert accuracy
    assert 96 <= float(accuracy[1]) == round(100 * int(accuracy[2]) / 359, 2)


def test_every_epoch_has_a_line_and_the_matrix_agrees_with_the_accuracy(command):
    status, out, err = command("--epochs", 4)
    assert (status, err) == (0, "")
    lines = LINE.findall(out)
    assert [(number, total) for number, total, *_ in lines] == [(str(i), "4") for i in range(1, 5)]
    losses = [float(line[2]) for line in lines]
    assert losses == sorted(losses, reverse=True)
    rows = [
        [0 if entry == "." else int(entry) for entry in line.split()[1:11]]
        for line in out.splitlines()
        if re.match(r" +\d +[\d.]", line) and line.endswith(" %")
    ]
    matrix = np.array(rows)
    assert matrix.shape == (10, 10)
    assert matrix.sum() == 359
    assert f"({np.trace(matrix)} of 359)" in out
    assert lines[-1][5] == f"{100 * np.trace(matrix) / 359:.2f}"


def test_the_handouts_network_trains(command):
    status, out, _ = command("--network", "handout", "--epochs", 6, "--batch-size", 8, "--min-accuracy", 80)
    assert status == 0
    assert "64 → 12 → 10, ReLU, Sigmoid, mean squared error, 910 parameters" in out


def test_several_hidden_layers(command):
    status, out, _ = command("--hidden", 9, 7, "--epochs", 1)
    assert status == 0
    assert "64 → 9 → 7 → 10, ReLU, softmax cross-entropy, 735 parameters" in out


def test_data_in_mnists_form(command, mnist_like):
    status, out, _ = command("--data", mnist_like, "--epochs", 20, "--batch-size", 10, "--min-accuracy", 70)
    assert status == 0
    assert f"MNIST in {mnist_like}: 150 rows for training, 50 for testing" in out


def test_too_low_an_accuracy_fails(command):
    status, out, err = command("--epochs", 1, "--min-accuracy", 100)
    assert status == 1
    assert "test accuracy" in out
    assert err == "error: at least 100.0 % were asked for\n"


def test_a_bar_on_a_terminal_where_tqdm_is(command, monkeypatch):
    pytest.importorskip("tqdm", reason="tqdm is not installed: there is no bar")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    status, out, err = command("--epochs", 2)
    assert status == 0
    assert "epoch 1/2: " in err
    assert "/23 [" in err
    assert len(LINE.findall(out)) == 2


def test_plain_lines_on_a_terminal_without_tqdm(command, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    status, out, err = command("--epochs", 2)
    assert (status, err) == (0, "")
    assert len(LINE.findall(out)) == 2


def test_the_curves_are_drawn(command, tmp_path):
    image = pytest.importorskip(
        "matplotlib.image", reason="matplotlib is not installed: nothing to draw with"
    )
    path = tmp_path / "curves.png"
    status, out, _ = command("--epochs", 3, "--plot", path)
    assert status == 0
    assert f"curves in {path}" in out
    pixels = image.imread(path)[:, :, :3]
    assert pixels.shape == (540, 1350, 3)
    colours = np.unique((255 * pixels.reshape(-1, 3)).round().astype(int), axis=0).tolist()
    assert [255, 255, 255] in colours  # paper
    assert [31, 119, 180] in colours  # training
    assert [255, 127, 14] in colours  # test


def test_epochs_are_whole_numbers_also_where_there_is_one(monkeypatch, tmp_path):
    figure = pytest.importorskip(
        "matplotlib.figure", reason="matplotlib is not installed: nothing to draw with"
    )
    drawn = []
    monkeypatch.setattr(figure.Figure, "savefig", lambda self, path, dpi: drawn.append(self))
    report.plot_curves(tmp_path / "curves.png", np.full((1, 4), 0.5), "one epoch")
    ticks = [tick for axes in drawn[0].axes for tick in axes.get_xticks() if 0.9 < tick < 1.1]
    assert ticks == [1, 1]


# -- seeds and checkpoints ----------------------------------------------------------------------------


def test_equal_seeds_give_equal_bits_and_others_do_not(command, tmp_path):
    outputs = [
        command("--epochs", 2, "--seed", s, "--save", tmp_path / f"{i}")[1] for i, s in enumerate((5, 5, 6))
    ]
    assert outputs[0] == outputs[1] != outputs[2]
    assert_same(tmp_path / "0", tmp_path / "1")
    assert not np.array_equal(contents(tmp_path / "0")["linear 0 W"], contents(tmp_path / "2")["linear 0 W"])


@pytest.mark.parametrize("network", ["mlp", "handout"])
def test_a_resumed_run_is_bit_identical_to_an_uninterrupted_one(command, tmp_path, network):
    options = ("--network", network, "--momentum", 0.8, "--seed", 3)
    whole, part = tmp_path / "whole.npz", tmp_path / "part.npz"
    _, expected, _ = command(*options, "--epochs", 5, "--save", whole)
    command(*options, "--epochs", 2, "--save", part)
    status, out, _ = command("--resume", part, "--epochs", 5, "--save", part)
    assert status == 0
    assert [number for number, *_ in LINE.findall(out)] == ["3", "4", "5"]
    assert expected.endswith(out[out.index("  3/5") :])
    assert_same(whole, part)


def test_an_interrupted_run_goes_on_from_its_last_epoch(command, tmp_path, monkeypatch):
    whole, part = tmp_path / "whole", tmp_path / "part"
    command("--epochs", 4, "--save", whole)
    epoch = Run.epoch

    def interrupted(run: Run, label: str) -> np.ndarray:
        if len(run.history) == 2:
            raise KeyboardInterrupt
        return epoch(run, label)

    monkeypatch.setattr(Run, "epoch", interrupted)
    status, _, err = command("--epochs", 4, "--save", part)
    assert (status, err) == (130, f"interrupted; go on with --resume {part}\n")
    monkeypatch.setattr(Run, "epoch", epoch)
    assert command("--epochs", 4, "--resume", part, "--save", part)[0] == 0
    assert_same(whole, part)


def test_a_link_to_a_checkpoint_stays_a_link(command, tmp_path):
    path, link = tmp_path / "run", tmp_path / "link"
    link.symlink_to(path)
    assert command("--epochs", 1, "--save", link)[0] == 0
    assert command("--epochs", 2, "--resume", link, "--save", link)[0] == 0
    assert link.is_symlink()
    assert contents(path)["history"].shape == (2, 4)
    assert sorted(tmp_path.iterdir()) == [link, path]


def test_a_reader_that_leaves_early_is_told_nothing():
    arguments = [sys.executable, "-m", "models.mlp", *SMALL, "--epochs", "2"]
    with subprocess.Popen(
        arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


def test_a_finished_run_is_only_shown(command, tmp_path):
    path = tmp_path / "run"
    _, first, _ = command("--epochs", 2, "--save", path)
    status, out, _ = command("--epochs", 2, "--resume", path)
    assert status == 0
    assert LINE.findall(out) == []
    assert out.splitlines()[-13:] == first.splitlines()[-13:]


@pytest.mark.parametrize("failing", ["os.replace", "os.fsync", "numpy.savez"])
def test_a_failed_write_leaves_the_old_checkpoint(command, tmp_path, monkeypatch, failing):
    path = tmp_path / "run"
    command("--epochs", 1, "--save", path)
    before = path.read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(failing, fail)
    status, _, err = command("--epochs", 2, "--resume", path, "--save", path)
    assert (status, err) == (1, "error: no space left on device\n")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_every_damaged_checkpoint_is_refused_or_unharmed(command, tmp_path):
    path, damaged = tmp_path / "run", tmp_path / "damaged"
    command("--epochs", 1, "--save", path)
    content, expected = path.read_bytes(), contents(path)
    messages = []
    positions = np.random.default_rng(0).integers(0, len(content), 300)
    versions = [content[:i] for i in positions[:100]]
    versions += [content[:i] + bytes([content[i] ^ (1 << i % 8)]) + content[i + 1 :] for i in positions]
    for version in versions:
        damaged.write_bytes(version)
        try:
            parameters = checkpoint.load_checkpoint(damaged).parameters
        except checkpoint.DataError as error:
            messages.append(str(error))
        else:  # a flipped bit in a date or an attribute of the archive, which carries no value
            for name, array in parameters.items():
                np.testing.assert_array_equal(array, expected[name])
    assert len(messages) > 350
    assert all(message.startswith(f"{damaged}: ") for message in messages)


def rewritten(path: Path, **changes: object) -> Path:
    """Write a checkpoint again with other entries; None leaves one out."""
    entries = {name: array for name, array in contents(path).items() if name not in changes}
    entries |= {name: np.array(value) for name, value in changes.items() if value is not None}
    with open(path, "wb") as file:
        np.savez(file, **entries)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "something else"}, "not a checkpoint of models.mlp, or one of another version"),
        ({"history": None}, "not a checkpoint of models.mlp: it holds no entry 'history'"),
        ({"configuration": "{}"}, "the checkpoint's settings do not make a run"),
        ({"configuration": '{"hidden": [12], "depth": 3}'}, "the checkpoint's settings do not make a run"),
        ({"rng_state": '{"bit_generator": "MT19937"}'}, "the checkpoint's settings do not make a run"),
        ({"data": '"another"'}, "the checkpoint was made on other data than the UCI digits"),
        (
            {"linear 0 W": np.zeros((3, 2))},
            r"linear 0 W should be float32 of shape \(12, 64\), but .* float64 of",
        ),
        ({"linear 1 b": None}, r"expected the arrays \['linear 0 W', .*, but the checkpoint holds \["),
        ({"configuration": "[1,"}, "the checkpoint's settings are no JSON"),
        ({"configuration": '{"hidden": [12], "batch_size": "x"}'}, "batch_size: expected int, got 'x'"),
        (
            {"configuration": '{"hidden": ["x"]}'},
            r"there is no network 'mlp' with hidden layers of \('x',\) units",
        ),
        ({"configuration": '{"hidden": [12], "network": "cnn"}'}, "there is no network 'cnn'"),
        (
            {"history": np.zeros(3)},
            r"the history should have 4 columns of float64, got float64 of shape \(3,\)",
        ),
        ({"history": np.array([["0"] * 4])}, r"4 columns of float64, got <U1 of shape \(1, 4\)"),
    ],
)
def test_a_foreign_checkpoint_is_refused(command, tmp_path, changes, message):
    path = tmp_path / "run"
    command("--epochs", 1, "--save", path)
    rewritten(path, **changes)
    status, out, err = command("--resume", path)
    assert (status, out) == (1, "")
    assert re.fullmatch(f"error: {re.escape(str(path))}: .*{message}.*\n", err), err


@pytest.mark.parametrize("content", [b"", b"hello", b"\x93NUMPY\x01\x00", b"PK\x03\x04"])
def test_what_is_no_archive_is_refused(command, tmp_path, content):
    path = tmp_path / "run"
    path.write_bytes(content)
    status, out, err = command("--resume", path)
    assert (status, out) == (1, "")
    assert err == f"error: {path}: not a checkpoint, or cut short: it is no whole npz file\n"


def test_a_missing_checkpoint_is_named(command, tmp_path):
    status, out, err = command("--resume", tmp_path / "nowhere")
    assert (status, out) == (1, "")
    assert "nowhere" in err


def test_other_data_than_the_checkpoints_are_refused(command, tmp_path, mnist_like):
    command("--epochs", 1, "--save", tmp_path / "run")
    status, out, err = command("--resume", tmp_path / "run", "--data", mnist_like)
    assert (status, out) == (1, "")
    assert "run: the checkpoint was made on other data than MNIST in" in err


# -- what it refuses ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--epochs", "0"], "--epochs: expected an integer from 1, got '0'"),
        (["--epochs", "2.5"], "--epochs: expected an integer from 1, got '2.5'"),
        (["--batch-size", "-3"], "--batch-size: expected an integer from 1, got '-3'"),
        (["--hidden", "10", "0"], "--hidden: expected an integer from 1, got '0'"),
        (["--lr", "nan"], "--lr: expected a number from 0, got 'nan'"),
        (["--lr", "inf"], "--lr: expected a number from 0, got 'inf'"),
        (["--momentum", "1"], "--momentum: expected a number from 0 to below 1, got '1'"),
        (["--seed", "-1"], "--seed: expected an integer from 0 to below 4294967296, got '-1'"),
        (["--network", "cnn"], "--network: invalid choice: 'cnn'"),
        (["--network", "handout", "--hidden", "5", "5"], "the hand-out's network has 1 hidden layer, got 2"),
    ],
)
def test_options_that_make_no_sense(command, options, message):
    status, out, err = command(*options)
    assert (status, out) == (2, "")
    assert message in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--lr", "0.5"], "--lr: {} was made with 0.1, got 0.5: leave --lr out"),
        (["--batch-size", "32"], "--batch-size: {} was made with 64, got 32: leave --batch-size out"),
        (["--hidden", "12", "3"], "--hidden: {} was made with (12,), got (12, 3): leave --hidden out"),
        (["--epochs", "1"], "--epochs: {} holds 2 epochs, got 1 in all"),
    ],
)
def test_options_that_contradict_the_checkpoint(command, tmp_path, options, message):
    path = tmp_path / "run"
    command("--epochs", 2, "--save", path)
    status, out, err = command("--resume", path, *options)
    assert (status, out) == (2, "")
    assert message.format(path) in err


def test_a_missing_file_of_mnist_is_named_before_training(command, mnist_like):
    (mnist_like / "t10k-labels-idx1-ubyte.gz").unlink()
    status, out, err = command("--data", mnist_like)
    assert (status, out) == (1, "")
    assert err == (
        f"error: 1 of MNIST's 4 files are missing in {mnist_like}: "
        "t10k-labels-idx1-ubyte (each with or without .gz)\n"
    )


def test_a_damaged_file_of_mnist_is_named_before_training(command, mnist_like):
    path = mnist_like / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:500])
    status, out, err = command("--data", mnist_like)
    assert (status, out) == (1, "")
    assert err.startswith(f"error: {path}: the gzipped file is cut short")


@pytest.mark.parametrize("option", ["--save", "--plot"])
def test_a_place_that_cannot_be_written_is_refused_before_training(command, tmp_path, option):
    for path in (tmp_path / "no" / "file.png", tmp_path):
        status, out, err = command(option, path)
        assert (status, out) == (1, "")
        assert err == f"error: {option} {path}: expected the name of a file in a folder that exists\n"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_what_is_no_file_is_not_replaced_by_a_checkpoint(command, tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    status, out, err = command("--save", path, "--epochs", 1)
    assert (status, out) == (1, "")
    assert err == f"error: --save {path}: expected the name of a file, but this is a device or a pipe\n"
    assert path.is_fifo()


def test_a_network_too_large_for_the_memory_is_said(command):
    status, out, err = command("--hidden", 10**15)
    assert (status, out) == (1, "")
    assert re.fullmatch(
        r"error: out of memory: Unable to allocate .*; try a smaller --hidden or --batch-size\n", err
    )


def test_a_picture_in_an_unknown_format_is_refused_before_training(command, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: nothing to draw with")
    status, out, err = command("--plot", tmp_path / "curves.txt")
    assert (status, out) == (1, "")
    assert re.search(r"curves\.txt: expected a name that ends in one of .*\.png", err)


def test_a_plot_without_matplotlib_is_refused_before_training(command, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    status, out, err = command("--plot", tmp_path / "curves.png")
    assert (status, out) == (1, "")
    assert err.startswith("error: --plot needs matplotlib")
    assert err.endswith("install it with: pip install matplotlib\n")


def test_a_run_that_diverges_is_refused_and_keeps_its_last_good_checkpoint(command, tmp_path):
    path = tmp_path / "run"
    status, out, err = command("--lr", 1e30, "--save", path)
    assert status == 1
    assert re.fullmatch(
        r"error: training diverged in epoch 1/30: the loss is (nan|inf); try a smaller --lr\n", err
    )
    assert LINE.findall(out) == []
    assert not path.exists()


def test_the_report_of_an_empty_class():
    assert report.format_confusion(np.array([[0, 0], [1, 3]])).splitlines()[1].split()[-1] == "-"
