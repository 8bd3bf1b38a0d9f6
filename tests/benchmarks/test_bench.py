"""Measured times: what is read of them, what a report makes of them, and what it refuses."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nnspec.benchmarks import figures, report, runs
from nnspec.cli import main
from nnspec.records.record import RecordError
from nnspec.site import write as write_site

ROOT = Path(__file__).resolve().parents[1]
EMPTY = "test_calling.py::test_calling_an_empty_module"


def one(name, operation, kind, size, median, device="cpu", **more):
    """A benchmark as pytest-benchmark writes it."""
    told = {"operation": operation, "kind": kind, "size": size, "device": device, **more}
    stats = {"median": median, "iqr": median / 10, "rounds": 7, "mean": median, "data": [median]}
    return {"fullname": f"spec/benchmarks/{name}", "group": operation, "extra_info": told, "stats": stats}


def tree(operation, kind, costs):
    """Benchmarks of an operation on trees: size to cost in empty calls of a microsecond."""
    name = f"test_walking.py::test_{operation.removesuffix('()')}_of_a_tree"
    return [one(f"{name}[{kind}-{size}]", operation, kind, size, cost * 1e-6) for size, cost in costs.items()]


def race(operation, cpu, gpu):
    """Benchmarks of a pass on both devices: batch to seconds."""
    return [
        one(f"test_devices.py::test_race[{device}-{batch}]", operation, "Linear", batch, time, device)
        for device, times in (("cpu", cpu), ("cuda", gpu))
        for batch, time in times.items()
    ]


CALLS = [
    one("test_calling.py::test_calling_a_function", "an empty call", "a function", None, 1e-7),
    one(EMPTY, "an empty call", "a module", None, 1e-6),
]
HOOKS = [
    one(f"test_calling.py::test_hooks[{n}]", "hooks", "forward", n, (1 + n / 2) * 1e-6) for n in (0, 1, 10)
]
LINEAR = tree("parameters()", "wide", {10: 25, 100: 205, 1000: 2005})
SQUARE = tree("parameters()", "deep", {10: 20, 30: 120, 100: 1100})


@pytest.fixture
def measured(tmp_path):
    """Writes a file of pytest-benchmark: ``measured(benchmarks)`` gives its path."""

    def write(benchmarks, torch="2.15.0+cpu", name="bench.json", **changed):
        machine = {"node": "secret", "python_version": "3.11.7", "system": "Linux", "machine": "x86_64"}
        machine |= {"torch": torch, "devices": ["cpu", "cuda (NVIDIA H200)"], "cores": 2}
        found = {"machine_info": machine, "benchmarks": benchmarks, "datetime": "2026-01-02T03:04:05"}
        path = tmp_path / name
        path.write_text(json.dumps({**found, "version": "5.3.1", **changed}))
        return path

    return write


def rows(table):
    return {row[0]: list(row[1:]) for row in table.rows}


def test_a_fit_recovers_constant_and_slope():
    found = report.fit([(n, 5 + 2 * n) for n in (10, 100, 1000, 10000)])

    assert found[:2] == pytest.approx((5, 2))
    assert (found.bend, found.miss) == pytest.approx((1, 0), abs=1e-9)
    assert found.is_linear


def test_a_fit_has_the_least_relative_errors():
    points = [(10, 25), (100, 205), (1000, 2005), (10000, 40005)]

    def error(constant, slope):
        return sum(((constant + slope * n - cost) / cost) ** 2 for n, cost in points)

    found = report.fit(points)
    constant, slope = found[:2]
    others = [error(constant * a, slope * b) for a, b in ((1.01, 1), (0.99, 1), (1, 1.01), (1, 0.99))]
    assert error(constant, slope) < min(others)
    assert (found.bend > 2, found.is_linear) == (True, False)


def test_a_line_that_misses_is_not_linear():
    found = report.fit([(10, 10), (100, 100), (1000, 3000), (10000, 12000)])

    assert (found.bend, found.is_linear) == (1, False)


def test_a_fit_has_no_constant_below_nothing():
    found = report.fit([(10, 10), (30, 90), (100, 1000)])

    assert found.constant == 0
    assert found.slope > 0
    assert (found.first, found.last) == (4, 13)


def test_a_line_needs_two_sizes():
    with pytest.raises(ValueError, match="two sizes or more"):
        report.fit([(10, 5)])


def test_a_file_of_pytest_benchmark_is_read(measured):
    run = runs.read(measured(CALLS))

    assert run.rows[1] == runs.Row(
        "benchmarks.calling.calling_an_empty_module", "an empty call", "a module", None, "cpu", 1e-6, 1e-7, 7
    )
    assert run.describe() == "torch 2.15.0, Python 3.11, Linux x86_64, 2 cores, cpu, 2026-01-02"
    assert run.name == "bench-2.15.0-cpu"


def test_a_run_with_an_accelerator_is_named_by_it(measured):
    run = runs.read(measured(CALLS + race("forward", {1: 2e-5}, {1: 1e-5})))

    assert run.name == "bench-2.15.0-cuda"
    assert run.run["devices"] == ["cpu", "cuda (NVIDIA H200)"]


def test_a_record_comes_back_as_it_was_written(measured, tmp_path):
    run = runs.read(measured([*CALLS, one("test_timer.py::test_t", "two", "x", 3, 1e-4, timer=1.1e-4)]))

    path = runs.write(run, tmp_path / "records")

    assert runs.read(path) == run
    assert path.name == "bench-2.15.0-cpu.json"
    assert [word in path.read_text() for word in ("secret", "data", "mean")] == [False, False, False]
    assert sum('"median"' in line for line in path.read_text().splitlines()) == 3


def test_a_failed_write_leaves_the_old_record(measured, tmp_path, monkeypatch):
    run = runs.read(measured(CALLS))
    path = runs.write(run, tmp_path / "records")
    before = path.read_text()

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(RecordError, match=r"bench-2\.15\.0-cpu\.json: cannot be written: No space left"):
        runs.write(run, tmp_path / "records")

    assert path.read_text() == before


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty; the run that was to write it did not come to its end"),
        ('{"benchmarks": [\n{"na', ":2: not valid JSON"),
        ("[1]", "no file of pytest-benchmark: it has no 'benchmarks'"),
        ('{"benchmarks": []}', "no file of pytest-benchmark: it has no 'machine_info'"),
        ('{"benchmarks": [], "machine_info": {}}', "does not say which torch was measured"),
        ('{"benchmarks": {}, "schema": 2}', "schema 2, this nnspec reads schema 1"),
        ('{"benchmarks": {}, "schema": 1}', "not written as pytest-benchmark writes it"),
        ('{"benchmarks": {}, "schema": 1, "run": {}}', "'run' does not name torch, python"),
    ],
)
def test_what_is_no_file_of_times_is_refused(tmp_path, capsys, text, told):
    path = tmp_path / "bench.json"
    path.write_text(text)

    assert main(["bench-report", str(path)]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(f"nnspec bench-report: {path}")
    assert told in output.err


@pytest.mark.parametrize(
    ("benchmarks", "told"),
    [
        ([], "holds no benchmarks"),
        (
            [{"fullname": "test_other.py::test_x", "extra_info": {}, "stats": {}}],
            "does not say what is timed",
        ),
        ([one(EMPTY, "an empty call", "a module", None, 0.0)], "a median of 0.0 seconds is no time"),
        ([one(EMPTY, "an empty call", "a module", None, 0.5) | {"stats": {}}], "(KeyError: 'median')"),
    ],
)
def test_benchmarks_of_others_are_refused(measured, capsys, benchmarks, told):
    assert main(["bench-report", str(measured(benchmarks))]) == 2
    assert told in capsys.readouterr().err


def test_a_missing_file_and_an_altered_record_are_refused(measured, tmp_path):
    path = runs.write(runs.read(measured(CALLS)), tmp_path)
    path.write_text(path.read_text().replace('"count": 2', '"count": 3'))

    with pytest.raises(RecordError, match="'count' is 3 and there are 2 benchmarks"):
        runs.read(path)
    with pytest.raises(RecordError, match=r"gone\.json: cannot be read"):
        runs.read(tmp_path / "gone.json")


def test_what_one_module_more_costs(measured):
    run = runs.read(measured([*CALLS, *LINEAR, *SQUARE]))

    table = report.machinery(run)

    assert table.header == ("Operation", "wide", "branching", "deep", "ResNet-34")
    assert rows(table) == {"parameters()": ["2.00", "–", "5.00 → 14.0", "–"]}  # noqa: RUF001


def test_resnet34_is_told_by_its_modules(measured):
    whole = one("test_resnet34.py::test_p", "parameters()", "ResNet-34", 116, 348e-6)

    table = report.machinery(runs.read(measured([*CALLS, *LINEAR, whole])))

    assert rows(table)["parameters()"][-1] == "3.00"


def test_ways_and_hooks_are_ratios(measured):
    run = runs.read(measured(CALLS + HOOKS))

    assert [row[1:] for row in report.ways(run).rows] == [("a function", "0.10"), ("a module", "1.00")]
    assert rows(report.counted(run)) == {"forward hooks": ["0: 1.00, 1: 1.50, 10: 6.00", "0.50 a hook"]}


def test_where_the_gpu_starts_to_win(measured):
    times = race("forward", {1: 1e-5, 8: 4e-5, 64: 3e-4}, {1: 2e-5, 8: 2e-5, 64: 3e-5})

    table = report.devices(runs.read(measured(CALLS + times)))

    assert table.rows == (
        ("forward", "Linear", "1", "20 µs", "0.50", "from 8"),
        ("", "", "8", "20 µs", "2.00", ""),
        ("", "", "64", "30 µs", "10.0", ""),
    )


def test_a_gpu_may_never_win(measured):
    times = race("forward", {1: 3e-5, 8: 1e-5}, {1: 2e-5, 8: 2e-5})

    assert report.devices(runs.read(measured(times))).rows[0][-1] == "never here"


def test_moves_and_data_parallel_are_told(measured):
    name = "test_devices.py::test_x"
    times = [
        one(f"{name}[1]", "move to the GPU", "ResNet-34", 116, 0.012, "cuda"),
        one(f"{name}[2]", "one GPU", "plain", 8, 2e-5, "cuda"),
        one(f"{name}[3]", "one GPU", "DataParallel", 8, 5e-5, "cuda"),
    ]

    table = report.devices(runs.read(measured(times)))

    assert [row[0] for row in table.rows] == ["move to the GPU", "DataParallel on one GPU"]
    assert [table.rows[0][3], table.rows[1][-1]] == ["12 ms", "2.50 times the plain layer"]


def test_two_stopwatches_stand_side_by_side(measured):
    timed = one("test_timer.py::test_t[8]", "two stopwatches", "Linear", 8, 2e-5, timer=2.1e-5)

    table = report.stopwatches(runs.read(measured([timed])))

    assert table.rows == (("Linear, 8", "20 µs", "21 µs", "+5.0%"),)


def test_releases_stand_side_by_side(measured, capsys):
    new = measured([*CALLS, *LINEAR, *SQUARE])
    old = measured([*CALLS, *tree("parameters()", "wide", {10: 35, 100: 305})], "2.0.1", "old.json")

    assert main(["bench-report", str(new), str(old)]) == 0
    shown = capsys.readouterr().out.partition("Release beside release")[2].splitlines()
    assert [line.split() for line in shown if line.startswith(("Operation", "parameters"))] == [
        ["Operation", "2.0.1-cpu", "2.15.0-cpu"],
        ["parameters()", "3.00", "2.00"],
    ]


def test_two_files_of_one_torch_are_refused(measured, capsys):
    files = [str(measured(CALLS, name=name)) for name in ("a.json", "b.json")]

    assert main(["bench-report", *files]) == 2
    assert "of the same torch and device as" in capsys.readouterr().err


def test_without_the_empty_call_the_report_says_what_it_lacks(measured, capsys):
    assert main(["bench-report", str(measured(LINEAR))]) == 0
    shown = capsys.readouterr().out
    assert "left out: no ratios of the machinery: the call of an empty module was not measured" in shown
    assert "left out: no GPU beside the CPU" in shown


def test_figures_are_drawn_for_light_and_dark(measured, tmp_path, capsys):
    races = race("forward", {1: 1e-5, 8: 4e-5}, {1: 2e-5, 8: 2e-5})
    file = measured([*CALLS, *HOOKS, *LINEAR, *SQUARE, *races])

    assert main(["bench-report", str(file), "--output", str(tmp_path / "figures")]) == 0
    names = sorted(path.name for path in (tmp_path / "figures").iterdir())
    drawn = ["calling", "devices", "growth", "machinery"]
    assert names == sorted(f"{name}{theme}.svg" for name in drawn for theme in ("", "-dark"))
    light, dark = ((tmp_path / "figures" / f"growth{theme}.svg").read_text() for theme in ("", "-dark"))
    assert ["parameters()" in light, "#222222" in light, "#222222" in dark] == [True, True, False]
    assert "figure: " in capsys.readouterr().out


def test_figures_are_the_same_each_time(measured):
    runs = [runs.read(measured([*CALLS, *LINEAR]))]

    assert figures.draw(runs) == figures.draw(runs)


def test_figures_need_matplotlib(measured, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    command = ["bench-report", str(measured(CALLS)), "--output", str(tmp_path / "figures")]

    assert main(command) == 2
    assert "figures need matplotlib, which is not installed" in capsys.readouterr().err
    assert not (tmp_path / "figures").exists()
    assert main(command[:2]) == 0


@pytest.mark.parametrize("option", ["--output", "--record"])
def test_a_folder_that_cannot_be_written_is_named(measured, tmp_path, capsys, option):
    (tmp_path / "file").write_text("")

    assert main(["bench-report", str(measured([*CALLS, *LINEAR])), option, str(tmp_path / "file")]) == 2
    assert f"{tmp_path / 'file'}: nothing can be written here" in capsys.readouterr().err


def test_benchmarks_say_what_they_time(tmp_path):
    """A short run of the real ones gives a file that a report can be made of."""
    file = tmp_path / "bench.json"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--benchmark-json={file}"]
    command += [
        "--benchmark-only",
        "--benchmark-max-time=0.001",
        "--benchmark-min-rounds=1",
        "--device",
        "cpu",
    ]
    chapters = ["calling", "timer", "walking"]
    command += [f"spec/benchmarks/test_{name}.py" for name in chapters]
    chosen = "empty_module or with_forward_hooks or timing_a_layer or (named_modules and deep)"
    result = subprocess.run([*command, "-k", chosen], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout

    run = runs.read(file)

    assert {row.operation for row in run.rows} == {
        "an empty call",
        "hooks",
        "two stopwatches",
        "named_modules()",
    }
    assert [row[0] for row in report.machinery(run).rows] == ["named_modules()"]
    assert [row.timer is not None for row in run.of("two stopwatches")] == [True, True]


def test_the_site_shows_figures_and_ratios(write, measured):
    clause = 'def test_parameters_of_a_tree():\n    """A walk yields one for each layer."""\n    assert 1'
    docs = write(clause, part="benchmarks", chapter="walking") / "docs"
    runs.write(runs.read(measured([*CALLS, *LINEAR])), docs / "records")

    write_site(docs)

    page = (docs / "benchmarks.rst").read_text()
    assert "torch 2.15.0-cpu\n----" in page
    assert ":ref:`parameters() <benchmarks.walking.parameters_of_a_tree>`\n     - 2.00" in page
    assert [f'src="_static/bench-machinery{theme}.svg"' in page for theme in ("", "-dark")] == [True, True]
    assert (docs / "_generated" / "static" / "bench-machinery-dark.svg").exists()


def test_the_site_shows_releases_side_by_side(write, measured):
    docs = write('def test_small():\n    """It is small."""\n    assert 1') / "docs"
    for version in ("2.0.1", "2.15.0"):
        runs.write(runs.read(measured([*CALLS, *LINEAR], version)), docs / "records")

    write_site(docs)

    page = (docs / "benchmarks.rst").read_text()
    assert (
        page.index("Release beside release") < page.index("torch 2.0.1-cpu") < page.index("torch 2.15.0-cpu")
    )
    assert 'src="_static/bench-releases.svg"' in page
    assert 'src="_static/bench-machinery-2.0.1-cpu.svg"' in page
