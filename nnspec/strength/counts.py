"""How strong the specification is: the record of which changes it noticed, and why the others stay."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from nnspec.records.files import as_lines, write_whole
from nnspec.records.record import describe_run
from nnspec.strength.measurement import NOT_REACHED, SURVIVING
from nnspec.strength.targets import Change, Target

#: The version of the form of a record.
SCHEMA = 1

MESSAGE = "message wording"


class Survivor(NamedTuple):
    """A change that no clause notices.

    Attributes:
        id: of the change.
        text: the source line that is changed.
        difference: the change in words.
        note: what is to be known of it: that no clause runs the line, that only a message changes.
    """

    id: str
    text: str
    difference: str
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


@dataclass(frozen=True)
class Strength:
    """The outcome of one measurement.

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
    number: Counter[str] = Counter()
    survived: Counter[str] = Counter()
    survivors = []
    for change in tried:
        number[change.file] += 1
        if verdicts[change.id] in SURVIVING:
            survived[change.file] += 1
            facts = {NOT_REACHED: verdicts[change.id] == NOT_REACHED, MESSAGE: change.edit.place.is_message}
            note = ", ".join(fact for fact, is_so in facts.items() if is_so)
            survivors.append(Survivor(change.id, change.text, change.edit.difference, note))
    counts = {
        file: Count(number[file], number[file] - survived[file], survived[file], target.not_tried)
        for target in targets
        if number[file := target.file]
    }
    return Strength(counts, tuple(sorted(survivors)))


def describe(device: str) -> dict[str, str]:
    """The header of a record of strength that is made now."""
    described = describe_run(torch.__version__, [device])
    run = {key: described[key] for key in ("torch", "python", "platform")}
    return {**run, "device": device, "date": datetime.date.today().isoformat()}


def write(strength: Strength, device: str, directory: Path) -> Path:
    """Write the record ``strength-<torch>-<device>.json`` whole or not at all.

    Returns:
        the file.

    Raises:
        FileError: it cannot be written; one that was there is untouched.
    """
    run = describe(device)
    table = {
        "schema": SCHEMA,
        "run": run,
        "files": {
            name: {key.replace("_", " "): value for key, value in count._asdict().items()}
            for name, count in strength.counts.items()
        },
        "survivors": {row.id: [text for text in row[1:] if text] for row in strength.survivors},
    }
    return write_whole(directory / f"strength-{run['torch']}-{device}.json", as_lines(table, depth=2))
