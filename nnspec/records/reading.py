"""Records as they are read from files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import packaging.version
from msgspec import Meta, Struct, structs

from nnspec.decoding import Device, Line, Name, Text, Version, ensure_schema, fit, one_of, read_json
from nnspec.errors import FileError
from nnspec.records.outcomes import OUTCOMES
from nnspec.records.record import SCHEMA, Record, Row, record_files, remake

#: What begins the name of a file beside the records of runs: what that file holds.
OTHERS = {
    "assertions": "assertions that never fail",
    "bench": "what was measured",
    "strength": "counts of changes that are noticed",
}


class _Run(Struct, forbid_unknown_fields=True):
    """The header: see :func:`nnspec.records.record.describe_run`."""

    torch: Version
    torchvision: Line
    python: Line
    platform: Line
    devices: Annotated[list[Device], Meta(min_length=1, max_length=100)]


class _Row(Struct, array_like=True, forbid_unknown_fields=True):
    outcome: Annotated[str, Meta(pattern=one_of(*OUTCOMES))]
    digest: Line
    reason: Text = ""


class _File(Struct, forbid_unknown_fields=True):
    schema: int
    run: _Run
    clauses: dict[Name, dict[Name, _Row]]


def read(path: Path) -> Record:
    """Read one record.

    Raises:
        FileError: the file is missing, damaged, cut off, or of another schema.
    """
    beginning = path.name.partition("-")[0]
    if beginning in OTHERS:
        raise FileError(f"{path}: holds {OTHERS[beginning]}; name a record of a run, such as 2.15.0-cpu.json")
    remedy = remake(path.parent)
    table: dict[str, Any] = read_json(path, remedy)
    ensure_schema(path, table, SCHEMA, remedy)
    file = fit(path, table, _File, remedy)
    rows = {
        f"{chapter}.{clause}": Row(row.outcome, row.digest, row.reason)
        for chapter, clauses in file.clauses.items()
        for clause, row in clauses.items()
    }
    record = Record(structs.asdict(file.run), dict(sorted(rows.items())))
    if path.stem != record.name:
        raise FileError(f"{path}: holds a run of {record.name}; name it {record.name}.json")
    return record


def read_all(directory: Path) -> list[Record]:
    """All records of a folder, oldest torch first.

    Raises:
        FileError: a file among them cannot be read.
    """
    records = [read(path) for path in record_files(directory)]
    return sorted(records, key=lambda record: (packaging.version.Version(record.version), record.device))
