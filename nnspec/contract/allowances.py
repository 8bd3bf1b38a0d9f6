"""Which rules a module may violate, as the command line and the project's table say."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping

from nnspec.errors import UsageError, shortened

_TABLE = "[tool.nnspec.allow]"


def read_allowances(given: Iterable[str], kept: Mapping[str, str], rules: Collection[str]) -> dict[str, str]:
    """Why rules may be violated, by their ids.

    Args:
        given: what ``--allow`` names.
        kept: the reasons in the table of the project.
        rules: the ids of all rules.

    Raises:
        UsageError: what is given, or stands in the table, is no rule.
    """
    by_table = {find_id(name, rules, _TABLE): why for name, why in kept.items()}
    return by_table | dict.fromkeys((find_id(name, rules, "--allow") for name in given), "by --allow")


def find_id(given: str, rules: Collection[str], where: str) -> str:
    """The id that a full id, or the end of one, names; rules were once clauses of a part ``contract``.

    Raises:
        UsageError: it names none, or several.
    """
    if not isinstance(given, str):
        raise UsageError(f"{where}: {given!r} is no rule of the contract; name one, such as 'pickling'")
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
    near = f"near it: {', '.join(ends[end] for end in close)}"
    if not close:
        chapters = dict.fromkeys(rule.partition(".")[0] for rule in rules)
        near = f"each is in a chapter, {', '.join(chapters)}; docs/contract.rst lists them"
    raise UsageError(f"{where}: {shortened(repr(given))} is no rule of the contract; {near}")
