"""What a rule comes to for a module."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from pathlib import Path

import pytest

import nnspec
from nnspec.errors import UsageError
from nnspec.records.outcomes import ERROR, HOLDS, UNMET, VIOLATED, Outcome

NOT_APPLICABLE = "not applicable"
ALLOWED = "allowed"

#: Every outcome, the one that outweighs the others first.
OUTCOMES = (ERROR, VIOLATED, ALLOWED, UNMET, HOLDS, NOT_APPLICABLE)

_PACKAGE = Path(nnspec.__file__).parent


class NotApplicable(Exception):
    """A rule says nothing of the module at hand; the text says why."""


def judge(error: BaseException | None, rule: Path, accepted: str = "") -> Outcome:
    """The outcome of a rule.

    Args:
        error: what the rule raised, if anything.
        rule: the file it stands in.
        accepted: why it may be violated, empty if it may not.
    """
    if error is None:
        return Outcome(HOLDS)
    if isinstance(error, NotApplicable):
        return Outcome(NOT_APPLICABLE, str(error))
    if isinstance(error, pytest.skip.Exception):
        return Outcome(UNMET, str(error))
    if _is_of_the_rule(error, rule):
        return Outcome(ERROR, type(error).__name__)
    return Outcome(ALLOWED, accepted) if accepted else Outcome(VIOLATED, type(error).__name__)


def _is_of_the_rule(error: BaseException, rule: Path) -> bool:
    """Whether the rule or its findings raised, not the module, so that nothing was judged."""
    last = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
    is_ours = last == rule or _PACKAGE in last.parents
    return is_ours and not isinstance(error, (AssertionError, UsageError))


def weightiest(outcomes: Iterable[Outcome]) -> Outcome:
    """The outcome of a rule from those on each device."""
    return min(outcomes, key=lambda outcome: OUTCOMES.index(outcome.name))
