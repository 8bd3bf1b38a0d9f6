"""Which changes the specification notices: the clauses are collected once, each change has its own process.

A clause notices a change when it fails with it. Only clauses that run the changed statement can, so a
first run of all clauses, unchanged, records the lines that each of them reaches.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import os
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import torch
from _pytest.runner import runtestprotocol

from nnspec.clauses.chapter import read_spec
from nnspec.records.record import tidy
from nnspec.strength.processes import CRASHED, TIMED_OUT, Piece, limit_next, results_of
from nnspec.strength.targets import Change

NOTICED = "noticed"
SURVIVED = "survived"
NOT_REACHED = "not reached"

#: What becomes of a change; the first three count as noticed.
VERDICTS = (NOTICED, CRASHED, TIMED_OUT, SURVIVED, NOT_REACHED)

#: pytest plugins that write, wait or start processes.
UNUSED_PLUGINS = ("cacheprovider", "faulthandler", "xdist", "cov", "randomly", "timeout")

#: Parts whose clauses take long: they are asked only where no other clause runs the changed statement.
SLOW_PARTS = ("compilation", "benchmarks")

#: A clause may take so many times its ordinary processor time, and so many seconds in any case.
PATIENCE = 20
LEAST_SECONDS = 3.0
#: Ends what waits without working, as a deadlock does.
LONGEST_WAIT = 60.0
BASELINE_SECONDS = 1800.0


class MutationError(Exception):
    """Strength cannot be measured; the message says why and what to do."""


@dataclass
class Baseline:
    """What the clauses do without a change.

    Attributes:
        lines: the lines of the target files that each clause runs, by node id.
        seconds: the processor time of each clause.
        failures: the clauses that do not hold, and how they fail.
        modules: what the clauses import.
    """

    lines: dict[str, set[tuple[str, int]]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    modules: list[str] = field(default_factory=list)

    def add(self, other: Baseline) -> None:
        """Other clauses join in."""
        self.lines.update(other.lines)
        self.seconds.update(other.seconds)
        self.failures.update(other.failures)
        self.modules.extend(other.modules)


class Reach:
    """Which clauses can notice a change, the likeliest first.

    Args:
        baseline: what the clauses do without a change.
        slow: the clauses that are asked only where no other reaches a change.
        named: node id of each clause to the functions that its docstring names.
    """

    def __init__(self, baseline: Baseline, slow: Set[str], named: Mapping[str, frozenset[str]]) -> None:
        self.slow = slow
        self.seconds = baseline.seconds
        self.named = named
        self.noticed: dict[str, Counter[str]] = defaultdict(Counter)
        self.by_line: dict[tuple[str, int], list[str]] = defaultdict(list)
        for nodeid, lines in baseline.lines.items():
            for line in lines:
                self.by_line[line].append(nodeid)

    def clauses(self, change: Change) -> list[str]:
        """The clauses that run the changed statement, first those that noticed other changes there."""
        reached = {nodeid for line in change.lines for nodeid in self.by_line.get((change.path, line), ())}
        reached = reached - self.slow or reached
        noticed = self.noticed[f"{change.file}:{change.function}"]

        def rank(nodeid: str) -> tuple[int, bool, float, str]:
            names_it = change.function in self.named.get(nodeid, ())
            return -noticed[nodeid], not names_it, round(self.seconds[nodeid], 3), nodeid

        return sorted(reached, key=rank)

    def remember(self, change: Change, nodeid: str) -> None:
        """A clause noticed a change: it is asked early about the next one in the same function."""
        self.noticed[f"{change.file}:{change.function}"][nodeid] += 1


class Measurement:
    """The pytest plugin that tries the changes where pytest would run the clauses.

    Args:
        changes: what is tried.
        jobs: how many processes there are at a time.
        spec: the folder ``spec``.
        tell: called with what is going on.
        advance: called with each change and its verdict.
    """

    def __init__(
        self,
        changes: Iterable[Change],
        jobs: int,
        spec: Path,
        tell: Callable[[str], None],
        advance: Callable[[Change, str], None],
    ) -> None:
        self.changes = list(changes)
        self.jobs = jobs
        self.spec = spec
        self.tell = tell
        self.advance = advance
        self.verdicts: dict[str, str] = {}
        self.problem = ""

    def measure(self) -> dict[str, str]:
        """Try every change.

        Returns:
            id of each change to its verdict.

        Raises:
            MutationError: the clauses cannot be collected, or do not all hold without a change.
            KeyboardInterrupt: it was interrupted; no process is left.
        """
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # a process that knows a GPU cannot be forked
        with tempfile.TemporaryDirectory(prefix="nnspec-") as scratch:
            options = [
                "-q",
                "-s",
                "-p",
                "nnspec.running.plugin",
                "--device",
                "cpu",
                f"--basetemp={scratch}/pytest",
            ]
            options += [option for name in UNUSED_PLUGINS for option in ("-p", f"no:{name}")]
            options += ["-o", "tmp_path_retention_policy=none", "-W", "ignore::pytest.PytestWarning"]
            ended = pytest.main([*options, str(self.spec)], plugins=[self])
        if ended == pytest.ExitCode.INTERRUPTED and not self.problem:
            raise KeyboardInterrupt
        if self.problem or ended != pytest.ExitCode.OK:
            raise MutationError(self.problem or f"pytest ended with {pytest.ExitCode(ended).name}")
        return self.verdicts

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        config.pluginmanager.unregister(name="terminalreporter")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and not self.problem:
            self.problem = f"{report.nodeid}: cannot be collected:\n{report.longreprtext}"

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        try:
            if not self.problem:
                self._try_all(session.items)
        except MutationError as error:
            self.problem = str(error)
        finally:
            gc.unfreeze()
        return True

    def _try_all(self, items: list[pytest.Item]) -> None:
        torch.set_num_threads(1)
        items = [item for item in items if not _is_elsewhere(item)]
        slow_parts = set(SLOW_PARTS) - {change.file.partition("/")[0] for change in self.changes}
        slow = [item for item in items if item.path.parent.name in slow_parts]
        ordinary = [item for item in items if item.path.parent.name not in slow_parts]
        self.tell(f"{len(items)} cases of the clauses run without a change")
        baseline = self._run_without_change([ordinary, slow])
        reach = Reach(baseline, {item.nodeid for item in slow}, _named_functions(items, self.spec))
        gc.collect()
        gc.freeze()
        self.tell(f"changes are tried, {self.jobs} at a time")
        self._try(reach, {item.nodeid: item for item in items})

    def _run_without_change(self, groups: list[list[pytest.Item]]) -> Baseline:
        """Run groups of clauses: once to see which lines they reach, once more for their time."""
        files = {change.path for change in self.changes}
        traced = self._baseline(groups, files)
        _import_quietly(traced.modules)
        timed = self._baseline([group[::-1] for group in groups], set())
        failures = {**traced.failures, **timed.failures}
        if failures:
            shown = "\n".join(f"  {nodeid}: {how}" for nodeid, how in sorted(failures.items()))
            raise MutationError(
                f"these do not hold without a change; mend them, so that strength can be measured:\n{shown}"
            )
        return replace(traced, seconds=timed.seconds)

    def _baseline(self, groups: list[list[pytest.Item]], files: set[str]) -> Baseline:
        whole = Baseline()
        pieces = [
            Piece(group, functools.partial(_observe, group, files), BASELINE_SECONDS) for group in groups
        ]
        for _, failure, found in results_of(pieces, self.jobs):
            if failure:
                raise MutationError(f"the clauses were run without a change, and their process {failure}")
            whole.add(found)
        return whole

    def _try(self, reach: Reach, items: Mapping[str, pytest.Item]) -> None:
        def pieces() -> Iterator[Piece]:
            for change in self.changes:
                clauses = reach.clauses(change)
                if not clauses:
                    self._decide(change, NOT_REACHED)
                    continue
                limits = [max(LEAST_SECONDS, PATIENCE * reach.seconds[nodeid]) for nodeid in clauses]
                work = functools.partial(_first_to_notice, change, [items[i] for i in clauses], limits)
                wait = LONGEST_WAIT + PATIENCE * sum(reach.seconds[nodeid] for nodeid in clauses)
                yield Piece(change, work, wait)

        for change, failure, nodeid in results_of(pieces(), self.jobs):
            if nodeid:
                reach.remember(change, nodeid)
            self._decide(change, failure or (NOTICED if nodeid else SURVIVED))

    def _decide(self, change: Change, verdict: str) -> None:
        self.verdicts[change.id] = verdict
        self.advance(change, verdict)


def _is_elsewhere(item: pytest.Item) -> bool:
    """Whether torch runs in processes of their own, whose lines nobody follows."""
    return any("distributed" in mark.args for mark in item.iter_markers("needs"))


def _named_functions(items: Iterable[pytest.Item], spec: Path) -> dict[str, frozenset[str]]:
    """Node id of each clause to the functions its docstring names, with and without their class."""
    named: dict[tuple[Path, str], frozenset[str]] = {}
    for chapter in read_spec(spec):
        for clause in chapter.clauses:
            targets = [reference.target.split(".") for reference in clause.references]
            names = {".".join(parts[-count:]) for parts in targets for count in (1, 2)}
            named[clause.path.resolve(), f"test_{clause.name}"] = frozenset(names)
    return {
        item.nodeid: named.get((item.path.resolve(), getattr(item, "originalname", item.name)), frozenset())
        for item in items
    }


def _first_to_notice(change: Change, items: list[pytest.Item], limits: list[float]) -> str:
    """Put a change in and run clauses until one of them fails; its node id, or nothing."""
    change.put_in()
    for item, limit in zip(items, limits, strict=True):
        limit_next(limit)
        if _failure(item):
            return item.nodeid
    limit_next(0)
    return ""


def _failure(item: pytest.Item) -> str:
    """Run one clause; how it fails, or nothing."""
    for report in runtestprotocol(item, log=False, nextitem=None):
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            return tidy(crash.message if crash else report.longreprtext) or "failed"
    return ""


def _observe(items: list[pytest.Item], files: set[str]) -> Baseline:
    """Run clauses and follow the lines of files; with no files the clauses run at full speed."""
    found = Baseline()
    imported = set(sys.modules)
    for item in items:
        started = time.process_time()
        with _following(files) as lines:
            failure = _failure(item)
        found.seconds[item.nodeid] = time.process_time() - started
        found.lines[item.nodeid] = lines
        if failure:
            found.failures[item.nodeid] = failure
    found.modules = sorted(set(sys.modules) - imported)
    return found


@contextlib.contextmanager
def _following(files: set[str]) -> Iterator[set[tuple[str, int]]]:
    """The lines of files that run inside the context, in any thread."""
    lines: set[tuple[str, int]] = set()

    def on_line(frame: FrameType, event: str, argument: Any) -> Callable[..., Any]:
        lines.add((frame.f_code.co_filename, frame.f_lineno))
        return on_line

    def on_call(frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        return on_line if frame.f_code.co_filename in files else None

    if files:
        threading.settrace(on_call)
        sys.settrace(on_call)
    try:
        yield lines
    finally:
        if files:
            sys.settrace(None)
            threading.settrace(None)


def _import_quietly(modules: Iterable[str]) -> None:
    """Import once what the clauses would import in every process anew."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in modules:
            if name.partition(".")[0] in ("torch", "torchvision"):
                with contextlib.suppress(Exception):
                    importlib.import_module(name)
