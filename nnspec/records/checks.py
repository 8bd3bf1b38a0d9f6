"""Records beside the clauses as they are now: what is wrong, what is pending, and how new rows get in."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from nnspec.clauses.clause import Clause
from nnspec.records.outcomes import ABSENT, FAILURES, HOLDS, NO_LONGER, NOT_YET, VIOLATED
from nnspec.records.record import Record, RecordError, Row

NEW = "new: the clause has not been recorded"
CHANGED = "changed: the clause was changed after it was recorded"
GONE = "gone: there is no such clause any more"


def pending(record: Record, clauses: Mapping[str, Clause]) -> dict[str, str]:
    """What the next run has to bring: id to :data:`NEW`, :data:`CHANGED` or :data:`GONE`, sorted by id."""
    awaited: dict[str, str] = {}
    for name in sorted(clauses.keys() | record.rows.keys()):
        clause, row = clauses.get(name), record.rows.get(name)
        if row is None:
            awaited[name] = NEW
        elif clause is None:
            awaited[name] = GONE
        elif row.digest != clause.digest:
            awaited[name] = CHANGED
    return awaited


def wrong(record: Record, clauses: Mapping[str, Clause], explained: Collection[str] = ()) -> list[str]:
    """The rows that cannot be: a line for each outcome that fails a run or lies on the wrong side of a bound.

    A row that is pending is not judged by the bounds: they may have been moved with the clause.

    Args:
        record: the rows.
        clauses: id to clause.
        explained: ids of the clauses that the device of the record is known to violate.
    """
    awaited = pending(record, clauses)
    lines = []
    for name, row in record.rows.items():
        if is_unexplained(name, row, explained):
            also = "" if record.device == "cpu" else " that docs/differences.toml does not explain"
            lines.append(f"{name}: recorded as {row.outcome!r}; no record of a release may say so{also}")
        elif name not in awaited and _is_contrary(row, clauses[name], record.version):
            lines.append(
                f"{name}: recorded as {row.outcome!r} on torch {record.version}, "
                f"but its bounds say {clauses[name].bounds}"
            )
    return lines


def is_unexplained(name: str, row: Row, explained: Collection[str]) -> bool:
    """Whether a row fails its run, and not because its device is known to differ there."""
    return row.outcome in FAILURES and not (row.outcome == VIOLATED and name in explained)


def _is_contrary(row: Row, clause: Clause, version: str) -> bool:
    place = clause.bounds.place(version)
    if place == "inside":
        return row.outcome in (NOT_YET, NO_LONGER, ABSENT)
    return row.outcome == HOLDS or (row.outcome in (NOT_YET, NO_LONGER) and row.outcome != place)


def differences(kept: Record, fresh: Record, besides: Collection[str] = ()) -> list[str]:
    """What two runs of the same torch observed differently, one line each; their platforms aside.

    Args:
        kept, fresh: the runs.
        besides: ids that are left out, such as those of pending rows.
    """
    lines = [
        f"{key}: recorded with {kept.run[key]!r}, run with {fresh.run[key]!r}"
        for key in kept.run
        if key != "platform" and kept.run[key] != fresh.run[key]
    ]
    for name in sorted((kept.rows.keys() | fresh.rows.keys()) - set(besides)):
        old, new = kept.rows.get(name), fresh.rows.get(name)
        if old != new:
            lines.append(f"{name}: recorded {_shown(old)}, ran {_shown(new)}")
    return lines


def _shown(row: Row | None) -> str:
    return "nothing" if row is None else f"{row.outcome!r} ({row.reason or row.digest})"


def splice(kept: Record | None, fresh: Record, clauses: Mapping[str, Clause]) -> Record:
    """A record with the rows of a newer run in it.

    Args:
        kept: the record as it is; none if there is none.
        fresh: a run of all clauses or of some.
        clauses: id to clause; rows of others are taken out.

    Returns:
        the newer run if it has a row for each clause, else the kept record with the newer rows.

    Raises:
        RecordError: only some clauses were run, with another torch, torchvision, Python, platform or device
            than those that were recorded.
    """
    if kept is None or clauses.keys() <= fresh.rows.keys():
        return fresh
    for key, value in kept.run.items():
        if fresh.run[key] != value:
            raise RecordError(
                f"{kept.name}: was recorded with {key} {value!r}, and this run has {fresh.run[key]!r}; "
                "its rows cannot stand beside the others: run all clauses, or record into another folder"
            )
    stay = {name: row for name, row in kept.rows.items() if name in clauses}
    return replace(kept, rows=dict(sorted({**stay, **fresh.rows}.items())))
