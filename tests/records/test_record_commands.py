"""The commands that check records, bring what is pending and take it from elsewhere."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nnspec.clauses.releases import RELEASES
from nnspec.cli import main
from nnspec.records import reading, record, remaking
from nnspec.records.record import Record, Row


def kept(project, release="2.4.1"):
    return reading.read(project / "docs" / "records" / f"{release}-cpu.json")


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


def test_a_file_that_nothing_reads_fails(project, capsys):
    (project / "docs/records/linux-cpu.json").write_text("{}")

    assert main(["check-records"]) == 1
    assert "linux-cpu.json: no record has such a name, so nothing reads it" in lines_of(capsys)[0]


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


def test_a_clause_that_this_cpu_cannot_judge_contradicts_no_record(project, tmp_path, capsys):
    chapter = project / "spec/mini/test_small.py"
    was = kept(project, "2.5.1")
    rows = {**was.rows, "mini.small.always": Row("unmet", was.rows["mini.small.always"].digest, "need a CPU")}
    record.write(Record(was.run, rows), tmp_path / "fresh")
    assert main(["check-records", "--fresh", str(tmp_path / "fresh")]) == 1

    marked = chapter.read_text().replace("def test_always", '@pytest.mark.needs("bfloat16")\ndef test_always')
    chapter.write_text(marked)

    assert main(["check-records", "--fresh", str(tmp_path / "fresh")]) == 0


def test_a_fresh_run_adds_its_defects_to_those_of_the_records(project, tmp_path, capsys):
    """And a record beside which none is kept is told and passed over."""
    was, other = kept(project), kept(project, "2.5.1")
    rows = {**was.rows, "mini.small.always": Row("violated", "0")}
    record.write(Record(was.run, rows), project / "docs" / "records")
    fresh = tmp_path / "fresh"
    record.write(Record({**was.run, "torch": "2.3.0"}, was.rows), fresh)
    record.write(Record({**was.run, "python": "3.9"}, was.rows), fresh)
    record.write(Record({**other.run, "python": "3.8"}, other.rows), fresh)

    assert main(["check-records", "--fresh", str(fresh)]) == 1
    assert lines_of(capsys)[:5] == [
        "2.3.0-cpu: no such record is kept, so the fresh one has nothing to agree with",
        "2.4.1-cpu: mini.small.always: recorded as 'violated'; no record of a release may say so",
        "2.4.1-cpu: python: recorded with '3.11', run with '3.9'",
        "2.5.1-cpu: python: recorded with '3.11', run with '3.8'",
        "pending: mini.small.always: changed: the clause was changed after it was recorded (2.4)",
    ]


def test_a_fresh_run_that_is_not_there(project, tmp_path, capsys):
    assert main(["check-records", "--fresh", str(tmp_path / "none")]) == 2
    assert "none: no records here; make one with: pytest spec/ --record" in capsys.readouterr().err


def test_a_record_that_is_not_there_is_a_misuse(project, capsys):
    assert main(["check-records", "docs/records/9.9.9-cpu.json"]) == 2
    assert "9.9.9-cpu.json: there is no such file; name a record" in capsys.readouterr().err


def test_a_project_without_records(project, capsys):
    shutil.rmtree(project / "docs" / "records")

    assert main(["check-records"]) == 2
    assert "records: no records; make it anew with: pytest spec/ --record" in capsys.readouterr().err


def test_what_is_pending_on_some_releases_names_them(project, capsys):
    folder = project / "docs" / "records"
    late = kept(project, "2.5.1")
    record.write(Record({**late.run, "torch": "2.6.0"}, late.rows), folder)
    for was in (kept(project), late):
        rows = {name: row for name, row in was.rows.items() if name != "mini.small.far"}
        record.write(Record(was.run, rows), folder)
    line = "pending: mini.small.far: new: the clause has not been recorded"

    main(["check-records"])
    assert f"{line} (2.4, 2.5)" in lines_of(capsys)

    main(["check-records", str(folder / "2.4.1-cpu.json")])
    assert f"{line} (2.4)" in lines_of(capsys)


@pytest.fixture
def tox(project, monkeypatch):
    """The environments that tox is started with, and what runs there; runs fail in two of them."""
    calls = []
    options = ["--", "-q", "--device", "cpu", "--record", str(project / "docs" / "records")]

    def run(command, cwd, check):
        name, what = command[5], command[-1]
        environment = project / ".tox" / name
        assert not environment.exists()
        environment.mkdir(parents=True)
        assert command == [sys.executable, "-m", "tox", "run", "-e", name, *options, what]
        assert (cwd, check) == (project, False)
        calls.append((name, Path(what[1:]).read_text().split() if what.startswith("@") else what))
        return subprocess.CompletedProcess(command, returncode=name in ("torch2.5", "torch2.7"))

    monkeypatch.setattr(remaking.subprocess, "run", run)
    return calls


ALL = [f"spec/mini/test_small.py::test_{name}" for name in ("new", "old", "always", "far")]


def test_releases_run_all_clauses(tox, capsys):
    assert main(["releases", "2.4"]) == 0
    assert tox == [("torch2.4", "spec")]
    assert lines_of(capsys) == ["[1/1] torch 2.4: 4 clauses"]


def test_pending_clauses_alone_are_run(tox, change, capsys):
    assert main(["releases", "--pending", "2.4"]) == 0
    assert tox == []

    change()
    assert main(["releases", "--pending", "2.3", "2.4"]) == 0
    assert tox == [("torch2.3", "spec"), ("torch2.4", [ALL[2]])]
    assert lines_of(capsys)[-2:] == ["[1/2] torch 2.3: 4 clauses", "[2/2] torch 2.4: 1 clause"]


def test_all_that_is_pending_on_a_release_is_run_there(tox, project, change, capsys):
    change()
    was = kept(project)
    rows = {name: row for name, row in was.rows.items() if name != "mini.small.far"}
    record.write(Record(was.run, rows), project / "docs" / "records")

    assert main(["releases", "--pending", "2.4"]) == 0
    assert tox == [("torch2.4", ALL[2:])]
    assert lines_of(capsys) == ["[1/1] torch 2.4: 2 clauses"]


def test_rows_that_have_only_to_go_are_taken_out_by_a_run_of_one_clause(tox, project):
    was = kept(project)
    record.write(
        Record(was.run, {**was.rows, "mini.small.z": Row("holds", "0")}), project / "docs" / "records"
    )

    assert main(["releases", "--pending", "2.4"]) == 0
    assert tox == [("torch2.4", ALL[:1])]


@pytest.mark.parametrize("wish", [[], ["--pending"]])
def test_releases_that_fail_stop_no_other_and_are_named(tox, change, capsys, wish):
    change()

    assert main(["releases", *wish, "2.5", "2.6", "2.7"]) == 1
    assert [name for name, _ in tox] == ["torch2.5", "torch2.6", "torch2.7"]
    again = " ".join(["python -m nnspec releases", *wish, "2.5", "2.7"])
    assert capsys.readouterr().err == f"failed: 2.5, 2.7; see above, then: {again}\n"


def test_without_tox_nothing_is_run(tox, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "tox" else 1)

    assert main(["releases", "2.4"]) == 2
    assert "tox is not installed; install it with: pip install tox" in capsys.readouterr().err
    assert tox == []


def test_an_environment_is_made_anew_and_taken_away(tox, project):
    (project / ".tox" / "torch2.4").mkdir(parents=True)

    main(["releases", "2.4"])

    assert [name for name, _ in tox] == ["torch2.4"]
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
        "mini.small.gone": Row("holds", "0"),
    }
    record.write(Record(was.run, fresh), tmp_path / "elsewhere")

    assert main(["adopt", str(tmp_path / "elsewhere")]) == 0

    assert lines_of(capsys) == ["2.4.1-cpu: 1 rows adopted, 0 pending"]
    assert kept(project).rows == {**was.rows, "mini.small.always": Row("holds", clause.digest)}
    assert main(["adopt", str(tmp_path / "elsewhere")]) == 0
    assert lines_of(capsys) == ["2.4.1-cpu: nothing is pending"]


def test_rows_of_a_clause_as_it_was_are_not_adopted(project, change, tmp_path, capsys):
    was = kept(project)
    record.write(was, tmp_path / "elsewhere")
    change()

    assert main(["adopt", str(tmp_path / "elsewhere")]) == 0

    assert lines_of(capsys) == ["2.4.1-cpu: 0 rows adopted, 1 pending"]
    assert kept(project).rows == was.rows


def remaking_clauses(project, every=False):
    from nnspec.clauses.chapter import read_chapters

    (chapter,) = read_chapters(project / "spec")
    return [clause for clause in chapter.clauses if every or clause.name == "always"]


def test_a_record_of_a_new_device_is_adopted_whole(project, tmp_path, capsys):
    was = kept(project)
    record.write(Record({**was.run, "devices": ["cpu", "cuda (NVIDIA X)"]}, was.rows), tmp_path / "gpu")

    assert main(["adopt", str(tmp_path / "gpu")]) == 0

    assert lines_of(capsys) == ["2.4.1-cuda: 4 rows adopted, 0 pending"]
    assert reading.read(project / "docs" / "records" / "2.4.1-cuda.json").rows == was.rows


def test_a_run_of_all_clauses_on_another_machine_takes_the_place_of_the_record(project, change, tmp_path):
    was = kept(project)
    change()
    clauses = {clause.id: clause for clause in remaking_clauses(project, every=True)}
    whole = {name: Row("holds", clause.digest) for name, clause in clauses.items()}
    record.write(Record({**was.run, "platform": "another"}, whole), tmp_path / "elsewhere")

    assert main(["adopt", str(tmp_path / "elsewhere")]) == 0

    assert kept(project).rows == whole
    assert kept(project).run["platform"] == "another"


def test_nothing_of_a_run_that_failed_is_adopted(project, change, tmp_path, capsys):
    was = kept(project)
    change()
    record.write(Record(was.run, {**was.rows, "mini.small.always": Row("violated", "0")}), tmp_path / "bad")

    assert main(["adopt", str(tmp_path / "bad")]) == 2

    assert "2.4.1-cpu: says 'violated' of mini.small.always; nothing was adopted" in capsys.readouterr().err
    assert kept(project).rows == was.rows


@pytest.mark.parametrize("what", ["violated", "damaged", "none"])
def test_nothing_is_adopted_of_others_beside_a_bad_record(project, change, tmp_path, capsys, what):
    was = kept(project)
    change()
    (clause,) = remaking_clauses(project)
    fresh = {"mini.small.always": Row("holds", clause.digest)}
    record.write(Record(was.run, fresh), tmp_path / "good")
    bad = Record({**was.run, "torch": "2.5.1"}, {"mini.small.always": Row("violated", clause.digest)})
    path = record.write(bad, tmp_path / "bad")
    if what == "damaged":
        path.write_text("{")
    if what == "none":
        path.unlink()

    assert main(["adopt", str(tmp_path / "good"), str(tmp_path / "bad")]) == 2

    assert capsys.readouterr().out == ""
    assert kept(project).rows == was.rows


def test_what_two_records_say_differently_is_not_adopted(project, change, tmp_path, capsys):
    was = kept(project)
    change()
    (clause,) = remaking_clauses(project)
    for place, outcome in (("one", "holds"), ("other", "unmet")):
        record.write(Record(was.run, {"mini.small.always": Row(outcome, clause.digest)}), tmp_path / place)

    assert main(["adopt", str(tmp_path / "one"), str(tmp_path / "other")]) == 2

    told = "2.4.1-cpu: one record says 'holds' of mini.small.always and another 'unmet'; nothing was adopted"
    assert told in capsys.readouterr().err
    assert kept(project).rows == was.rows


def test_a_first_record_makes_its_folder(project, tmp_path, capsys):
    record.write(kept(project), tmp_path / "elsewhere")
    shutil.rmtree(project / "docs" / "records")

    assert main(["adopt", str(tmp_path / "elsewhere")]) == 0
    assert lines_of(capsys) == ["2.4.1-cpu: 4 rows adopted, 0 pending"]


def test_a_folder_without_records_cannot_be_adopted(project, tmp_path, capsys):
    shutil.rmtree(tmp_path / "none", ignore_errors=True)

    assert main(["adopt", str(tmp_path / "none")]) == 2
    assert "none: no records here" in capsys.readouterr().err


def test_the_command_outside_a_checkout(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nnspec.clauses.parts.__file__", str(tmp_path / "a" / "b" / "c" / "d.py"))

    assert main(["lint"]) == 2
    assert "no spec/ and docs/ here; run this command in a checkout" in capsys.readouterr().err


def test_the_command_in_a_folder_that_is_gone(tmp_path, monkeypatch, capsys):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()

    assert main(["check-records"]) == 2
    told = "nnspec check-records: the folder that this was started in is gone; change into another one\n"
    assert capsys.readouterr().err == told


def test_no_command_shows_usage(capsys):
    with pytest.raises(SystemExit, match="2"):
        main([])
    assert "the following arguments are required: COMMAND" in capsys.readouterr().err
