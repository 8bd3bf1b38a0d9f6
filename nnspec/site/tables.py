"""The claims and the questions as pages."""

from __future__ import annotations

from nnspec.clauses.tables import Claim, Question
from nnspec.site import rst
from nnspec.site.book import Book

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
    return {"claims.rst": _claims(book), "questions.rst": _questions(book)}


def _claims(book: Book) -> str:
    pieces = [
        rst.heading("Claims", "="),
        "The specification began with the notes of five learners. Each of their "
        f"{len(book.claims)} statements has its verdict here, what is right instead, and the clauses "
        "that decide it.\n",
    ]
    for verdict, meaning in VERDICTS.items():
        rows = [claim for claim in book.claims if claim.verdict == verdict]
        if rows:
            pieces += [rst.heading(f"{verdict.capitalize()} ({len(rows)})", "-"), f"{meaning}\n"]
            pieces += [_claim(book, claim) for claim in rows]
    return "\n".join(pieces)


def _claim(book: Book, claim: Claim) -> str:
    """A claim as a definition: the sentence, then what is right and the clauses."""
    clauses = [book.clauses[name] for name in claim.clauses if name in book.clauses]
    lines = [f".. _claim-{claim.id}:\n", f"**{claim.id}** {rst.marked(claim.said)}"]
    lines += [f"   Instead: {rst.marked(claim.instead)}\n"] if claim.instead else []
    lines += [f"   * {rst.clause_link(clause)}" for clause in clauses]
    if not clauses and not claim.instead:
        lines.append(
            f"   No clause decides it: {'no statement about torch' if claim.verdict == 'aside' else 'yet'}."
        )
    return "\n".join(lines) + "\n"


def _questions(book: Book) -> str:
    opening = "What users really asked, each with the clauses that answer it.\n"
    return "\n".join(
        [rst.heading("Questions", "="), opening, *(_question(book, row) for row in book.questions)]
    )


def _question(book: Book, question: Question) -> str:
    clauses = [book.clauses[name] for name in question.clauses if name in book.clauses]
    threads = rst.thread_links(question.threads)
    return "\n".join(
        [
            f".. _question-{question.id}:\n",
            rst.heading(rst.marked(question.asked), "-"),
            rst.clause_list(clauses) if clauses else "No clause answers it yet.\n",
            f"{question.id}. Asked in {threads}.\n" if threads else "",
        ]
    )
