"""Judges a module by rules, one after the other, and leaves the process as it was."""

from __future__ import annotations

import contextlib
import inspect
import random
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nnspec.contract import forks, not_applicable, tree
from nnspec.contract.another_process import Another, Elsewhere, building_elsewhere
from nnspec.contract.builds import copied, looked_at
from nnspec.contract.finding import SEVERITIES, Finding, read_sentence
from nnspec.contract.limit import OutOfTime, within
from nnspec.contract.outcomes import (
    ALLOWED,
    ERROR,
    HOLDS,
    NOT_APPLICABLE,
    OUT_OF_TIME,
    VIOLATED,
    NotApplicable,
    Verdict,
    is_the_tools,
    weightiest,
)
from nnspec.contract.rule import Rule
from nnspec.contract.target import Target
from nnspec.contract.wording import brief
from nnspec.running import isolation

#: How a finding begins where a rule came to no other than that the module raises.
_TRIED = "while this is tried, the module raises "

#: The rule about modules that are equal, which no walk comes to.
_TOLD_APART = "building.modules_are_told_apart"

#: The rule about methods that do not take what torch gives them.
_OVERRIDES = "building.overrides_take_the_same"

ALREADY_MADE = "a module that is already made was given; this rule needs a class or a function that makes one"


def judge_all(
    target: Target,
    rules: Iterable[Rule],
    devices: Iterable[str],
    allowed: Mapping[str, str],
    progress: Callable[[str], None] | None = None,
    limit: float | None = None,
) -> list[Verdict]:
    """The verdicts of rules on a module.

    Args:
        target: the module.
        rules: in the order in which they are judged.
        devices: the device types on which rules about devices are judged.
        allowed: why a rule may be violated, by its id.
        progress: is told the id of the rule at work.
        limit: how many seconds a rule may take on a device.
    """
    rules = list(rules)
    asks = any("elsewhere" in inspect.signature(rule.judge).parameters for rule in rules)
    build = copied(target.build)
    verdicts = []
    with as_it_was(), forks.ending(), tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with _meanwhile(target.source if asks else "", build, limit) as another:
            given = _given(target, build, Path(folder), another.tell)
            threads = torch.get_num_threads()
            for rule in rules:
                # three threads on two processors wait for each other most of the time
                torch.set_num_threads(max(1, threads - another.is_at_work()))
                if progress:
                    progress(rule.id)
                needs_device = "device" in inspect.signature(rule.judge).parameters
                on_each = [
                    _judge(rule, given | {"device": device}, limit)
                    for device in (devices if needs_device else ["cpu"])
                ]
                verdicts.append(_accept(weightiest(on_each), allowed.get(rule.id, "")))
        not_applicable.forget()
    return verdicts


def folded(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """The same verdicts, each cause told once.

    An error of the module's own is told by one of the rules that met it, the gravest and of these the first;
    what follows for a module that every walk passes by is not told besides.
    """
    told, raised = [], dict[str, str]()
    verdicts = _with_the_cure_of_overrides(list(_without_passed_by(verdicts)))
    tellers, explained = _tellers(verdicts), _explained(verdicts)
    for place, verdict in enumerate(verdicts):
        text = _tried(verdict)
        is_explained = text in explained and _weight(explained[text]) <= _weight(verdict)
        if text in raised or is_explained or tellers.get(text, place) != place:
            explaining = explained[text] if is_explained else verdicts[tellers[text]]
            teller = raised.get(text) or explaining.rule.id
            reason = f"as {teller} says, the module raises {text}"
            verdict = replace(verdict, outcome=NOT_APPLICABLE, findings=(), reason=reason)
        told.append(verdict)
        for _, mark, error in (finding.cause.partition(" raises ") for finding in verdict.findings):
            if mark:
                raised.setdefault(error, verdict.rule.id)
    return told


def _with_the_cure_of_overrides(verdicts: list[Verdict]) -> list[Verdict]:
    """The same verdicts, but that the TypeError of a narrow override has the cure of the rule about these."""
    cures = {
        f"{finding.attribute.rpartition('.')[2]}() got an unexpected keyword argument": finding.cure
        for verdict in verdicts
        if verdict.rule.id == _OVERRIDES
        for finding in verdict.findings
    }
    told = []
    for verdict in verdicts:
        cure = next((cure for words, cure in cures.items() if words in _tried(verdict)), "")
        findings = tuple(replace(one, cure=cure) for one in verdict.findings) if cure else verdict.findings
        told.append(replace(verdict, findings=findings))
    return told


def _explained(verdicts: Sequence[Verdict]) -> dict[str, Verdict]:
    """By what the module raises, the gravest verdict that says when it does."""
    explained: dict[str, Verdict] = {}
    for verdict in sorted(verdicts, key=_weight):
        if not _tried(verdict):
            for _, mark, error in (finding.cause.partition(" raises ") for finding in verdict.findings):
                if mark:
                    explained.setdefault(error, verdict)
    return explained


def _weight(verdict: Verdict) -> int:
    """How grave a verdict is: the gravest is the least."""
    return SEVERITIES.index(verdict.rule.severity)


def _tellers(verdicts: Sequence[Verdict]) -> dict[str, int]:
    """By what the module raises, the place of the verdict that tells it."""
    tellers: dict[str, int] = {}
    for place in sorted(range(len(verdicts)), key=lambda at: _weight(verdicts[at])):
        if text := _tried(verdicts[place]):
            tellers.setdefault(text, place)
    return tellers


def _tried(verdict: Verdict) -> str:
    """What the module raised where the rule came to no other; else an empty text."""
    causes = [finding.cause for finding in verdict.findings if finding.cause.startswith(_TRIED)]
    return causes[0].removeprefix(_TRIED) if causes else ""


def _without_passed_by(verdicts: Iterable[Verdict]) -> Iterator[Verdict]:
    """The same verdicts, but that what walks pass by is told once."""
    passed_by: list[str] = []
    for verdict in verdicts:
        if verdict.rule.id == _TOLD_APART:
            passed_by = [finding.attribute for finding in verdict.findings]
        elif verdict.findings and all(_is_of(finding, passed_by) for finding in verdict.findings):
            reason = f"as {_TOLD_APART} says, walks pass `{passed_by[0]}` by"
            verdict = replace(verdict, outcome=NOT_APPLICABLE, findings=(), reason=reason)
        yield verdict


def _is_of(finding: Finding, paths: list[str]) -> bool:
    """Whether a finding is about what one of some modules holds."""
    return any(f"{finding.attribute}.".startswith(f"{path}.") for path in paths)


@contextlib.contextmanager
def as_it_was() -> Iterator[None]:
    """Record gradients, even where that was turned off, and put back threads and generators at the end."""
    numpy: Any = sys.modules.get("numpy")
    threads = torch.get_num_threads()
    python, of_numpy = random.getstate(), numpy.random.get_state() if numpy else None
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()  # type: ignore[no-untyped-call]
    try:
        with torch.random.fork_rng(devices), torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        torch.set_num_threads(threads)
        random.setstate(python)
        if numpy:
            numpy.random.set_state(of_numpy)


def _meanwhile(
    source: str, build: tree.Build, limit: float | None
) -> contextlib.AbstractContextManager[Another]:
    """What has another process build the module, while rules are judged here."""
    net = None
    if source:
        with contextlib.suppress(Exception, OutOfTime, SystemExit):  # rules tell it
            net = within(limit, build)
    return building_elsewhere(source, net)


def _given(
    target: Target, build: tree.Build, folder: Path, elsewhere: Callable[[], Elsewhere]
) -> dict[str, Any]:
    """What rules may ask for, by the name of their argument."""

    def unless(obstacles: list[str]) -> None:
        if obstacles:
            raise NotApplicable(obstacles[0])

    build_other = copied(target.build_other)

    def other() -> nn.Module:
        if not target.is_made:
            return tree.ready(build_other, target.example)
        net = tree.ready(build, target.example)
        tree.disturb(net)
        return net

    return {
        "build": build,
        "rebuild": target.build,
        "construct": None if target.is_made else target.build,
        "example": target.example,
        "ready": lambda: tree.ready(build, target.example),
        "looked_at": looked_at(lambda: tree.ready(build, target.example)),
        "other": other,
        "elsewhere": _once(elsewhere),
        "tmp_path": folder,
        "unless": unless,
    }


def _once(ask: Callable[[], Elsewhere]) -> Callable[[], Elsewhere]:
    """The same for every rule, also where it comes to nothing."""
    answers: list[Elsewhere | str] = []

    def answer() -> Elsewhere:
        if not answers:
            try:
                answers.append(ask())
            except NotApplicable as reason:
                answers.append(str(reason))
        (told,) = answers
        if isinstance(told, str):
            raise NotApplicable(told)
        return told

    return answer


def _judge(rule: Rule, given: Mapping[str, Any], limit: float | None) -> Verdict:
    before, start = isolation.snapshot(), time.perf_counter()
    isolation.seed()
    verdict: tuple[str, tuple[Finding, ...], str]
    try:
        verdict = within(limit, lambda: _found(rule, given))
    except OutOfTime:
        verdict = OUT_OF_TIME, (), f"it took longer than {limit:g} seconds, and was not judged"
    leaked, _ = isolation.restore(before, compiled=False)
    return Verdict(rule, *verdict, time.perf_counter() - start, tuple(leaked))


def _found(rule: Rule, given: Mapping[str, Any]) -> tuple[str, tuple[Finding, ...], str]:
    """What a rule finds, and how that is called."""
    try:
        wanted = {name: given[name] for name in inspect.signature(rule.judge).parameters}
        if "construct" in wanted and wanted["construct"] is None:
            raise NotApplicable(ALREADY_MADE)
        sentences = next(filter(None, rule.judge(**wanted)), [])
    except NotApplicable as reason:
        return NOT_APPLICABLE, (), str(reason)
    except (KeyboardInterrupt, OutOfTime):
        raise
    except BaseException as error:
        if is_the_tools(error):
            return ERROR, (), "".join(traceback.format_exception(error)).rstrip()
        sentences = [f"{_TRIED}{brief(error)}; let it take what any Module takes"]
    findings = tuple(read_sentence(sentence, rule.id, rule.severity) for sentence in sentences)
    return VIOLATED if findings else HOLDS, findings, ""


def _accept(verdict: Verdict, reason: str) -> Verdict:
    if not reason or verdict.outcome != VIOLATED:
        return verdict
    return replace(verdict, outcome=ALLOWED, reason=reason)
