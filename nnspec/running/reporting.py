"""What a run of the specification shows, and the record that it leaves."""

from __future__ import annotations

import contextlib
import functools
import platform
import sys
from collections import Counter
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import packaging.version
import pytest

from nnspec.clauses.chapter import is_chapter, read_chapter
from nnspec.clauses.clause import Clause, ClauseError
from nnspec.clauses.parts import read_clauses
from nnspec.errors import NnspecError, UsageError
from nnspec.records import checks, record
from nnspec.records.files import alone_in
from nnspec.records.outcomes import (
    ABSENT,
    ERROR,
    FAILURES,
    HOLDS,
    NO_LONGER,
    NOT_YET,
    OUTCOMES,
    UNMET,
    VIOLATED,
    Outcome,
    together,
)

LINES_OF_DIFFERENCE = 8
#: The exit codes of a run that came to its end.
ENDED = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)

LETTERS = {
    HOLDS: ".",
    NOT_YET: "<",
    NO_LONGER: ">",
    ABSENT: "_",
    UNMET: "u",
}


@functools.cache
def find_clause(path: Path, function: str) -> Clause:
    """The clause that a function of a chapter is.

    Raises:
        ClauseError: the chapter cannot be read or has no such clause.
    """
    for clause in _clauses(path):
        if function == f"test_{clause.name}":
            return clause
    raise ClauseError(
        f"{path}: {function} is no clause; a clause is a function at the top level of its chapter"
    )


@functools.cache
def _clauses(path: Path) -> tuple[Clause, ...]:
    return read_chapter(path).clauses


@functools.cache
def _all_clauses(spec: Path) -> dict[str, Clause]:
    return read_clauses(spec)


def show_statements(terminal: Any, statement_of: Callable[[str], str | None]) -> None:
    """Let ``pytest -v`` name each item by a statement where it would show a node id.

    Args:
        terminal: pytest's terminal reporter.
        statement_of: the statement for a node id; none leaves the node id.
    """
    ordinary = terminal._locationline

    def line(nodeid: object, *place: Any) -> str:
        statement = statement_of(str(nodeid))
        if statement is None:
            return str(ordinary(nodeid, *place))
        case = str(nodeid).partition("[")[2]
        return f"{statement} [{case} " if case else f"{statement} "

    terminal._locationline = line


def torch_version() -> str:
    """The torch of this run: as it says itself, or as it is installed where it is not imported."""
    torch = sys.modules.get("torch")
    return str(torch.__version__) if torch else record.installed("torch")


class Reporter:
    """Gathers the outcomes where all reports arrive; shows them and records them.

    Args:
        config: pytest's configuration.
        describe: tells the header of a record of this run; none where other processes run the clauses and
            will tell it.
    """

    def __init__(self, config: pytest.Config, describe: Callable[[], dict[str, Any]] | None) -> None:
        self.config = config
        self.describe = describe
        self.outcomes: dict[str, list[Outcome]] = {}  # by file and function
        self.note = ""

    def pytest_report_header(self) -> str:
        devices = f", devices: {', '.join(self.describe()['devices'])}" if self.describe else ""
        return (
            f"torch {torch_version()}, torchvision {record.installed('torchvision')}, "
            f"Python {platform.python_version()}{devices}"
        )

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """A worker of ``pytest -n`` has ended: it says what it ran on, or why none of them can start.

        Raises:
            pytest.UsageError: it could not start; the others could not either, and none is started again.
        """
        _, is_refusal, why = str(error).rpartition(f"{pytest.UsageError.__name__}: ")
        if is_refusal:
            raise pytest.UsageError(why.strip())
        run = getattr(node, "workeroutput", {}).get("run")
        if run is not None:
            self.describe = lambda: dict(run)

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: Any) -> None:
        """A worker has ended in the middle of a clause, which has no other report than this."""
        if self._clause_of(crashitem):
            report.outcome_of_clause = (VIOLATED, "the process that ran it ended")

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self) -> None:
        terminal = self.config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None and self.config.get_verbosity() > 0:
            show_statements(terminal, self._statement_of)

    def _statement_of(self, nodeid: str) -> str | None:
        clause = self._clause_of(nodeid)
        return clause.plain if clause else None

    def _find(self, nodeid: str) -> Clause:
        file, _, function = nodeid.partition("::")
        return find_clause(self.config.rootpath / file, function.partition("[")[0])

    def _clause_of(self, nodeid: str) -> Clause | None:
        """The clause to show for a node id; none for what is no clause, or is not written as one."""
        if is_chapter(self.config.rootpath / nodeid.partition("::")[0]):
            with contextlib.suppress(ClauseError):
                return self._find(nodeid)
        return None

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._ensure_rows_can_be_put([item.nodeid for item in session.items])

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """A worker of ``pytest -n`` has collected what all of them will."""
        self._ensure_rows_can_be_put(ids)

    def _ensure_rows_can_be_put(self, nodeids: list[str]) -> None:
        """See before a run of some clauses that the record into which its rows go can be read.

        Raises:
            pytest.UsageError: it cannot, or is of another run.
        """
        directory = self.config.getoption("--record")
        if directory is None or self.config.option.collectonly:
            return
        chosen = set(filter(None, map(self._clause_of, nodeids)))
        version = packaging.version.Version(torch_version()).public
        name = record.Record(self.describe(), {}).name if self.describe else f"{version}-*"
        try:
            for path in directory.glob(f"{name}.json") if chosen else ():
                clauses = _all_clauses(next(iter(chosen)).path.parents[1])
                if not clauses.keys() <= {clause.id for clause in chosen}:
                    kept = _read_record(path)
                    fresh = record.Record(self.describe() if self.describe else kept.run, {})
                    checks.splice(kept, fresh, clauses)
        except NnspecError as error:
            raise pytest.UsageError(f"nothing would be recorded: {error}") from None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        outcome = getattr(report, "outcome_of_clause", None)
        if outcome is None:
            return
        self.outcomes.setdefault(report.nodeid.partition("[")[0], []).append(Outcome(*outcome))
        clause = self._clause_of(report.nodeid) if outcome[0] in FAILURES else None
        if clause is not None:
            report.longrepr = Failure(  # type: ignore[assignment]
                f"{outcome[0]}: {clause.plain}",
                f"clause {clause.id}, torch {torch_version()}",
                report.longrepr,
            )

    def pytest_report_teststatus(
        self, report: pytest.CollectReport | pytest.TestReport
    ) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
        outcome = getattr(report, "outcome_of_clause", None)
        if outcome is None:
            return None
        name = outcome[0]
        if name == VIOLATED:
            return "failed", "V", (name, {"red": True})
        if name == ERROR:
            return "error", "E", (name, {"red": True})
        colour = {"green": True} if name == HOLDS else {"yellow": True}
        return "skipped" if name == UNMET else "passed", LETTERS[name], (name, colour)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(
        self, session: pytest.Session, exitstatus: int
    ) -> Generator[None, object, object]:
        target = self.config.getoption("--record")
        if target is not None:
            try:
                self.note = f"recorded in {self._write_record(target, exitstatus)}"
            except NnspecError as error:
                self.note = f"not recorded: {error}"
                session.exitstatus = exitstatus or pytest.ExitCode.USAGE_ERROR
        result = yield
        terminal = self.config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None:  # for an exit code of a plugin's own pytest sums up nothing
            self._show_note(terminal)
        return result

    def _write_record(self, directory: Path, exitstatus: int) -> Path:
        if exitstatus not in ENDED:
            raise record.RecordError("the run did not come to its end; a record that was there is untouched")
        if not self.outcomes:
            raise record.RecordError("no clause was run")
        if self.describe is None:
            raise record.RecordError("no worker came to its end, so none said what it ran on")
        outcomes = {self._find(name): cases for name, cases in self.outcomes.items()}
        clauses = _all_clauses(next(iter(outcomes)).path.parents[1])
        rows = {
            clause.id: record.Row(outcome.name, clause.digest, record.tidy(outcome.reason))
            for clause, outcome in sorted(
                ((clause, together(cases)) for clause, cases in outcomes.items()), key=lambda pair: pair[0].id
            )
        }
        fresh = record.Record(self.describe(), rows)
        path = directory / f"{fresh.name}.json"
        with alone_in(directory):
            is_partial = path.exists() and clauses.keys() - rows.keys()
            kept = _read_record(path) if is_partial else None
            return record.write(checks.splice(kept, fresh, clauses), directory)

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self.outcomes:
            self._show_outcomes(terminalreporter)
        self._show_note(terminalreporter)

    def _show_note(self, terminal: Any) -> None:
        """Say once what became of the record."""
        if self.note:
            failed = self.note.startswith("not recorded")
            terminal.write_line(self.note, red=failed, green=not failed)
        self.note = ""

    def _show_outcomes(self, terminal: Any) -> None:
        whole = {name: together(cases) for name, cases in self.outcomes.items()}
        number = Counter(outcome.name for outcome in whole.values())
        shown = [f"{number[name]} {name}" for name in reversed(OUTCOMES) if number[name]]
        terminal.section("clauses", sep="-")
        terminal.write_line(f"{_clauses_in_words(len(whole))}: {', '.join(shown)}")
        reasons = Counter(outcome.reason for outcome in whole.values() if outcome.name == UNMET)
        for reason, times in reasons.most_common():
            terminal.write_line(f"unmet: {_clauses_in_words(times)} {reason}")


def _read_record(path: Path) -> record.Record:
    """A record that was there; a run that has none to read does without the library that reads it."""
    try:
        from nnspec.records import reading
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{path}: to put rows into it, it has to be read; pip install {error.name}"
        ) from None
    return reading.read(path)


def _clauses_in_words(number: int) -> str:
    return f"{number} {'clause' if number == 1 else 'clauses'}"


class Failure:
    """A failure as the terminal shows it: what failed and what differed, then pytest's traceback.

    Args:
        headline: the outcome and the statement.
        name: what has the statement, such as ``clause state.ties.tied_once, torch 2.4.1``.
        traceback: pytest's own representation of the failure, or a text that says no more than the lines.
        differed: lines that say what differed; by default the message of the traceback.
    """

    def __init__(self, headline: str, name: str, traceback: Any, differed: list[str] | None = None) -> None:
        self.headline, self.name, self.traceback = headline, name, traceback
        self.reprcrash = getattr(traceback, "reprcrash", None)
        message = self.reprcrash.message if self.reprcrash else str(traceback)
        lines = message.removeprefix("AssertionError: ").splitlines()[:LINES_OF_DIFFERENCE]
        self.differed = differed or lines

    def __str__(self) -> str:
        return "\n".join([self.headline, self.name, *self.differed])

    def toterminal(self, terminal: Any) -> None:
        terminal.line(self.headline, red=True, bold=True)
        terminal.line(self.name)
        for line in self.differed:
            terminal.line(f"  {line}")
        if hasattr(self.traceback, "toterminal"):
            terminal.line("")
            self.traceback.toterminal(terminal)
