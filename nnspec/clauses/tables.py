"""The hand-kept tables beside the clauses: claims, questions, changes, retired ids, names left out."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnspec.errors import NnspecError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

#: What a change does to those who upgrade, the worst first.
HURTS = {
    "breaks": "Breaks: code that ran raises, or does something else",
    "warns": "Warns: code goes on as before, with a warning",
    "new": "New: what was not possible, or failed, before",
    "internal": "Internal: seen only by those who look inside",
}

VERDICTS = ("holds", "changed", "imprecise", "wrong", "aside")


class TableError(NnspecError):
    """A table cannot be read; the message names the file, the row and the remedy."""


@dataclass(frozen=True)
class Claim:
    """A sentence from the notes, with the verdict of running torch.

    Attributes:
        id: note and number, such as ``N2-07``.
        said: the sentence.
        verdict: one of :data:`VERDICTS`.
        instead: what is right, where the sentence is not.
    """

    id: str
    said: str
    verdict: str
    instead: str


@dataclass(frozen=True)
class Question:
    """What a user asked, in which other words people ask it, and where."""

    id: str
    asked: str
    said: tuple[str, ...]
    threads: tuple[str, ...]


@dataclass(frozen=True)
class Thread:
    """A public thread, what it asked in a sentence, and the clauses that decide it."""

    name: str
    asked: str
    clauses: tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """Something that a release changed.

    Attributes:
        what: what is different, and what was so before.
        hurts: one of :data:`HURTS`; empty if nothing is said.
        rank: 1 if almost everybody meets it, 2 if many do, else 3.
        do: what to do about it.
        threads: where it was made or asked about.
        clauses: those that say so.
        why: why no clause is owed, where there is none.
    """

    what: str
    hurts: str
    rank: int
    do: str
    threads: tuple[str, ...]
    clauses: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Release:
    """What one release changed, or why nothing is listed."""

    name: str
    changes: tuple[Change, ...]
    none: str


@dataclass(frozen=True)
class Retired:
    """An id that was recorded once: its successor, or why it went."""

    id: str
    successor: str
    why: str


@dataclass(frozen=True)
class Shown:
    """Which clauses the site shows at which place.

    Attributes:
        front: the clause that surprises on the front page; empty if none is named.
        answers: the questions of the front page, each with the clause that answers it.
        pictures: each drawing with the clause whose run it draws, at the head of that clause's chapter.
    """

    front: str
    answers: Mapping[str, str]
    pictures: Mapping[str, str]


@dataclass(frozen=True)
class Stage:
    """A stage of the tour: what it is about, and its clauses in reading order."""

    title: str
    text: str
    clauses: tuple[str, ...]


def read_table(path: Path) -> dict[str, dict[str, Any]]:
    """A TOML file of tables, one for each row; empty if there is no such file.

    Raises:
        TableError: it is no TOML, or an entry is no table.
    """
    if not path.exists():
        return {}
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TableError(f"{path}: cannot be read: {error}") from error
    for name, row in table.items():
        if not isinstance(row, dict):
            raise TableError(f"{path}: {name} is no table; write it as [{name}]")
    return table


def read_claims(path: Path) -> list[Claim]:
    """The rows of ``docs/claims.toml``, in file order."""
    return [
        Claim(
            id=name,
            said=_text(path, name, row, "said"),
            verdict=_text(path, name, row, "verdict"),
            instead=_text(path, name, row, "instead", ""),
        )
        for name, row in _rows(path, {"said", "verdict", "instead"})
    ]


def read_questions(path: Path) -> list[Question]:
    """The rows of ``docs/questions.toml``, in file order."""
    return [
        Question(
            id=name,
            asked=_text(path, name, row, "asked"),
            said=_texts(path, name, row, "said"),
            threads=_texts(path, name, row, "threads"),
        )
        for name, row in _rows(path, {"asked", "said", "threads"})
    ]


def read_threads(path: Path) -> list[Thread]:
    """The rows of ``docs/threads.toml``, in file order."""
    return [
        Thread(name, _text(path, name, row, "asked"), _texts(path, name, row, "clauses"))
        for name, row in _rows(path, {"asked", "clauses"})
    ]


def read_phrasings(path: Path) -> dict[str, tuple[str, ...]]:
    """``docs/phrasings.toml``: a clause, by its id, to how people ask for it."""
    return {
        f"{part}.{name}": _texts(path, part, row, name)
        for part, row in read_table(path).items()
        for name in row
    }


def read_changes(path: Path) -> list[Release]:
    """The releases of ``docs/changes.toml``, in file order."""
    return [
        Release(
            name=name,
            changes=tuple(_change(path, name, entry) for entry in row.get("changes", [])),
            none=_text(path, name, row, "none", ""),
        )
        for name, row in _rows(path, {"changes", "none"})
    ]


def _change(path: Path, name: str, entry: object) -> Change:
    if not isinstance(entry, dict):
        raise TableError(f'{path}: [{name}] has a change that is no table; write it as [["{name}".changes]]')
    return Change(
        what=_text(path, name, entry, "what"),
        hurts=_text(path, name, entry, "hurts", ""),
        rank=_rank(path, name, entry),
        do=_text(path, name, entry, "do", ""),
        threads=_texts(path, name, entry, "threads"),
        clauses=_texts(path, name, entry, "clauses"),
        why=_text(path, name, entry, "why", ""),
    )


def _rank(path: Path, name: str, entry: Mapping[str, Any]) -> int:
    rank = entry.get("rank", 3)
    if rank not in (1, 2, 3):
        raise TableError(
            f"{path}: [{name}] has rank = {rank!r}; 1 if almost everybody meets it, 2 if many do"
        )
    return int(rank)


def read_retired(path: Path) -> list[Retired]:
    """The rows of ``spec/RETIRED.toml``, in file order."""
    return [
        Retired(
            id=name,
            successor=_text(path, name, row, "successor", ""),
            why=_text(path, name, row, "why", ""),
        )
        for name, row in _rows(path, {"successor", "why"})
    ]


def read_shown(path: Path) -> Shown:
    """What ``docs/site.toml`` says of the site's pages.

    Raises:
        TableError: it cannot be read, or an entry is unknown or no text.
    """
    table = read_table(path)
    unknown = sorted(table.keys() - {"front", "answers", "pictures"})
    if unknown:
        raise TableError(f"{path}: unknown table [{unknown[0]}]; known are [front], [answers] and [pictures]")
    front, answers, pictures = (table.get(name, {}) for name in ("front", "answers", "pictures"))
    if front.keys() - {"clause"}:
        raise TableError(f"{path}: [front] names a clause and nothing else")
    return Shown(
        front=_text(path, "front", front, "clause", ""),
        answers={question: _text(path, "answers", answers, question) for question in answers},
        pictures={drawing: _text(path, "pictures", pictures, drawing) for drawing in pictures},
    )


def read_tour(path: Path) -> list[Stage]:
    """The stages of ``docs/tour.toml``, in file order."""
    return [
        Stage(name, _text(path, name, row, "text"), _texts(path, name, row, "clauses"))
        for name, row in _rows(path, {"text", "clauses"})
    ]


def _rows(path: Path, known: set[str]) -> list[tuple[str, Mapping[str, Any]]]:
    table = read_table(path)
    for name, row in table.items():
        unknown = sorted(row.keys() - known)
        if unknown:
            raise TableError(
                f"{path}: [{name}] has an unknown entry {unknown[0]!r}; known are {', '.join(sorted(known))}"
            )
    return list(table.items())


def _text(path: Path, name: str, row: Mapping[str, Any], key: str, default: str | None = None) -> str:
    value = row.get(key, default)
    if not isinstance(value, str):
        raise TableError(f"{path}: [{name}] needs {key} as a text")
    return value


def _texts(path: Path, name: str, row: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = row.get(key, [])
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise TableError(f"{path}: [{name}] needs {key} as a list of texts")
    return tuple(value)
