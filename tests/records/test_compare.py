"""Two records side by side, and the command that shows them."""

import json

import pytest

from nnspec.clauses.chapter import read_spec
from nnspec.cli import main
from nnspec.records import comparison, record
from nnspec.records.record import Record, Row

CLAUSES = '''
@pytest.mark.since("2.5")
def test_new():
    """A :class:`~torch.nn.Module` is new (:pull:`129164`)."""
    assert 1


@pytest.mark.before("2.5")
def test_old():
    """It is old."""
    assert 1


def test_always():
    """It is always so."""
    assert 1


@pytest.mark.needs("cuda")
def test_far():
    """It is far."""
    assert 1
'''
RUN = {"torchvision": "0.1", "python": "3.11", "devices": ["cpu"], "platform": "Linux", "date": "2026-01-02"}


@pytest.fixture
def project(write, monkeypatch):
    """A project with records of 2.4.1 and 2.5.1."""
    root = write(CLAUSES)
    digest = {c.name: c.digest for chapter in read_spec(root / "spec") for c in chapter.clauses}
    for version, new, old in (("2.4.1", "absent", "holds"), ("2.5.1", "holds", "no longer")):
        rows = {
            "mini.small.always": Row("holds", digest["always"]),
            "mini.small.far": Row("unmet", digest["far"], "need a CUDA device"),
            "mini.small.new": Row(new, digest["new"]),
            "mini.small.old": Row(old, digest["old"]),
        }
        record.write(Record({**RUN, "torch": version}, rows), root / "docs" / "records")
    monkeypatch.chdir(root)
    return root


def test_what_changes_between_neighbours(project, capsys):
    code = main(["compare", "2.4", "2.5"])

    assert code == 1
    assert capsys.readouterr().out.splitlines() == [
        "2.4.1-cpu -> 2.5.1-cpu",
        "",
        "no longer holds (1)",
        "  It is old.",
        "      mini.small.old  [holds -> no longer]",
        "",
        "newly holds (1)",
        "  A Module is new (#129164).",
        "      mini.small.new  [absent -> holds]",
        "      https://github.com/pytorch/pytorch/pull/129164",
        "",
        "not judged on both sides (1)",
        "  It is far.",
        "      mini.small.far  [unmet -> unmet]",
        "",
        "the same on both sides: 1",
    ]


def test_a_reversed_pair_is_reversed(project, capsys):
    main(["compare", "2.5", "2.4", "--json"])

    found = json.loads(capsys.readouterr().out)
    assert [change["id"] for change in found["newly_holds"]] == ["mini.small.old"]
    assert [change["id"] for change in found["no_longer_holds"]] == ["mini.small.new"]


def test_the_same_release_says_so(project, capsys):
    assert main(["compare", "2.4", "2.4.1"]) == 0
    assert "nothing that could be judged on both sides differs" in capsys.readouterr().out


def test_a_missing_record_lists_those_there_are(project, capsys):
    assert main(["compare", "2.4", "2.9"]) == 2
    assert "no record of '2.9' in" in (error := capsys.readouterr().err)
    assert "there are: 2.4.1-cpu, 2.5.1-cpu" in error


def test_a_file_can_be_named(project, capsys):
    assert main(["compare", str(project / "docs/records/2.5.1-cpu.json"), "2.5.1-cpu"]) == 0


def test_a_stale_record_is_noted(project, write, capsys):
    write(CLAUSES.replace("It is always so", "It is so for ever"))

    main(["compare", "2.4", "2.5"])

    assert "note: the record 2.4.1-cpu is stale in 1 rows, such as mini.small.always" in (
        capsys.readouterr().out
    )


def test_added_and_retired_rows():
    before = Record({**RUN, "torch": "2.4.1"}, {"a.b.gone": Row("holds", "0"), "a.b.c": Row("holds", "0")})
    after = Record({**RUN, "torch": "2.5.1"}, {"a.b.here": Row("holds", "0"), "a.b.c": Row("violated", "0")})

    found = comparison.compare(before, after, {})

    assert [change.id for change in found.added] == ["a.b.here"]
    assert [change.id for change in found.retired] == ["a.b.gone"]
    assert [change.id for change in found.no_longer_holds] == ["a.b.c"]


def test_check_records(project, write, capsys):
    assert main(["check-records"]) == 0
    assert capsys.readouterr().out == "2 records, 0 defects\n"

    write(CLAUSES.replace("It is always so", "It is so for ever"))

    assert main(["check-records"]) == 1
    out = capsys.readouterr().out
    assert "2.4.1-cpu.json: mini.small.always: stale" in out
    assert "mend it with: python -m nnspec releases 2.4" in out


def test_check_records_names_a_damaged_file_and_goes_on(project, capsys):
    path = project / "docs/records/2.4.1-cpu.json"
    path.write_text(path.read_text()[:200])

    assert main(["check-records"]) == 1
    out = capsys.readouterr().out
    assert "2.4.1-cpu.json:6: not valid JSON" in out or "2.4.1-cpu.json" in out
    assert out.endswith("2 records, 1 defects\n")


def test_check_records_asks_for_every_release(project, capsys):
    assert main(["check-records", "--all-releases"]) == 1
    out = capsys.readouterr().out
    assert "torch 2.0: no record; make it with: python -m nnspec releases 2.0" in out
    assert "torch 2.4: no record" not in out


def test_check_records_against_a_fresh_run(project, tmp_path, capsys):
    kept = record.read(project / "docs/records/2.5.1-cpu.json")
    fresh = tmp_path / "fresh"
    record.write(kept, fresh)
    assert main(["check-records", "--fresh", str(fresh)]) == 0

    rows = {**kept.rows, "mini.small.always": Row("violated", kept.rows["mini.small.always"].digest)}
    record.write(Record(kept.run, rows), fresh)
    capsys.readouterr()

    assert main(["check-records", "--fresh", str(fresh)]) == 1
    assert "2.5.1-cpu: mini.small.always: recorded 'holds'" in capsys.readouterr().out


def test_the_command_outside_a_checkout(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nnspec.cli.__file__", str(tmp_path / "a" / "b" / "cli.py"))

    assert main(["lint"]) == 2
    assert "no spec/ and docs/ here; run this command in a checkout" in capsys.readouterr().err


def test_an_unknown_release_to_record(project, capsys):
    assert main(["releases", "1.13"]) == 2
    assert "'1.13' is no supported release; one of 2.0, 2.1" in capsys.readouterr().err


def test_no_command_shows_usage(capsys):
    with pytest.raises(SystemExit, match="2"):
        main([])
    assert "the following arguments are required: COMMAND" in capsys.readouterr().err
