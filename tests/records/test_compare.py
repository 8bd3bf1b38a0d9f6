"""Two records side by side, and the command that shows them."""

import json
import shutil
import subprocess
import sys

import pytest

from nnspec.cli import main
from nnspec.records import comparison, reading, record
from nnspec.records.record import Record, RecordError, Row

RUN = {"torchvision": "0.1", "python": "3.11", "platform": "Linux", "devices": ["cpu"]}


def test_what_changes_between_neighbours(project, capsys):
    code = main(["compare", "2.4", "2.5"])

    assert code == 1
    assert capsys.readouterr().out.splitlines() == [
        "2.4.1-cpu -> 2.5.1-cpu",
        "",
        "no longer holds (1)",
        "  Up to 2.4: It is old.",
        "      mini.small.old  [holds -> no longer]",
        "",
        "newly holds (1)",
        "  Since 2.5: A Module is new (#129164).",
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
    assert capsys.readouterr().out.splitlines() == [
        "2.4.1-cpu -> 2.4.1-cpu",
        "",
        "not judged on both sides (1)",
        "  It is far.",
        "      mini.small.far  [unmet -> unmet]",
        "",
        "nothing that could be judged on both sides differs",
        "",
        "the same on both sides: 3",
        "note: both sides are the same run, so nothing can differ",
    ]


def test_a_missing_record_lists_those_there_are(project, capsys):
    assert main(["compare", "2.4", "2.9"]) == 2
    assert capsys.readouterr().err.endswith(
        "; there are: 2.4.1-cpu, 2.5.1-cpu. "
        "Name one of them, a file, or 'installed' for a run of the torch at hand\n"
    )


def test_without_records_none_can_be_named(tmp_path):
    with pytest.raises(RecordError, match=r"no record of '2\.9' in .*; there are: none\. "):
        comparison.find_record(tmp_path, "2.9")


def test_a_record_beside_that_of_the_cpu_is_meant_by_its_name_alone(tmp_path):
    for devices in (["cpu"], ["cpu", "cuda (NVIDIA H200)"]):
        record.write(Record({**RUN, "torch": "2.4.1", "devices": devices}, {}), tmp_path)
    names = ("2.4", "2.4.1", "2.4.1-cpu", "2.4.1-cuda")

    assert [comparison.find_record(tmp_path, name).device for name in names] == ["cpu", "cpu", "cpu", "cuda"]


DIFFERENCES = """
[[own]]
what = "It is far"
why = "The device has no `always`."
clauses = ["mini.small.always"]
"""


@pytest.fixture
def own(project):
    """A record of 2.5.1 on a device that differs, and the table that explains it."""
    kept = reading.read(project / "docs" / "records" / "2.5.1-cpu.json")
    violated = Row("violated", kept.rows["mini.small.always"].digest, "AssertionError")
    rows = {**kept.rows, "mini.small.always": violated}
    record.write(Record({**kept.run, "devices": ["own (Own 1)"]}, rows), project / "docs" / "records")
    (project / "docs" / "differences.toml").write_text(DIFFERENCES)
    return project


def test_two_devices_of_a_release(own, capsys):
    assert main(["compare", "2.5", "2.5-own"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "2.5.1-cpu -> 2.5.1-own",
        "",
        "holds on 2.5.1-cpu only (1)",
        "  It is always so.",
        "      mini.small.always  [holds -> violated]",
        "      why: The device has no always.",
        "",
        "not judged on both sides (1)",
        "  It is far.",
        "      mini.small.far  [unmet -> unmet]",
        "",
        "the same on both sides: 2",
    ]

    assert main(["compare", "2.5.1-own", "2.5"]) == 0
    assert "holds on 2.5.1-cpu only (1)\n  It is always so.\n" in capsys.readouterr().out
    assert main(["compare", "2.5-cuda", "2.5"]) == 2
    assert main(["compare", "2.5-", "2.5"]) == 2


def test_what_is_explained_of_a_device_may_be_recorded(own, capsys):
    main(["check-records"])
    assert "3 records, 0 defects" in capsys.readouterr().out

    (own / "docs" / "differences.toml").write_text("")
    main(["check-records"])
    assert "2.5.1-own: mini.small.always: recorded as 'violated'" in capsys.readouterr().out

    (own / "docs" / "differences.toml").write_text(DIFFERENCES.replace("small.always", "small.new"))
    assert main(["check-records"]) == 1
    assert "docs/differences.toml: own: mini.small.new is not violated there; take it out" in (
        capsys.readouterr().out
    )


@pytest.fixture
def installed(project, monkeypatch):
    """The command line of a run of the torch at hand, that leaves the record of torch 2.5.1."""
    commands = []

    def run(command, env, **options):
        assert {name for name in env if name.startswith("PYTEST_")} == set()
        assert options == {"cwd": project, "stdout": sys.stderr, "check": False}
        commands.append(command)
        (place,) = [word.partition("=")[2] for word in command if word.startswith("--record=")]
        shutil.copy(project / "docs/records/2.5.1-cpu.json", place)
        return subprocess.CompletedProcess(command, returncode=0)

    monkeypatch.setattr("nnspec.records.commands.subprocess.run", run)
    return commands


def test_a_record_beside_a_run_of_the_torch_at_hand(project, installed, monkeypatch, capsys):
    monkeypatch.setenv("PYTEST_ADDOPTS", "-k something")
    main(["compare", "2.4", "installed"])

    shown = capsys.readouterr()
    assert shown.out.startswith("2.4.1-cpu -> 2.5.1-cpu\n")
    assert shown.err == "running the spec on the torch at hand ...\n"
    ((python, *command),) = installed
    (place,) = [word for word in command if word.startswith("--record=")]
    assert python == sys.executable
    assert command == [
        *("-m", "pytest", str(project / "spec"), "-q", "--device=cpu"),
        *(place, "--rootdir", str(project)),
    ]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["installed", "2.99"], "no record of '2.99'"),
        (["installed", "2.4", "--used-in", "nowhere"], "nowhere: no Python files here"),
    ],
)
def test_what_can_be_refused_is_before_a_run_of_minutes(project, installed, capsys, arguments, told):
    assert main(["compare", *arguments]) == 2
    assert told in capsys.readouterr().err
    assert installed == []


def test_a_run_of_the_torch_at_hand_that_leaves_no_record(project, monkeypatch, capsys):
    ended = subprocess.CompletedProcess([], returncode=4)
    monkeypatch.setattr("nnspec.records.commands.subprocess.run", lambda *arguments, **options: ended)

    assert main(["compare", "installed", "2.4"]) == 2
    assert "the run of the spec left no record (pytest ended with 4)" in capsys.readouterr().err


def test_a_file_can_be_named(project, capsys):
    assert main(["compare", str(project / "docs/records/2.5.1-cpu.json"), "2.5.1-cpu"]) == 0


def test_pending_rows_are_noted(project, change, capsys):
    change()

    main(["compare", "2.4", "2.5"])

    assert "note: 1 rows of 2.4.1-cpu are pending, such as mini.small.always" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["2.4.1-cpu", "2.5.1-cpu"])
def test_pending_rows_are_noted_of_the_record_that_has_them(project, capsys, name):
    kept = reading.read(project / "docs" / "records" / f"{name}.json")
    rows = {clause: row for clause, row in kept.rows.items() if clause != "mini.small.far"}
    record.write(Record(kept.run, rows), project / "docs" / "records")

    main(["compare", "2.4", "2.5"])

    notes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: ")]
    assert [note.partition(",")[0] for note in notes] == [f"note: 1 rows of {name} are pending"]


def test_added_and_retired_rows():
    same = {"a.b.f": Row("holds", "0"), "a.b.g": Row("absent", "0")}
    before = {"a.b.gone": "holds", "a.b.c": "holds", "a.b.d": "unmet", "a.b.e": "holds"}
    after = {"a.b.here": "holds", "a.b.c": "violated", "a.b.d": "holds", "a.b.e": "error"}
    before, after = (
        Record(
            {**RUN, "torch": version}, {**same, **{name: Row(outcome, "0") for name, outcome in rows.items()}}
        )
        for version, rows in (("2.4.1", before), ("2.5.1", after))
    )

    assert comparison.as_text(comparison.compare(before, after, {})).splitlines() == [
        "2.4.1-cpu -> 2.5.1-cpu",
        "",
        "no longer holds (1)",
        "  a.b.c",
        "      a.b.c  [holds -> violated]",
        "",
        "added (1)",
        "  a.b.here",
        "      a.b.here  [- -> holds]",
        "",
        "retired (1)",
        "  a.b.gone",
        "      a.b.gone  [holds -> -]",
        "",
        "not judged on both sides (2)",
        "  a.b.d",
        "      a.b.d  [unmet -> holds]",
        "  a.b.e",
        "      a.b.e  [holds -> error]",
        "",
        "the same on both sides: 2",
        "note: 6 rows of 2.4.1-cpu are pending, such as a.b.c: those clauses are newer than the record; "
        "bring them with: python -m nnspec releases --pending",
        "note: 6 rows of 2.5.1-cpu are pending, such as a.b.c: those clauses are newer than the record; "
        "bring them with: python -m nnspec releases --pending",
    ]
