"""Files of times: what is read of them, and what is refused with which words."""

import json
import os

import pytest
from made_up_times import CALLS, EMPTY, race, timed

from nnspec.benchmarks import runs
from nnspec.cli import main
from nnspec.errors import FileError


def test_a_file_of_pytest_benchmark_is_read(measured):
    run = runs.read(measured(CALLS))

    assert run.rows[1] == runs.Row(
        "calling.calling_an_empty_module", "an empty call", "a module", None, "cpu", 1e-6, 1e-7, 7
    )
    assert run.describe() == "torch 2.15.0, Python 3.11, Linux x86_64, 2 cores, cpu, 2026-01-02"
    assert run.name == "bench-2.15.0-cpu"


def test_a_run_with_an_accelerator_is_named_by_it(measured):
    run = runs.read(measured(CALLS + race("forward", {1: 2e-5}, {1: 1e-5})))

    assert run.name == "bench-2.15.0-cuda"
    assert run.run["devices"] == ["cpu", "cuda (NVIDIA H200)"]
    assert run.hardware == "NVIDIA H200"


def test_an_accelerator_without_a_name_is_called_by_its_type(measured):
    run = runs.read(
        measured([*CALLS, timed("bench_devices.py::bench_f", "forward", "Linear", 1, 1e-5, "mps")])
    )

    assert [run.run["devices"], run.hardware] == [["cpu", "mps"], "mps"]


def test_a_record_comes_back_as_it_was_written(measured, tmp_path):
    run = runs.read(measured([*CALLS, timed("bench_timer.py::bench_t", "two", "x", 3, 1e-4, timer=1.1e-4)]))

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
    with pytest.raises(FileError, match=r"bench-2\.15\.0-cpu\.json: cannot be written: No space left"):
        runs.write(run, tmp_path / "records")

    assert path.read_text() == before


def refusal(path, capsys):
    """What is said of a file, in one line and without its name."""
    assert main(["bench-report", str(path)]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    beginning = f"nnspec bench-report: {path}"
    assert output.err.startswith(beginning)
    assert output.err.count("\n") == 1
    return output.err.removeprefix(beginning)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty; what was to write it did not come to its end"),
        ('{"benchmarks": [\n{"na', ":2: not valid JSON"),
        ("[1]", "holds list in place of a table"),
        ("[" * 100_000, "cannot be read as JSON"),
        ("{}", "the file lacks 'machine_info'; a file of this project's benchmarks was wanted"),
        ('{"benchmarks": []}', "the file lacks 'machine_info'"),
        ('{"benchmarks": {}, "machine_info": {}}', "benchmarks is {}, expected a list"),
        ('{"benchmarks": [], "machine_info": {}}', "machine_info lacks 'torch'"),
        ('{"schema": 1}', "schema 1, this nnspec reads schema 2"),
        ('{"schema": true}', "schema True, this nnspec reads schema 2"),
        ('{"schema": [2]}', "schema [2], this nnspec reads schema 2"),
        ('{"schema": 2, "benchmarks": []}', "benchmarks is [], expected a table"),
        ('{"schema": 2, "benchmarks": {}}', "the file lacks 'run'"),
        ('{"schema": 2, "benchmarks": {}, "run": {}}', "run lacks 'torch'"),
        ('{"schema": 2, "benchmarks": {}, "run": {"x": 1}}', "run has an unknown entry 'x'"),
    ],
)
def test_what_is_no_file_of_times_is_refused(tmp_path, capsys, text, words):
    path = tmp_path / "bench.json"
    path.write_text(text)

    said = refusal(path, capsys)

    assert words in said
    assert said.endswith("measure with: tox run -e bench\n")


@pytest.mark.parametrize(
    ("benchmarks", "words"),
    [
        ([], "holds no benchmarks"),
        (
            [{"fullname": "t.py::x", "extra_info": {}, "stats": {}}],
            "extra_info lacks 'operation'",
        ),
        ([{"fullname": "t.py::x", "extra_info": [1], "stats": {}}], "benchmarks[0].extra_info is [1]"),
        (["a text"], "benchmarks[0] is 'a text', expected a table"),
        ([{"fullname": ["x"]}], "benchmarks[0].fullname is ['x'], expected a text"),
        ([timed(EMPTY, "x", "y", None, 0.5) | {"stats": {}}], "benchmarks[0].stats lacks 'median'"),
        ([timed(EMPTY, "x", "y", None, 0.5) | {"stats": None}], "stats is None, expected a table"),
        (
            [timed(EMPTY, "x", "y", None, 0.5), timed(EMPTY, "x", "z", None, 0.5)],
            "two benchmarks of the same",
        ),
        ([timed(f"t.py::{n}", "x", "wide", 10, 0.5) for n in "abcd"], "t.b: times the same as t.a"),
        ([timed("t.py::x", "x", "y", None, 0.5, "../../cuda")], "device is '../../cuda', expected a word"),
        ([timed("t.py::x", "x", "y", None, 0.5, ["cuda"])], "device is ['cuda'], expected a text"),
    ],
)
def test_benchmarks_of_others_are_refused(measured, capsys, benchmarks, words):
    assert words in refusal(measured(benchmarks), capsys)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"torch": None}, "machine_info.torch is None, expected a text"),
        ({"torch": "newest"}, "machine_info.torch is 'newest', expected a version"),
        ({"torch": "../2.15.0"}, "machine_info.torch is '../2.15.0', expected a version"),
        ({"devices": "cpu"}, "machine_info.devices is 'cpu', expected a list"),
        (
            {"devices": ["cpu", "cuda (\ud800)"]},
            "devices[1] is 'cuda (\\ud800)', expected a device",
        ),
        ({"cores": "2"}, "machine_info.cores is '2', expected 'int'"),
        ({"cores": True}, "machine_info.cores is True, expected 'int'"),
    ],
)
def test_a_machine_is_said_as_it_has_to_be(measured, capsys, changed, words):
    times = [*CALLS, timed("t.py::x", "x", "y", None, 0.5, "cuda")]

    assert words in refusal(measured(times, machine=changed), capsys)


@pytest.mark.parametrize("date", [None, "soon", "2026-02-31T00:00:00", 20260102])
def test_a_date_is_one(measured, capsys, date):
    assert f"datetime is {date!r}, expected a" in refusal(measured(CALLS, datetime=date), capsys)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("median", value) for value in ("fast", None, [0.5], True, 0.0, -1.0, 1e400, 1e-300, float("nan"))],
        *[("median", 10**400), ("iqr", "x"), ("iqr", False), ("iqr", -1)],
        *[("rounds", value) for value in ("7", None, 7.5, True, -1)],
        *[("size", value) for value in ("10", [10], 1.5, True, -1, 10**12)],
        *[("timer", value) for value in ("x", 0, {})],
        *[("operation", value) for value in (None, 3, "two\nlines", "\ud800")],
        *[("kind", value) for value in (None, ["wide"])],
        *[("device", value) for value in ("cuda/0", "", None, "c d")],
    ],
)
def test_each_value_of_a_record_is_what_it_has_to_be(measured, tmp_path, capsys, name, value):
    path = runs.write(runs.read(measured(CALLS)), tmp_path)
    table = json.loads(path.read_text())
    table["benchmarks"]["calling.calling_a_function"][name] = value
    path.write_text(json.dumps(table))

    assert f": benchmarks.calling.calling_a_function.{name} is " in refusal(path, capsys)


def test_a_row_that_is_no_table_or_says_more_is_refused(measured, tmp_path, capsys):
    path = runs.write(runs.read(measured(CALLS)), tmp_path)
    table = json.loads(path.read_text())

    table["benchmarks"] = {"calling.x": "fast"}
    path.write_text(json.dumps(table))
    assert "benchmarks.calling.x is 'fast', expected a table" in refusal(path, capsys)

    table["benchmarks"] = {"calling.x": {"mean": 1}}
    path.write_text(json.dumps(table))
    assert "benchmarks.calling.x has an unknown entry 'mean'" in refusal(path, capsys)


def test_a_missing_file_is_named(tmp_path, capsys):
    assert ": cannot be read: " in refusal(tmp_path / "gone.json", capsys)


def test_two_files_of_one_torch_are_refused(measured, capsys):
    files = [str(measured(CALLS, name=name)) for name in ("a.json", "b.json")]

    assert main(["bench-report", *files]) == 2
    assert "of the same torch and device as" in capsys.readouterr().err
