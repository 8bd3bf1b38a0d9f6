"""The page of the benchmarks: tables and figures of what was measured."""

from pathlib import Path
from types import SimpleNamespace

from nnspec.benchmarks import runs
from nnspec.site import benchmarks_page


def measure(version: str) -> runs.Run:
    """A run in which one module more costs two empty calls."""
    header = {"torch": version, "python": "3.11", "platform": "Linux", "devices": ["cpu"], "cores": 2}
    costs = {10: 25e-6, 100: 205e-6, 1000: 2005e-6}
    rows = [runs.Row("calling.a", "an empty call", "a module", None, "cpu", 1e-6, 1e-7, 7)]
    rows += [
        runs.Row(f"walking.a[{size}]", "parameters()", "wide", size, "cpu", cost, 1e-7, 7)
        for size, cost in costs.items()
    ]
    return runs.Run({**header, "date": "2026-01-02"}, tuple(rows))


def pages(folder: Path, *versions: str) -> dict[str, str]:
    for version in versions:
        runs.write(measure(version), folder)
    book = SimpleNamespace(specification=SimpleNamespace(records_folder=folder), repository="")
    written = benchmarks_page.pages(book)
    return {**written, "benchmarks.rst": written["benchmarks.rst"].replace("\\", "")}


def test_a_run_is_shown_with_ratios_and_figures(tmp_path):
    written = pages(tmp_path, "2.15.0")

    page = written["benchmarks.rst"]
    assert "torch 2.15.0-cpu\n----" in page
    assert "     - 2.00\n" in page
    assert [f'src="_static/bench-machinery{theme}.svg"' in page for theme in ("", "-dark")] == [True, True]
    assert "_generated/static/bench-machinery-dark.svg" in written


def test_the_page_shows_releases_side_by_side(tmp_path):
    page = pages(tmp_path, "2.0.1", "2.15.0")["benchmarks.rst"]

    assert (
        page.index("Release beside release") < page.index("torch 2.0.1-cpu") < page.index("torch 2.15.0-cpu")
    )
    assert 'src="_static/bench-releases.svg"' in page
    assert 'src="_static/bench-machinery-2.0.1-cpu.svg"' in page


def test_nothing_measured_says_how_to(tmp_path):
    assert "tox -e bench" in pages(tmp_path)["benchmarks.rst"]
