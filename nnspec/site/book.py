"""What the pages are made of: parts, chapters, clauses, tables and records."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from nnspec.clauses import tables
from nnspec.clauses.chapter import Chapter, read_spec
from nnspec.clauses.clause import RELEASES, Clause
from nnspec.records import record
from nnspec.records.outcomes import HOLDS, UNMET
from nnspec.records.record import Record

#: Shown where no record has the clause.
NOT_RUN = "not run"

#: Parts in the order of the book.
PARTS = (
    "registration",
    "traversal",
    "containers",
    "parameter",
    "gradients",
    "calling",
    "modes",
    "state",
    "placement",
    "copying",
    "functional",
    "reparametrization",
    "compilation",
    "parallel",
    "layers",
    "contract",
    "benchmarks",
)


@dataclass(frozen=True)
class Part:
    """A folder of chapters, opened by the docstring of its ``__init__.py``."""

    name: str
    docstring: str
    chapters: tuple[Chapter, ...]


@dataclass(frozen=True)
class Book:
    """Everything the site shows.

    Attributes:
        parts: in the order of the book.
        records: oldest torch first.
        claims, questions: the tables.
        changes: release to what it changed, from ``docs/changes.toml``.
        survivors: why a change to torch.nn stays unnoticed, from ``docs/survivors.toml``.
        docs: the folder of the site's sources.
    """

    parts: tuple[Part, ...]
    records: tuple[Record, ...]
    claims: tuple[tables.Claim, ...]
    questions: tuple[tables.Question, ...]
    changes: Mapping[str, tables.Release]
    survivors: Mapping[str, Mapping[str, Any]]
    docs: Path

    @property
    def records_folder(self) -> Path:
        return self.docs / "records"

    @cached_property
    def clauses(self) -> Mapping[str, Clause]:
        """Id to clause, in the order of the book."""
        return {
            clause.id: clause
            for part in self.parts
            for chapter in part.chapters
            for clause in chapter.clauses
        }

    @cached_property
    def by_release(self) -> Mapping[str, Record | None]:
        """Each supported release with its record on the CPU."""
        found = {one.release: one for one in self.records if one.device == "cpu"}
        return {release: found.get(release) for release in RELEASES}

    @cached_property
    def on_accelerators(self) -> Mapping[str, list[Record]]:
        """Each supported release with its records on other devices."""
        others = [one for one in self.records if one.device != "cpu"]
        return {release: [one for one in others if one.release == release] for release in RELEASES}

    @cached_property
    def chapters(self) -> Mapping[str, Chapter]:
        """Id to chapter, in the order of the book."""
        return {chapter.id: chapter for part in self.parts for chapter in part.chapters}

    def chapter_of(self, clause: Clause) -> Chapter:
        return self.chapters[f"{clause.part}.{clause.chapter}"]

    def outcome(self, clause: Clause, release: str) -> str:
        """The recorded outcome of a clause on a release; ``not run`` if there is none.

        What the CPU cannot judge, a run on another device may.
        """
        one = self.by_release[release]
        runs = [*([one] if one else []), *self.on_accelerators[release]]
        found = [run.rows[clause.id].outcome for run in runs if clause.id in run.rows]
        judged = [outcome for outcome in found if outcome != UNMET]
        return (judged or found or [NOT_RUN])[0]

    def stale(self, clause: Clause) -> list[str]:
        """The records that were made before the clause was changed, by name."""
        return [
            one.name
            for one in self.records
            if clause.id in one.rows and one.rows[clause.id].digest != clause.digest
        ]

    def devices(self, clause: Clause) -> list[str]:
        """The devices on which a clause was seen to hold."""
        runs = [one for one in self.records if clause.id in one.rows and one.rows[clause.id].outcome == HOLDS]
        elsewhere = "device" in clause.arguments or any(need == "cuda" for need, _ in clause.needs)
        names = [str(name) for run in runs for name in run.run["devices"]]
        return list(dict.fromkeys(name for name in names if name == "cpu" or elsewhere))


def read_book(root: Path) -> Book:
    """Read spec, tables and records below the root of the checkout."""
    chapters = read_spec(root / "spec")
    names = sorted({chapter.part for chapter in chapters}, key=_place)
    parts = tuple(
        Part(
            name=name,
            docstring=_docstring(root / "spec" / name / "__init__.py"),
            chapters=_in_reading_order(
                [chapter for chapter in chapters if chapter.part == name],
                _docstring(root / "spec" / name / "__init__.py"),
            ),
        )
        for name in names
    )
    docs = root / "docs"
    return Book(
        parts=parts,
        records=tuple(record.read_all(docs / "records")),
        claims=tuple(tables.read_claims(docs / "claims.toml")),
        questions=tuple(tables.read_questions(docs / "questions.toml")),
        changes={one.name: one for one in tables.read_changes(docs / "changes.toml")},
        survivors=tables.read_table(docs / "survivors.toml"),
        docs=docs,
    )


def _place(part: str) -> tuple[int, str]:
    return (PARTS.index(part) if part in PARTS else len(PARTS), part)


def _docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def _in_reading_order(chapters: list[Chapter], opening: str) -> tuple[Chapter, ...]:
    """Chapters in the order in which the part's opening page names them, the others after."""

    def place(chapter: Chapter) -> tuple[int, str]:
        found = opening.find(f"*{chapter.name}*")
        return (found if found >= 0 else len(opening), chapter.name)

    return tuple(sorted(chapters, key=place))
