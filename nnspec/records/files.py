"""Files written whole or not at all, with one row a line, so that a diff shows what changed."""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Generator, Mapping
from pathlib import Path

from nnspec.errors import FileError


def path_of(text: str) -> Path:
    """A path of a command line: an empty one would be the folder at hand.

    Raises:
        ArgumentTypeError: it is empty.
    """
    if not text:
        raise argparse.ArgumentTypeError("an empty text names no file and no folder")
    return Path(text)


@contextlib.contextmanager
def alone_in(directory: Path) -> Generator[None, None, None]:
    """Let others who ask the same wait: of a file that two read and write back, one would lose what it adds.

    Where a file system knows no locks, nobody waits.

    Raises:
        FileError: nothing can be written there.
    """
    ensure_writable(directory)
    handle = os.open(directory, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def ensure_writable(directory: Path) -> None:
    """Make the folder if need be and see that a file can be made in it.

    Raises:
        FileError: it cannot.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=directory).close()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "this is no name of a folder"
        if isinstance(error, FileExistsError):  # of mkdir, whatever it is that has the name
            why = "it is no folder"
        raise FileError(f"{directory}: nothing can be written here: {why}; name another folder") from error


def write_whole(path: Path, text: str) -> Path:
    """Write a file whole or not at all, and return it; a link stays one, and what it leads to is written.

    Raises:
        FileError: it cannot be written; one that was there is untouched.
    """
    file_itself = Path(os.path.realpath(path))
    ensure_writable(file_itself.parent)
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=file_itself.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, file_itself)
    except OSError as error:
        raise FileError(f"{path}: cannot be written: {error.strerror}") from error
    finally:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
    return path


def as_lines(table: Mapping[str, object], depth: int) -> str:
    """A table as JSON.

    Args:
        table: texts to values.
        depth: tables down to this depth have one entry a line; what lies deeper is on one line.
    """
    return f"{_lines(table, depth, '')}\n"


def _lines(value: object, depth: int, indent: str) -> str:
    if depth == 0 or not isinstance(value, Mapping) or not value:
        return json.dumps(value)
    inner = f"{indent}  "
    entries = [
        f"{inner}{json.dumps(name)}: {_lines(entry, depth - 1, inner)}" for name, entry in value.items()
    ]
    return "{\n" + ",\n".join(entries) + f"\n{indent}}}"
