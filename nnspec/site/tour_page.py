"""The tour: clauses in reading order for someone who begins, with the pictures."""

from __future__ import annotations

from typing import NamedTuple

from nnspec.clauses.clause import Clause
from nnspec.site import example, pictures
from nnspec.site.book import Book
from nnspec.site.fitting import fit
from nnspec.site.templates import render


class Shown(NamedTuple):
    """A stage with its clauses."""

    title: str
    text: str
    clauses: list[Clause]


def pages(book: Book) -> dict[str, str]:
    """One page."""
    clauses = book.specification.clauses
    stages = [
        Shown(stage.title, stage.text, [clauses[name] for name in stage.clauses if name in clauses])
        for stage in book.tour
    ]
    shown = [clause for stage in stages for clause in stage.clauses]
    text = render(
        "tour.rst.j2",
        stages=stages,
        count=len(shown),
        code=fit(
            {clause.id: example.standalone(clause, book.specification.chapter_of(clause)) for clause in shown}
        ),
        pictures={stage.title: _pictures(stage, book) for stage in stages},
    )
    return {"tour.rst": text}


def _pictures(stage: Shown, book: Book) -> list[str]:
    """The pictures of the clauses of a stage."""
    drawn = {
        drawing: name
        for drawing, name in book.shown.pictures.items()
        if name in {clause.id for clause in stage.clauses}
    }
    chapters = {book.specification.chapter_of(book.specification.clauses[name]) for name in drawn.values()}
    return [picture for chapter in chapters for picture in pictures.of_chapter(drawn, chapter)]
