"""The written changes on the way from one release to another, those that hurt first."""

from __future__ import annotations

from typing import NamedTuple

from packaging.version import Version

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
        what breaks, then what warns, what is new and what is internal; of each first what more people meet.
    """
    on_the_way = [name for name in RELEASES if Version(before) < Version(name) <= Version(after)]
    written = [
        Written(release.name, change)
        for release in specification.changes
        if release.name in on_the_way
        for change in release.changes
    ]
    return sorted(written, key=lambda one: _rank(one.change, specification))


def _rank(change: Change, specification: Specification) -> tuple[int, int, int]:
    """Where a change stands: whom it hurts, then its rank, then how many threads are known."""
    clauses = [specification.clauses[name] for name in change.clauses if name in specification.clauses]
    people = len(change.threads) + sum(map(specification.weight_of, clauses))
    return [*HURTS, ""].index(change.hurts), change.rank, -people
