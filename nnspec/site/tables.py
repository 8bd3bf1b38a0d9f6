"""The claims and the questions as pages."""

from __future__ import annotations

from nnspec.ledger import Claim, Question
from nnspec.site import rst
from nnspec.site.book import Book


def pages(book: Book) -> dict[str, str]:
    """One page of claims, one of questions."""
    return {"claims.rst": _claims(book), "questions.rst": _questions(book)}


def _claims(book: Book) -> str:
    opening = (
        "The specification began with the notes of five learners. Each of their "
        f"{len(book.claims)} statements has its verdict here, and the clauses that decide it.\n"
    )
    return "\n".join([rst.heading("Claims", "="), opening, *(_claim(book, claim) for claim in book.claims)])


def _claim(book: Book, claim: Claim) -> str:
    clauses = [book.clauses[name] for name in claim.clauses if name in book.clauses]
    instead = f"{rst.escape(claim.instead)}\n" if claim.instead else ""
    return "\n".join(
        [
            f".. _claim-{claim.id}:\n",
            rst.heading(f"{claim.id}: {claim.verdict}", "-"),
            f"   {rst.escape(claim.said)}\n",
            instead,
            rst.clause_list(clauses) if clauses else "",
        ]
    )


def _questions(book: Book) -> str:
    opening = "What users really asked, each with the clauses that answer it.\n"
    return "\n".join(
        [rst.heading("Questions", "="), opening, *(_question(book, row) for row in book.questions)]
    )


def _question(book: Book, question: Question) -> str:
    clauses = [book.clauses[name] for name in question.clauses if name in book.clauses]
    threads = ", ".join(f"`{rst.escape(name)} <{_address(name)}>`__" for name in question.threads)
    return "\n".join(
        [
            f".. _question-{question.id}:\n",
            rst.heading(rst.escape(question.asked), "-"),
            rst.clause_list(clauses),
            f"Asked in {threads}.\n" if threads else "",
        ]
    )


def _address(thread: str) -> str:
    repository, _, number = thread.partition("#")
    return f"https://github.com/{repository or 'pytorch/pytorch'}/issues/{number}"
