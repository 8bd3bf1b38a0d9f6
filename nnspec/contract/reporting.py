"""What a run of the contract shows."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
import torch

from nnspec.contract.allowances import Allowance
from nnspec.contract.inputs import in_words
from nnspec.contract.outcomes import ALLOWED, NOT_APPLICABLE, OUTCOMES, weightiest
from nnspec.contract.rule import Rule
from nnspec.contract.target import Target
from nnspec.contract.wording import count
from nnspec.records.outcomes import ERROR, FAILURES, HOLDS, UNMET, VIOLATED, Outcome
from nnspec.running import devices
from nnspec.running.reporting import Failure, show_statements, torch_version

#: Outcome to pytest's own category, letter and colour.
_SHOWN = {
    HOLDS: ("passed", ".", "green"),
    NOT_APPLICABLE: ("passed", "n", "yellow"),
    ALLOWED: ("passed", "a", "yellow"),
    UNMET: ("skipped", "u", "yellow"),
    VIOLATED: ("failed", "V", "red"),
    ERROR: ("error", "E", "red"),
}


class Reporter:
    """Gathers the outcomes and shows them.

    Args:
        config: pytest's configuration.
        target: the module that is judged.
        used: the device types of the run.
    """

    def __init__(self, config: pytest.Config, target: Target, used: tuple[str, ...]) -> None:
        self.target, self.devices = target, used
        self.rules: Mapping[str, Rule] = {}  # by node id
        self.allowances: Mapping[str, Allowance] = {}  # by the rule's id
        self.outcomes: dict[Rule, list[Outcome]] = {}
        terminal = config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None and config.get_verbosity() > 0:
            show_statements(terminal, self._statement_of)

    def expect(self, rules: Mapping[str, Rule], allowances: Mapping[str, Allowance]) -> None:
        """Take what was collected: the rules by node id, and those that may be violated by id."""
        self.rules, self.allowances = rules, allowances

    def reason_to_accept(self, rule: Rule) -> str:
        """Why a rule may be violated, empty if it may not."""
        return self.allowances[rule.id].reason if rule.id in self.allowances else ""

    def _statement_of(self, nodeid: str) -> str | None:
        return self.rules[nodeid].statement if nodeid in self.rules else None

    def pytest_report_header(self) -> str:
        names = ", ".join(map(devices.describe, self.devices))
        return f"torch {torch.__version__}, Python {platform.python_version()}, devices: {names}"

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        outcome = getattr(report, "outcome_of_rule", None)
        if outcome is None:
            return
        rule = self.rules[report.nodeid]
        self.outcomes.setdefault(rule, []).append(outcome)
        if outcome.name in FAILURES:
            report.longrepr = Failure(  # type: ignore[assignment]
                f"{outcome.name}: {rule.statement}",
                f"rule {rule.id}, torch {torch_version()}",
                report.longrepr,
                getattr(report, "findings", None),
            )

    def pytest_report_teststatus(
        self, report: pytest.CollectReport | pytest.TestReport
    ) -> tuple[str, str, tuple[str, dict[str, bool]]] | None:
        outcome = getattr(report, "outcome_of_rule", None)
        if outcome is None:
            return None
        category, letter, colour = _SHOWN[outcome.name]
        return category, letter, (outcome.name, {colour: True})

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if not self.outcomes:
            return
        terminalreporter.section("rules", sep="-")
        for line in self._summary({rule: weightiest(cases) for rule, cases in self.outcomes.items()}):
            terminalreporter.write_line(line)

    def _summary(self, outcomes: Mapping[Rule, Outcome]) -> list[str]:
        """What was judged, how many rules came to what, and why some did not simply hold."""
        number = Counter(outcome.name for outcome in outcomes.values())
        counts = [f"{number[name]} {name}" for name in reversed(OUTCOMES) if number[name]]
        lines = [
            f"contract of {self.target.name}, called with {in_words(self.target.example())}",
            f"{count(len(outcomes), 'rule')}: {', '.join(counts)}",
        ]
        reasons: dict[str, list[str]] = {}
        for rule, outcome in outcomes.items():
            if outcome.name == NOT_APPLICABLE:
                reasons.setdefault(outcome.reason, []).append(rule.id)
        for reason, ids in reasons.items():
            lines += [f"not applicable: {', '.join(ids)}", f"  {reason}"]
        for name in (UNMET, ALLOWED, VIOLATED, ERROR):
            lines += [
                f"{name}: {rule.id}: {rule.statement if name in FAILURES else outcome.reason}"
                for rule, outcome in outcomes.items()
                if outcome.name == name
            ]
        return lines + [
            f"allowed, but {outcome.name}: {rule.id}; remove it from {self.allowances[rule.id].where}"
            for rule, outcome in outcomes.items()
            if rule.id in self.allowances and outcome.name in (HOLDS, NOT_APPLICABLE)
        ]
