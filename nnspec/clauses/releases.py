"""The supported releases of torch, as ``releases.toml`` beside this file lists them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from packaging.version import InvalidVersion, Version

from nnspec.errors import NnspecError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = Path(__file__).with_suffix(".toml")


class ReleasesError(NnspecError):
    """The list of releases cannot be read; the message names the row and what it has to say."""


class Pins(NamedTuple):
    """What a release is run with.

    Attributes:
        torch: its patch release, such as ``2.4.1``.
        torchvision: the one that fits.
        beside: further requirements of pip.
        torch_xla: the one that fits, empty if there is none.
    """

    torch: str
    torchvision: str
    beside: tuple[str, ...] = ()
    torch_xla: str = ""

    @property
    def requirements(self) -> list[str]:
        """All of it as requirements of pip."""
        return [f"torch=={self.torch}", f"torchvision=={self.torchvision}", *self.beside]


def release_of(version: str) -> str:
    """The minor release of a torch version: ``2.15.0+cpu`` gives ``2.15``."""
    return ".".join(map(str, Version(version).release[:2]))


def read(path: Path = FILE) -> Mapping[str, Pins]:
    """Each release with its pins, oldest first.

    Raises:
        ReleasesError: the file is no TOML or lists nothing, or a row lacks a pin or pins another release.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ReleasesError(f"{path}: cannot be read: {error}") from error
    if not table:
        raise ReleasesError(f"{path}: lists no release; say torch and torchvision of at least one")
    pins = {release: _read_pins(f"{path}: {release}", release, row) for release, row in table.items()}
    return dict(sorted(pins.items(), key=lambda pair: Version(pair[0])))


def _read_pins(where: str, release: str, row: Any) -> Pins:
    if not isinstance(row, dict) or not _are_pins(row):
        raise ReleasesError(
            f"{where}: is {row}; say torch and torchvision, and if need be beside and torch_xla"
        )
    try:
        pinned = release_of(row["torch"])
    except InvalidVersion as error:
        raise ReleasesError(f"{where}: {error}; name a patch release such as {release}.0") from error
    if pinned != release:
        raise ReleasesError(f"{where}: pins torch {row['torch']}; name a patch release such as {release}.0")
    return Pins(row["torch"], row["torchvision"], tuple(row.get("beside", ())), row.get("torch_xla", ""))


def _are_pins(row: dict[str, Any]) -> bool:
    beside = row.get("beside", [])
    texts = [row.get("torch"), row.get("torchvision"), row.get("torch_xla", "")]
    texts += beside if isinstance(beside, list) else [None]
    return row.keys() <= {"torch", "torchvision", "torch_xla", "beside"} and all(
        isinstance(text, str) for text in texts
    )


#: Each supported release, such as ``2.4``, with its pins, oldest first.
PINS = read()

#: Supported torch minor releases, oldest first.
RELEASES = tuple(PINS)
