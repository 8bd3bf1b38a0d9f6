"""What a report makes of measured times: fits, tables and figures."""

import importlib.util

import pytest
from made_up_times import CALLS, HOOKS, LINEAR, SQUARE, race, timed, tree

from nnspec.benchmarks import figures, report, runs
from nnspec.cli import main


def rows(table):
    return {row[0]: list(row[1:]) for row in table.rows}


def test_a_fit_recovers_constant_and_slope():
    line = report.fit([(n, 5 + 2 * n) for n in (10, 100, 1000, 10000)])

    assert line[:2] == pytest.approx((5, 2))
    assert (line.bend, line.miss) == pytest.approx((1, 0), abs=1e-9)
    assert line.is_linear


def test_a_fit_has_the_least_relative_errors():
    points = [(10, 25), (100, 205), (1000, 2005), (10000, 40005)]

    def error(constant, slope):
        return sum(((constant + slope * n - cost) / cost) ** 2 for n, cost in points)

    line = report.fit(points)
    constant, slope = line[:2]
    others = [error(constant * a, slope * b) for a, b in ((1.01, 1), (0.99, 1), (1, 1.01), (1, 0.99))]
    assert error(constant, slope) < min(others)
    assert (line.bend > 2, line.is_linear) == (True, False)


def test_a_line_that_misses_is_not_linear():
    line = report.fit([(10, 10), (100, 100), (1000, 3000), (10000, 12000)])

    assert (line.bend, line.is_linear) == (1, False)


def test_a_fit_has_no_constant_below_nothing():
    line = report.fit([(10, 10), (30, 90), (100, 1000)])

    assert line.constant == 0
    assert line.slope > 0
    assert (line.first, line.last) == (4, 13)


def test_a_line_needs_two_sizes():
    with pytest.raises(ValueError, match="two sizes or more"):
        report.fit([(10, 5)])


def test_what_one_module_more_costs(measured):
    run = runs.read(measured([*CALLS, *LINEAR, *SQUARE]))

    table = report.machinery(run)

    assert table.header == ("Operation", "wide", "branching", "deep", "ResNet-34")
    assert rows(table) == {"parameters()": ["2.00", "–", "5.00 → 14.0", "–"]}  # noqa: RUF001


def test_resnet34_is_divided_by_its_modules(measured):
    whole = timed("bench_resnet34.py::bench_p", "parameters()", "ResNet-34", 116, 348e-6)

    table = report.machinery(runs.read(measured([*CALLS, *LINEAR, whole])))

    assert rows(table)["parameters()"][-1] == "3.00"


def test_ways_and_hooks_are_ratios(measured):
    run = runs.read(measured(CALLS + HOOKS))

    assert [row[1:] for row in report.ways(run).rows] == [("a function", "0.10"), ("a module", "1.00")]
    assert rows(report.hooks(run)) == {"forward": ["1.00", "0.70", "0.40"]}


def test_a_hook_never_costs_less_than_nothing(measured):
    times = [
        timed(f"bench_calling.py::bench_back[{n}]", "hooks", "full backward", n, time * 1e-6)
        for n, time in ((0, 20), (1, 75), (10, 74))
    ]

    assert rows(report.hooks(runs.read(measured(CALLS + times)))) == {
        "full backward": ["20.0", "55.0", "0.00"]
    }


def test_a_further_layer_is_beside_an_empty_call(measured):
    layers = [
        timed(f"bench_calling.py::bench_layers[{n}]", "layers in a row", "Sequential", n, (2 + n / 2) * 1e-6)
        for n in (1, 10, 100)
    ]

    table = report.ways(runs.read(measured(CALLS + layers)))

    assert table.rows[-1] == ("layers in a row", "each further, Sequential", "0.50")


def test_costs_stand_below_their_sizes(measured):
    table = report.growth(runs.read(measured([*CALLS, *LINEAR, *SQUARE])))

    assert table.header == ("Operation", "Tree", "10", "30", "100", "1,000", "Bend")
    assert table.rows == (
        ("parameters()", "wide", "25.0", "–", "205", "2,005", "1.00"),  # noqa: RUF001
        ("parameters()", "deep", "20.0", "120", "1,100", "–", "2.80"),  # noqa: RUF001
    )


def test_where_the_gpu_starts_to_win(measured):
    times = [
        *race("forward", {1: 1e-5, 8: 4e-5, 64: 3e-4}, {1: 2e-5, 8: 2e-5, 64: 3e-5}),
        *race("forward", {1: 3e-3, 4: 1e-2}, {1: 2e-3, 4: 2e-3}, "ResNet-34"),
        *race("training step", {1: 3e-5, 8: 1e-5}, {1: 2e-5, 8: 2e-5}),
    ]
    run = runs.read(measured(CALLS + times))

    won, shown = report.winners(run), report.devices(run)

    assert won.header == ("Work", "Linear", "ResNet-34")
    assert rows(won) == {"forward": ["from batch 8", "always"], "training step": ["never here", "–"]}  # noqa: RUF001
    assert "the CPU with all its 2 cores" in won.note
    assert shown.rows[:3] == (
        ("Linear", "1", "20 µs (0.50)", "–", "20 µs (1.50)"),  # noqa: RUF001
        ("Linear", "8", "20 µs (2.00)", "–", "20 µs (0.50)"),  # noqa: RUF001
        ("Linear", "64", "30 µs (10.0)", "–", "–"),  # noqa: RUF001
    )


def test_moves_have_a_time_and_a_rate(measured):
    name = "bench_moving.py::bench_x"
    times = [
        timed(f"{name}[1]", "move to the GPU", "ResNet-34", 87_000_000, 0.012, "cuda"),
        timed(f"{name}[2]", "move to the GPU", "a tensor, pinned", 2**10, 1e-5, "cuda"),
        timed(f"{name}[3]", "move to the CPU", "a tensor, pinned", 2**10, 2e-5, "cuda"),
    ]

    table = report.transfers(runs.read(measured(times)))

    assert table.header == ("What moves", "Size", "to the GPU", "GB/s", "to the CPU", "GB/s")
    assert table.rows == (
        ("ResNet-34", "83 MiB", "12 ms", "7.25", "–", "–"),  # noqa: RUF001
        ("a tensor, pinned", "1 KiB", "10 µs", "0.10", "20 µs", "0.05"),
    )


def test_data_parallel_is_beside_the_plain_network(measured):
    name = "bench_devices.py::bench_x"
    times = [
        timed(f"{name}[1]", "DataParallel", "Linear, plain", 8, 2e-5, "cuda"),
        timed(f"{name}[2]", "DataParallel", "Linear, device_ids=[0]", 8, 5e-5, "cuda"),
        timed(f"{name}[3]", "DataParallel", "Linear, device_ids=[0, 0]", 8, 3e-4, "cuda"),
        timed(f"{name}[4]", "DataParallel", "ResNet-34, device_ids=[0]", 4, 3e-4, "cuda"),
    ]

    table = report.data_parallel(runs.read(measured(times)))

    assert table.header == ("Network", "Batch", "plain", "device_ids=[0]", "device_ids=[0, 0]")
    assert table.rows == (("Linear", "8", "20 µs", "2.50", "15.0"),)


def test_two_stopwatches_stand_side_by_side(measured):
    benchmark = timed("bench_timer.py::bench_t[8]", "two stopwatches", "Linear", 8, 2e-5, timer=2.1e-5)

    table = report.stopwatches(runs.read(measured([benchmark])))

    assert table.rows == (("Linear, 8", "+5.0%"),)


def test_releases_stand_side_by_side(measured, capsys):
    new = measured([*CALLS, *LINEAR, *SQUARE])
    old = measured([*CALLS, *tree("parameters()", "wide", {10: 35, 100: 305})], "2.0.1", "old.json")

    assert main(["bench-report", str(new), str(old)]) == 0
    shown = capsys.readouterr().out.partition("Release beside release")[2].splitlines()
    assert [line.split() for line in shown if line.startswith(("Operation", "parameters"))] == [
        ["Operation", "2.0.1-cpu", "2.15.0-cpu"],
        ["parameters()", "3.00", "2.00"],
    ]


def test_without_the_empty_call_the_report_says_what_it_lacks(measured, capsys):
    assert main(["bench-report", str(measured(LINEAR))]) == 0
    shown = capsys.readouterr().out
    assert "left out: no ratios of the machinery: the call of an empty module was not measured" in shown
    assert "left out: no GPU beside the CPU" in shown


def test_figures_are_drawn_for_light_and_dark(measured, tmp_path, capsys):
    races = race("forward", {1: 1e-5, 8: 4e-5}, {1: 2e-5, 8: 2e-5})
    file = measured([*CALLS, *HOOKS, *LINEAR, *SQUARE, *races])

    assert main(["bench-report", str(file), "--output", str(tmp_path / "figures")]) == 0
    names = sorted(path.name for path in (tmp_path / "figures").iterdir())
    drawn = ["devices", "growth", "hooks", "machinery", "ways"]
    assert names == sorted(f"{name}{theme}.svg" for name in drawn for theme in ("", "-dark"))
    light, dark = ((tmp_path / "figures" / f"growth{theme}.svg").read_text() for theme in ("", "-dark"))
    assert ["parameters()" in light, "#222222" in light, "#222222" in dark] == [True, True, False]
    assert [">1,000<" in light, "$" in light] == [True, False]
    assert "figure: " in capsys.readouterr().out


def test_figures_are_the_same_each_time(measured):
    times = [runs.read(measured([*CALLS, *LINEAR]))]

    assert figures.draw(times) == figures.draw(times)


def test_a_dollar_in_a_name_is_no_formula(measured):
    times = [runs.read(measured([*CALLS, *tree("$\\foo$", "wide", {10: 25, 100: 205})]))]

    assert "$\\foo$" in figures.draw(times)["machinery"].svg[""]


def test_figures_need_matplotlib(measured, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    command = ["bench-report", str(measured(CALLS)), "--output", str(tmp_path / "figures")]

    assert main(command) == 2
    assert "figures need matplotlib, which is not installed" in capsys.readouterr().err
    assert not (tmp_path / "figures").exists()
    assert main(command[:2]) == 0


@pytest.mark.parametrize("option", ["--output", "--record"])
def test_a_folder_that_cannot_be_written_is_named(measured, tmp_path, capsys, option):
    (tmp_path / "file").write_text("")

    assert main(["bench-report", str(measured([*CALLS, *LINEAR])), option, str(tmp_path / "file")]) == 2
    told = capsys.readouterr()
    assert f"{tmp_path / 'file'}: nothing can be written here: it is no folder" in told.err
    assert told.out == ""
