"""Records are written whole, and a damaged, foreign or altered file is refused by name."""

import json

import pytest

from nnspec.clauses.chapter import read_spec
from nnspec.records import record
from nnspec.records.record import Record, RecordError, Row

RUN = {
    "torch": "2.4.1",
    "torchvision": "0.19.1",
    "python": "3.11",
    "devices": ["cpu"],
    "platform": "Linux x86_64",
    "date": "2026-01-02",
}
ROWS = {
    "a.b.c": Row("holds", "0123456789ab"),
    "a.b.d": Row("absent", "0123456789ac", "AttributeError: no Buffer"),
}


def test_a_record_comes_back_as_it_was_written(tmp_path):
    path = record.write(Record(RUN, ROWS), tmp_path)

    found = record.read(path)

    assert path.name == "2.4.1-cpu.json"
    assert (found.run, found.rows) == (RUN, ROWS)
    assert (found.release, found.device, found.name) == ("2.4", "cpu", "2.4.1-cpu")
    assert [file.name for file in tmp_path.iterdir()] == ["2.4.1-cpu.json"]


def test_one_line_for_each_clause(tmp_path):
    lines = record.write(Record(RUN, ROWS), tmp_path).read_text().splitlines()

    assert '    "a.b.c": ["holds", "0123456789ab"],' in lines
    assert '  "count": {"clauses": 2, "absent": 1, "holds": 1},' in lines


def test_a_run_with_an_accelerator_is_named_by_it(tmp_path):
    made = Record({**RUN, "devices": ["cpu", "cuda (NVIDIA H200)"]}, ROWS)

    assert record.write(made, tmp_path).name == "2.4.1-cuda.json"


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(RecordError, match="nothing can be written here"):
        record.write(Record(RUN, ROWS), tmp_path / "file")


def test_a_failed_write_leaves_the_old_record(tmp_path, monkeypatch):
    path = record.write(Record(RUN, ROWS), tmp_path)
    before = path.read_text()

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(record.os, "replace", fail)

    with pytest.raises(RecordError, match="No space left"):
        record.write(Record(RUN, {}), tmp_path)
    assert path.read_text() == before


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[: len(text) // 2], r"2.4.1-cpu.json:\d+: not valid JSON .*perhaps cut off"),
        (lambda text: "", "not valid JSON"),
        (lambda text: "[]", "no record of this project"),
        (lambda text: text.replace('"schema": 1', '"schema": 7'), "schema 7, this nnspec reads schema 1"),
        (lambda text: text.replace('"holds", "0', '"hold", "0'), r"row 'a.b.c' is not \[outcome"),
        (lambda text: text.replace('"absent": 1, ', ""), "'count' does not agree"),
        (lambda text: text.replace("no Buffer", "no Bufer"), "'seal' does not agree"),
        (lambda text: text.replace('"torch": "2.4.1"', '"torch": "2.6.0"'), "'seal' does not agree"),
        (lambda text: text.replace('"torchvision": "0.19.1", ', ""), "'run' does not name"),
        (lambda text: text.replace('"clauses": {\n', '"rows": {\n'), "'clauses' is missing"),
    ],
)
def test_a_damaged_file_is_refused_with_its_name(tmp_path, damage, message):
    path = record.write(Record(RUN, ROWS), tmp_path)
    path.write_text(damage(path.read_text()))

    with pytest.raises(RecordError, match=message):
        record.read(path)


def test_the_record_of_another_release_under_this_name_is_refused(tmp_path):
    path = record.write(Record(RUN, ROWS), tmp_path)

    with pytest.raises(RecordError, match=r"holds a run of 2\.4\.1-cpu; name it"):
        record.read(path.rename(tmp_path / "2.6.0-cpu.json"))


def test_platform_and_date_do_not_enter_the_seal():
    elsewhere = Record({**RUN, "platform": "Darwin arm64", "date": "2027-01-01"}, ROWS)

    assert elsewhere.seal() == Record(RUN, ROWS).seal()
    assert record.differences(Record(RUN, ROWS), elsewhere) == []


def test_differences_are_told_row_by_row():
    other = Record({**RUN, "torch": "2.5.1"}, {"a.b.c": Row("violated", "0123456789ab", "AssertionError")})

    assert record.differences(Record(RUN, ROWS), other) == [
        "torch: recorded with '2.4.1', run with '2.5.1'",
        "a.b.c: recorded 'holds' (0123456789ab), ran 'violated' (AssertionError)",
        "a.b.d: recorded 'absent' (AttributeError: no Buffer), ran nothing",
    ]


def test_reasons_carry_no_addresses():
    assert record.tidy("<object at 0x7f31a2b3c4d5>\n  gone") == "<object at 0x...> gone"


@pytest.mark.parametrize("place", ["/usr/lib/torch/__init__.py", "unknown location"])
def test_reasons_carry_no_places_of_files(place):
    reason = f"ImportError: cannot import name 'x' from 'torch' ({place})"

    assert record.tidy(reason) == "ImportError: cannot import name 'x' from 'torch'"


CLAUSES = '''
@pytest.mark.since("2.5")
def test_new():
    """It is new."""
    assert 1


def test_old():
    """It is old."""
    assert 1
'''


def clauses_of(root):
    return {clause.id: clause for chapter in read_spec(root / "spec") for clause in chapter.clauses}


def test_a_record_is_checked_against_the_clauses(write):
    clauses = clauses_of(write(CLAUSES))
    rows = {name: Row("holds", clause.digest) for name, clause in clauses.items()}
    good = {**rows, "mini.small.new": Row("not yet", clauses["mini.small.new"].digest, "AssertionError")}

    assert record.check(Record(RUN, good), clauses) == []
    assert record.check(Record(RUN, rows), clauses) == [
        "mini.small.new: recorded as 'holds' on torch 2.4.1, but its bounds say since 2.5"
    ]
    assert record.check(Record({**RUN, "torch": "2.5.0"}, good), clauses) == [
        "mini.small.new: recorded as 'not yet' on torch 2.5.0, but its bounds say since 2.5"
    ]
    bounds = clauses["mini.small.old"].bounds
    failed = {**good, "mini.small.old": Row("error", clauses["mini.small.old"].digest, "ImportError")}
    assert record.check(Record(RUN, failed), clauses) == [
        f"mini.small.old: recorded as 'error' on torch 2.4.1, but its bounds say {bounds}"
    ]


def test_stale_missing_and_orphaned_rows_are_named(write):
    clauses = clauses_of(write(CLAUSES))
    rows = {"mini.small.old": Row("holds", "000000000000"), "mini.small.gone": Row("holds", "000000000000")}

    assert record.check(Record(RUN, rows), clauses) == [
        "mini.small.new: not recorded",
        "mini.small.gone: recorded, but no such clause; name its successor in spec/RETIRED.toml",
        "mini.small.old: stale: the clause was changed after it was recorded",
    ]


def test_only_files_named_by_a_version_are_records(tmp_path):
    record.write(Record(RUN, ROWS), tmp_path)
    (tmp_path / "strength-2.15.0.json").write_text(json.dumps({}))

    assert [one.name for one in record.read_all(tmp_path)] == ["2.4.1-cpu"]
