"""A measurement of a tiny package: what is noticed, what survives, and what is shown and recorded."""

import importlib.util
import json
import os
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from driving import measure, start

from nnspec.clauses.tables import TableError
from nnspec.cli import main
from nnspec.strength.counts import describe
from nnspec.strength.reading import read_explanations

SUMS = """
import os


def larger(a, b):
    if a < b:
        return b
    return a


def count_up(limit):
    count = 0
    while count < limit:
        count += 1
    return count


def keep_going(stop):
    if stop:
        os.abort()
    return "going"


def refuse(name):
    raise ValueError(f"nobody wants {name}")


def never_called(a):
    return -a
"""

CLAUSES = """
import pytest
from tiny import sums


def test_larger():
    '''The larger one is returned.'''
    assert [sums.larger(2, 3), sums.larger(5, 4)] == [3, 5]


def test_count_up():
    '''It counts.'''
    assert [sums.count_up(3), sums.count_up(0)] == [3, 0]


def test_keep_going():
    '''It goes on.'''
    assert sums.keep_going(False) == "going"


@pytest.mark.needs("distributed")
def test_never_called():
    '''Such a clause is left out: its torch runs elsewhere.'''
    assert sums.never_called(2) == -2


def test_refuse():
    '''It refuses.'''
    with pytest.raises(ValueError):
        sums.refuse("me")
"""

EXPLAINED = """
["tiny/sums.py:larger:1:comparison"]
kind = "same behaviour"
why = "of two equal ones either is the larger"

["tiny/sums.py:larger:9:number"]
kind = "same behaviour"
why = "there was such a line once"
"""

ON_ACCELERATOR = """
from nnspec.strength import measurement
measurement.CHANGES_ON_ACCELERATOR = 5
measurement.Measurement.on_accelerator = property(lambda measurement: True)
"""

DRIVER = """
import sys
from nnspec import cli
from nnspec.strength import command, session
session.LEAST_SECONDS = 0.5
command.MODULES = ("tiny.sums",)
sys.exit(cli.main(["mutate", "--jobs", "2", *sys.argv[1:]]))
"""


def project(folder: Path, clauses: str = CLAUSES, sums: str = SUMS) -> Path:
    """Writes a tiny package and its specification."""
    part = folder / "spec" / "mini"
    part.mkdir(parents=True)
    (folder / "tiny").mkdir()
    (folder / "docs").mkdir()
    (folder / "tiny" / "__init__.py").write_text("")
    (folder / "tiny" / "sums.py").write_text(sums)
    (part / "test_small.py").write_text(clauses)
    (folder / "docs" / "survivors.toml").write_text(EXPLAINED)
    (folder / "driver.py").write_text(DRIVER)
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A whole measurement of the tiny package."""
    folder = project(tmp_path_factory.mktemp("whole"))
    code, shown, errors = measure(folder)
    [path] = (folder / "docs" / "records").iterdir()
    record = json.loads(path.read_text())
    return {"code": code, "shown": shown, "errors": errors, "path": path, "record": record}


def test_changes_that_no_clause_notices_survive(whole):
    survivors = whole["record"]["survivors"]

    assert survivors == {
        "tiny/sums.py:keep_going:2:dropped-statement": ["os.abort()", "dropped: os.abort()", "not reached"],
        "tiny/sums.py:larger:1:comparison": ["if a < b:", "a < b becomes a <= b"],
        "tiny/sums.py:never_called:1:dropped-sign": ["return -a", "-a becomes a", "not reached"],
        "tiny/sums.py:never_called:1:returned-none": [
            "return -a",
            "return -a becomes return None",
            "not reached",
        ],
        "tiny/sums.py:refuse:1:message": [
            'raise ValueError(f"nobody wants {name}")',
            "f'nobody wants {name}' becomes f'XX{name}'",
            "message wording",
        ],
        "tiny/sums.py:refuse:1:shown-value": [
            'raise ValueError(f"nobody wants {name}")',
            "{name} becomes {None}",
            "message wording",
        ],
    }


def test_a_change_that_crashes_or_never_ends_is_noticed(whole):
    assert "3 timed out" in whole["shown"]
    assert "1 crashed" in whole["shown"]


def test_what_lies_behind_a_link_is_changed_too(tmp_path):
    folder = project(tmp_path / "project")
    (folder / "tiny").rename(tmp_path / "elsewhere")
    (folder / "tiny").symlink_to(tmp_path / "elsewhere")

    _, shown, _ = measure(folder, "--only", "sums.py:larger")

    assert "3 noticed, 1 survived" in shown, shown


def test_the_record_counts_each_file(whole):
    files = whole["record"]["files"]
    count = files["tiny/sums.py"]

    assert list(files) == ["tiny/sums.py"]
    assert count["changes"] == count["noticed"] + count["survived"]
    assert (count["survived"], count["not tried"]) == (6, 0)
    assert set(whole["record"]["run"]) == {"torch", "device", "python", "platform", "date"}
    assert whole["path"].name == f"strength-{whole['record']['run']['torch']}-cpu.json"


def test_survivors_are_shown_unless_they_are_explained(whole):
    shown = whole["shown"].partition("not explained")[2]

    assert whole["code"] == 1
    assert "tiny/sums.py:refuse:1:message" in shown
    assert "tiny/sums.py:larger:1:comparison" not in shown


def test_an_explanation_of_what_is_gone_is_outdated(whole):
    [line] = [line for line in whole["shown"].splitlines() if line.startswith("outdated")]

    assert "larger:9:number: no such change" in line


def test_progress_is_shown_in_lines_where_there_is_no_terminal(whole):
    lines = whole["errors"].splitlines()

    assert lines[1] == "4 cases of the clauses run without a change"
    count = whole["record"]["files"]["tiny/sums.py"]
    assert lines[-1] == "{changes}/{changes} changes, {noticed} noticed, 6 survived, 0 s left".format(**count)
    assert "\x1b" not in whole["errors"]


def test_a_part_is_shown_but_not_recorded(tmp_path):
    code, shown, _ = measure(project(tmp_path), "--only", "sums.py:larger")

    assert code == 0
    assert "1 survivors: 1 explained" in shown
    assert "not recorded" in shown
    assert not (tmp_path / "docs" / "records").exists()


def test_a_clause_that_does_not_hold_without_a_change_is_left_out(tmp_path):
    code, shown, errors = measure(
        project(tmp_path, CLAUSES.replace("[3, 0]", "[4, 0]")), "--only", "count_up"
    )

    assert code == 1
    assert "left out, as it does not hold without a change: spec/mini/test_small.py::test_count_up" in shown
    assert ", 0 noticed" in errors


def test_processes_leave_each_other_their_temporary_folders(tmp_path):
    keeping = """
import time

import pytest
from tiny import sums


@pytest.mark.parametrize("number", [0, 1])
def test_larger(tmp_path, number):
    '''The larger one is returned, and what is written stays.'''
    tmp_path.joinpath("number").write_text(str(number))
    time.sleep(0.5)
    assert sums.larger(2, 3) == 3
    assert tmp_path.joinpath("number").read_text() == str(number)
"""

    _, shown, _ = measure(project(tmp_path, keeping), "--only", "larger")

    assert "left out" not in shown


def test_on_an_accelerator_one_process_tries_several_changes(tmp_path, whole):
    folder = project(tmp_path)
    (folder / "driver.py").write_text(ON_ACCELERATOR + DRIVER)

    _, shown, _ = measure(folder, "--record", "elsewhere")

    [path] = (folder / "elsewhere").iterdir()
    record = json.loads(path.read_text())
    assert (record["files"], record["survivors"]) == (whole["record"]["files"], whole["record"]["survivors"])
    assert "3 timed out" in shown
    assert "1 crashed" in shown


def test_an_interrupted_measurement_leaves_no_process_and_no_record(tmp_path):
    slow = CLAUSES.replace(
        "    assert [sums.count_up", "    import time; time.sleep(2)\n    assert [sums.count_up"
    )
    process = start(project(tmp_path, slow))
    assert process.stderr is not None
    while "changes are tried" not in process.stderr.readline():
        assert process.poll() is None
    time.sleep(1)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)

    assert process.returncode == 130
    assert errors.endswith("nnspec mutate: interrupted\n")
    assert list((tmp_path / "docs" / "records").iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--sample", "0"], "--sample 0: how many changes to try"),
        (["--jobs", "0"], "--jobs 0: how many processes at a time"),
        (["--device", "abacus"], "--device abacus: no such device here; this torch finds cpu"),
        (["--only", "module.py:Module.fly"], "--only module.py:Module.fly: no change matches"),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused(capsys, arguments, words):
    assert main(["mutate", *arguments]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["mutate", "--sample", "1"], ["strength", "--clauses"]])
def test_without_assertions_nothing_is_tried(capsys, monkeypatch, arguments):
    flags = {name: getattr(sys.flags, name) for name in dir(sys.flags) if not name.startswith("_")}
    monkeypatch.setattr(sys, "flags", SimpleNamespace(**{**flags, "optimize": 1}))

    assert main(arguments) == 2
    assert "Python leaves assertions out" in capsys.readouterr().err


def test_what_was_judged_so_far_is_kept_in_a_file(write, capsys, monkeypatch):
    root = write('def test_a():\n    """It is."""\n    assert 1')
    monkeypatch.chdir(root)
    kept = root / "build" / f"assertions-{describe('cpu')['torch']}-cpu.jsonl"
    kept.mkdir(parents=True)

    assert main(["strength", "--clauses", "--only", "mini.*"]) == 2
    assert (
        f"{kept}: what was judged so far is kept in such a file, and this is none" in capsys.readouterr().err
    )


def test_coverage_is_asked_for(capsys, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    assert main(["mutate", "--sample", "1"]) == 2
    assert "coverage is not installed; install it with: pip install coverage" in capsys.readouterr().err


@pytest.mark.parametrize(
    "row",
    [
        'kind = "boring"\nwhy = "so"',
        'kind = ["same behaviour"]\nwhy = "so"',
        'kind = "same behaviour"',
        'kind = "same behaviour"\nwhy = " "',
        'kind = "same behaviour"\nwhy = 3',
        'kind = "same behaviour"\nwhy = "so"\nwhen = "now"',
    ],
)
def test_an_explanation_names_a_kind_and_says_why(tmp_path, row):
    (tmp_path / "survivors.toml").write_text(f'["module.py:f:1:number"]\n{row}\n')

    with pytest.raises(TableError, match=r"module\.py:f:1:number"):
        read_explanations(tmp_path / "survivors.toml")
