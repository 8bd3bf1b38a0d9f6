"""The specification as a whole: parts, chapters, clauses and the tables beside them, read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nnspec.clauses import tables
from nnspec.clauses.chapter import Chapter
from nnspec.clauses.clause import Clause
from nnspec.clauses.parts import Part, read_parts


@dataclass(frozen=True)
class Specification:
    """All that is written.

    Attributes:
        root: the folder that holds ``spec/`` and ``docs/``.
        parts: in reading order.
        claims, questions, phrasings, threads, changes, retired, differences: the tables.
    """

    root: Path
    parts: tuple[Part, ...]
    claims: tuple[tables.Claim, ...]
    questions: tuple[tables.Question, ...]
    phrasings: Mapping[str, tuple[str, ...]]
    threads: tuple[tables.Thread, ...]
    changes: tuple[tables.Release, ...]
    retired: tuple[tables.Retired, ...]
    differences: Mapping[str, tuple[tables.Difference, ...]]

    @property
    def records_folder(self) -> Path:
        return self.root / "docs" / "records"

    @cached_property
    def chapters(self) -> tuple[Chapter, ...]:
        """All chapters in reading order."""
        return tuple(chapter for part in self.parts for chapter in part.chapters)

    @cached_property
    def clauses(self) -> Mapping[str, Clause]:
        """Id to clause, in reading order."""
        return {clause.id: clause for chapter in self.chapters for clause in chapter.clauses}

    def chapter_of(self, clause: Clause) -> Chapter:
        """The chapter that a clause stands in."""
        return next(chapter for chapter in self.chapters if chapter.path == clause.path)

    @cached_property
    def _decided(self) -> Mapping[str, tuple[tables.Thread, ...]]:
        """A clause, by id, to the threads that it decides."""
        decided: dict[str, tuple[tables.Thread, ...]] = {}
        for thread in self.threads:
            for name in thread.clauses:
                decided[name] = (*decided.get(name, ()), thread)
        return decided

    def threads_of(self, clause: Clause) -> tuple[tables.Thread, ...]:
        """The threads that a clause decides."""
        return self._decided.get(clause.id, ())

    def explained(self, device: str) -> Mapping[str, str]:
        """The clauses that a device is known to violate, by id, and why."""
        return {
            name: difference.why
            for difference in self.differences.get(device, ())
            for name in difference.clauses
        }

    def weight_of(self, clause: Clause) -> int:
        """How often people came upon a clause: the questions, claims and threads that it decides."""
        return len(clause.answers("question")) + len(clause.answers("claim")) + len(self.threads_of(clause))

    def deciding(self, mark: str) -> Mapping[str, tuple[Clause, ...]]:
        """The clauses that carry each argument of a mark.

        Args:
            mark: ``claim`` or ``question``.

        Returns:
            row such as ``N2-07`` to its clauses, in reading order.
        """
        marked: dict[str, tuple[Clause, ...]] = {}
        for clause in self.clauses.values():
            for row in clause.answers(mark):
                marked[row] = (*marked.get(row, ()), clause)
        return marked


def read_specification(root: Path) -> Specification:
    """Read ``spec/`` and the tables below a checkout.

    Raises:
        ClauseError: the spec cannot be read.
        TableError: a table cannot be read.
    """
    docs = root / "docs"
    return Specification(
        root=root,
        parts=read_parts(root / "spec"),
        claims=tuple(tables.read_claims(docs / "claims.toml")),
        questions=tuple(tables.read_questions(docs / "questions.toml")),
        phrasings=tables.read_phrasings(docs / "phrasings.toml"),
        threads=tuple(tables.read_threads(docs / "threads.toml")),
        changes=tuple(tables.read_changes(docs / "changes.toml")),
        retired=tuple(tables.read_retired(root / "spec" / "RETIRED.toml")),
        differences=tables.read_differences(docs / "differences.toml"),
    )
