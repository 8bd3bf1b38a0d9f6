"""All clauses with their outcomes, for the pages on which the browser makes tables of its own."""

from __future__ import annotations

import json

from nnspec.clauses import tables, threads
from nnspec.clauses.releases import RELEASES
from nnspec.records import comparison
from nnspec.records.outcomes import OUTCOMES
from nnspec.records.spoken import Names
from nnspec.records.upgrading import Written, written_between
from nnspec.site.book import NOT_RUN, Book

#: Each outcome as the letter that stands for it in the data.
LETTERS = {name: letter for letter, name in zip("evlnauh", OUTCOMES, strict=True)} | {NOT_RUN: "."}


def pages(book: Book) -> dict[str, str]:
    """The data as a script: a page opened from a file may load no JSON."""
    specification = book.specification
    ids = specification.clauses.keys() | {name for record in book.records for name in record.rows}
    names = Names(specification)
    rows = ",\n".join(_json(_row(book, name)) for name in sorted(ids))
    data = {
        "releases": RELEASES,
        "letters": {letter: name for name, letter in LETTERS.items()},
        "order": [part.name for part in specification.parts],
        "hurts": tables.HURTS,
        "changes": [
            _change(written, names) for written in written_between(specification, RELEASES[0], RELEASES[-1])
        ],
        "runs": [
            {
                "name": record.name,
                "release": record.release,
                "device": record.device,
                "pending": len(book.pending[record.name]),
            }
            for record in book.records
        ],
    }
    script = f"window.nnspec = {_json(data)};\nwindow.nnspec.rows = [\n{rows}\n];\n"
    return {"_generated/static/spec-data.js": script}


def _row(book: Book, name: str) -> list[object]:
    """Id, statement, a letter for each release, a letter for each record, and threads if there are any."""
    clause = book.specification.clauses.get(name)
    rows = [record.rows.get(name) for record in book.records]
    by_record = "".join(LETTERS[row.outcome if row else NOT_RUN] for row in rows)
    if clause is None:
        return [name, "", LETTERS[NOT_RUN] * len(RELEASES), by_record]
    by_release = "".join(LETTERS[book.outcome(clause, release)] for release in RELEASES)
    links = comparison.threads(clause)
    return [name, clause.plain, by_release, by_record, *([links] if links else [])]


def _change(written: Written, names: Names) -> dict[str, object]:
    change = written.change
    return {
        "release": written.release,
        "hurts": change.hurts,
        "what": change.what,
        "do": change.do,
        "clauses": change.clauses,
        "names": names.of(change),
        "links": [threads.address(thread) for thread in change.threads],
    }


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
