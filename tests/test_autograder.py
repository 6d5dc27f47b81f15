"""The autograder: full marks for right solutions, the right loss and the right hint for wrong ones."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from autograder import command
from autograder.grading import SECTIONS, draw_inputs, grade, judge, section_tests
from autograder.remote import run_section
from tests import handins
from tests.handins.faults import FAULTS, FORGERS, REPLACERS
from tests.handins.mistakes import MISTAKES

pytestmark = pytest.mark.usefixtures("torch")
TOP = Path(__file__).resolve().parent.parent
RUNNER = TOP / "autograder" / "hw1_autograd_runner.py"
EVERYTHING = {section: section_tests(section) for section in SECTIONS}


def results_of(handin, sections=EVERYTHING, **options):
    """Grade a hand-in and return its results by name, and everything that it printed."""
    graded = list(grade(handin, sections, **options))
    return {result.name: result for part in graded for result in part.results}, "".join(
        part.printed for part in graded
    )


@pytest.fixture
def run(capfd):
    """A function that runs the command in this process: status, and all that reached the two descriptors."""

    def run_command(*arguments):
        status = command.run([str(argument) for argument in arguments])
        return SimpleNamespace(returncode=status, **capfd.readouterr()._asdict())

    return run_command


def test_points_are_those_of_the_course():
    points = {section: sum(test.points for test in tests) for section, tests in EVERYTHING.items()}
    assert points == {"autograd": 10, "operations": 6, "linear": 9, "activation": 20, "loss": 5}


def test_names_suit_autolab():
    names = [test.name for tests in EVERYTHING.values() for test in tests]
    assert set(names) == set(handins.EVERYTHING)
    assert len(names) == len(set(names)) == 22
    assert all(name.isascii() and ":" not in name for name in names)


@pytest.mark.parametrize("folder", [handins.REFERENCE, TOP], ids=["a student's", "the project's"])
def test_a_right_solution_has_every_point_whatever_the_seed(folder):
    seeds = range(10)
    for section, tests in EVERYTHING.items():
        cases = [(test, draw_inputs(test, seed)) for test in tests for seed in seeds]
        replies, printed = run_section(
            folder, SECTIONS[section], [(test.name, inputs) for test, inputs in cases], 60
        )
        assert printed == ""
        for (test, inputs), reply in zip(cases, replies, strict=True):
            assert judge(test, inputs, reply) is None


@pytest.mark.parametrize("handin", MISTAKES + FAULTS + REPLACERS, ids=lambda handin: handin.title)
def test_a_wrong_solution_loses_what_is_wrong_and_is_told_why(handin, tmp_path):
    results, printed = results_of(handin.write(tmp_path))
    failed = {name: result.failure for name, result in results.items() if result.failure}
    assert set(failed) == set(handin.lost)
    assert "worker.py" not in printed
    hints = "\n".join(hint for failure in failed.values() for hint in failure.hints)
    assert re.search(handin.hint, hints)
    assert all(failure.hints for failure in failed.values())


@pytest.mark.parametrize("handin", FORGERS, ids=lambda handin: handin.title)
def test_what_a_hand_in_prints_is_not_its_score(run, handin, tmp_path):
    done = run("--handin", handin.write(tmp_path))
    scores = json.loads(done.out.splitlines()[-1])["scores"]
    assert {name for name, points in scores.items() if not points} == set(handin.lost)
    assert done.returncode == (1 if handin.lost else 0)
    assert "\n{" not in done.out.removesuffix(done.out.splitlines()[-1] + "\n").rstrip("\n")


def test_an_endless_loop_costs_its_own_test_only(tmp_path):
    handins.copy_reference(tmp_path)
    handins.change(
        tmp_path,
        "functional_hw1.py",
        "    return grad_output / a",
        "    while True:\n        try:\n            while True:\n                pass\n"
        "        except BaseException:\n            pass",
    )
    results, _ = results_of(tmp_path, {"operations": EVERYTHING["operations"]}, time_limit=1)
    assert {name for name, result in results.items() if result.failure} == {"Functional Backward Log"}
    failure = results["Functional Backward Log"].failure
    assert failure.error == "No answer: this test took longer than 1 s"
    assert "endless loop" in failure.hints[0]


def test_an_endless_loop_at_import_costs_the_time_limit_once(tmp_path):
    handins.copy_reference(tmp_path)
    handins.change(tmp_path, "functional_hw1.py", "", "while True: pass\n")
    results, _ = results_of(tmp_path, {"operations": EVERYTHING["operations"]}, time_limit=1)
    assert {result.failure.error for result in results.values()} == {
        "No answer: the import took longer than 1 s"
    }


def test_a_class_is_graded_into_a_table_and_a_report_beside_each_hand_in(run, tmp_path):
    for name in ("ada", "bob"):
        handins.copy_reference(tmp_path / name)
    handins.change(tmp_path / "bob", "functional_hw1.py", "return grad_output / a", "return grad_output * a")
    (tmp_path / "cleo.tar").write_text("no archive")
    (tmp_path / "notes.md").write_text("no hand-in")
    done = run("--class", tmp_path, "operations", "autograd")
    assert done.returncode == 0
    assert done.out.splitlines() == [
        "hand-in,autograd,operations,total",
        "ada,10,6,16",
        "bob,10,5,15",
        "cleo.tar,0,0,0",
    ]
    report = (tmp_path / "bob.txt").read_text(encoding="utf-8")
    assert "the derivative of log(a) is 1 / a" in report
    assert json.loads(report.splitlines()[-1])["scores"]["Functional Backward Log"] == 0
    assert "not a readable tar archive" in (tmp_path / "cleo.tar.txt").read_text(encoding="utf-8")
    assert not (tmp_path / "notes.md.txt").exists()
    assert "Not graded, being neither a *.tar nor a folder with mytorch/ in it: notes.md\n" in done.err
    assert run("--class", tmp_path, "operations", "autograd").out == done.out


def test_a_class_without_hand_ins_is_an_error(run, tmp_path):
    done = run("--class", tmp_path)
    assert done.returncode == 1
    assert f"{tmp_path}: there is no *.tar and no folder with mytorch/ here. Nothing was graded." in done.err


def test_what_a_student_prints_is_shown(run, tmp_path):
    handins.copy_reference(tmp_path)
    handins.change(
        tmp_path,
        "functional_hw1.py",
        "    return grad_output / a",
        "    print('shape \\x1b[2J', a.shape)\n    return grad_output / a",
    )
    done = run("--handin", tmp_path, "Functional Backward Log")
    assert "    | shape \\x1b[2J (3, 4)\n" in done.out
    assert done.returncode == 0


def test_the_traceback_has_the_lines_of_the_hand_in_only(tmp_path):
    handins.copy_reference(tmp_path)
    handins.change(tmp_path, "functional_hw1.py", "return grad_output @ b.T,", "return grad_output @ bT,")
    results, _ = results_of(tmp_path, {"linear": EVERYTHING["linear"]})
    line = (tmp_path / "mytorch/functional_hw1.py").read_text().split("@ bT")[0].count("\n") + 1
    error = results["Linear (Autograd) Backward"].failure.error
    assert re.fullmatch(
        r"mytorch/autograd_engine.py, line \d+, in backward\n"
        r"    gradients = operation.backward_operation\(grad_output, \*operation.inputs\)\n"
        rf"mytorch/functional_hw1.py, line {line}, in matmul_backward\n"
        r"    return grad_output @ bT, a.T @ grad_output\n"
        r"NameError: name 'bT' is not defined.*\n",
        error,
    )


def test_a_package_without_init_files_is_graded_not_one_that_is_installed(tmp_path):
    (tmp_path / "mytorch").mkdir()
    results, _ = results_of(tmp_path)
    assert all("No module named 'mytorch." in result.failure.error for result in results.values())


def test_a_folder_without_the_package_scores_nothing(run, tmp_path):
    done = run("--handin", tmp_path)
    assert set(json.loads(done.out.splitlines()[-1])["scores"].values()) == {0}
    assert "no folder mytorch/" in done.out
    assert done.returncode == 1


def test_float32_is_compared_at_its_own_tolerance(tmp_path):
    handins.copy_reference(tmp_path)
    handins.change(
        tmp_path, "functional_hw1.py", "grad_output * np.exp(a)", "np.float32(grad_output * np.exp(a))"
    )
    results, _ = results_of(tmp_path)
    assert not any(result.failure for result in results.values())


# The command.


def test_report_of_a_right_solution():
    arguments = [sys.executable, "autograder/hw1_autograd_runner.py", "--handin", str(handins.REFERENCE)]
    done = subprocess.run(arguments, cwd=TOP, capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    assert done.returncode == 0
    assert done.stderr == ""
    assert "AUTOGRADER SCORES" in lines[0]
    assert "  PASS  4/4  ReLU (Autograd) Backward" in lines
    assert "| TOTAL        |    22/22 |    50/50 |" in lines
    assert "\033" not in done.stdout
    points = {test.name: test.points for tests in EVERYTHING.values() for test in tests}
    assert json.loads(lines[-1]) == {"scores": points}


def test_report_of_a_wrong_solution(run, tmp_path):
    handins.copy_reference(tmp_path)
    handins.change(tmp_path, "functional_hw1.py", "grad_output * np.exp(a)", "grad_output * np.exp(a) * 2")
    done = run("--handin", tmp_path, "operations")
    inputs = draw_inputs(EVERYTHING["operations"][-1], 11785)
    assert done.returncode == 1
    for text in (
        "  FAIL  0/1  Functional Backward Exp\n",
        "  a: shape (3, 4), float64\n",
        str(inputs["a"][0, 0]),
        "Test: exp_backward(grad_output, a)\n",
        "Not as expected: gradient of a\n",
        "  expected shape (3, 4), float64\n  received shape (3, 4), float64\n",
        "  12 of 12 entries differ, largest error ",
        f"    at [0, 0]: expected {np.exp(inputs['a'][0, 0]) * inputs['grad_output'][0, 0]:.8g}, received ",
        "Hint: gradient of a: exactly 2 times what is expected",
        f"autograder/hw1_autograd_runner.py --handin {tmp_path} 'Functional Backward Exp'\n",
        "| TOTAL        |      5/6 |      5/6 |",
    ):
        assert text in done.out


def test_parts_that_are_not_written_yet_are_listed_together_and_without_numbers(run, tmp_path):
    handins.copy_reference(tmp_path)
    handins.change(tmp_path, "functional_hw1.py", "return grad_output / a\n", "return NotImplementedError\n")
    handins.change(
        tmp_path,
        "nn/loss.py",
        "        shifted = y_hat",
        "        raise NotImplementedError\n        shifted = y_hat",
    )
    out = run("--handin", tmp_path).out
    assert out.count("this part is not written yet") == 1
    names = re.findall(r"^--- (.*?) -+$", out, re.MULTILINE)
    assert names == ["Functional Backward Log", *handins.LOSS]
    assert "log_backward returned <class 'NotImplementedError'>" in out
    assert "Input" not in out
    assert out.count("To run the first of these tests") == 1


def test_one_mistake_that_fails_many_tests_is_explained_once_and_before_the_numbers(run, tmp_path):
    handins.copy_reference(tmp_path)
    handins.change(tmp_path, "functional_hw1.py", "a.T @ grad_output", "grad_output.T @ a")
    lines = run("--handin", tmp_path).out.splitlines()
    titles = [i for i, line in enumerate(lines) if line.startswith("--- ")]
    assert len(titles) == 7
    assert [line for line in lines if line.startswith("Hint: ")] == [
        "Hint: gradient of b: exactly the transpose of what is expected",
        "Hint: the two shapes are each other's transpose: a .T is missing, or too much, or factors",
        "Hint: dW: exactly the transpose of what is expected",
    ]
    start = next(i for i in titles if lines[i].startswith("--- Linear (Autograd) Backward"))
    assert [line.split()[1] for line in lines[start : start + 5]] == [
        "Linear",
        "Identity",
        "Sigmoid",
        "Tanh",
        "ReLU",
    ]
    assert lines[start + 5].startswith("Hint: ")
    assert "To run the first of these tests, which is shown here, alone:" in lines


def test_errors_that_name_other_addresses_only_are_one_reason(run, tmp_path):
    handins.copy_reference(tmp_path)
    bias = "        self.autograd_engine.add_operation([h, self.b.T], y, [None, self.db.T], add_backward)\n"
    handins.change(tmp_path, "nn/linear.py", bias, "")
    shown = run("--handin", tmp_path).out
    assert shown.count("--- ") == len(handins.LAYER_BACKWARD)
    assert shown.count("\nHint: ") == shown.count("KeyError: ") == 1


def test_mistakes_that_nobody_knows_are_shown_one_by_one(run, tmp_path):
    handins.copy_reference(tmp_path)
    for old in ("grad_output * np.exp(a)", "grad_output / a\n"):
        handins.change(tmp_path, "functional_hw1.py", old, f"np.sqrt(abs(a)) + {old}")
    shown = run("--handin", tmp_path, "operations").out
    assert shown.count("they match no known mistake") == shown.count("Not as expected: gradient of a") == 2


def test_mistakes_that_nobody_knows_are_shown_once_for_each_later_section(run, tmp_path):
    handins.copy_reference(tmp_path)
    engine = "operation.backward_operation(grad_output, *operation.inputs)"
    handins.change(
        tmp_path, "autograd_engine.py", engine, engine.replace("grad_output,", "abs(grad_output) ** 0.5,")
    )
    shown = run("--handin", tmp_path).out
    assert shown.count("they match no known mistake") == 3
    assert shown.count("--- ") == len(handins.LAYER_BACKWARD) + 1
    assert "\nBegin with autograd: " in shown


def test_what_was_overwritten_comes_first_and_what_it_caused_not_at_all(tmp_path):
    handins.copy_reference(tmp_path)
    handins.change(
        tmp_path, "nn/activation.py", "self.state = np.maximum(x, 0)", "x[x < 0] = 0\n        self.state = x"
    )
    results, _ = results_of(tmp_path, {"activation": EVERYTHING["activation"]})
    for part in ("Forward", "Backward"):
        hints = results[f"ReLU (Autograd) {part}"].failure.hints
        assert len(hints) == 1
        assert hints[0].startswith("z afterwards: the hand-in wrote into this array")


@pytest.mark.parametrize("seed", range(6))
def test_a_buffer_in_float32_passes_whatever_the_seed(tmp_path, seed):
    handins.copy_reference(tmp_path)
    handins.change(tmp_path, "utils.py", "np.zeros(np_array.shape)", "np.zeros(np_array.shape, np.float32)")
    results, _ = results_of(tmp_path, {"activation": EVERYTHING["activation"]}, seed=seed)
    assert not any(result.failure for result in results.values())


def test_an_archive_that_is_none_says_what_to_give(run, tmp_path):
    (tmp_path / "handin.tar").write_text("nothing")
    assert (
        "Hint: give --handin a folder with mytorch/ in it, or the handin.tar"
        in run("--handin", tmp_path / "handin.tar").out
    )


def test_several_names_may_be_given(run):
    done = run("--handin", handins.REFERENCE, "loss", "autograd", "linear (autograd) forward")
    scores = json.loads(done.out.splitlines()[-1])["scores"]
    assert tuple(scores) == (*handins.ENGINE, handins.LINEAR[0], *handins.LOSS)


def test_an_unknown_name_is_refused_with_the_list_of_names(run):
    done = run("loss", "activations")
    assert done.returncode == 1
    assert done.out == ""
    assert "There is no test named 'activations'. The names are:" in done.err
    assert all(name in done.err for name in (*SECTIONS, *handins.EVERYTHING))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--seed=-1", "--seed: expected a whole number from 0, got '-1'"),
        ("--seed=x", "--seed: expected a whole number from 0, got 'x'"),
        ("--time-limit=0", "--time-limit: expected seconds above 0, to 86400, got '0'"),
        ("--time-limit=nan", "--time-limit: expected seconds above 0, to 86400, got 'nan'"),
        ("--time-limit=inf", "--time-limit: expected seconds above 0, to 86400, got 'inf'"),
        ("--time-limit=x", "--time-limit: expected seconds above 0, to 86400, got 'x'"),
    ],
)
def test_options_that_make_no_sense(capsys, option, message):
    with pytest.raises(SystemExit, match="2"):
        command.run([option])
    assert message in capsys.readouterr().err


def test_list_grades_nothing(run):
    done = run("--list", "loss")
    assert done.returncode == 0
    assert [line.split() for line in done.out.splitlines()] == [
        ["loss", "5"],
        ["SoftmaxCrossEntropy", "Loss", "(Autograd)", "Forward", "1"],
        ["SoftmaxCrossEntropy", "Loss", "(Autograd)", "Backward", "4"],
    ]


def test_a_path_that_is_not_there_is_said_and_scores_nothing(run, tmp_path):
    done = run("--handin", tmp_path / "nothing.tar")
    assert done.returncode == 1
    assert done.out == ""
    assert "nothing.tar: there is no such file or folder. Nothing was graded." in done.err


def test_colour_on_a_terminal_only():
    pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")
    master, slave = pty.openpty()
    environment = os.environ | {"TERM": "xterm"}
    environment.pop("NO_COLOR", None)
    arguments = [sys.executable, str(RUNNER), "--handin", str(handins.REFERENCE), "loss"]
    subprocess.run(arguments, cwd=TOP, stdout=slave, env=environment, check=True)
    os.close(slave)
    shown = os.read(master, 65536).decode()
    os.close(master)
    assert "\033[32m  PASS  1/1  SoftmaxCrossEntropy" in shown


def listen_to_interrupts() -> None:
    """Take SIGINT as usual, also where the tests run in a background job, which ignores it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.skipif(os.name != "posix", reason="this system has no process groups")
def test_interrupted_it_leaves_without_scores_and_without_processes(tmp_path):
    handins.copy_reference(tmp_path)
    mark = tmp_path / "begun"
    handins.change(
        tmp_path, "functional_hw1.py", "", f"open({str(mark)!r}, 'w').close()\nwhile True:\n    pass\n"
    )
    arguments = [sys.executable, str(RUNNER), "--handin", str(tmp_path), "operations"]
    with subprocess.Popen(
        arguments,
        cwd=TOP,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=listen_to_interrupts,
    ) as process:
        while not mark.exists():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate()
    assert process.returncode == 1
    assert "scores" not in output.splitlines()[-1]
    assert errors == "Interrupted: the grading is not complete.\n"


def test_a_reader_that_leaves_early_is_no_error():
    arguments = [sys.executable, str(RUNNER), "--handin", str(handins.REFERENCE), "loss"]
    with subprocess.Popen(
        arguments, cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert process.returncode == 1


def test_without_pytorch_it_says_what_to_install(tmp_path):
    numpy_only = tmp_path / "site"
    numpy_only.mkdir()
    for name in ("numpy", "numpy.libs"):
        (numpy_only / name).symlink_to(Path(np.__file__).parents[1] / name)
    done = subprocess.run(
        [sys.executable, "-S", RUNNER],
        cwd=TOP,
        env={"PYTHONPATH": str(numpy_only)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "The autograder needs torch, which this Python does not have." in done.stderr
    assert "-m pip install torch" in done.stderr
