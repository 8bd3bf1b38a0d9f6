"""How clauses are run and judged: by needs and bounds, on each device, in a process that stays as it was."""

from __future__ import annotations

import gc
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import torch
from _pytest.runner import runtestprotocol

from nnspec.clauses.chapter import is_chapter
from nnspec.clauses.clause import ClauseError, Mark, Marked
from nnspec.clauses.releases import release_of
from nnspec.leaving import no_way_out
from nnspec.records.outcomes import (
    ABSENT,
    ERROR,
    FAILURES,
    HOLDS,
    NO_LONGER,
    NOT_YET,
    UNMET,
    VIOLATED,
    Outcome,
)
from nnspec.records.record import describe_run
from nnspec.running import devices, environment, isolation

CLAUSE = pytest.StashKey[Marked]()
#: The marks of whatever lies below ``spec/``: a clause or a benchmark.
MARKED = pytest.StashKey[Marked]()
SNAPSHOT = pytest.StashKey[isolation.Snapshot]()
PASSED = pytest.StashKey[bool]()
FILTERS = pytest.StashKey[list[Any]]()
DEVICES = pytest.StashKey[tuple[str, ...]]()
LACKING = pytest.StashKey[dict[tuple[str, int], str]]()


def prepare(config: pytest.Config) -> None:
    """Choose the devices and set torch up for clauses.

    A process that has used an accelerator cannot be forked, so nothing here does.

    Raises:
        UsageError: ``--device`` names one that is not there.
    """
    config.stash[DEVICES] = devices.select(config.getoption("--device"))
    config.stash[FILTERS] = environment.ordinary_filters(config)
    torch.set_warn_always(True)
    torch.set_num_threads(1)  # tensors of a few elements gain nothing from more
    if devices.present() == ("cpu",):
        torch.autograd.backward(
            torch.ones(1, requires_grad=True)
        )  # a first one in a compilation breaks forks
    if hasattr(config, "workeroutput"):
        config.workeroutput["run"] = describe(config)


def describe(config: pytest.Config) -> dict[str, Any]:
    """The header of a record that is made of this run."""
    selected = config.stash[DEVICES]
    return describe_run(torch.__version__, map(devices.describe, selected))


def _is_in_spec(path: Path) -> bool:
    return path.parent.parent.name == "spec"


@pytest.hookimpl(tryfirst=True)
def pytest_collectstart(collector: pytest.Collector) -> None:
    """A chapter is imported as ever, whatever ``pytest -W``, a plugin or a conftest asks for."""
    if isinstance(collector, pytest.Module) and _is_in_spec(collector.path):
        isolation.set_filters(collector.config.stash[FILTERS])
        isolation.start_as_new()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if not _is_in_spec(metafunc.definition.path):
        return
    devices_of_run: tuple[str, ...] = metafunc.config.stash[DEVICES]
    if "device" in metafunc.fixturenames:
        metafunc.parametrize("device", devices_of_run)
    if "accelerator" in metafunc.fixturenames:
        others = [name for name in devices_of_run if name != "cpu"]
        none = pytest.param("cpu", marks=pytest.mark.skip("need an accelerator"))
        metafunc.parametrize("accelerator", others or [none])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    defects: dict[str, None] = {}
    marks: dict[object, Marked] = {}
    for item in items:
        if not _is_in_spec(item.path):
            continue
        function = getattr(item, "function", item)
        try:
            if function not in marks:
                marks[function] = _read_marks(item)
        except ClauseError as error:
            defects[str(error)] = None
        else:
            item.stash[MARKED] = marks[function]
            file = item.nodeid.partition("::")[0]
            item.location = (file, marks[function].line - 1, item.name)  # pytest's own way looks at the disk
            if is_chapter(item.path):
                item.stash[CLAUSE] = marks[function]
    if defects:
        raise pytest.UsageError(*defects)


def _read_marks(item: pytest.Item) -> Marked:
    """The clause that an item is, by the marks on its function: no source is read where all is well.

    Raises:
        ClauseError: it is no function at the top level of its chapter, or a mark is malformed.
    """
    path = item.path
    if not isinstance(item, pytest.Function) or item.cls is not None:
        raise ClauseError(
            f"{path}: {item.name} is no clause; a clause is a function at the top level of its chapter"
        )
    function = item.function
    given = [mark for mark in getattr(function, "pytestmark", ()) if mark.name != "parametrize"]
    clause = Marked(
        part=path.parent.name,
        chapter=path.stem.removeprefix("test_"),
        name=function.__name__.removeprefix("test_"),
        path=path,
        line=function.__code__.co_firstlineno,
        marks=tuple(Mark(mark.name, mark.args) for mark in given),
    )
    for mark in given:
        if mark.kwargs and mark.name != "benchmark":
            raise ClauseError(f"{clause.place}: {clause.id}: {mark.name} takes positional arguments only")
    clause.ensure_marks()
    return clause


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """Keep the collector away from all that is there before the clauses."""
    session.config.stash[LACKING] = {}
    gc.freeze()
    gc.enable()
    try:
        return (yield)
    finally:
        gc.disable()
        gc.unfreeze()  # what stays frozen to the end is taken for a leak by the libraries that torch loads


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Run a clause as pytest does; a setup or teardown in which nothing happened is not reported.

    A worker that nobody watches sends no more than is shown: its messages take as long as many a clause.
    """
    if CLAUSE not in item.stash:
        return None
    is_unwatched = hasattr(item.config, "workerinput") and item.config.get_verbosity() <= 0
    if not is_unwatched:
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in runtestprotocol(item, log=False, nextitem=nextitem):
        if report.when == "call" or not report.passed:
            _take_expectation_back(report)
            if is_unwatched:
                report.keywords = {}
            item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _take_expectation_back(report: pytest.TestReport) -> None:
    """A clause that is violated fails the run, whether or not an xfail says that this was expected."""
    outcome = getattr(report, "outcome_of_clause", [None])
    if vars(report).pop("wasxfail", None) is not None and outcome[0] in FAILURES:
        report.outcome = "failed"


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any]) -> Generator[None, object, object]:
    """What serves a whole run may start processes, and asks torch how."""
    if fixturedef.scope != "session":
        return (yield)
    with devices.told_to_torch():
        return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    marked = item.stash.get(MARKED, None)
    if marked is None:
        return
    isolation.set_filters(item.config.stash[FILTERS])
    if SNAPSHOT not in item.config.stash:
        isolation.start_as_new()
        devices.wake(item.config.stash[DEVICES])
        item.config.stash[SNAPSHOT] = isolation.snapshot()
    for need in marked.needs:
        if lacking := _lacking(need, item.config):
            pytest.skip(f"need {lacking}")
    if CLAUSE not in item.stash and marked.bounds.place(torch.__version__) != "inside":
        pytest.skip(f"is for torch {marked.bounds}")
    item.stash[SNAPSHOT] = isolation.snapshot(item.config.stash[SNAPSHOT])
    isolation.seed()


def _lacking(need: tuple[str, int], config: pytest.Config) -> str:
    """Why a need is not met, empty if it is: tried once, and what that imports is kept from the collector."""
    tried = config.stash[LACKING]
    if need not in tried:
        gc.disable()
        tried[need] = devices.lacking(*need, config.stash[DEVICES])
        gc.freeze()
        gc.enable()
        config.stash[SNAPSHOT] = isolation.snapshot()
    return tried[need]


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """A fixture of somebody else's may have set what every tensor is made with; no clause ends the run."""
    if MARKED not in item.stash:
        return (yield)
    isolation.ensure_defaults()
    with no_way_out(), isolation.with_builtins(), isolation.kept_open():
        try:
            return (yield)
        except pytest.exit.Exception as way_out:
            raise SystemExit(f"pytest.exit({way_out.msg!r})") from None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    result = yield
    before = item.stash.get(SNAPSHOT, None)
    if before is not None:
        compiled = any(name == "compile" for name, _ in item.stash[MARKED].needs)
        leaked, item.config.stash[SNAPSHOT] = isolation.restore(before, compiled=compiled)
        passed: bool = item.stash.get(PASSED, False)
        if leaked and passed:
            pytest.fail(
                f"it leaves a trace: {', '.join(leaked)}. It was put back for the others; "
                "restore it in the body, with a context or with try and finally",
                pytrace=False,
            )
    return result


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> pytest.TestReport | None:
    if call.when == "call":
        item.stash[PASSED] = call.excinfo is None
    clause = item.stash.get(CLAUSE, None)
    if clause is None:
        return None
    outcome = _judge(clause, call)
    if outcome is not None and outcome.name in (NOT_YET, NO_LONGER, ABSENT):
        call = pytest.CallInfo.from_call(lambda: None, "call")
    report = pytest.TestReport.from_item_and_call(item, call)
    if outcome is None:
        return report
    report.outcome_of_clause = list(outcome)  # type: ignore[attr-defined]
    if outcome.name in FAILURES and not report.failed:
        report.outcome = "failed"
        report.longrepr = outcome.reason
    return report


def _judge(clause: Marked, call: pytest.CallInfo[None]) -> Outcome | None:
    """The outcome that one phase of a clause's run gives, if it gives one."""
    excinfo = call.excinfo
    skipped = excinfo is not None and isinstance(excinfo.value, pytest.skip.Exception)
    if call.when != "call":
        if excinfo is None:
            return None
        return Outcome(UNMET, str(excinfo.value)) if skipped else Outcome(ERROR, excinfo.typename)
    if skipped:
        return Outcome(ERROR, "it skips by hand; say what it needs with a needs mark")

    place = clause.bounds.place(torch.__version__)
    if place == "inside":
        return Outcome(HOLDS) if excinfo is None else Outcome(VIOLATED, excinfo.typename)
    if excinfo is None:
        return Outcome(
            VIOLATED,
            f"it holds on torch {release_of(torch.__version__)}, outside its bounds "
            f"({clause.bounds}); move the bound to the release that changed it",
        )
    if _speaks_of_nothing(excinfo.value):
        return Outcome(ABSENT, f"{excinfo.typename}: {excinfo.value}")
    return Outcome(place, excinfo.typename)


def _speaks_of_nothing(error: BaseException) -> bool:
    """Whether what a clause names does not exist here, so that it could not even be tried."""
    if isinstance(error, (AttributeError, ImportError)):
        return True
    return isinstance(error, TypeError) and "unexpected keyword argument" in str(error)
