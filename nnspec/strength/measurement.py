"""Which changes the specification notices: the clauses are collected once, each change has its own process.

A clause notices a change when it fails with it. Only clauses that run the changed statement can, so a
first run of all clauses, unchanged, shows the lines that each of them runs.
"""

from __future__ import annotations

import functools
import gc
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from nnspec.running.judging import CLAUSE
from nnspec.running.reporting import find_clause
from nnspec.strength.baseline import Baseline, failure_of
from nnspec.strength.processes import CRASHED, TIMED_OUT, Piece, limit_next, results_of
from nnspec.strength.progress import Progress
from nnspec.strength.session import LONGEST_WAIT, Session, limit_for, needs
from nnspec.strength.targets import Change

NOTICED = "noticed"
SURVIVED = "survived"
NOT_REACHED = "not reached"

#: What becomes of a change; the first three count as noticed.
VERDICTS = (NOTICED, CRASHED, TIMED_OUT, SURVIVED, NOT_REACHED)

#: Verdicts on a change that is not noticed.
SURVIVING = (SURVIVED, NOT_REACHED)

#: How many changes one process tries on an accelerator.
CHANGES_ON_ACCELERATOR = 16


class Reach:
    """Which clauses can notice a change, the likeliest first.

    Args:
        baseline: what the clauses do without a change.
        items: node id of each clause to its item.
    """

    def __init__(self, baseline: Baseline, items: Mapping[str, pytest.Item]) -> None:
        self.baseline = baseline
        self.slow = {nodeid for nodeid, item in items.items() if needs(item, "compile")}
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


class Measurement(Session):
    """Tries changes.

    Args:
        changes: what is tried.
        jobs, device, spec, progress: as for every session.
    """

    def __init__(
        self, changes: Sequence[Change], jobs: int, device: str, spec: Path, progress: Progress
    ) -> None:
        super().__init__(jobs, device, spec, progress)
        self.changes = changes
        self.verdicts: dict[str, str] = {}
        self.left_out: dict[str, str] = {}

    def measure(self) -> dict[str, str]:
        """Try every change. What does not hold without one is in :attr:`left_out`, with how it fails.

        Returns:
            id of each change to its verdict.

        Raises:
            MutationError: the clauses cannot be collected.
            KeyboardInterrupt: it was interrupted; no process is left.
        """
        self.start()
        return self.verdicts

    def work(self, items: Mapping[str, pytest.Item]) -> None:
        """Try them with all clauses but those that run in processes of their own."""
        clauses = {name: item for name, item in items.items() if not needs(item, "distributed")}
        self.progress.say(f"{len(clauses)} cases of the clauses run without a change")
        baseline = self.run_without_change(list(clauses.values()), {change.path for change in self.changes})
        self.left_out = baseline.failures
        reach = Reach(baseline, {name: item for name, item in clauses.items() if name not in self.left_out})
        gc.collect()
        gc.freeze()
        self.progress.say(f"changes are tried, {self.jobs} at a time")
        self._try(reach, clauses)

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
                        limits = [limit_for(reach.baseline.seconds[nodeid]) for nodeid in clauses]
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
