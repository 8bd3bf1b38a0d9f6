"""The order in which a chapter is shown: in short, the rest, in detail, and what was true before."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from nnspec.clauses.chapter import Chapter
from nnspec.clauses.clause import Clause
from nnspec.clauses.releases import RELEASES
from nnspec.clauses.specification import Specification

#: A chapter with fewer clauses is short enough.
LONG = 8

#: How many clauses a chapter is in short, at least and at most.
SHORT = (3, 5)

#: How a statement begins to speak of errors, or of what has no public name.
_DETAIL = re.compile(r"\b(raises?|warns?|refuses?|errors?|[A-Za-z]*Error|[A-Za-z]*Warning)\b|(?<![\w])_[a-z]")


class Layout(NamedTuple):
    """The clauses of a chapter.

    Attributes:
        short: the few that matter most; they stand below as well.
        rest: in reading order.
        detail: errors and oddities, in reading order.
        earlier: a clause, by id, to those that held before it.
        past: those that held on older releases and that no clause followed.
    """

    short: tuple[Clause, ...]
    rest: tuple[Clause, ...]
    detail: tuple[Clause, ...]
    earlier: Mapping[str, tuple[Clause, ...]]
    past: tuple[Clause, ...]


def layout(chapter: Chapter, specification: Specification) -> Layout:
    """How a chapter is shown."""
    present = [clause for clause in chapter.clauses if _is_present(clause)]
    followed = _followed(chapter, specification)
    earlier: dict[str, tuple[Clause, ...]] = {}
    for clause in chapter.clauses:
        if clause.id in followed:
            later = followed[clause.id]
            earlier[later] = (*earlier.get(later, ()), clause)
    past = [clause for clause in chapter.clauses if not _is_present(clause) and clause.id not in followed]
    if len(present) < LONG:
        return Layout((), tuple(present), (), earlier, tuple(past))
    short = _short(present, specification)
    detail = [clause for clause in present if clause not in short and _DETAIL.search(clause.plain)]
    rest = [clause for clause in present if clause not in detail]
    return Layout(short, tuple(rest), tuple(detail), earlier, tuple(past))


def _is_present(clause: Clause) -> bool:
    return clause.bounds.place(RELEASES[-1]) == "inside"


def _short(clauses: Iterable[Clause], specification: Specification) -> tuple[Clause, ...]:
    """The clauses that most people asked about, in reading order; the first ones where nobody did."""
    clauses = list(clauses)
    asked = [clause for clause in clauses if specification.weight_of(clause)]
    asked = sorted(asked, key=specification.weight_of, reverse=True)[: SHORT[1]]
    first = [clause for clause in clauses if clause not in asked]
    chosen = [*asked, *first[: max(0, SHORT[0] - len(asked))]]
    return tuple(clause for clause in clauses if clause in chosen)


def _followed(chapter: Chapter, specification: Specification) -> Mapping[str, str]:
    """The clauses that a release ended, each with the one of the same chapter that the release began.

    Both stand in the same change of the release.
    """
    followed: dict[str, str] = {}
    own = {clause.id: clause for clause in chapter.clauses}
    for release in specification.changes:
        for change in release.changes:
            ids = [name for name in change.clauses if name in own]
            began = [
                name for name in ids if own[name].bounds.since == release.name and _is_present(own[name])
            ]
            ended = [name for name in ids if own[name].bounds.before == release.name]
            for name in ended if began else ():
                followed[name] = began[min(ended.index(name), len(began) - 1)]
    return followed
