"""The rule about the site: what it shows, and what its tables name, exists."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nnspec.clauses.specification import Specification
from nnspec.clauses.tables import read_shown, read_tour


def shown_clauses_exist(specification: Specification) -> Iterator[str]:
    """Every clause that the site's tables and the log of threads name exists."""
    docs = specification.root / "docs"
    for where, clause in _named(specification, docs):
        if clause not in specification.clauses:
            yield f"docs/{where}: there is no clause {clause!r}; name one that exists"


def _named(specification: Specification, docs: Path) -> Iterator[tuple[str, str]]:
    """Each place of a table with a clause that it names."""
    shown = read_shown(docs / "site.toml")
    if shown.front:
        yield "site.toml: [front] clause", shown.front
    for table, clauses in (("answers", shown.answers), ("pictures", shown.pictures)):
        for name, clause in clauses.items():
            yield f"site.toml: [{table}] {name}", clause
    for stage in read_tour(docs / "tour.toml"):
        for clause in stage.clauses:
            yield f"tour.toml: [{stage.title}]", clause
    for clause in specification.phrasings:
        yield "phrasings.toml", clause
    for thread in specification.threads:
        for clause in thread.clauses:
            yield f"threads.toml: [{thread.name}]", clause
