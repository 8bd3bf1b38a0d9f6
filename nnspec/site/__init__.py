"""The site: pages for Sphinx, written from clauses and records.

As a Sphinx extension (``extensions = ["nnspec.site"]``) it writes its pages into the source folder
before Sphinx reads it, and gives every clause the anchor that is its id.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes

from nnspec.site import chapters, names, tables
from nnspec.site.book import Book, read_book


def setup(app: Any) -> dict[str, object]:
    """Register with Sphinx."""
    app.connect("builder-inited", _write_pages)
    app.connect("doctree-resolved", _anchor_clauses)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def pages(book: Book) -> dict[str, str]:
    """All generated pages: path below the source folder to text."""
    written: dict[str, str] = {}
    for write in (chapters.pages, tables.pages, names.pages):
        written.update(write(book))
    return written


def _write_pages(app: Any) -> None:
    source = Path(app.srcdir)
    book = read_book(source.parent)
    for name, text in pages(book).items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def _anchor_clauses(app: Any, doctree: nodes.document, docname: str) -> None:
    """Let the permalink of a clause be its id, which docutils would write with dashes."""
    if not docname.startswith("spec/"):
        return
    for section in doctree.findall(nodes.section):
        for name in section["names"]:
            if name.count(".") == 2 and " " not in name:
                section["ids"].insert(0, name)
                break
