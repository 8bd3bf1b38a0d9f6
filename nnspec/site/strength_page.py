"""How much of a change to torch.nn the specification notices, as a page."""

from __future__ import annotations

from pathlib import Path

from msgspec import structs
from packaging.version import Version

from nnspec.site.book import Book
from nnspec.site.templates import render
from nnspec.strength.reading import (
    AssertionsRecord,
    Counts,
    StrengthRecord,
    read_assertions,
    read_strength,
)

Row = tuple[object, ...]


def pages(book: Book) -> dict[str, str]:
    """The page of the strength.

    Raises:
        FileError: a record of it cannot be read.
    """
    folder = book.specification.records_folder
    measured = [_tables(book, read_strength(path)) for path in _newest_first(folder, "strength")]
    judged = [_assertions(book, read_assertions(path)) for path in _newest_first(folder, "assertions")]
    return {"strength.rst": render("strength.rst.j2", measured=measured, judged=judged)}


def _newest_first(folder: Path, kind: str) -> list[Path]:
    """The records of a kind: those of the CPU, where all of torch.nn is changed, before those of a device."""
    paths = {path: path.stem.split("-") for path in folder.glob(f"{kind}-*.json")}
    return sorted(paths, key=lambda path: (paths[path][2] == "cpu", Version(paths[path][1])), reverse=True)


def _tables(book: Book, strength: StrengthRecord) -> tuple[str, Row, list[Row], list[Row]]:
    """The torch and the device of a record, its files together, each file, and the survivors."""
    columns = zip(*map(structs.astuple, strength.files.values()), strict=True)
    whole = Counts(*(sum(column) for column in columns)) if strength.files else Counts(0, 0, 0, 0)
    return (
        strength.run.place,
        _counts("all", whole),
        [_counts(name, counts) for name, counts in strength.files.items()],
        [_survivor(book, name, facts) for name, facts in strength.survivors.items()],
    )


def _assertions(book: Book, record: AssertionsRecord) -> tuple[str, int, int, int, list[Row]]:
    """The torch and device of a record, its clauses and assertions, those that can fail, and the others."""
    rows: list[Row] = [
        (text, name, _why(book, f"{name}: {text}"))
        for name, texts in record.never_fail.items()
        for text in texts
    ]
    return record.run.place, record.clauses, record.assertions, record.assertions - len(rows), rows


def _why(book: Book, name: str) -> str:
    reason = book.unfailing.get(name)
    return reason.why if reason else "not explained yet"


def _counts(name: str, counts: Counts) -> Row:
    share = f"{counts.noticed / max(counts.changes, 1):.1%}"
    return name, counts.changes, counts.noticed, share, counts.survived, counts.not_tried


def _survivor(book: Book, name: str, facts: list[str]) -> Row:
    _, what, *note = facts
    explained = book.survivors.get(name)
    why = f"{explained.kind}: {explained.why}" if explained else "; ".join(note) or "not explained yet"
    return name, what, why
