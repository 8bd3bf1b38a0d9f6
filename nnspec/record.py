"""One run's outcomes as a file: written whole, read with suspicion, checked against the clauses."""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.version import Version

from nnspec.clause import Clause
from nnspec.outcome import FAILURES, HOLDS, NO_LONGER, NOT_YET, OUTCOMES

SCHEMA = 1
REMAKE = "make it anew with: pytest spec/ --record docs/records"

_RUN = ("torch", "torchvision", "python", "devices", "platform", "date")
#: What may differ between two runs that observed the same.
_CIRCUMSTANCES = ("platform", "date")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{6,}")
_PLACE = re.compile(r" \((/|[A-Za-z]:\\|unknown location)[^)]*\)")


class RecordError(Exception):
    """A record cannot be read or written; the message names the file, the place and the remedy."""


@dataclass(frozen=True)
class Row:
    """The outcome of one clause, the reason where it does not hold, and the clause's digest."""

    outcome: str
    digest: str
    reason: str = ""


@dataclass(frozen=True)
class Record:
    """One run.

    Attributes:
        run: torch, torchvision, python, devices, platform and date.
        rows: clause id to row, sorted by id.
        path: the file it came from.
    """

    run: Mapping[str, Any]
    rows: Mapping[str, Row]
    path: Path | None = None

    @property
    def version(self) -> str:
        """The torch version without a build suffix, such as ``2.15.0``."""
        return str(self.run["torch"])

    @property
    def release(self) -> str:
        """The torch minor version, such as ``2.15``."""
        return release_of(self.version)

    @property
    def device(self) -> str:
        """What the run was about: ``cpu``, or the accelerator beside it."""
        return device_word([str(name) for name in self.run["devices"]])

    @property
    def name(self) -> str:
        """Its file name without suffix, such as ``2.15.0-cpu``."""
        return f"{self.version}-{self.device}"

    def seal(self) -> str:
        """Digest over everything that was observed; platform and date do not enter."""
        told = {
            "run": {key: self.run[key] for key in _RUN if key not in _CIRCUMSTANCES},
            "clauses": {name: [row.outcome, row.digest, row.reason] for name, row in self.rows.items()},
        }
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def release_of(version: str) -> str:
    """The minor release of a torch version: ``2.15.0+cpu`` gives ``2.15``."""
    return ".".join(map(str, Version(version).release[:2]))


def device_word(devices: list[str]) -> str:
    """The one word for a run on these devices: its accelerator, or ``cpu``."""
    types = [name.partition(" ")[0] for name in devices]
    others = [name for name in types if name != "cpu"]
    return others[0] if others else "cpu"


def describe_run(torch_version: str, devices: Iterable[str]) -> dict[str, Any]:
    """The header of a record made now.

    Args:
        torch_version: ``torch.__version__``.
        devices: the devices of the run, with the hardware's name where there is one.
    """
    return {
        "torch": Version(torch_version).public,
        "torchvision": _torchvision(),
        "python": ".".join(platform.python_version_tuple()[:2]),
        "devices": list(devices),
        "platform": f"{platform.system()} {platform.machine()}",
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
    }


def _torchvision() -> str:
    try:
        return Version(importlib.metadata.version("torchvision")).public
    except importlib.metadata.PackageNotFoundError:
        return "none"


def ensure_writable(directory: Path) -> None:
    """Make the folder if need be and see that a file can be made in it.

    Raises:
        RecordError: it cannot.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=directory).close()
    except OSError as error:
        raise RecordError(
            f"{directory}: nothing can be written here: {error.strerror}; name another folder"
        ) from error


def write(record: Record, directory: Path) -> Path:
    """Write a record whole or not at all.

    Args:
        record: what was run.
        directory: the folder; the file is named by the run.

    Returns:
        the file.

    Raises:
        RecordError: the file cannot be written; one that was there is untouched.
    """
    return write_whole(directory / f"{record.name}.json", _text(record))


def write_whole(path: Path, text: str) -> Path:
    """Write a file whole or not at all, and return it.

    Raises:
        RecordError: it cannot be written; one that was there is untouched.
    """
    ensure_writable(path.parent)
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise RecordError(f"{path}: cannot be written: {error.strerror}") from error
    return path


def _text(record: Record) -> str:
    rows = []
    for name in sorted(record.rows):
        row = record.rows[name]
        values = [row.outcome, row.digest, *([row.reason] if row.reason else [])]
        rows.append(f"    {json.dumps(name)}: {json.dumps(values)}")
    clauses = ",\n".join(rows)
    return (
        "{\n"
        f'  "schema": {SCHEMA},\n'
        f'  "run": {json.dumps(record.run)},\n'
        f'  "clauses": {{\n{clauses}\n  }},\n'
        f'  "count": {json.dumps(count(record))},\n'
        f'  "seal": {json.dumps(record.seal())}\n'
        "}\n"
    )


def count(record: Record) -> dict[str, int]:
    """How many clauses the record has, in all and by outcome."""
    by_outcome = Counter(row.outcome for row in record.rows.values())
    return {"clauses": len(record.rows), **{name: by_outcome[name] for name in OUTCOMES if by_outcome[name]}}


def tidy(reason: str) -> str:
    """A reason as one line without addresses and places of files, the same on every machine."""
    return _PLACE.sub("", _ADDRESS.sub("0x...", " ".join(reason.split())))


def read(path: Path) -> Record:
    """Read one record.

    Raises:
        RecordError: the file is missing, damaged, cut off, altered, or of another schema.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"{path}: cannot be read: {error}") from error
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise RecordError(
            f"{path}:{error.lineno}: not valid JSON ({error.msg}), perhaps cut off; restore it or {REMAKE}"
        ) from error
    if not isinstance(found, dict) or "schema" not in found:
        raise RecordError(f"{path}: no record of this project: it has no 'schema'; remove it from here")
    if found["schema"] != SCHEMA:
        raise RecordError(f"{path}: schema {found['schema']!r}, this nnspec reads schema {SCHEMA}; {REMAKE}")
    record = _from_json(path, found)
    if found.get("count") != count(record):
        raise RecordError(f"{path}: 'count' does not agree with the rows; it was altered: {REMAKE}")
    if found.get("seal") != record.seal():
        raise RecordError(f"{path}: 'seal' does not agree with run and rows; it was altered: {REMAKE}")
    if path.stem != record.name:
        raise RecordError(f"{path}: holds a run of {record.name}; name it {record.name}.json")
    return record


def _from_json(path: Path, found: dict[str, Any]) -> Record:
    run, clauses = found.get("run"), found.get("clauses")
    if not isinstance(run, dict) or set(run) != set(_RUN) or not isinstance(run["devices"], list):
        raise RecordError(f"{path}: 'run' does not name {', '.join(_RUN)}; {REMAKE}")
    if not isinstance(clauses, dict):
        raise RecordError(f"{path}: 'clauses' is missing; {REMAKE}")
    rows = {}
    for name, values in clauses.items():
        well_formed = (
            isinstance(values, list)
            and len(values) in (2, 3)
            and all(isinstance(value, str) for value in values)
            and values[0] in OUTCOMES
        )
        if not well_formed:
            raise RecordError(f"{path}: row {name!r} is not [outcome, digest, reason]; {REMAKE}")
        rows[name] = Row(*values)
    return Record(run, rows, path)


def read_all(directory: Path) -> list[Record]:
    """All records of a folder, oldest torch first.

    Raises:
        RecordError: a file among them cannot be read.
    """
    records = [read(path) for path in record_files(directory)]
    return sorted(records, key=lambda record: (Version(record.version), record.device))


def record_files(directory: Path) -> list[Path]:
    """The files of a folder that are named as records are: by a torch version."""
    return sorted(path for path in directory.glob("*.json") if path.name[:1].isdigit())


def check(record: Record, clauses: Mapping[str, Clause]) -> list[str]:
    """What is wrong with a record beside the clauses as they are now.

    Args:
        record: what was run.
        clauses: id to clause.

    Returns:
        one line for each defect: a clause without a row, a row without a clause, a stale row, an
        outcome that the bounds of the clause exclude.
    """
    found = []
    for name in sorted(clauses.keys() - record.rows.keys()):
        found.append(f"{name}: not recorded")
    for name in sorted(record.rows.keys() - clauses.keys()):
        found.append(f"{name}: recorded, but no such clause; name its successor in spec/RETIRED.toml")
    for name, row in record.rows.items():
        clause = clauses.get(name)
        if clause is None:
            continue
        if row.digest != clause.digest:
            found.append(f"{name}: stale: the clause was changed after it was recorded")
        place = clause.bounds.place(record.version)
        contrary = (*FAILURES, *((NOT_YET, NO_LONGER) if place == "inside" else (HOLDS,)))
        if row.outcome in contrary or (row.outcome in (NOT_YET, NO_LONGER) and row.outcome != place):
            found.append(
                f"{name}: recorded as {row.outcome!r} on torch {record.version}, "
                f"but its bounds say {clause.bounds}"
            )
    return found


def differences(kept: Record, fresh: Record) -> list[str]:
    """What two runs of the same torch observed differently, one line each; platform and date aside."""
    found = []
    for key in _RUN:
        if key not in _CIRCUMSTANCES and kept.run[key] != fresh.run[key]:
            found.append(f"{key}: recorded with {kept.run[key]!r}, run with {fresh.run[key]!r}")
    for name in sorted(kept.rows.keys() | fresh.rows.keys()):
        old, new = kept.rows.get(name), fresh.rows.get(name)
        if old != new:
            found.append(f"{name}: recorded {_shown(old)}, ran {_shown(new)}")
    return found


def _shown(row: Row | None) -> str:
    if row is None:
        return "nothing"
    return f"{row.outcome!r} ({row.reason or row.digest})"
