"""What the front page shows of the specification: a clause, its state in numbers, the contents."""

from __future__ import annotations

from pathlib import Path

from nnspec.records.outcomes import HOLDS
from nnspec.site import example, rst
from nnspec.site.book import Book
from nnspec.site.strip import strip

#: Clauses that make a good first impression, the best one first.
FAVOURITES = (
    "registration.assignment.a_buffer_is_registered",
    "traversal.parameters.parameters_is_a_generator",
)

CONTENTS = {
    "spec/index": "Specification",
    "upgrade/index": "Upgrade",
    "releases": "Releases",
    "api": "API",
    "claims": "Claims",
    "questions": "Questions",
    "benchmarks": "Benchmarks",
    "strength": "Strength",
    "contract": "Your model",
}


def pages(book: Book) -> dict[str, str]:
    """Pieces that ``docs/index.rst`` includes."""
    return {
        "_generated/clause.rst": _clause(book),
        "_generated/state.rst": _state(book),
        "_generated/contents.rst": _contents(book.docs),
    }


def _clause(book: Book) -> str:
    name = next((name for name in FAVOURITES if name in book.clauses), next(iter(book.clauses)))
    clause = book.clauses[name]
    chapter = book.chapter_of(clause)
    return "\n".join(
        [
            f".. rst-class:: lead-clause\n\n:ref:`{rst.escape(clause.plain)} <{clause.id}>`\n",
            clause.prose + "\n",
            rst.code(f"{example.preamble(chapter)}\n\n{example.example(clause, chapter)}"),
            rst.html(strip(book, clause)),
        ]
    )


def _state(book: Book) -> str:
    """The state of the specification in numbers, all counted."""
    chapters = len(book.chapters)
    lines = [
        f"**{len(book.clauses)}** clauses in {chapters} chapters and {len(book.parts)} parts; "
        f"they decide {len(book.claims)} claims and answer {len(book.questions)} questions."
    ]
    if not book.records:
        lines.append("No run is recorded yet; ``python -m nnspec releases`` makes the records.")
        return "\n\n".join(lines) + "\n"
    releases = [release for release, one in book.by_release.items() if one]
    lines.append(f"Recorded on **{len(releases)}** releases of torch and {_devices(book)}:")
    header = ("torch", "Clauses", "Hold", "Outside their bounds, and false", "Could not be judged")
    rows = []
    for one in reversed(book.records):
        outcomes = [row.outcome for row in one.rows.values()]
        hold, unmet = outcomes.count(HOLDS), outcomes.count("unmet")
        outside = sum(outcomes.count(name) for name in ("not yet", "no longer", "absent"))
        told = (one.name, len(outcomes), hold, outside, unmet)
        rows.append([rst.escape(str(value)) for value in told])
    return "\n\n".join(lines) + "\n\n" + rst.table(header, rows, "runs")


def _devices(book: Book) -> str:
    names = dict.fromkeys(str(name) for one in book.records for name in one.run["devices"])
    return ", ".join(rst.escape(name) for name in names)


def _contents(docs: Path) -> str:
    written = {"contract": (docs / "contract.rst").exists()}
    entries = "\n".join(f"   {title} <{page}>" for page, title in CONTENTS.items() if written.get(page, True))
    return f".. toctree::\n   :hidden:\n\n{entries}\n"
