"""The written changes on the way from one release to another, those that hurt first."""

from __future__ import annotations

from typing import NamedTuple

from nnspec.clauses.releases import RELEASES
from nnspec.clauses.specification import Specification
from nnspec.clauses.tables import HURTS, Change


class Written(NamedTuple):
    """A change with the release that brought it."""

    release: str
    change: Change


def written_between(specification: Specification, before: str, after: str) -> list[Written]:
    """The changes of the releases after one and up to another.

    Args:
        specification: the changes and the clauses they name.
        before, after: releases such as ``2.4``; nothing is written for those who go back.

    Returns:
        what breaks, then what warns, what is new and what is internal; what more people met first.
    """
    on_the_way = RELEASES[RELEASES.index(before) + 1 : RELEASES.index(after) + 1]
    written = [
        Written(release.name, change)
        for release in specification.changes
        if release.name in on_the_way
        for change in release.changes
    ]
    return sorted(written, key=lambda one: (_rank(one.change), -_people(one.change, specification)))


def _rank(change: Change) -> int:
    return [*HURTS, ""].index(change.hurts)


def _people(change: Change, specification: Specification) -> int:
    """How often people came upon a change, as far as the tables tell."""
    clauses = [specification.clauses[name] for name in change.clauses if name in specification.clauses]
    return len(change.threads) + sum(map(specification.weight_of, clauses))
