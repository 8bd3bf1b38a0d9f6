"""What a rule comes to for a module."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

import nnspec
from nnspec.contract.finding import Finding
from nnspec.contract.rule import Rule
from nnspec.contract.wording import own_frames, text_of
from nnspec.errors import UsageError

HOLDS = "holds"
VIOLATED = "violated"
OUT_OF_TIME = "out of time"
ALLOWED = "allowed"
NOT_APPLICABLE = "not applicable"
ERROR = "error"

#: Every outcome, the one that outweighs the others first.
OUTCOMES = (ERROR, VIOLATED, OUT_OF_TIME, ALLOWED, HOLDS, NOT_APPLICABLE)

_PACKAGE = Path(nnspec.__file__).parent
_TORCH = Path(torch.__file__).parent

#: Where torch and Python do what a module asks for, and so raise what is the module's own fault.
_ON_BEHALF = (
    *("nn/modules", "nn/utils", "autograd", "func", "_functorch", "utils", "serialization.py", "_refs"),
    *("functional.py", "nn/functional.py", "_meta_registrations.py", "_prims_common", "_decomp"),
    *("_tensor.py", "_C", "storage.py", "_ops.py", "library.py", "_library"),
    # where modules of other makes come from
    *("jit", "export", "_export", "fx", "_dynamo", "_inductor", "_higher_order_ops", "ao", "quantization"),
    *("nested", "masked", "sparse", "distributed", "_subclasses", "package"),
)


_REFUSED = re.compile(r"\S+\.([a-z]\w*)\(\) (got an unexpected|takes|missing)")
_CALLED = re.compile(r"\.(\w+)\(")


class NotApplicable(Exception):
    """A rule says nothing of the module at hand; the text says why."""


@dataclass(frozen=True)
class Verdict:
    """What a rule came to.

    Attributes:
        rule: the rule.
        outcome: one of :data:`OUTCOMES`.
        findings: what was found.
        reason: why it is allowed, not applicable or not judged, or the traceback of an error of the tool.
        seconds: how long it took.
        leaked: what was left changed in the process, and put back.
    """

    rule: Rule
    outcome: str
    findings: tuple[Finding, ...] = ()
    reason: str = ""
    seconds: float = 0.0
    leaked: tuple[str, ...] = ()


def is_the_tools(error: BaseException) -> bool:
    """Whether a rule or its findings raised, and not the module, so that nothing was judged."""
    if isinstance(error, (UsageError, SystemExit)) or _is_refused_by_an_override(error):
        return False
    frames = traceback.extract_tb(error.__traceback__)
    if frames and _hides_a_method(error, frames[-1].line or ""):
        return False
    ours = [index for index, frame in enumerate(frames) if _PACKAGE in Path(frame.filename).parents]
    after = frames[ours[-1] + 1 :] if ours else frames
    return not own_frames(after) and not any(_is_on_behalf(frame.filename) for frame in after)


def _is_refused_by_an_override(error: BaseException) -> bool:
    """Whether a method of nn.Module that a class overrides does not take what that of nn.Module takes."""
    refused = _REFUSED.match(text_of(error)) if isinstance(error, TypeError) else None
    return refused is not None and callable(getattr(torch.nn.Module, refused[1], None))


def _hides_a_method(error: BaseException, line: str) -> bool:
    """Whether a line calls a method of nn.Module, and an attribute of the user's is in its place."""
    if not isinstance(error, TypeError) or not text_of(error).endswith(" object is not callable"):
        return False
    return any(callable(getattr(torch.nn.Module, name, None)) for name in _CALLED.findall(line))


def _is_on_behalf(filename: str) -> bool:
    path = Path(filename)
    if path.name in {"copy.py", "pickle.py"}:
        return True
    return any(path == _TORCH / place or _TORCH / place in path.parents for place in _ON_BEHALF)


def weightiest(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict on a rule from those on each device."""
    return min(verdicts, key=lambda verdict: OUTCOMES.index(verdict.outcome))
