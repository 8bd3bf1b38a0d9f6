"""Chapters and parts as pages; a clause is a section."""

from __future__ import annotations

from nnspec.clauses.chapter import Chapter
from nnspec.clauses.clause import Clause
from nnspec.records.comparison import threads
from nnspec.site import example, pictures, rst
from nnspec.site.book import Book, Part
from nnspec.site.strip import strip

SOURCE = "https://github.com/nnspec/nnspec/blob/main/spec"

READING = """\
A **clause** is one statement about torch, with an example that was run. Clauses stand in **chapters**,
chapters in **parts**. Below the example is a strip of the releases of torch, each with what was seen there:

holds
   torch does what the clause says.

not yet, no longer
   The release lies before or after those on which the clause holds; it was run there and is false.

absent
   What the clause speaks of does not exist there.

unmet
   It could not be judged there, for want of a device, for example.

violated
   torch does something else. No release may show this; a build of your own may.

not run
   No record has it.

A clause is marked as *observed* where torch does so and no documentation of torch promises it, and as
*contradicts* where the documentation says the opposite.
"""


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
    return "\n".join(
        [
            rst.heading("Specification", "="),
            READING,
            rst.heading("Parts", "-"),
            f".. toctree::\n   :maxdepth: 2\n   :titlesonly:\n\n{entries}\n",
        ]
    )


def _part(part: Part) -> str:
    entries = "\n".join(f"   {chapter.name}" for chapter in part.chapters)
    rows = [(f":doc:`{chapter.name}`", str(len(chapter.clauses))) for chapter in part.chapters]
    return "\n".join(
        [
            f".. _part-{part.name}:\n",
            rst.heading(rst.title_of(part.docstring), "="),
            rst.rest_of(part.docstring) + "\n",
            f".. toctree::\n   :hidden:\n   :titlesonly:\n\n{entries}\n",
            rst.table(("Chapter", "Clauses"), rows, "chapters"),
        ]
    )


def _chapter(book: Book, chapter: Chapter) -> str:
    preamble = example.preamble(chapter)
    pieces = [
        f".. _chapter-{chapter.id}:\n",
        rst.heading(rst.title_of(chapter.docstring), "="),
        rst.rest_of(chapter.docstring) + "\n",
        pictures.of_chapter(chapter),
        *(["The examples of this page begin with:\n", rst.code(preamble)] if preamble else []),
        *(_clause(book, chapter, clause) for clause in chapter.clauses),
    ]
    return "\n".join(pieces)


def _clause(book: Book, chapter: Chapter, clause: Clause) -> str:
    pieces = [
        f".. _{clause.id}:\n",
        rst.heading(clause.statement, "-"),
        clause.prose + "\n",
        _under_pytest(clause),
        rst.code(example.example(clause, chapter)),
        *(_cases(one) for one in example.cases(clause, chapter)),
        rst.html(strip(book, clause)),
        _facts(book, clause),
    ]
    return "\n".join(pieces)


def _under_pytest(clause: Clause) -> str:
    fixture = example.only_under_pytest(clause)
    if not fixture:
        return ""
    told = example.PYTEST_ONLY[fixture]
    command = f"pytest spec/{clause.part}/{clause.path.name} -k {clause.name}"
    return f"``{fixture}`` is {told}. So this example runs under pytest only: ``{command}``.\n"


def _cases(cases: example.Cases) -> str:
    """All cases as a table; the example shows the first."""
    if not cases.rows:
        names = ", ".join(map(rst.literal, cases.names))
        return f"It is so for each {names} in {rst.literal(cases.source)}.\n"
    return rst.table(
        [rst.literal(name) for name in cases.names],
        [[rst.literal(value) for value in row] for row in cases.rows],
        "cases",
    )


def _facts(book: Book, clause: Clause) -> str:
    """Badges and links below a clause, as a field list."""
    lines = []
    if clause.has("observed"):
        lines.append(":observed: torch does so, but none of its documentation promises it")
    for mark in clause.marks:
        if mark.name == "contradicts":
            lines.append(f":contradicts: {rst.escape(str(mark.args[0]))}")
    needs = ", ".join(name if count == 1 else f"{count} x {name}" for name, count in clause.needs)
    told = {
        "needs": needs,
        "seen on": ", ".join(map(rst.escape, book.devices(clause))),
        "stale": _stale(book, clause),
        "claims": ", ".join(f":ref:`{name} <claim-{name}>`" for name in clause.answers("claim")),
        "questions": ", ".join(f":ref:`{name} <question-{name}>`" for name in clause.answers("question")),
        "threads": ", ".join(rst.link(f"#{link.rpartition('/')[2]}", link) for link in threads(clause)),
    }
    lines += [f":{name}: {text}" for name, text in told.items() if text]
    source = f"{SOURCE}/{clause.part}/{clause.path.name}#L{clause.line}"
    lines.append(f":id: ``{clause.id}`` (`source <{source}>`__)")
    return "\n".join(lines) + "\n"


def _stale(book: Book, clause: Clause) -> str:
    names = book.stale(clause)
    return f"changed after it was recorded on {', '.join(map(rst.escape, names))}" if names else ""
