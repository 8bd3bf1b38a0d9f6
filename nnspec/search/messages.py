"""The messages that torch gives while the clauses run: what people paste into a search.

``python -m nnspec messages`` runs the specification with this module as a plugin of pytest and writes what it
saw to ``docs/messages.json``. A clause that expects an error or a warning is found by the whole of its text.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from nnspec.clauses.parts import find_checkout
from nnspec.clauses.tables import TableError
from nnspec.decoding import fit, read_json
from nnspec.errors import NnspecError
from nnspec.records.files import ensure_writable, write_whole

#: What to do where the file cannot be read.
REMEDY = "make it anew with: python -m nnspec messages"

#: How much of a message is kept, in characters.
LENGTH = 400

#: What differs from run to run: places in memory, files.
_VOLATILE = re.compile(r"0x[0-9a-f]{6,}|/[\w./-]+/[\w.-]+")


def run(options: argparse.Namespace) -> int:
    """Run the specification and keep its messages.

    Returns:
        the exit code: 0 if they were written.

    Raises:
        NnspecError: the run came to no end, or nothing can be written.
    """
    root = find_checkout()
    path = root / "docs" / "messages.json"
    ensure_writable(path.parent)
    command = [sys.executable, "-m", "pytest", str(root / "spec"), "-q", "--device=cpu"]
    command += ["-p", "nnspec.search.messages", f"--messages={path}", "--rootdir", str(root)]
    result = subprocess.run(command, cwd=root, check=False)
    if result.returncode not in (0, 1):
        raise NnspecError(f"the run of the specification ended with {result.returncode}; {path} is as it was")
    print(f"{sum(map(len, read(path).values()))} messages of {len(read(path))} clauses in {path}")
    return 0


def read(path: Path) -> Mapping[str, list[str]]:
    """The messages of each clause, by its id; none if there is no such file.

    Raises:
        FileError: the file cannot be read.
    """
    if not path.exists():
        return {}
    return fit(path, read_json(path, REMEDY), dict[str, list[str]], raises=TableError)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--messages``."""
    parser.addoption(
        "--messages", type=Path, metavar="FILE", help="write the messages of errors and warnings"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Listen where a file was named."""
    path = config.getoption("--messages")
    if path:
        config.pluginmanager.register(Listener(path))


class Listener:
    """Hears the errors and warnings that clauses expect.

    Args:
        path: where they are written when the run ends.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._heard: dict[str, dict[str, None]] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        """Listen during a clause."""
        heard = self._heard.setdefault(_id(item), {})
        with pytest.MonkeyPatch.context() as patches:
            patches.setattr(pytest, "raises", _listening(pytest.raises, heard))
            patches.setattr(pytest, "warns", _listening(pytest.warns, heard))
            yield

    def pytest_sessionfinish(self) -> None:
        """Write what was heard."""
        heard = {name: list(texts) for name, texts in sorted(self._heard.items()) if texts}
        try:
            write_whole(self._path, json.dumps(heard, ensure_ascii=False, indent=0) + "\n")
        except NnspecError as error:
            pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)


def _id(item: pytest.Item) -> str:
    name = getattr(item, "originalname", item.name).removeprefix("test_")
    return f"{item.path.parent.name}.{item.path.stem.removeprefix('test_')}.{name}"


def _listening(expect: Callable[..., Any], heard: dict[str, None]) -> Callable[..., Any]:
    """``pytest.raises`` or ``pytest.warns`` that notes what comes."""

    def listening(*args: Any, **kwargs: Any) -> Any:
        context = expect(*args, **kwargs)
        return _Listening(context, heard) if hasattr(context, "__exit__") else context

    return listening


class _Listening:
    def __init__(self, context: Any, heard: dict[str, None]) -> None:
        self._context = context
        self._heard = heard

    def __enter__(self) -> Any:
        return self._context.__enter__()

    def __exit__(self, kind: Any, error: Any, trace: Any) -> Any:
        done = self._context.__exit__(kind, error, trace)
        warned = [one.message for one in self._context.list] if hasattr(self._context, "list") else []
        for message in ([error] if error else []) + warned:
            text = " ".join(f"{type(message).__name__}: {message}".split())
            self._heard[_VOLATILE.sub("...", text)[:LENGTH]] = None
        return done
