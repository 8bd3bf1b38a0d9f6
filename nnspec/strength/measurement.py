"""Which changes the specification notices: the clauses are collected once, each change has its own process.

A clause notices a change when it fails with it. Only clauses that run the changed statement can, so a
first run of all clauses, unchanged, shows the lines that each of them runs.
"""

from __future__ import annotations

import functools
import gc
import os
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from nnspec.errors import NnspecError
from nnspec.running.judging import CLAUSE
from nnspec.running.reporting import find_clause
from nnspec.strength.baseline import Baseline, failure_of, follow, import_quietly, time_each
from nnspec.strength.processes import CRASHED, TIMED_OUT, Piece, limit_next, results_of
from nnspec.strength.progress import Progress
from nnspec.strength.targets import Change

NOTICED = "noticed"
SURVIVED = "survived"
NOT_REACHED = "not reached"

#: What becomes of a change; the first three count as noticed.
VERDICTS = (NOTICED, CRASHED, TIMED_OUT, SURVIVED, NOT_REACHED)

#: Verdicts on a change that is not noticed.
SURVIVING = (SURVIVED, NOT_REACHED)

#: pytest plugins that write, wait or start processes.
UNUSED_PLUGINS = ("cacheprovider", "faulthandler", "xdist", "cov", "randomly", "timeout")

#: A clause may take so many times its ordinary processor time, and so many seconds in any case.
PATIENCE = 20
LEAST_SECONDS = 3.0
#: Ends what waits without working, as a deadlock does.
LONGEST_WAIT = 60.0
BASELINE_SECONDS = 1800.0

#: How many changes one process tries on an accelerator.
CHANGES_ON_ACCELERATOR = 16


class MutationError(NnspecError):
    """Strength cannot be measured; the message says why and what to do."""


class Reach:
    """Which clauses can notice a change, the likeliest first.

    Args:
        baseline: what the clauses do without a change.
        items: node id of each clause to its item.
    """

    def __init__(self, baseline: Baseline, items: Mapping[str, pytest.Item]) -> None:
        self.baseline = baseline
        self.slow = {nodeid for nodeid, item in items.items() if _needs(item, "compile")}
        self.named = {nodeid: _named_functions(item) for nodeid, item in items.items()}
        self.noticed: dict[str, Counter[str]] = defaultdict(Counter)

    def clauses(self, change: Change) -> list[str]:
        """The clauses that run the changed statement, first those that noticed other changes there.

        Those that compile take long: they are asked only where no other runs it.
        """
        lines = [(change.path, line) for line in change.lines]
        reached = {
            nodeid for line in lines for nodeid in self.baseline.clauses.get(line, ())
        } & self.named.keys()
        noticed = self.noticed[f"{change.file}:{change.function}"]

        def rank(nodeid: str) -> tuple[int, bool, float, str]:
            names_it = change.function in self.named[nodeid]
            return -noticed[nodeid], not names_it, round(self.baseline.seconds[nodeid], 3), nodeid

        return sorted(reached - self.slow or reached, key=rank)

    def remember(self, change: Change, nodeid: str) -> None:
        """A clause noticed a change: it is asked early about the next one in the same function."""
        self.noticed[f"{change.file}:{change.function}"][nodeid] += 1


class Measurement:
    """The pytest plugin that tries the changes where pytest would run the clauses.

    Args:
        changes: what is tried.
        jobs: how many processes there are at a time.
        device: ``cpu``, or an accelerator on which the clauses run as well.
        spec: the folder ``spec``.
        progress: is told of each step.
    """

    def __init__(
        self, changes: Sequence[Change], jobs: int, device: str, spec: Path, progress: Progress
    ) -> None:
        self.changes = changes
        self.jobs = jobs
        self.devices = tuple(dict.fromkeys(("cpu", device)))
        self.spec = spec
        self.progress = progress
        self.verdicts: dict[str, str] = {}
        self.left_out: dict[str, str] = {}
        self.defect = ""

    @property
    def on_accelerator(self) -> bool:
        return self.devices != ("cpu",)

    def measure(self) -> dict[str, str]:
        """Try every change. What does not hold without one is in :attr:`left_out`, with how it fails.

        Returns:
            id of each change to its verdict.

        Raises:
            MutationError: the clauses cannot be collected.
            KeyboardInterrupt: it was interrupted; no process is left.
        """
        if not self.on_accelerator:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        with tempfile.TemporaryDirectory(prefix="nnspec-") as scratch:
            options = ["-q", "-s", "-p", "nnspec.running.plugin"]
            options += [f"--device={device}" for device in self.devices]
            options += ["--basetemp", f"{scratch}/pytest", "-o", "tmp_path_retention_policy=none"]
            options += ["-W", "ignore::pytest.PytestWarning"]
            options += [option for name in UNUSED_PLUGINS for option in ("-p", f"no:{name}")]
            ended = pytest.main([*options, str(self.spec)], plugins=[self])
        if ended == pytest.ExitCode.INTERRUPTED and not self.defect:
            raise KeyboardInterrupt
        if self.defect or ended != pytest.ExitCode.OK:
            raise MutationError(self.defect or f"pytest ended with {pytest.ExitCode(ended).name}")
        return self.verdicts

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        config.pluginmanager.unregister(name="terminalreporter")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and not self.defect:
            self.defect = f"{report.nodeid}: cannot be collected:\n{report.longreprtext}"

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        try:
            if not self.defect:
                self._try_all(session.items)
        except MutationError as error:
            self.defect = str(error)
        finally:
            gc.unfreeze()
        return True

    def _try_all(self, items: Sequence[pytest.Item]) -> None:
        torch.set_num_threads(1)
        clauses = {
            item.nodeid: item
            for item in items
            if CLAUSE in item.stash and not _needs(item, "distributed")  # those run in processes of their own
        }
        self.progress.say(f"{len(clauses)} cases of the clauses run without a change")
        baseline = self._run_without_change(list(clauses.values()))
        self.left_out = baseline.failures
        reach = Reach(baseline, {name: item for name, item in clauses.items() if name not in self.left_out})
        gc.collect()
        gc.freeze()
        self.progress.say(f"changes are tried, {self.jobs} at a time")
        self._try(reach, clauses)

    def _run_without_change(self, items: Sequence[pytest.Item]) -> Baseline:
        """Run the clauses: once to see which lines they run, once more, backwards, for their time."""
        files = {change.path for change in self.changes}
        followed = self._observe(items, functools.partial(follow, files=files))
        if not self.on_accelerator:  # which of the modules looks at it when it is imported, nobody knows
            import_quietly(followed.modules)
        timed = self._observe(items[::-1], time_each)
        return replace(followed, seconds=timed.seconds, failures={**followed.failures, **timed.failures})

    def _observe(
        self, items: Sequence[pytest.Item], observe: Callable[[Sequence[pytest.Item]], Baseline]
    ) -> Baseline:
        share = -(-len(items) // self.jobs) or 1
        groups = [items[start : start + share] for start in range(0, len(items), share)]
        pieces = [
            Piece(None, functools.partial(observe, group), BASELINE_SECONDS, self.on_accelerator)
            for group in groups
        ]
        whole = Baseline()
        for _, failure, baseline in results_of(pieces, self.jobs):
            if failure:
                raise MutationError(f"the clauses were run without a change, and their process {failure}")
            whole.add(baseline)
        return whole

    def _try(self, reach: Reach, items: Mapping[str, pytest.Item]) -> None:
        """Try each change in a process of its own; on an accelerator, which takes long to wake up, several.

        Where several come to no end, each of them is tried alone.
        """
        size = CHANGES_ON_ACCELERATOR if self.on_accelerator else 1
        self._try_together(self.changes, size, reach, items)
        self._try_together(
            [change for change in self.changes if change.id not in self.verdicts], 1, reach, items
        )

    def _try_together(
        self, changes: Sequence[Change], size: int, reach: Reach, items: Mapping[str, pytest.Item]
    ) -> None:
        def pieces() -> Iterator[Piece]:
            for start in range(0, len(changes), size):
                trials = []
                for change in changes[start : start + size]:
                    if clauses := reach.clauses(change):
                        seconds = [PATIENCE * reach.baseline.seconds[nodeid] for nodeid in clauses]
                        limits = [max(LEAST_SECONDS, limit) for limit in seconds]
                        trials.append(Trial(change, [items[nodeid] for nodeid in clauses], limits))
                    else:
                        self._decide(change, NOT_REACHED)
                if trials:
                    limit = LONGEST_WAIT + sum(sum(trial.limits) for trial in trials)
                    work = functools.partial(_noticed_by, trials)
                    yield Piece([trial.change for trial in trials], work, limit, self.on_accelerator)

        for tried, failure, noticed in results_of(pieces(), self.jobs):
            if failure and len(tried) > 1:
                continue
            for change, nodeid in zip(tried, noticed or [""], strict=True):
                if nodeid:
                    reach.remember(change, nodeid)
                self._decide(change, failure or (NOTICED if nodeid else SURVIVED))

    def _decide(self, change: Change, verdict: str) -> None:
        self.verdicts[change.id] = verdict
        self.progress.advance(survived=verdict in SURVIVING)


def _needs(item: pytest.Item, name: str) -> bool:
    return any(need == name for need, _ in item.stash[CLAUSE].needs)


def _named_functions(item: pytest.Item) -> frozenset[str]:
    """The functions that the docstring of a clause names, with and without their class."""
    clause = item.stash[CLAUSE]
    references = find_clause(clause.path, f"test_{clause.name}").references
    targets = [reference.target.split(".") for reference in references]
    return frozenset(".".join(parts[-count:]) for parts in targets for count in (1, 2))


class Trial(NamedTuple):
    """A change, the clauses that can notice it, and the processor time that each of them may take."""

    change: Change
    items: Sequence[pytest.Item]
    limits: Sequence[float]


def _noticed_by(trials: Sequence[Trial]) -> list[str]:
    """The node id of the first clause that fails with each change, or nothing.

    Raises:
        RuntimeError: what a change has done stays when it is taken out.
    """
    found = []
    for trial in trials:
        with trial.change.put_in():
            item = _first_to_fail(trial)
        if item is not None and len(trials) > 1 and failure_of(item):
            raise RuntimeError(f"{trial.change.id} spoils the process")
        found.append(item.nodeid if item is not None else "")
    return found


def _first_to_fail(trial: Trial) -> pytest.Item | None:
    try:
        for item, limit in zip(trial.items, trial.limits, strict=True):
            limit_next(limit)
            if failure_of(item):
                return item
        return None
    finally:
        limit_next(0)
