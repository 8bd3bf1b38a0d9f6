"""The parts of a specification and their chapters, in reading order. Nothing here reads a table."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nnspec.clauses.chapter import Chapter, parse, read_chapters
from nnspec.clauses.clause import Clause
from nnspec.errors import UsageError


@dataclass(frozen=True)
class Part:
    """A folder of chapters, opened by the docstring of its ``__init__.py``."""

    name: str
    docstring: str
    chapters: tuple[Chapter, ...]


def find_checkout() -> Path:
    """The folder that holds ``spec/`` and ``docs/``: this one, or the checkout that this package lies in.

    Raises:
        UsageError: there is none.
    """
    here = Path.cwd()
    for root in (here, Path(__file__).resolve().parents[2]):
        if (root / "spec").is_dir() and (root / "docs").is_dir():
            return root
    raise UsageError(f"{here}: no spec/ and docs/ here; run this command in a checkout of the project")


def read_parts(folder: Path) -> tuple[Part, ...]:
    """The parts below a folder in the order in which its ``__init__.py`` names them, chapters likewise.

    Raises:
        ClauseError: there is no chapter, or one cannot be read.
    """
    chapters = read_chapters(folder)
    names = _in_order({chapter.part for chapter in chapters}, _docstring(folder))
    return tuple(_read_part(folder / name, chapters) for name in names)


def read_clauses(folder: Path) -> dict[str, Clause]:
    """Id to clause, below a folder such as ``spec``, in reading order.

    Raises:
        ClauseError: there is no chapter, or one cannot be read.
    """
    parts = read_parts(folder)
    return {clause.id: clause for part in parts for chapter in part.chapters for clause in chapter.clauses}


def _read_part(folder: Path, chapters: list[Chapter]) -> Part:
    own = {chapter.name: chapter for chapter in chapters if chapter.part == folder.name}
    opening = _docstring(folder)
    return Part(folder.name, opening, tuple(own[name] for name in _in_order(own, opening)))


def _docstring(folder: Path) -> str:
    """What the ``__init__.py`` of a folder says, empty if it says nothing."""
    page = folder / "__init__.py"
    return (ast.get_docstring(parse(page)[0]) or "") if page.exists() else ""


def _in_order(names: Mapping[str, object] | set[str], opening: str) -> list[str]:
    """Names in the order in which a text has them in emphasis, as ``*name*``, the others after."""

    def place(name: str) -> tuple[int, str]:
        at = opening.find(f"*{name}*")
        return (at if at >= 0 else len(opening), name)

    return sorted(names, key=place)
