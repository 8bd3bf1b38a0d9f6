"""What the front page shows of the specification: questions, a clause, and its state in numbers."""

from __future__ import annotations

from nnspec.records.outcomes import ABSENT, HOLDS, NO_LONGER, NOT_YET, UNMET
from nnspec.records.record import Record
from nnspec.site import example
from nnspec.site.book import Book
from nnspec.site.fitting import fit
from nnspec.site.templates import render


def pages(book: Book) -> dict[str, str]:
    """Pieces that ``docs/index.rst`` includes."""
    clauses = book.specification.clauses
    clause = clauses.get(book.shown.front) or next(iter(clauses.values()))
    chapter = book.specification.chapter_of(clause)
    code = fit({clause.id: example.standalone(clause, chapter)})
    answers = [(question, clauses[name]) for question, name in book.shown.answers.items() if name in clauses]
    devices = dict.fromkeys(str(name) for record in book.records for name in record.run["devices"])
    return {
        "_generated/answers.rst": render("front_answers.rst.j2", answers=answers),
        "_generated/clause.rst": render(
            "front_clause.rst.j2", book=book, clause=clause, code=code[clause.id]
        ),
        "_generated/state.rst": render(
            "front_state.rst.j2",
            book=book,
            devices=list(devices),
            releases=[release for release in book.by_release if book.on_cpu(release)],
            newest=_numbers(book.records[-1]) if book.records else None,
        ),
    }


def _numbers(record: Record) -> tuple[str, int, int, int]:
    """The name of a record; how many rows hold, are false outside their bounds, are not judged."""
    outcomes = [row.outcome for row in record.rows.values()]
    outside = sum(map(outcomes.count, (NOT_YET, NO_LONGER, ABSENT)))
    return record.name, outcomes.count(HOLDS), outside, outcomes.count(UNMET)
