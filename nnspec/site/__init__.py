"""The site: pages for Sphinx, written from clauses and records.

As a Sphinx extension (``extensions = ["nnspec.site"]``) it writes its pages into the source folder
before Sphinx reads it, and gives every clause the anchor that is its id.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nnspec.site import chapters, names, tables
from nnspec.site.book import Book, read_book
from nnspec.site.domain import AnchorClauses, ClauseDomain

#: Where nothing but generated files lie, below the source folder.
GENERATED = ("_generated", "spec", "upgrade")


def setup(app: Any) -> dict[str, object]:
    """Register with Sphinx."""
    app.add_domain(ClauseDomain)
    app.add_transform(AnchorClauses)
    app.connect("builder-inited", _write_pages)
    return {"version": "2", "parallel_read_safe": True, "parallel_write_safe": True}


def pages(book: Book) -> dict[str, str]:
    """All generated files: path below the source folder to text."""
    written: dict[str, str] = {}
    for write in (chapters.pages, tables.pages, names.pages):
        written.update(write(book))
    return written


def _write_pages(app: Any) -> None:
    write(Path(app.srcdir))


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
