"""The API index: every public name with the clauses that speak of it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from itertools import groupby

from nnspec.clauses import public_names
from nnspec.clauses.clause import API_ROLES, Clause, references_in
from nnspec.site import rst
from nnspec.site.book import Book


def pages(book: Book) -> dict[str, str]:
    """One page of names."""
    return {"api.rst": _index(book)}


def _index(book: Book) -> str:
    spoken: dict[str, list[Clause]] = {}
    for clause in book.clauses.values():
        for reference in clause.references:
            if reference.role in API_ROLES:
                spoken.setdefault(reference.target, []).append(clause)
    for opening in _openings(book):
        for reference in references_in(opening):
            if reference.role in API_ROLES:
                spoken.setdefault(reference.target, [])
    silent = [name for name in public_names.public_names() if name not in spoken]
    pieces = [
        rst.heading("API index", "="),
        "Every public name with the clauses that speak of it.\n",
    ]
    names = sorted(spoken, key=lambda name: (_owner(name).lower(), name.lower()))
    for owner, group in groupby(names, key=_owner):
        pieces.append(rst.heading(owner, "-"))
        pieces += [_entry(name, spoken[name]) for name in group]
    if silent:
        pieces += [rst.heading("Names that no clause speaks of", "-")]
        pieces += ["\n".join(f"* ``{name}``" for name in silent)]
    return "\n".join(pieces) + "\n"


def _owner(name: str) -> str:
    """The class or module that a name belongs to; a class belongs to itself."""
    found = public_names.find(name)
    if inspect.isclass(found) or inspect.ismodule(found):
        return name
    return name.rpartition(".")[0]


def _openings(book: Book) -> Iterator[str]:
    for part in book.parts:
        yield part.docstring
        for chapter in part.chapters:
            yield chapter.docstring


def _entry(name: str, clauses: list[Clause]) -> str:
    listed = "\n".join(f"   * {rst.clause_link(clause)}" for clause in clauses)
    kind = _kind(name)
    if kind == "module":
        return f".. py:module:: {name}\n.. py:currentmodule:: None\n\n``{name}``\n\n{listed}\n"
    return f".. py:{kind}:: {name}\n\n{listed}\n"


def _kind(name: str) -> str:
    """The directive of Sphinx's Python domain for a name."""
    found = public_names.find(name)
    if inspect.ismodule(found):
        return "module"
    if inspect.isclass(found):
        return "exception" if issubclass(found, BaseException) else "class"
    return "function" if callable(found) else "data"
