"""The claims and the questions as pages."""

from __future__ import annotations

from nnspec.clauses.parts import Part
from nnspec.clauses.specification import Specification
from nnspec.clauses.tables import Question, Thread
from nnspec.site.book import Book
from nnspec.site.templates import render

#: Verdicts in the order of the page: what a reader should know first.
VERDICTS = {
    "wrong": "False: a clause shows the opposite.",
    "imprecise": "True once reworded.",
    "changed": "True on some releases only; the clauses say which.",
    "holds": "True on every release.",
    "aside": "No statement about torch; kept so that none is lost.",
}


def pages(book: Book) -> dict[str, str]:
    """One page of claims, one of questions, and for each part one of the threads."""
    claims = book.specification.claims
    deciding, answering = book.specification.deciding("claim"), book.specification.deciding("question")
    groups, known = _by_part(book.specification), book.specification.clauses
    threads = {
        f"questions/{part.name}.rst": render("threads.rst.j2", part=part, threads=own, known=known)
        for part, _, own in groups
        if own
    }
    return threads | {
        "claims.rst": render("claims.rst.j2", claims=claims, clauses=deciding, verdicts=VERDICTS),
        "questions.rst": render("questions.rst.j2", groups=groups, clauses=answering),
    }


def _by_part(specification: Specification) -> list[tuple[Part, list[Question], list[Thread]]]:
    """The questions and the threads of each part: that of the first clause that answers."""
    answering = specification.deciding("question")
    first = {
        question.id: answering[question.id][0].part
        for question in specification.questions
        if question.id in answering
    }
    return [
        (
            part,
            [
                question
                for question in specification.questions
                if first.get(question.id, specification.parts[0].name) == part.name
            ],
            [thread for thread in specification.threads if thread.clauses[0].partition(".")[0] == part.name],
        )
        for part in specification.parts
    ]
