"""Chapters and parts as pages; a clause is a section."""

from __future__ import annotations

from nnspec.site import example, pictures
from nnspec.site.book import Book
from nnspec.site.templates import render


def pages(book: Book) -> dict[str, str]:
    """A page for the specification, for each part and for each chapter."""
    parts = book.specification.parts
    written = {"spec/index.rst": render("specification.rst.j2", parts=parts)}
    for part in parts:
        chapters = [(f":doc:`{chapter.name}`", len(chapter.clauses)) for chapter in part.chapters]
        written[f"spec/{part.name}/index.rst"] = render("part.rst.j2", part=part, chapters=chapters)
        for chapter in part.chapters:
            written[f"spec/{part.name}/{chapter.name}.rst"] = render(
                "chapter.rst.j2",
                book=book,
                chapter=chapter,
                example=example,
                pictures=pictures.of_chapter(book.shown.pictures, chapter),
            )
    return written
