"""The hand-kept tables beside the clauses: claims, questions, changes, retired ids, names left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from msgspec import Meta, Struct, field

from nnspec.decoding import Line, Said, Text, Word, fit, read_toml
from nnspec.errors import FileError, shortened

Kind = TypeVar("Kind")

#: What a change does to those who upgrade, the worst first.
HURTS = {
    "breaks": "Breaks: code that ran raises, or does something else",
    "warns": "Warns: code goes on as before, with a warning",
    "new": "New: what was not possible, or failed, before",
    "internal": "Internal: seen only by those who look inside",
}

VERDICTS = ("holds", "changed", "imprecise", "wrong", "aside")


class TableError(FileError):
    """A table cannot be read; the message names the file, the row and the remedy."""


class Claim(Struct, frozen=True, forbid_unknown_fields=True):
    """A sentence from the notes, with the verdict of running torch.

    Attributes:
        id: note and number, such as ``N2-07``.
        said: the sentence.
        verdict: one of :data:`VERDICTS`.
        instead: what is right, where the sentence is not.
    """

    id: Text
    said: Text
    verdict: Text
    instead: Text = ""


class Question(Struct, frozen=True, forbid_unknown_fields=True):
    """What a user asked, in which other words people ask it, and where."""

    id: Text
    asked: Text
    said: tuple[Text, ...] = ()
    threads: tuple[Text, ...] = ()


class Thread(Struct, frozen=True, forbid_unknown_fields=True):
    """A public thread, what it asked in a sentence, and the clauses that decide it."""

    name: Text
    asked: Text
    clauses: tuple[Text, ...] = ()


class Change(Struct, frozen=True, forbid_unknown_fields=True):
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

    what: Text
    hurts: Text = ""
    rank: Annotated[int, Meta(ge=1, le=3)] = 3
    do: Text = ""
    threads: tuple[Text, ...] = ()
    clauses: tuple[Text, ...] = ()
    why: Text = ""


class Release(Struct, frozen=True, forbid_unknown_fields=True):
    """What one release changed, or why nothing is listed."""

    name: Text
    changes: tuple[Change, ...] = ()
    none: Text = ""


class Retired(Struct, frozen=True, forbid_unknown_fields=True):
    """An id that was recorded once: its successor, or why it went."""

    id: Text
    successor: Text = ""
    why: Text = ""


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


class Difference(Struct, frozen=True, forbid_unknown_fields=True):
    """A way in which a device differs from what the clauses say: in a few words, why, and those clauses."""

    what: Text
    why: Said
    clauses: Annotated[tuple[Text, ...], Meta(min_length=1)]


class Stage(Struct, frozen=True, forbid_unknown_fields=True):
    """A stage of the tour: what it is about, and its clauses in reading order."""

    title: Text
    text: Text
    clauses: tuple[Text, ...] = ()


class _LeftOut(Struct, frozen=True, forbid_unknown_fields=True):
    why: Text = ""


class Addresses(Struct, frozen=True):
    """Where the project is, as its ``pyproject.toml`` says; empty where it does not."""

    documentation: Line = field(default="", name="Documentation")
    source: Line = field(default="", name="Source")


class _Project(Struct, frozen=True):
    urls: Addresses = Addresses()


class _Pyproject(Struct, frozen=True):
    project: _Project = _Project()


class _Front(Struct, frozen=True, forbid_unknown_fields=True):
    clause: Text = ""


class _Shown(Struct, forbid_unknown_fields=True):
    front: _Front = _Front()
    answers: dict[str, Text] = {}
    pictures: dict[str, Text] = {}


def read_table(path: Path, wanted: type[Kind]) -> Kind:
    """What a TOML file holds, as values of the wanted type; of an empty one if there is no such file.

    Raises:
        TableError: it is no TOML, or a value is another than wanted.
    """
    return fit(path, read_toml(path, TableError), wanted, raises=TableError)


def _rows(path: Path, wanted: type[Kind], key: str) -> list[Kind]:
    """The tables of a file in file order; the name of each is its value for a key."""
    named: dict[str, Any] = {}
    for name, row in read_table(path, dict[str, dict[str, Any]]).items():
        if key in row:
            raise TableError(f"{path}: {shortened(name)} has an unknown entry '{key}'")
        named[name] = {key: name, **row}
    return list(fit(path, named, dict[str, wanted], raises=TableError).values())  # type: ignore[valid-type]


def read_claims(path: Path) -> list[Claim]:
    """The rows of ``docs/claims.toml``, in file order."""
    return _rows(path, Claim, "id")


def read_questions(path: Path) -> list[Question]:
    """The rows of ``docs/questions.toml``, in file order."""
    return _rows(path, Question, "id")


def read_threads(path: Path) -> list[Thread]:
    """The rows of ``docs/threads.toml``, in file order."""
    return _rows(path, Thread, "name")


def read_phrasings(path: Path) -> dict[str, tuple[str, ...]]:
    """``docs/phrasings.toml``: a clause, by its id, to how people ask for it."""
    return {
        f"{part}.{name}": phrasings
        for part, row in read_table(path, dict[str, dict[str, tuple[Text, ...]]]).items()
        for name, phrasings in row.items()
    }


def read_changes(path: Path) -> list[Release]:
    """The releases of ``docs/changes.toml``, in file order."""
    return _rows(path, Release, "name")


def read_retired(path: Path) -> list[Retired]:
    """The rows of ``spec/RETIRED.toml``, in file order."""
    return _rows(path, Retired, "id")


def read_tour(path: Path) -> list[Stage]:
    """The stages of ``docs/tour.toml``, in file order."""
    return _rows(path, Stage, "title")


def read_differences(path: Path) -> dict[str, tuple[Difference, ...]]:
    """``docs/differences.toml``: a device to the ways in which it differs, in file order.

    Raises:
        TableError: it cannot be read, or a row is not written as it has to be.
    """
    return read_table(path, dict[Word, tuple[Difference, ...]])


def read_left_out(path: Path) -> Mapping[str, str]:
    """Why no clause is owed a public name, by name, from ``docs/left_out.toml``."""
    return {name: row.why for name, row in read_table(path, dict[str, _LeftOut]).items()}


def read_addresses(path: Path) -> Addresses:
    """The addresses in a ``pyproject.toml``; what it says else is nothing to this project.

    Raises:
        TableError: it cannot be read, or an address is no text.
    """
    return read_table(path, _Pyproject).project.urls


def read_shown(path: Path) -> Shown:
    """What ``docs/site.toml`` says of the site's pages.

    Raises:
        TableError: it cannot be read, or an entry is unknown or no text.
    """
    shown = read_table(path, _Shown)
    return Shown(shown.front.clause, shown.answers, shown.pictures)
