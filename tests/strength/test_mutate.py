"""Measuring strength: the small changes, how they get into a function, and which of them are noticed."""

import ast
import importlib
import io
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from nnspec.records.record import RecordError
from nnspec.strength import command, counts
from nnspec.strength.edits import edits
from nnspec.strength.operators import OPERATORS
from nnspec.strength.targets import Change, read_target, short_name

EXAMPLES = {
    "comparison": ("a == b", ["a != b"]),
    "negated-condition": ("if a:\n    b()", ["if not a:\n    b()"]),
    "and-or": ("a and b", ["a or b"]),
    "dropped-operand": ("a and b", ["b", "a"]),
    "dropped-not": ("not a", ["a"]),
    "boolean": ("f(True)", ["f(False)"]),
    "number": ("f(2)", ["f(3)"]),
    "string": ("f('key')", ["f('XX')"]),
    "message": ("raise KeyError(f'no {name} here')", ["raise KeyError(f'XX{name}')"]),
    "shown-value": ("f(f'no {name}')", ["f(f'no {None}')"]),
    "dropped-statement": ("del a.b", ["pass"]),
    "assigned-none": ("a = 3", ["a = None"]),
    "returned-none": ("return a", ["return None"]),
    "argument": ("f(a, b=c)", ["f(None, b=c)"]),
    "dropped-argument": ("f(*a, b=c)", ["f(b=c)", "f(*a)"]),
    "arithmetic": ("a + b", ["a", "b"]),
    "dropped-sign": ("f(-a)", ["f(a)"]),
    "dropped-bound": ("a[1:b]", ["a[:b]", "a[1:]"]),
    "raised-type": ("raise KeyError(a)", ["raise Exception(a)"]),
    "caught-type": ("try:\n    a()\nexcept KeyError:\n    b()", ["try:\n    a()\nexcept ():\n    b()"]),
    "loop": ("for a in b:\n    continue", ["for a in b:\n    break"]),
    "lambda-none": ("f(lambda a: a.b)", ["f(lambda a: None)"]),
    "dropped-element": ("f((a, b))", ["f((b,))", "f((a,))"]),
    "dropped-context": ("with a:\n    b()", ["if True:\n    b()"]),
}


def function(body: str, head: str = "def tried(self):") -> ast.FunctionDef:
    found = ast.parse(f"{head}\n{textwrap.indent(body, '    ')}").body[0]
    assert isinstance(found, ast.FunctionDef)
    return found


def changed(body: str, operator: str, head: str = "def tried(self):") -> list[str]:
    """The body of a function after each change that one operator makes to it."""
    definition = function(body, head)
    found = []
    for edit in edits(definition):
        if edit.operator == operator:
            with edit.applied():
                found.append("\n".join(map(ast.unparse, definition.body)))
    return found


@pytest.mark.parametrize("operator", EXAMPLES)
def test_an_operator_makes_its_change(operator):
    before, after = EXAMPLES[operator]

    assert changed(before, operator) == after


def test_every_operator_has_an_example_and_a_sentence():
    assert EXAMPLES.keys() - {"message"} == OPERATORS.keys()
    for operator in OPERATORS.values():
        assert (operator.__doc__ or "").endswith(".")


@pytest.mark.parametrize(
    ("before", "operator", "after"),
    [
        ("if a < b:\n    c()", "comparison", ["if a <= b:\n    c()"]),
        ("a is not None", "comparison", ["a is None"]),
        ("if a == b:\n    c()", "negated-condition", []),
        ("if not a:\n    c()", "negated-condition", []),
        ("f(b for b in c if d)", "negated-condition", ["f((b for b in c if not d))"]),
        ("self.a = b", "dropped-statement", ["pass"]),
        ("a = b\na = c", "dropped-statement", ["pass\na = c", "a = b\npass"]),
        ("raise KeyError(a)", "dropped-statement", ["pass"]),
        ("return", "dropped-statement", ["pass"]),
        ("'''What it does.'''\n...", "dropped-statement", []),
        ("a: 'B' = c", "string", []),
        ("isinstance(a, b)", "argument", []),
        ("getattr(a, 'b', c)", "dropped-argument", ["getattr(a, 'b')"]),
        ("a.get(b, 1)", "dropped-argument", ["a.get(b)"]),
        ("a.get(b, None)", "dropped-argument", []),
        ("a += b", "arithmetic", ["a = b"]),
        ("a * b", "arithmetic", ["a / b"]),
        ("a, b = c", "dropped-element", []),
        ("f({a: b, c: d})", "dropped-element", ["f({c: d})", "f({a: b})"]),
        ("with a as b:\n    c()", "dropped-context", []),
    ],
)
def test_an_operator_keeps_to_what_can_differ(before, operator, after):
    assert changed(before, operator) == after


def test_a_default_becomes_another():
    head = "def tried(self, a, b=None, *, c=True, d=2, e='x', f=g):"
    found = [edit for edit in edits(function("return a", head)) if edit.operator == "default"]

    assert [edit.default for edit in found] == [("b", True), ("c", False), ("d", 3), ("e", "XX")]


def test_a_tree_is_whole_again_after_a_change():
    definition = function("if a.b(c, d=-1) and not e:\n    raise KeyError(f'no {a} here')\nreturn a[1:]")
    before = ast.dump(definition, include_attributes=True)
    for edit in edits(definition):
        with edit.applied():
            assert ast.dump(definition) != before

    assert ast.dump(definition, include_attributes=True) == before


def test_the_text_of_an_error_or_a_warning_is_a_message():
    body = "raise KeyError('key ' + a)\nwarnings.warn('text', B, stacklevel=2)\nf(f'a text for {people}')"

    assert sorted({edit.told for edit in edits(function(body)) if edit.is_message}) == [
        "'key ' + a becomes 'key '",
        "'key ' + a becomes a",
        "'key ' becomes 'XX'",
        "'text' becomes 'XX'",
        "2 becomes 3",
        "KeyError('key ' + a) becomes KeyError(None)",
        "f'a text for {people}' becomes f'XX{people}'",
        "{people} becomes {None}",
    ]


def test_of_long_code_only_the_difference_is_told():
    names = [f"condition_{number}" for number in range(10)]
    told = [edit.told for edit in edits(function(" or ".join(names))) if edit.operator == "dropped-operand"]

    assert told[5] == (
        "... 3 or condition_4 or condition_5 or condition_6 or condition_7 or condition_ ... "
        "becomes ... 3 or condition_4 or condition_6 or condition_7 or condition_ ..."
    )


def test_a_change_in_the_head_of_a_statement_needs_the_head_only():
    [edit] = [
        edit
        for edit in edits(function("if (\n    a\n    == b\n):\n    c()"))
        if edit.operator == "comparison"
    ]

    assert (edit.line, edit.first, edit.last) == (3, 2, 5)


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
    [found] = [change for change in read_target("tried_here").changes if change.id.endswith(name)]
    return found


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
    change_named(name).put_in()

    size = box.size()
    assert (greet("Bob"), size, None if size is None else box.half, twice(4)) == seen


def test_what_runs_on_import_is_not_tried(target):
    target()
    found = read_target("tried_here")

    assert found.not_tried == 4
    assert {change.function for change in found.changes} == {
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
    found = [read_target("tried_here")]
    samples = [[change.id for change in command._select(found, None, 5)] for _ in range(2)]

    assert samples[0] == samples[1]
    assert len(samples[0]) == 5


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

DRIVER = """
import sys
from pathlib import Path
from nnspec.strength import command
from nnspec.strength import measurement
measurement.LEAST_SECONDS = 0.5
only, sample = (None if text == "-" else text for text in sys.argv[1:3])
sys.exit(command.run(only, sample and int(sample), 2, Path("spec"), None, modules=["tiny.sums"]))
"""

ROOT = Path(command.__file__).parents[1]


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


def start(folder: Path, only: str = "-", sample: str = "-") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "driver.py", only, sample],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def measure(folder: Path, only: str = "-", sample: str = "-") -> tuple[int, str, str]:
    process = start(folder, only, sample)
    shown, told = process.communicate(timeout=300)
    return process.returncode, shown, told


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A whole measurement of the tiny package."""
    folder = project(tmp_path_factory.mktemp("whole"))
    code, shown, told = measure(folder)
    [path] = (folder / "docs" / "records").iterdir()
    return {"code": code, "shown": shown, "told": told, "path": path, "record": json.loads(path.read_text())}


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


def test_the_record_counts_each_file(whole):
    files = whole["record"]["files"]
    count = files["tiny/sums.py"]

    assert list(files) == ["tiny/sums.py"]
    assert count["changes"] == count["noticed"] + count["survived"]
    assert (count["survived"], count["not tried"]) == (6, 0)
    assert set(whole["record"]["run"]) == {"torch", "python", "platform", "date"}
    assert whole["path"].name == f"strength-{whole['record']['run']['torch']}.json"


def test_survivors_are_shown_unless_they_are_explained(whole):
    shown = whole["shown"].partition("not explained")[2]

    assert whole["code"] == 1
    assert "tiny/sums.py:refuse:1:message" in shown
    assert "tiny/sums.py:larger:1:comparison" not in shown


def test_an_explanation_of_what_is_gone_is_outdated(whole):
    [line] = [line for line in whole["shown"].splitlines() if line.startswith("outdated")]

    assert "larger:9:number: no such change" in line


def test_progress_is_told_in_lines_where_there_is_no_terminal(whole):
    lines = whole["told"].splitlines()

    assert lines[1] == "4 cases of the clauses run without a change"
    count = whole["record"]["files"]["tiny/sums.py"]
    assert lines[-1] == "{changes}/{changes} changes, {noticed} noticed, 6 survived, 0 s left".format(**count)
    assert "\x1b" not in whole["told"]


def test_a_part_is_shown_but_not_recorded(tmp_path):
    code, shown, _ = measure(project(tmp_path), "sums.py:larger")

    assert code == 0
    assert "1 survivors: 1 explained" in shown
    assert "not recorded" in shown
    assert not (tmp_path / "docs" / "records").exists()


def test_a_clause_that_does_not_hold_without_a_change_is_refused(tmp_path):
    code, shown, told = measure(project(tmp_path, CLAUSES.replace("[3, 0]", "[4, 0]")))

    assert code == 2
    assert "these do not hold without a change" in told
    assert "test_small.py::test_count_up" in told
    assert shown == ""
    assert list((tmp_path / "docs" / "records").iterdir()) == []


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
    _, told = process.communicate(timeout=60)

    assert process.returncode == command.INTERRUPTED
    assert "interrupted after" in told
    assert list((tmp_path / "docs" / "records").iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


@pytest.mark.parametrize(
    ("only", "sample", "jobs", "said"),
    [
        (None, 0, 1, "--sample 0"),
        (None, None, 0, "--jobs 0"),
        ("module.py:Module.fly", None, 1, "--only module.py:Module.fly: no change matches"),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused(tmp_path, capsys, only, sample, jobs, said):
    assert command.run(only, sample, jobs, tmp_path / "spec", None) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "row", ['kind = "boring"\nwhy = "so"', 'kind = "same behaviour"', 'kind = "same behaviour"\nwhy = " "']
)
def test_an_explanation_names_a_kind_and_says_why(tmp_path, row):
    (tmp_path / "survivors.toml").write_text(f'["module.py:f:1:number"]\n{row}\n')

    with pytest.raises(RecordError, match="needs kind"):
        counts.read_explanations(tmp_path / "survivors.toml")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_renews_one_line_on_a_terminal(target):
    target()
    changes = read_target("tried_here").changes
    stream = Terminal()
    progress = command.Progress(stream)
    progress.begin(changes)
    progress.advance(changes[0], "survived")
    progress.advance(changes[1], "noticed")
    progress.end()

    first, last = stream.getvalue().rstrip("\n").rpartition("\r")[::2]
    assert last.removeprefix("\x1b[2K").startswith(f"2/{len(changes)} changes, 1 noticed, 1 survived")
    assert first.count("\n") == 1
