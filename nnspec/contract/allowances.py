"""Which rules a module may violate, as the command line and the project's table say."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from nnspec.contract.pyproject import read_table
from nnspec.errors import UsageError

_TABLE = "[tool.nnspec.allow] in pyproject.toml"


class Allowance(NamedTuple):
    """Why a rule may be violated, and where that is said."""

    reason: str
    where: str


def read_allowances(given: Iterable[str], rules: Collection[str]) -> dict[str, Allowance]:
    """The rules that may be violated, by id.

    Args:
        given: what ``--allow`` names.
        rules: the ids of all rules.

    Raises:
        UsageError: what is given, or stands in the table of the current folder, is no rule.
    """
    kept = read_table(Path.cwd()).allow
    allowances = {_find_id(name, rules, _TABLE): Allowance(why, _TABLE) for name, why in kept.items()}
    by_option = [_find_id(name, rules, "--allow") for name in given]
    return allowances | dict.fromkeys(by_option, Allowance("by --allow", "--allow"))


def _find_id(given: str, rules: Collection[str], where: str) -> str:
    """The id that a full id, or the end of one, names; rules were once clauses of a part ``contract``."""
    name = given.removeprefix("contract.")
    matches = [rule for rule in rules if rule == name or rule.endswith(f".{name}")]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise UsageError(
            f"{where}: {given!r} names {len(matches)} rules: {', '.join(matches)}; write one out"
        )
    ends = {rule.rpartition(".")[2]: rule for rule in rules}
    close = difflib.get_close_matches(name.rpartition(".")[2], ends, 3, cutoff=0.4)
    near = "; near it: " + ", ".join(ends[end] for end in close) if close else f"; one of {', '.join(rules)}"
    raise UsageError(f"{where}: {given!r} is no rule of the contract{near}")
