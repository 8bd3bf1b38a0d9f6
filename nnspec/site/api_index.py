"""The API index: every public name with the clauses that speak of it."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from itertools import groupby

from nnspec.clauses import public_names
from nnspec.clauses.clause import API_ROLES, Clause, Reference, references_in
from nnspec.site.book import Book
from nnspec.site.templates import render


def pages(book: Book) -> dict[str, str]:
    """One page of names."""
    spoken = _spoken(book)
    names = sorted(spoken, key=lambda name: (_owner(name).lower(), name.lower()))
    text = render(
        "api.rst.j2",
        owners=[(owner, list(own)) for owner, own in groupby(names, key=_owner)],
        clauses=spoken,
        kind_of=_kind,
        silent=[name for name in public_names.public_names() if name not in spoken],
    )
    return {"api.rst": text}


def _spoken(book: Book) -> dict[str, list[Clause]]:
    """Each name that the site links to, with its clauses; none where only an opening or a rule names it."""
    spoken: dict[str, list[Clause]] = {}
    for clause in book.specification.clauses.values():
        for name in _names(clause.references):
            spoken.setdefault(name, []).append(clause)
    for docstring in _others(book):
        for name in _names(references_in(docstring)):
            spoken.setdefault(name, [])
    return spoken


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


def _owner(name: str) -> str:
    """The class or module that a name belongs to; a class belongs to itself."""
    named = public_names.find(name)
    is_owner = inspect.isclass(named) or inspect.ismodule(named)
    return name if is_owner else name.rpartition(".")[0]


def _kind(name: str) -> str:
    """The directive of Sphinx's Python domain for a name."""
    named = public_names.find(name)
    if inspect.ismodule(named):
        return "module"
    if inspect.isclass(named):
        return "exception" if issubclass(named, BaseException) else "class"
    return "function" if callable(named) else "data"
