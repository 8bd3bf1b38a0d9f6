"""The pages of the site, without a browser."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
from site_builder import HTML

from nnspec.clauses.chapter import read_spec
from nnspec.site import example, write
from nnspec.site.book import read_book

CLAUSES = '''
VALUES = [1, 2]


@pytest.mark.since("2.5")
@pytest.mark.parametrize(("first", "second"), [(1, "a"), (2, "b")])
def test_pair(first, second, tmp_path):
    """A <b>pair</b> of *two* is one."""
    assert second


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("doubled", [2 * value for value in VALUES])
def test_named(value, doubled, device):
    """It has a name."""
    assert value


def test_shared(ranks):
    """It is shared."""
    assert ranks
'''


class Page(HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = {""}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "id":
                self.anchors.add(value)
            elif name in ("href", "src") and value:
                self.links.append(value)


def _pages(site):
    return [path for path in site.rglob("*.html") if "_static" not in path.parts]


def test_every_internal_link_leads_somewhere(site):
    pages = {path: Page(path) for path in _pages(site)}
    dead = []
    for path, page in pages.items():
        for link in page.links:
            if re.match(r"[a-z]+:", link):
                continue
            address, anchor = urldefrag(unquote(link.partition("?")[0] if "?" in link else link))
            target = (path.parent / address).resolve() if address else path
            if not target.exists() or (target in pages and anchor not in pages[target].anchors):
                dead.append(f"{path.relative_to(site)}: {link}")

    assert dead == []


def test_nothing_is_loaded_from_elsewhere(site):
    loaded = re.compile(r'<(?:script|img|iframe|link)\b[^>]*?(?:src|href)="(?:https?:)?//[^"]*"')

    assert [found for path in _pages(site) for found in loaded.findall(path.read_text())] == []


def test_html_in_claims_and_records_is_text(site):
    shown = html.escape(HTML)
    pages = {name: (site / f"{name}.html").read_text() for name in ("claims", "releases", "index")}

    assert [shown in page or "&lt;img src=x" in page for page in pages.values()] == [True, True, True]
    assert [HTML in path.read_text() for path in _pages(site)].count(True) == 0


def test_a_permalink_is_the_id(site):
    page = (site / "spec" / "traversal" / "parameters.html").read_text()

    assert '<section id="traversal.parameters.parameters_is_a_generator">' in page
    assert 'href="#traversal.parameters.parameters_is_a_generator"' in page


def test_neighbours_of_one_outcome_share_a_cell(site):
    page = (site / "spec" / "registration" / "stores.html").read_text()
    strip = page.partition('id="registration.stores.stores_are_plain_dicts"')[2].partition("</ol>")[0]

    assert re.findall(r"<li class=\"([a-z-]+)\"[^>]*>(\S+) <b>", strip)[:3] == [
        ("not-yet", "2.0"),
        ("not-run", "2.1–2.3"),  # noqa: RUF001
        ("not-yet", "2.4"),
    ]


@pytest.mark.parametrize(
    ("chapter", "title"), [("calling/order", "One call"), ("traversal/resnet34", "The tree")]
)
def test_a_picture_has_words(site, chapter, title):
    page = (site / "spec" / f"{chapter}.html").read_text()

    assert re.search(rf'<svg role="group"[^>]*><title id="\w+-title">{title}.*?</title><desc', page)


def test_cases_and_fixtures_are_plain_lines(write_project):
    chapter = read_spec(write_project / "spec")[0]
    pair, named, shared = chapter.clauses

    assert example.example(pair, chapter).splitlines()[:3] == [
        "tmp_path = Path(tempfile.mkdtemp())",
        "first = 1",
        'second = "a"',
    ]
    assert [case.rows for case in example.cases(pair, chapter)] == [(("1", '"a"'), ("2", '"b"'))]
    assert set(example.example(named, chapter).splitlines()[:3]) == {
        'device = "cpu"',
        "value = VALUES[0]",
        "doubled = [2 * value for value in VALUES][0]",
    }
    assert example.preamble(chapter).startswith("import tempfile\nfrom pathlib import Path\n")
    assert example.only_under_pytest(shared) == "ranks"


def test_without_records_the_pages_say_what_makes_them(write_project):
    docs = write_project / "docs"

    write(docs)

    told = {name: (docs / f"{name}.rst").read_text() for name in ("releases", "benchmarks", "strength")}
    assert "python -m nnspec releases" in told["releases"]
    assert "tox -e bench" in told["benchmarks"]
    assert "python -m nnspec mutate``" in told["strength"]


def test_pages_of_chapters_that_went_are_taken_away(write_project):
    docs = write_project / "docs"
    left = docs / "spec" / "mini" / "old.rst"
    left.parent.mkdir(parents=True)
    left.write_text("Old\n===\n")

    write(docs)

    assert not left.exists()
    assert (docs / "spec" / "mini" / "small.rst").exists()


def test_a_change_of_a_release_is_shown_on_both_pages(write_project):
    docs = write_project / "docs"
    (docs / "changes.toml").write_text(
        """["2.5"]\n[["2.5".changes]]\nwhat = "`_buffers` is a *plain* dict."\nthreads = ["#129164"]\n"""
        'clauses = ["mini.small.pair"]\n'
    )

    write(docs)

    pages = [(docs / f"{name}.rst").read_text() for name in ("releases", "upgrade/2.4-2.5")]
    assert [r"``_buffers``\  is a \*plain\* dict." in page for page in pages] == [True, True]
    assert ["issues/129164" in page for page in pages] == [False, True]
    assert ["<mini.small.pair>" in page for page in pages] == [False, True]


def test_stale_rows_are_told(site, tmp_path):
    book = read_book(site.parent)
    clause = next(iter(book.clauses.values()))

    assert book.stale(clause) == []
    assert book.outcome(clause, "2.1") == "not run"


@pytest.fixture
def write_project(write):
    return write(CLAUSES)
