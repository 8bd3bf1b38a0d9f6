"""Times that were measured: read from a file of pytest-benchmark or a record, written as a record.

A record holds of a run only what its figures need, one line for each benchmark.
"""

from __future__ import annotations

import datetime
import re
import reprlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from packaging.version import InvalidVersion, Version

from nnspec.errors import UsageError
from nnspec.records.files import FileError, as_lines, read_json, write_whole
from nnspec.records.record import device_word

SCHEMA = 2
MEASURE = "measure with: tox run -e bench"

_DIGITS = 4


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
    return sorted(runs.values(), key=lambda run: (Version(run.version), run.accelerator))


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
        return _from_record(table) if "schema" in table else _from_pytest_benchmark(table)
    except _Defect as defect:
        raise FileError(f"{path}: {defect}; {MEASURE}") from None


class _Defect(Exception):
    """What is wrong with a file, without its name."""


def _from_record(table: Mapping[str, Any]) -> Run:
    if table["schema"] != SCHEMA:
        raise _Defect(f"schema {reprlib.repr(table['schema'])}, this nnspec reads schema {SCHEMA}")
    benchmarks = table.get("benchmarks")
    if not isinstance(benchmarks, dict):
        raise _Defect(f"'benchmarks' is {reprlib.repr(benchmarks)}, expected a table")
    return _run(table.get("run"), list(benchmarks.items()))


def _from_pytest_benchmark(table: Mapping[str, Any]) -> Run:
    benchmarks, machine = table.get("benchmarks"), table.get("machine_info")
    if not isinstance(benchmarks, list) or not isinstance(machine, dict):
        missing = "machine_info" if isinstance(benchmarks, list) else "benchmarks"
        raise _Defect(f"no file of pytest-benchmark: it has no '{missing}'")
    if "torch" not in machine:
        raise _Defect("does not say which torch was measured; it was not made in this project")
    rows = list(map(_values, benchmarks))
    devices = machine.get("devices")
    if isinstance(devices, list):
        named = {device_word([name]): name for name in devices}
        measured = dict.fromkeys(["cpu", *(str(values["device"]) for _, values in rows)])
        devices = [named.get(device, device) for device in measured]
    run = {
        "torch": machine["torch"],
        "python": ".".join(str(machine.get("python_version")).split(".")[:2]),
        "platform": f"{machine.get('system')} {machine.get('machine')}",
        "devices": devices,
        "cores": machine.get("cores"),
        "date": str(table.get("datetime"))[:10],
    }
    return _run(run, rows)


def _values(benchmark: object) -> tuple[str, dict[str, Any]]:
    """The id of a benchmark and what a row says of it."""
    fullname = benchmark.get("fullname") if isinstance(benchmark, dict) else None
    if not isinstance(benchmark, dict) or not isinstance(fullname, str) or not fullname.isprintable():
        raise _Defect(f"{reprlib.repr(benchmark)} is no benchmark with a 'fullname'")
    facts, stats = benchmark.get("extra_info"), benchmark.get("stats")
    if not isinstance(facts, dict) or not {"operation", "kind", "size", "device"} <= facts.keys():
        raise _Defect(f"{fullname}: does not say what is timed; it is no benchmark of this project")
    if not isinstance(stats, dict):
        raise _Defect(f"{fullname}: 'stats' is {reprlib.repr(stats)}, expected a table")
    file, _, function = fullname.partition("::")
    id = f"{Path(file).stem.removeprefix('bench_')}.{function.removeprefix('bench_')}"
    return id, {name: facts[name] if name in facts else stats.get(name) for name in _ROW}


def _run(run: object, benchmarks: Sequence[tuple[str, object]]) -> Run:
    """A run whose every value is what it has to be."""
    header = _checked(run, _RUN, "'run'")
    header["torch"] = Version(header["torch"]).public
    if not benchmarks:
        raise _Defect("holds no benchmarks")
    rows: dict[object, Row] = {}
    for id, values in benchmarks:
        row = Row(id, **_checked(values, _ROW, id))
        case = (row.operation, row.kind, row.size, row.device)
        if case in rows:
            raise _Defect(f"{id}: times the same as {rows[case].id}, of the same size on the same device")
        rows[case] = row._replace(
            median=_rounded(row.median),
            iqr=_rounded(row.iqr),
            timer=None if row.timer is None else _rounded(row.timer),
        )
    if len({id for id, _ in benchmarks}) < len(benchmarks):
        raise _Defect("holds two benchmarks of the same name")
    return Run(header, tuple(rows.values()))


def _rounded(seconds: float) -> float:
    return float(f"{seconds:.{_DIGITS}g}")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value.isprintable()


def _is_word(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"\w+", value) is not None


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 10**9


def _is_time(value: object) -> bool:
    return type(value) in (int, float) and 1e-12 <= value < 1e9  # type: ignore[operator]


def _is_version(value: object) -> bool:
    try:
        return isinstance(value, str) and bool(Version(value))
    except InvalidVersion:
        return False


def _is_date(value: object) -> bool:
    try:
        return isinstance(value, str) and datetime.date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


#: What a run or a row says, by name: what is expected, and whether a value is such a one.
_Expected = Mapping[str, tuple[str, Callable[[Any], bool]]]

_RUN: _Expected = {
    "torch": ("a version", _is_version),
    "python": ("a text", _is_text),
    "platform": ("a text", _is_text),
    "devices": ("a list of texts", lambda value: isinstance(value, list) and all(map(_is_text, value))),
    "cores": ("a whole number from 0", _is_count),
    "date": ("a date such as 2026-01-31", _is_date),
}

_ROW: _Expected = {
    "operation": ("a text", _is_text),
    "kind": ("a text", _is_text),
    "size": ("a whole number from 0, or null", lambda value: value is None or _is_count(value)),
    "device": ("a word such as cuda", _is_word),
    "median": ("seconds, at least 1e-12", _is_time),
    "iqr": ("seconds", lambda value: _is_time(value) or (value == 0 and value is not False)),
    "rounds": ("a whole number from 0", _is_count),
    "timer": ("seconds, at least 1e-12, or null", lambda value: value is None or _is_time(value)),
}


def _checked(table: object, expected: _Expected, place: str) -> dict[str, Any]:
    if not isinstance(table, dict):
        raise _Defect(f"{place} is {reprlib.repr(table)}, expected a table")
    unknown = sorted(table.keys() - expected.keys())
    if unknown:
        raise _Defect(f"{place} has an unknown entry {unknown[0]!r}; known are {', '.join(expected)}")
    for name, (what, is_such) in expected.items():
        if not is_such(table.get(name)):
            raise _Defect(f"{place}: {name} is {reprlib.repr(table.get(name))}, expected {what}")
    return dict(table)


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
