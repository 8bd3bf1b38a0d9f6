"""Files about strength as they are read: records of measurements, and why something stays unnoticed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct, field

from nnspec.clauses.tables import read_table
from nnspec.decoding import Count, Line, Said, Text, Version, Word, ensure_schema, fit, one_of, read_json
from nnspec.strength.counts import SCHEMA

#: Why a change may stay unnoticed.
KINDS = ("same behaviour", "unreachable on a CPU", "several GPUs", "message wording only")

_REMEDY = "make it anew with: python -m nnspec "


class Explanation(Struct, frozen=True, forbid_unknown_fields=True):
    """Why no clause notices a change: one of :data:`KINDS`, and in words."""

    kind: Annotated[str, Meta(pattern=one_of(*KINDS))]
    why: Said


class Reason(Struct, frozen=True, forbid_unknown_fields=True):
    """Why nothing makes an assertion fail."""

    why: Said


class Run(Struct, frozen=True, forbid_unknown_fields=True):
    """What a record was made on."""

    torch: Version
    python: Line
    platform: Line
    device: Word
    date: Line

    @property
    def place(self) -> str:
        return f"{self.torch}, {self.device}"


class Counts(Struct, frozen=True, forbid_unknown_fields=True):
    """How many changes to a file there are, and what became of them."""

    changes: Count
    noticed: Count
    survived: Count
    not_tried: Count = field(name="not tried")


class StrengthRecord(Struct, frozen=True, forbid_unknown_fields=True):
    """The record of ``nnspec mutate``: each file, and each survivor with its line, the change and notes."""

    schema: int
    run: Run
    files: dict[Text, Counts]
    survivors: dict[Text, Annotated[list[Text], Meta(min_length=2, max_length=3)]]


class AssertionsRecord(Struct, frozen=True, forbid_unknown_fields=True):
    """The record of ``nnspec strength --clauses``.

    Attributes:
        judged: each clause to the digest of what was run and to the number of its assertions.
        never_fail: the assertions that nothing made fail, of the clauses that have one.
        not_judged: why a clause could not be judged.
    """

    schema: int
    run: Run
    judged: dict[Text, tuple[Text, Count]]
    never_fail: dict[Text, list[Text]] = field(name="never fail")
    not_judged: dict[Text, Text] = field(name="not judged")

    @property
    def clauses(self) -> int:
        """How many could be judged."""
        return len(self.judged) - len(self.not_judged)

    @property
    def assertions(self) -> int:
        """How many they have together."""
        return sum(number for _, number in self.judged.values())


def read_strength(path: Path) -> StrengthRecord:
    """A record of ``nnspec mutate``.

    Raises:
        FileError: it is missing, damaged, or of another schema.
    """
    table = read_json(path, f"{_REMEDY}mutate")
    ensure_schema(path, table, SCHEMA, f"{_REMEDY}mutate")
    return fit(path, table, StrengthRecord, f"{_REMEDY}mutate")


def read_assertions(path: Path) -> AssertionsRecord:
    """A record of ``nnspec strength --clauses``.

    Raises:
        FileError: it is missing, damaged, or of another schema.
    """
    table = read_json(path, f"{_REMEDY}strength --clauses")
    ensure_schema(path, table, SCHEMA, f"{_REMEDY}strength --clauses")
    return fit(path, table, AssertionsRecord, f"{_REMEDY}strength --clauses")


def read_explanations(path: Path) -> Mapping[str, Explanation]:
    """The table ``docs/survivors.toml``: id of a survivor to why it stays.

    Raises:
        TableError: the file is no TOML, or a row is not written as it has to be.
    """
    return read_table(path, dict[str, Explanation])


def read_reasons(path: Path) -> Mapping[str, Reason]:
    """The table ``docs/assertions.toml``: ``clause: assertion`` to why it need not fail.

    Raises:
        TableError: the file is no TOML, or a row is not written as it has to be.
    """
    return read_table(path, dict[str, Reason])
