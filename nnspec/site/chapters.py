"""Chapters and parts as pages; a clause is a section."""

from __future__ import annotations

import html

from nnspec.chapter import Chapter
from nnspec.clause import RELEASES, Clause
from nnspec.compare import threads
from nnspec.site import rst
from nnspec.site.book import Book, Part

SOURCE = "https://github.com/nnspec/nnspec/blob/main/spec"


def pages(book: Book) -> dict[str, str]:
    """A page for the book, for each part and for each chapter."""
    written = {"spec/index.rst": _contents(book)}
    for part in book.parts:
        written[f"spec/{part.name}/index.rst"] = _part(part)
        for chapter in part.chapters:
            written[f"spec/{part.name}/{chapter.name}.rst"] = _chapter(book, chapter)
    return written


def _contents(book: Book) -> str:
    entries = "\n".join(f"   {part.name}/index" for part in book.parts)
    return rst.heading("The specification", "=") + f"\n.. toctree::\n   :maxdepth: 2\n\n{entries}\n"


def _part(part: Part) -> str:
    entries = "\n".join(f"   {chapter.name}" for chapter in part.chapters)
    return (
        f".. _part-{part.name}:\n\n"
        + rst.heading(rst.title_of(part.docstring), "=")
        + f"\n{rst.rest_of(part.docstring)}\n\n.. toctree::\n   :maxdepth: 1\n\n{entries}\n"
    )


def _chapter(book: Book, chapter: Chapter) -> str:
    pieces = [
        f".. _chapter-{chapter.id}:\n",
        rst.heading(rst.title_of(chapter.docstring), "="),
        rst.rest_of(chapter.docstring) + "\n",
        "The examples of this page begin with:\n",
        rst.code(chapter.preamble),
        *(_clause(book, clause) for clause in chapter.clauses),
    ]
    return "\n".join(pieces)


def _clause(book: Book, clause: Clause) -> str:
    pieces = [
        f".. _{clause.id}:\n",
        rst.heading(clause.statement, "-"),
        clause.prose + "\n",
        rst.code(clause.body),
        rst.html(strip(book, clause)),
        _facts(clause),
    ]
    return "\n".join(pieces)


def strip(book: Book, clause: Clause) -> str:
    """The releases as a row of cells, each with its outcome in colour and in words."""
    cells = []
    for release in RELEASES:
        outcome = book.outcome(clause, release)
        told = html.escape(f"torch {release}: {outcome}")
        cells.append(
            f'<li class="{outcome.replace(" ", "-")}" title="{told}">{release}'
            f'<span class="visually-hidden"> {html.escape(outcome)}</span></li>'
        )
    return f'<ol class="strip" aria-label="releases of torch">{"".join(cells)}</ol>'


def _facts(clause: Clause) -> str:
    """Badges and links below a clause, as a field list."""
    lines = []
    if clause.has("observed"):
        lines.append(":observed: torch does so, but none of its documentation promises it")
    for mark in clause.marks:
        if mark.name == "contradicts":
            lines.append(f":contradicts: {rst.escape(str(mark.args[0]))}")
    needs = ", ".join(name if count == 1 else f"{count} x {name}" for name, count in clause.needs)
    if needs:
        lines.append(f":needs: {needs}")
    claims = ", ".join(f":ref:`{name} <claim-{name}>`" for name in clause.answers("claim"))
    if claims:
        lines.append(f":claims: {claims}")
    questions = ", ".join(f":ref:`{name} <question-{name}>`" for name in clause.answers("question"))
    if questions:
        lines.append(f":questions: {questions}")
    links = ", ".join(f"`#{link.rpartition('/')[2]} <{link}>`__" for link in threads(clause))
    if links:
        lines.append(f":threads: {links}")
    source = f"{SOURCE}/{clause.part}/{clause.path.name}#L{clause.line}"
    lines.append(f":id: ``{clause.id}`` (`source <{source}>`__)")
    return "\n".join(lines) + "\n"
