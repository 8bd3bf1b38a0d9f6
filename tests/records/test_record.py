"""Records are written whole, and a damaged, foreign or altered file is refused by name."""

import fcntl
import os
import subprocess
from pathlib import Path

import pytest

from nnspec.errors import FileError
from nnspec.records import files, reading, record
from nnspec.records.files import alone_in
from nnspec.records.outcomes import Outcome, together
from nnspec.records.record import Record, Row

RUN = {
    "torch": "2.4.1",
    "torchvision": "0.19.1",
    "python": "3.11",
    "platform": "Linux x86_64",
    "devices": ["cpu"],
}
ROWS = {
    "a.b.c": Row("holds", "0123456789ab"),
    "a.b.d": Row("absent", "0123456789ac", "AttributeError: no Buffer"),
}


def test_a_record_comes_back_as_it_was_written(tmp_path):
    path = record.write(Record(RUN, ROWS), tmp_path)

    found = reading.read(path)

    assert path.name == "2.4.1-cpu.json"
    assert (found.run, found.rows) == (RUN, ROWS)
    assert (found.release, found.device, found.name) == ("2.4", "cpu", "2.4.1-cpu")
    assert [file.name for file in tmp_path.iterdir()] == ["2.4.1-cpu.json"]


def test_one_line_for_each_clause_below_its_chapter(tmp_path):
    lines = record.write(Record(RUN, ROWS), tmp_path).read_text().splitlines()

    assert lines[9:] == [
        '  "clauses": {',
        '    "a.b": {',
        '      "c": ["holds", "0123456789ab"],',
        '      "d": ["absent", "0123456789ac", "AttributeError: no Buffer"]',
        "    }",
        "  }",
        "}",
    ]


def test_rows_of_neighbouring_chapters_are_merged_without_a_conflict(tmp_path):
    """Two people add a clause each: one at the end of a chapter, one at the beginning of the next."""

    def git(*arguments):
        command = ["git", "-c", "user.name=x", "-c", "user.email=x@localhost", *arguments]
        return subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)

    def commit(*names):
        record.write(Record(RUN, {name: Row("holds", "0123456789ab") for name in names}), tmp_path)
        git("add", "."), git("commit", "-qm", "rows")

    git("init", "-q", "-b", "main")
    commit("a.b.c", "a.e.m")
    git("checkout", "-qb", "other")
    commit("a.b.c", "a.b.z", "a.e.m")
    git("checkout", "-q", "main")
    commit("a.b.c", "a.e.a", "a.e.m")

    merged = git("merge", "-q", "--no-edit", "other")

    assert merged.returncode == 0
    assert list(reading.read(tmp_path / "2.4.1-cpu.json").rows) == ["a.b.c", "a.b.z", "a.e.a", "a.e.m"]


def test_a_run_with_an_accelerator_is_named_by_it(tmp_path):
    made = Record({**RUN, "devices": ["cpu", "cuda (NVIDIA H200)"]}, ROWS)

    assert record.write(made, tmp_path).name == "2.4.1-cuda.json"


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")

    for folder in (tmp_path / "file", Path("/proc")):
        with pytest.raises(FileError, match=f"{folder}: nothing can be written .*; name another"):
            record.write(Record(RUN, ROWS), folder)


def test_folders_are_made_and_anybody_may_read_the_file(tmp_path):
    path = files.write_whole(tmp_path / "a" / "b" / "c.txt", "é")

    assert path.read_text(encoding="utf-8") == "é"
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_file_that_is_a_link_is_written_where_it_leads(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link.txt").symlink_to(tmp_path / "elsewhere" / "file.txt")

    files.write_whole(tmp_path / "link.txt", "é")

    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "elsewhere" / "file.txt").read_text(encoding="utf-8") == "é"
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["file.txt"]


def test_tables_have_one_entry_a_line_down_to_a_depth():
    table = {"a": {"b": {"c": 1}, "d": {}}, "e": ["f"]}

    assert files.as_lines(table, 2).splitlines() == [
        "{",
        '  "a": {',
        '    "b": {"c": 1},',
        '    "d": {}',
        "  },",
        '  "e": ["f"]',
        "}",
    ]


def test_a_failed_write_leaves_the_old_record(tmp_path, monkeypatch):
    path = record.write(Record(RUN, ROWS), tmp_path)
    before = path.read_text()

    def fail(temporary, file):
        assert Path(temporary).parent == tmp_path
        assert Path(temporary).name.startswith(".2.4.1-cpu.json.")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "replace", fail)

    with pytest.raises(FileError, match="No space left"):
        record.write(Record(RUN, {}), tmp_path)
    assert path.read_text() == before


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[: len(text) // 2], r"2.4.1-cpu.json:\d+: not valid JSON .*perhaps cut off"),
        (lambda text: "", "is empty; what was to write it did not come to its end: make it anew with"),
        (lambda text: "[]", "holds list in place of a table; make it anew with"),
        (lambda text: "[" * 100_000, "cannot be read as JSON|not valid JSON"),
        (
            lambda text: text.replace('"clauses": {', '"clauses": 1' + "0" * 5000 + ', "x": {'),
            "cannot be read as",
        ),
        (lambda text: text.replace('"schema": 2,', ""), "no record of this project"),
        (lambda text: text.replace('"schema": 2', '"schema": 7'), "schema 7, this nnspec reads schema 2"),
        (lambda text: text.replace('"schema": 2', '"schema": true'), "schema True"),
        (
            lambda text: text.replace('"a.b": {', '"a.b": {"c": ["violated", "0"]}, "a.b": {'),
            "names 'a.b' twice in one table, so one of both is lost; take one out, or make it anew",
        ),
        (
            lambda text: text.replace('"holds", "0', '"hold", "0'),
            r"a.b.c\[0\] is 'hold', expected one of",
        ),
        (
            lambda text: text.replace('["holds", "0123456789ab"]', "[]"),
            r"clauses.a.b.c is \[\], expected",
        ),
        (lambda text: text.replace('"0123456789ab"', "12"), r"clauses.a.b.c\[1\] is 12, expected a text"),
        (lambda text: text.replace('"torch": "2.4.1"', '"torch": "2.6.0"'), "holds a run of 2.6.0-cpu"),
        (
            lambda text: text.replace('"torch": "2.4.1"', '"torch": "banana"'),
            "torch is 'banana', expected a version",
        ),
        (
            lambda text: text.replace('"torch": "2.4.1"', '"torch": null'),
            "run.torch is None, expected",
        ),
        (lambda text: text.replace('"torchvision": "0.19.1",', ""), "run lacks 'torchvision'"),
        (lambda text: text.replace('"torchvision": "0.19.1"', '"torchvision": 1'), "run.torchvision is 1"),
        (lambda text: text.replace('"python": "3.11"', '"python": 3.11'), "run.python is 3.11, expected"),
        (
            lambda text: text.replace('"platform": "Linux x86_64"', '"platform": null'),
            "run.platform is None, expected a text, got 'null'; make it anew with",
        ),
        (lambda text: text.replace('"run": {', '"run": [], "x": {'), r"run is \[\], expected a table"),
        (
            lambda text: text.replace('"devices": ["cpu"]', '"devices": []'),
            r"run.devices is \[\], expected",
        ),
        (
            lambda text: text.replace('"devices": ["cpu"]', '"devices": ["x/../y"]'),
            r"run.devices\[0\] is 'x/../y', expected a device",
        ),
        (lambda text: text.replace('"clauses": {\n', '"rows": {\n'), "unknown entry 'rows'"),
        (lambda text: text.replace('"a.b": {', '"a.x": 3, "a.b": {'), "clauses.a.x is 3, expected a table"),
    ],
)
def test_a_damaged_file_is_refused_with_its_name(tmp_path, damage, message):
    path = record.write(Record(RUN, ROWS), tmp_path)
    path.write_text(damage(path.read_text()))

    with pytest.raises(FileError, match=message) as error:
        reading.read(path)
    assert str(error.value).startswith(str(path))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "assertions-2.4.1-cpu.json",
            "holds assertions that never fail; name a record of a run, such as 2",
        ),
        ("bench-2.4.1-cpu.json", "holds what was measured; name a record of a run"),
        ("strength-2.4.1-cpu.json", "holds counts of changes that are noticed; name a record of a run"),
        ("messages.json", "no record of this project: it has no 'schema'; take another file"),
    ],
)
def test_another_file_of_the_project_is_no_record(tmp_path, name, message):
    (tmp_path / name).write_text("{}")

    with pytest.raises(FileError, match=message):
        reading.read(tmp_path / name)


def test_two_who_change_a_folder_wait_for_each_other(tmp_path):
    handle = os.open(tmp_path, os.O_RDONLY)
    with alone_in(tmp_path), pytest.raises(BlockingIOError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)

    os.close(handle)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileError, match=r"none\.json: cannot be read: .*; make it anew with"):
        reading.read(tmp_path / "none.json")


def test_a_record_is_made_anew_in_its_own_folder(tmp_path):
    path = tmp_path / "my records" / "2.4.1-cpu.json"
    path.parent.mkdir()
    path.write_text("{")

    with pytest.raises(FileError) as error:
        reading.read(path)
    assert str(error.value).endswith(f"make it anew with: pytest spec/ --record '{path.parent}'")


def test_the_record_of_another_release_under_this_name_is_refused(tmp_path):
    path = record.write(Record(RUN, ROWS), tmp_path)

    with pytest.raises(FileError, match=r"holds a run of 2\.4\.1-cpu; name it"):
        reading.read(path.rename(tmp_path / "2.6.0-cpu.json"))


def test_reasons_carry_no_addresses():
    assert record.tidy("<object at 0x7f31a2b3c4d5>\n  gone") == "<object at 0x...> gone"


@pytest.mark.parametrize("place", ["/usr/lib/torch/__init__.py", "unknown location"])
def test_reasons_carry_no_places_of_files(place):
    reason = f"ImportError: cannot import name 'x' from 'torch' ({place})"

    assert record.tidy(reason) == "ImportError: cannot import name 'x' from 'torch'"


@pytest.mark.parametrize("place", ["/usr/lib/torch/__init__.py", r"C:\\torch\\__init__.py"])
def test_reasons_carry_no_places_of_modules(place):
    reason = f"AttributeError: <module 'torch' from '{place}'> has no attribute 'x'"

    assert record.tidy(reason) == "AttributeError: <module 'torch'> has no attribute 'x'"


def test_records_of_a_folder_are_read_from_the_oldest_torch_on(tmp_path):
    for version, devices in (("2.10.0", ["cpu"]), ("2.9.1", ["cpu", "cuda"]), ("2.9.1", ["cpu"])):
        record.write(Record({**RUN, "torch": version, "devices": devices}, ROWS), tmp_path)

    assert [kept.name for kept in reading.read_all(tmp_path)] == ["2.9.1-cpu", "2.9.1-cuda", "2.10.0-cpu"]


def test_the_header_says_what_was_run(monkeypatch):
    installed = {"torchvision": "0.19.1+cu121"}
    monkeypatch.setattr("importlib.metadata.version", lambda name: installed[name])
    monkeypatch.setattr("platform.python_version_tuple", lambda: ("3", "11", "7"))
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")

    assert record.describe_run("2.4.1+cu121", iter(["cpu"])) == RUN


def test_what_is_not_installed_has_no_version():
    assert record.installed("no-such-distribution") == "none"


def test_the_weightiest_outcome_is_that_of_the_clause():
    cases = [Outcome("holds"), Outcome("unmet", "a"), Outcome("violated", "b"), Outcome("not yet", "c")]

    assert together(cases) == Outcome("violated", "b")
    assert together(cases[:2]) == Outcome("unmet", "a")


def test_only_files_named_by_a_version_are_records(tmp_path):
    record.write(Record(RUN, ROWS), tmp_path)
    (tmp_path / "strength-2.15.0-cpu.json").write_text("{}")

    assert [kept.name for kept in reading.read_all(tmp_path)] == ["2.4.1-cpu"]
