"""All that a machine can tell, with one command: steps that end well, badly or never, and what they leave."""

import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from nnspec.cli import main
from nnspec.records import reading, record
from nnspec.running import devices, measure
from nnspec.running.measure import Step

ROOT = Path(__file__).resolve().parents[2]

BENCHMARK = '''
"""A miniature of what is measured."""

import pytest


@pytest.mark.benchmark(group="an empty call, a module")
def bench_calling(benchmark, device):
    """A call of a function."""
    assert benchmark(abs, -2) == 2
'''


@pytest.fixture
def project(write, monkeypatch):
    """A project with a clause that holds, and benchmarks that can be measured."""
    root = write('def test_a():\n    """It is."""\n    assert 1')
    shutil.copytree(
        ROOT / "spec" / "benchmarks", root / "spec" / "benchmarks", ignore=shutil.ignore_patterns("bench*")
    )
    (root / "spec" / "benchmarks" / "bench_devices.py").write_text(BENCHMARK)
    (root / "spec" / "benchmarks" / "bench_moving.py").touch()
    shutil.copy(ROOT / "pyproject.toml", root)
    monkeypatch.chdir(root)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return root


@pytest.fixture
def steps(project, monkeypatch):
    """Runs steps that are made up: ``steps(*steps, minutes=None)`` gives exit code and seconds."""
    monkeypatch.setattr(measure, "GRACE", 2.0)

    def run(*made_up, minutes=None):
        monkeypatch.setattr(measure, "_steps", lambda folder, accelerators: list(made_up))
        started = time.monotonic()
        code = main(["measure", "out", *(["--minutes", str(minutes)] if minutes else [])])
        return code, time.monotonic() - started

    return run


def test_a_run_leaves_a_record_and_times(project, capfd):
    code = main(["measure", "out"])

    shown = capfd.readouterr().out
    torch = record.installed("torch")
    assert sorted(path.name for path in (project / "out").iterdir()) == [
        f"{torch}-cpu.json",
        f"bench-{torch}-cpu.json",
        "benchmarks.log",
        "record.log",
        "times.json",
    ]
    assert code == 0
    assert list(reading.read(project / "out" / f"{torch}-cpu.json").rows) == ["mini.small.a"]
    assert "  record: well\n  benchmarks: well\n  strength: not measured, as there is no accelerator" in shown
    assert "1 holds" in (project / "out" / "record.log").read_text()


def test_a_violated_clause_is_told_and_ends_nothing(project, capfd):
    (project / "spec/mini/test_small.py").write_text(
        '"""A."""\n\n\ndef test_a():\n    """It is."""\n    assert 0\n'
    )

    assert main(["measure", "out"]) == 1
    assert "  record: something was found, see its log\n  benchmarks: well\n" in capfd.readouterr().out
    assert "violated: It is." in (project / "out" / "record.log").read_text()


def test_on_an_accelerator_strength_is_measured_too(tmp_path):
    *_, last = measure._steps(tmp_path, ["cuda"])

    assert last.name == "strength-cuda"
    assert last.commands == [["-m", "nnspec", "mutate", "--device", "cuda", "--record", str(tmp_path)]]


def test_what_breaks_down_is_run_in_another_way_and_ends_nothing(steps, capfd):
    broken, other = ["-c", "print('one'); exit(3)"], ["-c", "print('two')"]
    code, _ = steps(
        Step("a", "breaks down", [broken], other),
        Step("b", "breaks down for good", [broken], broken),
        Step("c", "goes on", [other]),
    )

    assert code == 1
    assert "  a: well\n  b: broke down with exit code 3, see its log\n  c: well\n" in capfd.readouterr().out
    assert Path("out/a.log").read_text() == "one\ntwo\n"


def test_a_step_ends_in_time_and_may_write_what_it_has(steps, capfd):
    patient = (
        "import time\ntry:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    print('kept')\n    exit(2)"
    )
    code, seconds = steps(
        Step("a", "waits", [["-c", patient], ["-c", "print('reported')"]], share=0.5),
        Step("b", "goes on", [["-c", "print('well')"]]),
        minutes=0.1,
    )

    assert code == 1
    assert 3 <= seconds < 8
    assert "  a: stopped, its time was over\n  b: well\n" in capfd.readouterr().out
    assert Path("out/a.log").read_text() == "kept\nreported\n"


def test_what_does_not_listen_is_ended_with_all_that_it_started(steps, capfd):
    deaf = "import signal, subprocess, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); "
    child = f"{deaf} import time; time.sleep(60)"
    parent = (
        f"{deaf} c = subprocess.Popen([sys.executable, '-c', {child!r}]); print(c.pid, flush=True); c.wait()"
    )
    _, seconds = steps(Step("a", "never ends", [["-c", parent]]), minutes=0.05)

    assert seconds < 15
    pid = int(Path("out/a.log").read_text())
    with pytest.raises(ProcessLookupError):
        for _ in range(50):
            os.kill(pid, signal.SIG_DFL)
            time.sleep(0.1)
    assert "a: stopped, its time was over" in capfd.readouterr().out


def test_without_time_a_step_is_not_begun(steps, capfd):
    wait = [["-c", "import time; time.sleep(60)"]]
    steps(Step("a", "takes it all", wait), Step("b", "comes too late", wait), minutes=0.02)

    assert "b: not begun, no time was left" in capfd.readouterr().out


@pytest.mark.parametrize("minutes", ["0", "-1", "nan", "inf"])
def test_a_time_that_makes_no_sense_is_refused(project, capsys, minutes):
    assert main(["measure", "out", "--minutes", minutes]) == 2
    assert f"--minutes {minutes}: how long it may take, a number above 0" in capsys.readouterr().err
    assert not Path("out").exists()


def test_a_folder_that_is_a_file_is_refused(project, capsys):
    Path("out").write_text("")

    assert main(["measure", "out"]) == 2
    assert "nothing can be written here" in capsys.readouterr().err


def test_the_device_is_named(steps, monkeypatch, capfd):
    monkeypatch.setattr(devices, "present", lambda: ("cpu", "abacus"))
    steps(Step("a", "does nothing", [["-c", ""]]))

    assert "devices: cpu, abacus" in capfd.readouterr().out


def test_without_msgspec_the_times_are_kept_for_a_report_elsewhere(project, monkeypatch, capfd):
    monkeypatch.setattr(measure, "_reports", lambda: False)

    code = main(["measure", "out"])

    assert code == 0
    assert (project / "out" / "times.json").is_file()
    assert "nnspec bench-report times.json" in capfd.readouterr().out
