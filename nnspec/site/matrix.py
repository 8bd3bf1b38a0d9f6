"""Clauses and releases as a table, and the data from which the browser makes other tables."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping

from nnspec.clauses.clause import RELEASES, Clause
from nnspec.records import comparison
from nnspec.records.outcomes import ABSENT, ERROR, HOLDS, NO_LONGER, NOT_YET, OUTCOMES, UNMET, VIOLATED
from nnspec.records.record import Record
from nnspec.site import rst
from nnspec.site.book import NOT_RUN, Book
from nnspec.site.strip import css_class

#: Each outcome as one sign.
SIGNS = {
    HOLDS: "✓",
    NOT_YET: "‹",  # noqa: RUF001
    NO_LONGER: "›",  # noqa: RUF001
    ABSENT: "–",  # noqa: RUF001
    UNMET: "u",
    VIOLATED: "✗",
    ERROR: "!",
    NOT_RUN: "·",
}

OPENING = """\
Each clause beside each release of torch. The table shows what differs between releases; the boxes above it
choose other rows.
"""


def pages(book: Book) -> dict[str, str]:
    """The page of the releases, and the data as a script that needs no server."""
    return {"releases.rst": _releases(book), "_generated/static/spec-data.js": _data(book)}


def _releases(book: Book) -> str:
    rows = [clause for clause in book.clauses.values() if differs(book, clause)]
    return "\n".join(
        [
            rst.heading("Releases", "="),
            OPENING,
            rst.html(_controls(book)),
            rst.html(_table(book, rows)),
            rst.heading("The runs", "-"),
            _runs(book),
            rst.heading("What each release changed", "-"),
            "The :doc:`steps between releases <upgrade/index>` add the clauses that show it.\n",
            _changes(book),
        ]
    )


def differs(book: Book, clause: Clause) -> bool:
    """Whether a clause was judged differently on two releases."""
    judged = {book.outcome(clause, release) for release in RELEASES}
    return len(judged - {UNMET, NOT_RUN}) > 1


def _controls(book: Book) -> str:
    parts = "".join(f"<option>{html.escape(part.name)}</option>" for part in book.parts)
    outcomes = "".join(f"<option>{html.escape(name)}</option>" for name in SIGNS)
    legend = "".join(
        f'<li><span class="cell {css_class(name)}">{sign}</span> {name}</li>' for name, sign in SIGNS.items()
    )
    return (
        '<form id="filter" class="controls" hidden>'
        '<label>Words <input name="words" type="search"></label>'
        f'<label>Part <select name="part"><option value="">all</option>{parts}</select></label>'
        f'<label>Outcome <select name="outcome"><option value="">any</option>{outcomes}</select></label>'
        '<label class="check"><input name="all" type="checkbox">'
        " also rows that are the same everywhere</label>"
        "</form>"
        f'<ul class="legend">{legend}</ul>'
    )


def _table(book: Book, clauses: list[Clause]) -> str:
    heads = "".join(f'<th scope="col">{release}</th>' for release in RELEASES)
    rows = "".join(_row(book, clause) for clause in clauses)
    return (
        f'<p id="count" role="status">{len(clauses)} of {len(book.clauses)} clauses</p>'
        '<div class="matrix" role="region" aria-label="Clauses and releases" tabindex="0">'
        f'<table><thead><tr><th scope="col">Clause</th>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _row(book: Book, clause: Clause) -> str:
    cells = []
    for release in RELEASES:
        outcome = book.outcome(clause, release)
        cells.append(f'<td class="{css_class(outcome)}" aria-label="{outcome}">{SIGNS[outcome]}</td>')
    address = f"spec/{clause.part}/{clause.chapter}.html#{clause.id}"
    link = f'<a href="{html.escape(address)}">{html.escape(clause.plain)}</a>'
    return f'<tr><th scope="row">{link}</th>{"".join(cells)}</tr>'


def _runs(book: Book) -> str:
    if not book.records:
        return "No run is recorded yet. This makes the records: ``python -m nnspec releases``.\n"
    header = ("torch", "Devices", "Python", "torchvision", "Date", "Clauses", "Hold", "Stale")
    return rst.table(header, [_run(book, one) for one in book.records], "runs")


def _run(book: Book, one: Record) -> list[str]:
    hold = sum(row.outcome == HOLDS for row in one.rows.values())
    run: Mapping[str, object] = one.run
    devices = ", ".join(map(str, one.run["devices"]))
    told = [one.version, devices, run["python"], run["torchvision"], run["date"], len(one.rows), hold]
    return [rst.escape(str(value)) for value in [*told, _stale(book, one)]]


def _stale(book: Book, one: Record) -> int:
    return sum(
        name in book.clauses and book.clauses[name].digest != row.digest for name, row in one.rows.items()
    )


def _changes(book: Book) -> str:
    """What each release changed, in its sentences, the newest first."""
    pieces = []
    for release in reversed(list(book.changes.values())):
        pieces.append(rst.heading(f"torch {release.name}", "~"))
        pieces += [f"* {rst.marked(change.what)}" for change in release.changes]
        pieces.append("" if release.changes else rst.paragraph(release.none))
    return "\n".join(pieces) + "\n"


def _data(book: Book) -> str:
    """All clauses with their outcomes, as a script: a page opened from a file may load no JSON."""
    letters = {name: letter for letter, name in zip("evlnauh", OUTCOMES, strict=True)} | {NOT_RUN: "."}
    names = sorted(book.clauses.keys() | {name for one in book.records for name in one.rows})
    rows = []
    for name in names:
        clause = book.clauses.get(name)
        runs = "".join(
            letters[one.rows[name].outcome if name in one.rows else NOT_RUN] for one in book.records
        )
        by_release = "".join(letters[book.outcome(clause, one)] if clause else "." for one in RELEASES)
        links = list(comparison.threads(clause)) if clause else []
        rows.append([name, clause.plain if clause else "", by_release, runs, *([links] if links else [])])
    data = {
        "releases": RELEASES,
        "letters": {letter: [name, SIGNS[name]] for name, letter in letters.items()},
        "order": [part.name for part in book.parts],
        "runs": [
            {"name": one.name, "release": one.release, "device": one.device, "stale": _stale(book, one)}
            for one in book.records
        ],
    }
    lines = ",\n".join(_json(row) for row in rows)
    return f"window.nnspec = {_json(data)};\nwindow.nnspec.rows = [\n{lines}\n];\n"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
