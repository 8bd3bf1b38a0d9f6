"""The commands that check records, bring what is pending and take it from elsewhere."""

import shutil
import subprocess

import pytest

from nnspec.clauses.releases import RELEASES
from nnspec.cli import main
from nnspec.records import record, remaking
from nnspec.records.record import Record, Row


def kept(project, release="2.4.1"):
    return record.read(project / "docs" / "records" / f"{release}-cpu.json")


def lines_of(capsys):
    return capsys.readouterr().out.splitlines()


def test_records_that_agree(project, capsys):
    assert main(["check-records", "docs/records/2.4.1-cpu.json"]) == 0
    assert lines_of(capsys) == ["1 records, 0 defects, 0 pending"]


def test_a_changed_clause_is_pending_and_fails_if_that_is_asked_for(project, change, capsys):
    change()
    files = ["docs/records/2.4.1-cpu.json", "docs/records/2.5.1-cpu.json"]

    assert main(["check-records", *files]) == 0
    assert lines_of(capsys) == [
        "pending: mini.small.always: changed: the clause was changed after it was recorded (every release)",
        "2 records, 0 defects, 1 pending",
        "bring them with: python -m nnspec releases --pending",
    ]
    assert main(["check-records", "--strict", *files]) == 1


def test_releases_without_a_record_are_pending(project, capsys):
    assert main(["check-records"]) == 0
    lines = lines_of(capsys)
    assert "pending: torch 2.0 has no record" in lines
    assert "pending: torch 2.4 has no record" not in lines
    assert lines[-2] == f"2 records, 0 defects, {len(RELEASES) - 2} pending"
    assert main(["check-records", "--strict"]) == 1


def test_a_damaged_file_fails_and_the_others_are_checked(project, capsys):
    path = project / "docs/records/2.4.1-cpu.json"
    path.write_text(path.read_text()[:200])

    assert main(["check-records"]) == 1
    lines = lines_of(capsys)
    assert "2.4.1-cpu.json" in lines[0]
    assert lines[-2].startswith("2 records, 1 defects")


def test_a_row_that_cannot_be_fails(project, capsys):
    rows = {**kept(project).rows}
    rows["mini.small.new"] = Row("holds", rows["mini.small.new"].digest)
    record.write(Record(kept(project).run, rows), project / "docs" / "records")

    assert main(["check-records"]) == 1
    assert lines_of(capsys)[0] == (
        "2.4.1-cpu: mini.small.new: recorded as 'holds' on torch 2.4.1, but its bounds say since 2.5"
    )


def test_records_against_a_fresh_run(project, change, tmp_path, capsys):
    was = kept(project, "2.5.1")
    fresh = tmp_path / "fresh"
    record.write(was, fresh)
    assert main(["check-records", "--fresh", str(fresh)]) == 0

    rows = {**was.rows, "mini.small.always": Row("violated", was.rows["mini.small.always"].digest)}
    record.write(Record(was.run, rows), fresh)
    capsys.readouterr()

    assert main(["check-records", "--fresh", str(fresh)]) == 1
    assert "2.5.1-cpu: mini.small.always: recorded 'holds'" in capsys.readouterr().out

    change()
    assert main(["check-records", "--fresh", str(fresh)]) == 0


@pytest.fixture
def tox(project, monkeypatch):
    """The command lines that tox would be started with, in a project whose records have no gaps."""
    calls = []

    def run(command, **options):
        names = [word for word in command if word.startswith("@")]
        nodes = open(names[0][1:]).read().split() if names else []  # noqa: SIM115
        calls.append((command[command.index("-e") + 1], nodes))
        return subprocess.CompletedProcess(command, returncode=calls[-1][0] == "torch2.5")

    monkeypatch.setattr(remaking.subprocess, "run", run)
    return calls


ALL = [f"spec/mini/test_small.py::test_{name}" for name in ("new", "old", "always", "far")]


def test_releases_run_all_clauses(tox, capsys):
    assert main(["releases", "2.4"]) == 0
    assert tox == [("torch2.4", [])]
    assert lines_of(capsys) == ["[1/1] torch 2.4: 4 clauses"]


def test_pending_clauses_alone_are_run(tox, change, capsys):
    assert main(["releases", "--pending", "2.4"]) == 0
    assert tox == []

    change()
    assert main(["releases", "--pending", "2.3", "2.4"]) == 0
    assert tox == [("torch2.3", []), ("torch2.4", ["spec/mini/test_small.py::test_always"])]
    assert lines_of(capsys)[-2:] == ["[1/2] torch 2.3: 4 clauses", "[2/2] torch 2.4: 1 clause"]


def test_rows_that_have_only_to_go_are_taken_out_by_a_run_of_one_clause(tox, project):
    was = kept(project)
    record.write(
        Record(was.run, {**was.rows, "mini.small.z": Row("holds", "0")}), project / "docs" / "records"
    )

    assert main(["releases", "--pending", "2.4"]) == 0
    assert tox == [("torch2.4", ALL[:1])]


def test_a_release_that_fails_stops_no_other_and_is_named(tox, capsys):
    assert main(["releases", "2.5", "2.6"]) == 1
    assert [name for name, _ in tox] == ["torch2.5", "torch2.6"]
    assert capsys.readouterr().err == "failed: 2.5; see above, then: python -m nnspec releases 2.5\n"


def test_an_environment_of_an_interrupted_run_is_taken_away(tox, project):
    (project / ".tox" / "torch2.4").mkdir(parents=True)

    main(["releases", "2.4"])

    assert not (project / ".tox" / "torch2.4").exists()


def test_an_unknown_release_to_record(project, capsys):
    assert main(["releases", "1.13"]) == 2
    assert "'1.13' is no supported release; one of 2.0, 2.1" in capsys.readouterr().err


def test_rows_are_adopted_where_they_are_pending(project, change, tmp_path, capsys):
    was = kept(project)
    change()
    clause = next(iter(remaking_clauses(project)))
    fresh = {
        "mini.small.always": Row("holds", clause.digest),
        "mini.small.old": Row("unmet", was.rows["mini.small.old"].digest),
    }
    record.write(Record(was.run, fresh), tmp_path / "elsewhere")

    assert main(["adopt", str(tmp_path / "elsewhere")]) == 0

    assert lines_of(capsys) == ["2.4.1-cpu: 1 rows adopted, 0 pending"]
    assert kept(project).rows == {**was.rows, "mini.small.always": Row("holds", clause.digest)}
    assert main(["adopt", str(tmp_path / "elsewhere")]) == 0
    assert lines_of(capsys) == ["2.4.1-cpu: nothing is pending"]


def remaking_clauses(project):
    from nnspec.clauses.chapter import read_chapters

    (chapter,) = read_chapters(project / "spec")
    return [clause for clause in chapter.clauses if clause.name == "always"]


def test_a_record_of_a_new_device_is_adopted_whole(project, tmp_path, capsys):
    was = kept(project)
    record.write(Record({**was.run, "devices": ["cpu", "cuda (NVIDIA X)"]}, was.rows), tmp_path / "gpu")

    assert main(["adopt", str(tmp_path / "gpu")]) == 0

    assert lines_of(capsys) == ["2.4.1-cuda: 4 rows adopted, 0 pending"]
    assert record.read(project / "docs" / "records" / "2.4.1-cuda.json").rows == was.rows


def test_nothing_of_a_run_that_failed_is_adopted(project, change, tmp_path, capsys):
    was = kept(project)
    change()
    record.write(Record(was.run, {**was.rows, "mini.small.always": Row("violated", "0")}), tmp_path / "bad")

    assert main(["adopt", str(tmp_path / "bad")]) == 2

    assert "2.4.1-cpu: says 'violated' of mini.small.always; nothing was adopted" in capsys.readouterr().err
    assert kept(project).rows == was.rows


def test_a_folder_without_records_cannot_be_adopted(project, tmp_path, capsys):
    shutil.rmtree(tmp_path / "none", ignore_errors=True)

    assert main(["adopt", str(tmp_path / "none")]) == 2
    assert "none: no records here" in capsys.readouterr().err


def test_the_command_outside_a_checkout(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nnspec.clauses.specification.__file__", str(tmp_path / "a" / "b" / "c" / "d.py"))

    assert main(["lint"]) == 2
    assert "no spec/ and docs/ here; run this command in a checkout" in capsys.readouterr().err


def test_no_command_shows_usage(capsys):
    with pytest.raises(SystemExit, match="2"):
        main([])
    assert "the following arguments are required: COMMAND" in capsys.readouterr().err
