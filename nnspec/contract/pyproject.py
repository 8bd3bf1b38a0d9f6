"""What a project says of itself for the contract: the table ``[tool.nnspec]`` of its ``pyproject.toml``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec import Struct

from nnspec.decoding import Said, Text, fit, read_toml
from nnspec.errors import FileError, shortened


class Entry(Struct, frozen=True, forbid_unknown_fields=True):
    """A module to judge where the command names none.

    Attributes:
        module: the module.
        input: its inputs, one shape each.
        inputs: or the function that returns them.
        allow: rules that it may violate, each with the reason.
    """

    module: Said
    input: tuple[Text, ...] = ()
    inputs: Said | None = None
    allow: dict[Text, Said] = {}


class Table(Struct, frozen=True, forbid_unknown_fields=True):
    """The table: one module, or several in ``modules``, and what each of them may violate."""

    module: Said | None = None
    input: tuple[Text, ...] = ()
    inputs: Said | None = None
    allow: dict[Text, Said] = {}
    modules: tuple[Entry, ...] = ()

    @property
    def entries(self) -> list[Entry]:
        """All modules in order."""
        own = [Entry(self.module, self.input, self.inputs)] if self.module else []
        return [*own, *self.modules]


class _Tool(Struct, frozen=True):
    nnspec: Table = Table()


class _Pyproject(Struct, frozen=True):
    tool: _Tool = _Tool()


def read_table(path: Path) -> Table:
    """The table in a ``pyproject.toml``; an empty one if it has none, or there is no such file.

    Raises:
        FileError: the file is no TOML, or the table has an unknown entry or a value of the wrong type.
    """
    written = read_toml(path)
    tool = written.get("tool")
    table = tool.get("nnspec") if isinstance(tool, dict) else None
    if isinstance(table, dict):
        _flatten(path, table)
        modules = table.get("modules")
        for entry in modules if isinstance(modules, list) else []:
            if isinstance(entry, dict):
                _flatten(path, entry)
    remedy = f"the entries of tool.nnspec are {', '.join(Table.__struct_fields__)}"
    return fit(path, written, _Pyproject, remedy).tool.nnspec


def _flatten(path: Path, table: dict[str, Any]) -> None:
    """Make one key of each dotted id that was written without quotes, and so was read as tables in tables."""
    allow = table.get("allow")
    if not isinstance(allow, dict):
        return
    flat = table["allow"] = dict[str, Any]()
    waiting = list(allow.items())
    while waiting:
        key, value = waiting.pop(0)
        if len(key) > 1000:
            raise FileError(f"{path}: allow names no rule with {shortened(key)}")
        if isinstance(value, dict) and value:
            waiting = [(f"{key}.{rest}", inner) for rest, inner in value.items()] + waiting
        else:
            flat[key] = value
