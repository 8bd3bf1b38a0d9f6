"""What a report says, to people and to programs, and how a run of rules goes."""

import json
import time
from dataclasses import replace
from xml.etree import ElementTree

import pytest
import torch
from torch import nn

from nnspec.contract import tree
from nnspec.contract.finding import read_sentence
from nnspec.contract.judging import folded, judge_all
from nnspec.contract.outcomes import NotApplicable
from nnspec.contract.report import ContractError, Report
from nnspec.contract.rule import Rule
from nnspec.contract.target import Target


class Net(nn.Module):
    """One layer is registered, one hides in a list."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(2, 3)
        self.blocks = [nn.Linear(3, 3)]

    def forward(self, x):
        return self.blocks[0](self.inner(x))


class Raising(Net):
    """It is never called with success."""

    def forward(self, x):
        raise ValueError("not again")


class Leaving(Net):
    """It ends the process when it is called."""

    def forward(self, x):
        raise SystemExit("\x1b[2J good-bye \ud800")


def holds(build):
    yield []


def lists(build):
    found = [name for name, value in vars(build()).items() if isinstance(value, list)]
    yield [f"`{name}` is a list; use nn.ModuleList" for name in found]


def many(build):
    yield [f"`entry{number}` is wrong; mend it" for number in range(12)]


def says_nothing(build):
    raise NotApplicable("it has no parameters")
    yield []


def calls(build, example):
    (args, kwargs) = example()
    build()(*args, **kwargs)
    yield []


def is_broken(build):
    yield list(tree.tensors(None))


def sleeps(build):
    while True:
        try:
            time.sleep(0.01)
        except Exception:
            build()
    yield []


def leaks(build):
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(3)
    yield []


def is_as_it_was(build):
    states = torch.are_deterministic_algorithms_enabled(), torch.initial_seed()
    yield [] if states == (False, 20) else [f"`process` is {states}; put it back"]


def reported(*functions, make=Net, allowed=None, severities=("error",) * 9, limit=None):
    """The report of small rules on a module."""
    rules = [
        Rule(f"small.{function.__name__}", f"It is {function.__name__}.", severity, function)
        for function, severity in zip(functions, severities, strict=False)
    ]
    target = Target("models:Net", make, lambda: ((torch.ones(4, 2),), {}))
    verdicts = folded(judge_all(target, rules, ["cpu"], allowed or {}, limit=limit))
    return Report("models:Net", "float32 (4, 2)", "2.15.0", tuple(verdicts), allowed or {})


def test_a_report_begins_with_its_summary_and_then_the_worst():
    report = reported(many, lists, says_nothing, severities=("warning", "error", "error"))

    assert str(report).splitlines() == [
        "contract of models:Net, called with float32 (4, 2), torch 2.15.0",
        "3 rules: 1 not applicable, 2 violated (1 error, 1 warning)",
        "",
        "error: It is lists. [small.lists]",
        "  `blocks` is a list",
        "    -> use nn.ModuleList",
        "",
        "warning: It is many. [small.many]",
        *(line for n in range(5) for line in (f"  `entry{n}` is wrong", "    -> mend it")),
        "  and 7 more; --json has them all",
        "",
        "not applicable: small.says_nothing",
        "  it has no parameters",
    ]


def breaks_lines(build):
    yield ["`a\nb` is wrong; mend\nit"]


def test_a_finding_is_one_line_whatever_its_name_holds():
    assert str(reported(breaks_lines)).splitlines()[-2:] == [r"  `a\nb` is wrong", r"    -> mend\nit"]


@pytest.mark.parametrize(
    ("rules", "severity", "code", "strict_code"),
    [
        ([holds, says_nothing], "error", 0, 0),
        ([lists], "error", 1, 1),
        ([lists], "warning", 0, 1),
        ([lists], "note", 0, 0),
        ([is_broken], "error", 3, 3),
        ([lists, is_broken], "error", 1, 1),
    ],
)
def test_exit_codes(rules, severity, code, strict_code):
    report = reported(*rules, severities=(severity,) * 2)

    assert (report.exit_code(), report.exit_code(strict=True)) == (code, strict_code)


def test_a_fault_of_the_tool_says_nothing_of_the_module():
    report = reported(is_broken)

    assert report.findings == []
    assert "the tool failed: small.is_broken: this says nothing of the module; report it:" in str(report)
    assert "AttributeError: 'NoneType' object has no" in str(report)
    with pytest.raises(ContractError):
        report.raise_if()


def test_a_rule_that_ran_out_of_time_was_not_judged(tmp_path):
    report = reported(sleeps, lists, limit=0.2)

    assert [verdict.outcome for verdict in report.verdicts] == ["out of time", "violated"]
    assert (report.exit_code(), reported(sleeps, holds, limit=0.2).exit_code()) == (1, 3)
    assert str(report).endswith(
        "\n\nnot judged: small.sleeps\n  it took longer than 0.2 seconds, and was not judged"
    )
    with pytest.raises(ContractError):
        reported(sleeps, limit=0.2).raise_if()
    report.write_junit(tmp_path / "contract.xml")
    assert 'errors="1"' in (tmp_path / "contract.xml").read_text()


def test_an_error_of_the_module_is_told_once():
    report = reported(calls, calls, make=Raising)

    (finding,) = report.findings
    assert str(finding).startswith("while this is tried, the module raises ValueError: not again at ")
    assert report.verdicts[1].reason.startswith(
        "as small.calls says, the module raises ValueError: not again"
    )


def test_an_error_of_the_module_is_told_by_the_gravest_rule_that_met_it():
    verdict = reported(calls, make=Raising).verdicts[0]
    judged = [
        replace(verdict, rule=verdict.rule._replace(severity=severity))
        for severity in ("note", "error", "error")
    ]

    assert [one.outcome for one in folded(judged)] == ["not applicable", "violated", "not applicable"]


def test_a_module_that_ends_the_process_is_told_of_and_can_be_shown(tmp_path):
    report = reported(calls, make=Leaving)

    (finding,) = report.findings
    assert str(finding).startswith("while this is tried, the module raises SystemExit: \x1b[2J good-bye")
    assert "SystemExit: \\x1b[2J good-bye \\ud800 at" in str(report)
    report.write_junit(tmp_path / "contract.xml")
    (failure,) = ElementTree.parse(tmp_path / "contract.xml").getroot()[0][0]
    assert "SystemExit: \\x1b[2J good-bye \\ud800" in failure.text


def test_what_a_module_changes_in_the_process_is_put_back():
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)

    report = reported(leaks, is_as_it_was)

    assert [verdict.outcome for verdict in report.verdicts] == ["holds", "holds"]
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.equal(torch.rand(2), expected)


def test_what_is_allowed_is_said_and_so_is_what_does_not_occur():
    report = reported(lists, holds, allowed={"small.lists": "is walked by hand", "small.holds": "once"})

    assert report.findings == []
    assert report.exit_code() == 0
    assert "allowed: small.lists: is walked by hand" in str(report)
    assert "allowed, but not violated: small.holds: once; allow it no longer" in str(report)


def test_json_has_every_rule_and_every_finding():
    data = json.loads(reported(many, holds).to_json())

    assert [rule["outcome"] for rule in data["rules"]] == ["violated", "holds"]
    assert data["counts"] == {"violated": 1, "holds": 1}
    assert len(data["findings"]) == 12
    assert data["findings"][0] == {
        "rule": "small.many",
        "severity": "error",
        "attribute": "entry0",
        "cause": "`entry0` is wrong",
        "cure": "mend it",
    }


def test_junit_has_a_case_for_each_rule(tmp_path):
    reported(lists, holds, says_nothing, is_broken).write_junit(tmp_path / "contract.xml")

    suite = ElementTree.parse(tmp_path / "contract.xml").getroot()[0]
    assert [suite.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["4", "1", "1", "1"]
    assert [[child.tag for child in case] for case in suite] == [["failure"], [], ["skipped"], ["error"]]
    assert suite[0][0].text == "`blocks` is a list; use nn.ModuleList"


@pytest.mark.parametrize(
    ("sentence", "attribute", "cause", "cure"),
    [
        ("`a.b` is wrong; mend it", "a.b", "`a.b` is wrong", "mend it"),
        ("two share `a`: odd; so; mend it", "a", "two share `a`: odd; so", "mend it"),
        ("it raises E at f.py:3, `x`; mend it", "", "it raises E at f.py:3, `x`", "mend it"),
        ("it is wrong", "", "it is wrong", ""),
    ],
)
def test_a_sentence_is_attribute_cause_and_cure(sentence, attribute, cause, cure):
    finding = read_sentence(sentence, "a.rule", "note")

    assert (finding.attribute, finding.cause, finding.cure) == (attribute, cause, cure)
