"""What a run costs, with runs that are made up."""

import sys
from itertools import count
from types import SimpleNamespace

import pytest

from nnspec.cli import main
from nnspec.errors import UsageError
from nnspec.running import cost
from nnspec.running.cost import Cost

CLAUSE = 'def test_a():\n    """It is."""\n    assert 1'


@pytest.fixture
def project(write, monkeypatch):
    """A project with two ordinary parts and two slow ones."""
    needs = {"plain": "cuda", "compilation": "compile", "ranks": "distributed", "other": "cuda"}
    for part, need in needs.items():
        root = write(f'@pytest.mark.needs("{need}")\n{CLAUSE}', part=part)
    monkeypatch.chdir(root)
    return root


def test_what_is_measured(project):
    pytest_quietly = [sys.executable, "-m", "pytest", "-q"]

    assert cost._commands(project) == {
        "import torch, torchvision, pytest": [sys.executable, "-c", "import torch, torchvision, pytest"],
        "parts without compilation and ranks": [*pytest_quietly, "spec/other", "spec/plain"],
        "all": [*pytest_quietly, "spec"],
        "all, -n 2": [*pytest_quietly, "spec", "-n", "2"],
    }


def test_medians_as_ratios_to_the_floor_without_the_first_round(project, monkeypatch, capsys):
    floor, ordinary, whole, shared = (
        iter([Cost(99, 99), *(Cost(*pair) for pair in pairs)])
        for pairs in (
            [(2, 4), (4, 8), (2, 4)],
            [(3, 6), (5, 9), (1, 2)],
            [(6, 12), (8, 24), (6, 10)],
            [(8, 6), (9, 12), (7, 8)],
        )
    )

    def made_up(command, root):
        assert root == project
        if "-c" in command:
            return next(floor)
        return next(shared if "-n" in command else whole if command[-1] == "spec" else ordinary)

    monkeypatch.setattr(cost, "_cost", made_up)

    assert main(["cost", "--rounds", "3"]) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [
        "                                          processor             wall        ",
        "import torch, torchvision, pytest             2.0 s   1.00x    4.0 s   1.00x",
        "parts without compilation and ranks           3.0 s   1.25x    6.0 s   1.12x",
        "all                                           6.0 s   3.00x   12.0 s   3.00x",
        "all, -n 2                                     8.0 s   3.50x    8.0 s   1.50x",
        "all with -n 2 takes 0.50 of the wall time of one process",
    ]
    assert shown.err.splitlines() == [
        "a round that is not counted",
        *(f"round {number} of 3" for number in (1, 2, 3)),
    ]


def test_a_process_is_measured_with_its_byte_code_cached(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("MARKER", "kept")
    seconds = count(10, 5)
    monkeypatch.setattr(cost.time, "perf_counter", lambda: next(seconds))
    used = iter([SimpleNamespace(ru_utime=1.0, ru_stime=0.5), SimpleNamespace(ru_utime=3.0, ru_stime=1.5)])
    monkeypatch.setattr(cost.resource, "getrusage", lambda who: next(used))
    look = (
        "import os; names = ('MARKER', 'PYTHONDONTWRITEBYTECODE'); "
        "open('seen', 'w').write(repr([os.environ.get(name) for name in names]))"
    )

    assert cost._cost([sys.executable, "-c", look], tmp_path) == Cost(3.0, 5)
    assert (tmp_path / "seen").read_text() == "['kept', None]"


def test_a_run_that_fails_is_not_measured(tmp_path):
    fail = "import sys; print(*range(9), sep='\\n', file=sys.stderr); sys.exit(3)"

    with pytest.raises(
        UsageError, match=r"sys.exit\(3\): ended with 3, so nothing is measured:\n4\n5\n6\n7\n8$"
    ):
        cost._cost([sys.executable, "-c", fail], tmp_path)


def test_rounds_are_counted_from_one(project, monkeypatch, capsys):
    monkeypatch.setattr(cost, "_cost", lambda command, root: Cost(1, 1))
    assert main(["cost", "--rounds", "1"]) == 0

    assert main(["cost", "--rounds", "0"]) == 2
    assert "--rounds 0: how often each is run, a number from 1" in capsys.readouterr().err
