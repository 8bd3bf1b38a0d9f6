"""Two records side by side, and the command that shows them."""

import json

from nnspec.cli import main
from nnspec.records import comparison
from nnspec.records.record import Record, Row

RUN = {"torchvision": "0.1", "python": "3.11", "platform": "Linux", "devices": ["cpu"]}


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


def test_pending_rows_are_noted(project, change, capsys):
    change()

    main(["compare", "2.4", "2.5"])

    assert "note: 1 rows of 2.4.1-cpu are pending, such as mini.small.always" in capsys.readouterr().out


def test_added_and_retired_rows():
    before = Record({**RUN, "torch": "2.4.1"}, {"a.b.gone": Row("holds", "0"), "a.b.c": Row("holds", "0")})
    after = Record({**RUN, "torch": "2.5.1"}, {"a.b.here": Row("holds", "0"), "a.b.c": Row("violated", "0")})

    found = comparison.compare(before, after, {})

    assert [change.id for change in found.added] == ["a.b.here"]
    assert [change.id for change in found.retired] == ["a.b.gone"]
    assert [change.id for change in found.no_longer_holds] == ["a.b.c"]
