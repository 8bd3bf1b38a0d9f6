"""Times that were measured: read from a file of pytest-benchmark or a record, written as a record.

A record holds of a run only what its figures need, one line for each benchmark.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from packaging.version import InvalidVersion, Version

from nnspec.records.record import RecordError, device_word, release_of, write_whole

SCHEMA = 1
MEASURE = "measure with: pytest spec/benchmarks --benchmark-only --benchmark-json=FILE"

_RUN = ("torch", "python", "platform", "devices", "cores", "date")
_DIGITS = 4


class Row(NamedTuple):
    """One benchmark.

    Attributes:
        id: its clause, and its case in brackets.
        operation: what is timed, such as ``deepcopy()``.
        kind: on what, such as a ``wide`` tree.
        size: how many modules, hooks, layers, or rows of a batch; None where there is only one size.
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
    def release(self) -> str:
        """The torch minor version, such as ``2.15``."""
        return release_of(self.version)

    @property
    def accelerator(self) -> str:
        """The device beside the CPU that was measured, empty if there is none."""
        return next((row.device for row in self.rows if row.device != "cpu"), "")

    @property
    def name(self) -> str:
        """Its file name without suffix, such as ``bench-2.15.0-cpu``."""
        return f"bench-{self.version}-{self.accelerator or 'cpu'}"

    def of(self, operation: str) -> list[Row]:
        """The rows of one operation."""
        return [row for row in self.rows if row.operation == operation]

    def describe(self) -> str:
        """What was measured on, in one line."""
        run = self.run
        devices = ", ".join(map(str, run["devices"]))
        return (
            f"torch {run['torch']}, Python {run['python']}, {run['platform']}, {run['cores']} cores, "
            f"{devices}, {run['date']}"
        )


def read(path: Path) -> Run:
    """Read a file of pytest-benchmark or a record made of one.

    Raises:
        RecordError: it is missing, empty, cut off, of another schema, or holds no benchmarks of this project.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"{path}: cannot be read: {error}") from error
    if not text.strip():
        raise RecordError(
            f"{path}: is empty; the run that was to write it did not come to its end: {MEASURE}"
        )
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise RecordError(
            f"{path}:{error.lineno}: not valid JSON ({error.msg}), perhaps cut off; {MEASURE}"
        ) from error
    if not isinstance(found, dict) or "benchmarks" not in found:
        raise RecordError(f"{path}: no file of pytest-benchmark: it has no 'benchmarks'; {MEASURE}")
    try:
        run = _from_record(found) if "schema" in found else _from_pytest_benchmark(found)
    except _Defect as defect:
        raise RecordError(f"{path}: {defect}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RecordError(
            f"{path}: not written as pytest-benchmark writes it ({type(error).__name__}: {error}); {MEASURE}"
        ) from error
    if not run.rows:
        raise RecordError(f"{path}: holds no benchmarks; {MEASURE}")
    for row in run.rows:
        if not row.median > 0:
            raise RecordError(f"{path}: {row.id}: a median of {row.median!r} seconds is no time; {MEASURE}")
    return run


class _Defect(Exception):
    """What is wrong with a file, without its name."""


def _from_pytest_benchmark(found: Mapping[str, Any]) -> Run:
    machine = found.get("machine_info")
    if not isinstance(machine, dict) or not isinstance(found["benchmarks"], list):
        raise _Defect(f"no file of pytest-benchmark: it has no 'machine_info'; {MEASURE}")
    if "torch" not in machine:
        raise _Defect(f"does not say which torch was measured; it was not made in this project: {MEASURE}")
    rows = tuple(_row(one) for one in found["benchmarks"])
    measured = {row.device for row in rows}
    run = {
        "torch": _version(machine["torch"]),
        "python": ".".join(str(machine["python_version"]).split(".")[:2]),
        "platform": f"{machine['system']} {machine['machine']}",
        "devices": [name for name in machine["devices"] if device_word([name]) in measured | {"cpu"}],
        "cores": int(machine["cores"]),
        "date": str(found["datetime"])[:10],
    }
    return Run(run, rows)


def _version(told: object) -> str:
    try:
        return Version(str(told)).public
    except InvalidVersion:
        raise _Defect(f"{told!r} is no version of torch; {MEASURE}") from None


def _row(one: Mapping[str, Any]) -> Row:
    told, stats = one.get("extra_info", {}), one["stats"]
    if not {"operation", "kind", "size", "device"} <= told.keys():
        raise _Defect(f"{one['fullname']}: does not say what is timed; it is no benchmark of spec/benchmarks")
    return Row(
        _clause(str(one["fullname"])),
        str(told["operation"]),
        str(told["kind"]),
        None if told["size"] is None else int(told["size"]),
        str(told["device"]),
        _seconds(stats["median"]),
        _seconds(stats["iqr"]),
        int(stats["rounds"]),
        None if told.get("timer") is None else _seconds(told["timer"]),
    )


def _clause(fullname: str) -> str:
    """``spec/benchmarks/test_walking.py::test_walk[wide-10]`` gives ``benchmarks.walking.walk[wide-10]``."""
    place, _, name = fullname.partition("::")
    return f"{Path(place).parent.name}.{Path(place).stem.removeprefix('test_')}.{name.removeprefix('test_')}"


def _seconds(value: object) -> float:
    return float(f"{float(str(value)):.{_DIGITS}g}")


def _from_record(found: Mapping[str, Any]) -> Run:
    if found["schema"] != SCHEMA:
        raise _Defect(
            f"schema {found['schema']!r}, this nnspec reads schema {SCHEMA}; make it anew with: "
            "python -m nnspec bench-report FILE --record docs/records"
        )
    run = found["run"]
    if set(run) != set(_RUN):
        raise _Defect(f"'run' does not name {', '.join(_RUN)}")
    rows = tuple(Row(name, **values) for name, values in found["benchmarks"].items())
    if found["count"] != len(rows):
        raise _Defect(f"'count' is {found['count']} and there are {len(rows)} benchmarks; it was altered")
    return Run(run, rows)


def write(run: Run, directory: Path) -> Path:
    """Write a record, named by what was measured, whole or not at all.

    Returns:
        the file.

    Raises:
        RecordError: it cannot be written; one that was there is untouched.
    """
    return write_whole(directory / f"{run.name}.json", _text(run))


def _text(run: Run) -> str:
    lines = ",\n".join(f"    {json.dumps(row.id)}: {json.dumps(_values(row))}" for row in run.rows)
    return (
        "{\n"
        f'  "schema": {SCHEMA},\n'
        f'  "run": {json.dumps({key: run.run[key] for key in _RUN})},\n'
        f'  "benchmarks": {{\n{lines}\n  }},\n'
        f'  "count": {len(run.rows)}\n'
        "}\n"
    )


def _values(row: Row) -> dict[str, Any]:
    values = row._asdict()
    del values["id"]
    if row.timer is None:
        del values["timer"]
    return values


def record_files(directory: Path) -> list[Path]:
    """The records of times in a folder."""
    return sorted(directory.glob("bench-*.json"))


def read_all(paths: Iterable[Path]) -> list[Run]:
    """Several files, oldest torch first.

    Raises:
        RecordError: one of them cannot be read, or two are of the same torch and device.
    """
    runs: list[Run] = []
    seen: dict[str, Path] = {}
    for path in paths:
        run = read(path)
        if run.name in seen:
            raise RecordError(
                f"{path}: of the same torch and device as {seen[run.name]} ({run.name}); give one of them"
            )
        seen[run.name] = path
        runs.append(run)
    return sorted(runs, key=lambda run: (Version(run.version), run.accelerator))
