"""The contract of a module: the clauses of ``spec/contract``, pointed at exemplars or at any other module."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, NoReturn

import pytest
from torch import nn

from nnspec.clauses.chapter import is_chapter, read_chapter
from nnspec.clauses.clause import Clause, Marked
from nnspec.contract import lookup, pyproject, target
from nnspec.contract.lookup import SubjectError
from nnspec.contract.target import Subject
from nnspec.records.outcomes import ALLOWED, ERROR, HOLDS, NOT_APPLICABLE, VIOLATED, Outcome

PART = "contract"

#: Where exceptions that a project accepts are kept, with a reason each.
TABLE = "[tool.nnspec.allow] in pyproject.toml"

SUBJECT = pytest.StashKey["Subject | None"]()
ALLOWANCES = pytest.StashKey["dict[str, Allowance]"]()
FINDINGS = pytest.StashKey[list[str]]()


class Allowance(NamedTuple):
    """Why a clause may be violated, if that is known, and where it says so."""

    reason: str
    where: str


class NotApplicable(Exception):
    """A clause of the contract does not apply to the module at hand; the text says why."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("contract of a module of your own (pytest spec/contract)")
    group.addoption(
        "--module",
        metavar="TARGET",
        help="a class or function that makes the module: package.module:name, or with literal arguments "
        "'package.module:Net(10, bias=False)' (default: the exemplars of the specification)",
    )
    group.addoption(
        "--input",
        action="append",
        default=[],
        metavar="SHAPE[:DTYPE]",
        help="one positional input: 2,3,64,64 draws normal numbers, 2,128:int64 whole numbers from 0 to "
        f"{target.INTEGERS_BELOW - 1}, 2,5:bool truth values; may be given more than once",
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
        metavar="CLAUSE",
        help="a clause of the contract, by its id or the end of it, that the module may violate; may be "
        "given more than once, or kept with a reason in [tool.nnspec.allow] of the pyproject.toml here",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[SUBJECT] = None
    config.stash[ALLOWANCES] = {}
    config.stash[FINDINGS] = []
    target = config.getoption("--module")
    if target is None:
        for option in ("--input", "--inputs", "--allow"):
            if config.getoption(option):
                raise pytest.UsageError(f"{option} was given without --module; name the module it is about")
        return
    if config.getoption("numprocesses", None):
        raise pytest.UsageError("-n was given with --module; leave it out: a module is judged in one process")
    if config.getoption("--record") is not None:
        raise pytest.UsageError(
            "--record was given with --module; a record is about torch, so make it of the whole spec alone"
        )
    try:
        config.stash[SUBJECT] = target.find(target, config.getoption("--input"), config.getoption("--inputs"))
    except SubjectError as error:
        raise pytest.UsageError(str(error)) from None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.stash[SUBJECT] is None:
        return
    outside = [item.path for item in items if not is_contract(item.path)]
    if outside:
        raise pytest.UsageError(
            f"--module judges a module by the contract, and {outside[0]} is no part of it; "
            "run: pytest spec/contract --module ..."
        )
    if items:
        config.stash[ALLOWANCES] = _allowed(config, items[0].path.parent)


def _allowed(config: pytest.Config, folder: Path) -> dict[str, Allowance]:
    """The clauses that may be violated, by id."""
    chapters = [read_chapter(file) for file in sorted(folder.glob("test_*.py"))]
    names = [clause.id for chapter in chapters for clause in chapter.clauses]
    try:
        kept = pyproject.read(Path.cwd()).allow
    except pyproject.SettingsError as error:
        raise pytest.UsageError(str(error)) from None
    found = {_whole_id(name, names, TABLE): Allowance(reason, TABLE) for name, reason in kept.items()}
    given = [_whole_id(name, names, "--allow") for name in config.getoption("--allow")]
    return found | dict.fromkeys(given, Allowance("by --allow", "--allow"))


def _whole_id(given: str, names: list[str], where: str) -> str:
    """The id of the clause that a full id, or the end of one, names."""
    found = [name for name in names if name == given or name.endswith(f".{given}")]
    if len(found) == 1:
        return found[0]
    if found:
        raise pytest.UsageError(
            f"{where}: {given!r} names {len(found)} clauses: {', '.join(found)}; write one out"
        )
    ends = {name.rpartition(".")[2]: name for name in names}
    close = difflib.get_close_matches(given.rpartition(".")[2], ends, 3, cutoff=0.4)
    near = "; near it: " + ", ".join(ends[end] for end in close) if close else f"; one of {', '.join(names)}"
    raise pytest.UsageError(f"{where}: {given!r} is no clause of the contract{near}")


def pytest_runtest_setup(item: pytest.Item) -> None:
    item.config.stash[FINDINGS] = []


def pytest_assertrepr_compare(config: pytest.Config, op: str, left: object, right: object) -> None:
    """Remember the findings of ``assert findings.of_something(build()) == []``, whole and one by one."""
    if op == "==" and right == [] and isinstance(left, list) and all(isinstance(one, str) for one in left):
        config.stash[FINDINGS] = left


def amend(
    outcome: Outcome | None, item: pytest.Item, clause: Marked, call: pytest.CallInfo[None]
) -> Outcome | None:
    """The outcome of a clause; one of the contract may be not applicable, or its violation allowed."""
    if clause.part != PART or call.when != "call" or outcome is None:
        return outcome
    if call.excinfo is not None and isinstance(call.excinfo.value, NotApplicable):
        return Outcome(NOT_APPLICABLE, str(call.excinfo.value))
    if call.excinfo is None and item.config.stash[SUBJECT] is not None:
        return Outcome(HOLDS)  # of a module: its bounds, which are about torch, are judged on the exemplars
    if outcome.name == VIOLATED and call.excinfo is not None and _is_ours(call.excinfo):
        return Outcome(ERROR, call.excinfo.typename)
    allowance = item.config.stash[ALLOWANCES].get(clause.id)
    return Outcome(ALLOWED, allowance.reason) if outcome.name == VIOLATED and allowance else outcome


def _is_ours(excinfo: pytest.ExceptionInfo[BaseException]) -> bool:
    """Whether the clause or its findings raised, not the module, so that nothing was judged."""
    last = Path(str(excinfo.traceback[-1].path))
    ours = last.parts[-3:-2] == ("spec",) or Path(lookup.__file__).parent in last.parents
    return ours and not isinstance(excinfo.value, (AssertionError, SubjectError))


def add_findings(
    report: pytest.TestReport, item: pytest.Item, clause: Marked, call: pytest.CallInfo[None]
) -> None:
    """Say in a report of the contract what was found, and keep a traceback only where it helps.

    Findings speak for themselves. Where the module itself raised, its error and the place of it come first.
    """
    if clause.part != PART or call.excinfo is None or not report.failed:
        return
    error = call.excinfo.value
    found = item.config.stash[FINDINGS] if isinstance(error, AssertionError) else []
    if found:
        report.findings = list(found)  # type: ignore[attr-defined]
        if item.config.option.tbstyle != "long":
            report.longrepr = found[0]
    elif not isinstance(error, AssertionError):
        report.findings = lookup.told(error).splitlines()  # type: ignore[attr-defined]
        if item.config.option.tbstyle == "auto":
            report.longrepr = call.excinfo.getrepr(
                style="short", tbfilter=lambda info: info.traceback.cut(path=clause.path)
            )


def heading(config: pytest.Config) -> list[str]:
    """What was put under the contract, for the end of a run; nothing where that was the exemplars."""
    found = config.stash[SUBJECT]
    return [f"contract of {found.name}, called with {target.shown(found.example())}"] if found else []


def footer(config: pytest.Config, outcomes: Mapping[Clause, Outcome]) -> list[str]:
    """What the end of a run says of the contract, beside the numbers: what did not simply hold, and why.

    Args:
        config: pytest's configuration.
        outcomes: the outcome of every clause of the contract that was run.
    """
    lines = []
    for reason in dict.fromkeys(one.reason for one in outcomes.values() if one.name == NOT_APPLICABLE):
        ids = [clause.id for clause, one in outcomes.items() if one == Outcome(NOT_APPLICABLE, reason)]
        lines += [f"not applicable: {', '.join(ids)}", f"  {reason}"]
    if config.stash[SUBJECT] is None:
        return lines
    for name in (ALLOWED, VIOLATED, ERROR):
        for clause, outcome in outcomes.items():
            if outcome.name == name:
                told = outcome.reason if name == ALLOWED else clause.plain
                lines.append(f"{name}: {clause.id}: {told}")
    for name, allowance in config.stash[ALLOWANCES].items():
        here = [outcome.name for clause, outcome in outcomes.items() if clause.id == name]
        if here and here[0] in (HOLDS, NOT_APPLICABLE):
            lines.append(f"allowed, but {here[0]}: {name}; remove it from {allowance.where}")
    return lines


def is_contract(path: Path) -> bool:
    """Whether a file is a chapter of the contract."""
    return is_chapter(path) and path.parent.name == PART


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "subject_of_contract" not in metafunc.fixturenames or metafunc.config.stash[SUBJECT] is not None:
        return
    exemplars = _exemplars(metafunc.config, metafunc.definition.path.parent)
    subjects = [Subject(name, build, example) for name, (build, example) in exemplars.items()]
    metafunc.parametrize("subject_of_contract", subjects, ids=list(exemplars))


def _exemplars(config: pytest.Config, folder: Path) -> Mapping[str, tuple[Any, Any]]:
    """What ``EXEMPLARS`` in the conftest of the part says: name to ``(build, example)``."""
    conftest = config.pluginmanager.get_plugin(str(folder / "conftest.py"))
    found: Mapping[str, tuple[Any, Any]] | None = getattr(conftest, "EXEMPLARS", None)
    if not found:
        raise pytest.UsageError(
            f"{folder / 'conftest.py'}: defines no EXEMPLARS, a dict of name to (build, example); "
            "without --module the contract is run on them"
        )
    return found


@pytest.fixture
def subject_of_contract(request: pytest.FixtureRequest) -> Subject:
    """The module under the contract and its inputs."""
    found = request.config.stash[SUBJECT]
    assert found is not None
    return found


@pytest.fixture
def build(subject_of_contract: Subject) -> Callable[[], nn.Module]:
    """``build()`` makes a fresh module, on the CPU and in train mode, from the same seed each time."""
    return subject_of_contract.build


@pytest.fixture
def example(subject_of_contract: Subject) -> Callable[[], target.Inputs]:
    """``example()`` gives ``(args, kwargs)``: the same values each time, in tensors of their own."""
    return subject_of_contract.example


@pytest.fixture
def not_applicable() -> Callable[[str], NoReturn]:
    """``not_applicable(reason)`` ends a clause that says nothing about the module at hand."""

    def end(reason: str) -> NoReturn:
        raise NotApplicable(reason)

    return end


@pytest.fixture
def findings() -> ModuleType:
    """The functions that look at a module and return sentences, one for each thing found."""
    return importlib.import_module("nnspec.contract.findings")
