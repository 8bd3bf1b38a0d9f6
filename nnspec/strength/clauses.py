"""Whether the assertions of the clauses can fail: each under some small change of what the clause runs.

Two kinds of change are made: to what the calls in its body do and return, and to the functions of torch.nn
that it runs.
"""

from __future__ import annotations

import functools
import gc
import hashlib
import itertools
import json
import mmap
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from nnspec.running.judging import CLAUSE
from nnspec.running.reporting import find_clause
from nnspec.strength import assertions, returns
from nnspec.strength.assertions import Watch, rewrite
from nnspec.strength.baseline import Baseline, failure_of
from nnspec.strength.processes import Piece, limit_next, results_of
from nnspec.strength.progress import Progress
from nnspec.strength.session import LONGEST_WAIT, Session, limit_for
from nnspec.strength.targets import Change

NOT_RUN = "it is not run here"
NOT_WATCHED = "it does not hold while it is watched"
NEVER_SEEN = "never reached: "

#: Room for the number of a trial and for whether each assertion failed, shared with the process that tries.
ROOM = 4096
HEAD = 8


class Judged(NamedTuple):
    """What was found of one clause.

    Attributes:
        digest: of what was run.
        assertions: how many it has.
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
        changes: to functions of torch.nn.
        kept: what an earlier session found, and where this one notes what it finds.
        matches: whether a clause is wanted, by its id.
        jobs, device, spec, progress: as for every session.
    """

    def __init__(
        self,
        changes: Sequence[Change],
        kept: Path,
        matches: Callable[[str], bool],
        jobs: int,
        device: str,
        spec: Path,
        progress: Progress,
    ) -> None:
        super().__init__(jobs, device, spec, progress)
        self.changes = changes
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
        self.judged = {
            name: found for name, found in _read(self.kept).items() if digests.get(name) == found.digest
        }
        open_cases = {name: those for name, those in cases.items() if name not in self.judged}
        self.progress.begin(len(cases), len(self.judged))
        if not open_cases:
            return
        several = list(itertools.chain.from_iterable(open_cases.values()))
        self.progress.say(f"{len(several)} cases of {len(open_cases)} clauses run without a change")
        baseline = self.run_without_change(several, {change.path for change in self.changes})
        gc.collect()
        gc.freeze()
        self.progress.say(f"clauses are judged, {self.jobs} at a time")
        self._judge(open_cases, digests, baseline)

    def _judge(
        self, cases: Mapping[str, Sequence[pytest.Item]], digests: Mapping[str, str], baseline: Baseline
    ) -> None:
        reached = _reached(self.changes, baseline)
        waiting = deque(
            _Task(name, those, _sorted_changes(those, reached, baseline), mmap.mmap(-1, ROOM))
            for name, those in cases.items()
        )

        def pieces() -> Iterator[Piece]:
            while waiting:
                task = waiting.popleft()
                limits = [limit_for(baseline.seconds.get(item.nodeid, 0.0)) for item in task.items]
                wait = LONGEST_WAIT + sum(limits) * 20
                yield Piece(task, functools.partial(_judge, task, limits), wait, self.on_accelerator)

        begun: dict[str, int] = {}
        self.kept.parent.mkdir(parents=True, exist_ok=True)
        with self.kept.open("a", encoding="utf-8") as notes:
            while waiting:
                for task, failure, found in results_of(pieces(), self.jobs):
                    if failure and task.begun() != begun.get(task.name):
                        begun[task.name] = task.begun()
                        waiting.append(task)  # it goes on after the change that ended its process
                        continue
                    judged = Judged(digests[task.name], *(found or (0, (), f"{NOT_WATCHED}: {failure}")))
                    self.judged[task.name] = judged
                    print(json.dumps([task.name, *judged]), file=notes, flush=True)
                    self.progress.advance(survived=bool(judged.unfailing or judged.why))


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
    sources = (Path(module.__file__ or "").read_bytes() for module in (assertions, returns))
    return hashlib.sha256(b"".join(sources)).hexdigest()[:12]


def _read(path: Path) -> dict[str, Judged]:
    """What was noted; a line that an interruption cut off is left out."""
    found = {}
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                name, digest, assertions, unfailing, why = json.loads(line)
            except ValueError:
                continue
            found[name] = Judged(digest, assertions, tuple(unfailing), why)
    return found


def _reached(changes: Sequence[Change], baseline: Baseline) -> dict[str, list[Change]]:
    """The changes that each case runs, those that few others run first."""
    reached: dict[str, list[tuple[int, int, Change]]] = defaultdict(list)
    for place, change in enumerate(changes):
        nodeids = {n for line in change.lines for n in baseline.clauses.get((change.path, line), ())}
        for nodeid in nodeids:
            reached[nodeid].append((len(nodeids), place, change))
    return {
        nodeid: [change for *_, change in sorted(those, key=lambda t: t[:2])]
        for nodeid, those in reached.items()
    }


def _sorted_changes(
    items: Sequence[pytest.Item], reached: Mapping[str, Sequence[Change]], baseline: Baseline
) -> list[Change]:
    return list({change.id: change for item in items for change in reached.get(item.nodeid, ())}.values())


def _judge(task: _Task, limits: Sequence[float]) -> tuple[int, tuple[str, ...], str]:
    """Try changes until each assertion has failed: how many there are, those that never did, or why not."""
    memory = task.memory
    done = task.begun()
    watch = Watch()
    trials: list[tuple[pytest.Item, float, Any]] = []
    texts: list[str] = []
    seen: set[int] = set()
    for item, limit in zip(task.items, limits, strict=True):
        function = item.obj  # type: ignore[attr-defined]
        for calls in (True, False):
            rewritten = rewrite(function, watch, calls=calls)
            item.obj = rewritten.function  # type: ignore[attr-defined]
            wrong = _run(item, watch, None)
            if not wrong and not watch.failed:
                break
        else:
            return len(rewritten.assertions), (), NOT_WATCHED
        texts = rewritten.assertions
        seen |= watch.seen
        trials += [(item, limit, change) for change in watch.answers.possible]
    if not seen:
        return len(texts), (), NOT_RUN if texts else ""
    trials += [
        (item, limit, change)
        for change in task.changes
        for item, limit in zip(task.items, limits, strict=True)
    ]
    failed = {number for number in range(len(texts)) if memory[HEAD + number]}
    for number, (item, limit, change) in enumerate(trials, start=1):
        if len(failed) == len(texts):
            break
        if number <= done:
            continue
        memory[:HEAD] = number.to_bytes(HEAD, "little")
        limit_next(limit)
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
    return len(texts), tuple(left), ""


def _run(item: pytest.Item, watch: Watch, change: Any) -> str:
    watch.failed, watch.seen = set(), set()
    watch.answers.change = change
    if change is None:
        watch.answers.possible = {}
    return failure_of(item)
