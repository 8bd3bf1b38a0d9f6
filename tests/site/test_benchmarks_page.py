"""The page of the benchmarks: tables and figures of what was measured."""

from pathlib import Path
from types import SimpleNamespace

from nnspec.benchmarks import runs
from nnspec.site import benchmarks_page


def measure(version: str, device: str = "cpu") -> runs.Run:
    """A run in which one module more costs two empty calls and a GPU is twice as fast as the CPU."""
    header = {"torch": version, "python": "3.11", "platform": "Linux", "devices": ["cpu"], "cores": 2}
    costs = {10: 25e-6, 100: 205e-6, 1000: 2005e-6}
    rows = [runs.Row("calling.a", "an empty call", "a module", None, "cpu", 1e-6, 1e-7, 7)]
    rows += [
        runs.Row(f"walking.a[{size}]", "parameters()", "wide", size, "cpu", cost, 1e-7, 7)
        for size, cost in costs.items()
    ]
    if device != "cpu":
        header["devices"] = ["cpu", f"{device} (Fast 1)"]
        rows += [
            runs.Row(f"devices.a[{name}]", "forward", "Linear", 8, name, time, 1e-7, 7)
            for name, time in (("cpu", 6e-5), (device, 3e-5))
        ]
    return runs.Run({**header, "date": "2026-01-02"}, tuple(rows))


def pages(folder: Path, *measured: runs.Run) -> dict[str, str]:
    for run in measured:
        runs.write(run, folder)
    book = SimpleNamespace(specification=SimpleNamespace(records_folder=folder), repository="")
    written = benchmarks_page.pages(book)
    return {**written, "benchmarks.rst": written["benchmarks.rst"].replace("\\", "")}


def test_a_run_is_shown_with_ratios_and_figures(tmp_path):
    written = pages(tmp_path, measure("2.15.0"))

    page = written["benchmarks.rst"]
    assert "Measured on torch 2.15.0, Python 3.11" in page
    assert "     - 2.00\n" in page
    assert [f'src="_static/bench-machinery{theme}.svg"' in page for theme in ("", "-dark")] == [True, True]
    assert "_generated/static/bench-machinery-dark.svg" in written


def test_the_gpu_comes_first(tmp_path):
    written = pages(tmp_path, measure("2.11.0", "cuda"), measure("2.15.0"))

    page = written["benchmarks.rst"]
    said = [
        *("Fast 1 beside a CPU with 2 cores, torch 2.11.0, 2026-01-02.", "     - always\n"),
        *('src="_static/bench-devices-2.11.0-cuda.svg"', "     - 30 µs (2.00)\n"),
        *(
            "Measured on torch 2.15.0",
            'src="_static/bench-machinery-2.15.0-cpu.svg"',
            "Release beside release",
        ),
    ]
    assert [text for text in said if text not in page] == []
    assert sorted(said, key=page.index) == said
    assert "not been measured" not in page
    assert {name for name in written if "machinery" in name and "2.11" in name} == set()


def test_several_gpus_are_told_apart(tmp_path):
    page = pages(tmp_path, measure("2.11.0", "cuda"), measure("2.15.0", "mps"))["benchmarks.rst"]

    assert ["On the GPU: cuda\n----" in page, "On the GPU: mps\n----" in page] == [True, True]


def test_without_a_gpu_the_page_says_so_and_how_to_measure_it(tmp_path):
    page = pages(tmp_path, measure("2.15.0"))["benchmarks.rst"]

    told = page.partition("On the GPU\n")[2].partition("What the machinery costs")[0]
    assert "The GPU has not been measured yet" in told
    assert "``python -m nnspec measure OUT``" in told
    assert "list-table" not in told


def test_the_page_shows_releases_side_by_side(tmp_path):
    page = pages(tmp_path, measure("2.0.1"), measure("2.15.0"))["benchmarks.rst"]

    beside = page.partition("Release beside release\n")[2]
    assert 'src="_static/bench-releases.svg"' in beside
    assert "   * - Operation\n     - 2.0.1-cpu\n     - 2.15.0-cpu\n" in beside


def test_nothing_measured_says_how_to(tmp_path):
    assert "tox -e bench" in pages(tmp_path)["benchmarks.rst"]
