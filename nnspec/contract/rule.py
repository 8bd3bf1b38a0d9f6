"""A rule as a run knows it: its id and its statement."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from nnspec.clauses.chapter import read_chapter


class Rule(NamedTuple):
    """One rule.

    Attributes:
        id: ``chapter.rule``, such as ``calling.its_hooks_run``.
        statement: the first sentence of its docstring, as a terminal shows it.
    """

    id: str
    statement: str


def rule_id(file: Path, function: str) -> str:
    """The id of the rule that a function of a chapter is."""
    return f"{file.stem.removeprefix('test_')}.{function.removeprefix('test_')}"


def read_rules(folder: Path) -> dict[str, Rule]:
    """The rules in the chapters of a folder, by id.

    Raises:
        ClauseError: a chapter cannot be read.
    """
    rules = [
        Rule(rule_id(path, clause.name), clause.plain)
        for path in sorted(folder.glob("test_*.py"))
        for clause in read_chapter(path).clauses
    ]
    return {rule.id: rule for rule in rules}
