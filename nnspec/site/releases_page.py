"""Clauses and releases as a table, the runs behind it, and what each release changed."""

from __future__ import annotations

from nnspec.clauses.clause import Clause
from nnspec.clauses.releases import RELEASES
from nnspec.records.outcomes import ABSENT, HOLDS, UNMET
from nnspec.records.record import Record
from nnspec.site.book import NOT_RUN, Book
from nnspec.site.browser_data import LETTERS
from nnspec.site.templates import render


def pages(book: Book) -> dict[str, str]:
    """The page of the releases."""
    text = render(
        "releases.rst.j2",
        book=book,
        clauses=[clause for clause in book.specification.clauses.values() if differs(book, clause)],
        releases=RELEASES,
        before=dict(zip(RELEASES[1:], RELEASES, strict=False)),
        outcomes=LETTERS,
        runs=[_run(book, record) for record in book.records],
    )
    return {"releases.rst": text}


def differs(book: Book, clause: Clause) -> bool:
    """Whether a clause was judged differently on two releases that have what it is about."""
    judged = {book.outcome(clause, release) for release in RELEASES}
    return len(judged - {ABSENT, UNMET, NOT_RUN}) > 1


def _run(book: Book, record: Record) -> list[object]:
    run = record.run
    hold = sum(row.outcome == HOLDS for row in record.rows.values())
    header = [record.version, ", ".join(run["devices"]), run["python"], run["torchvision"]]
    return [*header, len(record.rows), hold, len(book.pending[record.name])]
