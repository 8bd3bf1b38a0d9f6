"""Everything that the rules of the specification look at, read once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nnspec import ledger, record
from nnspec.chapter import Chapter, read_spec
from nnspec.clause import Clause


@dataclass(frozen=True)
class Project:
    """Everything the rules look at.

    Attributes:
        root: the folder that holds ``spec/`` and ``docs/``.
        chapters: all chapters.
        claims, questions, changes, retired: the tables.
        recorded: the ids of every readable record.
    """

    root: Path
    chapters: tuple[Chapter, ...]
    claims: tuple[ledger.Claim, ...]
    questions: tuple[ledger.Question, ...]
    changes: tuple[ledger.Release, ...]
    retired: tuple[ledger.Retired, ...]
    recorded: frozenset[str]

    @property
    def clauses(self) -> list[Clause]:
        return [clause for chapter in self.chapters for clause in chapter.clauses]

    @property
    def ids(self) -> set[str]:
        return {clause.id for clause in self.clauses}


def read_project(root: Path) -> Project:
    """Read spec, tables and records.

    Raises:
        ClauseError: the spec cannot be read.
        LedgerError: a table cannot be read.
        RecordError: a record cannot be read.
    """
    docs = root / "docs"
    return Project(
        root=root,
        chapters=tuple(read_spec(root / "spec")),
        claims=tuple(ledger.read_claims(docs / "claims.toml")),
        questions=tuple(ledger.read_questions(docs / "questions.toml")),
        changes=tuple(ledger.read_changes(docs / "changes.toml")),
        retired=tuple(ledger.read_retired(root / "spec" / "RETIRED.toml")),
        recorded=frozenset(name for run in record.read_all(docs / "records") for name in run.rows),
    )
