"""What was measured: the time that the machinery costs, and the strength of the specification."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nnspec.benchmarks import figures, report, runs
from nnspec.records.record import RecordError
from nnspec.site import rst
from nnspec.site.book import Book

BENCHMARKS = """\
What the machinery of nn.Module costs. Where it says so, the unit is one call of an empty module in the same
run: such a ratio tells of other machines too. A benchmark is a clause; its example says what is timed. Times
are medians, taken without garbage collection.
"""

#: Where the figures lie below the source folder; Sphinx copies them to ``_static``.
FIGURES = "_generated/static"

#: The suffix of a figure and the class that shows it in that theme only.
THEMES = {"": "only-light", "-dark": "only-dark"}

#: The tables of a run, each with the figures that show it.
SECTIONS = {
    report.machinery: ["machinery"],
    report.growth: ["growth"],
    report.ways: ["calling"],
    report.counted: [],
    report.devices: ["devices"],
    report.stopwatches: [],
}

STRENGTH = """\
How much of a change to torch.nn the specification notices. The source of torch.nn is changed in one small
place, the clauses are run, and at least one of them has to fail. A change that none notices is a survivor,
and has to be explained.
"""


def pages(book: Book) -> dict[str, str]:
    """The page of the benchmarks and the page of the strength."""
    return {**_benchmarks(book), "strength.rst": _strength(book)}


def _read(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RecordError(f"{path}: cannot be read: {error}; make it anew") from error
    if not isinstance(found, dict):
        raise RecordError(f"{path}: holds no table; make it anew")
    return found


def _benchmarks(book: Book) -> dict[str, str]:
    """The page of the benchmarks, and its figures."""
    measured = runs.read_all(runs.record_files(book.records_folder))
    pieces = [rst.heading("Benchmarks", "="), BENCHMARKS]
    if not runs:
        pieces.append("Nothing is measured yet. This measures: ``tox -e bench``.\n")
        return {"benchmarks.rst": "\n".join(pieces)}
    pictures = figures.draw(measured)  # noqa: F841
    if len(runs) > 1:
        pieces += _section(report.releases(runs), figures, ["releases"], "-", {})
    for run in runs:
        name = run.name.removeprefix("bench-")
        pieces += [rst.heading(rst.escape(f"torch {name}"), "-"), rst.paragraph(run.describe())]
        for make, drawn in SECTIONS.items():
            wanted = [f"{one}-{name}" if len(runs) > 1 else one for one in drawn]
            pieces += _section(make(run), figures, wanted, "~", _clauses(book, run))
    pages = {"benchmarks.rst": "\n".join(pieces)}
    for name, picture in figures.items():
        for theme, svg in picture.svg.items():
            pages[f"{FIGURES}/{_svg(name, theme)}"] = svg
    return pages


def _section(
    table: report.Table,
    figures: Mapping[str, figures.Picture],
    wanted: list[str],
    underline: str,
    clauses: Mapping[str, str],
) -> Iterator[str]:
    """A table with the figures that show it; nothing if it is empty."""
    if not table.rows:
        return
    yield rst.heading(rst.escape(table.title), underline)
    for name in wanted:
        if name in figures:
            yield rst.html(_figure(name, figures[name]))
    yield rst.paragraph(table.note)
    rows = [[_linked(cells[0], clauses), *map(rst.escape, cells[1:])] for cells in table.rows]
    yield rst.table(list(map(rst.escape, table.header)), rows, "times")


def _svg(name: str, theme: str) -> str:
    return f"bench-{name}{theme}.svg"


def _figure(name: str, picture: figures.Picture) -> str:
    """A figure for each theme; the page shows the one that fits."""
    title = html.escape(picture.title)
    images = "".join(
        f'<img class="{css}" src="_static/{_svg(name, theme)}" alt="{title}; see the table below">'
        for theme, css in THEMES.items()
    )
    return (
        f'<figure class="picture"><div class="scroll" tabindex="0" role="region" aria-label="{title}">'
        f"{images}</div></figure>"
    )


def _clauses(book: Book, run: runs.Run) -> dict[str, str]:
    """Each operation with the clause that says what is timed."""
    found: dict[str, str] = {}
    for row in run.rows:
        name = row.id.partition("[")[0]
        if name in book.clauses:
            found.setdefault(row.operation, name)
    return found


def _linked(cell: str, clauses: Mapping[str, str]) -> str:
    return f":ref:`{rst.escape(cell)} <{clauses[cell]}>`" if cell in clauses else rst.escape(cell) or "\\ "


def _strength(book: Book) -> str:
    pieces = [rst.heading("Strength", "="), STRENGTH]
    files = sorted(book.records_folder.glob("strength-*.json"))
    if not files:
        pieces.append("Nothing is measured yet. This measures: ``python -m nnspec mutate``.\n")
    for path in files:
        pieces += _strength_of(book, path)
    return "\n".join(pieces)


def _strength_of(book: Book, path: Path) -> Iterator[str]:
    found = _read(path)
    run, files = found["run"], found["files"]
    changes, noticed = (sum(count[key] for count in files.values()) for key in ("changes", "noticed"))
    yield rst.heading(f"torch {rst.escape(str(run['torch']))}", "-")
    yield f"**{noticed}** of {changes} changes are noticed: {noticed / max(changes, 1):.1%}.\n"
    header = ("File", "Changes", "Noticed", "Share", "Survived", "Not tried")
    yield rst.table(header, [_file(name, count) for name, count in files.items()], "strength")
    yield rst.heading("Survivors", "~")
    if not found["survivors"]:
        yield "None.\n"
    else:
        rows = [_survivor(book, name, told) for name, told in found["survivors"].items()]
        yield rst.table(("Change", "What is changed", "Why it stays"), rows, "survivors")


def _file(name: str, count: Mapping[str, int]) -> list[str]:
    share = f"{count['noticed'] / max(count['changes'], 1):.1%}"
    told = [count["changes"], count["noticed"], share, count["survived"], count["not tried"]]
    return [rst.literal(name), *map(str, told)]


def _survivor(book: Book, name: str, told: list[str]) -> list[str]:
    _, what, *note = told
    explained = book.survivors.get(name)
    why = f"{explained['kind']}: {explained['why']}" if explained else "; ".join(note) or "not explained yet"
    return [rst.literal(name), rst.escape(what), rst.escape(why)]
