"""The rules of the contract as pages: rules have no releases and no records."""

from __future__ import annotations

from nnspec.site.book import Book
from nnspec.site.templates import render


def pages(book: Book) -> dict[str, str]:
    """A page for the contract and for each chapter of it; and contents, for ``docs/contract.rst``."""
    written = {
        "_generated/rules.rst": render("rules_contents.rst.j2"),
        "contract/rules/index.rst": render("rules.rst.j2", part=book.rules),
    }
    for chapter in book.rules.chapters:
        text = render("rules_chapter.rst.j2", book=book, chapter=chapter)
        written[f"contract/rules/{chapter.name}.rst"] = text
    return written
