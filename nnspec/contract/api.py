"""The contract from Python: ``check`` for one report, ``parametrize`` for one test of pytest per rule."""

from __future__ import annotations

import copy
import functools
import traceback
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import torch
from torch import nn

from nnspec.contract import inputs
from nnspec.contract.allowances import find_id
from nnspec.contract.another_process import source_of
from nnspec.contract.judging import as_it_was, folded, judge_all
from nnspec.contract.limit import OutOfTime, ensure_limit
from nnspec.contract.outcomes import ALLOWED, HOLDS, NOT_APPLICABLE
from nnspec.contract.report import Report
from nnspec.contract.rule import Rule, load_rules
from nnspec.contract.target import Target, try_out
from nnspec.contract.wording import describe, kind_of, own_frames
from nnspec.errors import UsageError, ensure_folder, shortened
from nnspec.running import devices as all_devices

#: What makes a module, or a module that is already made.
Build = nn.Module | Callable[[], nn.Module]

_Test = TypeVar("_Test", bound=Callable[..., object])


class ContractWarning(UserWarning):
    """A module violates a rule whose violation is no error."""


def check(
    build: Build,
    example: object,
    *,
    allow: Mapping[str, str] | None = None,
    only: Iterable[str] = (),
    skip: Iterable[str] = (),
    devices: Sequence[str] | None = None,
    limit: float | None = None,
) -> Report:
    """Judge a module by the contract.

    >>> import torch
    >>> from torch import nn
    >>> from nnspec.contract import check
    >>> class Net(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.blocks = [nn.Linear(4, 4), nn.Linear(4, 4)]
    ...         self.head = nn.Linear(4, 2)
    ...
    ...     def forward(self, x):
    ...         for block in self.blocks:
    ...             x = block(x).relu()
    ...         return self.head(x)
    >>> report = check(Net, torch.rand(3, 4))
    >>> for finding in report.at_least("error"):
    ...     print(finding.severity, finding.attribute, "->", finding.cure)
    error blocks -> use nn.ModuleList
    >>> report.raise_if("error")
    Traceback (most recent call last):
    nnspec.contract.report.ContractError: ...

    Args:
        build: a class, a function that makes a fresh module, or a module. A module is copied, and stays as it
            is; rules on how it is built do not apply to it.
        example: what it is called with: a tensor, a tuple or list of positional inputs, a dict of named ones,
            a pair of a tuple and a dict, or a function that returns one of these.
        allow: rules that may be violated, each with the reason.
        only: the rules to judge, by ids or the ends of them; by default all.
        skip: the rules to leave out.
        devices: the device types to judge on, such as ``["cpu"]``; by default all that torch finds.
        limit: how many seconds each rule may take, and before them building the module and its first call; by
            default as many as they like. A rule that ran out of time was not judged: the report says so, and
            ``raise_if`` raises.

    Returns:
        the report. The process and all random generators are as they were.

    Raises:
        UsageError: the module cannot be built, copied or called, or not within the limit, there is no such
            rule or device, or the limit is no number of seconds.
    """
    allowed = _reasons(allow or {}, "allow")
    ensure_limit("limit", limit)
    target = _target(build, example, limit)
    used = _devices(devices)
    return together([report_on(target, select(only, skip), used, allowed, limit=limit)])


def select(only: Iterable[str], skip: Iterable[str]) -> list[Rule]:
    """The rules that are to be judged.

    Args:
        only: ids, the ends of ids, or chapters; none means all.
        skip: likewise, those that are not.

    Raises:
        UsageError: there is no such rule, or none is left.
    """
    rules = load_rules()

    def named(names: Iterable[str], where: str) -> set[str]:
        if isinstance(names, str) or not isinstance(names, Iterable):
            raise UsageError(f"{where}={names!r}: name rules or chapters in a list, such as ['modes']")
        found = set[str]()
        for name in names:
            chapter = {id_ for id_ in rules if id_.startswith(f"{name}.")}
            found |= chapter or {find_id(name, rules, where)}
        return found

    wanted, unwanted = named(only, "only"), named(skip, "skip")
    left = [rule for id_, rule in rules.items() if (not wanted or id_ in wanted) and id_ not in unwanted]
    if not left:
        raise UsageError("only and skip leave no rule to judge by; skip fewer")
    return left


def report_on(
    target: Target,
    rules: Iterable[Rule],
    devices: Iterable[str],
    allowed: Mapping[str, str],
    progress: Callable[[str], None] | None = None,
    limit: float | None = None,
) -> Report:
    """Judge a module that was found; an error of its own is told by each rule that met it.

    The arguments are those of ``judge_all``.
    """
    try:
        verdicts = judge_all(target, rules, devices, allowed, progress, limit)
    except Exception as error:
        if isinstance(error, UsageError) or not own_frames(traceback.extract_tb(error.__traceback__)):
            raise
        raise UsageError(
            f"{target.name}: what it has put in the place of a function of Python's or torch's raised while "
            f"rules were judged: {describe(error)}"
        ) from None
    with as_it_was():
        called_with = inputs.in_words(target.example())
    torch_release = torch.__version__.partition("+")[0]
    return Report(target.name, called_with, torch_release, tuple(verdicts), allowed)


def together(reports: Sequence[Report]) -> Report:
    """The report of a module from those of parts of the rules, which tells each error of its own once."""
    places = list(load_rules())
    verdicts = [verdict for report in reports for verdict in report.verdicts]
    verdicts.sort(key=lambda verdict: places.index(verdict.rule.id))
    return replace(reports[0], verdicts=tuple(folded(verdicts)))


def _target(build: Build, example: object, limit: float | None = None) -> Target:
    """What is to be judged, built and called once."""
    if isinstance(build, nn.Module):
        target = Target(type(build).__name__, _copying(build), inputs.given(example), is_made=True)
    elif callable(build):
        target = Target(_name(build), build, inputs.given(example), source=source_of(build))
    else:
        raise UsageError(
            f"{shortened(repr(build))}: is no module, and nothing that makes one; give a module's class, "
            "or a function that returns a module"
        )
    ensure_folder()
    with as_it_was():
        _ensure_ordinary_tensors()
        try_out(target, limit)
    return target


def _name(build: object) -> str:
    """What makes a module, as a report names it."""
    try:
        return str(getattr(build, "__name__", None) or repr(build))
    except Exception:  # it does not show itself
        return type(build).__name__


def _ensure_ordinary_tensors() -> None:
    """See that a tensor that is made here has values and can be trained, as every rule expects.

    Raises:
        UsageError: something is at work that changes what torch makes.
    """
    try:
        made = torch.zeros(1).requires_grad_()
    except RuntimeError:
        raise UsageError(
            "no module can be judged inside of a transform of torch.func, such as grad or vmap; do it outside"
        ) from None
    if type(made) is not torch.Tensor:
        raise UsageError(
            f"no module can be judged where torch makes {type(made).__name__}s, as inside of "
            "FakeTensorMode; do it outside"
        )


def _copying(net: nn.Module) -> Callable[[], nn.Module]:
    """Makes copies of a module, without the gradients that it has."""

    def make() -> nn.Module:
        try:
            copied = copy.deepcopy(net)
        except (KeyboardInterrupt, OutOfTime):
            raise
        except BaseException as error:
            raise UsageError(
                f"{type(net).__name__}: cannot be copied: {describe(error)}\n  give its class, or a function "
                "that makes it"
            ) from None
        if not isinstance(copied, nn.Module):
            raise UsageError(
                f"{type(net).__name__}: cannot be copied: copy.deepcopy gives {kind_of(copied)}\n  give its "
                "class, or a function that makes it"
            )
        for parameter in copied.parameters():
            parameter.grad = None
        return copied

    return make


@dataclass(frozen=True)
class Case:
    """A module for :func:`parametrize`.

    Attributes:
        build: what makes it, as for :func:`check`.
        example: what it is called with, as for :func:`check`.
        expected: rules that it is known to violate, each with the reason.
        name: what tests call it; by default the name of the class or function.
    """

    build: Build
    example: object
    expected: Mapping[str, str] = field(default_factory=dict)
    name: str = ""


def parametrize(
    cases: Iterable[Case | tuple[Any, ...]], *, strict: bool = False, devices: Sequence[str] | None = None
) -> Callable[[_Test], _Test]:
    """Make a test of pytest for each module and rule: the test calls the ``check`` that it is given.

    >>> import nnspec.contract
    >>> import torch
    >>> from torch import nn
    >>> @nnspec.contract.parametrize(
    ...     [
    ...         (nn.ReLU, torch.rand(3, 4)),
    ...         (lambda: nn.Linear(4, 2), torch.rand(3, 4), {"a_replica": "is never replicated"}),
    ...     ]
    ... )
    ... def test_contract(check):
    ...     check()

    A test fails with a finding that is an error, or where a rule of ``expected`` is not violated (any more);
    what is expected is an ``xfail`` with its reason, and a rule that does not apply is skipped.

    Args:
        cases: each a :class:`Case`, or its parts in a tuple.
        strict: whether findings that are warnings fail too; else they are Python warnings.
        devices: the device types to judge on, as for :func:`check`.

    Raises:
        UsageError: a case is none, or there is no such rule or device.
    """
    import pytest

    rules = load_rules()
    used = _devices(devices)
    params = []
    if not isinstance(cases, Iterable):
        raise UsageError(f"{cases!r:.200}: is no list of cases; give [(Net, example)]")
    for case in map(_case, cases):
        expected = _reasons(case.expected, "expected")
        name = case.name or getattr(case.build, "__name__", type(case.build).__name__)
        if not isinstance(name, str):
            raise UsageError(f"{name!r:.200}: is no name of a case; give a text, or leave it out")
        judged = functools.cache(functools.partial(_target, case.build, case.example))
        for rule in rules.values():
            run = functools.partial(_test, judged, rule, used, expected, strict)
            params.append(pytest.param(run, id=f"{name}-{rule.id}"))
    if not params:
        raise UsageError(
            "no case was given, and nothing would be tested; give a list such as [(Net, example)]"
        )
    return pytest.mark.parametrize("check", params)


def _case(given: object) -> Case:
    if isinstance(given, Case):
        return given
    if not isinstance(given, tuple) or not 2 <= len(given) <= 4:
        raise UsageError(
            f"{given!r:.200}: is no case; give a Case, or a tuple of what makes the module, what it is "
            "called with, and perhaps the rules that it violates and a name"
        )
    return Case(*given)


def _reasons(given: object, where: str) -> dict[str, str]:
    """Why rules may be violated, by their ids."""
    if not isinstance(given, Mapping):
        raise UsageError(
            f"{where}={given!r}: give rules with reasons, such as {{'pickling': 'holds a lock'}}"
        )
    reasons = {find_id(name, load_rules(), where): reason for name, reason in given.items()}
    for name, reason in reasons.items():
        if not isinstance(reason, str) or not reason.strip():
            raise UsageError(
                f"{where}: the reason of {name!r} is {reason!r}; say in a text why it may be violated"
            )
    return reasons


def _devices(given: object) -> tuple[str, ...]:
    """The device types to judge on."""
    if isinstance(given, str) or not isinstance(given, Iterable | None):
        raise UsageError(f"devices={given!r}: name device types in a list, such as ['cpu']")
    named = list(given or ())
    if other := [one for one in named if not isinstance(one, str)]:
        raise UsageError(f"devices: {other[0]!r} is no text; name device types, such as 'cpu'")
    return all_devices.select(named or None)


def _test(
    target: Callable[[], Target],
    rule: Rule,
    devices: Sequence[str],
    expected: Mapping[str, str],
    strict: bool,
) -> None:
    """Judge one rule in a test."""
    import pytest

    reason = expected.get(rule.id, "")
    report = report_on(target(), [rule], devices, {rule.id: reason} if reason else {})
    (verdict,) = report.verdicts
    if verdict.outcome == ALLOWED:
        pytest.xfail(reason)
    if reason and report.outdated:
        now = "holds" if verdict.outcome == HOLDS else "is not applicable"
        pytest.fail(
            f"{rule.id} is expected to be violated ({reason}), and it {now}: expect it no longer",
            pytrace=False,
        )
    if verdict.outcome == NOT_APPLICABLE:
        pytest.skip(verdict.reason)
    report.raise_if("warning" if strict else "error")
    for finding in report.findings:
        warnings.warn(f"{rule.id}: {finding}", ContractWarning, stacklevel=2)
