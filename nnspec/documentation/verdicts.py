"""The tables of ``docs/documentation``: what is true of each sentence of torch's documentation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from nnspec.clauses.tables import TableError, read_table
from nnspec.decoding import Text
from nnspec.errors import shortened

TRUE, FALSE, MISLEADING = "true", "false", "misleading"
NOT_TESTABLE, OPEN = "not testable", "open"
VERDICTS = (TRUE, FALSE, MISLEADING, NOT_TESTABLE, OPEN)

#: Why a sentence cannot be tested.
KINDS = {
    "advice": "says what to do",
    "pointer": "points elsewhere",
    "lead-in": "introduces what follows",
    "definition": "says what a word or symbol means, or what an argument is",
    "judgement": "is an opinion, or too vague to be wrong",
    "plan": "speaks of what may come, or of what is experimental",
    "elsewhere": "speaks of other software or hardware",
}

#: What comes of believing a sentence that is false or misleading, the worst first.
HARMS = {
    "silent": "Code written so does something else, and no error tells",
    "error": "Code written so raises",
    "wording": "A name, a type or a word is wrong; no code breaks",
}


class Row(Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of one sentence.

    Attributes:
        words: its first few.
        verdict: one of :data:`VERDICTS`.
        clauses: ids of those that decide it; of an open one, that decide a part.
        kind: of a sentence that is not testable, one of :data:`KINDS`.
        instead: what is so where the sentence is false or misleading.
        harm: what comes of believing such a sentence, one of :data:`HARMS`.
    """

    words: Text = ""
    verdict: Text = ""
    clauses: tuple[Text, ...] = ()
    kind: Text = ""
    instead: Text = ""
    harm: Text = ""


#: The rows of each object, by the digests of its sentences.
Tables = Mapping[str, Mapping[str, Row]]


def read_tables(folder: Path) -> Tables:
    """All rows, by object and digest.

    Raises:
        TableError: a file is no TOML, a row is not written as it has to be, or an object has two tables.
    """
    tables: dict[str, dict[str, Row]] = {}
    for path in sorted(folder.glob("*.toml")):
        for name, rows in read_table(path, dict[str, dict[str, Row]]).items():
            if name in tables:
                raise TableError(f"{path}: [{shortened(name)}] has a table in another file, too; join them")
            for digest, row in rows.items():
                _check(f"{path}: {shortened(name)}: {shortened(digest)}", row)
            tables[name] = rows
    return tables


def _check(where: str, row: Row) -> None:
    verdict = row.verdict
    if verdict not in VERDICTS:
        raise TableError(
            f"{where}: the verdict '{shortened(verdict)}' is none; say one of {', '.join(VERDICTS)}"
        )
    if (row.kind in KINDS) != (verdict == NOT_TESTABLE):
        raise TableError(f"{where}: what is not testable, and nothing else, has a kind: {', '.join(KINDS)}")
    is_wrong = verdict in (FALSE, MISLEADING)
    if bool(row.instead) != is_wrong or (row.harm in HARMS) != is_wrong:
        raise TableError(
            f"{where}: what is false or misleading, and nothing else, says what is so instead, and its harm: "
            f"{', '.join(HARMS)}"
        )
    if not row.clauses and verdict in (TRUE, FALSE, MISLEADING):
        raise TableError(f"{where}: {verdict}, and no clause shows it; name one, or say {OPEN!r}")
