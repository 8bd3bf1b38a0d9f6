"""The API index: every public name with the clauses that speak of it, a page for each class and module."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

from nnspec.clauses import public_names
from nnspec.clauses.chapter import title_of
from nnspec.clauses.clause import API_ROLES, Clause, Reference, references_in
from nnspec.search.documents import address, owner_of
from nnspec.site.book import Book
from nnspec.site.templates import render
from nnspec.site.uses import names_used

#: Where torch's documentation has the names of a module on one page.
PAGES_OF_MODULES = {
    "torch.nn.init": "nn.init.html",
    "torch.func": "func.api.html",
    "torch.serialization": "notes/serialization.html",
    "torch.distributed.fsdp": "distributed.fsdp.fully_shard.html",
}

#: The documentation of the newest torch.
TORCH_DOCS = "https://docs.pytorch.org/docs/stable"


#: How many examples that use a name its class's page lists; more have a page of their own.
MOST_USES = 15

#: How many of them such a page lists; more have a page for each part.
MOST_ON_A_PAGE = 600


class Entry(NamedTuple):
    """A name with the clauses that say something of it, those that mention it and those that only use it."""

    name: str
    stated: tuple[Clause, ...]
    mentioned: tuple[Clause, ...]
    used: tuple[Clause, ...]


def pages(book: Book) -> dict[str, str]:
    """A page of owners, one for each with its names, and one for the uses of a name that has many."""
    entries = sorted(_entries(book), key=lambda entry: (owner_of(entry.name).lower(), entry.name.lower()))
    owners = [(owner, list(own)) for owner, own in groupby(entries, key=lambda entry: owner_of(entry.name))]
    spoken = {entry.name for entry in entries}
    written = {
        "api/index.rst": render(
            "api.rst.j2",
            owners=[(owner, len(own), sum(len(entry.stated) for entry in own)) for owner, own in owners],
            silent=[name for name in public_names.public_names() if name not in spoken],
        )
    }
    for owner, own in owners:
        written[f"api/{owner}.rst"] = render(
            "api_owner.rst.j2",
            owner=owner,
            entries=own,
            kind_of=_kind,
            official=official,
            documented=book.documentation,
            most=MOST_USES,
        )
    for entry in entries:
        if len(entry.used) > MOST_USES:
            written |= _uses(entry, book)
    return written


def _uses(entry: Entry, book: Book) -> dict[str, str]:
    """The page of the examples that use a name, or that of the parts that have any, and theirs."""
    whole = f"api/uses/{entry.name}.rst"
    if len(entry.used) <= MOST_ON_A_PAGE:
        return {whole: _listed(entry, entry.used, book, "../../")}
    titles = {part.name: title_of(part.docstring) for part in book.specification.parts}
    parts = [(part, list(own)) for part, own in groupby(entry.used, key=lambda clause: clause.part)]
    counts = [(part, titles[part], len(own)) for part, own in parts]
    return {whole: render("api_uses_parts.rst.j2", entry=entry, owner=owner_of(entry.name), parts=counts)} | {
        f"api/uses/{entry.name}/{part}.rst": _listed(entry, own, book, "../../../", titles[part])
        for part, own in parts
    }


def _listed(entry: Entry, clauses: Iterable[Clause], book: Book, root: str, part: str = "") -> str:
    """A list of clauses by chapter."""
    chapters = groupby(clauses, key=book.specification.chapter_of)
    return render(
        "api_uses.rst.j2",
        entry=entry,
        owner=owner_of(entry.name),
        chapters=[(chapter, list(own)) for chapter, own in chapters],
        address=address,
        root=root,
        part=part,
    )


def _entries(book: Book) -> Iterator[Entry]:
    """Each name that a clause, an opening or a rule speaks of."""
    stated: dict[str, dict[Clause, None]] = {}
    mentioned: dict[str, dict[Clause, None]] = {}
    used: dict[str, dict[Clause, None]] = {}
    for clause in book.specification.clauses.values():
        in_statement = _names(references_in(clause.statement))
        for name in in_statement:
            stated.setdefault(name, {})[clause] = None
        for name in _names(clause.references):
            if name not in in_statement:
                mentioned.setdefault(name, {})[clause] = None
        for name in names_used(clause):
            if name not in _names(clause.references):
                used.setdefault(name, {})[clause] = None
    elsewhere = [name for docstring in _others(book) for name in _names(references_in(docstring))]
    public = set(public_names.public_names())
    for name in dict.fromkeys([*stated, *mentioned, *elsewhere, *(name for name in used if name in public)]):
        yield Entry(name, *(tuple(found.get(name, ())) for found in (stated, mentioned, used)))


def _others(book: Book) -> Iterator[str]:
    """The openings of parts and chapters, and the rules of the contract."""
    for part in (*book.specification.parts, book.rules):
        yield part.docstring
        for chapter in part.chapters:
            yield chapter.docstring
    for chapter in book.rules.chapters:
        yield from (rule.docstring for rule in chapter.clauses)


def _names(references: Iterable[Reference]) -> list[str]:
    return [reference.target for reference in references if reference.role in API_ROLES]


def _kind(name: str) -> str:
    """The directive of Sphinx's Python domain for a name."""
    named = public_names.find(name)
    if inspect.ismodule(named):
        return "module"
    if inspect.isclass(named):
        return "exception" if issubclass(named, BaseException) else "class"
    return "function" if callable(named) else "data"


def official(name: str) -> str:
    """Where torch documents a name; empty if it is not torch's."""
    if not name.startswith("torch."):
        return ""
    for module, page in PAGES_OF_MODULES.items():
        if name.startswith(f"{module}."):
            return f"{TORCH_DOCS}/{page}"
    owner = owner_of(name)
    named = public_names.find(owner)
    page = owner if inspect.isclass(named) else name
    return f"{TORCH_DOCS}/generated/{page}.html" + (f"#{name}" if page != name else "")
