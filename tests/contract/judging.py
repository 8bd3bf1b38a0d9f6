"""Judges a module by every rule in this process, without a run of pytest for each."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from nnspec.contract import tree
from nnspec.contract.command import RULES
from nnspec.contract.outcomes import NotApplicable, judge
from nnspec.contract.plugin import FINDINGS
from nnspec.contract.rule import rule_id
from nnspec.contract.target import Target
from nnspec.records.outcomes import FAILURES
from nnspec.running import devices, isolation

Rule = Callable[..., None]


class Verdict(NamedTuple):
    """What a rule came to on one device, why, and what it left changed in the process."""

    rule: str
    outcome: str
    reason: str
    leaked: list[str]


def load_rules() -> dict[str, Rule]:
    """The functions of all rules, by id."""
    rules = {}
    for path in sorted(RULES.glob("test_*.py")):
        chapter = vars(importlib.import_module(f"nnspec.contract.rules.{path.stem}"))
        rules |= {rule_id(path, name): chapter[name] for name in chapter if name.startswith("test_")}
    return rules


def judge_by(rules: dict[str, Rule], target: Target, folder: Path, config: pytest.Config) -> list[Verdict]:
    """The verdicts of rules on a module, on every device.

    Args:
        rules: by id.
        target: the module.
        folder: a rule may write into it.
        config: the configuration of pytest, where the hook of the plugin puts findings.
    """
    given = _given(target) | {"tmp_path": folder}
    return [
        _verdict(name, rule, given | {"device": device}, config)
        for name, rule in rules.items()
        for device in (devices.present() if "device" in inspect.signature(rule).parameters else ["cpu"])
    ]


def _given(target: Target) -> dict[str, Any]:
    """What the conftest of the rules gives to them."""

    def unless(obstacles: list[str]) -> None:
        if obstacles:
            raise NotApplicable(obstacles[0])

    return {
        "build": target.build,
        "example": target.example,
        "ready": lambda: tree.ready(target.build, target.example),
        "other": lambda: tree.ready(target.build, target.example, make=target.make),
        "unless": unless,
    }


def _verdict(name: str, rule: Rule, given: dict[str, Any], config: pytest.Config) -> Verdict:
    before, error = isolation.snapshot(), None
    isolation.seed()
    try:
        rule(**{argument: given[argument] for argument in inspect.signature(rule).parameters})
    except Exception as raised:
        error = raised
    leaked, _ = isolation.restore(before, compiled=False)
    outcome = judge(error, Path(inspect.getfile(rule)))
    if isinstance(error, AssertionError):
        return Verdict(name, outcome.name, config.stash[FINDINGS][0], leaked)
    if outcome.name in FAILURES:
        return Verdict(name, outcome.name, f"{type(error).__name__}: {error}", leaked)
    return Verdict(name, outcome.name, outcome.reason, leaked)


def failures(verdicts: list[Verdict]) -> dict[str, str]:
    """The rules that do not hold, each with the first finding, or with the error."""
    return {verdict.rule: verdict.reason for verdict in verdicts if verdict.outcome in FAILURES}
