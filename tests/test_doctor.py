"""The doctor: what it reads of a machine, what it advises from given rates, and its two commands as users run them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mytorch import doctor
from mytorch.doctor import __main__ as command
from mytorch.doctor import facts, gemm, report
from mytorch.doctor import rates as measuring
from mytorch.doctor.advice import Advice, advise
from mytorch.doctor.rates import Measurement, candidates, measure, shortlist, thread_variable
from tests.conftest import ROOT

XEON = """processor\t: 0
model name\t: Intel(R) Xeon(R) Gold 6140 CPU @ 2.30GHz
flags\t\t: fpu sse2 fma sse4_2 avx avx2 avx512f avx512dq avx512cd avx512bw avx512vl
"""
GRAVITON = "processor\t: 0\nFeatures\t: fp asimd aes sve\nCPU part\t: 0xd40\n"
SMALL = doctor.Case("square float64", 4, (5, 6, 3), "float64")


def here(**changes: object) -> dict[str, object]:
    """A machine with AVX-512, on which OpenBLAS runs its AVX2 kernels on two of two cores."""
    blas = {"name": "OpenBLAS", "version": "0.3.31", "configuration": None, "kernel": "Haswell", "threads": 2}
    blas |= {"threading": "pthreads", "library": None, "source": "the library itself"}
    known = {
        "processor": "Xeon",
        "architecture": "x86_64",
        "system": "Linux",
        "cores": 2,
        "cores_of_machine": 2,
    }
    known |= {"quota": None, "python": "3.11", "numpy": "2.4", "simd": {"baseline": [], "found": []}}
    known |= {"instructions": facts.instructions(XEON, []), "variables": {}}
    return known | {"blas": blas | changes.pop("blas", {})} | changes  # type: ignore[operator]


# -- the machine --------------------------------------------------------------------------------------


def test_a_processor_is_read_from_what_linux_says():
    assert facts.processor(XEON) == "Intel(R) Xeon(R) Gold 6140 CPU @ 2.30GHz"
    assert "avx512vl" in facts.instructions(XEON, [])
    assert "fpu" not in facts.instructions(XEON, [])
    assert facts.instructions(GRAVITON, ["X86_V4"]) == ["asimd", "sve"]
    assert facts.processor("") != ""


@pytest.mark.parametrize("names", [["X86_V3", "X86_V4"], ["FMA3", "AVX2", "AVX512_SKX"]])
def test_without_linux_numpys_word_counts(names):
    assert set(facts.instructions("", names)) == facts.SKYLAKE


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "max 100000"}, None),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "150000 100000"}, 1.5),
        (
            {
                "proc/self/cgroup": "0::/a/b",
                "sys/fs/cgroup/a/b/cpu.max": "400000 100000",
                "sys/fs/cgroup/a/cpu.max": "200000 100000",
            },
            2.0,
        ),
        (
            {
                "proc/self/cgroup": "3:memory:/m\n4:cpu,cpuacct:/docker/1",  # the host's path: not in the container
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            0.5,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu:/",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            None,
        ),
    ],
)
def test_the_quota_is_the_least_on_the_way_to_the_root(tmp_path, files, expected):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    assert facts.quota(tmp_path) == expected


@pytest.mark.parametrize(("granted", "expected"), [(None, 8), (2.5, 3), (0.5, 1), (64.0, 8)])
def test_cores_are_limited_by_affinity_and_quota(monkeypatch, granted, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(facts, "quota", lambda: granted)
    assert facts.cores() == expected


def test_the_machine_is_told_in_json_and_in_a_line():
    found = doctor.machine()
    assert json.loads(json.dumps(found)) == found
    line = doctor.describe(found)
    assert f"NumPy {np.__version__}, {found['blas']['name']}" in line
    assert line.count("\n") == 0


def test_a_loaded_openblas_tells_its_kernel_and_threads():
    if not gemm.libraries():
        pytest.skip("NumPy's BLAS is no OpenBLAS here")
    code = "import json; from mytorch.doctor import gemm; print(json.dumps(gemm.openblas()))"
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, check=True
    )
    told = json.loads(done.stdout)
    assert told["threads"] == 1
    assert told["kernel"] in told["configuration"]
    assert Path(told["library"]).exists()


def test_threadpoolctl_says_the_same_where_it_is_installed():
    pytest.importorskip("threadpoolctl", reason="threadpoolctl is not installed: nothing to compare with")
    found, own = facts.blas(), gemm.openblas()
    assert found["source"] == "threadpoolctl"
    assert own == {} or [found["kernel"], found["threads"]] == [own["kernel"], own["threads"]]


def test_without_openblas_and_threadpoolctl_numpys_configuration_remains(monkeypatch):
    built = {"Build Dependencies": {"blas": {"name": "accelerate", "version": "unknown"}}}
    monkeypatch.setattr(np, "show_config", lambda mode: built)
    monkeypatch.setattr(gemm, "openblas", dict)
    monkeypatch.setitem(sys.modules, "mytorch.extras.threadpools", None)
    monkeypatch.setattr(sys, "platform", "darwin")
    found = facts.machine()
    assert found["blas"]["name"] == "Accelerate"
    text = report.show_machine(found)
    assert re.search(r"kernels +not found; with `pip install threadpoolctl` it may be", text)
    assert re.search(r"told by +NumPy's configuration", text)
    assert "Accelerate" in doctor.describe(found)


# -- what to try --------------------------------------------------------------------------------------


def test_kernels_and_threads_are_crossed():
    tried = candidates(here())
    assert tried[:2] == [{}, {"OPENBLAS_NUM_THREADS": "1"}]
    assert {"OPENBLAS_CORETYPE": "SkylakeX", "OPENBLAS_NUM_THREADS": "1"} in tried
    assert {setting.get("OPENBLAS_CORETYPE") for setting in tried} == {None, "Zen", "SkylakeX"}


def test_more_threads_than_cores_are_reduced_to_them():
    assert {"OPENBLAS_NUM_THREADS": "2"} in candidates(here(blas={"threads": 64}))


def test_other_makes_have_threads_only():
    assert candidates(here(blas={"name": "MKL"})) == [{}, {"MKL_NUM_THREADS": "1"}]
    assert candidates(here(blas={"name": "unknown BLAS", "threads": None}))[1:] == [
        {"OMP_NUM_THREADS": "1"},
        {"OMP_NUM_THREADS": "2"},
    ]
    assert thread_variable({"name": "OpenBLAS", "threading": "openmp"}) == "OMP_NUM_THREADS"


def test_the_shortlist_has_the_widest_kernel_and_leaves_threads_alone_that_are_set():
    one, kernel = {"OPENBLAS_NUM_THREADS": "1"}, {"OPENBLAS_CORETYPE": "SkylakeX"}
    assert shortlist(here()) == [{}, one, kernel, kernel | one]
    assert shortlist(here(variables={"OMP_NUM_THREADS": "2"})) == [{}, kernel]
    assert shortlist(here(blas={"kernel": "Cooperlake", "threads": 1})) == [{}]
    assert shortlist(here(blas={"kernel": "Prescott", "threads": 1}, instructions=["avx2", "fma"])) == [
        {},
        {"OPENBLAS_CORETYPE": "Haswell"},
    ]


# -- measuring ----------------------------------------------------------------------------------------


def test_a_turn_computes_the_products_of_a_step():
    step, operations = gemm.prepare(SMALL)
    assert [product.shape for product in step()] == [(4, 6), (6, 5), (4, 3), (3, 6), (4, 6)]
    assert operations == 2 * 4 * (2 * 5 * 6 + 3 * 6 * 3)
    single = gemm.prepare(SMALL._replace(rows=1))[0]()
    assert [product.shape for product in single] == [(1, 6), (6, 5), (1, 3), (3, 6), (1, 6)]
    answer = gemm.turn([SMALL], 0.001)
    assert answer["rates"]["square float64"] > 0
    assert len(answer["sums"]["square float64"]) == 4 + 6 + 4 + 3 + 4


def test_every_entry_weighs_in_the_sums():
    arrays = gemm.prepare(SMALL)[0]()
    before = gemm.row_sums(arrays)
    for array in arrays:
        for place in np.ndindex(array.shape):
            changed = [a.copy() for a in arrays]
            next(c for c, a in zip(changed, arrays, strict=True) if a is array)[place] += 0.01
            assert not measuring.agree(gemm.row_sums(changed), before, 1e-6)


WORKER = """
import json, os, runpy, signal, sys, time
kernel = os.environ.get("OPENBLAS_CORETYPE")
if kernel == "Crash":
    os.kill(os.getpid(), signal.SIGILL)
if kernel == "Hang":
    time.sleep(60)
if kernel == "Refuse":
    sys.exit("no such kernel")
if kernel == "Babble":
    print("hello")
    sys.exit()
sums = [1.0, 2.0, float("nan") if kernel == "Wrong" else 3.0]
blas = {"kernel": "Plain" if kernel == "Alias" else kernel or "Plain", "threads": 1}
print(json.dumps({"blas": blas, "rates": {"square float64": 30.0 if kernel == "Fast" else 10.0},
                  "sums": {"square float64": sums}}))
"""


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that does turns of which the kernel asked for decides the outcome."""
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    path = tmp_path / "worker.py"
    path.write_text(WORKER)
    return path


def run(worker: Path, *kernels: str, limit: float = 30.0) -> list[Measurement]:
    """Measure kernels beside the present one, in two rounds."""
    settings = [{}, *({"OPENBLAS_CORETYPE": kernel} for kernel in kernels)]
    return measure(settings, [SMALL], rounds=2, seconds=0.0, worker=worker, limit=limit)


@pytest.mark.parametrize(
    ("kernel", "failure"),
    [
        ("Crash", f"crashed ({signal.strsignal(signal.SIGILL)})"),
        ("Refuse", "ended with status 1: no such kernel"),
        ("Wrong", "computed wrong numbers (square float64)"),
        ("Babble", r"gave no measurement but 'hello\n'"),
    ],
)
def test_what_fails_is_told_and_never_recommended(worker, kernel, failure):
    measured = run(worker, kernel, "Fast")
    assert [entry.failure for entry in measured] == [None, failure, None]
    advice = advise(measured)
    assert advice.setting == {"OPENBLAS_CORETYPE": "Fast"}
    assert advice.gain == pytest.approx(3.0)
    assert f"CORETYPE={kernel} " in report.show_rates(measured)
    assert f"{failure}: not to be used" in report.show_rates(measured)


def test_what_hangs_is_ended(worker):
    assert run(worker, "Hang", limit=2.0)[1].failure == "gave no answer within 2 s"


def test_a_kernel_that_the_build_lacks_is_left_out(worker):
    assert [entry.setting.get("OPENBLAS_CORETYPE") for entry in run(worker, "Alias", "Fast")] == [
        None,
        "Fast",
    ]


def test_where_the_present_settings_fail_there_is_no_advice(worker, monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Refuse")
    measured = run(worker, "Fast")
    advice = advise(measured)
    assert advice == Advice()
    text = report.show_advice(advice, measured)
    assert "Nothing could be measured: a process with the present settings ended with status 1" in text


# -- advice -------------------------------------------------------------------------------------------


def measurement(
    setting: dict[str, str], large: list[float], single: list[float] | None = None
) -> Measurement:
    """Rates of a large product and of one with a single row."""
    rates = {"square float32": large, "batch 1 float32": single or [5.0] * len(large)}
    return Measurement(setting, "K", 1, rates)


PRESENT = measurement({}, [100.0, 102.0, 99.0, 101.0, 100.0])
KERNEL, ONE = {"OPENBLAS_CORETYPE": "SkylakeX"}, {"OPENBLAS_NUM_THREADS": "1"}


def test_a_gain_is_advised_with_its_costs():
    fast = measurement(KERNEL, [180.0, 181.0, 179.0, 180.0, 182.0], [3.0, 3.1, 2.9, 3.0, 3.0])
    advice = advise([PRESENT, fast])
    assert advice.setting == KERNEL
    assert advice.gain == pytest.approx(1.8, rel=0.02)
    assert advice.costs == pytest.approx({"batch 1 float32": 0.6})
    text = report.show_advice(advice, [PRESENT, fast])
    assert "Other kernels give 1.80 times the present rate" in text
    assert "It costs: MLP, batch 1, float32: 0.60 times." in text
    assert f"\n      {report.commands(KERNEL)[0]}\n" in text


def test_a_gain_at_batch_1_alone_is_none():
    assert advise([PRESENT, measurement(ONE, PRESENT.rates["square float32"], [9.0] * 5)]).setting == {}


@pytest.mark.parametrize(
    "rates",
    [
        [103.0, 105.0, 102.0, 104.0, 103.0],  # three per cent
        [150.0, 90.0, 91.0, 160.0, 155.0],  # now and then
        [60.0, 61.0, 59.0, 60.0, 62.0],  # slower
    ],
)
def test_what_is_no_gain_is_not_advised(rates):
    measured = [PRESENT, measurement(KERNEL, rates)]
    advice = advise(measured)
    assert advice.setting == {}
    assert "Nothing to gain here" in report.show_advice(advice, measured)


def test_a_gain_within_the_noise_is_not_advised():
    fast = measurement(KERNEL, [120.0, 121.0, 119.0, 120.0, 122.0])
    restless = measurement({}, [130.0, 75.0, 128.0, 74.0, 126.0])
    assert advise([PRESENT, fast]).setting == KERNEL
    advice = advise([PRESENT, restless, fast])
    assert (advice.setting, round(advice.noise, 2)) == ({}, 0.29)
    assert "mostly differed by less than" in report.show_advice(advice, [PRESENT, restless, fast])


def test_among_gains_that_are_alike_the_shorter_setting_is_advised():
    both = measurement(KERNEL | ONE, [182.0] * 5)
    assert advise([PRESENT, both, measurement(KERNEL, [180.0] * 5)]).setting == KERNEL
    assert advise([PRESENT, both, measurement(KERNEL, [140.0] * 5)]).setting == KERNEL | ONE


def test_advice_on_threads_says_what_it_depends_on():
    for setting, said in ((KERNEL, False), (ONE, True), (KERNEL | ONE, True)):
        measured = [PRESENT, measurement(setting, [180.0] * 5)]
        assert ("How many threads pay depends on" in report.show_advice(advise(measured), measured)) == said


def test_windows_sets_one_variable_a_line():
    expected = ["set OPENBLAS_CORETYPE=SkylakeX", "set OPENBLAS_NUM_THREADS=1"]
    assert report.commands(KERNEL | ONE, "nt") == expected


# -- the commands -------------------------------------------------------------------------------------


# The command, with squares of 256 in the place of 1024: half of the time went there.
SMALL_SQUARES = """
import sys
from functools import partial
from mytorch.doctor import __main__ as command, rates

small = [case._replace(rows=min(case.rows, 256), sizes=[min(n, 256) for n in case.sizes]) for case in rates.CASES[:2]]
command.measure = partial(rates.measure, cases=[*small, *rates.CASES[2:]])
sys.exit(command.main())
"""


def test_the_doctor_reports_for_real(tmp_path):
    path = tmp_path / "doctor.json"
    done = subprocess.run(
        [sys.executable, "-c", SMALL_SQUARES, "--quick", "--json", str(path)],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert done.stderr == ""
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found["machine"]["numpy"] == np.__version__
    assert found["measured"][0]["setting"] == found["measured"][1]["setting"] == {}
    cases = {case.name for case in measuring.CASES}
    for entry in found["measured"]:
        assert entry["failure"] is None
        assert entry["rates"].keys() == cases
        assert all(len(rates) == 3 and min(rates) > 0 for rates in entry["rates"].values())
    for words in ("Machine", "processor", "as it is, again", "Advice"):
        assert words in done.stdout
    setting = found["advice"]["setting"]
    assert ("Nothing to gain here" in done.stdout) == (not setting)
    assert all(f"{name}={value}" in done.stdout for name, value in setting.items())
    paths = ("library", "variables")  # as long as they are
    lines = [line for line in done.stdout.splitlines() if not line.strip().startswith(paths)]
    assert max(map(len, lines)) <= 120


def test_the_command_is_a_module():
    run = [sys.executable, "-m", "mytorch.doctor", "--help"]
    assert (
        "--quick" in subprocess.run(run, cwd=ROOT, capture_output=True, encoding="utf-8", check=True).stdout
    )


def test_a_place_that_cannot_be_written_is_refused_first(tmp_path, capsys):
    assert command.main(["--json", str(tmp_path / "none" / "x.json")]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.search(
        r"error: --json .*x.json: expected the name of a file in a folder that exists", captured.err
    )


TRAIN = ["-m", "models.mlp", "--epochs", "1", "--hidden", "8", "--fast-blas"]
# A process in which the shortlist holds one setting and its measurement says what OUTCOME does.
STAGED = """
import os, runpy, sys
from mytorch.doctor import process as restart
from mytorch.doctor.rates import Measurement
gain = float(os.environ["GAIN"])
restart.shortlist = lambda here: [{}, {"OPENBLAS_CORETYPE": "Haswell"}]
restart.measure = lambda settings, cases, **effort: [
    Measurement({}, rates={cases[0].name: [1.0] * 3}, failure=None if gain else "crashed"),
    Measurement(settings[1], rates={cases[0].name: [gain] * 3}),
]
print("process", os.environ.get("OPENBLAS_CORETYPE"), flush=True)
sys.argv = ["mlp", "--epochs", "1", "--hidden", "8", "--fast-blas"]
runpy.run_module("models.mlp", run_name="__main__")
"""


def train(*command: str, **variables: str) -> str:
    """Run a training command; what it printed."""
    environment = {**os.environ, **variables}
    environment.pop("OPENBLAS_CORETYPE", None)
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


def test_a_gain_restarts_the_command_once():
    text = train("-c", STAGED, GAIN="2.0")
    assert re.findall(r"^process (\S+)$", text, re.MULTILINE) == ["None", "Haswell"]
    said = re.findall(r"^--fast-blas: (.+)$", text, re.MULTILINE)
    expected = "set OPENBLAS_CORETYPE=Haswell for this process: its matrix products ran at 2.00 times the rate just now"
    assert said == [expected]
    assert text.count("test accuracy") == 1


@pytest.mark.parametrize(
    ("gain", "said"),
    [
        ("1.05", "nothing to gain: no other kernels or threads are faster here by more than a tenth"),
        ("0", "nothing could be measured: a process with the present settings crashed"),
    ],
)
def test_without_a_gain_the_command_goes_on(gain, said):
    text = train("-c", STAGED, GAIN=gain)
    assert re.findall(r"^process (\S+)$", text, re.MULTILINE) == ["None"]
    assert f"--fast-blas: {said}\n" in text
    assert text.count("test accuracy") == 1


def test_fast_blas_for_real_trains_as_without_it():
    fast, plain = train(*TRAIN), train(*TRAIN[:-1])
    assert len(re.findall(r"^--fast-blas: (set|nothing to)", fast, re.MULTILINE)) == 1
    accuracies = [float(re.findall(r"test accuracy (\S+) %", text)[0]) for text in (fast, plain)]
    assert accuracies[0] == pytest.approx(accuracies[1], abs=1.0)


def test_where_there_is_nothing_to_try_nothing_is_measured(monkeypatch):
    monkeypatch.setattr("mytorch.doctor.process.shortlist", lambda here: [{}])
    monkeypatch.setattr("mytorch.doctor.process.measure", lambda *a, **k: pytest.fail("measured"))
    assert doctor.restart(SMALL).startswith("nothing to try: this processor's widest kernels run already")


def test_fast_blas_is_refused_in_a_process_that_is_not_the_commands(capsys):
    from models.cli import main

    with pytest.raises(SystemExit) as error:
        main(["--fast-blas", "--epochs", "1"])
    assert error.value.code == 2
    assert "--fast-blas: expected a process of its own" in capsys.readouterr().err
