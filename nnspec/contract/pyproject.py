"""What a project says of itself for the contract: the table ``[tool.nnspec]`` of its ``pyproject.toml``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nnspec.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_EXPECTED = {
    "module": "a text",
    "input": "a list of texts",
    "inputs": "a text",
    "allow": 'lines such as rule = "the reason"',
}


@dataclass(frozen=True)
class Table:
    """The table.

    Attributes:
        module: the module to judge where the command names none.
        input: its inputs, one shape each.
        inputs: or the function that returns them.
        allow: rules that may be violated, each with the reason.
    """

    module: str = ""
    input: tuple[str, ...] = ()
    inputs: str = ""
    allow: Mapping[str, str] = field(default_factory=dict)


def read_table(folder: Path) -> Table:
    """The table in the ``pyproject.toml`` of a folder; an empty one if it has none.

    Raises:
        UsageError: the file is no TOML, or the table has an unknown key or a value of the wrong type.
    """
    path = folder / "pyproject.toml"
    if not path.exists():
        return Table()
    try:
        written = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: cannot be read: {error}") from None
    table: dict[str, Any] = written.get("tool", {}).get("nnspec", {})
    if isinstance(table.get("allow"), dict):
        table["allow"] = _flat(table["allow"])
    for key, value in table.items():
        if key not in _EXPECTED:
            raise UsageError(f"{path}: [tool.nnspec] has no key {key!r}; it knows {', '.join(_EXPECTED)}")
        if not _fits(key, value):
            raise UsageError(f"{path}: [tool.nnspec] {key} = {value!r}: expected {_EXPECTED[key]}")
    return Table(**table | {"input": tuple(table.get("input", ()))})


def _flat(table: dict[str, Any]) -> dict[str, Any]:
    """Dotted ids that were written without quotes, and so were read as tables in tables, as one key each."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        inner = _flat(value) if isinstance(value, dict) else {"": value}
        flat.update({f"{key}.{rest}" if rest else key: reason for rest, reason in inner.items()})
    return flat


def _fits(key: str, value: object) -> bool:
    if key == "input":
        return isinstance(value, list) and all(isinstance(shape, str) for shape in value)
    if key == "allow":
        return isinstance(value, dict) and all(
            isinstance(reason, str) and reason for reason in value.values()
        )
    return isinstance(value, str)
