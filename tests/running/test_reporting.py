"""What a run shows on the terminal."""

import sys

import pytest

from nnspec.records import reading, record
from nnspec.running.reporting import Failure, torch_version

pytest_plugins = ["pytester"]

CASES = '''
@pytest.mark.parametrize("word", ["one::two", "three"])
def test_words(word):
    """A word is a text."""
    assert isinstance(word, str)


def test_plain():
    """It is plain."""
    assert 1
'''
EACH = '''
def test_holds():
    """It holds."""
    assert 1


@pytest.mark.since("2.5")
def test_new():
    """It is new."""
    assert 0


@pytest.mark.before("2.4")
def test_old():
    """It is old."""
    assert 0


@pytest.mark.since("2.5")
def test_absent():
    """It is absent."""
    assert nn.NoSuchLayer


@pytest.mark.needs("cuda", 99)
def test_far():
    """It is far."""
    assert 1


@pytest.mark.needs("cuda", 99)
def test_farther():
    """It is farther."""
    assert 1


@pytest.mark.needs("cuda", 98)
def test_far_too():
    """It is far too."""
    assert 1


def test_violated():
    """It is violated."""
    assert 0


def test_error(no_such_fixture):
    """It is an error."""
    assert 1
'''


def test_verbose_shows_statements_with_their_cases_and_other_tests_as_they_are(run, tmp_path):
    other = tmp_path / "test_other.py"
    other.write_text("def test_it():\n    pass\n")

    result = run(CASES, "-v", other)

    result.stdout.fnmatch_lines(
        [
            "A word is a text. [[]one::two] holds*",
            "A word is a text. [[]three] holds*",
            "It is plain. holds*",
            "test_other.py::test_it PASSED*",
            "*- clauses -*",
            "2 clauses: 2 holds",
        ]
    )


def test_each_outcome_has_its_letter_and_its_count(run):
    result = run(EACH, version="2.4.1")

    result.stdout.fnmatch_lines(
        [
            "spec/mini/test_small.py .<>_uuuVE*",
            "*-- clauses --*",
            "9 clauses: 1 holds, 3 unmet, 1 absent, 1 not yet, 1 no longer, 1 violated, 1 error",
            "unmet: 2 clauses need 99 CUDA devices",
            "unmet: 1 clause need 98 CUDA devices",
        ]
    )
    result.assert_outcomes(passed=4, skipped=3, failed=1, errors=1)


def test_a_case_with_colons_is_a_row_of_its_clause(run, tmp_path):
    run(CASES, "--record", tmp_path / "records", version="2.5.1")

    rows = reading.read(tmp_path / "records" / "2.5.1-cpu.json").rows
    assert list(rows) == ["mini.small.plain", "mini.small.words"]


def test_without_a_clause_there_is_nothing_to_record(run, tmp_path):
    other = tmp_path / "test_other.py"
    other.write_text("def test_it():\n    pass\n")

    result = run(CASES, other, "-k", "test_it", "--record", tmp_path / "records")

    result.stdout.fnmatch_lines(["not recorded: no clause was run"])
    result.stdout.no_fnmatch_line("*- clauses -*")
    assert result.ret == pytest.ExitCode.USAGE_ERROR


class Terminal:
    """Keeps the lines that are written, each with how it is marked."""

    def __init__(self):
        self.lines = []

    def line(self, text, **markup):
        self.lines.append((text, markup))


def test_a_failure_is_shown_with_its_difference_first():
    message = "AssertionError: " + "\n".join(f"line {number}" for number in range(10))
    failure = Failure("violated: It is.", "clause a.b.c", message)
    terminal = Terminal()

    failure.toterminal(terminal)

    differed = [f"line {number}" for number in range(8)]
    assert str(failure).splitlines() == ["violated: It is.", "clause a.b.c", *differed]
    assert terminal.lines == [
        ("violated: It is.", {"red": True, "bold": True}),
        ("clause a.b.c", {}),
        *((f"  {line}", {}) for line in differed),
    ]


def test_the_torch_of_a_run_is_the_installed_one_where_it_is_not_imported(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch")

    assert torch_version() == record.installed("torch")
