"""The pages of the site, without a browser."""

from __future__ import annotations

import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urldefrag

import pytest
from site_builder import HTML
from sphinx.errors import SphinxError

from nnspec.clauses.parts import read_parts
from nnspec.clauses.specification import read_specification
from nnspec.clauses.tables import TableError
from nnspec.lint.site import shown_clauses_exist
from nnspec.records import checks, record
from nnspec.records.record import Record, Row
from nnspec.site import HEAVY, _weigh, _write_pages, api_index, documentation_pages, example, pages, write
from nnspec.site.book import read_book
from nnspec.site.templates import marked, text

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
    ((chapter,),) = (part.chapters for part in read_parts(write_project / "spec"))
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
    assert example.only_under_pytest(shared, chapter) == "ranks"
    assert example.only_under_pytest(pair, chapter) == ""


@pytest.mark.parametrize(
    ("part", "rows"), [("[1:]", [("b",), ("c",)]), ("[:2]", [("a",), ("b",)]), ("[-1:]", [("c",)])]
)
def test_a_slice_of_named_cases_is_its_cases(write, part, rows):
    root = write(
        'CASES = [pytest.param(a, id="1"), pytest.param(b, id="2"), pytest.param(c, id="3")]\n\n\n'
        f'@pytest.mark.parametrize("case", CASES{part})\n'
        'def test_one(case):\n    """It is one."""\n    assert case'
    )
    ((chapter,),) = (part.chapters for part in read_parts(root / "spec"))
    (clause,) = chapter.clauses

    assert [case.rows for case in example.cases(clause, chapter)] == [tuple(rows)]
    assert example.example(clause, chapter).startswith(f"case = {rows[0][0]}\n")


def test_without_records_the_pages_say_what_makes_them(write_project):
    docs = write_project / "docs"

    write(docs)

    told = {name: (docs / f"{name}.rst").read_text() for name in ("releases", "benchmarks", "strength")}
    assert "python -m nnspec releases" in told["releases"]
    assert "tox -e bench" in told["benchmarks"]
    assert "python -m nnspec mutate``" in told["strength"]


def test_assertions_that_never_fail_are_shown_with_why(write_project):
    docs = write_project / "docs"
    (docs / "records" / "assertions-2.15.0-cpu.json").write_text(
        '{"schema": 1, "run": {"torch": "2.15.0", "python": "3.11", "platform": "Linux x86_64",'
        ' "device": "cpu", "date": "2026-01-31"},'
        ' "judged": {"mini.small.a": ["12", 3], "mini.small.b": ["34", 3], "mini.small.c": ["56", 1]},'
        ' "never fail": {"mini.small.a": ["x is x"], "mini.small.b": ["1 == 1"]}, "not judged": {}}'
    )
    (docs / "assertions.toml").write_text('["mini.small.a: x is x"]\nwhy = "It is a law."\n')

    write(docs)

    told = (docs / "strength.rst").read_text()
    assert "**5** of 7 assertions in 3 clauses failed" in told
    assert "``x is x``\n     - mini.small.a\n     - It is a law." in told
    assert "``1 == 1``\n     - mini.small.b\n     - not explained yet" in told


def test_pages_of_chapters_that_went_are_taken_away(write_project):
    docs = write_project / "docs"
    left = docs / "spec" / "mini" / "old.rst"
    left.parent.mkdir(parents=True)
    left.write_text("Old\n===\n")

    write(docs)

    assert not left.exists()
    assert (docs / "spec" / "mini" / "small.rst").exists()


def test_a_change_of_a_release_is_told_by_the_step_and_counted_among_the_releases(write_project):
    docs = write_project / "docs"
    (docs / "changes.toml").write_text(
        """["2.5"]\n[["2.5".changes]]\nwhat = "`_buffers` is a *plain* dict."\nhurts = "breaks"\n"""
        'threads = ["#129164"]\n'
        'clauses = ["mini.small.pair"]\n'
    )

    write(docs)

    releases, step = ((docs / f"{name}.rst").read_text() for name in ("releases", "upgrade/2.4-2.5"))
    assert ":doc:`1 change <upgrade/2.4-2.5>`, of which 1 breaks code that ran." in releases
    assert r"``_buffers``\  is a \*plain\* dict." in step
    assert "issues/129164" in step
    assert "<mini.small.pair>" in step


def _recorded(root, *, version="2.5.1", altered="", outcome="holds"):
    """The book of the miniature with a record, as of a run before a clause was changed."""
    rows = {
        name: Row(outcome, "000000000000" if name == altered else clause.digest)
        for name, clause in read_specification(root).clauses.items()
    }
    header = {
        "torch": version,
        "torchvision": "0.1",
        "python": "3.11",
        "platform": "Linux",
        "devices": ["cpu"],
    }
    record.write(Record(header, rows), root / "docs" / "records")
    return read_book(root)


def test_a_clause_that_was_changed_is_stale(write_project):
    book = _recorded(write_project, altered="mini.small.pair")
    clauses = book.specification.clauses

    assert [book.stale(clause) for clause in clauses.values()] == [["2.5.1-cpu"], [], []]
    assert ":stale: changed after it was recorded on 2.5.1\\-cpu" in pages(book)["spec/mini/small.rst"]


def test_rows_that_are_new_changed_or_gone_are_pending(write_project):
    (kept,) = _recorded(write_project).records
    rows = {
        "mini.small.pair": Row("holds", "000000000000"),
        "mini.small.shared": Row("unmet", "000000000000"),
        "mini.small.gone": Row("unmet", "000000000000"),
    }
    record.write(Record(kept.run, rows), write_project / "docs" / "records")
    record.write(Record({**kept.run, "torch": "2.6.0"}, kept.rows), write_project / "docs" / "records")

    book = read_book(write_project)
    written = pages(book)

    assert book.pending == {
        "2.5.1-cpu": {
            "mini.small.gone": checks.GONE,
            "mini.small.named": checks.NEW,
            "mini.small.pair": checks.CHANGED,
            "mini.small.shared": checks.CHANGED,
        },
        "2.6.0-cpu": {},
    }
    named, shared = (book.specification.clauses[f"mini.small.{name}"] for name in ("named", "shared"))
    assert [book.outcome(named, release) for release in ("2.5", "2.6")] == ["not run", "holds"]
    assert (book.stale(named), book.stale(shared)) == ([], ["2.5.1-cpu"])
    data = written["_generated/static/spec-data.js"]
    assert '{"name":"2.5.1-cpu","release":"2.5","device":"cpu","pending":4}' in data
    assert '{"name":"2.6.0-cpu","release":"2.6","device":"cpu","pending":0}' in data
    for counts in ((3, 1, 4), (3, 3, 0)):  # rows, hold, pending
        assert "".join(f"     - {count}\n" for count in counts) in written["releases.rst"]


def test_html_in_statements_is_text(write_project):
    _recorded(write_project, version="2.4.1", outcome="not yet")
    matrix = pages(_recorded(write_project))["releases.rst"].partition("<tbody>")[2]

    assert ">Since 2.5: A &lt;b&gt;pair&lt;/b&gt; of *two* is one.</a>" in matrix
    assert "<b>" not in matrix


def test_sentences_of_torchs_documentation_have_verdicts_and_clauses(site):
    page = (site / "docstrings" / "module.html").read_text(encoding="utf-8")

    assert "Return an iterator over module parameters." in page
    assert '<span class="verdict-true">true</span>' in page
    assert 'href="../spec/traversal/parameters.html#traversal.parameters.' in page
    assert "<strong>0%</strong>" not in (site / "docstrings" / "index.html").read_text(encoding="utf-8")


def test_what_the_documentation_gets_wrong_has_a_report_to_copy(site):
    page = (site / "docstrings" / "wrong" / "module.html").read_text(encoding="utf-8")

    assert "A report to copy" in page
    assert "the documentation says otherwise than torch does" in page
    assert "Observed on torch" in page


def test_a_report_has_what_runs_as_it_stands_or_says_what_runs_it(write_project):
    book = read_book(write_project)

    assert documentation_pages._code(["mini.small.shared", "mini.small.pair"], book)[0] == "```python"
    lead, _, *code = documentation_pages._code(["mini.small.shared"], book)
    assert "`python -m pytest spec/mini/test_small.py -k shared`" in lead
    assert code == ["```python", "assert ranks", "```"]


def test_a_report_says_what_it_takes_to_run(write):
    clauses = """
@pytest.mark.needs("cuda", 2)
def test_pair():
    \"\"\"A pair.\"\"\"
    assert torch.cuda.device_count() == 2


@pytest.mark.needs("cuda")
@pytest.mark.needs("torchvision")
def test_alone(rank):
    \"\"\"One alone.\"\"\"
    assert rank


def test_anywhere():
    \"\"\"Anywhere.\"\"\"
    assert nn
"""
    book = read_book(write(clauses))
    pair, alone, anywhere = (f"mini.small.{name}" for name in ("pair", "alone", "anywhere"))

    assert documentation_pages._code([pair], book)[:3] == [
        "To run this takes 2 CUDA devices:",
        "",
        "```python",
    ]
    assert documentation_pages._code([pair, anywhere], book)[0] == "```python"
    lead = documentation_pages._code([alone], book)[0]
    assert lead.endswith(
        " in a checkout of this specification; it takes a CUDA device and torchvision that imports:"
    )


def test_quotes_are_as_they_were_written(site):
    page = site / "spec" / "traversal" / "modules.html"

    assert [quote for quote in "\u201c\u201d\u2018\u2019" if quote in page.read_text(encoding="utf-8")] == []


def test_the_search_data_says_nothing_twice(site):
    script = (site / "_static" / "search-data.js").read_text(encoding="utf-8")
    data = json.loads(script[script.index("{") : script.rindex("}") + 1])

    assert len(set(data["vocabulary"])) == len(data["vocabulary"])
    assert len({tuple(place[:3]) for place in data["places"]}) == len(data["places"])
    assert script.count("spec/traversal/parameters.html#") == 1
    (walked,) = (
        row for row in data["documents"] if row[0] == "traversal.parameters.parameters_is_a_generator"
    )
    said = [data["vocabulary"][number] for number in walked[4]]
    assert {"parameters", "generator"} <= set(said)


def test_what_is_most_harmful_leads_to_its_report(site):
    overview = (site / "docstrings" / "wrong.html").read_text(encoding="utf-8")
    page = (site / "docstrings" / "wrong" / "module.html").read_text(encoding="utf-8")
    anchors = re.findall(r'href="wrong/module.html#(wrong-[\w-]+)"', overview)

    assert len(anchors) > 2
    assert [anchor for anchor in anchors if f'id="{anchor}"' not in page] == []


def test_a_name_that_many_examples_use_has_a_page_of_them(site):
    owner, uses = (
        (site / "api" / name).read_text(encoding="utf-8")
        for name in ("torch.nn.Sequential.html", "uses/torch.nn.Sequential.html")
    )

    assert 'href="uses/torch.nn.Sequential.html"' in owner
    assert 'href="../../spec/traversal/parameters.html#traversal.parameters.' in uses


def test_a_name_that_most_examples_use_has_a_page_for_each_part(write_project, monkeypatch):
    monkeypatch.setattr(api_index, "MOST_USES", 1)
    monkeypatch.setattr(api_index, "MOST_ON_A_PAGE", 1)
    (write_project / "spec" / "mini" / "test_small.py").write_text(
        '"""Numbers."""\n\nfrom torch import nn\n'
        + "".join(
            f'\n\ndef test_{name}():\n    """:class:`~torch.nn.Bilinear` is {name}."""\n    nn.Sequential()\n'
            for name in ("one", "two")
        )
    )

    written = pages(read_book(write_project))

    assert "<torch.nn.Sequential/mini>` (2)" in written["api/uses/torch.nn.Sequential.rst"]
    own = written["api/uses/torch.nn.Sequential/mini.rst"]
    assert 'href="../../../spec/mini/small.html#mini.small.one"' in own
    assert "2 examples use :doc:`torch.nn.Sequential </api/torch.nn.Sequential>`." in own


def test_threads_have_a_page_for_each_part(write_project):
    (write_project / "docs" / "threads.toml").write_text(
        '["#715"]\nasked = "why?"\nclauses = ["mini.small.pair"]\n'
    )

    written = pages(read_book(write_project))

    assert ":doc:`1 more thread <questions/mini>`" in written["questions.rst"]
    assert f"* {marked('why?')} (`" in written["questions/mini.rst"]
    assert "  * :ref:`" in written["questions/mini.rst"]


def test_pages_are_light(site):
    assert [page.name for page in site.rglob("*.html") if page.stat().st_size > HEAVY] == []


def test_a_heavy_page_is_told(tmp_path, capsys):
    (tmp_path / "light.html").write_text("x" * HEAVY)
    (tmp_path / "heavy.html").write_text("x" * (HEAVY + 1))

    _weigh(SimpleNamespace(outdir=tmp_path), None)

    assert re.findall(r"(\w+)\.html has 300001 bytes", capsys.readouterr().err) == ["heavy"]


def test_bodies_have_no_markup_that_shows_nothing(site):
    page = (site / "spec" / "traversal" / "parameters.html").read_text(encoding="utf-8")
    body = page.partition("<article")[2].partition("</article>")[0]

    assert '<span class="pre">' not in body
    assert '<code class="literal notranslate">' in body


def test_the_documentation_says_what_its_verdicts_mean(site):
    overview, module = ((site / "docstrings" / f"{name}.html").read_text() for name in ("index", "module"))

    assert "<dt>misleading</dt>" in overview
    assert '<a href="index.html">What the verdicts mean</a>' in module
    assert 'href="../docstrings/module.html#doc-torch-nn-module-parameters"' in (
        (site / "api" / "torch.nn.Module.html").read_text()
    )


def test_the_strength_on_the_cpu_leads(site):
    page = (site / "strength.html").read_text(encoding="utf-8")

    assert page.index("<h2>torch 2.15.0, cpu") < page.index("<h2>torch 2.11.0, cuda")


def test_the_footer_says_who_made_it(site):
    page = (site / "index.html").read_text(encoding="utf-8")

    assert "Made by the nnspec authors, <a" in page
    assert '/blob/main/LICENSE">BSD-3-Clause license</a>. Not affiliated with PyTorch.' in page


def test_a_clause_names_the_documentation_that_says_so(site):
    page = (site / "spec" / "traversal" / "parameters.html").read_text(encoding="utf-8")

    assert 'href="../../docstrings/module.html#doc-torch-nn-module-parameters"' in page


def test_a_release_without_a_record_is_not_run(site):
    book = read_book(site.parent)
    clause = next(iter(book.specification.clauses.values()))

    assert book.outcome(clause, "2.1") == "not run"
    assert book.strip(clause)[1] == ("not run", ["2.1", "2.2", "2.3"])


def test_an_accelerator_judges_what_the_cpu_cannot(site):
    book = read_book(site.parent)
    needs_cuda = [clause for clause in book.specification.clauses.values() if ("cuda", 1) in clause.needs]

    assert needs_cuda
    assert {book.outcome(clause, "2.4") for clause in needs_cuda} == {"unmet"}
    assert {book.outcome(clause, "2.15") for clause in needs_cuda} == {"holds"}


def test_sources_lie_in_the_repository_of_the_project(site, write_project):
    clause = (site / "spec" / "traversal" / "parameters.html").read_text()
    rule = (site / "contract" / "rules" / "loading.html").read_text()

    assert 'href="https://example.org/nnspec/blob/main/spec/traversal/test_parameters.py#L' in clause
    assert 'href="https://example.org/nnspec/blob/main/nnspec/contract/rules/test_loading.py#L' in rule
    assert (
        ":id: :ref:`mini.small.pair <mini.small.pair>`\n"
        in pages(read_book(write_project))["spec/mini/small.rst"]
    )


def test_rules_have_pages_without_releases(site):
    page = (site / "contract" / "rules" / "loading.html").read_text()

    assert '<section id="loading.a_missing_key_is_refused">' in page
    assert "A class that overrides it with" in page
    assert 'class="strip"' not in page
    assert 'href="contract/rules/loading.html"' in (site / "contract.html").read_text()


def test_the_theme_loads_no_search_index(site):
    assert not (site / "searchindex.js").exists()
    assert [path for path in _pages(site) if "searchtools.js" in path.read_text()] == []


def test_programs_get_every_clause(site):
    data = json.loads((site / "clauses.json").read_text())
    clauses = {clause["id"]: clause for clause in data["clauses"]}
    specification = read_specification(site.parent)
    own = clauses["traversal.parameters.parameters_is_a_generator"]

    assert (data["schema"], list(clauses)) == (1, list(specification.clauses))
    assert own["statement"] == "Module.parameters() returns a generator."
    assert own["outcomes"]["2.15"] == "holds"
    assert own["api"] == ["torch.nn.Module.parameters"]
    exec(compile(own["example"], "<example>", "exec"), {})
    assert "](spec/traversal/parameters.html)" in (site / "llms.txt").read_text()


def test_a_page_says_what_it_is_about(site):
    page = (site / "spec" / "traversal" / "parameters.html").read_text()

    assert '<meta name="description" content="' in page
    assert "Not affiliated with PyTorch" in page
    assert list(site.rglob("*.map")) == []


def test_what_was_true_before_stands_in_the_clause_that_followed(write_project):
    (write_project / "spec" / "mini" / "test_small.py").write_text(FOLLOWED)
    (write_project / "docs" / "changes.toml").write_text(
        '["2.5"]\n[["2.5".changes]]\nwhat = "x"\nclauses = ["mini.small.new", "mini.small.old"]\n'
    )

    page = pages(read_book(write_project))["spec/mini/small.rst"]

    assert (
        page.index("Since 2.5: It is new")
        < page.index("rst-class:: past")
        < page.index("Up to 2.4: It is old")
    )
    assert "On older releases" not in page


def test_a_long_chapter_opens_in_short(write_project):
    clauses = "".join(
        f'def test_c{at}():\n    """It is {word}."""\n    assert {at} + 1\n\n\n'
        for at, word in enumerate(("one", "two", "three", "four", "five", "six", "seven", "raises"))
    )
    (write_project / "spec" / "mini" / "test_small.py").write_text('"""Numbers."""\n\n\n' + clauses)

    page = pages(read_book(write_project))["spec/mini/small.rst"]

    assert page.index(".. rubric:: In short") < page.index("It is one") < page.index("It is seven.\n---")
    assert page.index("In detail\n---") < page.index("It is raises.\n~~~")


def test_a_drawing_that_is_not_there_is_named(write_project):
    (write_project / "docs" / "site.toml").write_text('[pictures]\ncube = "mini.small.pair"\n')

    with pytest.raises(TableError, match=r"no drawing 'cube'; there are order, walks"):
        pages(read_book(write_project))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("[front]\nclause = 1\n", "front.clause is 1, expected a text"),
        ('[front]\npage = "x"\n', "front has an unknown entry 'page'"),
        ("[pictures]\norder = 1\n", "pictures.order is 1, expected a text"),
        ("[doors]\n", "the file has an unknown entry 'doors'"),
    ],
)
def test_a_site_table_that_is_not_as_asked_is_refused(write_project, table, message):
    (write_project / "docs" / "site.toml").write_text(table)

    with pytest.raises(TableError, match=message):
        read_book(write_project)


def test_lint_sees_what_tour_and_threads_name(write_project):
    docs = write_project / "docs"
    (docs / "tour.toml").write_text('["First"]\ntext = "It begins."\nclauses = ["mini.small.gone"]\n')
    (docs / "threads.toml").write_text('["#715"]\nasked = "why?"\nclauses = ["mini.small.away"]\n')

    assert list(shown_clauses_exist(read_specification(write_project))) == [
        "docs/tour.toml: [First]: there is no clause 'mini.small.gone'; name one that exists",
        "docs/threads.toml: [#715]: there is no clause 'mini.small.away'; name one that exists",
    ]


def test_a_device_that_differs_is_told_with_why(write_project):
    docs = write_project / "docs"
    run = {"torch": "2.15.0", "torchvision": "0.1", "python": "3.11", "platform": "Linux"}
    for devices, outcome in (["cpu"], "holds"), (["own (Own 1)"], "violated"):
        rows = {"mini.small.pair": Row(outcome, "0"), "mini.small.named": Row("holds", "0")}
        record.write(Record({**run, "devices": devices}, rows), docs / "records")
    (docs / "differences.toml").write_text(
        '[[own]]\nwhat = "It is far"\nwhy = "It has no `pair`."\nclauses = ["mini.small.pair"]\n'
    )

    book = read_book(write_project)
    written = pages(book)

    pair, named = (book.specification.clauses[f"mini.small.{name}"] for name in ("pair", "named"))
    assert book.outcome(pair, "2.15") == "holds"
    assert book.devices(named) == ["cpu", "own (Own 1)"]
    shown = written["spec/mini/small.rst"].splitlines()
    assert [line for line in shown if line.startswith(":not on:")] == [
        f":not on: :doc:`own </vendors>`: {marked('It has no `pair`.')}"
    ]
    said = written["_generated/differences.rst"].splitlines()
    assert said[0] == f"On {text('own (Own 1)')}, torch {text('2.15.0')} and Python {text('3.11')},"
    assert said[1] == "1 of 2 clauses are violated:"
    assert f"**It is far.** {marked('It has no `pair`.')}" in said
    assert [line for line in said if line.startswith("* :ref:")] == [
        f"* :ref:`{text(pair.plain)} <mini.small.pair>`"
    ]


def test_lint_sees_what_the_site_shows(write_project):
    (write_project / "docs" / "site.toml").write_text(
        '[front]\nclause = "mini.small.gone"\n[pictures]\norder = "mini.small.pair"\nwalks = "mini.gone"\n'
    )

    assert list(shown_clauses_exist(read_specification(write_project))) == [
        "docs/site.toml: [front] clause: there is no clause 'mini.small.gone'; name one that exists",
        "docs/site.toml: [pictures] walks: there is no clause 'mini.gone'; name one that exists",
    ]


FOLLOWED = '''"""A chapter."""

import pytest


@pytest.mark.before("2.5")
def test_old():
    """It is old."""
    assert 1


@pytest.mark.since("2.5")
def test_new():
    """It is new."""
    assert 1
'''


@pytest.fixture
def write_project(write):
    return write(CLAUSES)


def test_a_file_that_cannot_be_used_ends_a_build_with_a_line(write, tmp_path):
    root = write(CLAUSES)
    (root / "docs" / "records" / "2.4.1-cpu.json").write_text("{")

    with pytest.raises(SphinxError, match=r"2\.4\.1-cpu\.json:1: not valid JSON") as told:
        _write_pages(SimpleNamespace(srcdir=root / "docs"))
    assert told.value.category == "nnspec"
