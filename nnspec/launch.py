"""Starts pytest on the specification from any folder, with nothing of that folder's own set-up."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import pytest

_HERE = Path(__file__).resolve().parent

#: pytest's settings for these runs; those of the present folder and of the environment are left aside.
SETTINGS = _HERE / "pytest.ini"


def spec_folder() -> Path:
    """The specification: inside the installed package, or beside the package in a checkout.

    Raises:
        FileNotFoundError: there is neither.
    """
    for folder in (_HERE / "spec", _HERE.parent / "spec"):
        if (folder / "contract").is_dir():
            return folder
    raise FileNotFoundError(f"{_HERE}: holds no specification; install the package anew with pip")


def run(parts: Sequence[str], options: Sequence[str]) -> int:
    """Run parts or chapters of the specification in this process.

    Args:
        parts: such as ``state`` or ``state/test_ties.py``; none means all.
        options: for pytest.

    Returns:
        0 all is well, 1 a clause is violated, 2 the run could not be carried out.

    Raises:
        FileNotFoundError: the specification, or a part of this name, is not there.
    """
    spec = spec_folder()
    paths = [spec / part for part in parts] or [spec]
    for part, path in zip(parts, paths, strict=False):
        if not path.exists():
            there = sorted(folder.name for folder in spec.iterdir() if (folder / "__init__.py").exists())
            raise FileNotFoundError(f"{part}: the specification has no such part; one of {', '.join(there)}")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    with mock.patch.dict(os.environ, environment, clear=True), tempfile.TemporaryDirectory() as folder:
        arguments = ["-c", str(SETTINGS), "--rootdir", str(spec.parent), "--confcutdir", str(spec)]
        arguments += ["--benchmark-storage", f"file://{folder}", *options, *map(str, paths)]
        code = pytest.main(arguments)
    judged = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    return int(code) if code in judged else 2
