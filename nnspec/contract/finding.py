"""What a module does that a well-behaved one does not, and how bad that is."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]

#: The worst first. An error will go wrong: wrong results, lost state, no training. A warning will surprise.
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

_ATTRIBUTE = re.compile(r"`([A-Za-z_][\w.]*)`")


@dataclass(frozen=True)
class Finding:
    """One thing that a rule found.

    Attributes:
        rule: the id of the rule, such as ``registration.closures``.
        severity: ``error``, ``warning`` or ``note``.
        attribute: the attribute that it is about, as it is reached from the module; empty if it is about all.
        cause: what is so, and what follows from it.
        cure: what to do.
    """

    rule: str
    severity: Severity
    attribute: str
    cause: str
    cure: str

    def __str__(self) -> str:
        return f"{self.cause}; {self.cure}" if self.cure else self.cause

    def to_dict(self) -> dict[str, str]:
        """The finding as plain data."""
        return asdict(self)


def read_sentence(sentence: str, rule: str, severity: Severity) -> Finding:
    """The finding that a sentence says: ``cause; cure``, the attribute being the first name in it."""
    cause, mark, cure = sentence.rpartition("; ")
    if not mark:
        cause, cure = sentence, ""
    named = _ATTRIBUTE.search(cause.partition(" at ")[0])
    return Finding(rule, severity, named[1] if named else "", cause, cure)
