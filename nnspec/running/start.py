"""Starts pytest on files of this package from any folder, with nothing of that folder's own set-up."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import pytest

from nnspec.errors import UsageError
from nnspec.running.environment import ensure_assertions

_PACKAGE = Path(__file__).resolve().parents[1]


def verify(options: argparse.Namespace) -> int:
    """Run the specification, or parts of it.

    Returns:
        0 all is well, 1 a clause is violated, 2 the run could not be carried out.

    Raises:
        UsageError: the specification, or a part of this name, is not there.
    """
    spec = spec_folder()
    for part in options.part:
        if (
            not part
            or not (spec / part).exists()
            or not (spec / part).resolve().is_relative_to(spec.resolve())
        ):
            there = sorted(folder.name for folder in spec.iterdir() if (folder / "__init__.py").exists())
            raise UsageError(
                f"{part or 'an empty text'}: the specification has no such part; one of {', '.join(there)}"
            )
    arguments = [word for device in options.device for word in ("--device", device)]
    arguments += ["--record", str(options.record)] if options.record else []
    arguments += ["-v"] if options.verbose else []
    return run_pytest([spec / part for part in options.part] or [spec], "nnspec.running.plugin", arguments)


def spec_folder() -> Path:
    """The specification.

    Raises:
        UsageError: it is not there.
    """
    return _carried("spec")


def _carried(name: str) -> Path:
    """A file or folder that the installed package carries along, and that lies beside it in a checkout."""
    for folder in (_PACKAGE, _PACKAGE.parent):
        if (folder / name).exists():
            return folder / name
    raise UsageError(f"{_PACKAGE}: there is no {name} in it; install the package anew with pip")


class _Interrupts:
    """A plugin that sees whether a person interrupted the run, of which pytest's exit code does not tell."""

    def __init__(self) -> None:
        self.seen = False

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        self.seen |= isinstance(excinfo.value, KeyboardInterrupt)


def run_pytest(paths: Sequence[Path], plugin: str, options: Sequence[str]) -> int:
    """Run pytest in this process.

    Args:
        paths: files and folders of this package or of ``spec/``.
        plugin: the plugin that knows them.
        options: for pytest.

    Returns:
        0 all passed, 1 something failed, 2 the run could not be carried out.

    Raises:
        UsageError: assertions are off.
        RuntimeError: pytest broke down.
        KeyboardInterrupt: a person interrupted the run.
    """
    ensure_assertions()
    top = paths[0] if paths[0].is_dir() else paths[0].parent
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    with mock.patch.dict(os.environ, environment, clear=True), tempfile.TemporaryDirectory() as folder:
        arguments = ["-c", str(_carried("pyproject.toml")), "--rootdir", str(_PACKAGE.parent)]
        arguments += ["--confcutdir", str(top), "-p", "no:cacheprovider", "-p", "pytest_benchmark.plugin"]
        arguments += ["-p", plugin, "--benchmark-storage", f"file://{folder}", *options, *map(str, paths)]
        interrupts = _Interrupts()
        code = pytest.main(arguments, plugins=[interrupts])
    if interrupts.seen:
        raise KeyboardInterrupt
    if code == pytest.ExitCode.INTERNAL_ERROR:
        raise RuntimeError("pytest ended with the internal error that it shows above")
    judged = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
    return int(code) if code in judged else 2
