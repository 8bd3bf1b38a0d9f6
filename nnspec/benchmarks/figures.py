"""Figures of what was measured, as SVG, each for a light and for a dark page."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from nnspec.benchmarks.report import (
    PASSES,
    TREES,
    WAYS,
    Curve,
    Fit,
    curves,
    number,
    races,
    rows_named,
    trees,
)
from nnspec.benchmarks.runs import Run
from nnspec.errors import UsageError

SIZE = 13
COUNTS = (0, 1, 10)
MARKERS = ("o", "s", "D")
PLAIN_NUMBER = "{x:,g}"


class Theme(NamedTuple):
    """The colours of a figure: of text, of what stays behind, and of what is drawn."""

    text: str
    quiet: str
    colours: tuple[str, str, str]


THEMES = {
    "": Theme("#222222", "#8a9099", ("#a3360a", "#1c6ea4", "#1f7a46")),
    "-dark": Theme("#e8e8e8", "#8a9099", ("#ffa474", "#7dbcf0", "#7fd0a0")),
}


class Picture(NamedTuple):
    """A figure: its title, and its SVG by the suffix of its theme."""

    title: str
    svg: dict[str, str]


def ensure_possible() -> None:
    """See that figures can be drawn here.

    Raises:
        UsageError: matplotlib is not installed.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError(
            "figures need matplotlib, which is not installed; install it with: pip install nnspec[docs] "
            "(tables are shown without it, if no figures are asked for)"
        )


def draw(runs: Sequence[Run]) -> dict[str, Picture]:
    """The figures that these runs give, by name.

    With several runs the figures of each carry its name, and one more shows the releases side by side.

    Raises:
        UsageError: matplotlib is not installed.
    """
    ensure_possible()
    pictures = {}
    for run in runs:
        suffix = f"-{run.title}" if len(runs) > 1 else ""
        for name, (title, paint) in FIGURES.items():
            if svg := _paint(paint, [run], f"{title}, torch {run.version}"):
                pictures[f"{name}{suffix}"] = Picture(title, svg)
    if len(runs) > 1:
        title = "What one module more costs in a wide tree, release beside release"
        if svg := _paint(_releases, runs, title):
            pictures["releases"] = Picture(title, svg)
    return pictures


Paint = Callable[[Any, Theme, Sequence[Run]], bool]


def _paint(paint: Paint, runs: Sequence[Run], title: str) -> dict[str, str]:
    """The figure in each theme; empty if the runs have nothing for it."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    drawn = {}
    for suffix, theme in THEMES.items():
        settings: Any = {
            "font.size": SIZE,
            "font.family": ["sans-serif"],
            "svg.fonttype": "none",
            "svg.hashsalt": "nnspec",
            "text.parse_math": False,
            **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), theme.text),
            "axes.edgecolor": theme.quiet,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "grid.color": theme.quiet,
            "grid.alpha": 0.3,
            "legend.frameon": False,
        }
        with matplotlib.rc_context(settings):
            figure = Figure(layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.1))
            if not paint(figure, theme, runs):
                return {}
            figure.suptitle(title, fontsize=SIZE + 4, fontweight="bold", x=0.012, ha="left")
            file = io.StringIO()
            figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        drawn[suffix] = file.getvalue()
    return drawn


def _machinery(figure: Any, theme: Theme, runs: Sequence[Run]) -> bool:
    """A row for each operation; a line from the first modules to the last where they do not cost the same."""
    grown = trees(runs[0])
    if not grown:
        return False
    costs = {(curve.operation, curve.kind): curve.fit for curve in grown}
    operations = sorted(dict.fromkeys(curve.operation for curve in grown), key=_dearest(grown))
    figure.set_size_inches(11, 0.42 * len(operations) + 2.2)
    axes = figure.subplots()
    for at, kind in enumerate(TREES):
        rows = [(row, costs[name, kind]) for row, name in enumerate(operations) if (name, kind) in costs]
        _dots(axes, [(row + (1 - at) * 0.22, fit) for row, fit in rows], theme.colours[at], MARKERS[at], kind)
    axes.set(xlabel="in calls of an empty module; a line: from the smallest trees to the largest")
    axes.grid(axis="x")
    _show_operations(axes, operations)
    return True


def _show_operations(axes: Any, operations: Sequence[str]) -> None:
    """A row for each operation, and decades of its cost."""
    axes.set(xscale="log")
    axes.set_yticks(range(len(operations)), operations)
    axes.xaxis.set_major_formatter(PLAIN_NUMBER)
    axes.legend(loc="lower right")


def _dearest(grown: Sequence[Curve]) -> Callable[[str], float]:
    wide = {curve.operation: curve.fit.slope for curve in grown if curve.kind == "wide"}
    return lambda operation: wide.get(operation, 0.0)


def _dots(axes: Any, rows: Sequence[tuple[float, Fit]], colour: str, marker: str, label: str) -> None:
    for y, fit in rows:
        if not fit.is_linear and fit.first > 0:
            axes.plot([fit.first, fit.last], [y, y], color=colour, linewidth=1.5, alpha=0.7)
    ends = [fit.slope if fit.is_linear else fit.last for _, fit in rows]
    axes.plot(ends, [y for y, _ in rows], marker, color=colour, markersize=6, label=label)


def _growth(figure: Any, theme: Theme, runs: Sequence[Run]) -> bool:
    """A small picture for each operation: cost against size, both in decades."""
    grown = trees(runs[0])
    if not grown:
        return False
    operations = list(dict.fromkeys(curve.operation for curve in grown))
    lines = -(-len(operations) // 4)
    figure.set_size_inches(13, 2.5 * lines + 1)
    grid = figure.subplots(lines, 4, sharex=True, sharey=True, squeeze=False)
    for axes in grid.flat[len(operations) :]:
        axes.set_visible(False)
    for axes, operation in zip(grid.flat, operations, strict=False):
        axes.set(xscale="log", yscale="log")
        axes.xaxis.set_major_formatter(PLAIN_NUMBER)
        axes.yaxis.set_major_formatter(PLAIN_NUMBER)
        axes.set_title(operation, fontsize=SIZE, loc="left")
        axes.grid()
        for curve in grown:
            if curve.operation == operation:
                _curve(axes, theme, curve)
    figure.supxlabel("modules; solid: the fitted line; dashed: not linear", fontsize=SIZE)
    figure.supylabel("calls of an empty module", fontsize=SIZE)
    handles, labels = grid.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=len(labels))
    return True


def _curve(axes: Any, theme: Theme, curve: Curve) -> None:
    at = TREES.index(curve.kind)
    sizes, costs = zip(*curve.points, strict=True)
    line = curve.fit
    style = "-" if line.is_linear else "--"
    fitted = [line.constant + line.slope * size for size in sizes] if line.is_linear else costs
    axes.plot(sizes, fitted, style, color=theme.colours[at], linewidth=1.2)
    axes.plot(sizes, costs, MARKERS[at], color=theme.colours[at], markersize=5, label=curve.kind)


def _ways(figure: Any, theme: Theme, runs: Sequence[Run]) -> bool:
    """A bar for each way of calling."""
    bars = [
        (operation, row.kind, row.median / base.median)
        for operation, plain in WAYS.items()
        for base in rows_named(runs[0], operation, plain)
        for row in runs[0].of(operation)
    ]
    if not bars:
        return False
    figure.set_size_inches(11, 0.38 * len(bars) + 1.6)
    axes = figure.subplots()
    colours = dict(zip(WAYS, theme.colours, strict=True))
    names = [f"{operation}: {kind}" for operation, kind, _ in bars]
    drawn = axes.barh(names, [ratio for _, _, ratio in bars], color=[colours[name] for name, _, _ in bars])
    axes.bar_label(drawn, [number(ratio) for _, _, ratio in bars], padding=4)
    axes.invert_yaxis()
    axes.set(xlabel="times the one that is 1.00")
    axes.margins(x=0.1)
    return True


def _hooks(figure: Any, theme: Theme, runs: Sequence[Run]) -> bool:
    """A row for each kind of hook: a call without, with one and with ten."""
    hooks = curves(runs[0], runs[0].of("hooks"))
    if not hooks:
        return False
    figure.set_size_inches(11, 0.45 * len(hooks) + 2)
    axes = figure.subplots()
    for row, curve in enumerate(hooks):
        axes.plot([cost for _, cost in curve.points], [row] * len(curve.points), color=theme.quiet)
    for at, count in enumerate(COUNTS):
        dots = [
            (cost, row) for row, curve in enumerate(hooks) for size, cost in curve.points if size == count
        ]
        looks: dict[str, Any] = {"color": theme.colours[at], "markersize": 8}
        label = f"{count} hook{'s' * (count != 1)}"
        axes.plot([cost for cost, _ in dots], [row for _, row in dots], MARKERS[at], label=label, **looks)
    axes.set(xscale="log", xlabel="calls of an empty module")
    axes.set_yticks(range(len(hooks)), [curve.kind for curve in hooks])
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(PLAIN_NUMBER)
    axes.grid(axis="x")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=len(COUNTS), columnspacing=1)
    return True


def _devices(figure: Any, theme: Theme, runs: Sequence[Run]) -> bool:
    """Above how many times as long the CPU takes, below what the GPU takes."""
    ran = races(runs[0])
    if not ran:
        return False
    kinds = list(dict.fromkeys(race.kind for race in ran))
    figure.set_size_inches(3.4 * len(kinds) + 1, 6.5)
    grid = figure.subplots(2, len(kinds), sharex="col", sharey="row", squeeze=False)
    for race in ran:
        above, below = grid[:, kinds.index(race.kind)]
        at = PASSES.index(race.operation)
        batches = [batch for batch, _, _ in race.batches]
        looks: dict[str, Any] = {"color": theme.colours[at], "marker": MARKERS[at], "label": race.operation}
        above.plot(batches, [cpu / other for _, cpu, other in race.batches], **looks)
        below.plot(batches, [other * 1e3 for _, _, other in race.batches], **looks)
    for kind, (above, below) in zip(kinds, grid.T, strict=True):
        batches = sorted({batch for race in ran if race.kind == kind for batch, _, _ in race.batches})
        above.set(title=kind, xscale="log", yscale="log")
        above.axhline(1, color=theme.text, linewidth=1)
        below.set(xscale="log", yscale="log", xlabel="batch")
        for axes in (above, below):
            axes.set_xticks(batches, list(map(str, batches)), minor=False)
            axes.minorticks_off()
            axes.yaxis.set_major_formatter(PLAIN_NUMBER)
            axes.grid()
    grid[0, 0].set_ylabel("CPU time / GPU time\n(above 1 the GPU wins)")
    grid[1, 0].set_ylabel("GPU time, ms")
    handles, labels = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    return True


def _releases(figure: Any, theme: Theme, runs: Sequence[Run]) -> bool:
    """A row for each operation, a dot for each release, from the oldest in grey to the newest."""
    import matplotlib
    from matplotlib.colors import LinearSegmentedColormap, to_hex

    columns = [[curve for curve in trees(run) if curve.kind == "wide"] for run in runs]
    if sum(map(bool, columns)) < 2:
        return False
    operations = sorted(
        {curve.operation for column in columns for curve in column}, key=_dearest(columns[-1])
    )
    figure.set_size_inches(11, 0.42 * len(operations) + 2.2)
    axes = figure.subplots()
    ramp = LinearSegmentedColormap.from_list("releases", [theme.quiet, theme.colours[0]])
    for at, (run, column) in enumerate(zip(runs, columns, strict=True)):
        slopes = [curve.fit.slope for curve in column]
        rows = [operations.index(curve.operation) for curve in column]
        looks: dict[str, Any] = {
            "marker": matplotlib.lines.Line2D.filled_markers[1 + at % 8],
            "color": to_hex(ramp(at / (len(runs) - 1))),
            "linestyle": "none",
        }
        axes.plot(slopes, rows, markersize=7, **looks)
        axes.plot([], [], label=run.title, **looks)
    axes.set(xlabel="in calls of an empty module of the same run")
    axes.grid(axis="both")
    _show_operations(axes, operations)
    return True


FIGURES: dict[str, tuple[str, Paint]] = {
    "machinery": ("What one module more costs", _machinery),
    "growth": ("Cost against size", _growth),
    "hooks": ("What hooks cost", _hooks),
    "ways": ("Ways of calling", _ways),
    "devices": ("CPU beside GPU", _devices),
}
