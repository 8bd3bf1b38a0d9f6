"""The outcomes of one run as a file: a header, and under each chapter one line for each clause.

Nothing in the file sums up its rows, so two changes to different chapters can be merged.
"""

from __future__ import annotations

import importlib.metadata
import platform
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.version import Version

from nnspec.clauses.releases import release_of
from nnspec.errors import FileError
from nnspec.records.files import as_lines, write_whole

SCHEMA = 2

_RUN = ("torch", "torchvision", "python", "platform", "devices")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{6,}")
_PLACE = re.compile(r" \((/|[A-Za-z]:\\|unknown location)[^)]*\)| from '(/|[A-Za-z]:\\)[^']*'")


class RecordError(FileError):
    """A record cannot be used; the message names the file, the place and the remedy."""


@dataclass(frozen=True)
class Row:
    """The outcome of one clause, the digest of what was run, and the reason where it does not hold."""

    outcome: str
    digest: str
    reason: str = ""


@dataclass(frozen=True)
class Record:
    """One run.

    Attributes:
        run: torch, torchvision, python, platform and devices.
        rows: clause id to row, sorted by id.
    """

    run: Mapping[str, Any]
    rows: Mapping[str, Row]

    @property
    def version(self) -> str:
        """The torch version without a build suffix, such as ``2.15.0``."""
        return str(self.run["torch"])

    @property
    def release(self) -> str:
        """The torch minor version, such as ``2.15``."""
        return release_of(self.version)

    @property
    def device(self) -> str:
        """What the run was about: ``cpu``, or the accelerator beside it."""
        return device_word(self.run["devices"])

    @property
    def name(self) -> str:
        """Its file name without suffix, such as ``2.15.0-cpu``."""
        return f"{self.version}-{self.device}"


def remake(directory: Path) -> str:
    """What to do where a record of a folder cannot be used."""
    return f"make it anew with: pytest spec/ --record {shlex.quote(str(directory))}"


def device_word(devices: Iterable[str]) -> str:
    """The one word for a run on these devices: its accelerator, or ``cpu``."""
    types = [str(name).partition(" ")[0] for name in devices]
    return next((name for name in types if name != "cpu"), "cpu")


def describe_run(torch_version: str, devices: Iterable[str]) -> dict[str, Any]:
    """The header of a record made now.

    Args:
        torch_version: ``torch.__version__``.
        devices: the devices of the run, with the hardware's name where there is one.
    """
    return {
        "torch": Version(torch_version).public,
        "torchvision": installed("torchvision"),
        "python": ".".join(platform.python_version_tuple()[:2]),
        "platform": f"{platform.system()} {platform.machine()}",
        "devices": list(devices),
    }


def installed(distribution: str) -> str:
    """The version of an installed distribution without a build suffix, ``none`` if there is none."""
    try:
        return Version(importlib.metadata.version(distribution)).public
    except importlib.metadata.PackageNotFoundError:
        return "none"


def tidy(reason: str) -> str:
    """A reason as one line without addresses and places of files, the same on every machine."""
    return _PLACE.sub("", _ADDRESS.sub("0x...", " ".join(reason.split())))


def write(record: Record, directory: Path) -> Path:
    """Write a record whole or not at all.

    Args:
        record: what was run.
        directory: the folder; the file is named by the run.

    Returns:
        the file.

    Raises:
        FileError: the file cannot be written; one that was there is untouched.
    """
    chapters: dict[str, dict[str, list[str]]] = {}
    for name, row in sorted(record.rows.items()):
        chapter, _, clause = name.rpartition(".")
        values = [row.outcome, row.digest, *([row.reason] if row.reason else [])]
        chapters.setdefault(chapter, {})[clause] = values
    header = {key: record.run[key] for key in _RUN}
    text = as_lines({"schema": SCHEMA, "run": header, "clauses": chapters}, depth=3)
    return write_whole(directory / f"{record.name}.json", text)


def record_files(directory: Path) -> list[Path]:
    """The files of a folder that are named as records are: by a torch version."""
    return sorted(path for path in directory.glob("*.json") if path.name[:1].isdigit())


def strange_files(directory: Path) -> list[Path]:
    """The files of a folder that nothing here reads: their names are those of no kind of record."""
    kinds = ("assertions", "bench", "strength")
    others = [path for path in directory.glob("*.json") if not path.name[:1].isdigit()]
    return sorted(path for path in others if path.name.partition("-")[0] not in kinds)
