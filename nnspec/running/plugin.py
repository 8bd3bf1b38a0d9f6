"""The pytest plugin that runs the specification: marks, bounds, devices and isolation."""

from __future__ import annotations

import gc
from collections.abc import Generator
from pathlib import Path

import pytest
import torch

from nnspec.clauses.chapter import is_chapter
from nnspec.clauses.clause import ClauseError, Mark, Marked
from nnspec.clauses.releases import release_of
from nnspec.errors import NnspecError
from nnspec.records.files import ensure_writable
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
from nnspec.running import devices, isolation
from nnspec.running.reporting import Reporter

MARKS = (
    'since("2.5"): holds from that release on; before it the clause must not hold',
    'before("2.5"): held up to, not including, that release; from it on it must not hold',
    'needs("cuda", 2): cannot be judged without it',
    'claim("N2-07"): decides this row of docs/claims.toml',
    'question("Q45"): answers this row of docs/questions.toml',
    "observed: torch does so, but none of its documentation promises it",
    'contradicts("..."): torch does the opposite of what the page or thread named says',
)

CLAUSE = pytest.StashKey[Marked]()
#: The marks of whatever lies below ``spec/``: a clause or a benchmark.
MARKED = pytest.StashKey[Marked]()
SNAPSHOT = pytest.StashKey[isolation.Snapshot]()
PASSED = pytest.StashKey[bool]()
DEVICES = pytest.StashKey[tuple[str, ...]]()
LACKING = pytest.StashKey[dict[tuple[str, int], str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("specification of torch.nn.Module")
    group.addoption(
        "--device",
        action="append",
        metavar="DEVICE",
        help="a device type to run on, such as cpu or cuda; may be given more than once "
        "(default: every device present)",
    )
    group.addoption(
        "--record",
        metavar="DIR",
        type=Path,
        help="write the outcome of every clause to DIR/<torch>-<device>.json",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    for mark in MARKS:
        config.addinivalue_line("markers", mark)
    try:
        config.stash[DEVICES] = devices.select(config.getoption("--device"))
    except NnspecError as error:
        raise pytest.UsageError(str(error)) from None
    torch.set_warn_always(True)
    torch.set_num_threads(1)  # tensors of a few elements gain nothing from more
    torch.autograd.backward(torch.ones(1, requires_grad=True))  # a first one in a compilation breaks forks
    _run_benchmarks_once(config)
    if hasattr(config, "workerinput"):
        return
    if config.getoption("--record") is not None:
        try:
            ensure_writable(config.getoption("--record"))
        except NnspecError as error:
            raise pytest.UsageError(f"--record {error}") from None
    config.pluginmanager.register(Reporter(config, config.stash[DEVICES]))


def _run_benchmarks_once(config: pytest.Config) -> None:
    """Without a wish to measure, a benchmark runs once and shows that it still works."""
    wished = ("benchmark_only", "benchmark_enable")
    if not any(config.getoption(name, False) for name in wished):
        config.option.benchmark_disable = True


def _is_in_spec(path: Path) -> bool:
    return path.parent.parent.name == "spec"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "device" in metafunc.fixturenames and _is_in_spec(metafunc.definition.path):
        metafunc.parametrize("device", metafunc.config.stash[DEVICES])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    defects: dict[str, None] = {}
    found: dict[object, Marked] = {}
    for item in items:
        if not _is_in_spec(item.path):
            continue
        function = getattr(item, "function", item)
        try:
            if function not in found:
                found[function] = _read_marks(item)
        except ClauseError as error:
            defects[str(error)] = None
        else:
            item.stash[MARKED] = found[function]
            if is_chapter(item.path):
                item.stash[CLAUSE] = found[function]
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
    """Try once what the clauses need, and keep the collector away from all that is there before them."""
    marked = {item.stash[MARKED] for item in session.items if MARKED in item.stash}
    if not session.config.option.collectonly:
        session.config.stash[LACKING] = {
            need: devices.lacking(*need, session.config.stash[DEVICES])
            for need in sorted({need for each in marked for need in each.needs})
        }
    gc.freeze()
    gc.enable()
    try:
        return (yield)
    finally:
        gc.disable()
        gc.unfreeze()  # what stays frozen to the end is taken for a leak by the libraries that torch loads


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    marked = item.stash.get(MARKED, None)
    if marked is None:
        return
    for need in marked.needs:
        if lacking := item.config.stash[LACKING][need]:
            pytest.skip(f"need {lacking}")
    if CLAUSE not in item.stash and marked.bounds.place(torch.__version__) != "inside":
        pytest.skip(f"is for torch {marked.bounds}")
    item.stash[SNAPSHOT] = isolation.snapshot(item.config.stash.get(SNAPSHOT, None))
    isolation.seed()


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
