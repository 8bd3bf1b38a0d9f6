"""What changes between two releases: a page for each pair of neighbours, and one to choose any two."""

from __future__ import annotations

from itertools import pairwise

from nnspec.clauses import tables
from nnspec.clauses.releases import RELEASES
from nnspec.records import comparison
from nnspec.records.upgrading import written_between
from nnspec.site.book import Book
from nnspec.site.templates import render

#: The kinds of difference in the order of the page, each with its name in a comparison.
GROUPS = {
    "No longer holds": "no_longer_holds",
    "Newly holds": "newly_holds",
    "Added": "added",
    "Retired": "retired",
}


def pages(book: Book) -> dict[str, str]:
    """The page to choose on, and those of the neighbours."""
    steps = list(pairwise(RELEASES))
    written = {"upgrade/index.rst": render("upgrade.rst.j2", steps=steps, missing=_missing(book, RELEASES))}
    for old, new in steps:
        written[f"upgrade/{old}-{new}.rst"] = _step(book, old, new)
    return written


def _missing(book: Book, releases: tuple[str, ...]) -> list[str]:
    return [release for release in releases if book.on_cpu(release) is None]


def _step(book: Book, old: str, new: str) -> str:
    before, after = book.on_cpu(old), book.on_cpu(new)
    clauses = book.specification.clauses
    return render(
        "upgrade_step.rst.j2",
        old=old,
        new=new,
        missing=_missing(book, (old, new)),
        comparison=comparison.compare(before, after, clauses) if before and after else None,
        groups=GROUPS,
        clauses=clauses,
        hurts=tables.HURTS,
        changes=[written.change for written in written_between(book.specification, old, new)],
        none=next((release.none for release in book.specification.changes if release.name == new), ""),
    )
