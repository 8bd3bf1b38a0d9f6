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
    folder = book.specification.records_folder
    remedy = "make it anew with: python -m nnspec "
    measured = [
        _tables(book, read_json(path, f"{remedy}mutate")) for path in sorted(folder.glob("strength-*.json"))
    ]
    judged = [
        _assertions(book, read_json(path, f"{remedy}strength --clauses"))
        for path in sorted(folder.glob("assertions-*.json"))
    ]
    return {"strength.rst": render("strength.rst.j2", measured=measured, judged=judged)}


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


def _assertions(book: Book, record: Mapping[str, Any]) -> tuple[str, int, int, int, list[Row]]:
    """The torch and device of a record, its clauses and assertions, those that can fail, and the others."""
    rows: list[Row] = [
        (text, name, book.unfailing.get(f"{name}: {text}", {}).get("why", "not explained yet"))
        for name, texts in record["never fail"].items()
        for text in texts
    ]
    where = "{torch}, {device}".format(**record["run"])
    return where, record["clauses"], record["assertions"], record["assertions"] - len(rows), rows


def _counts(name: str, counts: Mapping[str, int]) -> Row:
    changes, noticed = counts["changes"], counts["noticed"]
    return name, changes, noticed, f"{noticed / max(changes, 1):.1%}", counts["survived"], counts["not tried"]


def _survivor(book: Book, name: str, facts: list[str]) -> Row:
    _, what, *note = facts
    explained = book.survivors.get(name)
    why = f"{explained['kind']}: {explained['why']}" if explained else "; ".join(note) or "not explained yet"
    return name, what, why
