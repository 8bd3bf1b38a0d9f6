"""The tables of ``docs/documentation``: what is true of each sentence of torch's documentation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nnspec.clauses.tables import TableError, read_table

TRUE, FALSE, MISLEADING = "true", "false", "misleading"
NOT_TESTABLE, ARITHMETIC, OPEN = "not testable", "arithmetic of a layer", "open"
VERDICTS = (TRUE, FALSE, MISLEADING, NOT_TESTABLE, ARITHMETIC, OPEN)

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


class Row(NamedTuple):
    """What is known of one sentence.

    Attributes:
        words: its first few.
        verdict: one of :data:`VERDICTS`.
        clauses: ids of those that decide it; of an open one, that decide a part.
        kind: of a sentence that is not testable, one of :data:`KINDS`.
        instead: what is so where the sentence is false or misleading.
        harm: what comes of believing such a sentence, one of :data:`HARMS`.
    """

    words: str
    verdict: str
    clauses: tuple[str, ...] = ()
    kind: str = ""
    instead: str = ""
    harm: str = ""


#: The rows of each object, by the digests of its sentences.
Tables = Mapping[str, Mapping[str, Row]]


def read_tables(folder: Path) -> Tables:
    """All rows, by object and digest.

    Raises:
        TableError: a file is no TOML, a row is not written as it has to be, or an object has two tables.
    """
    tables: dict[str, dict[str, Row]] = {}
    for path in sorted(folder.glob("*.toml")):
        for name, rows in read_table(path).items():
            if name in tables:
                raise TableError(f"{path}: [{name}] has a table in another file, too; join them")
            tables[name] = {digest: _row(f"{path}: {name}: {digest}", row) for digest, row in rows.items()}
    return tables


def _row(where: str, row: Any) -> Row:
    if not isinstance(row, dict):
        raise TableError(f'{where}: is no table; write {{words = "...", verdict = "..."}}')
    if unknown := sorted(row.keys() - set(Row._fields)):
        raise TableError(f"{where}: has an unknown entry {unknown[0]!r}; known are {', '.join(Row._fields)}")
    texts = [row.get(key, "") for key in ("words", "verdict", "kind", "instead", "harm")]
    clauses = row.get("clauses", [])
    if not isinstance(clauses, list) or not all(isinstance(text, str) for text in (*texts, *clauses)):
        raise TableError(f"{where}: every entry is a text, and clauses a list of texts")
    words, verdict, kind, instead, harm = texts
    if verdict not in VERDICTS:
        raise TableError(f"{where}: the verdict {verdict!r} is none; say one of {', '.join(VERDICTS)}")
    if (kind in KINDS) != (verdict == NOT_TESTABLE):
        raise TableError(f"{where}: what is not testable, and nothing else, has a kind: {', '.join(KINDS)}")
    is_wrong = verdict in (FALSE, MISLEADING)
    if bool(instead) != is_wrong or (harm in HARMS) != is_wrong:
        raise TableError(
            f"{where}: what is false or misleading, and nothing else, says what is so instead, and its harm: "
            f"{', '.join(HARMS)}"
        )
    if not clauses and verdict in (TRUE, FALSE, MISLEADING):
        raise TableError(f"{where}: {verdict}, and no clause shows it; name one, or say {OPEN!r}")
    return Row(words, verdict, tuple(clauses), kind, instead, harm)
