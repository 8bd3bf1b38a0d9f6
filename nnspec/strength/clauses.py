"""Whether the assertions of the clauses can fail: each under some small change of what the clause runs.

Two kinds of change are made: to what the calls in its body do and return, and to the functions of torch.nn
that it runs.
"""

from __future__ import annotations

import functools
import gc
import hashlib
import json
import mmap
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import pytest
import torch
from msgspec import Struct

from nnspec.decoding import fit
from nnspec.errors import FileError
from nnspec.running.judging import CLAUSE
from nnspec.running.reporting import find_clause
from nnspec.strength import assertions, returns, spoiling
from nnspec.strength.assertions import Watch, rewrite
from nnspec.strength.baseline import Baseline, failure_of
from nnspec.strength.processes import Piece, limit_next, results_of
from nnspec.strength.progress import Progress
from nnspec.strength.session import Session, limit_for
from nnspec.strength.spoiling import SPOILING
from nnspec.strength.targets import Change

NOT_RUN = "it is not run here"
NOT_WATCHED = "it does not hold while it is watched"
NEVER_SEEN = "never reached: "

#: Room for the number of a trial and for whether each assertion failed, shared with the process that tries.
ROOM = 4096
HEAD = 8

#: Seconds after which a process that judges one clause is taken to wait without working.
LONGEST_JUDGEMENT = 600.0


class Judged(NamedTuple):
    """What was found of one clause.

    Attributes:
        digest: of what was run.
        assertions: how many were judged.
        unfailing: those that nothing made fail, as they are written.
        why: why it could not be judged, empty if it could.
    """

    digest: str
    assertions: int
    unfailing: tuple[str, ...]
    why: str = ""


class ClauseSession(Session):
    """Judges the clauses.

    Args:
        read_changes: reads the changes to functions of torch.nn; it is asked if others do not do.
        recorded: what is known of clauses; those that are as they were are not judged again.
        kept: what a session that was interrupted found, and where this one notes what it finds.
        matches: whether a clause is wanted, by its id.
        jobs, device, spec, progress: as for every session.
    """

    def __init__(
        self,
        read_changes: Callable[[], Sequence[Change]],
        recorded: Mapping[str, Judged],
        kept: Path,
        matches: Callable[[str], bool],
        jobs: int,
        device: str,
        spec: Path,
        progress: Progress,
    ) -> None:
        super().__init__(jobs, device, spec, progress)
        self.read_changes = read_changes
        self.recorded = recorded
        self.kept = kept
        self.matches = matches
        self.judged: dict[str, Judged] = {}

    def work(self, items: Mapping[str, pytest.Item]) -> None:
        """Judge every clause that is wanted and holds on this torch."""
        cases: dict[str, list[pytest.Item]] = defaultdict(list)
        for item in items.values():
            clause = item.stash[CLAUSE]
            if clause.bounds.place(torch.__version__) == "inside" and self.matches(clause.id):
                cases[clause.id].append(item)
        digests = {name: _digest(those[0]) for name, those in cases.items()}
        known = {**self.recorded, **_read(self.kept)}
        self.judged = {name: row for name, row in known.items() if digests.get(name) == row.digest}
        tasks = [
            _Task(name, those, (), mmap.mmap(-1, ROOM))
            for name, those in cases.items()
            if name not in self.judged
        ]
        self.progress.begin(len(cases), len(self.judged))
        self.kept.parent.mkdir(parents=True, exist_ok=True)
        with self.kept.open("a", encoding="utf-8") as notes:
            left = []
            for task, found in self._judge(tasks):
                if found.unfailing:
                    left.append(task)
                else:
                    self._note(task.name, found._replace(digest=digests[task.name]), notes)
            for task, found in self._judge(self._with_changes(left)):
                self._note(task.name, found._replace(digest=digests[task.name]), notes)

    def _with_changes(self, tasks: Sequence[_Task]) -> list[_Task]:
        """The tasks with the changes to torch.nn that each of them runs."""
        if not tasks:
            return []
        several = [item for task in tasks for item in task.items]
        self.progress.say(f"{len(tasks)} clauses are left for changes to torch.nn")
        gc.unfreeze()  # what is frozen is not found among the living functions
        changes = self.read_changes()
        baseline = self.run_without_change(several, {change.path for change in changes})
        reached = _reached(changes, baseline)
        return [
            task._replace(changes=_all_of([reached[item.nodeid] for item in task.items])) for task in tasks
        ]

    def _judge(self, tasks: Sequence[_Task]) -> Iterator[tuple[_Task, Judged]]:
        """Judge clauses, each in a process; one that is ended by a change goes on in another."""
        gc.collect()
        gc.freeze()
        waiting = deque(tasks)
        begun: dict[str, int] = {}

        def pieces() -> Iterator[Piece]:
            while waiting:
                task = waiting.popleft()
                yield Piece(task, functools.partial(_judge, task), LONGEST_JUDGEMENT, self.on_accelerator)

        while waiting:
            for task, failure, found in results_of(pieces(), self.jobs):
                if failure and task.begun() != begun.get(task.name):
                    begun[task.name] = task.begun()
                    waiting.append(task)
                else:
                    yield task, found or Judged("", 0, (), f"{NOT_WATCHED}: {failure}")

    def _note(self, name: str, found: Judged, notes: TextIO) -> None:
        self.judged[name] = found
        print(json.dumps([name, *found]), file=notes, flush=True)
        self.progress.advance(survived=bool(found.unfailing or found.why))


class _Task(NamedTuple):
    """A clause to judge: its cases, the changes to torch.nn that it runs, and what is known of it so far."""

    name: str
    items: Sequence[pytest.Item]
    changes: Sequence[Change]
    memory: mmap.mmap

    def begun(self) -> int:
        """How many trials were begun."""
        return int.from_bytes(self.memory[:HEAD], "little")


def _digest(item: pytest.Item) -> str:
    """Of what is run, and of how it is judged."""
    clause = item.stash[CLAUSE]
    return f"{find_clause(clause.path, f'test_{clause.name}').digest} {_own_digest()}"


@functools.cache
def _own_digest() -> str:
    sources = (Path(module.__file__ or "").read_bytes() for module in (assertions, returns, spoiling))
    return hashlib.sha256(b"".join(sources)).hexdigest()[:12]


class _Note(Struct, array_like=True, forbid_unknown_fields=True):
    """What was found of a clause, as it is noted."""

    name: str
    digest: str
    assertions: int
    unfailing: tuple[str, ...]
    why: str


def _read(path: Path) -> dict[str, Judged]:
    """What was noted; a line that an interruption cut off is left out."""
    found = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                note = fit(path, json.loads(line), _Note)
            except (ValueError, RecursionError, FileError):
                continue
            found[note.name] = Judged(note.digest, note.assertions, note.unfailing, note.why)
    return found


def _reached(changes: Sequence[Change], baseline: Baseline) -> Mapping[str, list[Change]]:
    """The changes that each case runs, those that few others run first."""
    ranked: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for place, change in enumerate(changes):
        nodeids = {n for line in change.lines for n in baseline.clauses.get((change.path, line), ())}
        for nodeid in nodeids:
            ranked[nodeid].append((len(nodeids), place))
    reached: dict[str, list[Change]] = defaultdict(list)
    for nodeid, places in ranked.items():
        reached[nodeid] = [changes[place] for _, place in sorted(places)]
    return reached


def _all_of(lists: Sequence[Sequence[Change]]) -> list[Change]:
    return list({change.id: change for changes in lists for change in changes}.values())


def _judge(task: _Task) -> Judged:
    """Try changes until each assertion has failed: how many there are, those that never did, or why not."""
    memory = task.memory
    done = task.begun()
    watch = Watch()
    trials: list[tuple[pytest.Item, Any]] = []
    limits: dict[str, float] = {}
    texts: list[str] = []
    seen: set[int] = set()
    for item in task.items:
        function = item.obj  # type: ignore[attr-defined]
        started = time.process_time()
        for inner, calls in ((True, True), (False, True), (False, False)):
            rewritten = rewrite(function, watch, calls=calls, inner=inner)
            item.obj = rewritten.function  # type: ignore[attr-defined]
            wrong = _run(item, watch, None)
            if not wrong and not watch.failed:
                break
        else:
            return Judged("", 0, (), NOT_WATCHED)
        limits[item.nodeid] = limit_for(time.process_time() - started)
        texts = rewritten.assertions
        seen |= watch.seen
        # what only looks comes late, and last what may spoil things that clauses share
        remote = watch.answers.remote
        possible = sorted(
            watch.answers.possible, key=lambda change: (change[0] in remote, change[1] in SPOILING)
        )
        trials += [(item, change) for change in possible]
    if not seen:
        return Judged("", 0, (), NOT_RUN if texts else "")
    trials += [(item, change) for change in task.changes for item in task.items]
    failed = {number for number in range(len(texts)) if memory[HEAD + number]}
    for number, (item, change) in enumerate(trials, start=1):
        if len(failed) == len(texts):
            break
        if number <= done:
            continue
        memory[:HEAD] = number.to_bytes(HEAD, "little")
        limit_next(limits[item.nodeid])
        if isinstance(change, Change):
            with change.put_in():
                _run(item, watch, None)
        else:
            _run(item, watch, change)
        limit_next(0)
        for fallen in watch.failed - failed:
            memory[HEAD + fallen] = 1
        failed |= watch.failed
    left = [
        text if number in seen else f"{NEVER_SEEN}{text}"
        for number, text in enumerate(texts)
        if number not in failed
    ]
    return Judged("", len(texts), tuple(left), "")


def _run(item: pytest.Item, watch: Watch, change: Any) -> str:
    watch.failed, watch.seen = set(), set()
    watch.answers.begin(change)
    return failure_of(item)
