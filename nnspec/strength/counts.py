"""How strong the specification is: the record of which changes it noticed, and why the others stay."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from nnspec.clauses.tables import read_table
from nnspec.records.record import RecordError, describe_run, write_whole
from nnspec.strength.measurement import NOT_REACHED, SURVIVED
from nnspec.strength.targets import Change, Target

SCHEMA = 1

#: Why a change may stay unnoticed.
KINDS = ("same behaviour", "unreachable on a CPU", "message wording only")

#: Verdicts on a change that is not noticed.
SURVIVING = (SURVIVED, NOT_REACHED)

MESSAGE = "message wording"


class Survivor(NamedTuple):
    """A change that no clause notices.

    Attributes:
        id: of the change.
        text: the source line that is changed.
        told: the change in words.
        note: what is to be known of it: that no clause runs the line, that only a message changes.
    """

    id: str
    text: str
    told: str
    note: str


class Count(NamedTuple):
    """The changes to one file."""

    changes: int
    noticed: int
    survived: int
    not_tried: int

    @property
    def share(self) -> float:
        """Which part of the changes that were tried is noticed."""
        return self.noticed / self.changes if self.changes else 1.0


class Explanation(NamedTuple):
    """Why a survivor stays: one of :data:`KINDS`, and in words."""

    kind: str
    why: str


@dataclass(frozen=True)
class Strength:
    """What one measurement found.

    Attributes:
        counts: file to its count.
        survivors: sorted by id.
    """

    counts: Mapping[str, Count]
    survivors: tuple[Survivor, ...]

    @property
    def whole(self) -> Count:
        """All files together."""
        return Count(*(sum(column) for column in zip(*self.counts.values(), strict=True)))


def sum_up(targets: Iterable[Target], tried: Iterable[Change], verdicts: Mapping[str, str]) -> Strength:
    """What the verdicts on the changes that were tried amount to."""
    tried = list(tried)
    survivors = [change for change in tried if verdicts[change.id] in SURVIVING]
    number, survived = (Counter(change.file for change in some) for some in (tried, survivors))
    counts = {
        target.file: Count(
            number[target.file],
            number[target.file] - survived[target.file],
            survived[target.file],
            target.not_tried,
        )
        for target in targets
        if number[target.file]
    }
    rows = [
        Survivor(change.id, change.text, change.told, _note(change, verdicts[change.id]))
        for change in survivors
    ]
    return Strength(counts, tuple(sorted(rows)))


def _note(change: Change, verdict: str) -> str:
    notes = [NOT_REACHED] if verdict == NOT_REACHED else []
    return ", ".join([*notes, *([MESSAGE] if change.is_message else [])])


def read_explanations(path: Path) -> dict[str, Explanation]:
    """The table ``docs/survivors.toml``: id of a survivor to why it stays; empty if there is none.

    Raises:
        RecordError: a row is not written as it has to be.
        LedgerError: the file is no TOML.
    """
    found = {}
    for name, row in read_table(path).items():
        if set(row) != {"kind", "why"} or row["kind"] not in KINDS or not str(row["why"]).strip():
            raise RecordError(
                f"{path}: [{json.dumps(name)}] needs kind, one of {', '.join(map(repr, KINDS))}, and why"
            )
        found[name] = Explanation(row["kind"], row["why"])
    return found


def write(strength: Strength, directory: Path) -> Path:
    """Write the record ``strength-<torch>.json`` whole or not at all.

    Returns:
        the file.

    Raises:
        RecordError: it cannot be written; one that was there is untouched.
    """
    run = describe_run(torch.__version__, ["cpu"])
    return write_whole(directory / f"strength-{run['torch']}.json", _text(strength, run))


def _text(strength: Strength, run: Mapping[str, Any]) -> str:
    """JSON with one line for each file and each survivor, so that a diff shows which one it was."""
    header = {
        "torch": run["torch"],
        "python": run["python"],
        "platform": run["platform"],
        "date": run["date"],
    }
    files = [
        f"    {json.dumps(name)}: {json.dumps(_count_row(count))}" for name, count in strength.counts.items()
    ]
    survivors = [
        f"    {json.dumps(row.id)}: {json.dumps([part for part in row[1:] if part])}"
        for row in strength.survivors
    ]
    return (
        "{\n"
        f'  "schema": {SCHEMA},\n'
        f'  "run": {json.dumps(header)},\n'
        f'  "files": {_block(files)},\n'
        f'  "survivors": {_block(survivors)}\n'
        "}\n"
    )


def _count_row(count: Count) -> dict[str, int]:
    return {name.replace("_", " "): value for name, value in count._asdict().items()}


def _block(lines: list[str]) -> str:
    inner = ",\n".join(lines)
    return f"{{\n{inner}\n  }}" if lines else "{}"
