"""How much of a change to torch.nn the specification notices.

One small change at a time is made to a function of torch.nn, in a process of its own that never touches
an installed file, and clauses run until one of them fails. A change with which all of them hold survives:
either it makes no difference, or the specification does not say what it should.

Left out, and counted as not tried, is what runs once when torch is imported: the bodies of modules and
classes outside their functions. Clauses that need torch.distributed are not asked: they run in processes
of their own.
"""

from __future__ import annotations

import fnmatch
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

import torch

from nnspec.clauses.tables import LedgerError
from nnspec.records.record import RecordError, ensure_writable
from nnspec.strength import counts
from nnspec.strength.measurement import SURVIVED, VERDICTS, Measurement, MutationError
from nnspec.strength.targets import (
    FURTHER_MODULES,
    MODULES,
    Change,
    Target,
    read_target,
    short_name,
)

SEED = 20
INTERRUPTED = 130


def run(
    only: str | None,
    sample: int | None,
    jobs: int,
    spec: Path,
    output: Path | None,
    modules: Sequence[str] = MODULES,
) -> int:
    """Measure the strength of the specification and show it; a whole run is recorded.

    Args:
        only: the changes to try, such as ``module.py``, ``Module.load_state_dict``,
            ``container.py:Sequential`` or the id of one; also those of :data:`FURTHER_MODULES`.
        sample: how many of them to try; the same ones each time.
        jobs: how many processes there are at a time.
        spec: the folder ``spec``.
        output: the folder of the record; ``docs/records`` beside ``spec`` if it is None.
        modules: what a whole run is about.

    Returns:
        the exit code: 0 if every survivor is explained in ``docs/survivors.toml``, 1 if not, 2 if
        strength could not be measured, 130 if it was interrupted.
    """
    docs = spec.parent / "docs"
    output = output or docs / "records"
    is_whole = only is None and sample is None
    progress = Progress(sys.stderr)
    try:
        _ensure_possible(sample, jobs)
        if is_whole:
            ensure_writable(output)
        explanations = counts.read_explanations(docs / "survivors.toml")
        targets = _read_targets(only, modules)
        changes = _select(targets, only, sample)
        progress.begin(changes)
        measurement = Measurement(changes, jobs, spec, progress.tell, progress.advance)
        verdicts = measurement.measure()
        found = counts.sum_up(targets, changes, verdicts)
        written = counts.write(found, output) if is_whole else None
    except (MutationError, RecordError, LedgerError) as error:
        progress.end()
        print(f"nnspec mutate: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        progress.end()
        print(
            f"nnspec mutate: interrupted after {progress.done} of {progress.total} changes", file=sys.stderr
        )
        return INTERRUPTED

    progress.end()
    unexplained = [survivor for survivor in found.survivors if survivor.id not in explanations]
    _show(found, verdicts, unexplained)
    _show_outdated(explanations, verdicts, set(found.counts) if is_whole else set())
    print(f"recorded in {written}" if written else "not recorded: only a whole run is")
    return 1 if unexplained else 0


def _ensure_possible(sample: int | None, jobs: int) -> None:
    if not hasattr(os, "fork"):
        raise MutationError("each change lives in a forked process, and this system cannot fork")
    if sample is not None and sample < 1:
        raise MutationError(f"--sample {sample}: how many changes to try, a number from 1")
    if jobs < 1:
        raise MutationError(f"--jobs {jobs}: how many processes at a time, a number from 1")


def _read_targets(only: str | None, modules: Sequence[str]) -> list[Target]:
    """The files that a pattern can be about: all that are known, or those of a whole run."""
    if only is None:
        return [read_target(name) for name in modules]
    file = only.partition(":")[0] if ".py" in only else ""
    targets = []
    for name in dict.fromkeys([*modules, *FURTHER_MODULES]):
        if not file or _is_file(short_name(name), file):
            try:
                targets.append(read_target(name))
            except ImportError:
                continue  # this torch does not have it
    return targets


def _is_file(name: str, wanted: str) -> bool:
    return fnmatch.fnmatchcase(name, wanted) or name.endswith(f"/{wanted}")


def _select(targets: Iterable[Target], only: str | None, sample: int | None) -> list[Change]:
    """The changes to try, in source order.

    Raises:
        MutationError: there are none.
    """
    changes = [change for target in targets for change in target.changes]
    if only is not None:
        changes = [change for change in changes if _matches(change, only)]
    if not changes:
        files = ", ".join(short_name(name) for name in (*MODULES, *FURTHER_MODULES))
        raise MutationError(
            f"--only {only}: no change matches; name a file, one of {files}, a function such as "
            "Module.load_state_dict, both as container.py:Sequential, or the id of a change"
        )
    if sample is not None and sample < len(changes):
        kept = set(random.Random(SEED).sample(range(len(changes)), sample))
        changes = [change for place, change in enumerate(changes) if place in kept]
    return changes


def _matches(change: Change, only: str) -> bool:
    file, _, name = only.partition(":") if ".py" in only else ("", "", only)
    if file and not _is_file(change.file, file):
        return False
    own = change.id.removeprefix(f"{change.file}:")
    return (
        not name
        or own.startswith((f"{name}.", f"{name}:"))
        or any(fnmatch.fnmatchcase(text, name) for text in (own, change.function))
    )


def _show(found: counts.Strength, verdicts: dict[str, str], unexplained: Sequence[counts.Survivor]) -> None:
    """Print the count of each file and the survivors that nobody explained."""
    print(f"strength of the specification on torch {torch.__version__}")
    print(f"{'':<28}{'changes':>9}{'noticed':>9}{'':>9}{'survived':>10}{'not tried':>11}")
    rows = [*found.counts.items(), *([("all", found.whole)] if len(found.counts) > 1 else [])]
    for name, count in rows:
        share = f"{100 * count.share:.1f} %"
        print(
            f"{name:<28}{count.changes:>9}{count.noticed:>9}{share:>9}{count.survived:>10}"
            f"{count.not_tried:>11}"
        )
    number = Counter(verdicts.values())
    print(", ".join(f"{number[verdict]} {verdict}" for verdict in VERDICTS if number[verdict]))
    messages = sum(counts.MESSAGE in survivor.note for survivor in found.survivors)
    explained = len(found.survivors) - len(unexplained)
    print(
        f"{len(found.survivors)} survivors: {explained} explained, {messages} in the wording of messages only"
    )
    if unexplained:
        print("\nnot explained in docs/survivors.toml:")
    for survivor in unexplained:
        note = f"  ({survivor.note})" if survivor.note else ""
        print(f"{survivor.id}{note}\n    {survivor.text}\n    {survivor.told}")


def _show_outdated(explanations: Iterable[str], verdicts: dict[str, str], whole_files: set[str]) -> None:
    """Print the explanations of what is noticed now, or is no change to a file any more."""
    for name in explanations:
        verdict = verdicts.get(name, "" if name.partition(":")[0] in whole_files else SURVIVED)
        if verdict not in counts.SURVIVING:
            print(f"outdated in docs/survivors.toml: {name}: {verdict or 'no such change'}; remove it")


class Progress:
    """Shows how far a measurement is: one line that is renewed on a terminal, else a line every 5 %.

    Args:
        stream: where it is shown.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.renews = stream.isatty()
        self.total = self.done = self.survivors = 0
        self.started = time.monotonic()
        self.is_open = False

    def begin(self, changes: Sequence[Change]) -> None:
        """So many changes will be tried."""
        self.total = len(changes)
        self.tell(f"{self.total} changes to {len({change.file for change in changes})} files")

    def tell(self, line: str) -> None:
        """Show a line that stays; until the first change is done, time is counted from it."""
        self.end()
        print(line, file=self.stream, flush=True)
        if not self.done:
            self.started = time.monotonic()

    def advance(self, change: Change, verdict: str) -> None:
        """One more change has its verdict."""
        self.done += 1
        self.survivors += verdict in counts.SURVIVING
        if self.renews:
            self.stream.write(f"\r\x1b[2K{self._line()}")
            self.stream.flush()
            self.is_open = True
        elif 20 * self.done // self.total > 20 * (self.done - 1) // self.total:
            print(self._line(), file=self.stream, flush=True)

    def _line(self) -> str:
        seconds = (time.monotonic() - self.started) / self.done * (self.total - self.done)
        left = f"{seconds / 60:.0f} min" if seconds > 90 else f"{seconds:.0f} s"
        return (
            f"{self.done}/{self.total} changes, {self.done - self.survivors} noticed, "
            f"{self.survivors} survived, {left} left"
        )

    def end(self) -> None:
        """Close the line that is renewed."""
        if self.is_open:
            self.stream.write("\n")
            self.is_open = False
