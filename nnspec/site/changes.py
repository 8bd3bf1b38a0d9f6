"""What changed in torch from release to release, by hand: ``docs/changes.toml``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnspec.ledger import LedgerError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class Change:
    """One change of a release.

    Attributes:
        what: in a sentence.
        why: the reason its makers gave, empty if unknown.
        pull: the number of the pull request, empty if unknown.
        clauses: ids of the clauses that show it.
    """

    what: str
    why: str
    pull: str
    clauses: tuple[str, ...]


def read_changes(path: Path) -> Mapping[str, tuple[Change, ...]]:
    """Release to its changes; empty if there is no such file.

    Raises:
        LedgerError: it is no TOML, or an entry is not written as it has to be.
    """
    if not path.exists():
        return {}
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise LedgerError(f"{path}: cannot be read: {error}") from error
    return {release: tuple(_changes(path, release, rows)) for release, rows in found.items()}


def _changes(path: Path, release: str, rows: Any) -> list[Change]:
    if not isinstance(rows, list) or not all(isinstance(row, dict) and "what" in row for row in rows):
        raise LedgerError(f'{path}: {release}: write each change as [["{release}"]] with what = "..."')
    return [
        Change(
            what=str(row["what"]),
            why=str(row.get("why", "")),
            pull=str(row.get("pull", "")).lstrip("#"),
            clauses=tuple(map(str, row.get("clauses", ()))),
        )
        for row in rows
    ]
