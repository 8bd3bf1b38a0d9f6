"""The site in a real browser: Debian's Chromium, driven from Python, from files and without a network."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from site_builder import HTML

from nnspec.clauses.specification import read_specification
from nnspec.records import comparison
from nnspec.records.comparison import find_record
from nnspec.site import example

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
AXE = Path(__file__).parent / "axe" / "axe.min.js"
PAGES = (
    "index.html",
    "run.html",
    "spec/index.html",
    "spec/traversal/index.html",
    "spec/traversal/parameters.html",
    "spec/traversal/resnet34.html",
    "spec/calling/order.html",
    "spec/parallel/data_parallel.html",
    "upgrade/index.html?from=2.4&to=2.5",
    "upgrade/2.4-2.5.html",
    "releases.html",
    "api/index.html",
    "api/torch.nn.Module.html",
    "claims.html",
    "questions.html",
    "benchmarks.html",
    "strength.html",
    "contract.html",
    "contract/rules/index.html",
    "contract/rules/loading.html",
    "search.html?q=zero_grad",
    "tour.html",
    "evidence.html",
    "machines.html",
    "docstrings/index.html",
    "docstrings/module.html",
    "docstrings/wrong.html",
    "docstrings/wrong/module.html",
    "api/uses/torch.nn.Sequential.html",
)

pytestmark = pytest.mark.skipif(
    not os.path.exists(CHROMIUM), reason=f"no {CHROMIUM}; install Debian's package chromium"
)


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, site):
    """Opens a page of the site; what the console and the network told is in ``page.told``."""
    contexts = []

    def open_page(name, width=1440, theme="light"):
        context = browser.new_context(viewport={"width": width, "height": 900})
        contexts.append(context)
        context.add_init_script(f"localStorage.mode = localStorage.theme = '{theme}'")
        page = context.new_page()
        page.told = []
        page.on("console", lambda message: message.type == "error" and page.told.append(message.text))
        page.on("pageerror", lambda error: page.told.append(str(error)))
        page.on("request", lambda request: _is_foreign(request.url) and page.told.append(request.url))
        page.on("dialog", lambda dialog: page.told.append(dialog.message))
        page.goto(f"{site.as_uri()}/{name}")
        return page

    yield open_page
    for context in contexts:
        context.close()


def _is_foreign(url):
    return not url.startswith(("file:", "data:", "blob:"))


@pytest.mark.parametrize("name", PAGES)
def test_page_opens_quietly_and_nothing_overflows(opened, name):
    page = opened(name)
    page.wait_for_function("document.readyState === 'complete'")
    for width in (360, 768, 1440):
        page.set_viewport_size({"width": width, "height": 900})
        over = page.evaluate(
            """Math.max(...[document.documentElement, ...document.querySelectorAll(".sidebar-secondary-item")]
                .map(box => box.scrollWidth - box.clientWidth))"""
        )

        assert page.told == []
        assert over <= 0, f"{name} is {over} pixels too wide at {width}"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing_serious(opened, name, theme):
    page = opened(name, theme=theme)
    page.add_script_tag(path=AXE)
    found = page.evaluate(
        "axe.run(document, {resultTypes: ['violations']}).then(result => result.violations)"
    )

    assert [
        f"{one['id']}: {one['nodes'][0]['html'][:200]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ] == []


@pytest.mark.parametrize(
    ("query", "anchor"),
    [
        ("zero_grad", "#gradients.zero_grad."),
        ("state.load_state_dict.", "#state.load_state_dict."),
        ("traversal.parameters.parameters_is_a_generator", "#traversal.parameters.parameters_is_a_generator"),
        ("parameters returns generator", "#traversal.parameters.parameters_is_a_generator"),
        ("torch.nn.Module.zero_grad", "#torch.nn.Module.zero_grad"),
        ("paramters generatr", "#traversal.parameters."),
        ("initialise", "#registration."),
        ('Missing key(s) in state_dict: "fc.weight"', "#state.strict."),
    ],
)
def test_search_leads_to_the_clause(opened, query, anchor):
    page = opened(f"search.html?q={query}")
    page.wait_for_selector("#search-results li a")
    links = page.eval_on_selector_all("#search-results li a", "links => links.map(link => link.href)")

    assert any(anchor in link for link in links[:5]), links[:5]
    first = page.locator("#search-results li").first
    assert "raize" not in page.inner_text("#search-results")
    assert first.get_attribute("data-id")
    assert "found: " in first.inner_text()


def test_the_search_page_loads_its_index_only_when_asked(opened):
    loaded = "[...document.scripts].filter(script => script.src.includes('search-data')).length"
    empty = opened("search.html")
    empty.wait_for_timeout(300)

    assert empty.evaluate(loaded) == 0
    empty.fill("main form input", "zero_grad")
    empty.click("main form button")
    empty.wait_for_selector("#search-results li a")
    assert empty.evaluate(loaded) == 1


def test_a_search_for_nothing_known_says_so(opened):
    page = opened("search.html?q=zzzqqqxxx")
    page.wait_for_selector("#search-results p")
    page.wait_for_function("!document.querySelector('#search-results').innerText.includes('Searching')")

    assert "Nothing has any of these words" in page.inner_text("#search-results")


def test_upgrade_shows_the_rows_of_compare(opened, site):
    records = site.parent / "docs" / "records"
    before, after = (find_record(records, release) for release in ("2.4", "2.5"))
    expected = comparison.compare(before, after, read_specification(site.parent).clauses)
    page = opened("upgrade/index.html?from=2.4&to=2.5")

    shown = page.eval_on_selector_all(
        "#comparison ul[data-group] li",
        "items => items.map(item => [item.parentNode.dataset.group, item.dataset.clause])",
    )
    assert shown == [
        [title, change.id]
        for title, changes in (
            ("No longer holds", expected.no_longer_holds),
            ("Newly holds", expected.newly_holds),
            ("Added", expected.added),
            ("Retired", expected.retired),
        )
        for change in changes
    ]
    unjudged = f"Not judged on both sides: {len(expected.not_judged)}."
    assert f"The same on both sides: {expected.same}. {unjudged}" in page.inner_text("#comparison")
    plain = opened("upgrade/2.4-2.5.html").text_content("article")
    assert [change.statement in plain for change in expected.no_longer_holds] == [True] * len(
        expected.no_longer_holds
    )


def test_a_choice_goes_into_the_address(opened):
    page = opened("upgrade/index.html")
    page.select_option("select[name=from]", "2.0")
    page.select_option("select[name=to]", "2.15")
    page.click("#choose button")

    page.wait_for_url("**/upgrade/index.html?from=2.0&to=2.15")
    assert page.inner_text("#comparison h2") == "From 2.0 to 2.15"
    assert "The records: 2.0.1-cpu and 2.15.0-cpu." in page.inner_text("#comparison")


CHANGES = "#comparison ul.changes li:not(li li)"


def test_what_somebody_uses_keeps_the_changes_that_speak_of_it(opened):
    page = opened("upgrade/index.html?from=2.4&to=2.5")
    assert page.locator(CHANGES).count() == 2
    assert page.inner_text("#kept") == ""

    page.fill("input[name=uses]", "torch.load(), nn.Linear")
    assert page.inner_text("#kept") == "Of 2 changes 1 speaks of load, Linear."
    assert page.inner_text(CHANGES) == "2.5 torch.load warns."
    rows = page.eval_on_selector_all(
        "#comparison li[data-clause] a", "links => links.map(link => link.textContent)"
    )
    assert [row for row in rows if "load" not in row and "Linear" not in row] == []

    page.fill("input[name=uses]", "module._parameters")
    page.click("#choose button")
    page.wait_for_url("**/upgrade/index.html?from=2.4&to=2.5&uses=module._parameters")
    assert page.inner_text("#kept") == "Of 2 changes 1 speaks of _parameters."
    assert page.locator(CHANGES).count() == 1

    page.fill("input[name=uses]", "param")
    assert page.inner_text("#kept") == "Of 2 changes none speaks of param."


def test_the_links_of_the_header_have_a_name(opened):
    page = opened("index.html")

    assert page.get_by_role("navigation", name="Site").count() == 1
    unnamed = "boxes => boxes.filter(box => !box.ariaLabel && !box.getAttribute('aria-labelledby')).length"
    assert page.eval_on_selector_all("nav", unnamed) == 0


def test_the_matrix_stays_as_it_came(opened):
    cells = "[...document.querySelectorAll('.matrix tbody tr')].map(row => row.innerHTML).sort()"
    page = opened("releases.html")
    came = page.evaluate(cells)
    page.fill("input[name=words]", " ")
    page.evaluate("document.querySelector('.matrix tbody tr').id = 'old'")
    page.wait_for_function("!document.getElementById('old')")

    assert [row.replace(' scope="row"', "") for row in page.evaluate(cells)] == [
        row.replace(' scope="row"', "").strip() for row in came
    ]


def test_the_matrix_is_filtered(opened):
    page = opened("releases.html")
    page.check("input[name=all]")
    page.fill("input[name=words]", "generator")
    page.select_option("select[name=part]", "traversal")
    page.wait_for_function(  # the rows of before stay until typing has paused
        """() => {
            const ids = [...document.querySelectorAll(".matrix tbody a")].map(link => link.hash);
            return ids.some(id => id.endsWith(".parameters_is_a_generator"))
                && ids.every(id => id.startsWith("#traversal."));
        }"""
    )


def test_header_and_first_column_of_the_matrix_stay(opened):
    page = opened("releases.html", width=360)
    page.check("input[name=all]")
    page.wait_for_function("document.querySelectorAll('.matrix tbody tr').length > 60")
    page.eval_on_selector(".matrix", "box => box.scrollTo(300, 300)")
    places = page.evaluate(
        """() => {
            const box = document.querySelector(".matrix").getBoundingClientRect();
            const head = document.querySelector(".matrix thead th").getBoundingClientRect();
            const row = document.querySelector(".matrix tbody th").getBoundingClientRect();
            return [head.top - box.top, row.left - box.left];
        }"""
    )

    assert max(map(abs, places)) <= 2


def test_a_permalink_lands_on_its_clause(opened):
    page = opened("spec/traversal/parameters.html#traversal.parameters.parameters_is_a_generator")
    page.wait_for_timeout(300)
    top = page.eval_on_selector(":target", "section => section.getBoundingClientRect().top")

    assert 0 <= top < 300


def test_copy_gives_the_example(opened, site):
    specification = read_specification(site.parent)
    clause = specification.clauses["traversal.parameters.parameters_is_a_generator"]
    page = opened("spec/traversal/parameters.html")
    page.evaluate(
        "navigator.clipboard.writeText = text => { window.copied = text; return Promise.resolve(); }"
    )
    page.evaluate("document.execCommand = () => { window.copied = `${getSelection()}`; return true; }")
    section = page.locator(f'section[id="{clause.id}"]')
    section.hover()
    section.locator("button.copybtn").first.click(force=True)

    copied = page.evaluate("window.copied").strip()
    chapter = specification.chapter_of(clause)
    assert copied == f"{example.preamble(chapter)}\n\n{example.example(clause, chapter)}".strip()


@pytest.mark.parametrize(
    "name", ["index.html", "spec/state/load_state_dict.html", "releases.html", "api/index.html"]
)
def test_every_link_and_button_can_be_reached_on_a_phone(opened, name):
    out_of_reach = opened(name, width=360).evaluate(
        """() => {
            const scrolls = (one) => one && (one.scrollWidth > one.clientWidth + 1 &&
                ["auto", "scroll"].includes(getComputedStyle(one).overflowX) || scrolls(one.parentElement));
            return [...document.querySelectorAll("main a, main button, main summary")]
                .filter(one => one.checkVisibility() && one.getClientRects().length)
                .filter(one => one.getBoundingClientRect().right > innerWidth + 1)
                .filter(one => !scrolls(one.parentElement))
                .map(one => one.outerHTML.slice(0, 120));
        }"""
    )

    assert out_of_reach == []


@pytest.mark.parametrize("width", [360, 1440])
def test_no_code_needs_sideways_scrolling(opened, width):
    for name in ("spec/state/load_state_dict.html", "spec/calling/order.html", "tour.html", "index.html"):
        wide = opened(name, width=width).eval_on_selector_all(
            "article pre", "blocks => blocks.filter(one => one.scrollWidth > one.clientWidth).length"
        )
        assert wide == 0, name


def test_html_in_claims_and_records_runs_nothing(opened):
    for name in ("claims.html", "releases.html", "index.html", "upgrade/index.html?from=2.15.0-cuda&to=2.15"):
        page = opened(name)
        assert page.told == []
        assert page.locator("img[src=x]").count() == 0
    assert HTML in opened("claims.html").inner_text("article").replace("\N{NO-BREAK SPACE}", " ")


def test_a_screen_reader_hears_how_much_was_found(opened):
    page = opened("search.html?q=zero_grad")
    page.wait_for_selector("#search-results li a")

    assert "answers, the best first" in page.inner_text("#search-results [role=status]")
    assert page.locator("[aria-live]:has(li)").count() == 0


def test_the_clauses_of_the_tour_are_headings(opened):
    page = opened("tour.html")

    assert page.locator("h3 a[href*='spec/']").count() > 5
    assert page.locator("h1, [role=heading][aria-level='1']").count() == 1


def test_entries_of_the_contents_are_as_tall_as_their_words(opened):
    gaps = opened("tour.html").eval_on_selector_all(
        "#pst-page-toc-nav li",
        "all => all.map(one => one.offsetHeight - one.firstElementChild.offsetHeight)",
    )

    assert gaps == [0] * len(gaps) != []


def test_a_finger_finds_the_number_of_a_clause(opened):
    sizes = opened("docstrings/module.html", width=360).eval_on_selector_all(
        ".documented a",
        "all => all.map(one => one.getBoundingClientRect()).map(box => [box.width, box.height])",
    )

    assert [size for size in sizes if min(size) < 24] == []


def test_ids_are_unique_on_a_page(opened):
    for name in ("index.html", "spec/calling/order.html"):
        ids = opened(name).eval_on_selector_all("[id]", "all => all.map(one => one.id)")
        assert [one for one, count in Counter(ids).items() if count > 1] == []
