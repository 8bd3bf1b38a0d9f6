"""What a project says of itself for the contract: the table ``[tool.nnspec]`` of its ``pyproject.toml``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

EXPECTED = {
    "module": "a text",
    "input": "a list of texts",
    "inputs": "a text",
    "allow": 'lines such as clause = "the reason"',
}


class SettingsError(Exception):
    """The table cannot be used; the message names the file, the key and the remedy."""


@dataclass(frozen=True)
class Settings:
    """The table.

    Attributes:
        module: the module to put under the contract where the command names none.
        input: its inputs, one shape each.
        inputs: or the callable that returns them.
        allow: clauses that may be violated, each with the reason.
    """

    module: str = ""
    input: tuple[str, ...] = ()
    inputs: str = ""
    allow: Mapping[str, str] = field(default_factory=dict)


def read(folder: Path) -> Settings:
    """The settings in the ``pyproject.toml`` of a folder; empty ones if it has none.

    Raises:
        SettingsError: the file is no TOML, or the table has an unknown key or a value of the wrong type.
    """
    path = folder / "pyproject.toml"
    if not path.exists():
        return Settings()
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}") from None
    tool = found.get("tool", {})
    table: dict[str, Any] = tool.get("nnspec", {}) if isinstance(tool, dict) else {}
    if isinstance(table.get("allow"), dict):
        table["allow"] = _flat(table["allow"])
    for key, value in table.items():
        if key not in EXPECTED:
            raise SettingsError(f"{path}: [tool.nnspec] has no key {key!r}; it knows {', '.join(EXPECTED)}")
        if not _fits(key, value):
            raise SettingsError(f"{path}: [tool.nnspec] {key} = {value!r}: expected {EXPECTED[key]}")
    return Settings(
        module=table.get("module", ""),
        input=tuple(table.get("input", ())),
        inputs=table.get("inputs", ""),
        allow=table.get("allow", {}),
    )


def _flat(table: dict[str, Any]) -> dict[str, Any]:
    """Dotted ids that were written without quotes, and so were read as tables in tables, as one key each."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        inner = _flat(value) if isinstance(value, dict) else {"": value}
        flat.update({f"{key}.{rest}" if rest else key: one for rest, one in inner.items()})
    return flat


def _fits(key: str, value: object) -> bool:
    if key == "input":
        return isinstance(value, list) and all(isinstance(one, str) for one in value)
    if key == "allow":
        return isinstance(value, dict) and all(isinstance(one, str) and one for one in value.values())
    return isinstance(value, str)
