"""What changes between two releases: a page for each pair of neighbours, and one to choose any two."""

from __future__ import annotations

from itertools import pairwise

from nnspec.clauses import tables
from nnspec.clauses.clause import RELEASES, Clause
from nnspec.records import comparison
from nnspec.records.record import Record
from nnspec.site import rst
from nnspec.site.book import Book

GROUPS = (
    ("No longer holds", "no_longer_holds"),
    ("Newly holds", "newly_holds"),
    ("Added", "added"),
    ("Retired", "retired"),
    ("Not judged on both sides", "not_judged"),
)

OPENING = """\
Choose the torch you have and the torch you go to. You see what no longer holds first, then what newly holds;
each statement opens its clause. The address names your choice, so that it can be sent.
"""

CHOOSER = """\
<form id="choose" class="controls" method="get" hidden>
  <label>From <select name="from"></select></label>
  <label>To <select name="to"></select></label>
  <button type="submit">Compare</button>
</form>
<div id="comparison" aria-live="polite"></div>
<noscript><p>Without JavaScript, take the steps below one by one.</p></noscript>
"""


def pages(book: Book) -> dict[str, str]:
    """The page to choose on, and those of the neighbours."""
    pairs = [(old, new) for old, new in pairwise(RELEASES)]
    written = {"upgrade/index.rst": _chooser(book, pairs)}
    for old, new in pairs:
        written[f"upgrade/{old}-{new}.rst"] = _pair(book, old, new)
    return written


def _chooser(book: Book, pairs: list[tuple[str, str]]) -> str:
    entries = "\n".join(f"   {old} to {new} <{old}-{new}>" for old, new in pairs)
    missing = [release for release in RELEASES if book.by_release[release] is None]
    return "\n".join(
        [
            rst.heading("Upgrade", "="),
            OPENING,
            rst.html(CHOOSER),
            _no_records(missing) if missing else "",
            rst.heading("Step by step", "-"),
            f".. toctree::\n   :maxdepth: 1\n\n{entries}\n",
        ]
    )


def _no_records(missing: list[str]) -> str:
    command = f"python -m nnspec releases {' '.join(missing)}"
    return f"Not recorded yet: {', '.join(missing)}. This makes the records: ``{command}``.\n"


def _pair(book: Book, old: str, new: str) -> str:
    before, after = book.by_release[old], book.by_release[new]
    pieces = [rst.heading(f"From {old} to {new}", "=")]
    if before is None or after is None:
        pieces.append(_no_records([release for release in (old, new) if book.by_release[release] is None]))
    if before and after:
        pieces.append(_comparison(book, before, after))
    if new in book.changes:
        pieces += [rst.heading(f"What {new} changed", "-"), changes_of(book, new)]
    return "\n".join(pieces)


def changes_of(book: Book, release: str) -> str:
    """What a release changed, each change with why and the clauses that show it; empty if it has no row."""
    found = book.changes.get(release)
    if found is None:
        return ""
    told = [_change(book, change) for change in found.changes]
    return "\n".join(told) or rst.paragraph(found.none)


def _change(book: Book, change: tables.Change) -> str:
    threads = f" ({rst.thread_links(change.threads)})" if change.threads else ""
    lines = [f"* {rst.marked(change.what)}{threads}\n"]
    lines += [f"  {rst.marked(change.why)}\n"] if change.why else []
    shown = [book.clauses[name] for name in change.clauses if name in book.clauses]
    lines += [f"  * {rst.clause_link(clause)}" for clause in shown]
    return "\n".join(lines) + "\n"


def _comparison(book: Book, before: Record, after: Record) -> str:
    found = comparison.compare(before, after, book.clauses)
    pieces = []
    for title, name in GROUPS:
        changes: list[comparison.Change] = getattr(found, name)
        if changes:
            pieces.append(rst.heading(f"{title} ({len(changes)})", "-"))
            pieces.append("\n".join(_row(change, book.clauses.get(change.id)) for change in changes) + "\n")
    if not any(getattr(found, name) for _, name in GROUPS[:4]):
        pieces.append("Nothing that could be judged on both sides differs.\n")
    pieces.append(f"The same on both sides: {found.same}.\n")
    pieces += [rst.paragraph(f"Note: {note}.") for note in found.notes]
    return "\n".join(pieces)


def _row(change: comparison.Change, clause: Clause | None) -> str:
    name = rst.clause_link(clause) if clause else f"``{change.id}``"
    lines = [f"* {name} *{change.before or 'no row'} → {change.after or 'no row'}*"]
    lines += [f"  {rst.link('#' + link.rpartition('/')[2], link)}" for link in change.links]
    return "\n".join(lines)
