"""The site: pages for Sphinx, written from clauses and records.

As a Sphinx extension (``extensions = ["nnspec.site"]``) it writes its pages into the source folder
before Sphinx reads it, and gives every clause the anchor that is its id.
"""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.errors import SphinxError
from sphinx.util import logging

from nnspec.errors import NnspecError
from nnspec.records.files import write_whole
from nnspec.site import (
    api_index,
    benchmarks_page,
    browser_data,
    chapters_page,
    claims_and_questions,
    contract_pages,
    documentation_pages,
    front_page,
    machines,
    releases_page,
    search_page,
    strength_page,
    tour_page,
    upgrade_pages,
    vendors_page,
)
from nnspec.site.book import Book, read_book
from nnspec.site.domain import AnchorClauses, ClauseDomain

WRITERS = (
    front_page.pages,
    chapters_page.pages,
    upgrade_pages.pages,
    releases_page.pages,
    browser_data.pages,
    api_index.pages,
    claims_and_questions.pages,
    benchmarks_page.pages,
    strength_page.pages,
    contract_pages.pages,
    documentation_pages.pages,
    search_page.pages,
    machines.pages,
    tour_page.pages,
    vendors_page.pages,
)

#: Scripts of single pages.
SCRIPTS = {
    "releases": ("spec-data.js", "releases.js"),
    "search": ("search.js",),
    "upgrade/index": ("spec-data.js", "upgrade.js"),
}

#: Where nothing but generated files lie, below the source folder.
GENERATED = ("_generated", "api", "spec", "upgrade", "contract/rules", "docstrings", "questions")


#: How many bytes a page may have.
HEAVY = 300_000

#: Words of a literal, and the text of a link.
_SPANS = re.compile(r'<span class="(?:pre|doc|std std-ref)">([^<]*)</span>')

#: Attributes of which nothing uses the rest.
_SHORTER = {
    'class="docutils literal notranslate"': 'class="literal notranslate"',
    '<a class="reference internal" ': "<a ",
}

_LOG = logging.getLogger(__name__)


def setup(app: Any) -> dict[str, object]:
    """Register with Sphinx."""
    app.add_domain(ClauseDomain)
    app.add_transform(AnchorClauses)
    app.connect("builder-inited", _write_pages)
    app.connect("html-page-context", _add_scripts)
    app.connect("html-page-context", _describe)
    app.connect("html-page-context", _lighten)
    app.connect("build-finished", _drop_source_maps)
    app.connect("build-finished", _weigh)
    return {"version": "2", "parallel_read_safe": True, "parallel_write_safe": True}


def pages(book: Book) -> dict[str, str]:
    """All generated files: path below the source folder to text."""
    return {path: text for write_pages in WRITERS for path, text in write_pages(book).items()}


class UnusableError(SphinxError):
    """A file of this project cannot be used: Sphinx shows the message alone, and asks nobody to report it."""

    category = "nnspec"


def _write_pages(app: Any) -> None:
    try:
        write(Path(app.srcdir))
    except NnspecError as error:
        raise UnusableError(str(error)) from error
    app.config.html_static_path.append("_generated/static")
    app.config.html_extra_path.append("_generated/root")
    app.builder.search = False  # Sphinx's own, which finds pages


def _describe(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Give a page the description that search engines show: its first paragraph."""
    first = doctree and next(doctree.findall(nodes.paragraph), None)
    if first:
        text = " ".join(first.astext().split())
        context["metatags"] += f'<meta name="description" content="{html.escape(text[:300])}"/>\n'


def _drop_source_maps(app: Any, exception: Exception | None) -> None:
    """Take away what the theme ships for its own developers."""
    for path in Path(app.outdir, "_static").rglob("*.map"):
        path.unlink()


def _lighten(app: Any, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Take away markup of Sphinx's that shows nothing here and would be a third of some pages."""
    if "body" in context:
        body = _SPANS.sub(r"\1", context["body"])
        for long, short in _SHORTER.items():
            body = body.replace(long, short)
        context["body"] = body


def _weigh(app: Any, exception: Exception | None) -> None:
    """Warn of a page that is too heavy: it wants to be two, or to say the same with less markup."""
    for path in Path(app.outdir).rglob("*.html"):
        if path.stat().st_size > HEAVY:
            _LOG.warning("%s has %s bytes, more than %s", path, path.stat().st_size, HEAVY)


def _add_scripts(app: Any, page: str, template: str, context: object, doctree: object) -> None:
    for script in SCRIPTS.get(page, ()):
        app.add_js_file(script)


def write(source: Path) -> None:
    """Write the generated files below the source folder and take away those of chapters that went."""
    written = pages(read_book(source.parent))
    for name, text in written.items():
        path = source / name
        if not path.exists() or path.read_bytes() != text.encode():
            write_whole(path, text)
    for folder in GENERATED:
        for path in (source / folder).rglob("*.*"):
            if path.is_file() and path.relative_to(source).as_posix() not in written:
                path.unlink()
