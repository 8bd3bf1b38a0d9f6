"""What the tests of the contract ask of a judged module."""

from __future__ import annotations

from collections.abc import Iterable

from nnspec.contract.judging import folded, judge_all
from nnspec.contract.outcomes import ERROR, VIOLATED, Verdict
from nnspec.contract.rule import load_rules
from nnspec.contract.target import Target
from nnspec.running import devices


def judge(target: Target) -> list[Verdict]:
    """The verdicts of every rule on a module, on every device."""
    return folded(judge_all(target, load_rules().values(), devices.present(), {}))


def failures(verdicts: Iterable[Verdict]) -> dict[str, str]:
    """The rules that do not hold, each with the first finding, or with the error."""
    return {
        verdict.rule.id: str(verdict.findings[0]) if verdict.findings else verdict.reason
        for verdict in verdicts
        if verdict.outcome in (ERROR, VIOLATED)
    }
