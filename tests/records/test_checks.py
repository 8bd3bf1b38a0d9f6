"""Records beside the clauses: wrong rows, pending rows, and the rows of a newer run."""

import pytest

from nnspec.clauses.parts import read_parts
from nnspec.records import checks
from nnspec.records.record import Record, RecordError, Row

RUN = {
    "torch": "2.4.1",
    "torchvision": "0.19.1",
    "python": "3.11",
    "platform": "Linux x86_64",
    "devices": ["cpu"],
}

CLAUSES = '''
@pytest.mark.since("2.5")
def test_new():
    """It is new."""
    assert 1


def test_old():
    """It is old."""
    assert 1
'''


@pytest.fixture
def clauses(write):
    parts = read_parts(write(CLAUSES) / "spec")
    return {clause.id: clause for part in parts for chapter in part.chapters for clause in chapter.clauses}


@pytest.fixture
def rows(clauses):
    """What torch 2.4 gives."""
    return {
        "mini.small.new": Row("not yet", clauses["mini.small.new"].digest, "AssertionError"),
        "mini.small.old": Row("holds", clauses["mini.small.old"].digest),
    }


def test_a_record_that_agrees(clauses, rows):
    kept = Record(RUN, rows)

    assert checks.pending(kept, clauses) == {}
    assert checks.wrong(kept, clauses) == []


@pytest.mark.parametrize(
    ("version", "outcome", "is_wrong"),
    [
        ("2.4.1", "holds", True),
        ("2.4.1", "no longer", True),
        ("2.4.1", "not yet", False),
        ("2.4.1", "absent", False),
        ("2.4.1", "unmet", False),
        ("2.5.1", "holds", False),
        ("2.5.1", "not yet", True),
        ("2.5.1", "no longer", True),
        ("2.5.1", "absent", True),
        ("2.5.1", "unmet", False),
    ],
)
def test_an_outcome_on_the_wrong_side_of_a_bound(clauses, rows, version, outcome, is_wrong):
    rows["mini.small.new"] = Row(outcome, clauses["mini.small.new"].digest)

    lines = checks.wrong(Record({**RUN, "torch": version}, rows), clauses)

    expected = f"mini.small.new: recorded as {outcome!r} on torch {version}, but its bounds say since 2.5"
    assert lines == ([expected] if is_wrong else [])


@pytest.mark.parametrize("outcome", ["violated", "error"])
@pytest.mark.parametrize("digest", ["", "another"])
def test_what_fails_a_run_is_always_wrong(clauses, rows, outcome, digest):
    rows["mini.small.old"] = Row(outcome, digest or clauses["mini.small.old"].digest)

    assert checks.wrong(Record(RUN, rows), clauses) == [
        f"mini.small.old: recorded as {outcome!r}; no record of a release may say so"
    ]


def test_what_a_device_is_known_to_violate_is_not_wrong(clauses, rows):
    digest = clauses["mini.small.old"].digest
    kept = Record({**RUN, "devices": ["own"]}, {**rows, "mini.small.old": Row("violated", digest)})

    assert checks.wrong(kept, clauses, ["mini.small.old"]) == []
    assert checks.wrong(kept, clauses, ["mini.small.new"]) == [
        "mini.small.old: recorded as 'violated'; no record of a release may say so that "
        "docs/differences.toml does not explain"
    ]

    failed = Record(kept.run, {**rows, "mini.small.old": Row("error", digest)})
    assert [line[:35] for line in checks.wrong(failed, clauses, ["mini.small.old"])] == [
        "mini.small.old: recorded as 'error'"
    ]


def test_new_changed_and_gone_rows_are_pending_and_not_wrong(clauses):
    rows = {"mini.small.new": Row("holds", "another"), "mini.small.gone": Row("holds", "another")}
    kept = Record(RUN, rows)

    assert checks.pending(kept, clauses) == {
        "mini.small.gone": checks.GONE,
        "mini.small.new": checks.CHANGED,
        "mini.small.old": checks.NEW,
    }
    assert checks.wrong(kept, clauses) == []


def test_differences_are_told_row_by_row():
    rows = {
        "a.b.c": Row("holds", "0123"),
        "a.b.d": Row("absent", "0124", "no Buffer"),
        "a.b.e": Row("holds", "5"),
    }
    kept = Record(RUN, rows)
    fresh = Record(
        {**RUN, "torch": "2.5.1", "platform": "Darwin arm64"},
        {"a.b.c": Row("violated", "0123", "AssertionError")},
    )

    assert checks.differences(kept, fresh, ["a.b.e"]) == [
        "torch: recorded with '2.4.1', run with '2.5.1'",
        "a.b.c: recorded 'holds' (0123), ran 'violated' (AssertionError)",
        "a.b.d: recorded 'absent' (no Buffer), ran nothing",
    ]


def test_a_whole_run_takes_the_place_of_the_record(clauses, rows):
    fresh = Record({**RUN, "python": "3.12"}, rows)

    assert checks.splice(Record(RUN, {"mini.small.gone": Row("holds", "0")}), fresh, clauses) is fresh
    assert checks.splice(None, fresh, clauses) is fresh


def test_rows_of_some_clauses_stand_beside_the_others(clauses, rows):
    kept = Record(RUN, {**rows, "mini.small.gone": Row("holds", "0")})
    fresh = Record(RUN, {"mini.small.new": Row("absent", "1234", "AttributeError")})

    spliced = checks.splice(kept, fresh, clauses)

    assert dict(spliced.rows) == {
        "mini.small.new": Row("absent", "1234", "AttributeError"),
        "mini.small.old": rows["mini.small.old"],
    }
    assert spliced.run == RUN


@pytest.mark.parametrize("key", [key for key in RUN if key != "devices"])
def test_rows_of_another_run_do_not_stand_beside_the_others(clauses, rows, key):
    fresh = Record({**RUN, key: "other"}, {"mini.small.new": rows["mini.small.new"]})

    with pytest.raises(
        RecordError,
        match=f"2.4.1-cpu: was recorded with {key} '.*', and this run has 'other'; "
        "its rows cannot stand beside the others: run all clauses, or record into another folder",
    ):
        checks.splice(Record(RUN, rows), fresh, clauses)
