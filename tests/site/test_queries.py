"""What people type finds its answer among the first three, on the site as in the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_browser import CHROMIUM, FLAGS

from nnspec import contract
from nnspec.clauses import tables
from nnspec.clauses.parts import read_parts
from nnspec.clauses.specification import read_specification
from nnspec.search.documents import documents
from nnspec.search.index import Index
from nnspec.search.words import read_words
from nnspec.site import search_page
from nnspec.site.book import read_book

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "docs" / "_static" / "search"
SCRIPTS = ("base-stemmer.js", "english-stemmer.js", "minisearch.js", "engine.js")
TABLE = Path(__file__).with_name("queries.toml")
QUERIES = tables.read_table(TABLE, dict[str, dict[str, list[str]]])["queries"]

#: How many of the queries have to find their answer among the first three.
SHARE = 0.9


def _missed(found):
    """The queries whose first three results hold none of the clauses that answer."""
    return [query for query, answers in QUERIES.items() if not set(found[query][:3]) & set(answers)]


def test_queries_find_their_answer_in_the_terminal():
    (rules,) = read_parts(Path(contract.__path__[0]))
    index = Index(documents(read_specification(ROOT), rules), read_words(ROOT / "docs" / "search.toml"))

    missed = _missed({query: [hit.document.id for hit in index.find(query, 3)] for query in QUERIES})

    assert len(QUERIES) - len(missed) >= SHARE * len(QUERIES), missed


@pytest.mark.skipif(not Path(CHROMIUM).exists(), reason=f"no {CHROMIUM}; install Debian's package chromium")
def test_queries_find_their_answer_on_the_site():
    sync_api = pytest.importorskip("playwright.sync_api")
    data = search_page.pages(read_book(ROOT))["_generated/static/search-data.js"]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page()
        page.add_script_tag(content=data)
        for script in SCRIPTS:
            page.add_script_tag(path=STATIC / script)
        find = "query => nnspecSearch.find(query, 3).map(({ id }) => id)"
        found = {query: page.evaluate(find, query) for query in QUERIES}
        browser.close()

    missed = _missed(found)
    assert len(QUERIES) - len(missed) >= SHARE * len(QUERIES), missed
