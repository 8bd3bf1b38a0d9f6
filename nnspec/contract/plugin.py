"""The pytest plugin that judges a module by rules: every test of the run is one."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from nnspec.contract.allowances import read_allowances
from nnspec.contract.inputs import INTEGERS_BELOW
from nnspec.contract.outcomes import ALLOWED, NOT_APPLICABLE, judge
from nnspec.contract.reporting import Reporter
from nnspec.contract.rule import Rule, read_rules, rule_id
from nnspec.contract.target import Target, find_target
from nnspec.contract.wording import describe
from nnspec.errors import NnspecError
from nnspec.records.outcomes import ERROR, VIOLATED, Outcome
from nnspec.running import devices, isolation

REPORTER = pytest.StashKey[Reporter]()
SNAPSHOT = pytest.StashKey[isolation.Snapshot]()
RULE = pytest.StashKey[Rule]()

#: What the assertion that failed last found, one sentence each.
FINDINGS = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("contract of a module")
    group.addoption(
        "--module",
        metavar="TARGET",
        help="a class or function that makes the module: package.module:name, or with literal arguments "
        "'package.module:Net(10, bias=False)'",
    )
    group.addoption(
        "--input",
        action="append",
        default=[],
        metavar="SHAPE[:DTYPE]",
        help="one positional input: 2,3,64,64 draws normal numbers, 2,128:int64 whole numbers from 0 to "
        f"{INTEGERS_BELOW - 1}, 2,5:bool truth values; may be given more than once",
    )
    group.addoption(
        "--inputs",
        metavar="CALLABLE",
        help="package.module:function that returns the inputs: a tensor, a tuple or list of positional "
        "inputs, a dict of named ones, or a pair (tuple, dict)",
    )
    group.addoption(
        "--allow",
        action="append",
        default=[],
        metavar="RULE",
        help="a rule, by its id or the end of it, that the module may violate; may be given more than once, "
        "or kept with a reason in [tool.nnspec.allow] of the pyproject.toml here",
    )
    group.addoption(
        "--device",
        action="append",
        metavar="DEVICE",
        help="a device type to judge on, such as cpu or cuda; may be given more than once "
        "(default: every device present)",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    config = session.config
    name = config.getoption("--module")
    if name is None:
        raise pytest.UsageError("no module was named; name it with --module package.module:name")
    if config.getoption("numprocesses", None):
        raise pytest.UsageError("-n was given; leave it out: a module is judged in one process")
    try:
        used = devices.select(config.getoption("--device"))
        judged = find_target(name, config.getoption("--input"), config.getoption("--inputs"))
    except NnspecError as error:
        raise pytest.UsageError(str(error)) from None
    config.stash[REPORTER] = Reporter(config, judged, used)
    config.pluginmanager.register(config.stash[REPORTER])


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "device" in metafunc.fixturenames:
        metafunc.parametrize("device", metafunc.config.stash[REPORTER].devices)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    try:
        rules = {
            id_: rule
            for folder in sorted({item.path.parent for item in items})
            for id_, rule in read_rules(folder).items()
        }
        allowances = read_allowances(config.getoption("--allow"), rules) if rules else {}
    except NnspecError as error:
        raise pytest.UsageError(str(error)) from None
    for item in items:
        id_ = rule_id(item.path, item.name.partition("[")[0])
        if id_ not in rules:
            raise pytest.UsageError(
                f"{item.path}: {item.name} is no rule; a rule is a function at the top level of its chapter"
            )
        item.stash[RULE] = rules[id_]
    config.stash[REPORTER].expect({item.nodeid: item.stash[RULE] for item in items}, allowances)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.config.stash[FINDINGS] = []
    item.config.stash[SNAPSHOT] = isolation.snapshot(item.config.stash.get(SNAPSHOT, None))
    isolation.seed()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """Put back what the module changed in the process: a rule of its own speaks of that."""
    result = yield
    before = item.config.stash[SNAPSHOT]
    item.config.stash[SNAPSHOT] = isolation.restore(before, compiled=False)[1]
    return result


def pytest_assertrepr_compare(config: pytest.Config, op: str, left: object, right: object) -> None:
    """Remember the findings of ``assert of_something(build()) == []``, whole and one by one."""
    if op == "==" and right == [] and isinstance(left, list) and all(isinstance(text, str) for text in left):
        config.stash[FINDINGS] = left


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> pytest.TestReport | None:
    if call.when != "call" and call.excinfo is None:
        return None
    error = call.excinfo.value if call.excinfo else None
    outcome = judge(error, item.path, item.config.stash[REPORTER].reason_to_accept(item.stash[RULE]))
    if call.when != "call" and outcome.name in (VIOLATED, ALLOWED):
        outcome = Outcome(ERROR, type(error).__name__)
    if outcome.name in (NOT_APPLICABLE, ALLOWED):
        call = pytest.CallInfo.from_call(lambda: None, "call")
    report = pytest.TestReport.from_item_and_call(item, call)
    report.outcome_of_rule = outcome  # type: ignore[attr-defined]
    if report.failed:
        _add_findings(report, item, call)
    return report


def _add_findings(report: pytest.TestReport, item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Say in a report what was found, and keep a traceback only where it helps.

    Findings speak for themselves. Where the module itself raised, its error and the place of it come first.
    """
    assert call.excinfo is not None
    style = item.config.option.tbstyle
    if not isinstance(call.excinfo.value, AssertionError):
        report.findings = describe(call.excinfo.value).splitlines()  # type: ignore[attr-defined]
        if style == "auto":
            report.longrepr = call.excinfo.getrepr(
                style="short", tbfilter=lambda info: info.traceback.cut(path=item.path)
            )
    elif findings := item.config.stash[FINDINGS]:
        report.findings = [line for finding in findings for line in finding.splitlines()]  # type: ignore[attr-defined]
        if style != "long":
            report.longrepr = findings[0]


@pytest.fixture
def target(request: pytest.FixtureRequest) -> Target:
    """The module that is judged, and its inputs."""
    return request.config.stash[REPORTER].target
