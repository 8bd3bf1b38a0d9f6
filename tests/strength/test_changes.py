"""Changes to functions: how they get into living ones, which are tried, and how many are done."""

import importlib
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from nnspec.strength import command
from nnspec.strength.progress import Progress, Words
from nnspec.strength.targets import Change, read_target, short_name

TARGET = """
import functools
from typing import overload

LIMIT = 3


def shouted(function):
    @functools.wraps(function)
    def loud(*args):
        return function(*args).upper()
    return loud


@shouted
def greet(name):
    return "hello " + name


class Base:
    def size(self, extra=1):
        return 10 + extra


class Box(Base):
    depth = 2

    @overload
    def size(self, extra: int) -> int: ...

    def size(self, extra=1, *, more=0):
        return super().size(extra) + more

    @property
    def half(self):
        return self.size() / 2

    @staticmethod
    def twice(a):
        def inner():
            return a * 2
        return inner()
"""


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ModuleType]]:
    """Imports a module that is written for the test: ``target(source)``."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def imported(source: str = TARGET) -> ModuleType:
        (tmp_path / "tried_here.py").write_text(source)
        sys.modules.pop("tried_here", None)
        importlib.invalidate_caches()
        return importlib.import_module("tried_here")

    yield imported
    sys.modules.pop("tried_here", None)


def change_named(name: str) -> Change:
    [change] = [change for change in read_target("tried_here").changes if change.id.endswith(name)]
    return change


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("greet:1:arithmetic:2", ("BOB", 11, 5.5, 8)),
        ("Box.size:0:default", ("HELLO BOB", 12, 6.0, 8)),
        ("Box.size:0:default:2", ("HELLO BOB", 12, 6.0, 8)),
        ("Box.size:1:returned-none", ("HELLO BOB", None, None, 8)),
        ("Box.half:1:arithmetic", ("HELLO BOB", 11, 22, 8)),
        ("Box.twice:2:number", ("HELLO BOB", 11, 5.5, 12)),
    ],
)
def test_a_change_is_put_into_the_living_function(target, name, seen):
    module = target()
    box, greet, twice = module.Box(), module.greet, module.Box.twice

    def all_seen():
        size = box.size()
        return greet("Bob"), size, None if size is None else box.half, twice(4)

    ordinary = all_seen()
    with change_named(name).put_in():
        assert all_seen() == seen
    assert all_seen() == ordinary != seen


def test_what_runs_on_import_is_not_tried(target):
    target()
    tried = read_target("tried_here")

    assert tried.not_tried == 4
    assert {change.function for change in tried.changes} == {
        "shouted",
        "greet",
        "Base.size",
        "Box.size",
        "Box.half",
        "Box.twice",
    }


def test_ids_are_unique_the_same_each_time_and_survive_edits_elsewhere(target):
    target()
    first = [change.id for change in read_target("tried_here").changes]
    target(TARGET.replace("LIMIT = 3", "LIMIT = 3\n\n\ndef other(a):\n    return a\n"))
    second = [change.id for change in read_target("tried_here").changes if change.function != "other"]

    assert first == second
    assert len(set(first)) == len(first)


def test_a_file_is_named_as_briefly_as_possible():
    names = ("torch.nn.modules.module", "torch.nn.utils.prune", "torch.utils.hooks", "other.part")

    assert list(map(short_name, names)) == ["module.py", "utils/prune.py", "utils/hooks.py", "other/part.py"]


@pytest.mark.parametrize(
    ("only", "functions"),
    [
        ("tried_here.py", {"shouted", "greet", "Base.size", "Box.size", "Box.half", "Box.twice"}),
        ("Box", {"Box.size", "Box.half", "Box.twice"}),
        ("tried_here.py:Box.half", {"Box.half"}),
        ("*.size", {"Base.size", "Box.size"}),
        ("tried_here.py:Box.half:1:number", {"Box.half"}),
    ],
)
def test_a_pattern_selects_changes(target, only, functions):
    target()

    assert {
        change.function for change in command._select([read_target("tried_here")], only, None)
    } == functions


def test_a_sample_is_the_same_each_time(target):
    target()
    targets = [read_target("tried_here")]
    samples = [[change.id for change in command._select(targets, None, 5)] for _ in range(2)]

    assert samples[0] == samples[1]
    assert len(samples[0]) == 5


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_renews_one_line_on_a_terminal(target):
    target()
    changes = read_target("tried_here").changes
    stream = Terminal()
    progress = Progress(stream, Words("changes", "noticed", "survived"))
    progress.begin(len(changes))
    progress.advance(survived=True)
    progress.advance(survived=False)
    progress.end()

    first, last = stream.getvalue().rstrip("\n").rpartition("\r")[::2]
    assert last.removeprefix("\x1b[2K").startswith(f"2/{len(changes)} changes, 1 noticed, 1 survived")
    assert first.count("\n") == 1
