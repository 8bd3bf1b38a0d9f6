"""Clauses as objects of Sphinx: their anchors are their ids, and the search finds them one by one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from typing import Any, ClassVar

from docutils import nodes
from sphinx.domains import Domain, ObjType
from sphinx.transforms import SphinxTransform


class ClauseDomain(Domain):
    """Knows the clauses of all pages; Sphinx's search lists its objects by name."""

    name = "clause"
    label = "Clause"
    object_types: ClassVar[dict[str, ObjType]] = {"clause": ObjType("clause")}
    initial_data: ClassVar[dict[str, Any]] = {"clauses": {}}
    data_version = 1

    @property
    def clauses(self) -> dict[str, tuple[str, str]]:
        """Id to statement and page."""
        clauses: dict[str, tuple[str, str]] = self.data["clauses"]
        return clauses

    def get_type_name(self, type: ObjType, primary: bool = False) -> str:
        return type.lname

    def clear_doc(self, docname: str) -> None:
        for name in [name for name, (_, page) in self.clauses.items() if page == docname]:
            del self.clauses[name]

    def merge_domaindata(self, docnames: Set[str], otherdata: dict[str, Any]) -> None:
        self.clauses.update(
            (name, entry) for name, entry in otherdata["clauses"].items() if entry[1] in docnames
        )

    def get_objects(self) -> Iterator[tuple[str, str, str, str, str, int]]:
        """What the search shows: the statement with the id, so that words of both are found."""
        for name, (statement, page) in self.clauses.items():
            shown = f"{statement} {name}"
            yield shown, shown, "clause", page, name, 0


#: How the ids look that become anchors: of clauses below ``spec/``, of rules below ``contract/``.
_IDS = {"spec": re.compile(r"\w+\.\w+\.\w+"), "contract": re.compile(r"\w+\.\w+")}


class AnchorClauses(SphinxTransform):
    """Lets the permalink of a clause or a rule be its id, which docutils would write with dashes."""

    default_priority = 840  # before the domains look at the page, after targets found their sections

    def apply(self, **kwargs: Any) -> None:
        folder = self.env.docname.partition("/")[0]
        domain = self.env.get_domain("clause")
        assert isinstance(domain, ClauseDomain)
        for section in self.document.findall(nodes.section) if folder in _IDS else ():
            name = next(filter(_IDS[folder].fullmatch, section["names"]), None)
            if name:
                self._anchor(section, name)
            if name and folder == "spec":
                domain.clauses[name] = (section.next_node(nodes.title).astext(), self.env.docname)

    def _anchor(self, section: nodes.section, name: str) -> None:
        section["ids"] = [name]
        for other in section["names"]:
            self.document.nameids[other] = name
        self.document.ids[name] = section
