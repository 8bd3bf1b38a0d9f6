"""What was found, for people and for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from nnspec.contract.finding import SEVERITIES, Finding, Severity
from nnspec.contract.outcomes import (
    ALLOWED,
    ERROR,
    HOLDS,
    NOT_APPLICABLE,
    OUT_OF_TIME,
    OUTCOMES,
    VIOLATED,
    Verdict,
)
from nnspec.contract.wording import LONGEST_TEXT, count
from nnspec.errors import UsageError, printable

#: How many findings of one rule, and how many rules for one reason, are shown to people.
MOST = 5


class ContractError(AssertionError):
    """A module violates the contract; the text is the report."""


@dataclass(frozen=True)
class Report:
    """What the contract says of one module.

    Attributes:
        name: how the module was given.
        inputs: what it was called with, in words.
        torch: the release.
        verdicts: one for each rule that was judged.
        allowed: where and why a rule may be violated, by its id.
    """

    name: str
    inputs: str
    torch: str
    verdicts: tuple[Verdict, ...]
    allowed: Mapping[str, str]

    @property
    def findings(self) -> list[Finding]:
        """All findings that are not allowed, the worst first."""
        found = [
            finding
            for verdict in self.verdicts
            if verdict.outcome == VIOLATED
            for finding in verdict.findings
        ]
        return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))

    @property
    def failed(self) -> list[Verdict]:
        """The rules that the tool itself could not judge."""
        return [verdict for verdict in self.verdicts if verdict.outcome == ERROR]

    @property
    def unfinished(self) -> list[Verdict]:
        """The rules that ran out of time, and so were not judged."""
        return [verdict for verdict in self.verdicts if verdict.outcome == OUT_OF_TIME]

    @property
    def outdated(self) -> list[str]:
        """The rules that may be violated, were judged, and are not violated."""
        judged = {verdict.rule.id: verdict.outcome for verdict in self.verdicts}
        return [rule for rule in self.allowed if judged.get(rule) in (HOLDS, NOT_APPLICABLE)]

    def at_least(self, severity: Severity) -> list[Finding]:
        """The findings of a severity or of a worse one.

        Raises:
            UsageError: there is no such severity.
        """
        if severity not in SEVERITIES:
            raise UsageError(f"{severity!r} is no severity; one of {', '.join(SEVERITIES)}")
        wanted = SEVERITIES[: SEVERITIES.index(severity) + 1]
        return [finding for finding in self.findings if finding.severity in wanted]

    def raise_if(self, severity: Severity = "error") -> None:
        """Raise if there is a finding of this severity or of a worse one, or if a rule was not judged.

        Raises:
            ContractError: there is one; the text is the whole report.
            UsageError: there is no such severity.
        """
        if self.at_least(severity) or self.failed or self.unfinished:
            raise ContractError(f"\n{self}")

    def exit_code(self, *, strict: bool = False) -> int:
        """0 well, 1 there are errors, or warnings if those count, 3 a rule was not judged.

        That is so where the tool itself failed, or ran out of time.
        """
        if self.at_least("warning" if strict else "error"):
            return 1
        return 3 if self.failed or self.unfinished else 0

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain data, for JSON."""
        return {
            "module": self.name,
            "inputs": self.inputs,
            "torch": self.torch,
            "counts": dict(Counter(verdict.outcome for verdict in self.verdicts)),
            "findings": [finding.to_dict() for finding in self.findings],
            "rules": [
                {
                    "rule": verdict.rule.id,
                    "statement": verdict.rule.statement,
                    "severity": verdict.rule.severity,
                    "outcome": verdict.outcome,
                    "findings": [str(finding) for finding in verdict.findings],
                    "reason": verdict.reason,
                    "seconds": round(verdict.seconds, 3),
                }
                for verdict in self.verdicts
            ],
        }

    def to_json(self) -> str:
        """All of it as JSON."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False)

    def write_junit(self, file: Path) -> None:
        """Write a JUnit file: one test case for each rule, skipped where it does not apply."""
        write_junit([self], file)

    def __str__(self) -> str:
        lines = [*self._summary(), *self._violations(), *self._others()]
        return printable("\n".join(lines), keep="\n\t")

    def _summary(self) -> list[str]:
        number = Counter(verdict.outcome for verdict in self.verdicts)
        counts = [f"{number[name]} {name}" for name in reversed(OUTCOMES) if number[name]]
        severities = Counter(v.rule.severity for v in self.verdicts if v.outcome == VIOLATED)
        worst = [count(severities[severity], severity) for severity in SEVERITIES if severities[severity]]
        return [
            f"contract of {self.name}, called with {self.inputs}, torch {self.torch}",
            f"{count(len(self.verdicts), 'rule')}: {', '.join(counts)}"
            + (f" ({', '.join(worst)})" if worst else ""),
        ]

    def _violations(self) -> list[str]:
        lines = []
        violated = [verdict for verdict in self.verdicts if verdict.outcome == VIOLATED]
        for verdict in sorted(violated, key=lambda verdict: SEVERITIES.index(verdict.rule.severity)):
            lines += ["", f"{verdict.rule.severity}: {verdict.rule.statement} [{verdict.rule.id}]"]
            for finding in verdict.findings[:MOST]:
                lines += [f"  {_cut(finding.cause)}"]
                lines += [f"    -> {_cut(finding.cure)}"] if finding.cure else []
            left = len(verdict.findings) - MOST
            lines += [f"  and {left} more; --json has them all"] if left > 0 else []
        return lines

    def _others(self) -> list[str]:
        """What was not judged and why, and what is allowed."""
        reasons: dict[str, list[str]] = {}
        for verdict in self.verdicts:
            if verdict.outcome == NOT_APPLICABLE:
                reasons.setdefault(verdict.reason, []).append(verdict.rule.id)
        lines = [""] if reasons else []
        for reason, rules in reasons.items():
            more = f" and {len(rules) - MOST} more" if len(rules) > MOST else ""
            lines += [f"not applicable: {', '.join(rules[:MOST])}{more}", f"  {_cut(reason)}"]
        for verdict in self.verdicts:
            if verdict.outcome == ALLOWED:
                lines += [f"allowed: {verdict.rule.id}: {verdict.reason}"]
        lines += [
            f"allowed, but not violated: {rule}: {self.allowed[rule]}; allow it no longer"
            for rule in self.outdated
        ]
        late = [verdict.rule.id for verdict in self.unfinished]
        if late:
            more = f" and {len(late) - MOST} more" if len(late) > MOST else ""
            lines += ["", f"not judged: {', '.join(late[:MOST])}{more}", f"  {self.unfinished[0].reason}"]
        for verdict in self.failed:
            lines += ["", f"the tool failed: {verdict.rule.id}: this says nothing of the module; report it:"]
            lines += [f"  {line}" for line in verdict.reason.splitlines()[-8:]]
        return lines


def write_junit(reports: Iterable[Report], file: Path, unjudged: Iterable[str] = ()) -> None:
    """Write a JUnit file: one suite for each module in it.

    Args:
        reports: of the modules that were judged.
        file: is written.
        unjudged: of each of the others, why it could not be judged.

    Raises:
        UsageError: it cannot be written.
    """
    whole = ElementTree.Element("testsuites")
    whole.extend(map(_suite, reports))
    for why in unjudged:
        suite = ElementTree.SubElement(whole, "testsuite", name="not judged", tests="1", errors="1")
        case = ElementTree.SubElement(
            suite, "testcase", classname="building", name="it can be built and called"
        )
        ElementTree.SubElement(case, "error", message=_printable(why))
    ElementTree.indent(whole)
    try:
        file.write_bytes(ElementTree.tostring(whole, encoding="utf-8", xml_declaration=True))
    except OSError as error:
        raise UsageError(f"{file}: the JUnit file cannot be written: {error.strerror}") from None


def _suite(report: Report) -> ElementTree.Element:
    number = Counter(verdict.outcome for verdict in report.verdicts)
    suite = ElementTree.Element(
        "testsuite",
        name=_printable(f"contract of {report.name}"),
        tests=str(len(report.verdicts)),
        failures=str(number[VIOLATED]),
        errors=str(number[ERROR] + number[OUT_OF_TIME]),
        skipped=str(number[NOT_APPLICABLE] + number[ALLOWED]),
    )
    for verdict in report.verdicts:
        chapter, _, name = verdict.rule.id.partition(".")
        case = ElementTree.SubElement(
            suite, "testcase", classname=chapter, name=name, time=f"{verdict.seconds:.3f}"
        )
        text = "\n".join(map(str, verdict.findings)) or verdict.reason
        kind = {VIOLATED: "failure", ERROR: "error", OUT_OF_TIME: "error", HOLDS: ""}.get(
            verdict.outcome, "skipped"
        )
        if kind:
            message = verdict.rule.statement if kind != "skipped" else verdict.reason
            element = ElementTree.SubElement(
                case, kind, message=_printable(message), type=verdict.rule.severity
            )
            element.text = _printable(text)
    return suite


def _cut(text: str) -> str:
    """A text on one line, its end left out if it is long: a name may have a line break in it."""
    most = 2 * LONGEST_TEXT
    return printable(text if len(text) <= most else f"{text[:most]}...", keep="\t")


def _printable(text: str) -> str:
    """Text whose every character XML can have."""
    return printable(text, keep="\n\t")
