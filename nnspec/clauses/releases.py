"""The supported releases of torch, as ``releases.toml`` beside this file lists them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from packaging.version import Version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = Path(__file__).with_suffix(".toml")


class Pins(NamedTuple):
    """What a release is run with.

    Attributes:
        torch: its patch release, such as ``2.4.1``.
        torchvision: the one that fits.
        beside: further requirements of pip.
    """

    torch: str
    torchvision: str
    beside: tuple[str, ...] = ()

    @property
    def requirements(self) -> list[str]:
        """All of it as requirements of pip."""
        return [f"torch=={self.torch}", f"torchvision=={self.torchvision}", *self.beside]


def read(path: Path = FILE) -> Mapping[str, Pins]:
    """Each release with its pins, oldest first."""
    with path.open("rb") as file:
        table = tomllib.load(file)
    pins = {
        name: Pins(row["torch"], row["torchvision"], tuple(row.get("beside", ())))
        for name, row in table.items()
    }
    return dict(sorted(pins.items(), key=lambda pair: Version(pair[0])))


#: Each supported release, such as ``2.4``, with its pins, oldest first.
PINS = read()

#: Supported torch minor releases, oldest first.
RELEASES = tuple(PINS)


def release_of(version: str) -> str:
    """The minor release of a torch version: ``2.15.0+cpu`` gives ``2.15``."""
    return ".".join(map(str, Version(version).release[:2]))
