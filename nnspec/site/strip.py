"""The strip of releases under a clause: neighbours of one outcome share a cell."""

from __future__ import annotations

import html
from itertools import groupby

from nnspec.clauses.clause import RELEASES, Clause
from nnspec.site.book import Book


def strip(book: Book, clause: Clause) -> str:
    """The releases as a row of cells, each with its outcome in colour, in shape and in words."""
    told = [(release, book.outcome(clause, release)) for release in RELEASES]
    cells = []
    for outcome, group in groupby(told, key=lambda pair: pair[1]):
        releases = [release for release, _ in group]
        cells.append(_cell(releases, outcome))
    return f'<ol class="strip" aria-label="Releases of torch">{"".join(cells)}</ol>'


def _cell(releases: list[str], outcome: str) -> str:
    first, last = releases[0], releases[-1]
    span = first if first == last else f"{first}\N{EN DASH}{last}"
    told = f"{span} <b>{html.escape(outcome)}</b>"
    return f'<li class="{css_class(outcome)}" style="--n:{len(releases)}">{told}</li>'


def css_class(outcome: str) -> str:
    """The class of an outcome: ``not-yet``."""
    return html.escape(outcome.replace(" ", "-"))
