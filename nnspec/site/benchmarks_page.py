"""What the machinery of nn.Module costs, as a page with figures."""

from __future__ import annotations

from collections.abc import Sequence

from nnspec.benchmarks import figures, report
from nnspec.benchmarks.runs import Run, read_all, record_files
from nnspec.site.book import Book
from nnspec.site.templates import render

#: Where the figures lie below the source folder; Sphinx copies them to ``_static``.
FIGURES = "_generated/static"

#: The suffix of a figure and the class that shows it in that theme only.
THEMES = {"": "only-light", "-dark": "only-dark"}


def pages(book: Book) -> dict[str, str]:
    """The page of the benchmarks, and its figures.

    Raises:
        FileError: a record cannot be read, or a figure not be drawn.
    """
    runs = read_all(record_files(book.specification.records_folder))
    drawn = figures.draw(runs) if runs else {}
    on_gpu = {run.accelerator: run for run in runs if run.accelerator}.values()
    text = render(
        "benchmarks.rst.j2",
        on_gpu=[(run, _sections(run, report.ON_GPU, runs)) for run in on_gpu],
        machinery=[(run, _sections(run, report.MACHINERY, runs)) for run in runs[-1:]],
        releases=report.releases(runs) if len(runs) > 1 else None,
        figures=drawn,
        themes=THEMES,
        repository=book.repository,
    )
    images = {
        f"{FIGURES}/bench-{name}{theme}.svg": svg
        for name, figure in drawn.items()
        for theme, svg in figure.svg.items()
        if f"bench-{name}{theme}.svg" in text
    }
    return {"benchmarks.rst": text, **images}


def _sections(run: Run, tables: report.Tables, runs: Sequence[Run]) -> list[tuple[report.Table, str]]:
    """Those tables of a run that have rows, each with the name of its figure."""
    suffix = f"-{run.title}" if len(runs) > 1 else ""
    made = [(make(run), f"{figure}{suffix}") for make, figure in tables.items()]
    return [(table, figure) for table, figure in made if table.rows]
