"""How much of a change to torch.nn the specification notices, as a page."""

from __future__ import annotations

from typing import Any

from nnspec.records.files import read_json
from nnspec.site.book import Book
from nnspec.site.templates import render


def pages(book: Book) -> dict[str, str]:
    """The page of the strength.

    Raises:
        FileError: a record of it cannot be read.
    """
    files = sorted(book.specification.records_folder.glob("strength-*.json"))
    measured: list[Any] = [read_json(path, "make it anew with: python -m nnspec mutate") for path in files]
    return {"strength.rst": render("strength.rst.j2", measured=measured, explained=book.survivors)}
