"""The site: pages for Sphinx, written from clauses and records.

As a Sphinx extension (``extensions = ["nnspec.site"]``) it writes its pages into the source folder
before Sphinx reads it, and gives every clause the anchor that is its id.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nnspec.site import chapters, front, matrix, measured, names, tables, upgrade
from nnspec.site.book import Book, read_book
from nnspec.site.domain import AnchorClauses, ClauseDomain

WRITERS = (
    front.pages,
    chapters.pages,
    upgrade.pages,
    matrix.pages,
    names.pages,
    tables.pages,
    measured.pages,
)

#: Scripts of single pages.
SCRIPTS = {"releases": ("spec-data.js", "releases.js"), "upgrade/index": ("spec-data.js", "upgrade.js")}

#: Where nothing but generated files lie, below the source folder.
GENERATED = ("_generated", "spec", "upgrade")


def setup(app: Any) -> dict[str, object]:
    """Register with Sphinx."""
    app.add_domain(ClauseDomain)
    app.add_transform(AnchorClauses)
    app.connect("builder-inited", _write_pages)
    app.connect("html-page-context", _add_scripts)
    return {"version": "2", "parallel_read_safe": True, "parallel_write_safe": True}


def pages(book: Book) -> dict[str, str]:
    """All generated files: path below the source folder to text."""
    written: dict[str, str] = {}
    for write in WRITERS:
        written.update(write(book))
    return written


def _write_pages(app: Any) -> None:
    write(Path(app.srcdir))
    app.config.html_static_path.append("_generated/static")


def _add_scripts(app: Any, page: str, template: str, context: object, doctree: object) -> None:
    for script in SCRIPTS.get(page, ()):
        app.add_js_file(script)


def write(source: Path) -> None:
    """Write the generated files below the source folder and take away those of chapters that went."""
    written = pages(read_book(source.parent))
    for name, text in written.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    for folder in GENERATED:
        for path in (source / folder).rglob("*.*"):
            if path.is_file() and path.relative_to(source).as_posix() not in written:
                path.unlink()
