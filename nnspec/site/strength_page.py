"""How much of a change to torch.nn the specification notices, as a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from nnspec.records.files import read_json
from nnspec.site.book import Book
from nnspec.site.templates import render

Row = tuple[object, ...]


def pages(book: Book) -> dict[str, str]:
    """The page of the strength.

    Raises:
        FileError: a record of it cannot be read.
    """
    files = sorted(book.specification.records_folder.glob("strength-*.json"))
    remedy = "make it anew with: python -m nnspec mutate"
    measured = [_tables(book, read_json(path, remedy)) for path in files]
    return {"strength.rst": render("strength.rst.j2", measured=measured)}


def _tables(book: Book, strength: Mapping[str, Any]) -> tuple[str, Row, list[Row], list[Row]]:
    """The torch and the device of a record, its files together, each file, and the survivors."""
    files: Mapping[str, Mapping[str, int]] = strength["files"]
    whole: Counter[str] = sum(map(Counter, files.values()), Counter())
    return (
        "{torch}, {device}".format(**strength["run"]),
        _counts("all", whole),
        [_counts(name, counts) for name, counts in files.items()],
        [_survivor(book, name, facts) for name, facts in strength["survivors"].items()],
    )


def _counts(name: str, counts: Mapping[str, int]) -> Row:
    changes, noticed = counts["changes"], counts["noticed"]
    return name, changes, noticed, f"{noticed / max(changes, 1):.1%}", counts["survived"], counts["not tried"]


def _survivor(book: Book, name: str, facts: list[str]) -> Row:
    _, what, *note = facts
    explained = book.survivors.get(name)
    why = f"{explained['kind']}: {explained['why']}" if explained else "; ".join(note) or "not explained yet"
    return name, what, why
