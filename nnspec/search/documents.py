"""What can be found: clauses, questions, claims, rules of the contract, API names, changes and pages."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from nnspec.clauses.chapter import title_of
from nnspec.clauses.clause import API_ROLES, Clause, plain_text
from nnspec.clauses.parts import Part
from nnspec.clauses.releases import RELEASES
from nnspec.clauses.specification import Specification
from nnspec.search import messages

#: What counts when a word is found, by field.
WEIGHTS = {"title": 3.0, "asked": 2.5, "errors": 2.0, "place": 1.2, "prose": 1.0, "id": 1.5, "code": 0.3}

#: How much a hit counts, by kind of document: the clause comes before the page that lists it.
KINDS = {
    "clause": 1.0,
    "rule": 0.6,
    "question": 0.5,
    "change": 0.5,
    "claim": 0.4,
    "name": 0.6,
    "page": 0.8,
}

#: How much a clause counts that held on older releases only.
PAST = 0.6

#: How much more the first clauses of a chapter count, which say what matters: up to which one, and how much.
FIRST = ((3, 1.3), (8, 1.15))

#: How much more that counts whose very id was asked for.
EXACT = 10.0

#: How much more a change counts if what its release changed was asked for: two releases are named, or one and
#: a word that begins like this.
CHANGED = 100.0
CHANGES = r"\bchang|\bbreaking\b|\brelease notes\b"

#: How much more a clause counts that answers what somebody asked.
ASKED = 1.15


#: How much more a hit counts if somebody asked in the very words of the query; less, the fewer of them agree.
NEAREST = 3.0

#: How much it counts beside NEAREST if the statement, not what somebody asked, has the words of the query.
STATED = 0.4

#: A heading of a page, underlined.
_HEADING = re.compile(r"\n(\S.*)\n[=-]{4,}\n")

_RELEASE = re.compile(r"\b\d+\.\d+\b")


class Document(NamedTuple):
    """One thing that can be found.

    Attributes:
        id: of the clause, question, claim or rule; the API name; the release and place of a change; the page
            and the anchor of a section.
        kind: one of :data:`KINDS`.
        title: what a result shows.
        place: where it stands, as a result shows it.
        page: its address below the root of the site.
        weight: how much a hit counts.
        text: what is searched besides title, place and id, by field of :data:`WEIGHTS`; what people ask has a
            line for each phrasing.
    """

    id: str
    kind: str
    title: str
    place: str
    page: str
    weight: float
    text: Mapping[str, str]

    @property
    def searched(self) -> Mapping[str, str]:
        """All that is searched, by field; of the id its single words."""
        return {"title": self.title, "place": self.place, "id": re.sub(r"[._]", " ", self.id), **self.text}

    @property
    def phrasings(self) -> list[str]:
        """What people ask that this answers, in their words."""
        return self.text.get("asked", "").splitlines()

    def weight_for(self, asked: str) -> float:
        """How much a hit counts; more if its very id, or the changes of its release, were asked for."""
        exact = self.id.lower() == asked.strip().lower()
        changed = self.kind == "change" and self.id.split()[0] in asked_releases(asked)
        return self.weight * (EXACT if exact else 1) * (CHANGED if changed else 1)


def asked_releases(asked: str) -> tuple[str, ...]:
    """The releases whose changes a query asks for; of two, those after the one up to the other."""
    places = sorted({RELEASES.index(name) for name in _RELEASE.findall(asked) if name in RELEASES})
    several = len(places) > 1
    if not several and not (places and re.search(CHANGES, asked, re.IGNORECASE)):
        return ()
    return RELEASES[places[0] + several : places[-1] + 1]


def documents(specification: Specification, rules: Part) -> list[Document]:
    """Everything that can be found, clauses first.

    Raises:
        TableError: what people say, or the messages of torch, cannot be read.
    """
    return [
        *_clauses(specification),
        *_rules(rules),
        *_questions(specification),
        *_claims(specification),
        *_changes(specification),
        *_names(specification),
        *_pages(specification.root / "docs"),
    ]


def address(clause: Clause) -> str:
    """Where a clause stands on the site."""
    return f"spec/{clause.part}/{clause.chapter}.html#{clause.id}"


def _clauses(specification: Specification) -> Iterator[Document]:
    asked = _asked(specification)
    heard = messages.read(specification.root / "docs" / "messages.json")
    for part in specification.parts:
        for chapter in part.chapters:
            for at, clause in enumerate(chapter.clauses):
                past = clause.bounds.place(RELEASES[-1]) != "inside"
                text = {
                    "asked": "\n".join(asked[clause.id]),
                    "errors": " ".join([*_error_texts(clause.body), *heard.get(clause.id, ())]),
                    "prose": plain_text(clause.prose),
                    "code": " ".join(_identifiers(clause.body)),
                }
                first = next((weight for last, weight in FIRST if at < last), 1.0)
                weight = (
                    KINDS["clause"]
                    * first
                    * (PAST if past else 1)
                    * (ASKED if specification.weight_of(clause) else 1)
                )
                yield Document(
                    clause.id,
                    "clause",
                    clause.plain,
                    plain_text(title_of(chapter.docstring)),
                    address(clause),
                    weight,
                    text,
                )


def _asked(specification: Specification) -> Mapping[str, list[str]]:
    """What people asked that a clause answers, by id."""
    asked: dict[str, list[str]] = defaultdict(list)
    for name, phrasings in specification.phrasings.items():
        asked[name] += phrasings
    answering = specification.deciding("question")
    for question in specification.questions:
        for clause in answering.get(question.id, ()):
            asked[clause.id] += [question.asked, *question.said]
    for thread in specification.threads:
        for name in thread.clauses:
            asked[name].append(thread.asked)
    return asked


def _rules(rules: Part) -> Iterator[Document]:
    for chapter in rules.chapters:
        place = plain_text(title_of(chapter.docstring))
        for rule in chapter.clauses:
            name = f"{rule.chapter}.{rule.name}"
            page = f"contract/rules/{rule.chapter}.html#{name}"
            text = {"prose": plain_text(rule.prose)}
            yield Document(name, "rule", rule.plain, place, page, KINDS["rule"], text)


def _questions(specification: Specification) -> Iterator[Document]:
    for row in specification.questions:
        page = f"questions.html#question-{row.id.lower()}"
        text = {"asked": "\n".join(row.said)}
        yield Document(row.id, "question", row.asked, "Questions", page, KINDS["question"], text)


def _claims(specification: Specification) -> Iterator[Document]:
    for row in specification.claims:
        page = f"claims.html#claim-{row.id.lower()}"
        text = {"prose": row.instead}
        yield Document(row.id, "claim", row.said, "Claims", page, KINDS["claim"], text)


def _changes(specification: Specification) -> Iterator[Document]:
    steps = dict(zip(RELEASES[1:], RELEASES, strict=False))
    for release in specification.changes:
        for number, change in enumerate(release.changes, 1):
            page = f"upgrade/{steps[release.name]}-{release.name}.html"
            where = f"What {release.name} changed"
            name = f"{release.name} {number}"
            yield Document(name, "change", change.what, where, page, KINDS["change"], {"prose": change.why})


def _names(specification: Specification) -> Iterator[Document]:
    spoken = {
        reference.target
        for clause in specification.clauses.values()
        for reference in clause.references
        if reference.role in API_ROLES
    }
    for name in sorted(spoken):
        page = f"api/{owner_of(name)}.html#{name}"
        yield Document(name, "name", name, "API index", page, KINDS["name"], {})


def owner_of(name: str) -> str:
    """The class or module that an API name belongs to; a class belongs to itself."""
    owner, _, last = name.rpartition(".")
    return name if last[0].isupper() and not owner.rpartition(".")[2][:1].isupper() else owner or name


def _error_texts(body: str) -> Iterator[str]:
    """The texts of ``match=``, as the error shows them."""
    for node in ast.walk(ast.parse(body)):
        if isinstance(node, ast.keyword) and node.arg == "match":
            for part in ast.walk(node.value):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield re.sub(r"\\(.)", r"\1", part.value)


def _identifiers(body: str) -> list[str]:
    """The names that a body uses, once each."""
    names = {
        node.attr if isinstance(node, ast.Attribute) else node.id
        for node in ast.walk(ast.parse(body))
        if isinstance(node, (ast.Attribute, ast.Name))
    }
    return sorted(names)


def _pages(folder: Path) -> Iterator[Document]:
    """The sections of the pages that are written by hand."""
    for path in sorted(folder.glob("*.rst")):
        _, *pieces = _HEADING.split(f"\n{path.read_text(encoding='utf-8')}")
        for heading, text in zip(pieces[::2], pieces[1::2], strict=True):
            own = plain_text(heading)
            anchor = re.sub(r"[^a-z0-9]+", "-", own.lower()).strip("-")
            yield Document(
                f"{path.stem}#{anchor}",
                "page",
                own,
                plain_text(pieces[0]),
                f"{path.stem}.html#{anchor}",
                KINDS["page"],
                {"asked": own, "prose": plain_text(text)},
            )
