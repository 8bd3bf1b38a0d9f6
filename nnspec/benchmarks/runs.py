"""Times that were measured: read from a file of pytest-benchmark or a record, written as a record.

A record holds of a run only what its figures need, one line for each benchmark.
"""

from __future__ import annotations

import datetime
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import packaging.version
from msgspec import Meta, Struct, structs

from nnspec.decoding import Count, Device, Line, Version, Word, ensure_schema, fit, read_json
from nnspec.errors import FileError, UsageError
from nnspec.records.files import as_lines, write_whole
from nnspec.records.record import device_word

SCHEMA = 2
MEASURE = "measure with: tox run -e bench"

_DIGITS = 4

#: What a call can take, and how much that may differ.
Seconds = Annotated[float, Meta(ge=1e-12, lt=1e9)]
Spread = Annotated[float, Meta(ge=0, lt=1e9)]


class Row(NamedTuple):
    """One benchmark.

    Attributes:
        id: its file and function, and its case in brackets.
        operation: what is timed, such as ``deepcopy()``.
        kind: on what, such as a ``wide`` tree.
        size: how many modules, hooks, layers, bytes, or rows of a batch; None where there is only one size.
        device: ``cpu`` or ``cuda``.
        median: of the rounds, in seconds for one call.
        iqr: the interquartile range, in seconds.
        rounds: how many.
        timer: the median that ``torch.utils.benchmark.Timer`` gave for the same call, if it was asked.
    """

    id: str
    operation: str
    kind: str
    size: int | None
    device: str
    median: float
    iqr: float
    rounds: int
    timer: float | None = None


@dataclass(frozen=True)
class Run:
    """The benchmarks of one run.

    Attributes:
        run: torch, python, platform, devices, cores and date.
        rows: in the order of the run.
    """

    run: Mapping[str, Any]
    rows: tuple[Row, ...]

    @property
    def version(self) -> str:
        """The torch version without a build suffix, such as ``2.15.0``."""
        return str(self.run["torch"])

    @property
    def accelerator(self) -> str:
        """The device beside the CPU that was measured, empty if there is none."""
        return next((row.device for row in self.rows if row.device != "cpu"), "")

    @property
    def hardware(self) -> str:
        """The name of that device's hardware, such as ``NVIDIA H200``, where torch told it."""
        names = dict(
            str(name).removesuffix(")").split(" (", 1) for name in self.run["devices"] if " (" in name
        )
        return names.get(self.accelerator, self.accelerator)

    @property
    def title(self) -> str:
        """What tells it from other runs, such as ``2.15.0-cpu``."""
        return f"{self.version}-{self.accelerator or 'cpu'}"

    @property
    def name(self) -> str:
        """Its file name without suffix, such as ``bench-2.15.0-cpu``."""
        return f"bench-{self.title}"

    def of(self, operation: str) -> list[Row]:
        """The rows of one operation."""
        return [row for row in self.rows if row.operation == operation]

    def describe(self) -> str:
        """What was measured on, in one line."""
        run = self.run
        return (
            f"torch {run['torch']}, Python {run['python']}, {run['platform']}, {run['cores']} cores, "
            f"{', '.join(run['devices'])}, {run['date']}"
        )


def read_all(paths: Iterable[Path]) -> list[Run]:
    """Several files, oldest torch first.

    Raises:
        FileError: one of them cannot be read.
        UsageError: two are of the same torch and device.
    """
    runs: dict[str, Run] = {}
    files: dict[str, Path] = {}
    for path in paths:
        run = read(path)
        if run.name in files:
            raise UsageError(
                f"{path}: of the same torch and device as {files[run.name]} ({run.title}); give one of them"
            )
        runs[run.name], files[run.name] = run, path
    return sorted(runs.values(), key=lambda run: (packaging.version.Version(run.version), run.accelerator))


def record_files(directory: Path) -> list[Path]:
    """The records of times in a folder."""
    return sorted(directory.glob("bench-*.json"))


def read(path: Path) -> Run:
    """Read a file of pytest-benchmark or a record made of one.

    Raises:
        FileError: it is missing, empty, cut off, of another schema, or holds no benchmarks of this project.
    """
    table = read_json(path, MEASURE)
    try:
        return _from_record(path, table) if "schema" in table else _from_pytest_benchmark(path, table)
    except _Defect as defect:
        raise FileError(f"{path}: {defect}; {MEASURE}") from None


class _Defect(Exception):
    """What is wrong with a file, without its name."""


def _is_date(value: str) -> bool:
    try:
        return datetime.date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


class _Header(Struct, forbid_unknown_fields=True):
    torch: Version
    python: Line
    platform: Line
    devices: Annotated[list[Device], Meta(max_length=100)]
    cores: Count
    date: Line

    def __post_init__(self) -> None:
        if not _is_date(self.date):
            raise ValueError(f"date is {reprlib.repr(self.date)}, expected a date such as 2026-01-31")


class _Times(Struct):
    median: Seconds
    iqr: Spread
    rounds: Count


class _Timed(_Times, forbid_unknown_fields=True, kw_only=True):
    operation: Line
    kind: Line
    size: Count | None
    device: Word
    timer: Seconds | None = None


class _Record(Struct, forbid_unknown_fields=True):
    schema: int
    run: _Header
    benchmarks: dict[Line, _Timed]


class _Facts(Struct):
    operation: Line
    kind: Line
    size: Count | None
    device: Word
    timer: Seconds | None = None


class _Benchmark(Struct):
    fullname: Line
    extra_info: _Facts
    stats: _Times


class _Machine(Struct):
    torch: Version
    python_version: Line
    system: Line
    machine: Line
    devices: Annotated[list[Device], Meta(max_length=100)]
    cores: Count


class _OfPytestBenchmark(Struct):
    machine_info: _Machine
    datetime: Line
    benchmarks: list[_Benchmark]

    def __post_init__(self) -> None:
        if not _is_date(self.datetime[:10]):
            found = reprlib.repr(self.datetime)
            raise ValueError(f"datetime is {found}, expected a date such as 2026-01-31")


def _from_record(path: Path, table: dict[str, Any]) -> Run:
    ensure_schema(path, table, SCHEMA, MEASURE)
    file = fit(path, table, _Record, MEASURE)
    return _run(structs.asdict(file.run), [_row(id, row, row) for id, row in file.benchmarks.items()])


def _from_pytest_benchmark(path: Path, table: dict[str, Any]) -> Run:
    file = fit(path, table, _OfPytestBenchmark, f"a file of this project's benchmarks was wanted; {MEASURE}")
    machine = file.machine_info
    rows = [_row(_id(one.fullname), one.extra_info, one.stats) for one in file.benchmarks]
    named = {device_word([name]): name for name in machine.devices}
    measured = dict.fromkeys(["cpu", *(row.device for row in rows)])
    run = {
        "torch": machine.torch,
        "python": ".".join(machine.python_version.split(".")[:2]),
        "platform": f"{machine.system} {machine.machine}",
        "devices": [named.get(device, device) for device in measured],
        "cores": machine.cores,
        "date": file.datetime[:10],
    }
    return _run(run, rows)


def _id(fullname: str) -> str:
    file, _, function = fullname.partition("::")
    return f"{Path(file).stem.removeprefix('bench_')}.{function.removeprefix('bench_')}"


def _row(id: str, facts: _Facts | _Timed, times: _Times) -> Row:
    return Row(
        id,
        facts.operation,
        facts.kind,
        facts.size,
        facts.device,
        _rounded(times.median),
        _rounded(times.iqr),
        times.rounds,
        None if facts.timer is None else _rounded(facts.timer),
    )


def _run(header: dict[str, Any], rows: Sequence[Row]) -> Run:
    """A run in which nothing is timed twice."""
    if not rows:
        raise _Defect("holds no benchmarks")
    cases: dict[object, Row] = {}
    for row in rows:
        case = (row.operation, row.kind, row.size, row.device)
        if case in cases:
            raise _Defect(
                f"{row.id}: times the same as {cases[case].id}, of the same size on the same device"
            )
        cases[case] = row
    if len({row.id for row in rows}) < len(rows):
        raise _Defect("holds two benchmarks of the same name")
    return Run({**header, "torch": packaging.version.Version(header["torch"]).public}, tuple(rows))


def _rounded(seconds: float) -> float:
    return float(f"{seconds:.{_DIGITS}g}")


def write(run: Run, directory: Path) -> Path:
    """Write a record, named by what was measured, whole or not at all.

    Returns:
        the file.

    Raises:
        FileError: it cannot be written; one that was there is untouched.
    """
    benchmarks = {row.id: row._asdict() for row in run.rows}
    for values in benchmarks.values():
        del values["id"]
        if values["timer"] is None:
            del values["timer"]
    table = {"schema": SCHEMA, "run": run.run, "benchmarks": benchmarks}
    return write_whole(directory / f"{run.name}.json", as_lines(table, depth=2))
