"""The claims and the questions as pages."""

from __future__ import annotations

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
    """One page of claims, one of questions."""
    claims, questions = book.specification.claims, book.specification.questions
    deciding, answering = book.specification.deciding("claim"), book.specification.deciding("question")
    return {
        "claims.rst": render("claims.rst.j2", claims=claims, clauses=deciding, verdicts=VERDICTS),
        "questions.rst": render("questions.rst.j2", questions=questions, clauses=answering),
    }
