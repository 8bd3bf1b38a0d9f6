"""Files written whole or not at all, with one row a line, so that a diff shows what changed."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from nnspec.errors import NnspecError


class FileError(NnspecError):
    """A file cannot be read or written; the message names the file, the place and the remedy."""


def ensure_writable(directory: Path) -> None:
    """Make the folder if need be and see that a file can be made in it.

    Raises:
        FileError: it cannot.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=directory).close()
    except OSError as error:
        raise FileError(
            f"{directory}: nothing can be written here: {error.strerror}; name another folder"
        ) from error


def write_whole(path: Path, text: str) -> Path:
    """Write a file whole or not at all, and return it.

    Raises:
        FileError: it cannot be written; one that was there is untouched.
    """
    ensure_writable(path.parent)
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise FileError(f"{path}: cannot be written: {error.strerror}") from error
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


def read_json(path: Path, remedy: str) -> dict[str, object]:
    """The table that a JSON file holds.

    Args:
        path: the file.
        remedy: what to do where it cannot be read.

    Raises:
        FileError: it is missing, empty, cut off, no JSON, or no table.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(f"{path}: cannot be read: {error}; {remedy}") from error
    if not text.strip():
        raise FileError(f"{path}: is empty; what was to write it did not come to its end: {remedy}")
    try:
        table = json.loads(text)
    except json.JSONDecodeError as error:
        raise FileError(
            f"{path}:{error.lineno}: not valid JSON ({error.msg}), perhaps cut off; restore it, or {remedy}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise FileError(f"{path}: cannot be read as JSON ({error}); restore it, or {remedy}") from error
    if not isinstance(table, dict):
        raise FileError(f"{path}: holds {type(table).__name__} in place of a table; {remedy}")
    return table
