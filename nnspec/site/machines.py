"""The specification for programs: ``clauses.json`` and ``llms.txt`` at the root of the site.

``docs/machines.rst`` says what is in them; a change that breaks a reader raises :data:`SCHEMA`.
"""

from __future__ import annotations

import json

from nnspec.clauses import threads
from nnspec.clauses.chapter import Chapter, title_of
from nnspec.clauses.clause import API_ROLES, Clause, plain_text
from nnspec.clauses.releases import RELEASES
from nnspec.search.documents import address
from nnspec.site import example
from nnspec.site.book import Book
from nnspec.site.templates import render

#: The version of the form of ``clauses.json``.
SCHEMA = 1


def pages(book: Book) -> dict[str, str]:
    """Both files, below a folder that Sphinx copies to the root of the site."""
    clauses = [
        _clause(clause, chapter, book)
        for chapter in book.specification.chapters
        for clause in chapter.clauses
    ]
    data = {"schema": SCHEMA, "releases": RELEASES, "clauses": clauses}
    return {
        "_generated/root/clauses.json": json.dumps(data, ensure_ascii=False, indent=1) + "\n",
        "_generated/root/llms.txt": render(
            "llms.txt.j2",
            parts=book.specification.parts,
            questions=book.specification.questions,
            answers=book.specification.deciding("question"),
            title_of=lambda docstring: plain_text(title_of(docstring)),
            address=address,
            newest=RELEASES[-1],
        ),
    }


def _clause(clause: Clause, chapter: Chapter, book: Book) -> dict[str, object]:
    """A clause as ``clauses.json`` has it."""
    named = [threads.ROLES[one.role] % one.target for one in clause.references if one.role in threads.ROLES]
    decided = [threads.address(thread.name) for thread in book.specification.threads_of(clause)]
    fixture = example.only_under_pytest(clause, chapter)
    return {
        "id": clause.id,
        "statement": plain_text(clause.statement),
        "since": clause.bounds.since,
        "before": clause.bounds.before,
        "explanation": plain_text(clause.prose),
        "example": example.standalone(clause, chapter),
        "runs_alone": not fixture,
        "needs": [name for name, _ in clause.needs],
        "outcomes": {release: book.outcome(clause, release) for release in RELEASES},
        "api": [one.target for one in clause.references if one.role in API_ROLES],
        "questions": [
            question.asked
            for question in book.specification.questions
            if question.id in clause.answers("question")
        ],
        "threads": list(dict.fromkeys([*named, *decided])),
        "page": address(clause),
    }
