"""Chapters and parts as pages; a clause is a section."""

from __future__ import annotations

import re

from nnspec.clauses.parts import Part
from nnspec.site import example, pictures
from nnspec.site.book import Book
from nnspec.site.fitting import fit
from nnspec.site.layout import layout
from nnspec.site.templates import render


def pages(book: Book) -> dict[str, str]:
    """A page for the specification, for each part and for each chapter."""
    parts = book.specification.parts
    code = _code(book)
    questions = {question.id: question for question in book.specification.questions}
    written = {"spec/index.rst": render("specification.rst.j2", parts=parts)}
    for part in parts:
        chapters = [(f":doc:`{chapter.name}`", len(chapter.clauses)) for chapter in part.chapters]
        opening = _linked(part)
        written[f"spec/{part.name}/index.rst"] = render(
            "part.rst.j2", part=part, opening=opening, chapters=chapters
        )
        for chapter in part.chapters:
            written[f"spec/{part.name}/{chapter.name}.rst"] = render(
                "chapter.rst.j2",
                book=book,
                chapter=chapter,
                layout=layout(chapter, book.specification),
                example=example,
                code=code,
                questions=questions,
                pictures=pictures.of_chapter(book.shown.pictures, chapter),
            )
    return written


def _code(book: Book) -> dict[str, str]:
    """What the chapters show as code: the preamble of each by its id, the example of each clause by its."""
    chapters = book.specification.chapters
    preambles = {chapter.id: example.preamble(chapter) for chapter in chapters}
    examples = {
        clause.id: example.example(clause, chapter) for chapter in chapters for clause in chapter.clauses
    }
    return fit(preambles | examples)


def _linked(part: Part) -> str:
    """What a part opens with, the chapters that it names as links with their titles."""
    names = "|".join(chapter.name for chapter in part.chapters)
    return re.sub(rf"\*({names})\*", r":doc:`\1`", part.docstring)
