"""The rule about the site: what it shows exists."""

from __future__ import annotations

from collections.abc import Iterator

from nnspec.clauses.specification import Specification
from nnspec.clauses.tables import read_shown


def shown_clauses_exist(specification: Specification) -> Iterator[str]:
    """Every clause that ``docs/site.toml`` names exists."""
    shown = read_shown(specification.root / "docs" / "site.toml")
    named = {"[front] clause": shown.front} if shown.front else {}
    named |= {f"[pictures] {drawing}": clause for drawing, clause in shown.pictures.items()}
    for where, clause in named.items():
        if clause not in specification.clauses:
            yield f"docs/site.toml: {where}: there is no clause {clause!r}; name one that exists"
