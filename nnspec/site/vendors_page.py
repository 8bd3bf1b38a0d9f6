"""Where devices differ from what the clauses say, for the page about running on a device of one's own."""

from __future__ import annotations

from nnspec.records.outcomes import VIOLATED
from nnspec.records.record import Record
from nnspec.site.book import Book
from nnspec.site.templates import render


def pages(book: Book) -> dict[str, str]:
    """A piece that ``docs/vendors.rst`` includes."""
    runs = [(record, _violated(record)) for record in book.records if record.device != "cpu"]
    text = render(
        "differences.rst.j2",
        runs=[(record, number) for record, number in runs if number],
        differences=book.specification.differences,
        clauses=book.specification.clauses,
    )
    return {"_generated/differences.rst": text}


def _violated(record: Record) -> int:
    return sum(row.outcome == VIOLATED for row in record.rows.values())
