"""Files that a command reads: checked values, or a refusal that names file, place and what was wanted.

Needs msgspec, which a run of the specification does without: whatever such a run imports may import this
inside a function only.
"""

from __future__ import annotations

import codecs
import json
import re
import reprlib
import sys
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from nnspec.errors import FileError, shortened

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Wanted = TypeVar("Wanted")

#: No file of this project has a tenth of that many bytes.
LARGEST = 64 * 2**20

_LINE = r"^[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]*\Z"
_SAID = r"\S"
_WORD = r"^\w+\Z"
_NAME = r"^\w+(\.\w+)*\Z"
_VERSION = r"^\d{1,9}(\.\d{1,9}){1,3}((a|b|rc|\.dev|\.post)\d{1,9}){0,3}(\+[a-z0-9.]+)?\Z"
_DEVICE = r"^\w+( \([^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+\))?\Z"

#: What a pattern asks for, in words.
IN_WORDS = {
    _LINE: "one line of printable characters",
    _SAID: "a text that says something",
    _WORD: "a word such as cuda",
    _NAME: "names joined by dots",
    _VERSION: "a version such as 2.15.0",
    _DEVICE: "a device such as cpu or cuda (NVIDIA H200)",
}

Text = Annotated[str, msgspec.Meta(max_length=100_000)]
Said = Annotated[str, msgspec.Meta(max_length=100_000, pattern=_SAID)]
Line = Annotated[str, msgspec.Meta(max_length=10_000, pattern=_LINE)]
Word = Annotated[str, msgspec.Meta(max_length=100, pattern=_WORD)]
Name = Annotated[str, msgspec.Meta(max_length=300, pattern=_NAME)]
Version = Annotated[str, msgspec.Meta(max_length=100, pattern=_VERSION)]
Device = Annotated[str, msgspec.Meta(max_length=300, pattern=_DEVICE)]
Count = Annotated[int, msgspec.Meta(ge=0, lt=10**9)]

#: How the library begins a message, and how it is said here.
_BEGINNINGS = {
    "Object missing required field": "lacks",
    "Object contains unknown field": "has an unknown entry",
    "Expected `str | null`": "expected a text",
    "Expected `object`": "expected a table",
    "Expected `array`": "expected a list",
    "Expected `str`": "expected a text",
    "Expected `int": "expected `int",
    "Expected": "expected",
    "Number out of range": "expected a smaller number",
    "Invalid enum value": "knows no value",
}

_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\[\.\.\.\]")


def one_of(*words: str) -> str:
    """The pattern of a text that is one of some words."""
    pattern = f"^({'|'.join(map(re.escape, words))})\\Z"
    IN_WORDS[pattern] = f"one of {', '.join(words)}"
    return pattern


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """The table that a JSON file holds, its values not yet checked.

    Args:
        path: the file.
        remedy: what to do where it cannot be read.

    Raises:
        FileError: it is missing, too large, empty, cut off, no JSON, or no table, or names something twice.
    """
    text = _read_text(path, remedy, FileError)
    if not text.strip():
        raise FileError(f"{path}: is empty; what was to write it did not come to its end: {remedy}")
    try:
        table = json.loads(text, object_pairs_hook=_without_repetition)
    except _RepeatedError as error:
        name = shortened(str(error))
        raise FileError(
            f"{path}: names {name!r} twice in one table, so one of both is lost; take one out, or {remedy}"
        ) from None
    except json.JSONDecodeError as error:
        raise FileError(
            f"{path}:{error.lineno}: not valid JSON ({error.msg}), perhaps cut off; restore it, or {remedy}"
        ) from None
    except RecursionError:
        raise FileError(f"{path}: cannot be read as JSON: nested too deeply; {remedy}") from None
    except ValueError:  # a whole number of thousands of digits
        raise FileError(f"{path}: cannot be read as JSON: a number is too long; {remedy}") from None
    if not isinstance(table, dict):
        raise FileError(f"{path}: holds {type(table).__name__} in place of a table; {remedy}")
    return table


class _RepeatedError(ValueError):
    """A name stands twice in one table of a JSON file, as after two changes were merged."""


def _without_repetition(entries: list[tuple[str, Any]]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for name, value in entries:
        if name in table:
            raise _RepeatedError(name)
        table[name] = value
    return table


def read_toml(path: Path, raises: type[FileError] = FileError) -> dict[str, Any]:
    """The table that a TOML file holds, its values not yet checked; empty if there is no such file.

    Raises:
        FileError: it is too large or no TOML; of the class that is given.
    """
    try:
        return tomllib.loads(_read_text(path, "", raises, missing=""))
    except tomllib.TOMLDecodeError as error:
        raise raises(f"{path}: cannot be read: {error}") from None
    except RecursionError:
        raise raises(f"{path}: cannot be read: nested too deeply") from None
    except ValueError:  # a whole number of thousands of digits
        raise raises(f"{path}: cannot be read: a number is too long") from None


def _read_text(path: Path, remedy: str, raises: type[FileError], missing: str | None = None) -> str:
    """What a file holds; a text of one's own, if there is one, where there is no such file."""
    after = f"; {remedy}" if remedy else ""
    try:
        if path.exists() and not path.is_file():
            what = "a folder" if path.is_dir() else "no ordinary file"
            raise raises(f"{path}: cannot be read: it is {what}, a file was wanted{after}")
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except FileNotFoundError:
        if missing is not None:
            return missing
        raise raises(f"{path}: cannot be read: there is no such file{after}") from None
    except OSError as error:
        raise raises(f"{path}: cannot be read: {error.strerror}{after}") from None
    except ValueError:
        raise raises(f"{path}: cannot be read: this is no name of a file{after}") from None
    if len(content) > LARGEST:
        raise raises(f"{path}: cannot be read: it is larger than {LARGEST // 2**20} MiB{after}")
    if content.startswith(codecs.BOM_UTF8):
        raise raises(
            f"{path}:1: cannot be read: it begins with a byte order mark; save it without one{after}"
        )
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise raises(f"{path}:{line}: cannot be read: it is no text in UTF-8{after}") from None


def ensure_schema(path: Path, table: dict[str, Any], schema: int, remedy: str) -> None:
    """See that a record is one of this project and of the schema that is read here.

    Raises:
        FileError: it is not.
    """
    if "schema" not in table:
        raise FileError(f"{path}: no record of this project: it has no 'schema'; take another file")
    found = table["schema"]
    if type(found) is not int or found != schema:
        raise FileError(f"{path}: schema {reprlib.repr(found)}, this nnspec reads schema {schema}; {remedy}")


def fit(
    path: Path, table: object, wanted: type[Wanted], remedy: str = "", raises: type[FileError] = FileError
) -> Wanted:
    """What a file holds, as values of the wanted type.

    Raises:
        FileError: a value is another than wanted; of the class that is given.
    """
    try:
        return msgspec.convert(table, wanted)
    except UnicodeEncodeError as error:
        after = f"; {remedy}" if remedy else ""
        raise raises(f"{path}: '{shortened(error.object)}' holds half a character{after}") from None
    except msgspec.ValidationError as error:
        after = f"; {remedy}" if remedy else ""
        raise raises(f"{path}: {_refusal(table, wanted, str(error))}{after}") from None


def _refusal(table: object, wanted: type[Any], message: str) -> str:
    """Where a table is not as wanted, what is there, and what was wanted."""
    said, _, where = message.rpartition(" - at `")
    if not said:
        said, where = message, ""
    said = shortened(_in_words(said), 400)
    names: list[str] = []
    found, of_key = table, where.startswith("key`")
    steps = list(_STEP.finditer(where.removesuffix("`")))
    for step in steps:
        name, number = step.groups()
        if number is not None:
            found, names = found[int(number)], [*names, f"[{number}]"]  # type: ignore[index]
            continue
        key = name if name is not None else _first_refused(table, found, wanted, message)
        found, names = found[key], [*names, shortened(f".{key}" if names else key)]  # type: ignore[index]
    place = "".join(names) or "the file"
    if of_key:
        name = _first_refused(table, found, wanted, message)
        return f"{place}: the name {reprlib.repr(name)}: {said}"
    if message.startswith("Object"):
        return f"{place} {said}"
    if not message.startswith(tuple(_BEGINNINGS)):  # what a type of ours says itself
        return f"{place}: {said}"
    return f"{place} is {reprlib.repr(found)}, {said}"


def _first_refused(table: object, entries: Any, wanted: type[Any], message: str) -> str:
    """The entry that a message is about: the first without which the library does not come to it.

    What follows that entry is taken out.
    """
    whole = list(entries.items())
    fewest, most = 1, len(whole)
    while fewest < most:
        tried = (fewest + most) // 2
        _put(entries, whole[:tried])
        if _message(table, wanted) == message:
            most = tried
        else:
            fewest = tried + 1
    _put(entries, whole[fewest - 1 : fewest])
    return str(whole[fewest - 1][0])


def _put(entries: dict[str, Any], items: list[tuple[str, Any]]) -> None:
    entries.clear()
    entries.update(items)


def _message(table: object, wanted: type[Any]) -> str:
    try:
        msgspec.convert(table, wanted)
    except msgspec.ValidationError as error:
        return str(error)
    return ""


def _in_words(said: str) -> str:
    for pattern, words in IN_WORDS.items():
        if said.endswith(f"matching regex {pattern!r}"):
            return f"expected {words}"
    for beginning, words in _BEGINNINGS.items():
        if said.startswith(beginning):
            return f"{words}{said.removeprefix(beginning)}".replace("`", "'")
    return said
