"""How the run of one clause ended, and how the runs of its cases add up."""

from __future__ import annotations

from typing import NamedTuple

HOLDS = "holds"
NOT_YET = "not yet"
NO_LONGER = "no longer"
ABSENT = "absent"
UNMET = "unmet"
VIOLATED = "violated"
ERROR = "error"

#: Every outcome of a clause, the one that outweighs the others first.
OUTCOMES = (ERROR, VIOLATED, NO_LONGER, NOT_YET, ABSENT, UNMET, HOLDS)

#: The outcomes that fail a run.
FAILURES = (ERROR, VIOLATED)


class Outcome(NamedTuple):
    """An outcome and, where it is not ``holds``, the reason."""

    name: str
    reason: str = ""


def together(outcomes: list[Outcome]) -> Outcome:
    """The outcome of a clause from those of its cases and devices: the weightiest one."""
    return min(outcomes, key=lambda outcome: OUTCOMES.index(outcome.name))
