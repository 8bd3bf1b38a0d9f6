"""What times say: cost against size, ways of calling, CPU beside GPU, release beside release.

The unit is one call of an empty module in the same run, so that what is shown is a ratio and no property of
the machine. Only what a GPU takes is shown in seconds.
"""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from nnspec.benchmarks.runs import Row, Run

TREES = ("wide", "branching", "deep")
NETWORK = "ResNet-34"
WAYS = {"an empty call": "a module", "three layers": "by hand", "a small linear layer": "plain"}
PASSES = ("forward", "forward and backward", "training step")
MOVES = ("to the GPU", "to the CPU")

#: A cost counts as linear as long as the last modules cost at most so many times what the first ones do, and
#: the line misses no cost by more than such a part of it.
LINEAR = 1.5
MISS = 0.25
NONE = "–"  # noqa: RUF001


class Fit(NamedTuple):
    """A line through costs at several sizes.

    Attributes:
        constant: cost at size 0.
        slope: what one more costs.
        first: what one more costs between the two smallest sizes.
        last: what one more costs between the two largest sizes.
        miss: how far the line misses a cost at most, as a part of the cost.
    """

    constant: float
    slope: float
    first: float
    last: float
    miss: float

    @property
    def bend(self) -> float:
        """How many times what one more costs at first it costs in the end."""
        return self.last / self.first if self.first > 0 else float("inf")

    @property
    def is_linear(self) -> bool:
        return 1 / LINEAR <= self.bend <= LINEAR and self.miss <= MISS


def fit(points: Sequence[tuple[int, float]]) -> Fit:
    """The line with the least relative errors through costs at two sizes or more.

    Each squared error is divided by the square of the cost, for sizes span decades and the largest would
    otherwise decide alone. A constant below 0 is taken as 0.

    Args:
        points: size and cost, smallest size first.

    Raises:
        ValueError: fewer than two sizes.
    """
    if len({size for size, _ in points}) < 2:
        raise ValueError(f"a line needs two sizes or more, not {len(points)}")
    weighted = [(cost**-2, size, cost) for size, cost in points]
    weight = sum(w for w, _, _ in weighted)
    size, cost = sum(w * n for w, n, _ in weighted) / weight, sum(w * c for w, _, c in weighted) / weight
    spread = sum(w * (n - size) ** 2 for w, n, _ in weighted)
    slope = sum(w * (n - size) * (c - cost) for w, n, c in weighted) / spread
    constant = cost - slope * size
    if constant < 0:
        constant = 0.0
        slope = sum(w * n * c for w, n, c in weighted) / sum(w * n * n for w, n, _ in weighted)
    miss = max(abs(constant + slope * n - c) / c for n, c in points)
    return Fit(constant, slope, _step(points[0], points[1]), _step(points[-2], points[-1]), miss)


def _step(before: tuple[int, float], after: tuple[int, float]) -> float:
    return (after[1] - before[1]) / (after[0] - before[0])


class Curve(NamedTuple):
    """Costs of an operation on one kind of thing at growing sizes, in empty calls, and the line through."""

    operation: str
    kind: str
    points: tuple[tuple[int, float], ...]
    fit: Fit


class Race(NamedTuple):
    """The same work on the CPU and on another device.

    Attributes:
        operation, kind: what is done on what.
        batches: batch size, seconds on the CPU, seconds on the device.
    """

    operation: str
    kind: str
    batches: tuple[tuple[int, float, float], ...]

    @property
    def won(self) -> str:
        """From which batch on the device is faster, in words."""
        faster = list(itertools.takewhile(lambda batch: batch[2] < batch[1], reversed(self.batches)))
        if not faster:
            return "never here"
        return "always" if len(faster) == len(self.batches) else f"from batch {faster[-1][0]}"


class Table(NamedTuple):
    """A table of a report: what it shows, how to read it, a header and rows of text."""

    title: str
    note: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def unit(run: Run) -> float | None:
    """Seconds that a call of an empty module took in this run, None if it was not measured."""
    rows = rows_named(run, "an empty call", "a module")
    return rows[0].median if rows else None


def curves(run: Run, rows: Iterable[Row]) -> list[Curve]:
    """The growing costs among some rows of a run, in empty calls; none if the empty call was not measured."""
    empty_call = unit(run)
    costs: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for row in rows:
        if empty_call is not None and row.size is not None and row.device == "cpu":
            costs.setdefault((row.operation, row.kind), []).append((row.size, row.median / empty_call))
    return [
        Curve(operation, kind, tuple(sorted(points)), fit(sorted(points)))
        for (operation, kind), points in costs.items()
        if len(points) > 1
    ]


def trees(run: Run) -> list[Curve]:
    """The cost of each operation on trees of growing size."""
    return curves(run, [row for row in run.rows if row.kind in TREES])


def rows_named(run: Run, operation: str, kind: str) -> list[Row]:
    """The rows of an operation on one kind of thing, on the CPU."""
    return [row for row in run.of(operation) if row.kind == kind and row.device == "cpu"]


def races(run: Run) -> list[Race]:
    """What was measured on the CPU and on another device as well."""
    ran = []
    for operation in PASSES:
        rows = [row for row in run.of(operation) if row.size is not None]
        for kind in dict.fromkeys(row.kind for row in rows):
            cpu, other = (
                {row.size or 0: row for row in rows if row.kind == kind and (row.device == "cpu") is on_cpu}
                for on_cpu in (True, False)
            )
            both = sorted(cpu.keys() & other.keys())
            batches = tuple((size, cpu[size].median, other[size].median) for size in both)
            if batches:
                ran.append(Race(operation, kind, batches))
    return ran


def number(value: float) -> str:
    """A ratio as one reads it: two or three digits that count."""
    if value >= 99.5:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 9.95 else f"{value:.2f}"


def seconds(value: float) -> str:
    """A time with its unit."""
    for factor, word in ((1, "s"), (1e3, "ms"), (1e6, "µs")):
        if value * factor >= 1:
            return f"{value * factor:.3g} {word}"
    return f"{value * 1e9:.3g} ns"


def amount(size: int) -> str:
    """A number of bytes with its unit."""
    return f"{size / 2**20:.3g} MiB" if size >= 2**20 else f"{size / 2**10:.3g} KiB"


def tables(runs: Sequence[Run]) -> list[Table]:
    """All tables that a report of these runs has; a run without the empty call has only some."""
    shown = []
    for run in runs:
        where = f" ({run.title})" if len(runs) > 1 else ""
        for make in ON_GPU | MACHINERY:
            table = make(run)
            if table.rows:
                shown.append(table._replace(title=table.title + where))
    if len(runs) > 1:
        shown.append(releases(runs))
    return shown


def machinery(run: Run) -> Table:
    """What one module more costs in each operation."""
    by_operation: dict[str, dict[str, Curve]] = {}
    for curve in trees(run):
        by_operation.setdefault(curve.operation, {})[curve.kind] = curve
    empty_call = unit(run) or 1.0
    network = {row.operation: row for row in run.rows if row.kind == NETWORK}
    rows = []
    for operation, kinds in by_operation.items():
        cells = [slope(kinds[kind].fit) if kind in kinds else NONE for kind in TREES]
        row = network.get(operation)
        whole = number(row.median / empty_call / row.size) if row and row.size else NONE
        rows.append((operation, *cells, whole))
    note = (
        "In calls of an empty module, measured in the same run. The cost is fitted as a constant and a part "
        "for each module, with the least relative errors. A → B: not linear, one module more costs A in the "
        f"smallest trees and B in the largest. {NETWORK}: the whole divided by its modules."
    )
    return Table("What one module more costs", note, ("Operation", *TREES, NETWORK), tuple(rows))


def slope(line: Fit) -> str:
    """What one more costs; two numbers where it is not the same at all sizes."""
    return number(line.slope) if line.is_linear else f"{number(max(line.first, 0))} → {number(line.last)}"


def growth(run: Run) -> Table:
    """The costs themselves at each size."""
    grown = trees(run)
    sizes = sorted({size for curve in grown for size, _ in curve.points})
    rows = []
    for curve in grown:
        costs = {size: number(cost) for size, cost in curve.points}
        cells = [costs.get(size, NONE) for size in sizes]
        rows.append((curve.operation, curve.kind, *cells, f"{curve.fit.bend:.2f}"))
    note = (
        "In calls of an empty module, at each number of modules. Bend: how many times what one module more "
        f"costs in the smallest trees it costs in the largest. Up to {LINEAR} counts as linear, if the line "
        f"also misses no cost by more than {MISS:.0%}."
    )
    header = ("Operation", "Tree", *(f"{size:,}" for size in sizes), "Bend")
    return Table("Cost against size", note, header, tuple(rows))


def ways(run: Run) -> Table:
    """One way of calling beside another."""
    rows = []
    for operation, plain in WAYS.items():
        base = rows_named(run, operation, plain)
        on_cpu = [row for row in run.of(operation) if row.device == "cpu"]
        if base:
            rows += [(operation, row.kind, number(row.median / base[0].median)) for row in on_cpu]
    for curve in curves(run, run.of("layers in a row")):
        rows.append((curve.operation, f"each further, {curve.kind}", number(curve.fit.last)))
    note = (
        "Each beside the one that is 1.00, measured in the same run; a further layer beside the call of an "
        "empty module."
    )
    return Table("Ways of calling", note, ("What is called", "How", "Ratio"), tuple(rows))


def hooks(run: Run) -> Table:
    """What the first hook of a kind and each further one add to a call."""
    rows = []
    for curve in curves(run, run.of("hooks")):
        added = (max(cost, 0) for cost in (curve.fit.first, curve.fit.last))
        rows.append((curve.kind, *map(number, (curve.points[0][1], *added))))
    header = ("Kind of hook", "A call without", "First hook adds", "Each further adds")
    note = (
        "In calls of an empty module. For backward hooks the call is one with the way back through it. What "
        "is lost in the noise counts as 0."
    )
    return Table("What hooks cost", note, header, tuple(rows))


def winners(run: Run) -> Table:
    """From which batch on the GPU wins."""
    ran = {(race.operation, race.kind): race.won for race in races(run)}
    kinds = dict.fromkeys(kind for _, kind in ran)
    works = dict.fromkeys(operation for operation, _ in ran)
    rows = [(work, *(ran.get((work, kind), NONE) for kind in kinds)) for work in works]
    note = (
        f"The batch from which on the GPU is faster than the CPU with all its {run.run['cores']} cores. "
        "Always: with every batch that was measured; never here: not with the largest of them."
    )
    return Table("Where the GPU wins", note, ("Work", *kinds), tuple(rows))


def devices(run: Run) -> Table:
    """CPU beside GPU at each batch."""
    cells: dict[tuple[str, int], dict[str, str]] = {}
    for race in races(run):
        for batch, cpu, other in race.batches:
            shown = f"{seconds(other)} ({number(cpu / other)})"
            cells.setdefault((race.kind, batch), {})[race.operation] = shown
    rows = [
        (kind, str(batch), *(passes.get(operation, NONE) for operation in PASSES))
        for (kind, batch), passes in cells.items()
    ]
    note = (
        "What the GPU takes until it is done and, in brackets, how many times as long the CPU takes: above "
        "1 the GPU wins. torch's own settings are kept: with them an NVIDIA GPU may use TF32 in convolutions."
    )
    return Table("CPU beside GPU", note, ("Network", "Batch", *PASSES), tuple(rows))


def transfers(run: Run) -> Table:
    """Moves to the GPU and back."""
    cells: dict[tuple[str, int], dict[str, tuple[str, str]]] = {}
    for way in MOVES:
        for row in run.of(f"move {way}"):
            size = row.size or 0
            shown = seconds(row.median), number(size / row.median / 1e9)
            cells.setdefault((row.kind, size), {})[way] = shown
    rows = [
        (kind, amount(size), *(cell for way in MOVES for cell in ways.get(way, (NONE, NONE))))
        for (kind, size), ways in cells.items()
    ]
    note = (
        f"{NETWORK} moves by Module.to, its tensors one by one. A tensor is copied into one that is there "
        "already; the memory on the CPU's side is pageable, as usual, or pinned."
    )
    header = ("What moves", "Size", *(title for way in MOVES for title in (way, "GB/s")))
    return Table("Moves to the GPU and back", note, header, tuple(rows))


def data_parallel(run: Run) -> Table:
    """DataParallel on one GPU beside the plain network."""
    cells: dict[tuple[str, int], dict[str, float]] = {}
    for row in run.of("DataParallel"):
        network, _, how = row.kind.partition(", ")
        cells.setdefault((network, row.size or 0), {})[how] = row.median
    wrapped = dict.fromkeys(how for times in cells.values() for how in times if how != "plain")
    rows = [
        (
            *(network, str(batch), seconds(times["plain"])),
            *(number(times[how] / times["plain"]) if how in times else NONE for how in wrapped),
        )
        for (network, batch), times in cells.items()
        if "plain" in times
    ]
    note = (
        "A call on one GPU until it is done; in DataParallel, how many times as long. With [0] nothing is "
        "replicated, with [0, 0] two replicas share the GPU."
    )
    return Table("DataParallel on one GPU", note, ("Network", "Batch", "plain", *wrapped), tuple(rows))


def stopwatches(run: Run) -> Table:
    """pytest-benchmark beside torch.utils.benchmark.Timer."""
    rows = [
        (row.kind if row.size is None else f"{row.kind}, {row.size}", f"{row.timer / row.median - 1:+.1%}")
        for row in run.rows
        if row.timer is not None
    ]
    note = (
        "The same calls in one run: how much more the median of torch.utils.benchmark.Timer is than that of "
        "pytest-benchmark."
    )
    return Table("Two stopwatches", note, ("Call", "Difference"), tuple(rows))


def releases(runs: Sequence[Run]) -> Table:
    """What one module more costs in a wide tree, release beside release."""
    columns = [{curve.operation: curve.fit for curve in trees(run) if curve.kind == "wide"} for run in runs]
    operations = dict.fromkeys(operation for column in columns for operation in column)
    rows = [("an empty call, in calls of a plain function", *(_empty_call(run) for run in runs))]
    for operation in operations:
        cells = [slope(column[operation]) if operation in column else NONE for column in columns]
        rows.append((operation, *cells))
    note = (
        "What one module more costs in a wide tree, in empty calls of the same run: where the empty call "
        "became cheaper, all else looks dearer, and the first row tells."
    )
    header = ("Operation", *(run.title for run in runs))
    return Table("Release beside release", note, header, tuple(rows))


def _empty_call(run: Run) -> str:
    plain = rows_named(run, "an empty call", "a function")
    empty_call = unit(run)
    return number(empty_call / plain[0].median) if plain and empty_call else NONE


#: The tables of a run, each with the name of the figure that shows it, if there is one.
Tables = dict[Callable[[Run], Table], str]
ON_GPU: Tables = {winners: "", devices: "devices", transfers: "", data_parallel: ""}
MACHINERY: Tables = {
    machinery: "machinery",
    hooks: "hooks",
    ways: "ways",
    growth: "growth",
    stopwatches: "",
}


def missing(run: Run) -> list[str]:
    """What a report of this run cannot show, and why."""
    reasons = []
    if unit(run) is None:
        reasons.append("no ratios of the machinery: the call of an empty module was not measured")
    if not run.accelerator:
        reasons.append("no GPU beside the CPU: none was measured")
    return reasons


def as_text(tables: Sequence[Table], width: int = 100) -> str:
    """Tables for a terminal."""
    return "\n".join(line for table in tables for line in _lines(table, width))


def _lines(table: Table, width: int) -> Iterator[str]:
    columns = list(zip(table.header, *table.rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    yield table.title
    yield from textwrap.wrap(table.note, width)
    for row in (table.header, tuple("-" * width for width in widths), *table.rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        yield "  ".join(cells).rstrip()
    yield ""
